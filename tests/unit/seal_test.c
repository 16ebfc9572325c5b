#include "config.h"

#include "client/engine/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/engine/node.h"
#include "common/rc.h"

struct fixture {
	struct keys	 k;
	struct sealer	*s;
	uint8_t		*wire, *out;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	memset(f->k.m.b, 7, sizeof(f->k.m.b));
	assert_int_equal(keys_derive(&f->k), RC_OK);
	assert_int_equal(keys_epoch_new(&f->k), RC_OK);
	f->s = sealer_new(&f->k);
	f->wire = malloc(OBJECT_WIRE_MAX);
	f->out = malloc(OBJECT_RAW_MAX);
	assert_non_null(f->s);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	sealer_free(f->s);
	keys_clear(&f->k);
	free(f->wire);
	free(f->out);
	free(f);
	return 0;
}

static void
chunk_comes_back(struct fixture *f, const uint8_t *p, size_t n)
{
	struct object_id id;
	struct object o;
	size_t len, got;

	assert_int_equal(seal_chunk_id(f->s, p, n, &id), RC_OK);
	assert_int_equal(seal_object(f->s, OBJECT_CHUNK, 0, &id, NULL, 0, p, n,
	    f->wire, &len), RC_OK);
	assert_true(len <= seal_room(n, 0));
	assert_int_equal(object_parse(f->wire, len, &o), RC_OK);
	assert_int_equal(object_check_crc(f->wire, len), RC_OK);
	assert_int_equal(seal_open(f->s, &o, 1, f->out, &got), RC_OK);
	assert_int_equal(got, n);
	assert_memory_equal(f->out, p, n);
}

static void
chunks_of_any_content_come_back(void **state)
{
	struct fixture *f = *state;
	uint8_t *p = calloc(1, OBJECT_RAW_MAX);

	chunk_comes_back(f, p, 1);
	chunk_comes_back(f, p, OBJECT_RAW_MAX);		/* packs well */
	assert_int_equal(secret_random(p, 1 << 20), RC_OK);
	chunk_comes_back(f, p, 1 << 20);		/* does not */
	free(p);
}

static void
a_changed_byte_anywhere_is_found(void **state)
{
	static const uint8_t text[] = "some text, some text, some text";
	struct fixture *f = *state;
	struct object_id id, edge;
	struct object o;
	size_t len, got, i;
	int rc;

	memset(&edge, 9, sizeof(edge));
	assert_int_equal(seal_node_id(f->s, OBJECT_REPORT, 1, &edge, 1, text,
	    sizeof(text), &id), RC_OK);
	assert_int_equal(seal_object(f->s, OBJECT_REPORT, 1, &id, &edge, 1,
	    text, sizeof(text), f->wire, &len), RC_OK);
	for (i = 0; i < len; i++) {
		f->wire[i] ^= 0x40;
		rc = object_parse(f->wire, len, &o);
		if (rc == RC_OK)
			rc = seal_open(f->s, &o, 0, f->out, &got);
		if (i >= 68 && i < 72)		/* the crc is store's affair */
			assert_int_equal(object_check_crc(f->wire, len),
			    RC_CRC);
		else
			assert_int_not_equal(rc, RC_OK);
		f->wire[i] ^= 0x40;
	}
}

static void
the_same_plain_text_is_never_sealed_alike(void **state)
{
	struct fixture *f = *state;
	struct object_id id;
	uint8_t first[256];
	size_t a, b;

	assert_int_equal(seal_chunk_id(f->s, "x", 1, &id), RC_OK);
	assert_int_equal(seal_object(f->s, OBJECT_CHUNK, 0, &id, NULL, 0, "x",
	    1, f->wire, &a), RC_OK);
	memcpy(first, f->wire, a);
	assert_int_equal(seal_object(f->s, OBJECT_CHUNK, 0, &id, NULL, 0, "x",
	    1, f->wire, &b), RC_OK);
	assert_int_equal(a, b);
	assert_memory_not_equal(first, f->wire, a);
}

