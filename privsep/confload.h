#ifndef PRIVSEP_CONFLOAD_H
#define PRIVSEP_CONFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/conf.h"
#include "privsep/spawn.h"

/*
 * Read SGConfiguration.conf: the caller opens the file, the one-shot confparse
 * process parses its text without files or rights, and the values come back
 * over the channel.
 *
 * The role programs have to be found before Paths.Programs is known.  They are
 * those beside the running program when sg-confparse lies there (a build tree),
 * otherwise those of the compiled-in directory; the environment is not asked.
 * A file that says nothing about Paths.Programs gets the directory found so.
 */
#define CONFLOAD_TIMEOUT_MS	10000
#define CONFLOAD_ERR_MAX	1400

struct conf_load {
	const char	*path;		/* the file */
	enum role	 self;		/* ROLE_MASTER or ROLE_COMMAND */
	/* confparse gets its own user and an empty root directory: for root,
	 * and for a master with ambient capabilities */
	bool		 change_ids;
	uint32_t	 users_base;
	/* not 0: confparse's ids are known (a filtered caller cannot ask) */
	uid_t		 uid;
	gid_t		 gid;
	/* NULL: made for this call, and removed.  At most 255 bytes. */
	const char	*empty;
	/* NULL: opened for this call. */
	struct spawner	*spawner;
};

/*
 * All in one, for start-up and commands: also conf_finish().  RC_NOENT when
 * there is no such file, RC_CONFIG for what the file says, others for what
 * failed around it; err then holds one line, "FILE:LINE: why" where a line is
 * known.
 */
int	conf_load(const struct conf_load *l, struct conf *c, char *err,
	    size_t errsize);

/*
 * In steps, for a loop that must not wait.  Start, then step whenever the
 * channel's events() are there, until it answers other than RC_AGAIN.  The
 * caller reaps the pid.  Without conf_finish().
 */
struct confload;
int	confload_start(struct confload **cl, const struct conf_load *l,
	    char *err, size_t errsize);
int	confload_step(struct confload *cl, struct conf *c, char *err,
	    size_t errsize);
int	confload_fd(const struct confload *cl);		/* -1 when it is over */
short	confload_events(const struct confload *cl);
pid_t	confload_pid(const struct confload *cl);
void	confload_free(struct confload *cl);

/* The directory of role programs, as described above. */
int	programs_dir(char *out, size_t size);

#endif
