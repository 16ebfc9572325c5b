#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/io.h"
#include "common/rc.h"
#include "server/session/login.h"

/*
 * What a session lets through to auth before anybody is logged in.  The client
 * says all it has to say, and what came back is read afterwards; the relay
 * carries clear text, which session_login() is told is TLS or is not.
 */
static struct {
	enum msg_type	asked[8];
	uint8_t		type[8];	/* of AUTH_PAIR */
	uint8_t		exporter[32];
	size_t		n;
	uint16_t	code;		/* of the answer */
	bool		nonsense;
} far;
static struct wbuf said = WBUF_INIT(65536);
static struct login l;

static int
nonce(void *arg, uint8_t out[32])
{
	(void)arg;
	memset(out, 0x42, 32);
	return RC_OK;
}

static int
sign_hello(void *arg, const struct wbuf *text, uint8_t sig[ED25519_SIG_LEN])
{
	(void)arg;
	(void)text;
	memset(sig, 0x43, ED25519_SIG_LEN);
	return RC_OK;
}

static void
answer_pair(const struct wbuf *body, struct wbuf *out)
{
	struct pair_state_msg state = { PAIR_ACCEPTED, "sg1-token" };
	struct pair_ok ok = { "pairing", "nonce" };
	struct rbuf in;
	uint16_t type;

	rbuf_init(&in, body->data, body->len);
	assert_int_equal(rbuf_u16(&in, &type), RC_OK);
	assert_int_equal(rbuf_bytes(&in, far.exporter, 32), RC_OK);
	far.type[far.n] = (uint8_t)type;
	if (far.nonsense)
		wbuf_u8(out, 9);
	else if (type == PROTO_PAIR)
		pair_ok_put(out, &ok);
	else
		pair_state_put(out, &state);
}

static int
ask(void *arg, enum msg_type what, const struct wbuf *body,
    struct rbuf *answer)
{
	static struct wbuf b = WBUF_INIT(2048);
	struct enrol_ok ok = { .name = "account/name" };

	(void)arg;
	wbuf_reset(&b);
	wbuf_u16(&b, far.code);
	wbuf_str(&b, "why");
	far.asked[far.n] = what;
	if (what == MSG_AUTH_PAIR) {
		answer_pair(body, &b);
	} else if (what == MSG_AUTH_ENROL) {
		enrol_ok_put(&b, &ok);
	} else {
		wbuf_zeros(&b, 32);
		wbuf_u32(&b, 3);
		wbuf_str(&b, "account/name");
	}
	far.n++;
	rbuf_init(answer, b.data, b.len);
	return RC_OK;
}

static const struct login_ops ops = { nonce, sign_hello, ask };

static void
say(uint16_t type, const struct wbuf *payload)
{
	struct frame f = { .length = (uint32_t)payload->len, .type = type,
	    .request = 1 };
	uint8_t head[PROTO_FRAME_LEN];

	frame_put(head, &f);
	wbuf_bytes(&said, head, sizeof(head));
	wbuf_bytes(&said, payload->data, payload->len);
}

static void
say_hello(uint64_t features)
{
	struct hello h = { PROTO_VERSION, PROTO_VERSION, features, "n" };
	struct wbuf b = WBUF_INIT(256);

	hello_put(&b, &h);
	say(PROTO_HELLO, &b);
	wbuf_free(&b);
}

static void
say_pair(uint16_t type)
{
	struct pair p = { .commit = "c", .client_key = "k", .name = "web1" };
	struct pair_open o = { "p", "n" };
	struct wbuf b = WBUF_INIT(256);

	if (type == PROTO_PAIR)
		pair_put(&b, &p);
	else
		pair_open_put(&b, &o);
	say(type, &b);
	wbuf_free(&b);
}

static void
say_zeros(uint16_t type, size_t n)
{
	struct wbuf b = WBUF_INIT(256);

	wbuf_zeros(&b, n);
	say(type, &b);
	wbuf_free(&b);
}

/* The types of the frames that came back, one byte each. */
static int
converse(bool tls, char *types)
{
	struct relay_opt o = { .side = PROTO_C, .ring_fd = -1 };
	uint8_t back[8192];
	size_t got = 0, at = 0;
	struct frame f;
	ssize_t n;
	int fd[2], rc;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(write(fd[1], said.data, said.len),
	    (ssize_t)said.len);
	assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
	o.fd = fd[0];
	assert_non_null(l.relay = relay_new(&o));
	l.tls = tls;
	l.id = "test";
	l.ops = &ops;
	memset(l.exporter, 7, sizeof(l.exporter));
	l.deadline = io_now_ms() + 5000;
	rc = session_login(&l);
	relay_free(l.relay);
	while ((n = read(fd[1], back + got, sizeof(back) - got)) > 0)
		got += (size_t)n;
	close(fd[1]);
	while (at + PROTO_FRAME_LEN <= got) {
		frame_get(back + at, &f);
		*types++ = (char)f.type;
		at += PROTO_FRAME_LEN + f.length;
	}
	*types = '\0';
	assert_int_equal(at, got);
	return rc;
}

static int
set_up(void **state)
{
	(void)state;
	memset(&far, 0, sizeof(far));
	memset(&l, 0, sizeof(l));
	wbuf_reset(&said);
	return 0;
}

#define BOTH	(PROTO_FEATURE_PAIR | PROTO_FEATURE_REPORT)

