#ifndef CLIENT_ENGINE_WALK_H
#define CLIENT_ENGINE_WALK_H

#include <sys/stat.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wbuf.h"

/*
 * Goes through the tree from `/`, depth first, each directory's names in order
 * of their bytes, never through a symlink.  Of the directories above a path
 * that was asked for, only that way is seen.  Every step is relative to an open
 * directory, so depth and length of paths have no limit; at most WALK_STACK
 * directories of the way are open at once.
 */
#define WALK_STACK	64
#define WALK_DIRS	320		/* open directories, jobs' included */

/* A directory that was entered.  It lives as long as somebody holds it. */
struct walk_dir {
	struct walk_dir	*parent;
	char		*name;
	int		 fd;		/* -1 while nobody needs it */
	unsigned int	 fd_holds, holds;
	dev_t		 dev;
	ino_t		 ino;
	void		*user;		/* the caller's */
};

struct walk_ops {
	void	*arg;
	/* Before its entries; d->user may be set.  name is NULL for `/`. */
	int	(*enter)(void *arg, struct walk_dir *d, const char *name,
		    const struct stat *st);
	int	(*leave)(void *arg, struct walk_dir *d);
	int	(*entry)(void *arg, struct walk_dir *d, const char *name,
		    const struct stat *st);
	/* Could not be read: goes into the report. */
	void	(*skip)(void *arg, const struct walk_dir *d, const char *name,
		    const char *reason);
	/* Left out on purpose. */
	void	(*note)(void *arg, const struct walk_dir *d, const char *name,
		    const char *text);
	/* Too many directories are open: jobs that wait to be started must be
	 * started. */
	int	(*flush)(void *arg);
	/* Has the run failed?  Then nothing is waited for.  NULL: never. */
	bool	(*stopped)(void *arg);
};

struct walk_opt {
	const char *const	*paths;		/* absolute */
	size_t			 npaths;
	const char *const	*exclude;
	size_t			 nexclude;
	bool			 exclude_caches, one_file_system;
};

/* *found: how many of the paths are there.  RC_RANGE: a path is not absolute or
 * has `..` in it. */
int	walk_run(const struct walk_opt *o, const struct walk_ops *ops,
	    size_t *found);

/* Keep the descriptor open (by the walker's thread, in a callback), and let it
 * go (by anybody). */
void	walk_hold(struct walk_dir *d);
void	walk_drop(struct walk_dir *d);
/* The whole path, with a NUL; name may be NULL. */
void	walk_path(const struct walk_dir *d, const char *name,
	    struct wbuf *out);

/* Sort by components, and drop what lies below another; *n may shrink. */
int	walk_sort_paths(char **paths, size_t *n);

#endif
