#ifndef SERVER_CATALOG_DIAL_H
#define SERVER_CATALOG_DIAL_H

#include "server/catalog/peers.h"
#include "server/discovery/task.h"

/*
 * When which peer is dialled, and what it is asked.  A dial is a number that
 * the master hands back: by DIAL_END when nothing comes of it, otherwise with
 * the channel of a peer process.
 */
#define DIALS_PEERS	4	/* exchanges and reach questions at once */
#define DIALS_PROBES	16	/* single ports at once */
#define DIALS_MAX	(DIALS_PEERS + DIALS_PROBES)
#define DIAL_WAIT_S	30	/* for the master's answer */
#define DIAL_TASK_S	25	/* for the peer process, TASK_MS and some */

struct dial {
	uint32_t	number;		/* 0: unused */
	uint8_t		purpose;	/* enum dial_purpose */
	int64_t		row;		/* of the peer; 0 for a probe */
	int64_t		until;
	uint32_t	asker;		/* who waits for it; 0 nobody */
	uint16_t	port;		/* probe */
	uint8_t		told;		/* entries that were taken from it */
	bool		met;		/* PEER_CALLED came */
	bool		running;	/* its process has come */
};

/* The answer for who waits: rc, and for DIAL_REACH what PEER_END went on with
 * (more is NULL when there is nothing). */
typedef void dial_done(void *arg, const struct dial *d, int rc,
    struct rbuf *more);

struct dialer {
	struct peers	*t;
	bool		 enabled;
	uint32_t	 interval, max;
	/* MSG_DIAL; must not wait */
	int		(*send)(void *arg, struct wbuf *body);
	dial_done	*done;
	void		*arg;
	uint32_t	 last;
	struct dial	 v[DIALS_MAX];
};

/* Numbers start anywhere: the master may still have those of a catalog that
 * died. */
void	dialer_init(struct dialer *d, struct peers *t);
void	dialer_conf(struct dialer *d, const struct conf *conf);
/* Once a second: who is due, who took too long. */
void	dialer_tick(struct dialer *d);
/* Everybody who may be dialled at all is due. */
void	dialer_all_now(struct dialer *d);

/* RC_BUSY: too many at once; RC_DENIED: not to be dialled. */
int	dial_peer(struct dialer *d, struct peer *p, uint8_t purpose,
	    uint32_t asker);
int	dial_probe(struct dialer *d, const struct addr *addr, uint16_t port,
	    const struct peer_info *info, uint8_t how, uint32_t asker);
/* Who waited is gone. */
void	dial_forget_asker(struct dialer *d, uint32_t asker);

/* DIAL_END; an unknown number is an old one. */
void	dial_end(struct dialer *d, uint32_t number, int rc);
/* The peer process of this dial came: body of PEER_DO.  RC_NOENT. */
int	dial_task(struct dialer *d, uint32_t number, struct wbuf *out);
/* What it says.  A failure costs it the channel. */
int	dial_seen(struct dialer *d, uint32_t number, struct rbuf *in);
int	dial_result(struct dialer *d, uint32_t number, struct rbuf *in);
/* Its channel closed; without effect after dial_result(). */
void	dial_lost(struct dialer *d, uint32_t number);

/* PEER_SEEN. */
struct seen {
	uint8_t			how;
	struct addr		addr;
	struct peer_info	info;
};
int	seen_get(struct rbuf *in, struct seen *s);
/* n u16 and the entries that others may hear, without that one. */
void	dial_put_entries(struct peers *t, struct wbuf *out,
	    const uint8_t not_id[ED25519_LEN], size_t max);
void	dial_put_self(struct peers *t, struct wbuf *out);

#endif
