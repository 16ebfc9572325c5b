#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/discovery/dialrule.h"
#include "server/discovery/onlink.h"
#include "server/relog.h"

/*
 * sg-dialer: the one role of the server that connects.  It judges the address,
 * makes the connection and gives the socket away; it never reads a byte from
 * what it dialled.
 *
 *	sg-dialer			started by the master
 *	sg-dialer --connect SOCKET	started by systemd, in a unit that has a
 *					network; it comes to the master by itself
 *
 * The networks that this host is on are those of the start: one that comes later
 * and is not in a private range is dialled by hand, or after a restart.
 */
#define DIALS_MAX	16
#define DIAL_MS		5000
#define FD_PARENT	3
#define FD_LOG		4
#define FD_SPARE	5		/* the first that nobody expects */
#define MASTER_MS	30000

struct attempt {
	struct dial_req	 req;
	int		 fd;
	uint64_t	 until;
};

static struct {
	struct role_env	 env;
	struct dial_nets nets;
	struct attempt	 v[DIALS_MAX];
	size_t		 n;
	struct pollfd	 pfd[DIALS_MAX + 1];
	bool		 stop;
} self;

/* --- answers --- */

static void
answer(uint32_t dial, int rc, int fd)
{
	struct wbuf b = WBUF_INIT(8);
	int sent;

	wbuf_u32(&b, dial);
	wbuf_u8(&b, (uint8_t)-rc);
	sent = chan_send(self.env.parent, MSG_DIALED, &b, fd);
	wbuf_free(&b);
	if (sent != RC_OK && sent != RC_EOF)
		log_warn("dial %u: answer not sent: %s", dial, rc_str(sent));
}

static int
rc_of(int err)
{
	switch (err) {
	case 0:
		return RC_OK;
	case ECONNREFUSED:
		return RC_REFUSED;
	case ETIMEDOUT:
		return RC_TIMEOUT;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case EADDRNOTAVAIL:
	case EINVAL:			/* link-local, without its interface */
	case EACCES:			/* a local firewall, or a broadcast */
	case EPERM:
		return RC_UNREACHABLE;
	}
	return rc_errno(err) == RC_OK ? RC_IO : rc_errno(err);
}

/* Takes the descriptor.  Who probes wants to know whether, not to talk. */
static void
finish(const struct dial_req *r, int rc, int fd)
{
	char text[ADDR_TEXT_MAX];

	log_debug("dial %u: %s port %u: %s", r->dial, addr_text(&r->addr, text,
	    sizeof(text)), r->addr.port, rc_str(rc));
	if (rc != RC_OK || r->purpose == DIAL_PROBE)
		fd_close(&fd);
	answer(r->dial, rc, fd);
	fd_close(&fd);
}

/* --- attempts --- */

static void
begin(const struct dial_req *r)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&r->addr, &ss);
	int fd, err = 0;

	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd == -1) {
		err = errno;
		finish(r, err == EAFNOSUPPORT ? RC_UNREACHABLE :
		    rc_errno(err), -1);
		return;
	}
	if (connect(fd, (struct sockaddr *)&ss, len) == -1)
		err = errno;
	if (err == EINPROGRESS || err == EINTR) {
		self.v[self.n].req = *r;
		self.v[self.n].fd = fd;
		self.v[self.n++].until = io_now_ms() + DIAL_MS;
		return;
	}
	finish(r, rc_of(err), fd);
}

static void
end(size_t i, int rc)
{
	struct attempt a = self.v[i];

	self.v[i] = self.v[--self.n];
	finish(&a.req, rc, a.fd);
}

static int
outcome(int fd)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1)
		err = errno;
	return rc_of(err);
}

/* --- the master --- */

static int
on_dial(void *arg, struct chan *c, struct msg *m)
{
	struct dial_req r = { 0 };
	char text[ADDR_TEXT_MAX];
	const char *why = "";
	int rc;

	(void)arg;
	(void)c;
	/* whose key it should be is the peer process's business */
	if ((rc = rbuf_u32(&m->body, &r.dial)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &r.purpose)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &r.how)) != RC_OK ||
	    (rc = addr_get(&m->body, &r.addr)) != RC_OK ||
	    (rc = rbuf_u16(&m->body, &r.port_gui)) != RC_OK ||
	    (rc = rbuf_skip(&m->body, 64)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (dialrule_check(&r, &self.nets, &why) != RC_OK) {
		log_notice("dial %u: %s port %u is not dialled: %s", r.dial,
		    addr_text(&r.addr, text, sizeof(text)), r.addr.port, why);
		answer(r.dial, RC_DENIED, -1);
	} else if (self.n == DIALS_MAX) {
		answer(r.dial, RC_BUSY, -1);
	} else {
		begin(&r);
	}
	return RC_OK;
}

