#include "config.h"

#include "server/catalog/asker.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/rc.h"

#define STEPS_MAX	500	/* rows before others have their turn */

static const struct {
	const char	*name;
	uint8_t		 right;
} ops[CAT_OP_MAX] = {
#define X(op, least) [CAT_OP_##op] = { #op, RIGHT_##least },
	CAT_OPS(X)
#undef X
};

void
asker_init(struct asker *a, struct office *o)
{
	memset(a, 0, sizeof(*a));
	a->o = o;
}

static void
query_over(struct asker *a)
{
	sqlite3_finalize(a->st);
	a->st = NULL;
	if (a->number != 0)
		dial_forget_asker(a->o->dialer, a->number);
	a->number = 0;
	if (a->probing)
		a->o->probes--;
	a->probing = false;
	for (unsigned i = 0; i < ASKER_STREAMS; i++)
		if (a->o->streams[i] == a)
			a->o->streams[i] = NULL;
	a->state = ASKER_IDLE;
}

void
asker_clear(struct asker *a)
{
	query_over(a);
}

int
asker_end(struct asker *a, int rc, const char *text)
{
	struct wbuf b = WBUF_INIT(1024);
	int sent;

	query_over(a);
	wbuf_u8(&b, (uint8_t)-rc);
	wbuf_str(&b, text != NULL ? text : rc == RC_OK ? "" : rc_str(rc));
	sent = a->send(a->arg, MSG_CAT_END, &b);
	wbuf_free(&b);
	return sent;
}

int
asker_row(struct asker *a, struct wbuf *row)
{
	int rc = wbuf_rc(row);

	if (rc == RC_OK)
		rc = a->send(a->arg, MSG_CAT_ROW, row);
	wbuf_free(row);
	return rc;
}

/* On disk before it is answered. */
int
asker_changed(struct asker *a, const char *act, const char *object,
    const char *detail, int rc)
{
	struct audit_entry e = { .rc = (uint8_t)-rc };
	int logged;

	snprintf(e.who, sizeof(e.who), "%s", a->who);
	addr_text(&a->addr, e.from, sizeof(e.from));
	snprintf(e.act, sizeof(e.act), "%s", act);
	snprintf(e.object, sizeof(e.object), "%s", object);
	snprintf(e.detail, sizeof(e.detail), "%s", detail);
	if ((logged = audit_add(a->o->c, &e)) == RC_OK)
		logged = cat_commit(a->o->c);
	if (logged == RC_OK)
		return rc;
	log_err("audit: %s by %s is not recorded: %s (%s)", act, a->who,
	    rc_str(logged), cat_error(a->o->c));
	return logged;
}

/* A peer is not a small viewer: it has its own two calls and no others. */
static bool
may(const struct asker *a, uint8_t op)
{
	if (ops[op].right == RIGHT_PEER || a->right == RIGHT_PEER)
		return a->right == ops[op].right;
	return a->right >= ops[op].right;
}

/* A place for one more stream of this user. */
static int
stream_place(const struct asker *a, const struct asker ***place)
{
	unsigned own = 0;

	*place = NULL;
	for (unsigned i = 0; i < ASKER_STREAMS; i++) {
		const struct asker **p = &a->o->streams[i];

		if (*p == NULL)
			*place = p;
		else if (strcmp((*p)->who, a->who) == 0)
			own++;
	}
	if (own >= ASKER_OWN_STREAMS)
		return RC_LIMIT;
	return *place == NULL ? RC_BUSY : RC_OK;
}

static int
subscribe(struct asker *a, struct rbuf *in)
{
	const struct asker **place;
	uint64_t after;
	int rc;

	if ((rc = rbuf_u64(in, &after)) != RC_OK || (rc = rbuf_end(in)) != RC_OK)
		return rc;
	/* server/http/events.c tells the reader which of the two it was */
	if ((rc = stream_place(a, &place)) != RC_OK)
		return asker_end(a, rc, rc == RC_LIMIT ?
		    "This user has too many event streams open." :
		    "Too many event streams are open.");
	if ((rc = asker_end(a, RC_OK, NULL)) != RC_OK)
		return rc;
	*place = a;
	a->event = after;
	a->state = ASKER_LISTENS;
	return asker_go(a) == RC_LIMIT ? RC_LIMIT : RC_OK;
}

