#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"
#include "common/wbuf.h"

static void
everything_is_big_endian(void **state)
{
	static const uint8_t want[] = {
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
		0, 0, 0, 2, 'h', 'i', 0, 1, 'x', 0, 0, 0, 1, 'y',
	};
	struct wbuf out = WBUF_INIT(1000);

	(void)state;
	wbuf_u8(&out, 1);
	wbuf_u16(&out, 0x0203);
	wbuf_u32(&out, 0x04050607);
	wbuf_u64(&out, 0x08090a0b0c0d0e0full);
	wbuf_i64(&out, -2);
	wbuf_zeros(&out, 2);
	wbuf_str(&out, "hi");
	wbuf_blob16(&out, "x", 1);
	wbuf_blob32(&out, "y", 1);
	assert_int_equal(wbuf_rc(&out), RC_OK);
	assert_int_equal(out.len, sizeof(want));
	assert_memory_equal(out.data, want, sizeof(want));
	wbuf_free(&out);
}

static void
the_maximum_is_hard_and_remembered(void **state)
{
	struct wbuf out = WBUF_INIT(5);

	(void)state;
	wbuf_u32(&out, 1);
	wbuf_u16(&out, 2);
	assert_int_equal(wbuf_rc(&out), RC_LIMIT);
	wbuf_u8(&out, 3);		/* would fit, but comes too late */
	assert_int_equal(out.len, 4);
	assert_null(wbuf_space(&out, 0));
	wbuf_reset(&out);
	wbuf_u8(&out, 3);
	assert_int_equal(wbuf_rc(&out), RC_OK);
	assert_int_equal(out.len, 1);
	wbuf_free(&out);
}

static void
a_length_near_the_end_of_memory_is_refused(void **state)
{
	struct wbuf out = WBUF_INIT(SIZE_MAX);

	(void)state;
	wbuf_u8(&out, 1);
	assert_null(wbuf_space(&out, SIZE_MAX));
	assert_int_equal(wbuf_rc(&out), RC_LIMIT);
	wbuf_free(&out);
}

static void
strings_over_64_KiB_are_refused_whole(void **state)
{
	struct wbuf out = WBUF_INIT(1 << 20);
	char *s = malloc(65537);

	(void)state;
	assert_non_null(s);
	memset(s, 'a', 65536);
	s[65536] = '\0';
	wbuf_str(&out, s);
	assert_int_equal(wbuf_rc(&out), RC_LIMIT);
	assert_int_equal(out.len, 0);
	wbuf_free(&out);
	wbuf_reset(&out);
	s[65535] = '\0';
	wbuf_str(&out, s);
	assert_int_equal(wbuf_rc(&out), RC_OK);
	assert_int_equal(out.len, 65537);
	free(s);
	wbuf_free(&out);
}

static void
a_blob_that_does_not_fit_leaves_no_length(void **state)
{
	struct wbuf out = WBUF_INIT(5);

	(void)state;
	wbuf_blob16(&out, "abcd", 4);
	assert_int_equal(wbuf_rc(&out), RC_LIMIT);
	assert_int_equal(out.len, 0);
	wbuf_free(&out);
}

static void
contents_survive_growing(void **state)
{
	struct wbuf out;
	uint8_t *p;

	(void)state;
	wbuf_init(&out, 100001);
	for (int i = 0; i < 100000; i++)
		wbuf_u8(&out, (uint8_t)(i * 7));
	assert_int_equal(wbuf_rc(&out), RC_OK);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(out.data[i], (uint8_t)(i * 7));
	assert_true(out.size <= out.max);
	p = wbuf_space(&out, 1);
	assert_non_null(p);
	assert_ptr_equal(p, out.data + 100000);
	assert_null(wbuf_space(&out, 1));
	wbuf_free(&out);
	wbuf_free(NULL);
	assert_null(out.data);
	assert_int_equal(out.max, 100001);
}

static void
earlier_numbers_can_be_set_but_not_beyond_the_end(void **state)
{
	struct wbuf out = WBUF_INIT(64);

	(void)state;
	wbuf_zeros(&out, 6);
	wbuf_set_u16(&out, 0, 0x0102);
	wbuf_set_u32(&out, 2, 0x03040506);
	assert_memory_equal(out.data, "\1\2\3\4\5\6", 6);
	wbuf_set_u32(&out, 3, 0);
	assert_int_equal(wbuf_rc(&out), RC_RANGE);
	wbuf_reset(&out);
	wbuf_set_u16(&out, SIZE_MAX, 0);
	assert_int_equal(wbuf_rc(&out), RC_RANGE);
	wbuf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_big_endian),
		cmocka_unit_test(the_maximum_is_hard_and_remembered),
		cmocka_unit_test(a_length_near_the_end_of_memory_is_refused),
		cmocka_unit_test(strings_over_64_KiB_are_refused_whole),
		cmocka_unit_test(a_blob_that_does_not_fit_leaves_no_length),
		cmocka_unit_test(contents_survive_growing),
		cmocka_unit_test(
		    earlier_numbers_can_be_set_but_not_beyond_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
