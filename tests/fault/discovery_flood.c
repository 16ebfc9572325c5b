/*
 * Packets of multicast discovery, made to hurt:
 *
 *	discovery_flood ADDRESS INTERFACE PORT KIND PACKETS PER-SECOND
 *
 * sends to the group on that interface, from ADDRESS.  KIND is one of
 *	random		length, magic and type are right, nothing else
 *	forged		whole and well-formed, the puzzle and signature random
 *	solved		whole, the puzzle solved once, the signature wrong and
 *			another each time
 *	replay		one right packet, again and again
 *	cut, long	a right packet, shorter or longer each time
 *	mix		all of these in turn
 *	peers		PACKETS installations, each asks once (PER-SECOND a
 *			second) and a second and third time until an answer bears
 *			its nonce; prints how many got one within five seconds
 * PORT is that of requests.  Prints packets and bytes sent.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"
#include "common/rc.h"

#define PEERS_MAX	1000
#define TRIES		3
#define TRY_MS		1000
#define PATIENCE_MS	5000

struct asker {
	struct secret	key;
	struct packet	p;
	unsigned int	tries;
	uint64_t	due, until;
	bool		answered;
};

static struct {
	int			fd, answers;
	struct sockaddr_in	group;
	struct puzzle		*z;
	uint64_t		x;		/* xorshift */
	uint64_t		packets, bytes;
} self = { .x = 0x9e3779b97f4a7c15 };

static uint64_t
rnd(void)
{
	self.x ^= self.x << 13;
	self.x ^= self.x >> 7;
	self.x ^= self.x << 17;
	return self.x;
}

static void
fill(uint8_t *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(rnd() >> 24);
}

static void
send_bytes(const void *p, size_t n)
{
	if (sendto(self.fd, p, n, 0, (struct sockaddr *)&self.group,
	    sizeof(self.group)) == (ssize_t)n) {
		self.packets++;
		self.bytes += n;
	}
}

static void
new_peer(struct asker *a, const char *id)
{
	memset(a, 0, sizeof(*a));
	a->p.type = PACKET_REQUEST;
	a->p.n = 1;
	a->p.info.mode = 2;
	a->p.info.port_gui = 32005;
	a->p.info.interval = 60;
	snprintf(a->p.info.id, sizeof(a->p.info.id), "%s", id);
	if (ed25519_new(&a->key, a->p.info.identity) != RC_OK)
		fatal("key");
	fill(a->p.nonce[0], PACKET_NONCE_LEN);
}

static void
make(struct asker *a, struct wbuf *out, bool solve, bool sign)
{
	size_t at;
	int rc;

	a->p.info.sent_ns = io_wall_ns();
	if (packet_put(out, &a->p, &at) != RC_OK)
		fatal("packet");
	if (solve) {
		if (puzzle_begin(self.z, out->data, at, rnd()) != RC_OK)
			fatal("puzzle");
		while ((rc = puzzle_try(self.z, 4096, out->data + at)) ==
		    RC_AGAIN)
			;
		if (rc != RC_OK)
			fatal("puzzle");
	} else {
		fill(out->data + at, PACKET_PUZZLE_LEN);
	}
	if (!sign)
		wbuf_zeros(out, ED25519_SIG_LEN);
	else if (packet_sign(out, &a->key) != RC_OK)
		fatal("sign");
}

/* --- floods --- */

enum kind { RANDOM, FORGED, SOLVED, REPLAY, CUT, LONG, MIX };
static const char *const kinds[] = { "random", "forged", "solved", "replay",
	"cut", "long", "mix" };

static void
send_kind(enum kind kind, const struct wbuf *good, uint64_t i)
{
	static uint8_t p[PACKET_REQUEST_LEN + 512];
	struct packet_look l;
	size_t n = PACKET_REQUEST_LEN;

	if (kind == MIX)
		kind = (enum kind)(i % MIX);
	memcpy(p, good->data, n);
	if (packet_look(&l, p, n) != RC_OK)
		fatal("look");
	switch (kind) {
	case RANDOM:
		fill(p + 8, n - 8);
		break;
	case FORGED:
		fill(p + PACKET_IDENTITY_AT, 32);
		fill(p + l.puzzle_at, PACKET_PUZZLE_LEN);
		break;
	case SOLVED:
		fill(p + l.sign_at, ED25519_SIG_LEN);
		break;
	case CUT:
		n = rnd() % n;
		break;
	case LONG:
		fill(p + n, 512);
		n += 1 + rnd() % 511;
		break;
	default:
		break;
	}
	send_bytes(p, n);
}

