#include "config.h"

#include "common/tls.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/digest.h"
#include "common/rc.h"
#include "common/secret.h"
#include "common/tls_provider.h"

#define EXPORTER_LABEL	"EXPORTER-storegrid-1"
#define READ_BUFFER	(4 * SSL3_RT_MAX_PLAIN_LENGTH)	/* a read(2) */

struct tls_ctx {
	SSL_CTX		*ssl;
	OSSL_LIB_CTX	*lib;
	OSSL_PROVIDER	*builtin;	/* OpenSSL's own algorithms */
	OSSL_PROVIDER	*keyd;		/* server: the key that is elsewhere */
	BIO_METHOD	*bio;
	bool		 server;
	bool		 any;		/* client: no pin */
	uint8_t		 pin[32];
};

struct tls {
	SSL		*ssl;
	int		 fd;
	bool		 server;
	bool		 any;
	bool		 pin_wrong;
	bool		 eof;		/* the peer closed its TCP side */
	int		 first;		/* the first byte that came; -1 none yet */
	uint8_t		 pin[32];
	uint8_t		 spki[32];	/* client: of the server's certificate */
	char		 error[160];
};

/* --- the connection under OpenSSL: never blocks, never raises SIGPIPE --- */

static int
bio_send(BIO *b, const char *p, int n)
{
	struct tls *tls = BIO_get_data(b);
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p,
	    .iov_len = n > 0 ? (size_t)n : 0 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t w;

	BIO_clear_retry_flags(b);
	do
		w = sendmsg(tls->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (w == -1 && errno == EINTR);
	if (w == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		BIO_set_retry_write(b);
	return (int)w;
}

static int
bio_recv(BIO *b, char *p, int n)
{
	struct tls *tls = BIO_get_data(b);
	struct iovec iov = { .iov_base = p, .iov_len = n > 0 ? (size_t)n : 0 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	BIO_clear_retry_flags(b);
	do
		r = recvmsg(tls->fd, &mh, MSG_DONTWAIT);
	while (r == -1 && errno == EINTR);
	if (r == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		BIO_set_retry_read(b);
	else if (r <= 0)
		tls->eof = true;
	else if (tls->first == -1)
		tls->first = (uint8_t)p[0];
	return (int)r;
}

static long
bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	struct tls *tls = BIO_get_data(b);

	(void)num;
	(void)ptr;
	switch (cmd) {
	case BIO_CTRL_EOF:
		return tls->eof;
	case BIO_CTRL_FLUSH:
		return 1;
	default:
		return 0;
	}
}

static BIO_METHOD *
bio_method(void)
{
	BIO_METHOD *m;

	m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
	    "storegrid socket");
	if (m == NULL || BIO_meth_set_write(m, bio_send) != 1 ||
	    BIO_meth_set_read(m, bio_recv) != 1 ||
	    BIO_meth_set_ctrl(m, bio_ctrl) != 1) {
		BIO_meth_free(m);
		return NULL;
	}
	return m;
}

/* --- contexts --- */

/* No configuration file, and everything that is loaded late is loaded now: the
 * roles that use this can open nothing later. */
static int
library_init(void)
{
	uint8_t x;

	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG |
	    OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
	    NULL) != 1 || RAND_bytes(&x, 1) != 1)
		return RC_CRYPTO;
	return RC_OK;
}

static int
groups_set(SSL_CTX *ctx)
{
	int ok;

	ERR_set_mark();
	ok = SSL_CTX_set1_groups_list(ctx, "X25519MLKEM768:X25519:P-256") == 1;
	ERR_pop_to_mark();
	return ok || SSL_CTX_set1_groups_list(ctx, "X25519:P-256") == 1;
}

static int
ctx_set(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_BUFFER);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set_max_early_data(ctx, 0) != 1 ||
	    SSL_CTX_set_recv_max_early_data(ctx, 0) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:"
	    "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384") != 1 ||
	    SSL_CTX_set1_sigalgs_list(ctx, "ECDSA+SHA256") != 1 ||
	    !groups_set(ctx))
		return RC_CRYPTO;
	return RC_OK;
}

