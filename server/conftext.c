#include "config.h"

#include "server/conftext.h"

#include <ctype.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/addr.h"

#define NAME_MAX_LEN	64
#define DEPTH_MAX	4		/* Discovery.Multicast.Enabled and 1 */
#define NEAR_MAX	3		/* edits: still a likely slip */

struct parse {
	struct conf	*c;
	uint32_t	*line;
	char		*err;
	size_t		 errsize;
};

static int refuse(struct parse *p, uint32_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
refuse(struct parse *p, uint32_t line, const char *fmt, ...)
{
	va_list ap;

	*p->line = line;
	va_start(ap, fmt);
	vsnprintf(p->err, p->errsize, fmt, ap);
	va_end(ap);
	return RC_CONFIG;
}

/* --- names --- */

static unsigned int
min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edit distance, case not counted; both shorter than NAME_MAX_LEN. */
static unsigned int
distance(const char *a, const char *b)
{
	unsigned int row[NAME_MAX_LEN + 1], up, corner;
	size_t i, j, n = strlen(b);

	for (j = 0; j <= n; j++)
		row[j] = (unsigned int)j;
	for (i = 0; a[i] != '\0'; i++) {
		corner = row[0];
		row[0] = (unsigned int)i + 1;
		for (j = 1; j <= n; j++) {
			up = row[j];
			row[j] = min3(row[j - 1] + 1, up + 1, corner +
			    (tolower((unsigned char)a[i]) !=
			    tolower((unsigned char)b[j - 1])));
			corner = up;
		}
	}
	return row[n];
}

/* A known name at the same place: the component of a schema path that stands
 * below `prefix` ("" or "Ports."). */
static bool
component(const struct conf_key *k, const char *prefix, char *out,
    bool *is_group)
{
	size_t n = strlen(prefix), len;
	const char *rest;

	if (strncmp(k->path, prefix, n) != 0)
		return false;
	rest = k->path + n;
	len = strcspn(rest, ".");
	if (len >= NAME_MAX_LEN)
		return false;
	memcpy(out, rest, len);
	out[len] = '\0';
	*is_group = rest[len] == '.';
	return true;
}

static void
nearest(const char *prefix, const char *name, char *out)
{
	unsigned int d, best = NEAR_MAX + 1;
	char known[NAME_MAX_LEN];
	bool is_group;
	size_t i;

	out[0] = '\0';
	if (strlen(name) >= NAME_MAX_LEN)
		return;
	for (i = 0; i < conf_keys_n; i++) {
		if (!component(&conf_keys[i], prefix, known, &is_group))
			continue;
		d = distance(name, known);
		if (d < best && d < strlen(known)) {
			best = d;
			memcpy(out, known, sizeof(known));
		}
	}
	if (out[0] != '\0')
		return;
	/* The right name in the wrong group. */
	for (i = 0; i < conf_keys_n && out[0] == '\0'; i++) {
		const char *dot = strrchr(conf_keys[i].path, '.');

		if (dot != NULL && strcasecmp(dot + 1, name) == 0 &&
		    strlen(conf_keys[i].path) < NAME_MAX_LEN)
			strcpy(out, conf_keys[i].path);
	}
}

static int
refuse_unknown(struct parse *p, const char *prefix, const config_setting_t *s)
{
	const char *name = config_setting_name(s);
	char hint[NAME_MAX_LEN];

	nearest(prefix, name, hint);
	if (hint[0] != '\0')
		return refuse(p, config_setting_source_line(s), "unknown key "
		    "%s%.64s; did you mean %s%s?", prefix, name,
		    strchr(hint, '.') != NULL ? "" : prefix, hint);
	return refuse(p, config_setting_source_line(s),
	    "unknown key %s%.64s", prefix, name);
}

/* --- values --- */

int
conftext_size(const char *s, uint64_t *out)
{
	static const char units[] = "KMGT";
	uint64_t v = 0;
	const char *u;
	size_t i;

	if (!isdigit((unsigned char)*s))
		return RC_RANGE;
	for (; isdigit((unsigned char)*s); s++) {
		if (v > (UINT64_MAX - 9) / 10)
			return RC_RANGE;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	if (*s != '\0') {
		if ((u = strchr(units, toupper((unsigned char)*s))) == NULL ||
		    s[1] != '\0')
			return RC_RANGE;
		for (i = 0; i <= (size_t)(u - units); i++) {
			if (v > UINT64_MAX >> 10)
				return RC_RANGE;
			v <<= 10;
		}
	}
	*out = v;
	return RC_OK;
}

static int
wrong(struct parse *p, const struct conf_key *k, const config_setting_t *s)
{
	return refuse(p, config_setting_source_line(s), "%s must be %s",
	    k->path, k->hint);
}

static int
take_int(struct parse *p, const struct conf_key *k, const config_setting_t *s,
    int *v)
{
	if (config_setting_type(s) != CONFIG_TYPE_INT)
		return wrong(p, k, s);
	*v = config_setting_get_int(s);
	if (*v < k->min || *v > k->max)
		return wrong(p, k, s);
	return RC_OK;
}

static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

static int
take_string(struct parse *p, const struct conf_key *k,
    const config_setting_t *s, char *out)
{
	const char *v;
	size_t len;

	if (config_setting_type(s) != CONFIG_TYPE_STRING)
		return wrong(p, k, s);
	v = config_setting_get_string(s);
	len = strlen(v);
	if (has_control(v) || len < (size_t)k->min || len > (size_t)k->max)
		return wrong(p, k, s);
	memcpy(out, v, len + 1);
	return RC_OK;
}

static bool
is_sequence(const config_setting_t *s)
{
	return config_setting_type(s) == CONFIG_TYPE_ARRAY ||
	    config_setting_type(s) == CONFIG_TYPE_LIST;
}

/* What an entry has to be, by its key: said here, where the line is known. */
static int
check_entry(struct parse *p, const struct conf_key *k,
    const config_setting_t *e, const char *v)
{
	struct addr_net net;
	struct addr a;

	if (strncmp(k->path, "Listen.", 7) == 0) {
		if (strcmp(v, "*") == 0 || addr_parse(&a, v) == RC_OK)
			return RC_OK;
		return refuse(p, config_setting_source_line(e),
		    "%s: \"%s\" is neither \"*\" nor an address", k->path, v);
	}
	if (strncmp(k->path, "Access.", 7) != 0 &&
	    strcmp(k->path, "Plaintext.AllowFrom") != 0 &&
	    strcmp(k->path, "Limits.Exempt") != 0)
		return RC_OK;
	if (addr_net_parse(&net, v) == RC_OK)
		return RC_OK;
	return refuse(p, config_setting_source_line(e), "%s: \"%s\" is neither "
	    "\"any\", \"private\", an address nor a network (as "
	    "192.0.2.0/24)", k->path, v);
}

static int
take_list(struct parse *p, const struct conf_key *k,
    const config_setting_t *s, struct conf_list *out)
{
	struct conf_list l = { 0 };
	const config_setting_t *e;
	const char *v;
	int i, n, rc;

	if (!is_sequence(s))
		return wrong(p, k, s);
	if ((n = config_setting_length(s)) > CONF_LIST_MAX)
		return refuse(p, config_setting_source_line(s),
		    "%s has %d entries; %d is the most", k->path, n,
		    CONF_LIST_MAX);
	for (i = 0; i < n; i++) {
		e = config_setting_get_elem(s, (unsigned int)i);
		if (config_setting_type(e) != CONFIG_TYPE_STRING)
			return wrong(p, k, e);
		v = config_setting_get_string(e);
		if (has_control(v) || strlen(v) >= sizeof(l.s[0]))
			return refuse(p, config_setting_source_line(e),
			    "%s: an entry is longer than %zu bytes", k->path,
			    sizeof(l.s[0]) - 1);
		if ((rc = check_entry(p, k, e, v)) != RC_OK)
			return rc;
		strcpy(l.s[i], v);
	}
	l.n = (uint8_t)n;
	*out = l;
	return RC_OK;
}

static int
take_pair(struct parse *p, const struct conf_key *k,
    const config_setting_t *s, uint16_t *out)
{
	int v[2], i, rc;

	if (!is_sequence(s) || config_setting_length(s) != 2)
		return wrong(p, k, s);
	for (i = 0; i < 2; i++)
		if ((rc = take_int(p, k, config_setting_get_elem(s,
		    (unsigned int)i), &v[i])) != RC_OK)
			return rc;
	out[0] = (uint16_t)v[0];
	out[1] = (uint16_t)v[1];
	return RC_OK;
}

static int
take_mode(struct parse *p, const struct conf_key *k,
    const config_setting_t *s, uint8_t *out)
{
	static const char *const modes[] = {
		[CONF_MODE_SERVER] = "server",
		[CONF_MODE_CLIENT] = "client",
		[CONF_MODE_BOTH] = "both",
		[CONF_MODE_REPLICATION] = "replication",
	};
	uint8_t i;

	if (config_setting_type(s) != CONFIG_TYPE_STRING)
		return wrong(p, k, s);
	for (i = 0; i < NITEMS(modes); i++)
		if (strcmp(config_setting_get_string(s), modes[i]) == 0) {
			*out = i;
			return RC_OK;
		}
	return wrong(p, k, s);
}

static int
take_value(struct parse *p, const struct conf_key *k,
    const config_setting_t *s)
{
	void *at = (char *)p->c + k->offset;
	uint64_t size;
	int v, rc = RC_OK;

	switch (k->type) {
	case CONF_BOOL:
		if ((rc = take_int(p, k, s, &v)) == RC_OK)
			*(bool *)at = v != 0;
		break;
	case CONF_INT:
		if ((rc = take_int(p, k, s, &v)) == RC_OK)
			*(uint32_t *)at = (uint32_t)v;
		break;
	case CONF_PORT:
		if ((rc = take_int(p, k, s, &v)) == RC_OK)
			*(uint16_t *)at = (uint16_t)v;
		break;
	case CONF_STRING:
		rc = take_string(p, k, s, at);
		break;
	case CONF_SIZE:
		if (config_setting_type(s) != CONFIG_TYPE_STRING ||
		    conftext_size(config_setting_get_string(s), &size) !=
		    RC_OK || size < (uint64_t)k->min ||
		    size > (uint64_t)k->max)
			return wrong(p, k, s);
		*(uint64_t *)at = size;
		break;
	case CONF_LIST:
		rc = take_list(p, k, s, at);
		break;
	case CONF_PORT_PAIR:
		rc = take_pair(p, k, s, at);
		break;
	case CONF_MODE:
		rc = take_mode(p, k, s, at);
		break;
	}
	return rc;
}

/* --- the walk --- */

static int
walk(struct parse *p, const config_setting_t *group, const char *prefix,
    unsigned int depth)
{
	char path[2 * NAME_MAX_LEN], known[NAME_MAX_LEN];
	const config_setting_t *s;
	const struct conf_key *k;
	bool is_group, group_known;
	int i, rc = RC_OK;
	size_t j;

	for (i = 0; i < config_setting_length(group) && rc == RC_OK; i++) {
		s = config_setting_get_elem(group, (unsigned int)i);
		k = NULL;
		group_known = false;
		for (j = 0; j < conf_keys_n; j++) {
			if (!component(&conf_keys[j], prefix, known,
			    &is_group) ||
			    strcmp(known, config_setting_name(s)) != 0)
				continue;
			if (is_group)
				group_known = true;
			else
				k = &conf_keys[j];
		}
		if (k != NULL) {
			rc = take_value(p, k, s);
		} else if (!group_known || depth >= DEPTH_MAX) {
			rc = refuse_unknown(p, prefix, s);
		} else if (config_setting_type(s) != CONFIG_TYPE_GROUP) {
			rc = refuse(p, config_setting_source_line(s),
			    "%s%s must be a group: %s: { ... };", prefix,
			    config_setting_name(s), config_setting_name(s));
		} else {
			snprintf(path, sizeof(path), "%s%s.", prefix,
			    config_setting_name(s));
			rc = walk(p, s, path, depth + 1);
		}
	}
	return rc;
}

static int
parse(struct parse *p, const char *text)
{
	config_t cfg;
	int rc;

	config_init(&cfg);
	if (config_read_string(&cfg, text) == CONFIG_TRUE)
		rc = walk(p, config_root_setting(&cfg), "", 1);
	else
		rc = refuse(p, config_error_line(&cfg) > 0 ?
		    (uint32_t)config_error_line(&cfg) : 0, "%s",
		    config_error_text(&cfg) != NULL ? config_error_text(&cfg) :
		    "cannot be parsed");
	config_destroy(&cfg);
	return rc;
}

int
conftext_parse(const char *text, size_t len, struct conf *c, uint32_t *line,
    char *err, size_t errsize)
{
	struct parse p = { c, line, err, errsize };
	char *copy;
	int rc;

	*line = 0;
	conf_defaults(c);
	if ((rc = conftext_scan(text, len, line, err, errsize)) != RC_OK)
		return rc;
	if ((copy = malloc(len + 1)) == NULL)
		return RC_NOMEM;
	memcpy(copy, text, len);
	copy[len] = '\0';
	rc = parse(&p, copy);
	free(copy);
	if (rc == RC_OK && c->pool_min > c->pool_max)
		rc = refuse(&p, 0, "Pool.SessionMin (%u) is more than "
		    "Pool.SessionMax (%u)", c->pool_min, c->pool_max);
	return rc;
}
