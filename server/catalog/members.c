#include "config.h"

#include "server/catalog/serve_impl.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"

#define BURST_MAX	64	/* messages of one channel in one turn */

/* Full disk or worse: history is lost, and nothing else; said once a minute. */
void
serve_note(struct serve *s, const char *what, int rc)
{
	if (rc == RC_OK || (s->told_error != 0 &&
	    s->c.now - s->told_error < 60))
		return;
	s->told_error = s->c.now;
	log_err("%s is not recorded: %s (%s)", what, rc_str(rc),
	    cat_error(&s->c));
}

/* --- members --- */

void
member_free(struct member *m)
{
	asker_clear(&m->asker);
	port_free(m->port);
	free(m);
}

int
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

void
member_gone(struct serve *s, struct member *m)
{
	switch (m->role) {
	case ROLE_STORE:
		serve_note(s, "the end of a store",
		    runs_vault_left(&s->c, m->vault));
		break;
	case ROLE_PEER:
		dial_lost(&s->dialer, m->dial);
		break;
	default:
		break;
	}
	member_free(m);
}

void
member_refuse(struct member *m, int rc)
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
		serve_note(s, "a client", clients_list_begin(&s->c));
	}
	if (what == CLIENT_NOTE_END) {
		serve_note(s, "a client", clients_list_end(&s->c));
		s->listed = true;
	} else if (what == CLIENT_NOTE_GONE) {
		serve_note(s, "a client", client_gone(&s->c, &r));
	} else {
		serve_note(s, "a client", client_put(&s->c, &r));
	}
	return RC_OK;
}

int
serve_audit(struct serve *s, struct msg *msg)
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
	return serve_audit(((struct member *)arg)->s, msg);
}

static const struct handler from_auth[] = {
	{ MSG_CLIENT_NOTE, SERVE_ANY, on_client_note },
	{ MSG_AUDIT, SERVE_ANY, on_audit },
};

/* --- store --- */

static int
on_run(void *arg, struct chan *c, struct msg *msg)
{
	struct member *m = arg;
	struct feed_run f;
	int rc;

	(void)c;
	if ((rc = feed_run_get(&msg->body, &f)) == RC_OK)
		serve_note(m->s, "a run", run_feed(&m->s->c, m->vault, &f));
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
		serve_note(m->s, "a snapshot",
		    run_snapshot(&m->s->c, m->vault, &f));
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
		serve_note(m->s, "a report", rc);
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
		serve_note(m->s, "storage", space_feed(&m->s->c, m->vault, &f));
	return rc;
}

static const struct handler from_store[] = {
	{ MSG_CAT_RUN, SERVE_ANY, on_run },
	{ MSG_CAT_SNAPSHOT, SERVE_ANY, on_snapshot },
	{ MSG_CAT_REPORT, SERVE_ANY, on_report },
	{ MSG_CAT_SPACE, SERVE_ANY, on_space },
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
		serve_note(m->s, "a peer", rc);
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
	{ MSG_PEER_SEEN, SERVE_ANY, on_seen },
};

static const struct handler from_peer[] = {
	{ MSG_PEER_SEEN, SERVE_ANY, on_seen },
	{ MSG_PEER_END, SERVE_ANY, on_peer_end },
};

void
serve_discover(void *arg)
{
	struct serve *s = arg;

	for (size_t i = 0; i < s->n; i++) {
		struct member *m = s->v[i];

		if (!m->dead && (m->role == ROLE_MCAST || m->role == ROLE_SCAN))
			member_refuse(m, port_send(m->port, MSG_DISCOVER, NULL));
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
	{ MSG_CAT_QUERY, SERVE_ANY, on_query },
};

int
member_send(void *arg, enum msg_type type, const struct wbuf *body)
{
	return port_send(((struct member *)arg)->port, type, body);
}

bool
member_full(void *arg)
{
	return port_full(((struct member *)arg)->port);
}

void
serve_dialed(void *arg, const struct dial *d, int rc, struct rbuf *more)
{
	struct serve *s = arg;

	for (size_t i = 0; i < s->n; i++) {
		struct member *m = s->v[i];

		if (m->role != ROLE_API || m->dead ||
		    m->asker.number != d->asker)
			continue;
		member_refuse(m, asker_dialed(&m->asker, d, rc, more));
		return;
	}
}

/* --- reading --- */

int
member_read(struct member *m)
{
	struct msg msg;
	int rc = RC_OK;

	for (int i = 0; rc == RC_OK && i < BURST_MAX; i++) {
		if ((rc = chan_recv(port_chan(m->port), &msg)) != RC_OK)
			return rc == RC_AGAIN ? RC_OK : rc;
		switch (m->role) {
		case ROLE_AUTH:
			rc = handle(from_auth, NITEMS(from_auth), SERVE_ANY,
			    m, NULL, &msg);
			break;
		case ROLE_STORE:
			rc = handle(from_store, NITEMS(from_store), SERVE_ANY,
			    m, NULL, &msg);
			break;
		case ROLE_PEER:
			rc = handle(from_peer, NITEMS(from_peer), SERVE_ANY,
			    m, NULL, &msg);
			break;
		case ROLE_API:
			rc = handle(from_api, NITEMS(from_api), SERVE_ANY,
			    m, NULL, &msg);
			break;
		default:
			rc = handle(from_discovery, NITEMS(from_discovery),
			    SERVE_ANY, m, NULL, &msg);
			break;
		}
	}
	return rc;
}
