#include "config.h"

#include "tests/unit/auth_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/login/check.h"
#include "server/sql.h"

/* The same numbers in every run, so that a one in a hundred millionth chance is
 * none (see the man in the middle below). */
int	__wrap_secret_random(void *p, size_t n);

int
__wrap_secret_random(void *p, size_t n)
{
	static uint64_t counter;
	uint8_t hash[32], *out = p;
	size_t k;

	for (; n > 0; n -= k, out += k) {
		counter++;
		assert_int_equal(sha256(&counter, sizeof(counter), hash),
		    RC_OK);
		k = n < sizeof(hash) ? n : sizeof(hash);
		memcpy(out, hash, k);
	}
	return RC_OK;
}

static void
fill(uint8_t p[32])
{
	(void)__wrap_secret_random(p, 32);
}

static int
setup(void **state)
{
	*state = bench_new();
	return 0;
}

static int
teardown(void **state)
{
	bench_free(*state);
	return 0;
}

/* --- a client on a session worker --- */

struct client {
	struct bench_worker	w;
	uint8_t			key[32], nonce[32], commit[32];
	struct pair_ok		ok;
	char			code[PROTO_PAIR_CODE_LEN + 1];
};

static void
attach(struct bench *b, struct bench_worker *w, const char *addr)
{
	struct msg m;

	bench_worker(b, w, ROLE_SESSION, PORT_SSL, addr);
	assert_int_equal(chan_send(w->c, MSG_AUTH_NONCE, NULL, -1), RC_OK);
	bench_turns(b);
	assert_int_equal(chan_recv(w->c, &m), RC_OK);
}

/* The code of the answer, and its payload; -1 when the channel was closed. */
static int
call(struct bench *b, struct bench_worker *w, uint16_t type,
    const struct wbuf *payload, uint8_t exporter, uint8_t *out, size_t *len)
{
	struct wbuf m = WBUF_INIT(4352);
	uint8_t exp[32];
	uint16_t code;
	char text[300];
	struct msg in;

	memset(exp, exporter, sizeof(exp));
	wbuf_u16(&m, type);
	wbuf_bytes(&m, exp, 32);
	wbuf_blob16(&m, payload->data, payload->len);
	bench_send(w, MSG_AUTH_PAIR, &m);
	bench_turns(b);
	if (chan_recv(w->c, &in) != RC_OK)
		return -1;
	assert_int_equal(in.type, MSG_AUTH_ANSWER);
	assert_int_equal(rbuf_u16(&in.body, &code), RC_OK);
	assert_int_equal(rbuf_str(&in.body, text, sizeof(text)), RC_OK);
	*len = in.body.left;
	memcpy(out, in.body.p, *len);
	return code;
}

static int
ask(struct bench *b, struct client *c, const char *name)
{
	struct wbuf p = WBUF_INIT(256);
	struct pair pair;
	struct rbuf in;
	uint8_t out[2048];
	size_t len;
	int code;

	fill(c->key);
	fill(c->nonce);
	assert_int_equal(pair_commit(c->nonce, c->key, c->commit), RC_OK);
	memcpy(pair.commit, c->commit, 32);
	memcpy(pair.client_key, c->key, 32);
	snprintf(pair.name, sizeof(pair.name), "%s", name);
	pair_put(&p, &pair);
	code = call(b, &c->w, PROTO_PAIR, &p, 0x5a, out, &len);
	wbuf_free(&p);
	if (code == 0) {
		rbuf_init(&in, out, len);
		assert_int_equal(pair_ok_parse(&in, &c->ok), RC_OK);
	}
	return code;
}

static int
open_or_poll(struct bench *b, struct bench_worker *w, const struct client *c,
    uint16_t type, struct pair_state_msg *s)
{
	struct wbuf p = WBUF_INIT(64);
	struct pair_open o;
	struct rbuf in;
	uint8_t out[2048];
	size_t len;
	int code;

	memcpy(o.pairing, c->ok.pairing, 16);
	memcpy(o.nonce, c->nonce, 32);
	pair_open_put(&p, &o);
	code = call(b, w, type, &p, 0x5a, out, &len);
	wbuf_free(&p);
	memset(s, 0, sizeof(*s));
	if (code == 0) {
		rbuf_init(&in, out, len);
		assert_int_equal(pair_state_parse(&in, s), RC_OK);
	}
	return code;
}

