#include "config.h"

#include "server/auth/auth.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/rc.h"
#include "common/secret.h"

__attribute__((format(printf, 4, 5)))
static void
refuse(struct login_result *r, uint16_t code, enum auth_event event,
    const char *fmt, ...)
{
	va_list ap;

	r->code = code;
	r->event = (uint8_t)event;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
}

static void
failed(struct login_result *r, struct db *db, const char *what, int rc)
{
	log_err("%s: %s (%s)", what, rc_str(rc), db_error(db));
	r->code = PROTO_ERR_INTERNAL;
	r->event = 0;
	snprintf(r->text, sizeof(r->text), "the server could not do that");
}

static bool
in_clear(const struct login_try *t)
{
	static const uint8_t zeros[32];

	return memcmp(t->exporter, zeros, sizeof(zeros)) == 0;
}

/* The two hellos are what auth would have them be: its challenge, once, and
 * its own name; and clear text only where the listener allowed it. */
static bool
hellos_ok(const struct auth_self *self, const struct login_try *t,
    uint8_t hash[32])
{
	struct hello hello;
	struct hello_ok ok;
	struct rbuf in;

	rbuf_init(&in, t->hello, t->hello_len);
	if (hello_parse(&in, &hello) != RC_OK)
		return false;
	rbuf_init(&in, t->ok, t->ok_len);
	if (hello_ok_parse(&in, &ok) != RC_OK ||
	    ok.version != PROTO_VERSION ||
	    !secret_equal(ok.nonce, t->nonce, sizeof(ok.nonce)) ||
	    memcmp(ok.identity, self->identity, ED25519_LEN) != 0)
		return false;
	if (in_clear(t) && (!t->may_clear || ok.signed_ != 1))
		return false;
	return hellos_hash(t->hello, t->hello_len, t->ok, t->ok_len, hash) ==
	    RC_OK;
}

/*
 * An unknown id is checked too, against a key that nobody signs with here, so
 * that it takes as long as a wrong key and ends in the same words.
 */
static bool
signature_ok(const struct auth_self *self, const struct login_try *t,
    const uint8_t hash[32], const struct auth *a, const uint8_t *key)
{
	struct wbuf text = WBUF_INIT(256);
	bool ok;

	auth_sign_text(&text, hash, t->exporter, self->identity_fp, a->client);
	ok = wbuf_rc(&text) == RC_OK && ed25519_verify(key != NULL ? key :
	    self->identity, text.data, text.len, a->sig) == RC_OK;
	wbuf_free(&text);
	return ok && key != NULL;
}

void
auth_login(struct db *db, const struct auth_self *self,
    const struct login_try *t, struct login_result *r)
{
	struct auth a;
	uint8_t hash[32];
	struct rbuf in;
	int rc;

	memset(r, 0, sizeof(*r));
	rbuf_init(&in, t->payload, t->payload_len);
	if (auth_parse(&in, &a) != RC_OK || !hellos_ok(self, t, hash)) {
		refuse(r, PROTO_ERR_PROTOCOL, AUTH_EV_PROTOCOL,
		    "malformed log-in");
		return;
	}
	rc = db_client_get(db, a.client, &r->client);
	if (rc != RC_OK && rc != RC_NOENT) {
		failed(r, db, "client", rc);
		return;
	}
	if (!signature_ok(self, t, hash, &a, rc == RC_OK &&
	    r->client.has_key ? r->client.key : NULL)) {
		refuse(r, PROTO_ERR_AUTH, AUTH_EV_UNKNOWN,
		    "unknown client or wrong key");
		return;
	}
	if (r->client.state == CLIENT_DISABLED) {
		refuse(r, PROTO_ERR_AUTH, AUTH_EV_DISABLED,
		    "this client is disabled on the server");
		return;
	}
	/* "creating" is on disk before anybody may make the directory */
	if ((rc = db_vault_creating(db, r->client.vault)) != RC_OK) {
		failed(r, db, "grant", rc);
		return;
	}
	/* for a list only: a full disk must not keep anybody from a restore */
	if ((rc = db_client_seen(db, r->client.id, t->now)) != RC_OK)
		log_warn("last log-in not recorded: %s (%s)", rc_str(rc),
		    db_error(db));
	r->create = r->client.vault_state != DB_VAULT_EXISTS;
}

