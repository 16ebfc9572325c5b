#include "config.h"

#include "server/limits.h"

#include <stdlib.h>
#include <string.h>

#include "common/rc.h"
#include "common/secret.h"

#define NIL		UINT32_MAX
#define CLOCK_STEPS	16		/* looked at when all are taken */

static const uint32_t penalty_ms[] = {
	[PENALTY_NOLOGIN] = 1000,
	[PENALTY_SLOW] = 10000,
	[PENALTY_BADLOGIN] = 5000,
	[PENALTY_CRASH] = 90000,
};

/* Counts of one source or network; in a hash table by open chaining over
 * indices, so that nothing is allocated while it runs. */
struct count {
	struct addr	key;
	uint32_t	n;
	uint32_t	next;		/* in the chain or the free list */
	uint32_t	oldest, newest;	/* networks: the silent ones */
	uint32_t	silent;
};

struct counts {
	struct count	*v;
	uint32_t	*head;
	uint32_t	 max, mask, free;
};

struct entry {
	uint64_t	conn;
	struct addr	addr;
	uint32_t	next;		/* in the chain or the free list */
	uint32_t	older, newer;	/* in its network's silent ones */
	uint32_t	source, network;
	bool		silent;
};

struct source {
	struct addr	key;
	uint64_t	until;		/* when its penalty is over; 0: free */
	bool		enforced;
	uint32_t	next;
};

struct limits {
	struct limits_opt opt;
	uint64_t	 seed;		/* so that none can aim at a chain */
	struct counts	 sources, networks;
	struct entry	*conns;
	uint32_t	*conn_head;
	uint32_t	 conn_max, conn_mask, conn_free, silent;
	struct source	*penal;
	uint32_t	*penal_head;
	uint32_t	 penal_free, penal_hand;
};

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static uint64_t
hash_addr(const struct limits *l, const struct addr *a)
{
	uint64_t hi, lo;

	memcpy(&hi, a->b, 8);
	memcpy(&lo, a->b + 8, 8);
	return mix(mix(mix(l->seed ^ a->family) ^ hi) ^ lo);
}

static uint32_t
power_of_two(uint32_t n)
{
	uint32_t p = 16;

	while (p < n && p < 1u << 30)
		p <<= 1;
	return p;
}

/* --- counts --- */

static int
counts_init(struct counts *c, uint32_t max)
{
	uint32_t i, size = power_of_two(max);

	c->max = max;
	c->mask = size - 1;
	c->v = calloc(max, sizeof(*c->v));
	c->head = malloc(size * sizeof(*c->head));
	if (c->v == NULL || c->head == NULL)
		return RC_NOMEM;
	for (i = 0; i < size; i++)
		c->head[i] = NIL;
	for (i = 0; i < max; i++)
		c->v[i].next = i + 1 < max ? i + 1 : NIL;
	c->free = 0;
	return RC_OK;
}

static uint32_t
counts_find(const struct limits *l, const struct counts *c,
    const struct addr *key)
{
	uint32_t i = c->head[hash_addr(l, key) & c->mask];

	while (i != NIL && !addr_equal(&c->v[i].key, key))
		i = c->v[i].next;
	return i;
}

static uint32_t
counts_get(const struct limits *l, struct counts *c, const struct addr *key)
{
	uint32_t i = counts_find(l, c, key), *head;

	if (i != NIL || (i = c->free) == NIL)
		return i;
	c->free = c->v[i].next;
	head = &c->head[hash_addr(l, key) & c->mask];
	c->v[i] = (struct count){ .key = *key, .next = *head,
	    .oldest = NIL, .newest = NIL };
	*head = i;
	return i;
}

static void
counts_put(const struct limits *l, struct counts *c, uint32_t i)
{
	uint32_t *p = &c->head[hash_addr(l, &c->v[i].key) & c->mask];

	if (--c->v[i].n > 0)
		return;
	while (*p != i)
		p = &c->v[*p].next;
	*p = c->v[i].next;
	c->v[i].next = c->free;
	c->free = i;
}

/* --- making --- */

