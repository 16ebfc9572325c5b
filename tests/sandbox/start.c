/*
 * Starts roles as a master does, once as root and once as a user with ambient
 * capabilities, and looks from outside, in /proc, at what is left to them.  The
 * program is its own role: the master finds it under the roles' names.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "common/wbuf.h"
#include "privsep/drop.h"
#include "privsep/link.h"
#include "privsep/role.h"
#include "privsep/sandbox.h"
#include "privsep/spawn.h"

#define SKIPPED		77
#define BASE		76400
#define MASTER_CAPS (CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) |	\
	CAP_BIT(CAP_SYS_CHROOT) | CAP_BIT(CAP_KILL))
#define WAIT_MS		10000

static const enum role all[] = {
	ROLE_LOGGER, ROLE_LISTENER, ROLE_SESSION, ROLE_API, ROLE_KEYD,
	ROLE_AUTH, ROLE_STORE, ROLE_CONFPARSE,
};
#define NROLES (sizeof(all) / sizeof(all[0]))

static int failures;
static char scratch[128];

static void __attribute__((format(printf, 1, 2)))
wrong(const char *fmt, ...)
{
	va_list ap;

	failures++;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

/* --- the role --- */

/* A thread that has not begun yet would still make calls of the C library's,
 * which the filter denies: three_threads() waits for all. */
static pthread_barrier_t begun;

static void *
io_thread(void *arg)
{
	pthread_barrier_wait(&begun);
	for (;;)
		poll(NULL, 0, -1);
	return arg;
}

static int
three_threads(void *arg)
{
	pthread_t t;
	int i;

	(void)arg;
	pthread_barrier_init(&begun, NULL, 4);
	for (i = 0; i < 3; i++) {
		if (pthread_create(&t, NULL, io_thread, NULL) != 0)
			return RC_NOMEM;
	}
	pthread_barrier_wait(&begun);
	return RC_OK;
}

static int
vault_made(void *arg)
{
	(void)arg;
	if (mkdirat(AT_FDCWD, "vault", 0700) != 0 && errno != EEXIST)
		return RC_IO;
	return chdir("vault") == 0 ? RC_OK : RC_IO;
}

static int
role_main(enum role self)
{
	struct role_env env;
	struct msg m;
	void *map;
	int fd;

	role_begin(&env, self, ROLE_MASTER, false);
	if (self == ROLE_SESSION && ring_make(&fd, &map) != RC_OK)
		fatal("no ring");
	if (self == ROLE_STORE) {
		role_on_chroot(&env, vault_made, NULL);
		role_on_threads(&env, three_threads, NULL);
	}
	role_drop(&env);
	role_enter(&env);
	while (chan_recv_wait(env.parent, &m, -1) == RC_OK)
		;
	return 0;
}

/* --- the master --- */

static int
as_user_with_ambient(uid_t uid)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { { 0 } };
	int i;

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ||
	    setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)
		return -1;
	d[0].effective = d[0].permitted = d[0].inheritable =
	    (uint32_t)MASTER_CAPS;
	if (syscall(SYS_capset, &head, d) != 0)
		return -1;
	for (i = 0; i < 32; i++) {
		if ((MASTER_CAPS & CAP_BIT(i)) != 0 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0)
			return -1;
	}
	return 0;
}

static int
start_one(struct spawner *sp, enum role r, pid_t *pid)
{
	struct start st = { .role = r, .parent = getpid(),
	    .flags = START_F_IDS | START_F_CHROOT, .log_level = 6 };
	struct spawn s = { .role = r };
	struct wbuf body = WBUF_INIT(65536);
	struct msg m;
	int rc;

	role_ids(r, BASE, &st.uid, &st.gid);
	snprintf(st.root, sizeof(st.root), "%s/%s", scratch,
	    r == ROLE_STORE ? "vaults" : "empty");
	start_put(&body, &st);
	if ((rc = spawn_role(sp, &s)) != RC_OK ||
	    (rc = chan_send(s.chan, MSG_START, &body, -1)) != RC_OK ||
	    (rc = chan_expect(s.chan, MSG_READY, &m, WAIT_MS)) != RC_OK)
		fprintf(stderr, "master: %s: %s\n", role_name(r), rc_str(rc));
	*pid = s.pid;
	wbuf_free(&body);
	return rc;		/* the channel stays open with the master */
}

