#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conf.h"
#include "common/rc.h"

static const struct conf_key *
key(const char *path)
{
	for (size_t i = 0; i < conf_keys_n; i++)
		if (strcmp(conf_keys[i].path, path) == 0)
			return &conf_keys[i];
	fail_msg("no key %s", path);
	return NULL;
}

static void
assert_prints(const struct conf *c, const char *path, const char *want)
{
	char text[2048];

	conf_print(c, key(path), text, sizeof(text));
	assert_string_equal(text, want);
}

static void
defaults_print_as_the_design_spells_them(void **state)
{
	struct conf c;

	(void)state;
	conf_defaults(&c);
	assert_prints(&c, "Mode", "\"server\"");
	assert_prints(&c, "Ports.Server", "32004");
	assert_prints(&c, "Ports.SSLServer", "32007");
	assert_prints(&c, "Ports.GUI", "32005");
	assert_prints(&c, "Ports.Web", "6060");
	assert_prints(&c, "Ports.WebSSL", "6061");
	assert_prints(&c, "Ports.Multicast", "[6363, 6364]");
	assert_prints(&c, "Ports.UDPScan", "32006");
	assert_prints(&c, "SSL.Enabled", "0");
	assert_prints(&c, "SSL.SSLCertFile", "\"\"");
	assert_prints(&c, "Listen.Server", "[\"*\"]");
	assert_prints(&c, "Access.Server", "[\"any\"]");
	assert_prints(&c, "Access.GUI", "[\"private\"]");
	assert_prints(&c, "Plaintext.AllowFrom", "[]");
	assert_prints(&c, "Discovery.Multicast.Enabled", "1");
	assert_prints(&c, "Discovery.UDPScan.Answer", "0");
	assert_prints(&c, "Discovery.TCP.Interval", "300");
	assert_prints(&c, "Switch.MaxRole", "\"operator\"");
	assert_prints(&c, "Pool.SessionMax", "256");
	assert_prints(&c, "Paths.State", "\"/var/lib/storegrid\"");
	assert_prints(&c, "Limits.Silent", "4096");
	assert_prints(&c, "Limits.PerNetwork", "32");
	assert_prints(&c, "Retention.LockDays", "7");
	assert_prints(&c, "Quota.Reserve", "\"64M\"");
}

static void
defaults_lie_within_the_schema_and_cross_a_channel(void **state)
{
	struct conf c, got;
	struct wbuf out = WBUF_INIT(1 << 16);
	struct rbuf in;

	(void)state;
	conf_defaults(&c);
	conf_put(&out, &c);
	assert_int_equal(wbuf_rc(&out), RC_OK);
	rbuf_init(&in, out.data, out.len);
	assert_int_equal(conf_get(&in, &got), RC_OK);
	assert_int_equal(rbuf_end(&in), RC_OK);
	for (size_t i = 0; i < conf_keys_n; i++) {
		char a[2048], b[2048];

		conf_print(&c, &conf_keys[i], a, sizeof(a));
		conf_print(&got, &conf_keys[i], b, sizeof(b));
		assert_string_equal(a, b);
		assert_non_null(conf_keys[i].hint);
	}
	wbuf_free(&out);
}

/* Each field differs from every other, so a mixed-up offset shows. */
static void
every_key_has_a_place_of_its_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < conf_keys_n; i++)
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(conf_keys[i].offset,
			    conf_keys[j].offset);
			assert_string_not_equal(conf_keys[i].path,
			    conf_keys[j].path);
		}
}

static void
what_depends_on_other_keys_is_filled_in(void **state)
{
	struct conf c;
	char host[64] = "";

	(void)state;
	gethostname(host, sizeof(host) - 1);
	conf_defaults(&c);
	if (host[0] != '\0')
		assert_string_equal(c.id, host);
	strcpy(c.state, "/srv/sg");
	c.id[0] = '\0';
	conf_finish(&c);
	assert_string_equal(c.vaults, "/srv/sg/vaults");
	assert_string_equal(c.programs, PROGRAMS_DIR);
	assert_true(strlen(c.id) > 0);
	assert_string_equal(c.advertise, c.id);
	strcpy(c.id, "mine");
	strcpy(c.vaults, "/disk");
	strcpy(c.advertise, "backup.example.org");
	strcpy(c.programs, "/opt/p");
	conf_finish(&c);
	assert_string_equal(c.id, "mine");
	assert_string_equal(c.vaults, "/disk");
	assert_string_equal(c.advertise, "backup.example.org");
	assert_string_equal(c.programs, "/opt/p");
}