static void
flood(enum kind kind, uint64_t n, uint64_t rate)
{
	struct wbuf good = WBUF_INIT(1024);
	uint64_t began = io_now_ms(), i, ms;
	struct asker a;

	new_peer(&a, "flood");
	make(&a, &good, true, true);
	for (i = 0; i < n; i++) {
		while (((ms = io_now_ms() - began) + 1) * rate < i * 1000)
			poll(NULL, 0, 1);
		send_kind(kind, &good, i);
	}
	wbuf_free(&good);
}

/* --- honest ones --- */

static void
listen_answers(const char *address, uint16_t port)
{
	struct sockaddr_in s = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	struct ip_mreqn m = { 0 };
	static const int on = 1, size = 1 << 20;

	self.answers = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	m.imr_multiaddr = self.group.sin_addr;
	inet_pton(AF_INET, address, &m.imr_address);
	(void)setsockopt(self.answers, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on));
	(void)setsockopt(self.answers, SOL_SOCKET, SO_RCVBUF, &size,
	    sizeof(size));
	if (bind(self.answers, (struct sockaddr *)&s, sizeof(s)) != 0 ||
	    setsockopt(self.answers, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m,
	    sizeof(m)) != 0)
		fatal("answers: %s", strerror(errno));
}

static void
take_answers(struct asker *a, size_t n)
{
	uint8_t p[PACKET_REQUEST_LEN];
	struct packet_look l;
	ssize_t len;
	size_t i, k;

	while ((len = recv(self.answers, p, sizeof(p), 0)) > 0) {
		if (packet_look(&l, p, (size_t)len) != RC_OK ||
		    l.type != PACKET_ANSWER ||
		    packet_verify(p, (size_t)len) != RC_OK)
			continue;
		for (i = 0; i < n; i++)
			for (k = 0; k < l.n; k++)
				if (memcmp(l.nonces + k * PACKET_NONCE_LEN,
				    a[i].p.nonce[0], PACKET_NONCE_LEN) == 0 &&
				    io_now_ms() < a[i].until)
					a[i].answered = true;
	}
}

static void
peers(size_t n, uint64_t rate)
{
	static struct asker a[PEERS_MAX];
	struct wbuf out = WBUF_INIT(1024);
	struct pollfd pfd = { self.answers, POLLIN, 0 };
	uint64_t began = io_now_ms(), now, end;
	size_t i, got = 0;
	char id[32];

	for (i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "honest-%zu", i);
		new_peer(&a[i], id);
		a[i].due = began + i * 1000 / rate;
		a[i].until = a[i].due + PATIENCE_MS;
	}
	end = a[n - 1].until;
	while ((now = io_now_ms()) < end) {
		for (i = 0; i < n; i++) {
			if (a[i].answered || a[i].tries == TRIES ||
			    now < a[i].due)
				continue;
			a[i].tries++;
			a[i].due = now + TRY_MS * a[i].tries;
			make(&a[i], &out, true, true);
			send_bytes(out.data, out.len);
		}
		poll(&pfd, 1, 5);
		take_answers(a, n);
	}
	for (i = 0; i < n; i++)
		got += a[i].answered;
	printf("answered %zu of %zu\n", got, n);
	wbuf_free(&out);
}

int
main(int argc, char **argv)
{
	struct ip_mreqn m = { 0 };
	uint64_t n, rate;
	size_t k;

	if (argc != 7)
		fatal("usage: discovery_flood ADDRESS INTERFACE PORT KIND "
		    "PACKETS PER-SECOND");
	n = strtoull(argv[5], NULL, 10);
	rate = strtoull(argv[6], NULL, 10);
	self.x ^= (uint64_t)io_wall_ns();
	self.group.sin_family = AF_INET;
	self.group.sin_port = htons((uint16_t)atoi(argv[3]));
	inet_pton(AF_INET, "239.255.63.63", &self.group.sin_addr);
	inet_pton(AF_INET, argv[1], &m.imr_address);
	m.imr_ifindex = (int)if_nametoindex(argv[2]);
	if ((self.z = puzzle_new()) == NULL ||
	    (self.fd = socket(AF_INET, SOCK_DGRAM, 0)) == -1 ||
	    setsockopt(self.fd, IPPROTO_IP, IP_MULTICAST_IF, &m,
	    sizeof(m)) != 0)
		fatal("socket: %s", strerror(errno));
	if (strcmp(argv[4], "peers") == 0 && n > 0 && n <= PEERS_MAX) {
		listen_answers(argv[1], (uint16_t)(atoi(argv[3]) + 1));
		peers(n, rate);
	}
	for (k = 0; k <= MIX; k++)
		if (strcmp(argv[4], kinds[k]) == 0)
			flood((enum kind)k, n, rate);
	printf("sent %llu packets %llu bytes\n",
	    (unsigned long long)self.packets, (unsigned long long)self.bytes);
	return 0;
}
