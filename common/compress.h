#ifndef COMMON_COMPRESS_H
#define COMMON_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Codec numbers stand in every object (VAULT-FORMAT "Inside"). */
enum codec {
	CODEC_RAW = 0,
	CODEC_ZLIB = 1,
	CODEC_ZSTD = 2,
};

/* Contexts are reused, one thread at a time. */
struct compressor;
struct compressor *compressor_new(void);		/* NULL: no memory */
void	compressor_free(struct compressor *c);

/*
 * Pack n bytes into out (room for at least n).  Tells the codec used and how
 * long the result is; data that a cheap probe or the result shows not to
 * shrink comes back as CODEC_RAW, copied.
 */
int	compress_pack(struct compressor *c, const void *in, size_t n, void *out,
	    enum codec *codec, size_t *out_len);
/* How much time a shorter result is worth, from now on. */
enum effort {
	EFFORT_QUICK,		/* at first */
	EFFORT_MORE,
	EFFORT_MOST,		/* for what is small and stored again and again */
	EFFORT_MAX
};
void	compress_effort(struct compressor *c, enum effort e);
/*
 * Unpack to exactly raw_len bytes.  RC_CORRUPT when it holds more, less or
 * nonsense; RC_UNSUPPORTED for a codec this build lacks.  The caller has
 * checked raw_len against OBJECT_RAW_MAX before it made room.
 */
int	compress_unpack(struct compressor *c, enum codec codec, const void *in,
	    size_t n, void *out, size_t raw_len);

#endif
