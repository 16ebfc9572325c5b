#include "config.h"

#include "server/auth/pair.h"

#include <string.h>

#include "common/rc.h"
#include "common/secret.h"

static void
forget(struct pairs *p, size_t i)
{
	p->v[i] = p->v[--p->n];
	secret_wipe(&p->v[p->n], sizeof(p->v[p->n]));
}

void
pairs_clear(struct pairs *p)
{
	secret_wipe(p, sizeof(*p));
}

void
pairs_expire(struct pairs *p, int64_t now)
{
	for (size_t i = p->n; i-- > 0; ) {
		const struct pairing *v = &p->v[i];

		if (now - v->created >= PROTO_PAIR_MS / 1000 ||
		    (v->fetched != 0 && now - v->fetched >= PAIR_FETCHED_S))
			forget(p, i);
	}
}

static size_t
of_source(const struct pairs *p, const struct addr *source)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += addr_equal(&p->v[i].source, source);
	return n;
}

/* What would be lost with it: nothing where the administrator's word is told or
 * was no; an opened one waits for a person, or has a token. */
enum worth { WORTH_NOTHING, WORTH_UNOPENED, WORTH_OPENED };

static enum worth
worth(const struct pairing *v)
{
	if (v->fetched != 0 || v->state == PAIR_REFUSED)
		return WORTH_NOTHING;
	return v->opened ? WORTH_OPENED : WORTH_UNOPENED;
}

/*
 * Which goes for a newcomer: of its own source when that has its share, else of
 * the busiest; first what is worth nothing.  Opened ones go only where another
 * source has more than the newcomer's.  p->n: none.
 */
static size_t
choose_victim(const struct pairs *p, const struct addr *source)
{
	size_t had = of_source(p, source), best = p->n, n, most = 0;
	bool own = had >= PAIRS_PER_SOURCE, better;

	for (size_t i = 0; i < p->n; i++) {
		const struct pairing *v = &p->v[i];

		if (own && !addr_equal(&v->source, source))
			continue;
		n = of_source(p, &v->source);
		if (worth(v) == WORTH_OPENED && (own || n <= had + 1))
			continue;
		if (best == p->n || worth(v) != worth(&p->v[best]))
			better = best == p->n || worth(v) < worth(&p->v[best]);
		else
			better = n > most || (n == most &&
			    v->order < p->v[best].order);
		if (better) {
			best = i;
			most = n;
		}
	}
	return best;
}

/*
 * Whoever asks knows at once what code it would get, and may ask again: so the
 * asking has a rate.  In the ten minutes that a victim looks at its own code this
 * leaves some 360 of 100,000,000.
 */
static bool
may_ask(struct pairs *p, int64_t now)
{
	int64_t more = (now - p->filled) / PAIR_ASK_EVERY_S;

	/* a clock that was set back gives nothing */
	if (more < 0) {
		p->filled = now;
		more = 0;
	}
	if (p->asks + more >= PAIR_ASK_BURST) {
		p->asks = PAIR_ASK_BURST;
		p->filled = now;
	} else {
		p->asks += more;
		p->filled += more * PAIR_ASK_EVERY_S;
	}
	if (p->asks == 0)
		return false;
	p->asks--;
	return true;
}

int
pairs_ask(struct pairs *p, const struct pair *ask, const struct addr *from,
    int64_t now, struct pair_ok *ok)
{
	struct pairing v = { .ask = *ask, .created = now };
	size_t victim;
	int rc;

	pairs_expire(p, now);
	if (!may_ask(p, now))
		return RC_BUSY;
	addr_source(from, &v.source);
	addr_text(from, v.addr, sizeof(v.addr));
	if ((rc = secret_random(v.id, sizeof(v.id))) != RC_OK ||
	    (rc = secret_random(v.server_nonce,
	    sizeof(v.server_nonce))) != RC_OK)
		return rc;
	if (p->n == PAIRS_MAX ||
	    of_source(p, &v.source) >= PAIRS_PER_SOURCE) {
		if ((victim = choose_victim(p, &v.source)) == p->n)
			return RC_BUSY;
		forget(p, victim);
	}
	v.order = ++p->order;
	v.state = PAIR_WAITING;
	memcpy(ok->pairing, v.id, sizeof(ok->pairing));
	memcpy(ok->nonce, v.server_nonce, sizeof(ok->nonce));
	p->v[p->n++] = v;
	return RC_OK;
}

static size_t
find(const struct pairs *p, const uint8_t id[16])
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (secret_equal(p->v[i].id, id, 16))
			break;
	return i;
}

int
pairs_open(struct pairs *p, const struct auth_self *self,
    const struct pair_open *o, int64_t now, struct pairing **out)
{
	struct pair_code code;
	struct pairing *v;
	uint8_t commit[32];
	size_t i;
	int rc;

	pairs_expire(p, now);
	if ((i = find(p, o->pairing)) == p->n || p->v[i].opened)
		return RC_NOENT;
	v = &p->v[i];
	if ((rc = pair_commit(o->nonce, v->ask.client_key, commit)) != RC_OK)
		return rc;
	if (!secret_equal(commit, v->ask.commit, sizeof(commit))) {
		forget(p, i);
		return RC_AUTH;
	}
	memcpy(v->client_nonce, o->nonce, sizeof(v->client_nonce));
	memcpy(code.client_key, v->ask.client_key, sizeof(code.client_key));
	memcpy(code.identity, self->identity, sizeof(code.identity));
	memcpy(code.pin, self->pin, sizeof(code.pin));
	memcpy(code.client_nonce, v->client_nonce, sizeof(code.client_nonce));
	memcpy(code.server_nonce, v->server_nonce, sizeof(code.server_nonce));
	if ((rc = pair_code(&code, v->code)) != RC_OK)
		return rc;
	v->opened = true;
	*out = v;
	return RC_OK;
}

void
pairs_poll(struct pairs *p, const struct pair_open *o, int64_t now,
    struct pair_state_msg *out)
{
	struct pairing *v;
	size_t i;

	memset(out, 0, sizeof(*out));
	out->state = PAIR_GONE;
	pairs_expire(p, now);
	if ((i = find(p, o->pairing)) == p->n)
		return;
	v = &p->v[i];
	if (!v->opened || v->fetched != 0 ||
	    !secret_equal(v->client_nonce, o->nonce, sizeof(o->nonce)))
		return;
	out->state = v->state;
	if (v->state == PAIR_WAITING)
		return;
	memcpy(out->token, v->token, sizeof(v->token));
	secret_wipe(v->token, sizeof(v->token));
	v->fetched = now;
}

static bool
begins_with(const uint8_t *id, const uint8_t *prefix, unsigned digits)
{
	if (memcmp(id, prefix, digits / 2) != 0)
		return false;
	return digits % 2 == 0 ||
	    id[digits / 2] >> 4 == prefix[digits / 2] >> 4;
}

struct pairing *
pairs_find(struct pairs *p, const uint8_t id[16], unsigned digits, int64_t now,
    unsigned *n)
{
	struct pairing *found = NULL;

	*n = 0;
	pairs_expire(p, now);
	if (digits == 0 || digits > 32)
		return NULL;
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].opened && p->v[i].state == PAIR_WAITING &&
		    begins_with(p->v[i].id, id, digits)) {
			found = &p->v[i];
			(*n)++;
		}
	return *n == 1 ? found : NULL;
}
