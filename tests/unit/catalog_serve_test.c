#include "config.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/num.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/auth/admin.h"
#include "server/catalog/serve.h"
#include "tests/unit/catalog_help.h"

#define FAR_MAX 32

/* The catalog in this process, and the far ends of its channels. */
struct bench {
	struct place	place;
	struct serve	s;
	struct chan	*master, *to_us;	/* the master's end, ours */
	struct chan	*far[FAR_MAX];
	size_t		 n;
	/* what went to the master */
	unsigned	 dials, wakes;
	uint32_t	 dial[32];
	struct addr	 addr[32];
	uint8_t		 woken[16];
	/* the last answer */
	unsigned	 rows[CAT_ROW_MAX];
	uint8_t		 row[4096];
	size_t		 row_len;
	int		 rc;
};

static int
take(void *arg, enum msg_type type, struct wbuf *body)
{
	struct bench *b = arg;
	struct rbuf in;

	rbuf_init(&in, body->data, body->len);
	if (type == MSG_CAT_WAKE) {
		b->wakes++;
		assert_int_equal(rbuf_bytes(&in, b->woken, 16), RC_OK);
		return RC_OK;
	}
	assert_int_equal(type, MSG_DIAL);
	assert_in_range(b->dials, 0, 31);
	assert_int_equal(rbuf_u32(&in, &b->dial[b->dials]), RC_OK);
	assert_int_equal(rbuf_skip(&in, 2), RC_OK);
	assert_int_equal(addr_get(&in, &b->addr[b->dials]), RC_OK);
	b->dials++;
	return RC_OK;
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct peer_info me = help_info(0xffffffff, "me");
	struct conf conf;
	int fds[2];

	place_make(&b->place);
	conf_defaults(&conf);
	conf_finish(&conf);
	conf.mode = CONF_MODE_BOTH;
	b->s.send = take;
	b->s.arg = b;
	assert_int_equal(serve_open(&b->s, b->place.path, &conf, me.identity,
	    me.pin, NOW), RC_OK);
	assert_int_equal(chan_pair(fds), 0);
	b->master = chan_new(fds[0], ROLE_MASTER, ROLE_CATALOG);
	b->to_us = chan_new(fds[1], ROLE_CATALOG, ROLE_MASTER);
	serve_clock(&b->s, NOW, 1000);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	serve_free(&b->s);
	for (size_t i = 0; i < b->n; i++)
		chan_free(b->far[i]);
	chan_free(b->master);
	chan_free(b->to_us);
	place_clear(&b->place);
	free(b);
	return 0;
}

/* A few turns of the loop, without waiting. */
static void
run(struct bench *b)
{
	int timeout;
	size_t n;

	for (int i = 0; i < 3; i++) {
		n = serve_prepare(&b->s, &timeout);
		b->s.poll[0].fd = -1;
		assert_true(poll(b->s.poll, (nfds_t)n + 1, 0) >= 0);
		serve_turn(&b->s, n);
	}
}

static void
pass(struct bench *b, int64_t seconds)
{
	serve_clock(&b->s, b->s.c.now + seconds, b->s.c.ms +
	    (uint64_t)seconds * 1000);
	run(b);
}

struct who {
	enum role	role;
	uint8_t		right;
	const char	*user, *addr;
	uint32_t	peer;		/* identity */
	uint8_t		vault;
	uint32_t	dial;
};

