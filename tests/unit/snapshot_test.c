#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"
#include "common/snapshot.h"

static const uint8_t sealed_bytes[100] = "sealed";

static struct snapshot_client
example(void)
{
	struct snapshot_client s = {
		.flags = SNAPSHOT_F_PARTIAL, .vault = "vault", .client = "cl",
		.job = "job", .label = "home, weekly", .sequence = 42,
		.previous = "prev", .params = "params", .edge_count = 2,
		.edge = { { "root" }, { "report" } }, .epoch = "epoch",
		.salt = "salt", .sealed = sealed_bytes,
		.sealed_len = sizeof(sealed_bytes),
	};

	memset(s.sig, 0x77, sizeof(s.sig));
	return s;
}

/* The whole client part, signature and all. */
static void
put_whole(struct wbuf *out, const struct snapshot_client *s)
{
	wbuf_reset(out);
	snapshot_put_client(out, s, NULL);
	wbuf_bytes(out, s->sig, sizeof(s->sig));
}

static void
the_client_part_comes_back(void **state)
{
	struct snapshot_client s = example(), got;
	struct wbuf out = WBUF_INIT(SNAPSHOT_CLIENT_MAX);

	(void)state;
	put_whole(&out, &s);
	assert_int_equal(wbuf_rc(&out), RC_OK);
	assert_memory_equal(out.data, "SGSNP1\n", 8);
	assert_int_equal(snapshot_get_client(out.data, out.len, &got), RC_OK);
	assert_int_equal(got.sealed_len, sizeof(sealed_bytes));
	assert_memory_equal(got.sealed, sealed_bytes, sizeof(sealed_bytes));
	got.sealed = s.sealed;
	assert_memory_equal(&got, &s, sizeof(s));
	wbuf_free(&out);
}

static void
the_aad_ends_before_the_sealed_length(void **state)
{
	struct snapshot_client s = example();
	struct wbuf a = WBUF_INIT(4096), b = WBUF_INIT(4096);
	size_t n = 0, m = 0;

	(void)state;
	wbuf_u32(&a, 0);		/* it need not be the first */
	snapshot_put_client(&a, &s, &n);
	s.sealed_len = 0;
	snapshot_put_client(&b, &s, &m);
	assert_int_equal(n, m);
	assert_int_equal(b.len, m + 4);
	assert_int_equal(a.len, 4 + n + 4 + sizeof(sealed_bytes));
	assert_memory_equal(a.data + 4, b.data, n);
	wbuf_free(&a);
	wbuf_free(&b);
}

static void
every_cut_and_every_byte_more_is_refused(void **state)
{
	struct snapshot_client s = example(), got = { .sequence = 5 };
	struct wbuf out = WBUF_INIT(4096);

	(void)state;
	put_whole(&out, &s);
	for (size_t n = 0; n < out.len; n++)
		assert_int_equal(snapshot_get_client(out.data, n, &got),
		    RC_TRUNCATED);
	wbuf_u8(&out, 0);
	assert_int_equal(snapshot_get_client(out.data, out.len, &got),
	    RC_TRAILING);
	assert_int_equal(got.sequence, 5);
	wbuf_free(&out);
}

static int
parse_at(struct wbuf *out, size_t off, uint8_t byte)
{
	struct snapshot_client s = example(), got;

	put_whole(out, &s);
	assert_true(off < out->len);
	out->data[off] = byte;
	return snapshot_get_client(out->data, out->len, &got);
}

static void
fields_out_of_range_are_refused(void **state)
{
	struct wbuf out = WBUF_INIT(4096);
	const size_t label = 60, edges = label + 2 + 12 + 8 + 32 + 32;

	(void)state;
	assert_int_equal(parse_at(&out, 0, 'X'), RC_PROTO);
	assert_int_equal(parse_at(&out, 9, 2), RC_VERSION);
	assert_int_equal(parse_at(&out, 11, 2), RC_RANGE);
	assert_int_equal(parse_at(&out, label + 2, '\n'), RC_RANGE);
	assert_int_equal(parse_at(&out, label + 2, 0x7f), RC_RANGE);
	assert_int_equal(parse_at(&out, label + 2, 0), RC_RANGE);
	assert_int_equal(parse_at(&out, label + 1, 64), RC_LIMIT);
	assert_int_equal(parse_at(&out, edges, 2), RC_OK);
	assert_int_equal(parse_at(&out, edges, 0), RC_RANGE);
	assert_int_equal(parse_at(&out, edges, 5), RC_RANGE);
	wbuf_free(&out);
}

