#ifndef STORE_CLOCK_H
#define STORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The vault clock, in seconds: what locks and retention are judged by.  It
 * never goes back.  While store runs it follows CLOCK_BOOTTIME, which nobody
 * sets; across a restart it believes the wall clock, but only forwards and at
 * most CLOCK_GAP_MAX: anything else freezes it, and expiry with it, until an
 * administrator confirms.
 */
#define CLOCK_GAP_MAX	(7 * 86400)
#define CLOCK_BACK_MAX	10		/* seconds that NTP may take */

struct vclock {
	uint64_t	base;		/* vault clock when it was started */
	uint64_t	boot;		/* CLOCK_BOOTTIME then */
	bool		frozen;
	/* The last record that is in the journal. */
	uint64_t	saved;
	int64_t		saved_wall;	/* seconds */
	bool		saved_frozen, any;
};

/* What a record of the journal says; the newest counts. */
void	vclock_seen(struct vclock *c, uint64_t clock, int64_t wall,
	    bool frozen);
/* Go on from the last record.  Returns true when that froze it. */
bool	vclock_start(struct vclock *c, int64_t wall, uint64_t boot);
uint64_t vclock_at(const struct vclock *c, uint64_t boot);
uint64_t vclock_now(const struct vclock *c);
uint64_t clock_boot_seconds(void);

#endif
