#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/io.h"
#include "common/rc.h"
#include "common/wbuf.h"
#include "server/store/serve.h"
#include "tests/unit/store_help.h"

/* The far end of a link, with nothing but what these tests need. */
struct peer {
	struct chan	*c;
	void		*ring;
	int		 ring_fd;
	uint8_t		 slots;		/* of ours, free */
	uint8_t		*obj;		/* OBJ under way */
	size_t		 total, got;
	uint16_t	 type;		/* of the last frame */
	uint32_t	 request;
	uint8_t		 payload[70000];
	size_t		 len;
	bool		 closed;
};

struct rig {
	struct world	 w;
	struct server	 srv;
	struct io_pool	*io;
};

static void
rig_new(struct rig *r)
{
	world_new(&r->w);
	world_must_open(&r->w);
	assert_int_equal(io_pool_new(&r->io), RC_OK);
	assert_int_equal(io_pool_start(r->io), RC_OK);
	server_init(&r->srv, r->w.v, r->io);
}

static void
rig_free(struct rig *r)
{
	server_drain(&r->srv);
	while (r->srv.sessions != NULL)
		session_end(&r->srv, r->srv.sessions);
	tell_chan(&r->srv.tell, NULL);
	world_free(&r->w);
}

/* One turn of the loop, without poll. */
static void
turn(struct rig *r)
{
	struct session *s, *next;
	int wait_ms = -1;

	server_tick(&r->srv, io_now_ms(), &wait_ms);
	server_io(&r->srv);
	for (s = r->srv.sessions; s != NULL; s = s->next) {
		session_input(&r->srv, s);
		if (!s->ending)
			session_output(&r->srv, s);
	}
	for (s = r->srv.sessions; s != NULL; s = next) {
		next = s->next;
		if (s->ending)
			session_end(&r->srv, s);
	}
}

static struct peer *
peer_new(struct rig *r, uint32_t rights)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct grant g = r->w.grant;
	struct msg m;
	int fds[2];

	assert_non_null(p);
	assert_int_equal(chan_pair(fds), RC_OK);
	p->c = chan_new(fds[0], ROLE_SESSION, ROLE_STORE);
	assert_non_null(p->c);
	assert_int_equal(ring_make(&p->ring_fd, &p->ring), RC_OK);
	p->slots = RING_OUTER_MASK;
	g.rights = rights;
	assert_int_equal(server_grant(&r->srv, chan_new(fds[1], ROLE_STORE,
	    ROLE_SESSION), 7, &g), RC_OK);
	assert_int_equal(chan_expect(p->c, MSG_STORE_WELCOME, &m, 1000),
	    RC_OK);
	assert_int_equal(chan_send(p->c, MSG_RING, NULL, p->ring_fd), RC_OK);
	chan_set_nonblock(p->c);
	return p;
}

static void
peer_free(struct peer *p)
{
	chan_free(p->c);
	free(p->obj);
	close(p->ring_fd);
	free(p);
}

static void
send_frame(struct peer *p, uint16_t type, uint32_t request, const void *data,
    size_t n)
{
	struct wbuf b = WBUF_INIT(70000);

	wbuf_u16(&b, type);
	wbuf_u16(&b, 0);
	wbuf_u32(&b, request);
	wbuf_bytes(&b, data, n);
	assert_int_equal(wbuf_rc(&b), RC_OK);
	(void)chan_send(p->c, MSG_FRAME, &b, -1);
	wbuf_free(&b);
}

static void
on_piece(struct peer *p, struct rbuf *in)
{
	struct wbuf b = WBUF_INIT(1);
	uint32_t total, off, len;
	uint8_t slot;

	assert_int_equal(rbuf_u16(in, &p->type), RC_OK);
	assert_int_equal(rbuf_u32(in, &p->request), RC_OK);
	assert_int_equal(rbuf_u32(in, &total), RC_OK);
	assert_int_equal(rbuf_u32(in, &off), RC_OK);
	assert_int_equal(rbuf_u8(in, &slot), RC_OK);
	assert_int_equal(rbuf_u32(in, &len), RC_OK);
	if (off == 0) {
		free(p->obj);
		p->obj = malloc(total);
		assert_non_null(p->obj);
		p->total = total;
		p->got = 0;
	}
	memcpy(p->obj + off, (uint8_t *)p->ring + slot * RING_SLOT, len);
	p->got += len;
	wbuf_u8(&b, (uint8_t)(1u << slot));
	assert_int_equal(chan_send(p->c, MSG_SLOTS, &b, -1), RC_OK);
	wbuf_free(&b);
}

