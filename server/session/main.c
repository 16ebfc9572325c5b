#include "config.h"

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/proto.h"
#include "common/rc.h"
#include "common/tls.h"
#include "privsep/link.h"
#include "privsep/relay.h"
#include "privsep/role.h"
#include "server/session/login.h"
#include "server/tlskey.h"

/*
 * sg-session: one connection of 32004 or 32007.  Everything it needs is made
 * before the sandbox; then it waits for its connection, speaks TLS, passes the
 * log-in on to auth, and carries frames to the store that it is given.
 */
#define FD_AUTH		5
#define FD_KEYD		6
#define HELPER_MS	15000		/* auth answers at once */
#define STORE_MS	60000		/* opening a vault may take recovery */
#define FIRST_TLS	0x16		/* a handshake record */
#define FIRST_CLEAR	0x00		/* a frame shorter than 16 MiB */

struct session {
	struct role_env	 env;
	struct chan	*auth;
	struct tlskey	 key;
	char		 id[64];
	struct tls_ctx	*ctx;
	int		 ring_fd;
	void		*ring;

	/* the connection */
	int		 fd;
	uint8_t		 kind, verdict;
	uint64_t	 since;
	struct tls	*tls;
	struct relay	*relay;
};

/* --- keyd and auth, for the log-in --- */

static int
sign_hello(void *arg, const struct wbuf *text, uint8_t sig[ED25519_SIG_LEN])
{
	struct session *s = arg;
	size_t n = ED25519_SIG_LEN;
	int rc;

	rc = tlskey_sign(&s->key, MSG_KEYD_HELLO, text, sig, &n);
	return rc == RC_OK && n != ED25519_SIG_LEN ? RC_PROTO : rc;
}

static int
get_nonce(void *arg, uint8_t nonce[32])
{
	struct session *s = arg;
	struct msg m;
	int rc;

	if ((rc = chan_send(s->auth, MSG_AUTH_NONCE, NULL, -1)) != RC_OK ||
	    (rc = chan_expect(s->auth, MSG_AUTH_NONCE_OK, &m,
	    HELPER_MS)) != RC_OK ||
	    (rc = rbuf_bytes(&m.body, nonce, 32)) != RC_OK)
		return rc;
	return rbuf_end(&m.body);
}

static int
ask_auth(void *arg, enum msg_type what, const struct wbuf *body,
    struct rbuf *answer)
{
	struct session *s = arg;
	struct msg m;
	int rc;

	if ((rc = chan_send(s->auth, what, body, -1)) != RC_OK ||
	    (rc = chan_expect(s->auth, MSG_AUTH_ANSWER, &m,
	    HELPER_MS)) != RC_OK)
		return rc;
	*answer = m.body;
	return RC_OK;
}

static const struct login_ops ops = {
	.nonce = get_nonce,
	.sign_hello = sign_hello,
	.ask = ask_auth,
};

/* --- set-up --- */

static void
set_up(struct session *s)
{
	struct chan *keyd;
	int rc;

	role_begin(&s->env, ROLE_SESSION, ROLE_MASTER, true);
	if ((rc = rbuf_str(&s->env.start.rest, s->id, sizeof(s->id))) !=
	    RC_OK || (rc = rbuf_end(&s->env.start.rest)) != RC_OK)
		fatal("START: %s", rc_str(rc));
	s->auth = role_chan(&s->env, FD_AUTH, ROLE_AUTH);
	keyd = role_chan(&s->env, FD_KEYD, ROLE_KEYD);
	if (s->auth == NULL || keyd == NULL)
		fatal("no channel to auth or keyd");
	tlskey_open(&s->key, keyd, &s->ctx);
	if ((rc = ring_make(&s->ring_fd, &s->ring)) != RC_OK)
		fatal("ring: %s", rc_str(rc));
	role_drop(&s->env);
	role_enter(&s->env);
}

