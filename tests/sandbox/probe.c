/*
 * Every role's sandbox against its table, and the table against the list in
 * expected.txt.
 *
 * For each role, after its real sandbox_enter(), a child makes one system call:
 * every number from 0 to 470, natively, with the x32 bit and through the i386
 * gate, all arguments -1; then every comparison of the table, met and missed,
 * and some calls that no intruder may make.  What the kernel did must be what
 * the rows say, which are judged here without libseccomp.
 *
 *	probe [EXPECTED]	compare ($srcdir/tests/sandbox/expected.txt)
 *	probe --list		print what EXPECTED would have to be
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/num.h"
#include "common/rc.h"
#include "privsep/drop.h"
#include "privsep/sandbox.h"

#define SKIPPED		77
#define LAST_CALL	470
#define UID_BASE	76500	/* nobody's */
#define PARALLEL	8
#define ROWS_MAX	64
#define HUNG_S		10
#define FAILURES_MAX	50	/* then it is plain enough */

/* What a call should come to: passed, refused softly (errno), or death. */
#define DENIED	(-1)
#define PASSED	0

enum gate { NATIVE, X32, I386, GATES };

static const enum role roles[] = {
	ROLE_LOGGER, ROLE_LISTENER, ROLE_SESSION, ROLE_API, ROLE_KEYD,
	ROLE_AUTH, ROLE_LOGIN, ROLE_STORE, ROLE_CATALOG, ROLE_MCAST, ROLE_SCAN,
	ROLE_DIALER, ROLE_PEER, ROLE_CONFPARSE, ROLE_ENGINE, ROLE_RESTORER,
	ROLE_RESOLVE, ROLE_NET, ROLE_SEEK, ROLE_MASTER,
};

struct probe {
	enum gate	gate;
	int		nr;
	uint64_t	args[6];
	int		want;
	const char	*name;
};

static int failures;

static void __attribute__((format(printf, 1, 2)))
wrong(const char *fmt, ...)
{
	va_list ap;

	if (++failures > FAILURES_MAX)
		return;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

#ifndef WITH_SANITIZERS
/* --- the table, judged --- */

static bool
holds(const struct sbx_cmp *c, const uint64_t args[6])
{
	return (args[c->arg] & c->mask) == c->value;
}

static bool
row_holds(const struct sbx_rule *r, const uint64_t args[6])
{
	size_t i;

	for (i = 0; i < r->ncmp; i++) {
		if (holds(&r->cmp[i], args) == (r->what == SBX_IN))
			return r->what == SBX_IN;
	}
	return r->what != SBX_IN || r->ncmp == 0;
}

static int
judge(const struct sbx_table *t, size_t nt, const char *name,
    const uint64_t args[6])
{
	size_t i, j;
	int soft = DENIED;
	const struct sbx_rule *r;

	for (i = 0; i < nt; i++) {
		for (j = 0; j < t[i].n; j++) {
			r = &t[i].rules[j];
			if (strcmp(r->name, name) != 0 || !row_holds(r, args))
				continue;
			if (r->what != SBX_ERRNO)
				return PASSED;
			soft = r->err;
		}
	}
	return soft;
}

/* --- one call in one child --- */

static const char *const gate_names[GATES] = { "native", "x32", "i386" };

static long
raw(enum gate gate, int nr, const uint64_t a[6])
{
#ifdef __x86_64__
	register uint64_t r10 __asm__("r10") = a[3];
	register uint64_t r8 __asm__("r8") = a[4];
	register uint64_t r9 __asm__("r9") = a[5];
	long ret = nr;

	if (gate == I386) {
		/* six registers, but ebp would need saving: five do */
		__asm__ volatile("int $0x80" : "+a"(ret) : "b"(a[0]),
		    "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
		    : "memory", "r8", "r9", "r10", "r11");
		return (int)ret;
	}
	if (gate == X32)
		ret |= 0x40000000;
	__asm__ volatile("syscall" : "+a"(ret) : "D"(a[0]), "S"(a[1]),
	    "d"(a[2]), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
#else
	(void)gate;
	long ret = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	return ret == -1 ? -errno : ret;
#endif
}

#define EXIT_NO_SANDBOX 250

static void
child(enum role role, const struct probe *p)
{
	struct sbx_info info;
	const char *step = "";
	uid_t uid = (uid_t)(UID_BASE + role);
	long ret;
	int rc;

	/* as the role would be, so that a hole found here does no harm */
	if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)
		_exit(EXIT_NO_SANDBOX);
	alarm(HUNG_S);
#ifdef WITH_TRAP
	/* thousands of names */
	dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
#endif
	if (role == ROLE_MASTER)
		rc = sandbox_master(&step);
	else
		rc = sandbox_enter(role, &info, &step);
	if (rc != RC_OK)
		_exit(EXIT_NO_SANDBOX);
	ret = raw(p->gate, p->nr, p->args);
	_exit(ret < 0 && ret > -200 ? (int)-ret : 0);
}

static void
judge_status(enum role role, const struct probe *p, int status)
{
	bool denied;
	int code;

	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_SANDBOX) {
		wrong("%s: no sandbox", role_name(role));
		return;
	}
	denied = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
#ifdef WITH_TRAP
	denied = denied || (WIFEXITED(status) && WEXITSTATUS(status) == 159);
#endif
	/* uretprobe and uprobe: the kernel lets them by whatever the filter
	 * says; outside of a probe they end in SIGILL or an error */
	if (!denied && p->gate == NATIVE && (p->nr == 335 || p->nr == 336))
		return;
	if (denied != (p->want == DENIED)) {
		wrong("%s: %s %d (%s) is %s, and should not be",
		    role_name(role), gate_names[p->gate], p->nr,
		    p->name != NULL ? p->name : "not in the table",
		    denied ? "denied" : "let through");
		return;
	}
	if (p->want > 0) {
		code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		if (code != p->want)
			wrong("%s: %s gave error %d, not %d", role_name(role),
			    p->name, code, p->want);
	}
}

