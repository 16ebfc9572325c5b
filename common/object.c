#include "config.h"

#include "common/object.h"

#include <string.h>

#include "common/digest.h"
#include "common/num.h"
#include "common/rc.h"
#include "common/secret.h"

#define CRC_OFF		68		/* of the crc field in the header */
#define SLOTS		(2 * OBJECT_EDGES_MAX)
#define SLOT_SHIFT	(64 - 13)	/* 2^13 == SLOTS */

_Static_assert(SLOTS == 1 << 13, "SLOT_SHIFT fits SLOTS");

/*
 * Multipliers of the hash that finds duplicate edges.  Whoever sends an object
 * chooses its edges, and could choose them to collide if these were known.
 * Made before main(), when every program may still ask the kernel; should it
 * refuse, these here only cost time.
 */
static uint64_t edge_key[OBJECT_ID_LEN / 4] = {
	0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u, 0x94d049bb133111ebu,
	0xd6e8feb86659fd93u, 0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu,
	0x8ebc6af09c88c6e3u, 0x589965cc75374cc3u,
};

static void __attribute__((constructor))
edge_key_make(void)
{
	uint64_t fresh[NITEMS(edge_key)];

	if (secret_random(fresh, sizeof(fresh)) == RC_OK)
		memcpy(edge_key, fresh, sizeof(edge_key));
}

/* Multilinear: two different ids meet in the top 13 bits by chance only. */
static size_t
edge_slot(const uint8_t *id)
{
	uint64_t h = 0;
	uint32_t word;

	for (size_t i = 0; i < NITEMS(edge_key); i++) {
		memcpy(&word, id + 4 * i, sizeof(word));
		h += edge_key[i] * word;
	}
	return (size_t)(h >> SLOT_SHIFT);
}

static bool
edges_differ(const uint8_t *edges, size_t n)
{
	uint16_t slot[SLOTS];		/* edge number + 1; 0 is free */

	if (n < 2)
		return true;
	memset(slot, 0, sizeof(slot));
	for (size_t i = 0; i < n; i++) {
		const uint8_t *id = edges + i * OBJECT_ID_LEN;
		size_t at = edge_slot(id);

		/* Ends: at least half of the slots are free. */
		while (slot[at] != 0) {
			if (memcmp(edges + (size_t)(slot[at] - 1) *
			    OBJECT_ID_LEN, id, OBJECT_ID_LEN) == 0)
				return false;
			at = (at + 1) % SLOTS;
		}
		slot[at] = (uint16_t)(i + 1);
	}
	return true;
}

bool
object_wire_len(const struct object_header *h, size_t *len)
{
	if (h->edges > OBJECT_EDGES_MAX || h->body_len > OBJECT_BODY_MAX)
		return false;
	*len = OBJECT_WIRE_MIN + (size_t)h->edges * OBJECT_ID_LEN +
	    h->body_len;
	return true;
}

/* What the header alone can tell; a later version may look quite different. */
static int
header_check(const struct object_header *h)
{
	if (h->version != OBJECT_VERSION)
		return RC_VERSION;
	if (h->edges > OBJECT_EDGES_MAX || h->body_len > OBJECT_BODY_MAX)
		return RC_LIMIT;
	if (object_is_node(h->type))
		return h->height > 0 ? RC_OK : RC_PROTO;
	return h->height == 0 && h->edges == 0 ? RC_OK : RC_PROTO;
}

int
object_parse(const uint8_t *p, size_t len, struct object *o)
{
	struct object got = { 0 };
	struct rbuf in;
	int rc;

	rbuf_init(&in, p, len);
	if ((rc = object_get_header(&in, &got.h)) != RC_OK ||
	    (rc = header_check(&got.h)) != RC_OK ||
	    (rc = rbuf_view(&in, &got.edges,
	    (size_t)got.h.edges * OBJECT_ID_LEN)) != RC_OK ||
	    (rc = rbuf_view(&in, &got.body, got.h.body_len)) != RC_OK ||
	    (rc = rbuf_view(&in, &got.tag, OBJECT_TAG_LEN)) != RC_OK ||
	    (rc = rbuf_end(&in)) != RC_OK)
		return rc;
	if (!edges_differ(got.edges, got.h.edges))
		return RC_PROTO;
	got.wire_len = len;
	*o = got;
	return RC_OK;
}

