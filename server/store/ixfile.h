#ifndef STORE_IXFILE_H
#define STORE_IXFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/object.h"

/*
 * One sorted file of the index: pages of entries with a CRC each, then the
 * pages of a blocked Bloom filter.  Written once, in order, then only read by
 * pread: nothing of it stays in memory but the numbers of its first page.
 */
struct ixent {
	struct object_id id;
	uint64_t	 pack;
	uint64_t	 off;		/* bytes, of the record */
	uint32_t	 len;		/* on the wire */
	uint16_t	 height;
	uint8_t		 type;
	uint64_t	 closure_bytes;	/* nodes; saturating */
	uint64_t	 closure_objects;
};

/* By id; of one id the newest record first. */
int	ixent_cmp(const struct ixent *a, const struct ixent *b);

struct ixfile {
	int		 fd;
	bool		 nodes;
	uint64_t	 number;	/* in its name */
	uint64_t	 count;
	uint64_t	 pages;		/* of entries; they start at page 1 */
	uint64_t	 bloom_at;	/* page */
	uint64_t	 blocks;	/* of the filter */
};

/* Takes fd.  RC_CRC, RC_CORRUPT when its first page is not believable. */
int	ixfile_open(struct ixfile *f, int fd, uint64_t number);
void	ixfile_close(struct ixfile *f);

/*
 * The record of this id after `skip` newer ones.  RC_NOENT: none; *seen is
 * raised by the number of records of this id passed over.  RC_CRC: a page is
 * bad and the answer unknown.
 */
int	ixfile_find(const struct ixfile *f, const struct object_id *id,
	    unsigned skip, unsigned *seen, struct ixent *e);

/* In order. */
struct ixcursor {
	const struct ixfile	*f;
	uint64_t		 page, left;	/* left: entries to come */
	unsigned		 at, n;
	uint8_t			 buf[4096];
};
void	ixcursor_init(struct ixcursor *c, const struct ixfile *f);
int	ixcursor_next(struct ixcursor *c, struct ixent *e);	/* RC_EOF */

struct ixwriter;
/* max: at least as many entries as will be added; they come in order.  fd
 * stays the caller's. */
int	ixwriter_new(struct ixwriter **w, int fd, bool nodes, uint64_t number,
	    uint64_t max);
int	ixwriter_add(struct ixwriter *w, const struct ixent *e);
int	ixwriter_end(struct ixwriter *w);	/* the caller syncs */
void	ixwriter_free(struct ixwriter *w);

#endif
