#include "config.h"

#include "server/master/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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

static const struct {
	uint8_t		 kind;
	const char	*key;
	const char	*unit;
} kinds[] = {
	{ PORT_SERVER,	"Ports.Server",		"storegridd-backup.socket" },
	{ PORT_SSL,	"Ports.SSLServer",	"storegridd-ssl.socket" },
	{ PORT_CONTROL,	"Paths.Run",		"storegridd-control.socket" },
};

const char *
port_key(uint8_t kind)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == kind)
			return kinds[i].key;
	return "?";
}

static const char *
port_unit(uint8_t kind)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == kind)
			return kinds[i].unit;
	return "storegridd-*.socket";
}

static const char *
where(const struct port *p, char *out, size_t size)
{
	char text[ADDR_TEXT_MAX];

	addr_text(&p->addr, text, sizeof(text));
	if (p->addr.family == 6)
		snprintf(out, size, "[%s]:%u", text, p->addr.port);
	else
		snprintf(out, size, "%s:%u", text, p->addr.port);
	return out;
}

static void
plan_add(struct ports *ps, uint8_t kind, const struct addr *a, uint16_t port,
    bool any)
{
	struct port *p = &ps->v[ps->n++];

	memset(p, 0, sizeof(*p));
	p->kind = kind;
	p->addr = *a;
	p->addr.port = port;
	p->any = any;
	p->fd = -1;
}

static int
plan_listen(struct ports *ps, uint8_t kind, uint16_t port,
    const struct conf_list *l, char *err, size_t size)
{
	static const struct addr any4 = { .family = 4 }, any6 = { .family = 6 };
	struct addr a;
	size_t i, j, first = ps->n;

	if (l->n == 0) {
		snprintf(err, size, "Listen.Server is empty: nobody could "
		    "connect");
		return RC_CONFIG;
	}
	for (i = 0; i < l->n; i++) {
		if (strcmp(l->s[i], "*") == 0) {
			if (l->n > 1) {
				snprintf(err, size, "Listen.Server: \"*\" is "
				    "every address and stands alone");
				return RC_CONFIG;
			}
			plan_add(ps, kind, &any6, port, true);
			plan_add(ps, kind, &any4, port, true);
			continue;
		}
		if (addr_parse(&a, l->s[i]) != RC_OK) {
			snprintf(err, size, "Listen.Server: \"%s\" is neither "
			    "\"*\" nor an address", l->s[i]);
			return RC_CONFIG;
		}
		plan_add(ps, kind, &a, port, false);
		for (j = first; j + 1 < ps->n; j++)
			if (addr_equal(&ps->v[j].addr,
			    &ps->v[ps->n - 1].addr)) {
				snprintf(err, size, "Listen.Server: %s twice",
				    l->s[i]);
				return RC_CONFIG;
			}
	}
	return RC_OK;
}

int
ports_plan(struct ports *ps, const struct conf *c, char *err, size_t size)
{
	static const struct addr none = { 0 };
	int rc, n;

	memset(ps, 0, sizeof(*ps));
	if ((rc = plan_listen(ps, PORT_SERVER, c->port_server,
	    &c->listen_server, err, size)) != RC_OK)
		return rc;
	if (c->ssl_enabled) {
		if (c->port_ssl == c->port_server) {
			snprintf(err, size, "Ports.SSLServer is the same as "
			    "Ports.Server (%u)", c->port_server);
			return RC_CONFIG;
		}
		if ((rc = plan_listen(ps, PORT_SSL, c->port_ssl,
		    &c->listen_server, err, size)) != RC_OK)
			return rc;
	}
	n = snprintf(ps->control, sizeof(ps->control), "%s/control.sock",
	    c->run);
	if (n < 0 || (size_t)n >= sizeof(ps->control)) {
		snprintf(err, size, "Paths.Run is too long for a socket "
		    "(%zu bytes at most)", sizeof(ps->control) - 14);
		return RC_CONFIG;
	}
	plan_add(ps, PORT_CONTROL, &none, 0, false);
	return RC_OK;
}

/* Accepted connections inherit it, and workers may not set it: an answer of a
 * few bytes must not wait for the acknowledgement of the one before. */
static int
no_delay(int fd)
{
	static const int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* --- inherited --- */

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
	where(&p, in->text, sizeof(in->text));
	return RC_OK;
}

static bool
matches(const struct ports *ps, const struct port *p,
    const struct inherited *in)
{
	if (p->fd != -1 || in->type != SOCK_STREAM || !in->listening)
		return false;
	if (p->kind == PORT_CONTROL)
		return in->domain == AF_UNIX &&
		    strcmp(in->text, ps->control) == 0;
	if (in->domain != (p->addr.family == 4 ? AF_INET : AF_INET6) ||
	    !addr_equal(&in->addr, &p->addr))
		return false;
	return in->domain == AF_INET || in->v6only;
}

#define MEND "\"systemctl edit %s\", \"systemctl daemon-reload\", "	\
	"\"systemctl restart %s storegridd.service\""

