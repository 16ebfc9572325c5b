#ifndef TESTS_FAULT_HTTP_SMUGGLING_H
#define TESTS_FAULT_HTTP_SMUGGLING_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/*
 * Malformed and ambiguous requests, made by putting each oddity of a list into
 * each place where it can stand.  Each one ends in 400 and a closed connection,
 * whatever comes behind it.  tests/e2e/65-api.sh sends the same ones over TLS.
 */
static const char *const smuggle_lines[] = {
	/* the request line */
	"GET / HTTP/1.0", "GET / HTTP/1.2", "GET / HTTP/2.0", "GET / HTTP/0.9",
	"GET / HTTP/1.1 ", "GET / HTTP/1.1\t", "GET / http/1.1", "GET /",
	"GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET\t/ HTTP/1.1",
	" GET / HTTP/1.1", "get / HTTP/1.1", "GeT / HTTP/1.1",
	"PATCH / HTTP/1.1", "OPTIONS * HTTP/1.1", "TRACE / HTTP/1.1",
	"CONNECT a:1 HTTP/1.1", "PRI * HTTP/2.0", "GET HTTP/1.1",
	"GET http://x/ HTTP/1.1", "GET //x/ HTTP/1.1", "GET x HTTP/1.1",
	"GET * HTTP/1.1", "GET /a/ HTTP/1.1", "GET /a//b HTTP/1.1",
	"GET /./a HTTP/1.1", "GET /../a HTTP/1.1", "GET /a/.. HTTP/1.1",
	"GET /%2e HTTP/1.1", "GET /%2e%2e/a HTTP/1.1", "GET /%2E. HTTP/1.1",
	"GET /a%2fb HTTP/1.1", "GET /a%2Fb HTTP/1.1", "GET /a%00 HTTP/1.1",
	"GET /a%0d%0a HTTP/1.1", "GET /a%7f HTTP/1.1", "GET /a% HTTP/1.1",
	"GET /a%4 HTTP/1.1", "GET /a%zz HTTP/1.1", "GET /a%u0041 HTTP/1.1",
	"GET /a\\b HTTP/1.1", "GET /a#b HTTP/1.1", "GET /a\"b HTTP/1.1",
	"GET /a<b HTTP/1.1", "GET /a\x80 HTTP/1.1", "GET /a\x7f HTTP/1.1",
	"GET /a[b] HTTP/1.1", "GET /a{b} HTTP/1.1",
	/* the query */
	"GET /a? HTTP/1.1", "GET /a?b HTTP/1.1", "GET /a?b=1 HTTP/1.1",
	"GET /a?n HTTP/1.1", "GET /a?n= HTTP/1.1", "GET /a?n=x HTTP/1.1",
	"GET /a?n=-1 HTTP/1.1", "GET /a?n=+1 HTTP/1.1",
	"GET /a?n=01 HTTP/1.1", "GET /a?n=1&n=1 HTTP/1.1",
	"GET /a?n=1& HTTP/1.1", "GET /a?&n=1 HTTP/1.1",
	"GET /a?n=1?n=2 HTTP/1.1", "GET /a?n=%31 HTTP/1.1",
	"GET /a?N=1 HTTP/1.1", "GET /a?n=1;days=1 HTTP/1.1",
	"GET /a?n=99999999999999999999 HTTP/1.1",
	"GET /a?n=9223372036854775808 HTTP/1.1",
	"GET /a?client=a HTTP/1.1", "GET /a?client=/ HTTP/1.1",
	"GET /a?client=a/ HTTP/1.1", "GET /a?client=/b HTTP/1.1",
	"GET /a?client=a/b/c HTTP/1.1", "GET /a?client=a/b'c HTTP/1.1",
	"GET /a?client=a%2fb HTTP/1.1", "GET /a?client=a/b;c HTTP/1.1",
};

