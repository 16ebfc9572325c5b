#include "config.h"

#include "server/discovery/peerjson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf.h"
#include "common/num.h"
#include "common/rc.h"

#define HEX64 "00112233445566778899aabbccddeeff" \
	"00112233445566778899aabbccddeeff"
#define PORTS "\"ports\":{\"server\":32004,\"ssl\":32007,\"gui\":32005," \
	"\"webssl\":0}"
#define INFO(id, rest) "\"identity\":\"" HEX64 "\",\"pin\":\"" HEX64 "\"," \
	"\"id\":\"" id "\",\"mode\":\"both\"," PORTS "," rest
#define GOOD INFO("host", "\"interval\":60,\"sent\":-5")

static struct peer_info
some_info(unsigned i)
{
	struct peer_info p = { .mode = CONF_MODE_REPLICATION,
	    .port_server = 32004, .port_ssl = 65535, .port_gui = 1,
	    .interval = 65535, .sent_ns = INT64_MIN };

	memset(p.identity, (int)i, sizeof(p.identity));
	memset(p.pin, (int)i + 1, sizeof(p.pin));
	/* as long as an id may be, and of what JSON writes longest */
	memset(p.id, '"', PEER_ID_MAX);
	return p;
}

static int
info_of(const char *text, struct peer_info *p)
{
	struct json_doc *d;
	int rc;

	if ((rc = json_parse(text, strlen(text), PEERJSON_VALUES_MAX, &d)) !=
	    RC_OK)
		return rc;
	rc = peerjson_get_info(d, json_root(d), p);
	json_free(d);
	return rc;
}

static int
entries_of(const char *text, size_t len, struct peer_entry *e, size_t *n)
{
	struct json_doc *d;
	int rc;

	if ((rc = json_parse(text, len, PEERJSON_VALUES_MAX, &d)) != RC_OK)
		return rc;
	rc = peerjson_get_entries(d, json_root(d), "peers", e,
	    TASK_ENTRIES_MAX, n);
	json_free(d);
	return rc;
}

static void
put_entries(struct wbuf *out, size_t n)
{
	struct peer_entry e;
	struct json j;

	json_init(&j, out);
	json_object(&j, NULL);
	json_object(&j, "self");
	e.info = some_info(0);
	peerjson_put_info(&j, &e.info);
	json_end(&j);
	json_array(&j, "peers");
	for (size_t i = 0; i < n; i++) {
		e.info = some_info((unsigned)i);
		assert_int_equal(addr_parse(&e.addr, i % 2 ? "192.0.2.255" :
		    "2001:db8:1111:2222:3333:4444:5555:6666"), RC_OK);
		peerjson_put_entry(&j, &e);
	}
	json_end_array(&j);
	json_end(&j);
	assert_int_equal(wbuf_rc(out), RC_OK);
}

static void
sixty_entries_go_there_and_come_back_the_same(void **state)
{
	static struct peer_entry e[TASK_ENTRIES_MAX];
	struct wbuf out = WBUF_INIT(65536);
	struct peer_info want;
	struct peer_entry nowhere = { .info = some_info(1) };
	struct json j;
	size_t n;

	(void)state;
	/* one without an address is not told */
	json_init(&j, &out);
	peerjson_put_entry(&j, &nowhere);
	assert_int_equal(out.len, 0);
	put_entries(&out, TASK_ENTRIES_MAX);
	assert_int_equal(entries_of((char *)out.data, out.len, e, &n), RC_OK);
	assert_int_equal(n, TASK_ENTRIES_MAX);
	for (size_t i = 0; i < n; i++) {
		want = some_info((unsigned)i);
		assert_memory_equal(e[i].info.identity, want.identity, 32);
		assert_memory_equal(e[i].info.pin, want.pin, 32);
		assert_string_equal(e[i].info.id, want.id);
		assert_int_equal(e[i].info.mode, want.mode);
		assert_int_equal(e[i].info.port_server, want.port_server);
		assert_int_equal(e[i].info.port_ssl, want.port_ssl);
		assert_int_equal(e[i].info.port_gui, want.port_gui);
		assert_int_equal(e[i].info.port_webssl, 0);
		assert_int_equal(e[i].info.interval, want.interval);
		assert_true(e[i].info.sent_ns == -INT64_MAX);
		assert_int_equal(e[i].addr.family, i % 2 ? 4 : 6);
		/* the GUI port is the one that may be dialled */
		assert_int_equal(e[i].addr.port, want.port_gui);
	}
	wbuf_free(&out);
}

