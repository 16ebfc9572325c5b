#include "config.h"

#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/role.h"

/*
 * sg-resolve, one-shot: looks a name up, connects, passes the socket on and
 * ends.  It holds neither files nor keys and sends no byte over what it
 * connects.  Addresses are tried in the resolver's order, each a little after
 * the one before (RFC 8305 in small), until the first answers.
 */
#define HOST_MAX	256
#define TRIES_MAX	16
#define CONNECT_MS	10000		/* in all */
#define STAGGER_MS	250		/* before the next one is tried, too */
#define ORDER_MS	60000

struct tries {
	struct pollfd	 p[TRIES_MAX];
	const struct addrinfo *addr[TRIES_MAX];
	size_t		 n, live;
	int		 err;		/* the most telling errno so far */
};

static void
addr_text(const struct addrinfo *a, char *out, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in6 *six = (const void *)a->ai_addr;
	const struct sockaddr_in *four = (const void *)a->ai_addr;

	if (a->ai_family == AF_INET6) {
		inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
		snprintf(out, size, "[%s]:%u", host, ntohs(six->sin6_port));
	} else {
		inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
		snprintf(out, size, "%s:%u", host, ntohs(four->sin_port));
	}
}

/* "Refused" tells more than "timed out", and that more than "no route": the
 * first came from the machine itself. */
static int
weight(int err)
{
	switch (err) {
	case 0:
		return 0;
	case ECONNREFUSED:
		return 3;
	case ETIMEDOUT:
		return 2;
	default:
		return 1;
	}
}

static void
failed(struct tries *t, int err)
{
	if (weight(err) > weight(t->err))
		t->err = err;
}

static void
begin_one(struct tries *t, const struct addrinfo *a)
{
	int fd;

	fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd == -1) {
		failed(t, errno);
		return;
	}
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0 &&
	    errno != EINPROGRESS) {
		failed(t, errno);
		fd_close(&fd);
		return;
	}
	t->p[t->n].fd = fd;
	t->p[t->n].events = POLLOUT;
	t->p[t->n].revents = 0;
	t->addr[t->n] = a;
	t->n++;
	t->live++;
}

/* The index of a connection that is up, or -1. */
static int
look(struct tries *t)
{
	socklen_t len = sizeof(int);
	int err;

	for (size_t i = 0; i < t->n; i++) {
		if (t->p[i].fd == -1 || t->p[i].revents == 0)
			continue;
		err = 0;
		if (getsockopt(t->p[i].fd, SOL_SOCKET, SO_ERROR, &err,
		    &len) != 0)
			err = errno;
		if (err == 0)
			return (int)i;
		failed(t, err);
		fd_close(&t->p[i].fd);
		t->live--;
	}
	return -1;
}

static void
close_all(struct tries *t)
{
	for (size_t i = 0; i < t->n; i++)
		fd_close(&t->p[i].fd);
}

/* RC_OK with *fd and its address, or RC_UNREACHABLE or RC_TIMEOUT with *err. */
static int
connect_any(const struct addrinfo *list, int *fd, char *text, size_t size,
    int *err)
{
	uint64_t now = io_now_ms(), until = now + CONNECT_MS;
	const struct addrinfo *next = list;
	struct tries t = { .n = 0 };
	uint64_t wait;
	int up = -1;

	while (up < 0 && now < until && (t.live > 0 || next != NULL)) {
		if (next != NULL && t.n < TRIES_MAX) {
			begin_one(&t, next);
			next = next->ai_next;
		} else {
			next = NULL;
		}
		wait = until - now;
		if (next != NULL && wait > STAGGER_MS)
			wait = STAGGER_MS;
		if (t.live > 0 && poll(t.p, (nfds_t)t.n, (int)wait) > 0)
			up = look(&t);
		now = io_now_ms();
	}
	if (up >= 0) {
		const int one = 1;

		/* Frames are written whole, so waiting for more only delays. */
		(void)setsockopt(t.p[up].fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
		*fd = t.p[up].fd;
		t.p[up].fd = -1;
		addr_text(t.addr[up], text, size);
	} else if (t.live > 0) {
		failed(&t, ETIMEDOUT);
	}
	close_all(&t);
	*err = t.err;
	if (up >= 0)
		return RC_OK;
	return t.err == ETIMEDOUT ? RC_TIMEOUT : RC_UNREACHABLE;
}

static void
answer(struct chan *c, int rc, int err, const char *text, int fd)
{
	struct wbuf body = WBUF_INIT(512);

	wbuf_u8(&body, (uint8_t)-rc);
	wbuf_u32(&body, (uint32_t)err);
	wbuf_str(&body, text);
	if ((rc = chan_send(c, MSG_RESOLVED, &body, fd)) != RC_OK)
		log_err("the answer could not be sent: %s", rc_str(rc));
	wbuf_free(&body);
}

static void
resolve(struct chan *c, const char *host, uint16_t port)
{
	struct addrinfo want = { .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP,
	    .ai_flags = AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	char service[8], text[128] = "";
	int fd = -1, err = 0, gai, rc;

	snprintf(service, sizeof(service), "%u", port);
	gai = getaddrinfo(host, service, &want, &list);
	if (gai != 0) {
		rc = gai == EAI_AGAIN ? RC_AGAIN : RC_NOENT;
		answer(c, rc, gai == EAI_SYSTEM ? errno : 0,
		    gai_strerror(gai), -1);
		return;
	}
	rc = connect_any(list, &fd, text, sizeof(text), &err);
	answer(c, rc, err, text, fd);
	fd_close(&fd);
	freeaddrinfo(list);
}

/* Modules of the resolver are loaded now, while files may still be mapped as
 * code; their configuration is read again at the real look-up. */
static void
load_modules(void)
{
	struct addrinfo want = { .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;

	if (getaddrinfo("localhost", NULL, &want, &list) == 0)
		freeaddrinfo(list);
}

int
main(void)
{
	struct role_env env;
	char host[HOST_MAX];
	struct msg m;
	uint16_t port;
	int rc;

	role_begin(&env, ROLE_RESOLVE, ROLE_COMMAND, false);
	load_modules();
	role_drop(&env);
	role_enter(&env);

	rc = chan_recv_wait(env.parent, &m, ORDER_MS);
	if (rc == RC_EOF || (rc == RC_OK && m.type == MSG_STOP))
		return 0;
	if (rc != RC_OK || m.type != MSG_RESOLVE ||
	    rbuf_str(&m.body, host, sizeof(host)) != RC_OK ||
	    rbuf_u16(&m.body, &port) != RC_OK || rbuf_end(&m.body) != RC_OK)
		fatal("bad order from the command: %s", rc_str(rc));
	resolve(env.parent, host, port);
	chan_free(env.parent);
	return 0;
}