static struct chan *
join(struct bench *b, const struct who *w)
{
	struct peer_info info = help_info(w->peer, "x");
	struct wbuf body = WBUF_INIT(256);
	struct addr a = { 0 };
	char user[64] = "";
	struct msg m;
	int fds[2];

	if (w->addr != NULL)
		a = help_addr(w->addr, 50000);
	if (w->user != NULL)
		snprintf(user, sizeof(user), "%s", w->user);
	wbuf_u32(&body, 1);
	wbuf_u8(&body, (uint8_t)w->role);
	wbuf_u8(&body, w->right);
	if (w->peer != 0)
		wbuf_bytes(&body, info.identity, 32);
	else
		wbuf_zeros(&body, 32);
	addr_put(&body, &a);
	wbuf_bytes(&body, user, sizeof(user));
	wbuf_u32(&body, w->dial);
	for (int i = 0; i < 16; i++)
		wbuf_u8(&body, w->vault);
	assert_int_equal(chan_pair(fds), 0);
	assert_int_equal(chan_send(b->master, MSG_CATALOG_ADD, &body, fds[1]),
	    RC_OK);
	close(fds[1]);
	wbuf_free(&body);
	assert_int_equal(chan_recv_wait(b->to_us, &m, 0), RC_OK);
	assert_int_equal(serve_master(&b->s, b->to_us, &m), RC_OK);
	b->far[b->n] = chan_new(fds[0], w->role, ROLE_CATALOG);
	return b->far[b->n++];
}

static struct chan *
join_user(struct bench *b, uint8_t right)
{
	struct who w = { .role = ROLE_API, .right = right, .user = "anna",
	    .addr = "192.168.1.5" };

	return join(b, &w);
}

/* Everything that comes on this channel; RC_EOF when it is closed. */
static int
drain(struct bench *b, struct chan *c)
{
	struct msg m;
	uint8_t kind;
	int rc;

	b->rc = 1;
	memset(b->rows, 0, sizeof(b->rows));
	for (int i = 0; i < 200000; i++) {
		if ((rc = chan_recv_wait(c, &m, 0)) == RC_TIMEOUT) {
			run(b);
			if (b->rc != 1 ||
			    chan_recv_wait(c, &m, 0) == RC_TIMEOUT)
				return RC_OK;
			rc = RC_OK;
		}
		if (rc != RC_OK)
			return rc;
		if (m.type == MSG_CAT_END) {
			assert_int_equal(rbuf_u8(&m.body, &kind), RC_OK);
			b->rc = -(int)kind;
			return RC_OK;
		}
		if (m.type != MSG_CAT_ROW)
			continue;
		b->row_len = m.body.left;
		memcpy(b->row, m.body.p, m.body.left);
		assert_int_equal(rbuf_u8(&m.body, &kind), RC_OK);
		assert_in_range(kind, 1, CAT_ROW_MAX - 1);
		b->rows[kind]++;
	}
	fail();
	return RC_LIMIT;
}

static void
query(struct wbuf *body, uint8_t op)
{
	wbuf_init(body, 65536);
	wbuf_u8(body, op);
	wbuf_str(body, "somebody");
}

static int
ask(struct bench *b, struct chan *c, struct wbuf *body)
{
	assert_int_equal(chan_send(c, MSG_CAT_QUERY, body, -1), RC_OK);
	wbuf_free(body);
	run(b);
	return drain(b, c);
}

static void
put_add(struct wbuf *q, const char *addr)
{
	struct addr a = help_addr(addr, 32005);

	query(q, CAT_OP_PEER_ADD);
	addr_put(q, &a);
	wbuf_str(q, "");
	wbuf_str(q, "label");
}

static void
put_exchange(struct wbuf *q, uint32_t number, const char *id)
{
	struct peer_info info = help_info(number, id);
	struct peer_info told = help_info(900, "told");
	struct addr a = help_addr("10.9.9.9", 32005);

	query(q, CAT_OP_EXCHANGE);
	peer_info_put(q, &info);
	wbuf_u16(q, 1);
	peer_info_put(q, &told);
	addr_put(q, &a);
}

