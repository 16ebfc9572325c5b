#include "config.h"

#include "server/discovery/dialrule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/discovery/onlink.h"

#define GUI	32005

static struct dial_nets nets;

static int
setup(void **state)
{
	static const struct {
		const char	*text;
		unsigned	 bits;
	} on[] = {
		{ "203.0.113.17", 24 }, { "198.51.100.6", 31 },
		{ "10.9.0.1", 16 }, { "2001:db8:1::5", 64 },
		{ "fe80::1", 64 }, { "169.254.3.4", 16 },
	};
	struct addr a;

	(void)state;
	nets.n = 0;
	for (size_t i = 0; i < NITEMS(on); i++) {
		assert_int_equal(addr_parse(&a, on[i].text), RC_OK);
		dial_nets_add(&nets, &a, on[i].bits);
	}
	return 0;
}

static int
check(const char *text, uint8_t how, uint8_t purpose, uint16_t port)
{
	struct dial_req r = { .purpose = purpose, .how = how,
	    .port_gui = GUI };
	const char *why = NULL;
	int rc;

	assert_int_equal(addr_parse(&r.addr, text), RC_OK);
	r.addr.port = port;
	rc = dialrule_check(&r, &nets, &why);
	if (rc != RC_OK)
		assert_non_null(why);
	return rc;
}

/* L: may be dialled when learned from others, P: may be probed, H: by hand. */
#define L 1
#define P 2
#define H 4
static const struct {
	const char	*text;
	int		 may;
} table[] = {
	/* private */
	{ "10.0.0.1", L | P | H }, { "10.255.255.254", L | P | H },
	{ "10.8.255.255", L | P | H },
	{ "172.16.0.1", L | P | H }, { "172.31.255.254", L | P | H },
	{ "172.15.255.254", P | H }, { "172.32.0.1", P | H },
	{ "192.168.0.1", L | P | H }, { "192.168.255.254", L | P | H },
	{ "192.167.255.254", P | H }, { "192.169.0.1", P | H },
	{ "9.255.255.255", P | H }, { "11.0.0.1", P | H },
	{ "fc00::1", L | P | H }, { "fd12:3456:789a::1", L | P | H },
	{ "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", L | P | H },
	{ "fbff::1", P | H }, { "fe00::1", P | H },
	/* on the link */
	{ "203.0.113.1", L | P | H }, { "203.0.113.254", L | P | H },
	{ "203.0.112.255", P | H }, { "203.0.114.1", P | H },
	{ "198.51.100.6", L | P | H }, { "198.51.100.7", L | P | H },
	{ "198.51.100.8", P | H }, { "198.51.100.5", P | H },
	{ "2001:db8:1::1", L | P | H }, { "2001:db8:1:0:ffff::1", L | P | H },
	{ "2001:db8:1:1::1", P | H }, { "2001:db8::1", P | H },
	/* broadcast of a network that we are on */
	{ "203.0.113.255", 0 }, { "203.0.113.0", 0 }, { "10.9.255.255", 0 },
	{ "10.9.0.0", 0 }, { "10.9.1.255", L | P | H },
	/* public */
	{ "8.8.8.8", P | H }, { "1.1.1.1", P | H }, { "192.0.2.1", P | H },
	{ "100.64.0.1", P | H }, { "223.255.255.254", P | H },
	{ "2a00:1450::1", P | H }, { "2606:4700::1111", P | H },
	{ "64:ff9b::7f00:1", P | H }, { "2002:7f00:1::1", P | H },
	{ "fec0::1", P | H },
	/* loopback */
	{ "127.0.0.1", H }, { "127.0.0.2", H }, { "127.255.255.254", H },
	{ "::1", H }, { "::ffff:127.0.0.1", H },
	/* link-local, the cloud's metadata among them, even when on the link */
	{ "169.254.169.254", P | H }, { "169.254.0.1", P | H },
	{ "169.254.3.5", P | H }, { "fe80::1", P | H }, { "fe80::2", P | H },
	{ "febf::1", P | H }, { "::ffff:169.254.169.254", P | H },
	/* not one host */
	{ "0.0.0.0", 0 }, { "0.1.2.3", 0 }, { "::", 0 }, { "224.0.0.1", 0 },
	{ "239.255.63.63", 0 }, { "240.0.0.1", 0 }, { "255.255.255.255", 0 },
	{ "ff02::1", 0 }, { "ff05::2", 0 }, { "ffff::1", 0 },
	{ "::127.0.0.1", 0 }, { "::10.0.0.1", 0 }, { "::2", 0 },
	{ "::ffff:0.0.0.0", 0 }, { "::ffff:224.0.0.1", 0 },
	/* IPv4 in the clothes of IPv6 */
	{ "::ffff:10.0.0.1", L | P | H }, { "::ffff:8.8.8.8", P | H },
	{ "::ffff:203.0.113.9", L | P | H }, { "::ffff:192.168.1.1", L | P | H },
};

