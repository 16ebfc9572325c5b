#include "config.h"

#include "server/store/vault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "server/store/sort.h"

/*
 * From packs and journal to an index that says what they hold.  Chunks are
 * admitted whoever wrote them; nodes only when a SNAPSHOT names their run.
 */
struct tail {
	bool		 any, sealed, damaged;
	uint64_t	 number, off;
	uint32_t	 tag;
};

struct recovery {
	struct vault	*v;
	struct ixstate	 from;		/* what the index covers */
	uint32_t	*run;		/* committed ones, sorted */
	size_t		 nruns;
	uint32_t	 max_run;
	struct tail	 tail[2];
	struct run	 late;		/* its nodes wait for edges */
	bool		 repair;	/* at start: torn ends are mended */
	uint64_t	 admitted, holes;
};

static int
by_value(const void *arg, uint32_t a, uint32_t b)
{
	const uint32_t *v = arg;

	return v[a] < v[b] ? -1 : v[a] > v[b];
}

static int
committed_runs(struct recovery *rec)
{
	const struct state *s = &rec->v->state;
	uint32_t *order = malloc((s->nsnap + 1) * sizeof(*order));
	uint32_t *tmp = malloc((s->nsnap + 1) * sizeof(*tmp));
	uint32_t *value = malloc((s->nsnap + 1) * sizeof(*value));
	int rc = RC_NOMEM;

	if (order == NULL || tmp == NULL || value == NULL)
		goto out;
	for (size_t i = 0; i < s->nsnap; i++) {
		value[i] = s->snap[i].run;
		order[i] = (uint32_t)i;
	}
	sort_u32(order, tmp, s->nsnap, by_value, value);
	for (size_t i = 0; i < s->nsnap; i++)
		tmp[i] = value[order[i]];
	free(rec->run);
	rec->run = tmp;
	rec->nruns = s->nsnap;
	tmp = NULL;
	rc = RC_OK;
out:
	free(order);
	free(tmp);
	free(value);
	return rc;
}

static bool
is_committed(const struct recovery *rec, uint32_t run)
{
	size_t lo = 0, hi = rec->nruns;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rec->run[mid] == run)
			return true;
		if (rec->run[mid] < run)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static int
late_node(struct recovery *rec, const struct ixent *e)
{
	struct run *r = &rec->late;
	size_t room = r->pending_room == 0 ? 64 : r->pending_room * 2;
	struct pending *p;

	if (r->npending == r->pending_room) {
		if ((p = realloc(r->pending, room * sizeof(*p))) == NULL)
			return RC_NOMEM;
		r->pending = p;
		r->pending_room = room;
	}
	r->pending[r->npending++].e = *e;
	return RC_OK;
}

static int
resolve_at(struct vault *v, int fd, struct ixent *e, uint16_t nedges)
{
	uint8_t *edges = malloc((size_t)nedges * OBJECT_ID_LEN + 1);
	int rc = RC_NOMEM;

	if (edges != NULL && (rc = io_pread_full(fd, edges,
	    (size_t)nedges * OBJECT_ID_LEN, e->off + OBJECT_PREFIX_LEN +
	    OBJECT_HEADER_LEN)) == RC_OK)
		rc = graph_resolve(v, NULL, e->height, edges, nedges, e->len,
		    &e->closure_bytes, &e->closure_objects, NULL, 0, NULL);
	free(edges);
	return rc;
}

static int
take_record(struct recovery *rec, int fd, uint64_t number,
    const struct pack_rec *r, bool durable)
{
	struct ixent e = { .pack = number, .off = r->off, .len = r->px.len,
	    .type = r->h.type, .height = r->h.height, .id = r->h.id,
	    .closure_bytes = r->px.len, .closure_objects = 1 };
	int rc;

	if (r->prefix_ok && r->px.run > rec->max_run)
		rec->max_run = r->px.run;
	if (object_is_node(e.type)) {
		bool known = r->prefix_ok && is_committed(rec, r->px.run);

		/*
		 * Whose a node with a damaged prefix was nobody knows, nor
		 * which runs a damaged journal named (the vault is read-only
		 * then).  One that was synced does no harm: it vouches for
		 * nothing unless all that it refers to is there.
		 */
		if (!known && (!durable ||
		    (r->prefix_ok && !rec->v->readonly)))
			return RC_OK;
		rc = resolve_at(rec->v, fd, &e, r->h.edges);
		if (rc == RC_MISSING)
			return late_node(rec, &e);
		if (rc != RC_OK && rc != RC_RANGE)
			return rc;
		if (rc == RC_RANGE)
			e.closure_objects = 0;
	}
	rec->admitted++;
	return vault_admit(rec->v, NULL, &e);
}