struct limits *
limits_new(const struct limits_opt *o, uint32_t conns_max)
{
	struct limits *l;
	uint32_t i, size = power_of_two(conns_max);

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	l->opt = *o;
	l->conn_max = conns_max;
	l->conn_mask = size - 1;
	if (secret_random(&l->seed, sizeof(l->seed)) != RC_OK ||
	    counts_init(&l->sources, conns_max) != RC_OK ||
	    counts_init(&l->networks, conns_max) != RC_OK ||
	    (l->conns = calloc(conns_max, sizeof(*l->conns))) == NULL ||
	    (l->conn_head = malloc(size * sizeof(*l->conn_head))) == NULL ||
	    (l->penal = calloc(LIMITS_SOURCES_MAX, sizeof(*l->penal))) ==
	    NULL ||
	    (l->penal_head = malloc(LIMITS_SOURCES_MAX *
	    sizeof(*l->penal_head))) == NULL) {
		limits_free(l);
		return NULL;
	}
	for (i = 0; i < size; i++)
		l->conn_head[i] = NIL;
	for (i = 0; i < conns_max; i++)
		l->conns[i].next = i + 1 < conns_max ? i + 1 : NIL;
	for (i = 0; i < LIMITS_SOURCES_MAX; i++) {
		l->penal_head[i] = NIL;
		l->penal[i].next = i + 1 < LIMITS_SOURCES_MAX ? i + 1 : NIL;
	}
	return l;
}

void
limits_free(struct limits *l)
{
	if (l == NULL)
		return;
	free(l->sources.v);
	free(l->sources.head);
	free(l->networks.v);
	free(l->networks.head);
	free(l->conns);
	free(l->conn_head);
	free(l->penal);
	free(l->penal_head);
	free(l);
}

void
limits_set(struct limits *l, const struct limits_opt *o)
{
	l->opt = *o;
}

/* --- penalties --- */

static uint32_t
penal_find(const struct limits *l, const struct addr *key)
{
	uint32_t i = l->penal_head[hash_addr(l, key) %
	    LIMITS_SOURCES_MAX];

	while (i != NIL && !addr_equal(&l->penal[i].key, key))
		i = l->penal[i].next;
	return i;
}

static void
penal_unlink(struct limits *l, uint32_t i)
{
	uint32_t *p = &l->penal_head[hash_addr(l, &l->penal[i].key) %
	    LIMITS_SOURCES_MAX];

	while (*p != i)
		p = &l->penal[*p].next;
	*p = l->penal[i].next;
}

/* All are taken: of a few under the hand, the one that is over first goes. */
static uint32_t
penal_steal(struct limits *l)
{
	uint32_t i, best = l->penal_hand;

	for (i = 0; i < CLOCK_STEPS; i++) {
		if (l->penal[l->penal_hand].until < l->penal[best].until)
			best = l->penal_hand;
		l->penal_hand = (l->penal_hand + 1) % LIMITS_SOURCES_MAX;
	}
	penal_unlink(l, best);
	return best;
}

void
limits_penalise(struct limits *l, const struct addr *a, enum penalty p,
    uint64_t now_ms)
{
	struct addr key;
	struct source *s;
	uint32_t i, *head;

	if (a->family == 0 || addr_list_has(&l->opt.exempt, a))
		return;
	addr_source(a, &key);
	if ((i = penal_find(l, &key)) == NIL) {
		if ((i = l->penal_free) != NIL)
			l->penal_free = l->penal[i].next;
		else
			i = penal_steal(l);
		head = &l->penal_head[hash_addr(l, &key) %
		    LIMITS_SOURCES_MAX];
		l->penal[i] = (struct source){ .key = key, .next = *head };
		*head = i;
	}
	s = &l->penal[i];
	if (s->until < now_ms) {
		s->until = now_ms;
		s->enforced = false;
	}
	/* Each adds to what is left of the last: it grows with repetition and
	 * decays by itself. */
	s->until += penalty_ms[p];
	if (s->until > now_ms + LIMITS_PENALTY_MAX_MS)
		s->until = now_ms + LIMITS_PENALTY_MAX_MS;
	if (s->until - now_ms >= LIMITS_PENALTY_MIN_MS)
		s->enforced = true;
}

static bool
is_penalised(const struct limits *l, const struct addr *source,
    uint64_t now_ms)
{
	uint32_t i = penal_find(l, source);

	return i != NIL && l->penal[i].enforced && l->penal[i].until > now_ms;
}

/* --- connections --- */

static uint32_t
conn_find(const struct limits *l, uint64_t conn)
{
	uint32_t i = l->conn_head[mix(l->seed ^ conn) & l->conn_mask];

	while (i != NIL && l->conns[i].conn != conn)
		i = l->conns[i].next;
	return i;
}

static void
silent_link(struct limits *l, uint32_t i)
{
	struct entry *e = &l->conns[i];
	struct count *net = &l->networks.v[e->network];

	e->silent = true;
	e->newer = NIL;
	e->older = net->newest;
	if (net->newest != NIL)
		l->conns[net->newest].newer = i;
	else
		net->oldest = i;
	net->newest = i;
	net->silent++;
	l->silent++;
}

