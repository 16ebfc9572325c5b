#include "config.h"

#include "server/store/state.h"

#include <stdlib.h>
#include <string.h>

#include "common/proto.h"
#include "common/rc.h"
#include "server/store/format.h"

#define NS 1000000000

/* Room for one element more of an array of n elements of `size` bytes. */
static int
room_for(void *array, size_t *room, size_t n, size_t size)
{
	void **p = array, *bigger;
	size_t want = *room == 0 ? 16 : *room * 2;

	if (n < *room)
		return RC_OK;
	if ((bigger = realloc(*p, want * size)) == NULL)
		return RC_NOMEM;
	*p = bigger;
	*room = want;
	return RC_OK;
}

void
state_free(struct state *s)
{
	free(s->snap);
	free(s->key);
	free(s->client);
	free(s->job);
	free(s->damaged);
	memset(s, 0, sizeof(*s));
}

void
snapshot_body_put(struct wbuf *out, const struct snapshot_body *b)
{
	wbuf_u32(out, b->run);
	for (int i = 0; i < 2; i++) {
		wbuf_u64(out, b->durable[i].pack);
		wbuf_u64(out, b->durable[i].off);
	}
	snapshot_put_server(out, &b->server);
	wbuf_blob32(out, b->client, b->client_len);
}

int
snapshot_body_get(const uint8_t *p, size_t n, struct snapshot_body *b)
{
	struct rbuf in;

	rbuf_init(&in, p, n);
	if (rbuf_u32(&in, &b->run) != RC_OK ||
	    rbuf_u64(&in, &b->durable[0].pack) != RC_OK ||
	    rbuf_u64(&in, &b->durable[0].off) != RC_OK ||
	    rbuf_u64(&in, &b->durable[1].pack) != RC_OK ||
	    rbuf_u64(&in, &b->durable[1].off) != RC_OK ||
	    snapshot_get_server(&in, &b->server) != RC_OK ||
	    rbuf_blob32(&in, &b->client, &b->client_len,
	    SNAPSHOT_CLIENT_MAX) != RC_OK || rbuf_end(&in) != RC_OK)
		return RC_CORRUPT;
	return RC_OK;
}

void
seal_body_put(struct wbuf *out, uint8_t kind, uint64_t number, uint64_t size,
    uint32_t count, const uint8_t sha[32])
{
	wbuf_u8(out, kind);
	wbuf_zeros(out, 3);
	wbuf_u32(out, count);
	wbuf_u64(out, number);
	wbuf_u64(out, size);
	wbuf_bytes(out, sha, 32);
}

int
seal_body_get(const uint8_t *p, size_t n, struct seal_body *b)
{
	struct rbuf in;

	rbuf_init(&in, p, n);
	if (rbuf_u8(&in, &b->kind) != RC_OK || rbuf_skip(&in, 3) != RC_OK ||
	    rbuf_u32(&in, &b->count) != RC_OK ||
	    rbuf_u64(&in, &b->number) != RC_OK ||
	    rbuf_u64(&in, &b->size) != RC_OK ||
	    rbuf_bytes(&in, b->sha, 32) != RC_OK || rbuf_end(&in) != RC_OK ||
	    b->kind > 1)
		return RC_CORRUPT;
	return RC_OK;
}

int
server_hash(const struct snapshot_server *s, uint8_t out[32])
{
	struct wbuf b = WBUF_INIT(SNAPSHOT_SERVER_LEN);
	int rc;

	snapshot_put_server(&b, s);
	if ((rc = wbuf_rc(&b)) == RC_OK)
		rc = sha256(b.data, b.len, out);
	wbuf_free(&b);
	return rc;
}

const struct snap *
state_find(const struct state *s, const struct object_id *id)
{
	for (size_t i = s->nsnap; i-- > 0;)
		if (memcmp(s->snap[i].id.b, id->b, OBJECT_ID_LEN) == 0)
			return &s->snap[i];
	return NULL;
}

struct vclient *
state_client(struct state *s, const uint8_t id[16])
{
	for (size_t i = 0; i < s->nclient; i++)
		if (memcmp(s->client[i].id, id, 16) == 0)
			return &s->client[i];
	if (s->nclient == STATE_CLIENTS_MAX ||
	    room_for(&s->client, &s->client_room, s->nclient,
	    sizeof(*s->client)) != RC_OK)
		return NULL;
	memset(&s->client[s->nclient], 0, sizeof(*s->client));
	memcpy(s->client[s->nclient].id, id, 16);
	return &s->client[s->nclient++];
}

