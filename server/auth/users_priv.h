#ifndef SERVER_AUTH_USERS_PRIV_H
#define SERVER_AUTH_USERS_PRIV_H

#include "server/auth/users.h"

/* Between users.c, the queue, and outcome.c, what follows of a check. */
struct result {
	uint32_t	number;
	uint8_t		ok;
	uint8_t		hash[32];
	uint64_t	step;
};

/* Takes the attempt. */
void	attempt_done(struct authd *a, struct attempt *t,
	    const struct result *r);

#endif
