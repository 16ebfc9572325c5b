#ifndef TESTS_FAULT_HOSTILE_H
#define TESTS_FAULT_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/proto.h"
#include "common/secret.h"
#include "common/tls.h"
#include "common/token.h"
#include "common/wbuf.h"

/*
 * An attacker who knows the whole protocol and has an account: it may enrol,
 * log in, and then say anything at all.  Only for the tests; see hostile.c.
 */
#define WAIT_MS		5000		/* for an answer that has to come */
#define HOLD_MS		25000		/* for the server's clocks */

/* Where the server is and who we are. */
struct target {
	char		 host[64];
	uint16_t	 port;
	char		 from[64];	/* source address; "": any */
	bool		 clear;
	bool		 have_token, have_key;
	struct token	 token;
	struct tls_ctx	*ctx;
	uint8_t		 identity_fp[32];
	/* the key file: an enrolled client */
	uint8_t		 pin[32];
	uint8_t		 client[16], vault[16];
	struct secret	 priv;
	uint8_t		 pub[ED25519_LEN];
};

enum ending {
	END_NONE,		/* not at an end */
	END_ERROR,		/* an ERROR frame, and closed after it */
	END_OPEN_ERROR,		/* an ERROR frame, but it stays open */
	END_REFUSED,		/* ERROR to one request; it goes on */
	END_BYE,
	END_CLOSED,
	END_RESET,
	END_TLS,		/* an alert, or no TLS at all */
	END_PIN,
	END_SILENCE,		/* nothing came while we waited */
	END_MAX
};

struct conn {
	int			 fd;
	struct tls		*tls;
	bool			 clear;
	struct wbuf		 in;
	size_t			 in_off;
	uint8_t			 exporter[32];
	struct wbuf		 hello, ok;
	struct hello_ok		 hello_ok;
	uint8_t			 hellos[32];
	struct auth_ok		 auth_ok;
	/* the last frame received, valid until the next is */
	struct frame		 f;
	const uint8_t		*p;
	/* how it ended */
	enum ending		 end;
	struct proto_err	 err;
	int			 ms;		/* from connect to AUTH_OK */
};

/* hostile_conn.c: RC_OK, or RC_EOF and c->end says why. */
int	conn_socket(const struct target *t, int *fd);
int	conn_open(struct conn *c, const struct target *t);
void	conn_close(struct conn *c);
int	conn_send(struct conn *c, const void *p, size_t n);
int	conn_frame(struct conn *c, uint16_t type, uint32_t request,
	    const void *p, size_t n);
int	conn_wbuf(struct conn *c, uint16_t type, uint32_t request,
	    struct wbuf *b);		/* frees b */
/* The next frame; RC_TIMEOUT.  BYE and ERROR end it: RC_EOF, also for an ERROR
 * that answers a request (END_REFUSED). */
int	conn_recv(struct conn *c, int ms);
/* Skip others until this type comes. */
int	conn_want(struct conn *c, uint16_t type, int ms);
/* Take everything until the far side ends or ms are over. */
enum ending conn_drain(struct conn *c, int ms);
const char *ending_text(const struct conn *c, char *out, size_t size);

/* hostile_login.c */
int	token_read(struct target *t, const char *path);
int	key_read(struct target *t, const char *path);
int	key_write(const struct target *t, const char *path);
int	login_hello(struct conn *c, const struct target *t);
void	login_auth_put(const struct conn *c, const struct target *t,
	    struct wbuf *b);
int	login_enrol_put(const struct conn *c, const struct token *token,
	    const uint8_t pub[ED25519_LEN], struct wbuf *b);
int	login_enrol(struct conn *c, struct target *t);
int	login_auth(struct conn *c, const struct target *t);
/* conn_open(), hello and AUTH. */
int	login(struct conn *c, const struct target *t);
/* Open and go as far as: PROTO_ST_HELLO, _AUTH, _OPEN. */
int	go_to(struct conn *c, const struct target *t, enum proto_state st);

/* hostile_data.c: what a client would send, as if sealed. */
struct fake {
	struct object_id	 id;
	struct wbuf		 wire;
};
void	fake_object(struct fake *o, uint8_t type, uint16_t height,
	    const struct object_id *edges, size_t n, size_t body);
void	fake_free(struct fake *o);
struct fake_commit {
	uint8_t			 job[16];
	uint64_t		 sequence;
	uint8_t			 previous[32];
	struct object_id	 root;
};
void	fake_snapshot(const struct target *t, const struct fake_commit *s,
	    struct wbuf *out);
/* Sign again what was changed. */
void	fake_sign(const struct target *t, uint8_t *p, size_t n);
int	run_start(struct conn *c, const uint8_t run[16], const uint8_t job[16],
	    uint64_t *seq);
int	send_flush(struct conn *c, uint8_t durable);
void	random_fill(void *p, size_t n);

/* The table of scenarios: each prints how it ended. */
struct scenario {
	const char	*name;
	int		(*run)(struct target *t, int argc, char **argv);
	const char	*what;
};
extern const struct scenario scenarios_login[], scenarios_frames[],
	    scenarios_vault[], scenarios_flood[], scenarios_mutate[],
	    scenarios_pretend[];

/* Print "NAME: ending" and close; returns 0. */
int	said(struct conn *c, const char *name, int ms);

#endif
