#ifndef SERVER_MASTER_MASTER_H
#define SERVER_MASTER_MASTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/conf.h"
#include "privsep/chan.h"
#include "privsep/confload.h"
#include "privsep/role.h"
#include "privsep/spawn.h"
#include "server/addr.h"
#include "server/master/notify.h"
#include "server/master/ports.h"

/*
 * The master's own state, shared by the files of this folder and by nobody
 * else.  One process, one thread, one loop (loop.c); a process it started is a
 * struct proc (proc.c), what becomes of its connections is pool.c, the stores
 * are vaults.c, deaths are reap.c.
 */
#define EXIT_CONFIG		78	/* EX_CONFIG */
#define EXIT_TEMPFAIL		75	/* another master has the state */

#define MASTER_API_IDLE		2
#define MASTER_API_MAX		16	/* of the control socket */
#define MASTER_GUI_MAX		64	/* of Ports.GUI */
#define MASTER_GUI_HALFOPEN	32	/* ... without a right yet */
#define MASTER_WORKERS_MAX	900	/* sessions and stores, see CHANNELS_MAX */
#define MASTER_WAITING_MAX	256	/* connections waiting for a worker */
#define MASTER_WAITING_MS	10000
#define MASTER_PENDING_MAX	64	/* grants waiting for one store */
#define MASTER_STORE_IDLE_MS	30000
#define MASTER_DRAIN_MS		10000	/* sessions, after STOP */
#define MASTER_DRAIN_STORE_MS	30000
#define MASTER_BACKOFF_MIN_MS	100
#define MASTER_BACKOFF_MAX_MS	30000
#define MASTER_SPAWN_AGAIN_MS	1000	/* no descriptors or processes left */
#define MASTER_SETUP_MS		30000	/* a worker's, until READY */
#define MASTER_LOGIN_MS		40000	/* a session's, which keeps 30 itself */
#define MASTER_STATUS_MS	1000	/* STATUS waits for those that start */
#define MASTER_API_MS		900000	/* an event stream begins anew */
#define MASTER_PEERS_MAX	8
#define MASTER_PEER_MS		40000
#define MASTER_DIALS_MAX	32
#define MASTER_WORKER_TRIES	8	/* that die at once at the start */
#define MASTER_START_TRIES	3	/* of a role, before the server is up */

struct master;
struct proc;
struct vault;

/* A connection as the listener described it. */
struct conn {
	uint64_t	id;
	uint8_t		kind;		/* enum port_kind */
	uint8_t		verdict;	/* CONN_* */
	struct addr	addr;
	struct addr	network;	/* its /24 or /48 */
};

/* A message that did not fit into a channel yet. */
struct queued {
	struct queued	*next;
	uint16_t	 type;
	int		 fd;		/* -1, or ours */
	size_t		 len;
	uint8_t		 body[];
};

enum proc_state {
	PROC_STARTING = 0x01,		/* not READY yet */
	PROC_IDLE = 0x02,		/* READY; a worker without connection */
	PROC_BUSY = 0x04,		/* a worker with one */
	PROC_STOPPING = 0x08,		/* told to end, or being killed */
};
#define PROC_LIVE	(PROC_STARTING | PROC_IDLE | PROC_BUSY)

struct proc {
	struct proc	*next;
	struct master	*m;
	enum role	 role;
	enum proc_state	 state;
	pid_t		 pid;
	uid_t		 uid;
	uint32_t	 worker;	/* its number at keyd and auth */
	struct chan	*chan;		/* NULL after it was dropped */
	int64_t		 started;	/* wall seconds */
	uint64_t	 since_ms;	/* of its state (monotonic) */
	uint64_t	 kill_at;	/* 0: not to be killed */
	bool		 ready;		/* it said so */
	bool		 ended_by_us;
	bool		 outside;	/* systemd started it: no child of ours */
	struct queued	*out, **out_tail;
	unsigned int	 nout;
	/* session and api */
	struct conn	 conn;
	bool		 authed;
	/* api */
	uint8_t		 right;		/* enum right */
	uint8_t		 identity[32];	/* of a peer that called */
	char		 user[64];
	/* peer */
	uint32_t	 dial;
	uint8_t		 event;		/* enum auth_event, 0 none */
	uint64_t	 status_at;	/* asked; answered by then */
	uint8_t		 client[16];	/* after the grant */
	/* session after its grant, and store */
	struct vault	*vault;
};

