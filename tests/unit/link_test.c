#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/proto.h"
#include "common/rc.h"
#include "privsep/link.h"

#define BIG_MAX	(1u << 20)

/* store's end of a link, and the session's bare. */
struct ends {
	struct link	*l;
	struct chan	*far;
	int		 ring_fd;
	uint8_t		*ring;
};

static void
open_ends(struct ends *e, int with_ring)
{
	struct link_frame f;
	struct chan *c;
	void *map;
	int fds[2];

	assert_int_equal(chan_pair(fds), RC_OK);
	c = chan_new(fds[0], ROLE_STORE, ROLE_SESSION);
	e->far = chan_new(fds[1], ROLE_SESSION, ROLE_STORE);
	chan_set_nonblock(e->far);
	e->l = link_new(c, BIG_MAX);
	assert_int_equal(ring_make(&e->ring_fd, &map), RC_OK);
	e->ring = map;
	if (with_ring) {
		assert_int_equal(chan_send(e->far, MSG_RING, NULL, e->ring_fd),
		    RC_OK);
		assert_int_equal(link_recv(e->l, &f), RC_AGAIN);
	}
}

static void
close_ends(struct ends *e)
{
	link_free(e->l);
	chan_free(e->far);
	munmap(e->ring, RING_SIZE);
	close(e->ring_fd);
}

static void
put_piece(struct ends *e, uint16_t type, uint32_t request, uint32_t total,
    uint32_t offset, uint8_t slot, uint32_t len)
{
	struct wbuf body = WBUF_INIT(19);

	wbuf_u16(&body, type);
	wbuf_u32(&body, request);
	wbuf_u32(&body, total);
	wbuf_u32(&body, offset);
	wbuf_u8(&body, slot);
	wbuf_u32(&body, len);
	assert_int_equal(chan_send(e->far, MSG_PIECE, &body, -1), RC_OK);
	wbuf_free(&body);
}

static void
put_slots(struct ends *e, uint8_t mask)
{
	struct wbuf body = WBUF_INIT(1);

	wbuf_u8(&body, mask);
	assert_int_equal(chan_send(e->far, MSG_SLOTS, &body, -1), RC_OK);
	wbuf_free(&body);
}

static void
put_frame(struct ends *e, uint16_t type, uint16_t flags, const char *text)
{
	struct wbuf body = WBUF_INIT(1024);

	wbuf_u16(&body, type);
	wbuf_u16(&body, flags);
	wbuf_u32(&body, 7);
	wbuf_bytes(&body, text, strlen(text));
	assert_int_equal(chan_send(e->far, MSG_FRAME, &body, -1), RC_OK);
	wbuf_free(&body);
}

static void
a_small_frame_passes_both_ways(void **state)
{
	struct link_frame f;
	struct ends e;
	struct msg m;
	uint16_t type, flags;
	uint32_t request;
	uint8_t text[5];

	(void)state;
	open_ends(&e, 1);
	put_frame(&e, PROTO_HAVE, 0, "hello");
	assert_int_equal(link_recv(e.l, &f), RC_OK);
	assert_int_equal(f.type, PROTO_HAVE);
	assert_int_equal(f.request, 7);
	assert_int_equal(f.len, 5);
	assert_memory_equal(f.payload, "hello", 5);
	assert_int_equal(link_recv(e.l, &f), RC_AGAIN);

	assert_int_equal(link_send(e.l, PROTO_ACK, 9, "he", 2, "llo", 3),
	    RC_OK);
	assert_true(link_idle(e.l));
	assert_int_equal(chan_expect(e.far, MSG_FRAME, &m, 1000), RC_OK);
	rbuf_u16(&m.body, &type);
	rbuf_u16(&m.body, &flags);
	rbuf_u32(&m.body, &request);
	assert_int_equal(type, PROTO_ACK);
	assert_int_equal(flags, 0);
	assert_int_equal(request, 9);
	assert_int_equal(rbuf_bytes(&m.body, text, 5), RC_OK);
	assert_memory_equal(text, "hello", 5);
	close_ends(&e);
}