/* Arguments that parse, for each op. */
static void
put_valid(struct wbuf *q, uint8_t op)
{
	if (op == CAT_OP_PEER_ADD) {
		put_add(q, "10.0.0.1");
		return;
	}
	if (op == CAT_OP_EXCHANGE) {
		put_exchange(q, 7, "seven");
		return;
	}
	query(q, op);
	switch (op) {
	case CAT_OP_CLIENT:
	case CAT_OP_RUNS:
	case CAT_OP_STORAGE:
		wbuf_str(q, "acme");
		wbuf_str(q, "one");
		if (op != CAT_OP_CLIENT)
			wbuf_u64(q, 0);
		if (op == CAT_OP_RUNS)
			wbuf_u32(q, 10);
		break;
	case CAT_OP_RUN:
	case CAT_OP_SUBSCRIBE:
		wbuf_u64(q, 1);
		break;
	case CAT_OP_DAYS:
		wbuf_u32(q, 30);
		break;
	case CAT_OP_AUDIT_LIST:
		wbuf_u64(q, 0);
		wbuf_u32(q, 1000);
		break;
	case CAT_OP_PEER_RM:
	case CAT_OP_PEER_FORGET:
	case CAT_OP_REACH:
		wbuf_str(q, "nobody");
		break;
	case CAT_OP_PROBE:
		wbuf_u8(q, 1);
		wbuf_u16(q, 32005);
		break;
	default:
		break;
	}
}

static const uint8_t least[CAT_OP_MAX] = {
#define X(op, right) [CAT_OP_##op] = RIGHT_##right,
	CAT_OPS(X)
#undef X
};

static void
each_right_may_do_its_part_and_no_more(void **state)
{
	struct bench *b = *state;
	struct wbuf q;

	for (uint8_t right = RIGHT_NONE; right < RIGHT_MAX; right++)
		for (uint8_t op = 1; op < CAT_OP_MAX; op++) {
			bool may = least[op] == RIGHT_PEER ||
			    right == RIGHT_PEER ? right == least[op] :
			    right >= least[op];
			struct who w = { .role = ROLE_API, .right = right,
			    .user = "anna", .addr = "192.168.1.5",
			    .peer = right == RIGHT_PEER ? 7 : 0 };
			struct chan *c = join(b, &w);

			put_valid(&q, op);
			assert_int_equal(ask(b, c, &q), RC_OK);
			if (!may)
				assert_int_equal(b->rc, RC_DENIED);
			else if (op != CAT_OP_PROBE)
				assert_int_not_equal(b->rc, RC_DENIED);
			chan_free(c);
			b->n--;
			run(b);
			pass(b, 11);
		}
	/* nothing was changed by those who may not */
	assert_int_equal(cat_number(&b->s.c, 0, "SELECT count(*) FROM audit "
	    "WHERE act = 'peer add'", ""), 2);
}

static void
every_cut_query_costs_the_channel(void **state)
{
	struct bench *b = *state;
	struct wbuf whole, q;

	for (uint8_t op = 1; op < CAT_OP_MAX; op++) {
		put_valid(&whole, op);
		/* one short, and one long */
		for (int cut = 0; cut < 2; cut++) {
			struct who w = { .role = ROLE_API, .user = "anna",
			    .right = least[op] == RIGHT_PEER ? RIGHT_PEER :
			    RIGHT_ADMIN, .addr = "192.168.1.5", .peer = 7 };
			struct chan *c = join(b, &w);

			wbuf_init(&q, 65536);
			wbuf_bytes(&q, whole.data, whole.len - (cut == 0));
			if (cut == 1)
				wbuf_u8(&q, 0);
			assert_int_equal(ask(b, c, &q), RC_EOF);
			chan_free(c);
			b->n--;
		}
		wbuf_free(&whole);
	}
	assert_int_equal(b->s.n, 0);
}

static void
an_api_channel_that_speaks_as_store_is_closed(void **state)
{
	struct bench *b = *state;
	struct feed_run f = { .state = FEED_RUN_BEGUN, .run = { 1 } };
	struct chan *c = join_user(b, RIGHT_ADMIN), *as_store;
	struct wbuf body = WBUF_INIT(512);

	/* a taken-over worker writes what it likes */
	as_store = chan_new(dup(chan_fd(c)), ROLE_STORE, ROLE_CATALOG);
	feed_run_put(&body, &f);
	assert_int_equal(chan_send(as_store, MSG_CAT_RUN, &body, -1), RC_OK);
	wbuf_free(&body);
	chan_free(as_store);
	run(b);
	assert_int_equal(drain(b, c), RC_EOF);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(cat_number(&b->s.c, 0, "SELECT count(*) FROM run", ""),
	    0);
}

