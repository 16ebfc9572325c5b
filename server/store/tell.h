#ifndef STORE_TELL_H
#define STORE_TELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/chan.h"
#include "server/catalog/feed.h"
#include "server/store/vault.h"

/*
 * What this vault's store tells the catalog (server/catalog/feed.h).  No backup
 * needs any of it: nothing here waits, nothing here fails, and without a
 * catalog nothing is told.  A channel that is full loses what was said, but for
 * a snapshot, which is told again once there is room.
 */
#define TELL_GOING_MS	2000		/* of one run */
#define TELL_SPACE_MS	10000		/* between two after commits */
#define TELL_HOURLY_MS	3600000
#define TELL_BATCH	16		/* snapshots of an answer, in one turn */
#define TELL_BATCH_MS	5
#define TELL_DONE_MAX	64		/* committed runs that may be reported on */
#define TELL_REPORTS_MAX 8		/* of one connection */

struct tell {
	struct chan	*c;		/* to the catalog; NULL: it is away */
	struct vault	*v;
	/* CAT_ASK under way: snapshots behind this sequence */
	bool		 asked;
	uint64_t	 after;
	/* packs that grow no more, by kind: all up to this number */
	uint64_t	 sized[2], sized_bytes, sized_packs;
	uint64_t	 space_ms;	/* told last for a commit's sake */
	uint64_t	 space_due_ms;
	bool		 space_old;	/* a commit came after the last one */
	struct told_done {
		uint8_t		run[16], client[16];
		uint64_t	vault_seq;
		int64_t		started;
	}		 done[TELL_DONE_MAX];
	unsigned	 ndone;
};

/* v may be NULL: then nothing is told. */
void	tell_init(struct tell *t, struct vault *v);
/* Takes the channel (NULL: there is none); the one before is closed. */
void	tell_chan(struct tell *t, struct chan *c);
int	tell_fd(const struct tell *t);			/* -1: none */
short	tell_events(const struct tell *t);
void	tell_ready(struct tell *t, short revents);
/* Timed work; *wait_ms: call again by then. */
void	tell_tick(struct tell *t, uint64_t now_ms, int *wait_ms);

/* RUN_BEGIN was accepted. */
void	tell_begun(struct tell *t, struct run *r, bool resumed);
/* A PUT of so many bytes arrived for it. */
void	tell_put(struct run *r, size_t len);
/* Nobody will go on with it: given up for another, its client said BYE, its
 * grace is over, or the store ends.  Told once. */
void	tell_left(struct tell *t, struct run *r);
/* Before commit_finish(), which frees the run: what is to be told of it. */
void	tell_keep(struct tell *t, const struct run *r, struct feed_run *f);
/* The answer was sent. */
void	tell_committed(struct tell *t, struct feed_run *f,
	    const struct commit *c);
/* The store ends: what would have been told later. */
void	tell_end(struct tell *t);
/* A client's REPORT; false: not of a run of this client that lives or was just
 * committed, and not passed on. */
bool	tell_report(struct tell *t, const uint8_t client[16],
	    const struct report *r);

#endif
