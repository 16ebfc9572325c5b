#include "config.h"

#include "server/discovery/peerjson.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/conf.h"
#include "common/num.h"
#include "common/rc.h"

static const char *const modes[] = {
	[CONF_MODE_SERVER] = "server",
	[CONF_MODE_CLIENT] = "client",
	[CONF_MODE_BOTH] = "both",
	[CONF_MODE_REPLICATION] = "replication",
};

static const struct {
	uint8_t		 code;
	const char	*text;
} results[] = {				/* the last stands for all others */
	{ RC_OK, "open" },
	{ -RC_REFUSED, "closed" },
	{ -RC_TIMEOUT, "filtered" },
	{ -RC_UNREACHABLE, "not tried" },
};

/* --- single members --- */

static int
get_str(const struct json_doc *doc, const struct json_value *v,
    const char *name, const char **out)
{
	v = json_get(doc, v, name);
	if (v == NULL || v->type != JSON_STRING)
		return RC_PROTO;
	*out = v->str;
	return RC_OK;
}

static int
get_int(const struct json_doc *doc, const struct json_value *v,
    const char *name, int64_t min, int64_t max, int64_t *out)
{
	v = json_get(doc, v, name);
	if (v == NULL || v->type != JSON_INT)
		return RC_PROTO;
	if (v->num < min || v->num > max)
		return RC_RANGE;
	*out = v->num;
	return RC_OK;
}