static void
a_state_path_too_long_for_its_vaults_leaves_none(void **state)
{
	struct conf c;

	(void)state;
	conf_defaults(&c);
	memset(c.state, 'a', sizeof(c.state) - 1);
	c.state[sizeof(c.state) - 1] = '\0';
	conf_finish(&c);
	assert_string_equal(c.vaults, "");
	c.state[sizeof(c.state) - 8] = '\0';
	conf_finish(&c);
	assert_int_equal(strlen(c.vaults), sizeof(c.vaults) - 1);
}

static int
get_changed(struct conf *c)
{
	struct wbuf out = WBUF_INIT(1 << 16);
	struct conf got;
	struct rbuf in;
	int rc;

	conf_put(&out, c);
	if ((rc = wbuf_rc(&out)) == RC_OK) {
		rbuf_init(&in, out.data, out.len);
		rc = conf_get(&in, &got);
	}
	wbuf_free(&out);
	return rc;
}

static void
values_outside_the_schema_are_refused(void **state)
{
	struct conf c;

	(void)state;
#define REFUSED(change, code) do {					\
		conf_defaults(&c);					\
		change;							\
		assert_int_equal(get_changed(&c), code);		\
	} while (0)
	REFUSED((void)c, RC_OK);
	REFUSED(c.port_server = 0, RC_RANGE);
	REFUSED(c.port_mcast_ans = 0, RC_RANGE);
	REFUSED(c.mode = 4, RC_RANGE);
	REFUSED(c.pool_min = 0, RC_RANGE);
	REFUSED(c.pool_min = 300, RC_RANGE);		/* over SessionMax */
	REFUSED(c.silent_ms = 1, RC_RANGE);
	REFUSED(c.users_base = UINT32_MAX, RC_RANGE);
	REFUSED(c.reserve_bytes = UINT64_MAX, RC_RANGE);
	REFUSED(c.state[0] = '\0', RC_RANGE);
	REFUSED(strcpy(c.advertise, "a\nb"), RC_RANGE);
	REFUSED(c.access_server.n = CONF_LIST_MAX + 1, RC_LIMIT);
	REFUSED(strcpy(c.access_server.s[0], "\x1b[2J"), RC_RANGE);
	REFUSED(c.exempt.n = CONF_LIST_MAX, RC_OK);
}

static void
cut_bytes_are_refused_and_take_nothing(void **state)
{
	struct conf c, got = { .pool_min = 99 };
	struct wbuf out = WBUF_INIT(1 << 16);
	struct rbuf in;

	(void)state;
	conf_defaults(&c);
	conf_put(&out, &c);
	for (size_t n = 0; n < out.len; n++) {
		rbuf_init(&in, out.data, n);
		assert_int_equal(conf_get(&in, &got), RC_TRUNCATED);
		assert_int_equal(rbuf_left(&in), n);
	}
	assert_int_equal(got.pool_min, 99);
	wbuf_free(&out);
}

static void
printing_escapes_cuts_and_shortens(void **state)
{
	struct conf c;
	char text[8];

	(void)state;
	conf_defaults(&c);
	strcpy(c.id, "a\"b\\c");
	assert_prints(&c, "ID", "\"a\\\"b\\\\c\"");
	conf_print(&c, key("Paths.State"), text, sizeof(text));
	assert_string_equal(text, "\"/var/l");
	conf_print(&c, key("Paths.State"), text, 1);
	assert_string_equal(text, "");
	conf_print(&c, key("Paths.State"), NULL, 0);
	c.reserve_bytes = 0;
	assert_prints(&c, "Quota.Reserve", "\"0\"");
	c.reserve_bytes = 1500;
	assert_prints(&c, "Quota.Reserve", "\"1500\"");
	c.reserve_bytes = 500ull << 30;
	assert_prints(&c, "Quota.Reserve", "\"500G\"");
	c.reserve_bytes = 2048ull << 40;
	assert_prints(&c, "Quota.Reserve", "\"2048T\"");
	c.listen_web.n = 2;
	strcpy(c.listen_web.s[0], "127.0.0.1");
	strcpy(c.listen_web.s[1], "::1");
	assert_prints(&c, "Listen.Web", "[\"127.0.0.1\", \"::1\"]");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_print_as_the_design_spells_them),
		cmocka_unit_test(
		    defaults_lie_within_the_schema_and_cross_a_channel),
		cmocka_unit_test(every_key_has_a_place_of_its_own),
		cmocka_unit_test(what_depends_on_other_keys_is_filled_in),
		cmocka_unit_test(
		    a_state_path_too_long_for_its_vaults_leaves_none),
		cmocka_unit_test(values_outside_the_schema_are_refused),
		cmocka_unit_test(cut_bytes_are_refused_and_take_nothing),
		cmocka_unit_test(printing_escapes_cuts_and_shortens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
