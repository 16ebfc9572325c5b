#include "config.h"

#include "server/store/ixfile.h"

#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/num.h"
#include "common/rbuf.h"
#include "common/rc.h"
#include "server/store/dir.h"
#include "server/store/format.h"

#define BLOOM_HASHES	6
#define BLOOM_PER_BLOCK	50	/* entries for 512 bits: about 1 % false */
#define WRITER_PAGES	16	/* written at a time */
#define GUESSES		3	/* by interpolation, before bisection */

static unsigned
per_page(bool nodes)
{
	return (INDEX_PAGE - INDEX_PAGE_HEAD) /
	    (nodes ? INDEX_NODE_ENTRY : INDEX_DATA_ENTRY);
}

static size_t
entry_len(bool nodes)
{
	return nodes ? INDEX_NODE_ENTRY : INDEX_DATA_ENTRY;
}

static void
put(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

static uint64_t
get(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

int
ixent_cmp(const struct ixent *a, const struct ixent *b)
{
	int c = memcmp(a->id.b, b->id.b, OBJECT_ID_LEN);

	if (c != 0)
		return c;
	if (a->pack != b->pack)
		return a->pack > b->pack ? -1 : 1;
	if (a->off != b->off)
		return a->off > b->off ? -1 : 1;
	return 0;
}

static void
entry_put(uint8_t *p, bool nodes, const struct ixent *e)
{
	memcpy(p, e->id.b, OBJECT_ID_LEN);
	put(p + 32, e->pack, 5);
	put(p + 37, e->off / 8, 4);
	put(p + 41, e->len, 4);
	p[45] = e->type;
	put(p + 46, e->height, 2);
	if (nodes) {
		put(p + 48, e->closure_bytes, 8);
		put(p + 56, e->closure_objects, 8);
	}
}

static void
entry_get(const uint8_t *p, bool nodes, struct ixent *e)
{
	memcpy(e->id.b, p, OBJECT_ID_LEN);
	e->pack = get(p + 32, 5);
	e->off = get(p + 37, 4) * 8;
	e->len = (uint32_t)get(p + 41, 4);
	e->type = p[45];
	e->height = (uint16_t)get(p + 46, 2);
	e->closure_bytes = nodes ? get(p + 48, 8) : e->len;
	e->closure_objects = nodes ? get(p + 56, 8) : 1;
}

/* ids are spread evenly, so position among n is the id's first 64 bits. */
static uint64_t
scale(const struct object_id *id, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)get(id->b, 8) * n) >> 64);
}

static void
page_seal(uint8_t *p, uint64_t number, unsigned count)
{
	put(p + 4, number, 4);
	put(p + 8, count, 2);
	put(p + 10, 0, 6);
	put(p, crc32c(0, p + 4, INDEX_PAGE - 4), 4);
}

static int
page_read(const struct ixfile *f, uint64_t number, uint8_t *p, unsigned *count)
{
	int rc;

	if ((rc = io_pread_full(f->fd, p, INDEX_PAGE, number * INDEX_PAGE)) !=
	    RC_OK)
		return rc == RC_TRUNCATED ? RC_CRC : rc;
	if (get(p, 4) != crc32c(0, p + 4, INDEX_PAGE - 4) ||
	    get(p + 4, 4) != (uint32_t)number)
		return RC_CRC;
	*count = (unsigned)get(p + 8, 2);
	return RC_OK;
}

static int
entries_read(const struct ixfile *f, uint64_t page, uint8_t *p, unsigned *n)
{
	int rc;

	if ((rc = page_read(f, page + 1, p, n)) != RC_OK)
		return rc;
	return *n == 0 || *n > per_page(f->nodes) ? RC_CRC : RC_OK;
}

int
ixfile_open(struct ixfile *f, int fd, uint64_t number)
{
	uint8_t p[INDEX_PAGE];
	uint64_t size;
	int rc;

	memset(f, 0, sizeof(*f));
	f->fd = fd;
	if ((rc = io_pread_full(fd, p, sizeof(p), 0)) != RC_OK) {
		rc = rc == RC_TRUNCATED ? RC_CORRUPT : rc;
		goto out;
	}
	rc = RC_CORRUPT;
	if (get(p + INDEX_PAGE - 4, 4) != crc32c(0, p, INDEX_PAGE - 4) ||
	    get(p, 8) != INDEX_MAGIC || get(p + 8, 2) != VAULT_VERSION ||
	    p[10] > 1 || get(p + 16, 8) != number)
		goto out;
	f->nodes = p[10] == 1;
	f->number = number;
	f->count = get(p + 24, 8);
	f->pages = get(p + 32, 8);
	f->bloom_at = get(p + 40, 8);
	f->blocks = get(p + 48, 8);
	if ((rc = dir_file_size(fd, &size)) != RC_OK)
		goto out;
	/* Bounded by the file, so that no sum below can wrap. */
	rc = RC_CORRUPT;
	if (f->pages > size / INDEX_PAGE || f->bloom_at > size / INDEX_PAGE ||
	    f->bloom_at < f->pages + 1 ||
	    f->count > f->pages * per_page(f->nodes) || f->blocks == 0 ||
	    f->blocks / INDEX_BLOOM_BLOCKS > size / INDEX_PAGE)
		goto out;
	rc = RC_OK;
out:
	if (rc != RC_OK)
		fd_close(&f->fd);
	return rc;
}

