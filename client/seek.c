#include "config.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "common/conf.h"
#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/packet.h"
#include "common/rc.h"
#include "common/secret.h"
#include "privsep/role.h"
#include "server/addr.h"

/*
 * sg-seek, one-shot: asks all links with a private address which installations
 * are there (doc/DISCOVERY.md), and tells the command what they answer.  It has
 * a key of its own for this one question and is listed nowhere.  Interfaces,
 * sockets and the signed requests are ready before the sandbox; behind it bytes
 * only come and go.
 */
#define ORDER_MS	60000
#define WAIT_MAX_MS	60000
#define ROUNDS		3
#define ROUND_MS	900		/* an answer may take half a second */
#define PLACES_MAX	32
#define FOUND_MAX	256
#define CHECKS_MAX	2048		/* signatures looked at, in all */
#define INTERVAL	300

/* An interface that is asked on. */
struct place {
	unsigned	index;
	bool		has4, has6, public6;
	struct in_addr	addr4, mask4;
};

struct seek {
	struct role_env	 env;
	uint16_t	 port_ask, port_hear, port_gui;
	uint32_t	 ms;
	struct place	 place[PLACES_MAX];
	size_t		 nplaces;
	int		 fd[2];			/* IPv4, IPv6; -1 none */
	uint8_t		 identity[ED25519_LEN];
	uint8_t		 nonce[PACKET_NONCE_LEN];
	struct wbuf	 packet[ROUNDS];
	struct puzzle	*puzzle;
	struct {
		uint8_t	identity[ED25519_LEN];
		uint8_t	family;
	}		 found[FOUND_MAX];
	size_t		 nfound;
	unsigned	 checks;
};

static const uint8_t group4[4] = { 239, 255, 63, 63 };
static const uint8_t group6[16] = { 0xff, 2, [12] = 0x53, 0x47, 0x63, 0x63 };

/* --- where to ask --- */

static bool
private4(struct in_addr a)
{
	uint32_t h = ntohl(a.s_addr);

	return h >> 24 == 10 || h >> 20 == 0xac1 || h >> 16 == 0xc0a8 ||
	    h >> 16 == 0xa9fe;
}

static struct place *
place_of(struct seek *s, unsigned index)
{
	for (size_t i = 0; i < s->nplaces; i++)
		if (s->place[i].index == index)
			return &s->place[i];
	return NULL;
}

static struct place *
place_add(struct seek *s, unsigned index)
{
	struct place *p = place_of(s, index);

	if (p == NULL && index != 0 && s->nplaces < PLACES_MAX) {
		p = &s->place[s->nplaces++];
		p->index = index;
	}
	return p;
}

static void
take_address(struct seek *s, const struct ifaddrs *a)
{
	const struct sockaddr_in *four = (const void *)a->ifa_addr;
	const struct sockaddr_in6 *six = (const void *)a->ifa_addr;
	struct place *p;

	if (a->ifa_addr == NULL || (a->ifa_flags & IFF_UP) == 0 ||
	    (a->ifa_flags & IFF_LOOPBACK) != 0 ||
	    (a->ifa_flags & IFF_MULTICAST) == 0 ||
	    (a->ifa_addr->sa_family != AF_INET &&
	    a->ifa_addr->sa_family != AF_INET6) ||
	    (p = place_add(s, if_nametoindex(a->ifa_name))) == NULL)
		return;
	if (a->ifa_addr->sa_family == AF_INET) {
		if (p->has4 || !private4(four->sin_addr) ||
		    a->ifa_netmask == NULL)
			return;
		p->has4 = true;
		p->addr4 = four->sin_addr;
		p->mask4 = ((const struct sockaddr_in *)
		    (const void *)a->ifa_netmask)->sin_addr;
	} else if (IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr)) {
		p->has6 = true;
	} else if ((six->sin6_addr.s6_addr[0] & 0xfe) != 0xfc) {
		p->public6 = true;
	}
}

/* A link with public addresses alone is none to be loud on. */
static void
find_places(struct seek *s)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) != 0)
		return;
	for (const struct ifaddrs *a = list; a != NULL; a = a->ifa_next)
		take_address(s, a);
	freeifaddrs(list);
	for (size_t i = 0; i < s->nplaces; i++)
		if (s->place[i].public6 && !s->place[i].has4)
			s->place[i].has6 = false;
}

/* --- sockets --- */

static bool
set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

