#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/object.h"
#include "common/rc.h"
#include "common/secret.h"

/* An object on the wire; caller frees. */
static uint8_t *
make(const struct object_header *h, size_t *len)
{
	uint8_t *p;

	assert_true(object_wire_len(h, len));
	assert_non_null(p = malloc(*len));
	assert_int_equal(secret_random(p, *len), RC_OK);
	object_put_header(h, p);
	object_set_crc(p, *len);
	return p;
}

static const struct object_header node = {
	.version = OBJECT_VERSION, .type = OBJECT_DIR_LEAF,
	.algorithm = OBJECT_ALG_AES256GCM, .id_epoch = 1, .height = 0x0203,
	.edges = 3, .epoch = "epoch..", .id = { "an id" }, .salt = "salt",
	.body_len = 50,
};

static void
a_header_comes_back_as_it_went(void **state)
{
	struct object_header h = node, got;
	uint8_t p[OBJECT_HEADER_LEN];
	struct rbuf in = RBUF_OF(p);

	(void)state;
	h.crc = 0x01020304;
	object_put_header(&h, p);
	assert_int_equal(p[0], 1);
	assert_int_equal(p[4], 2);
	assert_int_equal(p[7], 3);
	assert_memory_equal(p + 8, "epoch..", 8);
	assert_memory_equal(p + 16, "an id", 5);
	assert_memory_equal(p + 48, "salt", 4);
	assert_memory_equal(p + 64, "\0\0\0\62\1\2\3\4", 8);
	assert_int_equal(object_get_header(&in, &got), RC_OK);
	assert_int_equal(rbuf_left(&in), 0);
	assert_memory_equal(&got, &h, sizeof(h));
	in.p = p;
	in.left = sizeof(p) - 1;
	assert_int_equal(object_get_header(&in, &got), RC_TRUNCATED);
	assert_int_equal(rbuf_left(&in), sizeof(p) - 1);
}

static void
a_node_parses_to_views_of_its_parts(void **state)
{
	struct object o;
	size_t len;
	uint8_t *p = make(&node, &len);

	(void)state;
	assert_int_equal(len, 72 + 96 + 50 + 16);
	assert_int_equal(object_parse(p, len, &o), RC_OK);
	assert_int_equal(o.h.height, 0x0203);
	assert_ptr_equal(o.edges, p + 72);
	assert_ptr_equal(o.body, p + 72 + 96);
	assert_ptr_equal(o.tag, p + 72 + 96 + 50);
	assert_int_equal(o.wire_len, len);
	free(p);
}

static void
the_checksum_covers_every_byte(void **state)
{
	size_t len;
	uint8_t *p = make(&node, &len);

	(void)state;
	assert_int_equal(object_check_crc(p, len), RC_OK);
	for (size_t i = 0; i < len; i++) {
		p[i] ^= 0x04;
		assert_int_equal(object_check_crc(p, len), RC_CRC);
		p[i] ^= 0x04;
	}
	assert_int_equal(object_check_crc(p, len), RC_OK);
	assert_int_equal(object_check_crc(p, len - 1), RC_CRC);
	assert_int_equal(object_check_crc(p, 71), RC_TRUNCATED);
	free(p);
}

static void
the_length_is_exact(void **state)
{
	struct object o = { .wire_len = 77 };
	size_t len;
	uint8_t *p = make(&node, &len);

	(void)state;
	for (size_t n = 0; n < len; n++)
		assert_int_equal(object_parse(p, n, &o), RC_TRUNCATED);
	p = realloc(p, len + 1);
	assert_non_null(p);
	assert_int_equal(object_parse(p, len + 1, &o), RC_TRAILING);
	assert_int_equal(o.wire_len, 77);
	free(p);
}

static int
parse_header(const struct object_header *h)
{
	static uint8_t p[OBJECT_WIRE_MIN + 4 * OBJECT_ID_LEN];
	struct object o;

	assert_int_equal(secret_random(p, sizeof(p)), RC_OK);
	object_put_header(h, p);
	return object_parse(p, OBJECT_WIRE_MIN +
	    (size_t)h->edges % 5 * OBJECT_ID_LEN, &o);
}

static void
data_and_nodes_have_their_shapes(void **state)
{
	struct object_header h = { .version = 1, .type = OBJECT_CHUNK };

	(void)state;
	assert_int_equal(parse_header(&h), RC_OK);
	h.height = 1;
	assert_int_equal(parse_header(&h), RC_PROTO);
	h.height = 0;
	h.edges = 1;
	assert_int_equal(parse_header(&h), RC_PROTO);
	h.type = OBJECT_MAP;
	assert_int_equal(parse_header(&h), RC_PROTO);	/* height 0 */
	h.height = 1;
	assert_int_equal(parse_header(&h), RC_OK);
	h.edges = 0;
	assert_int_equal(parse_header(&h), RC_OK);
	/* Types and algorithms to come are not the server's business. */
	h.type = 0xfe;
	h.algorithm = 9;
	assert_int_equal(parse_header(&h), RC_OK);
	h.version = 2;
	assert_int_equal(parse_header(&h), RC_VERSION);
}

static void
counts_and_lengths_are_bounded(void **state)
{
	struct object_header h = { .version = 1, .type = OBJECT_MAP,
	    .height = 1, .edges = OBJECT_EDGES_MAX + 1 };
	size_t len = 5;

	(void)state;
	assert_int_equal(parse_header(&h), RC_LIMIT);
	assert_false(object_wire_len(&h, &len));
	h.edges = 0;
	h.body_len = OBJECT_BODY_MAX + 1;
	assert_int_equal(parse_header(&h), RC_LIMIT);
	assert_false(object_wire_len(&h, &len));
	h.body_len = UINT32_MAX;
	assert_int_equal(parse_header(&h), RC_LIMIT);
	assert_int_equal(len, 5);
	h.body_len = OBJECT_BODY_MAX;
	h.edges = OBJECT_EDGES_MAX;
	assert_true(object_wire_len(&h, &len));
	assert_int_equal(len, OBJECT_WIRE_MAX);
}

static void
an_edge_named_twice_is_refused_wherever_it_is(void **state)
{
	struct object_header h = node;
	struct object o;
	uint8_t saved[OBJECT_ID_LEN], *p, *edges;
	size_t len;

	(void)state;
	h.edges = OBJECT_EDGES_MAX;
	p = make(&h, &len);
	edges = p + OBJECT_HEADER_LEN;
	assert_int_equal(object_parse(p, len, &o), RC_OK);
	for (size_t at = 1; at < h.edges; at += 451) {
		for (size_t of = 0; of < at; of += 307) {
			memcpy(saved, edges + at * 32, 32);
			memcpy(edges + at * 32, edges + of * 32, 32);
			assert_int_equal(object_parse(p, len, &o), RC_PROTO);
			edges[at * 32 + 31] ^= 1;	/* nearly the same */
			assert_int_equal(object_parse(p, len, &o), RC_OK);
			memcpy(edges + at * 32, saved, 32);
		}
	}
	free(p);
	h.edges = 2;
	p = make(&h, &len);
	memcpy(p + 72 + 32, p + 72, 32);
	assert_int_equal(object_parse(p, len, &o), RC_PROTO);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_comes_back_as_it_went),
		cmocka_unit_test(a_node_parses_to_views_of_its_parts),
		cmocka_unit_test(the_checksum_covers_every_byte),
		cmocka_unit_test(the_length_is_exact),
		cmocka_unit_test(data_and_nodes_have_their_shapes),
		cmocka_unit_test(counts_and_lengths_are_bounded),
		cmocka_unit_test(an_edge_named_twice_is_refused_wherever_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
