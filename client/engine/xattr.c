#include "config.h"

#include "client/engine/xattr.h"

#include <sys/xattr.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/rbuf.h"
#include "common/rc.h"

#define LIST_MAX	65536u		/* XATTR_LIST_MAX of the kernel */
#define NAMES_MAX	4096
#define TRIES		3		/* while the set changes under us */

struct source {
	int		 fd;
	const char	*path;		/* used when not NULL */
};

static ssize_t
list(const struct source *s, char *p, size_t n)
{
	return s->path != NULL ? llistxattr(s->path, p, n) :
	    flistxattr(s->fd, p, n);
}

static ssize_t
get(const struct source *s, const char *name, void *p, size_t n)
{
	return s->path != NULL ? lgetxattr(s->path, name, p, n) :
	    fgetxattr(s->fd, name, p, n);
}

static bool
has_none(int err)
{
	return err == ENOTSUP || err == ENOSYS || err == EBADF;
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t
split(char *names, size_t len, char **name)
{
	size_t n = 0, at;

	for (at = 0; at < len && n < NAMES_MAX; at += strlen(names + at) + 1)
		name[n++] = names + at;
	qsort(name, n, sizeof(*name), by_bytes);
	return n;
}

/* RC_AGAIN: an attribute went or grew between list and get. */
static int
add(const struct source *s, const char *name, struct wbuf *out)
{
	size_t n = strlen(name), at;
	ssize_t len;
	uint8_t *p;

	if (n == 0 || n > UINT8_MAX)
		return RC_LIMIT;
	if ((len = get(s, name, NULL, 0)) < 0)
		return errno == ENODATA ? RC_AGAIN : rc_errno(errno);
	if ((size_t)len > XATTR_VALUE_MAX)
		return RC_LIMIT;
	wbuf_u8(out, (uint8_t)n);
	wbuf_bytes(out, name, n);
	at = out->len;
	wbuf_u32(out, (uint32_t)len);
	if (len > 0) {
		if ((p = wbuf_space(out, (size_t)len)) == NULL)
			return wbuf_rc(out);
		if ((len = get(s, name, p, (size_t)len)) < 0)
			return errno == ENODATA || errno == ERANGE ? RC_AGAIN :
			    rc_errno(errno);
		out->len = at + 4 + (size_t)len;
		wbuf_set_u32(out, at, (uint32_t)len);
	}
	return wbuf_rc(out);
}

static int
read_once(const struct source *s, struct wbuf *out)
{
	char few[512], *names = few, **name = NULL;
	ssize_t len;
	size_t n, i;
	int rc = RC_OK;

	wbuf_reset(out);
	len = list(s, few, sizeof(few));
	if (len == 0 || (len < 0 && has_none(errno)))
		return RC_OK;
	if (len < 0 && errno == ERANGE) {
		if ((names = malloc(LIST_MAX)) == NULL)
			return RC_NOMEM;
		len = list(s, names, LIST_MAX);
	}
	if (len < 0) {
		rc = rc_errno(errno);
		goto out;
	}
	if ((name = calloc(NAMES_MAX, sizeof(*name))) == NULL) {
		rc = RC_NOMEM;
		goto out;
	}
	n = split(names, (size_t)len, name);
	for (i = 0; i < n && rc == RC_OK; i++)
		rc = add(s, name[i], out);
out:
	free(name);
	if (names != few)
		free(names);
	if (rc != RC_OK)
		wbuf_reset(out);
	return rc;
}

static int
read_set(const struct source *s, struct wbuf *out)
{
	int i, rc = RC_AGAIN;

	for (i = 0; i < TRIES && rc == RC_AGAIN; i++)
		rc = read_once(s, out);
	return rc;
}

int
xattr_read_fd(int fd, struct wbuf *out)
{
	const struct source s = { fd, NULL };

	return read_set(&s, out);
}

int
xattr_read_path(const char *path, struct wbuf *out)
{
	const struct source s = { -1, path };

	return read_set(&s, out);
}

int
xattr_each(const uint8_t *p, size_t len, int (*each)(void *arg,
    const char *name, const uint8_t *value, size_t n), void *arg)
{
	char name[UINT8_MAX + 1], last[UINT8_MAX + 1] = "";
	const uint8_t *value;
	uint32_t value_len;
	struct rbuf in;
	uint8_t n;
	int rc;

	rbuf_init(&in, p, len);
	while (rbuf_left(&in) > 0) {
		if (rbuf_u8(&in, &n) != RC_OK || n == 0 ||
		    rbuf_bytes(&in, name, n) != RC_OK ||
		    rbuf_u32(&in, &value_len) != RC_OK ||
		    value_len > XATTR_VALUE_MAX ||
		    rbuf_view(&in, &value, value_len) != RC_OK)
			return RC_CORRUPT;
		name[n] = '\0';
		if (strlen(name) != n || strcmp(last, name) >= 0)
			return RC_CORRUPT;
		memcpy(last, name, (size_t)n + 1);
		if ((rc = each(arg, name, value, value_len)) != 0)
			return rc;
	}
	return RC_OK;
}
