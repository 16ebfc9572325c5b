#include "config.h"

#include "server/catalog/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc.h"
#include "server/catalog/events.h"
#include "server/catalog/history.h"
#include "server/discovery/dialrule.h"

#define INTERVAL_MAX	3600	/* believed of an announcement, seconds */
#define RUMOUR_KEEP	86400	/* nobody was ever met there */
#define SILENT_KEEP	(30 * 86400)	/* met on the link only, never proven */

static const uint8_t zeros[ED25519_LEN];

bool
peer_known(const struct peer *p)
{
	return memcmp(p->info.identity, zeros, sizeof(zeros)) != 0;
}

void
peer_fp(const struct peer *p, char out[PEER_FP_LEN + 1])
{
	if (peer_known(p))
		peer_fingerprint(p->info.identity, out);
	else
		snprintf(out, PEER_FP_LEN + 1, "%s", p->fp);
}

/* --- states --- */

int64_t
peer_seen(const struct peer *p)
{
	return p->udp_seen > p->tcp_seen ? p->udp_seen : p->tcp_seen;
}

/*
 * One that shows itself on the link is expected there.  One that only answers
 * when it is dialled is expected as often as we dial.
 */
static int64_t
patience(const struct peers *t, const struct peer *p)
{
	int64_t every = p->info.interval < INTERVAL_MAX ? p->info.interval :
	    INTERVAL_MAX, on_link = 3 * every + PEER_SLACK;

	if (p->udp_seen != 0 && p->tcp_seen - p->udp_seen <= on_link)
		return on_link;
	if (every < (int64_t)t->exchange_interval)
		every = t->exchange_interval;
	return 3 * every + PEER_SLACK;
}

enum peer_state
peer_state(const struct peers *t, const struct peer *p)
{
	int64_t seen = peer_seen(p);

	if (seen == 0)
		return PEER_STATE_NEVER;
	return t->c->now - seen <= patience(t, p) ? PEER_STATE_UP :
	    PEER_STATE_SILENT;
}

int64_t
peer_since(const struct peers *t, const struct peer *p)
{
	switch (peer_state(t, p)) {
	case PEER_STATE_UP:
		return p->up_since;
	case PEER_STATE_SILENT:
		return peer_seen(p);
	default:
		return p->first_seen;
	}
}

/* The link proves what was met there; otherwise the dialer's own rule, told of
 * no network. */
bool
peer_may_dial(const struct peer *p)
{
	struct dial_nets nets = { 0 };
	struct dial_req r = { .purpose = DIAL_EXCHANGE, .how = p->addr_how,
	    .addr = p->addr, .port_gui = p->info.port_gui };
	const char *why;

	if (p->conflict || p->hidden)
		return false;
	if (p->addr_how == PEER_MCAST || p->addr_how == PEER_SCAN)
		dial_nets_add(&nets, &p->addr, p->addr.family == 4 ? 32 : 128);
	return dialrule_check(&r, &nets, &why) == RC_OK;
}

/* --- look-ups --- */

struct peer *
peers_by_identity(struct peers *t, const uint8_t id[ED25519_LEN])
{
	for (size_t i = 0; i < t->n; i++)
		if (memcmp(t->v[i]->info.identity, id, ED25519_LEN) == 0)
			return t->v[i];
	return NULL;
}

struct peer *
peers_by_row(struct peers *t, int64_t row)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i]->row == row)
			return t->v[i];
	return NULL;
}

static bool
fits(const struct peer *p, const char *text)
{
	char fp[PEER_FP_LEN + 1], addr[ADDR_TEXT_MAX];

	peer_fp(p, fp);
	if (strlen(text) >= 4 && strncmp(fp, text, strlen(text)) == 0)
		return true;
	return strcmp(p->info.id, text) == 0 ||
	    strcmp(addr_text(&p->addr, addr, sizeof(addr)), text) == 0;
}

int
peers_find(struct peers *t, const char *text, struct peer **out)
{
	*out = NULL;
	if (text[0] == '\0')
		return RC_NOENT;
	for (size_t i = 0; i < t->n; i++) {
		if (!fits(t->v[i], text))
			continue;
		if (*out != NULL)
			return RC_EXISTS;
		*out = t->v[i];
	}
	return *out != NULL ? RC_OK : RC_NOENT;
}

/* --- conflicts --- */

