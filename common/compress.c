#include "config.h"

#include "common/compress.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "common/rc.h"

#define PROBE_MIN	4096u		/* smaller inputs are just tried */
#define PROBE_BLOCKS	16u
#define PROBE_BLOCK	1024u

#ifdef HAVE_ZSTD
static const int levels[EFFORT_MAX] = { 1, 3, 9 };
#else
static const int levels[EFFORT_MAX] = { 1, 3, 6 };
#endif

struct compressor {
#ifdef HAVE_ZSTD
	ZSTD_CCtx	*zc;
	ZSTD_DCtx	*zd;
#endif
	z_stream	 deflate, inflate;
	bool		 deflate_made, inflate_made;
	int		 level;
};

struct compressor *
compressor_new(void)
{
	struct compressor *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	c->level = levels[EFFORT_QUICK];
#ifdef HAVE_ZSTD
	if ((c->zc = ZSTD_createCCtx()) == NULL ||
	    (c->zd = ZSTD_createDCtx()) == NULL) {
		compressor_free(c);
		return NULL;
	}
#endif
	return c;
}

void
compressor_free(struct compressor *c)
{
	if (c == NULL)
		return;
#ifdef HAVE_ZSTD
	ZSTD_freeCCtx(c->zc);
	ZSTD_freeDCtx(c->zd);
#endif
	if (c->deflate_made)
		deflateEnd(&c->deflate);
	if (c->inflate_made)
		inflateEnd(&c->inflate);
	free(c);
}

/*
 * Pictures, films and archives use all byte values about equally often.  Of two
 * random bytes of a sample, 1 in 256 pairs is then equal; at 3 % more than that
 * an entropy coder could win half a percent.  Text is at 15 times as much.
 * What repeats only at a distance while looking random is given up.
 */
static bool
looks_random(const uint8_t *p, size_t n)
{
	uint32_t count[256] = { 0 };
	uint64_t squares = 0, total = PROBE_BLOCKS * PROBE_BLOCK;
	size_t step;

	if (n < PROBE_BLOCKS * PROBE_BLOCK) {
		for (size_t i = 0; i < n; i++)
			count[p[i]]++;
		total = n;
	} else {
		step = (n - PROBE_BLOCK) / (PROBE_BLOCKS - 1);
		for (size_t b = 0; b < PROBE_BLOCKS; b++)
			for (size_t i = 0; i < PROBE_BLOCK; i++)
				count[p[b * step + i]]++;
	}
	for (size_t i = 0; i < 256; i++)
		squares += (uint64_t)count[i] * count[i];
	/* Chance alone adds 255 +- 23 times total to the left side. */
	return squares * 256 < total * total + total * total / 32 +
	    total * 330;
}

#ifdef HAVE_ZSTD
static int
pack(struct compressor *c, const void *in, size_t n, void *out, size_t *out_len,
    enum codec *codec)
{
	*codec = CODEC_ZSTD;
	*out_len = ZSTD_compressCCtx(c->zc, out, n, in, n, c->level);
	return ZSTD_isError(*out_len) ? RC_FULL : RC_OK;
}
#else
static int
pack(struct compressor *c, const void *in, size_t n, void *out, size_t *out_len,
    enum codec *codec)
{
	z_stream *z = &c->deflate;

	if (!c->deflate_made) {
		if (deflateInit(z, c->level) != Z_OK)
			return RC_NOMEM;
		c->deflate_made = true;
	} else if (deflateReset(z) != Z_OK) {
		return RC_CORRUPT;
	}
	/* Between the reset and the first byte this flushes nothing. */
	if (deflateParams(z, c->level, Z_DEFAULT_STRATEGY) != Z_OK)
		return RC_CORRUPT;
	z->next_in = (Bytef *)(uintptr_t)in;
	z->avail_in = (uInt)n;
	z->next_out = out;
	z->avail_out = (uInt)n;
	if (deflate(z, Z_FINISH) != Z_STREAM_END)
		return RC_FULL;			/* no room: does not shrink */
	*codec = CODEC_ZLIB;
	*out_len = n - z->avail_out;
	return RC_OK;
}
#endif

void
compress_effort(struct compressor *c, enum effort e)
{
	c->level = levels[e];
}

int
compress_pack(struct compressor *c, const void *in, size_t n, void *out,
    enum codec *codec, size_t *out_len)
{
	int rc = RC_FULL;

	if (n > INT_MAX)
		return RC_LIMIT;
	if (n > 0 && (n < PROBE_MIN || !looks_random(in, n)))
		rc = pack(c, in, n, out, out_len, codec);
	if (rc == RC_NOMEM)
		return rc;
	/* A gain under 1.5 % is not worth the time of every later reader. */
	if (rc == RC_OK && *out_len < n - n / 64)
		return RC_OK;
	if (n > 0)
		memcpy(out, in, n);
	*codec = CODEC_RAW;
	*out_len = n;
	return RC_OK;
}

static int
unpack_zlib(struct compressor *c, const void *in, size_t n, void *out,
    size_t raw_len)
{
	z_stream *z = &c->inflate;
	uint8_t none;

	if (n > INT_MAX || raw_len > INT_MAX)
		return RC_LIMIT;
	if (!c->inflate_made) {
		if (inflateInit(z) != Z_OK)
			return RC_NOMEM;
		c->inflate_made = true;
	} else if (inflateReset(z) != Z_OK) {
		return RC_CORRUPT;
	}
	z->next_in = (Bytef *)(uintptr_t)in;
	z->avail_in = (uInt)n;
	z->next_out = raw_len > 0 ? out : &none;
	z->avail_out = (uInt)raw_len;
	switch (inflate(z, Z_FINISH)) {
	case Z_STREAM_END:
		return z->avail_in == 0 && z->avail_out == 0 ? RC_OK :
		    RC_CORRUPT;
	case Z_MEM_ERROR:
		return RC_NOMEM;
	default:
		return RC_CORRUPT;
	}
}

#ifdef HAVE_ZSTD
static int
unpack_zstd(struct compressor *c, const void *in, size_t n, void *out,
    size_t raw_len)
{
	uint8_t none;
	size_t got;

	got = ZSTD_decompressDCtx(c->zd, raw_len > 0 ? out : &none, raw_len,
	    in, n);
	return !ZSTD_isError(got) && got == raw_len ? RC_OK : RC_CORRUPT;
}
#endif

int
compress_unpack(struct compressor *c, enum codec codec, const void *in,
    size_t n, void *out, size_t raw_len)
{
	switch (codec) {
	case CODEC_RAW:
		if (n != raw_len)
			return RC_CORRUPT;
		if (n > 0)
			memcpy(out, in, n);
		return RC_OK;
	case CODEC_ZLIB:
		return unpack_zlib(c, in, n, out, raw_len);
	case CODEC_ZSTD:
#ifdef HAVE_ZSTD
		return unpack_zstd(c, in, n, out, raw_len);
#else
		return RC_UNSUPPORTED;
#endif
	}
	return RC_UNSUPPORTED;
}
