#include "config.h"

#include "client/engine/walk.h"

#include <sys/stat.h>
#include <sys/vfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/engine/match.h"
#include "client/engine/pool.h"
#include "client/engine/walk_priv.h"
#include "common/io.h"
#include "common/rc.h"

#define PATH_BUF_MAX	(64u << 20)

/* A directory on the way down. */
struct frame {
	struct walk_dir	*d;
	struct names	 names;
	size_t		 next;
	bool		 partial;	/* only the way to paths [lo, hi) */
	bool		 parked;	/* its descriptor was let go */
	bool		 lost;		/* and could not be opened again */
	size_t		 lo, hi, at;	/* at: where their next component begins */
	size_t		 path_len;
	dev_t		 root_dev;	/* for one_file_system */
};

struct walk {
	const struct walk_opt	*o;
	const struct walk_ops	*ops;
	char			**paths;
	size_t			 npaths, found;
	struct frame		*frame;
	size_t			 n, size;
	struct wbuf		 path;		/* of the top frame, no NUL */
};

/* Guards fd, fd_holds and holds of every walk_dir: workers drop them. */
static pthread_mutex_t dir_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int dirs_open;

static bool
room_for_dir(void *arg)
{
	const struct walk *w = arg;

	return atomic_load(&dirs_open) < WALK_DIRS ||
	    (w->ops->stopped != NULL && w->ops->stopped(w->ops->arg));
}

static struct walk_dir *
dir_new(struct walk_dir *parent, const char *name, int fd,
    const struct stat *st)
{
	struct walk_dir *d;

	if ((d = calloc(1, sizeof(*d))) == NULL ||
	    (d->name = strdup(name != NULL ? name : "")) == NULL) {
		free(d);
		return NULL;
	}
	d->fd = fd;
	d->fd_holds = fd != -1;
	d->holds = 1;
	d->dev = st->st_dev;
	d->ino = st->st_ino;
	d->parent = parent;
	pthread_mutex_lock(&dir_lock);
	if (parent != NULL)
		parent->holds++;
	pthread_mutex_unlock(&dir_lock);
	if (fd != -1)
		atomic_fetch_add(&dirs_open, 1);
	return d;
}

/* With the lock held: forget d, and its parents when it was the last. */
static void
dir_unref(struct walk_dir *d)
{
	struct walk_dir *parent;

	while (d != NULL && --d->holds == 0) {
		parent = d->parent;
		free(d->name);
		free(d);
		d = parent;
	}
}

static int
fd_unhold(struct walk_dir *d)
{
	int fd = -1;

	if (d->fd_holds > 0 && --d->fd_holds == 0) {
		fd = d->fd;
		d->fd = -1;
	}
	return fd;
}

static void
close_dir_fd(int fd)
{
	if (fd == -1)
		return;
	close(fd);
	atomic_fetch_sub(&dirs_open, 1);
	pool_kick();
}

void
walk_hold(struct walk_dir *d)
{
	pthread_mutex_lock(&dir_lock);
	d->fd_holds++;
	d->holds++;
	pthread_mutex_unlock(&dir_lock);
}

void
walk_drop(struct walk_dir *d)
{
	int fd;

	pthread_mutex_lock(&dir_lock);
	fd = fd_unhold(d);
	dir_unref(d);
	pthread_mutex_unlock(&dir_lock);
	close_dir_fd(fd);
}

void
walk_path(const struct walk_dir *d, const char *name, struct wbuf *out)
{
	const struct walk_dir *p;
	size_t len = 0, n;
	uint8_t *at;

	wbuf_reset(out);
	for (p = d; p != NULL && p->parent != NULL; p = p->parent)
		len += strlen(p->name) + 1;
	if ((at = wbuf_space(out, len)) == NULL)
		return;
	at += len;
	for (p = d; p != NULL && p->parent != NULL; p = p->parent) {
		n = strlen(p->name);
		at -= n;
		memcpy(at, p->name, n);
		*--at = '/';
	}
	if (name != NULL) {
		wbuf_u8(out, '/');
		wbuf_bytes(out, name, strlen(name));
	} else if (len == 0) {
		wbuf_u8(out, '/');
	}
	wbuf_u8(out, '\0');
}

/* --- frames --- */

static struct frame *
top(struct walk *w)
{
	return &w->frame[w->n - 1];
}