/* The next whole frame; false when the store closed. */
static bool
next_frame(struct rig *r, struct peer *p)
{
	struct msg m;
	uint16_t flags;
	uint8_t mask;
	int rc;

	for (int i = 0; i < 20000; i++) {
		rc = chan_recv(p->c, &m);
		if (rc == RC_EOF || (rc == RC_OK &&
		    m.type == MSG_LINK_CLOSE)) {
			p->closed = true;
			return false;
		}
		if (rc == RC_AGAIN) {
			turn(r);
			if (i > 100)
				usleep(200);
			continue;
		}
		assert_int_equal(rc, RC_OK);
		if (m.type == MSG_SLOTS) {
			assert_int_equal(rbuf_u8(&m.body, &mask), RC_OK);
			p->slots |= mask;
		} else if (m.type == MSG_PIECE) {
			on_piece(p, &m.body);
			if (p->got == p->total)
				return true;
		} else {
			assert_int_equal(m.type, MSG_FRAME);
			assert_int_equal(rbuf_u16(&m.body, &p->type), RC_OK);
			assert_int_equal(rbuf_u16(&m.body, &flags), RC_OK);
			assert_int_equal(rbuf_u32(&m.body, &p->request),
			    RC_OK);
			p->len = rbuf_left(&m.body);
			assert_int_equal(rbuf_bytes(&m.body, p->payload,
			    p->len), RC_OK);
			if (p->type != PROTO_ACK)
				return true;
		}
	}
	fail_msg("nothing came");
	return false;
}

static void
put_wire(struct rig *r, struct peer *p, const uint8_t *wire, size_t len)
{
	size_t off = 0;

	while (off < len) {
		size_t n = len - off < RING_SLOT ? len - off : RING_SLOT;
		struct wbuf b = WBUF_INIT(32);
		struct msg m;
		uint8_t slot, mask;

		while (p->slots == 0) {
			turn(r);
			if (chan_recv(p->c, &m) != RC_OK)
				continue;
			if (m.type == MSG_SLOTS &&
			    rbuf_u8(&m.body, &mask) == RC_OK)
				p->slots |= mask;
		}
		slot = (uint8_t)__builtin_ctz(p->slots);
		p->slots &= (uint8_t)~(1u << slot);
		memcpy((uint8_t *)p->ring + slot * RING_SLOT, wire + off, n);
		wbuf_u16(&b, PROTO_PUT);
		wbuf_u32(&b, 9);
		wbuf_u32(&b, (uint32_t)len);
		wbuf_u32(&b, (uint32_t)off);
		wbuf_u8(&b, slot);
		wbuf_u32(&b, (uint32_t)n);
		while (chan_send(p->c, MSG_PIECE, &b, -1) == RC_AGAIN)
			turn(r);
		wbuf_free(&b);
		off += n;
	}
}

static void
put(struct rig *r, struct peer *p, uint8_t type, uint16_t height, uint32_t n,
    const uint32_t *edges, size_t nedges, size_t body)
{
	size_t len;
	uint8_t *wire = make_object(type, height, n, edges, nedges, body,
	    &len);

	put_wire(r, p, wire, len);
	free(wire);
}

static void
begin(struct rig *r, struct peer *p, uint8_t run)
{
	struct run_begin b = { .run = { run } };
	struct wbuf body = WBUF_INIT(64);

	memcpy(b.job, r->w.job, 16);
	run_begin_put(&body, &b);
	send_frame(p, PROTO_RUN_BEGIN, 1, body.data, body.len);
	wbuf_free(&body);
	assert_true(next_frame(r, p));
	assert_int_equal(p->type, PROTO_RUN_OK);
}

