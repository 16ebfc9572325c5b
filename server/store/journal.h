#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/store/jrecord.h"

/*
 * The append-only, chained records that say which snapshots and keys there
 * are.  Segments; a new one begins with the state of all before it, so only
 * the newest is read at start.
 */
struct journal;

/* What a record calls when it is read; its failure stops the reading. */
typedef int journal_fn(void *arg, const struct jrec *r);

struct journal_found {
	bool		damaged;	/* a hole before a synced place */
	uint64_t	torn;		/* bytes behind the last record */
};

struct journal_pos {
	uint64_t	segment, off;
	uint32_t	len;		/* of the body */
};

int	journal_create(int dirfd, const uint8_t vault[16]);
/* RC_NOENT: there is no segment at all. */
int	journal_open(struct journal **j, int dirfd, const uint8_t vault[16],
	    journal_fn *fn, void *arg, struct journal_found *found);
void	journal_close(struct journal *j);

/*
 * A record that stood at the torn end and has a second copy: taken when it is
 * exactly the next one.  RC_STATE when it is not.
 */
int	journal_restore(struct journal *j, const uint8_t *raw, size_t n,
	    journal_fn *fn, void *arg);
/* Cut what is behind the last record. */
int	journal_cut(struct journal *j);

/* Room for `bytes` more, kept from other users of the disk.  RC_FULL. */
int	journal_reserve(struct journal *j, uint64_t bytes);
/* Append; not durable until journal_sync().  On failure nothing was added. */
int	journal_append(struct journal *j, uint16_t kind, const void *body,
	    size_t len, struct journal_pos *pos, uint64_t *seq);
int	journal_sync(struct journal *j);
bool	journal_dirty(const struct journal *j);
int	journal_fd(const struct journal *j);	/* for another thread */
uint64_t journal_size(const struct journal *j);
void	journal_synced(struct journal *j, uint64_t size);
uint64_t journal_next_seq(const struct journal *j);

/* The record at pos, whole (header and body), into out; caller frees. */
int	journal_read(struct journal *j, const struct journal_pos *pos,
	    uint8_t **raw, size_t *n);

/*
 * Begin a new segment when enough was appended: `keep` says which records
 * still are state, `fn` is told where each will stand, `done` that they now
 * stand there.  RC_OK also when it was not yet time.
 */
int	journal_roll(struct journal *j, bool force,
	    bool (*keep)(void *arg, const struct jrec *r), journal_fn *fn,
	    void (*done)(void *arg), void *arg);

/* Every record of every segment, oldest first; RC_CORRUPT holes are given to
 * `hole` (may be NULL). */
int	journal_each(int dirfd, journal_fn *fn,
	    int (*hole)(void *arg, uint64_t segment, uint64_t off), void *arg);

#endif
