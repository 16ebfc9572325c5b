#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/escape.h"
#include "server/ctl/ctl.h"

/* What the catalogue knows: clients and their runs, alerts, space. */

static void
print_state(const struct json_doc *d, const struct json_value *v)
{
	ctl_print_client(d, v, 32);
	ctl_print(json_string(d, v, "status", ""), 12);
	ctl_print_time(json_int(d, v, "since", 0), 18);
	ctl_print_time(json_int(d, v, "last_good", 0), 18);
	ctl_print_time(json_int(d, v, "due", 0), 18);
	ctl_print_num(json_int(d, v, "snapshots", 0), 11);
	ctl_print_bytes(json_int(d, v, "bytes", 0), 11);
	ctl_print_bytes(json_int(d, v, "last_new_bytes", 0), 0);
}

int
ctl_overview(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_table t = {
		"/api/v1/overview", "clients",
		"No clients: storegridctl client add ACCOUNT/NAME",
		"CLIENT                          STATE       SINCE            "
		" LAST GOOD         DUE               SNAPSHOTS  VAULT      NEW",
		print_state,
	};
	const struct json_value *v;
	struct json_doc *doc;
	int code;

	(void)argc;
	(void)argv;
	if ((code = ctl_call(c, "GET", t.path, NULL, &doc)) == CTL_OK &&
	    !c->json) {
		v = json_get(doc, json_root(doc), "totals");
		printf("%lld of %lld clients protected, %lld running, %lld "
		    "alerts\n", (long long)json_int(doc, v, "protected", 0),
		    (long long)json_int(doc, v, "clients", 0),
		    (long long)json_int(doc, v, "running", 0),
		    (long long)json_int(doc, v, "alerts", 0));
		printf("Vaults: ");
		ctl_print_bytes(json_int(doc, v, "vault_bytes", 0), 0);
		printf("; free: ");
		ctl_print_bytes(json_int(doc, v, "free", 0), 0);
		printf(" of ");
		ctl_print_bytes(json_int(doc, v, "total", 0), 0);
		printf("\n\n");
		ctl_rows(doc, &t);
	}
	json_free(doc);
	return code;
}

/* What the client says of its run stands in brackets: nothing proves it. */
static void
print_run(const struct json_doc *d, const struct json_value *v)
{
	long long started = json_int(d, v, "started", 0);
	long long ended = json_int(d, v, "ended", 0);
	const struct json_value *r = json_get(d, v, "reported");
	char text[64] = "-";

	ctl_print_num(json_int(d, v, "number", 0), 9);
	ctl_print_client(d, v, 28);
	ctl_print(json_string(d, v, "label", ""), 20);
	ctl_print(json_string(d, v, "state", ""), 12);
	ctl_print_time(started, 18);
	if (ended >= started && ended != 0)
		human_seconds((uint64_t)(ended - started), text, sizeof(text));
	ctl_print(text, 10);
	ctl_print_bytes(json_int(d, v, "received", 0), 11);
	ctl_print_bytes(json_int(d, v, "new_bytes", 0), 11);
	if (r == NULL || r->type != JSON_OBJECT) {
		ctl_print("-", 0);
		return;
	}
	printf("(");
	ctl_print(json_string(d, r, "outcome", "?"), 0);
	printf(", %lld files, ", (long long)json_int(d, r, "files", 0));
	ctl_print_bytes(json_int(d, r, "bytes", 0), 0);
	printf(", %lld skipped)", (long long)json_int(d, r, "skipped", 0));
}

