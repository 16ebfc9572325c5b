#include "config.h"

#include "server/master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"

/*
 * How many messages may wait for a role that does not read at once.  A worker
 * has nothing to read but a handful; what a long-lived role gets for 500
 * workers at the same instant must fit.
 */
static unsigned int
queue_max(enum role r)
{
	switch (r) {
	case ROLE_SESSION:
	case ROLE_PEER:
		return 8;
	case ROLE_API:
		return 2048;		/* STATUS has a line per process */
	case ROLE_STORE:
		return 256;
	default:
		return 8192;
	}
}

struct proc *
svc_proc(struct master *m, enum role role)
{
	size_t i;

	for (i = 0; i < SVC_MAX; i++)
		if (m->svc[i].role == role)
			return m->svc[i].proc;
	return NULL;
}

bool
svc_live(struct master *m, enum role role)
{
	struct proc *p = svc_proc(m, role);

	return p != NULL && p->chan != NULL && (p->state & PROC_LIVE) != 0;
}

struct proc *
proc_by_worker(struct master *m, uint32_t worker)
{
	struct proc *p;

	for (p = m->procs; p != NULL; p = p->next)
		if (p->worker == worker)
			return p;
	return NULL;
}

struct proc *
proc_by_pid(struct master *m, pid_t pid)
{
	struct proc *p;

	for (p = m->procs; p != NULL; p = p->next)
		if (p->pid == pid)
			return p;
	return NULL;
}

unsigned int
proc_count(const struct master *m, enum role role, unsigned int states)
{
	const struct proc *p;
	unsigned int n = 0;

	for (p = m->procs; p != NULL; p = p->next)
		if (p->role == role && (p->state & states) != 0)
			n++;
	return n;
}

const char *
proc_text(const struct proc *p, char *out, size_t size)
{
	char a[ADDR_TEXT_MAX];

	if (p->conn.id != 0)
		snprintf(out, size, "role=%s pid=%d conn=%llu addr=%s port=%u",
		    role_name(p->role), (int)p->pid,
		    (unsigned long long)p->conn.id,
		    addr_text(&p->conn.addr, a, sizeof(a)), p->conn.addr.port);
	else
		snprintf(out, size, "role=%s pid=%d", role_name(p->role),
		    (int)p->pid);
	return out;
}

void
proc_set_state(struct proc *p, enum proc_state st)
{
	p->state = st;
	p->since_ms = loop_now();
}

/* --- log lines of the master itself --- */

static void
sink(enum log_level level, const char *line, void *arg)
{
	struct master *m = arg;
	struct proc *p = svc_proc(m, ROLE_LOGGER);
	struct wbuf body = WBUF_INIT(LOG_LINE_MAX + 64);
	int rc = RC_EOF;

	if (p != NULL && p->chan != NULL) {
		/* Behind what waits, so that LOG_ADD and LOG_CONN keep their
		 * place; never queued, since a line may be lost. */
		rc = RC_AGAIN;
		if (p->out == NULL) {
			wbuf_u8(&body, (uint8_t)level);
			wbuf_str(&body, line);
			rc = chan_send(p->chan, MSG_LOG, &body, -1);
			wbuf_free(&body);
		}
		if (rc == RC_AGAIN)
			m->log_lost++;
	}
	if (rc != RC_OK && rc != RC_AGAIN)
		fprintf(stderr, "%sstoregridd: %s\n", m->to_journal ?
		    "<5>" : "", line);
}

void
master_log_sink(struct master *m)
{
	log_set_sink(sink, m);
}

/* --- sending --- */

static int
enqueue(struct proc *p, enum msg_type type, const struct wbuf *body, int fd)
{
	size_t len = body != NULL ? body->len : 0;
	struct queued *q;

	if (p->nout >= queue_max(p->role))
		return RC_LIMIT;
	if ((q = malloc(sizeof(*q) + len)) == NULL)
		return RC_NOMEM;
	q->next = NULL;
	q->type = (uint16_t)type;
	q->fd = -1;
	q->len = len;
	if (len > 0)
		memcpy(q->body, body->data, len);
	if (fd != -1 && (q->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) == -1) {
		free(q);
		return RC_LIMIT;
	}
	*p->out_tail = q;
	p->out_tail = &q->next;
	p->nout++;
	return RC_OK;
}

static void
dequeue(struct proc *p)
{
	struct queued *q = p->out;

	p->out = q->next;
	if (p->out == NULL)
		p->out_tail = &p->out;
	p->nout--;
	fd_close(&q->fd);
	free(q);
}

