#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/json.h"
#include "common/jsonread.h"
#include "common/num.h"
#include "common/rc.h"

static int
parse(const char *s, struct json_doc **d)
{
	return json_parse(s, strlen(s), 64, d);
}

static void
what_is_written_is_read_back(void **state)
{
	static const char name[] = "a\"\\\n\xc3\xa9\xff";
	struct wbuf out = WBUF_INIT(4096);
	struct json_doc *d;
	const struct json_value *v;
	struct json j;

	(void)state;
	json_init(&j, &out);
	json_object(&j, NULL);
	json_put_name(&j, "path", name, sizeof(name) - 1);
	json_put_i64(&j, "min", -9223372036854775807ll);
	json_array(&j, "list");
	json_put_bool(&j, NULL, true);
	json_put_null(&j, NULL);
	json_object(&j, NULL);
	json_end(&j);
	json_end_array(&j);
	json_put_hex(&j, "hex", "\x00\xfe", 2);
	json_end(&j);
	assert_int_equal(wbuf_rc(&out), RC_OK);

	assert_int_equal(json_parse((char *)out.data, out.len, 64, &d), RC_OK);
	v = json_root(d);
	assert_string_equal(json_string(d, v, "path", ""),
	    "a\"\\\n\xc3\xa9\xef\xbf\xbd");
	assert_string_equal(json_string(d, v, "path_hex", ""),
	    "61225c0ac3a9ff");
	assert_true(json_int(d, v, "min", 0) == -9223372036854775807ll);
	assert_string_equal(json_string(d, v, "hex", ""), "00fe");
	v = json_first(d, json_get(d, v, "list"));
	assert_int_equal(v->type, JSON_BOOL);
	v = json_next(d, v);
	assert_int_equal(v->type, JSON_NULL);
	v = json_next(d, v);
	assert_int_equal(v->type, JSON_OBJECT);
	assert_null(json_next(d, v));
	json_free(d);
	wbuf_free(&out);
}

static void
escapes_become_utf_8(void **state)
{
	struct json_doc *d;

	(void)state;
	assert_int_equal(parse("\"\\u00e9\\ud83d\\ude00\\/\"", &d), RC_OK);
	assert_string_equal(json_root(d)->str, "\xc3\xa9\xf0\x9f\x98\x80/");
	json_free(d);
}

static void
what_is_not_strict_json_is_refused(void **state)
{
	static const char *const bad[] = {
		"", " ", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "01",
		"-", "1.5", "1e3", "9223372036854775808", "+1", "nul", "\"a",
		"\"\x01\"", "\"\\x\"", "\"\\u12\"", "\"\\u0000\"",
		"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
		"\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf5\x80\x80\x80\"",
		"\"\xff\"", "1 2", "{\"a\":1,\"a\":2}", "[1 2]", "'a'",
	};
	struct json_doc *d;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(bad); i++)
		if (parse(bad[i], &d) == RC_OK)
			fail_msg("accepted: %s", bad[i]);
}

static void
depth_and_count_are_bounded(void **state)
{
	struct json_doc *d;

	(void)state;
	assert_int_equal(parse("[[[[[[[1]]]]]]]", &d), RC_OK);
	json_free(d);
	assert_int_equal(parse("[[[[[[[[1]]]]]]]]", &d), RC_LIMIT);
	assert_int_equal(json_parse("[1,2,3]", 7, 3, &d), RC_LIMIT);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(escapes_become_utf_8),
		cmocka_unit_test(what_is_not_strict_json_is_refused),
		cmocka_unit_test(depth_and_count_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
