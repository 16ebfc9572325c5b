#include "config.h"

#include <string.h>

#include "common/num.h"
#include "server/http/api.h"

/* "*" stands for any one segment. */
struct route {
	enum http_method	 method;
	const char		*path[5];
	api_handler		*handler;
};

static const struct route routes[] = {
	{ HTTP_GET,	{ "status" },				api_status },
	{ HTTP_GET,	{ "accounts" },				api_accounts },
	{ HTTP_POST,	{ "accounts" },				api_account_add },
	{ HTTP_DELETE,	{ "accounts", "*" },			api_account_rm },
	{ HTTP_GET,	{ "clients" },				api_clients },
	{ HTTP_POST,	{ "clients" },				api_client_add },
	{ HTTP_DELETE,	{ "clients", "*", "*" },		api_client_rm },
	{ HTTP_POST,	{ "clients", "*", "*", "enable" },	api_client_enable },
	{ HTTP_POST,	{ "clients", "*", "*", "disable" },	api_client_disable },
	{ HTTP_GET,	{ "tokens" },				api_tokens },
	{ HTTP_POST,	{ "tokens" },				api_token_add },
	{ HTTP_DELETE,	{ "tokens", "*" },			api_token_revoke },
	{ HTTP_GET,	{ "vaults" },				api_vaults },
};

static int
matches(const struct route *route, const struct http_request *r)
{
	size_t i, n = 0;

	while (n < NITEMS(route->path) && route->path[n] != NULL)
		n++;
	if (r->segments != n + 2 || strcmp(r->segment[0], "api") != 0 ||
	    strcmp(r->segment[1], "v1") != 0)
		return 0;
	for (i = 0; i < n; i++)
		if (strcmp(route->path[i], "*") != 0 &&
		    strcmp(route->path[i], r->segment[i + 2]) != 0)
			return 0;
	return 1;
}

api_handler *
api_route(const struct http_request *r, int *status)
{
	size_t i;

	*status = 404;
	for (i = 0; i < NITEMS(routes); i++) {
		if (!matches(&routes[i], r))
			continue;
		if (routes[i].method == r->method)
			return routes[i].handler;
		*status = 405;
	}
	return NULL;
}
