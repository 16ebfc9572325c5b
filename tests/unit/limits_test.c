#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/limits.h"

static struct addr
at(const char *text)
{
	struct addr a = { 0 };

	assert_int_equal(addr_parse(&a, text), RC_OK);
	a.port = 4711;
	return a;
}

static struct addr
v4(unsigned int net, unsigned int host)
{
	char text[32];

	snprintf(text, sizeof(text), "10.%u.%u.%u", net >> 8 & 0xff, net & 0xff,
	    host);
	return at(text);
}

static struct limits *
make(uint32_t silent, uint32_t per_source, uint32_t per_network,
    const char *exempt)
{
	struct limits_opt o = { silent, per_source, per_network, { 0 } };
	struct limits *l;

	if (exempt != NULL) {
		assert_int_equal(addr_net_parse(&o.exempt.v[0], exempt), RC_OK);
		o.exempt.n = 1;
	}
	l = limits_new(&o, 5000);
	assert_non_null(l);
	return l;
}

static void
the_ninth_of_an_address_is_refused(void **state)
{
	struct limits *l = make(4096, 8, 32, NULL);
	struct addr a = at("192.0.2.7"), other = at("192.0.2.8");
	uint64_t id;

	(void)state;
	for (id = 1; id <= 8; id++)
		assert_int_equal(limits_add(l, id, &a, 0), LIMITS_OK);
	assert_int_equal(limits_add(l, 9, &a, 0), LIMITS_SOURCE);
	assert_int_equal(limits_add(l, 10, &other, 0), LIMITS_OK);
	/* One that ended, or logged in, makes room. */
	assert_true(limits_remove(l, 3, NULL));
	assert_false(limits_remove(l, 3, NULL));
	assert_int_equal(limits_add(l, 11, &a, 0), LIMITS_OK);
	limits_free(l);
}

static void
a_connection_with_its_first_byte_counts_on(void **state)
{
	struct limits *l = make(4096, 2, 32, NULL);
	struct addr a = at("192.0.2.7");

	(void)state;
	assert_int_equal(limits_add(l, 1, &a, 0), LIMITS_OK);
	assert_int_equal(limits_add(l, 2, &a, 0), LIMITS_OK);
	assert_int_equal(limits_silent(l), 2);
	limits_spoke(l, 1);
	limits_spoke(l, 1);
	limits_spoke(l, 2);
	assert_int_equal(limits_silent(l), 0);
	assert_int_equal(limits_add(l, 3, &a, 0), LIMITS_SOURCE);
	limits_free(l);
}

static void
an_ipv6_source_is_a_slash_64(void **state)
{
	struct limits *l = make(4096, 2, 3, NULL);
	struct addr a = at("2001:db8:1:1::1"), b = at("2001:db8:1:1::2"),
	    c = at("2001:db8:1:2::1"), d = at("2001:db8:1:3::1"),
	    e = at("2001:db8:2::1");

	(void)state;
	assert_int_equal(limits_add(l, 1, &a, 0), LIMITS_OK);
	assert_int_equal(limits_add(l, 2, &b, 0), LIMITS_OK);
	assert_int_equal(limits_add(l, 3, &a, 0), LIMITS_SOURCE);
	assert_int_equal(limits_add(l, 4, &c, 0), LIMITS_OK);
	/* The /48 holds three now. */
	assert_int_equal(limits_add(l, 5, &d, 0), LIMITS_NETWORK);
	assert_int_equal(limits_add(l, 6, &e, 0), LIMITS_OK);
	limits_free(l);
}

static void
a_mapped_address_counts_as_ipv4(void **state)
{
	struct limits *l = make(4096, 1, 32, NULL);
	struct addr a = at("192.0.2.1"), b = at("::ffff:192.0.2.1");

	(void)state;
	assert_int_equal(limits_add(l, 1, &a, 0), LIMITS_OK);
	assert_int_equal(limits_add(l, 2, &b, 0), LIMITS_SOURCE);
	limits_free(l);
}

static void
at_the_total_the_oldest_of_the_fullest_network_goes(void **state)
{
	struct limits *l = make(8, 8, 32, NULL);
	struct addr a;
	uint64_t id = 1;
	unsigned int i;

	(void)state;
	a = v4(1, 1);
	assert_int_equal(limits_add(l, id++, &a, 0), LIMITS_OK);
	for (i = 0; i < 5; i++) {
		a = v4(2, i + 1);
		assert_int_equal(limits_add(l, id++, &a, 0), LIMITS_OK);
	}
	a = v4(3, 1);
	assert_int_equal(limits_add(l, id++, &a, 0), LIMITS_OK);
	a = v4(4, 1);
	assert_int_equal(limits_add(l, id++, &a, 0), LIMITS_OK);
	assert_int_equal(limits_evict(l), 0);
	a = v4(5, 1);
	assert_int_equal(limits_add(l, id++, &a, 0), LIMITS_OK);
	assert_int_equal(limits_evict(l), 2);	/* the first of network 2 */
	assert_true(limits_remove(l, 2, NULL));
	assert_int_equal(limits_evict(l), 0);
	/* One that spoke is no candidate. */
	limits_spoke(l, 3);
	a = v4(6, 1);
	assert_int_equal(limits_add(l, id++, &a, 0), LIMITS_OK);
	a = v4(7, 1);
	assert_int_equal(limits_add(l, id++, &a, 0), LIMITS_OK);
	assert_int_equal(limits_evict(l), 4);
	limits_free(l);
}

