#include "config.h"

#include "client/cli/run.h"

#include <sys/signalfd.h>
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "common/secret.h"
#include "privsep/role.h"
#include "privsep/roles.h"

#define STOP_GRACE_MS	30000		/* from the first signal to SIGKILL */
#define REAP_MS		3000
#define FIXED_FDS	3		/* signals, engine, resolve */
#define FDS_MAX		(FIXED_FDS + RUN_NETS_MAX)

static void
say(struct run *r, int code, const char *text)
{
	r->code = code;
	snprintf(r->text, sizeof(r->text), "%s", text);
	r->done = true;
}

/* --- children --- */

/*
 * As root every role gets its own user; the restorer shares the engine's, since
 * it reads the same keys.  As another user all have the caller's: then the
 * filter without open, and undumpable, keep them apart.
 */
static int
start_body(struct run *r, enum role role, struct wbuf *body)
{
	struct start s = { .role = role, .uid = getuid(), .gid = getgid(),
	    .parent = getpid(), .log_level = LOG_LEVEL_WARN };
	enum role as = role == ROLE_RESTORER ? ROLE_ENGINE : role;
	int rc;

	if (geteuid() == 0) {
		s.flags |= START_F_IDS;
		if ((rc = role_ids(as, r->cli->conf.users_base, &s.uid,
		    &s.gid)) != RC_OK)
			return rc;
		if (role_info(role)->root == ROOT_EMPTY) {
			s.flags |= START_F_CHROOT;
			snprintf(s.root, sizeof(s.root), "%s", r->empty);
		}
	}
	start_put(body, &s);
	return wbuf_rc(body);
}

int
child_start(struct run *r, struct child *ch, enum role role)
{
	struct wbuf body = WBUF_INIT(1024);
	struct spawn sp = { .role = role };
	int rc;

	if ((rc = start_body(r, role, &body)) == RC_OK &&
	    (rc = spawn_role(r->spawner, &sp)) == RC_OK) {
		ch->role = role;
		ch->pid = sp.pid;
		ch->chan = sp.chan;
		if ((rc = chan_send(ch->chan, MSG_START, &body, -1)) != RC_OK)
			child_end(r, ch);
	}
	wbuf_free(&body);
	return rc;
}

/* Its channel is closed, so it ends by itself, or is ended. */
static bool
reap(pid_t pid, int *status)
{
	uint64_t until = io_now_ms() + REAP_MS;
	pid_t got;

	while ((got = waitpid(pid, status, WNOHANG)) == 0 &&
	    io_now_ms() < until)
		(void)poll(NULL, 0, 5);
	if (got == 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, status, 0);
		return false;
	}
	return got == pid;
}

static void
how_ended(const char *who, int status, char *out, size_t size)
{
	const char *name;
	int sig;

	out[0] = '\0';
	if (!WIFSIGNALED(status))
		return;
	sig = WTERMSIG(status);
	name = sigabbrev_np(sig);
	if (sig == SIGSYS)
		snprintf(out, size, "%s was killed by its sandbox (signal "
		    "SYS); this is a fault of StoreGrid, please report it",
		    who);
	else
		snprintf(out, size, "%s was ended by signal %s", who,
		    name != NULL ? name : "?");
}

void
child_end(struct run *r, struct child *ch)
{
	char text[160] = "";
	int status = 0;

	if (ch->role == ROLE_NONE)
		return;
	chan_free(ch->chan);
	if (reap(ch->pid, &status))
		how_ended(role_name(ch->role), status, text, sizeof(text));
	if (text[0] != '\0')
		show_log(r->show, "process", text);
	memset(ch, 0, sizeof(*ch));
}

int
child_log(struct run *r, const struct child *ch, struct msg *m)
{
	char text[LOG_LINE_MAX + 1];
	uint8_t level;

	if (rbuf_u8(&m->body, &level) != RC_OK ||
	    rbuf_str(&m->body, text, sizeof(text)) != RC_OK ||
	    rbuf_end(&m->body) != RC_OK)
		return RC_PROTO;
	show_log(r->show, role_name(ch->role), text);
	return RC_OK;
}

/* --- the engine --- */

static int
on_done(struct run *r, struct msg *m)
{
	char text[sizeof(r->text)];
	uint8_t code;

	if (rbuf_u8(&m->body, &code) != RC_OK ||
	    rbuf_str(&m->body, text, sizeof(text)) != RC_OK ||
	    rbuf_end(&m->body) != RC_OK)
		return RC_PROTO;
	if (code == EXIT_INTERRUPTED && text[0] == '\0')
		snprintf(text, sizeof(text), "interrupted");
	say(r, code, text);
	return RC_OK;
}

