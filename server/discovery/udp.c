#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "server/discovery/discover.h"

#define UDP_HEAD	8		/* of the datagram, as a filter sees it */
#define RECV_BUFFER	(4 << 20)	/* or what the kernel grants */
#define HOPS_LINK	1
#define HOPS_SCAN	255
#define IP_TTL_AT	8
#define IP6_HOPS_AT	7

static const uint8_t group4[4] = { 239, 255, 63, 63 };
static const uint8_t group6[16] = { 0xff, 0x02, [12] = 0x53, 0x47, 0x63,
	0x63 };

/* --- options --- */

struct option {
	int		level, name, value;
	const char	*text;
	bool		optional;
};

#define OPT(l, n, v, o)	{ l, n, v, #n, o }

static void
set_all(int fd, const struct option *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (setsockopt(fd, v[i].level, v[i].name, &v[i].value,
		    sizeof(v[i].value)) != 0 && !v[i].optional)
			fatal("%s: %s", v[i].text, strerror(errno));
}

/*
 * In the kernel, before anything is queued or anybody woken: the type that this
 * socket is for, the length that goes with it, the hops, the magic.  Junk that
 * knows all this still has hear.c before it.
 */
static void
set_filter(const struct udp *u, bool multicast)
{
	bool asks = u->kind == PORT_MCAST_REQ, any = u->kind == PORT_SCAN;
	uint32_t hops_at = (uint32_t)(SKF_NET_OFF + (u->family == 4 ?
	    IP_TTL_AT : IP6_HOPS_AT));
	const uint32_t low = UDP_HEAD + (asks ? PACKET_REQUEST_LEN :
	    PACKET_MIN), high = UDP_HEAD + (asks || any ? PACKET_REQUEST_LEN :
	    PACKET_ANSWER_MAX);
	const uint32_t type_low = any ? PACKET_PROBE : asks ? PACKET_REQUEST :
	    PACKET_ANSWER;
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, low, 0, 9),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, high, 8, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, UDP_HEAD),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_MAGIC, 0, 6),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, hops_at),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
		    multicast ? HOPS_LINK : HOPS_SCAN, 0, 4),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, UDP_HEAD + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, type_low, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
		    any ? PACKET_PROBE_ANSWER : type_low, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = { NITEMS(f), f };
	static const int on = 1;

	int rc = setsockopt(u->fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
	    sizeof(prog));

	/* The socket is the master's and outlives us: who was here before has
	 * left the same filter, and locked. */
	if (rc != 0 && errno == EPERM)
		return;
	if (rc != 0 ||
	    setsockopt(u->fd, SOL_SOCKET, SO_LOCK_FILTER, &on,
	    sizeof(on)) != 0)
		fatal("socket filter: %s", strerror(errno));
}

static void
set_up_4(const struct udp *u, bool multicast)
{
	const struct option v[] = {
		OPT(IPPROTO_IP, IP_PKTINFO, 1, false),
		OPT(IPPROTO_IP, IP_RECVTTL, 1, false),
		OPT(IPPROTO_IP, IP_TTL, multicast ? HOPS_LINK : HOPS_SCAN,
		    false),
		OPT(IPPROTO_IP, IP_MULTICAST_TTL, HOPS_LINK, false),
		OPT(IPPROTO_IP, IP_MULTICAST_LOOP, 1, false),
		/* only what this very socket joined */
		OPT(IPPROTO_IP, IP_MULTICAST_ALL, 0, false),
	};

	set_all(u->fd, v, NITEMS(v));
}

static void
set_up_6(const struct udp *u, bool multicast)
{
	const struct option v[] = {
		OPT(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, false),
		OPT(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, false),
		OPT(IPPROTO_IPV6, IPV6_UNICAST_HOPS, multicast ? HOPS_LINK :
		    HOPS_SCAN, false),
		OPT(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, HOPS_LINK, false),
		OPT(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1, false),
		/* not before Linux 4.20; hear.c looks at the interface */
		OPT(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0, true),
	};

	set_all(u->fd, v, NITEMS(v));
}

void
udp_set_up(struct disc *d)
{
	static const struct option buffer[] = {
		OPT(SOL_SOCKET, SO_RCVBUF, RECV_BUFFER, true),
	};
	struct udp *u;
	bool multicast;
	size_t i;

	for (i = 0; i < d->nsock; i++) {
		u = &d->sock[i];
		multicast = u->kind != PORT_SCAN;
		if (u->family == 4)
			set_up_4(u, multicast);
		else
			set_up_6(u, multicast);
		set_all(u->fd, buffer, NITEMS(buffer));
		set_filter(u, multicast);
	}
}

void
udp_group(struct addr *a, uint8_t family, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	a->family = family;
	a->port = port;
	if (family == 4)
		memcpy(a->b, group4, sizeof(group4));
	else
		memcpy(a->b, group6, sizeof(group6));
}

const struct udp *
udp_find(const struct disc *d, uint8_t kind, uint8_t family)
{
	size_t i;

	for (i = 0; i < d->nsock; i++)
		if (d->sock[i].kind == kind && d->sock[i].family == family)
			return &d->sock[i];
	return NULL;
}