static void
an_object_is_put_together_from_pieces(void **state)
{
	const uint32_t total = RING_SLOT + 100;
	struct link_frame f;
	struct ends e;
	struct msg m;
	uint8_t mask;

	(void)state;
	open_ends(&e, 1);
	memset(e.ring, 'a', RING_SLOT);
	memset(e.ring + RING_SLOT, 'b', 100);
	put_piece(&e, PROTO_PUT, 3, total, 0, 0, RING_SLOT);
	assert_int_equal(link_recv(e.l, &f), RC_AGAIN);
	assert_int_equal(chan_expect(e.far, MSG_SLOTS, &m, 1000), RC_OK);
	rbuf_u8(&m.body, &mask);
	assert_int_equal(mask, 0x01);
	put_piece(&e, PROTO_PUT, 3, total, RING_SLOT, 1, 100);
	assert_int_equal(link_recv(e.l, &f), RC_OK);
	assert_int_equal(f.type, PROTO_PUT);
	assert_int_equal(f.request, 3);
	assert_int_equal(f.len, total);
	/* what is in the ring now no longer matters */
	memset(e.ring, 'x', RING_SIZE);
	assert_int_equal(f.payload[0], 'a');
	assert_int_equal(f.payload[RING_SLOT - 1], 'a');
	assert_int_equal(f.payload[RING_SLOT], 'b');
	assert_int_equal(f.payload[total - 1], 'b');
	close_ends(&e);
}

struct bad {
	uint16_t	type;
	uint32_t	total, offset;
	uint8_t		slot;
	uint32_t	len;
};

static void
pieces_against_the_rules_are_refused(void **state)
{
	static const struct bad bad[] = {
		{ PROTO_HAVE, 10, 0, 0, 10 },		/* not an object */
		{ PROTO_PUT, BIG_MAX + 1, 0, 0, 10 },	/* too large */
		{ PROTO_PUT, 0xffffffff, 0, 0, 10 },
		{ PROTO_PUT, 10, 0, 4, 10 },		/* our half */
		{ PROTO_PUT, 10, 0, 8, 10 },		/* no slot */
		{ PROTO_PUT, 10, 0, 255, 10 },
		{ PROTO_PUT, 10, 0, 0, 0 },		/* nothing */
		{ PROTO_PUT, 0, 0, 0, 0 },
		{ PROTO_PUT, 10, 0, 0, 11 },		/* beyond the end */
		{ PROTO_PUT, 10, 11, 0, 1 },
		{ PROTO_PUT, 10, 0xffffffff, 0, 2 },	/* would wrap */
		{ PROTO_PUT, 10, 5, 0, 5 },		/* not the first */
		{ PROTO_PUT, 100000, 0, 3, RING_SLOT + 1 },
	};
	struct link_frame f;
	struct ends e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		open_ends(&e, 1);
		put_piece(&e, bad[i].type, 1, bad[i].total, bad[i].offset,
		    bad[i].slot, bad[i].len);
		assert_int_equal(link_recv(e.l, &f), RC_PROTO);
		close_ends(&e);
	}
}

static void
a_piece_must_go_on_where_the_last_ended(void **state)
{
	static const struct {
		uint16_t	type;
		uint32_t	request, total, offset;
	} bad[] = {
		{ PROTO_PUT, 1, 30, 0 },	/* again */
		{ PROTO_PUT, 1, 30, 11 },	/* a gap */
		{ PROTO_PUT, 2, 30, 10 },	/* another request */
		{ PROTO_PUT, 1, 31, 10 },	/* another total */
		{ PROTO_OBJ, 1, 30, 10 },	/* another type */
	};
	struct link_frame f;
	struct ends e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		open_ends(&e, 1);
		put_piece(&e, PROTO_PUT, 1, 30, 0, 0, 10);
		assert_int_equal(link_recv(e.l, &f), RC_AGAIN);
		put_piece(&e, bad[i].type, bad[i].request, bad[i].total,
		    bad[i].offset, 1, 10);
		assert_int_equal(link_recv(e.l, &f), RC_PROTO);
		close_ends(&e);
	}
}

