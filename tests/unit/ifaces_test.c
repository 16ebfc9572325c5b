#include "config.h"

#include "server/discovery/ifaces.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/discovery/walk.h"

#define UP	(IFF_UP | IFF_RUNNING | IFF_MULTICAST)

static struct ifaces t;
static unsigned int what;

static int
setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	return 0;
}

static void
attr(struct wbuf *b, uint16_t type, const void *p, size_t n)
{
	struct rtattr a = { (unsigned short)(sizeof(a) + n), type };

	wbuf_bytes(b, &a, sizeof(a));
	wbuf_bytes(b, p, n);
	wbuf_zeros(b, RTA_ALIGN(n) - n);
}

/* Fills in the length of the message that began at `at`. */
static void
finish(struct wbuf *b, size_t at)
{
	uint32_t len = (uint32_t)(b->len - at);

	memcpy(b->data + at, &len, sizeof(len));
}

static void
put_link(struct wbuf *b, bool new, int index, unsigned int flags,
    const char *name)
{
	struct nlmsghdr h = { .nlmsg_type = new ? RTM_NEWLINK : RTM_DELLINK };
	struct ifinfomsg m = { .ifi_index = index, .ifi_flags = flags };
	size_t at = b->len;

	wbuf_bytes(b, &h, sizeof(h));
	wbuf_bytes(b, &m, sizeof(m));
	attr(b, IFLA_IFNAME, name, strlen(name) + 1);
	finish(b, at);
}

static void
put_addr(struct wbuf *b, bool new, uint32_t index, const char *text,
    uint8_t bits, uint32_t flags)
{
	struct nlmsghdr h = { .nlmsg_type = new ? RTM_NEWADDR : RTM_DELADDR };
	struct ifaddrmsg m = { .ifa_index = index, .ifa_prefixlen = bits };
	size_t at = b->len;
	struct addr a;

	assert_int_equal(addr_parse(&a, text), RC_OK);
	m.ifa_family = a.family == 4 ? AF_INET : AF_INET6;
	wbuf_bytes(b, &h, sizeof(h));
	wbuf_bytes(b, &m, sizeof(m));
	attr(b, IFA_ADDRESS, a.b, a.family == 4 ? 4 : 16);
	attr(b, IFA_FLAGS, &flags, sizeof(flags));
	finish(b, at);
}

static void
put_done(struct wbuf *b, uint16_t flags)
{
	struct nlmsghdr h = { .nlmsg_type = NLMSG_DONE, .nlmsg_flags = flags,
		.nlmsg_seq = t.seq };
	size_t at = b->len;

	wbuf_bytes(b, &h, sizeof(h));
	wbuf_zeros(b, 4);
	finish(b, at);
}

static int
take(struct wbuf *b)
{
	int rc = ifaces_read(&t, b->data, b->len, &what);

	wbuf_free(b);
	return rc;
}

static void
add(int index, unsigned int flags, const char *text, uint8_t bits)
{
	struct wbuf b = WBUF_INIT(1024);

	put_link(&b, true, index, flags, "e0");
	put_addr(&b, true, (uint32_t)index, text, bits, 0);
	assert_int_equal(take(&b), RC_OK);
	assert_true((what & IFACES_CHANGED) != 0);
}

static struct addr
host(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, text), RC_OK);
	return a;
}

static void
links_and_addresses_come_and_go(void **state)
{
	struct wbuf b = WBUF_INIT(1024);

	(void)state;
	add(2, UP, "192.168.1.5", 24);
	assert_int_equal(t.n, 1);
	assert_string_equal(t.v[0].name, "e0");
	assert_non_null(iface_private4(&t.v[0]));
	put_addr(&b, false, 2, "192.168.1.5", 24, 0);
	assert_int_equal(take(&b), RC_OK);
	assert_int_equal(what, IFACES_CHANGED);
	assert_null(iface_private4(&t.v[0]));
	put_link(&b, false, 2, UP, "e0");
	assert_int_equal(take(&b), RC_OK);
	assert_int_equal(t.n, 0);
}

static void
only_private_addresses_of_live_links_count(void **state)
{
	static const char *const private[] = { "10.1.2.3", "172.16.0.1",
		"172.31.255.1", "192.168.0.1", "169.254.7.7" };
	static const char *const public[] = { "172.32.0.1", "172.15.0.1",
		"192.169.0.1", "11.0.0.1", "169.253.0.1", "100.64.0.1",
		"198.51.100.7" };
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		setup(NULL);
		add(2, UP, private[i], 24);
		assert_non_null(iface_private4(&t.v[0]));
		assert_false(iface_only_public(&t.v[0]));
	}
	for (i = 0; i < 7; i++) {
		setup(NULL);
		add(2, UP, public[i], 24);
		assert_null(iface_private4(&t.v[0]));
		assert_true(iface_only_public(&t.v[0]));
	}
	setup(NULL);
	add(2, IFF_MULTICAST, "10.0.0.1", 8);
	assert_null(iface_private4(&t.v[0]));
	setup(NULL);
	add(2, UP & ~(unsigned int)IFF_MULTICAST, "10.0.0.1", 8);
	assert_null(iface_private4(&t.v[0]));
	setup(NULL);
	add(2, UP | IFF_LOOPBACK, "10.0.0.1", 8);
	assert_null(iface_private4(&t.v[0]));
}

