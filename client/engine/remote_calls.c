#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/remote_impl.h"
#include "common/num.h"
#include "common/rc.h"
#include "common/secret.h"

/*
 * Requests that wait for their own answer.  Each has a small struct with what
 * it fills in, and an `on_` function that takes the frames with its number.
 */
#define LIST_PAGE	256
#define WALK_BUDGET	(8u << 20)

#define LEAST_FRAME	(PROTO_IDS_MAX * 33 + 2)	/* a full GET */

static bool
is_clear(const struct remote *r)
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
	if (!secret_equal(fp, r->identity_fp, sizeof(fp)))
		return remote_fail(r, RC_PIN,
		    "the server is not the one this machine was enrolled with "
		    "(its identity key differs); if it was set up anew, enrol "
		    "again with a fresh token");
	if (!is_clear(r) && !r->hello.signed_)
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
	    .version_max = PROTO_VERSION };
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

	if (is_clear(r))
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

/* --- lists, page by page --- */

struct page {
	int		(*snapshot)(void *arg, const struct listed *l);
	int		(*record)(void *arg, const struct record *rec);
	void		*arg;
	uint64_t	 last;		/* sequence of the newest seen */
	size_t		 n;
	uint8_t		 kind;
	uint8_t		 more;
	int		 rc;		/* the caller had enough */
};

static int
on_snapshot(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct page *p = a->arg;
	struct listed l;
	struct rbuf in;

	rbuf_init(&in, f->payload, f->len);
	if (f->type == PROTO_LIST_END) {
		if (more_parse(&in, &p->more) != RC_OK ||
		    (p->more != 0 && p->n == 0))
			return remote_malformed(r, f);
		a->done = true;
		return RC_OK;
	}
	if (f->type != PROTO_SNAPSHOT)
		return remote_unexpected(r, f);
	if (listed_parse(&in, &l) != RC_OK)
		return remote_malformed(r, f);
	if (l.server.vault_seq <= p->last || ++p->n > LIST_PAGE)
		return remote_fail(r, RC_PROTO,
		    "the server's list of snapshots is out of order");
	p->last = l.server.vault_seq;
	if (p->rc == RC_OK) {
		r->in_callback = true;
		p->rc = p->snapshot(p->arg, &l);
		r->in_callback = false;
	}
	return RC_OK;
}

int
remote_list(struct remote *r, const uint8_t job[16], uint64_t after,
    int (*each)(void *arg, const struct listed *l), void *arg)
{
	struct page p = { .snapshot = each, .arg = arg, .last = after };
	struct answer a = { .on = on_snapshot, .arg = &p };
	struct list q = { .n = LIST_PAGE };
	struct wbuf body;
	int rc;

	if (job != NULL)
		memcpy(q.job, job, sizeof(q.job));
	do {
		q.after = p.last;
		p.n = 0;
		wbuf_init(&body, PROTO_SMALL_MAX);
		list_put(&body, &q);
		rc = remote_call(r, PROTO_LIST, &body, &a);
		wbuf_free(&body);
	} while (rc == RC_OK && p.rc == RC_OK && p.more != 0);
	return rc != RC_OK ? rc : p.rc;
}

static int
on_record(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct page *p = a->arg;
	struct record rec;
	struct rbuf in;

	rbuf_init(&in, f->payload, f->len);
	if (f->type == PROTO_RECORD_END) {
		if (more_parse(&in, &p->more) != RC_OK ||
		    (p->more != 0 && p->n == 0))
			return remote_malformed(r, f);
		a->done = true;
		return RC_OK;
	}
	if (f->type != PROTO_RECORD)
		return remote_unexpected(r, f);
	if (record_parse(&in, &rec) != RC_OK ||
	    (p->kind != 0 && rec.kind != p->kind))
		return remote_malformed(r, f);
	if (rec.seq <= p->last)
		return remote_fail(r, RC_PROTO,
		    "the server's list of key records is out of order");
	p->last = rec.seq;
	p->n++;
	if (p->rc == RC_OK) {
		r->in_callback = true;
		p->rc = p->record(p->arg, &rec);
		r->in_callback = false;
	}
	return RC_OK;
}

int
remote_records(struct remote *r, uint8_t kind, uint64_t after,
    int (*each)(void *arg, const struct record *rec), void *arg)
{
	struct page p = { .record = each, .arg = arg, .last = after,
	    .kind = kind };
	struct answer a = { .on = on_record, .arg = &p };
	struct record_get q = { .kind = kind };
	struct wbuf body;
	int rc;

	do {
		q.after = p.last;
		p.n = 0;
		wbuf_init(&body, PROTO_SMALL_MAX);
		record_get_put(&body, &q);
		rc = remote_call(r, PROTO_RECORD_GET, &body, &a);
		wbuf_free(&body);
	} while (rc == RC_OK && p.rc == RC_OK && p.more != 0);
	return rc != RC_OK ? rc : p.rc;
}

static int
on_record_ok(struct remote *r, const struct link_frame *f, struct answer *a)
{
	uint64_t *seq = a->arg;
	struct rbuf in;

	if (f->type != PROTO_RECORD_OK)
		return remote_unexpected(r, f);
	rbuf_init(&in, f->payload, f->len);
	if (rbuf_u64(&in, seq) != RC_OK || rbuf_end(&in) != RC_OK)
		return remote_malformed(r, f);
	a->done = true;
	return RC_OK;
}