static void
a_discovery_role_may_not_claim_another_way(void **state)
{
	struct bench *b = *state;
	struct who w = { .role = ROLE_SCAN };
	struct peer_info info = help_info(1, "one");
	struct addr a = help_addr("192.168.1.7", 32006);
	static const uint8_t hows[] = { PEER_SCAN, PEER_MCAST };

	for (size_t i = 0; i < NITEMS(hows); i++) {
		struct chan *c = join(b, &w);
		struct wbuf body = WBUF_INIT(512);

		info.identity[0] = hows[i];
		wbuf_u8(&body, hows[i]);
		addr_put(&body, &a);
		peer_info_put(&body, &info);
		assert_int_equal(chan_send(c, MSG_PEER_SEEN, &body, -1), RC_OK);
		wbuf_free(&body);
		run(b);
		assert_int_equal(b->s.peers.n, 1);
		/* the second one is gone */
		assert_int_equal(b->s.n, 1);
		if (hows[i] == PEER_MCAST)
			assert_int_equal(drain(b, c), RC_EOF);
	}
}

static void
changes_are_audited_with_who_and_where(void **state)
{
	struct bench *b = *state;
	struct who local = { .role = ROLE_API, .right = RIGHT_ADMIN,
	    .user = "local" };
	struct chan *c = join_user(b, RIGHT_OPERATOR), *l = join(b, &local);
	struct wbuf q;

	/* what the first turn writes of its own */
	pass(b, 1);
	pass(b, 1);
	put_add(&q, "10.0.0.1");
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, RC_OK);
	assert_int_equal(b->rows[CAT_ROW_PEER], 1);
	/* on disk before it was answered */
	assert_false(cat_is_writing(&b->s.c));
	put_add(&q, "224.0.0.1");
	assert_int_equal(ask(b, l, &q), RC_OK);
	assert_int_equal(b->rc, RC_RANGE);
	assert_int_equal(cat_number(&b->s.c, 0, "SELECT count(*) FROM audit "
	    "WHERE who = 'anna' AND origin = '192.168.1.5' AND rc = 0 AND "
	    "object = '10.0.0.1 32005'", ""), 1);
	assert_int_equal(cat_number(&b->s.c, 0, "SELECT count(*) FROM audit "
	    "WHERE who = 'somebody' AND origin = 'local' AND rc = 3", ""), 1);
	query(&q, CAT_OP_AUDIT_VERIFY);
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rows[CAT_ROW_VERIFY], 1);
	assert_int_equal(b->row[1], 1);
	put_valid(&q, CAT_OP_AUDIT_LIST);
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rows[CAT_ROW_AUDIT], 2);
}

static void
a_store_is_asked_for_what_is_not_known(void **state)
{
	struct bench *b = *state;
	struct who w = { .role = ROLE_STORE, .vault = 101 };
	struct chan *c;
	struct msg m;
	uint64_t after;

	help_client(&b->s.c, 1, 101, "one", CLIENT_ENROLLED);
	help_client(&b->s.c, 2, 102, "two", CLIENT_ENROLLED);
	help_snapshot(&b->s.c, 1, 101, 0, 42, NOW, 0);
	c = join(b, &w);
	assert_int_equal(chan_recv_wait(c, &m, 0), RC_OK);
	assert_int_equal(m.type, MSG_CAT_ASK);
	assert_int_equal(rbuf_u64(&m.body, &after), RC_OK);
	assert_int_equal(after, 42);
	/* the other vault is woken once auth's list is whole, and once */
	pass(b, 10);
	assert_int_equal(b->wakes, 0);
	b->s.listed = true;
	for (int i = 0; i < 10; i++)
		pass(b, 10);
	assert_int_equal(b->wakes, 1);
	assert_int_equal(b->woken[0], 102);
	/* its run ends with it */
	help_run(&b->s.c, 1, 101, 9, FEED_RUN_BEGUN);
	chan_free(c);
	b->n--;
	run(b);
	assert_int_equal(help_status(&b->s.c, 1), CAT_STATE_FAILED);
}

