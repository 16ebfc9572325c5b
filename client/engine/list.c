#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/engine/event.h"
#include "client/engine/listing.h"
#include "client/engine/select.h"
#include "client/engine/tree.h"
#include "client/engine/verb_util.h"
#include "common/rc.h"

/*
 * Looking: which snapshots there are and what is in one.
 */
#define EVENT_MAX_BYTES	65536u
#define PATH_MAX_BYTES	16384u		/* of one shown path */

/* --- snapshots --- */

static int
warn(struct engine *e, const char *text)
{
	struct wbuf body = WBUF_INIT(4096);
	int rc;

	wbuf_u8(&body, EVENT_WARNING);
	wbuf_str(&body, text);
	rc = engine_event(e, &body);
	wbuf_free(&body);
	return rc;
}

/* As many paths as fit beside the rest. */
static void
put_paths(struct wbuf *body, const struct snapbody *b)
{
	size_t at = body->len, len;
	const uint8_t *p;
	struct rbuf in;
	uint16_t i, n = 0;

	wbuf_u16(body, 0);
	rbuf_init(&in, b->packed, b->packed_len);
	for (i = 0; i < b->npaths; i++, n++) {
		if (rbuf_blob16(&in, &p, &len, UINT16_MAX) != RC_OK ||
		    body->len + len + 2 > EVENT_MAX_BYTES)
			break;
		wbuf_blob16(body, p, len);
	}
	wbuf_set_u16(body, at, n);
}

static int
show_snapshot(struct engine *e, const struct snap *s)
{
	struct wbuf body = WBUF_INIT(EVENT_MAX_BYTES);
	int rc;

	wbuf_u8(&body, EVENT_SNAPSHOT);
	wbuf_bytes(&body, s->id.b, sizeof(s->id.b));
	wbuf_str(&body, s->c.label);
	wbuf_i64(&body, s->server.wall_ns);
	wbuf_str(&body, s->body.host);
	wbuf_u64(&body, s->body.files);
	wbuf_u64(&body, s->body.bytes);
	wbuf_u16(&body, s->c.flags);
	wbuf_u64(&body, s->server.vault_seq);
	wbuf_u64(&body, s->server.lock_until);
	put_paths(&body, &s->body);
	rc = engine_event(e, &body);
	wbuf_free(&body);
	return rc;
}

/* A snapshot that cannot be believed is named, not shown as if it could. */
static int
show_or_warn(struct engine *e, const struct snap *s, size_t *bad)
{
	char hex[65], line[256];
	int rc;

	if (s->rc != RC_OK) {
		++*bad;
		select_hex(&s->id, hex);
		snprintf(line, sizeof(line), "snapshot %.16s does not open "
		    "with this vault's keys (%s)", hex, rc_str(s->rc));
		return warn(e, line);
	}
	if (!s->receipt_ok) {
		select_hex(&s->id, hex);
		snprintf(line, sizeof(line), "the receipt of snapshot %.16s is "
		    "not signed by the server's present key", hex);
		if ((rc = warn(e, line)) != RC_OK)
			return rc;
	}
	return show_snapshot(e, s);
}

static int
show_all(struct engine *e, struct remote *r, const char *job, char *text,
    size_t size)
{
	struct snaplist l = { 0 };
	size_t i, n = 0, bad = 0;
	uint8_t id[16] = { 0 };
	int rc, code = EXIT_DONE;

	if (job != NULL && (rc = keys_job_id(&e->keys, job, id)) != RC_OK)
		return verb_failed(NULL, rc, "no job", text, size);
	if ((rc = snaplist_load(e, r, &l)) != RC_OK)
		return verb_failed(r, rc, "the list of snapshots cannot be "
		    "read", text, size);
	for (i = 0; rc == RC_OK && i < l.n; i++) {
		if (job != NULL && memcmp(l.s[i].c.job, id, sizeof(id)) != 0 &&
		    strcmp(l.s[i].c.label, job) != 0)
			continue;
		n++;
		rc = show_or_warn(e, &l.s[i], &bad);
	}
	if (rc != RC_OK) {
		code = verb_failed(r, rc, "the list was not shown", text, size);
	} else if ((rc = snaplist_check_memory(&l, e->state,
	    job != NULL ? id : NULL, text, size)) != RC_OK) {
		code = rc == RC_OLDER ? EXIT_INTEGRITY :
		    verb_bad_memory(rc, text, size);
	} else if (bad > 0) {
		snprintf(text, size, "%zu of %zu snapshots do not open; ask "
		    "the server's administrator to check the vault", bad, n);
		code = EXIT_INTEGRITY;
	} else {
		snprintf(text, size, "%zu snapshots", n);
	}
	snaplist_free(&l);
	return code;
}

