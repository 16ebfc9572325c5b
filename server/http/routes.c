#include "config.h"

#include <string.h>

#include "common/num.h"
#include "server/http/api.h"
#include "openapi_json.h"		/* made from openapi.json */

#define V "/api/v1"
#define PAGE_AFTER	(HTTP_Q_AFTER | HTTP_Q_N)

/* Also in openapi.json, which a test compares. */
const struct api_route api_routes[] = {
	{ HTTP_GET, "/healthz", api_healthz, RIGHT_NONE, 0 },
	{ HTTP_GET, "/metrics", api_metrics, RIGHT_VIEWER, 0 },
	{ HTTP_GET, V "/openapi.json", api_openapi, RIGHT_NONE, 0 },

	/* signing in, and the own account */
	{ HTTP_POST, V "/signin", api_signin, RIGHT_NONE, 0 },
	{ HTTP_POST, V "/setup", api_setup, RIGHT_NONE, 0 },
	{ HTTP_POST, V "/signout", api_signout, RIGHT_VIEWER, 0 },
	{ HTTP_GET, V "/me", api_me, RIGHT_VIEWER, 0 },
	{ HTTP_POST, V "/me/password", api_me_password, RIGHT_VIEWER, 0 },
	{ HTTP_POST, V "/me/totp", api_me_totp, RIGHT_VIEWER, 0 },
	{ HTTP_POST, V "/me/totp/confirm", api_me_totp_confirm, RIGHT_VIEWER,
	    0 },
	{ HTTP_POST, V "/me/totp/off", api_me_totp_off, RIGHT_VIEWER, 0 },

	/* the server */
	{ HTTP_GET, V "/status", api_status, RIGHT_VIEWER, 0 },
	{ HTTP_GET, V "/overview", api_overview, RIGHT_VIEWER, 0 },
	{ HTTP_GET, V "/alerts", api_alerts, RIGHT_VIEWER, 0 },
	{ HTTP_GET, V "/events", api_events, RIGHT_VIEWER, HTTP_Q_AFTER },
	{ HTTP_GET, V "/audit", api_audit, RIGHT_VIEWER, PAGE_AFTER },
	{ HTTP_GET, V "/audit/verify", api_audit_verify, RIGHT_VIEWER, 0 },

	/* accounts, clients, tokens */
	{ HTTP_GET, V "/accounts", api_accounts, RIGHT_VIEWER, 0 },
	{ HTTP_POST, V "/accounts", api_account_add, RIGHT_ADMIN, 0 },
	{ HTTP_DELETE, V "/accounts/{account}", api_account_rm, RIGHT_ADMIN,
	    0 },
	{ HTTP_GET, V "/clients", api_clients, RIGHT_VIEWER, 0 },
	{ HTTP_POST, V "/clients", api_client_add, RIGHT_OPERATOR, 0 },
	{ HTTP_GET, V "/clients/{account}/{name}", api_client, RIGHT_VIEWER,
	    0 },
	{ HTTP_DELETE, V "/clients/{account}/{name}", api_client_rm,
	    RIGHT_ADMIN, 0 },
	{ HTTP_POST, V "/clients/{account}/{name}/enable", api_client_enable,
	    RIGHT_OPERATOR, 0 },
	{ HTTP_POST, V "/clients/{account}/{name}/disable", api_client_disable,
	    RIGHT_OPERATOR, 0 },
	{ HTTP_GET, V "/tokens", api_tokens, RIGHT_OPERATOR, 0 },
	{ HTTP_POST, V "/tokens", api_token_add, RIGHT_OPERATOR, 0 },
	{ HTTP_DELETE, V "/tokens/{token}", api_token_revoke, RIGHT_OPERATOR,
	    0 },
	{ HTTP_GET, V "/pairings", api_pairings, RIGHT_OPERATOR, 0 },
	{ HTTP_POST, V "/pairings/{pairing}/accept", api_pairing_accept,
	    RIGHT_OPERATOR, 0 },
	{ HTTP_POST, V "/pairings/{pairing}/refuse", api_pairing_refuse,
	    RIGHT_OPERATOR, 0 },

	/* backups */
	{ HTTP_GET, V "/vaults", api_vaults, RIGHT_VIEWER, 0 },
	{ HTTP_GET, V "/runs", api_runs, RIGHT_VIEWER,
	    HTTP_Q_CLIENT | HTTP_Q_BEFORE | HTTP_Q_N },
	{ HTTP_GET, V "/runs/{number}", api_run, RIGHT_VIEWER, 0 },
	{ HTTP_GET, V "/storage", api_storage, RIGHT_VIEWER,
	    HTTP_Q_CLIENT | HTTP_Q_SINCE },
	{ HTTP_GET, V "/days", api_days, RIGHT_VIEWER, HTTP_Q_DAYS },

	/* users */
	{ HTTP_GET, V "/users", api_users, RIGHT_ADMIN, 0 },
	{ HTTP_POST, V "/users", api_user_add, RIGHT_ADMIN, 0 },
	{ HTTP_DELETE, V "/users/{user}", api_user_rm, RIGHT_ADMIN, 0 },
	{ HTTP_POST, V "/users/{user}/right", api_user_right, RIGHT_ADMIN, 0 },
	{ HTTP_POST, V "/users/{user}/reset", api_user_reset, RIGHT_ADMIN, 0 },
	{ HTTP_GET, V "/sessions", api_sessions, RIGHT_VIEWER, 0 },
	{ HTTP_DELETE, V "/sessions/{session}", api_session_revoke,
	    RIGHT_VIEWER, 0 },
	{ HTTP_GET, V "/api-tokens", api_api_tokens, RIGHT_ADMIN, 0 },
	{ HTTP_POST, V "/api-tokens", api_api_token_add, RIGHT_ADMIN, 0 },
	{ HTTP_DELETE, V "/api-tokens/{token}", api_api_token_revoke,
	    RIGHT_ADMIN, 0 },

	/* other installations, for people */
	{ HTTP_GET, V "/peers", api_peers, RIGHT_VIEWER, 0 },
	{ HTTP_POST, V "/peers", api_peer_add, RIGHT_OPERATOR, 0 },
	{ HTTP_DELETE, V "/peers/{peer}", api_peer_rm, RIGHT_OPERATOR, 0 },
	{ HTTP_POST, V "/peers/{peer}/forget", api_peer_forget, RIGHT_ADMIN,
	    0 },
	{ HTTP_POST, V "/peers/{peer}/reach", api_peer_reach, RIGHT_OPERATOR,
	    0 },
	{ HTTP_POST, V "/discover", api_discover, RIGHT_OPERATOR, 0 },

	/* other installations, when they call */
	{ HTTP_GET, V "/peer", api_peer_self, RIGHT_NONE, 0 },
	{ HTTP_GET, V "/peer/nonce", api_peer_nonce, RIGHT_NONE, 0 },
	{ HTTP_POST, V "/peer/session", api_peer_session, RIGHT_NONE, 0 },
	{ HTTP_POST, V "/peer/exchange", api_peer_exchange, RIGHT_PEER, 0 },
	{ HTTP_POST, V "/peer/probe", api_peer_probe, RIGHT_PEER, 0 },
};
const size_t api_routes_n = NITEMS(api_routes);

