#include "config.h"

#include "client/engine/seal.h"

#include <stdlib.h>
#include <string.h>

#include "common/compress.h"
#include "common/digest.h"
#include "common/num.h"
#include "common/rbuf.h"
#include "common/rc.h"

#define TAG_KEY		0x01	/* first byte under an epoch key */
#define TAG_CHUNK	0x01	/* first byte under chunk-id */
#define TAG_BUNDLE	0x02
#define TAG_FILE	0x10

struct sealer {
	const struct keys	*keys;
	struct mac		*chunk;		/* chunk-id */
	struct mac		*node;		/* node-id */
	struct mac		*epoch;		/* of seal_epoch */
	uint8_t			 seal_epoch[OBJECT_EPOCH_LEN];
	struct mac		*other;		/* last epoch opened, if another */
	uint8_t			 other_epoch[OBJECT_EPOCH_LEN];
	struct aead		*aead;
	struct compressor	*pack;
	uint8_t			*inner;		/* inner header and packed data */
	size_t			 inner_size;
	uint8_t			 salts[1024];	/* from the kernel, used in order */
	size_t			 salts_left;
};

struct sealer *
sealer_new(const struct keys *k)
{
	struct sealer *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	s->keys = k;
	s->chunk = mac_new(&k->chunk_id);
	s->node = mac_new(&k->node_id);
	s->aead = aead_new();
	s->pack = compressor_new();
	if (k->nepochs > 0) {
		s->epoch = mac_new(&k->epochs[0].key);
		memcpy(s->seal_epoch, k->epochs[0].epoch, OBJECT_EPOCH_LEN);
	}
	if (s->chunk == NULL || s->node == NULL || s->aead == NULL ||
	    s->pack == NULL || (k->nepochs > 0 && s->epoch == NULL)) {
		sealer_free(s);
		return NULL;
	}
	return s;
}

void
sealer_free(struct sealer *s)
{
	if (s == NULL)
		return;
	mac_free(s->chunk);
	mac_free(s->node);
	mac_free(s->epoch);
	mac_free(s->other);
	aead_free(s->aead);
	compressor_free(s->pack);
	if (s->inner != NULL)
		secret_wipe(s->inner, s->inner_size);
	free(s->inner);
	secret_wipe(s, sizeof(*s));
	free(s);
}

static int
inner_room(struct sealer *s, size_t n)
{
	uint8_t *p;

	if (n <= s->inner_size)
		return RC_OK;
	n = (n + 65535) & ~(size_t)65535;
	if ((p = malloc(n)) == NULL)
		return RC_NOMEM;
	if (s->inner != NULL)
		secret_wipe(s->inner, s->inner_size);
	free(s->inner);
	s->inner = p;
	s->inner_size = n;
	return RC_OK;
}

static void
put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static int
tagged_mac(struct mac *m, uint8_t tag, const void *p, size_t n,
    uint8_t out[SHA256_LEN])
{
	int rc;

	if ((rc = mac_begin(m)) != RC_OK ||
	    (rc = mac_add(m, &tag, 1)) != RC_OK ||
	    (rc = mac_add(m, p, n)) != RC_OK)
		return rc;
	return mac_end(m, out);
}

int
seal_chunk_id(struct sealer *s, const void *p, size_t n, struct object_id *id)
{
	return tagged_mac(s->chunk, TAG_CHUNK, p, n, id->b);
}

int
seal_file_id(struct sealer *s, const void *p, size_t n, uint8_t fid[32])
{
	return tagged_mac(s->chunk, TAG_FILE, p, n, fid);
}

int
seal_bundle_id(struct sealer *s, const struct bundle_member *m, uint32_t n,
    struct object_id *id)
{
	uint8_t head[5], part[36];
	uint32_t i;
	int rc;

