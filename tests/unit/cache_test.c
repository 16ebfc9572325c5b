#include "config.h"

#include "client/engine/cache.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/rc.h"

static char dir[64];
static int dirfd_;
static struct cache_key key;

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/cache_test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
	memset(&key, 5, sizeof(key));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlinkat(dirfd_, "c", 0);
	unlinkat(dirfd_, "c.new", 0);
	close(dirfd_);
	rmdir(dir);
	return 0;
}

static void
file_entry(struct cache_entry *c, const char *name, unsigned i)
{
	memset(c, 0, sizeof(*c));
	c->e.name = (const uint8_t *)name;
	c->e.name_len = strlen(name);
	c->e.mode = S_IFREG | 0600;
	c->e.mtime = -7;
	c->e.size = 300;
	c->e.ref = REF_BUNDLE;
	memset(&c->e.ref_id, (int)i, sizeof(c->e.ref_id));
	c->e.offset = i;
	c->e.len = 300;
	c->ino = i;
	c->ctime = 77;
	c->ctime_ns = 999;
	c->racy = i % 2 == 1;
}

/* A directory of n files in which `child` is the last. */
static struct cache_at
write_dir(struct cache_writer *w, unsigned n, struct cache_at child)
{
	struct object_id top;
	struct cache_entry c;
	struct cache_out *o;
	struct cache_at at;
	char name[32];
	unsigned i;

	memset(&top, 9, sizeof(top));
	assert_int_equal(cache_out_begin(&o, w), RC_OK);
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "f%06u", i);
		file_entry(&c, name, i);
		assert_int_equal(cache_out_add(o, &c), RC_OK);
	}
	if (child.off != 0) {
		file_entry(&c, "sub", 1);
		c.e.mode = S_IFDIR | 0700;
		c.e.ref = REF_DIR;
		c.e.ref_height = 3;
		c.child = child;
		assert_int_equal(cache_out_add(o, &c), RC_OK);
	}
	assert_int_equal(cache_out_node(o, &top), RC_OK);
	assert_int_equal(cache_out_end(o, &top, 4, &at), RC_OK);
	return at;
}

static unsigned
count_dir(const struct cache *c, struct cache_at at, struct cache_at *child)
{
	struct cache_entry e;
	struct cache_dir *d;
	unsigned n = 0;
	int rc;

	if (cache_dir_open(&d, c, at) != RC_OK)
		return 0;
	while ((rc = cache_dir_next(d, &e)) == RC_OK) {
		if (e.e.ref == REF_DIR)
			*child = e.child;
		else
			assert_int_equal(e.ino, n);
		n++;
	}
	cache_dir_close(d);
	return rc == RC_EOF ? n : 0;
}

static void
make(unsigned n)
{
	struct cache_at none = { 0 }, at;
	struct cache_writer *w;

	assert_int_equal(cache_writer_new(&w, dirfd_, "c", NULL), RC_OK);
	at = write_dir(w, n, none);
	at = write_dir(w, 3, at);
	assert_int_equal(cache_writer_commit(w, at, &key), RC_OK);
	cache_writer_free(w);
}

static void
directories_come_back_through_their_parents(void **state)
{
	struct cache_at child = { 0 };
	struct cache *c;
	bool same;

	(void)state;
	make(5000);
	assert_int_equal(cache_open(&c, dirfd_, "c", &key, &same), RC_OK);
	assert_true(same);
	assert_int_equal(count_dir(c, cache_root(c), &child), 4);
	assert_int_equal(count_dir(c, child, &child), 5000);
	cache_close(c);
}

static void
a_cache_of_another_snapshot_or_vault_is_none(void **state)
{
	struct cache_key other;
	struct cache *c;
	bool same;

	(void)state;
	make(10);
	other = key;
	other.base[3] ^= 1;
	assert_int_equal(cache_open(&c, dirfd_, "c", &other, &same), RC_NOENT);
	other = key;
	other.vault[3] ^= 1;
	assert_int_equal(cache_open(&c, dirfd_, "c", &other, &same), RC_NOENT);
	other = key;
	other.owners[3] ^= 1;
	assert_int_equal(cache_open(&c, dirfd_, "c", &other, &same), RC_OK);
	assert_false(same);
	cache_close(c);
}

