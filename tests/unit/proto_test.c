#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/num.h"
#include "common/proto.h"
#include "common/rc.h"
#include "tests/fuzz/proto_echo.h"

static struct object_id ids[PROTO_IDS_MAX + 1];
static const uint8_t cursor[] = "where it stopped";
static const uint8_t body[PROTO_RECORD_MAX] = "wrapped";
static const struct snapshot_server server = {
	.wall_ns = 1, .vault_clock = 2, .vault_seq = 3, .writer = 4,
};

static void
put_hello(struct wbuf *out)
{
	struct hello v = { 1, 3, 0x1122334455667788, "nonce" };

	hello_put(out, &v);
}

static void
put_hello_ok(struct wbuf *out)
{
	struct hello_ok v = {
		.version = 1, .features = 9, .nonce = "n", .frame_max = 65536,
		.ids_max = 1024, .id = "backup1", .identity = "id",
		.signed_ = 1, .sig = "sig",
	};

	hello_ok_put(out, &v);
}

static void
put_auth(struct wbuf *out)
{
	struct auth v = { "client", "sig" };

	auth_put(out, &v);
}

static void
put_auth_ok(struct wbuf *out)
{
	struct auth_ok v = {
		.vault = "v", .instance = "i", .rights = 0x80000003,
		.wall_ns = -1, .vault_clock = 2, .vault_seq = 3,
		.connections = 4, .credit_put = 5, .credit_have = 6,
		.credit_get = 7, .name = "acme/host",
	};

	auth_ok_put(out, &v);
}

static void
put_enrol(struct wbuf *out)
{
	struct enrol v = { "token", "key", "mac" };

	enrol_put(out, &v);
}

static void
put_enrol_ok(struct wbuf *out)
{
	struct enrol_ok v = { "client", "vault", "inst", "ident", 1, "a/b" };

	enrol_ok_put(out, &v);
}

static void
put_run_begin(struct wbuf *out)
{
	struct run_begin v = { "run", "job", { "base" } };

	run_begin_put(out, &v);
}

static void
put_run_ok(struct wbuf *out)
{
	run_ok_put(out, PROTO_RUN_BASE | PROTO_RUN_RESUMED, 77, ids, 2);
}

static void
put_ids(struct wbuf *out)
{
	ids_put(out, ids, PROTO_IDS_MAX);
}

static void
put_have_ok(struct wbuf *out)
{
	static const uint8_t have[] = { HAVE_ABSENT, HAVE_PRESENT,
	    HAVE_FOREIGN, HAVE_AGAIN, HAVE_AGAIN };

	have_ok_put(out, have, sizeof(have));
}

static void
put_object(struct wbuf *out)
{
	struct object_header h = { .version = 1, .type = OBJECT_MAP,
	    .height = 1, .edges = 2, .body_len = 5, .crc = 6 };
	uint8_t header[OBJECT_HEADER_LEN];

	object_put_header(&h, header);
	wbuf_bytes(out, header, sizeof(header));
	wbuf_bytes(out, ids, 2 * OBJECT_ID_LEN);
	wbuf_bytes(out, "abcde", 5);
	wbuf_zeros(out, OBJECT_TAG_LEN);
}

static void
put_ack(struct wbuf *out)
{
	struct ack v = { 10, 10 };

	ack_put(out, &v);
}

static void
put_commit(struct wbuf *out)
{
	struct snapshot_client v = { .label = "job", .edge_count = 4,
	    .sealed = body, .sealed_len = 100 };

	snapshot_put_client(out, &v, NULL);
	wbuf_zeros(out, ED25519_SIG_LEN);
}

static void
put_committed(struct wbuf *out)
{
	snapshot_put_server(out, &server);
}

static void
put_list(struct wbuf *out)
{
	struct list v = { "job", 5, 1024 };

	list_put(out, &v);
}

static void
put_listed(struct wbuf *out)
{
	listed_put(out, body, 300, &server);
}

static void
put_more(struct wbuf *out)
{
	more_put(out, 1);
}