int
remote_record_add(struct remote *r, uint8_t kind, const void *p, size_t n,
    uint64_t *seq)
{
	struct wbuf body = WBUF_INIT(PROTO_RECORD_MAX + 16);
	uint64_t ignored;
	struct answer a = { .on = on_record_ok,
	    .arg = seq != NULL ? seq : &ignored };
	struct record rec = { .kind = kind, .body = p, .len = n };
	int rc;

	if (n > PROTO_RECORD_MAX)
		return RC_LIMIT;
	record_put(&body, &rec);
	rc = remote_call(r, PROTO_RECORD_ADD, &body, &a);
	wbuf_free(&body);
	return rc;
}

/* --- walk, verify, bad --- */

struct walk_call {
	uint8_t	*cursor;
	size_t	 len;
	bool	 moved;		/* an object came since the last cursor */
};

static int
on_walk(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct walk_call *c = a->arg;
	const uint8_t *cursor;
	struct object_id id;
	struct id_copy gone;
	struct object o;
	struct rbuf in;
	size_t len;

	rbuf_init(&in, f->payload, f->len);
	switch (f->type) {
	case PROTO_OBJ:
		c->moved = true;
		if (object_parse(f->payload, f->len, &o) == RC_OK &&
		    object_check_crc(f->payload, f->len) == RC_OK) {
			id = o.h.id;
			return remote_give(r, f->request, &id, f->payload,
			    f->len);
		}
		memset(&id, 0, sizeof(id));
		(void)remote_object_id(f->payload, f->len, &id);
		return remote_give(r, f->request, &id, NULL, 1);
	case PROTO_GONE:
		if (id_copy_parse(&in, &gone) != RC_OK)
			return remote_malformed(r, f);
		c->moved = true;
		return remote_give(r, f->request, &gone.id, NULL, 0);
	case PROTO_WALK_END:
		if (walk_end_parse(&in, &cursor, &len) != RC_OK ||
		    len > PROTO_CURSOR_MAX)
			return remote_malformed(r, f);
		/* A walk that stands still would never end. */
		if (len > 0 && !c->moved)
			return remote_fail(r, RC_PROTO,
			    "the server's walk does not get on");
		memcpy(c->cursor, cursor, len);
		c->len = len;
		a->done = true;
		return RC_OK;
	default:
		return remote_unexpected(r, f);
	}
}

int
remote_walk(struct remote *r, const struct object_id *root, uint8_t what)
{
	uint8_t cursor[PROTO_CURSOR_MAX];
	struct walk_call c = { .cursor = cursor };
	struct answer a = { .on = on_walk, .arg = &c };
	struct walk w = { .root = *root, .what = what, .budget = WALK_BUDGET };
	struct wbuf body;
	int rc;

	do {
		w.cursor = cursor;
		w.cursor_len = c.len;
		c.moved = false;
		wbuf_init(&body, PROTO_SMALL_MAX);
		walk_put(&body, &w);
		rc = remote_call(r, PROTO_WALK, &body, &a);
		wbuf_free(&body);
	} while (rc == RC_OK && c.len > 0);
	return rc;
}

struct verify_call {
	int			(*each)(void *arg, const struct finding *f);
	void			*arg;
	struct verify_end	*end;
	int			 rc;
};

static int
on_finding(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct verify_call *c = a->arg;
	struct finding found;
	struct rbuf in;

	rbuf_init(&in, f->payload, f->len);
	if (f->type == PROTO_VERIFY_END) {
		if (verify_end_parse(&in, c->end) != RC_OK)
			return remote_malformed(r, f);
		a->done = true;
		return RC_OK;
	}
	if (f->type != PROTO_FINDING)
		return remote_unexpected(r, f);
	if (finding_parse(&in, &found) != RC_OK)
		return remote_malformed(r, f);
	remote_printable(found.text);
	if (c->rc == RC_OK) {
		r->in_callback = true;
		c->rc = c->each(c->arg, &found);
		r->in_callback = false;
	}
	return RC_OK;
}

int
remote_verify(struct remote *r, uint8_t percent,
    int (*each)(void *arg, const struct finding *f), void *arg,
    struct verify_end *end)
{
	struct verify_call c = { each, arg, end, RC_OK };
	struct answer a = { .on = on_finding, .arg = &c };
	struct wbuf body = WBUF_INIT(16);
	int rc;

	wbuf_u8(&body, percent);
	rc = remote_call(r, PROTO_VERIFY, &body, &a);
	wbuf_free(&body);
	return rc != RC_OK ? rc : c.rc;
}

static int
on_bad_ok(struct remote *r, const struct link_frame *f, struct answer *a)
{
	if (f->type != PROTO_BAD_OK)
		return remote_unexpected(r, f);
	a->done = true;
	return RC_OK;
}

int
remote_bad(struct remote *r, const struct object_id *id, uint8_t copy)
{
	struct wbuf body = WBUF_INIT(64);
	struct answer a = { .on = on_bad_ok };
	struct id_copy c = { .id = *id, .copy = copy };
	int rc;

	id_copy_put(&body, &c);
	rc = remote_call(r, PROTO_BAD, &body, &a);
	wbuf_free(&body);
	return rc;
}
