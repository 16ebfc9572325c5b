#ifndef SERVER_DISCOVERY_DISCOVER_H
#define SERVER_DISCOVERY_DISCOVER_H

#include "common/conf.h"
#include "common/packet.h"
#include "privsep/role.h"
#include "server/discovery/ifaces.h"
#include "server/discovery/limit.h"
#include "server/discovery/walk.h"

/*
 * The one process of a discovery role.  What both roles do alike stands in
 * udp.c (sockets), hear.c (what is believed of a packet) and say.c (packets of
 * our own); mcast.c and scan.c decide when to ask and to answer.
 */
#define DISC_SOCKETS	4
#define DISC_PENDING	64		/* who is to be answered */

struct udp {
	int		fd;
	uint8_t		kind;		/* PORT_MCAST_REQ, ... */
	uint8_t		family;		/* 4 or 6 */
	uint16_t	port;
};

/* A packet as it came. */
struct heard {
	const struct udp *on;
	struct addr	from, to;
	uint32_t	index;		/* of the interface */
	int		hops;
	size_t		len;
	uint8_t		data[PACKET_REQUEST_LEN + 1];
};

/* Somebody who is to be answered, and where. */
struct pending {
	struct addr	from;
	uint32_t	index;
	uint8_t		nonce[PACKET_NONCE_LEN];
};

/* One packet of ours on its way: solved in slices, then signed by keyd. */
enum say_state { SAY_IDLE, SAY_SOLVING, SAY_SOLVED, SAY_SIGNING };

struct disc {
	struct role_env	 env;
	struct chan	*catalog, *keyd;	/* NULL: gone, a new one comes */
	uint64_t	 keyd_gone;		/* since when */
	const struct disc_ops *ops;
	struct conf	 conf;
	struct peer_info me;
	struct udp	 sock[DISC_SOCKETS];
	size_t		 nsock;
	int		 nl;			/* -1: no interfaces are known */
	bool		 nl_ready;		/* both dumps are in */
	struct ifaces	 ifaces;
	struct limit	*limit;
	uint64_t	 now;			/* monotonic ms */
	int64_t		 wall;			/* ns */
	bool		 stop, busy;		/* busy: packets came in a flood */

	/* say.c */
	enum say_state	 say;
	struct puzzle	*puzzle;
	struct wbuf	 packet;
	size_t		 puzzle_at;

	/* our rounds: the nonces of this one and of the one before */
	uint8_t		 nonce[2][PACKET_NONCE_LEN];
	uint64_t	 next_round, asked_last;
	bool		 ask_now;

	struct pending	 pending[DISC_PENDING];
	size_t		 npending;
	uint64_t	 next_answer;
	struct pending	 answering[PACKET_NONCES_MAX];
	size_t		 nanswering;

	uint64_t	 counted_at, junk, junk_told;	/* of hear.c */
};

/* What tells the two roles apart. */
struct disc_ops {
	/* interfaces came or went */
	void	(*ifaces)(struct disc *d);
	/* does this socket take this type, and is an answer one of ours */
	bool	(*wants)(struct disc *d, const struct heard *h,
		    const struct packet_look *l, bool echo);
	/* a packet that is believed; fresh: it may be noted */
	void	(*heard)(struct disc *d, const struct heard *h,
		    const struct packet *p, bool fresh);
	/* our packet is signed and whole, in d->packet */
	void	(*signed_)(struct disc *d);
	/* what is due at d->now; then when the next is (UINT64_MAX: nothing) */
	uint64_t (*turn)(struct disc *d);
	/* seconds between two rounds */
	uint32_t (*interval)(const struct disc *d);
	void	(*done)(struct disc *d);		/* frees what it made */
};
extern const struct disc_ops mcast_ops, scan_ops;

/* --- udp.c --- */
/* All options; before the sandbox.  fatal() where one that matters fails. */
void	udp_set_up(struct disc *d);
/* RC_AGAIN: there is none.  RC_PROTO: it is not to be looked at. */
int	udp_recv(const struct udp *u, struct heard *h);
/* Out of this interface, from this address of it.  Failures are nobody's
 * business: a datagram may be lost at any place. */
void	udp_send(const struct udp *u, const struct addr *to, uint32_t index,
	    const struct addr *from, const struct wbuf *packet);
const struct udp *udp_find(const struct disc *d, uint8_t kind, uint8_t family);
/* IPv4 or IPv6 group of discovery, with a port. */
void	udp_group(struct addr *a, uint8_t family, uint16_t port);
int	udp_join(const struct udp *u, uint32_t index, bool join);

/* --- hear.c --- */
void	hear(struct disc *d, struct heard *h);
/* Tell the catalog of it, unless it was told lately. */
void	hear_told(struct disc *d, struct seen *s, const struct peer_info *p);

/* --- say.c --- */
/* Begin a packet of this type with these nonces; only when SAY_IDLE. */
void	say_begin(struct disc *d, uint8_t type,
	    uint8_t nonce[][PACKET_NONCE_LEN], uint8_t n);
/* Go on with it.  True: there is more to do at once. */
bool	say_turn(struct disc *d);
/* keyd's answer; RC_* for what is none. */
int	say_signature(struct disc *d, struct msg *m);
/* Begin an answer to up to three of those who wait (d->answering). */
void	say_answer(struct disc *d, uint8_t type);
/* Note that it is to be answered; dropped when too many wait. */
void	say_pend(struct disc *d, const struct heard *h,
	    const uint8_t nonce[PACKET_NONCE_LEN]);
/* A new nonce for a new round. */
void	say_round(struct disc *d);
/* base, give or take a tenth. */
uint64_t say_jitter(uint64_t base);
uint64_t say_random(uint64_t below);

#endif