static void
commit(struct rig *r, struct peer *p, uint32_t root)
{
	size_t len;
	uint8_t *snap = make_snapshot(&r->w, root, &len);

	send_frame(p, PROTO_COMMIT, 5, snap, len);
	free(snap);
	assert_true(next_frame(r, p));
}

static void
backup(struct rig *r, struct peer *p, uint8_t run, uint32_t base, size_t body)
{
	uint32_t leaf = base + 1;
	uint8_t *snap;
	size_t len;

	begin(r, p, run);
	put(r, p, OBJECT_CHUNK, 0, base, NULL, 0, body);
	put(r, p, OBJECT_DIR_LEAF, 1, base + 1, &base, 1, 100);
	put(r, p, OBJECT_DIR_LEAF, 2, base + 2, &leaf, 1, 100);
	snap = make_snapshot(&r->w, base + 2, &len);
	commit(r, p, base + 2);
	assert_int_equal(p->type, PROTO_COMMITTED);
	assert_int_equal(snapshot_id(snap, len, &r->w.previous), RC_OK);
	r->w.sequence++;
	free(snap);
}

static void
a_backup_goes_in_and_comes_out(void **state)
{
	struct wbuf b = WBUF_INIT(65536);
	struct walk wk = { .what = PROTO_WALK_NODES | PROTO_WALK_DATA,
	    .budget = 1 };
	struct list l = { .n = 10 };
	struct object_id id = id_of(100);
	struct verify_end end;
	struct rbuf in;
	struct rig r;
	struct peer *p;
	uint8_t all = 100;
	int objects = 0;

	(void)state;
	rig_new(&r);
	p = peer_new(&r, 3);
	backup(&r, p, 1, 100, 3 << 20);
	assert_int_equal(r.w.v->nruns, 0);
	list_put(&b, &l);
	send_frame(p, PROTO_LIST, 2, b.data, b.len);
	assert_true(next_frame(&r, p));
	assert_int_equal(p->type, PROTO_SNAPSHOT);
	assert_true(next_frame(&r, p));
	assert_int_equal(p->type, PROTO_LIST_END);
	wbuf_reset(&b);
	get_put(&b, &id, 1, 0);
	send_frame(p, PROTO_GET, 3, b.data, b.len);
	assert_true(next_frame(&r, p));
	assert_int_equal(p->type, PROTO_OBJ);
	assert_int_equal(p->total, (3 << 20) + 88);
	assert_int_equal(object_check_crc(p->obj, p->total), RC_OK);
	/* A walk that stops at every object and goes on from its cursor. */
	wk.root = id_of(102);
	for (int i = 0; i < 4; i++) {
		const uint8_t *cursor;

		wbuf_reset(&b);
		walk_put(&b, &wk);
		send_frame(p, PROTO_WALK, 4, b.data, b.len);
		while (next_frame(&r, p) && p->type == PROTO_OBJ)
			objects++;
		assert_int_equal(p->type, PROTO_WALK_END);
		rbuf_init(&in, p->payload, p->len);
		assert_int_equal(walk_end_parse(&in, &cursor,
		    &wk.cursor_len), RC_OK);
		wk.cursor = memcpy(p->payload + 2048, cursor, wk.cursor_len);
		if (wk.cursor_len == 0)
			break;
	}
	assert_int_equal(objects, 3);
	send_frame(p, PROTO_VERIFY, 6, &all, 1);
	assert_true(next_frame(&r, p));
	assert_int_equal(p->type, PROTO_VERIFY_END);
	rbuf_init(&in, p->payload, p->len);
	assert_int_equal(verify_end_parse(&in, &end), RC_OK);
	assert_int_equal(end.objects, 3);
	assert_int_equal(end.findings, 0);
	wbuf_free(&b);
	peer_free(p);
	rig_free(&r);
}

