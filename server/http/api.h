#ifndef SERVER_HTTP_API_H
#define SERVER_HTTP_API_H

#include <stddef.h>
#include <stdint.h>

#include "common/json.h"
#include "common/jsonread.h"
#include "common/wbuf.h"
#include "privsep/chan.h"
#include "privsep/role.h"
#include "server/http/request.h"

/*
 * One request of the management API.  Handlers write the members of the answer's
 * top object into `json`, or fail with api_fail(), and return the HTTP status.
 * They own nothing: the worker ends after the answer.
 */
#define API_ANSWER_MAX	(16u << 20)

struct api {
	struct role_env		 env;
	struct chan		*auth;
	char			 user[64];	/* who asks, for the log */

	struct http_request	 req;
	struct json_doc		*doc;		/* the body, NULL without one */
	struct wbuf		 answer;
	struct json		 json;
	char			 error[1024];
};

typedef int api_handler(struct api *a);

/* The handler for this request; on none, *status is 404 or 405. */
api_handler *api_route(const struct http_request *r, int *status);

/* Remember the sentence for the answer's "error" and return the status. */
int	api_fail(struct api *a, int status, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

/* A string of the request's body; NULL (and 400 through *status) when it is
 * missing or no string. */
const char *api_body_str(struct api *a, const char *name, int *status);

/* Requests to auth (admin.c) and to the master (status.c). */
api_handler api_status, api_accounts, api_account_add, api_account_rm,
    api_clients, api_client_add, api_client_rm, api_client_enable,
    api_client_disable, api_tokens, api_token_add, api_token_revoke,
    api_vaults;

#endif
