#include "config.h"

#include "server/auth/delay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int
setup(void **state)
{
	*state = delay_new();
	return *state == NULL;
}

static int
teardown(void **state)
{
	delay_free(*state);
	return 0;
}

static void
who(struct delay_who *w, const char *name, unsigned source, bool trusted)
{
	uint8_t s[16] = { (uint8_t)(source >> 16), (uint8_t)(source >> 8),
	    (uint8_t)source };

	delay_who(w, name, s, trusted);
}

static void
old_failures_do_not_count(void **state)
{
	struct delay *d = *state;
	struct delay_who w;

	who(&w, "alice", 1, false);
	for (int i = 0; i < 9; i++)
		delay_failed(d, &w, 1000);
	assert_int_equal(delay_wait(d, &w, 1000), DELAY_MAX_S);
	assert_int_equal(delay_wait(d, &w, 1000 + 59001), 1);
	assert_int_equal(delay_wait(d, &w, 1000 + 60000), 0);
	delay_failed(d, &w, 1000 + DELAY_FORGET_MS);
	assert_int_equal(delay_wait(d, &w, 1000 + DELAY_FORGET_MS), 0);
}

static void
a_trusted_pair_answers_for_itself_only(void **state)
{
	struct delay *d = *state;
	struct delay_who w, other, elsewhere;

	who(&w, "alice", 1, true);
	who(&other, "bob", 1, false);
	who(&elsewhere, "alice", 2, false);
	for (int i = 0; i < 9; i++) {
		delay_failed(d, &other, 1000);
		delay_failed(d, &elsewhere, 1000);
	}
	assert_int_equal(delay_wait(d, &w, 1000), 0);
	for (int i = 0; i < 3; i++)
		delay_failed(d, &w, 1000);
	assert_int_equal(delay_wait(d, &w, 1000), 1);
	delay_passed(d, &w);
	assert_int_equal(delay_wait(d, &w, 1000), 0);
	assert_true(delay_wait(d, &other, 1000) > 0);
}

static void
budgets_are_apart_and_fill_again(void **state)
{
	struct delay *d = *state;
	struct delay_who stranger, other, trusted;
	uint64_t wait, now = 100000;
	int n = 0;

	who(&stranger, "alice", 1, false);
	who(&other, "bob", 2, false);
	who(&trusted, "alice", 3, true);
	while (delay_take(d, n % 2 ? &stranger : &other, now, &wait))
		n++;
	assert_int_equal(n, DELAY_BURST);
	assert_true(wait > 0 && wait <= 2000);
	for (n = 0; delay_take(d, &trusted, now, &wait); )
		n++;
	assert_int_equal(n, DELAY_BURST);
	assert_true(wait > 0 && wait <= 500);
	now += 10000;
	for (n = 0; delay_take(d, &stranger, now, &wait); )
		n++;
	assert_int_equal(n, 5);
	now += 86400000;
	for (n = 0; delay_take(d, &stranger, now, &wait); )
		n++;
	assert_int_equal(n, DELAY_BURST);
}

static void
many_sources_push_out_the_longest_unused_only(void **state)
{
	struct delay *d = *state;
	struct delay_who w, crowd;
	uint64_t now = 1000;

	who(&w, "alice", 1, false);
	for (unsigned i = 0; i < 20000; i++) {
		who(&crowd, "alice", 1000 + i, false);
		delay_failed(d, &crowd, ++now);
		/* it goes on failing all the while, and is not forgotten */
		if (i % 500 == 0)
			delay_failed(d, &w, ++now);
	}
	assert_int_equal(delay_wait(d, &w, now), DELAY_MAX_S);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(old_failures_do_not_count),
		TEST(a_trusted_pair_answers_for_itself_only),
		TEST(budgets_are_apart_and_fill_again),
		TEST(many_sources_push_out_the_longest_unused_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