static void
put_get(struct wbuf *out)
{
	get_put(out, ids, PROTO_IDS_MAX, 3);
}

static void
put_id_copy(struct wbuf *out)
{
	struct id_copy v = { { "id" }, 2 };

	id_copy_put(out, &v);
}

static void
put_walk(struct wbuf *out)
{
	struct walk v = { { "root" }, PROTO_WALK_NODES, 1 << 20, cursor,
	    sizeof(cursor) };

	walk_put(out, &v);
}

static void
put_walk_end(struct wbuf *out)
{
	walk_end_put(out, cursor, sizeof(cursor));
}

static void
put_verify(struct wbuf *out)
{
	verify_put(out, 100);
}

static void
put_finding(struct wbuf *out)
{
	struct finding v = { FINDING_JOURNAL, { "id" }, "journal/0001: crc" };

	finding_put(out, &v);
}

static void
put_verify_end(struct wbuf *out)
{
	struct verify_end v = { 1, 2, 3 };

	verify_end_put(out, &v);
}

static void
put_record(struct wbuf *out)
{
	struct record v = { RECORD_PARAMS, 7, body, sizeof(body) };

	record_put(out, &v);
}

static void
put_record_ok(struct wbuf *out)
{
	record_ok_put(out, 0x0102030405060708);
}

static void
put_record_get(struct wbuf *out)
{
	struct record_get v = { 0, 9 };

	record_get_put(out, &v);
}

static void
put_err(struct wbuf *out)
{
	proto_err_put(out, PROTO_ERR_LATER, "come again");
}

static void
put_pair(struct wbuf *out)
{
	struct pair v = { .commit = "c", .client_key = "k", .name = "web1" };

	pair_put(out, &v);
}

static void
put_pair_ok(struct wbuf *out)
{
	struct pair_ok v = { "p", "n" };

	pair_ok_put(out, &v);
}

static void
put_pair_open(struct wbuf *out)
{
	struct pair_open v = { "p", "n" };

	pair_open_put(out, &v);
}

static void
put_pair_state(struct wbuf *out)
{
	struct pair_state_msg v = { .state = PAIR_ACCEPTED };

	memset(v.token, 's', sizeof(v.token) - 1);
	pair_state_put(out, &v);
}

/* Some lengths are part of the protocol and stand here as numbers. */
static const struct sample {
	uint16_t	type;
	void		(*put)(struct wbuf *);
	size_t		len;		/* 0: not fixed */
} samples[] = {
	{ PROTO_HELLO,		put_hello,	48 },
	{ PROTO_HELLO_OK,	put_hello_ok,	0 },
	{ PROTO_AUTH,		put_auth,	80 },
	{ PROTO_AUTH_OK,	put_auth_ok,	0 },
	{ PROTO_ENROL,		put_enrol,	80 },
	{ PROTO_ENROL_OK,	put_enrol_ok,	0 },
	{ PROTO_PAIR,		put_pair,	32 + 32 + 2 + 4 },
	{ PROTO_PAIR_OK,	put_pair_ok,	48 },
	{ PROTO_PAIR_OPEN,	put_pair_open,	48 },
	{ PROTO_PAIR_POLL,	put_pair_open,	48 },
	{ PROTO_PAIR_STATE,	put_pair_state,	1 + 2 + 1099 },
	{ PROTO_RUN_BEGIN,	put_run_begin,	64 },
	{ PROTO_RUN_OK,		put_run_ok,	0 },
	{ PROTO_HAVE,		put_ids,	2 + 32 * 1024 },
	{ PROTO_HAVE_OK,	put_have_ok,	4 },
	{ PROTO_PUT,		put_object,	72 + 64 + 5 + 16 },
	{ PROTO_ACK,		put_ack,	16 },
	{ PROTO_FLUSHED,	put_ack,	16 },
	{ PROTO_COMMIT,		put_commit,	0 },
	{ PROTO_COMMITTED,	put_committed,	162 },
	{ PROTO_MISSING,	put_ids,	0 },
	{ PROTO_LIST,		put_list,	26 },
	{ PROTO_SNAPSHOT,	put_listed,	4 + 300 + 162 },
	{ PROTO_LIST_END,	put_more,	1 },
	{ PROTO_GET,		put_get,	2 + 33 * 1024 },
	{ PROTO_OBJ,		put_object,	0 },
	{ PROTO_GONE,		put_id_copy,	33 },
	{ PROTO_WALK,		put_walk,	0 },
	{ PROTO_WALK_END,	put_walk_end,	0 },
	{ PROTO_VERIFY,		put_verify,	1 },
	{ PROTO_FINDING,	put_finding,	0 },
	{ PROTO_VERIFY_END,	put_verify_end,	24 },
	{ PROTO_RECORD_ADD,	put_record,	11 + 8192 },
	{ PROTO_RECORD_OK,	put_record_ok,	8 },
	{ PROTO_RECORD_GET,	put_record_get,	9 },
	{ PROTO_RECORD,		put_record,	0 },
	{ PROTO_RECORD_END,	put_more,	1 },
	{ PROTO_WANTED,		put_ids,	0 },
	{ PROTO_BAD,		put_id_copy,	33 },
	{ PROTO_ERROR,		put_err,	0 },
};

