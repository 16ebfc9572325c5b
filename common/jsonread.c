#include "config.h"

#include "common/jsonread.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/rc.h"
#include "common/secret.h"

struct json_doc {
	struct json_value	*v;		/* [0] unused, [1] the root */
	size_t			 n, max;
	char			*text;		/* decoded strings */
	size_t			 used, size;
};

struct parser {
	const unsigned char	*p, *end;
	struct json_doc		*doc;
	int			 depth, max_depth;
};

static int parse_value(struct parser *ps, size_t *index);

static void
skip_space(struct parser *ps)
{
	while (ps->p < ps->end && (*ps->p == ' ' || *ps->p == '\t' ||
	    *ps->p == '\n' || *ps->p == '\r'))
		ps->p++;
}

static bool
take(struct parser *ps, char c)
{
	skip_space(ps);
	if (ps->p == ps->end || *ps->p != (unsigned char)c)
		return false;
	ps->p++;
	return true;
}

/* A decoded string is never longer than its text, so the room made for the
 * whole document is enough and never moves. */
static void
put(struct json_doc *d, unsigned char c)
{
	d->text[d->used++] = (char)c;
}

static void
put_code_point(struct json_doc *d, uint32_t c)
{
	if (c < 0x80) {
		put(d, (unsigned char)c);
	} else if (c < 0x800) {
		put(d, (unsigned char)(0xc0 | c >> 6));
		put(d, (unsigned char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		put(d, (unsigned char)(0xe0 | c >> 12));
		put(d, (unsigned char)(0x80 | (c >> 6 & 0x3f)));
		put(d, (unsigned char)(0x80 | (c & 0x3f)));
	} else {
		put(d, (unsigned char)(0xf0 | c >> 18));
		put(d, (unsigned char)(0x80 | (c >> 12 & 0x3f)));
		put(d, (unsigned char)(0x80 | (c >> 6 & 0x3f)));
		put(d, (unsigned char)(0x80 | (c & 0x3f)));
	}
}

static int
parse_hex4(struct parser *ps, uint32_t *out)
{
	uint32_t v = 0;
	int i;

	if (ps->end - ps->p < 4)
		return RC_PROTO;
	for (i = 0; i < 4; i++) {
		unsigned char c = ps->p[i];

		v <<= 4;
		if (c >= '0' && c <= '9')
			v |= (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v |= (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v |= (uint32_t)(c - 'A' + 10);
		else
			return RC_PROTO;
	}
	ps->p += 4;
	*out = v;
	return RC_OK;
}

/* \uXXXX, with surrogate pairs joined; a lone surrogate and U+0000 are refused. */
static int
parse_unicode_escape(struct parser *ps)
{
	uint32_t c, low;
	int rc;

	if ((rc = parse_hex4(ps, &c)) != RC_OK)
		return rc;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (ps->end - ps->p < 2 || ps->p[0] != '\\' || ps->p[1] != 'u')
			return RC_PROTO;
		ps->p += 2;
		if ((rc = parse_hex4(ps, &low)) != RC_OK)
			return rc;
		if (low < 0xdc00 || low > 0xdfff)
			return RC_PROTO;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c == 0 || (c >= 0xdc00 && c <= 0xdfff)) {
		return RC_PROTO;
	}
	put_code_point(ps->doc, c);
	return RC_OK;
}

static int
parse_escape(struct parser *ps)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *at;

	if (ps->p == ps->end)
		return RC_PROTO;
	if (*ps->p == 'u') {
		ps->p++;
		return parse_unicode_escape(ps);
	}
	if (*ps->p == 0 || (at = strchr(from, *ps->p)) == NULL)
		return RC_PROTO;
	put(ps->doc, (unsigned char)to[at - from]);
	ps->p++;
	return RC_OK;
}

static int
parse_string(struct parser *ps, const char **out)
{
	struct json_doc *d = ps->doc;
	size_t start = d->used, n;
	int rc;

	if (!take(ps, '"'))
		return RC_PROTO;
	for (;;) {
		if (ps->p == ps->end || *ps->p < 0x20)
			return RC_PROTO;
		if (*ps->p == '"')
			break;
		if (*ps->p == '\\') {
			ps->p++;
			if ((rc = parse_escape(ps)) != RC_OK)
				return rc;
			continue;
		}
		if ((n = utf8_sequence(ps->p, ps->end)) == 0)
			return RC_PROTO;
		while (n-- > 0)
			put(d, *ps->p++);
	}
	ps->p++;
	put(d, 0);
	*out = d->text + start;
	return RC_OK;
}

static int
parse_number(struct parser *ps, int64_t *out)
{
	bool negative = false;
	uint64_t v = 0;
	const unsigned char *start;

	if (*ps->p == '-') {
		negative = true;
		ps->p++;
	}
	start = ps->p;
	while (ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9') {
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*ps->p - '0'), &v))
			return RC_PROTO;
		ps->p++;
	}
	if (ps->p == start || (*start == '0' && ps->p - start > 1) ||
	    v > (uint64_t)INT64_MAX)
		return RC_PROTO;
	if (ps->p < ps->end && (*ps->p == '.' || *ps->p == 'e' || *ps->p == 'E'))
		return RC_PROTO;
	*out = negative ? -(int64_t)v : (int64_t)v;
	return RC_OK;
}