static void
sixty_one_entries_are_refused(void **state)
{
	static struct peer_entry e[TASK_ENTRIES_MAX];
	struct wbuf out = WBUF_INIT(65536);
	size_t n;

	(void)state;
	put_entries(&out, TASK_ENTRIES_MAX + 1);
	assert_int_equal(entries_of((char *)out.data, out.len, e, &n),
	    RC_LIMIT);
	wbuf_free(&out);
}

static void
what_an_installation_says_of_itself_is_read_strictly(void **state)
{
	static const struct {
		const char	*text;
		int		 rc;
	} v[] = {
		{ "{" GOOD "}", RC_OK },
		/* a later version may say more */
		{ "{" GOOD ",\"colour\":\"red\"}", RC_OK },
		{ "[]", RC_PROTO }, { "null", RC_PROTO }, { "{}", RC_PROTO },
		/* wrong types */
		{ "{" INFO("h", "\"interval\":\"60\",\"sent\":1") "}", RC_PROTO },
		{ "{" INFO("h", "\"interval\":true,\"sent\":1") "}", RC_PROTO },
		{ "{" INFO("h", "\"interval\":60,\"sent\":null") "}", RC_PROTO },
		{ "{" INFO("h", "\"interval\":60") "}", RC_PROTO },
		{ "{" INFO("h", "\"interval\":[60],\"sent\":1") "}", RC_PROTO },
		/* values that cannot be */
		{ "{" INFO("h", "\"interval\":0,\"sent\":1") "}", RC_RANGE },
		{ "{" INFO("h", "\"interval\":-1,\"sent\":1") "}", RC_RANGE },
		{ "{" INFO("h", "\"interval\":65536,\"sent\":1") "}", RC_RANGE },
		{ "{" INFO("", "\"interval\":60,\"sent\":1") "}", RC_RANGE },
		{ "{" INFO("a\\nb", "\"interval\":60,\"sent\":1") "}", RC_RANGE },
		{ "{" INFO("a\\u202eb", "\"interval\":60,\"sent\":1") "}",
		    RC_RANGE },
		{ "{" INFO("a\\u2066b", "\"interval\":60,\"sent\":1") "}",
		    RC_RANGE },
		{ "{" INFO("a\\u0085b", "\"interval\":60,\"sent\":1") "}",
		    RC_RANGE },
		{ "{" INFO("\xff", "\"interval\":60,\"sent\":1") "}", RC_PROTO },
		{ "{" INFO("0123456789012345678901234567890123456789"
		    "012345678901234567890123", "\"interval\":60,\"sent\":1")
		    "}", RC_RANGE },
	};
	struct peer_info p;

	(void)state;
	for (size_t i = 0; i < NITEMS(v); i++)
		if (info_of(v[i].text, &p) != v[i].rc)
			fail_msg("%s: %s", v[i].text,
			    rc_str(info_of(v[i].text, &p)));
	assert_int_equal(info_of(v[0].text, &p), RC_OK);
	assert_int_equal(p.mode, CONF_MODE_BOTH);
	assert_true(p.sent_ns == -5);
	assert_int_equal(p.identity[1], 0x11);
}

/* One spelling is replaced in what is otherwise good. */
static void
ports_keys_and_modes_are_read_strictly(void **state)
{
	static const struct {
		const char	*from, *to;
		int		 rc;
	} v[] = {
		{ "\"gui\":32005", "\"gui\":0", RC_RANGE },
		{ "\"gui\":32005", "\"gui\":65536", RC_RANGE },
		{ "\"gui\":32005", "\"gui\":-1", RC_RANGE },
		{ "\"gui\":32005", "\"gui\":\"1\"", RC_PROTO },
		{ "\"gui\":32005", "\"gooey\":1", RC_PROTO },
		{ "\"ssl\":32007", "\"ssl\":70000", RC_RANGE },
		{ "\"mode\":\"both\"", "\"mode\":\"Both\"", RC_RANGE },
		{ "\"mode\":\"both\"", "\"mode\":2", RC_PROTO },
		{ "\"ports\":{", "\"port\":{", RC_PROTO },
		{ "\"identity\":\"0", "\"identity\":\"g", RC_RANGE },
		{ "\"identity\":\"0", "\"identity\":\"", RC_RANGE },
		{ "\"identity\":\"00", "\"identity\":\"AA", RC_RANGE },
		{ "\"pin\":\"00", "\"pin\":\"000", RC_RANGE },
		{ "\"pin\":\"00", "\"pin\":\"\\u0030\\u0030", RC_OK },
	};
	static const char good[] = "{" GOOD "}";
	struct peer_info p;
	char text[1024];
	const char *at;

	(void)state;
	for (size_t i = 0; i < NITEMS(v); i++) {
		assert_non_null(at = strstr(good, v[i].from));
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good),
		    good, v[i].to, at + strlen(v[i].from));
		if (info_of(text, &p) != v[i].rc)
			fail_msg("%s", text);
	}
}

