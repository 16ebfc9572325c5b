#include "config.h"

#include "server/auth/serve.h"

#include <stdio.h>
#include <string.h>

#include "common/rc.h"
#include "server/auth/text.h"

/* What a signed-in user may do with the own account (AUTH_SELF). */

struct self_request {
	uint8_t	act;
	char	old[API_TYPED_MAX], fresh[API_TYPED_MAX];
	char	code[API_TYPED_MAX];
};

static void
self_ask(const struct auth_call *q, enum attempt_what what,
    const struct self_request *r)
{
	struct attempt *t = users_attempt(q->a, q->w, what, q->w->user);

	if (t == NULL) {
		api_answer(q->a, q->w, RC_NOMEM, rc_str(RC_NOMEM));
		return;
	}
	if (strlen(r->old) <= USER_PASSWORD_MAX)
		snprintf(t->password, sizeof(t->password), "%.*s",
		    USER_PASSWORD_MAX, r->old);
	snprintf(t->fresh, sizeof(t->fresh), "%.*s", USER_PASSWORD_MAX,
	    r->fresh);
	if (strlen(r->code) <= USER_CODE_MAX)
		snprintf(t->code, sizeof(t->code), "%.*s", USER_CODE_MAX,
		    r->code);
	if (what == ATTEMPT_TOTP_ON && !t->user.totp_begun) {
		api_answer(q->a, q->w, RC_STATE,
		    "begin with a new secret first");
		users_attempt_free(t);
	} else if (what == ATTEMPT_TOTP_OFF && !t->user.totp_on) {
		api_answer(q->a, q->w, RC_STATE, "no second factor is on");
		users_attempt_free(t);
	} else {
		users_ask(q->a, t);
	}
}

static void
totp_begin(const struct auth_call *q, int64_t expires)
{
	char text[TEXT_OTPAUTH_MAX];
	uint8_t totp[32] = { 0 };
	struct db_user u;
	int rc;

	if ((rc = secret_random(totp, DB_TOTP_LEN)) == RC_OK &&
	    (rc = db_user_get(q->a->db, q->w->user, &u)) == RC_OK)
		rc = u.totp_on ? RC_STATE :
		    db_user_totp_begin(q->a->db, u.id, totp);
	if (rc == RC_STATE) {
		api_answer(q->a, q->w, rc, "a second factor is on; turn it off "
		    "first");
	} else if (rc != RC_OK) {
		api_answer(q->a, q->w, rc, "the server could not do that");
	} else {
		text_otpauth(q->w->user, q->a->o.conf.id, totp, text);
		api_answer_self(q->a, q->w, expires, text);
		secret_wipe(text, sizeof(text));
	}
	secret_wipe(totp, sizeof(totp));
	db_user_clear(&u);
}

static void
sign_out(const struct auth_call *q, int64_t expires)
{
	char from[ADDR_TEXT_MAX];
	struct audit e = { .who = q->w->user, .object = q->w->user,
	    .from = worker_from(q->w, from), .act = "sign-out" };
	int rc;

	if ((rc = db_session_end(q->a->db, q->w->credential_id)) != RC_OK) {
		api_answer(q->a, q->w, rc, "the server could not do that");
		return;
	}
	notes_audit(&q->a->notes, &e);
	api_answer_self(q->a, q->w, expires, "");
	api_sweep(q->a, q->w);
}

static void
self_act(const struct auth_call *q, const struct self_request *r,
    int64_t expires)
{
	const char *bad;

	switch (r->act) {
	case SELF_PASSWORD:
		bad = users_password_bad(q->w->user, r->fresh);
		if (bad != NULL)
			api_answer(q->a, q->w, RC_RANGE, bad);
		else
			self_ask(q, ATTEMPT_PASSWORD, r);
		break;
	case SELF_TOTP_BEGIN:
		totp_begin(q, expires);
		break;
	case SELF_TOTP_CONFIRM:
		self_ask(q, ATTEMPT_TOTP_ON, r);
		break;
	case SELF_TOTP_OFF:
		self_ask(q, ATTEMPT_TOTP_OFF, r);
		break;
	default:
		sign_out(q, expires);
		break;
	}
}

int
auth_on_self(void *arg, struct chan *c, struct msg *m)
{
	struct auth_call *q = arg;
	struct self_request r;
	int64_t expires;
	int rc;

	(void)c;
	if ((rc = rbuf_u8(&m->body, &r.act)) != RC_OK ||
	    (rc = rbuf_str(&m->body, r.old, sizeof(r.old))) != RC_OK ||
	    (rc = rbuf_str(&m->body, r.fresh, sizeof(r.fresh))) != RC_OK ||
	    (rc = rbuf_str(&m->body, r.code, sizeof(r.code))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (r.act < SELF_PASSWORD || r.act > SELF_SIGNOUT)
		return RC_RANGE;
	if (q->w->credential != CREDENTIAL_SESSION)
		api_answer(q->a, q->w, RC_DENIED, "an API token has no account");
	else if (api_credential(q->a, q->w, &expires) != RC_OK)
		api_answer(q->a, q->w, RC_AUTH,
		    "the session has ended; sign in again");
	else
		self_act(q, &r, expires);
	secret_wipe(&r, sizeof(r));
	return RC_OK;
}
