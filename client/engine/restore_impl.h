#ifndef CLIENT_ENGINE_RESTORE_IMPL_H
#define CLIENT_ENGINE_RESTORE_IMPL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/engine.h"
#include "client/engine/pool.h"
#include "client/engine/seal.h"
#include "client/engine/select.h"
#include "client/engine/target.h"
#include "client/engine/tree.h"

/*
 * A restore, in windows: the main thread reads the tree (tree.h), makes
 * directories and notes which files need which bytes of which objects
 * (restore_plan.c).  When enough is noted it fetches those objects, each once,
 * and the pool's threads open, check and write them (restore_data.c,
 * restore_write.c).  Then links, then the metadata of directories that are
 * complete (restore_end.c).  So memory follows the window, not the tree.
 */
#define WINDOW_SIZE	32768u		/* files, and pieces of objects */
#define GET_MAX		256u		/* data objects on their way */
#define QUEUE_BYTES	(64u << 20)	/* received, not yet written */
#define LINKS_MAX	(1u << 20)	/* groups of hard links remembered */

struct restore;

/* A directory: kept until it is complete and nobody points to it. */
struct rdir {
	struct tdir	 t;		/* first: tdir_open() takes it */
	struct rdir	*up;
	unsigned	 refs;
	struct entry	*e;		/* its metadata; NULL: leave it alone */
	bool		 fresh;		/* made by this run: nothing is in it */
	struct rdir	*next;		/* complete, to be finished */
};

enum rfile_todo {
	FILE_WRITE,
	FILE_META,			/* content is there, the rest differs */
};

struct rfile {
	struct rfile	*next;
	struct pool_job	 job;		/* for files without objects */
	struct restore	*x;
	struct rdir	*dir;
	struct entry	*e;
	struct rlink	*link;		/* it is the first of a group */
	enum rfile_todo	 todo;
	bool		 whole;		/* one piece has all of its bytes */
	char		*tmp;		/* temporary name of one in pieces */
	struct stat	 made;		/* and which file that is */
	atomic_uint	 left;		/* pieces, and one while planning */
	atomic_int	 rc;		/* first failure */
	atomic_uint	 lost;		/* META_* */
	atomic_int	 err;		/* errno of the first failure, or 0 */
	atomic_bool	 done;
};

/* Bytes [at, at + len) of an object are bytes from `off` on of a file. */
struct piece {
	struct piece	*next;
	struct rfile	*f;
	uint64_t	 off;
	uint32_t	 at, len;
	bool		 bundled;	/* check its content id */
};

/* A data object of the window. */
struct robj {
	struct robj	*hash_next, *next;
	struct pool_job	 job;
	struct restore	*x;
	struct object_id id;
	struct piece	*first, **last;
	uint32_t	 request;
	uint8_t		 copy;
	bool		 no_more;	/* there is no copy behind it */
	bool		 asked;
	atomic_int	 rc;		/* RC_AGAIN until it was handled */
	uint8_t		*wire;
	size_t		 len;
};
#define OBJ_BUCKETS	16384u

/* Hard links: the group, and its members after the first. */
struct rlink {
	struct rlink	*next;		/* in its bucket */
	uint64_t	 id;
	struct rdir	*dir;
	char		*name;
	struct rfile	*f;		/* first member, while in this window */
	bool		 failed;
};
struct rlink_todo {
	struct rlink_todo *next;
	struct rlink	*link;
	struct rdir	*dir;
	struct entry	*e;
};
#define LINK_BUCKETS	4096u

/* What one thread needs. */
struct rworker {
	struct sealer		*sealer;
	struct tdir_cache	 dirs;
	uint8_t			*plain, *again;
};

struct restore {
	struct engine		*e;
	const struct restore_opt *o;
	struct remote		*r;
	struct sealer		*sealer;
	struct tree		*tree;
	struct target		 target;
	const char		*prefix;	/* snapshot path of the target */
	struct rworker		*worker;	/* pool_threads() + 1 */
	struct rworker		*own;		/* the main thread's */

	size_t			 window;
	uint64_t		 next_dir;
	struct rdir		*complete, **complete_end;
	struct rfile		*files;
	size_t			 nfiles, npieces;
	struct robj		**bucket;	/* of objs */
	struct robj		*objs, **objs_end;
	struct rlink		**links;
	size_t			 nlinks;
	struct rlink_todo	*todo, **todo_end;
	uint8_t			*xattrs;	/* room for a large set */

	bool			 again;		/* plan_again() was called */
	size_t			 inflight;	/* data objects asked for */
	atomic_size_t		 queued;	/* bytes with the pool */
	atomic_size_t		 jobs;
	atomic_int		 fatal;		/* RC_*: no use to go on */
	atomic_int		 fatal_errno;
	atomic_ullong		 nbytes, ndone;
	uint64_t		 total_files, total_bytes;
	uint64_t		 same, kept, skipped, damaged, unowned, fetched;
	uint64_t		 dirs_done, started_ms;
};

/* For tests: many windows in a small tree. */
void	restore_window_size(size_t n);

/* restore_plan.c */
extern const struct tree_ops restore_ops;
int	plan_entry(struct restore *x, struct rdir *dir, const struct entry *e);
int	plan_again(struct restore *x, struct rdir *dir, struct entry *e);
struct rdir *rdir_new(struct restore *x, struct rdir *up,
	    const struct entry *e);
void	rdir_put(struct rdir *d);

/* restore_data.c: fetch and write what is planned, then the rest of a window */
int	window_run(struct restore *x);
bool	window_full(const struct restore *x);
bool	window_empty(const struct restore *x);
int	window_object(struct restore *x, uint32_t request,
	    const struct object_id *id, const uint8_t *wire, size_t len);
int	window_add_piece(struct restore *x, const struct object_id *id,
	    struct rfile *f, uint64_t off, uint32_t at, uint32_t len,
	    bool bundled);
void	window_free(struct restore *x);
void	window_submit(struct restore *x, struct pool_job *j, size_t bytes);
void	window_job_done(struct restore *x, size_t bytes);

/* restore_write.c: in any thread */
void	write_object(struct pool_job *j);
void	write_plain_file(struct pool_job *j);
struct rworker *worker_self(struct restore *x);
int	file_begin(struct restore *x, struct rfile *f);
void	file_piece_done(struct rworker *w, struct rfile *f);
void	file_fail(struct rfile *f, int rc, int err);
/* Whether a file that is there may get this entry's owner and mode. */
bool	may_be_given(const struct entry *e, const struct stat *st);
/* RC_OK when the existing file holds exactly this content. */
int	file_compare(struct rworker *w, int dirfd, const struct entry *e);

/* restore_end.c */
int	end_links(struct restore *x);
int	end_dirs(struct restore *x);
int	end_files(struct restore *x);
void	end_discard(struct restore *x);	/* of a restore that stopped */

/* restore_report.c */
void	rdir_path(const struct restore *x, const struct rdir *dir,
	    const struct entry *e, struct wbuf *out);
int	report_skipped(struct restore *x, const struct rdir *dir,
	    const struct entry *e, const char *reason);
int	report_damage(struct restore *x, const struct object_id *id,
	    bool missing, const struct wbuf *paths, uint16_t npaths,
	    const char *what);
/* META_* bits of one file: counted, or told. */
int	report_lost(struct restore *x, const struct rdir *dir,
	    const struct entry *e, unsigned lost);
void	entry_meta(const struct entry *e, struct meta *m);
int	report_warning(struct restore *x, const char *text);
int	report_progress(struct restore *x);

#endif
