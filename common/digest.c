#include "config.h"

#include "common/digest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "common/num.h"
#include "common/rc.h"

#define SHA256_BLOCK	64
#define SCRYPT_MEM_MAX	(1ull << 30)	/* bytes */

/*
 * Fetched once: a fetch takes locks and searches providers, several times the
 * cost of hashing a small object.
 */
static const EVP_MD *md;
static pthread_once_t md_once = PTHREAD_ONCE_INIT;

struct mac {
	EVP_MD_CTX	*now;
	EVP_MD_CTX	*inner, *outer;		/* after one block of pad */
};

/* openssl.cnf may name files and engines; a confined role opens none, and
 * leaves without the library's tidying up at exit. */
void
digest_library(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG |
	    OPENSSL_INIT_NO_ATEXIT, NULL);
}

static void
md_fetch(void)
{
	digest_library();
	md = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static int
md_ready(void)
{
	pthread_once(&md_once, md_fetch);
	return md != NULL ? RC_OK : RC_CRYPTO;
}

/*
 * Everything once, the failures too, since the library makes its error tables
 * when the first error comes.  Each "once", here and in there, ends with a
 * futex call that a role's filter need not allow.
 */
int
digest_setup(void)
{
	struct secret key = { { 0 } };
	uint8_t pub[ED25519_LEN], sig[ED25519_SIG_LEN], out[1] = { 0 };
	struct aead *a = NULL;
	int rc;

	crc32c(0, out, 0);
	if ((rc = md_ready()) != RC_OK ||
	    (rc = ed25519_public(&key, pub)) != RC_OK ||
	    (rc = ed25519_sign(&key, out, 1, sig)) != RC_OK ||
	    (rc = ed25519_verify(pub, out, 1, sig)) != RC_OK)
		return rc;
	sig[0] ^= 1;
	if (ed25519_verify(pub, out, 1, sig) == RC_OK ||
	    (a = aead_new()) == NULL ||
	    aead_open(a, key.b, NULL, 0, NULL, 0, out, 1, out, sig) == RC_OK)
		rc = RC_CRYPTO;
	aead_free(a);
	ERR_clear_error();
	return rc;
}

int
sha256(const void *p, size_t n, uint8_t out[SHA256_LEN])
{
	int rc;

	if ((rc = md_ready()) != RC_OK)
		return rc;
	return EVP_Digest(p, n, out, NULL, md, NULL) == 1 ? RC_OK : RC_CRYPTO;
}

static int
pad_start(EVP_MD_CTX *ctx, const uint8_t key[SHA256_BLOCK], uint8_t pad)
{
	uint8_t block[SHA256_BLOCK];
	int ok;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = key[i] ^ pad;
	ok = EVP_DigestInit_ex2(ctx, md, NULL) == 1 &&
	    EVP_DigestUpdate(ctx, block, sizeof(block)) == 1;
	secret_wipe(block, sizeof(block));
	return ok ? RC_OK : RC_CRYPTO;
}

/* RFC 2104, with both pads hashed ahead: a message then costs two copies of a
 * small state instead of two more blocks and a set-up. */
static int
mac_set_key(struct mac *m, const void *key, size_t len)
{
	uint8_t block[SHA256_BLOCK] = { 0 };
	int rc = RC_OK;

	if (len > sizeof(block))
		rc = sha256(key, len, block);
	else if (len != 0)
		memcpy(block, key, len);
	if (rc == RC_OK &&
	    (rc = pad_start(m->inner, block, 0x36)) == RC_OK)
		rc = pad_start(m->outer, block, 0x5c);
	secret_wipe(block, sizeof(block));
	return rc;
}

struct mac *
mac_new_sha256(void)
{
	struct mac *m;

	if (md_ready() != RC_OK || (m = calloc(1, sizeof(*m))) == NULL)
		return NULL;
	if ((m->now = EVP_MD_CTX_new()) == NULL) {
		mac_free(m);
		return NULL;
	}
	return m;
}

static struct mac *
mac_new_bytes(const void *key, size_t len)
{
	struct mac *m;

	if ((m = mac_new_sha256()) == NULL)
		return NULL;
	if ((m->inner = EVP_MD_CTX_new()) == NULL ||
	    (m->outer = EVP_MD_CTX_new()) == NULL ||
	    mac_set_key(m, key, len) != RC_OK) {
		mac_free(m);
		return NULL;
	}
	return m;
}

struct mac *
mac_new(const struct secret *key)
{
	return mac_new_bytes(key->b, sizeof(key->b));
}

void
mac_free(struct mac *m)
{
	if (m == NULL)
		return;
	EVP_MD_CTX_free(m->now);	/* the library wipes the states */
	EVP_MD_CTX_free(m->inner);
	EVP_MD_CTX_free(m->outer);
	free(m);
}

int
mac_begin(struct mac *m)
{
	int ok;

	if (m->inner != NULL)
		ok = EVP_MD_CTX_copy_ex(m->now, m->inner);
	else
		ok = EVP_DigestInit_ex2(m->now, md, NULL);
	return ok == 1 ? RC_OK : RC_CRYPTO;
}

int
mac_add(struct mac *m, const void *p, size_t n)
{
	if (n == 0)
		return RC_OK;
	return EVP_DigestUpdate(m->now, p, n) == 1 ? RC_OK : RC_CRYPTO;
}

int
mac_end(struct mac *m, uint8_t out[SHA256_LEN])
{
	uint8_t inner[SHA256_LEN];
	int ok;

	if (EVP_DigestFinal_ex(m->now, inner, NULL) != 1)
		return RC_CRYPTO;
	if (m->outer == NULL) {
		memcpy(out, inner, sizeof(inner));
		return RC_OK;
	}
	ok = EVP_MD_CTX_copy_ex(m->now, m->outer) == 1 &&
	    EVP_DigestUpdate(m->now, inner, sizeof(inner)) == 1 &&
	    EVP_DigestFinal_ex(m->now, out, NULL) == 1;
	secret_wipe(inner, sizeof(inner));
	return ok ? RC_OK : RC_CRYPTO;
}

int
hmac_sha256(const void *key, size_t key_len, const void *p, size_t n,
    uint8_t out[SHA256_LEN])
{
	struct mac *m;
	int rc;

	if ((m = mac_new_bytes(key, key_len)) == NULL)
		return RC_CRYPTO;
	if ((rc = mac_begin(m)) == RC_OK && (rc = mac_add(m, p, n)) == RC_OK)
		rc = mac_end(m, out);
	mac_free(m);
	return rc;
}

/* RFC 5869; one block of output, so the counter is always 1. */
int
hkdf_sha256(const struct secret *ikm, const void *salt, size_t salt_len,
    const char *info, const void *info2, size_t info2_len, struct secret *out)
{
	static const uint8_t counter = 1;
	struct secret prk;
	struct mac *m = NULL;
	int rc;

	if ((rc = hmac_sha256(salt, salt_len, ikm->b, sizeof(ikm->b),
	    prk.b)) != RC_OK)
		goto out;
	if ((m = mac_new(&prk)) == NULL) {
		rc = RC_CRYPTO;
		goto out;
	}
	if ((rc = mac_begin(m)) != RC_OK ||
	    (rc = mac_add(m, info, strlen(info))) != RC_OK ||
	    (rc = mac_add(m, info2, info2_len)) != RC_OK ||
	    (rc = mac_add(m, &counter, 1)) != RC_OK)
		goto out;
	rc = mac_end(m, out->b);
out:
	mac_free(m);
	secret_clear(&prk);
	return rc;
}

int
scrypt_derive(const char *pass, size_t pass_len, const void *salt,
    size_t salt_len, uint64_t n, uint32_t r, uint32_t p, struct secret *out)
{
	size_t mem;

	/* The parameters come out of a stored record: bound them before the
	 * library makes room.  128 * r * (n + p + 2) is what it takes. */
	if (n < 2 || (n & (n - 1)) != 0 || r == 0 || p == 0 ||
	    n > SCRYPT_MEM_MAX || r > SCRYPT_MEM_MAX || p > SCRYPT_MEM_MAX)
		return RC_RANGE;
	if (!size_mul(128u * (size_t)r, (size_t)n + p + 2, &mem) ||
	    mem > SCRYPT_MEM_MAX)
		return RC_LIMIT;
	return EVP_PBE_scrypt(pass, pass_len, salt, salt_len, n, r, p,
	    mem + 4096, out->b, sizeof(out->b)) == 1 ? RC_OK : RC_CRYPTO;
}

static EVP_PKEY *
ed25519_private(const struct secret *priv)
{
	return EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, priv->b,
	    sizeof(priv->b));
}