static void
a_run_outlives_its_connection(void **state)
{
	struct wbuf b = WBUF_INIT(65536);
	struct object_id ids[2] = { id_of(200), id_of(201) };
	uint32_t chunk = 200, leaf = 201;
	struct run_ok ok;
	struct rbuf in;
	struct rig r;
	struct peer *p;
	uint8_t have[2];
	size_t n;

	(void)state;
	rig_new(&r);
	p = peer_new(&r, 3);
	begin(&r, p, 2);
	put(&r, p, OBJECT_CHUNK, 0, 200, NULL, 0, 100);
	put(&r, p, OBJECT_DIR_LEAF, 1, 201, &chunk, 1, 10);
	for (int i = 0; i < 10; i++)
		turn(&r);
	peer_free(p);
	for (int i = 0; i < 10; i++)
		turn(&r);
	assert_int_equal(r.srv.nsessions, 0);
	assert_int_equal(r.w.v->nruns, 1);
	p = peer_new(&r, 3);
	begin(&r, p, 2);
	rbuf_init(&in, p->payload, p->len);
	assert_int_equal(run_ok_parse(&in, &ok), RC_OK);
	assert_true((ok.flags & PROTO_RUN_RESUMED) != 0);
	ids_put(&b, ids, 2);
	send_frame(p, PROTO_HAVE, 3, b.data, b.len);
	assert_true(next_frame(&r, p));
	rbuf_init(&in, p->payload, p->len);
	assert_int_equal(have_ok_parse(&in, have, 2, &n), RC_OK);
	assert_int_equal(have[0], HAVE_PRESENT);
	assert_int_equal(have[1], HAVE_PRESENT);
	put(&r, p, OBJECT_DIR_LEAF, 2, 202, &leaf, 1, 10);
	commit(&r, p, 202);
	assert_int_equal(p->type, PROTO_COMMITTED);
	wbuf_free(&b);
	peer_free(p);
	rig_free(&r);
}

static void
rights_are_asked_for_each_frame(void **state)
{
	struct run_begin b = { .run = { 1 } };
	struct wbuf body = WBUF_INIT(64);
	struct proto_err e;
	struct rbuf in;
	struct rig r;
	struct peer *p;

	(void)state;
	rig_new(&r);
	p = peer_new(&r, PROTO_RIGHT_RESTORE);
	run_begin_put(&body, &b);
	send_frame(p, PROTO_RUN_BEGIN, 1, body.data, body.len);
	assert_true(next_frame(&r, p));
	assert_int_equal(p->type, PROTO_ERROR);
	rbuf_init(&in, p->payload, p->len);
	assert_int_equal(proto_err_parse(&in, &e), RC_OK);
	assert_int_equal(e.code, PROTO_ERR_DENIED);
	wbuf_free(&body);
	peer_free(p);
	rig_free(&r);
}

static void
hostile_frames_harm_nobody_else(void **state)
{
	static const uint16_t types[] = { PROTO_RUN_BEGIN, PROTO_RUN_JOIN,
	    PROTO_HAVE, PROTO_FLUSH, PROTO_COMMIT, PROTO_LIST, PROTO_GET,
	    PROTO_WALK, PROTO_VERIFY, PROTO_RECORD_ADD, PROTO_RECORD_GET,
	    PROTO_BAD, PROTO_REPORT, PROTO_PING, PROTO_HELLO, PROTO_AUTH, 0x7777 };
	uint8_t junk[200];
	uint32_t leaf = 301, chunk = 300;
	struct rig r;
	struct peer *good, *bad;
	unsigned seed = 42;

	(void)state;
	rig_new(&r);
	good = peer_new(&r, 3);
	begin(&r, good, 9);
	put(&r, good, OBJECT_CHUNK, 0, 300, NULL, 0, 100);
	bad = peer_new(&r, 3);
	for (int i = 0; i < 10000; i++) {
		size_t n = (size_t)rand_r(&seed) % sizeof(junk);
		struct msg m;

		for (size_t k = 0; k < n; k++)
			junk[k] = (uint8_t)(rand_r(&seed) % 4 == 0 ?
			    rand_r(&seed) : 0);
		send_frame(bad, types[(size_t)rand_r(&seed) %
		    (sizeof(types) / sizeof(types[0]))], (uint32_t)i, junk,
		    n);
		if (i % 16 == 0)
			turn(&r);
		for (int k = 0; k < 20; k++) {
			int rc = chan_recv(bad->c, &m);

			if (rc == RC_EOF || (rc == RC_OK &&
			    m.type == MSG_LINK_CLOSE)) {
				peer_free(bad);
				bad = peer_new(&r, 3);
				break;
			}
			if (rc != RC_OK)
				break;
		}
		while (r.srv.nsessions > 40)
			turn(&r);
	}
	peer_free(bad);
	put(&r, good, OBJECT_DIR_LEAF, 1, 301, &chunk, 1, 10);
	put(&r, good, OBJECT_DIR_LEAF, 2, 302, &leaf, 1, 10);
	commit(&r, good, 302);
	assert_int_equal(good->type, PROTO_COMMITTED);
	assert_true(tree_whole(&r.w, 302));
	peer_free(good);
	rig_free(&r);
}

