#include "config.h"

#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/http/admin.h"

/* Users, their sessions, API tokens and pairings: auth's, too. */
#define API_DEFAULT_S	(365 * 24 * 3600)
#define API_MAX_S	(10 * 365 * 24 * 3600)

static const char *const rights[] = {
	[RIGHT_NONE] = "none",
	[RIGHT_PEER] = "peer",
	[RIGHT_VIEWER] = "viewer",
	[RIGHT_OPERATOR] = "operator",
	[RIGHT_ADMIN] = "admin",
};

const char *
api_right_word(uint8_t right)
{
	return right < NITEMS(rights) ? rights[right] : "unknown";
}

enum right
api_body_right(struct api *a, int *status)
{
	const char *s = api_body_opt(a, "right");
	unsigned int r;

	for (r = RIGHT_VIEWER; r <= RIGHT_ADMIN; r++)
		if (strcmp(s, rights[r]) == 0)
			return (enum right)r;
	*status = api_fail(a, 400,
	    "right must be \"viewer\", \"operator\" or \"admin\"");
	return RIGHT_NONE;
}

const char *
api_body_str(struct api *a, const char *name, int *status)
{
	const char *s = NULL;

	if (a->doc != NULL)
		s = json_string(a->doc, json_root(a->doc), name, NULL);
	if (s == NULL)
		*status = api_fail(a, 400, "the body needs a string \"%s\"",
		    name);
	return s;
}

const char *
api_body_opt(struct api *a, const char *name)
{
	return a->doc == NULL ? "" :
	    json_string(a->doc, json_root(a->doc), name, "");
}

int
api_users(struct api *a)
{
	struct admin_args c = { .op = ADMIN_USER_LIST };

	return admin_call(a, &c, "users");
}

int
api_user_add(struct api *a)
{
	struct admin_args c = { .op = ADMIN_USER_ADD };
	int status;

	if ((c.name = api_body_str(a, "user", &status)) == NULL ||
	    (c.right = (uint8_t)api_body_right(a, &status)) == RIGHT_NONE)
		return status;
	return admin_call(a, &c, "users");
}

int
api_user_rm(struct api *a)
{
	struct admin_args c = { .op = ADMIN_USER_RM,
	    .name = a->req.segment[3] };

	return admin_call(a, &c, "users");
}

int
api_user_right(struct api *a)
{
	struct admin_args c = { .op = ADMIN_USER_RIGHT,
	    .name = a->req.segment[3] };
	int status;

	if ((c.right = (uint8_t)api_body_right(a, &status)) == RIGHT_NONE)
		return status;
	return admin_call(a, &c, "users");
}

int
api_user_reset(struct api *a)
{
	struct admin_args c = { .op = ADMIN_USER_RESET,
	    .name = a->req.segment[3] };

	return admin_call(a, &c, "users");
}

/* What is named by the first digits of its id. */
static int
call_by_id(struct api *a, struct admin_args *c, const char *rows)
{
	if (admin_id_prefix(a->req.segment[3], c) != RC_OK)
		return api_fail(a, 400,
		    "it is named by the first digits of its id");
	return admin_call(a, c, rows);
}

int
api_sessions(struct api *a)
{
	struct admin_args c = { .op = ADMIN_SESSION_LIST };

	return admin_call(a, &c, "sessions");
}

int
api_session_revoke(struct api *a)
{
	struct admin_args c = { .op = ADMIN_SESSION_REVOKE };

	return call_by_id(a, &c, "sessions");
}

int
api_api_tokens(struct api *a)
{
	struct admin_args c = { .op = ADMIN_API_LIST };

	return admin_call(a, &c, "api_tokens");
}

int
api_api_token_add(struct api *a)
{
	struct admin_args c = { .op = ADMIN_API_ADD };
	int64_t expires;
	int status;

	if ((c.name = api_body_str(a, "name", &status)) == NULL ||
	    (c.right = (uint8_t)api_body_right(a, &status)) == RIGHT_NONE)
		return status;
	expires = json_int(a->doc, json_root(a->doc), "expires",
	    API_DEFAULT_S);
	if (expires < 60 || expires > API_MAX_S)
		return api_fail(a, 400, "expires must be from 60 (one minute) "
		    "to 315360000 (ten years) seconds");
	c.seconds = (uint32_t)expires;
	return admin_call(a, &c, "api_tokens");
}

int
api_api_token_revoke(struct api *a)
{
	struct admin_args c = { .op = ADMIN_API_REVOKE };

	return call_by_id(a, &c, "api_tokens");
}

int
api_pairings(struct api *a)
{
	struct admin_args c = { .op = ADMIN_PAIR_LIST };

	return admin_call(a, &c, "pairings");
}

int
api_pairing_accept(struct api *a)
{
	struct admin_args c = { .op = ADMIN_PAIR_ACCEPT };
	int status;

	if ((c.account = api_body_str(a, "account", &status)) == NULL ||
	    (c.name = api_body_str(a, "name", &status)) == NULL)
		return status;
	return call_by_id(a, &c, "pairings");
}

int
api_pairing_refuse(struct api *a)
{
	struct admin_args c = { .op = ADMIN_PAIR_REFUSE };

	return call_by_id(a, &c, "pairings");
}
