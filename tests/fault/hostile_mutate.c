#include "config.h"

#include "tests/fault/hostile.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/num.h"
#include "common/object.h"
#include "common/rc.h"
#include "common/snapshot.h"

/*
 * Conversations as a client has them, with something changed.  What depends on
 * the connection (signatures, the sequence of a snapshot, its past) is made
 * anew each time, so that a change in one frame is met by whoever reads that
 * frame and not by the log-in.  What is changed follows from the seed; ids,
 * keys and nonces are new each time.
 */
#define STEPS_MAX	24
#define RUNS		8		/* used in turn: a vault keeps a few */
#define ANSWER_MS	250		/* for an answer that may not come */
#define QUIET_MS	150

enum talk { TALK_BACKUP, TALK_RESTORE, TALK_ENROL, TALK_MAX };

/* What the client sends, in order. */
static const uint16_t talks[TALK_MAX][STEPS_MAX] = {
	[TALK_BACKUP] = { PROTO_HELLO, PROTO_AUTH, PROTO_RECORD_GET,
	    PROTO_RECORD_ADD, PROTO_RUN_BEGIN, PROTO_HAVE, PROTO_PUT,
	    PROTO_PUT, PROTO_PING, PROTO_FLUSH, PROTO_COMMIT, PROTO_BYE },
	[TALK_RESTORE] = { PROTO_HELLO, PROTO_AUTH, PROTO_LIST,
	    PROTO_RECORD_GET, PROTO_GET, PROTO_WALK, PROTO_PING, PROTO_BAD,
	    PROTO_VERIFY, PROTO_BYE },
	[TALK_ENROL] = { PROTO_HELLO, PROTO_ENROL, PROTO_AUTH, PROTO_BYE },
};

/* What each is answered by; 0: nothing, or not at once. */
static const struct { uint16_t asked, answer; } answers[] = {
	{ PROTO_HELLO, PROTO_HELLO_OK },
	{ PROTO_AUTH, PROTO_AUTH_OK },
	{ PROTO_ENROL, PROTO_ENROL_OK },
	{ PROTO_RUN_BEGIN, PROTO_RUN_OK },
	{ PROTO_HAVE, PROTO_HAVE_OK },
	{ PROTO_FLUSH, PROTO_FLUSHED },
	{ PROTO_COMMIT, PROTO_COMMITTED },
	{ PROTO_LIST, PROTO_LIST_END },
	{ PROTO_RECORD_ADD, PROTO_RECORD_OK },
	{ PROTO_RECORD_GET, PROTO_RECORD_END },
	{ PROTO_WALK, PROTO_WALK_END },
	{ PROTO_VERIFY, PROTO_VERIFY_END },
	{ PROTO_PING, PROTO_PONG },
};

enum change {
	CH_BITS, CH_BYTES, CH_EXTREME, CH_LENGTH, CH_CUT, CH_CUT_LIE,
	CH_LONGER, CH_TYPE, CH_FLAGS, CH_TWICE, CH_SWAP, CH_DROP, CH_REQUEST,
	CH_JUNK, CH_RANDOM, CH_SPLICE, CH_STOP, CH_MAX
};

struct chain {
	uint8_t		run[16], job[16];
	uint8_t		previous[32];
};

struct mutate {
	struct target	*t;
	uint64_t	 rng;
	struct chain	 chain[RUNS];
	struct object_id root;		/* a tree that is in the vault */
	/* this conversation */
	struct conn	 c;
	struct chain	*now;
	struct fake	 chunk, node;
	unsigned int	 puts;
	uint64_t	 seq;
	struct object_id snapshot;
	bool		 clean, lockstep, reseal;
	bool		 stopped;	/* said half of something on purpose */
	bool		 zero;		/* request 0, which means "all" */
	/* totals */
	unsigned int	 by[END_MAX], by_code[32], frames, waited, lost;
	unsigned int	 changes[CH_MAX], number;
};

/* xorshift64*: the same everywhere for one seed. */
static uint32_t
rnd(struct mutate *m, uint32_t below)
{
	m->rng ^= m->rng >> 12;
	m->rng ^= m->rng << 25;
	m->rng ^= m->rng >> 27;
	return (uint32_t)((m->rng * 0x2545f4914f6cdd1dull) >> 33) % below;
}

/* --- the payloads, as they should be --- */

static void
make_commit(struct mutate *m, struct wbuf *b)
{
	struct fake_commit s = { .sequence = m->seq + 1,
	    .root = m->node.id };

	memcpy(s.job, m->now->job, sizeof(s.job));
	memcpy(s.previous, m->now->previous, sizeof(s.previous));
	wbuf_free(b);
	fake_snapshot(m->t, &s, b);
}

