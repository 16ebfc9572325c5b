#ifndef SERVER_AUTH_NOTES_H
#define SERVER_AUTH_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wbuf.h"
#include "server/auth/db.h"
#include "server/auth/worker.h"

/*
 * What auth tells the catalog: the list of clients, and each change and sign-in
 * for the audit log.  It never waits.  While there is no catalog, or it does not
 * read, up to NOTES_MAX entries are kept; later ones are counted and lost.
 */
#define NOTES_MAX	1000

struct notes {
	struct db	*db;
	struct worker	*catalog;	/* NULL: none now */
	bool		 stale;		/* it lacks a change: list again */
	size_t		 first, n;	/* a ring */
	uint64_t	 lost;
	struct wbuf	 audit[NOTES_MAX];
};

struct audit {
	const char	*who, *from, *act, *object, *detail;
	int		 rc;
};

void	notes_init(struct notes *t, struct db *db);
void	notes_free(struct notes *t);
/* A new channel: the whole list, then what was kept. */
void	notes_join(struct notes *t, struct worker *catalog);
void	notes_leave(struct notes *t, const struct worker *w);
void	notes_audit(struct notes *t, const struct audit *a);
void	notes_client(struct notes *t, const struct db_client *c);
void	notes_client_gone(struct notes *t, const struct db_client *c);
/* Send what goes. */
void	notes_flush(struct notes *t);
bool	notes_pending(const struct notes *t);

#endif
