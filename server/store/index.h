#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/rc.h"
#include "server/store/ixfile.h"

/*
 * From id to place: a table in memory and sorted files (ixfile.h), merged by
 * size.  The vault has one, and each run has a small one for its nodes, which
 * nobody else may see before they are committed.
 *
 * Derived: whatever is lost is made again from the packs.
 */
#define INDEX_MEM_MAIN	80000		/* entries: under 8 MiB */
#define INDEX_MEM_RUN	8192

/* Everything before this place of a pack kind stands in the files. */
struct ixmark {
	uint64_t	pack, off;
};
struct ixstate {
	struct ixmark	data, nodes;
	uint32_t	next_run;	/* above all numbers of runs */
};

struct index;

struct index_opt {
	int		 dirfd;
	const char	*prefix;	/* of its files' names */
	unsigned	 mem;		/* entries held in memory */
	bool		 transient;	/* nothing is synced, no manifest */
	uint8_t		 vault[16];
};

/* RC_NOENT, RC_CORRUPT: no usable one; index_reset() makes it empty. */
int	index_open(struct index **ix, const struct index_opt *o,
	    struct ixstate *st);
int	index_new(struct index **ix, const struct index_opt *o);
void	index_free(struct index *ix);		/* a transient one's files go */
/* Forget everything and unlink its files. */
int	index_reset(struct index *ix);

/* RC_FULL: flush first.  */
int	index_add(struct index *ix, const struct ixent *e);
bool	index_full(const struct index *ix);
uint64_t index_count(const struct index *ix);
unsigned index_mem_count(const struct index *ix);
unsigned index_files(const struct index *ix);

/* The record of this id, `copy` newest first.  RC_NOENT; RC_CRC: rebuild. */
int	index_find(const struct index *ix, const struct object_id *id,
	    unsigned copy, struct ixent *e);
static inline bool
index_has(const struct index *ix, const struct object_id *id)
{
	struct ixent e;

	return index_find(ix, id, 0, &e) == RC_OK;
}

/* Memory to files, and the manifest with these marks. */
int	index_flush(struct index *ix, const struct ixstate *st);
/* Some of a merge that is due; RC_AGAIN: more is to be done. */
int	index_work(struct index *ix, unsigned entries);
int	index_settle(struct index *ix);		/* all of it */

/* Every entry, in no order. */
int	index_each(const struct index *ix,
	    int (*fn)(void *arg, const struct ixent *e), void *arg);
/* Forget what memory has of this pack from this offset on. */
void	index_drop(struct index *ix, uint64_t pack, uint64_t off);

#endif
