#ifndef CLIENT_CLI_DOCTOR_H
#define CLIENT_CLI_DOCTOR_H

#include <sys/types.h>

#include "client/cli/cli.h"

/*
 * storegrid doctor: what keeps this machine from its server.  doctor.c looks,
 * doctor_judge.c says what it means and what to do; the second knows no system
 * calls, so that each of its sentences can be tested.
 */
enum level { LEVEL_OK, LEVEL_WARN, LEVEL_FAIL };

struct verdict {
	char		check[24];	/* "port GUI" */
	enum level	level;
	int		code;		/* of the command, when it is a failure */
	char		text[512];
	char		advice[512];	/* "" none */
};

enum doctor_port { DOCTOR_SERVER, DOCTOR_SSL, DOCTOR_GUI, DOCTOR_WEBSSL,
	DOCTOR_PORTS };
enum reach { REACH_OPEN, REACH_REFUSED, REACH_FILTERED, REACH_NONE };

/* RC_* and errno of resolve's answer. */
enum reach judge_reach(int rc, int err);
/* The name could not be looked up (RC_NOENT, RC_AGAIN), or could. */
void	judge_name(struct verdict *f, const char *host, int rc,
	    const char *said);
/* used: it is the one that this client's backups go through. */
void	judge_port(struct verdict *f, enum doctor_port which, uint16_t port,
	    enum reach reach, bool used);
/* Of a machine that is not enrolled there: RC_* and what net said. */
void	judge_tls(struct verdict *f, int rc, const char *said,
	    const uint8_t pin[32]);
/* Two findings: TLS with the pin, and the log-in.  True: both were judged. */
bool	judge_login(struct verdict f[2], int code, const char *said);
void	judge_clock(struct verdict *f, int64_t server_minus_own_ns);
/* Ports of the enrolment and of this machine's configuration (0: no wish). */
void	judge_ports_differ(struct verdict *f, const char *key, uint16_t token,
	    uint16_t conf);
struct doctor_dir {
	const char	*path;
	int		 err;		/* of stat(2) */
	mode_t		 mode;
	uid_t		 uid, want;
	bool		 empty;		/* no enrolment is in it */
};
void	judge_dir(struct verdict *f, const struct doctor_dir *d);
void	judge_space(struct verdict *f, const char *path, uint64_t free_bytes,
	    uint64_t total);
void	judge_sandbox(struct verdict *f, bool seccomp, int landlock_abi);
void	judge_users(struct verdict *f, uid_t euid);
/* The exit code of one more finding: pin, log-in, reachability, the rest. */
int	judge_worse(int code, const struct verdict *f);
const char *judge_level(enum level l);

/* The verb; all of it. */
int	prepare_doctor(struct cli *c, char *err, size_t size);

#endif
