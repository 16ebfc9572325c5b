#ifndef CLIENT_CLI_RUN_H
#define CLIENT_CLI_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/cli/cli.h"
#include "client/cli/show.h"
#include "privsep/chan.h"
#include "privsep/spawn.h"

/*
 * One run of the command as the client's master: an engine, one resolve at a
 * time, a net for each connection.  run.c has the loop, dial.c what happens
 * between ENGINE_CONNECT and ENGINE_NET.
 */
#define RUN_NETS_MAX	8

struct child {
	enum role	 role;		/* ROLE_NONE: free */
	pid_t		 pid;
	struct chan	*chan;		/* NULL when it has ended */
};

struct dial {
	bool		 busy;
	char		 host[256];
	uint16_t	 port;
	uint8_t		 tls;		/* enum net_tls */
	uint8_t		 pin[32];
	uint64_t	 until;		/* when we give up */
};

struct run {
	struct cli	*cli;
	struct show	*show;
	struct spawner	*spawner;
	struct child	 engine, resolve, nets[RUN_NETS_MAX];
	struct dial	 dial;
	char		 empty[64];	/* net's root, until it lives in it */
	int		 sig_fd;
	unsigned	 signals;	/* seen */
	uint64_t	 kill_at;	/* 0: not stopping */
	bool		 done;
	int		 code;
	char		 text[1024];
};

/* Runs c->args in an engine, once in the life of a command; what it tells goes to
 * `show`, which is left without its end.  The exit code, and a sentence. */
int	run_engine(struct cli *c, struct show *show, char *text, size_t size);

/* run.c, for dial.c */
int	child_start(struct run *r, struct child *ch, enum role role);
void	child_end(struct run *r, struct child *ch);	/* reaps; says why */
int	child_recv(struct child *ch, struct msg *m);
int	child_log(struct run *r, const struct child *ch, struct msg *m);

/* dial.c: RC_OK, or what makes the engine's request a broken one */
int	dial_request(struct run *r, struct msg *m);
void	dial_resolve_event(struct run *r);
void	dial_net_event(struct run *r, struct child *ch);
void	dial_timeout(struct run *r);
/* As root: an empty directory for the root of a process, in r->empty; it is
 * removed once the process says READY. */
int	dial_empty_make(struct run *r);
void	dial_empty_drop(struct run *r);

#endif
