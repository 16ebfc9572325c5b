#ifndef SERVER_AUTH_DB_PRIV_H
#define SERVER_AUTH_DB_PRIV_H

#include "server/auth/db.h"
#include "server/sql.h"

/* Between the files of auth.db. */
struct db {
	sqlite3	*sql;
};

int	db_begin(struct db *db);
/* End the transaction as rc says. */
int	db_finish(struct db *db, int rc);
/* The first digits of an id as hex() of SQLite spells them; RC_RANGE unless 1 to
 * 32. */
int	db_hex_prefix(const uint8_t id[16], unsigned digits, char out[33]);
/* The one number that a query answered with rc. */
int	db_number(int rc, sqlite3_stmt *st, int64_t *n);

#endif
