#ifndef STORE_SERVE_H
#define STORE_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "privsep/link.h"
#include "server/store/iothread.h"
#include "server/store/tell.h"
#include "server/store/vault.h"
#include "server/store/verify.h"
#include "server/store/walk.h"

/*
 * The frames of sessions on one vault.  A session is a link and the right that
 * came with it; a run belongs to the vault and outlives it by RUN_GRACE_MS.
 */
#define SERVE_SESSIONS_MAX	64
#define SERVE_JOBS_MAX		64	/* requests of a session that wait */
#define SERVE_TURN_MS		20	/* of one session, then the others */
#define RUN_GRACE_MS		60000

/* An answer of more than one frame, sent as the session takes it. */
struct wanted;
struct answer {
	struct answer	*next;
	uint16_t	 type;		/* of the request */
	uint32_t	 request;
	/* GET: in the order of the packs */
	struct wanted	*want;
	size_t		 nwant, at;
	/* LIST, RECORD_GET */
	uint8_t		 job[16], kind;
	uint64_t	 after;
	unsigned	 left;
	/* WALK */
	struct walker	 walker;
	struct walk	 walk;		/* what was asked */
	uint8_t		*cursor;	/* its own copy, until it begins */
	uint64_t	 sent;
	/* VERIFY */
	struct verifier	*verifier;
};

struct session {
	struct session	*next;
	struct link	*link;
	uint64_t	 conn;
	struct grant	 grant;
	struct run	*run;
	bool		 ending;
	bool		 committing;
	bool		 put_failed;	/* told once a run */
	unsigned	 reports;	/* REPORT frames so far */
	uint64_t	 received, durable, at_sync;
	uint64_t	 acked_received, acked_durable;
	uint64_t	 ack_due_ms;
	uint32_t	 put_request;
	struct answer	*answers, **answers_tail;
	unsigned	 nanswers;
	size_t		 get_ids;
	bool		 stalled;	/* its answer waits for the link */
};

/* A COMMIT or FLUSH that waits for the disk. */
struct waiter {
	struct waiter	*next;
	struct session	*s;		/* NULL: it has left */
	uint32_t	 request;
	bool		 flush, written;
	struct grant	 grant;
	struct commit	 commit;
	struct feed_run	 told;		/* of its run, when that is over */
};

enum sync_phase { SYNC_IDLE, SYNC_PACKS, SYNC_JOURNAL };

struct server {
	struct vault	*v;
	struct io_pool	*io;
	struct session	*sessions;
	unsigned	 nsessions;
	struct waiter	*queue, **queue_tail;	/* for the next sync */
	struct waiter	*batch;			/* of the one under way */
	enum sync_phase	 phase;
	struct io_job	 job[3];
	int		 pending;
	int		 rcs[2];
	int		 begin_rc;
	uint64_t	 journal_size;
	uint64_t	 dirty_ms;
	bool		 more_work;
	struct tell	 tell;
};

void	server_init(struct server *srv, struct vault *v, struct io_pool *io);
/* Takes the channel. */
int	server_grant(struct server *srv, struct chan *c, uint64_t conn,
	    const struct grant *g);
void	session_end(struct server *srv, struct session *s);
/* Read and answer what has come. */
void	session_input(struct server *srv, struct session *s);
void	session_output(struct server *srv, struct session *s);
/* Something came back from the threads. */
void	server_io(struct server *srv);
/* Timed work; *wait_ms: call again by then. */
void	server_tick(struct server *srv, uint64_t now_ms, int *wait_ms);
/* Finish what is under way (STOP). */
void	server_drain(struct server *srv);

/* --- between serve.c, answers.c and sync.c --- */
void	send_small(struct session *s, uint16_t type, uint32_t request,
	    const struct wbuf *body);
void	send_error(struct session *s, uint32_t request, int rc,
	    const char *text);
/* Tell why, and end it. */
void	refuse(struct session *s, uint16_t code, const char *text);
int	answer_begin(struct server *srv, struct session *s,
	    const struct link_frame *f);
void	answers_work(struct server *srv, struct session *s);
void	answers_free(struct session *s);
int	on_commit(struct server *srv, struct session *s,
	    const struct link_frame *f);
int	on_flush(struct server *srv, struct session *s,
	    const struct link_frame *f);
void	sync_begin(struct server *srv);
void	sync_forget(struct server *srv, struct session *s);
void	send_ack(struct session *s, uint16_t type, uint32_t request);

#endif
