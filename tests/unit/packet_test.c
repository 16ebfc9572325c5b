#include "config.h"

#include "common/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"

static struct secret key;
static struct puzzle *puzzle;

static void
example(struct packet *p, uint8_t type)
{
	memset(p, 0, sizeof(*p));
	p->type = type;
	assert_int_equal(ed25519_public(&key, p->info.identity), RC_OK);
	memset(p->info.pin, 0x22, sizeof(p->info.pin));
	p->info.mode = 2;
	p->info.port_server = 32004;
	p->info.port_ssl = 32007;
	p->info.port_gui = 32005;
	p->info.port_webssl = 6061;
	p->info.interval = 60;
	p->info.sent_ns = 0x1122334455667788;
	strcpy(p->info.id, "h\xc3\xb6" "fer");
	p->n = packet_is_request(type) ? 1 : 3;
	memset(p->nonce[0], 0xa1, PACKET_NONCE_LEN);
	if (p->n == 3) {
		memset(p->nonce[1], 0xa2, PACKET_NONCE_LEN);
		memset(p->nonce[2], 0xa3, PACKET_NONCE_LEN);
	}
}

/* Solved and signed. */
static void
whole(struct wbuf *out, const struct packet *p)
{
	size_t at;
	int rc = RC_OK;

	assert_int_equal(packet_put(out, p, &at), RC_OK);
	if (p->type != PACKET_PROBE_ANSWER) {
		assert_int_equal(puzzle_begin(puzzle, out->data, at, 7),
		    RC_OK);
		while ((rc = puzzle_try(puzzle, 1000, out->data + at)) ==
		    RC_AGAIN)
			;
	}
	assert_int_equal(rc, RC_OK);
	assert_int_equal(packet_sign(out, &key), RC_OK);
}

static int
setup(void **state)
{
	(void)state;
	memset(key.b, 0x11, sizeof(key.b));
	puzzle = puzzle_new();
	return puzzle == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	puzzle_free(puzzle);
	return 0;
}

static void
every_field_comes_back(void **state)
{
	struct packet p, q;
	uint8_t type;

	(void)state;
	for (type = PACKET_REQUEST; type < PACKET_TYPE_MAX; type++) {
		struct wbuf b = WBUF_INIT(PACKET_REQUEST_LEN);

		example(&p, type);
		if (packet_is_request(type))
			p.flags = PACKET_F_ASKING;
		whole(&b, &p);
		assert_int_equal(packet_get(&q, b.data, b.len), RC_OK);
		assert_memory_equal(&p, &q, sizeof(p));
		assert_int_equal(packet_verify(b.data, b.len), RC_OK);
		wbuf_free(&b);
	}
}

