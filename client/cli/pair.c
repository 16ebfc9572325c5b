#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "common/rc.h"

/* storegrid pair: which server is meant. */

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

/* A lone colon parts a port off; an IPv6 address with one stands in brackets. */
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

int
prepare_pair(struct cli *c, char *err, size_t size)
{
	if (split_host(c->rest[0], c->args.host, sizeof(c->args.host),
	    &c->args.host_port) == RC_OK)
		return EXIT_DONE;
	snprintf(err, size, "pair: HOST or HOST:PORT of the server is wanted, "
	    "an IPv6 address with a port as [ADDRESS]:PORT");
	return EXIT_USAGE;
}
