#ifndef CLIENT_ENGINE_TREE_H
#define CLIENT_ENGINE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/node.h"
#include "client/engine/remote.h"
#include "client/engine/seal.h"

/*
 * Reading a tree out of the vault: nodes are fetched by GET, ahead of need and
 * many at once, opened, checked (tag, id, heights that fall) and handed out in
 * preorder.  Memory is bounded by the depth and what is fetched ahead, not by
 * the size of the tree.  Several roots may be pushed.
 *
 * Why GET and not WALK: identical directories share one node, so one occurrence
 * in a walk can stand for several places; here each place is visited.
 */
struct tree;

struct tree_ops {
	void	*arg;
	/* One entry of directory `dir`.  To go into a directory or a map the
	 * callback pushes it. */
	int	(*entry)(void *arg, void *dir, const struct entry *e);
	/* All of a pushed directory, or map, was handed out; or tree_free()
	 * comes before that.  Always once for each push that succeeded. */
	int	(*leave)(void *arg, void *ctx, bool is_map);
	/* One extent of map `file`, from offset on. */
	int	(*extent)(void *arg, void *file, uint64_t offset,
		    const struct extent *x);
	/* A node below ctx cannot be had (missing) or is damaged; reading goes
	 * on behind it.  A non-zero return ends it. */
	int	(*bad)(void *arg, void *ctx, bool is_map,
		    const struct object_id *id, bool missing);
	/* NULL, or: true leaves this node out (known already). */
	bool	(*skip)(void *arg, const struct object_id *id);
	/* NULL, or: this node was opened and is right. */
	int	(*seen)(void *arg, const struct object_id *id);
	/* NULL, or: this node was opened, but newer records of it cannot be.
	 * Comes before `seen`. */
	int	(*copy)(void *arg, const struct object_id *id);
};

struct tree *tree_new(struct remote *r, struct sealer *s,
	    const struct tree_ops *ops);
void	tree_free(struct tree *t);

/* height 0: not known (a root). */
int	tree_push_dir(struct tree *t, const struct object_id *id,
	    uint16_t height, void *ctx);
int	tree_push_map(struct tree *t, const struct object_id *id,
	    uint16_t height, uint64_t size, void *ctx);

/* Handle the next node; RC_EOF when nothing is left. */
int	tree_step(struct tree *t);
bool	tree_empty(const struct tree *t);

/* To be called from remote's `object` callback: true when the tree had asked
 * for it.  rc is what the callback has to return then. */
bool	tree_object(struct tree *t, uint32_t request,
	    const struct object_id *id, const uint8_t *wire, size_t len,
	    int *rc);

/*
 * Fetch and open one object now, whichever copy of it opens: plain text into out
 * (room OBJECT_RAW_MAX).  type 0: any node.  RC_MISSING, RC_CORRUPT; edges, if not NULL, has room for OBJECT_EDGES_MAX.
 */
struct fetched {
	uint8_t		 type;
	uint16_t	 height, nedges;
	size_t		 len;
};
int	tree_fetch(struct tree *t, const struct object_id *id, uint8_t type,
	    struct fetched *f, struct object_id *edges, uint8_t *out);

/*
 * Find a path ("/a/b", "" or "/" for the root itself) below a root.  RC_NOENT.
 * *found is a copy, caller frees; NULL for the root.
 */
int	tree_lookup(struct tree *t, const struct object_id *root,
	    const char *path, struct entry **found);

/* One allocation with everything the entry points to; free() it. */
struct entry *entry_copy(const struct entry *e);

#endif
