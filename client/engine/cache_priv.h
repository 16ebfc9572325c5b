#ifndef CLIENT_ENGINE_CACHE_PRIV_H
#define CLIENT_ENGINE_CACHE_PRIV_H

#include "client/engine/cache.h"

/* Shared by the reader (cache.c) and the writer (cacheout.c). */
#define CACHE_MAGIC		0x534743535441540aull	/* "SGCSTAT\n" */
#define CACHE_VERSION		1
#define CACHE_HEADER_LEN	(8 + 2 + 8 + 16 + 32 * 3 + 12 + 8 + 8 + 4)
#define CACHE_SLOT		512u		/* a header; the file has two */
#define CACHE_HEADERS_LEN	(2 * CACHE_SLOT)
#define CACHE_PIECE		32768u		/* a piece ends when it is longer */
#define CACHE_PIECE_MAX		(CACHE_PIECE + 16384u)
#define CACHE_INDEX_MAX		(64u << 20)

#define CACHE_F_RACY		0x01
#define CACHE_F_XATTRS		0x02
#define CACHE_F_RDEV		0x04
#define CACHE_F_LINK		0x08

struct cache_header {
	uint64_t		generation;
	struct cache_key	key;
	struct cache_at		root;
	uint64_t		end;		/* of what belongs to it */
	uint64_t		fresh;		/* its length when it was written anew */
};

const struct cache_header *cache_header(const struct cache *c);

#endif
