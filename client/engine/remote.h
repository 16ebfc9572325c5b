#ifndef CLIENT_ENGINE_REMOTE_H
#define CLIENT_ENGINE_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/keys.h"
#include "common/proto.h"
#include "common/token.h"
#include "privsep/link.h"

/*
 * The client's half of the backup protocol, over a link to net.  One thread
 * owns it.  Everything is pipelined: calls send and return; answers come as
 * callbacks from remote_poll(), which every call that has to wait (for credit,
 * for an answer) runs inside itself.  Both directions always move while it
 * waits.  After any failure the connection is over; remote_error() says why.
 * A callback must not call back into remote (RC_STATE where it would wait):
 * note what is to be done and do it after.  A failure that a callback of
 * struct remote_events returns ends the connection; one that an `each` returns
 * only ends the telling, the rest is read and dropped.
 */
struct remote;

struct remote_events {
	void	*arg;
	/* answer to remote_have(): n of enum have, in the order asked */
	int	(*have)(void *arg, uint64_t cookie, const uint8_t *have, size_t n);
	/* PUTs so far received and durable on the server, of this connection */
	int	(*ack)(void *arg, uint64_t received, uint64_t durable);
	/* an answer to remote_get() or remote_walk(); wire NULL: the vault does
	 * not have it (len 0), or it came damaged (len 1) */
	int	(*object)(void *arg, uint32_t request, const struct object_id *id,
		    const uint8_t *wire, size_t len);
	/* the server asks for objects to be sent again */
	int	(*wanted)(void *arg, const struct object_id *ids, size_t n);
};

/* Takes the link.  Waits for NET_UP, says HELLO, checks the identity key's
 * fingerprint (NULL: first contact over TLS without a pin, whoever answers; the
 * caller looks at remote_spki() and remote_hello()).  *r is set on failure too
 * (NULL only for RC_NOMEM), for remote_error(); close it. */
int	remote_open(struct remote **r, struct link *l,
	    const uint8_t identity_fp[32], const struct remote_events *ev);
void	remote_close(struct remote *r);		/* BYE, then frees */
void	remote_set_events(struct remote *r, const struct remote_events *ev);
const char *remote_error(const struct remote *r);	/* for people */
uint16_t remote_error_code(const struct remote *r);	/* PROTO_ERR_*, 0 none */
const struct hello_ok *remote_hello(const struct remote *r);
const uint8_t *remote_spki(const struct remote *r);	/* 32; first contact */

int	remote_enrol(struct remote *r, const struct token *t,
	    const uint8_t client_key[ED25519_LEN], struct enrol_ok *ok);
int	remote_login(struct remote *r, const struct keys *k, struct auth_ok *ok);

/* Pairing, before any log-in (remote_pair.c).  RC_UNSUPPORTED when the server
 * does not know it. */
int	remote_pair(struct remote *r, const struct pair *p, struct pair_ok *ok);
/* PAIR_OPEN after remote_pair(), or PAIR_POLL on a connection of its own.
 * Wipe *state: it may hold a token. */
int	remote_pair_open(struct remote *r, const struct pair_open *p,
	    struct pair_state_msg *state);
int	remote_pair_poll(struct remote *r, const struct pair_open *p,
	    struct pair_state_msg *state);

int	remote_run_begin(struct remote *r, const struct run_begin *b,
	    struct run_ok *ok);	/* ok->wanted valid until the next call */
/* Waits for credit when there is none. */
int	remote_have(struct remote *r, uint64_t cookie,
	    const struct object_id *ids, size_t n);
int	remote_put(struct remote *r, const uint8_t *wire, size_t len);
int	remote_flush(struct remote *r, bool durable, struct ack *a);
/* RC_OK with the server part, whose signature was verified; RC_MISSING with up
 * to PROTO_IDS_MAX ids in missing and their count in *n. */
int	remote_commit(struct remote *r, const uint8_t *snap, size_t len,
	    struct snapshot_server *server, struct object_id *missing, size_t *n);
/* How the run went, if the server asked for that at HELLO; no answer, and no
 * failure.  The last thing to be said: events are given up. */
void	remote_report(struct remote *r, const struct report *rep);

/* Pages through by itself. */
int	remote_list(struct remote *r, const uint8_t job[16], uint64_t after,
	    int (*each)(void *arg, const struct listed *l), void *arg);
int	remote_records(struct remote *r, uint8_t kind, uint64_t after,
	    int (*each)(void *arg, const struct record *rec), void *arg);
int	remote_record_add(struct remote *r, uint8_t kind, const void *p,
	    size_t n, uint64_t *seq);

/* Objects come through the `object` callback, in the server's order.  Waits
 * only for credit. */
int	remote_get(struct remote *r, const struct object_id *ids, size_t n,
	    uint8_t copy, uint32_t *request);
/* Preorder walk to its end, cursors and budget included: returns when all was
 * delivered. */
int	remote_walk(struct remote *r, const struct object_id *root,
	    uint8_t what);
int	remote_verify(struct remote *r, uint8_t percent,
	    int (*each)(void *arg, const struct finding *f), void *arg,
	    struct verify_end *end);
int	remote_bad(struct remote *r, const struct object_id *id, uint8_t copy);

/* Move what can be moved, waiting at most timeout_ms (0: not at all).  wake_fd
 * (-1: none) ends the wait early when it becomes readable. */
int	remote_poll(struct remote *r, int timeout_ms, int wake_fd);
bool	remote_outstanding(const struct remote *r);	/* GETs not answered yet */

#endif
