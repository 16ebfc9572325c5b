#include "config.h"

#include "tests/fault/hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"

#define IN_MAX		(64u << 20)
#define SEND_MS		10000

static int
address(const char *text, uint16_t port, struct sockaddr_storage *ss,
    socklen_t *len)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *in = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		*len = sizeof(*in);
		return RC_OK;
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		*len = sizeof(*in6);
		return RC_OK;
	}
	return RC_RANGE;
}

/* A connected, non-blocking socket. */
int
conn_socket(const struct target *t, int *out)
{
	struct sockaddr_storage ss, from;
	socklen_t len, from_len;
	int fd, rc;

	*out = -1;
	if ((rc = address(t->host, t->port, &ss, &len)) != RC_OK)
		return rc;
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return rc_errno(errno);
	if (t->from[0] != '\0' &&
	    (address(t->from, 0, &from, &from_len) != RC_OK ||
	    bind(fd, (struct sockaddr *)&from, from_len) == -1))
		goto failed;
	/* or every second frame waits for an acknowledgement */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (connect(fd, (struct sockaddr *)&ss, len) == -1 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
		goto failed;
	*out = fd;
	return RC_OK;
failed:
	rc = rc_errno(errno);
	close(fd);
	return rc;
}

static int
ended(struct conn *c, enum ending e)
{
	if (c->end == END_NONE)
		c->end = e;
	return RC_EOF;
}

static int
wait_for(struct conn *c, short events, uint64_t until)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	uint64_t now = io_now_ms();
	int n;

	if (now >= until)
		return RC_TIMEOUT;
	n = poll(&p, 1, (int)(until - now));
	return n == 0 ? RC_TIMEOUT : RC_OK;
}

/* What has come goes to the end of c->in.  RC_AGAIN: nothing. */
static int
fill(struct conn *c, short *want)
{
	uint8_t buf[65536];
	ssize_t r;
	size_t n = 0;
	int rc;

	*want = POLLIN;
	if (c->in_off == c->in.len) {
		wbuf_reset(&c->in);
		c->in_off = 0;
	}
	if (c->tls != NULL && !c->clear) {
		rc = tls_read(c->tls, buf, sizeof(buf), &n, want);
		if (rc == RC_AGAIN)
			return rc;
		if (rc != RC_OK)
			return ended(c, rc == RC_EOF ? END_CLOSED : END_TLS);
	} else {
		r = recv(c->fd, buf, sizeof(buf), 0);
		if (r == -1 && (errno == EAGAIN || errno == EINTR))
			return RC_AGAIN;
		if (r <= 0)
			return ended(c, r == 0 ? END_CLOSED : END_RESET);
		n = (size_t)r;
	}
	wbuf_bytes(&c->in, buf, n);
	return wbuf_rc(&c->in) == RC_OK ? RC_OK : ended(c, END_RESET);
}

/* One step of writing; RC_AGAIN. */
static int
write_some(struct conn *c, const uint8_t *p, size_t n, size_t *done,
    short *want)
{
	ssize_t w;

	*done = 0;
	*want = POLLOUT;
	if (c->tls != NULL && !c->clear)
		return tls_write(c->tls, p, n, done, want);
	w = send(c->fd, p, n, MSG_NOSIGNAL);
	if (w == -1)
		return errno == EAGAIN || errno == EINTR ? RC_AGAIN : RC_EOF;
	*done = (size_t)w;
	return RC_OK;
}

/* Reads while it writes, so that the answer that ended it is not lost. */
int
conn_send(struct conn *c, const void *data, size_t n)
{
	uint64_t until = io_now_ms() + SEND_MS;
	const uint8_t *p = data;
	short want, want_in;
	size_t done;
	int rc;

	while (n > 0) {
		rc = write_some(c, p, n, &done, &want);
		p += done;
		n -= done;
		if (rc == RC_OK)
			continue;
		if (rc != RC_AGAIN)
			return RC_EOF;	/* the reader will see how it ended */
		if (wait_for(c, (short)(want | POLLIN), until) != RC_OK)
			return RC_TIMEOUT;
		while ((rc = fill(c, &want_in)) == RC_OK)
			;
		if (rc != RC_AGAIN)
			return rc;
	}
	return RC_OK;
}

