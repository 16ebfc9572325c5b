#ifndef COMMON_TLS_PROVIDER_H
#define COMMON_TLS_PROVIDER_H

#include <openssl/evp.h>
#include <openssl/types.h>

#include "common/tls.h"

/*
 * A small OpenSSL provider whose EC key has only a public half: to sign, it
 * hands the whole text to `sign`.  OpenSSL's older key methods would hand over
 * a digest, which keyd could not tell from any other (security: keyd insists on
 * the shape of a CertificateVerify).
 */

/* Register and load it in this library context, after the default provider.
 * NULL when that fails; the caller unloads it before the context is freed. */
OSSL_PROVIDER *tls_provider_load(OSSL_LIB_CTX *lib);
/* The key behind `sign`, with the public half of pub (P-256).  Caller frees. */
EVP_PKEY *tls_provider_key(OSSL_LIB_CTX *lib, EVP_PKEY *pub, tls_sign *sign,
	    void *arg);

#endif
