#ifndef SERVER_DISCOVERY_DIALRULE_H
#define SERVER_DISCOVERY_DIALRULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/messages.h"
#include "server/addr.h"

/*
 * Which addresses the dialer may connect to.  An address that somebody on a
 * network told us is nobody's word: with it a liar could make this host knock
 * at services of its own (loopback), of its cloud (169.254.169.254) or of
 * strangers.  So what was learned from others is dialled only where a neighbour
 * can be: in a private range or in a network that this host is on, and only at
 * the port that the same announcement calls the GUI port.
 */
#define DIAL_NETS_MAX	64

struct dial_nets {			/* networks that this host is on */
	size_t	n;
	struct {
		struct addr	net;	/* masked, port 0 */
		uint8_t		bits;
	} v[DIAL_NETS_MAX];
};

struct dial_req {
	uint32_t	dial;
	uint8_t		purpose;	/* enum dial_purpose */
	uint8_t		how;		/* enum peer_how */
	struct addr	addr;
	uint16_t	port_gui;	/* as announced; 0 not known */
};

/* One more network, whatever the host part of `a`; those over the limit and
 * those without bits (a point-to-point default) are left out. */
void	dial_nets_add(struct dial_nets *nets, const struct addr *a,
	    unsigned int bits);
bool	dial_nets_has(const struct dial_nets *nets, const struct addr *a);

/* RC_OK, or RC_DENIED with the reason in *why. */
int	dialrule_check(const struct dial_req *r, const struct dial_nets *nets,
	    const char **why);

#endif
