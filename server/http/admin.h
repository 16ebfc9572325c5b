#ifndef SERVER_HTTP_ADMIN_H
#define SERVER_HTTP_ADMIN_H

#include "server/auth/admin.h"
#include "server/http/api.h"

/* What a request asks of auth (MSG_ADMIN); what is not set is empty. */
struct admin_args {
	enum admin_op	 op;
	const char	*account, *name, *host;
	uint32_t	 seconds;
	uint8_t		 right;		/* enum right */
	uint8_t		 id[16];
	uint8_t		 id_digits;	/* of a prefix, in hexadecimal digits */
};

/* Ask auth and write the rows as the array `rows`; the status. */
int	admin_call(struct api *a, const struct admin_args *c,
	    const char *rows);
/* 1 to 32 hexadecimal digits; RC_RANGE. */
int	admin_id_prefix(const char *s, struct admin_args *c);
/* adminrows.c: one row of the answer as an object. */
int	admin_put_row(struct json *j, struct rbuf *in);

#endif
