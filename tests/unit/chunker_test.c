#include "config.h"

#include "client/engine/chunker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"

#define DATA (64u << 20)

static struct chunker chunker;
static uint8_t *data;

static int
setup(void **state)
{
	struct secret key = { { 1 } };
	uint64_t x = 88172645463325252ull;
	size_t i;

	(void)state;
	assert_int_equal(chunker_init(&chunker, &key), RC_OK);
	data = malloc(DATA);
	assert_non_null(data);
	for (i = 0; i < DATA; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(data + i, &x, 8);
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(data);
	return 0;
}

static size_t
cut_all(const uint8_t *p, size_t n, size_t *cuts, size_t max)
{
	size_t count = 0, at, len;

	for (at = 0; at < n; at += len) {
		len = chunker_cut(&chunker, p + at, n - at);
		assert_true(len > 0 && len <= CHUNKER_MAX);
		assert_true(len >= CHUNKER_MIN || at + len == n);
		assert_true(count < max);
		cuts[count++] = at + len;
	}
	return count;
}

static void
chunks_are_of_the_promised_size(void **state)
{
	size_t cuts[1024], n;

	(void)state;
	n = cut_all(data, DATA, cuts, 1024);
	assert_in_range(DATA / n, CHUNKER_AVG * 2 / 3, CHUNKER_AVG * 3 / 2);
}

static void
after_an_insertion_the_cuts_are_found_again(void **state)
{
	size_t a[1024], b[1024], na, nb, i, j, shared = 0;
	uint8_t *other = malloc(DATA + 100);

	(void)state;
	assert_non_null(other);
	memcpy(other, data, 5000000);
	memset(other + 5000000, 7, 100);
	memcpy(other + 5000100, data + 5000000, DATA - 5000000);
	na = cut_all(data, DATA, a, 1024);
	nb = cut_all(other, DATA + 100, b, 1024);
	for (i = 0; i < na; i++)
		for (j = 0; j < nb; j++)
			shared += a[i] > 5000000 ? b[j] == a[i] + 100 :
			    b[j] == a[i];
	assert_true(shared + 4 >= na);
	free(other);
}

static void
a_cut_does_not_depend_on_what_follows_the_longest_chunk(void **state)
{
	(void)state;
	assert_int_equal(chunker_cut(&chunker, data, DATA),
	    chunker_cut(&chunker, data, CHUNKER_MAX));
}

static void
monotonous_data_is_cut_at_the_maximum_or_regularly(void **state)
{
	uint8_t *zeros = calloc(1, 8u << 20);
	size_t cuts[128], n;

	(void)state;
	n = cut_all(zeros, 8u << 20, cuts, 128);
	assert_in_range(n, 4, 64);
	free(zeros);
}

static void
another_key_cuts_elsewhere(void **state)
{
	struct secret key = { { 2 } };
	struct chunker other;

	(void)state;
	assert_int_equal(chunker_init(&other, &key), RC_OK);
	assert_int_not_equal(chunker_cut(&chunker, data, DATA),
	    chunker_cut(&other, data, DATA));
}

static void
bundles_close_on_average_at_their_target(void **state)
{
	uint64_t x = 1234567, bytes = 0;
	uint8_t fid[32] = { 0 };
	unsigned i, closed = 0;

	(void)state;
	for (i = 0; i < 200000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(fid, &x, 8);
		bytes += 3000;
		closed += bundle_closes(fid, 3000);
	}
	assert_in_range(bytes / closed, BUNDLE_TARGET * 9 / 10,
	    BUNDLE_TARGET * 11 / 10);
	assert_true(bundle_closes(fid, BUNDLE_TARGET));
	memset(fid, 0xff, sizeof(fid));
	assert_false(bundle_closes(fid, BUNDLE_SMALL - 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_are_of_the_promised_size),
		cmocka_unit_test(after_an_insertion_the_cuts_are_found_again),
		cmocka_unit_test(
		    a_cut_does_not_depend_on_what_follows_the_longest_chunk),
		cmocka_unit_test(
		    monotonous_data_is_cut_at_the_maximum_or_regularly),
		cmocka_unit_test(another_key_cuts_elsewhere),
		cmocka_unit_test(bundles_close_on_average_at_their_target),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
