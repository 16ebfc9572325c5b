#include "config.h"

#include "client/engine/node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/engine/build.h"
#include "common/rc.h"

/* Emitted nodes are kept, so that trees can be read back. */
struct kept {
	struct object_id	 id;
	uint8_t			 type;
	uint16_t		 height, nedges;
	struct object_id	*edges;
	uint8_t			*plain;
	size_t			 len;
};

struct fixture {
	struct keys		 k;
	struct sealer		*s;
	struct kept		*kept;
	size_t			 n;
	char			*names;		/* of a tree read back, a line each */
	size_t			 names_len, entries;
	uint64_t		 bytes;
	struct entry		 last;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	memset(f->k.m.b, 7, sizeof(f->k.m.b));
	assert_int_equal(keys_derive(&f->k), RC_OK);
	f->s = sealer_new(&f->k);
	assert_non_null(f->s);
	*state = f;
	return 0;
}

static void
forget(struct fixture *f)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		free(f->kept[i].edges);
		free(f->kept[i].plain);
	}
	free(f->kept);
	f->kept = NULL;
	f->n = 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	forget(f);
	sealer_free(f->s);
	keys_clear(&f->k);
	free(f);
	return 0;
}

static int
keep(void *arg, const struct object_id *id, uint8_t type, uint16_t height,
    const struct object_id *edges, uint16_t nedges, const void *plain,
    size_t len)
{
	struct fixture *f = arg;
	struct kept *k;

	f->kept = realloc(f->kept, (f->n + 1) * sizeof(*f->kept));
	assert_non_null(f->kept);
	k = &f->kept[f->n++];
	k->id = *id;
	k->type = type;
	k->height = height;
	k->nedges = nedges;
	k->len = len;
	k->edges = malloc(nedges * sizeof(*edges) + 1);
	k->plain = malloc(len + 1);
	assert_non_null(k->edges);
	assert_non_null(k->plain);
	if (nedges > 0)
		memcpy(k->edges, edges, nedges * sizeof(*edges));
	memcpy(k->plain, plain, len);
	return RC_OK;
}

static const struct kept *
find(const struct fixture *f, const struct object_id *id)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (memcmp(&f->kept[i].id, id, sizeof(*id)) == 0)
			return &f->kept[i];
	fail_msg("a node is referred to and was not emitted");
	return NULL;
}

static int read_dir(struct fixture *f, const struct object_id *id);

static int
on_entry(void *arg, const struct entry *e)
{
	struct fixture *f = arg;

	f->entries++;
	f->last = *e;
	return 0;
}

static int
on_child(void *arg, const uint8_t *first, size_t first_len,
    const struct object_id *child, uint64_t entries)
{
	struct fixture *f = arg;
	size_t before = f->entries;
	int rc;

	assert_true(first_len > 0 && first != NULL);
	rc = read_dir(f, child);
	assert_int_equal(f->entries - before, entries);
	return rc;
}

static int
read_dir(struct fixture *f, const struct object_id *id)
{
	const struct kept *k = find(f, id);
	uint16_t i;

	if (k->type == OBJECT_DIR_LEAF)
		return leaf_read(k->plain, k->len, k->edges, k->nedges,
		    on_entry, f);
	assert_int_equal(k->type, OBJECT_DIR_INTERIOR);
	for (i = 0; i < k->nedges; i++)
		assert_true(find(f, &k->edges[i])->height < k->height);
	return interior_read(k->plain, k->len, k->edges, k->nedges, on_child,
	    f);
}

static void
file_entry(struct entry *e, const char *name)
{
	memset(e, 0, sizeof(*e));
	e->name = (const uint8_t *)name;
	e->name_len = strlen(name);
	e->mode = S_IFREG | 0644;
	e->uid = 1000;
	e->user = "user";
	e->mtime = 1700000000;
	e->mtime_ns = 5;
	e->ref = REF_INLINE;
	e->inline_data = (const uint8_t *)"hello";
	e->inline_len = e->size = 5;
}

static void
build(struct fixture *f, unsigned n, unsigned skip, struct object_id *top,
    uint16_t *height)
{
	struct dir_builder *d = dir_begin(f->s, &f->k, keep, f);
	struct entry e;
	char name[32];
	unsigned i;

	assert_non_null(d);
	for (i = 0; i < n; i++) {
		if (i == skip)
			continue;
		snprintf(name, sizeof(name), "file-%08u", i);
		file_entry(&e, name);
		if (i % 3 == 1) {
			e.ref = REF_BUNDLE;
			memset(&e.ref_id, 0, sizeof(e.ref_id));
			memcpy(e.ref_id.b, &(unsigned){ i / 64 },
			    sizeof(unsigned));
			e.offset = i % 64 * 100;
			e.len = e.size = 100;
		}
		assert_int_equal(dir_add(d, &e), RC_OK);
	}
	assert_int_equal(dir_end(d, top, height), RC_OK);
	dir_free(d);
}

