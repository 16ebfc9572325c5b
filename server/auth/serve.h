#ifndef SERVER_AUTH_SERVE_H
#define SERVER_AUTH_SERVE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/role.h"
#include "server/auth/auth.h"
#include "server/auth/delay.h"
#include "server/auth/notes.h"
#include "server/auth/pair.h"
#include "server/auth/users.h"
#include "server/auth/worker.h"

/*
 * The auth process without its start: who sits on which channel, what each may
 * send in which state, and what follows.
 */
#define AUTH_COST	16		/* scrypt: 64 MiB and a quarter second */

struct auth_opts {
	struct db		*db;
	struct auth_self	 self;
	struct conf		 conf;
	struct chan		*master;
	uint8_t			 cost;		/* log2 of scrypt's N */
	int64_t			(*seconds)(void);	/* Unix */
	uint64_t		(*ms)(void);		/* only goes forward */
};

struct authd {
	struct auth_opts	 o;
	struct db		*db;
	struct worker		*workers[CHANNELS_MAX];
	size_t			 n;
	struct pollfd		 poll[CHANNELS_MAX + 1];
	struct worker		*login;		/* NULL: none now */
	struct users		 users;
	struct delay		*delay;
	struct notes		 notes;
	struct pairs		 pairs;
	uint64_t		 swept;		/* o.ms() of the last sweep */
	bool			 stop;
};

/* The database and the channel stay the caller's.  NULL: no memory. */
struct authd *authd_new(const struct auth_opts *o);
void	authd_free(struct authd *a);
/*
 * Wait for at most timeout_ms (-1: until something comes) and serve whoever
 * asks.  The master is heard first: what a worker serves is told to us before
 * the worker learns it.  `other` takes the master's NEW_CHAN.  RC_EOF: the
 * master is gone.
 */
int	authd_turn(struct authd *a, int timeout_ms,
	    int (*other)(void *arg, struct msg *m), void *arg);

/* --- between the files of auth --- */

extern const struct handler auth_from_session[], auth_from_api[];
extern const size_t auth_from_session_n, auth_from_api_n;

/* What a handler is called with. */
struct auth_call {
	struct authd	*a;
	struct worker	*w;
};

/* Frees b.  The master's end of the channel is the end of auth. */
int	auth_to_master(struct authd *a, enum msg_type type, struct wbuf *b);
void	auth_event(struct authd *a, const struct worker *w, uint8_t event);
void	auth_cut_off(struct authd *a, const uint8_t vault[16]);
const char *worker_from(const struct worker *w, char out[ADDR_TEXT_MAX]);

/* api.c: AUTH_USER, and before it the grant when someone came in. */
struct auth_in {
	uint8_t		 right;
	const char	*user;
	enum credential	 credential;
	const uint8_t	*id;			/* 16 */
	const uint8_t	*identity;		/* a peer's, or NULL */
	const uint8_t	*secret;		/* of a new session, or NULL */
	int64_t		 expires;
};
/* RC_STATE: the worker is another user's. */
int	api_may_enter(const struct worker *w, uint8_t right, const char *user);
void	api_enter(struct authd *a, struct worker *w, const struct auth_in *in);
void	api_answer(struct authd *a, struct worker *w, int rc, const char *text);
void	api_answer_self(struct authd *a, struct worker *w, int64_t expires,
	    const char *secret_text);
/* Names and passwords as people type them; too long is wrong, not malformed. */
#define API_TYPED_MAX	1024
/* RC_OK while what the worker signed in with holds; RC_NOENT, RC_TIMEOUT. */
int	api_credential(struct authd *a, const struct worker *w,
	    int64_t *expires);
int	auth_on_self(void *arg, struct chan *c, struct msg *m);	/* api_self.c */
/* Workers whose session or token is no more are ended by the master; not
 * `except`, which still has its answer to give. */
void	api_sweep(struct authd *a, const struct worker *except);

#endif
