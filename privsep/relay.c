#include "config.h"

#include "privsep/relay.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/relay_priv.h"

#define PING_IDLE_MS	30000
#define LINGER_MS	2000
#define STOP_MS		8000		/* the master waits 10 s, then kills */
#define STOP_QUIET_MS	3000		/* nobody is doing anything */

struct relay *
relay_new(const struct relay_opt *o)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->fd = o->fd;
	r->tls = o->tls;
	r->side = o->side;
	r->ring = o->ring;
	r->ring_fd = o->ring_fd;
	r->state = PROTO_ST_HELLO;
	r->in.slot = -1;
	r->in.free = RING_OUTER_MASK;
	r->in.ready = r->out.ready = true;
	r->in.heard = r->in.last = r->out.last = io_now_ms();
	wbuf_init(&r->in.small, PROTO_SMALL_MAX + 8);
	return r;
}

void
relay_free(struct relay *r)
{
	if (r == NULL)
		return;
	tls_free(r->tls);
	fd_close(&r->fd);
	wbuf_free(&r->in.small);
	free(r);
}

const char *
relay_error(const struct relay *r)
{
	if (r->tls != NULL)
		return tls_error(r->tls);
	return r->sys_error != 0 ? strerror(r->sys_error) :
	    "closed by the peer";
}

/* --- the loop --- */

static void
on_parent(struct relay *r, struct chan *parent)
{
	struct msg m;
	int rc = chan_recv(parent, &m);

	if (rc == RC_AGAIN)
		return;
	if (rc == RC_OK && m.type == MSG_STOP) {
		/* A server that stops lets what is under way finish; told
		 * twice, it does not. */
		if (r->side == PROTO_C && r->stop_until == 0) {
			r->moved = io_now_ms();
			r->stop_until = r->moved + STOP_MS;
			return;
		}
		relay_begin_close(r, RC_OK, r->side == PROTO_C ?
		    PROTO_ERR_SHUTDOWN : 0, NULL);
		return;
	}
	relay_begin_close(r, rc == RC_OK ? RC_STATE : rc, 0, NULL);
	r->close_until = 0;		/* nothing is to be sent any more */
}

/* How long a connection that is to stop may still go on; 0: no longer. */
static uint64_t
stop_left(const struct relay *r, uint64_t now)
{
	uint64_t end = r->moved + STOP_QUIET_MS;

	if (r->stop_until < end)
		end = r->stop_until;
	return now >= end ? 0 : end - now;
}

/* Clocks that say how long we may sleep; RC_TIMEOUT when one has run out. */
static int
clocks(struct relay *r, uint64_t now, int *sleep)
{
	struct in *in = &r->in;
	struct out *out = &r->out;
	uint64_t left = PING_IDLE_MS;

	if (r->stop_until != 0 && !r->closing &&
	    (left = stop_left(r, now)) == 0) {
		relay_begin_close(r, RC_OK, PROTO_ERR_SHUTDOWN, NULL);
		*sleep = 0;
		return RC_OK;
	}
	if (r->closing) {
		*sleep = now >= r->close_until ? 0 :
		    (int)(r->close_until - now);
		return now >= r->close_until ? RC_TIMEOUT : RC_OK;
	}
	if (!relay_in_due(in))
		in->last = now;
	if (!relay_out_due(out) || out->ready)
		out->last = now;
	if (relay_in_blocked(in)) {
		in->heard = now;
		r->ping_sent = false;
	}
	if (now - in->last >= PROTO_STALL_MS ||
	    now - out->last >= PROTO_STALL_MS ||
	    (r->ping_sent && now - r->ping_at >= PROTO_STALL_MS))
		return RC_TIMEOUT;
	if (!r->ping_sent && now - in->heard >= PING_IDLE_MS) {
		r->ping_due = r->ping_sent = true;
		r->ping_at = now;
		left = 0;
	}
	if (left > PROTO_STALL_MS - (now - in->last))
		left = PROTO_STALL_MS - (now - in->last);
	if (left > PROTO_STALL_MS - (now - out->last))
		left = PROTO_STALL_MS - (now - out->last);
	*sleep = (int)left;
	return RC_OK;
}

/* Bytes that are here can go on towards the inner end. */
static bool
in_can_go(const struct in *in)
{
	switch (in->st) {
	case IN_HEADER:
	case IN_SMALL:
		return in->ready;
	case IN_BIG:
		return in->ready && (in->slot != -1 || in->free != 0);
	case IN_FRAME:
	case IN_PIECE:
		return !in->chan_full;
	default:
		return false;
	}
}

