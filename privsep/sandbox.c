#include "config.h"

#include "privsep/sandbox.h"

#include <errno.h>
#ifdef WITH_SANITIZERS
#include <sanitizer/lsan_interface.h>
#endif
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/num.h"
#include "common/rc.h"

#ifdef WITH_SANITIZERS
/*
 * The look for leaks at exit starts a process that traces this one: the filter
 * forbids both, and the process limit too.  So it is left out behind a sandbox,
 * and what the units and the fuzz targets do outside of one must suffice.
 */
static int entered;

int
__lsan_is_turned_off(void)
{
	return entered;
}
#endif

static int
fail(const char **step, const char *what)
{
	*step = what;
	return RC_SANDBOX;
}

static int
limit(int resource, rlim_t max)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)resource, &r) != 0)
		return RC_SANDBOX;
	if (r.rlim_max != RLIM_INFINITY && r.rlim_max < max)
		max = r.rlim_max;	/* without privilege only down */
	r.rlim_cur = r.rlim_max = max;
	if (setrlimit((__rlimit_resource_t)resource, &r) != 0)
		return RC_SANDBOX;
	return RC_OK;
}

static int
set_limits(enum role role, const struct sbx_profile *p, const char **step)
{
	if (limit(RLIMIT_CORE, 0) != RC_OK)
		return fail(step, "RLIMIT_CORE");
	if (limit(RLIMIT_NOFILE, role_info(role)->nofile) != RC_OK)
		return fail(step, "RLIMIT_NOFILE");
#if !defined(WITH_SANITIZERS) && !defined(WITH_TRAP)
	/* there standard error may be a file */
	if (!p->writes && limit(RLIMIT_FSIZE, 0) != RC_OK)
		return fail(step, "RLIMIT_FSIZE");
#else
	(void)p;
#endif
	return RC_OK;
}

static int
load(enum role role, const char **step)
{
	struct sbx_table t[SBX_TABLES_MAX];

#ifdef WITH_SANITIZERS
	entered = 1;
#endif
	return filter_load(t, sandbox_tables(role, t), step);
}

int
sandbox_enter_threads(enum role role, int (*threads)(void *arg), void *arg,
    struct sbx_info *info, const char **step)
{
	const struct sbx_profile *p = sandbox_profile(role);
	int rc;

	info->landlock_abi = 0;
	if (p == NULL)
		return fail(step, "no profile");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail(step, "PR_SET_NO_NEW_PRIVS");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(step, "PR_SET_DUMPABLE");
	if ((rc = set_limits(role, p, step)) != RC_OK ||
	    (rc = landlock_enter(p, &info->landlock_abi, step)) != RC_OK)
		return rc;
	/* here, since a thread has Landlock from the one that makes it */
	if (threads != NULL && (rc = threads(arg)) != RC_OK)
		return fail(step, "starting threads");
	if (limit(RLIMIT_NPROC, 0) != RC_OK)
		return fail(step, "RLIMIT_NPROC");
	return load(role, step);
}

int
sandbox_enter(enum role role, struct sbx_info *info, const char **step)
{
	return sandbox_enter_threads(role, NULL, NULL, info, step);
}

/*
 * No rlimits and no Landlock here: roles inherit both, and theirs differ.
 */
int
sandbox_master(const char **step)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail(step, "PR_SET_NO_NEW_PRIVS");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(step, "PR_SET_DUMPABLE");
	return load(ROLE_MASTER, step);
}
