#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/remote_impl.h"
#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"
#include "common/secret.h"

/*
 * Requests that wait for their own answer.  Each has a small struct with what
 * it fills in, and an `on_` function that takes the frames with its number.
 */
#define LEAST_FRAME	(PROTO_IDS_MAX * 33 + 2)	/* a full GET */
#define FEATURES	(PROTO_FEATURE_PAIR | PROTO_FEATURE_REPORT)
#define REPORT_MS	1000

bool
remote_is_clear(const struct remote *r)
{
	static const uint8_t zeros[32];

	return memcmp(r->exporter, zeros, sizeof(zeros)) == 0;
}

/* --- hello --- */

struct hello_call {
	const struct wbuf *sent;
};

static int
check_identity(struct remote *r, const struct wbuf *sent)
{
	struct wbuf text = WBUF_INIT(PROTO_PRELOGIN_MAX);
	uint8_t fp[SHA256_LEN];
	int rc;

	if ((rc = sha256(r->hello.identity, ED25519_LEN, fp)) != RC_OK)
		return remote_fail(r, rc, "no SHA-256");
	if (r->first_contact) {
		memcpy(r->identity_fp, fp, sizeof(fp));
		return remote_is_clear(r) ? remote_fail(r, RC_DENIED,
		    "a server is first met over TLS only") : RC_OK;
	}
	if (!secret_equal(fp, r->identity_fp, sizeof(fp)))
		return remote_fail(r, RC_PIN,
		    "the server is not the one this machine was enrolled with "
		    "(its identity key differs); if it was set up anew, enrol "
		    "again with a fresh token");
	if (!remote_is_clear(r) && !r->hello.signed_)
		return RC_OK;
	/* Nothing but this signature says who is at the other end of clear
	 * text. */
	if (!r->hello.signed_)
		return remote_fail(r, RC_AUTH,
		    "the server did not sign its clear text hello; "
		    "do not use clear text with it");
	rc = hello_sign_text(&text, sent->data, sent->len, &r->hello);
	if (rc == RC_OK && (rc = wbuf_rc(&text)) == RC_OK)
		rc = ed25519_verify(r->hello.identity, text.data, text.len,
		    r->hello.sig);
	wbuf_free(&text);
	if (rc != RC_OK)
		return remote_fail(r, RC_AUTH,
		    "the signature in the server's hello is wrong; "
		    "somebody may sit in between");
	return RC_OK;
}

static int
on_hello_ok(struct remote *r, const struct link_frame *f, struct answer *a)
{
	const struct hello_call *c = a->arg;
	struct rbuf in;
	int rc;

	if (f->type != PROTO_HELLO_OK)
		return remote_unexpected(r, f);
	rbuf_init(&in, f->payload, f->len);
	if (hello_ok_parse(&in, &r->hello) != RC_OK)
		return remote_malformed(r, f);
	if (r->hello.version != PROTO_VERSION)
		return remote_fail(r, RC_VERSION,
		    "the server speaks version %u of the protocol, "
		    "this program version %u; update the older one",
		    r->hello.version, PROTO_VERSION);
	if (r->hello.ids_max < PROTO_IDS_MAX ||
	    r->hello.frame_max < LEAST_FRAME)
		return remote_fail(r, RC_UNSUPPORTED,
		    "the server takes smaller frames than this program sends");
	rc = hellos_hash(c->sent->data, c->sent->len, f->payload, f->len,
	    r->hellos);
	if (rc != RC_OK)
		return remote_fail(r, rc, "no SHA-256");
	if ((rc = check_identity(r, c->sent)) != RC_OK)
		return rc;
	r->state = PROTO_ST_AUTH;
	a->done = true;
	return RC_OK;
}

int
remote_say_hello(struct remote *r)
{
	struct wbuf body = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct hello_call c = { .sent = &body };
	struct answer a = { .on = on_hello_ok, .arg = &c };
	struct hello h = { .version_min = PROTO_VERSION,
	    .version_max = PROTO_VERSION, .features = FEATURES };
	int rc;

	if ((rc = secret_random(h.nonce, sizeof(h.nonce))) != RC_OK)
		return remote_fail(r, rc, "the kernel gave no random bytes");
	hello_put(&body, &h);
	rc = remote_call(r, PROTO_HELLO, &body, &a);
	r->said_hello = rc == RC_OK;
	wbuf_free(&body);
	return rc;
}

/* --- enrol, log in --- */

