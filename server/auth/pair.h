#ifndef SERVER_AUTH_PAIR_H
#define SERVER_AUTH_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/proto.h"
#include "common/token.h"
#include "server/addr.h"
#include "server/auth/auth.h"

/*
 * Pairings under way, in memory only.  A client asks with a commitment, gets our
 * nonce, and opens: only then there is a code, and only then an administrator
 * sees it.  Times are Unix seconds.
 */
#define PAIRS_MAX	32
#define PAIRS_PER_SOURCE 2
#define PAIR_ASK_BURST	64	/* of all sources together */
#define PAIR_ASK_EVERY_S 2
#define PAIR_FETCHED_S	60	/* how long one that is done stays listed */

struct pairing {
	uint8_t		id[16];
	struct pair	ask;
	uint8_t		server_nonce[32], client_nonce[32];
	struct addr	source;			/* addr_source() */
	char		addr[ADDR_TEXT_MAX];
	uint64_t	order;			/* in which they came */
	int64_t		created, fetched;
	bool		opened;
	uint8_t		state;			/* enum pair_state */
	char		code[PROTO_PAIR_CODE_LEN + 1];
	char		client[130];		/* "ACCOUNT/NAME" once accepted */
	char		token[TOKEN_TEXT_MAX];	/* until it was fetched */
};

struct pairs {
	size_t		n;
	uint64_t	order;
	int64_t		asks, filled;	/* of the rate; seconds */
	struct pairing	v[PAIRS_MAX];
};

/* RC_BUSY: over the rate; or no room, also after one that is done with, or the
 * oldest unopened one of the busiest source, went. */
int	pairs_ask(struct pairs *p, const struct pair *ask,
	    const struct addr *from, int64_t now, struct pair_ok *ok);
/* RC_AUTH: not what was committed to, and the pairing is gone; RC_NOENT. */
int	pairs_open(struct pairs *p, const struct auth_self *self,
	    const struct pair_open *o, int64_t now, struct pairing **out);
/* The answer to PAIR_POLL; a token leaves once. */
void	pairs_poll(struct pairs *p, const struct pair_open *o, int64_t now,
	    struct pair_state_msg *out);
/* By the first digits of its id, opened ones only; *n of them match. */
struct pairing *pairs_find(struct pairs *p, const uint8_t id[16],
	    unsigned digits, int64_t now, unsigned *n);
void	pairs_expire(struct pairs *p, int64_t now);
void	pairs_clear(struct pairs *p);

#endif
