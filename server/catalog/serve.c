#include "config.h"

#include "server/catalog/serve_impl.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"

int
serve_auth(struct serve *s, int fd)
{
	struct member *m;

	for (size_t i = 0; i < s->n; i++)
		if (s->v[i]->role == ROLE_AUTH)
			s->v[i]->dead = true;
	return member_new(s, fd, ROLE_AUTH, &m);
}

/* --- the master --- */

struct grant {
	uint32_t	worker, dial;
	uint8_t		role, right, identity[ED25519_LEN], vault[16];
	struct addr	addr;
	char		user[ASKER_USER_MAX + 2];
};

static int
grant_get(struct rbuf *in, struct grant *g)
{
	int rc;

	if ((rc = rbuf_u32(in, &g->worker)) != RC_OK ||
	    (rc = rbuf_u8(in, &g->role)) != RC_OK ||
	    (rc = rbuf_u8(in, &g->right)) != RC_OK ||
	    (rc = rbuf_bytes(in, g->identity, sizeof(g->identity))) != RC_OK ||
	    (rc = addr_get(in, &g->addr)) != RC_OK ||
	    (rc = rbuf_bytes(in, g->user, ASKER_USER_MAX + 1)) != RC_OK ||
	    (rc = rbuf_u32(in, &g->dial)) != RC_OK ||
	    (rc = rbuf_bytes(in, g->vault, sizeof(g->vault))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	return g->right >= RIGHT_MAX ? RC_RANGE : RC_OK;
}

static int
welcome(struct serve *s, struct member *m, const struct grant *g)
{
	struct wbuf b = WBUF_INIT(65536);
	int rc = RC_OK;

	switch (m->role) {
	case ROLE_API:
		m->asker.right = g->right;
		memcpy(m->asker.identity, g->identity, ED25519_LEN);
		m->asker.addr = g->addr;
		memcpy(m->asker.user, g->user, sizeof(m->asker.user));
		m->asker.send = member_send;
		m->asker.full = member_full;
		m->asker.arg = m;
		break;
	case ROLE_STORE:
		memcpy(m->vault, g->vault, sizeof(m->vault));
		wbuf_u64(&b, vault_seq(&s->c, m->vault));
		rc = port_send(m->port, MSG_CAT_ASK, &b);
		break;
	case ROLE_PEER:
		if ((rc = dial_task(&s->dialer, g->dial, &b)) == RC_OK) {
			m->dial = g->dial;
			rc = port_send(m->port, MSG_PEER_DO, &b);
		}
		break;
	default:
		break;
	}
	wbuf_free(&b);
	return rc;
}

static int
on_add(void *arg, struct chan *c, struct msg *msg)
{
	struct grant g = { 0 };
	struct serve *s = arg;
	struct member *m;
	int rc;

	if ((rc = grant_get(&msg->body, &g)) != RC_OK)
		return rc;
	if (g.role != ROLE_API && g.role != ROLE_STORE && g.role != ROLE_PEER &&
	    g.role != ROLE_MCAST && g.role != ROLE_SCAN)
		return RC_RANGE;
	rc = member_new(s, msg_take_fd(c, msg), (enum role)g.role, &m);
	if (rc != RC_OK) {
		log_err("%s %u gets no channel: %s",
		    role_name((enum role)g.role), g.worker, rc_str(rc));
		return RC_OK;
	}
	rc = welcome(s, m, &g);
	/* a dial that was given up in the meantime is nobody's fault */
	member_refuse(m, rc == RC_NOENT ? RC_EOF : rc);
	return RC_OK;
}

static int
on_conf(void *arg, struct chan *c, struct msg *msg)
{
	struct serve *s = arg;
	struct conf conf;
	int rc;

	(void)c;
	if ((rc = conf_get(&msg->body, &conf)) != RC_OK)
		return rc;
	peers_conf(&s->peers, &conf);
	dialer_conf(&s->dialer, &conf);
	return RC_OK;
}

static int
on_dial_end(void *arg, struct chan *c, struct msg *msg)
{
	struct serve *s = arg;
	uint32_t dial;
	uint8_t code;
	int rc;

	(void)c;
	if ((rc = rbuf_u32(&msg->body, &dial)) != RC_OK ||
	    (rc = rbuf_u8(&msg->body, &code)) != RC_OK ||
	    (rc = rbuf_end(&msg->body)) != RC_OK)
		return rc;
	dial_end(&s->dialer, dial, -(int)code);
	return RC_OK;
}

static int
on_master_audit(void *arg, struct chan *c, struct msg *msg)
{
	(void)c;
	return serve_audit(arg, msg);
}

static const struct handler from_master[] = {
	{ MSG_CATALOG_ADD, SERVE_ANY, on_add },
	{ MSG_CATALOG_CONF, SERVE_ANY, on_conf },
	{ MSG_DIAL_END, SERVE_ANY, on_dial_end },
	{ MSG_AUDIT, SERVE_ANY, on_master_audit },
};

int
serve_master(struct serve *s, struct chan *c, struct msg *m)
{
	return handle(from_master, NITEMS(from_master), SERVE_ANY, s, c, m);
}

static int
send_dial(void *arg, struct wbuf *body)
{
	struct serve *s = arg;
	int rc = s->send(s->arg, MSG_DIAL, body);

	return rc == RC_AGAIN ? RC_BUSY : rc;
}

/* --- the turn --- */

static void
sweep(struct serve *s)
{
	for (size_t i = s->n; i-- > 0; ) {
		struct member *m = s->v[i];

		if (!m->dead)
			continue;
		s->v[i] = s->v[--s->n];
		member_gone(s, m);
	}
}

void
serve_clock(struct serve *s, int64_t now, uint64_t ms)
{
	s->c.now = now;
	s->c.ms = ms;
}

size_t
serve_prepare(struct serve *s, int *timeout_ms)
{
	for (size_t i = 0; i < s->n; i++)
		s->poll[i + 1] = (struct pollfd){
			.fd = chan_fd(port_chan(s->v[i]->port)),
			.events = (short)(POLLIN |
			    (port_waits(s->v[i]->port) ? POLLOUT : 0))
		};
	*timeout_ms = s->more ? 0 : cat_is_writing(&s->c) ? SERVE_COMMIT_MS :
	    1000;
	return s->n;
}

/* A vault of which a fresh catalog knows nothing: its store will tell. */
static void
wake_next(struct serve *s)
{
	struct wbuf b = WBUF_INIT(16);
	int64_t after = s->wake_after;
	uint8_t vault[16];

	if (!s->listed || s->wake_at > s->c.now)
		return;
	s->wake_at = s->c.now + SERVE_WAKE_S;
	if (client_unknown_vault(&s->c, &after, vault) == RC_OK) {
		wbuf_bytes(&b, vault, sizeof(vault));
		if (s->send(s->arg, MSG_CAT_WAKE, &b) == RC_OK)
			s->wake_after = after;
	}
	wbuf_free(&b);
}

static void
tick(struct serve *s)
{
	int64_t now = s->c.now;

	if (s->second == now)
		return;
	s->second = now;
	dialer_tick(&s->dialer);
	wake_next(s);
	serve_note(s, "a peer", peers_tick(&s->peers));
	if (s->started != 0 && now - s->started >= SERVE_GRACE_S) {
		serve_note(s, "an old run", runs_end_stale(&s->c, s->started));
		s->started = 0;
	}
	if (s->minute != now / 60) {
		s->minute = now / 60;
		serve_note(s, "an alert", clients_tick(&s->c));
		serve_note(s, "a peer", peers_flush(&s->peers));
	}
	if (s->hour != now / 3600) {
		s->hour = now / 3600;
		serve_note(s, "the end of old history", runs_prune(&s->c));
	}
}

static void
commit(struct serve *s)
{
	int rc;

	if (!cat_is_writing(&s->c)) {
		s->write_ms = 0;
		return;
	}
	if (s->write_ms == 0)
		s->write_ms = s->c.ms;
	if (!s->c.urgent && s->c.ms - s->write_ms < SERVE_COMMIT_MS)
		return;
	s->write_ms = 0;
	if ((rc = cat_commit(&s->c)) != RC_OK)
		log_err("catalog.db: %s (%s)", rc_str(rc), cat_error(&s->c));
}

void
serve_turn(struct serve *s, size_t filled)
{
	struct member *m;
	int rc;

	for (size_t i = 0; i < filled; i++) {
		m = s->v[i];
		if (m->dead || s->poll[i + 1].revents == 0)
			continue;
		rc = port_flush(m->port);
		if (rc == RC_OK && (s->poll[i + 1].revents & ~POLLOUT) != 0)
			rc = member_read(m);
		member_refuse(m, rc);
	}
	tick(s);
	s->more = false;
	for (size_t i = 0; i < s->n; i++) {
		m = s->v[i];
		if (m->dead || m->role != ROLE_API ||
		    m->asker.state == ASKER_IDLE)
			continue;
		if ((rc = asker_go(&m->asker)) == RC_AGAIN)
			s->more = true;
		else
			member_refuse(m, rc);
	}
	sweep(s);
	commit(s);
}

int
serve_open(struct serve *s, const char *path, const struct conf *conf,
    const uint8_t identity[ED25519_LEN], const uint8_t pin[SHA256_LEN],
    int64_t now)
{
	int rc;

	if ((rc = cat_open(&s->c, path, now)) != RC_OK ||
	    (rc = peers_load(&s->peers, &s->c)) != RC_OK)
		return rc;
	memcpy(s->peers.self.identity, identity, ED25519_LEN);
	memcpy(s->peers.self.pin, pin, SHA256_LEN);
	peers_conf(&s->peers, conf);
	dialer_init(&s->dialer, &s->peers);
	dialer_conf(&s->dialer, conf);
	s->dialer.send = send_dial;
	s->dialer.done = serve_dialed;
	s->dialer.arg = s;
	s->office = (struct office){ .c = &s->c, .peers = &s->peers,
	    .dialer = &s->dialer, .discover = serve_discover, .arg = s };
	s->started = now;
	audit_log_head(&s->c);
	return RC_OK;
}

void
serve_free(struct serve *s)
{
	while (s->n > 0)
		member_free(s->v[--s->n]);
	if (s->c.db != NULL)
		serve_note(s, "a peer", peers_flush(&s->peers));
	peers_free(&s->peers);
	cat_close(&s->c);
}
