#ifndef SERVER_HTTP_API_H
#define SERVER_HTTP_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/json.h"
#include "common/jsonread.h"
#include "common/wbuf.h"
#include "privsep/chan.h"
#include "privsep/role.h"
#include "server/catalog/query.h"
#include "server/http/conn.h"
#include "server/http/request.h"
#include "server/tlskey.h"

/*
 * One connection of the management API and the request that is being answered.
 * Handlers write the members of the answer's top object into `json`, or fail with
 * api_fail(), and return the HTTP status.  What a handler may do was looked at by
 * the worker for a good error message; what counts is that auth, catalog and
 * master look again by themselves.
 */
#define API_ANSWER_MAX	(16u << 20)
#define API_HELPER_MS	30000		/* auth (scrypt and its queue), catalog */
#define API_SECRET_LEN	32

enum api_answer {
	ANSWER_JSON,
	ANSWER_TEXT,		/* `answer` as it is */
	ANSWER_METRICS,
	ANSWER_FIXED,		/* `fixed` instead of `answer`: JSON */
	ANSWER_SENT,		/* the handler has written it all (events) */
};

struct api {
	struct role_env		 env;
	struct conf		 conf;
	struct tls_ctx		*ctx;
	struct tlskey		 key;		/* public parts of our keys */
	struct chan		*auth;
	struct chan		*catalog;	/* NULL before a right is held */
	struct http_conn	 conn;
	uint8_t			 kind;		/* enum port_kind */
	bool			 stop;		/* the master said so: last answer */

	/* what auth said of this connection; once, it is never another's */
	enum right		 right;
	char			 user[64];	/* or of the kernel, for the log */
	uint8_t			 bearer_kind;	/* enum bearer_kind, 0: none */
	uint8_t			 secret[API_SECRET_LEN];
	int64_t			 expires;

	/* this request */
	struct http_request	 req;
	enum right		 now;		/* of this request's credentials */
	struct json_doc		*doc;		/* the body, NULL without one */
	struct wbuf		 answer;
	struct json		 json;
	enum api_answer		 type;
	const char		*fixed;
	size_t			 fixed_len;
	char			 error[1024];
	char			 cookie[160];	/* Set-Cookie, "" none */
	bool			 last;		/* close after this answer */
};

typedef int api_handler(struct api *a);

struct api_route {
	enum http_method method;
	const char	*path;		/* "{name}" stands for any one segment */
	api_handler	*handler;
	enum right	 right;		/* least; NONE: also before sign-in */
	unsigned int	 query;		/* HTTP_Q_* that it takes */
};
extern const struct api_route api_routes[];
extern const size_t api_routes_n;
/* The route of this request; on none, *status is 404 or 405.  HEAD is GET. */
const struct api_route *api_route(const struct http_request *r, int *status);

/* Remember the sentence for the answer's "error" and return the status. */
int	api_fail(struct api *a, int status, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
/* HTTP status for the code that auth or catalog answered. */
int	api_status_of(int rc);

/* A string of the request's body; NULL (and 400 through *status) when it is
 * missing or no string. */
const char *api_body_str(struct api *a, const char *name, int *status);
/* The same, "" when it is missing. */
const char *api_body_opt(struct api *a, const char *name);
/* "right" of the body as enum right; RIGHT_NONE (and *status) when it is none. */
enum right api_body_right(struct api *a, int *status);
const char *api_right_word(uint8_t right);

/* gate.c: 0 when the request may be handled, else the status. */
int	api_gate(struct api *a, const struct api_route *route);

/* signin.c: what auth says of who asks. */
struct api_user {
	char		 text[512];
	uint8_t		 right;
	char		 user[64];
	uint8_t		 secret[API_SECRET_LEN];
	int64_t		 expires;
	char		 secret_text[512];
};
/*
 * AUTH_SIGNIN, _BEARER, _SETUP, _SELF or _PEER; 200 or a status with its text in
 * a->error.  api_hold() after it: the connection has this right now, and the
 * channel to the catalog comes; 200 or 503.
 */
int	api_ask_user(struct api *a, enum msg_type type, struct wbuf *body,
	    struct api_user *u);
int	api_hold(struct api *a, const struct api_user *u);
/* A message of the master: takes API_CHAN and STOP; RC_STATE for others. */
int	api_on_master(struct api *a, struct msg *m);
/* The channel to the catalog, waiting for it a few seconds; NULL: 503. */
struct chan *api_catalog(struct api *a);

/* catalog.c */
typedef int cat_row_fn(struct api *a, void *arg, uint8_t kind,
	    struct rbuf *in);
/* args: the query's arguments, NULL for none.  Answers the status. */
int	cat_ask(struct api *a, enum cat_op op, const struct wbuf *args,
	    cat_row_fn *row, void *arg);
int	cat_send(struct api *a, enum cat_op op, const struct wbuf *args);
int	cat_end(struct api *a, struct rbuf *in);

api_handler
    /* status.c */
    api_status,
    /* admin.c, users.c */
    api_accounts, api_account_add, api_account_rm,
    api_clients, api_client_add, api_client_rm, api_client_enable,
    api_client_disable, api_tokens, api_token_add, api_token_revoke,
    api_vaults,
    api_users, api_user_add, api_user_rm, api_user_right, api_user_reset,
    api_sessions, api_session_revoke,
    api_api_tokens, api_api_token_add, api_api_token_revoke,
    api_pairings, api_pairing_accept, api_pairing_refuse,
    /* signin.c */
    api_signin, api_setup, api_signout, api_me, api_me_password, api_me_totp,
    api_me_totp_confirm, api_me_totp_off,
    /* catalog.c */
    api_overview, api_client, api_runs, api_run, api_storage, api_alerts,
    api_days, api_audit, api_audit_verify,
    /* peers_admin.c */
    api_peers, api_peer_add, api_peer_rm, api_peer_forget, api_peer_reach,
    api_discover,
    /* peers.c: what other installations call */
    api_peer_self, api_peer_nonce, api_peer_session, api_peer_exchange,
    api_peer_probe,
    /* events.c, metrics.c, routes.c */
    api_events, api_metrics, api_healthz, api_openapi;

#endif
