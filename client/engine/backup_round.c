#include "config.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/engine/backup_priv.h"
#include "client/engine/event.h"
#include "common/rc.h"

/*
 * One pass over the files, seen from the main thread: while the others work it
 * asks, puts and shows how far things are.
 */
#define HAVE_MIN	256		/* ids worth a question while busy */
#define HAVE_BYTES	(8u << 20)	/* or so much that waits */
#define IDLE_MS		50
#define PUTS_AT_ONCE	16

/* Ids of one HAVE and what waits for its answer. */
struct question {
	struct run	*r;
	size_t		 n;
	struct obj	*obj[PROTO_IDS_MAX];
};

void
run_fail(struct run *r, int rc)
{
	int none = RC_OK;

	if (atomic_compare_exchange_strong(&r->rc, &none, rc)) {
		pool_kick();
		run_wake(r);
	}
}

bool
run_failed(const struct run *r)
{
	return atomic_load(&r->rc) != RC_OK;
}

void
run_wake(struct run *r)
{
	const uint64_t one = 1;

	if (!atomic_exchange(&r->woken, true))
		(void)!write(r->wake_fd, &one, sizeof(one));
}

void
run_job(struct run *r, enum pool_lane lane, struct pool_job *j,
    void (*fn)(struct pool_job *j))
{
	atomic_fetch_add(&r->jobs, 1);
	j->run = fn;
	pool_add(lane, j);
}

/* The last touch of r by a job. */
void
run_job_done(struct run *r)
{
	if (atomic_fetch_sub(&r->jobs, 1) == 1)
		pool_kick();
}

struct sealer *
run_sealer(struct run *r)
{
	return r->sealer[pool_self()];
}

static void
path_of(const struct walk_dir *d, const char *name, struct wbuf *out)
{
	wbuf_init(out, 64u << 20);
	if (d != NULL) {
		walk_path(d, name, out);
	} else {
		wbuf_bytes(out, name, strlen(name));
		wbuf_u8(out, '\0');
	}
	if (wbuf_rc(out) != RC_OK) {
		wbuf_reset(out);
		wbuf_bytes(out, "?", 2);
	}
}

/* In an event only the end of a path that has no end of its own. */
static void
put_path(struct wbuf *out, const struct wbuf *path, size_t max)
{
	size_t n = path->len > 0 ? path->len - 1 : 0, from = 0;

	if (n > max)
		from = n - max;
	wbuf_blob16(out, path->data + from, n - from);
}

void
run_skip(struct run *r, const struct walk_dir *d, const char *name,
    const char *reason)
{
	struct wbuf path, ev = WBUF_INIT(65536);

	path_of(d, name, &path);
	atomic_fetch_add(&r->n.skipped, 1);
	pthread_mutex_lock(&r->report_lock);
	if (path.len < UINT16_MAX && r->report.len + path.len + 256 <
	    REPORT_PLAIN_MAX) {
		put_path(&r->report, &path, UINT16_MAX);
		wbuf_str(&r->report, reason);
		r->reported++;
	}
	pthread_mutex_unlock(&r->report_lock);
	wbuf_u8(&ev, EVENT_SKIPPED);
	put_path(&ev, &path, 32768);
	wbuf_str(&ev, reason);
	(void)engine_event(r->e, &ev);
	wbuf_free(&ev);
	wbuf_free(&path);
}

void
run_note(struct run *r, const struct walk_dir *d, const char *name,
    const char *text)
{
	struct wbuf path, ev = WBUF_INIT(65536);
	char line[4096];

	path_of(d, name, &path);
	snprintf(line, sizeof(line), "%.3000s: %s", (const char *)path.data,
	    text);
	wbuf_u8(&ev, EVENT_WARNING);
	wbuf_str(&ev, line);
	(void)engine_event(r->e, &ev);
	wbuf_free(&ev);
	wbuf_free(&path);
}

static struct obj *
dequeue(struct run *r, struct obj_queue *q)
{
	struct obj *o;

	pthread_mutex_lock(&r->qlock);
	if ((o = q->head) != NULL) {
		if ((q->head = o->next) == NULL)
			q->tail = &q->head;
		q->n--;
		q->bytes -= q == &r->sends ? o->sealed_len : o->len;
	}
	pthread_mutex_unlock(&r->qlock);
	return o;
}