static void
silent_unlink(struct limits *l, uint32_t i)
{
	struct entry *e = &l->conns[i];
	struct count *net = &l->networks.v[e->network];

	if (!e->silent)
		return;
	if (e->older != NIL)
		l->conns[e->older].newer = e->newer;
	else
		net->oldest = e->newer;
	if (e->newer != NIL)
		l->conns[e->newer].older = e->older;
	else
		net->newest = e->older;
	e->silent = false;
	net->silent--;
	l->silent--;
}

static enum limits_verdict
judge(const struct limits *l, const struct addr *a, const struct addr *source,
    const struct addr *network, uint64_t now_ms)
{
	uint32_t i;

	if (addr_list_has(&l->opt.exempt, a))
		return LIMITS_OK;
	if (is_penalised(l, source, now_ms))
		return LIMITS_PENALTY;
	i = counts_find(l, &l->sources, source);
	if (i != NIL && l->sources.v[i].n >= l->opt.per_source)
		return LIMITS_SOURCE;
	i = counts_find(l, &l->networks, network);
	if (i != NIL && l->networks.v[i].n >= l->opt.per_network)
		return LIMITS_NETWORK;
	return LIMITS_OK;
}

enum limits_verdict
limits_add(struct limits *l, uint64_t conn, const struct addr *a,
    uint64_t now_ms)
{
	struct addr source, network;
	enum limits_verdict v;
	struct entry *e;
	uint32_t i, *head;

	addr_source(a, &source);
	addr_network(a, &network);
	if ((v = judge(l, a, &source, &network, now_ms)) != LIMITS_OK)
		return v;
	if ((i = l->conn_free) == NIL || conn_find(l, conn) != NIL)
		return LIMITS_FULL;
	e = &l->conns[i];
	l->conn_free = e->next;
	/* There are as many counts as connections, so these do not fail. */
	*e = (struct entry){ .conn = conn, .addr = *a,
	    .source = counts_get(l, &l->sources, &source),
	    .network = counts_get(l, &l->networks, &network) };
	l->sources.v[e->source].n++;
	l->networks.v[e->network].n++;
	head = &l->conn_head[mix(l->seed ^ conn) & l->conn_mask];
	e->next = *head;
	*head = i;
	silent_link(l, i);
	return LIMITS_OK;
}

/* Of two networks that hold as many, the one whose oldest came first (numbers
 * of connections only grow). */
static bool
holds_more(const struct limits *l, const struct count *a,
    const struct count *b)
{
	if (a->silent != b->silent)
		return a->silent > b->silent;
	return l->conns[a->oldest].conn < l->conns[b->oldest].conn;
}

/*
 * The oldest silent one of the network that holds most of them.  A walk over
 * all networks, made only at the limit: some 10 microseconds for 4,096.
 */
uint64_t
limits_evict(const struct limits *l)
{
	const struct count *most = NULL, *c;
	uint32_t i, k;

	if (l->silent <= l->opt.silent_max)
		return 0;
	for (i = 0; i <= l->networks.mask; i++)
		for (k = l->networks.head[i]; k != NIL;
		    k = l->networks.v[k].next) {
			c = &l->networks.v[k];
			if (c->silent > 0 && (most == NULL ||
			    holds_more(l, c, most)))
				most = c;
		}
	return most != NULL ? l->conns[most->oldest].conn : 0;
}

void
limits_spoke(struct limits *l, uint64_t conn)
{
	uint32_t i = conn_find(l, conn);

	if (i != NIL)
		silent_unlink(l, i);
}

bool
limits_remove(struct limits *l, uint64_t conn, struct addr *a)
{
	uint32_t i = conn_find(l, conn), *p;
	struct entry *e;

	if (i == NIL)
		return false;
	e = &l->conns[i];
	silent_unlink(l, i);
	if (a != NULL)
		*a = e->addr;
	p = &l->conn_head[mix(l->seed ^ conn) & l->conn_mask];
	while (*p != i)
		p = &l->conns[*p].next;
	*p = e->next;
	counts_put(l, &l->sources, e->source);
	counts_put(l, &l->networks, e->network);
	e->next = l->conn_free;
	l->conn_free = i;
	return true;
}

uint32_t
limits_silent(const struct limits *l)
{
	return l->silent;
}

const char *
limits_reason(enum limits_verdict v)
{
	switch (v) {
	case LIMITS_OK:
		return "none";
	case LIMITS_SOURCE:
		return "per-address";
	case LIMITS_NETWORK:
		return "per-network";
	case LIMITS_PENALTY:
		return "penalty";
	case LIMITS_FULL:
		return "full";
	}
	return "?";
}
