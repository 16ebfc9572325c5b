#ifndef CLIENT_ENGINE_FIDS_H
#define CLIENT_ENGINE_FIDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/object.h"

/*
 * Content id -> place: which bundle holds a small file's content, so that one
 * that was moved or copied is not stored again.  Shared by all jobs.
 *
 * The file `fids` is a row of segments, each sorted and read page by page by
 * pread; a run keeps what it adds in memory up to FIDS_MEMORY entries, then in
 * a segment of a spill file, and appends all of it to `fids` once the snapshot
 * is committed.  One thread at a time.  doc/VAULT-FORMAT.md "Content ids".
 */
#define FIDS_MEMORY	(128u << 10)	/* entries, 28 bytes each */

struct fids_place {
	struct object_id bundle;
	uint32_t	 number;	/* of a bundle of this run */
	bool		 own;		/* this run's: bundle is known when it closed */
	uint32_t	 offset, len;
};

struct fids;
/* name: `fids`; spill: the run's own file.  A damaged or missing table is an
 * empty one.  use_old: false ignores what is there. */
int	fids_open(struct fids **f, int dirfd, const char *name,
	    const char *spill, const uint8_t vault[16], bool use_old);
void	fids_close(struct fids *f);
/* RC_NOENT when it is not known with this length. */
int	fids_find(struct fids *f, const uint8_t fid[16], uint32_t len,
	    struct fids_place *p);
int	fids_bundle_new(struct fids *f, uint32_t *number);
void	fids_bundle_is(struct fids *f, uint32_t number,
	    const struct object_id *id);
int	fids_add(struct fids *f, const uint8_t fid[16], uint32_t number,
	    uint32_t offset, uint32_t len);
/* Append what this run added.  replace: what was there is dropped. */
int	fids_commit(struct fids *f, bool replace);

#endif