static void
exchange_tells_what_we_met_once_in_ten_seconds(void **state)
{
	struct bench *b = *state;
	struct who w = { .role = ROLE_API, .right = RIGHT_PEER, .peer = 7,
	    .addr = "192.168.1.7", .user = "peer" };
	struct chan *c = join(b, &w);
	struct peer_info other = help_info(8, "eight");
	struct addr a = help_addr("192.168.1.8", 1);
	struct wbuf q;

	assert_int_equal(peers_met(&b->s.peers, PEER_MCAST, &a, &other, NULL),
	    RC_OK);
	/* another's name in the body */
	put_exchange(&q, 9, "nine");
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, RC_DENIED);
	put_exchange(&q, 7, "seven");
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, RC_OK);
	/* eight; not itself, and not what it told just now */
	assert_int_equal(b->rows[CAT_ROW_ENTRY], 1);
	assert_int_equal(b->s.peers.n, 3);
	put_exchange(&q, 7, "seven");
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, RC_BUSY);
	pass(b, 10);
	put_exchange(&q, 7, "seven");
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, RC_OK);
}

static void
dial_ended(struct bench *b, uint32_t dial, int rc)
{
	struct wbuf body = WBUF_INIT(16);
	struct msg m;

	wbuf_u32(&body, dial);
	wbuf_u8(&body, (uint8_t)-rc);
	assert_int_equal(chan_send(b->master, MSG_DIAL_END, &body, -1), RC_OK);
	wbuf_free(&body);
	assert_int_equal(chan_recv_wait(b->to_us, &m, 0), RC_OK);
	assert_int_equal(serve_master(&b->s, b->to_us, &m), RC_OK);
	run(b);
}

static void
probe_tries_only_the_callers_own_announced_ports(void **state)
{
	struct bench *b = *state;
	struct who w = { .role = ROLE_API, .right = RIGHT_PEER, .peer = 7,
	    .addr = "192.168.1.7", .user = "peer" };
	struct chan *c = join(b, &w);
	unsigned before;
	struct wbuf q;

	put_valid(&q, CAT_OP_PROBE);
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, RC_DENIED);
	put_exchange(&q, 7, "seven");
	assert_int_equal(ask(b, c, &q), RC_OK);
	query(&q, CAT_OP_PROBE);
	wbuf_u8(&q, 1);
	wbuf_u16(&q, 22);
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, RC_RANGE);
	before = b->dials;
	query(&q, CAT_OP_PROBE);
	wbuf_u8(&q, 2);
	wbuf_u16(&q, 32004);
	wbuf_u16(&q, 32005);
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, 1);		/* it waits */
	assert_int_equal(b->dials, before + 2);
	assert_int_equal(b->addr[before].port, 32004);
	assert_int_equal(b->addr[before].b[3], 7);
	b->s.c.ms += 30;
	dial_ended(b, b->dial[before], RC_OK);
	dial_ended(b, b->dial[before + 1], RC_REFUSED);
	assert_int_equal(drain(b, c), RC_OK);
	assert_int_equal(b->rc, RC_OK);
	assert_int_equal(b->rows[CAT_ROW_REACH], 2);
	assert_int_equal(b->row[2], 32005 & 0xff);
	assert_int_equal(b->row[3], -RC_REFUSED);
	assert_int_equal(b->row[7], 30);
	/* again: not so soon; and one that nobody answers ends by itself */
	put_valid(&q, CAT_OP_PROBE);
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, RC_BUSY);
	pass(b, 10);
	put_valid(&q, CAT_OP_PROBE);
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, 1);
	pass(b, 9);
	assert_int_equal(drain(b, c), RC_OK);
	assert_int_equal(b->rc, RC_OK);
	assert_int_equal(b->row[3], -RC_TIMEOUT);
	assert_int_equal(b->s.office.probes, 0);
}

