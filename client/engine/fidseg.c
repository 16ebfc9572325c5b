#include "config.h"

#include "client/engine/fids_priv.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/rbuf.h"
#include "common/rc.h"
#include "common/wbuf.h"

#define COPY_BUF	65536u

/* A segment while it is written: pages in order, the header at the end. */
struct seg_out {
	int		fd;
	uint64_t	start, off;
	uint32_t	nbundles, npages, bundles_crc;
	uint64_t	nentries;
	struct wbuf	page;
	size_t		in_page;
};

static int
by_fid(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

void
fid_sort(struct fid_entry *e, size_t n)
{
	qsort(e, n, sizeof(*e), by_fid);
}

static int
file_header(int fd, const uint8_t vault[16])
{
	struct wbuf out = WBUF_INIT(FIDS_HEADER_LEN);
	int rc;

	wbuf_u64(&out, FIDS_MAGIC);
	wbuf_u16(&out, FIDS_VERSION);
	wbuf_bytes(&out, vault, 16);
	wbuf_zeros(&out, 2);
	if (wbuf_rc(&out) == RC_OK)
		wbuf_u32(&out, crc32c(0, out.data, out.len));
	if ((rc = wbuf_rc(&out)) == RC_OK)
		rc = io_pwrite_full(fd, out.data, out.len, 0);
	wbuf_free(&out);
	return rc;
}

static int
check_file_header(int fd, const uint8_t vault[16])
{
	uint8_t p[FIDS_HEADER_LEN], id[16];
	uint64_t magic;
	uint32_t crc;
	uint16_t version;
	struct rbuf in;

	if (io_pread_full(fd, p, sizeof(p), 0) != RC_OK)
		return RC_CORRUPT;
	rbuf_init(&in, p, sizeof(p));
	if (rbuf_u64(&in, &magic) != RC_OK || magic != FIDS_MAGIC ||
	    rbuf_u16(&in, &version) != RC_OK || version != FIDS_VERSION ||
	    rbuf_bytes(&in, id, sizeof(id)) != RC_OK ||
	    memcmp(id, vault, sizeof(id)) != 0 ||
	    rbuf_skip(&in, 2) != RC_OK || rbuf_u32(&in, &crc) != RC_OK ||
	    crc != crc32c(0, p, sizeof(p) - 4))
		return RC_CORRUPT;
	return RC_OK;
}

static int
seg_bundles(struct seg_out *o, const struct object_id *bundles, uint32_t n)
{
	int rc = RC_OK;

	if (n > 0)
		rc = io_pwrite_full(o->fd, bundles, (size_t)n * sizeof(*bundles),
		    o->off);
	o->off += (uint64_t)n * sizeof(*bundles);
	o->nbundles += n;
	o->bundles_crc = crc32c(o->bundles_crc, bundles,
	    (size_t)n * sizeof(*bundles));
	return rc;
}

static void
seg_begin(struct seg_out *o, int fd, uint64_t off)
{
	memset(o, 0, sizeof(*o));
	o->fd = fd;
	o->start = off;
	o->off = off + FIDS_SEGMENT_LEN;
	wbuf_init(&o->page, FIDS_PAGE);
}

/* Entries, zeros, their count u32, the page's CRC. */
static int
page_end(struct seg_out *o)
{
	int rc;

	if (o->in_page == 0)
		return RC_OK;
	wbuf_zeros(&o->page, FIDS_PAGE - 8 - o->page.len);
	wbuf_u32(&o->page, (uint32_t)o->in_page);
	if (wbuf_rc(&o->page) == RC_OK)
		wbuf_u32(&o->page, crc32c(0, o->page.data, o->page.len));
	if ((rc = wbuf_rc(&o->page)) == RC_OK)
		rc = io_pwrite_full(o->fd, o->page.data, o->page.len, o->off);
	o->off += FIDS_PAGE;
	o->npages++;
	o->in_page = 0;
	wbuf_reset(&o->page);
	return rc;
}

static int
seg_add(struct seg_out *o, const struct fid_entry *e, uint32_t base)
{
	wbuf_bytes(&o->page, e->fid, sizeof(e->fid));
	wbuf_u32(&o->page, e->number + base);
	wbuf_u32(&o->page, e->offset);
	wbuf_u32(&o->page, e->len);
	o->nentries++;
	if (++o->in_page == FIDS_PER_PAGE)
		return page_end(o);
	return RC_OK;
}

static int
seg_end(struct seg_out *o, struct fid_segment *s)
{
	struct wbuf out = WBUF_INIT(FIDS_SEGMENT_LEN);
	int rc;

	if ((rc = page_end(o)) != RC_OK)
		goto out;
	wbuf_u32(&out, FIDS_SEGMENT_MAGIC);
	wbuf_u32(&out, o->nbundles);
	wbuf_u32(&out, o->npages);
	wbuf_u32(&out, (uint32_t)o->nentries);
	wbuf_u32(&out, o->bundles_crc);
	if (wbuf_rc(&out) == RC_OK)
		wbuf_u32(&out, crc32c(0, out.data, out.len));
	if ((rc = wbuf_rc(&out)) != RC_OK)
		goto out;
	rc = io_pwrite_full(o->fd, out.data, out.len, o->start);
	if (s != NULL) {
		memset(s, 0, sizeof(*s));
		s->fd = o->fd;
		s->pages_off = o->start + FIDS_SEGMENT_LEN +
		    (uint64_t)o->nbundles * OBJECT_ID_LEN;
		s->end = o->off;
		s->nbundles = o->nbundles;
		s->npages = o->npages;
		s->nentries = o->nentries;
	}
out:
	wbuf_free(&out);
	wbuf_free(&o->page);
	return rc;
}

int
fid_segment_write(int fd, uint64_t off, const struct object_id *bundles,
    uint32_t nbundles, uint32_t base, const struct fid_entry *e, size_t n,
    struct fid_segment *s)
{
	struct seg_out o;
	size_t i;
	int rc, rc2;

	seg_begin(&o, fd, off);
	rc = seg_bundles(&o, bundles, nbundles);
	for (i = 0; i < n && rc == RC_OK; i++)
		rc = seg_add(&o, &e[i], base);
	rc2 = seg_end(&o, s);
	return rc != RC_OK ? rc : rc2;
}

int
fid_segment_copy(int fd, uint64_t *end, const struct fid_segment *from,
    const struct object_id *bundles, uint32_t nbundles)
{
	uint64_t at, left;
	struct seg_out o;
	uint8_t *buf;
	size_t n;
	int rc, rc2;

	if ((buf = malloc(COPY_BUF)) == NULL)
		return RC_NOMEM;
	seg_begin(&o, fd, *end);
	rc = seg_bundles(&o, bundles, nbundles);
	left = (uint64_t)from->npages * FIDS_PAGE;
	for (at = from->pages_off; left > 0 && rc == RC_OK; at += n) {
		n = left < COPY_BUF ? (size_t)left : COPY_BUF;
		if ((rc = io_pread_full(from->fd, buf, n, at)) == RC_OK)
			rc = io_pwrite_full(fd, buf, n, o.off);
		o.off += n;
		left -= n;
	}
	o.npages = from->npages;
	o.nentries = from->nentries;
	free(buf);
	rc2 = seg_end(&o, NULL);
	*end = o.off;
	return rc != RC_OK ? rc : rc2;
}

static int
segment_open(int fd, uint64_t off, uint64_t size, struct fid_segment *s)
{
	uint8_t p[FIDS_SEGMENT_LEN];
	uint32_t magic, n, bundles_crc, crc;
	uint64_t len;
	struct rbuf in;

	memset(s, 0, sizeof(*s));
	if (size - off < sizeof(p) ||
	    io_pread_full(fd, p, sizeof(p), off) != RC_OK)
		return RC_CORRUPT;
	rbuf_init(&in, p, sizeof(p));
	if (rbuf_u32(&in, &magic) != RC_OK || magic != FIDS_SEGMENT_MAGIC ||
	    rbuf_u32(&in, &s->nbundles) != RC_OK ||
	    rbuf_u32(&in, &s->npages) != RC_OK ||
	    rbuf_u32(&in, &n) != RC_OK ||
	    rbuf_u32(&in, &bundles_crc) != RC_OK ||
	    rbuf_u32(&in, &crc) != RC_OK ||
	    crc != crc32c(0, p, sizeof(p) - 4) ||
	    s->nbundles > FIDS_BUNDLES_MAX)
		return RC_CORRUPT;
	s->fd = fd;
	s->nentries = n;
	len = (uint64_t)s->nbundles * OBJECT_ID_LEN;
	s->pages_off = off + FIDS_SEGMENT_LEN + len;
	s->end = s->pages_off + (uint64_t)s->npages * FIDS_PAGE;
	if (s->end > size)
		return RC_CORRUPT;
	if ((s->bundles = malloc(len + 1)) == NULL)
		return RC_NOMEM;
	if ((len > 0 && io_pread_full(fd, s->bundles, len,
	    off + FIDS_SEGMENT_LEN) != RC_OK) ||
	    crc32c(0, s->bundles, len) != bundles_crc) {
		free(s->bundles);
		s->bundles = NULL;
		return RC_CORRUPT;
	}
	return RC_OK;
}

int
fid_segments_open(int fd, const uint8_t vault[16], struct fid_segment *s,
    size_t max, size_t *n)
{
	uint64_t off = FIDS_HEADER_LEN;
	struct stat st;
	int rc;

	*n = 0;
	if (fstat(fd, &st) == -1)
		return rc_errno(errno);
	if ((rc = check_file_header(fd, vault)) != RC_OK)
		return rc;
	while (off < (uint64_t)st.st_size && *n < max) {
		rc = segment_open(fd, off, (uint64_t)st.st_size, &s[*n]);
		if (rc == RC_NOMEM)
			return rc;
		if (rc != RC_OK)
			break;
		off = s[*n].end;
		++*n;
	}
	return RC_OK;
}

void
fid_segments_free(struct fid_segment *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(s[i].bundles);
		s[i].bundles = NULL;
	}
}

