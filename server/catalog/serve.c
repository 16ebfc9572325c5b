#include "config.h"

#include "server/catalog/serve.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/role.h"

#define BURST_MAX	64	/* messages of one channel in one turn */
#define ANY		1u

struct member {
	struct serve	*s;
	struct port	*port;
	enum role	 role;
	bool		 dead;
	uint8_t		 vault[16];	/* store */
	uint32_t	 dial;		/* peer */
	bool		 listing;	/* auth: its list has begun */
	struct asker	 asker;		/* api */
};

/* Full disk or worse: history is lost, and nothing else; said once a minute. */
static void
note(struct serve *s, const char *what, int rc)
{
	if (rc == RC_OK || (s->told_error != 0 &&
	    s->c.now - s->told_error < 60))
		return;
	s->told_error = s->c.now;
	log_err("%s is not recorded: %s (%s)", what, rc_str(rc),
	    cat_error(&s->c));
}

/* --- members --- */

static void
member_free(struct member *m)
{
	asker_clear(&m->asker);
	port_free(m->port);
	free(m);
}

static int
member_new(struct serve *s, int fd, enum role role, struct member **out)
{
	struct member *m = NULL;
	struct port *port;

	if ((port = port_new(fd, role)) == NULL)
		return RC_NOMEM;
	if (s->n == SERVE_MEMBERS_MAX || (m = calloc(1, sizeof(*m))) == NULL) {
		port_free(port);
		return s->n == SERVE_MEMBERS_MAX ? RC_LIMIT : RC_NOMEM;
	}
	m->s = s;
	m->port = port;
	m->role = role;
	asker_init(&m->asker, &s->office);
	s->v[s->n++] = m;
	*out = m;
	return RC_OK;
}

static void
member_gone(struct serve *s, struct member *m)
{
	switch (m->role) {
	case ROLE_STORE:
		note(s, "the end of a store", runs_vault_left(&s->c, m->vault));
		break;
	case ROLE_PEER:
		dial_lost(&s->dialer, m->dial);
		break;
	default:
		break;
	}
	member_free(m);
}

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

static void
refuse(struct member *m, int rc)
{
	if (rc == RC_OK || m->dead)
		return;
	m->dead = true;
	if (rc != RC_EOF)
		log_warn("%s refused: %s", role_name(m->role), rc_str(rc));
}

/* --- auth --- */

static int
on_client_note(void *arg, struct chan *c, struct msg *msg)
{
	struct client_row r = { 0 };
	struct member *m = arg;
	struct serve *s = m->s;
	uint8_t what;
	int rc;

	(void)c;
	if ((rc = client_note_get(&msg->body, &what, &r)) != RC_OK)
		return rc;
	if (!m->listing) {
		m->listing = true;
		note(s, "a client", clients_list_begin(&s->c));
	}
	if (what == CLIENT_NOTE_END) {
		note(s, "a client", clients_list_end(&s->c));
		s->listed = true;
	} else if (what == CLIENT_NOTE_GONE) {
		note(s, "a client", client_gone(&s->c, &r));
	} else {
		note(s, "a client", client_put(&s->c, &r));
	}
	return RC_OK;
}

static int
take_audit(struct serve *s, struct msg *msg)
{
	struct audit_entry e;
	int rc;

	if ((rc = audit_get(&msg->body, &e)) != RC_OK)
		return rc;
	if ((rc = audit_add(&s->c, &e)) != RC_OK)
		log_err("audit: %s of %s by %s is not recorded: %s", e.act,
		    e.object, e.who, rc_str(rc));
	return RC_OK;
}

static int
on_audit(void *arg, struct chan *c, struct msg *msg)
{
	(void)c;
	return take_audit(((struct member *)arg)->s, msg);
}

static const struct handler from_auth[] = {
	{ MSG_CLIENT_NOTE, ANY, on_client_note },
	{ MSG_AUDIT, ANY, on_audit },
};