/* A connection that waits for an idle worker. */
struct waiting {
	struct waiting	*next;
	struct conn	 conn;
	int		 fd;
	uint64_t	 since_ms;
};

struct grant {
	struct grant	*next;
	uint32_t	 worker;
	uint64_t	 conn;
	uint8_t		 vault[16], instance[16], client[16];
	uint8_t		 key[32];
	uint32_t	 rights;
	uint8_t		 create;
	uint64_t	 lock_seconds;
	uint8_t		 name[130];
};

/* The table of stores: one entry per vault in use. */
struct vault {
	struct vault	*next;
	uint8_t		 id[16], instance[16];
	struct proc	*proc;		/* NULL between two of them */
	bool		 open;		/* STORE_STATE came and was good */
	bool		 create;
	uint32_t	 runs;
	unsigned int	 sessions;
	uint64_t	 idle_ms;	/* nobody uses it since; 0: in use */
	struct grant	*pending, **pending_tail;
	unsigned int	 npending;
};

/* What a process is started for. */
struct task {
	struct vault		*vault;		/* store */
	const struct grant	*grant;		/* store */
	uint32_t		 dial;		/* peer */
};

/* A connection that the dialer was asked for. */
struct dial {
	uint32_t	 id;
	uint8_t		 purpose;	/* enum dial_purpose, 0: unused */
};

/* The long-lived roles: one process each, restarted with back-off. */
struct service {
	enum role	 role;
	bool		 needed;	/* no start without it */
	struct proc	*proc;
	uint64_t	 not_before;	/* of the next start */
	unsigned int	 backoff_ms;
	unsigned int	 failures;	/* in a row, without READY */
};

enum { SVC_LOGGER, SVC_KEYD, SVC_AUTH, SVC_LOGIN, SVC_CATALOG, SVC_MCAST,
	SVC_SCAN, SVC_DIALER, SVC_LISTENER, SVC_MAX };

enum phase {
	PHASE_START,			/* logger, keyd, auth */
	PHASE_UP,
	PHASE_DRAIN,			/* sessions end */
	PHASE_STORES,			/* stores end */
	PHASE_LAST,			/* the helpers, the logger last */
};

struct master {
	struct conf	 conf;
	const char	*conf_path;
	bool		 conf_given;	/* by -f: then it must be there */
	bool		 conf_missing;	/* defaults apply */
	char		 empty[CONF_STR_MAX];	/* Run/empty */
	bool		 to_journal;
	pid_t		 pid;
	uid_t		 euid;
	int		 lock_fd;
	bool		 keys_made;	/* keyd was READY once */
	struct spawner	*spawner;
	/* looked up once: passwd cannot be asked behind the filter */
	uid_t		 uid[ROLE_MAX];
	gid_t		 gid[ROLE_MAX];
	struct ports	 ports;
	struct notify	 notify;
	int64_t		 started;

	enum phase	 phase;
	uint64_t	 phase_end;	/* when patience ends */
	bool		 said_ready;
	int		 exit_code;
	bool		 done;

	struct service	 svc[SVC_MAX];
	struct proc	*procs;
	uint32_t	 next_worker;
	struct waiting	*waiting, **waiting_tail;
	unsigned int	 nwaiting;
	struct vault	*vaults;
	struct dial	 dials[MASTER_DIALS_MAX];
	/* workers that died before READY: slow down */
	unsigned int	 bad_starts;
	uint64_t	 spawn_after;
	uint64_t	 log_lost;

	struct confload	*reload;
	uint64_t	 reload_until;
	bool		 reload_again;
};

/* config.c */
/* The configuration file, by confparse; exits with EXIT_CONFIG when it is
 * refused. */
void	config_load(struct master *m);
/* What a range cannot say: mode, paths, addresses; RC_CONFIG. */
int	config_check(const struct conf *c, char *err, size_t size);
/* All values in effect, and which of them a reload changes. */
void	config_print(const struct conf *c);
/* Ids of all roles, once; RC_CONFIG. */
int	config_ids(struct master *m, char *err, size_t size);

/* init.c */
/* Make what is missing (make) or only look; one line of complaint per trouble
 * on stderr.  RC_CONFIG if there was one. */
int	init_dirs(struct master *m, bool make);
/* RC_BUSY with the holder's pid in *holder. */
int	lock_state(struct master *m, pid_t *holder);
int	lock_write(struct master *m);

