#include "config.h"

#include "client/engine/target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"

#define OPEN_DIR	(O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define PIECE_MAX	3072u		/* of a path given to the kernel at once */
#define EAGAIN_MAX	8		/* RESOLVE_BENEATH meets a rename */

static _Atomic bool no_openat2;

void
target_without_openat2(bool on)
{
	no_openat2 = on;
}

int
target_name_check(const char *name, size_t len)
{
	if (len == 0 || len > NAME_MAX || memchr(name, '/', len) != NULL ||
	    memchr(name, '\0', len) != NULL)
		return RC_RANGE;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return RC_RANGE;
	return RC_OK;
}

/* Name by name, each without following. */
static int
open_by_steps(int dirfd, const char *path, int *fd)
{
	char name[NAME_MAX + 1];
	int at = dirfd, next;
	size_t len;

	do {
		len = strcspn(path, "/");
		if (target_name_check(path, len) != RC_OK) {
			if (at != dirfd)
				close(at);
			return RC_RANGE;
		}
		memcpy(name, path, len);
		name[len] = '\0';
		next = openat(at, name, OPEN_DIR);
		if (at != dirfd) {
			int e = errno;

			close(at);
			errno = e;
		}
		if (next == -1)
			return rc_errno(errno);
		at = next;
		path += len;
		path += *path == '/';
	} while (*path != '\0');
	*fd = at;
	return RC_OK;
}

int
target_open_dir(int dirfd, const char *path, int *fd)
{
	struct open_how how = {
		.flags = OPEN_DIR,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
		    RESOLVE_NO_MAGICLINKS,
	};
	long n;
	int i;

	for (i = 0; !no_openat2 && i < EAGAIN_MAX; i++) {
		n = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (n >= 0) {
			*fd = (int)n;
			return RC_OK;
		}
		if (errno == ENOSYS || errno == EPERM || errno == E2BIG)
			no_openat2 = true;
		else if (errno != EAGAIN)
			return rc_errno(errno);
	}
	return open_by_steps(dirfd, path, fd);
}

/* --- open directories --- */

void
tdir_cache_init(struct tdir_cache *c, const struct target *t)
{
	size_t i;

	memset(c, 0, sizeof(*c));
	c->target = t;
	for (i = 0; i < TARGET_OPEN_DIRS; i++)
		c->slot[i].fd = -1;
}

void
tdir_cache_clear(struct tdir_cache *c)
{
	size_t i;

	for (i = 0; i < TARGET_OPEN_DIRS; i++) {
		fd_close(&c->slot[i].fd);
		c->slot[i].id = 0;
	}
}

static int
cached(struct tdir_cache *c, const struct tdir *d)
{
	size_t i;

	for (i = 0; i < TARGET_OPEN_DIRS; i++)
		if (c->slot[i].id == d->id && c->slot[i].fd != -1) {
			c->slot[i].used = ++c->clock;
			return c->slot[i].fd;
		}
	return -1;
}

static void
keep(struct tdir_cache *c, const struct tdir *d, int fd)
{
	size_t i, oldest = 0;

	for (i = 1; i < TARGET_OPEN_DIRS; i++)
		if (c->slot[i].used < c->slot[oldest].used)
			oldest = i;
	fd_close(&c->slot[oldest].fd);
	c->slot[oldest].id = d->id;
	c->slot[oldest].fd = fd;
	c->slot[oldest].used = ++c->clock;
}

/* The path from `from` (not in it) down to d, if it is at most PIECE_MAX long;
 * otherwise *from is moved down to where it is. */
static void
path_between(const struct tdir **from, const struct tdir *d,
    char path[PIECE_MAX])
{
	const struct tdir *p;
	size_t len = 0, at;

	for (p = d; p != *from; p = p->parent) {
		if (len + p->name_len + 1 > PIECE_MAX) {
			*from = p;
			break;
		}
		len += p->name_len + 1;
	}
	if ((at = len) == 0) {		/* d itself: no name is that long */
		path[0] = '\0';
		return;
	}
	for (p = d; p != *from; p = p->parent) {
		at -= p->name_len + 1;
		memcpy(path + at, p->name, p->name_len);
		path[at + p->name_len] = at + p->name_len + 1 == len ?
		    '\0' : '/';
	}
}

