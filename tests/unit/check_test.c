#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "client/engine/idset.h"
#include "client/engine/pool.h"
#include "common/rc.h"
#include "fake_vault.h"

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	world_open(w);
	assert_int_equal(mkdir(world_path(w, "src/d"), 0755), 0);
	world_file(w, "src/d/small1", NULL, 1000, 1);
	world_file(w, "src/d/small2", NULL, 1500, 2);
	world_file(w, "src/d/big", NULL, 700000, 3);
	world_file(w, "src/d/huge", NULL, 3000000, 4);
	world_file(w, "src/tiny", "tiny", 4, 0);
	world_backup(w, "src", "first");
	world_file(w, "src/new", NULL, 5000, 9);
	world_backup(w, "src", "second");
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	world_close(*state);
	free(*state);
	return 0;
}

static int
check(struct world *w, int percent)
{
	struct check_opt o = { .percent = percent };
	int code;

	world_begin(w);
	code = check_run(&w->e, &o, w->text, sizeof(w->text));
	world_end(w);
	return code;
}

static struct fake_object *
object_of_type(struct world *w, uint8_t type)
{
	size_t i;

	for (i = 0; i < w->f.nobj; i++)
		if (w->f.obj[i].wire[1] == type)
			return &w->f.obj[i];
	fail();
	return NULL;
}

static void
a_whole_vault_passes(void **state)
{
	struct world *w = *state;

	w->f.bad.no_finding = true;
	assert_int_equal(check(w, 0), EXIT_DONE);
	assert_true(w->f.haves > 10);
	assert_int_equal(check(w, 100), EXIT_DONE);
	/* Both snapshots, each object once. */
	assert_int_equal(w->f.gets, w->f.nobj);
	assert_int_equal(check(w, 10), EXIT_DONE);
	assert_true(w->f.gets < w->f.nobj);
}

static void
a_finding_of_the_server_counts(void **state)
{
	struct world *w = *state;

	assert_int_equal(check(w, 100), EXIT_INTEGRITY);
	assert_int_equal(w->seen.n[EVENT_FINDING], 1);
}

static void
a_damaged_object_names_its_files_and_snapshots(void **state)
{
	struct world *w = *state;
	struct fake_object *o = object_of_type(w, OBJECT_BUNDLE);

	o->wire[300] ^= 4;
	object_set_crc(o->wire, o->len);
	assert_int_equal(check(w, 100), EXIT_INTEGRITY);
	assert_true(world_saw(w, "/d/small1"));
	assert_true(world_saw(w, "/d/small2"));
	assert_false(world_saw(w, "/d/big"));
	/* one of the server, one for each of two snapshots */
	assert_int_equal(w->seen.n[EVENT_FINDING], 3);
}

static void
a_missing_object_is_found_without_reading(void **state)
{
	struct world *w = *state;

	object_of_type(w, OBJECT_CHUNK)->gone = true;
	assert_int_equal(check(w, 0), EXIT_INTEGRITY);
	assert_true(world_saw(w, "/d/big") || world_saw(w, "/d/huge"));
}

static void
a_damaged_node_names_its_directory(void **state)
{
	struct world *w = *state;
	struct fake_object *o = object_of_type(w, OBJECT_MAP);

	o->wire[o->len - 20] ^= 1;
	assert_int_equal(check(w, 0), EXIT_INTEGRITY);
	assert_true(world_saw(w, "/d/huge"));
	o->wire[o->len - 20] ^= 1;
	object_of_type(w, OBJECT_DIR_LEAF)->gone = true;
	assert_int_equal(check(w, 0), EXIT_INTEGRITY);
	assert_true(world_saw(w, "/d"));
}

/* What somebody with the client's session, but not its keys, can do. */
static void
records_that_do_not_open_are_told_and_lose_nothing(void **state)
{
	struct world *w = *state;
	size_t i, nodes = 0;
	struct object o;

	w->f.bad.no_finding = true;
	for (i = 0; i < w->f.nobj; i++) {
		w->f.obj[i].junk = (uint8_t)(1 + i % (PROTO_COPIES_MAX - 1));
		assert_int_equal(object_parse(w->f.obj[i].wire,
		    w->f.obj[i].len, &o), RC_OK);
		nodes += object_is_node(o.h.type);
	}
	assert_int_equal(check(w, 100), EXIT_INTEGRITY);
	assert_int_equal(w->seen.n[EVENT_FINDING], w->f.nobj);
	assert_int_equal(w->seen.kinds[FINDING_COPY], w->f.nobj);
	assert_null(w->seen.paths);
	assert_non_null(strstr(w->text, "nothing is lost"));
	/* Presence alone: the nodes are read all the same. */
	assert_int_equal(check(w, 0), EXIT_INTEGRITY);
	assert_int_equal(w->seen.kinds[FINDING_COPY], nodes);
	for (i = 0; i < w->f.nobj; i++)
		w->f.obj[i].junk = PROTO_COPIES_MAX;
	assert_int_equal(check(w, 100), EXIT_INTEGRITY);
	assert_true(w->seen.kinds[FINDING_OBJECT] > 0);
}

