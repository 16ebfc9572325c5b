#ifndef COMMON_OBJECT_H
#define COMMON_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/rbuf.h"
#include "common/wbuf.h"

/*
 * The unit stored in a vault.  On the wire an object is
 *
 *	header 72 | edges 32 * n | body | tag 16
 *
 * and in a pack it has store's prefix before and zeros to a multiple of 8
 * behind it.  store looks at type bit 7, height, edges, id, length and crc;
 * it has no key for the body.  See doc/VAULT-FORMAT.md.
 */
#define OBJECT_ID_LEN		32
#define OBJECT_HEADER_LEN	72
#define OBJECT_PREFIX_LEN	24
#define OBJECT_TAG_LEN		16
#define OBJECT_SALT_LEN		16
#define OBJECT_EPOCH_LEN	8
#define OBJECT_EDGES_MAX	4096
#define OBJECT_VERSION		1
#define OBJECT_ALG_AES256GCM	1
#define OBJECT_INNER_LEN	12		/* codec, zeros, raw, packed */
#define OBJECT_RAW_MAX		(4u << 20)	/* plain text, bytes */
#define OBJECT_BODY_MAX		(OBJECT_RAW_MAX + 4096u)
#define OBJECT_WIRE_MIN		(OBJECT_HEADER_LEN + OBJECT_TAG_LEN)
#define OBJECT_WIRE_MAX		(OBJECT_WIRE_MIN + \
	    OBJECT_EDGES_MAX * OBJECT_ID_LEN + OBJECT_BODY_MAX)

enum object_type {
	OBJECT_CHUNK = 0x01,
	OBJECT_BUNDLE = 0x02,
	OBJECT_NODE_BIT = 0x80,
	OBJECT_DIR_LEAF = 0x81,
	OBJECT_DIR_INTERIOR = 0x82,
	OBJECT_MAP = 0x83,
	OBJECT_REPORT = 0x84,
};

struct object_id {
	uint8_t	b[OBJECT_ID_LEN];
};

struct object_header {
	uint8_t			version;
	uint8_t			type;
	uint8_t			algorithm;
	uint8_t			id_epoch;
	uint16_t		height;		/* 0 for data; above all edges */
	uint16_t		edges;
	uint8_t			epoch[OBJECT_EPOCH_LEN];
	struct object_id	id;
	uint8_t			salt[OBJECT_SALT_LEN];
	uint32_t		body_len;	/* without the tag */
	uint32_t		crc;		/* CRC-32C of all wire bytes, this field zero */
};

/* A parsed view into wire bytes that the caller keeps. */
struct object {
	struct object_header	 h;
	const uint8_t		*edges;		/* h.edges * 32 */
	const uint8_t		*body;
	const uint8_t		*tag;
	size_t			 wire_len;
};

static inline bool
object_is_node(uint8_t type)
{
	return (type & OBJECT_NODE_BIT) != 0;
}

/* Length on the wire; false when it is over OBJECT_WIRE_MAX. */
bool	object_wire_len(const struct object_header *h, size_t *len);

/*
 * Parse a whole object from exactly len bytes: lengths agree, version known,
 * data has height 0 and no edges, a node has height > 0, edges strictly
 * without duplicates (FORMAT "Why").  Does not check the crc.
 */
int	object_parse(const uint8_t *p, size_t len, struct object *o);
/* RC_CRC unless the header's crc is that of these wire bytes. */
int	object_check_crc(const uint8_t *p, size_t len);
/* Encode the header into p[72]; h->crc is written as it is. */
void	object_put_header(const struct object_header *h,
	    uint8_t p[OBJECT_HEADER_LEN]);
int	object_get_header(struct rbuf *in, struct object_header *h);
/* Compute the crc over finished wire bytes and write it into their header. */
void	object_set_crc(uint8_t *p, size_t len);

#endif
