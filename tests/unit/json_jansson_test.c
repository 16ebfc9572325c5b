#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* jansson has some of the same names: ours get others, in this file alone. */
#define JSON_NULL	OURS_NULL
#define JSON_STRING	OURS_STRING
#define JSON_ARRAY	OURS_ARRAY
#define JSON_OBJECT	OURS_OBJECT
#define json_array	ours_array
#define json_object	ours_object
#define json_string	ours_string
#include "common/json.c"
#define put		ours_put
#include "common/jsonread.c"
#undef put
#undef JSON_NULL
#undef JSON_STRING
#undef JSON_ARRAY
#undef JSON_OBJECT
#undef json_array
#undef json_object
#undef json_string
#include <jansson.h>

/*
 * Our reader against jansson: what ours takes, jansson reads as the same value;
 * what ours refuses, jansson refuses too, or there is one of the reasons of
 * common/jsonread.h.
 */
#define ROUNDS	200000
#define TEXT_MAX 256

static uint32_t seed = 1;

static uint32_t
rnd(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static const char *const pieces[] = {
	"{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "\"\"", "0", "1", "-1",
	"-0", "01", "9223372036854775807", "9223372036854775808",
	"-9223372036854775807", "1.5", "1e3", "true", "false", "null", "tru",
	" ", "\n", "\t", "\"\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\\ud800\"",
	"\"\\u0000\"", "\"\xc3\xa9\"", "\"\xff\"", "\"\xed\xa0\x80\"",
	"\"\x01\"", "\"\\n\\\\\\/\"", "\"\\x\"", "'a'", "//", "+1", ".5", "\v",
	"\xef\xbb\xbf",
};

static void
add(char *out, const char *s)
{
	if (strlen(out) + strlen(s) < TEXT_MAX)
		strcat(out, s);
}

static void
make_value(char *out, int depth)
{
	static const char *const leaves[] = {
		"0", "-7", "9223372036854775807", "true", "false", "null",
		"\"x\"", "\"\\u00e9\\n\"", "\"\xf0\x9f\x98\x80\"",
	};
	uint32_t i, n = rnd(4);

	switch (depth >= 9 ? 2 : rnd(3)) {
	case 0:
		add(out, "[");
		for (i = 0; i < n; i++) {
			add(out, i > 0 ? ", " : "");
			make_value(out, depth + 1);
		}
		add(out, "]");
		break;
	case 1:
		add(out, "{");
		for (i = 0; i < n; i++) {
			char name[16];

			snprintf(name, sizeof(name), "%s\"k%u\":",
			    i > 0 ? "," : "", rnd(4));
			add(out, name);
			make_value(out, depth + 1);
		}
		add(out, "}");
		break;
	default:
		add(out, leaves[rnd(sizeof(leaves) / sizeof(leaves[0]))]);
	}
}

static void
make_text(char *out)
{
	uint32_t i, n;
	size_t len;

	out[0] = '\0';
	if (rnd(2) == 0) {
		for (i = 0, n = 1 + rnd(10); i < n; i++)
			add(out, pieces[rnd(sizeof(pieces) /
			    sizeof(pieces[0]))]);
		return;
	}
	make_value(out, 1);
	if (rnd(2) == 0 && (len = strlen(out)) > 0)
		out[rnd((uint32_t)len)] = (char)(1 + rnd(255));
}

/* Deeper than ours reads, or with a number that ours has no place for. */
static int
has_reason(const json_t *v, int depth)
{
	const char *name;
	json_t *child;
	size_t i;

	if (depth >= JSON_DEPTH_MAX || json_is_real(v))
		return 1;
	/* the magnitude of the smallest int64 is left out */
	if (json_is_integer(v) && json_integer_value(v) == INT64_MIN)
		return 1;
	json_array_foreach(v, i, child)
		if (has_reason(child, depth + 1))
			return 1;
	json_object_foreach((json_t *)(uintptr_t)v, name, child)
		if (has_reason(child, depth + 1))
			return 1;
	return 0;
}

static int
same(const struct json_doc *d, const struct json_value *v, const json_t *w)
{
	const struct json_value *c;
	size_t n = 0;

	switch (v->type) {
	case OURS_NULL:
		return json_is_null(w);
	case JSON_BOOL:
		return json_is_boolean(w) && json_is_true(w) == (v->num != 0);
	case JSON_INT:
		return json_is_integer(w) && json_integer_value(w) == v->num;
	case OURS_STRING:
		return json_is_string(w) &&
		    strcmp(json_string_value(w), v->str) == 0;
	case OURS_ARRAY:
		for (c = json_first(d, v); c != NULL; c = json_next(d, c))
			if (!same(d, c, json_array_get(w, n++)))
				return 0;
		return json_is_array(w) && json_array_size(w) == n;
	default:
		for (c = json_first(d, v); c != NULL; c = json_next(d, c), n++)
			if (!same(d, c, json_object_get(w, c->name)))
				return 0;
		return json_is_object(w) && json_object_size(w) == n;
	}
}

static void
both_readers_agree(void **state)
{
	char text[TEXT_MAX];
	struct json_doc *d;
	unsigned int i, taken = 0;
	json_t *w;
	int rc;

	(void)state;
	for (i = 0; i < ROUNDS; i++) {
		make_text(text);
		rc = json_parse(text, strlen(text), 256, &d);
		w = json_loadb(text, strlen(text),
		    JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
		if (rc == RC_OK && (w == NULL || !same(d, json_root(d), w)))
			fail_msg("jansson differs: %s", text);
		if (rc != RC_OK && w != NULL && !has_reason(w, 0))
			fail_msg("only jansson takes: %s", text);
		taken += rc == RC_OK;
		if (rc == RC_OK)
			json_free(d);
		json_decref(w);
	}
	/* the texts are good enough to mean something */
	assert_true(taken > ROUNDS / 10);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_readers_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
