#ifndef TESTS_FUZZ_STORE_FILE_H
#define TESTS_FUZZ_STORE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"
#include "tests/fuzz/fuzz.h"

/* A file with these bytes that nobody else sees; the caller closes it. */
static inline int
file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd >= 0 && io_pwrite_full(fd, data, size, 0) != RC_OK)
		fd_close(&fd);
	return fd;
}

#endif
