#include "config.h"

#include "server/catalog/dial.h"

#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"

#define DIAL_BODY_MAX	92
#define BACKOFF_MAX	8
#define SOON_S		5	/* a new peer is dialled within */

void
dialer_init(struct dialer *d, struct peers *t)
{
	memset(d, 0, sizeof(*d));
	d->t = t;
	(void)secret_random(&d->last, sizeof(d->last));
}

void
dialer_conf(struct dialer *d, const struct conf *conf)
{
	d->enabled = conf->exchange_enabled;
	d->interval = conf->exchange_interval;
	d->max = conf->exchange_max;
}

/* --- the table --- */

static struct dial *
find(struct dialer *d, uint32_t number)
{
	for (size_t i = 0; number != 0 && i < DIALS_MAX; i++)
		if (d->v[i].number == number)
			return &d->v[i];
	return NULL;
}

static size_t
count(const struct dialer *d, bool probes)
{
	size_t n = 0;

	for (size_t i = 0; i < DIALS_MAX; i++)
		n += d->v[i].number != 0 &&
		    (d->v[i].purpose == DIAL_PROBE) == probes;
	return n;
}

static struct dial *
new_dial(struct dialer *d, uint8_t purpose, uint32_t asker)
{
	bool probe = purpose == DIAL_PROBE;
	struct dial *v;

	if (count(d, probe) >= (probe ? DIALS_PROBES : DIALS_PEERS))
		return NULL;
	for (v = d->v; v->number != 0; v++)
		;
	memset(v, 0, sizeof(*v));
	do
		d->last++;
	while (d->last == 0 || find(d, d->last) != NULL);
	v->number = d->last;
	v->purpose = purpose;
	v->asker = asker;
	v->until = d->t->c->now + DIAL_WAIT_S;
	return v;
}

/* Up to a tenth either way, so that installations started together do not
 * call each other in step. */
static int64_t
jitter(int64_t seconds)
{
	uint32_t r = 0;

	(void)secret_random(&r, sizeof(r));
	return seconds - seconds / 10 +
	    (int64_t)(r % (uint32_t)(seconds / 5 + 1));
}

static void
schedule(struct dialer *d, struct peer *p, bool good)
{
	int64_t wait = (int64_t)d->interval;

	p->fails = good ? 0 : p->fails + 1;
	/* nobody was ever met there: less and less often */
	if (!good && !p->hand && p->proven == 0)
		wait *= p->fails < 4 ? 1 << p->fails : BACKOFF_MAX;
	p->next_dial = d->t->c->now + jitter(wait);
}

static void
finish(struct dialer *d, struct dial *v, int rc, struct rbuf *more)
{
	struct peer *p = peers_by_row(d->t, v->row);
	struct dial was = *v;

	v->number = 0;
	if (p != NULL && p->dial == was.number) {
		p->dial = 0;
		if (was.purpose == DIAL_EXCHANGE)
			schedule(d, p, rc == RC_OK);
	}
	if (was.asker != 0)
		d->done(d->arg, &was, rc, more);
}

static int
send_dial(struct dialer *d, const struct dial *v, uint8_t how,
    const struct addr *addr, const struct peer_info *info)
{
	struct wbuf b = WBUF_INIT(DIAL_BODY_MAX);
	int rc;

	wbuf_u32(&b, v->number);
	wbuf_u8(&b, v->purpose);
	wbuf_u8(&b, how);
	addr_put(&b, addr);
	wbuf_u16(&b, info->port_gui);
	wbuf_bytes(&b, info->identity, ED25519_LEN);
	wbuf_bytes(&b, info->pin, SHA256_LEN);
	if ((rc = wbuf_rc(&b)) == RC_OK)
		rc = d->send(d->arg, &b);
	wbuf_free(&b);
	return rc;
}

int
dial_peer(struct dialer *d, struct peer *p, uint8_t purpose, uint32_t asker)
{
	struct dial *v;
	int rc;

	if (!peer_may_dial(p))
		return RC_DENIED;
	if (p->dial != 0 || (v = new_dial(d, purpose, asker)) == NULL)
		return RC_BUSY;
	v->row = p->row;
	if ((rc = send_dial(d, v, p->addr_how, &p->addr, &p->info)) != RC_OK) {
		v->number = 0;
		return rc;
	}
	p->dial = v->number;
	return RC_OK;
}