/* Takes the body, whatever comes of it. */
int
proc_send(struct proc *p, enum msg_type type, struct wbuf *body, int fd)
{
	int rc;

	if (p == NULL || p->chan == NULL) {
		rc = RC_EOF;
		goto out;
	}
	rc = p->out == NULL ? chan_send(p->chan, type, body, fd) : RC_AGAIN;
	if (rc == RC_AGAIN)
		rc = enqueue(p, type, body, fd);
	/* At the end of file the process is on its way out: wait tells why. */
	if (rc != RC_OK && rc != RC_EOF)
		proc_drop(p, "does not read its messages");
out:
	if (body != NULL)
		wbuf_free(body);
	return rc;
}

void
proc_flush(struct proc *p)
{
	struct wbuf body = WBUF_INIT(1u << 20);
	struct queued *q;
	int rc = RC_OK;

	while ((q = p->out) != NULL && p->chan != NULL) {
		wbuf_reset(&body);
		wbuf_bytes(&body, q->body, q->len);
		rc = chan_send(p->chan, (enum msg_type)q->type, &body, q->fd);
		if (rc != RC_OK)
			break;
		dequeue(p);
	}
	wbuf_free(&body);
	if (rc != RC_OK && rc != RC_AGAIN && rc != RC_EOF)
		proc_drop(p, "cannot be written to");
}

/* --- ending --- */

void
proc_kill(struct proc *p)
{
	p->ended_by_us = true;
	proc_set_state(p, PROC_STOPPING);
	p->kill_at = 0;
	if (p->outside) {
		/* not ours to kill: it ends when its channel does */
		chan_free(p->chan);
		p->chan = NULL;
	} else if (p->pid > 1) {
		kill(p->pid, SIGKILL);
	}
}

void
proc_stop(struct proc *p, unsigned int patience_ms)
{
	if (p->state == PROC_STOPPING)
		return;
	p->ended_by_us = true;
	proc_set_state(p, PROC_STOPPING);
	p->kill_at = loop_now() + patience_ms;
	proc_send(p, MSG_STOP, NULL, -1);
}

void
proc_drop(struct proc *p, const char *why)
{
	char text[160];

	if (p->chan == NULL)
		return;
	log_warn("role-dropped %s reason=\"%s\"",
	    proc_text(p, text, sizeof(text)), why);
	while (p->out != NULL)
		dequeue(p);
	chan_free(p->chan);
	p->chan = NULL;
	proc_kill(p);
}

void
proc_free(struct proc *p)
{
	struct proc **pp;

	for (pp = &p->m->procs; *pp != NULL && *pp != p; pp = &(*pp)->next)
		;
	if (*pp != NULL)
		*pp = p->next;
	while (p->out != NULL)
		dequeue(p);
	chan_free(p->chan);
	free(p);
}

/* --- starting --- */

static void
put_store(struct wbuf *out, const struct master *m, const struct vault *v,
    const struct grant *g)
{
	wbuf_bytes(out, v->id, 16);
	wbuf_bytes(out, v->instance, 16);
	wbuf_u8(out, g->create);
	wbuf_bytes(out, g->client, 16);
	wbuf_bytes(out, g->key, 32);
	wbuf_bytes(out, g->name, sizeof(g->name));
	wbuf_u64(out, g->lock_seconds);
	wbuf_u64(out, m->conf.reserve_bytes);
}

static bool
sandbox_waived(const struct conf *c, enum role role)
{
	size_t i;

	for (i = 0; i < c->sandbox_allow.n; i++)
		if (strcmp(c->sandbox_allow.s[i], role_name(role)) == 0)
			return true;
	return false;
}

static void
start_body(struct proc *p, const struct task *t, struct wbuf *out)
{
	struct master *m = p->m;
	const struct conf *c = &m->conf;
	struct start s = {
		.role = p->role,
		.uid = p->uid,
		.gid = m->gid[p->role],
		.flags = START_F_IDS | START_F_CHROOT,
		.parent = m->pid,
		.log_level = LOG_LEVEL_INFO,
	};
	const char *root = m->empty;
	char own[CONF_STR_MAX];

	/* Its unit has changed ids and root already, and it is no child. */
	if (p->outside) {
		s.flags = 0;
		s.parent = 0;
	}
	if (sandbox_waived(c, p->role))
		s.flags |= START_F_NOSANDBOX;
	if (p->role == ROLE_KEYD || p->role == ROLE_AUTH ||
	    p->role == ROLE_CATALOG) {
		/* config_check() has seen that it fits. */
		snprintf(own, sizeof(own), "%.200s/%.20s", c->state,
		    role_name(p->role));
		root = own;
	} else if (p->role == ROLE_STORE) {
		root = c->vaults;
	}
	snprintf(s.root, sizeof(s.root), "%s", root);
	start_put(out, &s);
	switch (p->role) {
	case ROLE_LOGGER:
		wbuf_u8(out, LOG_LEVEL_INFO);
		wbuf_u8(out, m->to_journal);
		break;
	case ROLE_KEYD:
		wbuf_u8(out, !m->keys_made);
		break;
	case ROLE_AUTH:
	case ROLE_CATALOG:
	case ROLE_MCAST:
	case ROLE_SCAN:
	case ROLE_API:
		conf_put(out, c);
		break;
	case ROLE_SESSION:
		wbuf_str(out, c->id);
		break;
	case ROLE_STORE:
		put_store(out, m, p->vault, t->grant);
		break;
	default:
		break;
	}
}

