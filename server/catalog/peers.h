#ifndef SERVER_CATALOG_PEERS_H
#define SERVER_CATALOG_PEERS_H

#include "common/conf.h"
#include "common/peerinfo.h"
#include "server/addr.h"
#include "server/catalog/catalog.h"
#include "server/catalog/query.h"

/*
 * Other installations: a table of PEERS_MAX in memory, written through to
 * catalog.db.  Who is who is the identity key and nothing else.  doc/CATALOG.md
 * "Peers" has the rules: what is believed of whom, when a row is a conflict, who
 * gives way when the table is full.
 */
#define PEERS_MAX	1000
#define PEERS_RUMOURS	256	/* of them heard of, never met */
#define PEER_LABEL_MAX	63
#define PEER_SLACK	10	/* seconds beyond three intervals */
#define PEER_ASK_EVERY	10	/* EXCHANGE and PROBE of one identity, seconds */

struct peer {
	int64_t		 row;
	struct peer_info info;		/* identity zeros: not met yet, id "?" */
	struct addr	 addr;		/* with the port that is dialled */
	uint8_t		 addr_how;	/* enum peer_how: who told of the address */
	uint8_t		 how;		/* the first that told of it */
	bool		 hand;		/* in the list by a person */
	bool		 compared;	/* and with a fingerprint */
	bool		 conflict, pin_bad, hidden;
	char		 fp[PEER_FP_LEN + 1];	/* insisted on; "" any */
	char		 label[PEER_LABEL_MAX + 1];
	int64_t		 first_seen;
	int64_t		 udp_seen, tcp_seen;	/* contacts, 0 never */
	int64_t		 up_since, heard;
	int64_t		 proven;	/* its key was proven on a connection */
	/* not kept */
	bool		 dirty, up;
	int64_t		 next_dial, asked_exchange, asked_probe;
	uint32_t	 dial, fails;
};

struct peers {
	struct catalog	*c;
	struct peer_info self;
	struct peer	*v[PEERS_MAX];
	size_t		 n;
	uint32_t	 exchange_interval;
};

int	peers_load(struct peers *t, struct catalog *c);
void	peers_free(struct peers *t);
/* Our own words, from the configuration; identity and pin are set already. */
void	peers_conf(struct peers *t, const struct conf *conf);
/* What changed without being written at once (contacts). */
int	peers_flush(struct peers *t);
/* Every few seconds: states; rumours that nothing came of. */
int	peers_tick(struct peers *t);

int64_t	peer_seen(const struct peer *p);
enum peer_state peer_state(const struct peers *t, const struct peer *p);
int64_t	peer_since(const struct peers *t, const struct peer *p);
void	peer_fp(const struct peer *p, char out[PEER_FP_LEN + 1]);
bool	peer_known(const struct peer *p);	/* has an identity */
/* May we connect to it?  The dialer asks the same once more. */
bool	peer_may_dial(const struct peer *p);

struct peer *peers_by_identity(struct peers *t, const uint8_t id[ED25519_LEN]);
struct peer *peers_by_row(struct peers *t, int64_t row);
/* First digits of the fingerprint, the id or the address: RC_NOENT, RC_EXISTS
 * when more than one fits. */
int	peers_find(struct peers *t, const char *text, struct peer **out);

/*
 * Somebody was met: `how` is MCAST, SCAN or CALLED, with the signature checked
 * by who met it.  `from` names the row that was dialled, or NULL.  RC_DENIED:
 * not taken.
 */
int	peers_met(struct peers *t, uint8_t how, const struct addr *addr,
	    const struct peer_info *info, struct peer *from);
/* Another peer told of it: changes nothing of what we know. */
int	peers_heard(struct peers *t, const struct addr *addr,
	    const struct peer_info *info);
/* The row that was dialled has another key. */
int	peers_other_key(struct peers *t, struct peer *p,
	    const uint8_t identity[ED25519_LEN], const uint8_t pin[SHA256_LEN]);

int	peers_add(struct peers *t, const struct addr *addr, const char *fp,
	    const char *label, struct peer **out);
int	peers_rm(struct peers *t, struct peer *p);
int	peers_forget(struct peers *t, struct peer *p);

/* Up to n entries for others: met by ourselves, up, dialable, not `not_id`. */
size_t	peers_tell(struct peers *t, const uint8_t not_id[ED25519_LEN],
	    struct peer *out[], size_t n);

/* --- within --- */
/* peers_claim.c: who is whom, and who gives way */
int	peer_judge(struct peers *t, struct peer *p);
int	peers_judge(struct peers *t);	/* those in conflict, anew */
int	peer_set_conflict(struct peers *t, struct peer *p, bool conflict);
int	peer_tell_conflict(struct peers *t, const struct peer *p);
int	peer_new(struct peers *t, bool by_hand, struct peer **out);
int	peer_remove(struct peers *t, struct peer *p);
/* peers_store.c */
int	peer_save(struct peers *t, struct peer *p);
int	peer_delete(struct peers *t, struct peer *p);
int	peer_body_get(struct rbuf *in, struct peer *p);

#endif
