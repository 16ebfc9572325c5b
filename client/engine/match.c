#include "config.h"

#include "client/engine/match.h"

#include <string.h>

/* Behind a bracket expression, or NULL when it is none; *hit tells whether c is
 * in it. */
static const char *
bracket(const char *p, unsigned char c, bool *hit)
{
	bool not = false, first = true, in = false;
	unsigned char lo, hi;

	p++;
	if (*p == '!' || *p == '^') {
		not = true;
		p++;
	}
	for (; *p != '\0' && (*p != ']' || first); first = false) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		lo = hi = (unsigned char)*p++;
		if (p[0] == '-' && p[1] != ']' && p[1] != '\0') {
			p++;
			if (*p == '\\' && p[1] != '\0')
				p++;
			hi = (unsigned char)*p++;
		}
		in = in || (lo <= c && c <= hi);
	}
	if (*p != ']')
		return NULL;
	*hit = in != not && c != '/';
	return p + 1;
}

/* One character of the pattern against one of the text. */
static bool
one(const char **pattern, char c)
{
	const char *p = *pattern, *behind;
	bool hit = false;

	if (c == '\0' || *p == '\0')
		return false;
	if (*p == '?') {
		*pattern = p + 1;
		return c != '/';
	}
	if (*p == '[' && (behind = bracket(p, (unsigned char)c, &hit)) != NULL) {
		*pattern = behind;
		return hit;
	}
	if (*p == '\\' && p[1] != '\0')
		p++;
	*pattern = p + 1;
	return *p == c;
}

/*
 * Going back is bounded: only the last `*` and the last `**` are tried again,
 * so no pattern takes more than quadratic time a star.
 */
bool
match_glob(const char *p, const char *t)
{
	const char *star_p = NULL, *star_t = NULL;	/* last * */
	const char *deep_p = NULL, *deep_t = NULL;	/* last ** */
	const char *q;

	for (;;) {
		if (p[0] == '*' && p[1] == '*') {
			while (*p == '*')
				p++;
			/* "**" and a slash also match nothing at all */
			if (*p == '/' && match_glob(p + 1, t))
				return true;
			deep_p = p;
			deep_t = t;
			star_p = NULL;
			continue;
		}
		if (*p == '*') {
			star_p = ++p;
			star_t = t;
			continue;
		}
		if (*p == '\0' && *t == '\0')
			return true;
		q = p;
		if (one(&q, *t)) {
			p = q;
			t++;
		} else if (star_p != NULL && *star_t != '\0' &&
		    *star_t != '/') {
			p = star_p;
			t = ++star_t;
		} else if (deep_p != NULL && *deep_t != '\0') {
			p = deep_p;
			t = ++deep_t;
			star_p = NULL;
		} else {
			return false;
		}
	}
}

bool
match_any(const char *const *patterns, size_t n, const char *path,
    const char *name)
{
	char copy[4096];
	size_t i, len;

	for (i = 0; i < n; i++) {
		len = strlen(patterns[i]);
		if (len == 0 || len >= sizeof(copy))
			continue;
		memcpy(copy, patterns[i], len + 1);
		while (len > 1 && copy[len - 1] == '/')
			copy[--len] = '\0';
		if (match_glob(copy, strchr(copy, '/') != NULL ? path : name))
			return true;
	}
	return false;
}