static int
on_enrol_ok(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct enrol_ok *ok = a->arg;
	struct rbuf in;

	if (f->type != PROTO_ENROL_OK)
		return remote_unexpected(r, f);
	rbuf_init(&in, f->payload, f->len);
	if (enrol_ok_parse(&in, ok) != RC_OK)
		return remote_malformed(r, f);
	if (memcmp(ok->identity, r->hello.identity, ED25519_LEN) != 0)
		return remote_fail(r, RC_PIN,
		    "the server names two identity keys");
	a->done = true;
	return RC_OK;
}

int
remote_enrol(struct remote *r, const struct token *t,
    const uint8_t client_key[ED25519_LEN], struct enrol_ok *ok)
{
	struct wbuf body = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct answer a = { .on = on_enrol_ok, .arg = ok };
	struct enrol e;
	int rc;

	if (remote_is_clear(r))
		return remote_fail(r, RC_DENIED,
		    "a machine is enrolled over TLS only");
	memcpy(e.token, t->id, sizeof(e.token));
	memcpy(e.client_key, client_key, sizeof(e.client_key));
	rc = enrol_mac(&t->secret, r->hellos, r->exporter, client_key, e.mac);
	if (rc != RC_OK)
		return remote_fail(r, rc, "%s", rc_str(rc));
	enrol_put(&body, &e);
	rc = remote_call(r, PROTO_ENROL, &body, &a);
	wbuf_free(&body);
	return rc;
}

struct login_call {
	const struct keys	*k;
	struct auth_ok		*ok;
};

