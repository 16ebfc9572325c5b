#ifndef SERVER_CATALOG_HISTORY_H
#define SERVER_CATALOG_HISTORY_H

#include "common/proto.h"
#include "server/catalog/catalog.h"
#include "server/catalog/feed.h"
#include "server/catalog/query.h"

/*
 * Clients, runs, storage and the alerts that follow from them.  All of these
 * write through cat_write(); RC_* of SQLite come back and leave what was whole.
 */

/* --- clients.c: what auth says --- */
struct client_row {
	char	account[CAT_NAME_MAX + 1], name[CAT_NAME_MAX + 1];
	uint8_t	client[16], vault[16];
	uint8_t	state;			/* enum client_state */
	int64_t	created, seen;
};
/* The body of CLIENT_NOTE. */
int	client_note_get(struct rbuf *in, uint8_t *what, struct client_row *r);
/* The whole list is about to come again: forget who was on it. */
int	clients_list_begin(struct catalog *c);
int	client_put(struct catalog *c, const struct client_row *r);
int	client_gone(struct catalog *c, const struct client_row *r);
/* Who was not on it is gone; what it did stays. */
int	clients_list_end(struct catalog *c);
/* Number of the row of a client id; makes one for an id that auth has not told
 * of yet. */
int	client_find(struct catalog *c, const uint8_t client[16],
	    const uint8_t vault[16], int64_t *cid);
/* Summary, status, due time and alerts anew, out of its runs. */
int	client_refresh(struct catalog *c, int64_t cid);
/* Every minute: those whose time came. */
int	clients_tick(struct catalog *c);
/* A vault that auth knows, that somebody used, and of which nothing is known:
 * RC_NOENT when there is none behind `after`. */
int	client_unknown_vault(struct catalog *c, int64_t *after,
	    uint8_t vault[16]);
/* "ACCOUNT/NAME" */
void	client_label(struct catalog *c, int64_t cid, char *out, size_t size);

/* --- runs.c: what store says --- */
int	run_feed(struct catalog *c, const uint8_t vault[16],
	    const struct feed_run *f);
int	run_snapshot(struct catalog *c, const uint8_t vault[16],
	    const struct feed_snapshot *f);
/* The client's own words; RC_NOENT for a run that no store told of. */
int	run_report(struct catalog *c, const uint8_t client[16],
	    const struct report *r);
/* The vault's store is gone: its runs have ended. */
int	runs_vault_left(struct catalog *c, const uint8_t vault[16]);
/* After a start: runs of an earlier life that nobody spoke of since. */
int	runs_end_stale(struct catalog *c, int64_t since);
/* Once a day: what is too old. */
int	runs_prune(struct catalog *c);
uint64_t vault_seq(struct catalog *c, const uint8_t vault[16]);
int	space_feed(struct catalog *c, const uint8_t vault[16],
	    const struct feed_space *f);

/* --- alerts.c --- */
/* There is, or is not, such an alert; text says what to do. */
int	alert_set(struct catalog *c, enum alert_kind kind, const char *subject,
	    const char *account, const char *name, int64_t since,
	    const char *text);
int	alert_clear(struct catalog *c, enum alert_kind kind,
	    const char *subject);

#endif