static void
every_address_is_dialled_only_as_it_may_be(void **state)
{
	static const uint8_t learned[] = { PEER_MCAST, PEER_SCAN,
	    PEER_EXCHANGE, PEER_CALLED };
	int want;

	(void)state;
	assert_true(NITEMS(table) >= 60);
	for (size_t i = 0; i < NITEMS(table); i++) {
		for (size_t h = 0; h < NITEMS(learned); h++) {
			want = table[i].may & L ? RC_OK : RC_DENIED;
			if (check(table[i].text, learned[h], DIAL_EXCHANGE,
			    GUI) != want || check(table[i].text, learned[h],
			    DIAL_REACH, GUI) != want)
				fail_msg("learned: %s", table[i].text);
			want = table[i].may & P ? RC_OK : RC_DENIED;
			if (check(table[i].text, learned[h], DIAL_PROBE,
			    22) != want)
				fail_msg("probe: %s", table[i].text);
		}
		want = table[i].may & H ? RC_OK : RC_DENIED;
		if (check(table[i].text, PEER_BY_HAND, DIAL_EXCHANGE, GUI) !=
		    want || check(table[i].text, PEER_BY_HAND, DIAL_PROBE,
		    1) != want)
			fail_msg("by hand: %s", table[i].text);
	}
}

static void
what_was_learned_is_dialled_only_at_the_announced_port(void **state)
{
	(void)state;
	assert_int_equal(check("10.0.0.1", PEER_EXCHANGE, DIAL_EXCHANGE, 22),
	    RC_DENIED);
	assert_int_equal(check("10.0.0.1", PEER_MCAST, DIAL_REACH, GUI + 1),
	    RC_DENIED);
	assert_int_equal(check("10.0.0.1", PEER_BY_HAND, DIAL_EXCHANGE, 22),
	    RC_OK);
	assert_int_equal(check("10.0.0.1", PEER_EXCHANGE, DIAL_PROBE, 22),
	    RC_OK);
	/* and nothing at none */
	assert_int_equal(check("10.0.0.1", PEER_BY_HAND, DIAL_EXCHANGE, 0),
	    RC_DENIED);
	assert_int_equal(check("10.0.0.1", PEER_EXCHANGE, DIAL_PROBE, 0),
	    RC_DENIED);
}

static void
what_is_no_request_is_refused(void **state)
{
	struct dial_req r = { .purpose = DIAL_EXCHANGE, .how = PEER_BY_HAND,
	    .port_gui = GUI };
	const char *why;

	(void)state;
	r.addr.port = GUI;			/* of family none */
	assert_int_equal(dialrule_check(&r, &nets, &why), RC_DENIED);
	assert_int_equal(check("10.0.0.1", 0, DIAL_EXCHANGE, GUI), RC_DENIED);
	assert_int_equal(check("10.0.0.1", PEER_HOW_MAX, DIAL_EXCHANGE, GUI),
	    RC_DENIED);
	assert_int_equal(check("10.0.0.1", PEER_BY_HAND, 0, GUI), RC_DENIED);
	assert_int_equal(check("10.0.0.1", PEER_BY_HAND, DIAL_PROBE + 1, GUI),
	    RC_DENIED);
}

/* One that did not come through addr_get() or addr_parse(). */
static void
mapped_addresses_are_refused_in_their_raw_form(void **state)
{
	struct dial_req r = { .purpose = DIAL_EXCHANGE, .how = PEER_BY_HAND,
	    .port_gui = GUI, .addr = { 6, { [10] = 0xff, [11] = 0xff,
	    [12] = 127, [15] = 1 }, GUI } };
	const char *why;

	(void)state;
	assert_int_equal(dialrule_check(&r, &nets, &why), RC_DENIED);
}

