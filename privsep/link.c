#include "config.h"

#include "privsep/link.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/num.h"
#include "common/proto.h"
#include "common/rc.h"

#define FRAME_HEAD	8		/* type u16, flags u16, request u32 */
#define QUEUE_MAX	(1u << 20)

/* A small frame that waits, as the body of its FRAME message. */
struct queued {
	struct queued	*next;
	struct wbuf	 body;
};

/* One PUT or OBJ that comes or goes in pieces. */
struct object_io {
	bool		 active;
	uint16_t	 type;
	uint32_t	 request;
	size_t		 total, off;
};

struct link {
	struct chan	*c;
	int		 ring_fd;	/* -1 until RING came */
	size_t		 big_max;
	int		(*other)(void *arg, struct msg *m);
	void		*other_arg;

	/* in */
	struct object_io in;
	uint8_t		*in_buf;
	size_t		 in_size;
	uint8_t		 give;		/* emptied slots, not said yet */

	/* out: first the object under way, then the queue, in this order */
	uint8_t		 slots;		/* of ours, free */
	struct object_io out;
	uint8_t		*out_buf;	/* from out_base on */
	size_t		 out_base;
	struct queued	*head, **tail;
	size_t		 queue_len;
};

static bool
is_big(uint16_t type)
{
	return type == PROTO_PUT || type == PROTO_OBJ;
}

struct link *
link_new(struct chan *c, size_t big_max)
{
	struct link *l;

	if ((l = calloc(1, sizeof(*l))) == NULL) {
		chan_free(c);
		return NULL;
	}
	l->c = c;
	l->ring_fd = -1;
	l->big_max = big_max;
	l->slots = RING_INNER_MASK;
	l->tail = &l->head;
	chan_set_nonblock(c);
	return l;
}

static void
queue_pop(struct link *l)
{
	struct queued *q = l->head;

	l->head = q->next;
	if (l->head == NULL)
		l->tail = &l->head;
	l->queue_len -= q->body.len;
	wbuf_free(&q->body);
	free(q);
}

void
link_free(struct link *l)
{
	if (l == NULL)
		return;
	while (l->head != NULL)
		queue_pop(l);
	free(l->in_buf);
	free(l->out_buf);
	fd_close(&l->ring_fd);
	chan_free(l->c);
	free(l);
}

int
link_fd(const struct link *l)
{
	return chan_fd(l->c);
}

struct chan *
link_chan(struct link *l)
{
	return l->c;
}

void
link_on_other(struct link *l, int (*other)(void *arg, struct msg *m), void *arg)
{
	l->other = other;
	l->other_arg = arg;
}

bool
link_idle(const struct link *l)
{
	return !l->out.active && l->head == NULL && l->give == 0;
}

/*
 * An object that waits for slots waits for a message, not for room in the
 * channel: POLLOUT would be true all the time then.
 */
short
link_events(const struct link *l)
{
	bool out = l->give != 0;

	if (l->out.active)
		out = out || (l->slots != 0 && l->ring_fd != -1);
	else
		out = out || l->head != NULL;
	return (short)(POLLIN | (out ? POLLOUT : 0));
}

/* --- in --- */

static int
give_back(struct link *l)
{
	struct wbuf body = WBUF_INIT(1);
	int rc;

	if (l->give == 0)
		return RC_OK;
	wbuf_u8(&body, l->give);
	if ((rc = chan_send(l->c, MSG_SLOTS, &body, -1)) == RC_OK)
		l->give = 0;
	wbuf_free(&body);
	return rc;
}

static int
on_ring(struct link *l, struct msg *m)
{
	if (l->ring_fd != -1 || rbuf_left(&m->body) != 0)
		return RC_PROTO;
	l->ring_fd = msg_take_fd(l->c, m);
	return ring_check(l->ring_fd);
}

static int
on_slots(struct link *l, struct msg *m)
{
	uint8_t mask;

	if (rbuf_u8(&m->body, &mask) != RC_OK || rbuf_end(&m->body) != RC_OK)
		return RC_PROTO;
	/* only ours, and only those that are out */
	if (mask == 0 || (mask & ~RING_INNER_MASK) != 0 ||
	    (mask & l->slots) != 0)
		return RC_PROTO;
	l->slots |= mask;
	return RC_OK;
}

static int
on_frame(struct msg *m, struct link_frame *f)
{
	uint16_t flags;

	if (rbuf_u16(&m->body, &f->type) != RC_OK ||
	    rbuf_u16(&m->body, &flags) != RC_OK ||
	    rbuf_u32(&m->body, &f->request) != RC_OK || flags != 0 ||
	    is_big(f->type))
		return RC_PROTO;
	f->len = rbuf_left(&m->body);
	return rbuf_view(&m->body, &f->payload, f->len);
}