static void
an_empty_directory_is_one_leaf(void **state)
{
	struct fixture *f = *state;
	struct object_id top;
	uint16_t height;

	build(f, 0, 1, &top, &height);
	assert_int_equal(f->n, 1);
	assert_int_equal(height, 1);
	assert_int_equal(read_dir(f, &top), RC_OK);
	assert_int_equal(f->entries, 0);
}

static void
every_field_of_an_entry_comes_back(void **state)
{
	static uint8_t xattrs[5000];
	struct fixture *f = *state;
	struct dir_builder *d = dir_begin(f->s, &f->k, keep, f);
	struct object_id top;
	struct entry e;
	uint16_t height;

	file_entry(&e, "a\xff\n");
	e.mode = S_IFREG | 04755;
	e.gid = 7;
	e.group = "staff";
	e.mtime = -5;
	e.mtime_ns = 999999999;
	e.link_id = 0x1122334455667788;
	e.xattrs = xattrs;
	e.xattrs_len = sizeof(xattrs);
	memset(&e.xattrs_edge, 3, sizeof(e.xattrs_edge));
	e.ref = REF_EXTENTS;
	e.next = 3;
	e.ext[0].len = 10;
	memset(&e.ext[0].id, 1, 32);
	e.ext[1].hole = true;
	e.ext[1].len = 1ull << 40;
	e.ext[2].len = 10;
	memset(&e.ext[2].id, 1, 32);
	e.size = 20 + (1ull << 40);
	assert_int_equal(dir_add(d, &e), RC_OK);
	assert_int_equal(dir_end(d, &top, &height), RC_OK);
	dir_free(d);
	assert_int_equal(f->kept[0].nedges, 2);
	assert_int_equal(read_dir(f, &top), RC_OK);
	assert_int_equal(f->entries, 1);
	assert_int_equal(f->last.mode, e.mode);
	assert_int_equal(f->last.mtime, -5);
	assert_int_equal(f->last.mtime_ns, 999999999);
	assert_true(f->last.link_id == e.link_id);
	assert_true(f->last.size == e.size);
	assert_string_equal(f->last.user, "user");
	assert_string_equal(f->last.group, "staff");
	assert_int_equal(f->last.xattrs_len, sizeof(xattrs));
	assert_memory_equal(&f->last.xattrs_edge, &e.xattrs_edge, 32);
	assert_int_equal(f->last.next, 3);
	assert_true(f->last.ext[1].hole);
	assert_memory_equal(&f->last.ext[2].id, &e.ext[2].id, 32);
}

static void
devices_links_and_directories_come_back(void **state)
{
	struct fixture *f = *state;
	struct dir_builder *d = dir_begin(f->s, &f->k, keep, f);
	struct object_id top;
	struct entry e;
	uint16_t height;

	file_entry(&e, "dev");
	e.mode = S_IFBLK | 0600;
	e.ref = REF_NONE;
	e.size = 0;
	e.rdev = 0x801;
	assert_int_equal(dir_add(d, &e), RC_OK);
	file_entry(&e, "link");
	e.mode = S_IFLNK | 0777;
	e.inline_data = (const uint8_t *)"/to/there";
	e.inline_len = 9;
	assert_int_equal(dir_add(d, &e), RC_OK);
	file_entry(&e, "sub");
	e.mode = S_IFDIR | 0755;
	e.ref = REF_DIR;
	e.ref_height = 41;
	memset(&e.ref_id, 8, 32);
	assert_int_equal(dir_add(d, &e), RC_OK);
	assert_int_equal(dir_end(d, &top, &height), RC_OK);
	dir_free(d);
	assert_int_equal(height, 42);
	assert_int_equal(read_dir(f, &top), RC_OK);
	assert_int_equal(f->entries, 3);
	assert_int_equal(f->last.ref_height, 41);
}

static void
wrong_order_and_wrong_names_are_refused(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b" };
	struct fixture *f = *state;
	struct dir_builder *d = dir_begin(f->s, &f->k, keep, f);
	struct entry e;
	size_t i;

	for (i = 0; i < 4; i++) {
		file_entry(&e, bad[i]);
		assert_int_equal(dir_add(d, &e), RC_RANGE);
	}
	file_entry(&e, "b");
	assert_int_equal(dir_add(d, &e), RC_OK);
	assert_int_equal(dir_add(d, &e), RC_RANGE);
	file_entry(&e, "a");
	assert_int_equal(dir_add(d, &e), RC_RANGE);
	dir_free(d);
}