void
ixfile_close(struct ixfile *f)
{
	fd_close(&f->fd);
}

static void
bloom_set(uint8_t *block, const struct object_id *id)
{
	uint64_t h = get(id->b + 16, 8);

	for (int i = 0; i < BLOOM_HASHES; i++, h >>= 9)
		block[(h & 511) >> 3] |= (uint8_t)(1u << (h & 7));
}

/* False only when the id is surely not there; a bad page says "maybe". */
static bool
bloom_maybe(const struct ixfile *f, const struct object_id *id)
{
	uint64_t b = scale(id, f->blocks), h = get(id->b + 16, 8);
	uint8_t p[INDEX_PAGE];
	const uint8_t *block;
	unsigned n;

	if (page_read(f, f->bloom_at + b / INDEX_BLOOM_BLOCKS, p, &n) != RC_OK)
		return true;
	block = p + INDEX_BLOOM_HEAD +
	    b % INDEX_BLOOM_BLOCKS * INDEX_BLOOM_BLOCK;
	for (int i = 0; i < BLOOM_HASHES; i++, h >>= 9)
		if ((block[(h & 511) >> 3] & 1u << (h & 7)) == 0)
			return false;
	return true;
}

/* Where to look after page `at`, whose first entry is `first`. */
static uint64_t
guess(const struct ixfile *f, const struct object_id *id, uint64_t at,
    uint64_t first, uint64_t lo, uint64_t hi)
{
	uint64_t want = get(id->b, 8);
	uint64_t gap = want > first ? want - first : first - want;
	uint64_t d = (uint64_t)(((unsigned __int128)gap * f->pages) >> 64);

	if (want > first)
		at = d > hi - 1 - lo || at + d > hi - 1 ? hi - 1 : at + d;
	else
		at = d > at ? lo : at - d;
	if (at < lo)
		at = lo;
	return at > hi - 1 ? hi - 1 : at;
}

/*
 * The first page whose last entry is not below id, with its entries.  The
 * client chooses the ids, so interpolation only gets a few guesses.
 */
static int
find_page(const struct ixfile *f, const struct object_id *id, uint8_t *p,
    unsigned *n, uint64_t *page)
{
	size_t len = entry_len(f->nodes);
	uint64_t lo = 0, hi = f->pages, at = scale(id, f->pages);
	uint64_t held = UINT64_MAX;
	int rc;

	for (int tries = 0; lo < hi; tries++) {
		if ((rc = entries_read(f, at, p, n)) != RC_OK)
			return rc;
		held = at;
		if (memcmp(p + INDEX_PAGE_HEAD + (*n - 1) * len, id->b,
		    OBJECT_ID_LEN) < 0)
			lo = at + 1;
		else if (memcmp(p + INDEX_PAGE_HEAD, id->b,
		    OBJECT_ID_LEN) < 0)
			lo = hi = at;
		else
			hi = at;
		if (lo >= hi)
			break;
		at = tries < GUESSES ? guess(f, id, at,
		    get(p + INDEX_PAGE_HEAD, 8), lo, hi) : lo + (hi - lo) / 2;
	}
	if (lo >= f->pages)
		return RC_NOENT;
	*page = lo;
	return held == lo ? RC_OK : entries_read(f, lo, p, n);
}

