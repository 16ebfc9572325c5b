#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/object.h"

/*
 * A record of a pack: store's prefix, then an object (or, with PACK_F_COPY, a
 * journal record; with PACK_F_GAP, nothing that means anything), then zeros to
 * a multiple of 8.  The tag is a random number of the pack: a client that hides
 * what looks like a record in its data cannot know it.
 */
struct prefix {
	uint32_t	tag;
	uint32_t	len;		/* of what follows, without the zeros */
	uint32_t	crc;		/* of the prefix, then what it covers */
	uint16_t	writer;
	uint16_t	flags;
	uint32_t	run;
	uint32_t	received;	/* vault clock, low 32 bits */
};

#define RECORD_LEN_MAX	(OBJECT_PREFIX_LEN + OBJECT_WIRE_MAX + 8)

/* p has what follows the prefix, at least the bytes the crc covers. */
void	prefix_put(uint8_t out[OBJECT_PREFIX_LEN], struct prefix *px,
	    const uint8_t *p);
void	prefix_get(const uint8_t p[OBJECT_PREFIX_LEN], struct prefix *px);
bool	prefix_crc_ok(const uint8_t raw[OBJECT_PREFIX_LEN],
	    const struct prefix *px, const uint8_t *p);
/* How many bytes after the prefix its crc covers. */
uint32_t prefix_covers(const struct prefix *px);
static inline uint64_t
record_size(uint32_t len)
{
	return ((uint64_t)OBJECT_PREFIX_LEN + len + 7) & ~7ull;
}

#endif
