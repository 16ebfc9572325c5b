#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/store/dir.h"
#include "server/store/verify.h"
#include "tests/unit/store_help.h"

#define FLIP_STEP 13

static void
file_bytes(const char *path, uint8_t *p, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, p, n), n);
	close(fd);
}

/* Write zeros until nothing more goes in. */
static void
fill_disk(const char *path)
{
	static const uint8_t zeros[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	close(fd);
}

/* Findings of each kind. */
static int
verify_all(struct world *w, unsigned count[5])
{
	struct verifier *vr;
	struct finding f;
	int rc;

	memset(count, 0, 5 * sizeof(count[0]));
	assert_int_equal(verify_new(&vr, w->v, 100), RC_OK);
	do {
		rc = verify_step(vr);
		while (verify_take(vr, &f)) {
			assert_true(f.kind < 5);
			count[f.kind]++;
			if (getenv("STORE_TEST_LOG") != NULL)
				fprintf(stderr, "finding %d: %s\n", f.kind,
				    f.text);
		}
	} while (rc == RC_AGAIN);
	verify_free(vr);
	assert_int_equal(rc, RC_EOF);
	return (int)(count[0] + count[1] + count[2] + count[3] + count[4]);
}

static void
a_whole_vault_verifies_clean(void **state)
{
	unsigned count[5];
	struct world w;

	(void)state;
	world_new(&w);
	w.opt.pack_target = 64 << 10;
	world_must_open(&w);
	for (uint32_t i = 1; i < 20; i++)
		simple_snapshot(&w, i * 100, 9000);
	assert_int_equal(verify_all(&w, count), 0);
	world_kill(&w);
	world_must_open(&w);
	assert_int_equal(verify_all(&w, count), 0);
	assert_int_equal(w.v->state.nsnap, 19);
	world_free(&w);
}

/* A copy of the vault with one file cut at every length of its last bytes. */
static void
cut_everywhere(struct world *w, const char *sub, const char *end, size_t from,
    uint32_t root1, uint32_t root2, size_t whole1)
{
	char path[300];
	size_t size;

	find_file(w, sub, end, path, sizeof(path));
	size = file_size(path);
	assert_true(size > from);
	for (size_t cut = from; cut < size; cut++) {
		unsigned count[5];
		struct world c;

		world_copy(w, &c);
		find_file(&c, sub, end, path, sizeof(path));
		cut_file(path, cut);
		world_must_open(&c);
		assert_false(c.v->readonly);
		assert_true(c.v->state.nsnap >= whole1);
		assert_true(tree_whole(&c, root1));
		/* Only what was never acknowledged may be gone. */
		if (c.v->state.nsnap == whole1 && root2 != 0)
			c.sequence = 1;
		assert_int_equal(verify_all(&c, count), 0);
		world_free(&c);
	}
}

static void
a_journal_cut_anywhere_in_its_last_record_opens(void **state)
{
	char path[300];
	struct world w;
	size_t before;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 500);
	find_file(&w, "journal", "", path, sizeof(path));
	before = file_size(path);
	world_run(&w);
	/* As a crash between the record's write and its sync would leave it:
	 * the second copy is not there either. */
	{
		size_t len;
		uint8_t *p = make_snapshot(&w, 102, &len);
		struct commit c;

		assert_int_equal(commit_check(w.v, w.run, &w.grant, p, len,
		    &c), RC_OK);
		assert_int_equal(vault_sync(w.v), RC_OK);
		assert_int_equal(commit_write(w.v, &c), RC_OK);
		commit_clear(&c);
		free(p);
	}
	world_kill(&w);
	cut_everywhere(&w, "journal", "", before, 102, 102, 1);
	world_free(&w);
}

