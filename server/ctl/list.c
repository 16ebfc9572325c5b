#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/rc.h"
#include "common/wbuf.h"
#include "server/ctl/ctl.h"

/* What most verbs are made of: a path, a body, a table. */

/* Append %-encoded text to a path, without what stands in `plain`, too; false
 * when it does not fit. */
static bool
encode(char path[CTL_PATH_MAX], const char *text, const char *plain)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = strlen(path);

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (n + 4 >= CTL_PATH_MAX)
			return false;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || strchr(plain, c) != NULL) {
			path[n++] = (char)c;
			continue;
		}
		path[n++] = '%';
		path[n++] = digits[c >> 4];
		path[n++] = digits[c & 15];
	}
	path[n] = '\0';
	return true;
}

int
ctl_path(char path[CTL_PATH_MAX], const char *base, ...)
{
	const char *segment;
	bool fits = true, empty = false;
	va_list ap;

	snprintf(path, CTL_PATH_MAX, "/api/v1/%s", base);
	va_start(ap, base);
	while (fits && (segment = va_arg(ap, const char *)) != NULL) {
		empty = empty || segment[0] == '\0';
		fits = strlen(path) + 2 < CTL_PATH_MAX;
		if (fits)
			strcat(path, "/");
		fits = fits && encode(path, segment, "-_.");
	}
	va_end(ap);
	if (fits && !empty)
		return CTL_OK;
	fprintf(stderr, "storegridctl: the name is %s\n",
	    empty ? "empty" : "too long");
	return CTL_USAGE;
}

void
ctl_query_str(char path[CTL_PATH_MAX], const char *name, const char *value)
{
	size_t n = strlen(path);

	snprintf(path + n, CTL_PATH_MAX - n, "%c%s=",
	    strchr(path, '?') == NULL ? '?' : '&', name);
	(void)encode(path, value, "-_./");
}

void
ctl_query_u64(char path[CTL_PATH_MAX], const char *name, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	ctl_query_str(path, name, text);
}

const char *
ctl_body_end(struct json *j)
{
	json_end(j);
	wbuf_u8(j->out, 0);
	if (wbuf_rc(j->out) == RC_OK)
		return (const char *)j->out->data;
	fprintf(stderr, "storegridctl: the request is too long\n");
	return NULL;
}

void
ctl_rows(const struct json_doc *d, const struct ctl_table *t)
{
	const struct json_value *v;

	v = json_first(d, json_get(d, json_root(d), t->rows));
	printf("%s\n", v == NULL ? t->none : t->head);
	for (; v != NULL; v = json_next(d, v)) {
		t->print(d, v);
		putchar('\n');
	}
}

int
ctl_list(struct ctl *c, const struct ctl_table *t)
{
	struct json_doc *doc;
	int code;

	if ((code = ctl_call(c, "GET", t->path, NULL, &doc)) == CTL_OK &&
	    !c->json)
		ctl_rows(doc, t);
	json_free(doc);
	return code;
}

int
ctl_change(struct ctl *c, const char *method, const char *path,
    const char *body, const char *said)
{
	struct json_doc *doc;
	int code;

	if ((code = ctl_call(c, method, path, body, &doc)) == CTL_OK &&
	    !c->json)
		printf("%s\n", said);
	json_free(doc);
	return code;
}