static void
ipv6_needs_a_private_address_beside_or_no_public_one(void **state)
{
	struct wbuf b = WBUF_INIT(1024);

	(void)state;
	add(2, UP, "fe80::1", 64);
	assert_non_null(iface_link6(&t.v[0]));
	put_addr(&b, true, 2, "2001:db8::1", 64, 0);
	assert_int_equal(take(&b), RC_OK);
	assert_null(iface_link6(&t.v[0]));
	assert_true(iface_only_public(&t.v[0]));
	put_addr(&b, true, 2, "fd00::1", 64, 0);
	assert_int_equal(take(&b), RC_OK);
	assert_non_null(iface_link6(&t.v[0]));
}

static void
a_tentative_address_waits(void **state)
{
	struct wbuf b = WBUF_INIT(1024);

	(void)state;
	put_link(&b, true, 2, UP, "e0");
	put_addr(&b, true, 2, "fe80::1", 64, IFA_F_TENTATIVE);
	assert_int_equal(take(&b), RC_OK);
	assert_null(iface_link6(&t.v[0]));
	put_addr(&b, true, 2, "fe80::1", 64, IFA_F_PERMANENT);
	assert_int_equal(take(&b), RC_OK);
	assert_int_equal(what, IFACES_CHANGED);
	assert_non_null(iface_link6(&t.v[0]));
}

static void
what_a_dump_does_not_name_is_gone(void **state)
{
	struct wbuf b = WBUF_INIT(4096);

	(void)state;
	add(2, UP, "10.0.0.1", 24);
	add(3, UP, "10.0.1.1", 24);
	ifaces_dump(&t, RTM_GETLINK, &b);
	wbuf_reset(&b);
	put_link(&b, true, 3, UP, "e0");
	put_done(&b, 0);
	assert_int_equal(take(&b), RC_OK);
	assert_int_equal(what, IFACES_CHANGED | IFACES_DONE);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.v[0].index, 3);
	ifaces_dump(&t, RTM_GETADDR, &b);
	wbuf_reset(&b);
	put_addr(&b, true, 3, "10.0.2.1", 24, 0);
	put_done(&b, 0);
	assert_int_equal(take(&b), RC_OK);
	assert_int_equal(t.v[0].naddr, 1);
	assert_int_equal(t.v[0].addr[0].a.b[2], 2);
}

static void
a_dump_that_was_disturbed_is_asked_for_again(void **state)
{
	struct wbuf b = WBUF_INIT(4096);

	(void)state;
	add(2, UP, "10.0.0.1", 24);
	ifaces_dump(&t, RTM_GETLINK, &b);
	wbuf_reset(&b);
	put_done(&b, NLM_F_DUMP_INTR);
	assert_int_equal(take(&b), RC_OK);
	assert_true((what & IFACES_AGAIN) != 0);
	assert_true((what & IFACES_DONE) == 0);
	assert_int_equal(t.n, 1);
}

static void
the_table_has_a_size(void **state)
{
	struct wbuf b = WBUF_INIT(65536);
	char text[32];
	int i;

	(void)state;
	for (i = 1; i <= 2 * IFACES_MAX; i++)
		put_link(&b, true, i, UP, "e0");
	for (i = 1; i <= 2 * IFACES_ADDRS_MAX; i++) {
		snprintf(text, sizeof(text), "10.0.0.%d", i);
		put_addr(&b, true, 1, text, 24, 0);
	}
	assert_int_equal(take(&b), RC_OK);
	assert_int_equal(t.n, IFACES_MAX);
	assert_int_equal(t.v[0].naddr, IFACES_ADDRS_MAX);
	assert_int_equal(t.left_out, IFACES_MAX + IFACES_ADDRS_MAX);
}

static void
cut_and_bent_messages_are_refused(void **state)
{
	struct wbuf b = WBUF_INIT(1024);
	size_t n, whole;
	uint32_t len;

	(void)state;
	put_addr(&b, true, 2, "10.0.0.1", 24, 0);
	whole = b.len;
	for (n = 1; n < whole; n++)
		assert_int_equal(ifaces_read(&t, b.data, n, &what), RC_PROTO);
	for (len = 0; len < whole; len++) {
		memcpy(b.data, &len, sizeof(len));
		assert_int_equal(ifaces_read(&t, b.data, whole, &what),
		    RC_PROTO);
	}
	wbuf_free(&b);
	/* a message that was whole before the bent one has been taken */
	setup(NULL);
	put_addr(&b, true, 2, "10.0.0.1", 33, 0);
	assert_int_equal(take(&b), RC_PROTO);
	put_addr(&b, true, 0, "10.0.0.1", 24, 0);
	assert_int_equal(take(&b), RC_PROTO);
	put_link(&b, true, -1, UP, "e0");
	assert_int_equal(take(&b), RC_PROTO);
	assert_int_equal(t.n, 0);
}

