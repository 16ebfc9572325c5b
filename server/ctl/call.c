#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/cli/escape.h"
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
	struct json_doc *doc = NULL;
	struct wbuf buf = WBUF_INIT(65536);
	const char *why = NULL;

	if (json_parse(body, len, 16, &doc) == RC_OK)
		why = json_string(doc, json_root(doc), "error", NULL);
	fprintf(stderr, "storegridctl: ");
	if (why != NULL && why[0] != '\0')
		fprintf(stderr, "%s\n", escaped(&buf, why, strlen(why), false));
	else
		fprintf(stderr, "the server answered %d\n", status);
	wbuf_free(&buf);
	json_free(doc);
	return CTL_FAILED;
}

static int
call(struct ctl *c, const char *method, const char *path, const char *body,
    bool print, struct json_doc **doc)
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
	if (status < 200 || status > 299) {
		code = explain(status, end, len);
		goto out;
	}
	if (len > 0 && json_parse(end, len, ANSWER_VALUES, doc) != RC_OK) {
		fprintf(stderr, "storegridctl: the answer makes no sense\n");
		code = CTL_FAILED;
		goto out;
	}
	if (print)
		printf("%.*s\n", (int)len, end);
out:
	wbuf_free(&in);
	return code;
}

int
ctl_call(struct ctl *c, const char *method, const char *path,
    const char *body, struct json_doc **doc)
{
	return call(c, method, path, body, c->json, doc);
}

int
ctl_ask(struct ctl *c, const char *method, const char *path,
    const char *body, struct json_doc **doc)
{
	return call(c, method, path, body, false, doc);
}
