#ifndef COMMON_DIGEST_H
#define COMMON_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "common/secret.h"

#define SHA256_LEN	32
#define ED25519_LEN	32	/* public and private key */
#define ED25519_SIG_LEN	64
#define GCM_TAG_LEN	16

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4); crc is 0 or an earlier result. */
uint32_t	crc32c(uint32_t crc, const void *p, size_t n);
/* The same without the processor's instruction; for machines that lack it. */
uint32_t	crc32c_tables(uint32_t crc, const void *p, size_t n);

/*
 * Use each of what follows once.  A role that uses any calls this before its
 * sandbox: afterwards nothing is looked for on disk and nothing is set up any
 * more.  RC_CRYPTO when the library cannot do it.
 */
int	digest_setup(void);
/* Start the library without its configuration file; done by all of these. */
void	digest_library(void);

/* One-shot digests.  RC_OK or RC_CRYPTO. */
int	sha256(const void *p, size_t n, uint8_t out[SHA256_LEN]);
int	hmac_sha256(const void *key, size_t key_len, const void *p, size_t n,
	    uint8_t out[SHA256_LEN]);
/* HKDF-SHA-256 (RFC 5869), 32 bytes out. */
int	hkdf_sha256(const struct secret *ikm, const void *salt, size_t salt_len,
	    const char *info, const void *info2, size_t info2_len,
	    struct secret *out);
/* scrypt (RFC 7914). */
int	scrypt_derive(const char *pass, size_t pass_len, const void *salt,
	    size_t salt_len, uint64_t n, uint32_t r, uint32_t p,
	    struct secret *out);

/*
 * Streaming SHA-256 and HMAC-SHA-256 with a reusable context: for many objects
 * under one key, without setting a key up anew each time.
 */
struct mac;				/* one thread at a time */
struct mac	*mac_new(const struct secret *key);	/* NULL: no memory */
struct mac	*mac_new_sha256(void);			/* unkeyed */
void	mac_free(struct mac *m);
int	mac_begin(struct mac *m);
int	mac_add(struct mac *m, const void *p, size_t n);
int	mac_end(struct mac *m, uint8_t out[SHA256_LEN]);

/*
 * AES-256-GCM, nonce of 12 zero bytes: only for keys that seal one message
 * (FORMAT "Object").  struct aead is a reusable context for one thread.
 */
struct aead;
struct aead	*aead_new(void);
void	aead_free(struct aead *a);
int	aead_seal(struct aead *a, const uint8_t key[32],
	    const void *aad1, size_t aad1_len, const void *aad2, size_t aad2_len,
	    const void *in, size_t n, void *out, uint8_t tag[GCM_TAG_LEN]);
/* RC_CRYPTO when the tag is wrong; out is then wiped. */
int	aead_open(struct aead *a, const uint8_t key[32],
	    const void *aad1, size_t aad1_len, const void *aad2, size_t aad2_len,
	    const void *in, size_t n, void *out, const uint8_t tag[GCM_TAG_LEN]);

/* Ed25519 (RFC 8032), raw keys. */
int	ed25519_new(struct secret *priv, uint8_t pub[ED25519_LEN]);
int	ed25519_public(const struct secret *priv, uint8_t pub[ED25519_LEN]);
int	ed25519_sign(const struct secret *priv, const void *p, size_t n,
	    uint8_t sig[ED25519_SIG_LEN]);
int	ed25519_verify(const uint8_t pub[ED25519_LEN], const void *p, size_t n,
	    const uint8_t sig[ED25519_SIG_LEN]);	/* RC_CRYPTO: not signed so */

#endif
