#include "config.h"

#include "server/auth/db.h"

#include <string.h>

#include "common/rc.h"
#include "server/auth/db_priv.h"

#define USER_COLUMNS							\
	"SELECT id, name, level, created, seen, failures, salt, hash, cost,"\
	" totp, totp_new, totp_step, setup, setup_expires FROM user "

static bool
get_secret(sqlite3_stmt *st, int col, uint8_t out[32])
{
	sql_blob(st, col, out, 32);
	return sqlite3_column_bytes(st, col) == 32;
}

static void
get_user(sqlite3_stmt *st, struct db_user *u)
{
	memset(u, 0, sizeof(*u));
	u->id = sqlite3_column_int64(st, 0);
	sql_name(st, 1, u->name, sizeof(u->name));
	u->right = (uint8_t)sqlite3_column_int(st, 2);
	u->created = sqlite3_column_int64(st, 3);
	u->seen = sqlite3_column_int64(st, 4);
	u->failures = (uint32_t)sqlite3_column_int64(st, 5);
	sql_blob(st, 6, u->salt, sizeof(u->salt));
	u->has_password = get_secret(st, 7, u->hash);
	u->cost = (uint8_t)sqlite3_column_int(st, 8);
	u->totp_on = get_secret(st, 9, u->totp);
	u->totp_begun = get_secret(st, 10, u->totp_new);
	u->totp_step = (uint64_t)sqlite3_column_int64(st, 11);
	u->has_setup = get_secret(st, 12, u->setup);
	u->setup_expires = sqlite3_column_int64(st, 13);
}

void
db_user_clear(struct db_user *u)
{
	secret_wipe(u, sizeof(*u));
}

int
db_user_add(struct db *db, const char *name, uint8_t right,
    const uint8_t setup[32], int64_t setup_expires, int64_t now)
{
	sqlite3_stmt *st;
	int64_t n = 0;
	int rc;

	if (!db_name_ok(name))
		return RC_RANGE;
	rc = sql_query(db->sql, &st, "SELECT count(*) FROM user", "");
	if ((rc = db_number(rc, st, &n)) != RC_OK)
		return rc;
	if (n >= DB_USERS_MAX)
		return RC_LIMIT;
	return sql_run(db->sql, "INSERT INTO user (name, level, created, setup,"
	    " setup_expires) VALUES (?, ?, ?, ?, ?)", "tiiBi", name,
	    (int64_t)right, now, setup, setup_expires);
}

int
db_user_get(struct db *db, const char *name, struct db_user *u)
{
	sqlite3_stmt *st;
	int rc;

	memset(u, 0, sizeof(*u));
	rc = sql_query(db->sql, &st, USER_COLUMNS "WHERE name = ?", "t", name);
	if (rc != RC_OK)
		return rc;
	get_user(st, u);
	sqlite3_finalize(st);
	return RC_OK;
}

int
db_user_rm(struct db *db, const char *name)
{
	int rc;

	rc = sql_run(db->sql, "DELETE FROM user WHERE name = ?", "t", name);
	return rc == RC_OK ? sql_changed(db->sql) : rc;
}

/* A change of who the user is, and the end of the sessions before it. */
static int
end_sessions(struct db *db, int rc, const char *name)
{
	if (rc == RC_OK)
		rc = sql_changed(db->sql);
	if (rc == RC_OK)
		rc = sql_run(db->sql, "DELETE FROM session WHERE user ="
		    " (SELECT id FROM user WHERE name = ?)", "t", name);
	return db_finish(db, rc);
}

int
db_user_right(struct db *db, const char *name, uint8_t right)
{
	int rc;

	if ((rc = db_begin(db)) != RC_OK)
		return rc;
	rc = sql_run(db->sql, "UPDATE user SET level = ? WHERE name = ?", "it",
	    (int64_t)right, name);
	return end_sessions(db, rc, name);
}

