#ifndef STORE_WALK_H
#define STORE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/store/vault.h"

/*
 * All objects under a root, in preorder, every occurrence.  What is held is
 * one small entry per level, whose edges are read again when they are needed:
 * a deep or wide tree costs no memory.
 */
struct walk_level {
	uint64_t	pack, off;
	uint16_t	height, edges;
	uint16_t	next;		/* edges taken so far */
};

struct walker {
	struct vault		*v;
	struct object_id	 root;
	uint8_t			 what;
	bool			 begun;
	struct walk_level	*level;
	size_t			 n, room;
};

/* Is what is asked for possible at all? */
bool	walk_possible(const struct walk *req);
/* RC_PROTO: the cursor is none of ours. */
int	walker_init(struct walker *w, struct vault *v, const struct walk *req);
void	walker_free(struct walker *w);
/*
 * The next object: RC_OK (wire bytes valid until the next read), RC_NOENT or
 * RC_CRC with the id of one that is gone, RC_AGAIN: nothing to send yet, call
 * again; RC_EOF.
 */
int	walker_next(struct walker *w, struct object_id *id,
	    const uint8_t **wire, size_t *len);
/* Where it stands.  RC_LIMIT: too deep a place to be told; go on a little. */
int	walker_cursor(const struct walker *w, uint8_t out[PROTO_CURSOR_MAX],
	    size_t *len);

#endif
