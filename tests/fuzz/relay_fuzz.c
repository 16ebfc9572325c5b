#include "config.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/link.h"
#include "privsep/relay.h"
#include "tests/fuzz/fuzz.h"

/*
 * The outer end of a link between two who may be hostile.  First byte: bit 0
 * chooses whose bytes these are (0 the network's, 1 the inner end's), bit 1 who
 * the network is (0 a client, 1 a server).  The inner end's bytes are messages:
 * kind u8, length u16, body.
 */
#define F_INNER		0x01
#define F_SERVER	0x02

static int ring_fd = -1;
static void *ring;

/* The far end of the network: reads until it is told that this is all. */
static void *
net_reader(void *arg)
{
	static uint8_t drop[65536];
	uint8_t header[PROTO_FRAME_LEN];
	struct frame f = { 0 };
	int fd = *(int *)arg;

	while (f.type != PROTO_BYE && f.type != PROTO_ERROR &&
	    io_read_full(fd, header, sizeof(header)) == RC_OK) {
		frame_get(header, &f);
		while (f.length > 0) {
			size_t n = f.length < sizeof(drop) ? f.length :
			    sizeof(drop);

			if (io_read_full(fd, drop, n) != RC_OK)
				break;
			f.length -= (uint32_t)n;
		}
	}
	close(fd);
	return NULL;
}

/* A well-behaved inner end. */
static void *
link_reader(void *arg)
{
	struct link *l = arg;
	struct link_frame f;
	struct pollfd p = { .fd = link_fd(l) };
	int rc;

	do {
		rc = link_flush(l);
		if (rc == RC_OK || rc == RC_AGAIN)
			rc = link_recv(l, &f);
		if (rc == RC_AGAIN) {
			p.events = link_events(l);
			poll(&p, 1, 5000);
		}
	} while (rc == RC_OK || rc == RC_AGAIN);
	/* what the relay lets through the link must accept */
	MUST(rc == RC_EOF);
	return NULL;
}

static void
send_messages(int fd, const uint8_t *p, size_t n)
{
	static const uint16_t kinds[] = { MSG_FRAME, MSG_PIECE, MSG_SLOTS,
	    MSG_LINK_CLOSE };
	uint8_t m[4096];
	struct rbuf in;
	uint16_t len;
	uint8_t kind;

	rbuf_init(&in, p, n);
	while (rbuf_u8(&in, &kind) == RC_OK && rbuf_u16(&in, &len) == RC_OK) {
		uint16_t type = kind < NITEMS(kinds) ? kinds[kind] : kind;

		if (len > sizeof(m) - 2)
			len = sizeof(m) - 2;
		if (len > rbuf_left(&in))
			len = (uint16_t)rbuf_left(&in);
		m[0] = (uint8_t)(type >> 8);
		m[1] = (uint8_t)type;
		(void)rbuf_bytes(&in, m + 2, len);
		if (send(fd, m, len + 2u, MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
			break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct relay_opt o = { 0 };
	bool inner, server;
	struct link *l = NULL;
	struct chan *c;
	struct relay *r;
	pthread_t thread;
	int net[2], ch[2];

	if (size < 1 || size > 65536)
		return 0;
	inner = (data[0] & F_INNER) != 0;
	server = (data[0] & F_SERVER) != 0;
	MUST(ring != NULL || ring_make(&ring_fd, &ring) == RC_OK);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, net) == 0);
	MUST(chan_pair(ch) == RC_OK);
	o.fd = net[0];
	o.side = server ? PROTO_S : PROTO_C;
	o.ring = ring;
	o.ring_fd = ring_fd;
	r = relay_new(&o);
	c = chan_new(ch[0], server ? ROLE_NET : ROLE_SESSION,
	    server ? ROLE_ENGINE : ROLE_STORE);
	MUST(r != NULL && c != NULL);
	if (inner) {
		send_messages(ch[1], data + 1, size - 1);
		shutdown(ch[1], SHUT_WR);
		pthread_create(&thread, NULL, net_reader, &net[1]);
	} else {
		(void)!write(net[1], data + 1, size - 1);
		shutdown(net[1], SHUT_WR);
		l = link_new(chan_new(ch[1], server ? ROLE_ENGINE : ROLE_STORE,
		    server ? ROLE_NET : ROLE_SESSION), OBJECT_WIRE_MAX);
		MUST(l != NULL);
		pthread_create(&thread, NULL, link_reader, l);
	}
	(void)relay_pump(r, c, NULL);
	relay_free(r);
	chan_free(c);
	pthread_join(thread, NULL);
	link_free(l);
	if (inner)
		close(ch[1]);
	else
		close(net[1]);
	return 0;
}
