#include "config.h"

#include "server/tlskey.h"

#include <string.h>

#include "common/log.h"
#include "common/rc.h"

int
tlskey_sign(struct tlskey *k, enum msg_type type, const struct wbuf *text,
    uint8_t *sig, size_t *sig_len)
{
	struct msg m;
	size_t n;
	int rc;

	if (k->keyd == NULL)
		return RC_STATE;
	if ((rc = chan_send(k->keyd, type, text, -1)) == RC_OK &&
	    (rc = chan_expect(k->keyd, MSG_KEYD_SIG, &m, TLSKEY_MS)) ==
	    RC_OK) {
		n = rbuf_left(&m.body);
		if (n == 0 || n > *sig_len)
			rc = RC_PROTO;
		else if ((rc = rbuf_bytes(&m.body, sig, n)) == RC_OK)
			*sig_len = n;
	}
	tlskey_close(k);
	return rc;
}

static int
sign_tls(void *arg, const uint8_t *text, size_t len, uint8_t *sig, size_t *n)
{
	struct wbuf b = WBUF_INIT(256);
	int rc;

	wbuf_bytes(&b, text, len);
	rc = tlskey_sign(arg, MSG_KEYD_TLS, &b, sig, n);
	wbuf_free(&b);
	return rc;
}

void
tlskey_open(struct tlskey *k, struct chan *keyd, struct tls_ctx **ctx)
{
	uint8_t check[SHA256_LEN];
	const uint8_t *cert;
	struct msg m;
	size_t n;
	int rc;

	k->keyd = keyd;
	if ((rc = chan_send(keyd, MSG_KEYD_INFO, NULL, -1)) != RC_OK ||
	    (rc = chan_expect(keyd, MSG_KEYD_INFO_OK, &m, TLSKEY_MS)) !=
	    RC_OK ||
	    (rc = rbuf_bytes(&m.body, k->identity, ED25519_LEN)) != RC_OK ||
	    (rc = rbuf_bytes(&m.body, k->pin, SHA256_LEN)) != RC_OK ||
	    (rc = rbuf_blob16(&m.body, &cert, &n, TLSKEY_CERT_MAX)) != RC_OK ||
	    (rc = rbuf_bytes(&m.body, k->binding, ED25519_SIG_LEN)) !=
	    RC_OK ||
	    (rc = rbuf_end(&m.body)) != RC_OK)
		fatal("keyd: %s", rc_str(rc));
	if ((rc = tls_server_ctx(ctx, cert, n, sign_tls, k)) != RC_OK)
		fatal("TLS context: %s", rc_str(rc));
	if (tls_spki_sha256(cert, n, check) != RC_OK ||
	    memcmp(check, k->pin, sizeof(check)) != 0)
		fatal("keyd's certificate is of another key");
}

void
tlskey_close(struct tlskey *k)
{
	chan_free(k->keyd);
	k->keyd = NULL;
}
