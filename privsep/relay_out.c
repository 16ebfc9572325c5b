#include "config.h"

#include "privsep/relay_priv.h"

#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/rbuf.h"
#include "common/rc.h"

#define DIRECT_MIN	4096		/* from here on no copy */

static size_t
stage_room(const struct out *out)
{
	return STAGE_SIZE - out->len;
}

static void
stage_add(struct out *out, const void *p, size_t n)
{
	memcpy(out->stage + out->len, p, n);
	out->len += n;
}

int
relay_stage_write(struct relay *r)
{
	struct out *out = &r->out;
	size_t n;
	int rc;

	while (out->off < out->len) {
		if (!out->ready)
			return RC_AGAIN;
		rc = relay_net_write(r, out->stage + out->off,
		    out->len - out->off, &n);
		if (rc != RC_OK)
			return rc;
		out->off += n;
	}
	out->off = out->len = 0;
	return RC_OK;
}

void
relay_stage_frame(struct out *out, uint16_t type, uint32_t request,
    const void *p, size_t n)
{
	struct frame f = { .length = (uint32_t)n, .type = type,
	    .request = request };
	uint8_t header[PROTO_FRAME_LEN];

	frame_put(header, &f);
	stage_add(out, header, sizeof(header));
	if (n > 0)
		stage_add(out, p, n);
	out->last_type = type;
}

static void
item_done(struct out *out)
{
	struct item *it = &out->queue[0];

	if (it->slot >= 0)
		out->give_back |= (uint8_t)(1u << it->slot);
	else
		out->held = false;
	out->mid_wire = !it->last;
	out->queued--;
	memmove(out->queue, out->queue + 1, out->queued * sizeof(*it));
}

/* Move the first item on; RC_AGAIN when the connection takes no more. */
static int
item_write(struct relay *r)
{
	struct out *out = &r->out;
	struct item *it = &out->queue[0];
	size_t n;
	int rc;

	if (stage_room(out) < PROTO_FRAME_LEN &&
	    (rc = relay_stage_write(r)) != RC_OK)
		return rc;
	if (it->header_left > 0) {
		stage_add(out, it->header, sizeof(it->header));
		it->header_left = 0;
		out->mid_wire = true;
	}
	while (it->left > 0) {
		if (out->len == 0 && it->left >= DIRECT_MIN) {
			if (!out->ready)
				return RC_AGAIN;
			rc = relay_net_write(r, it->p, it->left, &n);
			if (rc != RC_OK)
				return rc;
		} else {
			n = stage_room(out);
			if (n > it->left)
				n = it->left;
			stage_add(out, it->p, n);
		}
		it->p += n;
		it->left -= n;
		if (stage_room(out) == 0 &&
		    (rc = relay_stage_write(r)) != RC_OK)
			return rc;
	}
	item_done(out);
	return RC_OK;
}

/* Our own frames go between those of the inner end. */
void
relay_stage_own(struct relay *r)
{
	static const uint8_t zeros[8];
	struct wbuf b = WBUF_INIT(512);
	struct out *out = &r->out;

	if (out->mid_wire || stage_room(out) < 1024)
		return;
	if (r->pong_due)
		relay_stage_frame(out, PROTO_PONG, r->pong_request, r->pong,
		    r->pong_len);
	r->pong_due = false;
	if (r->ping_due)
		relay_stage_frame(out, PROTO_PING, PING_REQUEST, zeros,
		    sizeof(zeros));
	r->ping_due = false;
	if (!r->closing || r->close_staged ||
	    (r->close_soft && out->queued > 0))
		return;
	if (r->close_code != 0) {
		proto_err_put(&b, r->close_code, r->close_text[0] != '\0' ?
		    r->close_text : proto_error_text(r->close_code));
		if (wbuf_rc(&b) == RC_OK)
			relay_stage_frame(out, PROTO_ERROR, 0, b.data, b.len);
		wbuf_free(&b);
	}
	if (r->close_rc == RC_OK && out->last_type != PROTO_BYE)
		relay_stage_frame(out, PROTO_BYE, 0, NULL, 0);
	r->close_staged = true;
}

