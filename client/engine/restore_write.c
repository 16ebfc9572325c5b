#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/engine/restore_impl.h"
#include "common/io.h"
#include "common/rc.h"

/*
 * Opening, checking and writing: in the pool's threads, several at a time.  An
 * object is checked for all that is taken from it before anything is written.
 */

struct rworker *
worker_self(struct restore *x)
{
	return &x->worker[pool_self()];
}

/* The first failure of a file counts. */
void
file_fail(struct rfile *f, int rc, int err)
{
	int ok = RC_OK;

	if (atomic_compare_exchange_strong(&f->rc, &ok, rc))
		atomic_store(&f->err, err);
	if (rc == RC_FULL || rc == RC_READONLY) {
		atomic_store(&f->x->fatal_errno, err);
		atomic_store(&f->x->fatal, rc);
	}
}

static int
fail_errno(struct rfile *f)
{
	int rc = rc_errno(errno);

	file_fail(f, rc, errno);
	return rc;
}

/* Everything but the content, then the final name. */
static void
finish(struct rworker *w, struct rfile *f, int fd, int dirfd, const char *tmp)
{
	struct meta m;

	(void)w;
	entry_meta(f->e, &m);
	atomic_fetch_or(&f->lost, meta_apply(fd, &m));
	if (renameat(dirfd, tmp, dirfd, (const char *)f->e->name) != 0) {
		(void)fail_errno(f);
		(void)target_unlink(dirfd, tmp);
		return;
	}
	atomic_fetch_add(&f->x->ndone, 1);
}

/* --- files in pieces --- */

/* Makes the temporary file at its full length, all holes. */
int
file_begin(struct restore *x, struct rfile *f)
{
	char tmp[TARGET_TEMP_NAME];
	int dirfd, fd = -1, rc;

	rc = tdir_open(&x->own->dirs, &f->dir->t, &dirfd);
	if (rc == RC_OK)
		rc = target_temp(dirfd, (const char *)f->e->name, tmp, &fd);
	if (rc != RC_OK) {
		file_fail(f, rc, errno);
	} else if (fstat(fd, &f->made) != 0) {
		rc = fail_errno(f);
		(void)target_unlink(dirfd, tmp);
	} else if ((f->tmp = strdup(tmp)) == NULL) {
		(void)target_unlink(dirfd, tmp);
		file_fail(f, rc = RC_NOMEM, 0);
	} else if (ftruncate(fd, (off_t)f->e->size) != 0) {
		rc = fail_errno(f);
	}
	fd_close(&fd);
	if (rc != RC_OK)
		file_piece_done(x->own, f);
	return rc;
}

static void
end_in_pieces(struct rworker *w, struct rfile *f)
{
	int dirfd, fd = -1, rc;

	rc = tdir_open(&w->dirs, &f->dir->t, &dirfd);
	if (rc != RC_OK) {
		file_fail(f, rc, errno);
		return;
	}
	if (atomic_load(&f->rc) == RC_OK &&
	    (rc = target_temp_open(dirfd, f->tmp, &f->made, &fd)) != RC_OK)
		file_fail(f, rc, errno);
	if (atomic_load(&f->rc) == RC_OK)
		finish(w, f, fd, dirfd, f->tmp);
	else
		(void)target_unlink(dirfd, f->tmp);
	fd_close(&fd);
}

void
file_piece_done(struct rworker *w, struct rfile *f)
{
	if (atomic_fetch_sub(&f->left, 1) != 1)
		return;
	if (!f->whole && f->tmp != NULL)
		end_in_pieces(w, f);
	atomic_store(&f->done, true);
}

/* --- writing --- */

/* What was written, read again and named again. */
static int
verify(struct rworker *w, int fd, uint64_t off, const struct piece *p,
    const struct object_id *id)
{
	struct object_id again;
	uint8_t fid[32];
	int rc;

	if ((rc = io_pread_full(fd, w->again, p->len, off)) != RC_OK)
		return rc;
	if (p->bundled) {
		rc = seal_file_id(w->sealer, w->again, p->len, fid);
		if (rc == RC_OK && memcmp(fid, p->f->e->fid,
		    sizeof(p->f->e->fid)) != 0)
			rc = RC_CORRUPT;
		return rc;
	}
	rc = seal_chunk_id(w->sealer, w->again, p->len, &again);
	if (rc == RC_OK && memcmp(&again, id, sizeof(again)) != 0)
		rc = RC_CORRUPT;
	return rc;
}

static void
write_failed(struct rfile *f, int rc)
{
	/* Read back otherwise than it was written: the target's disk lies. */
	if (rc == RC_CORRUPT || rc == RC_TRUNCATED)
		file_fail(f, RC_IO, EIO);
	else
		file_fail(f, rc, errno);
}

