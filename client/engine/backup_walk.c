#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/engine/backup_priv.h"
#include "client/engine/xattr.h"
#include "common/rc.h"

/*
 * The walker: for each name, is it as the stat cache says?  If so it only
 * counts.  If not it becomes an item, ready at once (symlinks, devices), read in
 * a batch with its neighbours (small files), or by itself.
 */
#define SPARSE_MIN	65536		/* smaller files are read with their holes */

static int64_t
ns_of(int64_t s, uint32_t ns)
{
	return s > INT64_MAX / 1000000000 - 1 ? INT64_MAX :
	    s < INT64_MIN / 1000000000 + 1 ? INT64_MIN : s * 1000000000 + ns;
}

/* File systems by the order in which the walk meets them: device numbers
 * change between mounts. */
static int
fs_ordinal(struct run *r, dev_t dev, uint32_t *ordinal)
{
	dev_t *p;
	size_t i;

	for (i = 0; i < r->nfs; i++)
		if (r->fs[i] == dev) {
			*ordinal = (uint32_t)i;
			return RC_OK;
		}
	if ((p = realloc(r->fs, (r->nfs + 1) * sizeof(*p))) == NULL)
		return RC_NOMEM;
	r->fs = p;
	*ordinal = (uint32_t)r->nfs;
	r->fs[r->nfs++] = dev;
	return RC_OK;
}

/* HMAC(name key, "link" | ordinal u32 | inode u64), its first 8 bytes. */
static uint64_t
link_id(struct run *r, const struct stat *st)
{
	uint8_t text[16] = "link", mac[SHA256_LEN];
	uint64_t ino = st->st_ino, id = 0;
	uint32_t ordinal;
	int i;

	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return 0;
	if (fs_ordinal(r, st->st_dev, &ordinal) != RC_OK) {
		run_fail(r, RC_NOMEM);
		return 0;
	}
	for (i = 0; i < 4; i++)
		text[4 + i] = (uint8_t)(ordinal >> (24 - 8 * i));
	for (i = 0; i < 8; i++)
		text[8 + i] = (uint8_t)(ino >> (56 - 8 * i));
	if (mac_begin(r->link_mac) != RC_OK ||
	    mac_add(r->link_mac, text, sizeof(text)) != RC_OK ||
	    mac_end(r->link_mac, mac) != RC_OK) {
		run_fail(r, RC_CRYPTO);
		return 0;
	}
	for (i = 0; i < 8; i++)
		id = id << 8 | mac[i];
	return id != 0 ? id : 1;
}

/* So new that a change behind our back could leave the same times.  A time set
 * far into the future is no sign of that. */
static bool
is_racy(const struct run *r, int64_t t)
{
	return t > r->start_ns - RACY_NS && t < r->start_ns + RACY_AHEAD_NS;
}

/* All but the reference, attributes and link id. */
void
meta_from_stat(struct run *r, struct item *it, const struct stat *st)
{
	struct entry *e = &it->c.e;

	e->mode = st->st_mode;
	e->uid = st->st_uid;
	e->gid = st->st_gid;
	e->user = owners_user(r->owners, st->st_uid);
	e->group = owners_group(r->owners, st->st_gid);
	e->mtime = st->st_mtim.tv_sec;
	e->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	e->size = S_ISREG(st->st_mode) || S_ISLNK(st->st_mode) ?
	    (uint64_t)st->st_size : 0;
	e->rdev = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ?
	    (uint64_t)st->st_rdev : 0;
	it->c.ino = st->st_ino;
	it->c.ctime = st->st_ctim.tv_sec;
	it->c.ctime_ns = (uint32_t)st->st_ctim.tv_nsec;
	it->c.racy = S_ISREG(st->st_mode) &&
	    (is_racy(r, ns_of(e->mtime, e->mtime_ns)) ||
	    is_racy(r, ns_of(it->c.ctime, it->c.ctime_ns)));
}

