#include "config.h"

#include "server/catalog/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/catalog/catalog.h"

struct events {
	struct event	 ring[EVENTS_MAX];
	uint64_t	 first, next;	/* numbers; the oldest kept, the next */
};

struct events *
events_new(int64_t now)
{
	struct events *e = calloc(1, sizeof(*e));

	/* more than 1,000 a second for as long as we live would be needed to
	 * meet these numbers again after a restart */
	if (e != NULL)
		e->first = e->next = (now > 0 ? (uint64_t)now : 0) * 1000 + 1;
	return e;
}

void
events_free(struct events *e)
{
	free(e);
}

void
event_add(struct catalog *c, const char *name, const char *subject,
    const char *fmt, ...)
{
	struct events *e = c->events;
	struct event *ev = &e->ring[e->next % EVENTS_MAX];
	va_list ap;

	ev->seq = e->next++;
	if (e->next - e->first > EVENTS_MAX)
		e->first = e->next - EVENTS_MAX;
	ev->at = c->now;
	snprintf(ev->name, sizeof(ev->name), "%s", name);
	snprintf(ev->subject, sizeof(ev->subject), "%s", subject);
	va_start(ap, fmt);
	vsnprintf(ev->detail, sizeof(ev->detail), fmt, ap);
	va_end(ap);
}

const struct event *
events_after(const struct events *e, uint64_t seq)
{
	uint64_t want = seq < e->first ? e->first : seq + 1;

	/* a number from the future: of a clock that was set back */
	if (seq >= e->next)
		return NULL;
	return want < e->next ? &e->ring[want % EVENTS_MAX] : NULL;
}

void
event_put(struct wbuf *out, const struct event *ev)
{
	wbuf_u64(out, ev->seq);
	wbuf_i64(out, ev->at);
	wbuf_str(out, ev->name);
	wbuf_str(out, ev->subject);
	wbuf_str(out, ev->detail);
}
