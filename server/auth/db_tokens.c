#include "config.h"

#include "server/auth/db.h"

#include "common/rc.h"
#include "server/auth/db_priv.h"

/* Enrolment tokens. */

#define TOKEN_COLUMNS							\
	"SELECT t.id, t.secret, t.client, a.name, c.name, t.expires, t.state"\
	" FROM token t JOIN client c ON c.id = t.client"		\
	" JOIN account a ON a.id = c.account "

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

	if ((rc = db_begin(db)) != RC_OK)
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
	return db_finish(db, rc);
}

int
db_token_revoke(struct db *db, const uint8_t id[16], unsigned digits,
    unsigned *n)
{
	char prefix[33];
	sqlite3_stmt *st;
	int rc;

	*n = 0;
	if (db_hex_prefix(id, digits, prefix) != RC_OK)
		return RC_RANGE;
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
