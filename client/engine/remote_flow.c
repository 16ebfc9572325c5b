#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/remote_impl.h"
#include "common/num.h"
#include "common/rc.h"

/*
 * What is pipelined: HAVE, PUT and GET.  Each has its credit; a call that would
 * go over it moves frames until there is some again.  Every answer is held
 * against what was asked.
 */
#define GETS_MAX	32	/* requests under way; a server keeps 64 in all */

/*
 * A callback must not come back in: the frame it looks at lies in a buffer that
 * the next link_recv() uses again.  remote_poll() refuses while this is set.
 */
static int
give_back(struct remote *r, int rc)
{
	r->in_callback = false;
	if (rc != RC_OK)
		return remote_fail(r, rc, "%s", rc_str(rc));
	return RC_OK;
}

/* --- HAVE --- */

int
remote_have(struct remote *r, uint64_t cookie, const struct object_id *ids,
    size_t n)
{
	struct wbuf body = WBUF_INIT(PROTO_SMALL_MAX);
	struct have_req *q = NULL;
	int rc;

	if (n == 0 || n > PROTO_IDS_MAX)
		return RC_LIMIT;
	while (r->failed == RC_OK && r->have_out + n > r->have_max)
		if ((rc = remote_wait(r)) != RC_OK)
			return rc;
	if (r->failed != RC_OK)
		return r->failed;
	ids_put(&body, ids, n);
	if ((rc = wbuf_rc(&body)) != RC_OK)
		goto out;
	if ((q = calloc(1, sizeof(*q))) == NULL) {
		rc = RC_NOMEM;
		goto out;
	}
	q->request = remote_number(r);
	q->cookie = cookie;
	q->n = n;
	if (r->haves == NULL)
		r->haves_end = &r->haves;
	*r->haves_end = q;
	r->haves_end = &q->next;
	r->have_out += n;
	rc = remote_send(r, PROTO_HAVE, q->request, body.data, body.len);
out:
	wbuf_free(&body);
	return rc;
}

int
remote_on_have_ok(struct remote *r, const struct link_frame *f)
{
	uint8_t have[PROTO_IDS_MAX];
	struct have_req **at, *q;
	struct rbuf in;
	uint64_t cookie;
	size_t n;

	for (at = &r->haves; (q = *at) != NULL; at = &q->next)
		if (q->request == f->request)
			break;
	if (q == NULL)
		return remote_unexpected(r, f);
	rbuf_init(&in, f->payload, f->len);
	if (have_ok_parse(&in, have, sizeof(have), &n) != RC_OK || n != q->n)
		return remote_malformed(r, f);
	if ((*at = q->next) == NULL)
		r->haves_end = at;
	cookie = q->cookie;
	r->have_out -= n;
	free(q);
	if (r->ev.have == NULL)
		return RC_OK;
	r->in_callback = true;
	return give_back(r, r->ev.have(r->ev.arg, cookie, have, n));
}

/* --- PUT --- */

static int
put_note(struct remote *r, size_t len)
{
	uint32_t *p;
	size_t size, i;

	if (r->put_count == r->put_size) {
		size = r->put_size == 0 ? 1024 : r->put_size * 2;
		if ((p = calloc(size, sizeof(*p))) == NULL)
			return RC_NOMEM;
		for (i = 0; i < r->put_count; i++)
			p[i] = r->put_len[(r->put_head + i) % r->put_size];
		free(r->put_len);
		r->put_len = p;
		r->put_size = size;
		r->put_head = 0;
	}
	r->put_len[(r->put_head + r->put_count) % r->put_size] = (uint32_t)len;
	r->put_count++;
	r->put_bytes += len;
	r->put_sent++;
	return RC_OK;
}