	head[0] = TAG_BUNDLE;
	put_u32(head + 1, n);
	if ((rc = mac_begin(s->chunk)) != RC_OK ||
	    (rc = mac_add(s->chunk, head, sizeof(head))) != RC_OK)
		return rc;
	for (i = 0; i < n; i++) {
		put_u32(part, m[i].len);
		memcpy(part + 4, m[i].fid, sizeof(m[i].fid));
		if ((rc = mac_add(s->chunk, part, sizeof(part))) != RC_OK)
			return rc;
	}
	return mac_end(s->chunk, id->b);
}

int
seal_node_id(struct sealer *s, uint8_t type, uint16_t height,
    const struct object_id *edges, uint16_t n, const void *plain, size_t len,
    struct object_id *id)
{
	uint8_t head[5];
	int rc;

	head[0] = type;
	head[1] = (uint8_t)(height >> 8);
	head[2] = (uint8_t)height;
	head[3] = (uint8_t)(n >> 8);
	head[4] = (uint8_t)n;
	if ((rc = mac_begin(s->node)) != RC_OK ||
	    (rc = mac_add(s->node, head, sizeof(head))) != RC_OK ||
	    (rc = mac_add(s->node, edges, (size_t)n * OBJECT_ID_LEN)) != RC_OK ||
	    (rc = mac_add(s->node, plain, len)) != RC_OK)
		return rc;
	return mac_end(s->node, id->b);
}

size_t
seal_room(size_t n, uint16_t edges)
{
	return OBJECT_HEADER_LEN + (size_t)edges * OBJECT_ID_LEN +
	    OBJECT_INNER_LEN + n + OBJECT_TAG_LEN;
}

static int
next_salt(struct sealer *s, uint8_t salt[OBJECT_SALT_LEN])
{
	int rc;

	if (s->salts_left < OBJECT_SALT_LEN) {
		if ((rc = secret_random(s->salts, sizeof(s->salts))) != RC_OK)
			return rc;
		s->salts_left = sizeof(s->salts);
	}
	s->salts_left -= OBJECT_SALT_LEN;
	memcpy(salt, s->salts + s->salts_left, OBJECT_SALT_LEN);
	return RC_OK;
}

/* The key of one object: HMAC(E, 01 | type | algorithm | id | salt). */
static int
object_key(struct mac *epoch, const struct object_header *h,
    uint8_t key[SHA256_LEN])
{
	uint8_t text[3 + OBJECT_ID_LEN + OBJECT_SALT_LEN];
	int rc;

	text[0] = TAG_KEY;
	text[1] = h->type;
	text[2] = h->algorithm;
	memcpy(text + 3, h->id.b, OBJECT_ID_LEN);
	memcpy(text + 3 + OBJECT_ID_LEN, h->salt, OBJECT_SALT_LEN);
	if ((rc = mac_begin(epoch)) != RC_OK ||
	    (rc = mac_add(epoch, text, sizeof(text))) != RC_OK)
		return rc;
	return mac_end(epoch, key);
}

