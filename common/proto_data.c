#include "config.h"

#include "common/proto.h"

#include <string.h>

#include "common/rc.h"

/* Frames after the login. */

#define HAVE_PER_BYTE	4
#define GET_LEN		(OBJECT_ID_LEN + 1)	/* id, copy */

static void
fail(struct wbuf *out, int rc)
{
	if (out->rc == RC_OK)
		out->rc = rc;
}

/* Counts are checked before they are used for anything. */
static int
get_count(struct rbuf *in, size_t max, size_t *n)
{
	uint16_t count;
	int rc;

	if ((rc = rbuf_u16(in, &count)) != RC_OK)
		return rc;
	if (count > max)
		return RC_LIMIT;
	*n = count;
	return RC_OK;
}

void
ids_put(struct wbuf *out, const struct object_id *ids, size_t n)
{
	if (n > PROTO_IDS_MAX) {
		fail(out, RC_LIMIT);
		return;
	}
	wbuf_u16(out, (uint16_t)n);
	wbuf_bytes(out, ids, n * OBJECT_ID_LEN);
}

int
ids_parse(struct rbuf *in, struct ids *ids)
{
	struct ids got = { 0 };
	int rc;

	if ((rc = get_count(in, PROTO_IDS_MAX, &got.n)) != RC_OK ||
	    (rc = rbuf_view(in, &got.p, got.n * OBJECT_ID_LEN)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	*ids = got;
	return RC_OK;
}

void
run_begin_put(struct wbuf *out, const struct run_begin *r)
{
	wbuf_bytes(out, r->run, sizeof(r->run));
	wbuf_bytes(out, r->job, sizeof(r->job));
	wbuf_bytes(out, r->base.b, sizeof(r->base.b));
}

int
run_begin_parse(struct rbuf *in, struct run_begin *r)
{
	struct run_begin got = { 0 };
	int rc;

	if ((rc = rbuf_bytes(in, got.run, sizeof(got.run))) != RC_OK ||
	    (rc = rbuf_bytes(in, got.job, sizeof(got.job))) != RC_OK ||
	    (rc = rbuf_bytes(in, got.base.b, sizeof(got.base.b))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	*r = got;
	return RC_OK;
}

void
run_ok_put(struct wbuf *out, uint8_t flags, uint64_t client_seq,
    const struct object_id *wanted, size_t n)
{
	wbuf_u8(out, flags);
	wbuf_u64(out, client_seq);
	ids_put(out, wanted, n);
}

int
run_ok_parse(struct rbuf *in, struct run_ok *r)
{
	const uint8_t known = PROTO_RUN_BASE | PROTO_RUN_EMPTY |
	    PROTO_RUN_RESUMED;
	struct run_ok got = { 0 };
	int rc;

	if ((rc = rbuf_u8(in, &got.flags)) != RC_OK ||
	    (rc = rbuf_u64(in, &got.client_seq)) != RC_OK ||
	    (rc = ids_parse(in, &got.wanted)) != RC_OK)
		return rc;
	if ((got.flags & ~known) != 0)
		return RC_RANGE;
	*r = got;
	return RC_OK;
}

void
have_ok_put(struct wbuf *out, const uint8_t *have, size_t n)
{
	size_t bytes = (n + HAVE_PER_BYTE - 1) / HAVE_PER_BYTE;
	uint8_t *p;

	if (n > PROTO_IDS_MAX) {
		fail(out, RC_LIMIT);
		return;
	}
	wbuf_u16(out, (uint16_t)n);
	if ((p = wbuf_space(out, bytes)) == NULL)
		return;
	if (bytes > 0)
		memset(p, 0, bytes);
	for (size_t i = 0; i < n; i++)
		p[i / HAVE_PER_BYTE] |= (uint8_t)((have[i] & 3) <<
		    (6 - 2 * (i % HAVE_PER_BYTE)));
}

int
have_ok_parse(struct rbuf *in, uint8_t *have, size_t max, size_t *n)
{
	const uint8_t *p;
	size_t count, bytes;
	int rc;

	if (max > PROTO_IDS_MAX)
		max = PROTO_IDS_MAX;
	if ((rc = get_count(in, max, &count)) != RC_OK)
		return rc;
	bytes = (count + HAVE_PER_BYTE - 1) / HAVE_PER_BYTE;
	if ((rc = rbuf_view(in, &p, bytes)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	/* The last byte's unused bits are zero, so one answer has one form. */
	if (count % HAVE_PER_BYTE != 0 && (p[bytes - 1] &
	    ((1u << (8 - 2 * (count % HAVE_PER_BYTE))) - 1)) != 0)
		return RC_RANGE;
	for (size_t i = 0; i < count; i++)
		have[i] = p[i / HAVE_PER_BYTE] >>
		    (6 - 2 * (i % HAVE_PER_BYTE)) & 3;
	*n = count;
	return RC_OK;
}

void
ack_put(struct wbuf *out, const struct ack *a)
{
	wbuf_u64(out, a->received);
	wbuf_u64(out, a->durable);
}

int
ack_parse(struct rbuf *in, struct ack *a)
{
	struct ack got = { 0 };
	int rc;

	if ((rc = rbuf_u64(in, &got.received)) != RC_OK ||
	    (rc = rbuf_u64(in, &got.durable)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got.durable > got.received)
		return RC_RANGE;
	*a = got;
	return RC_OK;
}

void
list_put(struct wbuf *out, const struct list *l)
{
	wbuf_bytes(out, l->job, sizeof(l->job));
	wbuf_u64(out, l->after);
	wbuf_u16(out, l->n);
}

int
list_parse(struct rbuf *in, struct list *l)
{
	struct list got = { 0 };
	int rc;

	if ((rc = rbuf_bytes(in, got.job, sizeof(got.job))) != RC_OK ||
	    (rc = rbuf_u64(in, &got.after)) != RC_OK ||
	    (rc = rbuf_u16(in, &got.n)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got.n < 1 || got.n > PROTO_IDS_MAX)
		return RC_RANGE;
	*l = got;
	return RC_OK;
}

void
listed_put(struct wbuf *out, const uint8_t *client, size_t len,
    const struct snapshot_server *server)
{
	if (len > SNAPSHOT_CLIENT_MAX) {
		fail(out, RC_LIMIT);
		return;
	}
	wbuf_blob32(out, client, len);
	snapshot_put_server(out, server);
}

int
listed_parse(struct rbuf *in, struct listed *l)
{
	struct listed got = { 0 };
	int rc;

	if ((rc = rbuf_blob32(in, &got.client, &got.client_len,
	    SNAPSHOT_CLIENT_MAX)) != RC_OK ||
	    (rc = snapshot_get_server(in, &got.server)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	*l = got;
	return RC_OK;
}

void
more_put(struct wbuf *out, uint8_t more)
{
	wbuf_u8(out, more);
}

int
more_parse(struct rbuf *in, uint8_t *more)
{
	uint8_t got;
	int rc;

	if ((rc = rbuf_u8(in, &got)) != RC_OK || (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got > 1)
		return RC_RANGE;
	*more = got;
	return RC_OK;
}

void
get_put(struct wbuf *out, const struct object_id *ids, size_t n, uint8_t copy)
{
	if (n > PROTO_IDS_MAX) {
		fail(out, RC_LIMIT);
		return;
	}
	wbuf_u16(out, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		wbuf_bytes(out, ids[i].b, sizeof(ids[i].b));
		wbuf_u8(out, copy);
	}
}

int
get_parse(struct rbuf *in, struct get *g)
{
	struct get got = { 0 };
	int rc;

	if ((rc = get_count(in, PROTO_IDS_MAX, &got.n)) != RC_OK ||
	    (rc = rbuf_view(in, &got.p, got.n * GET_LEN)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	*g = got;
	return RC_OK;
}

void
id_copy_put(struct wbuf *out, const struct id_copy *c)
{
	wbuf_bytes(out, c->id.b, sizeof(c->id.b));
	wbuf_u8(out, c->copy);
}

int
id_copy_parse(struct rbuf *in, struct id_copy *c)
{
	struct id_copy got = { 0 };
	int rc;

	if ((rc = rbuf_bytes(in, got.id.b, sizeof(got.id.b))) != RC_OK ||
	    (rc = rbuf_u8(in, &got.copy)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	*c = got;
	return RC_OK;
}

void
walk_put(struct wbuf *out, const struct walk *w)
{
	wbuf_bytes(out, w->root.b, sizeof(w->root.b));
	wbuf_u8(out, w->what);
	wbuf_u64(out, w->budget);
	walk_end_put(out, w->cursor, w->cursor_len);
}

int
walk_parse(struct rbuf *in, struct walk *w)
{
	struct walk got = { 0 };
	int rc;

	if ((rc = rbuf_bytes(in, got.root.b, sizeof(got.root.b))) != RC_OK ||
	    (rc = rbuf_u8(in, &got.what)) != RC_OK ||
	    (rc = rbuf_u64(in, &got.budget)) != RC_OK ||
	    (rc = walk_end_parse(in, &got.cursor, &got.cursor_len)) != RC_OK)
		return rc;
	/* A walk for nothing, or by no bytes at a time, would never end. */
	if (got.what == 0 || got.budget == 0 ||
	    (got.what & ~(PROTO_WALK_NODES | PROTO_WALK_DATA)) != 0)
		return RC_RANGE;
	*w = got;
	return RC_OK;
}

void
walk_end_put(struct wbuf *out, const uint8_t *cursor, size_t len)
{
	if (len > PROTO_CURSOR_MAX) {
		fail(out, RC_LIMIT);
		return;
	}
	wbuf_blob16(out, cursor, len);
}

int
walk_end_parse(struct rbuf *in, const uint8_t **cursor, size_t *len)
{
	const uint8_t *p;
	size_t n;
	int rc;

	if ((rc = rbuf_blob16(in, &p, &n, PROTO_CURSOR_MAX)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	*cursor = p;
	*len = n;
	return RC_OK;
}

void
verify_put(struct wbuf *out, uint8_t percent)
{
	wbuf_u8(out, percent);
}

int
verify_parse(struct rbuf *in, uint8_t *percent)
{
	uint8_t got;
	int rc;

	if ((rc = rbuf_u8(in, &got)) != RC_OK || (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got > 100)
		return RC_RANGE;
	*percent = got;
	return RC_OK;
}

void
finding_put(struct wbuf *out, const struct finding *f)
{
	wbuf_u8(out, f->kind);
	wbuf_bytes(out, f->id.b, sizeof(f->id.b));
	wbuf_str(out, f->text);
}

int
finding_parse(struct rbuf *in, struct finding *f)
{
	struct finding got = { 0 };
	int rc;

	if ((rc = rbuf_u8(in, &got.kind)) != RC_OK ||
	    (rc = rbuf_bytes(in, got.id.b, sizeof(got.id.b))) != RC_OK ||
	    (rc = proto_text(in, got.text, sizeof(got.text))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got.kind < FINDING_OBJECT || got.kind > FINDING_JOURNAL)
		return RC_RANGE;
	*f = got;
	return RC_OK;
}

void
verify_end_put(struct wbuf *out, const struct verify_end *v)
{
	wbuf_u64(out, v->objects);
	wbuf_u64(out, v->bytes);
	wbuf_u64(out, v->findings);
}

int
verify_end_parse(struct rbuf *in, struct verify_end *v)
{
	struct verify_end got = { 0 };
	int rc;

	if ((rc = rbuf_u64(in, &got.objects)) != RC_OK ||
	    (rc = rbuf_u64(in, &got.bytes)) != RC_OK ||
	    (rc = rbuf_u64(in, &got.findings)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	*v = got;
	return RC_OK;
}

void
record_put(struct wbuf *out, const struct record *r)
{
	if (r->len > PROTO_RECORD_MAX) {
		fail(out, RC_LIMIT);
		return;
	}
	wbuf_u8(out, r->kind);
	wbuf_u64(out, r->seq);
	wbuf_blob16(out, r->body, r->len);
}

int
record_parse(struct rbuf *in, struct record *r)
{
	struct record got = { 0 };
	int rc;

	if ((rc = rbuf_u8(in, &got.kind)) != RC_OK ||
	    (rc = rbuf_u64(in, &got.seq)) != RC_OK ||
	    (rc = rbuf_blob16(in, &got.body, &got.len,
	    PROTO_RECORD_MAX)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got.kind < RECORD_KEY || got.kind > RECORD_PARAMS || got.len == 0)
		return RC_RANGE;
	*r = got;
	return RC_OK;
}

void
record_ok_put(struct wbuf *out, uint64_t seq)
{
	wbuf_u64(out, seq);
}

int
record_ok_parse(struct rbuf *in, uint64_t *seq)
{
	uint64_t got;
	int rc;

	if ((rc = rbuf_u64(in, &got)) != RC_OK || (rc = rbuf_end(in)) != RC_OK)
		return rc;
	*seq = got;
	return RC_OK;
}

void
record_get_put(struct wbuf *out, const struct record_get *r)
{
	wbuf_u8(out, r->kind);
	wbuf_u64(out, r->after);
}

int
record_get_parse(struct rbuf *in, struct record_get *r)
{
	struct record_get got = { 0 };
	int rc;

	if ((rc = rbuf_u8(in, &got.kind)) != RC_OK ||
	    (rc = rbuf_u64(in, &got.after)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got.kind > RECORD_PARAMS)
		return RC_RANGE;
	*r = got;
	return RC_OK;
}
