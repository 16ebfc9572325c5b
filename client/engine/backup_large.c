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
 * Large files: one job reads a file and finds the cuts, jobs of their own name
 * and seal its chunks.  Chunks are known in the order of the file; only the
 * first few are kept, the rest goes into a map as it comes.
 */
#define WINDOW		(4u << 20)

struct slot {
	struct slot	*next;
	struct extent	 ext;
	bool		 known;
};

struct large {
	struct large		*next;		/* waiting to be read */
	struct pool_job		 job;
	struct run		*r;
	struct item		*it;
	int			 fd;

	pthread_mutex_t		 lock;
	struct slot		*head, **tail;
	atomic_int		 pending;	/* chunks not named yet */
	struct extent		 ext[NODE_EXTENTS_MAX];
	size_t			 next_ext;
	uint64_t		 count;
	struct map_builder	*map;
};

struct chunk {
	struct pool_job	 job;
	struct large	*l;
	struct slot	*slot;
	struct buf	*buf;
	const uint8_t	*p;
	size_t		 len;
};

static int
map_put(struct large *l, const struct extent *e)
{
	struct run *r = l->r;
	int rc;

	pthread_mutex_lock(&r->tree);
	r->emitting = NULL;
	rc = map_add(l->map, e);
	pthread_mutex_unlock(&r->tree);
	return rc;
}

static int
extent_out(struct large *l, const struct extent *e)
{
	size_t i;
	int rc;

	if (l->count < NODE_EXTENTS_MAX) {
		l->ext[l->count++] = *e;
		return RC_OK;
	}
	if (l->count++ == NODE_EXTENTS_MAX) {
		if ((l->map = map_begin(l->r->tree_sealer, tree_emit,
		    l->r)) == NULL)
			return RC_NOMEM;
		for (i = 0; i < NODE_EXTENTS_MAX; i++)
			if ((rc = map_put(l, &l->ext[i])) != RC_OK)
				return rc;
	}
	return map_put(l, e);
}

/* With the file's lock: what is known at the head. */
static void
slots_out(struct large *l)
{
	struct slot *s;
	int rc;

	while ((s = l->head) != NULL && s->known) {
		if ((l->head = s->next) == NULL)
			l->tail = &l->head;
		if (!run_failed(l->r) && (rc = extent_out(l, &s->ext)) != RC_OK)
			run_fail(l->r, rc);
		free(s);
	}
}

static struct slot *
slot_new(struct large *l, uint64_t len, bool hole)
{
	struct slot *s;

	if ((s = calloc(1, sizeof(*s))) == NULL) {
		run_fail(l->r, RC_NOMEM);
		return NULL;
	}
	s->ext.len = len;
	s->ext.hole = s->known = hole;
	pthread_mutex_lock(&l->lock);
	*l->tail = s;
	l->tail = &s->next;
	slots_out(l);
	pthread_mutex_unlock(&l->lock);
	return s;
}

static void
chunk_object(struct run *r, struct chunk *c, const struct object_id *id)
{
	struct obj *o;

	if ((o = obj_new(r, OBJECT_CHUNK, 0, id)) == NULL)
		return;
	o->buf = buf_ref(c->buf);
	o->plain = c->p;
	o->len = c->len;
	obj_submit(o, r->ask, true);
}

static void
chunk_job(struct pool_job *j)
{
	struct chunk *c = (struct chunk *)j;
	struct large *l = c->l;
	struct run *r = l->r;
	struct object_id id;
	int rc = RC_OK;

	if (!run_failed(r) && (rc = seal_chunk_id(run_sealer(r), c->p, c->len,
	    &id)) != RC_OK)
		run_fail(r, rc);
	if (!run_failed(r)) {
		pthread_mutex_lock(&l->lock);
		c->slot->ext.id = id;
		c->slot->known = true;
		slots_out(l);
		pthread_mutex_unlock(&l->lock);
		chunk_object(r, c, &id);
	}
	buf_drop(c->buf);
	free(c);
	/* The last touch of l: whoever waits for this frees it. */
	atomic_fetch_sub(&l->pending, 1);
	pool_kick();
	run_job_done(r);
}

static int
chunk_out(struct large *l, struct buf *window, const uint8_t *p, size_t len)
{
	struct chunk *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return RC_NOMEM;
	if ((c->slot = slot_new(l, len, false)) == NULL) {
		free(c);
		return RC_NOMEM;
	}
	c->l = l;
	c->buf = buf_ref(window);
	c->p = p;
	c->len = len;
	atomic_fetch_add(&l->pending, 1);
	run_job(l->r, POOL_FIRST, &c->job, chunk_job);
	return RC_OK;
}

static bool
all_named(void *arg)
{
	return atomic_load(&((struct large *)arg)->pending) == 0;
}