static size_t
least(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

static int
on_auth_ok(struct remote *r, const struct link_frame *f, struct answer *a)
{
	static const uint8_t zeros[16];
	const struct login_call *c = a->arg;
	struct auth_ok *ok = c->ok;
	struct rbuf in;

	if (f->type != PROTO_AUTH_OK)
		return remote_unexpected(r, f);
	rbuf_init(&in, f->payload, f->len);
	if (auth_ok_parse(&in, ok) != RC_OK)
		return remote_malformed(r, f);
	if (memcmp(c->k->vault, zeros, sizeof(zeros)) != 0 &&
	    memcmp(c->k->vault, ok->vault, sizeof(zeros)) != 0)
		return remote_fail(r, RC_AUTH,
		    "the server opened another vault than this machine's; "
		    "ask its administrator");
	if (ok->credit_put < OBJECT_WIRE_MAX ||
	    ok->credit_have < PROTO_IDS_MAX)
		return remote_fail(r, RC_UNSUPPORTED,
		    "the server grants less credit than one object needs");
	r->put_max = least(ok->credit_put, PROTO_CREDIT_PUT);
	r->have_max = least(ok->credit_have, PROTO_CREDIT_HAVE);
	r->auth = *ok;
	r->state = PROTO_ST_OPEN;
	a->done = true;
	return RC_OK;
}

int
remote_login(struct remote *r, const struct keys *k, struct auth_ok *ok)
{
	struct wbuf text = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct wbuf body = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct login_call c = { k, ok };
	struct answer a = { .on = on_auth_ok, .arg = &c };
	struct auth m;
	int rc;

	memcpy(m.client, k->client, sizeof(m.client));
	auth_sign_text(&text, r->hellos, r->exporter, r->identity_fp,
	    k->client);
	if ((rc = wbuf_rc(&text)) == RC_OK)
		rc = ed25519_sign(&k->identity, text.data, text.len, m.sig);
	if (rc != RC_OK) {
		rc = remote_fail(r, rc, "%s", rc_str(rc));
		goto out;
	}
	auth_put(&body, &m);
	rc = remote_call(r, PROTO_AUTH, &body, &a);
out:
	wbuf_free(&text);
	wbuf_free(&body);
	return rc;
}

/* --- a run --- */

static int
on_run_ok(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct run_ok *ok = a->arg;
	struct rbuf in;

	if (f->type != PROTO_RUN_OK)
		return remote_unexpected(r, f);
	rbuf_init(&in, f->payload, f->len);
	if (run_ok_parse(&in, ok) != RC_OK)
		return remote_malformed(r, f);
	/* The frame's buffer is used again; these ids have to last. */
	free(r->run_wanted);
	r->run_wanted = NULL;
	if (ok->wanted.n > 0) {
		r->run_wanted = calloc(ok->wanted.n, sizeof(*r->run_wanted));
		if (r->run_wanted == NULL)
			return RC_NOMEM;
		memcpy(r->run_wanted, ok->wanted.p,
		    ok->wanted.n * sizeof(*r->run_wanted));
	}
	ok->wanted.p = (const uint8_t *)r->run_wanted;
	a->done = true;
	return RC_OK;
}

int
remote_run_begin(struct remote *r, const struct run_begin *b,
    struct run_ok *ok)
{
	struct wbuf body = WBUF_INIT(PROTO_SMALL_MAX);
	struct answer a = { .on = on_run_ok, .arg = ok };
	int rc;

	run_begin_put(&body, b);
	rc = remote_call(r, PROTO_RUN_BEGIN, &body, &a);
	wbuf_free(&body);
	return rc;
}

static int
on_flushed(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct ack *k = a->arg;
	int rc;

	if (f->type != PROTO_FLUSHED)
		return remote_unexpected(r, f);
	if ((rc = remote_take_ack(r, f, k)) != RC_OK)
		return rc;
	a->done = true;
	return RC_OK;
}

int
remote_flush(struct remote *r, bool durable, struct ack *k)
{
	struct wbuf body = WBUF_INIT(1);
	struct answer a = { .on = on_flushed, .arg = k };
	uint64_t sent = r->put_sent;
	int rc;

	wbuf_u8(&body, durable ? 1 : 0);
	rc = remote_call(r, PROTO_FLUSH, &body, &a);
	wbuf_free(&body);
	if (rc == RC_OK && (k->received < sent ||
	    (durable && k->durable < sent)))
		rc = remote_fail(r, RC_PROTO,
		    "the server flushed less than it was sent");
	return rc;
}

struct commit_call {
	struct snapshot_server	*server;
	struct object_id	*missing;
	size_t			*n;
	bool			 incomplete;
};

static int
on_committed(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct commit_call *c = a->arg;
	struct ids ids;
	struct rbuf in;

	rbuf_init(&in, f->payload, f->len);
	if (f->type == PROTO_MISSING) {
		if (ids_parse(&in, &ids) != RC_OK || ids.n == 0 ||
		    ids.n > PROTO_IDS_MAX)
			return remote_malformed(r, f);
		memcpy(c->missing, ids.p, ids.n * sizeof(*c->missing));
		*c->n = ids.n;
		c->incomplete = true;
	} else if (f->type != PROTO_COMMITTED) {
		return remote_unexpected(r, f);
	} else if (snapshot_get_server(&in, c->server) != RC_OK ||
	    rbuf_end(&in) != RC_OK) {
		return remote_malformed(r, f);
	}
	a->done = true;
	return RC_OK;
}

/* "Committed" is believed only with keyd's signature under it. */
static int
check_receipt(struct remote *r, const uint8_t *snap, size_t len,
    const struct snapshot_server *server)
{
	struct wbuf text = WBUF_INIT(1024);
	struct object_id id;
	int rc;

	if ((rc = snapshot_id(snap, len, &id)) != RC_OK)
		return remote_fail(r, rc, "%s", rc_str(rc));
	snapshot_receipt_text(&text, r->auth.vault, &id, server);
	if ((rc = wbuf_rc(&text)) == RC_OK)
		rc = ed25519_verify(r->hello.identity, text.data, text.len,
		    server->sig);
	wbuf_free(&text);
	if (rc != RC_OK)
		return remote_fail(r, RC_CRYPTO,
		    "the server's receipt is not signed by its identity key; "
		    "the snapshot does not count as committed");
	return RC_OK;
}

int
remote_commit(struct remote *r, const uint8_t *snap, size_t len,
    struct snapshot_server *server, struct object_id *missing, size_t *n)
{
	struct wbuf body = WBUF_INIT(SNAPSHOT_CLIENT_MAX);
	struct commit_call c = { server, missing, n, false };
	struct answer a = { .on = on_committed, .arg = &c };
	int rc;

	*n = 0;
	wbuf_bytes(&body, snap, len);
	rc = remote_call(r, PROTO_COMMIT, &body, &a);
	wbuf_free(&body);
	if (rc != RC_OK)
		return rc;
	return c.incomplete ? RC_MISSING :
	    check_receipt(r, snap, len, server);
}

void
remote_report(struct remote *r, const struct report *rep)
{
	uint64_t until = io_now_ms() + REPORT_MS, now;
	struct wbuf body = WBUF_INIT(256);

	if (r->state != PROTO_ST_OPEN ||
	    (r->hello.features & PROTO_FEATURE_REPORT) == 0)
		return;
	/* After an ERROR that ended the run there may still be a connection;
	 * after any other failure there is none. */
	if (r->failed != RC_OK && r->error_code == 0)
		return;
	remote_set_events(r, NULL);
	report_put(&body, rep);
	if (wbuf_rc(&body) == RC_OK &&
	    link_send(r->link, PROTO_REPORT, remote_number(r), body.data,
	    body.len, NULL, 0) == RC_OK)
		(void)link_flush(r->link);
	wbuf_free(&body);
	/* Behind an object that is half on its way it needs a moment. */
	while (!link_idle(r->link) && (now = io_now_ms()) < until &&
	    remote_poll(r, (int)(until - now), -1) == RC_OK)
		;
}
