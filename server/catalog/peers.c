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
#define SILENT_KEEP	(30 * 86400)	/* not proven, or by calling only */

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
	char fp[PEER_FP_LEN + 1];

	*out = NULL;
	if (text[0] == '\0')
		return RC_NOENT;
	/* all of a fingerprint is that peer, whatever others call themselves */
	for (size_t i = 0; i < t->n; i++) {
		peer_fp(t->v[i], fp);
		if (peer_known(t->v[i]) && strcmp(fp, text) == 0) {
			*out = t->v[i];
			return RC_OK;
		}
	}
	for (size_t i = 0; i < t->n; i++) {
		if (!fits(t->v[i], text))
			continue;
		if (*out != NULL)
			return RC_EXISTS;
		*out = t->v[i];
	}
	return *out != NULL ? RC_OK : RC_NOENT;
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
		if (p->hand || p->dial != 0 ||
		    (p->proven != 0 && p->how != PEER_CALLED))
			continue;
		if ((peer_seen(p) == 0 && now - p->heard > RUMOUR_KEEP &&
		    now - p->first_seen > RUMOUR_KEEP) ||
		    (peer_seen(p) != 0 && now - peer_seen(p) > SILENT_KEEP))
			if ((rc = peer_remove(t, p)) != RC_OK)
				return rc;
	}
	return peers_judge(t);
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
