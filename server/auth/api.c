#include "config.h"

#include "server/auth/serve.h"

#include <stdio.h>
#include <string.h>

#include "common/digest.h"
#include "common/log.h"
#include "common/num.h"
#include "common/peerinfo.h"
#include "common/rc.h"

/* What api workers ask: who signs in, and then what may be done. */

/* --- answers --- */

static void
put_user(struct wbuf *b, uint8_t right, const char *user,
    const uint8_t *secret, int64_t expires, const char *text)
{
	wbuf_u8(b, 0);
	wbuf_str(b, "");
	wbuf_u8(b, right);
	wbuf_str(b, user);
	if (secret != NULL)
		wbuf_bytes(b, secret, 32);
	else
		wbuf_zeros(b, 32);
	wbuf_i64(b, expires);
	wbuf_str(b, text);
}

static void
answered(struct worker *w)
{
	if (w->state == W_BUSY)
		w->state = w->before;
}

void
api_answer(struct authd *a, struct worker *w, int rc, const char *text)
{
	struct wbuf b = WBUF_INIT(1024);

	(void)a;
	answered(w);
	wbuf_u8(&b, (uint8_t)-rc);
	wbuf_str(&b, text);
	worker_tell(w, MSG_AUTH_USER, &b);
	wbuf_free(&b);
}

void
api_answer_self(struct authd *a, struct worker *w, int64_t expires,
    const char *secret_text)
{
	struct wbuf b = WBUF_INIT(1024);

	(void)a;
	answered(w);
	put_user(&b, w->right, w->user, NULL, expires, secret_text);
	worker_tell(w, MSG_AUTH_USER, &b);
	wbuf_free(&b);
}

int
api_may_enter(const struct worker *w, uint8_t right, const char *user)
{
	return w->right == RIGHT_NONE || (w->right == right &&
	    strcmp(w->user, user) == 0) ? RC_OK : RC_STATE;
}

static void
grant(struct authd *a, const struct worker *w, const uint8_t *identity)
{
	struct wbuf b = WBUF_INIT(128);

	wbuf_u32(&b, w->number);
	wbuf_u64(&b, w->conn);
	wbuf_u8(&b, w->right);
	if (identity != NULL)
		wbuf_bytes(&b, identity, ED25519_LEN);
	else
		wbuf_zeros(&b, ED25519_LEN);
	wbuf_bytes(&b, w->user, sizeof(w->user));
	(void)auth_to_master(a, MSG_API_GRANT, &b);
}

/* The master hears of it before the worker does, once. */
void
api_enter(struct authd *a, struct worker *w, const struct auth_in *in)
{
	struct wbuf b = WBUF_INIT(1024);
	bool first = w->right == RIGHT_NONE;

	w->state = in->credential == CREDENTIAL_NONE ? W_PEER : W_SIGNED;
	w->right = in->right;
	memset(w->user, 0, sizeof(w->user));
	snprintf(w->user, sizeof(w->user), "%s", in->user);
	w->credential = in->credential;
	if (in->id != NULL)
		memcpy(w->credential_id, in->id, sizeof(w->credential_id));
	if (first)
		grant(a, w, in->identity);
	put_user(&b, in->right, w->user, in->secret, in->expires, "");
	worker_tell(w, MSG_AUTH_USER, &b);
	wbuf_free(&b);
}

/* --- is it still signed in --- */

int
api_credential(struct authd *a, const struct worker *w, int64_t *expires)
{
	int64_t now = a->o.seconds();
	struct db_session s;
	struct db_api t;
	int rc;

	if (w->credential == CREDENTIAL_SESSION) {
		rc = db_session_get(a->db, w->credential_id, now, &s);
		if (rc == RC_OK && (s.right != w->right ||
		    strcmp(s.name, w->user) != 0))
			rc = RC_NOENT;
		*expires = s.expires;
		return rc;
	}
	rc = db_api_get(a->db, w->credential_id, now, &t);
	*expires = t.expires;
	return rc;
}

