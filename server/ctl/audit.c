#include "config.h"

#include <stdio.h>

#include "server/ctl/ctl.h"

/* The log of all changes, in which each entry holds the hash of the one before. */

static void
print_entry(const struct json_doc *d, const struct json_value *v)
{
	ctl_print_num(json_int(d, v, "number", 0), 9);
	ctl_print_time(json_int(d, v, "at", 0), 18);
	ctl_print(json_string(d, v, "who", ""), 20);
	ctl_print(json_string(d, v, "from", ""), 20);
	ctl_print(json_string(d, v, "act", ""), 18);
	ctl_print(json_string(d, v, "object", ""), 28);
	ctl_print(json_string(d, v, "result", ""), 10);
	ctl_print(json_string(d, v, "detail", ""), 0);
}

static void
tell_broken(const struct json_doc *d)
{
	fprintf(stderr, "storegridctl: the audit log is broken: entry %lld is "
	    "the first that does not follow\nfrom the one before it: it or an "
	    "earlier one was changed or taken away after it was written\n",
	    (long long)json_int(d, json_root(d), "first_bad", 0));
}

/* Without --after the newest lines, whose place the check of the chain tells. */
int
ctl_audit_list(struct ctl *c, int argc, char **argv)
{
	struct ctl_table t = {
		NULL, "entries", "No entries.",
		"NUMBER   TIME              WHO                 FROM         "
		"       ACT               OBJECT                      RESULT    "
		"DETAIL", print_entry,
	};
	uint32_t lines = c->lines != 0 ? c->lines : CTL_LINES;
	uint64_t after = c->after;
	char path[CTL_PATH_MAX];
	struct json_doc *doc;
	int64_t all;
	int code;

	(void)argc;
	(void)argv;
	if (!c->after_given) {
		code = ctl_ask(c, "GET", "/api/v1/audit/verify", NULL, &doc);
		if (code != CTL_OK)
			return code;
		all = json_int(doc, json_root(doc), "entries", 0);
		after = all > lines ? (uint64_t)all - lines : 0;
		if (!json_int(doc, json_root(doc), "ok", 0))
			tell_broken(doc);
		json_free(doc);
	}
	if ((code = ctl_path(path, "audit", NULL)) != CTL_OK)
		return code;
	ctl_query_u64(path, "after", after);
	ctl_query_u64(path, "n", lines);
	t.path = path;
	return ctl_list(c, &t);
}

int
ctl_audit_verify(struct ctl *c, int argc, char **argv)
{
	const struct json_value *root;
	struct json_doc *doc;
	int code;

	(void)argc;
	(void)argv;
	code = ctl_call(c, "GET", "/api/v1/audit/verify", NULL, &doc);
	if (code != CTL_OK)
		return code;
	root = json_root(doc);
	if (!json_int(doc, root, "ok", 0)) {
		if (!c->json)
			tell_broken(doc);
		code = CTL_FAILED;
	} else if (!c->json) {
		printf("%lld entries, each follows from the one before it.\n"
		    "Head: ", (long long)json_int(doc, root, "entries", 0));
		ctl_print(json_string(doc, root, "head", ""), 0);
		printf("\nKept elsewhere, the head proves later that nothing "
		    "up to here was changed.\n");
	}
	json_free(doc);
	return code;
}
