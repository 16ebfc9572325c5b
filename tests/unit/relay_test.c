#include "config.h"

#include "privsep/relay.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/link.h"

#define OBJECTS		60


/* A session worker in a thread, the client's end of the socket, and the link
 * of a store. */
struct bench {
	int		 net;		/* the client's end */
	int		 parent[2];
	int		 ring_fd;
	void		*ring;
	struct relay	*relay;
	struct chan	*outer;
	struct chan	*parent_chan;
	struct link	*link;
	pthread_t	 thread;
	int		 rc;
};

static void *
pump(void *arg)
{
	struct bench *b = arg;

	b->rc = relay_pump(b->relay, b->outer, b->parent_chan);
	/* as a process would end: everything is closed */
	relay_free(b->relay);
	chan_free(b->outer);
	chan_free(b->parent_chan);
	return NULL;
}

static void
bench_open(struct bench *b)
{
	struct relay_opt o = { .side = PROTO_C };
	int fds[2], ch[2];

	memset(b, 0, sizeof(*b));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(chan_pair(ch), RC_OK);
	assert_int_equal(chan_pair(b->parent), RC_OK);
	assert_int_equal(ring_make(&b->ring_fd, &b->ring), RC_OK);
	o.fd = fds[0];
	o.ring = b->ring;
	o.ring_fd = b->ring_fd;
	b->net = fds[1];
	b->relay = relay_new(&o);
	b->outer = chan_new(ch[0], ROLE_SESSION, ROLE_STORE);
	b->parent_chan = chan_new(b->parent[0], ROLE_SESSION, ROLE_MASTER);
	b->link = link_new(chan_new(ch[1], ROLE_STORE, ROLE_SESSION),
	    OBJECT_WIRE_MAX);
	assert_non_null(b->relay);
	assert_non_null(b->link);
}

static void
bench_run(struct bench *b)
{
	assert_int_equal(pthread_create(&b->thread, NULL, pump, b), 0);
}

static void
bench_close(struct bench *b)
{
	close(b->net);
	link_free(b->link);
	pthread_join(b->thread, NULL);
	close(b->parent[1]);
	munmap(b->ring, RING_SIZE);
	close(b->ring_fd);
}

static void
send_frame(int fd, uint16_t type, uint32_t request, const void *p, size_t n)
{
	struct frame f = { .length = (uint32_t)n, .type = type,
	    .request = request };
	uint8_t header[PROTO_FRAME_LEN];

	frame_put(header, &f);
	assert_int_equal(io_write_full(fd, header, sizeof(header)), RC_OK);
	assert_int_equal(io_write_full(fd, p, n), RC_OK);
}

static int
recv_frame(int fd, struct frame *f, uint8_t *p, size_t size)
{
	uint8_t header[PROTO_FRAME_LEN];
	int rc;

	if ((rc = io_read_full(fd, header, sizeof(header))) != RC_OK)
		return rc;
	frame_get(header, f);
	assert_true(f->length <= size);
	return io_read_full(fd, p, f->length);
}

static int
next_frame(struct link *l, struct link_frame *f)
{
	struct pollfd p = { .fd = link_fd(l) };
	int rc;

	for (int i = 0; i < 1000; i++) {
		rc = link_flush(l);
		if (rc != RC_OK && rc != RC_AGAIN)
			return rc;
		if ((rc = link_recv(l, f)) != RC_AGAIN)
			return rc;
		p.events = link_events(l);
		poll(&p, 1, 5000);
	}
	return RC_TIMEOUT;
}

static size_t
object_len(unsigned i)
{
	static const size_t edge[] = { 88, 65535, 65536, 65537, 131072,
	    131073, 600000 };

	return i < NITEMS(edge) ? edge[i] : 88 + (i * 7919u) % 200000;
}

static void
object_fill(uint8_t *p, unsigned i, size_t n)
{
	for (size_t k = 0; k < n; k++)
		p[k] = (uint8_t)(k * 31 + i + (k >> 9));
}