/* The token behind an ENROL, if its sender knows the secret. */
static int
find_token(struct db *db, const struct login_try *t, const uint8_t hash[32],
    const struct enrol *e, struct db_token *token)
{
	struct secret secret = { { 0 } };
	uint8_t mac[32];
	int rc, found;

	found = db_token_get(db, e->token, token);
	if (found != RC_OK && found != RC_NOENT)
		return found;
	if (found == RC_OK)
		secret = token->secret;
	/* also for a token that is not there: the same time */
	rc = enrol_mac(&secret, hash, t->exporter, e->client_key, mac);
	secret_clear(&secret);
	if (rc != RC_OK)
		return rc;
	if (!secret_equal(mac, e->mac, sizeof(mac)) || found != RC_OK)
		return RC_AUTH;
	return RC_OK;
}

/* Why a token that its sender does know is no use any more. */
static bool
token_spent(const struct db_token *token, int64_t now, struct login_result *r)
{
	switch (token->state) {
	case DB_TOKEN_OPEN:
		break;
	case DB_TOKEN_USED:
		refuse(r, PROTO_ERR_AUTH, AUTH_EV_USED_TOKEN,
		    "this token has been used; ask for a new one");
		return true;
	default:
		refuse(r, PROTO_ERR_AUTH, AUTH_EV_OLD_TOKEN,
		    "this token has been revoked; ask for a new one");
		return true;
	}
	if (token->expires > now)
		return false;
	refuse(r, PROTO_ERR_AUTH, AUTH_EV_OLD_TOKEN,
	    "this token has expired; ask for a new one");
	return true;
}

static void
enrol_with(struct db *db, const struct db_token *token, const struct enrol *e,
    struct login_result *r)
{
	int rc;

	if ((rc = db_client_get(db, token->client, &r->client)) != RC_OK) {
		failed(r, db, "client of a token", rc);
		return;
	}
	if (r->client.state == CLIENT_DISABLED) {
		refuse(r, PROTO_ERR_AUTH, AUTH_EV_DISABLED,
		    "this client is disabled on the server");
		return;
	}
	r->existing = r->client.has_key;
	rc = db_token_use(db, token, e->client_key);
	if (rc == RC_STATE)
		refuse(r, PROTO_ERR_AUTH, AUTH_EV_USED_TOKEN,
		    "this token has been used; ask for a new one");
	else if (rc != RC_OK)
		failed(r, db, "enrol", rc);
	if (rc == RC_OK)
		log_notice("%s/%s enrolled%s", r->client.account,
		    r->client.name, r->existing ? " again, with a new key" :
		    "");
}

void
auth_enrol(struct db *db, const struct auth_self *self,
    const struct login_try *t, struct login_result *r)
{
	struct db_token token = { 0 };
	struct enrol e;
	uint8_t hash[32];
	struct rbuf in;
	int rc;

	memset(r, 0, sizeof(*r));
	rbuf_init(&in, t->payload, t->payload_len);
	if (enrol_parse(&in, &e) != RC_OK || !hellos_ok(self, t, hash)) {
		refuse(r, PROTO_ERR_PROTOCOL, AUTH_EV_PROTOCOL,
		    "malformed enrolment");
		return;
	}
	if (in_clear(t)) {
		refuse(r, PROTO_ERR_PLAINTEXT, AUTH_EV_PROTOCOL,
		    "enrolment is refused in clear text: use TLS");
		return;
	}
	rc = find_token(db, t, hash, &e, &token);
	if (rc == RC_AUTH)
		refuse(r, PROTO_ERR_AUTH, AUTH_EV_BAD_TOKEN,
		    "this server does not know this token");
	else if (rc != RC_OK)
		failed(r, db, "token", rc);
	else if (!token_spent(&token, t->now, r))
		enrol_with(db, &token, &e, r);
	secret_clear(&token.secret);
}
