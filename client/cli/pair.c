#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/discover.h"
#include "client/cli/show_impl.h"
#include "common/rc.h"

/*
 * storegrid pair: which server is meant.  One that was found on the network has
 * proven nothing by it: the code decides.
 */

static int
take_port(const char *text, uint16_t *port)
{
	char *end;
	long n;

	if (text[0] < '0' || text[0] > '9')
		return RC_RANGE;
	n = strtol(text, &end, 10);
	if (*end != '\0' || n < 1 || n > 65535)
		return RC_RANGE;
	*port = (uint16_t)n;
	return RC_OK;
}

/* A lone colon parts a port off; an IPv6 address with one is in brackets. */
int
split_host(const char *text, char *host, size_t size, uint16_t *port)
{
	const char *end = strchr(text, ':'), *after;
	size_t n;

	*port = 0;
	if (text[0] == '[') {
		if ((end = strchr(++text, ']')) == NULL)
			return RC_RANGE;
		after = end + 1;
	} else {
		if (end == NULL || strchr(end + 1, ':') != NULL)
			end = text + strlen(text);
		after = end;
	}
	n = (size_t)(end - text);
	if (n == 0 || n >= size || strcspn(text, " \t\r\n/") < n)
		return RC_RANGE;
	memcpy(host, text, n);
	host[n] = '\0';
	if (*after == '\0')
		return RC_OK;
	return *after == ':' ? take_port(after + 1, port) : RC_RANGE;
}

#define PLACE_MAX (DISCOVER_HOST_MAX + 16)

/* --- without an argument: those that answer on the network --- */

static uint16_t
port_of(const struct cli *c, const struct discovered *d)
{
	const struct peer_info *p = &d->info;
	bool ssl = c->conf.ssl_enabled || p->port_server == 0;

	return ssl && p->port_ssl != 0 ? p->port_ssl : p->port_server;
}

/* In the form in which it may be named. */
static const char *
place_of(const struct cli *c, const struct discovered *d, char *out,
    size_t size)
{
	bool v6 = strchr(d->host, ':') != NULL;

	snprintf(out, size, "%s%s%s:%u", v6 ? "[" : "", d->host,
	    v6 ? "]" : "", port_of(c, d));
	return out;
}

/* Clients answer, too. */
static size_t
keep_servers(const struct cli *c, struct discovered *list, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (port_of(c, &list[i]) != 0)
			list[kept++] = list[i];
	return kept;
}

static int
choose(const struct cli *c, const struct discovered *list, size_t n,
    size_t *which, char *err, size_t size)
{
	struct show *s = show_new(false, VERB_NONE);
	char line[16], fp[PEER_FP_LEN + 1], place[PLACE_MAX], *end;
	unsigned long k;

	if (s == NULL)
		return EXIT_FAILED;
	for (size_t i = 0; i < n; i++) {
		const struct peer_info *p = &list[i].info;

		peer_fingerprint(p->identity, fp);
		printf("%3zu  %-20s %-24s %s\n", i + 1,
		    show_esc(s, 0, p->id, strlen(p->id)),
		    place_of(c, &list[i], place, sizeof(place)), fp);
	}
	show_free(s);
	printf("Which server (1 to %zu)? ", n);
	(void)fflush(stdout);
	if (fgets(line, sizeof(line), stdin) != NULL &&
	    (k = strtoul(line, &end, 10)) >= 1 && k <= n &&
	    (*end == '\n' || *end == '\0')) {
		*which = k - 1;
		return EXIT_DONE;
	}
	snprintf(err, size, "pair: no server was chosen");
	return EXIT_USAGE;
}

/* Nobody can be asked: name them, for the next try. */
static int
several(const struct cli *c, const struct discovered *list, size_t n,
    char *err, size_t size)
{
	char place[PLACE_MAX];
	size_t at;

	snprintf(err, size, "pair: %zu servers answer here; name one of:", n);
	for (size_t i = 0; i < n && (at = strlen(err)) < size; i++)
		snprintf(err + at, size - at, "%s %s (%s)", i > 0 ? "," : "",
		    place_of(c, &list[i], place, sizeof(place)),
		    list[i].info.id);
	return EXIT_USAGE;
}

static int
find_server(struct cli *c, char *err, size_t size)
{
	static struct discovered list[DISCOVER_MAX];
	bool person = !c->json && isatty(STDIN_FILENO) &&
	    isatty(STDOUT_FILENO);
	size_t n, which = 0;
	unsigned links;
	int code;

	if ((code = discover_servers(c, DISCOVER_MS, list, DISCOVER_MAX, &n,
	    &links, err, size)) != EXIT_DONE)
		return code;
	if ((n = keep_servers(c, list, n)) == 0) {
		snprintf(err, size, "pair: no server answers on this "
		    "machine's networks; name it: storegrid pair HOST (behind "
		    "a router it is never found by itself)");
		return EXIT_NOTHING;
	}
	if (n > 1 && (code = person ? choose(c, list, n, &which, err, size) :
	    several(c, list, n, err, size)) != EXIT_DONE)
		return code;
	snprintf(c->args.host, sizeof(c->args.host), "%s", list[which].host);
	c->args.host_port = port_of(c, &list[which]);
	return EXIT_DONE;
}

int
prepare_pair(struct cli *c, char *err, size_t size)
{
	if (c->nrest == 0)
		return find_server(c, err, size);
	if (split_host(c->rest[0], c->args.host, sizeof(c->args.host),
	    &c->args.host_port) == RC_OK)
		return EXIT_DONE;
	snprintf(err, size, "pair: HOST or HOST:PORT of the server is wanted, "
	    "an IPv6 address with a port as [ADDRESS]:PORT");
	return EXIT_USAGE;
}
