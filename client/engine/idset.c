#include "config.h"

#include "client/engine/idset.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE	4096u

/* Half an id is 128 bits of an HMAC.  All zeros marks a free slot; an id that
 * begins so is not kept. */
static const uint8_t free_slot[16];

void
idset_init(struct idset *s, size_t max)
{
	memset(s, 0, sizeof(*s));
	s->max = max;
}

void
idset_free(struct idset *s)
{
	free(s->slot);
	memset(s, 0, sizeof(*s));
}

static size_t
find(const struct idset *s, const uint8_t *key)
{
	uint64_t h;
	size_t i;

	memcpy(&h, key, sizeof(h));
	for (i = (size_t)h & (s->size - 1);
	    memcmp(s->slot[i], free_slot, 16) != 0;
	    i = (i + 1) & (s->size - 1))
		if (memcmp(s->slot[i], key, 16) == 0)
			break;
	return i;
}

bool
idset_has(const struct idset *s, const struct object_id *id)
{
	return s->size != 0 &&
	    memcmp(s->slot[find(s, id->b)], id->b, 16) == 0 &&
	    memcmp(id->b, free_slot, 16) != 0;
}

static bool
grow(struct idset *s)
{
	struct idset bigger = *s;
	size_t i;

	bigger.size = s->size == 0 ? FIRST_SIZE : s->size * 2;
	bigger.slot = calloc(bigger.size, sizeof(*bigger.slot));
	if (bigger.slot == NULL)
		return false;
	for (i = 0; i < s->size; i++)
		if (memcmp(s->slot[i], free_slot, 16) != 0)
			memcpy(bigger.slot[find(&bigger, s->slot[i])],
			    s->slot[i], 16);
	free(s->slot);
	*s = bigger;
	return true;
}

bool
idset_add(struct idset *s, const struct object_id *id)
{
	size_t i;

	if (memcmp(id->b, free_slot, 16) == 0)
		return true;
	if (idset_has(s, id))
		return false;
	if (s->n >= s->max || (s->n >= s->size / 2 && !grow(s)))
		return true;
	i = find(s, id->b);
	memcpy(s->slot[i], id->b, 16);
	s->n++;
	return true;
}
