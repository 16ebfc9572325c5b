#include "config.h"

#include "server/auth/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"

#define SWEEP_MS	60000		/* sessions that ended by time */

struct authd *
authd_new(const struct auth_opts *o)
{
	struct authd *a = calloc(1, sizeof(*a));

	if (a == NULL || (a->delay = delay_new()) == NULL) {
		free(a);
		return NULL;
	}
	a->o = *o;
	a->db = o->db;
	a->swept = o->ms();
	notes_init(&a->notes, a->db);
	return a;
}

static void
worker_drop(struct authd *a, size_t i)
{
	struct worker *w = a->workers[i];

	a->workers[i] = a->workers[--a->n];
	users_worker_gone(a, w);
	notes_leave(&a->notes, w);
	if (a->login == w) {
		a->login = NULL;
		users_login_gone(a);
	}
	worker_free(w);
}

void
authd_free(struct authd *a)
{
	if (a == NULL)
		return;
	while (a->n > 0)
		worker_drop(a, a->n - 1);
	users_free(a);
	notes_free(&a->notes);
	pairs_clear(&a->pairs);
	delay_free(a->delay);
	free(a);
}

/* --- to the master --- */

int
auth_to_master(struct authd *a, enum msg_type type, struct wbuf *b)
{
	int rc = chan_send(a->o.master, type, b, -1);

	wbuf_free(b);
	if (rc != RC_OK && rc != RC_EOF)
		fatal("master: %s: %s", msg_name(type), rc_str(rc));
	return rc;
}

void
auth_event(struct authd *a, const struct worker *w, uint8_t event)
{
	struct wbuf b = WBUF_INIT(16);

	wbuf_u32(&b, w->number);
	wbuf_u64(&b, w->conn);
	wbuf_u8(&b, event);
	(void)auth_to_master(a, MSG_AUTH_EVENT, &b);
}

void
auth_cut_off(struct authd *a, const uint8_t vault[16])
{
	struct wbuf b = WBUF_INIT(16);

	wbuf_bytes(&b, vault, 16);
	(void)auth_to_master(a, MSG_CUT_OFF, &b);
}

const char *
worker_from(const struct worker *w, char out[ADDR_TEXT_MAX])
{
	return addr_text(&w->addr, out, ADDR_TEXT_MAX);
}

/* --- from the master --- */

