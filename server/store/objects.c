#include "config.h"

#include "server/store/vault.h"

#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "common/log.h"
#include "common/proto.h"
#include "common/rc.h"
#include "common/wbuf.h"

enum pack_kind
kind_of(uint8_t type)
{
	return object_is_node(type) ? PACK_NODE : PACK_DATA;
}

int
vault_space(struct vault *v, uint64_t bytes)
{
	struct statfs fs;
	uint64_t avail;

	if (v->space_left >= v->space_used + bytes)
		return RC_OK;
	if (fstatfs(v->dir, &fs) != 0)
		return RC_IO;
	avail = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	v->space_used = 0;
	v->space_left = avail > v->opt.reserve ? avail - v->opt.reserve : 0;
	/* Asked again before what is known to be left could be gone. */
	if (v->space_left > VAULT_SPACE_EVERY + bytes)
		v->space_left = VAULT_SPACE_EVERY + bytes;
	return v->space_left >= bytes ? RC_OK : RC_FULL;
}

/* The first place that a later start has to read again. */
static void
first_uncovered(struct vault *v, struct ixstate *st)
{
	packs_end(v->packs, PACK_DATA, &st->data.pack, &st->data.off);
	packs_end(v->packs, PACK_NODE, &st->nodes.pack, &st->nodes.off);
	for (const struct run *r = v->runs; r != NULL; r = r->next) {
		const struct ixmark *m = &r->first_node;

		if (r->has_node && (m->pack < st->nodes.pack ||
		    (m->pack == st->nodes.pack && m->off < st->nodes.off)))
			st->nodes = *m;
	}
	st->next_run = v->next_run;
}

int
vault_flush_index(struct vault *v)
{
	struct ixstate st;
	int rc;

	/* The files may speak only of what is on stable storage. */
	if ((rc = packs_sync(v->packs)) != RC_OK)
		return rc;
	first_uncovered(v, &st);
	return index_flush(v->index, &st);
}

int
vault_admit(struct vault *v, struct run *r, const struct ixent *e)
{
	struct index *ix = r == NULL || r->nodes == NULL ? v->index : r->nodes;
	struct ixstate none = { 0 };
	int rc;

	if (index_full(ix)) {
		/* A run's own has no marks; recovery covers nothing. */
		if (ix != v->index || v->recovering)
			rc = index_flush(ix, &none);
		else
			rc = vault_flush_index(v);
		if (rc != RC_OK)
			return rc;
	}
	return index_add(ix, e);
}

int
vault_find(struct vault *v, const struct run *r, const struct object_id *id,
    unsigned copy, struct ixent *e)
{
	int rc;

	rc = index_find(v->index, id, copy, e);
	if (rc == RC_CRC && !v->recovering) {
		log_err("a page of the index is bad: made anew from packs");
		if ((rc = vault_rebuild_index(v)) == RC_OK)
			rc = index_find(v->index, id, copy, e);
	}
	if (r != NULL && r->nodes != NULL && copy == 0 && (rc == RC_NOENT ||
	    (rc == RC_OK && e->closure_objects == 0))) {
		struct ixent mine;
		int own = index_find(r->nodes, id, 0, &mine);

		if (own == RC_OK)
			*e = mine;
		if (own != RC_NOENT)
			rc = own;
	}
	return rc;
}

static int
obj_room(struct vault *v, size_t n)
{
	size_t room = v->obj_room == 0 ? 1u << 20 : v->obj_room;
	uint8_t *p;

	if (n <= v->obj_room)
		return RC_OK;
	while (room < n)
		room *= 2;
	if ((p = realloc(v->obj, room)) == NULL)
		return RC_NOMEM;
	v->obj = p;
	v->obj_room = room;
	return RC_OK;
}

