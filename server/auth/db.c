#include "config.h"

#include "server/auth/db.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/sql.h"

#define SCHEMA_VERSION	1

struct db {
	sqlite3	*sql;
};

static const char *const schema[] = {
	"CREATE TABLE account ("
	"  id INTEGER PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE,"
	"  created INTEGER NOT NULL)",
	/* account and name as they were: a vault outlives its client */
	"CREATE TABLE vault ("
	"  id BLOB PRIMARY KEY,"
	"  instance BLOB NOT NULL,"
	"  account TEXT NOT NULL,"
	"  name TEXT NOT NULL,"
	"  state INTEGER NOT NULL) WITHOUT ROWID",
	"CREATE TABLE client ("
	"  id BLOB PRIMARY KEY,"
	"  account INTEGER NOT NULL REFERENCES account (id),"
	"  name TEXT NOT NULL,"
	"  key BLOB,"
	"  disabled INTEGER NOT NULL DEFAULT 0,"
	"  vault BLOB NOT NULL REFERENCES vault (id),"
	"  created INTEGER NOT NULL,"
	"  seen INTEGER NOT NULL DEFAULT 0,"
	"  UNIQUE (account, name)) WITHOUT ROWID",
	"CREATE TABLE token ("
	"  id BLOB PRIMARY KEY,"
	"  secret BLOB NOT NULL,"
	"  client BLOB NOT NULL REFERENCES client (id) ON DELETE CASCADE,"
	"  created INTEGER NOT NULL,"
	"  expires INTEGER NOT NULL,"
	"  state INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
};

#define CLIENT_COLUMNS							\
	"SELECT c.id, a.name, c.name, c.key, c.disabled, v.id, v.instance,"\
	" v.state, c.created, c.seen FROM client c"			\
	" JOIN account a ON a.id = c.account JOIN vault v ON v.id = c.vault "

#define TOKEN_COLUMNS							\
	"SELECT t.id, t.secret, t.client, a.name, c.name, t.expires, t.state"\
	" FROM token t JOIN client c ON c.id = t.client"		\
	" JOIN account a ON a.id = c.account "

