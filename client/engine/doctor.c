#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "client/engine/engine.h"
#include "client/engine/event.h"
#include "common/io.h"
#include "common/rc.h"

/*
 * What `storegrid doctor` cannot know without the keys: where this client was
 * enrolled, and what a log-in comes to.
 */
static void __attribute__((format(printf, 3, 4)))
value(struct engine *e, const char *name, const char *fmt, ...)
{
	struct wbuf ev = WBUF_INIT(1024);
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	wbuf_u8(&ev, EVENT_VALUE);
	wbuf_str(&ev, name);
	wbuf_str(&ev, text);
	(void)engine_event(e, &ev);
	wbuf_free(&ev);
}

int
doctor_run(struct engine *e, char *text, size_t size)
{
	const struct state *st = e->state;
	struct remote *r = NULL;
	struct auth_ok ok;
	int rc;

	value(e, "host", "%s", st->host);
	value(e, "port", "%u", st->port);
	value(e, "ssl_port", "%u", st->ssl_port);
	value(e, "ssl", "%d", st->ssl);
	if ((rc = engine_connect(e, &r, NULL, &ok)) != RC_OK) {
		snprintf(text, size, "%s", e->error);
		return engine_exit_code(rc, NULL);
	}
	value(e, "clock_ns", "%" PRId64, ok.wall_ns - io_wall_ns());
	remote_close(r);
	return EXIT_DONE;
}
