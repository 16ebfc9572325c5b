#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/ctl/firewall.h"
#include "server/ctl/portpage.h"

/* An installation: its configuration, what it says is open, its page. */
struct given {
	struct conf	 conf;
	struct json_doc	*status;
	struct page	 page;
	char		*text;
};

static const char all_open[] = "{\"ports\":["
    "{\"key\":\"Ports.Server\",\"protocol\":\"tcp\",\"port\":32004,"
    "\"open\":true,\"address\":\"::\",\"inherited\":false},"
    "{\"key\":\"Ports.Server\",\"protocol\":\"tcp\",\"port\":32004,"
    "\"open\":true,\"address\":\"0.0.0.0\",\"inherited\":false},"
    "{\"key\":\"Ports.GUI\",\"protocol\":\"tcp\",\"port\":32005,"
    "\"open\":true,\"address\":\"::\",\"inherited\":false},"
    "{\"key\":\"Ports.GUI\",\"protocol\":\"tcp\",\"port\":32005,"
    "\"open\":true,\"address\":\"0.0.0.0\",\"inherited\":false},"
    "{\"key\":\"Ports.Multicast\",\"protocol\":\"udp\",\"port\":6363,"
    "\"open\":true,\"address\":\"::\",\"inherited\":false},"
    "{\"key\":\"Ports.Multicast\",\"protocol\":\"udp\",\"port\":6364,"
    "\"open\":true,\"address\":\"::\",\"inherited\":false},"
    "{\"key\":\"Ports.UDPScan\",\"protocol\":\"udp\",\"port\":32006,"
    "\"open\":true,\"address\":\"::\",\"inherited\":false},"
    "{\"key\":\"Ports.Web\",\"protocol\":\"tcp\",\"port\":6060,"
    "\"open\":false,\"inherited\":false}]}";
static const char client_open[] = "{\"ports\":["
    "{\"key\":\"Ports.GUI\",\"protocol\":\"tcp\",\"port\":32005,"
    "\"open\":true,\"address\":\"127.0.0.1\",\"inherited\":false}]}";

static void
list(struct conf_list *l, const char *a, const char *b)
{
	memset(l, 0, sizeof(*l));
	strcpy(l->s[l->n++], a);
	if (b != NULL)
		strcpy(l->s[l->n++], b);
}

static void
begin(struct given *g)
{
	memset(g, 0, sizeof(*g));
	conf_defaults(&g->conf);
	strcpy(g->conf.id, "test");
	g->conf.scan_answer = true;
}

static const char *
rules(struct given *g, const char *kind, const char *status)
{
	firewall_fn *fn = firewall_kind(kind);
	size_t len;
	FILE *f;

	assert_non_null(fn);
	assert_int_equal(json_parse(status, strlen(status), 1000, &g->status),
	    RC_OK);
	page_make(&g->page, &g->conf, g->status);
	f = open_memstream(&g->text, &len);
	assert_non_null(f);
	fn(f, &g->page, "192.0.2.10");
	assert_int_equal(fclose(f), 0);
	return g->text;
}

static void
end(struct given *g)
{
	json_free(g->status);
	free(g->text);
}

static void
has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void
lacks(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("\"%s\" in:\n%s", part, text);
}

/* Lines that are neither empty nor comments all begin with one of these. */
static void
only_lines(const char *text, const char *const *begins)
{
	char copy[65536], *line, *save;
	size_t i;

	assert_true(strlen(text) < sizeof(copy));
	strcpy(copy, text);
	for (line = strtok_r(copy, "\n", &save); line != NULL;
	    line = strtok_r(NULL, "\n", &save)) {
		if (line[0] == '#')
			continue;
		for (i = 0; begins[i] != NULL; i++)
			if (strncmp(line, begins[i], strlen(begins[i])) == 0)
				break;
		if (begins[i] == NULL)
			fail_msg("a line that is no rule: %s", line);
	}
}

#define PRIVATE4 "{ 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16 }"

