#ifndef SERVER_MASTER_PORTS_H
#define SERVER_MASTER_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/conf.h"
#include "privsep/messages.h"
#include "server/addr.h"

/*
 * The table of sockets: what the configuration wants, where it came from
 * (bound here, or inherited from systemd and compared), and what stays closed.
 */
#define PORTS_MAX	(3 * 2 * CONF_LIST_MAX + 9)

struct port {
	uint8_t		kind;		/* enum port_kind */
	enum role	role;		/* whose socket it is */
	struct addr	addr;		/* family 0: the control socket, netlink */
	bool		any;		/* from "*": a family may be missing */
	bool		inherited;
	int		fd;		/* -1: not open */
};

struct ports {
	struct port	v[PORTS_MAX];
	size_t		n;
	char		control[108];	/* path of the control socket */
	char		dialer[108];	/* of the dialer's, if systemd has one */
};

/* What the configuration wants, nothing opened.  RC_CONFIG. */
int	ports_plan(struct ports *ps, const struct conf *c, char *err,
	    size_t size);
/*
 * Compare n inherited sockets, from descriptor `first` on, with the plan and
 * take them.  RC_CONFIG with a line that names the key and the systemctl
 * commands when one is left over, missing or different.
 */
int	ports_inherit(struct ports *ps, int first, int n, char *err,
	    size_t size);
/* Open what was not inherited.  RC_BUSY with key, port and holder. */
int	ports_open(struct ports *ps, char *err, size_t size);
void	ports_close(struct ports *ps);

/* What is known of a kind of socket before it is open. */
struct port_kind_info {
	const char	*key;		/* of the configuration: "Ports.Server" */
	const char	*unit;		/* of systemd */
	int		 type;		/* SOCK_* */
};
const struct port_kind_info *port_info(uint8_t kind);
/* "[::]:32004" */
const char *port_where(const struct port *p, char *out, size_t size);
/* Accepted connections inherit it, and workers may not set it: an answer of a
 * few bytes must not wait for the acknowledgement of the one before. */
int	port_no_delay(int fd);

/* What holds a port, best effort: "pid 12 (nginx)" or "". */
void	port_holder(const struct addr *a, char *out, size_t size);

/* Does a process listen on this Unix socket?  true when it cannot be told. */
bool	path_is_listened(const char *path);

/* ports_holder.c: inode of the listening socket in a /proc/net/tcp text, 0 if
 * none. */
uint64_t holder_inode(const char *text, const struct addr *a);

#endif
