#include "config.h"

#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "server/discovery/discover.h"

#define AGAIN_MAX	2		/* requests of a round after the first */
#define ANSWER_MS	500		/* between two answers; the longest wait */
#define ALIVE_ROUNDS	3
#define PRESSED_MS	1000		/* between rounds that somebody asked for */

static const uint64_t again_ms[AGAIN_MAX] = { 1000, 2000 };

static struct {
	unsigned int	asked;		/* requests of this round */
	uint64_t	began, next;	/* the round; its next request */
	bool		answered;
	bool		requesting;	/* what d->say is about */
} self;

static uint32_t
interval(const struct disc *d)
{
	return d->conf.mcast_interval;
}

/* --- interfaces --- */

static bool
set_member(struct disc *d, struct iface *i, uint8_t family, bool join)
{
	static const uint8_t kinds[] = { PORT_MCAST_REQ, PORT_MCAST_ANS };
	const struct udp *u;
	bool all = true;
	size_t k;
	int rc;

	for (k = 0; k < NITEMS(kinds); k++) {
		if ((u = udp_find(d, kinds[k], family)) == NULL)
			return false;
		if ((rc = udp_join(u, i->index, join)) != RC_OK) {
			all = false;
			if (join && !i->told)
				log_warn("no discovery on %s: joining the "
				    "group failed: %s", i->name, rc_str(rc));
			i->told = true;
		}
	}
	return all;
}

/* True: there is somewhere new to ask. */
static bool
settle(struct disc *d, struct iface *i)
{
	bool want4 = iface_private4(i) != NULL, want6 = iface_link6(i) != NULL;
	bool came = false;

	/* Of a link that was down and came up the kernel kept the membership;
	 * joining twice is no error. */
	if (want4 != i->joined4) {
		i->joined4 = set_member(d, i, 4, want4) && want4;
		came = came || i->joined4;
	}
	if (want6 != i->joined6) {
		i->joined6 = set_member(d, i, 6, want6) && want6;
		came = came || i->joined6;
	}
	if (iface_only_public(i) && !i->told) {
		log_notice("no discovery on %s: it has public addresses only",
		    i->name);
		i->told = true;
	}
	return came;
}

static void
on_ifaces(struct disc *d)
{
	bool came = false;
	size_t i;

	for (i = 0; i < d->ifaces.n; i++)
		if (settle(d, &d->ifaces.v[i]))
			came = true;
	if (came)
		d->ask_now = true;
}

/* --- what came --- */

static bool
wants(struct disc *d, const struct heard *h, const struct packet_look *l,
    bool echo)
{
	struct addr group;

	(void)d;
	(void)echo;
	/* Sent to the group, so no router brought it: to our own address it
	 * could come from anywhere. */
	udp_group(&group, h->on->family, 0);
	return l->type == (h->on->kind == PORT_MCAST_REQ ? PACKET_REQUEST :
	    PACKET_ANSWER) &&
	    memcmp(group.b, h->to.b, sizeof(group.b)) == 0;
}

static void
on_heard(struct disc *d, const struct heard *h, const struct packet *p,
    bool fresh)
{
	(void)fresh;
	if (p->type == PACKET_ANSWER) {
		self.answered = true;
		return;
	}
	if (d->npending == 0) {
		uint64_t due = d->now + say_random(ANSWER_MS);

		if (d->next_answer < due)
			d->next_answer = due;
	}
	say_pend(d, h, p->nonce[0]);
}

/* --- what goes --- */

static void
send_on(struct disc *d, const struct iface *i, uint8_t family, bool request)
{
	const struct iface_addr *own = family == 4 ? iface_private4(i) :
	    iface_link6(i);
	/* also answers leave by the first: its port is what others may answer */
	const struct udp *u = udp_find(d, PORT_MCAST_REQ, family);
	struct addr to;

	if (own == NULL || u == NULL)
		return;
	udp_group(&to, family, request ? d->conf.port_mcast_req :
	    d->conf.port_mcast_ans);
	udp_send(u, &to, i->index, &own->a, &d->packet);
}

/* To the groups that those heard who are answered; a request to all, by IPv4
 * first, whose copy then is the one that counts. */
static bool
is_asked_from(const struct disc *d, const struct iface *i, uint8_t family)
{
	size_t k;

	for (k = 0; k < d->nanswering; k++)
		if (d->answering[k].index == i->index &&
		    d->answering[k].from.family == family)
			return true;
	return false;
}

static void
on_signed(struct disc *d)
{
	static const uint8_t families[] = { 4, 6 };
	const struct iface *i;
	size_t k, f;

	for (f = 0; f < NITEMS(families); f++)
		for (k = 0; k < d->ifaces.n; k++) {
			i = &d->ifaces.v[k];
			if ((families[f] == 4 ? i->joined4 : i->joined6) &&
			    (self.requesting ||
			    (is_asked_from(d, i, families[f]) &&
			    limit_answer(d->limit, d->now))))
				send_on(d, i, families[f], self.requesting);
		}
	d->nanswering = 0;
}

/* --- rounds --- */

struct missing {
	uint64_t	now, began;
	size_t		n;
};

static void
count_missing(void *arg, struct seen *s)
{
	struct missing *m = arg;

	if (s->heard < m->began &&
	    m->now - s->heard < (uint64_t)ALIVE_ROUNDS * s->interval_ms)
		m->n++;
}

/* Somebody who should have answered has not, or nobody has: a packet may have
 * been lost. */
static bool
ask_again(struct disc *d)
{
	struct missing m = { d->now, self.began, 0 };

	limit_each(d->limit, count_missing, &m);
	return !self.answered || m.n > 0;
}

static void
ask(struct disc *d)
{
	self.asked++;
	self.next = self.asked <= AGAIN_MAX ?
	    d->now + again_ms[self.asked - 1] : UINT64_MAX;
	self.requesting = true;
	say_begin(d, PACKET_REQUEST, d->nonce, 1);
}

static void
begin_round(struct disc *d)
{
	d->ask_now = false;
	d->asked_last = d->now;
	d->next_round = d->now + say_jitter(d->conf.mcast_interval * 1000ull);
	say_round(d);
	self.asked = 0;
	self.began = d->now;
	self.answered = false;
	ask(d);
}

static uint64_t
turn(struct disc *d)
{
	uint64_t due, pressed = d->asked_last + PRESSED_MS;
	bool press = d->ask_now && (d->asked_last == 0 || d->now >= pressed);

	if (d->say == SAY_IDLE && d->npending > 0 && d->now >= d->next_answer) {
		self.requesting = false;
		d->next_answer = d->now + ANSWER_MS;
		say_answer(d, PACKET_ANSWER);
	}
	if (d->say == SAY_IDLE && d->nl_ready &&
	    (press || d->now >= d->next_round)) {
		begin_round(d);
	} else if (d->say == SAY_IDLE && d->now >= self.next &&
	    self.asked > 0) {
		if (ask_again(d))
			ask(d);
		else
			self.next = UINT64_MAX;
	}
	if (!d->nl_ready || d->say != SAY_IDLE)
		return UINT64_MAX;
	due = d->next_round;
	if (d->ask_now && pressed < due)
		due = pressed;
	if (self.asked > 0 && self.next < due)
		due = self.next;
	if (d->npending > 0 && d->next_answer < due)
		due = d->next_answer;
	return due;
}

static void
done(struct disc *d)
{
	(void)d;
}

const struct disc_ops mcast_ops = {
	.ifaces = on_ifaces,
	.wants = wants,
	.heard = on_heard,
	.signed_ = on_signed,
	.turn = turn,
	.interval = interval,
	.done = done,
};