static int
read_at(int fd, uint8_t *p, size_t n, uint64_t off, size_t *got)
{
	ssize_t r;

	*got = 0;
	while (*got < n) {
		r = pread(fd, p + *got, n - *got, (off_t)(off + *got));
		if (r == -1 && errno == EINTR)
			continue;
		if (r == -1)
			return rc_errno(errno);
		if (r == 0)
			break;
		*got += (size_t)r;
	}
	return RC_OK;
}

/*
 * One data extent [off, end).  Windows are cut in place; what is left at a
 * window's end moves to the next.  RC_TRUNCATED: the file got shorter.
 */
static int
read_data(struct large *l, uint64_t off, uint64_t end)
{
	struct run *r = l->r;
	struct buf *w = NULL, *old;
	size_t have = 0, at = 0, got, want, size, cut;
	int rc = RC_OK;

	while (rc == RC_OK && (off < end || have > 0)) {
		if (off < end && have < CHUNKER_MAX) {
			size = end - off + have < WINDOW ?
			    (size_t)(end - off) + have : WINDOW;
			old = w;
			budget_wait(r);
			if (run_failed(r) || (w = buf_new(r, size)) == NULL) {
				w = old;
				rc = RC_CANCELLED;
				break;
			}
			if (have > 0)
				memcpy(w->data, old->data + at, have);
			buf_drop(old);
			at = 0;
			want = size - have;
			rc = read_at(l->fd, w->data + have, want, off, &got);
			have += got;
			off += got;
			if (rc == RC_OK && got < want)
				rc = RC_TRUNCATED;
			if (rc != RC_OK)
				break;
		}
		cut = chunker_cut(&r->chunker, w->data + at, have);
		rc = chunk_out(l, w, w->data + at, cut);
		at += cut;
		have -= cut;
	}
	buf_drop(w);
	return rc;
}

/* Data and holes in turn; a file system that knows no holes shows one extent. */
static int
read_extents(struct large *l, uint64_t size)
{
	uint64_t at = 0, data, hole;
	off_t p;
	int rc;

	while (at < size) {
		p = lseek(l->fd, (off_t)at, SEEK_DATA);
		if (p == -1 && errno != ENXIO)
			p = (off_t)at;
		data = p == -1 || (uint64_t)p > size ? size : (uint64_t)p;
		if (data > at && slot_new(l, data - at, true) == NULL)
			return RC_NOMEM;
		if (data == size)
			return RC_OK;
		p = lseek(l->fd, (off_t)data, SEEK_HOLE);
		hole = p == -1 || (uint64_t)p > size ? size : (uint64_t)p;
		if (hole <= data)
			return RC_TRUNCATED;
		if ((rc = read_data(l, data, hole)) != RC_OK)
			return rc;
		at = hole;
	}
	return RC_OK;
}

static void
large_reset(struct large *l)
{
	struct slot *s;

	while ((s = l->head) != NULL) {
		l->head = s->next;
		free(s);
	}
	l->tail = &l->head;
	l->count = 0;
	map_free(l->map);
	l->map = NULL;
}

static int
reference(struct large *l)
{
	struct entry *e = &l->it->c.e;
	struct run *r = l->r;
	int rc;

	if (l->map == NULL) {
		if (l->count == 0) {		/* it is empty now */
			e->ref = REF_INLINE;
			e->inline_data = (const uint8_t *)"";
			e->inline_len = 0;
			return RC_OK;
		}
		e->ref = REF_EXTENTS;
		e->next = (uint8_t)l->count;
		memcpy(e->ext, l->ext, l->count * sizeof(l->ext[0]));
		return RC_OK;
	}
	pthread_mutex_lock(&r->tree);
	r->emitting = NULL;
	rc = map_end(l->map, &e->ref_id, &e->ref_height);
	pthread_mutex_unlock(&r->tree);
	e->ref = REF_MAP;
	return rc;
}

/* What was read, when the file did not keep still. */
static uint64_t
sum_of(struct large *l, uint64_t size)
{
	uint64_t sum = 0;
	size_t i;

	if (l->map != NULL)
		return size;
	for (i = 0; i < l->count; i++)
		sum += l->ext[i].len;
	return sum;
}

/*
 * Read it; when it changed meanwhile, once more.  A file that shrank while it
 * was read twice cannot be saved as anything it ever was.
 */
