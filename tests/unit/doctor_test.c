#include "config.h"

#include "client/cli/doctor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/cli/discover.h"
#include "common/rc.h"

/* What doctor makes of what it saw, and what discover makes of its messages. */

static void
a_port_that_is_used_is_a_failure_and_another_is_its_cost(void **state)
{
	struct verdict v;

	(void)state;
	judge_port(&v, DOCTOR_SERVER, 32004, REACH_REFUSED, true);
	assert_int_equal(v.level, LEVEL_FAIL);
	assert_int_equal(v.code, EXIT_UNREACHABLE);
	assert_non_null(strstr(v.text, "refused"));
	assert_non_null(strstr(v.advice, "Ports.Server"));
	judge_port(&v, DOCTOR_SERVER, 32004, REACH_FILTERED, true);
	assert_non_null(strstr(v.advice, "firewall"));
	judge_port(&v, DOCTOR_GUI, 32005, REACH_FILTERED, false);
	assert_int_equal(v.level, LEVEL_WARN);
	assert_int_equal(v.code, EXIT_DONE);
	assert_non_null(strstr(v.text, "switch to peer"));
	assert_non_null(strstr(v.text, "exchange"));
	assert_non_null(strstr(v.text, "backup and restore go on"));
	judge_port(&v, DOCTOR_SSL, 32007, REACH_REFUSED, false);
	assert_int_equal(v.level, LEVEL_OK);
	assert_non_null(strstr(v.text, "SSL.Enabled = 1"));
	judge_port(&v, DOCTOR_SSL, 32007, REACH_REFUSED, true);
	assert_int_equal(v.level, LEVEL_FAIL);
	judge_port(&v, DOCTOR_SERVER, 32004, REACH_REFUSED, false);
	assert_int_equal(v.level, LEVEL_OK);
	judge_port(&v, DOCTOR_SERVER, 32004, REACH_OPEN, true);
	assert_int_equal(v.level, LEVEL_OK);
	assert_string_equal(v.advice, "");
}

static void
refused_filtered_and_no_way_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(judge_reach(RC_OK, 0), REACH_OPEN);
	assert_int_equal(judge_reach(RC_UNREACHABLE, ECONNREFUSED),
	    REACH_REFUSED);
	assert_int_equal(judge_reach(RC_TIMEOUT, ETIMEDOUT), REACH_FILTERED);
	assert_int_equal(judge_reach(RC_UNREACHABLE, ETIMEDOUT),
	    REACH_FILTERED);
	assert_int_equal(judge_reach(RC_UNREACHABLE, EHOSTUNREACH),
	    REACH_NONE);
}

static void
a_log_in_tells_pin_identity_or_neither(void **state)
{
	struct verdict v[2];

	(void)state;
	assert_true(judge_login(v, EXIT_DONE, ""));
	assert_int_equal(v[0].level, LEVEL_OK);
	assert_int_equal(v[1].level, LEVEL_OK);
	assert_false(judge_login(v, EXIT_PIN, "the key differs"));
	assert_int_equal(v[0].code, EXIT_PIN);
	assert_string_equal(v[0].text, "the key differs");
	assert_true(judge_login(v, EXIT_AUTH, "unknown client"));
	assert_int_equal(v[0].level, LEVEL_OK);
	assert_int_equal(v[1].code, EXIT_AUTH);
	assert_false(judge_login(v, EXIT_UNREACHABLE, "no answer"));
	assert_int_equal(v[0].code, EXIT_UNREACHABLE);
	assert_false(judge_login(v, EXIT_LATER, "busy"));
	assert_non_null(strstr(v[0].advice, "wait"));
	assert_true(judge_login(v, EXIT_FAILED, "the vault is not there"));
	assert_int_equal(v[1].code, EXIT_FAILED);
}

static void
a_clock_may_be_a_minute_wrong(void **state)
{
	struct verdict v;

	(void)state;
	judge_clock(&v, INT64_C(60999999999));
	assert_int_equal(v.level, LEVEL_OK);
	judge_clock(&v, INT64_C(61000000000));
	assert_int_equal(v.level, LEVEL_WARN);
	assert_non_null(strstr(v.text, "61 seconds behind"));
	judge_clock(&v, INT64_C(-3600000000000));
	assert_non_null(strstr(v.text, "3600 seconds ahead of"));
	assert_int_equal(v.code, EXIT_DONE);
}

static void
a_directory_is_its_users_alone(void **state)
{
	struct doctor_dir d = { .path = "/x", .mode = 040700, .uid = 5,
	    .want = 5 };
	struct verdict v;

	(void)state;
	judge_dir(&v, &d);
	assert_int_equal(v.level, LEVEL_OK);
	d.mode = 040750;
	judge_dir(&v, &d);
	assert_int_equal(v.level, LEVEL_FAIL);
	assert_string_equal(v.advice, "chmod 700 /x");
	d.uid = 6;
	judge_dir(&v, &d);
	assert_string_equal(v.advice, "chown -R 5 /x");
	d.uid = 0;
	d.empty = true;
	judge_dir(&v, &d);
	assert_int_equal(v.level, LEVEL_OK);
	d.uid = 7;
	judge_dir(&v, &d);
	assert_int_equal(v.level, LEVEL_FAIL);
	d.err = ENOENT;
	judge_dir(&v, &d);
	assert_int_equal(v.level, LEVEL_OK);
	d.err = EACCES;
	judge_dir(&v, &d);
	assert_int_equal(v.level, LEVEL_FAIL);
}

