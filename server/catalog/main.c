#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/catalog/serve.h"
#include "server/relog.h"

/*
 * sg-catalog: what happened, who is there, who changed what.  Nothing here is
 * needed for a backup or a restore.
 */
#define FD_AUTH		5
#define FD_KEYD		6
#define KEYD_MS		30000

static struct {
	struct role_env	 env;
	struct conf	 conf;
	struct serve	 serve;
	struct chan	*keyd;
	uint8_t		 identity[ED25519_LEN], pin[SHA256_LEN];
	bool		 stop;
} self;

static int
to_master(void *arg, enum msg_type type, struct wbuf *b)
{
	(void)arg;
	return chan_send_now(self.env.parent, type, b, -1);
}

static int
on_new_chan(struct msg *m)
{
	struct rbuf in = m->body;
	uint8_t role;
	int rc = relog(&self.env, m);

	if (rc != RC_UNSUPPORTED)
		return rc;
	if ((rc = rbuf_u8(&in, &role)) != RC_OK)
		return rc;
	if (role == ROLE_AUTH)
		return serve_auth(&self.serve, msg_take_fd(self.env.parent, m));
	if (role != ROLE_KEYD)
		return RC_RANGE;
	chan_free(self.keyd);
	self.keyd = chan_new(msg_take_fd(self.env.parent, m), ROLE_CATALOG,
	    ROLE_KEYD);
	return self.keyd != NULL ? RC_OK : RC_NOMEM;
}

static int
drain_master(void)
{
	struct msg m;
	int rc;

	while ((rc = chan_recv_wait(self.env.parent, &m, 0)) == RC_OK) {
		if (m.type == MSG_STOP) {
			self.stop = true;
			return RC_OK;
		}
		rc = m.type == MSG_NEW_CHAN ? on_new_chan(&m) :
		    serve_master(&self.serve, self.env.parent, &m);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_TIMEOUT ? RC_OK : rc;
}

static int
turn(void)
{
	struct serve *s = &self.serve;
	int timeout, rc;
	size_t n;

	n = serve_prepare(s, &timeout);
	s->poll[0] = (struct pollfd){ .fd = chan_fd(self.env.parent),
	    .events = POLLIN };
	if (poll(s->poll, (nfds_t)n + 1, timeout) == -1)
		return errno == EINTR ? RC_OK : rc_errno(errno);
	serve_clock(s, io_wall_ns() / 1000000000, io_now_ms());
	if ((rc = drain_master()) != RC_OK || self.stop)
		return rc;
	serve_turn(s, n);
	return RC_OK;
}

/* --- start --- */

static void
ask_keyd(void)
{
	struct msg m;
	int rc;

	self.keyd = role_chan(&self.env, FD_KEYD, ROLE_KEYD);
	if (self.keyd == NULL)
		fatal("no channel to keyd");
	if ((rc = chan_send(self.keyd, MSG_KEYD_INFO, NULL, -1)) != RC_OK ||
	    (rc = chan_expect(self.keyd, MSG_KEYD_INFO_OK, &m, KEYD_MS)) !=
	    RC_OK ||
	    (rc = rbuf_bytes(&m.body, self.identity, ED25519_LEN)) != RC_OK ||
	    (rc = rbuf_bytes(&m.body, self.pin, SHA256_LEN)) != RC_OK)
		fatal("keyd: %s", rc_str(rc));
}

static void
open_db(void)
{
	char path[300];
	int rc;

	/* the root, unless this start came without a chroot */
	snprintf(path, sizeof(path), "%s/catalog.db",
	    (self.env.start.flags & START_F_CHROOT) != 0 ? "" :
	    self.env.start.root);
	self.serve.send = to_master;
	rc = serve_open(&self.serve, path, &self.conf, self.identity, self.pin,
	    io_wall_ns() / 1000000000);
	if (rc == RC_VERSION)
		fatal("catalog.db is of a newer version of StoreGrid");
	if (rc != RC_OK)
		fatal("catalog.db: %s (%s); it may be moved away: what the "
		    "vaults know comes back", rc_str(rc),
		    cat_error(&self.serve.c));
}

int
main(void)
{
	int rc;

	role_begin(&self.env, ROLE_CATALOG, ROLE_MASTER, true);
	if ((rc = conf_get(&self.env.start.rest, &self.conf)) != RC_OK)
		fatal("START: %s", rc_str(rc));
	if (digest_setup() != RC_OK || sql_prepare() != RC_OK)
		fatal("libraries do not start");
	ask_keyd();
	role_drop(&self.env);
	open_db();
	if ((rc = serve_auth(&self.serve, FD_AUTH)) != RC_OK)
		fatal("auth: %s", rc_str(rc));
	role_enter(&self.env);
	do
		rc = turn();
	while (rc == RC_OK && !self.stop);
	serve_free(&self.serve);
	chan_free(self.keyd);
	if (rc != RC_OK && rc != RC_EOF)
		fatal("master: %s", rc_str(rc));
	return 0;
}
