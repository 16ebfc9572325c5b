#include "config.h"

#include "client/cli/show_impl.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/escape.h"
#include "common/proto.h"
#include "common/rc.h"

/* Events that are one row each: snapshots, entries of ls, findings of check. */

struct listing {
	uint8_t		id[32];
	char		label[256], host[256];
	int64_t		wall;
	uint64_t	files, bytes, seq, lock;
	uint16_t	flags, npaths;
};

static int
get_listing(struct rbuf *in, struct listing *l)
{
	if (rbuf_bytes(in, l->id, sizeof(l->id)) != RC_OK ||
	    rbuf_str(in, l->label, sizeof(l->label)) != RC_OK ||
	    rbuf_i64(in, &l->wall) != RC_OK ||
	    rbuf_str(in, l->host, sizeof(l->host)) != RC_OK ||
	    rbuf_u64(in, &l->files) != RC_OK ||
	    rbuf_u64(in, &l->bytes) != RC_OK ||
	    rbuf_u16(in, &l->flags) != RC_OK ||
	    rbuf_u64(in, &l->seq) != RC_OK ||
	    rbuf_u64(in, &l->lock) != RC_OK ||
	    rbuf_u16(in, &l->npaths) != RC_OK)
		return RC_PROTO;
	return RC_OK;
}

/* Paths go on as an array of texts; where one is not UTF-8, all of them as
 * hex, too. */
static int
json_paths(struct json *j, struct rbuf in, uint16_t count)
{
	struct rbuf again = in;
	bool odd = false;
	const uint8_t *p;
	size_t n, len;

	json_array(j, "paths");
	for (uint16_t i = 0; i < count; i++) {
		if (rbuf_blob16(&in, &p, &n, SHOW_PATH_MAX) != RC_OK)
			return RC_PROTO;
		json_put_bytes(j, NULL, p, n);
		for (size_t k = 0; k < n && !odd; k += len)
			odd = (len = utf8_sequence(p + k, p + n)) == 0;
	}
	json_end_array(j);
	if (rbuf_end(&in) != RC_OK)
		return RC_PROTO;
	if (!odd)
		return RC_OK;
	json_array(j, "paths_hex");
	for (uint16_t i = 0; i < count; i++) {
		if (rbuf_blob16(&again, &p, &n, SHOW_PATH_MAX) != RC_OK)
			return RC_PROTO;
		json_put_hex(j, NULL, p, n);
	}
	json_end_array(j);
	return RC_OK;
}

static int
text_paths(struct show *s, struct rbuf in, uint16_t count)
{
	const uint8_t *p;
	size_t n;

	for (uint16_t i = 0; i < count; i++) {
		if (rbuf_blob16(&in, &p, &n, SHOW_PATH_MAX) != RC_OK)
			return RC_PROTO;
		printf("%s%s", i > 0 ? " " : "", show_esc(s, 0, p, n));
	}
	(void)putchar('\n');
	return rbuf_end(&in) == RC_OK ? RC_OK : RC_PROTO;
}

static int
snapshot_json(struct show *s, const struct listing *l, struct rbuf paths)
{
	char when[48];
	struct json j;
	int rc;

	rfc3339(l->wall, when, sizeof(when));
	show_json_begin(s, &j, "snapshot");
	json_put_hex(&j, "id", l->id, sizeof(l->id));
	json_put_str(&j, "job", l->label);
	json_put_str(&j, "time", when);
	json_put_i64(&j, "wall_ns", l->wall);
	json_put_str(&j, "host", l->host);
	json_put_u64(&j, "files", l->files);
	json_put_u64(&j, "bytes", l->bytes);
	json_put_bool(&j, "partial",
	    (l->flags & SNAPSHOT_F_PARTIAL) != 0);
	json_put_u64(&j, "sequence", l->seq);
	json_put_u64(&j, "lock_until", l->lock);
	rc = json_paths(&j, paths, l->npaths);
	show_json_end(s, &j);
	return rc;
}

int
on_snapshot(struct show *s, struct rbuf *in)
{
	char when[32], files[32], bytes[32];
	struct listing l;

	if (get_listing(in, &l) != RC_OK)
		return RC_PROTO;
	if (s->json)
		return snapshot_json(s, &l, *in);
	show_clear(s);
	if (!s->header)
		printf("%-10s  %-19s  %9s  %9s  %-16s  %s\n", "SNAPSHOT",
		    "TIME", "FILES", "SIZE", "JOB", "PATHS");
	s->header = true;
	local_time(l.wall / 1000000000, when, sizeof(when));
	human_count(l.files, files, sizeof(files));
	human_bytes(l.bytes, bytes, sizeof(bytes));
	printf("%02x%02x%02x%02x%02x  %-19s  %9s  %9s  %-16s  %s", l.id[0],
	    l.id[1], l.id[2], l.id[3], l.id[4], when, files, bytes,
	    show_esc(s, 0, l.label, strlen(l.label)),
	    (l.flags & SNAPSHOT_F_PARTIAL) != 0 ? "(partial) " : "");
	return text_paths(s, *in, l.npaths);
}

