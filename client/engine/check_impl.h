#ifndef CLIENT_ENGINE_CHECK_IMPL_H
#define CLIENT_ENGINE_CHECK_IMPL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/engine.h"
#include "client/engine/idset.h"
#include "client/engine/pool.h"
#include "client/engine/seal.h"
#include "client/engine/select.h"
#include "client/engine/tree.h"

/*
 * A check: first everything once (check_data.c asks for or reads each data
 * object), noting only the ids of what is bad; then, when something is, a second
 * reading of the trees that names the files and snapshots it touches
 * (check_name.c).  So a vault without damage costs no memory for names.
 */
#define CHECK_IDS_MAX	(8u << 20)	/* of each set, 16 bytes an id */
#define CHECK_BAD_MAX	65536u		/* bad objects named one by one */
#define CHECK_WINDOW	1024u		/* objects read together */
#define CHECK_MEMBERS	65536u		/* ... and what files say of them */

/* What one file says about a bundle. */
struct member {
	struct member	*next;
	uint32_t	 at, len;
	uint8_t		 fid[16];
};

/* An object to be read. */
struct cobj {
	struct cobj	*hash_next, *next;
	struct pool_job	 job;
	struct check	*x;
	struct object_id id;
	bool		 bundle, asked;
	bool		 no_more;	/* there is no copy behind it */
	struct member	*members;
	size_t		 nmembers;
	uint32_t	 request;
	uint8_t		 copy;
	uint8_t		*wire;
	size_t		 len;
	atomic_int	 rc;		/* RC_AGAIN: not looked at */
};

struct bad {
	struct object_id id;
	bool		 missing;
	bool		 named;		/* by the second reading */
	struct wbuf	 paths;		/* blob16s of the snapshot at hand */
	uint16_t	 npaths;
};

struct have_batch {
	struct have_batch *next;
	size_t		 n;
	struct object_id id[PROTO_IDS_MAX];
};

struct check {
	struct engine		*e;
	const struct check_opt	*o;
	struct remote		*r;
	struct sealer		*sealer, **sealers;	/* one a thread */
	uint8_t			**plain;		/* one a thread */
	struct tree		*tree;
	struct idset		 nodes, data;
	uint8_t			 sample;	/* added before the percentage */
	bool			 ask_have;

	struct have_batch	*batch, *sent;	/* being filled; unanswered */
	struct cobj		*objs, **objs_end, *bucket[4096];
	size_t			 nobjs, nmembers, inflight;
	atomic_size_t		 jobs, queued;

	struct bad		*bad;
	size_t			 nbad, bad_size;
	uint64_t		 lost;		/* bad ones beyond CHECK_BAD_MAX */
	uint64_t		 findings;	/* events sent */
	uint64_t		 nnodes, ndata, bytes;
	const struct snaplist	*list;
	const struct snap	*snap;		/* being named */
};

int	check_event(struct check *x, const struct object_id *id, uint8_t kind,
	    const char *text, const struct wbuf *paths, uint16_t npaths);
int	check_progress(struct check *x, const char *phase);
int	check_note_bad(struct check *x, const struct object_id *id,
	    bool missing);
/* Whole, but newer records of it do not open. */
int	check_note_copy(struct check *x, const struct object_id *id);
struct bad *check_find_bad(struct check *x, const struct object_id *id);

/* check_data.c */
int	check_have(void *arg, uint64_t cookie, const uint8_t *have, size_t n);
int	check_object(void *arg, uint32_t request, const struct object_id *id,
	    const uint8_t *wire, size_t len);
/* One snapshot's tree and data, without what was seen before. */
int	check_tree(struct check *x, const struct snap *s);
int	check_data_end(struct check *x);
void	check_data_free(struct check *x);

/* check_name.c */
int	check_name(struct check *x, const struct snap *s);
int	check_name_rest(struct check *x);

#endif
