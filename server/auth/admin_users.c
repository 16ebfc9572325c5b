#include "config.h"

#include "server/auth/admin_priv.h"

#include <stdio.h>
#include <string.h>

#include "common/digest.h"
#include "common/rc.h"
#include "server/auth/text.h"

/* Users, their sessions, and API tokens. */
#define SETUP_SECONDS	(24 * 3600)
#define API_SECONDS_MIN	3600
#define API_SECONDS_MAX	(366 * 86400)

static int
right_ok(struct request *q)
{
	if (q->right < RIGHT_VIEWER || q->right > RIGHT_ADMIN)
		return admin_say(q, RC_RANGE, "a right is viewer, operator or "
		    "admin");
	return RC_OK;
}

/* 32 random bytes: their text and what is stored of them. */
static int
new_secret(const char *prefix, char text[64], uint8_t hash[32])
{
	uint8_t secret[32];
	int rc;

	if ((rc = secret_random(secret, sizeof(secret))) == RC_OK)
		rc = sha256(secret, sizeof(secret), hash);
	snprintf(text, 64, "%.8s", prefix);
	text_base64url(secret, text + strlen(text));
	secret_wipe(secret, sizeof(secret));
	return rc;
}

static int
no_user(struct request *q)
{
	return admin_say(q, RC_NOENT, "user '%.63s' does not exist; see: "
	    "storegridctl user list", q->name);
}

int
admin_user_add(struct request *q)
{
	char text[64];
	uint8_t hash[32];
	int rc;

	if (!db_name_ok(q->name))
		return admin_bad_name(q, "user", q->name);
	if ((rc = right_ok(q)) != RC_OK ||
	    (rc = new_secret("", text, hash)) != RC_OK)
		return rc;
	rc = db_user_add(q->db, q->name, q->right, hash,
	    q->now + SETUP_SECONDS, q->now);
	if (rc == RC_EXISTS)
		rc = admin_say(q, rc, "user '%s' exists already; a new one-time "
		    "secret: storegridctl user reset %s", q->name, q->name);
	else if (rc == RC_OK)
		rc = admin_secret_row(q, text, q->now + SETUP_SECONDS);
	secret_wipe(text, sizeof(text));
	return rc;
}

int
admin_user_reset(struct request *q)
{
	char text[64];
	uint8_t hash[32];
	int rc;

	if ((rc = new_secret("", text, hash)) != RC_OK)
		return rc;
	rc = db_user_reset(q->db, q->name, hash, q->now + SETUP_SECONDS);
	if (rc == RC_NOENT)
		rc = no_user(q);
	if (rc == RC_OK) {
		q->e->revoked = true;
		rc = admin_secret_row(q, text, q->now + SETUP_SECONDS);
	}
	secret_wipe(text, sizeof(text));
	return rc;
}

static int
put_user(void *arg, const struct db_user *u)
{
	struct wbuf b = WBUF_INIT(ADMIN_ROW_MAX);

	wbuf_u8(&b, ADMIN_ROW_USER);
	wbuf_str(&b, u->name);
	wbuf_u8(&b, u->right);
	wbuf_u8(&b, u->has_password ? USER_ACTIVE : USER_NEW);
	wbuf_u8(&b, u->totp_on);
	wbuf_i64(&b, u->created);
	wbuf_i64(&b, u->seen);
	wbuf_u32(&b, u->failures);
	return admin_row(arg, &b);
}

int
admin_user_list(struct request *q)
{
	return db_users(q->db, put_user, q);
}

int
admin_user_rm(struct request *q)
{
	int rc = db_user_rm(q->db, q->name);

	if (rc == RC_NOENT)
		return no_user(q);
	q->e->revoked = rc == RC_OK;
	return rc;
}

int
admin_user_right(struct request *q)
{
	int rc;

	if ((rc = right_ok(q)) != RC_OK)
		return rc;
	rc = db_user_right(q->db, q->name, q->right);
	if (rc == RC_NOENT)
		return no_user(q);
	q->e->revoked = rc == RC_OK;
	return rc;
}

