#include "config.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/cli/escape.h"
#include "common/wbuf.h"
#include "server/ctl/ctl.h"

/* What comes from the server was chosen by clients and peers: it reaches the
 * terminal only through here. */
#define TEXT_MAX	65536

void
ctl_print(const char *s, int width)
{
	struct wbuf buf = WBUF_INIT(TEXT_MAX);
	const char *text = escaped(&buf, s, strlen(s), false);
	int n;

	fputs(text, stdout);
	if (width > 0) {
		for (n = 0; n < width &&
		    text[escape_cut(text, (size_t)n)] != '\0'; n++)
			;
		do
			putchar(' ');
		while (++n < width);
	}
	wbuf_free(&buf);
}

void
ctl_print_num(long long n, int width)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", n);
	ctl_print(text, width);
}

void
ctl_time_text(long long t, char *out, size_t size)
{
	time_t when = (time_t)t;
	struct tm tm;

	snprintf(out, size, "never");
	if (t != 0 && localtime_r(&when, &tm) != NULL)
		strftime(out, size, "%Y-%m-%d %H:%M", &tm);
}

void
ctl_print_time(long long t, int width)
{
	char text[32];

	ctl_time_text(t, text, sizeof(text));
	ctl_print(text, width);
}

void
ctl_print_bytes(long long n, int width)
{
	char text[32];

	human_bytes(n < 0 ? 0 : (uint64_t)n, text, sizeof(text));
	ctl_print(text, width);
}

void
ctl_print_client(const struct json_doc *d, const struct json_value *v,
    int width)
{
	const char *account = json_string(d, v, "account", "");
	const char *name = json_string(d, v, "name", "");
	char text[160];

	snprintf(text, sizeof(text), "%s%s%s", account,
	    account[0] != '\0' ? "/" : "", name);
	ctl_print(text, width);
}

bool
ctl_split_name(char *arg, char **name)
{
	if ((*name = strchr(arg, '/')) == NULL || *name == arg ||
	    (*name)[1] == '\0') {
		fprintf(stderr, "storegridctl: '%s': a client is named "
		    "ACCOUNT/NAME\n", arg);
		return false;
	}
	*(*name)++ = '\0';
	return true;
}
