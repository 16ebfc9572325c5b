#include "config.h"

#include <stdio.h>
#include <string.h>

#include "common/rc.h"
#include "server/catalog/asker.h"

#define FIND_MAX	79
#define ROW_MAX		512

/* --- what a person asks and does --- */

static int
send_peer(struct asker *a, const struct peer *p)
{
	struct wbuf b = WBUF_INIT(ROW_MAX);
	char fp[PEER_FP_LEN + 1];

	peer_fp(p, fp);
	wbuf_u8(&b, CAT_ROW_PEER);
	wbuf_str(&b, fp);
	wbuf_u8(&b, p->how);
	wbuf_u8(&b, (uint8_t)peer_state(a->o->peers, p));
	wbuf_u8(&b, p->conflict || p->pin_bad);
	wbuf_u8(&b, p->compared);
	addr_put(&b, &p->addr);
	wbuf_i64(&b, p->first_seen);
	wbuf_i64(&b, peer_seen(p));
	wbuf_i64(&b, peer_since(a->o->peers, p));
	wbuf_str(&b, p->label);
	peer_info_put(&b, &p->info);
	return asker_row(a, &b);
}

static int
op_peers(struct asker *a, struct rbuf *in)
{
	struct peers *t = a->o->peers;
	int rc;

	if ((rc = rbuf_end(in)) != RC_OK)
		return rc;
	for (size_t i = 0; i < t->n; i++)
		if (!t->v[i]->hidden && (rc = send_peer(a, t->v[i])) != RC_OK)
			return rc;
	return asker_end(a, RC_OK, NULL);
}

