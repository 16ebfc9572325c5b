#include "config.h"

#include "server/master/master.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"

/* Deaths, restarts, and the end of everything. */

static bool
is_crash(int status)
{
	if (!WIFSIGNALED(status))
		return false;
	switch (WTERMSIG(status)) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGABRT:
	case SIGSYS:
		return true;
	default:
		return false;
	}
}

static struct service *
service_of(struct proc *p)
{
	size_t i;

	for (i = 0; i < SVC_MAX; i++)
		if (p->m->svc[i].proc == p)
			return &p->m->svc[i];
	return NULL;
}

static void
tell(struct proc *p, int status, bool service)
{
	char text[160];

	proc_text(p, text, sizeof(text));
	if (is_crash(status) && WTERMSIG(status) == SIGSYS)
		log_err("seccomp-kill %s", text);
	else if (is_crash(status))
		log_err("crash %s signal=%s", text,
		    sigabbrev_np(WTERMSIG(status)));
	else if (p->ended_by_us)
		return;
	else if (WIFSIGNALED(status))
		log_warn("role-killed %s signal=%d", text, WTERMSIG(status));
	else if (service || (p->role == ROLE_STORE && WEXITSTATUS(status) != 0))
		log_err("role-exit %s status=%d", text, WEXITSTATUS(status));
	else if (WEXITSTATUS(status) != 0 && p->conn.id == 0)
		log_warn("role-exit %s status=%d", text, WEXITSTATUS(status));
}

/* A server that never came up is not tried for ever. */
void
start_failed(struct master *m, enum role role)
{
	if (m->said_ready || m->phase >= PHASE_DRAIN)
		return;
	log_err("start-failed role=%s", role_name(role));
	fprintf(stderr, "storegridd: %s does not start; see the lines above\n",
	    role_name(role));
	m->exit_code = 1;
	drain_begin(m);
}

static void
service_gone(struct service *svc, const struct proc *p)
{
	struct master *m = p->m;
	uint64_t now = loop_now();

	svc->proc = NULL;
	if (m->phase >= PHASE_DRAIN)
		return;
	svc->failures++;
	if (now - p->since_ms > 60000 || svc->backoff_ms == 0)
		svc->backoff_ms = MASTER_BACKOFF_MIN_MS;
	else if (svc->backoff_ms < MASTER_BACKOFF_MAX_MS)
		svc->backoff_ms *= 2;
	svc->not_before = now + svc->backoff_ms;
	if (svc->failures >= MASTER_START_TRIES)
		start_failed(m, svc->role);
	/* What idle workers hold of it leads nowhere now. */
	if (svc->role != ROLE_LISTENER)
		pool_replace_idle(m);
}

/* The listener's connections are its own; those handed over live on. */
static void
gone(struct proc *p, int status)
{
	struct service *svc = service_of(p);

	tell(p, status, svc != NULL);
	if (svc != NULL)
		service_gone(svc, p);
	else if (p->role == ROLE_STORE)
		vault_store_gone(p);
	else
		pool_worker_gone(p, is_crash(status));
	proc_free(p);
}

void
reap(struct master *m)
{
	struct proc *p;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		/* One that is not in the table is a reload's confparse, whose
		 * answer alone counts. */
		if ((p = proc_by_pid(m, pid)) != NULL)
			gone(p, status);
}

/* --- start and restart --- */

/* Long-lived roles get a channel to the one that was started anew. */
static void
new_chan(struct proc *p, enum role far)
{
	struct master *m = p->m;
	struct wbuf body = WBUF_INIT(64);
	int fds[2];

	if (p->chan == NULL || (p->state & PROC_LIVE) == 0 ||
	    chan_pair(fds) != RC_OK)
		return;
	if (far == ROLE_LOGGER) {
		wbuf_u8(&body, (uint8_t)p->role);
		wbuf_u32(&body, (uint32_t)p->pid);
		wbuf_u64(&body, 0);
		proc_send(svc_proc(m, far), MSG_LOG_ADD, &body, fds[1]);
	} else {
		wbuf_u32(&body, p->worker);
		wbuf_u8(&body, (uint8_t)p->role);
		wbuf_u8(&body, p->role == ROLE_STORE ? KEYD_USE_RECEIPT :
		    KEYD_USE_INFO);
		if (p->vault != NULL)
			wbuf_bytes(&body, p->vault->id, 16);
		else
			wbuf_zeros(&body, 16);
		proc_send(svc_proc(m, far), MSG_KEYD_ADD, &body, fds[1]);
	}
	wbuf_u8(&body, (uint8_t)far);
	proc_send(p, MSG_NEW_CHAN, &body, fds[0]);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}