static void
make_put(struct mutate *m, struct wbuf *b)
{
	const struct fake *o = m->puts++ == 0 ? &m->chunk : &m->node;

	wbuf_bytes(b, o->wire.data, o->wire.len);
}

static void
make_login(struct mutate *m, uint16_t type, struct wbuf *b)
{
	struct hello h = { .version_min = 1, .version_max = 1 };

	if (type == PROTO_HELLO) {
		random_fill(h.nonce, sizeof(h.nonce));
		hello_put(b, &h);
		wbuf_reset(&m->c.hello);
		wbuf_bytes(&m->c.hello, b->data, b->len);
	} else if (type == PROTO_AUTH)
		login_auth_put(&m->c, m->t, b);
	else
		login_enrol_put(&m->c, &m->t->token, m->t->pub, b);
}

static void
make_question(struct mutate *m, uint16_t type, struct wbuf *b)
{
	struct list l = { .n = 100 };
	struct walk w = { .root = m->root,
	    .what = PROTO_WALK_NODES | PROTO_WALK_DATA, .budget = 1 << 20 };
	struct record_get rg = { .kind = 0 };
	struct id_copy bad = { .id = m->chunk.id };

	switch (type) {
	case PROTO_LIST:
		list_put(b, &l);
		break;
	case PROTO_GET:
		get_put(b, &m->root, 1, 0);
		break;
	case PROTO_WALK:
		walk_put(b, &w);
		break;
	case PROTO_RECORD_GET:
		record_get_put(b, &rg);
		break;
	case PROTO_BAD:
		id_copy_put(b, &bad);
		break;
	case PROTO_VERIFY:
		verify_put(b, 0);
		break;
	case PROTO_PING:
		wbuf_bytes(b, "pingpong", 8);
		break;
	default:
		break;
	}
}

static void
make(struct mutate *m, uint16_t type, struct wbuf *b)
{
	struct record rec = { .kind = RECORD_PARAMS,
	    .body = (const uint8_t *)"parameters", .len = 10 };
	struct run_begin r = { 0 };

	wbuf_init(b, 2 * OBJECT_WIRE_MAX);
	switch (type) {
	case PROTO_HELLO:
	case PROTO_AUTH:
	case PROTO_ENROL:
		make_login(m, type, b);
		break;
	case PROTO_RUN_BEGIN:
		memcpy(r.run, m->now->run, 16);
		memcpy(r.job, m->now->job, 16);
		run_begin_put(b, &r);
		break;
	case PROTO_HAVE:
		ids_put(b, &m->chunk.id, 1);
		break;
	case PROTO_PUT:
		make_put(m, b);
		break;
	case PROTO_FLUSH:
		wbuf_u8(b, (uint8_t)rnd(m, 2));
		break;
	case PROTO_COMMIT:
		make_commit(m, b);
		break;
	case PROTO_RECORD_ADD:
		record_put(b, &rec);
		break;
	default:
		make_question(m, type, b);
		break;
	}
}

/* --- and as they should not --- */

static void
flip(struct mutate *m, struct wbuf *b, bool bytes)
{
	static const uint8_t odd[] = { 0x00, 0xff, 0x7f, 0x80, 0x01 };
	uint32_t n = 1 + rnd(m, 8), at;

	while (b->len > 0 && n-- > 0) {
		/* heads of payloads decide most: half of the changes there */
		at = rnd(m, rnd(m, 2) == 0 && b->len > 80 ? 80 :
		    (uint32_t)b->len);
		if (bytes)
			b->data[at] = odd[rnd(m, NITEMS(odd))];
		else
			b->data[at] ^= (uint8_t)(1u << rnd(m, 8));
	}
}

static void
extreme(struct mutate *m, struct wbuf *b)
{
	static const uint32_t odd[] = { 0, 1, 0x7fff, 0x8000, 0xffff,
	    0x7fffffff, 0x80000000, 0xffffffff, 1025, 65537 };
	uint32_t v = odd[rnd(m, NITEMS(odd))];

	if (b->len < 4)
		return;
	if (rnd(m, 2) == 0)
		wbuf_set_u16(b, rnd(m, (uint32_t)b->len - 1), (uint16_t)v);
	else
		wbuf_set_u32(b, rnd(m, (uint32_t)b->len - 3), v);
}

