#include "config.h"

#include "server/master/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"

#define LISTEN_FDS_START	3
#define LISTEN_FDS_MAX		64

/* Digits only, in base 10: strtoul alone takes "-1" and " 7". */
static int
number(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (s == NULL || *s == '\0')
		return -1;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9' ||
		    v > (max - (uint64_t)(*s - '0')) / 10)
			return -1;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*out = v;
	return 0;
}

static void
watchdog(struct notify *n)
{
	uint64_t usec, pid;

	if (number(getenv("WATCHDOG_USEC"), UINT64_MAX / 2, &usec) != 0)
		return;
	if (getenv("WATCHDOG_PID") != NULL &&
	    (number(getenv("WATCHDOG_PID"), INT32_MAX, &pid) != 0 ||
	    (pid_t)pid != getpid()))
		return;
	/* Half of what is allowed, as sd_watchdog_enabled(3) advises. */
	n->watchdog_ms = usec / 2000 > 0 ? usec / 2000 : 1;
}

void
notify_open(struct notify *n)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	socklen_t len;

	n->fd = -1;
	n->watchdog_ms = n->next_ms = 0;
	if (path != NULL && (path[0] == '/' || path[0] == '@') &&
	    strlen(path) < sizeof(sun.sun_path)) {
		len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
		    strlen(path));
		memcpy(sun.sun_path, path, strlen(path));
		if (path[0] == '@')
			sun.sun_path[0] = '\0';
		n->fd = socket(AF_UNIX,
		    SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (n->fd != -1 &&
		    connect(n->fd, (struct sockaddr *)&sun, len) != 0)
			fd_close(&n->fd);
	}
	if (n->fd != -1)
		watchdog(n);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void
notify_send(struct notify *n, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int len;

	if (n->fd == -1)
		return;
	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len <= 0)
		return;
	if ((size_t)len >= sizeof(text))
		len = (int)sizeof(text) - 1;
	/* write(), so that the sandbox needs no call for it alone; the socket
	 * is non-blocking and a lost message is not worth waiting for. */
	if (write(n->fd, text, (size_t)len) == -1 && errno != EAGAIN)
		return;
}

void
notify_reloading(struct notify *n)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	notify_send(n, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n",
	    (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
}

void
notify_tick(struct notify *n, uint64_t now_ms)
{
	if (n->watchdog_ms == 0 || now_ms < n->next_ms)
		return;
	notify_send(n, "WATCHDOG=1\n");
	n->next_ms = now_ms + n->watchdog_ms;
}

int
listen_fds(void)
{
	uint64_t pid, fds, i;
	int flags, r = 0;

	if (getenv("LISTEN_FDS") == NULL || getenv("LISTEN_PID") == NULL)
		goto out;
	if (number(getenv("LISTEN_PID"), INT32_MAX, &pid) != 0) {
		r = -1;
		goto out;
	}
	/* They were left over from somebody further up. */
	if ((pid_t)pid != getpid())
		goto out;
	if (number(getenv("LISTEN_FDS"), LISTEN_FDS_MAX, &fds) != 0) {
		r = -1;
		goto out;
	}
	for (i = 0; i < fds; i++) {
		flags = fcntl(LISTEN_FDS_START + (int)i, F_GETFD);
		if (flags == -1 || fcntl(LISTEN_FDS_START + (int)i, F_SETFD,
		    flags | FD_CLOEXEC) == -1) {
			r = -1;
			goto out;
		}
	}
	r = (int)fds;
out:
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	return r;
}
