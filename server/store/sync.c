#include "config.h"

#include "server/store/serve.h"

#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "common/wbuf.h"

/*
 * What waits for the disk.  One sync at a time, in two steps (packs, then the
 * journal), in other threads; whoever comes meanwhile shares the next one.
 */
enum { TAG_DATA, TAG_NODES, TAG_JOURNAL };

static void
waiter_free(struct waiter *w)
{
	commit_clear(&w->commit);
	free(w);
}

static void
enqueue(struct server *srv, struct waiter *w)
{
	w->next = NULL;
	*srv->queue_tail = w;
	srv->queue_tail = &w->next;
}

static void
forget_in(struct waiter *w, const struct session *s)
{
	for (; w != NULL; w = w->next)
		if (w->s == s)
			w->s = NULL;
}

/* Its commit goes on; only the answer has nobody to go to. */
void
sync_forget(struct server *srv, struct session *s)
{
	forget_in(srv->queue, s);
	forget_in(srv->batch, s);
}

static void
send_missing(struct session *s, uint32_t request, const struct commit *c)
{
	struct wbuf body = WBUF_INIT(PROTO_SMALL_MAX);

	ids_put(&body, c->missing, c->nmissing);
	send_small(s, PROTO_MISSING, request, &body);
	wbuf_free(&body);
}

static void
send_committed(struct session *s, uint32_t request, const struct commit *c)
{
	struct wbuf body = WBUF_INIT(512);

	snapshot_put_server(&body, &c->server);
	send_small(s, PROTO_COMMITTED, request, &body);
	wbuf_free(&body);
}

int
on_commit(struct server *srv, struct session *s, const struct link_frame *f)
{
	struct waiter *w;
	int rc;

	if (s->committing)
		return RC_STATE;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return RC_NOMEM;
	w->grant = s->grant;
	rc = commit_check(srv->v, s->run, &w->grant, f->payload, f->len,
	    &w->commit);
	switch (rc) {
	case RC_OK:
		w->s = s;
		w->request = f->request;
		s->committing = true;
		s->run->committing = true;
		enqueue(srv, w);
		if (srv->phase == SYNC_IDLE)
			sync_begin(srv);
		return RC_OK;
	case RC_EXISTS:
		send_committed(s, f->request, &w->commit);
		break;
	case RC_MISSING:
		send_missing(s, f->request, &w->commit);
		break;
	default:
		log_warn("%s: commit refused: %s", s->grant.name, rc_str(rc));
		send_error(s, f->request, rc, NULL);
		break;
	}
	waiter_free(w);
	return RC_OK;
}

int
on_flush(struct server *srv, struct session *s, const struct link_frame *f)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return RC_NOMEM;
	w->s = s;
	w->request = f->request;
	w->flush = true;
	enqueue(srv, w);
	if (srv->phase == SYNC_IDLE)
		sync_begin(srv);
	return RC_OK;
}

/* The run goes on as it was: it may be repeated. */
static void
fail_waiter(struct waiter *w, int rc)
{
	if (w->commit.run != NULL)
		w->commit.run->committing = false;
	if (w->s == NULL)
		return;
	w->s->committing = false;
	log_warn("%s: %s failed: %s", w->s->grant.name,
	    w->flush ? "flush" : "commit", rc_str(rc));
	send_error(w->s, w->request, rc, NULL);
}

static void
finish(struct server *srv)
{
	struct waiter *w;

	srv->phase = SYNC_IDLE;
	while ((w = srv->batch) != NULL) {
		srv->batch = w->next;
		waiter_free(w);
	}
	/* Those that came meanwhile, or second copies that were written. */
	if (srv->queue != NULL)
		sync_begin(srv);
}

static void
journal_back(struct server *srv, int rc)
{
	struct waiter *w;

	/* The loop synced meanwhile and failed: so has this one. */
	if (rc == RC_OK && srv->v->readonly)
		rc = RC_READONLY;
	if (rc == RC_OK)
		journal_synced(srv->v->journal, srv->journal_size);
	else
		vault_set_readonly(srv->v, "the journal could not be synced");
	for (w = srv->batch; w != NULL; w = w->next) {
		if (!w->written)
			continue;
		if (rc != RC_OK) {
			fail_waiter(w, rc);
			continue;
		}
		if (w->s != NULL)
			w->s->committing = false;
		if (w->commit.run->owner != NULL)
			((struct session *)w->commit.run->owner)->run = NULL;
		tell_keep(&srv->tell, w->commit.run, &w->told);
		/* The snapshot stands; its run ends with it. */
		if (commit_finish(srv->v, &w->commit) != RC_OK)
			log_err("the vault needs an administrator");
		if (w->s != NULL) {
			log_info("%s: snapshot %llu committed, %llu new bytes",
			    w->s->grant.name, (unsigned long long)
			    w->commit.server.vault_seq, (unsigned long long)
			    w->commit.server.new_bytes);
			send_committed(w->s, w->request, &w->commit);
		}
		tell_committed(&srv->tell, &w->told, &w->commit);
	}
	if (rc == RC_OK)
		for (w = srv->batch; w != NULL; w = w->next)
			if (w->written &&
			    commit_copy(srv->v, &w->commit) != RC_OK)
				log_warn("no second copy of a snapshot");
	finish(srv);
	/* Lazily: nobody waits for the copies. */
	if (srv->phase == SYNC_IDLE && !srv->v->readonly &&
	    packs_dirty(srv->v->packs))
		sync_begin(srv);
}