static void
splice(struct mutate *m, struct wbuf *b)
{
	uint32_t n, from, to;

	if (b->len < 2)
		return;
	n = 1 + rnd(m, (uint32_t)b->len / 2);
	from = rnd(m, (uint32_t)b->len - n + 1);
	to = rnd(m, (uint32_t)b->len - n + 1);
	memmove(b->data + to, b->data + from, n);
}

static uint16_t
any_type(struct mutate *m)
{
	static const uint16_t types[] = {
#define X(name, code, who, states, max) (code),
		PROTO_FRAMES(X)
#undef X
	};

	return rnd(m, 8) == 0 ? (uint16_t)rnd(m, 65536) :
	    types[rnd(m, NITEMS(types))];
}

static void
junk(struct mutate *m, struct wbuf *b, uint32_t n)
{
	while (n-- > 0)
		wbuf_u8(b, (uint8_t)rnd(m, 256));
}

static void
change_payload(struct mutate *m, enum change ch, struct wbuf *b)
{
	size_t n;

	switch (ch) {
	case CH_BITS:
		flip(m, b, false);
		break;
	case CH_BYTES:
		flip(m, b, true);
		break;
	case CH_EXTREME:
		extreme(m, b);
		break;
	case CH_CUT:
		b->len = rnd(m, (uint32_t)b->len + 1);
		break;
	case CH_LONGER:
		junk(m, b, 1 + rnd(m, 300));
		break;
	case CH_RANDOM:
		n = b->len;
		wbuf_reset(b);
		junk(m, b, (uint32_t)n);
		break;
	case CH_SPLICE:
		splice(m, b);
		break;
	default:
		break;
	}
}

static uint32_t
lie_length(struct mutate *m, size_t n)
{
	static const uint32_t odd[] = { 0, 1, 4096, 4097, 65536, 65537,
	    OBJECT_WIRE_MAX, OBJECT_WIRE_MAX + 1, 0x7fffffff, 0xffffffff };

	return rnd(m, 2) == 0 ? odd[rnd(m, NITEMS(odd))] :
	    (uint32_t)n + rnd(m, 17) - 8;
}

/* A change behind the checksum or the signature, or in front of it. */
static void
seal_again(struct mutate *m, uint16_t type, struct wbuf *b)
{
	if (!m->reseal)
		return;
	if (type == PROTO_PUT && b->len >= OBJECT_HEADER_LEN)
		object_set_crc(b->data, b->len);
	if (type == PROTO_COMMIT)
		fake_sign(m->t, b->data, b->len);
}

static int
send_changed(struct mutate *m, uint16_t type, enum change ch, struct wbuf *b)
{
	struct frame f = { .type = type, .request = 1 + rnd(m, 1000) };
	uint8_t h[PROTO_FRAME_LEN];
	struct wbuf extra = WBUF_INIT(4096);
	size_t n;
	int rc;

	if (ch < CH_MAX)
		m->changes[ch]++;
	change_payload(m, ch, b);
	seal_again(m, type, b);
	n = b->len;
	f.length = (uint32_t)n;
	if (ch == CH_LENGTH)
		f.length = lie_length(m, n);
	if (ch == CH_CUT_LIE || ch == CH_STOP)
		n = rnd(m, (uint32_t)n + 1);
	if (ch == CH_TYPE)
		f.type = any_type(m);
	if (ch == CH_FLAGS)
		f.flags = (uint16_t)(1 + rnd(m, 65535));
	if (ch == CH_REQUEST)
		f.request = rnd(m, 3) == 0 ? 0 : 0xffffffff - rnd(m, 2);
	m->zero |= f.request == 0;
	m->stopped = f.length > n || ch == CH_STOP;
	frame_put(h, &f);
	if (ch == CH_JUNK) {
		junk(m, &extra, 1 + rnd(m, 60));
		rc = conn_send(&m->c, extra.data, extra.len);
		wbuf_free(&extra);
		if (rc != RC_OK)
			return rc;
	}
	if ((rc = conn_send(&m->c, h, sizeof(h))) == RC_OK && n > 0)
		rc = conn_send(&m->c, b->data, n);
	if (rc == RC_OK && ch == CH_TWICE &&
	    (rc = conn_send(&m->c, h, sizeof(h))) == RC_OK && n > 0)
		rc = conn_send(&m->c, b->data, n);
	return rc;
}

/* --- one conversation --- */

static uint16_t
answer_of(uint16_t type)
{
	size_t i;

	for (i = 0; i < NITEMS(answers); i++)
		if (answers[i].asked == type)
			return answers[i].answer;
	return 0;
}

