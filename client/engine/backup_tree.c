#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/backup_priv.h"
#include "common/rc.h"

/*
 * Items become directories.  Each directory has a queue in the order of names;
 * what is ready at its head goes into the node under construction, so memory
 * depends on what is in flight, not on the size of a directory.  As long as all
 * is as it was last time, not even that: the directory only counts, and in the
 * end its old node and its old place in the cache are used again.  At the first
 * difference the counted entries are added from the cache.
 */
struct item *
item_new(struct dirstate *d, const char *name)
{
	size_t n = strlen(name);
	struct item *it;

	if ((it = calloc(1, sizeof(*it) + n + 1)) == NULL) {
		run_fail(d->r, RC_NOMEM);
		return NULL;
	}
	memcpy(it->name, name, n + 1);
	it->dir = d;
	it->c.e.name = (const uint8_t *)it->name;
	it->c.e.name_len = n;
	return it;
}

void
item_free(struct item *it)
{
	if (it == NULL)
		return;
	if (it->wd != NULL)
		walk_drop(it->wd);
	free(it->own);
	free(it->xattrs);
	free(it);
}

static uint8_t *
copy_bytes(struct run *r, const uint8_t *p, size_t n)
{
	uint8_t *c = malloc(n + 1);

	if (c == NULL)
		run_fail(r, RC_NOMEM);
	else if (n > 0)
		memcpy(c, p, n);
	return c;
}

/* Everything of a cache entry; names of owners come from today's tables. */
void
item_copy(struct item *it, const struct cache_entry *from)
{
	const uint8_t *name = it->c.e.name;
	struct run *r = it->dir->r;

	it->c = *from;
	it->c.e.name = name;
	it->c.e.user = owners_user(r->owners, from->e.uid);
	it->c.e.group = owners_group(r->owners, from->e.gid);
	if (from->e.inline_len > 0)
		it->c.e.inline_data = it->own = copy_bytes(r,
		    from->e.inline_data, from->e.inline_len);
	if (from->e.xattrs != NULL)
		it->c.e.xattrs = it->xattrs = copy_bytes(r, from->e.xattrs,
		    from->e.xattrs_len);
}

struct dirstate *
dirstate_new(struct run *r, struct dirstate *parent, struct item *self)
{
	struct dirstate *d;

	if ((d = calloc(1, sizeof(*d))) == NULL) {
		run_fail(r, RC_NOMEM);
		return NULL;
	}
	d->r = r;
	d->parent = parent;
	d->self = self;
	d->tail = &d->head;
	pthread_mutex_lock(&r->tree);
	if ((d->older = r->newest) != NULL)
		d->older->newer = d;
	r->newest = d;
	pthread_mutex_unlock(&r->tree);
	return d;
}

/* With the lock, or when nobody else is left. */
static void
dirstate_free(struct dirstate *d)
{
	struct item *it;

	if (d->newer != NULL)
		d->newer->older = d->older;
	else
		d->r->newest = d->older;
	if (d->older != NULL)
		d->older->newer = d->newer;
	while ((it = d->head) != NULL) {
		d->head = it->next;
		item_free(it);
	}
	cache_dir_close(d->old);
	cache_out_free(d->out);
	if (d->builder != NULL)
		dir_free(d->builder);
	free(d);
}

/* A cache that cannot be written costs the next run time, nothing else. */
static void
cache_fail(struct run *r, int rc)
{
	if (rc != RC_OK)
		r->cache_bad = true;
}

int
tree_emit(void *arg, const struct object_id *id, uint8_t type,
    uint16_t height, const struct object_id *edges, uint16_t nedges,
    const void *plain, size_t len)
{
	struct run *r = arg;
	struct dirstate *d = r->emitting;
	struct obj *o;

	if (d != NULL && d->out != NULL)
		cache_fail(r, cache_out_node(d->out, id));
	if (d != NULL && d->old != NULL && cache_dir_has(d->old, id))
		return RC_OK;			/* the base has it */
	if ((o = obj_new(r, type, height, id)) == NULL)
		return RC_NOMEM;
	o->nedges = nedges;
	if ((o->buf = buf_new(r, len)) == NULL ||
	    (nedges > 0 && (o->edges = malloc(nedges * sizeof(*edges))) ==
	    NULL)) {
		obj_free(o);
		return RC_NOMEM;
	}
	memcpy(o->buf->data, plain, len);
	if (nedges > 0)
		memcpy(o->edges, edges, nedges * sizeof(*edges));
	o->plain = o->buf->data;
	o->len = len;
	/* A directory's old nodes are known, so another is new, unless the cache
	 * was lost.  Of a large file that was read again most nodes are there. */
	obj_submit(o, r->ask && (r->old == NULL || d == NULL), false);
	return RC_OK;
}

static int
add_entry(struct dirstate *d, const struct cache_entry *c)
{
	struct run *r = d->r;
	int rc;

	r->emitting = d;
	rc = dir_add(d->builder, &c->e);
	if (rc == RC_OK && d->out != NULL && !r->cache_bad)
		cache_fail(r, cache_out_add(d->out, c));
	return rc;
}

static int
replay(struct dirstate *d)
{
	struct cache_entry c;
	struct cache_dir *old;
	uint64_t i;
	int rc;

	if (d->nsame == 0)
		return RC_OK;
	/* Damage found now, after other entries were believed, is as if they
	 * were missing: once more, from the files. */
	if ((rc = cache_dir_open(&old, d->r->old, d->old_at)) != RC_OK)
		return rc == RC_NOMEM ? rc : RC_MISSING;
	for (i = 0; i < d->nsame && rc == RC_OK; i++) {
		if ((rc = cache_dir_next(old, &c)) != RC_OK) {
			rc = rc == RC_NOMEM ? rc : RC_MISSING;
			break;
		}
		c.e.user = owners_user(d->r->owners, c.e.uid);
		c.e.group = owners_group(d->r->owners, c.e.gid);
		rc = add_entry(d, &c);
	}
	cache_dir_close(old);
	return rc;
}

