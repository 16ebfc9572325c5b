#ifndef SERVER_AUTH_DB_H
#define SERVER_AUTH_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/secret.h"
#include "server/auth/admin.h"

/*
 * auth.db: accounts, clients, tokens, vaults, users.  One process has it, under an
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

/*
 * Users of the console and the API (db_users.c).  Secrets that people carry are
 * stored as their SHA-256 only; passwords as scrypt makes them in sg-login.
 */
struct db_user {
	int64_t		id;
	char		name[DB_NAME_MAX + 1];
	uint8_t		right;		/* enum right */
	int64_t		created, seen;
	uint32_t	failures;	/* since the last sign-in */
	bool		has_password;
	uint8_t		salt[16], hash[32];
	uint8_t		cost;		/* log2 of scrypt's N */
	bool		totp_on, totp_begun;
	uint8_t		totp[32], totp_new[32];	/* DB_TOTP_LEN of them */
	uint64_t	totp_step;	/* the last that was used */
	bool		has_setup;
	uint8_t		setup[32];	/* SHA-256 of the one-time secret */
	int64_t		setup_expires;
};
#define DB_TOTP_LEN	20
#define DB_USERS_MAX	1000

/* RC_LIMIT: there are DB_USERS_MAX. */
int	db_user_add(struct db *db, const char *name, uint8_t right,
	    const uint8_t setup[32], int64_t setup_expires, int64_t now);
int	db_user_get(struct db *db, const char *name, struct db_user *u);
void	db_user_clear(struct db_user *u);
/* Each of these three ends the user's sessions; RESET takes the password and the
 * second factor away. */
int	db_user_rm(struct db *db, const char *name);
int	db_user_right(struct db *db, const char *name, uint8_t right);
int	db_user_reset(struct db *db, const char *name, const uint8_t setup[32],
	    int64_t setup_expires);
/* Ends the one-time secret and all sessions but `keep` (NULL: all). */
int	db_user_password(struct db *db, int64_t id, const uint8_t salt[16],
	    const uint8_t hash[32], uint8_t cost, const uint8_t *keep);
int	db_user_totp_begin(struct db *db, int64_t id, const uint8_t totp[32]);
/* The secret that was begun is in force; `step` is used. */
int	db_user_totp_on(struct db *db, int64_t id, uint64_t step);
int	db_user_totp_off(struct db *db, int64_t id);
/* RC_STATE: this step of the second factor, or a later one, was used. */
int	db_user_step(struct db *db, int64_t id, uint64_t step);
int	db_user_failed(struct db *db, int64_t id);
/* Signed in from there at `since` or later? */
bool	db_user_knows(struct db *db, int64_t id, const uint8_t source[16],
	    int64_t since);

/* Sessions and API tokens (db_sessions.c). */
struct db_session {
	uint8_t	id[16];
	int64_t	user;
	char	name[DB_NAME_MAX + 1];
	uint8_t	right;			/* the user's, now */
	char	addr[48];
	int64_t	created, seen, expires;
};
#define DB_SESSIONS_MAX		32	/* of one user; the oldest goes */
#define DB_SESSION_S		(12 * 3600)
#define DB_SESSION_IDLE_S	(2 * 3600)

/* One transaction: the session begins, the user's failures are forgotten, its
 * source is known from now on.  step 0: no second factor; RC_STATE as above. */
struct db_sign_in {
	int64_t		user;
	uint64_t	step;
	uint8_t		source[16];
	uint8_t		hash[32];	/* of the session's secret */
	const char	*addr;
	int64_t		now;
};
int	db_sign_in(struct db *db, const struct db_sign_in *in,
	    struct db_session *s);
/* RC_NOENT: none; RC_TIMEOUT: it has ended by time. */
int	db_session_find(struct db *db, const uint8_t hash[32], int64_t now,
	    struct db_session *s);
int	db_session_get(struct db *db, const uint8_t id[16], int64_t now,
	    struct db_session *s);
/* Recorded at most once a minute. */
int	db_session_seen(struct db *db, const uint8_t id[16], int64_t now);
int	db_session_end(struct db *db, const uint8_t id[16]);
/* As db_token_revoke(); of this user, or of any when NULL. */
int	db_session_revoke(struct db *db, const uint8_t id[16], unsigned digits,
	    const char *user, unsigned *n);

struct db_api {
	uint8_t	id[16];
	char	name[DB_NAME_MAX + 1];
	uint8_t	right;
	int64_t	created, seen, expires;
	uint8_t	state;			/* enum db_token_state as stored */
};
#define DB_API_MAX	256

/* The name of one that ended may be used again.  RC_EXISTS, RC_LIMIT. */
int	db_api_add(struct db *db, const struct db_api *a,
	    const uint8_t hash[32]);
/* As for sessions; RC_TIMEOUT also when it was revoked. */
int	db_api_find(struct db *db, const uint8_t hash[32], int64_t now,
	    struct db_api *a);
int	db_api_get(struct db *db, const uint8_t id[16], int64_t now,
	    struct db_api *a);
int	db_api_seen(struct db *db, const uint8_t id[16], int64_t now);
/* By the first digits of its id; by name when there are none. */
int	db_api_revoke(struct db *db, const uint8_t id[16], unsigned digits,
	    const char *name, unsigned *n);

/* Calls back for each row, in order; a failure of fn ends it. */
int	db_users(struct db *db,
	    int (*fn)(void *arg, const struct db_user *u), void *arg);
/* Of this user, or of all when NULL; those that ended are left out. */
int	db_sessions(struct db *db, const char *user, int64_t now,
	    int (*fn)(void *arg, const struct db_session *s), void *arg);
int	db_apis(struct db *db,
	    int (*fn)(void *arg, const struct db_api *a), void *arg);
int	db_accounts(struct db *db,
	    int (*fn)(void *arg, const struct db_account *a), void *arg);
int	db_clients(struct db *db,
	    int (*fn)(void *arg, const struct db_client *c), void *arg);
int	db_tokens(struct db *db,
	    int (*fn)(void *arg, const struct db_token *t), void *arg);
int	db_vaults(struct db *db,
	    int (*fn)(void *arg, const struct db_vault *v), void *arg);

#endif
