#include "config.h"

#include "server/auth/admin.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "server/auth/admin_priv.h"

static int
parse(struct rbuf *in, struct request *q)
{
	int rc;

	if ((rc = rbuf_u8(in, &q->op)) != RC_OK ||
	    (rc = rbuf_str(in, q->account, sizeof(q->account))) != RC_OK ||
	    (rc = rbuf_str(in, q->name, sizeof(q->name))) != RC_OK ||
	    (rc = rbuf_str(in, q->host, sizeof(q->host))) != RC_OK ||
	    (rc = rbuf_u32(in, &q->seconds)) != RC_OK ||
	    (rc = rbuf_u8(in, &q->digits)) != RC_OK ||
	    (rc = rbuf_bytes(in, q->id, sizeof(q->id))) != RC_OK ||
	    (rc = rbuf_u8(in, &q->right)) != RC_OK ||
	    (rc = rbuf_str(in, q->user, sizeof(q->user))) != RC_OK)
		return rc;
	return rbuf_end(in);
}

int
admin_say(struct request *q, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(q->text, sizeof(q->text), fmt, ap);
	va_end(ap);
	return rc;
}

int
admin_row(struct request *q, struct wbuf *b)
{
	int rc = wbuf_rc(b);

	if (rc == RC_OK)
		rc = q->e->send(q->e->arg, MSG_ADMIN_ROW, b);
	wbuf_free(b);
	return rc;
}

int
admin_secret_row(struct request *q, const char *text, int64_t expires)
{
	struct wbuf b = WBUF_INIT(ADMIN_ROW_MAX);

	wbuf_u8(&b, ADMIN_ROW_SECRET);
	wbuf_str(&b, text);
	wbuf_i64(&b, expires);
	return admin_row(q, &b);
}

int
admin_bad_name(struct request *q, const char *what, const char *name)
{
	return admin_say(q, RC_RANGE, "'%.80s' is no %s name: 1 to 63 letters, "
	    "digits, '.', '_' and '-', beginning with a letter or digit",
	    name, what);
}

int
admin_matches(struct request *q, unsigned n, const char *what,
    const char *list)
{
	if (n == 0)
		return admin_say(q, RC_NOENT, "no %s begins like that; see: "
		    "storegridctl %s", what, list);
	if (n > 1)
		return admin_say(q, RC_RANGE, "%u begin like that: give more "
		    "digits", n);
	return RC_OK;
}

/* What each operation needs: the one place that says so. */
static const struct {
	admin_fn	*fn;
	uint8_t		 right;		/* enum right, the least */
	const char	*what;		/* in the logs; NULL: changes nothing */
} operations[ADMIN_OP_MAX] = {
	[ADMIN_ACCOUNT_LIST] = { admin_account_list, RIGHT_VIEWER, NULL },
	[ADMIN_CLIENT_LIST] = { admin_client_list, RIGHT_VIEWER, NULL },
	[ADMIN_VAULT_LIST] = { admin_vault_list, RIGHT_VIEWER, NULL },
	/* below admin of one's own only */
	[ADMIN_SESSION_LIST] = { admin_session_list, RIGHT_VIEWER, NULL },
	[ADMIN_SESSION_REVOKE] = { admin_session_revoke, RIGHT_VIEWER,
	    "session revoke" },

	[ADMIN_CLIENT_ADD] = { admin_client_add, RIGHT_OPERATOR,
	    "client add" },
	[ADMIN_CLIENT_DISABLE] = { admin_client_disable, RIGHT_OPERATOR,
	    "client disable" },
	[ADMIN_CLIENT_ENABLE] = { admin_client_enable, RIGHT_OPERATOR,
	    "client enable" },
	[ADMIN_TOKEN_ADD] = { admin_token_add, RIGHT_OPERATOR, "token add" },
	[ADMIN_TOKEN_LIST] = { admin_token_list, RIGHT_OPERATOR, NULL },
	[ADMIN_TOKEN_REVOKE] = { admin_token_revoke, RIGHT_OPERATOR,
	    "token revoke" },
	[ADMIN_PAIR_LIST] = { admin_pair_list, RIGHT_OPERATOR, NULL },
	[ADMIN_PAIR_ACCEPT] = { admin_pair_accept, RIGHT_OPERATOR,
	    "pair accept" },
	[ADMIN_PAIR_REFUSE] = { admin_pair_refuse, RIGHT_OPERATOR,
	    "pair refuse" },

	[ADMIN_ACCOUNT_ADD] = { admin_account_add, RIGHT_ADMIN,
	    "account add" },
	[ADMIN_ACCOUNT_RM] = { admin_account_rm, RIGHT_ADMIN, "account rm" },
	[ADMIN_CLIENT_RM] = { admin_client_rm, RIGHT_ADMIN, "client rm" },
	[ADMIN_USER_ADD] = { admin_user_add, RIGHT_ADMIN, "user add" },
	[ADMIN_USER_LIST] = { admin_user_list, RIGHT_ADMIN, NULL },
	[ADMIN_USER_RM] = { admin_user_rm, RIGHT_ADMIN, "user rm" },
	[ADMIN_USER_RIGHT] = { admin_user_right, RIGHT_ADMIN, "user right" },
	[ADMIN_USER_RESET] = { admin_user_reset, RIGHT_ADMIN, "user reset" },
	[ADMIN_API_ADD] = { admin_api_add, RIGHT_ADMIN, "api add" },
	[ADMIN_API_LIST] = { admin_api_list, RIGHT_ADMIN, NULL },
	[ADMIN_API_REVOKE] = { admin_api_revoke, RIGHT_ADMIN, "api revoke" },
};