static void
client_code(struct bench *b, struct client *c)
{
	struct pair_code pc;

	memcpy(pc.client_key, c->key, 32);
	memcpy(pc.identity, b->opts.self.identity, 32);
	memcpy(pc.pin, b->opts.self.pin, 32);
	memcpy(pc.client_nonce, c->nonce, 32);
	memcpy(pc.server_nonce, c->ok.nonce, 32);
	assert_int_equal(pair_code(&pc, c->code), RC_OK);
}

/* The code that the administrator sees of it. */
static void
listed_code(struct bench *b, struct bench_worker *local, char code[16])
{
	struct bench_ask list = { .op = ADMIN_PAIR_LIST };
	struct bench_admin r;
	char text[80];
	struct rbuf in;

	assert_int_equal(bench_admin(b, local, &list, &r), RC_OK);
	assert_int_equal(r.rows, 1);
	rbuf_init(&in, r.row + 17, r.row_len - 17);
	assert_int_equal(rbuf_str(&in, text, sizeof(text)), RC_OK);
	assert_string_equal(text, "laptop");
	assert_int_equal(rbuf_str(&in, text, sizeof(text)), RC_OK);
	assert_string_equal(text, "192.0.2.1");
	assert_int_equal(rbuf_str(&in, code, 16), RC_OK);
}

static void
codes_are_compared_and_the_token_leaves_once(void **state)
{
	struct bench *b = *state;
	struct bench_ask list = { .op = ADMIN_PAIR_LIST };
	struct bench_ask account = { .op = ADMIN_ACCOUNT_ADD,
	    .account = "home" };
	struct bench_ask accept = { .op = ADMIN_PAIR_ACCEPT,
	    .account = "home", .name = "laptop", .digits = 6 };
	struct bench_worker local, later;
	struct pair_state_msg s;
	struct bench_admin r;
	struct db_client dbc;
	struct client c;
	struct token t;
	char code[16];

	bench_worker(b, &local, ROLE_API, PORT_CONTROL, NULL);
	attach(b, &c.w, "192.0.2.1");
	assert_int_equal(ask(b, &c, "laptop"), 0);
	/* not opened: nobody is shown a thing, nor can poll */
	assert_int_equal(bench_admin(b, &local, &list, &r), RC_OK);
	assert_int_equal(r.rows, 0);
	assert_int_equal(open_or_poll(b, &c.w, &c, PROTO_PAIR_POLL, &s), 0);
	assert_int_equal(s.state, PAIR_GONE);
	assert_int_equal(open_or_poll(b, &c.w, &c, PROTO_PAIR_OPEN, &s), 0);
	assert_int_equal(s.state, PAIR_WAITING);
	assert_int_equal(b->event, AUTH_EV_PAIR);
	client_code(b, &c);
	listed_code(b, &local, code);
	assert_string_equal(code, c.code);
	bench_worker_end(&c.w);
	/* accepted: the account has to be there, the client is made */
	accept.id = c.ok.pairing;
	assert_int_equal(bench_admin(b, &local, &accept, &r), RC_NOENT);
	assert_int_equal(bench_admin(b, &local, &account, &r), RC_OK);
	assert_int_equal(bench_admin(b, &local, &accept, &r), RC_OK);
	assert_int_equal(bench_admin(b, &local, &accept, &r), RC_NOENT);
	attach(b, &later, "192.0.2.99");
	c.nonce[0] ^= 1;			/* somebody else */
	assert_int_equal(open_or_poll(b, &later, &c, PROTO_PAIR_POLL, &s), 0);
	assert_int_equal(s.state, PAIR_GONE);
	c.nonce[0] ^= 1;
	assert_int_equal(open_or_poll(b, &later, &c, PROTO_PAIR_POLL, &s), 0);
	assert_int_equal(s.state, PAIR_ACCEPTED);
	assert_int_equal(token_parse(s.token, &t), RC_OK);
	assert_string_equal(t.host, "backup.example.org");
	assert_int_equal(db_client_find(b->db, "home", "laptop", &dbc),
	    RC_OK);
	assert_int_equal(open_or_poll(b, &later, &c, PROTO_PAIR_POLL, &s), 0);
	assert_int_equal(s.state, PAIR_GONE);
	/* for a minute it stays listed */
	assert_int_equal(bench_admin(b, &local, &list, &r), RC_OK);
	assert_int_equal(r.rows, 1);
	bench_pass(PAIR_FETCHED_S);
	assert_int_equal(bench_admin(b, &local, &list, &r), RC_OK);
	assert_int_equal(r.rows, 0);
	bench_worker_end(&later);
	bench_worker_end(&local);
}

