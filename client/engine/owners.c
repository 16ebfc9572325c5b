#include "config.h"

#include "client/engine/owners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/rc.h"

#define FILE_MAX	(16u << 20)
#define NAME_MAX_LEN	255

struct one {
	uint32_t	 id;
	uint32_t	 order;		/* the first line of an id wins */
	const char	*name;
};

struct map {
	uint8_t		*text;
	struct one	*one;
	size_t		 n;
};

struct owners_table {
	struct map	users, groups;
	uint8_t		hash[32];
};

/* "name:password:id:..."; the text is cut up in place. */
static int
parse_line(char *line, struct one *o)
{
	char *p, *end;
	unsigned long v;

	if ((p = strchr(line, ':')) == NULL || p == line)
		return 0;
	*p++ = '\0';
	if (strlen(line) > NAME_MAX_LEN || (p = strchr(p, ':')) == NULL)
		return 0;
	p++;
	errno = 0;
	v = strtoul(p, &end, 10);
	if (end == p || *end != ':' || errno != 0 || v > UINT32_MAX)
		return 0;
	o->id = (uint32_t)v;
	o->name = line;
	return 1;
}

static int
by_id(const void *a, const void *b)
{
	const struct one *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int
parse(struct map *m, char *text)
{
	char *line, *next;
	size_t lines = 1;
	struct one o;

	for (line = text; (line = strchr(line, '\n')) != NULL; line++)
		lines++;
	if ((m->one = calloc(lines, sizeof(*m->one))) == NULL)
		return RC_NOMEM;
	for (line = text; line != NULL && *line != '\0'; line = next) {
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = '\0';
		if (!parse_line(line, &o))
			continue;
		o.order = (uint32_t)m->n;
		m->one[m->n++] = o;
	}
	qsort(m->one, m->n, sizeof(*m->one), by_id);
	return RC_OK;
}

static int
load(struct map *m, const char *path, struct mac *hash)
{
	uint8_t *raw;
	size_t len;
	int rc;

	rc = io_read_file(AT_FDCWD, path, &raw, &len, FILE_MAX);
	if (rc == RC_NOENT || rc == RC_DENIED)
		return mac_add(hash, "-", 1);
	if (rc != RC_OK)
		return rc;
	if ((m->text = calloc(1, len + 1)) != NULL)
		memcpy(m->text, raw, len);
	free(raw);
	if (m->text == NULL)
		return RC_NOMEM;
	if ((rc = mac_add(hash, m->text, len)) != RC_OK)
		return rc;
	return parse(m, (char *)m->text);
}

int
owners_load(struct owners_table **out)
{
	struct owners_table *t;
	struct mac *hash;
	int rc = RC_NOMEM;

	t = calloc(1, sizeof(*t));
	hash = mac_new_sha256();
	if (t == NULL || hash == NULL ||
	    (rc = mac_begin(hash)) != RC_OK ||
	    (rc = load(&t->users, "/etc/passwd", hash)) != RC_OK ||
	    (rc = load(&t->groups, "/etc/group", hash)) != RC_OK ||
	    (rc = mac_end(hash, t->hash)) != RC_OK) {
		owners_unload(t);
		t = NULL;
	}
	mac_free(hash);
	*out = t;
	return rc;
}

void
owners_unload(struct owners_table *t)
{
	if (t == NULL)
		return;
	free(t->users.text);
	free(t->users.one);
	free(t->groups.text);
	free(t->groups.one);
	free(t);
}

static const char *
find(const struct map *m, uint32_t id)
{
	size_t lo = 0, hi = m->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (m->one[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->n && m->one[lo].id == id ? m->one[lo].name : NULL;
}

const char *
owners_user(const struct owners_table *t, uint32_t uid)
{
	return find(&t->users, uid);
}

const char *
owners_group(const struct owners_table *t, uint32_t gid)
{
	return find(&t->groups, gid);
}

void
owners_hash(const struct owners_table *t, uint8_t out[32])
{
	memcpy(out, t->hash, sizeof(t->hash));
}
