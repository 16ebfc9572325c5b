#include "config.h"

#include "server/auth/admin.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "common/token.h"
#include "server/auth/auth.h"

#define TOKEN_SECONDS	(24 * 3600)	/* when nobody says otherwise */
#define ROW_MAX		2048
#define USER_MAX	64

struct request {
	struct db		*db;
	const struct auth_self	*self;
	const struct conf	*conf;
	const struct admin_io	*io;
	int64_t			 now;
	uint8_t			 op;
	char			 account[128], name[128];
	char			 host[TOKEN_HOST_MAX + 1];
	uint32_t		 seconds;
	uint8_t			 digits;
	uint8_t			 id[16];
	char			 user[USER_MAX];
	char			 text[512];	/* of the answer */
};

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
	    (rc = rbuf_str(in, q->user, sizeof(q->user))) != RC_OK)
		return rc;
	return rbuf_end(in);
}

__attribute__((format(printf, 3, 4)))
static int
say(struct request *q, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(q->text, sizeof(q->text), fmt, ap);
	va_end(ap);
	return rc;
}

static int
send_row(struct request *q, struct wbuf *b)
{
	int rc = wbuf_rc(b);

	if (rc == RC_OK)
		rc = q->io->send(q->io->arg, MSG_ADMIN_ROW, b);
	wbuf_free(b);
	return rc;
}

static int
bad_name(struct request *q, const char *what, const char *name)
{
	return say(q, RC_RANGE, "'%.80s' is no %s name: 1 to 63 letters, "
	    "digits, '.', '_' and '-', beginning with a letter or digit",
	    name, what);
}

static int
no_account(struct request *q)
{
	return say(q, RC_NOENT, "account '%s' does not exist; make it with: "
	    "storegridctl account add %s", q->account, q->account);
}

static int
names_ok(struct request *q, bool client)
{
	if (!db_name_ok(q->account))
		return bad_name(q, "account", q->account);
	if (client && !db_name_ok(q->name))
		return bad_name(q, "client", q->name);
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
	return say(q, RC_NOENT, "client '%s/%s' does not exist; make it with: "
	    "storegridctl client add %s/%s", q->account, q->name, q->account,
	    q->name);
}

/* --- accounts --- */

static int
account_add(struct request *q)
{
	int rc;

	if ((rc = names_ok(q, false)) != RC_OK)
		return rc;
	rc = db_account_add(q->db, q->account, q->now);
	if (rc == RC_EXISTS)
		return say(q, rc, "account '%s' exists already", q->account);
	return rc;
}

static int
account_rm(struct request *q)
{
	int rc;

	if ((rc = names_ok(q, false)) != RC_OK)
		return rc;
	rc = db_account_rm(q->db, q->account);
	if (rc == RC_NOENT)
		return say(q, rc, "account '%s' does not exist", q->account);
	if (rc == RC_BUSY)
		return say(q, rc, "account '%s' still has clients; remove them "
		    "first (their vaults stay): storegridctl client rm %s/NAME",
		    q->account, q->account);
	return rc;
}

static int
put_account(void *arg, const struct db_account *a)
{
	struct wbuf b = WBUF_INIT(ROW_MAX);

	wbuf_u8(&b, ADMIN_ROW_ACCOUNT);
	wbuf_str(&b, a->name);
	wbuf_u32(&b, a->clients);
	wbuf_i64(&b, a->created);
	return send_row(arg, &b);
}

static int
account_list(struct request *q)
{
	return db_accounts(q->db, put_account, q);
}

/* --- tokens --- */

static int
host_ok(struct request *q)
{
	if (q->host[0] == '\0')
		snprintf(q->host, sizeof(q->host), "%s", q->conf->advertise);
	if (q->host[0] == '\0')
		return say(q, RC_CONFIG, "where do clients find this server? "
		    "Set Advertise in SGConfiguration.conf or use --host");
	for (const char *p = q->host; *p != '\0'; p++)
		if (*p <= ' ' || *p == 0x7f || *p == '/')
			return say(q, RC_RANGE, "'%.80s' is no host name or "
			    "address", q->host);
	return RC_OK;
}

