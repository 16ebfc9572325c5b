#include "config.h"

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

struct verb {
	const char	*noun, *verb;		/* verb NULL: the noun alone */
	const char	*args;			/* for the usage line */
	int		 nargs;
	ctl_verb	*fn;
	const char	*help;
};

static const struct verb verbs[] = {
	{ "account", "add", " NAME", 1, ctl_account_add,
	    "make an account: it owns clients" },
	{ "account", "list", "", 0, ctl_account_list, "show all accounts" },
	{ "account", "rm", " NAME", 1, ctl_account_rm,
	    "remove an account that has no clients" },
	{ "client", "add", " ACCOUNT/NAME [--host H] [--expires 24h]", 1,
	    ctl_client_add, "make a client and print its enrolment token" },
	{ "client", "list", "", 0, ctl_client_list, "show all clients" },
	{ "client", "disable", " ACCOUNT/NAME", 1, ctl_client_disable,
	    "refuse a client and end its connections" },
	{ "client", "enable", " ACCOUNT/NAME", 1, ctl_client_enable,
	    "serve a disabled client again" },
	{ "client", "rm", " ACCOUNT/NAME", 1, ctl_client_rm,
	    "forget a client; its vault stays" },
	{ "token", "add", " ACCOUNT/NAME [--host H] [--expires 24h]", 1,
	    ctl_token_add, "print a token for a known client (new machine, recover)" },
	{ "token", "list", "", 0, ctl_token_list, "show tokens, not their secrets" },
	{ "token", "revoke", " ID", 1, ctl_token_revoke,
	    "make a token worthless; ID may be its first digits" },
	{ "vault", "list", "", 0, ctl_vault_list, "show all vaults" },
	{ "status", NULL, "", 0, ctl_status, "show the server and its processes" },
	{ "ports", NULL, "", 0, ctl_ports,
	    "show each port, whether it is open here and must be outside" },
	{ "sandbox", NULL, "", 0, ctl_sandbox,
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

#define EXPIRES_MAX_S	(90L * 86400)	/* as the server has it */

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

enum { OPT_HELP = 1000, OPT_JSON, OPT_HOST, OPT_EXPIRES, OPT_VERSION };

static const struct option options[] = {
	{ "help", no_argument, NULL, OPT_HELP },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "host", required_argument, NULL, OPT_HOST },
	{ "expires", required_argument, NULL, OPT_EXPIRES },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

int
main(int argc, char **argv)
{
	static struct ctl c;
	const struct verb *v;
	const char *conf = NULL;
	bool help = false;
	int o, used, code;

	log_set_prefix("storegridctl");
	while ((o = getopt_long(argc, argv, "f:h", options, NULL)) != -1) {
		switch (o) {
		case 'f':
			conf = optarg;
			break;
		case 'h':
		case OPT_HELP:
			help = true;
			break;
		case OPT_JSON:
			c.json = true;
			break;
		case OPT_HOST:
			c.host = optarg;
			break;
		case OPT_EXPIRES:
			if ((c.expires = parse_duration(optarg)) == 0) {
				fprintf(stderr, "storegridctl: --expires takes "
				    "a time such as 90m, 24h or 7d\n");
				return CTL_USAGE;
			}
			if (c.expires < 60 || c.expires > EXPIRES_MAX_S) {
				fprintf(stderr, "storegridctl: --expires: from "
				    "one minute (60s) to 90 days (90d)\n");
				return CTL_USAGE;
			}
			break;
		case OPT_VERSION:
			printf("storegridctl %s\n", PACKAGE_VERSION);
			return CTL_OK;
		default:
			return CTL_USAGE;
		}
	}
	argc -= optind;
	argv += optind;
	if (help) {
		usage(stdout, argc > 0 && known_noun(argv[0]) ? argv[0] : NULL);
		return CTL_OK;
	}
	if (argc == 0 || (v = find_verb(argc, argv, &used)) == NULL) {
		usage(stderr, argc > 0 && known_noun(argv[0]) ? argv[0] : NULL);
		return CTL_USAGE;
	}
	if (argc - used != v->nargs) {
		fprintf(stderr, "usage: storegridctl %s%s%s%s\n", v->noun,
		    v->verb != NULL ? " " : "", v->verb != NULL ? v->verb : "",
		    v->args);
		return CTL_USAGE;
	}
	if ((code = load_conf(&c, conf)) != CTL_OK)
		return code;
	return v->fn(&c, argc - used, argv + used);
}
