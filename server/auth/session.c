#include "config.h"

#include "server/auth/serve.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"

/* What session workers ask: log-in, enrolment, pairing. */
#define PAIR_CALLS_MAX	32		/* of one connection */

static int
on_nonce(void *arg, struct chan *c, struct msg *m)
{
	struct wbuf b = WBUF_INIT(32);
	struct auth_call *q = arg;
	struct worker *w = q->w;
	int rc;

	(void)c;
	if ((rc = rbuf_end(&m->body)) != RC_OK ||
	    (rc = secret_random(w->nonce, sizeof(w->nonce))) != RC_OK)
		return rc;
	w->state = W_NONCE;
	wbuf_bytes(&b, w->nonce, sizeof(w->nonce));
	rc = worker_send(w, MSG_AUTH_NONCE_OK, &b);
	wbuf_free(&b);
	return rc;
}

static int
parse_try(const struct auth_call *q, struct rbuf *in, struct login_try *t)
{
	int rc;

	if ((rc = rbuf_blob16(in, &t->hello, &t->hello_len,
	    PROTO_PRELOGIN_MAX)) != RC_OK ||
	    (rc = rbuf_blob16(in, &t->ok, &t->ok_len,
	    PROTO_PRELOGIN_MAX)) != RC_OK ||
	    (rc = rbuf_bytes(in, t->exporter, sizeof(t->exporter))) != RC_OK ||
	    (rc = rbuf_blob16(in, &t->payload, &t->payload_len,
	    PROTO_PRELOGIN_MAX)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	memcpy(t->nonce, q->w->nonce, sizeof(t->nonce));
	t->may_clear = (q->w->verdict & CONN_CLEAR) != 0;
	t->now = q->a->o.seconds();
	return RC_OK;
}

static void
full_name(const struct db_client *c, char name[130])
{
	memset(name, 0, 130);
	snprintf(name, 130, "%s/%s", c->account, c->name);
}

/* Before the worker hears of it. */
static int
tell_grant(const struct auth_call *q, const struct login_result *r)
{
	struct wbuf b = WBUF_INIT(243);
	char name[130];

	full_name(&r->client, name);
	wbuf_u32(&b, q->w->number);
	wbuf_u64(&b, q->w->conn);
	wbuf_bytes(&b, r->client.vault, 16);
	wbuf_bytes(&b, r->client.instance, 16);
	wbuf_bytes(&b, r->client.id, 16);
	wbuf_bytes(&b, r->client.key, ED25519_LEN);
	wbuf_u32(&b, PROTO_RIGHT_BACKUP | PROTO_RIGHT_RESTORE);
	wbuf_u8(&b, r->create);
	wbuf_u64(&b, (uint64_t)q->a->o.conf.lock_days * 86400);
	wbuf_bytes(&b, name, sizeof(name));
	return auth_to_master(q->a, MSG_GRANT, &b);
}

static int
answer(const struct auth_call *q, const struct login_result *r,
    const struct wbuf *more)
{
	struct wbuf b = WBUF_INIT(1024);
	int rc;

	if (r->event != 0)
		auth_event(q->a, q->w, r->event);
	wbuf_u16(&b, r->code);
	wbuf_str(&b, r->text);
	if (r->code == 0)
		wbuf_bytes(&b, more->data, more->len);
	if ((rc = wbuf_rc(&b)) == RC_OK)
		rc = worker_send(q->w, MSG_AUTH_ANSWER, &b);
	wbuf_free(&b);
	return rc;
}

/* The list in the catalog has when each client was seen last. */
static void
note_seen(const struct auth_call *q, const struct login_result *r)
{
	struct db_client c;

	if (db_client_get(q->a->db, r->client.id, &c) == RC_OK &&
	    c.seen != r->client.seen)
		notes_client(&q->a->notes, &c);
}

static void
enrolled(const struct auth_call *q, const struct login_result *r,
    const char *name)
{
	char from[ADDR_TEXT_MAX];
	struct audit e = { .who = name, .from = worker_from(q->w, from),
	    .act = "client-enrol", .object = name,
	    .detail = r->existing ? "with a new key" : "" };
	struct db_client c;

	if (db_client_get(q->a->db, r->client.id, &c) == RC_OK)
		notes_client(&q->a->notes, &c);
	notes_audit(&q->a->notes, &e);
}

static int
on_login(void *arg, struct chan *c, struct msg *m)
{
	struct wbuf more = WBUF_INIT(512);
	struct login_try t = { 0 };
	struct auth_call *q = arg;
	struct worker *w = q->w;
	struct login_result r;
	char name[130];
	int rc;

	(void)c;
	w->state = W_DONE;
	if ((rc = parse_try(q, &m->body, &t)) != RC_OK)
		return rc;
	auth_login(q->a->db, &q->a->o.self, &t, &r);
	secret_wipe(w->nonce, sizeof(w->nonce));
	if (r.code == 0) {
		note_seen(q, &r);
		if ((rc = tell_grant(q, &r)) != RC_OK)
			return rc;
		full_name(&r.client, name);
		wbuf_bytes(&more, r.client.vault, 16);
		wbuf_bytes(&more, r.client.instance, 16);
		wbuf_u32(&more, PROTO_RIGHT_BACKUP | PROTO_RIGHT_RESTORE);
		wbuf_str(&more, name);
	}
	rc = answer(q, &r, &more);
	wbuf_free(&more);
	return rc;
}

static int
on_enrol(void *arg, struct chan *c, struct msg *m)
{
	struct wbuf more = WBUF_INIT(512);
	struct login_try t = { 0 };
	struct enrol_ok ok = { 0 };
	struct auth_call *q = arg;
	struct worker *w = q->w;
	struct login_result r;
	int rc;

	(void)c;
	w->state = W_ENROLLED;
	if ((rc = parse_try(q, &m->body, &t)) != RC_OK)
		return rc;
	auth_enrol(q->a->db, &q->a->o.self, &t, &r);
	if (r.code == 0) {
		/* whoever holds the old key is not this client any more */
		if (r.existing)
			auth_cut_off(q->a, r.client.vault);
		memcpy(ok.client, r.client.id, sizeof(ok.client));
		memcpy(ok.vault, r.client.vault, sizeof(ok.vault));
		memcpy(ok.instance, r.client.instance, sizeof(ok.instance));
		memcpy(ok.identity, q->a->o.self.identity, sizeof(ok.identity));
		ok.existing = r.existing;
		full_name(&r.client, ok.name);
		enrol_ok_put(&more, &ok);
		enrolled(q, &r, ok.name);
	} else {
		w->state = W_DONE;
	}
	rc = answer(q, &r, &more);
	wbuf_free(&more);
	return rc;
}

/* --- pairing --- */

static int
pair_answer(const struct auth_call *q, uint16_t code, const char *text,
    const struct wbuf *more)
{
	struct login_result r = { .code = code };

	snprintf(r.text, sizeof(r.text), "%s", text);
	if (code == PROTO_ERR_AUTH)
		r.event = AUTH_EV_PROTOCOL;
	else if (code == 0)
		r.event = AUTH_EV_PAIR;
	return answer(q, &r, more);
}

static int
pair_state(const struct auth_call *q, struct pair_state_msg *s)
{
	struct wbuf more = WBUF_INIT(1536);
	int rc;

	pair_state_put(&more, s);
	rc = pair_answer(q, 0, "", &more);
	wbuf_free(&more);
	secret_wipe(s, sizeof(*s));
	return rc;
}

static int
pair_ask(const struct auth_call *q, struct rbuf *in)
{
	struct wbuf more = WBUF_INIT(256);
	struct pair_ok ok;
	struct pair ask;
	int rc;

	if ((rc = pair_parse(in, &ask)) != RC_OK)
		return rc;
	if (q->w->asked)
		return RC_STATE;
	rc = pairs_ask(&q->a->pairs, &ask, &q->w->addr, q->a->o.seconds(),
	    &ok);
	if (rc == RC_BUSY)
		return pair_answer(q, PROTO_ERR_LATER, "too many pairings wait "
		    "already", NULL);
	if (rc != RC_OK)
		return rc;
	q->w->asked = true;
	memcpy(q->w->pairing, ok.pairing, sizeof(q->w->pairing));
	pair_ok_put(&more, &ok);
	rc = pair_answer(q, 0, "", &more);
	wbuf_free(&more);
	return rc;
}

/* On the connection that asked, once: nobody else's nonce is looked at. */
static int
pair_opened(const struct auth_call *q, const struct pair_open *o)
{
	struct pair_state_msg s = { .state = PAIR_WAITING };
	char from[ADDR_TEXT_MAX];
	struct audit e = { .from = worker_from(q->w, from),
	    .act = "pair-request" };
	struct pairing *v;
	int rc;

	if (!q->w->asked ||
	    !secret_equal(o->pairing, q->w->pairing, sizeof(o->pairing)))
		return RC_STATE;
	rc = pairs_open(&q->a->pairs, &q->a->o.self, o, q->a->o.seconds(), &v);
	if (rc == RC_AUTH)
		return pair_answer(q, PROTO_ERR_AUTH, "that is not what was "
		    "committed to", NULL);
	if (rc == RC_NOENT)
		return pair_answer(q, PROTO_ERR_NOENT, "the pairing is "
		    "forgotten", NULL);
	if (rc != RC_OK)
		return rc;
	e.object = v->ask.name;		/* its own word: nobody's `who` */
	notes_audit(&q->a->notes, &e);
	log_notice("pairing asked by \"%s\" from %s", v->ask.name, from);
	return pair_state(q, &s);
}

static int
on_pair(void *arg, struct chan *c, struct msg *m)
{
	struct auth_call *q = arg;
	static const uint8_t zeros[32];
	struct pair_state_msg s;
	struct pair_open o;
	const uint8_t *p, *exporter;
	uint16_t type;
	struct rbuf in;
	size_t n;
	int rc;

	(void)c;
	if ((rc = rbuf_u16(&m->body, &type)) != RC_OK ||
	    (rc = rbuf_view(&m->body, &exporter, 32)) != RC_OK ||
	    (rc = rbuf_blob16(&m->body, &p, &n, PROTO_PRELOGIN_MAX)) !=
	    RC_OK || (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (q->w->pair_calls++ >= PAIR_CALLS_MAX)
		return RC_LIMIT;
	/* the code speaks of a TLS key, so there has to be one */
	if (memcmp(exporter, zeros, sizeof(zeros)) == 0)
		return pair_answer(q, PROTO_ERR_PLAINTEXT, "pairing is refused "
		    "in clear text: use TLS", NULL);
	rbuf_init(&in, p, n);
	if (type == PROTO_PAIR)
		return pair_ask(q, &in);
	if (type != PROTO_PAIR_OPEN && type != PROTO_PAIR_POLL)
		return RC_RANGE;
	if ((rc = pair_open_parse(&in, &o)) != RC_OK)
		return rc;
	if (type == PROTO_PAIR_OPEN)
		return pair_opened(q, &o);
	pairs_poll(&q->a->pairs, &o, q->a->o.seconds(), &s);
	return pair_state(q, &s);
}

const struct handler auth_from_session[] = {
	{ MSG_AUTH_NONCE, W_CONN, on_nonce },
	{ MSG_AUTH_ENROL, W_NONCE, on_enrol },
	{ MSG_AUTH_LOGIN, W_NONCE | W_ENROLLED, on_login },
	{ MSG_AUTH_PAIR, W_NONCE, on_pair },
};
const size_t auth_from_session_n = NITEMS(auth_from_session);
