#include "config.h"

#include "common/io.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/rc.h"
#include "common/secret.h"

#define TEMP_TRIES	8

/* Reads n bytes, or up to the end of the file: *got tells. */
static int
read_upto(int fd, uint8_t *p, size_t n, size_t *got)
{
	*got = 0;
	while (*got < n) {
		ssize_t r = read(fd, p + *got, n - *got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return rc_errno(errno);
		if (r == 0)
			break;
		*got += (size_t)r;
	}
	return RC_OK;
}

int
io_read_full(int fd, void *p, size_t n)
{
	size_t got;
	int rc;

	if ((rc = read_upto(fd, p, n, &got)) != RC_OK)
		return rc;
	if (got == n)
		return RC_OK;
	return got == 0 ? RC_EOF : RC_TRUNCATED;
}

int
io_write_full(int fd, const void *p, size_t n)
{
	const uint8_t *from = p;

	while (n > 0) {
		ssize_t r = write(fd, from, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return rc_errno(errno);
		from += r;
		n -= (size_t)r;
	}
	return RC_OK;
}

/* off_t is signed: no part of [off, off + n) may lie beyond what it holds. */
static int
range_ok(uint64_t off, size_t n)
{
	if (off > (uint64_t)INT64_MAX || n > (uint64_t)INT64_MAX - off) {
		errno = EOVERFLOW;
		return RC_RANGE;
	}
	return RC_OK;
}

int
io_pread_full(int fd, void *p, size_t n, uint64_t off)
{
	uint8_t *to = p;
	int rc;

	if ((rc = range_ok(off, n)) != RC_OK)
		return rc;
	while (n > 0) {
		ssize_t r = pread(fd, to, n, (off_t)off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return rc_errno(errno);
		if (r == 0)
			return RC_TRUNCATED;
		to += r;
		off += (uint64_t)r;
		n -= (size_t)r;
	}
	return RC_OK;
}

int
io_pwrite_full(int fd, const void *p, size_t n, uint64_t off)
{
	const uint8_t *from = p;
	int rc;

	if ((rc = range_ok(off, n)) != RC_OK)
		return rc;
	while (n > 0) {
		ssize_t r = pwrite(fd, from, n, (off_t)off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return rc_errno(errno);
		from += r;
		off += (uint64_t)r;
		n -= (size_t)r;
	}
	return RC_OK;
}

/* Not repeated after EINTR: on Linux the descriptor is gone by then. */
void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = saved;
}

uint64_t
io_now_ms(void)
{
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int64_t
io_wall_ns(void)
{
	struct timespec ts = { 0 };

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int
open_temp(int dirfd, char *name, size_t size, mode_t mode)
{
	uint64_t r;
	int fd = -1;

	for (int i = 0; i < TEMP_TRIES && fd == -1; i++) {
		if (secret_random(&r, sizeof(r)) != RC_OK) {
			errno = EIO;
			return -1;
		}
		snprintf(name, size, ".tmp-%016llx", (unsigned long long)r);
		fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL |
		    O_NOFOLLOW | O_CLOEXEC, mode);
		if (fd == -1 && errno != EEXIST && errno != EINTR)
			break;
	}
	return fd;
}

/* The directory that holds name, and the name's last part.  It is opened anew
 * since AT_FDCWD and descriptors made with O_PATH cannot be synced. */
static int
open_parent(int dirfd, const char *name, const char **base)
{
	const char *slash = strrchr(name, '/');
	char dir[PATH_MAX];
	size_t n;

	*base = slash == NULL ? name : slash + 1;
	if (slash == NULL)
		n = (size_t)snprintf(dir, sizeof(dir), ".");
	else if (slash == name)
		n = (size_t)snprintf(dir, sizeof(dir), "/");
	else
		n = (size_t)snprintf(dir, sizeof(dir), "%.*s",
		    (int)(slash - name), name);
	if (n >= sizeof(dir)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
write_temp(int fd, const void *p, size_t n, mode_t mode)
{
	int rc;

	/* No umask takes the owner's bits, so a private file needs no fchmod
	 * and a role that writes only such files need not be allowed it. */
	if ((mode & 077) != 0 && fchmod(fd, mode) != 0)
		return rc_errno(errno);
	if ((rc = io_write_full(fd, p, n)) != RC_OK)
		return rc;
	return fdatasync(fd) == 0 ? RC_OK : rc_errno(errno);
}

int
io_write_file(int dirfd, const char *name, const void *p, size_t n, mode_t mode)
{
	char temp[32];
	const char *base;
	int dir, fd = -1, rc, saved;

	if ((dir = open_parent(dirfd, name, &base)) == -1)
		return rc_errno(errno);
	if ((fd = open_temp(dir, temp, sizeof(temp), mode)) == -1) {
		rc = rc_errno(errno);
		goto out;
	}
	rc = write_temp(fd, p, n, mode);
	/* one call for every role: the C library's renameat2() with no flags is
	 * renameat(), which the filters leave out */
	if (rc == RC_OK &&
	    syscall(SYS_renameat2, dir, temp, dir, base, 0) != 0)
		rc = rc_errno(errno);
	if (rc != RC_OK) {
		saved = errno;
		unlinkat(dir, temp, 0);
		errno = saved;
	} else if (fsync(dir) != 0) {
		rc = rc_errno(errno);
	}
out:
	fd_close(&fd);
	fd_close(&dir);
	return rc;
}

static int
read_growing(int fd, uint8_t **out, size_t *len, size_t max)
{
	size_t size = max < 4096 ? max : 4096, have = 0, got;
	uint8_t *p, *bigger;
	int rc;

	if ((p = malloc(size + 1)) == NULL)
		return RC_NOMEM;
	for (;;) {
		/* The byte behind is for the NUL, and shows one too many. */
		rc = read_upto(fd, p + have, size + 1 - have, &got);
		have += got;
		if (rc != RC_OK || have <= size)
			break;
		if (size == max) {
			rc = RC_LIMIT;
			break;
		}
		size = size > max / 2 ? max : size * 2;
		if ((bigger = malloc(size + 1)) == NULL) {
			rc = RC_NOMEM;
			break;
		}
		memcpy(bigger, p, have);
		secret_wipe(p, have);
		free(p);
		p = bigger;
	}
	if (rc != RC_OK) {
		secret_wipe(p, have);
		free(p);
		return rc;
	}
	p[have] = '\0';
	*out = p;
	*len = have;
	return RC_OK;
}

int
io_read_file(int dirfd, const char *name, uint8_t **out, size_t *len,
    size_t max)
{
	int fd, rc;

	/* Non-blocking, so that a fifo of that name cannot hold us. */
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC);
	if (fd == -1)
		return rc_errno(errno);
	rc = read_growing(fd, out, len, max);
	fd_close(&fd);
	return rc;
}