/* RC_EXISTS, RC_NOENT: it was so already. */
int
udp_join(const struct udp *u, uint32_t index, bool join)
{
	struct ip_mreqn m4 = { .imr_ifindex = (int)index };
	struct ipv6_mreq m6 = { .ipv6mr_interface = index };
	int rc;

	memcpy(&m4.imr_multiaddr, group4, sizeof(group4));
	memcpy(&m6.ipv6mr_multiaddr, group6, sizeof(group6));
	if (u->family == 4)
		rc = setsockopt(u->fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP :
		    IP_DROP_MEMBERSHIP, &m4, sizeof(m4));
	else
		rc = setsockopt(u->fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP :
		    IPV6_LEAVE_GROUP, &m6, sizeof(m6));
	if (rc == 0 || (join && errno == EADDRINUSE) ||
	    (!join && errno == EADDRNOTAVAIL))
		return RC_OK;
	return rc_errno(errno);
}

/* --- packets --- */

union control {
	struct cmsghdr	hdr;
	uint8_t		buf[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
			    CMSG_SPACE(sizeof(int)) + 64];
};

static void
take_control(struct msghdr *mh, struct heard *h)
{
	struct in6_pktinfo i6;
	struct in_pktinfo i4;
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) {
			memcpy(&h->hops, CMSG_DATA(c), sizeof(h->hops));
		} else if (c->cmsg_level == IPPROTO_IP &&
		    c->cmsg_type == IP_PKTINFO) {
			memcpy(&i4, CMSG_DATA(c), sizeof(i4));
			h->index = (uint32_t)i4.ipi_ifindex;
			h->to.family = 4;
			memcpy(h->to.b, &i4.ipi_addr, 4);
		} else if (c->cmsg_level == IPPROTO_IPV6 &&
		    c->cmsg_type == IPV6_HOPLIMIT) {
			memcpy(&h->hops, CMSG_DATA(c), sizeof(h->hops));
		} else if (c->cmsg_level == IPPROTO_IPV6 &&
		    c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&i6, CMSG_DATA(c), sizeof(i6));
			h->index = i6.ipi6_ifindex;
			h->to.family = 6;
			memcpy(h->to.b, &i6.ipi6_addr, 16);
		}
	}
}

int
udp_recv(const struct udp *u, struct heard *h)
{
	struct sockaddr_storage ss;
	struct iovec iov = { h->data, sizeof(h->data) };
	union control control;
	struct msghdr mh = {
		.msg_name = &ss, .msg_namelen = sizeof(ss),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;

	if ((n = recvmsg(u->fd, &mh, MSG_DONTWAIT)) < 0)
		/* an error that somebody sent us is taken by this call */
		return errno == EAGAIN ? RC_AGAIN : RC_PROTO;
	memset(&h->to, 0, sizeof(h->to));
	h->on = u;
	h->index = 0;
	h->hops = -1;
	h->len = (size_t)n;
	if ((mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
		return RC_PROTO;
	addr_from_sockaddr(&h->from, (struct sockaddr *)&ss, mh.msg_namelen);
	take_control(&mh, h);
	return h->from.family == u->family && h->to.family == u->family ?
	    RC_OK : RC_PROTO;
}

static void
put_info4(struct msghdr *mh, uint32_t index, const struct addr *from)
{
	struct in_pktinfo i4 = { .ipi_ifindex = (int)index };
	struct cmsghdr *c = CMSG_FIRSTHDR(mh);

	memcpy(&i4.ipi_spec_dst, from->b, 4);
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(i4));
	memcpy(CMSG_DATA(c), &i4, sizeof(i4));
	mh->msg_controllen = CMSG_SPACE(sizeof(i4));
}

static void
put_info6(struct msghdr *mh, uint32_t index, const struct addr *from)
{
	struct in6_pktinfo i6 = { .ipi6_ifindex = index };
	struct cmsghdr *c = CMSG_FIRSTHDR(mh);

	memcpy(&i6.ipi6_addr, from->b, 16);
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(i6));
	memcpy(CMSG_DATA(c), &i6, sizeof(i6));
	mh->msg_controllen = CMSG_SPACE(sizeof(i6));
}

void
udp_send(const struct udp *u, const struct addr *to, uint32_t index,
    const struct addr *from, const struct wbuf *packet)
{
	struct sockaddr_storage ss;
	struct iovec iov = { packet->data, packet->len };
	union control control;
	struct msghdr mh = {
		.msg_name = &ss, .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};

	memset(&control, 0, sizeof(control));
	mh.msg_namelen = addr_to_sockaddr(to, &ss);
	if (u->family == 4) {
		put_info4(&mh, index, from);
	} else {
		((struct sockaddr_in6 *)&ss)->sin6_scope_id = index;
		put_info6(&mh, index, from);
	}
	/* never by way of a gateway */
	(void)sendmsg(u->fd, &mh, MSG_DONTWAIT | MSG_DONTROUTE | MSG_NOSIGNAL);
}
