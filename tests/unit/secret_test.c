#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"
#include "common/secret.h"

static void
every_code_has_a_text_of_its_own(void **state)
{
	static const int codes[] = {
#define X(name, value, text) RC_##name,
		RC_CODES(X)
#undef X
	};
	size_t n = sizeof(codes) / sizeof(codes[0]);

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(rc_str(codes[i]),
			    rc_str(codes[j]));
	assert_non_null(rc_str(12345));
	assert_non_null(rc_str(-12345));
}

static void
errno_values_map_as_promised(void **state)
{
	(void)state;
	errno = EINTR;
	assert_int_equal(rc_errno(ENOSPC), RC_FULL);
	assert_int_equal(rc_errno(EDQUOT), RC_FULL);
	assert_int_equal(rc_errno(EAGAIN), RC_AGAIN);
	assert_int_equal(rc_errno(ENOMEM), RC_NOMEM);
	assert_int_equal(rc_errno(ENOENT), RC_NOENT);
	assert_int_equal(rc_errno(EEXIST), RC_EXISTS);
	assert_int_equal(rc_errno(EACCES), RC_DENIED);
	assert_int_equal(rc_errno(EPERM), RC_DENIED);
	assert_int_equal(rc_errno(EROFS), RC_READONLY);
	assert_int_equal(rc_errno(EIO), RC_IO);
	assert_int_equal(rc_errno(0), RC_IO);
	assert_int_equal(errno, EINTR);
}

static void
a_wiped_secret_is_zeros(void **state)
{
	static const struct secret zeros;
	struct secret s, t;

	(void)state;
	assert_int_equal(secret_random(s.b, sizeof(s.b)), RC_OK);
	assert_int_equal(secret_random(t.b, sizeof(t.b)), RC_OK);
	assert_memory_not_equal(s.b, zeros.b, sizeof(s.b));
	assert_memory_not_equal(s.b, t.b, sizeof(s.b));
	secret_clear(&s);
	assert_memory_equal(s.b, zeros.b, sizeof(s.b));
	secret_wipe(NULL, 0);
}

static void
equality_looks_at_every_byte(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	(void)state;
	assert_true(secret_equal(a, b, sizeof(a)));
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] = 0x80;
		assert_false(secret_equal(a, b, sizeof(a)));
		b[i] = 0;
	}
	assert_true(secret_equal(NULL, NULL, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_text_of_its_own),
		cmocka_unit_test(errno_values_map_as_promised),
		cmocka_unit_test(a_wiped_secret_is_zeros),
		cmocka_unit_test(equality_looks_at_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