/* The walker's own hold of the descriptor; jobs may have theirs still. */
static void
park(struct frame *f)
{
	int fd;

	pthread_mutex_lock(&dir_lock);
	fd = fd_unhold(f->d);
	pthread_mutex_unlock(&dir_lock);
	close_dir_fd(fd);
	f->parked = true;
}

/* Enter a directory; fd is -1 when it is to stay empty. */
static int
push(struct walk *w, const char *name, int fd, const struct stat *st)
{
	struct walk_dir *parent = w->n > 0 ? top(w)->d : NULL, *d;
	struct frame *f;
	size_t size;
	int rc;

	if (w->n == w->size) {
		size = w->size == 0 ? 32 : w->size * 2;
		if ((f = realloc(w->frame, size * sizeof(*f))) == NULL) {
			fd_close(&fd);
			return RC_NOMEM;
		}
		w->frame = f;
		w->size = size;
	}
	if ((d = dir_new(parent, name, fd, st)) == NULL) {
		fd_close(&fd);
		return RC_NOMEM;
	}
	f = &w->frame[w->n++];
	memset(f, 0, sizeof(*f));
	f->d = d;
	f->path_len = w->path.len;
	if (name != NULL) {
		wbuf_u8(&w->path, '/');
		wbuf_bytes(&w->path, name, strlen(name));
	}
	if ((rc = wbuf_rc(&w->path)) != RC_OK)
		return rc;
	/* Far above, a directory is only needed when the way leads back. */
	if (w->n > WALK_STACK)
		park(&w->frame[w->n - 1 - WALK_STACK]);
	return w->ops->enter(w->ops->arg, d, name, st);
}

/* Give back what the frame holds; the walk may have failed. */
static void
frame_free(struct walk *w)
{
	struct frame *f = top(w);

	names_free(&f->names);
	w->path.len = f->path_len;
	if (!f->parked)
		park(f);
	pthread_mutex_lock(&dir_lock);
	dir_unref(f->d);
	pthread_mutex_unlock(&dir_lock);
	w->n--;
}

static bool
is_dir(int fd, const struct walk_dir *d)
{
	struct stat st;

	return fd != -1 && fstat(fd, &st) == 0 && st.st_dev == d->dev &&
	    st.st_ino == d->ino;
}

static int
open_dir(int at, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK;
	int fd;

	fd = openat(at, name, flags | O_NOATIME);
	if (fd == -1 && errno == EPERM)
		fd = openat(at, name, flags);
	return fd;
}

/*
 * One that is only passed through: who may search it and not list it gets by,
 * as in a /home of mode 0711.  Such a descriptor gives stat and what lies below,
 * and no attributes.
 */
static int
open_way(int at, const char *name)
{
	int fd = open_dir(at, name);

	if (fd == -1 && errno == EACCES)
		fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW |
		    O_CLOEXEC);
	return fd;
}

/* Down again from `/` by names, when `..` led elsewhere. */
static int
open_by_names(struct walk *w, size_t index)
{
	int fd, next;
	size_t i;

	fd = open_way(AT_FDCWD, "/");
	for (i = 1; i <= index && fd != -1; i++) {
		next = open_way(fd, w->frame[i].d->name);
		close(fd);
		fd = next;
	}
	return fd;
}

/* A frame that was parked gets its descriptor back before it is needed; the
 * one below it on the way has its own still. */
static void
unpark(struct walk *w, size_t index)
{
	struct frame *f = &w->frame[index];
	int child = w->frame[index + 1].d->fd, fd;
	bool still;

	pthread_mutex_lock(&dir_lock);
	still = f->d->fd != -1;
	if (still)
		f->d->fd_holds++;
	pthread_mutex_unlock(&dir_lock);
	f->parked = false;
	if (still)
		return;
	fd = child != -1 ? open_way(child, "..") : -1;
	if (!is_dir(fd, f->d)) {
		fd_close(&fd);
		fd = open_by_names(w, index);
		if (!is_dir(fd, f->d)) {
			fd_close(&fd);
			f->lost = true;
			return;
		}
	}
	pthread_mutex_lock(&dir_lock);
	f->d->fd = fd;
	f->d->fd_holds = 1;
	pthread_mutex_unlock(&dir_lock);
	atomic_fetch_add(&dirs_open, 1);
}

