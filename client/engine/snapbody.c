#include "config.h"

#include "client/engine/snapbody.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/seal.h"
#include "common/rc.h"
#include "common/secret.h"

#define SIGN_PREFIX	"sg1 snapshot"
#define PLAIN_MAX	(SNAPSHOT_SEALED_MAX - GCM_TAG_LEN)

static void
put_body(struct wbuf *out, const struct snapbody *b)
{
	size_t room, i, len, at;
	uint16_t n = 0;

	wbuf_u8(out, SNAPBODY_VERSION);
	wbuf_str(out, b->host);
	wbuf_i64(out, b->start_ns);
	wbuf_i64(out, b->end_ns);
	wbuf_u64(out, b->files);
	wbuf_u64(out, b->dirs);
	wbuf_u64(out, b->bytes);
	wbuf_u64(out, b->new_bytes);
	wbuf_u64(out, b->stored_bytes);
	wbuf_u64(out, b->skipped);
	at = out->len;
	wbuf_u16(out, 0);
	/* The list is for people; a job with more paths than fit is whole in
	 * its tree. */
	for (i = 0; i < b->npaths && i < SNAPBODY_PATHS_MAX; i++) {
		len = strlen(b->paths[i]);
		room = PLAIN_MAX - out->len;
		if (len > UINT16_MAX || len + 2 > room)
			break;
		wbuf_blob16(out, b->paths[i], len);
		n++;
	}
	wbuf_set_u16(out, at, n);
}

static int
sign(const struct keys *k, struct wbuf *out)
{
	struct wbuf text = WBUF_INIT(SNAPSHOT_CLIENT_MAX + 16);
	uint8_t sig[ED25519_SIG_LEN];
	int rc;

	wbuf_bytes(&text, SIGN_PREFIX, strlen(SIGN_PREFIX));
	wbuf_bytes(&text, out->data, out->len);
	if ((rc = wbuf_rc(&text)) == RC_OK)
		rc = ed25519_sign(&k->identity, text.data, text.len, sig);
	if (rc == RC_OK)
		wbuf_bytes(out, sig, sizeof(sig));
	wbuf_free(&text);
	return rc != RC_OK ? rc : wbuf_rc(out);
}

int
snapbody_seal(const struct keys *k, struct snapshot_client *s,
    const struct snapbody *b, struct wbuf *out)
{
	struct wbuf plain = WBUF_INIT(PLAIN_MAX);
	uint8_t *sealed = NULL;
	size_t aad_len;
	int rc;

	if (k->nepochs == 0)
		return RC_STATE;
	memcpy(s->epoch, k->epochs[0].epoch, sizeof(s->epoch));
	if ((rc = secret_random(s->salt, sizeof(s->salt))) != RC_OK)
		return rc;
	put_body(&plain, b);
	if ((rc = wbuf_rc(&plain)) != RC_OK)
		goto out;
	if ((sealed = malloc(plain.len + GCM_TAG_LEN)) == NULL) {
		rc = RC_NOMEM;
		goto out;
	}
	/* Once for what is authenticated beside it, once with it. */
	s->sealed = NULL;
	s->sealed_len = 0;
	wbuf_reset(out);
	snapshot_put_client(out, s, &aad_len);
	if ((rc = wbuf_rc(out)) != RC_OK)
		goto out;
	rc = seal_blob(&k->epochs[0].key, SNAPBODY_CONTEXT, s->salt,
	    out->data, aad_len, plain.data, plain.len, sealed);
	if (rc != RC_OK)
		goto out;
	s->sealed = sealed;
	s->sealed_len = plain.len + GCM_TAG_LEN;
	wbuf_reset(out);
	snapshot_put_client(out, s, &aad_len);
	if ((rc = wbuf_rc(out)) == RC_OK)
		rc = sign(k, out);
out:
	/* Not a view that outlives its bytes. */
	s->sealed = NULL;
	s->sealed_len = 0;
	free(sealed);
	wbuf_free(&plain);
	return rc;
}

