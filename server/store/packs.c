#include "config.h"

#include "server/store/packs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"
#include "common/secret.h"
#include "server/store/dir.h"
#include "server/store/format.h"
#include "server/store/packname.h"
#include "server/store/packseal.h"

#define WRITE_BUFFER	(1u << 20)
#define RANGE_EVERY	(8u << 20)
#define READ_FDS	8
#define COUNT_MAX	65536		/* records: bounds the footer */

struct writer {
	int		 fd;		/* -1: none is open */
	/* For other threads: an error of writing back is told once to each
	 * open file, so the two must not share one. */
	int		 sync_fd;
	uint64_t	 number;
	uint32_t	 tag;
	uint64_t	 size;		/* with what is in the buffer */
	uint64_t	 flushed;	/* bytes in the file */
	uint64_t	 whole;		/* end of the last whole record in it */
	uint64_t	 synced;
	uint64_t	 ranged;	/* given to sync_file_range() */
	uint64_t	 syncing;	/* flushed when the sync began */
	uint64_t	 sync_number;
	uint32_t	 count;		/* records since it was opened */
	uint8_t		*buf;
	size_t		 n;
};

struct reader {
	enum pack_kind	 kind;
	uint64_t	 number;
	int		 fd;
	uint64_t	 used;
};

struct packs {
	struct packs_opt opt;
	struct writer	 w[2];
	struct reader	 r[READ_FDS];
	uint64_t	 clock;		/* of use, for the readers */
	uint64_t	 last;
	bool		 busy;		/* other threads sync our descriptors */
	int		 doomed[2];	/* to be closed when they are done */
};

int
packs_new(struct packs **out, const struct packs_opt *o)
{
	struct packs *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return RC_NOMEM;
	p->opt = *o;
	p->w[0].fd = p->w[1].fd = -1;
	p->w[0].sync_fd = p->w[1].sync_fd = -1;
	p->doomed[0] = p->doomed[1] = -1;
	for (int i = 0; i < READ_FDS; i++)
		p->r[i].fd = -1;
	*out = p;
	return RC_OK;
}

void
packs_free(struct packs *p)
{
	if (p == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		fd_close(&p->w[i].fd);
		fd_close(&p->w[i].sync_fd);
		fd_close(&p->doomed[i]);
		free(p->w[i].buf);
	}
	for (int i = 0; i < READ_FDS; i++)
		fd_close(&p->r[i].fd);
	free(p);
}

int
packs_find_last(struct packs *p, uint64_t *last)
{
	return pack_find_last(p->opt.dirfd, last);
}

void
packs_set_last(struct packs *p, uint64_t last)
{
	if (last > p->last)
		p->last = last;
}

uint64_t
packs_last(const struct packs *p)
{
	return p->last;
}

int
packs_open_pack(struct packs *p, enum pack_kind kind, uint64_t number,
    bool write, int *fd)
{
	char name[PACK_NAME_LEN];

	pack_name(kind, number, name);
	return dir_file(p->opt.dirfd, name, write ? O_RDWR : O_RDONLY, fd);
}

static int
writer_buffer(struct writer *w)
{
	if (w->buf == NULL && (w->buf = malloc(WRITE_BUFFER)) == NULL)
		return RC_NOMEM;
	return RC_OK;
}

static int
pack_name_sync(struct packs *p, uint64_t number)
{
	char sub[PACK_NAME_LEN];
	int rc;

	snprintf(sub, sizeof(sub), "%03llx",
	    (unsigned long long)(number >> 16));
	if ((rc = dir_sync_sub(p->opt.dirfd, sub)) != RC_OK)
		return rc;
	return dir_sync(p->opt.dirfd);
}

