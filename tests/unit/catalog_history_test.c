#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc.h"
#include "server/auth/admin.h"
#include "server/catalog/events.h"
#include "tests/unit/catalog_help.h"

#define HOUR 3600
#define DAY (24 * HOUR)

struct bench {
	struct place	place;
	struct catalog	c;
};

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	place_make(&b->place);
	assert_int_equal(cat_open(&b->c, b->place.path, NOW), RC_OK);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	cat_close(&b->c);
	place_clear(&b->place);
	free(b);
	return 0;
}

static void
reopen(struct bench *b)
{
	int64_t now = b->c.now;

	cat_close(&b->c);
	assert_int_equal(cat_open(&b->c, b->place.path, now), RC_OK);
}

static void
a_client_goes_from_never_over_running_to_ok(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;

	help_client(c, 1, 101, "one", CLIENT_ADDED);
	assert_int_equal(help_status(c, 1), CAT_STATE_UNKNOWN);
	help_client(c, 1, 101, "one", CLIENT_ENROLLED);
	assert_int_equal(help_status(c, 1), CAT_STATE_NEVER);
	help_run(c, 1, 101, 5, FEED_RUN_BEGUN);
	assert_int_equal(help_status(c, 1), CAT_STATE_RUNNING);
	assert_int_equal(help_column(c, 1, "last_good"), 0);
	help_run(c, 1, 101, 5, FEED_RUN_GOING);
	help_run(c, 1, 101, 5, FEED_RUN_COMMITTED);
	help_snapshot(c, 1, 101, 5, 1, NOW + 3, 0);
	assert_int_equal(help_status(c, 1), CAT_STATE_OK);
	assert_int_equal(help_column(c, 1, "last_good"), NOW + 3);
	assert_int_equal(help_column(c, 1, "snapshots"), 1);
	assert_int_equal(help_column(c, 1, "due"), NOW + 3 + 26 * HOUR);
	assert_int_equal(cat_number(c, 0, "SELECT count(*) FROM run", ""), 1);
	help_client(c, 1, 101, "one", CLIENT_DISABLED);
	assert_int_equal(help_column(c, 1, "due"), 0);
}

static void
a_run_that_is_left_failed_and_resumed_keeps_one_row(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;

	help_client(c, 1, 101, "one", CLIENT_ENROLLED);
	help_snapshot(c, 1, 101, 4, 1, NOW - HOUR, 0);
	help_run(c, 1, 101, 5, FEED_RUN_BEGUN);
	help_run(c, 1, 101, 5, FEED_RUN_LEFT);
	assert_int_equal(help_status(c, 1), CAT_STATE_FAILED);
	assert_int_equal(help_alerts(c, ALERT_FAILED), 1);
	c->now += 60;
	help_run(c, 1, 101, 5, FEED_RUN_BEGUN);
	assert_int_equal(help_status(c, 1), CAT_STATE_RUNNING);
	assert_int_equal(help_alerts(c, ALERT_FAILED), 0);
	help_run(c, 1, 101, 5, FEED_RUN_COMMITTED);
	help_snapshot(c, 1, 101, 5, 2, c->now, 0);
	assert_int_equal(help_status(c, 1), CAT_STATE_OK);
	assert_int_equal(cat_number(c, 0, "SELECT count(*) FROM run", ""), 2);
	/* late, and too late to change anything */
	help_run(c, 1, 101, 5, FEED_RUN_LEFT);
	assert_int_equal(help_status(c, 1), CAT_STATE_OK);
}

static void
a_store_that_goes_away_ends_its_runs_only(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;
	uint8_t vault[16];

	help_client(c, 1, 101, "one", CLIENT_ENROLLED);
	help_client(c, 2, 102, "two", CLIENT_ENROLLED);
	help_snapshot(c, 1, 101, 0, 1, NOW - HOUR, 0);
	help_run(c, 1, 101, 5, FEED_RUN_BEGUN);
	help_run(c, 2, 102, 6, FEED_RUN_BEGUN);
	memset(vault, 101, sizeof(vault));
	assert_int_equal(runs_vault_left(c, vault), RC_OK);
	assert_int_equal(help_status(c, 1), CAT_STATE_FAILED);
	assert_int_equal(help_status(c, 2), CAT_STATE_RUNNING);
	c->now += 30;
	assert_int_equal(runs_end_stale(c, NOW + 1), RC_OK);
	assert_int_equal(help_status(c, 2), CAT_STATE_NEVER);
}

