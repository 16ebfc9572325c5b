#include "config.h"

#include "server/keyd/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/packet.h"
#include "common/peerinfo.h"
#include "common/proto.h"
#include "common/rc.h"
#include "common/snapshot.h"

#define INFOS_MAX	16		/* KEYD_INFO of one channel */
#define RECEIPT_BURST	400		/* receipts of one channel at once */
#define RECEIPT_RATE	100		/* ... and a second */
#define RECEIPT_BODY	(SNAPSHOT_SERVER_LEN - ED25519_SIG_LEN)
#define PACKET_BURST	40		/* packets of one channel at once */
#define PACKET_RATE	20		/* ... and a second */
#define SIG_MAX		128

struct client {
	struct chan	*c;
	uint32_t	 worker;
	enum keyd_use	 use;
	uint8_t		 vault[16];
	bool		 clear;		/* may have one hello signed instead */
	unsigned	 infos;
	uint64_t	 tokens;	/* of its rate, in thousandths */
	uint64_t	 filled;	/* io_now_ms() of the last refill */
};

struct keyd {
	const struct keys	*keys;
	uint8_t			 binding[ED25519_SIG_LEN];
	struct client		 clients[KEYD_CLIENTS_MAX];
	size_t			 n;
	struct pollfd		 poll[KEYD_CLIENTS_MAX + 1];
	bool			 stop;
};

struct keyd *
keyd_new(const struct keys *keys)
{
	struct keyd *k = calloc(1, sizeof(*k));
	struct wbuf text = WBUF_INIT(64);

	if (k == NULL)
		return NULL;
	k->keys = keys;
	peer_binding_text(&text, keys_spki(keys));
	if (wbuf_rc(&text) != RC_OK || keys_sign_identity(keys, text.data,
	    text.len, k->binding) != RC_OK) {
		free(k);
		k = NULL;
	}
	wbuf_free(&text);
	return k;
}

void
keyd_free(struct keyd *k)
{
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->n; i++)
		chan_free(k->clients[i].c);
	free(k);
}

/* --- shapes --- */

int
keyd_check_tls(const uint8_t *p, size_t n)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";

	/* 64 spaces, the context with its NUL, a transcript hash of SHA-256 or
	 * SHA-384 */
	if (n != 64 + sizeof(context) + 32 && n != 64 + sizeof(context) + 48)
		return RC_PROTO;
	for (size_t i = 0; i < 64; i++)
		if (p[i] != ' ')
			return RC_PROTO;
	return memcmp(p + 64, context, sizeof(context)) == 0 ? RC_OK :
	    RC_PROTO;
}

int
keyd_check_hello(const uint8_t *p, size_t n,
    const uint8_t identity[ED25519_LEN])
{
	static const uint8_t zeros[ED25519_SIG_LEN];
	static const char domain[] = "sg1 hello";
	const size_t head = sizeof(domain) - 1 + SHA256_LEN;
	struct hello_ok ok;
	struct rbuf in;
	int rc;

	if (n <= head || memcmp(p, domain, sizeof(domain) - 1) != 0)
		return RC_PROTO;
	rbuf_init(&in, p + head, n - head);
	if ((rc = hello_ok_parse(&in, &ok)) != RC_OK)
		return rc;
	if (ok.signed_ != 1 || memcmp(ok.sig, zeros, sizeof(zeros)) != 0 ||
	    memcmp(ok.identity, identity, ED25519_LEN) != 0)
		return RC_PROTO;
	return RC_OK;
}

/* --- requests --- */

static int
send_sig(struct client *cl, const uint8_t *sig, size_t n)
{
	struct wbuf b = WBUF_INIT(SIG_MAX);
	int rc;

	wbuf_bytes(&b, sig, n);
	rc = chan_send(cl->c, MSG_KEYD_SIG, &b, -1);
	wbuf_free(&b);
	/* nobody owes us so many reads but who asks without listening */
	return rc == RC_AGAIN ? RC_LIMIT : rc;
}

