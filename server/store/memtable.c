#include "config.h"

#include "server/store/memtable.h"

#include <stdlib.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "common/secret.h"
#include "server/store/sort.h"

#define FIRST_ROOM 256

static size_t
hash(const struct memtable *m, const struct object_id *id)
{
	uint64_t h = 0;
	uint32_t word;

	/* Multilinear: the client chooses the ids, and must not be able to
	 * choose them to collide.  The top bits are the good ones. */
	for (size_t i = 0; i < NITEMS(m->key); i++) {
		memcpy(&word, id->b + 4 * i, sizeof(word));
		h += m->key[i] * word;
	}
	return (size_t)(h >> 32) & (m->slots - 1);
}

static void
link_entry(struct memtable *m, size_t i)
{
	size_t h = hash(m, &m->e[i].id);

	while (m->slot[h] != 0)
		h = (h + 1) & (m->slots - 1);
	m->slot[h] = (uint32_t)i + 1;
}

static int
grow(struct memtable *m, size_t room)
{
	struct ixent *e = realloc(m->e, room * sizeof(*e));
	uint32_t *slot;
	size_t slots = 1;

	if (e == NULL)
		return RC_NOMEM;
	m->e = e;
	while (slots < 2 * room)
		slots *= 2;
	if ((slot = calloc(slots, sizeof(*slot))) == NULL)
		return RC_NOMEM;
	free(m->slot);
	m->slot = slot;
	m->slots = slots;
	m->room = room;
	for (size_t i = 0; i < m->n; i++)
		link_entry(m, i);
	return RC_OK;
}

int
memtable_init(struct memtable *m, size_t max)
{
	memset(m, 0, sizeof(*m));
	m->max = max;
	return secret_random(m->key, sizeof(m->key));
}

void
memtable_free(struct memtable *m)
{
	free(m->e);
	free(m->slot);
	memset(m, 0, sizeof(*m));
}

void
memtable_clear(struct memtable *m)
{
	m->n = 0;
	if (m->slot != NULL)
		memset(m->slot, 0, m->slots * sizeof(*m->slot));
}

int
memtable_add(struct memtable *m, const struct ixent *e)
{
	size_t room;
	int rc;

	if (m->n == m->max)
		return RC_FULL;
	if (m->n == m->room) {
		room = m->room == 0 ? FIRST_ROOM : m->room * 2;
		if ((rc = grow(m, room < m->max ? room : m->max)) != RC_OK)
			return rc;
	}
	m->e[m->n] = *e;
	link_entry(m, m->n++);
	return RC_OK;
}

int
memtable_find(const struct memtable *m, const struct object_id *id,
    unsigned skip, unsigned *seen, struct ixent *e)
{
	uint32_t best;
	unsigned wanted, found;

	if (m->n == 0)
		return RC_NOENT;
	/* Of the few records of one id, the later entry is the newer one. */
	for (wanted = *seen, best = UINT32_MAX;; wanted++) {
		uint32_t newest = 0;

		found = 0;
		for (size_t h = hash(m, id); m->slot[h] != 0;
		    h = (h + 1) & (m->slots - 1)) {
			uint32_t i = m->slot[h];

			if (i < best && i > newest && memcmp(
			    m->e[i - 1].id.b, id->b, OBJECT_ID_LEN) == 0) {
				newest = i;
				found = 1;
			}
		}
		if (!found)
			return RC_NOENT;
		best = newest;
		(*seen)++;
		if (wanted >= skip) {
			*e = m->e[best - 1];
			return RC_OK;
		}
	}
}

static int
by_entry(const void *arg, uint32_t a, uint32_t b)
{
	const struct memtable *m = arg;

	return ixent_cmp(&m->e[a], &m->e[b]);
}

int
memtable_sorted(const struct memtable *m, uint32_t **order)
{
	uint32_t *v = malloc((m->n + 1) * sizeof(*v));
	uint32_t *tmp = malloc((m->n + 1) * sizeof(*tmp));

	if (v == NULL || tmp == NULL) {
		free(v);
		free(tmp);
		return RC_NOMEM;
	}
	for (size_t i = 0; i < m->n; i++)
		v[i] = (uint32_t)i;
	sort_u32(v, tmp, m->n, by_entry, m);
	free(tmp);
	*order = v;
	return RC_OK;
}

void
memtable_drop(struct memtable *m, uint64_t pack, uint64_t off)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->e[i].pack != pack || m->e[i].off < off)
			m->e[kept++] = m->e[i];
	memtable_clear(m);
	m->n = kept;
	for (size_t i = 0; i < kept; i++)
		link_entry(m, i);
}
