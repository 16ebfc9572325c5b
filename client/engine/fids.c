#include "config.h"

#include "client/engine/fids.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/engine/fids_priv.h"
#include "common/digest.h"
#include "common/io.h"
#include "common/num.h"
#include "common/rbuf.h"
#include "common/rc.h"
#include "common/wbuf.h"

/*
 * Looking up and collecting.  Segments are read and written by fidseg.c.
 */
#define SLOTS	(2 * FIDS_MEMORY)	/* a power of 2 */

struct fids {
	int			 dirfd, fd, spill_fd;
	char			 name[32], spill[64];
	uint8_t			 vault[16];
	struct fid_segment	 old[FIDS_SEGMENTS_MAX];
	size_t			 nold;
	struct fid_segment	 own[FIDS_SPILLS_MAX];
	size_t			 nown;
	uint64_t		 spill_end;
	struct fid_entry	*slot;		/* number FID_EMPTY: free */
	size_t			 used;
	struct object_id	*bundles;	/* of this run */
	uint32_t		 nbundles, bundles_size;
	struct fid_page		 page;
};

static size_t
slot_of(const uint8_t fid[16])
{
	size_t v;

	memcpy(&v, fid + 4, sizeof(v));
	return v & (SLOTS - 1);
}

static void
slots_clear(struct fids *f)
{
	size_t i;

	for (i = 0; i < SLOTS; i++)
		f->slot[i].number = FID_EMPTY;
	f->used = 0;
}

