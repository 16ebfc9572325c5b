#include "config.h"

#include "server/store/vault.h"

#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "common/wbuf.h"

void
commit_clear(struct commit *c)
{
	free(c->client);
	free(c->missing);
	free(c->record);
	memset(c, 0, sizeof(*c));
}

/* "sg1 snapshot" | client part without its signature, by this client's key. */
static int
check_signature(const struct grant *g, const uint8_t *p, size_t len,
    const struct snapshot_client *s)
{
	static const char context[] = "sg1 snapshot";
	struct wbuf text = WBUF_INIT(SNAPSHOT_CLIENT_MAX + sizeof(context));
	int rc;

	wbuf_bytes(&text, context, sizeof(context) - 1);
	wbuf_bytes(&text, p, len - ED25519_SIG_LEN);
	if ((rc = wbuf_rc(&text)) == RC_OK)
		rc = ed25519_verify(g->key, text.data, text.len, s->sig);
	wbuf_free(&text);
	return rc;
}

static int
stored_answer(struct vault *v, const struct snap *s, struct commit *c)
{
	struct snapshot_body b;
	uint8_t *raw = NULL;
	size_t n;
	int rc;

	if (s->seq > v->state.durable_seq)
		return RC_BUSY;		/* being committed at this moment */
	if ((rc = journal_read(v->journal, &s->pos, &raw, &n)) != RC_OK)
		return rc;
	if ((rc = snapshot_body_get(raw + JOURNAL_RECORD_LEN,
	    n - JOURNAL_RECORD_LEN, &b)) == RC_OK)
		c->server = b.server;
	free(raw);
	return rc == RC_OK ? RC_EXISTS : rc;
}

static int
check_sequence(struct vault *v, const struct grant *g,
    const struct snapshot_client *s)
{
	static const struct object_id none;
	struct vclient *c = state_client(&v->state, g->client);
	const struct vjob *j = state_find_job(&v->state, g->client, s->job);
	const struct object_id *newest = j != NULL ? &j->newest : &none;

	if (c == NULL)
		return RC_LIMIT;
	if (s->sequence <= c->last_seq)
		return RC_OLDER;
	return memcmp(s->previous, newest->b, OBJECT_ID_LEN) == 0 ? RC_OK :
	    RC_OLDER;
}

/* The snapshot's own edges: nodes that are there. */
static int
check_roots(struct vault *v, struct run *r, const struct snapshot_client *s,
    struct commit *c)
{
	struct ixent e;
	int rc;

	for (int i = 0; i < s->edge_count; i++) {
		rc = graph_find(v, r, &s->edge[i], &e);
		if (rc == RC_NOENT) {
			if (c->nmissing < PROTO_IDS_MAX)
				c->missing[c->nmissing++] = s->edge[i];
			continue;
		}
		if (rc != RC_OK)
			return rc;
		if (!object_is_node(e.type))
			return RC_RANGE;
		c->server.closure_bytes = u64_sat_add(
		    c->server.closure_bytes, e.closure_bytes);
		c->server.closure_objects = u64_sat_add(
		    c->server.closure_objects, e.closure_objects);
	}
	return c->nmissing > 0 ? RC_MISSING : RC_OK;
}

static int
check_graph(struct vault *v, struct run *r, const struct snapshot_client *s,
    struct commit *c)
{
	int rc;

	if ((c->missing = calloc(PROTO_IDS_MAX, sizeof(*c->missing))) == NULL)
		return RC_NOMEM;
	rc = graph_settle(v, r, c->missing, PROTO_IDS_MAX, &c->nmissing);
	/* Nodes that wait for nothing but each other stand in a circle. */
	if (rc == RC_MISSING && c->nmissing == 0)
		return RC_RANGE;
	return rc == RC_OK ? check_roots(v, r, s, c) : rc;
}

int
commit_check(struct vault *v, struct run *r, const struct grant *g,
    const uint8_t *client, size_t len, struct commit *c)
{
	struct snapshot_client s;
	const struct snap *known;
	int rc;

	memset(c, 0, sizeof(*c));
	if ((rc = snapshot_get_client(client, len, &s)) != RC_OK ||
	    (rc = snapshot_id(client, len, &c->id)) != RC_OK)
		return rc;
	if (memcmp(s.vault, v->id.vault, 16) != 0 ||
	    memcmp(s.client, g->client, 16) != 0)
		return RC_AUTH;
	if ((known = state_find(&v->state, &c->id)) != NULL)
		return stored_answer(v, known, c);
	if (r == NULL)
		return RC_STATE;
	if (v->readonly)
		return RC_READONLY;
	if (r->failed != RC_OK)
		return r->failed;
	if (memcmp(s.job, r->job, sizeof(r->job)) != 0)
		return RC_PROTO;
	if ((rc = check_signature(g, client, len, &s)) != RC_OK ||
	    (rc = check_sequence(v, g, &s)) != RC_OK ||
	    (rc = check_graph(v, r, &s, c)) != RC_OK)
		return rc;
	if ((c->client = malloc(len)) == NULL)
		return RC_NOMEM;
	memcpy(c->client, client, len);
	c->client_len = len;
	c->run = r;
	c->grant = g;
	memcpy(c->job, s.job, sizeof(c->job));
	c->sequence = s.sequence;
	return RC_OK;
}