int
serve_auth(struct serve *s, int fd)
{
	struct member *m;

	for (size_t i = 0; i < s->n; i++)
		if (s->v[i]->role == ROLE_AUTH)
			s->v[i]->dead = true;
	return member_new(s, fd, ROLE_AUTH, &m);
}

/* --- store --- */

static int
on_run(void *arg, struct chan *c, struct msg *msg)
{
	struct member *m = arg;
	struct feed_run f;
	int rc;

	(void)c;
	if ((rc = feed_run_get(&msg->body, &f)) == RC_OK)
		note(m->s, "a run", run_feed(&m->s->c, m->vault, &f));
	return rc;
}

static int
on_snapshot(void *arg, struct chan *c, struct msg *msg)
{
	struct member *m = arg;
	struct feed_snapshot f;
	int rc;

	(void)c;
	if ((rc = feed_snapshot_get(&msg->body, &f)) == RC_OK)
		note(m->s, "a snapshot", run_snapshot(&m->s->c, m->vault, &f));
	return rc;
}

static int
on_report(void *arg, struct chan *c, struct msg *msg)
{
	uint8_t run[16], client[16];
	struct member *m = arg;
	struct report r;
	int rc;

	(void)c;
	if ((rc = rbuf_bytes(&msg->body, run, sizeof(run))) != RC_OK ||
	    (rc = rbuf_bytes(&msg->body, client, sizeof(client))) != RC_OK ||
	    (rc = report_parse(&msg->body, &r)) != RC_OK)
		return rc;
	/* which run it is, is the store's word, not the client's */
	memcpy(r.run, run, sizeof(r.run));
	if ((rc = run_report(&m->s->c, client, &r)) != RC_NOENT)
		note(m->s, "a report", rc);
	return RC_OK;
}

static int
on_space(void *arg, struct chan *c, struct msg *msg)
{
	struct member *m = arg;
	struct feed_space f;
	int rc;

	(void)c;
	if ((rc = feed_space_get(&msg->body, &f)) == RC_OK)
		note(m->s, "storage", space_feed(&m->s->c, m->vault, &f));
	return rc;
}

static const struct handler from_store[] = {
	{ MSG_CAT_RUN, ANY, on_run },
	{ MSG_CAT_SNAPSHOT, ANY, on_snapshot },
	{ MSG_CAT_REPORT, ANY, on_report },
	{ MSG_CAT_SPACE, ANY, on_space },
};

/* --- discovery --- */

static int
on_seen(void *arg, struct chan *c, struct msg *msg)
{
	struct member *m = arg;
	struct seen s;
	int rc;

	(void)c;
	if (m->role == ROLE_PEER)
		return dial_seen(&m->s->dialer, m->dial, &msg->body);
	if ((rc = seen_get(&msg->body, &s)) != RC_OK)
		return rc;
	if (s.how != (m->role == ROLE_MCAST ? PEER_MCAST : PEER_SCAN))
		return RC_RANGE;
	rc = peers_met(&m->s->peers, s.how, &s.addr, &s.info, NULL);
	if (rc != RC_DENIED && rc != RC_LIMIT)
		note(m->s, "a peer", rc);
	return RC_OK;
}

static int
on_peer_end(void *arg, struct chan *c, struct msg *msg)
{
	struct member *m = arg;
	int rc;

	(void)c;
	rc = dial_result(&m->s->dialer, m->dial, &msg->body);
	/* it is the last message */
	return rc == RC_OK ? RC_EOF : rc;
}

static const struct handler from_discovery[] = {
	{ MSG_PEER_SEEN, ANY, on_seen },
};

static const struct handler from_peer[] = {
	{ MSG_PEER_SEEN, ANY, on_seen },
	{ MSG_PEER_END, ANY, on_peer_end },
};

static void
discover(void *arg)
{
	struct serve *s = arg;

	for (size_t i = 0; i < s->n; i++) {
		struct member *m = s->v[i];

		if (!m->dead && (m->role == ROLE_MCAST || m->role == ROLE_SCAN))
			refuse(m, port_send(m->port, MSG_DISCOVER, NULL));
	}
}

