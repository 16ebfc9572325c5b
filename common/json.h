#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wbuf.h"

/*
 * JSON writer (RFC 8259) into a wbuf.  Commas and nesting are its business; name
 * is the member's name, NULL inside an array and at the top.  Strings that are
 * not UTF-8 have their wrong bytes replaced by U+FFFD;
 * json_put_name() adds the
 * exact bytes as hex beside such a string.  Failures are remembered by the wbuf.
 */
#define JSON_WRITE_DEPTH 16

struct json {
	struct wbuf	*out;
	int		 depth;
	bool		 comma[JSON_WRITE_DEPTH + 1];
};

void	json_init(struct json *j, struct wbuf *out);
void	json_object(struct json *j, const char *name);
void	json_array(struct json *j, const char *name);
void	json_end(struct json *j);		/* of the innermost object or array */
void	json_end_array(struct json *j);
void	json_put_str(struct json *j, const char *name, const char *s);
void	json_put_bytes(struct json *j, const char *name, const void *p,
	    size_t n);				/* text of n bytes */
/* json_put_bytes(), and name_hex when the bytes are not valid UTF-8. */
void	json_put_name(struct json *j, const char *name, const void *p,
	    size_t n);
void	json_put_hex(struct json *j, const char *name, const void *p, size_t n);
void	json_put_i64(struct json *j, const char *name, int64_t v);
void	json_put_u64(struct json *j, const char *name, uint64_t v);
void	json_put_ms(struct json *j, const char *name, uint64_t ms);
					/* as seconds: 1234 is 1.234 */
void	json_put_bool(struct json *j, const char *name, bool v);
void	json_put_null(struct json *j, const char *name);

/* Length of the valid UTF-8 sequence (RFC 3629) at p, 0 when there is none. */
size_t	utf8_sequence(const unsigned char *p, const unsigned char *end);

#endif
