#ifndef PRIVSEP_ROLE_H
#define PRIVSEP_ROLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/rbuf.h"
#include "privsep/chan.h"

/*
 * The first and the last steps of a role's start, the same for all:
 *
 *	role_begin()	descriptor 3 becomes the channel to the parent, START is
 *			read and the build id compared
 *	  ... set up, open what is needed with the parent's rights ...
 *	role_drop()	drop_privileges()
 *	  ... open what only this role's user may (keyd, auth, store) ...
 *	role_enter()	sandbox_enter(), then READY
 *	  ... first byte of input ...
 */
struct start {
	enum role	role;
	uid_t		uid;
	gid_t		gid;
	uint8_t		flags;		/* START_F_* */
	pid_t		parent;
	uint8_t		log_level;
	char		root[256];	/* chroot directory; "" none */
	struct rbuf	rest;		/* the role's own part; valid until role_enter() */
};

/* For the parent: write a START body; the role's own part is appended after. */
void	start_put(struct wbuf *out, const struct start *s);

struct role_env {
	struct start	 start;
	struct chan	*parent;	/* descriptor 3 */
	struct chan	*log;		/* descriptor 4, or NULL */

	/* private to role.c */
	uint8_t		*start_buf;
	int		(*on_chroot)(void *arg);
	void		*on_chroot_arg;
	int		(*on_threads)(void *arg);
	void		*on_threads_arg;
};

/* fatal() on anything wrong.  has_log: descriptor 4 is a log channel, which
 * becomes the log sink; otherwise lines go to the parent as MSG_LOG if it is a
 * command, else to stderr. */
void	role_begin(struct role_env *env, enum role self, enum role parent,
	    bool has_log);
void	role_drop(struct role_env *env);
/* Before role_drop(): `fn` runs after the change of ids, with START's root as
 * working directory; where it leaves the working directory is where the chroot
 * goes (store makes or finds its vault). */
void	role_on_chroot(struct role_env *env, int (*fn)(void *arg), void *arg);
/* Before role_enter(): `fn` starts the role's threads, after no_new_privs and
 * Landlock (a new thread has them from the one that made it) and before the
 * filter, which is loaded for all.  It must return only when each of them runs
 * its own function (a barrier): what the C library does before that, the filter
 * denies, and the whole process would die. */
void	role_on_threads(struct role_env *env, int (*fn)(void *arg), void *arg);
/* Loads the filter and sends READY. */
void	role_enter(struct role_env *env);
/* A channel made from a start-up descriptor (5, 6, ...). */
struct chan *role_chan(struct role_env *env, int fd, enum role peer);

/* A message-loop helper: which handler takes which message in which state.
 * Unknown ones are RC_STATE. */
struct handler {
	uint16_t	type;
	uint32_t	states;		/* bits of the role's own state enum */
	int		(*fn)(void *self, struct chan *c, struct msg *m);
};
int	handle(const struct handler *table, size_t n, uint32_t state,
	    void *self, struct chan *c, struct msg *m);

#endif