static int
echo(uint16_t type, const uint8_t *p, size_t n, struct wbuf *out)
{
	struct rbuf in;

	wbuf_reset(out);
	rbuf_init(&in, p, n);
	return proto_echo(type, &in, out);
}

static int
fill_ids(void **state)
{
	(void)state;
	for (size_t i = 0; i < NITEMS(ids); i++)
		for (size_t j = 0; j < sizeof(ids[i].b); j++)
			ids[i].b[j] = (uint8_t)(i * 13 + i / 256 + j);
	return 0;
}

static void
every_frame_comes_back_as_it_went(void **state)
{
	struct wbuf a = WBUF_INIT(1 << 17), b = WBUF_INIT(1 << 17);

	(void)state;
	for (size_t i = 0; i < NITEMS(samples); i++) {
		wbuf_reset(&a);
		samples[i].put(&a);
		assert_int_equal(wbuf_rc(&a), RC_OK);
		if (samples[i].len != 0)
			assert_int_equal(a.len, samples[i].len);
		assert_int_equal(echo(samples[i].type, a.data, a.len, &b),
		    RC_OK);
		assert_int_equal(b.len, a.len);
		assert_memory_equal(b.data, a.data, a.len);
	}
	wbuf_free(&a);
	wbuf_free(&b);
}

static void
no_frame_may_be_cut_or_longer(void **state)
{
	struct wbuf a = WBUF_INIT(1 << 17), b = WBUF_INIT(1 << 17);

	(void)state;
	for (size_t i = 0; i < NITEMS(samples); i++) {
		size_t n, step;

		wbuf_reset(&a);
		samples[i].put(&a);
		n = a.len;
		step = n > 500 ? 97 : 1;
		for (size_t cut = 0; cut < n; cut += step)
			assert_int_equal(echo(samples[i].type, a.data, cut,
			    &b), RC_TRUNCATED);
		assert_int_equal(echo(samples[i].type, a.data, n - 1, &b),
		    RC_TRUNCATED);
		wbuf_u8(&a, 0);
		assert_int_equal(echo(samples[i].type, a.data, a.len, &b),
		    RC_TRAILING);
	}
	wbuf_free(&a);
	wbuf_free(&b);
}

static void
every_frame_fits_its_maximum(void **state)
{
	static const enum proto_state states[] = { PROTO_ST_HELLO,
	    PROTO_ST_AUTH, PROTO_ST_OPEN };
	struct wbuf a = WBUF_INIT(1 << 17);

	(void)state;
	for (size_t i = 0; i < NITEMS(samples); i++) {
		struct frame f = { .type = samples[i].type };
		int allowed = 0;

		wbuf_reset(&a);
		samples[i].put(&a);
		f.length = (uint32_t)a.len;
		for (size_t s = 0; s < NITEMS(states); s++)
			allowed += frame_allowed(&f, PROTO_C | PROTO_S,
			    states[s]) == RC_OK;
		assert_true(allowed > 0);
	}
	wbuf_free(&a);
}