int
vault_read(struct vault *v, const struct ixent *e, const uint8_t **wire,
    size_t *len)
{
	struct object_header h;
	struct rbuf in;
	int rc;

	if (e->len < OBJECT_WIRE_MIN || e->len > OBJECT_WIRE_MAX)
		return RC_CRC;
	if ((rc = obj_room(v, e->len)) != RC_OK)
		return rc;
	rc = packs_read(v->packs, kind_of(e->type), e->pack,
	    e->off + OBJECT_PREFIX_LEN, v->obj, e->len);
	if (rc != RC_OK)
		return rc == RC_TRUNCATED || rc == RC_NOENT ? RC_CRC : rc;
	rbuf_init(&in, v->obj, e->len);
	if (object_check_crc(v->obj, e->len) != RC_OK ||
	    object_get_header(&in, &h) != RC_OK ||
	    memcmp(h.id.b, e->id.b, OBJECT_ID_LEN) != 0)
		return RC_CRC;
	*wire = v->obj;
	*len = e->len;
	return RC_OK;
}

int
vault_get(struct vault *v, const struct object_id *id, unsigned copy,
    const uint8_t **wire, size_t *len)
{
	int rc, last = RC_NOENT;
	struct ixent e;

	for (; copy < PROTO_COPIES_MAX; copy++) {
		if ((rc = vault_find(v, NULL, id, copy, &e)) == RC_NOENT)
			return last;
		if (rc != RC_OK)
			return rc;
		if ((rc = vault_read(v, &e, wire, len)) == RC_OK)
			return RC_OK;
		last = rc;
	}
	return last;
}

static int
note_damage(struct vault *v, const struct object_id *id, uint8_t reason)
{
	struct wbuf body = WBUF_INIT(64);
	struct journal_pos pos;
	uint64_t seq;
	int rc;

	wbuf_bytes(&body, id->b, OBJECT_ID_LEN);
	wbuf_zeros(&body, 16);
	wbuf_u8(&body, reason);
	if ((rc = vault_note(v, JOURNAL_DAMAGED, &body, &pos, &seq)) ==
	    RC_OK) {
		struct jrec r = { .kind = JOURNAL_DAMAGED, .len =
		    (uint32_t)body.len, .body = body.data, .seq = seq };

		rc = state_apply(&v->state, &r);
	}
	wbuf_free(&body);
	return rc;
}

static bool
is_pending(const struct run *r, const struct object_id *id)
{
	for (size_t i = r->npending; i-- > 0;)
		if (memcmp(r->pending[i].e.id.b, id->b, OBJECT_ID_LEN) == 0)
			return true;
	return false;
}

/* Records of this id that are there for good or will be, once their runs are
 * committed; not counted further than to the most that can be asked for. */
static int
copies(struct vault *v, const struct object_id *id, unsigned *n)
{
	struct ixent e;
	unsigned k;
	int rc = RC_OK;

	for (k = 0; k < PROTO_COPIES_MAX && rc == RC_OK; k++)
		rc = vault_find(v, NULL, id, k, &e);
	*n = rc == RC_NOENT ? k - 1 : k;
	for (struct run *r = v->runs; r != NULL &&
	    (rc == RC_OK || rc == RC_NOENT); r = r->next) {
		*n += is_pending(r, id);
		rc = r->nodes == NULL ? RC_NOENT : RC_OK;
		for (k = 0; *n < PROTO_COPIES_MAX && rc == RC_OK; k++)
			if ((rc = index_find(r->nodes, id, k, &e)) == RC_OK)
				++*n;
	}
	return rc == RC_NOENT ? RC_OK : rc;
}

int
vault_bad(struct vault *v, const struct object_id *id, unsigned copy)
{
	const uint8_t *wire;
	struct ixent e;
	unsigned n;
	size_t len;
	int rc;

	if ((rc = vault_find(v, NULL, id, copy, &e)) != RC_OK)
		return rc;
	if (v->readonly)
		return RC_READONLY;
	if (state_damaged(&v->state, id))
		return RC_OK;
	if (v->state.ndamaged >= STATE_DAMAGED_MAX)
		return RC_LIMIT;
	/* Told and sent again and again: looking it up would take ever longer,
	 * and the true record would be where nobody asks for it. */
	if ((rc = copies(v, id, &n)) != RC_OK)
		return rc;
	if (n >= PROTO_COPIES_MAX)
		return RC_LIMIT;
	/* Nothing is deleted for it: the next backup is asked for it. */
	rc = vault_read(v, &e, &wire, &len);
	return note_damage(v, id, rc == RC_CRC ? DAMAGED_FOUND : DAMAGED_TOLD);
}

