#include "config.h"

#include "server/store/record.h"

#include <string.h>

#include "common/digest.h"
#include "common/rbuf.h"
#include "server/store/format.h"

static void
put(uint8_t *p, uint32_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

uint32_t
prefix_covers(const struct prefix *px)
{
	if (px->flags & PACK_F_GAP)
		return 0;
	if (px->flags & PACK_F_COPY)
		return px->len;
	return px->len < OBJECT_HEADER_LEN ? px->len : OBJECT_HEADER_LEN;
}

static uint32_t
prefix_crc(const uint8_t raw[OBJECT_PREFIX_LEN], const struct prefix *px,
    const uint8_t *p)
{
	uint8_t copy[OBJECT_PREFIX_LEN];

	memcpy(copy, raw, sizeof(copy));
	memset(copy + 8, 0, 4);
	return crc32c(crc32c(0, copy, sizeof(copy)), p, prefix_covers(px));
}

void
prefix_put(uint8_t out[OBJECT_PREFIX_LEN], struct prefix *px,
    const uint8_t *p)
{
	put(out, px->tag, 4);
	put(out + 4, px->len, 4);
	put(out + 8, 0, 4);
	put(out + 12, px->writer, 2);
	put(out + 14, px->flags, 2);
	put(out + 16, px->run, 4);
	put(out + 20, px->received, 4);
	px->crc = prefix_crc(out, px, p);
	put(out + 8, px->crc, 4);
}

void
prefix_get(const uint8_t p[OBJECT_PREFIX_LEN], struct prefix *px)
{
	struct rbuf in;

	rbuf_init(&in, p, OBJECT_PREFIX_LEN);
	(void)rbuf_u32(&in, &px->tag);
	(void)rbuf_u32(&in, &px->len);
	(void)rbuf_u32(&in, &px->crc);
	(void)rbuf_u16(&in, &px->writer);
	(void)rbuf_u16(&in, &px->flags);
	(void)rbuf_u32(&in, &px->run);
	(void)rbuf_u32(&in, &px->received);
}

bool
prefix_crc_ok(const uint8_t raw[OBJECT_PREFIX_LEN], const struct prefix *px,
    const uint8_t *p)
{
	return prefix_crc(raw, px, p) == px->crc;
}
