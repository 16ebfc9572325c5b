#include "config.h"

#include "server/auth/db.h"

#include <stdio.h>
#include <string.h>

#include "common/rc.h"
#include "server/auth/db_priv.h"

/* Signed-in sessions and API tokens: both are found by the SHA-256 of a random
 * secret, which the database does not hold. */
#define SOURCE_S	(30 * 86400)	/* how long a source is remembered */
#define KEEP_S		(7 * 86400)	/* rows of what ended by time */

#define SESSION_COLUMNS							\
	"SELECT s.id, s.user, u.name, u.level, s.addr, s.created, s.seen,"\
	" s.expires FROM session s JOIN user u ON u.id = s.user "
#define API_COLUMNS							\
	"SELECT id, name, level, created, seen, expires, state FROM api "

/* --- sessions --- */

static void
get_session(sqlite3_stmt *st, struct db_session *s)
{
	sql_blob(st, 0, s->id, sizeof(s->id));
	s->user = sqlite3_column_int64(st, 1);
	sql_name(st, 2, s->name, sizeof(s->name));
	s->right = (uint8_t)sqlite3_column_int(st, 3);
	sql_name(st, 4, s->addr, sizeof(s->addr));
	s->created = sqlite3_column_int64(st, 5);
	s->seen = sqlite3_column_int64(st, 6);
	s->expires = sqlite3_column_int64(st, 7);
}

static bool
session_alive(const struct db_session *s, int64_t now)
{
	return now < s->expires && now - s->seen < DB_SESSION_IDLE_S;
}

static int
one_session(int rc, sqlite3_stmt *st, int64_t now, struct db_session *s)
{
	memset(s, 0, sizeof(*s));
	if (rc != RC_OK)
		return rc;
	get_session(st, s);
	sqlite3_finalize(st);
	return session_alive(s, now) ? RC_OK : RC_TIMEOUT;
}

int
db_session_find(struct db *db, const uint8_t hash[32], int64_t now,
    struct db_session *s)
{
	sqlite3_stmt *st = NULL;
	int rc;

	rc = sql_query(db->sql, &st, SESSION_COLUMNS "WHERE s.hash = ?", "B",
	    hash);
	return one_session(rc, st, now, s);
}

int
db_session_get(struct db *db, const uint8_t id[16], int64_t now,
    struct db_session *s)
{
	sqlite3_stmt *st = NULL;
	int rc;

	rc = sql_query(db->sql, &st, SESSION_COLUMNS "WHERE s.id = ?", "b",
	    id);
	return one_session(rc, st, now, s);
}

/* Room for one more: what ended long ago goes, then the oldest. */
static int
make_room(struct db *db, int64_t user, int64_t now)
{
	int rc;

	rc = sql_run(db->sql, "DELETE FROM session WHERE expires < ?", "i",
	    now - KEEP_S);
	if (rc == RC_OK)
		rc = sql_run(db->sql, "DELETE FROM session WHERE id IN"
		    " (SELECT id FROM session WHERE user = ?"
		    " ORDER BY created DESC, expires DESC"
		    " LIMIT -1 OFFSET ?)", "ii", user,
		    (int64_t)DB_SESSIONS_MAX - 1);
	if (rc == RC_OK)
		rc = sql_run(db->sql, "DELETE FROM source WHERE seen < ?", "i",
		    now - SOURCE_S);
	return rc;
}