static void
reach_waits_for_the_peer_while_others_are_served(void **state)
{
	struct bench *b = *state;
	struct chan *c = join_user(b, RIGHT_OPERATOR), *v, *p;
	struct peer_info one = help_info(1, "one");
	struct addr a = help_addr("192.168.1.7", 1);
	struct who w = { .role = ROLE_PEER };
	struct wbuf q, end = WBUF_INIT(512);
	struct msg m;

	assert_int_equal(peers_met(&b->s.peers, PEER_MCAST, &a, &one, NULL),
	    RC_OK);
	query(&q, CAT_OP_REACH);
	wbuf_str(&q, "one");
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, 1);
	assert_int_equal(b->dials, 1);
	v = join_user(b, RIGHT_VIEWER);
	query(&q, CAT_OP_PEERS);
	assert_int_equal(ask(b, v, &q), RC_OK);
	assert_int_equal(b->rows[CAT_ROW_PEER], 1);
	w.dial = b->dial[0];
	p = join(b, &w);
	assert_int_equal(chan_recv_wait(p, &m, 0), RC_OK);
	assert_int_equal(m.type, MSG_PEER_DO);
	assert_int_equal(m.body.p[0], DIAL_REACH);
	assert_int_equal(m.body.left, 65 + 1 + 4);
	wbuf_u8(&end, 0);
	wbuf_str(&end, "");
	wbuf_bytes(&end, one.identity, 32);
	wbuf_bytes(&end, one.pin, 32);
	wbuf_u8(&end, 1);
	wbuf_u16(&end, 32004);
	wbuf_u8(&end, 0);
	wbuf_u32(&end, 12);
	assert_int_equal(chan_send(p, MSG_PEER_END, &end, -1), RC_OK);
	wbuf_free(&end);
	run(b);
	assert_int_equal(drain(b, c), RC_OK);
	assert_int_equal(b->rc, RC_OK);
	assert_int_equal(b->rows[CAT_ROW_REACH], 1);
	/* a second one, that is never answered */
	pass(b, 1);
	query(&q, CAT_OP_REACH);
	wbuf_str(&q, "one");
	assert_int_equal(ask(b, c, &q), RC_OK);
	pass(b, 25);
	assert_int_equal(drain(b, c), RC_OK);
	assert_int_equal(b->rc, RC_TIMEOUT);
	/* one query at a time */
	query(&q, CAT_OP_REACH);
	wbuf_str(&q, "nobody");
	assert_int_equal(ask(b, c, &q), RC_OK);
	assert_int_equal(b->rc, RC_NOENT);
}

static void
a_subscriber_hears_and_a_slow_one_is_dropped(void **state)
{
	struct bench *b = *state;
	struct chan *c = join_user(b, RIGHT_VIEWER);
	struct chan *slow = join_user(b, RIGHT_VIEWER);
	unsigned got = 0;
	char text[400];
	struct wbuf q;
	struct msg m;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	put_valid(&q, CAT_OP_SUBSCRIBE);
	assert_int_equal(ask(b, c, &q), RC_OK);
	put_valid(&q, CAT_OP_SUBSCRIBE);
	assert_int_equal(ask(b, slow, &q), RC_OK);
	for (int i = 0; i < 6000; i++) {
		event_add(&b->s.c, "peer", "a", "%s", text);
		run(b);
		while (chan_recv_wait(c, &m, 0) == RC_OK)
			got += m.type == MSG_CAT_EVENT;
	}
	assert_int_equal(got, 6000);
	assert_int_equal(b->s.n, 1);
	/* a query after that is against the rules */
	put_valid(&q, CAT_OP_ALERTS);
	assert_int_equal(ask(b, c, &q), RC_EOF);
}

