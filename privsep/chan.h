#ifndef PRIVSEP_CHAN_H
#define PRIVSEP_CHAN_H

#include <stdint.h>

#include "common/rbuf.h"
#include "common/wbuf.h"
#include "privsep/messages.h"

/*
 * One end of a SOCK_SEQPACKET pair between two of our processes.  One send is
 * one message (u16 type, then the body); at most one descriptor; end of file is
 * seen.  Which messages may arrive is decided by messages.h from the two roles.
 */
struct chan;

struct msg {
	uint16_t	 type;		/* enum msg_type */
	struct rbuf	 body;		/* valid until the next chan_recv() */
	int		 fd;		/* -1, or owned by the channel until taken */
};

/* Takes ownership of fd (also when it returns NULL).  Keeps O_NONBLOCK as it
 * finds it. */
struct chan	*chan_new(int fd, enum role self, enum role peer);
void	chan_free(struct chan *c);		/* closes; takes NULL */
int	chan_fd(const struct chan *c);
enum role chan_peer(const struct chan *c);
int	chan_set_nonblock(struct chan *c);

/* A close-on-exec SEQPACKET pair. */
int	chan_pair(int fds[2]);

/*
 * Send one message.  body may be NULL; one that failed while it was written is
 * refused with its own code.  fd is -1 or a descriptor to pass along (not
 * closed).  RC_AGAIN: the channel is non-blocking and full.  RC_EOF: the other
 * end is gone.
 */
int	chan_send(struct chan *c, enum msg_type type, const struct wbuf *body,
	    int fd);
/* The same, and never waits, whatever the channel is (RC_AGAIN). */
int	chan_send_now(struct chan *c, enum msg_type type,
	    const struct wbuf *body, int fd);
/*
 * Receive one message.  RC_AGAIN when non-blocking and there is none, RC_EOF at
 * the end, RC_PROTO or RC_STATE when the message is against the table (the
 * caller drops the channel then).  A descriptor not taken is closed by the next
 * call or chan_free().
 */
int	chan_recv(struct chan *c, struct msg *m);
/* As chan_recv(), and waits at most timeout_ms (-1: for ever); RC_TIMEOUT. */
int	chan_recv_wait(struct chan *c, struct msg *m, int timeout_ms);
/* Receive and insist on one type (another is RC_STATE). */
int	chan_expect(struct chan *c, enum msg_type type, struct msg *m,
	    int timeout_ms);
/* The message's descriptor becomes the caller's. */
int	msg_take_fd(struct chan *c, struct msg *m);

const char *msg_name(uint16_t type);

#endif