static int
parse_word(struct parser *ps, struct json_value *v)
{
	static const struct {
		const char *word; size_t len; enum json_type type; int64_t num;
	} words[] = {
		{ "true", 4, JSON_BOOL, 1 },
		{ "false", 5, JSON_BOOL, 0 },
		{ "null", 4, JSON_NULL, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if ((size_t)(ps->end - ps->p) >= words[i].len &&
		    memcmp(ps->p, words[i].word, words[i].len) == 0) {
			ps->p += words[i].len;
			v->type = words[i].type;
			v->num = words[i].num;
			return RC_OK;
		}
	return RC_PROTO;
}

static bool
name_is_new(const struct json_doc *d, size_t first, const char *name)
{
	size_t i;

	for (i = first; i != 0; i = d->v[i].next)
		if (strcmp(d->v[i].name, name) == 0)
			return false;
	return true;
}

/* Members of an object or elements of an array, up to the closing character. */
static int
parse_children(struct parser *ps, size_t parent, bool object)
{
	struct json_doc *d = ps->doc;
	size_t index, last = 0;
	const char *name = NULL;
	int rc;

	if (take(ps, object ? '}' : ']'))
		return RC_OK;
	for (;;) {
		if (object) {
			if ((rc = parse_string(ps, &name)) != RC_OK)
				return rc;
			if (!name_is_new(d, d->v[parent].child, name) ||
			    !take(ps, ':'))
				return RC_PROTO;
		}
		if ((rc = parse_value(ps, &index)) != RC_OK)
			return rc;
		d->v[index].name = name;
		if (last == 0)
			d->v[parent].child = index;
		else
			d->v[last].next = index;
		last = index;
		if (take(ps, object ? '}' : ']'))
			return RC_OK;
		if (!take(ps, ','))
			return RC_PROTO;
	}
}

static int
parse_value(struct parser *ps, size_t *index)
{
	struct json_doc *d = ps->doc;
	struct json_value *v;
	int rc;

	skip_space(ps);
	if (ps->p == ps->end)
		return RC_PROTO;
	if (d->n == d->max || ps->depth == ps->max_depth)
		return RC_LIMIT;
	*index = ++d->n;
	v = &d->v[*index];
	switch (*ps->p) {
	case '{':
	case '[':
		v->type = *ps->p == '{' ? JSON_OBJECT : JSON_ARRAY;
		ps->p++;
		ps->depth++;
		rc = parse_children(ps, *index, v->type == JSON_OBJECT);
		ps->depth--;
		return rc;
	case '"':
		v->type = JSON_STRING;
		return parse_string(ps, &v->str);
	case 't':
	case 'f':
	case 'n':
		return parse_word(ps, v);
	default:
		v->type = JSON_INT;
		return parse_number(ps, &v->num);
	}
}

int
json_parse(const char *text, size_t len, size_t max_values,
    struct json_doc **doc)
{
	return json_parse_deep(text, len, max_values, JSON_DEPTH_MAX, doc);
}

int
json_parse_deep(const char *text, size_t len, size_t max_values, int depth,
    struct json_doc **doc)
{
	struct parser ps = { 0 };
	struct json_doc *d;
	size_t root;
	int rc;

	*doc = NULL;
	/* every value takes at least one byte of text, and a separator */
	if (max_values > len / 2 + 1)
		max_values = len / 2 + 1;
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return RC_NOMEM;
	d->max = max_values;
	d->size = len + 1;
	d->v = calloc(max_values + 1, sizeof(*d->v));
	d->text = malloc(d->size);
	if (d->v == NULL || d->text == NULL) {
		json_free(d);
		return RC_NOMEM;
	}
	ps.p = (const unsigned char *)text;
	ps.end = ps.p + len;
	ps.doc = d;
	ps.max_depth = depth;
	if ((rc = parse_value(&ps, &root)) == RC_OK) {
		skip_space(&ps);
		if (ps.p != ps.end)
			rc = RC_PROTO;
	}
	if (rc != RC_OK) {
		json_free(d);
		return rc;
	}
	*doc = d;
	return RC_OK;
}

void
json_free(struct json_doc *d)
{
	if (d == NULL)
		return;
	free(d->v);
	if (d->text != NULL)
		secret_wipe(d->text, d->size);
	free(d->text);
	free(d);
}

const struct json_value *
json_root(const struct json_doc *d)
{
	return &d->v[1];
}

const struct json_value *
json_first(const struct json_doc *d, const struct json_value *v)
{
	return v == NULL || v->child == 0 ? NULL : &d->v[v->child];
}

const struct json_value *
json_next(const struct json_doc *d, const struct json_value *v)
{
	return v == NULL || v->next == 0 ? NULL : &d->v[v->next];
}

const struct json_value *
json_get(const struct json_doc *d, const struct json_value *v,
    const char *name)
{
	if (v == NULL || v->type != JSON_OBJECT)
		return NULL;
	for (v = json_first(d, v); v != NULL; v = json_next(d, v))
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

const char *
json_string(const struct json_doc *d, const struct json_value *v,
    const char *name, const char *otherwise)
{
	v = json_get(d, v, name);
	return v != NULL && v->type == JSON_STRING ? v->str : otherwise;
}

int64_t
json_int(const struct json_doc *d, const struct json_value *v,
    const char *name, int64_t otherwise)
{
	v = json_get(d, v, name);
	return v != NULL && (v->type == JSON_INT || v->type == JSON_BOOL) ?
	    v->num : otherwise;
}
