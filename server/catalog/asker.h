#ifndef SERVER_CATALOG_ASKER_H
#define SERVER_CATALOG_ASKER_H

#include "server/catalog/audit.h"
#include "server/catalog/dial.h"
#include "server/catalog/events.h"

/*
 * An api worker's channel, its right, and the one query that it may have under
 * way.  Rows are made as long as the channel takes them, so a large answer
 * costs neither memory nor anybody else's time.
 */
#define ASKER_QUERY_MS	30000	/* from the query to its CAT_END */
#define ASKER_REACH_MS	25000
#define ASKER_PROBE_MS	8000
#define ASKER_PROBES	4	/* PROBE queries at once */
#define ASKER_USER_MAX	63
/* Each holds an api process for minutes: */
#define ASKER_STREAMS	16	/* SUBSCRIBE at once, RC_BUSY above */
#define ASKER_OWN_STREAMS 2	/* of one user, RC_LIMIT above */

/* What all askers share. */
struct office {
	struct catalog	*c;
	struct peers	*peers;
	struct dialer	*dialer;
	void		(*discover)(void *arg);
	void		*arg;
	unsigned	 probes;	/* under way */
	uint32_t	 last;
	const struct asker *streams[ASKER_STREAMS];
};

enum asker_state { ASKER_IDLE, ASKER_ROWS, ASKER_WAITS, ASKER_LISTENS };

struct reach {
	uint16_t	port;
	int		rc;
	uint32_t	ms;
	bool		done;
};

struct asker {
	struct office	*o;
	/* the grant */
	uint8_t		 right;		/* enum right */
	uint8_t		 identity[ED25519_LEN];
	struct addr	 addr;
	char		 user[ASKER_USER_MAX + 1];
	/* MSG_CAT_ROW and the others; RC_LIMIT ends the asker */
	int		(*send)(void *arg, enum msg_type type,
			    const struct wbuf *body);
	bool		(*full)(void *arg);
	void		*arg;
	/* the query */
	enum asker_state state;
	uint32_t	 number;
	uint8_t		 op;
	char		 who[ASKER_USER_MAX + 1];
	uint64_t	 began;		/* ms */
	unsigned	 phase, rows;
	sqlite3_stmt	*st;
	struct audit_walk walk;
	struct reach	 reach[TASK_PORTS_MAX];
	uint8_t		 n_reach;
	bool		 probing;
	uint64_t	 event;		/* the last one sent */
};

void	asker_init(struct asker *a, struct office *o);
void	asker_clear(struct asker *a);
/* A MSG_CAT_QUERY.  A failure costs the channel: malformed, or not now. */
int	asker_query(struct asker *a, struct rbuf *body);
/* Goes on with what is under way.  RC_AGAIN: there is more to do at once. */
int	asker_go(struct asker *a);
/* A dial of this asker's ended. */
int	asker_dialed(struct asker *a, const struct dial *v, int rc,
	    struct rbuf *more);

/* --- within --- */
int	asker_end(struct asker *a, int rc, const char *text);
int	asker_row(struct asker *a, struct wbuf *row);	/* sends and frees it */
/* Refuse, accept and audit a change: RC_OK went on to the end. */
int	asker_changed(struct asker *a, const char *act, const char *object,
	    const char *detail, int rc);

/* rows.c: the queries that are a statement each */
int	rows_begin(struct asker *a, struct rbuf *in);
/* RC_AGAIN: one row was sent; RC_OK: no more. */
int	rows_step(struct asker *a);
/* peerops.c */
int	peer_op(struct asker *a, struct rbuf *in);
int	reach_end(struct asker *a);

#endif