int
packs_resume(struct packs *p, enum pack_kind kind, uint64_t number,
    uint32_t tag, uint64_t off)
{
	struct writer *w = &p->w[kind];
	uint64_t size;
	int rc;

	if ((rc = writer_buffer(w)) != RC_OK ||
	    (rc = packs_open_pack(p, kind, number, true, &w->fd)) != RC_OK)
		return rc;
	rc = packs_open_pack(p, kind, number, true, &w->sync_fd);
	/* A crash may have come before its name was synced. */
	if (rc == RC_OK)
		rc = pack_name_sync(p, number);
	/* Behind the records: a torn one, or a footer without its trailer. */
	if (rc == RC_OK && (rc = dir_file_size(w->fd, &size)) == RC_OK &&
	    size > off && ftruncate(w->fd, (off_t)off) != 0)
		rc = rc_errno(errno);
	if (rc != RC_OK) {
		fd_close(&w->fd);
		fd_close(&w->sync_fd);
		return rc;
	}
	w->number = number;
	w->tag = tag;
	/* Whether it was synced before the crash nobody knows. */
	w->size = w->flushed = w->whole = off;
	w->synced = w->ranged = PACK_HEADER_LEN;
	w->n = w->count = 0;
	packs_set_last(p, number);
	return RC_OK;
}

/* Header, synced, renamed, directory synced: only then is anything in it. */
static int
writer_create(struct packs *p, enum pack_kind kind)
{
	struct writer *w = &p->w[kind];
	struct pack_header h = { .kind = kind, .number = p->last + 1 };
	uint8_t head[PACK_HEADER_LEN];
	char name[PACK_NAME_LEN], tmp[PACK_NAME_LEN + 4], sub[PACK_NAME_LEN];
	int fd = -1, rc;

	if (h.number > PACK_NUMBER_MAX)
		return RC_LIMIT;
	if ((rc = writer_buffer(w)) != RC_OK)
		return rc;
	do {
		if ((rc = secret_random(&h.tag, sizeof(h.tag))) != RC_OK)
			return rc;
	} while (h.tag == (uint32_t)(PACK_FOOT_MAGIC >> 32) || h.tag == 0);
	memcpy(h.vault, p->opt.vault, sizeof(h.vault));
	pack_header_put(head, &h);
	pack_name(kind, h.number, name);
	snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	snprintf(sub, sizeof(sub), "%03llx",
	    (unsigned long long)(h.number >> 16));
	if ((rc = dir_make(p->opt.dirfd, sub)) != RC_OK ||
	    (rc = dir_file(p->opt.dirfd, tmp, O_RDWR | O_CREAT | O_TRUNC,
	    &fd)) != RC_OK)
		return rc;
	if ((rc = io_pwrite_full(fd, head, sizeof(head), 0)) == RC_OK &&
	    fdatasync(fd) != 0)
		rc = rc_errno(errno);
	if (rc == RC_OK &&
	    (rc = dir_rename(p->opt.dirfd, tmp, name, false)) == RC_OK) {
		/* Its name is taken now, whatever fails after this. */
		p->last = h.number;
		rc = dir_sync_sub(p->opt.dirfd, sub);
	} else {
		(void)dir_unlink(p->opt.dirfd, tmp);
	}
	if (rc == RC_OK)
		rc = packs_open_pack(p, kind, h.number, true, &w->sync_fd);
	if (rc != RC_OK) {
		fd_close(&fd);
		return rc;
	}
	w->fd = fd;
	w->number = h.number;
	w->tag = h.tag;
	w->size = w->flushed = w->whole = w->synced = w->ranged =
	    PACK_HEADER_LEN;
	w->n = w->count = 0;
	return RC_OK;
}

/* Close, but not under a thread that is syncing it. */
static void
writer_close(struct packs *p, struct writer *w)
{
	int i = w == &p->w[1];

	if (p->busy && p->doomed[i] < 0) {
		p->doomed[i] = w->sync_fd;
		w->sync_fd = -1;
	}
	fd_close(&w->sync_fd);
	fd_close(&w->fd);
}

/*
 * Writing failed.  What is wholly in the file stays; the rest is cut off so
 * that the next record begins where a reader will look for it.
 */
static void
writer_fail(struct packs *p, struct writer *w)
{
	uint64_t keep = w->whole;

	w->n = 0;
	if (ftruncate(w->fd, (off_t)keep) != 0) {
		/* Torn: nothing more goes into it, so nobody syncs it. */
		writer_close(p, w);
		keep = w->synced;
	}
	w->size = w->flushed = keep;
	if (w->synced > keep)
		w->synced = keep;
	if (w->ranged > keep)
		w->ranged = keep;
	p->opt.lost(p->opt.arg, w->number, keep);
}

