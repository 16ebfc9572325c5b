#ifndef PRIVSEP_DROP_H
#define PRIVSEP_DROP_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Groups, gid, uid, root directory, capabilities to zero, then proof that the
 * old ids stay gone.  Exists once.  `keep` are capability bits that stay
 * permitted and effective (0 for every role of the server; the engine as root
 * keeps what DESIGN section 7 lists; bits we have not got are left out).
 * `before_chroot`, if not NULL, runs after the change of ids with `root` as
 * working directory; the chroot then goes to the working directory it leaves
 * (store makes or finds its vault there).  The bounding set is cut where
 * CAP_SETPCAP is there to do it; a master that dropped it has cut its own before.
 * RC_SANDBOX, with the step that failed in *step.
 */
struct drop {
	uid_t		 uid;
	gid_t		 gid;
	int		 change_ids;
	const char	*root;		/* NULL: no chroot */
	uint64_t	 keep;
	pid_t		 parent;	/* PR_SET_PDEATHSIG, then getppid() must be this; 0: neither */
	int		(*before_chroot)(void *arg);
	void		*arg;
};
int	drop_privileges(const struct drop *d, const char **step);

/* The master's own: only these capabilities stay (permitted, effective,
 * bounding; inheritable and ambient as they must be to reach the roles). */
int	drop_master(uint64_t keep, const char **step);

#define CAP_BIT(c) (1ull << (c))

#endif
