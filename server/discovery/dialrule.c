#include "config.h"

#include "server/discovery/dialrule.h"

#include <string.h>

#include "common/num.h"
#include "common/rc.h"

/* What an address is, as far as a connection to it is concerned. */
enum place {
	PLACE_NOWHERE,		/* not one host's: unspecified, multicast, ... */
	PLACE_LOOPBACK,
	PLACE_LINK_LOCAL,	/* 169.254/16, fe80::/10 */
	PLACE_PRIVATE,
	PLACE_OTHER,
};

static const struct {
	struct addr	net;
	uint8_t		bits;
	enum place	place;
} places[] = {				/* the first that fits */
	{ { 4, { 0 }, 0 }, 8, PLACE_NOWHERE },
	{ { 4, { 127 }, 0 }, 8, PLACE_LOOPBACK },
	{ { 4, { 169, 254 }, 0 }, 16, PLACE_LINK_LOCAL },
	{ { 4, { 10 }, 0 }, 8, PLACE_PRIVATE },
	{ { 4, { 172, 16 }, 0 }, 12, PLACE_PRIVATE },
	{ { 4, { 192, 168 }, 0 }, 16, PLACE_PRIVATE },
	/* multicast, reserved and 255.255.255.255 */
	{ { 4, { 224 }, 0 }, 3, PLACE_NOWHERE },
	{ { 6, { [15] = 1 }, 0 }, 128, PLACE_LOOPBACK },
	/* ::, and IPv4 in the clothes of IPv6: addr_get() and addr_parse() make
	 * ::ffff:a.b.c.d IPv4, so here it came some other way */
	{ { 6, { 0 }, 0 }, 96, PLACE_NOWHERE },
	{ { 6, { [10] = 0xff, [11] = 0xff }, 0 }, 96, PLACE_NOWHERE },
	{ { 6, { 0xfe, 0x80 }, 0 }, 10, PLACE_LINK_LOCAL },
	{ { 6, { 0xfc }, 0 }, 7, PLACE_PRIVATE },
	{ { 6, { 0xff }, 0 }, 8, PLACE_NOWHERE },
};

static bool
is_in(const struct addr *a, const struct addr *net, unsigned int bits)
{
	struct addr m = *a;

	if (a->family != net->family)
		return false;
	addr_mask(&m, bits);
	return memcmp(m.b, net->b, sizeof(m.b)) == 0;
}

static enum place
place_of(const struct addr *a)
{
	size_t i;

	if (a->family != 4 && a->family != 6)
		return PLACE_NOWHERE;
	for (i = 0; i < NITEMS(places); i++)
		if (is_in(a, &places[i].net, places[i].bits))
			return places[i].place;
	return PLACE_OTHER;
}

void
dial_nets_add(struct dial_nets *nets, const struct addr *a, unsigned int bits)
{
	unsigned int max = a->family == 4 ? 32 : 128;

	if ((a->family != 4 && a->family != 6) || bits == 0 || bits > max ||
	    nets->n == DIAL_NETS_MAX)
		return;
	nets->v[nets->n].net = *a;
	addr_mask(&nets->v[nets->n].net, bits);
	nets->v[nets->n++].bits = (uint8_t)bits;
}

bool
dial_nets_has(const struct dial_nets *nets, const struct addr *a)
{
	size_t i;

	for (i = 0; i < nets->n; i++)
		if (is_in(a, &nets->v[i].net, nets->v[i].bits))
			return true;
	return false;
}

/* The first or last address of an IPv4 network that this host is on: everybody
 * there.  A /31 has neither (RFC 3021). */
static bool
is_broadcast(const struct dial_nets *nets, const struct addr *a)
{
	uint32_t host, mask, v;
	size_t i;

	if (a->family != 4)
		return false;
	v = (uint32_t)a->b[0] << 24 | (uint32_t)a->b[1] << 16 |
	    (uint32_t)a->b[2] << 8 | a->b[3];
	for (i = 0; i < nets->n; i++) {
		if (nets->v[i].bits > 30 ||
		    !is_in(a, &nets->v[i].net, nets->v[i].bits))
			continue;
		mask = UINT32_MAX >> nets->v[i].bits;
		host = v & mask;
		if (host == 0 || host == mask)
			return true;
	}
	return false;
}

static int
deny(const char **why, const char *text)
{
	*why = text;
	return RC_DENIED;
}

int
dialrule_check(const struct dial_req *r, const struct dial_nets *nets,
    const char **why)
{
	enum place place = place_of(&r->addr);
	bool by_hand = r->how == PEER_BY_HAND;

	if (r->how == 0 || r->how >= PEER_HOW_MAX || r->purpose == 0 ||
	    r->purpose > DIAL_PROBE)
		return deny(why, "no such request");
	if (r->addr.port == 0)
		return deny(why, "no port");
	if (place == PLACE_NOWHERE || is_broadcast(nets, &r->addr))
		return deny(why, "not the address of one host");
	if (by_hand)
		return RC_OK;
	if (place == PLACE_LOOPBACK)
		return deny(why, "this host itself");
	/* the address that a peer calls from, at the ports that it asks for */
	if (r->purpose == DIAL_PROBE)
		return RC_OK;
	if (place == PLACE_LINK_LOCAL)
		return deny(why, "a link-local address");
	if (place != PLACE_PRIVATE && !dial_nets_has(nets, &r->addr))
		return deny(why, "neither private nor on the link");
	if (r->addr.port != r->port_gui)
		return deny(why, "not the GUI port that was announced");
	return RC_OK;
}
