#ifndef SERVER_CATALOG_AUDIT_H
#define SERVER_CATALOG_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/rbuf.h"
#include "common/wbuf.h"

/*
 * The hash-chained log of changes: hash = SHA-256(hash before | number u64 | at
 * i64 | who str | from str | act str | object str | rc u8 | detail str); the
 * first one chains from 32 zero bytes.  Whoever changes, removes or inserts an
 * entry has to make all later ones anew, and the head that was written to the
 * system's log every 100 entries does not fit any more.
 */
#define AUDIT_SHORT_MAX		127
#define AUDIT_DETAIL_MAX	511
#define AUDIT_HEAD_EVERY	100
#define AUDIT_SLICE		5000	/* entries verified without a pause */

struct audit_entry {
	uint64_t	number;		/* set by audit_add() */
	int64_t		at;
	char		who[AUDIT_SHORT_MAX + 1], from[AUDIT_SHORT_MAX + 1];
	char		act[AUDIT_SHORT_MAX + 1], object[AUDIT_SHORT_MAX + 1];
	uint8_t		rc;		/* -RC_* */
	char		detail[AUDIT_DETAIL_MAX + 1];
	uint8_t		hash[SHA256_LEN];
};

struct catalog;

/* At the start: where the chain ends. */
int	audit_load(struct catalog *c);
/* Body of MSG_AUDIT: text that is too long is cut, not refused. */
int	audit_get(struct rbuf *in, struct audit_entry *e);
/* Appends at c->now; on disk once cat_commit() returns. */
int	audit_add(struct catalog *c, struct audit_entry *e);
void	audit_log_head(const struct catalog *c);

/* Walks the chain, at most AUDIT_SLICE entries a call: RC_AGAIN, RC_OK when all
 * of it was seen (v->bad is then the answer). */
struct audit_walk {
	uint64_t	entries;	/* seen so far */
	uint64_t	bad;		/* number of the first bad one; 0 none */
	uint8_t		head[SHA256_LEN];
};
int	audit_verify(struct catalog *c, struct audit_walk *v);

#endif
