#include "config.h"

#include "server/sql.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"

int
sql_prepare(void)
{
	uint8_t x;

	if (sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) != SQLITE_OK ||
	    sqlite3_initialize() != SQLITE_OK)
		return RC_IO;
	/* seeds itself from /dev/urandom, which the new root has not */
	sqlite3_randomness(sizeof(x), &x);
	return RC_OK;
}

int
sql_open(sqlite3 **db, const char *path)
{
	static const char *const pragmas[] = {
		"PRAGMA locking_mode = EXCLUSIVE",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA mmap_size = 0",
		"PRAGMA trusted_schema = OFF",
		"PRAGMA cell_size_check = ON",
		"PRAGMA foreign_keys = ON",
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = FULL",
		"PRAGMA secure_delete = ON",
	};
	int code, rc;

	*db = NULL;
	code = sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL);
	if (code != SQLITE_OK)
		return sql_rc(code);
	sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	for (size_t i = 0; i < NITEMS(pragmas); i++)
		if ((rc = sql_run(*db, pragmas[i], "")) != RC_OK)
			return rc;
	return RC_OK;
}

int
sql_rc(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return RC_OK;
	case SQLITE_CONSTRAINT:
		return RC_EXISTS;
	case SQLITE_FULL:
		return RC_FULL;
	case SQLITE_NOMEM:
		return RC_NOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return RC_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return RC_CORRUPT;
	case SQLITE_READONLY:
		return RC_READONLY;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return RC_DENIED;
	default:
		return RC_IO;
	}
}

static int
prepare(sqlite3 *db, sqlite3_stmt **st, const char *sql, const char *types,
    va_list ap)
{
	int rc, i = 1;

	rc = sqlite3_prepare_v2(db, sql, -1, st, NULL);
	for (const char *t = types; rc == SQLITE_OK && *t != '\0'; t++, i++) {
		switch (*t) {
		case 'i':
			rc = sqlite3_bind_int64(*st, i, va_arg(ap, int64_t));
			break;
		case 't':
			rc = sqlite3_bind_text(*st, i, va_arg(ap, const char *),
			    -1, SQLITE_STATIC);
			break;
		default:
			rc = sqlite3_bind_blob(*st, i, va_arg(ap, const void *),
			    *t == 'b' ? 16 : 32, SQLITE_STATIC);
			break;
		}
	}
	if (rc == SQLITE_OK)
		return RC_OK;
	sqlite3_finalize(*st);
	*st = NULL;
	return sql_rc(rc);
}

int
sql_run(sqlite3 *db, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st = NULL;
	va_list ap;
	int rc, code;

	va_start(ap, types);
	rc = prepare(db, &st, sql, types, ap);
	va_end(ap);
	if (rc != RC_OK)
		return rc;
	do
		code = sqlite3_step(st);
	while (code == SQLITE_ROW);
	sqlite3_finalize(st);
	return sql_rc(code);
}

int
sql_query(sqlite3 *db, sqlite3_stmt **st, const char *sql, const char *types,
    ...)
{
	va_list ap;
	int rc, code;

	va_start(ap, types);
	rc = prepare(db, st, sql, types, ap);
	va_end(ap);
	if (rc != RC_OK)
		return rc;
	code = sqlite3_step(*st);
	if (code == SQLITE_ROW)
		return RC_OK;
	sqlite3_finalize(*st);
	*st = NULL;
	return code == SQLITE_DONE ? RC_NOENT : sql_rc(code);
}

int
sql_next(sqlite3_stmt *st)
{
	int code = sqlite3_step(st);

	if (code == SQLITE_ROW)
		return RC_OK;
	sqlite3_finalize(st);
	return code == SQLITE_DONE ? RC_EOF : sql_rc(code);
}

void
sql_blob(sqlite3_stmt *st, int col, void *out, size_t n)
{
	const void *p = sqlite3_column_blob(st, col);

	memset(out, 0, n);
	if (p != NULL && sqlite3_column_bytes(st, col) == (int)n)
		memcpy(out, p, n);
}

void
sql_name(sqlite3_stmt *st, int col, char *out, size_t size)
{
	const unsigned char *p = sqlite3_column_text(st, col);

	snprintf(out, size, "%s", p != NULL ? (const char *)p : "");
}

int
sql_changed(sqlite3 *db)
{
	return sqlite3_changes(db) > 0 ? RC_OK : RC_NOENT;
}