int
ed25519_public(const struct secret *priv, uint8_t pub[ED25519_LEN])
{
	EVP_PKEY *key;
	size_t len = ED25519_LEN;
	int ok;

	if ((key = ed25519_private(priv)) == NULL)
		return RC_CRYPTO;
	ok = EVP_PKEY_get_raw_public_key(key, pub, &len);
	EVP_PKEY_free(key);
	return ok == 1 && len == ED25519_LEN ? RC_OK : RC_CRYPTO;
}

/* RFC 8032: any 32 random bytes are a private key, so the library's own random
 * generator, which opens things, stays unused. */
int
ed25519_new(struct secret *priv, uint8_t pub[ED25519_LEN])
{
	int rc;

	if ((rc = secret_random(priv->b, sizeof(priv->b))) != RC_OK ||
	    (rc = ed25519_public(priv, pub)) != RC_OK)
		secret_clear(priv);
	return rc;
}

int
ed25519_sign(const struct secret *priv, const void *p, size_t n,
    uint8_t sig[ED25519_SIG_LEN])
{
	EVP_MD_CTX *ctx = NULL;
	EVP_PKEY *key;
	size_t len = ED25519_SIG_LEN;
	int ok;

	if ((key = ed25519_private(priv)) == NULL)
		return RC_CRYPTO;
	ok = (ctx = EVP_MD_CTX_new()) != NULL &&
	    EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) ==
	    1 && EVP_DigestSign(ctx, sig, &len, p, n) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ok && len == ED25519_SIG_LEN ? RC_OK : RC_CRYPTO;
}

int
ed25519_verify(const uint8_t pub[ED25519_LEN], const void *p, size_t n,
    const uint8_t sig[ED25519_SIG_LEN])
{
	EVP_MD_CTX *ctx = NULL;
	EVP_PKEY *key;
	int ok;

	key = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, pub,
	    ED25519_LEN);
	ok = key != NULL && (ctx = EVP_MD_CTX_new()) != NULL &&
	    EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) ==
	    1 && EVP_DigestVerify(ctx, sig, ED25519_SIG_LEN, p, n) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ok ? RC_OK : RC_CRYPTO;
}
