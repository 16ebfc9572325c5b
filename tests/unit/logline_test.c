#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/logline.h"

static void
escapes_to(const char *in, const char *want)
{
	char out[256];

	logline_escape(in, out, sizeof(out));
	assert_string_equal(out, want);
}

static void
what_could_begin_a_line_is_escaped(void **state)
{
	(void)state;
	escapes_to("plain text=1", "plain text=1");
	escapes_to("a\nb\r\x1b[31m\x7f\tc", "a\\x0ab\\x0d\\x1b[31m\\x7f\\x09c");
	escapes_to("back\\slash", "back\\\\slash");
	escapes_to("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
	    "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	/* C1 controls, the line separator, a mark that turns the direction */
	escapes_to("\xc2\x85", "\\xc2\\x85");
	escapes_to("\xe2\x80\xa8", "\\xe2\\x80\\xa8");
	escapes_to("\xe2\x80\xae", "\\xe2\\x80\\xae");
}

static void
invalid_utf8_is_escaped_byte_by_byte(void **state)
{
	(void)state;
	escapes_to("\xff\xfe", "\\xff\\xfe");
	escapes_to("\xc0\xaf", "\\xc0\\xaf");		/* overlong */
	escapes_to("\xed\xa0\x80", "\\xed\\xa0\\x80");	/* surrogate */
	escapes_to("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	escapes_to("\xe2\x82", "\\xe2\\x82");		/* cut */
}

static void
a_long_line_is_cut(void **state)
{
	char in[2000], out[64];

	(void)state;
	memset(in, '\n', sizeof(in) - 1);
	in[sizeof(in) - 1] = '\0';
	assert_true(logline_escape(in, out, sizeof(out)) < sizeof(out));
	assert_int_equal(strlen(out) % 4, 0);
}

static void
times_are_utc(void **state)
{
	char t[LOGLINE_TIME_LEN];

	(void)state;
	logline_time(0, t);
	assert_string_equal(t, "1970-01-01T00:00:00.000Z");
	logline_time(951782400123000000, t);
	assert_string_equal(t, "2000-02-29T00:00:00.123Z");
	logline_time(4102444799999000000, t);
	assert_string_equal(t, "2099-12-31T23:59:59.999Z");
	logline_time(1709164800000000000, t);
	assert_string_equal(t, "2024-02-29T00:00:00.000Z");
}

static void
a_bucket_empties_and_fills(void **state)
{
	struct logline_bucket b;
	int i;

	(void)state;
	logline_bucket_init(&b, 10, 2, 1000);
	for (i = 0; i < 10; i++)
		assert_true(logline_bucket_take(&b, 1000));
	assert_false(logline_bucket_take(&b, 1000));
	assert_false(logline_bucket_take(&b, 1400));
	assert_true(logline_bucket_take(&b, 1600));
	assert_int_equal(b.lost, 2);
	assert_true(logline_bucket_take(&b, 1000000));
	assert_int_equal(b.left, 9);
}

static void
failures_are_one_line_and_a_count(void **state)
{
	static const char line[] =
	    "auth-failure addr=192.0.2.1 port=%u reason=bad-token";
	struct logline_agg *g = logline_agg_new();
	char text[128], out[256];
	uint64_t next;
	unsigned int i;

	(void)state;
	snprintf(text, sizeof(text), line, 1u);
	assert_true(logline_agg_line(g, text, 1000));
	for (i = 2; i < 12; i++) {
		snprintf(text, sizeof(text), line, i);
		assert_false(logline_agg_line(g, text, 2000));
	}
	/* Another kind, another source: lines of their own. */
	assert_true(logline_agg_line(g,
	    "auth-failure addr=192.0.2.1 port=1 reason=used-token", 2000));
	assert_true(logline_agg_line(g,
	    "auth-failure addr=192.0.2.2 port=1 reason=bad-token", 2000));
	assert_true(logline_agg_line(g, "grant addr=192.0.2.2", 2000));
	assert_false(logline_agg_due(g, 3000, out, sizeof(out), &next));
	assert_int_equal(next, 61000);
	assert_true(logline_agg_due(g, 61000, out, sizeof(out), &next));
	assert_string_equal(out, "auth-failure addr=192.0.2.1 port=0 "
	    "reason=bad-token count=10");
	assert_false(logline_agg_due(g, 62000, out, sizeof(out), &next));
	assert_int_equal(next, UINT64_MAX);
	/* The next minute begins with a line. */
	assert_true(logline_agg_line(g, text, 63000));
	logline_agg_free(g);
}

static void
an_ipv6_source_is_its_slash_64(void **state)
{
	struct logline_agg *g = logline_agg_new();

	(void)state;
	assert_true(logline_agg_line(g,
	    "conn-refused addr=2001:db8::1 port=5 reason=per-address", 0));
	assert_false(logline_agg_line(g,
	    "conn-refused addr=2001:db8::2 port=5 reason=per-address", 0));
	assert_true(logline_agg_line(g,
	    "conn-refused addr=2001:db8:0:1::2 port=5 reason=per-address", 0));
	logline_agg_free(g);
}

static void
very_many_sources_share_a_count(void **state)
{
	struct logline_agg *g = logline_agg_new();
	char text[128], out[256];
	unsigned int i, lines = 0;
	uint64_t next;

	(void)state;
	for (i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text),
		    "conn-failed addr=10.0.%u.%u port=1 reason=silent", i / 256,
		    i % 256);
		lines += logline_agg_line(g, text, 0);
	}
	assert_int_equal(lines, LOGLINE_AGG_MAX);
	assert_true(logline_agg_due(g, LOGLINE_AGG_MS, out, sizeof(out),
	    &next));
	assert_string_equal(out, "failures-elsewhere count=3976");
	assert_false(logline_agg_due(g, LOGLINE_AGG_MS, out, sizeof(out),
	    &next));
	logline_agg_free(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_could_begin_a_line_is_escaped),
		cmocka_unit_test(invalid_utf8_is_escaped_byte_by_byte),
		cmocka_unit_test(a_long_line_is_cut),
		cmocka_unit_test(times_are_utc),
		cmocka_unit_test(a_bucket_empties_and_fills),
		cmocka_unit_test(failures_are_one_line_and_a_count),
		cmocka_unit_test(an_ipv6_source_is_its_slash_64),
		cmocka_unit_test(very_many_sources_share_a_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