static int
read_file(struct large *l)
{
	struct item *it = l->it;
	struct stat st;
	int try, rc;

	for (try = 0;; try++) {
		if (fstat(l->fd, &st) == -1)
			return rc_errno(errno);
		if (!S_ISREG(st.st_mode))
			return RC_STATE;
		meta_from_stat(l->r, it, &st);
		large_reset(l);
		rc = read_extents(l, it->c.e.size);
		pool_wait(all_named, l);
		if (run_failed(l->r) || (rc != RC_OK && rc != RC_TRUNCATED))
			return rc != RC_OK ? rc : RC_CANCELLED;
		if (rc == RC_OK && fstat(l->fd, &st) == 0 &&
		    meta_is_stat(&it->c, &st))
			break;
		if (try > 0) {
			if (rc != RC_OK)
				return rc;
			it->c.racy = true;
			run_note(l->r, it->wd, it->name,
			    "changed while it was read; saved as it was found");
			break;
		}
	}
	it->c.e.size = sum_of(l, it->c.e.size);
	item_xattrs(l->r, it, l->fd);
	return reference(l);
}

static const char *
reason_of(int rc)
{
	switch (rc) {
	case RC_TRUNCATED:
		return "got shorter while it was read";
	case RC_STATE:
		return "changed its kind meanwhile";
	}
	return rc_str(rc);
}

static void
read_and_free(struct large *l)
{
	struct run *r = l->r;
	struct item *it = l->it;
	char buf[128];
	int err, rc = RC_OK;

	if (run_failed(r)) {
		free(l);
		return;			/* tree_clear() frees the item */
	}
	pthread_mutex_init(&l->lock, NULL);
	if ((err = open_file(it, &l->fd)) != 0) {
		it->gone = true;
		if (err == ENOENT)
			run_note(r, it->wd, it->name,
			    "went away while it was saved");
		else
			run_skip(r, it->wd, it->name,
			    strerror_r(err, buf, sizeof(buf)));
	} else {
		rc = read_file(l);
		close(l->fd);
	}
	if (rc == RC_NOMEM || rc == RC_CRYPTO) {
		run_fail(r, rc);
	} else if (rc != RC_OK && !run_failed(r)) {
		run_skip(r, it->wd, it->name, reason_of(rc));
		it->gone = true;
	}
	large_reset(l);
	pthread_mutex_destroy(&l->lock);
	free(l);
	if (run_failed(r))
		return;
	if (it->gone)
		item_gone(it);
	else
		item_ready(it);
}

static struct large *
large_new(struct run *r, struct item *it)
{
	struct large *l;

	if ((l = calloc(1, sizeof(*l))) == NULL) {
		run_fail(r, RC_NOMEM);
		return NULL;
	}
	l->r = r;
	l->it = it;
	l->fd = -1;
	l->tail = &l->head;
	return l;
}

void
large_read(struct run *r, struct item *it)
{
	struct large *l;

	pthread_mutex_lock(&r->inline_lock);
	if ((l = large_new(r, it)) != NULL)
		read_and_free(l);
	pthread_mutex_unlock(&r->inline_lock);
}

/* --- a few at a time: each holds a window --- */

static void
large_job(struct pool_job *j)
{
	struct large *l = (struct large *)((char *)j -
	    offsetof(struct large, job));
	struct run *r = l->r;

	read_and_free(l);
	pthread_mutex_lock(&r->large_lock);
	if ((l = r->large_head) != NULL) {
		if ((r->large_head = l->next) == NULL)
			r->large_tail = &r->large_head;
	} else {
		r->large_running--;
	}
	pthread_mutex_unlock(&r->large_lock);
	if (l != NULL)
		run_job(r, POOL_NEXT, &l->job, large_job);
	atomic_fetch_sub(&r->large_waiting, 1);
	pool_kick();
	run_job_done(r);
}

static bool
queue_room(void *arg)
{
	struct run *r = arg;

	return run_failed(r) ||
	    atomic_load(&r->large_waiting) < RUN_LARGE_QUEUE;
}

int
large_add(struct run *r, struct item *it)
{
	struct large *l;
	bool now;
	int rc;

	if (!queue_room(r)) {
		/* Its directory may be what the open batch keeps open. */
		if ((rc = small_flush(r)) != RC_OK)
			return rc;
		pool_wait(queue_room, r);
	}
	if (run_failed(r) || (l = large_new(r, it)) == NULL)
		return atomic_load(&r->rc);
	atomic_fetch_add(&r->large_waiting, 1);
	pthread_mutex_lock(&r->large_lock);
	now = r->large_running < RUN_LARGE;
	if (now) {
		r->large_running++;
	} else {
		l->next = NULL;
		*r->large_tail = l;
		r->large_tail = &l->next;
	}
	pthread_mutex_unlock(&r->large_lock);
	if (now)
		run_job(r, POOL_NEXT, &l->job, large_job);
	return RC_OK;
}

void
large_clear(struct run *r)
{
	struct large *l;

	while ((l = r->large_head) != NULL) {
		r->large_head = l->next;
		free(l);
	}
	r->large_tail = &r->large_head;
}