static void
packs_back(struct server *srv)
{
	unsigned written = 0;
	struct waiter *w;
	int rc;

	rc = srv->begin_rc != RC_OK ? srv->begin_rc :
	    packs_sync_end(srv->v->packs, srv->rcs);
	if (rc == RC_OK) {
		srv->dirty_ms = 0;
		for (struct session *s = srv->sessions; s != NULL; s = s->next)
			s->durable = s->at_sync;
	} else {
		log_err("packs could not be synced: %s", rc_str(rc));
		vault_fail_runs(srv->v, rc);
	}
	for (w = srv->batch; w != NULL; w = w->next) {
		int one = rc;

		if (w->flush) {
			if (rc == RC_OK && w->s != NULL)
				send_ack(w->s, PROTO_FLUSHED, w->request);
			else
				fail_waiter(w, rc);
			continue;
		}
		if (one == RC_OK)
			one = commit_write(srv->v, &w->commit);
		if (one == RC_OK) {
			w->written = true;
			written++;
		} else {
			fail_waiter(w, one);
		}
	}
	if (written == 0) {
		finish(srv);
		return;
	}
	srv->phase = SYNC_JOURNAL;
	srv->journal_size = journal_size(srv->v->journal);
	srv->job[TAG_JOURNAL].fd = journal_fd(srv->v->journal);
	srv->job[TAG_JOURNAL].tag = TAG_JOURNAL;
	srv->pending = 1;
	io_submit(srv->io, &srv->job[TAG_JOURNAL]);
}

void
sync_begin(struct server *srv)
{
	int fds[2];

	srv->batch = srv->queue;
	srv->queue = NULL;
	srv->queue_tail = &srv->queue;
	srv->phase = SYNC_PACKS;
	srv->pending = 0;
	/* Of a run that failed something is lost: it is never said durable. */
	for (struct session *s = srv->sessions; s != NULL; s = s->next)
		if (s->run == NULL || s->run->failed == RC_OK)
			s->at_sync = s->received;
	srv->begin_rc = packs_sync_begin(srv->v->packs, fds);
	for (int i = 0; i < 2; i++) {
		srv->rcs[i] = RC_OK;
		/* An unwritten buffer fails what waits for it. */
		if (fds[i] < 0 || srv->begin_rc != RC_OK)
			continue;
		srv->job[i].fd = fds[i];
		srv->job[i].tag = i;
		srv->pending++;
		io_submit(srv->io, &srv->job[i]);
	}
	if (srv->pending == 0)
		packs_back(srv);
}

void
server_io(struct server *srv)
{
	struct io_job *j;

	while ((j = io_done(srv->io)) != NULL) {
		srv->pending--;
		if (j->tag == TAG_JOURNAL) {
			journal_back(srv, j->rc);
			continue;
		}
		srv->rcs[j->tag] = j->rc;
		if (srv->pending == 0)
			packs_back(srv);
	}
}

void
server_drain(struct server *srv)
{
	struct io_job *j;

	while (srv->phase != SYNC_IDLE) {
		j = io_wait(srv->io);
		srv->pending--;
		if (j->tag == TAG_JOURNAL)
			journal_back(srv, j->rc);
		else {
			srv->rcs[j->tag] = j->rc;
			if (srv->pending == 0)
				packs_back(srv);
		}
	}
}

static void
sooner(int *wait_ms, uint64_t now, uint64_t at)
{
	uint64_t left = at > now ? at - now : 0;

	if (*wait_ms < 0 || (uint64_t)*wait_ms > left)
		*wait_ms = (int)left;
}

static void
expire_runs(struct server *srv, uint64_t now, int *wait_ms)
{
	struct run *r, *next;

	for (r = srv->v->runs; r != NULL; r = next) {
		next = r->next;
		if (r->owner != NULL || r->committing)
			continue;
		if (now - r->lost_ms >= RUN_GRACE_MS) {
			tell_left(&srv->tell, r);
			run_end(srv->v, r);
		} else {
			sooner(wait_ms, now, r->lost_ms + RUN_GRACE_MS);
		}
	}
}

void
server_tick(struct server *srv, uint64_t now, int *wait_ms)
{
	int rc;

	for (struct session *s = srv->sessions; s != NULL; s = s->next) {
		if (s->durable != s->acked_durable && s->ack_due_ms == 0)
			s->ack_due_ms = now + PROTO_ACK_MS;
		if (s->ack_due_ms != 0 && now >= s->ack_due_ms && !s->ending)
			send_ack(s, PROTO_ACK, s->put_request);
		if (s->ack_due_ms != 0)
			sooner(wait_ms, now, s->ack_due_ms);
	}
	expire_runs(srv, now, wait_ms);
	tell_tick(&srv->tell, now, wait_ms);
	if (!packs_dirty(srv->v->packs))
		srv->dirty_ms = 0;
	else if (srv->dirty_ms == 0)
		srv->dirty_ms = now;
	if (srv->dirty_ms != 0 && srv->phase == SYNC_IDLE &&
	    !srv->v->readonly) {
		if (now - srv->dirty_ms >= VAULT_SYNC_MS ||
		    packs_unsynced(srv->v->packs) >= VAULT_SYNC_BYTES)
			sync_begin(srv);
		else
			sooner(wait_ms, now, srv->dirty_ms + VAULT_SYNC_MS);
	}
	rc = vault_merge(srv->v);
	if (rc == RC_AGAIN)
		*wait_ms = 0;
}
