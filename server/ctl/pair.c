#include "config.h"

#include "server/ctl/pair.h"

#include <stdio.h>
#include <string.h>

#include "common/wbuf.h"
#include "server/ctl/ctl.h"

#define PAIRINGS	"/api/v1/pairings"

bool
pair_code_parse(const char *text, char out[PROTO_PAIR_CODE_LEN + 1])
{
	size_t i, n = 0;

	for (i = 0; text[i] != '\0'; i++) {
		if (i == 4 && (text[i] == '-' || text[i] == ' '))
			continue;
		if (text[i] < '0' || text[i] > '9' || n == 9)
			return false;
		if (n == 4)
			out[n++] = '-';
		out[n++] = text[i];
	}
	out[n < PROTO_PAIR_CODE_LEN ? n : PROTO_PAIR_CODE_LEN] = '\0';
	return n == PROTO_PAIR_CODE_LEN;
}

const char *
pair_find(const struct json_doc *d, const char *code, bool *several)
{
	const struct json_value *v;
	const char *id = NULL;

	*several = false;
	v = json_first(d, json_get(d, json_root(d), "pairings"));
	for (; v != NULL; v = json_next(d, v)) {
		if (strcmp(json_string(d, v, "code", ""), code) != 0 ||
		    strcmp(json_string(d, v, "state", ""), "waiting") != 0)
			continue;
		*several = *several || id != NULL;
		id = json_string(d, v, "pairing", NULL);
	}
	return *several ? NULL : id;
}

static void
print_pairing(const struct json_doc *d, const struct json_value *v)
{
	char id[13];

	snprintf(id, sizeof(id), "%s", json_string(d, v, "pairing", ""));
	ctl_print(json_string(d, v, "code", ""), 11);
	ctl_print(id, 14);
	ctl_print(json_string(d, v, "state", ""), 10);
	ctl_print(json_string(d, v, "says", ""), 26);
	ctl_print(json_string(d, v, "address", ""), 26);
	ctl_print_time(json_int(d, v, "expires", 0), 18);
	ctl_print(json_string(d, v, "client", ""), 0);
}

int
ctl_pair_list(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_table t = {
		PAIRINGS, "pairings",
		"No machine asks to be paired. On the machine: storegrid pair",
		"CODE       ID            STATE     CALLS ITSELF              "
		"FROM                      EXPIRES           CLIENT",
		print_pairing,
	};
	struct json_doc *doc;
	int code;

	(void)argc;
	(void)argv;
	if ((code = ctl_call(c, "GET", t.path, NULL, &doc)) == CTL_OK &&
	    !c->json) {
		ctl_rows(doc, &t);
		if (json_first(doc, json_get(doc, json_root(doc),
		    "pairings")) != NULL)
			printf("\nAccept only the code that stands on the "
			    "client's own screen:\n"
			    "    storegridctl pair accept CODE ACCOUNT/NAME\n"
			    "Another code there means that somebody sits "
			    "between the two: refuse.\n");
	}
	json_free(doc);
	return code;
}

/* Make the path of what is done to the pairing that `what` names. */
static int
pairing_path(struct ctl *c, char path[CTL_PATH_MAX], const char *what,
    const char *action)
{
	char code[PROTO_PAIR_CODE_LEN + 1];
	struct json_doc *doc;
	const char *id;
	bool several;
	int rc;

	if (!pair_code_parse(what, code))
		return ctl_path(path, "pairings", what, action, NULL);
	if ((rc = ctl_ask(c, "GET", PAIRINGS, NULL, &doc)) != CTL_OK)
		return rc;
	if ((id = pair_find(doc, code, &several)) != NULL) {
		rc = ctl_path(path, "pairings", id, action, NULL);
	} else {
		rc = CTL_FAILED;
		if (several)
			fprintf(stderr, "storegridctl: two machines show %s: "
			    "refuse both by their ids and start again\n", code);
		else
			fprintf(stderr, "storegridctl: no machine waits with "
			    "the code %s. If it stands on a client's screen, "
			    "do not\naccept another one: somebody may sit "
			    "between the two. It may also be older than %d "
			    "minutes.\n", code, PROTO_PAIR_MS / 60000);
	}
	json_free(doc);
	return rc;
}

int
ctl_pair_accept(struct ctl *c, int argc, char **argv)
{
	struct wbuf body = WBUF_INIT(4096);
	char path[CTL_PATH_MAX], said[512], *name;
	const char *text;
	struct json j;
	int code;

	(void)argc;
	if (!ctl_split_name(argv[1], &name))
		return CTL_USAGE;
	if ((code = pairing_path(c, path, argv[0], "accept")) != CTL_OK)
		return code;
	json_init(&j, &body);
	json_object(&j, NULL);
	json_put_str(&j, "account", argv[1]);
	json_put_str(&j, "name", name);
	snprintf(said, sizeof(said), "Accepted: the machine enrols as %.64s/"
	    "%.64s within seconds.\nWas the code the same on the client's "
	    "screen? If not: storegridctl client disable %.64s/%.64s", argv[1],
	    name, argv[1], name);
	code = CTL_USAGE;
	if ((text = ctl_body_end(&j)) != NULL)
		code = ctl_change(c, "POST", path, text, said);
	wbuf_free(&body);
	return code;
}

int
ctl_pair_refuse(struct ctl *c, int argc, char **argv)
{
	char path[CTL_PATH_MAX];
	int code;

	(void)argc;
	if ((code = pairing_path(c, path, argv[0], "refuse")) != CTL_OK)
		return code;
	return ctl_change(c, "POST", path, NULL, "Refused.");
}
