#ifndef PRIVSEP_RELAY_PRIV_H
#define PRIVSEP_RELAY_PRIV_H

/* Shared by relay.c (the loop), relay_net.c (the connection), relay_in.c and
 * relay_out.c (a direction each); nobody else. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wbuf.h"
#include "privsep/link.h"
#include "privsep/relay.h"

#define STAGE_SIZE	16384		/* one TLS record */
#define CLEAR_SIZE	4096		/* look-ahead of clear text */
#define FRAMES_A_TURN	64		/* then the other direction */
/* A piece for each of the inner end's slots, and a small frame behind them. */
#define QUEUE_MAX	(RING_SLOTS / 2 + 1)
#define PING_REQUEST	0xffffffffu	/* marks our own pings */
#define CLOSE_MS	3000		/* for a last ERROR to go out */

enum in_state {
	IN_HEADER,
	IN_SMALL,		/* payload into `small` */
	IN_FRAME,		/* `small` waits for room in the channel */
	IN_BIG,			/* payload into a slot */
	IN_PIECE,		/* that slot waits for room in the channel */
};

/* From the network to the channel. */
struct in {
	enum in_state	 st;
	uint8_t		 header[PROTO_FRAME_LEN];
	size_t		 header_n;
	struct frame	 f;
	size_t		 got;		/* of the payload */
	struct wbuf	 small;		/* body of a FRAME message */
	int		 slot;		/* being filled; -1 */
	size_t		 slot_n;
	uint8_t		 free;		/* outer slots nobody holds */
	bool		 ready;		/* the connection may have bytes */
	bool		 chan_full;
	short		 want;
	uint64_t	 last;		/* a due byte came, or none was due */
	uint64_t	 heard;		/* when any byte came */
};

/* What the inner end gave to be sent. */
struct item {
	uint8_t		 header[PROTO_FRAME_LEN];
	size_t		 header_left;
	const uint8_t	*p;
	size_t		 left;
	int		 slot;		/* -1: in the channel's own buffer */
	bool		 last;		/* the frame ends with it */
};

/* From the channel to the network. */
struct out {
	uint8_t		 stage[STAGE_SIZE];	/* off..len are to go */
	size_t		 off, len;
	struct item	 queue[QUEUE_MAX];
	size_t		 queued;
	bool		 held;		/* last item: the channel's buffer */
	bool		 mid_wire;	/* a frame is begun on the wire */
	bool		 mid_chan;	/* a big frame's pieces are arriving */
	struct frame	 big;
	size_t		 big_got;
	uint16_t	 last_type;
	uint8_t		 give_back;	/* inner slots to be returned */
	bool		 ready;		/* the connection may take bytes */
	bool		 chan_ready;
	bool		 chan_full;
	short		 want;
	uint64_t	 last;
};

struct relay {
	int		 fd;
	struct tls	*tls;
	int		 side;
	uint8_t		*ring;
	int		 ring_fd;
	struct chan	*watch;		/* relay_watch() */
	bool		 joined;
	enum proto_state state;
	uint8_t		 clear[CLEAR_SIZE];
	size_t		 clear_off, clear_len;
	int		 sys_error;
	struct in	 in;
	struct out	 out;
	/* small things of our own between two frames */
	bool		 pong_due, ping_due, ping_sent;
	uint32_t	 pong_request;
	uint8_t		 pong[8];
	size_t		 pong_len;
	uint64_t	 ping_at;
	/* the end */
	uint64_t	 stop_until;	/* told to stop: goes on until then */
	uint64_t	 moved;		/* when a byte last came or went */
	bool		 closing, close_staged, inner_ended;
	bool		 inner_deaf;	/* it takes no more; what it said waits */
	bool		 peer_bye;
	bool		 close_soft;	/* after what is queued */
	int		 close_rc;
	uint16_t	 close_code;	/* 0: BYE alone */
	char		 close_text[256];
	uint64_t	 close_until;
};

static inline bool
is_big(uint16_t type)
{
	return type == PROTO_PUT || type == PROTO_OBJ;
}

/* relay_net.c: the connection, with TLS or without.  RC_AGAIN clears
 * `ready`. */
int	relay_net_read(struct relay *r, void *p, size_t size, size_t *n);
int	relay_net_write(struct relay *r, const void *p, size_t n, size_t *done);

/* relay_in.c.  Each returns RC_OK when nothing more can be done now. */
int	relay_pump_in(struct relay *r, struct chan *inner);
/* One step towards a whole small frame (in.st becomes IN_FRAME). */
int	relay_in_step(struct relay *r);
/* True when the frame just read was a PING or our PONG, and is dealt with. */
bool	relay_in_keepalive(struct relay *r);
/* The peer owes us the rest of a frame and we would take it. */
bool	relay_in_due(const struct in *in);
/* Nothing is read now because the inner end is slow. */
bool	relay_in_blocked(const struct in *in);

/* relay_out.c */
int	relay_pump_out(struct relay *r, struct chan *inner);
bool	relay_out_due(const struct out *out);
/* Write what is staged; RC_AGAIN. */
int	relay_stage_write(struct relay *r);
void	relay_stage_frame(struct out *out, uint16_t type, uint32_t request,
	    const void *p, size_t n);
/* Stage PONG, PING and the last ERROR and BYE, if a frame may begin now. */
void	relay_stage_own(struct relay *r);
/* Begin to end; the first reason counts.  code 0: no ERROR frame. */
void	relay_begin_close(struct relay *r, int rc, uint16_t code,
	    const char *text);
/* The inner end's channel is closed. */
int	relay_inner_gone(struct relay *r);

#endif
