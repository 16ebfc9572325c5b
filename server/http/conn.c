#include "config.h"

#include "server/http/conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "common/io.h"
#include "common/rc.h"

#define DRAIN_MS	1000
#define DRAIN_MAX	(1u << 20)

/* Wait for the peer or the master. */
static int
wait_for(struct http_conn *c, short events, uint64_t deadline)
{
	struct pollfd p[2] = {
		{ .fd = c->fd, .events = events },
		{ .fd = c->parent_fd, .events = POLLIN },
	};
	uint64_t now = io_now_ms();

	if (now >= deadline)
		return RC_TIMEOUT;
	if (poll(p, 2, (int)(deadline - now)) == -1)
		return errno == EINTR ? RC_OK : rc_errno(errno);
	if (p[1].revents != 0 && c->on_parent != NULL)
		return c->on_parent(c->arg);
	return RC_OK;
}

static void
take_credentials(struct http_conn *c, struct msghdr *mh)
{
	struct cmsghdr *h;
	struct ucred cred;

	for (h = CMSG_FIRSTHDR(mh); h != NULL; h = CMSG_NXTHDR(mh, h)) {
		if (h->cmsg_level != SOL_SOCKET ||
		    h->cmsg_type != SCM_CREDENTIALS ||
		    h->cmsg_len < CMSG_LEN(sizeof(cred)))
			continue;
		memcpy(&cred, CMSG_DATA(h), sizeof(cred));
		c->ours = true;
		c->uid = (unsigned int)cred.uid;
		c->pid = (int)cred.pid;
	}
}

static int
receive(struct http_conn *c, void *p, size_t size, size_t *n, int flags)
{
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = { .iov_base = p, .iov_len = size };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.buf, .msg_controllen = sizeof(control.buf) };
	ssize_t r;

	do
		r = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | flags);
	while (r == -1 && errno == EINTR);
	if (r == -1)
		return errno == EAGAIN || errno == EWOULDBLOCK ? RC_AGAIN :
		    RC_EOF;
	if (r == 0)
		return RC_EOF;
	take_credentials(c, &mh);
	*n = (size_t)r;
	return RC_OK;
}

int
conn_first_byte(struct http_conn *c, uint8_t *byte, uint64_t deadline)
{
	size_t n;
	int rc;

	while ((rc = receive(c, byte, 1, &n, MSG_PEEK)) == RC_AGAIN)
		if ((rc = wait_for(c, POLLIN, deadline)) != RC_OK)
			return rc;
	return rc;
}

int
conn_handshake(struct http_conn *c, struct tls_ctx *ctx, uint64_t deadline)
{
	short want = POLLIN;
	int rc;

	if ((rc = tls_new(&c->tls, ctx, c->fd)) != RC_OK)
		return rc;
	while ((rc = tls_handshake(c->tls, &want)) == RC_AGAIN)
		if ((rc = wait_for(c, want, deadline)) != RC_OK)
			return rc;
	return rc;
}

int
conn_read_now(struct http_conn *c, void *p, size_t size, size_t *n,
    short *want)
{
	*want = POLLIN;
	return c->tls != NULL ? tls_read(c->tls, p, size, n, want) :
	    receive(c, p, size, n, 0);
}

int
conn_read(struct http_conn *c, void *p, size_t size, size_t *n,
    uint64_t deadline)
{
	short want;
	int rc;

	while ((rc = conn_read_now(c, p, size, n, &want)) == RC_AGAIN)
		if ((rc = wait_for(c, want, deadline)) != RC_OK)
			return rc;
	return rc;
}

static int
write_now(struct http_conn *c, const void *p, size_t n, size_t *done,
    short *want)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t w;

	*want = POLLOUT;
	if (c->tls != NULL)
		return tls_write(c->tls, p, n, done, want);
	do
		w = sendmsg(c->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (w == -1 && errno == EINTR);
	if (w == -1)
		return errno == EAGAIN || errno == EWOULDBLOCK ? RC_AGAIN :
		    RC_EOF;
	*done = (size_t)w;
	return RC_OK;
}

int
conn_write(struct http_conn *c, const void *p, size_t n, uint64_t deadline)
{
	const uint8_t *at = p;
	size_t done;
	short want;
	int rc;

	while (n > 0) {
		done = 0;
		if ((rc = write_now(c, at, n, &done, &want)) == RC_OK) {
			at += done;
			n -= done;
		} else if (rc != RC_AGAIN) {
			return rc;
		} else if ((rc = wait_for(c, want, deadline)) != RC_OK) {
			return rc;
		}
	}
	return RC_OK;
}

void
conn_close(struct http_conn *c, bool drain)
{
	uint64_t until = io_now_ms() + DRAIN_MS;
	char junk[4096];
	size_t n, all = 0;

	if (c->tls != NULL) {
		(void)tls_shutdown(c->tls);
		tls_free(c->tls);
		c->tls = NULL;
	}
	/* below TLS: whatever comes now is nothing that anybody reads */
	while (drain && c->fd != -1 && all < DRAIN_MAX &&
	    conn_read(c, junk, sizeof(junk), &n, until) == RC_OK)
		all += n;
	fd_close(&c->fd);
}