/* The client: writes everything, without looking at what comes. */
static void *
client_writes(void *arg)
{
	struct bench *b = arg;
	uint8_t *p = malloc(1 << 20);

	for (unsigned i = 0; i < OBJECTS; i++) {
		object_fill(p, i, object_len(i));
		send_frame(b->net, PROTO_PUT, i, p, object_len(i));
		if (i % 3 == 0)
			send_frame(b->net, PROTO_FLUSH, i, "", 1);
	}
	free(p);
	return NULL;
}

/* ... and reads as many objects as it wrote. */
static void *
client_reads(void *arg)
{
	struct bench *b = arg;
	uint8_t *p = malloc(1 << 20), *want = malloc(1 << 20);
	struct frame f;
	unsigned n = 0;

	while (n < OBJECTS) {
		if (recv_frame(b->net, &f, p, 1 << 20) != RC_OK)
			break;
		if (f.type == PROTO_ACK)
			continue;
		object_fill(want, f.request, object_len(f.request));
		if (f.type != PROTO_OBJ || f.request != n ||
		    f.length != object_len(n) ||
		    memcmp(p, want, f.length) != 0)
			break;
		n++;
	}
	free(p);
	free(want);
	return (void *)(uintptr_t)n;
}

static void
objects_cross_in_both_directions_at_once(void **state)
{
	struct link_frame f;
	pthread_t w, r;
	struct bench b;
	unsigned got = 0, sent = 0, flushes = 0;
	uint8_t *want = malloc(1 << 20), *out = malloc(1 << 20);
	void *read_ok;

	(void)state;
	bench_open(&b);
	bench_run(&b);
	pthread_create(&w, NULL, client_writes, &b);
	pthread_create(&r, NULL, client_reads, &b);
	while (got < OBJECTS || sent < OBJECTS || !link_idle(b.link)) {
		struct pollfd p = { .fd = link_fd(b.link) };
		int rc;

		rc = link_flush(b.link);
		assert_true(rc == RC_OK || rc == RC_AGAIN);
		while ((rc = link_recv(b.link, &f)) == RC_OK) {
			if (f.type == PROTO_FLUSH) {
				flushes++;
				continue;
			}
			assert_int_equal(f.type, PROTO_PUT);
			assert_int_equal(f.request, got);
			assert_int_equal(f.len, object_len(got));
			object_fill(want, got, f.len);
			assert_memory_equal(f.payload, want, f.len);
			got++;
			assert_int_equal(link_send(b.link, PROTO_ACK, 0,
			    "0123456789abcdef", 16, NULL, 0), RC_OK);
		}
		assert_int_equal(rc, RC_AGAIN);
		if (sent < OBJECTS) {
			size_t n = object_len(sent);

			object_fill(out, sent, n);
			rc = link_send(b.link, PROTO_OBJ, sent, out, 40,
			    out + 40, n - 40);
			assert_true(rc == RC_OK || rc == RC_AGAIN);
			sent += rc == RC_OK;
			if (rc == RC_OK)
				continue;
		}
		if (got == OBJECTS && sent == OBJECTS && link_idle(b.link))
			break;
		p.events = link_events(b.link);
		assert_true(poll(&p, 1, 10000) > 0);
	}
	pthread_join(w, NULL);
	pthread_join(r, &read_ok);
	assert_int_equal((uintptr_t)read_ok, OBJECTS);
	assert_int_equal(flushes, OBJECTS / 3);
	send_frame(b.net, PROTO_BYE, 0, "", 0);
	assert_int_equal(next_frame(b.link, &f), RC_OK);
	assert_int_equal(f.type, PROTO_BYE);
	bench_close(&b);
	assert_int_equal(b.rc, RC_EOF);
	free(want);
	free(out);
}

static void
expect_error(struct bench *b, uint16_t code)
{
	struct proto_err e;
	struct rbuf in;
	uint8_t p[1024];
	struct frame f;

	assert_int_equal(recv_frame(b->net, &f, p, sizeof(p)), RC_OK);
	assert_int_equal(f.type, PROTO_ERROR);
	rbuf_init(&in, p, f.length);
	assert_int_equal(proto_err_parse(&in, &e), RC_OK);
	assert_int_equal(e.code, code);
}

