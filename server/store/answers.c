#include "config.h"

#include "server/store/serve.h"

#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "common/wbuf.h"
#include "server/store/sort.h"

/*
 * Answers of many frames.  Each is made only as fast as its session takes it:
 * the next object is read when the one before has gone into the ring, so a
 * slow reader holds neither memory nor the other sessions.
 */
#define TURN_BYTES	(4u << 20)	/* of one session, then the others */
#define PER_PAGE	256		/* records of one RECORD_GET */

struct wanted {
	struct object_id id;
	uint8_t		 copy;
	struct ixent	 e;
};

static void
answer_free(struct answer *a)
{
	walker_free(&a->walker);
	free(a->cursor);
	verify_free(a->verifier);
	free(a->want);
	free(a);
}

void
answers_free(struct session *s)
{
	struct answer *a;

	while ((a = s->answers) != NULL) {
		s->answers = a->next;
		answer_free(a);
	}
	s->answers_tail = &s->answers;
	s->nanswers = 0;
}

static void
send_gone(struct session *s, uint32_t request, const struct object_id *id,
    uint8_t copy)
{
	struct wbuf body = WBUF_INIT(64);
	struct id_copy c = { *id, copy };

	id_copy_put(&body, &c);
	send_small(s, PROTO_GONE, request, &body);
	wbuf_free(&body);
}

/* RC_OK: sent or taken by the link, which may now be full. */
static int
send_obj(struct session *s, uint32_t request, const uint8_t *wire, size_t len)
{
	int rc = link_send(s->link, PROTO_OBJ, request, wire, len, NULL, 0);

	if (rc == RC_OK)
		rc = link_flush(s->link);
	if (rc == RC_AGAIN) {
		s->stalled = true;
		rc = RC_OK;
	}
	return rc;
}

/* --- GET --- */

static int
by_place(const void *arg, uint32_t a, uint32_t b)
{
	const struct wanted *w = arg;

	if (w[a].e.pack != w[b].e.pack)
		return w[a].e.pack < w[b].e.pack ? -1 : 1;
	if (w[a].e.off != w[b].e.off)
		return w[a].e.off < w[b].e.off ? -1 : 1;
	return 0;
}

static int
get_sort(struct answer *a)
{
	uint32_t order[PROTO_IDS_MAX], tmp[PROTO_IDS_MAX];
	struct wanted *sorted;

	if (a->nwant == 0)
		return RC_OK;
	if ((sorted = malloc(a->nwant * sizeof(*sorted))) == NULL)
		return RC_NOMEM;
	for (size_t i = 0; i < a->nwant; i++)
		order[i] = (uint32_t)i;
	sort_u32(order, tmp, a->nwant, by_place, a->want);
	for (size_t i = 0; i < a->nwant; i++)
		sorted[i] = a->want[order[i]];
	free(a->want);
	a->want = sorted;
	return RC_OK;
}

static int
get_begin(struct server *srv, struct session *s, struct answer *a,
    struct rbuf *in)
{
	struct get g;
	int rc;

	if ((rc = get_parse(in, &g)) != RC_OK)
		return rc;
	if (g.n > PROTO_IDS_MAX || s->get_ids + g.n > PROTO_CREDIT_GET_IDS)
		return RC_LIMIT;
	if ((a->want = calloc(g.n + 1, sizeof(*a->want))) == NULL)
		return RC_NOMEM;
	s->get_ids += g.n;
	for (size_t i = 0; i < g.n; i++) {
		struct wanted *w = &a->want[a->nwant];

		memcpy(w->id.b, g.p + i * 33, OBJECT_ID_LEN);
		w->copy = g.p[i * 33 + OBJECT_ID_LEN];
		if (vault_find(srv->v, NULL, &w->id, w->copy, &w->e) ==
		    RC_OK) {
			a->nwant++;
			continue;
		}
		send_gone(s, a->request, &w->id, w->copy);
		s->get_ids--;
	}
	return get_sort(a);
}

static int
get_step(struct server *srv, struct session *s, struct answer *a)
{
	const uint8_t *wire;
	struct wanted *w;
	size_t len = 0;
	int rc, why;

	if (a->at == a->nwant)
		return RC_EOF;
	w = &a->want[a->at++];
	s->get_ids--;
	why = vault_read(srv->v, &w->e, &wire, &len);
	rc = why == RC_OK ? why :
	    vault_get(srv->v, &w->id, w->copy + 1u, &wire, &len);
	if (rc == RC_OK) {
		a->sent += len;
		return send_obj(s, a->request, wire, len);
	}
	log_err("an object cannot be read: %s", rc_str(why));
	send_gone(s, a->request, &w->id, w->copy);
	return RC_OK;
}

/* --- LIST, RECORD_GET --- */

static int
list_begin(struct server *srv, struct session *s, struct answer *a,
    struct rbuf *in)
{
	struct list l;
	int rc;

