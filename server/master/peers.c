#include "config.h"

#include "server/master/master.h"

#include <string.h>
#include <sys/socket.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"

/*
 * Connections to other installations: the catalog says which, the dialer makes
 * them, and each gets a process of its own.  Nothing of the addresses is looked
 * at here; that is the dialer's.
 */
static struct dial *
find(struct master *m, uint32_t id)
{
	size_t i;

	for (i = 0; i < MASTER_DIALS_MAX; i++)
		if (m->dials[i].id == id && m->dials[i].purpose != 0)
			return &m->dials[i];
	return NULL;
}

static struct dial *
unused(struct master *m)
{
	size_t i;

	for (i = 0; i < MASTER_DIALS_MAX; i++)
		if (m->dials[i].purpose == 0)
			return &m->dials[i];
	return NULL;
}

static void
say_end(struct master *m, uint32_t id, int rc)
{
	struct wbuf body = WBUF_INIT(8);

	wbuf_u32(&body, id);
	wbuf_u8(&body, (uint8_t)-rc);
	proc_send(svc_proc(m, ROLE_CATALOG), MSG_DIAL_END, &body, -1);
}

/* From catalog: passed on as it is, once it is well formed. */
int
on_dial(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self;
	struct master *m = p->m;
	struct wbuf body = WBUF_INIT(128);
	struct rbuf in = msg->body;
	struct dial *d;
	struct addr a;
	uint32_t id;
	uint8_t purpose, how;
	int rc;

	(void)c;
	if ((rc = rbuf_u32(&in, &id)) != RC_OK ||
	    (rc = rbuf_u8(&in, &purpose)) != RC_OK ||
	    (rc = rbuf_u8(&in, &how)) != RC_OK ||
	    (rc = addr_get(&in, &a)) != RC_OK ||
	    (rc = rbuf_skip(&in, 2 + 32 + 32)) != RC_OK ||
	    (rc = rbuf_end(&in)) != RC_OK)
		return rc;
	if (purpose == 0 || purpose > DIAL_PROBE || how == 0 ||
	    how >= PEER_HOW_MAX || find(m, id) != NULL)
		return RC_RANGE;
	if (!svc_live(m, ROLE_DIALER) || (d = unused(m)) == NULL) {
		say_end(m, id, RC_BUSY);
		return RC_OK;
	}
	d->id = id;
	d->purpose = purpose;
	wbuf_bytes(&body, msg->body.p, msg->body.left);
	if (proc_send(svc_proc(m, ROLE_DIALER), MSG_DIAL, &body, -1) != RC_OK) {
		d->purpose = 0;
		say_end(m, id, RC_BUSY);
	}
	return RC_OK;
}

static int
start_peer(struct master *m, uint32_t id, int fd)
{
	struct wbuf body = WBUF_INIT(8);
	struct task task = { .dial = id };
	struct proc *p;

	if (proc_count(m, ROLE_PEER, PROC_LIVE | PROC_STOPPING) >=
	    MASTER_PEERS_MAX || !svc_live(m, ROLE_CATALOG) ||
	    (p = proc_start(m, ROLE_PEER, &task)) == NULL)
		return RC_BUSY;
	wbuf_u32(&body, id);
	wbuf_u8(&body, 0);
	return proc_send(p, MSG_DIALED, &body, fd);
}

int
on_dialed(void *self, struct chan *c, struct msg *msg)
{
	struct proc *p = self;
	struct master *m = p->m;
	struct dial *d;
	uint32_t id;
	uint8_t code, purpose;
	int rc, fd;

	if ((rc = rbuf_u32(&msg->body, &id)) != RC_OK ||
	    (rc = rbuf_u8(&msg->body, &code)) != RC_OK ||
	    (rc = rbuf_end(&msg->body)) != RC_OK)
		return rc;
	if ((d = find(m, id)) == NULL)
		return RC_STATE;
	purpose = d->purpose;
	d->purpose = 0;
	fd = msg_take_fd(c, msg);
	rc = -(int)code;
	if (rc == RC_OK && purpose != DIAL_PROBE)
		rc = fd == -1 ? RC_PROTO : start_peer(m, id, fd);
	if (rc != RC_OK || purpose == DIAL_PROBE)
		say_end(m, id, rc);
	fd_close(&fd);
	return RC_OK;
}

/* What the dialer had in hand when it died comes to nothing. */
void
dialer_gone(struct master *m)
{
	size_t i;

	for (i = 0; i < MASTER_DIALS_MAX; i++) {
		if (m->dials[i].purpose == 0)
			continue;
		m->dials[i].purpose = 0;
		say_end(m, m->dials[i].id, RC_UNREACHABLE);
	}
}

void
catalog_gone(struct master *m)
{
	memset(m->dials, 0, sizeof(m->dials));
}

/* --- a dialer in a unit of its own, so that it alone has a network --- */

int
dialer_socket(const struct master *m)
{
	size_t i;

	for (i = 0; i < m->ports.n; i++)
		if (m->ports.v[i].kind == PORT_DIALER)
			return m->ports.v[i].fd;
	return -1;
}

/* The mode of the socket's directory lets anybody come: the kernel says who. */
void
dialer_accept(struct master *m)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int fd;

	fd = accept4(dialer_socket(m), NULL, NULL,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd == -1)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
	    cred.uid != m->uid[ROLE_DIALER] || m->phase != PHASE_UP ||
	    svc_live(m, ROLE_DIALER)) {
		log_warn("dialer-refused pid=%d uid=%u", (int)cred.pid,
		    (unsigned int)cred.uid);
		fd_close(&fd);
		return;
	}
	if (proc_adopt(m, ROLE_DIALER, fd, cred.pid) == NULL)
		log_err("dialer-adopt: out of memory");
}
