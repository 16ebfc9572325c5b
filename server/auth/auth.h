#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/proto.h"
#include "privsep/role.h"
#include "server/auth/db.h"

#define AUTH_TEXT_MAX	256

/* What auth knows of its own installation. */
struct auth_self {
	uint8_t		identity[ED25519_LEN];
	uint8_t		identity_fp[SHA256_LEN];
	uint8_t		pin[SHA256_LEN];	/* SPKI of the backup key */
};

/* One log-in or enrolment, as the worker passed it on. */
struct login_try {
	const uint8_t	*hello, *ok, *payload;	/* as they went over the wire */
	size_t		 hello_len, ok_len, payload_len;
	uint8_t		 exporter[32];
	/* what auth itself knows of that worker */
	uint8_t		 nonce[32];
	bool		 may_clear;	/* clear text is allowed there */
	int64_t		 now;		/* Unix seconds */
};

struct login_result {
	uint16_t	 code;			/* 0 or PROTO_ERR_* */
	char		 text[AUTH_TEXT_MAX];
	uint8_t		 event;			/* enum auth_event, 0 none */
	struct db_client client;		/* when code is 0 */
	bool		 create;		/* login: store may make it */
	bool		 existing;		/* enrol: it had a key */
};

/* login.c.  Always answers through *r. */
void	auth_login(struct db *db, const struct auth_self *self,
	    const struct login_try *t, struct login_result *r);
void	auth_enrol(struct db *db, const struct auth_self *self,
	    const struct login_try *t, struct login_result *r);

/* admin.c.  Rows and the end of the answer go through `send`, whose failure
 * ends it; vaults whose sessions must end go through `cut`. */
#define AUTH_API_NAME_MAX	48
struct notes;
struct pairs;
struct admin_env {
	struct db		*db;
	const struct auth_self	*self;
	const struct conf	*conf;
	struct notes		*notes;
	struct pairs		*pairs;
	int64_t			 now;
	uint8_t			 right;		/* of who asks */
	const char		*user;		/* NULL: as the message says */
	const char		*from;		/* address, "local" */
	bool			 ended;		/* the session is gone */
	int	(*send)(void *arg, enum msg_type type, const struct wbuf *body);
	void	(*cut)(void *arg, const uint8_t vault[16]);
	void			*arg;
	bool			 revoked;	/* out: sessions or tokens ended */
};
int	auth_admin(struct admin_env *e, struct rbuf *body);

#endif
