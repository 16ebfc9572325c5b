#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "client/engine/listing.h"
#include "client/engine/restore_impl.h"
#include "common/io.h"
#include "common/rc.h"

/*
 * From entries to work.  Runs in the main thread alone: it makes directories,
 * symlinks and special files at once and notes what files need.
 */

/* --- directories of the plan --- */

struct rdir *
rdir_new(struct restore *x, struct rdir *up, const struct entry *e)
{
	struct rdir *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	if (e != NULL && (d->e = entry_copy(e)) == NULL) {
		free(d);
		return NULL;
	}
	d->t.id = ++x->next_dir;
	d->refs = 1;
	if (up != NULL) {
		d->up = up;
		d->t.parent = &up->t;
		up->refs++;
		memcpy(d->t.name, e->name, e->name_len);
		d->t.name_len = e->name_len;
	}
	return d;
}

/* A loop, not a recursion: trees are deep. */
void
rdir_put(struct rdir *d)
{
	struct rdir *up;

	while (d != NULL && --d->refs == 0) {
		up = d->up;
		free(d->e);
		free(d);
		d = up;
	}
}

static const char *
why(int rc)
{
	return rc == RC_IO && errno != 0 ? strerror(errno) : rc_str(rc);
}

/* No room, or nothing may be written: every other file would fail too. */
static int
hopeless(struct restore *x, int rc)
{
	if (rc != RC_FULL && rc != RC_READONLY)
		return RC_OK;
	atomic_store(&x->fatal, rc);
	atomic_store(&x->fatal_errno, errno);
	return rc;
}

static int
cannot(struct restore *x, struct rdir *dir, const struct entry *e, int rc)
{
	char reason[256];
	int hard;

	snprintf(reason, sizeof(reason), "%s", why(rc));
	if ((hard = hopeless(x, rc)) != RC_OK)
		return hard;
	return report_skipped(x, dir, e, reason);
}

/* --- what is there already --- */

enum verdict {
	TAKE,			/* restore it */
	SAME,			/* it is that already */
	KEEP,			/* something else, which the user wants to keep */
	BLOCKED,		/* something that cannot be replaced */
};

static bool
same_target(int dirfd, const struct entry *e)
{
	char have[4096];
	ssize_t n;

	n = readlinkat(dirfd, (const char *)e->name, have, sizeof(have));
	return n >= 0 && (size_t)n == e->inline_len &&
	    memcmp(have, e->inline_data, (size_t)n) == 0;
}

static bool
same_thing(struct restore *x, int dirfd, const struct entry *e,
    const struct stat *st)
{
	if ((st->st_mode & S_IFMT) != (e->mode & S_IFMT))
		return false;
	switch (e->mode & S_IFMT) {
	case S_IFREG:
		if ((uint64_t)st->st_size != e->size ||
		    (st->st_mode & 07777) == TARGET_TEMP_MODE ||
		    !may_be_given(e, st))
			return false;
		if (x->o->verify)
			return file_compare(x->own, dirfd, e) == RC_OK;
		return st->st_mtim.tv_sec == e->mtime &&
		    st->st_mtim.tv_nsec == (long)e->mtime_ns;
	case S_IFLNK:
		return same_target(dirfd, e);
	case S_IFCHR:
	case S_IFBLK:
		return (uint64_t)st->st_rdev == e->rdev;
	default:
		return true;
	}
}

static bool
is_newer(const struct entry *e, const struct stat *st)
{
	if (e->mtime != st->st_mtim.tv_sec)
		return e->mtime > st->st_mtim.tv_sec;
	return (long)e->mtime_ns > st->st_mtim.tv_nsec;
}

/* For everything but directories. */
static enum verdict
judge(struct restore *x, const struct rdir *dir, int dirfd,
    const struct entry *e, struct stat *st)
{
	if (dir->fresh || fstatat(dirfd, (const char *)e->name, st,
	    AT_SYMLINK_NOFOLLOW) != 0)
		return TAKE;
	if (same_thing(x, dirfd, e, st))
		return SAME;
	if (x->o->overwrite == OVERWRITE_NEVER ||
	    (x->o->overwrite == OVERWRITE_NEWER && !is_newer(e, st)))
		return KEEP;
	if (S_ISDIR(st->st_mode) && unlinkat(dirfd, (const char *)e->name,
	    AT_REMOVEDIR) != 0)
		return BLOCKED;
	return TAKE;
}

