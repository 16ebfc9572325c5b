#include "config.h"

#include "server/login/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/digest.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/messages.h"
#include "server/login/totp.h"

#define T0	1111111109		/* of RFC 6238 appendix B */

static const uint8_t rfc_secret[TOTP_SECRET_LEN] = "12345678901234567890";

struct ask {
	uint8_t		what, cost, r, p;
	const char	*password, *code;
	const uint8_t	*hash, *totp;
	uint16_t	totp_len;
	uint64_t	last;
	int64_t		now;
};

static const uint8_t salt[16] = "sixteen bytes..";

/* RC of the message; ok, hash and step of the answer. */
static int
check(const struct ask *q, uint8_t *ok, uint8_t hash[32], uint64_t *step)
{
	static const uint8_t zeros[32];
	struct wbuf m = WBUF_INIT(4096), out = WBUF_INIT(64);
	struct rbuf in;
	uint32_t request;
	int rc;

	wbuf_u32(&m, 42);
	wbuf_u8(&m, q->what);
	wbuf_u8(&m, q->cost);
	wbuf_u8(&m, q->r);
	wbuf_u8(&m, q->p);
	wbuf_bytes(&m, salt, 16);
	wbuf_bytes(&m, q->hash != NULL ? q->hash : zeros, 32);
	wbuf_str(&m, q->password != NULL ? q->password : "");
	wbuf_blob16(&m, q->totp, q->totp_len);
	wbuf_str(&m, q->code != NULL ? q->code : "");
	wbuf_u64(&m, q->last);
	wbuf_i64(&m, q->now);
	rbuf_init(&in, m.data, m.len);
	if ((rc = login_answer(&in, &out)) == RC_OK) {
		assert_int_equal(out.len, 45);
		rbuf_init(&in, out.data, out.len);
		assert_int_equal(rbuf_u32(&in, &request), RC_OK);
		assert_int_equal(request, 42);
		assert_int_equal(rbuf_u8(&in, ok), RC_OK);
		assert_int_equal(rbuf_bytes(&in, hash, 32), RC_OK);
		assert_int_equal(rbuf_u64(&in, step), RC_OK);
	}
	wbuf_free(&m);
	wbuf_free(&out);
	return rc;
}

static void
codes_are_those_of_rfc_6238(void **state)
{
	/* the last six of the eight digits in appendix B */
	static const struct {
		int64_t		at;
		const char	*code;
	} rows[] = {
		{ 59, "287082" }, { 1111111109, "081804" },
		{ 1111111111, "050471" }, { 1234567890, "005924" },
		{ 2000000000, "279037" }, { 20000000000, "353130" },
	};
	char code[TOTP_DIGITS + 1];

	(void)state;
	for (size_t i = 0; i < NITEMS(rows); i++) {
		assert_int_equal(totp_code(rfc_secret,
		    (uint64_t)rows[i].at / 30, code), RC_OK);
		assert_string_equal(code, rows[i].code);
	}
}

static void
a_code_is_good_for_a_step_before_and_after(void **state)
{
	uint64_t step;

	(void)state;
	for (int off = -3; off <= 3; off++)
		assert_int_equal(totp_check(rfc_secret, "081804", 0,
		    T0 + off * 30, &step), off >= -1 && off <= 1 ? RC_OK :
		    RC_AUTH);
	assert_int_equal(totp_check(rfc_secret, "081804", 0, T0, &step),
	    RC_OK);
	assert_int_equal(step, T0 / 30);
	/* once used, neither it nor an earlier one */
	assert_int_equal(totp_check(rfc_secret, "081804", step, T0, &step),
	    RC_AUTH);
	assert_int_equal(step, 0);
	assert_int_equal(totp_check(rfc_secret, "081804", T0 / 30 + 1, T0,
	    &step), RC_AUTH);
	assert_int_equal(totp_check(rfc_secret, "81804", 0, T0, &step),
	    RC_AUTH);
	assert_int_equal(totp_check(rfc_secret, "", 0, T0, &step), RC_AUTH);
	/* at the beginning of time there is no step before */
	assert_int_equal(totp_check(rfc_secret, "x", 0, 0, &step), RC_AUTH);
	assert_int_equal(totp_check(rfc_secret, "x", 0, -1, &step), RC_AUTH);
}