static void
a_frame_head_has_twelve_bytes(void **state)
{
	struct frame f = { 0x01020304, 0x0506, 0x0708, 0x090a0b0c }, got;
	uint8_t p[PROTO_FRAME_LEN];

	(void)state;
	frame_put(p, &f);
	for (size_t i = 0; i < sizeof(p); i++)
		assert_int_equal(p[i], i + 1);
	frame_get(p, &got);
	assert_memory_equal(&got, &f, sizeof(f));
}

static void
side_state_flags_and_length_are_checked(void **state)
{
	struct frame f = { .type = PROTO_HELLO, .length = PROTO_PRELOGIN_MAX };

	(void)state;
	assert_int_equal(frame_allowed(&f, PROTO_C, PROTO_ST_HELLO), RC_OK);
	assert_int_equal(frame_allowed(&f, PROTO_S, PROTO_ST_HELLO), RC_PROTO);
	assert_int_equal(frame_allowed(&f, PROTO_C, PROTO_ST_OPEN), RC_STATE);
	f.length++;
	assert_int_equal(frame_allowed(&f, PROTO_C, PROTO_ST_HELLO), RC_LIMIT);
	f.length = 0;
	f.flags = 1;
	assert_int_equal(frame_allowed(&f, PROTO_C, PROTO_ST_HELLO), RC_PROTO);
	f.flags = 0;
	f.type = 0x00ff;
	assert_int_equal(frame_allowed(&f, PROTO_C, PROTO_ST_HELLO), RC_PROTO);
	f.type = PROTO_BYE;
	f.length = 1;
	assert_int_equal(frame_allowed(&f, PROTO_C, PROTO_ST_OPEN), RC_LIMIT);
	f.length = 0;
	assert_int_equal(frame_allowed(&f, PROTO_S, PROTO_ST_AUTH), RC_OK);
	/* The first byte of clear text is never that of a TLS record. */
	assert_true(PROTO_PRELOGIN_MAX < 0x01000000);
}

static void
an_error_is_not_said_twice(void **state)
{
	char says[PROTO_SAYS_MAX];

	(void)state;
	proto_error_says(PROTO_ERR_FULL, "", says);
	assert_string_equal(says, "no space left on the server");
	proto_error_says(PROTO_ERR_FULL, "no space left", says);
	assert_string_equal(says, "no space left on the server");
	proto_error_says(PROTO_ERR_PLAINTEXT,
	    "clear text is not served here: use TLS", says);
	assert_string_equal(says, "clear text is not served here: use TLS");
	proto_error_says(PROTO_ERR_LATER, "two sessions are open", says);
	assert_string_equal(says,
	    "busy, try again later (two sessions are open)");
}

static void
names_and_errors_have_their_texts(void **state)
{
	(void)state;
	assert_string_equal(proto_name(PROTO_HAVE_OK), "HAVE_OK");
	assert_string_equal(proto_name(0x7777), "?");
	assert_string_equal(proto_error_text(PROTO_ERR_QUOTA),
	    "quota exceeded");
	assert_non_null(proto_error_text(0xffff));
	assert_true(proto_error_retry(PROTO_ERR_LATER));
	assert_false(proto_error_retry(PROTO_ERR_AUTH));
	assert_false(proto_error_retry(0xffff));
}

static void
an_error_code_means_the_same_at_both_ends(void **state)
{
	(void)state;
	for (uint16_t code = 1; code <= PROTO_ERR_TIMEOUT; code++) {
		int rc = proto_error_rc(code);

		assert_int_not_equal(rc, RC_OK);
		assert_int_equal(proto_error_rc(proto_error_of(rc)), rc);
	}
	for (int rc = RC_READONLY; rc < RC_OK; rc++)
		assert_int_not_equal(proto_error_of(rc), 0);
	assert_int_equal(proto_error_of(RC_OK), 0);
	assert_int_equal(proto_error_rc(0), RC_OK);
	assert_int_equal(proto_error_rc(999), RC_PROTO);
	assert_int_equal(proto_error_of(-999), PROTO_ERR_INTERNAL);
	assert_int_equal(proto_error_of(RC_DENIED), PROTO_ERR_DENIED);
	assert_int_equal(proto_error_of(RC_CRC), PROTO_ERR_CORRUPT);
}