static const char *const smuggle_headers[] = {
	/* Host, beside the one that is there */
	"Host: x", "host: y", "HOST:x", "Host: localhost",
	/* lengths */
	"Content-Length: 1", "Content-Length: +0", "Content-Length: -0",
	"Content-Length: 0x0", "Content-Length: 0, 0", "Content-Length: 0,0",
	"Content-Length: 0 0", "Content-Length: ", "Content-Length: 0;",
	"Content-Length: 00000000", "Content-Length: 99999999999999999999",
	"Content-Length: 18446744073709551616", "Content-Length: 65537",
	"Content-Length: 1e1", "Content-Length: 1.0", "Content-Length: \"0\"",
	"Content-Length: 0\r\nContent-Length: 0",
	"Content-Length: 0\r\ncontent-length: 5",
	"Content-Length: 0\r\nTransfer-Encoding: chunked",
	"Transfer-Encoding: chunked", "transfer-encoding: CHUNKED",
	"Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity",
	"Transfer-Encoding: xchunked", "Transfer-Encoding:\tchunked",
	"Transfer-Encoding: \"chunked\"", "Transfer-Encoding: gzip, chunked",
	"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
	"Transfer-Encoding: ", "Transfer-Encoding : chunked",
	"Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked",
	"Content-Encoding: gzip", "TE: trailers", "Trailer: Host",
	"Expect: 100-continue", "Expect: x", "Upgrade: h2c",
	"Upgrade: websocket", "Connection: Upgrade",
	"Connection: close, Content-Length", "Connection: Host",
	"Connection: ", "Connection: close\r\nConnection: keep-alive",
	/* the shape of a line */
	"nocolon", ": novalue", " folded: x", "\tfolded: x", "A : b",
	"A\t: b", "A b: c", "A(: b", "A\x01: b", "A\x7f: b", "A\x80: b",
	"A\"b\": c", "A[]: b", "A/b: c", "A@b: c", "A{b: c", "A,b: c",
	"X: a\x01", "X: a\x0b", "X: a\x0c", "X: a\x7f", "X: a\x1b[31m",
	"X: a\r\n b", "X: a\r\n\tb", "X: a\rY: b", "X: a\nY: b", "\rX: a",
	"X: a\r\r", "X: a\n",
	/* who asks */
	"Cookie: __Host-sg=a; __Host-sg=b", "Cookie: a=b\r\nCookie: c=d",
	"Authorization: Bearer a\r\nAuthorization: Bearer b",
	"Origin: https://a\r\nOrigin: https://b", "Origin: ",
	"Sec-Fetch-Site: none\r\nSec-Fetch-Site: none",
	"X-StoreGrid-Token: a\r\nX-StoreGrid-Token: b",
	"Content-Type: a/b\r\nContent-Type: c/d",
	"Last-Event-ID: ", "Last-Event-ID: x", "Last-Event-ID: -1",
	"Last-Event-ID: 1&after=2", "Last-Event-ID: 1\r\nLast-Event-ID: 1",
};

static const char *const smuggle_hosts[] = {
	"", " ", "a b", "a,b", "a/b", "a@b", "a:b", "a:", "a:0", "a:65536",
	"a:1:2", "a:+1", "a: 1", "[", "[::1", "[::1]x", "[]", "[g]", "::1",
	"[::1]:", "[::1%25lo]", "http://a", "a?b", "a#b", "a\\b", "a;b",
	"a\x80", "*", "a%41", "\"a\"", "a\tb", "a:1 ",
};

#define NSMUGGLE(a)	(sizeof(a) / sizeof((a)[0]))
#define SMUGGLE_LINES	NSMUGGLE(smuggle_lines)
#define SMUGGLE_HEADERS	NSMUGGLE(smuggle_headers)
#define SMUGGLE_HOSTS	(NSMUGGLE(smuggle_hosts) - 1)	/* the last is good */
/* headers before and behind Host; behind the others also bare line ends */
#define SMUGGLE_N	(SMUGGLE_LINES + 2 * SMUGGLE_HEADERS + SMUGGLE_HOSTS + 4)

/* The i-th request into out, and its length. */
static inline size_t
smuggle_make(size_t i, char *out, size_t size)
{
	static const char *const ends[] = {
		"GET / HTTP/1.1\nHost: localhost\n\n\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\nHost: localhost\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\n\r\n\r\n",
		"\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
	};
	int n;

	if (i < SMUGGLE_LINES)
		n = snprintf(out, size, "%s\r\nHost: localhost\r\n\r\n",
		    smuggle_lines[i]);
	else if ((i -= SMUGGLE_LINES) < SMUGGLE_HEADERS)
		n = snprintf(out, size, "GET /healthz HTTP/1.1\r\n%s\r\n"
		    "Host: localhost\r\n\r\n", smuggle_headers[i]);
	else if ((i -= SMUGGLE_HEADERS) < SMUGGLE_HEADERS)
		n = snprintf(out, size, "GET /healthz HTTP/1.1\r\n"
		    "Host: localhost\r\n%s\r\n\r\n", smuggle_headers[i]);
	else if ((i -= SMUGGLE_HEADERS) < SMUGGLE_HOSTS)
		n = snprintf(out, size, "GET /healthz HTTP/1.1\r\n"
		    "Host: %s\r\n\r\n", smuggle_hosts[i]);
	else
		n = snprintf(out, size, "%s", ends[i - SMUGGLE_HOSTS]);
	return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}

#endif
