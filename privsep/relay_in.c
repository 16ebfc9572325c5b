#include "config.h"

#include "privsep/relay_priv.h"

#include <string.h>

#include "common/rc.h"

/* net sees the log-in only from outside: the server's answers move its
 * state. */
static void
follow_state(struct relay *r, uint16_t type)
{
	if (r->side != PROTO_S)
		return;
	if (type == PROTO_HELLO_OK)
		r->state = PROTO_ST_AUTH;
	else if (type == PROTO_AUTH_OK)
		r->state = PROTO_ST_OPEN;
}

static int
in_header(struct relay *r)
{
	struct in *in = &r->in;
	size_t n;
	int rc;

	rc = relay_net_read(r, in->header + in->header_n,
	    sizeof(in->header) - in->header_n, &n);
	if (rc != RC_OK)
		return rc;
	in->header_n += n;
	if (in->header_n < sizeof(in->header))
		return RC_OK;
	frame_get(in->header, &in->f);
	if ((rc = frame_allowed(&in->f, r->side, r->state)) != RC_OK)
		return rc;
	in->header_n = 0;
	in->got = 0;
	if (is_big(in->f.type)) {
		if (in->f.length < OBJECT_WIRE_MIN)
			return RC_PROTO;
		in->st = IN_BIG;
		return RC_OK;
	}
	wbuf_reset(&in->small);
	wbuf_u16(&in->small, in->f.type);
	wbuf_u16(&in->small, in->f.flags);
	wbuf_u32(&in->small, in->f.request);
	if (in->f.length > 0)
		wbuf_space(&in->small, in->f.length);
	in->st = IN_SMALL;
	return wbuf_rc(&in->small);
}

/* RC_OK with in->st still IN_SMALL: not all there yet. */
static int
in_small(struct relay *r)
{
	struct in *in = &r->in;
	size_t n;
	int rc;

	if (in->got < in->f.length) {
		rc = relay_net_read(r, in->small.data + 8 + in->got,
		    in->f.length - in->got, &n);
		if (rc != RC_OK)
			return rc;
		in->got += n;
	}
	if (in->got == in->f.length)
		in->st = IN_FRAME;
	return RC_OK;
}

/* PING and PONG end here: they tell that the machine is there, and need no
 * answer from behind. */
bool
relay_in_keepalive(struct relay *r)
{
	struct in *in = &r->in;

	if (in->f.type == PROTO_PING) {
		r->pong_due = true;
		r->pong_request = in->f.request;
		r->pong_len = in->f.length;
		if (r->pong_len > 0)
			memcpy(r->pong, in->small.data + 8, r->pong_len);
		return true;
	}
	return in->f.type == PROTO_PONG && in->f.request == PING_REQUEST;
}

static int
in_frame(struct relay *r, struct chan *inner)
{
	struct in *in = &r->in;
	int rc;

	if (!relay_in_keepalive(r)) {
		rc = chan_send(inner, MSG_FRAME, &in->small, -1);
		in->chan_full = rc == RC_AGAIN;
		if (rc != RC_OK)
			return rc;
		r->peer_bye |= in->f.type == PROTO_BYE;
	}
	follow_state(r, in->f.type);
	in->st = IN_HEADER;
	return RC_OK;
}

static int
in_big(struct relay *r)
{
	struct in *in = &r->in;
	size_t n, room;
	int rc, slot;

	if (in->slot == -1) {
		if (in->free == 0)
			return RC_BUSY;
		slot = __builtin_ctz(in->free);
		in->free &= (uint8_t)~(1u << slot);
		in->slot = slot;
		in->slot_n = 0;
	}
	room = RING_SLOT - in->slot_n;
	if (room > in->f.length - in->got)
		room = in->f.length - in->got;
	rc = relay_net_read(r, r->ring + (size_t)in->slot * RING_SLOT +
	    in->slot_n, room, &n);
	if (rc != RC_OK)
		return rc;
	in->slot_n += n;
	in->got += n;
	if (n == room)
		in->st = IN_PIECE;
	return RC_OK;
}

static int
in_piece(struct relay *r, struct chan *inner)
{
	struct wbuf b = WBUF_INIT(32);
	struct in *in = &r->in;
	int rc;

	wbuf_u16(&b, in->f.type);
	wbuf_u32(&b, in->f.request);
	wbuf_u32(&b, in->f.length);
	wbuf_u32(&b, (uint32_t)(in->got - in->slot_n));
	wbuf_u8(&b, (uint8_t)in->slot);
	wbuf_u32(&b, (uint32_t)in->slot_n);
	rc = chan_send(inner, MSG_PIECE, &b, -1);
	wbuf_free(&b);
	in->chan_full = rc == RC_AGAIN;
	if (rc != RC_OK)
		return rc;
	in->slot = -1;
	in->st = in->got == in->f.length ? IN_HEADER : IN_BIG;
	return RC_OK;
}

/* RC_OK: nothing more can be done now. */
int
relay_pump_in(struct relay *r, struct chan *inner)
{
	struct in *in = &r->in;
	int rc = RC_OK, frames = 0;

	while (frames < FRAMES_A_TURN) {
		switch (in->st) {
		case IN_HEADER:
			rc = in->ready ? in_header(r) : RC_AGAIN;
			break;
		case IN_SMALL:
			rc = in->ready || in->got == in->f.length ?
			    in_small(r) : RC_AGAIN;
			break;
		case IN_FRAME:
			frames++;
			rc = in->chan_full ? RC_AGAIN : in_frame(r, inner);
			break;
		case IN_BIG:
			rc = in->ready ? in_big(r) : RC_AGAIN;
			break;
		case IN_PIECE:
			frames++;
			rc = in->chan_full ? RC_AGAIN : in_piece(r, inner);
			break;
		}
		if (rc == RC_AGAIN || rc == RC_BUSY)
			return RC_OK;
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* The peer owes us the rest of a frame and we would take it. */
bool
relay_in_due(const struct in *in)
{
	return (in->st == IN_HEADER && in->header_n > 0) ||
	    in->st == IN_SMALL || (in->st == IN_BIG && in->slot != -1);
}

/* Nothing is read now because the inner end is slow. */
bool
relay_in_blocked(const struct in *in)
{
	return in->st == IN_FRAME || in->st == IN_PIECE ||
	    (in->st == IN_BIG && in->slot == -1 && in->free == 0);
}

int
relay_in_step(struct relay *r)
{
	switch (r->in.st) {
	case IN_HEADER:
		return in_header(r);
	case IN_SMALL:
		return in_small(r);
	case IN_FRAME:
		return RC_OK;
	default:
		return RC_STATE;	/* no objects before the log-in */
	}
}
