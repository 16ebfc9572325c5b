#include "config.h"

#include "client/engine/node.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/build.h"
#include "common/num.h"
#include "common/rc.h"

/*
 * A node ends behind an item whose id ends in ten zero bits.  Not before it
 * holds some: a file of one chunk repeated would otherwise make levels that
 * never get narrower.
 */
#define MAP_ITEMS_MIN	64
#define MAP_ITEMS_MAX	OBJECT_EDGES_MAX
#define MAP_LEVELS_MAX	12		/* 64^12 chunks */
#define KIND_EDGE	0
#define KIND_HOLE	1

struct map_level {
	struct wbuf	items;
	struct edges	edges;
	uint32_t	count;
	uint64_t	bytes;
	struct extent	last;
	bool		emitted;
};

struct map_builder {
	struct sealer		*sealer;
	node_emit		*emit;
	void			*arg;
	struct wbuf		 plain;
	struct map_level	 level[MAP_LEVELS_MAX];
	size_t			 nlevels;
};

struct map_builder *
map_begin(struct sealer *s, node_emit *emit, void *arg)
{
	struct map_builder *m;

	if ((m = calloc(1, sizeof(*m))) == NULL)
		return NULL;
	m->sealer = s;
	m->emit = emit;
	m->arg = arg;
	wbuf_init(&m->plain, NODE_PLAIN_MAX);
	return m;
}

void
map_free(struct map_builder *m)
{
	size_t i;

	if (m == NULL)
		return;
	for (i = 0; i < m->nlevels; i++) {
		wbuf_free(&m->level[i].items);
		edges_free(&m->level[i].edges);
	}
	wbuf_free(&m->plain);
	free(m);
}

static int
map_finish(struct map_builder *m, size_t at, struct extent *node,
    uint16_t *height)
{
	struct map_level *l = &m->level[at];
	int rc;

	wbuf_reset(&m->plain);
	wbuf_u8(&m->plain, NODE_VERSION);
	wbuf_u8(&m->plain, (uint8_t)at);
	wbuf_u32(&m->plain, l->count);
	wbuf_bytes(&m->plain, l->items.data, l->items.len);
	if ((rc = wbuf_rc(&m->plain)) != RC_OK)
		return rc;
	*height = (uint16_t)(at + 1);
	node->hole = false;
	node->len = l->bytes;
	if ((rc = seal_node_id(m->sealer, OBJECT_MAP, *height, l->edges.id,
	    l->edges.n, m->plain.data, m->plain.len, &node->id)) != RC_OK ||
	    (rc = m->emit(m->arg, &node->id, OBJECT_MAP, *height, l->edges.id,
	    l->edges.n, m->plain.data, m->plain.len)) != RC_OK)
		return rc;
	wbuf_reset(&l->items);
	edges_reset(&l->edges);
	l->count = 0;
	l->bytes = 0;
	l->emitted = true;
	return RC_OK;
}

static int
level_put(struct map_level *l, size_t at, const struct extent *e)
{
	uint16_t index;
	int rc;

	if (at == 0)
		wbuf_u8(&l->items, e->hole ? KIND_HOLE : KIND_EDGE);
	if (!e->hole) {
		if ((rc = edges_add(&l->edges, &e->id, &index)) != RC_OK)
			return rc;
		wbuf_u16(&l->items, index);
	}
	wbuf_u64(&l->items, e->len);
	if (!u64_add(l->bytes, e->len, &l->bytes))
		return RC_LIMIT;
	l->last = *e;
	l->count++;
	return wbuf_rc(&l->items);
}

static bool
level_ends(const struct map_level *l, const struct extent *e)
{
	if (l->count == MAP_ITEMS_MAX)
		return true;
	return l->count >= MAP_ITEMS_MIN && !e->hole &&
	    e->id.b[OBJECT_ID_LEN - 1] == 0 &&
	    (e->id.b[OBJECT_ID_LEN - 2] & 3) == 0;
}

