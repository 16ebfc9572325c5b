#include "config.h"

#include "server/auth/admin_priv.h"

#include <stdio.h>
#include <string.h>

#include "common/rc.h"

/* Accounts, clients, their tokens, and vaults. */
#define TOKEN_SECONDS	(24 * 3600)	/* when nobody says otherwise */

static int
no_account(struct request *q)
{
	return admin_say(q, RC_NOENT, "account '%s' does not exist; make it with: "
	    "storegridctl account add %s", q->account, q->account);
}

static int
names_ok(struct request *q, bool client)
{
	if (!db_name_ok(q->account))
		return admin_bad_name(q, "account", q->account);
	if (client && !db_name_ok(q->name))
		return admin_bad_name(q, "client", q->name);
	return RC_OK;
}

/* The client that is meant, or why there is none. */
static int
find_client(struct request *q, struct db_client *c)
{
	struct db_account a;
	int rc;

	if ((rc = names_ok(q, true)) != RC_OK)
		return rc;
	rc = db_client_find(q->db, q->account, q->name, c);
	if (rc != RC_NOENT)
		return rc;
	if (db_account_get(q->db, q->account, &a) == RC_NOENT)
		return no_account(q);
	return admin_say(q, RC_NOENT, "client '%s/%s' does not exist; make it with: "
	    "storegridctl client add %s/%s", q->account, q->name, q->account,
	    q->name);
}

/* --- accounts --- */

int
admin_account_add(struct request *q)
{
	int rc;

	if ((rc = names_ok(q, false)) != RC_OK)
		return rc;
	rc = db_account_add(q->db, q->account, q->now);
	if (rc == RC_EXISTS)
		return admin_say(q, rc, "account '%s' exists already", q->account);
	return rc;
}

int
admin_account_rm(struct request *q)
{
	int rc;

	if ((rc = names_ok(q, false)) != RC_OK)
		return rc;
	rc = db_account_rm(q->db, q->account);
	if (rc == RC_NOENT)
		return admin_say(q, rc, "account '%s' does not exist", q->account);
	if (rc == RC_BUSY)
		return admin_say(q, rc, "account '%s' still has clients; "
		    "remove them first (their vaults stay): storegridctl "
		    "client rm %s/NAME", q->account, q->account);
	return rc;
}

static int
put_account(void *arg, const struct db_account *a)
{
	struct wbuf b = WBUF_INIT(ADMIN_ROW_MAX);

	wbuf_u8(&b, ADMIN_ROW_ACCOUNT);
	wbuf_str(&b, a->name);
	wbuf_u32(&b, a->clients);
	wbuf_i64(&b, a->created);
	return admin_row(arg, &b);
}

int
admin_account_list(struct request *q)
{
	return db_accounts(q->db, put_account, q);
}

/* --- tokens --- */

static int
host_ok(struct request *q)
{
	if (q->host[0] == '\0')
		snprintf(q->host, sizeof(q->host), "%s", q->e->conf->advertise);
	if (q->host[0] == '\0')
		return admin_say(q, RC_CONFIG, "where do clients find this server? "
		    "Set Advertise in SGConfiguration.conf or use --host");
	for (const char *p = q->host; *p != '\0'; p++)
		if (*p <= ' ' || *p == 0x7f || *p == '/')
			return admin_say(q, RC_RANGE, "'%.80s' is no host name or "
			    "address", q->host);
	return RC_OK;
}

int
admin_make_token(struct request *q, const struct db_client *c,
    uint32_t seconds, char text[TOKEN_TEXT_MAX], int64_t *expires)
{
	const struct conf *conf = q->e->conf;
	struct token t = {
		.port = conf->port_server,
		.ssl_port = conf->port_ssl,
		.ssl = conf->ssl_enabled,
		.expires = q->now + seconds,
	};
	struct db_token d = { .expires = t.expires };
	int rc;

	if ((rc = host_ok(q)) != RC_OK ||
	    (rc = secret_random(t.id, sizeof(t.id))) != RC_OK ||
	    (rc = secret_random(&t.secret, sizeof(t.secret))) != RC_OK)
		return rc;
	memcpy(t.pin, q->e->self->pin, sizeof(t.pin));
	memcpy(t.identity_fp, q->e->self->identity_fp, sizeof(t.identity_fp));
	snprintf(t.host, sizeof(t.host), "%s", q->host);
	memcpy(d.id, t.id, sizeof(d.id));
	d.secret = t.secret;
	memcpy(d.client, c->id, sizeof(d.client));
	if ((rc = token_format(&t, text)) == RC_OK)
		rc = db_token_add(q->db, &d, q->now);
	*expires = t.expires;
	secret_clear(&d.secret);
	token_clear(&t);
	return rc;
}

/* A new token of this client, and its row. */
static int
give_token(struct request *q, const struct db_client *c)
{
	char text[TOKEN_TEXT_MAX] = "";
	int64_t expires;
	int rc;

	rc = admin_make_token(q, c, q->seconds != 0 ? q->seconds :
	    TOKEN_SECONDS, text, &expires);
	if (rc == RC_OK)
		rc = admin_secret_row(q, text, expires);
	secret_wipe(text, sizeof(text));
	return rc;
}

static int
not_disabled(struct request *q, const struct db_client *c)
{
	if (c->state != CLIENT_DISABLED)
		return RC_OK;
	return admin_say(q, RC_STATE, "client '%s/%s' is disabled; first: "
	    "storegridctl client enable %s/%s", q->account, q->name,
	    q->account, q->name);
}

