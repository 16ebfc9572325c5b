#include "config.h"

#include <string.h>

#include "common/rc.h"
#include "server/http/admin.h"

/*
 * Accounts, clients, tokens and vaults are auth's; this file turns a request
 * into one ADMIN message and the rows of the answer into JSON.
 */
#define TOKEN_DEFAULT_S	 (24 * 3600)
#define TOKEN_MAX_S	 (90 * 24 * 3600)

int
api_status_of(int rc)
{
	switch (rc) {
	case RC_OK:	return 200;
	case RC_NOENT:	return 404;
	case RC_EXISTS:
	case RC_BUSY:
	case RC_STATE:	return 409;
	case RC_DENIED:	return 403;
	case RC_AUTH:	return 401;
	case RC_AGAIN:
	case RC_TIMEOUT:
	case RC_UNREACHABLE: return 503;
	case RC_RANGE:
	case RC_LIMIT:
	case RC_PROTO:	return 400;
	default:	return 500;
	}
}

static int
send_call(struct api *a, const struct admin_args *c)
{
	struct wbuf body = WBUF_INIT(1024);
	int rc;

	wbuf_u8(&body, (uint8_t)c->op);
	wbuf_str(&body, c->account != NULL ? c->account : "");
	wbuf_str(&body, c->name != NULL ? c->name : "");
	wbuf_str(&body, c->host != NULL ? c->host : "");
	wbuf_u32(&body, c->seconds);
	wbuf_u8(&body, c->id_digits);
	wbuf_bytes(&body, c->id, sizeof(c->id));
	wbuf_u8(&body, c->right);
	wbuf_str(&body, a->user);
	rc = chan_send(a->auth, MSG_ADMIN, &body, -1);
	wbuf_free(&body);
	return rc;
}

/* Ask auth and write the rows as the array `rows`. */
int
admin_call(struct api *a, const struct admin_args *c, const char *rows)
{
	struct msg m;
	uint8_t code;
	int rc;

	if ((rc = send_call(a, c)) == RC_LIMIT)
		return api_fail(a, 400, "a value is too long");
	if (rc == RC_OK)
		json_array(&a->json, rows);
	while (rc == RC_OK) {
		if ((rc = chan_recv_wait(a->auth, &m, API_HELPER_MS)) != RC_OK)
			break;
		if (m.type == MSG_ADMIN_ROW) {
			rc = admin_put_row(&a->json, &m.body);
			continue;
		}
		if (m.type != MSG_ADMIN_END) {
			rc = RC_STATE;
			break;
		}
		json_end_array(&a->json);
		if ((rc = rbuf_u8(&m.body, &code)) != RC_OK ||
		    (rc = rbuf_str(&m.body, a->error, sizeof(a->error))) != RC_OK)
			break;
		return api_status_of(-(int)code);
	}
	return api_fail(a, 503, "the auth process did not answer (%s); see the log",
	    rc_str(rc));
}

int
api_accounts(struct api *a)
{
	struct admin_args c = { .op = ADMIN_ACCOUNT_LIST };

	return admin_call(a, &c, "accounts");
}

int
api_account_add(struct api *a)
{
	struct admin_args c = { .op = ADMIN_ACCOUNT_ADD };
	int status;

	if ((c.account = api_body_str(a, "account", &status)) == NULL)
		return status;
	return admin_call(a, &c, "accounts");
}

int
api_account_rm(struct api *a)
{
	struct admin_args c = { .op = ADMIN_ACCOUNT_RM,
	    .account = a->req.segment[3] };

	return admin_call(a, &c, "accounts");
}

int
api_clients(struct api *a)
{
	struct admin_args c = { .op = ADMIN_CLIENT_LIST };

	return admin_call(a, &c, "clients");
}

/* account, name, host and expires of the body, for what makes a token. */
static int
token_call(struct api *a, struct admin_args *c)
{
	const struct json_value *root = a->doc ? json_root(a->doc) : NULL;
	int64_t expires;
	int status;

	if ((c->account = api_body_str(a, "account", &status)) == NULL ||
	    (c->name = api_body_str(a, "name", &status)) == NULL)
		return status;
	c->host = json_string(a->doc, root, "host", "");
	expires = json_int(a->doc, root, "expires", TOKEN_DEFAULT_S);
	if (expires < 60 || expires > TOKEN_MAX_S)
		return api_fail(a, 400,
		    "expires must be from 60 (one minute) to 7776000 (90 days) seconds");
	c->seconds = (uint32_t)expires;
	return 200;
}

int
api_client_add(struct api *a)
{
	struct admin_args c = { .op = ADMIN_CLIENT_ADD };
	int status;

	if ((status = token_call(a, &c)) != 200)
		return status;
	return admin_call(a, &c, "tokens");
}

static int
client_call(struct api *a, enum admin_op op)
{
	struct admin_args c = { .op = op, .account = a->req.segment[3],
	    .name = a->req.segment[4] };

	return admin_call(a, &c, "clients");
}

int
api_client_rm(struct api *a)
{
	return client_call(a, ADMIN_CLIENT_RM);
}

int
api_client_enable(struct api *a)
{
	return client_call(a, ADMIN_CLIENT_ENABLE);
}

int
api_client_disable(struct api *a)
{
	return client_call(a, ADMIN_CLIENT_DISABLE);
}

int
api_tokens(struct api *a)
{
	struct admin_args c = { .op = ADMIN_TOKEN_LIST };

	return admin_call(a, &c, "tokens");
}

int
api_token_add(struct api *a)
{
	struct admin_args c = { .op = ADMIN_TOKEN_ADD };
	int status;

	if ((status = token_call(a, &c)) != 200)
		return status;
	return admin_call(a, &c, "tokens");
}

int
admin_id_prefix(const char *s, struct admin_args *c)
{
	size_t i, n = strlen(s);

	if (n == 0 || n > 32)
		return RC_RANGE;
	for (i = 0; i < n; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *at = strchr(digits, s[i]);

		if (at == NULL)
			return RC_RANGE;
		c->id[i / 2] |= (uint8_t)((at - digits) << (i % 2 ? 0 : 4));
	}
	c->id_digits = (uint8_t)n;
	return RC_OK;
}

int
api_token_revoke(struct api *a)
{
	struct admin_args c = { .op = ADMIN_TOKEN_REVOKE };

	if (admin_id_prefix(a->req.segment[3], &c) != RC_OK)
		return api_fail(a, 400,
		    "a token is named by the first digits of its id");
	return admin_call(a, &c, "tokens");
}

int
api_vaults(struct api *a)
{
	struct admin_args c = { .op = ADMIN_VAULT_LIST };

	return admin_call(a, &c, "vaults");
}
