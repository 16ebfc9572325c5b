#ifndef SERVER_DISCOVERY_ONLINK_H
#define SERVER_DISCOVERY_ONLINK_H

#include "server/discovery/dialrule.h"

/*
 * The networks that this host is on, asked of the kernel (rtnetlink,
 * RTM_GETADDR) with one socket and no call that getifaddrs() would add: the
 * dialer does it once, before its sandbox.  RC_OK; otherwise `nets` has what
 * came until then, which only makes the rule stricter.
 */
int	onlink_read(struct dial_nets *nets);

/* One datagram of the answer.  RC_OK: more comes; RC_EOF: that was the end;
 * RC_PROTO: not an answer of this kind.  Loopback and host routes are left out. */
int	onlink_parse(const void *p, size_t len, struct dial_nets *nets);

#endif