static void
nft_opens_to_those_who_are_served_and_to_nobody_else(void **state)
{
	struct given g;
	const char *text;

	(void)state;
	begin(&g);
	text = rules(&g, "nft", all_open);
	has(text, "table inet storegrid_32005 {");
	has(text, "\t\ttcp dport 32004 accept\n");
	lacks(text, "dport 32004 drop");
	has(text, "ip saddr " PRIVATE4 " tcp dport 32005 accept\n");
	has(text, "ip6 saddr { fe80::/10, fc00::/7 } tcp dport 32005 accept\n");
	has(text, "meta nfproto ipv4 tcp dport 32005 drop\n");
	has(text, "meta nfproto ipv6 tcp dport 32005 drop\n");
	/* closed ports are told, not opened */
	has(text, "# Ports.SSLServer, tcp 32007: off (SSL.Enabled = 0)");
	lacks(text, "dport 32007");
	lacks(text, "dport 6060");
	end(&g);
}

static void
nft_lets_discovery_in_from_its_own_link_alone(void **state)
{
	struct given g;
	const char *text;

	(void)state;
	begin(&g);
	text = rules(&g, "nft", all_open);
	has(text, "ip daddr 239.255.63.63 ip ttl 1 ip saddr " PRIVATE4
	    " udp dport 6363 accept\n");
	has(text, "ip6 daddr ff02::5347:6363 ip6 hoplimit 1 ip6 saddr "
	    "fe80::/10 udp dport 6364 accept\n");
	has(text, "ip ttl 255 ip saddr " PRIVATE4 " udp dport 32006 accept\n");
	has(text, "udp dport 6363 drop\n");
	has(text, "udp dport 32006 drop\n");
	end(&g);
}

static void
nft_keeps_to_bound_addresses_and_merges_networks(void **state)
{
	static const char status[] = "{\"ports\":["
	    "{\"key\":\"Ports.Server\",\"protocol\":\"tcp\",\"port\":40004,"
	    "\"open\":true,\"address\":\"192.0.2.10\",\"inherited\":true},"
	    "{\"key\":\"Ports.Server\",\"protocol\":\"tcp\",\"port\":40004,"
	    "\"open\":true,\"address\":\"127.0.0.1\",\"inherited\":true}]}";
	struct given g;
	const char *text;

	(void)state;
	begin(&g);
	g.conf.port_gui = 40005;
	list(&g.conf.access_server, "10.1.0.0/16", "private");
	text = rules(&g, "nft", status);
	has(text, "table inet storegrid_40005 {");
	has(text, "ip daddr { 192.0.2.10 } ip saddr { 10.0.0.0/8, ");
	has(text, "ip daddr { 192.0.2.10 } tcp dport 40004 drop\n");
	lacks(text, "{ 10.1.0.0");
	lacks(text, ", 10.1.0.0");
	lacks(text, "127.0.0.1");
	lacks(text, "ip6 ");
	end(&g);
}

static void
one_family_may_be_served_alone(void **state)
{
	struct given g;
	const char *text;

	(void)state;
	begin(&g);
	list(&g.conf.access_server, "2001:db8::/32", NULL);
	text = rules(&g, "nft", all_open);
	has(text, "ip6 saddr { 2001:db8::/32 } tcp dport 32004 accept\n");
	has(text, "meta nfproto ipv4 tcp dport 32004 drop\n");
	lacks(text, "\t\ttcp dport 32004 accept");
	end(&g);
	begin(&g);
	list(&g.conf.access_server, "0.0.0.0/0", "2001:db8::1");
	text = rules(&g, "nft", all_open);
	has(text, "meta nfproto ipv4 tcp dport 32004 accept\n");
	lacks(text, "meta nfproto ipv4 tcp dport 32004 drop\n");
	has(text, "ip6 saddr { 2001:db8::1 } tcp dport 32004 accept\n");
	has(text, "meta nfproto ipv6 tcp dport 32004 drop\n");
	end(&g);
}