static int
dispatch(struct asker *a, struct rbuf *in)
{
	int rc;

	switch (a->op) {
	case CAT_OP_SUBSCRIBE:
		return subscribe(a, in);
	case CAT_OP_PEERS:
	case CAT_OP_PEER_ADD:
	case CAT_OP_PEER_RM:
	case CAT_OP_PEER_FORGET:
	case CAT_OP_DISCOVER:
	case CAT_OP_REACH:
	case CAT_OP_EXCHANGE:
	case CAT_OP_PROBE:
		return peer_op(a, in);
	case CAT_OP_AUDIT_VERIFY:
		memset(&a->walk, 0, sizeof(a->walk));
		if ((rc = rbuf_end(in)) == RC_OK)
			a->state = ASKER_ROWS;
		return rc;
	default:
		return rows_begin(a, in);
	}
}

int
asker_query(struct asker *a, struct rbuf *body)
{
	char user[ASKER_USER_MAX + 1];
	uint8_t op;
	int rc;

	if (a->state != ASKER_IDLE)
		return RC_STATE;
	if ((rc = rbuf_u8(body, &op)) != RC_OK ||
	    (rc = rbuf_str(body, user, sizeof(user))) != RC_OK)
		return rc;
	if (op == CAT_OP_NONE || op >= CAT_OP_MAX)
		return RC_RANGE;
	if (!may(a, op)) {
		log_warn("catalog query %s refused: right %u of \"%s\"",
		    ops[op].name, a->right, a->user);
		return asker_end(a, RC_DENIED, NULL);
	}
	a->op = op;
	a->phase = a->rows = 0;
	a->began = a->o->c->ms;
	/* only the control socket's worker may say who asks */
	snprintf(a->who, sizeof(a->who), "%s", strcmp(a->user, "local") == 0 &&
	    user[0] != '\0' ? user : a->user);
	if ((rc = dispatch(a, body)) == RC_OK && a->state == ASKER_ROWS)
		rc = asker_go(a);
	return rc == RC_AGAIN ? RC_OK : rc;
}

static int
verify_step(struct asker *a)
{
	struct wbuf b = WBUF_INIT(64);
	int rc = audit_verify(a->o->c, &a->walk);

	if (rc == RC_AGAIN)
		return rc;
	if (rc != RC_OK)
		return asker_end(a, rc, NULL);
	wbuf_u8(&b, CAT_ROW_VERIFY);
	wbuf_u8(&b, a->walk.bad == 0);
	wbuf_u64(&b, a->walk.entries);
	wbuf_u64(&b, a->walk.bad);
	wbuf_bytes(&b, a->walk.head, SHA256_LEN);
	if ((rc = asker_row(a, &b)) != RC_OK)
		return rc;
	return asker_end(a, RC_OK, NULL);
}

static int
rows_go(struct asker *a)
{
	int rc = RC_AGAIN;

	if (a->op == CAT_OP_AUDIT_VERIFY)
		return verify_step(a);
	for (unsigned i = 0; rc == RC_AGAIN; i++) {
		if (i == STEPS_MAX)
			return RC_AGAIN;
		if (a->full(a->arg))
			return RC_OK;
		rc = rows_step(a);
	}
	/* a channel that takes no more is lost, the rest is an answer */
	if (rc == RC_LIMIT || rc == RC_EOF)
		return rc;
	return asker_end(a, rc, NULL);
}

static int
events_go(struct asker *a)
{
	const struct event *ev;
	struct wbuf b;
	int rc = RC_OK;

	while (rc == RC_OK &&
	    (ev = events_after(a->o->c->events, a->event)) != NULL) {
		a->event = ev->seq;
		wbuf_init(&b, 1024);
		event_put(&b, ev);
		if ((rc = wbuf_rc(&b)) == RC_OK)
			rc = a->send(a->arg, MSG_CAT_EVENT, &b);
		wbuf_free(&b);
	}
	return rc;
}

int
asker_go(struct asker *a)
{
	uint64_t ms = a->o->c->ms - a->began;

	switch (a->state) {
	case ASKER_ROWS:
		/* its open statement would keep the journal from shrinking */
		return ms > ASKER_QUERY_MS ? RC_TIMEOUT : rows_go(a);
	case ASKER_WAITS:
		if (a->op == CAT_OP_REACH && ms >= ASKER_REACH_MS)
			return asker_end(a, RC_TIMEOUT, "The peer did not "
			    "answer in time.");
		if (a->op == CAT_OP_PROBE && ms >= ASKER_PROBE_MS)
			return reach_end(a);
		return RC_OK;
	case ASKER_LISTENS:
		return events_go(a);
	default:
		return RC_OK;
	}
}