static int
pop(struct walk *w)
{
	int rc = w->ops->leave(w->ops->arg, top(w)->d);

	if (w->n > WALK_STACK)
		unpark(w, w->n - 1 - WALK_STACK);
	frame_free(w);
	return rc;
}

/* --- what is seen --- */

static void
skip(struct walk *w, const char *name, int err)
{
	char buf[128];

	w->ops->skip(w->ops->arg, w->n > 0 ? top(w)->d : NULL, name,
	    strerror_r(err, buf, sizeof(buf)));
}

static bool
excluded(struct walk *w, const char *name)
{
	size_t len = w->path.len;
	bool hit;

	if (w->o->nexclude == 0)
		return false;
	wbuf_u8(&w->path, '/');
	wbuf_bytes(&w->path, name, strlen(name));
	wbuf_u8(&w->path, '\0');
	hit = wbuf_rc(&w->path) == RC_OK && match_any(w->o->exclude,
	    w->o->nexclude, (const char *)w->path.data, name);
	w->path.len = len;
	return hit;
}

/* Why nothing below this directory is wanted, or NULL. */
static const char *
not_below(struct walk *w, int fd, const struct stat *st, bool asked)
{
	const struct frame *f = w->n > 0 ? top(w) : NULL;

	if (f == NULL || st->st_dev == f->d->dev)
		return NULL;
	if (pseudo_fs(fd))
		return "left out: a file system of the kernel's own";
	if (!asked && !f->partial && w->o->one_file_system &&
	    st->st_dev != f->root_dev)
		return "left out: another file system";
	return NULL;
}

/* A directory's names, or only its tag when it says that it is a cache. */
static int
fill(struct walk *w, struct frame *f)
{
	int rc;

	if ((rc = names_read(&f->names, f->d->fd)) != RC_OK)
		return rc;
	if (w->o->exclude_caches && names_cachedir(&f->names, f->d->fd))
		names_only(&f->names, CACHEDIR_TAG);
	return RC_OK;
}

/* asked: named by the user, so one_file_system begins here. */
static int
descend(struct walk *w, const char *name, bool asked)
{
	dev_t root_dev = w->n > 0 ? top(w)->root_dev : 0;
	const char *why;
	struct stat st;
	int fd, rc;

	if (!room_for_dir(w)) {
		if ((rc = w->ops->flush(w->ops->arg)) != RC_OK)
			return rc;
		pool_wait(room_for_dir, w);
	}
	fd = open_dir(top(w)->d->fd, name);
	if (fd == -1) {
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
			return RC_OK;		/* went away just now */
		skip(w, name, errno);
		if (fstatat(top(w)->d->fd, name, &st, AT_SYMLINK_NOFOLLOW) !=
		    0 || !S_ISDIR(st.st_mode))
			return RC_OK;
		/* What it is can be kept, if not what is in it. */
		if ((rc = push(w, name, -1, &st)) != RC_OK)
			return rc;
		return pop(w);
	}
	if (fstat(fd, &st) != 0) {
		skip(w, name, errno);
		close(fd);
		return RC_OK;
	}
	why = not_below(w, fd, &st, asked);
	if (why != NULL)
		w->ops->note(w->ops->arg, top(w)->d, name, why);
	if ((rc = push(w, name, fd, &st)) != RC_OK)
		return rc;
	if (why != NULL)
		return pop(w);
	top(w)->root_dev = asked ? st.st_dev : root_dev;
	if ((rc = fill(w, top(w))) == RC_NOMEM)
		return rc;
	if (rc != RC_OK)
		w->ops->skip(w->ops->arg, top(w)->d, NULL, rc_str(rc));
	return RC_OK;
}

static int
visit(struct walk *w, const char *name, unsigned char type, bool asked)
{
	struct stat st;

	if (type == DT_DIR)
		return descend(w, name, asked);
	if (fstatat(top(w)->d->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno != ENOENT || asked)
			skip(w, name, errno);
		return RC_OK;
	}
	w->found += asked;
	if (S_ISDIR(st.st_mode))
		return descend(w, name, asked);
	return w->ops->entry(w->ops->arg, top(w)->d, name, &st);
}

/* --- the way to the paths --- */

static void
skip_group(struct walk *w, size_t lo, size_t hi, const char *reason)
{
	size_t i;

	for (i = lo; i < hi; i++)
		w->ops->skip(w->ops->arg, NULL, w->paths[i], reason);
}

