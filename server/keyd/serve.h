#ifndef SERVER_KEYD_SERVE_H
#define SERVER_KEYD_SERVE_H

#include <stddef.h>
#include <stdint.h>

#include "privsep/chan.h"
#include "server/keyd/keys.h"

/*
 * Who may have what signed.  Each channel names the one use it has:
 *
 *	TLS	one text of the shape of a TLS 1.3 server CertificateVerify; or,
 *		where the master said that clear text may be spoken there, one
 *		hello; then the channel is closed
 *	RECEIPT	receipts of the vault that the master named, at a limited rate
 *	PACKET	discovery packets that name our identity, at a limited rate
 *	PEER	one peer_sign_text(); then the channel is closed
 *	INFO	nothing
 *
 * Every text is built here from parsed fields or checked byte by byte; nothing
 * else is ever signed.
 */
#define KEYD_CLIENTS_MAX	CHANNELS_MAX

struct keyd;

struct keyd *keyd_new(const struct keys *keys);
void	keyd_free(struct keyd *k);
/* Messages of the master: KEYD_ADD, KEYD_CLEAR. */
int	keyd_on_master(struct keyd *k, struct chan *master, struct msg *m);
/*
 * Wait for at most timeout_ms and serve whoever asks.  `master` is drained
 * before anybody is served, so that what the master said before it handed a
 * connection over is known by then.  RC_EOF: the master is gone or said STOP.
 */
int	keyd_turn(struct keyd *k, struct chan *master, int timeout_ms,
	    int (*other)(void *arg, struct msg *m), void *arg);

/* RC_OK when this is what RFC 8446 4.4.3 has a server sign. */
int	keyd_check_tls(const uint8_t *p, size_t n);
/* RC_OK when this is hello_sign_text() with this identity and no signature. */
int	keyd_check_hello(const uint8_t *p, size_t n,
	    const uint8_t identity[ED25519_LEN]);

/* RC_OK when this is a discovery packet of this identity, unsigned. */
int	keyd_check_packet(const uint8_t *p, size_t n,
	    const uint8_t identity[ED25519_LEN]);

#endif
