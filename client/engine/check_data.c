#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/check_impl.h"
#include "common/rc.h"

/*
 * Each data object once: is it there (HAVE), or is it what its name says (GET,
 * tag, id, and the content ids of the files in a bundle).
 */
#define BATCH		64u
#define INFLIGHT_MAX	256u
#define QUEUE_BYTES	(64u << 20)
#define BUCKETS		4096u

/* --- presence --- */

static int
have_send(struct check *x)
{
	struct have_batch *b = x->batch;
	int rc;

	if (b == NULL || b->n == 0)
		return RC_OK;
	x->batch = NULL;
	b->next = x->sent;
	x->sent = b;
	rc = remote_have(x->r, (uint64_t)(uintptr_t)b, b->id, b->n);
	return rc != RC_OK ? rc : check_progress(x, "check");
}

static int
have_add(struct check *x, const struct object_id *id)
{
	if (x->batch == NULL &&
	    (x->batch = calloc(1, sizeof(*x->batch))) == NULL)
		return RC_NOMEM;
	x->batch->id[x->batch->n++] = *id;
	return x->batch->n < PROTO_IDS_MAX ? RC_OK : have_send(x);
}

int
check_have(void *arg, uint64_t cookie, const uint8_t *have, size_t n)
{
	struct have_batch **at, *b;
	struct check *x = arg;
	size_t i;
	int rc = RC_OK;

	for (at = &x->sent; (b = *at) != NULL; at = &b->next)
		if ((uint64_t)(uintptr_t)b == cookie)
			break;
	if (b == NULL || b->n != n)
		return RC_PROTO;
	*at = b->next;
	for (i = 0; rc == RC_OK && i < n; i++)
		if (have[i] == HAVE_ABSENT || have[i] == HAVE_AGAIN)
			rc = check_note_bad(x, &b->id[i],
			    have[i] == HAVE_ABSENT);
	free(b);
	return rc;
}

/* --- reading --- */

static struct cobj **
bucket(struct check *x, const struct object_id *id)
{
	return &x->bucket[((size_t)id->b[4] << 8 | id->b[5]) % BUCKETS];
}

static struct cobj *
find(struct check *x, const struct object_id *id)
{
	struct cobj *o;

	for (o = *bucket(x, id); o != NULL; o = o->hash_next)
		if (memcmp(&o->id, id, sizeof(*id)) == 0)
			break;
	return o;
}

static int
by_place(const void *a, const void *b)
{
	const struct member *x = *(struct member *const *)a;
	const struct member *y = *(struct member *const *)b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->len < y->len ? -1 : x->len > y->len;
}

static int
check_member(struct sealer *s, const struct member *m, const uint8_t *plain,
    size_t len, struct bundle_member *out)
{
	int rc;

	if (m->at > len || m->len > len - m->at)
		return RC_CORRUPT;
	out->len = m->len;
	rc = seal_file_id(s, plain + m->at, m->len, out->fid);
	if (rc == RC_OK && memcmp(out->fid, m->fid, sizeof(m->fid)) != 0)
		rc = RC_CORRUPT;
	return rc;
}

/*
 * The members that are known, and where they are all there are, the bundle's own
 * id.  (A bundle from which files have gone has bytes that nobody names.)
 */
static int
check_bundle(struct sealer *s, const struct cobj *o, const uint8_t *plain,
    size_t len)
{
	struct bundle_member *known = NULL;
	struct member **m = NULL, *p;
	struct object_id id;
	size_t i, n = 0, end = 0;
	bool whole = true;
	int rc = RC_OK;

	if (o->nmembers == 0)
		return RC_OK;
	m = calloc(o->nmembers, sizeof(*m));
	known = calloc(o->nmembers, sizeof(*known));
	if (m == NULL || known == NULL) {
		rc = RC_NOMEM;
		goto out;
	}
	for (p = o->members; p != NULL; p = p->next)
		m[n++] = p;
	qsort(m, n, sizeof(*m), by_place);
	for (i = n = 0; rc == RC_OK && i < o->nmembers; i++) {
		/* The same content in two files. */
		if (i > 0 && by_place(&m[i - 1], &m[i]) == 0 &&
		    memcmp(m[i - 1]->fid, m[i]->fid, 16) == 0)
			continue;
		rc = check_member(s, m[i], plain, len, &known[n++]);
		whole = whole && m[i]->at == end;
		end = (size_t)m[i]->at + m[i]->len;
	}
	if (rc == RC_OK && whole && end == len) {
		rc = seal_bundle_id(s, known, (uint32_t)n, &id);
		if (rc == RC_OK && memcmp(&id, &o->id, sizeof(id)) != 0)
			rc = RC_CORRUPT;
	}
out:
	free(m);
	free(known);
	return rc;
}

