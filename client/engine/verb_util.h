#ifndef CLIENT_ENGINE_VERB_UTIL_H
#define CLIENT_ENGINE_VERB_UTIL_H

#include <stddef.h>

#include "client/engine/engine.h"
#include "client/engine/select.h"

/* What restore, check, ls and snapshots say and do alike.  Each returns an exit
 * code and leaves a sentence in text. */
int	verb_no_connection(const struct engine *e, int rc, char *text,
	    size_t size);
int	verb_failed(const struct remote *r, int rc, const char *what,
	    char *text, size_t size);
int	verb_bad_memory(int rc, char *text, size_t size);
int	verb_no_path(const struct remote *r, int rc, const char *path,
	    char *text, size_t size);
/* Load the list, hold it against this client's memory when it is `latest`, and
 * find the snapshot. */
int	verb_choose(struct engine *e, struct remote *r, const char *spec,
	    const char *job, struct snaplist *l, const struct snap **s,
	    char *text, size_t size);
/* "/a/b" without doubled or trailing slashes; "" for the root.  Caller frees;
 * NULL: no memory. */
char	*verb_clean_path(const char *path);

#endif
