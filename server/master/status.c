#include "config.h"

#include "server/master/master.h"

#include <stdio.h>
#include <string.h>

#include "common/rc.h"

/* Process list and ports, for who may look. */

static void
send_proc(struct proc *to, enum role role, pid_t pid, uid_t uid,
    int64_t started, const uint8_t *vault, uint64_t conn)
{
	struct wbuf body = WBUF_INIT(64);

	wbuf_u8(&body, (uint8_t)role);
	wbuf_u32(&body, (uint32_t)pid);
	wbuf_u32(&body, (uint32_t)uid);
	wbuf_i64(&body, started);
	if (vault != NULL)
		wbuf_bytes(&body, vault, 16);
	else
		wbuf_zeros(&body, 16);
	wbuf_u64(&body, conn);
	proc_send(to, MSG_STATUS_PROC, &body, -1);
}

static void
send_port(struct proc *to, uint8_t kind, const struct addr *a, bool open,
    bool inherited)
{
	struct wbuf body = WBUF_INIT(64);

	wbuf_u8(&body, kind);
	addr_put(&body, a);
	wbuf_u8(&body, open);
	wbuf_u8(&body, inherited);
	proc_send(to, MSG_STATUS_PORT, &body, -1);
}

static bool
is_planned(const struct master *m, uint8_t kind)
{
	size_t i;

	for (i = 0; i < m->ports.n; i++)
		if (m->ports.v[i].kind == kind)
			return true;
	return false;
}

/* What is switched off, is not this mode's, or is not in this version yet. */
static void
send_closed(struct proc *to, const struct master *m)
{
	const struct conf *c = &m->conf;
	const struct {
		uint8_t		kind;
		uint16_t	port;
	} v[] = {
		{ PORT_SERVER, c->port_server },
		{ PORT_SSL, c->port_ssl },
		{ PORT_WEB, c->port_web },
		{ PORT_WEBSSL, c->port_webssl },
		{ PORT_MCAST_REQ, c->port_mcast_req },
		{ PORT_MCAST_ANS, c->port_mcast_ans },
		{ PORT_SCAN, c->port_scan },
	};
	struct addr a = { .family = 4 };
	size_t i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		if (is_planned(m, v[i].kind))
			continue;
		a.port = v[i].port;
		send_port(to, v[i].kind, &a, false, false);
	}
}

static void
answer(struct proc *p)
{
	struct master *m = p->m;
	struct proc *q;
	struct wbuf body = WBUF_INIT(256);
	uint32_t vaults = 0;
	size_t i;

	send_proc(p, ROLE_MASTER, m->pid, m->euid, m->started,
	    NULL, 0);
	for (q = m->procs; q != NULL; q = q->next) {
		if (!q->ready)
			continue;
		send_proc(p, q->role, q->pid, q->uid, q->started,
		    q->vault != NULL ? q->vault->id : NULL, q->conn.id);
		vaults += q->role == ROLE_STORE;
	}
	for (i = 0; i < m->ports.n; i++)
		if (m->ports.v[i].kind != PORT_NETLINK)
			send_port(p, m->ports.v[i].kind, &m->ports.v[i].addr,
			    m->ports.v[i].fd != -1, m->ports.v[i].inherited);
	send_closed(p, m);
	wbuf_str(&body, PACKAGE_VERSION);
	wbuf_str(&body, m->conf.id);
	wbuf_i64(&body, m->started);
	wbuf_u32(&body, proc_count(m, ROLE_SESSION, PROC_BUSY));
	wbuf_u32(&body, vaults);
	proc_send(p, MSG_STATUS_END, &body, -1);
}

/*
 * One that starts has dropped nothing yet and would look as if it never did, so
 * only those are listed that are READY; and asking takes a worker, whose
 * successor is just starting.  So the answer waits a little for all to be.
 */
int
on_status(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self;

	(void)c;
	if (rbuf_end(&msg->body) != RC_OK || p->right < RIGHT_VIEWER ||
	    p->status_at != 0)
		return RC_STATE;
	p->status_at = loop_now() + MASTER_STATUS_MS;
	return RC_OK;
}

void
status_tick(struct master *m)
{
	bool starting = false;
	struct proc *p;

	for (p = m->procs; p != NULL; p = p->next)
		starting = starting || p->state == PROC_STARTING;
	for (p = m->procs; p != NULL; p = p->next) {
		if (p->status_at == 0 || p->state != PROC_BUSY)
			continue;
		if (starting && p->status_at > loop_now()) {
			loop_due(p->status_at);
			continue;
		}
		p->status_at = 0;
		answer(p);
	}
}
