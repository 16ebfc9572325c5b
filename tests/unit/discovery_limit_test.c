#include "config.h"

#include "server/discovery/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S	INT64_C(1000000000)
#define WALL	(1700000000 * S)

static int
setup(void **state)
{
	*state = limit_new(1000);
	return *state == NULL;
}

static int
teardown(void **state)
{
	limit_free(*state);
	return 0;
}

static struct addr
host(uint32_t n)
{
	return (struct addr){ .family = 4, .b = { 10, (uint8_t)(n >> 16),
	    (uint8_t)(n >> 8), (uint8_t)n }, .port = (uint16_t)n };
}

static void
a_source_has_its_rate_whatever_port_it_uses(void **state)
{
	struct addr a = host(1);
	unsigned int i, got = 0;

	for (i = 0; i < 100; i++) {
		a.port = (uint16_t)(1024 + i);
		got += limit_source(*state, &a, 1000);
	}
	assert_int_equal(got, LIMIT_SOURCE_BURST);
	for (got = 0, i = 1; i <= 1000; i++)
		got += limit_source(*state, &a, 1000 + i);
	assert_int_equal(got, LIMIT_SOURCE_RATE);
}

static void
another_source_is_not_held_back(void **state)
{
	struct addr a = host(1), b = host(2);

	while (limit_source(*state, &a, 1000))
		;
	assert_true(limit_source(*state, &b, 1000));
}

static void
more_sources_than_there_is_room_for_are_served(void **state)
{
	uint32_t i;

	for (i = 0; i < 3 * LIMIT_TABLE; i++) {
		struct addr a = host(i);

		assert_true(limit_source(*state, &a, 1000 + i));
	}
}

static void
strangers_leave_half_of_the_signatures_to_those_known(void **state)
{
	unsigned int i, new = 0, known = 0;

	for (i = 0; i < 1000; i++)
		new += limit_verify(*state, false, 1000);
	assert_int_equal(new, LIMIT_NEW_RATE);
	for (i = 0; i < 1000; i++)
		known += limit_verify(*state, true, 1000);
	assert_int_equal(known, LIMIT_VERIFY_RATE - LIMIT_NEW_RATE);
}

static void
answers_have_a_limit_in_all(void **state)
{
	unsigned int i, got = 0;

	for (i = 0; i < 1000; i++)
		got += limit_answer(*state, 1000);
	assert_int_equal(got, LIMIT_ANSWER_RATE);
}

static void
a_clock_that_stands_still_or_jumps_gives_no_more_than_a_burst(void **state)
{
	unsigned int i, got = 0;

	while (limit_answer(*state, 1000))
		;
	for (i = 0; i < 1000; i++)
		got += limit_answer(*state, 500);
	assert_int_equal(got, 0);
	for (i = 0; i < 1000; i++)
		got += limit_answer(*state, UINT64_MAX);
	assert_int_equal(got, LIMIT_ANSWER_RATE);
}

static void
marks_are_remembered_and_bounded(void **state)
{
	uint64_t i;

	assert_false(limit_marked(*state, 77));
	limit_mark(*state, 77);
	assert_true(limit_marked(*state, 77));
	for (i = 0; i < 100 * LIMIT_TABLE; i++)
		limit_mark(*state, i * 0x9e3779b97f4a7c15u);
	assert_false(limit_marked(*state, 77));
}

static void
count(void *arg, struct seen *s)
{
	(void)s;
	++*(unsigned int *)arg;
}

static void
identities_are_found_again_and_bounded(void **state)
{
	uint8_t id[ED25519_LEN] = { 0 };
	unsigned int n = 0;
	struct seen *s;
	uint32_t i;

	for (i = 0; i < 2 * LIMIT_TABLE; i++) {
		memcpy(id, &i, sizeof(i));
		assert_null(limit_find(*state, id));
		s = limit_add(*state, id);
		s->heard = i + 1;
		assert_ptr_equal(limit_find(*state, id), s);
		assert_ptr_equal(limit_add(*state, id), s);
		assert_int_equal(s->heard, i + 1);
	}
	limit_each(*state, count, &n);
	assert_true(n <= LIMIT_TABLE && n > LIMIT_TABLE / 2);
}

static void
a_packet_counts_once(void **state)
{
	struct seen s = { .sent_ns = WALL, .used = true };

	(void)state;
	assert_int_equal(limit_fresh(NULL, WALL, false, WALL), FRESH_YES);
	assert_int_equal(limit_fresh(&s, WALL, false, WALL), FRESH_NO);
	assert_int_equal(limit_fresh(&s, WALL, true, WALL), FRESH_NO);
	assert_int_equal(limit_fresh(&s, WALL - 1, false, WALL), FRESH_NO);
	assert_int_equal(limit_fresh(&s, WALL + 1, false, WALL), FRESH_YES);
}

static void
a_clock_two_minutes_off_is_believed_with_an_echo_only(void **state)
{
	const int64_t off[] = { 120 * S + 1, -120 * S - 1, INT64_MAX - WALL,
		INT64_MIN + 1 };
	size_t i;

	(void)state;
	assert_int_equal(limit_fresh(NULL, WALL + 120 * S, false, WALL),
	    FRESH_YES);
	assert_int_equal(limit_fresh(NULL, WALL - 120 * S, false, WALL),
	    FRESH_YES);
	for (i = 0; i < 4; i++) {
		assert_int_equal(limit_fresh(NULL, WALL + off[i], false, WALL),
		    FRESH_CLOCK);
		assert_int_equal(limit_fresh(NULL, WALL + off[i], true, WALL),
		    FRESH_YES);
	}
}

static void
a_clock_that_was_set_back_does_not_keep_its_owner_out(void **state)
{
	struct seen s = { .sent_ns = WALL + 1000 * S, .used = true };

	(void)state;
	assert_int_equal(limit_fresh(&s, WALL, false, WALL), FRESH_YES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(a_source_has_its_rate_whatever_port_it_uses),
		T(another_source_is_not_held_back),
		T(more_sources_than_there_is_room_for_are_served),
		T(strangers_leave_half_of_the_signatures_to_those_known),
		T(answers_have_a_limit_in_all),
		T(a_clock_that_stands_still_or_jumps_gives_no_more_than_a_burst),
		T(marks_are_remembered_and_bounded),
		T(identities_are_found_again_and_bounded),
		T(a_packet_counts_once),
		T(a_clock_two_minutes_off_is_believed_with_an_echo_only),
		T(a_clock_that_was_set_back_does_not_keep_its_owner_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
