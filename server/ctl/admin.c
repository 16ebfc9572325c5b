#include "config.h"

#include <stdio.h>

#include "common/wbuf.h"
#include "server/ctl/ctl.h"

/* Accounts, their clients, enrolment tokens, vaults. */

#define TOKEN_MIN_S	60L		/* as the server has it */
#define TOKEN_MAX_S	(90L * 86400)

int
ctl_account_add(struct ctl *c, int argc, char **argv)
{
	struct wbuf body = WBUF_INIT(4096);
	const char *text;
	struct json j;
	char said[256];
	int code = CTL_USAGE;

	(void)argc;
	json_init(&j, &body);
	json_object(&j, NULL);
	json_put_str(&j, "account", argv[0]);
	snprintf(said, sizeof(said), "Account %.64s made. Next: storegridctl "
	    "client add %.64s/NAME", argv[0], argv[0]);
	if ((text = ctl_body_end(&j)) != NULL)
		code = ctl_change(c, "POST", "/api/v1/accounts", text, said);
	wbuf_free(&body);
	return code;
}

static void
print_account(const struct json_doc *d, const struct json_value *v)
{
	ctl_print(json_string(d, v, "account", ""), 24);
	ctl_print_num(json_int(d, v, "clients", 0), 9);
	ctl_print_time(json_int(d, v, "created", 0), 0);
}

int
ctl_account_list(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_table t = {
		"/api/v1/accounts", "accounts", "No accounts.",
		"ACCOUNT                 CLIENTS  CREATED", print_account,
	};

	(void)argc;
	(void)argv;
	return ctl_list(c, &t);
}

int
ctl_account_rm(struct ctl *c, int argc, char **argv)
{
	char path[CTL_PATH_MAX];
	int code;

	(void)argc;
	if ((code = ctl_path(path, "accounts", argv[0], NULL)) != CTL_OK)
		return code;
	return ctl_change(c, "DELETE", path, NULL, "Account removed.");
}

static const char *
token_body(struct ctl *c, struct json *j, char *arg)
{
	char *name;

	if (c->expires != 0 &&
	    (c->expires < TOKEN_MIN_S || c->expires > TOKEN_MAX_S)) {
		fprintf(stderr, "storegridctl: --expires: from one minute "
		    "(60s) to 90 days (90d)\n");
		return NULL;
	}
	if (!ctl_split_name(arg, &name))
		return NULL;
	json_object(j, NULL);
	json_put_str(j, "account", arg);
	json_put_str(j, "name", name);
	if (c->host != NULL)
		json_put_str(j, "host", c->host);
	if (c->expires != 0)
		json_put_i64(j, "expires", c->expires);
	return ctl_body_end(j);
}

/* The token is printed alone on standard output, so that it can be piped into
 * a file for `storegrid enrol --token-file`; what to do with it goes to stderr. */
static int
make_token(struct ctl *c, const char *path, char *arg)
{
	struct wbuf body = WBUF_INIT(4096);
	struct json_doc *doc = NULL;
	const struct json_value *v;
	const char *text;
	struct json j;
	char until[32];
	int code = CTL_USAGE;

	json_init(&j, &body);
	if ((text = token_body(c, &j, arg)) == NULL)
		goto out;
	code = ctl_call(c, "POST", path, text, &doc);
	if (code != CTL_OK || c->json)
		goto out;
	v = json_first(doc, json_get(doc, json_root(doc), "tokens"));
	printf("%s\n", json_string(doc, v, "secret", ""));
	ctl_time_text(json_int(doc, v, "expires", 0), until, sizeof(until));
	fprintf(stderr, "Give this token to the machine, once, before %s:\n",
	    until);
	fprintf(stderr, "    storegrid enrol        (paste it at the prompt)\n");
out:
	json_free(doc);
	wbuf_free(&body);
	return code;
}

int
ctl_client_add(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	return make_token(c, "/api/v1/clients", argv[0]);
}

int
ctl_token_add(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	return make_token(c, "/api/v1/tokens", argv[0]);
}

static void
print_client(const struct json_doc *d, const struct json_value *v)
{
	ctl_print_client(d, v, 32);
	ctl_print(json_string(d, v, "state", ""), 10);
	ctl_print_time(json_int(d, v, "last_seen", 0), 18);
	ctl_print(json_string(d, v, "vault", ""), 0);
}

int
ctl_client_list(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_table t = {
		"/api/v1/clients", "clients", "No clients.",
		"CLIENT                          STATE     LAST SEEN         "
		"VAULT", print_client,
	};

	(void)argc;
	(void)argv;
	return ctl_list(c, &t);
}

static int
client_call(struct ctl *c, char *arg, const char *method, const char *action,
    const char *said)
{
	char path[CTL_PATH_MAX], *name;
	int code;

	if (!ctl_split_name(arg, &name))
		return CTL_USAGE;
	if ((code = ctl_path(path, "clients", arg, name, action, NULL)) !=
	    CTL_OK)
		return code;
	return ctl_change(c, method, path, NULL, said);
}

int
ctl_client_disable(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	return client_call(c, argv[0], "POST", "disable",
	    "Client disabled; its connections were closed.");
}

int
ctl_client_enable(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	return client_call(c, argv[0], "POST", "enable", "Client enabled.");
}

int
ctl_client_rm(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	return client_call(c, argv[0], "DELETE", NULL,
	    "Client removed. Its vault was kept: storegridctl vault list");
}

static void
print_token(const struct json_doc *d, const struct json_value *v)
{
	char id[13];

	snprintf(id, sizeof(id), "%s", json_string(d, v, "token", ""));
	ctl_print(id, 14);
	ctl_print_client(d, v, 32);
	ctl_print(json_string(d, v, "state", ""), 9);
	ctl_print_time(json_int(d, v, "expires", 0), 0);
}

int
ctl_token_list(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_table t = {
		"/api/v1/tokens", "tokens", "No tokens.",
		"TOKEN         CLIENT                          STATE    "
		"EXPIRES", print_token,
	};

	(void)argc;
	(void)argv;
	return ctl_list(c, &t);
}

int
ctl_token_revoke(struct ctl *c, int argc, char **argv)
{
	char path[CTL_PATH_MAX];
	int code;

	(void)argc;
	if ((code = ctl_path(path, "tokens", argv[0], NULL)) != CTL_OK)
		return code;
	return ctl_change(c, "DELETE", path, NULL, "Token revoked.");
}

static void
print_vault(const struct json_doc *d, const struct json_value *v)
{
	ctl_print(json_string(d, v, "vault", ""), 34);
	ctl_print(json_string(d, v, "state", ""), 10);
	ctl_print_client(d, v, 0);
}

int
ctl_vault_list(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_table t = {
		"/api/v1/vaults", "vaults", "No vaults.",
		"VAULT                             STATE     CLIENT",
		print_vault,
	};

	(void)argc;
	(void)argv;
	return ctl_list(c, &t);
}