static int
on_new_chan(void *arg, struct chan *c, struct msg *m)
{
	(void)arg;
	(void)c;
	return relog(&self.env, m);
}

/* A connection that is not made yet is worth nothing to anybody. */
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
	{ MSG_DIAL,		1, on_dial },
	{ MSG_NEW_CHAN,		1, on_new_chan },
	{ MSG_STOP,		1, on_stop },
};

static void
from_parent(void)
{
	struct msg m;
	int rc;

	while (!self.stop) {
		rc = chan_recv_wait(self.env.parent, &m, 0);
		if (rc == RC_TIMEOUT)
			return;
		if (rc == RC_EOF)
			exit(0);
		if (rc == RC_OK)
			rc = handle(from_master, NITEMS(from_master), 1, NULL,
			    self.env.parent, &m);
		if (rc != RC_OK)
			fatal("master: %s: %s", msg_name(m.type), rc_str(rc));
	}
}

/* --- the loop --- */

static int
prepare(void)
{
	uint64_t now = io_now_ms(), due = UINT64_MAX;

	self.pfd[0] = (struct pollfd){ .fd = chan_fd(self.env.parent),
	    .events = POLLIN };
	for (size_t i = 0; i < self.n; i++) {
		self.pfd[i + 1] = (struct pollfd){ .fd = self.v[i].fd,
		    .events = POLLOUT };
		if (self.v[i].until < due)
			due = self.v[i].until;
	}
	if (due == UINT64_MAX)
		return -1;
	return due <= now ? 0 : (int)(due - now);
}

static void
loop(void)
{
	uint64_t now;
	int wait;

	while (!self.stop) {
		wait = prepare();
		if (poll(self.pfd, (nfds_t)self.n + 1, wait) < 0)
			continue;
		now = io_now_ms();
		/* backwards: the last takes the place of one that ended */
		for (size_t i = self.n; i-- > 0;) {
			if (self.pfd[i + 1].revents != 0)
				end(i, outcome(self.v[i].fd));
			else if (self.v[i].until <= now)
				end(i, RC_TIMEOUT);
		}
		if (self.pfd[0].revents != 0)
			from_parent();
	}
}

/* --- set-up --- */

static int
to_master(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		fatal("%s: too long for a socket's name", path);
	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		fatal("%s: %s", path, strerror(errno));
	return fd;
}

/* The master's first message brings the log channel; both then lie where the
 * master would have put them for a child, and START follows. */
static void
come_to_master(const char *path)
{
	int fd = to_master(path), high, log = -1, rc;
	struct chan *c = NULL;
	struct msg m;

	if ((high = fcntl(fd, F_DUPFD_CLOEXEC, FD_SPARE)) == -1 ||
	    (c = chan_new(fcntl(fd, F_DUPFD_CLOEXEC, FD_SPARE), ROLE_DIALER,
	    ROLE_MASTER)) == NULL)
		fatal("%s: %s", path, strerror(errno));
	if ((rc = chan_expect(c, MSG_NEW_CHAN, &m, MASTER_MS)) != RC_OK)
		fatal("the server at %s takes no dialer: %s", path,
		    rc_str(rc));
	log = msg_take_fd(c, &m);
	if (log != FD_LOG) {
		if (dup3(log, FD_LOG, O_CLOEXEC) == -1)
			fatal("%s: %s", path, strerror(errno));
		fd_close(&log);
	}
	if (dup3(high, FD_PARENT, O_CLOEXEC) == -1)
		fatal("%s: %s", path, strerror(errno));
	fd_close(&high);
	if (fd != FD_PARENT && fd != FD_LOG)
		fd_close(&fd);
	chan_free(c);
}

int
main(int argc, char **argv)
{
	int rc;

	if (argc == 3 && strcmp(argv[1], "--connect") == 0)
		come_to_master(argv[2]);
	role_begin(&self.env, ROLE_DIALER, ROLE_MASTER, true);
	if ((rc = onlink_read(&self.nets)) != RC_OK)
		log_warn("the networks of this host are not all known: %s; "
		    "outside of private ranges, only peers entered by hand "
		    "are dialled", rc_str(rc));
	role_drop(&self.env);
	role_enter(&self.env);
	loop();
	return 0;
}