int
snapshots_run(struct engine *e, const char *job, char *text, size_t size)
{
	struct remote *r;
	int code, rc;

	if ((rc = engine_connect(e, &r, NULL, NULL)) != RC_OK)
		return verb_no_connection(e, rc, text, size);
	code = show_all(e, r, job, text, size);
	remote_close(r);
	return code;
}

/* --- ls --- */

struct ls {
	struct engine	*e;
	struct tree	*tree;
	bool		 recursive;
	uint64_t	 n, damaged;
};

static int
ls_object(void *arg, uint32_t request, const struct object_id *id,
    const uint8_t *wire, size_t len)
{
	struct ls *l = arg;
	int rc;

	if (l->tree == NULL ||
	    !tree_object(l->tree, request, id, wire, len, &rc))
		return RC_PROTO;
	return rc;
}

int
listing_entry(struct engine *e, const char *dir, const struct entry *entry)
{
	struct wbuf body = WBUF_INIT(EVENT_MAX_BYTES);
	struct wbuf path = WBUF_INIT(EVENT_MAX_BYTES);
	bool link = S_ISLNK(entry->mode);
	size_t n = strlen(dir);
	int rc;

	/* Of a path that is too long for people the end counts. */
	wbuf_bytes(&path, n > PATH_MAX_BYTES ? "..." : "",
	    n > PATH_MAX_BYTES ? 3 : 0);
	wbuf_bytes(&path, n > PATH_MAX_BYTES ? dir + n - PATH_MAX_BYTES : dir,
	    n > PATH_MAX_BYTES ? PATH_MAX_BYTES : n);
	wbuf_u8(&path, '/');
	wbuf_bytes(&path, entry->name, entry->name_len);
	wbuf_u8(&body, EVENT_ENTRY);
	wbuf_blob16(&body, path.data, path.len);
	wbuf_u32(&body, entry->mode);
	wbuf_u32(&body, entry->uid);
	wbuf_u32(&body, entry->gid);
	wbuf_str(&body, entry->user != NULL ? entry->user : "");
	wbuf_str(&body, entry->group != NULL ? entry->group : "");
	wbuf_u64(&body, entry->size);
	wbuf_i64(&body, entry->mtime);
	wbuf_u32(&body, entry->mtime_ns);
	wbuf_blob16(&body, link ? entry->inline_data : (const uint8_t *)"",
	    link ? entry->inline_len : 0);
	rc = engine_event(e, &body);
	wbuf_free(&path);
	wbuf_free(&body);
	return rc;
}

char *
listing_join(const char *dir, const struct entry *e)
{
	size_t n = strlen(dir);
	char *p;

	if ((p = malloc(n + e->name_len + 2)) == NULL)
		return NULL;
	memcpy(p, dir, n);
	p[n] = '/';
	memcpy(p + n + 1, e->name, e->name_len);
	p[n + 1 + e->name_len] = '\0';
	return p;
}

static int
ls_entry(void *arg, void *dir, const struct entry *e)
{
	struct ls *l = arg;
	char *path;
	int rc;

	l->n++;
	if ((rc = listing_entry(l->e, dir, e)) != RC_OK)
		return rc;
	if (!l->recursive || e->ref != REF_DIR)
		return RC_OK;
	if ((path = listing_join(dir, e)) == NULL)
		return RC_NOMEM;
	if ((rc = tree_push_dir(l->tree, &e->ref_id, e->ref_height, path)) !=
	    RC_OK)
		free(path);
	return rc;
}