static void
an_acknowledged_snapshot_comes_back_from_its_second_copy(void **state)
{
	char path[300];
	struct world w;
	size_t before;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 500);
	find_file(&w, "journal", "", path, sizeof(path));
	before = file_size(path);
	simple_snapshot(&w, 200, 500);
	world_kill(&w);
	flip_byte(path, before + 100);
	world_must_open(&w);
	assert_int_equal(w.v->state.nsnap, 2);
	assert_true(tree_whole(&w, 202));
	world_free(&w);
}

static void
several_snapshots_come_back_as_they_were(void **state)
{
	uint8_t before[8192], after[8192];
	char path[300];
	struct world w;
	size_t size;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	for (uint32_t i = 1; i < 5; i++)
		simple_snapshot(&w, i * 100, 500);
	find_file(&w, "journal", "", path, sizeof(path));
	size = file_size(path);
	assert_true(size < sizeof(before));
	file_bytes(path, before, size);
	for (size_t i = 1; i < 4; i++)
		flip_byte(path, w.v->state.snap[i].pos.off + 100);
	world_kill(&w);
	world_must_open(&w);
	assert_false(w.v->readonly);
	assert_int_equal(w.v->state.nsnap, 4);
	/* The next one's hash is of what stood there. */
	assert_int_equal(file_size(path), size);
	file_bytes(path, after, size);
	assert_memory_equal(before, after, size);
	for (uint32_t i = 1; i < 5; i++)
		assert_true(tree_whole(&w, i * 100 + 2));
	world_free(&w);
}

static void
damage_in_what_a_new_segment_began_with_is_no_torn_end(void **state)
{
	char path[300];
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	for (uint32_t i = 1; i < 5; i++)
		simple_snapshot(&w, i * 100, 500);
	assert_int_equal(journal_roll(w.v->journal, true, state_keep,
	    state_move, state_moved, &w.v->state), RC_OK);
	find_file(&w, "journal", "0002", path, sizeof(path));
	flip_byte(path, w.v->state.snap[1].pos.off + 100);
	world_kill(&w);
	world_must_open(&w);
	assert_true(w.v->readonly);
	assert_int_equal(w.v->state.nsnap, 3);
	assert_true(tree_whole(&w, 402));
	world_free(&w);
}

static void
a_node_pack_cut_behind_the_last_commit_opens(void **state)
{
	uint32_t chunk = 300, leaf = 301;
	char path[300];
	struct world w;
	size_t before;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 500);
	find_file(&w, "packs/000", ".n", path, sizeof(path));
	assert_int_equal(vault_sync(w.v), RC_OK);
	before = file_size(path);
	world_run(&w);
	assert_int_equal(put_chunk(&w, 300, 300), RC_OK);
	assert_int_equal(put_node(&w, 1, 301, &chunk, 1), RC_OK);
	assert_int_equal(put_node(&w, 2, 302, &leaf, 1), RC_OK);
	assert_int_equal(packs_flush(w.v->packs), RC_OK);
	world_kill(&w);
	cut_everywhere(&w, "packs/000", ".n", before, 102, 0, 1);
	cut_everywhere(&w, "packs/000", ".d", PACK_HEADER_LEN + 24 + 88 + 504,
	    102, 0, 1);
	world_free(&w);
}

static void
a_torn_stretch_between_valid_records_is_stepped_over(void **state)
{
	unsigned count[5];
	char path[300];
	struct world w;
	size_t at;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 500);
	assert_int_equal(vault_sync(w.v), RC_OK);
	find_file(&w, "packs/000", ".d", path, sizeof(path));
	at = file_size(path);
	world_run(&w);
	assert_int_equal(put_chunk(&w, 300, 300), RC_OK);
	assert_int_equal(put_chunk(&w, 301, 300), RC_OK);
	assert_int_equal(packs_flush(w.v->packs), RC_OK);
	world_kill(&w);
	flip_byte(path, at + 4);
	flip_byte(path, at + 200);
	world_must_open(&w);
	assert_false(get_ok(&w, 300));
	assert_true(get_ok(&w, 301));
	assert_int_equal(verify_all(&w, count), 0);
	simple_snapshot(&w, 400, 100);
	assert_true(tree_whole(&w, 402));
	world_kill(&w);
	world_must_open(&w);
	assert_int_equal(verify_all(&w, count), 0);
	assert_true(get_ok(&w, 301));
	world_free(&w);
}