static int
page_load(const struct fid_segment *s, uint32_t index, struct fid_page *page)
{
	uint64_t off = s->pages_off + (uint64_t)index * FIDS_PAGE;
	uint8_t p[FIDS_PAGE];
	struct rbuf in, tail;
	uint32_t n, crc, i;

	if (page->off == off && page->fd == s->fd)
		return RC_OK;
	page->off = 0;
	if (io_pread_full(s->fd, p, sizeof(p), off) != RC_OK)
		return RC_CORRUPT;
	rbuf_init(&tail, p + sizeof(p) - 8, 8);
	if (rbuf_u32(&tail, &n) != RC_OK || rbuf_u32(&tail, &crc) != RC_OK ||
	    crc != crc32c(0, p, sizeof(p) - 4) || n == 0 || n > FIDS_PER_PAGE)
		return RC_CORRUPT;
	rbuf_init(&in, p, n * FIDS_ENTRY_LEN);
	for (i = 0; i < n; i++)
		if (rbuf_bytes(&in, page->e[i].fid, 16) != RC_OK ||
		    rbuf_u32(&in, &page->e[i].number) != RC_OK ||
		    rbuf_u32(&in, &page->e[i].offset) != RC_OK ||
		    rbuf_u32(&in, &page->e[i].len) != RC_OK)
			return RC_CORRUPT;
	page->n = n;
	page->fd = s->fd;
	page->off = off;
	return RC_OK;
}