	(void)srv;
	(void)s;
	if ((rc = list_parse(in, &l)) != RC_OK)
		return rc;
	memcpy(a->job, l.job, sizeof(a->job));
	a->after = l.after;
	a->left = l.n;
	return RC_OK;
}

static void
send_more(struct session *s, uint16_t type, uint32_t request, uint8_t more)
{
	struct wbuf body = WBUF_INIT(16);

	more_put(&body, more);
	send_small(s, type, request, &body);
	wbuf_free(&body);
}

static int
list_step(struct server *srv, struct session *s, struct answer *a)
{
	struct wbuf body = WBUF_INIT(PROTO_SMALL_MAX);
	struct listed l;
	uint8_t *raw = NULL;
	int rc;

	rc = vault_snapshot_next(srv->v, a->job, a->after, &l, &raw);
	if (rc == RC_EOF || (rc == RC_OK && a->left == 0)) {
		free(raw);
		send_more(s, PROTO_LIST_END, a->request, rc == RC_OK);
		return RC_EOF;
	}
	if (rc != RC_OK)
		return rc;
	a->after = l.server.vault_seq;
	a->left--;
	a->sent += l.client_len;
	listed_put(&body, l.client, l.client_len, &l.server);
	send_small(s, PROTO_SNAPSHOT, a->request, &body);
	wbuf_free(&body);
	free(raw);
	return RC_OK;
}

static int
record_begin(struct server *srv, struct session *s, struct answer *a,
    struct rbuf *in)
{
	struct record_get g;
	int rc;

	(void)srv;
	(void)s;
	if ((rc = record_get_parse(in, &g)) != RC_OK)
		return rc;
	a->kind = g.kind;
	a->after = g.after;
	a->left = PER_PAGE;
	return RC_OK;
}

static int
record_step(struct server *srv, struct session *s, struct answer *a)
{
	struct wbuf body = WBUF_INIT(PROTO_RECORD_MAX + 64);
	struct record r;
	uint8_t *raw = NULL;
	int rc;

	rc = vault_record_next(srv->v, a->kind, a->after, &r, &raw);
	if (rc == RC_EOF || (rc == RC_OK && a->left == 0)) {
		free(raw);
		send_more(s, PROTO_RECORD_END, a->request, rc == RC_OK);
		return RC_EOF;
	}
	if (rc != RC_OK)
		return rc;
	a->after = r.seq;
	a->left--;
	a->sent += r.len;
	record_put(&body, &r);
	send_small(s, PROTO_RECORD, a->request, &body);
	wbuf_free(&body);
	free(raw);
	return RC_OK;
}

/* --- WALK --- */

static int
walk_begin(struct server *srv, struct session *s, struct answer *a,
    struct rbuf *in)
{
	struct walk w;
	int rc;

	if ((rc = walk_parse(in, &w)) != RC_OK)
		return rc;
	(void)srv;
	(void)s;
	if (!walk_possible(&w))
		return RC_PROTO;
	/* Sixty-four may wait, and a place can be 65,535 levels deep: it is
	 * found when it is its turn. */
	if ((a->cursor = malloc(w.cursor_len + 1)) == NULL)
		return RC_NOMEM;
	if (w.cursor_len > 0)
		memcpy(a->cursor, w.cursor, w.cursor_len);
	a->walk = w;
	a->walk.cursor = a->cursor;
	return RC_OK;
}

static void
walk_end(struct session *s, struct answer *a, const uint8_t *cursor,
    size_t len)
{
	struct wbuf body = WBUF_INIT(PROTO_CURSOR_MAX + 16);

	walk_end_put(&body, cursor, len);
	send_small(s, PROTO_WALK_END, a->request, &body);
	wbuf_free(&body);
}

static int
walk_step(struct server *srv, struct session *s, struct answer *a)
{
	uint8_t cursor[PROTO_CURSOR_MAX];
	struct object_id id;
	const uint8_t *wire;
	size_t len = 0;
	int rc;

	if (a->cursor != NULL) {
		rc = walker_init(&a->walker, srv->v, &a->walk);
		free(a->cursor);
		a->cursor = NULL;
		if (rc != RC_OK) {
			if (rc == RC_PROTO)
				refuse(s, PROTO_ERR_PROTOCOL,
				    "a cursor that never was");
			else
				send_error(s, a->request, rc,
				    "the cursor leads nowhere");
			return RC_EOF;
		}
	}
	if (a->walker.begun && a->walker.n > 0 && a->sent >= a->walk.budget &&
	    a->sent > 0 &&
	    walker_cursor(&a->walker, cursor, &len) == RC_OK) {
		walk_end(s, a, cursor, len);
		return RC_EOF;
	}
	rc = walker_next(&a->walker, &id, &wire, &len);
	switch (rc) {
	case RC_OK:
		a->sent += len;
		return send_obj(s, a->request, wire, len);
	case RC_AGAIN:
		return RC_OK;
	case RC_EOF:
		walk_end(s, a, NULL, 0);
		return RC_EOF;
	case RC_NOENT:
	case RC_CRC:
	case RC_TRUNCATED:
		a->sent += OBJECT_WIRE_MIN;	/* it counts for the budget */
		send_gone(s, a->request, &id, 0);
		return RC_OK;
	default:
		return rc;
	}
}

