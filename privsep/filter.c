#include "config.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/num.h"
#include "common/rc.h"
#include "privsep/sandbox.h"

#define ROWS_MAX 64		/* of one call, over all tables */

/* Newer machines lack the older of two calls; libc then uses the other. */
static const struct {
	const char	*name, *instead;
} stand_ins[] = {
	{ "access",	"faccessat" },
	{ "open",	"openat" },
	{ "poll",	"ppoll" },
	{ "readlink",	"readlinkat" },
	{ "renameat",	"renameat2" },
	{ "unlink",	"unlinkat" },
};

int
filter_number(const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);
	size_t i;

	for (i = 0; nr < 0 && i < NITEMS(stand_ins); i++) {
		if (strcmp(name, stand_ins[i].name) == 0)
			nr = seccomp_syscall_resolve_name(stand_ins[i].instead);
	}
	/* negative ones stand for calls of other machines */
	return nr < 0 ? -1 : nr;
}

static int
same_row(const struct sbx_rule *a, const struct sbx_rule *b)
{
	size_t i;

	if (a->what != b->what || a->err != b->err || a->ncmp != b->ncmp)
		return 0;
	for (i = 0; i < a->ncmp; i++) {
		if (a->cmp[i].arg != b->cmp[i].arg ||
		    a->cmp[i].mask != b->cmp[i].mask ||
		    a->cmp[i].value != b->cmp[i].value)
			return 0;
	}
	return 1;
}

static int
is_pass(const struct sbx_rule *r)
{
	return r->what != SBX_ERRNO;
}

/*
 * One call may be in the tables of many.  One that lets it pass whatever its
 * arguments makes all others idle; a soft refusal is for those who do not let
 * it pass at all.  What is left are alternatives.
 */
size_t
filter_rows(const struct sbx_table *t, size_t nt, const char *name,
    const struct sbx_rule **out, size_t max)
{
	const struct sbx_rule *r, *all = NULL, *soft = NULL;
	size_t i, j, k, n = 0, passes = 0;

	for (i = 0; i < nt; i++) {
		for (j = 0; j < t[i].n; j++) {
			r = &t[i].rules[j];
			if (strcmp(r->name, name) != 0)
				continue;
			if (r->what == SBX_ALLOW)
				all = r;
			if (r->what == SBX_ERRNO && r->ncmp == 0) {
				soft = r;
				continue;
			}
			for (k = 0; k < n && !same_row(out[k], r); k++)
				;
			if (k < n || n == max)
				continue;
			passes += is_pass(r) ? 1 : 0;
			out[n++] = r;
		}
	}
	if (all != NULL) {
		out[0] = all;
		return 1;
	}
	if (passes == 0 && soft != NULL && max > 0) {
		out[0] = soft;
		return 1;
	}
	return n;
}

static int
add_row(scmp_filter_ctx ctx, int nr, const struct sbx_rule *r)
{
	struct scmp_arg_cmp cmp[SBX_CMPS];
	uint32_t action = SCMP_ACT_ALLOW;
	unsigned int i;
	int rc;

	if (r->what == SBX_ERRNO)
		action = SCMP_ACT_ERRNO((uint32_t)r->err);
	for (i = 0; i < r->ncmp; i++)
		cmp[i] = SCMP_CMP(r->cmp[i].arg, SCMP_CMP_MASKED_EQ,
		    r->cmp[i].mask, r->cmp[i].value);
	if (r->what != SBX_IN)
		return seccomp_rule_add_exact_array(ctx, action, nr, r->ncmp,
		    cmp);
	for (i = 0; i < r->ncmp; i++) {
		rc = seccomp_rule_add_exact_array(ctx, action, nr, 1, &cmp[i]);
		if (rc != 0 && rc != -EEXIST)
			return rc;
	}
	return 0;
}

/* All rows of the call named in t[i].rules[j], unless that was done before. */
static int
add_call(scmp_filter_ctx ctx, const struct sbx_table *t, size_t nt, size_t i,
    size_t j)
{
	const struct sbx_rule *rows[ROWS_MAX];
	const char *name = t[i].rules[j].name;
	size_t a, b, n;
	int nr, rc;

	for (a = 0; a <= i; a++) {
		for (b = 0; b < (a < i ? t[a].n : j); b++) {
			if (strcmp(t[a].rules[b].name, name) == 0)
				return 0;
		}
	}
	if ((nr = filter_number(name)) == -1)
		return 0;
	n = filter_rows(t, nt, name, rows, NITEMS(rows));
	for (a = 0; a < n; a++) {
		rc = add_row(ctx, nr, rows[a]);
		if (rc != 0 && rc != -EEXIST)
			return rc;
	}
	return 0;
}

#ifdef WITH_TRAP
#define NAMED_CALLS 512

static char *call_names[NAMED_CALLS];

/* Tests only: name the call, then die as one that broke the rules. */
static void
on_sigsys(int sig, siginfo_t *si, void *ctx)
{
	char line[128];
	const char *name = "?";
	int n;

	(void)sig;
	(void)ctx;
	if (si->si_syscall >= 0 && si->si_syscall < NAMED_CALLS &&
	    call_names[si->si_syscall] != NULL)
		name = call_names[si->si_syscall];
	n = snprintf(line, sizeof(line), "denied system call: %s (%d)\n",
	    name, si->si_syscall);
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) == -1)
		_exit(158);
	_exit(159);		/* 128 + SIGSYS */
}

static int
trap_prepare(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigsys,
	    .sa_flags = SA_SIGINFO };
	int i;

	for (i = 0; i < NAMED_CALLS; i++)
		call_names[i] = seccomp_syscall_resolve_num_arch(
		    SCMP_ARCH_NATIVE, i);
	return sigaction(SIGSYS, &sa, NULL);
}

#define DENY SCMP_ACT_TRAP
#else
static int
trap_prepare(void)
{
	return 0;
}

#define DENY SCMP_ACT_KILL_PROCESS
#endif

int
filter_load(const struct sbx_table *t, size_t nt, const char **step)
{
	scmp_filter_ctx ctx;
	size_t i, j;
	int rc = RC_SANDBOX;

	*step = "naming of denied calls";
	if (trap_prepare() != 0)
		return RC_SANDBOX;
	*step = "seccomp_init";
	if ((ctx = seccomp_init(DENY)) == NULL)
		return RC_SANDBOX;
	*step = "seccomp attributes";
	if (seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS) != 0 ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1) != 0)
		goto out;
	for (i = 0; i < nt; i++) {
		for (j = 0; j < t[i].n; j++) {
			*step = t[i].rules[j].name;
			if (add_call(ctx, t, nt, i, j) != 0)
				goto out;
		}
	}
	*step = "seccomp_load";
	if (seccomp_load(ctx) == 0)
		rc = RC_OK;
out:
	seccomp_release(ctx);
	return rc;
}
