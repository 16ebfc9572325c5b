#include "config.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/auth/serve.h"
#include "server/relog.h"
#include "server/sql.h"

/*
 * sg-auth: who may use which vault, and who may manage what.  It makes the
 * challenges, checks the signatures and tells the master of each grant; workers
 * only carry the bytes.
 */
#define FD_KEYD		5
#define KEYD_MS		30000

struct auth_role {
	struct role_env	 env;
	struct auth_opts opts;
	struct chan	*keyd;
};

static struct auth_role self;

static int64_t
now_seconds(void)
{
	return io_wall_ns() / 1000000000;
}

static int
on_new_chan(void *arg, struct msg *m)
{
	int rc = relog(&self.env, m);

	(void)arg;
	if (rc != RC_UNSUPPORTED)
		return rc;
	chan_free(self.keyd);
	self.keyd = chan_new(msg_take_fd(self.env.parent, m), ROLE_AUTH,
	    ROLE_KEYD);
	return self.keyd != NULL ? RC_OK : RC_NOMEM;
}

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
	    (rc = rbuf_bytes(&m.body, self.opts.self.identity, ED25519_LEN)) !=
	    RC_OK ||
	    (rc = rbuf_bytes(&m.body, self.opts.self.pin, SHA256_LEN)) != RC_OK ||
	    (rc = sha256(self.opts.self.identity, ED25519_LEN,
	    self.opts.self.identity_fp)) != RC_OK)
		fatal("keyd: %s", rc_str(rc));
}

static void
open_db(void)
{
	char path[300];
	int rc;

	/* the root, unless this start came without a chroot */
	snprintf(path, sizeof(path), "%s/auth.db",
	    (self.env.start.flags & START_F_CHROOT) != 0 ? "" :
	    self.env.start.root);
	rc = db_open(&self.opts.db, path);
	if (rc == RC_VERSION)
		fatal("auth.db is of a newer version of StoreGrid");
	if (rc != RC_OK)
		fatal("auth.db: %s (%s)", rc_str(rc), db_error(self.opts.db));
}

int
main(void)
{
	struct authd *a;
	int rc;

	role_begin(&self.env, ROLE_AUTH, ROLE_MASTER, true);
	if ((rc = conf_get(&self.env.start.rest, &self.opts.conf)) != RC_OK)
		fatal("START: %s", rc_str(rc));
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG |
	    OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL) != 1 ||
	    digest_setup() != RC_OK || sql_prepare() != RC_OK)
		fatal("libraries do not start");
	ask_keyd();
	role_drop(&self.env);
	open_db();
	self.opts.master = self.env.parent;
	self.opts.cost = AUTH_COST;
	self.opts.seconds = now_seconds;
	self.opts.ms = io_now_ms;
	if ((a = authd_new(&self.opts)) == NULL)
		fatal("out of memory");
	role_enter(&self.env);
	do
		rc = authd_turn(a, -1, on_new_chan, NULL);
	while (rc == RC_OK && !a->stop);
	authd_free(a);
	db_close(self.opts.db);
	if (rc != RC_OK && rc != RC_EOF)
		fatal("master: %s", rc_str(rc));
	return 0;
}
