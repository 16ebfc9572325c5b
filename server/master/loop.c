#include "config.h"

#include "server/master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"

/*
 * One loop around poll(2).  Signals arrive through a pipe to ourselves; what
 * has to happen later says so by loop_due() in each turn's ticks.
 */
#define MESSAGES_PER_TURN	64	/* of one channel: all get a turn */

static struct {
	int		 pipe[2];
	uint64_t	 now, due;
	struct pollfd	*fds;
	struct proc	**owners;
	size_t		 size;
} loop = { .pipe = { -1, -1 } };

uint64_t
loop_now(void)
{
	return loop.now != 0 ? loop.now : io_now_ms();
}

void
loop_due(uint64_t at)
{
	if (at < loop.due)
		loop.due = at;
}

static void
on_signal(int sig)
{
	int e = errno;
	char c = sig == SIGHUP ? 'H' : sig == SIGCHLD ? 'C' : 'T';

	/* A full pipe holds the same letter already. */
	if (write(loop.pipe[1], &c, 1) == -1)
		errno = e;
	errno = e;
}

void
loop_signals(void)
{
	static const int sigs[] = { SIGHUP, SIGTERM, SIGINT, SIGCHLD };
	struct sigaction sa = { .sa_handler = on_signal,
	    .sa_flags = SA_RESTART };
	size_t i;

	if (pipe2(loop.pipe, O_CLOEXEC | O_NONBLOCK) != 0)
		fatal("pipe: %s", strerror(errno));
	sigfillset(&sa.sa_mask);
	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		if (sigaction(sigs[i], &sa, NULL) != 0)
			fatal("sigaction: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
}

static void
take_signals(struct master *m)
{
	bool hup = false, term = false;
	char c[64];
	ssize_t i, n;

	while ((n = read(loop.pipe[0], c, sizeof(c))) > 0)
		for (i = 0; i < n; i++) {
			hup = hup || c[i] == 'H';
			term = term || c[i] == 'T';
		}
	if (term)
		drain_begin(m);
	else if (hup)
		reload_begin(m);
}

/* --- messages --- */

static int
on_ready(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self;
	struct master *m = p->m;
	size_t i;

	(void)c;
	(void)msg;
	proc_set_state(p, PROC_IDLE);
	p->ready = true;
	for (i = 0; i < SVC_MAX; i++)
		if (m->svc[i].proc == p) {
			m->svc[i].failures = 0;
			log_info("role-ready role=%s pid=%d",
			    role_name(p->role), (int)p->pid);
		}
	if (p->role == ROLE_KEYD && !m->keys_made) {
		m->keys_made = true;
		if (lock_write(m) != RC_OK)
			log_err("lock-write: the state directory cannot be "
			    "written to");
	}
	if (p->role == ROLE_SESSION || p->role == ROLE_API) {
		m->bad_starts = 0;
		pool_worker_ready(p);
	}
	return RC_OK;
}

static const struct handler from_roles[] = {
	{ MSG_READY, PROC_STARTING, on_ready },
};
static const struct handler from_listener[] = {
	{ MSG_CONN, PROC_IDLE, on_conn },
};
static const struct handler from_auth[] = {
	{ MSG_GRANT, PROC_IDLE, on_grant },
	{ MSG_AUTH_EVENT, PROC_IDLE, on_auth_event },
	{ MSG_CUT_OFF, PROC_IDLE, on_cut_off },
	{ MSG_API_GRANT, PROC_IDLE, on_api_grant },
	{ MSG_API_CUT, PROC_IDLE, on_api_cut },
};
static const struct handler from_catalog[] = {
	{ MSG_DIAL, PROC_IDLE, on_dial },
	{ MSG_CAT_WAKE, PROC_IDLE, on_cat_wake },
};
static const struct handler from_dialer[] = {
	{ MSG_DIALED, PROC_IDLE, on_dialed },
};
static const struct handler from_store[] = {
	/* before or after READY: opening a vault needs no untrusted byte, but
	 * its files are behind the filter already */
	{ MSG_STORE_STATE, PROC_STARTING | PROC_IDLE, on_store_state },
	{ MSG_STORE_BUSY, PROC_IDLE, on_store_busy },
};
static const struct handler from_api[] = {
	{ MSG_STATUS, PROC_BUSY, on_status },
};

static const struct {
	enum role		 role;
	const struct handler	*table;
	size_t			 n;
} tables[] = {
#define TABLE(role, t) { role, t, sizeof(t) / sizeof((t)[0]) }
	TABLE(ROLE_LISTENER, from_listener),
	TABLE(ROLE_AUTH, from_auth),
	TABLE(ROLE_STORE, from_store),
	TABLE(ROLE_API, from_api),
	TABLE(ROLE_CATALOG, from_catalog),
	TABLE(ROLE_DIALER, from_dialer),
};

static int
dispatch(struct proc *p, struct msg *msg)
{
	size_t i;
	int rc;

	/* What it said before it heard that it is to stop. */
	if (p->state == PROC_STOPPING)
		return RC_OK;
	rc = handle(from_roles, 1, p->state, p, p->chan, msg);
	for (i = 0; rc == RC_STATE && msg->type != MSG_READY &&
	    i < sizeof(tables) / sizeof(tables[0]); i++)
		if (tables[i].role == p->role)
			return handle(tables[i].table, tables[i].n, p->state, p,
			    p->chan, msg);
	return rc;
}

static void
receive(struct proc *p)
{
	struct msg msg;
	char why[64];
	int i, rc = RC_OK;

	for (i = 0; i < MESSAGES_PER_TURN && p->chan != NULL; i++) {
		if ((rc = chan_recv(p->chan, &msg)) != RC_OK)
			break;
		if ((rc = dispatch(p, &msg)) != RC_OK) {
			snprintf(why, sizeof(why), "sent %.24s, %s",
			    msg_name(msg.type), rc == RC_STATE ?
			    "out of turn" : "malformed");
			proc_drop(p, why);
			return;
		}
	}
	if (rc == RC_OK || rc == RC_AGAIN || p->chan == NULL)
		return;
	if (rc == RC_EOF) {
		/* It ends by itself; if it does not, it is helped. */
		chan_free(p->chan);
		p->chan = NULL;
		if (p->kill_at == 0)
			p->kill_at = loop_now() + 2000;
		return;
	}
	proc_drop(p, rc_str(rc));
}

/* --- the loop --- */

static size_t
collect(struct master *m)
{
	struct proc *p;
	size_t n = 0, need = 3;
	void *fds, *owners;

	for (p = m->procs; p != NULL; p = p->next)
		need++;
	if (need > loop.size) {
		fds = realloc(loop.fds, 2 * need * sizeof(*loop.fds));
		if (fds != NULL)
			loop.fds = fds;
		owners = realloc(loop.owners, 2 * need * sizeof(*loop.owners));
		if (owners != NULL)
			loop.owners = owners;
		if (fds == NULL || owners == NULL)
			fatal("out of memory");
		loop.size = 2 * need;
	}
	loop.fds[n] = (struct pollfd){ loop.pipe[0], POLLIN, 0 };
	loop.owners[n++] = NULL;
	for (p = m->procs; p != NULL; p = p->next) {
		if (p->chan == NULL)
			continue;
		loop.fds[n] = (struct pollfd){ chan_fd(p->chan),
		    (short)(POLLIN | (p->out != NULL ? POLLOUT : 0)), 0 };
		loop.owners[n++] = p;
	}
	if (dialer_socket(m) != -1) {
		loop.fds[n] = (struct pollfd){ dialer_socket(m), POLLIN, 0 };
		loop.owners[n++] = NULL;
	}
	if (m->reload != NULL) {
		loop.fds[n] = (struct pollfd){ confload_fd(m->reload),
		    confload_events(m->reload), 0 };
		loop.owners[n++] = NULL;
	}
	return n;
}

static void
kills_tick(struct master *m)
{
	struct proc *p;

	for (p = m->procs; p != NULL; p = p->next) {
		if (p->kill_at == 0)
			continue;
		if (p->kill_at <= loop.now)
			proc_kill(p);
		else
			loop_due(p->kill_at);
	}
}

static void
ticks(struct master *m)
{
	loop.due = UINT64_MAX;
	reap(m);
	if (m->phase == PHASE_START || m->phase == PHASE_UP) {
		services_tick(m);
		pool_tick(m);
	}
	vaults_tick(m);
	status_tick(m);
	reload_tick(m);
	drain_tick(m);
	kills_tick(m);
	notify_tick(&m->notify, loop.now);
	if (m->notify.watchdog_ms != 0)
		loop_due(m->notify.next_ms);
	if (m->log_lost > 0 && svc_live(m, ROLE_LOGGER) &&
	    svc_proc(m, ROLE_LOGGER)->out == NULL) {
		uint64_t n = m->log_lost;

		m->log_lost = 0;
		log_warn("log-lost lines=%llu", (unsigned long long)n);
	}
}

static int
timeout(void)
{
	uint64_t now = io_now_ms();

	if (loop.due == UINT64_MAX)
		return -1;
	if (loop.due <= now)
		return 0;
	return loop.due - now > 60000 ? 60000 : (int)(loop.due - now);
}

void
loop_run(struct master *m)
{
	size_t i, n;
	int r;

	while (!m->done) {
		loop.now = io_now_ms();
		ticks(m);
		if (m->done)
			break;
		n = collect(m);
		r = poll(loop.fds, (nfds_t)n, timeout());
		loop.now = io_now_ms();
		if (r <= 0)
			continue;
		/* Nothing frees a process here (reap() alone does), so the
		 * owners stay valid; their channels may go. */
		for (i = 1; i < n; i++) {
			struct proc *p = loop.owners[i];

			if (loop.fds[i].revents == 0)
				continue;
			if (p == NULL) {
				if (loop.fds[i].fd == dialer_socket(m))
					dialer_accept(m);
				else
					reload_step(m);
				continue;
			}
			if (p->chan != NULL &&
			    (loop.fds[i].revents & POLLOUT) != 0)
				proc_flush(p);
			if (p->chan != NULL && (loop.fds[i].revents &
			    (POLLIN | POLLHUP | POLLERR)) != 0)
				receive(p);
		}
		if (loop.fds[0].revents != 0)
			take_signals(m);
	}
}
