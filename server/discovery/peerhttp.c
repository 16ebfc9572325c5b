#include "config.h"

#include "server/discovery/peerhttp.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/rc.h"

/*
 * The process that speaks was given a socket, not an address, and has no call to
 * ask for it; a server takes any literal address as a name of its own.
 */
#define HOST	"0.0.0.0"

void
peerhttp_request(struct wbuf *out, const char *path, const struct wbuf *body)
{
	char head[512];
	int n;

	n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: " HOST
	    "\r\nAccept: application/json\r\n", body != NULL ? "POST" : "GET",
	    path);
	wbuf_bytes(out, head, (size_t)n);
	if (body != NULL) {
		n = snprintf(head, sizeof(head),
		    "Content-Type: application/json\r\n"
		    "Content-Length: %zu\r\n", body->len);
		wbuf_bytes(out, head, (size_t)n);
	}
	wbuf_bytes(out, "\r\n", 2);
	if (body != NULL)
		wbuf_bytes(out, body->data, body->len);
}

static bool
is_token(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

/* Next line without its CRLF.  A bare CR, a bare LF and a NUL are refused. */
static int
next_line(const char **p, const char *end, const char **line, size_t *len)
{
	const char *at;

	for (at = *p; at < end; at++) {
		if (*at == '\n' || *at == '\0')
			return RC_PROTO;
		if (*at != '\r')
			continue;
		if (at + 1 == end || at[1] != '\n')
			return RC_PROTO;
		*line = *p;
		*len = (size_t)(at - *p);
		*p = at + 2;
		return RC_OK;
	}
	return RC_PROTO;
}

/* "HTTP/1.1 200 OK"; the reason may be empty, the blank before it not. */
static int
parse_status(const char *p, size_t len, unsigned *status)
{
	static const char version[] = "HTTP/1.1 ";
	const size_t v = sizeof(version) - 1;
	unsigned n = 0;
	size_t i;

	if (len < v + 4 || memcmp(p, version, v) != 0 || p[v + 3] != ' ')
		return RC_PROTO;
	for (i = v; i < v + 3; i++) {
		if (p[i] < '0' || p[i] > '9')
			return RC_PROTO;
		n = n * 10 + (unsigned)(p[i] - '0');
	}
	for (i = v + 4; i < len; i++)
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
			return RC_PROTO;
	if (n < 200 || n > 599)
		return RC_PROTO;
	*status = n;
	return RC_OK;
}

static int
parse_length(const char *p, size_t len, size_t *out)
{
	size_t v = 0;

	if (len == 0 || len > 7)
		return RC_PROTO;
	for (size_t i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return RC_PROTO;
		v = v * 10 + (size_t)(p[i] - '0');
	}
	if (v > PEERHTTP_BODY_MAX)
		return RC_LIMIT;
	*out = v;
	return RC_OK;
}

static bool
is(const char *p, size_t len, const char *what)
{
	return len == strlen(what) && strncasecmp(p, what, len) == 0;
}

static int
take_header(struct peerhttp_answer *a, bool *has_length, const char *name,
    size_t n, const char *value, size_t len)
{
	if (is(name, n, "content-length")) {
		if (*has_length)
			return RC_PROTO;
		*has_length = true;
		return parse_length(value, len, &a->body_len);
	}
	if (is(name, n, "connection")) {
		a->close = a->close || is(value, len, "close");
		return RC_OK;
	}
	if (is(name, n, "transfer-encoding") || is(name, n, "trailer") ||
	    is(name, n, "content-encoding") || is(name, n, "upgrade"))
		return RC_PROTO;
	return RC_OK;
}

static int
parse_header(struct peerhttp_answer *a, bool *has_length, const char *p,
    size_t len)
{
	const char *colon, *value, *end = p + len;

	if ((colon = memchr(p, ':', len)) == NULL || colon == p)
		return RC_PROTO;
	for (const char *c = p; c < colon; c++)
		if (!is_token((unsigned char)*c))
			return RC_PROTO;
	value = colon + 1;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (const char *c = value; c < end; c++)
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
			return RC_PROTO;
	return take_header(a, has_length, p, (size_t)(colon - p), value,
	    (size_t)(end - value));
}

int
peerhttp_parse(const char *p, size_t len, struct peerhttp_answer *a)
{
	struct peerhttp_answer r = { 0 };
	const char *at, *end, *line;
	bool has_length = false;
	size_t n, headers = 0;
	int rc;

	at = memmem(p, len < PEERHTTP_HEAD_MAX ? len : PEERHTTP_HEAD_MAX,
	    "\r\n\r\n", 4);
	if (at == NULL)
		return len >= PEERHTTP_HEAD_MAX ? RC_LIMIT : RC_AGAIN;
	end = at + 4;
	r.head_len = (size_t)(end - p);
	if ((rc = next_line(&p, end, &line, &n)) != RC_OK ||
	    (rc = parse_status(line, n, &r.status)) != RC_OK)
		return rc;
	for (;;) {
		if ((rc = next_line(&p, end, &line, &n)) != RC_OK)
			return rc;
		if (n == 0)
			break;
		if (headers++ == PEERHTTP_HEADERS_MAX)
			return RC_LIMIT;
		if ((rc = parse_header(&r, &has_length, line, n)) != RC_OK)
			return rc;
	}
	if (!has_length)
		return RC_PROTO;
	*a = r;
	return RC_OK;
}