struct entry_seen {
	const uint8_t	*path, *target;
	size_t		 path_len, target_len;
	uint32_t	 mode, uid, gid, ns;
	char		 user[256], group[256];
	uint64_t	 size;
	int64_t		 mtime;
};

static int
get_entry(struct rbuf *in, struct entry_seen *e)
{
	if (rbuf_blob16(in, &e->path, &e->path_len, SHOW_PATH_MAX) !=
	    RC_OK ||
	    rbuf_u32(in, &e->mode) != RC_OK ||
	    rbuf_u32(in, &e->uid) != RC_OK ||
	    rbuf_u32(in, &e->gid) != RC_OK ||
	    rbuf_str(in, e->user, sizeof(e->user)) != RC_OK ||
	    rbuf_str(in, e->group, sizeof(e->group)) != RC_OK ||
	    rbuf_u64(in, &e->size) != RC_OK ||
	    rbuf_i64(in, &e->mtime) != RC_OK ||
	    rbuf_u32(in, &e->ns) != RC_OK ||
	    rbuf_blob16(in, &e->target, &e->target_len, SHOW_PATH_MAX) !=
	    RC_OK || rbuf_end(in) != RC_OK)
		return RC_PROTO;
	return RC_OK;
}

static void
entry_json(struct show *s, const struct entry_seen *e)
{
	char octal[8];
	struct json j;

	show_json_begin(s, &j, "entry");
	json_put_name(&j, "path", e->path, e->path_len);
	json_put_str(&j, "kind", mode_kind(e->mode));
	snprintf(octal, sizeof(octal), "%04o", e->mode & 07777);
	json_put_str(&j, "mode", octal);
	json_put_u64(&j, "uid", e->uid);
	json_put_u64(&j, "gid", e->gid);
	if (e->user[0] != '\0')
		json_put_str(&j, "user", e->user);
	if (e->group[0] != '\0')
		json_put_str(&j, "group", e->group);
	json_put_u64(&j, "size", e->size);
	json_put_i64(&j, "mtime", e->mtime);
	json_put_u64(&j, "mtime_ns", e->ns);
	if (e->target_len != 0)
		json_put_name(&j, "target", e->target, e->target_len);
	show_json_end(s, &j);
}

static void
owner_text(struct show *s, const char *name, uint32_t id, char *out,
    size_t size)
{
	if (name[0] != '\0')
		snprintf(out, size, "%s", show_esc(s, 0, name, strlen(name)));
	else
		snprintf(out, size, "%u", id);
}

int
on_entry(struct show *s, struct rbuf *in)
{
	char mode[11], when[32], user[64], group[64];
	struct entry_seen e;

	if (get_entry(in, &e) != RC_OK)
		return RC_PROTO;
	if (s->json) {
		entry_json(s, &e);
		return RC_OK;
	}
	show_clear(s);
	mode_text(e.mode, mode);
	local_time(e.mtime, when, sizeof(when));
	owner_text(s, e.user, e.uid, user, sizeof(user));
	owner_text(s, e.group, e.gid, group, sizeof(group));
	printf("%s  %-8s %-8s %12llu  %s  %s", mode, user, group,
	    (unsigned long long)e.size, when,
	    show_esc(s, 0, e.path, e.path_len));
	if (e.target_len != 0)
		printf(" -> %s", show_esc(s, 1, e.target, e.target_len));
	(void)putchar('\n');
	return RC_OK;
}

static const char *
finding_name(uint8_t kind)
{
	switch (kind) {
	case FINDING_OBJECT:
		return "object";
	case FINDING_COPY:
		return "copy";
	case FINDING_MISSING:
		return "missing";
	case FINDING_JOURNAL:
		return "journal";
	default:
		return "other";
	}
}

int
on_finding(struct show *s, struct rbuf *in)
{
	char text[SHOW_TEXT_MAX];
	const uint8_t *p;
	uint8_t id[32], kind;
	uint16_t count;
	struct json j;
	size_t n;
	int rc;

	if (rbuf_bytes(in, id, sizeof(id)) != RC_OK ||
	    rbuf_u8(in, &kind) != RC_OK ||
	    rbuf_str(in, text, sizeof(text)) != RC_OK ||
	    rbuf_u16(in, &count) != RC_OK)
		return RC_PROTO;
	if (s->json) {
		show_json_begin(s, &j, "finding");
		json_put_str(&j, "kind", finding_name(kind));
		json_put_hex(&j, "object", id, sizeof(id));
		json_put_str(&j, "text", text);
		rc = json_paths(&j, *in, count);
		show_json_end(s, &j);
		return rc;
	}
	show_complain(s,
	    kind == FINDING_COPY ? "damage, nothing lost" : "damage",
	    show_esc(s, 0, text, strlen(text)));
	for (uint16_t i = 0; i < count; i++) {
		if (rbuf_blob16(in, &p, &n, SHOW_PATH_MAX) != RC_OK)
			return RC_PROTO;
		fprintf(stderr, "\ttouches %s\n", show_esc(s, 0, p, n));
	}
	return rbuf_end(in) == RC_OK ? RC_OK : RC_PROTO;
}
