#include "config.h"

#include "server/master/master.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"

/*
 * The pool of ready workers and the way of a connection: from the listener to
 * an idle worker, and its end.  What auth says of it is grants.c.
 */
#define STARTS_PER_TURN		8
#define EVICT_MS		300	/* to say "try later" and go */

static void
say_state(struct master *m, uint64_t conn, enum conn_state st,
    const struct addr *a)
{
	struct wbuf body = WBUF_INIT(32);

	wbuf_u64(&body, conn);
	wbuf_u8(&body, (uint8_t)st);
	if (a != NULL)
		addr_put(&body, a);
	proc_send(svc_proc(m, ROLE_LISTENER), MSG_CONN_STATE, &body, -1);
}

void
conn_state(struct master *m, uint64_t conn, enum conn_state st)
{
	say_state(m, conn, st, NULL);
}

static enum role
role_for(uint8_t kind)
{
	switch (kind) {
	case PORT_SERVER:
	case PORT_SSL:
		return ROLE_SESSION;
	case PORT_GUI:
	case PORT_CONTROL:
		return ROLE_API;
	default:
		return ROLE_NONE;
	}
}

static struct proc *
idle_worker(struct master *m, enum role role)
{
	struct proc *p, *best = NULL;

	/* The one that has been waiting longest is surely past its set-up. */
	for (p = m->procs; p != NULL; p = p->next)
		if (p->role == role && p->state == PROC_IDLE &&
		    p->chan != NULL &&
		    (best == NULL || p->since_ms < best->since_ms))
			best = p;
	return best;
}

static struct waiting *
unlink_waiting(struct master *m, struct waiting **wp)
{
	struct waiting *w = *wp;

	*wp = w->next;
	if (m->waiting_tail == &w->next)
		m->waiting_tail = wp;
	m->nwaiting--;
	return w;
}

/* From a network, with a worker, and not logged in. */
static bool
is_half_open(const struct proc *p)
{
	return (p->role == ROLE_SESSION || p->role == ROLE_API) &&
	    p->state == PROC_BUSY && !p->authed &&
	    p->conn.kind != PORT_CONTROL;
}

static unsigned int
half_open(const struct master *m, enum role role)
{
	const struct proc *p;
	const struct waiting *w;
	unsigned int n = 0;

	for (p = m->procs; p != NULL; p = p->next)
		if (p->role == role && is_half_open(p))
			n++;
	for (w = m->waiting; w != NULL; w = w->next)
		if (w->conn.kind != PORT_CONTROL &&
		    role_for(w->conn.kind) == role)
			n++;
	return n;
}

/* Workers that serve connections of this listener. */
static unsigned int
serving(const struct master *m, uint8_t kind)
{
	const struct proc *p;
	unsigned int n = 0;

	for (p = m->procs; p != NULL; p = p->next)
		if ((p->state & (PROC_BUSY | PROC_STOPPING)) != 0 &&
		    p->conn.kind == kind)
			n++;
	return n;
}

/* So that who is on the network never keeps out who is on the machine. */
static bool
has_room(const struct master *m, uint8_t kind)
{
	return kind == PORT_CONTROL ? serving(m, kind) < MASTER_API_MAX :
	    kind != PORT_GUI || serving(m, kind) < MASTER_GUI_MAX;
}

/* How many of this network are with a worker or wait for one. */
static unsigned int
same_network(const struct master *m, const struct addr *net)
{
	const struct proc *p;
	const struct waiting *w;
	unsigned int count = 0;

	for (p = m->procs; p != NULL; p = p->next)
		if (is_half_open(p) && addr_equal(&p->conn.network, net))
			count++;
	for (w = m->waiting; w != NULL; w = w->next)
		if (addr_equal(&w->conn.network, net))
			count++;
	return count;
}

static void
refuse_waiting(struct master *m, struct waiting **wp)
{
	struct waiting *w = unlink_waiting(m, wp);

	conn_state(m, w->conn.id, CONN_REFUSED);
	fd_close(&w->fd);
	free(w);
}

