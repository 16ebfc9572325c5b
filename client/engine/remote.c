#include "config.h"

#include "client/engine/remote.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/engine/remote_impl.h"
#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"
#include "common/secret.h"

/*
 * The connection itself: sending, waiting, and handing each frame to whoever
 * expects it.  The requests with one answer stand in remote_calls.c, the
 * pipelined ones (HAVE, PUT, GET) in remote_flow.c.
 */
#define PING_MS		15000	/* of silence while an answer is due */
#define DRAIN_MAX	256	/* frames per remote_poll(), so it returns */

int
remote_fail(struct remote *r, int rc, const char *fmt, ...)
{
	va_list ap;

	if (r->failed != RC_OK)
		return r->failed;
	r->failed = rc;
	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
	return rc;
}

/* Bytes of the other side that will be shown to a person. */
void
remote_printable(char *s)
{
	for (; *s != '\0'; s++)
		if (*s < 0x20 || *s > 0x7e)
			*s = '?';
}

static int
on_net_up(struct remote *r, struct msg *m)
{
	uint8_t exporter[32];

	if (r->up || rbuf_bytes(&m->body, exporter, sizeof(exporter)) !=
	    RC_OK || (r->first_contact &&
	    rbuf_bytes(&m->body, r->spki, sizeof(r->spki)) != RC_OK) ||
	    rbuf_end(&m->body) != RC_OK)
		return remote_fail(r, RC_PROTO,
		    "the process with the connection sent nonsense");
	memcpy(r->exporter, exporter, sizeof(r->exporter));
	r->up = true;
	return RC_OK;
}

static int
on_net_failed(struct remote *r, struct msg *m)
{
	char text[512];
	uint8_t code;
	int rc;

	if (rbuf_u8(&m->body, &code) != RC_OK ||
	    rbuf_str(&m->body, text, sizeof(text)) != RC_OK || code == 0)
		return remote_fail(r, RC_PROTO,
		    "the process with the connection sent nonsense");
	remote_printable(text);
	rc = -(int)code;
	return remote_fail(r, rc, "%s", text[0] != '\0' ? text : rc_str(rc));
}

static int
on_link_close(struct remote *r, struct msg *m)
{
	char text[512];
	uint16_t code;

	if (rbuf_u16(&m->body, &code) != RC_OK ||
	    rbuf_str(&m->body, text, sizeof(text)) != RC_OK)
		return remote_fail(r, RC_PROTO,
		    "the process with the connection sent nonsense");
	remote_printable(text);
	r->error_code = code;
	return remote_fail(r, code != 0 ? proto_error_rc(code) : RC_EOF,
	    "the connection was closed: %s",
	    text[0] != '\0' ? text : proto_error_text(code));
}

static int
on_other(void *arg, struct msg *m)
{
	struct remote *r = arg;

	switch (m->type) {
	case MSG_NET_UP:
		return on_net_up(r, m);
	case MSG_NET_FAILED:
		return on_net_failed(r, m);
	case MSG_LINK_CLOSE:
		return on_link_close(r, m);
	default:
		return remote_fail(r, RC_PROTO,
		    "the process with the connection sent %s",
		    msg_name(m->type));
	}
}

static int
on_error(struct remote *r, const struct link_frame *f)
{
	char says[PROTO_SAYS_MAX];
	struct proto_err e;
	struct rbuf in;
	int rc;

	rbuf_init(&in, f->payload, f->len);
	if (proto_err_parse(&in, &e) != RC_OK)
		return remote_fail(r, RC_PROTO,
		    "the server sent an error that cannot be read");
	remote_printable(e.text);
	r->error_code = e.code;
	rc = proto_error_rc(e.code);
	if (rc == RC_OK)
		rc = RC_PROTO;
	proto_error_says(e.code, e.text, says);
	return remote_fail(r, rc, "the server says: %s", says);
}

static int
on_bye(struct remote *r, const struct link_frame *f)
{
	(void)f;
	return remote_fail(r, RC_EOF, "the server ended the connection");
}

static int
on_ping(struct remote *r, const struct link_frame *f)
{
	int rc;

	rc = link_send(r->link, PROTO_PONG, f->request, f->payload, f->len,
	    NULL, 0);
	/* A server that asks a thousand times before it reads gets silence. */
	return rc == RC_LIMIT || rc == RC_AGAIN ? RC_OK : rc;
}

static int
on_pong(struct remote *r, const struct link_frame *f)
{
	(void)r;
	(void)f;
	return RC_OK;
}

static const struct {
	uint16_t	type;
	int		(*fn)(struct remote *r, const struct link_frame *f);
} unasked[] = {
	{ PROTO_ERROR,	on_error },
	{ PROTO_BYE,	on_bye },
	{ PROTO_PING,	on_ping },
	{ PROTO_PONG,	on_pong },
	{ PROTO_ACK,	remote_on_ack },
	{ PROTO_WANTED,	remote_on_wanted },
}, pipelined[] = {
	{ PROTO_HAVE_OK, remote_on_have_ok },
	{ PROTO_OBJ,	remote_on_obj },
	{ PROTO_GONE,	remote_on_gone },
};