static void
error_texts_are_cut_and_cleaned(void **state)
{
	struct wbuf out = WBUF_INIT(1000);
	struct proto_err e;
	struct rbuf in;
	char big[600];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	big[1] = '\n';
	proto_err_put(&out, PROTO_ERR_FULL, big);
	assert_int_equal(wbuf_rc(&out), RC_OK);
	rbuf_init(&in, out.data, out.len);
	assert_int_equal(proto_err_parse(&in, &e), RC_OK);
	assert_int_equal(e.code, PROTO_ERR_FULL);
	assert_int_equal(e.retry, 0);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_memory_equal(e.text, "x?x", 3);
	wbuf_reset(&out);
	proto_err_put(&out, PROTO_ERR_LATER, NULL);
	assert_int_equal(out.len, 5);
	assert_int_equal(out.data[2], 1);
	wbuf_free(&out);
}

/* Writes the sample, changes one byte, parses. */
static int
changed(uint16_t type, size_t off, uint8_t byte)
{
	struct wbuf a = WBUF_INIT(1 << 17), b = WBUF_INIT(1 << 17);
	int rc = RC_OK;

	for (size_t i = 0; i < NITEMS(samples); i++) {
		if (samples[i].type != type)
			continue;
		samples[i].put(&a);
		assert_true(off < a.len);
		a.data[off] = byte;
		rc = echo(type, a.data, a.len, &b);
	}
	wbuf_free(&a);
	wbuf_free(&b);
	return rc;
}

static void
values_out_of_range_are_refused(void **state)
{
	(void)state;
	assert_int_equal(changed(PROTO_HELLO, 0, 'X'), RC_PROTO);
	assert_int_equal(changed(PROTO_HELLO, 5, 0), RC_RANGE);	/* min 0 */
	assert_int_equal(changed(PROTO_HELLO, 5, 4), RC_RANGE);	/* min > max */
	assert_int_equal(changed(PROTO_HELLO_OK, 1, 0), RC_RANGE);
	assert_int_equal(changed(PROTO_HELLO_OK, 50, '\n'), RC_RANGE);
	assert_int_equal(changed(PROTO_HELLO_OK, 2 + 8 + 32 + 4 + 2 + 9 + 32,
	    2), RC_RANGE);
	assert_int_equal(changed(PROTO_AUTH_OK, 16 + 16 + 4 + 24 + 1, 0),
	    RC_RANGE);
	assert_int_equal(changed(PROTO_ENROL_OK, 48 + 32, 2), RC_RANGE);
	assert_int_equal(changed(PROTO_RUN_OK, 0, 0x80), RC_RANGE);
	assert_int_equal(changed(PROTO_HAVE, 0, 0x05), RC_LIMIT);
	assert_int_equal(changed(PROTO_HAVE_OK, 0, 0x05), RC_LIMIT);
	assert_int_equal(changed(PROTO_HAVE_OK, 3, 0xc1), RC_RANGE);
	assert_int_equal(changed(PROTO_ACK, 15, 11), RC_RANGE);
	assert_int_equal(changed(PROTO_LIST, 25, 1), RC_RANGE);
	assert_int_equal(changed(PROTO_LIST, 24, 0), RC_RANGE);
	assert_int_equal(changed(PROTO_SNAPSHOT, 0, 1), RC_LIMIT);
	assert_int_equal(changed(PROTO_LIST_END, 0, 2), RC_RANGE);
	assert_int_equal(changed(PROTO_GET, 0, 0x05), RC_LIMIT);
	assert_int_equal(changed(PROTO_WALK, 32, 0), RC_RANGE);
	assert_int_equal(changed(PROTO_WALK, 32, 4), RC_RANGE);
	assert_int_equal(changed(PROTO_WALK, 41, 0xff), RC_LIMIT);
	assert_int_equal(changed(PROTO_VERIFY, 0, 101), RC_RANGE);
	assert_int_equal(changed(PROTO_FINDING, 0, 0), RC_RANGE);
	assert_int_equal(changed(PROTO_FINDING, 0, 5), RC_RANGE);
	assert_int_equal(changed(PROTO_RECORD, 0, 0), RC_RANGE);
	assert_int_equal(changed(PROTO_RECORD, 0, 4), RC_RANGE);
	assert_int_equal(changed(PROTO_RECORD, 9, 0x21), RC_LIMIT);
	assert_int_equal(changed(PROTO_RECORD_GET, 0, 4), RC_RANGE);
	assert_int_equal(changed(PROTO_ERROR, 1, 0), RC_RANGE);
	assert_int_equal(changed(PROTO_ERROR, 2, 2), RC_RANGE);
}