static void
a_refused_one_is_told_so(void **state)
{
	struct bench *b = *state;
	struct bench_ask refuse = { .op = ADMIN_PAIR_REFUSE, .digits = 32 };
	struct bench_worker local;
	struct pair_state_msg s;
	struct bench_admin r;
	struct client c;

	bench_worker(b, &local, ROLE_API, PORT_CONTROL, NULL);
	attach(b, &c.w, "192.0.2.1");
	assert_int_equal(ask(b, &c, "laptop"), 0);
	assert_int_equal(open_or_poll(b, &c.w, &c, PROTO_PAIR_OPEN, &s), 0);
	refuse.id = c.ok.pairing;
	assert_int_equal(bench_admin(b, &local, &refuse, &r), RC_OK);
	assert_int_equal(open_or_poll(b, &c.w, &c, PROTO_PAIR_POLL, &s), 0);
	assert_int_equal(s.state, PAIR_REFUSED);
	assert_string_equal(s.token, "");
	bench_worker_end(&c.w);
	bench_worker_end(&local);
}

static void
what_was_not_committed_to_ends_the_pairing(void **state)
{
	struct bench *b = *state;
	struct pair_state_msg s;
	struct client c, other;

	attach(b, &c.w, "192.0.2.1");
	assert_int_equal(ask(b, &c, "laptop"), 0);
	c.nonce[5] ^= 1;
	assert_int_equal(open_or_poll(b, &c.w, &c, PROTO_PAIR_OPEN, &s),
	    PROTO_ERR_AUTH);
	c.nonce[5] ^= 1;
	assert_int_equal(open_or_poll(b, &c.w, &c, PROTO_PAIR_OPEN, &s),
	    PROTO_ERR_NOENT);
	bench_worker_end(&c.w);
	/* nor can another connection open it */
	attach(b, &c.w, "192.0.2.1");
	attach(b, &other.w, "192.0.2.1");
	assert_int_equal(ask(b, &c, "laptop"), 0);
	assert_int_equal(open_or_poll(b, &other.w, &c, PROTO_PAIR_OPEN, &s),
	    -1);
	bench_worker_end(&other.w);
	bench_worker_end(&c.w);
}

static void
in_clear_text_nobody_pairs(void **state)
{
	struct bench *b = *state;
	struct wbuf p = WBUF_INIT(256);
	struct pair pair = { .name = "laptop" };
	uint8_t out[2048];
	struct client c;
	size_t len;

	attach(b, &c.w, "192.0.2.1");
	pair_put(&p, &pair);
	assert_int_equal(call(b, &c.w, PROTO_PAIR, &p, 0, out, &len),
	    PROTO_ERR_PLAINTEXT);
	assert_int_equal(call(b, &c.w, PROTO_LIST, &p, 1, out, &len), -1);
	wbuf_free(&p);
	bench_worker_end(&c.w);
}

