#ifndef STORE_PACKSCAN_H
#define STORE_PACKSCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/object.h"
#include "server/store/record.h"

enum pack_kind { PACK_DATA, PACK_NODE };

/* The last 64 bytes of a sealed pack. */
struct pack_trailer {
	uint64_t	foot_off;
	uint32_t	count;		/* entries of the footer */
	uint32_t	tlv_len;
	uint32_t	foot_crc;
	uint8_t		sha[32];	/* over all headers, edges and tags */
};
void	pack_trailer_put(uint8_t p[64], const struct pack_trailer *t);
/* RC_CORRUPT: these 64 bytes are none. */
int	pack_trailer_get(const uint8_t p[64], struct pack_trailer *t);

/* The first 64 bytes of a pack. */
struct pack_header {
	enum pack_kind	kind;
	uint64_t	number;
	uint8_t		vault[16];
	uint32_t	tag;
};
void	pack_header_put(uint8_t p[64], const struct pack_header *h);
int	pack_header_get(const uint8_t p[64], struct pack_header *h);

/*
 * Reads a pack record by record, with no help from an index.  Damage is
 * stepped over and reported; a failing read is RC_IO and never looks like an
 * end (security.md 5.1: a read error is not a torn tail).
 */
struct pack_scan {
	int		 fd;
	enum pack_kind	 kind;
	uint64_t	 number;
	uint64_t	 off, end, size;
	uint32_t	 tag;
	bool		 header_ok;
	bool		 sealed;	/* the trailer is there and whole */
	bool		 foot;		/* stopped at a footer's first bytes */
	struct pack_trailer trailer;
	bool		 full;		/* read and check whole objects */
	uint8_t		*buf;		/* full: the last record */
	size_t		 room;
};

struct pack_rec {
	uint64_t	 off;		/* of the prefix */
	struct prefix	 px;
	struct object_header h;		/* unless a copy or a gap */
	bool		 prefix_ok;	/* false: only the object is whole */
	bool		 crc_ok;	/* full: the object's own crc */
	bool		 pad_ok;	/* full: zeros behind it */
};

/* fd stays the caller's.  RC_TRUNCATED: shorter than a header. */
int	pack_scan_init(struct pack_scan *s, int fd, enum pack_kind kind,
	    uint64_t number, bool full);
void	pack_scan_free(struct pack_scan *s);
/*
 * RC_OK with a record; RC_EOF at the end of the records (s->off is there);
 * RC_CORRUPT: a hole from hole->off to s->off, go on; others: reading failed.
 */
int	pack_scan_next(struct pack_scan *s, struct pack_rec *r);
/* What `full` does, for one record: its bytes are then in s->buf. */
int	pack_scan_check(struct pack_scan *s, struct pack_rec *r);

#endif
