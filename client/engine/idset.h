#ifndef CLIENT_ENGINE_IDSET_H
#define CLIENT_ENGINE_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/object.h"

/*
 * A set of ids that forgets nothing until it is full (max ids, 16 bytes each)
 * and then takes no more: who asks it does work twice, never wrongly.
 */
struct idset {
	uint8_t	(*slot)[16];
	size_t	 size, n, max;
};

void	idset_init(struct idset *s, size_t max);
void	idset_free(struct idset *s);
bool	idset_has(const struct idset *s, const struct object_id *id);
/* True when it was not there (also when there is no room to note it). */
bool	idset_add(struct idset *s, const struct object_id *id);

#endif
