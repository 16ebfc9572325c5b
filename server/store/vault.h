#ifndef STORE_VAULT_H
#define STORE_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/object.h"
#include "common/proto.h"
#include "common/snapshot.h"
#include "server/store/ident.h"
#include "server/store/index.h"
#include "server/store/packs.h"
#include "server/store/state.h"

/*
 * A vault: everything that store promises, without processes.  One thread uses
 * it; only the descriptors of a sync under way are lent to others.
 */
#define VAULT_RUNS_MAX		32
#define VAULT_PENDING_MAX	65536	/* nodes before their edges, a run */
#define VAULT_SYNC_BYTES	(256u << 20)
#define VAULT_SYNC_MS		10000
#define VAULT_SPACE_EVERY	(8u << 20)

/* Sign a receipt: text is snapshot_receipt_text() (keyd makes it itself from
 * id and server part). */
typedef int vault_sign(void *arg, const struct object_id *id,
	    const struct snapshot_server *server, uint8_t sig[64]);

struct vault_opt {
	uint8_t		 vault[16], instance[16], client[16];
	uint8_t		 client_key[32];
	char		 name[VAULT_NAME_LEN];
	uint64_t	 lock_seconds;
	uint64_t	 reserve;		/* bytes left to others */
	uint64_t	 pack_target;		/* 0: PACK_TARGET */
	vault_sign	*sign;
	void		*arg;
	/* NULL: the system's clocks */
	int		(*now)(void *arg, int64_t *wall_ns, uint64_t *boot);
};

/* A client's right to this vault. */
struct grant {
	uint8_t		client[16];
	uint8_t		key[32];
	uint32_t	rights;
	char		name[VAULT_NAME_LEN + 1];
};

struct pending {
	struct ixent	 e;		/* without closure */
};

struct run {
	struct run	*next;
	uint8_t		 id[16], job[16], client[16];
	uint32_t	 number;
	uint16_t	 writer;
	struct object_id base;
	bool		 has_base;
	struct index	*nodes;		/* of this run; nobody else sees them */
	char		 prefix[24];
	struct pending	*pending;
	size_t		 npending, pending_room;
	bool		 has_node;
	struct ixmark	 first_node;
	uint64_t	 objects, new_bytes;
	bool		 committing;	/* its snapshot is being synced */
	int		 failed;	/* RC_*: something of it was lost */
	int		 pins;		/* descriptor of its file */
	uint64_t	 pins_size;
	uint8_t		 pin_buf[4096];
	size_t		 pin_n;
	struct {			/* for the catalog, see tell.h */
		int64_t		started;
		uint64_t	objects, bytes;	/* PUT */
		uint64_t	at_ms;
		bool		news, left;
	}		 told;
	void		*owner;		/* the session that has it now */
	uint64_t	 lost_ms;	/* when it lost it */
};

struct vault {
	int		 dir, packs_dir, journal_dir, index_dir, runs_dir;
	int		 lock;
	struct ident	 id;
	struct vault_opt opt;
	struct packs	*packs;
	struct journal	*journal;
	struct index	*index;
	struct state	 state;
	struct run	*runs;
	unsigned	 nruns;
	uint32_t	 next_run;
	bool		 readonly;
	const char	*why;		/* it is read-only */
	bool		 degraded;	/* recovery found damage; see the log */
	bool		 recovering;
	uint64_t	 space_used;	/* since the disk was last asked */
	uint64_t	 space_left;
	uint64_t	 dirty_ms;	/* oldest unsynced write; 0 none */
	uint8_t		*obj;		/* one record, for reading */
	size_t		 obj_room;
};

/*
 * Make `dir`/name anew: directories, first segment, then the identity file,
 * whose name is the last to appear.  RC_EXISTS when there is one.
 */
int	vault_create(int dirfd, const struct vault_opt *o);
/*
 * Open in dirfd (taken also on failure) and recover.  RC_UNMOUNTED: no identity
 * file, or another vault's; RC_BUSY: somebody has it, who is told in `holder`;
 * RC_UNSUPPORTED: feature bits, told in `holder` too.
 */
int	vault_open(struct vault **v, int dirfd, const struct vault_opt *o,
	    char *holder, size_t size);
/* Flush, sync, write the index, unlock.  What is not committed is forgotten. */
void	vault_close(struct vault *v);

/* Timed work: syncs by age, a merge step.  RC_AGAIN: call again soon. */
int	vault_tick(struct vault *v, uint64_t now_ms);
/* Only the merge step of it. */
int	vault_merge(struct vault *v);
int	vault_sync(struct vault *v);
uint64_t vault_clock(const struct vault *v);
int	vault_time(const struct vault *v, int64_t *wall_ns, uint64_t *boot);
/* Append to the journal and sync. */
int	vault_note(struct vault *v, uint16_t kind, const struct wbuf *body,
	    struct journal_pos *pos, uint64_t *seq);
