#ifndef COMMON_PACKET_H
#define COMMON_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/peerinfo.h"
#include "common/wbuf.h"

/*
 * Discovery packets of UDP 6363, 6364 and 32006, see doc/DISCOVERY.md.  Every
 * packet begins with this head and ends with an Ed25519 signature by `identity`
 * over "sg1 discovery" and all that stands before it.
 *
 *	magic 4 ("SGD1") | type u8 | flags u8 | zero u16 | identity 32 | ...
 */
#define PACKET_MAGIC		0x53474431u
#define PACKET_IDENTITY_AT	8
#define PACKET_HEAD_LEN		40
#define PACKET_DOMAIN		"sg1 discovery"
#define PACKET_REQUEST_LEN	512	/* padded with zeros */
#define PACKET_ANSWER_MAX	256

/* The rest: peer_info_put() (its first field is `identity`), count u8, nonces
 * 8 each, puzzle 8, in requests and probes zeros up to byte 448, signature. */
#define PACKET_NONCE_LEN	8
#define PACKET_NONCES_MAX	3
#define PACKET_PUZZLE_LEN	8
#define PACKET_PUZZLE_BITS	16
#define PACKET_PUZZLE_DOMAIN	"sg1 puzzle"
/* The shortest answer: an id of one byte, one nonce. */
#define PACKET_MIN		(8 + PEER_INFO_MAX - PEER_ID_MAX + 1 + 1 +	\
	PACKET_NONCE_LEN + PACKET_PUZZLE_LEN + ED25519_SIG_LEN)

enum packet_type {
	PACKET_REQUEST = 1,	/* multicast; its one nonce is its own */
	PACKET_ANSWER,		/* multicast; nonces of the requests it answers */
	PACKET_PROBE,		/* the same by unicast, for the scan */
	PACKET_PROBE_ANSWER,	/* no puzzle: eight zeros */
	PACKET_TYPE_MAX
};

#define PACKET_F_ASKING	0x01	/* only asks: is not to be listed */

struct packet {
	uint8_t			type, flags;
	struct peer_info	info;
	uint8_t			n;		/* 1 to 3; 1 in requests and probes */
	uint8_t			nonce[PACKET_NONCES_MAX][PACKET_NONCE_LEN];
};

/* Padded to PACKET_REQUEST_LEN and always of that size. */
bool	packet_is_request(uint8_t type);

/* Everything before the signature, with a puzzle of zeros, which begins at
 * *puzzle_at.  RC_RANGE for what packet_get() would refuse. */
int	packet_put(struct wbuf *out, const struct packet *p, size_t *puzzle_at);
/* Append the signature: by a key at hand, or one that keyd made. */
int	packet_sign(struct wbuf *out, const struct secret *priv);
/* What is signed: PACKET_DOMAIN and the packet without its signature. */
void	packet_sign_text(struct wbuf *out, const uint8_t *p, size_t n);

/*
 * What can be known of a packet without hashing anything.  Length, magic, type,
 * flags, count, the zeros and that the parts fill the packet exactly have been
 * looked at; nothing is proven.  Valid as long as the bytes.
 */
struct packet_look {
	uint8_t		 type, flags, n;
	int64_t		 sent_ns;
	const uint8_t	*identity;
	const uint8_t	*nonces;	/* n of them */
	size_t		 puzzle_at;
	size_t		 sign_at;
};
int	packet_look(struct packet_look *l, const uint8_t *p, size_t n);
/* The fields, strictly. */
int	packet_get(struct packet *out, const uint8_t *p, size_t n);
/* RC_CRYPTO: not signed by the identity it names. */
int	packet_verify(const uint8_t *p, size_t n);

/*
 * The proof of work: SHA-256 of PACKET_PUZZLE_DOMAIN, the bytes before the
 * puzzle and the puzzle begins with PACKET_PUZZLE_BITS zero bits.  One context
 * checks and solves, one thing at a time each.
 */
struct puzzle;
struct puzzle	*puzzle_new(void);	/* NULL: no memory */
void	puzzle_free(struct puzzle *z);
/* RC_CRYPTO: not solved.  *mark tells packets apart that have solved it. */
int	puzzle_check(struct puzzle *z, const uint8_t *p, size_t puzzle_at,
	    uint64_t *mark);
/* Begin with the bytes before the puzzle; then try a slice at a time, until it
 * is RC_OK and the solution stands in `solution` (RC_AGAIN: not yet). */
int	puzzle_begin(struct puzzle *z, const uint8_t *p, size_t puzzle_at,
	    uint64_t first);
int	puzzle_try(struct puzzle *z, unsigned int tries,
	    uint8_t solution[PACKET_PUZZLE_LEN]);

#endif
