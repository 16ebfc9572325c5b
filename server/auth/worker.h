#ifndef SERVER_AUTH_WORKER_H
#define SERVER_AUTH_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "privsep/chan.h"

/* A session or api worker, as auth sees it. */
enum worker_state {
	W_IDLE = 0x01,		/* serves nobody yet */
	W_CONN = 0x02,		/* has a connection */
	W_NONCE = 0x04,		/* has its challenge */
	W_ENROLLED = 0x08,
	W_DONE = 0x10,		/* logged in, or failed: no second try */
};
#define W_ALL 0x1f

struct queued;

struct worker {
	struct chan		*c;
	uint32_t		 number;
	enum role		 role;
	enum worker_state	 state;
	uint64_t		 conn;
	uint8_t			 kind, verdict;
	uint8_t			 nonce[32];
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

#endif
