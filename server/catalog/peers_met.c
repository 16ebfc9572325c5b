#include "config.h"

#include "server/catalog/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc.h"
#include "server/catalog/events.h"
#include "server/catalog/history.h"

static const uint8_t zeros[ED25519_LEN];

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
	    (rc = peer_tell_conflict(t, p)) != RC_OK)
		return rc;
	return peer_judge(t, p);
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
	return peer_remove(t, from);
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
	if ((rc = peer_new(t, false, out)) != RC_OK)
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
	if ((rc = peer_new(t, false, &p)) != RC_OK)
		return rc;
	p->info = *info;
	p->addr = try.addr;
	p->addr_how = p->how = PEER_EXCHANGE;
	p->heard = t->c->now;
	if ((rc = peer_save(t, p)) != RC_OK)
		return rc;
	return peer_judge(t, p);
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
		return peer_tell_conflict(t, p);
	}
	if (memcmp(identity, t->self.identity, ED25519_LEN) == 0)
		return RC_OK;
	if ((other = peers_by_identity(t, identity)) != NULL)
		return peer_set_conflict(t, other, true);
	if ((rc = peer_new(t, false, &other)) != RC_OK)
		return rc;
	other->info = p->info;
	memcpy(other->info.identity, identity, ED25519_LEN);
	memcpy(other->info.pin, pin, SHA256_LEN);
	other->addr = p->addr;
	other->addr_how = other->how = PEER_CALLED;
	return peer_set_conflict(t, other, true);
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
		if ((rc = peer_new(t, true, &p)) != RC_OK)
			return rc;
		p->how = PEER_BY_HAND;
	}
	p->hand = true;
	p->hidden = false;
	p->addr = *addr;
	if (!peer_known(p))
		p->info.port_gui = addr->port;
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
	return peer_judge(t, p);
}

int
peers_rm(struct peers *t, struct peer *p)
{
	event_add(t->c, "peer", p->info.id, "removed");
	if (!peer_known(p))
		return peer_remove(t, p);
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
	if ((rc = peer_remove(t, p)) != RC_OK)
		return rc;
	return peers_judge(t);
}
