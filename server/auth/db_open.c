#include "config.h"

#include "server/auth/db.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/auth/db_priv.h"

/*
 * The schema, one array of statements per version: a database of an older one
 * gets what it lacks, in one transaction.  What stands here never changes once
 * it was released; a new version is a new array.
 */
#define SCHEMA_VERSION	2

static const char *const version_1[] = {
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
	NULL
};

static const char *const version_2[] = {
	/* AUTOINCREMENT: the number of a removed user is nobody else's */
	"CREATE TABLE user ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  name TEXT NOT NULL UNIQUE,"
	"  level INTEGER NOT NULL,"
	"  created INTEGER NOT NULL,"
	"  seen INTEGER NOT NULL DEFAULT 0,"
	"  failures INTEGER NOT NULL DEFAULT 0,"
	"  salt BLOB, hash BLOB, cost INTEGER NOT NULL DEFAULT 0,"
	"  totp BLOB, totp_new BLOB, totp_step INTEGER NOT NULL DEFAULT 0,"
	"  setup BLOB, setup_expires INTEGER NOT NULL DEFAULT 0)",
	/* from where each signed in last: strangers' failures do not delay it */
	"CREATE TABLE source ("
	"  user INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,"
	"  source BLOB NOT NULL,"
	"  seen INTEGER NOT NULL,"
	"  PRIMARY KEY (user, source)) WITHOUT ROWID",
	"CREATE TABLE session ("
	"  id BLOB PRIMARY KEY,"
	"  hash BLOB NOT NULL UNIQUE,"
	"  user INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,"
	"  addr TEXT NOT NULL,"
	"  created INTEGER NOT NULL,"
	"  seen INTEGER NOT NULL,"
	"  expires INTEGER NOT NULL) WITHOUT ROWID",
	"CREATE INDEX session_user ON session (user)",
	"CREATE TABLE api ("
	"  id BLOB PRIMARY KEY,"
	"  hash BLOB NOT NULL UNIQUE,"
	"  name TEXT NOT NULL UNIQUE,"
	"  level INTEGER NOT NULL,"
	"  created INTEGER NOT NULL,"
	"  seen INTEGER NOT NULL DEFAULT 0,"
	"  expires INTEGER NOT NULL,"
	"  state INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
	NULL
};

static const char *const *const versions[SCHEMA_VERSION] = {
	version_1, version_2,
};

int
db_begin(struct db *db)
{
	return sql_run(db->sql, "BEGIN IMMEDIATE", "");
}

int
db_finish(struct db *db, int rc)
{
	if (rc == RC_OK && (rc = sql_run(db->sql, "COMMIT", "")) == RC_OK)
		return RC_OK;
	(void)sql_run(db->sql, "ROLLBACK", "");
	return rc;
}

int
db_hex_prefix(const uint8_t id[16], unsigned digits, char out[33])
{
	if (digits == 0 || digits > 32)
		return RC_RANGE;
	for (unsigned i = 0; i < digits; i++)
		out[i] = "0123456789ABCDEF"[id[i / 2] >> (i % 2 ? 0 : 4) &
		    0x0f];
	out[digits] = '\0';
	return RC_OK;
}

int
db_number(int rc, sqlite3_stmt *st, int64_t *n)
{
	if (rc != RC_OK)
		return rc;
	*n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return RC_OK;
}

static int
make_schema(struct db *db)
{
	sqlite3_stmt *st = NULL;
	int64_t version;
	char set[40];
	int rc;

	rc = sql_query(db->sql, &st, "PRAGMA user_version", "");
	if ((rc = db_number(rc, st, &version)) != RC_OK)
		return rc;
	if (version < 0 || version > SCHEMA_VERSION)
		return RC_VERSION;
	if ((rc = db_begin(db)) != RC_OK)
		return rc;
	for (; version < SCHEMA_VERSION; version++)
		for (const char *const *s = versions[version]; rc == RC_OK &&
		    *s != NULL; s++)
			rc = sql_run(db->sql, *s, "");
	/* also when nothing is new: the first write makes the journal and
	 * syncs its directory, which the sandbox would not allow later */
	snprintf(set, sizeof(set), "PRAGMA user_version = %d", SCHEMA_VERSION);
	if (rc == RC_OK)
		rc = sql_run(db->sql, set, "");
	return db_finish(db, rc);
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
