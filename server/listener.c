#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/proto.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/limits.h"
#include "server/relog.h"

/*
 * Accepts on all sockets, judges who may come, keeps each connection until its
 * first byte is there, and passes it to the master.  It never reads from a
 * connection: what it knows of one is its address, and that poll(2) says there
 * is something to read.
 */
#define SOCKETS_MAX	112
#define SILENT_CAP	4096		/* whatever Limits.Silent says */
#define CONTROL_MAX	64		/* on the control socket, unasked yet */
#define PASSED_MAX	48		/* on their way, our copy open */
#define CONNS_MAX	(SILENT_CAP + CONTROL_MAX + PASSED_MAX)
#define COUNTED_MAX	(SILENT_CAP + 8192)	/* and those with a worker */
#define ACCEPTS_PER_TURN 64
#define ACCEPT_PAUSE_MS	100
#define START_WAIT_MS	30000
#define LOG_BURST	200
#define LOG_PER_SECOND	50

struct conn {
	uint64_t	id;
	struct addr	addr;
	uint64_t	deadline;	/* of silence */
	int		fd;
	uint8_t		kind;
	uint8_t		verdict;
	bool		passed;		/* the master has it; a copy is kept to
					 * say "try later" */
};

static struct {
	struct role_env	 env;
	struct {
		int	 fd;
		uint8_t	 kind;
	}		 sock[SOCKETS_MAX];
	size_t		 nsock;
	struct conn	*conn;
	struct pollfd	*pfd;
	size_t		 nconn, nsilent_control, npassed;
	struct limits	*limits;
	struct addr_list access, access_gui, plain;
	uint32_t	 silent_ms;
	uint64_t	 next_id, now, pause_until;
	bool		 blocked;	/* the master's channel is full */
	bool		 stop;
	uint64_t	 log_at;
	uint32_t	 log_left;
	uint64_t	 log_lost;
} self;

/* --- what is logged, at a rate that a flood does not set --- */

static bool
may_log(void)
{
	uint64_t gained = (self.now - self.log_at) * LOG_PER_SECOND / 1000;

	if (gained > 0) {
		self.log_left = gained > LOG_BURST - self.log_left ? LOG_BURST :
		    self.log_left + (uint32_t)gained;
		self.log_at = self.now;
	}
	if (self.log_left == 0) {
		self.log_lost++;
		return false;
	}
	self.log_left--;
	if (self.log_lost > 0) {
		log_notice("conn-refused-more count=%llu",
		    (unsigned long long)self.log_lost);
		self.log_lost = 0;
	}
	return true;
}

static void
log_refused(const struct addr *a, const char *reason)
{
	char text[ADDR_TEXT_MAX];

	if (may_log())
		log_notice("conn-refused addr=%s port=%u reason=%s",
		    addr_text(a, text, sizeof(text)), a->port, reason);
}

static void
log_closed(const struct addr *a, const char *reason)
{
	char text[ADDR_TEXT_MAX];

	if (may_log())
		log_notice("conn-failed addr=%s port=%u reason=%s",
		    addr_text(a, text, sizeof(text)), a->port, reason);
}

/* --- refusing --- */

/*
 * One clear-text frame, which a client looks for before it speaks TLS.  It says
 * "try later" whatever the reason is, and nothing was read for it.
 */
static void
write_refusal(int fd, uint8_t kind)
{
	static const char http[] = "HTTP/1.1 503 Service Unavailable\r\n"
	    "Content-Length: 0\r\nConnection: close\r\nRetry-After: 1\r\n\r\n";
	struct wbuf body = WBUF_INIT(512);
	uint8_t out[PROTO_FRAME_LEN + 512];
	struct frame f = { .type = PROTO_ERROR };
	ssize_t n = 0;

	if (kind == PORT_CONTROL || kind == PORT_GUI) {
		n = write(fd, http, sizeof(http) - 1);
	} else {
		proto_err_put(&body, PROTO_ERR_LATER, "");
		if (wbuf_rc(&body) == RC_OK) {
			f.length = (uint32_t)body.len;
			frame_put(out, &f);
			memcpy(out + PROTO_FRAME_LEN, body.data, body.len);
			n = write(fd, out, PROTO_FRAME_LEN + body.len);
		}
		wbuf_free(&body);
	}
	/* A new socket has room for it; one that has not is not waited for. */
	(void)n;
}

