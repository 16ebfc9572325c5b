#ifndef COMMON_IO_H
#define COMMON_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All of these loop over EINTR and short counts.  Failures are rc_errno(errno),
 * with errno left for the log line. */
int	io_read_full(int fd, void *p, size_t n);	/* RC_EOF when it ends at 0 bytes, RC_TRUNCATED in between */
int	io_write_full(int fd, const void *p, size_t n);
int	io_pread_full(int fd, void *p, size_t n, uint64_t off);	/* RC_TRUNCATED at a clean end of file */
int	io_pwrite_full(int fd, const void *p, size_t n, uint64_t off);

/* Close and set to -1; takes -1. */
void	fd_close(int *fd);

/* Monotonic milliseconds (CLOCK_MONOTONIC), and wall nanoseconds. */
uint64_t	io_now_ms(void);
int64_t		io_wall_ns(void);

/*
 * Replace dirfd/name by these bytes, durably: temporary name beside it, mode,
 * fdatasync, rename, fsync of the directory.  Where that last step fails the
 * file has its new contents, but may not keep them through a power cut.
 */
int	io_write_file(int dirfd, const char *name, const void *p, size_t n,
	    mode_t mode);
/* Read all of dirfd/name; RC_LIMIT over max.  Caller frees *out (wipe it when
 * it held a secret); a NUL that *len does not count follows the bytes. */
int	io_read_file(int dirfd, const char *name, uint8_t **out, size_t *len,
	    size_t max);

#endif