int
remote_put(struct remote *r, const uint8_t *wire, size_t len)
{
	int rc;

	if (len < OBJECT_WIRE_MIN || len > OBJECT_WIRE_MAX)
		return RC_LIMIT;
	while (r->failed == RC_OK && r->put_bytes + len > r->put_max)
		if ((rc = remote_wait(r)) != RC_OK)
			return rc;
	/* Counted first: its answer may come while the rest is still sent. */
	if (r->failed != RC_OK)
		return r->failed;
	if ((rc = put_note(r, len)) != RC_OK)
		return rc;
	return remote_send(r, PROTO_PUT, remote_number(r), wire, len);
}

/* Counts of an ACK or FLUSHED. */
int
remote_take_ack(struct remote *r, const struct link_frame *f, struct ack *a)
{
	struct rbuf in;

	rbuf_init(&in, f->payload, f->len);
	if (ack_parse(&in, a) != RC_OK)
		return remote_malformed(r, f);
	if (a->received > r->put_sent || a->received < r->put_received ||
	    a->durable > a->received || a->durable < r->put_durable)
		return remote_fail(r, RC_PROTO,
		    "the server counts other objects than were sent");
	while (r->put_received < a->received) {
		r->put_bytes -= r->put_len[r->put_head];
		r->put_head = (r->put_head + 1) % r->put_size;
		r->put_count--;
		r->put_received++;
	}
	r->put_durable = a->durable;
	if (r->ev.ack == NULL)
		return RC_OK;
	r->in_callback = true;
	return give_back(r, r->ev.ack(r->ev.arg, a->received, a->durable));
}

int
remote_on_ack(struct remote *r, const struct link_frame *f)
{
	struct ack a;

	return remote_take_ack(r, f, &a);
}

int
remote_on_wanted(struct remote *r, const struct link_frame *f)
{
	struct object_id ids[PROTO_IDS_MAX];
	struct ids view;
	struct rbuf in;

	rbuf_init(&in, f->payload, f->len);
	if (ids_parse(&in, &view) != RC_OK || view.n > NITEMS(ids))
		return remote_malformed(r, f);
	if (view.n == 0 || r->ev.wanted == NULL)
		return RC_OK;
	memcpy(ids, view.p, view.n * sizeof(ids[0]));
	r->in_callback = true;
	return give_back(r, r->ev.wanted(r->ev.arg, ids, view.n));
}

/* --- GET --- */

int
remote_get(struct remote *r, const struct object_id *ids, size_t n,
    uint8_t copy, uint32_t *request)
{
	struct wbuf body = WBUF_INIT(PROTO_SMALL_MAX);
	struct get_req *q = NULL;
	int rc;

	if (n == 0 || n > PROTO_IDS_MAX)
		return RC_LIMIT;
	while (r->failed == RC_OK && (r->ngets >= GETS_MAX ||
	    r->get_out + n > PROTO_CREDIT_GET_IDS))
		if ((rc = remote_wait(r)) != RC_OK)
			return rc;
	if (r->failed != RC_OK)
		return r->failed;
	get_put(&body, ids, n, copy);
	if ((rc = wbuf_rc(&body)) != RC_OK)
		goto out;
	q = calloc(1, sizeof(*q) + n * sizeof(q->ids[0]));
	if (q == NULL || (q->done = calloc(n, 1)) == NULL) {
		free(q);
		rc = RC_NOMEM;
		goto out;
	}
	memcpy(q->ids, ids, n * sizeof(q->ids[0]));
	q->request = remote_number(r);
	q->n = q->left = n;
	if (r->gets == NULL)
		r->gets_end = &r->gets;
	*r->gets_end = q;
	r->gets_end = &q->next;
	r->get_out += n;
	r->ngets++;
	if (request != NULL)
		*request = q->request;
	rc = remote_send(r, PROTO_GET, q->request, body.data, body.len);
out:
	wbuf_free(&body);
	return rc;
}

static void
get_free(struct get_req *q)
{
	free(q->done);
	free(q);
}

static struct get_req *
get_find(struct remote *r, uint32_t request)
{
	struct get_req *q;

	for (q = r->gets; q != NULL; q = q->next)
		if (q->request == request)
			break;
	return q;
}