/* The first reason counts. */
void
relay_begin_close(struct relay *r, int rc, uint16_t code, const char *text)
{
	if (r->closing)
		return;
	r->closing = true;
	r->close_rc = rc;
	r->close_code = code;
	if (text != NULL)
		snprintf(r->close_text, sizeof(r->close_text), "%s", text);
	r->close_until = io_now_ms() + CLOSE_MS;
}

/* The inner end has no more to say: what it said goes out first. */
static void
begin_soft_close(struct relay *r, uint16_t code, const char *text)
{
	if (r->closing)
		return;
	relay_begin_close(r, RC_OK, code, text);
	r->close_soft = true;
	r->close_until = io_now_ms() + PROTO_STALL_MS;
}

static void
push_item(struct relay *r, const struct frame *f, bool header,
    const uint8_t *p, size_t n, int slot, bool last)
{
	struct item *it = &r->out.queue[r->out.queued++];

	memset(it, 0, sizeof(*it));
	if (header) {
		frame_put(it->header, f);
		it->header_left = sizeof(it->header);
	}
	it->p = p;
	it->left = n;
	it->slot = slot;
	it->last = last;
	r->out.last_type = f->type;
}

static int
on_frame(struct relay *r, struct msg *m)
{
	struct frame f = { 0 };
	const uint8_t *p;
	size_t n;
	int rc;

	if ((rc = rbuf_u16(&m->body, &f.type)) != RC_OK ||
	    (rc = rbuf_u16(&m->body, &f.flags)) != RC_OK ||
	    (rc = rbuf_u32(&m->body, &f.request)) != RC_OK)
		return rc;
	n = rbuf_left(&m->body);
	if ((rc = rbuf_view(&m->body, &p, n)) != RC_OK)
		return rc;
	f.length = (uint32_t)n;
	if (r->out.mid_chan || is_big(f.type))
		return RC_STATE;
	rc = frame_allowed(&f, r->side ^ (PROTO_C | PROTO_S), PROTO_ST_ANY);
	if (rc != RC_OK)
		return rc;
	push_item(r, &f, true, p, n, -1, true);
	r->out.held = true;
	return RC_OK;
}