static void
conn_close(size_t i, bool refuse)
{
	struct conn *c = &self.conn[i];

	if (refuse)
		write_refusal(c->fd, c->kind);
	fd_close(&c->fd);
	if (c->passed)
		self.npassed--;
	else if (c->kind == PORT_CONTROL)
		self.nsilent_control--;
	self.nconn--;
	self.conn[i] = self.conn[self.nconn];
}

static size_t
conn_find(uint64_t id)
{
	size_t i;

	for (i = 0; i < self.nconn; i++)
		if (self.conn[i].id == id)
			break;
	return i;
}

static void
evict(void)
{
	uint64_t id;
	size_t i;

	while ((id = limits_evict(self.limits)) != 0) {
		i = conn_find(id);
		limits_remove(self.limits, id, NULL);
		if (i == self.nconn)
			continue;
		log_closed(&self.conn[i].addr, "evicted");
		conn_close(i, true);
	}
}

/* --- accepting --- */

/* RC_OK: counted, and to be kept. */
static int
admit(struct conn *c)
{
	enum limits_verdict v;

	if (c->kind == PORT_CONTROL) {
		c->verdict = CONN_CLEAR;
		if (self.nsilent_control >= CONTROL_MAX)
			return RC_LIMIT;
		self.nsilent_control++;
		return RC_OK;
	}
	if (!addr_list_has(c->kind == PORT_GUI ? &self.access_gui :
	    &self.access, &c->addr)) {
		log_refused(&c->addr, "access");
		return RC_DENIED;
	}
	c->verdict = CONN_TLS;
	if (c->kind != PORT_SSL && addr_list_has(&self.plain, &c->addr))
		c->verdict |= CONN_CLEAR;
	v = limits_add(self.limits, c->id, &c->addr, self.now);
	if (v != LIMITS_OK) {
		log_refused(&c->addr, limits_reason(v));
		return RC_LIMIT;
	}
	evict();
	return RC_OK;
}

static int
accept_one(int lfd, uint8_t kind)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct conn c = { .kind = kind };

	memset(&ss, 0, sizeof(ss));
	c.fd = accept4(lfd, (struct sockaddr *)&ss, &len,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (c.fd == -1) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			self.pause_until = self.now + ACCEPT_PAUSE_MS;
		/* The others are the connection's own: it is gone again. */
		return errno == EAGAIN || self.pause_until > self.now ?
		    RC_AGAIN : RC_OK;
	}
	if (kind != PORT_CONTROL)
		addr_from_sockaddr(&c.addr, (struct sockaddr *)&ss, len);
	c.id = self.next_id++;
	c.deadline = self.now + self.silent_ms;
	if (self.nconn >= CONNS_MAX || admit(&c) != RC_OK) {
		write_refusal(c.fd, kind);
		fd_close(&c.fd);
		return RC_OK;
	}
	self.conn[self.nconn++] = c;
	return RC_OK;
}

static void
accept_many(size_t s)
{
	int i;

	for (i = 0; i < ACCEPTS_PER_TURN; i++)
		if (accept_one(self.sock[s].fd, self.sock[s].kind) != RC_OK)
			break;
}

/* --- passing on --- */

static void
pass(size_t i)
{
	struct conn *c = &self.conn[i];
	struct wbuf body = WBUF_INIT(64);
	int rc;

	wbuf_u64(&body, c->id);
	wbuf_u8(&body, c->kind);
	wbuf_u8(&body, c->verdict);
	addr_put(&body, &c->addr);
	rc = chan_send(self.env.parent, MSG_CONN, &body, c->fd);
	wbuf_free(&body);
	if (rc == RC_AGAIN) {
		self.blocked = true;
		return;
	}
	if (rc != RC_OK)
		fatal("master: %s", rc_str(rc));
	limits_spoke(self.limits, c->id);
	if (c->kind == PORT_CONTROL)
		self.nsilent_control--;
	c->passed = true;
	self.npassed++;
	/* Too many on their way: this one then ends without a word if no
	 * worker is to be had. */
	if (self.npassed > PASSED_MAX)
		conn_close(i, false);
}