/* header only: what it says is refused before any payload is looked at */
static void
refused(uint16_t type, uint16_t flags, uint32_t length, uint16_t code, int rc)
{
	struct frame f = { .length = length, .type = type, .flags = flags };
	uint8_t header[PROTO_FRAME_LEN];
	struct bench b;

	bench_open(&b);
	bench_run(&b);
	frame_put(header, &f);
	assert_int_equal(io_write_full(b.net, header, sizeof(header)), RC_OK);
	expect_error(&b, code);
	bench_close(&b);
	assert_int_equal(b.rc, rc);
}

static void
bad_frames_end_it_with_a_coded_error(void **state)
{
	(void)state;
	refused(0x7777, 0, 0, PROTO_ERR_PROTOCOL, RC_PROTO);
	refused(PROTO_PUT, 1, 100, PROTO_ERR_PROTOCOL, RC_PROTO);
	refused(PROTO_PUT, 0, OBJECT_WIRE_MAX + 1, PROTO_ERR_LIMIT, RC_LIMIT);
	refused(PROTO_PUT, 0, 0, PROTO_ERR_PROTOCOL, RC_PROTO);
	refused(PROTO_HAVE, 0, PROTO_SMALL_MAX + 1, PROTO_ERR_LIMIT, RC_LIMIT);
	refused(PROTO_HELLO, 0, 48, PROTO_ERR_STATE, RC_STATE);
	refused(PROTO_OBJ, 0, 100, PROTO_ERR_PROTOCOL, RC_PROTO);
}

static void
what_the_inner_end_says_last_is_sent(void **state)
{
	struct wbuf body = WBUF_INIT(512);
	struct bench b;
	struct frame f;
	uint8_t p[1024];

	(void)state;
	bench_open(&b);
	assert_int_equal(link_send(b.link, PROTO_ACK, 7, "0123456789abcdef",
	    16, NULL, 0), RC_OK);
	wbuf_u16(&body, PROTO_ERR_FULL);
	wbuf_str(&body, "the disk is full");
	assert_int_equal(chan_send(link_chan(b.link), MSG_LINK_CLOSE, &body,
	    -1), RC_OK);
	wbuf_free(&body);
	bench_run(&b);
	assert_int_equal(recv_frame(b.net, &f, p, sizeof(p)), RC_OK);
	assert_int_equal(f.type, PROTO_ACK);
	expect_error(&b, PROTO_ERR_FULL);
	assert_int_equal(recv_frame(b.net, &f, p, sizeof(p)), RC_OK);
	assert_int_equal(f.type, PROTO_BYE);
	bench_close(&b);
	assert_int_equal(b.rc, RC_OK);
}

static void
a_dead_inner_end_is_told_to_the_peer(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	bench_run(&b);
	link_free(b.link);
	b.link = NULL;
	expect_error(&b, PROTO_ERR_INTERNAL);
	bench_close(&b);
	assert_int_equal(b.rc, RC_OK);
}

static void
stop_is_told_to_the_peer(void **state)
{
	struct chan *parent;
	struct frame f;
	struct bench b;
	uint8_t p[64];

	(void)state;
	bench_open(&b);
	bench_run(&b);
	parent = chan_new(dup(b.parent[1]), ROLE_MASTER, ROLE_SESSION);
	assert_int_equal(chan_send(parent, MSG_STOP, NULL, -1), RC_OK);
	assert_int_equal(chan_send(parent, MSG_STOP, NULL, -1), RC_OK);
	expect_error(&b, PROTO_ERR_SHUTDOWN);
	assert_int_equal(recv_frame(b.net, &f, p, sizeof(p)), RC_OK);
	assert_int_equal(f.type, PROTO_BYE);
	bench_close(&b);
	chan_free(parent);
	assert_int_equal(b.rc, RC_OK);
}