static void
an_unchanged_directory_stays_where_it_is(void **state)
{
	struct cache_at child = { 0 }, root;
	struct cache_writer *w;
	struct cache_key next = key;
	struct cache *c;
	bool same;

	(void)state;
	make(5000);
	next.base[0] ^= 1;
	assert_int_equal(cache_open(&c, dirfd_, "c", &key, &same), RC_OK);
	assert_int_equal(count_dir(c, cache_root(c), &child), 4);
	assert_int_equal(cache_writer_new(&w, dirfd_, "c", c), RC_OK);
	root = write_dir(w, 7, child);
	assert_int_equal(cache_writer_commit(w, root, &next), RC_OK);
	cache_writer_free(w);
	cache_close(c);
	assert_int_equal(cache_open(&c, dirfd_, "c", &key, &same), RC_NOENT);
	assert_int_equal(cache_open(&c, dirfd_, "c", &next, &same), RC_OK);
	assert_int_equal(count_dir(c, cache_root(c), &child), 8);
	assert_int_equal(count_dir(c, child, &child), 5000);
	cache_close(c);
}

static void
without_commit_the_old_cache_stays(void **state)
{
	struct cache_at child = { 0 };
	struct cache_writer *w;
	struct cache *c;
	bool same;

	(void)state;
	make(100);
	assert_int_equal(cache_open(&c, dirfd_, "c", &key, &same), RC_OK);
	assert_int_equal(cache_writer_new(&w, dirfd_, "c", c), RC_OK);
	write_dir(w, 50000, child);
	cache_writer_free(w);
	assert_int_equal(cache_writer_new(&w, dirfd_, "c", NULL), RC_OK);
	write_dir(w, 50000, child);
	cache_writer_free(w);
	assert_int_equal(count_dir(c, cache_root(c), &child), 4);
	cache_close(c);
	assert_int_equal(faccessat(dirfd_, "c.new", F_OK, 0), -1);
}

static void
a_changed_byte_is_never_believed(void **state)
{
	struct cache_at child;
	struct cache *c;
	uint8_t b, old;
	off_t at, end;
	bool same;
	int fd;

	(void)state;
	make(40);
	fd = openat(dirfd_, "c", O_RDWR);
	end = lseek(fd, 0, SEEK_END);
	for (at = 0; at < end; at += 3) {
		assert_int_equal(pread(fd, &old, 1, at), 1);
		b = old ^ 0x20;
		assert_int_equal(pwrite(fd, &b, 1, at), 1);
		memset(&child, 0, sizeof(child));
		if (cache_open(&c, dirfd_, "c", &key, &same) == RC_OK) {
			unsigned n = count_dir(c, cache_root(c), &child);

			assert_true(n == 0 || n == 4);
			if (n == 4) {
				n = count_dir(c, child, &child);
				assert_true(n == 0 || n == 40);
			}
			cache_close(c);
		}
		assert_int_equal(pwrite(fd, &old, 1, at), 1);
	}
	close(fd);
}

static void
a_cache_of_mostly_waste_asks_to_be_written_anew(void **state)
{
	struct cache_at none = { 0 }, root;
	struct cache_writer *w;
	struct cache *c;
	int i;
	bool same;

	(void)state;
	make(10);
	for (i = 0; i < 12; i++) {
		assert_int_equal(cache_open(&c, dirfd_, "c", &key, &same),
		    RC_OK);
		if (i == 0 || i == 11)
			assert_int_equal(cache_bloated(c), i == 11);
		assert_int_equal(cache_writer_new(&w, dirfd_, "c", c), RC_OK);
		root = write_dir(w, 5000, none);
		assert_int_equal(cache_writer_commit(w, root, &key), RC_OK);
		cache_writer_free(w);
		cache_close(c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(directories_come_back_through_their_parents),
		T(a_cache_of_another_snapshot_or_vault_is_none),
		T(an_unchanged_directory_stays_where_it_is),
		T(without_commit_the_old_cache_stays),
		T(a_changed_byte_is_never_believed),
		T(a_cache_of_mostly_waste_asks_to_be_written_anew),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
