#ifndef SERVER_HTTP_OM_H
#define SERVER_HTTP_OM_H

#include <stdint.h>

#include "common/wbuf.h"

/*
 * OpenMetrics 1.0 text, in the part of it that is also Prometheus' older format:
 * gauges only, so that every reader and promtool's linter take it.  Values are
 * integers, or +Inf for "never".
 */
struct om_label {
	const char	*name, *value;
};

/* HELP, TYPE and, unless unit is NULL, UNIT; the name ends in "_" and the unit. */
void	om_family(struct wbuf *out, const char *name, const char *unit,
	    const char *help);
void	om_sample(struct wbuf *out, const char *name,
	    const struct om_label *labels, size_t n, uint64_t value);
void	om_never(struct wbuf *out, const char *name,
	    const struct om_label *labels, size_t n);
void	om_end(struct wbuf *out);

#endif