static int
writer_flush(struct packs *p, struct writer *w)
{
	int rc;

	if (w->n == 0)
		return RC_OK;
	if ((rc = io_pwrite_full(w->fd, w->buf, w->n, w->flushed)) != RC_OK) {
		writer_fail(p, w);
		return rc;
	}
	w->flushed += w->n;
	w->n = 0;
	w->whole = w->size;	/* a record under way is not counted yet */
	if (w->flushed - w->ranged >= RANGE_EVERY) {
		/* Only a hint: its failure is seen by the real sync. */
		(void)sync_file_range(w->fd, (off_t)w->ranged,
		    (off_t)(w->flushed - w->ranged), SYNC_FILE_RANGE_WRITE);
		w->ranged = w->flushed;
	}
	return RC_OK;
}

static int
writer_put(struct packs *p, struct writer *w, const uint8_t *data, size_t n)
{
	int rc;

	while (n > 0) {
		size_t take = WRITE_BUFFER - w->n;

		if (take > n)
			take = n;
		if (data == NULL)
			memset(w->buf + w->n, 0, take);
		else
			memcpy(w->buf + w->n, data, take);
		w->n += take;
		n -= take;
		data = data == NULL ? NULL : data + take;
		if (w->n == WRITE_BUFFER && (rc = writer_flush(p, w)) != RC_OK)
			return rc;
	}
	return RC_OK;
}

/*
 * A sync that failed is final: the kernel may have thrown the pages away and
 * says so once.  The pack is abandoned from its last good sync on.
 */
static int
writer_abandon(struct packs *p, struct writer *w, int rc)
{
	w->n = 0;
	/* What cannot be cut off is no longer in the index either. */
	if (ftruncate(w->fd, (off_t)w->synced) != 0 && rc == RC_OK)
		rc = rc_errno(errno);
	writer_close(p, w);
	p->opt.lost(p->opt.arg, w->number, w->synced);
	return rc;
}

static int
writer_sync(struct packs *p, struct writer *w)
{
	int rc;

	if (w->fd < 0 || w->size == w->synced)
		return RC_OK;
	if ((rc = writer_flush(p, w)) != RC_OK)
		return rc;
	if (fdatasync(w->fd) != 0) {
		return writer_abandon(p, w, rc_errno(errno));
	}
	w->synced = w->flushed;
	return RC_OK;
}

static int
writer_seal(struct packs *p, enum pack_kind kind)
{
	struct writer *w = &p->w[kind];
	struct pack_trailer t;
	uint64_t size;
	int rc;

	if ((rc = writer_sync(p, w)) != RC_OK)
		return rc;
	/* Unsealed is legal, unwritten is not: go on in a new one. */
	rc = pack_seal(w->fd, kind, w->number, &t, &size);
	writer_close(p, w);
	if (rc != RC_OK)
		return rc;
	return p->opt.sealed(p->opt.arg, kind, w->number, size, t.count,
	    t.sha);
}

int
packs_append(struct packs *p, enum pack_kind kind, struct prefix *px,
    const void *data, size_t len, uint64_t *number, uint64_t *off)
{
	struct writer *w = &p->w[kind];
	uint64_t size = record_size((uint32_t)len);
	uint8_t head[OBJECT_PREFIX_LEN];
	int rc;

	if (w->fd >= 0 && w->size > PACK_HEADER_LEN && !p->busy &&
	    (w->size + size > p->opt.target || w->count >= COUNT_MAX) &&
	    (rc = writer_seal(p, kind)) != RC_OK)
		return rc;
	if (w->fd < 0) {
		if ((rc = p->opt.space(p->opt.arg, p->opt.target)) != RC_OK ||
		    (rc = writer_create(p, kind)) != RC_OK)
			return rc;
	}
	px->tag = w->tag;
	px->len = (uint32_t)len;
	prefix_put(head, px, data);
	*number = w->number;
	*off = w->size;
	if ((rc = writer_put(p, w, head, sizeof(head))) != RC_OK ||
	    (rc = writer_put(p, w, data, len)) != RC_OK ||
	    (rc = writer_put(p, w, NULL,
	    (size_t)(size - len - sizeof(head)))) != RC_OK)
		return rc;
	w->size += size;
	w->count++;
	if (w->n == 0)
		w->whole = w->size;
	return RC_OK;
}

