#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "server/http/api.h"

/*
 * The http program as `api`: one connection of the control socket, one request,
 * then it exits.  The socket's file mode was the permission; the credentials
 * that came with the first bytes name the user in the log.  The kernel adds them
 * to whatever arrives there, and to nothing from a network: where there are
 * none, somebody handed us a connection that is not the control socket's.
 */
#define REQUEST_MS	10000

static struct {
	struct api	api;
	int		fd;
	char		in[HTTP_HEAD_MAX + HTTP_BODY_MAX];
	size_t		have;
} self = { .fd = -1 };

int
api_fail(struct api *a, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->error, sizeof(a->error), fmt, ap);
	va_end(ap);
	return status;
}

const char *
api_body_str(struct api *a, const char *name, int *status)
{
	const char *s = NULL;

	if (a->doc != NULL)
		s = json_string(a->doc, json_root(a->doc), name, NULL);
	if (s == NULL)
		*status = api_fail(a, 400, "the body needs a string \"%s\"", name);
	return s;
}

static void
take_credentials(struct api *a, struct msghdr *mh)
{
	struct cmsghdr *c;
	struct ucred cred;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET ||
		    c->cmsg_type != SCM_CREDENTIALS ||
		    c->cmsg_len < CMSG_LEN(sizeof(cred)))
			continue;
		memcpy(&cred, CMSG_DATA(c), sizeof(cred));
		snprintf(a->user, sizeof(a->user), "uid=%u pid=%d",
		    (unsigned)cred.uid, (int)cred.pid);
	}
}

/* Wait for the client or, at the latest, for the end of our parent. */
static int
wait_for(short events, uint64_t deadline)
{
	struct pollfd p[2];
	uint64_t now = io_now_ms();

	if (now >= deadline)
		return RC_TIMEOUT;
	p[0] = (struct pollfd){ .fd = self.fd, .events = events };
	p[1] = (struct pollfd){ .fd = chan_fd(self.api.env.parent) };
	if (poll(p, 2, (int)(deadline - now)) < 0 && errno != EINTR)
		return rc_errno(errno);
	if (p[1].revents & (POLLHUP | POLLERR))
		return RC_EOF;
	return RC_OK;
}

static int
receive(uint64_t deadline)
{
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov;
	struct msghdr mh;
	ssize_t n;
	int rc;

	for (;;) {
		iov.iov_base = self.in + self.have;
		iov.iov_len = sizeof(self.in) - self.have;
		memset(&mh, 0, sizeof(mh));
		mh.msg_iov = &iov;
		mh.msg_iovlen = 1;
		mh.msg_control = control.buf;
		mh.msg_controllen = sizeof(control.buf);
		n = recvmsg(self.fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n > 0) {
			take_credentials(&self.api, &mh);
			self.have += (size_t)n;
			return RC_OK;
		}
		if (n == 0)
			return RC_EOF;
		if (errno != EAGAIN && errno != EINTR)
			return rc_errno(errno);
		if ((rc = wait_for(POLLIN, deadline)) != RC_OK)
			return rc;
	}
}

static int
send_all(const void *bytes, size_t len, uint64_t deadline)
{
	const char *p = bytes;
	struct iovec iov;
	struct msghdr mh;
	ssize_t n;
	int rc;

	while (len > 0) {
		iov.iov_base = (void *)(uintptr_t)p;
		iov.iov_len = len;
		memset(&mh, 0, sizeof(mh));
		mh.msg_iov = &iov;
		mh.msg_iovlen = 1;
		n = sendmsg(self.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN && errno != EINTR) {
			return rc_errno(errno);
		} else if ((rc = wait_for(POLLOUT, deadline)) != RC_OK) {
			return rc;
		}
	}
	return RC_OK;
}

static const char *
reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 409: return "Conflict";
	case 413: return "Content Too Large";
	case 503: return "Service Unavailable";
	default: return "Internal Server Error";
	}
}

/* The answer's body is what the handler wrote, or {"error": ...} alone. */
static int
respond(struct api *a, int status, uint64_t deadline)
{
	char head[512];
	int n, rc;

	if (status == 200 && wbuf_rc(&a->answer) != RC_OK)
		status = api_fail(a, 500, "the answer is too large");
	if (status != 200) {
		wbuf_reset(&a->answer);
		json_init(&a->json, &a->answer);
		json_object(&a->json, NULL);
		json_put_str(&a->json, "error",
		    a->error[0] != '\0' ? a->error : reason(status));
		json_end(&a->json);
	}
	n = snprintf(head, sizeof(head),
	    "HTTP/1.1 %d %s\r\n"
	    "Content-Type: application/json\r\n"
	    "Content-Length: %zu\r\n"
	    "Cache-Control: no-store\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "Connection: close\r\n\r\n",
	    status, reason(status), a->answer.len);
	if ((rc = send_all(head, (size_t)n, deadline)) != RC_OK)
		return rc;
	if (a->req.method == HTTP_HEAD)
		return RC_OK;
	return send_all(a->answer.data, a->answer.len, deadline);
}

