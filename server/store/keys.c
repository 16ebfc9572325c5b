#include "config.h"

#include "server/store/vault.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/rc.h"
#include "common/wbuf.h"

#define CLIENT_LEN	16	/* before the body of a key record */

/* A record of the journal, once more, as a record of the node pack. */
static int
second_copy(struct vault *v, const uint8_t *raw, size_t len)
{
	struct prefix px = { .flags = PACK_F_COPY,
	    .received = (uint32_t)vault_clock(v) };
	uint64_t number, off;

	return packs_append(v->packs, PACK_NODE, &px, raw, len, &number, &off);
}

int
commit_copy(struct vault *v, struct commit *c)
{
	int rc;

	if (c->record == NULL || v->readonly)
		return RC_OK;
	rc = second_copy(v, c->record, c->record_len);
	return rc == RC_OK ? packs_flush(v->packs) : rc;
}

int
vault_record_add(struct vault *v, const struct grant *g, uint8_t kind,
    const void *body, size_t len, uint64_t *seq)
{
	struct wbuf out = WBUF_INIT(CLIENT_LEN + PROTO_RECORD_MAX);
	struct journal_pos pos;
	uint8_t *raw = NULL;
	size_t n;
	int rc;

	if (v->readonly)
		return RC_READONLY;
	if (kind < RECORD_KEY || kind > RECORD_PARAMS || len == 0 ||
	    len > PROTO_RECORD_MAX)
		return RC_PROTO;
	/* No message removes one: a stolen client must not fill the disk. */
	if (v->state.nkey >= STATE_KEYS_MAX)
		return RC_LIMIT;
	if ((rc = vault_space(v, jrec_size((uint32_t)len + CLIENT_LEN))) !=
	    RC_OK)
		return rc;
	wbuf_bytes(&out, g->client, CLIENT_LEN);
	wbuf_bytes(&out, body, len);
	if ((rc = wbuf_rc(&out)) != RC_OK ||
	    (rc = journal_append(v->journal,
	    (uint16_t)(kind - RECORD_KEY + JOURNAL_KEY), out.data, out.len,
	    &pos, seq)) != RC_OK)
		goto out;
	if ((rc = journal_sync(v->journal)) != RC_OK) {
		vault_set_readonly(v, "the journal could not be synced");
		goto out;
	}
	struct jrec r = { .kind = (uint16_t)(kind - RECORD_KEY + JOURNAL_KEY),
	    .len = (uint32_t)out.len, .body = out.data, .seq = *seq,
	    .segment = pos.segment, .off = pos.off };
	if ((rc = state_apply(&v->state, &r)) != RC_OK)
		goto out;
	/* The record is safe; its second copy is only a second chance. */
	if (journal_read(v->journal, &pos, &raw, &n) != RC_OK ||
	    second_copy(v, raw, n) != RC_OK)
		log_warn("no second copy of a key record could be written");
out:
	free(raw);
	wbuf_free(&out);
	return rc;
}

int
vault_record_next(struct vault *v, uint8_t kind, uint64_t after,
    struct record *r, uint8_t **raw)
{
	size_t n;
	int rc;

	for (size_t i = 0; i < v->state.nkey; i++) {
		const struct keyrec *k = &v->state.key[i];

		if (k->seq <= after || (kind != 0 && k->kind != kind))
			continue;
		if ((rc = journal_read(v->journal, &k->pos, raw, &n)) != RC_OK)
			return rc;
		r->kind = k->kind;
		r->seq = k->seq;
		r->body = *raw + JOURNAL_RECORD_LEN + CLIENT_LEN;
		r->len = n - JOURNAL_RECORD_LEN - CLIENT_LEN;
		return RC_OK;
	}
	return RC_EOF;
}

int
vault_snapshot_next(struct vault *v, const uint8_t job[16], uint64_t after,
    struct listed *l, uint8_t **raw)
{
	static const uint8_t any[16];
	struct snapshot_body b;
	size_t n, lo = 0, hi = v->state.nsnap;
	int rc;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v->state.snap[mid].seq <= after)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < v->state.nsnap; lo++) {
		const struct snap *s = &v->state.snap[lo];

		if (s->seq > v->state.durable_seq)
			break;
		if (memcmp(job, any, 16) != 0 &&
		    memcmp(job, s->job, 16) != 0)
			continue;
		if ((rc = journal_read(v->journal, &s->pos, raw, &n)) != RC_OK)
			return rc;
		rc = snapshot_body_get(*raw + JOURNAL_RECORD_LEN,
		    n - JOURNAL_RECORD_LEN, &b);
		if (rc != RC_OK) {
			free(*raw);
			*raw = NULL;
			return rc;
		}
		l->client = b.client;
		l->client_len = b.client_len;
		l->server = b.server;
		return RC_OK;
	}
	return RC_EOF;
}
