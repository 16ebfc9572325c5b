#ifndef SERVER_DISCOVERY_PEERHTTP_H
#define SERVER_DISCOVERY_PEERHTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/wbuf.h"

/*
 * The client end of the small HTTP/1.1 (RFC 9112) that installations speak to
 * each other.  An answer is a status line, headers and a body of exactly
 * Content-Length bytes: no chunks, no body up to the end of the connection, no
 * coding, no 1xx.  Anything odd is RC_PROTO and the end of the connection.
 */
#define PEERHTTP_HEAD_MAX	8192
#define PEERHTTP_HEADERS_MAX	48
#define PEERHTTP_BODY_MAX	65536

struct peerhttp_answer {
	unsigned	status;		/* 200..599 */
	size_t		head_len, body_len;
	bool		close;		/* no further request on this one */
};

/* A whole request.  body NULL: GET, otherwise POST with JSON. */
void	peerhttp_request(struct wbuf *out, const char *path,
	    const struct wbuf *body);
/* RC_AGAIN: the head is not all there yet; RC_OK: it is, and head_len and
 * body_len say how long the whole answer is; RC_PROTO, RC_LIMIT. */
int	peerhttp_parse(const char *p, size_t len, struct peerhttp_answer *a);

#endif