struct piece {
	uint16_t	type;
	uint32_t	request, total, offset, len;
	uint8_t		slot;
};

static int
piece_parse(struct rbuf *in, struct piece *p)
{
	if (rbuf_u16(in, &p->type) != RC_OK ||
	    rbuf_u32(in, &p->request) != RC_OK ||
	    rbuf_u32(in, &p->total) != RC_OK ||
	    rbuf_u32(in, &p->offset) != RC_OK ||
	    rbuf_u8(in, &p->slot) != RC_OK ||
	    rbuf_u32(in, &p->len) != RC_OK || rbuf_end(in) != RC_OK)
		return RC_PROTO;
	if (!is_big(p->type) || p->slot >= RING_SLOTS ||
	    ((1u << p->slot) & RING_OUTER_MASK) == 0 ||
	    p->len == 0 || p->len > RING_SLOT)
		return RC_PROTO;
	/* by differences, so that no sum can wrap */
	if (p->offset > p->total || p->len > p->total - p->offset)
		return RC_PROTO;
	return RC_OK;
}

static int
in_begin(struct link *l, const struct piece *p)
{
	uint8_t *buf;

	if (p->offset != 0 || p->total > l->big_max)
		return RC_PROTO;
	if (p->total > l->in_size) {
		/* nothing of the old one is wanted: no realloc's copy */
		free(l->in_buf);
		l->in_buf = NULL;
		l->in_size = 0;
		if ((buf = malloc(p->total)) == NULL)
			return RC_NOMEM;
		l->in_buf = buf;
		l->in_size = p->total;
	}
	l->in = (struct object_io){ .active = true, .type = p->type,
	    .request = p->request, .total = p->total };
	return RC_OK;
}

/* RC_AGAIN: the object is not whole yet. */
static int
on_piece(struct link *l, struct msg *m, struct link_frame *f)
{
	struct piece p;
	int rc;

	if ((rc = piece_parse(&m->body, &p)) != RC_OK)
		return rc;
	if (!l->in.active && (rc = in_begin(l, &p)) != RC_OK)
		return rc;
	if (p.type != l->in.type || p.request != l->in.request ||
	    p.total != l->in.total || p.offset != l->in.off)
		return RC_PROTO;
	/* told twice before we gave it back: the far end has lost count */
	if ((l->give & (1u << p.slot)) != 0)
		return RC_PROTO;
	rc = io_pread_full(l->ring_fd, l->in_buf + p.offset, p.len,
	    (uint64_t)p.slot * RING_SLOT);
	if (rc != RC_OK)
		return rc;
	l->give |= (uint8_t)(1u << p.slot);
	if ((rc = give_back(l)) != RC_OK && rc != RC_AGAIN)
		return rc;
	l->in.off += p.len;
	if (l->in.off < l->in.total)
		return RC_AGAIN;
	l->in.active = false;
	f->type = l->in.type;
	f->request = l->in.request;
	f->payload = l->in_buf;
	f->len = l->in.total;
	return RC_OK;
}

int
link_recv(struct link *l, struct link_frame *f)
{
	struct msg m;
	int rc;

	for (;;) {
		if ((rc = chan_recv(l->c, &m)) != RC_OK)
			return rc;
		if (m.type == MSG_RING)
			rc = on_ring(l, &m);
		else if (m.type == MSG_FRAME && l->ring_fd != -1)
			return on_frame(&m, f);
		else if (m.type == MSG_PIECE && l->ring_fd != -1) {
			if ((rc = on_piece(l, &m, f)) != RC_AGAIN)
				return rc;
			rc = RC_OK;
		} else if (m.type == MSG_SLOTS)
			rc = on_slots(l, &m);
		else if (l->other != NULL)
			rc = l->other(l->other_arg, &m);
		else
			rc = RC_STATE;
		if (rc != RC_OK)
			return rc;
	}
}

/* --- out --- */

/* The object that link_send() was given, in two parts. */
struct parts {
	const uint8_t	*p[2];
	size_t		 n[2];
};

/* Write part of it, [off, off + len), into the ring at `at`. */
static int
parts_write(const struct parts *src, size_t off, size_t len, int fd,
    uint64_t at)
{
	size_t i, n;
	int rc;

	for (i = 0; i < 2 && len > 0; i++) {
		if (off >= src->n[i]) {
			off -= src->n[i];
			continue;
		}
		n = src->n[i] - off;
		if (n > len)
			n = len;
		rc = io_pwrite_full(fd, src->p[i] + off, n, at);
		if (rc != RC_OK)
			return rc;
		at += n;
		len -= n;
		off = 0;
	}
	return RC_OK;
}

