#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/login/check.h"
#include "server/relog.h"

/*
 * sg-login: checks passwords and one-time codes, one at a time and at a lower
 * priority than anything else here, so that guessing costs no backup its
 * processor.  It keeps nothing: each message brings what is to be compared.
 */
#define FD_AUTH	5
#define NICE	10

struct login {
	struct role_env	 env;
	struct chan	*auth;		/* NULL: gone, the master brings another */
	bool		 stop;
};

static int
on_check(void *arg, struct chan *c, struct msg *m)
{
	struct wbuf b = WBUF_INIT(64);
	int rc;

	(void)arg;
	if ((rc = login_answer(&m->body, &b)) == RC_OK)
		rc = chan_send(c, MSG_LOGIN_RESULT, &b, -1);
	wbuf_free(&b);
	return rc;
}

static int
on_new_chan(void *arg, struct chan *c, struct msg *m)
{
	struct login *l = arg;
	int rc = relog(&l->env, m);

	if (rc != RC_UNSUPPORTED)
		return rc;
	chan_free(l->auth);
	l->auth = chan_new(msg_take_fd(c, m), ROLE_LOGIN, ROLE_AUTH);
	return l->auth != NULL ? RC_OK : RC_NOMEM;
}

static int
on_stop(void *arg, struct chan *c, struct msg *m)
{
	struct login *l = arg;

	(void)c;
	(void)m;
	l->stop = true;
	return RC_OK;
}

static const struct handler from_master[] = {
	{ MSG_NEW_CHAN, 1, on_new_chan },
	{ MSG_STOP, 1, on_stop },
};

static const struct handler from_auth[] = {
	{ MSG_LOGIN_CHECK, 1, on_check },
};

static int
one_message(struct login *l, struct chan *c, const struct handler *table,
    size_t n)
{
	struct msg m;
	int rc;

	if ((rc = chan_recv(c, &m)) != RC_OK)
		return rc == RC_AGAIN ? RC_OK : rc;
	return handle(table, n, 1, l, c, &m);
}

static int
turn(struct login *l)
{
	struct pollfd p[2] = {
		{ .fd = chan_fd(l->env.parent), .events = POLLIN },
		{ .fd = l->auth != NULL ? chan_fd(l->auth) : -1,
		  .events = POLLIN },
	};
	int rc;

	if (poll(p, NITEMS(p), -1) == -1)
		return errno == EINTR ? RC_OK : rc_errno(errno);
	if (p[0].revents != 0 && (rc = one_message(l, l->env.parent,
	    from_master, NITEMS(from_master))) != RC_OK)
		return rc;
	/* a new channel may stand where the old one was */
	if (l->auth == NULL || chan_fd(l->auth) != p[1].fd ||
	    p[1].revents == 0)
		return RC_OK;
	rc = one_message(l, l->auth, from_auth, NITEMS(from_auth));
	if (rc != RC_OK) {
		if (rc != RC_EOF)
			log_warn("auth: %s", rc_str(rc));
		chan_free(l->auth);
		l->auth = NULL;
	}
	return RC_OK;
}

int
main(void)
{
	static struct login l;
	int rc;

	role_begin(&l.env, ROLE_LOGIN, ROLE_MASTER, true);
	if (login_setup() != RC_OK)
		fatal("libraries do not start");
	if ((l.auth = role_chan(&l.env, FD_AUTH, ROLE_AUTH)) == NULL)
		fatal("no channel to auth");
	/* systemd's unit forbids it: then the limits of auth alone hold */
	if (setpriority(PRIO_PROCESS, 0, NICE) != 0)
		log_info("priority not lowered: %s", strerror(errno));
	role_drop(&l.env);
	role_enter(&l.env);
	do
		rc = turn(&l);
	while (rc == RC_OK && !l.stop);
	chan_free(l.auth);
	if (rc != RC_OK && rc != RC_EOF)
		fatal("master: %s", rc_str(rc));
	return 0;
}