struct vjob *
state_find_job(const struct state *s, const uint8_t client[16],
    const uint8_t job[16])
{
	for (size_t i = 0; i < s->njob; i++)
		if (memcmp(s->job[i].job, job, 16) == 0 &&
		    memcmp(s->job[i].client, client, 16) == 0)
			return &s->job[i];
	return NULL;
}

static struct vjob *
state_job(struct state *s, const uint8_t client[16], const uint8_t job[16])
{
	struct vjob *j = state_find_job(s, client, job);

	if (j != NULL)
		return j;
	if (room_for(&s->job, &s->job_room, s->njob, sizeof(*s->job)) != RC_OK)
		return NULL;
	j = &s->job[s->njob++];
	memset(j, 0, sizeof(*j));
	memcpy(j->client, client, 16);
	memcpy(j->job, job, 16);
	return j;
}

static int
apply_snapshot(struct state *s, const struct jrec *r)
{
	struct snapshot_body b;
	struct snapshot_client c;
	struct vclient *client;
	struct vjob *job;
	struct snap *n;
	int rc;

	if ((rc = snapshot_body_get(r->body, r->len, &b)) != RC_OK ||
	    snapshot_get_client(b.client, b.client_len, &c) != RC_OK)
		return RC_CORRUPT;
	if ((rc = room_for(&s->snap, &s->snap_room, s->nsnap,
	    sizeof(*s->snap))) != RC_OK)
		return rc;
	if ((client = state_client(s, c.client)) == NULL ||
	    (job = state_job(s, c.client, c.job)) == NULL)
		return RC_NOMEM;
	n = &s->snap[s->nsnap];
	memset(n, 0, sizeof(*n));
	if ((rc = snapshot_id(b.client, b.client_len, &n->id)) != RC_OK)
		return rc;
	memcpy(n->job, c.job, sizeof(n->job));
	n->seq = b.server.vault_seq;
	n->run = b.run;
	n->pos = (struct journal_pos){ r->segment, r->off, r->len };
	s->nsnap++;
	if (c.sequence > client->last_seq)
		client->last_seq = c.sequence;
	if (b.server.job_seq > job->job_seq) {
		job->job_seq = b.server.job_seq;
		job->newest = n->id;
	}
	if (b.server.vault_seq > s->vault_seq) {
		s->vault_seq = b.server.vault_seq;
		if ((rc = server_hash(&b.server, s->receipt)) != RC_OK)
			return rc;
		vclock_seen(&s->clock, b.server.vault_clock,
		    b.server.wall_ns / NS, s->clock.saved_frozen);
	}
	if (b.run > s->max_run)
		s->max_run = b.run;
	for (int i = 0; i < 2; i++)
		if (b.durable[i].pack > s->durable[i].pack ||
		    (b.durable[i].pack == s->durable[i].pack &&
		    b.durable[i].off > s->durable[i].off))
			s->durable[i] = b.durable[i];
	return RC_OK;
}

static int
apply_key(struct state *s, const struct jrec *r)
{
	struct keyrec *k;
	int rc;

	if (r->len < 16 || r->len > 16 + PROTO_RECORD_MAX)
		return RC_CORRUPT;
	if ((rc = room_for(&s->key, &s->key_room, s->nkey,
	    sizeof(*s->key))) != RC_OK)
		return rc;
	k = &s->key[s->nkey++];
	memset(k, 0, sizeof(*k));
	k->kind = (uint8_t)(r->kind - JOURNAL_KEY + RECORD_KEY);
	k->seq = r->seq;
	k->pos = (struct journal_pos){ r->segment, r->off, r->len };
	return RC_OK;
}

static int
apply_clock(struct state *s, const struct jrec *r)
{
	struct rbuf in;
	uint64_t clock;
	int64_t wall;
	uint8_t frozen;

	rbuf_init(&in, r->body, r->len);
	if (rbuf_u64(&in, &clock) != RC_OK || rbuf_i64(&in, &wall) != RC_OK ||
	    rbuf_u8(&in, &frozen) != RC_OK || rbuf_end(&in) != RC_OK)
		return RC_CORRUPT;
	vclock_seen(&s->clock, clock, wall, frozen != 0);
	s->clock_seq = r->seq;
	return RC_OK;
}

