#ifndef SERVER_HTTP_CONN_H
#define SERVER_HTTP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/tls.h"

/*
 * The one connection of a worker, TLS or clear text.  Every wait also watches
 * the channel to the master: `on_parent` is called when something is there, and
 * what it returns other than RC_OK ends the wait with that.  Deadlines are
 * io_now_ms().
 */
struct http_conn {
	int		 fd;
	struct tls	*tls;		/* NULL: clear text */
	bool		 ours;		/* the kernel told who it is (control socket) */
	unsigned int	 uid;
	int		 pid;
	int		 parent_fd;
	int		(*on_parent)(void *arg);
	void		*arg;
};

/* Look at the first byte without taking it. */
int	conn_first_byte(struct http_conn *c, uint8_t *byte, uint64_t deadline);
int	conn_handshake(struct http_conn *c, struct tls_ctx *ctx,
	    uint64_t deadline);
/* At least one byte; RC_EOF, RC_TIMEOUT. */
int	conn_read(struct http_conn *c, void *p, size_t size, size_t *n,
	    uint64_t deadline);
/* What is there now; RC_AGAIN with *want. */
int	conn_read_now(struct http_conn *c, void *p, size_t size, size_t *n,
	    short *want);
int	conn_write(struct http_conn *c, const void *p, size_t n,
	    uint64_t deadline);
/* Say that nothing more comes; drain: read over what the far end still sends for
 * a moment, so that the kernel does not throw our answer away with it. */
void	conn_close(struct http_conn *c, bool drain);

#endif