int
dial_probe(struct dialer *d, const struct addr *addr, uint16_t port,
    const struct peer_info *info, uint8_t how, uint32_t asker)
{
	struct addr to = *addr;
	struct dial *v;
	int rc;

	if ((v = new_dial(d, DIAL_PROBE, asker)) == NULL)
		return RC_BUSY;
	to.port = v->port = port;
	if ((rc = send_dial(d, v, how, &to, info)) != RC_OK)
		v->number = 0;
	return rc;
}

void
dial_forget_asker(struct dialer *d, uint32_t asker)
{
	for (size_t i = 0; i < DIALS_MAX; i++)
		if (d->v[i].number != 0 && d->v[i].asker == asker)
			d->v[i].asker = 0;
}

/* --- time --- */

void
dialer_all_now(struct dialer *d)
{
	for (size_t i = 0; i < d->t->n; i++)
		d->t->v[i]->next_dial = d->t->c->now;
}

/* Off is off: then only who was entered by hand, and that once. */
static bool
is_due(const struct dialer *d, const struct peer *p, size_t rank)
{
	if (p->dial != 0 || p->next_dial > d->t->c->now || !peer_may_dial(p))
		return false;
	if (!d->enabled)
		return p->hand && p->fails == 0 && p->tcp_seen == 0;
	return p->hand || rank < d->max;
}

void
dialer_tick(struct dialer *d)
{
	int64_t now = d->t->c->now;
	size_t rank = 0;

	for (size_t i = 0; i < DIALS_MAX; i++)
		if (d->v[i].number != 0 && d->v[i].until <= now)
			finish(d, &d->v[i], RC_TIMEOUT, NULL);
	for (size_t i = 0; i < d->t->n; i++) {
		struct peer *p = d->t->v[i];

		if (p->next_dial == 0)
			p->next_dial = now + 1 + jitter(SOON_S - 1);
		if (is_due(d, p, rank) &&
		    dial_peer(d, p, DIAL_EXCHANGE, 0) == RC_BUSY)
			break;
		rank += peer_may_dial(p) && !p->hand;
	}
}

/* --- a dial's life --- */

void
dial_end(struct dialer *d, uint32_t number, int rc)
{
	struct dial *v = find(d, number);

	if (v == NULL || v->running)
		return;
	/* only a probe ends well so */
	if (rc == RC_OK && v->purpose != DIAL_PROBE)
		rc = RC_UNREACHABLE;
	finish(d, v, rc, NULL);
}

void
dial_put_self(struct peers *t, struct wbuf *out)
{
	t->self.sent_ns = t->c->now * 1000000000;
	peer_info_put(out, &t->self);
}

void
dial_put_entries(struct peers *t, struct wbuf *out,
    const uint8_t not_id[ED25519_LEN], size_t max)
{
	struct peer *v[TASK_ENTRIES_MAX];
	size_t n;

	n = peers_tell(t, not_id, v, max < TASK_ENTRIES_MAX ? max :
	    TASK_ENTRIES_MAX);
	wbuf_u16(out, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		peer_info_put(out, &v[i]->info);
		addr_put(out, &v[i]->addr);
	}
}

static void
put_ports(struct peers *t, struct wbuf *out)
{
	const uint16_t ports[] = { t->self.port_gui, t->self.port_server,
	    t->self.port_ssl };
	uint8_t n = 0;

	for (size_t i = 0; i < NITEMS(ports); i++)
		n = (uint8_t)(n + (ports[i] != 0));
	wbuf_u8(out, n);
	for (size_t i = 0; i < NITEMS(ports); i++)
		if (ports[i] != 0)
			wbuf_u16(out, ports[i]);
}

