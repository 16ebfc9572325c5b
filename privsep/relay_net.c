#include "config.h"

#include "privsep/relay_priv.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/io.h"
#include "common/rc.h"

static int
socket_failed(struct relay *r, short event, short *want)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK) {
		*want = event;
		return RC_AGAIN;
	}
	r->sys_error = errno;
	return RC_EOF;			/* reset, gone: the same to us */
}

static int
socket_read(struct relay *r, void *p, size_t size, size_t *n)
{
	struct iovec iov = { .iov_base = p, .iov_len = size };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t got;

	do
		got = recvmsg(r->fd, &mh, MSG_DONTWAIT);
	while (got == -1 && errno == EINTR);
	if (got == -1)
		return socket_failed(r, POLLIN, &r->in.want);
	if (got == 0)
		return RC_EOF;
	*n = (size_t)got;
	return RC_OK;
}

static int
clear_read(struct relay *r, void *p, size_t size, size_t *n)
{
	int rc;

	if (r->clear_off == r->clear_len) {
		if (size >= CLEAR_SIZE)
			return socket_read(r, p, size, n);
		r->clear_off = r->clear_len = 0;
		rc = socket_read(r, r->clear, CLEAR_SIZE, &r->clear_len);
		if (rc != RC_OK)
			return rc;
	}
	*n = r->clear_len - r->clear_off;
	if (*n > size)
		*n = size;
	memcpy(p, r->clear + r->clear_off, *n);
	r->clear_off += *n;
	return RC_OK;
}

int
relay_net_read(struct relay *r, void *p, size_t size, size_t *n)
{
	int rc;

	*n = 0;
	rc = r->tls != NULL ? tls_read(r->tls, p, size, n, &r->in.want) :
	    clear_read(r, p, size, n);
	if (rc == RC_AGAIN)
		r->in.ready = false;
	else if (rc == RC_OK) {
		r->moved = r->in.heard = r->in.last = io_now_ms();
		r->ping_sent = false;
	}
	return rc;
}

int
relay_net_write(struct relay *r, const void *p, size_t n, size_t *done)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t w;
	int rc = RC_OK;

	*done = 0;
	if (r->tls != NULL) {
		rc = tls_write(r->tls, p, n, done, &r->out.want);
	} else {
		do
			w = sendmsg(r->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
		while (w == -1 && errno == EINTR);
		if (w == -1)
			rc = socket_failed(r, POLLOUT, &r->out.want);
		else
			*done = (size_t)w;
	}
	if (rc == RC_AGAIN)
		r->out.ready = false;
	else if (rc == RC_OK)
		r->moved = r->out.last = io_now_ms();
	return rc;
}
