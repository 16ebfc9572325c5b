#include "config.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/proto.h"
#include "common/rc.h"
#include "common/tls.h"
#include "privsep/link.h"
#include "privsep/relay.h"
#include "privsep/role.h"

/*
 * sg-net: the client end of one connection.  It has no files and no keys; what
 * it carries was sealed by the engine.  The server may refuse in clear text
 * before TLS (it has no worker, or this address too many connections), so the
 * first byte is looked at: 0x00 begins an ERROR frame, 0x16 and 0x15 are TLS.
 * That refusal is not authenticated and never means more than "try later".
 */
#define ORDER_MS	60000
#define REFUSAL_MS	2000
#define REFUSAL_MAX	512		/* of its payload */

struct net {
	struct role_env	 env;
	struct chan	*engine;
	int		 fd;
	uint8_t		 how;		/* enum net_tls */
	struct tls_ctx	*ctx;
	struct tls	*tls;
	void		*ring;
	int		 ring_fd;
};

static void
say_failed(struct net *n, int rc, const char *text)
{
	struct wbuf body = WBUF_INIT(512);

	wbuf_u8(&body, (uint8_t)-rc);
	wbuf_str(&body, text);
	(void)chan_send(n->engine, MSG_NET_FAILED, &body, -1);
	wbuf_free(&body);
}

static int
say_up(struct net *n, const uint8_t exporter[32])
{
	struct wbuf body = WBUF_INIT(64);
	uint8_t spki[32];
	int rc = RC_OK;

	wbuf_bytes(&body, exporter, 32);
	if (n->how == NET_TLS_ANY &&
	    (rc = tls_peer_spki(n->tls, spki)) == RC_OK)
		wbuf_bytes(&body, spki, sizeof(spki));
	if (rc == RC_OK)
		rc = chan_send(n->engine, MSG_NET_UP, &body, -1);
	wbuf_free(&body);
	return rc;
}

/* One look at what has come, taking it (flags 0) or not (MSG_PEEK). */
static ssize_t
receive(int fd, void *p, size_t size, int flags)
{
	struct iovec iov = { .iov_base = p, .iov_len = size };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	do {
		r = recvmsg(fd, &h, flags | MSG_DONTWAIT);
	} while (r < 0 && errno == EINTR);
	return r;
}

/* Exactly n bytes within the time that is left. */
static int
receive_full(int fd, uint8_t *p, size_t n, uint64_t until)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t now;
	ssize_t r;

	while (n > 0) {
		r = receive(fd, p, n, 0);
		if (r > 0) {
			p += r;
			n -= (size_t)r;
			continue;
		}
		if (r == 0)
			return RC_EOF;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return rc_errno(errno);
		if ((now = io_now_ms()) >= until)
			return RC_TIMEOUT;
		(void)poll(&pfd, 1, (int)(until - now));
	}
	return RC_OK;
}

/* Whatever it says, all that may follow from it is "try later". */
static void
read_refusal(struct net *n)
{
	uint8_t head[PROTO_FRAME_LEN], payload[REFUSAL_MAX];
	uint64_t until = io_now_ms() + REFUSAL_MS;
	char says[PROTO_SAYS_MAX];
	char text[512] = "the server refused the connection: try again later";
	struct proto_err e;
	struct frame f;
	struct rbuf in;

	if (receive_full(n->fd, head, sizeof(head), until) != RC_OK)
		goto out;
	frame_get(head, &f);
	if (f.type != PROTO_ERROR || f.length > sizeof(payload) ||
	    receive_full(n->fd, payload, f.length, until) != RC_OK)
		goto out;
	rbuf_init(&in, payload, f.length);
	if (proto_err_parse(&in, &e) != RC_OK)
		goto out;
	proto_error_says(e.code, e.text, says);
	snprintf(text, sizeof(text),
	    "the server refused the connection: %s", says);
out:
	say_failed(n, RC_BUSY, text);
}

enum first { FIRST_NONE, FIRST_TLS, FIRST_REFUSAL, FIRST_OTHER };

/* The byte may have come between an earlier look and the handshake's own
 * reading: then TLS has it. */
static enum first
look_at_first(struct net *n)
{
	int taken = tls_first_byte(n->tls);
	uint8_t b;

	if (taken != -1)
		b = (uint8_t)taken;
	else if (receive(n->fd, &b, 1, MSG_PEEK) != 1)
		return FIRST_NONE;
	if (b == 0x00)
		return FIRST_REFUSAL;
	return b == 0x16 || b == 0x15 ? FIRST_TLS : FIRST_OTHER;
}

/* The connection broke before TLS was up. */
static void
tell_failure(struct net *n, int rc, enum first seen)
{
	char text[400];

	/* What was written first may have met a closed socket, while the
	 * refusal waits to be read behind that error. */
	if (seen == FIRST_NONE)
		seen = look_at_first(n);
	if (seen == FIRST_REFUSAL) {
		read_refusal(n);
		return;
	}
	if (seen == FIRST_OTHER)
		snprintf(text, sizeof(text), "what answers there does not "
		    "speak TLS: is it a StoreGrid server's port?");
	else if (rc == RC_PIN)
		snprintf(text, sizeof(text), "the server's key is not the one "
		    "this machine was enrolled with (pin mismatch); nothing "
		    "was sent");
	else if (rc == RC_TIMEOUT)
		snprintf(text, sizeof(text), "the server accepted the "
		    "connection and then said nothing for %d seconds",
		    PROTO_HANDSHAKE_MS / 1000);
	else if (rc == RC_EOF || seen == FIRST_NONE)
		snprintf(text, sizeof(text), "the server closed the "
		    "connection before TLS was up: is this machine's address "
		    "allowed there (Access.Server)?");
	else
		snprintf(text, sizeof(text), "TLS failed: %s",
		    n->tls != NULL ? tls_error(n->tls) : rc_str(rc));
	if (rc == RC_TLS && seen == FIRST_NONE)
		rc = RC_UNREACHABLE;
	say_failed(n, seen == FIRST_OTHER ? RC_TLS : rc, text);
}

