#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/rc.h"
#include "server/ctl/ctl.h"

/* ACCOUNT/NAME, split in place. */
static bool
split_name(char *arg, char **name)
{
	if ((*name = strchr(arg, '/')) == NULL || *name == arg ||
	    (*name)[1] == '\0') {
		fprintf(stderr, "storegridctl: '%s': a client is named "
		    "ACCOUNT/NAME\n", arg);
		return false;
	}
	*(*name)++ = '\0';
	return true;
}

/* Each element of the answer's array `rows`, unless --json printed it. */
static int
list(struct ctl *c, const char *path, const char *rows, const char *head,
    void (*print)(const struct json_doc *, const struct json_value *))
{
	struct json_doc *doc;
	const struct json_value *v;
	int code;

	if ((code = ctl_call(c, "GET", path, NULL, &doc)) != CTL_OK)
		return code;
	if (!c->json) {
		v = json_get(doc, json_root(doc), rows);
		if (json_first(doc, v) == NULL)
			printf("No %s.\n", rows);
		else
			printf("%s\n", head);
		for (v = json_first(doc, v); v != NULL; v = json_next(doc, v))
			print(doc, v);
	}
	json_free(doc);
	return CTL_OK;
}

/* A call that changes something and answers nothing worth a table. */
static int
change(struct ctl *c, const char *method, const char *path, const char *body,
    const char *said)
{
	struct json_doc *doc;
	int code;

	if ((code = ctl_call(c, method, path, body, &doc)) == CTL_OK &&
	    !c->json)
		printf("%s\n", said);
	json_free(doc);
	return code;
}

static int
object_call(struct ctl *c, const char *method, const char *base, char *account,
    char *name, const char *action, const char *said)
{
	char path[1024];

	snprintf(path, sizeof(path), "/api/v1/%s", base);
	if (!ctl_path_add(path, sizeof(path), account) ||
	    (name != NULL && !ctl_path_add(path, sizeof(path), name)) ||
	    (action != NULL && !ctl_path_add(path, sizeof(path), action))) {
		fprintf(stderr, "storegridctl: the name is too long\n");
		return CTL_USAGE;
	}
	return change(c, method, path, NULL, said);
}

int
ctl_account_add(struct ctl *c, int argc, char **argv)
{
	struct wbuf body = WBUF_INIT(4096);
	struct json j;
	char said[512];
	int code;

	(void)argc;
	json_init(&j, &body);
	json_object(&j, NULL);
	json_put_str(&j, "account", argv[0]);
	json_end(&j);
	wbuf_u8(&body, 0);
	snprintf(said, sizeof(said), "Account %.64s made. Next: storegridctl "
	    "client add %.64s/NAME", argv[0], argv[0]);
	code = wbuf_rc(&body) != RC_OK ? CTL_USAGE :
	    change(c, "POST", "/api/v1/accounts", (const char *)body.data, said);
	wbuf_free(&body);
	return code;
}

static void
print_account(const struct json_doc *d, const struct json_value *v)
{
	ctl_print(json_string(d, v, "account", ""), 24);
	printf("%-9lld", (long long)json_int(d, v, "clients", 0));
	ctl_print_time(json_int(d, v, "created", 0), 0);
	putchar('\n');
}

int
ctl_account_list(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return list(c, "/api/v1/accounts", "accounts",
	    "ACCOUNT                 CLIENTS  CREATED", print_account);
}

int
ctl_account_rm(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	return object_call(c, "DELETE", "accounts", argv[0], NULL, NULL,
	    "Account removed.");
}

/* The token is printed alone on standard output, so that it can be piped into
 * a file for `storegrid enrol --token-file`; what to do with it goes to stderr. */
static int
make_token(struct ctl *c, const char *path, char *arg)
{
	struct wbuf body = WBUF_INIT(4096);
	struct json_doc *doc = NULL;
	const struct json_value *v;
	struct json j;
	char *name, until[32];
	int code;

	if (!split_name(arg, &name))
		return CTL_USAGE;
	json_init(&j, &body);
	json_object(&j, NULL);
	json_put_str(&j, "account", arg);
	json_put_str(&j, "name", name);
	if (c->host != NULL)
		json_put_str(&j, "host", c->host);
	if (c->expires != 0)
		json_put_i64(&j, "expires", c->expires);
	json_end(&j);
	wbuf_u8(&body, 0);
	if (wbuf_rc(&body) != RC_OK) {
		code = CTL_USAGE;
		goto out;
	}
	code = ctl_call(c, "POST", path, (const char *)body.data, &doc);
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
	char name[160];

	snprintf(name, sizeof(name), "%s/%s", json_string(d, v, "account", ""),
	    json_string(d, v, "name", ""));
	ctl_print(name, 32);
	ctl_print(json_string(d, v, "state", ""), 10);
	ctl_print_time(json_int(d, v, "last_seen", 0), 18);
	ctl_print(json_string(d, v, "vault", ""), 0);
	putchar('\n');
}

int
ctl_client_list(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return list(c, "/api/v1/clients", "clients",
	    "CLIENT                          STATE     LAST SEEN         VAULT",
	    print_client);
}

static int
client_call(struct ctl *c, char *arg, const char *method, const char *action,
    const char *said)
{
	char *name;

	if (!split_name(arg, &name))
		return CTL_USAGE;
	return object_call(c, method, "clients", arg, name, action, said);
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
	char name[160];

	snprintf(name, sizeof(name), "%s/%s", json_string(d, v, "account", ""),
	    json_string(d, v, "name", ""));
	printf("%.12s  ", json_string(d, v, "token", ""));
	ctl_print(name, 32);
	ctl_print(json_string(d, v, "state", ""), 9);
	ctl_print_time(json_int(d, v, "expires", 0), 0);
	putchar('\n');
}

int
ctl_token_list(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return list(c, "/api/v1/tokens", "tokens",
	    "TOKEN         CLIENT                          STATE    EXPIRES",
	    print_token);
}

int
ctl_token_revoke(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	return object_call(c, "DELETE", "tokens", argv[0], NULL, NULL,
	    "Token revoked.");
}

static void
print_vault(const struct json_doc *d, const struct json_value *v)
{
	char name[160];

	snprintf(name, sizeof(name), "%s/%s", json_string(d, v, "account", ""),
	    json_string(d, v, "name", ""));
	ctl_print(json_string(d, v, "vault", ""), 34);
	ctl_print(json_string(d, v, "state", ""), 10);
	ctl_print(name, 0);
	putchar('\n');
}

int
ctl_vault_list(struct ctl *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return list(c, "/api/v1/vaults", "vaults",
	    "VAULT                             STATE     CLIENT", print_vault);
}