/* One component further on the way to paths [lo, hi). */
static int
step(struct walk *w, char *name, size_t lo, size_t hi, size_t at)
{
	char buf[128];
	struct frame *f;
	struct stat st;
	int fd, rc;

	fd = open_way(top(w)->d->fd, name);
	if (fd == -1 || fstat(fd, &st) != 0) {
		skip_group(w, lo, hi, errno == ELOOP || errno == ENOTDIR ?
		    "reached through a symbolic link or a file; give its real path" :
		    strerror_r(errno, buf, sizeof(buf)));
		fd_close(&fd);
		return RC_OK;
	}
	if ((rc = push(w, name, fd, &st)) != RC_OK)
		return rc;
	f = top(w);
	f->partial = true;
	f->lo = lo;
	f->hi = hi;
	f->at = at;
	return RC_OK;
}

/* Next component of a partial frame; RC_EOF when there is none. */
static int
partial_next(struct walk *w)
{
	struct frame *f = top(w);
	size_t lo = f->lo, hi, at = f->at, len;
	const char *first;
	char *name;
	bool last;
	int rc;

	if (lo == f->hi)
		return RC_EOF;
	first = w->paths[lo] + at;
	len = strcspn(first, "/");
	for (hi = lo + 1; hi < f->hi; hi++)
		if (strncmp(w->paths[hi] + at, first, len) != 0 ||
		    (w->paths[hi][at + len] != '/' &&
		    w->paths[hi][at + len] != '\0'))
			break;
	f->lo = hi;
	last = first[len] == '\0';
	if ((name = strndup(first, len)) == NULL)
		return RC_NOMEM;
	if (len > NAME_MAX) {
		skip_group(w, lo, hi, "name too long");
		rc = RC_OK;
	} else if (last) {
		rc = visit(w, name, DT_UNKNOWN, true);
	} else {
		rc = step(w, name, lo, hi, at + len + 1);
	}
	free(name);
	return rc;
}

static int
full_next(struct walk *w)
{
	struct frame *f = top(w);
	const char *name;
	unsigned char type;

	if (f->next == f->names.n)
		return RC_EOF;
	if (f->lost) {
		w->ops->skip(w->ops->arg, f->d, NULL,
		    "moved away while it was read");
		return RC_EOF;
	}
	type = (unsigned char)f->names.name[f->next][0];
	name = f->names.name[f->next++] + 1;
	return excluded(w, name) ? RC_OK : visit(w, name, type, false);
}

static int
start(struct walk *w)
{
	bool all = w->npaths > 0 && strcmp(w->paths[0], "/") == 0;
	struct stat st;
	int fd, rc;

	fd = all ? open_dir(AT_FDCWD, "/") : open_way(AT_FDCWD, "/");
	if (fd == -1 || fstat(fd, &st) != 0) {
		rc = rc_errno(errno);
		fd_close(&fd);
		return rc;
	}
	if ((rc = push(w, NULL, fd, &st)) != RC_OK)
		return rc;
	top(w)->root_dev = st.st_dev;
	if (all) {
		w->found++;
		return fill(w, top(w));
	}
	top(w)->partial = true;
	top(w)->hi = w->npaths;
	top(w)->at = 1;
	return RC_OK;
}

int
walk_run(const struct walk_opt *o, const struct walk_ops *ops, size_t *found)
{
	struct walk w = { .o = o, .ops = ops };
	size_t i;
	int rc;

	*found = 0;
	wbuf_init(&w.path, PATH_BUF_MAX);
	if ((w.paths = calloc(o->npaths + 1, sizeof(*w.paths))) == NULL)
		return RC_NOMEM;
	for (i = 0, rc = RC_OK; i < o->npaths; i++)
		if ((w.paths[i] = strdup(o->paths[i])) == NULL)
			rc = RC_NOMEM;
	w.npaths = o->npaths;
	if (rc == RC_OK && (rc = walk_sort_paths(w.paths, &w.npaths)) == RC_OK)
		rc = start(&w);
	while (rc == RC_OK && w.n > 0) {
		rc = top(&w)->partial ? partial_next(&w) : full_next(&w);
		if (rc == RC_EOF)
			rc = pop(&w);
	}
	while (w.n > 0)
		frame_free(&w);
	*found = w.found;
	for (i = 0; i < o->npaths; i++)
		free(w.paths[i]);
	free(w.paths);
	free(w.frame);
	wbuf_free(&w.path);
	return rc;
}
