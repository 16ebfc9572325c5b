#include "config.h"

#include "privsep/drop.h"

#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/rc.h"

/* Higher than any kernel's last capability; numbers it lacks are EINVAL. */
#define CAP_NUMBERS 64

struct caps {
	uint64_t	effective, permitted, inheritable;
};

static int
fail(const char **step, const char *what)
{
	if (step != NULL)
		*step = what;
	return RC_SANDBOX;
}

static int
caps_get(struct caps *c)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (syscall(SYS_capget, &head, d) != 0)
		return RC_SANDBOX;
	c->effective = d[0].effective | (uint64_t)d[1].effective << 32;
	c->permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
	c->inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
	return RC_OK;
}

static int
caps_set(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = {
		{ (uint32_t)effective, (uint32_t)permitted,
		  (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
		  (uint32_t)(inheritable >> 32) },
	};

	return syscall(SYS_capset, &head, d) == 0 ? RC_OK : RC_SANDBOX;
}

/* Cut the bounding set where we may; where not, it gives nothing by itself. */
static int
bounding_cut(uint64_t keep)
{
	struct caps c;
	int i;

	if (caps_get(&c) != RC_OK)
		return RC_SANDBOX;
	if ((c.effective & CAP_BIT(CAP_SETPCAP)) == 0)
		return RC_OK;
	for (i = 0; i < CAP_NUMBERS; i++) {
		if ((keep & CAP_BIT(i)) == 0 &&
		    prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
			return RC_SANDBOX;
	}
	return RC_OK;
}

static bool
ambient_is(uint64_t want)
{
	int i, have;

	for (i = 0; i < CAP_NUMBERS; i++) {
		have = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0);
		if ((have == 1) != ((want & CAP_BIT(i)) != 0))
			return false;
	}
	return true;
}

static int
change_ids(const struct drop *d, const char **step)
{
	/* to uid 0 it would change nothing, and only look as if it did */
	if (d->uid == 0 || d->gid == 0)
		return fail(step, "the role's user is root");
	if (setgroups(0, NULL) != 0)
		return fail(step, "setgroups");
	if (setresgid(d->gid, d->gid, d->gid) != 0)
		return fail(step, "setresgid");
	/* chroot and what `keep` names are still needed after the change */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return fail(step, "PR_SET_KEEPCAPS");
	if (setresuid(d->uid, d->uid, d->uid) != 0)
		return fail(step, "setresuid");
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0)
		return fail(step, "PR_SET_KEEPCAPS off");
	return RC_OK;
}

static int
change_root(const struct drop *d, uint64_t keep, const char **step)
{
	uint64_t chroot_cap = CAP_BIT(CAP_SYS_CHROOT);
	int rc;

	/* ids first: a 0700 directory of the role's own could not be entered
	 * otherwise, and the hook makes files with the right owner */
	if (chdir(d->root) != 0)
		return fail(step, "chdir to the new root");
	if (d->before_chroot != NULL) {
		if ((rc = d->before_chroot(d->arg)) != RC_OK) {
			(void)fail(step, "preparing the new root");
			return rc;
		}
	}
	if (caps_set(keep | chroot_cap, keep | chroot_cap, 0) != RC_OK)
		return fail(step, "CAP_SYS_CHROOT");
	if (chroot(".") != 0)
		return fail(step, "chroot");
	if (chdir("/") != 0)
		return fail(step, "chdir /");
	return RC_OK;
}

/* The way back must be closed: tried, not believed. */
static int
prove_ids(const struct drop *d, const char **step)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;

	if (getresuid(&r, &e, &s) != 0 || getresgid(&gr, &ge, &gs) != 0)
		return fail(step, "reading the ids");
	if (d->change_ids && (r != d->uid || e != d->uid || s != d->uid ||
	    gr != d->gid || ge != d->gid || gs != d->gid))
		return fail(step, "ids are not the role's");
	if (d->change_ids && getgroups(0, NULL) != 0)
		return fail(step, "groups are left");
	if (r == 0)
		return RC_OK;
	if (setresuid(0, 0, 0) == 0 || setresuid((uid_t)-1, 0, (uid_t)-1) == 0)
		return fail(step, "uid 0 could be taken back");
	if (gr != 0 && (setresgid(0, 0, 0) == 0 ||
	    setresgid((gid_t)-1, 0, (gid_t)-1) == 0))
		return fail(step, "gid 0 could be taken back");
	return RC_OK;
}

static int
prove_caps(uint64_t keep, const char **step)
{
	struct caps c;

	if (caps_get(&c) != RC_OK)
		return fail(step, "capget");
	if (c.effective != keep || c.permitted != keep || c.inheritable != 0)
		return fail(step, "capabilities are left");
	if (!ambient_is(0))
		return fail(step, "ambient capabilities are left");
	return RC_OK;
}

int
drop_privileges(const struct drop *d, const char **step)
{
	struct caps c;
	uint64_t keep, root_cap;
	int rc;

	if (caps_get(&c) != RC_OK)
		return fail(step, "capget");
	keep = d->keep & c.permitted;
	root_cap = d->root != NULL ? CAP_BIT(CAP_SYS_CHROOT) : 0;
	if (bounding_cut(keep) != RC_OK)
		return fail(step, "bounding set");
	if (d->change_ids && (rc = change_ids(d, step)) != RC_OK)
		return rc;
	/* ambient ones survive both setresuid and execve */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return fail(step, "clearing ambient capabilities");
	/* nothing effective but what stays, while the hook runs */
	if (caps_set(keep, (keep | root_cap) & c.permitted, 0) != RC_OK)
		return fail(step, "capset before chroot");
	if (d->root != NULL && (rc = change_root(d, keep, step)) != RC_OK)
		return rc;
	if (caps_set(keep, keep, 0) != RC_OK)
		return fail(step, "capset");
	if ((rc = prove_caps(keep, step)) != RC_OK ||
	    (rc = prove_ids(d, step)) != RC_OK)
		return rc;
	if (d->parent == 0)
		return RC_OK;
	/* the change of ids wiped an earlier one */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return fail(step, "PR_SET_PDEATHSIG");
	if (getppid() != d->parent)
		return fail(step, "the parent is gone");
	return RC_OK;
}

/*
 * Root's roles get their capabilities at exec from uid 0: the bounding set cut
 * to our permitted set.  Those of a master with an id of its own get them by
 * the ambient set, which needs the inheritable one.
 */
int
drop_master(uint64_t keep, const char **step)
{
	uint64_t inherit = geteuid() == 0 ? 0 : keep;
	struct caps c;
	int i;

	if (caps_get(&c) != RC_OK)
		return fail(step, "capget");
	if ((c.permitted & keep) != keep)
		return fail(step, "capabilities that the master needs");
	if (bounding_cut(keep) != RC_OK)
		return fail(step, "bounding set");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return fail(step, "clearing ambient capabilities");
	if (caps_set(keep, keep, inherit) != RC_OK)
		return fail(step, "capset");
	for (i = 0; i < CAP_NUMBERS; i++) {
		if ((inherit & CAP_BIT(i)) != 0 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0)
			return fail(step, "raising ambient capabilities");
	}
	if (caps_get(&c) != RC_OK || c.permitted != keep ||
	    c.effective != keep || c.inheritable != inherit ||
	    !ambient_is(inherit))
		return fail(step, "capabilities are not as set");
	return RC_OK;
}
