#ifndef CLIENT_CLI_DISCOVER_H
#define CLIENT_CLI_DISCOVER_H

#include "client/cli/cli.h"
#include "common/peerinfo.h"

/*
 * Which installations answer on the links of this machine.  What they send is
 * read by a process of its own (sg-seek); what comes out of it here has a true
 * signature by the key that it names, and nothing else about it is proven.
 */
#define DISCOVER_MAX	256
#define DISCOVER_MS	3500
#define DISCOVER_HOST_MAX 64	/* fe80::1%interface */

struct discovered {
	struct peer_info info;
	uint8_t		 family;	/* 4 where it answered by both */
	char		 host[DISCOVER_HOST_MAX];
};

/*
 * Waits `ms`.  EXIT_DONE with *n of at most `max` in `list`, sorted by StoreGrid
 * ID, each identity once, and *links, the number of interfaces that could be
 * asked on; otherwise an exit code and a sentence.
 */
int	discover_servers(struct cli *c, unsigned ms, struct discovered *list,
	    size_t max, size_t *n, unsigned *links, char *err, size_t size);

/* One SEEK_SEEN: adds it, or betters the address of what is there.  RC_LIMIT
 * when the list is full, RC_PROTO and its like when it makes no sense. */
int	discover_take(struct rbuf *in, struct discovered *list, size_t max,
	    size_t *n);
const char *discover_mode(uint8_t mode);	/* "server"; "?" */

/* The verb; all of it. */
int	prepare_discover(struct cli *c, char *err, size_t size);

#endif