static void
write_whole(struct rworker *w, const struct robj *o, struct piece *p)
{
	struct rfile *f = p->f;
	char tmp[TARGET_TEMP_NAME];
	int dirfd, fd = -1, rc;

	rc = tdir_open(&w->dirs, &f->dir->t, &dirfd);
	if (rc == RC_OK)
		rc = target_temp(dirfd, (const char *)f->e->name, tmp, &fd);
	if (rc != RC_OK) {
		file_fail(f, rc, errno);
		return;
	}
	rc = io_write_full(fd, w->plain + p->at, p->len);
	if (rc == RC_OK && f->x->o->verify)
		rc = verify(w, fd, 0, p, &o->id);
	if (rc == RC_OK) {
		finish(w, f, fd, dirfd, tmp);
	} else {
		write_failed(f, rc);
		(void)target_unlink(dirfd, tmp);
	}
	fd_close(&fd);
}

static void
write_part(struct rworker *w, const struct robj *o, struct piece *p)
{
	struct rfile *f = p->f;
	int dirfd, fd = -1, rc;

	rc = tdir_open(&w->dirs, &f->dir->t, &dirfd);
	if (rc == RC_OK)
		rc = target_temp_open(dirfd, f->tmp, &f->made, &fd);
	if (rc == RC_OK)
		rc = io_pwrite_full(fd, w->plain + p->at, p->len, p->off);
	if (rc == RC_OK && f->x->o->verify)
		rc = verify(w, fd, p->off, p, &o->id);
	if (rc != RC_OK)
		write_failed(f, rc);
	fd_close(&fd);
}

static void
write_piece(struct rworker *w, const struct robj *o, struct piece *p)
{
	struct rfile *f = p->f;

	if (atomic_load(&f->rc) == RC_OK) {
		if (f->whole)
			write_whole(w, o, p);
		else
			write_part(w, o, p);
		atomic_fetch_add(&f->x->nbytes, p->len);
	}
	file_piece_done(w, f);
}

/* Each piece lies in the object and is what its file says. */
static int
check_pieces(struct rworker *w, const struct robj *o, uint8_t type,
    size_t len)
{
	const struct piece *p;
	uint8_t fid[32];
	int rc;

	for (p = o->first; p != NULL; p = p->next) {
		if (type != (p->bundled ? OBJECT_BUNDLE : OBJECT_CHUNK))
			return RC_CORRUPT;
		if (!p->bundled) {
			if (p->len != len)
				return RC_CORRUPT;
			continue;
		}
		if (p->at > len || p->len > len - p->at)
			return RC_CORRUPT;
		rc = seal_file_id(w->sealer, w->plain + p->at, p->len, fid);
		if (rc != RC_OK)
			return rc;
		if (memcmp(fid, p->f->e->fid, sizeof(p->f->e->fid)) != 0)
			return RC_CORRUPT;
	}
	return RC_OK;
}

static int
open_object(struct rworker *w, struct robj *o)
{
	struct object obj;
	size_t len;
	int rc;

	if ((rc = object_parse(o->wire, o->len, &obj)) != RC_OK ||
	    (rc = seal_open(w->sealer, &obj, 1, w->plain, &len)) != RC_OK ||
	    (rc = check_pieces(w, o, obj.h.type, len)) != RC_OK)
		return rc == RC_NOMEM ? rc : RC_CORRUPT;
	return RC_OK;
}

void
write_object(struct pool_job *j)
{
	struct robj *o = (struct robj *)((char *)j -
	    offsetof(struct robj, job));
	struct restore *x = o->x;
	struct rworker *w = worker_self(x);
	size_t len = o->len;
	struct piece *p;
	int rc = RC_OK;

	if (atomic_load(&x->fatal) == RC_OK &&
	    (rc = open_object(w, o)) == RC_OK)
		for (p = o->first; p != NULL; p = p->next)
			write_piece(w, o, p);
	free(o->wire);
	o->wire = NULL;
	o->len = 0;
	atomic_store(&o->rc, rc);
	if (rc == RC_NOMEM)
		atomic_store(&x->fatal, rc);
	window_job_done(x, len);
}

/* --- files without objects --- */

/*
 * A file with several names may be somebody else's under another one: giving it
 * the owner and mode that the snapshot knows could give that away.
 */
bool
may_be_given(const struct entry *e, const struct stat *st)
{
	return geteuid() != 0 || st->st_nlink < 2 ||
	    (st->st_uid == e->uid && st->st_gid == e->gid);
}

static void
fix_meta(struct rfile *f, int dirfd)
{
	struct stat st;
	struct meta m;
	int fd;

	fd = openat(dirfd, (const char *)f->e->name, O_RDONLY | O_NOFOLLOW |
	    O_NONBLOCK | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) != 0) {
		(void)fail_errno(f);
		fd_close(&fd);
		return;
	}
	/* Looked at again: it may have been exchanged since it was judged. */
	if (!S_ISREG(st.st_mode) || !may_be_given(f->e, &st)) {
		file_fail(f, RC_IO, ESTALE);
		close(fd);
		return;
	}
	entry_meta(f->e, &m);
	atomic_fetch_or(&f->lost, meta_apply(fd, &m));
	atomic_fetch_add(&f->x->ndone, 1);
	close(fd);
}