int
ixfile_find(const struct ixfile *f, const struct object_id *id, unsigned skip,
    unsigned *seen, struct ixent *e)
{
	size_t len = entry_len(f->nodes);
	uint8_t p[INDEX_PAGE];
	uint64_t page;
	unsigned n, lo = 0, hi;
	int rc;

	if (f->count == 0 || !bloom_maybe(f, id))
		return RC_NOENT;
	if ((rc = find_page(f, id, p, &n, &page)) != RC_OK)
		return rc;
	for (hi = n; lo < hi;) {
		unsigned mid = (lo + hi) / 2;

		if (memcmp(p + INDEX_PAGE_HEAD + mid * len, id->b,
		    OBJECT_ID_LEN) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (;;) {
		if (lo == n) {
			if (++page >= f->pages)
				return RC_NOENT;
			if ((rc = entries_read(f, page, p, &n)) != RC_OK)
				return rc;
			lo = 0;
		}
		if (memcmp(p + INDEX_PAGE_HEAD + lo * len, id->b,
		    OBJECT_ID_LEN) != 0)
			return RC_NOENT;
		if ((*seen)++ >= skip) {
			entry_get(p + INDEX_PAGE_HEAD + lo * len, f->nodes, e);
			return RC_OK;
		}
		lo++;
	}
}

void
ixcursor_init(struct ixcursor *c, const struct ixfile *f)
{
	c->f = f;
	c->page = 0;
	c->left = f->count;
	c->at = c->n = 0;
}

int
ixcursor_next(struct ixcursor *c, struct ixent *e)
{
	int rc;

	if (c->left == 0)
		return RC_EOF;
	if (c->at == c->n) {
		if (c->page >= c->f->pages)
			return RC_CRC;
		if ((rc = entries_read(c->f, c->page++, c->buf, &c->n)) !=
		    RC_OK)
			return rc;
		c->at = 0;
	}
	entry_get(c->buf + INDEX_PAGE_HEAD + c->at * entry_len(c->f->nodes),
	    c->f->nodes, e);
	c->at++;
	c->left--;
	return RC_OK;
}

struct ixwriter {
	int		 fd;
	bool		 nodes;
	uint64_t	 number, count, pages, bloom_at, blocks;
	uint64_t	 bloom_page;		/* being filled */
	unsigned	 n;			/* entries on the last page */
	unsigned	 held;			/* full pages in buf */
	uint8_t		 bloom[INDEX_PAGE];
	uint8_t		 buf[WRITER_PAGES * INDEX_PAGE];
};

int
ixwriter_new(struct ixwriter **out, int fd, bool nodes, uint64_t number,
    uint64_t max)
{
	struct ixwriter *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return RC_NOMEM;
	w->fd = fd;
	w->nodes = nodes;
	w->number = number;
	w->bloom_at = 1 + max / per_page(nodes) + 1;
	w->blocks = max / BLOOM_PER_BLOCK + 1;
	*out = w;
	return RC_OK;
}

void
ixwriter_free(struct ixwriter *w)
{
	free(w);
}

static int
pages_out(struct ixwriter *w)
{
	int rc = RC_OK;

	if (w->held > 0)
		rc = io_pwrite_full(w->fd, w->buf,
		    (size_t)w->held * INDEX_PAGE,
		    (1 + w->pages - w->held) * INDEX_PAGE);
	w->held = 0;
	return rc;
}

static int
page_full(struct ixwriter *w)
{
	uint8_t *p = w->buf + (size_t)w->held * INDEX_PAGE;
	size_t used = INDEX_PAGE_HEAD + w->n * entry_len(w->nodes);

	memset(p + used, 0, INDEX_PAGE - used);
	page_seal(p, w->pages + 1, w->n);
	w->pages++;
	w->held++;
	w->n = 0;
	return w->held == WRITER_PAGES ? pages_out(w) : RC_OK;
}

static int
bloom_out(struct ixwriter *w)
{
	uint64_t at = w->bloom_at + w->bloom_page;
	int rc;

	page_seal(w->bloom, at, INDEX_BLOOM_BLOCKS);
	rc = io_pwrite_full(w->fd, w->bloom, INDEX_PAGE, at * INDEX_PAGE);
	memset(w->bloom, 0, sizeof(w->bloom));
	w->bloom_page++;
	return rc;
}

int
ixwriter_add(struct ixwriter *w, const struct ixent *e)
{
	uint64_t b = scale(&e->id, w->blocks);
	int rc;

	/* Blocks are taken by the id's first bits, so they fill in order. */
	while (w->bloom_page < b / INDEX_BLOOM_BLOCKS)
		if ((rc = bloom_out(w)) != RC_OK)
			return rc;
	bloom_set(w->bloom + INDEX_BLOOM_HEAD +
	    b % INDEX_BLOOM_BLOCKS * INDEX_BLOOM_BLOCK, &e->id);
	entry_put(w->buf + (size_t)w->held * INDEX_PAGE + INDEX_PAGE_HEAD +
	    w->n * entry_len(w->nodes), w->nodes, e);
	w->count++;
	return ++w->n == per_page(w->nodes) ? page_full(w) : RC_OK;
}

int
ixwriter_end(struct ixwriter *w)
{
	uint8_t p[INDEX_PAGE] = { 0 };
	int rc;

	if (w->n > 0 && (rc = page_full(w)) != RC_OK)
		return rc;
	if ((rc = pages_out(w)) != RC_OK)
		return rc;
	while (w->bloom_page <= (w->blocks - 1) / INDEX_BLOOM_BLOCKS)
		if ((rc = bloom_out(w)) != RC_OK)
			return rc;
	put(p, INDEX_MAGIC, 8);
	put(p + 8, VAULT_VERSION, 2);
	p[10] = w->nodes ? 1 : 0;
	put(p + 16, w->number, 8);
	put(p + 24, w->count, 8);
	put(p + 32, w->pages, 8);
	put(p + 40, w->bloom_at, 8);
	put(p + 48, w->blocks, 8);
	put(p + INDEX_PAGE - 4, crc32c(0, p, INDEX_PAGE - 4), 4);
	return io_pwrite_full(w->fd, p, sizeof(p), 0);
}