static void
a_pairing_is_forgotten_after_ten_minutes(void **state)
{
	struct bench *b = *state;
	struct pair_state_msg s;
	struct bench_worker w;
	struct client c;

	attach(b, &c.w, "192.0.2.1");
	assert_int_equal(ask(b, &c, "laptop"), 0);
	assert_int_equal(open_or_poll(b, &c.w, &c, PROTO_PAIR_OPEN, &s), 0);
	bench_pass(PROTO_PAIR_MS / 1000 - 1);
	assert_int_equal(open_or_poll(b, &c.w, &c, PROTO_PAIR_POLL, &s), 0);
	assert_int_equal(s.state, PAIR_WAITING);
	bench_pass(1);
	attach(b, &w, "192.0.2.1");
	assert_int_equal(open_or_poll(b, &w, &c, PROTO_PAIR_POLL, &s), 0);
	assert_int_equal(s.state, PAIR_GONE);
	bench_worker_end(&w);
	bench_worker_end(&c.w);
}

/* --- how many --- */

static int
ask_raw(struct pairs *p, unsigned source, struct pair_ok *ok,
    struct pair_open *o)
{
	struct pair ask = { .name = "x" };
	struct addr a = { .family = 4, .b = { 10, 0, (uint8_t)(source >> 8),
	    (uint8_t)source } };
	int rc;

	fill(o->nonce);
	fill(ask.client_key);
	assert_int_equal(pair_commit(o->nonce, ask.client_key, ask.commit),
	    RC_OK);
	if ((rc = pairs_ask(p, &ask, &a, 1000, ok)) == RC_OK)
		memcpy(o->pairing, ok->pairing, 16);
	return rc;
}

static void
unopened_ones_of_the_busiest_make_room(void **state)
{
	static const struct auth_self self;
	static struct pairs p;
	struct pair_open o[PAIRS_MAX + 8];
	struct pairing *v;
	struct pair_ok ok;

	(void)state;
	memset(&p, 0, sizeof(p));
	/* two of each of 15 sources, and one of two more */
	for (unsigned i = 0; i < PAIRS_MAX - 2; i++)
		assert_int_equal(ask_raw(&p, i / 2, &ok, &o[i]), RC_OK);
	assert_int_equal(ask_raw(&p, 100, &ok, &o[30]), RC_OK);
	assert_int_equal(ask_raw(&p, 101, &ok, &o[31]), RC_OK);
	assert_int_equal(p.n, PAIRS_MAX);
	/* a newcomer: the first of source 0 goes, single ones stay */
	assert_int_equal(ask_raw(&p, 102, &ok, &o[32]), RC_OK);
	assert_int_equal(p.n, PAIRS_MAX);
	assert_int_equal(pairs_open(&p, &self, &o[0], 1000, &v), RC_NOENT);
	assert_int_equal(pairs_open(&p, &self, &o[1], 1000, &v), RC_OK);
	assert_int_equal(pairs_open(&p, &self, &o[30], 1000, &v), RC_OK);
	assert_int_equal(pairs_open(&p, &self, &o[32], 1000, &v), RC_OK);
	/* a third of one source replaces its own oldest unopened */
	assert_int_equal(ask_raw(&p, 1, &ok, &o[33]), RC_OK);
	assert_int_equal(pairs_open(&p, &self, &o[2], 1000, &v), RC_NOENT);
	assert_int_equal(pairs_open(&p, &self, &o[3], 1000, &v), RC_OK);
	assert_int_equal(pairs_open(&p, &self, &o[33], 1000, &v), RC_OK);
	/* and is refused when both wait for a person */
	assert_int_equal(ask_raw(&p, 1, &ok, &o[34]), RC_BUSY);
}

static void
asking_has_a_rate_so_that_no_code_can_be_sought(void **state)
{
	static struct pairs p;
	struct pair_open o;
	struct pair_ok ok;
	int n = 0;

	(void)state;
	memset(&p, 0, sizeof(p));
	while (n < 1000 && ask_raw(&p, (unsigned)n, &ok, &o) == RC_OK)
		n++;
	assert_int_equal(n, PAIR_ASK_BURST);
}