static void
a_bad_receipt_is_a_finding(void **state)
{
	struct world *w = *state;

	w->f.snap[1].server.sig[3] ^= 1;
	assert_int_equal(check(w, 0), EXIT_INTEGRITY);
	assert_int_equal(w->seen.n[EVENT_FINDING], 1);
}

static void
an_older_vault_is_noticed(void **state)
{
	struct job_state j = { .label = "second", .sequence = 3,
		.vault_seq = 3 };
	struct world *w = *state;

	assert_int_equal(keys_job_id(&w->k, "second", j.job), RC_OK);
	memset(j.snapshot, 1, sizeof(j.snapshot));
	assert_int_equal(job_save(w->e.state, &j), RC_OK);
	assert_int_equal(check(w, 0), EXIT_INTEGRITY);
	assert_non_null(strstr(w->text, "older"));
}

static void
snapshots_and_entries_are_listed(void **state)
{
	struct world *w = *state;

	world_begin(w);
	assert_int_equal(snapshots_run(&w->e, NULL, w->text,
	    sizeof(w->text)), EXIT_DONE);
	world_end(w);
	assert_int_equal(w->seen.n[EVENT_SNAPSHOT], 2);
	world_begin(w);
	assert_int_equal(snapshots_run(&w->e, "first", w->text,
	    sizeof(w->text)), EXIT_DONE);
	world_end(w);
	assert_int_equal(w->seen.n[EVENT_SNAPSHOT], 1);

	world_begin(w);
	assert_int_equal(ls_run(&w->e, "latest", "first", NULL, true, w->text,
	    sizeof(w->text)), EXIT_DONE);
	world_end(w);
	assert_true(world_saw(w, "/d"));
	assert_true(world_saw(w, "/d/big"));
	assert_false(world_saw(w, "/new"));
	world_begin(w);
	assert_int_equal(ls_run(&w->e, "latest", NULL, "/", false, w->text,
	    sizeof(w->text)), EXIT_DONE);
	world_end(w);
	assert_true(world_saw(w, "/new"));
	assert_false(world_saw(w, "/d/big"));
	world_begin(w);
	assert_int_equal(ls_run(&w->e, "latest", NULL, "/d/big", false,
	    w->text, sizeof(w->text)), EXIT_DONE);
	world_end(w);
	assert_true(world_saw(w, "/d/big"));
	world_begin(w);
	assert_int_equal(ls_run(&w->e, "latest", NULL, "/no/such", false,
	    w->text, sizeof(w->text)), EXIT_NOTHING);
	world_end(w);
}

static void
a_set_knows_what_it_took(void **state)
{
	struct object_id id;
	struct idset s;
	uint32_t i;

	(void)state;
	idset_init(&s, 50000);
	for (i = 1; i <= 60000; i++) {
		memset(&id, 0, sizeof(id));
		memcpy(id.b, &i, sizeof(i));
		assert_true(idset_add(&s, &id));
	}
	assert_int_equal(s.n, 50000);
	i = 77;
	memcpy(id.b, &i, sizeof(i));
	assert_true(idset_has(&s, &id));
	assert_false(idset_add(&s, &id));
	i = 59999;
	memcpy(id.b, &i, sizeof(i));
	assert_false(idset_has(&s, &id));
	idset_free(&s);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_whole_vault_passes),
		T(a_finding_of_the_server_counts),
		T(a_damaged_object_names_its_files_and_snapshots),
		T(a_missing_object_is_found_without_reading),
		T(a_damaged_node_names_its_directory),
		T(records_that_do_not_open_are_told_and_lose_nothing),
		T(a_bad_receipt_is_a_finding),
		T(an_older_vault_is_noticed),
		T(snapshots_and_entries_are_listed),
		cmocka_unit_test(a_set_knows_what_it_took),
	};
	int n = 0, rc;

	assert_int_equal(pool_start(&n), RC_OK);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	pool_stop();
	return rc;
}