static void
a_large_directory_is_shallow_and_a_change_rewrites_few_nodes(void **state)
{
	struct fixture *f = *state;
	struct object_id a, b;
	size_t first, i, j, fresh = 0;
	uint16_t height;

	build(f, 40000, 40001, &a, &height);
	assert_true(height <= 3);
	assert_int_equal(read_dir(f, &a), RC_OK);
	assert_int_equal(f->entries, 40000);
	first = f->n;
	build(f, 40000, 20000, &b, &height);
	for (i = first; i < f->n; i++) {
		for (j = 0; j < first; j++)
			if (memcmp(&f->kept[i].id, &f->kept[j].id, 32) == 0)
				break;
		fresh += j == first;
	}
	assert_true(first > 20);
	assert_true(fresh >= 2 && fresh <= 6);
}

static void
one_tree_has_one_serialisation(void **state)
{
	struct fixture *f = *state;
	struct object_id a, b;
	uint16_t height;

	build(f, 5000, 5001, &a, &height);
	build(f, 5000, 5001, &b, &height);
	assert_memory_equal(&a, &b, sizeof(a));
}

static void
a_damaged_leaf_is_never_read_past_its_end(void **state)
{
	struct fixture *f = *state;
	struct object_id top;
	const struct kept *k;
	uint16_t height;
	uint8_t *copy;
	size_t i;

	build(f, 12, 13, &top, &height);
	k = find(f, &top);
	for (i = 0; i < k->len; i++) {
		copy = malloc(i + 1);
		assert_non_null(copy);
		memcpy(copy, k->plain, i);
		assert_int_not_equal(leaf_read(copy, i, k->edges, k->nedges,
		    on_entry, f), RC_OK);
		free(copy);
	}
}

static int
on_extent(void *arg, const struct extent *e)
{
	struct fixture *f = arg;

	f->bytes += e->len;
	f->entries++;
	return 0;
}

static int
on_map_child(void *arg, const struct object_id *id, uint64_t bytes)
{
	struct fixture *f = arg;
	uint64_t before = f->bytes;
	const struct kept *k = find(f, id);
	int rc;

	rc = map_read(k->plain, k->len, k->edges, k->nedges, on_extent,
	    on_map_child, f);
	assert_true(f->bytes - before == bytes);
	return rc;
}

/* step 0: always the same chunk */
static void
map_of(struct fixture *f, unsigned n, unsigned step, struct object_id *top,
    uint16_t *height)
{
	struct map_builder *m = map_begin(f->s, keep, f);
	struct extent e = { 0 };
	unsigned i, v;

	assert_non_null(m);
	for (i = 0; i < n; i++) {
		v = i * step * 2654435761u;
		memcpy(e.id.b, &i, sizeof(i));
		if (step == 0)
			memset(&e.id, 0, sizeof(e.id));
		else
			memcpy(e.id.b + 28, &v, sizeof(v));
		e.hole = step != 0 && i % 50 == 7;
		e.len = 1000 + i % 7;
		assert_int_equal(map_add(m, &e), RC_OK);
	}
	assert_int_equal(map_end(m, top, height), RC_OK);
	map_free(m);
}

static void
maps_of_every_size_come_back(void **state)
{
	static const unsigned sizes[] = {
		1, 2, 63, 64, 65, 128, 4095, 4096, 4097, 5000, 8192, 50000,
	};
	struct fixture *f = *state;
	struct object_id top;
	uint16_t height;
	unsigned i, step;
	const struct kept *k;

	for (step = 0; step < 2; step++)
		for (i = 0; i < 12; i++) {
			map_of(f, sizes[i], step, &top, &height);
			assert_int_equal(find(f, &top)->height, height);
			assert_true(height <= 4);
			f->entries = 0;
			f->bytes = 0;
			k = find(f, &top);
			assert_int_equal(map_read(k->plain, k->len, k->edges,
			    k->nedges, on_extent, on_map_child, f), RC_OK);
			assert_int_equal(f->entries, sizes[i]);
			forget(f);
		}
}

/* The paper's appendix A: key 00..0f, input 00..0e. */
static void
siphash_gives_the_papers_vector(void **state)
{
	uint8_t key[16], in[15];
	uint8_t i;

	(void)state;
	for (i = 0; i < 16; i++)
		key[i] = i;
	for (i = 0; i < 15; i++)
		in[i] = i;
	assert_true(siphash(key, in, 15) == 0xa129ca6149be45e5ull);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(an_empty_directory_is_one_leaf),
		T(every_field_of_an_entry_comes_back),
		T(devices_links_and_directories_come_back),
		T(wrong_order_and_wrong_names_are_refused),
		T(a_large_directory_is_shallow_and_a_change_rewrites_few_nodes),
		T(one_tree_has_one_serialisation),
		T(a_damaged_leaf_is_never_read_past_its_end),
		T(maps_of_every_size_come_back),
		T(siphash_gives_the_papers_vector),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