static void
content_never_has_the_id_of_a_node(void **state)
{
	static const uint8_t p[] = { 0x81, 0, 1, 0, 0, 'x' };
	struct fixture *f = *state;
	struct object_id a, b, c;

	assert_int_equal(seal_chunk_id(f->s, p, sizeof(p), &a), RC_OK);
	assert_int_equal(seal_node_id(f->s, 0x81, 1, NULL, 0, "x", 1, &b),
	    RC_OK);
	assert_int_equal(seal_file_id(f->s, p, sizeof(p), c.b), RC_OK);
	assert_memory_not_equal(&a, &b, sizeof(a));
	assert_memory_not_equal(&a, &c, sizeof(a));
}

static void
an_object_of_an_older_epoch_opens_and_of_a_foreign_one_does_not(void **state)
{
	struct fixture *f = *state;
	struct sealer *newer;
	struct object_id id;
	struct object o;
	size_t len, got;

	assert_int_equal(seal_chunk_id(f->s, "old", 3, &id), RC_OK);
	assert_int_equal(seal_object(f->s, OBJECT_CHUNK, 0, &id, NULL, 0,
	    "old", 3, f->wire, &len), RC_OK);
	assert_int_equal(keys_epoch_new(&f->k), RC_OK);
	newer = sealer_new(&f->k);
	assert_int_equal(object_parse(f->wire, len, &o), RC_OK);
	assert_int_equal(seal_open(newer, &o, 1, f->out, &got), RC_OK);
	f->k.nepochs = 1;
	sealer_free(newer);
	newer = sealer_new(&f->k);
	assert_int_equal(seal_open(newer, &o, 1, f->out, &got), RC_CRYPTO);
	sealer_free(newer);
}

static void
a_bundle_is_checked_by_itself(void **state)
{
	/* "one" "three", lengths, count */
	static const uint8_t plain[] = {
		'o', 'n', 'e', 't', 'h', 'r', 'e', 'e',
		0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0, 2,
	};
	struct bundle_member m[2] = { { .len = 3 }, { .len = 5 } };
	struct fixture *f = *state;
	struct object_id id;
	uint8_t bad[sizeof(plain)];
	size_t i;

	assert_int_equal(seal_file_id(f->s, "one", 3, m[0].fid), RC_OK);
	assert_int_equal(seal_file_id(f->s, "three", 5, m[1].fid), RC_OK);
	assert_int_equal(seal_bundle_id(f->s, m, 2, &id), RC_OK);
	assert_int_equal(bundle_check(f->s, &id, plain, sizeof(plain)), RC_OK);
	for (i = 0; i < sizeof(plain); i++) {
		memcpy(bad, plain, sizeof(plain));
		bad[i] ^= 1;
		assert_int_equal(bundle_check(f->s, &id, bad, sizeof(bad)),
		    RC_CORRUPT);
	}
	assert_int_equal(bundle_check(f->s, &id, plain, 3), RC_CORRUPT);
}

static void
blobs_are_bound_to_context_and_surroundings(void **state)
{
	static const uint8_t salt[OBJECT_SALT_LEN] = { 1 };
	struct fixture *f = *state;
	uint8_t sealed[4 + GCM_TAG_LEN], back[4];

	assert_int_equal(seal_blob(&f->k.wrap, "a", salt, "aad", 3, "text", 4,
	    sealed), RC_OK);
	assert_int_equal(open_blob(&f->k.wrap, "a", salt, "aad", 3, sealed,
	    sizeof(sealed), back), RC_OK);
	assert_memory_equal(back, "text", 4);
	assert_int_equal(open_blob(&f->k.wrap, "b", salt, "aad", 3, sealed,
	    sizeof(sealed), back), RC_CRYPTO);
	assert_int_equal(open_blob(&f->k.wrap, "a", salt, "aae", 3, sealed,
	    sizeof(sealed), back), RC_CRYPTO);
	assert_int_equal(open_blob(&f->k.wrap, "a", salt, "aad", 3, sealed, 3,
	    back), RC_CORRUPT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(chunks_of_any_content_come_back),
		T(a_changed_byte_anywhere_is_found),
		T(the_same_plain_text_is_never_sealed_alike),
		T(content_never_has_the_id_of_a_node),
		T(an_object_of_an_older_epoch_opens_and_of_a_foreign_one_does_not),
		T(a_bundle_is_checked_by_itself),
		T(blobs_are_bound_to_context_and_surroundings),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
