#include "config.h"

#include "server/store/clock.h"

#include <time.h>

#include "common/num.h"

void
vclock_seen(struct vclock *c, uint64_t clock, int64_t wall, bool frozen)
{
	c->any = true;
	if (clock > c->saved)
		c->saved = clock;
	c->saved_wall = wall;
	c->saved_frozen = frozen;
}

bool
vclock_start(struct vclock *c, int64_t wall, uint64_t boot)
{
	int64_t gap = 0;

	c->boot = boot;
	if (!c->any) {
		c->base = wall > 0 ? (uint64_t)wall : 0;
		c->frozen = false;
		return false;
	}
	c->base = c->saved;
	c->frozen = c->saved_frozen;
	if (c->frozen)
		return false;
	if (__builtin_sub_overflow(wall, c->saved_wall, &gap) ||
	    gap < -CLOCK_BACK_MAX || gap > CLOCK_GAP_MAX) {
		c->frozen = true;
		return true;
	}
	if (gap > 0)
		c->base = u64_sat_add(c->base, (uint64_t)gap);
	return false;
}

uint64_t
vclock_at(const struct vclock *c, uint64_t boot)
{
	if (c->frozen || boot < c->boot)
		return c->base;
	return u64_sat_add(c->base, boot - c->boot);
}

uint64_t
vclock_now(const struct vclock *c)
{
	return vclock_at(c, clock_boot_seconds());
}

uint64_t
clock_boot_seconds(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_BOOTTIME, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec;
}
