#ifndef CLIENT_ENGINE_SEAL_H
#define CLIENT_ENGINE_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "client/engine/keys.h"
#include "common/object.h"

/*
 * Plain text to object and back.  One sealer per thread: it holds the reusable
 * contexts (about 1 us an object).  doc/VAULT-FORMAT.md "Ids", "Object".
 */
struct sealer;
struct sealer	*sealer_new(const struct keys *k);
void		 sealer_free(struct sealer *s);

/* Ids (HMAC-SHA-256). */
int	seal_chunk_id(struct sealer *s, const void *p, size_t n,
	    struct object_id *id);			/* 01 | content */
int	seal_file_id(struct sealer *s, const void *p, size_t n,
	    uint8_t fid[32]);				/* 10 | content */
struct bundle_member {
	uint32_t	len;
	uint8_t		fid[32];
};
int	seal_bundle_id(struct sealer *s, const struct bundle_member *m,
	    uint32_t n, struct object_id *id);		/* 02 | n | (len | fid)* */
int	seal_node_id(struct sealer *s, uint8_t type, uint16_t height,
	    const struct object_id *edges, uint16_t n, const void *plain,
	    size_t len, struct object_id *id);

/*
 * Compress, encrypt and frame one object.  out has room for
 * seal_room(n, edges) bytes.
 */
size_t	seal_room(size_t n, uint16_t edges);
int	seal_object(struct sealer *s, uint8_t type, uint16_t height,
	    const struct object_id *id, const struct object_id *edges,
	    uint16_t nedges, const void *plain, size_t n, uint8_t *out,
	    size_t *out_len);
/*
 * Check and open a parsed object into out (room OBJECT_RAW_MAX): GCM tag, inner
 * lengths, decompression.  RC_CRYPTO, RC_CORRUPT, RC_UNSUPPORTED.
 * check_id: also compute the id again (always for nodes; for chunks when
 * `check` asks; bundles' ids are checked by bundle_check() in node.h, from the
 * members).
 */
int	seal_open(struct sealer *s, const struct object *o, int check_id,
	    uint8_t *out, size_t *out_len);

/* The sealed body of a snapshot and of records: key = HMAC(E or wrap,
 * context | salt), AES-256-GCM, AAD as given; out = body | tag. */
int	seal_blob(const struct secret *key, const char *context,
	    const uint8_t salt[OBJECT_SALT_LEN], const void *aad, size_t aad_len,
	    const void *p, size_t n, uint8_t *out);
int	open_blob(const struct secret *key, const char *context,
	    const uint8_t salt[OBJECT_SALT_LEN], const void *aad, size_t aad_len,
	    const void *p, size_t n, uint8_t *out);	/* n includes the tag */

#endif
