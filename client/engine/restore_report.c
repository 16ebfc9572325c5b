#include "config.h"

#include <stdio.h>
#include <string.h>

#include "client/engine/event.h"
#include "client/engine/restore_impl.h"
#include "common/num.h"
#include "common/rc.h"

/*
 * What is told to the command.  Paths are those of the snapshot.
 */
#define PATH_SHOWN	8192u		/* the end of a longer one */
#define EVENT_MAX	65536u

/* The path of entry e in dir; e NULL: of dir itself. */
void
rdir_path(const struct restore *x, const struct rdir *dir,
    const struct entry *e, struct wbuf *out)
{
	size_t len = e != NULL ? e->name_len + 1 : 0, at, prefix;
	const struct rdir *d;
	uint8_t *p;

	prefix = strlen(x->prefix);
	wbuf_reset(out);
	for (d = dir; d->up != NULL; d = d->up) {
		if (len + d->t.name_len + 4 > PATH_SHOWN)
			break;
		len += d->t.name_len + 1;
	}
	/* A cut path begins with three dots instead of what was cut. */
	prefix = d->up != NULL ? 3 : prefix;
	if ((p = wbuf_space(out, prefix + len + (prefix + len == 0))) == NULL)
		return;
	if (prefix + len == 0)
		p[0] = '/';
	memcpy(p, d->up != NULL ? "..." : x->prefix, prefix);
	at = prefix + len;
	if (e != NULL) {
		at -= e->name_len + 1;
		p[at] = '/';
		memcpy(p + at + 1, e->name, e->name_len);
	}
	for (d = dir; at > prefix; d = d->up) {
		at -= d->t.name_len + 1;
		p[at] = '/';
		memcpy(p + at + 1, d->t.name, d->t.name_len);
	}
}

int
report_skipped(struct restore *x, const struct rdir *dir,
    const struct entry *e, const char *reason)
{
	struct wbuf body = WBUF_INIT(EVENT_MAX);
	struct wbuf path = WBUF_INIT(PATH_SHOWN * 2);
	int rc;

	x->skipped++;
	rdir_path(x, dir, e, &path);
	wbuf_u8(&body, EVENT_SKIPPED);
	wbuf_blob16(&body, path.data, path.len);
	wbuf_str(&body, reason);
	rc = engine_event(x->e, &body);
	wbuf_free(&path);
	wbuf_free(&body);
	return rc;
}

/* paths holds npaths blob16s. */
int
report_damage(struct restore *x, const struct object_id *id, bool missing,
    const struct wbuf *paths, uint16_t npaths, const char *what)
{
	struct wbuf body = WBUF_INIT(EVENT_MAX);
	int rc;

	x->damaged++;
	wbuf_u8(&body, EVENT_FINDING);
	wbuf_bytes(&body, id->b, sizeof(id->b));
	wbuf_u8(&body, missing ? FINDING_MISSING : FINDING_OBJECT);
	wbuf_str(&body, what);
	wbuf_u16(&body, npaths);
	wbuf_bytes(&body, paths->data, paths->len);
	rc = engine_event(x->e, &body);
	wbuf_free(&body);
	return rc;
}

/*
 * Owners are counted: an ordinary user cannot give files away, and one line per
 * file would hide what matters.
 */
int
report_lost(struct restore *x, const struct rdir *dir,
    const struct entry *e, unsigned lost)
{
	static const struct {
		unsigned	 bit;
		const char	*text;
	} what[] = {
		{ META_NO_XATTR, "restored without all of its extended "
		    "attributes" },
		{ META_NO_TIME, "restored without its modification time" },
		{ META_NO_MODE, "restored without its permissions" },
	};
	size_t i;
	int rc;

	if ((lost & META_NO_OWNER) != 0)
		x->unowned++;
	for (i = 0; i < NITEMS(what); i++)
		if ((lost & what[i].bit) != 0 &&
		    (rc = report_skipped(x, dir, e, what[i].text)) != RC_OK)
			return rc;
	return RC_OK;
}

void
entry_meta(const struct entry *e, struct meta *m)
{
	memset(m, 0, sizeof(*m));
	m->mode = e->mode;
	m->uid = e->uid;
	m->gid = e->gid;
	m->mtime = e->mtime;
	m->mtime_ns = e->mtime_ns;
	m->xattrs = e->xattrs_len > 0 ? e->xattrs : NULL;
	m->xattrs_len = e->xattrs_len;
}

int
report_warning(struct restore *x, const char *text)
{
	struct wbuf body = WBUF_INIT(4096);
	int rc;

	wbuf_u8(&body, EVENT_WARNING);
	wbuf_str(&body, text);
	rc = engine_event(x->e, &body);
	wbuf_free(&body);
	return rc;
}

int
report_progress(struct restore *x)
{
	struct progress p = {
		.files = atomic_load(&x->ndone) + x->same + x->kept,
		.bytes = atomic_load(&x->nbytes),
		.stored_bytes = x->fetched,
		.total_files = x->total_files,
		.total_bytes = x->total_bytes,
		.phase = "restore",
	};

	return engine_progress(x->e, &p);
}