static void
space_kernel_users_and_ports_are_judged(void **state)
{
	uint8_t pin[32] = { 0xab, 0xcd };
	struct verdict v;

	(void)state;
	judge_space(&v, "/x", 15u << 20, 1u << 30);
	assert_int_equal(v.level, LEVEL_FAIL);
	judge_space(&v, "/x", 100u << 20, 1u << 30);
	assert_int_equal(v.level, LEVEL_WARN);
	judge_space(&v, "/x", 256u << 20, 1u << 30);
	assert_int_equal(v.level, LEVEL_OK);
	judge_sandbox(&v, false, 5);
	assert_int_equal(v.level, LEVEL_FAIL);
	judge_sandbox(&v, true, 0);
	assert_int_equal(v.level, LEVEL_WARN);
	judge_sandbox(&v, true, 3);
	assert_int_equal(v.level, LEVEL_OK);
	judge_users(&v, 1000);
	assert_non_null(strstr(v.text, "one uid"));
	judge_ports_differ(&v, "Server", 32004, 0);
	assert_int_equal(v.level, LEVEL_OK);
	judge_ports_differ(&v, "Server", 32004, 32004);
	assert_int_equal(v.level, LEVEL_OK);
	judge_ports_differ(&v, "Server", 32004, 4000);
	assert_int_equal(v.level, LEVEL_WARN);
	assert_non_null(strstr(v.text, "4000 is used"));
	judge_name(&v, "h", RC_NOENT, "unknown");
	assert_int_equal(v.code, EXIT_UNREACHABLE);
	judge_name(&v, "h", RC_TIMEOUT, "");
	assert_int_equal(v.level, LEVEL_OK);
	judge_tls(&v, RC_OK, "", pin);
	assert_non_null(strstr(v.text, "abcd000000000000"));
	judge_tls(&v, RC_TLS, "no TLS", pin);
	assert_int_equal(v.code, EXIT_PIN);
	judge_tls(&v, RC_BUSY, "later", pin);
	assert_int_equal(v.code, EXIT_UNREACHABLE);
}

static void
the_worst_finding_is_the_exit_code(void **state)
{
	static const int rising[] = { EXIT_DONE, EXIT_FAILED,
	    EXIT_UNREACHABLE, EXIT_AUTH, EXIT_PIN };
	struct verdict v = { .level = LEVEL_FAIL };

	(void)state;
	for (int a = 0; a < 5; a++) {
		for (int b = 0; b < 5; b++) {
			v.code = rising[b];
			assert_int_equal(judge_worse(rising[a], &v),
			    rising[a > b ? a : b]);
		}
	}
}

/* --- discover --- */

static int
take(struct discovered *list, size_t max, size_t *n, uint8_t key,
    uint8_t family, const char *id)
{
	struct peer_info p = { .mode = CONF_MODE_SERVER, .port_server = 32004,
	    .port_gui = 32005, .interval = 300 };
	uint8_t addr[16] = { 192, 168, 1, key };
	struct wbuf b = WBUF_INIT(512);
	struct rbuf in;
	int rc;

	memset(p.identity, key, sizeof(p.identity));
	snprintf(p.id, sizeof(p.id), "%s", id);
	wbuf_u32(&b, 1);
	wbuf_u8(&b, family);
	wbuf_bytes(&b, addr, 16);
	wbuf_u16(&b, 6364);
	peer_info_put(&b, &p);
	rbuf_init(&in, b.data, b.len);
	rc = discover_take(&in, list, max, n);
	wbuf_free(&b);
	return rc;
}

static void
each_installation_is_listed_once_with_its_better_address(void **state)
{
	struct discovered list[2];
	size_t n = 0;

	(void)state;
	assert_int_equal(take(list, 2, &n, 1, 6, "one"), RC_OK);
	assert_int_equal(list[0].family, 6);
	assert_int_equal(take(list, 2, &n, 1, 4, "one"), RC_OK);
	assert_int_equal(n, 1);
	assert_string_equal(list[0].host, "192.168.1.1");
	assert_int_equal(take(list, 2, &n, 1, 6, "one"), RC_OK);
	assert_int_equal(list[0].family, 4);
	assert_int_equal(take(list, 2, &n, 2, 4, "two"), RC_OK);
	assert_int_equal(take(list, 2, &n, 3, 4, "three"), RC_LIMIT);
	assert_int_equal(n, 2);
	assert_string_equal(discover_mode(list[1].info.mode), "server");
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct discovered list[4];
	struct rbuf in;
	size_t n = 0;

	(void)state;
	assert_int_equal(take(list, 4, &n, 1, 5, "one"), RC_RANGE);
	assert_int_equal(take(list, 4, &n, 1, 4, "o\033[2J"), RC_RANGE);
	assert_int_equal(take(list, 4, &n, 1, 4, ""), RC_RANGE);
	rbuf_init(&in, (const uint8_t *)"abc", 3);
	assert_int_equal(discover_take(&in, list, 4, &n), RC_TRUNCATED);
	assert_int_equal(n, 0);
	assert_string_equal(discover_mode(77), "?");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_port_that_is_used_is_a_failure_and_another_is_its_cost),
		cmocka_unit_test(refused_filtered_and_no_way_are_told_apart),
		cmocka_unit_test(a_log_in_tells_pin_identity_or_neither),
		cmocka_unit_test(a_clock_may_be_a_minute_wrong),
		cmocka_unit_test(a_directory_is_its_users_alone),
		cmocka_unit_test(space_kernel_users_and_ports_are_judged),
		cmocka_unit_test(the_worst_finding_is_the_exit_code),
		cmocka_unit_test(
		    each_installation_is_listed_once_with_its_better_address),
		cmocka_unit_test(what_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