/* --- what the catalog is told --- */

struct told {
	struct chan	*c;
	uint16_t	 type;
	struct feed_run	 run;
	struct feed_snapshot snap;
	struct feed_space space;
	struct report	 report;
	uint8_t		 run_id[16], client[16];
};

static void
watch(struct rig *r, struct told *t)
{
	int fds[2];

	memset(t, 0, sizeof(*t));
	assert_int_equal(chan_pair(fds), RC_OK);
	t->c = chan_new(fds[0], ROLE_CATALOG, ROLE_STORE);
	assert_non_null(t->c);
	chan_set_nonblock(t->c);
	tell_chan(&r->srv.tell, chan_new(fds[1], ROLE_STORE, ROLE_CATALOG));
}

/* The next message; false: there is none. */
static bool
told(struct told *t)
{
	struct msg m;
	int rc = chan_recv(t->c, &m);

	if (rc != RC_OK)
		return false;
	t->type = m.type;
	switch (m.type) {
	case MSG_CAT_RUN:
		assert_int_equal(feed_run_get(&m.body, &t->run), RC_OK);
		break;
	case MSG_CAT_SNAPSHOT:
		assert_int_equal(feed_snapshot_get(&m.body, &t->snap), RC_OK);
		break;
	case MSG_CAT_SPACE:
		assert_int_equal(feed_space_get(&m.body, &t->space), RC_OK);
		break;
	default:
		assert_int_equal(m.type, MSG_CAT_REPORT);
		assert_int_equal(rbuf_bytes(&m.body, t->run_id, 16), RC_OK);
		assert_int_equal(rbuf_bytes(&m.body, t->client, 16), RC_OK);
		assert_int_equal(report_parse(&m.body, &t->report), RC_OK);
		break;
	}
	return true;
}

static void
must_tell(struct told *t, uint16_t type)
{
	assert_true(told(t));
	assert_int_equal(t->type, type);
}

static void
ask_after(struct told *t, uint64_t after)
{
	struct wbuf b = WBUF_INIT(8);

	wbuf_u64(&b, after);
	assert_int_equal(chan_send(t->c, MSG_CAT_ASK, &b, -1), RC_OK);
	wbuf_free(&b);
}

static void
report(struct rig *r, struct peer *p, uint8_t run)
{
	struct report rep = { .run = { run }, .outcome = REPORT_OK,
	    .files = 5 };
	struct wbuf b = WBUF_INIT(256);

	report_put(&b, &rep);
	send_frame(p, PROTO_REPORT, 8, b.data, b.len);
	wbuf_free(&b);
	for (int i = 0; i < 3; i++)
		turn(r);
}

static void
a_committed_run_is_told_in_its_order(void **state)
{
	struct object_id id;
	struct told t;
	struct rig r;
	struct peer *p;
	int64_t began;

	(void)state;
	rig_new(&r);
	watch(&r, &t);
	turn(&r);
	must_tell(&t, MSG_CAT_SPACE);
	assert_int_equal(t.space.snapshots, 0);
	assert_true(t.space.fs_total >= t.space.fs_free);
	assert_true(t.space.fs_free > 0);
	p = peer_new(&r, 3);
	backup(&r, p, 1, 100, 1000);
	id = r.w.previous;
	must_tell(&t, MSG_CAT_RUN);
	assert_int_equal(t.run.state, FEED_RUN_BEGUN);
	assert_int_equal(t.run.run[0], 1);
	assert_memory_equal(t.run.client, r.w.grant.client, 16);
	assert_memory_equal(t.run.job, r.w.job, 16);
	began = t.run.started;
	assert_true(began > 0 && t.run.now >= began);
	must_tell(&t, MSG_CAT_RUN);
	assert_int_equal(t.run.state, FEED_RUN_COMMITTED);
	assert_int_equal(t.run.objects, 3);
	assert_true(t.run.received > 1200);
	must_tell(&t, MSG_CAT_SNAPSHOT);
	assert_memory_equal(t.snap.id.b, id.b, sizeof(id.b));
	assert_int_equal(t.snap.run[0], 1);
	assert_int_equal(t.snap.started, began);
	assert_int_equal(t.snap.vault_seq, 1);
	assert_int_equal(t.snap.closure_objects, 3);
	/* Space with what came, though it was told just before. */
	turn(&r);
	must_tell(&t, MSG_CAT_SPACE);
	assert_int_equal(t.space.snapshots, 1);
	assert_int_equal(t.space.objects, 3);
	assert_int_equal(t.space.packs, 2);
	assert_true(t.space.bytes > t.run.received);
	peer_free(p);
	chan_free(t.c);
	rig_free(&r);
}

