#include "config.h"

#include "server/store/walk.h"

#include <stdlib.h>
#include <string.h>

#include "common/rbuf.h"
#include "common/rc.h"
#include "common/wbuf.h"

#define SKIPS_MAX 4096		/* edges looked at without an answer */

static int
push(struct walker *w, const struct ixent *e, uint16_t edges)
{
	size_t room = w->room == 0 ? 32 : w->room * 2;
	struct walk_level *l;

	/* Heights fall, so there are at most 65,535 levels. */
	if (w->n == w->room) {
		if ((l = realloc(w->level, room * sizeof(*l))) == NULL)
			return RC_NOMEM;
		w->level = l;
		w->room = room;
	}
	w->level[w->n++] = (struct walk_level){ e->pack, e->off, e->height,
	    edges, 0 };
	return RC_OK;
}

static int
edge_at(const struct walker *w, const struct walk_level *l, uint16_t i,
    struct object_id *id)
{
	return packs_read(w->v->packs, PACK_NODE, l->pack, l->off +
	    OBJECT_PREFIX_LEN + OBJECT_HEADER_LEN + (uint64_t)i *
	    OBJECT_ID_LEN, id->b, OBJECT_ID_LEN);
}

static int
edge_count(const struct walker *w, const struct ixent *e, uint16_t *edges)
{
	uint8_t p[OBJECT_HEADER_LEN];
	struct object_header h;
	struct rbuf in;
	int rc;

	if ((rc = packs_read(w->v->packs, PACK_NODE, e->pack, e->off +
	    OBJECT_PREFIX_LEN, p, sizeof(p))) != RC_OK)
		return rc;
	rbuf_init(&in, p, sizeof(p));
	if (object_get_header(&in, &h) != RC_OK ||
	    memcmp(h.id.b, e->id.b, OBJECT_ID_LEN) != 0 ||
	    OBJECT_WIRE_MIN + (size_t)h.edges * OBJECT_ID_LEN > e->len)
		return RC_CRC;
	*edges = h.edges;
	return RC_OK;
}

/* Go to the object: send it if wanted, and stand on its edges. */
static int
visit(struct walker *w, const struct object_id *id, const uint8_t **wire,
    size_t *len)
{
	bool node, wanted;
	struct ixent e;
	uint16_t edges;
	int rc;

	if ((rc = vault_find(w->v, NULL, id, 0, &e)) != RC_OK)
		return rc;
	node = object_is_node(e.type);
	wanted = (w->what & (node ? PROTO_WALK_NODES : PROTO_WALK_DATA)) != 0;
	/* Data alone is all that is below a height of 1. */
	if (node && (e.height > 1 || (w->what & PROTO_WALK_DATA) != 0)) {
		rc = edge_count(w, &e, &edges);
		if (rc == RC_OK)
			rc = push(w, &e, edges);
		if (rc != RC_OK)
			return rc == RC_TRUNCATED ? RC_CRC : rc;
	}
	if (!wanted)
		return RC_AGAIN;
	rc = vault_get(w->v, id, 0, wire, len);
	/* The whole object is bad, so its edges are not believed either. */
	if (rc == RC_CRC && node && w->n > 0 &&
	    w->level[w->n - 1].pack == e.pack &&
	    w->level[w->n - 1].off == e.off)
		w->n--;
	return rc;
}

int
walker_next(struct walker *w, struct object_id *id, const uint8_t **wire,
    size_t *len)
{
	struct walk_level *l;
	int rc;

	if (!w->begun) {
		w->begun = true;
		*id = w->root;
		return visit(w, id, wire, len);
	}
	for (int skips = 0; w->n > 0 && skips < SKIPS_MAX; skips++) {
		l = &w->level[w->n - 1];
		if (l->next >= l->edges) {
			w->n--;
			continue;
		}
		if ((rc = edge_at(w, l, l->next, id)) != RC_OK)
			return rc;
		l->next++;
		if ((rc = visit(w, id, wire, len)) != RC_AGAIN)
			return rc;
	}
	return w->n > 0 ? RC_AGAIN : RC_EOF;
}

/* Levels, then how many edges were taken on each, equal ones together. */
int
walker_cursor(const struct walker *w, uint8_t out[PROTO_CURSOR_MAX],
    size_t *len)
{
	struct wbuf b = WBUF_INIT(PROTO_CURSOR_MAX);
	int rc;

	wbuf_u16(&b, (uint16_t)w->n);
	for (size_t i = 0, k; i < w->n; i = k) {
		for (k = i; k < w->n && k - i < UINT16_MAX &&
		    w->level[k].next == w->level[i].next; k++)
			;
		wbuf_u16(&b, w->level[i].next);
		wbuf_u16(&b, (uint16_t)(k - i));
	}
	if ((rc = wbuf_rc(&b)) == RC_OK) {
		memcpy(out, b.data, b.len);
		*len = b.len;
	}
	wbuf_free(&b);
	return rc;
}

/* One level deeper, to the edge that was taken last on the level above. */
static int
descend(struct walker *w)
{
	struct object_id id = w->root;
	struct ixent e;
	uint16_t edges;
	int rc;

	if (w->n > 0) {
		const struct walk_level *l = &w->level[w->n - 1];

		if (l->next == 0)
			return RC_PROTO;
		if ((rc = edge_at(w, l, (uint16_t)(l->next - 1), &id)) !=
		    RC_OK)
			return rc;
	}
	if ((rc = vault_find(w->v, NULL, &id, 0, &e)) != RC_OK)
		return rc;
	if (!object_is_node(e.type))
		return RC_PROTO;
	if ((rc = edge_count(w, &e, &edges)) != RC_OK)
		return rc;
	return push(w, &e, edges);
}

static int
resume(struct walker *w, const uint8_t *cursor, size_t len)
{
	uint16_t levels, next, times;
	struct rbuf in;
	int rc;

	rbuf_init(&in, cursor, len);
	if ((rc = rbuf_u16(&in, &levels)) != RC_OK)
		return RC_PROTO;
	while (w->n < levels) {
		if (rbuf_u16(&in, &next) != RC_OK ||
		    rbuf_u16(&in, &times) != RC_OK || times == 0 ||
		    times > levels - w->n)
			return RC_PROTO;
		for (; times > 0; times--) {
			if ((rc = descend(w)) != RC_OK)
				return rc;
			if (next > w->level[w->n - 1].edges)
				return RC_PROTO;
			w->level[w->n - 1].next = next;
		}
	}
	w->begun = true;
	return rbuf_end(&in) == RC_OK && levels > 0 ? RC_OK : RC_PROTO;
}

bool
walk_possible(const struct walk *req)
{
	return req->what != 0 &&
	    (req->what & ~(PROTO_WALK_NODES | PROTO_WALK_DATA)) == 0 &&
	    req->cursor_len <= PROTO_CURSOR_MAX;
}

int
walker_init(struct walker *w, struct vault *v, const struct walk *req)
{
	int rc = RC_OK;

	memset(w, 0, sizeof(*w));
	w->v = v;
	w->root = req->root;
	w->what = req->what;
	if (!walk_possible(req))
		return RC_PROTO;
	if (req->cursor_len > 0 &&
	    (rc = resume(w, req->cursor, req->cursor_len)) != RC_OK)
		walker_free(w);
	return rc;
}

void
walker_free(struct walker *w)
{
	free(w->level);
	w->level = NULL;
	w->n = w->room = 0;
}