/* Another commit may have been written while this one waited for the disk. */
static int
check_again(struct vault *v, const struct commit *c)
{
	struct snapshot_client s;
	int rc;

	if (state_find(&v->state, &c->id) != NULL)
		return RC_BUSY;		/* repeated, it gets its answer */
	if ((rc = snapshot_get_client(c->client, c->client_len, &s)) != RC_OK)
		return rc;
	return check_sequence(v, c->grant, &s);
}

static int
server_part(struct vault *v, struct commit *c)
{
	const struct vjob *j = state_find_job(&v->state, c->grant->client,
	    c->job);
	struct snapshot_server *s = &c->server;
	int64_t wall;
	uint64_t boot;
	int rc;

	if ((rc = vault_time(v, &wall, &boot)) != RC_OK)
		return rc;
	s->wall_ns = wall;
	s->vault_clock = vclock_at(&v->state.clock, boot);
	s->vault_seq = v->state.vault_seq + 1;
	s->job_seq = j != NULL ? j->job_seq + 1 : 1;
	s->lock_until = u64_sat_add(s->vault_clock, v->opt.lock_seconds);
	s->new_bytes = c->run->new_bytes;
	s->writer = c->run->writer;
	memcpy(s->previous, v->state.receipt, sizeof(s->previous));
	return v->opt.sign(v->opt.arg, &c->id, s, s->sig);
}

int
commit_write(struct vault *v, struct commit *c)
{
	struct snapshot_body b = { .run = c->run->number };
	struct wbuf body = WBUF_INIT(JOURNAL_BODY_MAX);
	struct journal_pos pos;
	struct jrec r;
	uint64_t seq;
	int rc;

	if (v->readonly)
		return RC_READONLY;
	/* Another run's failed sync may have taken something of this one. */
	if (c->run->failed != RC_OK)
		return c->run->failed;
	if ((rc = check_again(v, c)) != RC_OK ||
	    (rc = server_part(v, c)) != RC_OK)
		return rc;
	for (int k = 0; k < 2; k++)
		packs_synced_end(v->packs, (enum pack_kind)k,
		    &b.durable[k].pack, &b.durable[k].off);
	b.server = c->server;
	b.client = c->client;
	b.client_len = c->client_len;
	snapshot_body_put(&body, &b);
	if ((rc = wbuf_rc(&body)) != RC_OK ||
	    (rc = journal_append(v->journal, JOURNAL_SNAPSHOT, body.data,
	    body.len, &pos, &seq)) != RC_OK)
		goto out;
	r = (struct jrec){ .kind = JOURNAL_SNAPSHOT, .len = (uint32_t)body.len,
	    .body = body.data, .seq = seq, .segment = pos.segment,
	    .off = pos.off };
	if ((rc = journal_read(v->journal, &pos, &c->record,
	    &c->record_len)) != RC_OK ||
	    (rc = state_apply(&v->state, &r)) != RC_OK)
		/* In the journal and not in memory: the next would fork it. */
		vault_set_readonly(v, "a snapshot's record was not taken");
out:
	wbuf_free(&body);
	return rc;
}

static int
admit_one(void *arg, const struct ixent *e)
{
	return vault_admit(arg, NULL, e);
}

int
commit_finish(struct vault *v, struct commit *c)
{
	int rc;

	if (c->server.vault_seq > v->state.durable_seq)
		v->state.durable_seq = c->server.vault_seq;
	/* The snapshot stands; an index that cannot take it is made again. */
	rc = index_each(c->run->nodes, admit_one, v);
	run_end(v, c->run);
	c->run = NULL;
	if (rc != RC_OK) {
		log_err("index: %s; made again from the packs", rc_str(rc));
		rc = vault_rebuild_index(v);
	}
	if (rc == RC_OK && journal_roll(v->journal, false, state_keep,
	    state_move, state_moved, &v->state) != RC_OK)
		log_warn("no new journal segment could be begun");
	/* What the runs were promised, in the segment that is written now. */
	if (journal_reserve(v->journal, (uint64_t)JOURNAL_RESERVE *
	    v->nruns) != RC_OK)
		log_warn("no room could be kept for the runs' commits");
	return rc;
}

int
vault_commit(struct vault *v, struct run *r, const struct grant *g,
    const uint8_t *client, size_t len, struct commit *c)
{
	int rc;

	if ((rc = commit_check(v, r, g, client, len, c)) != RC_OK)
		return rc == RC_EXISTS ? RC_OK : rc;
	if ((rc = packs_sync(v->packs)) != RC_OK ||
	    (rc = commit_write(v, c)) != RC_OK)
		return rc;
	if ((rc = journal_sync(v->journal)) != RC_OK) {
		vault_set_readonly(v, "the journal could not be synced");
		return rc;
	}
	if ((rc = commit_finish(v, c)) != RC_OK)
		return rc;
	if (commit_copy(v, c) != RC_OK)
		log_warn("no second copy of a snapshot could be written");
	return RC_OK;
}