static void
the_bytes_are_those_of_the_document(void **state)
{
	struct wbuf b = WBUF_INIT(PACKET_REQUEST_LEN);
	struct packet p;
	size_t i;

	(void)state;
	example(&p, PACKET_REQUEST);
	whole(&b, &p);
	assert_int_equal(b.len, 512);
	assert_memory_equal(b.data, "SGD1\1\0\0\0", 8);
	assert_memory_equal(b.data + 8, p.info.identity, 32);
	assert_int_equal(b.data[40], 0x22);
	assert_int_equal(b.data[72], 2);
	assert_memory_equal(b.data + 73, "\x7d\x04\x7d\x07\x7d\x05\x17\xad", 8);
	assert_memory_equal(b.data + 81, "\x00\x3c", 2);
	assert_memory_equal(b.data + 83, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
	assert_memory_equal(b.data + 91, "\x00\x06h\xc3\xb6" "fer", 8);
	assert_int_equal(b.data[99], 1);
	assert_int_equal(b.data[100], 0xa1);
	for (i = 116; i < 448; i++)
		assert_int_equal(b.data[i], 0);
	wbuf_free(&b);
}

static void
sizes_keep_their_promise(void **state)
{
	struct wbuf b = WBUF_INIT(PACKET_REQUEST_LEN);
	struct packet p;

	(void)state;
	example(&p, PACKET_ANSWER);
	memset(p.info.id, 'x', PEER_ID_MAX);
	p.info.id[PEER_ID_MAX] = '\0';
	whole(&b, &p);
	assert_true(b.len <= PACKET_ANSWER_MAX);
	assert_true(b.len <= PACKET_REQUEST_LEN / 2);
	p.info.id[1] = '\0';
	p.n = 1;
	whole(&b, &p);
	assert_int_equal(b.len, PACKET_MIN);
	wbuf_free(&b);
}

/* RC_OK only when all that a receiver looks at is well. */
static int
accept(const uint8_t *p, size_t n)
{
	struct packet_look l;
	struct packet q;
	uint64_t mark;
	int rc;

	if ((rc = packet_look(&l, p, n)) != RC_OK)
		return rc;
	if (l.type != PACKET_PROBE_ANSWER &&
	    (rc = puzzle_check(puzzle, p, l.puzzle_at, &mark)) != RC_OK)
		return rc;
	if ((rc = packet_verify(p, n)) != RC_OK)
		return rc;
	return packet_get(&q, p, n);
}

static void
no_byte_can_be_changed(void **state)
{
	struct packet p;
	uint8_t type;
	size_t i;
	int bit;

	(void)state;
	for (type = PACKET_REQUEST; type < PACKET_TYPE_MAX; type++) {
		struct wbuf b = WBUF_INIT(PACKET_REQUEST_LEN);

		example(&p, type);
		whole(&b, &p);
		assert_int_equal(accept(b.data, b.len), RC_OK);
		for (i = 0; i < b.len; i++)
			for (bit = 0; bit < 8; bit += 3) {
				b.data[i] ^= (uint8_t)(1 << bit);
				assert_int_not_equal(accept(b.data, b.len),
				    RC_OK);
				b.data[i] ^= (uint8_t)(1 << bit);
			}
		wbuf_free(&b);
	}
}

static void
no_other_length_is_taken(void **state)
{
	uint8_t more[PACKET_REQUEST_LEN + 1] = { 0 };
	struct packet_look l;
	struct packet p;
	uint8_t type;
	size_t n;

	(void)state;
	for (type = PACKET_REQUEST; type < PACKET_TYPE_MAX; type++) {
		struct wbuf b = WBUF_INIT(PACKET_REQUEST_LEN);

		example(&p, type);
		whole(&b, &p);
		memset(more, 0, sizeof(more));
		memcpy(more, b.data, b.len);
		for (n = 0; n <= sizeof(more); n++)
			assert_int_equal(packet_look(&l, more, n) == RC_OK,
			    n == b.len);
		wbuf_free(&b);
	}
}

static void
odd_heads_and_counts_are_refused(void **state)
{
	struct wbuf b = WBUF_INIT(PACKET_REQUEST_LEN);
	struct packet p;
	size_t at;

	(void)state;
	example(&p, PACKET_REQUEST);
	p.n = 2;
	assert_int_equal(packet_put(&b, &p, &at), RC_RANGE);
	example(&p, PACKET_ANSWER);
	p.n = 4;
	assert_int_equal(packet_put(&b, &p, &at), RC_RANGE);
	p.n = 0;
	assert_int_equal(packet_put(&b, &p, &at), RC_RANGE);
	example(&p, PACKET_ANSWER);
	p.flags = PACKET_F_ASKING;
	assert_int_equal(packet_put(&b, &p, &at), RC_RANGE);
	example(&p, PACKET_TYPE_MAX);
	assert_int_equal(packet_put(&b, &p, &at), RC_RANGE);
	example(&p, PACKET_REQUEST);
	strcpy(p.info.id, "a\nb");
	assert_int_equal(packet_put(&b, &p, &at), RC_RANGE);
	wbuf_free(&b);
}

static void
a_signature_is_of_this_domain_only(void **state)
{
	struct wbuf b = WBUF_INIT(PACKET_REQUEST_LEN);
	struct packet p;
	size_t at;

	(void)state;
	example(&p, PACKET_ANSWER);
	assert_int_equal(packet_put(&b, &p, &at), RC_OK);
	wbuf_zeros(&b, ED25519_SIG_LEN);
	assert_int_equal(ed25519_sign(&key, b.data, b.len - ED25519_SIG_LEN,
	    b.data + b.len - ED25519_SIG_LEN), RC_OK);
	assert_int_equal(packet_verify(b.data, b.len), RC_CRYPTO);
	wbuf_free(&b);
}

static void
a_puzzle_takes_work_and_tells_packets_apart(void **state)
{
	struct wbuf b = WBUF_INIT(PACKET_REQUEST_LEN);
	unsigned int solved = 0, i;
	uint64_t mark, other;
	struct packet_look l;
	struct packet p;

	(void)state;
	example(&p, PACKET_REQUEST);
	whole(&b, &p);
	assert_int_equal(packet_look(&l, b.data, b.len), RC_OK);
	assert_int_equal(puzzle_check(puzzle, b.data, l.puzzle_at, &mark),
	    RC_OK);
	for (i = 0; i < 2000; i++) {
		b.data[l.puzzle_at]++;
		b.data[l.puzzle_at + 1] = (uint8_t)(i >> 8);
		solved += puzzle_check(puzzle, b.data, l.puzzle_at, &other) ==
		    RC_OK;
	}
	assert_true(solved < 20);
	p.info.sent_ns++;
	whole(&b, &p);
	assert_int_equal(puzzle_check(puzzle, b.data, l.puzzle_at, &other),
	    RC_OK);
	assert_true(mark != other);
	wbuf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_comes_back),
		cmocka_unit_test(the_bytes_are_those_of_the_document),
		cmocka_unit_test(sizes_keep_their_promise),
		cmocka_unit_test(no_byte_can_be_changed),
		cmocka_unit_test(no_other_length_is_taken),
		cmocka_unit_test(odd_heads_and_counts_are_refused),
		cmocka_unit_test(a_signature_is_of_this_domain_only),
		cmocka_unit_test(a_puzzle_takes_work_and_tells_packets_apart),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