static void
where_all_hold_one_the_newcomer_is_not_the_one_to_go(void **state)
{
	struct limits *l = make(3, 8, 32, NULL);
	struct addr a;
	uint64_t id;

	(void)state;
	for (id = 1; id <= 4; id++) {
		a = v4((unsigned int)id, 1);
		assert_int_equal(limits_add(l, id, &a, 0), LIMITS_OK);
	}
	assert_int_equal(limits_evict(l), 1);
	limits_free(l);
}

static void
penalties_grow_are_enforced_and_decay(void **state)
{
	struct limits *l = make(4096, 8, 32, NULL);
	struct addr a = at("198.51.100.9"), other = at("198.51.100.10");

	(void)state;
	/* Two failed log-ins are borne: 10 s are less than 15. */
	limits_penalise(l, &a, PENALTY_BADLOGIN, 1000);
	limits_penalise(l, &a, PENALTY_BADLOGIN, 1000);
	assert_int_equal(limits_add(l, 1, &a, 1000), LIMITS_OK);
	limits_penalise(l, &a, PENALTY_BADLOGIN, 1000);
	assert_int_equal(limits_add(l, 2, &a, 1000), LIMITS_PENALTY);
	assert_int_equal(limits_add(l, 3, &other, 1000), LIMITS_OK);
	/* Enforced to its end, not only while more than 15 s are left. */
	assert_int_equal(limits_add(l, 4, &a, 15900), LIMITS_PENALTY);
	assert_int_equal(limits_add(l, 5, &a, 16001), LIMITS_OK);
	/* Over means over: the next one begins small. */
	limits_penalise(l, &a, PENALTY_BADLOGIN, 17000);
	assert_int_equal(limits_add(l, 6, &a, 17000), LIMITS_OK);
	limits_free(l);
}

static void
a_crash_is_enforced_at_once_and_there_is_a_most(void **state)
{
	struct limits *l = make(4096, 8, 32, NULL);
	struct addr a = at("198.51.100.9");
	int i;

	(void)state;
	limits_penalise(l, &a, PENALTY_CRASH, 0);
	assert_int_equal(limits_add(l, 1, &a, 0), LIMITS_PENALTY);
	for (i = 0; i < 100; i++)
		limits_penalise(l, &a, PENALTY_CRASH, 0);
	assert_int_equal(limits_add(l, 2, &a, LIMITS_PENALTY_MAX_MS - 1),
	    LIMITS_PENALTY);
	assert_int_equal(limits_add(l, 3, &a, LIMITS_PENALTY_MAX_MS),
	    LIMITS_OK);
	limits_free(l);
}

static void
exempt_ones_have_no_limits_of_their_own(void **state)
{
	struct limits *l = make(4096, 1, 1, "192.0.2.0/24");
	struct addr a = at("192.0.2.7");
	uint64_t id;

	(void)state;
	limits_penalise(l, &a, PENALTY_CRASH, 0);
	for (id = 1; id < 50; id++)
		assert_int_equal(limits_add(l, id, &a, 0), LIMITS_OK);
	limits_free(l);
}

static void
more_sources_than_fit_do_not_fail(void **state)
{
	struct limits *l = make(4096, 8, 32, NULL);
	struct addr a;
	unsigned int i;

	(void)state;
	for (i = 0; i < LIMITS_SOURCES_MAX + 5000; i++) {
		a = v4(i / 250, i % 250 + 1);
		limits_penalise(l, &a, PENALTY_CRASH, i);
	}
	/* The last one is surely among them. */
	assert_int_equal(limits_add(l, 1, &a, i), LIMITS_PENALTY);
	limits_free(l);
}

static void
everything_is_given_back(void **state)
{
	struct limits *l = make(5000, 8, 32, NULL);
	struct addr a;
	unsigned int round, i;
	uint64_t id = 1;

	(void)state;
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 5000; i++) {
			a = v4(i / 30, i % 30 + 1);
			assert_int_equal(limits_add(l, id + i, &a, 0),
			    LIMITS_OK);
		}
		a = at("203.0.113.1");
		assert_int_equal(limits_add(l, id + i, &a, 0), LIMITS_FULL);
		for (i = 0; i < 5000; i++)
			assert_true(limits_remove(l, id + i, NULL));
		assert_int_equal(limits_silent(l), 0);
		id += 5000;
	}
	limits_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ninth_of_an_address_is_refused),
		cmocka_unit_test(a_connection_with_its_first_byte_counts_on),
		cmocka_unit_test(an_ipv6_source_is_a_slash_64),
		cmocka_unit_test(a_mapped_address_counts_as_ipv4),
		cmocka_unit_test(
		    at_the_total_the_oldest_of_the_fullest_network_goes),
		cmocka_unit_test(
		    where_all_hold_one_the_newcomer_is_not_the_one_to_go),
		cmocka_unit_test(penalties_grow_are_enforced_and_decay),
		cmocka_unit_test(
		    a_crash_is_enforced_at_once_and_there_is_a_most),
		cmocka_unit_test(exempt_ones_have_no_limits_of_their_own),
		cmocka_unit_test(more_sources_than_fit_do_not_fail),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