/* A new token of this client, and its row. */
static int
give_token(struct request *q, const struct db_client *c)
{
	struct token t = {
		.port = q->conf->port_server,
		.ssl_port = q->conf->port_ssl,
		.ssl = q->conf->ssl_enabled,
		.expires = q->now + (q->seconds != 0 ? q->seconds :
		    TOKEN_SECONDS),
	};
	struct db_token d = { .expires = t.expires };
	struct wbuf b = WBUF_INIT(ROW_MAX);
	char text[TOKEN_TEXT_MAX];
	int rc;

	if ((rc = secret_random(t.id, sizeof(t.id))) != RC_OK ||
	    (rc = secret_random(&t.secret, sizeof(t.secret))) != RC_OK)
		return rc;
	memcpy(t.pin, q->self->pin, sizeof(t.pin));
	memcpy(t.identity_fp, q->self->identity_fp, sizeof(t.identity_fp));
	snprintf(t.host, sizeof(t.host), "%s", q->host);
	memcpy(d.id, t.id, sizeof(d.id));
	d.secret = t.secret;
	memcpy(d.client, c->id, sizeof(d.client));
	if ((rc = token_format(&t, text)) == RC_OK &&
	    (rc = db_token_add(q->db, &d, q->now)) == RC_OK) {
		wbuf_u8(&b, ADMIN_ROW_SECRET);
		wbuf_str(&b, text);
		wbuf_i64(&b, t.expires);
		rc = send_row(q, &b);
	}
	secret_wipe(text, sizeof(text));
	secret_clear(&d.secret);
	token_clear(&t);
	return rc;
}

static int
token_add(struct request *q)
{
	struct db_client c;
	int rc;

	if ((rc = host_ok(q)) != RC_OK || (rc = find_client(q, &c)) != RC_OK)
		return rc;
	if (c.state == CLIENT_DISABLED)
		return say(q, RC_STATE, "client '%s/%s' is disabled; first: "
		    "storegridctl client enable %s/%s", q->account, q->name,
		    q->account, q->name);
	return give_token(q, &c);
}

static int
put_token(void *arg, const struct db_token *t)
{
	struct wbuf b = WBUF_INIT(ROW_MAX);
	struct request *q = arg;

	wbuf_u8(&b, ADMIN_ROW_TOKEN);
	wbuf_bytes(&b, t->id, sizeof(t->id));
	wbuf_str(&b, t->account);
	wbuf_str(&b, t->name);
	wbuf_i64(&b, t->expires);
	wbuf_u8(&b, t->state == DB_TOKEN_OPEN && t->expires <= q->now ?
	    DB_TOKEN_EXPIRED : t->state);
	return send_row(q, &b);
}

static int
token_list(struct request *q)
{
	return db_tokens(q->db, put_token, q);
}

static int
token_revoke(struct request *q)
{
	unsigned n;
	int rc;

	rc = db_token_revoke(q->db, q->id, q->digits, &n);
	if (rc != RC_OK)
		return rc;
	if (n == 0)
		return say(q, RC_NOENT, "no open token begins like that; see: "
		    "storegridctl token list");
	if (n > 1)
		return say(q, RC_RANGE, "%u tokens begin like that: give more "
		    "digits", n);
	return RC_OK;
}

/* --- clients --- */

static int
client_add(struct request *q)
{
	struct db_client c;
	int rc;

	if ((rc = names_ok(q, true)) != RC_OK || (rc = host_ok(q)) != RC_OK)
		return rc;
	rc = db_client_add(q->db, q->account, q->name, q->now, &c);
	if (rc == RC_NOENT)
		return no_account(q);
	if (rc == RC_EXISTS)
		return say(q, rc, "client '%s/%s' exists already; a new token "
		    "for it: storegridctl token add %s/%s", q->account,
		    q->name, q->account, q->name);
	return rc == RC_OK ? give_token(q, &c) : rc;
}

static int
put_client(void *arg, const struct db_client *c)
{
	struct wbuf b = WBUF_INIT(ROW_MAX);

	wbuf_u8(&b, ADMIN_ROW_CLIENT);
	wbuf_str(&b, c->account);
	wbuf_str(&b, c->name);
	wbuf_bytes(&b, c->id, sizeof(c->id));
	wbuf_bytes(&b, c->vault, sizeof(c->vault));
	wbuf_u8(&b, c->state);
	wbuf_i64(&b, c->created);
	wbuf_i64(&b, c->seen);
	return send_row(arg, &b);
}