/* A torn stretch becomes a record that says so; later readers step over it. */
static int
write_gap(struct recovery *rec, enum pack_kind kind, uint64_t number,
    uint32_t tag, uint64_t from, uint64_t to)
{
	struct prefix px = { .tag = tag, .flags = PACK_F_GAP };
	uint8_t p[OBJECT_PREFIX_LEN];
	int fd = -1, rc;

	if (to - from < OBJECT_PREFIX_LEN)
		return RC_OK;
	px.len = (uint32_t)(to - from - OBJECT_PREFIX_LEN);
	prefix_put(p, &px, NULL);
	if ((rc = packs_open_pack(rec->v->packs, kind, number, true, &fd)) !=
	    RC_OK)
		return rc;
	if ((rc = io_pwrite_full(fd, p, sizeof(p), from)) == RC_OK &&
	    fdatasync(fd) != 0)
		rc = rc_errno(errno);
	fd_close(&fd);
	return rc;
}

/* RC_OK: go on; *end is set when nothing valid follows. */
static int
on_hole(struct recovery *rec, struct pack_scan *s, uint64_t from,
    struct tail *t)
{
	const struct ixmark *d = &rec->v->state.durable[s->kind];
	bool was_durable = s->number < d->pack ||
	    (s->number == d->pack && from < d->off);

	if (was_durable || s->sealed ||
	    s->number <= rec->v->state.sealed[s->kind]) {
		rec->holes++;
		if (rec->repair)
			log_err("pack %llx: damage at %llu, %llu bytes",
			    (unsigned long long)s->number,
			    (unsigned long long)from,
			    (unsigned long long)(s->off - from));
		t->damaged = true;
		return RC_OK;
	}
	if (!rec->repair || rec->v->readonly || s->off >= s->end)
		return RC_OK;
	return write_gap(rec, s->kind, s->number, s->tag, from, s->off);
}

static int
scan_records(struct recovery *rec, struct pack_scan *s, struct tail *t)
{
	const struct ixmark *d = &rec->v->state.durable[s->kind];
	struct pack_rec r;
	int rc;

	t->off = s->off;
	for (;;) {
		/* Past the last sync a record may be there in part only. */
		s->full = s->number > d->pack ||
		    (s->number == d->pack && s->off >= d->off);
		rc = pack_scan_next(s, &r);
		if (rc == RC_EOF)
			return RC_OK;
		if (rc == RC_CORRUPT || (rc == RC_OK && !r.crc_ok)) {
			if ((rc = on_hole(rec, s, r.off, t)) != RC_OK)
				return rc;
			if (t->damaged)
				t->off = s->off;
			continue;
		}
		if (rc != RC_OK)
			return rc;
		t->off = s->off;
		if ((r.px.flags & (PACK_F_COPY | PACK_F_GAP)) == 0 &&
		    (rc = take_record(rec, s->fd, s->number, &r,
		    !s->full)) != RC_OK)
			return rc;
	}
}

