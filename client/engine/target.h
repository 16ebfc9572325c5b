#ifndef CLIENT_ENGINE_TARGET_H
#define CLIENT_ENGINE_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * Writing below one directory and nowhere else.  Whatever names a snapshot
 * holds and whatever somebody swaps in the target meanwhile: no link is
 * followed and no step leads above the directory.  Directories are opened by
 * openat2(RESOLVE_BENEATH), or name by name with O_NOFOLLOW where the kernel
 * or a service manager's filter has no openat2; everything else is one name in
 * an open directory.
 */
struct target {
	int	fd;		/* not owned */
};

/* A directory on its way to being restored; the owner of the plan keeps it
 * alive while any cache may be asked for it. */
struct tdir {
	struct tdir	*parent;	/* NULL: the target itself */
	uint64_t	 id;		/* never used again in this run */
	size_t		 name_len;
	char		 name[256];	/* with a NUL */
};

/* Open directories of one thread, the last few used. */
#define TARGET_OPEN_DIRS	16
struct tdir_cache {
	const struct target	*target;
	struct {
		uint64_t	id;	/* 0: free */
		uint64_t	used;
		int		fd;
	} slot[TARGET_OPEN_DIRS];
	uint64_t		 clock;
};
void	tdir_cache_init(struct tdir_cache *c, const struct target *t);
void	tdir_cache_clear(struct tdir_cache *c);
/* *fd belongs to the cache and is good until the next call. */
int	tdir_open(struct tdir_cache *c, const struct tdir *d, int *fd);

/* One directory name below an open one; takes and returns its own fd. */
int	target_open_dir(int dirfd, const char *path, int *fd);
/* For tests: behave as if the kernel had no openat2. */
void	target_without_openat2(bool on);

/* RC_OK unless the name could lead elsewhere ("", ".", "..", with a slash). */
int	target_name_check(const char *name, size_t len);

/*
 * A file is written under a temporary name and renamed when it is whole.  The
 * temporary name is made of the final one, so that what a killed restore left is
 * found and replaced by the next; it carries a mode that no file of a person
 * has (TARGET_TEMP_MODE), so that nothing else is taken for it.
 */
#define TARGET_TEMP_MODE	01600
#define TARGET_TEMP_NAME	256
int	target_temp(int dirfd, const char *name, char tmp[TARGET_TEMP_NAME],
	    int *fd);
/*
 * One that was made before, by its name.  Who may write in the directory may
 * have put another file there and hold it open, so it has to be the very same
 * (st_dev, st_ino), its owner's and under one name; RC_IO and ESTALE otherwise.
 */
int	target_temp_open(int dirfd, const char *tmp, const struct stat *made,
	    int *fd);
int	target_rename(int dirfd, const char *tmp, const char *name);
int	target_unlink(int dirfd, const char *name);

/* What belongs to a file besides its content. */
struct meta {
	uint32_t	 mode, uid, gid;
	int64_t		 mtime;
	uint32_t	 mtime_ns;
	const uint8_t	*xattrs;	/* xattr.h; NULL none */
	size_t		 xattrs_len;
};

/* What could not be set. */
#define META_NO_OWNER	0x01
#define META_NO_XATTR	0x02
#define META_NO_TIME	0x04
#define META_NO_MODE	0x08

/* On an open file or directory; the mode comes last.  Without its owner a file
 * does not get its set-id bits.  Returns META_* bits. */
unsigned meta_apply(int fd, const struct meta *m);
/* On a symlink or special file, by name, never following. */
unsigned meta_apply_at(int dirfd, const char *name, const struct meta *m);
/* Does an existing file have these already? (xattrs not looked at) */
bool	meta_same(const struct stat *st, const struct meta *m);

#endif