/* Ids are evenly spread, so the first guess is nearly always right. */
static uint32_t
guess(const uint8_t fid[16], uint32_t npages)
{
	uint32_t v = (uint32_t)fid[0] << 24 | (uint32_t)fid[1] << 16 |
	    (uint32_t)fid[2] << 8 | fid[3];

	return (uint32_t)((uint64_t)v * npages >> 32);
}

int
fid_segment_find(const struct fid_segment *s, struct fid_page *page,
    const uint8_t fid[16], struct fid_entry *e)
{
	uint32_t lo = 0, hi = s->npages, at;
	const struct fid_entry *found;
	int step, rc;

	at = guess(fid, s->npages);
	for (step = 0; lo < hi; step++) {
		if (at < lo || at >= hi)
			at = lo + (hi - lo) / 2;
		if ((rc = page_load(s, at, page)) != RC_OK)
			return rc;
		if (memcmp(fid, page->e[0].fid, 16) < 0) {
			hi = at;
			at = step < 4 ? at - 1 : lo + (hi - lo) / 2;
		} else if (memcmp(fid, page->e[page->n - 1].fid, 16) > 0) {
			lo = at + 1;
			at = step < 4 ? at + 1 : lo + (hi - lo) / 2;
		} else {
			found = bsearch(fid, page->e, page->n,
			    sizeof(page->e[0]), by_fid);
			if (found == NULL)
				return RC_NOENT;
			*e = *found;
			return RC_OK;
		}
	}
	return RC_NOENT;
}