/* Whoever was refused, or has his token, is in nobody's way, himself included. */
static void
those_that_are_done_with_make_room(void **state)
{
	static const struct auth_self self;
	static struct pairs p;
	struct pair_state_msg s;
	struct pair_open o[6];
	struct pairing *v;
	struct pair_ok ok;

	(void)state;
	memset(&p, 0, sizeof(p));
	for (size_t i = 0; i < PAIRS_PER_SOURCE; i++) {
		assert_int_equal(ask_raw(&p, 1, &ok, &o[i]), RC_OK);
		assert_int_equal(pairs_open(&p, &self, &o[i], 1000, &v),
		    RC_OK);
	}
	assert_int_equal(ask_raw(&p, 1, &ok, &o[2]), RC_BUSY);
	/* accepted, and the token is still to be fetched: it stays */
	v->state = PAIR_ACCEPTED;
	strcpy(v->token, "sg1-x");
	assert_int_equal(ask_raw(&p, 1, &ok, &o[2]), RC_BUSY);
	pairs_poll(&p, &o[1], 1000, &s);
	assert_int_equal(s.state, PAIR_ACCEPTED);
	assert_int_equal(ask_raw(&p, 1, &ok, &o[2]), RC_OK);
	assert_int_equal(pairs_open(&p, &self, &o[2], 1000, &v), RC_OK);
	/* refused: it need not be told before it goes */
	assert_int_equal(ask_raw(&p, 1, &ok, &o[3]), RC_BUSY);
	v->state = PAIR_REFUSED;
	assert_int_equal(ask_raw(&p, 1, &ok, &o[3]), RC_OK);
	pairs_poll(&p, &o[0], 1000, &s);
	assert_int_equal(s.state, PAIR_WAITING);
	pairs_poll(&p, &o[2], 1000, &s);
	assert_int_equal(s.state, PAIR_GONE);
	pairs_clear(&p);
}

/* --- the man in the middle --- */

/*
 * He ends TLS on both sides with keys of his own and puts his client key in the
 * place of the client's.  He wins if both screens show one code.  He may try a
 * hundred nonces of his own on each side; what he may know when he chooses is
 * the order of the messages.
 */
#define TRIES	1000
#define CHOICES	100

struct middle {
	uint8_t	key[32], identity[32], pin[32];	/* his own */
	uint8_t	client_key[32], client_nonce[32];	/* the victim's */
	struct auth_self server;
};

static void
middle_new(struct middle *m)
{
	fill(m->key);
	fill(m->identity);
	fill(m->pin);
	fill(m->client_key);
	fill(m->client_nonce);
	fill(m->server.identity);
	fill(m->server.pin);
}

/* What the victim's screen shows if he sends it this server nonce. */
static void
at_client(const struct middle *m, const uint8_t nonce[32],
    char code[PROTO_PAIR_CODE_LEN + 1])
{
	struct pair_code c;

	memcpy(c.client_key, m->client_key, 32);
	memcpy(c.identity, m->identity, 32);
	memcpy(c.pin, m->pin, 32);
	memcpy(c.client_nonce, m->client_nonce, 32);
	memcpy(c.server_nonce, nonce, 32);
	assert_int_equal(pair_code(&c, code), RC_OK);
}

/* A pairing of his own with the server. */
static void
at_server(struct middle *m, struct pairs *p,
    char code[PROTO_PAIR_CODE_LEN + 1])
{
	struct pair ask = { .name = "victim" };
	struct addr a = { .family = 4, .b = { 10, 0, 0, 1 } };
	struct pair_open o;
	struct pair_ok ok;
	struct pairing *v;

	memset(p, 0, sizeof(*p));
	memcpy(ask.client_key, m->key, 32);
	fill(o.nonce);
	assert_int_equal(pair_commit(o.nonce, m->key, ask.commit), RC_OK);
	assert_int_equal(pairs_ask(p, &ask, &a, 1000, &ok), RC_OK);
	memcpy(o.pairing, ok.pairing, 16);
	assert_int_equal(pairs_open(p, &m->server, &o, 1000, &v), RC_OK);
	memcpy(code, v->code, PROTO_PAIR_CODE_LEN + 1);
}

