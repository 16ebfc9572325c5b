#include "config.h"

#include <string.h>

#include "common/log.h"
#include "common/rc.h"
#include "server/discovery/discover.h"

#define PROBE_MS	10		/* 100 a second */
#define PROBES_AT_ONCE	5		/* after a late turn */
#define ANSWER_MS	150		/* with keyd's 20 signatures a second */
#define TELL_SKIPPED	8

static struct {
	struct walk	walk;
	struct wbuf	probe;		/* the same for all of a round */
	bool		walking, probing;	/* probing: d->say is about it */
	uint64_t	next_probe;
	unsigned int	skipped;
} self = { .probe = WBUF_INIT(PACKET_REQUEST_LEN) };

static uint32_t
interval(const struct disc *d)
{
	return d->conf.scan_interval;
}

static void
on_ifaces(struct disc *d)
{
	(void)d;		/* the next round sees them */
}

static bool
wants(struct disc *d, const struct heard *h, const struct packet_look *l,
    bool echo)
{
	if (l->type == PACKET_PROBE)
		return d->conf.scan_answer;
	/* only of somebody whom this round asked */
	return l->type == PACKET_PROBE_ANSWER && d->conf.scan_enabled && echo &&
	    walk_has(&self.walk, &h->from);
}

static void
on_heard(struct disc *d, const struct heard *h, const struct packet *p,
    bool fresh)
{
	(void)fresh;
	if (p->type == PACKET_PROBE)
		say_pend(d, h, p->nonce[0]);
}

/* --- what goes --- */

/* The address of ours that is in the prefix of the other. */
static const struct addr *
own_for(const struct iface *i, const struct addr *to)
{
	struct iface one = *i;
	size_t k;

	for (k = 0; k < i->naddr; k++) {
		one.addr[0] = i->addr[k];
		one.naddr = 1;
		if (i->addr[k].ready && iface_on_link(&one, to))
			return &i->addr[k].a;
	}
	return NULL;
}

static void
send_to(struct disc *d, const struct addr *host, uint32_t index,
    const struct wbuf *packet)
{
	const struct udp *u = udp_find(d, PORT_SCAN, 4);
	const struct iface *i = ifaces_find(&d->ifaces, index);
	const struct addr *own;
	struct addr to = *host;

	if (u == NULL || i == NULL || (own = own_for(i, host)) == NULL)
		return;
	to.port = u->port;
	udp_send(u, &to, index, own, packet);
}

static void
on_signed(struct disc *d)
{
	size_t i;

	if (self.probing) {
		self.probing = false;
		wbuf_reset(&self.probe);
		wbuf_bytes(&self.probe, d->packet.data, d->packet.len);
		self.walking = wbuf_rc(&self.probe) == RC_OK;
		self.next_probe = d->now;
		return;
	}
	for (i = 0; i < d->nanswering; i++)
		if (limit_answer(d->limit, d->now))
			send_to(d, &d->answering[i].from,
			    d->answering[i].index, &d->packet);
	d->nanswering = 0;
}

/* --- rounds --- */

static void
tell_skipped(const struct iface *i, const struct iface_addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (self.skipped++ < TELL_SKIPPED)
		log_notice("the scan leaves out the network of %s/%u on %s: "
		    "it has more than 1024 addresses",
		    addr_text(&a->a, text, sizeof(text)), a->bits, i->name);
}

static void
begin_round(struct disc *d)
{
	d->ask_now = false;
	d->asked_last = d->now;
	d->next_round = d->now + say_jitter(d->conf.scan_interval * 1000ull);
	/* told at the first round only */
	walk_begin(&self.walk, &d->ifaces, tell_skipped);
	self.skipped = TELL_SKIPPED;
	if (self.walk.n == 0)
		return;
	say_round(d);
	self.probing = true;
	say_begin(d, PACKET_PROBE, d->nonce, 1);
}

static void
probe(struct disc *d)
{
	struct addr to;
	uint32_t index;
	int i;

	for (i = 0; i < PROBES_AT_ONCE && d->now >= self.next_probe; i++) {
		if (!walk_next(&self.walk, &d->ifaces, &to, &index)) {
			self.walking = false;
			return;
		}
		send_to(d, &to, index, &self.probe);
		self.next_probe += PROBE_MS;
	}
	/* what was missed is not caught up with */
	if (self.next_probe < d->now)
		self.next_probe = d->now;
}

static uint64_t
turn(struct disc *d)
{
	uint64_t due = UINT64_MAX, least = d->asked_last +
	    d->conf.scan_interval * 1000ull;
	bool idle = d->say == SAY_IDLE && !self.walking && !self.probing;

	if (self.walking)
		probe(d);
	if (d->say == SAY_IDLE && d->npending > 0 && d->now >= d->next_answer) {
		d->next_answer = d->now + ANSWER_MS;
		say_answer(d, PACKET_PROBE_ANSWER);
	}
	/* never more often than the interval, whoever presses */
	if (idle && d->say == SAY_IDLE && d->conf.scan_enabled && d->nl_ready &&
	    (d->asked_last == 0 || (d->now >= least &&
	    (d->ask_now || d->now >= d->next_round))))
		begin_round(d);
	if (self.walking)
		due = self.next_probe;
	if (d->say == SAY_IDLE && d->npending > 0 && d->next_answer < due)
		due = d->next_answer;
	if (d->conf.scan_enabled && d->nl_ready && d->say == SAY_IDLE &&
	    !self.walking) {
		if (d->next_round > least && !d->ask_now)
			least = d->next_round;
		if (least < due)
			due = least;
	}
	return due;
}

static void
done(struct disc *d)
{
	(void)d;
	wbuf_free(&self.probe);
}

const struct disc_ops scan_ops = {
	.ifaces = on_ifaces,
	.wants = wants,
	.heard = on_heard,
	.signed_ = on_signed,
	.turn = turn,
	.interval = interval,
	.done = done,
};
