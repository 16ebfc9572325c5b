#include "config.h"

#include "common/tls_provider.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "common/rc.h"
#include "common/secret.h"

#define PROVIDER_NAME	"storegrid"
#define PROVIDER_PROPS	"provider=storegrid"
/* Not "ECDSA": a name of our own keeps OpenSSL from exporting the public half
 * to the default provider and trying to sign there. */
#define SIGNATURE_NAME	"STOREGRID-KEYD"
#define PARAM_SIGNER	"storegrid-signer"

#define POINT_LEN	65		/* uncompressed P-256 */
#define TEXT_MAX	256		/* a CertificateVerify has 130 or 146 */
#define SIG_MAX		72		/* DER of two 256-bit numbers */

struct signer {
	tls_sign	*sign;
	void		*arg;
};

struct pkey {
	uint8_t		 point[POINT_LEN];
	struct signer	 signer;	/* sign is NULL: public only */
};

struct sigctx {
	struct pkey	*key;		/* lives as long as the EVP_PKEY */
	uint8_t		 text[TEXT_MAX];
	size_t		 len;
};

/* --- the key --- */

static void *
key_new(void *provctx)
{
	(void)provctx;
	return calloc(1, sizeof(struct pkey));
}

static void
key_free(void *key)
{
	free(key);
}

static int
key_has(const void *keydata, int selection)
{
	const struct pkey *key = keydata;

	if (key == NULL)
		return 0;
	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 &&
	    key->signer.sign == NULL)
		return 0;
	return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) == 0 ||
	    key->point[0] == 0x04;
}

static int
key_match(const void *a, const void *b, int selection)
{
	const struct pkey *ka = a, *kb = b;

	(void)selection;
	return memcmp(ka->point, kb->point, POINT_LEN) == 0;
}

static int
key_import(void *keydata, int selection, const OSSL_PARAM params[])
{
	struct pkey *key = keydata;
	const OSSL_PARAM *p;
	char group[32], *gp = group;

	(void)selection;
	p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);
	if (p == NULL ||
	    OSSL_PARAM_get_utf8_string(p, &gp, sizeof(group)) != 1 ||
	    (strcmp(group, "prime256v1") != 0 && strcmp(group, "P-256") != 0))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PUB_KEY);
	if (p == NULL || p->data_type != OSSL_PARAM_OCTET_STRING ||
	    p->data_size != POINT_LEN || ((uint8_t *)p->data)[0] != 0x04)
		return 0;
	memcpy(key->point, p->data, POINT_LEN);
	p = OSSL_PARAM_locate_const(params, PARAM_SIGNER);
	if (p != NULL && p->data_size == sizeof(key->signer))
		memcpy(&key->signer, p->data, sizeof(key->signer));
	return 1;
}

static int
key_export(void *keydata, int selection, OSSL_CALLBACK *cb, void *arg)
{
	struct pkey *key = keydata;
	char group[] = "prime256v1";
	OSSL_PARAM params[3];

	/* there is no private half to give away */
	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
		return 0;
	params[0] = OSSL_PARAM_construct_utf8_string(
	    OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
	    key->point, POINT_LEN);
	params[2] = OSSL_PARAM_construct_end();
	return cb(params, arg);
}

static const OSSL_PARAM key_params[] = {
	OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
	OSSL_PARAM_END
};

static const OSSL_PARAM *
key_types(int selection)
{
	(void)selection;
	return key_params;
}

static int
set_int(OSSL_PARAM params[], const char *name, int v)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return p == NULL || OSSL_PARAM_set_int(p, v);
}

static int
set_text(OSSL_PARAM params[], const char *name, const char *v)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return p == NULL || OSSL_PARAM_set_utf8_string(p, v);
}

static int
key_get_params(void *keydata, OSSL_PARAM params[])
{
	struct pkey *key = keydata;
	OSSL_PARAM *p;

	if (!set_int(params, OSSL_PKEY_PARAM_BITS, 256) ||
	    !set_int(params, OSSL_PKEY_PARAM_SECURITY_BITS, 128) ||
	    !set_int(params, OSSL_PKEY_PARAM_MAX_SIZE, SIG_MAX) ||
	    !set_text(params, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1") ||
	    !set_text(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST, "SHA256"))
		return 0;
	p = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_PUB_KEY);
	return p == NULL ||
	    OSSL_PARAM_set_octet_string(p, key->point, POINT_LEN);
}

static const OSSL_PARAM *
key_gettable(void *provctx)
{
	static const OSSL_PARAM gettable[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_END
	};

	(void)provctx;
	return gettable;
}

static const char *
key_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? SIGNATURE_NAME : NULL;
}

#define FN(id, fn) { (id), (void (*)(void))(fn) }

