#ifndef CLIENT_ENGINE_VERBS_H
#define CLIENT_ENGINE_VERBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/rbuf.h"
#include "common/wbuf.h"

/*
 * ENGINE_DO: what the command asks of the engine.  One layout for all verbs:
 *
 *	version u8, verb u8, flags u32, overwrite u8, percent u8, port u16,
 *	TLS port u16, job str, snapshot str, token str, secret str, path str32,
 *	paths: n u32 then str32 each, excludes: the same, host str, host's
 *	port u16
 *
 * str32 is u32 length and bytes without a NUL.  Paths are absolute, sorted and
 * different from each other; the command made them so, the engine insists.
 */
#define VERBS_VERSION	1
#define VERBS_DO_MAX	131072		/* as in privsep/messages.h */
#define VERBS_LIST_MAX	4096		/* paths, or excludes */

#define VERBS(X)							\
	X(ENROL,	1, "enrol")					\
	X(BACKUP,	2, "backup")					\
	X(SNAPSHOTS,	3, "snapshots")					\
	X(LS,		4, "ls")					\
	X(RESTORE,	5, "restore")					\
	X(CHECK,	6, "check")					\
	X(EXPORT,	7, "key export-recovery")			\
	X(PASSWD,	8, "key passwd")				\
	X(RECOVER,	9, "recover")					\
	X(PAIR,		10, "pair")					\
	X(DOCTOR,	11, "doctor")

enum verb {
	VERB_NONE,
#define X(name, code, text) VERB_##name = (code),
	VERBS(X)
#undef X
	VERB_MAX
};

/* Settings of the command's configuration go with every verb. */
#define VERBS_F_SSL		0x0001	/* SSL.Enabled = 1 */
#define VERBS_F_PLAINTEXT	0x0002	/* Plaintext.Client = 1 */
#define VERBS_F_FORCE		0x0004	/* enrol, recover: over an old state */
#define VERBS_F_CACHES		0x0008	/* --exclude-caches */
#define VERBS_F_ONE_FS		0x0010	/* -x */
#define VERBS_F_DRY_RUN		0x0020
#define VERBS_F_VERIFY		0x0040
#define VERBS_F_RECURSIVE	0x0080	/* ls -R */
#define VERBS_F_PASSPHRASE	0x0100	/* secret is one */
#define VERBS_F_CONTINUE	0x0200	/* enrol, recover: without a token */
#define VERBS_F_ALL		0x03ff

#define VERBS_JOB_MAX		64	/* with the NUL; SNAPSHOT_LABEL_MAX */
#define VERBS_SNAP_MAX		256
#define VERBS_TOKEN_MAX		1024	/* TOKEN_TEXT_MAX */
#define VERBS_SECRET_MAX	1024
#define VERBS_HOST_MAX		256	/* TOKEN_HOST_MAX + 1 */

struct verb_args {
	enum verb	  verb;
	uint32_t	  flags;
	uint8_t		  overwrite;	/* enum overwrite */
	uint8_t		  percent;	/* 0..100 */
	uint16_t	  port, ssl_port;	/* 0: as the token says */
	char		  job[VERBS_JOB_MAX];	/* "" none */
	char		  snap[VERBS_SNAP_MAX];
	char		  token[VERBS_TOKEN_MAX];
	char		  secret[VERBS_SECRET_MAX];
	char		 *path;			/* NULL none */
	char		**paths;
	size_t		  npaths;
	char		**exclude;
	size_t		  nexclude;
	char		  host[VERBS_HOST_MAX];	/* pair: whom to ask */
	uint16_t	  host_port;	/* 0: the usual one */
};

void	verbs_put(struct wbuf *out, const struct verb_args *a);
/* Strict.  On failure a is empty. */
int	verbs_get(struct rbuf *in, struct verb_args *a);
/* Frees and wipes. */
void	verbs_clear(struct verb_args *a);

/* Copies s to the end of a list.  RC_LIMIT, RC_NOMEM. */
int	verbs_list_add(char ***list, size_t *n, const char *s);
const char *verbs_name(enum verb v);		/* "backup"; "?" */

#endif
