#ifndef SERVER_AUTH_USERS_H
#define SERVER_AUTH_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/addr.h"
#include "server/auth/db.h"
#include "server/auth/delay.h"

/*
 * Passwords and codes on their way to sg-login and back.  One check is out at a
 * time; the rest waits in a queue, within the budgets of delay.h.
 */
#define USERS_QUEUE_MAX	64
#define USERS_WAIT_MS	12000		/* then "try again": the worker's own end
					   is near */
#define USER_PASSWORD_MIN 10
#define USER_PASSWORD_MAX 256
#define USER_CODE_MAX	16

struct authd;
struct worker;
struct msg;

enum attempt_what {
	ATTEMPT_SIGNIN,
	ATTEMPT_SETUP,		/* makes the password of a one-time secret */
	ATTEMPT_PASSWORD,	/* the old one */
	ATTEMPT_NEW,		/* ... was right: make the new one */
	ATTEMPT_TOTP_ON,
	ATTEMPT_TOTP_OFF,
};

struct attempt {
	struct attempt	*next;
	struct worker	*w;		/* NULL: it went away */
	enum attempt_what what;
	uint64_t	 since;
	uint32_t	 number;
	struct delay_who who;
	uint8_t		 source[16];
	char		 addr[ADDR_TEXT_MAX];
	char		 name[DB_NAME_MAX + 1];
	bool		 known;		/* there is such a user, with a password */
	struct db_user	 user;		/* as it was when it asked */
	char		 password[USER_PASSWORD_MAX + 1];
	char		 fresh[USER_PASSWORD_MAX + 1];
	char		 code[USER_CODE_MAX + 1];
	uint8_t		 salt[16];	/* of a new hash */
};

struct users {
	struct attempt	*head;		/* in the order they came */
	size_t		 n;
	struct attempt	*out;		/* at sg-login */
	uint32_t	 number;
};

/* The source that counts against guessing, as 16 bytes. */
void	users_source(const struct addr *a, uint8_t out[16]);
/* NULL, or why this cannot be a password. */
const char *users_password_bad(const char *name, const char *password);
/* An attempt of this worker, to be filled in; NULL: no memory.  known, user and
 * who follow from the name. */
struct attempt *users_attempt(struct authd *a, struct worker *w,
	    enum attempt_what what, const char *name);
void	users_attempt_free(struct attempt *t);
/* Takes it; the worker is W_BUSY until it is answered (perhaps at once). */
void	users_ask(struct authd *a, struct attempt *t);
/* LOGIN_RESULT. */
int	users_on_result(struct authd *a, struct msg *m);
/* sg-login is gone: what was there is answered. */
void	users_login_gone(struct authd *a);
void	users_worker_gone(struct authd *a, const struct worker *w);
/* Send the next check if it may go; answer those that waited too long. */
void	users_run(struct authd *a);
/* Milliseconds until users_run() has something to do; -1 never. */
int	users_wait(struct authd *a);
void	users_free(struct authd *a);

#endif
