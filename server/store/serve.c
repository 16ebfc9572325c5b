#include "config.h"

#include "server/store/serve.h"

#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "common/wbuf.h"

#define FRAMES_AT_ONCE	64	/* of one session, before others have a turn */

void
server_init(struct server *srv, struct vault *v, struct io_pool *io)
{
	memset(srv, 0, sizeof(*srv));
	srv->v = v;
	srv->io = io;
	srv->queue_tail = &srv->queue;
	tell_init(&srv->tell, v);
}

void
send_small(struct session *s, uint16_t type, uint32_t request,
    const struct wbuf *body)
{
	int rc = body == NULL ? RC_OK : wbuf_rc(body);

	if (rc == RC_OK)
		rc = link_send(s->link, type, request,
		    body == NULL ? NULL : body->data,
		    body == NULL ? 0 : body->len, NULL, 0);
	/* Who does not read its answers has no use for more of them. */
	if (rc != RC_OK)
		s->ending = true;
}

void
send_error(struct session *s, uint32_t request, int rc, const char *text)
{
	struct wbuf body = WBUF_INIT(512);
	uint16_t code;

	switch (rc) {
	case RC_OLDER:
		code = PROTO_ERR_SEQUENCE;
		break;
	case RC_AGAIN:
	case RC_BUSY:
		code = PROTO_ERR_LATER;
		break;
	case RC_RANGE:
	case RC_PROTO:
	case RC_TRUNCATED:
	case RC_TRAILING:
		code = PROTO_ERR_PROTOCOL;
		break;
	case RC_CRC:
	case RC_CORRUPT:
		code = PROTO_ERR_CORRUPT;
		break;
	default:
		code = proto_error_of(rc);
		break;
	}
	proto_err_put(&body, code, text == NULL ? rc_str(rc) : text);
	send_small(s, PROTO_ERROR, request, &body);
	wbuf_free(&body);
}

void
refuse(struct session *s, uint16_t code, const char *text)
{
	struct wbuf body = WBUF_INIT(512);

	if (!s->ending && code != PROTO_ERR_SHUTDOWN)
		log_warn("%s: conn=%llu refused: %s", s->grant.name,
		    (unsigned long long)s->conn, text);
	wbuf_u16(&body, code);
	wbuf_str(&body, text);
	/* What cannot be said is left unsaid; the channel closes anyway. */
	if (wbuf_rc(&body) == RC_OK)
		(void)chan_send(link_chan(s->link), MSG_LINK_CLOSE, &body, -1);
	wbuf_free(&body);
	s->ending = true;
}

static int
send_welcome(struct server *srv, struct chan *c)
{
	struct wbuf body = WBUF_INIT(32);
	int64_t wall;
	uint64_t boot;
	int rc;

	if ((rc = vault_time(srv->v, &wall, &boot)) != RC_OK)
		return rc;
	wbuf_i64(&body, wall);
	wbuf_u64(&body, vault_clock(srv->v));
	wbuf_u64(&body, srv->v->state.durable_seq);
	wbuf_u16(&body, 1);
	if ((rc = wbuf_rc(&body)) == RC_OK)
		rc = chan_send(c, MSG_STORE_WELCOME, &body, -1);
	wbuf_free(&body);
	return rc;
}

int
server_grant(struct server *srv, struct chan *c, uint64_t conn,
    const struct grant *g)
{
	struct session *s;

	if (srv->nsessions >= SERVE_SESSIONS_MAX ||
	    (s = calloc(1, sizeof(*s))) == NULL) {
		chan_free(c);
		return RC_BUSY;
	}
	if (send_welcome(srv, c) != RC_OK) {
		chan_free(c);
		free(s);
		return RC_EOF;
	}
	if ((s->link = link_new(c, OBJECT_WIRE_MAX)) == NULL) {
		free(s);
		return RC_NOMEM;
	}
	s->conn = conn;
	s->grant = *g;
	s->answers_tail = &s->answers;
	s->next = srv->sessions;
	srv->sessions = s;
	srv->nsessions++;
	return RC_OK;
}

