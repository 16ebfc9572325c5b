#include "config.h"

#include "server/auth/users.h"

#include <string.h>

#include "common/digest.h"
#include "common/log.h"
#include "common/rc.h"
#include "server/auth/serve.h"
#include "server/auth/users_priv.h"

/*
 * What follows of a check.  Time has passed since it was asked: the user is read
 * again, and a change in between counts as a failure of the request, not of the
 * person.
 */
static bool
still_same(struct authd *a, const struct attempt *t)
{
	struct db_user now;
	bool same;

	if (db_user_get(a->db, t->name, &now) != RC_OK)
		return false;
	same = now.id == t->user.id && now.right == t->user.right &&
	    now.has_password == t->user.has_password &&
	    secret_equal(now.hash, t->user.hash, 32) &&
	    now.totp_on == t->user.totp_on &&
	    secret_equal(now.totp, t->user.totp, 32) &&
	    secret_equal(now.totp_new, t->user.totp_new, 32) &&
	    now.has_setup == t->user.has_setup &&
	    secret_equal(now.setup, t->user.setup, 32);
	db_user_clear(&now);
	return same;
}

static void
record(struct authd *a, const struct attempt *t, const char *act, int rc,
    const char *detail)
{
	/* what nobody is called may be a password in the wrong field */
	const char *name = t->known ? t->name : "";
	struct audit e = { .who = name, .from = t->addr, .act = act,
	    .object = name, .rc = rc, .detail = detail };

	notes_audit(&a->notes, &e);
}

static void
say(struct authd *a, const struct attempt *t, int rc, const char *text)
{
	if (t->w != NULL)
		api_answer(a, t->w, rc, text);
}

static void
trouble(struct authd *a, const struct attempt *t, int rc)
{
	log_err("user %s: %s (%s)", t->known ? t->name : "?", rc_str(rc),
	    db_error(a->db));
	say(a, t, rc, "the server could not do that");
}

static void
failed(struct authd *a, const struct attempt *t, const char *act,
    const char *text)
{
	delay_failed(a->delay, &t->who, a->o.ms());
	if (t->w != NULL)
		auth_event(a, t->w, AUTH_EV_PASSWORD);
	/* before what takes longer for a name that somebody has */
	say(a, t, RC_AUTH, text);
	if (t->known)
		(void)db_user_failed(a->db, t->user.id);
	record(a, t, act, RC_AUTH, t->known ? "" : "no such user");
}

/* A new session for whoever proved to be this user. */
static int
enter(struct authd *a, struct attempt *t, uint64_t step)
{
	struct db_sign_in in = { .user = t->user.id, .step = step,
	    .addr = t->addr, .now = a->o.seconds() };
	struct db_session s;
	uint8_t secret[32];
	int rc;

	memcpy(in.source, t->source, sizeof(in.source));
	if ((rc = secret_random(secret, sizeof(secret))) != RC_OK ||
	    (rc = sha256(secret, sizeof(secret), in.hash)) != RC_OK ||
	    (rc = db_sign_in(a->db, &in, &s)) != RC_OK)
		return rc;
	delay_passed(a->delay, &t->who);
	api_enter(a, t->w, &(struct auth_in){ .right = s.right,
	    .user = s.name, .credential = CREDENTIAL_SESSION, .id = s.id,
	    .secret = secret, .expires = s.expires });
	secret_wipe(secret, sizeof(secret));
	return RC_OK;
}

static void
signin_done(struct authd *a, struct attempt *t, const struct result *r)
{
	static const char wrong[] = "wrong name, password or code";
	int rc;

	if (!r->ok || !t->known || !t->user.has_password) {
		failed(a, t, "sign-in", wrong);
		return;
	}
	if (t->w == NULL)
		return;
	if (!still_same(a, t)) {
		say(a, t, RC_BUSY, "the account was changed, try again");
		return;
	}
	if (api_may_enter(t->w, t->user.right, t->name) != RC_OK) {
		say(a, t, RC_STATE, "this connection is another user's");
		return;
	}
	rc = enter(a, t, t->user.totp_on ? r->step : 0);
	if (rc == RC_STATE)
		failed(a, t, "sign-in", wrong);	/* a code is used once */
	else if (rc != RC_OK)
		trouble(a, t, rc);
	else
		record(a, t, "sign-in", RC_OK, "");
}

