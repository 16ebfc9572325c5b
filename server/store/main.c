#include "config.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/relog.h"
#include "server/store/dir.h"
#include "server/store/serve.h"

/*
 * sg-store: the only writer of one vault.  The vault's directory is made or
 * found after the change of ids and before the chroot; its files are read only
 * in the sandbox.
 */
#define FD_KEYD		5
#define FD_CATALOG	6
#define KEYD_MS		10000
#define RECEIPT_LEN	(SNAPSHOT_SERVER_LEN - ED25519_SIG_LEN)

struct store {
	struct role_env	 env;
	struct vault_opt opt;
	bool		 create, created;
	int		 dir;		/* of the vault, until it is opened */
	int		 prepare_rc;
	struct chan	*keyd;
	struct chan	*catalog;	/* until the server has it */
	unsigned	 owed;		/* answers of keyd that came too late */
	struct io_pool	*io;
	struct vault	*v;
	struct server	 srv;
	uint32_t	 told_runs;
	bool		 stop;
};

static struct store store;

static int
parse_start(struct store *st)
{
	struct rbuf *in = &st->env.start.rest;
	struct vault_opt *o = &st->opt;
	uint8_t create;
	int rc;

	if ((rc = rbuf_bytes(in, o->vault, 16)) != RC_OK ||
	    (rc = rbuf_bytes(in, o->instance, 16)) != RC_OK ||
	    (rc = rbuf_u8(in, &create)) != RC_OK ||
	    (rc = rbuf_bytes(in, o->client, 16)) != RC_OK ||
	    (rc = rbuf_bytes(in, o->client_key, 32)) != RC_OK ||
	    (rc = rbuf_bytes(in, o->name, sizeof(o->name))) != RC_OK ||
	    (rc = rbuf_u64(in, &o->lock_seconds)) != RC_OK ||
	    (rc = rbuf_u64(in, &o->reserve)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	o->name[sizeof(o->name) - 1] = '\0';
	st->create = create == 1;
	return RC_OK;
}

/* `at` is the directory of all vaults; leaves ours open in st->dir. */
static int
find_vault(struct store *st, int at)
{
	char hex[2 * 16 + 1];
	struct ident id;
	int rc;

	hex_put(hex, st->opt.vault, 16);
	if (st->create && (rc = dir_make(at, hex)) != RC_OK)
		return rc;
	if ((rc = dir_open(at, hex, &st->dir)) != RC_OK)
		return rc == RC_NOENT ? RC_UNMOUNTED : rc;
	rc = ident_read(st->dir, &id);
	if (rc == RC_NOENT && st->create) {
		if ((rc = vault_create(st->dir, &st->opt)) == RC_OK)
			st->created = true;
	} else if (rc == RC_NOENT) {
		rc = RC_UNMOUNTED;
	} else if (rc != RC_OK) {
		/* vault_open() says it, with what it finds. */
		rc = RC_OK;
	}
	return rc;
}

/*
 * After the change of ids, in START's root.  What fails here is told to the
 * master as the vault's state, not by dying: it is no fault of this process.
 */
static int
prepare(void *arg)
{
	struct store *st = arg;
	int at = -1;

	if ((st->prepare_rc = dir_open(AT_FDCWD, ".", &at)) == RC_OK)
		st->prepare_rc = find_vault(st, at);
	fd_close(&at);
	if (st->dir >= 0 && fchdir(st->dir) != 0)
		return RC_SANDBOX;
	return RC_OK;
}

/* The same where there is no chroot. */
static void
prepare_here(struct store *st)
{
	int at = -1;

	if ((st->prepare_rc = dir_open(AT_FDCWD, st->env.start.root, &at)) ==
	    RC_OK)
		st->prepare_rc = find_vault(st, at);
	fd_close(&at);
}

static int
start_threads(void *arg)
{
	return io_pool_start(arg);
}

/* --- keyd --- */

static void
drop_keyd(struct store *st)
{
	chan_free(st->keyd);
	st->keyd = NULL;
	st->owed = 0;
}

static int
keyd_answer(struct store *st, uint8_t sig[64])
{
	struct msg m;
	int rc;

	/* Answers come in order: those of requests given up are first. */
	do {
		rc = chan_expect(st->keyd, MSG_KEYD_SIG, &m, KEYD_MS);
		if (rc != RC_OK)
			return rc;
	} while (st->owed-- > 1);
	if ((rc = rbuf_bytes(&m.body, sig, 64)) != RC_OK)
		return rc;
	return rbuf_end(&m.body);
}

static int
sign(void *arg, const struct object_id *id,
    const struct snapshot_server *server, uint8_t sig[64])
{
	struct wbuf body = WBUF_INIT(256);
	struct wbuf part = WBUF_INIT(SNAPSHOT_SERVER_LEN);
	struct store *st = arg;
	int rc;

	if (st->keyd == NULL) {
		log_warn("no receipt: keyd is away");
		return RC_AGAIN;
	}
	snapshot_put_server(&part, server);
	wbuf_bytes(&body, id->b, OBJECT_ID_LEN);
	if ((rc = wbuf_rc(&part)) == RC_OK)
		wbuf_bytes(&body, part.data, RECEIPT_LEN);
	if (rc == RC_OK &&
	    (rc = chan_send(st->keyd, MSG_KEYD_RECEIPT, &body, -1)) == RC_OK) {
		st->owed++;
		rc = keyd_answer(st, sig);
	}
	wbuf_free(&part);
	wbuf_free(&body);
	if (rc == RC_OK)
		return RC_OK;
	log_warn("no receipt: keyd: %s", rc_str(rc));
	if (rc != RC_TIMEOUT)
		drop_keyd(st);
	/* Nothing was promised yet: the client repeats its COMMIT. */
	return RC_AGAIN;
}

/* --- the master --- */

static int
on_grant(struct store *st, struct msg *m)
{
	struct grant g = { 0 };
	struct chan *c;
	uint64_t conn;
	int fd, rc;

	if ((rc = rbuf_u64(&m->body, &conn)) != RC_OK ||
	    (rc = rbuf_bytes(&m->body, g.client, 16)) != RC_OK ||
	    (rc = rbuf_bytes(&m->body, g.key, 32)) != RC_OK ||
	    (rc = rbuf_u32(&m->body, &g.rights)) != RC_OK ||
	    (rc = rbuf_bytes(&m->body, g.name, VAULT_NAME_LEN)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	fd = msg_take_fd(st->env.parent, m);
	if (st->v == NULL) {
		fd_close(&fd);
		return RC_OK;
	}
	if ((c = chan_new(fd, ROLE_STORE, ROLE_SESSION)) == NULL)
		return RC_NOMEM;
	if ((rc = server_grant(&st->srv, c, conn, &g)) != RC_OK)
		log_warn("%s: conn=%llu not taken: %s", g.name,
		    (unsigned long long)conn, rc_str(rc));
	return RC_OK;
}

static int
on_new_chan(struct store *st, struct msg *m)
{
	struct rbuf in = m->body;
	uint8_t role;
	int rc;

	if ((rc = relog(&st->env, m)) != RC_UNSUPPORTED)
		return rc;
	if ((rc = rbuf_u8(&in, &role)) != RC_OK)
		return rc;
	if (role == ROLE_CATALOG) {
		tell_chan(&st->srv.tell, chan_new(msg_take_fd(st->env.parent,
		    m), ROLE_STORE, ROLE_CATALOG));
		return RC_OK;
	}
	if (role != ROLE_KEYD)
		return RC_STATE;
	drop_keyd(st);
	st->keyd = chan_new(msg_take_fd(st->env.parent, m), ROLE_STORE,
	    ROLE_KEYD);
	return st->keyd != NULL ? RC_OK : RC_NOMEM;
}

static int
on_master(struct store *st)
{
	struct msg m;
	int rc;

	if ((rc = chan_recv(st->env.parent, &m)) != RC_OK)
		return rc;
	switch (m.type) {
	case MSG_STORE_GRANT:
		return on_grant(st, &m);
	case MSG_NEW_CHAN:
		return on_new_chan(st, &m);
	case MSG_STOP:
		st->stop = true;
		return RC_OK;
	default:
		return RC_STATE;
	}
}

static void
tell_state(struct store *st, int rc)
{
	struct wbuf body = WBUF_INIT(2);

	wbuf_u8(&body, st->created);
	wbuf_u8(&body, (uint8_t)-rc);
	if (chan_send(st->env.parent, MSG_STORE_STATE, &body, -1) != RC_OK)
		fatal("the master is gone");
	wbuf_free(&body);
}

static void
tell_runs(struct store *st)
{
	struct wbuf body = WBUF_INIT(4);

	if (st->v == NULL || st->v->nruns == st->told_runs)
		return;
	wbuf_u32(&body, st->v->nruns);
	if (chan_send(st->env.parent, MSG_STORE_BUSY, &body, -1) == RC_OK)
		st->told_runs = st->v->nruns;
	wbuf_free(&body);
}

static int
open_vault(struct store *st)
{
	char holder[160] = "";
	int rc = st->prepare_rc;

	if (rc == RC_OK) {
		rc = vault_open(&st->v, st->dir, &st->opt, holder,
		    sizeof(holder));
		st->dir = -1;
	}
	if (rc != RC_OK)
		log_err("the vault cannot be opened: %s%s%s", rc_str(rc),
		    holder[0] != '\0' ? ": " : "", holder);
	else if (st->v->readonly)
		log_err("the vault is open for reading only: %s", st->v->why);
	return rc;
}

/* --- the loop --- */

enum { P_MASTER, P_IO, P_CATALOG, P_FIRST };

static void
serve_ready(struct store *st, const struct pollfd *p, nfds_t n)
{
	struct session *s, *next;
	nfds_t i = P_FIRST;

	for (s = st->srv.sessions; s != NULL && i < n; s = s->next, i++) {
		if ((p[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
			session_input(&st->srv, s);
		if (!s->ending)
			session_output(&st->srv, s);
	}
	for (s = st->srv.sessions; s != NULL; s = next) {
		next = s->next;
		if (s->ending)
			session_end(&st->srv, s);
	}
}

static void
loop(struct store *st)
{
	struct pollfd p[P_FIRST + SERVE_SESSIONS_MAX];

	while (!st->stop) {
		struct session *s;
		nfds_t n = P_FIRST;
		int wait_ms = -1, rc;

		if (st->v != NULL)
			server_tick(&st->srv, io_now_ms(), &wait_ms);
		if (st->srv.more_work)
			wait_ms = 0;
		st->srv.more_work = false;
		tell_runs(st);
		p[P_MASTER] = (struct pollfd){ chan_fd(st->env.parent),
		    POLLIN, 0 };
		p[P_IO] = (struct pollfd){ io_pool_fd(st->io), POLLIN, 0 };
		p[P_CATALOG] = (struct pollfd){ tell_fd(&st->srv.tell),
		    tell_events(&st->srv.tell), 0 };
		for (s = st->srv.sessions; s != NULL; s = s->next)
			p[n++] = (struct pollfd){ link_fd(s->link),
			    link_events(s->link), 0 };
		if (poll(p, n, wait_ms) < 0 && errno != EINTR)
			fatal("poll: errno %d", errno);
		if (st->v != NULL && (p[P_IO].revents & POLLIN) != 0)
			server_io(&st->srv);
		if (st->v != NULL)
			serve_ready(st, p, n);
		tell_ready(&st->srv.tell, p[P_CATALOG].revents);
		if (p[P_MASTER].revents == 0)
			continue;
		if ((rc = on_master(st)) == RC_EOF)
			return;
		if (rc != RC_OK)
			fatal("message of the master: %s", rc_str(rc));
	}
}

int
main(void)
{
	struct store *st = &store;
	int rc;

	st->dir = -1;
	st->prepare_rc = RC_STATE;
	role_begin(&st->env, ROLE_STORE, ROLE_MASTER, true);
	if ((rc = parse_start(st)) != RC_OK)
		fatal("START: %s", rc_str(rc));
	if ((st->keyd = role_chan(&st->env, FD_KEYD, ROLE_KEYD)) == NULL)
		fatal("no channel to keyd");
	/* Whoever starts a store without a catalog tells nobody. */
	if (fcntl(FD_CATALOG, F_GETFD) != -1)
		st->catalog = role_chan(&st->env, FD_CATALOG, ROLE_CATALOG);
	if ((rc = io_pool_new(&st->io)) != RC_OK)
		fatal("threads: %s", rc_str(rc));
	role_on_chroot(&st->env, prepare, st);
	role_drop(&st->env);
	if (st->prepare_rc == RC_STATE)
		prepare_here(st);
	role_on_threads(&st->env, start_threads, st->io);
	role_enter(&st->env);
	st->opt.sign = sign;
	st->opt.arg = st;
	rc = open_vault(st);
	server_init(&st->srv, st->v, st->io);
	tell_chan(&st->srv.tell, st->catalog);
	tell_state(st, rc);
	loop(st);
	if (st->v != NULL) {
		server_drain(&st->srv);
		for (struct session *s; (s = st->srv.sessions) != NULL;) {
			refuse(s, PROTO_ERR_SHUTDOWN, "the server is stopping");
			session_end(&st->srv, s);
		}
		for (struct run *r = st->v->runs; r != NULL; r = r->next)
			tell_left(&st->srv.tell, r);
		tell_end(&st->srv.tell);
		vault_close(st->v);
	}
	return 0;
}