static void
a_directory_copied_at_any_moment_opens(void **state)
{
	struct world w, c;
	unsigned count[5];

	(void)state;
	world_new(&w);
	w.opt.pack_target = 32 << 10;
	world_must_open(&w);
	simple_snapshot(&w, 100, 9000);
	for (uint32_t i = 2; i < 12; i++) {
		uint32_t base = i * 100, leaf = base + 1;

		world_run(&w);
		assert_int_equal(put_chunk(&w, base, 20000), RC_OK);
		if (i % 3 == 0)
			assert_int_equal(packs_flush(w.v->packs), RC_OK);
		if (i % 4 == 0)
			assert_int_equal(vault_flush_index(w.v), RC_OK);
		assert_int_equal(put_node(&w, 1, leaf, &base, 1), RC_OK);
		if (i % 2 == 0)
			assert_int_equal(vault_flush_index(w.v), RC_OK);
		assert_int_equal(put_node(&w, 2, base + 2, &leaf, 1), RC_OK);
		world_copy(&w, &c);
		world_must_open(&c);
		assert_int_equal(c.v->state.nsnap, i - 1);
		assert_true(tree_whole(&c, base - 98));
		assert_false(get_ok(&c, base + 2));
		assert_int_equal(verify_all(&c, count), 0);
		world_free(&c);
		assert_int_equal(commit_root(&w, base + 2), RC_OK);
		world_copy(&w, &c);
		world_must_open(&c);
		assert_int_equal(c.v->state.nsnap, i);
		assert_true(tree_whole(&c, base + 2));
		assert_int_equal(verify_all(&c, count), 0);
		/* And with an index that is made anew. */
		assert_int_equal(vault_rebuild_index(c.v), RC_OK);
		for (uint32_t k = 1; k <= i; k++)
			assert_true(tree_whole(&c, k * 100 + 2));
		assert_int_equal(verify_all(&c, count), 0);
		world_free(&c);
	}
	world_free(&w);
}

static void
an_index_that_is_lost_or_damaged_is_made_again(void **state)
{
	char path[300];
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	for (uint32_t i = 1; i < 30; i++)
		simple_snapshot(&w, i * 100, 100);
	assert_int_equal(vault_flush_index(w.v), RC_OK);
	world_close(&w);
	for (int round = 0; round < 4; round++) {
		snprintf(path, sizeof(path), "%s/index/MANIFEST", w.dir);
		if (round == 0)
			assert_int_equal(unlink(path), 0);
		else if (round == 1)
			flip_byte(path, 30);
		else {
			find_file(&w, "index", "", path, sizeof(path));
			flip_byte(path, round == 2 ? 20 : 4096 + 300);
		}
		world_must_open(&w);
		for (uint32_t i = 1; i < 30; i++)
			assert_true(tree_whole(&w, i * 100 + 2));
		assert_false(w.v->readonly);
		assert_true(index_files(w.v->index) > 0);
		world_close(&w);
	}
	world_free(&w);
}

/* Where the newest record of this id stands, and in which file. */
static size_t
place_of(struct world *w, uint32_t n, struct ixent *e, char *path, size_t size)
{
	struct object_id id = id_of(n);
	char end[24];

	assert_int_equal(vault_find(w->v, NULL, &id, 0, e), RC_OK);
	snprintf(end, sizeof(end), "%04llx.%c", (unsigned long long)e->pack,
	    object_is_node(e->type) ? 'n' : 'd');
	find_file(w, "packs/000", end, path, size);
	return (size_t)e->off;
}

