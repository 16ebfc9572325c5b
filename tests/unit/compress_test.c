#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zlib.h>

#include "common/compress.h"
#include "common/rc.h"
#include "common/secret.h"

#define BIG 600000

static uint8_t in[BIG], packed[BIG], out[BIG];
static struct compressor *c;

static int
start(void **state)
{
	(void)state;
	c = compressor_new();
	return c == NULL ? -1 : 0;
}

static int
stop(void **state)
{
	(void)state;
	compressor_free(c);
	compressor_free(NULL);
	return 0;
}

static void
fill_text(size_t n)
{
	static const char words[] = "the quick brown fox jumps over a dog. ";

	for (size_t i = 0; i < n; i++)
		in[i] = (uint8_t)words[(i * i / 77 + i) % (sizeof(words) - 1)];
}

static void
text_shrinks_and_comes_back(void **state)
{
	static const size_t sizes[] = { 200, 4095, 4096, 20000, BIG };
	enum codec codec;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fill_text(sizes[i]);
		assert_int_equal(compress_pack(c, in, sizes[i], packed, &codec,
		    &n), RC_OK);
		assert_true(n < sizes[i]);
		assert_int_not_equal(codec, CODEC_RAW);
#ifdef HAVE_ZSTD
		assert_int_equal(codec, CODEC_ZSTD);
#else
		assert_int_equal(codec, CODEC_ZLIB);
#endif
		memset(out, 0, sizes[i]);
		assert_int_equal(compress_unpack(c, codec, packed, n, out,
		    sizes[i]), RC_OK);
		assert_memory_equal(out, in, sizes[i]);
	}
}

static void
random_data_stays_as_it_is(void **state)
{
	static const size_t sizes[] = { 1, 17, 4095, 4096, 30000, BIG };
	enum codec codec;
	size_t n;

	(void)state;
	assert_int_equal(secret_random(in, sizeof(in)), RC_OK);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(compress_pack(c, in, sizes[i], packed, &codec,
		    &n), RC_OK);
		assert_int_equal(codec, CODEC_RAW);
		assert_int_equal(n, sizes[i]);
		assert_memory_equal(packed, in, n);
	}
}

static void
half_random_data_is_not_given_up(void **state)
{
	enum codec codec;
	size_t n;

	(void)state;
	fill_text(BIG);
	assert_int_equal(secret_random(in, BIG / 2), RC_OK);
	assert_int_equal(compress_pack(c, in, BIG, packed, &codec, &n), RC_OK);
	assert_int_not_equal(codec, CODEC_RAW);
	assert_true(n < BIG * 3 / 4);
}

static void
nothing_packs_to_nothing(void **state)
{
	enum codec codec;
	size_t n = 9;

	(void)state;
	assert_int_equal(compress_pack(c, NULL, 0, NULL, &codec, &n), RC_OK);
	assert_int_equal(codec, CODEC_RAW);
	assert_int_equal(n, 0);
	assert_int_equal(compress_unpack(c, codec, NULL, 0, NULL, 0), RC_OK);
}

/* Whatever the codec: exactly the length that was promised, or damage. */
static void
check_lengths(enum codec codec, size_t packed_len, size_t raw)
{
	assert_int_equal(compress_unpack(c, codec, packed, packed_len, out,
	    raw), RC_OK);
	assert_int_equal(compress_unpack(c, codec, packed, packed_len, out,
	    raw - 1), RC_CORRUPT);
	assert_int_equal(compress_unpack(c, codec, packed, packed_len, out,
	    raw + 1), RC_CORRUPT);
	assert_int_equal(compress_unpack(c, codec, packed, packed_len - 1, out,
	    raw), RC_CORRUPT);
	assert_int_equal(compress_unpack(c, codec, packed, packed_len, NULL,
	    0), RC_CORRUPT);
	assert_int_equal(compress_unpack(c, codec, packed, 0, out, raw),
	    RC_CORRUPT);
	packed[packed_len] = 0;
	assert_int_equal(compress_unpack(c, codec, packed, packed_len + 1, out,
	    raw), RC_CORRUPT);
	/* The context is good for more after all that. */
	assert_int_equal(compress_unpack(c, codec, packed, packed_len, out,
	    raw), RC_OK);
}

static void
what_any_effort_packed_comes_back(void **state)
{
	enum codec codec;
	size_t quick, n;

	(void)state;
	fill_text(20000);
	assert_int_equal(compress_pack(c, in, 20000, packed, &codec, &quick),
	    RC_OK);
	for (int e = EFFORT_MAX - 1; e >= 0; e--) {
		compress_effort(c, (enum effort)e);
		assert_int_equal(compress_pack(c, in, 20000, packed, &codec,
		    &n), RC_OK);
		assert_true(n < 20000);
		assert_int_equal(compress_unpack(c, codec, packed, n, out,
		    20000), RC_OK);
		assert_memory_equal(out, in, 20000);
	}
	assert_int_equal(n, quick);
}

static void
wrong_lengths_and_trailing_bytes_are_damage(void **state)
{
	enum codec codec;
	uLongf z = BIG;
	size_t n;

	(void)state;
	fill_text(50000);
	assert_int_equal(compress_pack(c, in, 50000, packed, &codec, &n),
	    RC_OK);
	check_lengths(codec, n, 50000);
	assert_memory_equal(out, in, 50000);
	/* Every build reads zlib: another one may have written it. */
	assert_int_equal(compress2(packed, &z, in, 50000, 1), Z_OK);
	check_lengths(CODEC_ZLIB, z, 50000);
	assert_memory_equal(out, in, 50000);
	check_lengths(CODEC_RAW, 100, 100);
}

static void
nonsense_is_damage_and_unknown_codecs_are_told(void **state)
{
	(void)state;
	assert_int_equal(secret_random(packed, 1000), RC_OK);
	packed[0] = 0xff;
	assert_int_equal(compress_unpack(c, CODEC_ZLIB, packed, 1000, out,
	    5000), RC_CORRUPT);
#ifdef HAVE_ZSTD
	assert_int_equal(compress_unpack(c, CODEC_ZSTD, packed, 1000, out,
	    5000), RC_CORRUPT);
#else
	assert_int_equal(compress_unpack(c, CODEC_ZSTD, packed, 1000, out,
	    5000), RC_UNSUPPORTED);
#endif
	assert_int_equal(compress_unpack(c, (enum codec)3, packed, 10, out,
	    10), RC_UNSUPPORTED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_shrinks_and_comes_back),
		cmocka_unit_test(random_data_stays_as_it_is),
		cmocka_unit_test(half_random_data_is_not_given_up),
		cmocka_unit_test(nothing_packs_to_nothing),
		cmocka_unit_test(what_any_effort_packed_comes_back),
		cmocka_unit_test(wrong_lengths_and_trailing_bytes_are_damage),
		cmocka_unit_test(
		    nonsense_is_damage_and_unknown_codecs_are_told),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
