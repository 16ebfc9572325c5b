#include "config.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/addr.h"

static struct addr
at(const char *text)
{
	struct addr a = { 0 };

	assert_int_equal(addr_parse(&a, text), RC_OK);
	return a;
}

static bool
has(const char *net, const char *text)
{
	struct addr_list l = { .n = 1 };
	struct addr a = at(text);

	assert_int_equal(addr_net_parse(&l.v[0], net), RC_OK);
	return addr_list_has(&l, &a);
}

static void
private_is_what_is_not_the_internet(void **state)
{
	static const char *const in[] = { "127.0.0.1", "10.1.2.3",
	    "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1", "::1",
	    "fe80::1", "febf::1", "fc00::1", "fdff::1", "::ffff:10.0.0.1" };
	static const char *const out[] = { "8.8.8.8", "11.0.0.1", "172.15.0.1",
	    "172.32.0.1", "192.169.0.1", "169.253.0.1", "::2", "fec0::1",
	    "2001:db8::1", "fe00::1", "::ffff:8.8.8.8", "0.0.0.0", "::" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		assert_true(has("private", in[i]));
	for (i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		assert_false(has("private", out[i]));
}

static void
networks_match_their_own_family(void **state)
{
	(void)state;
	assert_true(has("any", "8.8.8.8"));
	assert_true(has("192.0.2.0/24", "192.0.2.255"));
	assert_false(has("192.0.2.0/24", "192.0.3.0"));
	assert_true(has("192.0.2.7", "192.0.2.7"));
	assert_true(has("0.0.0.0/0", "203.0.113.9"));
	assert_false(has("0.0.0.0/0", "2001:db8::1"));
	assert_false(has("::/0", "203.0.113.9"));
	assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(has("192.0.2.0/24", "::ffff:192.0.2.1"));
	assert_true(has("::ffff:192.0.2.0/120", "192.0.2.1"));
}

static void
nonsense_is_no_network(void **state)
{
	static const char *const bad[] = { "", "Any", "all", "10.0.0.0/33",
	    "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8 ", "10.0.0.1/8",
	    "10.0.0.0/008888", "010.0.0.1", "10.0.0", "::/129", "fe80::1%eth0",
	    "localhost", "10.0.0.0/8/8", "::ffff:10.0.0.0/8", "1.2.3.4:80",
	    "[::1]", "2001:db8::1/64" };
	struct addr_net n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (addr_net_parse(&n, bad[i]) == RC_OK)
			fail_msg("\"%s\" was taken", bad[i]);
}

static void
mapped_addresses_are_ipv4_from_every_side(void **state)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6,
	    .sin6_port = htons(99) };
	struct wbuf w = WBUF_INIT(64);
	struct rbuf r;
	struct addr a, b;
	uint8_t raw[ADDR_WIRE_LEN] = { 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff,
	    0xff, 192, 0, 2, 1, 0, 99 };

	(void)state;
	inet_pton(AF_INET6, "::ffff:192.0.2.1", &sin6.sin6_addr);
	addr_from_sockaddr(&a, (struct sockaddr *)&sin6, sizeof(sin6));
	assert_int_equal(a.family, 4);
	assert_int_equal(a.port, 99);
	rbuf_init(&r, raw, sizeof(raw));
	assert_int_equal(addr_get(&r, &b), RC_OK);
	assert_true(addr_equal(&a, &b));
	addr_put(&w, &a);
	assert_int_equal(w.len, ADDR_WIRE_LEN);
	rbuf_init(&r, w.data, w.len);
	assert_int_equal(addr_get(&r, &b), RC_OK);
	assert_true(addr_equal(&a, &b));
	wbuf_free(&w);
}

static void
a_family_that_is_none_is_refused(void **state)
{
	uint8_t raw[ADDR_WIRE_LEN] = { 5 };
	struct rbuf r;
	struct addr a;

	(void)state;
	rbuf_init(&r, raw, sizeof(raw));
	assert_int_equal(addr_get(&r, &a), RC_RANGE);
	rbuf_init(&r, raw, sizeof(raw) - 1);
	assert_int_equal(addr_get(&r, &a), RC_TRUNCATED);
}

static void
masks_cut_at_every_bit(void **state)
{
	struct addr a = at("255.255.255.255"), m;
	char text[ADDR_TEXT_MAX];

	(void)state;
	m = a;
	addr_mask(&m, 0);
	assert_string_equal(addr_text(&m, text, sizeof(text)), "0.0.0.0");
	m = a;
	addr_mask(&m, 17);
	assert_string_equal(addr_text(&m, text, sizeof(text)), "255.255.128.0");
	m = a;
	addr_mask(&m, 32);
	assert_true(addr_equal(&m, &a));
	m = at("2001:db8:ffff:ffff:ffff::1");
	addr_network(&m, &a);
	assert_string_equal(addr_text(&a, text, sizeof(text)),
	    "2001:db8:ffff::");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(private_is_what_is_not_the_internet),
		cmocka_unit_test(networks_match_their_own_family),
		cmocka_unit_test(nonsense_is_no_network),
		cmocka_unit_test(mapped_addresses_are_ipv4_from_every_side),
		cmocka_unit_test(a_family_that_is_none_is_refused),
		cmocka_unit_test(masks_cut_at_every_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
