#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/confload.h"
#include "server/ctl/ctl.h"

/* Options that mean something to a verb. */
enum {
	O_HOST = 1 << 0, O_EXPIRES = 1 << 1, O_RIGHT = 1 << 2,
	O_FINGERPRINT = 1 << 3, O_NAME = 1 << 4, O_AFTER = 1 << 5,
	O_LINES = 1 << 6, O_FROM = 1 << 7,
};

struct verb {
	const char	*noun, *verb;		/* verb NULL: the noun alone */
	const char	*args;			/* for the usage line */
	int		 min, max;		/* arguments */
	unsigned int	 options;
	ctl_verb	*fn;
	const char	*help;
};

static const struct verb verbs[] = {
	{ "account", "add", " NAME", 1, 1, 0, ctl_account_add,
	    "make an account: it owns clients" },
	{ "account", "list", "", 0, 0, 0, ctl_account_list,
	    "show all accounts" },
	{ "account", "rm", " NAME", 1, 1, 0, ctl_account_rm,
	    "remove an account that has no clients" },
	{ "client", "add", " ACCOUNT/NAME [--host H] [--expires 24h]", 1, 1,
	    O_HOST | O_EXPIRES, ctl_client_add,
	    "make a client and print its enrolment token" },
	{ "client", "list", "", 0, 0, 0, ctl_client_list, "show all clients" },
	{ "client", "disable", " ACCOUNT/NAME", 1, 1, 0, ctl_client_disable,
	    "refuse a client and end its connections" },
	{ "client", "enable", " ACCOUNT/NAME", 1, 1, 0, ctl_client_enable,
	    "serve a disabled client again" },
	{ "client", "rm", " ACCOUNT/NAME", 1, 1, 0, ctl_client_rm,
	    "forget a client; its vault stays" },
	{ "token", "add", " ACCOUNT/NAME [--host H] [--expires 24h]", 1, 1,
	    O_HOST | O_EXPIRES, ctl_token_add,
	    "print a token for a known client (new machine, recover)" },
	{ "token", "list", "", 0, 0, 0, ctl_token_list,
	    "show tokens, not their secrets" },
	{ "token", "revoke", " ID", 1, 1, 0, ctl_token_revoke,
	    "make a token worthless; ID may be its first digits" },
	{ "pair", "list", "", 0, 0, 0, ctl_pair_list,
	    "show the machines that ask to be paired, with their codes" },
	{ "pair", "accept", " CODE|ID ACCOUNT/NAME", 2, 2, 0, ctl_pair_accept,
	    "enrol the machine whose screen shows this code" },
	{ "pair", "refuse", " CODE|ID", 1, 1, 0, ctl_pair_refuse,
	    "send the machine away" },
	{ "pair", NULL, "", 0, 0, 0, ctl_pair_list, "the same as pair list" },
	{ "vault", "list", "", 0, 0, 0, ctl_vault_list, "show all vaults" },
	{ "overview", NULL, "", 0, 0, 0, ctl_overview,
	    "show how many clients are protected, and the state of each" },
	{ "runs", NULL, " [ACCOUNT/NAME] [--lines N]", 0, 1, O_LINES,
	    ctl_runs, "show the newest runs" },
	{ "alerts", NULL, "", 0, 0, 0, ctl_alerts, "show what needs attention" },
	{ "storage", NULL, "", 0, 0, 0, ctl_storage,
	    "show what the vaults take and what is free" },
	{ "peer", "list", "", 0, 0, 0, ctl_peer_list,
	    "show other installations that are known" },
	{ "peer", "add", " ADDRESS[:PORT] [--fingerprint F] [--name LABEL]",
	    1, 1, O_FINGERPRINT | O_NAME, ctl_peer_add,
	    "name an installation that discovery does not find" },
	{ "peer", "rm", " FINGERPRINT|ID", 1, 1, 0, ctl_peer_rm,
	    "take a peer off the list until it is heard again" },
	{ "peer", "forget", " FINGERPRINT|ID", 1, 1, 0, ctl_peer_forget,
	    "the same, and its key, so that a new key is no conflict" },
	{ "discover", NULL, "", 0, 0, 0, ctl_discover,
	    "ask for peers at once, then show them" },
	{ "user", "add", " NAME [--right viewer|operator|admin]", 1, 1,
	    O_RIGHT, ctl_user_add,
	    "make a console user and print the one-time secret" },
	{ "user", "list", "", 0, 0, 0, ctl_user_list, "show all users" },
	{ "user", "rm", " NAME", 1, 1, 0, ctl_user_rm, "remove a user" },
	{ "user", "right", " NAME viewer|operator|admin", 2, 2, 0,
	    ctl_user_right, "change what a user may do" },
	{ "user", "reset", " NAME", 1, 1, 0, ctl_user_reset,
	    "a new one-time secret for a lost password or second factor" },
	{ "session", "list", "", 0, 0, 0, ctl_session_list,
	    "show who is signed in" },
	{ "session", "revoke", " ID", 1, 1, 0, ctl_session_revoke,
	    "end a session; ID may be its first digits" },
	{ "api-token", "add", " NAME [--right viewer|operator|admin] "
	    "[--expires 30d]", 1, 1, O_RIGHT | O_EXPIRES, ctl_api_token_add,
	    "make a token for a program and print it, once" },
	{ "api-token", "list", "", 0, 0, 0, ctl_api_token_list,
	    "show API tokens, not their secrets" },
	{ "api-token", "revoke", " ID", 1, 1, 0, ctl_api_token_revoke,
	    "make an API token worthless; ID may be its first digits" },
	{ "audit", "list", " [--after N] [--lines N]", 0, 0,
	    O_AFTER | O_LINES, ctl_audit_list,
	    "show who changed what: the newest entries, or those after N" },
	{ "audit", "verify", "", 0, 0, 0, ctl_audit_verify,
	    "check that no entry was changed or taken away" },
	{ "status", NULL, "", 0, 0, 0, ctl_status,
	    "show the server and its processes" },
	{ "ports", NULL, " [--from PEER]", 0, 0, O_FROM, ctl_ports,
	    "show each port: open here or not, needed outside or not" },
	{ "firewall", NULL, " nft|ufw|firewalld|nat", 1, 1, 0, ctl_firewall,
	    "print rules for these ports; changes nothing" },
	{ "sandbox", NULL, "", 0, 0, 0, ctl_sandbox,
	    "show what the kernel enforces on each process (as root)" },
};

