#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"
#include "privsep/sandbox.h"

/*
 * The kernel's interface, spelled here: the headers of a distribution are often
 * older than the kernel that the program meets, and what they lack would be
 * left allowed.
 */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset	444
#define SYS_landlock_add_rule		445
#define SYS_landlock_restrict_self	446
#endif

#define LL_CREATE_VERSION	(1u << 0)
#define LL_RULE_PATH_BENEATH	1

#define LL_FS_WRITE_FILE	(1ull << 1)
#define LL_FS_READ_FILE		(1ull << 2)
#define LL_FS_READ_DIR		(1ull << 3)
#define LL_FS_REMOVE_DIR	(1ull << 4)
#define LL_FS_REMOVE_FILE	(1ull << 5)
#define LL_FS_MAKE_DIR		(1ull << 7)
#define LL_FS_MAKE_REG		(1ull << 8)
#define LL_FS_ABI1		((1ull << 13) - 1)
#define LL_FS_REFER		(1ull << 13)	/* ABI 2 */
#define LL_FS_TRUNCATE		(1ull << 14)	/* ABI 3 */
#define LL_FS_IOCTL_DEV		(1ull << 15)	/* ABI 5 */
#define LL_NET_BIND_TCP		(1ull << 0)	/* ABI 4 */
#define LL_NET_CONNECT_TCP	(1ull << 1)
#define LL_SCOPE_ABSTRACT_UNIX	(1ull << 0)	/* ABI 6 */
#define LL_SCOPE_SIGNAL		(1ull << 1)

/* What the keepers of files need in their own root: no execution, no devices,
 * sockets, fifos or links. */
#define LL_KEEPER (LL_FS_WRITE_FILE | LL_FS_READ_FILE | LL_FS_READ_DIR | \
	LL_FS_REMOVE_DIR | LL_FS_REMOVE_FILE | LL_FS_MAKE_DIR |		\
	LL_FS_MAKE_REG | LL_FS_REFER | LL_FS_TRUNCATE)

struct ll_ruleset {
	uint64_t	fs, net, scoped;
};

struct ll_beneath {
	uint64_t	access;
	int32_t		fd;
} __attribute__((packed));

static struct ll_ruleset
handled(const struct sbx_profile *p, int abi)
{
	struct ll_ruleset r = { 0, 0, 0 };

	if (p->files != SBX_FILES_ANY) {
		r.fs = LL_FS_ABI1;
		if (abi >= 2)
			r.fs |= LL_FS_REFER;
		if (abi >= 3)
			r.fs |= LL_FS_TRUNCATE;
		if (abi >= 5)
			r.fs |= LL_FS_IOCTL_DEV;
	}
	if (abi >= 4) {
		r.net = LL_NET_BIND_TCP;
		if (!p->connects)
			r.net |= LL_NET_CONNECT_TCP;
	}
	if (abi >= 6)
		r.scoped = LL_SCOPE_ABSTRACT_UNIX | LL_SCOPE_SIGNAL;
	return r;
}

static int
allow_root(int ruleset, uint64_t access)
{
	struct ll_beneath b = { .access = access };
	int root, rc = RC_OK;

	if ((root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) == -1)
		return RC_SANDBOX;
	b.fd = root;
	if (syscall(SYS_landlock_add_rule, ruleset, LL_RULE_PATH_BENEATH, &b,
	    0) != 0)
		rc = RC_SANDBOX;
	fd_close(&root);
	return rc;
}

int
landlock_enter(const struct sbx_profile *p, int *abi, const char **step)
{
	struct ll_ruleset r;
	size_t size;
	long version;
	int fd, rc = RC_SANDBOX;

	*abi = 0;
	version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LL_CREATE_VERSION);
	if (version <= 0)		/* not built in, or switched off */
		return RC_OK;
	r = handled(p, (int)version);
	if (r.fs == 0 && r.net == 0 && r.scoped == 0)
		return RC_OK;
	/* an older kernel wants the structure as it knew it */
	size = version >= 6 ? sizeof(r) : version >= 4 ? 16 : 8;
	*step = "landlock_create_ruleset";
	fd = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
	if (fd == -1)
		return RC_SANDBOX;
	*step = "landlock_add_rule";
	if (p->files == SBX_FILES_ROOT &&
	    allow_root(fd, LL_KEEPER & r.fs) != RC_OK)
		goto out;
	*step = "landlock_restrict_self";
	if (syscall(SYS_landlock_restrict_self, fd, 0) != 0)
		goto out;
	*abi = (int)version;
	rc = RC_OK;
out:
	fd_close(&fd);
	return rc;
}