static void
streams_are_two_of_a_user_and_sixteen_in_all(void **state)
{
	struct chan *c[ASKER_STREAMS], *more;
	struct bench *b = *state;
	struct who w = { .role = ROLE_API, .right = RIGHT_VIEWER,
	    .addr = "192.168.1.5" };
	struct wbuf q;
	char user[16];

	w.user = user;
	for (int i = 0; i < ASKER_STREAMS; i++) {
		snprintf(user, sizeof(user), "u%d", i / ASKER_OWN_STREAMS);
		c[i] = join(b, &w);
		put_valid(&q, CAT_OP_SUBSCRIBE);
		assert_int_equal(ask(b, c[i], &q), RC_OK);
		assert_int_equal(b->rc, RC_OK);
	}
	/* One more of the last of them, and one of somebody else. */
	more = join(b, &w);
	put_valid(&q, CAT_OP_SUBSCRIBE);
	assert_int_equal(ask(b, more, &q), RC_OK);
	assert_int_equal(b->rc, RC_LIMIT);
	snprintf(user, sizeof(user), "other");
	more = join(b, &w);
	put_valid(&q, CAT_OP_SUBSCRIBE);
	assert_int_equal(ask(b, more, &q), RC_OK);
	assert_int_equal(b->rc, RC_BUSY);
	/* It may ask on, and listen once another has left. */
	put_valid(&q, CAT_OP_ALERTS);
	assert_int_equal(ask(b, more, &q), RC_OK);
	assert_int_equal(b->rc, RC_OK);
	assert_ptr_equal(b->far[3], c[3]);
	b->far[3] = NULL;
	chan_free(c[3]);
	run(b);
	put_valid(&q, CAT_OP_SUBSCRIBE);
	assert_int_equal(ask(b, more, &q), RC_OK);
	assert_int_equal(b->rc, RC_OK);
}

static double
ms_since(const struct timespec *t)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - t->tv_sec) * 1e3 +
	    (double)(now.tv_nsec - t->tv_nsec) / 1e6;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Issue 9: under 100 ms at the median with 1,000 clients and 100,000 runs. */
static void
the_overview_of_a_thousand_clients_is_quick(void **state)
{
	struct bench *b = *state;
	struct catalog *c = &b->s.c;
	struct chan *v = join_user(b, RIGHT_VIEWER);
	double took[11], feed;
	struct timespec t;
	struct wbuf q;

	assert_int_equal(cat_write(c), RC_OK);
	assert_int_equal(sql_run(c->db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION"
	    " ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO client "
	    "(client, account, name, vault, state, created, seen, gone, listed)"
	    " SELECT CAST(printf('%016d', i) AS BLOB), 'acme', 'client' || i,"
	    " CAST(printf('%016d', i) AS BLOB), 1, 1, 1, 0, 1 FROM n", ""),
	    RC_OK);
	assert_int_equal(sql_run(c->db, "WITH RECURSIVE n(i) AS (SELECT 0 UNION"
	    " ALL SELECT i + 1 FROM n WHERE i < 99999) INSERT INTO run (cid,"
	    " vault, run, label, state, started, ended, at, heard, snapshot,"
	    " good) SELECT 1 + i % 1000, CAST(printf('%016d', 1 + i % 1000) AS"
	    " BLOB), CAST(printf('%016d', i) AS BLOB), 'home', 1,"
	    " ?1 - 86400 * (99 - i / 1000), ?1 - 86400 * (99 - i / 1000) + 60,"
	    " ?1 - 86400 * (99 - i / 1000), ?1,"
	    " CAST(printf('%032d', i) AS BLOB), 1 FROM n", "i", (int64_t)NOW),
	    RC_OK);
	for (int64_t cid = 1; cid <= 1000; cid++)
		assert_int_equal(client_refresh(c, cid), RC_OK);
	assert_int_equal(cat_commit(c), RC_OK);
	clock_gettime(CLOCK_MONOTONIC, &t);
	for (uint8_t i = 0; i < 200; i++)
		help_run(c, 1, 101, (uint8_t)(i + 1), i % 2 == 0 ?
		    FEED_RUN_BEGUN : FEED_RUN_GOING);
	feed = ms_since(&t) / 200;
	for (size_t i = 0; i < NITEMS(took); i++) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		query(&q, CAT_OP_OVERVIEW);
		assert_int_equal(ask(b, v, &q), RC_OK);
		took[i] = ms_since(&t);
		assert_int_equal(b->rc, RC_OK);
		assert_int_equal(b->rows[CAT_ROW_CLIENT], 1000);
		assert_int_equal(b->rows[CAT_ROW_TOTALS], 1);
	}
	qsort(took, NITEMS(took), sizeof(took[0]), by_size);
	print_message("overview: median %.1f ms, most %.1f ms; a feed message "
	    "%.2f ms\n", took[NITEMS(took) / 2], took[NITEMS(took) - 1], feed);
	assert_true(took[NITEMS(took) / 2] < 100);
	/* the heavy ones end, whatever they take */
	query(&q, CAT_OP_DAYS);
	wbuf_u32(&q, 90);
	clock_gettime(CLOCK_MONOTONIC, &t);
	assert_int_equal(ask(b, v, &q), RC_OK);
	assert_int_equal(b->rows[CAT_ROW_DAY], 90000);
	print_message("days: 90,000 rows in %.0f ms\n", ms_since(&t));
	query(&q, CAT_OP_RUNS);
	wbuf_str(&q, "");
	wbuf_str(&q, "");
	wbuf_u64(&q, 0);
	wbuf_u32(&q, 1000);
	assert_int_equal(ask(b, v, &q), RC_OK);
	assert_int_equal(b->rows[CAT_ROW_RUN], 1000);
	query(&q, CAT_OP_METRICS);
	assert_int_equal(ask(b, v, &q), RC_OK);
	assert_int_equal(b->rows[CAT_ROW_CLIENT], 1000);
}

