#ifndef STORE_STATE_H
#define STORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/object.h"
#include "common/snapshot.h"
#include "common/wbuf.h"
#include "server/store/clock.h"
#include "server/store/index.h"
#include "server/store/journal.h"

/*
 * What the journal says, in memory: one small entry per snapshot and key
 * record, whose bytes stay on the disk.  About 120 bytes a snapshot; nothing
 * here grows with the data.
 */
#define STATE_CLIENTS_MAX	1024
#define STATE_DAMAGED_MAX	4096
#define STATE_KEYS_MAX		16384

struct snap {
	struct object_id	 id;
	uint8_t			 job[16];
	uint64_t		 seq;		/* vault sequence */
	uint32_t		 run;
	struct journal_pos	 pos, next;	/* next: in a new segment */
};

struct keyrec {
	uint8_t			 kind;		/* enum record_kind */
	uint64_t		 seq;		/* in the journal */
	struct journal_pos	 pos, next;
};

struct vclient {
	uint8_t			 id[16];
	uint16_t		 writer;
	uint64_t		 last_seq;	/* client sequence */
};

struct vjob {
	uint8_t			 client[16], job[16];
	struct object_id	 newest;
	uint64_t		 job_seq;
};

struct state {
	struct snap	*snap;
	size_t		 nsnap, snap_room;
	struct keyrec	*key;
	size_t		 nkey, key_room;
	struct vclient	*client;
	size_t		 nclient, client_room;
	struct vjob	*job;
	size_t		 njob, job_room;
	struct object_id *damaged;
	size_t		 ndamaged, damaged_room;
	size_t		 move_snap, move_key;
	uint64_t	 vault_seq;		/* of the newest snapshot */
	uint64_t	 durable_seq;		/* of the newest synced */
	uint8_t		 receipt[32];		/* hash of its server part */
	uint32_t	 max_run;
	struct ixmark	 durable[2];		/* packs are synced so far */
	uint64_t	 sealed[2];		/* highest sealed packs */
	uint64_t	 clock_seq;		/* of the newest CLOCK */
	struct vclock	 clock;
};

void	state_free(struct state *s);
/* journal_fn: one record. RC_CORRUPT for a body that is not of its kind. */
int	state_apply(void *arg, const struct jrec *r);
/* For journal_roll(). */
bool	state_keep(void *arg, const struct jrec *r);
int	state_move(void *arg, const struct jrec *r);
void	state_moved(void *arg);

/* Bodies of records. */
struct snapshot_body {
	uint32_t		 run;
	struct ixmark		 durable[2];
	struct snapshot_server	 server;
	const uint8_t		*client;	/* client part */
	size_t			 client_len;
};
void	snapshot_body_put(struct wbuf *out, const struct snapshot_body *b);
int	snapshot_body_get(const uint8_t *p, size_t n, struct snapshot_body *b);
void	seal_body_put(struct wbuf *out, uint8_t kind, uint64_t number,
	    uint64_t size, uint32_t count, const uint8_t sha[32]);
struct seal_body {
	uint8_t		kind;
	uint64_t	number, size;
	uint32_t	count;
	uint8_t		sha[32];
};
int	seal_body_get(const uint8_t *p, size_t n, struct seal_body *b);

const struct snap *state_find(const struct state *s,
	    const struct object_id *id);
struct vclient *state_client(struct state *s, const uint8_t id[16]);
/* NULL: it has no snapshot yet. */
struct vjob *state_find_job(const struct state *s, const uint8_t client[16],
	    const uint8_t job[16]);
enum damaged_reason {
	DAMAGED_HEALED = 0,	/* a whole copy came: forget those before */
	DAMAGED_FOUND = 1,	/* store read it and the crc was wrong */
	DAMAGED_TOLD = 2,	/* a client could not open it */
};
bool	state_damaged(const struct state *s, const struct object_id *id);
void	state_healed(struct state *s, const struct object_id *id);
int	server_hash(const struct snapshot_server *s, uint8_t out[32]);

#endif