static int
on_piece(struct relay *r, struct msg *m)
{
	struct out *out = &r->out;
	struct frame f = { 0 };
	uint32_t offset, len;
	uint8_t slot;
	int rc;

	if ((rc = rbuf_u16(&m->body, &f.type)) != RC_OK ||
	    (rc = rbuf_u32(&m->body, &f.request)) != RC_OK ||
	    (rc = rbuf_u32(&m->body, &f.length)) != RC_OK ||
	    (rc = rbuf_u32(&m->body, &offset)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &slot)) != RC_OK ||
	    (rc = rbuf_u32(&m->body, &len)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (slot >= RING_SLOTS || (RING_INNER_MASK & (1u << slot)) == 0 ||
	    len == 0 || len > RING_SLOT || !is_big(f.type))
		return RC_PROTO;
	for (size_t i = 0; i < out->queued; i++)
		if (out->queue[i].slot == slot)
			return RC_PROTO;
	if (!out->mid_chan) {
		rc = frame_allowed(&f, r->side ^ (PROTO_C | PROTO_S),
		    PROTO_ST_ANY);
		if (rc != RC_OK)
			return rc;
		out->big = f;
		out->big_got = 0;
	}
	if (f.type != out->big.type || f.request != out->big.request ||
	    f.length != out->big.length || offset != out->big_got ||
	    len > f.length - offset)
		return RC_PROTO;
	out->give_back &= (uint8_t)~(1u << slot);
	push_item(r, &f, offset == 0, r->ring + (size_t)slot * RING_SLOT, len,
	    slot, offset + len == f.length);
	out->big_got += len;
	out->mid_chan = out->big_got < f.length;
	return RC_OK;
}

static int
on_slots(struct relay *r, struct msg *m)
{
	uint8_t mask, busy = RING_OUTER_MASK & (uint8_t)~r->in.free;
	int rc;

	if ((rc = rbuf_u8(&m->body, &mask)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (r->in.slot != -1)
		busy &= (uint8_t)~(1u << r->in.slot);
	if ((mask & ~busy) != 0)
		return RC_PROTO;
	r->in.free |= mask;
	return RC_OK;
}

static int
on_link_close(struct relay *r, struct msg *m)
{
	char text[256];
	uint16_t code;
	int rc;

	if ((rc = rbuf_u16(&m->body, &code)) != RC_OK ||
	    (rc = rbuf_str(&m->body, text, sizeof(text))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	begin_soft_close(r, code, text);
	return RC_OK;
}

static int
on_inner(struct relay *r, struct msg *m)
{
	switch (m->type) {
	case MSG_FRAME:
		return on_frame(r, m);
	case MSG_PIECE:
		return on_piece(r, m);
	case MSG_SLOTS:
		return on_slots(r, m);
	case MSG_LINK_CLOSE:
		return on_link_close(r, m);
	default:
		return RC_STATE;
	}
}

/* The inner end is gone.  A server says so; a client says goodbye. */
int
relay_inner_gone(struct relay *r)
{
	struct out *out = &r->out;

	r->inner_ended = true;
	if (out->mid_chan)
		return RC_TRUNCATED;
	if (r->side == PROTO_C && !r->peer_bye &&
	    out->last_type != PROTO_ERROR && out->last_type != PROTO_BYE)
		begin_soft_close(r, PROTO_ERR_INTERNAL,
		    "the process of the vault has ended");
	else
		begin_soft_close(r, 0, NULL);
	return RC_OK;
}

/* Take the next message, if there is one. */
static int
out_take(struct relay *r, struct chan *inner)
{
	struct out *out = &r->out;
	struct msg m;
	int rc;

	if (r->inner_ended || out->held || !out->chan_ready ||
	    (r->closing && !out->mid_wire && !out->mid_chan) ||
	    out->queued == QUEUE_MAX)
		return RC_AGAIN;
	rc = chan_recv(inner, &m);
	if (rc == RC_AGAIN)
		out->chan_ready = false;
	if (rc == RC_EOF)
		return relay_inner_gone(r);
	return rc == RC_OK ? on_inner(r, &m) : rc;
}

static int
give_back(struct relay *r, struct chan *inner)
{
	struct wbuf b = WBUF_INIT(4);
	struct out *out = &r->out;
	int rc;

	if (out->give_back == 0 || out->chan_full || r->inner_ended)
		return RC_OK;
	wbuf_u8(&b, out->give_back);
	rc = chan_send(inner, MSG_SLOTS, &b, -1);
	wbuf_free(&b);
	out->chan_full = rc == RC_AGAIN;
	if (rc == RC_OK)
		out->give_back = 0;
	return rc == RC_AGAIN || rc == RC_EOF ? RC_OK : rc;
}

/* RC_OK: nothing more can be done now. */
int
relay_pump_out(struct relay *r, struct chan *inner)
{
	struct out *out = &r->out;
	int rc = RC_OK;

	for (int i = 0; i < FRAMES_A_TURN; i++) {
		if (__builtin_popcount(out->give_back) >= 2 &&
		    (rc = give_back(r, inner)) != RC_OK)
			return rc;
		rc = out_take(r, inner);
		if (rc != RC_OK && rc != RC_AGAIN)
			return rc;
		if (out->queued == 0) {
			if (rc == RC_AGAIN)
				break;
			continue;
		}
		relay_stage_own(r);
		if (r->close_staged)
			break;
		rc = item_write(r);
		if (rc == RC_AGAIN)
			return give_back(r, inner);
		if (rc != RC_OK)
			return rc;
	}
	if ((rc = give_back(r, inner)) != RC_OK)
		return rc;
	relay_stage_own(r);
	rc = relay_stage_write(r);
	return rc == RC_AGAIN ? RC_OK : rc;
}

bool
relay_out_due(const struct out *out)
{
	return out->off < out->len || out->queued > 0;
}
