#include "config.h"

#include "server/discovery/onlink.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "common/io.h"
#include "common/rc.h"

#define ANSWER_MAX	32768
#define ANSWER_MS	2000

/* The kernel's structures are in the host's byte order and 4-byte aligned
 * within the datagram; copied out, so that nothing depends on it. */
static int
next_attr(const uint8_t **p, size_t *left, uint16_t *type, const uint8_t **v,
    size_t *n)
{
	struct rtattr at;
	size_t step;

	if (*left < sizeof(at))
		return RC_EOF;
	memcpy(&at, *p, sizeof(at));
	if (at.rta_len < sizeof(at) || at.rta_len > *left)
		return RC_PROTO;
	*type = at.rta_type;
	*v = *p + sizeof(at);
	*n = at.rta_len - sizeof(at);
	step = RTA_ALIGN(at.rta_len);
	if (step > *left)
		step = *left;
	*p += step;
	*left -= step;
	return RC_OK;
}

static int
on_address(const uint8_t *p, size_t left, struct dial_nets *nets)
{
	struct addr a = { 0 }, local = { 0 }, *to;
	struct ifaddrmsg ifa;
	const uint8_t *v;
	uint16_t type;
	size_t n, want;
	int rc;

	if (left < sizeof(ifa))
		return RC_PROTO;
	memcpy(&ifa, p, sizeof(ifa));
	p += sizeof(ifa);
	left -= sizeof(ifa);
	if (ifa.ifa_family != AF_INET && ifa.ifa_family != AF_INET6)
		return RC_OK;
	want = ifa.ifa_family == AF_INET ? 4 : 16;
	while ((rc = next_attr(&p, &left, &type, &v, &n)) == RC_OK) {
		if (type != IFA_ADDRESS && type != IFA_LOCAL)
			continue;
		if (n != want)
			return RC_PROTO;
		/* with a far end, IFA_ADDRESS is the network of that one */
		to = type == IFA_ADDRESS ? &a : &local;
		to->family = want == 4 ? 4 : 6;
		memcpy(to->b, v, n);
	}
	if (rc == RC_PROTO)
		return rc;
	if (a.family == 0)
		a = local;
	/* the machine itself is no network to find others in */
	if (ifa.ifa_scope != RT_SCOPE_HOST)
		dial_nets_add(nets, &a, ifa.ifa_prefixlen);
	return RC_OK;
}

int
onlink_parse(const void *bytes, size_t len, struct dial_nets *nets)
{
	const uint8_t *p = bytes;
	struct nlmsghdr h;
	size_t step;
	int rc;

	while (len >= sizeof(h)) {
		memcpy(&h, p, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len)
			return RC_PROTO;
		if (h.nlmsg_type == NLMSG_DONE)
			return RC_EOF;
		if (h.nlmsg_type == NLMSG_ERROR)
			return RC_PROTO;
		if (h.nlmsg_type == RTM_NEWADDR && (rc = on_address(p +
		    sizeof(h), h.nlmsg_len - sizeof(h), nets)) != RC_OK)
			return rc;
		step = NLMSG_ALIGN(h.nlmsg_len);
		if (step > len)
			step = len;
		p += step;
		len -= step;
	}
	return len == 0 ? RC_OK : RC_PROTO;
}

static int
ask(int fd)
{
	struct {
		struct nlmsghdr		h;
		struct ifaddrmsg	a;
	} req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = RTM_GETADDR,
		    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.a = { .ifa_family = AF_UNSPEC },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct iovec iov = { &req, sizeof(req) };
	struct msghdr mh = { .msg_name = &kernel,
	    .msg_namelen = sizeof(kernel), .msg_iov = &iov, .msg_iovlen = 1 };

	return sendmsg(fd, &mh, 0) == (ssize_t)sizeof(req) ? RC_OK :
	    rc_errno(errno);
}

static int
receive(int fd, struct dial_nets *nets)
{
	static uint8_t buf[ANSWER_MAX];
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr mh = { .msg_name = &from, .msg_namelen = sizeof(from),
	    .msg_iov = &iov, .msg_iovlen = 1 };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ANSWER_MS) != 1)
		return RC_TIMEOUT;
	if ((n = recvmsg(fd, &mh, 0)) < 0)
		return rc_errno(errno);
	if ((mh.msg_flags & MSG_TRUNC) != 0)
		return RC_LIMIT;
	/* any process may write to a netlink socket; port 0 is the kernel */
	if (from.nl_pid != 0)
		return RC_OK;
	return onlink_parse(buf, (size_t)n, nets);
}

int
onlink_read(struct dial_nets *nets)
{
	int fd, rc;

	nets->n = 0;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd == -1)
		return rc_errno(errno);
	rc = ask(fd);
	while (rc == RC_OK)
		rc = receive(fd, nets);
	fd_close(&fd);
	return rc == RC_EOF ? RC_OK : rc;
}
