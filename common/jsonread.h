#ifndef COMMON_JSONREAD_H
#define COMMON_JSONREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bounded, strict JSON reader (RFC 8259): valid UTF-8 only, no duplicate names
 * in an object, integers that fit int64 (no fractions, no exponents), no U+0000,
 * depth at most JSON_DEPTH_MAX, at most max_values values.  The document owns
 * everything it gives out.
 */
#define JSON_DEPTH_MAX 8

enum json_type {
	JSON_NULL, JSON_BOOL, JSON_INT, JSON_STRING, JSON_ARRAY, JSON_OBJECT,
};

struct json_value {
	enum json_type	 type;
	const char	*name;		/* member name; NULL outside an object */
	const char	*str;		/* JSON_STRING, NUL-terminated */
	int64_t		 num;		/* JSON_INT, JSON_BOOL */
	size_t		 child;		/* index of the first child, 0 none */
	size_t		 next;		/* index of the next sibling, 0 none */
};

struct json_doc;

/* RC_PROTO: not JSON of this kind; RC_LIMIT: too deep or too many values;
 * RC_NOMEM.  Caller frees the document. */
int	json_parse(const char *text, size_t len, size_t max_values,
	    struct json_doc **doc);
/* The same with another limit of depth. */
int	json_parse_deep(const char *text, size_t len, size_t max_values,
	    int depth, struct json_doc **doc);
/* Wipes it first: a body may have held a password. */
void	json_free(struct json_doc *doc);

const struct json_value *json_root(const struct json_doc *doc);
/* Member of an object, NULL when it is not there (or v is no object). */
const struct json_value *json_get(const struct json_doc *doc,
	    const struct json_value *v, const char *name);
const struct json_value *json_first(const struct json_doc *doc,
	    const struct json_value *v);
const struct json_value *json_next(const struct json_doc *doc,
	    const struct json_value *v);
/* The string or number of a member, or the default given. */
const char *json_string(const struct json_doc *doc, const struct json_value *v,
	    const char *name, const char *otherwise);
int64_t	json_int(const struct json_doc *doc, const struct json_value *v,
	    const char *name, int64_t otherwise);

#endif