static void
rejoin(struct master *m, enum role far)
{
	struct proc *p;

	for (p = m->procs; p != NULL; p = p->next) {
		if (far == ROLE_LOGGER && (p->role == ROLE_KEYD ||
		    p->role == ROLE_AUTH || p->role == ROLE_LISTENER ||
		    p->role == ROLE_STORE))
			new_chan(p, far);
		if (far == ROLE_KEYD && (p->role == ROLE_AUTH ||
		    p->role == ROLE_STORE))
			new_chan(p, far);
	}
}

/* Who must be there before it. */
static bool
may_start(struct master *m, enum role role)
{
	switch (role) {
	case ROLE_LOGGER:
		return true;
	case ROLE_KEYD:
		return svc_live(m, ROLE_LOGGER);
	case ROLE_AUTH:
		return svc_live(m, ROLE_LOGGER) && svc_live(m, ROLE_KEYD);
	default:
		return m->phase == PHASE_UP && svc_live(m, ROLE_LOGGER);
	}
}

static bool
is_ready(struct master *m, enum role role)
{
	const struct proc *p = svc_proc(m, role);

	return p != NULL && p->state == PROC_IDLE;
}

static void
say_ready(struct master *m)
{
	if (m->said_ready || !is_ready(m, ROLE_LISTENER) ||
	    proc_count(m, ROLE_SESSION, PROC_IDLE | PROC_BUSY) == 0 ||
	    proc_count(m, ROLE_API, PROC_IDLE | PROC_BUSY) == 0)
		return;
	m->said_ready = true;
	log_notice("ready id=%s", m->conf.id);
	notify_send(&m->notify, "READY=1\nSTATUS=serving\n");
}

void
services_tick(struct master *m)
{
	struct service *svc;
	size_t i;

	for (i = 0; i < SVC_MAX; i++) {
		svc = &m->svc[i];
		if (svc->proc != NULL || !may_start(m, svc->role))
			continue;
		if (svc->not_before > loop_now()) {
			loop_due(svc->not_before);
			continue;
		}
		if (proc_start(m, svc->role, NULL, NULL) == NULL) {
			svc->not_before = loop_now() + MASTER_SPAWN_AGAIN_MS;
			loop_due(svc->not_before);
			continue;
		}
		if (svc->backoff_ms != 0)
			rejoin(m, svc->role);
	}
	if (m->phase == PHASE_START && is_ready(m, ROLE_LOGGER) &&
	    is_ready(m, ROLE_KEYD) && is_ready(m, ROLE_AUTH)) {
		m->phase = PHASE_UP;
		loop_due(loop_now());
	}
	say_ready(m);
}

/* --- the end --- */

void
drain_begin(struct master *m)
{
	struct proc *p;

	if (m->phase >= PHASE_DRAIN) {
		/* Asked twice: no more patience. */
		m->phase_end = loop_now();
		for (p = m->procs; p != NULL; p = p->next)
			if (p->role == ROLE_SESSION || p->role == ROLE_API)
				proc_kill(p);
		return;
	}
	log_notice("stopping");
	notify_send(&m->notify, "STOPPING=1\nSTATUS=stopping\n");
	m->phase = PHASE_DRAIN;
	m->phase_end = loop_now() + MASTER_DRAIN_MS;
	/* Nobody new: the listener's copies and ours. */
	ports_close(&m->ports);
	pool_stop(m, MASTER_DRAIN_MS);
	if ((p = svc_proc(m, ROLE_LISTENER)) != NULL)
		proc_stop(p, 2000);
}

static unsigned int
count(const struct master *m, enum role role)
{
	return proc_count(m, role, PROC_LIVE | PROC_STOPPING);
}

static void
stop_all(struct master *m, enum role role, unsigned int patience_ms)
{
	struct proc *p;

	for (p = m->procs; p != NULL; p = p->next)
		if (p->role == role)
			proc_stop(p, patience_ms);
}

/* Front to back: who uses another ends before it. */
void
drain_tick(struct master *m)
{
	if (m->phase == PHASE_DRAIN && count(m, ROLE_SESSION) == 0 &&
	    count(m, ROLE_API) == 0 && count(m, ROLE_LISTENER) == 0) {
		m->phase = PHASE_STORES;
		stop_all(m, ROLE_STORE, MASTER_DRAIN_STORE_MS);
	}
	if (m->phase == PHASE_STORES && count(m, ROLE_STORE) == 0) {
		m->phase = PHASE_LAST;
		stop_all(m, ROLE_AUTH, 5000);
		stop_all(m, ROLE_KEYD, 5000);
		log_notice("stopped");
	}
	if (m->phase == PHASE_LAST && count(m, ROLE_AUTH) == 0 &&
	    count(m, ROLE_KEYD) == 0) {
		/* The last line has to be out before the one who writes it. */
		stop_all(m, ROLE_LOGGER, 5000);
		m->done = count(m, ROLE_LOGGER) == 0;
	}
}
