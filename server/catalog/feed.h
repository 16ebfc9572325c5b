#ifndef SERVER_CATALOG_FEED_H
#define SERVER_CATALOG_FEED_H

#include <stddef.h>
#include <stdint.h>

#include "common/object.h"
#include "common/rbuf.h"
#include "common/snapshot.h"
#include "common/wbuf.h"

/*
 * What a vault's store tells the catalog.  Which vault it speaks of is a
 * property of the channel (CATALOG_ADD), not of the message.  Nothing here is
 * needed for a backup: a full channel loses the message, and the catalog asks
 * again with CAT_ASK.  Times are Unix seconds unless _ns.
 */

/* CAT_RUN: a run began, goes on, or ended.  The server's own view. */
enum feed_run_state {
	FEED_RUN_BEGUN = 1,
	FEED_RUN_GOING,		/* at most one in 2 s */
	FEED_RUN_COMMITTED,	/* a CAT_SNAPSHOT with the same run follows */
	FEED_RUN_LEFT,		/* its connection ended without a commit */
	FEED_RUN_STATE_MAX
};
struct feed_run {
	uint8_t		run[16], client[16], job[16];
	uint8_t		state;		/* enum feed_run_state */
	int64_t		started, now;
	uint64_t	objects;	/* PUT so far */
	uint64_t	received;	/* bytes of PUT payloads */
};
void	feed_run_put(struct wbuf *out, const struct feed_run *f);
int	feed_run_get(struct rbuf *in, struct feed_run *f);

/* CAT_SNAPSHOT: one that is in the vault. */
struct feed_snapshot {
	struct object_id id;
	uint8_t		run[16];	/* zeros: not known any more */
	uint8_t		client[16], job[16];
	char		label[SNAPSHOT_LABEL_MAX + 1];
	uint16_t	flags;		/* SNAPSHOT_F_* */
	uint64_t	vault_seq;
	int64_t		started;	/* 0: not known any more */
	int64_t		wall_ns;	/* receipt time */
	uint64_t	lock_until;	/* vault clock */
	uint64_t	closure_bytes, closure_objects, new_bytes;
};
void	feed_snapshot_put(struct wbuf *out, const struct feed_snapshot *f);
int	feed_snapshot_get(struct rbuf *in, struct feed_snapshot *f);

/* CAT_REPORT: what the client itself says of its run (frame REPORT); kept apart
 * from what the server saw, since nothing proves it.  run 16, client 16, then
 * struct report of common/proto.h as report_put() writes it. */

/* CAT_SPACE: after a commit and once an hour. */
struct feed_space {
	uint64_t	packs, bytes;	/* of the vault's files */
	uint64_t	objects, snapshots;
	uint64_t	fs_free, fs_total;	/* of the file system */
};
void	feed_space_put(struct wbuf *out, const struct feed_space *f);
int	feed_space_get(struct rbuf *in, struct feed_space *f);

#endif