static void
join(const struct seek *s)
{
	for (size_t i = 0; i < s->nplaces; i++) {
		const struct place *p = &s->place[i];
		struct ip_mreqn m4 = { .imr_ifindex = (int)p->index };
		struct ipv6_mreq m6 = { .ipv6mr_interface = p->index };

		memcpy(&m4.imr_multiaddr, group4, sizeof(group4));
		memcpy(&m6.ipv6mr_multiaddr, group6, sizeof(group6));
		if (p->has4 && s->fd[0] >= 0)
			(void)setsockopt(s->fd[0], IPPROTO_IP,
			    IP_ADD_MEMBERSHIP, &m4, sizeof(m4));
		if (p->has6 && s->fd[1] >= 0)
			(void)setsockopt(s->fd[1], IPPROTO_IPV6,
			    IPV6_JOIN_GROUP, &m6, sizeof(m6));
	}
}

/* Both share the port with a StoreGrid that runs here. */
static int
open4(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && (!set(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
	    !set(fd, IPPROTO_IP, IP_MULTICAST_TTL, 1) ||
	    !set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0) ||
	    !set(fd, IPPROTO_IP, IP_RECVTTL, 1) ||
	    !set(fd, IPPROTO_IP, IP_PKTINFO, 1) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0))
		fd_close(&fd);
	return fd;
}

static int
open6(uint16_t port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
	    .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && (!set(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
	    !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) ||
	    !set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1) ||
	    !set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) ||
	    !set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0))
		fd_close(&fd);
	return fd;
}

/* --- the question --- */

static int
make_request(struct seek *s, const struct secret *key, int64_t sent_ns,
    struct wbuf *out)
{
	struct packet p = { .type = PACKET_REQUEST, .flags = PACKET_F_ASKING,
	    .n = 1, .info = { .mode = CONF_MODE_CLIENT,
	    .port_gui = s->port_gui, .interval = INTERVAL,
	    .sent_ns = sent_ns, .id = "storegrid" } };
	uint64_t first;
	size_t at;
	int rc;

	memcpy(p.info.identity, s->identity, sizeof(p.info.identity));
	memcpy(p.nonce[0], s->nonce, PACKET_NONCE_LEN);
	wbuf_init(out, PACKET_REQUEST_LEN + ED25519_SIG_LEN);
	if ((rc = secret_random(&first, sizeof(first))) != RC_OK ||
	    (rc = packet_put(out, &p, &at)) != RC_OK ||
	    (rc = puzzle_begin(s->puzzle, out->data, at, first)) != RC_OK)
		return rc;
	while ((rc = puzzle_try(s->puzzle, 1u << 14, out->data + at)) ==
	    RC_AGAIN)
		;
	return rc == RC_OK ? packet_sign(out, key) : rc;
}

/* One for each round: what was seen once is not answered again. */
static int
make_requests(struct seek *s)
{
	struct secret key = { 0 };
	int rc;

	if ((rc = digest_setup()) != RC_OK ||
	    (rc = ed25519_new(&key, s->identity)) != RC_OK ||
	    (rc = secret_random(s->nonce, sizeof(s->nonce))) != RC_OK)
		return rc;
	if ((s->puzzle = puzzle_new()) == NULL)
		return RC_NOMEM;
	for (int i = 0; i < ROUNDS && rc == RC_OK; i++)
		rc = make_request(s, &key, io_wall_ns() +
		    i * ROUND_MS * INT64_C(1000000), &s->packet[i]);
	secret_clear(&key);
	return rc;
}

static void
send_one(const struct seek *s, const struct wbuf *packet,
    const struct place *p, bool six)
{
	union {
		char		buf[CMSG_SPACE(sizeof(struct in_pktinfo))];
		struct cmsghdr	align;
	} control = { .buf = { 0 } };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6,
	    .sin6_port = htons(s->port_ask), .sin6_scope_id = p->index };
	struct sockaddr_in to4 = { .sin_family = AF_INET,
	    .sin_port = htons(s->port_ask) };
	struct in_pktinfo from = { .ipi_ifindex = (int)p->index,
	    .ipi_spec_dst = p->addr4 };
	struct iovec iov = { .iov_base = packet->data,
	    .iov_len = packet->len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;

	memcpy(&to4.sin_addr, group4, sizeof(group4));
	memcpy(&to6.sin6_addr, group6, sizeof(group6));
	if (six) {
		h.msg_name = &to6;
		h.msg_namelen = sizeof(to6);
	} else {
		h.msg_name = &to4;
		h.msg_namelen = sizeof(to4);
		h.msg_control = control.buf;
		h.msg_controllen = sizeof(control.buf);
		cm = CMSG_FIRSTHDR(&h);
		cm->cmsg_level = IPPROTO_IP;
		cm->cmsg_type = IP_PKTINFO;
		cm->cmsg_len = CMSG_LEN(sizeof(from));
		memcpy(CMSG_DATA(cm), &from, sizeof(from));
	}
	/* A datagram may be lost anywhere, here too. */
	(void)sendmsg(s->fd[six ? 1 : 0], &h, MSG_DONTWAIT);
}