void
session_end(struct server *srv, struct session *s)
{
	struct session **p;

	for (p = &srv->sessions; *p != NULL && *p != s; p = &(*p)->next)
		;
	if (*p != NULL) {
		*p = s->next;
		srv->nsessions--;
	}
	sync_forget(srv, s);
	for (struct run *r = srv->v->runs; r != NULL; r = r->next) {
		if (r->owner == s) {
			r->owner = NULL;
			r->lost_ms = io_now_ms();
		}
	}
	answers_free(s);
	link_free(s->link);
	free(s);
}

/* --- backup --- */

static int
on_run_begin(struct server *srv, struct session *s,
    const struct link_frame *f)
{
	struct vault *v = srv->v;
	struct wbuf body = WBUF_INIT(PROTO_SMALL_MAX);
	struct run_begin b;
	struct run *r = NULL;
	struct rbuf in;
	uint8_t flags = 0;
	size_t n;
	bool resumed;
	int rc;

	rbuf_init(&in, f->payload, f->len);
	if ((rc = run_begin_parse(&in, &b)) != RC_OK)
		return rc;
	/* One connection has one run at a time; the one before is given up. */
	if (s->committing)
		return RC_STATE;
	if (s->run != NULL && memcmp(s->run->id, b.run, 16) != 0) {
		tell_left(&srv->tell, s->run);
		run_end(v, s->run);
		s->run = NULL;
	}
	if ((r = run_find(v, b.run)) != NULL && r->committing) {
		rc = RC_BUSY;
	} else {
		/* It moves here from a connection that was lost. */
		if (r != NULL && r->owner != NULL &&
		    memcmp(r->client, s->grant.client, 16) == 0) {
			((struct session *)r->owner)->run = NULL;
			r->owner = NULL;
			r->lost_ms = io_now_ms();
		}
		rc = run_begin(v, &s->grant, &b, &r, &resumed);
	}
	if (rc != RC_OK) {
		send_error(s, f->request, rc, NULL);
		return RC_OK;
	}
	r->owner = s;
	s->run = r;
	s->put_failed = false;
	tell_begun(&srv->tell, r, resumed);
	flags |= r->has_base ? PROTO_RUN_BASE : 0;
	flags |= resumed ? PROTO_RUN_RESUMED : 0;
	flags |= index_count(v->index) == 0 && r->objects == 0 ?
	    PROTO_RUN_EMPTY : 0;
	n = v->state.ndamaged < PROTO_IDS_MAX ? v->state.ndamaged :
	    PROTO_IDS_MAX;
	run_ok_put(&body, flags, state_client(&v->state,
	    s->grant.client)->last_seq, v->state.damaged, n);
	send_small(s, PROTO_RUN_OK, f->request, &body);
	wbuf_free(&body);
	return RC_OK;
}

static int
on_have(struct server *srv, struct session *s, const struct link_frame *f)
{
	struct wbuf body = WBUF_INIT(512);
	uint8_t have[PROTO_IDS_MAX];
	struct object_id id;
	struct rbuf in;
	struct ids ids;
	struct run *r = s->run;
	int rc;

	rbuf_init(&in, f->payload, f->len);
	if ((rc = ids_parse(&in, &ids)) != RC_OK)
		return rc;
	if (r == NULL) {
		send_error(s, f->request, RC_STATE, "no run");
		return RC_OK;
	}
	for (size_t i = 0; i < ids.n; i++) {
		memcpy(id.b, ids.p + i * OBJECT_ID_LEN, OBJECT_ID_LEN);
		have[i] = (uint8_t)vault_have(srv->v, r, &id);
	}
	have_ok_put(&body, have, ids.n);
	send_small(s, PROTO_HAVE_OK, f->request, &body);
	wbuf_free(&body);
	return RC_OK;
}

