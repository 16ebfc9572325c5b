#ifndef SERVER_DISCOVERY_LIMIT_H
#define SERVER_DISCOVERY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/digest.h"
#include "server/addr.h"

/*
 * What keeps a flood of packets from costing more than it may: buckets per
 * source and in all, and memories of what was seen.  All tables have a fixed
 * size; where one is full the oldest of a few entries goes.  Times are
 * monotonic milliseconds.
 */
#define LIMIT_SOURCE_RATE	20	/* packets with a solved puzzle a second */
#define LIMIT_SOURCE_BURST	5
#define LIMIT_VERIFY_RATE	100	/* signatures looked at a second */
#define LIMIT_NEW_RATE		50	/* of them for identities not known yet */
#define LIMIT_ANSWER_RATE	200	/* answers a second */
#define LIMIT_TABLE		4096	/* sources, identities, marks */
#define LIMIT_CLOCK_NS		(120 * INT64_C(1000000000))

struct limit;
struct limit	*limit_new(uint64_t now);	/* NULL: no memory */
void		 limit_free(struct limit *l);

/* One packet from there; the port does not count. */
bool	limit_source(struct limit *l, const struct addr *from, uint64_t now);
/* May a signature be looked at?  Half of what there is, is kept for identities
 * that were seen before. */
bool	limit_verify(struct limit *l, bool known, uint64_t now);
bool	limit_answer(struct limit *l, uint64_t now);

/* Packets whose signature was looked at, by the mark of their puzzle. */
bool	limit_marked(const struct limit *l, uint64_t mark);
void	limit_mark(struct limit *l, uint64_t mark);

/* What is known of an identity. */
struct seen {
	uint8_t		identity[ED25519_LEN];
	int64_t		sent_ns;	/* of its last packet */
	uint64_t	heard, told;	/* when; when the catalog was told */
	struct addr	addr;
	uint32_t	interval_ms;
	uint8_t		what[SHA256_LEN]; /* of what it said of itself */
	bool		used;
};
struct seen	*limit_find(struct limit *l,
		    const uint8_t identity[ED25519_LEN]);
/* Finds or makes one (cleared but for its identity). */
struct seen	*limit_add(struct limit *l,
		    const uint8_t identity[ED25519_LEN]);
/* For each that is used. */
void	limit_each(struct limit *l, void (*fn)(void *arg, struct seen *s),
	    void *arg);

/*
 * Is a packet new?  `s` may be NULL; `echo`: it bears a nonce of ours, which
 * proves it whatever the clocks say.
 */
enum fresh {
	FRESH_YES,
	FRESH_CLOCK,		/* not by our clock: may be answered, not noted */
	FRESH_NO,		/* seen, or older than what was seen */
};
enum fresh limit_fresh(const struct seen *s, int64_t sent_ns, bool echo,
	    int64_t wall_ns);

#endif
