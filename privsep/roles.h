#ifndef PRIVSEP_ROLES_H
#define PRIVSEP_ROLES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * One kind of process.  The number is fixed for ever: it is the offset of the
 * role's numeric user id, so no number is used twice.
 */
#define ROLES(X)							\
	X(NONE,		0,  "")						\
	X(MASTER,	1,  "master")					\
	X(LOGGER,	2,  "logger")					\
	X(LISTENER,	3,  "listener")					\
	X(SESSION,	4,  "session")					\
	X(API,		5,  "api")					\
	X(KEYD,		7,  "keyd")					\
	X(AUTH,		8,  "auth")					\
	X(LOGIN,	9,  "login")					\
	X(STORE,	10, "store")					\
	X(CATALOG,	11, "catalog")					\
	X(MCAST,	12, "mcast")					\
	X(SCAN,		13, "scan")					\
	X(DIALER,	14, "dialer")					\
	X(PEER,		15, "peer")					\
	X(CONFPARSE,	16, "confparse")				\
	X(ENGINE,	18, "engine")	/* backup */			\
	X(RESOLVE,	19, "resolve")					\
	X(NET,		20, "net")					\
	X(RESTORER,	21, "restorer")	/* the engine, set up to write below one target */ \
	X(COMMAND,	22, "command")	/* storegrid, storegridctl: the caller's own uid */ \
	X(SEEK,		23, "seek")	/* one-shot: who answers on the links */

enum role {
#define X(name, number, text) ROLE_##name = (number),
	ROLES(X)
#undef X
	ROLE_MAX = 24
};

/* As bits, for the message list. */
#define R(name)	(1u << ROLE_##name)

/* The numeric range used where passwd has no _storegrid-* entries and
 * Users.Base is 0: base + role number. */
#define ROLE_UID_BASE_DEFAULT	75300

/* Channels that logger, keyd, auth and catalog hold, one per process: sessions
 * and stores at their limits (MASTER_WORKERS_MAX), api workers, and the rest. */
#define CHANNELS_MAX	1100

enum role_root {
	ROOT_EMPTY,		/* chroot into the empty directory Run/empty */
	ROOT_OWN,		/* chroot into the directory named in START */
	ROOT_NONE,		/* no chroot (engine: it needs the whole tree) */
};

struct role_info {
	const char		*program;	/* below Paths.Programs; NULL: not spawned */
	const char		*title;		/* PR_SET_NAME, in the log, in ps */
	const char		*user;		/* "_storegrid-session" */
	enum role_root		 root;
	uint32_t		 nofile;	/* RLIMIT_NOFILE, soft and hard */
	uint32_t		 keep_caps;	/* capability bits a role keeps (client roles only); the server's are 0 */
};

/* NULL for a number that is no role. */
const struct role_info *role_info(enum role r);
const char *role_name(enum role r);		/* "session"; "?" */

/* User and group id of a role: passwd's if base is 0 and the entry is there,
 * otherwise (base or the default range) + role number. */
int	role_ids(enum role r, uint32_t base, uid_t *uid, gid_t *gid);
/* RC_CONFIG when a passwd entry lies in the numeric range, with its name in
 * `who` (size bytes). */
int	role_ids_check(uint32_t base, char *who, size_t size);

#endif
