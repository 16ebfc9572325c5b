#include "config.h"

#include "server/store/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/rc.h"
#include "server/store/dir.h"
#include "server/store/packseal.h"

#define STEP_BYTES	(2u << 20)

enum phase { PHASE_FILES, PHASE_PACKS, PHASE_INDEX, PHASE_DONE };

struct verifier {
	struct vault	*v;
	uint8_t		 percent;
	enum phase	 phase;
	uint64_t	 number, last;	/* pack under way */
	int		 kind, fd;
	bool		 scanning, hole;
	struct pack_scan scan;
	uint8_t		*good;		/* a bit per pack without a hole */
	struct finding	*found;
	size_t		 nfound, taken, room;
	struct verify_end end;
};

static void __attribute__((format(printf, 4, 5)))
report(struct verifier *vr, enum finding_kind kind,
    const struct object_id *id, const char *fmt, ...)
{
	size_t room = vr->room == 0 ? 16 : vr->room * 2;
	struct finding *f;
	va_list ap;

	vr->end.findings++;
	if (vr->nfound == VERIFY_FINDINGS_MAX)
		return;			/* counted, no longer named */
	if (vr->nfound == vr->room) {
		if ((f = realloc(vr->found, room * sizeof(*f))) == NULL)
			return;
		vr->found = f;
		vr->room = room;
	}
	f = &vr->found[vr->nfound++];
	memset(f, 0, sizeof(*f));
	f->kind = (uint8_t)kind;
	if (id != NULL)
		f->id = *id;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

/*
 * What others wrote is in a buffer.  On a full disk it is in none any more:
 * their runs failed, and what is on the disk can be verified.
 */
static int
flush_packs(struct verifier *vr)
{
	int rc = packs_flush(vr->v->packs);

	return rc == RC_FULL ? RC_OK : rc;
}

int
verify_new(struct verifier **out, struct vault *v, uint8_t percent)
{
	struct verifier *vr = calloc(1, sizeof(*vr));
	int rc;

	if (vr == NULL)
		return RC_NOMEM;
	vr->v = v;
	vr->percent = percent;
	vr->fd = -1;
	vr->number = 1;
	vr->last = packs_last(v->packs);
	vr->good = calloc(1, (size_t)(vr->last / 8 + 1));
	if (vr->good == NULL || (rc = flush_packs(vr)) != RC_OK) {
		rc = vr->good == NULL ? RC_NOMEM : rc;
		verify_free(vr);
		return rc;
	}
	*out = vr;
	return RC_OK;
}

void
verify_free(struct verifier *vr)
{
	if (vr == NULL)
		return;
	pack_scan_free(&vr->scan);
	fd_close(&vr->fd);
	free(vr->good);
	free(vr->found);
	free(vr);
}

bool
verify_take(struct verifier *vr, struct finding *f)
{
	if (vr->taken == vr->nfound)
		return false;
	*f = vr->found[vr->taken++];
	return true;
}

void
verify_totals(const struct verifier *vr, struct verify_end *e)
{
	*e = vr->end;
}

/* Lost, unless another record of this id is whole. */
static void
object_bad(struct verifier *vr, const struct object_id *id, uint64_t number,
    uint64_t off)
{
	const uint8_t *wire;
	size_t len;

	if (vault_get(vr->v, id, 0, &wire, &len) == RC_OK) {
		report(vr, FINDING_COPY, id, "pack %llx at %llu: damaged, "
		    "another copy is whole", (unsigned long long)number,
		    (unsigned long long)off);
		return;
	}
	report(vr, FINDING_OBJECT, id, "pack %llx at %llu: damaged",
	    (unsigned long long)number, (unsigned long long)off);
	/* The next backup that still has it is asked to send it again. */
	(void)vault_bad(vr->v, id, 0);
}

static int
journal_record(void *arg, const struct jrec *r)
{
	struct verifier *vr = arg;
	struct seal_body b;
	uint64_t size = 0;
	int fd = -1, rc;

	if (!r->pad_ok)
		report(vr, FINDING_COPY, NULL, "journal %llx at %llu: bytes "
		    "behind the record", (unsigned long long)r->segment,
		    (unsigned long long)r->off);
	if (!r->chain_ok)
		report(vr, FINDING_JOURNAL, NULL, "journal %llx at %llu: the "
		    "chain is broken", (unsigned long long)r->segment,
		    (unsigned long long)r->off);
	if (r->kind != JOURNAL_SEAL || (r->flags & JOURNAL_F_STATE) != 0)
		return RC_OK;
	if (seal_body_get(r->body, r->len, &b) != RC_OK)
		return RC_OK;
	rc = packs_open_pack(vr->v->packs, (enum pack_kind)b.kind, b.number,
	    false, &fd);
	if (rc == RC_OK)
		rc = dir_file_size(fd, &size);
	fd_close(&fd);
	if (rc != RC_OK && rc != RC_NOENT)
		return rc;
	if (rc == RC_NOENT || size != b.size)
		report(vr, FINDING_COPY, NULL, "pack %llx: %s, its objects "
		    "are named apart", (unsigned long long)b.number,
		    rc == RC_NOENT ? "not there" : "of another size");
	return RC_OK;
}

static int
journal_hole(void *arg, uint64_t segment, uint64_t off)
{
	struct verifier *vr = arg;

	if (off == 0)
		report(vr, FINDING_COPY, NULL, "journal %llx: header damaged "
		    "or segment missing", (unsigned long long)segment);
	else
		report(vr, FINDING_JOURNAL, NULL, "journal %llx at %llu: a "
		    "record is damaged", (unsigned long long)segment,
		    (unsigned long long)off);
	return RC_OK;
}

/* What each snapshot names must be there, and its record readable. */
static int
check_snapshots(struct verifier *vr)
{
	struct vault *v = vr->v;

	for (size_t i = 0; i < v->state.nsnap; i++) {
		struct snapshot_client c;
		struct snapshot_body b;
		uint8_t *raw = NULL;
		size_t n;
		int rc;

		rc = journal_read(v->journal, &v->state.snap[i].pos, &raw, &n);
		if (rc == RC_OK &&
		    (rc = snapshot_body_get(raw + JOURNAL_RECORD_LEN,
		    n - JOURNAL_RECORD_LEN, &b)) == RC_OK)
			rc = snapshot_get_client(b.client, b.client_len, &c);
		if (rc == RC_NOMEM || rc == RC_IO) {
			free(raw);
			return rc;
		}
		if (rc != RC_OK)
			report(vr, FINDING_JOURNAL, &v->state.snap[i].id,
			    "snapshot record: %s", rc_str(rc));
		for (int k = 0; rc == RC_OK && k < c.edge_count; k++) {
			struct ixent e;

			if (vault_find(v, NULL, &c.edge[k], 0, &e) != RC_OK)
				report(vr, FINDING_MISSING, &c.edge[k],
				    "snapshot %llu refers to it",
				    (unsigned long long)b.server.vault_seq);
		}
		free(raw);
	}
	return RC_OK;
}

static int
check_files(struct verifier *vr)
{
	struct vault *v = vr->v;
	const char *bad = "vault";
	int rc;

	if (ident_check(v->dir, &bad) != RC_OK)
		report(vr, FINDING_COPY, NULL, "identity file %s", bad);
	if ((rc = journal_each(v->journal_dir, journal_record, journal_hole,
	    vr)) != RC_OK)
		return rc;
	return check_snapshots(vr);
}

static int
check_edges(struct verifier *vr, const struct pack_rec *r)
{
	const uint8_t *p = vr->scan.buf + OBJECT_PREFIX_LEN +
	    OBJECT_HEADER_LEN;
	struct object_id id;
	struct ixent e;
	int rc;

	for (size_t i = 0; i < r->h.edges; i++) {
		memcpy(id.b, p + i * OBJECT_ID_LEN, OBJECT_ID_LEN);
		rc = vault_find(vr->v, NULL, &id, 0, &e);
		if (rc == RC_NOENT)
			report(vr, FINDING_MISSING, &id,
			    "pack %llx at %llu refers to it",
			    (unsigned long long)vr->number,
			    (unsigned long long)r->off);
		else if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* Does the index lead to this very record, or to another of its id? */
static bool
is_indexed(struct verifier *vr, const struct pack_rec *r, bool *here)
{
	struct ixent e;
	unsigned copy;

	*here = false;
	for (copy = 0; vault_find(vr->v, NULL, &r->h.id, copy, &e) == RC_OK;
	    copy++)
		if (e.pack == vr->number && e.off == r->off)
			*here = true;
	return copy > 0;
}

static int
check_record(struct verifier *vr, struct pack_rec *r)
{
	bool copy = (r->px.flags & (PACK_F_COPY | PACK_F_GAP)) != 0;
	bool indexed, here;
	int rc;

	if (!copy && r->h.id.b[31] * 100u / 256 >= vr->percent)
		return RC_OK;
	if ((rc = pack_scan_check(&vr->scan, r)) != RC_OK)
		return rc;
	if (!r->pad_ok)
		report(vr, FINDING_COPY, copy ? NULL : &r->h.id,
		    "pack %llx at %llu: bytes behind the record",
		    (unsigned long long)vr->number,
		    (unsigned long long)r->off);
	if (copy)
		return RC_OK;
	vr->end.objects++;
	vr->end.bytes += r->px.len;
	if (!r->prefix_ok)
		report(vr, FINDING_COPY, &r->h.id, "pack %llx at %llu: the "
		    "prefix", (unsigned long long)vr->number,
		    (unsigned long long)r->off);
	indexed = is_indexed(vr, r, &here);
	if (!r->crc_ok) {
		/* What no snapshot can need is no loss. */
		if (here)
			object_bad(vr, &r->h.id, vr->number, r->off);
		return RC_OK;
	}
	if (!indexed && r->prefix_ok && !object_is_node(r->h.type))
		report(vr, FINDING_COPY, &r->h.id, "the index lacks it");
	if (here && object_is_node(r->h.type))
		return check_edges(vr, r);
	return RC_OK;
}

static int
pack_begin(struct verifier *vr)
{
	int rc;

	vr->hole = false;
	rc = packs_open_pack(vr->v->packs, (enum pack_kind)vr->kind,
	    vr->number, false, &vr->fd);
	if (rc != RC_OK)
		return rc;
	/* The file then ends where a record does. */
	if ((rc = flush_packs(vr)) != RC_OK)
		return rc;
	rc = pack_scan_init(&vr->scan, vr->fd, (enum pack_kind)vr->kind,
	    vr->number, false);
	if (rc == RC_TRUNCATED) {
		report(vr, FINDING_COPY, NULL, "pack %llx: cut short",
		    (unsigned long long)vr->number);
		vr->hole = true;
		return rc;
	}
	if (rc != RC_OK)
		return rc;
	if (!vr->scan.header_ok)
		report(vr, FINDING_COPY, NULL, "pack %llx: the header",
		    (unsigned long long)vr->number);
	vr->scanning = true;
	return RC_OK;
}

static void
pack_end(struct verifier *vr)
{
	struct pack_scan *s = &vr->scan;

	if (vr->scanning && s->sealed) {
		if (pack_seal_check(vr->fd, s->kind, s->number,
		    &s->trailer) != RC_OK)
			report(vr, FINDING_COPY, NULL, "pack %llx: the footer "
			    "does not agree with the records",
			    (unsigned long long)s->number);
	} else if (vr->scanning &&
	    (s->foot || s->number <= vr->v->state.sealed[s->kind])) {
		uint64_t number, off;

		packs_end(vr->v->packs, s->kind, &number, &off);
		if (number != s->number)
			report(vr, FINDING_COPY, NULL, "pack %llx: the "
			    "trailer", (unsigned long long)s->number);
	}
	if (vr->scanning && !vr->hole)
		vr->good[vr->number / 8] |= (uint8_t)(1u << vr->number % 8);
	pack_scan_free(s);
	fd_close(&vr->fd);
	vr->scanning = false;
	if (++vr->kind == 2) {
		vr->kind = 0;
		vr->number++;
	}
}

static int
packs_some(struct verifier *vr)
{
	struct pack_rec r;
	uint64_t until;
	int rc;

	if (vr->number > vr->last) {
		vr->phase = PHASE_INDEX;
		return RC_AGAIN;
	}
	if (!vr->scanning) {
		rc = pack_begin(vr);
		if (rc == RC_NOENT || rc == RC_TRUNCATED) {
			pack_end(vr);
			return RC_AGAIN;
		}
		if (rc != RC_OK)
			return rc;
	}
	for (until = vr->scan.off + STEP_BYTES; vr->scan.off < until;) {
		rc = pack_scan_next(&vr->scan, &r);
		if (rc == RC_EOF) {
			pack_end(vr);
			return RC_AGAIN;
		}
		if (rc == RC_CORRUPT) {
			vr->hole = true;
			report(vr, FINDING_COPY, NULL, "pack %llx at %llu: "
			    "%llu unreadable bytes; objects that were there "
			    "are named apart", (unsigned long long)vr->number,
			    (unsigned long long)r.off,
			    (unsigned long long)(vr->scan.off - r.off));
			continue;
		}
		if (rc != RC_OK || (rc = check_record(vr, &r)) != RC_OK)
			return rc;
	}
	return RC_AGAIN;
}

/* Entries into packs that had a hole, or that are not there. */
static int
index_entry(void *arg, const struct ixent *e)
{
	struct verifier *vr = arg;
	struct object_header h;
	uint8_t p[OBJECT_HEADER_LEN];
	struct rbuf in;
	int rc;

	if (e->pack > vr->last ||
	    (vr->good[e->pack / 8] & 1u << e->pack % 8) != 0)
		return RC_OK;
	rc = packs_read(vr->v->packs, kind_of(e->type), e->pack,
	    e->off + OBJECT_PREFIX_LEN, p, sizeof(p));
	if (rc == RC_OK) {
		const uint8_t *wire;
		size_t len;

		rbuf_init(&in, p, sizeof(p));
		if (object_get_header(&in, &h) == RC_OK &&
		    memcmp(h.id.b, e->id.b, OBJECT_ID_LEN) == 0 &&
		    vault_read(vr->v, e, &wire, &len) == RC_OK)
			return RC_OK;
	} else if (rc == RC_NOMEM) {
		return rc;
	}
	object_bad(vr, &e->id, e->pack, e->off);
	return RC_OK;
}

int
verify_step(struct verifier *vr)
{
	int rc;

	switch (vr->phase) {
	case PHASE_FILES:
		rc = check_files(vr);
		vr->phase = PHASE_PACKS;
		return rc == RC_OK ? RC_AGAIN : rc;
	case PHASE_PACKS:
		return packs_some(vr);
	case PHASE_INDEX:
		/* A bad page must not make the index anew under the feet of
		 * who reads it. */
		vr->v->recovering = true;
		rc = index_each(vr->v->index, index_entry, vr);
		vr->v->recovering = false;
		vr->phase = PHASE_DONE;
		if (rc == RC_CRC) {
			report(vr, FINDING_COPY, NULL, "a page of the index; "
			    "it is made again from the packs");
			rc = vr->v->readonly ? RC_OK :
			    vault_rebuild_index(vr->v);
		}
		return rc == RC_OK ? RC_AGAIN : rc;
	case PHASE_DONE:
		break;
	}
	return RC_EOF;
}