static int
on_frame(struct remote *r, const struct link_frame *lf)
{
	struct frame f = { .length = (uint32_t)lf->len, .type = lf->type,
	    .request = lf->request };
	struct answer *a = r->waiting;
	size_t i;

	if (frame_allowed(&f, PROTO_S, r->state) != RC_OK)
		return remote_fail(r, RC_PROTO,
		    "the server sent %s where it does not belong",
		    proto_name(lf->type));
	for (i = 0; i < NITEMS(unasked); i++)
		if (unasked[i].type == lf->type)
			return unasked[i].fn(r, lf);
	if (a != NULL && !a->done && a->request == lf->request)
		return a->on(r, lf, a);
	for (i = 0; i < NITEMS(pipelined); i++)
		if (pipelined[i].type == lf->type)
			return pipelined[i].fn(r, lf);
	return remote_fail(r, RC_PROTO,
	    "the server answered (%s) what was not asked",
	    proto_name(lf->type));
}

/* Everything that can be taken now; *n frames were. */
static int
drain(struct remote *r, size_t *n)
{
	struct link_frame f;
	int rc;

	for (*n = 0; *n < DRAIN_MAX; ++*n) {
		rc = link_recv(r->link, &f);
		if (rc == RC_AGAIN)
			return RC_OK;
		if (rc == RC_EOF)
			return remote_fail(r, RC_EOF,
			    "the connection to the server was lost; "
			    "run the command again to go on");
		if (rc != RC_OK)
			return remote_fail(r, rc,
			    "the connection failed: %s", rc_str(rc));
		if ((rc = on_frame(r, &f)) != RC_OK)
			return remote_fail(r, rc, "%s", rc_str(rc));
	}
	return RC_OK;
}

static int
flush(struct remote *r)
{
	int rc;

	rc = link_flush(r->link);
	if (rc == RC_EOF) {
		size_t n;

		/* What the server said last is worth more than "closed". */
		(void)drain(r, &n);
		return remote_fail(r, RC_EOF,
		    "the connection to the server was lost; "
		    "run the command again to go on");
	}
	if (rc != RC_OK && rc != RC_AGAIN)
		return remote_fail(r, rc, "the connection failed: %s",
		    rc_str(rc));
	return RC_OK;
}

static bool
answer_due(const struct remote *r)
{
	return (r->waiting != NULL && !r->waiting->done) || !r->up ||
	    r->have_out != 0 || r->get_out != 0 || r->put_bytes != 0 ||
	    !link_idle(r->link);
}

/*
 * Time that passed inside poll(2) without a byte moving.  Only that counts: a
 * caller that is busy elsewhere for a minute has not seen a stall.
 */
static int
count_silence(struct remote *r, uint64_t ms, bool moved)
{
	int rc;

	if (moved) {
		r->silent_ms = 0;
		r->pinged = false;
		return RC_OK;
	}
	if (!answer_due(r))
		return RC_OK;
	r->silent_ms += ms;
	if (r->silent_ms >= r->limit_ms)
		return remote_fail(r, RC_TIMEOUT,
		    "nothing came from the server for %u seconds; "
		    "check the network and run the command again",
		    (unsigned)(r->limit_ms / 1000));
	if (r->silent_ms >= PING_MS && !r->pinged && r->said_hello) {
		r->pinged = true;
		rc = link_send(r->link, PROTO_PING, 0, "storgrid", 8, NULL, 0);
		if (rc != RC_OK && rc != RC_LIMIT && rc != RC_AGAIN)
			return remote_fail(r, rc, "the connection failed: %s",
			    rc_str(rc));
	}
	return RC_OK;
}

static int
wait_readable(struct remote *r, int timeout_ms, int wake_fd)
{
	struct pollfd p[2];
	uint64_t start, left;
	int n;

	p[0].fd = link_fd(r->link);
	p[0].events = link_events(r->link);
	p[1].fd = wake_fd;
	p[1].events = POLLIN;
	p[0].revents = p[1].revents = 0;
	left = r->limit_ms > r->silent_ms ? r->limit_ms - r->silent_ms : 0;
	if (!r->pinged && r->silent_ms < PING_MS &&
	    left > PING_MS - r->silent_ms)
		left = PING_MS - r->silent_ms;
	if (timeout_ms < 0 || (uint64_t)timeout_ms > left)
		timeout_ms = (int)left;
	start = io_now_ms();
	n = poll(p, wake_fd >= 0 ? 2 : 1, timeout_ms);
	return count_silence(r, io_now_ms() - start,
	    n > 0 && p[0].revents != 0);
}

/*
 * Send, take, send again: what was taken may be slots that the object under way
 * needs, and nobody would wake us for them once more.
 */