static void
open_old(struct fids *f)
{
	f->fd = openat(f->dirfd, f->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (f->fd == -1)
		return;
	if (fid_segments_open(f->fd, f->vault, f->old, FIDS_SEGMENTS_MAX,
	    &f->nold) != RC_OK) {
		fid_segments_free(f->old, f->nold);
		f->nold = 0;
	}
}

int
fids_open(struct fids **out, int dirfd, const char *name, const char *spill,
    const uint8_t vault[16], bool use_old)
{
	struct fids *f;

	*out = NULL;
	if ((f = calloc(1, sizeof(*f))) == NULL)
		return RC_NOMEM;
	f->dirfd = dirfd;
	f->fd = f->spill_fd = -1;
	snprintf(f->name, sizeof(f->name), "%s", name);
	snprintf(f->spill, sizeof(f->spill), "%s", spill);
	memcpy(f->vault, vault, sizeof(f->vault));
	if ((f->slot = malloc(SLOTS * sizeof(*f->slot))) == NULL) {
		fids_close(f);
		return RC_NOMEM;
	}
	slots_clear(f);
	if (use_old)
		open_old(f);
	*out = f;
	return RC_OK;
}

void
fids_close(struct fids *f)
{
	if (f == NULL)
		return;
	fid_segments_free(f->old, f->nold);
	fid_segments_free(f->own, f->nown);
	if (f->spill_fd != -1)
		unlinkat(f->dirfd, f->spill, 0);
	fd_close(&f->fd);
	fd_close(&f->spill_fd);
	free(f->slot);
	free(f->bundles);
	free(f);
}

static void
place_of(const struct fid_entry *e, struct fids_place *p)
{
	p->number = e->number;
	p->offset = e->offset;
	p->len = e->len;
}

int
fids_find(struct fids *f, const uint8_t fid[16], uint32_t len,
    struct fids_place *p)
{
	struct fid_entry e;
	size_t at, i;

	for (at = slot_of(fid); f->slot[at].number != FID_EMPTY;
	    at = (at + 1) & (SLOTS - 1))
		if (memcmp(f->slot[at].fid, fid, 16) == 0 &&
		    f->slot[at].len == len) {
			p->own = true;
			place_of(&f->slot[at], p);
			goto own;
		}
	for (i = f->nown; i > 0; i--)
		if (fid_segment_find(&f->own[i - 1], &f->page, fid, &e) ==
		    RC_OK && e.len == len) {
			p->own = true;
			place_of(&e, p);
			goto own;
		}
	for (i = f->nold; i > 0; i--)
		if (fid_segment_find(&f->old[i - 1], &f->page, fid, &e) ==
		    RC_OK && e.len == len &&
		    e.number < f->old[i - 1].nbundles) {
			p->own = false;
			place_of(&e, p);
			p->bundle = f->old[i - 1].bundles[e.number];
			return RC_OK;
		}
	return RC_NOENT;
own:
	if (p->number >= f->nbundles)
		return RC_NOENT;
	p->bundle = f->bundles[p->number];
	return RC_OK;
}

int
fids_bundle_new(struct fids *f, uint32_t *number)
{
	struct object_id *p;
	uint32_t size;

	if (f->nbundles == f->bundles_size) {
		if (f->bundles_size > UINT32_MAX / 4)
			return RC_LIMIT;
		size = f->bundles_size == 0 ? 64 : f->bundles_size * 2;
		if ((p = realloc(f->bundles, size * sizeof(*p))) == NULL)
			return RC_NOMEM;
		f->bundles = p;
		f->bundles_size = size;
	}
	memset(&f->bundles[f->nbundles], 0, sizeof(*f->bundles));
	*number = f->nbundles++;
	return RC_OK;
}

void
fids_bundle_is(struct fids *f, uint32_t number, const struct object_id *id)
{
	f->bundles[number] = *id;
}

/* The table in memory becomes a sorted segment of the spill file. */
static int
spill(struct fids *f)
{
	size_t i, n = 0;
	int rc;

	if (f->used == 0)
		return RC_OK;
	if (f->nown == FIDS_SPILLS_MAX) {	/* 32 million files: enough */
		slots_clear(f);
		return RC_OK;
	}
	if (f->spill_fd == -1 && (f->spill_fd = openat(f->dirfd, f->spill,
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)) == -1)
		return rc_errno(errno);
	for (i = 0; i < SLOTS; i++)
		if (f->slot[i].number != FID_EMPTY)
			f->slot[n++] = f->slot[i];
	fid_sort(f->slot, n);
	rc = fid_segment_write(f->spill_fd, f->spill_end, NULL, 0, 0, f->slot,
	    n, &f->own[f->nown]);
	if (rc == RC_OK)
		f->spill_end = f->own[f->nown++].end;
	slots_clear(f);
	return rc;
}

int
fids_add(struct fids *f, const uint8_t fid[16], uint32_t number,
    uint32_t offset, uint32_t len)
{
	struct fid_entry *e;
	size_t at;
	int rc;

	if (f->used == FIDS_MEMORY && (rc = spill(f)) != RC_OK)
		return rc;
	at = slot_of(fid);
	while (f->slot[at].number != FID_EMPTY)
		at = (at + 1) & (SLOTS - 1);
	e = &f->slot[at];
	memcpy(e->fid, fid, sizeof(e->fid));
	e->number = number;
	e->offset = offset;
	e->len = len;
	f->used++;
	return RC_OK;
}

/* Everything into one new file: too many segments, or a damaged table. */
static int
rewrite(struct fids *f, const struct fid_segment *old, size_t nold)
{
	char temp[40];
	int fd, rc;

	snprintf(temp, sizeof(temp), "%s.new", f->name);
	if ((fd = openat(f->dirfd, temp, O_RDWR | O_CREAT | O_TRUNC |
	    O_CLOEXEC | O_NOFOLLOW, 0600)) == -1)
		return rc_errno(errno);
	rc = fid_merge(fd, f->vault, old, nold, f->own, f->nown, f->bundles,
	    f->nbundles);
	if (rc == RC_OK &&
	    renameat(f->dirfd, temp, f->dirfd, f->name) == -1)
		rc = rc_errno(errno);
	if (rc != RC_OK)
		unlinkat(f->dirfd, temp, 0);
	fd_close(&fd);
	return rc;
}

static int
append(struct fids *f, int fd, uint64_t end)
{
	size_t i;
	int rc;

	/* The bundles stand with the first segment; the others' numbers are
	 * the same. */
	for (i = 0; i < f->nown; i++)
		if ((rc = fid_segment_copy(fd, &end, &f->own[i], f->bundles,
		    f->nbundles)) != RC_OK)
			return rc;
	return RC_OK;
}

/*
 * Another job may have appended or replaced the file meanwhile: it is opened
 * again, under the lock.
 */
int
fids_commit(struct fids *f, bool replace)
{
	struct fid_segment old[FIDS_SEGMENTS_MAX];
	int lock = -1, fd = -1, rc;
	size_t nold = 0;
	uint64_t end;

	if ((rc = spill(f)) != RC_OK || (f->nown == 0 && !replace))
		return rc;
	memset(old, 0, sizeof(old));
	lock = openat(f->dirfd, "fids.lock", O_RDWR | O_CREAT | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	if (lock == -1 || flock(lock, LOCK_EX) == -1) {
		rc = rc_errno(errno);
		goto out;
	}
	fd = openat(f->dirfd, f->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1 || replace || fid_segments_open(fd, f->vault, old,
	    FIDS_SEGMENTS_MAX, &nold) != RC_OK) {
		fid_segments_free(old, nold);
		rc = rewrite(f, NULL, 0);
		nold = 0;
		goto out;
	}
	if (nold + f->nown > FIDS_SEGMENTS_KEEP) {
		rc = rewrite(f, old, nold);
		goto out;
	}
	end = nold > 0 ? old[nold - 1].end : FIDS_HEADER_LEN;
	rc = append(f, fd, end);
out:
	fid_segments_free(old, nold);
	fd_close(&fd);
	fd_close(&lock);
	return rc;
}
