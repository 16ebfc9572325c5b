#include "config.h"

#include "server/master/master.h"

#include <string.h>

#include "common/log.h"
#include "common/rc.h"

/*
 * What auth says of a connection: who may use which vault, who failed, who is
 * no longer welcome.  auth is asked by workers and answers us; a worker cannot
 * name a vault.
 */
static const char *const auth_events[] = {
	[AUTH_EV_BAD_TOKEN] = "bad-token",
	[AUTH_EV_OLD_TOKEN] = "expired-token",
	[AUTH_EV_USED_TOKEN] = "used-token",
	[AUTH_EV_UNKNOWN] = "unknown-client-or-key",
	[AUTH_EV_DISABLED] = "disabled-client",
	[AUTH_EV_PROTOCOL] = "protocol",
	[AUTH_EV_PASSWORD] = "wrong-password",
	[AUTH_EV_BEARER] = "unknown-session-or-token",
	[AUTH_EV_PAIR] = "pairing",
};

static int
parse_grant(struct rbuf *in, struct grant *g)
{
	int rc;

	if ((rc = rbuf_u32(in, &g->worker)) != RC_OK ||
	    (rc = rbuf_u64(in, &g->conn)) != RC_OK ||
	    (rc = rbuf_bytes(in, g->vault, 16)) != RC_OK ||
	    (rc = rbuf_bytes(in, g->instance, 16)) != RC_OK ||
	    (rc = rbuf_bytes(in, g->client, 16)) != RC_OK ||
	    (rc = rbuf_bytes(in, g->key, 32)) != RC_OK ||
	    (rc = rbuf_u32(in, &g->rights)) != RC_OK ||
	    (rc = rbuf_u8(in, &g->create)) != RC_OK ||
	    (rc = rbuf_u64(in, &g->lock_seconds)) != RC_OK ||
	    (rc = rbuf_bytes(in, g->name, sizeof(g->name))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	return g->create <= 1 && g->name[sizeof(g->name) - 1] == '\0' ?
	    RC_OK : RC_RANGE;
}

static unsigned int
authed(const struct master *m)
{
	const struct proc *p;
	unsigned int n = 0;

	for (p = m->procs; p != NULL; p = p->next)
		if (p->role == ROLE_SESSION && p->state == PROC_BUSY &&
		    p->authed)
			n++;
	return n;
}

static void
refuse_grant(struct proc *worker, int rc)
{
	struct wbuf body = WBUF_INIT(8);

	wbuf_u8(&body, (uint8_t)-rc);
	proc_send(worker, MSG_STORE_CHAN, &body, -1);
}

int
on_grant(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self, *worker;
	struct master *m = p->m;
	struct grant g = { 0 };
	char text[160];
	int rc;

	(void)c;
	if ((rc = parse_grant(&msg->body, &g)) != RC_OK)
		return rc;
	worker = proc_by_worker(m, g.worker);
	/* It may have died, or been given up, while auth was checking. */
	if (worker == NULL || worker->role != ROLE_SESSION ||
	    worker->state != PROC_BUSY || worker->conn.id != g.conn)
		return RC_OK;
	/* One connection is granted once; a second try is its worker's. */
	if (worker->authed) {
		proc_drop(worker, "was granted twice");
		return RC_OK;
	}
	log_notice("grant %s client=%.*s",
	    proc_text(worker, text, sizeof(text)), (int)sizeof(g.name),
	    (const char *)g.name);
	if (authed(m) >= m->conf.pool_max) {
		log_warn("grant-refused %s reason=session-max",
		    proc_text(worker, text, sizeof(text)));
		refuse_grant(worker, RC_BUSY);
		/* It knew its key; that we are full is no fault of its. */
		worker->ended_by_us = true;
		return RC_OK;
	}
	worker->authed = true;
	memcpy(worker->client, g.client, sizeof(worker->client));
	conn_state(m, worker->conn.id, CONN_AUTHED);
	vault_grant(m, worker, &g);
	return RC_OK;
}

int
on_auth_event(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self, *worker;
	uint32_t number;
	uint64_t conn;
	uint8_t what;
	char text[ADDR_TEXT_MAX];
	int rc;

	(void)c;
	if ((rc = rbuf_u32(&msg->body, &number)) != RC_OK ||
	    (rc = rbuf_u64(&msg->body, &conn)) != RC_OK ||
	    (rc = rbuf_u8(&msg->body, &what)) != RC_OK ||
	    (rc = rbuf_end(&msg->body)) != RC_OK)
		return rc;
	if (what == 0 || what >= AUTH_EV_MAX)
		return RC_RANGE;
	worker = proc_by_worker(p->m, number);
	if (worker == NULL || worker->conn.id != conn ||
	    worker->state != PROC_BUSY)
		return RC_OK;
	worker->event = what;
	if (what == AUTH_EV_PAIR)
		return RC_OK;
	/* The stable line, see doc/storegridd.8. */
	log_warn("auth-failure addr=%s port=%u reason=%s",
	    addr_text(&worker->conn.addr, text, sizeof(text)),
	    worker->conn.addr.port, auth_events[what]);
	return RC_OK;
}

int
on_cut_off(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self, *w;
	uint8_t id[16];
	char text[160];
	int rc;

	(void)c;
	if ((rc = rbuf_bytes(&msg->body, id, sizeof(id))) != RC_OK ||
	    (rc = rbuf_end(&msg->body)) != RC_OK)
		return rc;
	for (w = p->m->procs; w != NULL; w = w->next) {
		if (w->role != ROLE_SESSION || w->vault == NULL ||
		    memcmp(w->vault->id, id, sizeof(id)) != 0)
			continue;
		log_notice("session-cut-off %s",
		    proc_text(w, text, sizeof(text)));
		/* twice: nothing is to be finished first */
		proc_stop(w, 1000);
		proc_send(w, MSG_STOP, NULL, -1);
	}
	return RC_OK;
}