static void
usage(FILE *f, const char *noun)
{
	size_t i;

	fprintf(f, "usage: storegridctl [-f CONF] [--json] COMMAND\n\n");
	for (i = 0; i < NITEMS(verbs); i++) {
		if (noun != NULL && strcmp(verbs[i].noun, noun) != 0)
			continue;
		fprintf(f, "  %s%s%s%s\n      %s\n", verbs[i].noun,
		    verbs[i].verb != NULL ? " " : "",
		    verbs[i].verb != NULL ? verbs[i].verb : "", verbs[i].args,
		    verbs[i].help);
	}
	fprintf(f, "\nThe installation is the one of -f CONF, by default %s/"
	    "SGConfiguration.conf.\nSee storegridctl(8).\n", SYSCONF_DIR);
}

/* "90s", "15m", "24h", "7d" or seconds; 0 when it is none of these. */
static long
parse_duration(const char *s)
{
	static const struct { char unit; long seconds; } units[] = {
		{ '\0', 1 }, { 's', 1 }, { 'm', 60 }, { 'h', 3600 },
		{ 'd', 86400 },
	};
	char *end;
	long v = strtol(s, &end, 10);
	size_t i;

	if (end == s || v <= 0 || v > 100000000)
		return 0;
	for (i = 0; i < NITEMS(units); i++)
		if (*end == units[i].unit && (*end == '\0' || end[1] == '\0'))
			return v * units[i].seconds;
	return 0;
}

static const struct verb *
find_verb(int argc, char **argv, int *used)
{
	size_t i;

	for (i = 0; i < NITEMS(verbs); i++) {
		if (strcmp(verbs[i].noun, argv[0]) != 0)
			continue;
		*used = verbs[i].verb == NULL ? 1 : 2;
		if (verbs[i].verb == NULL ||
		    (argc > 1 && strcmp(verbs[i].verb, argv[1]) == 0))
			return &verbs[i];
	}
	return NULL;
}

static bool
known_noun(const char *s)
{
	size_t i;

	for (i = 0; i < NITEMS(verbs); i++)
		if (strcmp(verbs[i].noun, s) == 0)
			return true;
	return false;
}

/* Without -f, a missing file means the defaults. */
static int
load_conf(struct ctl *c, const char *path)
{
	struct conf_load l = {
		.path = path != NULL ? path :
		    SYSCONF_DIR "/SGConfiguration.conf",
		.self = ROLE_COMMAND,
		.change_ids = geteuid() == 0,
	};
	char err[CONFLOAD_ERR_MAX];
	int rc;

	rc = conf_load(&l, &c->conf, err, sizeof(err));
	if (rc == RC_NOENT && path == NULL) {
		conf_defaults(&c->conf);
		conf_finish(&c->conf);
		return CTL_OK;
	}
	if (rc != RC_OK) {
		fprintf(stderr, "storegridctl: %s\n", err);
		return CTL_USAGE;
	}
	return CTL_OK;
}

enum {
	OPT_HELP = 1000, OPT_JSON, OPT_VERSION, OPT_HOST, OPT_EXPIRES,
	OPT_RIGHT, OPT_FINGERPRINT, OPT_NAME, OPT_AFTER, OPT_LINES, OPT_FROM,
};

