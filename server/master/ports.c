#include "config.h"

#include "server/master/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"

#define BACKLOG		1024
#define ADMIN_GROUP	"storegrid-admin"

static const struct port_kind_info kinds[PORT_KIND_MAX] = {
	[PORT_SERVER] = { "Ports.Server", "storegridd-backup.socket",
	    SOCK_STREAM },
	[PORT_SSL] = { "Ports.SSLServer", "storegridd-ssl.socket",
	    SOCK_STREAM },
	[PORT_GUI] = { "Ports.GUI", "storegridd-gui.socket", SOCK_STREAM },
	[PORT_CONTROL] = { "Paths.Run", "storegridd-control.socket",
	    SOCK_STREAM },
	[PORT_MCAST_REQ] = { "Ports.Multicast", "storegridd-discovery.socket",
	    SOCK_DGRAM },
	[PORT_MCAST_ANS] = { "Ports.Multicast", "storegridd-discovery.socket",
	    SOCK_DGRAM },
	[PORT_SCAN] = { "Ports.UDPScan", "storegridd-scan.socket",
	    SOCK_DGRAM },
	[PORT_DIALER] = { "Paths.Run", "storegridd-dialer.socket",
	    SOCK_SEQPACKET },
	[PORT_NETLINK] = { "Discovery", "storegridd-discovery.socket",
	    SOCK_RAW },
};

const struct port_kind_info *
port_info(uint8_t kind)
{
	static const struct port_kind_info none = { "?", "storegridd-*.socket",
	    SOCK_STREAM };

	return kind < PORT_KIND_MAX && kinds[kind].key != NULL ? &kinds[kind] :
	    &none;
}

const char *
port_where(const struct port *p, char *out, size_t size)
{
	char text[ADDR_TEXT_MAX];

	if (p->kind == PORT_NETLINK) {
		snprintf(out, size, "a netlink route socket");
		return out;
	}
	addr_text(&p->addr, text, sizeof(text));
	if (p->addr.family == 6)
		snprintf(out, size, "[%s]:%u", text, p->addr.port);
	else
		snprintf(out, size, "%s:%u", text, p->addr.port);
	return out;
}

static struct port *
plan_add(struct ports *ps, uint8_t kind, const struct addr *a, uint16_t port,
    bool any)
{
	struct port *p = &ps->v[ps->n++];

	memset(p, 0, sizeof(*p));
	p->kind = kind;
	p->role = ROLE_LISTENER;
	p->addr = *a;
	p->addr.port = port;
	p->any = any;
	p->fd = -1;
	return p;
}

static const struct addr any4 = { .family = 4 }, any6 = { .family = 6 };

static int
plan_listen(struct ports *ps, uint8_t kind, uint16_t port, const char *key,
    const struct conf_list *l, char *err, size_t size)
{
	struct addr a;
	size_t i, j, first = ps->n;

	if (l->n == 0) {
		snprintf(err, size, "%s is empty: nobody could connect", key);
		return RC_CONFIG;
	}
	for (i = 0; i < l->n; i++) {
		if (strcmp(l->s[i], "*") == 0) {
			if (l->n > 1) {
				snprintf(err, size, "%s: \"*\" is every "
				    "address and stands alone", key);
				return RC_CONFIG;
			}
			plan_add(ps, kind, &any6, port, true);
			plan_add(ps, kind, &any4, port, true);
			continue;
		}
		if (addr_parse(&a, l->s[i]) != RC_OK) {
			snprintf(err, size, "%s: \"%s\" is neither \"*\" nor "
			    "an address", key, l->s[i]);
			return RC_CONFIG;
		}
		plan_add(ps, kind, &a, port, false);
		for (j = first; j + 1 < ps->n; j++)
			if (addr_equal(&ps->v[j].addr,
			    &ps->v[ps->n - 1].addr)) {
				snprintf(err, size, "%s: %s twice", key,
				    l->s[i]);
				return RC_CONFIG;
			}
	}
	return RC_OK;
}

static void
plan_mcast(struct ports *ps, uint8_t kind, uint16_t port)
{
	plan_add(ps, kind, &any6, port, true)->role = ROLE_MCAST;
	plan_add(ps, kind, &any4, port, true)->role = ROLE_MCAST;
}

/* Each role's sockets, and one that tells it of interfaces. */
static void
plan_discovery(struct ports *ps, const struct conf *c)
{
	static const struct addr none = { 0 };

	if (c->mcast_enabled) {
		plan_mcast(ps, PORT_MCAST_REQ, c->port_mcast_req);
		plan_mcast(ps, PORT_MCAST_ANS, c->port_mcast_ans);
		plan_add(ps, PORT_NETLINK, &none, 0, true)->role = ROLE_MCAST;
	}
	if (c->scan_enabled || c->scan_answer) {
		/* prefixes of IPv6 are beyond any scan */
		plan_add(ps, PORT_SCAN, &any4, c->port_scan, true)->role =
		    ROLE_SCAN;
		plan_add(ps, PORT_NETLINK, &none, 0, true)->role = ROLE_SCAN;
	}
}

