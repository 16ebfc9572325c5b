#include "config.h"

#include "server/relog.h"

#include "common/log.h"
#include "common/rc.h"

#define BODY_MAX 1100

/* Never waits and never fails loudly: a log that is full or gone must not stop
 * a role. */
static void
send_line(enum log_level level, const char *line, void *arg)
{
	struct wbuf b = WBUF_INIT(BODY_MAX);

	wbuf_u8(&b, (uint8_t)level);
	wbuf_str(&b, line);
	(void)chan_send(arg, MSG_LOG, &b, -1);
	wbuf_free(&b);
}

int
relog(struct role_env *env, struct msg *m)
{
	struct rbuf body = m->body;
	struct chan *log;
	uint8_t role;
	int rc;

	if ((rc = rbuf_u8(&body, &role)) != RC_OK ||
	    (rc = rbuf_end(&body)) != RC_OK)
		return rc;
	if (role != ROLE_LOGGER)
		return RC_UNSUPPORTED;
	log = chan_new(msg_take_fd(env->parent, m), env->start.role,
	    ROLE_LOGGER);
	if (log == NULL)
		return RC_NOMEM;
	chan_set_nonblock(log);
	log_set_sink(send_line, log);
	chan_free(env->log);
	env->log = log;
	return RC_OK;
}
