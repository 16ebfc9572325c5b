#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"
#include "tests/unit/store_help.h"

static void
a_committed_snapshot_is_there_after_reopening(void **state)
{
	struct world w;
	struct listed l;
	uint8_t *raw = NULL;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 5000);
	assert_true(tree_whole(&w, 102));
	assert_int_equal(w.commit.server.closure_objects, 3);
	world_close(&w);
	world_must_open(&w);
	assert_int_equal(w.v->state.nsnap, 1);
	assert_true(tree_whole(&w, 102));
	assert_int_equal(vault_snapshot_next(w.v, w.job, 0, &l, &raw), RC_OK);
	assert_int_equal(l.server.vault_seq, 1);
	free(raw);
	simple_snapshot(&w, 200, 3 << 20);
	world_kill(&w);
	world_must_open(&w);
	assert_int_equal(w.v->state.nsnap, 2);
	assert_true(tree_whole(&w, 102));
	assert_true(tree_whole(&w, 202));
	world_free(&w);
}

static void
a_missing_edge_is_named_and_can_be_sent(void **state)
{
	uint32_t edges[2] = { 1, 2 }, leaf = 3;
	struct object_id missing = id_of(2);
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	world_run(&w);
	assert_int_equal(put_chunk(&w, 1, 10), RC_OK);
	assert_int_equal(put_node(&w, 1, 3, edges, 2), RC_OK);
	assert_int_equal(put_node(&w, 2, 4, &leaf, 1), RC_OK);
	assert_int_equal(commit_root(&w, 4), RC_MISSING);
	assert_int_equal(w.commit.nmissing, 1);
	assert_memory_equal(w.commit.missing[0].b, missing.b, 32);
	assert_int_equal(put_chunk(&w, 2, 10), RC_OK);
	assert_int_equal(commit_root(&w, 4), RC_OK);
	assert_int_equal(w.commit.server.closure_objects, 4);
	assert_true(tree_whole(&w, 4));
	world_free(&w);
}

static void
a_missing_root_is_named(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	world_run(&w);
	assert_int_equal(commit_root(&w, 9), RC_MISSING);
	assert_int_equal(w.commit.nmissing, 1);
	world_free(&w);
}

static void
a_height_that_does_not_fall_is_refused(void **state)
{
	uint32_t chunk = 1, a = 2, b = 4;
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	world_run(&w);
	assert_int_equal(put_chunk(&w, 1, 10), RC_OK);
	assert_int_equal(put_node(&w, 1, 2, &chunk, 1), RC_OK);
	assert_int_equal(put_node(&w, 1, 3, &a, 1), RC_RANGE);
	/* Also when the edge comes after the node that has it. */
	assert_int_equal(put_node(&w, 1, 5, &b, 1), RC_OK);
	assert_int_equal(put_node(&w, 1, 4, &chunk, 1), RC_OK);
	assert_int_equal(commit_root(&w, 5), RC_RANGE);
	world_free(&w);
}

static void
nodes_of_an_uncommitted_run_are_seen_by_nobody_else(void **state)
{
	uint32_t chunk = 1;
	struct object_id node = id_of(2), data = id_of(1);
	struct world w;
	struct run *first;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	world_run(&w);
	first = w.run;
	assert_int_equal(put_chunk(&w, 1, 10), RC_OK);
	assert_int_equal(put_node(&w, 1, 2, &chunk, 1), RC_OK);
	assert_int_equal(vault_have(w.v, first, &node), HAVE_PRESENT);
	world_run(&w);
	assert_int_equal(vault_have(w.v, w.run, &node), HAVE_ABSENT);
	assert_int_equal(vault_have(w.v, w.run, &data), HAVE_PRESENT);
	assert_false(get_ok(&w, 2));
	assert_int_equal(commit_root(&w, 2), RC_MISSING);
	/* Nor after a restart, whatever the packs hold. */
	world_close(&w);
	world_must_open(&w);
	assert_false(get_ok(&w, 2));
	assert_true(get_ok(&w, 1));
	assert_int_equal(vault_rebuild_index(w.v), RC_OK);
	assert_false(get_ok(&w, 2));
	assert_true(get_ok(&w, 1));
	world_free(&w);
}

/* A client asks for sixteen; the first record has to be among them. */
static unsigned
report_and_replace(struct world *w, uint32_t n, bool node)
{
	uint32_t chunk = 1;
	struct object_id id = id_of(n);
	unsigned k;

	for (k = 0; k < 40 && vault_bad(w->v, &id, 0) == RC_OK; k++)
		assert_int_equal(node ? put_node(w, 1, n, &chunk, 1) :
		    put_chunk(w, n, 20 + k), RC_OK);
	return k;
}

static void
reporting_and_replacing_ends_where_clients_still_ask(void **state)
{
	struct object_id node = id_of(2), data = id_of(1);
	struct world w;
	struct ixent e;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 1, 10);
	simple_snapshot(&w, 11, 10);
	world_run(&w);
	assert_int_equal(report_and_replace(&w, 1, false),
	    PROTO_COPIES_MAX - 1);
	/* Those of a run count before it is committed, of another run too. */
	assert_int_equal(report_and_replace(&w, 2, true),
	    PROTO_COPIES_MAX - 1);
	world_run(&w);
	assert_int_equal(report_and_replace(&w, 2, true), 0);
	assert_int_equal(vault_find(w.v, NULL, &data, PROTO_COPIES_MAX - 1,
	    &e), RC_OK);
	assert_int_equal(vault_find(w.v, NULL, &data, PROTO_COPIES_MAX, &e),
	    RC_NOENT);
	assert_int_equal(vault_find(w.v, NULL, &node, 0, &e), RC_OK);
	world_free(&w);
}

