#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/engine/check_impl.h"
#include "client/engine/listing.h"
#include "common/rc.h"

/*
 * The second reading: which files of which snapshot need something bad.
 */
#define PATHS_BYTES	49152u		/* in one event */
#define PATH_BYTES	8192u		/* of one path: its end */

static int
tell(struct check *x, struct bad *b)
{
	char hex[65], text[160];
	int rc;

	if (b->npaths == 0)
		return RC_OK;
	select_hex(&x->snap->id, hex);
	snprintf(text, sizeof(text), "%s; files of snapshot %.16s (%s) need "
	    "it", b->missing ? "an object is missing" :
	    "an object is damaged", hex, x->snap->c.label);
	rc = check_event(x, &b->id, b->missing ? FINDING_MISSING :
	    FINDING_OBJECT, text, &b->paths, b->npaths);
	wbuf_reset(&b->paths);
	b->npaths = 0;
	b->named = true;
	return rc;
}

static int
touch(struct check *x, const struct object_id *id, const char *dir,
    const struct entry *e)
{
	struct bad *b = check_find_bad(x, id);
	const char *end;
	char *path;
	size_t n;

	if (b == NULL)
		return RC_OK;
	path = e != NULL ? listing_join(dir, e) :
	    strdup(dir[0] != '\0' ? dir : "/");
	if (path == NULL)
		return RC_NOMEM;
	n = strlen(path);
	end = n > PATH_BYTES ? path + n - PATH_BYTES : path;
	wbuf_blob16(&b->paths, end, strlen(end));
	b->npaths++;
	free(path);
	return b->paths.len > PATHS_BYTES ? tell(x, b) : RC_OK;
}

static int
on_entry(void *arg, void *dir, const struct entry *e)
{
	struct check *x = arg;
	char *path;
	uint8_t i;
	int rc = RC_OK;

	if (e->xattrs_len > 0 && e->xattrs == NULL)
		rc = touch(x, &e->xattrs_edge, dir, e);
	if (rc == RC_OK && e->ref == REF_BUNDLE)
		rc = touch(x, &e->ref_id, dir, e);
	if (e->ref == REF_EXTENTS)
		for (i = 0; rc == RC_OK && i < e->next; i++)
			if (!e->ext[i].hole)
				rc = touch(x, &e->ext[i].id, dir, e);
	if (rc != RC_OK || (e->ref != REF_DIR && e->ref != REF_MAP))
		return rc;
	if ((path = listing_join(dir, e)) == NULL)
		return RC_NOMEM;
	rc = e->ref == REF_DIR ?
	    tree_push_dir(x->tree, &e->ref_id, e->ref_height, path) :
	    tree_push_map(x->tree, &e->ref_id, e->ref_height, e->size, path);
	if (rc != RC_OK)
		free(path);
	return rc;
}

static int
on_leave(void *arg, void *ctx, bool is_map)
{
	(void)arg;
	(void)is_map;
	free(ctx);
	return RC_OK;
}

static int
on_extent(void *arg, void *file, uint64_t offset, const struct extent *e)
{
	(void)offset;
	return e->hole ? RC_OK : touch(arg, &e->id, file, NULL);
}

static int
on_bad(void *arg, void *ctx, bool is_map, const struct object_id *id,
    bool missing)
{
	struct check *x = arg;
	int rc;

	(void)is_map;
	/* Nodes are bad for whoever reads them, now as in the first reading. */
	if ((rc = check_note_bad(x, id, missing)) != RC_OK)
		return rc;
	return touch(x, id, ctx, NULL);
}

int
check_name(struct check *x, const struct snap *s)
{
	struct tree_ops ops = { .arg = x, .entry = on_entry,
	    .leave = on_leave, .extent = on_extent, .bad = on_bad };
	char *top = strdup("");
	size_t i;
	int rc;

	x->snap = s;
	if (top == NULL ||
	    (x->tree = tree_new(x->r, x->sealer, &ops)) == NULL) {
		free(top);
		return RC_NOMEM;
	}
	rc = tree_push_dir(x->tree, &s->c.edge[0], 0, top);
	while (rc == RC_OK && (rc = tree_step(x->tree)) == RC_OK)
		rc = check_progress(x, "find files");
	tree_free(x->tree);
	x->tree = NULL;
	if (rc == RC_EOF)
		rc = RC_OK;
	for (i = 0; rc == RC_OK && i < x->nbad; i++)
		rc = tell(x, &x->bad[i]);
	return rc;
}

/* Bad objects that no snapshot looked at needs. */
int
check_name_rest(struct check *x)
{
	static const struct wbuf none = WBUF_INIT(1);
	size_t i;
	int rc = RC_OK;

	for (i = 0; rc == RC_OK && i < x->nbad; i++)
		if (!x->bad[i].named)
			rc = check_event(x, &x->bad[i].id, x->bad[i].missing ?
			    FINDING_MISSING : FINDING_OBJECT,
			    "no file of the snapshots looked at needs it",
			    &none, 0);
	return rc;
}