void	vault_fail_runs(struct vault *v, int rc);
void	vault_set_readonly(struct vault *v, const char *why);

/* --- runs (runs.c) --- */
struct run *run_find(struct vault *v, const uint8_t id[16]);
/* RC_BUSY: too many; RC_STATE: another client's id. */
int	run_begin(struct vault *v, const struct grant *g,
	    const struct run_begin *b, struct run **out, bool *resumed);
void	run_end(struct vault *v, struct run *r);
int	run_pin(struct vault *v, struct run *r, const struct object_id *id);
/* Unlink what an earlier process left in runs/. */
int	runs_tidy(struct vault *v);

/* --- objects (objects.c) --- */
/* One object of a run.  RC_OK also when the vault had it. */
int	vault_put(struct vault *v, struct run *r, const uint8_t *wire,
	    size_t len);
enum have vault_have(struct vault *v, struct run *r,
	    const struct object_id *id);
/* Index look-up that mends a bad index.  run may be NULL. */
int	vault_find(struct vault *v, const struct run *r,
	    const struct object_id *id, unsigned copy, struct ixent *e);
/*
 * The object's wire bytes (valid until the next read).  A record whose bytes
 * are damaged is passed over for an older one.  RC_NOENT; RC_CRC: all are bad.
 */
int	vault_get(struct vault *v, const struct object_id *id, unsigned copy,
	    const uint8_t **wire, size_t *len);
int	vault_read(struct vault *v, const struct ixent *e,
	    const uint8_t **wire, size_t *len);
int	vault_bad(struct vault *v, const struct object_id *id, unsigned copy);
/* Add to the index (a run's nodes: to the run's). */
int	vault_admit(struct vault *v, struct run *r, const struct ixent *e);
int	vault_flush_index(struct vault *v);
int	vault_space(struct vault *v, uint64_t bytes);
enum pack_kind kind_of(uint8_t type);

/* --- graph (graph.c) --- */
/* vault_find() for completeness: a node that lacks an edge is not there. */
int	graph_find(struct vault *v, const struct run *r,
	    const struct object_id *id, struct ixent *e);
/*
 * Are all edges there, and lower?  RC_OK with the closure; RC_MISSING (up to
 * *n ids in `missing`, which may be NULL); RC_RANGE: a height does not fall.
 */
int	graph_resolve(struct vault *v, const struct run *r, uint16_t height,
	    const uint8_t *edges, size_t nedges, uint32_t len,
	    uint64_t *bytes, uint64_t *objects, struct object_id *missing,
	    size_t room, size_t *n);
/* The pending nodes, lowest first; missing may be NULL: all are tried. */
int	graph_settle(struct vault *v, struct run *r, struct object_id *missing,
	    size_t room, size_t *n);

/* --- commit (commit.c) --- */
struct commit {
	struct run		*run;
	const struct grant	*grant;
	struct object_id	 id;
	uint8_t			 job[16];
	uint64_t		 sequence;
	uint8_t			*client;	/* client part, own copy */
	size_t			 client_len;
	struct snapshot_server	 server;
	struct object_id	*missing;	/* PROTO_IDS_MAX */
	size_t			 nmissing;
	uint8_t			*record;	/* for its second copy */
	size_t			 record_len;
};
void	commit_clear(struct commit *c);
/*
 * Step 2.  RC_EXISTS: the vault has it, c->server is what was answered;
 * RC_MISSING with c->missing; RC_OLDER: sequence or previous hash; RC_AUTH,
 * RC_CRYPTO: not this client's; others.  run may be NULL.
 */
int	commit_check(struct vault *v, struct run *r, const struct grant *g,
	    const uint8_t *client, size_t len, struct commit *c);
/* Steps 4 and 5 without the sync.  The packs are synced. */
int	commit_write(struct vault *v, struct commit *c);
/* Step 6, after the journal is durable: admits the nodes, ends the run. */
int	commit_finish(struct vault *v, struct commit *c);
/* The second copy, after the answer. */
int	commit_copy(struct vault *v, struct commit *c);
/* The whole of it, with syncs in this thread. */
int	vault_commit(struct vault *v, struct run *r, const struct grant *g,
	    const uint8_t *client, size_t len, struct commit *c);

/* --- records (keys.c) --- */
int	vault_record_add(struct vault *v, const struct grant *g, uint8_t kind,
	    const void *body, size_t len, uint64_t *seq);
/* The next key record of this kind (0: any) after `after`; caller frees raw. */
int	vault_record_next(struct vault *v, uint8_t kind, uint64_t after,
	    struct record *r, uint8_t **raw);
/* The next snapshot behind vault sequence `after`; job all zeros: any. */
int	vault_snapshot_next(struct vault *v, const uint8_t job[16],
	    uint64_t after, struct listed *l, uint8_t **raw);

/* --- recovery (recover.c) --- */
int	vault_recover(struct vault *v, uint64_t torn);
int	vault_rebuild_index(struct vault *v);

#endif
