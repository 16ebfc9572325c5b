#ifndef STORE_JRECORD_H
#define STORE_JRECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A record of the journal: 64 bytes of header, the body, zeros to a multiple
 * of 8.  `synced` says how much of the segment was known to be on stable
 * storage when the record was written: a hole before that place is damage, a
 * hole behind every such place is a write that a crash cut.
 */
struct jrec {
	uint32_t	 tag;		/* random, of the segment */
	uint32_t	 len;		/* of the body */
	uint32_t	 crc;
	uint16_t	 kind;		/* enum journal_kind */
	uint16_t	 flags;
	uint64_t	 seq;
	uint64_t	 synced;
	uint8_t		 prev[32];	/* SHA-256 of the record before */
	const uint8_t	*body;
	/* where it was found */
	uint64_t	 segment, off;
	bool		 pad_ok, chain_ok;
	const uint8_t	*raw;		/* header and body */
};

/* Write header and body to out (64 + len bytes), with the crc. */
void	jrec_put(uint8_t *out, struct jrec *r);
/* Parse and check n bytes that begin with a record; RC_CORRUPT. */
int	jrec_get(const uint8_t *p, size_t n, struct jrec *r);
static inline uint64_t
jrec_size(uint32_t len)
{
	return (64 + (uint64_t)len + 7) & ~7ull;
}

struct jsegment {			/* its first 64 bytes */
	uint64_t	number;
	uint8_t		vault[16];
	uint32_t	tag;
};
void	jsegment_put(uint8_t p[64], const struct jsegment *s);
int	jsegment_get(const uint8_t p[64], struct jsegment *s);

/* Reads a segment; steps over holes as packscan does. */
struct jscan {
	int		 fd;
	uint64_t	 segment, off, size;
	uint32_t	 tag;
	bool		 header_ok, chained;
	uint8_t		 hash[32];	/* of the last record read */
	uint8_t		*buf;
};
int	jscan_init(struct jscan *s, int fd, uint64_t segment);
void	jscan_free(struct jscan *s);
/* RC_OK, RC_EOF, RC_CORRUPT (a hole up to s->off; r->off is its start). */
int	jscan_next(struct jscan *s, struct jrec *r);

#endif