static int
get_body(struct rbuf *in, struct snapbody *b)
{
	const uint8_t *p, *start;
	uint8_t version;
	size_t len, i;
	int rc;

	if ((rc = rbuf_u8(in, &version)) != RC_OK)
		return rc;
	if (version != SNAPBODY_VERSION)
		return RC_VERSION;
	if ((rc = rbuf_str(in, b->host, sizeof(b->host))) != RC_OK ||
	    (rc = rbuf_i64(in, &b->start_ns)) != RC_OK ||
	    (rc = rbuf_i64(in, &b->end_ns)) != RC_OK ||
	    (rc = rbuf_u64(in, &b->files)) != RC_OK ||
	    (rc = rbuf_u64(in, &b->dirs)) != RC_OK ||
	    (rc = rbuf_u64(in, &b->bytes)) != RC_OK ||
	    (rc = rbuf_u64(in, &b->new_bytes)) != RC_OK ||
	    (rc = rbuf_u64(in, &b->stored_bytes)) != RC_OK ||
	    (rc = rbuf_u64(in, &b->skipped)) != RC_OK ||
	    (rc = rbuf_u16(in, &b->npaths)) != RC_OK)
		return rc;
	start = in->p;
	for (i = 0; i < b->npaths; i++)
		if ((rc = rbuf_blob16(in, &p, &len, UINT16_MAX)) != RC_OK)
			return rc;
	b->packed_len = (size_t)(in->p - start);
	if ((rc = rbuf_end(in)) != RC_OK || b->packed_len == 0)
		return rc;
	if ((b->packed = malloc(b->packed_len)) == NULL)
		return RC_NOMEM;
	memcpy(b->packed, start, b->packed_len);
	return RC_OK;
}

static int
verify(const struct keys *k, const uint8_t *p, size_t len, int *signed_ok)
{
	struct wbuf text = WBUF_INIT(SNAPSHOT_CLIENT_MAX + 16);
	int rc;

	wbuf_bytes(&text, SIGN_PREFIX, strlen(SIGN_PREFIX));
	wbuf_bytes(&text, p, len - ED25519_SIG_LEN);
	if ((rc = wbuf_rc(&text)) == RC_OK) {
		rc = ed25519_verify(k->identity_pub, text.data, text.len,
		    p + len - ED25519_SIG_LEN);
		*signed_ok = rc == RC_OK;
		if (rc == RC_CRYPTO)
			rc = RC_OK;
	}
	wbuf_free(&text);
	return rc;
}

int
snapbody_open(const struct keys *k, const uint8_t *p, size_t len,
    struct snapshot_client *s, struct snapbody *b, int *signed_ok)
{
	const struct epoch_key *e;
	uint8_t *plain = NULL;
	struct rbuf in;
	size_t aad_len, n;
	int rc;

	memset(b, 0, sizeof(*b));
	*signed_ok = 0;
	if (snapshot_get_client(p, len, s) != RC_OK ||
	    s->sealed_len < GCM_TAG_LEN)
		return RC_CORRUPT;
	if (memcmp(s->vault, k->vault, sizeof(s->vault)) != 0)
		return RC_CORRUPT;
	if ((e = keys_epoch_find(k, s->epoch)) == NULL)
		return RC_NOENT;
	/* sealed stands behind its u32 length. */
	aad_len = (size_t)(s->sealed - p) - 4;
	n = s->sealed_len - GCM_TAG_LEN;
	if ((plain = malloc(n + 1)) == NULL)
		return RC_NOMEM;
	rc = open_blob(&e->key, SNAPBODY_CONTEXT, s->salt, p, aad_len,
	    s->sealed, s->sealed_len, plain);
	if (rc != RC_OK)
		goto out;
	rbuf_init(&in, plain, n);
	if ((rc = get_body(&in, b)) != RC_OK)
		rc = rc == RC_NOMEM ? rc : RC_CORRUPT;
	else
		rc = verify(k, p, len, signed_ok);
out:
	secret_wipe(plain, n);
	free(plain);
	if (rc != RC_OK)
		snapbody_clear(b);
	return rc;
}

void
snapbody_clear(struct snapbody *b)
{
	free(b->packed);
	b->packed = NULL;
	b->packed_len = 0;
}
