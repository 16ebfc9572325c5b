#include "config.h"

#include "server/auth/db.h"

#include <string.h>

#include "common/rc.h"
#include "server/auth/db_priv.h"

#define CLIENT_COLUMNS							\
	"SELECT c.id, a.name, c.name, c.key, c.disabled, v.id, v.instance,"\
	" v.state, c.created, c.seen FROM client c"			\
	" JOIN account a ON a.id = c.account JOIN vault v ON v.id = c.vault "

bool
db_name_ok(const char *name)
{
	static const char more[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = strlen(name);

	return n >= 1 && n <= DB_NAME_MAX && strspn(name, more) == n &&
	    strchr("._-", name[0]) == NULL;
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
	    (rc = db_begin(db)) != RC_OK)
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
	if ((rc = db_finish(db, rc)) != RC_OK)
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
	    (rc = db_begin(db)) != RC_OK)
		return rc;
	rc = sql_run(db->sql, "DELETE FROM client WHERE id = ?", "b", id);
	if (rc == RC_OK)
		rc = sql_run(db->sql,
		    "DELETE FROM vault WHERE id = ? AND state = 0",
		    "b", c.vault);
	return db_finish(db, rc);
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
