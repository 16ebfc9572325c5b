/*
 * Starts sg-discover as its master does, with a key of its own, and prints what
 * it tells the catalog:
 *
 *	discover_drive PROGRAM mcast|scan ID SECONDS INTERVAL [PORT]
 *
 *	pid PID
 *	ready
 *	seen MS HOW ADDRESS ID FINGERPRINT
 *	cpu MS of MS
 *
 * A line on standard input asks at once.  With PORT (6363, or 32006 for the
 * scan) the ports are that and the next.
 */
#include "config.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/io.h"
#include "common/log.h"
#include "common/peerinfo.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/addr.h"
#include "server/keyd/keys.h"
#include "server/keyd/serve.h"

static struct {
	enum role	role;
	struct chan	*child, *log, *catalog, *keyd_master;
	struct keyd	*keyd;
	pid_t		pid;
	uint64_t	began;
} self;

static int
udp_socket(int family, uint16_t port, bool share)
{
	struct sockaddr_in s4 = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	struct sockaddr_in6 s6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(port) };
	static const int on = 1;
	int fd;

	if ((fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0)) == -1)
		fatal("socket: %s", strerror(errno));
	if (share)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on,
		    sizeof(on));
	if (bind(fd, family == AF_INET ? (struct sockaddr *)&s4 :
	    (struct sockaddr *)&s6, family == AF_INET ? sizeof(s4) :
	    sizeof(s6)) != 0)
		fatal("bind %u: %s", port, strerror(errno));
	return fd;
}

static int
netlink_socket(void)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK,
	    .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
	    RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    NETLINK_ROUTE);

	if (fd == -1 || bind(fd, (struct sockaddr *)&nl, sizeof(nl)) != 0)
		fatal("netlink: %s", strerror(errno));
	return fd;
}

static void
give(uint8_t kind, int fd)
{
	struct wbuf b = WBUF_INIT(8);

	wbuf_u8(&b, kind);
	if (chan_send(self.child, MSG_LISTEN, &b, fd) != RC_OK)
		fatal("LISTEN");
	wbuf_free(&b);
	close(fd);
}

/* Channels for descriptors 3 to 6; our ends by the far end's role. */
static void
start_child(const char *program)
{
	static const enum role ends[4] = { ROLE_MASTER, ROLE_LOGGER,
		ROLE_CATALOG, ROLE_KEYD };
	char title[32];
	char *argv[] = { title, NULL };
	int pair[4][2], i;
	struct wbuf b = WBUF_INIT(64);
	int ch[2];

	snprintf(title, sizeof(title), "storegrid: %s", role_name(self.role));
	for (i = 0; i < 4; i++)
		if (chan_pair(pair[i]) != RC_OK)
			fatal("chan_pair");
	if ((self.pid = fork()) == 0) {
		/* out of the way of 3 to 6 first */
		for (i = 0; i < 4; i++)
			pair[i][1] = dup2(pair[i][1], 40 + i);
		for (i = 0; i < 4; i++)
			if (dup2(pair[i][1], 3 + i) == -1)
				_exit(126);
		(void)close_range(7, ~0u, 0);
		execv(program, argv);
		_exit(127);
	}
	for (i = 0; i < 4; i++)
		close(pair[i][1]);
	self.child = chan_new(pair[0][0], ends[0], self.role);
	self.log = chan_new(pair[1][0], ends[1], self.role);
	self.catalog = chan_new(pair[2][0], ends[2], self.role);
	if (chan_pair(ch) != RC_OK)
		fatal("chan_pair");
	self.keyd_master = chan_new(ch[1], ROLE_KEYD, ROLE_MASTER);
	chan_set_nonblock(self.keyd_master);
	struct chan *m = chan_new(ch[0], ROLE_MASTER, ROLE_KEYD);
	wbuf_u32(&b, 1);
	wbuf_u8(&b, (uint8_t)self.role);
	wbuf_u8(&b, KEYD_USE_PACKET);
	wbuf_zeros(&b, 16);
	if (chan_send(m, MSG_KEYD_ADD, &b, pair[3][0]) != RC_OK ||
	    keyd_turn(self.keyd, self.keyd_master, 0, NULL, NULL) != RC_OK)
		fatal("KEYD_ADD");
	close(pair[3][0]);
	wbuf_free(&b);
}

