#include "config.h"

#include "privsep/chan.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"

#define HEADER_LEN	2		/* u16 type */
#define CONTROL_FDS	4		/* room, so that a second one is seen */

enum fd_rule { FD_NO, FD_YES, FD_MAYBE };

struct msg_info {
	const char	*name;
	uint32_t	 from, to;
	enum fd_rule	 fd;
	size_t		 max;
};

static const struct msg_info messages[MSG_MAX] = {
#define X(name, from, to, fd, max)					\
	[MSG_##name] = { #name, from, to, fd, max },
	MESSAGES(X)
#undef X
};

struct chan {
	int		 fd;
	enum role	 self, peer;
	bool		 nonblock;
	int		 got_fd;	/* of the last message, not taken yet */
	uint8_t		*buf;
	size_t		 size;		/* largest message the peer may send us */
};

static const struct msg_info *
msg_info(uint16_t type)
{
	if (type == MSG_NONE || type >= MSG_MAX)
		return NULL;
	return &messages[type];
}

const char *
msg_name(uint16_t type)
{
	const struct msg_info *info = msg_info(type);

	return info != NULL ? info->name : "?";
}

static bool
passes(const struct msg_info *info, enum role from, enum role to)
{
	return (info->from & (1u << from)) != 0 &&
	    (info->to & (1u << to)) != 0;
}

struct chan *
chan_new(int fd, enum role self, enum role peer)
{
	struct chan *c;
	size_t i;

	if (fd < 0 || role_info(self) == NULL || role_info(peer) == NULL ||
	    (c = calloc(1, sizeof(*c))) == NULL)
		goto fail;
	c->fd = fd;
	c->self = self;
	c->peer = peer;
	c->got_fd = -1;
	c->size = HEADER_LEN;
	for (i = 1; i < MSG_MAX; i++) {
		if (passes(&messages[i], peer, self) &&
		    messages[i].max + HEADER_LEN > c->size)
			c->size = messages[i].max + HEADER_LEN;
	}
	if ((c->buf = malloc(c->size)) != NULL)
		return c;
	free(c);
fail:
	fd_close(&fd);
	return NULL;
}

void
chan_free(struct chan *c)
{
	if (c == NULL)
		return;
	fd_close(&c->got_fd);
	fd_close(&c->fd);
	/* answers of keyd, passphrases, tokens */
	explicit_bzero(c->buf, c->size);
	free(c->buf);
	free(c);
}

int
chan_fd(const struct chan *c)
{
	return c->fd;
}

enum role
chan_peer(const struct chan *c)
{
	return c->peer;
}

/*
 * Per call and not on the descriptor: fcntl() is not in the list of the roles
 * that get channels while they run.
 */
int
chan_set_nonblock(struct chan *c)
{
	c->nonblock = true;
	return RC_OK;
}

int
chan_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return rc_errno(errno);
	return RC_OK;
}

static int
send_errno(int err)
{
	switch (err) {
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return RC_EOF;
	case EWOULDBLOCK:
	case ENOBUFS:
	case ETOOMANYREFS:		/* too many descriptors under way */
		return RC_AGAIN;
	case EMSGSIZE:
		return RC_LIMIT;
	}
	return rc_errno(err);
}

static int
send_check(const struct chan *c, uint16_t type, size_t len, int fd)
{
	const struct msg_info *info;

	if ((info = msg_info(type)) == NULL || !passes(info, c->self, c->peer))
		return RC_STATE;
	if (len > info->max)
		return RC_LIMIT;
	if ((fd == -1 && info->fd == FD_YES) || (fd != -1 && info->fd == FD_NO))
		return RC_STATE;
	return RC_OK;
}

static int
do_send(struct chan *c, uint16_t type, const struct wbuf *body, int fd,
    int flags)
{
	union {
		struct cmsghdr	hdr;
		uint8_t		buf[CMSG_SPACE(sizeof(int))];
	} control;
	uint8_t head[HEADER_LEN] = { (uint8_t)(type >> 8), (uint8_t)type };
	struct iovec iov[2] = { { head, sizeof(head) }, { NULL, 0 } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 1 };
	ssize_t n;
	int rc;

	if (body != NULL && (rc = wbuf_rc(body)) != RC_OK)
		return rc;
	if ((rc = send_check(c, type, body != NULL ? body->len : 0, fd)) !=
	    RC_OK)
		return rc;
	if (body != NULL && body->len > 0) {
		iov[1].iov_base = body->data;
		iov[1].iov_len = body->len;
		mh.msg_iovlen = 2;
	}
	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = sizeof(control.buf);
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(int));
	}
	do {
		n = sendmsg(c->fd, &mh, MSG_NOSIGNAL | flags);
	} while (n == -1 && errno == EINTR);
	return n == -1 ? send_errno(errno) : RC_OK;
}

