#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/http/request.h"

static int
parse(const char *text, struct http_request *r)
{
	size_t head;

	return http_parse(text, strlen(text), r, &head);
}

static void
a_plain_request_is_taken_apart(void **state)
{
	struct http_request r;
	static const char text[] = "POST /api/v1/clients/a%2Db/n HTTP/1.1\r\n"
	    "Host: x\r\nContent-Length: 12\r\n\r\n";

	(void)state;
	assert_int_equal(parse(text, &r), RC_OK);
	assert_int_equal(r.method, HTTP_POST);
	assert_int_equal(r.segments, 5);
	assert_string_equal(r.segment[3], "a-b");
	assert_int_equal(r.body_len, 12);
}

static void
half_a_head_asks_for_more(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct http_request r;
	size_t head, i;

	(void)state;
	for (i = 0; i < sizeof(text) - 1; i++)
		assert_int_equal(http_parse(text, i, &r, &head), RC_AGAIN);
	assert_int_equal(http_parse(text, i, &r, &head), RC_OK);
	assert_int_equal(head, sizeof(text) - 1);
}

static void
anything_odd_is_refused(void **state)
{
	static const char *const odd[] = {
		"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\nHost: x\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
		"get / HTTP/1.1\r\nHost: x\r\n\r\n",
		"PATCH / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a//b HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /../a HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /%2e%2e/a HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a%00 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a%0d HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a%4 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
		"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
		("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
		    "Content-Length: 1\r\n\r\n"),
		"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA\x01: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n",
	};
	struct http_request r;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(odd); i++)
		if (parse(odd[i], &r) != RC_PROTO)
			fail_msg("accepted: %s", odd[i]);
}

static void
limits_are_kept(void **state)
{
	char text[HTTP_HEAD_MAX + 64];
	struct http_request r;
	size_t head, n, i;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(http_parse(text, HTTP_HEAD_MAX - 1, &r, &head),
	    RC_AGAIN);
	assert_int_equal(http_parse(text, HTTP_HEAD_MAX, &r, &head), RC_LIMIT);

	n = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\n");
	for (i = 0; i < HTTP_HEADERS_MAX; i++)
		n += (size_t)sprintf(text + n, "A%zu: b\r\n", i);
	sprintf(text + n, "\r\n");
	assert_int_equal(parse(text, &r), RC_LIMIT);

	assert_int_equal(parse("GET / HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 65537\r\n\r\n", &r), RC_LIMIT);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_request_is_taken_apart),
		cmocka_unit_test(half_a_head_asks_for_more),
		cmocka_unit_test(anything_odd_is_refused),
		cmocka_unit_test(limits_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