static int
apply_writer(struct state *s, const struct jrec *r)
{
	struct vclient *c;
	struct rbuf in;
	uint16_t writer;
	uint8_t id[16];

	rbuf_init(&in, r->body, r->len);
	if (rbuf_u16(&in, &writer) != RC_OK ||
	    rbuf_bytes(&in, id, 16) != RC_OK)
		return RC_CORRUPT;
	if ((c = state_client(s, id)) == NULL)
		return RC_NOMEM;
	c->writer = writer;
	return RC_OK;
}

static int
apply_damaged(struct state *s, const struct jrec *r)
{
	struct object_id id;
	struct rbuf in;
	uint8_t reason;
	int rc;

	rbuf_init(&in, r->body, r->len);
	if (rbuf_bytes(&in, id.b, OBJECT_ID_LEN) != RC_OK ||
	    rbuf_skip(&in, 16) != RC_OK || rbuf_u8(&in, &reason) != RC_OK)
		return RC_CORRUPT;
	if (reason == DAMAGED_HEALED) {
		state_healed(s, &id);
		return RC_OK;
	}
	if (s->ndamaged == STATE_DAMAGED_MAX || state_damaged(s, &id))
		return RC_OK;
	if ((rc = room_for(&s->damaged, &s->damaged_room, s->ndamaged,
	    sizeof(*s->damaged))) != RC_OK)
		return rc;
	s->damaged[s->ndamaged++] = id;
	return RC_OK;
}

int
state_apply(void *arg, const struct jrec *r)
{
	struct state *s = arg;
	struct seal_body b;

	switch (r->kind) {
	case JOURNAL_SNAPSHOT:
		return apply_snapshot(s, r);
	case JOURNAL_KEY:
	case JOURNAL_SLOT:
	case JOURNAL_PARAMS:
		return apply_key(s, r);
	case JOURNAL_SEAL:
		if (seal_body_get(r->body, r->len, &b) != RC_OK)
			return RC_CORRUPT;
		if (b.number > s->sealed[b.kind])
			s->sealed[b.kind] = b.number;
		return RC_OK;
	case JOURNAL_CLOCK:
		return apply_clock(s, r);
	case JOURNAL_WRITER:
		return apply_writer(s, r);
	case JOURNAL_DAMAGED:
		return apply_damaged(s, r);
	default:
		/* Of a later version: kept, not used. */
		return RC_OK;
	}
}

bool
state_keep(void *arg, const struct jrec *r)
{
	const struct state *s = arg;

	return r->kind != JOURNAL_CLOCK || r->seq == s->clock_seq;
}

int
state_move(void *arg, const struct jrec *r)
{
	struct journal_pos pos = { r->segment, r->off, r->len };
	struct state *s = arg;
	struct snapshot_body b;

	if (r->kind == JOURNAL_SNAPSHOT) {
		if (snapshot_body_get(r->body, r->len, &b) != RC_OK)
			return RC_CORRUPT;
		/* Both are in the order of the journal. */
		for (size_t i = s->move_snap; i < s->nsnap; i++)
			if (s->snap[i].seq == b.server.vault_seq) {
				s->snap[i].next = pos;
				s->move_snap = i + 1;
				break;
			}
	} else if (r->kind >= JOURNAL_KEY && r->kind <= JOURNAL_PARAMS) {
		for (size_t i = s->move_key; i < s->nkey; i++)
			if (s->key[i].seq == r->seq) {
				s->key[i].next = pos;
				s->move_key = i + 1;
				break;
			}
	}
	return RC_OK;
}

void
state_moved(void *arg)
{
	struct state *s = arg;

	s->move_snap = s->move_key = 0;
	for (size_t i = 0; i < s->nsnap; i++)
		s->snap[i].pos = s->snap[i].next;
	for (size_t i = 0; i < s->nkey; i++)
		s->key[i].pos = s->key[i].next;
}

bool
state_damaged(const struct state *s, const struct object_id *id)
{
	for (size_t i = 0; i < s->ndamaged; i++)
		if (memcmp(s->damaged[i].b, id->b, OBJECT_ID_LEN) == 0)
			return true;
	return false;
}

void
state_healed(struct state *s, const struct object_id *id)
{
	for (size_t i = 0; i < s->ndamaged;)
		if (memcmp(s->damaged[i].b, id->b, OBJECT_ID_LEN) == 0)
			s->damaged[i] = s->damaged[--s->ndamaged];
		else
			i++;
}
