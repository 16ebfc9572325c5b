#include "config.h"

#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "server/discovery/discover.h"

#define TELL_MIN_MS	1000		/* to the catalog, of one identity */
#define JUNK_LOG_MS	600000
#define JUNK_LOG_MIN	1000		/* refused packets worth a line */
#define ALIVE_ROUNDS	3

/* Services that answer whatever comes: never a partner in a loop. */
static bool
port_ok(uint16_t port)
{
	static const uint16_t bad[] = { 1900, 11211 };
	size_t i;

	for (i = 0; i < NITEMS(bad); i++)
		if (port == bad[i])
			return false;
	return port >= 1024;		/* 53, 123, 161, 389 and 19 among them */
}

static bool
has_echo(const struct disc *d, const struct packet_look *l)
{
	const uint8_t *n = l->nonces;
	uint8_t i;

	if (packet_is_request(l->type))
		return false;
	for (i = 0; i < l->n; i++, n += PACKET_NONCE_LEN)
		if (memcmp(n, d->nonce[0], PACKET_NONCE_LEN) == 0 ||
		    memcmp(n, d->nonce[1], PACKET_NONCE_LEN) == 0)
			return true;
	return false;
}

/* Where it came from, and how: from a neighbour on this link, or from one who
 * cannot prove to be one. */
static bool
place_ok(struct disc *d, const struct heard *h)
{
	const struct iface *i;
	bool scan = h->on->kind == PORT_SCAN;

	if (h->hops != (scan ? 255 : 1) || !port_ok(h->from.port) ||
	    (scan && h->from.port != h->on->port))
		return false;
	if ((i = ifaces_find(&d->ifaces, h->index)) == NULL ||
	    !iface_on_link(i, &h->from))
		return false;
	if (scan)
		return iface_is_own(i, &h->to);
	return h->from.family == 4 ? i->joined4 : i->joined6;
}

/* Nothing that we do not know, of somebody we heard lately: not worth looking
 * at its signature. */
static bool
is_dull(const struct disc *d, const struct seen *s, const struct heard *h,
    const struct packet_look *l, const uint8_t what[SHA256_LEN])
{
	return s != NULL && l->type == PACKET_ANSWER &&
	    d->now - s->heard < s->interval_ms / 3 &&
	    s->addr.family == h->from.family &&
	    memcmp(s->addr.b, h->from.b, sizeof(h->from.b)) == 0 &&
	    memcmp(s->what, what, SHA256_LEN) == 0;
}

/* Of all that it says of itself, but for when it did. */
static int
digest_of(const struct packet_look *l, uint8_t out[SHA256_LEN])
{
	uint8_t text[PEER_INFO_MAX];
	size_t n = (size_t)(l->nonces - 1 - l->identity);
	const size_t sent_at = 32 + 32 + 1 + 8 + 2;

	memcpy(text, l->identity, n);
	memset(text + sent_at, 0, 8);
	return sha256(text, n, out);
}

static void
put_seen(struct disc *d, const struct heard *h, const struct packet *p,
    const uint8_t what[SHA256_LEN])
{
	struct seen *s = limit_add(d->limit, p->info.identity);
	bool same = memcmp(s->what, what, SHA256_LEN) == 0;
	bool lately = s->addr.family == 4 && h->from.family == 6 &&
	    d->now - s->heard < (uint64_t)ALIVE_ROUNDS * s->interval_ms;
	struct addr was = s->addr;

	s->sent_ns = p->info.sent_ns;
	s->heard = d->now;
	s->interval_ms = p->info.interval * 1000u;
	memcpy(s->what, what, SHA256_LEN);
	/* A link-local address cannot be dialled without its interface: one of
	 * IPv4 is kept as long as it is used. */
	if (!lately)
		s->addr = h->from;
	same = same && was.family == s->addr.family &&
	    memcmp(was.b, s->addr.b, sizeof(was.b)) == 0;
	if (s->told == 0 || d->now - s->told >= s->interval_ms / 3 ||
	    (!same && (was.family == 6 || d->now - s->told >= TELL_MIN_MS)))
		hear_told(d, s, &p->info);
}