/* Two keys with one number of one protocol would be told apart by nobody. */
static int
check_numbers(const struct ports *ps, char *err, size_t size)
{
	const struct port *p, *q;
	size_t i, j;

	for (i = 0; i < ps->n; i++)
		for (j = 0; j < i; j++) {
			p = &ps->v[i];
			q = &ps->v[j];
			if (p->kind == q->kind || p->addr.port == 0 ||
			    p->addr.port != q->addr.port ||
			    port_info(p->kind)->type !=
			    port_info(q->kind)->type)
				continue;
			snprintf(err, size, "%s is the same as %s (%u)",
			    port_info(p->kind)->key, port_info(q->kind)->key,
			    p->addr.port);
			return RC_CONFIG;
		}
	return RC_OK;
}

int
ports_plan(struct ports *ps, const struct conf *c, char *err, size_t size)
{
	static const struct addr none = { 0 };
	int rc, n;

	memset(ps, 0, sizeof(*ps));
	if (conf_serves(c) && (rc = plan_listen(ps, PORT_SERVER,
	    c->port_server, "Listen.Server", &c->listen_server, err,
	    size)) != RC_OK)
		return rc;
	if (conf_serves(c) && c->ssl_enabled && (rc = plan_listen(ps, PORT_SSL,
	    c->port_ssl, "Listen.Server", &c->listen_server, err, size)) !=
	    RC_OK)
		return rc;
	if ((rc = plan_listen(ps, PORT_GUI, c->port_gui, "Listen.GUI",
	    &c->listen_gui, err, size)) != RC_OK)
		return rc;
	plan_discovery(ps, c);
	n = snprintf(ps->control, sizeof(ps->control), "%s/control.sock",
	    c->run);
	if (n < 0 || (size_t)n >= sizeof(ps->control)) {
		snprintf(err, size, "Paths.Run is too long for a socket "
		    "(%zu bytes at most)", sizeof(ps->control) - 14);
		return RC_CONFIG;
	}
	plan_add(ps, PORT_CONTROL, &none, 0, false);
	snprintf(ps->dialer, sizeof(ps->dialer), "%.90s/dialer.sock", c->run);
	plan_add(ps, PORT_DIALER, &none, 0, false)->role = ROLE_MASTER;
	return check_numbers(ps, err, size);
}

int
port_no_delay(int fd)
{
	static const int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* --- our own --- */

static int
cannot_listen(const struct port *p, int e, char *err, size_t size)
{
	const char *key = port_info(p->kind)->key;
	char text[80], holder[128];

	port_where(p, text, sizeof(text));
	if (e == EADDRINUSE) {
		port_holder(&p->addr, holder, sizeof(holder));
		snprintf(err, size, "%s: %s is in use%s%s; change %s or stop "
		    "the other program", key, text, holder[0] != '\0' ? " by " :
		    "", holder, key);
		return RC_BUSY;
	}
	snprintf(err, size, "%s: cannot listen on %s: %s%s", key, text,
	    strerror(e), e == EADDRNOTAVAIL ?
	    " (Listen names an address this machine does not have)" : "");
	return e == EADDRNOTAVAIL || e == EACCES ? RC_CONFIG : RC_IO;
}

/*
 * REUSEADDR lets a restart bind beside connections that still end; it does not
 * let two listeners share a port.  Of multicast it lets several installations on
 * one machine hear all packets.
 */
static int
open_inet(struct port *p, char *err, size_t size)
{
	static const int on = 1;
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&p->addr, &ss);
	int fd, e, type = port_info(p->kind)->type;

	fd = socket(p->addr.family == 4 ? AF_INET : AF_INET6,
	    type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1) {
		if (errno == EAFNOSUPPORT && p->any)
			return RC_UNSUPPORTED;
		goto fail;
	}
	if (p->kind != PORT_SCAN && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR,
	    &on, sizeof(on)) != 0)
		goto fail;
	if (p->addr.family == 6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
	    &on, sizeof(on)) != 0)
		goto fail;
	if (type == SOCK_STREAM && port_no_delay(fd) != 0)
		goto fail;
	if (bind(fd, (struct sockaddr *)&ss, len) != 0 ||
	    (type == SOCK_STREAM && listen(fd, BACKLOG) != 0)) {
		/* IPv6 may be switched off and its sockets still be there. */
		if (errno == EADDRNOTAVAIL && p->any && p->addr.family == 6) {
			fd_close(&fd);
			return RC_UNSUPPORTED;
		}
		goto fail;
	}
	p->fd = fd;
	return RC_OK;