/* The crc of all bytes, with zeros where it stands itself. */
static uint32_t
wire_crc(const uint8_t *p, size_t len)
{
	static const uint8_t zeros[OBJECT_HEADER_LEN - CRC_OFF];
	uint32_t crc;

	crc = crc32c(0, p, CRC_OFF);
	crc = crc32c(crc, zeros, sizeof(zeros));
	return crc32c(crc, p + OBJECT_HEADER_LEN, len - OBJECT_HEADER_LEN);
}

int
object_check_crc(const uint8_t *p, size_t len)
{
	struct rbuf in;
	uint32_t crc;
	int rc;

	rbuf_init(&in, p, len);
	if (len < OBJECT_HEADER_LEN)
		return RC_TRUNCATED;
	if ((rc = rbuf_skip(&in, CRC_OFF)) != RC_OK ||
	    (rc = rbuf_u32(&in, &crc)) != RC_OK)
		return rc;
	return crc == wire_crc(p, len) ? RC_OK : RC_CRC;
}

static uint8_t *
put_number(uint8_t *p, uint32_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--) {
		p[i] = (uint8_t)v;
		v >>= 8;
	}
	return p + bytes;
}

static uint8_t *
put_bytes(uint8_t *p, const void *from, size_t n)
{
	memcpy(p, from, n);
	return p + n;
}

void
object_put_header(const struct object_header *h, uint8_t p[OBJECT_HEADER_LEN])
{
	/* Not a wbuf: the length is fixed and nothing can fail here. */
	p = put_number(p, h->version, 1);
	p = put_number(p, h->type, 1);
	p = put_number(p, h->algorithm, 1);
	p = put_number(p, h->id_epoch, 1);
	p = put_number(p, h->height, 2);
	p = put_number(p, h->edges, 2);
	p = put_bytes(p, h->epoch, sizeof(h->epoch));
	p = put_bytes(p, h->id.b, sizeof(h->id.b));
	p = put_bytes(p, h->salt, sizeof(h->salt));
	p = put_number(p, h->body_len, 4);
	put_number(p, h->crc, 4);
}

int
object_get_header(struct rbuf *in, struct object_header *h)
{
	struct object_header got = { 0 };
	struct rbuf try = *in;
	int rc;

	if ((rc = rbuf_u8(&try, &got.version)) != RC_OK ||
	    (rc = rbuf_u8(&try, &got.type)) != RC_OK ||
	    (rc = rbuf_u8(&try, &got.algorithm)) != RC_OK ||
	    (rc = rbuf_u8(&try, &got.id_epoch)) != RC_OK ||
	    (rc = rbuf_u16(&try, &got.height)) != RC_OK ||
	    (rc = rbuf_u16(&try, &got.edges)) != RC_OK ||
	    (rc = rbuf_bytes(&try, got.epoch, sizeof(got.epoch))) != RC_OK ||
	    (rc = rbuf_bytes(&try, got.id.b, sizeof(got.id.b))) != RC_OK ||
	    (rc = rbuf_bytes(&try, got.salt, sizeof(got.salt))) != RC_OK ||
	    (rc = rbuf_u32(&try, &got.body_len)) != RC_OK ||
	    (rc = rbuf_u32(&try, &got.crc)) != RC_OK)
		return rc;
	*h = got;
	*in = try;
	return RC_OK;
}

void
object_set_crc(uint8_t *p, size_t len)
{
	put_number(p + CRC_OFF, wire_crc(p, len), 4);
}
