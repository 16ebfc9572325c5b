#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/backup_priv.h"
#include "common/rc.h"

/*
 * Objects on their way: asked about if need be, sealed, sent.  Their memory is
 * counted; whoever makes new work waits until enough is free again.
 */
struct buf *
buf_new(struct run *r, size_t size)
{
	struct buf *b;

	if ((b = malloc(sizeof(*b) + size)) == NULL) {
		run_fail(r, RC_NOMEM);
		return NULL;
	}
	b->r = r;
	atomic_init(&b->refs, 1);
	b->size = size;
	atomic_fetch_add(&r->budget, size);
	return b;
}

struct buf *
buf_ref(struct buf *b)
{
	atomic_fetch_add(&b->refs, 1);
	return b;
}

void
buf_drop(struct buf *b)
{
	struct run *r;
	size_t before;

	if (b == NULL || atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	r = b->r;
	before = atomic_fetch_sub(&r->budget, b->size);
	if (before >= RUN_BUDGET && before - b->size < RUN_BUDGET)
		pool_kick();
	free(b);
}

static bool
has_room(void *arg)
{
	struct run *r = arg;

	return atomic_load(&r->budget) < RUN_BUDGET || run_failed(r);
}

void
budget_wait(struct run *r)
{
	if (!has_room(r))
		pool_wait(has_room, r);
}

void
queue_init(struct obj_queue *q)
{
	memset(q, 0, sizeof(*q));
	q->tail = &q->head;
}

static void
enqueue(struct run *r, struct obj_queue *q, struct obj *o, size_t bytes)
{
	o->next = NULL;
	pthread_mutex_lock(&r->qlock);
	*q->tail = o;
	q->tail = &o->next;
	q->n++;
	q->bytes += bytes;
	pthread_mutex_unlock(&r->qlock);
	run_wake(r);
}

struct obj *
obj_new(struct run *r, uint8_t type, uint16_t height,
    const struct object_id *id)
{
	struct obj *o;

	if ((o = calloc(1, sizeof(*o))) == NULL) {
		run_fail(r, RC_NOMEM);
		return NULL;
	}
	o->r = r;
	o->type = type;
	o->height = height;
	if (id != NULL)
		o->id = *id;
	atomic_fetch_add(&r->live, 1);
	return o;
}

void
obj_free(struct obj *o)
{
	struct run *r;

	if (o == NULL)
		return;
	r = o->r;
	buf_drop(o->buf);
	buf_drop(o->sealed);
	free(o->edges);
	free(o);
	if (atomic_fetch_sub(&r->live, 1) == 1)
		run_wake(r);
}

/*
 * Was this id sent or asked about in this round?  The table forgets; then an
 * object is sent twice, and the server drops it.
 */
static bool
seen_before(struct run *r, const struct object_id *id)
{
	struct object_id *slot;
	bool seen;
	size_t at;

	at = ((size_t)id->b[0] << 16 | (size_t)id->b[1] << 8 | id->b[2]) &
	    (RUN_SEEN - 1);
	slot = &r->seen[at];
	pthread_mutex_lock(&r->seen_lock);
	seen = memcmp(slot, id, sizeof(*id)) == 0;
	*slot = *id;
	pthread_mutex_unlock(&r->seen_lock);
	return seen;
}

void
obj_seal(struct obj *o)
{
	struct run *r = o->r;
	int rc;

	if (run_failed(r) || (o->sealed = buf_new(r, seal_room(o->len,
	    o->nedges))) == NULL) {
		obj_free(o);
		return;
	}
	rc = seal_object(run_sealer(r), o->type, o->height, &o->id, o->edges,
	    o->nedges, o->plain, o->len, o->sealed->data, &o->sealed_len);
	if (rc != RC_OK) {
		run_fail(r, rc);
		obj_free(o);
		return;
	}
	if (!object_is_node(o->type))
		atomic_fetch_add(&r->n.new_bytes, o->len);
	buf_drop(o->buf);
	o->buf = NULL;
	o->plain = NULL;
	enqueue(r, &r->sends, o, o->sealed_len);
}

static void
seal_job(struct pool_job *j)
{
	struct obj *o = (struct obj *)j;
	struct run *r = o->r;

	obj_seal(o);
	run_job_done(r);
}

void
obj_submit(struct obj *o, bool ask, bool inline_ok)
{
	struct run *r = o->r;

	if (run_failed(r) || seen_before(r, &o->id)) {
		obj_free(o);
		return;
	}
	if (ask && atomic_load(&r->asked) < RUN_ASKED) {
		atomic_fetch_add(&r->asked, o->len);
		enqueue(r, &r->asks, o, o->len);
	} else if (inline_ok) {
		obj_seal(o);
	} else {
		run_job(r, POOL_FIRST, &o->job, seal_job);
	}
}

void
obj_probe(struct run *r, const struct object_id *id)
{
	struct obj *o;

	if (seen_before(r, id) || (o = obj_new(r, OBJECT_BUNDLE, 0, id)) == NULL)
		return;
	enqueue(r, &r->asks, o, 0);
}

int
obj_chunk(struct run *r, const void *p, size_t n, struct object_id *id)
{
	struct obj *o;
	int rc;

	if ((rc = seal_chunk_id(run_sealer(r), p, n, id)) != RC_OK)
		return rc;
	if ((o = obj_new(r, OBJECT_CHUNK, 0, id)) == NULL)
		return RC_NOMEM;
	if ((o->buf = buf_new(r, n)) == NULL) {
		obj_free(o);
		return RC_NOMEM;
	}
	memcpy(o->buf->data, p, n);
	o->plain = o->buf->data;
	o->len = n;
	obj_submit(o, r->ask, false);
	return RC_OK;
}
