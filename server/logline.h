#ifndef SERVER_LOGLINE_H
#define SERVER_LOGLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/addr.h"

/*
 * What the logger does to a line, apart from taking and writing it.
 *
 * Escape: everything that is not printable UTF-8, so that nobody can begin a
 * line of his own or steer a terminal: control bytes, invalid sequences, line
 * and paragraph separators and the marks that turn the writing direction become
 * \xNN, a backslash becomes \\.  Cut at size; returns the length.
 */
size_t	logline_escape(const char *in, char *out, size_t size);

/* "2026-11-24T13:31:25.123Z" from wall nanoseconds, without asking the C
 * library, which would open the time zone's file. */
#define LOGLINE_TIME_LEN 25
void	logline_time(int64_t wall_ns, char out[LOGLINE_TIME_LEN]);

/* A bucket of lines. */
struct logline_bucket {
	uint64_t	at_ms;
	uint32_t	left, burst, per_second;
	uint64_t	lost;
};
void	logline_bucket_init(struct logline_bucket *b, uint32_t burst,
	    uint32_t per_second, uint64_t now_ms);
bool	logline_bucket_take(struct logline_bucket *b, uint64_t now_ms);

/*
 * Failures before authentication: one line per source, kind and minute, then a
 * count.  Recognised by their first word (auth-failure, conn-refused,
 * conn-failed), addr= and reason=; what else comes is not touched.
 */
struct logline_agg;

#define LOGLINE_AGG_MS		60000
#define LOGLINE_AGG_MAX		1024	/* sources in one minute; then one line
					 * for all others together */

struct logline_agg *logline_agg_new(void);
void	logline_agg_free(struct logline_agg *g);
/* true: write it.  false: it was counted. */
bool	logline_agg_line(struct logline_agg *g, const char *text,
	    uint64_t now_ms);
/* The next count that is due, as a line; false when there is none.  Call until
 * it says so; next_ms is when to look again (UINT64_MAX: not before a
 * line came). */
bool	logline_agg_due(struct logline_agg *g, uint64_t now_ms, char *out,
	    size_t size, uint64_t *next_ms);

#endif
