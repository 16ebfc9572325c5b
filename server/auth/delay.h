#ifndef SERVER_AUTH_DELAY_H
#define SERVER_AUTH_DELAY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How fast passwords may be tried.  Two measures, both in milliseconds of a
 * clock that only goes forward:
 *
 * - After three failures of a name from a source, or of a source whatever the
 *   names, the next check is not before 1, 2, 4, ... 60 s.  A source from which
 *   that very user signed in lately ("trusted") answers only for its own
 *   failures with that name, so strangers cannot lock anybody out.
 * - A budget of checks: 8 at once and one per 2 s for all who are not trusted
 *   together; 8 and two a second for each who is.
 */
#define DELAY_FREE	3	/* failures without a delay but the last */
#define DELAY_MAX_S	60
#define DELAY_FORGET_MS	3600000	/* failures of longer ago do not count */
#define DELAY_BURST	8

struct delay;

struct delay_who {
	uint8_t	pair[16], source[16];	/* keys of the table */
	bool	trusted;
};

struct delay *delay_new(void);
void	delay_free(struct delay *d);
void	delay_who(struct delay_who *who, const char *name,
	    const uint8_t source[16], bool trusted);
/* Seconds to wait; 0: may be checked. */
unsigned delay_wait(const struct delay *d, const struct delay_who *who,
	    uint64_t now);
/* Take one check out of its budget; or the milliseconds until there is one. */
bool	delay_take(struct delay *d, const struct delay_who *who, uint64_t now,
	    uint64_t *wait);
void	delay_failed(struct delay *d, const struct delay_who *who,
	    uint64_t now);
void	delay_passed(struct delay *d, const struct delay_who *who);

#endif