static void
send_round(const struct seek *s, int round)
{
	for (size_t i = 0; i < s->nplaces; i++) {
		if (s->place[i].has4 && s->fd[0] >= 0)
			send_one(s, &s->packet[round], &s->place[i], false);
		if (s->place[i].has6 && s->fd[1] >= 0)
			send_one(s, &s->packet[round], &s->place[i], true);
	}
}

/* --- answers --- */

struct heard {
	struct addr	from;
	struct sockaddr_storage raw;
	unsigned	index;
	int		hops;
	size_t		len;
	uint8_t		data[PACKET_ANSWER_MAX + 1];
};

static void
read_control(struct msghdr *h, struct heard *x)
{
	struct in6_pktinfo six;
	struct in_pktinfo four;
	struct cmsghdr *cm;

	for (cm = CMSG_FIRSTHDR(h); cm != NULL; cm = CMSG_NXTHDR(h, cm)) {
		if ((cm->cmsg_level == IPPROTO_IP &&
		    cm->cmsg_type == IP_TTL) ||
		    (cm->cmsg_level == IPPROTO_IPV6 &&
		    cm->cmsg_type == IPV6_HOPLIMIT)) {
			memcpy(&x->hops, CMSG_DATA(cm), sizeof(x->hops));
		} else if (cm->cmsg_level == IPPROTO_IP &&
		    cm->cmsg_type == IP_PKTINFO) {
			memcpy(&four, CMSG_DATA(cm), sizeof(four));
			x->index = (unsigned)four.ipi_ifindex;
		} else if (cm->cmsg_level == IPPROTO_IPV6 &&
		    cm->cmsg_type == IPV6_PKTINFO) {
			memcpy(&six, CMSG_DATA(cm), sizeof(six));
			x->index = six.ipi6_ifindex;
		}
	}
}

static int
hear(int fd, struct heard *x)
{
	union {
		char		buf[256];
		struct cmsghdr	align;
	} control;
	struct iovec iov = { .iov_base = x->data, .iov_len = sizeof(x->data) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_name = &x->raw, .msg_namelen = sizeof(x->raw),
	    .msg_control = control.buf,
	    .msg_controllen = sizeof(control.buf) };
	ssize_t n = recvmsg(fd, &h, MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR ? RC_OK : RC_AGAIN;
	x->index = 0;
	x->hops = -1;
	x->len = (size_t)n;
	read_control(&h, x);
	addr_from_sockaddr(&x->from, (const struct sockaddr *)&x->raw,
	    h.msg_namelen);
	return RC_OK;
}

/* From a neighbour on a link that we asked on: no router lets a packet of one
 * hop through. */
static bool
is_near(struct seek *s, const struct heard *x)
{
	const struct place *p = place_of(s, x->index);
	struct in_addr a;

	if (p == NULL || x->hops != 1)
		return false;
	if (x->from.family == 6)
		return p->has6 && x->from.b[0] == 0xfe &&
		    (x->from.b[1] & 0xc0) == 0x80;
	memcpy(&a, x->from.b, sizeof(a));
	return x->from.family == 4 && p->has4 &&
	    ((a.s_addr ^ p->addr4.s_addr) & p->mask4.s_addr) == 0;
}

static bool
is_ours(const struct seek *s, const struct packet_look *l)
{
	for (uint8_t i = 0; i < l->n; i++)
		if (memcmp(l->nonces + (size_t)i * PACKET_NONCE_LEN, s->nonce,
		    PACKET_NONCE_LEN) == 0)
			return true;
	return false;
}

static bool
is_known(const struct seek *s, const uint8_t *identity, uint8_t family)
{
	for (size_t i = 0; i < s->nfound; i++)
		if (s->found[i].family == family &&
		    memcmp(s->found[i].identity, identity, ED25519_LEN) == 0)
			return true;
	return false;
}

static void
tell(struct seek *s, const struct heard *x, const struct packet *p)
{
	struct wbuf b = WBUF_INIT(512);

	memcpy(s->found[s->nfound].identity, p->info.identity, ED25519_LEN);
	s->found[s->nfound++].family = x->from.family;
	wbuf_u32(&b, x->index);
	addr_put(&b, &x->from);
	peer_info_put(&b, &p->info);
	(void)chan_send(s->env.parent, MSG_SEEK_SEEN, &b, -1);
	wbuf_free(&b);
}

/* Cheap looks first; whatever is wrong with it, nobody hears of it. */
static void
consider(struct seek *s, const struct heard *x)
{
	struct packet_look l;
	struct packet p;
	uint64_t mark;

	if (x->len > PACKET_ANSWER_MAX || !is_near(s, x) ||
	    packet_look(&l, x->data, x->len) != RC_OK ||
	    l.type != PACKET_ANSWER || !is_ours(s, &l) ||
	    is_known(s, l.identity, x->from.family) ||
	    s->nfound == FOUND_MAX || s->checks == CHECKS_MAX ||
	    puzzle_check(s->puzzle, x->data, l.puzzle_at, &mark) != RC_OK)
		return;
	s->checks++;
	if (packet_verify(x->data, x->len) == RC_OK &&
	    packet_get(&p, x->data, x->len) == RC_OK)
		tell(s, x, &p);
}

static void
listen_once(struct seek *s, int wait_ms)
{
	struct pollfd p[3] = {
		{ .fd = s->fd[0], .events = POLLIN },
		{ .fd = s->fd[1], .events = POLLIN },
		{ .fd = chan_fd(s->env.parent), .events = POLLIN },
	};
	struct heard x;

	if (poll(p, NITEMS(p), wait_ms) <= 0)
		return;
	if (p[2].revents != 0)
		s->ms = 0;		/* STOP, or the end of the command */
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < 64 && (p[i].revents & POLLIN) != 0 &&
		    hear(s->fd[i], &x) == RC_OK; k++)
			consider(s, &x);
}