bool
meta_is_stat(const struct cache_entry *c, const struct stat *st)
{
	return c->ino == st->st_ino && c->e.mode == st->st_mode &&
	    c->e.uid == st->st_uid && c->e.gid == st->st_gid &&
	    c->e.mtime == st->st_mtim.tv_sec &&
	    c->e.mtime_ns == (uint32_t)st->st_mtim.tv_nsec &&
	    c->ctime == st->st_ctim.tv_sec &&
	    c->ctime_ns == (uint32_t)st->st_ctim.tv_nsec &&
	    (S_ISDIR(st->st_mode) || c->e.size == (uint64_t)st->st_size);
}

/* --- the walker's place in the old directory --- */

static void
old_next(struct dirstate *d)
{
	int rc;

	if (d->cur_there)
		d->cur_index++;
	rc = d->old_end ? RC_EOF : cache_dir_next(d->old, &d->cur);
	d->cur_there = rc == RC_OK;
	if (rc != RC_OK && !d->old_end) {
		d->old_end = true;
		/* Damaged: this directory is never the same. */
		d->old_count = rc == RC_EOF ? d->cur_index : UINT64_MAX;
	}
}

/* The old entry of this name; names are asked for in rising order. */
static const struct cache_entry *
old_find(struct dirstate *d, const char *name)
{
	size_t n = strlen(name), m;
	int c = 1;

	while (d->cur_there) {
		m = d->cur.e.name_len;
		c = memcmp(d->cur.e.name, name, m < n ? m : n);
		if (c == 0)
			c = m < n ? -1 : m > n;
		if (c >= 0)
			break;
		old_next(d);
	}
	return d->cur_there && c == 0 ? &d->cur : NULL;
}

static void
old_open(struct dirstate *d, struct cache_at at)
{
	struct run *r = d->r;

	if (r->old == NULL || at.off == 0 ||
	    cache_dir_open(&d->old, r->old, at) != RC_OK) {
		d->old = NULL;
		d->old_end = true;
		d->old_count = UINT64_MAX;
		return;
	}
	d->old_at = at;
	d->same = r->reuse;
	old_next(d);
}

/* --- attributes --- */

static void
keep_xattrs(struct run *r, struct item *it, struct wbuf *set, int rc)
{
	struct entry *e = &it->c.e;

	if (rc != RC_OK) {
		run_skip(r, it->wd, it->name, rc == RC_LIMIT ?
		    "attributes left out: too large" :
		    "attributes could not be read");
	} else if (set->len > NODE_XATTR_INLINE_MAX) {
		e->xattrs_len = set->len;
		if ((rc = obj_chunk(r, set->data, set->len,
		    &e->xattrs_edge)) != RC_OK)
			run_fail(r, rc);
	} else if (set->len > 0) {
		if ((it->xattrs = malloc(set->len)) == NULL) {
			run_fail(r, RC_NOMEM);
			return;
		}
		memcpy(it->xattrs, set->data, set->len);
		e->xattrs = it->xattrs;
		e->xattrs_len = set->len;
	}
}

void
item_xattrs(struct run *r, struct item *it, int fd)
{
	struct wbuf set = WBUF_INIT(XATTR_SET_MAX);

	free(it->xattrs);
	it->xattrs = NULL;
	it->c.e.xattrs = NULL;
	it->c.e.xattrs_len = 0;
	keep_xattrs(r, it, &set, xattr_read_fd(fd, &set));
	wbuf_free(&set);
}

/* What cannot be opened for reading without harm has only a name. */
static void
xattrs_by_name(struct run *r, struct item *it, const struct walk_dir *d)
{
	struct wbuf set = WBUF_INIT(XATTR_SET_MAX);
	char path[64 + NAME_MAX];
	int rc;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", d->fd, it->name);
	rc = xattr_read_path(path, &set);
	if (rc != RC_NOENT)			/* gone, or no /proc */
		keep_xattrs(r, it, &set, rc);
	wbuf_free(&set);
}

