#include "config.h"

#include <string.h>
#include <strings.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/http/host.h"
#include "server/http/request.h"

/*
 * The headers that mean something here, one function each; all others are read
 * over.  `p` is the value without blanks around it, free of control characters.
 */
#define COOKIE_NAME	"__Host-sg"

static int
refuse(struct http_request *r, const char *p, size_t len)
{
	(void)r, (void)p, (void)len;
	return RC_PROTO;
}

static int
on_host(struct http_request *r, const char *p, size_t len)
{
	char name[256];
	int rc;

	if (len >= sizeof(r->host))
		return RC_PROTO;
	if ((rc = http_host_split(p, len, name)) != RC_OK)
		return rc;
	memcpy(r->host, p, len);
	r->host[len] = '\0';
	return RC_OK;
}

static int
on_length(struct http_request *r, const char *p, size_t len)
{
	size_t i, v = 0;

	if (len == 0 || len > 7)
		return RC_PROTO;
	for (i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return RC_PROTO;
		v = v * 10 + (size_t)(p[i] - '0');
	}
	if (v > HTTP_BODY_MAX)
		return RC_LIMIT;
	if (v > 0 && r->method != HTTP_POST && r->method != HTTP_PUT)
		return RC_PROTO;
	r->body_len = v;
	return RC_OK;
}

static bool
is_word(const char *p, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(p, word, len) == 0;
}

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p;
}

static size_t
trim(const char *p, size_t len)
{
	while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
		len--;
	return len;
}

/* Only "application/json", with charset=utf-8 or without. */
static int
on_type(struct http_request *r, const char *p, size_t len)
{
	const char *end = p + len, *semi = memchr(p, ';', len);
	size_t n = trim(p, semi == NULL ? len : (size_t)(semi - p));

	r->json = is_word(p, n, "application/json");
	if (r->json && semi != NULL) {
		p = skip_blanks(semi + 1, end);
		r->json = is_word(p, (size_t)(end - p), "charset=utf-8");
	}
	return RC_OK;
}

/* Names of headers to be dropped on the way do not belong here: nobody is on the
 * way. */
static int
on_connection(struct http_request *r, const char *p, size_t len)
{
	if (is_word(p, len, "close"))
		r->close = true;
	else if (!is_word(p, len, "keep-alive"))
		return RC_PROTO;
	return RC_OK;
}

static int
keep_bearer(struct http_request *r, enum http_credentials kind, const char *p,
    size_t len)
{
	if (r->cred != HTTP_CRED_NONE) {
		r->cred = HTTP_CRED_BOTH;
		return RC_OK;
	}
	if (len == 0 || len >= sizeof(r->bearer)) {
		r->cred = HTTP_CRED_OTHER;
		return RC_OK;
	}
	memcpy(r->bearer, p, len);
	r->bearer[len] = '\0';
	r->cred = kind;
	return RC_OK;
}

static int
on_authorization(struct http_request *r, const char *p, size_t len)
{
	const char *end = p + len;

	if (len > 7 && strncasecmp(p, "Bearer ", 7) == 0) {
		p = skip_blanks(p + 7, end);
		return keep_bearer(r, HTTP_CRED_BEARER, p, (size_t)(end - p));
	}
	r->cred = r->cred == HTTP_CRED_NONE ? HTTP_CRED_OTHER : HTTP_CRED_BOTH;
	return RC_OK;
}

/* Of all cookies, ours; two of it would leave open which one counts. */
static int
on_cookie(struct http_request *r, const char *p, size_t len)
{
	const size_t name = sizeof(COOKIE_NAME) - 1;
	const char *semi, *end = p + len;
	bool seen = false;
	size_t n;
	int rc;

	for (; p < end; p = semi + 1) {
		p = skip_blanks(p, end);
		if ((semi = memchr(p, ';', (size_t)(end - p))) == NULL)
			semi = end;
		n = trim(p, (size_t)(semi - p));
		if (n > name && memcmp(p, COOKIE_NAME "=", name + 1) == 0) {
			if (seen)
				return RC_PROTO;
			seen = true;
			rc = keep_bearer(r, HTTP_CRED_COOKIE, p + name + 1,
			    n - name - 1);
			if (rc != RC_OK)
				return rc;
		}
		if (semi == end)
			break;
	}
	return RC_OK;
}

static int
on_origin(struct http_request *r, const char *p, size_t len)
{
	if (len == 0 || len >= sizeof(r->origin))
		return RC_PROTO;
	memcpy(r->origin, p, len);
	r->origin[len] = '\0';
	return RC_OK;
}

static int
on_site(struct http_request *r, const char *p, size_t len)
{
	r->site = is_word(p, len, "same-origin") || is_word(p, len, "none") ?
	    HTTP_SITE_OWN : HTTP_SITE_OTHER;
	return RC_OK;
}

static int
on_token(struct http_request *r, const char *p, size_t len)
{
	if (len != HTTP_CSRF_LEN)
		return RC_OK;		/* no token: the answer is 403 */
	memcpy(r->csrf, p, len);
	r->csrf[len] = '\0';
	return RC_OK;
}

static int
on_last_event(struct http_request *r, const char *p, size_t len)
{
	struct http_query q = { 0 };
	char text[32];

	if (len == 0 || len > 19)
		return RC_PROTO;
	memcpy(text, "after=", 6);
	memcpy(text + 6, p, len);
	if (http_parse_query(&q, text, len + 6) != RC_OK)
		return RC_PROTO;
	r->last_event = q.after;
	r->resumes = true;
	return RC_OK;
}

/* Each at most once. */
static const struct {
	const char	*name;
	int		(*fn)(struct http_request *r, const char *p, size_t n);
} headers[] = {
	{ "host", on_host },			/* HTTP_SEEN_HOST: bit 0 */
	{ "content-length", on_length },
	{ "content-type", on_type },
	{ "connection", on_connection },
	{ "authorization", on_authorization },
	{ "cookie", on_cookie },
	{ "origin", on_origin },
	{ "sec-fetch-site", on_site },
	{ "x-storegrid-token", on_token },
	{ "last-event-id", on_last_event },
	{ "transfer-encoding", refuse },
	{ "content-encoding", refuse },
	{ "expect", refuse },
	{ "upgrade", refuse },
	{ "te", refuse },
	{ "trailer", refuse },
};

static bool
is_token(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

int
http_parse_header(struct http_request *r, unsigned int *seen, const char *p,
    size_t len)
{
	const char *colon, *value;
	size_t i, n;

	if (len == 0 || (colon = memchr(p, ':', len)) == NULL || colon == p)
		return RC_PROTO;
	n = (size_t)(colon - p);
	for (i = 0; i < n; i++)
		if (!is_token((unsigned char)p[i]))
			return RC_PROTO;
	value = skip_blanks(colon + 1, p + len);
	len = trim(value, len - (size_t)(value - p));
	for (i = 0; i < len; i++)
		if (((unsigned char)value[i] < 0x20 && value[i] != '\t') ||
		    value[i] == 0x7f)
			return RC_PROTO;
	for (i = 0; i < NITEMS(headers); i++) {
		if (!is_word(p, n, headers[i].name))
			continue;
		if ((*seen & 1u << i) != 0)
			return RC_PROTO;
		*seen |= 1u << i;
		return headers[i].fn(r, value, len);
	}
	return RC_OK;
}