static void
setup_done(struct authd *a, struct attempt *t, const struct result *r)
{
	int rc;

	if (t->w == NULL)
		return;			/* the one-time secret is as good as before */
	if (!still_same(a, t)) {
		say(a, t, RC_AUTH, "this one-time secret is not valid");
		return;
	}
	rc = db_user_password(a->db, t->user.id, t->salt, r->hash, a->o.cost,
	    NULL);
	if (rc == RC_OK) {
		record(a, t, "user-setup", RC_OK, "");
		if (api_may_enter(t->w, t->user.right, t->name) != RC_OK) {
			say(a, t, RC_STATE, "this connection is another "
			    "user's");
			return;
		}
		rc = enter(a, t, 0);
	}
	if (rc != RC_OK)
		trouble(a, t, rc);
}

/* --- of one's own account --- */

/* The session is asked again: it may have been ended meanwhile. */
static bool
session_there(struct authd *a, const struct attempt *t, struct db_session *s)
{
	if (t->w == NULL)
		return false;
	if (db_session_get(a->db, t->w->credential_id, a->o.seconds(), s) ==
	    RC_OK && still_same(a, t))
		return true;
	say(a, t, RC_AUTH, "the session has ended; sign in again");
	return false;
}

static void
self_done(struct authd *a, const struct attempt *t, const struct db_session *s,
    int rc, const char *act)
{
	if (rc != RC_OK) {
		trouble(a, t, rc);
		return;
	}
	record(a, t, act, RC_OK, "");
	api_answer_self(a, t->w, s->expires, "");
	api_sweep(a, t->w);
}

/* True when it went on to a second check and is not to be freed. */
static bool
password_done(struct authd *a, struct attempt *t, const struct result *r)
{
	struct db_session s;

	if (!r->ok) {
		failed(a, t, "password", "the old password is wrong");
		return false;
	}
	if (!session_there(a, t, &s))
		return false;
	delay_passed(a->delay, &t->who);
	t->what = ATTEMPT_NEW;
	t->w->state = t->w->before;
	users_ask(a, t);
	return true;
}

static void
new_done(struct authd *a, struct attempt *t, const struct result *r)
{
	struct db_session s;

	if (session_there(a, t, &s))
		self_done(a, t, &s, db_user_password(a->db, t->user.id,
		    t->salt, r->hash, a->o.cost, s.id), "password");
}

static void
totp_on_done(struct authd *a, struct attempt *t, const struct result *r)
{
	struct db_session s;

	if (!session_there(a, t, &s))
		return;
	if (!r->ok) {
		say(a, t, RC_AUTH, "that is not the present code; is the clock "
		    "of the device right?");
		return;
	}
	self_done(a, t, &s, db_user_totp_on(a->db, t->user.id, r->step),
	    "totp-on");
}

static void
totp_off_done(struct authd *a, struct attempt *t, const struct result *r)
{
	struct db_session s;

	if (!r->ok) {
		failed(a, t, "totp-off", "wrong password or code");
		return;
	}
	if (!session_there(a, t, &s))
		return;
	delay_passed(a->delay, &t->who);
	self_done(a, t, &s, db_user_totp_off(a->db, t->user.id), "totp-off");
}

void
attempt_done(struct authd *a, struct attempt *t, const struct result *r)
{
	switch (t->what) {
	case ATTEMPT_SIGNIN:
		signin_done(a, t, r);
		break;
	case ATTEMPT_SETUP:
		setup_done(a, t, r);
		break;
	case ATTEMPT_PASSWORD:
		if (password_done(a, t, r))
			return;
		break;
	case ATTEMPT_NEW:
		new_done(a, t, r);
		break;
	case ATTEMPT_TOTP_ON:
		totp_on_done(a, t, r);
		break;
	case ATTEMPT_TOTP_OFF:
		totp_off_done(a, t, r);
		break;
	}
	users_attempt_free(t);
}