static int
scan_pack(struct recovery *rec, enum pack_kind kind, uint64_t number)
{
	const struct ixmark *m = kind == PACK_NODE ? &rec->from.nodes :
	    &rec->from.data;
	struct tail *t = &rec->tail[kind];
	struct pack_scan s = { 0 };
	int fd = -1, rc;

	if (number < m->pack)
		return RC_OK;
	rc = packs_open_pack(rec->v->packs, kind, number, false, &fd);
	if (rc == RC_NOENT)
		return RC_OK;
	if (rc != RC_OK)
		return rc;
	*t = (struct tail){ .any = true, .number = number };
	rc = pack_scan_init(&s, fd, kind, number, false);
	if (rc == RC_TRUNCATED) {
		log_err("pack %llx is cut short", (unsigned long long)number);
		t->damaged = true;
		rec->holes++;
		rc = RC_OK;
	} else if (rc == RC_OK) {
		if (number == m->pack && m->off > s.off)
			s.off = m->off;
		if (s.off > s.size) {
			log_err("pack %llx is cut short",
			    (unsigned long long)number);
			rec->holes++;
			t->damaged = true;
		}
		t->tag = s.tag;
		t->sealed = s.sealed ||
		    number <= rec->v->state.sealed[kind];
		rc = scan_records(rec, &s, t);
		t->damaged |= !s.header_ok;
	}
	/* No end, and no reason to keep the rest from its owner either. */
	if (rc == RC_IO && rec->repair) {
		log_err("pack %llx cannot be read from %llu on",
		    (unsigned long long)number, (unsigned long long)s.off);
		vault_set_readonly(rec->v, "a pack cannot be read");
		t->damaged = true;
		rec->holes++;
		rc = RC_OK;
	}
	pack_scan_free(&s);
	fd_close(&fd);
	return rc;
}

/* Late nodes, lowest first; what still lacks an edge then is damage. */
static int
settle_late(struct recovery *rec)
{
	int rc;

	rc = graph_settle(rec->v, &rec->late, NULL, 0, NULL);
	/* As in scan_pack(): no reason to keep the rest from its owner. */
	if (rc == RC_IO && rec->repair) {
		vault_set_readonly(rec->v, "a pack cannot be read");
		rc = RC_MISSING;
	}
	if (rc == RC_MISSING) {
		log_err("%zu nodes are damaged or lack what they refer to",
		    rec->late.npending);
		rec->holes += rec->late.npending;
		rc = RC_OK;
		/* They can be read, but vouch for nothing: graph_find(). */
		for (size_t i = 0; i < rec->late.npending && rc == RC_OK;
		    i++) {
			struct ixent *e = &rec->late.pending[i].e;

			e->closure_objects = 0;
			rc = vault_admit(rec->v, NULL, e);
		}
	}
	return rc;
}

static int
scan_all(struct recovery *rec)
{
	uint64_t first, last;
	int rc;

	if ((rc = committed_runs(rec)) != RC_OK)
		return rc;
	first = rec->from.data.pack < rec->from.nodes.pack ?
	    rec->from.data.pack : rec->from.nodes.pack;
	last = packs_last(rec->v->packs);
	for (uint64_t n = first; n <= last; n++)
		if ((rc = scan_pack(rec, PACK_DATA, n)) != RC_OK ||
		    (rc = scan_pack(rec, PACK_NODE, n)) != RC_OK)
			return rc;
	return settle_late(rec);
}

/*
 * The first look into the index may be that for the edges of what it does not
 * cover yet, and find a bad page: then it is no index at all.
 */
static int
scan_or_anew(struct recovery *rec, bool *fresh)
{
	uint32_t next_run = rec->from.next_run;
	int rc = scan_all(rec);

	if (rc != RC_CRC || *fresh)
		return rc;
	log_warn("a page of the index is damaged: made again from the packs");
	*fresh = true;
	rec->from = (struct ixstate){ .next_run = next_run };
	memset(rec->tail, 0, sizeof(rec->tail));
	rec->late.npending = 0;
	rec->holes = rec->admitted = 0;
	rc = index_reset(rec->v->index);
	return rc == RC_OK ? scan_all(rec) : rc;
}

/*
 * The journal's end is torn, and its last records may have second copies in
 * the node packs: then they were synced once, and come back.
 */
