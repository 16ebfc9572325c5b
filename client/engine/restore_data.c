#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/restore_impl.h"
#include "common/rc.h"

/*
 * The objects of a window: each fetched once, in the order of first need, which
 * is about the order in which they were stored, and given to the pool as they
 * come.  Of what is damaged the next copy is asked for, until one opens or there
 * is none.
 */
#define BATCH		64u
#define PATHS_BYTES	49152u		/* in one finding */

static size_t
slot(const struct object_id *id)
{
	return ((size_t)id->b[2] << 8 | id->b[3]) % OBJ_BUCKETS;
}

static struct robj *
find(const struct restore *x, const struct object_id *id)
{
	struct robj *o;

	for (o = x->bucket[slot(id)]; o != NULL; o = o->hash_next)
		if (memcmp(&o->id, id, sizeof(*id)) == 0)
			break;
	return o;
}

static struct robj *
find_or_add(struct restore *x, const struct object_id *id)
{
	struct robj *o;

	if ((o = find(x, id)) != NULL)
		return o;
	if ((o = calloc(1, sizeof(*o))) == NULL)
		return NULL;
	o->x = x;
	o->id = *id;
	o->last = &o->first;
	atomic_init(&o->rc, RC_AGAIN);
	o->hash_next = x->bucket[slot(id)];
	x->bucket[slot(id)] = o;
	*x->objs_end = o;
	x->objs_end = &o->next;
	return o;
}

int
window_add_piece(struct restore *x, const struct object_id *id,
    struct rfile *f, uint64_t off, uint32_t at, uint32_t len, bool bundled)
{
	struct robj *o;
	struct piece *p;

	if ((o = find_or_add(x, id)) == NULL ||
	    (p = calloc(1, sizeof(*p))) == NULL)
		return RC_NOMEM;
	p->f = f;
	p->off = off;
	p->at = at;
	p->len = len;
	p->bundled = bundled;
	*o->last = p;
	o->last = &p->next;
	atomic_fetch_add(&f->left, 1);
	x->npieces++;
	return RC_OK;
}

bool
window_full(const struct restore *x)
{
	return x->npieces >= x->window || x->nfiles >= x->window;
}

bool
window_empty(const struct restore *x)
{
	return x->objs == NULL && x->files == NULL && x->todo == NULL &&
	    x->complete == NULL;
}

/* --- the pool --- */

static bool
has_room(void *arg)
{
	struct restore *x = arg;

	return atomic_load(&x->queued) < QUEUE_BYTES &&
	    atomic_load(&x->jobs) < 4096;
}

static bool
all_done(void *arg)
{
	struct restore *x = arg;

	return atomic_load(&x->jobs) == 0;
}

/* The server goes on filling its window while this waits; workers get on, so it
 * is never long. */
void
window_submit(struct restore *x, struct pool_job *j, size_t bytes)
{
	pool_wait(has_room, x);
	atomic_fetch_add(&x->queued, bytes);
	atomic_fetch_add(&x->jobs, 1);
	pool_add(POOL_FIRST, j);
}

void
window_job_done(struct restore *x, size_t bytes)
{
	size_t before = atomic_fetch_sub(&x->queued, bytes);
	size_t jobs = atomic_fetch_sub(&x->jobs, 1);

	if (jobs == 1 || jobs == 4096 || (before >= QUEUE_BYTES &&
	    before - bytes < QUEUE_BYTES))
		pool_kick();
}

/* --- fetching --- */

int
window_object(struct restore *x, uint32_t request,
    const struct object_id *id, const uint8_t *wire, size_t len)
{
	struct robj *o = find(x, id);

	if (o == NULL || !o->asked || o->request != request)
		return RC_PROTO;
	o->asked = false;
	x->inflight--;
	if (wire == NULL) {
		/* No further copy: those before it were damaged. */
		o->no_more = len == 0;
		atomic_store(&o->rc, len == 0 && o->copy == 0 ? RC_MISSING :
		    RC_CORRUPT);
		return RC_OK;
	}
	if ((o->wire = malloc(len)) == NULL)
		return RC_NOMEM;
	memcpy(o->wire, wire, len);
	o->len = len;
	x->fetched += len;
	o->job.run = write_object;
	window_submit(x, &o->job, len);
	return RC_OK;
}