static void
get_unlink(struct remote *r, struct get_req *q)
{
	struct get_req **at;

	for (at = &r->gets; *at != q; at = &(*at)->next)
		;
	if ((*at = q->next) == NULL)
		r->gets_end = at;
	r->ngets--;
}

/* Marks one unanswered id of this request; false: it was not asked for. */
static bool
get_answer(struct remote *r, struct get_req *q, const struct object_id *id)
{
	size_t i;

	for (i = q->first; i < q->n; i++) {
		if (q->done[i] ||
		    memcmp(&q->ids[i], id, sizeof(*id)) != 0)
			continue;
		q->done[i] = 1;
		q->left--;
		r->get_out--;
		while (q->first < q->n && q->done[q->first])
			q->first++;
		return true;
	}
	return false;
}

/*
 * Ends a request whose last answer came.  Answers whose header was damaged
 * cannot be told apart: once nothing else is due, they are what is left.
 */
static int
get_settle(struct remote *r, struct get_req *q)
{
	size_t i;
	int rc = RC_OK;

	if (q->left > q->nameless)
		return RC_OK;
	get_unlink(r, q);
	r->get_out -= q->left;
	for (i = q->first; rc == RC_OK && i < q->n; i++)
		if (!q->done[i])
			rc = remote_give(r, q->request, &q->ids[i], NULL, 1);
	get_free(q);
	return rc;
}

int
remote_give(struct remote *r, uint32_t request, const struct object_id *id,
    const uint8_t *wire, size_t len)
{
	if (r->ev.object == NULL)
		return RC_OK;
	r->in_callback = true;
	return give_back(r, r->ev.object(r->ev.arg, request, id, wire, len));
}

int
remote_on_obj(struct remote *r, const struct link_frame *f)
{
	struct object_id id;
	struct get_req *q;
	struct object o;
	bool whole, named;
	int rc = RC_OK;

	if ((q = get_find(r, f->request)) == NULL)
		return remote_unexpected(r, f);
	whole = object_parse(f->payload, f->len, &o) == RC_OK &&
	    object_check_crc(f->payload, f->len) == RC_OK;
	named = remote_object_id(f->payload, f->len, &id) &&
	    get_answer(r, q, &id);
	if (!named && whole)
		return remote_fail(r, RC_PROTO,
		    "the server sent an object that was not asked for");
	if (!named && ++q->nameless > q->left)
		return remote_unexpected(r, f);
	if (named && whole)
		rc = remote_give(r, f->request, &id, f->payload, f->len);
	else if (named)
		rc = remote_give(r, f->request, &id, NULL, 1);
	return rc != RC_OK ? rc : get_settle(r, q);
}

/* The id in a header, also of an object that is otherwise damaged. */
bool
remote_object_id(const uint8_t *wire, size_t len, struct object_id *id)
{
	struct object_header h;
	struct rbuf in;

	rbuf_init(&in, wire, len);
	if (object_get_header(&in, &h) != RC_OK)
		return false;
	*id = h.id;
	return true;
}

int
remote_on_gone(struct remote *r, const struct link_frame *f)
{
	struct get_req *q;
	struct id_copy c;
	struct rbuf in;
	int rc;

	if ((q = get_find(r, f->request)) == NULL)
		return remote_unexpected(r, f);
	rbuf_init(&in, f->payload, f->len);
	if (id_copy_parse(&in, &c) != RC_OK)
		return remote_malformed(r, f);
	if (!get_answer(r, q, &c.id))
		return remote_fail(r, RC_PROTO,
		    "the server misses an object that was not asked for");
	rc = remote_give(r, f->request, &c.id, NULL, 0);
	return rc != RC_OK ? rc : get_settle(r, q);
}

bool
remote_outstanding(const struct remote *r)
{
	return r->gets != NULL;
}

void
remote_flow_free(struct remote *r)
{
	struct have_req *h;
	struct get_req *g;

	while ((h = r->haves) != NULL) {
		r->haves = h->next;
		free(h);
	}
	while ((g = r->gets) != NULL) {
		r->gets = g->next;
		get_free(g);
	}
	free(r->put_len);
	free(r->run_wanted);
}