static void
an_incomplete_snapshot_is_counted_but_not_good(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;

	help_client(c, 1, 101, "one", CLIENT_ENROLLED);
	help_snapshot(c, 1, 101, 0, 1, NOW - HOUR, 0);
	help_snapshot(c, 1, 101, 0, 2, NOW, SNAPSHOT_F_PARTIAL);
	assert_int_equal(help_status(c, 1), CAT_STATE_INCOMPLETE);
	assert_int_equal(help_column(c, 1, "last_good"), NOW - HOUR);
	assert_int_equal(help_column(c, 1, "snapshots"), 2);
	assert_int_equal(help_column(c, 1, "incomplete"), 1);
	assert_int_equal(help_alerts(c, ALERT_INCOMPLETE), 1);
	help_snapshot(c, 1, 101, 0, 3, NOW + 5, 0);
	assert_int_equal(help_alerts(c, ALERT_INCOMPLETE), 0);
}

static void
what_the_client_says_stays_apart(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;
	struct report r = { .outcome = REPORT_FAILED, .files = 9,
	    .bytes = UINT64_MAX };
	uint8_t client[16];

	memset(client, 1, sizeof(client));
	memset(r.run, 5, sizeof(r.run));
	assert_int_equal(run_report(c, client, &r), RC_NOENT);
	help_client(c, 1, 101, "one", CLIENT_ENROLLED);
	help_run(c, 1, 101, 5, FEED_RUN_BEGUN);
	help_run(c, 1, 101, 5, FEED_RUN_COMMITTED);
	help_snapshot(c, 1, 101, 5, 1, NOW, 0);
	assert_int_equal(run_report(c, client, &r), RC_OK);
	assert_int_equal(help_status(c, 1), CAT_STATE_OK);
	assert_int_equal(cat_number(c, 0, "SELECT r_files FROM run", ""), 9);
	assert_true(cat_number(c, 0, "SELECT r_bytes FROM run", "") ==
	    INT64_MAX);
	assert_int_equal(cat_number(c, 0, "SELECT objects FROM run", ""), 7);
	/* and one that was cancelled, whichever comes first */
	for (uint8_t run = 6; run < 8; run++) {
		r.outcome = REPORT_CANCELLED;
		memset(r.run, run, sizeof(r.run));
		c->now++;
		help_run(c, 1, 101, run, FEED_RUN_BEGUN);
		if (run == 6)
			assert_int_equal(run_report(c, client, &r), RC_OK);
		help_run(c, 1, 101, run, FEED_RUN_LEFT);
		if (run == 7)
			assert_int_equal(run_report(c, client, &r), RC_OK);
		assert_int_equal(help_status(c, 1), CAT_STATE_CANCELLED);
	}
	assert_int_equal(help_alerts(c, ALERT_FAILED), 0);
}