int
conn_frame(struct conn *c, uint16_t type, uint32_t request, const void *p,
    size_t n)
{
	struct frame f = { .length = (uint32_t)n, .type = type,
	    .request = request };
	uint8_t h[PROTO_FRAME_LEN];
	int rc;

	frame_put(h, &f);
	if ((rc = conn_send(c, h, sizeof(h))) == RC_OK && n > 0)
		rc = conn_send(c, p, n);
	return rc;
}

int
conn_wbuf(struct conn *c, uint16_t type, uint32_t request, struct wbuf *b)
{
	int rc = wbuf_rc(b);

	if (rc == RC_OK)
		rc = conn_frame(c, type, request, b->data, b->len);
	wbuf_free(b);
	return rc;
}

/* A whole frame that lies in the buffer. */
static bool
take(struct conn *c)
{
	size_t have = c->in.len - c->in_off;

	if (have < PROTO_FRAME_LEN)
		return false;
	frame_get(c->in.data + c->in_off, &c->f);
	if (have - PROTO_FRAME_LEN < c->f.length)
		return false;
	c->p = c->in.data + c->in_off + PROTO_FRAME_LEN;
	c->in_off += PROTO_FRAME_LEN + c->f.length;
	return true;
}

static int
look(struct conn *c)
{
	struct rbuf in;

	if (c->f.type != PROTO_BYE && c->f.type != PROTO_ERROR)
		return RC_OK;
	/* Said before the close that may have been seen already. */
	if (c->end != END_ERROR)
		c->end = c->f.type == PROTO_BYE ? END_BYE :
		    c->f.request != 0 ? END_REFUSED : END_ERROR;
	rbuf_init(&in, c->p, c->f.length);
	if (c->f.type == PROTO_ERROR && proto_err_parse(&in, &c->err) != RC_OK)
		c->err = (struct proto_err){ .text = "(malformed ERROR)" };
	return RC_EOF;
}

int
conn_recv(struct conn *c, int ms)
{
	uint64_t until = io_now_ms() + (uint64_t)ms;
	short want;
	int rc;

	for (;;) {
		if (take(c))
			return look(c);
		if (c->end != END_NONE)
			return RC_EOF;
		rc = fill(c, &want);
		if (rc == RC_AGAIN)
			rc = wait_for(c, want, until);
		if (rc == RC_TIMEOUT)
			return rc;
		if (rc != RC_OK && !take(c))
			return rc;
		if (rc != RC_OK)
			return look(c);
	}
}

int
conn_want(struct conn *c, uint16_t type, int ms)
{
	uint64_t until = io_now_ms() + (uint64_t)ms, now;
	int rc;

	do {
		now = io_now_ms();
		if ((rc = conn_recv(c, now < until ? (int)(until - now) :
		    0)) != RC_OK)
			return rc;
	} while (c->f.type != type);
	return RC_OK;
}

/* After an ERROR or BYE the server has to close as well. */
enum ending
conn_drain(struct conn *c, int ms)
{
	uint64_t until = io_now_ms() + (uint64_t)ms;
	enum ending first;
	short want;
	int rc;

	while ((rc = conn_recv(c, ms)) == RC_OK && io_now_ms() < until)
		;
	if (c->end == END_NONE)
		return c->end = END_SILENCE;
	if (c->end != END_ERROR && c->end != END_BYE)
		return c->end;
	first = c->end;
	until = io_now_ms() + WAIT_MS;
	for (;;) {
		if ((rc = fill(c, &want)) == RC_AGAIN)
			rc = wait_for(c, want, until);
		if (rc == RC_TIMEOUT)
			return c->end = first == END_ERROR ? END_OPEN_ERROR :
			    first;
		if (rc != RC_OK)
			return c->end = first;
		c->in_off = c->in.len;
	}
}