static struct tls_ctx *
ctx_new(bool server)
{
	struct tls_ctx *ctx;

	if (library_init() != RC_OK ||
	    (ctx = calloc(1, sizeof(*ctx))) == NULL)
		return NULL;
	ctx->server = server;
	ctx->bio = bio_method();
	ctx->lib = OSSL_LIB_CTX_new();
	/* the default provider first: it is the one found when nobody asks
	 * for a provider by name */
	if (ctx->bio == NULL || ctx->lib == NULL ||
	    (ctx->builtin = OSSL_PROVIDER_load(ctx->lib, "default")) == NULL ||
	    (server && (ctx->keyd = tls_provider_load(ctx->lib)) == NULL) ||
	    (ctx->ssl = SSL_CTX_new_ex(ctx->lib, NULL, server ?
	    TLS_server_method() : TLS_client_method())) == NULL ||
	    ctx_set(ctx->ssl) != RC_OK) {
		tls_ctx_free(ctx);
		return NULL;
	}
	return ctx;
}

int
tls_server_ctx(struct tls_ctx **out, const uint8_t *cert_der, size_t cert_len,
    tls_sign *sign, void *arg)
{
	struct tls_ctx *ctx = ctx_new(true);
	const uint8_t *p = cert_der;
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	int rc = RC_CRYPTO;

	*out = NULL;
	if (ctx == NULL || cert_len > 65536)
		goto out;
	if ((cert = d2i_X509(NULL, &p, (long)cert_len)) == NULL ||
	    p != cert_der + cert_len || X509_get0_pubkey(cert) == NULL)
		goto out;
	key = tls_provider_key(ctx->lib, X509_get0_pubkey(cert), sign, arg);
	if (key == NULL || SSL_CTX_use_certificate(ctx->ssl, cert) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx->ssl, key) != 1)
		goto out;
	SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_NONE, NULL);
	*out = ctx;
	ctx = NULL;
	rc = RC_OK;
out:
	EVP_PKEY_free(key);
	X509_free(cert);
	tls_ctx_free(ctx);
	return rc;
}

static int
cert_spki(X509 *cert, uint8_t out[32])
{
	uint8_t *der = NULL;
	int n, rc = RC_CRYPTO;

	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	if (n > 0)
		rc = sha256(der, (size_t)n, out);
	OPENSSL_free(der);
	return rc;
}

/* Instead of chains, names and dates: the one key that the token named. */
static int
pin_verify(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
	X509 *cert = X509_STORE_CTX_get0_cert(store);

	(void)arg;
	if (tls != NULL && cert != NULL &&
	    cert_spki(cert, tls->spki) == RC_OK && (tls->any ||
	    secret_equal(tls->spki, tls->pin, sizeof(tls->pin))))
		return 1;
	if (tls != NULL)
		tls->pin_wrong = true;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

int
tls_client_ctx(struct tls_ctx **out, const uint8_t pin[32])
{
	int rc;

	if ((rc = tls_client_ctx_any(out)) != RC_OK)
		return rc;
	(*out)->any = false;
	memcpy((*out)->pin, pin, sizeof((*out)->pin));
	return RC_OK;
}

int
tls_client_ctx_any(struct tls_ctx **out)
{
	struct tls_ctx *ctx = ctx_new(false);

	*out = ctx;
	if (ctx == NULL)
		return RC_CRYPTO;
	ctx->any = true;
	SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx->ssl, pin_verify, NULL);
	return RC_OK;
}

void
tls_ctx_free(struct tls_ctx *ctx)
{
	if (ctx == NULL)
		return;
	SSL_CTX_free(ctx->ssl);
	if (ctx->keyd != NULL)
		OSSL_PROVIDER_unload(ctx->keyd);
	if (ctx->builtin != NULL)
		OSSL_PROVIDER_unload(ctx->builtin);
	OSSL_LIB_CTX_free(ctx->lib);
	BIO_meth_free(ctx->bio);
	free(ctx);
}

/* --- one connection --- */

int
tls_new(struct tls **out, struct tls_ctx *ctx, int fd)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	BIO *bio = NULL;

	*out = NULL;
	if (tls == NULL)
		return RC_NOMEM;
	tls->fd = fd;
	tls->first = -1;
	tls->server = ctx->server;
	tls->any = ctx->any;
	memcpy(tls->pin, ctx->pin, sizeof(tls->pin));
	tls->ssl = SSL_new(ctx->ssl);
	bio = BIO_new(ctx->bio);
	if (tls->ssl == NULL || bio == NULL) {
		BIO_free(bio);
		tls_free(tls);
		return RC_NOMEM;
	}
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_app_data(tls->ssl, tls);
	SSL_set_bio(tls->ssl, bio, bio);
	if (ctx->server)
		SSL_set_accept_state(tls->ssl);
	else
		SSL_set_connect_state(tls->ssl);
	*out = tls;
	return RC_OK;
}

