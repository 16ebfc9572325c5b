#include "config.h"

#include <stdio.h>
#include <string.h>

#include "common/wbuf.h"
#include "server/ctl/ctl.h"

/* Who may sign in: console users, their sessions, API tokens. */

#define API_TOKEN_DEFAULT_S	(30L * 86400)

/* The row that holds a secret shown once: of the array `rows`, or the answer
 * itself. */
static const struct json_value *
secret_row(const struct json_doc *d, const char *rows)
{
	const struct json_value *root = json_root(d);
	const struct json_value *v = json_first(d, json_get(d, root, rows));

	return v != NULL ? v : root;
}

/* Where this machine itself reaches its management port: nobody sits between,
 * so that the certificate need not be checked. */
static void
local_host(const struct conf *c, char *out, size_t size)
{
	const char *first = c->listen_gui.n > 0 ? c->listen_gui.s[0] : "*";

	if (strcmp(first, "*") == 0)
		first = "127.0.0.1";
	snprintf(out, size, strchr(first, ':') != NULL ? "[%s]" : "%s", first);
}

/* The secret alone goes to standard output; what to do with it to stderr. */
static void
tell_setup(const struct ctl *c, const struct json_doc *d, const char *user)
{
	const struct json_value *v = secret_row(d, "users");
	char until[32], host[80];

	printf("%s\n", json_string(d, v, "secret", ""));
	fflush(stdout);
	ctl_time_text(json_int(d, v, "expires", 0), until, sizeof(until));
	local_host(&c->conf, host, sizeof(host));
	fprintf(stderr,
	    "This is the one-time secret of %s. It sets a password, once, "
	    "before %s.\nThe console comes with the next version; until then, "
	    "on this machine:\n\n"
	    "    curl -k -H 'Content-Type: application/json' --data @- "
	    "https://%s:%u/api/v1/setup\n"
	    "    {\"secret\": \"SECRET\", \"user\": \"%s\", \"password\": "
	    "\"PASSWORD\"}\n\n"
	    "The second line is typed in and ended with Ctrl-D, so that "
	    "neither stands in a\ncommand line. After that %s signs in at "
	    "https://%s:%u\n", user, until, host, c->conf.port_gui, user, user,
	    c->conf.advertise, c->conf.port_gui);
}

/* Without --right the first user of all is an administrator, because nobody
 * else could make one, and every later one may only look. */
static int
default_right(struct ctl *c, const char **right)
{
	struct json_doc *doc;
	int code;

	if (c->right != NULL) {
		*right = c->right;
		return CTL_OK;
	}
	code = ctl_ask(c, "GET", "/api/v1/users", NULL, &doc);
	if (code == CTL_OK)
		*right = json_first(doc, json_get(doc, json_root(doc),
		    "users")) == NULL ? "admin" : "viewer";
	json_free(doc);
	return code;
}

int
ctl_user_add(struct ctl *c, int argc, char **argv)
{
	struct wbuf body = WBUF_INIT(4096);
	struct json_doc *doc = NULL;
	const char *right, *text;
	struct json j;
	int code;

	(void)argc;
	if ((code = default_right(c, &right)) != CTL_OK)
		return code;
	json_init(&j, &body);
	json_object(&j, NULL);
	json_put_str(&j, "user", argv[0]);
	json_put_str(&j, "right", right);
	code = CTL_USAGE;
	if ((text = ctl_body_end(&j)) != NULL)
		code = ctl_call(c, "POST", "/api/v1/users", text, &doc);
	if (code == CTL_OK && !c->json) {
		fprintf(stderr, "User %s (%s) made.\n", argv[0], right);
		tell_setup(c, doc, argv[0]);
	}
	json_free(doc);
	wbuf_free(&body);
	return code;
}

static void
print_user(const struct json_doc *d, const struct json_value *v)
{
	ctl_print(json_string(d, v, "user", ""), 24);
	ctl_print(json_string(d, v, "right", ""), 10);
	ctl_print(json_string(d, v, "state", ""), 8);
	ctl_print(json_int(d, v, "totp", 0) ? "yes" : "no", 6);
	ctl_print_time(json_int(d, v, "last_signin", 0), 18);
	ctl_print_num(json_int(d, v, "failures", 0), 10);
	ctl_print_time(json_int(d, v, "created", 0), 0);
}

int
ctl_user_list(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_table t = {
		"/api/v1/users", "users",
		"No users: storegridctl user add NAME",
		"USER                    RIGHT     STATE   TOTP  LAST SIGN-IN"
		"      FAILURES  CREATED", print_user,
	};

	(void)argc;
	(void)argv;
	return ctl_list(c, &t);
}

int
ctl_user_rm(struct ctl *c, int argc, char **argv)
{
	char path[CTL_PATH_MAX];
	int code;

	(void)argc;
	if ((code = ctl_path(path, "users", argv[0], NULL)) != CTL_OK)
		return code;
	return ctl_change(c, "DELETE", path, NULL,
	    "User removed; the user's sessions ended.");
}