static void
a_client_opens_no_server_port(void **state)
{
	static const char *const kinds[] = { "nft", "ufw", "firewalld",
		"nat" };
	struct given g;
	const char *text;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		begin(&g);
		g.conf.mode = CONF_MODE_CLIENT;
		g.conf.mcast_enabled = g.conf.scan_answer = false;
		text = rules(&g, kinds[i], client_open);
		has(text, "mode client");
		has(text, "# Ports.Server, tcp 32004: off (this Mode serves "
		    "no backups)");
		lacks(text, "mandatory ");
		lacks(text, "port 32004 comment");
		lacks(text, "dport ");
		lacks(text, "ufw allow");
		lacks(text, "--add");
		end(&g);
	}
}

static void
the_name_cannot_leave_its_comment(void **state)
{
	struct given g;
	const char *text;

	(void)state;
	begin(&g);
	strcpy(g.conf.id, "x\nflush ruleset\r\xc2\x85y");
	text = rules(&g, "nft", all_open);
	lacks(text, "\nflush");
	lacks(text, "\r");
	lacks(text, "\xc2\x85");
	has(text, "x\\x0aflush ruleset");
	end(&g);
}

static void
ufw_lines_are_commands_of_its_grammar(void **state)
{
	static const char *const begins[] = { "ufw allow proto tcp from ",
		"ufw allow proto udp from ", NULL };
	struct given g;
	const char *text;

	(void)state;
	begin(&g);
	text = rules(&g, "ufw", all_open);
	only_lines(text, begins);
	has(text, "ufw allow proto tcp from any to any port 32004 comment "
	    "'StoreGrid Ports.Server'\n");
	has(text, "ufw allow proto tcp from 10.0.0.0/8 to any port "
	    "32005 comment ");
	has(text, "ufw allow proto tcp from fe80::/10 to any port 32005 ");
	has(text, "ufw allow proto udp from 192.168.0.0/16 to 239.255.63.63 "
	    "port 6363 ");
	has(text, "ufw allow proto udp from fe80::/10 to any port 32006 ");
	end(&g);
}

static void
firewalld_lines_are_permanent_and_end_with_a_reload(void **state)
{
	static const char *const begins[] = {
		"firewall-cmd --permanent --add-port=",
		"firewall-cmd --permanent --add-rich-rule='rule family=\"ipv",
		"firewall-cmd --reload", NULL };
	struct given g;
	const char *text;

	(void)state;
	begin(&g);
	text = rules(&g, "firewalld", all_open);
	only_lines(text, begins);
	has(text, "firewall-cmd --permanent --add-port=32004/tcp\n");
	has(text, "'rule family=\"ipv4\" source address=\"10.0.0.0/8\" port "
	    "port=\"32005\" protocol=\"tcp\" accept'\n");
	has(text, "'rule family=\"ipv6\" source address=\"fe80::/10\" "
	    "destination address=\"ff02::5347:6363\" port port=\"6364\" "
	    "protocol=\"udp\" accept'\n");
	has(text, "\nfirewall-cmd --reload\n");
	end(&g);
}

static void
a_router_must_forward_the_server_port_and_nothing_of_discovery(void **state)
{
	struct given g;
	const char *text;

	(void)state;
	begin(&g);
	text = rules(&g, "nat", all_open);
	has(text, "tcp 32004       192.0.2.10:32004          mandatory   "
	    "Ports.Server ");
	has(text, "tcp 32005       192.0.2.10:32005          optional    "
	    "Ports.GUI ");
	has(text, "a place in Access");		/* GUI is private */
	has(text, "# Never forwarded, because discovery is for one subnet: "
	    "udp 6363, udp 6364, udp 32006\n");
	lacks(text, "\nudp ");
	end(&g);
}

static void
there_are_four_kinds(void **state)
{
	(void)state;
	assert_null(firewall_kind("iptables"));
	assert_null(firewall_kind(""));
}

/* --- the port page --- */

static void
losses(struct given *g, const char *reach, const char *want, int count)
{
	struct json_doc *d;
	char *out;
	size_t len, i;
	FILE *f;

	for (i = 0; i < PAGE_MAX; i++)
		g->page.line[i].reach[0] = '\0';
	assert_int_equal(json_parse(reach, strlen(reach), 100, &d), RC_OK);
	page_reach(&g->page, d);
	json_free(d);
	f = open_memstream(&out, &len);
	assert_non_null(f);
	assert_int_equal(page_print_losses(&g->page, "backup2", f), count);
	fclose(f);
	assert_string_equal(out, want);
	free(out);
}