/* For a list and for the idle end: a full disk must not keep anybody out. */
static void
credential_seen(struct authd *a, const struct worker *w)
{
	int rc;

	rc = w->credential == CREDENTIAL_SESSION ?
	    db_session_seen(a->db, w->credential_id, a->o.seconds()) :
	    db_api_seen(a->db, w->credential_id, a->o.seconds());
	if (rc != RC_OK)
		log_warn("last use not recorded: %s (%s)", rc_str(rc),
		    db_error(a->db));
}

void
api_sweep(struct authd *a, const struct worker *except)
{
	int64_t expires;

	for (size_t i = 0; i < a->n; i++) {
		struct worker *w = a->workers[i];
		struct wbuf b = WBUF_INIT(16);
		int rc;

		if (w == except || w->cut || w->credential == CREDENTIAL_NONE)
			continue;
		rc = api_credential(a, w, &expires);
		if (rc != RC_NOENT && rc != RC_TIMEOUT)
			continue;
		w->cut = true;
		wbuf_u32(&b, w->number);
		wbuf_u64(&b, w->conn);
		(void)auth_to_master(a, MSG_API_CUT, &b);
	}
}

/* --- signing in --- */

static int
on_nonce(void *arg, struct chan *c, struct msg *m)
{
	struct auth_call *q = arg;
	struct wbuf b = WBUF_INIT(32);
	int rc;

	(void)c;
	if ((rc = rbuf_end(&m->body)) != RC_OK ||
	    (rc = secret_random(q->w->nonce, sizeof(q->w->nonce))) != RC_OK)
		return rc;
	q->w->state = W_NONCE;
	wbuf_bytes(&b, q->w->nonce, sizeof(q->w->nonce));
	rc = worker_send(q->w, MSG_AUTH_NONCE_OK, &b);
	wbuf_free(&b);
	return rc;
}

/* Where nobody signs in, nobody asks to. */
static bool
is_local(const struct worker *w)
{
	return w->kind == PORT_CONTROL;
}