static int
send_some(struct run *r)
{
	struct obj *o;
	int i, rc;

	for (i = 0; i < PUTS_AT_ONCE; i++) {
		if ((o = dequeue(r, &r->sends)) == NULL)
			return RC_OK;
		rc = remote_put(r->remote, o->sealed->data, o->sealed_len);
		if (rc == RC_OK)
			atomic_fetch_add(&r->n.stored_bytes, o->sealed_len);
		obj_free(o);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static int
ask_some(struct run *r, bool idle)
{
	struct object_id ids[PROTO_IDS_MAX];
	struct question *q;
	struct obj *o;
	bool due;
	int rc;

	pthread_mutex_lock(&r->qlock);
	due = r->asks.n > 0 && (idle || r->asks.n >= HAVE_MIN ||
	    r->asks.bytes >= HAVE_BYTES);
	pthread_mutex_unlock(&r->qlock);
	if (!due)
		return RC_OK;
	if ((q = calloc(1, sizeof(*q))) == NULL)
		return RC_NOMEM;
	q->r = r;
	while (q->n < PROTO_IDS_MAX && (o = dequeue(r, &r->asks)) != NULL) {
		ids[q->n] = o->id;
		q->obj[q->n++] = o;
	}
	rc = remote_have(r->remote, (uint64_t)(uintptr_t)q, ids, q->n);
	if (rc == RC_OK)
		return RC_OK;
	while (q->n > 0)
		obj_free(q->obj[--q->n]);
	free(q);
	return rc;
}

static void
seal_later(struct pool_job *j)
{
	struct obj *o = (struct obj *)j;
	struct run *r = o->r;

	obj_seal(o);
	run_job_done(r);
}

/*
 * FOREIGN would have to be fetched and checked before it is relied on; sending
 * our own is simpler, and the server keeps both or neither.
 */
static int
on_have(void *arg, uint64_t cookie, const uint8_t *have, size_t n)
{
	struct question *q = (struct question *)(uintptr_t)cookie;
	struct run *r = arg;
	struct obj *o;
	size_t i;

	if (q == NULL || q->r != r || n != q->n)
		return RC_PROTO;
	for (i = 0; i < n; i++) {
		o = q->obj[i];
		atomic_fetch_sub(&r->asked, o->len);
		if (o->buf == NULL) {
			if (have[i] != HAVE_PRESENT && have[i] != HAVE_FOREIGN)
				r->probe_missing = true;
			obj_free(o);
		} else if (have[i] == HAVE_PRESENT) {
			obj_free(o);
		} else {
			run_job(r, POOL_FIRST, &o->job, seal_later);
		}
	}
	free(q);
	return RC_OK;
}

static int
show(struct run *r)
{
	char where[sizeof(r->where)];
	struct progress p = {
		.files = atomic_load(&r->n.files),
		.bytes = atomic_load(&r->n.bytes),
		.new_bytes = atomic_load(&r->n.new_bytes),
		.stored_bytes = atomic_load(&r->n.stored_bytes),
		/* As much as last time is the best guess there is. */
		.total_files = r->base_files,
		.total_bytes = r->base_bytes,
		.phase = r->o->dry_run ? "looking" : "saving",
		.path = where,
	};

	pthread_mutex_lock(&r->where_lock);
	snprintf(where, sizeof(where), "%s", r->where);
	pthread_mutex_unlock(&r->where_lock);
	atomic_store(&r->where_wanted, true);
	return engine_progress(r->e, &p);
}

static int
wait_a_little(struct run *r, bool idle)
{
	/* At the end the last jobs may not wake anybody any more. */
	int ms = atomic_load(&r->root_done) ? 1 : IDLE_MS, rc;
	uint64_t v;

	rc = remote_poll(r->remote, idle ? ms : 0, r->wake_fd);
	if (idle && atomic_load(&r->woken)) {
		(void)!read(r->wake_fd, &v, sizeof(v));
		atomic_store(&r->woken, false);
	}
	return rc;
}

static bool
queues_empty(struct run *r)
{
	bool empty;

	pthread_mutex_lock(&r->qlock);
	empty = r->asks.n == 0 && r->sends.n == 0;
	pthread_mutex_unlock(&r->qlock);
	return empty;
}

/* In this order: only a job makes new objects. */
static bool
all_done(struct run *r)
{
	return atomic_load(&r->root_done) && atomic_load(&r->jobs) == 0 &&
	    atomic_load(&r->live) == 0;
}

static bool
jobs_over(void *arg)
{
	return atomic_load(&((struct run *)arg)->jobs) == 0;
}

static void
pump(struct run *r)
{
	bool idle;
	int rc = RC_OK;

	while (!run_failed(r) && !all_done(r)) {
		if ((rc = send_some(r)) != RC_OK ||
		    (rc = ask_some(r, queues_empty(r) || r->sends.n == 0)) !=
		    RC_OK)
			break;
		idle = queues_empty(r);
		if (idle && all_done(r))
			break;
		if ((rc = wait_a_little(r, idle)) != RC_OK ||
		    (rc = show(r)) != RC_OK)
			break;
	}
	if (rc != RC_OK)
		run_fail(r, rc);
}

static void
pump_dry(struct run *r)
{
	int rc;

	while (!run_failed(r) && !jobs_over(r)) {
		usleep(20000);
		if ((rc = show(r)) != RC_OK)
			run_fail(r, rc);
	}
}

static void
queue_clear(struct run *r, struct obj_queue *q)
{
	struct obj *o;

	while ((o = dequeue(r, q)) != NULL)
		obj_free(o);
}

static void
round_clear(struct run *r)
{
	int i;

	queue_clear(r, &r->asks);
	queue_clear(r, &r->sends);
	small_clear(r);
	large_clear(r);
	tree_clear(r);
	for (i = 0; i <= POOL_THREADS_MAX; i++) {
		sealer_free(r->sealer[i]);
		r->sealer[i] = NULL;
	}
	sealer_free(r->tree_sealer);
	r->tree_sealer = NULL;
	mac_free(r->link_mac);
	r->link_mac = NULL;
	free(r->fs);
	r->fs = NULL;
	r->nfs = 0;
	free(r->seen);
	r->seen = NULL;
}

static int
round_init(struct run *r)
{
	/* What an earlier round of the same run sent was sent. */
	uint64_t fresh = atomic_load(&r->n.new_bytes);
	uint64_t stored = atomic_load(&r->n.stored_bytes);
	int i;

	queue_init(&r->asks);
	queue_init(&r->sends);
	r->large_head = NULL;
	r->large_tail = &r->large_head;
	r->large_running = 0;
	r->next_batch = r->batches = 0;
	r->no_more = false;
	r->probe_missing = false;
	r->cache_bad = false;
	atomic_store(&r->rc, RC_OK);
	atomic_store(&r->root_done, false);
	atomic_store(&r->budget, 0);
	atomic_store(&r->asked, 0);
	atomic_store(&r->queued_batches, 0);
	atomic_store(&r->large_waiting, 0);
	memset(&r->n, 0, sizeof(r->n));
	atomic_store(&r->n.new_bytes, fresh);
	atomic_store(&r->n.stored_bytes, stored);
	wbuf_reset(&r->report);
	r->reported = 0;
	for (i = 0; i <= pool_threads(); i++)
		if ((r->sealer[i] = sealer_new(r->k)) == NULL)
			return RC_NOMEM;
	r->tree_sealer = sealer_new(r->k);
	r->link_mac = mac_new(&r->k->name);
	r->seen = calloc(RUN_SEEN, sizeof(*r->seen));
	if (r->tree_sealer == NULL || r->link_mac == NULL || r->seen == NULL)
		return RC_NOMEM;
	return RC_OK;
}

int
round_run(struct run *r)
{
	const struct remote_events ev = { .arg = r, .have = on_have };
	int rc;

	if ((rc = round_init(r)) == RC_OK) {
		if (r->remote != NULL)
			remote_set_events(r->remote, &ev);
		walk_start(r);
		if (r->o->dry_run)
			pump_dry(r);
		else
			pump(r);
		/* Whatever happened, nobody may still be using this. */
		pool_wait(jobs_over, r);
		rc = atomic_load(&r->rc);
		if (rc == RC_OK && r->probe_missing)
			rc = RC_MISSING;
	}
	round_clear(r);
	return rc;
}
