#include "config.h"

#include "tests/fault/hostile.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/num.h"
#include "common/rc.h"

/*
 * hostile: what somebody who knows the protocol by heart can do to a server.
 *
 *	hostile -p PORT [-h ADDRESS] [-b SOURCE] [-t TOKENFILE] [-k KEYFILE]
 *	    SCENARIO [ARGUMENT ...]
 *
 * Prints how each connection ended: "ERROR CODE: text", "BYE", "closed",
 * "reset", "TLS failed", "wrong pin", "silence".  Exits 0 when what the
 * scenario itself can judge went as it should, 2 for bad usage.
 */

static const struct scenario *const tables[] = {
	scenarios_login, scenarios_frames, scenarios_vault, scenarios_flood,
	scenarios_mutate, scenarios_pretend,
};

static int
usage(void)
{
	const struct scenario *s;
	size_t i;

	fprintf(stderr, "usage: hostile -p PORT [-h ADDRESS] [-b SOURCE] "
	    "[-t TOKENFILE] [-k KEYFILE] SCENARIO [ARGUMENT ...]\n");
	for (i = 0; i < NITEMS(tables); i++)
		for (s = tables[i]; s->name != NULL; s++)
			fprintf(stderr, "  %-20s %s\n", s->name, s->what);
	return 2;
}

static const struct scenario *
find(const char *name)
{
	const struct scenario *s;
	size_t i;

	for (i = 0; i < NITEMS(tables); i++)
		for (s = tables[i]; s->name != NULL; s++)
			if (strcmp(s->name, name) == 0)
				return s;
	return NULL;
}

static int
options(struct target *t, int argc, char **argv)
{
	int opt, rc = RC_OK;

	snprintf(t->host, sizeof(t->host), "127.0.0.1");
	while ((opt = getopt(argc, argv, "+p:h:b:t:k:")) != -1 && rc == RC_OK)
		switch (opt) {
		case 'p':
			t->port = (uint16_t)atoi(optarg);
			break;
		case 'h':
			snprintf(t->host, sizeof(t->host), "%s", optarg);
			break;
		case 'b':
			snprintf(t->from, sizeof(t->from), "%s", optarg);
			break;
		case 't':
			rc = token_read(t, optarg);
			break;
		case 'k':
			rc = key_read(t, optarg);
			break;
		default:
			return RC_CONFIG;
		}
	if (rc != RC_OK)
		fprintf(stderr, "hostile: %s: %s\n", optarg, rc_str(rc));
	return rc;
}

int
main(int argc, char **argv)
{
	static struct target t;
	const struct scenario *s;
	int r;

	signal(SIGPIPE, SIG_IGN);
	if (options(&t, argc, argv) != RC_OK)
		return 2;
	if (optind >= argc || t.port == 0 ||
	    (s = find(argv[optind])) == NULL)
		return usage();
	if (digest_setup() != RC_OK || tls_client_ctx(&t.ctx, t.pin) != RC_OK) {
		fprintf(stderr, "hostile: the library does not work\n");
		return 1;
	}
	r = s->run(&t, argc - optind - 1, argv + optind + 1);
	if (r == 2)
		return usage();
	tls_ctx_free(t.ctx);
	token_clear(&t.token);
	secret_clear(&t.priv);
	return r;
}
