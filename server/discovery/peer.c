#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/discovery/peertask.h"

/*
 * sg-peer: the client end of TLS on one connection that the dialer made.  The
 * master brings the socket, the catalog says what to do; the two come in any
 * order.  It ends with the task.
 */
#define FD_CATALOG	5
#define FD_KEYD		6
#define HELPER_MS	15000
#define WAIT_MS		20000		/* for the socket and the task */
#define CERT_MAX	4096

static struct {
	struct role_env	 env;
	struct peer_task task;
	bool		 ordered;	/* PEER_DO came */
	int		 failed;	/* RC_* of the dialler, or RC_OK */
} self = { .task.fd = -1 };

/* --- set-up --- */

static void
get_identity(struct peer_task *t)
{
	const uint8_t *cert;
	struct msg m;
	size_t n;
	int rc;

	if ((rc = chan_send(t->keyd, MSG_KEYD_INFO, NULL, -1)) != RC_OK ||
	    (rc = chan_expect(t->keyd, MSG_KEYD_INFO_OK, &m, HELPER_MS)) !=
	    RC_OK ||
	    (rc = rbuf_bytes(&m.body, t->self, sizeof(t->self))) != RC_OK ||
	    (rc = rbuf_skip(&m.body, SHA256_LEN)) != RC_OK ||
	    (rc = rbuf_blob16(&m.body, &cert, &n, CERT_MAX)) != RC_OK ||
	    (rc = rbuf_skip(&m.body, ED25519_SIG_LEN)) != RC_OK ||
	    (rc = rbuf_end(&m.body)) != RC_OK)
		fatal("keyd: %s", rc_str(rc));
}

static void
set_up(struct peer_task *t)
{
	int rc;

	role_begin(&self.env, ROLE_PEER, ROLE_MASTER, true);
	t->parent = self.env.parent;
	t->catalog = role_chan(&self.env, FD_CATALOG, ROLE_CATALOG);
	t->keyd = role_chan(&self.env, FD_KEYD, ROLE_KEYD);
	if (t->catalog == NULL || t->keyd == NULL)
		fatal("no channel to catalog or keyd");
	get_identity(t);
	if ((rc = digest_setup()) != RC_OK ||
	    (rc = tls_client_ctx_any(&t->ctx)) != RC_OK)
		fatal("TLS: %s", rc_str(rc));
	role_drop(&self.env);
	role_enter(&self.env);
}

/* --- the socket and the task --- */

static int
on_dialed(void *arg, struct chan *c, struct msg *m)
{
	struct peer_task *t = arg;
	uint32_t dial;
	uint8_t code;
	int rc;

	if ((rc = rbuf_u32(&m->body, &dial)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &code)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (t->fd != -1 || self.failed != RC_OK)
		return RC_STATE;
	if (code != 0) {
		self.failed = -(int)code;
		return RC_OK;
	}
	if (m->fd == -1)
		return RC_PROTO;
	t->fd = msg_take_fd(c, m);
	t->deadline = io_now_ms() + TASK_MS;
	return RC_OK;
}

static int
on_stop(void *arg, struct chan *c, struct msg *m)
{
	(void)arg;
	(void)c;
	(void)m;
	return RC_CANCELLED;
}

static int
on_do(void *arg, struct chan *c, struct msg *m)
{
	(void)c;
	if (self.ordered)
		return RC_STATE;
	self.ordered = true;
	return peer_task_parse(&m->body, arg);
}

static const struct handler from_master[] = {
	{ MSG_DIALED,	1, on_dialed },
	{ MSG_STOP,	1, on_stop },
};
static const struct handler from_catalog[] = {
	{ MSG_PEER_DO,	1, on_do },
};

static int
take(struct chan *c, const struct handler *table, size_t n)
{
	struct msg m;
	int rc;

	if ((rc = chan_recv_wait(c, &m, 0)) == RC_OK &&
	    (rc = handle(table, n, 1, &self.task, c, &m)) != RC_OK &&
	    rc != RC_CANCELLED)
		log_warn("%s: %s", msg_name(m.type), rc_str(rc));
	return rc == RC_TIMEOUT ? RC_OK : rc;
}

static int
wait_for_task(struct peer_task *t)
{
	uint64_t until = io_now_ms() + WAIT_MS, now;
	struct pollfd p[2];
	int rc = RC_OK;

	while (rc == RC_OK && !(self.ordered &&
	    (t->fd != -1 || self.failed != RC_OK))) {
		if ((now = io_now_ms()) >= until)
			return RC_TIMEOUT;
		p[0] = (struct pollfd){ .fd = chan_fd(t->parent),
		    .events = POLLIN };
		p[1] = (struct pollfd){ .fd = chan_fd(t->catalog),
		    .events = POLLIN };
		if (poll(p, NITEMS(p), (int)(until - now)) == -1) {
			if (errno != EINTR)
				return rc_errno(errno);
			continue;
		}
		if (p[0].revents != 0)
			rc = take(t->parent, from_master, NITEMS(from_master));
		if (rc == RC_OK && p[1].revents != 0)
			rc = take(t->catalog, from_catalog,
			    NITEMS(from_catalog));
	}
	return rc;
}

int
main(void)
{
	struct peer_task *t = &self.task;
	int rc, sent;

	set_up(t);
	rc = wait_for_task(t);
	if (rc == RC_OK) {
		rc = self.failed != RC_OK ? self.failed : peer_task_run(t);
		if (rc != RC_OK && rc != RC_CANCELLED)
			log_info("peer: %s", t->text[0] != '\0' ? t->text :
			    rc_str(rc));
		sent = peer_task_end(t, rc);
		if (sent != RC_OK && sent != RC_EOF)
			log_warn("PEER_END not sent: %s", rc_str(sent));
	} else if (rc != RC_EOF && rc != RC_CANCELLED) {
		log_warn("no task: %s", rc_str(rc));
	}
	fd_close(&t->fd);
	tls_ctx_free(t->ctx);
	chan_free(t->catalog);
	chan_free(t->keyd);
	return 0;
}
