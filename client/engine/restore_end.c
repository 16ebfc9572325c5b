#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/engine/restore_impl.h"
#include "common/rc.h"

/*
 * The end of a window: links to files that are now there, what became of each
 * file, and directories that are complete, the inner ones first.
 */

/* --- links --- */

static int
told(struct restore *x, const struct rlink_todo *t, const char *reason)
{
	return report_skipped(x, t->dir, t->e, reason);
}

/* The name is free, or what is there may be replaced and was taken away. */
static int
clear_way(struct restore *x, int dirfd, const struct entry *e, bool *kept)
{
	const char *name = (const char *)e->name;
	struct stat st;

	*kept = false;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return RC_OK;
	if (x->o->overwrite == OVERWRITE_NEVER ||
	    (x->o->overwrite == OVERWRITE_NEWER &&
	    st.st_mtim.tv_sec >= e->mtime)) {
		*kept = true;
		return RC_OK;
	}
	if (unlinkat(dirfd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) != 0)
		return rc_errno(errno);
	return RC_OK;
}

static bool
is_linked(int fromfd, const char *from, int dirfd, const char *name)
{
	struct stat a, b;

	return fstatat(fromfd, from, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int
make_link(struct restore *x, struct rlink_todo *t)
{
	const char *name = (const char *)t->e->name;
	struct rlink *l = t->link;
	int fromfd, dirfd, rc;
	bool kept;

	/* The second look-up may close what the first gave; a copy stays. */
	rc = tdir_open(&x->own->dirs, &l->dir->t, &fromfd);
	if (rc != RC_OK)
		return told(x, t, rc_str(rc));
	if ((fromfd = fcntl(fromfd, F_DUPFD_CLOEXEC, 3)) == -1)
		return told(x, t, strerror(errno));
	rc = tdir_open(&x->own->dirs, &t->dir->t, &dirfd);
	if (rc != RC_OK) {
		rc = told(x, t, rc_str(rc));
	} else if (is_linked(fromfd, l->name, dirfd, name)) {
		x->same++;
	} else if ((rc = clear_way(x, dirfd, t->e, &kept)) != RC_OK) {
		rc = told(x, t, "something is in the way that cannot be "
		    "removed");
	} else if (kept) {
		x->kept++;
	} else if (linkat(fromfd, l->name, dirfd, name, 0) == 0) {
		atomic_fetch_add(&x->ndone, 1);
	} else if (S_ISREG(t->e->mode)) {
		/* The target knows no links, or no more of them. */
		rc = plan_again(x, t->dir, t->e);
	} else {
		rc = told(x, t, strerror(errno));
	}
	close(fromfd);
	return rc;
}

int
end_links(struct restore *x)
{
	struct rlink_todo *t, *list = x->todo;
	struct rfile *f;
	int rc = RC_OK;

	/* Files of this window are settled: what became of first members. */
	for (f = x->files; f != NULL; f = f->next)
		if (f->link != NULL && atomic_load(&f->done)) {
			f->link->failed = atomic_load(&f->rc) != RC_OK;
			f->link->f = NULL;
			f->link = NULL;
		}
	x->todo = NULL;
	x->todo_end = &x->todo;
	while ((t = list) != NULL) {
		list = t->next;
		if (rc == RC_OK && t->link->f != NULL) {
			/* Its first member is not whole yet. */
			t->next = NULL;
			*x->todo_end = t;
			x->todo_end = &t->next;
			continue;
		}
		if (rc == RC_OK)
			rc = t->link->failed ? told(x, t, "the file that it "
			    "is a link to could not be restored") :
			    make_link(x, t);
		rdir_put(t->dir);
		free(t->e);
		free(t);
	}
	return rc;
}

/* --- files --- */

static int
settle(struct restore *x, struct rfile *f)
{
	int rc = atomic_load(&f->rc), err = atomic_load(&f->err);

	if (rc == RC_OK)
		return report_lost(x, f->dir, f->e, atomic_load(&f->lost));
	if (rc == RC_CORRUPT)		/* was told with its object */
		return RC_OK;
	return report_skipped(x, f->dir, f->e, err != 0 ? strerror(err) :
	    rc_str(rc));
}

int
end_files(struct restore *x)
{
	struct rfile **at, *f;
	int rc = RC_OK;

	for (at = &x->files; (f = *at) != NULL;) {
		if (!atomic_load(&f->done)) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		if (rc == RC_OK)
			rc = settle(x, f);
		if (f->link != NULL) {
			f->link->failed = atomic_load(&f->rc) != RC_OK;
			f->link->f = NULL;
		}
		rdir_put(f->dir);
		free(f->tmp);
		free(f->e);
		free(f);
	}
	return rc;
}

/* --- directories --- */

static int
finish_dir(struct restore *x, struct rdir *d)
{
	struct meta m;
	int fd, rc;

	if (d->e == NULL)
		return RC_OK;
	if ((rc = tdir_open(&x->own->dirs, &d->t, &fd)) != RC_OK)
		return report_skipped(x, d, NULL, rc_str(rc));
	entry_meta(d->e, &m);
	return report_lost(x, d, NULL, meta_apply(fd, &m));
}

int
end_dirs(struct restore *x)
{
	struct rdir *d;
	int rc = RC_OK;

	while ((d = x->complete) != NULL) {
		x->complete = d->next;
		if (rc == RC_OK && !x->o->dry_run)
			rc = finish_dir(x, d);
		rdir_put(d);
	}
	x->complete_end = &x->complete;
	return rc;
}

/* --- a restore that stopped --- */

/* Half-written files go now; the next run would only replace them. */
void
end_discard(struct restore *x)
{
	struct rlink_todo *t;
	struct rfile *f;
	struct rdir *d;
	int dirfd;

	while ((f = x->files) != NULL) {
		x->files = f->next;
		if (f->tmp != NULL && !atomic_load(&f->done) &&
		    tdir_open(&x->own->dirs, &f->dir->t, &dirfd) == RC_OK)
			(void)target_unlink(dirfd, f->tmp);
		rdir_put(f->dir);
		free(f->tmp);
		free(f->e);
		free(f);
	}
	while ((t = x->todo) != NULL) {
		x->todo = t->next;
		rdir_put(t->dir);
		free(t->e);
		free(t);
	}
	while ((d = x->complete) != NULL) {
		x->complete = d->next;
		rdir_put(d);
	}
}
