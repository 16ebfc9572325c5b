#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A deliberately small HTTP/1.1 (RFC 9112): GET, HEAD, POST, PUT, DELETE; CRLF only;
 * no folded lines; exactly one Host; at most one Content-Length, digits only, and
 * only POST and PUT have a body; any Transfer-Encoding, Expect or Upgrade is
 * refused; a header that decides anything stands once; anything odd is 400 and
 * the connection closes.
 */
#define HTTP_HEAD_MAX	16384		/* request line and headers */
#define HTTP_TARGET_MAX	2048
#define HTTP_HEADERS_MAX 48
#define HTTP_BODY_MAX	65536
#define HTTP_SEGMENTS_MAX 8
#define HTTP_SEGMENT_MAX 128
#define HTTP_BEARER_MAX	128
#define HTTP_CSRF_LEN	32

enum http_method {
	HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE,
};

/* The query: a fixed set of names, each at most once; bits for what was given. */
#define HTTP_Q_AFTER	0x01
#define HTTP_Q_BEFORE	0x02
#define HTTP_Q_N	0x04
#define HTTP_Q_SINCE	0x08
#define HTTP_Q_DAYS	0x10
#define HTTP_Q_CLIENT	0x20
struct http_query {
	unsigned int	 given;		/* HTTP_Q_* */
	uint64_t	 after, before, n, since, days;	/* at most INT64_MAX */
	char		 account[64], client[64];	/* client=ACCOUNT/NAME */
};

enum http_credentials {
	HTTP_CRED_NONE,
	HTTP_CRED_BEARER,		/* Authorization: Bearer */
	HTTP_CRED_COOKIE,		/* __Host-sg */
	HTTP_CRED_OTHER,		/* another scheme: nobody */
	HTTP_CRED_BOTH,			/* bearer and cookie: which one? */
};

enum http_site {
	HTTP_SITE_UNSAID,		/* no browser */
	HTTP_SITE_OWN,			/* same-origin, or typed by a person */
	HTTP_SITE_OTHER,
};

struct http_request {
	enum http_method method;
	/* the path, decoded once and split at '/': "/api/v1/x" is three */
	char		 segment[HTTP_SEGMENTS_MAX][HTTP_SEGMENT_MAX];
	size_t		 segments;
	struct http_query query;
	char		 host[256];
	size_t		 body_len;	/* from Content-Length; 0 without */
	bool		 json;		/* Content-Type: application/json */
	bool		 close;		/* Connection: close */
	enum http_credentials cred;
	char		 bearer[HTTP_BEARER_MAX];	/* of either kind */
	enum http_site	 site;		/* Sec-Fetch-Site */
	char		 origin[272];	/* "" without */
	char		 csrf[HTTP_CSRF_LEN + 1];	/* X-StoreGrid-Token */
	bool		 resumes;	/* Last-Event-ID was given: */
	uint64_t	 last_event;
};

/*
 * Look for a whole head in the first `len` bytes.  RC_AGAIN: not all there yet
 * (RC_LIMIT once it is longer than HTTP_HEAD_MAX); RC_OK: parsed, *head_len bytes
 * of it; RC_PROTO: answer 400 and close.
 */
int	http_parse(const char *p, size_t len, struct http_request *r,
	    size_t *head_len);

/* query.c: what stands behind '?'.  RC_PROTO. */
int	http_parse_query(struct http_query *q, const char *p, size_t len);
/* header.c: one header line without its CRLF; seen is 0 before the first. */
int	http_parse_header(struct http_request *r, unsigned int *seen,
	    const char *p, size_t len);
#define HTTP_SEEN_HOST	0x01

#endif