static int
tell_conflict(struct peers *t, const struct peer *p)
{
	char subject[24], text[400], fp[PEER_FP_LEN + 1];

	snprintf(subject, sizeof(subject), "peer %" PRId64, p->row);
	if (!p->conflict && !p->pin_bad)
		return alert_clear(t->c, ALERT_CONFLICT, subject);
	peer_fp(p, fp);
	if (p->conflict)
		snprintf(text, sizeof(text), "An installation with another key "
		    "(%s) uses the name or address of peer \"%s\". If it was "
		    "installed anew, compare the fingerprint there, then "
		    "\"storegridctl peer forget\" the old one. If not, "
		    "somebody pretends to be it.", fp, p->info.id);
	else
		snprintf(text, sizeof(text), "Peer \"%s\" (%s) answered with "
		    "another TLS key than the one known. If it was installed "
		    "anew, \"storegridctl peer forget\" it; if not, somebody "
		    "may be between.", p->info.id, fp);
	return alert_set(t->c, ALERT_CONFLICT, subject, "", "", t->c->now,
	    text);
}

/* Do both claim to be the same installation? */
static bool
same_claim(const struct peer *a, const struct peer *b)
{
	if (peer_known(a) && peer_known(b) &&
	    strcmp(a->info.id, b->info.id) == 0)
		return true;
	return (a->hand || b->hand) && peer_known(a) && peer_known(b) &&
	    addr_equal(&a->addr, &b->addr);
}

/* Who was met outranks who was only heard of; among equals the older one. */
static bool
outranks(const struct peer *a, const struct peer *b)
{
	bool met_a = a->hand || peer_seen(a) != 0;
	bool met_b = b->hand || peer_seen(b) != 0;

	if (met_a != met_b)
		return met_a;
	return a->row < b->row;
}

static int
set_conflict(struct peers *t, struct peer *p, bool conflict)
{
	int rc;

	if (p->conflict == conflict)
		return RC_OK;
	p->conflict = conflict;
	if ((rc = peer_save(t, p)) != RC_OK)
		return rc;
	event_add(t->c, "peer", p->info.id, conflict ? "conflict" :
	    "no conflict any more");
	return tell_conflict(t, p);
}

/* After p came or changed its claim: it, and those that it met, anew.  A
 * conflict that stands is only ended by its cause going away. */
static int
judge(struct peers *t, struct peer *p)
{
	bool conflict = false;
	int rc;

	for (size_t i = 0; i < t->n; i++) {
		struct peer *o = t->v[i];

		if (o == p || !same_claim(o, p))
			continue;
		if (!o->conflict && (outranks(o, p) || p->conflict))
			conflict = true;
	}
	if ((rc = set_conflict(t, p, conflict)) != RC_OK || conflict)
		return rc;
	for (size_t i = 0; i < t->n; i++) {
		struct peer *o = t->v[i];

		if (o != p && same_claim(o, p) &&
		    (rc = set_conflict(t, o, true)) != RC_OK)
			return rc;
	}
	return RC_OK;
}

static int
judge_all(struct peers *t)
{
	int rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < t->n; i++)
		if (t->v[i]->conflict)
			rc = judge(t, t->v[i]);
	return rc;
}

/* --- room --- */

/* Lower goes first; -1: stays whatever comes. */
static int
worth(const struct peers *t, const struct peer *p)
{
	if (p->hand || p->proven != 0 || p->dial != 0)
		return -1;
	if (peer_seen(p) == 0)
		return 0;
	if (p->hidden)
		return 1;
	return peer_state(t, p) == PEER_STATE_SILENT ? 2 : -1;
}

static struct peer *
weakest(struct peers *t)
{
	struct peer *w = NULL;
	int64_t seen, seen_w = 0;
	int v, v_w = 3;

	for (size_t i = 0; i < t->n; i++) {
		struct peer *p = t->v[i];

		if ((v = worth(t, p)) == -1 || v > v_w)
			continue;
		seen = peer_seen(p) != 0 ? peer_seen(p) : p->heard;
		if (w == NULL || v < v_w || seen < seen_w) {
			w = p;
			v_w = v;
			seen_w = seen;
		}
	}
	return w;
}

static int
remove_peer(struct peers *t, struct peer *p)
{
	char subject[24];
	int rc;

	snprintf(subject, sizeof(subject), "peer %" PRId64, p->row);
	if ((rc = alert_clear(t->c, ALERT_CONFLICT, subject)) != RC_OK)
		return rc;
	return peer_delete(t, p);
}