bool
db_name_ok(const char *name)
{
	static const char more[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = strlen(name);

	return n >= 1 && n <= DB_NAME_MAX && strspn(name, more) == n &&
	    strchr("._-", name[0]) == NULL;
}

static int
begin(struct db *db)
{
	return sql_run(db->sql, "BEGIN IMMEDIATE", "");
}

/* End the transaction as rc says. */
static int
finish(struct db *db, int rc)
{
	if (rc == RC_OK && (rc = sql_run(db->sql, "COMMIT", "")) == RC_OK)
		return RC_OK;
	(void)sql_run(db->sql, "ROLLBACK", "");
	return rc;
}

/* --- opening --- */

static int
make_schema(struct db *db)
{
	sqlite3_stmt *st = NULL;
	int64_t version;
	int rc;

	if ((rc = sql_query(db->sql, &st, "PRAGMA user_version", "")) != RC_OK)
		return rc;
	version = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	if (version > SCHEMA_VERSION)
		return RC_VERSION;
	if ((rc = begin(db)) != RC_OK)
		return rc;
	for (size_t i = 0; version == 0 && rc == RC_OK &&
	    i < NITEMS(schema); i++)
		rc = sql_run(db->sql, schema[i], "");
	/* also when nothing is new: the first write makes the journal and
	 * syncs its directory, which the sandbox would not allow later */
	if (rc == RC_OK)
		rc = sql_run(db->sql, "PRAGMA user_version = 1", "");
	return finish(db, rc);
}

int
db_open(struct db **out, const char *path)
{
	struct db *db = calloc(1, sizeof(*db));
	int rc;

	*out = db;
	if (db == NULL)
		return RC_NOMEM;
	if ((rc = sql_open(&db->sql, path)) != RC_OK)
		return rc;
	return make_schema(db);
}

void
db_close(struct db *db)
{
	if (db == NULL)
		return;
	sqlite3_close(db->sql);
	free(db);
}

const char *
db_error(struct db *db)
{
	return db == NULL || db->sql == NULL ? "out of memory" :
	    sqlite3_errmsg(db->sql);
}

/* --- accounts --- */

int
db_account_add(struct db *db, const char *name, int64_t now)
{
	if (!db_name_ok(name))
		return RC_RANGE;
	return sql_run(db->sql,
	    "INSERT INTO account (name, created) VALUES (?, ?)",
	    "ti", name, now);
}

#define ACCOUNT_COLUMNS							\
	"SELECT a.name, a.created,"					\
	" (SELECT count(*) FROM client c WHERE c.account = a.id)"	\
	" FROM account a "

static void
get_account(sqlite3_stmt *st, struct db_account *a)
{
	sql_name(st, 0, a->name, sizeof(a->name));
	a->created = sqlite3_column_int64(st, 1);
	a->clients = (uint32_t)sqlite3_column_int64(st, 2);
}

int
db_account_get(struct db *db, const char *name, struct db_account *a)
{
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(db->sql, &st,
	    ACCOUNT_COLUMNS "WHERE a.name = ?", "t", name);
	if (rc != RC_OK)
		return rc;
	get_account(st, a);
	sqlite3_finalize(st);
	return RC_OK;
}

int
db_account_rm(struct db *db, const char *name)
{
	struct db_account a;
	int rc;

	if ((rc = db_account_get(db, name, &a)) != RC_OK)
		return rc;
	if (a.clients > 0)
		return RC_BUSY;
	return sql_run(db->sql,
	    "DELETE FROM account WHERE name = ?", "t", name);
}

int
db_accounts(struct db *db, int (*fn)(void *arg, const struct db_account *a),
    void *arg)
{
	struct db_account a;
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(db->sql, &st, ACCOUNT_COLUMNS "ORDER BY a.name", "");
	while (rc == RC_OK) {
		get_account(st, &a);
		if ((rc = fn(arg, &a)) != RC_OK) {
			sqlite3_finalize(st);
			return rc;
		}
		rc = sql_next(st);
	}
	return rc == RC_EOF || rc == RC_NOENT ? RC_OK : rc;
}

/* --- clients --- */

static void
get_client(sqlite3_stmt *st, struct db_client *c)
{
	memset(c, 0, sizeof(*c));
	sql_blob(st, 0, c->id, sizeof(c->id));
	sql_name(st, 1, c->account, sizeof(c->account));
	sql_name(st, 2, c->name, sizeof(c->name));
	c->has_key = sqlite3_column_bytes(st, 3) == ED25519_LEN;
	sql_blob(st, 3, c->key, sizeof(c->key));
	c->state = sqlite3_column_int(st, 4) != 0 ? CLIENT_DISABLED :
	    c->has_key ? CLIENT_ENROLLED : CLIENT_ADDED;
	sql_blob(st, 5, c->vault, sizeof(c->vault));
	sql_blob(st, 6, c->instance, sizeof(c->instance));
	c->vault_state = (uint8_t)sqlite3_column_int(st, 7);
	c->created = sqlite3_column_int64(st, 8);
	c->seen = sqlite3_column_int64(st, 9);
}

static int
one_client(int rc, sqlite3_stmt *st, struct db_client *c)
{
	if (rc != RC_OK)
		return rc;
	get_client(st, c);
	sqlite3_finalize(st);
	return RC_OK;
}

int
db_client_get(struct db *db, const uint8_t id[16], struct db_client *c)
{
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(db->sql, &st, CLIENT_COLUMNS "WHERE c.id = ?", "b", id);
	return one_client(rc, st, c);
}

int
db_client_find(struct db *db, const char *account, const char *name,
    struct db_client *c)
{
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(db->sql, &st,
	    CLIENT_COLUMNS "WHERE a.name = ? AND c.name = ?",
	    "tt", account, name);
	return one_client(rc, st, c);
}

int
db_client_add(struct db *db, const char *account, const char *name,
    int64_t now, struct db_client *c)
{
	struct db_account a;
	uint8_t ids[3][16];
	int rc;

	if (!db_name_ok(name))
		return RC_RANGE;
	if ((rc = db_account_get(db, account, &a)) != RC_OK ||
	    (rc = secret_random(ids, sizeof(ids))) != RC_OK ||
	    (rc = begin(db)) != RC_OK)
		return rc;
	rc = sql_run(db->sql,
	    "INSERT INTO vault (id, instance, account, name, state)"
	    " VALUES (?, ?, ?, ?, 0)", "bbtt", ids[1], ids[2], account, name);
	if (rc == RC_OK)
		rc = sql_run(db->sql,
		    "INSERT INTO client (id, account, name, vault,"
		    " created) SELECT ?, id, ?, ?, ? FROM account"
		    " WHERE name = ?", "btbit", ids[0], name, ids[1], now,
		    account);
	if ((rc = finish(db, rc)) != RC_OK)
		return rc;
	return db_client_get(db, ids[0], c);
}

int
db_client_disable(struct db *db, const uint8_t id[16], bool disable)
{
	int rc;

	rc = sql_run(db->sql,
	    "UPDATE client SET disabled = ? WHERE id = ?", "ib",
	    (int64_t)disable, id);
	return rc == RC_OK ? sql_changed(db->sql) : rc;
}

int
db_client_rm(struct db *db, const uint8_t id[16])
{
	struct db_client c;
	int rc;

	if ((rc = db_client_get(db, id, &c)) != RC_OK ||
	    (rc = begin(db)) != RC_OK)
		return rc;
	rc = sql_run(db->sql, "DELETE FROM client WHERE id = ?", "b", id);
	if (rc == RC_OK)
		rc = sql_run(db->sql,
		    "DELETE FROM vault WHERE id = ? AND state = 0",
		    "b", c.vault);
	return finish(db, rc);
}

int
db_client_seen(struct db *db, const uint8_t id[16], int64_t now)
{
	/* once a minute is near enough, and saves a sync per log-in */
	return sql_run(db->sql, "UPDATE client SET seen = ? WHERE id = ?"
	    " AND abs(? - seen) > 60", "ibi", now, id, now);
}

int
db_clients(struct db *db, int (*fn)(void *arg, const struct db_client *c),
    void *arg)
{
	struct db_client c;
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(db->sql, &st,
	    CLIENT_COLUMNS "ORDER BY a.name, c.name", "");
	while (rc == RC_OK) {
		get_client(st, &c);
		if ((rc = fn(arg, &c)) != RC_OK) {
			sqlite3_finalize(st);
			return rc;
		}
		rc = sql_next(st);
	}
	return rc == RC_EOF || rc == RC_NOENT ? RC_OK : rc;
}

/* --- vaults --- */

int
db_vault_creating(struct db *db, const uint8_t id[16])
{
	return sql_run(db->sql,
	    "UPDATE vault SET state = 1 WHERE id = ? AND state = 0",
	    "b", id);
}

int
db_vault_made(struct db *db, const uint8_t id[16])
{
	int rc;

	rc = sql_run(db->sql,
	    "UPDATE vault SET state = 2 WHERE id = ?", "b", id);
	return rc == RC_OK ? sql_changed(db->sql) : rc;
}

int
db_vaults(struct db *db, int (*fn)(void *arg, const struct db_vault *v),
    void *arg)
{
	struct db_vault v;
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(db->sql, &st, "SELECT id, instance, account, name, state"
	    " FROM vault ORDER BY account, name, id", "");
	while (rc == RC_OK) {
		sql_blob(st, 0, v.id, sizeof(v.id));
		sql_blob(st, 1, v.instance, sizeof(v.instance));
		sql_name(st, 2, v.account, sizeof(v.account));
		sql_name(st, 3, v.name, sizeof(v.name));
		v.state = (uint8_t)sqlite3_column_int(st, 4);
		if ((rc = fn(arg, &v)) != RC_OK) {
			sqlite3_finalize(st);
			return rc;
		}
		rc = sql_next(st);
	}
	return rc == RC_EOF || rc == RC_NOENT ? RC_OK : rc;
}

/* --- tokens --- */

static void
get_token(sqlite3_stmt *st, struct db_token *t)
{
	sql_blob(st, 0, t->id, sizeof(t->id));
	sql_blob(st, 1, t->secret.b, sizeof(t->secret.b));
	sql_blob(st, 2, t->client, sizeof(t->client));
	sql_name(st, 3, t->account, sizeof(t->account));
	sql_name(st, 4, t->name, sizeof(t->name));
	t->expires = sqlite3_column_int64(st, 5);
	t->state = (uint8_t)sqlite3_column_int(st, 6);
}

int
db_token_add(struct db *db, const struct db_token *t, int64_t now)
{
	return sql_run(db->sql,
	    "INSERT INTO token (id, secret, client, created,"
	    " expires) VALUES (?, ?, ?, ?, ?)", "bBbii", t->id, t->secret.b,
	    t->client, now, t->expires);
}

int
db_token_get(struct db *db, const uint8_t id[16], struct db_token *t)
{
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(db->sql, &st, TOKEN_COLUMNS "WHERE t.id = ?", "b", id);
	if (rc != RC_OK)
		return rc;
	get_token(st, t);
	sqlite3_finalize(st);
	return RC_OK;
}

int
db_token_use(struct db *db, const struct db_token *t,
    const uint8_t key[ED25519_LEN])
{
	int rc;

	if ((rc = begin(db)) != RC_OK)
		return rc;
	rc = sql_run(db->sql,
	    "UPDATE token SET state = 1 WHERE id = ? AND state = 0",
	    "b", t->id);
	if (rc == RC_OK && sql_changed(db->sql) != RC_OK)
		rc = RC_STATE;
	if (rc == RC_OK)
		rc = sql_run(db->sql,
		    "UPDATE client SET key = ? WHERE id = ?", "Bb",
		    key, t->client);
	if (rc == RC_OK)
		rc = sql_changed(db->sql);
	return finish(db, rc);
}

int
db_token_revoke(struct db *db, const uint8_t id[16], unsigned digits,
    unsigned *n)
{
	char prefix[33];
	sqlite3_stmt *st;
	int rc;

	*n = 0;
	if (digits == 0 || digits > 32)
		return RC_RANGE;
	for (unsigned i = 0; i < digits; i++)
		prefix[i] = "0123456789ABCDEF"[id[i / 2] >> (i % 2 ? 0 : 4) &
		    0x0f];
	prefix[digits] = '\0';
	rc = sql_query(db->sql, &st,
	    "SELECT count(*) FROM token WHERE state = 0"
	    " AND substr(hex(id), 1, ?) = ?", "it", (int64_t)digits, prefix);
	if (rc != RC_OK)
		return rc;
	*n = (unsigned)sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	if (*n != 1)
		return RC_OK;
	return sql_run(db->sql, "UPDATE token SET state = 3 WHERE state = 0"
	    " AND substr(hex(id), 1, ?) = ?", "it", (int64_t)digits, prefix);
}

int
db_tokens(struct db *db, int (*fn)(void *arg, const struct db_token *t),
    void *arg)
{
	struct db_token t;
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(db->sql, &st,
	    TOKEN_COLUMNS "ORDER BY t.created, t.id", "");
	while (rc == RC_OK) {
		get_token(st, &t);
		if ((rc = fn(arg, &t)) != RC_OK) {
			sqlite3_finalize(st);
			break;
		}
		rc = sql_next(st);
	}
	secret_clear(&t.secret);
	return rc == RC_EOF || rc == RC_NOENT ? RC_OK : rc;
}