static void
the_ring_comes_first_and_once_and_must_be_sealed(void **state)
{
	struct link_frame f;
	struct ends e;
	int fd;

	(void)state;
	open_ends(&e, 0);
	put_piece(&e, PROTO_PUT, 1, 10, 0, 0, 10);
	assert_int_equal(link_recv(e.l, &f), RC_STATE);
	close_ends(&e);

	open_ends(&e, 1);
	chan_send(e.far, MSG_RING, NULL, e.ring_fd);
	assert_int_equal(link_recv(e.l, &f), RC_PROTO);
	close_ends(&e);

	open_ends(&e, 0);
	fd = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd, RING_SIZE), 0);
	chan_send(e.far, MSG_RING, NULL, fd);
	assert_int_equal(link_recv(e.l, &f), RC_PROTO);
	close_ends(&e);

	assert_int_equal(ring_check(fd), RC_PROTO);
	assert_int_equal(ftruncate(fd, RING_SIZE - 1), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW),
	    0);
	assert_int_equal(ring_check(fd), RC_PROTO);	/* too small */
	close(fd);
	assert_int_equal(ring_check(0), RC_PROTO);
	assert_int_equal(ring_check(-1), RC_PROTO);
}

static void
slots_given_back_that_were_not_out_are_refused(void **state)
{
	static const uint8_t masks[] = { 0x00, 0x01, 0x10, 0xff };
	struct link_frame f;
	struct ends e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(masks); i++) {
		open_ends(&e, 1);
		put_slots(&e, masks[i]);
		assert_int_equal(link_recv(e.l, &f), RC_PROTO);
		close_ends(&e);
	}
}

static void
frames_that_must_not_be_small_or_have_flags_are_refused(void **state)
{
	struct link_frame f;
	struct ends e;

	(void)state;
	open_ends(&e, 1);
	put_frame(&e, PROTO_PUT, 0, "object");
	assert_int_equal(link_recv(e.l, &f), RC_PROTO);
	put_frame(&e, PROTO_HAVE, 1, "flags");
	assert_int_equal(link_recv(e.l, &f), RC_PROTO);
	close_ends(&e);
}

/* Play the outer end: take pieces out of the ring into `to`, in order. */
static size_t
take_pieces(struct ends *e, uint8_t *to, size_t done, uint8_t *slots)
{
	struct msg m;
	uint16_t type;
	uint32_t request, total, off, len;
	uint8_t slot;

	*slots = 0;
	while (chan_recv(e->far, &m) == RC_OK) {
		assert_int_equal(m.type, MSG_PIECE);
		rbuf_u16(&m.body, &type);
		rbuf_u32(&m.body, &request);
		rbuf_u32(&m.body, &total);
		rbuf_u32(&m.body, &off);
		rbuf_u8(&m.body, &slot);
		assert_int_equal(rbuf_u32(&m.body, &len), RC_OK);
		assert_int_equal(off, done);
		assert_true(slot >= 4 && slot < 8);
		assert_int_equal(*slots & (1u << slot), 0);
		memcpy(to + off, e->ring + slot * RING_SLOT, len);
		*slots |= (uint8_t)(1u << slot);
		done += len;
	}
	return done;
}

static void
a_large_object_goes_as_slots_come_back_and_order_is_kept(void **state)
{
	const size_t total = 10 * RING_SLOT + 123;
	uint8_t *in, *out, slots;
	struct link_frame f;
	struct ends e;
	struct msg m;
	size_t done = 0, i;

	(void)state;
	open_ends(&e, 1);
	in = malloc(total);
	out = malloc(total);
	for (i = 0; i < total; i++)
		in[i] = (uint8_t)(i * 31 + (i >> 16));
	/* in two parts, the first shorter than a slot */
	assert_int_equal(link_send(e.l, PROTO_OBJ, 5, in, 1000, in + 1000,
	    total - 1000), RC_OK);
	assert_false(link_idle(e.l));
	/* it waits for slots, so for a message: not for room */
	assert_int_equal(link_events(e.l), POLLIN);
	/* no second one, and a small frame waits behind */
	assert_int_equal(link_send(e.l, PROTO_OBJ, 6, in, 10, NULL, 0),
	    RC_AGAIN);
	assert_int_equal(link_send(e.l, PROTO_WALK_END, 5, "end", 3, NULL, 0),
	    RC_OK);
	while (done < total) {
		i = take_pieces(&e, out, done, &slots);
		assert_true(i > done);
		done = i;
		if (done == total)
			break;
		assert_int_equal(link_flush(e.l), RC_AGAIN);
		put_slots(&e, slots);
		assert_int_equal(link_recv(e.l, &f), RC_AGAIN);
		assert_int_equal(link_events(e.l), POLLIN | POLLOUT);
		if (total - done <= 4 * RING_SLOT)
			break;
		assert_int_equal(link_flush(e.l), RC_AGAIN);
	}
	assert_int_equal(link_flush(e.l), RC_OK);
	assert_true(link_idle(e.l));
	/* the rest, then the small frame */
	while (chan_recv(e.far, &m) == RC_OK && m.type == MSG_PIECE) {
		uint32_t off, len;
		uint8_t slot;

		rbuf_skip(&m.body, 10);
		rbuf_u32(&m.body, &off);
		rbuf_u8(&m.body, &slot);
		rbuf_u32(&m.body, &len);
		memcpy(out + off, e.ring + slot * RING_SLOT, len);
		done += len;
	}
	assert_int_equal(done, total);
	assert_int_equal(m.type, MSG_FRAME);
	assert_memory_equal(in, out, total);
	free(in);
	free(out);
	close_ends(&e);
}

