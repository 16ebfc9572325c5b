#include "config.h"

#include "server/master/master.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"

/* The directories of an installation and the lock on its state. */
#define MARK_KEYS	"keys made\n"

struct dir {
	char		path[CONF_STR_MAX + 16];
	mode_t		mode;
	mode_t		forbidden;	/* bits it must not have */
	mode_t		needed;		/* bits it must have */
	enum role	role;		/* whose it is; ROLE_NONE: root's */
	bool		or_root;	/* may be root's as well */
};

#define DIRS		7

/* How many there are: the last is the vaults', which a client has not. */
static size_t
list_dirs(const struct conf *c, struct dir d[DIRS])
{
	static const struct dir model[DIRS] = {
		{ "",		0711, 0022, 0001, ROLE_MASTER,	true },
		{ "/auth",	0700, 0077, 0700, ROLE_AUTH,	false },
		{ "/keyd",	0700, 0077, 0700, ROLE_KEYD,	false },
		{ "/catalog",	0700, 0077, 0700, ROLE_CATALOG,	false },
		{ "",		0755, 0022, 0001, ROLE_MASTER,	true },
		{ "/empty",	0755, 0022, 0001, ROLE_NONE,	true },
		{ "",		0700, 0077, 0700, ROLE_STORE,	false },
	};
	const char *base[DIRS] = { c->state, c->state, c->state, c->state,
	    c->run, c->run, c->vaults };
	size_t i;

	for (i = 0; i < DIRS; i++) {
		d[i] = model[i];
		/* config_check() has seen that 200 are enough. */
		snprintf(d[i].path, sizeof(d[i].path), "%.200s%.16s", base[i],
		    model[i].path);
	}
	return conf_serves(c) ? DIRS : DIRS - 1;
}

/* Missing parents are ordinary directories. */
static int
make_parents(const char *path)
{
	char p[PATH_MAX];
	char *s;

	snprintf(p, sizeof(p), "%s", path);
	for (s = strchr(p + 1, '/'); s != NULL; s = strchr(s + 1, '/')) {
		*s = '\0';
		if (mkdir(p, 0755) == 0) {
			if (chmod(p, 0755) != 0)
				return rc_errno(errno);
		} else if (errno != EEXIST) {
			return rc_errno(errno);
		}
		*s = '/';
	}
	return RC_OK;
}

static int
make_dir(const struct master *m, const struct dir *d)
{
	uid_t uid = d->role == ROLE_NONE ? 0 : m->uid[d->role];
	gid_t gid = d->role == ROLE_NONE ? 0 : m->gid[d->role];

	if (m->euid == 0) {
		if (make_parents(d->path) != RC_OK ||
		    mkdir(d->path, 0700) != 0 ||
		    chown(d->path, uid, gid) != 0 ||
		    chmod(d->path, d->mode) != 0)
			return rc_errno(errno);
		return RC_OK;
	}
	/* Without root only what may be ours can be made. */
	if (!d->or_root || mkdir(d->path, 0700) != 0 ||
	    chmod(d->path, d->mode) != 0)
		return RC_DENIED;
	return RC_OK;
}

static bool
owner_is_right(const struct master *m, const struct dir *d, uid_t owner)
{
	if (d->role != ROLE_NONE && owner == m->uid[d->role])
		return true;
	/* A master that is not root owns what is the master's. */
	return d->or_root && (owner == m->euid || owner == 0);
}

static int
check_dir(const struct master *m, const struct dir *d)
{
	uid_t uid = d->role == ROLE_NONE ? 0 : m->uid[d->role];
	gid_t gid = d->role == ROLE_NONE ? 0 : m->gid[d->role];
	struct stat st;

	if (stat(d->path, &st) != 0) {
		fprintf(stderr, "storegridd: %s: %s\n", d->path,
		    strerror(errno));
		return RC_CONFIG;
	}
	if (!S_ISDIR(st.st_mode)) {
		fprintf(stderr, "storegridd: %s: not a directory\n", d->path);
		return RC_CONFIG;
	}
	if (!owner_is_right(m, d, st.st_uid)) {
		fprintf(stderr, "storegridd: %s belongs to user id %u; mend it "
		    "with: chown %u:%u %s\n", d->path, st.st_uid, uid, gid,
		    d->path);
		return RC_CONFIG;
	}
	if ((st.st_mode & d->forbidden) != 0 ||
	    (st.st_mode & d->needed) != d->needed) {
		fprintf(stderr, "storegridd: %s has mode %04o; mend it with: "
		    "chmod %04o %s\n", d->path, st.st_mode & 07777, d->mode,
		    d->path);
		return RC_CONFIG;
	}
	return RC_OK;
}