void
send_ack(struct session *s, uint16_t type, uint32_t request)
{
	struct wbuf body = WBUF_INIT(32);
	struct ack a = { s->received, s->durable };

	ack_put(&body, &a);
	send_small(s, type, request, &body);
	wbuf_free(&body);
	s->acked_received = s->received;
	s->acked_durable = s->durable;
	s->ack_due_ms = 0;
}

static int
on_put(struct server *srv, struct session *s, const struct link_frame *f)
{
	struct run *r = s->run;
	int rc;

	s->received++;
	s->put_request = f->request;
	if (r == NULL || r->committing)
		rc = RC_STATE;
	else
		rc = vault_put(srv->v, r, f->payload, f->len);
	switch (rc) {
	case RC_OK:
		tell_put(r, f->len);
		break;
	case RC_CRC:
	case RC_PROTO:
	case RC_LIMIT:
	case RC_TRUNCATED:
	case RC_TRAILING:
	case RC_VERSION:
		refuse(s, PROTO_ERR_PROTOCOL, "not a whole object");
		return RC_OK;
	default:
		/* Up to a window of objects is under way: told once. */
		if (!s->put_failed)
			send_error(s, f->request, rc, NULL);
		s->put_failed = true;
		break;
	}
	if (s->received - s->acked_received >= PROTO_ACK_EVERY)
		send_ack(s, PROTO_ACK, f->request);
	else if (s->ack_due_ms == 0)
		s->ack_due_ms = io_now_ms() + PROTO_ACK_MS;
	return RC_OK;
}

static int
on_record_add(struct server *srv, struct session *s,
    const struct link_frame *f)
{
	struct wbuf body = WBUF_INIT(16);
	struct record r;
	struct rbuf in;
	uint64_t seq;
	int rc;

	rbuf_init(&in, f->payload, f->len);
	if ((rc = record_parse(&in, &r)) != RC_OK)
		return rc;
	rc = vault_record_add(srv->v, &s->grant, r.kind, r.body, r.len, &seq);
	if (rc == RC_OK) {
		wbuf_u64(&body, seq);
		send_small(s, PROTO_RECORD_OK, f->request, &body);
	} else {
		send_error(s, f->request, rc, NULL);
	}
	wbuf_free(&body);
	return RC_OK;
}

static int
on_bad(struct server *srv, struct session *s, const struct link_frame *f)
{
	struct id_copy c;
	struct rbuf in;
	int rc;

	rbuf_init(&in, f->payload, f->len);
	if ((rc = id_copy_parse(&in, &c)) != RC_OK)
		return rc;
	rc = vault_bad(srv->v, &c.id, c.copy);
	if (rc == RC_OK)
		send_small(s, PROTO_BAD_OK, f->request, NULL);
	else
		send_error(s, f->request, rc, NULL);
	return RC_OK;
}

static int
on_ping(struct server *srv, struct session *s, const struct link_frame *f)
{
	struct wbuf body = WBUF_INIT(8);

	if (f->type == PROTO_PING) {
		wbuf_bytes(&body, f->payload, f->len);
		send_small(s, PROTO_PONG, f->request, &body);
	} else if (f->type == PROTO_BYE) {
		/* It could still come back within the grace; nobody who says
		 * this means to. */
		if (s->run != NULL && !s->run->committing)
			tell_left(&srv->tell, s->run);
		s->ending = true;
	}
	wbuf_free(&body);
	return RC_OK;
}

/* No answer, whatever it says: the run is over for this client. */
static int
on_report(struct server *srv, struct session *s, const struct link_frame *f)
{
	struct report r;
	struct rbuf in;
	int rc;

	rbuf_init(&in, f->payload, f->len);
	if ((rc = report_parse(&in, &r)) != RC_OK)
		return rc;
	if (s->reports == TELL_REPORTS_MAX)
		return RC_OK;
	s->reports++;
	if (!tell_report(&srv->tell, s->grant.client, &r))
		log_warn("%s: conn=%llu reports on a run that is not its own",
		    s->grant.name, (unsigned long long)s->conn);
	return RC_OK;
}

