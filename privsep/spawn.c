#include "config.h"

#include "privsep/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "build_id.h"
#include "common/io.h"
#include "common/rc.h"

#define FD_CHAN		3
#define FD_HIGH		48	/* above every target, below every limit */
#define FDS_ALL		(1 + SPAWN_FDS_MAX)

const uint8_t build_id[16] = { BUILD_ID };

struct spawner {
	enum role	self;
	int		null_fd;
	int		program[ROLE_MAX];
	char		title[ROLE_MAX][32];
};

/* What the child needs, made ready before the fork. */
struct child {
	int		 fds[FDS_ALL];		/* for 3, 4, ... */
	int		 nfds;
	int		 null_fd, program;
	bool		 keep_stderr;
	char		*argv[2];
	char		*envp[4];
	sigset_t	 mask;
};

static int
open_program(struct spawner *sp, enum role r, const char *dir, char *errtext,
    size_t errsize)
{
	const struct role_info *info = role_info(r);
	char path[4096];
	struct stat st;
	int n;

	if (info == NULL || info->program == NULL)
		return RC_RANGE;
	n = snprintf(path, sizeof(path), "%s/%s", dir, info->program);
	if (n < 0 || (size_t)n >= sizeof(path))
		return RC_LIMIT;
	snprintf(errtext, errsize, "%s", path);
	sp->program[r] = open(path, O_PATH | O_CLOEXEC);
	if (sp->program[r] == -1)
		return rc_errno(errno);
	if (fstat(sp->program[r], &st) != 0)
		return rc_errno(errno);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
		return RC_DENIED;
	snprintf(sp->title[r], sizeof(sp->title[r]), "storegrid: %s",
	    role_name(r));
	return RC_OK;
}

int
spawn_open(struct spawner **out, enum role self, const char *programs,
    uint32_t mask, char *errtext, size_t errsize)
{
	struct spawner *sp;
	int rc = RC_OK;
	unsigned int r;

	*out = NULL;
	if ((sp = calloc(1, sizeof(*sp))) == NULL)
		return RC_NOMEM;
	sp->self = self;
	for (r = 0; r < ROLE_MAX; r++)
		sp->program[r] = -1;
	snprintf(errtext, errsize, "/dev/null");
	if ((sp->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		rc = rc_errno(errno);
	for (r = 0; r < ROLE_MAX && rc == RC_OK; r++) {
		if ((mask & (1u << r)) != 0)
			rc = open_program(sp, (enum role)r, programs, errtext,
			    errsize);
	}
	if (rc != RC_OK) {
		spawn_free(sp);
		return rc;
	}
	*out = sp;
	return RC_OK;
}

void
spawn_free(struct spawner *sp)
{
	unsigned int r;

	if (sp == NULL)
		return;
	for (r = 0; r < ROLE_MAX; r++)
		fd_close(&sp->program[r]);
	fd_close(&sp->null_fd);
	free(sp);
}

static void
reset_signals(const sigset_t *mask)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	int i;

	/* exec resets handlers, but what is ignored stays so */
	for (i = 1; i < NSIG; i++)
		(void)sigaction(i, &sa, NULL);
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
}

/*
 * Only system calls here: after a fork the heap may be locked.  Everything is
 * first moved above all targets, so that no dup3 runs over a descriptor that is
 * still to be placed.
 */
static void
run_child(const struct child *c)
{
	int high[FDS_ALL], null_fd, program, last = FD_CHAN + c->nfds, i;

	for (i = 0; i < c->nfds; i++) {
		high[i] = fcntl(c->fds[i], F_DUPFD_CLOEXEC, FD_HIGH);
		if (high[i] == -1)
			_exit(127);
	}
	if ((null_fd = fcntl(c->null_fd, F_DUPFD_CLOEXEC, FD_HIGH)) == -1 ||
	    (program = fcntl(c->program, F_DUPFD_CLOEXEC, FD_HIGH)) == -1)
		_exit(127);
	for (i = 0; i < FD_CHAN; i++) {
		if (i == STDERR_FILENO && c->keep_stderr)
			continue;
		if (dup3(null_fd, i, 0) == -1)
			_exit(127);
	}
	for (i = 0; i < c->nfds; i++) {
		if (dup3(high[i], FD_CHAN + i, 0) == -1)
			_exit(127);
	}
	if (dup3(program, last, O_CLOEXEC) == -1 ||
	    close_range((unsigned int)last + 1, ~0U, 0) != 0)
		_exit(127);
	reset_signals(&c->mask);
	(void)syscall(SYS_execveat, last, "", c->argv, c->envp, AT_EMPTY_PATH);
	_exit(127);
}

/* The environment is empty; sanitizers alone are told things that way. */
static void
child_env(struct child *c, char buf[2][512])
{
	size_t n = 0;

#ifdef WITH_SANITIZERS
	static const char *const names[2] = { "ASAN_OPTIONS", "UBSAN_OPTIONS" };
	const char *v;
	size_t i;

	for (i = 0; i < 2; i++) {
		if ((v = getenv(names[i])) == NULL)
			continue;
		snprintf(buf[n], sizeof(buf[n]), "%s=%s", names[i], v);
		c->envp[n] = buf[n];
		n++;
	}
#else
	(void)buf;
#endif
	c->envp[n] = NULL;
}

static bool
stderr_stays(enum role r)
{
#if defined(WITH_SANITIZERS) || defined(WITH_TRAP)
	(void)r;
	return true;
#else
	return r == ROLE_LOGGER;
#endif
}

int
spawn_role(struct spawner *sp, struct spawn *s)
{
	struct child c = { .null_fd = sp->null_fd };
	char env[2][512];
	sigset_t all, old;
	int pair[2] = { -1, -1 }, rc, i;

	s->pid = -1;
	s->chan = NULL;
	if (role_info(s->role) == NULL || sp->program[s->role] == -1 ||
	    s->nfds < 0 || s->nfds > SPAWN_FDS_MAX)
		return RC_RANGE;
	if ((rc = chan_pair(pair)) != RC_OK)
		return rc;
	c.fds[0] = pair[1];
	for (i = 0; i < s->nfds; i++)
		c.fds[1 + i] = s->fds[i];
	c.nfds = 1 + s->nfds;
	c.program = sp->program[s->role];
	c.keep_stderr = stderr_stays(s->role);
	c.argv[0] = sp->title[s->role];
	c.argv[1] = NULL;
	child_env(&c, env);
	sigemptyset(&c.mask);

	s->chan = chan_new(pair[0], sp->self, s->role);
	if (s->chan == NULL) {
		fd_close(&pair[1]);
		return RC_NOMEM;
	}
	/* none of our handlers may run in the child */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	if ((s->pid = fork()) == 0)
		run_child(&c);
	rc = s->pid == -1 ? rc_errno(errno) : RC_OK;
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	fd_close(&pair[1]);
	if (rc != RC_OK) {
		chan_free(s->chan);
		s->chan = NULL;
	}
	return rc;
}