/* Killed, and what recovery then has is what is in the packs. */
static void
kill_and_lose_index(struct world *w)
{
	char path[300];

	world_kill(w);
	snprintf(path, sizeof(path), "%s/index/MANIFEST", w->dir);
	assert_true(unlink(path) == 0 || errno == ENOENT);
}

static bool
vouches(struct world *w, uint32_t n)
{
	struct object_id id = id_of(n);
	struct ixent e;

	return graph_find(w->v, NULL, &id, &e) == RC_OK;
}

static void
one_node(const struct world *w, size_t at, bool edges)
{
	struct object_id id = id_of(201);
	uint32_t chunk = 200, leaf = 201;
	char path[300];
	struct ixent e;
	struct world c;
	size_t off;

	world_copy(w, &c);
	world_must_open(&c);
	off = place_of(&c, 201, &e, path, sizeof(path));
	flip_byte(path, off + (at != 0 ? at : OBJECT_PREFIX_LEN + e.len - 1));
	kill_and_lose_index(&c);
	world_must_open(&c);
	assert_false(c.v->readonly);
	assert_true(tree_whole(&c, 102));
	assert_true(tree_whole(&c, 302));
	assert_true(get_ok(&c, 200));
	assert_true(get_ok(&c, 202));
	assert_false(get_ok(&c, 201));
	if (edges) {
		assert_false(vouches(&c, 201));
		assert_false(vouches(&c, 202));
		world_run(&c);
		assert_int_equal(vault_have(c.v, c.run, &id), HAVE_AGAIN);
		assert_int_equal(commit_root(&c, 202), RC_MISSING);
		assert_int_equal(put_node(&c, 1, 201, &chunk, 1), RC_OK);
		assert_int_equal(put_node(&c, 2, 202, &leaf, 1), RC_OK);
		assert_int_equal(commit_root(&c, 202), RC_OK);
		assert_true(tree_whole(&c, 202));
	}
	world_free(&c);
}

static void
one_damaged_node_costs_no_other_snapshot(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	for (uint32_t i = 1; i < 4; i++)
		simple_snapshot(&w, i * 100, 500);
	world_close(&w);
	one_node(&w, OBJECT_PREFIX_LEN + OBJECT_HEADER_LEN + 3, true);
	one_node(&w, OBJECT_PREFIX_LEN + OBJECT_HEADER_LEN + OBJECT_ID_LEN + 9,
	    false);
	one_node(&w, 0, false);
	world_free(&w);
}

static void
a_flip_in_a_prefix_loses_nothing(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	/* Some nodes stand in packs before those of their data. */
	w.opt.pack_target = 3000;
	world_must_open(&w);
	for (uint32_t i = 1; i < 7; i++)
		simple_snapshot(&w, i * 100, 1100);
	world_close(&w);
	for (uint32_t n = 100; n < 700; n = n % 100 < 2 ? n + 1 : n + 98) {
		unsigned count[5];
		char path[300];
		struct ixent e;
		struct world c;
		size_t off;

		world_copy(&w, &c);
		world_must_open(&c);
		off = place_of(&c, n, &e, path, sizeof(path));
		flip_byte(path, off + 13);
		kill_and_lose_index(&c);
		world_must_open(&c);
		assert_false(c.v->readonly);
		for (uint32_t i = 1; i < 7; i++) {
			assert_true(tree_whole(&c, i * 100 + 2));
			assert_true(vouches(&c, i * 100 + 2));
		}
		assert_int_equal(verify_all(&c, count), 1);
		assert_int_equal(count[FINDING_COPY], 1);
		world_free(&c);
	}
	world_free(&w);
}