/* A backup that is nearly done is not thrown away by a restart. */
static void
what_is_under_way_goes_on_after_one_stop(void **state)
{
	struct chan *parent;
	struct frame f;
	struct bench b;
	uint8_t p[64];
	int i;

	(void)state;
	bench_open(&b);
	bench_run(&b);
	parent = chan_new(dup(b.parent[1]), ROLE_MASTER, ROLE_SESSION);
	assert_int_equal(chan_send(parent, MSG_STOP, NULL, -1), RC_OK);
	for (i = 0; i < 3; i++) {
		usleep(50000);
		send_frame(b.net, PROTO_PING, 99, "abcdefgh", 8);
		assert_int_equal(recv_frame(b.net, &f, p, sizeof(p)), RC_OK);
		assert_int_equal(f.type, PROTO_PONG);
	}
	/* and ends when nothing comes any more */
	expect_error(&b, PROTO_ERR_SHUTDOWN);
	bench_close(&b);
	chan_free(parent);
	assert_int_equal(b.rc, RC_OK);
}

static void
the_end_of_the_parent_is_the_end(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	bench_run(&b);
	close(b.parent[1]);
	pthread_join(b.thread, NULL);
	assert_int_equal(b.rc, RC_EOF);
	close(b.net);
	link_free(b.link);
	munmap(b.ring, RING_SIZE);
	close(b.ring_fd);
}

static void
ping_is_answered_without_the_inner_end(void **state)
{
	struct bench b;
	struct frame f;
	uint8_t p[64];

	(void)state;
	bench_open(&b);
	bench_run(&b);
	send_frame(b.net, PROTO_PING, 99, "abcdefgh", 8);
	assert_int_equal(recv_frame(b.net, &f, p, sizeof(p)), RC_OK);
	assert_int_equal(f.type, PROTO_PONG);
	assert_int_equal(f.request, 99);
	assert_int_equal(f.length, 8);
	assert_memory_equal(p, "abcdefgh", 8);
	bench_close(&b);
}

static void
slots_that_are_not_out_are_refused(void **state)
{
	struct wbuf body = WBUF_INIT(4);
	struct bench b;

	(void)state;
	bench_open(&b);
	wbuf_u8(&body, 0x01);		/* was never given away */
	assert_int_equal(chan_send(link_chan(b.link), MSG_SLOTS, &body, -1),
	    RC_OK);
	wbuf_free(&body);
	bench_run(&b);
	expect_error(&b, PROTO_ERR_INTERNAL);
	bench_close(&b);
	assert_int_equal(b.rc, RC_PROTO);
}

static void
before_the_login_frames_are_read_one_by_one(void **state)
{
	const uint8_t *payload;
	struct frame f;
	struct bench b;

	(void)state;
	bench_open(&b);
	send_frame(b.net, PROTO_HELLO, 1, "hello there", 11);
	send_frame(b.net, PROTO_PUT, 2, "x", 1);
	assert_int_equal(relay_read(b.relay, PROTO_ST_HELLO, &f, &payload,
	    1000), RC_OK);
	assert_int_equal(f.length, 11);
	assert_memory_equal(payload, "hello there", 11);
	assert_int_equal(relay_read(b.relay, PROTO_ST_AUTH, &f, &payload,
	    1000), RC_STATE);
	bench_run(&b);
	bench_close(&b);
}

static void
silence_before_the_login_has_an_end(void **state)
{
	const uint8_t *payload;
	struct frame f;
	struct bench b;

	(void)state;
	bench_open(&b);
	assert_int_equal(io_write_full(b.net, "\0\0\0", 3), RC_OK);
	assert_int_equal(relay_read(b.relay, PROTO_ST_HELLO, &f, &payload,
	    50), RC_TIMEOUT);
	bench_run(&b);
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_cross_in_both_directions_at_once),
		cmocka_unit_test(bad_frames_end_it_with_a_coded_error),
		cmocka_unit_test(what_the_inner_end_says_last_is_sent),
		cmocka_unit_test(a_dead_inner_end_is_told_to_the_peer),
		cmocka_unit_test(stop_is_told_to_the_peer),
		cmocka_unit_test(what_is_under_way_goes_on_after_one_stop),
		cmocka_unit_test(the_end_of_the_parent_is_the_end),
		cmocka_unit_test(ping_is_answered_without_the_inner_end),
		cmocka_unit_test(slots_that_are_not_out_are_refused),
		cmocka_unit_test(before_the_login_frames_are_read_one_by_one),
		cmocka_unit_test(silence_before_the_login_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