static void
overdue_comes_by_the_clock_and_follows_the_habit(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;

	help_client(c, 1, 101, "daily", CLIENT_ENROLLED);
	help_client(c, 2, 102, "weekly", CLIENT_ENROLLED);
	for (int i = 0; i < 6; i++) {
		help_snapshot(c, 1, 101, 0, (uint64_t)i + 1,
		    NOW - (5 - i) * 12 * HOUR, 0);
		help_snapshot(c, 2, 102, 0, (uint64_t)i + 1,
		    NOW - (5 - i) * 7 * DAY, 0);
	}
	assert_int_equal(help_column(c, 1, "due"), NOW + 26 * HOUR);
	assert_int_equal(help_column(c, 2, "due"), NOW + 14 * DAY);
	c->now = NOW + 26 * HOUR - 1;
	assert_int_equal(clients_tick(c), RC_OK);
	assert_int_equal(help_alerts(c, ALERT_OVERDUE), 0);
	c->now++;
	assert_int_equal(clients_tick(c), RC_OK);
	assert_int_equal(help_alerts(c, ALERT_OVERDUE), 1);
	assert_int_equal(help_status(c, 1), CAT_STATE_OVERDUE);
	assert_int_equal(help_column(c, 1, "since"), NOW + 26 * HOUR);
	c->now = NOW + 14 * DAY;
	assert_int_equal(clients_tick(c), RC_OK);
	assert_int_equal(help_alerts(c, ALERT_OVERDUE), 2);
	help_snapshot(c, 1, 101, 0, 7, c->now, 0);
	assert_int_equal(help_alerts(c, ALERT_OVERDUE), 1);
	assert_int_equal(help_status(c, 1), CAT_STATE_OK);
	/* nobody waits for one that an administrator switched off */
	help_client(c, 2, 102, "weekly", CLIENT_DISABLED);
	assert_int_equal(help_alerts(c, ALERT_OVERDUE), 0);
}

static void
who_is_not_on_the_list_is_gone_and_its_history_stays(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;

	help_client(c, 1, 101, "one", CLIENT_ENROLLED);
	help_client(c, 2, 102, "two", CLIENT_ENROLLED);
	help_run(c, 2, 102, 5, FEED_RUN_LEFT);
	assert_int_equal(help_alerts(c, ALERT_FAILED), 1);
	assert_int_equal(clients_list_begin(c), RC_OK);
	help_client(c, 1, 101, "one", CLIENT_ENROLLED);
	assert_int_equal(clients_list_end(c), RC_OK);
	assert_int_equal(help_column(c, 1, "gone"), 0);
	assert_int_equal(help_column(c, 2, "gone"), 1);
	assert_int_equal(help_status(c, 2), CAT_STATE_UNKNOWN);
	assert_int_equal(help_alerts(c, ALERT_FAILED), 0);
	assert_int_equal(cat_number(c, 0, "SELECT count(*) FROM run", ""), 1);
}

/* Everything that the vaults and auth know, as one number. */
static int64_t
digest_of(struct catalog *c)
{
	int64_t v = 0;

	for (uint8_t id = 1; id < 3; id++) {
		v = v * 31 + help_column(c, id, "status");
		v = v * 31 + help_column(c, id, "last_good");
		v = v * 31 + help_column(c, id, "due");
		v = v * 31 + help_column(c, id, "snapshots");
		v = v * 31 + help_column(c, id, "incomplete");
		v = v * 31 + help_column(c, id, "new_bytes");
		v = v * 31 + help_column(c, id, "last_ended");
	}
	return v * 31 + cat_number(c, 0, "SELECT count(*) FROM run "
	    "WHERE snapshot IS NOT NULL", "");
}

static void
tell_snapshots(struct catalog *c, bool live)
{
	for (uint8_t i = 1; i <= 4; i++) {
		uint8_t run = live ? (uint8_t)(10 + i) : 0;

		c->now = NOW + i * HOUR;
		if (live)
			help_run(c, 1, 101, run, FEED_RUN_BEGUN);
		help_snapshot(c, 1, 101, run, i, c->now, 0);
		help_snapshot(c, 2, 102, 0, i, c->now,
		    i == 4 ? SNAPSHOT_F_PARTIAL : 0);
	}
}