static void
evict_waiting(struct master *m, enum role role)
{
	struct waiting **wp, **victim = NULL;
	unsigned int n, most = 0;

	/* In the order they came, so the first of equals is the oldest. */
	for (wp = &m->waiting; *wp != NULL; wp = &(*wp)->next) {
		if ((*wp)->conn.kind == PORT_CONTROL ||
		    role_for((*wp)->conn.kind) != role)
			continue;
		n = same_network(m, &(*wp)->conn.network);
		if (n > most) {
			most = n;
			victim = wp;
		}
	}
	if (victim != NULL)
		refuse_waiting(m, victim);
}

/*
 * At the limit the oldest half-open connection of the network that holds most
 * makes room for the newcomer, so that many who dawdle cannot lock out one who
 * does not.
 */
static void
evict(struct master *m, enum role role)
{
	struct proc *p, *victim = NULL;
	unsigned int n, most = 0;
	char text[160];

	for (p = m->procs; p != NULL; p = p->next) {
		if (p->role != role || !is_half_open(p))
			continue;
		n = same_network(m, &p->conn.network);
		if (n > most || (n == most && victim != NULL &&
		    p->since_ms < victim->since_ms)) {
			most = n;
			victim = p;
		}
	}
	if (victim == NULL) {
		evict_waiting(m, role);
		return;
	}
	log_notice("conn-evicted %s", proc_text(victim, text, sizeof(text)));
	proc_stop(victim, EVICT_MS);
}

/* --- from the listener to a worker --- */

static void
put_conn(struct wbuf *out, const struct conn *c)
{
	wbuf_u64(out, c->id);
	wbuf_u8(out, c->kind);
	wbuf_u8(out, c->verdict);
	addr_put(out, &c->addr);
}

static int
tell_helpers(struct master *m, const struct proc *p)
{
	struct wbuf body = WBUF_INIT(64);
	int rc;

	wbuf_u32(&body, (uint32_t)p->pid);
	wbuf_u64(&body, p->conn.id);
	addr_put(&body, &p->conn.addr);
	proc_send(svc_proc(m, ROLE_LOGGER), MSG_LOG_CONN, &body, -1);
	wbuf_u32(&body, p->worker);
	put_conn(&body, &p->conn);
	rc = proc_send(svc_proc(m, ROLE_AUTH), MSG_AUTH_CONN, &body, -1);
	/* The master sees no byte, so it cannot tell which of the two will be
	 * spoken; keyd signs one thing only in either case. */
	if (rc == RC_OK && p->role == ROLE_SESSION &&
	    (p->conn.verdict & CONN_CLEAR) != 0) {
		wbuf_u32(&body, p->worker);
		rc = proc_send(svc_proc(m, ROLE_KEYD), MSG_KEYD_CLEAR, &body,
		    -1);
	}
	return rc;
}

/* Helpers first: when the worker asks them, they know what it serves. */
static void
hand_over(struct proc *p, const struct conn *c, int fd)
{
	struct master *m = p->m;
	struct wbuf body = WBUF_INIT(64);

	p->conn = *c;
	proc_set_state(p, PROC_BUSY);
	put_conn(&body, c);
	if (tell_helpers(m, p) != RC_OK ||
	    proc_send(p, MSG_CONN, &body, fd) != RC_OK) {
		wbuf_free(&body);
		conn_state(m, c->id, CONN_REFUSED);
		p->conn.id = 0;
		if (p->state != PROC_STOPPING)
			proc_kill(p);
		return;
	}
	conn_state(m, c->id, CONN_TAKEN);
	if (c->kind == PORT_CONTROL)
		api_local(p);
}

static int
wait_for_worker(struct master *m, const struct conn *c, int fd)
{
	struct waiting *w;

	if (m->nwaiting >= MASTER_WAITING_MAX ||
	    (w = calloc(1, sizeof(*w))) == NULL)
		return RC_LIMIT;
	w->conn = *c;
	w->fd = fd;
	w->since_ms = loop_now();
	*m->waiting_tail = w;
	m->waiting_tail = &w->next;
	m->nwaiting++;
	return RC_OK;
}

static bool
known_conn(const struct master *m, uint64_t id)
{
	const struct proc *p;
	const struct waiting *w;

	for (p = m->procs; p != NULL; p = p->next)
		if (p->conn.id == id)
			return true;
	for (w = m->waiting; w != NULL; w = w->next)
		if (w->conn.id == id)
			return true;
	return false;
}

