#include "config.h"

#include "client/engine/node.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/build.h"
#include "common/num.h"
#include "common/rc.h"

void
level_init(struct level *l)
{
	memset(l, 0, sizeof(*l));
	wbuf_init(&l->items, NODE_PLAIN_MAX);
}

void
level_free(struct level *l)
{
	wbuf_free(&l->items);
	edges_free(&l->edges);
}

void
level_reset(struct level *l)
{
	wbuf_reset(&l->items);
	edges_reset(&l->edges);
	l->count = 0;
	l->emitted = false;
	l->head.height = 0;
	l->head.entries = 0;
}

bool
level_full(const struct level *l, const struct child *c, const uint8_t key[16])
{
	if (l->count == 0)
		return false;
	if (l->edges.n == OBJECT_EDGES_MAX ||
	    l->items.len + NODE_NAME_MAX + 11 > NODE_CUT_HARD)
		return true;
	/* Ids do not compress: here they are most of what a change rewrites. */
	return l->items.len + (size_t)l->edges.n * OBJECT_ID_LEN >
	    NODE_CUT_SOFT &&
	    (siphash(key, c->first, c->first_len) & NODE_CUT_MASK) == 0;
}

int
level_add(struct level *l, const struct child *c)
{
	uint16_t index;
	int rc;

	if ((rc = edges_add(&l->edges, &c->id, &index)) != RC_OK)
		return rc;
	if (l->count == 0) {
		memcpy(l->head.first, c->first, c->first_len);
		l->head.first_len = c->first_len;
	}
	wbuf_u8(&l->items, (uint8_t)c->first_len);
	wbuf_bytes(&l->items, c->first, c->first_len);
	wbuf_u16(&l->items, index);
	wbuf_u64(&l->items, c->entries);
	if (c->height > l->head.height)
		l->head.height = c->height;
	l->head.entries += c->entries;
	l->count++;
	return wbuf_rc(&l->items);
}

int
level_finish(struct level *l, struct sealer *s, node_emit *emit, void *arg,
    struct wbuf *plain, struct child *c)
{
	int rc;

	wbuf_reset(plain);
	wbuf_u8(plain, NODE_VERSION);
	wbuf_u32(plain, l->count);
	wbuf_bytes(plain, l->items.data, l->items.len);
	if ((rc = wbuf_rc(plain)) != RC_OK)
		return rc;
	if (l->head.height == UINT16_MAX)
		return RC_LIMIT;
	*c = l->head;
	c->height++;
	if ((rc = seal_node_id(s, OBJECT_DIR_INTERIOR, c->height, l->edges.id,
	    l->edges.n, plain->data, plain->len, &c->id)) != RC_OK ||
	    (rc = emit(arg, &c->id, OBJECT_DIR_INTERIOR, c->height,
	    l->edges.id, l->edges.n, plain->data, plain->len)) != RC_OK)
		return rc;
	level_reset(l);
	l->emitted = true;
	return RC_OK;
}

struct item {
	const uint8_t		*first;
	size_t			 len;
	struct object_id	 id;
	uint64_t		 entries;
};

static int
get_item(struct rbuf *in, struct edge_view *edges, struct item *it)
{
	uint8_t len;
	int rc;

	if ((rc = rbuf_u8(in, &len)) != RC_OK ||
	    (rc = rbuf_view(in, &it->first, len)) != RC_OK ||
	    (rc = edge_read(in, edges, &it->id)) != RC_OK)
		return rc;
	it->len = len;
	return rbuf_u64(in, &it->entries);
}

/* Each child once, by rising first names. */
static bool
follows(const struct item *a, const struct item *b)
{
	size_t n = a->len < b->len ? a->len : b->len;
	int c = memcmp(a->first, b->first, n);

	return c < 0 || (c == 0 && a->len < b->len);
}

int
interior_read(const uint8_t *plain, size_t len, const struct object_id *edges,
    uint16_t nedges, int (*each)(void *arg, const uint8_t *first,
    size_t first_len, const struct object_id *child, uint64_t entries),
    void *arg)
{
	struct edge_view view = { edges, nedges, 0 };
	struct item it, last = { 0 };
	uint32_t count, i;
	uint8_t version;
	struct rbuf in;
	int rc;

	rbuf_init(&in, plain, len);
	if (rbuf_u8(&in, &version) != RC_OK)
		return RC_CORRUPT;
	if (version != NODE_VERSION)
		return RC_UNSUPPORTED;
	if (rbuf_u32(&in, &count) != RC_OK || count != nedges || count == 0)
		return RC_CORRUPT;
	for (i = 0; i < count; i++, last = it) {
		if (get_item(&in, &view, &it) != RC_OK || it.len == 0)
			return RC_CORRUPT;
		if (i > 0 && !follows(&last, &it))
			return RC_CORRUPT;
		if ((rc = each(arg, it.first, it.len, &it.id, it.entries)) != 0)
			return rc;
	}
	return rbuf_end(&in) == RC_OK && view.used == nedges ? RC_OK :
	    RC_CORRUPT;
}
