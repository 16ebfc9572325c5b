#ifndef SERVER_AUTH_ADMIN_PRIV_H
#define SERVER_AUTH_ADMIN_PRIV_H

#include "common/token.h"
#include "server/auth/auth.h"
#include "server/auth/db.h"
#include "server/auth/notes.h"
#include "server/auth/pair.h"

/* One ADMIN message, between the files of admin. */
#define ADMIN_ROW_MAX	2048

struct request {
	struct admin_env *e;
	struct db	*db;
	int64_t		 now;
	uint8_t		 op;
	char		 account[128], name[128];
	char		 host[TOKEN_HOST_MAX + 1];
	uint32_t	 seconds;
	uint8_t		 digits;
	uint8_t		 id[16];
	uint8_t		 right;
	char		 user[64];
	char		 text[512];	/* of the answer */
	char		 object[140];	/* of the audit entry; "": account/name */
	char		 detail[128];	/* of the audit entry when it went well */
};

/* The sentence of the answer; returns rc. */
int	admin_say(struct request *q, int rc, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
/* Sends and frees. */
int	admin_row(struct request *q, struct wbuf *b);
int	admin_secret_row(struct request *q, const char *text, int64_t expires);
int	admin_bad_name(struct request *q, const char *what, const char *name);
/* What a prefix of an id found, when it was not one. */
int	admin_matches(struct request *q, unsigned n, const char *what,
	    const char *list);

/* admin_clients.c */
int	admin_client_ready(struct request *q, struct db_client *c);
int	admin_make_token(struct request *q, const struct db_client *c,
	    uint32_t seconds, char text[TOKEN_TEXT_MAX], int64_t *expires);

typedef int admin_fn(struct request *q);
admin_fn admin_account_add, admin_account_list, admin_account_rm,
    admin_client_add, admin_client_list, admin_client_disable,
    admin_client_enable, admin_client_rm, admin_token_add, admin_token_list,
    admin_token_revoke, admin_vault_list;
/* admin_users.c */
admin_fn admin_user_add, admin_user_list, admin_user_rm, admin_user_right,
    admin_user_reset, admin_session_list, admin_session_revoke,
    admin_api_add, admin_api_list, admin_api_revoke;
/* admin_pair.c */
admin_fn admin_pair_list, admin_pair_accept, admin_pair_refuse;

#endif
