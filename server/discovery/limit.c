#include "config.h"

#include "server/discovery/limit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define WAYS	4			/* entries that one key may have */
#define SETS	(LIMIT_TABLE / WAYS)

/* In thousandths, so that a rate per second is a number per millisecond. */
struct bucket {
	uint64_t	at;
	uint32_t	tokens;
};

struct source {
	struct addr	addr;
	struct bucket	b;
};

struct limit {
	uint64_t	key[2];		/* nobody outside picks who shares a set */
	struct bucket	verify, fresh, answer;
	struct source	source[SETS][WAYS];
	struct seen	seen[SETS][WAYS];
	uint64_t	mark[SETS][WAYS];
	uint8_t		mark_next[SETS];
};

struct limit *
limit_new(uint64_t now)
{
	struct limit *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	if (getrandom(l->key, sizeof(l->key), 0) != sizeof(l->key)) {
		free(l);
		return NULL;
	}
	l->verify = (struct bucket){ now, LIMIT_VERIFY_RATE * 1000 };
	l->fresh = (struct bucket){ now, LIMIT_NEW_RATE * 1000 };
	l->answer = (struct bucket){ now, LIMIT_ANSWER_RATE * 1000 };
	return l;
}

void
limit_free(struct limit *l)
{
	free(l);
}

static bool
take(struct bucket *b, uint32_t rate, uint32_t burst, uint64_t now)
{
	uint64_t gained = now > b->at ? (now - b->at) : 0;
	uint32_t full = burst * 1000;

	gained = gained > full ? full : gained * rate;
	if (gained > full - b->tokens)
		b->tokens = full;
	else
		b->tokens += (uint32_t)gained;
	if (now > b->at)
		b->at = now;
	if (b->tokens < 1000)
		return false;
	b->tokens -= 1000;
	return true;
}

static size_t
set_of(const struct limit *l, const uint8_t *p, size_t n)
{
	uint64_t h = l->key[0], v;

	for (; n > 0; p += v, n -= v) {
		uint64_t part = 0;

		v = n < sizeof(part) ? n : sizeof(part);
		memcpy(&part, p, v);
		h = (h ^ part) * (l->key[1] | 1);
		h ^= h >> 29;
	}
	return (size_t)(h >> 20) % SETS;
}

bool
limit_source(struct limit *l, const struct addr *from, uint64_t now)
{
	struct source *s, *old;
	struct addr a = *from;
	size_t i;

	a.port = 0;
	s = l->source[set_of(l, a.b, sizeof(a.b))];
	for (old = s, i = 0; i < WAYS; i++) {
		if (addr_equal(&s[i].addr, &a))
			return take(&s[i].b, LIMIT_SOURCE_RATE,
			    LIMIT_SOURCE_BURST, now);
		if (s[i].b.at < old->b.at)
			old = &s[i];
	}
	old->addr = a;
	old->b = (struct bucket){ now, (LIMIT_SOURCE_BURST - 1) * 1000 };
	return true;
}

bool
limit_verify(struct limit *l, bool known, uint64_t now)
{
	if (!known && !take(&l->fresh, LIMIT_NEW_RATE, LIMIT_NEW_RATE, now))
		return false;
	return take(&l->verify, LIMIT_VERIFY_RATE, LIMIT_VERIFY_RATE, now);
}

bool
limit_answer(struct limit *l, uint64_t now)
{
	return take(&l->answer, LIMIT_ANSWER_RATE, LIMIT_ANSWER_RATE, now);
}

/* --- memories --- */

bool
limit_marked(const struct limit *l, uint64_t mark)
{
	const uint64_t *m = l->mark[mark % SETS];
	size_t i;

	for (i = 0; i < WAYS; i++)
		if (m[i] == mark)
			return mark != 0;
	return false;
}

void
limit_mark(struct limit *l, uint64_t mark)
{
	size_t set = mark % SETS;

	if (limit_marked(l, mark))
		return;
	l->mark[set][l->mark_next[set]++ % WAYS] = mark;
}

struct seen *
limit_find(struct limit *l, const uint8_t identity[ED25519_LEN])
{
	struct seen *s = l->seen[set_of(l, identity, ED25519_LEN)];
	size_t i;

	for (i = 0; i < WAYS; i++)
		if (s[i].used &&
		    memcmp(s[i].identity, identity, ED25519_LEN) == 0)
			return &s[i];
	return NULL;
}

struct seen *
limit_add(struct limit *l, const uint8_t identity[ED25519_LEN])
{
	struct seen *s = limit_find(l, identity), *v;
	size_t i;

	if (s != NULL)
		return s;
	v = l->seen[set_of(l, identity, ED25519_LEN)];
	for (s = v, i = 0; i < WAYS; i++) {
		if (!v[i].used) {
			s = &v[i];
			break;
		}
		if (v[i].heard < s->heard)
			s = &v[i];
	}
	memset(s, 0, sizeof(*s));
	memcpy(s->identity, identity, ED25519_LEN);
	s->sent_ns = INT64_MIN;
	s->used = true;
	return s;
}

void
limit_each(struct limit *l, void (*fn)(void *arg, struct seen *s), void *arg)
{
	size_t i, k;

	for (i = 0; i < SETS; i++)
		for (k = 0; k < WAYS; k++)
			if (l->seen[i][k].used)
				fn(arg, &l->seen[i][k]);
}

/* Unsigned, since the number comes from outside and may be any. */
static bool
near(int64_t a, int64_t b)
{
	return (uint64_t)a - (uint64_t)b + (uint64_t)LIMIT_CLOCK_NS <=
	    2 * (uint64_t)LIMIT_CLOCK_NS;
}

enum fresh
limit_fresh(const struct seen *s, int64_t sent_ns, bool echo, int64_t wall_ns)
{
	if (s != NULL && s->sent_ns == sent_ns)
		return FRESH_NO;
	if (echo)
		return FRESH_YES;
	if (!near(sent_ns, wall_ns))
		return FRESH_CLOCK;
	/* One that came by its echo while its clock was ahead must not keep
	 * its sender out after the clock was set. */
	if (s != NULL && sent_ns < s->sent_ns && (near(s->sent_ns, wall_ns) ||
	    s->sent_ns < wall_ns))
		return FRESH_NO;
	return FRESH_YES;
}