int
chan_send(struct chan *c, enum msg_type type, const struct wbuf *body, int fd)
{
	return do_send(c, (uint16_t)type, body, fd,
	    c->nonblock ? MSG_DONTWAIT : 0);
}

int
chan_send_now(struct chan *c, enum msg_type type, const struct wbuf *body,
    int fd)
{
	return do_send(c, (uint16_t)type, body, fd, MSG_DONTWAIT);
}

/*
 * Take the descriptors out of the control data.  More than one, or a sign that
 * some did not fit, and all are closed.
 */
static int
take_fds(struct msghdr *mh, int *fd)
{
	struct cmsghdr *cm;
	int got, rc = RC_OK;
	size_t i, n;

	*fd = -1;
	if ((mh->msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0)
		rc = RC_PROTO;
	for (cm = CMSG_FIRSTHDR(mh); cm != NULL; cm = CMSG_NXTHDR(mh, cm)) {
		if (cm->cmsg_level != SOL_SOCKET ||
		    cm->cmsg_type != SCM_RIGHTS) {
			rc = RC_PROTO;
			continue;
		}
		n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&got, CMSG_DATA(cm) + i * sizeof(int),
			    sizeof(got));
			if (*fd == -1 && rc == RC_OK) {
				*fd = got;
				continue;
			}
			fd_close(&got);
			rc = RC_PROTO;
		}
	}
	if (rc != RC_OK)
		fd_close(fd);
	return rc;
}

static int
recv_check(const struct chan *c, const struct msg *m, int fd)
{
	const struct msg_info *info;

	if ((info = msg_info(m->type)) == NULL ||
	    !passes(info, c->peer, c->self) ||
	    rbuf_left(&m->body) > info->max)
		return RC_PROTO;
	if ((fd == -1 && info->fd == FD_YES) || (fd != -1 && info->fd == FD_NO))
		return RC_PROTO;
	return RC_OK;
}

static int
do_recv(struct chan *c, struct msg *m, int flags)
{
	union {
		struct cmsghdr	hdr;
		uint8_t		buf[CMSG_SPACE(sizeof(int) * CONTROL_FDS)];
	} control;
	struct iovec iov = { c->buf, c->size };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.buf, .msg_controllen = sizeof(control.buf) };
	bool again = true;
	ssize_t n;
	int rc, fd;

	fd_close(&c->got_fd);
	m->type = MSG_NONE;
	m->fd = -1;
	rbuf_init(&m->body, c->buf, 0);
	/* An end that is closed with messages unread gives this one ECONNRESET,
	 * once, ahead of the messages that it had sent before. */
	do {
		n = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC | flags);
		if (n == -1 && errno == ECONNRESET && again) {
			again = false;
			errno = EINTR;
		}
	} while (n == -1 && errno == EINTR);
	if (n == -1) {
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return RC_AGAIN;
		return errno == ECONNRESET ? RC_EOF : rc_errno(errno);
	}
	if ((rc = take_fds(&mh, &fd)) != RC_OK)
		return rc;
	/* an empty message, which we never send, ends the channel as well */
	if (n == 0) {
		fd_close(&fd);
		return RC_EOF;
	}
	rbuf_init(&m->body, c->buf, (size_t)n);
	if (rbuf_u16(&m->body, &m->type) != RC_OK)
		rc = RC_PROTO;
	else
		rc = recv_check(c, m, fd);
	if (rc != RC_OK) {
		fd_close(&fd);
		return rc;
	}
	c->got_fd = m->fd = fd;
	return RC_OK;
}

int
chan_recv(struct chan *c, struct msg *m)
{
	return do_recv(c, m, c->nonblock ? MSG_DONTWAIT : 0);
}

int
chan_recv_wait(struct chan *c, struct msg *m, int timeout_ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	uint64_t now, end = 0;
	int n, rc, wait = -1;

	if (timeout_ms >= 0)
		end = io_now_ms() + (uint64_t)timeout_ms;
	for (;;) {
		if ((rc = do_recv(c, m, MSG_DONTWAIT)) != RC_AGAIN)
			return rc;
		if (timeout_ms >= 0) {
			if ((now = io_now_ms()) >= end)
				return RC_TIMEOUT;
			wait = (int)(end - now);
		}
		n = poll(&p, 1, wait);
		if (n == -1 && errno != EINTR)
			return rc_errno(errno);
	}
}

int
chan_expect(struct chan *c, enum msg_type type, struct msg *m, int timeout_ms)
{
	int rc;

	if ((rc = chan_recv_wait(c, m, timeout_ms)) != RC_OK)
		return rc;
	return m->type == type ? RC_OK : RC_STATE;
}

int
msg_take_fd(struct chan *c, struct msg *m)
{
	int fd = c->got_fd;

	c->got_fd = -1;
	m->fd = -1;
	return fd;
}