/* --- api --- */

static int
on_query(void *arg, struct chan *c, struct msg *msg)
{
	(void)c;
	return asker_query(&((struct member *)arg)->asker, &msg->body);
}

static const struct handler from_api[] = {
	{ MSG_CAT_QUERY, ANY, on_query },
};

static int
ask_send(void *arg, enum msg_type type, const struct wbuf *body)
{
	return port_send(((struct member *)arg)->port, type, body);
}

static bool
ask_full(void *arg)
{
	return port_full(((struct member *)arg)->port);
}

static void
dialed(void *arg, const struct dial *d, int rc, struct rbuf *more)
{
	struct serve *s = arg;

	for (size_t i = 0; i < s->n; i++) {
		struct member *m = s->v[i];

		if (m->role != ROLE_API || m->dead ||
		    m->asker.number != d->asker)
			continue;
		refuse(m, asker_dialed(&m->asker, d, rc, more));
		return;
	}
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
		m->asker.send = ask_send;
		m->asker.full = ask_full;
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
	refuse(m, rc == RC_NOENT ? RC_EOF : rc);
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
	return take_audit(arg, msg);
}

static const struct handler from_master[] = {
	{ MSG_CATALOG_ADD, ANY, on_add },
	{ MSG_CATALOG_CONF, ANY, on_conf },
	{ MSG_DIAL_END, ANY, on_dial_end },
	{ MSG_AUDIT, ANY, on_master_audit },
};

int
serve_master(struct serve *s, struct chan *c, struct msg *m)
{
	return handle(from_master, NITEMS(from_master), ANY, s, c, m);
}

static int
send_dial(void *arg, struct wbuf *body)
{
	struct serve *s = arg;
	int rc = s->send(s->arg, MSG_DIAL, body);

	return rc == RC_AGAIN ? RC_BUSY : rc;
}

/* --- the turn --- */

static int
member_read(struct member *m)
{
	struct msg msg;
	int rc = RC_OK;

	for (int i = 0; rc == RC_OK && i < BURST_MAX; i++) {
		if ((rc = chan_recv(port_chan(m->port), &msg)) != RC_OK)
			return rc == RC_AGAIN ? RC_OK : rc;
		switch (m->role) {
		case ROLE_AUTH:
			rc = handle(from_auth, NITEMS(from_auth), ANY, m, NULL,
			    &msg);
			break;
		case ROLE_STORE:
			rc = handle(from_store, NITEMS(from_store), ANY, m,
			    NULL, &msg);
			break;
		case ROLE_PEER:
			rc = handle(from_peer, NITEMS(from_peer), ANY, m, NULL,
			    &msg);
			break;
		case ROLE_API:
			rc = handle(from_api, NITEMS(from_api), ANY, m, NULL,
			    &msg);
			break;
		default:
			rc = handle(from_discovery, NITEMS(from_discovery),
			    ANY, m, NULL, &msg);
			break;
		}
	}
	return rc;
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
	note(s, "a peer", peers_tick(&s->peers));
	if (s->started != 0 && now - s->started >= SERVE_GRACE_S) {
		note(s, "an old run", runs_end_stale(&s->c, s->started));
		s->started = 0;
	}
	if (s->minute != now / 60) {
		s->minute = now / 60;
		note(s, "an alert", clients_tick(&s->c));
		note(s, "a peer", peers_flush(&s->peers));
	}
	if (s->hour != now / 3600) {
		s->hour = now / 3600;
		note(s, "the end of old history", runs_prune(&s->c));
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
		refuse(m, rc);
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
			refuse(m, rc);
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
	s->dialer.done = dialed;
	s->dialer.arg = s;
	s->office = (struct office){ .c = &s->c, .peers = &s->peers,
	    .dialer = &s->dialer, .discover = discover, .arg = s };
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
		note(s, "a peer", peers_flush(&s->peers));
	peers_free(&s->peers);
	cat_close(&s->c);
}
