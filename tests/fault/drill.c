#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/http/api.h"

/*
 * The take-over drill: an api worker in which an attacker's code runs.  It is
 * sg-http with one function before its gate (ld --wrap): a request whose header
 * token begins with PREFIX does the act of that number, with all that the worker
 * has: its channels, its connection, its rights.  Act 0 lists them.  The test
 * (tests/e2e/68-drill.sh) looks whether each is refused and noted.
 */
#define PREFIX		"d1d1d1d1d1d1d1d1d1d1d1d1d1d1"
#define WAIT_MS		1500

int	__real_api_gate(struct api *a, const struct api_route *route);
int	__wrap_api_gate(struct api *a, const struct api_route *route);

/* --- asking the kernel --- */

static long
sys_open(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
}

static long
sys_create(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/x", O_CREAT | O_WRONLY, 0600);
}

static long
sys_socket(void)
{
	return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static long
sys_connect(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = 1 };

	return syscall(SYS_connect, 3, &sin, sizeof(sin));
}

static long
sys_bind(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	return syscall(SYS_bind, 3, &sin, sizeof(sin));
}

static long
sys_execve(void)
{
	char *none[] = { NULL };

	return syscall(SYS_execve, "/bin/sh", none, none);
}

static long
sys_fork(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static long
sys_kill_parent(void)
{
	return syscall(SYS_kill, getppid(), SIGTERM);
}

static long
sys_kill_all(void)
{
	return syscall(SYS_kill, -1, SIGKILL);
}

static long
sys_ptrace(void)
{
	return syscall(SYS_ptrace, 16, getppid(), 0, 0);
}

static long
sys_readv(void)
{
	char b[8];
	struct iovec l = { b, 8 }, r = { (void *)0x1000, 8 };

	return syscall(SYS_process_vm_readv, getppid(), &l, 1, &r, 1, 0);
}

static long
sys_setuid(void)
{
	return syscall(SYS_setresuid, 0, 0, 0);
}

static long
sys_exec_memory(void)
{
	return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long
sys_mprotect(void)
{
	return syscall(SYS_mprotect, (long)&sys_mprotect & ~4095L, 4096,
	    PROT_READ | PROT_WRITE | PROT_EXEC);
}

static long
sys_dumpable(void)
{
	return syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long
sys_unshare(void)
{
	return syscall(SYS_unshare, 0x10000000);
}

static long
sys_chroot(void)
{
	return syscall(SYS_chroot, "/");
}

static long
sys_unlink(void)
{
	return syscall(SYS_unlink, "/x");
}

static long
sys_io_uring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static long
sys_accept(void)
{
	return syscall(SYS_accept4, 3, NULL, NULL, 0);
}

static const struct {
	const char	*name;
	long		(*fn)(void);
} calls[] = {
	{ "open a file", sys_open }, { "make a file", sys_create },
	{ "remove a file", sys_unlink }, { "make a socket", sys_socket },
	{ "connect", sys_connect }, { "bind", sys_bind },
	{ "accept", sys_accept }, { "run a program", sys_execve },
	{ "fork", sys_fork }, { "signal the master", sys_kill_parent },
	{ "signal everybody", sys_kill_all },
	{ "trace the master", sys_ptrace },
	{ "read the master's memory", sys_readv },
	{ "become root", sys_setuid }, { "map code", sys_exec_memory },
	{ "make memory executable", sys_mprotect },
	{ "become dumpable", sys_dumpable },
	{ "make a namespace", sys_unshare },
	{ "change the root", sys_chroot }, { "open an io_uring", sys_io_uring },
};

/* --- asking other processes --- */

/* Past chan_send(), which would not let us. */
static int
send_raw(struct chan *c, uint16_t type, const struct wbuf *body)
{
	uint8_t head[2] = { (uint8_t)(type >> 8), (uint8_t)type };
	struct iovec iov[2] = { { head, 2 } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };

	if (c == NULL)
		return RC_EOF;
	iov[1].iov_base = body->len > 0 ? body->data : head;
	iov[1].iov_len = body->len;
	return sendmsg(chan_fd(c), &mh, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ?
	    rc_errno(errno) : RC_OK;
}

static struct chan *
channel(struct api *a, enum role far)
{
	switch (far) {
	case ROLE_AUTH:		return a->auth;
	case ROLE_CATALOG:	return a->catalog;
	case ROLE_MASTER:	return a->env.parent;
	case ROLE_LOGGER:	return a->env.log;
	default:		return NULL;
	}
}

/* Every message that a far end knows, whoever its sender is meant to be. */
static const struct {
	const char	*name;
	uint16_t	 type;
	uint32_t	 to;
} messages[] = {
#define X(name, from, to, fd, max) { #name, MSG_##name, (to) },
	MESSAGES(X)
#undef X
};

static const enum role fars[] = { ROLE_MASTER, ROLE_AUTH, ROLE_CATALOG };

/* Well-formed requests that only the right is missing for. */
static void
put_admin(struct wbuf *b, enum admin_op op)
{
	wbuf_u8(b, (uint8_t)op);
	wbuf_str(b, "drill");
	wbuf_str(b, "drill");
	wbuf_str(b, "");
	wbuf_u32(b, 3600);
	wbuf_u8(b, 0);
	wbuf_zeros(b, 16);
	wbuf_u8(b, RIGHT_ADMIN);
	wbuf_str(b, "root");
}

static const struct {
	const char	*name;
	uint8_t		 op;
} admins[] = {
	{ "make an account", ADMIN_ACCOUNT_ADD },
	{ "make a client", ADMIN_CLIENT_ADD },
	{ "remove a client", ADMIN_CLIENT_RM },
	{ "make a token", ADMIN_TOKEN_ADD },
	{ "make a user", ADMIN_USER_ADD },
	{ "raise a right", ADMIN_USER_RIGHT },
	{ "make an API token", ADMIN_API_ADD },
	{ "accept a pairing", ADMIN_PAIR_ACCEPT },
};

static void
put_query(struct wbuf *b, enum cat_op op)
{
	struct wbuf *out = b;

	wbuf_u8(out, (uint8_t)op);
	wbuf_str(out, "root");
	switch (op) {
	case CAT_OP_PEER_ADD:
		wbuf_u8(out, 4);
		wbuf_zeros(out, 16);
		wbuf_u16(out, 32005);
		wbuf_str(out, "");
		wbuf_str(out, "drill");
		break;
	case CAT_OP_PEER_RM:
	case CAT_OP_PEER_FORGET:
	case CAT_OP_REACH:
		wbuf_str(out, "x");
		break;
	case CAT_OP_PROBE:
		wbuf_u8(out, 1);
		wbuf_u16(out, 22);
		break;
	default:
		break;
	}
}

static const struct {
	const char	*name;
	uint8_t		 op;
} queries[] = {
	{ "add a peer", CAT_OP_PEER_ADD }, { "hide a peer", CAT_OP_PEER_RM },
	{ "forget a peer's key", CAT_OP_PEER_FORGET },
	{ "have a peer dialled", CAT_OP_REACH },
	{ "start a discovery", CAT_OP_DISCOVER },
	{ "exchange as a peer", CAT_OP_EXCHANGE },
	{ "probe as a peer", CAT_OP_PROBE },
};

/* --- acts: number to what --- */

enum { ACT_CALL, ACT_MESSAGE, ACT_ADMIN, ACT_QUERY, ACT_SIGN, ACT_GRANT,
	ACT_NONE };

struct act {
	int		 kind;
	size_t		 i;
	enum role	 far;
	char		 name[80];
};

static bool
find_act(unsigned int n, struct act *act)
{
	size_t i, f;

	for (i = 0; i < NITEMS(calls); i++)
		if (n-- == 0) {
			act->kind = ACT_CALL;
			act->i = i;
			snprintf(act->name, sizeof(act->name), "kernel: %s",
			    calls[i].name);
			return true;
		}
	for (f = 0; f < NITEMS(fars); f++)
		for (i = 0; i < NITEMS(messages); i++) {
			if ((messages[i].to & 1u << fars[f]) == 0)
				continue;
			if (n-- == 0) {
				act->kind = ACT_MESSAGE;
				act->i = i;
				act->far = fars[f];
				snprintf(act->name, sizeof(act->name),
				    "%s: send %s", role_name(fars[f]),
				    messages[i].name);
				return true;
			}
		}
	for (i = 0; i < NITEMS(admins); i++)
		if (n-- == 0) {
			act->kind = ACT_ADMIN;
			act->i = i;
			snprintf(act->name, sizeof(act->name), "auth: %s",
			    admins[i].name);
			return true;
		}
	for (i = 0; i < NITEMS(queries); i++)
		if (n-- == 0) {
			act->kind = ACT_QUERY;
			act->i = i;
			snprintf(act->name, sizeof(act->name), "catalog: %s",
			    queries[i].name);
			return true;
		}
	if (n == 0) {
		act->kind = ACT_SIGN;
		snprintf(act->name, sizeof(act->name),
		    "keyd: a second signature");
		return true;
	}
	if (n == 1) {
		act->kind = ACT_GRANT;
		snprintf(act->name, sizeof(act->name),
		    "master: a forged grant");
		return true;
	}
	act->kind = ACT_NONE;
	return false;
}

/* --- doing one, and what came back --- */

static const char *
answer_of(struct chan *c, char *out, size_t size)
{
	struct pollfd p = { .fd = c != NULL ? chan_fd(c) : -1,
	    .events = POLLIN };
	struct msg m;
	uint8_t code;
	int rc;

	if (c == NULL)
		return "no channel";
	if (poll(&p, 1, WAIT_MS) == 0)
		return "silence";
	if ((rc = chan_recv(c, &m)) == RC_EOF || rc == RC_IO)
		return "dropped";
	if (rc != RC_OK)
		return "nothing";
	if ((m.type == MSG_ADMIN_END || m.type == MSG_CAT_END ||
	    m.type == MSG_AUTH_USER) && rbuf_u8(&m.body, &code) == RC_OK)
		snprintf(out, size, "%s %s", msg_name(m.type),
		    code == 0 ? "granted" : "refused");
	else
		snprintf(out, size, "%s", msg_name(m.type));
	return out;
}

static int
do_act(struct api *a, const struct act *act)
{
	struct wbuf body = WBUF_INIT(4096);
	struct chan *c = NULL;
	char text[64] = "";
	const char *got;
	long r;

	switch (act->kind) {
	case ACT_CALL:
		r = calls[act->i].fn();
		wbuf_free(&body);
		return api_fail(a, 418, "%s", r < 0 ? "error" : "done");
	case ACT_MESSAGE:
		c = channel(a, act->far);
		/* where there is no way to it, on the way to auth */
		if (c == NULL)
			c = a->auth;
		wbuf_zeros(&body, 200);
		send_raw(c, messages[act->i].type, &body);
		break;
	case ACT_ADMIN:
		c = a->auth;
		put_admin(&body, (enum admin_op)admins[act->i].op);
		send_raw(c, MSG_ADMIN, &body);
		break;
	case ACT_QUERY:
		c = a->catalog != NULL ? a->catalog : a->auth;
		put_query(&body, (enum cat_op)queries[act->i].op);
		send_raw(c, MSG_CAT_QUERY, &body);
		break;
	case ACT_SIGN:
		/* keyd closed it after the one of this connection's TLS */
		wbuf_free(&body);
		for (r = 5; r < 16; r++) {
			uint8_t head[2] = { MSG_KEYD_TLS >> 8,
			    MSG_KEYD_TLS & 0xff };

			if ((int)r != a->conn.fd && (int)r != chan_fd(a->auth) &&
			    (a->catalog == NULL ||
			    (int)r != chan_fd(a->catalog)) &&
			    send((int)r, head, 2, MSG_NOSIGNAL |
			    MSG_DONTWAIT) == 2)
				return api_fail(a, 418, "done");
		}
		return api_fail(a, 418, "no channel");
	case ACT_GRANT:
		c = a->env.parent;
		wbuf_u32(&body, 1);
		wbuf_u64(&body, 1);
		wbuf_u8(&body, RIGHT_ADMIN);
		wbuf_zeros(&body, 32 + 64);
		send_raw(c, MSG_API_GRANT, &body);
		break;
	default:
		break;
	}
	wbuf_free(&body);
	got = answer_of(c, text, sizeof(text));
	return api_fail(a, 418, "%s", got);
}

int
__wrap_api_gate(struct api *a, const struct api_route *route)
{
	unsigned int n;
	struct act act;

	if (strncmp(a->req.csrf, PREFIX, sizeof(PREFIX) - 1) != 0 ||
	    sscanf(a->req.csrf + sizeof(PREFIX) - 1, "%4x", &n) != 1)
		return __real_api_gate(a, route);
	a->last = true;
	if (n >= 0x8000)
		return api_fail(a, 418, "%s",
		    find_act(n - 0x8000, &act) ? act.name : "no such act");
	if (!find_act(n, &act))
		return api_fail(a, 418, "no such act");
	return do_act(a, &act);
}
