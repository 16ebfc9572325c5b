#ifndef COMMON_TLS_H
#define COMMON_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * TLS 1.3 only, no tickets, no early data, no client certificates, groups
 * X25519 and P-256 (and X25519MLKEM768 where the library has it).  The server's
 * private key is never in the process: `sign` asks keyd.
 */
struct tls_ctx;
struct tls;

/* Sign the whole text of a CertificateVerify with ECDSA P-256 and SHA-256. */
typedef int tls_sign(void *arg, const uint8_t *text, size_t len,
	    uint8_t *sig, size_t *sig_len);	/* in: room, out: length */

int	tls_server_ctx(struct tls_ctx **ctx, const uint8_t *cert_der,
	    size_t cert_len, tls_sign *sign, void *arg);
/* The server's key must have this SPKI SHA-256; names and dates are not looked
 * at (the pin is what the token gave). */
int	tls_client_ctx(struct tls_ctx **ctx, const uint8_t pin[32]);
/* First contact, when nobody has a pin yet: any key will do, so the connection
 * proves nothing until the caller has looked at tls_peer_spki(). */
int	tls_client_ctx_any(struct tls_ctx **ctx);
void	tls_ctx_free(struct tls_ctx *ctx);

/* fd stays the caller's and is non-blocking. */
int	tls_new(struct tls **tls, struct tls_ctx *ctx, int fd);
void	tls_free(struct tls *tls);
/* Client, before the handshake: this pin after all.  For a process that makes its
 * context, which takes files, before it is told whom it will meet. */
void	tls_pin(struct tls *tls, const uint8_t pin[32]);

/*
 * RC_OK, RC_EOF (clean close), RC_AGAIN with *want = POLLIN or POLLOUT, RC_TLS,
 * RC_PIN (client: wrong key).  Never blocks.
 */
int	tls_handshake(struct tls *tls, short *want);
int	tls_read(struct tls *tls, void *p, size_t size, size_t *n, short *want);
int	tls_write(struct tls *tls, const void *p, size_t n, size_t *done,
	    short *want);
bool	tls_pending(const struct tls *tls);	/* decrypted bytes wait */
int	tls_shutdown(struct tls *tls);
/* Client, after the handshake: SPKI SHA-256 of the key that the server proved to
 * have.  RC_STATE before. */
int	tls_peer_spki(const struct tls *tls, uint8_t out[32]);
/* RFC 8446 7.5 exporter, label "EXPORTER-storegrid-1", no context. */
int	tls_exporter(struct tls *tls, uint8_t out[32]);
/* The first byte the peer sent, -1 when none came: tells TLS from others also
 * when the library took it. */
int	tls_first_byte(const struct tls *tls);
/* What failed last, for one log line. */
const char *tls_error(const struct tls *tls);

/* SHA-256 of the SubjectPublicKeyInfo of a DER certificate. */
int	tls_spki_sha256(const uint8_t *cert_der, size_t len, uint8_t out[32]);

#endif
