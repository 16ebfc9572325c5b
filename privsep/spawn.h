#ifndef PRIVSEP_SPAWN_H
#define PRIVSEP_SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "privsep/chan.h"

/*
 * fork + execveat of a role's program.  The programs are opened once
 * (spawn_open) and started by descriptor, so that an upgrade under a running
 * master changes nothing.  In the child descriptor 3 is its channel to us, then
 * come the others from 4 on in the order given; 0, 1, 2 are /dev/null (2 stays
 * for the logger, and in sanitizer and trap builds); everything else is closed.
 */
#define SPAWN_FDS_MAX	6		/* beside the channel */

struct spawner;

/* self is ROLE_MASTER or ROLE_COMMAND.  programs: directory of role programs.
 * Opens the programs of the roles in `mask` (bits R(...)); RC_NOENT with the
 * missing path in errtext. */
int	spawn_open(struct spawner **sp, enum role self, const char *programs,
	    uint32_t mask, char *errtext, size_t errsize);
void	spawn_free(struct spawner *sp);

struct spawn {
	enum role	 role;
	int		 fds[SPAWN_FDS_MAX];	/* not closed here */
	int		 nfds;
	/* results */
	pid_t		 pid;
	struct chan	*chan;			/* caller frees */
};

/* Start it.  The caller then sends START (start_put() in privsep/role.h). */
int	spawn_role(struct spawner *sp, struct spawn *s);

/* Sixteen bytes that name this build: the same in all programs of one build. */
extern const uint8_t build_id[16];

#endif
