#include "config.h"

#include "server/master/master.h"

#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"

/*
 * Rights of api workers.  Who signed in is for auth to say; the channel to the
 * catalog that follows from it is the right, and no worker can make one.
 */
static void
give_catalog(struct proc *worker)
{
	int fds[2];

	/* Without a catalog accounts and clients can still be managed. */
	if (!svc_live(worker->m, ROLE_CATALOG) || chan_pair(fds) != RC_OK)
		return;
	if (link_give(worker, ROLE_CATALOG, fds[1]) == RC_OK)
		proc_send(worker, MSG_API_CHAN, NULL, fds[0]);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}

/* The mode of the control socket was the permission. */
void
api_local(struct proc *worker)
{
	worker->right = RIGHT_ADMIN;
	worker->authed = true;
	memcpy(worker->user, "local", 6);
	give_catalog(worker);
}

int
on_api_grant(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self, *worker;
	uint32_t number;
	uint64_t conn;
	uint8_t right, identity[32];
	char user[64], text[160];
	int rc;

	(void)c;
	if ((rc = rbuf_u32(&msg->body, &number)) != RC_OK ||
	    (rc = rbuf_u64(&msg->body, &conn)) != RC_OK ||
	    (rc = rbuf_u8(&msg->body, &right)) != RC_OK ||
	    (rc = rbuf_bytes(&msg->body, identity, sizeof(identity))) !=
	    RC_OK ||
	    (rc = rbuf_bytes(&msg->body, user, sizeof(user))) != RC_OK ||
	    (rc = rbuf_end(&msg->body)) != RC_OK)
		return rc;
	if (right == RIGHT_NONE || right >= RIGHT_MAX ||
	    user[sizeof(user) - 1] != '\0')
		return RC_RANGE;
	worker = proc_by_worker(p->m, number);
	if (worker == NULL || worker->role != ROLE_API ||
	    worker->state != PROC_BUSY || worker->conn.id != conn)
		return RC_OK;
	/* One connection is one user: a second sign-in needs another. */
	if (worker->right != RIGHT_NONE) {
		if (worker->right != right || memcmp(worker->user, user,
		    sizeof(user)) != 0)
			proc_drop(worker, "was granted to another user");
		return RC_OK;
	}
	worker->right = right;
	memcpy(worker->identity, identity, sizeof(identity));
	memcpy(worker->user, user, sizeof(user));
	/* Anybody can make a key and prove it: another installation stays
	 * among those who may be sent away, and has a stranger's time. */
	if (right != RIGHT_PEER) {
		worker->authed = true;
		conn_state(p->m, conn, CONN_AUTHED);
	}
	log_info("api-grant %s right=%u user=%s",
	    proc_text(worker, text, sizeof(text)), right, user);
	give_catalog(worker);
	return RC_OK;
}

/* Its session or token ended: neither its answers nor its channel to the
 * catalog may outlive that. */
static void
cut(struct proc *worker)
{
	char text[160];

	log_notice("api-cut-off %s", proc_text(worker, text, sizeof(text)));
	/* twice: nothing is to be finished first */
	proc_stop(worker, 1000);
	proc_send(worker, MSG_STOP, NULL, -1);
}

int
on_api_cut(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self, *worker;
	uint32_t number;
	uint64_t conn;
	int rc;

	(void)c;
	if ((rc = rbuf_u32(&msg->body, &number)) != RC_OK ||
	    (rc = rbuf_u64(&msg->body, &conn)) != RC_OK ||
	    (rc = rbuf_end(&msg->body)) != RC_OK)
		return rc;
	worker = proc_by_worker(p->m, number);
	if (worker == NULL || worker->role != ROLE_API ||
	    worker->state != PROC_BUSY || worker->conn.id != conn)
		return RC_OK;
	cut(worker);
	return RC_OK;
}

/* The next auth knows nobody who is signed in, so it could cut off none of
 * them; the mode of the control socket asks no auth. */
void
api_auth_gone(struct master *m)
{
	struct proc *p;

	for (p = m->procs; p != NULL; p = p->next)
		if (p->role == ROLE_API && p->state == PROC_BUSY &&
		    p->right != RIGHT_NONE && p->conn.kind != PORT_CONTROL)
			cut(p);
}

/* What the master itself did, for the audit log; lost while there is none. */
void
audit(struct master *m, const char *act, const char *object,
    const char *detail)
{
	struct wbuf body = WBUF_INIT(1024);

	if (!svc_live(m, ROLE_CATALOG))
		return;
	wbuf_str(&body, "storegridd");
	wbuf_str(&body, "");
	wbuf_str(&body, act);
	wbuf_str(&body, object);
	wbuf_u8(&body, 0);
	wbuf_str(&body, detail);
	proc_send(svc_proc(m, ROLE_CATALOG), MSG_AUDIT, &body, -1);
}
