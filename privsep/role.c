#include "config.h"

#include "privsep/role.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/rc.h"
#include "common/wbuf.h"
#include "privsep/drop.h"
#include "privsep/sandbox.h"
#include "privsep/spawn.h"

#define FD_PARENT	3
#define FD_LOG		4
#define START_WAIT_MS	30000
#define LOG_BODY_MAX	1100

void
start_put(struct wbuf *out, const struct start *s)
{
	wbuf_bytes(out, build_id, sizeof(build_id));
	wbuf_u8(out, (uint8_t)s->role);
	wbuf_u32(out, s->uid);
	wbuf_u32(out, s->gid);
	wbuf_u8(out, s->flags);
	wbuf_u32(out, (uint32_t)s->parent);
	wbuf_u8(out, s->log_level);
	wbuf_str(out, s->root);
}

/* RC_VERSION: from another build. */
static int
start_parse(struct rbuf *in, struct start *s)
{
	uint8_t id[sizeof(build_id)], role;
	uint32_t uid, gid, parent;
	int rc;

	if ((rc = rbuf_bytes(in, id, sizeof(id))) != RC_OK)
		return rc;
	if (memcmp(id, build_id, sizeof(id)) != 0)
		return RC_VERSION;
	if ((rc = rbuf_u8(in, &role)) != RC_OK ||
	    (rc = rbuf_u32(in, &uid)) != RC_OK ||
	    (rc = rbuf_u32(in, &gid)) != RC_OK ||
	    (rc = rbuf_u8(in, &s->flags)) != RC_OK ||
	    (rc = rbuf_u32(in, &parent)) != RC_OK ||
	    (rc = rbuf_u8(in, &s->log_level)) != RC_OK ||
	    (rc = rbuf_str(in, s->root, sizeof(s->root))) != RC_OK)
		return rc;
	s->role = (enum role)role;
	s->uid = uid;
	s->gid = gid;
	s->parent = (pid_t)parent;
	s->rest = *in;
	return RC_OK;
}

/*
 * Never waits and never fails loudly: a log that is full or gone must not stop
 * a role, and logging about it would come back here.
 */
static void
send_line(enum log_level level, const char *line, void *arg)
{
	struct wbuf body = WBUF_INIT(LOG_BODY_MAX);

	wbuf_u8(&body, (uint8_t)level);
	wbuf_str(&body, line);
	(void)chan_send_now(arg, MSG_LOG, &body, -1);
	wbuf_free(&body);
}

static void
set_signals(enum role parent)
{
	/*
	 * A closed peer is an error code, not a death; and a terminal's
	 * signals are for the parent, which lets its roles finish.
	 */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	/*
	 * One that was sent to the whole group or unit: the master stops its
	 * roles in order, by STOP, by the end of their channel, or by SIGKILL.
	 */
	if (parent == ROLE_MASTER)
		signal(SIGTERM, SIG_IGN);
}

static void
set_log(struct role_env *env, enum role self, enum role parent, bool has_log)
{
	if (has_log) {
		env->log = chan_new(FD_LOG, self, ROLE_LOGGER);
		if (env->log == NULL)
			fatal("no log channel");
		chan_set_nonblock(env->log);
		log_set_sink(send_line, env->log);
	} else if (parent == ROLE_COMMAND) {
		log_set_sink(send_line, env->parent);
	}
}

/* The role's own part must outlive the next message: keep a copy. */
static void
read_start(struct role_env *env)
{
	struct msg m;
	size_t len;
	int rc;

	rc = chan_expect(env->parent, MSG_START, &m, START_WAIT_MS);
	if (rc != RC_OK)
		fatal("START did not come: %s", rc_str(rc));
	len = rbuf_left(&m.body);
	if ((env->start_buf = malloc(len + 1)) == NULL)
		fatal("out of memory");
	(void)rbuf_bytes(&m.body, env->start_buf, len);
	rbuf_init(&m.body, env->start_buf, len);
	rc = start_parse(&m.body, &env->start);
	if (rc == RC_VERSION)
		fatal("started by a program of another build");
	if (rc != RC_OK)
		fatal("START: %s", rc_str(rc));
}

void
role_begin(struct role_env *env, enum role self, enum role parent,
    bool has_log)
{
	const struct role_info *info = role_info(self);

	memset(env, 0, sizeof(*env));
	log_set_prefix(role_name(self));
	if (info == NULL || info->program == NULL)
		fatal("not a role");
	(void)prctl(PR_SET_NAME, info->title, 0, 0, 0);
	umask(077);
	set_signals(parent);
	/* more arenas would need mprotect; the engine's pool is worth it */
	if (self != ROLE_ENGINE && self != ROLE_RESTORER)
		(void)mallopt(M_ARENA_MAX, 1);

	if (fcntl(FD_PARENT, F_GETFD) == -1)
		fatal("this program is started by storegridd or storegrid");
	if ((env->parent = chan_new(FD_PARENT, self, parent)) == NULL)
		fatal("no channel to the parent");
	set_log(env, self, parent, has_log);
	read_start(env);
	if (env->start.role != self)
		fatal("started as %s", role_name(env->start.role));
	log_set_level((enum log_level)env->start.log_level);
}

void
role_on_chroot(struct role_env *env, int (*fn)(void *arg), void *arg)
{
	env->on_chroot = fn;
	env->on_chroot_arg = arg;
}

void
role_on_threads(struct role_env *env, int (*fn)(void *arg), void *arg)
{
	env->on_threads = fn;
	env->on_threads_arg = arg;
}

/* Where Sandbox.Allow names the role, what fails is told and lived with. */
static void
refuse(const struct role_env *env, const char *what, const char *step, int rc)
{
	if ((env->start.flags & START_F_NOSANDBOX) == 0 || rc != RC_SANDBOX)
		fatal("%s: %s: %s", what, step, rc_str(rc));
	log_warn("%s: %s: %s (Sandbox.Allow: going on without)", what, step,
	    rc_str(rc));
}

void
role_drop(struct role_env *env)
{
	const struct start *s = &env->start;
	struct drop d = {
		.uid = s->uid, .gid = s->gid,
		.change_ids = (s->flags & START_F_IDS) != 0,
		.root = (s->flags & START_F_CHROOT) != 0 ? s->root : NULL,
		.keep = role_info(s->role)->keep_caps,
		.parent = s->parent,
		.before_chroot = env->on_chroot,
		.arg = env->on_chroot_arg,
	};
	const char *step = "";
	int rc;

	if ((rc = drop_privileges(&d, &step)) != RC_OK)
		refuse(env, "dropping privileges", step, rc);
}

void
role_enter(struct role_env *env)
{
	struct sbx_info info;
	const char *step = "";
	int rc;

	rc = sandbox_enter_threads(env->start.role, env->on_threads,
	    env->on_threads_arg, &info, &step);
	if (rc != RC_OK)
		refuse(env, "entering the sandbox", step, rc);
	rbuf_init(&env->start.rest, NULL, 0);
	free(env->start_buf);
	env->start_buf = NULL;
	if ((rc = chan_send(env->parent, MSG_READY, NULL, -1)) != RC_OK)
		fatal("READY: %s", rc_str(rc));
}

struct chan *
role_chan(struct role_env *env, int fd, enum role peer)
{
	return chan_new(fd, env->start.role, peer);
}

int
handle(const struct handler *table, size_t n, uint32_t state, void *self,
    struct chan *c, struct msg *m)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (table[i].type == m->type && (table[i].states & state) != 0)
			return table[i].fn(self, c, m);
	}
	return RC_STATE;
}
