#ifndef SERVER_AUTH_DB_H
#define SERVER_AUTH_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/secret.h"
#include "server/auth/admin.h"

/*
 * auth.db: accounts, clients, tokens, vaults.  One process has it, under an
 * exclusive lock; every change is on stable storage when the call returns.
 * RC_NOENT: no such row; RC_EXISTS: the name is taken; RC_FULL, RC_IO, ...
 */
#define DB_NAME_MAX	63		/* [A-Za-z0-9][A-Za-z0-9._-]* */

enum db_vault_state {
	DB_VAULT_NONE = 0,		/* no grant yet */
	DB_VAULT_CREATING,		/* a grant was given that may make it */
	DB_VAULT_EXISTS,		/* missing is an error now */
};

enum db_token_state {
	DB_TOKEN_OPEN = 0,
	DB_TOKEN_USED,
	DB_TOKEN_EXPIRED,		/* never stored, told by the clock */
	DB_TOKEN_REVOKED,
};

struct db_account {
	char		name[DB_NAME_MAX + 1];
	uint32_t	clients;
	int64_t		created;
};

struct db_client {
	uint8_t		id[16];
	char		account[DB_NAME_MAX + 1], name[DB_NAME_MAX + 1];
	bool		has_key;
	uint8_t		key[ED25519_LEN];
	uint8_t		state;		/* enum client_state */
	uint8_t		vault[16], instance[16];
	uint8_t		vault_state;	/* enum db_vault_state */
	int64_t		created, seen;
};

struct db_token {
	uint8_t		id[16];
	struct secret	secret;
	uint8_t		client[16];
	char		account[DB_NAME_MAX + 1], name[DB_NAME_MAX + 1];
	int64_t		expires;
	uint8_t		state;		/* as stored: open, used, revoked */
};

struct db_vault {
	uint8_t		id[16], instance[16];
	char		account[DB_NAME_MAX + 1], name[DB_NAME_MAX + 1];
	uint8_t		state;
};

struct db;

bool	db_name_ok(const char *name);

/* Opens or makes it, with every file that it will ever need. */
int	db_open(struct db **out, const char *path);
void	db_close(struct db *db);
/* What SQLite said last. */
const char *db_error(struct db *db);

int	db_account_add(struct db *db, const char *name, int64_t now);
/* RC_BUSY: it has clients. */
int	db_account_rm(struct db *db, const char *name);
int	db_account_get(struct db *db, const char *name, struct db_account *a);

/* RC_NOENT: no such account.  Ids of client, vault and instance are new. */
int	db_client_add(struct db *db, const char *account, const char *name,
	    int64_t now, struct db_client *c);
int	db_client_get(struct db *db, const uint8_t id[16], struct db_client *c);
int	db_client_find(struct db *db, const char *account, const char *name,
	    struct db_client *c);
int	db_client_disable(struct db *db, const uint8_t id[16], bool disable);
/* Its tokens go too; the vault stays listed unless it never came to be. */
int	db_client_rm(struct db *db, const uint8_t id[16]);
int	db_client_seen(struct db *db, const uint8_t id[16], int64_t now);

/* Recorded before the first grant; later states stay. */
int	db_vault_creating(struct db *db, const uint8_t id[16]);
int	db_vault_made(struct db *db, const uint8_t id[16]);

int	db_token_add(struct db *db, const struct db_token *t, int64_t now);
int	db_token_get(struct db *db, const uint8_t id[16], struct db_token *t);
/* One transaction: the token is spent and the client has this key.  RC_STATE
 * when it was not open any more. */
int	db_token_use(struct db *db, const struct db_token *t,
	    const uint8_t key[ED25519_LEN]);
/* By the first hexadecimal digits of the id; *n of open ones match, and only
 * exactly one is revoked. */
int	db_token_revoke(struct db *db, const uint8_t id[16], unsigned digits,
	    unsigned *n);

/* Calls back for each row, in order; a failure of fn ends it. */
int	db_accounts(struct db *db,
	    int (*fn)(void *arg, const struct db_account *a), void *arg);
int	db_clients(struct db *db,
	    int (*fn)(void *arg, const struct db_client *c), void *arg);
int	db_tokens(struct db *db,
	    int (*fn)(void *arg, const struct db_token *t), void *arg);
int	db_vaults(struct db *db,
	    int (*fn)(void *arg, const struct db_vault *v), void *arg);

#endif