static void
a_pairing_is_carried_and_ends_the_connection(void **state)
{
	char types[64];

	(void)state;
	say_hello(BOTH);
	say_pair(PROTO_PAIR);
	say_pair(PROTO_PAIR_OPEN);
	say_zeros(PROTO_AUTH, 80);
	assert_int_equal(converse(true, types), RC_EOF);
	assert_string_equal(types, "\x02\x08\x0b");
	assert_true(l.paired);
	assert_int_equal(l.code, 0);
	assert_int_equal(far.n, 2);
	assert_int_equal(far.asked[0], MSG_AUTH_PAIR);
	assert_int_equal(far.type[0], PROTO_PAIR);
	assert_int_equal(far.type[1], PROTO_PAIR_OPEN);
	assert_memory_equal(far.exporter, l.exporter, 32);
}

static void
a_poll_is_one_question(void **state)
{
	char types[64];

	(void)state;
	say_hello(BOTH);
	say_pair(PROTO_PAIR_POLL);
	say_pair(PROTO_PAIR_POLL);
	assert_int_equal(converse(true, types), RC_EOF);
	assert_string_equal(types, "\x02\x0b");
	assert_true(l.paired);
	assert_int_equal(far.n, 1);
}

static void
clear_text_pairs_nobody(void **state)
{
	static const uint16_t first[] = { PROTO_PAIR, PROTO_PAIR_POLL };
	char types[64];

	for (size_t i = 0; i < 2; i++) {
		set_up(state);
		say_hello(BOTH);
		say_pair(first[i]);
		assert_int_equal(converse(false, types), RC_DENIED);
		assert_string_equal(types, "\x02");
		assert_int_equal(l.code, PROTO_ERR_PLAINTEXT);
		assert_int_equal(far.n, 0);
		assert_false(l.paired);
	}
}

static void
a_feature_that_was_not_named_is_not_there(void **state)
{
	char types[64];

	(void)state;
	say_hello(PROTO_FEATURE_REPORT | 0xf0);
	say_pair(PROTO_PAIR);
	assert_int_equal(converse(true, types), RC_STATE);
	assert_int_equal(l.code, PROTO_ERR_STATE);
	assert_int_equal(l.features, PROTO_FEATURE_REPORT);
	assert_int_equal(far.n, 0);
}

static void
pairing_frames_come_in_their_order(void **state)
{
	/* what is said, and how often auth is asked */
	static const struct {
		uint16_t type[3];
		size_t	 asked;
	} t[] = {
		{ { PROTO_PAIR_OPEN }, 0 },
		{ { PROTO_PAIR, PROTO_PAIR }, 1 },
		{ { PROTO_PAIR, PROTO_PAIR_POLL }, 1 },
		{ { PROTO_PAIR, PROTO_AUTH }, 1 },
		{ { PROTO_PAIR, PROTO_ENROL }, 1 },
		{ { PROTO_ENROL, PROTO_PAIR }, 1 },
		{ { PROTO_ENROL, PROTO_PAIR_POLL }, 1 },
	};
	char types[64];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		set_up(state);
		say_hello(BOTH);
		for (size_t k = 0; k < 3 && t[i].type[k] != 0; k++)
			if (t[i].type[k] == PROTO_AUTH ||
			    t[i].type[k] == PROTO_ENROL)
				say_zeros(t[i].type[k], 80);
			else
				say_pair(t[i].type[k]);
		assert_int_equal(converse(true, types), RC_STATE);
		assert_int_equal(l.code, PROTO_ERR_STATE);
		assert_int_equal(far.n, t[i].asked);
		assert_false(l.paired);
	}
}

static void
the_refusal_of_auth_is_the_answer(void **state)
{
	char types[64];

	(void)state;
	far.code = PROTO_ERR_LATER;
	say_hello(BOTH);
	say_pair(PROTO_PAIR);
	say_pair(PROTO_PAIR_OPEN);
	assert_int_equal(converse(true, types), RC_AUTH);
	assert_int_equal(l.code, PROTO_ERR_LATER);
	assert_true(l.told);
	assert_int_equal(far.n, 1);
	assert_string_equal(types, "\x02");
}

static void
an_answer_that_is_none_does_not_pass(void **state)
{
	char types[64];

	(void)state;
	far.nonsense = true;
	say_hello(BOTH);
	say_pair(PROTO_PAIR_POLL);
	assert_int_equal(converse(true, types), RC_PROTO);
	assert_int_equal(l.code, PROTO_ERR_INTERNAL);
	assert_string_equal(types, "\x02");
	assert_false(l.paired);
}

static void
enrolling_and_logging_in_go_on_as_before(void **state)
{
	char types[64];

	(void)state;
	say_hello(BOTH);
	say_zeros(PROTO_ENROL, 80);
	say_zeros(PROTO_AUTH, 80);
	assert_int_equal(converse(true, types), RC_OK);
	assert_string_equal(types, "\x02\x06");
	assert_int_equal(far.asked[0], MSG_AUTH_ENROL);
	assert_int_equal(far.asked[1], MSG_AUTH_LOGIN);
	assert_int_equal(l.features, BOTH);
	assert_string_equal(l.name, "account/name");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
		    a_pairing_is_carried_and_ends_the_connection, set_up),
		cmocka_unit_test_setup(a_poll_is_one_question, set_up),
		cmocka_unit_test_setup(clear_text_pairs_nobody, set_up),
		cmocka_unit_test_setup(
		    a_feature_that_was_not_named_is_not_there, set_up),
		cmocka_unit_test_setup(pairing_frames_come_in_their_order,
		    set_up),
		cmocka_unit_test_setup(the_refusal_of_auth_is_the_answer,
		    set_up),
		cmocka_unit_test_setup(an_answer_that_is_none_does_not_pass,
		    set_up),
		cmocka_unit_test_setup(
		    enrolling_and_logging_in_go_on_as_before, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
