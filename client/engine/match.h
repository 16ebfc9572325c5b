#ifndef CLIENT_ENGINE_MATCH_H
#define CLIENT_ENGINE_MATCH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Patterns of --exclude: `*` and `?` stop at a slash, `**` does not, [] as in
 * glob(7), \ quotes.  A pattern with a slash in it is matched with the whole
 * path, one without with the last name.  Slashes at its end are ignored.
 */
bool	match_glob(const char *pattern, const char *text);
bool	match_any(const char *const *patterns, size_t n, const char *path,
	    const char *name);

#endif
