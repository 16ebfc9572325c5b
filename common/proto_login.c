#include "config.h"

#include "common/proto.h"

#include <string.h>

#include "common/rc.h"

/* Frames up to the login, and the texts under their signatures. */

static void
put_domain(struct wbuf *out, const char *domain)
{
	wbuf_bytes(out, domain, strlen(domain));
}

static void
fail(struct wbuf *out, int rc)
{
	if (out->rc == RC_OK)
		out->rc = rc;
}

void
hello_put(struct wbuf *out, const struct hello *h)
{
	wbuf_u32(out, PROTO_MAGIC);
	wbuf_u16(out, h->version_min);
	wbuf_u16(out, h->version_max);
	wbuf_u64(out, h->features);
	wbuf_bytes(out, h->nonce, sizeof(h->nonce));
}

int
hello_parse(struct rbuf *in, struct hello *h)
{
	struct hello got = { 0 };
	uint32_t magic;
	int rc;

	if ((rc = rbuf_u32(in, &magic)) != RC_OK)
		return rc;
	if (magic != PROTO_MAGIC)
		return RC_PROTO;
	if ((rc = rbuf_u16(in, &got.version_min)) != RC_OK ||
	    (rc = rbuf_u16(in, &got.version_max)) != RC_OK ||
	    (rc = rbuf_u64(in, &got.features)) != RC_OK ||
	    (rc = rbuf_bytes(in, got.nonce, sizeof(got.nonce))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got.version_min == 0 || got.version_min > got.version_max)
		return RC_RANGE;
	*h = got;
	return RC_OK;
}

static void
put_hello_ok(struct wbuf *out, const struct hello_ok *h,
    const uint8_t sig[ED25519_SIG_LEN])
{
	wbuf_u16(out, h->version);
	wbuf_u64(out, h->features);
	wbuf_bytes(out, h->nonce, sizeof(h->nonce));
	wbuf_u32(out, h->frame_max);
	wbuf_u16(out, h->ids_max);
	wbuf_str(out, h->id);
	wbuf_bytes(out, h->identity, sizeof(h->identity));
	wbuf_u8(out, h->signed_);
	wbuf_bytes(out, sig, ED25519_SIG_LEN);
}

void
hello_ok_put(struct wbuf *out, const struct hello_ok *h)
{
	put_hello_ok(out, h, h->sig);
}

int
hello_ok_parse(struct rbuf *in, struct hello_ok *h)
{
	struct hello_ok got = { 0 };
	int rc;

	if ((rc = rbuf_u16(in, &got.version)) != RC_OK ||
	    (rc = rbuf_u64(in, &got.features)) != RC_OK ||
	    (rc = rbuf_bytes(in, got.nonce, sizeof(got.nonce))) != RC_OK ||
	    (rc = rbuf_u32(in, &got.frame_max)) != RC_OK ||
	    (rc = rbuf_u16(in, &got.ids_max)) != RC_OK ||
	    (rc = proto_text(in, got.id, sizeof(got.id))) != RC_OK ||
	    (rc = rbuf_bytes(in, got.identity,
	    sizeof(got.identity))) != RC_OK ||
	    (rc = rbuf_u8(in, &got.signed_)) != RC_OK ||
	    (rc = rbuf_bytes(in, got.sig, sizeof(got.sig))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got.version == 0 || got.ids_max == 0 || got.signed_ > 1 ||
	    got.frame_max < PROTO_PRELOGIN_MAX)
		return RC_RANGE;
	*h = got;
	return RC_OK;
}

int
hello_sign_text(struct wbuf *out, const uint8_t *hello, size_t hello_len,
    const struct hello_ok *ok)
{
	static const uint8_t no_sig[ED25519_SIG_LEN];
	uint8_t hash[SHA256_LEN];
	int rc;

	if ((rc = sha256(hello, hello_len, hash)) != RC_OK) {
		fail(out, rc);
		return rc;
	}
	put_domain(out, "sg1 hello");
	wbuf_bytes(out, hash, sizeof(hash));
	put_hello_ok(out, ok, no_sig);
	return wbuf_rc(out);
}

static int
hash_blob(struct mac *m, const uint8_t *p, size_t n)
{
	uint8_t len[4];
	int rc;

	if (n > UINT32_MAX)
		return RC_LIMIT;
	for (int i = 0; i < 4; i++)
		len[i] = (uint8_t)(n >> (24 - 8 * i));
	if ((rc = mac_add(m, len, sizeof(len))) != RC_OK)
		return rc;
	return mac_add(m, p, n);
}

int
hellos_hash(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
    uint8_t out[32])
{
	struct mac *m;
	int rc;

	if ((m = mac_new_sha256()) == NULL)
		return RC_NOMEM;
	if ((rc = mac_begin(m)) == RC_OK &&
	    (rc = hash_blob(m, a, a_len)) == RC_OK &&
	    (rc = hash_blob(m, b, b_len)) == RC_OK)
		rc = mac_end(m, out);
	mac_free(m);
	return rc;
}

void
auth_put(struct wbuf *out, const struct auth *a)
{
	wbuf_bytes(out, a->client, sizeof(a->client));
	wbuf_bytes(out, a->sig, sizeof(a->sig));
}

int
auth_parse(struct rbuf *in, struct auth *a)
{
	struct auth got = { 0 };
	int rc;

	if ((rc = rbuf_bytes(in, got.client, sizeof(got.client))) != RC_OK ||
	    (rc = rbuf_bytes(in, got.sig, sizeof(got.sig))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	*a = got;
	return RC_OK;
}

void
auth_sign_text(struct wbuf *out, const uint8_t hellos[32],
    const uint8_t exporter[32], const uint8_t identity_fp[32],
    const uint8_t client[16])
{
	put_domain(out, "sg1 auth");
	wbuf_bytes(out, hellos, 32);
	wbuf_bytes(out, exporter, 32);
	wbuf_bytes(out, identity_fp, 32);
	wbuf_bytes(out, client, 16);
}

void
auth_ok_put(struct wbuf *out, const struct auth_ok *a)
{
	wbuf_bytes(out, a->vault, sizeof(a->vault));
	wbuf_bytes(out, a->instance, sizeof(a->instance));
	wbuf_u32(out, a->rights);
	wbuf_i64(out, a->wall_ns);
	wbuf_u64(out, a->vault_clock);
	wbuf_u64(out, a->vault_seq);
	wbuf_u16(out, a->connections);
	wbuf_u32(out, a->credit_put);
	wbuf_u32(out, a->credit_have);
	wbuf_u32(out, a->credit_get);
	wbuf_str(out, a->name);
}

/* Rights that this version does not know are the server's to grant and not
 * ours to use, so they pass. */
int
auth_ok_parse(struct rbuf *in, struct auth_ok *a)
{
	struct auth_ok got = { 0 };
	int rc;

	if ((rc = rbuf_bytes(in, got.vault, sizeof(got.vault))) != RC_OK ||
	    (rc = rbuf_bytes(in, got.instance,
	    sizeof(got.instance))) != RC_OK ||
	    (rc = rbuf_u32(in, &got.rights)) != RC_OK ||
	    (rc = rbuf_i64(in, &got.wall_ns)) != RC_OK ||
	    (rc = rbuf_u64(in, &got.vault_clock)) != RC_OK ||
	    (rc = rbuf_u64(in, &got.vault_seq)) != RC_OK ||
	    (rc = rbuf_u16(in, &got.connections)) != RC_OK ||
	    (rc = rbuf_u32(in, &got.credit_put)) != RC_OK ||
	    (rc = rbuf_u32(in, &got.credit_have)) != RC_OK ||
	    (rc = rbuf_u32(in, &got.credit_get)) != RC_OK ||
	    (rc = proto_text(in, got.name, sizeof(got.name))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got.connections == 0)
		return RC_RANGE;
	*a = got;
	return RC_OK;
}

void
enrol_put(struct wbuf *out, const struct enrol *e)
{
	wbuf_bytes(out, e->token, sizeof(e->token));
	wbuf_bytes(out, e->client_key, sizeof(e->client_key));
	wbuf_bytes(out, e->mac, sizeof(e->mac));
}

int
enrol_parse(struct rbuf *in, struct enrol *e)
{
	struct enrol got = { 0 };
	int rc;

	if ((rc = rbuf_bytes(in, got.token, sizeof(got.token))) != RC_OK ||
	    (rc = rbuf_bytes(in, got.client_key,
	    sizeof(got.client_key))) != RC_OK ||
	    (rc = rbuf_bytes(in, got.mac, sizeof(got.mac))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	*e = got;
	return RC_OK;
}

int
enrol_mac(const struct secret *token_secret, const uint8_t hellos[32],
    const uint8_t exporter[32], const uint8_t client_key[ED25519_LEN],
    uint8_t mac[32])
{
	struct wbuf text = WBUF_INIT(256);
	int rc;

	put_domain(&text, "sg1 enrol");
	wbuf_bytes(&text, hellos, 32);
	wbuf_bytes(&text, exporter, 32);
	wbuf_bytes(&text, client_key, ED25519_LEN);
	if ((rc = wbuf_rc(&text)) == RC_OK)
		rc = hmac_sha256(token_secret->b, sizeof(token_secret->b),
		    text.data, text.len, mac);
	wbuf_free(&text);
	return rc;
}

void
enrol_ok_put(struct wbuf *out, const struct enrol_ok *e)
{
	wbuf_bytes(out, e->client, sizeof(e->client));
	wbuf_bytes(out, e->vault, sizeof(e->vault));
	wbuf_bytes(out, e->instance, sizeof(e->instance));
	wbuf_bytes(out, e->identity, sizeof(e->identity));
	wbuf_u8(out, e->existing);
	wbuf_str(out, e->name);
}

int
enrol_ok_parse(struct rbuf *in, struct enrol_ok *e)
{
	struct enrol_ok got = { 0 };
	int rc;

	if ((rc = rbuf_bytes(in, got.client, sizeof(got.client))) != RC_OK ||
	    (rc = rbuf_bytes(in, got.vault, sizeof(got.vault))) != RC_OK ||
	    (rc = rbuf_bytes(in, got.instance,
	    sizeof(got.instance))) != RC_OK ||
	    (rc = rbuf_bytes(in, got.identity,
	    sizeof(got.identity))) != RC_OK ||
	    (rc = rbuf_u8(in, &got.existing)) != RC_OK ||
	    (rc = proto_text(in, got.name, sizeof(got.name))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got.existing > 1)
		return RC_RANGE;
	*e = got;
	return RC_OK;
}