static int
restore_journal(struct recovery *rec)
{
	struct vault *v = rec->v;
	uint64_t first = rec->from.nodes.pack, last = packs_last(v->packs);
	struct pack_scan s;
	struct pack_rec r;
	int fd = -1, rc = RC_OK;

	/* The copies stand behind what the last whole record knew as synced,
	 * wherever the index has got to. */
	if (v->state.durable[PACK_NODE].pack < first)
		first = v->state.durable[PACK_NODE].pack;
	for (uint64_t n = first; n <= last; n++) {
		if ((rc = packs_open_pack(v->packs, PACK_NODE, n, false,
		    &fd)) == RC_NOENT) {
			rc = RC_OK;
			continue;
		}
		if (rc != RC_OK)
			return rc;
		rc = pack_scan_init(&s, fd, PACK_NODE, n, false);
		while (rc == RC_OK || rc == RC_CORRUPT) {
			rc = pack_scan_next(&s, &r);
			if (rc != RC_OK || (r.px.flags & PACK_F_COPY) == 0)
				continue;
			rc = journal_restore(v->journal, s.buf +
			    OBJECT_PREFIX_LEN, r.px.len, state_apply,
			    &v->state);
			if (rc == RC_OK)
				log_warn("the journal's last record came back "
				    "from its second copy");
			else if (rc == RC_STATE || rc == RC_CORRUPT)
				rc = RC_OK;
		}
		pack_scan_free(&s);
		fd_close(&fd);
		if (rc != RC_EOF && rc != RC_TRUNCATED)
			return rc;
		rc = RC_OK;
	}
	return rc;
}

static int
resume_writers(struct recovery *rec)
{
	int rc;

	for (int k = 0; k < 2; k++) {
		const struct tail *t = &rec->tail[k];

		/* A damaged pack is read as it is and never written again. */
		if (!t->any || t->sealed || t->damaged)
			continue;
		rc = packs_resume(rec->v->packs, (enum pack_kind)k, t->number,
		    t->tag, t->off);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static int
open_index(struct recovery *rec, bool *fresh)
{
	struct vault *v = rec->v;
	struct index_opt io = { .dirfd = v->index_dir, .prefix = "",
	    .mem = INDEX_MEM_MAIN };
	int rc;

	memcpy(io.vault, v->id.vault, sizeof(io.vault));
	rc = index_open(&v->index, &io, &rec->from);
	*fresh = rc == RC_NOENT || rc == RC_CORRUPT || rc == RC_CRC;
	if (*fresh) {
		if (rc != RC_NOENT)
			log_warn("the index is damaged: made again from the "
			    "packs");
		memset(&rec->from, 0, sizeof(rec->from));
		rc = v->readonly ? RC_OK : index_reset(v->index);
	}
	return rc;
}

int
vault_recover(struct vault *v, uint64_t torn)
{
	struct recovery rec = { .v = v, .repair = true };
	bool fresh = false;
	uint64_t last;
	int rc;

	v->recovering = true;
	if ((rc = packs_find_last(v->packs, &last)) != RC_OK)
		goto out;
	packs_set_last(v->packs, last);
	if ((rc = open_index(&rec, &fresh)) != RC_OK)
		goto out;
	if (torn > 0 && !v->readonly) {
		if ((rc = restore_journal(&rec)) != RC_OK)
			goto out;
		log_notice("%llu bytes of an unfinished write at the journal's "
		    "end", (unsigned long long)torn);
	}
	if (!v->readonly && (rc = journal_cut(v->journal)) != RC_OK)
		goto out;
	rec.max_run = v->state.max_run;
	if ((rc = scan_or_anew(&rec, &fresh)) != RC_OK)
		goto out;
	v->degraded = rec.holes > 0;
	v->next_run = rec.max_run + 1 > rec.from.next_run ? rec.max_run + 1 :
	    rec.from.next_run;
	if (v->readonly)
		goto out;
	rc = resume_writers(&rec);
out:
	v->recovering = false;
	free(rec.run);
	free(rec.late.pending);
	/* From here the marks may move on.  A full disk only costs the next
	 * start the same time again. */
	if (rc == RC_OK && !v->readonly && fresh && last > 0 &&
	    vault_flush_index(v) != RC_OK)
		log_warn("the index could not be written");
	return rc;
}

int
vault_rebuild_index(struct vault *v)
{
	struct recovery rec = { .v = v };
	int rc;

	if (v->recovering)
		return RC_CRC;
	v->recovering = true;
	if ((rc = packs_flush(v->packs)) == RC_OK &&
	    (rc = index_reset(v->index)) == RC_OK)
		rc = scan_all(&rec);
	v->recovering = false;
	free(rec.run);
	free(rec.late.pending);
	if (rc == RC_OK && !v->readonly)
		rc = vault_flush_index(v);
	if (rc != RC_OK) {
		log_err("the index could not be made again: %s", rc_str(rc));
		vault_set_readonly(v, "no index");
	}
	return rc;
}
