#include "config.h"

#include "tests/fault/hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"

/* Frames that are wrong by themselves, in every state. */

struct info {
	const char	*name;
	uint16_t	 type;
	uint8_t		 who, states;
	uint32_t	 max;
};

static const struct info frames[] = {
#define X(name, code, who, states, max)					\
	{ #name, (code), (who), (states), (max) },
	PROTO_FRAMES(X)
#undef X
};

static const struct {
	const char		*name;
	enum proto_state	 st;
} states[] = {
	{ "hello", PROTO_ST_HELLO },
	{ "auth", PROTO_ST_AUTH },
	{ "open", PROTO_ST_OPEN },
};

/* One connection: to this state, then these bytes. */
static enum ending
attack(struct target *t, enum proto_state st, const struct frame *f,
    const void *p, size_t n, struct conn *c)
{
	uint8_t h[PROTO_FRAME_LEN];

	if (go_to(c, t, st) != RC_OK)
		return conn_drain(c, WAIT_MS);
	frame_put(h, f);
	if (conn_send(c, h, sizeof(h)) == RC_OK && n > 0)
		conn_send(c, p, n);
	return conn_drain(c, WAIT_MS);
}

/* Counts those that did not end by one of two codes, and says which. */
struct tally {
	const char	*name;
	unsigned int	 n, bad;
};

static void
expect(struct tally *y, const char *state, const char *frame,
    struct conn *c, uint16_t code, uint16_t other)
{
	char text[400];

	y->n++;
	if (c->end != END_ERROR || (c->err.code != code &&
	    c->err.code != other)) {
		y->bad++;
		printf("%s: %s in %s: %s\n", y->name, frame, state,
		    ending_text(c, text, sizeof(text)));
	}
	conn_close(c);
}

static int
summary(const struct tally *y)
{
	printf("%s: %u connections, %u not refused as they should be\n",
	    y->name, y->n, y->bad);
	return y->bad > 0;
}

static int
do_long_frames(struct target *t, int argc, char **argv)
{
	struct tally y = { .name = "long-frames" };
	struct frame f = { 0 };
	struct conn c;
	size_t s, i;

	(void)argc;
	(void)argv;
	for (s = 0; s < NITEMS(states); s++)
		for (i = 0; i < NITEMS(frames); i++) {
			if ((frames[i].who & PROTO_C) == 0 ||
			    (frames[i].states & states[s].st) == 0)
				continue;
			f.type = frames[i].type;
			f.length = frames[i].max + 1;
			attack(t, states[s].st, &f, NULL, 0, &c);
			expect(&y, states[s].name, frames[i].name, &c,
			    PROTO_ERR_LIMIT, PROTO_ERR_LIMIT);
		}
	f.type = PROTO_HELLO;
	f.length = UINT32_MAX;
	attack(t, PROTO_ST_HELLO, &f, NULL, 0, &c);
	expect(&y, "hello", "4 GiB", &c, PROTO_ERR_LIMIT, PROTO_ERR_LIMIT);
	return summary(&y);
}

static int
do_unknown_types(struct target *t, int argc, char **argv)
{
	static const uint16_t types[] = { 0, 0x000c, 0x000f, 0x001d, 0x0038,
	    0x0044, 0x00ff, 0x0100, 0x1603, 0x4745, 0x7fff, 0x8001, 0xffff };
	struct tally y = { .name = "unknown-types" };
	struct frame f = { .length = 8 };
	struct conn c;
	char name[16];
	size_t s, i;

	(void)argc;
	(void)argv;
	for (s = 0; s < NITEMS(states); s++)
		for (i = 0; i < NITEMS(types); i++) {
			f.type = types[i];
			snprintf(name, sizeof(name), "%04x", types[i]);
			attack(t, states[s].st, &f, "12345678", 8, &c);
			expect(&y, states[s].name, name, &c,
			    PROTO_ERR_PROTOCOL, PROTO_ERR_PROTOCOL);
		}
	return summary(&y);
}

static int
do_flags(struct target *t, int argc, char **argv)
{
	static const uint16_t flags[] = { 1, 0x8000, 0xffff };
	struct tally y = { .name = "flags" };
	struct frame f = { .type = PROTO_PING, .length = 8 };
	struct conn c;
	size_t s, i;

	(void)argc;
	(void)argv;
	for (s = 0; s < NITEMS(states); s++)
		for (i = 0; i < NITEMS(flags); i++) {
			f.flags = flags[i];
			attack(t, states[s].st, &f, "12345678", 8, &c);
			expect(&y, states[s].name, "PING", &c,
			    PROTO_ERR_PROTOCOL, PROTO_ERR_PROTOCOL);
		}
	return summary(&y);
}

/* Every frame where it is not allowed, and every frame of the server's. */
static int
do_out_of_state(struct target *t, int argc, char **argv)
{
	struct tally y = { .name = "out-of-state" };
	struct frame f = { 0 };
	struct conn c;
	size_t s, i;

	(void)argc;
	(void)argv;
	for (s = 0; s < NITEMS(states); s++)
		for (i = 0; i < NITEMS(frames); i++) {
			bool ours = (frames[i].who & PROTO_C) != 0;

			if (ours && (frames[i].states & states[s].st) != 0)
				continue;
			f.type = frames[i].type;
			attack(t, states[s].st, &f, NULL, 0, &c);
			expect(&y, states[s].name, frames[i].name, &c,
			    ours ? PROTO_ERR_STATE : PROTO_ERR_PROTOCOL,
			    ours ? PROTO_ERR_STATE : PROTO_ERR_PROTOCOL);
		}
	return summary(&y);
}

/* Frames whose payload is nothing, or one byte, or zeros for as long as it may
 * be (64 KiB): whatever it means, the server answers or refuses, and lives. */
static int
do_odd_payloads(struct target *t, int argc, char **argv)
{
	static uint8_t zeros[PROTO_SMALL_MAX];
	static const uint32_t sizes[] = { 0, 1, 17, PROTO_SMALL_MAX };
	unsigned int n = 0, refused = 0, answered = 0, bad = 0;
	struct frame f = { 0 };
	char text[400];
	struct conn c;
	size_t i, k;

	(void)argc;
	(void)argv;
	for (i = 0; i < NITEMS(frames); i++)
		for (k = 0; k < NITEMS(sizes); k++) {
			f.type = frames[i].type;
			f.length = sizes[k] < frames[i].max ? sizes[k] :
			    frames[i].max;
			if ((frames[i].who & PROTO_C) == 0 ||
			    (frames[i].states & PROTO_ST_OPEN) == 0 ||
			    f.type == PROTO_BYE || f.type == PROTO_ERROR)
				continue;
			if (go_to(&c, t, PROTO_ST_OPEN) == RC_OK &&
			    conn_frame(&c, f.type, 9, zeros, f.length) ==
			    RC_OK)
				conn_frame(&c, PROTO_BYE, 0, NULL, 0);
			conn_drain(&c, WAIT_MS);
			n++;
			if (c.end == END_ERROR || c.end == END_REFUSED)
				refused++;
			else if (c.end == END_BYE || c.end == END_CLOSED)
				answered++;
			else {
				bad++;
				printf("odd-payloads: %s of %u: %s\n",
				    frames[i].name, f.length,
				    ending_text(&c, text, sizeof(text)));
			}
			conn_close(&c);
		}
	printf("odd-payloads: %u connections, %u refused, %u served, "
	    "%u neither\n", n, refused, answered, bad);
	return bad > 0;
}

/* A right payload and one byte more, or one less. */
static void
well_formed(uint16_t type, struct wbuf *b)
{
	static const struct object_id id;
	struct run_begin r = { .run = { 1 } };
	struct record rec = { .kind = RECORD_PARAMS,
	    .body = (const uint8_t *)"params", .len = 6 };
	struct record_get get = { .kind = 0 };
	struct walk w = { .what = PROTO_WALK_NODES, .budget = 4096 };
	struct id_copy bad = { .copy = 0 };
	struct list l = { .n = 10 };

	wbuf_init(b, PROTO_SMALL_MAX);
	switch (type) {
	case PROTO_RUN_BEGIN:
		run_begin_put(b, &r);
		break;
	case PROTO_HAVE:
		ids_put(b, &id, 1);
		break;
	case PROTO_GET:
		get_put(b, &id, 1, 0);
		break;
	case PROTO_LIST:
		list_put(b, &l);
		break;
	case PROTO_WALK:
		walk_put(b, &w);
		break;
	case PROTO_RECORD_ADD:
		record_put(b, &rec);
		break;
	case PROTO_RECORD_GET:
		record_get_put(b, &get);
		break;
	case PROTO_BAD:
		id_copy_put(b, &bad);
		break;
	case PROTO_VERIFY:
		verify_put(b, 1);
		break;
	default:
		break;
	}
}

static int
do_lengths(struct target *t, int argc, char **argv)
{
	static const uint16_t types[] = { PROTO_RUN_BEGIN, PROTO_HAVE,
	    PROTO_GET, PROTO_LIST, PROTO_WALK, PROTO_RECORD_ADD,
	    PROTO_RECORD_GET, PROTO_BAD, PROTO_VERIFY, PROTO_BYE };
	struct tally y = { .name = "lengths" };
	struct conn c;
	struct wbuf b;
	size_t i;
	int less;

	(void)argc;
	(void)argv;
	for (i = 0; i < NITEMS(types); i++)
		for (less = 0; less < 2; less++) {
			well_formed(types[i], &b);
			if (less && b.len == 0) {
				wbuf_free(&b);
				continue;
			}
			if (less)
				b.len--;
			else
				wbuf_u8(&b, 0);
			if (go_to(&c, t, PROTO_ST_OPEN) == RC_OK)
				conn_frame(&c, types[i], 5, b.data, b.len);
			conn_drain(&c, WAIT_MS);
			expect(&y, less ? "one byte less" : "one byte more",
			    proto_name(types[i]), &c, PROTO_ERR_PROTOCOL,
			    PROTO_ERR_LIMIT);
			wbuf_free(&b);
		}
	return summary(&y);
}

/* Ids: more than may be, and other than their count says. */
static int
do_many_ids(struct target *t, int argc, char **argv)
{
	static const struct { uint16_t type, count; size_t n; } tries[] = {
		{ PROTO_HAVE, PROTO_IDS_MAX + 1, PROTO_IDS_MAX },
		{ PROTO_HAVE, 0xffff, 3 },
		{ PROTO_HAVE, 2, 3 },
		{ PROTO_GET, PROTO_IDS_MAX + 1, PROTO_IDS_MAX },
		{ PROTO_GET, 0xffff, 0 },
		{ PROTO_GET, 9, 3 },
	};
	static uint8_t ids[PROTO_IDS_MAX * 33];
	struct tally y = { .name = "many-ids" };
	struct conn c;
	size_t i;

	(void)argc;
	(void)argv;
	for (i = 0; i < NITEMS(tries); i++) {
		struct wbuf b = WBUF_INIT(PROTO_SMALL_MAX);

		wbuf_u16(&b, tries[i].count);
		wbuf_bytes(&b, ids, tries[i].n *
		    (tries[i].type == PROTO_GET ? 33 : 32));
		if (go_to(&c, t, PROTO_ST_OPEN) == RC_OK)
			conn_wbuf(&c, tries[i].type, 5, &b);
		wbuf_free(&b);
		conn_drain(&c, WAIT_MS);
		expect(&y, "open", proto_name(tries[i].type), &c,
		    PROTO_ERR_LIMIT, PROTO_ERR_PROTOCOL);
	}
	return summary(&y);
}

static int
do_after_bye(struct target *t, int argc, char **argv)
{
	struct conn c;
	struct wbuf b;

	(void)argc;
	(void)argv;
	if (go_to(&c, t, PROTO_ST_OPEN) == RC_OK) {
		conn_frame(&c, PROTO_BYE, 0, NULL, 0);
		well_formed(PROTO_LIST, &b);
		conn_wbuf(&c, PROTO_LIST, 8, &b);
		if (conn_want(&c, PROTO_LIST_END, WAIT_MS) == RC_OK)
			printf("after-bye: SERVED\n");
	}
	return said(&c, "after-bye", WAIT_MS);
}

/* Half a frame, then nothing for longer than a stall may last. */
static int
do_stall(struct target *t, int argc, char **argv)
{
	static const uint8_t half[] = { 0, 0, 0, 26, 0, 0x20, 0, 0, 0 };
	struct conn c;

	(void)argc;
	(void)argv;
	if (go_to(&c, t, PROTO_ST_OPEN) == RC_OK)
		conn_send(&c, half, sizeof(half));
	return said(&c, "stall", PROTO_STALL_MS + 10000);
}

const struct scenario scenarios_frames[] = {
	{ "long-frames", do_long_frames, "each frame, one byte too long" },
	{ "unknown-types", do_unknown_types, "numbers of no frame" },
	{ "flags", do_flags, "flags that mean nothing" },
	{ "out-of-state", do_out_of_state, "each frame where it may not be" },
	{ "odd-payloads", do_odd_payloads, "zeros for each payload" },
	{ "lengths", do_lengths, "payloads a byte off" },
	{ "many-ids", do_many_ids, "counts that lie" },
	{ "after-bye", do_after_bye, "a question after BYE" },
	{ "stall", do_stall, "half a frame after the log-in" },
	{ NULL, NULL, NULL }
};