static int
wait_for(struct net *n, short events, uint64_t until)
{
	struct pollfd p[2] = {
		{ .fd = n->fd, .events = events },
		{ .fd = chan_fd(n->env.parent), .events = 0 },
	};
	uint64_t now = io_now_ms();

	if (now >= until)
		return RC_TIMEOUT;
	if (poll(p, 2, (int)(until - now)) < 0)
		return errno == EINTR ? RC_OK : rc_errno(errno);
	return (p[1].revents & POLLHUP) != 0 ? RC_CANCELLED : RC_OK;
}

/* The engine is told about a failure here; the caller only ends. */
static int
handshake(struct net *n)
{
	uint64_t until = io_now_ms() + PROTO_HANDSHAKE_MS;
	enum first seen = FIRST_NONE;
	short want = POLLOUT;
	int rc;

	if ((rc = tls_new(&n->tls, n->ctx, n->fd)) != RC_OK) {
		tell_failure(n, rc, FIRST_TLS);
		return rc;
	}
	for (;;) {
		if (seen == FIRST_NONE)
			seen = look_at_first(n);
		if (seen == FIRST_REFUSAL || seen == FIRST_OTHER) {
			rc = RC_TLS;
			break;
		}
		rc = tls_handshake(n->tls, &want);
		if (rc != RC_AGAIN)
			break;
		if ((rc = wait_for(n, want, until)) != RC_OK)
			break;
	}
	if (rc != RC_OK && rc != RC_CANCELLED)
		tell_failure(n, rc, seen);
	return rc;
}

static void
say_close(struct net *n, int rc)
{
	struct wbuf body = WBUF_INIT(512);

	wbuf_u16(&body, 0);
	wbuf_str(&body, rc_str(rc));
	(void)chan_send(n->engine, MSG_LINK_CLOSE, &body, -1);
	wbuf_free(&body);
}

static int
carry(struct net *n)
{
	struct relay_opt o = { .fd = n->fd, .tls = n->tls, .side = PROTO_S,
	    .ring = n->ring, .ring_fd = n->ring_fd };
	struct relay *r;
	int rc;

	if ((r = relay_new(&o)) == NULL)
		return RC_NOMEM;
	n->fd = -1;
	n->tls = NULL;
	rc = relay_pump(r, n->engine, n->env.parent);
	if (rc != RC_OK && rc != RC_EOF)
		say_close(n, rc);
	relay_free(r);
	return rc;
}

/*
 * Orders come from the command, not from the network, so they are taken before
 * the sandbox: afterwards TLS could not load what it needs.
 */
static void
take_orders(struct net *n)
{
	uint8_t pin[32];
	struct msg m;
	int rc;

	if ((rc = chan_expect(n->env.parent, MSG_NET_OPEN, &m, ORDER_MS)) !=
	    RC_OK || (rc = rbuf_u8(&m.body, &n->how)) != RC_OK ||
	    (rc = rbuf_bytes(&m.body, pin, sizeof(pin))) != RC_OK ||
	    (rc = rbuf_end(&m.body)) != RC_OK)
		fatal("NET_OPEN: %s", rc_str(rc));
	if (n->how >= NET_TLS_MAX)
		fatal("NET_OPEN: %s", rc_str(RC_RANGE));
	n->fd = msg_take_fd(n->env.parent, &m);
	if ((rc = chan_expect(n->env.parent, MSG_NET_LINK, &m, ORDER_MS)) !=
	    RC_OK)
		fatal("NET_LINK: %s", rc_str(rc));
	n->engine = chan_new(msg_take_fd(n->env.parent, &m), ROLE_NET,
	    ROLE_ENGINE);
	if (n->engine == NULL)
		fatal("NET_LINK: %s", rc_str(RC_NOMEM));
	rc = n->how == NET_TLS_ANY ? tls_client_ctx_any(&n->ctx) :
	    n->how == NET_TLS ? tls_client_ctx(&n->ctx, pin) : RC_OK;
	if (rc != RC_OK)
		fatal("TLS: %s", rc_str(rc));
}

int
main(void)
{
	static struct net n = { .fd = -1, .ring_fd = -1 };
	uint8_t exporter[32] = { 0 };
	int rc;

	role_begin(&n.env, ROLE_NET, ROLE_COMMAND, false);
	if ((rc = ring_make(&n.ring_fd, &n.ring)) != RC_OK)
		fatal("ring: %s", rc_str(rc));
	take_orders(&n);
	role_drop(&n.env);
	role_enter(&n.env);

	if (n.how != NET_CLEAR && handshake(&n) != RC_OK)
		return 0;
	if (n.how != NET_CLEAR &&
	    (rc = tls_exporter(n.tls, exporter)) != RC_OK) {
		say_failed(&n, rc, "TLS has no exporter");
		return 0;
	}
	if (say_up(&n, exporter) == RC_OK)
		(void)carry(&n);
	tls_ctx_free(n.ctx);
	chan_free(n.engine);
	chan_free(n.env.parent);
	return 0;
}
