#include "config.h"

#include "server/keyd/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "common/io.h"
#include "common/rc.h"

#define FILE_BACKUP	"backup.key"
#define FILE_CERT	"backup.crt"
#define FILE_IDENTITY	"identity.key"
#define FILE_MAX	16384

/* Clients look at the key alone; these only have to be legal. */
#define CERT_NAME	"storegrid"
#define CERT_FROM	"20000101000000Z"
#define CERT_UNTIL	"99991231235959Z"	/* RFC 5280 4.1.2.5: no end */

struct keys {
	EVP_PKEY	*backup;
	uint8_t		*cert;
	int		 cert_len;
	uint8_t		 spki[SHA256_LEN];
	struct secret	 identity;
	uint8_t		 identity_pub[ED25519_LEN];
};

void
keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->backup);
	OPENSSL_free(k->cert);
	secret_clear(&k->identity);
	free(k);
}

static int
cert_fill(X509 *x, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(x);
	uint8_t serial[8];
	uint64_t v = 0;

	if (RAND_bytes(serial, sizeof(serial)) != 1)
		return RC_CRYPTO;
	serial[0] = (serial[0] & 0x7f) | 0x40;	/* positive, never short */
	for (size_t i = 0; i < sizeof(serial); i++)
		v = v << 8 | serial[i];
	if (X509_set_version(x, X509_VERSION_3) != 1 ||
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), v) != 1 ||
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)CERT_NAME, -1, -1, 0) != 1 ||
	    X509_set_issuer_name(x, name) != 1 ||
	    ASN1_TIME_set_string(X509_getm_notBefore(x), CERT_FROM) != 1 ||
	    ASN1_TIME_set_string(X509_getm_notAfter(x), CERT_UNTIL) != 1 ||
	    X509_set_pubkey(x, key) != 1 ||
	    X509_sign(x, key, EVP_sha256()) <= 0)
		return RC_CRYPTO;
	return RC_OK;
}

static int
spki_of(X509 *x, uint8_t out[SHA256_LEN])
{
	uint8_t *der = NULL;
	int n, rc = RC_CRYPTO;

	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	if (n > 0)
		rc = sha256(der, (size_t)n, out);
	OPENSSL_free(der);
	return rc;
}

/* x is what the file held, or NULL; *made says that it was made anew. */
static int
cert_take(struct keys *k, X509 *x, X509 **made)
{
	int rc;

	*made = NULL;
	if (x == NULL) {
		if ((x = *made = X509_new()) == NULL)
			return RC_NOMEM;
		if ((rc = cert_fill(x, k->backup)) != RC_OK)
			return rc;
	}
	if (X509_check_private_key(x, k->backup) != 1)
		return RC_CRYPTO;
	k->cert_len = i2d_X509(x, &k->cert);
	if (k->cert_len <= 0)
		return RC_CRYPTO;
	return spki_of(x, k->spki);
}

int
keys_make(struct keys **out)
{
	struct keys *k = calloc(1, sizeof(*k));
	X509 *made = NULL;
	int rc;

	*out = NULL;
	if (k == NULL)
		return RC_NOMEM;
	if ((k->backup = EVP_EC_gen("P-256")) == NULL) {
		rc = RC_CRYPTO;
		goto out;
	}
	if ((rc = ed25519_new(&k->identity, k->identity_pub)) != RC_OK ||
	    (rc = cert_take(k, NULL, &made)) != RC_OK)
		goto out;
	*out = k;
	k = NULL;
out:
	X509_free(made);
	keys_free(k);
	return rc;
}

/* --- files --- */

static int
write_bio(int dirfd, const char *name, BIO *b, mode_t mode)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);
	int rc;

	if (n <= 0)
		return RC_CRYPTO;
	rc = io_write_file(dirfd, name, p, (size_t)n, mode);
	secret_wipe(p, (size_t)n);
	return rc;
}

static int
write_key(int dirfd, const char *name, EVP_PKEY *key)
{
	BIO *b = BIO_new(BIO_s_mem());
	int rc = RC_CRYPTO;

	if (b != NULL && PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0,
	    NULL, NULL) == 1)
		rc = write_bio(dirfd, name, b, 0600);
	BIO_free(b);
	return rc;
}

/* An encrypted file must not make a daemon ask for a password. */
static int
no_password(char *buf, int size, int rw, void *arg)
{
	(void)buf;
	(void)size;
	(void)rw;
	(void)arg;
	return -1;
}

static int
read_key(int dirfd, const char *name, EVP_PKEY **key)
{
	uint8_t *p = NULL;
	size_t n = 0;
	BIO *b;
	int rc;

	*key = NULL;
	if ((rc = io_read_file(dirfd, name, &p, &n, FILE_MAX)) != RC_OK)
		return rc;
	b = BIO_new_mem_buf(p, (int)n);
	if (b != NULL)
		*key = PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);
	BIO_free(b);
	if (p != NULL)
		secret_wipe(p, n);
	free(p);
	return *key != NULL ? RC_OK : RC_CORRUPT;
}

