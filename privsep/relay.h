#ifndef PRIVSEP_RELAY_H
#define PRIVSEP_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/proto.h"
#include "common/tls.h"
#include "privsep/chan.h"

/*
 * The outer end of a link (privsep/link.h): carries frames between a connection
 * and a channel, in a process that has nothing else.  Both directions run at
 * once; nothing is held but what is in the ring, one small frame each way and
 * TLS's own records.  A frame from the network is checked against the table of
 * frames (side, state, length) and PUT/OBJ objects go straight into ring slots.
 *
 * session uses it alone before log-in (relay_read()/relay_write(), no channel),
 * and gives it the store's channel after; net has its channel from the start.
 */
struct relay;

struct relay_opt {
	int		 fd;		/* connected socket; taken */
	struct tls	*tls;		/* NULL: clear text; taken */
	int		 side;		/* PROTO_C or PROTO_S: the peer */
	void		*ring;		/* mapped RING_SIZE bytes */
	int		 ring_fd;
};

struct relay	*relay_new(const struct relay_opt *o);
void	relay_free(struct relay *r);

/* Blocking with a deadline (ms from now), before there is a channel.
 * The payload is valid until the next call.
 * relay_watch(): from now on both give up with RC_CANCELLED when the parent has
 * something to say, which is left for the caller to receive. */
void	relay_watch(struct relay *r, struct chan *parent);
int	relay_read(struct relay *r, enum proto_state st, struct frame *f,
	    const uint8_t **payload, int timeout_ms);
int	relay_write(struct relay *r, uint16_t type, uint32_t request,
	    const void *p, size_t n, int timeout_ms);

/* Send RING over the channel to the inner end, if not done yet: for a caller
 * that needs an answer to it (STORE_WELCOME) before it pumps. */
int	relay_join(struct relay *r, struct chan *inner);

/*
 * Join to the inner end (sends RING) and pump until one side ends.  `parent` is
 * watched too: when it closes, RC_EOF.  RC_OK: the inner end closed and all was
 * sent; RC_EOF: the network peer closed; RC_TIMEOUT: PROTO_STALL_MS without a
 * byte while one was due; others: why the frame or the peer was refused.
 */
int	relay_pump(struct relay *r, struct chan *inner, struct chan *parent);

/* An ERROR frame (PROTO_ERR_*), as far as the peer takes it, then the end. */
void	relay_refuse(struct relay *r, uint16_t code, const char *text);
/* After the last frame: close towards the peer and swallow what it still sends,
 * for a moment, so that the kernel does not throw our last bytes away. */
void	relay_linger(struct relay *r);
/* What TLS or the connection said last, for one log line. */
const char *relay_error(const struct relay *r);

#endif
