#include "config.h"

#include "client/engine/node.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/build.h"
#include "client/engine/chunker.h"
#include "common/rc.h"

/* Up to this many edges are searched one by one. */
#define EDGES_FEW	16
#define EDGES_SLOTS	8192		/* twice OBJECT_EDGES_MAX, a power of 2 */
#define SLOT_EMPTY	UINT16_MAX

static size_t
slot_of(const struct object_id *id)
{
	return ((size_t)id->b[0] << 8 | id->b[1]) & (EDGES_SLOTS - 1);
}

static void
slot_put(struct edges *e, uint16_t index)
{
	size_t at = slot_of(&e->id[index]);

	while (e->slot[at] != SLOT_EMPTY)
		at = (at + 1) & (EDGES_SLOTS - 1);
	e->slot[at] = index;
}

static bool
edges_find(const struct edges *e, const struct object_id *id, uint16_t *index)
{
	size_t at;
	uint16_t i;

	if (e->n > EDGES_FEW) {
		for (at = slot_of(id); e->slot[at] != SLOT_EMPTY;
		    at = (at + 1) & (EDGES_SLOTS - 1))
			if (memcmp(&e->id[e->slot[at]], id, sizeof(*id)) == 0) {
				*index = e->slot[at];
				return true;
			}
		return false;
	}
	/* The last first: neighbours share a bundle. */
	for (i = e->n; i > 0; i--)
		if (memcmp(&e->id[i - 1], id, sizeof(*id)) == 0) {
			*index = i - 1;
			return true;
		}
	return false;
}

static int
edges_index_all(struct edges *e)
{
	uint16_t i;

	if (e->slot == NULL &&
	    (e->slot = malloc(EDGES_SLOTS * sizeof(*e->slot))) == NULL)
		return RC_NOMEM;
	memset(e->slot, 0xff, EDGES_SLOTS * sizeof(*e->slot));
	for (i = 0; i < e->n; i++)
		slot_put(e, i);
	return RC_OK;
}

int
edges_add(struct edges *e, const struct object_id *id, uint16_t *index)
{
	struct object_id *p;
	size_t size;
	int rc;

	if (edges_find(e, id, index))
		return RC_OK;
	if (e->n == OBJECT_EDGES_MAX)
		return RC_LIMIT;
	if (e->n == e->size) {
		size = e->size == 0 ? 8 : e->size * 2;
		if ((p = realloc(e->id, size * sizeof(*p))) == NULL)
			return RC_NOMEM;
		e->id = p;
		e->size = size;
	}
	e->id[e->n] = *id;
	*index = e->n++;
	if (e->n == EDGES_FEW + 1) {
		if ((rc = edges_index_all(e)) != RC_OK) {
			e->n--;
			return rc;
		}
	} else if (e->n > EDGES_FEW) {
		slot_put(e, *index);
	}
	return RC_OK;
}

void
edges_reset(struct edges *e)
{
	e->n = 0;
}

void
edges_free(struct edges *e)
{
	free(e->id);
	free(e->slot);
	memset(e, 0, sizeof(*e));
}

int
edge_read(struct rbuf *in, struct edge_view *e, struct object_id *id)
{
	uint16_t i;
	int rc;

	if ((rc = rbuf_u16(in, &i)) != RC_OK)
		return rc;
	if (i >= e->n || i > e->used)
		return RC_CORRUPT;
	if (i == e->used)
		e->used++;
	memcpy(id, &e->id[i], sizeof(*id));	/* may be unaligned wire bytes */
	return RC_OK;
}

#define ROTL(x, b) ((x) << (b) | (x) >> (64 - (b)))
#define SIPROUND do {							\
	v0 += v1; v1 = ROTL(v1, 13); v1 ^= v0; v0 = ROTL(v0, 32);	\
	v2 += v3; v3 = ROTL(v3, 16); v3 ^= v2;				\
	v0 += v3; v3 = ROTL(v3, 21); v3 ^= v0;				\
	v2 += v1; v1 = ROTL(v1, 17); v1 ^= v2; v2 = ROTL(v2, 32);	\
} while (0)

