#include "config.h"

#include "common/digest.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "common/rc.h"

/*
 * Two contexts per thread, one a direction, that keep the cipher: a message
 * costs a new key schedule and nothing is allocated.
 */
struct aead {
	EVP_CIPHER_CTX	*seal;
	EVP_CIPHER_CTX	*open;
};

static const uint8_t zero_nonce[12];

static const EVP_CIPHER *cipher;
static pthread_once_t cipher_once = PTHREAD_ONCE_INIT;

static void
cipher_fetch(void)
{
	digest_library();
	cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

struct aead *
aead_new(void)
{
	struct aead *a;

	pthread_once(&cipher_once, cipher_fetch);
	if (cipher == NULL || (a = calloc(1, sizeof(*a))) == NULL)
		return NULL;
	if ((a->seal = EVP_CIPHER_CTX_new()) == NULL ||
	    (a->open = EVP_CIPHER_CTX_new()) == NULL ||
	    EVP_EncryptInit_ex2(a->seal, cipher, NULL, NULL, NULL) != 1 ||
	    EVP_DecryptInit_ex2(a->open, cipher, NULL, NULL, NULL) != 1) {
		aead_free(a);
		return NULL;
	}
	return a;
}

void
aead_free(struct aead *a)
{
	if (a == NULL)
		return;
	EVP_CIPHER_CTX_free(a->seal);	/* the library wipes the key schedule */
	EVP_CIPHER_CTX_free(a->open);
	free(a);
}

/* EVP counts in int, and takes no part without bytes. */
static int
update(EVP_CIPHER_CTX *ctx, uint8_t *out, const void *p, size_t n)
{
	int len = 0;

	if (n == 0)
		return RC_OK;
	if (EVP_CipherUpdate(ctx, out, &len, p, (int)n) != 1 ||
	    (size_t)len != n)
		return RC_CRYPTO;
	return RC_OK;
}

static int
run(EVP_CIPHER_CTX *ctx, const void *aad1, size_t aad1_len, const void *aad2,
    size_t aad2_len, const void *in, size_t n, void *out)
{
	int rc;

	if (aad1_len > INT_MAX || aad2_len > INT_MAX || n > INT_MAX)
		return RC_LIMIT;
	if ((rc = update(ctx, NULL, aad1, aad1_len)) != RC_OK ||
	    (rc = update(ctx, NULL, aad2, aad2_len)) != RC_OK)
		return rc;
	return update(ctx, out, in, n);
}

int
aead_seal(struct aead *a, const uint8_t key[32], const void *aad1,
    size_t aad1_len, const void *aad2, size_t aad2_len, const void *in,
    size_t n, void *out, uint8_t tag[GCM_TAG_LEN])
{
	uint8_t none[GCM_TAG_LEN];
	int len, rc;

	if (EVP_EncryptInit_ex2(a->seal, NULL, key, zero_nonce, NULL) != 1)
		return RC_CRYPTO;
	if ((rc = run(a->seal, aad1, aad1_len, aad2, aad2_len, in, n,
	    out)) != RC_OK)
		return rc;
	if (EVP_EncryptFinal_ex(a->seal, none, &len) != 1 || len != 0 ||
	    EVP_CIPHER_CTX_ctrl(a->seal, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_LEN,
	    tag) != 1)
		return RC_CRYPTO;
	return RC_OK;
}

int
aead_open(struct aead *a, const uint8_t key[32], const void *aad1,
    size_t aad1_len, const void *aad2, size_t aad2_len, const void *in,
    size_t n, void *out, const uint8_t tag[GCM_TAG_LEN])
{
	uint8_t none[GCM_TAG_LEN];
	int len, rc;

	if (EVP_DecryptInit_ex2(a->open, NULL, key, zero_nonce, NULL) != 1)
		return RC_CRYPTO;
	if ((rc = run(a->open, aad1, aad1_len, aad2, aad2_len, in, n,
	    out)) == RC_OK &&
	    (EVP_CIPHER_CTX_ctrl(a->open, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN,
	    (void *)(uintptr_t)tag) != 1 ||
	    EVP_DecryptFinal_ex(a->open, none, &len) != 1))
		rc = RC_CRYPTO;
	/* Nothing that was not authentic may be looked at. */
	if (rc != RC_OK && n <= INT_MAX)
		secret_wipe(out, n);
	return rc;
}