static const char *
right_name(uint8_t right)
{
	return right == RIGHT_ADMIN ? "admin" : right == RIGHT_OPERATOR ?
	    "operator" : "viewer";
}

static void
record(struct request *q, int rc)
{
	const char *what = operations[q->op].what;
	struct audit a = { .who = q->user, .from = q->e->from, .rc = rc,
	    .object = q->object,
	    .detail = rc == RC_OK ? q->detail : q->text };
	char act[32];

	if (what == NULL && rc != RC_DENIED)
		return;
	snprintf(act, sizeof(act), "%s", what != NULL ? what : "list");
	log_notice("admin by=\"%s\": %s %s: %s", q->user, act, q->object,
	    rc == RC_OK ? "done" : q->text);
	for (char *p = act; *p != '\0'; p++)
		if (*p == ' ')
			*p = '-';
	a.act = act;
	notes_audit(q->e->notes, &a);
}

static int
end(struct request *q, int rc)
{
	struct wbuf b = WBUF_INIT(1024);

	wbuf_u8(&b, (uint8_t)-rc);
	wbuf_str(&b, q->text);
	if ((rc = wbuf_rc(&b)) == RC_OK)
		rc = q->e->send(q->e->arg, MSG_ADMIN_END, &b);
	wbuf_free(&b);
	return rc;
}

static int
run(struct request *q)
{
	uint8_t least = operations[q->op].right;
	int rc;

	if (q->e->right < least)
		return admin_say(q, RC_DENIED, "this needs the right '%s'",
		    right_name(least));
	rc = operations[q->op].fn(q);
	if (rc != RC_OK && q->text[0] == '\0')
		admin_say(q, rc, "%s", rc_str(rc));
	return rc;
}

int
auth_admin(struct admin_env *e, struct rbuf *body)
{
	struct request q = { .e = e, .db = e->db, .now = e->now };
	int rc;

	if ((rc = parse(body, &q)) != RC_OK)
		return rc;
	if (q.op >= NITEMS(operations) || operations[q.op].fn == NULL)
		return RC_RANGE;
	/* whoever is signed in is not asked for a name */
	if (e->user != NULL)
		snprintf(q.user, sizeof(q.user), "%s", e->user);
	if (e->ended)
		return end(&q, admin_say(&q, RC_AUTH,
		    "the session has ended; sign in again"));
	rc = run(&q);
	if (q.object[0] == '\0')
		snprintf(q.object, sizeof(q.object), "%.63s%s%.63s", q.account,
		    q.account[0] != '\0' && q.name[0] != '\0' ? "/" : "",
		    q.name);
	record(&q, rc);
	return end(&q, rc);
}
