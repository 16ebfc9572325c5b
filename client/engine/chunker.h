#ifndef CLIENT_ENGINE_CHUNKER_H
#define CLIENT_ENGINE_CHUNKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/secret.h"

/*
 * Where a large file is cut: gear hash with normalised chunking (Xia et al.,
 * "FastCDC", USENIX ATC 2016).  The table comes from the vault's `cdc` key, so
 * that lengths on the wire tell nobody which known file this is.
 */
#define CHUNKER_NUMBER	1
#define CHUNKER_MIN	(128u << 10)
#define CHUNKER_AVG	(512u << 10)
#define CHUNKER_MAX	(2048u << 10)

/* Small files, FORMAT "Ids". */
#define BUNDLE_SMALL	(256u << 10)	/* files below this are bundled */
#define BUNDLE_TARGET	(512u << 10)
#define BUNDLE_MAX	(1024u << 10)

struct chunker {
	uint64_t	gear[256];
};

int	chunker_init(struct chunker *c, const struct secret *cdc);

/*
 * Length of the first chunk of these bytes.  `last`: nothing follows them;
 * otherwise n must be at least CHUNKER_MAX.
 */
size_t	chunker_cut(const struct chunker *c, const uint8_t *p, size_t n);

/* Does a bundle end behind a file with this content id and length? */
bool	bundle_closes(const uint8_t *fid, uint32_t len);

#endif
