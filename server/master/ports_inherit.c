#include "config.h"

#include "server/master/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/rc.h"

/* Sockets that systemd made: each is compared with the configuration. */

/* What an inherited descriptor is; text is how an error calls it. */
struct inherited {
	int		domain, type, listening, v6only;
	struct addr	addr;
	char		text[160];
};

static int
look(int fd, struct inherited *in)
{
	struct sockaddr_storage ss;
	struct sockaddr_un sun;
	struct port p = { 0 };
	socklen_t len = sizeof(int);

	memset(in, 0, sizeof(*in));
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &in->domain, &len) != 0 ||
	    (len = sizeof(int), getsockopt(fd, SOL_SOCKET, SO_TYPE, &in->type,
	    &len)) != 0) {
		snprintf(in->text, sizeof(in->text), "not a socket");
		return RC_CONFIG;
	}
	len = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &in->listening,
	    &len) != 0)
		in->listening = 0;
	len = sizeof(int);
	if (in->domain == AF_INET6 && getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
	    &in->v6only, &len) != 0)
		in->v6only = 0;
	if (in->domain == AF_NETLINK) {
		snprintf(in->text, sizeof(in->text), "a netlink socket");
		return RC_OK;
	}
	memset(&ss, 0, sizeof(ss));
	len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return RC_CONFIG;
	if (in->domain == AF_UNIX) {
		memset(&sun, 0, sizeof(sun));
		memcpy(&sun, &ss, len < sizeof(sun) ? len : sizeof(sun));
		snprintf(in->text, sizeof(in->text), "%.*s",
		    (int)sizeof(sun.sun_path), sun.sun_path);
		return RC_OK;
	}
	addr_from_sockaddr(&in->addr, (struct sockaddr *)&ss, len);
	p.addr = in->addr;
	port_where(&p, in->text, sizeof(in->text));
	return RC_OK;
}

/* A listening stream socket, or one that takes datagrams. */
static bool
is_open(const struct inherited *in)
{
	return in->listening || in->type == SOCK_DGRAM ||
	    in->domain == AF_NETLINK;
}

static bool
matches(const struct ports *ps, const struct port *p,
    const struct inherited *in)
{
	if (p->fd != -1 || in->type != port_info(p->kind)->type ||
	    !is_open(in))
		return false;
	if (p->kind == PORT_CONTROL || p->kind == PORT_DIALER)
		return in->domain == AF_UNIX && strcmp(in->text,
		    p->kind == PORT_CONTROL ? ps->control : ps->dialer) == 0;
	if (p->kind == PORT_NETLINK)
		return in->domain == AF_NETLINK;
	if (in->domain != (p->addr.family == 4 ? AF_INET : AF_INET6) ||
	    !addr_equal(&in->addr, &p->addr))
		return false;
	return in->domain == AF_INET || in->v6only;
}

/* The entry that a socket was probably meant for. */
static const struct port *
meant(const struct ports *ps, const struct inherited *in)
{
	size_t i;

	for (i = 0; i < ps->n; i++)
		if (ps->v[i].fd == -1 && in->domain != AF_UNIX &&
		    ps->v[i].addr.port == in->addr.port &&
		    port_info(ps->v[i].kind)->type == in->type)
			return &ps->v[i];
	for (i = 0; i < ps->n; i++)
		if (ps->v[i].fd == -1 && (ps->v[i].addr.family == 0) ==
		    (in->domain == AF_UNIX || in->domain == AF_NETLINK) &&
		    port_info(ps->v[i].kind)->type == in->type)
			return &ps->v[i];
	return NULL;
}

#define MEND "\"systemctl edit %s\", \"systemctl daemon-reload\", "	\
	"\"systemctl restart %s storegridd.service\""

static void
complain(const struct ports *ps, const struct inherited *in, char *err,
    size_t size)
{
	const struct port *want = meant(ps, in);
	const struct port_kind_info *k = port_info(want != NULL ? want->kind :
	    in->domain == AF_UNIX ? PORT_CONTROL :
	    in->domain == AF_NETLINK ? PORT_NETLINK :
	    in->type == SOCK_DGRAM ? PORT_MCAST_REQ : PORT_SERVER);
	char text[80];

	if (!is_open(in))
		snprintf(err, size, "systemd passed %s, which is no listening "
		    "socket; mend it with " MEND, in->text, k->unit, k->unit);
	else if (in->domain == AF_INET6 && !in->v6only)
		snprintf(err, size, "systemd passed %s for IPv4 too; set "
		    "BindIPv6Only=ipv6-only with " MEND, in->text, k->unit,
		    k->unit);
	else if (want == NULL)
		snprintf(err, size, "systemd passed %s, which %s does not "
		    "want; mend it with " MEND ", or, where it is switched off, "
		    "\"systemctl disable --now %s\"", in->text, k->key, k->unit,
		    k->unit, k->unit);
	else
		snprintf(err, size, "systemd passed %s, but %s wants %s; mend "
		    "it with " MEND " (or set %s)", in->text, k->key,
		    want->kind == PORT_CONTROL ? ps->control :
		    want->kind == PORT_DIALER ? ps->dialer :
		    port_where(want, text, sizeof(text)), k->unit, k->unit,
		    k->key);
}

/* What the unit did not set, and the roles count on. */
static int
prepare(int fd, const struct inherited *in)
{
	static const int on = 1;
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return -1;
	/* Not the dialer's, which becomes a channel: those carry descriptors
	 * alone, and PEERCRED tells who came. */
	if (in->domain == AF_UNIX && in->type != SOCK_STREAM)
		return 0;
	if (in->domain == AF_UNIX)
		return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on,
		    sizeof(on));
	return in->type == SOCK_STREAM ? port_no_delay(fd) : 0;
}

/* Beside inherited sockets nothing is bound here: in a private network it would
 * be bound where nobody comes. */
static int
missing(const struct ports *ps, char *err, size_t size)
{
	const struct port_kind_info *k;
	char text[80];
	size_t i;

	for (i = 0; i < ps->n; i++) {
		if (ps->v[i].fd != -1 || ps->v[i].addr.family == 0)
			continue;
		k = port_info(ps->v[i].kind);
		snprintf(err, size, "%s wants %s, which systemd did not pass; "
		    "start it with \"systemctl enable --now %s\", or mend it "
		    "with " MEND, k->key,
		    port_where(&ps->v[i], text, sizeof(text)), k->unit,
		    k->unit, k->unit);
		return RC_CONFIG;
	}
	return RC_OK;
}

int
ports_inherit(struct ports *ps, int first, int n, char *err, size_t size)
{
	struct inherited in;
	bool inet = false;
	size_t k;
	int i;

	for (i = 0; i < n; i++) {
		if (look(first + i, &in) != RC_OK) {
			snprintf(err, size, "systemd passed descriptor %d, "
			    "which is %s", first + i, in.text);
			return RC_CONFIG;
		}
		for (k = 0; k < ps->n; k++)
			if (matches(ps, &ps->v[k], &in))
				break;
		if (k == ps->n) {
			complain(ps, &in, err, size);
			return RC_CONFIG;
		}
		if (prepare(first + i, &in) != 0) {
			snprintf(err, size, "%s: %s", in.text, strerror(errno));
			return RC_IO;
		}
		ps->v[k].fd = first + i;
		ps->v[k].inherited = true;
		inet = inet || ps->v[k].addr.family != 0;
	}
	return inet ? missing(ps, err, size) : RC_OK;
}
