#include "config.h"

#include "server/http/om.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

static void
put(struct wbuf *out, const char *s)
{
	wbuf_bytes(out, s, strlen(s));
}

/* Backslash, quote and line end are escaped; what is not UTF-8 becomes U+FFFD,
 * since one wrong byte would cost the reader the whole page. */
static void
put_value(struct wbuf *out, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	const unsigned char *end = p + strlen(s);
	size_t n;

	while (p < end) {
		if (*p == '\\' || *p == '"' || *p == '\n') {
			put(out, *p == '\n' ? "\\n" : *p == '"' ? "\\\"" :
			    "\\\\");
			p++;
		} else if ((n = utf8_sequence(p, end)) > 0) {
			wbuf_bytes(out, p, n);
			p += n;
		} else {
			put(out, "\xef\xbf\xbd");
			p++;
		}
	}
}

void
om_family(struct wbuf *out, const char *name, const char *unit,
    const char *help)
{
	char line[400];

	snprintf(line, sizeof(line), "# HELP %s %s\n# TYPE %s gauge\n", name,
	    help, name);
	put(out, line);
	if (unit != NULL) {
		snprintf(line, sizeof(line), "# UNIT %s %s\n", name, unit);
		put(out, line);
	}
}

static void
put_name(struct wbuf *out, const char *name, const struct om_label *labels,
    size_t n)
{
	size_t i;

	put(out, name);
	if (n == 0)
		return;
	for (i = 0; i < n; i++) {
		put(out, i == 0 ? "{" : ",");
		put(out, labels[i].name);
		put(out, "=\"");
		put_value(out, labels[i].value);
		put(out, "\"");
	}
	put(out, "}");
}

void
om_sample(struct wbuf *out, const char *name, const struct om_label *labels,
    size_t n, uint64_t value)
{
	char text[32];

	put_name(out, name, labels, n);
	snprintf(text, sizeof(text), " %" PRIu64 "\n", value);
	put(out, text);
}

void
om_never(struct wbuf *out, const char *name, const struct om_label *labels,
    size_t n)
{
	put_name(out, name, labels, n);
	put(out, " +Inf\n");
}

void
om_end(struct wbuf *out)
{
	put(out, "# EOF\n");
}