int
ctl_user_right(struct ctl *c, int argc, char **argv)
{
	struct wbuf body = WBUF_INIT(4096);
	char path[CTL_PATH_MAX];
	const char *text;
	struct json j;
	int code;

	(void)argc;
	if ((code = ctl_path(path, "users", argv[0], "right", NULL)) != CTL_OK)
		return code;
	json_init(&j, &body);
	json_object(&j, NULL);
	json_put_str(&j, "right", argv[1]);
	code = CTL_USAGE;
	if ((text = ctl_body_end(&j)) != NULL)
		code = ctl_change(c, "POST", path, text, "Right changed.");
	wbuf_free(&body);
	return code;
}

int
ctl_user_reset(struct ctl *c, int argc, char **argv)
{
	char path[CTL_PATH_MAX];
	struct json_doc *doc;
	int code;

	(void)argc;
	if ((code = ctl_path(path, "users", argv[0], "reset", NULL)) != CTL_OK)
		return code;
	if ((code = ctl_call(c, "POST", path, NULL, &doc)) == CTL_OK &&
	    !c->json) {
		fprintf(stderr, "The password and the second factor of %s are "
		    "gone.\n", argv[0]);
		tell_setup(c, doc, argv[0]);
	}
	json_free(doc);
	return code;
}

static void
print_id(const struct json_doc *d, const struct json_value *v,
    const char *member)
{
	char id[13];

	snprintf(id, sizeof(id), "%s", json_string(d, v, member, ""));
	ctl_print(id, 14);
}

static void
print_session(const struct json_doc *d, const struct json_value *v)
{
	print_id(d, v, "session");
	ctl_print(json_string(d, v, "user", ""), 24);
	ctl_print(json_string(d, v, "right", ""), 10);
	ctl_print(json_string(d, v, "address", ""), 26);
	ctl_print_time(json_int(d, v, "seen", 0), 18);
	ctl_print_time(json_int(d, v, "expires", 0), 0);
}

int
ctl_session_list(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_table t = {
		"/api/v1/sessions", "sessions", "Nobody is signed in.",
		"SESSION       USER                    RIGHT     FROM         "
		"             SEEN              EXPIRES", print_session,
	};

	(void)argc;
	(void)argv;
	return ctl_list(c, &t);
}

int
ctl_session_revoke(struct ctl *c, int argc, char **argv)
{
	char path[CTL_PATH_MAX];
	int code;

	(void)argc;
	if ((code = ctl_path(path, "sessions", argv[0], NULL)) != CTL_OK)
		return code;
	return ctl_change(c, "DELETE", path, NULL, "Session ended.");
}

int
ctl_api_token_add(struct ctl *c, int argc, char **argv)
{
	struct wbuf body = WBUF_INIT(4096);
	struct json_doc *doc = NULL;
	const struct json_value *v;
	const char *text;
	struct json j;
	char until[32];
	int code = CTL_USAGE;

	(void)argc;
	json_init(&j, &body);
	json_object(&j, NULL);
	json_put_str(&j, "name", argv[0]);
	json_put_str(&j, "right", c->right != NULL ? c->right : "viewer");
	json_put_i64(&j, "expires", c->expires != 0 ? c->expires :
	    API_TOKEN_DEFAULT_S);
	if ((text = ctl_body_end(&j)) != NULL)
		code = ctl_call(c, "POST", "/api/v1/api-tokens", text, &doc);
	if (code == CTL_OK && !c->json) {
		v = secret_row(doc, "api_tokens");
		printf("%s\n", json_string(doc, v, "secret", ""));
		fflush(stdout);
		ctl_time_text(json_int(doc, v, "expires", 0), until,
		    sizeof(until));
		fprintf(stderr, "This token is shown once and works until %s "
		    "as\n    Authorization: Bearer TOKEN\nat https://%s:%u\n",
		    until, c->conf.advertise, c->conf.port_gui);
	}
	json_free(doc);
	wbuf_free(&body);
	return code;
}

static void
print_api_token(const struct json_doc *d, const struct json_value *v)
{
	print_id(d, v, "token");
	ctl_print(json_string(d, v, "name", ""), 24);
	ctl_print(json_string(d, v, "right", ""), 10);
	ctl_print(json_string(d, v, "state", ""), 9);
	ctl_print_time(json_int(d, v, "seen", 0), 18);
	ctl_print_time(json_int(d, v, "expires", 0), 0);
}

int
ctl_api_token_list(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_table t = {
		"/api/v1/api-tokens", "api_tokens", "No API tokens.",
		"TOKEN         NAME                    RIGHT     STATE    "
		"LAST USED         EXPIRES", print_api_token,
	};

	(void)argc;
	(void)argv;
	return ctl_list(c, &t);
}

int
ctl_api_token_revoke(struct ctl *c, int argc, char **argv)
{
	char path[CTL_PATH_MAX];
	int code;

	(void)argc;
	if ((code = ctl_path(path, "api-tokens", argv[0], NULL)) != CTL_OK)
		return code;
	return ctl_change(c, "DELETE", path, NULL, "API token revoked.");
}
