#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include <stddef.h>

/*
 * A deliberately small HTTP/1.1 (RFC 9112): GET, HEAD, POST, PUT, DELETE; CRLF only;
 * no folded lines; exactly one Host; at most one Content-Length, digits only;
 * any Transfer-Encoding, Expect or Upgrade is refused; anything odd is 400 and
 * the connection closes.
 */
#define HTTP_HEAD_MAX	16384		/* request line and headers */
#define HTTP_TARGET_MAX	2048
#define HTTP_HEADERS_MAX 48
#define HTTP_BODY_MAX	65536
#define HTTP_SEGMENTS_MAX 8
#define HTTP_SEGMENT_MAX 128

enum http_method {
	HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE,
};

struct http_request {
	enum http_method method;
	/* the path, decoded once and split at '/': "/api/v1/x" is three */
	char		 segment[HTTP_SEGMENTS_MAX][HTTP_SEGMENT_MAX];
	size_t		 segments;
	char		 host[256];
	size_t		 body_len;	/* from Content-Length; 0 without */
};

/*
 * Look for a whole head in the first `len` bytes.  RC_AGAIN: not all there yet
 * (RC_LIMIT once it is longer than HTTP_HEAD_MAX); RC_OK: parsed, *head_len bytes
 * of it; RC_PROTO: answer 400 and close.
 */
int	http_parse(const char *p, size_t len, struct http_request *r,
	    size_t *head_len);

#endif
