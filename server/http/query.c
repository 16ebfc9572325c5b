#include "config.h"

#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/http/request.h"

/*
 * The query string.  Nothing is percent-decoded: digits and the characters of
 * names are all that any value may hold.
 */
static int
take_number(const char *p, size_t len, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (len == 0 || len > 19 || (len > 1 && p[0] == '0'))
		return RC_PROTO;
	for (i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return RC_PROTO;
		v = v * 10 + (uint64_t)(p[i] - '0');
	}
	if (v > INT64_MAX)
		return RC_PROTO;
	*out = v;
	return RC_OK;
}

static int
take_name(const char *p, size_t len, char out[64])
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t i;

	if (len == 0 || len > 63)
		return RC_PROTO;
	for (i = 0; i < len; i++)
		if (p[i] == '\0' || strchr(chars, p[i]) == NULL)
			return RC_PROTO;
	memcpy(out, p, len);
	out[len] = '\0';
	return RC_OK;
}

static int
take_client(struct http_query *q, const char *p, size_t len)
{
	const char *slash = memchr(p, '/', len);
	size_t n;
	int rc;

	if (slash == NULL)
		return RC_PROTO;
	n = (size_t)(slash - p);
	if ((rc = take_name(p, n, q->account)) != RC_OK)
		return rc;
	return take_name(slash + 1, len - n - 1, q->client);
}

static int
take_pair(struct http_query *q, const char *p, size_t len)
{
	static const struct {
		const char *name; unsigned int bit; size_t offset;
	} names[] = {
		{ "after", HTTP_Q_AFTER, offsetof(struct http_query, after) },
		{ "before", HTTP_Q_BEFORE,
		    offsetof(struct http_query, before) },
		{ "n", HTTP_Q_N, offsetof(struct http_query, n) },
		{ "since", HTTP_Q_SINCE, offsetof(struct http_query, since) },
		{ "days", HTTP_Q_DAYS, offsetof(struct http_query, days) },
		{ "client", HTTP_Q_CLIENT, 0 },
	};
	const char *equals = memchr(p, '=', len);
	size_t i, n;

	if (equals == NULL)
		return RC_PROTO;
	n = (size_t)(equals - p);
	for (i = 0; i < NITEMS(names); i++)
		if (strlen(names[i].name) == n &&
		    memcmp(names[i].name, p, n) == 0)
			break;
	if (i == NITEMS(names) || (q->given & names[i].bit) != 0)
		return RC_PROTO;
	q->given |= names[i].bit;
	if (names[i].bit == HTTP_Q_CLIENT)
		return take_client(q, equals + 1, len - n - 1);
	return take_number(equals + 1, len - n - 1,
	    (uint64_t *)(void *)((char *)q + names[i].offset));
}

int
http_parse_query(struct http_query *q, const char *p, size_t len)
{
	const char *amp;
	size_t n;
	int rc;

	for (;;) {
		amp = memchr(p, '&', len);
		n = amp == NULL ? len : (size_t)(amp - p);
		if ((rc = take_pair(q, p, n)) != RC_OK)
			return rc;
		if (amp == NULL)
			return RC_OK;
		p = amp + 1;
		len -= n + 1;
	}
}