static void
sequences_and_signatures_are_checked(void **state)
{
	struct world w;
	uint8_t *p;
	size_t len;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 10);
	world_run(&w);
	p = make_snapshot(&w, 102, &len);
	p[len - 1] ^= 1;
	commit_clear(&w.commit);
	assert_int_equal(vault_commit(w.v, w.run, &w.grant, p, len,
	    &w.commit), RC_CRYPTO);
	free(p);
	w.sequence = 0;			/* used already */
	assert_int_equal(commit_root(&w, 102), RC_OLDER);
	w.sequence = 5;
	w.previous.b[0] ^= 1;
	assert_int_equal(commit_root(&w, 102), RC_OLDER);
	w.previous.b[0] ^= 1;
	assert_int_equal(commit_root(&w, 102), RC_OK);
	assert_int_equal(w.commit.server.job_seq, 2);
	world_free(&w);
}

static void
a_snapshot_sent_again_gets_its_stored_answer(void **state)
{
	struct snapshot_server first;
	struct commit c;
	struct world w;
	uint8_t *p;
	size_t len;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 10);
	world_run(&w);
	p = make_snapshot(&w, 102, &len);
	assert_int_equal(commit_root(&w, 102), RC_OK);
	first = w.commit.server;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(vault_commit(w.v, NULL, &w.grant, p, len,
		    &c), RC_OK);
		assert_memory_equal(&c.server.sig, &first.sig, 64);
		assert_int_equal(c.server.vault_seq, 2);
		commit_clear(&c);
		world_close(&w);
		world_must_open(&w);
	}
	free(p);
	world_free(&w);
}

static void
without_keyd_a_commit_fails_and_can_be_repeated(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 10);
	world_run(&w);
	w.keyd_away = true;
	assert_int_equal(commit_root(&w, 102), RC_AGAIN);
	w.keyd_away = false;
	assert_int_equal(commit_root(&w, 102), RC_OK);
	assert_int_equal(w.commit.server.vault_seq, 2);
	world_free(&w);
}

static void
an_unchanged_run_adds_less_than_16_kib(void **state)
{
	uint64_t before;
	struct world w;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	simple_snapshot(&w, 100, 10);
	before = dir_bytes(w.dir);
	world_run(&w);
	assert_int_equal(commit_root(&w, 102), RC_OK);
	assert_true(dir_bytes(w.dir) - before < 4096);
	world_free(&w);
}

static void
a_second_opener_is_told_who_holds_it(void **state)
{
	struct world w, other;

	(void)state;
	world_new(&w);
	world_must_open(&w);
	other = w;
	other.v = NULL;
	assert_int_equal(world_open(&other), RC_BUSY);
	world_free(&w);
}

static void
another_vaults_directory_is_refused(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	w.opt.vault[0] ^= 1;
	assert_int_equal(world_open(&w), RC_UNMOUNTED);
	w.opt.vault[0] ^= 1;
	world_must_open(&w);
	world_free(&w);
}

static void
many_packs_and_index_files_hold_together(void **state)
{
	uint32_t edges[64];
	uint64_t count;
	struct world w;
	uint32_t n = 0;

	(void)state;
	world_new(&w);
	w.opt.pack_target = 1 << 20;
	world_must_open(&w);
	world_run(&w);
	for (uint32_t leaf = 0; leaf < 40; leaf++) {
		for (uint32_t i = 0; i < 64; i++) {
			edges[i] = n++;
			assert_int_equal(put_chunk(&w, edges[i], 2000), RC_OK);
		}
		assert_int_equal(put_node(&w, 1, 1000000 + leaf, edges, 64),
		    RC_OK);
		if (leaf % 8 == 7)
			assert_int_equal(vault_flush_index(w.v), RC_OK);
	}
	for (uint32_t i = 0; i < 40; i++)
		edges[i] = 1000000 + i;
	assert_int_equal(put_node(&w, 2, 2000000, edges, 40), RC_OK);
	assert_int_equal(commit_root(&w, 2000000), RC_OK);
	assert_int_equal(w.commit.server.closure_objects, 1 + 40 + 2560);
	while (vault_tick(w.v, 0) == RC_AGAIN)
		;
	count = index_count(w.v->index);
	assert_int_equal(count, 2601);
	assert_true(tree_whole(&w, 2000000));
	world_kill(&w);
	world_must_open(&w);
	assert_true(tree_whole(&w, 2000000));
	assert_int_equal(vault_rebuild_index(w.v), RC_OK);
	assert_int_equal(index_count(w.v->index), count);
	assert_true(tree_whole(&w, 2000000));
	world_free(&w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_committed_snapshot_is_there_after_reopening),
		cmocka_unit_test(a_missing_edge_is_named_and_can_be_sent),
		cmocka_unit_test(a_missing_root_is_named),
		cmocka_unit_test(a_height_that_does_not_fall_is_refused),
		cmocka_unit_test(
		    nodes_of_an_uncommitted_run_are_seen_by_nobody_else),
		cmocka_unit_test(
		    reporting_and_replacing_ends_where_clients_still_ask),
		cmocka_unit_test(sequences_and_signatures_are_checked),
		cmocka_unit_test(a_snapshot_sent_again_gets_its_stored_answer),
		cmocka_unit_test(
		    without_keyd_a_commit_fails_and_can_be_repeated),
		cmocka_unit_test(an_unchanged_run_adds_less_than_16_kib),
		cmocka_unit_test(a_second_opener_is_told_who_holds_it),
		cmocka_unit_test(another_vaults_directory_is_refused),
		cmocka_unit_test(many_packs_and_index_files_hold_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
