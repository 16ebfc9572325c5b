#ifndef SERVER_DISCOVERY_WALK_H
#define SERVER_DISCOVERY_WALK_H

#include "server/discovery/ifaces.h"

/*
 * The addresses of one round of the scan: of each private IPv4 prefix of up to
 * 1,024 addresses, without our own, the network's and the broadcast address.  A
 * prefix that two interfaces have is walked once.
 */
#define WALK_BITS_MIN	22
#define WALK_MAX	64		/* prefixes */

struct walk {
	size_t		n, at;
	uint32_t	next;
	struct walk_net {
		uint32_t	net, index;	/* index: of the interface */
		uint8_t		bits;
	}		v[WALK_MAX];
};

/* Calls `skipped` for each prefix that is too large. */
void	walk_begin(struct walk *w, const struct ifaces *t,
	    void (*skipped)(const struct iface *i, const struct iface_addr *a));
/* False at the end.  The table may have changed since the beginning. */
bool	walk_next(struct walk *w, struct ifaces *t, struct addr *to,
	    uint32_t *index);
/* Is it an address that this walk asks. */
bool	walk_has(const struct walk *w, const struct addr *a);

#endif
