#include "config.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/engine/backup_priv.h"
#include "common/rc.h"

/*
 * Small files.  The walker groups them into batches; workers read a batch and
 * name its contents; then, batch by batch in the order of the walk, they go into
 * bundles.  So what a bundle holds depends on the files alone.
 */
struct batch {
	struct pool_job	 job;
	struct run	*r;
	uint64_t	 seq;
	struct item	*item[BATCH_FILES];
	size_t		 n, bytes, used;
	struct buf	*buf;
};

struct member {
	struct item	*item;
	uint32_t	 offset, len;
};

struct bundle {
	struct run		*r;
	uint32_t		 number;
	struct buf		*buf;
	size_t			 len;
	struct bundle_member	*m;		/* what it holds */
	size_t			 n, m_size;
	struct member		*user;		/* who refers to it, duplicates too */
	size_t			 nusers, users_size;
};

/* Lengths and count stand behind the contents; files of up to 128 bytes are
 * never in it. */
#define BUNDLE_ROOM	(BUNDLE_MAX + (BUNDLE_MAX / NODE_INLINE_MAX + 2) * 4)

/* --- reading --- */

int
open_file(const struct item *it, int *fd)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC |
	    O_NOCTTY;

	*fd = -1;
	if (it->c.e.uid == it->dir->r->euid)
		*fd = openat(it->wd->fd, it->name, flags | O_NOATIME);
	if (*fd == -1)
		*fd = openat(it->wd->fd, it->name, flags);
	return *fd == -1 ? errno : 0;
}

static void
cannot_open(struct run *r, struct item *it, int err)
{
	char buf[128];

	if (err == ENOENT)
		run_note(r, it->wd, it->name, "went away while it was saved");
	else if (err == ELOOP)
		run_skip(r, it->wd, it->name, "changed its kind meanwhile");
	else
		run_skip(r, it->wd, it->name,
		    strerror_r(err, buf, sizeof(buf)));
}

/* Room in the batch for one more file, which may have grown since it was
 * counted. */
static int
batch_room(struct batch *b, size_t need)
{
	struct buf *bigger;
	size_t size = b->buf->size;

	if (need <= size - b->used)
		return RC_OK;
	while (need > size - b->used)
		size *= 2;
	if ((bigger = buf_new(b->r, size)) == NULL)
		return RC_NOMEM;
	memcpy(bigger->data, b->buf->data, b->used);
	buf_drop(b->buf);
	b->buf = bigger;
	return RC_OK;
}