int
db_user_reset(struct db *db, const char *name, const uint8_t setup[32],
    int64_t setup_expires)
{
	int rc;

	if ((rc = db_begin(db)) != RC_OK)
		return rc;
	rc = sql_run(db->sql, "UPDATE user SET salt = NULL, hash = NULL,"
	    " cost = 0, totp = NULL, totp_new = NULL, totp_step = 0,"
	    " failures = 0, setup = ?, setup_expires = ? WHERE name = ?",
	    "Bit", setup, setup_expires, name);
	return end_sessions(db, rc, name);
}

int
db_user_password(struct db *db, int64_t id, const uint8_t salt[16],
    const uint8_t hash[32], uint8_t cost, const uint8_t *keep)
{
	static const uint8_t none[16];
	int rc;

	if ((rc = db_begin(db)) != RC_OK)
		return rc;
	rc = sql_run(db->sql, "UPDATE user SET salt = ?, hash = ?, cost = ?,"
	    " setup = NULL, setup_expires = 0 WHERE id = ?", "bBii", salt,
	    hash, (int64_t)cost, id);
	if (rc == RC_OK)
		rc = sql_changed(db->sql);
	if (rc == RC_OK)
		rc = sql_run(db->sql, "DELETE FROM session WHERE user = ?"
		    " AND id != ?", "ib", id, keep != NULL ? keep : none);
	return db_finish(db, rc);
}

static int
change(struct db *db, int rc)
{
	return rc == RC_OK ? sql_changed(db->sql) : rc;
}

int
db_user_totp_begin(struct db *db, int64_t id, const uint8_t totp[32])
{
	return change(db, sql_run(db->sql,
	    "UPDATE user SET totp_new = ? WHERE id = ? AND totp IS NULL",
	    "Bi", totp, id));
}

int
db_user_totp_on(struct db *db, int64_t id, uint64_t step)
{
	return change(db, sql_run(db->sql, "UPDATE user SET totp = totp_new,"
	    " totp_new = NULL, totp_step = ? WHERE id = ?"
	    " AND totp_new IS NOT NULL", "ii", (int64_t)step, id));
}

int
db_user_totp_off(struct db *db, int64_t id)
{
	return change(db, sql_run(db->sql, "UPDATE user SET totp = NULL,"
	    " totp_new = NULL, totp_step = 0 WHERE id = ?", "i", id));
}

int
db_user_step(struct db *db, int64_t id, uint64_t step)
{
	int rc;

	rc = change(db, sql_run(db->sql, "UPDATE user SET totp_step = ?"
	    " WHERE id = ? AND totp_step < ?", "iii", (int64_t)step, id,
	    (int64_t)step));
	return rc == RC_NOENT ? RC_STATE : rc;
}

int
db_user_failed(struct db *db, int64_t id)
{
	return sql_run(db->sql, "UPDATE user SET failures = failures + 1"
	    " WHERE id = ? AND failures < 1000000", "i", id);
}

bool
db_user_knows(struct db *db, int64_t id, const uint8_t source[16],
    int64_t since)
{
	sqlite3_stmt *st;
	int64_t n = 0;
	int rc;

	rc = sql_query(db->sql, &st, "SELECT count(*) FROM source WHERE"
	    " user = ? AND source = ? AND seen >= ?", "ibi", id, source,
	    since);
	return db_number(rc, st, &n) == RC_OK && n > 0;
}

int
db_users(struct db *db, int (*fn)(void *arg, const struct db_user *u),
    void *arg)
{
	struct db_user u;
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(db->sql, &st, USER_COLUMNS "ORDER BY name", "");
	while (rc == RC_OK) {
		get_user(st, &u);
		if ((rc = fn(arg, &u)) != RC_OK) {
			sqlite3_finalize(st);
			break;
		}
		rc = sql_next(st);
	}
	db_user_clear(&u);
	return rc == RC_EOF || rc == RC_NOENT ? RC_OK : rc;
}