static void
what_could_not_be_read_is_not_written(void **state)
{
	struct snapshot_client s = example();
	struct wbuf out = WBUF_INIT(1 << 20);

	(void)state;
	s.label[0] = '\0';
	put_whole(&out, &s);
	assert_int_equal(wbuf_rc(&out), RC_RANGE);
	s = example();
	s.edge_count = 5;
	put_whole(&out, &s);
	assert_int_equal(wbuf_rc(&out), RC_RANGE);
	s = example();
	s.sealed_len = SNAPSHOT_SEALED_MAX + 1;
	put_whole(&out, &s);
	assert_int_equal(wbuf_rc(&out), RC_RANGE);
	wbuf_free(&out);
}

static void
the_sealed_part_is_bounded_on_both_sides(void **state)
{
	struct snapshot_client s = example(), got;
	struct wbuf out = WBUF_INIT(1 << 20);
	uint8_t *big = calloc(1, SNAPSHOT_SEALED_MAX + 1);

	(void)state;
	assert_non_null(big);
	s.sealed = big;
	s.sealed_len = SNAPSHOT_SEALED_MAX;
	put_whole(&out, &s);
	assert_true(out.len <= SNAPSHOT_CLIENT_MAX);
	assert_int_equal(snapshot_get_client(out.data, out.len, &got), RC_OK);
	s.sealed_len = GCM_TAG_LEN - 1;
	put_whole(&out, &s);
	assert_int_equal(snapshot_get_client(out.data, out.len, &got),
	    RC_RANGE);
	assert_int_equal(snapshot_get_client(big, SNAPSHOT_CLIENT_MAX + 1,
	    &got), RC_LIMIT);
	free(big);
	wbuf_free(&out);
}

static void
the_server_part_and_its_receipt(void **state)
{
	struct snapshot_server s = {
		.wall_ns = -5, .vault_clock = 1, .vault_seq = 2, .job_seq = 3,
		.lock_until = 4, .closure_bytes = UINT64_MAX,
		.closure_objects = 6, .new_bytes = 7, .writer = 8,
		.previous = "previous", .sig = "signature",
	}, got;
	struct object_id id = { "snapshot" };
	struct wbuf out = WBUF_INIT(1000), text = WBUF_INIT(1000);
	struct rbuf in;

	(void)state;
	snapshot_put_server(&out, &s);
	assert_int_equal(out.len, SNAPSHOT_SERVER_LEN);
	rbuf_init(&in, out.data, out.len - 1);
	assert_int_equal(snapshot_get_server(&in, &got), RC_TRUNCATED);
	assert_int_equal(rbuf_left(&in), SNAPSHOT_SERVER_LEN - 1);
	rbuf_init(&in, out.data, out.len);
	assert_int_equal(snapshot_get_server(&in, &got), RC_OK);
	assert_true(got.wall_ns == -5);
	assert_true(got.closure_bytes == UINT64_MAX);
	assert_int_equal(got.writer, 8);
	assert_memory_equal(got.previous, s.previous, 32);
	assert_memory_equal(got.sig, s.sig, 64);

	wbuf_u32(&text, 1);		/* the text starts anew */
	snapshot_receipt_text(&text, (const uint8_t *)"0123456789abcdef", &id,
	    &s);
	assert_int_equal(text.len, 11 + 16 + 32 + SNAPSHOT_SERVER_LEN - 64);
	assert_memory_equal(text.data, "sg1 receipt0123456789abcdefsnapshot",
	    35);
	assert_memory_equal(text.data + 59, out.data, SNAPSHOT_SERVER_LEN - 64);
	wbuf_free(&out);
	wbuf_free(&text);
}

static void
the_id_is_the_hash_of_all(void **state)
{
	struct object_id id;
	uint8_t want[32];

	(void)state;
	assert_int_equal(snapshot_id(sealed_bytes, 100, &id), RC_OK);
	assert_int_equal(sha256(sealed_bytes, 100, want), RC_OK);
	assert_memory_equal(id.b, want, 32);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_client_part_comes_back),
		cmocka_unit_test(the_aad_ends_before_the_sealed_length),
		cmocka_unit_test(every_cut_and_every_byte_more_is_refused),
		cmocka_unit_test(fields_out_of_range_are_refused),
		cmocka_unit_test(what_could_not_be_read_is_not_written),
		cmocka_unit_test(the_sealed_part_is_bounded_on_both_sides),
		cmocka_unit_test(the_server_part_and_its_receipt),
		cmocka_unit_test(the_id_is_the_hash_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