static void
complain(const struct ports *ps, const struct inherited *in, char *err,
    size_t size)
{
	const struct port *want = NULL;
	uint8_t kind = in->domain == AF_UNIX ? PORT_CONTROL : PORT_SERVER;
	char text[80];
	size_t i;

	/* The entry it was probably meant for. */
	for (i = 0; i < ps->n && want == NULL; i++)
		if (ps->v[i].fd == -1 && ps->v[i].addr.port == in->addr.port &&
		    in->domain != AF_UNIX)
			want = &ps->v[i];
	for (i = 0; i < ps->n && want == NULL; i++)
		if (ps->v[i].fd == -1 && (ps->v[i].kind == PORT_CONTROL) ==
		    (kind == PORT_CONTROL))
			want = &ps->v[i];
	if (want != NULL)
		kind = want->kind;
	if (in->type != SOCK_STREAM || !in->listening)
		snprintf(err, size, "systemd passed %s, which is no listening "
		    "stream socket; mend it with " MEND, in->text,
		    port_unit(kind), port_unit(kind));
	else if (in->domain == AF_INET6 && !in->v6only)
		snprintf(err, size, "systemd passed %s for IPv4 too; set "
		    "BindIPv6Only=ipv6-only with " MEND, in->text,
		    port_unit(kind), port_unit(kind));
	else if (want == NULL)
		snprintf(err, size, "systemd passed %s, which %s does not "
		    "want; mend it with " MEND, in->text, port_key(kind),
		    port_unit(kind), port_unit(kind));
	else
		snprintf(err, size, "systemd passed %s, but %s wants %s; mend "
		    "it with " MEND " (or set %s)", in->text, port_key(kind),
		    kind == PORT_CONTROL ? ps->control :
		    where(want, text, sizeof(text)), port_unit(kind),
		    port_unit(kind), port_key(kind));
}

int
ports_inherit(struct ports *ps, int first, int n, char *err, size_t size)
{
	static const int on = 1;
	struct inherited in;
	char text[80];
	bool tcp = false;
	size_t k;
	int i, flags;

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
		flags = fcntl(first + i, F_GETFL);
		if (flags == -1 || fcntl(first + i, F_SETFL,
		    flags | O_NONBLOCK) == -1 || (in.domain != AF_UNIX &&
		    no_delay(first + i) != 0) || (in.domain == AF_UNIX &&
		    setsockopt(first + i, SOL_SOCKET, SO_PASSCRED, &on,
		    sizeof(on)) != 0)) {
			snprintf(err, size, "%s: %s", in.text, strerror(errno));
			return RC_IO;
		}
		ps->v[k].fd = first + i;
		ps->v[k].inherited = true;
		tcp = tcp || ps->v[k].kind != PORT_CONTROL;
	}
	/* Beside inherited sockets nothing is bound here: in a private network
	 * it would be bound where nobody comes. */
	for (k = 0; tcp && k < ps->n; k++)
		if (ps->v[k].fd == -1 && ps->v[k].kind != PORT_CONTROL) {
			snprintf(err, size, "%s wants %s, which systemd did "
			    "not pass; add it with " MEND,
			    port_key(ps->v[k].kind),
			    where(&ps->v[k], text, sizeof(text)),
			    port_unit(ps->v[k].kind),
			    port_unit(ps->v[k].kind));
			return RC_CONFIG;
		}
	return RC_OK;
}

/* --- our own --- */

static int
open_tcp(struct port *p, char *err, size_t size)
{
	static const int on = 1;
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&p->addr, &ss);
	char text[80], holder[128];
	int fd, e;

	fd = socket(p->addr.family == 4 ? AF_INET : AF_INET6,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1) {
		if (errno == EAFNOSUPPORT && p->any)
			return RC_UNSUPPORTED;
		goto fail;
	}
	/* REUSEADDR lets a restart bind beside connections that still end; it
	 * does not let two listeners share a port. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    no_delay(fd) != 0 || (p->addr.family == 6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
	    &on, sizeof(on)) != 0))
		goto fail;
	if (bind(fd, (struct sockaddr *)&ss, len) != 0 ||
	    listen(fd, BACKLOG) != 0) {
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
	if (e == EADDRINUSE) {
		port_holder(&p->addr, holder, sizeof(holder));
		snprintf(err, size, "%s: %s is in use%s%s; change %s or stop "
		    "the other program", port_key(p->kind),
		    where(p, text, sizeof(text)), holder[0] != '\0' ? " by " :
		    "", holder, port_key(p->kind));
		return RC_BUSY;
	}
	snprintf(err, size, "%s: cannot listen on %s: %s%s", port_key(p->kind),
	    where(p, text, sizeof(text)), strerror(e), e == EADDRNOTAVAIL ?
	    " (Listen.Server names an address this machine does not have)" :
	    "");
	return e == EADDRNOTAVAIL || e == EACCES ? RC_CONFIG : RC_IO;
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
		wanted[p->kind]++;
		rc = RC_OK;
		if (p->fd == -1)
			rc = p->kind == PORT_CONTROL ?
			    open_control(ps, p, err, size) :
			    open_tcp(p, err, size);
		if (rc == RC_OK)
			open[p->kind]++;
		else if (rc != RC_UNSUPPORTED)
			return rc;
	}
	for (i = 0; i < PORT_KIND_MAX; i++)
		if (wanted[i] > 0 && open[i] == 0) {
			snprintf(err, size, "%s: this machine has neither IPv4 "
			    "nor IPv6", port_key((uint8_t)i));
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