/* The server may refuse in clear text before any TLS. */
static int
peek_clear(struct conn *c)
{
	uint8_t b;

	if (recv(c->fd, &b, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && b == 0x00) {
		c->clear = true;
		conn_recv(c, WAIT_MS);
		return ended(c, END_TLS);
	}
	return RC_OK;
}

/*
 * The ClientHello is made against a socket pair and sent by us, so that the
 * first byte of the answer can be looked at before TLS swallows it.
 */
static int
first_flight(struct conn *c)
{
	uint8_t hello[4096];
	int sp[2], real, rc = RC_IO;
	ssize_t n = -1;
	short want;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp) == -1)
		return rc;
	real = fcntl(c->fd, F_DUPFD_CLOEXEC, 3);
	if (real != -1 && dup2(sp[0], c->fd) != -1) {
		rc = tls_handshake(c->tls, &want);
		n = recv(sp[1], hello, sizeof(hello), MSG_DONTWAIT);
		if (dup2(real, c->fd) == -1)
			n = -1;
	}
	fd_close(&real);
	fd_close(&sp[0]);
	fd_close(&sp[1]);
	if (rc != RC_AGAIN || n <= 0)
		return RC_IO;
	/* refused already, or not: the answer tells */
	(void)send(c->fd, hello, (size_t)n, MSG_NOSIGNAL);
	return RC_OK;
}

static int
handshake(struct conn *c)
{
	uint64_t until = io_now_ms() + WAIT_MS;
	short want = POLLIN;
	int rc;

	if ((rc = first_flight(c)) != RC_OK)
		return ended(c, END_TLS);
	do {
		if ((rc = wait_for(c, want, until)) != RC_OK)
			return ended(c, END_SILENCE);
		if ((rc = peek_clear(c)) != RC_OK)
			return rc;
	} while ((rc = tls_handshake(c->tls, &want)) == RC_AGAIN);
	if (rc != RC_OK)
		return ended(c, rc == RC_PIN ? END_PIN : rc == RC_EOF ?
		    END_CLOSED : END_TLS);
	return tls_exporter(c->tls, c->exporter);
}

int
conn_open(struct conn *c, const struct target *t)
{
	int rc;

	memset(c, 0, sizeof(*c));
	c->fd = -1;
	wbuf_init(&c->in, IN_MAX);
	wbuf_init(&c->hello, PROTO_PRELOGIN_MAX);
	wbuf_init(&c->ok, PROTO_PRELOGIN_MAX);
	c->clear = t->clear;
	if ((rc = conn_socket(t, &c->fd)) != RC_OK)
		return ended(c, END_RESET);
	if (t->clear)
		return RC_OK;
	if ((rc = tls_new(&c->tls, t->ctx, c->fd)) != RC_OK)
		return rc;
	return handshake(c);
}

void
conn_close(struct conn *c)
{
	tls_free(c->tls);
	c->tls = NULL;
	fd_close(&c->fd);
	wbuf_free(&c->in);
	wbuf_free(&c->hello);
	wbuf_free(&c->ok);
}

static const char *
error_name(uint16_t code)
{
	static const struct { uint16_t code; const char *name; } names[] = {
#define X(name, code, retry, text) { (code), #name },
		PROTO_ERRORS(X)
#undef X
	};

	for (size_t i = 0; i < NITEMS(names); i++)
		if (names[i].code == code)
			return names[i].name;
	return "?";
}

const char *
ending_text(const struct conn *c, char *out, size_t size)
{
	static const char *const texts[END_MAX] = {
		[END_NONE] = "answered",
		[END_BYE] = "BYE",
		[END_CLOSED] = "closed",
		[END_RESET] = "reset",
		[END_TLS] = "TLS failed",
		[END_PIN] = "wrong pin",
		[END_SILENCE] = "silence",
	};

	if (c->end == END_ERROR || c->end == END_OPEN_ERROR ||
	    c->end == END_REFUSED)
		snprintf(out, size, "%s %s%s: %s", c->end == END_REFUSED ?
		    "answer" : "ERROR", error_name(c->err.code),
		    c->end == END_OPEN_ERROR ? " (but not closed)" : "",
		    c->err.text[0] != '\0' ? c->err.text :
		    proto_error_text(c->err.code));
	else
		snprintf(out, size, "%s", texts[c->end]);
	return out;
}
