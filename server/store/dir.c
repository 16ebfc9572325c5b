#include "config.h"

#include "server/store/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"

#define DIR_BATCH 4096

int
dir_open(int at, const char *name, int *fd)
{
	int d = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);

	if (d < 0)
		return rc_errno(errno);
	*fd = d;
	return RC_OK;
}

int
dir_make(int at, const char *name)
{
	/* One that is there may have been made just before a crash. */
	if (mkdirat(at, name, 0700) != 0 && errno != EEXIST)
		return rc_errno(errno);
	return dir_sync(at);
}

int
dir_file(int at, const char *name, int flags, int *fd)
{
	int d;

	do {
		d = openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
	} while (d < 0 && errno == EINTR);
	if (d < 0)
		return rc_errno(errno);
	*fd = d;
	return RC_OK;
}

int
dir_sync(int fd)
{
	return fsync(fd) == 0 ? RC_OK : rc_errno(errno);
}

int
dir_sync_sub(int at, const char *name)
{
	int fd, rc;

	if ((rc = dir_open(at, name, &fd)) != RC_OK)
		return rc;
	rc = dir_sync(fd);
	fd_close(&fd);
	return rc;
}

int
dir_rename(int at, const char *from, const char *to, bool replace)
{
	/* Not the C library's: without flags it makes another call of it. */
	if (syscall(SYS_renameat2, at, from, at, to,
	    replace ? 0 : RENAME_NOREPLACE) != 0)
		return rc_errno(errno);
	return RC_OK;
}

int
dir_unlink(int at, const char *name)
{
	if (unlinkat(at, name, 0) != 0 && errno != ENOENT)
		return rc_errno(errno);
	return RC_OK;
}

int
dir_write(int at, const char *name, const char *tmp, const void *p, size_t n)
{
	int fd = -1, rc;

	if ((rc = dir_file(at, tmp, O_WRONLY | O_CREAT | O_TRUNC, &fd)) !=
	    RC_OK)
		return rc;
	if ((rc = io_pwrite_full(fd, p, n, 0)) == RC_OK && fdatasync(fd) != 0)
		rc = rc_errno(errno);
	fd_close(&fd);
	if (rc == RC_OK)
		rc = dir_rename(at, tmp, name, true);
	if (rc == RC_OK)
		rc = dir_sync(at);
	else
		(void)dir_unlink(at, tmp);
	return rc;
}

int
dir_read(int at, const char *name, void *p, size_t size, size_t *n)
{
	uint64_t len;
	int fd = -1, rc;

	if ((rc = dir_file(at, name, O_RDONLY, &fd)) != RC_OK)
		return rc;
	if ((rc = dir_file_size(fd, &len)) == RC_OK) {
		if (len > size)
			rc = RC_LIMIT;
		else if ((rc = io_pread_full(fd, p, (size_t)len, 0)) == RC_OK)
			*n = (size_t)len;
	}
	fd_close(&fd);
	return rc;
}

int
dir_each(int at, int (*fn)(void *arg, const char *name), void *arg)
{
	_Alignas(struct dirent64) char buf[DIR_BATCH];
	ssize_t n;
	int fd = -1, rc;

	/* A descriptor of its own: the position belongs to the open file. */
	if ((rc = dir_open(at, ".", &fd)) != RC_OK)
		return rc;
	while (rc == RC_OK) {
		if ((n = getdents64(fd, buf, sizeof(buf))) == 0)
			break;
		if (n < 0) {
			rc = rc_errno(errno);
			break;
		}
		for (ssize_t at_byte = 0; at_byte < n && rc == RC_OK;) {
			struct dirent64 *d = (void *)(buf + at_byte);

			at_byte += d->d_reclen;
			if (strcmp(d->d_name, ".") != 0 &&
			    strcmp(d->d_name, "..") != 0)
				rc = fn(arg, d->d_name);
		}
	}
	fd_close(&fd);
	return rc;
}

int
dir_file_size(int fd, uint64_t *size)
{
	struct stat sb;

	if (fstat(fd, &sb) != 0)
		return rc_errno(errno);
	*size = (uint64_t)sb.st_size;
	return RC_OK;
}

bool
hex_number(const char *s, size_t len, size_t digits, uint64_t *v)
{
	uint64_t r = 0;

	if (len < digits || len > 15)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] >= '0' && s[i] <= '9')
			r = r << 4 | (uint64_t)(s[i] - '0');
		else if (s[i] >= 'a' && s[i] <= 'f')
			r = r << 4 | (uint64_t)(s[i] - 'a' + 10);
		else
			return false;
	}
	*v = r;
	return true;
}

void
hex_put(char *out, const uint8_t *p, size_t n)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digit[p[i] >> 4];
		out[2 * i + 1] = digit[p[i] & 15];
	}
	out[2 * n] = '\0';
}
