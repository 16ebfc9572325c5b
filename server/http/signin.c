#include "config.h"

#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/rc.h"
#include "common/secret.h"
#include "server/http/api.h"
#include "server/http/bearer.h"

/*
 * Signing in and what a user does with the own account.  Passwords and codes go
 * to auth and are compared in login; here they only pass by.
 */
#define CHANNEL_MS	3000		/* the master's answer to a grant */

int
api_on_master(struct api *a, struct msg *m)
{
	switch (m->type) {
	case MSG_STOP:
		a->stop = true;
		return RC_OK;
	case MSG_API_CHAN:
		if (a->catalog != NULL)
			return RC_STATE;
		a->catalog = chan_new(msg_take_fd(a->env.parent, m), ROLE_API,
		    ROLE_CATALOG);
		return a->catalog != NULL ? RC_OK : RC_NOMEM;
	default:
		return RC_STATE;
	}
}

struct chan *
api_catalog(struct api *a)
{
	uint64_t now, until = io_now_ms() + CHANNEL_MS;
	struct msg m;

	while (a->catalog == NULL && (now = io_now_ms()) < until)
		if (chan_recv_wait(a->env.parent, &m, (int)(until - now)) !=
		    RC_OK || api_on_master(a, &m) != RC_OK)
			break;
	return a->catalog;
}

static int
user_get(struct rbuf *in, int *rc, struct api_user *u)
{
	uint8_t code;
	int err;

	if ((err = rbuf_u8(in, &code)) != RC_OK ||
	    (err = rbuf_str(in, u->text, sizeof(u->text))) != RC_OK)
		return err;
	if ((*rc = -(int)code) != RC_OK)
		return RC_OK;
	if ((err = rbuf_u8(in, &u->right)) != RC_OK ||
	    (err = rbuf_str(in, u->user, sizeof(u->user))) != RC_OK ||
	    (err = rbuf_bytes(in, u->secret, sizeof(u->secret))) != RC_OK ||
	    (err = rbuf_i64(in, &u->expires)) != RC_OK ||
	    (err = rbuf_str(in, u->secret_text, sizeof(u->secret_text))) !=
	    RC_OK)
		return err;
	return rbuf_end(in);
}

static int
user_status(int rc)
{
	switch (rc) {
	case RC_OK:
		return 200;
	case RC_LIMIT:
	case RC_BUSY:
	case RC_AGAIN:
		return 429;		/* delayed, or the queue is full */
	case RC_AUTH:
	case RC_NOENT:
		return 401;
	case RC_TIMEOUT:
		return 503;
	default:
		return api_status_of(rc);
	}
}

int
api_ask_user(struct api *a, enum msg_type type, struct wbuf *body,
    struct api_user *u)
{
	struct msg m;
	int rc, code = RC_OK;

	if ((rc = chan_send(a->auth, type, body, -1)) == RC_LIMIT)
		return api_fail(a, 400, "a value is too long");
	if (rc != RC_OK || (rc = chan_expect(a->auth, MSG_AUTH_USER, &m,
	    API_HELPER_MS)) != RC_OK ||
	    (rc = user_get(&m.body, &code, u)) != RC_OK)
		return api_fail(a, 503,
		    "the auth process did not answer (%s); see the log",
		    rc_str(rc));
	if (code == RC_OK)
		return 200;
	return api_fail(a, user_status(code), "%s",
	    u->text[0] != '\0' ? u->text : rc_str(code));
}

int
api_hold(struct api *a, const struct api_user *u)
{
	bool first = a->right == RIGHT_NONE;

	if (u->right == RIGHT_NONE || u->right >= RIGHT_MAX)
		return api_fail(a, 503, "auth gave no right");
	a->right = (enum right)u->right;
	a->expires = u->expires;
	snprintf(a->user, sizeof(a->user), "%s", u->user);
	/* It also tells that the master knows of the right.  Without a catalog
	 * none comes, and accounts can still be managed. */
	if (first)
		(void)api_catalog(a);
	return 200;
}

static void
put_self(struct api *a, const uint8_t *secret)
{
	char csrf[HTTP_CSRF_LEN + 1];

	json_put_str(&a->json, "user", a->user);
	json_put_str(&a->json, "right", api_right_word((uint8_t)a->right));
	json_put_i64(&a->json, "expires", a->expires);
	if (a->bearer_kind == BEARER_SESSION &&
	    bearer_csrf(secret, csrf) == RC_OK)
		json_put_str(&a->json, "csrf", csrf);
}