static void
a_deleted_database_comes_back_from_the_vaults(void **state)
{
	struct bench *b = *state;
	struct catalog *c = &b->c;
	struct feed_space sample = { .snapshots = 4 };
	uint8_t vault[16], v101[16];
	int64_t after = 0, before;

	help_client(c, 1, 101, "one", CLIENT_ENROLLED);
	help_client(c, 2, 102, "two", CLIENT_ENROLLED);
	tell_snapshots(c, true);
	before = digest_of(c);
	memset(v101, 101, sizeof(v101));
	assert_int_equal(vault_seq(c, v101), 4);
	assert_int_equal(client_unknown_vault(c, &after, vault), RC_NOENT);

	cat_close(c);
	place_clear(&b->place);
	place_make(&b->place);
	assert_int_equal(cat_open(c, b->place.path, NOW + 4 * HOUR), RC_OK);
	help_client(c, 1, 101, "one", CLIENT_ENROLLED);
	help_client(c, 2, 102, "two", CLIENT_ENROLLED);
	after = 0;
	assert_int_equal(client_unknown_vault(c, &after, vault), RC_OK);
	assert_memory_equal(vault, v101, 16);
	assert_int_equal(vault_seq(c, v101), 0);
	assert_int_equal(space_feed(c, v101, &sample), RC_OK);
	tell_snapshots(c, false);
	assert_true(digest_of(c) == before);
	after = 0;
	assert_int_equal(client_unknown_vault(c, &after, vault), RC_NOENT);
	/* the sample that a store sends first counts nothing twice */
	assert_int_equal(space_feed(c, v101, &sample), RC_OK);
	assert_int_equal(help_column(c, 1, "snapshots"), 4);
	sample.snapshots = 3;
	assert_int_equal(space_feed(c, v101, &sample), RC_OK);
	assert_int_equal(help_column(c, 1, "snapshots"), 3);
	sample.snapshots = 4;
	assert_int_equal(space_feed(c, v101, &sample), RC_OK);
	/* told twice, it is there once */
	tell_snapshots(c, false);
	assert_true(digest_of(c) == before);
}

static void
what_was_committed_is_there_after_a_restart(void **state)
{
	struct bench *b = *state;

	help_client(&b->c, 1, 101, "one", CLIENT_ENROLLED);
	help_snapshot(&b->c, 1, 101, 0, 9, NOW, 0);
	assert_true(cat_is_writing(&b->c));
	assert_int_equal(cat_commit(&b->c), RC_OK);
	reopen(b);
	assert_int_equal(help_status(&b->c, 1), CAT_STATE_OK);
}

static void
samples_are_one_an_hour_and_low_space_is_an_alert(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;
	struct feed_space f = { .bytes = 5, .objects = 2, .snapshots = 1,
	    .fs_free = 100ull << 30, .fs_total = 1000ull << 30 };
	uint8_t vault[16];

	memset(vault, 101, sizeof(vault));
	help_client(c, 1, 101, "one", CLIENT_ENROLLED);
	for (int i = 0; i < 8; i++) {
		c->now = NOW + i * 1800;
		assert_int_equal(space_feed(c, vault, &f), RC_OK);
	}
	assert_in_range(cat_number(c, 0, "SELECT count(*) FROM space", ""), 4,
	    5);
	assert_int_equal(cat_number(c, 0, "SELECT at FROM vault", ""), c->now);
	assert_int_equal(help_alerts(c, ALERT_SPACE), 0);
	f.fs_free = 49ull << 30;
	assert_int_equal(space_feed(c, vault, &f), RC_OK);
	assert_int_equal(help_alerts(c, ALERT_SPACE), 1);
	f.fs_total = 60ull << 30;
	assert_int_equal(space_feed(c, vault, &f), RC_OK);
	assert_int_equal(help_alerts(c, ALERT_SPACE), 0);
	f.fs_total = 1ull << 30;
	f.fs_free = f.fs_total - 1;
	assert_int_equal(space_feed(c, vault, &f), RC_OK);
	assert_int_equal(help_alerts(c, ALERT_SPACE), 1);
	c->now += 401 * DAY;
	assert_int_equal(runs_prune(c), RC_OK);
	assert_int_equal(cat_number(c, 0, "SELECT count(*) FROM space", ""), 0);
}