static void
look(struct pool_job *j)
{
	struct cobj *o = (struct cobj *)((char *)j -
	    offsetof(struct cobj, job));
	struct check *x = o->x;
	struct sealer *s = x->sealers[pool_self()];
	uint8_t *plain = x->plain[pool_self()];
	size_t bytes = o->len, before, jobs, len;
	struct object obj;
	int rc;

	rc = object_parse(o->wire, o->len, &obj);
	if (rc == RC_OK)
		rc = seal_open(s, &obj, 1, plain, &len);
	if (rc == RC_OK && obj.h.type != (o->bundle ? OBJECT_BUNDLE :
	    OBJECT_CHUNK))
		rc = RC_CORRUPT;
	if (rc == RC_OK && o->bundle)
		rc = check_bundle(s, o, plain, len);
	free(o->wire);
	o->wire = NULL;
	o->len = 0;
	atomic_store(&o->rc, rc == RC_OK || rc == RC_NOMEM ? rc : RC_CORRUPT);
	before = atomic_fetch_sub(&x->queued, bytes);
	jobs = atomic_fetch_sub(&x->jobs, 1);
	if (jobs == 1 || before >= QUEUE_BYTES)
		pool_kick();
}

static bool
has_room(void *arg)
{
	return atomic_load(&((struct check *)arg)->queued) < QUEUE_BYTES;
}

static bool
all_done(void *arg)
{
	return atomic_load(&((struct check *)arg)->jobs) == 0;
}

int
check_object(void *arg, uint32_t request, const struct object_id *id,
    const uint8_t *wire, size_t len)
{
	struct check *x = arg;
	struct cobj *o;
	int rc;

	if (x->tree != NULL && tree_object(x->tree, request, id, wire, len,
	    &rc))
		return rc;
	o = find(x, id);
	if (o == NULL || !o->asked || o->request != request)
		return RC_PROTO;
	o->asked = false;
	x->inflight--;
	if (wire == NULL) {
		o->no_more = len == 0;
		atomic_store(&o->rc, len == 0 && o->copy == 0 ? RC_MISSING :
		    RC_CORRUPT);
		return RC_OK;
	}
	if ((o->wire = malloc(len)) == NULL)
		return RC_NOMEM;
	memcpy(o->wire, wire, len);
	o->len = len;
	x->bytes += len;
	o->job.run = look;
	pool_wait(has_room, x);
	atomic_fetch_add(&x->queued, len);
	atomic_fetch_add(&x->jobs, 1);
	pool_add(POOL_FIRST, &o->job);
	return RC_OK;
}

