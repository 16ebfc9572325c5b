#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/keyd/keys.h"
#include "server/keyd/serve.h"
#include "server/relog.h"

/*
 * sg-keyd: holds the private keys and signs.  It reads its three files, in its
 * own directory, before the sandbox, and no file after.
 */
static struct keys *
load(struct role_env *env)
{
	struct keys *keys;
	uint8_t make;
	char why[160];
	int fd, rc;

	if ((rc = rbuf_u8(&env->start.rest, &make)) != RC_OK ||
	    (rc = rbuf_end(&env->start.rest)) != RC_OK)
		fatal("START: %s", rc_str(rc));
	/* the root, unless this start came without a chroot */
	fd = open((env->start.flags & START_F_CHROOT) != 0 ? "/" :
	    env->start.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		fatal("directory of keys: %s", strerror(errno));
	rc = keys_open(&keys, fd, make == 1, why, sizeof(why));
	if (rc == RC_NOENT)
		fatal("%s: the keys are not there. Clients pin them, so none "
		    "are made anew: restore State/keyd from a copy, or start "
		    "over with --init on an empty State and enrol every "
		    "client", why);
	if (rc != RC_OK)
		fatal("%s", why);
	fd_close(&fd);
	return keys;
}

static int
on_other(void *arg, struct msg *m)
{
	struct role_env *env = arg;

	return m->type == MSG_NEW_CHAN ? relog(env, m) : RC_STATE;
}

int
main(void)
{
	struct role_env env;
	struct keys *keys;
	struct keyd *k;
	uint8_t x;
	int rc;

	role_begin(&env, ROLE_KEYD, ROLE_MASTER, true);
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG |
	    OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL) != 1 ||
	    RAND_bytes(&x, 1) != 1)
		fatal("OpenSSL does not start");
	role_drop(&env);
	keys = load(&env);
	if ((k = keyd_new(keys)) == NULL)
		fatal("out of memory");
	role_enter(&env);
	chan_set_nonblock(env.parent);
	do
		rc = keyd_turn(k, env.parent, -1, on_other, &env);
	while (rc == RC_OK);
	keyd_free(k);
	keys_free(keys);
	if (rc != RC_EOF)
		fatal("master: %s", rc_str(rc));
	return 0;
}
