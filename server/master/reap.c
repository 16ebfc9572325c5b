#include "config.h"

#include "server/master/master.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
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

/* One that crashed may have been somebody's doing: for the audit log as well. */
static void
tell_crash(struct proc *p, int sig)
{
	char text[160];

	proc_text(p, text, sizeof(text));
	if (sig == SIGSYS)
		log_err("seccomp-kill %s", text);
	else
		log_err("crash %s signal=%s", text, sigabbrev_np(sig));
	audit(p->m, sig == SIGSYS ? "seccomp-kill" : "crash",
	    role_name(p->role), text);
}

static void
tell(struct proc *p, int status, bool service)
{
	char text[160];

	proc_text(p, text, sizeof(text));
	if (is_crash(status))
		tell_crash(p, WTERMSIG(status));
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
	if (svc->needed && svc->failures >= MASTER_START_TRIES)
		start_failed(m, svc->role);
	if (svc->role == ROLE_DIALER)
		dialer_gone(m);
	if (svc->role == ROLE_CATALOG)
		catalog_gone(m);
	if (svc->role == ROLE_AUTH)
		api_auth_gone(m);
	/* What idle workers hold of it leads nowhere now. */
	if (svc->role == ROLE_LOGGER || svc->role == ROLE_KEYD ||
	    svc->role == ROLE_AUTH)
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
	else if (p->role != ROLE_PEER)
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
		if ((p = proc_by_pid(m, pid)) != NULL && !p->outside)
			gone(p, status);
	/* One that is no child is gone when its channel is. */
	p = svc_proc(m, ROLE_DIALER);
	if (p != NULL && p->outside && p->chan == NULL)
		gone(p, 0);
}

/* --- start and restart --- */

bool
svc_wanted(const struct master *m, enum role role)
{
	const struct conf *c = &m->conf;

	switch (role) {
	case ROLE_MCAST:
		return c->mcast_enabled;
	case ROLE_SCAN:
		return c->scan_enabled || c->scan_answer;
	default:
		return true;
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
	case ROLE_LOGIN:
		return m->phase == PHASE_UP && svc_live(m, ROLE_AUTH);
	case ROLE_CATALOG:
		return m->phase == PHASE_UP && svc_live(m, ROLE_AUTH) &&
		    svc_live(m, ROLE_KEYD);
	case ROLE_MCAST:
	case ROLE_SCAN:
		return m->phase == PHASE_UP && svc_live(m, ROLE_KEYD) &&
		    svc_live(m, ROLE_CATALOG);
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

/* Each is up, or has failed once where that is no reason to stay down. */
static bool
all_tried(struct master *m)
{
	const struct service *svc;
	size_t i;

	for (i = 0; i < SVC_MAX; i++) {
		svc = &m->svc[i];
		if (svc_wanted(m, svc->role) && !is_ready(m, svc->role) &&
		    (svc->role != ROLE_DIALER || dialer_socket(m) == -1) &&
		    (svc->needed || svc->failures == 0))
			return false;
	}
	return true;
}

static void
say_ready(struct master *m)
{
	if (m->said_ready || !all_tried(m) || (conf_serves(&m->conf) &&
	    proc_count(m, ROLE_SESSION, PROC_IDLE | PROC_BUSY) == 0) ||
	    proc_count(m, ROLE_API, PROC_IDLE | PROC_BUSY) == 0)
		return;
	m->said_ready = true;
	audit(m, "start", m->conf.id, PACKAGE_VERSION);
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
		if (svc->proc != NULL || !svc_wanted(m, svc->role) ||
		    (svc->role == ROLE_DIALER && dialer_socket(m) != -1) ||
		    !may_start(m, svc->role))
			continue;
		if (svc->not_before > loop_now()) {
			loop_due(svc->not_before);
			continue;
		}
		if (proc_start(m, svc->role, NULL) == NULL) {
			svc->not_before = loop_now() + MASTER_SPAWN_AGAIN_MS;
			loop_due(svc->not_before);
			continue;
		}
		if (svc->backoff_ms != 0)
			links_rejoin(m, svc->role);
	}
	if (m->phase == PHASE_START && is_ready(m, ROLE_LOGGER) &&
	    is_ready(m, ROLE_KEYD) && is_ready(m, ROLE_AUTH)) {
		m->phase = PHASE_UP;
		loop_due(loop_now());
	}
	say_ready(m);
}

/* --- the end --- */

/* The front: who lets others in, or goes out. */
static const enum role front[] = {
	ROLE_LISTENER, ROLE_MCAST, ROLE_SCAN, ROLE_DIALER, ROLE_PEER,
};
/* And what those behind have used. */
static const enum role helpers[] = {
	ROLE_LOGIN, ROLE_CATALOG, ROLE_AUTH, ROLE_KEYD,
};

static void
stop_all(struct master *m, enum role role, unsigned int patience_ms)
{
	struct proc *p;

	for (p = m->procs; p != NULL; p = p->next)
		if (p->role == role)
			proc_stop(p, patience_ms);
}

static void
stop_front(struct master *m)
{
	size_t i;

	for (i = 0; i < NITEMS(front); i++)
		stop_all(m, front[i], 2000);
}

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
	stop_front(m);
}

static unsigned int
count(const struct master *m, enum role role)
{
	return proc_count(m, role, PROC_LIVE | PROC_STOPPING);
}

static unsigned int
count_of(const struct master *m, const enum role *roles, size_t n)
{
	unsigned int sum = 0;

	while (n-- > 0)
		sum += count(m, roles[n]);
	return sum;
}

/* Front to back: who uses another ends before it. */
void
drain_tick(struct master *m)
{
	size_t i;

	if (m->phase == PHASE_DRAIN && count(m, ROLE_SESSION) == 0 &&
	    count(m, ROLE_API) == 0 &&
	    count_of(m, front, NITEMS(front)) == 0) {
		m->phase = PHASE_STORES;
		stop_all(m, ROLE_STORE, MASTER_DRAIN_STORE_MS);
	}
	if (m->phase == PHASE_STORES && count(m, ROLE_STORE) == 0) {
		m->phase = PHASE_LAST;
		for (i = 0; i < NITEMS(helpers); i++)
			stop_all(m, helpers[i], 5000);
		log_notice("stopped");
	}
	if (m->phase == PHASE_LAST &&
	    count_of(m, helpers, NITEMS(helpers)) == 0) {
		/* The last line has to be out before the one who writes it. */
		stop_all(m, ROLE_LOGGER, 5000);
		m->done = count(m, ROLE_LOGGER) == 0;
	}
}