/* --- entries --- */

static void
count_dry(struct run *r, const struct stat *st, bool hit)
{
	atomic_fetch_add(&r->n.files, 1);
	if (!S_ISREG(st->st_mode))
		return;
	atomic_fetch_add(&r->n.bytes, (uint64_t)st->st_size);
	if (!hit)
		atomic_fetch_add(&r->n.new_bytes, (uint64_t)st->st_size);
}

static void
unchanged(struct dirstate *d, const struct cache_entry *old,
    const struct stat *st, const char *name)
{
	struct run *r = d->r;
	struct item *it;

	if (dirstate_same(d, d->cur_index)) {
		atomic_fetch_add(&r->n.files, 1);
		if (S_ISREG(st->st_mode))
			atomic_fetch_add(&r->n.bytes, (uint64_t)st->st_size);
		return;
	}
	if ((it = item_new(d, name)) == NULL)
		return;
	item_copy(it, old);
	it->hit = true;
	it->index = d->cur_index;
	item_queue(it);
	item_ready(it);
}

static void
symlink_target(struct run *r, struct item *it, struct walk_dir *d)
{
	char target[PATH_MAX];
	ssize_t n;

	n = readlinkat(d->fd, it->name, target, sizeof(target));
	if (n <= 0 || n >= (ssize_t)sizeof(target)) {
		if (n < 0 && (errno == ENOENT || errno == EINVAL))
			run_note(r, d, it->name, "went away while it was saved");
		else
			run_skip(r, d, it->name, "its target could not be read");
		it->gone = true;
		return;
	}
	if ((it->own = malloc((size_t)n)) == NULL) {
		run_fail(r, RC_NOMEM);
		it->gone = true;
		return;
	}
	memcpy(it->own, target, (size_t)n);
	it->c.e.inline_data = it->own;
	it->c.e.inline_len = (size_t)n;
	it->c.e.size = (uint64_t)n;
	it->c.e.ref = REF_INLINE;
}

static void
special(struct run *r, struct item *it, struct walk_dir *d)
{
	it->c.e.ref = REF_NONE;
	if (S_ISLNK(it->c.e.mode))
		symlink_target(r, it, d);
	if (!it->gone)
		xattrs_by_name(r, it, d);
	if (it->gone)
		item_gone(it);
	else
		item_ready(it);
}

static bool
is_large(const struct stat *st)
{
	if (st->st_size >= (off_t)BUNDLE_SMALL)
		return true;
	return st->st_size >= SPARSE_MIN &&
	    (uint64_t)st->st_blocks * 512 + 4096 < (uint64_t)st->st_size;
}

static int
changed(struct dirstate *d, struct walk_dir *wd, const char *name,
    const struct stat *st, uint64_t link)
{
	struct run *r = d->r;
	struct item *it;

	if ((it = item_new(d, name)) == NULL)
		return RC_NOMEM;
	meta_from_stat(r, it, st);
	it->c.e.link_id = link;
	item_queue(it);
	if (!S_ISREG(st->st_mode)) {
		special(r, it, wd);
		return RC_OK;
	}
	walk_hold(wd);
	it->wd = wd;
	return is_large(st) ? large_add(r, it) : small_add(r, it);
}

/* For the progress line, a few times a second; of a long path its end. */
static void
tell_where(struct run *r, const struct walk_dir *wd, const char *name)
{
	struct wbuf path = WBUF_INIT(64u << 20);
	size_t from = 0;

	atomic_store(&r->where_wanted, false);
	walk_path(wd, name, &path);
	if (wbuf_rc(&path) == RC_OK && path.len > 0) {
		if (path.len > sizeof(r->where))
			from = path.len - sizeof(r->where);
		pthread_mutex_lock(&r->where_lock);
		memcpy(r->where, path.data + from, path.len - from);
		pthread_mutex_unlock(&r->where_lock);
	}
	wbuf_free(&path);
}