int
dial_task(struct dialer *d, uint32_t number, struct wbuf *out)
{
	struct dial *v = find(d, number);
	struct peer *p;

	if (v == NULL || v->running || v->purpose == DIAL_PROBE)
		return RC_NOENT;
	if ((p = peers_by_row(d->t, v->row)) == NULL) {
		finish(d, v, RC_CANCELLED, NULL);
		return RC_NOENT;
	}
	v->running = true;
	v->until = d->t->c->now + DIAL_TASK_S;
	wbuf_u8(out, v->purpose);
	wbuf_bytes(out, p->info.identity, ED25519_LEN);
	wbuf_bytes(out, p->info.pin, SHA256_LEN);
	if (v->purpose == DIAL_REACH) {
		put_ports(d->t, out);
	} else {
		dial_put_self(d->t, out);
		dial_put_entries(d->t, out, p->info.identity, d->max);
	}
	return wbuf_rc(out);
}

int
seen_get(struct rbuf *in, struct seen *s)
{
	int rc;

	if ((rc = rbuf_u8(in, &s->how)) != RC_OK ||
	    (rc = addr_get(in, &s->addr)) != RC_OK ||
	    (rc = peer_info_get(in, &s->info)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	/* of whom it was dialled a peer process says no address: it has none */
	return s->how == 0 || s->how >= PEER_HOW_MAX ||
	    (s->addr.family == 0 && s->how != PEER_CALLED) ?
	    RC_RANGE : RC_OK;
}

int
dial_seen(struct dialer *d, uint32_t number, struct rbuf *in)
{
	struct dial *v = find(d, number);
	struct peer *p;
	struct seen s;
	int rc;

	if ((rc = seen_get(in, &s)) != RC_OK)
		return rc;
	if (v == NULL || (p = peers_by_row(d->t, v->row)) == NULL)
		return RC_STATE;
	if (s.how == PEER_CALLED && !v->met) {
		v->met = true;
		/* where it is, is what we dialled, whatever it says */
		s.addr = p->addr;
		rc = peers_met(d->t, PEER_CALLED, &s.addr, &s.info, p);
		/* it may have become another row's */
		p = peers_by_identity(d->t, s.info.identity);
		if (p != NULL && peers_by_row(d->t, v->row) == NULL) {
			v->row = p->row;
			p->dial = v->number;
		}
	} else if (s.how == PEER_EXCHANGE && v->met &&
	    v->purpose == DIAL_EXCHANGE && v->told < TASK_ENTRIES_MAX) {
		v->told++;
		rc = peers_heard(d->t, &s.addr, &s.info);
	} else {
		return RC_STATE;
	}
	if (rc != RC_OK && rc != RC_DENIED && rc != RC_LIMIT)
		log_err("a peer is not recorded: %s", rc_str(rc));
	return RC_OK;
}

int
dial_result(struct dialer *d, uint32_t number, struct rbuf *in)
{
	uint8_t identity[ED25519_LEN], pin[SHA256_LEN], code;
	struct dial *v = find(d, number);
	char text[512], where[ADDR_TEXT_MAX];
	struct peer *p;
	int rc;

	if ((rc = rbuf_u8(in, &code)) != RC_OK ||
	    (rc = rbuf_str(in, text, sizeof(text))) != RC_OK ||
	    (rc = rbuf_bytes(in, identity, sizeof(identity))) != RC_OK ||
	    (rc = rbuf_bytes(in, pin, sizeof(pin))) != RC_OK)
		return rc;
	if (v == NULL || !v->running)
		return RC_STATE;
	if (code == 0 ? v->purpose == DIAL_EXCHANGE && !v->met :
	    code > -RC_REFUSED)
		return RC_RANGE;
	p = peers_by_row(d->t, v->row);
	if (-(int)code == RC_PIN && p != NULL && (rc = peers_other_key(d->t, p,
	    identity, pin)) != RC_OK)
		log_err("a peer's other key is not recorded: %s", rc_str(rc));
	if (code != 0 && p != NULL)
		log_info("peer %s: %s",
		    addr_text(&p->addr, where, sizeof(where)), text);
	finish(d, v, -(int)code, in);
	return RC_OK;
}

void
dial_lost(struct dialer *d, uint32_t number)
{
	struct dial *v = find(d, number);

	if (v != NULL)
		finish(d, v, RC_EOF, NULL);
}
