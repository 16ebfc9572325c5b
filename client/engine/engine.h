#ifndef CLIENT_ENGINE_ENGINE_H
#define CLIENT_ENGINE_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/keys.h"
#include "client/engine/remote.h"
#include "client/engine/state.h"
#include "privsep/chan.h"

/*
 * The engine process: it has the files and the keys, and no network.  main.c
 * takes one ENGINE_DO, runs the verb and answers ENGINE_DONE.  This is what the
 * verbs share.
 */
struct engine {
	struct chan	*cmd;		/* the command that started us */
	struct state	*state;		/* state.h: what this client remembers */
	struct keys	 keys;
	int		 target_fd;	/* restore: the target directory */
	int		 nthreads;	/* workers; made before the sandbox, see pool.h */
	atomic_bool	 cancelled;	/* STOP came, or the command went away */
	bool		 force;		/* enrol: put an existing state aside */
	/* SGConfiguration.conf's wishes; a port of 0 means the token's */
	uint16_t	 conf_port, conf_ssl_port;
	bool		 conf_ssl, conf_plaintext;
	char		 error[256];	/* why engine_connect() failed */
};

/* What the command shows or prints; fields in client/engine/event.h. */
int	engine_event(struct engine *e, const struct wbuf *body);
/* Ask for a connection, log in; *r is ready for use.  On failure *r is NULL and
 * e->error says why; engine_exit_code(rc, NULL) is right then. */
int	engine_connect(struct engine *e, struct remote **r,
	    const struct remote_events *ev, struct auth_ok *ok);
/* Progress at most every 100 ms; RC_CANCELLED when STOP came. */
struct progress {
	uint64_t	files, bytes, new_bytes, stored_bytes;
	uint64_t	total_files, total_bytes;	/* 0: not known */
	const char	*path;				/* current; may be NULL */
	const char	*phase;
};
int	engine_progress(struct engine *e, const struct progress *p);

/* Verbs.  Each returns a process exit code (client/engine/exit.h) and leaves a
 * sentence for people in `text`. */
struct backup_opt {
	const char	*job;			/* NULL: named by its paths */
	const char	**paths;		/* absolute, sorted */
	size_t		 npaths;
	const char	**exclude;
	size_t		 nexclude;
	bool		 exclude_caches, one_file_system, dry_run;
};
int	backup_run(struct engine *e, const struct backup_opt *o,
	    char *text, size_t size);

enum overwrite { OVERWRITE_NEVER, OVERWRITE_NEWER, OVERWRITE_ALWAYS };
struct restore_opt {
	const char	*snap;			/* "latest", id prefix, JOB@TIME ... */
	const char	*job;			/* for latest; NULL any */
	const char	*path;			/* inside the snapshot; NULL all */
	bool		 dry_run, verify;
	enum overwrite	 overwrite;
};
int	restore_run(struct engine *e, const struct restore_opt *o,
	    char *text, size_t size);
struct check_opt {
	const char	*snap;			/* NULL: all */
	int		 percent;		/* 0: graph only; else --read-data */
};
int	check_run(struct engine *e, const struct check_opt *o,
	    char *text, size_t size);
int	snapshots_run(struct engine *e, const char *job, char *text, size_t size);
int	ls_run(struct engine *e, const char *snap, const char *job,
	    const char *path, bool recursive, char *text, size_t size);
int	enrol_run(struct engine *e, const char *token, char *text, size_t size);
/* port 0: the usual one of a server. */
int	pair_run(struct engine *e, const char *host, uint16_t port, char *text,
	    size_t size);
int	recover_run(struct engine *e, const char *token, const char *secret,
	    bool is_passphrase, char *text, size_t size);
/* Where this client is enrolled, and a log-in there. */
int	doctor_run(struct engine *e, char *text, size_t size);
int	export_recovery_run(struct engine *e, char *text, size_t size);
int	passwd_run(struct engine *e, const char *passphrase, char *text,
	    size_t size);
/* The vault has our epoch key and parameters: adds what an interrupted enrol
 * left out.  backup_run calls it once after engine_connect(); it costs nothing
 * when enrolment was whole. */
int	records_ensure(struct engine *e, struct remote *r);
/* engine_connect() without the log-in (enrol, recover). */
int	engine_dial(struct engine *e, struct remote **r,
	    const struct remote_events *ev, bool tls_only);
/* The same over TLS to a server whose pin and identity nobody has told yet
 * (pair). */
int	engine_dial_first(struct engine *e, struct remote **r);
/* Does nothing for a while; RC_CANCELLED as soon as STOP came. */
int	engine_pause(struct engine *e, uint64_t ms);

/* Exit codes of DESIGN section 11. */
enum exit_code {
	EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INCOMPLETE = 3,
	EXIT_UNREACHABLE = 10, EXIT_AUTH = 12, EXIT_PIN = 13, EXIT_SPACE = 14,
	EXIT_INTEGRITY = 15, EXIT_PARTIAL = 16, EXIT_NOTHING = 17,
	EXIT_LATER = 75, EXIT_INTERRUPTED = 130,
};
/* From an RC_* and, when there is a connection, the server's ERROR. */
int	engine_exit_code(int rc, const struct remote *r);

#endif
