#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/rbuf.h"
#include "common/rc.h"

static void
numbers_are_big_endian(void **state)
{
	static const uint8_t wire[] = {
		0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
		0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
	};
	struct rbuf in = RBUF_OF(wire);
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;
	int64_t e;

	(void)state;
	assert_int_equal(rbuf_u8(&in, &a), RC_OK);
	assert_int_equal(rbuf_u16(&in, &b), RC_OK);
	assert_int_equal(rbuf_u32(&in, &c), RC_OK);
	assert_int_equal(rbuf_u64(&in, &d), RC_OK);
	assert_int_equal(rbuf_i64(&in, &e), RC_OK);
	assert_int_equal(a, 0x01);
	assert_int_equal(b, 0x0203);
	assert_int_equal(c, 0x04050607);
	assert_true(d == 0x08090a0b0c0d0e0full);
	assert_true(e == -2);
	assert_int_equal(rbuf_end(&in), RC_OK);
}

static void
failed_numbers_take_nothing(void **state)
{
	static const uint8_t wire[] = { 1, 2, 3, 4, 5, 6, 7 };
	struct rbuf in = RBUF_OF(wire), small = { wire, 3 }, one = { wire, 1 };
	struct rbuf none = { NULL, 0 };
	uint8_t a = 9;
	uint16_t b = 9;
	uint32_t c = 9;
	uint64_t d = 9;
	int64_t e = 9;

	(void)state;
	assert_int_equal(rbuf_u64(&in, &d), RC_TRUNCATED);
	assert_int_equal(rbuf_i64(&in, &e), RC_TRUNCATED);
	assert_int_equal(rbuf_u32(&small, &c), RC_TRUNCATED);
	assert_int_equal(rbuf_u16(&one, &b), RC_TRUNCATED);
	assert_int_equal(rbuf_u8(&none, &a), RC_TRUNCATED);
	assert_int_equal(rbuf_left(&in), 7);
	assert_int_equal(rbuf_left(&small), 3);
	assert_int_equal(rbuf_left(&one), 1);
	assert_int_equal(a + b + c + d + (uint64_t)e, 45);
}

static void
bytes_views_and_skips_stay_inside(void **state)
{
	static const uint8_t wire[] = { 1, 2, 3, 4 };
	struct rbuf in = RBUF_OF(wire), sub;
	const uint8_t *p = NULL;
	uint8_t out[5] = { 0 };

	(void)state;
	assert_int_equal(rbuf_bytes(&in, out, 5), RC_TRUNCATED);
	assert_int_equal(rbuf_view(&in, &p, SIZE_MAX), RC_TRUNCATED);
	assert_int_equal(rbuf_skip(&in, 5), RC_TRUNCATED);
	assert_int_equal(rbuf_sub(&in, &sub, 5), RC_TRUNCATED);
	assert_null(p);
	assert_int_equal(out[0], 0);
	assert_int_equal(rbuf_left(&in), 4);
	assert_int_equal(rbuf_sub(&in, &sub, 2), RC_OK);
	assert_int_equal(rbuf_bytes(&sub, out, 2), RC_OK);
	assert_int_equal(rbuf_skip(&sub, 1), RC_TRUNCATED);
	assert_int_equal(rbuf_view(&in, &p, 1), RC_OK);
	assert_int_equal(*p, 3);
	assert_int_equal(rbuf_skip(&in, 1), RC_OK);
	assert_int_equal(rbuf_end(&in), RC_OK);
}

static void
nothing_can_be_read_from_nothing(void **state)
{
	struct rbuf in;
	const uint8_t *p;

	(void)state;
	rbuf_init(&in, NULL, 0);
	assert_int_equal(rbuf_bytes(&in, NULL, 0), RC_OK);
	assert_int_equal(rbuf_view(&in, &p, 0), RC_OK);
	assert_int_equal(rbuf_skip(&in, 0), RC_OK);
	assert_int_equal(rbuf_end(&in), RC_OK);
}

static void
str_becomes_a_c_string(void **state)
{
	static const uint8_t wire[] = { 0, 3, 'a', 'b', 'c', 0, 0 };
	struct rbuf in = RBUF_OF(wire);
	char s[4];

	(void)state;
	assert_int_equal(rbuf_str(&in, s, sizeof(s)), RC_OK);
	assert_string_equal(s, "abc");
	assert_int_equal(rbuf_str(&in, s, 1), RC_OK);
	assert_string_equal(s, "");
	assert_int_equal(rbuf_end(&in), RC_OK);
}

static void
str_runs_past_the_input(void **state)
{
	static const uint8_t wire[] = { 0x00, 0x09, 'a', 'b' };
	struct rbuf in = RBUF_OF(wire);
	char s[16];

	(void)state;
	assert_int_equal(rbuf_str(&in, s, sizeof(s)), RC_TRUNCATED);
	assert_int_equal(rbuf_left(&in), sizeof(wire));	/* nothing was taken */
}

static void
str_must_fit_and_hold_no_nul(void **state)
{
	static const uint8_t wire[] = { 0, 3, 'a', 0, 'c' };
	struct rbuf in = RBUF_OF(wire);
	char s[8] = "before";

	(void)state;
	assert_int_equal(rbuf_str(&in, s, 3), RC_LIMIT);
	assert_int_equal(rbuf_str(&in, s, 0), RC_LIMIT);
	assert_int_equal(rbuf_str(&in, s, sizeof(s)), RC_RANGE);
	assert_string_equal(s, "before");
	assert_int_equal(rbuf_left(&in), sizeof(wire));
}

static void
blobs_are_bounded(void **state)
{
	static const uint8_t wire[] = { 0, 0, 0, 2, 7, 8, 0xff };
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 1 };
	struct rbuf in = RBUF_OF(wire), big = RBUF_OF(huge);
	const uint8_t *p = NULL;
	size_t n = 99;

	(void)state;
	assert_int_equal(rbuf_blob32(&in, &p, &n, 1), RC_LIMIT);
	assert_int_equal(rbuf_blob32(&big, &p, &n, SIZE_MAX), RC_TRUNCATED);
	assert_int_equal(rbuf_blob16(&big, &p, &n, 100), RC_LIMIT);
	assert_int_equal(n, 99);
	assert_null(p);
	assert_int_equal(rbuf_left(&in), sizeof(wire));
	assert_int_equal(rbuf_left(&big), sizeof(huge));
	assert_int_equal(rbuf_blob32(&in, &p, &n, 2), RC_OK);
	assert_int_equal(n, 2);
	assert_memory_equal(p, "\7\10", 2);
	assert_int_equal(rbuf_end(&in), RC_TRAILING);
	assert_int_equal(rbuf_blob16(&in, &p, &n, 2), RC_TRUNCATED);
	assert_int_equal(rbuf_left(&in), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_big_endian),
		cmocka_unit_test(failed_numbers_take_nothing),
		cmocka_unit_test(bytes_views_and_skips_stay_inside),
		cmocka_unit_test(nothing_can_be_read_from_nothing),
		cmocka_unit_test(str_becomes_a_c_string),
		cmocka_unit_test(str_runs_past_the_input),
		cmocka_unit_test(str_must_fit_and_hold_no_nul),
		cmocka_unit_test(blobs_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