/* The roles come here under their own ids, so every directory above must let
 * others through. */
static int
check_way(const char *path)
{
	char p[PATH_MAX];
	struct stat st;
	char *s;

	snprintf(p, sizeof(p), "%s", path);
	for (s = strchr(p + 1, '/'); s != NULL; s = strchr(s + 1, '/')) {
		*s = '\0';
		if (stat(p, &st) == 0 && (st.st_mode & S_IXOTH) == 0) {
			fprintf(stderr, "storegridd: %s: the roles' users "
			    "cannot pass through it to %s; mend it with: "
			    "chmod o+x %s\n", p, path, p);
			return RC_CONFIG;
		}
		*s = '/';
	}
	return RC_OK;
}

static int
check_empty(const char *path)
{
	struct dirent *de;
	int rc = RC_OK;
	DIR *d;

	if ((d = opendir(path)) == NULL)
		return RC_OK;
	while ((de = readdir(d)) != NULL && rc == RC_OK)
		if (strcmp(de->d_name, ".") != 0 &&
		    strcmp(de->d_name, "..") != 0) {
			fprintf(stderr, "storegridd: %s must be empty, but "
			    "holds \"%s\"\n", path, de->d_name);
			rc = RC_CONFIG;
		}
	closedir(d);
	return rc;
}

/* The lock file remembers that keys were made, so that a key directory which
 * went missing is not taken for a first start: clients pin those keys. */
static bool
keys_were_made(const struct conf *c)
{
	char path[CONF_STR_MAX + 16], text[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/lock", c->state);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	fd_close(&fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return strstr(text, MARK_KEYS) != NULL;
}

int
init_dirs(struct master *m, bool make)
{
	struct dir d[DIRS];
	struct stat st;
	int rc = RC_OK;
	size_t i, n = list_dirs(&m->conf, d);

	m->keys_made = keys_were_made(&m->conf);
	for (i = 0; i < n; i++) {
		if (stat(d[i].path, &st) != 0 && errno == ENOENT) {
			if (d[i].role == ROLE_KEYD && m->keys_made) {
				fprintf(stderr, "storegridd: %s is missing, "
				    "but this server has had keys there (is "
				    "the disk mounted?); restore it\n",
				    d[i].path);
				rc = RC_CONFIG;
				continue;
			}
			if (!make) {
				fprintf(stderr, "%s: missing; storegridd "
				    "makes it\n",
				    d[i].path);
				continue;
			}
			if (make_dir(m, &d[i]) != RC_OK) {
				fprintf(stderr, "storegridd: %s is missing; "
				    "mend it with: storegridd --init -f %s "
				    "(as root)\n", d[i].path, m->conf_path);
				rc = RC_CONFIG;
				continue;
			}
		}
		if (check_dir(m, &d[i]) != RC_OK ||
		    check_way(d[i].path) != RC_OK)
			rc = RC_CONFIG;
	}
	snprintf(m->empty, sizeof(m->empty), "%.200s/empty", m->conf.run);
	if (check_empty(m->empty) != RC_OK)
		rc = RC_CONFIG;
	return rc;
}

/* --- the lock --- */

int
lock_write(struct master *m)
{
	char text[64];
	int n;

	n = snprintf(text, sizeof(text), "pid %d\n%s", (int)m->pid,
	    m->keys_made ? MARK_KEYS : "");
	if (ftruncate(m->lock_fd, 0) != 0)
		return rc_errno(errno);
	return io_pwrite_full(m->lock_fd, text, (size_t)n, 0);
}

int
lock_state(struct master *m, pid_t *holder)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[CONF_STR_MAX + 16], text[64];
	long pid = 0;
	ssize_t n;

	*holder = 0;
	snprintf(path, sizeof(path), "%s/lock", m->conf.state);
	m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (m->lock_fd == -1)
		return rc_errno(errno);
	/* An open file description's lock: it ends with the last descriptor,
	 * and a close elsewhere in this process does not lose it. */
	if (fcntl(m->lock_fd, F_OFD_SETLK, &fl) != 0) {
		if (errno != EAGAIN && errno != EACCES)
			return rc_errno(errno);
		n = pread(m->lock_fd, text, sizeof(text) - 1, 0);
		if (n > 0) {
			text[n] = '\0';
			if (sscanf(text, "pid %ld", &pid) == 1)
				*holder = (pid_t)pid;
		}
		return RC_BUSY;
	}
	/* So that a master under its own user can use the same state. */
	if (m->euid == 0 && fchown(m->lock_fd, m->uid[ROLE_MASTER],
	    m->gid[ROLE_MASTER]) != 0)
		return rc_errno(errno);
	return lock_write(m);
}