static void
an_entry_needs_a_literal_address(void **state)
{
	static const char *const bad[] = {
		"", ",\"address\":1", ",\"address\":\"host.example\"",
		",\"address\":\"10.0.0.1:32005\"", ",\"address\":\"10.0.0\"",
		",\"address\":\"fe80::1%eth0\"", ",\"address\":\"\"",
		",\"address\":\"010.0.0.1\"", ",\"address\":null",
	};
	struct peer_entry e[TASK_ENTRIES_MAX];
	char text[1024];
	size_t n;

	(void)state;
	for (size_t i = 0; i < NITEMS(bad); i++) {
		snprintf(text, sizeof(text), "{\"peers\":[{" GOOD "%s}]}",
		    bad[i]);
		if (entries_of(text, strlen(text), e, &n) == RC_OK)
			fail_msg("accepted: %s", bad[i]);
	}
	snprintf(text, sizeof(text), "{\"peers\":[{" GOOD
	    ",\"address\":\"::ffff:127.0.0.1\"}]}");
	assert_int_equal(entries_of(text, strlen(text), e, &n), RC_OK);
	assert_int_equal(e[0].addr.family, 4);
	assert_int_equal(entries_of("{\"peers\":{}}", 12, e, &n), RC_PROTO);
	assert_int_equal(entries_of("{\"peers\":[1]}", 13, e, &n), RC_PROTO);
	assert_int_equal(entries_of("{\"peers\":[]}", 12, e, &n), RC_OK);
	assert_int_equal(n, 0);
}

static void
ports_and_results_are_at_most_four(void **state)
{
	static const struct {
		const char	*text;
		int		 rc;
	} v[] = {
		{ "{\"ports\":[1,65535,3,4]}", RC_OK },
		{ "{\"ports\":[1,2,3,4,5]}", RC_LIMIT },
		{ "{\"ports\":[]}", RC_RANGE }, { "{\"ports\":[0]}", RC_RANGE },
		{ "{\"ports\":[65536]}", RC_RANGE },
		{ "{\"ports\":[\"1\"]}", RC_PROTO },
		{ "{\"ports\":1}", RC_PROTO }, { "{}", RC_PROTO },
	};
	uint16_t ports[TASK_PORTS_MAX];
	struct json_doc *d;
	size_t n;

	(void)state;
	for (size_t i = 0; i < NITEMS(v); i++) {
		assert_int_equal(json_parse(v[i].text, strlen(v[i].text), 64,
		    &d), RC_OK);
		if (peerjson_get_ports(d, json_root(d), "ports", ports, &n) !=
		    v[i].rc)
			fail_msg("%s", v[i].text);
		json_free(d);
	}
}

static void
results_go_there_and_come_back(void **state)
{
	static const struct peer_reach in[] = {
		{ 32004, 0, 3 }, { 32005, -RC_REFUSED, 0 },
		{ 32007, -RC_TIMEOUT, UINT32_MAX }, { 1, -RC_DENIED, 7 },
	};
	struct wbuf out = WBUF_INIT(1024);
	struct peer_reach r[TASK_PORTS_MAX];
	struct json_doc *d;
	struct json j;
	size_t n;

	(void)state;
	json_init(&j, &out);
	json_object(&j, NULL);
	json_array(&j, "ports");
	for (size_t i = 0; i < NITEMS(in); i++)
		peerjson_put_reach(&j, &in[i]);
	json_end_array(&j);
	json_end(&j);
	assert_int_equal(json_parse((char *)out.data, out.len, 64, &d), RC_OK);
	assert_int_equal(peerjson_get_reach(d, json_root(d), "ports", r, &n),
	    RC_OK);
	assert_int_equal(n, NITEMS(in));
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(r[i].port, in[i].port);
		assert_int_equal(r[i].code, in[i].code);
		assert_true(r[i].ms == in[i].ms);
	}
	/* why something was not tried is nobody's business */
	assert_int_equal(r[3].code, -RC_UNREACHABLE);
	json_free(d);
	wbuf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sixty_entries_go_there_and_come_back_the_same),
		cmocka_unit_test(sixty_one_entries_are_refused),
		cmocka_unit_test(
		    what_an_installation_says_of_itself_is_read_strictly),
		cmocka_unit_test(ports_keys_and_modes_are_read_strictly),
		cmocka_unit_test(an_entry_needs_a_literal_address),
		cmocka_unit_test(ports_and_results_are_at_most_four),
		cmocka_unit_test(results_go_there_and_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
