#ifndef TESTS_UNIT_AUTH_HELP_H
#define TESTS_UNIT_AUTH_HELP_H

#include "server/auth/serve.h"
#include "server/login/totp.h"

/*
 * The auth process and sg-login in one: auth's own loop over real channels and a
 * real database, the master and the workers played by the test, checks answered
 * by sg-login's code.  The clock is the test's.
 */
#define BENCH_COST	4		/* scrypt N = 16: a moment */
#define BENCH_WORKERS	80

struct bench_worker {
	struct chan	*c;
	uint32_t	 number;
	uint64_t	 conn;
};

struct bench {
	char		 dir[40], path[64];
	struct db	*db;
	struct secret	 identity;
	struct auth_opts opts;
	struct authd	*a;
	struct chan	*master, *login, *catalog;
	uint32_t	 number;
	/* what sg-login was asked */
	unsigned	 checks;
	uint8_t		 check_what, check_cost;
	/* what the master heard last */
	unsigned	 grants, events, cuts, vault_cuts;
	uint8_t		 event, grant_right;
	char		 grant_user[64];
	uint32_t	 cut_number;
};

/* The answer AUTH_USER. */
struct bench_user {
	int	rc;
	char	text[512];
	uint8_t	right;
	char	user[64];
	uint8_t	secret[32];
	int64_t	expires;
	char	secret_text[600];
};

/* The answer to ADMIN. */
struct bench_admin {
	int	 rc;
	char	 text[512];
	unsigned rows;
	uint8_t	 row[2048];		/* the last */
	size_t	 row_len;
	char	 secret[TOKEN_TEXT_MAX];	/* of a SECRET row */
};

struct bench_ask {
	uint8_t		op;
	const char	*account, *name;
	uint32_t	seconds;
	const uint8_t	*id;
	uint8_t		digits, right;
};

extern int64_t bench_now;		/* Unix seconds */
extern uint64_t bench_ms;

void	bench_pass(unsigned seconds);
struct bench *bench_new(void);		/* with sg-login, without a catalog */
void	bench_free(struct bench *b);
void	bench_login_join(struct bench *b);
void	bench_catalog_join(struct bench *b);
/* Serve until nobody has anything to say; checks are answered. */
void	bench_run(struct bench *b);
/* The same, with the checks left where they are. */
void	bench_turns(struct bench *b);
/* Answer one check; RC_AGAIN: there is none. */
int	bench_check(struct bench *b);

/* An api (GUI, or PORT_CONTROL) or session worker with a connection. */
void	bench_worker(struct bench *b, struct bench_worker *w, enum role role,
	    uint8_t kind, const char *addr);
void	bench_worker_end(struct bench_worker *w);
void	bench_send(struct bench_worker *w, enum msg_type type,
	    struct wbuf *body);
/* RC_OK and AUTH_USER; RC_AGAIN none yet; RC_EOF dropped. */
int	bench_user(struct bench_worker *w, struct bench_user *u);
void	bench_signin(struct bench_worker *w, const char *name,
	    const char *password, const char *code);
/* Sign in and serve; returns the rc of the answer, 1 for none. */
int	bench_signed(struct bench *b, struct bench_worker *w,
	    const char *name, const char *password, const char *code,
	    struct bench_user *u);
int	bench_bearer(struct bench *b, struct bench_worker *w, uint8_t kind,
	    const uint8_t secret[32], struct bench_user *u);
int	bench_self(struct bench *b, struct bench_worker *w, uint8_t act,
	    const char *old, const char *fresh, const char *code,
	    struct bench_user *u);
/* RC of ADMIN_END; 1 when the channel was dropped. */
int	bench_admin(struct bench *b, struct bench_worker *w,
	    const struct bench_ask *ask, struct bench_admin *r);
/* The 32 bytes behind a base64url text. */
void	bench_decode(const char *text, uint8_t out[32]);
/* Make a user by the control socket and set the password. */
void	bench_user_add(struct bench *b, const char *name, uint8_t right,
	    const char *password);

#endif
