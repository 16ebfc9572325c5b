#include "config.h"

#include "client/engine/verbs.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/engine.h"
#include "common/rc.h"
#include "common/secret.h"

#define STR32_MAX	VERBS_DO_MAX

const char *
verbs_name(enum verb v)
{
	switch (v) {
#define X(name, code, text) case VERB_##name: return text;
	VERBS(X)
#undef X
	default:
		return "?";
	}
}

int
verbs_list_add(char ***list, size_t *n, const char *s)
{
	char **grown;

	if (*n >= VERBS_LIST_MAX)
		return RC_LIMIT;
	if ((grown = reallocarray(*list, *n + 1, sizeof(*grown))) == NULL)
		return RC_NOMEM;
	*list = grown;
	if ((grown[*n] = strdup(s)) == NULL)
		return RC_NOMEM;
	(*n)++;
	return RC_OK;
}

static void
put_list(struct wbuf *out, char *const *list, size_t n)
{
	wbuf_u32(out, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		wbuf_blob32(out, list[i], strlen(list[i]));
}

void
verbs_put(struct wbuf *out, const struct verb_args *a)
{
	wbuf_u8(out, VERBS_VERSION);
	wbuf_u8(out, (uint8_t)a->verb);
	wbuf_u32(out, a->flags);
	wbuf_u8(out, a->overwrite);
	wbuf_u8(out, a->percent);
	wbuf_u16(out, a->port);
	wbuf_u16(out, a->ssl_port);
	wbuf_str(out, a->job);
	wbuf_str(out, a->snap);
	wbuf_str(out, a->token);
	wbuf_str(out, a->secret);
	wbuf_blob32(out, a->path, a->path != NULL ? strlen(a->path) : 0);
	put_list(out, a->paths, a->npaths);
	put_list(out, a->exclude, a->nexclude);
	wbuf_str(out, a->host);
	wbuf_u16(out, a->host_port);
}

/* Caller frees *out. */
static int
get_str32(struct rbuf *in, char **out)
{
	const uint8_t *p;
	size_t n;
	int rc;

	if ((rc = rbuf_blob32(in, &p, &n, STR32_MAX)) != RC_OK)
		return rc;
	if (n != 0 && memchr(p, '\0', n) != NULL)
		return RC_RANGE;
	if ((*out = malloc(n + 1)) == NULL)
		return RC_NOMEM;
	if (n != 0)
		memcpy(*out, p, n);
	(*out)[n] = '\0';
	return RC_OK;
}

static int
get_list(struct rbuf *in, char ***list, size_t *count)
{
	uint32_t n;
	int rc;

	if ((rc = rbuf_u32(in, &n)) != RC_OK)
		return rc;
	if (n > VERBS_LIST_MAX)
		return RC_LIMIT;
	if (n == 0)
		return RC_OK;
	if ((*list = calloc(n, sizeof(**list))) == NULL)
		return RC_NOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if ((rc = get_str32(in, &(*list)[i])) != RC_OK)
			return rc;
		*count = i + 1;
	}
	return RC_OK;
}

static int
get_fields(struct rbuf *in, struct verb_args *a)
{
	uint8_t version, verb;
	int rc;

	if ((rc = rbuf_u8(in, &version)) != RC_OK)
		return rc;
	if (version != VERBS_VERSION)
		return RC_VERSION;
	if ((rc = rbuf_u8(in, &verb)) != RC_OK ||
	    (rc = rbuf_u32(in, &a->flags)) != RC_OK ||
	    (rc = rbuf_u8(in, &a->overwrite)) != RC_OK ||
	    (rc = rbuf_u8(in, &a->percent)) != RC_OK ||
	    (rc = rbuf_u16(in, &a->port)) != RC_OK ||
	    (rc = rbuf_u16(in, &a->ssl_port)) != RC_OK ||
	    (rc = rbuf_str(in, a->job, sizeof(a->job))) != RC_OK ||
	    (rc = rbuf_str(in, a->snap, sizeof(a->snap))) != RC_OK ||
	    (rc = rbuf_str(in, a->token, sizeof(a->token))) != RC_OK ||
	    (rc = rbuf_str(in, a->secret, sizeof(a->secret))) != RC_OK ||
	    (rc = get_str32(in, &a->path)) != RC_OK ||
	    (rc = get_list(in, &a->paths, &a->npaths)) != RC_OK ||
	    (rc = get_list(in, &a->exclude, &a->nexclude)) != RC_OK ||
	    (rc = rbuf_str(in, a->host, sizeof(a->host))) != RC_OK ||
	    (rc = rbuf_u16(in, &a->host_port)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	a->verb = (enum verb)verb;
	return RC_OK;
}

static int
check_fields(struct verb_args *a)
{
	if (a->verb <= VERB_NONE || a->verb >= VERB_MAX ||
	    (a->flags & ~(uint32_t)VERBS_F_ALL) != 0 ||
	    (a->verb == VERB_PAIR) != (a->host[0] != '\0') ||
	    a->overwrite > OVERWRITE_ALWAYS || a->percent > 100)
		return RC_RANGE;
	for (size_t i = 0; i < a->npaths; i++) {
		if (a->paths[i][0] != '/' ||
		    (i > 0 && strcmp(a->paths[i - 1], a->paths[i]) >= 0))
			return RC_RANGE;
	}
	if (a->path[0] == '\0') {
		free(a->path);
		a->path = NULL;
	}
	return RC_OK;
}

int
verbs_get(struct rbuf *in, struct verb_args *a)
{
	int rc;

	memset(a, 0, sizeof(*a));
	if ((rc = get_fields(in, a)) != RC_OK ||
	    (rc = check_fields(a)) != RC_OK)
		verbs_clear(a);
	return rc;
}

static void
free_list(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

void
verbs_clear(struct verb_args *a)
{
	if (a == NULL)
		return;
	free(a->path);
	free_list(a->paths, a->npaths);
	free_list(a->exclude, a->nexclude);
	secret_wipe(a, sizeof(*a));
}
