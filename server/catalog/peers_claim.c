#include "config.h"

#include "server/catalog/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc.h"
#include "server/catalog/events.h"
#include "server/catalog/history.h"

/* --- conflicts --- */

int
peer_tell_conflict(struct peers *t, const struct peer *p)
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

int
peer_set_conflict(struct peers *t, struct peer *p, bool conflict)
{
	int rc;

	if (p->conflict == conflict)
		return RC_OK;
	p->conflict = conflict;
	if ((rc = peer_save(t, p)) != RC_OK)
		return rc;
	event_add(t->c, "peer", p->info.id, conflict ? "conflict" :
	    "no conflict any more");
	return peer_tell_conflict(t, p);
}

/* After p came or changed its claim: it, and those that it met, anew.  A
 * conflict that stands is only ended by its cause going away. */
int
peer_judge(struct peers *t, struct peer *p)
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
	if ((rc = peer_set_conflict(t, p, conflict)) != RC_OK || conflict)
		return rc;
	for (size_t i = 0; i < t->n; i++) {
		struct peer *o = t->v[i];

		if (o != p && same_claim(o, p) &&
		    (rc = peer_set_conflict(t, o, true)) != RC_OK)
			return rc;
	}
	return RC_OK;
}

int
peers_judge(struct peers *t)
{
	int rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < t->n; i++)
		if (t->v[i]->conflict)
			rc = peer_judge(t, t->v[i]);
	return rc;
}

/* --- room --- */

/*
 * Lower goes first; -1: stays whatever comes.  Anybody may call with as many keys
 * as they like to make: that such a key was proven keeps no place from a
 * person.
 */
static int
worth(const struct peers *t, const struct peer *p, bool by_hand)
{
	bool called = p->how == PEER_CALLED;

	if (p->hand || p->dial != 0 || (p->proven != 0 && !(called && by_hand)))
		return -1;
	if (peer_seen(p) == 0)
		return 0;
	if (p->hidden)
		return 1;
	if (peer_state(t, p) == PEER_STATE_SILENT)
		return p->proven == 0 ? 2 : 3;
	return p->proven == 0 ? -1 : 4;
}

static struct peer *
weakest(struct peers *t, bool by_hand)
{
	struct peer *w = NULL;
	int64_t seen, seen_w = 0;
	int v, v_w = 5;

	for (size_t i = 0; i < t->n; i++) {
		struct peer *p = t->v[i];

		if ((v = worth(t, p, by_hand)) == -1 || v > v_w)
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

int
peer_remove(struct peers *t, struct peer *p)
{
	char subject[24];
	int rc;

	snprintf(subject, sizeof(subject), "peer %" PRId64, p->row);
	if ((rc = alert_clear(t->c, ALERT_CONFLICT, subject)) != RC_OK)
		return rc;
	return peer_delete(t, p);
}

int
peer_new(struct peers *t, bool by_hand, struct peer **out)
{
	struct peer *p;
	int rc;

	if (t->n == PEERS_MAX) {
		if ((p = weakest(t, by_hand)) == NULL)
			return by_hand ? RC_FULL : RC_LIMIT;
		if ((rc = peer_remove(t, p)) != RC_OK)
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
