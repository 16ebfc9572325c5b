#ifndef CLIENT_ENGINE_BACKUP_PRIV_H
#define CLIENT_ENGINE_BACKUP_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/engine/cache.h"
#include "client/engine/chunker.h"
#include "client/engine/engine.h"
#include "client/engine/fids.h"
#include "client/engine/node.h"
#include "client/engine/owners.h"
#include "client/engine/pool.h"
#include "client/engine/seal.h"
#include "client/engine/walk.h"

/*
 * One backup run, inside.  Threads:
 *
 *	main	owns the remote and the command's channel: asks, puts, commits
 *	        (backup.c, backup_round.c)
 *	walker	one job for the whole walk (backup_walk.c): compares with the
 *	        stat cache, makes an item of what changed, groups small files
 *	others	read and hash (backup_small.c, backup_large.c), seal (backup_obj.c)
 *
 * Locks, in the order in which they are taken: order (bundles are filled in the
 * order of the walk), tree (items, directories, cache), then the small ones.
 */
#define RUN_BUDGET	(40u << 20)	/* bytes in buffers, all stages */
#define RUN_ASKED	(24u << 20)	/* of them waiting for HAVE's answers */
#define RUN_SEEN	65536		/* ids, a power of 2 */
#define RUN_LARGE	3		/* large files read at once */
#define RUN_LARGE_QUEUE	64
#define RUN_BATCHES	64		/* a power of 2 */
#define BATCH_FILES	128
#define BATCH_BYTES	(512u << 10)
#define RACY_NS		2000000000ll
#define RACY_AHEAD_NS	(86400ll * 1000000000)	/* a run takes no longer */

struct run;

/* Counted memory with several users. */
struct buf {
	struct run	*r;
	atomic_uint	 refs;
	size_t		 size;
	uint8_t		 data[];
};

/* A directory being put together. */
struct dirstate {
	struct dirstate		*newer, *older;	/* all of them, for the clean-up */
	struct dirstate		*parent;
	struct item		*self;		/* its entry there; NULL: `/` */
	struct run		*r;
	struct item		*head, **tail;	/* entries not yet in the node */
	bool			 listed;	/* all entries are known */
	bool			 same;		/* so far as last time */
	uint64_t		 nsame, old_count;
	struct cache_dir	*old;
	struct cache_at		 old_at;
	struct dir_builder	*builder;
	struct cache_out	*out;
	/* the walker's place in `old` */
	struct cache_entry	 cur;
	bool			 cur_there, old_end;
	uint64_t		 cur_index;
};

/* One name on its way into its directory. */
struct item {
	struct item		*next;
	struct dirstate		*dir;
	struct walk_dir		*wd;		/* held while it must be read */
	struct cache_entry	 c;
	uint64_t		 index;		/* in the old directory */
	bool			 hit;		/* and equal to what is there */
	bool			 ready, gone;
	uint8_t			*own, *xattrs;	/* what c points to */
	size_t			 data_off;	/* small files: in the batch */
	uint8_t			 fid[32];
	char			 name[];
};

struct obj {
	struct pool_job		 job;
	struct obj		*next;
	struct run		*r;
	uint8_t			 type;
	uint16_t		 height, nedges;
	struct object_id	 id;
	struct object_id	*edges;
	struct buf		*buf;		/* NULL: only asked about */
	const uint8_t		*plain;
	size_t			 len;
	struct buf		*sealed;
	size_t			 sealed_len;
};

struct obj_queue {
	struct obj	*head, **tail;
	size_t		 n, bytes;
};

struct counts {
	atomic_ullong	files, dirs, bytes, new_bytes, stored_bytes, skipped;
};

struct run {
	struct engine		*e;
	const struct backup_opt	*o;
	const struct keys	*k;
	struct remote		*remote;
	int			 wake_fd;
	atomic_int		 rc;		/* the first failure */
	atomic_bool		 woken;
	int64_t			 start_ns;
	uid_t			 euid;
	struct owners_table	*owners;
	struct chunker		 chunker;
	struct sealer		*sealer[POOL_THREADS_MAX + 1];
	bool			 ask;		/* the vault is not empty */
	bool			 probe_missing;	/* a bundle we relied on is gone */
	size_t			 npaths_found;

	/* cache */
	char			 cache_name[48];
	struct cache_key	 cache_key;
	struct cache		*old;
	bool			 reuse;		/* whole directories too */
	struct cache_writer	*writer;
	bool			 cache_bad;

	/* objects */
	pthread_mutex_t		 qlock;
	struct obj_queue	 asks, sends;
	atomic_size_t		 budget, asked;
	atomic_int		 live;		/* objects not done */
	atomic_int		 jobs;		/* jobs not done, the walker too */
	pthread_mutex_t		 seen_lock;
	struct object_id	*seen;