static void
take_hello_ok(struct mutate *m)
{
	struct conn *c = &m->c;

	wbuf_reset(&c->ok);
	wbuf_bytes(&c->ok, c->p, c->f.length);
	if (hellos_hash(c->hello.data, c->hello.len, c->ok.data, c->ok.len,
	    c->hellos) != RC_OK)
		memset(c->hellos, 0, sizeof(c->hellos));
}

static void
new_chain(struct chain *k)
{
	random_fill(k->run, sizeof(k->run));
	random_fill(k->job, sizeof(k->job));
	memset(k->previous, 0, sizeof(k->previous));
}

/* Keep up with what the server says, as far as the next frames need it. */
static int
listen(struct mutate *m, uint16_t answer, int ms)
{
	struct conn *c = &m->c;
	struct run_ok ok;
	struct rbuf in;
	int rc;

	while ((rc = conn_recv(c, ms)) == RC_OK ||
	    (rc == RC_EOF && c->end == END_REFUSED)) {
		if (rc == RC_EOF) {
			m->by_code[c->err.code & 31]++;
			/* an answer was lost: another past */
			if (c->err.code == PROTO_ERR_SEQUENCE)
				new_chain(m->now);
			c->end = END_NONE;
			return RC_OK;	/* this request was, the rest goes on */
		}
		rbuf_init(&in, c->p, c->f.length);
		if (c->f.type == PROTO_HELLO_OK)
			take_hello_ok(m);
		else if (c->f.type == PROTO_RUN_OK &&
		    run_ok_parse(&in, &ok) == RC_OK)
			m->seq = ok.client_seq;
		else if (c->f.type == PROTO_COMMITTED) {
			memcpy(m->now->previous, m->snapshot.b, 32);
			m->root = m->node.id;
		}
		if (c->f.type == answer)
			return RC_OK;
	}
	return rc;
}

static int
step(struct mutate *m, uint16_t type, enum change ch)
{
	uint16_t answer = answer_of(type);
	struct wbuf b;
	int rc;

	make(m, type, &b);
	rc = send_changed(m, type, ch, &b);
	if (type == PROTO_COMMIT)
		snapshot_id(b.data, b.len, &m->snapshot);
	wbuf_free(&b);
	m->frames++;
	if (rc != RC_OK)
		return rc;
	/* The next frame needs this one's answer, or we ask one at a time. */
	if (answer != 0 && (m->lockstep || type == PROTO_HELLO ||
	    type == PROTO_ENROL || type == PROTO_RUN_BEGIN))
		rc = listen(m, answer, m->stopped ? QUIET_MS : ANSWER_MS);
	return rc == RC_TIMEOUT ? RC_OK : rc;
}

/* 1 in 4 changes is before the log-in. */
static size_t
pick(struct mutate *m, size_t n)
{
	return rnd(m, 4) == 0 ? rnd(m, 2) : rnd(m, (uint32_t)n);
}

static void
speak(struct mutate *m, enum talk talk, bool clean)
{
	enum change change[STEPS_MAX];
	uint16_t types[STEPS_MAX], swap;
	size_t n, i, k, at;

	for (n = 0; n < STEPS_MAX && talks[talk][n] != 0; n++) {
		types[n] = talks[talk][n];
		change[n] = CH_MAX;
	}
	for (k = clean ? 0 : 1 + rnd(m, 3); k > 0; k--)
		change[pick(m, n)] = (enum change)rnd(m, CH_MAX);
	for (i = 0; i < n; i++) {
		at = i;
		if (change[i] == CH_DROP) {
			m->changes[CH_DROP]++;
			continue;
		}
		if (change[i] == CH_SWAP && i + 1 < n) {
			m->changes[CH_SWAP]++;
			swap = types[i];
			types[i] = types[i + 1];
			types[i + 1] = swap;
			change[i] = CH_MAX;
		}
		if (step(m, types[at], change[at]) != RC_OK ||
		    change[at] == CH_STOP)
			break;
	}
}

static void
prepare(struct mutate *m)
{
	m->puts = 0;
	m->stopped = m->zero = false;
	m->lockstep = rnd(m, 2) == 0;
	m->reseal = rnd(m, 3) != 0;
	m->now = &m->chain[m->clean ? 0 : rnd(m, RUNS)];
	fake_object(&m->chunk, OBJECT_CHUNK, 0, NULL, 0, 100 + rnd(m, 3000));
	fake_object(&m->node, OBJECT_DIR_LEAF, 1, &m->chunk.id, 1,
	    50 + rnd(m, 500));
}

