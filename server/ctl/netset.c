#include "config.h"

#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/ctl/firewall.h"

static bool
covers(const struct addr_net *big, const struct addr_net *small)
{
	struct addr a = small->a;

	if (big->a.family != small->a.family || big->bits > small->bits)
		return false;
	addr_mask(&a, big->bits);
	return addr_equal(&a, &big->a);
}

/* nft refuses a set whose elements overlap. */
static void
add(struct netset *s, const struct addr_net *n)
{
	size_t i, kept = 0;

	if (s->any)
		return;
	for (i = 0; i < s->n; i++)
		if (covers(&s->v[i], n))
			return;
	for (i = 0; i < s->n; i++)
		if (!covers(n, &s->v[i]))
			s->v[kept++] = s->v[i];
	s->n = kept;
	if (s->n < NETSET_MAX)
		s->v[s->n++] = *n;
}

static void
add_text(struct netset *s, uint8_t family, const char *text)
{
	struct addr_net n;

	if (addr_net_parse(&n, text) == RC_OK && n.a.family == family)
		add(s, &n);
}

static void
add_private(struct netset *s, uint8_t family)
{
	static const char *const nets[] = { "10.0.0.0/8", "172.16.0.0/12",
		"192.168.0.0/16", "169.254.0.0/16", "fe80::/10", "fc00::/7" };
	size_t i;

	for (i = 0; i < NITEMS(nets); i++)
		add_text(s, family, nets[i]);
}

static bool
is_loopback(const struct addr_net *n)
{
	static const struct addr_net v[] = {
		{ ADDR_CIDR, { 4, { 127 }, 0 }, 8 },
		{ ADDR_CIDR, { 6, { [15] = 1 }, 0 }, 128 },
	};

	return covers(&v[0], n) || covers(&v[1], n);
}

static void
finish(struct netset *s)
{
	char text[ADDR_TEXT_MAX];
	size_t i, kept = 0;

	if (s->any)
		s->n = 0;
	for (i = 0; i < s->n; i++)
		if (!is_loopback(&s->v[i]))
			s->v[kept++] = s->v[i];
	s->n = kept;
	for (i = 0; i < s->n; i++) {
		addr_text(&s->v[i].a, text, sizeof(text));
		if (s->v[i].bits == (s->v[i].a.family == 4 ? 32 : 128))
			snprintf(s->text[i], sizeof(s->text[i]), "%s", text);
		else
			snprintf(s->text[i], sizeof(s->text[i]), "%s/%u", text,
			    s->v[i].bits);
	}
}

void
netset_private(struct netset *s, uint8_t family)
{
	memset(s, 0, sizeof(*s));
	add_private(s, family);
	finish(s);
}

void
netset_sources(struct netset *s, const struct page_line *l, uint8_t family)
{
	struct addr_net n;
	size_t i;

	memset(s, 0, sizeof(*s));
	for (i = 0; l->access != NULL && i < l->access->n; i++) {
		if (addr_net_parse(&n, l->access->s[i]) != RC_OK)
			continue;
		if (n.kind == ADDR_ANY || (n.kind == ADDR_CIDR &&
		    n.bits == 0 && n.a.family == family))
			s->any = true;
		else if (n.kind == ADDR_PRIVATE)
			add_private(s, family);
		else if (n.a.family == family)
			add(s, &n);
	}
	finish(s);
}

void
netset_targets(struct netset *s, const struct page_line *l, uint8_t family)
{
	static const struct addr all[2] = { { .family = 4 }, { .family = 6 } };
	struct addr_net n = { .kind = ADDR_CIDR,
	    .bits = family == 4 ? 32 : 128 };
	size_t i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < l->naddr; i++) {
		n.a = l->addr[i];
		n.a.port = 0;
		if (n.a.family != family)
			continue;
		if (addr_equal(&n.a, &all[family == 6]))
			s->any = true;
		else
			add(s, &n);
	}
	finish(s);
}

void
netset_print(FILE *f, const struct netset *s)
{
	size_t i;

	fprintf(f, "{");
	for (i = 0; i < s->n; i++)
		fprintf(f, "%s %s", i > 0 ? "," : "", s->text[i]);
	fprintf(f, " }");
}