int
packs_flush(struct packs *p)
{
	int rc, first = RC_OK;

	for (int i = 0; i < 2; i++) {
		struct writer *w = &p->w[i];

		if (w->fd < 0)
			continue;
		if ((rc = writer_flush(p, w)) != RC_OK && first == RC_OK)
			first = rc;
	}
	return first;
}

int
packs_sync(struct packs *p)
{
	int rc, first;

	first = packs_flush(p);
	for (int i = 0; i < 2; i++)
		if ((rc = writer_sync(p, &p->w[i])) != RC_OK && first == RC_OK)
			first = rc;
	return first;
}

bool
packs_dirty(const struct packs *p)
{
	return packs_unsynced(p) > 0;
}

uint64_t
packs_unsynced(const struct packs *p)
{
	uint64_t n = 0;

	for (int i = 0; i < 2; i++)
		if (p->w[i].fd >= 0)
			n += p->w[i].size - p->w[i].synced;
	return n;
}

void
packs_end(const struct packs *p, enum pack_kind kind, uint64_t *number,
    uint64_t *off)
{
	const struct writer *w = &p->w[kind];

	if (w->fd >= 0) {
		*number = w->number;
		*off = w->size;
	} else {
		*number = p->last + 1;
		*off = PACK_HEADER_LEN;
	}
}

void
packs_synced_end(const struct packs *p, enum pack_kind kind,
    uint64_t *number, uint64_t *off)
{
	const struct writer *w = &p->w[kind];

	packs_end(p, kind, number, off);
	if (w->fd >= 0)
		*off = w->synced;
}

int
packs_sync_begin(struct packs *p, int fds[2])
{
	int rc = packs_flush(p);

	for (int i = 0; i < 2; i++) {
		struct writer *w = &p->w[i];

		fds[i] = w->fd >= 0 && w->size != w->synced ? w->sync_fd : -1;
		w->syncing = w->flushed;
		w->sync_number = w->number;
	}
	p->busy = rc == RC_OK;
	return rc;
}

int
packs_sync_end(struct packs *p, const int rcs[2])
{
	int first = RC_OK;

	p->busy = false;
	for (int i = 0; i < 2; i++) {
		struct writer *w = &p->w[i];

		fd_close(&p->doomed[i]);
		if (rcs[i] != RC_OK && first == RC_OK)
			first = rcs[i];
		if (w->fd < 0 || w->sync_number != w->number)
			continue;
		if (rcs[i] == RC_OK && w->syncing > w->synced)
			w->synced = w->syncing;
		else if (rcs[i] != RC_OK)
			(void)writer_abandon(p, w, rcs[i]);
	}
	return first;
}

static int
reader_fd(struct packs *p, enum pack_kind kind, uint64_t number, int *fd)
{
	struct reader *old = &p->r[0];
	int rc;

	for (int i = 0; i < READ_FDS; i++) {
		struct reader *r = &p->r[i];

		if (r->fd >= 0 && r->number == number && r->kind == kind) {
			r->used = ++p->clock;
			*fd = r->fd;
			return RC_OK;
		}
		if (r->fd < 0 || (old->fd >= 0 && r->used < old->used))
			old = r;
	}
	fd_close(&old->fd);
	if ((rc = packs_open_pack(p, kind, number, false, &old->fd)) != RC_OK)
		return rc;
	old->kind = kind;
	old->number = number;
	old->used = ++p->clock;
	*fd = old->fd;
	return RC_OK;
}

int
packs_read(struct packs *p, enum pack_kind kind, uint64_t number,
    uint64_t off, void *buf, size_t n)
{
	struct writer *w = &p->w[kind];
	int fd, rc;

	if (w->fd >= 0 && w->number == number) {
		if (off + n > w->flushed) {
			if ((rc = writer_flush(p, w)) != RC_OK)
				return rc;
		}
		fd = w->fd;
	} else if ((rc = reader_fd(p, kind, number, &fd)) != RC_OK) {
		return rc;
	}
	return io_pread_full(fd, buf, n, off);
}
