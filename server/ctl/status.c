#include "config.h"

#include <stdio.h>
#include <string.h>

#include "common/num.h"
#include "server/ctl/ctl.h"

int
ctl_status(struct ctl *c, int argc, char **argv)
{
	struct json_doc *doc;
	const struct json_value *root, *v;
	int code;

	(void)argc;
	(void)argv;
	if ((code = ctl_call(c, "GET", "/api/v1/status", NULL, &doc)) != CTL_OK)
		return code;
	if (!c->json) {
		root = json_root(doc);
		printf("StoreGrid %s, ID %s, mode %s, running since ",
		    json_string(doc, root, "version", "?"),
		    json_string(doc, root, "id", "?"),
		    json_string(doc, root, "mode", "?"));
		ctl_print_time(json_int(doc, root, "started", 0), 0);
		printf("\n%lld connected, %lld vaults in use\n\n",
		    (long long)json_int(doc, root, "sessions", 0),
		    (long long)json_int(doc, root, "vaults", 0));
		printf("ROLE        PID      UID     SINCE             SERVES\n");
		v = json_get(doc, root, "processes");
		for (v = json_first(doc, v); v != NULL; v = json_next(doc, v)) {
			long long conn = json_int(doc, v, "connection", 0);

			ctl_print(json_string(doc, v, "role", "?"), 12);
			printf("%-8lld %-7lld ",
			    (long long)json_int(doc, v, "pid", 0),
			    (long long)json_int(doc, v, "uid", 0));
			ctl_print_time(json_int(doc, v, "started", 0), 18);
			ctl_print(json_string(doc, v, "vault", ""), 0);
			if (conn != 0)
				printf("connection %lld", conn);
			putchar('\n');
		}
	}
	json_free(doc);
	return CTL_OK;
}

/* The port page: every port of an installation, whether it is open here and
 * whether it has to pass a firewall.  Numbers come from the running server. */
static const struct {
	const char	*key, *use, *pass;
} port_page[] = {
	{ "Ports.Server", "enrol, backup, restore", "yes, mandatory" },
	{ "Ports.SSLServer", "the same, TLS only", "if enabled" },
	{ "Ports.GUI", "management API, peer exchange", "no" },
	{ "Ports.Web", "console, redirects to the next", "for remote administration" },
	{ "Ports.WebSSL", "console (HTTPS)", "for remote administration" },
	{ "Ports.Multicast", "discovery by multicast", "no, subnet only" },
	{ "Ports.UDPScan", "discovery by subnet scan", "no, subnet only" },
};

static const char *
use_of(const char *key, const char **pass)
{
	size_t i;

	for (i = 0; i < NITEMS(port_page); i++)
		if (strcmp(port_page[i].key, key) == 0) {
			*pass = port_page[i].pass;
			return port_page[i].use;
		}
	*pass = "";
	return "";
}

static void
print_port(const struct json_doc *d, const struct json_value *v)
{
	const char *key = json_string(d, v, "key", ""), *pass, *use;
	char port[32], where[80];

	if (strcmp(key, "control") == 0)	/* told below the table */
		return;
	use = use_of(key, &pass);
	snprintf(port, sizeof(port), "%s %lld",
	    json_string(d, v, "protocol", "tcp"),
	    (long long)json_int(d, v, "port", 0));
	if (json_int(d, v, "open", 0))
		snprintf(where, sizeof(where), "open on %s%s",
		    json_string(d, v, "address", "?"),
		    json_int(d, v, "inherited", 0) ? " (systemd)" : "");
	else
		snprintf(where, sizeof(where), "closed");
	ctl_print(port, 11);
	ctl_print(key, 17);
	ctl_print(where, 29);
	ctl_print(use, 32);
	printf("%s\n", pass);
}

int
ctl_ports(struct ctl *c, int argc, char **argv)
{
	struct json_doc *doc;
	const struct json_value *v;
	int code;

	(void)argc;
	(void)argv;
	if ((code = ctl_call(c, "GET", "/api/v1/status", NULL, &doc)) != CTL_OK)
		return code;
	if (!c->json) {
		printf("PORT       KEY              HERE                         "
		    "USE                             MUST PASS A FIREWALL\n");
		v = json_get(doc, json_root(doc), "ports");
		for (v = json_first(doc, v); v != NULL; v = json_next(doc, v))
			print_port(doc, v);
		printf("\nThis version serves backups only: the management API, "
		    "the console and discovery are closed.\nLocal "
		    "administration goes through %s/control.sock.\n",
		    c->conf.run);
	}
	json_free(doc);
	return CTL_OK;
}