static int
open_backup(struct keys *k, int dirfd, bool make)
{
	char group[32];
	size_t n;
	int rc;

	rc = read_key(dirfd, FILE_BACKUP, &k->backup);
	if (rc == RC_NOENT && make) {
		if ((k->backup = EVP_EC_gen("P-256")) == NULL)
			return RC_CRYPTO;
		rc = write_key(dirfd, FILE_BACKUP, k->backup);
	}
	if (rc != RC_OK)
		return rc;
	if (EVP_PKEY_get_group_name(k->backup, group, sizeof(group), &n) != 1 ||
	    strcmp(group, "prime256v1") != 0)
		return RC_UNSUPPORTED;
	return RC_OK;
}

static int
open_identity(struct keys *k, int dirfd, bool make)
{
	size_t n = sizeof(k->identity.b);
	EVP_PKEY *key = NULL;
	int rc;

	rc = read_key(dirfd, FILE_IDENTITY, &key);
	if (rc == RC_NOENT && make) {
		if ((key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")) == NULL)
			return RC_CRYPTO;
		rc = write_key(dirfd, FILE_IDENTITY, key);
	}
	if (rc == RC_OK && (!EVP_PKEY_is_a(key, "ED25519") ||
	    EVP_PKEY_get_raw_private_key(key, k->identity.b, &n) != 1 ||
	    n != sizeof(k->identity.b)))
		rc = RC_UNSUPPORTED;
	if (rc == RC_OK)
		rc = ed25519_public(&k->identity, k->identity_pub);
	EVP_PKEY_free(key);
	return rc;
}

static int
open_cert(struct keys *k, int dirfd)
{
	X509 *x = NULL, *made = NULL;
	uint8_t *p = NULL;
	BIO *b = NULL;
	size_t n = 0;
	int rc;

	rc = io_read_file(dirfd, FILE_CERT, &p, &n, FILE_MAX);
	if (rc == RC_OK) {
		if ((b = BIO_new_mem_buf(p, (int)n)) != NULL)
			x = PEM_read_bio_X509(b, NULL, no_password, NULL);
		if (x == NULL)
			rc = RC_CORRUPT;
	}
	if (rc != RC_OK && rc != RC_NOENT)
		goto out;
	if ((rc = cert_take(k, x, &made)) != RC_OK || made == NULL)
		goto out;
	BIO_free(b);
	rc = RC_CRYPTO;
	if ((b = BIO_new(BIO_s_mem())) != NULL &&
	    PEM_write_bio_X509(b, made) == 1)
		rc = write_bio(dirfd, FILE_CERT, b, 0600);
out:
	BIO_free(b);
	X509_free(x);
	X509_free(made);
	free(p);
	return rc;
}

int
keys_open(struct keys **out, int dirfd, bool make, char *why, size_t why_size)
{
	struct keys *k = calloc(1, sizeof(*k));
	const char *file;
	int rc = RC_NOMEM;

	*out = NULL;
	snprintf(why, why_size, "%s", rc_str(rc));
	if (k == NULL)
		return rc;
	if ((rc = open_identity(k, dirfd, make)) != RC_OK)
		file = FILE_IDENTITY;
	else if ((rc = open_backup(k, dirfd, make)) != RC_OK)
		file = FILE_BACKUP;
	else if ((rc = open_cert(k, dirfd)) != RC_OK)
		file = FILE_CERT;
	ERR_clear_error();
	if (rc != RC_OK) {
		snprintf(why, why_size, "%s: %s", file, rc_str(rc));
		keys_free(k);
		return rc;
	}
	*out = k;
	return RC_OK;
}

/* --- use --- */

const uint8_t *
keys_identity(const struct keys *k)
{
	return k->identity_pub;
}

const uint8_t *
keys_spki(const struct keys *k)
{
	return k->spki;
}

const uint8_t *
keys_cert(const struct keys *k, size_t *len)
{
	*len = (size_t)k->cert_len;
	return k->cert;
}

int
keys_sign_backup(const struct keys *k, const void *p, size_t n, uint8_t *sig,
    size_t *sig_len)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int rc = RC_CRYPTO;

	if (md != NULL &&
	    EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, k->backup) == 1 &&
	    EVP_DigestSign(md, sig, sig_len, p, n) == 1)
		rc = RC_OK;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return rc;
}

int
keys_sign_identity(const struct keys *k, const void *p, size_t n,
    uint8_t sig[ED25519_SIG_LEN])
{
	return ed25519_sign(&k->identity, p, n, sig);
}