/* One of the segments being merged, and where it stands. */
struct source {
	const struct fid_segment	*s;
	struct fid_page			*page;
	uint32_t			 index, base;
	size_t				 at;
	bool				 end;
};

static int
source_step(struct source *m, bool first)
{
	int rc;

	if (!first && ++m->at < m->page->n)
		return RC_OK;
	if (!first)
		m->index++;
	m->at = 0;
	if (m->index == m->s->npages) {
		m->end = true;
		return RC_OK;
	}
	/* A damaged page loses its own entries only. */
	while ((rc = page_load(m->s, m->index, m->page)) == RC_CORRUPT)
		if (++m->index == m->s->npages) {
			m->end = true;
			return RC_OK;
		}
	return rc;
}

static int
merge(struct seg_out *o, struct source *m, size_t n)
{
	struct fid_entry best;
	size_t i, from;
	int rc;

	for (;;) {
		from = n;
		for (i = 0; i < n; i++)
			if (!m[i].end && (from == n || memcmp(
			    m[i].page->e[m[i].at].fid, best.fid, 16) <= 0)) {
				from = i;
				best = m[i].page->e[m[i].at];
			}
		if (from == n)
			return RC_OK;
		if ((rc = seg_add(o, &best, m[from].base)) != RC_OK)
			return rc;
		for (i = 0; i < n; i++)
			if (!m[i].end && memcmp(m[i].page->e[m[i].at].fid,
			    best.fid, 16) == 0 &&
			    (rc = source_step(&m[i], false)) != RC_OK)
				return rc;
	}
}

int
fid_merge(int fd, const uint8_t vault[16], const struct fid_segment *old,
    size_t nold, const struct fid_segment *own, size_t nown,
    const struct object_id *bundles, uint32_t nbundles)
{
	struct source *m;
	struct seg_out o;
	size_t i, n = nold + nown;
	int rc, rc2;

	if ((m = calloc(n + 1, sizeof(*m))) == NULL)
		return RC_NOMEM;
	seg_begin(&o, fd, FIDS_HEADER_LEN);
	rc = file_header(fd, vault);
	for (i = 0; i < n && rc == RC_OK; i++) {
		m[i].s = i < nold ? &old[i] : &own[i - nold];
		m[i].base = o.nbundles;
		if ((m[i].page = calloc(1, sizeof(*m[i].page))) == NULL)
			rc = RC_NOMEM;
		else if (i < nold)
			rc = seg_bundles(&o, old[i].bundles, old[i].nbundles);
		if (rc == RC_OK)
			rc = source_step(&m[i], true);
	}
	if (rc == RC_OK && nbundles > 0)
		rc = seg_bundles(&o, bundles, nbundles);
	if (rc == RC_OK)
		rc = merge(&o, m, n);
	rc2 = seg_end(&o, NULL);
	for (i = 0; i < n; i++)
		free(m[i].page);
	free(m);
	return rc != RC_OK ? rc : rc2;
}