static int
new_peer(struct peers *t, bool by_hand, struct peer **out)
{
	struct peer *p;
	int rc;

	if (t->n == PEERS_MAX) {
		if ((p = weakest(t)) == NULL)
			return by_hand ? RC_FULL : RC_LIMIT;
		if ((rc = remove_peer(t, p)) != RC_OK)
			return rc;
	}
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return RC_NOMEM;
	p->row = t->n > 0 ? t->v[t->n - 1]->row + 1 : 1;
	p->first_seen = t->c->now;
	p->info.interval = 60;
	p->info.port_gui = 1;
	strcpy(p->info.id, "?");
	t->v[t->n++] = p;
	*out = p;
	return RC_OK;
}

/* --- meeting --- */

static bool
is_link_local6(const struct addr *a)
{
	return a->family == 6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* An address by hand stays; one that cannot be dialled displaces none that
 * can.  A peer that calls from behind NAT is not where it calls from. */
static void
take_addr(struct peer *p, uint8_t how, const struct addr *addr)
{
	struct peer try = *p;

	if (p->addr_how == PEER_BY_HAND)
		return;
	try.addr = *addr;
	try.addr.port = p->info.port_gui;
	try.addr_how = how;
	try.conflict = try.hidden = false;
	if (p->addr.family == 0 || peer_may_dial(&try) ||
	    (is_link_local6(&p->addr) && is_link_local6(addr))) {
		p->addr = try.addr;
		p->addr_how = how;
	}
	p->addr.port = p->info.port_gui;
}

static int
contact(struct peers *t, struct peer *p, uint8_t how, const struct addr *addr,
    const struct peer_info *info)
{
	bool renamed = !peer_known(p) || strcmp(p->info.id, info->id) != 0;
	bool changed = renamed || p->hidden || p->pin_bad ||
	    memcmp(p->info.pin, info->pin, sizeof(info->pin)) != 0;
	bool was_up = peer_state(t, p) == PEER_STATE_UP;
	struct addr before = p->addr;
	int rc;

	p->info = *info;
	p->hidden = p->pin_bad = false;
	if (how == PEER_CALLED) {
		changed = changed || p->proven == 0;
		p->tcp_seen = p->proven = t->c->now;
	} else {
		p->udp_seen = t->c->now;
	}
	take_addr(p, how, addr);
	changed = changed || !addr_equal(&before, &p->addr);
	p->dirty = true;
	p->up = true;
	if (!was_up) {
		changed = true;
		p->up_since = t->c->now;
		event_add(t->c, "peer", p->info.id, "up");
	}
	if (!changed)
		return RC_OK;
	if ((rc = peer_save(t, p)) != RC_OK ||
	    (rc = tell_conflict(t, p)) != RC_OK)
		return rc;
	return judge(t, p);
}

/* What a person said of a row without a key becomes part of the one that was
 * known already. */
static int
merge(struct peers *t, struct peer *into, struct peer *from)
{
	into->hand = true;
	into->compared = into->compared || from->fp[0] != '\0';
	into->addr = from->addr;
	into->addr_how = PEER_BY_HAND;
	if (from->label[0] != '\0')
		memcpy(into->label, from->label, sizeof(into->label));
	return remove_peer(t, from);
}

/* The row that this identity belongs to; makes one. */
static int
row_for(struct peers *t, uint8_t how, const struct addr *addr,
    const struct peer_info *info, struct peer *from, struct peer **out)
{
	char fp[PEER_FP_LEN + 1];
	int rc;

	peer_fingerprint(info->identity, fp);
	*out = peers_by_identity(t, info->identity);
	/* a row by hand waits for its key: any, or the one insisted on */
	for (size_t i = 0; *out == NULL && i < t->n; i++)
		if (!peer_known(t->v[i]) && t->v[i]->fp[0] != '\0' &&
		    strcmp(t->v[i]->fp, fp) == 0)
			*out = t->v[i];
	if (from != NULL && !peer_known(from) && from->fp[0] == '\0') {
		if (*out != NULL && *out != from)
			return merge(t, *out, from);
		*out = from;
	}
	if (*out != NULL)
		return RC_OK;
	/* one that calls from outside must be known */
	if (how == PEER_CALLED && from == NULL && !addr_is_private(addr))
		return RC_DENIED;
	if ((rc = new_peer(t, false, out)) != RC_OK)
		return rc;
	(*out)->how = how;
	return RC_OK;
}

int
peers_met(struct peers *t, uint8_t how, const struct addr *addr,
    const struct peer_info *info, struct peer *from)
{
	struct peer *p;
	int rc;

	if (memcmp(info->identity, t->self.identity, ED25519_LEN) == 0 ||
	    memcmp(info->identity, zeros, sizeof(zeros)) == 0)
		return RC_DENIED;
	if (from != NULL && peer_known(from) &&
	    memcmp(from->info.identity, info->identity, ED25519_LEN) != 0)
		return peers_other_key(t, from, info->identity, info->pin);
	if (from != NULL && !peer_known(from) && from->fp[0] != '\0') {
		char fp[PEER_FP_LEN + 1];

		peer_fingerprint(info->identity, fp);
		if (strcmp(fp, from->fp) != 0)
			return peers_other_key(t, from, info->identity,
			    info->pin);
	}
	if ((rc = row_for(t, how, addr, info, from, &p)) != RC_OK)
		return rc;
	return contact(t, p, how, addr, info);
}

int
peers_heard(struct peers *t, const struct addr *addr,
    const struct peer_info *info)
{
	struct peer *p, try = { .addr_how = PEER_EXCHANGE };
	size_t rumours = 0;
	int rc;

	if (memcmp(info->identity, t->self.identity, ED25519_LEN) == 0 ||
	    memcmp(info->identity, zeros, sizeof(zeros)) == 0)
		return RC_DENIED;
	if ((p = peers_by_identity(t, info->identity)) != NULL) {
		p->heard = t->c->now;
		return RC_OK;
	}
	try.info = *info;
	try.addr = *addr;
	try.addr.port = info->port_gui;
	/* nothing could ever come of it */
	if (!peer_may_dial(&try))
		return RC_DENIED;
	for (size_t i = 0; i < t->n; i++)
		rumours += peer_seen(t->v[i]) == 0 && !t->v[i]->hand;
	if (rumours >= PEERS_RUMOURS)
		return RC_LIMIT;
	if ((rc = new_peer(t, false, &p)) != RC_OK)
		return rc;
	p->info = *info;
	p->addr = try.addr;
	p->addr_how = p->how = PEER_EXCHANGE;
	p->heard = t->c->now;
	if ((rc = peer_save(t, p)) != RC_OK)
		return rc;
	return judge(t, p);
}

int
peers_other_key(struct peers *t, struct peer *p,
    const uint8_t identity[ED25519_LEN], const uint8_t pin[SHA256_LEN])
{
	struct peer *other;
	int rc;

	/* all that is known is that TLS had another key */
	if (memcmp(identity, zeros, sizeof(zeros)) == 0 ||
	    memcmp(identity, p->info.identity, ED25519_LEN) == 0) {
		if (p->pin_bad)
			return RC_OK;
		p->pin_bad = true;
		event_add(t->c, "peer", p->info.id, "another TLS key");
		if ((rc = peer_save(t, p)) != RC_OK)
			return rc;
		return tell_conflict(t, p);
	}
	if (memcmp(identity, t->self.identity, ED25519_LEN) == 0)
		return RC_OK;
	if ((other = peers_by_identity(t, identity)) != NULL)
		return set_conflict(t, other, true);
	if ((rc = new_peer(t, false, &other)) != RC_OK)
		return rc;
	other->info = p->info;
	memcpy(other->info.identity, identity, ED25519_LEN);
	memcpy(other->info.pin, pin, SHA256_LEN);
	other->addr = p->addr;
	other->addr_how = other->how = PEER_CALLED;
	return set_conflict(t, other, true);
}

/* --- by hand --- */

static struct peer *
by_hand_at(struct peers *t, const struct addr *addr)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i]->addr_how == PEER_BY_HAND &&
		    addr_equal(&t->v[i]->addr, addr))
			return t->v[i];
	return NULL;
}

