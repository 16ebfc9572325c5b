#include "config.h"

#include "server/discovery/walk.h"

#include <string.h>

static uint32_t
number(const struct addr *a)
{
	return (uint32_t)a->b[0] << 24 | (uint32_t)a->b[1] << 16 |
	    (uint32_t)a->b[2] << 8 | a->b[3];
}

static uint32_t
mask(uint8_t bits)
{
	return ~(UINT32_MAX >> bits);		/* bits is 22 to 31 */
}

static void
add(struct walk *w, uint32_t index, const struct iface_addr *a)
{
	uint32_t net = number(&a->a) & mask(a->bits);
	size_t i;

	for (i = 0; i < w->n; i++)
		if (w->v[i].net == net && w->v[i].bits == a->bits)
			return;
	if (w->n < WALK_MAX)
		w->v[w->n++] = (struct walk_net){ net, index, a->bits };
}

void
walk_begin(struct walk *w, const struct ifaces *t,
    void (*skipped)(const struct iface *i, const struct iface_addr *a))
{
	const struct iface_addr *a;
	size_t i, k;

	memset(w, 0, sizeof(*w));
	for (i = 0; i < t->n; i++) {
		if (!t->v[i].up || t->v[i].loopback)
			continue;
		for (k = 0; k < t->v[i].naddr; k++) {
			a = &t->v[i].addr[k];
			if (!a->ready || !iface_addr_private4(&a->a) ||
			    a->bits > 31)
				continue;
			if (a->bits < WALK_BITS_MIN)
				skipped(&t->v[i], a);
			else
				add(w, t->v[i].index, a);
		}
	}
}

bool
walk_next(struct walk *w, struct ifaces *t, struct addr *to, uint32_t *index)
{
	const struct walk_net *n;
	struct iface *i;
	uint32_t host, v;

	while (w->at < w->n) {
		n = &w->v[w->at];
		host = UINT32_MAX >> n->bits;
		if (w->next > host) {
			w->next = 0;
			w->at++;
			continue;
		}
		v = n->net | w->next++;
		*to = (struct addr){ .family = 4, .b = { (uint8_t)(v >> 24),
		    (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v } };
		*index = n->index;
		if ((i = ifaces_find(t, n->index)) != NULL && i->up &&
		    iface_on_link(i, to) && !iface_is_own(i, to))
			return true;
	}
	return false;
}

bool
walk_has(const struct walk *w, const struct addr *a)
{
	size_t i;

	for (i = 0; a->family == 4 && i < w->n; i++)
		if (((number(a) ^ w->v[i].net) & mask(w->v[i].bits)) == 0)
			return true;
	return false;
}