	/* bundles, in order */
	pthread_mutex_t		 order;
	struct batch		*ring[RUN_BATCHES];
	uint64_t		 next_batch, batches;	/* assembled, started */
	atomic_int		 queued_batches;
	struct bundle		*open;
	struct fids		*fids;
	bool			 no_more;	/* the walker is at its end */
	struct batch		*filling;	/* the walker's */

	/* large files */
	pthread_mutex_t		 large_lock;
	pthread_mutex_t		 inline_lock;	/* one more, out of a batch */
	struct large		*large_head, **large_tail;
	int			 large_running;
	atomic_int		 large_waiting;

	/* tree */
	pthread_mutex_t		 tree;
	struct sealer		*tree_sealer;
	struct dirstate		*emitting;
	struct dir_builder	*builders[32];
	size_t			 nbuilders;
	struct dirstate		*newest;
	struct object_id	 root_id;
	struct cache_at		 root_at;
	bool			 root_same;
	atomic_bool		 root_done;

	/* walker */
	struct pool_job		 walk_job;
	struct mac		*link_mac;
	dev_t			*fs;
	size_t			 nfs;

	struct counts		 n;
	uint64_t		 base_files, base_bytes;	/* 0: no base */
	atomic_bool		 where_wanted;	/* main asks, the walker tells */
	pthread_mutex_t		 where_lock;
	char			 where[4096];
	pthread_mutex_t		 report_lock;
	struct wbuf		 report;
	uint32_t		 reported;
};

/* backup_round.c */
int	round_run(struct run *r);	/* RC_MISSING: again, from the files */
void	run_fail(struct run *r, int rc);
bool	run_failed(const struct run *r);
void	run_wake(struct run *r);
void	run_job(struct run *r, enum pool_lane lane, struct pool_job *j,
	    void (*fn)(struct pool_job *j));
void	run_job_done(struct run *r);
struct sealer *run_sealer(struct run *r);
void	run_skip(struct run *r, const struct walk_dir *d, const char *name,
	    const char *reason);
void	run_note(struct run *r, const struct walk_dir *d, const char *name,
	    const char *text);

/* backup_obj.c */
struct buf *buf_new(struct run *r, size_t size);	/* NULL: failed */
struct buf *buf_ref(struct buf *b);
void	buf_drop(struct buf *b);
/* Wait until there is room, helping. */
void	budget_wait(struct run *r);
struct obj *obj_new(struct run *r, uint8_t type, uint16_t height,
	    const struct object_id *id);
/* inline_ok: the caller is a job and holds no lock, so seal here and now. */
void	obj_submit(struct obj *o, bool ask, bool inline_ok);
void	obj_seal(struct obj *o);
void	obj_free(struct obj *o);
/* Rely on something the vault should have: ask, without the content. */
void	obj_probe(struct run *r, const struct object_id *id);
/* A chunk that is small and copied. */
int	obj_chunk(struct run *r, const void *p, size_t n,
	    struct object_id *id);
void	queue_init(struct obj_queue *q);

/* backup_tree.c */
struct dirstate *dirstate_new(struct run *r, struct dirstate *parent,
	    struct item *self);
struct item *item_new(struct dirstate *d, const char *name);
void	item_free(struct item *it);
void	item_copy(struct item *it, const struct cache_entry *from);
void	item_queue(struct item *it);		/* in walk order */
void	item_ready(struct item *it);		/* may free it */
void	item_gone(struct item *it);
/* The fast path: an entry as last time.  False when an item is needed. */
bool	dirstate_same(struct dirstate *d, uint64_t index);
void	dirstate_listed(struct dirstate *d);
void	tree_clear(struct run *r);
int	tree_emit(void *arg, const struct object_id *id, uint8_t type,
	    uint16_t height, const struct object_id *edges, uint16_t nedges,
	    const void *plain, size_t len);

/* backup_walk.c */
void	walk_start(struct run *r);
void	meta_from_stat(struct run *r, struct item *it, const struct stat *st);
bool	meta_is_stat(const struct cache_entry *c, const struct stat *st);

/* backup_small.c */
int	small_add(struct run *r, struct item *it);	/* the walker */
int	small_flush(struct run *r);
void	small_end(struct run *r);
void	small_clear(struct run *r);
int	open_file(const struct item *it, int *fd);
void	item_xattrs(struct run *r, struct item *it, int fd);

/* backup_large.c */
int	large_add(struct run *r, struct item *it);
/* Read it in this job. */
void	large_read(struct run *r, struct item *it);
void	large_clear(struct run *r);

#endif