static int
run(struct api *a)
{
	api_handler *handler;
	int status;

	if ((handler = api_route(&a->req, &status)) == NULL)
		return api_fail(a, status, status == 404 ?
		    "there is nothing at this path" :
		    "this path does not take that method");
	json_object(&a->json, NULL);
	status = handler(a);
	json_end(&a->json);
	return status;
}

/* Read the request; 0 when it is whole, else the status to answer with. */
static int
read_request(struct api *a, uint64_t deadline)
{
	size_t head;
	int rc;

	while ((rc = http_parse(self.in, self.have, &a->req, &head)) == RC_AGAIN)
		if ((rc = receive(deadline)) != RC_OK)
			return api_fail(a, 400, "the request ended too early");
	if (rc == RC_LIMIT)
		return api_fail(a, 413, "the request is too large");
	if (rc != RC_OK)
		return api_fail(a, 400, "malformed request");
	while (self.have < head + a->req.body_len)
		if (receive(deadline) != RC_OK)
			return api_fail(a, 400, "the request ended too early");
	if (self.have > head + a->req.body_len)
		return api_fail(a, 400, "bytes after the request");
	if (a->req.body_len > 0 &&
	    json_parse(self.in + head, a->req.body_len, 256, &a->doc) != RC_OK)
		return api_fail(a, 400, "the body is not JSON of the kind taken here");
	return 0;
}

static void
log_change(const struct api *a, int status)
{
	static const char *const methods[] = {
		"GET", "HEAD", "POST", "PUT", "DELETE",
	};
	char path[HTTP_SEGMENTS_MAX * 24] = "";
	size_t i, n = 0;

	for (i = 0; i < a->req.segments && n < sizeof(path) - 24; i++)
		n += (size_t)snprintf(path + n, sizeof(path) - n, "/%.22s",
		    a->req.segment[i]);
	/* a value of a log line: no blanks, no quotes, whatever was decoded */
	for (i = 0; path[i] != '\0'; i++)
		if (path[i] <= ' ' || path[i] == '"' || path[i] == '=')
			path[i] = '?';
	if (a->req.method != HTTP_GET || status != 200)
		log_info("api %s by=\"%s\" method=%s path=%s status=%d",
		    status == 200 ? "change" : "refused", a->user,
		    methods[a->req.method], path, status);
}

static void
serve(struct api *a)
{
	uint64_t deadline = io_now_ms() + REQUEST_MS;
	int rc, status;

	a->answer = (struct wbuf)WBUF_INIT(API_ANSWER_MAX);
	json_init(&a->json, &a->answer);
	if ((status = read_request(a, deadline)) == 0)
		status = a->user[0] != '\0' ? run(a) : api_fail(a, 403,
		    "only the control socket is served");
	log_change(a, status);
	if ((rc = respond(a, status, io_now_ms() + REQUEST_MS)) != RC_OK &&
	    rc != RC_EOF)
		log_info("api answer not sent: %s", rc_str(rc));
}

/* Wait for the one connection; STOP or the master's end is our end. */
static int
wait_connection(struct api *a)
{
	struct msg m;
	int rc;

	for (;;) {
		if ((rc = chan_recv_wait(a->env.parent, &m, -1)) != RC_OK)
			return rc;
		switch (m.type) {
		case MSG_STOP:
			return RC_EOF;
		case MSG_CONN:
			self.fd = msg_take_fd(a->env.parent, &m);
			return RC_OK;
		default:
			return RC_STATE;
		}
	}
}

int
main(void)
{
	struct api *a = &self.api;
	int rc;

	mallopt(M_ARENA_MAX, 1);
	role_begin(&a->env, ROLE_API, ROLE_MASTER, true);
	if ((a->auth = role_chan(&a->env, 5, ROLE_AUTH)) == NULL)
		fatal("no channel to auth");
	role_drop(&a->env);
	role_enter(&a->env);

	rc = wait_connection(a);
	if (rc == RC_OK)
		serve(a);
	else if (rc != RC_EOF)
		log_warn("unexpected message from the master: %s", rc_str(rc));
	fd_close(&self.fd);
	json_free(a->doc);
	wbuf_free(&a->answer);
	chan_free(a->auth);
	return 0;
}
