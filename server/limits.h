#ifndef SERVER_LIMITS_H
#define SERVER_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/addr.h"

/*
 * Who may have how many connections that are not logged in, and who has to stay
 * away for a while.  Knows no sockets: the listener tells it what comes and
 * goes, and asks.  All memory is taken at the start.
 *
 * A source is an IPv4 address or an IPv6 /64, a network an IPv4 /24 or an IPv6
 * /48.  Sources on the exempt list have no penalties and no limits of their
 * own; the totals hold for everybody.
 */
struct limits;

struct limits_opt {
	uint32_t		silent_max;	/* without a first byte */
	uint32_t		per_source, per_network;
	struct addr_list	exempt;
};

#define LIMITS_SOURCES_MAX	65536		/* with a penalty */
#define LIMITS_PENALTY_MIN_MS	15000		/* enforced from here on */
#define LIMITS_PENALTY_MAX_MS	600000

enum penalty {
	PENALTY_NOLOGIN,	/* 1 s: ended without logging in */
	PENALTY_SLOW,		/* 10 s: said nothing until it was closed */
	PENALTY_BADLOGIN,	/* 5 s */
	PENALTY_CRASH,		/* 90 s: its worker crashed */
};

enum limits_verdict {
	LIMITS_OK,
	LIMITS_SOURCE,		/* too many of this address */
	LIMITS_NETWORK,		/* too many of this network */
	LIMITS_PENALTY,
	LIMITS_FULL,		/* only when memory for it is gone */
};

/* conns_max: how many connections can be counted at once, silent and half-open
 * together.  NULL: out of memory. */
struct limits	*limits_new(const struct limits_opt *o, uint32_t conns_max);
void	limits_free(struct limits *l);
/* New limits; what is counted stays. */
void	limits_set(struct limits *l, const struct limits_opt *o);

/* May this one come?  If so it is counted (as silent) under `conn`. */
enum limits_verdict limits_add(struct limits *l, uint64_t conn,
	    const struct addr *a, uint64_t now_ms);
/* Too many silent ones: which is to go.  0: there are not too many. */
uint64_t limits_evict(const struct limits *l);
/* It has sent its first byte. */
void	limits_spoke(struct limits *l, uint64_t conn);
/* It ended, or logged in: not counted any more.  false: was not counted. */
bool	limits_remove(struct limits *l, uint64_t conn, struct addr *a);
void	limits_penalise(struct limits *l, const struct addr *a,
	    enum penalty p, uint64_t now_ms);

uint32_t limits_silent(const struct limits *l);
const char *limits_reason(enum limits_verdict v);

#endif
