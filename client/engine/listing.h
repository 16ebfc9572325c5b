#ifndef CLIENT_ENGINE_LISTING_H
#define CLIENT_ENGINE_LISTING_H

#include "client/engine/engine.h"
#include "client/engine/node.h"

/* One EVENT_ENTRY for an entry of directory `dir` ("" is the root). */
int	listing_entry(struct engine *e, const char *dir,
	    const struct entry *entry);
/* dir/name; caller frees, NULL: no memory. */
char	*listing_join(const char *dir, const struct entry *e);

#endif
