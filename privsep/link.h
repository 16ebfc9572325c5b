#ifndef PRIVSEP_LINK_H
#define PRIVSEP_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/chan.h"

/*
 * Frames of the backup protocol between the process that has the network
 * (session, net: the "outer" end, privsep/relay.h) and the one that has the
 * data (store, engine: the "inner" end, this file).  Small frames cross as FRAME
 * messages.  PUT and OBJ cross in pieces of at most 64 KiB through a ring: a
 * memfd of 8 slots, made and mapped by the outer end, sealed against resizing,
 * sent as RING first.  Slots 0-3 are filled by the outer end, 4-7 by the inner
 * end; whoever empties a slot gives it back with SLOTS.  The inner end reads and
 * writes the ring by pread and pwrite only, so nothing it looks at can change
 * under it.
 */
#define RING_SLOT	65536u
#define RING_SLOTS	8
#define RING_SIZE	(RING_SLOT * RING_SLOTS)
#define RING_OUTER_MASK	0x0f
#define RING_INNER_MASK	0xf0

/* A memfd of RING_SIZE, sealed against shrinking and growing. */
int	ring_make(int *fd, void **map);
/* RC_PROTO unless this descriptor is such a memfd. */
int	ring_check(int fd);

/* The inner end. */
struct link;

struct link_frame {
	uint16_t	 type;
	uint32_t	 request;
	const uint8_t	*payload;	/* valid until the next link_recv() */
	size_t		 len;
};

/* Takes the channel, which becomes non-blocking; the RING message is the first
 * that link_recv() consumes.  big_max: largest object accepted. */
struct link	*link_new(struct chan *c, size_t big_max);
void	link_free(struct link *l);
int	link_fd(const struct link *l);
struct chan *link_chan(struct link *l);
/* poll(2) events it waits for now. */
short	link_events(const struct link *l);

/*
 * Next whole frame.  RC_AGAIN when there is none yet, RC_EOF, RC_PROTO.  A
 * message that belongs to no frame (NET_UP, STORE_WELCOME, LINK_CLOSE, ...) is
 * given to `other`, if set, whose failure is returned.
 */
int	link_recv(struct link *l, struct link_frame *f);
void	link_on_other(struct link *l,
	    int (*other)(void *arg, struct msg *m), void *arg);

/*
 * Send a frame.  The payload is copied as far as it cannot go at once; until
 * link_flush() says RC_OK no further PUT or OBJ is accepted (RC_AGAIN, nothing
 * taken).  Small frames always queue, up to 1 MiB, then RC_LIMIT.
 * The payload is given in up to two parts.
 */
int	link_send(struct link *l, uint16_t type, uint32_t request,
	    const void *p, size_t n, const void *p2, size_t n2);
bool	link_idle(const struct link *l);	/* nothing waits to be sent */
int	link_flush(struct link *l);		/* RC_AGAIN: not all went */

#endif
