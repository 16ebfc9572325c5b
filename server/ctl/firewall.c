#include "config.h"

#include "server/ctl/firewall.h"

#include <string.h>

#include "client/cli/escape.h"
#include "common/num.h"
#include "common/wbuf.h"

static const struct {
	const char	*name;
	firewall_fn	*fn;
} kinds[] = {
	{ "nft", firewall_nft },
	{ "ufw", firewall_ufw },
	{ "firewalld", firewall_firewalld },
	{ "nat", firewall_nat },
};

firewall_fn *
firewall_kind(const char *name)
{
	size_t i;

	for (i = 0; i < NITEMS(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].fn;
	return NULL;
}

void
firewall_head(FILE *f, const struct page *p, const char *kind)
{
	static const char *const modes[] = { "server", "client", "both",
		"replication" };
	struct wbuf buf = WBUF_INIT(1024);

	/* the ID is free text: escaped, so that it ends no comment */
	fprintf(f, "# StoreGrid %s, mode %s: %s.\n",
	    escaped(&buf, p->conf->id, strlen(p->conf->id), true),
	    p->conf->mode < NITEMS(modes) ? modes[p->conf->mode] : "?", kind);
	fprintf(f, "# Made by storegridctl, which changes no firewall itself. "
	    "The server looks at Access\n# and at the link by itself, too: "
	    "these rules keep packets away from it earlier.\n");
	wbuf_free(&buf);
}

bool
firewall_line(FILE *f, const struct page_line *l, const char *indent)
{
	struct netset t4, t6, s4, s6;
	char served[600];

	fprintf(f, "%s# %s, %s %u: ", indent, l->key, l->protocol, l->port);
	if (l->state != PAGE_OPEN) {
		fprintf(f, "%s (%s)\n", l->state == PAGE_OFF ? "off" :
		    "closed", l->why);
		return false;
	}
	page_served(l, served, sizeof(served));
	fprintf(f, "%s; served: %s\n", l->use, served);
	if (l->protocol[0] == 'u')
		return true;
	netset_targets(&t4, l, 4);
	netset_targets(&t6, l, 6);
	netset_sources(&s4, l, 4);
	netset_sources(&s6, l, 6);
	if (!t4.any && t4.n == 0 && !t6.any && t6.n == 0) {
		fprintf(f, "%s# open on this machine's loopback alone: "
		    "nothing to let in\n", indent);
		return false;
	}
	if (!s4.any && s4.n == 0 && !s6.any && s6.n == 0)
		fprintf(f, "%s# served on loopback alone\n", indent);
	return true;
}

/* --- ufw and firewalld: one command for each pair of networks --- */

struct pair {
	uint8_t		 family;	/* 0: both at once */
	const char	*from, *to;	/* NULL: any */
};

typedef void rule_fn(FILE *f, const struct page_line *l, const struct pair *p);

static void
each_tcp(FILE *f, const struct page_line *l, rule_fn *rule)
{
	struct netset s[2], t[2];
	struct pair p = { 0 };
	size_t i, j;
	int v6;

	for (v6 = 0; v6 < 2; v6++) {
		netset_sources(&s[v6], l, v6 ? 6 : 4);
		netset_targets(&t[v6], l, v6 ? 6 : 4);
	}
	if (s[0].any && s[1].any && t[0].any && t[1].any) {
		rule(f, l, &p);
		return;
	}
	for (v6 = 0; v6 < 2; v6++) {
		p.family = v6 ? 6 : 4;
		for (i = 0; i < (s[v6].any ? 1 : s[v6].n); i++)
			for (j = 0; j < (t[v6].any ? 1 : t[v6].n); j++) {
				p.from = s[v6].any ? NULL : s[v6].text[i];
				p.to = t[v6].any ? NULL : t[v6].text[j];
				rule(f, l, &p);
			}
	}
}

static void
each_udp(FILE *f, const struct page_line *l, bool scan, rule_fn *rule)
{
	struct netset s;
	struct pair p = { .family = 4 };
	size_t i;

	netset_private(&s, 4);
	p.to = scan ? NULL : GROUP_4;
	for (i = 0; i < s.n; i++) {
		p.from = s.text[i];
		rule(f, l, &p);
	}
	p.family = 6;
	p.from = "fe80::/10";
	p.to = scan ? NULL : GROUP_6;
	rule(f, l, &p);
}

static void
each_line(FILE *f, const struct page *p, rule_fn *rule)
{
	const struct page_line *l;
	int i;

	for (i = 0; i < PAGE_MAX; i++) {
		l = &p->line[i];
		fputc('\n', f);
		if (!firewall_line(f, l, ""))
			continue;
		if (i < PAGE_MCAST_REQ)
			each_tcp(f, l, rule);
		else
			each_udp(f, l, i == PAGE_SCAN, rule);
	}
}

/* Where one side names a network it tells the family of the other, too. */
static void
ufw_rule(FILE *f, const struct page_line *l, const struct pair *p)
{
	const char *all = p->family == 4 ? "0.0.0.0/0" : "::/0";
	bool plain = p->family == 0 || p->to != NULL;

	fprintf(f, "ufw allow proto %s from %s to %s port %u comment "
	    "'StoreGrid %s'\n", l->protocol,
	    p->from != NULL ? p->from : plain ? "any" : all,
	    p->to != NULL ? p->to : "any", l->port, l->key);
}

void
firewall_ufw(FILE *f, const struct page *p, const char *host)
{
	(void)host;
	firewall_head(f, p, "ufw commands, for root");
	fprintf(f, "# ufw cannot look at the hop limit by which the discovery "
	    "ports tell their own link;\n# the server does.\n");
	each_line(f, p, ufw_rule);
}

static void
firewalld_rule(FILE *f, const struct page_line *l, const struct pair *p)
{
	if (p->family == 0) {
		fprintf(f, "firewall-cmd --permanent --add-port=%u/%s\n",
		    l->port, l->protocol);
		return;
	}
	fprintf(f, "firewall-cmd --permanent --add-rich-rule='rule "
	    "family=\"ipv%u\"", p->family);
	if (p->from != NULL)
		fprintf(f, " source address=\"%s\"", p->from);
	if (p->to != NULL)
		fprintf(f, " destination address=\"%s\"", p->to);
	fprintf(f, " port port=\"%u\" protocol=\"%s\" accept'\n", l->port,
	    l->protocol);
}

void
firewall_firewalld(FILE *f, const struct page *p, const char *host)
{
	(void)host;
	firewall_head(f, p, "firewalld commands, for root");
	fprintf(f, "# They change the default zone (firewall-cmd "
	    "--get-default-zone); add --zone=NAME for another.\n"
	    "# A rich rule cannot look at the hop limit by which the "
	    "discovery ports tell their own link;\n# the server does.\n");
	each_line(f, p, firewalld_rule);
	fprintf(f, "\nfirewall-cmd --reload\n");
}

/* --- the router in front --- */

static void
nat_line(FILE *f, const struct page_line *l, const char *host)
{
	bool mandatory = strncmp(l->pass, "yes", 3) == 0;
	struct netset t4, s4;
	char to[ADDR_TEXT_MAX + 10], text[32];

	netset_targets(&t4, l, 4);
	netset_sources(&s4, l, 4);
	snprintf(text, sizeof(text), "%s %u", l->protocol, l->port);
	snprintf(to, sizeof(to), "%s:%u", t4.n > 0 ? t4.text[0] : host,
	    l->port);
	fprintf(f, "%-15s %-25s %-11s %-17s %s\n", text, to,
	    mandatory ? "mandatory" : "optional", l->key, l->cost);
	if (!t4.any && t4.n == 0)
		fprintf(f, "#   it is bound to no IPv4 address that a router "
		    "reaches: change Listen first\n");
	if (!s4.any)
		fprintf(f, "#   it serves only some networks: whoever comes "
		    "from elsewhere needs a place in Access, too\n");
}

void
firewall_nat(FILE *f, const struct page *p, const char *host)
{
	const struct page_line *l;
	int i;

	firewall_head(f, p, "what a router with NAT forwards");
	fprintf(f, "# The numbers are the same outside and inside, because "
	    "tokens and peers carry them.\n\n%-15s %-25s %-11s %-17s %s\n",
	    "EXTERNAL PORT", "TO THIS HOST", "NEEDED", "KEY",
	    "WHEN NOT FORWARDED");
	for (i = 0; i < PAGE_MCAST_REQ; i++)
		if (p->line[i].state == PAGE_OPEN)
			nat_line(f, &p->line[i], host);
	fputc('\n', f);
	for (i = 0; i < PAGE_MCAST_REQ; i++)
		if (p->line[i].state != PAGE_OPEN)
			(void)firewall_line(f, &p->line[i], "");
	fprintf(f, "# Never forwarded, because discovery is for one subnet:");
	for (l = &p->line[PAGE_MCAST_REQ]; l < p->line + PAGE_MAX; l++)
		fprintf(f, "%s udp %u", l == &p->line[PAGE_MCAST_REQ] ? "" :
		    ",", l->port);
	fputc('\n', f);
}