/* Tells the pids on `out`, then waits for the end of `in`. */
static int
master_main(bool root, int out, int in)
{
	struct spawner *sp;
	const char *step = "";
	char text[256], c;
	pid_t pids[NROLES];
	uint32_t mask = 0;
	size_t i;
	int rc;

	for (i = 0; i < NROLES; i++)
		mask |= 1u << all[i];
	rc = spawn_open(&sp, ROLE_MASTER, scratch, mask, text, sizeof(text));
	if (rc != RC_OK) {
		fprintf(stderr, "master: %s: %s\n", text, rc_str(rc));
		return 1;
	}
	if (!root && as_user_with_ambient(BASE + ROLE_MASTER) != 0) {
		perror("master: ambient capabilities");
		return 1;
	}
	if (drop_master(MASTER_CAPS, &step) != RC_OK ||
	    sandbox_master(&step) != RC_OK) {
		fprintf(stderr, "master: %s\n", step);
		return 1;
	}
	for (i = 0; i < NROLES; i++) {
		if (start_one(sp, all[i], &pids[i]) != RC_OK)
			return 1;
	}
	if (io_write_full(out, pids, sizeof(pids)) != RC_OK)
		return 1;
	while (read(in, &c, 1) == -1 && errno == EINTR)
		;
	return 0;
}

/* --- the looker-on --- */

/* The value of a line of /proc/PID/task/TID/status, blanks trimmed. */
static bool
status_line(const char *file, const char *key, char *out, size_t size)
{
	char line[512];
	size_t n = strlen(key), len;
	FILE *f;
	bool found = false;

	if ((f = fopen(file, "r")) == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, key, n) != 0 || line[n] != ':')
			continue;
		len = strcspn(line + n + 1, "\n");
		line[n + 1 + len] = '\0';
		snprintf(out, size, "%s", line + n + 1 +
		    strspn(line + n + 1, " \t"));
		for (len = strlen(out); len > 0 && out[len - 1] == ' '; len--)
			out[len - 1] = '\0';
		found = true;
	}
	fclose(f);
	return found;
}

static void
line_is(const char *who, const char *file, const char *key, const char *want)
{
	char got[512] = "";

	if (!status_line(file, key, got, sizeof(got)) || strcmp(got, want) != 0)
		wrong("%s: %s is '%s', not '%s'", who, key, got, want);
}

static void
check_task(const char *who, const char *file, enum role r)
{
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff",
	    "CapAmb" };
	char ids[64];
	size_t i;

	snprintf(ids, sizeof(ids), "%d\t%d\t%d\t%d", BASE + r, BASE + r,
	    BASE + r, BASE + r);
	line_is(who, file, "Uid", ids);
	line_is(who, file, "Gid", ids);
	line_is(who, file, "Groups", "");
	for (i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		line_is(who, file, sets[i], "0000000000000000");
	line_is(who, file, "NoNewPrivs", "1");
	line_is(who, file, "Seccomp", "2");
	line_is(who, file, "Seccomp_filters", "2");	/* master's and own */
}

static size_t
count_dir(const char *path, char names[][16], size_t max)
{
	struct dirent *de;
	size_t n = 0;
	DIR *d;

	if ((d = opendir(path)) == NULL)
		return 0;
	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.' || n == max)
			continue;
		snprintf(names[n++], 16, "%.15s", de->d_name);
	}
	closedir(d);
	return n;
}

static void
check_role(enum role r, pid_t pid, bool root)
{
	char path[512], want[256], got[256], names[64][16];
	const char *who = role_name(r);
	size_t i, n, tasks = r == ROLE_STORE ? 4 : 1;
	size_t fds = r == ROLE_SESSION ? 5 : 4;		/* and its ring */
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	n = count_dir(path, names, 64);
	if (n != tasks)
		wrong("%s: %zu threads, not %zu", who, n, tasks);
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid,
		    names[i]);
		check_task(who, path, r);
	}
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	line_is(who, path, "Name", role_info(r)->title);
	if (root)
		line_is(who, path, "CapBnd", "00000000000400e0");
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	if ((n = count_dir(path, names, 64)) != fds)
		wrong("%s: %zu descriptors, not %zu", who, n, fds);
	snprintf(want, sizeof(want), "%s/%s", scratch,
	    r == ROLE_STORE ? "vaults/vault" : "empty");
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	if ((len = readlink(path, got, sizeof(got) - 1)) < 0)
		len = 0;
	got[len] = '\0';
	if (strcmp(got, want) != 0)
		wrong("%s: its root is '%s', not '%s'", who, got, want);
}