static int
get_u16(const struct json_doc *doc, const struct json_value *v,
    const char *name, uint16_t min, uint16_t *out)
{
	int64_t n;
	int rc;

	if ((rc = get_int(doc, v, name, min, UINT16_MAX, &n)) == RC_OK)
		*out = (uint16_t)n;
	return rc;
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
peerjson_get_hex(const struct json_doc *doc, const struct json_value *v,
    const char *name, uint8_t *out, size_t n)
{
	const char *s;
	int rc, hi, lo;

	if ((rc = get_str(doc, v, name, &s)) != RC_OK)
		return rc;
	if (strlen(s) != 2 * n)
		return RC_RANGE;
	for (size_t i = 0; i < n; i++) {
		hi = digit(s[2 * i]);
		lo = digit(s[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return RC_RANGE;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return RC_OK;
}

/* --- struct peer_info --- */

void
peerjson_put_info(struct json *j, const struct peer_info *p)
{
	json_put_hex(j, "identity", p->identity, sizeof(p->identity));
	json_put_hex(j, "pin", p->pin, sizeof(p->pin));
	json_put_str(j, "id", p->id);
	json_put_str(j, "mode", modes[p->mode < NITEMS(modes) ? p->mode : 0]);
	json_object(j, "ports");
	json_put_u64(j, "server", p->port_server);
	json_put_u64(j, "ssl", p->port_ssl);
	json_put_u64(j, "gui", p->port_gui);
	json_put_u64(j, "webssl", p->port_webssl);
	json_end(j);
	json_put_u64(j, "interval", p->interval);
	/* the reader takes every int64 but this one; what a liar says of his
	 * clock must not make a whole list unreadable */
	json_put_i64(j, "sent", p->sent_ns == INT64_MIN ? -INT64_MAX :
	    p->sent_ns);
}

static int
get_mode(const struct json_doc *doc, const struct json_value *v, uint8_t *mode)
{
	const char *s;
	int rc;

	if ((rc = get_str(doc, v, "mode", &s)) != RC_OK)
		return rc;
	for (size_t i = 0; i < NITEMS(modes); i++) {
		if (strcmp(s, modes[i]) == 0) {
			*mode = (uint8_t)i;
			return RC_OK;
		}
	}
	return RC_RANGE;
}

static int
get_id(const struct json_doc *doc, const struct json_value *v,
    char id[PEER_ID_MAX + 1])
{
	const char *s;
	int rc;

	if ((rc = get_str(doc, v, "id", &s)) != RC_OK)
		return rc;
	if (!peer_id_ok(s))
		return RC_RANGE;
	snprintf(id, PEER_ID_MAX + 1, "%s", s);
	return RC_OK;
}

int
peerjson_get_info(const struct json_doc *doc, const struct json_value *v,
    struct peer_info *p)
{
	const struct json_value *ports;
	struct peer_info r = { 0 };
	int rc;

	if ((rc = peerjson_get_hex(doc, v, "identity", r.identity,
	    sizeof(r.identity))) != RC_OK ||
	    (rc = peerjson_get_hex(doc, v, "pin", r.pin, sizeof(r.pin))) !=
	    RC_OK || (rc = get_id(doc, v, r.id)) != RC_OK ||
	    (rc = get_mode(doc, v, &r.mode)) != RC_OK ||
	    (rc = get_u16(doc, v, "interval", 1, &r.interval)) != RC_OK ||
	    (rc = get_int(doc, v, "sent", INT64_MIN, INT64_MAX,
	    &r.sent_ns)) != RC_OK)
		return rc;
	ports = json_get(doc, v, "ports");
	if ((rc = get_u16(doc, ports, "server", 0, &r.port_server)) != RC_OK ||
	    (rc = get_u16(doc, ports, "ssl", 0, &r.port_ssl)) != RC_OK ||
	    (rc = get_u16(doc, ports, "gui", 1, &r.port_gui)) != RC_OK ||
	    (rc = get_u16(doc, ports, "webssl", 0, &r.port_webssl)) != RC_OK)
		return rc;
	*p = r;
	return RC_OK;
}

/* --- arrays --- */

void
peerjson_put_entry(struct json *j, const struct peer_entry *e)
{
	char text[ADDR_TEXT_MAX];

	if (e->addr.family == 0)	/* nowhere to be found, nothing to tell */
		return;
	json_object(j, NULL);
	peerjson_put_info(j, &e->info);
	json_put_str(j, "address", addr_text(&e->addr, text, sizeof(text)));
	json_end(j);
}

static int
get_entry(const struct json_doc *doc, const struct json_value *v,
    struct peer_entry *e)
{
	const char *s;
	int rc;

	if ((rc = peerjson_get_info(doc, v, &e->info)) != RC_OK ||
	    (rc = get_str(doc, v, "address", &s)) != RC_OK ||
	    (rc = addr_parse(&e->addr, s)) != RC_OK)
		return rc;
	e->addr.port = e->info.port_gui;
	return RC_OK;
}

/* The array `name`; the first element in *v, NULL when it is empty. */
static int
get_array(const struct json_doc *doc, const struct json_value **v,
    const char *name)
{
	const struct json_value *array = json_get(doc, *v, name);

	if (array == NULL || array->type != JSON_ARRAY)
		return RC_PROTO;
	*v = json_first(doc, array);
	return RC_OK;
}

int
peerjson_get_entries(const struct json_doc *doc, const struct json_value *v,
    const char *name, struct peer_entry *out, size_t max, size_t *n)
{
	int rc;

	*n = 0;
	if ((rc = get_array(doc, &v, name)) != RC_OK)
		return rc;
	for (; v != NULL; v = json_next(doc, v)) {
		if (*n == max)
			return RC_LIMIT;
		if ((rc = get_entry(doc, v, &out[*n])) != RC_OK)
			return rc;
		(*n)++;
	}
	return RC_OK;
}

void
peerjson_put_ports(struct json *j, const char *name, const uint16_t *ports,
    size_t n)
{
	json_array(j, name);
	for (size_t i = 0; i < n; i++)
		json_put_u64(j, NULL, ports[i]);
	json_end_array(j);
}

int
peerjson_get_ports(const struct json_doc *doc, const struct json_value *v,
    const char *name, uint16_t ports[TASK_PORTS_MAX], size_t *n)
{
	int rc;

	*n = 0;
	if ((rc = get_array(doc, &v, name)) != RC_OK)
		return rc;
	for (; v != NULL; v = json_next(doc, v)) {
		if (*n == TASK_PORTS_MAX)
			return RC_LIMIT;
		if (v->type != JSON_INT)
			return RC_PROTO;
		if (v->num < 1 || v->num > UINT16_MAX)
			return RC_RANGE;
		ports[(*n)++] = (uint16_t)v->num;
	}
	return *n > 0 ? RC_OK : RC_RANGE;
}

void
peerjson_put_reach(struct json *j, const struct peer_reach *r)
{
	size_t i = 0;

	while (i < NITEMS(results) - 1 && results[i].code != r->code)
		i++;
	json_object(j, NULL);
	json_put_u64(j, "port", r->port);
	json_put_str(j, "result", results[i].text);
	json_put_u64(j, "ms", r->ms);
	json_end(j);
}

static int
get_reach(const struct json_doc *doc, const struct json_value *v,
    struct peer_reach *r)
{
	const char *s;
	int64_t ms;
	int rc;

	if ((rc = get_u16(doc, v, "port", 1, &r->port)) != RC_OK ||
	    (rc = get_str(doc, v, "result", &s)) != RC_OK ||
	    (rc = get_int(doc, v, "ms", 0, UINT32_MAX, &ms)) != RC_OK)
		return rc;
	r->ms = (uint32_t)ms;
	for (size_t i = 0; i < NITEMS(results); i++) {
		if (strcmp(s, results[i].text) == 0) {
			r->code = results[i].code;
			return RC_OK;
		}
	}
	return RC_RANGE;
}

int
peerjson_get_reach(const struct json_doc *doc, const struct json_value *v,
    const char *name, struct peer_reach out[TASK_PORTS_MAX], size_t *n)
{
	int rc;

	*n = 0;
	if ((rc = get_array(doc, &v, name)) != RC_OK)
		return rc;
	for (; v != NULL; v = json_next(doc, v)) {
		if (*n == TASK_PORTS_MAX)
			return RC_LIMIT;
		if ((rc = get_reach(doc, v, &out[*n])) != RC_OK)
			return rc;
		(*n)++;
	}
	return RC_OK;
}