static void
what_a_peer_does_not_reach_is_named_with_its_cost(void **state)
{
	struct given g;

	(void)state;
	begin(&g);
	rules(&g, "nft", all_open);
	losses(&g, "{\"ports\":[{\"port\":32004,\"result\":\"open\"},"
	    "{\"port\":32005,\"result\":\"filtered\"}]}",
	    "32005 unreachable from backup2: \"switch to peer\" and exchange "
	    "from outside stop; backup and restore go on\n", 1);
	losses(&g, "{\"ports\":[{\"port\":32004,\"result\":\"closed\"},"
	    "{\"port\":32005,\"result\":\"not tried\"}]}",
	    "32004 unreachable from backup2: clients cannot enrol, back up "
	    "or restore\n", 1);
	losses(&g, "{\"ports\":[{\"port\":32004,\"result\":\"open\"},"
	    "{\"port\":32005,\"result\":\"open\"},"
	    "{\"port\":6061,\"result\":\"closed\"}]}",
	    "backup2 reaches every port that it tried.\n", 0);
	losses(&g, "{\"ports\":[]}", "backup2 tried no port.\n", 0);
	end(&g);
}

static void
the_page_says_why_a_port_is_not_open(void **state)
{
	struct given g;

	(void)state;
	begin(&g);
	g.conf.scan_answer = false;
	g.conf.ssl_enabled = true;
	rules(&g, "nft", "{\"ports\":[]}");
	assert_int_equal(g.page.line[PAGE_SERVER].state, PAGE_CLOSED);
	assert_string_equal(g.page.line[PAGE_SERVER].why,
	    "not open now: see the log");
	assert_string_equal(g.page.line[PAGE_SSL].pass, "yes, mandatory");
	assert_int_equal(g.page.line[PAGE_SCAN].state, PAGE_OFF);
	assert_string_equal(g.page.line[PAGE_SCAN].why,
	    "Discovery.UDPScan: Enabled = 0, Answer = 0");
	assert_int_equal(g.page.line[PAGE_WEBSSL].state, PAGE_OFF);
	end(&g);
	begin(&g);
	g.conf.mode = CONF_MODE_CLIENT;
	rules(&g, "nft", client_open);
	assert_int_equal(g.page.line[PAGE_SSL].state, PAGE_OFF);
	assert_string_equal(g.page.line[PAGE_SERVER].pass,
	    "no, only a server's");
	assert_int_equal(g.page.line[PAGE_GUI].state, PAGE_OPEN);
	end(&g);
}

static void
numbers_are_those_of_the_running_server(void **state)
{
	struct given g;

	(void)state;
	begin(&g);
	g.conf.port_server = 40004;		/* changed, not restarted */
	rules(&g, "nft", all_open);
	assert_int_equal(g.page.line[PAGE_SERVER].port, 32004);
	assert_int_equal(g.page.line[PAGE_SERVER].state, PAGE_OPEN);
	assert_int_equal(g.page.line[PAGE_SERVER].naddr, 2);
	end(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    nft_opens_to_those_who_are_served_and_to_nobody_else),
		cmocka_unit_test(nft_lets_discovery_in_from_its_own_link_alone),
		cmocka_unit_test(
		    nft_keeps_to_bound_addresses_and_merges_networks),
		cmocka_unit_test(one_family_may_be_served_alone),
		cmocka_unit_test(a_client_opens_no_server_port),
		cmocka_unit_test(the_name_cannot_leave_its_comment),
		cmocka_unit_test(ufw_lines_are_commands_of_its_grammar),
		cmocka_unit_test(
		    firewalld_lines_are_permanent_and_end_with_a_reload),
		cmocka_unit_test(
		    a_router_must_forward_the_server_port_and_nothing_of_discovery),
		cmocka_unit_test(there_are_four_kinds),
		cmocka_unit_test(
		    what_a_peer_does_not_reach_is_named_with_its_cost),
		cmocka_unit_test(the_page_says_why_a_port_is_not_open),
		cmocka_unit_test(numbers_are_those_of_the_running_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