static void
a_snapshot_whose_record_is_damaged_costs_no_other(void **state)
{
	uint32_t edges[2] = { 101, 201 }, chunk = 200;
	char path[300];
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 500);
	world_run(&w);
	assert_int_equal(put_chunk(&w, 200, 500), RC_OK);
	assert_int_equal(put_node(&w, 1, 201, &chunk, 1), RC_OK);
	assert_int_equal(put_node(&w, 2, 202, edges, 2), RC_OK);
	assert_int_equal(commit_root(&w, 202), RC_OK);
	find_file(&w, "journal", "", path, sizeof(path));
	flip_byte(path, w.v->state.snap[0].pos.off + 100);
	kill_and_lose_index(&w);
	world_must_open(&w);
	assert_true(w.v->readonly);
	assert_int_equal(w.v->state.nsnap, 1);
	assert_true(tree_whole(&w, 202));
	world_free(&w);
}

static void
a_bad_page_of_the_index_is_met_while_packs_are_read(void **state)
{
	uint32_t leaf = 101;
	char path[300];
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 500);
	simple_snapshot(&w, 200, 500);
	assert_int_equal(vault_flush_index(w.v), RC_OK);
	world_run(&w);
	assert_int_equal(put_node(&w, 2, 302, &leaf, 1), RC_OK);
	assert_int_equal(commit_root(&w, 302), RC_OK);
	world_kill(&w);
	find_file(&w, "index", "", path, sizeof(path));
	flip_byte(path, 4096 + 40);
	world_must_open(&w);
	assert_false(w.v->readonly);
	for (uint32_t i = 1; i < 4; i++) {
		assert_true(tree_whole(&w, i * 100 + 2));
		assert_true(vouches(&w, i * 100 + 2));
	}
	world_free(&w);
}

/* Every byte (in steps) of one kind of file: found, never a crash. */
static void
flip_everywhere(struct world *w, const char *sub, const char *end, size_t from,
    size_t step)
{
	char path[300];
	size_t size;

	find_file(w, sub, end, path, sizeof(path));
	size = file_size(path);
	for (size_t at = from; at < size; at += step) {
		unsigned count[5];
		struct world c;

		world_copy(w, &c);
		find_file(&c, sub, end, path, sizeof(path));
		flip_byte(path, at);
		if (world_open(&c) == RC_OK) {
			int n = verify_all(&c, count);

			/* The journal's last record is mended at the start,
			 * from its second copy. */
			if (n == 0 && !c.v->readonly &&
			    (strcmp(sub, "journal") != 0 ||
			    c.v->state.nsnap != 3))
				fail_msg("%s at %zu of %zu: not seen", path,
				    at, size);
		}
		world_free(&c);
	}
}

static void
a_flipped_byte_anywhere_is_found(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	w.opt.pack_target = 2000;
	world_must_open(&w);
	simple_snapshot(&w, 100, 700);
	simple_snapshot(&w, 200, 1500);
	simple_snapshot(&w, 300, 700);
	world_close(&w);
	flip_everywhere(&w, "packs/000", "0001.d", 0, FLIP_STEP);
	flip_everywhere(&w, "packs/000", "0002.n", 0, FLIP_STEP);
	flip_everywhere(&w, "journal", "0001", 0, FLIP_STEP);
	flip_everywhere(&w, ".", "vault", 0, 37);
	flip_everywhere(&w, ".", "vault.2", 0, 37);
	world_free(&w);
}

static void
a_flip_in_padding_or_footer_loses_nothing(void **state)
{
	unsigned count[5];
	char path[300];
	struct world w;
	size_t size;

	(void)state;
	world_new(&w);
	w.opt.pack_target = 2000;
	world_must_open(&w);
	simple_snapshot(&w, 100, 701);
	simple_snapshot(&w, 200, 1500);
	world_close(&w);
	find_file(&w, "packs/000", "0001.d", path, sizeof(path));
	size = file_size(path);
	flip_byte(path, PACK_HEADER_LEN + 24 + 88 + 701 + 1);
	flip_byte(path, size - 5);
	world_must_open(&w);
	assert_true(verify_all(&w, count) >= 2);
	assert_int_equal(count[FINDING_OBJECT], 0);
	assert_int_equal(count[FINDING_MISSING], 0);
	assert_true(tree_whole(&w, 102));
	world_free(&w);
}

