#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/digest.h"

/* RFC 3720 B.4, bytes read as a number from the least significant on. */
static void
known_checksums_come_out(void **state)
{
	static const uint8_t iscsi_read[48] = {
		[0] = 0x01, [1] = 0xc0, [16] = 0x14, [22] = 0x04, [26] = 0x00,
		[27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02,
	};
	uint8_t b[32];

	(void)state;
	memset(b, 0, sizeof(b));
	assert_int_equal(crc32c(0, b, sizeof(b)), 0x8a9136aa);
	assert_int_equal(crc32c_tables(0, b, sizeof(b)), 0x8a9136aa);
	memset(b, 0xff, sizeof(b));
	assert_int_equal(crc32c(0, b, sizeof(b)), 0x62a8ab43);
	assert_int_equal(crc32c_tables(0, b, sizeof(b)), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, b, sizeof(b)), 0x46dd794e);
	assert_int_equal(crc32c_tables(0, b, sizeof(b)), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, b, sizeof(b)), 0x113fdb5c);
	assert_int_equal(crc32c(0, iscsi_read, sizeof(iscsi_read)),
	    0xd9963a56);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, NULL, 0), 0);
}

static uint32_t
bit_by_bit(const uint8_t *p, size_t n)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int b = 0; b < 8; b++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}

static void
both_ways_agree_at_every_length_and_place(void **state)
{
	enum { SIZE = 40000 };
	uint8_t *p = malloc(SIZE);

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < SIZE; i++)
		p[i] = (uint8_t)(i * 131 + i / 257);
	for (size_t n = 0; n < 2500; n += n < 70 ? 1 : 37)
		for (size_t at = 0; at < 3; at++) {
			uint32_t want = bit_by_bit(p + at, n);

			assert_int_equal(crc32c(0, p + at, n), want);
			assert_int_equal(crc32c_tables(0, p + at, n), want);
		}
	assert_int_equal(crc32c(0, p, SIZE), bit_by_bit(p, SIZE));
	assert_int_equal(crc32c_tables(0, p, SIZE), bit_by_bit(p, SIZE));
	free(p);
}

static void
a_sum_can_be_continued(void **state)
{
	uint8_t p[15000];
	uint32_t crc;

	(void)state;
	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)(i * 7);
	crc = crc32c(0, p, 13000);
	crc = crc32c(crc, p + 13000, 1);
	crc = crc32c(crc, p + 13001, sizeof(p) - 13001);
	assert_int_equal(crc, crc32c(0, p, sizeof(p)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_checksums_come_out),
		cmocka_unit_test(both_ways_agree_at_every_length_and_place),
		cmocka_unit_test(a_sum_can_be_continued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
