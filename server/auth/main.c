#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/auth/auth.h"
#include "server/auth/worker.h"
#include "server/relog.h"
#include "server/sql.h"

/*
 * sg-auth: who may use which vault.  It makes the challenges, checks the
 * signatures and tells the master of each grant; workers only carry the bytes.
 */
#define FD_KEYD		5
#define KEYD_MS		30000
#define WORKERS_MAX	CHANNELS_MAX

struct auth_role {
	struct role_env		 env;
	struct auth_self	 self;
	struct conf		 conf;
	struct db		*db;
	struct chan		*keyd;
	struct worker		*workers[WORKERS_MAX];
	size_t			 n;
	struct pollfd		 poll[WORKERS_MAX + 1];
	bool			 stop;
};

static struct auth_role self;

static int64_t
now_seconds(void)
{
	return io_wall_ns() / 1000000000;
}

/* --- workers --- */

static void
worker_drop(size_t i)
{
	struct worker *w = self.workers[i];

	self.workers[i] = self.workers[--self.n];
	worker_free(w);
}

static int
to_master(enum msg_type type, struct wbuf *b)
{
	int rc = chan_send(self.env.parent, type, b, -1);

	wbuf_free(b);
	if (rc != RC_OK && rc != RC_EOF)
		fatal("master: %s: %s", msg_name(type), rc_str(rc));
	return rc;
}

static void
cut_off(void *arg, const uint8_t vault[16])
{
	struct wbuf b = WBUF_INIT(16);

	(void)arg;
	wbuf_bytes(&b, vault, 16);
	(void)to_master(MSG_CUT_OFF, &b);
}

/* --- session workers --- */

static int
on_nonce(void *arg, struct chan *c, struct msg *m)
{
	struct wbuf b = WBUF_INIT(32);
	struct worker *w = arg;
	int rc;

	(void)c;
	if ((rc = rbuf_end(&m->body)) != RC_OK ||
	    (rc = secret_random(w->nonce, sizeof(w->nonce))) != RC_OK)
		return rc;
	w->state = W_NONCE;
	wbuf_bytes(&b, w->nonce, sizeof(w->nonce));
	rc = worker_send(w, MSG_AUTH_NONCE_OK, &b);
	wbuf_free(&b);
	return rc;
}