static struct peer *
by_fp(struct peers *t, const char *fp)
{
	char have[PEER_FP_LEN + 1];

	for (size_t i = 0; i < t->n; i++) {
		peer_fp(t->v[i], have);
		if (strcmp(have, fp) == 0)
			return t->v[i];
	}
	return NULL;
}

static int
check_fp(const char *fp)
{
	size_t n = strspn(fp, "0123456789abcdef");

	return fp[n] != '\0' || (n != 0 && n != PEER_FP_LEN) ? RC_RANGE : RC_OK;
}

int
peers_add(struct peers *t, const struct addr *addr, const char *fp,
    const char *label, struct peer **out)
{
	struct peer *p, try = { .addr = *addr, .addr_how = PEER_BY_HAND };
	char have[PEER_FP_LEN + 1];
	int rc;

	if ((rc = check_fp(fp)) != RC_OK)
		return rc;
	if (!peer_may_dial(&try))
		return RC_RANGE;
	if (fp[0] == '\0' || (p = by_fp(t, fp)) == NULL)
		p = by_hand_at(t, addr);
	if (p != NULL && fp[0] != '\0') {
		peer_fp(p, have);
		if (have[0] != '\0' && strcmp(have, fp) != 0)
			return RC_EXISTS;
	}
	if (p == NULL) {
		if ((rc = new_peer(t, true, &p)) != RC_OK)
			return rc;
		p->how = PEER_BY_HAND;
	}
	p->hand = true;
	p->hidden = false;
	p->addr = *addr;
	p->addr_how = PEER_BY_HAND;
	p->next_dial = t->c->now;
	p->fails = 0;
	if (fp[0] != '\0') {
		memcpy(p->fp, fp, sizeof(p->fp));
		p->compared = true;
	}
	snprintf(p->label, sizeof(p->label), "%s", label);
	if ((rc = peer_save(t, p)) != RC_OK)
		return rc;
	event_add(t->c, "peer", p->info.id, "added by hand");
	*out = p;
	return judge(t, p);
}

