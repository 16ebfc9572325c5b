#ifndef SERVER_AUTH_WORKER_H
#define SERVER_AUTH_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/chan.h"
#include "server/addr.h"

/* A session or api worker, as auth sees it. */
enum worker_state {
	W_IDLE = 0x01,		/* serves nobody yet */
	W_CONN = 0x02,		/* has a connection */
	W_NONCE = 0x04,		/* has its challenge */
	W_ENROLLED = 0x08,
	W_DONE = 0x10,		/* logged in, or failed: no second try */
	/* api workers */
	W_SIGNED = 0x20,	/* by a session or an API token */
	W_BUSY = 0x40,		/* waits for sg-login */
	W_PEER = 0x80,		/* another installation */
};
#define W_ALL 0xff

struct queued;

/* What a signed-in api worker stands on; looked at again for each request. */
enum credential { CREDENTIAL_NONE, CREDENTIAL_SESSION, CREDENTIAL_API };

struct worker {
	struct chan		*c;
	uint32_t		 number;
	enum role		 role;
	enum worker_state	 state;
	uint64_t		 conn;
	uint8_t			 kind, verdict;
	struct addr		 addr;
	uint8_t			 nonce[32];
	bool			 broken;	/* to be dropped */
	/* session workers: pairing */
	unsigned		 pair_calls;
	bool			 asked;		/* `pairing` is its own */
	uint8_t			 pairing[16];
	/* api workers */
	enum worker_state	 before;	/* W_BUSY */
	uint8_t			 right;
	char			 user[64];
	enum credential		 credential;
	uint8_t			 credential_id[16];
	bool			 cut;		/* the master was told */
	struct queued		*head, **tail;
	size_t			 queue_len;
};

/* Takes the descriptor; NULL: no memory. */
struct worker	*worker_new(int fd, uint32_t number, enum role role);
void	worker_free(struct worker *w);
/* Never waits: what does not go at once is kept, up to a limit (RC_LIMIT). */
int	worker_send(struct worker *w, enum msg_type type,
	    const struct wbuf *body);
int	worker_flush(struct worker *w);
/* The same for an answer that comes later: a failure marks it broken. */
void	worker_tell(struct worker *w, enum msg_type type,
	    const struct wbuf *body);

#endif