fail:
	e = errno;
	fd_close(&fd);
	return cannot_listen(p, e, err, size);
}

/* Where the kernel has none, discovery knows the interfaces of the start. */
static int
open_netlink(struct port *p)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK,
	    .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
	    RTMGRP_IPV6_IFADDR };
	int fd;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    NETLINK_ROUTE);
	if (fd == -1)
		return RC_UNSUPPORTED;
	if (bind(fd, (struct sockaddr *)&nl, sizeof(nl)) != 0) {
		fd_close(&fd);
		return RC_UNSUPPORTED;
	}
	p->fd = fd;
	return RC_OK;
}

/* Nobody answers at a socket file that a dead master left behind.  One that
 * another user left cannot be asked, but the kernel has a list. */
static bool
is_stale(const struct sockaddr_un *sun)
{
	bool stale;
	int fd, e;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return false;
	stale = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) != 0;
	e = errno;
	fd_close(&fd);
	if (stale && e == EACCES)
		return !path_is_listened(sun->sun_path);
	return stale && e == ECONNREFUSED;
}

static int
open_control(struct ports *ps, struct port *p, char *err, size_t size)
{
	static const int on = 1;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	struct group *gr;
	mode_t old;
	int fd = -1, e, rc;

	memcpy(sun.sun_path, ps->control, strlen(ps->control));
	if (lstat(ps->control, &st) == 0) {
		if (!S_ISSOCK(st.st_mode)) {
			snprintf(err, size, "Paths.Run: %s is not a socket",
			    ps->control);
			return RC_CONFIG;
		}
		if (!is_stale(&sun)) {
			snprintf(err, size, "Paths.Run: %s: another server "
			    "answers there", ps->control);
			return RC_BUSY;
		}
		if (unlink(ps->control) != 0)
			goto fail;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on,
	    sizeof(on)) != 0)
		goto fail;
	/* The mode is the permission, so it is right from the first instant. */
	old = umask(0117);
	rc = bind(fd, (struct sockaddr *)&sun, sizeof(sun));
	e = errno;
	umask(old);
	errno = e;
	if (rc != 0)
		goto fail;
	gr = getgrnam(ADMIN_GROUP);
	if (gr != NULL && lchown(ps->control, (uid_t)-1, gr->gr_gid) != 0)
		log_warn("control-socket path=%s cannot be given to group "
		    "%s: %s", ps->control, ADMIN_GROUP, strerror(errno));
	if (listen(fd, 64) != 0)
		goto fail;
	p->fd = fd;
	return RC_OK;
fail:
	e = errno;
	fd_close(&fd);
	snprintf(err, size, "Paths.Run: %s: %s", ps->control, strerror(e));
	return RC_CONFIG;
}

int
ports_open(struct ports *ps, char *err, size_t size)
{
	unsigned int open[PORT_KIND_MAX] = { 0 }, wanted[PORT_KIND_MAX] = { 0 };
	struct port *p;
	size_t i;
	int rc;

	for (i = 0; i < ps->n; i++) {
		p = &ps->v[i];
		/* Where systemd has none, the master starts the dialer. */
		if (p->kind == PORT_DIALER)
			continue;
		wanted[p->kind]++;
		rc = RC_OK;
		if (p->fd == -1)
			rc = p->kind == PORT_CONTROL ?
			    open_control(ps, p, err, size) :
			    p->kind == PORT_NETLINK ? open_netlink(p) :
			    open_inet(p, err, size);
		if (rc == RC_OK)
			open[p->kind]++;
		else if (rc != RC_UNSUPPORTED)
			return rc;
	}
	for (i = 0; i < PORT_KIND_MAX; i++)
		if (wanted[i] > 0 && open[i] == 0 && i != PORT_NETLINK) {
			snprintf(err, size, "%s: this machine has neither IPv4 "
			    "nor IPv6", port_info((uint8_t)i)->key);
			return RC_CONFIG;
		}
	return RC_OK;
}

void
ports_close(struct ports *ps)
{
	size_t i;

	/* A socket file of our own leads nowhere now.  Where a root master may
	 * not remove it any more, the next one does. */
	for (i = 0; i < ps->n; i++)
		if (ps->v[i].kind == PORT_CONTROL && ps->v[i].fd != -1 &&
		    !ps->v[i].inherited && unlink(ps->control) != 0)
			errno = 0;

	for (i = 0; i < ps->n; i++)
		fd_close(&ps->v[i].fd);
}
