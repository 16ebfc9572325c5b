#include "config.h"

#include "server/catalog/catalog.h"

#include <stdarg.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/catalog/audit.h"
#include "server/catalog/events.h"

#define SCHEMA_VERSION 1

/*
 * client: one row per client id ever heard of, its summary beside what auth
 * says of it.  run: one row per run or snapshot.  vault: the newest sample and
 * how far we know its snapshots.  Summaries are kept in the transaction of the
 * change that they follow from.
 */
static const char *const schema[] = {
	"CREATE TABLE client (id INTEGER PRIMARY KEY, client BLOB NOT NULL UNIQUE,"
	" account TEXT NOT NULL, name TEXT NOT NULL, vault BLOB NOT NULL,"
	" state INTEGER NOT NULL, created INTEGER NOT NULL,"
	" seen INTEGER NOT NULL, gone INTEGER NOT NULL, listed INTEGER NOT NULL,"
	" status INTEGER NOT NULL DEFAULT 0, since INTEGER NOT NULL DEFAULT 0,"
	" last_good INTEGER NOT NULL DEFAULT 0,"
	" last_begun INTEGER NOT NULL DEFAULT 0,"
	" last_ended INTEGER NOT NULL DEFAULT 0,"
	" last_state INTEGER NOT NULL DEFAULT 0,"
	" last_run INTEGER NOT NULL DEFAULT 0,"
	" snapshots INTEGER NOT NULL DEFAULT 0,"
	" incomplete INTEGER NOT NULL DEFAULT 0,"
	" removed INTEGER NOT NULL DEFAULT 0,"
	" new_bytes INTEGER NOT NULL DEFAULT 0, due INTEGER NOT NULL DEFAULT 0)",
	"CREATE INDEX client_name ON client (account, name)",
	"CREATE INDEX client_vault ON client (vault)",
	"CREATE INDEX client_due ON client (due) WHERE due > 0",
	"CREATE TABLE run (number INTEGER PRIMARY KEY AUTOINCREMENT,"
	" cid INTEGER NOT NULL REFERENCES client (id), vault BLOB NOT NULL,"
	" run BLOB, job BLOB, label TEXT NOT NULL DEFAULT '',"
	" state INTEGER NOT NULL, started INTEGER NOT NULL,"
	" ended INTEGER NOT NULL, at INTEGER NOT NULL,"
	" heard INTEGER NOT NULL,"
	" snapshot BLOB, flags INTEGER NOT NULL DEFAULT 0,"
	" good INTEGER NOT NULL DEFAULT 0,"
	" objects INTEGER NOT NULL DEFAULT 0,"
	" received INTEGER NOT NULL DEFAULT 0,"
	" new_bytes INTEGER NOT NULL DEFAULT 0,"
	" closure_bytes INTEGER NOT NULL DEFAULT 0,"
	" outcome INTEGER NOT NULL DEFAULT 0, r_files INTEGER, r_dirs INTEGER,"
	" r_bytes INTEGER, r_new INTEGER, r_skipped INTEGER, r_ms INTEGER)",
	"CREATE UNIQUE INDEX run_run ON run (cid, run) WHERE run IS NOT NULL",
	"CREATE UNIQUE INDEX run_snapshot ON run (vault, snapshot)"
	" WHERE snapshot IS NOT NULL",
	"CREATE INDEX run_at ON run (cid, at)",
	"CREATE INDEX run_number ON run (cid, number)",
	"CREATE INDEX run_good ON run (cid, ended) WHERE good = 1",
	"CREATE INDEX run_kept ON run (cid, good) WHERE snapshot IS NOT NULL",
	"CREATE INDEX run_going ON run (cid) WHERE ended = 0",
	"CREATE INDEX run_day ON run (ended, cid, state)",
	"CREATE TABLE vault (vault BLOB PRIMARY KEY, seq INTEGER NOT NULL,"
	" at INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,"
	" objects INTEGER NOT NULL DEFAULT 0,"
	" snapshots INTEGER NOT NULL DEFAULT 0,"
	" fs_free INTEGER NOT NULL DEFAULT 0,"
	" fs_total INTEGER NOT NULL DEFAULT 0)",
	"CREATE TABLE space (vault BLOB NOT NULL, hour INTEGER NOT NULL,"
	" at INTEGER NOT NULL, bytes INTEGER NOT NULL, objects INTEGER NOT NULL,"
	" snapshots INTEGER NOT NULL, fs_free INTEGER NOT NULL,"
	" fs_total INTEGER NOT NULL, PRIMARY KEY (vault, hour)) WITHOUT ROWID",
	"CREATE TABLE alert (number INTEGER PRIMARY KEY AUTOINCREMENT,"
	" kind INTEGER NOT NULL, subject TEXT NOT NULL, since INTEGER NOT NULL,"
	" account TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL,"
	" UNIQUE (kind, subject))",
	"CREATE TABLE audit (number INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
	" who TEXT NOT NULL, origin TEXT NOT NULL, act TEXT NOT NULL,"
	" object TEXT NOT NULL, rc INTEGER NOT NULL, detail TEXT NOT NULL,"
	" hash BLOB NOT NULL)",
	"CREATE TABLE peer (row INTEGER PRIMARY KEY, body BLOB NOT NULL)",
};