static int
move(struct remote *r, bool *moved)
{
	bool up = r->up, busy = !link_idle(r->link);
	size_t n;
	int rc;

	if ((rc = flush(r)) != RC_OK || (rc = drain(r, &n)) != RC_OK ||
	    (rc = flush(r)) != RC_OK)
		return rc;
	*moved = n > 0 || r->up != up || (busy && link_idle(r->link));
	return RC_OK;
}

int
remote_poll(struct remote *r, int timeout_ms, int wake_fd)
{
	bool moved;
	int rc;

	if (r->failed != RC_OK)
		return r->failed;
	if (r->in_callback)
		return RC_STATE;
	if ((rc = move(r, &moved)) != RC_OK)
		return rc;
	if (moved) {
		r->silent_ms = 0;
		r->pinged = false;
	}
	if (moved || timeout_ms == 0)
		return RC_OK;
	if ((rc = wait_readable(r, timeout_ms, wake_fd)) != RC_OK)
		return rc;
	return move(r, &moved);
}

int
remote_wait(struct remote *r)
{
	return remote_poll(r, -1, -1);
}

/* Queue a frame; when the link's queue is full the server is behind, so wait. */
int
remote_send(struct remote *r, uint16_t type, uint32_t request,
    const void *p, size_t n)
{
	int rc;

	if (r->failed != RC_OK)
		return r->failed;
	for (;;) {
		rc = link_send(r->link, type, request, p, n, NULL, 0);
		if (rc == RC_OK)
			return RC_OK;
		if ((rc != RC_LIMIT && rc != RC_AGAIN) ||
		    (rc == RC_LIMIT && link_idle(r->link)))
			return remote_fail(r, rc, "the connection failed: %s",
			    rc_str(rc));
		if ((rc = remote_wait(r)) != RC_OK)
			return rc;
	}
}

uint32_t
remote_number(struct remote *r)
{
	if (++r->last_request == 0)
		++r->last_request;
	return r->last_request;
}

/* Send and stay until a->on() has set a->done. */
int
remote_call(struct remote *r, uint16_t type, const struct wbuf *body,
    struct answer *a)
{
	struct answer *outer = r->waiting;
	int rc;

	if (r->failed != RC_OK)
		return r->failed;
	if (r->in_callback || outer != NULL)
		return RC_STATE;
	if ((rc = wbuf_rc(body)) != RC_OK)
		return rc;
	a->request = remote_number(r);
	a->done = false;
	r->waiting = a;
	rc = remote_send(r, type, a->request, body->data, body->len);
	while (rc == RC_OK && !a->done)
		rc = remote_wait(r);
	r->waiting = NULL;
	return rc;
}

int
remote_unexpected(struct remote *r, const struct link_frame *f)
{
	return remote_fail(r, RC_PROTO,
	    "the server answered %s where something else was due",
	    proto_name(f->type));
}

int
remote_malformed(struct remote *r, const struct link_frame *f)
{
	return remote_fail(r, RC_PROTO,
	    "the server sent a %s that cannot be read", proto_name(f->type));
}

void
remote_set_events(struct remote *r, const struct remote_events *ev)
{
	if (ev != NULL)
		r->ev = *ev;
	else
		memset(&r->ev, 0, sizeof(r->ev));
}

const char *
remote_error(const struct remote *r)
{
	if (r->error[0] != '\0')
		return r->error;
	return r->failed != RC_OK ? rc_str(r->failed) : "";
}

uint16_t
remote_error_code(const struct remote *r)
{
	return r->error_code;
}

const struct hello_ok *
remote_hello(const struct remote *r)
{
	return &r->hello;
}

const uint8_t *
remote_spki(const struct remote *r)
{
	return r->spki;
}

int
remote_open(struct remote **out, struct link *l,
    const uint8_t identity_fp[32], const struct remote_events *ev)
{
	struct remote *r;
	int rc;

	*out = NULL;
	if ((r = calloc(1, sizeof(*r))) == NULL) {
		link_free(l);
		return RC_NOMEM;
	}
	r->link = l;
	r->state = PROTO_ST_HELLO;
	r->limit_ms = PROTO_STALL_MS;
	r->first_contact = identity_fp == NULL;
	if (identity_fp != NULL)
		memcpy(r->identity_fp, identity_fp, sizeof(r->identity_fp));
	remote_set_events(r, ev);
	link_on_other(l, on_other, r);
	/* Given out on failure too: the caller wants remote_error(). */
	*out = r;
	rc = RC_OK;
	while (rc == RC_OK && !r->up)
		rc = remote_wait(r);
	if (rc == RC_OK)
		rc = remote_say_hello(r);
	return rc;
}

void
remote_close(struct remote *r)
{
	if (r == NULL)
		return;
	if (r->failed == RC_OK && r->said_hello &&
	    link_send(r->link, PROTO_BYE, 0, NULL, 0, NULL, 0) == RC_OK)
		(void)link_flush(r->link);
	remote_flow_free(r);
	link_free(r->link);
	free(r);
}