static int
on_info(struct keyd *k, struct client *cl, struct msg *m)
{
	struct wbuf b = WBUF_INIT(4096);
	const uint8_t *cert;
	size_t n;
	int rc;

	if ((rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (cl->infos++ >= INFOS_MAX)
		return RC_LIMIT;
	cert = keys_cert(k->keys, &n);
	wbuf_bytes(&b, keys_identity(k->keys), ED25519_LEN);
	wbuf_bytes(&b, keys_spki(k->keys), SHA256_LEN);
	wbuf_blob16(&b, cert, n);
	wbuf_bytes(&b, k->binding, sizeof(k->binding));
	rc = chan_send(cl->c, MSG_KEYD_INFO_OK, &b, -1);
	wbuf_free(&b);
	return rc == RC_AGAIN ? RC_LIMIT : rc;
}

/* RC_EOF after the one signature: the channel is closed. */
static int
on_tls(struct keyd *k, struct client *cl, struct msg *m)
{
	uint8_t sig[SIG_MAX];
	size_t n = sizeof(sig);
	int rc;

	if (cl->use != KEYD_USE_TLS)
		return RC_DENIED;
	if ((rc = keyd_check_tls(m->body.p, m->body.left)) != RC_OK ||
	    (rc = keys_sign_backup(k->keys, m->body.p, m->body.left, sig,
	    &n)) != RC_OK || (rc = send_sig(cl, sig, n)) != RC_OK)
		return rc;
	return RC_EOF;
}

static int
on_hello(struct keyd *k, struct client *cl, struct msg *m)
{
	uint8_t sig[ED25519_SIG_LEN];
	int rc;

	if (cl->use != KEYD_USE_TLS || !cl->clear)
		return RC_DENIED;
	if ((rc = keyd_check_hello(m->body.p, m->body.left,
	    keys_identity(k->keys))) != RC_OK ||
	    (rc = keys_sign_identity(k->keys, m->body.p, m->body.left,
	    sig)) != RC_OK || (rc = send_sig(cl, sig, sizeof(sig))) != RC_OK)
		return rc;
	return RC_EOF;
}

/* The vault is the channel's, whatever the other end would like. */
static int
on_receipt(struct keyd *k, struct client *cl, struct msg *m)
{
	uint8_t part[SNAPSHOT_SERVER_LEN] = { 0 }, sig[ED25519_SIG_LEN];
	struct snapshot_server server;
	struct wbuf text = WBUF_INIT(512);
	struct object_id id;
	struct rbuf in;
	int rc;

	if (cl->use != KEYD_USE_RECEIPT)
		return RC_DENIED;
	if ((rc = rbuf_bytes(&m->body, id.b, sizeof(id.b))) != RC_OK ||
	    (rc = rbuf_bytes(&m->body, part, RECEIPT_BODY)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	rbuf_init(&in, part, sizeof(part));
	if ((rc = snapshot_get_server(&in, &server)) != RC_OK ||
	    (rc = rbuf_end(&in)) != RC_OK)
		return rc;
	snapshot_receipt_text(&text, cl->vault, &id, &server);
	if ((rc = wbuf_rc(&text)) == RC_OK)
		rc = keys_sign_identity(k->keys, text.data, text.len, sig);
	wbuf_free(&text);
	if (rc != RC_OK)
		return rc;
	cl->tokens -= 1000;		/* there was one, or we had not read */
	return send_sig(cl, sig, sizeof(sig));
}

/* The signature of what begins with `domain`. */
static int
sign_text(struct keyd *k, struct client *cl, const struct wbuf *text)
{
	uint8_t sig[ED25519_SIG_LEN];
	int rc;

	if ((rc = wbuf_rc(text)) != RC_OK ||
	    (rc = keys_sign_identity(k->keys, text->data, text->len, sig)) !=
	    RC_OK)
		return rc;
	return send_sig(cl, sig, sizeof(sig));
}

int
keyd_check_packet(const uint8_t *p, size_t n,
    const uint8_t identity[ED25519_LEN])
{
	static const uint8_t magic[] = { 'S', 'G', 'D', '1' };

	if (n < PACKET_HEAD_LEN || n > PACKET_REQUEST_LEN - ED25519_SIG_LEN ||
	    memcmp(p, magic, sizeof(magic)) != 0 || p[6] != 0 || p[7] != 0)
		return RC_PROTO;
	return memcmp(p + PACKET_IDENTITY_AT, identity, ED25519_LEN) == 0 ?
	    RC_OK : RC_PROTO;
}

static int
on_packet(struct keyd *k, struct client *cl, struct msg *m)
{
	struct wbuf text = WBUF_INIT(1024);
	int rc;

	if (cl->use != KEYD_USE_PACKET)
		return RC_DENIED;
	if ((rc = keyd_check_packet(m->body.p, m->body.left,
	    keys_identity(k->keys))) != RC_OK)
		return rc;
	wbuf_bytes(&text, PACKET_DOMAIN, sizeof(PACKET_DOMAIN) - 1);
	wbuf_bytes(&text, m->body.p, m->body.left);
	cl->tokens -= 1000;		/* there was one, or we had not read */
	rc = sign_text(k, cl, &text);
	wbuf_free(&text);
	return rc;
}

/* Who signs stands in the text, so it is never another's proof.  RC_EOF after
 * the one signature: the channel is closed. */
static int
on_peer(struct keyd *k, struct client *cl, struct msg *m)
{
	uint8_t far[ED25519_LEN], nonce[32], exporter[32];
	struct wbuf text = WBUF_INIT(256);
	int rc;

	if (cl->use != KEYD_USE_PEER)
		return RC_DENIED;
	if ((rc = rbuf_bytes(&m->body, far, sizeof(far))) != RC_OK ||
	    (rc = rbuf_bytes(&m->body, nonce, sizeof(nonce))) != RC_OK ||
	    (rc = rbuf_bytes(&m->body, exporter, sizeof(exporter))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	peer_sign_text(&text, keys_identity(k->keys), far, nonce, exporter);
	rc = sign_text(k, cl, &text);
	wbuf_free(&text);
	return rc == RC_OK ? RC_EOF : rc;
}

static int
on_client(struct keyd *k, struct client *cl)
{
	struct msg m;
	int rc;

	if ((rc = chan_recv(cl->c, &m)) != RC_OK)
		return rc;
	switch (m.type) {
	case MSG_KEYD_INFO:
		return on_info(k, cl, &m);
	case MSG_KEYD_TLS:
		return on_tls(k, cl, &m);
	case MSG_KEYD_HELLO:
		return on_hello(k, cl, &m);
	case MSG_KEYD_RECEIPT:
		return on_receipt(k, cl, &m);
	case MSG_KEYD_PACKET:
		return on_packet(k, cl, &m);
	case MSG_KEYD_PEER:
		return on_peer(k, cl, &m);
	default:
		return RC_STATE;
	}
}

static void
drop_client(struct keyd *k, size_t i)
{
	chan_free(k->clients[i].c);
	k->clients[i] = k->clients[--k->n];
}

/* --- the master --- */

/* How much of it one channel may have; zeros: no limit of its own. */
struct rate {
	unsigned	burst, per_second;
};

static const struct rate *
rate_of(enum keyd_use use)
{
	static const struct rate receipts = { RECEIPT_BURST, RECEIPT_RATE },
	    packets = { PACKET_BURST, PACKET_RATE }, none = { 0, 0 };

	return use == KEYD_USE_RECEIPT ? &receipts :
	    use == KEYD_USE_PACKET ? &packets : &none;
}

/* Which use a role's channel may have. */
static bool
use_fits(enum role role, enum keyd_use use)
{
	static const struct {
		enum keyd_use	use;
		uint32_t	roles;
	} fits[] = {
		{ KEYD_USE_TLS, R(SESSION) | R(API) },
		{ KEYD_USE_RECEIPT, R(STORE) },
		{ KEYD_USE_INFO, R(AUTH) | R(CATALOG) },
		{ KEYD_USE_PACKET, R(MCAST) | R(SCAN) },
		{ KEYD_USE_PEER, R(PEER) },
	};

	for (size_t i = 0; i < NITEMS(fits); i++)
		if (fits[i].use == use)
			return role < ROLE_MAX && (fits[i].roles & 1u << role);
	return false;
}

static int
on_add(struct keyd *k, struct chan *master, struct msg *m)
{
	struct client cl = { 0 };
	uint8_t role, use;
	int rc;

	if ((rc = rbuf_u32(&m->body, &cl.worker)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &role)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &use)) != RC_OK ||
	    (rc = rbuf_bytes(&m->body, cl.vault, sizeof(cl.vault))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	cl.use = (enum keyd_use)use;
	if (!use_fits((enum role)role, cl.use))
		return RC_RANGE;
	cl.tokens = rate_of(cl.use)->burst * 1000u;
	if (k->n == KEYD_CLIENTS_MAX) {
		/* closing it tells the worker; the master replaces it */
		log_err("more than %d channels: worker %u gets none",
		    KEYD_CLIENTS_MAX, cl.worker);
		return RC_OK;
	}
	cl.c = chan_new(msg_take_fd(master, m), ROLE_KEYD, (enum role)role);
	if (cl.c == NULL)
		return RC_NOMEM;
	chan_set_nonblock(cl.c);
	cl.filled = io_now_ms();
	k->clients[k->n++] = cl;
	return RC_OK;
}

static int
on_clear(struct keyd *k, struct msg *m)
{
	uint32_t worker;
	int rc;

	if ((rc = rbuf_u32(&m->body, &worker)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	for (size_t i = 0; i < k->n; i++)
		if (k->clients[i].use == KEYD_USE_TLS &&
		    k->clients[i].worker == worker)
			k->clients[i].clear = true;
	return RC_OK;
}

int
keyd_on_master(struct keyd *k, struct chan *master, struct msg *m)
{
	switch (m->type) {
	case MSG_KEYD_ADD:
		return on_add(k, master, m);
	case MSG_KEYD_CLEAR:
		return on_clear(k, m);
	case MSG_STOP:
		k->stop = true;
		return RC_OK;
	default:
		return RC_UNSUPPORTED;
	}
}

static int
drain_master(struct keyd *k, struct chan *master,
    int (*other)(void *arg, struct msg *m), void *arg)
{
	struct msg m;
	int rc;

	while ((rc = chan_recv(master, &m)) == RC_OK) {
		rc = keyd_on_master(k, master, &m);
		if (rc == RC_UNSUPPORTED && other != NULL)
			rc = other(arg, &m);
		if (rc != RC_OK)
			return rc;
		if (k->stop)
			return RC_EOF;
	}
	return rc == RC_AGAIN ? RC_OK : rc;
}

/* --- the loop --- */

/* Milliseconds until this channel may have another signature; 0 now. */
static int
rate_wait(struct client *cl, uint64_t now)
{
	const struct rate *rate = rate_of(cl->use);
	const uint64_t full = rate->burst * 1000u;
	uint64_t more = (now - cl->filled) * rate->per_second;

	if (rate->per_second == 0)
		return 0;
	cl->tokens = more >= full - cl->tokens ? full : cl->tokens + more;
	cl->filled = now;
	if (cl->tokens >= 1000)
		return 0;
	return 1 + (int)((1000 - cl->tokens) / rate->per_second);
}

/* A channel over its rate is not read: its owner waits, nobody else does. */
static void
set_poll(struct keyd *k, struct chan *master, int *timeout)
{
	uint64_t now = io_now_ms();
	int wait;

	for (size_t i = 0; i < k->n; i++) {
		wait = rate_wait(&k->clients[i], now);
		k->poll[i] = (struct pollfd){
			.fd = wait == 0 ? chan_fd(k->clients[i].c) : -1,
			.events = POLLIN
		};
		if (wait > 0 && (*timeout < 0 || wait < *timeout))
			*timeout = wait;
	}
	k->poll[k->n] = (struct pollfd){
		.fd = master != NULL ? chan_fd(master) : -1,
		.events = POLLIN
	};
}

int
keyd_turn(struct keyd *k, struct chan *master, int timeout_ms,
    int (*other)(void *arg, struct msg *m), void *arg)
{
	struct client *cl;
	size_t had = k->n;
	int rc;

	set_poll(k, master, &timeout_ms);
	if (poll(k->poll, (nfds_t)had + 1, timeout_ms) == -1)
		return errno == EINTR ? RC_OK : rc_errno(errno);
	if (master != NULL &&
	    (rc = drain_master(k, master, other, arg)) != RC_OK)
		return rc;
	/* from the end, since a dropped one's place is taken by the last; one
	 * that came just now sits behind and is looked at next time */
	for (size_t i = had; i-- > 0; ) {
		if (k->poll[i].revents == 0)
			continue;
		cl = &k->clients[i];
		rc = on_client(k, cl);
		if (rc == RC_OK || rc == RC_AGAIN)
			continue;
		if (rc != RC_EOF)
			log_warn("worker %u (use %d) refused: %s", cl->worker,
			    (int)cl->use, rc_str(rc));
		drop_client(k, i);
	}
	return RC_OK;
}