static void
storage_rows_are_hourly_for_one_and_daily_for_all(void **state)
{
	struct bench *b = *state;
	struct feed_space f = { .bytes = 5, .fs_free = 100ull << 30,
	    .fs_total = 200ull << 30 };
	struct chan *v = join_user(b, RIGHT_VIEWER);
	uint8_t vault[16];
	struct wbuf q;

	memset(vault, 101, sizeof(vault));
	help_client(&b->s.c, 1, 101, "one", CLIENT_ENROLLED);
	for (int i = 0; i < 72; i++) {
		b->s.c.now = NOW / 86400 * 86400 + i * 3600;
		assert_int_equal(space_feed(&b->s.c, vault, &f), RC_OK);
	}
	put_valid(&q, CAT_OP_STORAGE);
	assert_int_equal(ask(b, v, &q), RC_OK);
	assert_int_equal(b->rows[CAT_ROW_SPACE], 72);
	query(&q, CAT_OP_STORAGE);
	wbuf_str(&q, "");
	wbuf_str(&q, "");
	wbuf_u64(&q, 0);
	assert_int_equal(ask(b, v, &q), RC_OK);
	assert_int_equal(b->rows[CAT_ROW_SPACE], 3);
	query(&q, CAT_OP_METRICS);
	assert_int_equal(ask(b, v, &q), RC_OK);
	assert_int_equal(b->rows[CAT_ROW_SPACE], 1);
	put_valid(&q, CAT_OP_CLIENT);
	assert_int_equal(ask(b, v, &q), RC_OK);
	assert_int_equal(b->rc, RC_OK);
	query(&q, CAT_OP_CLIENT);
	wbuf_str(&q, "acme");
	wbuf_str(&q, "two");
	assert_int_equal(ask(b, v, &q), RC_OK);
	assert_int_equal(b->rc, RC_NOENT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_right_may_do_its_part_and_no_more),
		T(every_cut_query_costs_the_channel),
		T(an_api_channel_that_speaks_as_store_is_closed),
		T(a_discovery_role_may_not_claim_another_way),
		T(changes_are_audited_with_who_and_where),
		T(a_store_is_asked_for_what_is_not_known),
		T(exchange_tells_what_we_met_once_in_ten_seconds),
		T(probe_tries_only_the_callers_own_announced_ports),
		T(reach_waits_for_the_peer_while_others_are_served),
		T(a_subscriber_hears_and_a_slow_one_is_dropped),
		T(streams_are_two_of_a_user_and_sixteen_in_all),
		T(the_overview_of_a_thousand_clients_is_quick),
		T(storage_rows_are_hourly_for_one_and_daily_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