static int
client_list(struct request *q)
{
	return db_clients(q->db, put_client, q);
}

static int
client_disable(struct request *q)
{
	struct db_client c;
	int rc;

	if ((rc = find_client(q, &c)) != RC_OK)
		return rc;
	if ((rc = db_client_disable(q->db, c.id, true)) == RC_OK)
		q->io->cut(q->io->arg, c.vault);
	return rc;
}

static int
client_enable(struct request *q)
{
	struct db_client c;
	int rc;

	if ((rc = find_client(q, &c)) != RC_OK)
		return rc;
	return db_client_disable(q->db, c.id, false);
}

static int
client_rm(struct request *q)
{
	struct db_client c;
	int rc;

	if ((rc = find_client(q, &c)) != RC_OK)
		return rc;
	if ((rc = db_client_rm(q->db, c.id)) != RC_OK)
		return rc;
	q->io->cut(q->io->arg, c.vault);
	return RC_OK;
}

/* --- vaults --- */

static int
put_vault(void *arg, const struct db_vault *v)
{
	struct wbuf b = WBUF_INIT(ROW_MAX);

	wbuf_u8(&b, ADMIN_ROW_VAULT);
	wbuf_bytes(&b, v->id, sizeof(v->id));
	wbuf_bytes(&b, v->instance, sizeof(v->instance));
	wbuf_str(&b, v->account);
	wbuf_str(&b, v->name);
	wbuf_u8(&b, v->state);
	return send_row(arg, &b);
}

static int
vault_list(struct request *q)
{
	return db_vaults(q->db, put_vault, q);
}

/* --- all --- */

static const struct {
	int		(*fn)(struct request *q);
	const char	*what;		/* in the log; NULL: changes nothing */
} operations[ADMIN_OP_MAX] = {
	[ADMIN_ACCOUNT_ADD] = { account_add, "account add" },
	[ADMIN_ACCOUNT_LIST] = { account_list, NULL },
	[ADMIN_ACCOUNT_RM] = { account_rm, "account rm" },
	[ADMIN_CLIENT_ADD] = { client_add, "client add" },
	[ADMIN_CLIENT_LIST] = { client_list, NULL },
	[ADMIN_CLIENT_DISABLE] = { client_disable, "client disable" },
	[ADMIN_CLIENT_ENABLE] = { client_enable, "client enable" },
	[ADMIN_CLIENT_RM] = { client_rm, "client rm" },
	[ADMIN_TOKEN_ADD] = { token_add, "token add" },
	[ADMIN_TOKEN_LIST] = { token_list, NULL },
	[ADMIN_TOKEN_REVOKE] = { token_revoke, "token revoke" },
	[ADMIN_VAULT_LIST] = { vault_list, NULL },
};

int
auth_admin(struct db *db, const struct auth_self *self,
    const struct conf *conf, int64_t now, struct rbuf *body,
    const struct admin_io *io)
{
	struct request q = { .db = db, .self = self, .conf = conf, .io = io,
	    .now = now };
	struct wbuf b = WBUF_INIT(1024);
	int rc;

	if ((rc = parse(body, &q)) != RC_OK)
		return rc;
	if (q.op >= NITEMS(operations) || operations[q.op].fn == NULL)
		return RC_RANGE;
	rc = operations[q.op].fn(&q);
	if (rc != RC_OK && q.text[0] == '\0')
		say(&q, rc, "%s", rc_str(rc));
	if (operations[q.op].what != NULL)
		log_notice("admin by=\"%s\": %s %s%s%s: %s", q.user,
		    operations[q.op].what, q.account,
		    q.name[0] != '\0' ? "/" : "", q.name,
		    rc == RC_OK ? "done" : q.text);
	wbuf_u8(&b, (uint8_t)-rc);
	wbuf_str(&b, q.text);
	if ((rc = wbuf_rc(&b)) == RC_OK)
		rc = io->send(io->arg, MSG_ADMIN_END, &b);
	wbuf_free(&b);
	return rc;
}
