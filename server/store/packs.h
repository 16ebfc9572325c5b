#ifndef STORE_PACKS_H
#define STORE_PACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/store/packscan.h"

/*
 * The packs of a vault: one of each kind is written, all are read.  Data and
 * nodes are apart so that browsing and garbage collection read nodes only; the
 * two kinds share one sequence of numbers.
 */
struct packs;

struct packs_opt {
	int		 dirfd;		/* packs/ */
	uint8_t		 vault[16];
	uint64_t	 target;	/* a pack that reached it is sealed */
	/*
	 * A pack was sealed and is durable.  Its failure is the append's.
	 */
	int		(*sealed)(void *arg, enum pack_kind kind,
			    uint64_t number, uint64_t size, uint32_t count,
			    const uint8_t sha[32]);
	/* What was written of this pack from this offset on is lost. */
	void		(*lost)(void *arg, uint64_t number, uint64_t off);
	/* RC_FULL unless this many bytes may still be taken. */
	int		(*space)(void *arg, uint64_t bytes);
	void		*arg;
};

int	packs_new(struct packs **p, const struct packs_opt *o);
/* Buffers are not written: call packs_flush() before. */
void	packs_free(struct packs *p);

/* Highest number in use, 0 for none; also unlinks unfinished files. */
int	packs_find_last(struct packs *p, uint64_t *last);
/* RC_NOENT when there is no pack of this number and kind. */
int	packs_open_pack(struct packs *p, enum pack_kind kind, uint64_t number,
	    bool write, int *fd);
/* Go on at the end of an unsealed pack: its records end at `off`. */
int	packs_resume(struct packs *p, enum pack_kind kind, uint64_t number,
	    uint32_t tag, uint64_t off);
/* New packs get numbers above this one. */
void	packs_set_last(struct packs *p, uint64_t last);
uint64_t packs_last(const struct packs *p);

/* Append a record; px->tag, len and crc are filled in. */
int	packs_append(struct packs *p, enum pack_kind kind, struct prefix *px,
	    const void *data, size_t len, uint64_t *number, uint64_t *off);
int	packs_flush(struct packs *p);
/* Everything appended is durable.  RC_OK without a call when it is. */
int	packs_sync(struct packs *p);
bool	packs_dirty(const struct packs *p);
uint64_t packs_unsynced(const struct packs *p);	/* bytes */
/* Where the next record of this kind will stand, at the earliest. */
void	packs_end(const struct packs *p, enum pack_kind kind,
	    uint64_t *number, uint64_t *off);

/* What of this kind is known to be on stable storage ends here. */
void	packs_synced_end(const struct packs *p, enum pack_kind kind,
	    uint64_t *number, uint64_t *off);

/*
 * For syncing in other threads: flush, then descriptors of what is dirty (up
 * to 2, -1 for none).  packs_sync_end() tells how it went; it is not called
 * when beginning failed.
 */
int	packs_sync_begin(struct packs *p, int fds[2]);
int	packs_sync_end(struct packs *p, const int rcs[2]);

/* n bytes at `off` of a pack. */
int	packs_read(struct packs *p, enum pack_kind kind, uint64_t number,
	    uint64_t off, void *buf, size_t n);

#endif
