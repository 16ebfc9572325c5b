#include "config.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "server/discovery/discover.h"
#include "server/relog.h"

/*
 * sg-discover: multicast discovery as `mcast`, the subnet scan as `scan`.  Its
 * sockets come open and bound; behind the sandbox it sends, receives and joins
 * groups, and has its packets signed by keyd.
 */
#define FD_CATALOG	5
#define FD_KEYD		6
#define CERT_MAX	4096
#define START_WAIT_MS	30000
#define KEYD_MS		15000
#define KEYD_GONE_MS	60000		/* until a new one must have come */
#define RECV_PER_TURN	256		/* of one socket */
#define FLOOD_PER_TURN	16		/* from here on packets are let gather */
#define GATHER_MS	2		/* the least buffer holds 300 packets */
#define DUMP_AGAIN_MS	1000

static struct disc self = { .nl = -1, .packet = WBUF_INIT(PACKET_REQUEST_LEN) };
static uint64_t dump_at = UINT64_MAX;	/* when to ask for all interfaces */
static uint16_t dumping;		/* what was asked for last */

/* --- interfaces --- */

static void
ask_dump(uint16_t type)
{
	struct wbuf b = WBUF_INIT(64);
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct iovec iov;
	struct msghdr mh = { .msg_name = &to, .msg_namelen = sizeof(to),
		.msg_iov = &iov, .msg_iovlen = 1 };

	ifaces_dump(&self.ifaces, type, &b);
	dumping = type;
	iov = (struct iovec){ b.data, b.len };
	dump_at = UINT64_MAX;
	if (wbuf_rc(&b) != RC_OK || sendmsg(self.nl, &mh, MSG_DONTWAIT) < 0)
		dump_at = self.now + DUMP_AGAIN_MS;
	wbuf_free(&b);
}

static void
on_table(unsigned int what)
{
	if ((what & IFACES_AGAIN) != 0)
		dump_at = self.now + DUMP_AGAIN_MS;
	else if ((what & IFACES_DONE) != 0 && dumping == RTM_GETLINK)
		ask_dump(RTM_GETADDR);
	else if ((what & IFACES_DONE) != 0)
		self.nl_ready = true;
	if (self.nl_ready && what != 0)
		self.ops->ifaces(&self);
}

/* RC_AGAIN: no more.  Only the kernel's own datagrams count. */
static int
recv_table(void)
{
	static uint8_t data[IFACES_DATAGRAM_MAX];
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { data, sizeof(data) };
	struct msghdr mh = { .msg_name = &from, .msg_namelen = sizeof(from),
		.msg_iov = &iov, .msg_iovlen = 1 };
	unsigned int what = 0;
	ssize_t n;

	if ((n = recvmsg(self.nl, &mh, MSG_DONTWAIT)) < 0) {
		if (errno == EAGAIN)
			return RC_AGAIN;
		/* events were lost: the table is to be read anew */
		on_table(IFACES_AGAIN);
		return RC_OK;
	}
	if (from.nl_pid != 0)
		return RC_OK;
	if ((mh.msg_flags & MSG_TRUNC) != 0 ||
	    ifaces_read(&self.ifaces, data, (size_t)n, &what) != RC_OK)
		what |= IFACES_AGAIN;
	on_table(what);
	return RC_OK;
}

static void
drain_table(void)
{
	int i;

	for (i = 0; i < RECV_PER_TURN && recv_table() == RC_OK; i++)
		;
}

/* --- the master --- */

static uint16_t
interval_of(uint32_t seconds)
{
	return seconds > UINT16_MAX ? UINT16_MAX : (uint16_t)seconds;
}