static void
space_is_told_at_once_after_a_commit_then_every_ten_seconds(void **state)
{
	int wait_ms = -1;
	struct told t;
	struct rig r;
	struct peer *p;

	(void)state;
	rig_new(&r);
	watch(&r, &t);
	turn(&r);
	must_tell(&t, MSG_CAT_SPACE);
	p = peer_new(&r, 3);
	for (uint8_t n = 1; n <= 3; n++) {
		backup(&r, p, n, 100u * n, 100000);
		turn(&r);
		must_tell(&t, MSG_CAT_RUN);
		must_tell(&t, MSG_CAT_RUN);
		must_tell(&t, MSG_CAT_SNAPSHOT);
		/* Not again at once; what waits then is the newest. */
		if (n > 1) {
			assert_false(told(&t));
			continue;
		}
		must_tell(&t, MSG_CAT_SPACE);
		assert_int_equal(t.space.snapshots, 1);
		assert_true(t.space.bytes > 100000);
	}
	tell_tick(&r.srv.tell, io_now_ms() + TELL_SPACE_MS - 1000, &wait_ms);
	assert_false(told(&t));
	assert_true(wait_ms > 0 && wait_ms <= 1000);
	tell_tick(&r.srv.tell, io_now_ms() + TELL_SPACE_MS, &wait_ms);
	must_tell(&t, MSG_CAT_SPACE);
	assert_int_equal(t.space.snapshots, 3);
	assert_true(t.space.bytes > 300000);
	/* A store that ends tells what would have waited, and only then. */
	tell_end(&r.srv.tell);
	assert_false(told(&t));
	backup(&r, p, 4, 400, 100000);
	while (told(&t))
		assert_int_not_equal(t.type, MSG_CAT_SPACE);
	tell_end(&r.srv.tell);
	must_tell(&t, MSG_CAT_SPACE);
	assert_int_equal(t.space.snapshots, 4);
	peer_free(p);
	chan_free(t.c);
	rig_free(&r);
}

static void
a_run_that_goes_on_is_told_every_two_seconds(void **state)
{
	struct told t;
	struct rig r;
	struct peer *p;
	int wait_ms = -1;

	(void)state;
	rig_new(&r);
	watch(&r, &t);
	p = peer_new(&r, 3);
	begin(&r, p, 1);
	put(&r, p, OBJECT_CHUNK, 0, 100, NULL, 0, 500);
	for (int i = 0; i < 5; i++)
		turn(&r);
	must_tell(&t, MSG_CAT_SPACE);
	must_tell(&t, MSG_CAT_RUN);
	assert_false(told(&t));
	tell_tick(&r.srv.tell, io_now_ms() + TELL_GOING_MS - 500, &wait_ms);
	assert_false(told(&t));
	assert_true(wait_ms > 0 && wait_ms <= 500);
	tell_tick(&r.srv.tell, io_now_ms() + TELL_GOING_MS + 1, &wait_ms);
	must_tell(&t, MSG_CAT_RUN);
	assert_int_equal(t.run.state, FEED_RUN_GOING);
	assert_int_equal(t.run.objects, 1);
	tell_tick(&r.srv.tell, io_now_ms() + 2 * TELL_GOING_MS, &wait_ms);
	assert_false(told(&t));
	peer_free(p);
	chan_free(t.c);
	rig_free(&r);
}

