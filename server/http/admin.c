#include "config.h"

#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/auth/admin.h"
#include "server/http/api.h"

/*
 * Accounts, clients, tokens and vaults are auth's; this file turns a request
 * into one ADMIN message and the rows of the answer into JSON.
 */
#define ADMIN_TIMEOUT_MS 30000
#define TOKEN_DEFAULT_S	 (24 * 3600)
#define TOKEN_MAX_S	 (90 * 24 * 3600)

struct call {
	enum admin_op	 op;
	const char	*account, *name, *host;
	uint32_t	 seconds;
	uint8_t		 id[16];
	uint8_t		 id_digits;	/* of a prefix, in hexadecimal digits */
};

static int
row_account(struct json *j, struct rbuf *in)
{
	char name[64];
	uint32_t clients;
	int64_t created;
	int rc;

	if ((rc = rbuf_str(in, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_u32(in, &clients)) != RC_OK ||
	    (rc = rbuf_i64(in, &created)) != RC_OK)
		return rc;
	json_put_str(j, "account", name);
	json_put_u64(j, "clients", clients);
	json_put_i64(j, "created", created);
	return RC_OK;
}

static const char *
word(const char *const *words, size_t n, uint8_t i)
{
	return i < n ? words[i] : "unknown";
}

static int
row_client(struct json *j, struct rbuf *in)
{
	static const char *const states[] = { "added", "enrolled", "disabled" };
	char account[64], name[64];
	uint8_t client[16], vault[16], state;
	int64_t created, seen;
	int rc;

	if ((rc = rbuf_str(in, account, sizeof(account))) != RC_OK ||
	    (rc = rbuf_str(in, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_bytes(in, client, sizeof(client))) != RC_OK ||
	    (rc = rbuf_bytes(in, vault, sizeof(vault))) != RC_OK ||
	    (rc = rbuf_u8(in, &state)) != RC_OK ||
	    (rc = rbuf_i64(in, &created)) != RC_OK ||
	    (rc = rbuf_i64(in, &seen)) != RC_OK)
		return rc;
	json_put_str(j, "account", account);
	json_put_str(j, "name", name);
	json_put_hex(j, "client", client, sizeof(client));
	json_put_hex(j, "vault", vault, sizeof(vault));
	json_put_str(j, "state", word(states, NITEMS(states), state));
	json_put_i64(j, "created", created);
	json_put_i64(j, "last_seen", seen);
	return RC_OK;
}

static int
row_token(struct json *j, struct rbuf *in)
{
	static const char *const states[] = {
		"open", "used", "expired", "revoked",
	};
	char account[64], name[64];
	uint8_t id[16], state;
	int64_t expires;
	int rc;

	if ((rc = rbuf_bytes(in, id, sizeof(id))) != RC_OK ||
	    (rc = rbuf_str(in, account, sizeof(account))) != RC_OK ||
	    (rc = rbuf_str(in, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_i64(in, &expires)) != RC_OK ||
	    (rc = rbuf_u8(in, &state)) != RC_OK)
		return rc;
	json_put_hex(j, "token", id, sizeof(id));
	json_put_str(j, "account", account);
	json_put_str(j, "name", name);
	json_put_i64(j, "expires", expires);
	json_put_str(j, "state", word(states, NITEMS(states), state));
	return RC_OK;
}

static int
row_vault(struct json *j, struct rbuf *in)
{
	static const char *const states[] = { "none", "creating", "exists" };
	char account[64], name[64];
	uint8_t vault[16], instance[16], state;
	int rc;

	if ((rc = rbuf_bytes(in, vault, sizeof(vault))) != RC_OK ||
	    (rc = rbuf_bytes(in, instance, sizeof(instance))) != RC_OK ||
	    (rc = rbuf_str(in, account, sizeof(account))) != RC_OK ||
	    (rc = rbuf_str(in, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_u8(in, &state)) != RC_OK)
		return rc;
	json_put_hex(j, "vault", vault, sizeof(vault));
	json_put_hex(j, "instance", instance, sizeof(instance));
	json_put_str(j, "account", account);
	json_put_str(j, "name", name);
	json_put_str(j, "state", word(states, NITEMS(states), state));
	return RC_OK;
}

static int
row_secret(struct json *j, struct rbuf *in)
{
	char text[1100];
	int64_t expires;
	int rc;

	if ((rc = rbuf_str(in, text, sizeof(text))) != RC_OK ||
	    (rc = rbuf_i64(in, &expires)) != RC_OK)
		return rc;
	json_put_str(j, "secret", text);
	json_put_i64(j, "expires", expires);
	return RC_OK;
}

static int
put_row(struct json *j, struct rbuf *in)
{
	static int (*const rows[])(struct json *, struct rbuf *) = {
		[ADMIN_ROW_ACCOUNT] = row_account,
		[ADMIN_ROW_CLIENT] = row_client,
		[ADMIN_ROW_TOKEN] = row_token,
		[ADMIN_ROW_VAULT] = row_vault,
		[ADMIN_ROW_SECRET] = row_secret,
	};
	uint8_t kind;
	int rc;

	if ((rc = rbuf_u8(in, &kind)) != RC_OK)
		return rc;
	if (kind >= NITEMS(rows) || rows[kind] == NULL)
		return RC_PROTO;
	json_object(j, NULL);
	if ((rc = rows[kind](j, in)) != RC_OK)
		return rc;
	json_end(j);
	return rbuf_end(in);
}

static int
status_of(uint8_t code)
{
	switch (-(int)code) {
	case RC_OK:	return 200;
	case RC_NOENT:	return 404;
	case RC_EXISTS:
	case RC_BUSY:
	case RC_STATE:	return 409;
	case RC_DENIED:	return 403;
	case RC_RANGE:
	case RC_LIMIT:
	case RC_PROTO:	return 400;
	default:	return 500;
	}
}

static int
send_call(struct api *a, const struct call *c)
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
	wbuf_str(&body, a->user);
	rc = chan_send(a->auth, MSG_ADMIN, &body, -1);
	wbuf_free(&body);
	return rc;
}

/* Ask auth and write the rows as the array `rows`. */
static int
admin(struct api *a, const struct call *c, const char *rows)
{
	struct msg m;
	uint8_t code;
	int rc;

	if ((rc = send_call(a, c)) == RC_LIMIT)
		return api_fail(a, 400, "a value is too long");
	if (rc == RC_OK)
		json_array(&a->json, rows);
	while (rc == RC_OK) {
		if ((rc = chan_recv_wait(a->auth, &m, ADMIN_TIMEOUT_MS)) != RC_OK)
			break;
		if (m.type == MSG_ADMIN_ROW) {
			rc = put_row(&a->json, &m.body);
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
		return status_of(code);
	}
	return api_fail(a, 503, "the auth process did not answer (%s); see the log",
	    rc_str(rc));
}

int
api_accounts(struct api *a)
{
	struct call c = { .op = ADMIN_ACCOUNT_LIST };

	return admin(a, &c, "accounts");
}

int
api_account_add(struct api *a)
{
	struct call c = { .op = ADMIN_ACCOUNT_ADD };
	int status;

	if ((c.account = api_body_str(a, "account", &status)) == NULL)
		return status;
	return admin(a, &c, "accounts");
}

int
api_account_rm(struct api *a)
{
	struct call c = { .op = ADMIN_ACCOUNT_RM,
	    .account = a->req.segment[3] };

	return admin(a, &c, "accounts");
}

int
api_clients(struct api *a)
{
	struct call c = { .op = ADMIN_CLIENT_LIST };

	return admin(a, &c, "clients");
}

/* account, name, host and expires of the body, for what makes a token. */
static int
token_call(struct api *a, struct call *c)
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
	struct call c = { .op = ADMIN_CLIENT_ADD };
	int status;

	if ((status = token_call(a, &c)) != 200)
		return status;
	return admin(a, &c, "tokens");
}

static int
client_call(struct api *a, enum admin_op op)
{
	struct call c = { .op = op, .account = a->req.segment[3],
	    .name = a->req.segment[4] };

	return admin(a, &c, "clients");
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
	struct call c = { .op = ADMIN_TOKEN_LIST };

	return admin(a, &c, "tokens");
}

int
api_token_add(struct api *a)
{
	struct call c = { .op = ADMIN_TOKEN_ADD };
	int status;

	if ((status = token_call(a, &c)) != 200)
		return status;
	return admin(a, &c, "tokens");
}

static int
parse_id_prefix(const char *s, struct call *c)
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
	struct call c = { .op = ADMIN_TOKEN_REVOKE };

	if (parse_id_prefix(a->req.segment[3], &c) != RC_OK)
		return api_fail(a, 400,
		    "a token is named by the first digits of its id");
	return admin(a, &c, "tokens");
}

int
api_vaults(struct api *a)
{
	struct call c = { .op = ADMIN_VAULT_LIST };

	return admin(a, &c, "vaults");
}
