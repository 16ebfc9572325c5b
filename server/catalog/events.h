#ifndef SERVER_CATALOG_EVENTS_H
#define SERVER_CATALOG_EVENTS_H

#include <stdint.h>

#include "common/wbuf.h"

/*
 * What happened lately, in memory: the last EVENTS_MAX.  Numbers go on rising
 * over a restart (they start from the clock), so a reader that comes back with
 * the last number it saw misses nothing that is still here.
 */
#define EVENTS_MAX		1000
#define EVENT_NAME_MAX		31
#define EVENT_SUBJECT_MAX	199
#define EVENT_DETAIL_MAX	511

struct event {
	uint64_t	seq;
	int64_t		at;
	char		name[EVENT_NAME_MAX + 1];
	char		subject[EVENT_SUBJECT_MAX + 1];
	char		detail[EVENT_DETAIL_MAX + 1];
};

struct catalog;
struct events;

struct events *events_new(int64_t now);		/* NULL: no memory */
void	events_free(struct events *e);
void	event_add(struct catalog *c, const char *name, const char *subject,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The first one after `seq`; NULL when there is none. */
const struct event *events_after(const struct events *e, uint64_t seq);
/* The body of MSG_CAT_EVENT. */
void	event_put(struct wbuf *out, const struct event *ev);

#endif