/* Up to max bytes; fewer when the file ends. */
static ssize_t
read_up_to(int fd, uint8_t *p, size_t max)
{
	size_t n = 0;
	ssize_t got;

	while (n < max) {
		if ((got = read(fd, p + n, max - n)) == -1) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

enum small { SMALL_OK, SMALL_AGAIN, SMALL_LARGE, SMALL_FAILED };

/*
 * One try.  One byte more than it should have is asked for, so that a file that
 * grew is seen; afterwards it must look as it did before.
 */
static enum small
read_once(struct batch *b, struct item *it, int fd, int *err)
{
	struct entry *e = &it->c.e;
	struct stat st;
	ssize_t n;

	if (batch_room(b, e->size + 1) != RC_OK) {
		*err = ENOMEM;
		return SMALL_FAILED;
	}
	n = read_up_to(fd, b->buf->data + b->used, e->size + 1);
	if (n == -1 || fstat(fd, &st) == -1) {
		*err = errno;
		return SMALL_FAILED;
	}
	if ((uint64_t)n == e->size && meta_is_stat(&it->c, &st))
		return SMALL_OK;
	if (!S_ISREG(st.st_mode)) {
		*err = ELOOP;
		return SMALL_FAILED;
	}
	meta_from_stat(b->r, it, &st);
	if (e->size >= BUNDLE_SMALL)
		return SMALL_LARGE;
	/* What was read, in case it never comes to rest. */
	if ((uint64_t)n < e->size)
		e->size = (uint64_t)n;
	return SMALL_AGAIN;
}

static enum small
read_small(struct batch *b, struct item *it, int fd, int *err)
{
	enum small s = read_once(b, it, fd, err);
	struct stat st;

	if (s != SMALL_AGAIN)
		return s;
	if (lseek(fd, 0, SEEK_SET) == -1 || fstat(fd, &st) == -1) {
		*err = errno;
		return SMALL_FAILED;
	}
	meta_from_stat(b->r, it, &st);
	if (st.st_size >= (off_t)BUNDLE_SMALL)
		return SMALL_LARGE;
	s = read_once(b, it, fd, err);
	if (s == SMALL_AGAIN) {
		run_note(b->r, it->wd, it->name,
		    "changed while it was read; saved as it was found");
		it->c.racy = true;
		s = SMALL_OK;
	}
	return s;
}

static int
name_content(struct batch *b, struct item *it)
{
	struct entry *e = &it->c.e;
	const uint8_t *p = b->buf->data + b->used;

	it->data_off = b->used;
	if (e->size > NODE_INLINE_MAX) {
		b->used += e->size;
		return seal_file_id(run_sealer(b->r), p, e->size, it->fid);
	}
	e->ref = REF_INLINE;
	e->inline_len = e->size;
	e->inline_data = (const uint8_t *)"";
	if (e->size > 0) {
		if ((it->own = malloc(e->size)) == NULL)
			return RC_NOMEM;
		memcpy(it->own, p, e->size);
		e->inline_data = it->own;
	}
	return RC_OK;
}

/* What is read elsewhere, or not at all, leaves the batch. */
static void
batch_item(struct batch *b, size_t i)
{
	struct item *it = b->item[i];
	int fd, err, rc;
	enum small s;

	if ((err = open_file(it, &fd)) != 0) {
		cannot_open(b->r, it, err);
		it->gone = true;
		return;
	}
	s = read_small(b, it, fd, &err);
	if (s == SMALL_OK) {
		item_xattrs(b->r, it, fd);
		if ((rc = name_content(b, it)) != RC_OK)
			run_fail(b->r, rc);
	} else if (s == SMALL_FAILED) {
		cannot_open(b->r, it, err);
		it->gone = true;
	}
	close(fd);
	if (s == SMALL_LARGE) {
		b->item[i] = NULL;
		large_read(b->r, it);
	}
}

/* --- bundles; with the order lock --- */

static struct bundle *
bundle_new(struct run *r)
{
	struct bundle *b;

	if ((b = calloc(1, sizeof(*b))) == NULL)
		return NULL;
	b->r = r;
	if ((b->buf = buf_new(r, BUNDLE_ROOM)) == NULL ||
	    fids_bundle_new(r->fids, &b->number) != RC_OK) {
		buf_drop(b->buf);
		free(b);
		return NULL;
	}
	return b;
}

static void
bundle_free(struct bundle *b)
{
	if (b == NULL)
		return;
	buf_drop(b->buf);
	free(b->m);
	free(b->user);
	free(b);
}

static void
put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void
refer(struct item *it, const struct object_id *id, uint32_t offset,
    uint32_t len)
{
	struct entry *e = &it->c.e;

	e->ref = REF_BUNDLE;
	e->ref_id = *id;
	e->offset = offset;
	e->len = len;
	memcpy(e->fid, it->fid, sizeof(e->fid));
	item_ready(it);
}

static int
bundle_close(struct run *r)
{
	struct bundle *b = r->open;
	struct object_id id;
	struct obj *o;
	size_t i;
	int rc;

	if (b == NULL)
		return RC_OK;
	if ((rc = seal_bundle_id(run_sealer(r), b->m, (uint32_t)b->n, &id)) !=
	    RC_OK)
		return rc;
	/* Counted before its users are ready: with the last of them the round
	 * may be over. */
	if ((o = obj_new(r, OBJECT_BUNDLE, 0, &id)) == NULL)
		return RC_NOMEM;
	r->open = NULL;
	fids_bundle_is(r->fids, b->number, &id);
	for (i = 0; i < b->n; i++, b->len += 4)
		put_u32(b->buf->data + b->len, b->m[i].len);
	put_u32(b->buf->data + b->len, (uint32_t)b->n);
	b->len += 4;
	for (i = 0; i < b->nusers; i++)
		refer(b->user[i].item, &id, b->user[i].offset,
		    b->user[i].len);
	o->buf = b->buf;
	b->buf = NULL;
	o->plain = o->buf->data;
	o->len = b->len;
	bundle_free(b);
	obj_submit(o, r->ask, false);
	return RC_OK;
}

static int
bundle_user(struct bundle *b, struct item *it, uint32_t offset, uint32_t len)
{
	struct member *p;
	size_t size;

	if (b->nusers == b->users_size) {
		size = b->users_size == 0 ? 64 : b->users_size * 2;
		if ((p = realloc(b->user, size * sizeof(*p))) == NULL)
			return RC_NOMEM;
		b->user = p;
		b->users_size = size;
	}
	b->user[b->nusers++] = (struct member){ it, offset, len };
	return RC_OK;
}

static int
bundle_member(struct bundle *b, const struct item *it, uint32_t len)
{
	struct bundle_member *p;
	size_t size;

	if (b->n == b->m_size) {
		size = b->m_size == 0 ? 64 : b->m_size * 2;
		if ((p = realloc(b->m, size * sizeof(*p))) == NULL)
			return RC_NOMEM;
		b->m = p;
		b->m_size = size;
	}
	b->m[b->n].len = len;
	memcpy(b->m[b->n++].fid, it->fid, sizeof(it->fid));
	return RC_OK;
}

/* Content that is nowhere yet. */
static int
bundle_add(struct run *r, struct item *it, const uint8_t *p)
{
	uint32_t len = (uint32_t)it->c.e.size;
	struct bundle *b;
	int rc;

	if (r->open != NULL && len > BUNDLE_MAX - r->open->len &&
	    (rc = bundle_close(r)) != RC_OK)
		return rc;
	if (r->open == NULL && (r->open = bundle_new(r)) == NULL)
		return RC_NOMEM;
	b = r->open;
	memcpy(b->buf->data + b->len, p, len);
	if ((rc = bundle_member(b, it, len)) != RC_OK ||
	    (rc = bundle_user(b, it, (uint32_t)b->len, len)) != RC_OK ||
	    (rc = fids_add(r->fids, it->fid, b->number, (uint32_t)b->len,
	    len)) != RC_OK)
		return rc;
	b->len += len;
	return bundle_closes(it->fid, len) ? bundle_close(r) : RC_OK;
}

static int
place(struct run *r, struct item *it, const uint8_t *data)
{
	uint32_t len = (uint32_t)it->c.e.size;
	struct fids_place at;

	if (it->gone) {
		item_gone(it);
		return RC_OK;
	}
	if (len <= NODE_INLINE_MAX) {
		item_ready(it);
		return RC_OK;
	}
	if (fids_find(r->fids, it->fid, len, &at) != RC_OK)
		return bundle_add(r, it, data + it->data_off);
	if (at.own && r->open != NULL && at.number == r->open->number)
		return bundle_user(r->open, it, at.offset, at.len);
	if (!at.own)
		obj_probe(r, &at.bundle);
	refer(it, &at.bundle, at.offset, at.len);
	return RC_OK;
}

static void
assemble(struct batch *b)
{
	struct run *r = b->r;
	size_t i;
	int rc;

	for (i = 0; i < b->n && !run_failed(r); i++)
		if (b->item[i] != NULL && (rc = place(r, b->item[i],
		    b->buf->data)) != RC_OK)
			run_fail(r, rc);
	buf_drop(b->buf);
	free(b);
	atomic_fetch_sub(&r->queued_batches, 1);
	pool_kick();
}

/* With the order lock: all batches whose turn it is; the last bundle when no
 * more will come. */
static void
advance(struct run *r)
{
	struct batch **slot;
	struct batch *b;
	int rc;

	for (;;) {
		slot = &r->ring[r->next_batch & (RUN_BATCHES - 1)];
		if ((b = *slot) == NULL)
			break;
		*slot = NULL;
		r->next_batch++;
		assemble(b);
	}
	if (r->no_more && r->next_batch == r->batches && !run_failed(r) &&
	    (rc = bundle_close(r)) != RC_OK)
		run_fail(r, rc);
}

static void
batch_job(struct pool_job *j)
{
	struct batch *b = (struct batch *)j;
	struct run *r = b->r;
	size_t i;

	b->buf = buf_new(r, b->bytes + b->n + 64);
	for (i = 0; i < b->n && b->buf != NULL && !run_failed(r); i++)
		batch_item(b, i);
	pthread_mutex_lock(&r->order);
	r->ring[b->seq & (RUN_BATCHES - 1)] = b;
	advance(r);
	pthread_mutex_unlock(&r->order);
	run_job_done(r);
}

/* --- the walker's side --- */

static bool
batch_room_left(void *arg)
{
	struct run *r = arg;

	return run_failed(r) || atomic_load(&r->queued_batches) <
	    (pool_threads() * 2 < RUN_BATCHES ? pool_threads() * 2 :
	    RUN_BATCHES);
}

int
small_flush(struct run *r)
{
	struct batch *b = r->filling;

	if (b == NULL)
		return RC_OK;
	if (!batch_room_left(r))
		pool_wait(batch_room_left, r);
	budget_wait(r);
	if (run_failed(r))
		return atomic_load(&r->rc);
	r->filling = NULL;
	atomic_fetch_add(&r->queued_batches, 1);
	pthread_mutex_lock(&r->order);
	b->seq = r->batches++;
	pthread_mutex_unlock(&r->order);
	run_job(r, POOL_NEXT, &b->job, batch_job);
	return RC_OK;
}

int
small_add(struct run *r, struct item *it)
{
	struct batch *b = r->filling;

	if (b == NULL) {
		if ((b = calloc(1, sizeof(*b))) == NULL)
			return RC_NOMEM;
		b->r = r;
		r->filling = b;
	}
	b->item[b->n++] = it;
	b->bytes += it->c.e.size;
	if (b->n == BATCH_FILES || b->bytes >= BATCH_BYTES)
		return small_flush(r);
	return RC_OK;
}

void
small_end(struct run *r)
{
	if (!run_failed(r))
		(void)small_flush(r);
	pthread_mutex_lock(&r->order);
	r->no_more = true;
	advance(r);
	pthread_mutex_unlock(&r->order);
}

void
small_clear(struct run *r)
{
	size_t i;

	free(r->filling);
	r->filling = NULL;
	for (i = 0; i < RUN_BATCHES; i++)
		if (r->ring[i] != NULL) {
			buf_drop(r->ring[i]->buf);
			free(r->ring[i]);
			r->ring[i] = NULL;
		}
	bundle_free(r->open);
	r->open = NULL;
}