/* What listener, mcast and scan need before they enter their sandbox: their
 * sockets, then the configuration. */
static int
send_sockets(struct proc *p)
{
	struct master *m = p->m;
	struct wbuf body = WBUF_INIT(65536);
	size_t i;
	int rc = RC_OK;

	for (i = 0; i < m->ports.n && rc == RC_OK; i++) {
		if (m->ports.v[i].fd == -1 || m->ports.v[i].role != p->role)
			continue;
		wbuf_u8(&body, m->ports.v[i].kind);
		rc = proc_send(p, MSG_LISTEN, &body, m->ports.v[i].fd);
	}
	conf_put(&body, &m->conf);
	if (rc == RC_OK)
		rc = proc_send(p, p->role == ROLE_LISTENER ? MSG_POLICY :
		    MSG_CATALOG_CONF, &body, -1);
	wbuf_free(&body);
	return rc;
}

static struct proc *
proc_new(struct master *m, enum role role, const struct task *t)
{
	struct proc *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->m = m;
	p->role = role;
	p->vault = t->vault;
	p->dial = t->dial;
	p->uid = m->uid[role];
	p->out_tail = &p->out;
	p->worker = ++m->next_worker;
	p->started = io_wall_ns() / 1000000000;
	proc_set_state(p, PROC_STARTING);
	return p;
}

/* In the table from here on, so that its end is noticed. */
static void
proc_link(struct proc *p)
{
	p->next = p->m->procs;
	p->m->procs = p;
}

static void
service_set(struct proc *p)
{
	size_t i;

	for (i = 0; i < SVC_MAX; i++)
		if (p->m->svc[i].role == p->role)
			p->m->svc[i].proc = p;
}

struct proc *
proc_start(struct master *m, enum role role, const struct task *t)
{
	static const struct task none;
	struct spawn s = { .role = role };
	struct wbuf start = WBUF_INIT(65536);
	int far[SPAWN_FDS_MAX];
	struct proc *p;
	int i, rc = RC_NOMEM;

	if (t == NULL)
		t = &none;
	rc = links_make(role, &s, far);
	if ((p = proc_new(m, role, t)) == NULL || rc != RC_OK ||
	    (rc = spawn_role(m->spawner, &s)) != RC_OK) {
		log_err("spawn role=%s: %s", role_name(role), rc_str(rc));
		free(p);
		p = NULL;
		goto out;
	}
	p->pid = s.pid;
	p->chan = s.chan;
	proc_link(p);
	service_set(p);
	if (p->vault != NULL)
		p->vault->proc = p;
	if ((rc = chan_set_nonblock(p->chan)) != RC_OK) {
		proc_drop(p, "channel");
		p = NULL;
		goto out;
	}
	start_body(p, t, &start);
	rc = proc_send(p, MSG_START, &start, -1);
	if (rc == RC_OK)
		rc = links_hand(p, far);
	if (rc == RC_OK && (role == ROLE_LISTENER || role == ROLE_MCAST ||
	    role == ROLE_SCAN))
		rc = send_sockets(p);
	if (rc != RC_OK) {
		/* Its helpers are gone or full; it could not work. */
		proc_kill(p);
		p = NULL;
	}
out:
	wbuf_free(&start);
	for (i = 0; i < s.nfds; i++)
		fd_close(&s.fds[i]);
	for (i = 0; i < SPAWN_FDS_MAX; i++)
		fd_close(&far[i]);
	return p;
}

/*
 * A process that somebody else started and that came to us by itself.  Its log
 * channel comes first, so that it can lay both where every role expects them.
 */
struct proc *
proc_adopt(struct master *m, enum role role, int fd, pid_t pid)
{
	static const struct task none;
	struct wbuf body = WBUF_INIT(65536);
	struct proc *p;
	int fds[2];

	if (chan_pair(fds) != RC_OK) {
		fd_close(&fd);
		return NULL;
	}
	if ((p = proc_new(m, role, &none)) == NULL ||
	    (p->chan = chan_new(fd, ROLE_MASTER, role)) == NULL) {
		free(p);
		p = NULL;
		goto out;
	}
	p->outside = true;
	p->pid = pid;
	proc_link(p);
	service_set(p);
	wbuf_u8(&body, ROLE_LOGGER);
	proc_send(p, MSG_NEW_CHAN, &body, fds[0]);
	link_give(p, ROLE_LOGGER, fds[1]);
	start_body(p, &none, &body);
	proc_send(p, MSG_START, &body, -1);
out:
	wbuf_free(&body);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
	return p;
}