int
admin_client_ready(struct request *q, struct db_client *c)
{
	int rc;

	if ((rc = names_ok(q, true)) != RC_OK || (rc = host_ok(q)) != RC_OK)
		return rc;
	rc = db_client_add(q->db, q->account, q->name, q->now, c);
	if (rc == RC_NOENT)
		return no_account(q);
	if (rc == RC_OK)
		notes_client(q->e->notes, c);
	if (rc != RC_EXISTS)
		return rc;
	rc = db_client_find(q->db, q->account, q->name, c);
	return rc == RC_OK ? not_disabled(q, c) : rc;
}

int
admin_token_add(struct request *q)
{
	struct db_client c;
	int rc;

	if ((rc = host_ok(q)) != RC_OK || (rc = find_client(q, &c)) != RC_OK)
		return rc;
	if ((rc = not_disabled(q, &c)) != RC_OK)
		return rc;
	return give_token(q, &c);
}

static int
put_token(void *arg, const struct db_token *t)
{
	struct wbuf b = WBUF_INIT(ADMIN_ROW_MAX);
	struct request *q = arg;

	wbuf_u8(&b, ADMIN_ROW_TOKEN);
	wbuf_bytes(&b, t->id, sizeof(t->id));
	wbuf_str(&b, t->account);
	wbuf_str(&b, t->name);
	wbuf_i64(&b, t->expires);
	wbuf_u8(&b, t->state == DB_TOKEN_OPEN && t->expires <= q->now ?
	    DB_TOKEN_EXPIRED : t->state);
	return admin_row(q, &b);
}

int
admin_token_list(struct request *q)
{
	return db_tokens(q->db, put_token, q);
}

int
admin_token_revoke(struct request *q)
{
	unsigned n;
	int rc;

	rc = db_token_revoke(q->db, q->id, q->digits, &n);
	if (rc != RC_OK)
		return rc;
	return admin_matches(q, n, "open token", "token list");
}

/* --- clients --- */

int
admin_client_add(struct request *q)
{
	struct db_client c;
	int rc;

	if ((rc = names_ok(q, true)) != RC_OK || (rc = host_ok(q)) != RC_OK)
		return rc;
	rc = db_client_add(q->db, q->account, q->name, q->now, &c);
	if (rc == RC_NOENT)
		return no_account(q);
	if (rc == RC_EXISTS)
		return admin_say(q, rc, "client '%s/%s' exists already; a new token "
		    "for it: storegridctl token add %s/%s", q->account,
		    q->name, q->account, q->name);
	if (rc != RC_OK)
		return rc;
	notes_client(q->e->notes, &c);
	return give_token(q, &c);
}

static int
put_client(void *arg, const struct db_client *c)
{
	struct wbuf b = WBUF_INIT(ADMIN_ROW_MAX);

	wbuf_u8(&b, ADMIN_ROW_CLIENT);
	wbuf_str(&b, c->account);
	wbuf_str(&b, c->name);
	wbuf_bytes(&b, c->id, sizeof(c->id));
	wbuf_bytes(&b, c->vault, sizeof(c->vault));
	wbuf_u8(&b, c->state);
	wbuf_i64(&b, c->created);
	wbuf_i64(&b, c->seen);
	return admin_row(arg, &b);
}

int
admin_client_list(struct request *q)
{
	return db_clients(q->db, put_client, q);
}

/* What it has become. */
static void
note_again(struct request *q, const uint8_t id[16])
{
	struct db_client c;

	if (db_client_get(q->db, id, &c) == RC_OK)
		notes_client(q->e->notes, &c);
}

int
admin_client_disable(struct request *q)
{
	struct db_client c;
	int rc;

	if ((rc = find_client(q, &c)) != RC_OK)
		return rc;
	if ((rc = db_client_disable(q->db, c.id, true)) != RC_OK)
		return rc;
	q->e->cut(q->e->arg, c.vault);
	note_again(q, c.id);
	return RC_OK;
}

int
admin_client_enable(struct request *q)
{
	struct db_client c;
	int rc;

	if ((rc = find_client(q, &c)) != RC_OK)
		return rc;
	if ((rc = db_client_disable(q->db, c.id, false)) == RC_OK)
		note_again(q, c.id);
	return rc;
}

int
admin_client_rm(struct request *q)
{
	struct db_client c;
	int rc;

	if ((rc = find_client(q, &c)) != RC_OK)
		return rc;
	if ((rc = db_client_rm(q->db, c.id)) != RC_OK)
		return rc;
	q->e->cut(q->e->arg, c.vault);
	notes_client_gone(q->e->notes, &c);
	return RC_OK;
}

/* --- vaults --- */

static int
put_vault(void *arg, const struct db_vault *v)
{
	struct wbuf b = WBUF_INIT(ADMIN_ROW_MAX);

	wbuf_u8(&b, ADMIN_ROW_VAULT);
	wbuf_bytes(&b, v->id, sizeof(v->id));
	wbuf_bytes(&b, v->instance, sizeof(v->instance));
	wbuf_str(&b, v->account);
	wbuf_str(&b, v->name);
	wbuf_u8(&b, v->state);
	return admin_row(arg, &b);
}

int
admin_vault_list(struct request *q)
{
	return db_vaults(q->db, put_vault, q);
}

