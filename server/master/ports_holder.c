#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"
#include "server/master/ports.h"

#define TABLE_MAX	(4u << 20)
#define ST_LISTEN	0x0a
#define UNIX_LISTENS	0x10000	/* __SO_ACCEPTCON */

/* One line: "sl local:port remote:port st ... inode". */
static uint64_t
line_inode(const char *line, const struct addr *a)
{
	unsigned int port, st;
	unsigned long long inode;

	if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x "
	    "%*x:%*x %*x:%*x %*x %*u %*u %llu", &port, &st, &inode) != 3)
		return 0;
	if (st != ST_LISTEN || port != a->port)
		return 0;
	/* Whatever its address: bind() said that one is in the way, and who
	 * listens on this port at all is the likely one. */
	return inode;
}

uint64_t
holder_inode(const char *text, const struct addr *a)
{
	const char *nl, *p = text;
	uint64_t inode;
	char line[512];
	size_t n;

	while (*p != '\0') {
		nl = strchr(p, '\n');
		n = nl != NULL ? (size_t)(nl - p) : strlen(p);
		if (n < sizeof(line)) {
			memcpy(line, p, n);
			line[n] = '\0';
			if ((inode = line_inode(line, a)) != 0)
				return inode;
		}
		if (nl == NULL)
			break;
		p = nl + 1;
	}
	return 0;
}

/* /proc files have no size, so they are read until they end.  Caller frees. */
static char *
read_table(const char *path)
{
	size_t len = 0;
	ssize_t n;
	char *buf;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return NULL;
	if ((buf = malloc(TABLE_MAX + 1)) != NULL) {
		while (len < TABLE_MAX &&
		    (n = read(fd, buf + len, TABLE_MAX - len)) > 0)
			len += (size_t)n;
		buf[len] = '\0';
	}
	fd_close(&fd);
	return buf;
}

static uint64_t
inode_of(const char *path, const struct addr *a)
{
	char *table = read_table(path);
	uint64_t inode = table != NULL ? holder_inode(table, a) : 0;

	free(table);
	return inode;
}

bool
path_is_listened(const char *path)
{
	char *table = read_table("/proc/net/unix"), *line, *next, *name;
	unsigned int flags;
	bool found = table == NULL;

	for (line = table; line != NULL && !found; line = next) {
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = '\0';
		name = strchr(line, '/');
		if (name != NULL && strcmp(name, path) == 0 &&
		    sscanf(line, "%*x: %*x %*x %x", &flags) == 1)
			found = (flags & UNIX_LISTENS) != 0;
	}
	free(table);
	return found;
}

static bool
has_socket(const char *pid, const char *want)
{
	char path[64], link[64];
	struct dirent *de;
	bool found = false;
	ssize_t n;
	DIR *d;

	if (strlen(pid) > 10)
		return false;
	snprintf(path, sizeof(path), "/proc/%.10s/fd", pid);
	if ((d = opendir(path)) == NULL)
		return false;
	while (!found && (de = readdir(d)) != NULL) {
		n = readlinkat(dirfd(d), de->d_name, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = '\0';
		found = strcmp(link, want) == 0;
	}
	closedir(d);
	return found;
}

static void
process_name(const char *pid, char *out, size_t size)
{
	char path[64];
	ssize_t n = -1;
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.10s/comm", pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1)
		n = read(fd, out, size - 1);
	fd_close(&fd);
	if (n < 0)
		n = 0;
	out[n] = '\0';
	for (i = 0; out[i] != '\0'; i++)
		if (!isprint((unsigned char)out[i]))
			out[i] = out[i] == '\n' ? '\0' : '?';
}

void
port_holder(const struct addr *a, char *out, size_t size)
{
	static const char *const tables[] = {
		"/proc/net/tcp", "/proc/net/tcp6",
	};
	uint64_t inode = 0;
	char want[48], name[32];
	struct dirent *de;
	size_t i;
	DIR *d;

	out[0] = '\0';
	/* The own family first, then the other: a dual-stack listener stands
	 * among IPv6. */
	for (i = 0; i < 2 && inode == 0; i++)
		inode = inode_of(tables[a->family == 4 ? i : 1 - i], a);
	if (inode == 0 || (d = opendir("/proc")) == NULL)
		return;
	snprintf(want, sizeof(want), "socket:[%" PRIu64 "]", inode);
	while ((de = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)de->d_name[0]) ||
		    !has_socket(de->d_name, want))
			continue;
		process_name(de->d_name, name, sizeof(name));
		snprintf(out, size, "pid %.10s (%s)", de->d_name, name);
		break;
	}
	closedir(d);
}