static int
begin_session(struct db *db, const struct db_sign_in *in,
    const uint8_t id[16])
{
	int rc;

	rc = sql_run(db->sql, "UPDATE user SET seen = ?, failures = 0"
	    " WHERE id = ?", "ii", in->now, in->user);
	if (rc == RC_OK)
		rc = sql_changed(db->sql);
	if (rc == RC_OK && in->step != 0)
		rc = db_user_step(db, in->user, in->step);
	if (rc == RC_OK)
		rc = make_room(db, in->user, in->now);
	if (rc == RC_OK)
		rc = sql_run(db->sql, "INSERT INTO source (user, source, seen)"
		    " VALUES (?, ?, ?) ON CONFLICT (user, source)"
		    " DO UPDATE SET seen = excluded.seen", "ibi", in->user,
		    in->source, in->now);
	if (rc == RC_OK)
		rc = sql_run(db->sql, "INSERT INTO session (id, hash, user,"
		    " addr, created, seen, expires) VALUES"
		    " (?, ?, ?, ?, ?, ?, ?)", "bBitiii", id, in->hash,
		    in->user, in->addr, in->now, in->now,
		    in->now + DB_SESSION_S);
	return rc;
}

int
db_sign_in(struct db *db, const struct db_sign_in *in, struct db_session *s)
{
	uint8_t id[16];
	int rc;

	if ((rc = secret_random(id, sizeof(id))) != RC_OK ||
	    (rc = db_begin(db)) != RC_OK)
		return rc;
	rc = begin_session(db, in, id);
	if ((rc = db_finish(db, rc)) != RC_OK)
		return rc;
	return db_session_get(db, id, in->now, s);
}

int
db_session_seen(struct db *db, const uint8_t id[16], int64_t now)
{
	return sql_run(db->sql, "UPDATE session SET seen = ? WHERE id = ?"
	    " AND ? - seen > 60", "ibi", now, id, now);
}

int
db_session_end(struct db *db, const uint8_t id[16])
{
	return sql_run(db->sql, "DELETE FROM session WHERE id = ?", "b", id);
}

int
db_session_revoke(struct db *db, const uint8_t id[16], unsigned digits,
    const char *user, unsigned *n)
{
#define WHERE_PREFIX	" WHERE substr(hex(id), 1, ?) = ? AND (? = '' OR"\
			" user = (SELECT id FROM user WHERE name = ?))"
	const char *who = user != NULL ? user : "";
	sqlite3_stmt *st = NULL;
	char prefix[33];
	int64_t found = 0;
	int rc;

	*n = 0;
	if (db_hex_prefix(id, digits, prefix) != RC_OK)
		return RC_RANGE;
	rc = sql_query(db->sql, &st, "SELECT count(*) FROM session"
	    WHERE_PREFIX, "ittt", (int64_t)digits, prefix, who, who);
	if ((rc = db_number(rc, st, &found)) != RC_OK)
		return rc;
	*n = (unsigned)found;
	if (found != 1)
		return RC_OK;
	return sql_run(db->sql, "DELETE FROM session" WHERE_PREFIX, "ittt",
	    (int64_t)digits, prefix, who, who);
#undef WHERE_PREFIX
}

int
db_sessions(struct db *db, const char *user, int64_t now,
    int (*fn)(void *arg, const struct db_session *s), void *arg)
{
	const char *who = user != NULL ? user : "";
	struct db_session s;
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(db->sql, &st, SESSION_COLUMNS
	    "WHERE ? = '' OR u.name = ? ORDER BY u.name, s.created, s.id",
	    "tt", who, who);
	while (rc == RC_OK) {
		get_session(st, &s);
		rc = session_alive(&s, now) ? fn(arg, &s) : RC_OK;
		if (rc != RC_OK) {
			sqlite3_finalize(st);
			return rc;
		}
		rc = sql_next(st);
	}
	return rc == RC_EOF || rc == RC_NOENT ? RC_OK : rc;
}

/* --- API tokens --- */

static void
get_api(sqlite3_stmt *st, struct db_api *a)
{
	sql_blob(st, 0, a->id, sizeof(a->id));
	sql_name(st, 1, a->name, sizeof(a->name));
	a->right = (uint8_t)sqlite3_column_int(st, 2);
	a->created = sqlite3_column_int64(st, 3);
	a->seen = sqlite3_column_int64(st, 4);
	a->expires = sqlite3_column_int64(st, 5);
	a->state = (uint8_t)sqlite3_column_int(st, 6);
}