int
seal_object(struct sealer *s, uint8_t type, uint16_t height,
    const struct object_id *id, const struct object_id *edges, uint16_t nedges,
    const void *plain, size_t n, uint8_t *out, size_t *out_len)
{
	struct object_header h = { 0 };
	uint8_t key[SHA256_LEN], *body;
	size_t packed, edge_len = (size_t)nedges * OBJECT_ID_LEN;
	enum codec codec;
	int rc;

	if (n > OBJECT_RAW_MAX || nedges > OBJECT_EDGES_MAX)
		return RC_LIMIT;
	if (s->epoch == NULL)
		return RC_CRYPTO;
	/* One changed name rewrites a node, so each byte of it counts often;
	 * chunks are most of the data, and of the time. */
	compress_effort(s->pack, object_is_node(type) ? EFFORT_MOST :
	    type == OBJECT_BUNDLE ? EFFORT_MORE : EFFORT_QUICK);
	if ((rc = inner_room(s, OBJECT_INNER_LEN + n)) != RC_OK ||
	    (rc = compress_pack(s->pack, plain, n, s->inner + OBJECT_INNER_LEN,
	    &codec, &packed)) != RC_OK)
		return rc;
	memset(s->inner, 0, OBJECT_INNER_LEN);
	s->inner[0] = (uint8_t)codec;
	put_u32(s->inner + 4, (uint32_t)n);
	put_u32(s->inner + 8, (uint32_t)packed);

	h.version = OBJECT_VERSION;
	h.type = type;
	h.algorithm = OBJECT_ALG_AES256GCM;
	h.height = height;
	h.edges = nedges;
	memcpy(h.epoch, s->seal_epoch, sizeof(h.epoch));
	h.id = *id;
	h.body_len = (uint32_t)(OBJECT_INNER_LEN + packed);
	if ((rc = next_salt(s, h.salt)) != RC_OK ||
	    (rc = object_key(s->epoch, &h, key)) != RC_OK)
		return rc;
	object_put_header(&h, out);
	if (edge_len > 0)
		memcpy(out + OBJECT_HEADER_LEN, edges, edge_len);
	body = out + OBJECT_HEADER_LEN + edge_len;
	rc = aead_seal(s->aead, key, out, OBJECT_HEADER_LEN,
	    out + OBJECT_HEADER_LEN, edge_len, s->inner, h.body_len, body,
	    body + h.body_len);
	secret_wipe(key, sizeof(key));
	if (rc != RC_OK)
		return rc;
	*out_len = OBJECT_HEADER_LEN + edge_len + h.body_len + OBJECT_TAG_LEN;
	object_set_crc(out, *out_len);
	return RC_OK;
}

/* The context of the object's epoch key; most objects of a vault have one of
 * two. */
static int
open_epoch(struct sealer *s, const uint8_t epoch[OBJECT_EPOCH_LEN],
    struct mac **m)
{
	const struct epoch_key *e;

	if (s->epoch != NULL &&
	    memcmp(epoch, s->seal_epoch, OBJECT_EPOCH_LEN) == 0) {
		*m = s->epoch;
		return RC_OK;
	}
	if (s->other == NULL ||
	    memcmp(epoch, s->other_epoch, OBJECT_EPOCH_LEN) != 0) {
		if ((e = keys_epoch_find(s->keys, epoch)) == NULL)
			return RC_CRYPTO;
		mac_free(s->other);
		if ((s->other = mac_new(&e->key)) == NULL)
			return RC_NOMEM;
		memcpy(s->other_epoch, epoch, OBJECT_EPOCH_LEN);
	}
	*m = s->other;
	return RC_OK;
}

static int
inner_unpack(struct sealer *s, size_t len, uint8_t *out, size_t *out_len)
{
	uint8_t codec, zero[3];
	uint32_t raw, packed;
	const uint8_t *p;
	struct rbuf in;
	int rc;

	rbuf_init(&in, s->inner, len);
	if ((rc = rbuf_u8(&in, &codec)) != RC_OK ||
	    (rc = rbuf_bytes(&in, zero, sizeof(zero))) != RC_OK ||
	    (rc = rbuf_u32(&in, &raw)) != RC_OK ||
	    (rc = rbuf_u32(&in, &packed)) != RC_OK ||
	    (rc = rbuf_view(&in, &p, packed)) != RC_OK)
		return RC_CORRUPT;
	if (zero[0] != 0 || zero[1] != 0 || zero[2] != 0 ||
	    raw > OBJECT_RAW_MAX)
		return RC_CORRUPT;
	if (codec > CODEC_ZSTD)
		return RC_UNSUPPORTED;
	if ((rc = compress_unpack(s->pack, codec, p, packed, out, raw)) !=
	    RC_OK)
		return rc;
	*out_len = raw;
	return RC_OK;
}