static int
ask(struct check *x, struct cobj **o, const struct object_id *ids, size_t n,
    uint8_t copy)
{
	uint32_t request;
	size_t i;
	int rc;

	while (x->inflight + n > INFLIGHT_MAX)
		if ((rc = remote_poll(x->r, 1000, -1)) != RC_OK ||
		    (rc = check_progress(x, "read")) != RC_OK)
			return rc;
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

static int
read_all(struct check *x, uint8_t copy)
{
	struct object_id ids[BATCH];
	struct cobj *batch[BATCH], *o;
	size_t n = 0;
	int rc = RC_OK, was;

	for (o = x->objs; rc == RC_OK && o != NULL; o = o->next) {
		was = atomic_load(&o->rc);
		if (copy == 0 ? was != RC_AGAIN : was != RC_CORRUPT ||
		    o->no_more)
			continue;
		ids[n] = o->id;
		batch[n++] = o;
		if (n == BATCH) {
			rc = ask(x, batch, ids, n, copy);
			n = 0;
		}
	}
	if (rc == RC_OK && n > 0)
		rc = ask(x, batch, ids, n, copy);
	while (rc == RC_OK && x->inflight > 0)
		if ((rc = remote_poll(x->r, 1000, -1)) == RC_OK)
			rc = check_progress(x, "read");
	pool_wait(all_done, x);
	return rc;
}

static void
free_objs(struct check *x)
{
	struct member *m;
	struct cobj *o;

	while ((o = x->objs) != NULL) {
		x->objs = o->next;
		while ((m = o->members) != NULL) {
			o->members = m->next;
			free(m);
		}
		free(o->wire);
		free(o);
	}
	x->objs_end = &x->objs;
	memset(x->bucket, 0, sizeof(x->bucket));
	x->nobjs = x->nmembers = 0;
}

static bool
any_damaged(const struct check *x)
{
	const struct cobj *o;

	for (o = x->objs; o != NULL; o = o->next)
		if (atomic_load(&o->rc) == RC_CORRUPT && !o->no_more)
			return true;
	return false;
}

static int
read_window(struct check *x)
{
	struct cobj *o;
	uint8_t copy;
	int rc, was;

	if (x->objs == NULL)
		return RC_OK;
	rc = read_all(x, 0);
	for (copy = 1; rc == RC_OK && copy < PROTO_COPIES_MAX &&
	    any_damaged(x); copy++)
		rc = read_all(x, copy);
	for (o = x->objs; rc == RC_OK && o != NULL; o = o->next) {
		was = atomic_load(&o->rc);
		if (was == RC_NOMEM)
			rc = was;
		else if (was != RC_OK)
			rc = check_note_bad(x, &o->id, was == RC_MISSING);
		else if (o->copy > 0)
			rc = check_note_copy(x, &o->id);
	}
	free_objs(x);
	return rc;
}

static bool
in_sample(const struct check *x, const struct object_id *id)
{
	return (uint8_t)(id->b[31] + x->sample) * 100u / 256 <
	    (unsigned)x->o->percent;
}

static int
note_data(struct check *x, const struct object_id *id, bool is_bundle,
    const struct entry *e)
{
	struct member *m;
	struct cobj *o;
	bool fresh;

	o = x->o->percent > 0 ? find(x, id) : NULL;
	if (o == NULL) {
		fresh = idset_add(&x->data, id);
		if (!fresh)
			return RC_OK;
		x->ndata++;
		if (x->o->percent == 0)
			return x->ask_have ? have_add(x, id) : RC_OK;
		if (!in_sample(x, id))
			return RC_OK;
		if ((o = calloc(1, sizeof(*o))) == NULL)
			return RC_NOMEM;
		o->x = x;
		o->id = *id;
		o->bundle = is_bundle;
		atomic_init(&o->rc, RC_AGAIN);
		o->hash_next = *bucket(x, id);
		*bucket(x, id) = o;
		*x->objs_end = o;
		x->objs_end = &o->next;
		x->nobjs++;
	}
	if (!is_bundle)
		return RC_OK;
	if ((m = calloc(1, sizeof(*m))) == NULL)
		return RC_NOMEM;
	m->at = e->offset;
	m->len = e->len;
	memcpy(m->fid, e->fid, sizeof(m->fid));
	m->next = o->members;
	o->members = m;
	o->nmembers++;
	x->nmembers++;
	return RC_OK;
}

/* --- the trees --- */

static int
on_entry(void *arg, void *dir, const struct entry *e)
{
	struct check *x = arg;
	uint8_t i;
	int rc = RC_OK;

	(void)dir;
	if (e->xattrs_len > 0 && e->xattrs == NULL)
		rc = note_data(x, &e->xattrs_edge, false, e);
	if (rc != RC_OK)
		return rc;
	switch (e->ref) {
	case REF_DIR:
		return tree_push_dir(x->tree, &e->ref_id, e->ref_height, NULL);
	case REF_MAP:
		return tree_push_map(x->tree, &e->ref_id, e->ref_height,
		    e->size, NULL);
	case REF_BUNDLE:
		return note_data(x, &e->ref_id, true, e);
	case REF_EXTENTS:
		for (i = 0; rc == RC_OK && i < e->next; i++)
			if (!e->ext[i].hole)
				rc = note_data(x, &e->ext[i].id, false, e);
		return rc;
	default:
		return RC_OK;
	}
}

static int
on_extent(void *arg, void *file, uint64_t offset, const struct extent *e)
{
	(void)file;
	(void)offset;
	return e->hole ? RC_OK : note_data(arg, &e->id, false, NULL);
}

static int
on_bad(void *arg, void *ctx, bool is_map, const struct object_id *id,
    bool missing)
{
	(void)ctx;
	(void)is_map;
	return check_note_bad(arg, id, missing);
}

static bool
on_skip(void *arg, const struct object_id *id)
{
	return idset_has(&((struct check *)arg)->nodes, id);
}

/* Before on_seen(): a node met twice is told once. */
static int
on_copy(void *arg, const struct object_id *id)
{
	return on_skip(arg, id) ? RC_OK : check_note_copy(arg, id);
}

static int
on_seen(void *arg, const struct object_id *id)
{
	struct check *x = arg;

	(void)idset_add(&x->nodes, id);
	x->nnodes++;
	return check_progress(x, "check");
}

int
check_tree(struct check *x, const struct snap *s)
{
	struct tree_ops ops = { .arg = x, .entry = on_entry,
	    .extent = on_extent, .bad = on_bad, .skip = on_skip,
	    .seen = on_seen, .copy = on_copy };
	int rc;

	if ((x->tree = tree_new(x->r, x->sealer, &ops)) == NULL)
		return RC_NOMEM;
	rc = tree_push_dir(x->tree, &s->c.edge[0], 0, NULL);
	while (rc == RC_OK) {
		rc = tree_step(x->tree);
		if (rc == RC_OK && (x->nobjs >= CHECK_WINDOW ||
		    x->nmembers >= CHECK_MEMBERS))
			rc = read_window(x);
	}
	tree_free(x->tree);
	x->tree = NULL;
	return rc == RC_EOF ? RC_OK : rc;
}

int
check_data_end(struct check *x)
{
	int rc;

	if ((rc = read_window(x)) != RC_OK || (rc = have_send(x)) != RC_OK)
		return rc;
	while (x->sent != NULL)
		if ((rc = remote_poll(x->r, 1000, -1)) != RC_OK ||
		    (rc = check_progress(x, "check")) != RC_OK)
			return rc;
	return RC_OK;
}

void
check_data_free(struct check *x)
{
	struct have_batch *b;

	pool_wait(all_done, x);
	free_objs(x);
	while ((b = x->sent) != NULL) {
		x->sent = b->next;
		free(b);
	}
	free(x->batch);
}