static void
old_runs_go_but_a_thousand_stay(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;
	int64_t cid;

	help_client(c, 1, 101, "one", CLIENT_ENROLLED);
	cid = help_column(c, 1, "id");
	assert_int_equal(sql_run(c->db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION"
	    " ALL SELECT i + 1 FROM n WHERE i < 1500) INSERT INTO run (cid,"
	    " vault, state, started, ended, at, heard) SELECT ?, x'00', 3, i,"
	    " i + 1, i, i FROM n", "i", cid), RC_OK);
	assert_int_equal(runs_prune(c), RC_OK);
	assert_int_equal(cat_number(c, 0, "SELECT count(*) FROM run", ""),
	    CAT_RUNS_KEEP);
	assert_int_equal(cat_number(c, 0, "SELECT min(number) FROM run", ""),
	    501);
	/* young ones stay, up to a limit of their own */
	assert_int_equal(sql_run(c->db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION"
	    " ALL SELECT i + 1 FROM n WHERE i < 20500) INSERT INTO run (cid,"
	    " vault, state, started, ended, at, heard) SELECT ?, x'00', 3, ?2,"
	    " ?2, ?2, ?2 FROM n", "ii", cid, (int64_t)NOW), RC_OK);
	assert_int_equal(runs_prune(c), RC_OK);
	assert_int_equal(cat_number(c, 0, "SELECT count(*) FROM run", ""),
	    CAT_RUNS_MAX);
}

static void
events_are_a_ring_whose_numbers_go_on(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;
	const struct event *ev = events_after(c->events, 0);
	uint64_t first, last = 0;

	assert_null(ev);
	event_add(c, "peer", "a", "%d", 1);
	assert_non_null(ev = events_after(c->events, 0));
	first = ev->seq;
	for (int i = 0; i < 1500; i++)
		event_add(c, "peer", "a", "%d", i);
	assert_non_null(ev = events_after(c->events, 0));
	assert_int_equal(ev->seq, first + 501);
	while ((ev = events_after(c->events, last)) != NULL)
		last = ev->seq;
	assert_int_equal(last, first + 1500);
	assert_null(events_after(c->events, last + 1000000));
	/* a later life begins behind it */
	events_free(c->events);
	c->events = events_new(c->now + 10);
	event_add(c, "peer", "a", "again");
	assert_non_null(ev = events_after(c->events, last));
	assert_string_equal(ev->detail, "again");
}

static void
a_malformed_note_is_refused(void **state)
{
	struct wbuf b = WBUF_INIT(512);
	struct client_row r;
	struct rbuf in;
	uint8_t what;

	(void)state;
	wbuf_u8(&b, CLIENT_NOTE_ROW);
	wbuf_str(&b, "acme");
	wbuf_str(&b, "one");
	wbuf_zeros(&b, 32);
	wbuf_u8(&b, CLIENT_DISABLED);
	wbuf_zeros(&b, 16);
	for (size_t n = 0; n < b.len; n++) {
		rbuf_init(&in, b.data, n);
		assert_int_equal(client_note_get(&in, &what, &r),
		    RC_TRUNCATED);
	}
	rbuf_init(&in, b.data, b.len);
	assert_int_equal(client_note_get(&in, &what, &r), RC_OK);
	b.data[0] = CLIENT_NOTE_END + 1;
	rbuf_init(&in, b.data, b.len);
	assert_int_equal(client_note_get(&in, &what, &r), RC_RANGE);
	b.data[0] = CLIENT_NOTE_ROW;
	wbuf_u8(&b, 0);
	rbuf_init(&in, b.data, b.len);
	assert_int_equal(client_note_get(&in, &what, &r), RC_TRAILING);
	wbuf_free(&b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_client_goes_from_never_over_running_to_ok),
		T(a_run_that_is_left_failed_and_resumed_keeps_one_row),
		T(a_store_that_goes_away_ends_its_runs_only),
		T(an_incomplete_snapshot_is_counted_but_not_good),
		T(what_the_client_says_stays_apart),
		T(overdue_comes_by_the_clock_and_follows_the_habit),
		T(who_is_not_on_the_list_is_gone_and_its_history_stays),
		T(a_deleted_database_comes_back_from_the_vaults),
		T(what_was_committed_is_there_after_a_restart),
		T(samples_are_one_an_hour_and_low_space_is_an_alert),
		T(old_runs_go_but_a_thousand_stay),
		T(events_are_a_ring_whose_numbers_go_on),
		T(a_malformed_note_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