static void
a_password_verifies_against_what_was_made_of_it(void **state)
{
	struct ask q = { .what = LOGIN_MAKE, .cost = 10, .r = 8, .p = 1,
	    .password = "correct horse" };
	uint8_t ok, made[32], none[32];
	struct secret ref;
	uint64_t step;

	(void)state;
	assert_int_equal(check(&q, &ok, made, &step), RC_OK);
	assert_int_equal(ok, 1);
	assert_int_equal(scrypt_derive("correct horse", 13, salt, 16, 1024, 8,
	    1, &ref), RC_OK);
	assert_memory_equal(made, ref.b, 32);
	q.what = LOGIN_VERIFY;
	q.hash = made;
	assert_int_equal(check(&q, &ok, none, &step), RC_OK);
	assert_int_equal(ok, 1);
	/* it tells no hash to who asks whether one is right */
	for (int i = 0; i < 32; i++)
		assert_int_equal(none[i], 0);
	q.password = "correct horsf";
	assert_int_equal(check(&q, &ok, none, &step), RC_OK);
	assert_int_equal(ok, 0);
}

static void
both_factors_must_be_right(void **state)
{
	struct ask q = { .what = LOGIN_MAKE, .cost = 4, .r = 8, .p = 1,
	    .password = "correct horse", .now = T0 };
	uint8_t ok, made[32], none[32];
	uint64_t step;

	(void)state;
	assert_int_equal(check(&q, &ok, made, &step), RC_OK);
	q.what = LOGIN_VERIFY;
	q.hash = made;
	q.totp = rfc_secret;
	q.totp_len = TOTP_SECRET_LEN;
	for (int i = 0; i < 4; i++) {
		q.password = i & 1 ? "correct horse" : "wrong";
		q.code = i & 2 ? "081804" : "081805";
		assert_int_equal(check(&q, &ok, none, &step), RC_OK);
		assert_int_equal(ok, i == 3);
		/* a step is spent only by who had both */
		assert_int_equal(step, i == 3 ? T0 / 30 : 0);
	}
	q.what = LOGIN_TOTP;
	q.password = "";
	assert_int_equal(check(&q, &ok, none, &step), RC_OK);
	assert_int_equal(ok, 1);
}

static void
the_cost_is_bounded_here(void **state)
{
	static const struct {
		uint8_t	what, cost, r, p;
		uint16_t totp_len;
	} bad[] = {
		{ LOGIN_VERIFY, 0, 8, 1, 0 },
		{ LOGIN_VERIFY, LOGIN_COST_MAX + 1, 8, 1, 0 },
		{ LOGIN_VERIFY, 63, 8, 1, 0 }, { LOGIN_VERIFY, 64, 8, 1, 0 },
		{ LOGIN_VERIFY, 16, 255, 1, 0 }, { LOGIN_VERIFY, 16, 8, 2, 0 },
		{ LOGIN_VERIFY, 4, 8, 1, 19 }, { LOGIN_TOTP, 4, 8, 1, 0 },
		{ 0, 4, 8, 1, 0 }, { 4, 4, 8, 1, 0 },
	};
	uint8_t ok, hash[32];
	uint64_t step;

	(void)state;
	for (size_t i = 0; i < NITEMS(bad); i++) {
		struct ask q = { .what = bad[i].what, .cost = bad[i].cost,
		    .r = bad[i].r, .p = bad[i].p, .totp = rfc_secret,
		    .totp_len = bad[i].totp_len };

		assert_int_equal(check(&q, &ok, hash, &step), RC_RANGE);
	}
}

static void
the_cost_in_use_fits_in_memory(void **state)
{
	struct ask q = { .what = LOGIN_MAKE, .cost = 16, .r = 8, .p = 1,
	    .password = "correct horse" };
	uint8_t ok, made[32];
	uint64_t step;

	(void)state;
	assert_int_equal(check(&q, &ok, made, &step), RC_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_are_those_of_rfc_6238),
		cmocka_unit_test(a_code_is_good_for_a_step_before_and_after),
		cmocka_unit_test(a_password_verifies_against_what_was_made_of_it),
		cmocka_unit_test(both_factors_must_be_right),
		cmocka_unit_test(the_cost_is_bounded_here),
		cmocka_unit_test(the_cost_in_use_fits_in_memory),
	};

	if (login_setup() != RC_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