static int
ls_leave(void *arg, void *ctx, bool is_map)
{
	(void)arg;
	(void)is_map;
	free(ctx);
	return RC_OK;
}

static int
ls_extent(void *arg, void *file, uint64_t offset, const struct extent *x)
{
	(void)arg;
	(void)file;
	(void)offset;
	(void)x;
	return RC_OK;
}

static int
ls_bad(void *arg, void *ctx, bool is_map, const struct object_id *id,
    bool missing)
{
	struct wbuf body = WBUF_INIT(EVENT_MAX_BYTES);
	const char *path = ctx;
	struct ls *l = arg;
	int rc;

	(void)is_map;
	l->damaged++;
	wbuf_u8(&body, EVENT_FINDING);
	wbuf_bytes(&body, id->b, sizeof(id->b));
	wbuf_u8(&body, missing ? FINDING_MISSING : FINDING_OBJECT);
	wbuf_str(&body, "part of this directory cannot be read");
	wbuf_u16(&body, 1);
	wbuf_blob16(&body, path, strlen(path) < PATH_MAX_BYTES ?
	    strlen(path) : PATH_MAX_BYTES);
	rc = engine_event(l->e, &body);
	wbuf_free(&body);
	return rc;
}

static int
ls_tree(struct ls *l, const struct object_id *root, char *path)
{
	struct entry *e;
	char *top, *slash;
	int rc;

	if ((rc = tree_lookup(l->tree, root, path, &e)) != RC_OK)
		return rc;
	if (e != NULL && e->ref != REF_DIR) {
		slash = strrchr(path, '/');
		*slash = '\0';
		l->n++;
		rc = listing_entry(l->e, path, e);
		free(e);
		return rc;
	}
	if ((top = strdup(path)) == NULL)
		rc = RC_NOMEM;
	else
		rc = tree_push_dir(l->tree, e != NULL ? &e->ref_id : root,
		    e != NULL ? e->ref_height : 0, top);
	free(e);
	while (rc == RC_OK)
		rc = tree_step(l->tree);
	return rc == RC_EOF ? RC_OK : rc;
}

static int
ls_show(struct ls *l, struct remote *r, const struct snap *s,
    const char *path, char *text, size_t size)
{
	struct tree_ops ops = { .arg = l, .entry = ls_entry,
	    .leave = ls_leave, .extent = ls_extent, .bad = ls_bad };
	struct sealer *sealer = sealer_new(&l->e->keys);
	char *clean = verb_clean_path(path);
	int rc = RC_NOMEM, code;

	if (sealer != NULL && clean != NULL &&
	    (l->tree = tree_new(r, sealer, &ops)) != NULL)
		rc = ls_tree(l, &s->c.edge[0], clean);
	if (rc != RC_OK) {
		code = verb_no_path(r, rc, clean != NULL ? clean : "", text,
		    size);
	} else if (l->damaged > 0) {
		snprintf(text, size, "parts of this snapshot's directories "
		    "are damaged; tell the server's administrator");
		code = EXIT_INTEGRITY;
	} else {
		snprintf(text, size, "%" PRIu64 " entries", l->n);
		code = EXIT_DONE;
	}
	tree_free(l->tree);
	l->tree = NULL;
	sealer_free(sealer);
	free(clean);
	return code;
}

int
ls_run(struct engine *e, const char *snap, const char *job,
    const char *path, bool recursive, char *text, size_t size)
{
	struct ls l = { .e = e, .recursive = recursive };
	struct remote_events ev = { .arg = &l, .object = ls_object };
	struct snaplist list = { 0 };
	const struct snap *s;
	struct remote *r;
	int code, rc;

	if ((rc = engine_connect(e, &r, &ev, NULL)) != RC_OK)
		return verb_no_connection(e, rc, text, size);
	code = verb_choose(e, r, snap, job, &list, &s, text, size);
	if (code == EXIT_DONE)
		code = ls_show(&l, r, s, path, text, size);
	snaplist_free(&list);
	remote_close(r);
	return code;
}
