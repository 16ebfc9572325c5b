#ifndef PRIVSEP_SANDBOX_H
#define PRIVSEP_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/roles.h"

/*
 * What a role may ask of the kernel.  The table is privsep/profiles.c; one row
 * is one call with its reason.  sandbox_enter() sets no_new_privs, undumpable,
 * rlimits, Landlock (where the kernel has it) and the filter, in this order,
 * and returns RC_SANDBOX with the failed step; the default action kills the
 * process.  With --enable-trap a denied call is named on stderr first.
 */
enum sbx_what {
	SBX_ALLOW,		/* any arguments */
	SBX_ARGS,		/* every comparison holds */
	SBX_IN,			/* argument `arg` & mask is one of the values */
	SBX_ERRNO,		/* refused softly with errno `err`; with
				 * comparisons: only when they hold */
};

#define SBX_CMPS 4

struct sbx_cmp {
	uint8_t		arg;
	uint64_t	mask, value;
};

/*
 * Several rows for one call are alternatives.  Calls are known by name, since
 * numbers differ between machines and some calls exist on some only.
 */
struct sbx_rule {
	const char	*name;
	enum sbx_what	 what;
	int		 err;
	uint8_t		 ncmp;
	struct sbx_cmp	 cmp[SBX_CMPS];
	const char	*reason;
};

/* How much of the file system Landlock leaves, and what else it takes. */
enum sbx_files {
	SBX_FILES_NONE,		/* only what is open already */
	SBX_FILES_ROOT,		/* read and write below "/" (of its chroot) */
	SBX_FILES_ANY,		/* Landlock rules no files here */
};

struct sbx_profile {
	const struct sbx_rule	*rules;
	size_t			 n;
	enum sbx_files		 files;
	bool			 connects;	/* may connect by TCP */
	bool			 writes;	/* regular files: no FSIZE 0 */
};

/* NULL for a role without one (command). */
const struct sbx_profile *sandbox_profile(enum role role);

struct sbx_info {
	int	landlock_abi;		/* 0: the kernel has none */
};

int	sandbox_enter(enum role role, struct sbx_info *info, const char **step);
/* The same; `threads` starts the role's threads between Landlock and the
 * filter. */
int	sandbox_enter_threads(enum role role, int (*threads)(void *arg),
	    void *arg, struct sbx_info *info, const char **step);
/*
 * The master's filter: its own calls, program start-up and set-up and list of
 * every server role, since a filter is inherited through exec.  Called when all
 * sockets are bound, after drop_master().
 */
int	sandbox_master(const char **step);

/*
 * The tables behind a role's filter, and the filter itself; for sandbox.c and
 * the probe.  sandbox_tables() returns how many it stored (at most
 * SBX_TABLES_MAX).
 */
#define SBX_TABLES_MAX 24

struct sbx_table {
	const struct sbx_rule	*rules;
	size_t			 n;
};

size_t	sandbox_tables(enum role role, struct sbx_table out[SBX_TABLES_MAX]);
/* All rows of the call named, without those that a wider one makes idle.
 * Returns their number, at most max. */
size_t	filter_rows(const struct sbx_table *t, size_t nt, const char *name,
	    const struct sbx_rule **out, size_t max);
/* The number of a call on this machine, looking through the names of its
 * stand-ins (ppoll for poll); -1 when there is none. */
int	filter_number(const char *name);
int	filter_load(const struct sbx_table *t, size_t nt, const char **step);

/* Landlock: the ABI in force in *abi, 0 when the kernel has none. */
int	landlock_enter(const struct sbx_profile *p, int *abi, const char **step);

#endif