static uint64_t
le64(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

uint64_t
siphash(const uint8_t key[16], const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t k0 = le64(key, 8), k1 = le64(key + 8, 8), m;
	uint64_t v0 = k0 ^ 0x736f6d6570736575ull;
	uint64_t v1 = k1 ^ 0x646f72616e646f6dull;
	uint64_t v2 = k0 ^ 0x6c7967656e657261ull;
	uint64_t v3 = k1 ^ 0x7465646279746573ull;
	size_t left;

	for (left = n; left >= 8; left -= 8, p += 8) {
		m = le64(p, 8);
		v3 ^= m;
		SIPROUND;
		SIPROUND;
		v0 ^= m;
	}
	m = (uint64_t)n << 56 | le64(p, left);
	v3 ^= m;
	SIPROUND;
	SIPROUND;
	v0 ^= m;
	v2 ^= 0xff;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

/*
 * A bundle's plain text: the files' contents, then the length of each (u32),
 * then their count (u32).  So it can be checked by itself, whoever still refers
 * to it.
 */
int
bundle_check(struct sealer *s, const struct object_id *id,
    const uint8_t *plain, size_t len)
{
	struct bundle_member *m = NULL;
	struct object_id again;
	uint32_t count, i;
	size_t at = 0, data;
	struct rbuf in;
	int rc;

	if (len < 4)
		return RC_CORRUPT;
	rbuf_init(&in, plain + len - 4, 4);
	if ((rc = rbuf_u32(&in, &count)) != RC_OK)
		return rc;
	if (count == 0 || count > (len - 4) / 4)
		return RC_CORRUPT;
	data = len - 4 - (size_t)count * 4;
	if ((m = calloc(count, sizeof(*m))) == NULL)
		return RC_NOMEM;
	rbuf_init(&in, plain + data, (size_t)count * 4);
	for (i = 0; i < count; i++) {
		if ((rc = rbuf_u32(&in, &m[i].len)) != RC_OK)
			goto out;
		if (m[i].len > data - at) {
			rc = RC_CORRUPT;
			goto out;
		}
		if ((rc = seal_file_id(s, plain + at, m[i].len, m[i].fid)) !=
		    RC_OK)
			goto out;
		at += m[i].len;
	}
	rc = RC_CORRUPT;
	if (at != data || seal_bundle_id(s, m, count, &again) != RC_OK)
		goto out;
	rc = secret_equal(&again, id, sizeof(again)) ? RC_OK : RC_CORRUPT;
out:
	free(m);
	return rc;
}

/* version | total u64 | listed u32 | (path blob16 | reason str)* */
int
report_read(const uint8_t *plain, size_t len, uint64_t *total,
    int (*each)(void *arg, const uint8_t *path, size_t path_len,
    const char *reason), void *arg)
{
	const uint8_t *path;
	char reason[256];
	uint32_t n, i;
	uint8_t version;
	size_t path_len;
	struct rbuf in;
	int rc;

	rbuf_init(&in, plain, len);
	if (rbuf_u8(&in, &version) != RC_OK)
		return RC_CORRUPT;
	if (version != NODE_VERSION)
		return RC_UNSUPPORTED;
	if (rbuf_u64(&in, total) != RC_OK || rbuf_u32(&in, &n) != RC_OK ||
	    n > *total)
		return RC_CORRUPT;
	for (i = 0; i < n; i++) {
		if (rbuf_blob16(&in, &path, &path_len, UINT16_MAX) != RC_OK ||
		    rbuf_str(&in, reason, sizeof(reason)) != RC_OK)
			return RC_CORRUPT;
		if ((rc = each(arg, path, path_len, reason)) != 0)
			return rc;
	}
	return rbuf_end(&in) == RC_OK ? RC_OK : RC_CORRUPT;
}
