#include "config.h"

#include "client/engine/chunker.h"

#include "common/digest.h"
#include "common/rc.h"

/*
 * Normalised chunking, level 2: before the average a cut needs two bits more
 * than log2(CHUNKER_AVG - CHUNKER_MIN), behind it two less.  The bits are the
 * top ones, which depend on the last 64 bytes.
 */
#define MASK_BEFORE	(~0ull << (64 - 20))
#define MASK_AFTER	(~0ull << (64 - 16))

/* Table entry i is the first 8 bytes of HMAC(cdc, i). */
int
chunker_init(struct chunker *c, const struct secret *cdc)
{
	uint8_t mac[SHA256_LEN], in;
	int i, j, rc;

	for (i = 0; i < 256; i++) {
		in = (uint8_t)i;
		if ((rc = hmac_sha256(cdc->b, sizeof(cdc->b), &in, 1, mac)) !=
		    RC_OK)
			return rc;
		c->gear[i] = 0;
		for (j = 0; j < 8; j++)
			c->gear[i] = c->gear[i] << 8 | mac[j];
	}
	return RC_OK;
}

size_t
chunker_cut(const struct chunker *c, const uint8_t *p, size_t n)
{
	uint64_t h = 0;
	size_t i, mid;

	if (n <= CHUNKER_MIN)
		return n;
	if (n > CHUNKER_MAX)
		n = CHUNKER_MAX;
	mid = n < CHUNKER_AVG ? n : CHUNKER_AVG;
	for (i = CHUNKER_MIN - 64; i < CHUNKER_MIN; i++)
		h = (h << 1) + c->gear[p[i]];
	for (; i < mid; i++) {
		h = (h << 1) + c->gear[p[i]];
		if ((h & MASK_BEFORE) == 0)
			return i + 1;
	}
	for (; i < n; i++) {
		h = (h << 1) + c->gear[p[i]];
		if ((h & MASK_AFTER) == 0)
			return i + 1;
	}
	return n;
}

/* fid[0..7] < 2^64 * len / target: on average once in `target` bytes. */
bool
bundle_closes(const uint8_t *fid, uint32_t len)
{
	uint64_t v = 0;
	int i;

	if (len >= BUNDLE_TARGET)
		return true;
	for (i = 0; i < 8; i++)
		v = v << 8 | fid[i];
	return v < (UINT64_MAX / BUNDLE_TARGET) * len;
}
