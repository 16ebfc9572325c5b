/*
 * Linked into sg-store with --wrap by tests/e2e/41-durability.sh: the same store,
 * but one kind of sync (SKIP) says that it was done and was not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/types.h>

enum kind {
	OTHER, NONE, DATA, NODES, JOURNAL, NEW_DATA, NEW_NODES, NEW_JOURNAL,
	IDENTITY, DIR_VAULTS, DIR_VAULT, DIR_PACKS, DIR_XXX, DIR_JOURNAL
};

#define FDS 1024

static unsigned char kinds[FDS];

int	__real_openat(int at, const char *name, int flags, ...);
int	__real_openat64(int at, const char *name, int flags, ...);
int	__real_fdatasync(int fd);
int	__real_fsync(int fd);
int	__wrap_openat(int at, const char *name, int flags, ...);
int	__wrap_openat64(int at, const char *name, int flags, ...);
int	__wrap_fdatasync(int fd);
int	__wrap_fsync(int fd);

static int
ends(const char *name, const char *with)
{
	size_t n = strlen(name), w = strlen(with);

	return n >= w && strcmp(name + n - w, with) == 0;
}

static enum kind
kind_of(int at, const char *name)
{
	enum kind in = at >= 0 && at < FDS ? kinds[at] : OTHER;

	if (ends(name, ".d.tmp"))
		return NEW_DATA;
	if (ends(name, ".n.tmp"))
		return NEW_NODES;
	if (ends(name, ".d"))
		return DATA;
	if (ends(name, ".n"))
		return NODES;
	if (strcmp(name, "vault.tmp") == 0 || strcmp(name, "vault.2.tmp") == 0)
		return IDENTITY;
	if (strcmp(name, "packs") == 0)
		return DIR_PACKS;
	if (strcmp(name, "journal") == 0)
		return DIR_JOURNAL;
	if (in == DIR_JOURNAL)
		return strcmp(name, "new.tmp") == 0 ? NEW_JOURNAL :
		    name[0] == '.' ? DIR_JOURNAL : JOURNAL;
	if (in == DIR_PACKS)
		return name[0] == '.' ? DIR_PACKS : DIR_XXX;
	if (in == DIR_VAULTS && strlen(name) == 32)
		return DIR_VAULT;
	/* Where it starts; then its root, which is the vault. */
	if (at == AT_FDCWD && strcmp(name, ".") == 0)
		return DIR_VAULTS;
	return OTHER;
}

static int
opened(int fd, int at, const char *name)
{
	if (fd >= 0 && fd < FDS)
		kinds[fd] = (unsigned char)kind_of(at, name);
	return fd;
}

static int
mode_of(int flags, va_list ap)
{
	return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, int) : 0;
}

int
__wrap_openat(int at, const char *name, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return opened(__real_openat(at, name, flags, mode), at, name);
}

int
__wrap_openat64(int at, const char *name, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return opened(__real_openat64(at, name, flags, mode), at, name);
}

/* A new file is synced once under its temporary name. */
static int
skipped(int fd)
{
	enum kind k = fd >= 0 && fd < FDS ? kinds[fd] : OTHER;

	if (k == NEW_DATA)
		kinds[fd] = DATA;
	else if (k == NEW_NODES)
		kinds[fd] = NODES;
	return k == SKIP;
}

int
__wrap_fdatasync(int fd)
{
	return skipped(fd) ? 0 : __real_fdatasync(fd);
}

int
__wrap_fsync(int fd)
{
	return skipped(fd) ? 0 : __real_fsync(fd);
}
