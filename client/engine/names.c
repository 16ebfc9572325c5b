#include "config.h"

#include "client/engine/walk_priv.h"

#include <sys/vfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/engine/walk.h"
#include "common/num.h"
#include "common/rc.h"

#define READ_SIZE	32768u

struct text {
	char	*p;
	size_t	 len, size, n;
};

static int
text_add(struct text *t, unsigned char type, const char *name)
{
	size_t need = strlen(name) + 2, size;
	char *p;

	if (t->size - t->len < need) {
		size = t->size == 0 ? 1024 : t->size * 2;
		if ((p = realloc(t->p, size)) == NULL)
			return RC_NOMEM;
		t->p = p;
		t->size = size;
	}
	t->p[t->len] = (char)type;
	memcpy(t->p + t->len + 1, name, need - 1);
	t->len += need;
	t->n++;
	return RC_OK;
}

static int
read_all(int fd, char *buf, struct text *t)
{
	struct dirent64 *e;
	ssize_t n, at;
	int rc;

	for (;;) {
		if ((n = getdents64(fd, buf, READ_SIZE)) == -1)
			return rc_errno(errno);
		if (n == 0)
			return RC_OK;
		for (at = 0; at < n; at += e->d_reclen) {
			e = (struct dirent64 *)(void *)(buf + at);
			if (strcmp(e->d_name, ".") == 0 ||
			    strcmp(e->d_name, "..") == 0)
				continue;
			if ((rc = text_add(t, e->d_type, e->d_name)) != RC_OK)
				return rc;
		}
	}
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a + 1, *(char *const *)b + 1);
}

int
names_read(struct names *s, int fd)
{
	struct text t = { 0 };
	char *buf, *p;
	size_t i, kept;
	int rc;

	memset(s, 0, sizeof(*s));
	if ((buf = malloc(READ_SIZE)) == NULL)
		return RC_NOMEM;
	rc = read_all(fd, buf, &t);
	free(buf);
	/* What was read before an error is still worth saving. */
	if (rc == RC_NOMEM || (s->name = calloc(t.n + 1,
	    sizeof(*s->name))) == NULL) {
		free(t.p);
		return RC_NOMEM;
	}
	for (i = 0, p = t.p; i < t.n; i++, p += strlen(p + 1) + 2)
		s->name[i] = p;
	qsort(s->name, t.n, sizeof(*s->name), by_name);
	/* A directory that changes meanwhile may tell a name twice. */
	for (i = 0, kept = 0; i < t.n; i++)
		if (kept == 0 || strcmp(s->name[kept - 1] + 1,
		    s->name[i] + 1) != 0)
			s->name[kept++] = s->name[i];
	s->n = kept;
	s->text = t.p;
	return rc;
}

void
names_free(struct names *s)
{
	free(s->text);
	free(s->name);
	memset(s, 0, sizeof(*s));
}

void
names_only(struct names *s, const char *name)
{
	size_t i, n = 0;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->name[i] + 1, name) == 0)
			s->name[n++] = s->name[i];
	s->n = n;
}

bool
names_cachedir(const struct names *s, int dirfd)
{
	static const char want[] =
	    "Signature: 8a477f597d28d172789f06886806bc55";
	char got[sizeof(want) - 1];
	ssize_t n = -1;
	size_t i;
	int fd;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->name[i] + 1, CACHEDIR_TAG) == 0)
			break;
	if (i == s->n)
		return false;
	fd = openat(dirfd, CACHEDIR_TAG, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK);
	if (fd == -1)
		return false;
	n = read(fd, got, sizeof(got));
	close(fd);
	return n == (ssize_t)sizeof(got) && memcmp(got, want, sizeof(got)) == 0;
}

bool
pseudo_fs(int fd)
{
	static const uint32_t magic[] = {
		0x00009fa0,	/* proc */
		0x62656572,	/* sysfs */
		0x0027e0eb,	/* cgroup */
		0x63677270,	/* cgroup2 */
		0x64626720,	/* debugfs */
		0x74726163,	/* tracefs */
		0x73636673,	/* securityfs */
		0xf97cff8c,	/* selinuxfs */
		0xcafe4a11,	/* bpf */
		0x6165676c,	/* pstore */
		0xde5e81e4,	/* efivarfs */
		0x00001cd1,	/* devpts */
		0x19800202,	/* mqueue */
		0x958458f6,	/* hugetlbfs */
		0x62656570,	/* configfs */
		0x65735543,	/* fusectl */
		0x42494e4d,	/* binfmt_misc */
		0x67596969,	/* rpc_pipefs */
		0x6e736673,	/* nsfs */
		0x00000187,	/* autofs: looking would mount */
	};
	struct statfs s;
	size_t i;

	if (fstatfs(fd, &s) != 0)
		return false;
	for (i = 0; i < NITEMS(magic); i++)
		if ((uint32_t)s.f_type == magic[i])
			return true;
	return false;
}

/* One path: no doubled or last slash, no `.`; RC_RANGE otherwise. */
static int
clean(char *p)
{
	char *in = p, *out = p;
	size_t len;

	if (*p != '/')
		return RC_RANGE;
	while (*in != '\0') {
		in += strspn(in, "/");
		len = strcspn(in, "/");
		if (len == 2 && in[0] == '.' && in[1] == '.')
			return RC_RANGE;
		if (len > 0 && !(len == 1 && in[0] == '.')) {
			*out++ = '/';
			memmove(out, in, len);
			out += len;
		}
		in += len;
	}
	if (out == p)
		*out++ = '/';
	*out = '\0';
	return RC_OK;
}

/* A slash counts as less than any other byte, so that what shares its first
 * components stands together, in the order of the tree. */
static int
by_component(const void *a, const void *b)
{
	const unsigned char *x = *(unsigned char *const *)a;
	const unsigned char *y = *(unsigned char *const *)b;

	while (*x == *y && *x != '\0') {
		x++;
		y++;
	}
	if (*x == *y)
		return 0;
	if (*x == '\0' || *y == '\0')
		return *x == '\0' ? -1 : 1;
	if (*x == '/' || *y == '/')
		return *x == '/' ? -1 : 1;
	return *x < *y ? -1 : 1;
}

static bool
below(const char *path, const char *above)
{
	size_t n = strlen(above);

	if (n == 1)
		return true;		/* everything is below / */
	return strncmp(path, above, n) == 0 &&
	    (path[n] == '/' || path[n] == '\0');
}

int
walk_sort_paths(char **paths, size_t *n)
{
	size_t i, kept = 0;
	char *p;
	int rc;

	for (i = 0; i < *n; i++)
		if ((rc = clean(paths[i])) != RC_OK)
			return rc;
	qsort(paths, *n, sizeof(*paths), by_component);
	for (i = 0; i < *n; i++) {
		if (kept > 0 && below(paths[i], paths[kept - 1]))
			continue;
		p = paths[kept];
		paths[kept++] = paths[i];
		paths[i] = p;
	}
	*n = kept;
	return RC_OK;
}
