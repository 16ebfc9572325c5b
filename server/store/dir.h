#ifndef STORE_DIR_H
#define STORE_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Names below a few fixed directory descriptors.  Every name is one that store
 * computed itself; nothing here follows a link or leaves its directory.  All
 * failures are rc_errno(errno).
 */
#define DIR_NAME_MAX 80

/* A descriptor of the directory `at`/name. */
int	dir_open(int at, const char *name, int *fd);
/* Make it (0700) if it is not there, and make its entry durable. */
int	dir_make(int at, const char *name);
/* flags as openat(2); O_NOFOLLOW and O_CLOEXEC are added, mode 0600. */
int	dir_file(int at, const char *name, int flags, int *fd);
int	dir_sync(int fd);
/* The directory `at`/name is synced, through a descriptor of its own. */
int	dir_sync_sub(int at, const char *name);
int	dir_rename(int at, const char *from, const char *to, bool replace);
/* RC_OK also when it was not there. */
int	dir_unlink(int at, const char *name);
/* Replace `at`/name by these bytes, durably; tmp is its name meanwhile. */
int	dir_write(int at, const char *name, const char *tmp, const void *p,
	    size_t n);
/* Read up to size bytes; *n tells how many there were.  RC_LIMIT: more. */
int	dir_read(int at, const char *name, void *p, size_t size, size_t *n);
/* Calls fn for each entry of `at` but . and .., in no order; stops when fn
 * fails and returns what it returned. */
int	dir_each(int at, int (*fn)(void *arg, const char *name), void *arg);
int	dir_file_size(int fd, uint64_t *size);

/* `digits` or more hex digits and nothing else; false otherwise. */
bool	hex_number(const char *s, size_t len, size_t digits, uint64_t *v);
void	hex_put(char *out, const uint8_t *p, size_t n);	/* 2n + 1 bytes */

#endif