static void
write_inline(struct rworker *w, struct rfile *f, int dirfd)
{
	const struct entry *e = f->e;
	char tmp[TARGET_TEMP_NAME];
	int fd = -1, rc;

	rc = target_temp(dirfd, (const char *)e->name, tmp, &fd);
	if (rc != RC_OK) {
		file_fail(f, rc, errno);
		return;
	}
	if (e->ref == REF_INLINE)
		rc = io_write_full(fd, e->inline_data, e->inline_len);
	else if (ftruncate(fd, (off_t)e->size) != 0)	/* holes only */
		rc = rc_errno(errno);
	if (rc == RC_OK) {
		finish(w, f, fd, dirfd, tmp);
		atomic_fetch_add(&f->x->nbytes, e->inline_len);
	} else {
		file_fail(f, rc, errno);
		(void)target_unlink(dirfd, tmp);
	}
	fd_close(&fd);
}

void
write_plain_file(struct pool_job *j)
{
	struct rfile *f = (struct rfile *)((char *)j -
	    offsetof(struct rfile, job));
	struct restore *x = f->x;
	struct rworker *w = worker_self(x);
	size_t bytes = f->e->inline_len;
	int dirfd, rc;

	if (atomic_load(&x->fatal) == RC_OK) {
		rc = tdir_open(&w->dirs, &f->dir->t, &dirfd);
		if (rc != RC_OK)
			file_fail(f, rc, errno);
		else if (f->todo == FILE_META)
			fix_meta(f, dirfd);
		else
			write_inline(w, f, dirfd);
	}
	file_piece_done(w, f);
	window_job_done(x, bytes);
}

/* --- comparing --- */

static int
compare_range(struct rworker *w, int fd, uint64_t off,
    const struct extent *x)
{
	struct object_id id;
	int rc;

	if (x->len > OBJECT_RAW_MAX)
		return RC_CORRUPT;
	if ((rc = io_pread_full(fd, w->again, x->len, off)) != RC_OK ||
	    (rc = seal_chunk_id(w->sealer, w->again, x->len, &id)) != RC_OK)
		return rc;
	return memcmp(&id, &x->id, sizeof(id)) == 0 ? RC_OK : RC_CORRUPT;
}

static bool
is_hole(struct rworker *w, int fd, uint64_t off, uint64_t len)
{
	size_t n, i;

	for (; len > 0; off += n, len -= n) {
		n = len < OBJECT_RAW_MAX ? (size_t)len : OBJECT_RAW_MAX;
		if (io_pread_full(fd, w->again, n, off) != RC_OK)
			return false;
		for (i = 0; i < n; i++)
			if (w->again[i] != 0)
				return false;
	}
	return true;
}

static int
compare_content(struct rworker *w, int fd, const struct entry *e)
{
	uint8_t fid[32];
	uint64_t off = 0;
	uint8_t i;
	int rc;

	switch (e->ref) {
	case REF_INLINE:
	case REF_BUNDLE:
		rc = io_pread_full(fd, w->again, e->size, 0);
		if (rc != RC_OK)
			return rc;
		if (e->ref == REF_INLINE)
			return memcmp(w->again, e->inline_data,
			    e->inline_len) == 0 ? RC_OK : RC_CORRUPT;
		rc = seal_file_id(w->sealer, w->again, e->size, fid);
		return rc == RC_OK && memcmp(fid, e->fid,
		    sizeof(e->fid)) == 0 ? RC_OK : RC_CORRUPT;
	case REF_EXTENTS:
		for (i = 0; i < e->next; off += e->ext[i].len, i++) {
			if (e->ext[i].hole ?
			    !is_hole(w, fd, off, e->ext[i].len) :
			    compare_range(w, fd, off, &e->ext[i]) != RC_OK)
				return RC_CORRUPT;
		}
		return RC_OK;
	default:
		/* Its blocks are listed elsewhere: written anew. */
		return RC_UNSUPPORTED;
	}
}

int
file_compare(struct rworker *w, int dirfd, const struct entry *e)
{
	int fd, rc;

	/* Lengths agree, and those of these kinds are small (entry_ok). */
	if (e->ref != REF_EXTENTS && e->size > OBJECT_RAW_MAX)
		return RC_UNSUPPORTED;
	fd = openat(dirfd, (const char *)e->name, O_RDONLY | O_NOFOLLOW |
	    O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return rc_errno(errno);
	rc = compare_content(w, fd, e);
	close(fd);
	return rc;
}