static void
a_host_without_networks_dials_private_addresses_only(void **state)
{
	struct dial_nets none = { 0 };
	struct dial_req r = { .purpose = DIAL_EXCHANGE, .how = PEER_EXCHANGE,
	    .port_gui = GUI };
	const char *why;

	(void)state;
	assert_int_equal(addr_parse(&r.addr, "203.0.113.1"), RC_OK);
	r.addr.port = GUI;
	assert_int_equal(dialrule_check(&r, &none, &why), RC_DENIED);
	assert_int_equal(addr_parse(&r.addr, "192.168.1.1"), RC_OK);
	r.addr.port = GUI;
	assert_int_equal(dialrule_check(&r, &none, &why), RC_OK);
	/* a default route of a point-to-point link is no network */
	dial_nets_add(&none, &r.addr, 0);
	dial_nets_add(&none, &r.addr, 33);
	assert_int_equal(none.n, 0);
}

static size_t
put_address(uint8_t *p, uint8_t scope, uint8_t bits, const uint8_t *b,
    size_t n)
{
	struct nlmsghdr h = { .nlmsg_type = RTM_NEWADDR };
	struct ifaddrmsg ifa = { .ifa_family = n == 4 ? AF_INET : AF_INET6,
	    .ifa_prefixlen = bits, .ifa_scope = scope };
	struct rtattr at = { .rta_type = IFA_ADDRESS };

	at.rta_len = (unsigned short)(sizeof(at) + n);
	h.nlmsg_len = (uint32_t)(sizeof(h) + sizeof(ifa) + at.rta_len);
	memcpy(p, &h, sizeof(h));
	memcpy(p + sizeof(h), &ifa, sizeof(ifa));
	memcpy(p + sizeof(h) + sizeof(ifa), &at, sizeof(at));
	memcpy(p + sizeof(h) + sizeof(ifa) + sizeof(at), b, n);
	return h.nlmsg_len;
}

static void
the_kernels_answer_is_read_and_no_byte_more(void **state)
{
	static const uint8_t v4[] = { 203, 0, 113, 17 }, lo[] = { 127, 0, 0, 1 };
	static const uint8_t v6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 5 };
	uint8_t buf[512], *copy;
	struct nlmsghdr done = { .nlmsg_len = sizeof(done),
	    .nlmsg_type = NLMSG_DONE };
	struct dial_nets got = { 0 };
	struct addr a;
	size_t n;

	(void)state;
	n = put_address(buf, RT_SCOPE_UNIVERSE, 24, v4, sizeof(v4));
	n += put_address(buf + n, RT_SCOPE_HOST, 8, lo, sizeof(lo));
	n += put_address(buf + n, RT_SCOPE_UNIVERSE, 64, v6, sizeof(v6));
	assert_int_equal(onlink_parse(buf, n, &got), RC_OK);
	assert_int_equal(got.n, 2);
	assert_int_equal(addr_parse(&a, "203.0.113.200"), RC_OK);
	assert_true(dial_nets_has(&got, &a));
	assert_int_equal(addr_parse(&a, "127.0.0.1"), RC_OK);
	assert_false(dial_nets_has(&got, &a));
	memcpy(buf + n, &done, sizeof(done));
	assert_int_equal(onlink_parse(buf, n + sizeof(done), &got), RC_EOF);
	/* cut anywhere: an exact copy, so that a sanitizer sees one byte more */
	for (size_t i = 1; i < n; i++) {
		copy = malloc(i);
		assert_non_null(copy);
		memcpy(copy, buf, i);
		got.n = 0;
		(void)onlink_parse(copy, i, &got);
		assert_true(got.n <= 2);
		free(copy);
	}
	/* lengths that lie */
	memset(buf, 0xff, 4);
	assert_int_equal(onlink_parse(buf, n, &got), RC_PROTO);
	memset(buf, 0, 4);
	assert_int_equal(onlink_parse(buf, n, &got), RC_PROTO);
}

static void
this_hosts_own_networks_can_be_asked_for(void **state)
{
	struct dial_nets got;
	struct addr a;

	(void)state;
	assert_int_equal(onlink_read(&got), RC_OK);
	assert_int_equal(addr_parse(&a, "127.0.0.1"), RC_OK);
	assert_false(dial_nets_has(&got, &a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_address_is_dialled_only_as_it_may_be),
		cmocka_unit_test(
		    what_was_learned_is_dialled_only_at_the_announced_port),
		cmocka_unit_test(what_is_no_request_is_refused),
		cmocka_unit_test(
		    mapped_addresses_are_refused_in_their_raw_form),
		cmocka_unit_test(
		    a_host_without_networks_dials_private_addresses_only),
		cmocka_unit_test(the_kernels_answer_is_read_and_no_byte_more),
		cmocka_unit_test(this_hosts_own_networks_can_be_asked_for),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