static void
converse(struct mutate *m, enum talk talk, bool clean)
{
	struct conn *c = &m->c;
	char text[400];
	int rc;

	m->clean = clean;
	prepare(m);
	m->lockstep |= clean;
	if ((rc = conn_open(c, m->t)) == RC_OK) {
		speak(m, talk, clean);
		while ((rc = listen(m, 0, m->stopped ? QUIET_MS :
		    ANSWER_MS)) == RC_OK)
			;
		if (rc == RC_TIMEOUT)
			m->waited++;	/* it waits for the rest, as it may */
		else if (c->end != END_NONE)
			conn_drain(c, ANSWER_MS);
	} else if (rc != RC_EOF || c->end == END_RESET)
		m->lost++;
	/* an answer by that number looks like the end of everything */
	if (c->end == END_OPEN_ERROR && m->zero)
		c->end = END_REFUSED;
	m->by[c->end]++;
	if (c->end == END_OPEN_ERROR || c->end == END_CLOSED ||
	    c->end == END_RESET)
		printf("mutate: conversation %u: %s\n", m->number,
		    ending_text(c, text, sizeof(text)));
	if (c->end == END_ERROR || c->end == END_OPEN_ERROR)
		m->by_code[c->err.code & 31]++;
	conn_close(c);
	fake_free(&m->chunk);
	fake_free(&m->node);
}

/* An unchanged one has to go as it always does. */
static bool
clean_ones(struct mutate *m)
{
	static const struct object_id none;
	unsigned int before;

	new_chain(&m->chain[0]);
	m->root = none;
	converse(m, TALK_BACKUP, true);
	if (memcmp(m->root.b, none.b, sizeof(none.b)) == 0)
		return false;		/* not committed */
	before = m->by[END_BYE] + m->by[END_CLOSED];
	converse(m, TALK_RESTORE, true);
	return m->by[END_BYE] + m->by[END_CLOSED] == before + 1;
}

static void
report(const struct mutate *m, unsigned int n)
{
	static const char *const names[32] = {
#define X(name, code, retry, text) [code] = #name,
		PROTO_ERRORS(X)
#undef X
	};
	size_t i;

	printf("mutate: %u conversations, %u frames: %u refused, %u to the "
	    "end, %u closed without a word, %u left waiting, %u not closed "
	    "after ERROR, %u TLS, %u not connected\n", n, m->frames,
	    m->by[END_ERROR], m->by[END_BYE], m->by[END_CLOSED] +
	    m->by[END_RESET] - m->lost, m->waited, m->by[END_OPEN_ERROR],
	    m->by[END_TLS], m->lost);
	printf("mutate: codes:");
	for (i = 0; i < NITEMS(names); i++)
		if (m->by_code[i] > 0)
			printf(" %s %u", names[i] != NULL ? names[i] : "?",
			    m->by_code[i]);
	printf("\n");
}

static int
do_mutate(struct target *t, int argc, char **argv)
{
	static struct mutate m;
	unsigned int n, i, first = 0;
	uint64_t seed;
	int good;

	if (argc < 2 || argc > 3 || (n = (unsigned int)atoi(argv[0])) == 0)
		return 2;
	seed = strtoull(argv[1], NULL, 0);
	if (argc == 3)			/* that one alone, to look at it */
		first = (unsigned int)atoi(argv[2]);
	m.t = t;
	m.rng = seed | 1;
	for (i = 0; i < RUNS; i++)
		new_chain(&m.chain[i]);
	good = clean_ones(&m);
	printf("mutate: before: %s\n", good ? "served" : "NOT SERVED");
	for (i = argc == 3 ? first : 0; i < n; i++) {
		/* each by itself, so that one can be looked at alone */
		m.rng = (seed * 0x9e3779b97f4a7c15ull ^
		    (i + 1) * 0xbf58476d1ce4e5b9ull) | 1;
		m.number = i;
		rnd(&m, 2);
		converse(&m, rnd(&m, 8) == 0 ? TALK_ENROL :
		    rnd(&m, 3) == 0 ? TALK_RESTORE : TALK_BACKUP, false);
		if (argc == 3)
			break;
	}
	report(&m, n);
	good = clean_ones(&m) && good;
	printf("mutate: after: %s\n", good ? "served" : "NOT SERVED");
	return good && m.lost == 0 ? 0 : 1;
}

const struct scenario scenarios_mutate[] = {
	{ "mutate", do_mutate, "N SEED [ONE]: conversations with changes" },
	{ NULL, NULL, NULL }
};
