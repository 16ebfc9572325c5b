#include "config.h"

#include "server/master/master.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"

/*
 * The stores: at most one process per vault, started when a grant needs it.
 * Grants that come while it opens its vault, or while its predecessor is still
 * ending, wait here; nobody else does.
 */
static char *
hex16(const uint8_t id[16], char out[33])
{
	size_t i;

	for (i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", id[i]);
	return out;
}

static struct vault *
find(struct master *m, const uint8_t id[16])
{
	struct vault *v;

	for (v = m->vaults; v != NULL; v = v->next)
		if (memcmp(v->id, id, sizeof(v->id)) == 0)
			return v;
	return NULL;
}

static struct vault *
add(struct master *m, const struct grant *g)
{
	struct vault *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	memcpy(v->id, g->vault, sizeof(v->id));
	memcpy(v->instance, g->instance, sizeof(v->instance));
	v->pending_tail = &v->pending;
	v->next = m->vaults;
	m->vaults = v;
	return v;
}

static void
drop(struct master *m, struct vault *v)
{
	struct vault **vp;

	for (vp = &m->vaults; *vp != NULL && *vp != v; vp = &(*vp)->next)
		;
	if (*vp != NULL)
		*vp = v->next;
	free(v);
}

static void
answer(struct proc *worker, int rc, int fd)
{
	struct wbuf body = WBUF_INIT(8);

	if (worker == NULL)
		return;
	wbuf_u8(&body, (uint8_t)-rc);
	proc_send(worker, MSG_STORE_CHAN, &body, fd);
}

/* The one who waits, if it is still there and waits for this. */
static struct proc *
grantee(struct master *m, const struct grant *g)
{
	struct proc *p = proc_by_worker(m, g->worker);

	return p != NULL && p->state == PROC_BUSY && p->conn.id == g->conn ?
	    p : NULL;
}

/* Both ends of a new channel: the channel is the right. */
static void
join(struct proc *worker, struct proc *store, const struct grant *g)
{
	struct wbuf body = WBUF_INIT(256);
	int fds[2] = { -1, -1 }, rc;

	if ((rc = chan_pair(fds)) == RC_OK) {
		wbuf_u64(&body, g->conn);
		wbuf_bytes(&body, g->client, sizeof(g->client));
		wbuf_bytes(&body, g->key, sizeof(g->key));
		wbuf_u32(&body, g->rights);
		wbuf_bytes(&body, g->name, sizeof(g->name));
		rc = proc_send(store, MSG_STORE_GRANT, &body, fds[0]);
	}
	answer(worker, rc == RC_OK ? RC_OK : RC_BUSY,
	    rc == RC_OK ? fds[1] : -1);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}

static void
serve_pending(struct master *m, struct vault *v, int rc)
{
	struct grant *g;
	struct proc *worker;

	while ((g = v->pending) != NULL) {
		v->pending = g->next;
		worker = grantee(m, g);
		if (worker != NULL && rc == RC_OK && v->proc != NULL)
			join(worker, v->proc, g);
		else
			answer(worker, rc != RC_OK ? rc : RC_BUSY, -1);
		free(g);
	}
	v->pending_tail = &v->pending;
	v->npending = 0;
}

/* RC_BUSY: it could not be started.  v->proc may then be one that is being
 * killed: until it is reaped the vault stays, and gets no other. */
static int
start(struct master *m, struct vault *v, const struct grant *g)
{
	struct task task = { .vault = v, .grant = g };
	char hex[33];

	v->open = false;
	v->runs = 0;
	v->create = g->create != 0;
	memcpy(v->instance, g->instance, sizeof(v->instance));
	if (proc_start(m, ROLE_STORE, &task) == NULL)
		return RC_BUSY;
	log_notice("store-start vault=%s pid=%d", hex16(v->id, hex),
	    (int)v->proc->pid);
	return RC_OK;
}

static int
pend(struct vault *v, const struct grant *g)
{
	struct grant *copy;

	if (v->npending >= MASTER_PENDING_MAX ||
	    (copy = malloc(sizeof(*copy))) == NULL)
		return RC_BUSY;
	*copy = *g;
	copy->next = NULL;
	*v->pending_tail = copy;
	v->pending_tail = &copy->next;
	v->npending++;
	return RC_OK;
}

static void
vault_leave(struct master *m, struct vault *v)
{
	if (v->sessions > 0)
		v->sessions--;
	v->idle_ms = v->sessions == 0 ? loop_now() : 0;
	if (v->proc == NULL && v->sessions == 0 && v->pending == NULL)
		drop(m, v);
}

void
vault_grant(struct master *m, struct proc *worker, const struct grant *g)
{
	static const uint8_t unknown[16];
	struct vault *v = find(m, g->vault);

	if (v == NULL && (v = add(m, g)) == NULL) {
		answer(worker, RC_NOMEM, -1);
		return;
	}
	worker->vault = v;
	v->sessions++;
	v->idle_ms = 0;
	/* The catalog woke it, and knows no instances. */
	if (memcmp(v->instance, unknown, sizeof(unknown)) == 0)
		memcpy(v->instance, g->instance, sizeof(v->instance));
	if (v->proc != NULL &&
	    memcmp(v->instance, g->instance, sizeof(v->instance)) != 0) {
		/* Two instances of one vault cannot both be right. */
		answer(worker, RC_UNMOUNTED, -1);
		return;
	}
	if (v->proc != NULL && v->open &&
	    (v->proc->state & (PROC_STARTING | PROC_IDLE)) != 0) {
		join(worker, v->proc, g);
		return;
	}
	if (pend(v, g) != RC_OK) {
		answer(worker, RC_BUSY, -1);
		return;
	}
	if (v->proc == NULL && start(m, v, g) != RC_OK)
		serve_pending(m, v, RC_BUSY);
}

/* The catalog lost its history and wants to ask this vault's store for it. */
int
on_cat_wake(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self;
	struct master *m = p->m;
	struct grant g = { 0 };
	struct vault *v;
	int rc;

	(void)c;
	if ((rc = rbuf_bytes(&msg->body, g.vault, sizeof(g.vault))) != RC_OK ||
	    (rc = rbuf_end(&msg->body)) != RC_OK)
		return rc;
	if (m->phase != PHASE_UP || find(m, g.vault) != NULL ||
	    (v = add(m, &g)) == NULL)
		return RC_OK;
	v->idle_ms = loop_now();
	if (start(m, v, &g) != RC_OK && v->proc == NULL)
		drop(m, v);
	return RC_OK;
}

void
vault_session_left(struct proc *worker)
{
	struct vault *v = worker->vault;

	worker->vault = NULL;
	vault_leave(worker->m, v);
}

int
on_store_state(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self;
	struct master *m = p->m;
	struct vault *v = p->vault;
	struct wbuf body = WBUF_INIT(16);
	uint8_t created, code;
	char hex[33];
	int rc;

	(void)c;
	if ((rc = rbuf_u8(&msg->body, &created)) != RC_OK ||
	    (rc = rbuf_u8(&msg->body, &code)) != RC_OK ||
	    (rc = rbuf_end(&msg->body)) != RC_OK)
		return rc;
	if (v->open)
		return RC_STATE;
	if (code != 0) {
		log_err("store-failed vault=%s pid=%d reason=\"%s\"",
		    hex16(v->id, hex), (int)p->pid, rc_str(-(int)code));
		serve_pending(m, v, -(int)code);
		proc_stop(p, 2000);
		return RC_OK;
	}
	v->open = true;
	/* Also when an earlier try had made it and did not live to say so. */
	if (created || v->create) {
		log_notice("vault-made vault=%s", hex16(v->id, hex));
		wbuf_bytes(&body, v->id, sizeof(v->id));
		proc_send(svc_proc(m, ROLE_AUTH), MSG_VAULT_MADE, &body, -1);
	}
	serve_pending(m, v, RC_OK);
	return RC_OK;
}

int
on_store_busy(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self;
	uint32_t runs;
	int rc;

	(void)c;
	if ((rc = rbuf_u32(&msg->body, &runs)) != RC_OK ||
	    (rc = rbuf_end(&msg->body)) != RC_OK)
		return rc;
	if (p->vault->runs != 0 && runs == 0 && p->vault->sessions == 0)
		p->vault->idle_ms = loop_now();
	p->vault->runs = runs;
	return RC_OK;
}

/* Its process has ended (reaped). */
void
vault_store_gone(struct proc *p)
{
	struct master *m = p->m;
	struct vault *v = p->vault;
	bool was_open = v->open;
	char hex[33];

	log_notice("store-end vault=%s pid=%d", hex16(v->id, hex),
	    (int)p->pid);
	v->proc = NULL;
	v->open = false;
	if (v->pending != NULL) {
		/* They came while it was ending; a store that died before it
		 * opened its vault is not tried again for the same ones. */
		if ((!was_open && !p->ended_by_us) || m->phase != PHASE_UP ||
		    start(m, v, v->pending) != RC_OK)
			serve_pending(m, v, RC_BUSY);
	}
	if (v->proc == NULL && v->sessions == 0)
		drop(m, v);
}

void
vaults_tick(struct master *m)
{
	struct vault *v;
	uint64_t at;

	if (m->phase != PHASE_UP)
		return;
	for (v = m->vaults; v != NULL; v = v->next) {
		if (v->proc == NULL || v->proc->state != PROC_IDLE ||
		    !v->open || v->sessions > 0 || v->runs > 0 ||
		    v->idle_ms == 0)
			continue;
		at = v->idle_ms + MASTER_STORE_IDLE_MS;
		if (at <= loop_now())
			proc_stop(v->proc, MASTER_DRAIN_STORE_MS);
		else
			loop_due(at);
	}
}