static void
check_death(const pid_t *pids)
{
	struct timespec ms10 = { 0, 10000000 };
	size_t i;
	int tries;

	for (i = 0; i < NROLES; i++) {
		for (tries = 0; tries < 200 && kill(pids[i], 0) == 0; tries++)
			nanosleep(&ms10, NULL);
		if (kill(pids[i], 0) == 0) {
			wrong("%s outlives its master", role_name(all[i]));
			kill(pids[i], SIGKILL);
		}
	}
}

static void
run(bool root)
{
	int out[2], in[2], status;
	pid_t master, pids[NROLES];
	size_t i;

	printf("# master as %s\n", root ? "root" :
	    "a user with ambient capabilities");
	fflush(stdout);
	if (pipe2(out, O_CLOEXEC) != 0 || pipe2(in, O_CLOEXEC) != 0) {
		wrong("pipe");
		return;
	}
	if ((master = fork()) == 0) {
		close(out[0]);
		close(in[1]);
		_exit(master_main(root, out[1], in[0]));
	}
	close(out[1]);
	close(in[0]);
	if (io_read_full(out[0], pids, sizeof(pids)) == RC_OK) {
		for (i = 0; i < NROLES; i++)
			check_role(all[i], pids[i], root);
		/* no goodbye: PR_SET_PDEATHSIG alone must do it */
		kill(master, SIGKILL);
		waitpid(master, &status, 0);
		check_death(pids);
	} else {
		wrong("the master did not start its roles");
		close(in[1]);
		in[1] = -1;
		waitpid(master, &status, 0);
		if (WIFSIGNALED(status))
			wrong("the master died of signal %d", WTERMSIG(status));
	}
	close(out[0]);
	fd_close(&in[1]);
}

/* A drop that is asked for the impossible says so; in a child, since what was
 * dropped on the way stays so. */
static void
refusal(const char *what, const struct drop *d)
{
	const char *step = "";
	int status;
	pid_t pid;

	if ((pid = fork()) == 0)
		_exit(drop_privileges(d, &step) == RC_SANDBOX ? 0 : 1);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		wrong("a drop %s was accepted", what);
}

static void
refusals(void)
{
	const struct drop to_root = { .uid = 0, .gid = 0, .change_ids = 1 };
	const struct drop no_root = { .uid = BASE, .gid = BASE,
	    .change_ids = 1, .root = "/nowhere-at-all" };
	const struct drop orphan = { .uid = BASE, .gid = BASE,
	    .change_ids = 1, .parent = 1 };

	refusal("to root", &to_root);
	refusal("into a missing directory", &no_root);
	refusal("with another parent", &orphan);
}

static bool
make_scratch(const char *self)
{
	char path[256];
	size_t i;

	snprintf(scratch, sizeof(scratch), "/tmp/sg-start-XXXXXX");
	if (mkdtemp(scratch) == NULL || chmod(scratch, 0711) != 0)
		return false;
	snprintf(path, sizeof(path), "%s/empty", scratch);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/vaults", scratch);
	mkdir(path, 0700);
	if (chown(path, BASE + ROLE_STORE, BASE + ROLE_STORE) != 0)
		return false;
	for (i = 0; i < NROLES; i++) {
		snprintf(path, sizeof(path), "%s/%s", scratch,
		    role_info(all[i])->program);
		if (symlink(self, path) != 0 && errno != EEXIST)
			return false;
	}
	return true;
}

static void
remove_scratch(void)
{
	static const char *const dirs[] = { "vaults/vault", "vaults", "empty" };
	char path[256];
	size_t i;

	for (i = 0; i < NROLES; i++) {
		snprintf(path, sizeof(path), "%s/%s", scratch,
		    role_info(all[i])->program);
		unlink(path);
	}
	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", scratch, dirs[i]);
		rmdir(path);
	}
	rmdir(scratch);
}

int
main(int argc, char **argv)
{
	char self[4096];
	ssize_t n;
	size_t i;

	(void)argc;
	for (i = 0; i < NROLES; i++) {
		char title[64];

		snprintf(title, sizeof(title), "storegrid: %s",
		    role_name(all[i]));
		if (strcmp(argv[0], title) == 0)
			return role_main(all[i]);
	}
	if (geteuid() != 0) {
		printf("needs root\n");
		return SKIPPED;
	}
	if ((n = readlink("/proc/self/exe", self, sizeof(self) - 1)) < 0)
		return 1;
	self[n] = '\0';
	if (!make_scratch(self)) {
		perror(scratch);
		return 1;
	}
	refusals();
	run(true);
	run(false);
	remove_scratch();
	printf("%s\n", failures == 0 ? "ok" : "FAILED");
	return failures == 0 ? 0 : 1;
}
