#ifndef COMMON_PEERINFO_H
#define COMMON_PEERINFO_H

#include <stdbool.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/rbuf.h"
#include "common/wbuf.h"

/*
 * What one installation says of itself to others: in discovery packets, in the
 * exchange over 32005 and between our own processes.  doc/DISCOVERY.md has the
 * bytes.  Nothing here grants anything.
 */
#define PEER_ID_MAX	63		/* bytes of a StoreGrid ID, UTF-8 */

struct peer_info {
	uint8_t		identity[ED25519_LEN];
	uint8_t		pin[SHA256_LEN];	/* SPKI of the backup key */
	uint8_t		mode;			/* enum conf_mode */
	uint16_t	port_server, port_ssl, port_gui, port_webssl; /* 0: not open */
	uint16_t	interval;		/* seconds between its requests */
	int64_t		sent_ns;		/* its wall clock */
	char		id[PEER_ID_MAX + 1];	/* valid UTF-8 without controls */
};

#define PEER_INFO_MAX	(32 + 32 + 1 + 8 + 2 + 8 + 2 + PEER_ID_MAX)

void	peer_info_put(struct wbuf *out, const struct peer_info *p);
/* Strict: RC_RANGE for a mode that is none, an id that is empty, not UTF-8 or
 * holds control characters, a GUI port 0. */
int	peer_info_get(struct rbuf *in, struct peer_info *p);
/* Not empty, valid UTF-8, no control characters (C0, DEL, C1), no bidirectional
 * overrides. */
bool	peer_id_ok(const char *id);

/* First 16 bytes of SHA-256(identity) as 32 hexadecimal digits: what people
 * compare ("fingerprint"). */
#define PEER_FP_LEN	32
void	peer_fingerprint(const uint8_t identity[ED25519_LEN],
	    char out[PEER_FP_LEN + 1]);

/* "sg1 pin" | pin: signed by the identity key, it binds the TLS key to it. */
void	peer_binding_text(struct wbuf *out, const uint8_t pin[SHA256_LEN]);
/* "sg1 peer" | identity that signs 32 | identity of the far end 32 | nonce 32 |
 * TLS exporter 32: proves who calls, on this connection only. */
void	peer_sign_text(struct wbuf *out, const uint8_t self[ED25519_LEN],
	    const uint8_t far[ED25519_LEN], const uint8_t nonce[32],
	    const uint8_t exporter[32]);

#endif