void
tls_free(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_free(tls->ssl);
	free(tls);
}

void
tls_pin(struct tls *tls, const uint8_t pin[32])
{
	tls->any = false;
	memcpy(tls->pin, pin, sizeof(tls->pin));
}

/* What a call that did not go through means; fills in the text once. */
static int
tls_failed(struct tls *tls, int ret, int saved, const char *what, short *want)
{
	unsigned long e;
	const char *reason;

	switch (SSL_get_error(tls->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		*want = POLLIN;
		return RC_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		*want = POLLOUT;
		return RC_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		snprintf(tls->error, sizeof(tls->error), "closed by the peer");
		return RC_EOF;
	case SSL_ERROR_SYSCALL:
		snprintf(tls->error, sizeof(tls->error), "%s: %s", what,
		    saved != 0 ? strerror(saved) : "cut off");
		return RC_EOF;
	default:
		break;
	}
	e = ERR_peek_error();
	if (ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		snprintf(tls->error, sizeof(tls->error), "%s: cut off", what);
		ERR_clear_error();
		return RC_EOF;
	}
	reason = ERR_reason_error_string(e);
	snprintf(tls->error, sizeof(tls->error), "%s: %s", what,
	    tls->pin_wrong ? "the server's key is not the one pinned" :
	    reason != NULL ? reason : "failed");
	ERR_clear_error();
	return tls->pin_wrong ? RC_PIN : RC_TLS;
}

int
tls_handshake(struct tls *tls, short *want)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_do_handshake(tls->ssl);
	if (r == 1)
		return RC_OK;
	return tls_failed(tls, r, errno, "handshake", want);
}

int
tls_read(struct tls *tls, void *p, size_t size, size_t *n, short *want)
{
	int r;

	*n = 0;
	ERR_clear_error();
	errno = 0;
	r = SSL_read_ex(tls->ssl, p, size, n);
	if (r == 1)
		return RC_OK;
	return tls_failed(tls, r, errno, "read", want);
}

int
tls_write(struct tls *tls, const void *p, size_t n, size_t *done, short *want)
{
	int r;

	*done = 0;
	if (n == 0)
		return RC_OK;
	ERR_clear_error();
	errno = 0;
	r = SSL_write_ex(tls->ssl, p, n, done);
	if (r == 1)
		return RC_OK;
	return tls_failed(tls, r, errno, "write", want);
}

bool
tls_pending(const struct tls *tls)
{
	return SSL_has_pending(tls->ssl) == 1;
}

int
tls_shutdown(struct tls *tls)
{
	int r;

	ERR_clear_error();
	r = SSL_shutdown(tls->ssl);
	ERR_clear_error();
	return r < 0 ? RC_AGAIN : RC_OK;
}

int
tls_peer_spki(const struct tls *tls, uint8_t out[32])
{
	if (tls->server || !SSL_is_init_finished(tls->ssl))
		return RC_STATE;
	memcpy(out, tls->spki, sizeof(tls->spki));
	return RC_OK;
}

int
tls_exporter(struct tls *tls, uint8_t out[32])
{
	if (SSL_export_keying_material(tls->ssl, out, 32, EXPORTER_LABEL,
	    sizeof(EXPORTER_LABEL) - 1, NULL, 0, 0) != 1)
		return RC_CRYPTO;
	return RC_OK;
}

int
tls_first_byte(const struct tls *tls)
{
	return tls == NULL ? -1 : tls->first;
}

const char *
tls_error(const struct tls *tls)
{
	return tls->error[0] != '\0' ? tls->error : "no error";
}

int
tls_spki_sha256(const uint8_t *cert_der, size_t len, uint8_t out[32])
{
	const uint8_t *p = cert_der;
	X509 *cert;
	int rc = RC_CRYPTO;

	if (len > 65536)
		return RC_LIMIT;
	if ((cert = d2i_X509(NULL, &p, (long)len)) != NULL &&
	    p == cert_der + len)
		rc = cert_spki(cert, out);
	X509_free(cert);
	return rc;
}