static int
parse_try(struct worker *w, struct rbuf *in, struct login_try *t)
{
	int rc;

	if ((rc = rbuf_blob16(in, &t->hello, &t->hello_len,
	    PROTO_PRELOGIN_MAX)) != RC_OK ||
	    (rc = rbuf_blob16(in, &t->ok, &t->ok_len,
	    PROTO_PRELOGIN_MAX)) != RC_OK ||
	    (rc = rbuf_bytes(in, t->exporter, sizeof(t->exporter))) != RC_OK ||
	    (rc = rbuf_blob16(in, &t->payload, &t->payload_len,
	    PROTO_PRELOGIN_MAX)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	memcpy(t->nonce, w->nonce, sizeof(t->nonce));
	t->may_clear = (w->verdict & CONN_CLEAR) != 0;
	t->now = now_seconds();
	return RC_OK;
}

static void
tell_event(const struct worker *w, uint8_t event)
{
	struct wbuf b = WBUF_INIT(16);

	wbuf_u32(&b, w->number);
	wbuf_u64(&b, w->conn);
	wbuf_u8(&b, event);
	(void)to_master(MSG_AUTH_EVENT, &b);
}

static void
full_name(const struct db_client *c, char name[130])
{
	memset(name, 0, 130);
	snprintf(name, 130, "%s/%s", c->account, c->name);
}

/* Before the worker hears of it. */
static int
tell_grant(const struct worker *w, const struct login_result *r)
{
	struct wbuf b = WBUF_INIT(243);
	char name[130];

	full_name(&r->client, name);
	wbuf_u32(&b, w->number);
	wbuf_u64(&b, w->conn);
	wbuf_bytes(&b, r->client.vault, 16);
	wbuf_bytes(&b, r->client.instance, 16);
	wbuf_bytes(&b, r->client.id, 16);
	wbuf_bytes(&b, r->client.key, ED25519_LEN);
	wbuf_u32(&b, PROTO_RIGHT_BACKUP | PROTO_RIGHT_RESTORE);
	wbuf_u8(&b, r->create);
	wbuf_u64(&b, (uint64_t)self.conf.lock_days * 86400);
	wbuf_bytes(&b, name, sizeof(name));
	return to_master(MSG_GRANT, &b);
}

static int
answer(struct worker *w, const struct login_result *r, const struct wbuf *more)
{
	struct wbuf b = WBUF_INIT(1024);
	int rc;

	if (r->event != 0)
		tell_event(w, r->event);
	wbuf_u16(&b, r->code);
	wbuf_str(&b, r->text);
	if (r->code == 0)
		wbuf_bytes(&b, more->data, more->len);
	if ((rc = wbuf_rc(&b)) == RC_OK)
		rc = worker_send(w, MSG_AUTH_ANSWER, &b);
	wbuf_free(&b);
	return rc;
}

static int
on_login(void *arg, struct chan *c, struct msg *m)
{
	struct wbuf more = WBUF_INIT(512);
	struct login_try t = { 0 };
	struct worker *w = arg;
	struct login_result r;
	char name[130];
	int rc;

	(void)c;
	w->state = W_DONE;
	if ((rc = parse_try(w, &m->body, &t)) != RC_OK)
		return rc;
	auth_login(self.db, &self.self, &t, &r);
	secret_wipe(w->nonce, sizeof(w->nonce));
	if (r.code == 0) {
		if ((rc = tell_grant(w, &r)) != RC_OK)
			return rc;
		full_name(&r.client, name);
		wbuf_bytes(&more, r.client.vault, 16);
		wbuf_bytes(&more, r.client.instance, 16);
		wbuf_u32(&more, PROTO_RIGHT_BACKUP | PROTO_RIGHT_RESTORE);
		wbuf_str(&more, name);
	}
	rc = answer(w, &r, &more);
	wbuf_free(&more);
	return rc;
}

static int
on_enrol(void *arg, struct chan *c, struct msg *m)
{
	struct wbuf more = WBUF_INIT(512);
	struct login_try t = { 0 };
	struct enrol_ok ok = { 0 };
	struct worker *w = arg;
	struct login_result r;
	int rc;

	(void)c;
	w->state = W_ENROLLED;
	if ((rc = parse_try(w, &m->body, &t)) != RC_OK)
		return rc;
	auth_enrol(self.db, &self.self, &t, &r);
	if (r.code == 0) {
		/* whoever holds the old key is not this client any more */
		if (r.existing)
			cut_off(NULL, r.client.vault);
		memcpy(ok.client, r.client.id, sizeof(ok.client));
		memcpy(ok.vault, r.client.vault, sizeof(ok.vault));
		memcpy(ok.instance, r.client.instance, sizeof(ok.instance));
		memcpy(ok.identity, self.self.identity, sizeof(ok.identity));
		ok.existing = r.existing;
		full_name(&r.client, ok.name);
		enrol_ok_put(&more, &ok);
	} else {
		w->state = W_DONE;
	}
	rc = answer(w, &r, &more);
	wbuf_free(&more);
	return rc;
}

/* --- api workers --- */

static int
send_admin(void *arg, enum msg_type type, const struct wbuf *body)
{
	return worker_send(arg, type, body);
}

/* The control socket's file mode is the permission; a worker that serves
 * another listener, or nobody yet, asks in vain. */
static int
on_admin(void *arg, struct chan *c, struct msg *m)
{
	struct worker *w = arg;
	struct admin_io io = { send_admin, cut_off, w };

	(void)c;
	if (w->kind != PORT_CONTROL)
		return RC_DENIED;
	return auth_admin(self.db, &self.self, &self.conf, now_seconds(),
	    &m->body, &io);
}

static const struct handler from_session[] = {
	{ MSG_AUTH_NONCE, W_CONN, on_nonce },
	{ MSG_AUTH_ENROL, W_NONCE, on_enrol },
	{ MSG_AUTH_LOGIN, W_NONCE | W_ENROLLED, on_login },
};

static const struct handler from_api[] = {
	{ MSG_ADMIN, W_CONN, on_admin },
};

static int
on_worker(struct worker *w)
{
	struct msg m;
	int rc;

	if ((rc = chan_recv(w->c, &m)) != RC_OK)
		return rc == RC_AGAIN ? RC_OK : rc;
	if (w->role == ROLE_API)
		return handle(from_api, NITEMS(from_api), w->state, w, w->c,
		    &m);
	return handle(from_session, NITEMS(from_session), w->state, w, w->c,
	    &m);
}

/* --- the master --- */

static int
on_auth_add(void *arg, struct chan *c, struct msg *m)
{
	struct worker *w;
	uint32_t number;
	uint8_t role;
	int rc;

	(void)arg;
	if ((rc = rbuf_u32(&m->body, &number)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &role)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (role != ROLE_SESSION && role != ROLE_API)
		return RC_RANGE;
	if (self.n == WORKERS_MAX) {
		log_err("more than %d workers: %u gets no channel",
		    WORKERS_MAX, number);
		return RC_OK;
	}
	w = worker_new(msg_take_fd(c, m), number, (enum role)role);
	if (w == NULL)
		return RC_NOMEM;
	self.workers[self.n++] = w;
	return RC_OK;
}

static int
on_auth_conn(void *arg, struct chan *c, struct msg *m)
{
	uint32_t number;
	uint64_t conn;
	uint8_t kind, verdict;
	int rc;

	(void)arg;
	(void)c;
	if ((rc = rbuf_u32(&m->body, &number)) != RC_OK ||
	    (rc = rbuf_u64(&m->body, &conn)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &kind)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &verdict)) != RC_OK ||
	    (rc = rbuf_skip(&m->body, 19)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	for (size_t i = 0; i < self.n; i++) {
		struct worker *w = self.workers[i];

		if (w->number != number || w->state != W_IDLE)
			continue;
		w->conn = conn;
		w->kind = kind;
		w->verdict = verdict;
		w->state = W_CONN;
	}
	return RC_OK;
}

static int
on_auth_conf(void *arg, struct chan *c, struct msg *m)
{
	struct conf conf;
	int rc;

	(void)arg;
	(void)c;
	if ((rc = conf_get(&m->body, &conf)) == RC_OK)
		self.conf = conf;
	return rc;
}

static int
on_vault_made(void *arg, struct chan *c, struct msg *m)
{
	uint8_t vault[16];
	int rc;

	(void)arg;
	(void)c;
	if ((rc = rbuf_bytes(&m->body, vault, sizeof(vault))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if ((rc = db_vault_made(self.db, vault)) != RC_OK)
		log_err("vault made, but not recorded: %s (%s)", rc_str(rc),
		    db_error(self.db));
	return RC_OK;
}

static int
on_new_chan(void *arg, struct chan *c, struct msg *m)
{
	int rc = relog(&self.env, m);

	(void)arg;
	if (rc != RC_UNSUPPORTED)
		return rc;
	chan_free(self.keyd);
	self.keyd = chan_new(msg_take_fd(c, m), ROLE_AUTH, ROLE_KEYD);
	return self.keyd != NULL ? RC_OK : RC_NOMEM;
}

static int
on_stop(void *arg, struct chan *c, struct msg *m)
{
	(void)arg;
	(void)c;
	(void)m;
	self.stop = true;
	return RC_OK;
}

static const struct handler from_master[] = {
	{ MSG_AUTH_ADD, W_ALL, on_auth_add },
	{ MSG_AUTH_CONN, W_ALL, on_auth_conn },
	{ MSG_AUTH_CONF, W_ALL, on_auth_conf },
	{ MSG_VAULT_MADE, W_ALL, on_vault_made },
	{ MSG_NEW_CHAN, W_ALL, on_new_chan },
	{ MSG_STOP, W_ALL, on_stop },
};

/* All that is there, before any worker is heard: what a worker serves is told
 * to us before the worker learns it. */
static int
drain_master(void)
{
	struct msg m;
	int rc;

	while ((rc = chan_recv_wait(self.env.parent, &m, 0)) == RC_OK) {
		rc = handle(from_master, NITEMS(from_master), W_ALL, &self,
		    self.env.parent, &m);
		if (rc != RC_OK || self.stop)
			return rc;
	}
	return rc == RC_TIMEOUT ? RC_OK : rc;
}

static int
turn(void)
{
	size_t had = self.n;
	int rc;

	for (size_t i = 0; i < had; i++)
		self.poll[i] = (struct pollfd){
			.fd = chan_fd(self.workers[i]->c),
			.events = (short)(POLLIN |
			    (self.workers[i]->head != NULL ? POLLOUT : 0))
		};
	self.poll[had] = (struct pollfd){ .fd = chan_fd(self.env.parent),
	    .events = POLLIN };
	if (poll(self.poll, (nfds_t)had + 1, -1) == -1)
		return errno == EINTR ? RC_OK : rc_errno(errno);
	if ((rc = drain_master()) != RC_OK || self.stop)
		return rc;
	for (size_t i = had; i-- > 0; ) {
		struct worker *w = self.workers[i];

		if (self.poll[i].revents == 0)
			continue;
		rc = worker_flush(w);
		if (rc == RC_OK && (self.poll[i].revents & ~POLLOUT) != 0)
			rc = on_worker(w);
		if (rc == RC_OK)
			continue;
		if (rc != RC_EOF)
			log_warn("worker %u (%s) refused: %s", w->number,
			    role_name(w->role), rc_str(rc));
		worker_drop(i);
	}
	return RC_OK;
}

/* --- start --- */

static void
ask_keyd(void)
{
	struct msg m;
	int rc;

	self.keyd = role_chan(&self.env, FD_KEYD, ROLE_KEYD);
	if (self.keyd == NULL)
		fatal("no channel to keyd");
	if ((rc = chan_send(self.keyd, MSG_KEYD_INFO, NULL, -1)) != RC_OK ||
	    (rc = chan_expect(self.keyd, MSG_KEYD_INFO_OK, &m, KEYD_MS)) !=
	    RC_OK ||
	    (rc = rbuf_bytes(&m.body, self.self.identity, ED25519_LEN)) !=
	    RC_OK ||
	    (rc = rbuf_bytes(&m.body, self.self.pin, SHA256_LEN)) != RC_OK ||
	    (rc = sha256(self.self.identity, ED25519_LEN,
	    self.self.identity_fp)) != RC_OK)
		fatal("keyd: %s", rc_str(rc));
}

static void
open_db(void)
{
	char path[300];
	int rc;

	/* the root, unless this start came without a chroot */
	snprintf(path, sizeof(path), "%s/auth.db",
	    (self.env.start.flags & START_F_CHROOT) != 0 ? "" :
	    self.env.start.root);
	rc = db_open(&self.db, path);
	if (rc == RC_VERSION)
		fatal("auth.db is of a newer version of StoreGrid");
	if (rc != RC_OK)
		fatal("auth.db: %s (%s)", rc_str(rc), db_error(self.db));
}

int
main(void)
{
	int rc;

	role_begin(&self.env, ROLE_AUTH, ROLE_MASTER, true);
	if ((rc = conf_get(&self.env.start.rest, &self.conf)) != RC_OK)
		fatal("START: %s", rc_str(rc));
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG |
	    OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL) != 1 ||
	    sql_prepare() != RC_OK)
		fatal("libraries do not start");
	ask_keyd();
	role_drop(&self.env);
	open_db();
	role_enter(&self.env);
	do
		rc = turn();
	while (rc == RC_OK && !self.stop);
	while (self.n > 0)
		worker_drop(self.n - 1);
	db_close(self.db);
	if (rc != RC_OK && rc != RC_EOF)
		fatal("master: %s", rc_str(rc));
	return 0;
}
