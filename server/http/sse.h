#ifndef SERVER_HTTP_SSE_H
#define SERVER_HTTP_SSE_H

#include "common/rbuf.h"
#include "common/wbuf.h"

/* One CAT_EVENT as an event of a text/event-stream: id, event, and data as one
 * line of JSON.  Nothing in it can begin a line of its own. */
int	sse_event(struct wbuf *out, struct rbuf *in);

#endif
