#include "config.h"

#include "privsep/roles.h"

#include <linux/capability.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "common/num.h"
#include "common/rc.h"
#include "privsep/drop.h"

#define U(name) "_storegrid-" name

/*
 * What a restore needs to give files back as they were.  Not SYS_ADMIN:
 * trusted.* attributes are hidden from a backup, which has DAC_READ_SEARCH
 * only, so there are none to restore.
 */
#define RESTORE_CAPS (CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_CHOWN) |	\
	CAP_BIT(CAP_FOWNER) | CAP_BIT(CAP_FSETID) | CAP_BIT(CAP_MKNOD) | \
	CAP_BIT(CAP_SETFCAP))

/*
 * Descriptors: listener holds 4,096 silent connections and its sockets; logger,
 * keyd and auth hold one channel per process; store two per session (channel
 * and ring) and its packs; engine a directory per level of a deep path.
 */
static const struct role_info roles[ROLE_MAX] = {
	/*                   program         title             user             root        files caps */
	[ROLE_MASTER]    = { NULL,           "storegridd",     U("master"),     ROOT_NONE,  4096, 0 },
	[ROLE_LOGGER]    = { "sg-logger",    "sg-logger",      U("logger"),     ROOT_EMPTY, 2048, 0 },
	[ROLE_LISTENER]  = { "sg-listener",  "sg-listener",    U("listener"),   ROOT_EMPTY, 4224, 0 },
	[ROLE_SESSION]   = { "sg-session",   "sg-session",     U("session"),    ROOT_EMPTY, 16,   0 },
	[ROLE_API]       = { "sg-http",      "sg-api",         U("api"),        ROOT_EMPTY, 16,   0 },
	[ROLE_KEYD]      = { "sg-keyd",      "sg-keyd",        U("keyd"),       ROOT_OWN,   2048, 0 },
	[ROLE_AUTH]      = { "sg-auth",      "sg-auth",        U("auth"),       ROOT_OWN,   2048, 0 },
	[ROLE_LOGIN]     = { "sg-login",     "sg-login",       U("login"),      ROOT_EMPTY, 16,   0 },
	[ROLE_STORE]     = { "sg-store",     "sg-store",       U("store"),      ROOT_OWN,   256,  0 },
	[ROLE_CATALOG]   = { "sg-catalog",   "sg-catalog",     U("catalog"),    ROOT_OWN,   2048, 0 },
	[ROLE_MCAST]     = { "sg-discover",  "sg-mcast",       U("mcast"),      ROOT_EMPTY, 16,   0 },
	[ROLE_SCAN]      = { "sg-discover",  "sg-scan",        U("scan"),       ROOT_EMPTY, 16,   0 },
	[ROLE_DIALER]    = { "sg-dialer",    "sg-dialer",      U("dialer"),     ROOT_EMPTY, 64,   0 },
	[ROLE_PEER]      = { "sg-peer",      "sg-peer",        U("peer"),       ROOT_EMPTY, 16,   0 },
	[ROLE_CONFPARSE] = { "sg-confparse", "sg-confparse",   U("confparse"),  ROOT_EMPTY, 8,    0 },
	[ROLE_ENGINE]    = { "sg-engine",    "sg-engine",      U("engine"),     ROOT_NONE,  1024, CAP_BIT(CAP_DAC_READ_SEARCH) },
	[ROLE_RESTORER]  = { "sg-engine",    "sg-restorer",    U("restorer"),   ROOT_NONE,  1024, RESTORE_CAPS },
	[ROLE_RESOLVE]   = { "sg-resolve",   "sg-resolve",     U("resolve"),    ROOT_NONE,  32,   0 },
	[ROLE_NET]       = { "sg-net",       "sg-net",         U("net"),        ROOT_EMPTY, 16,   0 },
	[ROLE_SEEK]      = { "sg-seek",      "sg-seek",        U("seek"),       ROOT_EMPTY, 16,   0 },
	[ROLE_COMMAND]   = { NULL,           "storegrid",      NULL,            ROOT_NONE,  1024, 0 },
};

static const char *const names[ROLE_MAX] = {
#define X(name, number, text) [number] = text,
	ROLES(X)
#undef X
};

const struct role_info *
role_info(enum role r)
{
	if ((unsigned int)r >= ROLE_MAX || roles[r].title == NULL)
		return NULL;
	return &roles[r];
}

const char *
role_name(enum role r)
{
	if (role_info(r) == NULL)
		return "?";
	return names[r];
}

int
role_ids(enum role r, uint32_t base, uid_t *uid, gid_t *gid)
{
	const struct role_info *info;
	const struct passwd *pw;

	if ((info = role_info(r)) == NULL)
		return RC_RANGE;
	if (info->user == NULL) {
		*uid = getuid();
		*gid = getgid();
		return RC_OK;
	}
	if (base == 0) {
		errno = 0;
		if ((pw = getpwnam(info->user)) != NULL) {
			/* an entry with root's ids would undo everything */
			if (pw->pw_uid == 0 || pw->pw_gid == 0)
				return RC_CONFIG;
			*uid = pw->pw_uid;
			*gid = pw->pw_gid;
			return RC_OK;
		}
		base = ROLE_UID_BASE_DEFAULT;
	}
	if (base > INT32_MAX - ROLE_MAX)
		return RC_RANGE;
	*uid = (uid_t)(base + (uint32_t)r);
	*gid = (gid_t)(base + (uint32_t)r);
	return RC_OK;
}

/* Is the numeric range needed: is there a role that passwd does not know? */
static int
range_is_used(void)
{
	size_t i;

	for (i = 0; i < ROLE_MAX; i++) {
		if (roles[i].user != NULL && getpwnam(roles[i].user) == NULL)
			return 1;
	}
	return 0;
}

int
role_ids_check(uint32_t base, char *who, size_t size)
{
	const struct passwd *pw;
	int rc = RC_OK;

	if (base == 0) {
		if (!range_is_used())
			return RC_OK;
		base = ROLE_UID_BASE_DEFAULT;
	}
	setpwent();
	while (rc == RC_OK && (pw = getpwent()) != NULL) {
		if (pw->pw_uid - base < ROLE_MAX ||
		    pw->pw_gid - base < ROLE_MAX) {
			snprintf(who, size, "%s", pw->pw_name);
			rc = RC_CONFIG;
		}
	}
	endpwent();
	return rc;
}