static void
send_start(const struct conf *c)
{
	struct start s = { .role = self.role, .uid = getuid(),
		.gid = getgid(), .parent = getpid(),
		.log_level = LOG_LEVEL_INFO };
	struct wbuf b = WBUF_INIT(65536), conf = WBUF_INIT(65536);

	start_put(&b, &s);
	conf_put(&b, c);
	conf_put(&conf, c);
	if (chan_send(self.child, MSG_START, &b, -1) != RC_OK)
		fatal("START");
	if (self.role == ROLE_MCAST) {
		give(PORT_MCAST_REQ, udp_socket(AF_INET6, c->port_mcast_req, true));
		give(PORT_MCAST_REQ, udp_socket(AF_INET, c->port_mcast_req, true));
		give(PORT_MCAST_ANS, udp_socket(AF_INET6, c->port_mcast_ans, true));
		give(PORT_MCAST_ANS, udp_socket(AF_INET, c->port_mcast_ans, true));
	} else {
		give(PORT_SCAN, udp_socket(AF_INET6, c->port_scan, false));
		give(PORT_SCAN, udp_socket(AF_INET, c->port_scan, false));
	}
	give(PORT_NETLINK, netlink_socket());
	if (chan_send(self.child, MSG_CATALOG_CONF, &conf, -1) != RC_OK)
		fatal("CATALOG_CONF");
	wbuf_free(&b);
	wbuf_free(&conf);
}

static void
print_seen(struct msg *m)
{
	char text[ADDR_TEXT_MAX], fp[PEER_FP_LEN + 1];
	struct peer_info p;
	struct addr a;
	uint8_t how;

	if (m->type != MSG_PEER_SEEN || rbuf_u8(&m->body, &how) != RC_OK ||
	    addr_get(&m->body, &a) != RC_OK ||
	    peer_info_get(&m->body, &p) != RC_OK ||
	    rbuf_end(&m->body) != RC_OK)
		fatal("bad PEER_SEEN");
	peer_fingerprint(p.identity, fp);
	printf("seen %llu %s %s %s %s\n",
	    (unsigned long long)(io_now_ms() - self.began),
	    how == PEER_SCAN ? "scan" : "mcast",
	    addr_text(&a, text, sizeof(text)), p.id, fp);
}

static void
print_log(struct msg *m)
{
	char line[LOG_LINE_MAX + 1];
	uint8_t level;

	if (rbuf_u8(&m->body, &level) == RC_OK &&
	    rbuf_str(&m->body, line, sizeof(line)) == RC_OK)
		printf("log %u %s\n", level, line);
}

static void
loop(uint64_t until)
{
	struct pollfd p[4] = { { chan_fd(self.child), POLLIN, 0 },
		{ chan_fd(self.log), POLLIN, 0 },
		{ chan_fd(self.catalog), POLLIN, 0 }, { 0, POLLIN, 0 } };
	char line[64];
	struct msg m;

	while (io_now_ms() < until) {
		if (keyd_turn(self.keyd, self.keyd_master, 0, NULL, NULL) !=
		    RC_OK)
			fatal("keyd");
		if (poll(p, 4, 5) < 1)
			continue;
		if (p[0].revents != 0) {
			if (chan_recv(self.child, &m) != RC_OK)
				fatal("the child is gone");
			if (m.type == MSG_READY)
				puts("ready");
		}
		if (p[1].revents != 0 && chan_recv(self.log, &m) == RC_OK)
			print_log(&m);
		if (p[2].revents != 0 && chan_recv(self.catalog, &m) == RC_OK)
			print_seen(&m);
		if (p[3].revents != 0) {
			if (read(0, line, sizeof(line)) > 0)
				(void)chan_send(self.catalog, MSG_DISCOVER,
				    NULL, -1);
			else
				p[3].fd = -1;
		}
	}
}

int
main(int argc, char **argv)
{
	struct keys *keys;
	struct rusage ru;
	struct conf c;
	int status = 0;

	if (argc < 6)
		fatal("usage: discover_drive PROGRAM mcast|scan ID SECONDS "
		    "INTERVAL [PORT]");
	setvbuf(stdout, NULL, _IOLBF, 0);
	self.role = strcmp(argv[2], "scan") == 0 ? ROLE_SCAN : ROLE_MCAST;
	conf_defaults(&c);
	snprintf(c.id, sizeof(c.id), "%s", argv[3]);
	conf_finish(&c);
	c.mcast_interval = c.scan_interval = (uint32_t)atoi(argv[5]);
	c.scan_enabled = c.scan_answer = true;
	if (argc > 6) {
		c.port_mcast_req = c.port_scan = (uint16_t)atoi(argv[6]);
		c.port_mcast_ans = (uint16_t)(c.port_mcast_req + 1);
	}
	if (keys_make(&keys) != RC_OK ||
	    (self.keyd = keyd_new(keys)) == NULL)
		fatal("keys");
	self.began = io_now_ms();
	start_child(argv[1]);
	printf("pid %d\n", (int)self.pid);
	send_start(&c);
	loop(io_now_ms() + 1000 * (uint64_t)atoi(argv[4]));
	(void)chan_send(self.child, MSG_STOP, NULL, -1);
	if (wait4(self.pid, &status, 0, &ru) != self.pid || status != 0)
		fatal("the child ended with %d", status);
	printf("cpu %ld of %llu\n", (ru.ru_utime.tv_sec +
	    ru.ru_stime.tv_sec) * 1000 + (ru.ru_utime.tv_usec +
	    ru.ru_stime.tv_usec) / 1000,
	    (unsigned long long)(io_now_ms() - self.began));
	keyd_free(self.keyd);
	keys_free(keys);
	return 0;
}