int
on_conn(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self, *worker;
	struct master *m = p->m;
	struct conn conn = { 0 };
	enum role role;
	int rc, fd;

	if ((rc = rbuf_u64(&msg->body, &conn.id)) != RC_OK ||
	    (rc = rbuf_u8(&msg->body, &conn.kind)) != RC_OK ||
	    (rc = rbuf_u8(&msg->body, &conn.verdict)) != RC_OK ||
	    (rc = addr_get(&msg->body, &conn.addr)) != RC_OK ||
	    (rc = rbuf_end(&msg->body)) != RC_OK)
		return rc;
	if ((role = role_for(conn.kind)) == ROLE_NONE || conn.id == 0 ||
	    known_conn(m, conn.id) ||
	    (conn.verdict & ~(CONN_TLS | CONN_CLEAR)) != 0)
		return RC_RANGE;
	/* On the TLS port nothing else is ever spoken. */
	if (conn.kind == PORT_SSL)
		conn.verdict &= CONN_TLS;
	fd = msg_take_fd(c, msg);
	if (m->phase != PHASE_UP) {
		conn_state(m, conn.id, CONN_REFUSED);
		fd_close(&fd);
		return RC_OK;
	}
	addr_network(&conn.addr, &conn.network);
	if (conn.kind != PORT_CONTROL &&
	    half_open(m, role) >= (role == ROLE_SESSION ?
	    m->conf.halfopen_max : MASTER_GUI_HALFOPEN))
		evict(m, role);
	if (m->nwaiting >= MASTER_WAITING_MAX)
		evict_waiting(m, role);
	if (has_room(m, conn.kind) &&
	    (worker = idle_worker(m, role)) != NULL) {
		hand_over(worker, &conn, fd);
		fd_close(&fd);
	} else if (wait_for_worker(m, &conn, fd) != RC_OK) {
		conn_state(m, conn.id, CONN_REFUSED);
		fd_close(&fd);
	}
	return RC_OK;
}

/*
 * Who waits is served by network: that with the fewest half-open connections
 * first, so that one who comes from elsewhere does not stand behind a flood.
 */
static struct waiting **
next_waiting(struct master *m, enum role role)
{
	struct waiting **wp, **best = NULL;
	unsigned int n, least = UINT_MAX;

	for (wp = &m->waiting; *wp != NULL; wp = &(*wp)->next) {
		if (role_for((*wp)->conn.kind) != role ||
		    !has_room(m, (*wp)->conn.kind))
			continue;
		n = (*wp)->conn.kind == PORT_CONTROL || m->nwaiting == 1 ? 0 :
		    same_network(m, &(*wp)->conn.network);
		if (n < least) {
			least = n;
			best = wp;
		}
	}
	return best;
}

void
pool_worker_ready(struct proc *p)
{
	struct waiting *w, **wp = next_waiting(p->m, p->role);

	if (wp == NULL)
		return;
	w = unlink_waiting(p->m, wp);
	hand_over(p, &w->conn, w->fd);
	fd_close(&w->fd);
	free(w);
}

/* --- keeping it filled --- */

static unsigned int
waiting_for(const struct master *m, enum role role)
{
	const struct waiting *w;
	unsigned int n = 0;

	for (w = m->waiting; w != NULL; w = w->next)
		if (role_for(w->conn.kind) == role &&
		    has_room(m, w->conn.kind))
			n++;
	return n;
}

static void
fill(struct master *m, enum role role, unsigned int idle, unsigned int max)
{
	unsigned int have = proc_count(m, role, PROC_STARTING | PROC_IDLE);
	unsigned int all = proc_count(m, role, PROC_LIVE | PROC_STOPPING);
	unsigned int want = idle + waiting_for(m, role), i;

	for (i = 0; have < want && all < max; i++, have++, all++) {
		if (i == STARTS_PER_TURN) {
			loop_due(loop_now());
			return;
		}
		if (proc_start(m, role, NULL) == NULL) {
			m->bad_starts++;
			m->spawn_after = loop_now() + 1000;
			loop_due(m->spawn_after);
			return;
		}
	}
}

