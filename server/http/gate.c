#include "config.h"

#include <string.h>

#include "common/log.h"
#include "common/rc.h"
#include "common/secret.h"
#include "server/http/api.h"
#include "server/http/bearer.h"
#include "server/http/host.h"

/*
 * What must hold before a request reaches its handler: it was meant for us, no
 * foreign page sent it, and who asks has the right.
 */
static int
for_us(struct api *a)
{
	const struct http_request *r = &a->req;

	if (!http_host_ok(r->host, &a->conf, a->kind == PORT_CONTROL))
		return api_fail(a, 421, "this Host is not one of ours: add it "
		    "to Web.Hosts, or use the address");
	if (r->site == HTTP_SITE_OTHER ||
	    (r->origin[0] != '\0' && !http_origin_ok(r->origin, r->host)))
		return api_fail(a, 403, "another page's request");
	return 0;
}

/* The secret of this request, and which kind; 0 or a status. */
static int
take_secret(struct api *a, uint8_t *kind, uint8_t secret[API_SECRET_LEN])
{
	const struct http_request *r = &a->req;

	if (r->cred == HTTP_CRED_BOTH)
		return api_fail(a, 400, "a bearer token and a cookie: which?");
	if (r->cred == HTTP_CRED_OTHER)
		return api_fail(a, 401, "only bearer tokens are taken");
	*kind = BEARER_SESSION;
	if (bearer_parse(BEARER_SESSION_PREFIX, r->bearer, secret) == RC_OK)
		return 0;
	*kind = BEARER_API;
	if (r->cred == HTTP_CRED_BEARER && bearer_parse(BEARER_API_PREFIX,
	    r->bearer, secret) == RC_OK)
		return 0;
	return api_fail(a, 401, "not a session, nor an API token");
}

/*
 * Ask auth each time: a session may have been revoked since the last request of
 * this connection.  The connection never becomes another user's.
 */
static int
check_secret(struct api *a, uint8_t kind, const uint8_t *secret)
{
	struct wbuf body = WBUF_INIT(64);
	struct api_user u = { 0 };
	int status;

	if (a->right != RIGHT_NONE && (a->bearer_kind != kind ||
	    !secret_equal(a->secret, secret, API_SECRET_LEN)))
		return api_fail(a, 421, "this connection is another user's: "
		    "open a new one");
	wbuf_u8(&body, kind);
	wbuf_bytes(&body, secret, API_SECRET_LEN);
	status = api_ask_user(a, MSG_AUTH_BEARER, &body, &u);
	wbuf_free(&body);
	if (status == 200) {
		a->bearer_kind = kind;
		memcpy(a->secret, secret, API_SECRET_LEN);
		status = api_hold(a, &u);
		a->now = a->right;
	}
	secret_wipe(&u, sizeof(u));
	return status == 200 ? 0 : status;
}

/* A cookie goes along with whatever any page sends: what changes something must
 * show the header token, too. */
static int
check_csrf(struct api *a, const uint8_t *secret)
{
	char want[HTTP_CSRF_LEN + 1];

	if (a->req.cred != HTTP_CRED_COOKIE || a->req.method <= HTTP_HEAD)
		return 0;
	if (bearer_csrf(secret, want) != RC_OK ||
	    strlen(a->req.csrf) != HTTP_CSRF_LEN ||
	    !secret_equal(want, a->req.csrf, HTTP_CSRF_LEN))
		return api_fail(a, 403, "X-StoreGrid-Token is missing or wrong");
	return 0;
}

static int
who_asks(struct api *a)
{
	uint8_t kind = 0, secret[API_SECRET_LEN];
	int status;

	if (a->kind == PORT_CONTROL) {
		if (!a->conn.ours)
			return api_fail(a, 403,
			    "only the control socket is served");
		a->now = a->right = RIGHT_ADMIN;
		return 0;
	}
	if (a->req.cred == HTTP_CRED_NONE) {
		/* a peer proved its key to this connection */
		if (a->right == RIGHT_PEER)
			a->now = RIGHT_PEER;
		return 0;
	}
	if ((status = take_secret(a, &kind, secret)) == 0 &&
	    (status = check_csrf(a, secret)) == 0)
		status = check_secret(a, kind, secret);
	secret_wipe(secret, sizeof(secret));
	return status;
}

static int
has_right(struct api *a, enum right least)
{
	if (a->now == RIGHT_NONE)
		return api_fail(a, 401, "sign in first");
	/* what peers may do goes by their key, which no user has */
	if (a->now < least ||
	    (least == RIGHT_PEER && a->now != RIGHT_PEER))
		return api_fail(a, 403, least == RIGHT_PEER ?
		    "only another installation may do this" :
		    "this needs the right of %s", least == RIGHT_ADMIN ?
		    "an admin" : least == RIGHT_OPERATOR ? "an operator" :
		    "a viewer");
	return 0;
}

int
api_gate(struct api *a, const struct api_route *route)
{
	int status;

	if ((status = for_us(a)) != 0)
		return status;
	if (a->kind != PORT_CONTROL && a->conn.tls == NULL &&
	    route->handler != api_healthz && route->handler != api_openapi)
		return api_fail(a, 403,
		    "clear text cannot sign in: use https");
	if ((a->req.query.given & ~route->query) != 0)
		return api_fail(a, 400, "this path does not take that query");
	if (route->right == RIGHT_NONE && a->kind != PORT_CONTROL)
		return 0;
	if ((status = who_asks(a)) != 0 || route->right == RIGHT_NONE)
		return status;
	return has_right(a, route->right);
}
