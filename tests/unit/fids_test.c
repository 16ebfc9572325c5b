#include "config.h"

#include "client/engine/fids.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/digest.h"
#include "common/rc.h"

static char dir[64];
static int dirfd_;
static const uint8_t vault[16] = { 1 };

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/fids_test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlinkat(dirfd_, "fids", 0);
	unlinkat(dirfd_, "fids.lock", 0);
	unlinkat(dirfd_, "spill", 0);
	close(dirfd_);
	rmdir(dir);
	return 0;
}

static void
fid_of(unsigned i, uint8_t fid[32])
{
	assert_int_equal(sha256(&i, sizeof(i), fid), RC_OK);
}

static struct fids *
open_table(void)
{
	struct fids *f;

	assert_int_equal(fids_open(&f, dirfd_, "fids", "spill", vault, true),
	    RC_OK);
	return f;
}

/* Files [from, to), 50 to a bundle. */
static void
add(struct fids *f, unsigned from, unsigned to)
{
	struct object_id id;
	uint8_t fid[32];
	uint32_t number = 0;
	unsigned i;

	for (i = from; i < to; i++) {
		if ((i - from) % 50 == 0) {
			assert_int_equal(fids_bundle_new(f, &number), RC_OK);
			memset(&id, 0, sizeof(id));
			memcpy(id.b, &(unsigned){ i / 50 }, sizeof(i));
			fids_bundle_is(f, number, &id);
		}
		fid_of(i, fid);
		assert_int_equal(fids_add(f, fid, number, i % 50 * 200, 200),
		    RC_OK);
	}
}

static void
all_there(struct fids *f, unsigned from, unsigned to, bool own)
{
	struct fids_place p;
	uint8_t fid[32];
	unsigned i, got;

	for (i = from; i < to; i++) {
		fid_of(i, fid);
		assert_int_equal(fids_find(f, fid, 200, &p), RC_OK);
		assert_int_equal(p.offset, i % 50 * 200);
		assert_int_equal(p.own, own);
		memcpy(&got, p.bundle.b, sizeof(got));
		assert_int_equal(got, i / 50);
	}
}

static void
what_a_run_added_is_found_by_the_next(void **state)
{
	struct fids_place p;
	uint8_t fid[32];
	struct fids *f;

	(void)state;
	f = open_table();
	add(f, 0, 5000);
	all_there(f, 0, 5000, true);
	assert_int_equal(fids_commit(f, false), RC_OK);
	fids_close(f);
	f = open_table();
	all_there(f, 0, 5000, false);
	fid_of(5000, fid);
	assert_int_equal(fids_find(f, fid, 200, &p), RC_NOENT);
	fid_of(1, fid);
	assert_int_equal(fids_find(f, fid, 201, &p), RC_NOENT);
	fids_close(f);
}

static void
without_commit_nothing_is_kept(void **state)
{
	struct fids_place p;
	uint8_t fid[32];
	struct fids *f;

	(void)state;
	f = open_table();
	add(f, 0, 100);
	fids_close(f);
	f = open_table();
	fid_of(1, fid);
	assert_int_equal(fids_find(f, fid, 200, &p), RC_NOENT);
	fids_close(f);
	assert_int_equal(faccessat(dirfd_, "spill", F_OK, 0), -1);
}

static void
more_than_memory_holds_goes_to_the_spill_file(void **state)
{
	const unsigned n = FIDS_MEMORY * 2 + 1000;
	struct fids *f;

	(void)state;
	f = open_table();
	add(f, 0, n);
	all_there(f, 0, 3000, true);
	all_there(f, FIDS_MEMORY - 10, FIDS_MEMORY + 10, true);
	assert_int_equal(fids_commit(f, false), RC_OK);
	fids_close(f);
	f = open_table();
	all_there(f, 0, 3000, false);
	all_there(f, n - 3000, n, false);
	fids_close(f);
}

static void
many_runs_are_merged_and_nothing_is_lost(void **state)
{
	struct fids *f;
	unsigned i;

	(void)state;
	for (i = 0; i < 25; i++) {
		f = open_table();
		add(f, i * 1000, i * 1000 + 1000);
		assert_int_equal(fids_commit(f, false), RC_OK);
		fids_close(f);
	}
	f = open_table();
	all_there(f, 0, 25000, false);
	fids_close(f);
}

static void
a_table_can_be_replaced(void **state)
{
	struct fids_place p;
	uint8_t fid[32];
	struct fids *f;

	(void)state;
	f = open_table();
	add(f, 0, 1000);
	assert_int_equal(fids_commit(f, false), RC_OK);
	fids_close(f);
	f = open_table();
	add(f, 5000, 6000);
	assert_int_equal(fids_commit(f, true), RC_OK);
	fids_close(f);
	f = open_table();
	all_there(f, 5000, 6000, false);
	fid_of(1, fid);
	assert_int_equal(fids_find(f, fid, 200, &p), RC_NOENT);
	fids_close(f);
}

static void
damage_never_gives_a_wrong_place(void **state)
{
	struct fids_place p;
	uint8_t fid[32], b, old;
	unsigned i, got;
	struct fids *f;
	off_t at, end;
	int fd;

	(void)state;
	f = open_table();
	add(f, 0, 400);
	assert_int_equal(fids_commit(f, false), RC_OK);
	fids_close(f);
	fd = openat(dirfd_, "fids", O_RDWR);
	end = lseek(fd, 0, SEEK_END);
	for (at = 0; at < end; at += 41) {
		assert_int_equal(pread(fd, &old, 1, at), 1);
		b = old ^ 0x01;
		assert_int_equal(pwrite(fd, &b, 1, at), 1);
		f = open_table();
		for (i = 0; i < 400; i += 17) {
			fid_of(i, fid);
			if (fids_find(f, fid, 200, &p) != RC_OK)
				continue;
			memcpy(&got, p.bundle.b, sizeof(got));
			assert_int_equal(got, i / 50);
			assert_int_equal(p.offset, i % 50 * 200);
		}
		fids_close(f);
		assert_int_equal(pwrite(fd, &old, 1, at), 1);
	}
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(what_a_run_added_is_found_by_the_next),
		T(without_commit_nothing_is_kept),
		T(more_than_memory_holds_goes_to_the_spill_file),
		T(many_runs_are_merged_and_nothing_is_lost),
		T(a_table_can_be_replaced),
		T(damage_never_gives_a_wrong_place),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
