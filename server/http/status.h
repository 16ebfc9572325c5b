#ifndef SERVER_HTTP_STATUS_H
#define SERVER_HTTP_STATUS_H

#include "server/http/api.h"

/* Ask the master what runs: `row` gets the body of each STATUS_PROC and
 * STATUS_PORT and at last of STATUS_END.  The status. */
typedef int status_row(struct api *a, void *arg, uint16_t type,
	    struct rbuf *in);
int	status_ask(struct api *a, status_row *row, void *arg);

struct status_end {
	char		version[32], id[64];
	int64_t		started;
	uint32_t	sessions, vaults;
};
int	status_end_get(struct rbuf *in, struct status_end *e);

#endif
