#include "config.h"

#include "server/ctl/firewall.h"

/*
 * nftables: one table of our own, which a second load replaces whole.  It keeps
 * no state, so it works without connection tracking: a connection goes on
 * matching the line that let it in.
 */

static const char *const family_word[2] = { "ip", "ip6" };
static const char *const nfproto[2] = { "ipv4", "ipv6" };

/* "ip daddr { ... } " where the port is bound to some addresses alone. */
static void
to(FILE *f, int v6, const struct netset *t)
{
	if (t->any)
		return;
	fprintf(f, "%s daddr ", family_word[v6]);
	netset_print(f, t);
	fputc(' ', f);
}

static void
one_family(FILE *f, const struct page_line *l, int v6,
    const struct netset *s, const struct netset *t)
{
	if (s->any || s->n > 0) {
		fprintf(f, "\t\t");
		if (s->any && t->any)
			fprintf(f, "meta nfproto %s ", nfproto[v6]);
		to(f, v6, t);
		if (!s->any) {
			fprintf(f, "%s saddr ", family_word[v6]);
			netset_print(f, s);
			fputc(' ', f);
		}
		fprintf(f, "tcp dport %u accept\n", l->port);
	}
	if (s->any)
		return;
	fprintf(f, "\t\t");
	if (t->any)
		fprintf(f, "meta nfproto %s ", nfproto[v6]);
	to(f, v6, t);
	fprintf(f, "tcp dport %u drop\n", l->port);
}

static void
tcp(FILE *f, const struct page_line *l)
{
	struct netset s[2], t[2];
	int v6;

	if (!firewall_line(f, l, "\t\t"))
		return;
	for (v6 = 0; v6 < 2; v6++) {
		netset_sources(&s[v6], l, v6 ? 6 : 4);
		netset_targets(&t[v6], l, v6 ? 6 : 4);
	}
	if (s[0].any && s[1].any && t[0].any && t[1].any) {
		fprintf(f, "\t\ttcp dport %u accept\n", l->port);
		return;
	}
	for (v6 = 0; v6 < 2; v6++)
		if (t[v6].any || t[v6].n > 0)
			one_family(f, l, v6, &s[v6], &t[v6]);
}

/* A router lowers the hop limit, so what arrives with its full value comes from
 * this link; multicast is sent with 1 and no router passes that on. */
static void
udp(FILE *f, const struct page_line *l, bool scan)
{
	struct netset from;

	if (!firewall_line(f, l, "\t\t"))
		return;
	netset_private(&from, 4);
	fprintf(f, "\t\t%sip ttl %d ip saddr ", scan ? "" :
	    "ip daddr " GROUP_4 " ", scan ? 255 : 1);
	netset_print(f, &from);
	fprintf(f, " udp dport %u accept\n", l->port);
	fprintf(f, "\t\t%sip6 hoplimit %d ip6 saddr fe80::/10 udp dport %u "
	    "accept\n", scan ? "" : "ip6 daddr " GROUP_6 " ",
	    scan ? 255 : 1, l->port);
	fprintf(f, "\t\tudp dport %u drop\n", l->port);
}

void
firewall_nft(FILE *f, const struct page *p, const char *host)
{
	unsigned int name = p->line[PAGE_GUI].port;
	int i;

	(void)host;
	firewall_head(f, p, "nftables rules; check: nft -c -f FILE, "
	    "load: nft -f FILE");
	fprintf(f,
	    "#\n"
	    "# The table is named after Ports.GUI, which is another one for "
	    "each installation of\n"
	    "# a machine, and it decides about these ports alone. Where "
	    "another table drops what it\n"
	    "# does not know (nft list ruleset), an accept here does not help: "
	    "copy the accept lines\n"
	    "# into that table's input chain, above its drop.\n\n"
	    "table inet storegrid_%u\n"
	    "delete table inet storegrid_%u\n"
	    "table inet storegrid_%u {\n"
	    "\tchain input {\n"
	    "\t\ttype filter hook input priority 0; policy accept;\n\n"
	    "\t\tiifname \"lo\" accept\n", name, name, name);
	for (i = 0; i < PAGE_MAX; i++) {
		fputc('\n', f);
		if (i < PAGE_MCAST_REQ)
			tcp(f, &p->line[i]);
		else
			udp(f, &p->line[i], i == PAGE_SCAN);
	}
	fprintf(f, "\t}\n}\n");
}