static void
a_source_must_be_a_host_of_the_prefix(void **state)
{
	static const struct {
		const char	*text;
		bool		ok;
	} v[] = {
		{ "192.168.1.1", true }, { "192.168.1.254", true },
		{ "192.168.1.0", false }, { "192.168.1.255", false },
		{ "192.168.2.1", false }, { "10.0.0.1", false },
		{ "fe80::5", true }, { "febf::5", true }, { "fec0::5", false },
		{ "fd00::5", false }, { "2001:db8::5", false },
	};
	struct addr a;
	size_t i;

	(void)state;
	add(2, UP, "192.168.1.5", 24);
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		a = host(v[i].text);
		assert_int_equal(iface_on_link(&t.v[0], &a), v[i].ok);
	}
	/* a public prefix vouches for nobody */
	add(3, UP, "198.51.100.1", 24);
	a = host("198.51.100.2");
	assert_false(iface_on_link(&t.v[1], &a));
}

/* --- the walk of the scan --- */

static unsigned int nskipped;

static void
skipped(const struct iface *i, const struct iface_addr *a)
{
	(void)i;
	(void)a;
	nskipped++;
}

static size_t
walk_all(struct walk *w, struct addr *first, struct addr *last)
{
	struct addr a;
	uint32_t index;
	size_t n = 0;

	nskipped = 0;
	walk_begin(w, &t, skipped);
	while (walk_next(w, &t, &a, &index)) {
		assert_true(walk_has(w, &a));
		if (n++ == 0)
			*first = a;
		*last = a;
	}
	return n;
}

static void
the_walk_asks_each_host_but_ourselves(void **state)
{
	struct addr first, last, mine = host("192.168.1.5");
	struct walk w;

	(void)state;
	add(2, UP, "192.168.1.5", 24);
	assert_int_equal(walk_all(&w, &first, &last), 253);
	assert_int_equal(first.b[3], 1);
	assert_int_equal(last.b[3], 254);
	assert_true(iface_is_own(&t.v[0], &mine));
}

static void
the_walk_leaves_out_large_and_public_prefixes(void **state)
{
	struct addr first, last, a = host("10.9.9.9");
	struct walk w;

	(void)state;
	add(2, UP, "10.0.0.1", 8);
	add(3, UP, "198.51.100.1", 24);
	add(4, UP | IFF_LOOPBACK, "10.77.0.1", 24);
	assert_int_equal(walk_all(&w, &first, &last), 0);
	assert_int_equal(nskipped, 1);
	assert_false(walk_has(&w, &a));
	add(5, UP, "172.16.0.1", 22);
	assert_int_equal(walk_all(&w, &first, &last), 1021);
}

static void
a_prefix_of_two_interfaces_is_walked_once(void **state)
{
	struct addr first, last;
	struct walk w;

	(void)state;
	add(2, UP, "10.0.0.1", 30);
	add(3, UP, "10.0.0.2", 30);
	assert_int_equal(walk_all(&w, &first, &last), 1);
	setup(NULL);
	add(2, UP, "10.0.0.0", 31);
	assert_int_equal(walk_all(&w, &first, &last), 1);
	assert_int_equal(first.b[3], 1);
}

static void
the_walk_lives_with_an_interface_that_went(void **state)
{
	struct addr a;
	uint32_t index;
	struct walk w;

	(void)state;
	add(2, UP, "10.0.0.1", 24);
	walk_begin(&w, &t, skipped);
	assert_true(walk_next(&w, &t, &a, &index));
	t.n = 0;
	assert_false(walk_next(&w, &t, &a, &index));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup(fn, setup)
		T(links_and_addresses_come_and_go),
		T(only_private_addresses_of_live_links_count),
		T(ipv6_needs_a_private_address_beside_or_no_public_one),
		T(a_tentative_address_waits),
		T(what_a_dump_does_not_name_is_gone),
		T(a_dump_that_was_disturbed_is_asked_for_again),
		T(the_table_has_a_size),
		T(cut_and_bent_messages_are_refused),
		T(a_source_must_be_a_host_of_the_prefix),
		T(the_walk_asks_each_host_but_ourselves),
		T(the_walk_leaves_out_large_and_public_prefixes),
		T(a_prefix_of_two_interfaces_is_walked_once),
		T(the_walk_lives_with_an_interface_that_went),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