/* Children that are under way. */
static struct {
	pid_t		pid;
	struct probe	p;
} running[PARALLEL];

static void
reap_one(enum role role)
{
	int status;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, 0)) == -1 && errno == EINTR)
		;
	for (i = 0; i < PARALLEL; i++) {
		if (running[i].pid == pid) {
			running[i].pid = 0;
			judge_status(role, &running[i].p, status);
			return;
		}
	}
}

static bool
anything_runs(void)
{
	size_t i;

	for (i = 0; i < PARALLEL; i++) {
		if (running[i].pid != 0)
			return true;
	}
	return false;
}

static void
try(enum role role, const struct probe *p)
{
	size_t i;

	if (failures > FAILURES_MAX)
		return;
	for (;;) {
		for (i = 0; i < PARALLEL && running[i].pid != 0; i++)
			;
		if (i < PARALLEL)
			break;
		reap_one(role);
	}
	running[i].p = *p;
	if ((running[i].pid = fork()) == 0)
		child(role, p);
	if (running[i].pid == -1) {
		perror("fork");
		exit(1);
	}
}

/* --- which calls --- */

static void
fill(uint64_t args[6])
{
	size_t i;

	for (i = 0; i < 6; i++)
		args[i] = ~0ull;
}

static void
every_number(enum role role, const struct sbx_table *t, size_t nt)
{
	const char *names[LAST_CALL + 1] = { NULL };
	struct probe p;
	size_t i, j;
	int g, nr;

	for (i = 0; i < nt; i++) {
		for (j = 0; j < t[i].n; j++) {
			nr = filter_number(t[i].rules[j].name);
			if (nr >= 0 && nr <= LAST_CALL)
				names[nr] = t[i].rules[j].name;
		}
	}
#ifdef __x86_64__
	for (g = NATIVE; g < GATES; g++) {
#else
	for (g = NATIVE; g <= NATIVE; g++) {
#endif
		for (nr = 0; nr <= LAST_CALL; nr++) {
			p.gate = (enum gate)g;
			p.nr = nr;
			fill(p.args);
			p.name = g == NATIVE ? names[nr] : NULL;
			p.want = p.name == NULL ? DENIED :
			    judge(t, nt, p.name, p.args);
			try(role, &p);
		}
	}
}

static void
try_args(enum role role, const struct sbx_table *t, size_t nt,
    const char *name, const uint64_t args[6])
{
	struct probe p = { .gate = NATIVE, .name = name };

	if ((p.nr = filter_number(name)) == -1)
		return;
	memcpy(p.args, args, sizeof(p.args));
	/* never a broadcast, whatever the filter thinks */
	if (strcmp(name, "kill") == 0)
		p.args[0] = 0x3ffffffe;
	p.want = judge(t, nt, name, p.args);
	try(role, &p);
}

/* One row: its comparisons met, then each missed by its lowest and its highest
 * bit. */
static void
try_row(enum role role, const struct sbx_table *t, size_t nt,
    const struct sbx_rule *r)
{
	uint64_t args[6], bit;
	size_t i, j;

	for (i = 0; i < r->ncmp; i++) {
		fill(args);
		for (j = 0; j < r->ncmp; j++)
			args[r->cmp[j].arg] = r->cmp[j].value;
		args[r->cmp[i].arg] = r->cmp[i].value;
		try_args(role, t, nt, r->name, args);
		bit = r->cmp[i].mask & (~r->cmp[i].mask + 1);
		args[r->cmp[i].arg] = r->cmp[i].value ^ bit;
		try_args(role, t, nt, r->name, args);
		bit = 1ull << (63 - __builtin_clzll(r->cmp[i].mask));
		args[r->cmp[i].arg] = r->cmp[i].value ^ bit;
		try_args(role, t, nt, r->name, args);
	}
}

#define A(...) { __VA_ARGS__ }
#define PTR(s) ((uint64_t)(uintptr_t)(s))

static void
every_comparison(enum role role, const struct sbx_table *t, size_t nt)
{
	const struct {
		const char	*name;
		uint64_t	args[6];
	} odd[] = {
		{ "mmap", A(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, ~0ull, 0) },
		{ "mmap", A(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0,
		    0) },
		{ "mprotect", A(0, 4096, PROT_READ | PROT_EXEC) },
		{ "openat", A((uint64_t)AT_FDCWD, PTR("/etc/passwd"),
		    O_RDONLY) },
		{ "openat", A((uint64_t)AT_FDCWD, PTR("/etc/passwd"),
		    O_RDONLY | O_NOFOLLOW | O_CLOEXEC) },
		{ "openat", A(3, PTR("../other"), O_RDWR | O_CREAT, 0600) },
		{ "openat2", A((uint64_t)AT_FDCWD, PTR("/etc/passwd"), 0, 0) },
		{ "execve", A(PTR("/bin/true"), 0, 0) },
		{ "execveat", A((uint64_t)AT_FDCWD, PTR("/bin/true"), 0, 0,
		    0) },
		{ "ptrace", A(0, 0, 0, 0) },
		{ "setresuid", A(0, 0, 0) },
		{ "prctl", A(4, 1, 0, 0, 0) },
		{ "clone", A(CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) },
		{ "clone", A(SIGCHLD, 0, 0, 0, 0) },
		{ "unshare", A(CLONE_NEWUSER) },
		{ "connect", A(3, 0, 0) },
		{ "kill", A(1, SIGKILL) },
	};
	uint64_t args[6] = { 0, SOCK_STREAM, 0 };
	size_t i, j;

	for (i = 0; i < nt; i++) {
		for (j = 0; j < t[i].n; j++)
			try_row(role, t, nt, &t[i].rules[j]);
	}
	for (i = 0; i < NITEMS(odd); i++)
		try_args(role, t, nt, odd[i].name, odd[i].args);
	for (i = 0; i < 46; i++) {
		args[0] = i;
		try_args(role, t, nt, "socket", args);
	}
}

#endif

/* --- what no table of a server role may say --- */

static void
never(enum role role, const struct sbx_table *t, size_t nt)
{
	static const char *const names[] = {
		"open", "openat2", "creat", "socket", "connect", "bind",
		"listen", "execve", "execveat", "ptrace", "process_vm_readv",
		"process_vm_writev", "kill", "tgkill", "tkill", "fork",
		"vfork", "clone", "clone3", "unshare", "setns", "mount",
		"chroot", "setresuid", "setuid", "bpf", "io_uring_setup",
		"userfaultfd", "perf_event_open", "keyctl", "mprotect",
		"pkey_mprotect", "memfd_create", "prctl", "seccomp",
		"symlinkat", "linkat", "mknodat", "ioctl",
	};
	size_t i, j, k;

	for (i = 0; i < NITEMS(names); i++) {
		/* the one role of the server that goes out */
		if (role == ROLE_DIALER && (strcmp(names[i], "socket") == 0 ||
		    strcmp(names[i], "connect") == 0))
			continue;
		for (j = 0; j < nt; j++) {
			for (k = 0; k < t[j].n; k++) {
				if (strcmp(t[j].rules[k].name, names[i]) == 0 &&
				    t[j].rules[k].what != SBX_ERRNO)
					wrong("%s: %s must never be allowed",
					    role_name(role), names[i]);
			}
		}
	}
}

/* --- the list in the tree --- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "ROLE allow N names" and "ROLE soft N names", names in order. */
static void
describe(enum role role, const struct sbx_table *t, size_t nt, bool soft,
    char *out, size_t size)
{
	const struct sbx_rule *rows[ROWS_MAX];
	const char *names[512];
	size_t i, j, k, n = 0, len;
	bool is_soft;

	for (i = 0; i < nt; i++) {
		for (j = 0; j < t[i].n; j++) {
			const char *name = t[i].rules[j].name;

			for (k = 0; k < n && strcmp(names[k], name) != 0; k++)
				;
			if (k < n || n == NITEMS(names))
				continue;
			k = filter_rows(t, nt, name, rows, ROWS_MAX);
			for (is_soft = true; k > 0; k--)
				is_soft = is_soft &&
				    rows[k - 1]->what == SBX_ERRNO;
			if (is_soft == soft)
				names[n++] = name;
		}
	}
	qsort(names, n, sizeof(names[0]), by_name);
	snprintf(out, size, "%s %s %zu", role_name(role),
	    soft ? "soft" : "allow", n);
	for (i = 0; i < n; i++) {
		len = strlen(out);
		snprintf(out + len, size - len, " %s", names[i]);
	}
}

static bool
stands_in(const char *path, const char *line)
{
	char got[8192];
	bool found = false;
	FILE *f;

	if ((f = fopen(path, "r")) == NULL)
		return false;
	while (!found && fgets(got, sizeof(got), f) != NULL) {
		got[strcspn(got, "\n")] = '\0';
		found = strcmp(got, line) == 0;
	}
	fclose(f);
	return found;
}

/* The tables of this build less what tests add to it. */
static size_t
own_tables(enum role role, struct sbx_table *t)
{
	size_t n = sandbox_tables(role, t);

#ifdef WITH_TRAP
	n--;
#endif
#ifdef WITH_SANITIZERS
	n -= role == ROLE_MASTER ? 2 : 1;
#endif
	return n;
}

static void
compare(enum role role, const char *expected)
{
	struct sbx_table t[SBX_TABLES_MAX];
	char line[8192];
	size_t n = own_tables(role, t);
	int soft;

	for (soft = 0; soft < 2; soft++) {
		describe(role, t, n, soft != 0, line, sizeof(line));
		if (expected == NULL)
			printf("%s\n", line);
		else if (!stands_in(expected, line))
			wrong("not as in %s:\n  %s", expected, line);
	}
}

int
main(int argc, char **argv)
{
	struct sbx_table t[SBX_TABLES_MAX];
	const char *srcdir = getenv("srcdir");
	char expected[4096];
	size_t i, n;

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (i = 0; i < NITEMS(roles); i++)
			compare(roles[i], NULL);
		return 0;
	}
	snprintf(expected, sizeof(expected), "%s/tests/sandbox/expected.txt",
	    srcdir != NULL ? srcdir : ".");
	if (argc == 2)
		snprintf(expected, sizeof(expected), "%s", argv[1]);
	for (i = 0; i < NITEMS(roles); i++)
		compare(roles[i], expected);
	for (i = 0; i < 8; i++) {
		n = own_tables(roles[i], t);
		never(roles[i], t, n);
	}
#ifdef WITH_SANITIZERS
	printf("tables only: a sanitizer's calls are not a role's\n");
#else
	if (geteuid() != 0) {
		printf("needs root\n");
		return failures == 0 ? SKIPPED : 1;
	}
	for (i = 0; i < NITEMS(roles); i++) {
		n = sandbox_tables(roles[i], t);
		every_number(roles[i], t, n);
		every_comparison(roles[i], t, n);
		while (anything_runs())
			reap_one(roles[i]);
	}
#endif
	printf("%s\n", failures == 0 ? "ok" : "FAILED");
	return failures == 0 ? 0 : 1;
}
