#ifndef CLIENT_CLI_ESCAPE_H
#define CLIENT_CLI_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wbuf.h"

/*
 * Names and texts that somebody else chose, made fit for a terminal: control
 * characters, what turns the direction of writing or hides itself, and bytes
 * that are not UTF-8 become \xHH or \u{HHHH}; a backslash is doubled, so that
 * the result can be read back.  ascii: everything beyond ASCII, too (for a
 * terminal that does not speak UTF-8, where it could hold control bytes).
 */
void	escape_put(struct wbuf *out, const void *p, size_t n, bool ascii);
/* Escaped and NUL-terminated, valid until the next use of buf. */
const char *escaped(struct wbuf *buf, const void *p, size_t n, bool ascii);
/* Columns that escaped text takes on a terminal, and where to cut it so that
 * it takes at most `columns`. */
size_t	escape_cut(const char *text, size_t columns);

/* "1.2 GiB" */
void	human_bytes(uint64_t n, char *out, size_t size);
/* "12,345" */
void	human_count(uint64_t n, char *out, size_t size);
/* "1:02:03", "0:42" */
void	human_seconds(uint64_t s, char *out, size_t size);
/* "2026-11-24T13:31:10.000000000Z" */
void	rfc3339(int64_t ns, char *out, size_t size);
/* "2026-11-24 14:31:10", local time */
void	local_time(int64_t s, char *out, size_t size);
/* "drwxr-xr-x" */
void	mode_text(uint32_t mode, char out[11]);
/* "file", "dir", "symlink", "fifo", "socket", "char", "block" */
const char *mode_kind(uint32_t mode);

#endif
