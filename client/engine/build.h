#ifndef CLIENT_ENGINE_BUILD_H
#define CLIENT_ENGINE_BUILD_H

#include "client/engine/node.h"
#include "common/rbuf.h"
#include "common/wbuf.h"

/*
 * Shared by the builders and readers of nodes (leaf.c, interior.c, map.c).
 */
#define NODE_VERSION	1
#define NODE_CUT_SOFT	(2u << 10)	/* from here a name's hash may cut */
#define NODE_CUT_MASK	7u		/* ... where these bits of it are 0 */
#define NODE_CUT_HARD	(256u << 10)
#define NODE_PLAIN_MAX	OBJECT_RAW_MAX

/* The edges of a node under construction: each once, in order of first use. */
struct edges {
	struct object_id	*id;
	uint16_t		 n;
	size_t			 size;
	uint16_t		*slot;	/* open addressing; NULL while few */
};
int	edges_add(struct edges *e, const struct object_id *id, uint16_t *index);
void	edges_reset(struct edges *e);
void	edges_free(struct edges *e);

/* Reading an index: edges must come in order of first use, none left over. */
struct edge_view {
	const struct object_id	*id;
	uint16_t		 n, used;
};
int	edge_read(struct rbuf *in, struct edge_view *e, struct object_id *id);

/* SipHash-2-4 (Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012). */
uint64_t	siphash(const uint8_t key[16], const void *p, size_t n);

/* A piece of a directory above its leaves. */
struct child {
	uint8_t			first[NODE_NAME_MAX];
	size_t			first_len;
	struct object_id	id;
	uint16_t		height;
	uint64_t		entries;
};
struct level {
	struct wbuf	items;
	struct edges	edges;
	struct child	head;		/* entries and height of what it holds */
	uint32_t	count;
	bool		emitted;
};
void	level_init(struct level *l);
void	level_free(struct level *l);
void	level_reset(struct level *l);
/* Must the node end before this child? */
bool	level_full(const struct level *l, const struct child *c,
	    const uint8_t key[16]);
int	level_add(struct level *l, const struct child *c);
/* Serialise, name and emit; *c becomes the finished node. */
int	level_finish(struct level *l, struct sealer *s, node_emit *emit,
	    void *arg, struct wbuf *plain, struct child *c);

#endif