/* Do the last `digits` of the two agree? */
static bool
alike(const char *x, const char *y, size_t digits)
{
	return strcmp(x + PROTO_PAIR_CODE_LEN - digits,
	    y + PROTO_PAIR_CODE_LEN - digits) == 0;
}

/* He lets the client open first, which it does only to a nonce that it has; then
 * he tries pairings of his own until one shows the same. */
static bool
client_first(struct middle *m, struct pairs *p, size_t digits)
{
	char there[PROTO_PAIR_CODE_LEN + 1], here[PROTO_PAIR_CODE_LEN + 1];
	uint8_t nonce[32];

	fill(nonce);
	at_client(m, nonce, there);
	for (int i = 0; i < CHOICES; i++) {
		at_server(m, p, here);
		if (alike(there, here, digits))
			return true;
	}
	return false;
}

/* He has the server's code, and now picks the nonce for the client, whose own he
 * does not know before: of a hundred candidates he has to send one. */
static bool
server_first(struct middle *m, struct pairs *p, size_t digits)
{
	char there[PROTO_PAIR_CODE_LEN + 1], here[PROTO_PAIR_CODE_LEN + 1];
	uint8_t guess[32], real[32], nonce[32], sent[32];
	bool found = false;

	at_server(m, p, here);
	memcpy(real, m->client_nonce, 32);
	fill(guess);
	memcpy(m->client_nonce, guess, 32);
	fill(sent);
	for (int i = 0; i < CHOICES && !found; i++) {
		fill(nonce);
		at_client(m, nonce, there);
		found = alike(there, here, digits);
		if (found)
			memcpy(sent, nonce, 32);
	}
	memcpy(m->client_nonce, real, 32);
	at_client(m, sent, there);
	return alike(there, here, digits);
}

/* The protocol without the commitment: the client's nonce comes along with its
 * request, and he knows it when he picks. */
static bool
without_commitment(struct middle *m, struct pairs *p, size_t digits, int n)
{
	char there[PROTO_PAIR_CODE_LEN + 1], here[PROTO_PAIR_CODE_LEN + 1];
	uint8_t nonce[32];

	at_server(m, p, here);
	for (int i = 0; i < n; i++) {
		fill(nonce);
		at_client(m, nonce, there);
		if (alike(there, here, digits))
			return true;
	}
	return false;
}

static void
a_man_in_the_middle_always_ends_in_two_codes(void **state)
{
	static struct pairs p;
	struct middle m;
	unsigned won = 0;

	(void)state;
	for (int i = 0; i < TRIES; i++) {
		middle_new(&m);
		won += client_first(&m, &p, PROTO_PAIR_CODE_LEN);
		won += server_first(&m, &p, PROTO_PAIR_CODE_LEN);
	}
	assert_int_equal(won, 0);
}

static void
without_the_commitment_he_would_steer(void **state)
{
	static struct pairs p;
	struct middle m;
	unsigned steered = 0, chance = 0;

	(void)state;
	/* two digits are quickly tried: each time he gets what he wants */
	for (int i = 0; i < TRIES; i++) {
		middle_new(&m);
		steered += without_commitment(&m, &p, 2, 2000);
		chance += server_first(&m, &p, 2);
	}
	assert_int_equal(steered, TRIES);
	/* with it he has the luck of one in a hundred, whatever he tries */
	assert_in_range(chance, 1, 30);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(codes_are_compared_and_the_token_leaves_once),
		TEST(a_refused_one_is_told_so),
		TEST(what_was_not_committed_to_ends_the_pairing),
		TEST(in_clear_text_nobody_pairs),
		TEST(a_pairing_is_forgotten_after_ten_minutes),
		cmocka_unit_test(unopened_ones_of_the_busiest_make_room),
		cmocka_unit_test(those_that_are_done_with_make_room),
		cmocka_unit_test(asking_has_a_rate_so_that_no_code_can_be_sought),
		cmocka_unit_test(a_man_in_the_middle_always_ends_in_two_codes),
		cmocka_unit_test(without_the_commitment_he_would_steer),
	};

	if (sql_prepare() != RC_OK || login_setup() != RC_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
