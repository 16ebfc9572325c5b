#include "config.h"

#include "server/http/answer.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/rc.h"
#include "server/http/api.h"

/*
 * Answers.  Nothing here is a page: browsers are told to run, frame, guess and
 * keep none of it.  Strict-Transport-Security is left out: it would count for
 * every port of that name, and the key is pinned, not certified.
 */
#define GUARD								\
	"Cache-Control: no-store\r\n"					\
	"X-Content-Type-Options: nosniff\r\n"				\
	"Content-Security-Policy: default-src 'none'; "			\
	"frame-ancestors 'none'\r\n"					\
	"Cross-Origin-Resource-Policy: same-origin\r\n"			\
	"Referrer-Policy: no-referrer\r\n"

static const char *
reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 409: return "Conflict";
	case 415: return "Unsupported Media Type";
	case 421: return "Misdirected Request";
	case 429: return "Too Many Requests";
	case 503: return "Service Unavailable";
	default: return "Internal Server Error";
	}
}

static const char *
media(enum api_answer type)
{
	switch (type) {
	case ANSWER_TEXT:
		return "text/plain; charset=utf-8";
	case ANSWER_METRICS:
		return "application/openmetrics-text; version=1.0.0; "
		    "charset=utf-8";
	default:
		return "application/json";
	}
}

int
api_fail(struct api *a, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->error, sizeof(a->error), fmt, ap);
	va_end(ap);
	return status;
}

static void
write_error(struct api *a, int status)
{
	wbuf_reset(&a->answer);
	json_init(&a->json, &a->answer);
	json_object(&a->json, NULL);
	json_put_str(&a->json, "error",
	    a->error[0] != '\0' ? a->error : reason(status));
	json_end(&a->json);
	a->type = ANSWER_JSON;
}

int
answer_send(struct api *a, int status, uint64_t deadline)
{
	char head[1200];
	const void *body;
	size_t len;
	int n, rc;

	if (a->answer.max == 0)
		a->answer = (struct wbuf)WBUF_INIT(API_ANSWER_MAX);
	if (status == 200 && wbuf_rc(&a->answer) != RC_OK) {
		status = api_fail(a, 500, "the answer is too large");
		a->last = true;
	}
	if (status != 200)
		write_error(a, status);
	body = a->type == ANSWER_FIXED ? a->fixed : (char *)a->answer.data;
	len = a->type == ANSWER_FIXED ? a->fixed_len : a->answer.len;
	n = snprintf(head, sizeof(head),
	    "HTTP/1.1 %d %s\r\n"
	    "Content-Type: %s\r\n"
	    "Content-Length: %zu\r\n"
	    GUARD "%s%s%s%s%s"
	    "\r\n",
	    status, reason(status), media(a->type), len,
	    a->cookie[0] != '\0' ? "Set-Cookie: " : "", a->cookie,
	    a->cookie[0] != '\0' ? "\r\n" : "",
	    status == 401 ? "WWW-Authenticate: Bearer\r\n" : "",
	    a->last ? "Connection: close\r\n" : "");
	if ((rc = conn_write(&a->conn, head, (size_t)n, deadline)) != RC_OK)
		return rc;
	if (a->req.method == HTTP_HEAD || len == 0)
		return RC_OK;
	return conn_write(&a->conn, body, len, deadline);
}

int
answer_stream(struct api *a, const char *type, uint64_t deadline)
{
	char head[800];
	int n;

	n = snprintf(head, sizeof(head),
	    "HTTP/1.1 200 OK\r\n"
	    "Content-Type: %s\r\n"
	    GUARD
	    "Connection: close\r\n\r\n", type);
	return conn_write(&a->conn, head, (size_t)n, deadline);
}