static int
send_piece(struct link *l, uint8_t slot, size_t len)
{
	struct wbuf body = WBUF_INIT(19);
	int rc;

	wbuf_u16(&body, l->out.type);
	wbuf_u32(&body, l->out.request);
	wbuf_u32(&body, (uint32_t)l->out.total);
	wbuf_u32(&body, (uint32_t)l->out.off);
	wbuf_u8(&body, slot);
	wbuf_u32(&body, (uint32_t)len);
	rc = chan_send(l->c, MSG_PIECE, &body, -1);
	wbuf_free(&body);
	return rc;
}

/* Move the object on as far as slots and the channel allow; `src` begins at
 * offset `base` of the object. */
static int
push(struct link *l, const struct parts *src, size_t base)
{
	size_t len;
	uint8_t slot;
	int rc;

	while (l->out.off < l->out.total) {
		if (l->slots == 0 || l->ring_fd == -1)
			return RC_AGAIN;
		slot = (uint8_t)__builtin_ctz(l->slots);
		len = l->out.total - l->out.off;
		if (len > RING_SLOT)
			len = RING_SLOT;
		rc = parts_write(src, l->out.off - base, len, l->ring_fd,
		    (uint64_t)slot * RING_SLOT);
		if (rc != RC_OK || (rc = send_piece(l, slot, len)) != RC_OK)
			return rc;
		l->slots &= (uint8_t)~(1u << slot);
		l->out.off += len;
	}
	l->out.active = false;
	return RC_OK;
}

/* Keep what did not go at once. */
static int
keep_rest(struct link *l, const struct parts *src)
{
	size_t off = l->out.off, i, n, done = 0;

	l->out_base = off;
	if ((l->out_buf = malloc(l->out.total - off)) == NULL)
		return RC_NOMEM;
	for (i = 0; i < 2; i++) {
		if (off >= src->n[i]) {
			off -= src->n[i];
			continue;
		}
		n = src->n[i] - off;
		memcpy(l->out_buf + done, src->p[i] + off, n);
		done += n;
		off = 0;
	}
	return RC_OK;
}

static int
send_big(struct link *l, uint16_t type, uint32_t request,
    const struct parts *src)
{
	size_t total;
	int rc;

	if (!size_add(src->n[0], src->n[1], &total) || total == 0 ||
	    total > UINT32_MAX)
		return RC_LIMIT;
	if (l->out.active || l->head != NULL)
		return RC_AGAIN;
	l->out = (struct object_io){ .active = true, .type = type,
	    .request = request, .total = total };
	if ((rc = push(l, src, 0)) == RC_AGAIN)
		rc = keep_rest(l, src);
	return rc;
}

static int
send_small(struct link *l, uint16_t type, uint32_t request,
    const struct parts *src)
{
	struct queued *q = NULL;
	struct wbuf body = WBUF_INIT(PROTO_SMALL_MAX + FRAME_HEAD);
	int rc;

	wbuf_u16(&body, type);
	wbuf_u16(&body, 0);
	wbuf_u32(&body, request);
	wbuf_bytes(&body, src->p[0], src->n[0]);
	wbuf_bytes(&body, src->p[1], src->n[1]);
	if ((rc = wbuf_rc(&body)) != RC_OK)
		goto out;
	rc = RC_AGAIN;
	if (!l->out.active && l->head == NULL)
		rc = chan_send(l->c, MSG_FRAME, &body, -1);
	if (rc != RC_AGAIN)
		goto out;
	rc = RC_LIMIT;
	if (body.len > QUEUE_MAX - l->queue_len)
		goto out;
	rc = RC_NOMEM;
	if ((q = calloc(1, sizeof(*q))) == NULL)
		goto out;
	q->body = body;
	l->queue_len += body.len;
	*l->tail = q;
	l->tail = &q->next;
	return RC_OK;
out:
	wbuf_free(&body);
	return rc;
}

int
link_send(struct link *l, uint16_t type, uint32_t request, const void *p,
    size_t n, const void *p2, size_t n2)
{
	const struct parts src = { { p, p2 }, { n, n2 } };

	if (is_big(type))
		return send_big(l, type, request, &src);
	return send_small(l, type, request, &src);
}

int
link_flush(struct link *l)
{
	struct parts src = { { l->out_buf, NULL }, { 0, 0 } };
	int rc;

	if ((rc = give_back(l)) != RC_OK)
		return rc;
	if (l->out.active) {
		src.n[0] = l->out.total - l->out_base;
		if ((rc = push(l, &src, l->out_base)) != RC_OK)
			return rc;
		free(l->out_buf);
		l->out_buf = NULL;
	}
	while (l->head != NULL) {
		rc = chan_send(l->c, MSG_FRAME, &l->head->body, -1);
		if (rc != RC_OK)
			return rc;
		queue_pop(l);
	}
	return RC_OK;
}