static void
wait_for_connection(struct session *s)
{
	struct rbuf *in;
	uint64_t conn;
	struct msg m;
	int rc;

	rc = chan_recv_wait(s->env.parent, &m, -1);
	if (rc == RC_EOF || (rc == RC_OK && m.type == MSG_STOP))
		exit(0);
	if (rc != RC_OK || m.type != MSG_CONN)
		fatal("master: %s", rc_str(rc == RC_OK ? RC_STATE : rc));
	in = &m.body;
	/* the address is the logger's business: it prefixes our lines */
	if ((rc = rbuf_u64(in, &conn)) != RC_OK ||
	    (rc = rbuf_u8(in, &s->kind)) != RC_OK ||
	    (rc = rbuf_u8(in, &s->verdict)) != RC_OK ||
	    (rc = rbuf_skip(in, 19)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		fatal("CONN: %s", rc_str(rc));
	s->fd = msg_take_fd(s->env.parent, &m);
	s->since = io_now_ms();
}

/* --- before the log-in --- */

static int
wait_fd(struct session *s, short events, uint64_t until)
{
	struct pollfd p[2] = {
		{ .fd = s->fd, .events = events },
		{ .fd = chan_fd(s->env.parent), .events = POLLIN }
	};
	uint64_t now = io_now_ms();

	if (now >= until)
		return RC_TIMEOUT;
	if (poll(p, NITEMS(p), (int)(until - now)) == -1)
		return errno == EINTR ? RC_OK : rc_errno(errno);
	return p[1].revents != 0 ? RC_CANCELLED : RC_OK;
}

static int
first_byte(struct session *s, uint8_t *byte)
{
	struct iovec iov = { .iov_base = byte, .iov_len = 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;
	int rc;

	for (;;) {
		n = recvmsg(s->fd, &mh, MSG_PEEK | MSG_DONTWAIT);
		if (n == 1)
			return RC_OK;
		if (n == 0)
			return RC_EOF;
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			return RC_EOF;
		rc = wait_fd(s, POLLIN, s->since + PROTO_HANDSHAKE_MS);
		if (rc != RC_OK)
			return rc;
	}
}

static int
handshake(struct session *s)
{
	short want = POLLIN;
	int rc;

	if ((rc = tls_new(&s->tls, s->ctx, s->fd)) != RC_OK)
		return rc;
	while ((rc = tls_handshake(s->tls, &want)) == RC_AGAIN)
		if ((rc = wait_fd(s, want, s->since + PROTO_HANDSHAKE_MS)) !=
		    RC_OK)
			return rc;
	return rc;
}

/* Takes the connection and what TLS there is. */
static int
make_relay(struct session *s)
{
	struct relay_opt o = {
		.fd = s->fd,
		.tls = s->tls,
		.side = PROTO_C,
		.ring = s->ring,
		.ring_fd = s->ring_fd,
	};

	if ((s->relay = relay_new(&o)) == NULL)
		return RC_NOMEM;
	s->fd = -1;
	s->tls = NULL;
	relay_watch(s->relay, s->env.parent);
	return RC_OK;
}

static void
refuse(struct session *s, uint16_t code, const char *text)
{
	if (s->relay == NULL && make_relay(s) != RC_OK)
		return;
	relay_refuse(s->relay, code, text);
}

/* The master wants us to go: to make room, or because it stops.  Either way
 * the client may come again. */
static void
stopped(struct session *s)
{
	if (s->tls == NULL)		/* half a handshake takes no frame */
		refuse(s, PROTO_ERR_LATER, NULL);
	exit(0);
}

/* Decide by the first byte and the listener's verdict what is spoken. */
static int
begin_connection(struct session *s, bool *is_tls)
{
	uint8_t byte;
	int rc;

	*is_tls = false;
	if ((rc = first_byte(s, &byte)) != RC_OK)
		return rc;
	if (byte == FIRST_TLS && (s->verdict & CONN_TLS) != 0) {
		*is_tls = true;
		rc = handshake(s);
		if (rc != RC_OK && rc != RC_CANCELLED)
			log_notice("TLS: %s", s->tls == NULL ? rc_str(rc) :
			    rc == RC_TIMEOUT ? "no handshake in time" :
			    tls_error(s->tls));
		return rc;
	}
	if (byte == FIRST_CLEAR && (s->verdict & CONN_CLEAR) != 0)
		return RC_OK;
	log_notice("clear text where it is not served");
	refuse(s, PROTO_ERR_PLAINTEXT, byte == FIRST_TLS ?
	    "TLS is not served here" :
	    "clear text is not served here: use TLS");
	return RC_DENIED;
}

static int
login(struct session *s, bool is_tls, struct login *l)
{
	int rc;

	if (is_tls && (rc = tls_exporter(s->tls, l->exporter)) != RC_OK)
		return rc;
	if ((rc = make_relay(s)) != RC_OK)
		return rc;
	/* either it was used, or it will never be */
	if (is_tls)
		tlskey_close(&s->key);
	l->relay = s->relay;
	l->tls = is_tls;
	l->id = s->id;
	memcpy(l->identity, s->key.identity, sizeof(l->identity));
	l->ops = &ops;
	l->arg = s;
	l->deadline = s->since + PROTO_LOGIN_MS;
	if ((rc = session_login(l)) == RC_OK)
		return RC_OK;
	if (rc == RC_CANCELLED)
		stopped(s);
	if (l->paired) {
		log_info("pairing: answered");
		relay_linger(s->relay);
		return rc;
	}
	if (!l->told)
		log_notice("no log-in: %s", l->text);
	if (l->code != 0)
		relay_refuse(s->relay, l->code, l->text);
	return rc;
}

/* --- after the grant --- */

static int
store_channel(struct session *s, struct chan **store)
{
	struct msg m;
	uint8_t code;
	int rc;

	rc = chan_recv_wait(s->env.parent, &m, STORE_MS);
	if (rc == RC_OK && m.type == MSG_STOP)
		rc = RC_CANCELLED;
	else if (rc == RC_OK && m.type != MSG_STORE_CHAN)
		rc = RC_STATE;
	else if (rc == RC_OK && (rc = rbuf_u8(&m.body, &code)) == RC_OK)
		rc = code != 0 ? -(int)code : m.fd == -1 ? RC_PROTO : RC_OK;
	if (rc != RC_OK)
		return rc;
	*store = chan_new(msg_take_fd(s->env.parent, &m), ROLE_SESSION,
	    ROLE_STORE);
	return *store != NULL ? RC_OK : RC_NOMEM;
}

static int
welcome(struct session *s, const struct login *l, struct chan *store)
{
	struct wbuf b = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct auth_ok ok = {
		.rights = l->rights,
		.credit_put = PROTO_CREDIT_PUT,
		.credit_have = PROTO_CREDIT_HAVE,
		.credit_get = PROTO_CREDIT_GET,
	};
	struct msg m;
	int rc;

	if ((rc = relay_join(s->relay, store)) != RC_OK ||
	    (rc = chan_expect(store, MSG_STORE_WELCOME, &m, STORE_MS)) !=
	    RC_OK ||
	    (rc = rbuf_i64(&m.body, &ok.wall_ns)) != RC_OK ||
	    (rc = rbuf_u64(&m.body, &ok.vault_clock)) != RC_OK ||
	    (rc = rbuf_u64(&m.body, &ok.vault_seq)) != RC_OK ||
	    (rc = rbuf_u16(&m.body, &ok.connections)) != RC_OK ||
	    (rc = rbuf_end(&m.body)) != RC_OK)
		return rc;
	memcpy(ok.vault, l->vault, sizeof(ok.vault));
	memcpy(ok.instance, l->instance, sizeof(ok.instance));
	snprintf(ok.name, sizeof(ok.name), "%s", l->name);
	auth_ok_put(&b, &ok);
	if ((rc = wbuf_rc(&b)) == RC_OK)
		rc = relay_write(s->relay, PROTO_AUTH_OK, l->request, b.data,
		    b.len, PROTO_STALL_MS);
	wbuf_free(&b);
	return rc;
}

static void
serve(struct session *s, const struct login *l)
{
	struct chan *store = NULL;
	int rc;

	relay_watch(s->relay, NULL);
	if ((rc = store_channel(s, &store)) != RC_OK) {
		log_warn("%s: vault: %s", l->name, rc_str(rc));
		relay_refuse(s->relay, proto_error_of(rc), rc_str(rc));
		return;
	}
	if ((rc = welcome(s, l, store)) != RC_OK) {
		log_warn("%s: store: %s", l->name, rc_str(rc));
		if (rc != RC_TLS)
			relay_refuse(s->relay, PROTO_ERR_INTERNAL,
			    "the process of the vault does not answer");
	} else {
		log_info("%s: logged in%s", l->name, l->tls ? "" :
		    " in clear text");
		rc = relay_pump(s->relay, store, s->env.parent);
		if (rc == RC_OK || rc == RC_EOF)
			log_info("%s: ended", l->name);
		else
			log_warn("%s: ended: %s%s%s", l->name, rc_str(rc),
			    rc == RC_TLS ? ": " : "",
			    rc == RC_TLS ? relay_error(s->relay) : "");
	}
	chan_free(store);
}

int
main(void)
{
	static struct session s = { .fd = -1, .ring_fd = -1 };
	struct login l = { 0 };
	bool is_tls;
	int rc;

	set_up(&s);
	wait_for_connection(&s);
	rc = begin_connection(&s, &is_tls);
	if (rc == RC_CANCELLED)
		stopped(&s);
	if (rc == RC_OK)
		rc = login(&s, is_tls, &l);
	if (rc == RC_OK)
		serve(&s, &l);
	relay_free(s.relay);
	tls_free(s.tls);
	fd_close(&s.fd);
	chan_free(s.auth);
	tlskey_close(&s.key);
	return 0;
}