int
peers_rm(struct peers *t, struct peer *p)
{
	event_add(t->c, "peer", p->info.id, "removed");
	if (!peer_known(p))
		return remove_peer(t, p);
	p->hidden = true;
	p->hand = p->compared = false;
	p->label[0] = '\0';
	/* so that where it is heard again becomes its address */
	p->addr_how = p->addr_how == PEER_BY_HAND ? PEER_CALLED : p->addr_how;
	return peer_save(t, p);
}

int
peers_forget(struct peers *t, struct peer *p)
{
	int rc;

	event_add(t->c, "peer", p->info.id, "forgotten");
	if ((rc = remove_peer(t, p)) != RC_OK)
		return rc;
	return judge_all(t);
}

/* --- telling others, and time --- */

size_t
peers_tell(struct peers *t, const uint8_t not_id[ED25519_LEN],
    struct peer *out[], size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n && n < max; i++) {
		struct peer *p = t->v[i], as_heard = *p;

		/* as who hears of it will judge */
		as_heard.addr_how = PEER_EXCHANGE;
		if (!peer_known(p) || peer_state(t, p) != PEER_STATE_UP ||
		    p->pin_bad || !peer_may_dial(&as_heard) ||
		    memcmp(p->info.identity, not_id, ED25519_LEN) == 0)
			continue;
		out[n++] = p;
	}
	return n;
}

int
peers_tick(struct peers *t)
{
	int64_t now = t->c->now;
	int rc;

	for (size_t i = t->n; i-- > 0; ) {
		struct peer *p = t->v[i];
		bool up = peer_state(t, p) == PEER_STATE_UP;

		if (p->up && !up)
			event_add(t->c, "peer", p->info.id, "silent");
		p->up = up;
		if (p->hand || p->proven != 0 || p->dial != 0)
			continue;
		if ((peer_seen(p) == 0 && now - p->heard > RUMOUR_KEEP &&
		    now - p->first_seen > RUMOUR_KEEP) ||
		    (peer_seen(p) != 0 && now - peer_seen(p) > SILENT_KEEP))
			if ((rc = remove_peer(t, p)) != RC_OK)
				return rc;
	}
	return judge_all(t);
}

void
peers_conf(struct peers *t, const struct conf *conf)
{
	struct peer_info *s = &t->self;
	uint32_t every = conf->mcast_enabled ? conf->mcast_interval :
	    conf->scan_enabled ? conf->scan_interval : conf->exchange_interval;
	bool serves = conf_serves(conf);

	t->exchange_interval = conf->exchange_interval;
	s->mode = conf->mode;
	s->port_server = serves ? conf->port_server : 0;
	s->port_ssl = serves && conf->ssl_enabled ? conf->port_ssl : 0;
	s->port_gui = conf->port_gui;
	s->port_webssl = 0;
	s->interval = every > UINT16_MAX ? UINT16_MAX : (uint16_t)every;
	snprintf(s->id, sizeof(s->id), "%s", conf->id);
}