/* Add at one level; what it finishes goes on to the level above. */
static int
map_push(struct map_builder *m, size_t at, const struct extent *e)
{
	struct extent node = *e;
	uint16_t height;
	int rc;

	for (;; at++) {
		if (at == MAP_LEVELS_MAX)
			return RC_LIMIT;
		if (at == m->nlevels) {
			wbuf_init(&m->level[at].items, NODE_PLAIN_MAX);
			m->nlevels++;
		}
		if ((rc = level_put(&m->level[at], at, &node)) != RC_OK)
			return rc;
		if (!level_ends(&m->level[at], &node))
			return RC_OK;
		if ((rc = map_finish(m, at, &node, &height)) != RC_OK)
			return rc;
	}
}

int
map_add(struct map_builder *m, const struct extent *e)
{
	return map_push(m, 0, e);
}

/*
 * What is open at each level is finished, lowest first, until one node is left
 * that holds all.
 */
int
map_end(struct map_builder *m, struct object_id *top, uint16_t *height)
{
	struct extent node = { 0 };
	struct map_level *l;
	size_t at;
	int rc;

	for (at = 0; at < m->nlevels; at++) {
		l = &m->level[at];
		if (l->count == 0)		/* its last node was cut */
			continue;
		if (at > 0 && at + 1 == m->nlevels && l->count == 1 &&
		    !l->emitted) {		/* a lone child is the top */
			*top = l->last.id;
			*height = (uint16_t)at;
			return RC_OK;
		}
		if ((rc = map_finish(m, at, &node, height)) != RC_OK)
			return rc;
		if (at + 1 == m->nlevels) {
			*top = node.id;
			return RC_OK;
		}
		if ((rc = map_push(m, at + 1, &node)) != RC_OK)
			return rc;
	}
	return RC_STATE;
}

struct map_each {
	int	(*extent)(void *arg, const struct extent *e);
	int	(*child)(void *arg, const struct object_id *id, uint64_t bytes);
	void	*arg;
};

static int
read_item(struct rbuf *in, uint8_t level, struct edge_view *edges,
    const struct map_each *each)
{
	uint8_t kind = KIND_EDGE;
	struct extent e = { 0 };
	int rc;

	if ((level == 0 && rbuf_u8(in, &kind) != RC_OK) || kind > KIND_HOLE)
		return RC_CORRUPT;
	e.hole = kind == KIND_HOLE;
	if (!e.hole && (rc = edge_read(in, edges, &e.id)) != RC_OK)
		return RC_CORRUPT;
	if (rbuf_u64(in, &e.len) != RC_OK || e.len == 0)
		return RC_CORRUPT;
	if (level == 0)
		return each->extent(each->arg, &e);
	return each->child(each->arg, &e.id, e.len);
}

int
map_read(const uint8_t *plain, size_t len, const struct object_id *edges,
    uint16_t nedges, int (*extent)(void *arg, const struct extent *e),
    int (*child)(void *arg, const struct object_id *id, uint64_t bytes),
    void *arg)
{
	const struct map_each each = { extent, child, arg };
	struct edge_view view = { edges, nedges, 0 };
	uint8_t version, level;
	uint32_t count, i;
	struct rbuf in;
	int rc;

	rbuf_init(&in, plain, len);
	if (rbuf_u8(&in, &version) != RC_OK)
		return RC_CORRUPT;
	if (version != NODE_VERSION)
		return RC_UNSUPPORTED;
	if (rbuf_u8(&in, &level) != RC_OK || level >= MAP_LEVELS_MAX ||
	    rbuf_u32(&in, &count) != RC_OK || count == 0 ||
	    count > MAP_ITEMS_MAX)
		return RC_CORRUPT;
	for (i = 0; i < count; i++)
		if ((rc = read_item(&in, level, &view, &each)) != RC_OK)
			return rc;
	return rbuf_end(&in) == RC_OK && view.used == nedges ? RC_OK :
	    RC_CORRUPT;
}
