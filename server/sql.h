#ifndef SERVER_SQL_H
#define SERVER_SQL_H

#include <stddef.h>

#include <sqlite3.h>

/*
 * SQLite behind our own few calls.  types: 'i' int64_t, 't' text, 'b' 16 bytes,
 * 'B' 32 bytes; what is bound must live until the statement is done.
 */

/* Before the root directory is changed: what SQLite reads from outside. */
int	sql_prepare(void);
/*
 * Open or make a database of this process alone: exclusive lock, WAL, every
 * commit on stable storage, no mmap, deleted rows overwritten.  *db is the
 * caller's to close whatever is returned.
 */
int	sql_open(sqlite3 **db, const char *path);
/* RC_* for a result code of SQLite; RC_EXISTS for a constraint. */
int	sql_rc(int code);
/* A statement without rows. */
int	sql_run(sqlite3 *db, const char *sql, const char *types, ...);
/* RC_NOENT when the last sql_run() changed no row. */
int	sql_changed(sqlite3 *db);
/* The first row; RC_NOENT.  The caller finalizes *st when RC_OK. */
int	sql_query(sqlite3 *db, sqlite3_stmt **st, const char *sql,
	    const char *types, ...);
/* On to the next row; RC_EOF, and the statement is gone, after the last. */
int	sql_next(sqlite3_stmt *st);
/* Columns; zeros when the length is another. */
void	sql_blob(sqlite3_stmt *st, int col, void *out, size_t n);
void	sql_name(sqlite3_stmt *st, int col, char *out, size_t size);

#endif
