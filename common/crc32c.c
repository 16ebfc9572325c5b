#include "config.h"

#include "common/digest.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define HAVE_CRC_INSTRUCTION 1
#endif

/*
 * The instruction takes 8 bytes in 3 cycles but can start one each cycle, so
 * long inputs are cut in three lanes that run side by side and are joined by
 * "append as many zero bytes as the lane is long", which is linear over GF(2)
 * and therefore a table per byte of the state.
 */
#define POLYNOMIAL	0x82f63b78u	/* Castagnoli, reflected */
#define LONG_LANE	4096		/* bytes; powers of two, over 8 */
#define SHORT_LANE	256

typedef uint32_t lane_table[4][256];

static struct {
	uint32_t	slice[8][256];	/* byte at distance 0..7 from the end */
	lane_table	lane_long, lane_short;
	bool		hardware;
} tables;
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

/* A matrix over GF(2), a column per bit of the state. */
static uint32_t
matrix_apply(const uint32_t m[32], uint32_t v)
{
	uint32_t r = 0;

	for (int i = 0; v != 0; i++, v >>= 1)
		if (v & 1)
			r ^= m[i];
	return r;
}

static void
lane_table_make(lane_table t, size_t lane)
{
	uint32_t m[32], sq[32];

	for (int i = 0; i < 32; i++) {		/* one zero byte */
		uint32_t v = 1u << i;

		m[i] = tables.slice[0][v & 0xff] ^ v >> 8;
	}
	for (; lane > 1; lane /= 2) {		/* twice as many each time */
		for (int i = 0; i < 32; i++)
			sq[i] = matrix_apply(m, m[i]);
		memcpy(m, sq, sizeof(m));
	}
	for (int k = 0; k < 4; k++)
		for (uint32_t b = 0; b < 256; b++)
			t[k][b] = matrix_apply(m, b << (8 * k));
}

static void
tables_make(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t v = b;

		for (int i = 0; i < 8; i++)
			v = v & 1 ? v >> 1 ^ POLYNOMIAL : v >> 1;
		tables.slice[0][b] = v;
	}
	for (int k = 1; k < 8; k++)
		for (uint32_t b = 0; b < 256; b++) {
			uint32_t v = tables.slice[k - 1][b];

			tables.slice[k][b] = tables.slice[0][v & 0xff] ^ v >> 8;
		}
	lane_table_make(tables.lane_long, LONG_LANE);
	lane_table_make(tables.lane_short, SHORT_LANE);
#ifdef HAVE_CRC_INSTRUCTION
	tables.hardware = __builtin_cpu_supports("sse4.2");
#endif
}

static uint32_t
load32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

static uint32_t
crc_tables(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n >= 8; p += 8, n -= 8) {
		uint32_t a = crc ^ load32(p), b = load32(p + 4);

		crc = tables.slice[7][a & 0xff] ^
		    tables.slice[6][a >> 8 & 0xff] ^
		    tables.slice[5][a >> 16 & 0xff] ^
		    tables.slice[4][a >> 24] ^
		    tables.slice[3][b & 0xff] ^
		    tables.slice[2][b >> 8 & 0xff] ^
		    tables.slice[1][b >> 16 & 0xff] ^
		    tables.slice[0][b >> 24];
	}
	for (; n > 0; p++, n--)
		crc = tables.slice[0][(crc ^ *p) & 0xff] ^ crc >> 8;
	return crc;
}

#ifdef HAVE_CRC_INSTRUCTION
static uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));	/* x86 only: little-endian is right */
	return v;
}

static uint32_t
lane_shift(lane_table t, uint32_t crc)
{
	return t[0][crc & 0xff] ^ t[1][crc >> 8 & 0xff] ^
	    t[2][crc >> 16 & 0xff] ^ t[3][crc >> 24];
}

static uint32_t __attribute__((target("sse4.2")))
crc_lanes(uint32_t crc, const uint8_t *p, size_t lane, lane_table t)
{
	uint64_t a = crc, b = 0, c = 0;

	for (size_t i = 0; i < lane; i += 8) {
		a = _mm_crc32_u64(a, load64(p + i));
		b = _mm_crc32_u64(b, load64(p + lane + i));
		c = _mm_crc32_u64(c, load64(p + 2 * lane + i));
	}
	b ^= lane_shift(t, (uint32_t)a);
	return (uint32_t)c ^ lane_shift(t, (uint32_t)b);
}

static uint32_t __attribute__((target("sse4.2")))
crc_instruction(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n >= 3 * LONG_LANE; p += 3 * LONG_LANE, n -= 3 * LONG_LANE)
		crc = crc_lanes(crc, p, LONG_LANE, tables.lane_long);
	for (; n >= 3 * SHORT_LANE; p += 3 * SHORT_LANE, n -= 3 * SHORT_LANE)
		crc = crc_lanes(crc, p, SHORT_LANE, tables.lane_short);
	for (; n >= 8; p += 8, n -= 8)
		crc = (uint32_t)_mm_crc32_u64(crc, load64(p));
	for (; n > 0; p++, n--)
		crc = _mm_crc32_u8(crc, *p);
	return crc;
}
#endif

uint32_t
crc32c_tables(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&tables_once, tables_make);
	return ~crc_tables(~crc, p, n);
}

uint32_t
crc32c(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&tables_once, tables_make);
#ifdef HAVE_CRC_INSTRUCTION
	if (tables.hardware)
		return ~crc_instruction(~crc, p, n);
#endif
	return ~crc_tables(~crc, p, n);
}