/* The engine is gone, or says what it must not. */
static void
engine_lost(struct run *r, int rc)
{
	char text[256] = "";
	int status = 0;

	chan_free(r->engine.chan);
	r->engine.chan = NULL;
	if (rc != RC_EOF)
		(void)kill(r->engine.pid, SIGKILL);
	if (reap(r->engine.pid, &status) && rc == RC_EOF)
		how_ended("the engine", status, text, sizeof(text));
	if (rc != RC_EOF)
		snprintf(text, sizeof(text), "the engine sent something it "
		    "must not (%s); it was ended", rc_str(rc));
	else if (text[0] == '\0')
		snprintf(text, sizeof(text), "the engine ended without an "
		    "answer");
	memset(&r->engine, 0, sizeof(r->engine));
	if (r->signals > 0)
		say(r, EXIT_INTERRUPTED, "interrupted");
	else
		say(r, EXIT_FAILED, text);
}

static int
engine_message(struct run *r, struct msg *m)
{
	switch (m->type) {
	case MSG_READY:
		return RC_OK;
	case MSG_LOG:
		return child_log(r, &r->engine, m);
	case MSG_ENGINE_EVENT:
		return show_event(r->show, &m->body);
	case MSG_ENGINE_CONNECT:
		return dial_request(r, m);
	case MSG_ENGINE_DONE:
		return on_done(r, m);
	default:
		return RC_STATE;
	}
}

/* One that ends before it has read all we sent leaves an error in front of its
 * last words; they are behind it. */
int
child_recv(struct child *ch, struct msg *m)
{
	int rc = chan_recv(ch->chan, m);

	return rc == RC_EOF ? chan_recv(ch->chan, m) : rc;
}

static void
engine_event_in(struct run *r)
{
	struct msg m;
	int rc;

	if ((rc = child_recv(&r->engine, &m)) == RC_OK)
		rc = engine_message(r, &m);
	if (rc != RC_OK && rc != RC_AGAIN)
		engine_lost(r, rc);
}

static int
send_dir(struct run *r, int which, int fd)
{
	struct wbuf body = WBUF_INIT(1);
	int rc;

	wbuf_u8(&body, (uint8_t)which);
	rc = chan_send(r->engine.chan, MSG_ENGINE_DIR, &body, fd);
	wbuf_free(&body);
	return rc;
}

/* Directories and the order; the order's buffer held secrets and is wiped. */
static int
give_orders(struct run *r, int config, int state, int target)
{
	struct wbuf body = WBUF_INIT(VERBS_DO_MAX);
	int rc;

	verbs_put(&body, &r->cli->args);
	if ((rc = send_dir(r, 0, config)) == RC_OK &&
	    (rc = send_dir(r, 1, state)) == RC_OK &&
	    (target < 0 || (rc = send_dir(r, 2, target)) == RC_OK))
		rc = chan_send(r->engine.chan, MSG_ENGINE_DO, &body, -1);
	wbuf_free(&body);
	secret_wipe(r->cli->args.token, sizeof(r->cli->args.token));
	secret_wipe(r->cli->args.secret, sizeof(r->cli->args.secret));
	return rc;
}

static int
start_engine(struct run *r, char *err, size_t size)
{
	enum role role = r->cli->args.verb == VERB_RESTORE ? ROLE_RESTORER :
	    ROLE_ENGINE;
	int config = -1, state = -1, target = -1;
	char missing[256];
	int code, rc;

	if ((code = home_open(r->cli, &config, &state, err, size)) !=
	    EXIT_DONE ||
	    (role == ROLE_RESTORER && (code = target_open(r->cli, &target,
	    err, size)) != EXIT_DONE))
		goto out;
	code = EXIT_FAILED;
	rc = spawn_open(&r->spawner, ROLE_COMMAND, r->cli->conf.programs,
	    (1u << role) | R(RESOLVE) | R(NET), missing, sizeof(missing));
	if (rc != RC_OK) {
		snprintf(err, size, "%s: %s (is StoreGrid installed whole? "
		    "Paths.Programs names another place)", missing,
		    rc_str(rc));
		goto out;
	}
	rc = child_start(r, &r->engine, role);
	if (rc == RC_OK)
		rc = give_orders(r, config, state, target);
	if (rc == RC_LIMIT)
		snprintf(err, size, "too many paths or patterns: they may "
		    "have %d bytes in all", VERBS_DO_MAX);
	else if (rc != RC_OK)
		snprintf(err, size, "cannot start the engine: %s",
		    rc_str(rc));
	else
		code = EXIT_DONE;
out:
	fd_close(&config);
	fd_close(&state);
	fd_close(&target);
	return code;
}

/* --- signals --- */

static int
signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The first asks the engine to stop where it can go on from; the second
 * kills it. */