/* --- hard links --- */

static struct rlink **
link_slot(struct restore *x, uint64_t id)
{
	struct rlink **at = &x->links[id % LINK_BUCKETS];

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

/* This place is the first of its group: later members are linked to it. */
static int
link_first(struct restore *x, struct rdir *dir, const struct entry *e,
    struct rfile *f)
{
	struct rlink **at, *l;

	if (e->link_id == 0 || x->nlinks >= LINKS_MAX)
		return RC_OK;
	if (*(at = link_slot(x, e->link_id)) != NULL)
		return RC_OK;
	if ((l = calloc(1, sizeof(*l))) == NULL ||
	    (l->name = strdup((const char *)e->name)) == NULL) {
		free(l);
		return RC_NOMEM;
	}
	l->id = e->link_id;
	l->dir = dir;
	dir->refs++;
	l->f = f;
	if (f != NULL)
		f->link = l;
	*at = l;
	x->nlinks++;
	return RC_OK;
}

/* True when it is a later member of a group; it is then noted. */
static bool
link_later(struct restore *x, struct rdir *dir, const struct entry *e,
    int *rc)
{
	struct rlink_todo *t;
	struct rlink *l;

	*rc = RC_OK;
	if (e->link_id == 0 || (l = *link_slot(x, e->link_id)) == NULL)
		return false;
	if ((t = calloc(1, sizeof(*t))) == NULL ||
	    (t->e = entry_copy(e)) == NULL) {
		free(t);
		*rc = RC_NOMEM;
		return true;
	}
	t->link = l;
	t->dir = dir;
	dir->refs++;
	*x->todo_end = t;
	x->todo_end = &t->next;
	x->nfiles++;
	return true;
}

/* --- files --- */

static struct rfile *
rfile_new(struct restore *x, struct rdir *dir, const struct entry *e)
{
	struct rfile *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return NULL;
	if ((f->e = entry_copy(e)) == NULL) {
		free(f);
		return NULL;
	}
	f->x = x;
	f->dir = dir;
	dir->refs++;
	atomic_init(&f->left, 1);
	f->next = x->files;
	x->files = f;
	x->nfiles++;
	return f;
}

/* A file that needs no object: content in its entry, none, or metadata only. */
static int
submit_plain(struct restore *x, struct rfile *f, enum rfile_todo todo)
{
	f->todo = todo;
	f->whole = true;
	f->job.run = write_plain_file;
	window_submit(x, &f->job, f->e->inline_len);
	return RC_OK;
}

/* A piece that no object can hold: who sealed this did not make it from a
 * file.  Told here, since no object will be. */
static int
bad_length(struct restore *x, struct rfile *f, const struct object_id *id)
{
	struct wbuf path = WBUF_INIT(65536), list = WBUF_INIT(65536);
	int rc;

	rdir_path(x, f->dir, f->e, &path);
	wbuf_blob16(&list, path.data, path.len);
	rc = report_damage(x, id, false, &list, 1,
	    "this file's list of blocks is nonsense: it is not restored");
	file_fail(f, RC_CORRUPT, 0);
	wbuf_free(&path);
	wbuf_free(&list);
	return rc;
}

static int
plan_extents(struct restore *x, struct rfile *f)
{
	const struct entry *e = f->e;
	uint64_t off = 0;
	size_t data = 0;
	uint8_t i;
	int rc;

	for (i = 0; i < e->next; i++)
		data += !e->ext[i].hole;
	if (data == 0)
		return submit_plain(x, f, FILE_WRITE);
	f->whole = e->next == 1;
	if (!f->whole && file_begin(x, f) != RC_OK)
		return RC_OK;
	for (i = 0; i < e->next; off += e->ext[i].len, i++) {
		if (e->ext[i].hole)
			continue;
		if (e->ext[i].len > OBJECT_RAW_MAX) {
			if ((rc = bad_length(x, f, &e->ext[i].id)) != RC_OK)
				return rc;
			break;
		}
		rc = window_add_piece(x, &e->ext[i].id, f, off, 0,
		    (uint32_t)e->ext[i].len, false);
		if (rc != RC_OK)
			return rc;
	}
	file_piece_done(x->own, f);
	return RC_OK;
}

static int
plan_content(struct restore *x, struct rfile *f)
{
	const struct entry *e = f->e;
	int rc;

	switch (e->ref) {
	case REF_INLINE:
		return submit_plain(x, f, FILE_WRITE);
	case REF_BUNDLE:
		f->whole = true;
		rc = window_add_piece(x, &e->ref_id, f, 0, e->offset, e->len,
		    true);
		if (rc == RC_OK)
			file_piece_done(x->own, f);
		return rc;
	case REF_EXTENTS:
		return plan_extents(x, f);
	case REF_MAP:
		if (file_begin(x, f) != RC_OK)
			return RC_OK;
		return tree_push_map(x->tree, &e->ref_id, e->ref_height,
		    e->size, f);
	default:
		return RC_CORRUPT;
	}
}

static int
plan_regular(struct restore *x, struct rdir *dir, int dirfd,
    const struct entry *e)
{
	struct rfile *f;
	struct stat st;
	struct meta m;
	int rc;

	if (link_later(x, dir, e, &rc))
		return rc;
	switch (judge(x, dir, dirfd, e, &st)) {
	case KEEP:
		x->kept++;
		return RC_OK;
	case BLOCKED:
		return report_skipped(x, dir, e,
		    "a directory that is not empty is in the way");
	case SAME:
		if ((rc = link_first(x, dir, e, NULL)) != RC_OK)
			return rc;
		entry_meta(e, &m);
		if (x->o->overwrite == OVERWRITE_NEVER ||
		    (meta_same(&st, &m) && m.xattrs == NULL)) {
			x->same++;
			return RC_OK;
		}
		if ((f = rfile_new(x, dir, e)) == NULL)
			return RC_NOMEM;
		return submit_plain(x, f, FILE_META);
	case TAKE:
		break;
	}
	if ((f = rfile_new(x, dir, e)) == NULL)
		return RC_NOMEM;
	if ((rc = link_first(x, dir, f->e, f)) != RC_OK)
		return rc;
	return plan_content(x, f);
}

/* A member of a group that could not be linked becomes a file of its own. */
int
plan_again(struct restore *x, struct rdir *dir, struct entry *e)
{
	struct rfile *f;

	e->link_id = 0;
	x->again = true;
	if ((f = rfile_new(x, dir, e)) == NULL)
		return RC_NOMEM;
	return plan_content(x, f);
}

/* --- symlinks, fifos, sockets, devices --- */

static int
make_special(int dirfd, const struct entry *e)
{
	const char *name = (const char *)e->name;
	char target[4096];

	if (S_ISLNK(e->mode)) {
		if (e->inline_len >= sizeof(target))
			return RC_LIMIT;
		memcpy(target, e->inline_data, e->inline_len);
		target[e->inline_len] = '\0';
		return symlinkat(target, dirfd, name) == 0 ? RC_OK :
		    rc_errno(errno);
	}
	return mknodat(dirfd, name, e->mode, (dev_t)e->rdev) == 0 ? RC_OK :
	    rc_errno(errno);
}

static int
plan_special(struct restore *x, struct rdir *dir, int dirfd,
    const struct entry *e)
{
	const char *name = (const char *)e->name;
	enum verdict v;
	struct stat st;
	struct meta m;
	unsigned lost;
	int rc;

	if (link_later(x, dir, e, &rc))
		return rc;
	v = judge(x, dir, dirfd, e, &st);
	if (v == KEEP) {
		x->kept++;
		return RC_OK;
	}
	if (v == BLOCKED)
		return report_skipped(x, dir, e,
		    "a directory that is not empty is in the way");
	if (v == TAKE) {
		rc = make_special(dirfd, e);
		if (rc == RC_EXISTS && target_unlink(dirfd, name) == RC_OK)
			rc = make_special(dirfd, e);
		if (rc == RC_DENIED && (S_ISCHR(e->mode) || S_ISBLK(e->mode)))
			return report_skipped(x, dir, e,
			    "only root may make device nodes");
		if (rc != RC_OK)
			return cannot(x, dir, e, rc);
		atomic_fetch_add(&x->ndone, 1);
	} else {
		x->same++;
	}
	entry_meta(e, &m);
	if (v == TAKE || (x->o->overwrite != OVERWRITE_NEVER &&
	    !meta_same(&st, &m))) {
		lost = meta_apply_at(dirfd, name, &m);
		if ((rc = report_lost(x, dir, e, lost)) != RC_OK)
			return rc;
	}
	return link_first(x, dir, e, NULL);
}

/* --- directories --- */

/* The directory is there; a user's own without the right to write gets it until
 * its metadata is set. */
static int
open_up(struct restore *x, struct rdir *d)
{
	struct stat st;
	int fd, rc;

	if ((rc = tdir_open(&x->own->dirs, &d->t, &fd)) != RC_OK)
		return rc;
	if (fstat(fd, &st) != 0)
		return rc_errno(errno);
	if (st.st_uid == geteuid() && (st.st_mode & 0700) != 0700)
		(void)fchmod(fd, (st.st_mode & 07777) | 0700);
	return RC_OK;
}

static int
make_dir(struct restore *x, struct rdir *dir, int dirfd,
    const struct entry *e, struct rdir *d)
{
	const char *name = (const char *)e->name;
	struct stat st;

	if (mkdirat(dirfd, name, 0700) == 0) {
		d->fresh = true;
		return RC_OK;
	}
	if (errno != EEXIST || dir->fresh)
		return rc_errno(errno);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return rc_errno(errno);
	if (S_ISDIR(st.st_mode))
		return open_up(x, d);
	if (x->o->overwrite == OVERWRITE_NEVER ||
	    (x->o->overwrite == OVERWRITE_NEWER && !is_newer(e, &st)))
		return RC_EXISTS;
	if (unlinkat(dirfd, name, 0) != 0 || mkdirat(dirfd, name, 0700) != 0)
		return rc_errno(errno);
	d->fresh = true;
	return RC_OK;
}

static int
plan_dir(struct restore *x, struct rdir *dir, int dirfd,
    const struct entry *e)
{
	struct rdir *d;
	int rc;

	if ((d = rdir_new(x, dir, e)) == NULL)
		return RC_NOMEM;
	if (x->o->dry_run)
		return tree_push_dir(x->tree, &e->ref_id, e->ref_height, d);
	rc = make_dir(x, dir, dirfd, e, d);
	if (rc == RC_OK)
		return tree_push_dir(x->tree, &e->ref_id, e->ref_height, d);
	if (rc == RC_EXISTS)
		rc = report_skipped(x, dir, e, "something that is no "
		    "directory is in its place; nothing below it is restored");
	else
		rc = cannot(x, dir, e, rc);
	rdir_put(d);
	return rc;
}

/* --- the tree's callbacks --- */

/* A set of attributes that has an object of its own. */
static int
large_xattrs(struct restore *x, struct rdir *dir, struct entry *e)
{
	struct wbuf path = WBUF_INIT(65536), list = WBUF_INIT(65536);
	struct fetched got;
	int rc;

	if (x->xattrs == NULL &&
	    (x->xattrs = malloc(OBJECT_RAW_MAX)) == NULL)
		return RC_NOMEM;
	rc = tree_fetch(x->tree, &e->xattrs_edge, OBJECT_CHUNK, &got, NULL,
	    x->xattrs);
	if (rc == RC_OK && got.len == e->xattrs_len) {
		e->xattrs = x->xattrs;
		return RC_OK;
	}
	if (rc != RC_OK && rc != RC_MISSING && rc != RC_CORRUPT)
		return rc;
	e->xattrs_len = 0;
	rdir_path(x, dir, e, &path);
	wbuf_blob16(&list, path.data, path.len);
	rc = report_damage(x, &e->xattrs_edge, rc == RC_MISSING, &list, 1,
	    "extended attributes are lost");
	wbuf_free(&path);
	wbuf_free(&list);
	return rc;
}

static int
list_entry(struct restore *x, struct rdir *dir, const struct entry *e)
{
	struct wbuf path = WBUF_INIT(65536);
	int rc;

	rdir_path(x, dir, NULL, &path);
	if (path.len == 1)
		wbuf_reset(&path);	/* "/", whose entries are "/name" */
	wbuf_u8(&path, '\0');
	if ((rc = wbuf_rc(&path)) == RC_OK)
		rc = listing_entry(x->e, (const char *)path.data, e);
	wbuf_free(&path);
	atomic_fetch_add(&x->ndone, !S_ISDIR(e->mode));
	atomic_fetch_add(&x->nbytes, S_ISREG(e->mode) ? e->size : 0);
	if (rc == RC_OK && S_ISDIR(e->mode))
		rc = plan_dir(x, dir, -1, e);
	return rc;
}

int
plan_entry(struct restore *x, struct rdir *dir, const struct entry *in)
{
	struct entry e = *in;
	char name[256];
	int fd, rc;

	/* leaf_read() has refused such names; this is where it would hurt. */
	if (target_name_check((const char *)e.name, e.name_len) != RC_OK)
		return RC_CORRUPT;
	memcpy(name, e.name, e.name_len);
	name[e.name_len] = '\0';
	e.name = (const uint8_t *)name;
	if (x->o->dry_run)
		return list_entry(x, dir, &e);
	if (e.xattrs_len > 0 && e.xattrs == NULL &&
	    (rc = large_xattrs(x, dir, &e)) != RC_OK)
		return rc;
	if ((rc = tdir_open(&x->own->dirs, &dir->t, &fd)) != RC_OK)
		return cannot(x, dir, &e, rc);
	switch (e.mode & S_IFMT) {
	case S_IFDIR:
		return plan_dir(x, dir, fd, &e);
	case S_IFREG:
		return plan_regular(x, dir, fd, &e);
	default:
		return plan_special(x, dir, fd, &e);
	}
}

static int
on_entry(void *arg, void *dir, const struct entry *e)
{
	return plan_entry(arg, dir, e);
}

static int
on_leave(void *arg, void *ctx, bool is_map)
{
	struct restore *x = arg;
	struct rdir *d = ctx;

	if (is_map) {
		file_piece_done(x->own, ctx);
		return RC_OK;
	}
	/* Finished in the order of leaving: what is inside comes first. */
	d->next = NULL;
	*x->complete_end = d;
	x->complete_end = &d->next;
	x->dirs_done++;
	return RC_OK;
}

static int
on_extent(void *arg, void *file, uint64_t offset, const struct extent *x)
{
	if (x->hole)
		return RC_OK;
	if (x->len > OBJECT_RAW_MAX)
		return bad_length(arg, file, &x->id);
	return window_add_piece(arg, &x->id, file, offset, 0,
	    (uint32_t)x->len, false);
}

static int
on_bad(void *arg, void *ctx, bool is_map, const struct object_id *id,
    bool missing)
{
	struct wbuf path = WBUF_INIT(65536), list = WBUF_INIT(65536);
	struct restore *x = arg;
	struct rfile *f = ctx;
	int rc;

	if (is_map) {
		rdir_path(x, f->dir, f->e, &path);
		file_fail(f, RC_CORRUPT, 0);
	} else {
		rdir_path(x, ctx, NULL, &path);
	}
	wbuf_blob16(&list, path.data, path.len);
	rc = report_damage(x, id, missing, &list, 1, is_map ?
	    "part of this file's list of blocks is lost" :
	    "part of this directory is lost, and what is below it");
	wbuf_free(&path);
	wbuf_free(&list);
	return rc;
}

const struct tree_ops restore_ops = {
	.entry = on_entry,
	.leave = on_leave,
	.extent = on_extent,
	.bad = on_bad,
};