/* More can be done at once, without waiting for anybody. */
static bool
busy(const struct relay *r)
{
	const struct out *out = &r->out;

	if (!r->closing && !r->inner_deaf && in_can_go(&r->in))
		return true;
	if (out->ready && relay_out_due(out))
		return true;
	return out->chan_ready && !out->held && !r->inner_ended &&
	    out->queued < QUEUE_MAX && !r->closing;
}

static int
wait_events(struct relay *r, struct chan *inner, struct chan *parent)
{
	struct in *in = &r->in;
	struct out *out = &r->out;
	struct pollfd p[3] = {
		{ .fd = -1 }, { .fd = -1 }, { .fd = -1, .events = POLLIN }
	};
	int rc, timeout;

	if ((rc = clocks(r, io_now_ms(), &timeout)) != RC_OK)
		return rc;
	if (r->ping_due || busy(r))
		timeout = 0;
	if (!r->closing && !r->inner_deaf && !in->ready &&
	    !relay_in_blocked(in))
		p[0].events |= in->want;
	if (!out->ready && relay_out_due(out))
		p[0].events |= out->want;
	if (p[0].events != 0)
		p[0].fd = r->fd;
	if (!out->chan_ready && !out->held && !r->inner_ended &&
	    out->queued < QUEUE_MAX)
		p[1].events |= POLLIN;
	if (!r->inner_ended && !r->inner_deaf &&
	    (in->chan_full || out->chan_full))
		p[1].events |= POLLOUT;
	if (p[1].events != 0)
		p[1].fd = chan_fd(inner);
	if (parent != NULL && !(r->closing && r->close_until == 0))
		p[2].fd = chan_fd(parent);
	if (poll(p, NITEMS(p), timeout) == -1)
		return errno == EINTR ? RC_OK : rc_errno(errno);
	if (p[0].revents != 0) {
		if ((p[0].revents & (in->want | POLLERR | POLLHUP)) != 0)
			in->ready = true;
		if ((p[0].revents & (out->want | POLLERR | POLLHUP)) != 0)
			out->ready = true;
	}
	if (p[1].revents != 0) {
		out->chan_ready = true;
		in->chan_full = out->chan_full = false;
	}
	if (p[2].revents != 0)
		on_parent(r, parent);
	return RC_OK;
}

static void
refuse_frame(struct relay *r, int rc)
{
	char text[80];

	snprintf(text, sizeof(text), "%s: %s", proto_name(r->in.f.type),
	    rc_str(rc));
	relay_begin_close(r, rc, proto_error_of(rc), text);
}

/*
 * The server said why it ends and has ended.  If we left with messages unread,
 * the engine would see a reset in place of that reason; so take what it still
 * sends until it has read the reason and closes.
 */
static void
let_inner_read(struct relay *r, struct chan *inner)
{
	uint64_t now, until = io_now_ms() + LINGER_MS;
	struct msg m;
	int rc;

	if (r->side != PROTO_S || (r->in.f.type != PROTO_ERROR &&
	    r->in.f.type != PROTO_BYE))
		return;
	do {
		now = io_now_ms();
		rc = now < until ? chan_recv_wait(inner, &m,
		    (int)(until - now)) : RC_TIMEOUT;
	} while (rc == RC_OK);
}

int
relay_join(struct relay *r, struct chan *inner)
{
	int rc;

	if (r->joined)
		return RC_OK;
	rc = chan_send(inner, MSG_RING, NULL, r->ring_fd);
	r->joined = rc == RC_OK;
	return rc;
}

int
relay_pump(struct relay *r, struct chan *inner, struct chan *parent)
{
	int rc;

	rc = relay_join(r, inner);
	if (rc == RC_EOF)
		rc = relay_inner_gone(r);
	if (rc != RC_OK || (rc = chan_set_nonblock(inner)) != RC_OK)
		return rc;
	if (r->side == PROTO_C)
		r->state = PROTO_ST_OPEN;
	r->out.chan_ready = true;
	r->in.heard = r->in.last = r->out.last = io_now_ms();
	for (;;) {
		if (!r->closing && !r->inner_deaf) {
			rc = relay_pump_in(r, inner);
			if (rc == RC_EOF && r->in.st != IN_FRAME &&
			    r->in.st != IN_PIECE) {
				let_inner_read(r, inner);
				return rc;
			}
			if (rc == RC_EOF) {	/* the channel, not the peer */
				r->inner_deaf = r->out.chan_ready = true;
				rc = RC_OK;
			}
			if (rc != RC_OK)
				refuse_frame(r, rc);
		}
		if ((rc = relay_pump_out(r, inner)) != RC_OK) {
			if (rc == RC_EOF || rc == RC_TLS || r->closing)
				return r->closing ? r->close_rc : rc;
			relay_begin_close(r, rc, PROTO_ERR_INTERNAL, NULL);
			continue;
		}
		if (r->close_staged && r->out.off == r->out.len)
			break;
		if (r->inner_ended && r->out.mid_chan && r->out.queued == 0)
			return r->close_rc;	/* no frame can follow */
		rc = wait_events(r, inner, parent);
		if (rc == RC_TIMEOUT && !r->closing) {
			relay_begin_close(r, rc, PROTO_ERR_TIMEOUT, NULL);
			continue;
		}
		if (rc != RC_OK)
			return r->closing ? r->close_rc : rc;
		if (r->closing && r->close_until == 0)
			return r->close_rc;
	}
	relay_linger(r);
	return r->close_rc;
}