static void
a_run_that_is_given_up_is_told_once(void **state)
{
	struct told t;
	struct rig r;
	struct peer *p;
	int wait_ms = -1;

	(void)state;
	rig_new(&r);
	watch(&r, &t);
	turn(&r);
	must_tell(&t, MSG_CAT_SPACE);
	p = peer_new(&r, 3);
	begin(&r, p, 1);
	begin(&r, p, 2);
	must_tell(&t, MSG_CAT_RUN);
	must_tell(&t, MSG_CAT_RUN);
	assert_int_equal(t.run.state, FEED_RUN_LEFT);
	assert_int_equal(t.run.run[0], 1);
	must_tell(&t, MSG_CAT_RUN);
	assert_int_equal(t.run.state, FEED_RUN_BEGUN);
	send_frame(p, PROTO_BYE, 0, NULL, 0);
	for (int i = 0; i < 5; i++)
		turn(&r);
	must_tell(&t, MSG_CAT_RUN);
	assert_int_equal(t.run.state, FEED_RUN_LEFT);
	assert_int_equal(t.run.run[0], 2);
	peer_free(p);
	/* Back in spite of it: it lives again. */
	p = peer_new(&r, 3);
	begin(&r, p, 2);
	must_tell(&t, MSG_CAT_RUN);
	assert_int_equal(t.run.state, FEED_RUN_GOING);
	/* A lost connection ends nothing, but its grace does. */
	peer_free(p);
	for (int i = 0; i < 5; i++)
		turn(&r);
	assert_int_equal(r.srv.nsessions, 0);
	assert_false(told(&t));
	server_tick(&r.srv, io_now_ms() + RUN_GRACE_MS + 1, &wait_ms);
	must_tell(&t, MSG_CAT_RUN);
	assert_int_equal(t.run.state, FEED_RUN_LEFT);
	assert_false(told(&t));
	chan_free(t.c);
	rig_free(&r);
}

static void
a_catalog_that_does_not_read_stops_no_backup(void **state)
{
	struct told t;
	struct rig r;
	struct peer *p;
	uint64_t last = 0;
	int n;

	(void)state;
	rig_new(&r);
	watch(&r, &t);
	p = peer_new(&r, 3);
	for (n = 0; !r.srv.tell.asked; n++) {
		assert_true(n < 2000);
		backup(&r, p, (uint8_t)n, 1000 + 3 * (uint32_t)n, 10);
	}
	for (int i = 0; i < 20; i++, n++)
		backup(&r, p, (uint8_t)n, 1000 + 3 * (uint32_t)n, 10);
	/* What was lost comes once it reads, with the runs as far as known. */
	for (int i = 0; i < 100; i++) {
		while (told(&t)) {
			if (t.type != MSG_CAT_SNAPSHOT)
				continue;
			assert_int_equal(t.snap.vault_seq, last + 1);
			assert_int_equal(t.snap.run[0], (uint8_t)last);
			assert_true(t.snap.started > 0);
			last++;
		}
		tell_ready(&r.srv.tell, POLLOUT);
	}
	assert_int_equal(last, n);
	assert_false(r.srv.tell.asked);
	peer_free(p);
	chan_free(t.c);
	rig_free(&r);
}

static void
all_snapshots_come_when_asked_a_few_at_a_time(void **state)
{
	struct told t;
	struct rig r;
	struct peer *p;
	uint64_t next = 11;

	(void)state;
	rig_new(&r);
	p = peer_new(&r, 3);
	for (uint32_t n = 0; n < 100; n++)
		backup(&r, p, (uint8_t)n, 1000 + 3 * n, 10);
	watch(&r, &t);
	turn(&r);
	must_tell(&t, MSG_CAT_SPACE);
	ask_after(&t, 10);
	tell_ready(&r.srv.tell, POLLIN);
	assert_int_equal(tell_events(&r.srv.tell), POLLIN | POLLOUT);
	assert_false(told(&t));
	for (int turns = 0; next <= 100; turns++) {
		int got = 0;

		assert_true(turns < 100);
		tell_ready(&r.srv.tell, POLLOUT);
		for (; told(&t); got++) {
			assert_int_equal(t.type, MSG_CAT_SNAPSHOT);
			assert_int_equal(t.snap.vault_seq, next++);
			assert_memory_equal(t.snap.client, r.w.grant.client,
			    16);
			/* Of old runs nothing is known any more. */
			assert_true((t.snap.started != 0) ==
			    (t.snap.vault_seq > 100 - TELL_DONE_MAX));
		}
		assert_true(got <= TELL_BATCH);
	}
	tell_ready(&r.srv.tell, POLLOUT);
	assert_int_equal(tell_events(&r.srv.tell), POLLIN);
	peer_free(p);
	chan_free(t.c);
	rig_free(&r);
}

