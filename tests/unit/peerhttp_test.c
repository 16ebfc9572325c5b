#include "config.h"

#include "server/discovery/peerhttp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/http/request.h"

static int
parse(const char *text, struct peerhttp_answer *a)
{
	return peerhttp_parse(text, strlen(text), a);
}

static void
a_plain_answer_is_taken_apart(void **state)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: x\r\n"
	    "content-LENGTH: \t 5 \r\n\r\nhello";
	struct peerhttp_answer a;

	(void)state;
	assert_int_equal(parse(text, &a), RC_OK);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_len, 5);
	assert_string_equal(text + a.head_len, "hello");
	assert_false(a.close);
	assert_int_equal(parse("HTTP/1.1 503 \r\nConnection: Close\r\n"
	    "Content-Length: 0\r\n\r\n", &a), RC_OK);
	assert_int_equal(a.status, 503);
	assert_true(a.close);
}

static void
half_a_head_asks_for_more(void **state)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	struct peerhttp_answer a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(text) - 1; i++)
		assert_int_equal(peerhttp_parse(text, i, &a), RC_AGAIN);
	assert_int_equal(peerhttp_parse(text, i, &a), RC_OK);
	assert_int_equal(a.head_len, i);
}

static void
anything_odd_is_refused(void **state)
{
	static const char *const odd[] = {
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
		"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n folded\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: \x7f\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
		    "Transfer-Encoding: identity\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
		    "Content-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTrailer: x\r\nContent-Length: 1\r\n\r\n",
		"\r\n\r\n",
	};
	static const char nul[] = "HTTP/1.1 200 OK\r\nX: \0\r\n"
	    "Content-Length: 0\r\n\r\n";
	struct peerhttp_answer a;

	(void)state;
	for (size_t i = 0; i < NITEMS(odd); i++)
		if (parse(odd[i], &a) != RC_PROTO)
			fail_msg("accepted: %s", odd[i]);
	assert_int_equal(peerhttp_parse(nul, sizeof(nul) - 1, &a), RC_PROTO);
}

static void
lengths_are_bounded(void **state)
{
	static char big[PEERHTTP_HEAD_MAX + 64];
	struct peerhttp_answer a;
	char text[4096];
	size_t n;

	(void)state;
	assert_int_equal(parse("HTTP/1.1 200 OK\r\nContent-Length: 65536"
	    "\r\n\r\n", &a), RC_OK);
	assert_int_equal(a.body_len, PEERHTTP_BODY_MAX);
	assert_int_equal(parse("HTTP/1.1 200 OK\r\nContent-Length: 65537"
	    "\r\n\r\n", &a), RC_LIMIT);
	memset(big, 'a', sizeof(big));
	assert_int_equal(peerhttp_parse(big, PEERHTTP_HEAD_MAX - 1, &a),
	    RC_AGAIN);
	assert_int_equal(peerhttp_parse(big, PEERHTTP_HEAD_MAX, &a), RC_LIMIT);
	/* the empty line comes too late */
	memcpy(big + PEERHTTP_HEAD_MAX - 3, "\r\n\r\n", 4);
	assert_int_equal(peerhttp_parse(big, sizeof(big), &a), RC_LIMIT);

	n = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 0\r\n");
	for (int i = 1; i < PEERHTTP_HEADERS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "X: %d\r\n",
		    i);
	snprintf(text + n, sizeof(text) - n, "\r\n");
	assert_int_equal(parse(text, &a), RC_OK);
	snprintf(text + n, sizeof(text) - n, "X: one more\r\n\r\n");
	assert_int_equal(parse(text, &a), RC_LIMIT);
}

/* Every byte of a good head, changed and cut: an answer or a refusal, within
 * what was given. */
static void
a_damaged_head_never_gives_more_than_there_is(void **state)
{
	static const char good[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	    "Content-Length: 12\r\n\r\n";
	const size_t len = sizeof(good) - 1;
	struct peerhttp_answer a;
	char *p;
	int rc;

	(void)state;
	for (size_t i = 0; i < len; i++) {
		for (int c = 0; c < 256; c++) {
			p = malloc(len);
			assert_non_null(p);
			memcpy(p, good, len);
			p[i] = (char)c;
			rc = peerhttp_parse(p, len, &a);
			if (rc == RC_OK) {
				assert_true(a.head_len <= len);
				assert_true(a.body_len <= PEERHTTP_BODY_MAX);
				assert_true(a.status >= 200 && a.status < 600);
			}
			free(p);
		}
	}
}

static void
our_requests_are_what_our_server_takes(void **state)
{
	struct wbuf out = WBUF_INIT(1024), body = WBUF_INIT(64);
	struct http_request r;
	size_t head;

	(void)state;
	peerhttp_request(&out, "/api/v1/peer", NULL);
	assert_int_equal(http_parse((char *)out.data, out.len, &r, &head),
	    RC_OK);
	assert_int_equal(r.method, HTTP_GET);
	assert_int_equal(head, out.len);
	assert_int_equal(r.body_len, 0);
	wbuf_reset(&out);
	wbuf_bytes(&body, "{}", 2);
	peerhttp_request(&out, "/api/v1/peer/session", &body);
	assert_int_equal(http_parse((char *)out.data, out.len, &r, &head),
	    RC_OK);
	assert_int_equal(r.method, HTTP_POST);
	assert_int_equal(r.body_len, 2);
	assert_int_equal(head + 2, out.len);
	wbuf_free(&out);
	wbuf_free(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_answer_is_taken_apart),
		cmocka_unit_test(half_a_head_asks_for_more),
		cmocka_unit_test(anything_odd_is_refused),
		cmocka_unit_test(lengths_are_bounded),
		cmocka_unit_test(a_damaged_head_never_gives_more_than_there_is),
		cmocka_unit_test(our_requests_are_what_our_server_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
