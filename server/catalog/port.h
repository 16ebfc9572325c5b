#ifndef SERVER_CATALOG_PORT_H
#define SERVER_CATALOG_PORT_H

#include <stdbool.h>

#include "privsep/chan.h"

/*
 * A channel that is never waited for: what does not go at once is kept, up to a
 * limit, and sent when there is room.
 */
#define PORT_QUEUE_MAX	(1u << 20)
#define PORT_FULL	(64u << 10)	/* a good moment to stop making rows */

struct port;

struct port *port_new(int fd, enum role peer);	/* takes fd; NULL: no memory */
void	port_free(struct port *p);
struct chan *port_chan(const struct port *p);
/* RC_LIMIT: the reader is too slow. */
int	port_send(struct port *p, enum msg_type type, const struct wbuf *body);
int	port_flush(struct port *p);
bool	port_waits(const struct port *p);	/* something is kept */
bool	port_full(const struct port *p);

#endif