static void
reports_are_passed_on_for_ones_own_runs_only(void **state)
{
	struct told t;
	struct rig r;
	struct peer *p, *other;
	uint8_t bad = 9;
	int n = 0;

	(void)state;
	rig_new(&r);
	watch(&r, &t);
	p = peer_new(&r, 3);
	backup(&r, p, 1, 100, 1000);
	begin(&r, p, 2);
	memset(r.w.grant.client, 0x77, 16);
	other = peer_new(&r, 3);
	while (told(&t))
		;
	report(&r, other, 1);
	report(&r, other, 2);
	report(&r, other, 3);
	assert_false(told(&t));
	report(&r, p, 1);
	must_tell(&t, MSG_CAT_REPORT);
	assert_int_equal(t.run_id[0], 1);
	assert_int_equal(t.report.run[0], 1);
	assert_int_equal(t.report.files, 5);
	assert_memory_equal(t.client, t.snap.client, 16);
	for (int i = 0; i < 20; i++)
		report(&r, p, 2);
	while (told(&t))
		n++;
	assert_int_equal(n, TELL_REPORTS_MAX - 1);
	assert_int_equal(r.srv.nsessions, 2);
	send_frame(p, PROTO_REPORT, 1, &bad, 1);
	assert_false(next_frame(&r, p));
	peer_free(p);
	peer_free(other);
	chan_free(t.c);
	rig_free(&r);
}

static void
a_catalog_that_talks_nonsense_or_leaves_is_let_go(void **state)
{
	struct told t;
	struct rig r;
	struct peer *p;

	(void)state;
	rig_new(&r);
	watch(&r, &t);
	p = peer_new(&r, 3);
	begin(&r, p, 1);
	assert_int_equal(chan_send(t.c, MSG_CAT_ASK, NULL, -1), RC_OK);
	tell_ready(&r.srv.tell, POLLIN);
	assert_int_equal(tell_fd(&r.srv.tell), -1);
	chan_free(t.c);
	/* The next one learns what is under way. */
	watch(&r, &t);
	must_tell(&t, MSG_CAT_RUN);
	assert_int_equal(t.run.state, FEED_RUN_GOING);
	assert_int_equal(t.run.run[0], 1);
	chan_free(t.c);
	tell_ready(&r.srv.tell, POLLIN | POLLHUP);
	assert_int_equal(tell_fd(&r.srv.tell), -1);
	backup(&r, p, 2, 100, 1000);
	peer_free(p);
	rig_free(&r);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backup_goes_in_and_comes_out),
		cmocka_unit_test(a_run_outlives_its_connection),
		cmocka_unit_test(rights_are_asked_for_each_frame),
		cmocka_unit_test(hostile_frames_harm_nobody_else),
		cmocka_unit_test(a_committed_run_is_told_in_its_order),
		cmocka_unit_test(
		    space_is_told_at_once_after_a_commit_then_every_ten_seconds),
		cmocka_unit_test(a_run_that_goes_on_is_told_every_two_seconds),
		cmocka_unit_test(a_run_that_is_given_up_is_told_once),
		cmocka_unit_test(a_catalog_that_does_not_read_stops_no_backup),
		cmocka_unit_test(all_snapshots_come_when_asked_a_few_at_a_time),
		cmocka_unit_test(reports_are_passed_on_for_ones_own_runs_only),
		cmocka_unit_test(a_catalog_that_talks_nonsense_or_leaves_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