static void
a_damaged_object_is_named_and_taken_again(void **state)
{
	struct object_id id = id_of(100);
	unsigned count[5];
	char path[300];
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 700);
	assert_int_equal(vault_sync(w.v), RC_OK);
	find_file(&w, "packs/000", ".d", path, sizeof(path));
	flip_byte(path, PACK_HEADER_LEN + 300);
	assert_int_equal(verify_all(&w, count), 1);
	assert_int_equal(count[FINDING_OBJECT], 1);
	assert_false(get_ok(&w, 100));
	world_run(&w);
	assert_int_equal(vault_have(w.v, w.run, &id), HAVE_AGAIN);
	assert_int_equal(put_chunk(&w, 100, 700), RC_OK);
	assert_int_equal(vault_have(w.v, w.run, &id), HAVE_PRESENT);
	assert_true(get_ok(&w, 100));
	assert_true(tree_whole(&w, 102));
	world_close(&w);
	world_must_open(&w);
	assert_int_equal(w.v->state.ndamaged, 0);
	assert_true(tree_whole(&w, 102));
	world_free(&w);
}

static void
the_journal_rolls_over_with_its_state(void **state)
{
	unsigned count[5];
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	for (uint32_t i = 1; i < 6; i++)
		simple_snapshot(&w, i * 100, 100);
	assert_int_equal(journal_roll(w.v->journal, true, state_keep,
	    state_move, state_moved, &w.v->state), RC_OK);
	simple_snapshot(&w, 600, 100);
	assert_int_equal(verify_all(&w, count), 0);
	world_kill(&w);
	world_must_open(&w);
	assert_int_equal(w.v->state.nsnap, 6);
	assert_int_equal(w.v->state.vault_seq, 6);
	for (uint32_t i = 1; i < 7; i++)
		assert_true(tree_whole(&w, i * 100 + 2));
	assert_int_equal(verify_all(&w, count), 0);
	simple_snapshot(&w, 700, 100);
	world_free(&w);
}

static void
a_full_disk_fails_the_run_and_nothing_else(void **state)
{
	struct world w;
	unsigned count[5];
	uint32_t n = 1000;
	char fill[80];
	int rc = RC_OK;

	(void)state;
	world_new(&w);
	if (geteuid() != 0 || mount("tmpfs", w.dir, "tmpfs", 0,
	    "size=6m,mode=0700") != 0) {
		world_free(&w);
		skip();
	}
	{
		int fd = -1;

		assert_int_equal(dir_open(AT_FDCWD, w.dir, &fd), RC_OK);
		assert_int_equal(vault_create(fd, &w.opt), RC_OK);
		close(fd);
	}
	world_must_open(&w);
	simple_snapshot(&w, 100, 500000);
	world_run(&w);
	while (rc == RC_OK && n < 1100)
		rc = put_chunk(&w, n++, 200000);
	assert_int_equal(rc, RC_FULL);
	assert_int_equal(commit_root(&w, 102), RC_FULL);
	assert_true(tree_whole(&w, 102));
	run_end(w.v, w.run);
	assert_int_equal(verify_all(&w, count), 0);
	world_close(&w);
	assert_int_equal(mount("tmpfs", w.dir, "tmpfs", MS_REMOUNT,
	    "size=40m"), 0);
	world_must_open(&w);
	assert_int_equal(verify_all(&w, count), 0);
	assert_true(tree_whole(&w, 102));
	simple_snapshot(&w, 2000, 3000000);
	assert_true(tree_whole(&w, 2002));
	/* What is in a buffer and does not fit is no reason to see nothing. */
	world_run(&w);
	assert_int_equal(put_chunk(&w, 3000, 100000), RC_OK);
	snprintf(fill, sizeof(fill), "%s/fill", w.dir);
	fill_disk(fill);
	assert_int_equal(verify_all(&w, count), 0);
	assert_false(get_ok(&w, 3000));
	assert_true(tree_whole(&w, 2002));
	assert_int_equal(unlink(fill), 0);
	run_end(w.v, w.run);
	simple_snapshot(&w, 4000, 100);
	assert_int_equal(verify_all(&w, count), 0);
	world_close(&w);
	assert_int_equal(umount2(w.dir, MNT_DETACH), 0);
	world_free(&w);
}

