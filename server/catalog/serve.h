#ifndef SERVER_CATALOG_SERVE_H
#define SERVER_CATALOG_SERVE_H

#include <poll.h>

#include "server/catalog/asker.h"
#include "server/catalog/history.h"
#include "server/catalog/port.h"

/*
 * The channels of the catalog: what each may say follows from the role that is
 * behind it, and what that role's process did goes with its channel.
 */
#define SERVE_MEMBERS_MAX	CHANNELS_MAX
#define SERVE_COMMIT_MS		500	/* changes that nobody waits for */
#define SERVE_GRACE_S		20	/* for stores to speak after our start */
#define SERVE_WAKE_S		2	/* between two vaults that are asked */

struct member;

struct serve {
	struct catalog	 c;
	struct peers	 peers;
	struct dialer	 dialer;
	struct office	 office;
	/* to the master; must not wait, RC_AGAIN when it would */
	int		(*send)(void *arg, enum msg_type type, struct wbuf *b);
	void		*arg;
	struct member	*v[SERVE_MEMBERS_MAX];
	size_t		 n;
	struct pollfd	 poll[SERVE_MEMBERS_MAX + 1];
	bool		 listed;	/* auth's list is whole */
	bool		 more;		/* rows wait to be made */
	uint64_t	 write_ms;	/* when the transaction began */
	int64_t		 started, wake_at, second, minute, hour, told_error;
	int64_t		 wake_after;
};

/* Opens the database; s->send is set already.  serve_free() in any case. */
int	serve_open(struct serve *s, const char *path, const struct conf *conf,
	    const uint8_t identity[ED25519_LEN], const uint8_t pin[SHA256_LEN],
	    int64_t now);
void	serve_free(struct serve *s);

/* A channel that is not a worker's: auth.  Takes fd. */
int	serve_auth(struct serve *s, int fd);
/* What the master says, but STOP and NEW_CHAN. */
int	serve_master(struct serve *s, struct chan *c, struct msg *m);

/* One turn: set the clocks, fill s->poll[1..] (0 is the caller's), poll, and
 * then this with how many were filled. */
void	serve_clock(struct serve *s, int64_t now, uint64_t ms);
size_t	serve_prepare(struct serve *s, int *timeout_ms);
void	serve_turn(struct serve *s, size_t filled);

#endif
