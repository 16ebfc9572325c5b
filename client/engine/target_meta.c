#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "client/engine/target.h"
#include "client/engine/xattr.h"
#include "common/io.h"
#include "common/rc.h"

/*
 * Owner, attributes, times, mode: in this order.  A change of owner takes
 * set-id bits and security.capability away; attributes of the user class need
 * the right to write, which the final mode may not give; and the mode comes
 * last because it is what says that a temporary file is finished.
 */
#define LIST_MAX	65536

struct applying {
	int		 fd;
	const char	*path;		/* NULL: by fd */
	bool		 failed;
};

static int
set_one(void *arg, const char *name, const uint8_t *value, size_t len)
{
	struct applying *a = arg;
	int n;

	if (a->path == NULL)
		n = fsetxattr(a->fd, name, value, len, 0);
	else
		n = setxattr(a->path, name, value, len, 0);
	if (n != 0)
		a->failed = true;
	return RC_OK;
}

struct seeking {
	const char	*name;
	bool		 found;
};

static int
same_name(void *arg, const char *name, const uint8_t *value, size_t len)
{
	struct seeking *s = arg;

	(void)value;
	(void)len;
	s->found = strcmp(s->name, name) == 0;
	return s->found;
}

/* What the system itself puts on every file (labels) is not ours to take. */
static bool
may_drop(const char *name, const struct meta *m)
{
	struct seeking s = { .name = name };

	if (strncmp(name, "security.", 9) == 0 &&
	    strcmp(name, "security.capability") != 0)
		return false;
	if (m->xattrs != NULL)
		(void)xattr_each(m->xattrs, m->xattrs_len, same_name, &s);
	return !s.found;
}

/* Attributes that the file has and the set has not, say from an ACL that the
 * directory hands down. */
static void
drop_others(int fd, const struct meta *m)
{
	char *list, *p;
	ssize_t n;

	if ((n = flistxattr(fd, NULL, 0)) <= 0 || n > LIST_MAX)
		return;
	if ((list = malloc((size_t)n + 1)) == NULL)
		return;
	n = flistxattr(fd, list, (size_t)n);
	for (p = list; n > 0 && p < list + n; p += strlen(p) + 1)
		if (may_drop(p, m))
			(void)fremovexattr(fd, p);
	free(list);
}

static bool
set_times(int fd, int dirfd, const char *name, const struct meta *m)
{
	struct timespec ts[2];

	ts[0].tv_sec = ts[1].tv_sec = m->mtime;
	ts[0].tv_nsec = ts[1].tv_nsec = m->mtime_ns;
	if (name == NULL)
		return futimens(fd, ts) == 0;
	return utimensat(dirfd, name, ts, AT_SYMLINK_NOFOLLOW) == 0;
}

unsigned
meta_apply(int fd, const struct meta *m)
{
	struct applying a = { .fd = fd };
	mode_t mode = m->mode & 07777;
	unsigned lost = 0;

	if (fchown(fd, m->uid, m->gid) != 0) {
		lost |= META_NO_OWNER;
		/* The group alone may be allowed. */
		if (fchown(fd, (uid_t)-1, m->gid) != 0)
			mode &= ~(mode_t)S_ISGID;
		/* Set-id of somebody else's program is not what was saved. */
		mode &= ~(mode_t)S_ISUID;
	}
	drop_others(fd, m);
	if (m->xattrs != NULL &&
	    (xattr_each(m->xattrs, m->xattrs_len, set_one, &a) != RC_OK ||
	    a.failed))
		lost |= META_NO_XATTR;
	if (!set_times(fd, -1, NULL, m))
		lost |= META_NO_TIME;
	if (fchmod(fd, mode) != 0)
		lost |= META_NO_MODE;
	return lost;
}

/*
 * There is no call for an attribute, or safely the mode, of a name in a
 * directory.  An O_PATH descriptor stands for exactly the thing that was
 * opened, a symlink too, and /proc leads to it without another look-up.  What
 * has got another kind or another name meanwhile is not what was restored.
 */
unsigned
meta_apply_at(int dirfd, const char *name, const struct meta *m)
{
	char path[64];
	struct applying a = { .path = path };
	unsigned lost = 0;
	struct stat st;
	int fd;

	fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) != 0 ||
	    (st.st_mode & S_IFMT) != (m->mode & S_IFMT) ||
	    (st.st_nlink > 1 && geteuid() == 0 &&
	    (st.st_uid != m->uid || st.st_gid != m->gid))) {
		fd_close(&fd);
		return META_NO_OWNER | META_NO_XATTR | META_NO_TIME |
		    META_NO_MODE;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fchownat(fd, "", m->uid, m->gid, AT_EMPTY_PATH) != 0)
		lost |= META_NO_OWNER;
	if (m->xattrs != NULL &&
	    (xattr_each(m->xattrs, m->xattrs_len, set_one, &a) != RC_OK ||
	    a.failed))
		lost |= META_NO_XATTR;
	if (!S_ISLNK(st.st_mode) &&
	    (st.st_mode & 07777) != (m->mode & 07777) &&
	    fchmodat(AT_FDCWD, path, m->mode & 07777, 0) != 0)
		lost |= META_NO_MODE;
	close(fd);
	if (!set_times(-1, dirfd, name, m))
		lost |= META_NO_TIME;
	return lost;
}

bool
meta_same(const struct stat *st, const struct meta *m)
{
	return (st->st_mode & 07777) == (m->mode & 07777) &&
	    st->st_uid == m->uid && st->st_gid == m->gid &&
	    st->st_mtim.tv_sec == m->mtime &&
	    st->st_mtim.tv_nsec == (long)m->mtime_ns;
}
