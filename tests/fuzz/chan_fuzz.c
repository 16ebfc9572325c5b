#include "config.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/num.h"
#include "common/rc.h"
#include "privsep/chan.h"
#include "privsep/link.h"
#include "tests/fuzz/fuzz.h"

/*
 * What a taken-over process may send.  First byte: which channel.  Then
 * messages: flags u8 (1: with a descriptor, 2: a message of link.c follows
 * whose type is given by the next byte), length u8, bytes.
 */
#define BIG_MAX		(256u << 10)
#define MESSAGES_MAX	64

static const struct {
	enum role	self, peer;
} ends[] = {
	{ ROLE_STORE, ROLE_SESSION }, { ROLE_ENGINE, ROLE_NET },
	{ ROLE_KEYD, ROLE_SESSION }, { ROLE_AUTH, ROLE_SESSION },
	{ ROLE_MASTER, ROLE_LISTENER }, { ROLE_MASTER, ROLE_AUTH },
	{ ROLE_LOGGER, ROLE_SESSION }, { ROLE_MASTER, ROLE_API },
};

static void
send_raw(int to, const uint8_t *p, size_t n, int fd)
{
	union {
		struct cmsghdr	hdr;
		uint8_t		buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { (void *)(uintptr_t)p, n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	memset(&control, 0, sizeof(control));
	if (fd != -1) {
		mh.msg_control = control.buf;
		mh.msg_controllen = sizeof(control.buf);
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(int));
	}
	(void)sendmsg(to, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* One message out of the input; false at its end. */
static bool
next(struct rbuf *in, int to, int ring_fd)
{
	static const uint8_t link_types[4] = { MSG_RING, MSG_FRAME, MSG_PIECE,
	    MSG_SLOTS };
	uint8_t flags, len, type, buf[2 + 255];
	const uint8_t *p;

	if (rbuf_u8(in, &flags) != RC_OK)
		return false;
	if ((flags & 2) != 0) {
		if (rbuf_u8(in, &type) != RC_OK)
			return false;
		buf[0] = 0;
		buf[1] = link_types[type & 3];
	}
	if (rbuf_u8(in, &len) != RC_OK)
		return false;
	if (len > rbuf_left(in))
		len = (uint8_t)rbuf_left(in);
	if (rbuf_view(in, &p, len) != RC_OK)
		return false;
	memcpy(buf + 2, p, len);
	if ((flags & 2) != 0)
		send_raw(to, buf, 2u + len, (flags & 1) != 0 ? ring_fd : -1);
	else
		send_raw(to, buf + 2, len, (flags & 1) != 0 ? ring_fd : -1);
	return true;
}

static void
run_chan(struct chan *c, struct rbuf *in, int to, int ring_fd)
{
	struct msg m;
	int i, rc;

	chan_set_nonblock(c);
	for (i = 0; i < MESSAGES_MAX && next(in, to, ring_fd); i++) {
		if ((rc = chan_recv(c, &m)) != RC_OK) {
			MUST(m.fd == -1);
			continue;
		}
		MUST(m.type > MSG_NONE && m.type < MSG_MAX);
		MUST(rbuf_left(&m.body) <= 255);
	}
	chan_free(c);
}

static void
run_link(struct chan *c, struct rbuf *in, int to, int ring_fd)
{
	static uint8_t payload[3 * RING_SLOT];
	struct link_frame f;
	struct link *l;
	uint8_t drain[64];
	int i, rc;

	l = link_new(c, BIG_MAX);
	MUST(l != NULL);
	send_raw(to, (const uint8_t[2]){ 0, MSG_RING }, 2, ring_fd);
	for (i = 0; i < MESSAGES_MAX && next(in, to, ring_fd); i++) {
		rc = link_recv(l, &f);
		if (rc == RC_OK) {
			MUST(f.len <= BIG_MAX);
			/* sending reads it all, for a sanitizer to see */
			(void)link_send(l, 0x0024, f.request, payload,
			    sizeof(payload), f.payload, f.len);
		} else if (rc != RC_AGAIN) {
			break;
		}
		(void)link_flush(l);
		(void)link_events(l);
		while (recv(to, drain, sizeof(drain), MSG_DONTWAIT) > 0)
			;
	}
	link_free(l);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int ring_fd = -1;
	static void *map;
	struct rbuf in;
	struct chan *c;
	uint8_t which;
	int fds[2];

	if (ring_fd == -1)
		MUST(ring_make(&ring_fd, &map) == RC_OK);
	rbuf_init(&in, data, size);
	if (rbuf_u8(&in, &which) != RC_OK)
		return 0;
	which %= NITEMS(ends);
	MUST(chan_pair(fds) == RC_OK);
	c = chan_new(fds[0], ends[which].self, ends[which].peer);
	MUST(c != NULL);
	if (which < 2)
		run_link(c, &in, fds[1], ring_fd);
	else
		run_chan(c, &in, fds[1], ring_fd);
	close(fds[1]);
	return 0;
}