int
ctl_runs(struct ctl *c, int argc, char **argv)
{
	struct ctl_table t = {
		NULL, "runs", "No runs.",
		"RUN      CLIENT                      JOB                 "
		"STATE       STARTED           TOOK      RECEIVED   NEW        "
		"CLIENT'S REPORT", print_run,
	};
	char path[CTL_PATH_MAX];
	int code;

	if ((code = ctl_path(path, "runs", NULL)) != CTL_OK)
		return code;
	if (argc > 0) {
		if (strchr(argv[0], '/') == NULL) {
			fprintf(stderr, "storegridctl: '%s': a client is "
			    "named ACCOUNT/NAME\n", argv[0]);
			return CTL_USAGE;
		}
		ctl_query_str(path, "client", argv[0]);
	}
	ctl_query_u64(path, "n", c->lines != 0 ? c->lines : CTL_LINES);
	t.path = path;
	return ctl_list(c, &t);
}

static void
print_alert(const struct json_doc *d, const struct json_value *v)
{
	ctl_print(json_string(d, v, "kind", ""), 13);
	ctl_print_time(json_int(d, v, "since", 0), 18);
	ctl_print_client(d, v, 32);
	ctl_print(json_string(d, v, "text", ""), 0);
}

int
ctl_alerts(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_table t = {
		"/api/v1/alerts", "alerts", "No alerts.",
		"ALERT        SINCE             CLIENT                          "
		"WHAT", print_alert,
	};

	(void)argc;
	(void)argv;
	return ctl_list(c, &t);
}

static void
print_space(const struct json_doc *d, const struct json_value *v)
{
	ctl_print_client(d, v, 32);
	ctl_print_time(json_int(d, v, "at", 0), 18);
	ctl_print_bytes(json_int(d, v, "bytes", 0), 11);
	ctl_print_num(json_int(d, v, "objects", 0), 12);
	ctl_print_num(json_int(d, v, "snapshots", 0), 11);
	ctl_print_bytes(json_int(d, v, "fs_free", 0), 11);
	ctl_print_bytes(json_int(d, v, "fs_total", 0), 0);
}

struct sample {
	const struct json_value	*v;
	const char		*account, *name;
	int64_t			 at;
};

static int
client_order(const struct sample *a, const struct sample *b)
{
	int d = strcmp(a->account, b->account);

	return d != 0 ? d : strcmp(a->name, b->name);
}

static int
sample_order(const void *pa, const void *pb)
{
	const struct sample *a = pa, *b = pb;
	int d = client_order(a, b);

	return d != 0 ? d : (a->at > b->at) - (a->at < b->at);
}

/* The answer has all samples; of each vault the newest is shown. */
static int
show_newest(const struct json_doc *d, const struct ctl_table *t)
{
	const struct json_value *rows = json_get(d, json_root(d), t->rows), *v;
	struct sample *s;
	size_t i, n = 0;

	for (v = json_first(d, rows); v != NULL; v = json_next(d, v))
		n++;
	if (n == 0) {
		printf("%s\n", t->none);
		return CTL_OK;
	}
	if ((s = calloc(n, sizeof(*s))) == NULL)
		return CTL_FAILED;
	for (i = 0, v = json_first(d, rows); i < n; i++, v = json_next(d, v)) {
		s[i].v = v;
		s[i].account = json_string(d, v, "account", "");
		s[i].name = json_string(d, v, "name", "");
		s[i].at = json_int(d, v, "at", 0);
	}
	qsort(s, n, sizeof(*s), sample_order);
	printf("%s\n", t->head);
	for (i = 0; i < n; i++) {
		if (i + 1 < n && client_order(&s[i], &s[i + 1]) == 0)
			continue;
		t->print(d, s[i].v);
		putchar('\n');
	}
	free(s);
	return CTL_OK;
}

int
ctl_storage(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_table t = {
		"/api/v1/storage", "storage", "No vault was measured yet.",
		"CLIENT                          MEASURED          VAULT      "
		"OBJECTS     SNAPSHOTS  DISK FREE  DISK", print_space,
	};
	struct json_doc *doc;
	int code;

	(void)argc;
	(void)argv;
	if ((code = ctl_call(c, "GET", t.path, NULL, &doc)) == CTL_OK &&
	    !c->json)
		code = show_newest(doc, &t);
	json_free(doc);
	return code;
}