void
hear_told(struct disc *d, struct seen *s, const struct peer_info *p)
{
	struct wbuf b = WBUF_INIT(512);
	int rc;

	if (d->catalog == NULL)
		return;
	wbuf_u8(&b, d->ops == &scan_ops ? PEER_SCAN : PEER_MCAST);
	addr_put(&b, &s->addr);
	peer_info_put(&b, p);
	rc = chan_send_now(d->catalog, MSG_PEER_SEEN, &b, -1);
	wbuf_free(&b);
	/* otherwise its next packet tries again */
	if (rc == RC_OK)
		s->told = d->now;
}

/*
 * The same packet once more, by IPv4 after it came by IPv6: worth a second look,
 * for the better address.
 */
static bool
better_copy(const struct seen *s, const struct heard *h,
    const struct packet_look *l)
{
	return s != NULL && s->sent_ns == l->sent_ns && s->addr.family == 6 &&
	    h->from.family == 4;
}

/* The costly half: at most LIMIT_VERIFY_RATE a second come past the budget. */
static int
judge(struct disc *d, const struct heard *h, const struct packet_look *l,
    bool fresh)
{
	const struct seen *s = limit_find(d->limit, l->identity);
	bool better = better_copy(s, h, l);
	uint8_t what[SHA256_LEN];
	uint64_t mark = 0;
	struct packet p;
	int rc;

	if (l->type != PACKET_PROBE_ANSWER) {
		if ((rc = puzzle_check(d->puzzle, h->data, l->puzzle_at,
		    &mark)) != RC_OK)
			return rc;
		if (limit_marked(d->limit, mark) && !better)
			return RC_EXISTS;
	}
	if ((rc = digest_of(l, what)) != RC_OK)
		return rc;
	if (is_dull(d, s, h, l, what))
		return RC_OK;
	if (!limit_source(d->limit, &h->from, d->now) ||
	    !limit_verify(d->limit, s != NULL, d->now))
		return RC_LIMIT;
	if (mark != 0)
		limit_mark(d->limit, mark);
	if ((rc = packet_verify(h->data, h->len)) != RC_OK ||
	    (rc = packet_get(&p, h->data, h->len)) != RC_OK)
		return rc;
	if (fresh && (p.flags & PACKET_F_ASKING) == 0)
		put_seen(d, h, &p, what);
	if (!better)
		d->ops->heard(d, h, &p, fresh);
	return RC_OK;
}

static int
consider(struct disc *d, const struct heard *h)
{
	struct packet_look l;
	const struct seen *s;
	enum fresh fresh;
	bool echo;
	int rc;

	if ((rc = packet_look(&l, h->data, h->len)) != RC_OK)
		return rc;
	echo = has_echo(d, &l);
	if (!d->ops->wants(d, h, &l, echo) || !place_ok(d, h))
		return RC_DENIED;
	/* our own, by the loop of multicast: no junk */
	if (memcmp(l.identity, d->me.identity, ED25519_LEN) == 0)
		return RC_OK;
	s = limit_find(d->limit, l.identity);
	fresh = limit_fresh(s, l.sent_ns, echo, d->wall);
	if (better_copy(s, h, &l))
		fresh = FRESH_YES;
	else if (fresh == FRESH_NO)
		return RC_OLDER;
	else if (fresh == FRESH_CLOCK && !packet_is_request(l.type))
		return RC_OLDER;
	return judge(d, h, &l, fresh == FRESH_YES);
}

static void
count_junk(struct disc *d)
{
	d->junk++;
	if (d->now - d->counted_at < JUNK_LOG_MS && d->counted_at != 0)
		return;
	if (d->junk - d->junk_told < JUNK_LOG_MIN)
		return;
	log_notice("discovery-junk refused=%llu",
	    (unsigned long long)(d->junk - d->junk_told));
	d->junk_told = d->junk;
	d->counted_at = d->now;
}

/* Whatever is wrong with a packet, nobody hears of it. */
void
hear(struct disc *d, struct heard *h)
{
	int rc = consider(d, h);

	/* a second copy is what multicast brings */
	if (rc != RC_OK && rc != RC_OLDER && rc != RC_EXISTS)
		count_junk(d);
}
