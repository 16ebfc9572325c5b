#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/store/index.h"
#include "server/store/sort.h"
#include "tests/unit/store_help.h"

struct bed {
	char		 dir[64];
	struct index_opt opt;
	struct index	*ix;
	struct ixstate	 st;
};

static void
bed_new(struct bed *b, unsigned mem, bool transient)
{
	memset(b, 0, sizeof(*b));
	snprintf(b->dir, sizeof(b->dir), "/tmp/sg-index-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	b->opt.dirfd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(b->opt.dirfd >= 0);
	b->opt.prefix = "";
	b->opt.mem = mem;
	b->opt.transient = transient;
	assert_int_equal(index_new(&b->ix, &b->opt), RC_OK);
}

static void
bed_free(struct bed *b)
{
	char path[400];
	struct dirent *d;
	DIR *dp;

	index_free(b->ix);
	dp = opendir(b->dir);
	assert_non_null(dp);
	while ((d = readdir(dp)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", b->dir, d->d_name);
		if (d->d_name[0] != '.')
			unlink(path);
	}
	closedir(dp);
	close(b->opt.dirfd);
	rmdir(b->dir);
}

static void
add(struct bed *b, const struct object_id *id, uint32_t n, bool node)
{
	struct ixent e = { .id = *id, .pack = n / 100 + 1, .off = 8ull * n,
	    .len = n, .type = node ? 0x81 : 0x01, .height = node ? 3 : 0,
	    .closure_bytes = node ? 7ull * n : n,
	    .closure_objects = node ? 5 : 1 };

	if (index_full(b->ix))
		assert_int_equal(index_flush(b->ix, &b->st), RC_OK);
	assert_int_equal(index_add(b->ix, &e), RC_OK);
}

static void
everything_added_is_found_and_nothing_else(void **state)
{
	struct object_id id;
	struct ixent e;
	struct bed b;

	(void)state;
	bed_new(&b, 700, false);
	for (uint32_t n = 1; n <= 30000; n++) {
		id = id_of(n);
		add(&b, &id, n, n % 5 == 0);
		if (n % 3 == 0)
			(void)index_work(b.ix, 500);
	}
	assert_int_equal(index_settle(b.ix), RC_OK);
	assert_int_equal(index_count(b.ix), 30000);
	assert_true(index_files(b.ix) <= 14);
	for (uint32_t n = 1; n <= 30000; n++) {
		id = id_of(n);
		assert_int_equal(index_find(b.ix, &id, 0, &e), RC_OK);
		assert_int_equal(e.len, n);
		assert_int_equal(e.off, 8ull * n);
		assert_int_equal(e.pack, n / 100 + 1);
		assert_int_equal(e.closure_bytes, n % 5 == 0 ? 7ull * n : n);
		id = id_of(n + 1000000);
		assert_int_equal(index_find(b.ix, &id, 0, &e), RC_NOENT);
	}
	/* And after it was opened again. */
	assert_int_equal(index_flush(b.ix, &b.st), RC_OK);
	index_free(b.ix);
	assert_int_equal(index_open(&b.ix, &b.opt, &b.st), RC_OK);
	assert_int_equal(index_count(b.ix), 30000);
	for (uint32_t n = 1; n <= 30000; n += 7) {
		id = id_of(n);
		assert_int_equal(index_find(b.ix, &id, 0, &e), RC_OK);
	}
	bed_free(&b);
}

/* A client chooses its ids: they need not be spread. */
static void
ids_that_stand_close_together_are_found(void **state)
{
	struct object_id id;
	struct ixent e;
	struct bed b;

	(void)state;
	bed_new(&b, 1000, true);
	for (uint32_t n = 1; n <= 6000; n++) {
		memset(&id, n % 2 == 0 ? 0x00 : 0xff, sizeof(id));
		memcpy(id.b + 28, &n, 4);
		add(&b, &id, n, false);
	}
	for (uint32_t n = 1; n <= 6000; n++) {
		memset(&id, n % 2 == 0 ? 0x00 : 0xff, sizeof(id));
		memcpy(id.b + 28, &n, 4);
		assert_int_equal(index_find(b.ix, &id, 0, &e), RC_OK);
		assert_int_equal(e.len, n);
		id.b[27] ^= 1;
		assert_int_equal(index_find(b.ix, &id, 0, &e), RC_NOENT);
	}
	bed_free(&b);
}

static void
of_one_id_the_newest_record_is_first(void **state)
{
	struct object_id id = id_of(5), other;
	struct ixent e;
	struct bed b;

	(void)state;
	bed_new(&b, 64, false);
	for (uint32_t n = 1; n <= 500; n++) {
		other = id_of(n + 1000);
		add(&b, n % 100 == 0 ? &id : &other, n, false);
	}
	for (unsigned copy = 0; copy < 5; copy++) {
		assert_int_equal(index_find(b.ix, &id, copy, &e), RC_OK);
		assert_int_equal(e.len, 500 - copy * 100);
	}
	assert_int_equal(index_find(b.ix, &id, 5, &e), RC_NOENT);
	assert_int_equal(index_settle(b.ix), RC_OK);
	for (unsigned copy = 0; copy < 5; copy++) {
		assert_int_equal(index_find(b.ix, &id, copy, &e), RC_OK);
		assert_int_equal(e.len, 500 - copy * 100);
	}
	bed_free(&b);
}

static void
what_a_lost_pack_held_is_forgotten(void **state)
{
	struct object_id id;
	struct ixent e;
	struct bed b;

	(void)state;
	bed_new(&b, 1000, true);
	for (uint32_t n = 100; n < 300; n++) {
		id = id_of(n);
		add(&b, &id, n, false);
	}
	index_drop(b.ix, 2, 8 * 150);
	for (uint32_t n = 100; n < 300; n++) {
		id = id_of(n);
		assert_int_equal(index_find(b.ix, &id, 0, &e),
		    n >= 150 && n < 200 ? RC_NOENT : RC_OK);
	}
	bed_free(&b);
}

static void
a_bad_page_is_not_believed(void **state)
{
	struct object_id id;
	struct ixent e;
	char path[200];
	struct bed b;
	int bad = 0;

	(void)state;
	bed_new(&b, 5000, false);
	for (uint32_t n = 1; n <= 1000; n++) {
		id = id_of(n);
		add(&b, &id, n, false);
	}
	assert_int_equal(index_flush(b.ix, &b.st), RC_OK);
	snprintf(path, sizeof(path), "%s/d00000000", b.dir);
	flip_byte(path, 4096 * 3 + 100);
	for (uint32_t n = 1; n <= 1000; n++) {
		int rc;

		id = id_of(n);
		rc = index_find(b.ix, &id, 0, &e);
		assert_true(rc == RC_OK || rc == RC_CRC);
		bad += rc == RC_CRC;
	}
	assert_true(bad > 50 && bad < 400);
	bed_free(&b);
}

static int
by_value(const void *arg, uint32_t a, uint32_t b)
{
	const uint32_t *v = arg;

	return v[a] < v[b] ? -1 : v[a] > v[b];
}

static void
sorting_is_stable(void **state)
{
	uint32_t value[1000] = { 0 }, order[1000], tmp[1000];

	(void)state;
	for (size_t n = 0; n <= 1000; n = n * 2 + 1) {
		for (size_t i = 0; i < n; i++) {
			value[i] = (uint32_t)(i * 7919 % 13);
			order[i] = (uint32_t)i;
		}
		sort_u32(order, tmp, n, by_value, value);
		for (size_t i = 1; i < n; i++) {
			assert_true(value[order[i - 1]] <= value[order[i]]);
			assert_true(value[order[i - 1]] < value[order[i]] ||
			    order[i - 1] < order[i]);
		}
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_added_is_found_and_nothing_else),
		cmocka_unit_test(ids_that_stand_close_together_are_found),
		cmocka_unit_test(of_one_id_the_newest_record_is_first),
		cmocka_unit_test(what_a_lost_pack_held_is_forgotten),
		cmocka_unit_test(a_bad_page_is_not_believed),
		cmocka_unit_test(sorting_is_stable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