static void
small_frames_queue_up_to_a_limit(void **state)
{
	static uint8_t payload[32768];
	struct link_frame f;
	struct ends e;
	struct msg m;
	int i, sent = 0, got = 0, rc = RC_OK;

	(void)state;
	open_ends(&e, 1);
	for (i = 0; i < 1000 && rc == RC_OK; i++) {
		rc = link_send(e.l, PROTO_SNAPSHOT, 1, payload,
		    sizeof(payload), NULL, 0);
		sent += rc == RC_OK;
	}
	assert_int_equal(rc, RC_LIMIT);
	assert_true(sent >= 31);
	assert_int_equal(link_flush(e.l), RC_AGAIN);
	assert_int_equal(link_events(e.l), POLLIN | POLLOUT);
	do {
		while (chan_recv(e.far, &m) == RC_OK)
			got++;
		rc = link_flush(e.l);
	} while (rc == RC_AGAIN);
	assert_int_equal(rc, RC_OK);
	while (chan_recv(e.far, &m) == RC_OK)
		got++;
	assert_int_equal(got, sent);
	assert_int_equal(link_send(e.l, PROTO_SNAPSHOT, 1, payload,
	    sizeof(payload), payload, sizeof(payload) + 1), RC_LIMIT);
	assert_int_equal(link_recv(e.l, &f), RC_AGAIN);
	close_ends(&e);
}

static int
note(void *arg, struct msg *m)
{
	*(uint16_t *)arg = m->type;
	return RC_CANCELLED;
}

static void
what_is_no_frame_goes_to_the_other_handler(void **state)
{
	struct link_frame f;
	struct link *l;
	struct chan *far;
	uint16_t type = 0;
	struct wbuf body = WBUF_INIT(64);
	int fds[2];

	(void)state;
	assert_int_equal(chan_pair(fds), RC_OK);
	l = link_new(chan_new(fds[0], ROLE_ENGINE, ROLE_NET), BIG_MAX);
	far = chan_new(fds[1], ROLE_NET, ROLE_ENGINE);
	wbuf_zeros(&body, 32);
	assert_int_equal(chan_send(far, MSG_NET_UP, &body, -1), RC_OK);
	assert_int_equal(link_recv(l, &f), RC_STATE);
	link_on_other(l, note, &type);
	assert_int_equal(chan_send(far, MSG_NET_UP, &body, -1), RC_OK);
	assert_int_equal(link_recv(l, &f), RC_CANCELLED);
	assert_int_equal(type, MSG_NET_UP);
	chan_free(far);
	assert_int_equal(link_recv(l, &f), RC_EOF);
	wbuf_free(&body);
	link_free(l);
	link_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_frame_passes_both_ways),
		cmocka_unit_test(an_object_is_put_together_from_pieces),
		cmocka_unit_test(pieces_against_the_rules_are_refused),
		cmocka_unit_test(a_piece_must_go_on_where_the_last_ended),
		cmocka_unit_test(
		    the_ring_comes_first_and_once_and_must_be_sealed),
		cmocka_unit_test(
		    slots_given_back_that_were_not_out_are_refused),
		cmocka_unit_test(
		    frames_that_must_not_be_small_or_have_flags_are_refused),
		cmocka_unit_test(
		    a_large_object_goes_as_slots_come_back_and_order_is_kept),
		cmocka_unit_test(small_frames_queue_up_to_a_limit),
		cmocka_unit_test(what_is_no_frame_goes_to_the_other_handler),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