static int
on_signin(void *arg, struct chan *c, struct msg *m)
{
	struct auth_call *q = arg;
	char name[API_TYPED_MAX], password[API_TYPED_MAX];
	char code[API_TYPED_MAX];
	struct attempt *t;
	int rc;

	(void)c;
	if ((rc = rbuf_str(&m->body, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_str(&m->body, password, sizeof(password))) != RC_OK ||
	    (rc = rbuf_str(&m->body, code, sizeof(code))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (is_local(q->w))
		return RC_STATE;
	if (!db_name_ok(name))
		name[0] = '\0';		/* nobody's */
	t = users_attempt(q->a, q->w, ATTEMPT_SIGNIN, name);
	if (t == NULL)
		return RC_NOMEM;
	/* cut ones are wrong ones: a right password is not as long */
	if (strlen(password) <= USER_PASSWORD_MAX)
		snprintf(t->password, sizeof(t->password), "%.*s",
		    USER_PASSWORD_MAX, password);
	if (strlen(code) <= USER_CODE_MAX)
		snprintf(t->code, sizeof(t->code), "%.*s", USER_CODE_MAX, code);
	secret_wipe(password, sizeof(password));
	users_ask(q->a, t);
	return RC_OK;
}

static void
bearer_wrong(const struct auth_call *q, int rc)
{
	/* one that ended is no guess */
	if (rc == RC_NOENT)
		auth_event(q->a, q->w, AUTH_EV_BEARER);
	if (rc == RC_NOENT || rc == RC_TIMEOUT)
		api_answer(q->a, q->w, RC_AUTH, rc == RC_NOENT ?
		    "no such session or API token" : "it has ended");
	else
		api_answer(q->a, q->w, rc, "the server could not do that");
}

static int
find_session(const struct auth_call *q, const uint8_t hash[32],
    struct auth_in *in, char user[64], uint8_t id[16])
{
	struct db_session s;
	int rc;

	if ((rc = db_session_find(q->a->db, hash, q->a->o.seconds(), &s)) !=
	    RC_OK)
		return rc;
	memcpy(id, s.id, sizeof(s.id));
	snprintf(user, 64, "%s", s.name);
	*in = (struct auth_in){ .right = s.right, .expires = s.expires,
	    .credential = CREDENTIAL_SESSION };
	return RC_OK;
}

static int
find_api(const struct auth_call *q, const uint8_t hash[32],
    struct auth_in *in, char user[64], uint8_t id[16])
{
	struct db_api t;
	int rc;

	if ((rc = db_api_find(q->a->db, hash, q->a->o.seconds(), &t)) != RC_OK)
		return rc;
	memcpy(id, t.id, sizeof(t.id));
	snprintf(user, 64, "api:%.*s", AUTH_API_NAME_MAX, t.name);
	*in = (struct auth_in){ .right = t.right, .expires = t.expires,
	    .credential = CREDENTIAL_API };
	return RC_OK;
}

static int
on_bearer(void *arg, struct chan *c, struct msg *m)
{
	struct auth_call *q = arg;
	uint8_t kind, secret[32], hash[32], id[16];
	struct auth_in in = { 0 };
	char user[64];
	int rc;

	(void)c;
	if ((rc = rbuf_u8(&m->body, &kind)) != RC_OK ||
	    (rc = rbuf_bytes(&m->body, secret, sizeof(secret))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (is_local(q->w))
		return RC_STATE;
	if (kind != BEARER_SESSION && kind != BEARER_API)
		return RC_RANGE;
	rc = sha256(secret, sizeof(secret), hash);
	secret_wipe(secret, sizeof(secret));
	if (rc == RC_OK)
		rc = (kind == BEARER_SESSION ? find_session : find_api)(q,
		    hash, &in, user, id);
	if (rc != RC_OK) {
		bearer_wrong(q, rc);
		return RC_OK;
	}
	if (api_may_enter(q->w, in.right, user) != RC_OK) {
		api_answer(q->a, q->w, RC_STATE,
		    "this connection is another user's");
		return RC_OK;
	}
	in.user = user;
	in.id = id;
	api_enter(q->a, q->w, &in);
	credential_seen(q->a, q->w);
	return RC_OK;
}

static bool
setup_ok(const struct auth_call *q, const struct attempt *t,
    const uint8_t secret[32])
{
	uint8_t hash[32];

	return sha256(secret, 32, hash) == RC_OK && t->user.has_setup &&
	    secret_equal(hash, t->user.setup, sizeof(hash)) &&
	    q->a->o.seconds() < t->user.setup_expires;
}

static int
on_setup(void *arg, struct chan *c, struct msg *m)
{
	struct auth_call *q = arg;
	char name[API_TYPED_MAX], password[API_TYPED_MAX];
	struct attempt *t = NULL;
	uint8_t secret[32];
	const char *bad;
	int rc;

	(void)c;
	if ((rc = rbuf_bytes(&m->body, secret, sizeof(secret))) != RC_OK ||
	    (rc = rbuf_str(&m->body, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_str(&m->body, password, sizeof(password))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (is_local(q->w))
		return RC_STATE;
	if ((bad = users_password_bad(name, password)) != NULL) {
		api_answer(q->a, q->w, RC_RANGE, bad);
	} else if ((t = users_attempt(q->a, q->w, ATTEMPT_SETUP,
	    db_name_ok(name) ? name : "")) == NULL) {
		rc = RC_NOMEM;
	} else if (!setup_ok(q, t, secret)) {
		auth_event(q->a, q->w, AUTH_EV_PASSWORD);
		api_answer(q->a, q->w, RC_AUTH,
		    "this one-time secret is not valid");
		users_attempt_free(t);
	} else {
		snprintf(t->fresh, sizeof(t->fresh), "%.*s", USER_PASSWORD_MAX,
		    password);
		users_ask(q->a, t);
	}
	secret_wipe(password, sizeof(password));
	secret_wipe(secret, sizeof(secret));
	return rc;
}

/* --- another installation --- */

static int
on_peer(void *arg, struct chan *c, struct msg *m)
{
	struct auth_call *q = arg;
	static const uint8_t zeros[32];
	uint8_t identity[ED25519_LEN], exporter[32], sig[ED25519_SIG_LEN];
	struct wbuf text = WBUF_INIT(256);
	char user[64] = "peer:";
	int rc;

	(void)c;
	if ((rc = rbuf_bytes(&m->body, identity, sizeof(identity))) != RC_OK ||
	    (rc = rbuf_bytes(&m->body, exporter, sizeof(exporter))) != RC_OK ||
	    (rc = rbuf_bytes(&m->body, sig, sizeof(sig))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (is_local(q->w) || q->w->right != RIGHT_NONE)
		return RC_STATE;
	peer_sign_text(&text, identity, q->a->o.self.identity, q->w->nonce,
	    exporter);
	secret_wipe(q->w->nonce, sizeof(q->w->nonce));
	q->w->state = W_CONN;		/* a nonce is for one proof */
	if ((rc = wbuf_rc(&text)) == RC_OK)
		rc = ed25519_verify(identity, text.data, text.len, sig);
	wbuf_free(&text);
	if (rc != RC_OK || memcmp(exporter, zeros, sizeof(zeros)) == 0 ||
	    memcmp(identity, q->a->o.self.identity, ED25519_LEN) == 0) {
		auth_event(q->a, q->w, AUTH_EV_UNKNOWN);
		api_answer(q->a, q->w, RC_AUTH, "not the key it claims to be");
		return RC_OK;
	}
	peer_fingerprint(identity, user + strlen(user));
	api_enter(q->a, q->w, &(struct auth_in){ .right = RIGHT_PEER,
	    .user = user, .identity = identity });
	return RC_OK;
}

/* --- administration --- */

static int
send_admin(void *arg, enum msg_type type, const struct wbuf *body)
{
	const struct auth_call *q = arg;

	return worker_send(q->w, type, body);
}

static void
cut_vault(void *arg, const uint8_t vault[16])
{
	const struct auth_call *q = arg;

	auth_cut_off(q->a, vault);
}

/* On the control socket the file mode is the permission; elsewhere the worker
 * must be signed in, and is looked at again each time. */
static int
on_admin(void *arg, struct chan *c, struct msg *m)
{
	struct auth_call *q = arg;
	char from[ADDR_TEXT_MAX];
	struct admin_env e = { .db = q->a->db, .self = &q->a->o.self,
	    .conf = &q->a->o.conf, .notes = &q->a->notes,
	    .pairs = &q->a->pairs, .now = q->a->o.seconds(),
	    .right = q->w->right, .from = worker_from(q->w, from),
	    .send = send_admin, .cut = cut_vault, .arg = q };
	int64_t expires;
	int rc;

	(void)c;
	if (is_local(q->w)) {
		e.right = RIGHT_ADMIN;
	} else if (q->w->state != W_SIGNED) {
		return RC_DENIED;
	} else {
		e.user = q->w->user;
		rc = api_credential(q->a, q->w, &expires);
		e.ended = rc != RC_OK;
		if (rc == RC_OK)
			credential_seen(q->a, q->w);
	}
	rc = auth_admin(&e, &m->body);
	if (e.revoked)
		api_sweep(q->a, q->w);
	return rc;
}

const struct handler auth_from_api[] = {
	{ MSG_ADMIN, W_CONN | W_NONCE | W_SIGNED, on_admin },
	{ MSG_AUTH_NONCE, W_CONN | W_NONCE, on_nonce },
	{ MSG_AUTH_PEER, W_NONCE, on_peer },
	{ MSG_AUTH_SIGNIN, W_CONN | W_NONCE | W_SIGNED, on_signin },
	{ MSG_AUTH_BEARER, W_CONN | W_NONCE | W_SIGNED, on_bearer },
	{ MSG_AUTH_SETUP, W_CONN | W_NONCE | W_SIGNED, on_setup },
	{ MSG_AUTH_SELF, W_SIGNED, auth_on_self },
};
const size_t auth_from_api_n = NITEMS(auth_from_api);
