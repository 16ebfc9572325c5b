#include "config.h"

#include <string.h>

#include "common/num.h"
#include "common/proto.h"
#include "common/rc.h"
#include "server/http/admin.h"

/* The rows of auth (server/auth/admin.h) as JSON. */
static const char *const token_states[] = {
	"open", "used", "expired", "revoked",
};

static const char *
word(const char *const *words, size_t n, uint8_t i)
{
	return i < n ? words[i] : "unknown";
}

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
	json_put_str(j, "state", word(token_states, NITEMS(token_states),
	    state));
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
row_user(struct json *j, struct rbuf *in)
{
	static const char *const states[] = { "new", "active" };
	char name[64];
	uint8_t right, state, totp;
	int64_t created, seen;
	uint32_t failures;
	int rc;

	if ((rc = rbuf_str(in, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_u8(in, &right)) != RC_OK ||
	    (rc = rbuf_u8(in, &state)) != RC_OK ||
	    (rc = rbuf_u8(in, &totp)) != RC_OK ||
	    (rc = rbuf_i64(in, &created)) != RC_OK ||
	    (rc = rbuf_i64(in, &seen)) != RC_OK ||
	    (rc = rbuf_u32(in, &failures)) != RC_OK)
		return rc;
	json_put_str(j, "user", name);
	json_put_str(j, "right", api_right_word(right));
	json_put_str(j, "state", word(states, NITEMS(states), state));
	json_put_bool(j, "totp", totp != 0);
	json_put_i64(j, "created", created);
	json_put_i64(j, "last_signin", seen);
	json_put_u64(j, "failures", failures);
	return RC_OK;
}

static int
row_session(struct json *j, struct rbuf *in)
{
	char user[64], addr[64];
	uint8_t id[16], right;
	int64_t created, seen, expires;
	int rc;

	if ((rc = rbuf_bytes(in, id, sizeof(id))) != RC_OK ||
	    (rc = rbuf_str(in, user, sizeof(user))) != RC_OK ||
	    (rc = rbuf_u8(in, &right)) != RC_OK ||
	    (rc = rbuf_str(in, addr, sizeof(addr))) != RC_OK ||
	    (rc = rbuf_i64(in, &created)) != RC_OK ||
	    (rc = rbuf_i64(in, &seen)) != RC_OK ||
	    (rc = rbuf_i64(in, &expires)) != RC_OK)
		return rc;
	json_put_hex(j, "session", id, sizeof(id));
	json_put_str(j, "user", user);
	json_put_str(j, "right", api_right_word(right));
	json_put_str(j, "address", addr);
	json_put_i64(j, "created", created);
	json_put_i64(j, "seen", seen);
	json_put_i64(j, "expires", expires);
	return RC_OK;
}

static int
row_api(struct json *j, struct rbuf *in)
{
	char name[64];
	uint8_t id[16], right, state;
	int64_t created, seen, expires;
	int rc;

	if ((rc = rbuf_bytes(in, id, sizeof(id))) != RC_OK ||
	    (rc = rbuf_str(in, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_u8(in, &right)) != RC_OK ||
	    (rc = rbuf_i64(in, &created)) != RC_OK ||
	    (rc = rbuf_i64(in, &seen)) != RC_OK ||
	    (rc = rbuf_i64(in, &expires)) != RC_OK ||
	    (rc = rbuf_u8(in, &state)) != RC_OK)
		return rc;
	json_put_hex(j, "token", id, sizeof(id));
	json_put_str(j, "name", name);
	json_put_str(j, "right", api_right_word(right));
	json_put_i64(j, "created", created);
	json_put_i64(j, "seen", seen);
	json_put_i64(j, "expires", expires);
	json_put_str(j, "state", word(token_states, NITEMS(token_states),
	    state));
	return RC_OK;
}

static int
row_pair(struct json *j, struct rbuf *in)
{
	static const char *const states[] = {
		[PAIR_WAITING] = "waiting", [PAIR_ACCEPTED] = "accepted",
		[PAIR_REFUSED] = "refused", [PAIR_GONE] = "gone",
	};
	char name[128], addr[64], code[32], client[160];
	uint8_t id[16], state;
	int64_t asked, expires;
	int rc;

	if ((rc = rbuf_bytes(in, id, sizeof(id))) != RC_OK ||
	    (rc = rbuf_str(in, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_str(in, addr, sizeof(addr))) != RC_OK ||
	    (rc = rbuf_str(in, code, sizeof(code))) != RC_OK ||
	    (rc = rbuf_i64(in, &asked)) != RC_OK ||
	    (rc = rbuf_i64(in, &expires)) != RC_OK ||
	    (rc = rbuf_u8(in, &state)) != RC_OK ||
	    (rc = rbuf_str(in, client, sizeof(client))) != RC_OK)
		return rc;
	json_put_hex(j, "pairing", id, sizeof(id));
	json_put_str(j, "says", name);
	json_put_str(j, "address", addr);
	json_put_str(j, "code", code);
	json_put_i64(j, "asked", asked);
	json_put_i64(j, "expires", expires);
	json_put_str(j, "state", state < NITEMS(states) &&
	    states[state] != NULL ? states[state] : "unknown");
	json_put_str(j, "client", client);
	return RC_OK;
}

int
admin_put_row(struct json *j, struct rbuf *in)
{
	static int (*const rows[])(struct json *, struct rbuf *) = {
		[ADMIN_ROW_ACCOUNT] = row_account,
		[ADMIN_ROW_CLIENT] = row_client,
		[ADMIN_ROW_TOKEN] = row_token,
		[ADMIN_ROW_VAULT] = row_vault,
		[ADMIN_ROW_SECRET] = row_secret,
		[ADMIN_ROW_USER] = row_user,
		[ADMIN_ROW_SESSION] = row_session,
		[ADMIN_ROW_API] = row_api,
		[ADMIN_ROW_PAIR] = row_pair,
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