static int
on_entry(void *arg, struct walk_dir *wd, const char *name,
    const struct stat *st)
{
	struct run *r = arg;
	struct dirstate *d = wd->user;
	const struct cache_entry *old;
	uint64_t link = link_id(r, st);
	bool hit;

	if (run_failed(r))
		return atomic_load(&r->rc);
	if (atomic_load_explicit(&r->where_wanted, memory_order_relaxed))
		tell_where(r, wd, name);
	old = old_find(d, name);
	hit = old != NULL && !old->racy && meta_is_stat(old, st) &&
	    old->e.link_id == link;
	if (r->o->dry_run)
		count_dry(r, st, hit);
	else if (hit)
		unchanged(d, old, st, name);
	else
		return changed(d, wd, name, st, link);
	return RC_OK;
}

/* --- directories --- */

static void
dir_item(struct run *r, struct item *it, struct walk_dir *wd,
    const struct cache_entry *old, const struct stat *st)
{
	bool hit = old != NULL && S_ISDIR(old->e.mode) &&
	    meta_is_stat(old, st);

	if (hit) {
		item_copy(it, old);
		it->hit = true;
		it->index = it->dir->cur_index;
	}
	meta_from_stat(r, it, st);
	if (!hit && wd->fd != -1)
		item_xattrs(r, it, wd->fd);
}

static int
on_enter(void *arg, struct walk_dir *wd, const char *name,
    const struct stat *st)
{
	struct run *r = arg;
	struct dirstate *up = wd->parent != NULL ? wd->parent->user : NULL;
	const struct cache_entry *old = NULL;
	struct cache_at at = { 0 };
	struct dirstate *d;
	struct item *it = NULL;

	if (run_failed(r))
		return atomic_load(&r->rc);
	if (up != NULL) {
		if ((it = item_new(up, name)) == NULL)
			return RC_NOMEM;
		old = old_find(up, name);
		dir_item(r, it, wd, old, st);
		if (old != NULL && S_ISDIR(old->e.mode))
			at = old->child;
		item_queue(it);
	} else if (r->old != NULL) {
		at = cache_root(r->old);
	}
	if ((d = dirstate_new(r, up, it)) == NULL)
		return RC_NOMEM;
	old_open(d, at);
	wd->user = d;
	return RC_OK;
}

static int
on_leave(void *arg, struct walk_dir *wd)
{
	struct run *r = arg;
	struct dirstate *d = wd->user;

	while (!d->old_end)
		old_next(d);
	wd->user = NULL;
	dirstate_listed(d);
	return run_failed(r) ? atomic_load(&r->rc) : RC_OK;
}

static void
on_skip(void *arg, const struct walk_dir *d, const char *name,
    const char *reason)
{
	run_skip(arg, d, name, reason);
}

static void
on_note(void *arg, const struct walk_dir *d, const char *name,
    const char *text)
{
	run_note(arg, d, name, text);
}

static int
on_flush(void *arg)
{
	return small_flush(arg);
}

static bool
on_stopped(void *arg)
{
	return run_failed(arg);
}

static void
walk_job(struct pool_job *j)
{
	struct run *r = (struct run *)((char *)j -
	    offsetof(struct run, walk_job));
	const struct walk_ops ops = { r, on_enter, on_leave, on_entry,
	    on_skip, on_note, on_flush, on_stopped };
	const struct walk_opt o = {
		.paths = r->o->paths,
		.npaths = r->o->npaths,
		.exclude = r->o->exclude,
		.nexclude = r->o->nexclude,
		.exclude_caches = r->o->exclude_caches,
		.one_file_system = r->o->one_file_system,
	};
	int rc;

	rc = walk_run(&o, &ops, &r->npaths_found);
	if (rc != RC_OK)
		run_fail(r, rc);
	small_end(r);
	run_job_done(r);
}

void
walk_start(struct run *r)
{
	run_job(r, POOL_NEXT, &r->walk_job, walk_job);
}