/* "/a/{b}/c" against the request's segments. */
static bool
matches(const char *path, const struct http_request *r)
{
	const char *p = path;
	size_t i, n;

	for (i = 0; i < r->segments; i++) {
		if (*p++ != '/')
			return false;
		n = strcspn(p, "/");
		if (p[0] != '{' && (strlen(r->segment[i]) != n ||
		    memcmp(p, r->segment[i], n) != 0))
			return false;
		p += n;
	}
	return *p == '\0';
}

const struct api_route *
api_route(const struct http_request *r, int *status)
{
	enum http_method method = r->method == HTTP_HEAD ? HTTP_GET :
	    r->method;
	size_t i;

	*status = 404;
	for (i = 0; i < NITEMS(api_routes); i++) {
		if (!matches(api_routes[i].path, r))
			continue;
		if (api_routes[i].method == method) {
			*status = 0;
			return &api_routes[i];
		}
		*status = 405;
	}
	return NULL;
}

int
api_healthz(struct api *a)
{
	wbuf_reset(&a->answer);
	wbuf_bytes(&a->answer, "ok\n", 3);
	a->type = ANSWER_TEXT;
	return 200;
}

int
api_openapi(struct api *a)
{
	a->type = ANSWER_FIXED;
	a->fixed = (const char *)openapi_json;
	a->fixed_len = sizeof(openapi_json);
	return 200;
}