static int
one_api(int rc, sqlite3_stmt *st, int64_t now, struct db_api *a)
{
	memset(a, 0, sizeof(*a));
	if (rc != RC_OK)
		return rc;
	get_api(st, a);
	sqlite3_finalize(st);
	return a->state == DB_TOKEN_OPEN && now < a->expires ? RC_OK :
	    RC_TIMEOUT;
}

int
db_api_find(struct db *db, const uint8_t hash[32], int64_t now,
    struct db_api *a)
{
	sqlite3_stmt *st = NULL;
	int rc;

	rc = sql_query(db->sql, &st, API_COLUMNS "WHERE hash = ?", "B", hash);
	return one_api(rc, st, now, a);
}

int
db_api_get(struct db *db, const uint8_t id[16], int64_t now,
    struct db_api *a)
{
	sqlite3_stmt *st = NULL;
	int rc;

	rc = sql_query(db->sql, &st, API_COLUMNS "WHERE id = ?", "b", id);
	return one_api(rc, st, now, a);
}

int
db_api_add(struct db *db, const struct db_api *a, const uint8_t hash[32])
{
	sqlite3_stmt *st = NULL;
	int64_t n = 0;
	int rc;

	if (!db_name_ok(a->name))
		return RC_RANGE;
	if ((rc = db_begin(db)) != RC_OK)
		return rc;
	rc = sql_run(db->sql, "DELETE FROM api WHERE name = ?"
	    " AND (state != 0 OR expires <= ?)", "ti", a->name, a->created);
	if (rc == RC_OK) {
		rc = sql_query(db->sql, &st, "SELECT count(*) FROM api", "");
		rc = db_number(rc, st, &n);
	}
	if (rc == RC_OK && n >= DB_API_MAX)
		rc = RC_LIMIT;
	if (rc == RC_OK)
		rc = sql_run(db->sql, "INSERT INTO api (id, hash, name, level,"
		    " created, expires) VALUES (?, ?, ?, ?, ?, ?)", "bBtiii",
		    a->id, hash, a->name, (int64_t)a->right, a->created,
		    a->expires);
	return db_finish(db, rc);
}

int
db_api_seen(struct db *db, const uint8_t id[16], int64_t now)
{
	return sql_run(db->sql, "UPDATE api SET seen = ? WHERE id = ?"
	    " AND ? - seen > 60", "ibi", now, id, now);
}

int
db_api_revoke(struct db *db, const uint8_t id[16], unsigned digits,
    const char *name, unsigned *n)
{
#define WHERE_OPEN	" WHERE state = 0 AND CASE WHEN ? = 0 THEN name = ?"\
			" ELSE substr(hex(id), 1, ?) = ? END"
	char prefix[33] = "";
	sqlite3_stmt *st = NULL;
	int64_t found = 0, len = digits;
	int rc;

	*n = 0;
	if (digits != 0 && db_hex_prefix(id, digits, prefix) != RC_OK)
		return RC_RANGE;
	rc = sql_query(db->sql, &st, "SELECT count(*) FROM api" WHERE_OPEN,
	    "itit", len, name, len, prefix);
	if ((rc = db_number(rc, st, &found)) != RC_OK)
		return rc;
	*n = (unsigned)found;
	if (found != 1)
		return RC_OK;
	return sql_run(db->sql, "UPDATE api SET state = 3" WHERE_OPEN, "itit",
	    len, name, len, prefix);
#undef WHERE_OPEN
}

int
db_apis(struct db *db, int (*fn)(void *arg, const struct db_api *a), void *arg)
{
	struct db_api a;
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(db->sql, &st, API_COLUMNS "ORDER BY name", "");
	while (rc == RC_OK) {
		get_api(st, &a);
		if ((rc = fn(arg, &a)) != RC_OK) {
			sqlite3_finalize(st);
			return rc;
		}
		rc = sql_next(st);
	}
	return rc == RC_EOF || rc == RC_NOENT ? RC_OK : rc;
}