static int
on_auth_add(void *arg, struct chan *c, struct msg *m)
{
	struct authd *a = arg;
	struct worker *w;
	uint32_t number;
	uint8_t role;
	int rc;

	if ((rc = rbuf_u32(&m->body, &number)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &role)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (role != ROLE_SESSION && role != ROLE_API && role != ROLE_LOGIN &&
	    role != ROLE_CATALOG)
		return RC_RANGE;
	if (a->n == NITEMS(a->workers)) {
		log_err("more than %d workers: %u gets no channel",
		    CHANNELS_MAX, number);
		return RC_OK;
	}
	w = worker_new(msg_take_fd(c, m), number, (enum role)role);
	if (w == NULL)
		return RC_NOMEM;
	a->workers[a->n++] = w;
	/* the newest counts; an older one that still has its end open is heard
	 * no more, its process is gone */
	if (role == ROLE_CATALOG)
		notes_join(&a->notes, w);
	if (role == ROLE_LOGIN) {
		if (a->login != NULL)
			a->login->broken = true;
		users_login_gone(a);
		a->login = w;
	}
	return RC_OK;
}

static int
on_auth_conn(void *arg, struct chan *c, struct msg *m)
{
	struct authd *a = arg;
	uint32_t number;
	uint64_t conn;
	uint8_t kind, verdict;
	struct addr addr;
	int rc;

	(void)c;
	if ((rc = rbuf_u32(&m->body, &number)) != RC_OK ||
	    (rc = rbuf_u64(&m->body, &conn)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &kind)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &verdict)) != RC_OK ||
	    (rc = addr_get(&m->body, &addr)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	for (size_t i = 0; i < a->n; i++) {
		struct worker *w = a->workers[i];

		if (w->number != number || w->state != W_IDLE ||
		    (w->role != ROLE_SESSION && w->role != ROLE_API))
			continue;
		w->conn = conn;
		w->kind = kind;
		w->verdict = verdict;
		w->addr = addr;
		w->state = W_CONN;
	}
	return RC_OK;
}

static int
on_auth_conf(void *arg, struct chan *c, struct msg *m)
{
	struct authd *a = arg;
	struct conf conf;
	int rc;

	(void)c;
	if ((rc = conf_get(&m->body, &conf)) == RC_OK)
		a->o.conf = conf;
	return rc;
}

static int
on_vault_made(void *arg, struct chan *c, struct msg *m)
{
	struct authd *a = arg;
	uint8_t vault[16];
	int rc;

	(void)c;
	if ((rc = rbuf_bytes(&m->body, vault, sizeof(vault))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if ((rc = db_vault_made(a->db, vault)) != RC_OK)
		log_err("vault made, but not recorded: %s (%s)", rc_str(rc),
		    db_error(a->db));
	return RC_OK;
}

static int
on_stop(void *arg, struct chan *c, struct msg *m)
{
	struct authd *a = arg;

	(void)c;
	(void)m;
	a->stop = true;
	return RC_OK;
}

static const struct handler from_master[] = {
	{ MSG_AUTH_ADD, W_ALL, on_auth_add },
	{ MSG_AUTH_CONN, W_ALL, on_auth_conn },
	{ MSG_AUTH_CONF, W_ALL, on_auth_conf },
	{ MSG_VAULT_MADE, W_ALL, on_vault_made },
	{ MSG_STOP, W_ALL, on_stop },
};

/* All that is there, before any worker is heard. */
static int
drain_master(struct authd *a, int (*other)(void *arg, struct msg *m),
    void *arg)
{
	struct msg m;
	int rc;

	while ((rc = chan_recv_wait(a->o.master, &m, 0)) == RC_OK) {
		if (m.type == MSG_NEW_CHAN && other != NULL)
			rc = other(arg, &m);
		else
			rc = handle(from_master, NITEMS(from_master), W_ALL, a,
			    a->o.master, &m);
		if (rc != RC_OK || a->stop)
			return rc;
	}
	return rc == RC_TIMEOUT ? RC_OK : rc;
}

/* --- workers --- */

static int
on_worker(struct authd *a, struct worker *w)
{
	struct auth_call q = { a, w };
	struct msg m;
	int rc;

	if ((rc = chan_recv(w->c, &m)) != RC_OK)
		return rc == RC_AGAIN ? RC_OK : rc;
	switch (w->role) {
	case ROLE_API:
		return handle(auth_from_api, auth_from_api_n, w->state, &q,
		    w->c, &m);
	case ROLE_SESSION:
		return handle(auth_from_session, auth_from_session_n, w->state,
		    &q, w->c, &m);
	case ROLE_LOGIN:
		return m.type == MSG_LOGIN_RESULT && w == a->login ?
		    users_on_result(a, &m) : RC_STATE;
	default:
		return RC_STATE;	/* the catalog only listens */
	}
}

static void
serve(struct authd *a, size_t i, short revents)
{
	struct worker *w = a->workers[i];
	int rc = RC_OK;

	if (revents != 0) {
		rc = worker_flush(w);
		if (rc == RC_OK && w == a->notes.catalog)
			notes_flush(&a->notes);
		if (rc == RC_OK && (revents & ~POLLOUT) != 0)
			rc = on_worker(a, w);
	}
	if (rc == RC_OK && w->broken)
		rc = RC_LIMIT;
	if (rc == RC_OK)
		return;
	if (rc != RC_EOF)
		log_warn("worker %u (%s) refused: %s", w->number,
		    role_name(w->role), rc_str(rc));
	worker_drop(a, i);
}

static int
least(int x, int y)
{
	return x < 0 ? y : y < 0 || x < y ? x : y;
}

static int
set_poll(struct authd *a, int timeout_ms)
{
	bool someone = false;

	for (size_t i = 0; i < a->n; i++) {
		const struct worker *w = a->workers[i];
		bool out = w->head != NULL || (w == a->notes.catalog &&
		    notes_pending(&a->notes));

		a->poll[i] = (struct pollfd){ .fd = chan_fd(w->c),
		    .events = (short)(POLLIN | (out ? POLLOUT : 0)) };
		someone = someone || w->credential != CREDENTIAL_NONE;
	}
	a->poll[a->n] = (struct pollfd){ .fd = chan_fd(a->o.master),
	    .events = POLLIN };
	return least(least(timeout_ms, users_wait(a)), someone ? SWEEP_MS :
	    -1);
}

int
authd_turn(struct authd *a, int timeout_ms,
    int (*other)(void *arg, struct msg *m), void *arg)
{
	size_t had = a->n;
	int rc;

	timeout_ms = set_poll(a, timeout_ms);
	if (poll(a->poll, (nfds_t)had + 1, timeout_ms) == -1)
		return errno == EINTR ? RC_OK : rc_errno(errno);
	if ((rc = drain_master(a, other, arg)) != RC_OK || a->stop)
		return rc;
	/* from the end, since a dropped one's place is taken by the last */
	for (size_t i = had; i-- > 0; )
		serve(a, i, a->poll[i].revents);
	users_run(a);
	if (a->o.ms() - a->swept >= SWEEP_MS) {
		a->swept = a->o.ms();
		api_sweep(a, NULL);
	}
	return RC_OK;
}