static void
a_clock_that_jumps_freezes_and_never_goes_back(void **state)
{
	uint64_t clock;
	struct world w;

	(void)state;
	world_new(&w);
	w.wall_s = 1000000000;
	w.boot_s = 100;
	world_must_open(&w);
	assert_int_equal(vault_clock(w.v), 1000000000);
	w.boot_s += 50;
	w.wall_s -= 5000;		/* somebody sets it: not believed */
	assert_int_equal(vault_clock(w.v), 1000000050);
	w.wall_s += 5050;
	simple_snapshot(&w, 100, 10);
	assert_int_equal(w.commit.server.lock_until, 1000000050 + 7 * 86400);
	world_close(&w);
	w.wall_s += 86400;
	w.boot_s = 7;			/* another boot */
	world_must_open(&w);
	clock = vault_clock(w.v);
	assert_int_equal(clock, 1000000050 + 86400);
	assert_false(w.v->state.clock.frozen);
	simple_snapshot(&w, 200, 10);
	world_close(&w);
	w.wall_s += 8 * 86400;
	world_must_open(&w);
	assert_true(w.v->state.clock.frozen);
	assert_int_equal(vault_clock(w.v), clock);
	world_close(&w);
	world_must_open(&w);
	assert_true(w.v->state.clock.frozen);
	world_close(&w);
	world_free(&w);

	world_new(&w);
	w.wall_s = 1000000000;
	world_must_open(&w);
	world_close(&w);
	w.wall_s -= 3600;
	world_must_open(&w);
	assert_true(w.v->state.clock.frozen);
	assert_int_equal(vault_clock(w.v), 1000000000);
	world_free(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_vault_verifies_clean),
		cmocka_unit_test(
		    a_journal_cut_anywhere_in_its_last_record_opens),
		cmocka_unit_test(
		    an_acknowledged_snapshot_comes_back_from_its_second_copy),
		cmocka_unit_test(several_snapshots_come_back_as_they_were),
		cmocka_unit_test(
		    damage_in_what_a_new_segment_began_with_is_no_torn_end),
		cmocka_unit_test(a_node_pack_cut_behind_the_last_commit_opens),
		cmocka_unit_test(
		    a_torn_stretch_between_valid_records_is_stepped_over),
		cmocka_unit_test(a_directory_copied_at_any_moment_opens),
		cmocka_unit_test(
		    an_index_that_is_lost_or_damaged_is_made_again),
		cmocka_unit_test(one_damaged_node_costs_no_other_snapshot),
		cmocka_unit_test(a_flip_in_a_prefix_loses_nothing),
		cmocka_unit_test(
		    a_snapshot_whose_record_is_damaged_costs_no_other),
		cmocka_unit_test(
		    a_bad_page_of_the_index_is_met_while_packs_are_read),
		cmocka_unit_test(a_flipped_byte_anywhere_is_found),
		cmocka_unit_test(a_flip_in_padding_or_footer_loses_nothing),
		cmocka_unit_test(a_damaged_object_is_named_and_taken_again),
		cmocka_unit_test(the_journal_rolls_over_with_its_state),
		cmocka_unit_test(a_full_disk_fails_the_run_and_nothing_else),
		cmocka_unit_test(
		    a_clock_that_jumps_freezes_and_never_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