void
pool_fill(struct master *m)
{
	const struct conf *c = &m->conf;

	if (m->phase != PHASE_UP || !svc_live(m, ROLE_LOGGER) ||
	    !svc_live(m, ROLE_AUTH) || !svc_live(m, ROLE_KEYD))
		return;
	if (m->spawn_after > loop_now()) {
		loop_due(m->spawn_after);
		return;
	}
	if (conf_serves(c))
		fill(m, ROLE_SESSION, c->pool_min,
		    c->pool_min + c->pool_max + c->halfopen_max);
	fill(m, ROLE_API, MASTER_API_IDLE,
	    MASTER_API_MAX + MASTER_GUI_MAX + MASTER_API_IDLE);
}

/* A worker keeps its own time; one that was taken over need not. */
static unsigned int
patience(const struct proc *p)
{
	if (p->role == ROLE_PEER)
		return MASTER_PEER_MS;
	if (p->role != ROLE_SESSION && p->role != ROLE_API)
		return 0;
	if (p->state == PROC_STARTING)
		return MASTER_SETUP_MS;
	if (p->state != PROC_BUSY)
		return 0;
	if (!p->authed)
		return MASTER_LOGIN_MS;
	return p->role == ROLE_API ? MASTER_API_MS : 0;
}

static void
end_slow(struct master *m)
{
	unsigned int ms;
	struct proc *p;
	char text[160];

	for (p = m->procs; p != NULL; p = p->next) {
		if ((ms = patience(p)) == 0)
			continue;
		if (p->since_ms + ms > loop_now()) {
			loop_due(p->since_ms + ms);
			continue;
		}
		log_warn("worker-too-slow %s",
		    proc_text(p, text, sizeof(text)));
		proc_kill(p);
	}
}

void
pool_tick(struct master *m)
{
	struct waiting *w, **wp = &m->waiting;

	while ((w = *wp) != NULL) {
		if (w->since_ms + MASTER_WAITING_MS > loop_now()) {
			loop_due(w->since_ms + MASTER_WAITING_MS);
			wp = &w->next;
			continue;
		}
		refuse_waiting(m, wp);
	}
	end_slow(m);
	pool_fill(m);
}

/* A helper was restarted: channels of idle workers lead nowhere now. */
void
pool_replace_idle(struct master *m)
{
	struct proc *p;

	for (p = m->procs; p != NULL; p = p->next)
		if ((p->role == ROLE_SESSION || p->role == ROLE_API) &&
		    (p->state & (PROC_STARTING | PROC_IDLE)) != 0)
			proc_kill(p);
}

void
pool_stop(struct master *m, unsigned int patience_ms)
{
	struct proc *p;

	while (m->waiting != NULL)
		refuse_waiting(m, &m->waiting);
	for (p = m->procs; p != NULL; p = p->next)
		if (p->role == ROLE_SESSION || p->role == ROLE_API)
			proc_stop(p, patience_ms);
}

/* --- the end of a worker --- */

void
pool_worker_gone(struct proc *p, bool crashed)
{
	struct master *m = p->m;
	enum conn_state st = CONN_NOLOGIN;
	char text[160];

	if (p->vault != NULL)
		vault_session_left(p);
	if (p->conn.id == 0) {
		/* Died without having served: not at full speed again. */
		if (!p->ended_by_us) {
			m->bad_starts++;
			m->spawn_after = loop_now() + (m->bad_starts < 8 ?
			    50u << m->bad_starts : 10000u);
			if (m->bad_starts >= MASTER_WORKER_TRIES)
				start_failed(m, p->role);
		}
		return;
	}
	if (crashed) {
		/* With the address: the listener forgets whoever logs in. */
		say_state(m, p->conn.id, CONN_CRASHED, &p->conn.addr);
		return;
	}
	if (!p->authed && p->event != 0 && p->event != AUTH_EV_PAIR)
		st = CONN_BADLOGIN;
	else if (p->authed || p->event != 0 || p->ended_by_us || p->role == ROLE_API)
		st = CONN_CLOSED;
	if (st == CONN_NOLOGIN)
		log_notice("conn-failed addr=%s port=%u reason=no-login",
		    addr_text(&p->conn.addr, text, sizeof(text)),
		    p->conn.addr.port);
	conn_state(m, p->conn.id, st);
}