/* loop.c */
void	loop_signals(void);		/* before the sandbox */
void	loop_run(struct master *m);
void	loop_due(uint64_t at);		/* wake no later than this */
uint64_t loop_now(void);		/* milliseconds, of this turn */

/* proc.c */
struct proc *proc_start(struct master *m, enum role role,
	    const struct task *t);		/* t may be NULL */
/* Takes the descriptor. */
struct proc *proc_adopt(struct master *m, enum role role, int fd, pid_t pid);
void	proc_free(struct proc *p);
/* Takes the body.  Never blocks: queues for a long-lived role, kills a worker
 * that does not read.  Failures have been dealt with when it returns. */
int	proc_send(struct proc *p, enum msg_type type, struct wbuf *body,
	    int fd);
void	proc_flush(struct proc *p);
void	proc_stop(struct proc *p, unsigned int patience_ms);
void	proc_kill(struct proc *p);
/* It sent something against the table, or its channel broke. */
void	proc_drop(struct proc *p, const char *why);
void	proc_set_state(struct proc *p, enum proc_state st);
struct proc *proc_by_worker(struct master *m, uint32_t worker);
struct proc *proc_by_pid(struct master *m, pid_t pid);
unsigned int proc_count(const struct master *m, enum role role,
	    unsigned int states);
struct proc *svc_proc(struct master *m, enum role role);
/* Up, or about to be: what is sent to it will be read. */
bool	svc_live(struct master *m, enum role role);
void	master_log_sink(struct master *m);
/* "session" and its connection's address for a log line. */
const char *proc_text(const struct proc *p, char *out, size_t size);

/* links.c: channels to logger, keyd, auth and catalog */
int	links_make(enum role role, struct spawn *s, int far[SPAWN_FDS_MAX]);
int	links_hand(struct proc *p, const int far[SPAWN_FDS_MAX]);
void	links_rejoin(struct master *m, enum role far);
/* The far end of one channel of p, to that helper. */
int	link_give(struct proc *p, enum role far, int fd);

/* pool.c */
int	on_conn(void *self, struct chan *c, struct msg *msg);
void	pool_worker_ready(struct proc *p);
void	pool_fill(struct master *m);
void	pool_tick(struct master *m);
void	pool_replace_idle(struct master *m);
void	pool_stop(struct master *m, unsigned int patience_ms);
void	pool_worker_gone(struct proc *p, bool crashed);
void	conn_state(struct master *m, uint64_t conn, enum conn_state st);

/* grants.c */
int	on_grant(void *self, struct chan *c, struct msg *msg);
int	on_auth_event(void *self, struct chan *c, struct msg *msg);
int	on_cut_off(void *self, struct chan *c, struct msg *msg);

/* users.c */
int	on_api_grant(void *self, struct chan *c, struct msg *msg);
int	on_api_cut(void *self, struct chan *c, struct msg *msg);
void	api_local(struct proc *worker);
void	audit(struct master *m, const char *act, const char *object,
	    const char *detail);

/* peers.c */
int	on_dial(void *self, struct chan *c, struct msg *msg);
int	on_dialed(void *self, struct chan *c, struct msg *msg);
void	dialer_gone(struct master *m);
/* The socket on which a dialer that systemd started comes; -1: we start it. */
int	dialer_socket(const struct master *m);
void	dialer_accept(struct master *m);
void	catalog_gone(struct master *m);
void	api_auth_gone(struct master *m);

/* vaults.c */
int	on_cat_wake(void *self, struct chan *c, struct msg *msg);
int	on_store_state(void *self, struct chan *c, struct msg *msg);
int	on_store_busy(void *self, struct chan *c, struct msg *msg);
void	vault_grant(struct master *m, struct proc *worker,
	    const struct grant *g);
void	vault_session_left(struct proc *worker);
void	vault_store_gone(struct proc *store);
void	vaults_tick(struct master *m);

/* reap.c */
void	reap(struct master *m);
void	services_tick(struct master *m);
void	start_failed(struct master *m, enum role role);
void	drain_begin(struct master *m);
void	drain_tick(struct master *m);

/* reload.c */
void	reload_begin(struct master *m);
void	reload_step(struct master *m);
void	reload_tick(struct master *m);

/* Is this role to run, by the configuration? */
bool	svc_wanted(const struct master *m, enum role role);

/* status.c */
int	on_status(void *self, struct chan *c, struct msg *msg);
void	status_tick(struct master *m);

#endif
