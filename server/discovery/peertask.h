#ifndef SERVER_DISCOVERY_PEERTASK_H
#define SERVER_DISCOVERY_PEERTASK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/peerinfo.h"
#include "common/rbuf.h"
#include "common/tls.h"
#include "privsep/chan.h"
#include "server/discovery/peerhttp.h"
#include "server/discovery/peerjson.h"

/*
 * What sg-peer does on its one connection (server/discovery/task.h): prove who
 * is there, prove who we are, then the purpose.
 */
struct peer_task {
	/* set by the caller */
	struct chan	*parent;	/* its STOP or end cancels; may be NULL */
	struct chan	*catalog;	/* PEER_SEEN and PEER_END go there */
	struct chan	*keyd;		/* one KEYD_PEER */
	struct tls_ctx	*ctx;		/* tls_client_ctx_any() */
	uint8_t		 self[ED25519_LEN];	/* our identity */
	int		 fd;		/* stays the caller's */
	uint64_t	 deadline;	/* io_now_ms() */

	/* PEER_DO */
	uint8_t		 purpose;
	uint8_t		 identity[ED25519_LEN], pin[SHA256_LEN];
	struct peer_info me;
	struct peer_entry entries[TASK_ENTRIES_MAX];
	size_t		 n_entries;
	uint16_t	 ports[TASK_PORTS_MAX];
	size_t		 n_ports;

	/* what came of it */
	struct peer_info far;		/* proved once `known` */
	bool		 known;
	struct peer_reach reach[TASK_PORTS_MAX];
	size_t		 n_reach;
	char		 text[160];	/* why not, for people */

	/* private */
	struct tls	*tls;
	bool		 closing;	/* no further request */
	size_t		 have;
	char		 in[PEERHTTP_HEAD_MAX + PEERHTTP_BODY_MAX];
};

/* A PEER_DO's body. */
int	peer_task_parse(struct rbuf *in, struct peer_task *t);
/* All of it, with PEER_SEEN on the way; RC_*.  RC_CANCELLED: the parent wants
 * us to end. */
int	peer_task_run(struct peer_task *t);
/* PEER_END with what came of it. */
int	peer_task_end(struct peer_task *t, int rc);

#endif