static int
make_schema(struct catalog *c)
{
	int rc;

	if ((rc = sql_run(c->db, "BEGIN IMMEDIATE", "")) != RC_OK)
		return rc;
	for (size_t i = 0; rc == RC_OK && i < NITEMS(schema); i++)
		rc = sql_run(c->db, schema[i], "");
	if (rc == RC_OK)
		rc = sql_run(c->db, "PRAGMA user_version = 1", "");
	if (rc == RC_OK)
		rc = sql_run(c->db, "COMMIT", "");
	return rc;
}

int
cat_open(struct catalog *c, const char *path, int64_t now)
{
	int64_t version;
	int rc;

	memset(c, 0, sizeof(*c));
	c->now = now;
	if ((rc = sql_open(&c->db, path)) != RC_OK)
		return rc;
	version = cat_number(c, -1, "PRAGMA user_version", "");
	if (version == 0)
		rc = make_schema(c);
	else if (version != SCHEMA_VERSION)
		rc = version < 0 ? RC_CORRUPT : RC_VERSION;
	if (rc == RC_OK)
		rc = audit_load(c);
	if (rc == RC_OK && (c->events = events_new(now)) == NULL)
		rc = RC_NOMEM;
	return rc;
}

void
cat_close(struct catalog *c)
{
	if (c->db != NULL) {
		(void)cat_commit(c);
		sqlite3_close(c->db);
	}
	events_free(c->events);
	c->db = NULL;
	c->events = NULL;
}

const char *
cat_error(const struct catalog *c)
{
	return c->db != NULL ? sqlite3_errmsg(c->db) : "not opened";
}

bool
cat_is_writing(const struct catalog *c)
{
	return sqlite3_get_autocommit(c->db) == 0;
}

int
cat_write(struct catalog *c)
{
	return cat_is_writing(c) ? RC_OK :
	    sql_run(c->db, "BEGIN IMMEDIATE", "");
}

int
cat_commit(struct catalog *c)
{
	int rc;

	c->urgent = false;
	if (!cat_is_writing(c))
		return RC_OK;
	if ((rc = sql_run(c->db, "COMMIT", "")) != RC_OK && cat_is_writing(c))
		(void)sql_run(c->db, "ROLLBACK", "");
	return rc;
}

int64_t
cat_int(uint64_t v)
{
	return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

int64_t
cat_number(struct catalog *c, int64_t none, const char *sql, const char *types,
    ...)
{
	sqlite3_stmt *st;
	int64_t v = none;
	va_list ap;
	int i = 1;

	if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK)
		return none;
	va_start(ap, types);
	for (const char *t = types; *t != '\0'; t++, i++) {
		if (*t == 'i')
			sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
		else if (*t == 't')
			sqlite3_bind_text(st, i, va_arg(ap, const char *), -1,
			    SQLITE_STATIC);
		else
			sqlite3_bind_blob(st, i, va_arg(ap, const void *),
			    *t == 'b' ? 16 : 32, SQLITE_STATIC);
	}
	va_end(ap);
	if (sqlite3_step(st) == SQLITE_ROW &&
	    sqlite3_column_type(st, 0) != SQLITE_NULL)
		v = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return v;
}
