#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"
#include "common/json.h"
#include "common/rc.h"
#include "server/ctl/ctl.h"

#define ANSWER_MAX	(24u << 20)
#define ANSWER_VALUES	(1u << 20)
#define ANSWER_WAIT_S	60

static int
connect_control(const struct ctl *c)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = ANSWER_WAIT_S };
	int fd, n;

	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/control.sock",
	    c->conf.run);
	if (n < 0 || (size_t)n >= sizeof(sun.sun_path)) {
		fprintf(stderr, "storegridctl: Paths.Run is too long for a socket\n");
		return -1;
	}
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		int saved = errno;

		fprintf(stderr, "storegridctl: %s: %s\n", sun.sun_path,
		    strerror(saved));
		if (saved == EACCES)
			fprintf(stderr, "You must be root or in the group "
			    "storegrid-admin.\n");
		else
			fprintf(stderr, "Is storegridd running? Another "
			    "installation is chosen by -f CONF.\n");
		fd_close(&fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	return fd;
}

static int
read_answer(int fd, struct wbuf *in)
{
	uint8_t *p;
	ssize_t n;

	for (;;) {
		if ((p = wbuf_space(in, 65536)) == NULL)
			return wbuf_rc(in);
		n = read(fd, p, 65536);
		in->len -= 65536;
		if (n == 0)
			return RC_OK;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return rc_errno(errno);
		in->len += (size_t)n;
	}
}

static int
exchange(struct ctl *c, const char *method, const char *path,
    const char *body, struct wbuf *in)
{
	char head[2600];
	int fd, n, rc;

	if ((fd = connect_control(c)) == -1)
		return CTL_UNREACHABLE;
	n = snprintf(head, sizeof(head),
	    "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
	    method, path, body != NULL ? strlen(body) : 0);
	if (n < 0 || (size_t)n >= sizeof(head)) {
		fprintf(stderr, "storegridctl: the request is too long\n");
		fd_close(&fd);
		return CTL_USAGE;
	}
	/* a refusal may come before the whole request was taken: read anyway */
	if (io_write_full(fd, head, (size_t)n) == RC_OK && body != NULL)
		(void)io_write_full(fd, body, strlen(body));
	rc = read_answer(fd, in);
	fd_close(&fd);
	if (rc != RC_OK) {
		fprintf(stderr, "storegridctl: no answer from the server: %s\n",
		    rc_str(rc));
		return CTL_UNREACHABLE;
	}
	return CTL_OK;
}

static int
explain(int status, const char *body, size_t len)
{
	struct json_doc *doc;
	const char *why = NULL;

	if (json_parse(body, len, 16, &doc) == RC_OK)
		why = json_string(doc, json_root(doc), "error", NULL);
	fprintf(stderr, "storegridctl: ");
	if (why != NULL && why[0] != '\0')
		fprintf(stderr, "%s\n", why);
	else
		fprintf(stderr, "the server answered %d\n", status);
	json_free(doc);
	return CTL_FAILED;
}

int
ctl_call(struct ctl *c, const char *method, const char *path,
    const char *body, struct json_doc **doc)
{
	struct wbuf in = WBUF_INIT(ANSWER_MAX);
	const char *text, *end;
	size_t len;
	int code, status = 0;

	*doc = NULL;
	if ((code = exchange(c, method, path, body, &in)) != CTL_OK)
		goto out;
	text = (const char *)in.data;
	end = in.len == 0 ? NULL : memmem(text, in.len, "\r\n\r\n", 4);
	if (end == NULL || in.len < 13 || memcmp(text, "HTTP/1.1 ", 9) != 0) {
		fprintf(stderr, "storegridctl: the server closed without an "
		    "answer; see its log\n");
		code = CTL_UNREACHABLE;
		goto out;
	}
	status = atoi(text + 9);
	end += 4;
	len = in.len - (size_t)(end - text);
	if (status != 200) {
		code = explain(status, end, len);
		goto out;
	}
	if (json_parse(end, len, ANSWER_VALUES, doc) != RC_OK) {
		fprintf(stderr, "storegridctl: the answer makes no sense\n");
		code = CTL_FAILED;
		goto out;
	}
	if (c->json)
		printf("%.*s\n", (int)len, end);
out:
	wbuf_free(&in);
	return code;
}

bool
ctl_path_add(char *path, size_t size, const char *segment)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = strlen(path);

	if (n + 1 >= size)
		return false;
	path[n++] = '/';
	for (; *segment != '\0'; segment++) {
		unsigned char c = (unsigned char)*segment;

		if (n + 4 >= size)
			return false;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.') {
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

void
ctl_print(const char *s, int width)
{
	int n = 0;

	for (; *s != '\0'; s++, n++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f)
			putchar('?');
		else
			putchar(c);
	}
	while (n++ < width)
		putchar(' ');
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
