#include "config.h"

#include "server/auth/delay.h"

#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/rc.h"

#define ENTRIES		4096
#define STRANGERS_MS	2000	/* one check each, of all who are not trusted */
#define TRUSTED_MS	500

struct bucket {
	unsigned	left;
	uint64_t	since;		/* when `left` was right */
};

struct entry {
	bool		used;
	uint8_t		key[16];
	unsigned	failures;
	uint64_t	last, not_before;
	struct bucket	bucket;		/* of a trusted pair */
};

struct delay {
	struct bucket	strangers;
	struct entry	v[ENTRIES];
};

struct delay *
delay_new(void)
{
	struct delay *d = calloc(1, sizeof(*d));

	if (d != NULL)
		d->strangers.left = DELAY_BURST;
	return d;
}

void
delay_free(struct delay *d)
{
	free(d);
}

void
delay_who(struct delay_who *who, const char *name, const uint8_t source[16],
    bool trusted)
{
	uint8_t text[16 + 256], hash[SHA256_LEN] = { 0 };
	size_t n = strnlen(name, 256);

	memset(who, 0, sizeof(*who));
	who->trusted = trusted;
	memcpy(who->source, source, sizeof(who->source));
	memcpy(text, source, 16);
	memcpy(text + 16, name, n);
	/* the key of a source ends in no name; if the digest fails all share
	 * one entry, which only waits longer */
	(void)sha256(text, 16 + n, hash);
	memcpy(who->pair, hash, sizeof(who->pair));
}

static const struct entry *
look(const struct delay *d, const uint8_t key[16], uint64_t now)
{
	for (size_t i = 0; i < ENTRIES; i++)
		if (d->v[i].used && memcmp(d->v[i].key, key, 16) == 0)
			return now - d->v[i].last < DELAY_FORGET_MS ?
			    &d->v[i] : NULL;
	return NULL;
}

/* The entry of this key; a new one takes the place of the longest unused. */
static struct entry *
get(struct delay *d, const uint8_t key[16], uint64_t now)
{
	struct entry *e, *old = &d->v[0];

	for (size_t i = 0; i < ENTRIES; i++) {
		e = &d->v[i];
		if (e->used && memcmp(e->key, key, 16) == 0) {
			if (now - e->last >= DELAY_FORGET_MS)
				e->failures = 0;
			e->last = now;
			return e;
		}
		if (old->used && (!e->used || e->last < old->last))
			old = e;
	}
	memset(old, 0, sizeof(*old));
	old->used = true;
	old->last = now;
	old->bucket = (struct bucket){ DELAY_BURST, now };
	memcpy(old->key, key, sizeof(old->key));
	return old;
}

static unsigned
wait_of(const struct entry *e, uint64_t now)
{
	if (e == NULL || e->not_before <= now)
		return 0;
	return (unsigned)((e->not_before - now + 999) / 1000);
}

unsigned
delay_wait(const struct delay *d, const struct delay_who *who, uint64_t now)
{
	unsigned pair = wait_of(look(d, who->pair, now), now), source;

	if (who->trusted)
		return pair;
	source = wait_of(look(d, who->source, now), now);
	return source > pair ? source : pair;
}

static bool
take(struct bucket *b, uint64_t every, uint64_t now, uint64_t *wait)
{
	uint64_t more = (now - b->since) / every;

	if (b->left + more >= DELAY_BURST) {
		b->left = DELAY_BURST;
		b->since = now;
	} else {
		b->left += (unsigned)more;
		b->since += more * every;
	}
	*wait = 0;
	if (b->left > 0) {
		b->left--;
		return true;
	}
	*wait = b->since + every - now;
	return false;
}

bool
delay_take(struct delay *d, const struct delay_who *who, uint64_t now,
    uint64_t *wait)
{
	if (who->trusted)
		return take(&get(d, who->pair, now)->bucket, TRUSTED_MS, now,
		    wait);
	return take(&d->strangers, STRANGERS_MS, now, wait);
}

static void
fail_one(struct delay *d, const uint8_t key[16], uint64_t now)
{
	struct entry *e = get(d, key, now);
	unsigned over, s;

	if (++e->failures < DELAY_FREE)
		return;
	over = e->failures - DELAY_FREE;
	s = over >= 6 ? DELAY_MAX_S : 1u << over;
	e->not_before = now + s * 1000u;
}

void
delay_failed(struct delay *d, const struct delay_who *who, uint64_t now)
{
	fail_one(d, who->pair, now);
	fail_one(d, who->source, now);
}

/* The source's own count stays: one right password must not pay for guesses at
 * other names. */
void
delay_passed(struct delay *d, const struct delay_who *who)
{
	for (size_t i = 0; i < ENTRIES; i++)
		if (d->v[i].used && memcmp(d->v[i].key, who->pair, 16) == 0) {
			d->v[i].failures = 0;
			d->v[i].not_before = 0;
		}
}
