#include "config.h"

#include "client/engine/select.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "common/rc.h"

static struct keys k;
static struct snap snaps[4];
static struct snaplist list = { snaps, 4, 4 };
static const struct snap *found;
static char text[512];

/* Two jobs: a at 1000 s and 3000 s, b at 2000 s and 4000 s. */
static int
setup(void **state)
{
	size_t i;

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	memset(k.m.b, 4, sizeof(k.m.b));
	assert_int_equal(keys_derive(&k), RC_OK);
	memset(snaps, 0, sizeof(snaps));
	for (i = 0; i < 4; i++) {
		memset(snaps[i].id.b, (int)(0x10 * i + 1), OBJECT_ID_LEN);
		snaps[i].server.vault_seq = i + 1;
		snaps[i].c.sequence = i + 1;
		snaps[i].server.wall_ns = (int64_t)(i + 1) * 1000 *
		    1000000000;
		strcpy(snaps[i].c.label, i % 2 == 0 ? "a" : "b");
		assert_int_equal(keys_job_id(&k, snaps[i].c.label,
		    snaps[i].c.job), RC_OK);
	}
	return 0;
}

static int
pick(const char *spec, const char *job)
{
	text[0] = '\0';
	return snaplist_select(&list, &k, spec, job, &found, text,
	    sizeof(text));
}

static void
latest_is_the_newest_of_all_or_of_a_job(void **state)
{
	(void)state;
	assert_int_equal(pick("latest", NULL), RC_OK);
	assert_ptr_equal(found, &snaps[3]);
	assert_int_equal(pick("latest", "a"), RC_OK);
	assert_ptr_equal(found, &snaps[2]);
	assert_int_equal(pick("latest~1", "a"), RC_OK);
	assert_ptr_equal(found, &snaps[0]);
	assert_int_equal(pick("latest~3", NULL), RC_OK);
	assert_ptr_equal(found, &snaps[0]);
	assert_int_equal(pick("latest~4", NULL), RC_NOENT);
	assert_int_equal(pick("latest", "nobody"), RC_NOENT);
	assert_int_equal(pick("latest~", NULL), RC_RANGE);
	assert_int_equal(pick("latest~-1", NULL), RC_RANGE);
	assert_int_equal(pick("latestx", NULL), RC_RANGE);
	assert_true(text[0] != '\0');
}

static void
a_time_takes_the_last_one_before_it(void **state)
{
	(void)state;
	assert_int_equal(pick("a@@3500", NULL), RC_OK);
	assert_ptr_equal(found, &snaps[2]);
	assert_int_equal(pick("a@@2999", NULL), RC_OK);
	assert_ptr_equal(found, &snaps[0]);
	assert_int_equal(pick("a@1970-01-01T00:50", NULL), RC_OK);
	assert_ptr_equal(found, &snaps[2]);
	assert_int_equal(pick("b@1970-01-01 00:33:19Z", NULL), RC_NOENT);
	assert_int_equal(pick("b@1970-01-01 00:33:20Z", NULL), RC_OK);
	assert_ptr_equal(found, &snaps[1]);
	assert_int_equal(pick("b@2030-01-01", NULL), RC_OK);
	assert_ptr_equal(found, &snaps[3]);
	assert_int_equal(pick("b@yesterday", NULL), RC_RANGE);
}

static void
a_prefix_names_one(void **state)
{
	(void)state;
	assert_int_equal(pick("2121", NULL), RC_OK);
	assert_ptr_equal(found, &snaps[2]);
	assert_int_equal(pick("212", NULL), RC_RANGE);
	assert_int_equal(pick("9999", NULL), RC_NOENT);
	assert_int_equal(pick("zzzz", NULL), RC_RANGE);
	assert_int_equal(pick("", NULL), RC_RANGE);
	snaps[1].id = snaps[2].id;
	assert_int_equal(pick("21212121", NULL), RC_RANGE);
	assert_non_null(strstr(text, "2 snapshots"));
}

static void
one_that_does_not_open_is_not_passed_over(void **state)
{
	(void)state;
	snaps[3].rc = RC_CRYPTO;
	assert_int_equal(pick("latest", NULL), RC_CRYPTO);
	assert_int_equal(pick("latest", "a"), RC_OK);
	assert_int_equal(pick("3131", NULL), RC_CRYPTO);
}

static void
times_are_read_strictly(void **state)
{
	int64_t t;

	(void)state;
	assert_int_equal(select_time("1970-01-02", &t), RC_OK);
	assert_int_equal(t, 2 * 86400 - 1);
	assert_int_equal(select_time("1970-01-02T00:00:05", &t), RC_OK);
	assert_int_equal(t, 86405);
	assert_int_equal(select_time("@5", &t), RC_OK);
	assert_int_equal(t, 5);
	assert_int_equal(select_time("1970-1-2", &t), RC_RANGE);
	assert_int_equal(select_time("1970-13-01", &t), RC_RANGE);
	assert_int_equal(select_time("1970-01-01T25:00", &t), RC_RANGE);
	assert_int_equal(select_time("1970-01-01T00:00:00x", &t), RC_RANGE);
	assert_int_equal(select_time("@", &t), RC_RANGE);
	assert_int_equal(select_time("@-4", &t), RC_RANGE);
	assert_int_equal(select_time("@99999999999999999999", &t), RC_RANGE);
	assert_int_equal(select_time("", &t), RC_RANGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(latest_is_the_newest_of_all_or_of_a_job,
		    setup),
		cmocka_unit_test_setup(a_time_takes_the_last_one_before_it,
		    setup),
		cmocka_unit_test_setup(a_prefix_names_one, setup),
		cmocka_unit_test_setup(
		    one_that_does_not_open_is_not_passed_over, setup),
		cmocka_unit_test_setup(times_are_read_strictly, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
