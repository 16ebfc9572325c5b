#ifndef SERVER_CATALOG_CATALOG_H
#define SERVER_CATALOG_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/digest.h"
#include "server/sql.h"

/*
 * catalog.db and what all parts of the catalog share.  Nothing below reads the
 * clock: whoever calls sets `now` first.  Changes gather in one transaction that
 * cat_commit() ends, so that a backup's feed costs few syncs; a query sees them
 * at once, since there is one connection.
 */
#define CAT_NAME_MAX		63	/* of accounts and clients */
#define CAT_RUNS_KEEP_DAYS	400
#define CAT_RUNS_KEEP		1000	/* of each client, however old */
#define CAT_RUNS_MAX		20000	/* of each client, however young */

struct events;

struct catalog {
	sqlite3		*db;
	struct events	*events;
	int64_t		 now;		/* Unix seconds */
	uint64_t	 ms;		/* monotonic milliseconds */
	bool		 urgent;	/* commit at the end of this turn */
	uint64_t	 audit_n;	/* newest entry */
	uint8_t		 audit_head[SHA256_LEN];
};

/* RC_VERSION: of a newer StoreGrid.  cat_close() is due whatever is returned. */
int	cat_open(struct catalog *c, const char *path, int64_t now);
void	cat_close(struct catalog *c);
const char *cat_error(const struct catalog *c);

/* Before the first change: opens a transaction unless one is open. */
int	cat_write(struct catalog *c);
bool	cat_is_writing(const struct catalog *c);
int	cat_commit(struct catalog *c);

/* Counters come from outside; SQLite's integers end at 2^63. */
int64_t	cat_int(uint64_t v);
/* One number, or `none` when there is no row or it is NULL. */
int64_t	cat_number(struct catalog *c, int64_t none, const char *sql,
	    const char *types, ...);

#endif
