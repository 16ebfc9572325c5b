#ifndef SERVER_SESSION_LOGIN_H
#define SERVER_SESSION_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/proto.h"
#include "common/rbuf.h"
#include "common/wbuf.h"
#include "privsep/messages.h"
#include "privsep/relay.h"

/*
 * The conversation before the grant: HELLO, ENROL, AUTH, or a pairing.  Nothing
 * is decided here; auth and keyd are asked through these calls.
 */
struct login_ops {
	int	(*nonce)(void *arg, uint8_t nonce[32]);
	/* keyd's signature under a hello in clear text */
	int	(*sign_hello)(void *arg, const struct wbuf *text,
		    uint8_t sig[ED25519_SIG_LEN]);
	/* AUTH_LOGIN, AUTH_ENROL or AUTH_PAIR; *answer is the body of
	 * AUTH_ANSWER, valid until the next call */
	int	(*ask)(void *arg, enum msg_type what, const struct wbuf *body,
		    struct rbuf *answer);
};

struct login {
	/* given */
	struct relay		*relay;
	bool			 tls;
	uint8_t			 exporter[32];	/* zeros in clear text */
	const char		*id;		/* StoreGrid ID */
	uint8_t			 identity[ED25519_LEN];
	const struct login_ops	*ops;
	void			*arg;
	uint64_t		 deadline;	/* io_now_ms() */
	/* what both sides know, after the hellos */
	uint64_t		 features;
	/* result */
	uint32_t		 request;	/* of the AUTH frame */
	uint8_t			 vault[16], instance[16];
	uint32_t		 rights;
	char			 name[130];
	/* why it failed: what to tell the peer, and whether to log it here
	 * (auth tells of its own refusals) */
	uint16_t		 code;
	char			 text[256];
	bool			 told;
	bool			 paired;	/* RC_EOF: that was all, and well */
};

/* RC_OK: auth has granted.  The refusal is not sent yet otherwise.  A pairing
 * is granted nothing: it ends in RC_EOF with `paired` set. */
int	session_login(struct login *l);

#endif