/* The far side is gone already, or half of it, which no client of ours does:
 * not worth a worker. */
static void
hung_up(size_t i)
{
	struct conn *c = &self.conn[i];
	struct addr a;

	if (limits_remove(self.limits, c->id, &a)) {
		limits_penalise(self.limits, &a, PENALTY_NOLOGIN, self.now);
		log_closed(&a, "closed-early");
	}
	conn_close(i, false);
}

static void
too_silent(size_t i)
{
	struct conn *c = &self.conn[i];
	struct addr a;

	if (limits_remove(self.limits, c->id, &a)) {
		limits_penalise(self.limits, &a, PENALTY_SLOW, self.now);
		log_closed(&a, "silent");
	}
	conn_close(i, true);
}

/* --- the master --- */

static int
take_policy(struct rbuf *in)
{
	struct limits_opt o = { 0 };
	struct addr_list access, gui, plain;
	struct conf c;
	int rc;

	if ((rc = conf_get(in, &c)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK ||
	    (rc = addr_list_parse(&access, &c.access_server, NULL)) != RC_OK ||
	    (rc = addr_list_parse(&gui, &c.access_gui, NULL)) != RC_OK ||
	    (rc = addr_list_parse(&plain, &c.plaintext_from, NULL)) != RC_OK ||
	    (rc = addr_list_parse(&o.exempt, &c.exempt, NULL)) != RC_OK)
		return rc;
	o.silent_max = c.silent_max < SILENT_CAP ? c.silent_max : SILENT_CAP;
	o.per_source = c.per_address;
	o.per_network = c.per_network;
	self.access = access;
	self.access_gui = gui;
	self.plain = plain;
	self.silent_ms = c.silent_ms;
	if (self.limits != NULL)
		limits_set(self.limits, &o);
	else if ((self.limits = limits_new(&o, COUNTED_MAX)) == NULL)
		return RC_NOMEM;
	return RC_OK;
}

static int
on_policy(void *arg, struct chan *c, struct msg *m)
{
	(void)arg;
	(void)c;
	return take_policy(&m->body);
}

static int
on_conn_state(void *arg, struct chan *ch, struct msg *m)
{
	uint64_t id;
	uint8_t st;
	struct addr a, crashed = { 0 };
	size_t i;
	int rc;

	(void)arg;
	(void)ch;
	if ((rc = rbuf_u64(&m->body, &id)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &st)) != RC_OK ||
	    (st == CONN_CRASHED &&
	    (rc = addr_get(&m->body, &crashed)) != RC_OK) ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if ((i = conn_find(id)) < self.nconn && self.conn[i].passed) {
		if (st == CONN_REFUSED)
			log_refused(&self.conn[i].addr, "no-worker");
		conn_close(i, st == CONN_REFUSED);
	}
	/* Also of one that had logged in, and is counted no more. */
	if (st == CONN_CRASHED)
		limits_penalise(self.limits, &crashed, PENALTY_CRASH,
		    self.now);
	if (st == CONN_TAKEN || !limits_remove(self.limits, id, &a))
		return RC_OK;
	if (st == CONN_NOLOGIN)
		limits_penalise(self.limits, &a, PENALTY_NOLOGIN, self.now);
	else if (st == CONN_BADLOGIN)
		limits_penalise(self.limits, &a, PENALTY_BADLOGIN, self.now);
	return RC_OK;
}

static int
on_new_chan(void *arg, struct chan *c, struct msg *m)
{
	(void)arg;
	(void)c;
	return relog(&self.env, m);
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
	{ MSG_CONN_STATE,	1, on_conn_state },
	{ MSG_POLICY,		1, on_policy },
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

/* --- the loop --- */

/* Fills the poll array; returns how long poll may wait. */
static int
prepare(size_t *n)
{
	uint64_t due = UINT64_MAX;
	bool paused = self.pause_until > self.now;
	size_t i, k = 0;

	self.pfd[k++] = (struct pollfd){ chan_fd(self.env.parent),
	    (short)(POLLIN | (self.blocked ? POLLOUT : 0)), 0 };
	for (i = 0; i < self.nsock; i++)
		self.pfd[k++] = (struct pollfd){ paused || self.blocked ? -1 :
		    self.sock[i].fd, POLLIN, 0 };
	if (paused)
		due = self.pause_until;
	for (i = 0; i < self.nconn; i++) {
		/* A negative descriptor is skipped by poll: it keeps the
		 * arrays side by side. */
		self.pfd[k++] = (struct pollfd){ self.conn[i].passed ||
		    self.blocked ? -1 : self.conn[i].fd,
		    POLLIN | POLLRDHUP, 0 };
		if (!self.conn[i].passed && self.conn[i].deadline < due)
			due = self.conn[i].deadline;
	}
	*n = k;
	if (due == UINT64_MAX)
		return -1;
	return due <= self.now ? 0 : (int)(due - self.now);
}

/* A request on the control socket may be all that its sender has to say. */
static short
gone_events(const struct conn *c)
{
	return (short)(POLLHUP | POLLERR |
	    (c->kind == PORT_CONTROL ? 0 : POLLRDHUP));
}

static void
loop(void)
{
	size_t i, n, first;
	short ev;
	int wait;

	while (!self.stop) {
		self.now = io_now_ms();
		wait = prepare(&n);
		if (poll(self.pfd, (nfds_t)n, wait) < 0)
			continue;
		self.now = io_now_ms();
		/* Connections first and backwards: closing one moves the last
		 * into its place, which has been looked at already. */
		first = 1 + self.nsock;
		for (i = n - first; i-- > 0;) {
			ev = self.pfd[first + i].revents;
			if ((ev & gone_events(&self.conn[i])) != 0)
				hung_up(i);
			else if ((ev & POLLIN) != 0)
				pass(i);
			else if (!self.conn[i].passed &&
			    self.conn[i].deadline <= self.now)
				too_silent(i);
		}
		for (i = 0; i < self.nsock; i++)
			if (self.pfd[1 + i].revents != 0)
				accept_many(i);
		if ((self.pfd[0].revents & POLLOUT) != 0)
			self.blocked = false;
		if ((self.pfd[0].revents & ~POLLOUT) != 0)
			from_parent();
	}
}

/* LISTEN for each socket, then POLICY. */
static void
take_sockets(struct chan *c)
{
	struct msg m;
	uint8_t kind;
	int rc;

	for (;;) {
		if ((rc = chan_recv_wait(c, &m, START_WAIT_MS)) != RC_OK)
			fatal("sockets did not come: %s", rc_str(rc));
		if (m.type == MSG_POLICY)
			break;
		if (m.type != MSG_LISTEN || rbuf_u8(&m.body, &kind) != RC_OK ||
		    rbuf_end(&m.body) != RC_OK || self.nsock == SOCKETS_MAX)
			fatal("unexpected %s", msg_name(m.type));
		self.sock[self.nsock].kind = kind;
		self.sock[self.nsock++].fd = msg_take_fd(c, &m);
	}
	if ((rc = take_policy(&m.body)) != RC_OK)
		fatal("policy: %s", rc_str(rc));
}

int
main(void)
{
	role_begin(&self.env, ROLE_LISTENER, ROLE_MASTER, true);
	take_sockets(self.env.parent);
	self.conn = calloc(CONNS_MAX, sizeof(*self.conn));
	self.pfd = calloc(CONNS_MAX + SOCKETS_MAX + 1, sizeof(*self.pfd));
	if (self.conn == NULL || self.pfd == NULL)
		fatal("out of memory");
	/* Unlike any number that a predecessor gave. */
	self.next_id = (uint64_t)io_wall_ns();
	self.log_left = LOG_BURST;
	self.log_at = io_now_ms();
	role_drop(&self.env);
	role_enter(&self.env);
	chan_set_nonblock(self.env.parent);
	loop();
	return 0;
}