/* --- sessions --- */

static int
put_session(void *arg, const struct db_session *s)
{
	struct wbuf b = WBUF_INIT(ADMIN_ROW_MAX);

	wbuf_u8(&b, ADMIN_ROW_SESSION);
	wbuf_bytes(&b, s->id, sizeof(s->id));
	wbuf_str(&b, s->name);
	wbuf_u8(&b, s->right);
	wbuf_str(&b, s->addr);
	wbuf_i64(&b, s->created);
	wbuf_i64(&b, s->seen);
	wbuf_i64(&b, s->expires);
	return admin_row(arg, &b);
}

/* Whose sessions: everybody's for an administrator. */
static const char *
whose(const struct request *q)
{
	return q->e->right >= RIGHT_ADMIN ? NULL : q->user;
}

int
admin_session_list(struct request *q)
{
	return db_sessions(q->db, whose(q), q->now, put_session, q);
}

int
admin_session_revoke(struct request *q)
{
	unsigned n;
	int rc;

	rc = db_session_revoke(q->db, q->id, q->digits, whose(q), &n);
	if (rc != RC_OK)
		return rc;
	q->e->revoked = n == 1;
	return admin_matches(q, n, "session", "session list");
}

/* --- API tokens --- */

int
admin_api_add(struct request *q)
{
	struct db_api a = { .right = q->right, .created = q->now,
	    .expires = q->now + q->seconds };
	char text[64];
	uint8_t hash[32];
	int rc;

	/* "api:NAME" is who it is in the logs, 63 bytes at most */
	if (!db_name_ok(q->name) || strlen(q->name) > AUTH_API_NAME_MAX)
		return admin_say(q, RC_RANGE, "'%.80s' is no name of an API "
		    "token: 1 to %d letters, digits, '.', '_' and '-', "
		    "beginning with a letter or digit", q->name,
		    AUTH_API_NAME_MAX);
	if ((rc = right_ok(q)) != RC_OK)
		return rc;
	if (q->seconds < API_SECONDS_MIN || q->seconds > API_SECONDS_MAX)
		return admin_say(q, RC_RANGE, "an API token lives from one "
		    "hour to 366 days");
	snprintf(a.name, sizeof(a.name), "%.63s", q->name);
	if ((rc = secret_random(a.id, sizeof(a.id))) != RC_OK ||
	    (rc = new_secret("sgapi_", text, hash)) != RC_OK)
		return rc;
	rc = db_api_add(q->db, &a, hash);
	if (rc == RC_EXISTS)
		rc = admin_say(q, rc, "API token '%s' exists already; revoke "
		    "it first: storegridctl api revoke %s", q->name, q->name);
	else if (rc == RC_OK)
		rc = admin_secret_row(q, text, a.expires);
	secret_wipe(text, sizeof(text));
	return rc;
}

static int
put_api(void *arg, const struct db_api *a)
{
	struct wbuf b = WBUF_INIT(ADMIN_ROW_MAX);
	struct request *q = arg;

	wbuf_u8(&b, ADMIN_ROW_API);
	wbuf_bytes(&b, a->id, sizeof(a->id));
	wbuf_str(&b, a->name);
	wbuf_u8(&b, a->right);
	wbuf_i64(&b, a->created);
	wbuf_i64(&b, a->seen);
	wbuf_i64(&b, a->expires);
	wbuf_u8(&b, a->state == DB_TOKEN_OPEN && a->expires <= q->now ?
	    DB_TOKEN_EXPIRED : a->state);
	return admin_row(q, &b);
}

int
admin_api_list(struct request *q)
{
	return db_apis(q->db, put_api, q);
}

int
admin_api_revoke(struct request *q)
{
	unsigned n;
	int rc;

	rc = db_api_revoke(q->db, q->id, q->digits, q->name, &n);
	if (rc != RC_OK)
		return rc;
	q->e->revoked = n == 1;
	return admin_matches(q, n, "open API token", "api list");
}
