#include "config.h"

#include "server/master/master.h"

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"

/*
 * Who has a channel to whom from its start: descriptors 4, 5, ... of each role,
 * the table of doc/ARCHITECTURE.md.  The near end goes to the new process, the
 * far end to a helper that runs already, with a message that says whose it is.
 */
static const enum role links[ROLE_MAX][SPAWN_FDS_MAX] = {
	[ROLE_LISTENER]	= { ROLE_LOGGER },
	[ROLE_KEYD]	= { ROLE_LOGGER },
	[ROLE_DIALER]	= { ROLE_LOGGER },
	[ROLE_AUTH]	= { ROLE_LOGGER, ROLE_KEYD },
	[ROLE_LOGIN]	= { ROLE_LOGGER, ROLE_AUTH },
	[ROLE_STORE]	= { ROLE_LOGGER, ROLE_KEYD, ROLE_CATALOG },
	[ROLE_SESSION]	= { ROLE_LOGGER, ROLE_AUTH, ROLE_KEYD },
	[ROLE_API]	= { ROLE_LOGGER, ROLE_AUTH, ROLE_KEYD },
	[ROLE_CATALOG]	= { ROLE_LOGGER, ROLE_AUTH, ROLE_KEYD },
	[ROLE_MCAST]	= { ROLE_LOGGER, ROLE_CATALOG, ROLE_KEYD },
	[ROLE_SCAN]	= { ROLE_LOGGER, ROLE_CATALOG, ROLE_KEYD },
	[ROLE_PEER]	= { ROLE_LOGGER, ROLE_CATALOG, ROLE_KEYD },
};

static enum keyd_use
keyd_use(enum role role)
{
	switch (role) {
	case ROLE_SESSION:
	case ROLE_API:
		return KEYD_USE_TLS;
	case ROLE_STORE:
		return KEYD_USE_RECEIPT;
	case ROLE_MCAST:
	case ROLE_SCAN:
		return KEYD_USE_PACKET;
	case ROLE_PEER:
		return KEYD_USE_PEER;
	default:
		return KEYD_USE_INFO;
	}
}

static void
put_vault(struct wbuf *out, const struct proc *p)
{
	if (p->role == ROLE_STORE && p->vault != NULL)
		wbuf_bytes(out, p->vault->id, 16);
	else
		wbuf_zeros(out, 16);
}

int
link_give(struct proc *p, enum role far, int fd)
{
	struct proc *helper = svc_proc(p->m, far);
	struct wbuf body = WBUF_INIT(256);

	switch (far) {
	case ROLE_LOGGER:
		wbuf_u8(&body, (uint8_t)p->role);
		wbuf_u32(&body, (uint32_t)p->pid);
		wbuf_u64(&body, 0);
		return proc_send(helper, MSG_LOG_ADD, &body, fd);
	case ROLE_AUTH:
		wbuf_u32(&body, p->worker);
		wbuf_u8(&body, (uint8_t)p->role);
		return proc_send(helper, MSG_AUTH_ADD, &body, fd);
	case ROLE_KEYD:
		wbuf_u32(&body, p->worker);
		wbuf_u8(&body, (uint8_t)p->role);
		wbuf_u8(&body, (uint8_t)keyd_use(p->role));
		put_vault(&body, p);
		return proc_send(helper, MSG_KEYD_ADD, &body, fd);
	case ROLE_CATALOG:
		wbuf_u32(&body, p->worker);
		wbuf_u8(&body, (uint8_t)p->role);
		wbuf_u8(&body, p->right);
		wbuf_bytes(&body, p->identity, sizeof(p->identity));
		addr_put(&body, &p->conn.addr);
		wbuf_bytes(&body, p->user, sizeof(p->user));
		wbuf_u32(&body, p->dial);
		put_vault(&body, p);
		return proc_send(helper, MSG_CATALOG_ADD, &body, fd);
	default:
		wbuf_free(&body);
		return RC_RANGE;
	}
}

int
links_make(enum role role, struct spawn *s, int far[SPAWN_FDS_MAX])
{
	int fds[2], i, rc;

	for (i = 0; i < SPAWN_FDS_MAX; i++)
		far[i] = -1;
	for (i = 0; i < SPAWN_FDS_MAX && links[role][i] != ROLE_NONE; i++) {
		if ((rc = chan_pair(fds)) != RC_OK)
			return rc;
		s->fds[s->nfds++] = fds[0];
		far[i] = fds[1];
	}
	return RC_OK;
}

int
links_hand(struct proc *p, const int far[SPAWN_FDS_MAX])
{
	int i, rc;

	for (i = 0; i < SPAWN_FDS_MAX && far[i] != -1; i++) {
		rc = link_give(p, links[p->role][i], far[i]);
		/* Whose lines nobody takes, or whose history nobody writes,
		 * may still do its work. */
		if (rc != RC_OK && links[p->role][i] != ROLE_LOGGER &&
		    links[p->role][i] != ROLE_CATALOG)
			return rc;
	}
	return RC_OK;
}

static bool
has_link(enum role role, enum role far)
{
	int i;

	for (i = 0; i < SPAWN_FDS_MAX; i++)
		if (links[role][i] == far)
			return true;
	return false;
}

/* A helper was started anew: long-lived roles get a channel to it.  Workers are
 * replaced instead, or end with what they have. */
void
links_rejoin(struct master *m, enum role far)
{
	struct wbuf body = WBUF_INIT(16);
	struct proc *p;
	int fds[2];

	for (p = m->procs; p != NULL; p = p->next) {
		if (p->role == ROLE_SESSION || p->role == ROLE_API ||
		    p->role == ROLE_PEER || !has_link(p->role, far) ||
		    p->chan == NULL || (p->state & PROC_LIVE) == 0 ||
		    chan_pair(fds) != RC_OK)
			continue;
		link_give(p, far, fds[1]);
		wbuf_u8(&body, (uint8_t)far);
		proc_send(p, MSG_NEW_CHAN, &body, fds[0]);
		fd_close(&fds[0]);
		fd_close(&fds[1]);
	}
}