static int
op_add(struct asker *a, struct rbuf *in)
{
	char fp[PEER_FP_LEN + 1], label[PEER_LABEL_MAX + 1];
	char where[ADDR_TEXT_MAX], object[ADDR_TEXT_MAX + 8];
	struct peer *p = NULL;
	struct addr addr;
	int rc;

	if ((rc = addr_get(in, &addr)) != RC_OK ||
	    (rc = rbuf_str(in, fp, sizeof(fp))) != RC_OK ||
	    (rc = rbuf_str(in, label, sizeof(label))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (addr.port == 0)
		addr.port = a->o->peers->self.port_gui;
	snprintf(object, sizeof(object), "%s %u",
	    addr_text(&addr, where, sizeof(where)), addr.port);
	rc = label[0] != '\0' && !peer_id_ok(label) ? RC_RANGE :
	    peers_add(a->o->peers, &addr, fp, label, &p);
	rc = asker_changed(a, "peer add", object, fp, rc);
	if (rc != RC_OK)
		return asker_end(a, rc, rc == RC_RANGE ? "Not an address of one "
		    "host, or not a fingerprint of 32 digits." : NULL);
	if ((rc = send_peer(a, p)) != RC_OK)
		return rc;
	dialer_tick(a->o->dialer);
	return asker_end(a, RC_OK, NULL);
}

static const char *
why_not(int rc)
{
	switch (rc) {
	case RC_NOENT:
		return "No such peer.";
	case RC_EXISTS:
		return "More than one peer fits: give more of its fingerprint.";
	case RC_DENIED:
		return "This peer is not dialled: it is in conflict, or its "
		    "address is not one that others may send us to.";
	case RC_BUSY:
		return "Other peers are being called. Try again.";
	default:
		return NULL;
	}
}

static int
get_peer(struct asker *a, struct rbuf *in, char text[FIND_MAX + 1],
    struct peer **p, int *found)
{
	int rc;

	if ((rc = rbuf_str(in, text, FIND_MAX + 1)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	*found = peers_find(a->o->peers, text, p);
	return RC_OK;
}

static int
op_remove(struct asker *a, struct rbuf *in)
{
	bool forget = a->op == CAT_OP_PEER_FORGET;
	char text[FIND_MAX + 1], detail[PEER_FP_LEN + PEER_ID_MAX + 2] = "";
	char fp[PEER_FP_LEN + 1];
	struct peer *p;
	int rc, found;

	if ((rc = get_peer(a, in, text, &p, &found)) != RC_OK)
		return rc;
	rc = found;
	if (rc == RC_OK) {
		peer_fp(p, fp);
		snprintf(detail, sizeof(detail), "%s %s", fp, p->info.id);
		rc = forget ? peers_forget(a->o->peers, p) :
		    peers_rm(a->o->peers, p);
	}
	rc = asker_changed(a, forget ? "peer forget" : "peer rm", text, detail,
	    rc);
	return asker_end(a, rc, why_not(rc));
}

static int
op_discover(struct asker *a, struct rbuf *in)
{
	int rc;

	if ((rc = rbuf_end(in)) != RC_OK)
		return rc;
	rc = asker_changed(a, "discover", "", "", RC_OK);
	if (rc == RC_OK) {
		a->o->discover(a->o->arg);
		dialer_all_now(a->o->dialer);
		dialer_tick(a->o->dialer);
	}
	return asker_end(a, rc, NULL);
}

/* --- reaching --- */

/* Why a peer could not be asked, and what to do. */
static const char *
unasked(int rc)
{
	switch (rc) {
	case RC_DENIED:
		return "That installation does not know this one, which does not "
		    "call from a private address: enter it there, with "
		    "storegridctl peer add ADDRESS --fingerprint F (F stands in "
		    "storegridctl status here).";
	case RC_PIN:
		return "Another key answers at the peer's address.";
	case RC_REFUSED:
	case RC_TIMEOUT:
	case RC_UNREACHABLE:
		return "The peer's Ports.GUI does not answer from here. Backups "
		    "are not affected.";
	case RC_BUSY:
	case RC_LIMIT:
		return "The peer was asked a moment ago: try again in ten seconds.";
	default:
		return "The peer could not be asked; the log says why.";
	}
}


static void
begin_wait(struct asker *a)
{
	do
		a->o->last++;
	while (a->o->last == 0);
	a->number = a->o->last;
	a->state = ASKER_WAITS;
}

static int
op_reach(struct asker *a, struct rbuf *in)
{
	char text[FIND_MAX + 1];
	struct peer *p;
	int rc, found;

	if ((rc = get_peer(a, in, text, &p, &found)) != RC_OK)
		return rc;
	begin_wait(a);
	rc = found == RC_OK ? dial_peer(a->o->dialer, p, DIAL_REACH,
	    a->number) : found;
	rc = asker_changed(a, "reach", text, "", rc);
	return rc == RC_OK ? RC_OK : asker_end(a, rc, why_not(rc));
}

static int
send_reach(struct asker *a, uint16_t port, uint8_t code, uint32_t ms)
{
	struct wbuf b = WBUF_INIT(16);

	wbuf_u8(&b, CAT_ROW_REACH);
	wbuf_u16(&b, port);
	wbuf_u8(&b, code);
	wbuf_u32(&b, ms);
	return asker_row(a, &b);
}

/* RC_LIMIT and RC_EOF are our own channel's; all else is what the peer sent. */
static int
reach_rows(struct asker *a, struct rbuf *in)
{
	uint8_t n, code;
	uint16_t port;
	uint32_t ms;
	int rc;

	if (rbuf_u8(in, &n) != RC_OK || n > TASK_PORTS_MAX ||
	    rbuf_left(in) != 7u * n)
		return asker_end(a, RC_PROTO, "The peer's answer is malformed.");
	for (; n > 0; n--) {
		(void)rbuf_u16(in, &port);
		(void)rbuf_u8(in, &code);
		(void)rbuf_u32(in, &ms);
		if ((rc = send_reach(a, port, code, ms)) != RC_OK)
			return rc;
	}
	return asker_end(a, RC_OK, NULL);
}

int
reach_end(struct asker *a)
{
	int rc;

	for (uint8_t i = 0; i < a->n_reach; i++) {
		struct reach *r = &a->reach[i];

		/* not a word in all that time: filtered */
		if (!r->done) {
			r->rc = RC_TIMEOUT;
			r->ms = ASKER_PROBE_MS;
		}
		if ((rc = send_reach(a, r->port, (uint8_t)-r->rc, r->ms)) !=
		    RC_OK)
			return rc;
	}
	return asker_end(a, RC_OK, NULL);
}

int
asker_dialed(struct asker *a, const struct dial *v, int rc, struct rbuf *more)
{
	bool all = true;

	if (a->state != ASKER_WAITS)
		return RC_OK;
	if (a->op == CAT_OP_REACH)
		return rc == RC_OK && more != NULL ? reach_rows(a, more) :
		    asker_end(a, rc, unasked(rc));
	for (uint8_t i = 0; i < a->n_reach; i++) {
		struct reach *r = &a->reach[i];

		if (!r->done && r->port == v->port) {
			r->done = true;
			r->rc = rc;
			r->ms = (uint32_t)(a->o->c->ms - a->began);
			break;
		}
	}
	for (uint8_t i = 0; i < a->n_reach; i++)
		all = all && a->reach[i].done;
	return all ? reach_end(a) : RC_OK;
}

/* --- what another installation asks --- */

static int
send_entries(struct asker *a)
{
	struct peer *v[TASK_ENTRIES_MAX];
	size_t n, max = a->o->dialer->max;
	int rc;

	n = peers_tell(a->o->peers, a->identity, v, max < TASK_ENTRIES_MAX ?
	    max : TASK_ENTRIES_MAX);
	for (size_t i = 0; i < n; i++) {
		struct wbuf b = WBUF_INIT(ROW_MAX);

		wbuf_u8(&b, CAT_ROW_ENTRY);
		peer_info_put(&b, &v[i]->info);
		addr_put(&b, &v[i]->addr);
		if ((rc = asker_row(a, &b)) != RC_OK)
			return rc;
	}
	return asker_end(a, RC_OK, NULL);
}

static bool
too_soon(const struct asker *a, int64_t *last)
{
	int64_t now = a->o->c->now;

	if (*last != 0 && now - *last < PEER_ASK_EVERY && now >= *last)
		return true;
	*last = now;
	return false;
}

struct entry {
	struct peer_info info;
	struct addr	addr;
};

static int
get_entries(struct rbuf *in, struct entry v[TASK_ENTRIES_MAX], uint16_t *n)
{
	int rc;

	if ((rc = rbuf_u16(in, n)) != RC_OK)
		return rc;
	if (*n > TASK_ENTRIES_MAX)
		return RC_LIMIT;
	for (uint16_t i = 0; i < *n; i++)
		if ((rc = peer_info_get(in, &v[i].info)) != RC_OK ||
		    (rc = addr_get(in, &v[i].addr)) != RC_OK)
			return rc;
	return rbuf_end(in);
}

static int
op_exchange(struct asker *a, struct rbuf *in)
{
	static struct entry v[TASK_ENTRIES_MAX];
	struct peers *t = a->o->peers;
	struct peer_info info;
	struct peer *p;
	uint16_t n;
	int rc;

	if ((rc = peer_info_get(in, &info)) != RC_OK ||
	    (rc = get_entries(in, v, &n)) != RC_OK)
		return rc;
	if (memcmp(info.identity, a->identity, ED25519_LEN) != 0 ||
	    !a->o->dialer->enabled)
		return asker_end(a, RC_DENIED, NULL);
	p = peers_by_identity(t, a->identity);
	if (p != NULL && too_soon(a, &p->asked_exchange))
		return asker_end(a, RC_BUSY, NULL);
	rc = peers_met(t, PEER_CALLED, &a->addr, &info, NULL);
	p = peers_by_identity(t, a->identity);
	if (rc != RC_OK || p == NULL)
		return asker_end(a, rc == RC_OK ? RC_DENIED : rc, NULL);
	p->asked_exchange = t->c->now;
	/* who may be somebody else is told nothing, and believed nothing */
	if (p->conflict)
		return asker_end(a, RC_DENIED, NULL);
	for (uint16_t i = 0; i < n; i++)
		(void)peers_heard(t, &v[i].addr, &v[i].info);
	return send_entries(a);
}

static int
get_ports(struct asker *a, struct rbuf *in)
{
	uint8_t n;
	int rc;

	if ((rc = rbuf_u8(in, &n)) != RC_OK)
		return rc;
	if (n == 0 || n > TASK_PORTS_MAX)
		return RC_RANGE;
	memset(a->reach, 0, sizeof(a->reach));
	for (a->n_reach = 0; a->n_reach < n; a->n_reach++)
		if ((rc = rbuf_u16(in, &a->reach[a->n_reach].port)) != RC_OK)
			return rc;
	return rbuf_end(in);
}

/* Only what it says of itself is its own: others' ports are not our business. */
static bool
is_announced(const struct peer_info *p, uint16_t port)
{
	return port != 0 && (port == p->port_server || port == p->port_ssl ||
	    port == p->port_gui || port == p->port_webssl);
}

/* Its own address, as the connection shows it.  Loopback is this host's own
 * ground, unless a person put the peer there. */
static int
may_probe(struct asker *a, const struct peer *p)
{
	const struct addr *d = &a->addr;
	bool loopback = (d->family == 4 && d->b[0] == 127) ||
	    (d->family == 6 && memcmp(d->b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1",
	    16) == 0);

	if (p == NULL || p->conflict || d->family == 0)
		return RC_DENIED;
	if (loopback && !(p->addr_how == PEER_BY_HAND &&
	    memcmp(p->addr.b, d->b, sizeof(d->b)) == 0))
		return RC_DENIED;
	for (uint8_t i = 0; i < a->n_reach; i++)
		if (!is_announced(&p->info, a->reach[i].port))
			return RC_RANGE;
	return RC_OK;
}

static int
op_probe(struct asker *a, struct rbuf *in)
{
	struct peer *p;
	uint8_t how;
	int rc;

	if ((rc = get_ports(a, in)) != RC_OK)
		return rc;
	p = peers_by_identity(a->o->peers, a->identity);
	if ((rc = may_probe(a, p)) != RC_OK)
		return asker_end(a, rc, NULL);
	if (a->o->probes >= ASKER_PROBES || too_soon(a, &p->asked_probe))
		return asker_end(a, RC_BUSY, NULL);
	begin_wait(a);
	a->o->probes++;
	a->probing = true;
	how = p->addr_how == PEER_BY_HAND ? PEER_BY_HAND : PEER_CALLED;
	for (uint8_t i = 0; i < a->n_reach; i++) {
		struct reach *r = &a->reach[i];

		rc = dial_probe(a->o->dialer, &a->addr, r->port, &p->info, how,
		    a->number);
		if (rc != RC_OK) {
			r->done = true;
			r->rc = RC_BUSY;
		}
	}
	return RC_OK;
}

static const struct {
	uint8_t	op;
	int	(*fn)(struct asker *a, struct rbuf *in);
} peer_ops[] = {
	{ CAT_OP_PEERS, op_peers },
	{ CAT_OP_PEER_ADD, op_add },
	{ CAT_OP_PEER_RM, op_remove },
	{ CAT_OP_PEER_FORGET, op_remove },
	{ CAT_OP_DISCOVER, op_discover },
	{ CAT_OP_REACH, op_reach },
	{ CAT_OP_EXCHANGE, op_exchange },
	{ CAT_OP_PROBE, op_probe },
};

int
peer_op(struct asker *a, struct rbuf *in)
{
	for (size_t i = 0; i < sizeof(peer_ops) / sizeof(peer_ops[0]); i++)
		if (peer_ops[i].op == a->op)
			return peer_ops[i].fn(a, in);
	return RC_RANGE;
}
