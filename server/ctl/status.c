#include "config.h"

#include <stdio.h>

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
		printf("StoreGrid %s, ID ",
		    json_string(doc, root, "version", "?"));
		ctl_print(json_string(doc, root, "id", "?"), 0);
		printf(", mode %s, running since ",
		    json_string(doc, root, "mode", "?"));
		ctl_print_time(json_int(doc, root, "started", 0), 0);
		printf("\nfingerprint ");
		ctl_print(json_string(doc, root, "fingerprint", "?"), 0);
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