/* From here on the directory is built. */
static int
begin(struct dirstate *d)
{
	struct run *r = d->r;

	d->same = false;
	if (d->builder != NULL)
		return RC_OK;
	if (r->nbuilders > 0)
		d->builder = r->builders[--r->nbuilders];
	else if ((d->builder = dir_begin(r->tree_sealer, r->k, tree_emit,
	    r)) == NULL)
		return RC_NOMEM;
	if (r->writer != NULL && !r->cache_bad)
		cache_fail(r, cache_out_begin(&d->out, r->writer));
	return replay(d);
}

static int
take(struct dirstate *d, struct item *it)
{
	int rc;

	if (it->gone)
		return RC_OK;
	if (d->same && it->hit && it->index == d->nsame) {
		d->nsame++;
		return RC_OK;
	}
	if ((rc = begin(d)) != RC_OK)
		return rc;
	return add_entry(d, &it->c);
}

static int
build_end(struct dirstate *d, struct object_id *top, uint16_t *height,
    struct cache_at *at)
{
	struct run *r = d->r;
	int rc;

	memset(at, 0, sizeof(*at));
	if ((rc = begin(d)) != RC_OK)
		return rc;
	r->emitting = d;
	if ((rc = dir_end(d->builder, top, height)) != RC_OK)
		return rc;
	if (d->out != NULL && !r->cache_bad)
		cache_fail(r, cache_out_end(d->out, top, *height, at));
	else
		cache_out_free(d->out);
	d->out = NULL;
	if (r->nbuilders < sizeof(r->builders) / sizeof(r->builders[0])) {
		r->builders[r->nbuilders++] = d->builder;
		d->builder = NULL;
	}
	return RC_OK;
}

/* The directory is whole: its entry above becomes ready. */
static int
finish(struct dirstate *d)
{
	struct run *r = d->r;
	struct item *self = d->self;
	struct object_id top;
	struct cache_at at;
	bool same = d->same && d->nsame == d->old_count;
	uint16_t height;
	int rc = RC_OK;

	if (same) {
		top = *cache_dir_node(d->old, &height);
		at = d->old_at;
	} else if ((rc = build_end(d, &top, &height, &at)) != RC_OK) {
		return rc;
	}
	atomic_fetch_add(&r->n.dirs, 1);
	if (self == NULL) {
		r->root_id = top;
		r->root_at = at;
		r->root_same = same;
		atomic_store(&r->root_done, true);
		run_wake(r);
	} else {
		self->c.e.ref = REF_DIR;
		self->c.e.ref_id = top;
		self->c.e.ref_height = height;
		self->c.child = at;
		self->hit = self->hit && same;
		self->ready = true;
	}
	return RC_OK;
}

/* With the lock: as far as things are ready, upwards without recursion. */
static void
drain(struct dirstate *d)
{
	struct dirstate *up;
	struct item *it;
	int rc = RC_OK;

	while (d != NULL && rc == RC_OK && !run_failed(d->r)) {
		while (rc == RC_OK && (it = d->head) != NULL && it->ready) {
			if ((d->head = it->next) == NULL)
				d->tail = &d->head;
			rc = take(d, it);
			item_free(it);
		}
		if (rc != RC_OK || d->head != NULL || !d->listed)
			break;
		up = d->parent;
		if ((rc = finish(d)) != RC_OK)
			break;
		dirstate_free(d);
		d = up;
	}
	if (rc != RC_OK)
		run_fail(d->r, rc);
}

void
item_queue(struct item *it)
{
	struct dirstate *d = it->dir;

	pthread_mutex_lock(&d->r->tree);
	*d->tail = it;
	d->tail = &it->next;
	pthread_mutex_unlock(&d->r->tree);
}

static void
item_done(struct item *it)
{
	struct run *r = it->dir->r;

	if (it->wd != NULL) {
		walk_drop(it->wd);
		it->wd = NULL;
	}
	pthread_mutex_lock(&r->tree);
	it->ready = true;
	if (it->dir->head == it)
		drain(it->dir);
	pthread_mutex_unlock(&r->tree);
}

void
item_ready(struct item *it)
{
	struct run *r = it->dir->r;

	atomic_fetch_add(&r->n.files, 1);
	if (S_ISREG(it->c.e.mode))
		atomic_fetch_add(&r->n.bytes, it->c.e.size);
	item_done(it);
}

void
item_gone(struct item *it)
{
	it->gone = true;
	item_done(it);
}

bool
dirstate_same(struct dirstate *d, uint64_t index)
{
	bool same;

	pthread_mutex_lock(&d->r->tree);
	same = d->head == NULL && d->same && d->nsame == index;
	if (same)
		d->nsame++;
	pthread_mutex_unlock(&d->r->tree);
	return same;
}

void
dirstate_listed(struct dirstate *d)
{
	struct run *r = d->r;

	pthread_mutex_lock(&r->tree);
	d->listed = true;
	if (d->head == NULL)
		drain(d);
	pthread_mutex_unlock(&r->tree);
}

/* After a failure there are directories that were never finished. */
void
tree_clear(struct run *r)
{
	while (r->newest != NULL)
		dirstate_free(r->newest);
	while (r->nbuilders > 0)
		dir_free(r->builders[--r->nbuilders]);
}
