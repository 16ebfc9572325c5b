#ifndef SERVER_DISCOVERY_IFACES_H
#define SERVER_DISCOVERY_IFACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wbuf.h"
#include "server/addr.h"

/*
 * The interfaces of this machine, as a NETLINK_ROUTE socket tells of them: two
 * dumps (links, then addresses) at the start, events afterwards.  Knows no
 * socket itself: it is given datagrams and gives requests.  The table is
 * bounded; what does not fit is left out and counted.
 */
#define IFACES_MAX		64
#define IFACES_ADDRS_MAX	16	/* of one interface */
#define IFACES_DATAGRAM_MAX	32768

struct iface {
	uint32_t	index;
	char		name[16];
	bool		up, loopback, multicast;
	size_t		naddr;
	struct iface_addr {
		struct addr	a;
		uint8_t		bits;
		bool		ready;		/* not tentative, not a duplicate */
		uint32_t	round;
	}		addr[IFACES_ADDRS_MAX];
	/* the owner's */
	bool		joined4, joined6, told;
	uint32_t	round;
};

struct ifaces {
	size_t		n;
	struct iface	v[IFACES_MAX];
	uint64_t	left_out;
	/* of the dump that is under way */
	uint32_t	round, seq;
	uint16_t	dumping;		/* RTM_GETLINK, RTM_GETADDR or 0 */
};

#define IFACES_CHANGED	0x01
#define IFACES_DONE	0x02	/* this dump: ask for the next one */
#define IFACES_AGAIN	0x04	/* it changed meanwhile, or failed: from the start */

/* The request of a dump: type RTM_GETLINK or RTM_GETADDR. */
void	ifaces_dump(struct ifaces *t, uint16_t type, struct wbuf *out);
/* One datagram.  What it meant in *what; RC_PROTO when it is malformed, with
 * the whole messages before that taken. */
int	ifaces_read(struct ifaces *t, const uint8_t *p, size_t n,
	    unsigned int *what);

struct iface *ifaces_find(struct ifaces *t, uint32_t index);
/* A ready address of 10/8, 172.16/12, 192.168/16 or 169.254/16; NULL. */
const struct iface_addr *iface_private4(const struct iface *i);
/* The link-local IPv6 address, on an interface that has a private address
 * (IPv4 or unique local) too, or no public one at all; NULL. */
const struct iface_addr *iface_link6(const struct iface *i);
/* Has addresses, and only public ones. */
bool	iface_only_public(const struct iface *i);
/* Is this a unicast address of the link: in a private IPv4 prefix of the
 * interface (and neither its network nor its broadcast address), or IPv6
 * link-local. */
bool	iface_on_link(const struct iface *i, const struct addr *a);
bool	iface_is_own(const struct iface *i, const struct addr *a);
/* Is it IPv4, private and neither loopback nor anything else. */
bool	iface_addr_private4(const struct addr *a);

#endif
