#include "config.h"

#include <errno.h>
#include <sys/stat.h>

/*
 * For tests/e2e/42-io-errors.sh: sg-store linked so that a sync of a file that
 * its group may read fails.  The store makes no such file; the test says by
 * chmod which one has a bad disk.  A tracer cannot do this: the call that it
 * puts in place of the real one is none that the filter knows.
 */
int	__real_fdatasync(int fd);
int	__wrap_fdatasync(int fd);

int
__wrap_fdatasync(int fd)
{
	struct stat sb;

	if (fstat(fd, &sb) == 0 && (sb.st_mode & S_IRGRP) != 0) {
		errno = EIO;
		return -1;
	}
	return __real_fdatasync(fd);
}
