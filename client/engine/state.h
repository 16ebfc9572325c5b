#ifndef CLIENT_ENGINE_STATE_H
#define CLIENT_ENGINE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/keys.h"

/*
 * What a client remembers, below two directories that the command opened for
 * the engine (for an ordinary user both are the same):
 *   config: `client` (server, pin, ids, name, machine id) and `keys` (0600)
 *   state:  `sequence` and its `lock`, `jobs/HEX` (last snapshot of a job:
 *           sequence, id, receipt) and `jobs/HEX.lock`, `cache/HEX` (stat
 *           cache), `fids` (content ids)
 * Every file starts with a magic and a version and ends with a CRC-32C (the
 * locks are empty).
 */
struct state {
	int		config_fd, state_fd;
	char		host[256];
	uint16_t	port, ssl_port;
	bool		ssl;
	uint8_t		pin[32], identity_fp[32];
	uint8_t		vault[16], instance[16], client[16];
	char		name[130];
	uint8_t		machine[32];		/* SHA-256 of /etc/machine-id */
	bool		recovery_exported;
	uint64_t	sequence;		/* last client sequence used */
	bool		pending;		/* enrolled, vault key not there yet */
	bool		records_done;		/* KEY and PARAMS are in the vault */
};

struct job_state {
	char		label[64];
	uint8_t		job[16];
	uint8_t		snapshot[32];
	uint64_t	sequence;		/* client sequence of that snapshot */
	uint64_t	vault_seq, job_seq;
	uint8_t		receipt[32];		/* SHA-256 of the server part */
};

int	state_open(struct state **st, int config_fd, int state_fd);	/* no files read */
void	state_free(struct state *st);
/* RC_NOENT: not enrolled.  RC_CORRUPT names nothing; a copy on another machine
 * is RC_DENIED (machine id).  k is cleared first. */
int	state_load(struct state *st, struct keys *k);
int	state_save(const struct state *st, const struct keys *k);
/* Rename the files of an earlier enrolment to NAME.old-SECONDS. */
int	state_set_aside(const struct state *st);

/* The bytes of the files, for tests and fuzzing.  The keys file fills identity,
 * m, epochs and params only; its caller clears them. */
void	state_put(struct wbuf *out, const struct state *st);
int	state_get(const uint8_t *p, size_t n, struct state *st);
void	state_put_keys(struct wbuf *out, const struct keys *k);
int	state_get_keys(const uint8_t *p, size_t n, struct keys *k);
void	job_put(struct wbuf *out, const struct job_state *j);
int	job_get(const uint8_t *p, size_t n, struct job_state *j);

int	job_load(const struct state *st, const uint8_t job[16],
	    struct job_state *j);			/* RC_NOENT: none yet */
int	job_save(const struct state *st, const struct job_state *j);
int	jobs_each(const struct state *st,
	    int (*each)(void *arg, const struct job_state *j), void *arg);
/* One run per job (RC_BUSY).  The lock goes with the process. */
int	job_lock(const struct state *st, const uint8_t job[16], int *fd);
/* The client sequence: taken under a lock that is held until COMMITTED. */
int	sequence_lock(struct state *st, int *fd, uint64_t *next);
int	sequence_used(struct state *st, uint64_t seq);

#endif