static int
on_run_join(struct server *srv, struct session *s, const struct link_frame *f)
{
	(void)srv;
	send_error(s, f->request, RC_UNSUPPORTED, NULL);
	return RC_OK;
}

static const struct serve_row {
	uint16_t	type;
	uint32_t	right;		/* 0: any */
	int		(*fn)(struct server *srv, struct session *s,
			    const struct link_frame *f);
} rows[] = {
	{ PROTO_PUT,		PROTO_RIGHT_BACKUP,	on_put },
	{ PROTO_HAVE,		PROTO_RIGHT_BACKUP,	on_have },
	{ PROTO_RUN_BEGIN,	PROTO_RIGHT_BACKUP,	on_run_begin },
	{ PROTO_RUN_JOIN,	PROTO_RIGHT_BACKUP,	on_run_join },
	{ PROTO_FLUSH,		PROTO_RIGHT_BACKUP,	on_flush },
	{ PROTO_COMMIT,		PROTO_RIGHT_BACKUP,	on_commit },
	{ PROTO_RECORD_ADD,	PROTO_RIGHT_BACKUP,	on_record_add },
	{ PROTO_REPORT,		PROTO_RIGHT_BACKUP,	on_report },
	{ PROTO_LIST,		PROTO_RIGHT_RESTORE,	answer_begin },
	{ PROTO_GET,		PROTO_RIGHT_RESTORE,	answer_begin },
	{ PROTO_WALK,		PROTO_RIGHT_RESTORE,	answer_begin },
	{ PROTO_VERIFY,		PROTO_RIGHT_RESTORE,	answer_begin },
	{ PROTO_RECORD_GET,	PROTO_RIGHT_RESTORE,	answer_begin },
	{ PROTO_BAD,		0,			on_bad },
	{ PROTO_PING,		0,			on_ping },
	{ PROTO_PONG,		0,			on_ping },
	{ PROTO_ERROR,		0,			on_ping },
	{ PROTO_BYE,		0,			on_ping },
};

static void
on_frame(struct server *srv, struct session *s, const struct link_frame *f)
{
	struct frame fr = { .length = (uint32_t)f->len, .type = f->type };
	int rc = RC_PROTO;

	/* The session checked this; a session that was taken over did not. */
	if (frame_allowed(&fr, PROTO_C, PROTO_ST_OPEN) != RC_OK) {
		refuse(s, PROTO_ERR_PROTOCOL, "a frame that may not come");
		return;
	}
	for (size_t i = 0; i < NITEMS(rows); i++) {
		if (rows[i].type != f->type)
			continue;
		if ((s->grant.rights & rows[i].right) != rows[i].right) {
			send_error(s, f->request, RC_DENIED, NULL);
			return;
		}
		rc = rows[i].fn(srv, s, f);
		break;
	}
	if (rc != RC_OK)
		refuse(s, rc == RC_LIMIT ? PROTO_ERR_LIMIT :
		    rc == RC_STATE ? PROTO_ERR_STATE : PROTO_ERR_PROTOCOL,
		    rc_str(rc));
}

void
session_input(struct server *srv, struct session *s)
{
	uint64_t until = io_now_ms() + SERVE_TURN_MS;
	struct link_frame f;
	int rc;

	for (int i = 0; i < FRAMES_AT_ONCE && !s->ending; i++) {
		if (i > 0 && io_now_ms() >= until)
			break;
		rc = link_recv(s->link, &f);
		if (rc == RC_AGAIN)
			return;
		if (rc == RC_EOF)
			s->ending = true;
		else if (rc != RC_OK)
			refuse(s, PROTO_ERR_PROTOCOL, rc_str(rc));
		else
			on_frame(srv, s, &f);
	}
	if (!s->ending)
		srv->more_work = true;
}

void
session_output(struct server *srv, struct session *s)
{
	int rc = link_flush(s->link);

	if (rc != RC_OK && rc != RC_AGAIN) {
		s->ending = true;
		return;
	}
	s->stalled = rc == RC_AGAIN;
	if (!s->stalled)
		answers_work(srv, s);
}