static const struct option options[] = {
	{ "help", no_argument, NULL, OPT_HELP },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "host", required_argument, NULL, OPT_HOST },
	{ "expires", required_argument, NULL, OPT_EXPIRES },
	{ "right", required_argument, NULL, OPT_RIGHT },
	{ "fingerprint", required_argument, NULL, OPT_FINGERPRINT },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "after", required_argument, NULL, OPT_AFTER },
	{ "lines", required_argument, NULL, OPT_LINES },
	{ "from", required_argument, NULL, OPT_FROM },
	{ NULL, 0, NULL, 0 },
};

struct given {
	const char	*conf;
	bool		 help, version;
	unsigned int	 options;	/* O_* */
};

static bool
parse_number(const char *s, uint64_t max, uint64_t *v)
{
	char *end;

	if (s[0] < '0' || s[0] > '9')
		return false;
	errno = 0;
	*v = strtoull(s, &end, 10);
	return errno == 0 && *end == '\0' && *v <= max;
}

static bool
is_right(const char *s)
{
	return strcmp(s, "viewer") == 0 || strcmp(s, "operator") == 0 ||
	    strcmp(s, "admin") == 0;
}

/* An option of some verbs, with its value; NULL, or what it takes. */
static const char *
take_option(struct ctl *c, struct given *g, int o)
{
	uint64_t v;

	switch (o) {
	case OPT_HOST:
		g->options |= O_HOST;
		c->host = optarg;
		return NULL;
	case OPT_EXPIRES:
		g->options |= O_EXPIRES;
		return (c->expires = parse_duration(optarg)) != 0 ? NULL :
		    "--expires takes a time such as 90m, 24h or 7d";
	case OPT_RIGHT:
		g->options |= O_RIGHT;
		c->right = optarg;
		return is_right(optarg) ? NULL :
		    "--right takes viewer, operator or admin";
	case OPT_FINGERPRINT:
		g->options |= O_FINGERPRINT;
		c->fingerprint = optarg;
		return NULL;
	case OPT_NAME:
		g->options |= O_NAME;
		c->label = optarg;
		return NULL;
	case OPT_FROM:
		g->options |= O_FROM;
		c->from = optarg;
		return NULL;
	case OPT_AFTER:
		g->options |= O_AFTER;
		c->after_given = true;
		return parse_number(optarg, INT64_MAX, &c->after) ? NULL :
		    "--after takes the number of an entry";
	default:
		g->options |= O_LINES;
		if (!parse_number(optarg, CTL_LINES_MAX, &v) || v == 0)
			return "--lines takes a number from 1 to 1000";
		c->lines = (uint32_t)v;
		return NULL;
	}
}

static int
parse_options(struct ctl *c, struct given *g, int argc, char **argv)
{
	const char *why;
	int o;

	while ((o = getopt_long(argc, argv, "f:h", options, NULL)) != -1) {
		switch (o) {
		case 'f':
			g->conf = optarg;
			break;
		case 'h':
		case OPT_HELP:
			g->help = true;
			break;
		case OPT_JSON:
			c->json = true;
			break;
		case OPT_VERSION:
			g->version = true;
			break;
		case '?':
			return CTL_USAGE;
		default:
			if ((why = take_option(c, g, o)) == NULL)
				break;
			fprintf(stderr, "storegridctl: %s\n", why);
			return CTL_USAGE;
		}
	}
	return CTL_OK;
}

static bool
check_verb(const struct verb *v, const struct given *g, int nargs)
{
	if (nargs >= v->min && nargs <= v->max &&
	    (g->options & ~v->options) == 0)
		return true;
	fprintf(stderr, "usage: storegridctl %s%s%s%s\n", v->noun,
	    v->verb != NULL ? " " : "", v->verb != NULL ? v->verb : "",
	    v->args);
	return false;
}

int
main(int argc, char **argv)
{
	static struct ctl c;
	struct given g = { 0 };
	const struct verb *v;
	int used, code;

	log_set_prefix("storegridctl");
	if ((code = parse_options(&c, &g, argc, argv)) != CTL_OK)
		return code;
	argc -= optind;
	argv += optind;
	if (g.version) {
		printf("storegridctl %s\n", PACKAGE_VERSION);
		return CTL_OK;
	}
	if (g.help) {
		usage(stdout, argc > 0 && known_noun(argv[0]) ? argv[0] : NULL);
		return CTL_OK;
	}
	if (argc == 0 || (v = find_verb(argc, argv, &used)) == NULL) {
		usage(stderr, argc > 0 && known_noun(argv[0]) ? argv[0] : NULL);
		return CTL_USAGE;
	}
	if (!check_verb(v, &g, argc - used))
		return CTL_USAGE;
	if ((code = load_conf(&c, g.conf)) != CTL_OK)
		return code;
	return v->fn(&c, argc - used, argv + used);
}