static void
too_many_ids_are_not_written(void **state)
{
	static const uint8_t have[PROTO_IDS_MAX + 1];
	struct wbuf out = WBUF_INIT(1 << 20);

	(void)state;
	ids_put(&out, ids, PROTO_IDS_MAX + 1);
	assert_int_equal(wbuf_rc(&out), RC_LIMIT);
	wbuf_reset(&out);
	get_put(&out, ids, PROTO_IDS_MAX + 1, 0);
	assert_int_equal(wbuf_rc(&out), RC_LIMIT);
	wbuf_reset(&out);
	have_ok_put(&out, have, PROTO_IDS_MAX + 1);
	assert_int_equal(wbuf_rc(&out), RC_LIMIT);
	wbuf_reset(&out);
	walk_end_put(&out, body, PROTO_CURSOR_MAX + 1);
	assert_int_equal(wbuf_rc(&out), RC_LIMIT);
	assert_int_equal(out.len, 0);
	wbuf_free(&out);
}

static void
have_answers_start_in_the_high_bits(void **state)
{
	struct wbuf out = WBUF_INIT(100);
	uint8_t have[5];
	struct rbuf in;
	size_t n;

	(void)state;
	put_have_ok(&out);
	assert_memory_equal(out.data, "\0\5\x1b\xc0", 4);
	rbuf_init(&in, out.data, out.len);
	assert_int_equal(have_ok_parse(&in, have, 4, &n), RC_LIMIT);
	rbuf_init(&in, out.data, out.len);
	assert_int_equal(have_ok_parse(&in, have, 5, &n), RC_OK);
	assert_int_equal(n, 5);
	assert_memory_equal(have, "\0\1\2\3\3", 5);
	wbuf_free(&out);
}

static void
signed_texts_are_exact(void **state)
{
	static const uint8_t a[32] = { 1 }, b[32] = { 2 }, c[32] = { 3 };
	struct hello_ok ok = { .version = 1, .id = "x", .sig = "not in it" };
	struct wbuf out = WBUF_INIT(1000), want = WBUF_INIT(1000);
	struct secret key = { { 4 } };
	uint8_t h[32], mac[32];

	(void)state;
	auth_sign_text(&out, a, b, c, a);
	assert_int_equal(out.len, 8 + 32 + 32 + 32 + 16);
	assert_memory_equal(out.data, "sg1 auth\1\0", 10);
	wbuf_reset(&out);

	assert_int_equal(hello_sign_text(&out, a, 32, &ok), RC_OK);
	wbuf_bytes(&want, "sg1 hello", 9);
	assert_int_equal(sha256(a, 32, h), RC_OK);
	wbuf_bytes(&want, h, 32);
	memset(ok.sig, 0, sizeof(ok.sig));
	hello_ok_put(&want, &ok);
	assert_int_equal(out.len, want.len);
	assert_memory_equal(out.data, want.data, want.len);

	assert_int_equal(hellos_hash(a, 32, b, 16, h), RC_OK);
	wbuf_reset(&want);
	wbuf_blob32(&want, a, 32);
	wbuf_blob32(&want, b, 16);
	assert_int_equal(sha256(want.data, want.len, mac), RC_OK);
	assert_memory_equal(h, mac, 32);

	assert_int_equal(enrol_mac(&key, a, b, c, mac), RC_OK);
	wbuf_reset(&want);
	wbuf_bytes(&want, "sg1 enrol", 9);
	wbuf_bytes(&want, a, 32);
	wbuf_bytes(&want, b, 32);
	wbuf_bytes(&want, c, 32);
	assert_int_equal(hmac_sha256(key.b, 32, want.data, want.len, h),
	    RC_OK);
	assert_memory_equal(h, mac, 32);
	wbuf_free(&out);
	wbuf_free(&want);
}

