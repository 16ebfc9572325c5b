#ifndef STORE_MEMTABLE_H
#define STORE_MEMTABLE_H

#include <stddef.h>
#include <stdint.h>

#include "server/store/ixfile.h"

/* Entries in memory, found by hash; several of one id are kept. */
struct memtable {
	struct ixent	*e;
	uint32_t	*slot;		/* entry + 1, 0 empty */
	size_t		 n, room, slots, max;
	uint64_t	 key[OBJECT_ID_LEN / 4];	/* of the hash */
};

int	memtable_init(struct memtable *m, size_t max);
void	memtable_free(struct memtable *m);
void	memtable_clear(struct memtable *m);
int	memtable_add(struct memtable *m, const struct ixent *e); /* RC_FULL */
/* As ixfile_find(). */
int	memtable_find(const struct memtable *m, const struct object_id *id,
	    unsigned skip, unsigned *seen, struct ixent *e);
/* Positions in order of ixent_cmp(); caller frees. */
int	memtable_sorted(const struct memtable *m, uint32_t **order);
void	memtable_drop(struct memtable *m, uint64_t pack, uint64_t off);

#endif