static bool
foreign(struct vault *v, const struct run *r, const struct ixent *e)
{
	uint8_t p[OBJECT_PREFIX_LEN];
	struct prefix px;

	if (v->state.nclient < 2)
		return false;
	if (packs_read(v->packs, kind_of(e->type), e->pack, e->off, p,
	    sizeof(p)) != RC_OK)
		return true;
	prefix_get(p, &px);
	return px.writer != r->writer;
}

enum have
vault_have(struct vault *v, struct run *r, const struct object_id *id)
{
	struct ixent e;

	if (vault_find(v, r, id, 0, &e) != RC_OK)
		return HAVE_ABSENT;
	if (e.closure_objects == 0 ||
	    (v->state.ndamaged > 0 && state_damaged(&v->state, id)))
		return HAVE_AGAIN;
	if (run_pin(v, r, id) != RC_OK)
		return HAVE_ABSENT;
	return foreign(v, r, &e) ? HAVE_FOREIGN : HAVE_PRESENT;
}

static int
add_pending(struct run *r, const struct ixent *e)
{
	size_t room = r->pending_room == 0 ? 64 : r->pending_room * 2;
	struct pending *p;

	if (r->npending == VAULT_PENDING_MAX)
		return RC_LIMIT;
	if (r->npending == r->pending_room) {
		if ((p = realloc(r->pending, room * sizeof(*p))) == NULL)
			return RC_NOMEM;
		r->pending = p;
		r->pending_room = room;
	}
	r->pending[r->npending++].e = *e;
	return RC_OK;
}

static int
append(struct vault *v, struct run *r, const uint8_t *wire, size_t len,
    struct ixent *e)
{
	struct prefix px = { .writer = r->writer, .run = r->number,
	    .received = (uint32_t)vault_clock(v) };
	int rc;

	if ((rc = vault_space(v, record_size((uint32_t)len))) != RC_OK ||
	    (rc = packs_append(v->packs, kind_of(e->type), &px, wire, len,
	    &e->pack, &e->off)) != RC_OK)
		return rc;
	v->space_used += record_size((uint32_t)len);
	if (object_is_node(e->type) && !r->has_node) {
		r->has_node = true;
		r->first_node = (struct ixmark){ e->pack, e->off };
	}
	return RC_OK;
}

int
vault_put(struct vault *v, struct run *r, const uint8_t *wire, size_t len)
{
	struct object o;
	struct ixent e = { 0 }, old;
	bool node, again, resolved = true;
	int rc;

	if (v->readonly)
		return RC_READONLY;
	if (r->failed != RC_OK)
		return r->failed;
	if ((rc = object_parse(wire, len, &o)) != RC_OK ||
	    (rc = object_check_crc(wire, len)) != RC_OK)
		return rc;
	node = object_is_node(o.h.type);
	again = v->state.ndamaged > 0 && state_damaged(&v->state, &o.h.id);
	rc = vault_find(v, r, &o.h.id, 0, &old);
	if (rc != RC_OK && rc != RC_NOENT)
		return rc;
	if (rc == RC_OK && !again && old.closure_objects != 0)
		return RC_OK;
	if (node && r->npending > 0 && is_pending(r, &o.h.id))
		return RC_OK;
	e.id = o.h.id;
	e.len = (uint32_t)len;
	e.type = o.h.type;
	e.height = o.h.height;
	e.closure_bytes = len;
	e.closure_objects = 1;
	if (node) {
		rc = graph_resolve(v, r, e.height, o.edges, o.h.edges, e.len,
		    &e.closure_bytes, &e.closure_objects, NULL, 0, NULL);
		resolved = rc == RC_OK;
		if (rc != RC_OK && rc != RC_MISSING)
			return rc;
	}
	if ((rc = append(v, r, wire, len, &e)) != RC_OK)
		goto fail;
	rc = resolved ? vault_admit(v, node ? r : NULL, &e) :
	    add_pending(r, &e);
	if (rc != RC_OK)
		goto fail;
	r->objects++;
	r->new_bytes += len;
	if (again)
		return note_damage(v, &o.h.id, DAMAGED_HEALED);
	return RC_OK;
fail:
	/* Later objects may build on this one, so the run is over. */
	if (r->failed == RC_OK || rc == RC_FULL)
		r->failed = rc;
	return rc;
}
