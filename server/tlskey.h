#ifndef SERVER_TLSKEY_H
#define SERVER_TLSKEY_H

#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/tls.h"
#include "privsep/chan.h"

/*
 * The server's end of TLS for a worker that has no private key: keyd tells the
 * public parts at the start and gives one signature, for the one connection that
 * the worker serves.
 */
#define TLSKEY_CERT_MAX	4096
#define TLSKEY_MS	15000		/* keyd answers at once */

struct tlskey {
	struct chan	*keyd;		/* NULL after its one signature */
	uint8_t		 identity[ED25519_LEN];
	uint8_t		 pin[SHA256_LEN];	/* SPKI of the backup key */
	uint8_t		 binding[ED25519_SIG_LEN]; /* peer_binding_text() signed */
};

/* Takes keyd.  fatal() on anything wrong, since it runs at the start. */
void	tlskey_open(struct tlskey *k, struct chan *keyd, struct tls_ctx **ctx);
/* The one signature (KEYD_TLS or KEYD_HELLO); keyd is gone after it, however it
 * ends.  sig_len in: room, out: length. */
int	tlskey_sign(struct tlskey *k, enum msg_type type,
	    const struct wbuf *text, uint8_t *sig, size_t *sig_len);
/* Nothing is to be signed any more. */
void	tlskey_close(struct tlskey *k);

#endif