static void
on_signal(struct run *r)
{
	struct signalfd_siginfo si;

	if (read(r->sig_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (r->signals++ == 0) {
		r->kill_at = io_now_ms() + STOP_GRACE_MS;
		if (r->engine.chan != NULL)
			(void)chan_send(r->engine.chan, MSG_STOP, NULL, -1);
	} else if (r->engine.pid > 0) {
		(void)kill(r->engine.pid, SIGKILL);
	}
}

/* --- the loop --- */

static size_t
fill(const struct run *r, struct pollfd p[FDS_MAX],
    const struct child *who[FDS_MAX])
{
	size_t n = 0;

	memset(p, 0, FDS_MAX * sizeof(*p));
	p[n].fd = r->sig_fd;
	who[n++] = NULL;
	p[n].fd = chan_fd(r->engine.chan);
	who[n++] = &r->engine;
	if (r->resolve.chan != NULL) {
		p[n].fd = chan_fd(r->resolve.chan);
		who[n++] = &r->resolve;
	}
	for (size_t i = 0; i < RUN_NETS_MAX; i++) {
		if (r->nets[i].chan == NULL)
			continue;
		p[n].fd = chan_fd(r->nets[i].chan);
		who[n++] = &r->nets[i];
	}
	for (size_t i = 0; i < n; i++)
		p[i].events = POLLIN;
	return n;
}

static int
next_timeout(const struct run *r)
{
	uint64_t now = io_now_ms(), at = UINT64_MAX;

	if (r->dial.busy)
		at = r->dial.until;
	if (r->kill_at != 0 && r->kill_at < at)
		at = r->kill_at;
	if (at == UINT64_MAX)
		return -1;
	return at <= now ? 0 : (int)(at - now) + 1;
}

static void
check_times(struct run *r)
{
	uint64_t now = io_now_ms();

	if (r->kill_at != 0 && now >= r->kill_at && r->engine.pid > 0) {
		(void)kill(r->engine.pid, SIGKILL);
		r->kill_at = 0;
	}
	if (r->dial.busy && now >= r->dial.until)
		dial_timeout(r);
}

/* Whose reader may have seen enough (`ls | head`); a backup goes on. */
static bool
only_lists(const struct run *r)
{
	return r->cli->args.verb == VERB_LS ||
	    r->cli->args.verb == VERB_SNAPSHOTS;
}

static void
one_round(struct run *r)
{
	struct pollfd p[FDS_MAX];
	const struct child *who[FDS_MAX];
	size_t n = fill(r, p, who);
	int got;

	/* What was printed is flushed before we sleep, not line by line. */
	if ((got = poll(p, (nfds_t)n, 0)) == 0) {
		(void)fflush(stdout);
		got = poll(p, (nfds_t)n, next_timeout(r));
	}
	if (ferror(stdout) && only_lists(r) && show_reader_gone()) {
		say(r, EXIT_DONE, "");
		return;
	}
	for (size_t i = 0; got > 0 && i < n && !r->done; i++) {
		if (p[i].revents == 0)
			continue;
		if (who[i] == NULL)
			on_signal(r);
		else if (who[i] == &r->engine)
			engine_event_in(r);
		else if (who[i] == &r->resolve && r->resolve.chan != NULL)
			dial_resolve_event(r);
		else
			dial_net_event(r, &r->nets[who[i] - r->nets]);
	}
	check_times(r);
}

static void
end_all(struct run *r)
{
	child_end(r, &r->engine);
	child_end(r, &r->resolve);
	for (size_t i = 0; i < RUN_NETS_MAX; i++)
		child_end(r, &r->nets[i]);
	if (r->empty[0] != '\0')
		(void)rmdir(r->empty);
	spawn_free(r->spawner);
	fd_close(&r->sig_fd);
}

int
run_engine(struct cli *c, struct show *show, char *text, size_t size)
{
	static struct run r;
	char err[512] = "";
	int code;

	r.cli = c;
	r.show = show;
	if ((r.sig_fd = signals_open()) < 0)
		say(&r, EXIT_FAILED, strerror(errno));
	else if ((code = start_engine(&r, err, sizeof(err))) != EXIT_DONE)
		say(&r, code, err);
	while (!r.done)
		one_round(&r);
	end_all(&r);
	snprintf(text, size, "%s", r.text);
	return r.code;
}

int
run_verb(struct cli *c)
{
	struct show *show = show_new(c->json, c->args.verb);
	char text[1024];
	int code;

	if (show == NULL) {
		fprintf(stderr, "storegrid: out of memory\n");
		return EXIT_FAILED;
	}
	code = run_engine(c, show, text, sizeof(text));
	show_done(show, code, text);
	show_free(show);
	return code;
}