/* --- before there is a channel --- */

void
relay_watch(struct relay *r, struct chan *parent)
{
	r->watch = parent;
}

static int
wait_net(struct relay *r, short events, uint64_t until)
{
	struct pollfd p[2] = {
		{ .fd = r->fd, .events = events },
		{ .fd = -1, .events = POLLIN }
	};
	uint64_t now = io_now_ms();

	if (now >= until)
		return RC_TIMEOUT;
	if (r->watch != NULL)
		p[1].fd = chan_fd(r->watch);
	if (poll(p, NITEMS(p), (int)(until - now)) == -1)
		return errno == EINTR ? RC_OK : rc_errno(errno);
	if (p[1].revents != 0)
		return RC_CANCELLED;
	r->in.ready = r->out.ready = true;
	return RC_OK;
}

static int
flush_until(struct relay *r, uint64_t until)
{
	int rc;

	while ((rc = relay_stage_write(r)) == RC_AGAIN)
		if ((rc = wait_net(r, r->out.want, until)) != RC_OK)
			return rc;
	return rc;
}

static int
read_step(struct relay *r, uint64_t until)
{
	int rc;

	if ((rc = relay_in_step(r)) == RC_AGAIN)
		rc = wait_net(r, r->in.want, until);
	if (rc == RC_OK && r->in.st == IN_FRAME && relay_in_keepalive(r)) {
		r->in.st = IN_HEADER;
		relay_stage_own(r);
		rc = flush_until(r, until);
	}
	return rc;
}

int
relay_read(struct relay *r, enum proto_state st, struct frame *f,
    const uint8_t **payload, int timeout_ms)
{
	uint64_t until = io_now_ms() + (timeout_ms > 0 ?
	    (uint64_t)timeout_ms : 0);
	int rc;

	r->state = st;
	while (r->in.st != IN_FRAME)
		if ((rc = read_step(r, until)) != RC_OK)
			return rc;
	r->in.st = IN_HEADER;
	*f = r->in.f;
	*payload = r->in.small.data + 8;
	return RC_OK;
}

int
relay_write(struct relay *r, uint16_t type, uint32_t request, const void *p,
    size_t n, int timeout_ms)
{
	uint64_t until = io_now_ms() + (timeout_ms > 0 ?
	    (uint64_t)timeout_ms : 0);
	int rc;

	if (n > STAGE_SIZE - PROTO_FRAME_LEN)
		return RC_LIMIT;
	if ((rc = flush_until(r, until)) != RC_OK)
		return rc;
	relay_stage_frame(&r->out, type, request, p, n);
	return flush_until(r, until);
}

/* --- the end --- */

void
relay_refuse(struct relay *r, uint16_t code, const char *text)
{
	struct wbuf b = WBUF_INIT(512);

	r->watch = NULL;
	proto_err_put(&b, code, text != NULL ? text : proto_error_text(code));
	if (wbuf_rc(&b) == RC_OK && !r->out.mid_wire)
		relay_write(r, PROTO_ERROR, 0, b.data, b.len, CLOSE_MS);
	wbuf_free(&b);
	relay_linger(r);
}

void
relay_linger(struct relay *r)
{
	uint64_t until = io_now_ms() + LINGER_MS;
	uint8_t drop[4096];
	size_t n;
	int rc;

	r->watch = NULL;
	if (r->tls != NULL)
		tls_shutdown(r->tls);
	do {
		rc = relay_net_read(r, drop, sizeof(drop), &n);
		if (rc == RC_AGAIN)
			rc = wait_net(r, r->in.want, until);
		else if (io_now_ms() >= until)
			rc = RC_TIMEOUT;
	} while (rc == RC_OK);
}
