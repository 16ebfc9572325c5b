#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/engine/engine.h"
#include "client/engine/verbs.h"
#include "common/rc.h"

static void
sample(struct verb_args *a)
{
	memset(a, 0, sizeof(*a));
	a->verb = VERB_BACKUP;
	a->flags = VERBS_F_SSL | VERBS_F_CACHES | VERBS_F_ONE_FS;
	a->port = 40004;
	strcpy(a->job, "home");
	assert_int_equal(verbs_list_add(&a->paths, &a->npaths, "/etc"), RC_OK);
	assert_int_equal(verbs_list_add(&a->paths, &a->npaths, "/home/\xff"),
	    RC_OK);
	assert_int_equal(verbs_list_add(&a->exclude, &a->nexclude, "*.o"),
	    RC_OK);
}

static void
what_is_written_is_read(void **state)
{
	struct wbuf out = WBUF_INIT(VERBS_DO_MAX);
	struct verb_args a, b;
	struct rbuf in;

	(void)state;
	sample(&a);
	verbs_put(&out, &a);
	assert_int_equal(wbuf_rc(&out), RC_OK);
	rbuf_init(&in, out.data, out.len);
	assert_int_equal(verbs_get(&in, &b), RC_OK);
	assert_int_equal(b.verb, VERB_BACKUP);
	assert_int_equal(b.flags, a.flags);
	assert_int_equal(b.port, 40004);
	assert_string_equal(b.job, "home");
	assert_int_equal(b.npaths, 2);
	assert_string_equal(b.paths[1], "/home/\xff");
	assert_int_equal(b.nexclude, 1);
	assert_string_equal(b.exclude[0], "*.o");
	assert_null(b.path);
	verbs_clear(&a);
	verbs_clear(&b);
	wbuf_free(&out);
}

static void
every_cut_is_refused(void **state)
{
	struct wbuf out = WBUF_INIT(VERBS_DO_MAX);
	struct verb_args a, b;
	struct rbuf in;

	(void)state;
	sample(&a);
	verbs_put(&out, &a);
	for (size_t n = 0; n < out.len; n++) {
		rbuf_init(&in, out.data, n);
		assert_int_not_equal(verbs_get(&in, &b), RC_OK);
		assert_null(b.paths);
	}
	wbuf_u8(&out, 0);
	rbuf_init(&in, out.data, out.len);
	assert_int_equal(verbs_get(&in, &b), RC_TRAILING);
	verbs_clear(&a);
	wbuf_free(&out);
}

static int
round_trip(const struct verb_args *a)
{
	struct wbuf out = WBUF_INIT(VERBS_DO_MAX);
	struct verb_args b;
	struct rbuf in;
	int rc;

	verbs_put(&out, a);
	rbuf_init(&in, out.data, out.len);
	rc = verbs_get(&in, &b);
	verbs_clear(&b);
	wbuf_free(&out);
	return rc;
}

static void
values_out_of_range_are_refused(void **state)
{
	struct verb_args a;

	(void)state;
	sample(&a);
	a.verb = VERB_MAX;
	assert_int_equal(round_trip(&a), RC_RANGE);
	a.verb = VERB_CHECK;
	a.percent = 101;
	assert_int_equal(round_trip(&a), RC_RANGE);
	a.percent = 100;
	a.flags = 0x80000000u;
	assert_int_equal(round_trip(&a), RC_RANGE);
	a.flags = 0;
	a.overwrite = OVERWRITE_ALWAYS + 1;
	assert_int_equal(round_trip(&a), RC_RANGE);
	a.overwrite = OVERWRITE_ALWAYS;
	assert_int_equal(round_trip(&a), RC_OK);
	verbs_clear(&a);
}

static void
paths_are_absolute_and_rise(void **state)
{
	struct verb_args a = { .verb = VERB_BACKUP };

	(void)state;
	verbs_list_add(&a.paths, &a.npaths, "etc");
	assert_int_equal(round_trip(&a), RC_RANGE);
	verbs_clear(&a);
	a.verb = VERB_BACKUP;
	verbs_list_add(&a.paths, &a.npaths, "/etc");
	verbs_list_add(&a.paths, &a.npaths, "/etc");
	assert_int_equal(round_trip(&a), RC_RANGE);
	verbs_clear(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(values_out_of_range_are_refused),
		cmocka_unit_test(paths_are_absolute_and_rise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
