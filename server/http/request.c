#include "config.h"

#include "server/http/request.h"

#include <stdbool.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"

/* What is left of the head, one line at a time. */
struct lines {
	const char	*p, *end;
};

/* pchar of RFC 3986, without the percent sign */
static bool
is_path_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') ||
	    (c != 0 && strchr("-._~!$&'()*+,;=:@", c) != NULL);
}

/* Next line without its CRLF.  A bare CR, bare LF or NUL is refused. */
static int
next_line(struct lines *in, const char **line, size_t *len)
{
	const char *p;

	for (p = in->p; p < in->end; p++) {
		if (*p == '\r') {
			if (p + 1 == in->end || p[1] != '\n')
				return RC_PROTO;
			*line = in->p;
			*len = (size_t)(p - in->p);
			in->p = p + 2;
			return RC_OK;
		}
		if (*p == '\n' || *p == '\0')
			return RC_PROTO;
	}
	return RC_PROTO;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One path segment, percent-decoded once.  Control characters, '/' and dot
 * segments are refused, so no route can be reached by two spellings. */
static int
add_segment(struct http_request *r, const char *p, size_t len)
{
	char *out;
	size_t i, n = 0;
	int hi, lo;

	if (len == 0 || r->segments == HTTP_SEGMENTS_MAX)
		return RC_PROTO;
	out = r->segment[r->segments];
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '%') {
			if (len - i < 3 || (hi = hex_digit(p[i + 1])) < 0 ||
			    (lo = hex_digit(p[i + 2])) < 0)
				return RC_PROTO;
			c = (unsigned char)(hi << 4 | lo);
			i += 2;
		} else if (!is_path_char(c)) {
			return RC_PROTO;
		}
		if (c < 0x20 || c == 0x7f || c == '/' ||
		    n + 1 == HTTP_SEGMENT_MAX)
			return RC_PROTO;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	if (strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
		return RC_PROTO;
	r->segments++;
	return RC_OK;
}

static int
parse_target(struct http_request *r, const char *p, size_t len)
{
	const char *slash, *query;
	int rc;

	if (len == 0 || len > HTTP_TARGET_MAX || p[0] != '/')
		return RC_PROTO;
	if ((query = memchr(p, '?', len)) != NULL) {
		size_t n = (size_t)(query - p) + 1;

		if ((rc = http_parse_query(&r->query, query + 1, len - n)) !=
		    RC_OK)
			return rc;
		len = n - 1;
	}
	p++;
	len--;
	while (len > 0) {
		slash = memchr(p, '/', len);
		size_t n = slash == NULL ? len : (size_t)(slash - p);

		if ((rc = add_segment(r, p, n)) != RC_OK)
			return rc;
		if (slash == NULL)
			break;
		p += n + 1;
		len -= n + 1;
		if (len == 0)		/* a trailing slash is another name */
			return RC_PROTO;
	}
	return RC_OK;
}

static int
parse_request_line(struct http_request *r, const char *p, size_t len)
{
	static const struct {
		const char *name; enum http_method method;
	} methods[] = {
		{ "GET ", HTTP_GET }, { "HEAD ", HTTP_HEAD },
		{ "POST ", HTTP_POST }, { "PUT ", HTTP_PUT },
		{ "DELETE ", HTTP_DELETE },
	};
	static const char version[] = " HTTP/1.1";
	size_t i, n, v = sizeof(version) - 1;

	if (len < v || memcmp(p + len - v, version, v) != 0)
		return RC_PROTO;
	len -= v;
	for (i = 0; i < NITEMS(methods); i++) {
		n = strlen(methods[i].name);
		if (len > n && memcmp(p, methods[i].name, n) == 0) {
			r->method = methods[i].method;
			return parse_target(r, p + n, len - n);
		}
	}
	return RC_PROTO;
}

/* Bytes of the head with its empty line, 0 when that has not come. */
static size_t
find_end(const char *p, size_t len)
{
	const char *at = memmem(p, len, "\r\n\r\n", 4);

	return at == NULL ? 0 : (size_t)(at - p) + 4;
}

int
http_parse(const char *p, size_t len, struct http_request *r,
    size_t *head_len)
{
	struct lines in;
	unsigned int seen = 0;
	const char *line;
	size_t n, headers = 0;
	int rc;

	if ((*head_len = find_end(p, len)) == 0)
		return len >= HTTP_HEAD_MAX ? RC_LIMIT : RC_AGAIN;
	if (*head_len > HTTP_HEAD_MAX)
		return RC_LIMIT;
	memset(r, 0, sizeof(*r));
	in.p = p;
	in.end = p + *head_len;
	if ((rc = next_line(&in, &line, &n)) != RC_OK ||
	    (rc = parse_request_line(r, line, n)) != RC_OK)
		return rc;
	for (;;) {
		if ((rc = next_line(&in, &line, &n)) != RC_OK)
			return rc;
		if (n == 0)
			break;
		if (headers++ == HTTP_HEADERS_MAX)
			return RC_LIMIT;
		if ((rc = http_parse_header(r, &seen, line, n)) != RC_OK)
			return rc;
	}
	return (seen & HTTP_SEEN_HOST) != 0 ? RC_OK : RC_PROTO;
}