static const OSSL_DISPATCH key_functions[] = {
	FN(OSSL_FUNC_KEYMGMT_NEW, key_new),
	FN(OSSL_FUNC_KEYMGMT_FREE, key_free),
	FN(OSSL_FUNC_KEYMGMT_HAS, key_has),
	FN(OSSL_FUNC_KEYMGMT_MATCH, key_match),
	FN(OSSL_FUNC_KEYMGMT_IMPORT, key_import),
	FN(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_types),
	FN(OSSL_FUNC_KEYMGMT_EXPORT, key_export),
	FN(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_types),
	FN(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),
	FN(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable),
	FN(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation),
	{ 0, NULL }
};

/* --- the signature --- */

static void *
sig_new(void *provctx, const char *propq)
{
	(void)provctx;
	(void)propq;
	return calloc(1, sizeof(struct sigctx));
}

static void
sig_free(void *ctx)
{
	if (ctx == NULL)
		return;
	secret_wipe(ctx, sizeof(struct sigctx));
	free(ctx);
}

static int
sig_init(void *vctx, const char *md, void *key, const OSSL_PARAM params[])
{
	struct sigctx *ctx = vctx;

	(void)params;
	if (md != NULL && OPENSSL_strcasecmp(md, "SHA256") != 0 &&
	    OPENSSL_strcasecmp(md, "SHA2-256") != 0)
		return 0;
	if (key != NULL)
		ctx->key = key;
	ctx->len = 0;
	return ctx->key != NULL && ctx->key->signer.sign != NULL;
}

static int
sig_one(void *vctx, unsigned char *sig, size_t *sig_len, size_t size,
    const unsigned char *text, size_t len)
{
	struct sigctx *ctx = vctx;
	size_t n = size;

	if (sig == NULL) {
		*sig_len = SIG_MAX;
		return 1;
	}
	if (ctx->key == NULL || ctx->key->signer.sign == NULL)
		return 0;
	if (ctx->key->signer.sign(ctx->key->signer.arg, text, len, sig,
	    &n) != RC_OK || n > size)
		return 0;
	*sig_len = n;
	return 1;
}

static int
sig_update(void *vctx, const unsigned char *text, size_t len)
{
	struct sigctx *ctx = vctx;

	if (len > sizeof(ctx->text) - ctx->len)
		return 0;
	memcpy(ctx->text + ctx->len, text, len);
	ctx->len += len;
	return 1;
}

static int
sig_final(void *vctx, unsigned char *sig, size_t *sig_len, size_t size)
{
	struct sigctx *ctx = vctx;

	return sig_one(ctx, sig, sig_len, size, ctx->text, ctx->len);
}

static const OSSL_DISPATCH sig_functions[] = {
	FN(OSSL_FUNC_SIGNATURE_NEWCTX, sig_new),
	FN(OSSL_FUNC_SIGNATURE_FREECTX, sig_free),
	FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, sig_init),
	FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, sig_update),
	FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, sig_final),
	FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, sig_one),
	{ 0, NULL }
};

/* --- the provider --- */

static const OSSL_ALGORITHM key_algorithms[] = {
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", PROVIDER_PROPS,
	    key_functions, "EC key whose private half is in keyd" },
	{ NULL, NULL, NULL, NULL }
};

static const OSSL_ALGORITHM sig_algorithms[] = {
	{ SIGNATURE_NAME, PROVIDER_PROPS, sig_functions, "signed by keyd" },
	{ NULL, NULL, NULL, NULL }
};

static const OSSL_ALGORITHM *
prov_query(void *provctx, int operation, int *no_cache)
{
	(void)provctx;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return key_algorithms;
	case OSSL_OP_SIGNATURE:
		return sig_algorithms;
	default:
		return NULL;
	}
}

static const OSSL_DISPATCH prov_functions[] = {
	FN(OSSL_FUNC_PROVIDER_QUERY_OPERATION, prov_query),
	{ 0, NULL }
};

static int
prov_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **provctx)
{
	(void)in;
	*provctx = (void *)handle;
	*out = prov_functions;
	return 1;
}

OSSL_PROVIDER *
tls_provider_load(OSSL_LIB_CTX *lib)
{
	if (OSSL_PROVIDER_add_builtin(lib, PROVIDER_NAME, prov_init) != 1)
		return NULL;
	return OSSL_PROVIDER_load(lib, PROVIDER_NAME);
}

EVP_PKEY *
tls_provider_key(OSSL_LIB_CTX *lib, EVP_PKEY *pub, tls_sign *sign, void *arg)
{
	struct signer signer = { sign, arg };
	char group[32] = "prime256v1";
	uint8_t point[POINT_LEN];
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *key = NULL;
	OSSL_PARAM params[4];
	size_t n;

	if (EVP_PKEY_get_octet_string_param(pub, OSSL_PKEY_PARAM_PUB_KEY,
	    point, sizeof(point), &n) != 1 || n != POINT_LEN)
		return NULL;
	params[0] = OSSL_PARAM_construct_utf8_string(
	    OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
	    point, n);
	params[2] = OSSL_PARAM_construct_octet_string(PARAM_SIGNER, &signer,
	    sizeof(signer));
	params[3] = OSSL_PARAM_construct_end();
	ctx = EVP_PKEY_CTX_new_from_name(lib, "EC", PROVIDER_PROPS);
	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}