static int
begin_session(struct api *a, enum msg_type type, struct wbuf *body)
{
	char token[BEARER_TEXT_MAX];
	struct api_user u = { 0 };
	int status;

	if (a->kind == PORT_CONTROL)
		status = api_fail(a, 403,
		    "nobody signs in on the control socket");
	else if (a->right != RIGHT_NONE)
		status = api_fail(a, 421, "this connection is signed in: "
		    "open a new one");
	else
		status = api_ask_user(a, type, body, &u);
	wbuf_free(body);
	if (status == 200) {
		a->bearer_kind = BEARER_SESSION;
		memcpy(a->secret, u.secret, sizeof(a->secret));
		status = api_hold(a, &u);
	}
	if (status == 200) {
		bearer_format(BEARER_SESSION_PREFIX, u.secret, token);
		json_put_str(&a->json, "token", token);
		put_self(a, u.secret);
		snprintf(a->cookie, sizeof(a->cookie), "__Host-sg=%s; Path=/; "
		    "Secure; HttpOnly; SameSite=Strict", token);
		secret_wipe(token, sizeof(token));
	}
	secret_wipe(&u, sizeof(u));
	return status;
}

int
api_signin(struct api *a)
{
	struct wbuf body = WBUF_INIT(2048);
	const char *user, *password;
	int status;

	if ((user = api_body_str(a, "user", &status)) == NULL ||
	    (password = api_body_str(a, "password", &status)) == NULL)
		return status;
	wbuf_str(&body, user);
	wbuf_str(&body, password);
	wbuf_str(&body, api_body_opt(a, "code"));
	return begin_session(a, MSG_AUTH_SIGNIN, &body);
}

int
api_setup(struct api *a)
{
	struct wbuf body = WBUF_INIT(2048);
	const char *text, *user, *password;
	uint8_t secret[API_SECRET_LEN];
	int status;

	if ((text = api_body_str(a, "secret", &status)) == NULL ||
	    (user = api_body_str(a, "user", &status)) == NULL ||
	    (password = api_body_str(a, "password", &status)) == NULL)
		return status;
	if (bearer_parse(BEARER_SETUP_PREFIX, text, secret) != RC_OK)
		return api_fail(a, 401, "this is no one-time token of "
		    "'storegridctl user add'");
	wbuf_bytes(&body, secret, sizeof(secret));
	wbuf_str(&body, user);
	wbuf_str(&body, password);
	secret_wipe(secret, sizeof(secret));
	return begin_session(a, MSG_AUTH_SETUP, &body);
}

int
api_me(struct api *a)
{
	put_self(a, a->secret);
	return 200;
}

/* An act on the own account; the answer may hold a new TOTP secret. */
static int
act_on_self(struct api *a, enum self_act act, const char *old,
    const char *new, const char *code, struct api_user *u)
{
	struct wbuf body = WBUF_INIT(3072);
	int status;

	if (a->bearer_kind != BEARER_SESSION)
		return api_fail(a, 403, "this is for a user who signed in");
	wbuf_u8(&body, (uint8_t)act);
	wbuf_str(&body, old);
	wbuf_str(&body, new);
	wbuf_str(&body, code);
	status = api_ask_user(a, MSG_AUTH_SELF, &body, u);
	wbuf_free(&body);
	return status;
}

int
api_signout(struct api *a)
{
	struct api_user u = { 0 };
	int status;

	status = act_on_self(a, SELF_SIGNOUT, "", "", "", &u);
	if (status == 200)
		snprintf(a->cookie, sizeof(a->cookie), "__Host-sg=; Path=/; "
		    "Secure; HttpOnly; SameSite=Strict; Max-Age=0");
	a->last = true;
	return status;
}

int
api_me_password(struct api *a)
{
	const char *old, *new;
	struct api_user u = { 0 };
	int status;

	if ((old = api_body_str(a, "old", &status)) == NULL ||
	    (new = api_body_str(a, "new", &status)) == NULL)
		return status;
	return act_on_self(a, SELF_PASSWORD, old, new, api_body_opt(a, "code"),
	    &u);
}

int
api_me_totp(struct api *a)
{
	struct api_user u = { 0 };
	const char *secret;
	int status;

	status = act_on_self(a, SELF_TOTP_BEGIN, api_body_opt(a, "password"),
	    "", "", &u);
	if (status == 200) {
		/* for those who type it, and for those who scan it */
		if ((secret = strstr(u.secret_text, "secret=")) != NULL) {
			secret += strlen("secret=");
			json_put_bytes(&a->json, "secret", secret,
			    strcspn(secret, "&"));
		}
		json_put_str(&a->json, "uri", u.secret_text);
	}
	secret_wipe(&u, sizeof(u));
	return status;
}

int
api_me_totp_confirm(struct api *a)
{
	struct api_user u = { 0 };
	const char *code;
	int status;

	if ((code = api_body_str(a, "code", &status)) == NULL)
		return status;
	return act_on_self(a, SELF_TOTP_CONFIRM, api_body_opt(a, "password"),
	    "", code, &u);
}

int
api_me_totp_off(struct api *a)
{
	struct api_user u = { 0 };
	const char *password, *code;
	int status;

	if ((password = api_body_str(a, "password", &status)) == NULL ||
	    (code = api_body_str(a, "code", &status)) == NULL)
		return status;
	return act_on_self(a, SELF_TOTP_OFF, password, "", code, &u);
}