static void
seek(struct seek *s)
{
	uint64_t begin = io_now_ms(), now = begin, due, until;
	struct wbuf b = WBUF_INIT(4);
	unsigned asked = 0;
	int round = 0;

	for (size_t i = 0; i < s->nplaces; i++)
		asked += (s->place[i].has4 && s->fd[0] >= 0) ||
		    (s->place[i].has6 && s->fd[1] >= 0);
	if (asked == 0)
		s->ms = 0;
	while (now - begin < s->ms) {
		due = begin + (uint64_t)round * ROUND_MS;
		if (round < ROUNDS && now >= due) {
			send_round(s, round++);
			due += ROUND_MS;
		}
		until = begin + s->ms;
		if (round < ROUNDS && due < until)
			until = due;
		listen_once(s, until > now ? (int)(until - now) : 0);
		now = io_now_ms();
	}
	wbuf_u32(&b, asked);
	(void)chan_send(s->env.parent, MSG_SEEK_END, &b, -1);
	wbuf_free(&b);
}

/* Orders come from the command, so they are taken before the sandbox. */
static void
take_orders(struct seek *s)
{
	struct msg m;
	int rc;

	if ((rc = chan_expect(s->env.parent, MSG_SEEK, &m, ORDER_MS)) !=
	    RC_OK || (rc = rbuf_u16(&m.body, &s->port_ask)) != RC_OK ||
	    (rc = rbuf_u16(&m.body, &s->port_hear)) != RC_OK ||
	    (rc = rbuf_u16(&m.body, &s->port_gui)) != RC_OK ||
	    (rc = rbuf_u32(&m.body, &s->ms)) != RC_OK ||
	    (rc = rbuf_end(&m.body)) != RC_OK)
		fatal("SEEK: %s", rc_str(rc));
	if (s->ms > WAIT_MAX_MS)
		s->ms = WAIT_MAX_MS;
}

int
main(void)
{
	static struct seek s;
	int rc;

	role_begin(&s.env, ROLE_SEEK, ROLE_COMMAND, false);
	take_orders(&s);
	find_places(&s);
	s.fd[0] = open4(s.port_hear);
	s.fd[1] = open6(s.port_hear);
	join(&s);
	if ((rc = make_requests(&s)) != RC_OK)
		fatal("the request could not be made: %s", rc_str(rc));
	role_drop(&s.env);
	role_enter(&s.env);

	seek(&s);
	for (int i = 0; i < ROUNDS; i++)
		wbuf_free(&s.packet[i]);
	puzzle_free(s.puzzle);
	chan_free(s.env.parent);
	return 0;
}