/* Known answers, computed apart: both ends of any implementation must show the
 * same digits. */
static void
a_pairing_code_is_made_of_all_that_both_know(void **state)
{
	static const struct pair_code base = { { 1 }, { 2 }, { 3 }, { 4 },
		{ 5 } };
	static const uint8_t known[32] = {
		0x69, 0x0b, 0x82, 0x3d, 0xd7, 0x24, 0x12, 0x86,
		0x88, 0xb7, 0xb2, 0xff, 0xac, 0x7b, 0x4a, 0xc0,
		0xdf, 0xb2, 0x57, 0x5c, 0x43, 0x01, 0x53, 0x0b,
		0xe4, 0x2a, 0x84, 0xa3, 0x51, 0xa9, 0xea, 0x84
	};
	char code[PROTO_PAIR_CODE_LEN + 1], other[sizeof(code)];
	struct pair_code c;
	uint8_t commit[32];

	(void)state;
	assert_int_equal(pair_code(&base, code), RC_OK);
	assert_string_equal(code, "8498-2877");
	for (size_t i = 0; i < sizeof(c); i++) {
		c = base;
		((uint8_t *)&c)[i] ^= 0x80;
		assert_int_equal(pair_code(&c, other), RC_OK);
		assert_string_not_equal(other, code);
	}
	assert_int_equal(pair_commit(base.client_nonce, base.client_key,
	    commit), RC_OK);
	assert_memory_equal(commit, known, sizeof(known));
}

static void
a_token_comes_with_acceptance_alone(void **state)
{
	struct wbuf out = WBUF_INIT(2048);
	struct pair_state_msg v;
	struct rbuf in;

	(void)state;
	for (int s = 0; s <= PAIR_STATE_MAX; s++) {
		for (int with = 0; with < 2; with++) {
			memset(&v, 0, sizeof(v));
			v.state = (uint8_t)s;
			if (with)
				strcpy(v.token, "sg1-x");
			wbuf_reset(&out);
			pair_state_put(&out, &v);
			rbuf_init(&in, out.data, out.len);
			assert_int_equal(pair_state_parse(&in, &v), s > 0 &&
			    s < PAIR_STATE_MAX && with == (s ==
			    PAIR_ACCEPTED) ? RC_OK : RC_RANGE);
		}
	}
	wbuf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frame_comes_back_as_it_went),
		cmocka_unit_test(no_frame_may_be_cut_or_longer),
		cmocka_unit_test(every_frame_fits_its_maximum),
		cmocka_unit_test(a_frame_head_has_twelve_bytes),
		cmocka_unit_test(side_state_flags_and_length_are_checked),
		cmocka_unit_test(an_error_is_not_said_twice),
		cmocka_unit_test(names_and_errors_have_their_texts),
		cmocka_unit_test(an_error_code_means_the_same_at_both_ends),
		cmocka_unit_test(error_texts_are_cut_and_cleaned),
		cmocka_unit_test(values_out_of_range_are_refused),
		cmocka_unit_test(too_many_ids_are_not_written),
		cmocka_unit_test(have_answers_start_in_the_high_bits),
		cmocka_unit_test(signed_texts_are_exact),
		cmocka_unit_test(a_pairing_code_is_made_of_all_that_both_know),
		cmocka_unit_test(a_token_comes_with_acceptance_alone),
	};

	return cmocka_run_group_tests(tests, fill_ids, NULL);
}