/* --- VERIFY --- */

static int
verify_begin(struct server *srv, struct session *s, struct answer *a,
    struct rbuf *in)
{
	uint8_t percent;
	int rc;

	(void)s;
	if ((rc = rbuf_u8(in, &percent)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (percent > 100)
		return RC_PROTO;
	return verify_new(&a->verifier, srv->v, percent);
}

static int
verify_answer(struct server *srv, struct session *s, struct answer *a)
{
	struct wbuf body = WBUF_INIT(1024);
	struct verify_end end;
	struct finding f;
	int rc;

	(void)srv;
	if (verify_take(a->verifier, &f)) {
		finding_put(&body, &f);
		send_small(s, PROTO_FINDING, a->request, &body);
		wbuf_free(&body);
		return RC_OK;
	}
	rc = verify_step(a->verifier);
	/* A step reads a few megabytes: then it is the others' turn. */
	a->sent += TURN_BYTES;
	if (rc == RC_AGAIN)
		return RC_OK;
	if (rc != RC_EOF)
		return rc;
	if (verify_take(a->verifier, &f)) {
		finding_put(&body, &f);
		send_small(s, PROTO_FINDING, a->request, &body);
		wbuf_free(&body);
		return RC_OK;
	}
	verify_totals(a->verifier, &end);
	if (end.findings > 0)
		log_err("verify: %llu findings in %llu objects",
		    (unsigned long long)end.findings,
		    (unsigned long long)end.objects);
	verify_end_put(&body, &end);
	send_small(s, PROTO_VERIFY_END, a->request, &body);
	wbuf_free(&body);
	return RC_EOF;
}

static const struct kind {
	uint16_t	type;
	int		(*begin)(struct server *srv, struct session *s,
			    struct answer *a, struct rbuf *in);
	int		(*step)(struct server *srv, struct session *s,
			    struct answer *a);	/* RC_EOF: all said */
} kinds[] = {
	{ PROTO_GET,		get_begin,	get_step },
	{ PROTO_WALK,		walk_begin,	walk_step },
	{ PROTO_LIST,		list_begin,	list_step },
	{ PROTO_RECORD_GET,	record_begin,	record_step },
	{ PROTO_VERIFY,		verify_begin,	verify_answer },
};

static const struct kind *
kind_find(uint16_t type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].type == type)
			return &kinds[i];
	return NULL;
}

int
answer_begin(struct server *srv, struct session *s,
    const struct link_frame *f)
{
	const struct kind *k = kind_find(f->type);
	struct answer *a;
	struct rbuf in;
	int rc;

	if (k == NULL)
		return RC_PROTO;
	if (s->nanswers >= SERVE_JOBS_MAX)
		return RC_LIMIT;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return RC_NOMEM;
	a->type = f->type;
	a->request = f->request;
	rbuf_init(&in, f->payload, f->len);
	if ((rc = k->begin(srv, s, a, &in)) != RC_OK) {
		s->get_ids -= a->nwant;
		answer_free(a);
		/* Ours, not the peer's, which may well ask again. */
		if (rc == RC_IO || rc == RC_FULL || rc == RC_NOMEM) {
			send_error(s, f->request, rc, NULL);
			rc = RC_OK;
		}
		return rc;
	}
	*s->answers_tail = a;
	s->answers_tail = &a->next;
	s->nanswers++;
	return RC_OK;
}

static void
answer_pop(struct session *s)
{
	struct answer *a = s->answers;

	if ((s->answers = a->next) == NULL)
		s->answers_tail = &s->answers;
	s->nanswers--;
	answer_free(a);
}

void
answers_work(struct server *srv, struct session *s)
{
	uint64_t turn = 0, until = io_now_ms() + SERVE_TURN_MS;
	int rc;

	while (s->answers != NULL && !s->ending && !s->stalled) {
		struct answer *a = s->answers;
		uint64_t before = a->sent;

		/* A walk can look at much and have nothing to say. */
		if (turn >= TURN_BYTES || (turn > 0 && io_now_ms() >= until)) {
			srv->more_work = true;
			return;
		}
		rc = kind_find(a->type)->step(srv, s, a);
		turn += a->sent - before + 64;
		if (rc == RC_EOF) {
			answer_pop(s);
			continue;
		}
		if (rc != RC_OK) {
			send_error(s, a->request, rc, NULL);
			answer_pop(s);
			continue;
		}
		/* Small frames wait in memory: not more than a few. */
		rc = link_flush(s->link);
		if (rc == RC_AGAIN)
			s->stalled = true;
		else if (rc != RC_OK)
			s->ending = true;
	}
}