static int
id_again(struct sealer *s, const struct object *o, const uint8_t *plain,
    size_t len)
{
	struct object_id id;
	int rc;

	if (object_is_node(o->h.type))
		rc = seal_node_id(s, o->h.type, o->h.height,
		    (const struct object_id *)o->edges, o->h.edges, plain, len,
		    &id);
	else if (o->h.type == OBJECT_CHUNK)
		rc = seal_chunk_id(s, plain, len, &id);
	else
		return RC_OK;
	if (rc != RC_OK)
		return rc;
	return secret_equal(&id, &o->h.id, sizeof(id)) ? RC_OK : RC_CORRUPT;
}

int
seal_open(struct sealer *s, const struct object *o, int check_id, uint8_t *out,
    size_t *out_len)
{
	uint8_t key[SHA256_LEN], head[OBJECT_HEADER_LEN];
	struct object_header h = o->h;
	struct mac *epoch;
	int rc;

	if (h.version != OBJECT_VERSION || h.algorithm != OBJECT_ALG_AES256GCM)
		return RC_UNSUPPORTED;
	if (h.body_len > OBJECT_BODY_MAX)
		return RC_LIMIT;
	if ((rc = open_epoch(s, h.epoch, &epoch)) != RC_OK ||
	    (rc = object_key(epoch, &h, key)) != RC_OK ||
	    (rc = inner_room(s, h.body_len)) != RC_OK)
		return rc;
	h.crc = 0;
	object_put_header(&h, head);
	rc = aead_open(s->aead, key, head, sizeof(head), o->edges,
	    (size_t)h.edges * OBJECT_ID_LEN, o->body, h.body_len, s->inner,
	    o->tag);
	secret_wipe(key, sizeof(key));
	if (rc != RC_OK ||
	    (rc = inner_unpack(s, h.body_len, out, out_len)) != RC_OK)
		return rc;
	if (check_id || object_is_node(h.type))
		rc = id_again(s, o, out, *out_len);
	return rc;
}

static int
blob_key(const struct secret *key, const char *context,
    const uint8_t salt[OBJECT_SALT_LEN], uint8_t out[SHA256_LEN])
{
	uint8_t text[64 + OBJECT_SALT_LEN];
	size_t n = strlen(context);

	if (n > 64)
		return RC_LIMIT;
	memcpy(text, context, n);
	memcpy(text + n, salt, OBJECT_SALT_LEN);
	return hmac_sha256(key->b, sizeof(key->b), text, n + OBJECT_SALT_LEN,
	    out);
}

int
seal_blob(const struct secret *key, const char *context,
    const uint8_t salt[OBJECT_SALT_LEN], const void *aad, size_t aad_len,
    const void *p, size_t n, uint8_t *out)
{
	uint8_t k[SHA256_LEN];
	struct aead *a;
	int rc;

	if ((a = aead_new()) == NULL)
		return RC_NOMEM;
	if ((rc = blob_key(key, context, salt, k)) == RC_OK)
		rc = aead_seal(a, k, aad, aad_len, NULL, 0, p, n, out, out + n);
	secret_wipe(k, sizeof(k));
	aead_free(a);
	return rc;
}

int
open_blob(const struct secret *key, const char *context,
    const uint8_t salt[OBJECT_SALT_LEN], const void *aad, size_t aad_len,
    const void *p, size_t n, uint8_t *out)
{
	const uint8_t *in = p;
	uint8_t k[SHA256_LEN];
	struct aead *a;
	int rc;

	if (n < GCM_TAG_LEN)
		return RC_CORRUPT;
	if ((a = aead_new()) == NULL)
		return RC_NOMEM;
	n -= GCM_TAG_LEN;
	if ((rc = blob_key(key, context, salt, k)) == RC_OK)
		rc = aead_open(a, k, aad, aad_len, NULL, 0, in, n, out, in + n);
	secret_wipe(k, sizeof(k));
	aead_free(a);
	return rc;
}