/*
 * A deep directory is reached from an ancestor that is open, in pieces that the
 * kernel takes; what lies on the way is opened first.  The loop goes down one
 * piece at a time, so nothing here is as deep as the tree.
 */
int
tdir_open(struct tdir_cache *c, const struct tdir *d, int *fd)
{
	const struct tdir *from, *to;
	char path[PIECE_MAX];
	int at, next, rc;

	if (d->parent == NULL) {
		*fd = c->target->fd;
		return RC_OK;
	}
	while ((*fd = cached(c, d)) == -1) {
		for (from = d; from->parent != NULL && cached(c, from) == -1;
		    from = from->parent)
			;
		at = from->parent == NULL ? c->target->fd : cached(c, from);
		/* The lowest directory within reach of `from`. */
		to = d;
		for (;;) {
			const struct tdir *low = from;

			path_between(&low, to, path);
			if (low == from)
				break;
			to = low;
		}
		if ((rc = target_open_dir(at, path, &next)) != RC_OK)
			return rc;
		keep(c, to, next);
	}
	return RC_OK;
}

/* --- files --- */

/* ".sg~" and the name; a long one is cut and ends in a hash of the whole. */
static void
temp_name(const char *name, unsigned n, char tmp[TARGET_TEMP_NAME])
{
	uint64_t h = 0xcbf29ce484222325ull;
	const char *p;

	if (strlen(name) <= NAME_MAX - 7) {
		if (n == 0)
			snprintf(tmp, TARGET_TEMP_NAME, ".sg~%s", name);
		else
			snprintf(tmp, TARGET_TEMP_NAME, ".sg~%u~%s", n, name);
		return;
	}
	for (p = name; *p != '\0'; p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3ull;
	snprintf(tmp, TARGET_TEMP_NAME, ".sg~%u~%.200s%016llx", n, name,
	    (unsigned long long)h);
}

static bool
is_leftover(int dirfd, const char *tmp)
{
	struct stat st;

	return fstatat(dirfd, tmp, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) &&
	    (st.st_mode & 07777) == TARGET_TEMP_MODE;
}

int
target_temp(int dirfd, const char *name, char tmp[TARGET_TEMP_NAME], int *fd)
{
	unsigned n;

	for (n = 0; n < 10; n++) {
		temp_name(name, n, tmp);
		*fd = openat(dirfd, tmp, O_RDWR | O_CREAT | O_EXCL |
		    O_NOFOLLOW | O_CLOEXEC, TARGET_TEMP_MODE);
		if (*fd == -1 && errno == EEXIST && is_leftover(dirfd, tmp) &&
		    unlinkat(dirfd, tmp, 0) == 0)
			*fd = openat(dirfd, tmp, O_RDWR | O_CREAT | O_EXCL |
			    O_NOFOLLOW | O_CLOEXEC, TARGET_TEMP_MODE);
		if (*fd != -1)
			return RC_OK;
		if (errno != EEXIST)
			return rc_errno(errno);
	}
	return RC_EXISTS;
}

int
target_temp_open(int dirfd, const char *tmp, const struct stat *made, int *fd)
{
	struct stat st;

	*fd = openat(dirfd, tmp, O_RDWR | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK);
	if (*fd == -1)
		return rc_errno(errno);
	/* A number alone is not enough: it is given out again. */
	if (fstat(*fd, &st) != 0 || st.st_dev != made->st_dev ||
	    st.st_ino != made->st_ino || st.st_uid != made->st_uid ||
	    st.st_mode != made->st_mode || st.st_nlink != 1) {
		fd_close(fd);
		errno = ESTALE;
		return RC_IO;
	}
	return RC_OK;
}

int
target_rename(int dirfd, const char *tmp, const char *name)
{
	return renameat(dirfd, tmp, dirfd, name) == 0 ? RC_OK :
	    rc_errno(errno);
}

int
target_unlink(int dirfd, const char *name)
{
	return unlinkat(dirfd, name, 0) == 0 || errno == ENOENT ? RC_OK :
	    rc_errno(errno);
}
