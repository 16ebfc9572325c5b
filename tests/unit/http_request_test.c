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
#include "server/http/host.h"
#include "server/http/request.h"
#include "tests/fault/http_smuggling.h"

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

static void
nothing_of_the_smuggling_corpus_is_taken(void **state)
{
	struct http_request r;
	char text[512];
	size_t head, i, n;
	int rc;

	(void)state;
	assert_true(SMUGGLE_N >= 200);
	for (i = 0; i < SMUGGLE_N; i++) {
		n = smuggle_make(i, text, sizeof(text));
		assert_true(n > 0);
		rc = http_parse(text, n, &r, &head);
		if (rc != RC_PROTO && rc != RC_LIMIT)
			fail_msg("%zu answered %d: %s", i, rc, text);
	}
}

static void
the_query_is_a_fixed_set_of_names(void **state)
{
	struct http_request r;

	(void)state;
	assert_int_equal(parse("GET /a?client=acme/pc-1&before=7&n=100&days=0"
	    " HTTP/1.1\r\nHost: x\r\n\r\n", &r), RC_OK);
	assert_int_equal(r.query.given, HTTP_Q_CLIENT | HTTP_Q_BEFORE |
	    HTTP_Q_N | HTTP_Q_DAYS);
	assert_string_equal(r.query.account, "acme");
	assert_string_equal(r.query.client, "pc-1");
	assert_int_equal(r.query.before, 7);
	assert_int_equal(r.query.n, 100);
	assert_int_equal(r.segments, 1);
	assert_int_equal(parse("GET /a?after=9223372036854775807"
	    " HTTP/1.1\r\nHost: x\r\n\r\n", &r), RC_OK);
	assert_true(r.query.after == INT64_MAX);
}

#define HEAD(lines) "GET / HTTP/1.1\r\nHost: x\r\n" lines "\r\n"

static void
credentials_are_told_apart(void **state)
{
	static const struct {
		const char *text; enum http_credentials cred;
		const char *bearer;
	} cases[] = {
		{ HEAD(""), HTTP_CRED_NONE, "" },
		{ HEAD("Authorization: Bearer sgs_a\r\n"), HTTP_CRED_BEARER,
		    "sgs_a" },
		{ HEAD("authorization: bearer  sgs_a\r\n"), HTTP_CRED_BEARER,
		    "sgs_a" },
		{ HEAD("Authorization: Basic YTpi\r\n"), HTTP_CRED_OTHER, "" },
		{ HEAD("Cookie: a=b; __Host-sg=sgs_c ; d=e\r\n"),
		    HTTP_CRED_COOKIE, "sgs_c" },
		{ HEAD("Cookie: x__Host-sg=sgs_c\r\n"), HTTP_CRED_NONE, "" },
		{ HEAD("Cookie: __host-sg=sgs_c\r\n"), HTTP_CRED_NONE, "" },
		{ HEAD("Cookie: __Host-sg=c\r\nAuthorization: Bearer d\r\n"),
		    HTTP_CRED_BOTH, "c" },
		{ HEAD("Cookie: __Host-sg=c\r\nAuthorization: Basic d\r\n"),
		    HTTP_CRED_BOTH, "c" },
	};
	struct http_request r;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		assert_int_equal(parse(cases[i].text, &r), RC_OK);
		assert_int_equal(r.cred, cases[i].cred);
		assert_string_equal(r.bearer, cases[i].bearer);
	}
}

static void
the_headers_of_a_browser_are_understood(void **state)
{
	struct http_request r;

	(void)state;
	assert_int_equal(parse(HEAD("Connection: close\r\n"
	    "Content-Type: application/json; charset=UTF-8\r\n"
	    "Origin: https://x\r\nSec-Fetch-Site: cross-site\r\n"
	    "Last-Event-ID: 12\r\n"
	    "X-StoreGrid-Token: 0123456789abcdef0123456789abcdef\r\n"), &r),
	    RC_OK);
	assert_true(r.close && r.json && r.resumes);
	assert_int_equal(r.site, HTTP_SITE_OTHER);
	assert_int_equal(r.last_event, 12);
	assert_string_equal(r.origin, "https://x");
	assert_string_equal(r.csrf, "0123456789abcdef0123456789abcdef");
	assert_int_equal(parse(HEAD("Sec-Fetch-Site: same-site\r\n"
	    "Content-Type: application/json;x=y\r\n"), &r), RC_OK);
	assert_false(r.json);
	assert_int_equal(r.site, HTTP_SITE_OTHER);
	assert_int_equal(parse(HEAD("Sec-Fetch-Site: same-origin\r\n"), &r),
	    RC_OK);
	assert_int_equal(r.site, HTTP_SITE_OWN);
}

static void
only_our_own_names_are_hosts(void **state)
{
	static struct conf c = {
		.id = "Backup1", .advertise = "backup.example.org:32005",
		.web_hosts = { .n = 1, .s = { "console.example.org" } },
	};
	static const char *const ours[] = {
		"127.0.0.1", "192.0.2.1:443", "[::1]:32005", "[2001:db8::1]",
		"localhost", "LOCALHOST:1", "backup1", "backup.example.org",
		"Console.example.org:8443",
	};
	static const char *const others[] = {
		"evil.example.org", "localhost.evil.org", "backup1.evil.org",
		"127.0.0.1.evil.org", "xbackup1", "storegrid", "localhost.",
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(ours); i++)
		if (!http_host_ok(ours[i], &c, false))
			fail_msg("refused: %s", ours[i]);
	for (i = 0; i < NITEMS(others); i++)
		if (http_host_ok(others[i], &c, false))
			fail_msg("taken: %s", others[i]);
	assert_true(http_host_ok("storegrid", &c, true));
}

static void
another_origin_is_refused(void **state)
{
	(void)state;
	assert_true(http_origin_ok("https://a:1", "a:1"));
	assert_false(http_origin_ok("http://a:1", "a:1"));
	assert_false(http_origin_ok("https://a", "a:1"));
	assert_false(http_origin_ok("https://a:1.evil.org", "a:1"));
	assert_false(http_origin_ok("null", "a"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_request_is_taken_apart),
		cmocka_unit_test(half_a_head_asks_for_more),
		cmocka_unit_test(anything_odd_is_refused),
		cmocka_unit_test(limits_are_kept),
		cmocka_unit_test(nothing_of_the_smuggling_corpus_is_taken),
		cmocka_unit_test(the_query_is_a_fixed_set_of_names),
		cmocka_unit_test(credentials_are_told_apart),
		cmocka_unit_test(the_headers_of_a_browser_are_understood),
		cmocka_unit_test(only_our_own_names_are_hosts),
		cmocka_unit_test(another_origin_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