static int
ask(struct restore *x, struct robj **o, const struct object_id *ids,
    size_t n, uint8_t copy)
{
	uint32_t request;
	size_t i;
	int rc;

	while (x->inflight + n > GET_MAX) {
		if ((rc = remote_poll(x->r, 1000, -1)) != RC_OK ||
		    (rc = report_progress(x)) != RC_OK ||
		    (rc = atomic_load(&x->fatal)) != RC_OK)
			return rc;
	}
	if ((rc = remote_get(x->r, ids, n, copy, &request)) != RC_OK)
		return rc;
	for (i = 0; i < n; i++) {
		o[i]->request = request;
		o[i]->copy = copy;
		o[i]->asked = true;
	}
	x->inflight += n;
	return RC_OK;
}

static bool
should_ask(const struct robj *o, uint8_t copy)
{
	int rc = atomic_load(&o->rc);

	return copy == 0 ? rc == RC_AGAIN : rc != RC_OK && !o->no_more;
}

/* All that are due, then their answers, then the writing. */
static int
fetch(struct restore *x, uint8_t copy)
{
	struct object_id ids[BATCH];
	struct robj *batch[BATCH], *o;
	size_t n = 0;
	int rc;

	for (o = x->objs; o != NULL; o = o->next) {
		if (!should_ask(o, copy))
			continue;
		ids[n] = o->id;
		batch[n++] = o;
		if (n == BATCH) {
			if ((rc = ask(x, batch, ids, n, copy)) != RC_OK)
				return rc;
			n = 0;
		}
	}
	if (n > 0 && (rc = ask(x, batch, ids, n, copy)) != RC_OK)
		return rc;
	while (x->inflight > 0)
		if ((rc = remote_poll(x->r, 1000, -1)) != RC_OK ||
		    (rc = report_progress(x)) != RC_OK ||
		    (rc = atomic_load(&x->fatal)) != RC_OK)
			return rc;
	pool_wait(all_done, x);
	if ((rc = atomic_load(&x->fatal)) != RC_OK)
		return rc;
	return report_progress(x);
}

/* --- damage --- */

static bool
any_damaged(const struct restore *x)
{
	const struct robj *o;

	for (o = x->objs; o != NULL; o = o->next)
		if (should_ask(o, 1))
			return true;
	return false;
}

/* Say which files an object touches, and give them up. */
static int
give_up(struct restore *x, struct robj *o)
{
	bool missing = atomic_load(&o->rc) == RC_MISSING;
	struct wbuf path = WBUF_INIT(65536), list = WBUF_INIT(65536);
	struct piece *p;
	uint16_t n = 0;
	int rc = RC_OK;

	for (p = o->first; rc == RC_OK && p != NULL; p = p->next) {
		rdir_path(x, p->f->dir, p->f->e, &path);
		wbuf_blob16(&list, path.data, path.len);
		n++;
		if (p->next == NULL || list.len > PATHS_BYTES) {
			rc = report_damage(x, &o->id, missing, &list, n,
			    missing ? "an object is missing or cannot be read "
			    "on the server: these files are not restored" :
			    "an object is damaged: these files are not "
			    "restored");
			wbuf_reset(&list);
			n = 0;
		}
		file_fail(p->f, RC_CORRUPT, 0);
		file_piece_done(x->own, p->f);
	}
	wbuf_free(&path);
	wbuf_free(&list);
	return rc;
}

static void
free_objs(struct restore *x)
{
	struct robj *o;
	struct piece *p;

	while ((o = x->objs) != NULL) {
		x->objs = o->next;
		while ((p = o->first) != NULL) {
			o->first = p->next;
			free(p);
		}
		free(o->wire);
		free(o);
	}
	x->objs_end = &x->objs;
	memset(x->bucket, 0, OBJ_BUCKETS * sizeof(*x->bucket));
	x->npieces = 0;
}

int
window_run(struct restore *x)
{
	struct robj *o;
	uint8_t copy;
	int rc;

	x->again = false;
	rc = fetch(x, 0);
	for (copy = 1; rc == RC_OK && copy < PROTO_COPIES_MAX &&
	    any_damaged(x); copy++)
		rc = fetch(x, copy);
	for (o = x->objs; rc == RC_OK && o != NULL; o = o->next)
		if (atomic_load(&o->rc) != RC_OK)
			rc = give_up(x, o);
	/* Also when it failed: jobs point into what is freed below. */
	pool_wait(all_done, x);
	free_objs(x);
	x->nfiles = 0;
	if (rc == RC_OK)
		rc = end_links(x);
	pool_wait(all_done, x);
	if (rc == RC_OK)
		rc = end_files(x);
	/* Something more comes into a directory: its times have to wait. */
	if (rc == RC_OK && !x->again && x->todo == NULL)
		rc = end_dirs(x);
	return rc;
}

void
window_free(struct restore *x)
{
	pool_wait(all_done, x);
	free_objs(x);
	free(x->bucket);
	x->bucket = NULL;
}