static int
take_conf(struct rbuf *in)
{
	struct peer_info *me = &self.me;
	struct conf c;
	bool serves;
	int rc;

	if ((rc = conf_get(in, &c)) != RC_OK || (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (!peer_id_ok(c.id))
		return RC_CONFIG;
	self.conf = c;
	serves = c.mode == CONF_MODE_SERVER || c.mode == CONF_MODE_BOTH;
	memcpy(me->id, c.id, sizeof(me->id));
	me->mode = c.mode;
	me->port_server = serves ? c.port_server : 0;
	me->port_ssl = serves && c.ssl_enabled ? c.port_ssl : 0;
	me->port_gui = c.port_gui;
	me->port_webssl = 0;		/* not open yet */
	me->interval = interval_of(self.ops->interval(&self));
	return RC_OK;
}

static int
on_conf(void *arg, struct chan *c, struct msg *m)
{
	uint64_t soonest;
	int rc;

	(void)arg;
	(void)c;
	if ((rc = take_conf(&m->body)) != RC_OK)
		return rc;
	/* a shorter interval counts from now */
	soonest = self.now + say_jitter(self.ops->interval(&self) * 1000ull);
	if (self.next_round > soonest)
		self.next_round = soonest;
	return RC_OK;
}

static void
lose(struct chan **c)
{
	if (c == &self.keyd) {
		self.keyd_gone = self.now;
		/* what it had is asked of the next one */
		if (self.say == SAY_SIGNING)
			self.say = SAY_SOLVED;
	}
	chan_free(*c);
	*c = NULL;
}

static int
on_new_chan(void *arg, struct chan *parent, struct msg *m)
{
	struct chan **slot;
	struct rbuf body = m->body;
	uint8_t role;
	int rc;

	(void)arg;
	if ((rc = relog(&self.env, m)) != RC_UNSUPPORTED)
		return rc;
	if ((rc = rbuf_u8(&body, &role)) != RC_OK)
		return rc;
	slot = role == ROLE_CATALOG ? &self.catalog :
	    role == ROLE_KEYD ? &self.keyd : NULL;
	if (slot == NULL)
		return RC_RANGE;
	lose(slot);
	*slot = chan_new(msg_take_fd(parent, m), self.env.start.role,
	    (enum role)role);
	return *slot == NULL ? RC_NOMEM : chan_set_nonblock(*slot);
}

static int
on_stop(void *arg, struct chan *c, struct msg *m)
{
	(void)arg;
	(void)c;
	(void)m;
	self.stop = true;
	return RC_OK;
}

static const struct handler from_master[] = {
	{ MSG_CATALOG_CONF,	1, on_conf },
	{ MSG_NEW_CHAN,		1, on_new_chan },
	{ MSG_STOP,		1, on_stop },
};

static void
from_parent(void)
{
	struct msg m;
	int rc;

	while (!self.stop &&
	    (rc = chan_recv(self.env.parent, &m)) != RC_AGAIN) {
		if (rc == RC_EOF)
			exit(0);
		if (rc == RC_OK)
			rc = handle(from_master, NITEMS(from_master), 1, NULL,
			    self.env.parent, &m);
		if (rc != RC_OK)
			fatal("master: %s: %s", msg_name(m.type), rc_str(rc));
	}
}

/* --- keyd and catalog --- */

static void
from_keyd(void)
{
	struct msg m;
	int rc;

	while (self.keyd != NULL) {
		rc = chan_recv(self.keyd, &m);
		if (rc == RC_AGAIN)
			return;
		if (rc == RC_OK && m.type == MSG_KEYD_SIG)
			rc = say_signature(&self, &m);
		else if (rc == RC_OK)
			rc = RC_STATE;
		if (rc == RC_OK)
			continue;
		if (rc != RC_EOF)
			log_warn("keyd: %s", rc_str(rc));
		lose(&self.keyd);
	}
}

static void
from_catalog(void)
{
	struct msg m;
	int rc;

	while (self.catalog != NULL) {
		rc = chan_recv(self.catalog, &m);
		if (rc == RC_AGAIN)
			return;
		if (rc == RC_OK && m.type == MSG_DISCOVER) {
			self.ask_now = true;
			continue;
		}
		if (rc != RC_EOF)
			log_warn("catalog: %s",
			    rc_str(rc == RC_OK ? RC_STATE : rc));
		lose(&self.catalog);
	}
}

/* --- the loop --- */

static void
recv_packets(const struct udp *u, size_t *n)
{
	static struct heard h;
	size_t i;
	int rc;

	for (i = 0; i < RECV_PER_TURN; i++) {
		if ((rc = udp_recv(u, &h)) == RC_AGAIN)
			break;
		if (rc == RC_OK)
			hear(&self, &h);
	}
	*n += i;
}

#define POLL_MAX	(4 + DISC_SOCKETS)

static size_t
prepare(struct pollfd *p)
{
	size_t i, n = 0;

	p[n++] = (struct pollfd){ chan_fd(self.env.parent), POLLIN, 0 };
	p[n++] = (struct pollfd){ self.keyd != NULL ? chan_fd(self.keyd) : -1,
	    (short)(POLLIN | (self.say == SAY_SOLVED ? POLLOUT : 0)), 0 };
	p[n++] = (struct pollfd){ self.catalog != NULL ?
	    chan_fd(self.catalog) : -1, POLLIN, 0 };
	p[n++] = (struct pollfd){ self.nl, POLLIN, 0 };
	/* In a flood packets are let gather for a moment: one wake-up for
	 * many costs a fraction of one for each. */
	for (i = 0; i < self.nsock; i++)
		p[n++] = (struct pollfd){ self.busy ? -1 : self.sock[i].fd,
		    POLLIN, 0 };
	return n;
}

static int
wait_ms(uint64_t due, bool more)
{
	if (more)
		return 0;
	if (self.busy)
		return GATHER_MS;
	if (dump_at < due)
		due = dump_at;
	if (self.keyd == NULL && self.keyd_gone + KEYD_GONE_MS < due)
		due = self.keyd_gone + KEYD_GONE_MS;
	if (due == UINT64_MAX)
		return -1;
	if (due <= self.now)
		return 0;
	return due - self.now > INT32_MAX ? INT32_MAX : (int)(due - self.now);
}

static void
serve(const struct pollfd *p)
{
	size_t i, n = 0;

	self.now = io_now_ms();
	self.wall = io_wall_ns();
	if (p[0].revents != 0)
		from_parent();
	if (p[1].revents != 0)
		from_keyd();
	if (p[2].revents != 0)
		from_catalog();
	if (p[3].revents != 0)
		drain_table();
	for (i = 0; i < self.nsock; i++)
		if (self.busy || p[4 + i].revents != 0)
			recv_packets(&self.sock[i], &n);
	self.busy = n >= FLOOD_PER_TURN;
	/* both again, whichever failed; meanwhile what is known stands */
	if (self.now >= dump_at)
		ask_dump(RTM_GETLINK);
	if (self.keyd == NULL && self.now - self.keyd_gone > KEYD_GONE_MS)
		fatal("keyd is gone, and no other came");
}

static void
loop(void)
{
	struct pollfd p[POLL_MAX];
	uint64_t due;
	bool more;
	size_t n;

	while (!self.stop) {
		due = self.ops->turn(&self);
		more = say_turn(&self);
		n = prepare(p);
		if (poll(p, (nfds_t)n, wait_ms(due, more)) >= 0)
			serve(p);
	}
}

/* --- set-up --- */

/* getsockname() is not for a role; this option only IPv6 sockets take. */
static uint8_t
family_of(int fd)
{
	static const int on = 1;

	return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on,
	    sizeof(on)) == 0 ? 6 : 4;
}

static void
take_socket(uint8_t kind, int fd)
{
	uint8_t family;

	if (kind == PORT_NETLINK && self.nl == -1) {
		self.nl = fd;
		return;
	}
	if (self.nsock == DISC_SOCKETS || (kind != PORT_MCAST_REQ &&
	    kind != PORT_MCAST_ANS && kind != PORT_SCAN))
		fatal("a socket that is not for this role");
	family = family_of(fd);
	/* nobody can walk an IPv6 subnet */
	if (kind == PORT_SCAN && family == 6) {
		close(fd);
		return;
	}
	self.sock[self.nsock++] = (struct udp){ fd, kind, family,
	    kind == PORT_MCAST_REQ ? self.conf.port_mcast_req :
	    kind == PORT_MCAST_ANS ? self.conf.port_mcast_ans :
	    self.conf.port_scan };
}

/* IPv4 is read first: of two copies of a packet that one counts. */
static void
sort_sockets(void)
{
	struct udp u;
	size_t i, k;

	for (i = 0; i < self.nsock; i++)
		for (k = i + 1; k < self.nsock; k++)
			if (self.sock[k].family < self.sock[i].family) {
				u = self.sock[i];
				self.sock[i] = self.sock[k];
				self.sock[k] = u;
			}
}

/* LISTEN for each, then CATALOG_CONF. */
static void
take_sockets(void)
{
	struct msg m;
	uint8_t kind;
	int rc;

	for (;;) {
		if ((rc = chan_recv_wait(self.env.parent, &m,
		    START_WAIT_MS)) != RC_OK)
			fatal("sockets did not come: %s", rc_str(rc));
		if (m.type == MSG_CATALOG_CONF)
			break;
		if (m.type != MSG_LISTEN || rbuf_u8(&m.body, &kind) != RC_OK ||
		    rbuf_end(&m.body) != RC_OK)
			fatal("unexpected %s", msg_name(m.type));
		take_socket(kind, msg_take_fd(self.env.parent, &m));
	}
	if ((rc = take_conf(&m.body)) != RC_OK)
		fatal("configuration: %s", rc_str(rc));
	sort_sockets();
	if (self.nl == -1)
		log_warn("interfaces are not known: no discovery");
}

static void
get_keys(void)
{
	const uint8_t *cert;
	struct msg m;
	size_t n;
	int rc;

	if ((rc = chan_send(self.keyd, MSG_KEYD_INFO, NULL, -1)) != RC_OK ||
	    (rc = chan_expect(self.keyd, MSG_KEYD_INFO_OK, &m, KEYD_MS)) !=
	    RC_OK || (rc = rbuf_bytes(&m.body, self.me.identity,
	    ED25519_LEN)) != RC_OK ||
	    (rc = rbuf_bytes(&m.body, self.me.pin, SHA256_LEN)) != RC_OK ||
	    (rc = rbuf_blob16(&m.body, &cert, &n, CERT_MAX)) != RC_OK ||
	    (rc = rbuf_skip(&m.body, ED25519_SIG_LEN)) != RC_OK ||
	    (rc = rbuf_end(&m.body)) != RC_OK)
		fatal("keyd: %s", rc_str(rc));
}

/* One program, two roles: which one stands in its title ("storegrid: scan"),
 * since the channel is made for a role before START is read. */
static enum role
role_of(const char *title)
{
	static const char end[] = " scan";
	size_t n = strlen(title);

	return n >= sizeof(end) - 1 &&
	    strcmp(title + n - (sizeof(end) - 1), end) == 0 ? ROLE_SCAN :
	    ROLE_MCAST;
}

static void
set_up(enum role role)
{
	int rc;

	role_begin(&self.env, role, ROLE_MASTER, true);
	self.ops = role == ROLE_SCAN ? &scan_ops : &mcast_ops;
	if ((rc = take_conf(&self.env.start.rest)) != RC_OK)
		fatal("START: %s", rc_str(rc));
	self.catalog = role_chan(&self.env, FD_CATALOG, ROLE_CATALOG);
	self.keyd = role_chan(&self.env, FD_KEYD, ROLE_KEYD);
	if (self.catalog == NULL || self.keyd == NULL)
		fatal("no channel to catalog or keyd");
	if ((rc = digest_setup()) != RC_OK)
		fatal("digests: %s", rc_str(rc));
	get_keys();
	take_sockets();
	self.now = io_now_ms();
	if ((self.limit = limit_new(self.now)) == NULL ||
	    (self.puzzle = puzzle_new()) == NULL)
		fatal("out of memory");
	udp_set_up(&self);
	role_drop(&self.env);
	role_enter(&self.env);
	chan_set_nonblock(self.env.parent);
	chan_set_nonblock(self.keyd);
	chan_set_nonblock(self.catalog);
}

int
main(int argc, char **argv)
{
	set_up(argc > 0 ? role_of(argv[0]) : ROLE_MCAST);
	self.wall = io_wall_ns();
	/* the first round waits for the interfaces, no longer */
	if (self.nl != -1)
		ask_dump(RTM_GETLINK);
	loop();
	self.ops->done(&self);
	wbuf_free(&self.packet);
	puzzle_free(self.puzzle);
	limit_free(self.limit);
	return 0;
}
