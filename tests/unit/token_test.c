#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"
#include "common/token.h"

static struct token
example(void)
{
	struct token t = {
		.id = "0123456789abcde", .pin = "pin", .identity_fp = "fp",
		.port = 32004, .ssl_port = 32007, .ssl = 1,
		.expires = 1900000000, .host = "backup.example.org",
	};

	memset(&t.secret, 0xab, sizeof(t.secret));
	return t;
}

static void
a_token_comes_back_with_blanks_around_it(void **state)
{
	struct token t = example(), got;
	char text[TOKEN_TEXT_MAX], padded[TOKEN_TEXT_MAX + 16];

	(void)state;
	assert_int_equal(token_format(&t, text), RC_OK);
	assert_memory_equal(text, "sg1-", 4);
	strcpy(padded, " \t\n");
	strcat(padded, text);
	strcat(padded, "\r\n ");
	assert_int_equal(token_parse(padded, &got), RC_OK);
	assert_memory_equal(&got, &t, sizeof(t));
	token_clear(&got);
	assert_int_equal(got.port, 0);
}

static void
every_host_length_fits(void **state)
{
	struct token t = example(), got;
	char text[TOKEN_TEXT_MAX];

	(void)state;
	for (size_t n = 1; n <= TOKEN_HOST_MAX; n++) {
		memset(t.host, 'h', n);
		t.host[n] = '\0';
		assert_int_equal(token_format(&t, text), RC_OK);
		assert_int_equal(token_parse(text, &got), RC_OK);
		assert_string_equal(got.host, t.host);
	}
}

static void
each_slip_of_the_finger_is_noticed(void **state)
{
	struct token t = example(), got = { .port = 5 };
	char text[TOKEN_TEXT_MAX];
	size_t n;

	(void)state;
	assert_int_equal(token_format(&t, text), RC_OK);
	n = strlen(text);
	for (size_t i = 4; i < n; i++) {
		char was = text[i];

		text[i] = was == 'A' ? 'B' : 'A';
		assert_int_equal(token_parse(text, &got), RC_CRC);
		text[i] = ' ';
		assert_int_not_equal(token_parse(text, &got), RC_OK);
		text[i] = '+';
		assert_int_equal(token_parse(text, &got), RC_CRC);
		text[i] = was;
	}
	for (size_t i = n - 1; i >= 4; i--) {	/* the end was not pasted */
		text[i] = '\0';
		assert_int_equal(token_parse(text, &got), RC_CRC);
	}
	assert_int_equal(got.port, 5);
}

static void
what_is_no_token_is_refused(void **state)
{
	struct token got;
	char big[3 * TOKEN_TEXT_MAX];

	(void)state;
	assert_int_equal(token_parse("", &got), RC_PROTO);
	assert_int_equal(token_parse("   ", &got), RC_PROTO);
	assert_int_equal(token_parse("sg1", &got), RC_PROTO);
	assert_int_equal(token_parse("sg2-AAAA", &got), RC_PROTO);
	assert_int_equal(token_parse("sg1-A", &got), RC_CRC);
	memset(big, 'A', sizeof(big));
	memcpy(big, "sg1-", 4);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(token_parse(big, &got), RC_PROTO);
	big[TOKEN_TEXT_MAX - 1] = '\0';
	assert_int_equal(token_parse(big, &got), RC_CRC);
}

static void
a_token_that_leads_nowhere_is_not_made(void **state)
{
	struct token t = example();
	char text[TOKEN_TEXT_MAX];

	(void)state;
	t.host[0] = '\0';
	assert_int_equal(token_format(&t, text), RC_RANGE);
	t = example();
	t.host[3] = ' ';
	assert_int_equal(token_format(&t, text), RC_RANGE);
	t = example();
	t.port = t.ssl_port = 0;
	assert_int_equal(token_format(&t, text), RC_RANGE);
	t = example();
	t.ssl = 2;
	assert_int_equal(token_format(&t, text), RC_RANGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_comes_back_with_blanks_around_it),
		cmocka_unit_test(every_host_length_fits),
		cmocka_unit_test(each_slip_of_the_finger_is_noticed),
		cmocka_unit_test(what_is_no_token_is_refused),
		cmocka_unit_test(a_token_that_leads_nowhere_is_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
