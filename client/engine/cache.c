#include "config.h"

#include "client/engine/cache.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/engine/cache_priv.h"
#include "common/digest.h"
#include "common/io.h"
#include "common/rbuf.h"
#include "common/rc.h"
#include "common/wbuf.h"

/* Reading.  The writer is cacheout.c. */

struct cache {
	int			fd;
	struct cache_header	h;
};

struct cache_dir {
	const struct cache	*c;
	struct object_id	 top;
	uint16_t		 height;
	struct object_id	*nodes;
	uint32_t		 nnodes;
	struct cache_at		*pieces;
	uint32_t		 npieces, next;
	uint8_t			*buf;		/* the piece being read */
	size_t			 size;
	struct rbuf		 in;
};

static int
header_get(const uint8_t *p, size_t n, struct cache_header *h)
{
	uint64_t magic;
	uint16_t version;
	uint32_t crc;
	struct rbuf in;

	rbuf_init(&in, p, n);
	if (rbuf_u64(&in, &magic) != RC_OK || magic != CACHE_MAGIC ||
	    rbuf_u16(&in, &version) != RC_OK || version != CACHE_VERSION ||
	    rbuf_u64(&in, &h->generation) != RC_OK ||
	    rbuf_bytes(&in, h->key.vault, sizeof(h->key.vault)) != RC_OK ||
	    rbuf_bytes(&in, h->key.base, sizeof(h->key.base)) != RC_OK ||
	    rbuf_bytes(&in, h->key.params, sizeof(h->key.params)) != RC_OK ||
	    rbuf_bytes(&in, h->key.owners, sizeof(h->key.owners)) != RC_OK ||
	    rbuf_u64(&in, &h->root.off) != RC_OK ||
	    rbuf_u32(&in, &h->root.crc) != RC_OK ||
	    rbuf_u64(&in, &h->end) != RC_OK ||
	    rbuf_u64(&in, &h->fresh) != RC_OK ||
	    rbuf_u32(&in, &crc) != RC_OK)
		return RC_CORRUPT;
	return crc == crc32c(0, p, CACHE_HEADER_LEN - 4) ? RC_OK : RC_CRC;
}

static int
read_headers(struct cache *c)
{
	uint8_t p[CACHE_HEADERS_LEN];
	struct cache_header h;
	int i, rc = RC_NOENT;

	if (io_pread_full(c->fd, p, sizeof(p), 0) != RC_OK)
		return RC_NOENT;
	for (i = 0; i < 2; i++) {
		if (header_get(p + (size_t)i * CACHE_SLOT, CACHE_SLOT, &h) !=
		    RC_OK)
			continue;
		if (rc != RC_OK || h.generation > c->h.generation)
			c->h = h;
		rc = RC_OK;
	}
	return rc;
}

int
cache_open(struct cache **out, int dirfd, const char *name,
    const struct cache_key *k, bool *same_owners)
{
	struct cache *c;

	*out = NULL;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return RC_NOMEM;
	c->fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (c->fd == -1 || read_headers(c) != RC_OK ||
	    memcmp(c->h.key.vault, k->vault, sizeof(k->vault)) != 0 ||
	    memcmp(c->h.key.base, k->base, sizeof(k->base)) != 0 ||
	    memcmp(c->h.key.params, k->params, sizeof(k->params)) != 0) {
		cache_close(c);
		return RC_NOENT;
	}
	*same_owners = memcmp(c->h.key.owners, k->owners,
	    sizeof(k->owners)) == 0;
	*out = c;
	return RC_OK;
}

void
cache_close(struct cache *c)
{
	if (c == NULL)
		return;
	fd_close(&c->fd);
	free(c);
}

struct cache_at
cache_root(const struct cache *c)
{
	return c->h.root;
}

const struct cache_header *
cache_header(const struct cache *c)
{
	return &c->h;
}

bool
cache_bloated(const struct cache *c)
{
	return c->h.end / 3 > c->h.fresh + (1u << 20);
}

/* Length, then so many bytes, whose CRC the pointer told. */
static int
load(const struct cache *c, struct cache_at at, size_t max, uint8_t **buf,
    size_t *size, size_t *len)
{
	uint8_t head[4], *p;
	struct rbuf in;
	uint32_t n;

	if (at.off < CACHE_HEADERS_LEN || at.off >= c->h.end ||
	    io_pread_full(c->fd, head, sizeof(head), at.off) != RC_OK)
		return RC_CORRUPT;
	rbuf_init(&in, head, sizeof(head));
	if (rbuf_u32(&in, &n) != RC_OK || n > max ||
	    n > c->h.end - at.off)
		return RC_CORRUPT;
	if (n > *size) {
		if ((p = realloc(*buf, n)) == NULL)
			return RC_NOMEM;
		*buf = p;
		*size = n;
	}
	if (n > 0 && io_pread_full(c->fd, *buf, n, at.off + 4) != RC_OK)
		return RC_CORRUPT;
	*len = n;
	return crc32c(0, *buf, n) == at.crc ? RC_OK : RC_CORRUPT;
}

/* top 32 | height u16 | nodes u32 | id* | pieces u32 | (offset u64 | crc)* */
static int
index_get(struct cache_dir *d, struct rbuf *in)
{
	uint32_t i;

	if (rbuf_bytes(in, d->top.b, sizeof(d->top.b)) != RC_OK ||
	    rbuf_u16(in, &d->height) != RC_OK ||
	    rbuf_u32(in, &d->nnodes) != RC_OK ||
	    d->nnodes > rbuf_left(in) / OBJECT_ID_LEN)
		return RC_CORRUPT;
	if ((d->nodes = calloc(d->nnodes + 1, sizeof(*d->nodes))) == NULL)
		return RC_NOMEM;
	for (i = 0; i < d->nnodes; i++)
		if (rbuf_bytes(in, d->nodes[i].b, OBJECT_ID_LEN) != RC_OK)
			return RC_CORRUPT;
	if (rbuf_u32(in, &d->npieces) != RC_OK ||
	    d->npieces > rbuf_left(in) / 12)
		return RC_CORRUPT;
	if ((d->pieces = calloc(d->npieces + 1, sizeof(*d->pieces))) == NULL)
		return RC_NOMEM;
	for (i = 0; i < d->npieces; i++)
		if (rbuf_u64(in, &d->pieces[i].off) != RC_OK ||
		    rbuf_u32(in, &d->pieces[i].crc) != RC_OK)
			return RC_CORRUPT;
	return rbuf_end(in) == RC_OK ? RC_OK : RC_CORRUPT;
}

int
cache_dir_open(struct cache_dir **out, const struct cache *c,
    struct cache_at at)
{
	struct cache_dir *d;
	struct rbuf in;
	size_t len;
	int rc;

	*out = NULL;
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return RC_NOMEM;
	d->c = c;
	if ((rc = load(c, at, CACHE_INDEX_MAX, &d->buf, &d->size, &len)) !=
	    RC_OK)
		goto out;
	rbuf_init(&in, d->buf, len);
	if ((rc = index_get(d, &in)) != RC_OK)
		goto out;
	cache_dir_rewind(d);
out:
	if (rc != RC_OK) {
		cache_dir_close(d);
		return rc;
	}
	*out = d;
	return RC_OK;
}

void
cache_dir_close(struct cache_dir *d)
{
	if (d == NULL)
		return;
	free(d->nodes);
	free(d->pieces);
	free(d->buf);
	free(d);
}

void
cache_dir_rewind(struct cache_dir *d)
{
	d->next = 0;
	rbuf_init(&d->in, NULL, 0);
}

const struct object_id *
cache_dir_node(const struct cache_dir *d, uint16_t *height)
{
	*height = d->height;
	return &d->top;
}

bool
cache_dir_has(const struct cache_dir *d, const struct object_id *id)
{
	uint32_t i;

	for (i = 0; i < d->nnodes; i++)
		if (memcmp(&d->nodes[i], id, sizeof(*id)) == 0)
			return true;
	return false;
}

static int
get_reference(struct rbuf *in, struct entry *e)
{
	uint8_t kind, i, hole;

	if (rbuf_u8(in, &kind) != RC_OK || kind > REF_NONE)
		return RC_CORRUPT;
	e->ref = kind;
	switch (e->ref) {
	case REF_INLINE:
		return rbuf_blob16(in, &e->inline_data, &e->inline_len, 4096);
	case REF_BUNDLE:
		if (rbuf_bytes(in, e->ref_id.b, OBJECT_ID_LEN) != RC_OK ||
		    rbuf_u32(in, &e->offset) != RC_OK ||
		    rbuf_u32(in, &e->len) != RC_OK)
			return RC_CORRUPT;
		return rbuf_bytes(in, e->fid, sizeof(e->fid));
	case REF_EXTENTS:
		if (rbuf_u8(in, &e->next) != RC_OK ||
		    e->next > NODE_EXTENTS_MAX)
			return RC_CORRUPT;
		for (i = 0; i < e->next; i++) {
			if (rbuf_u8(in, &hole) != RC_OK ||
			    rbuf_u64(in, &e->ext[i].len) != RC_OK ||
			    (hole == 0 && rbuf_bytes(in, e->ext[i].id.b,
			    OBJECT_ID_LEN) != RC_OK))
				return RC_CORRUPT;
			e->ext[i].hole = hole != 0;
		}
		return RC_OK;
	case REF_MAP:
	case REF_DIR:
		if (rbuf_bytes(in, e->ref_id.b, OBJECT_ID_LEN) != RC_OK)
			return RC_CORRUPT;
		return rbuf_u16(in, &e->ref_height);
	case REF_NONE:
		return RC_OK;
	}
	return RC_CORRUPT;
}

static int
get_rest(struct rbuf *in, uint8_t flags, struct cache_entry *c)
{
	struct entry *e = &c->e;
	uint32_t n;
	int rc;

	if ((flags & CACHE_F_XATTRS) != 0) {
		if ((rc = rbuf_u32(in, &n)) != RC_OK)
			return rc;
		e->xattrs_len = n;
		if (n > NODE_XATTR_INLINE_MAX)
			rc = rbuf_bytes(in, e->xattrs_edge.b, OBJECT_ID_LEN);
		else
			rc = rbuf_view(in, &e->xattrs, n);
		if (rc != RC_OK)
			return rc;
	}
	if ((flags & CACHE_F_RDEV) != 0 &&
	    (rc = rbuf_u64(in, &e->rdev)) != RC_OK)
		return rc;
	if ((flags & CACHE_F_LINK) != 0 &&
	    (rc = rbuf_u64(in, &e->link_id)) != RC_OK)
		return rc;
	if (e->ref == REF_DIR && ((rc = rbuf_u64(in, &c->child.off)) != RC_OK ||
	    (rc = rbuf_u32(in, &c->child.crc)) != RC_OK))
		return rc;
	return RC_OK;
}

int
cache_entry_get(struct rbuf *in, struct cache_entry *c)
{
	struct entry *e = &c->e;
	uint8_t flags, len;

	memset(c, 0, sizeof(*c));
	if (rbuf_u8(in, &len) != RC_OK || len == 0 ||
	    rbuf_view(in, &e->name, len) != RC_OK ||
	    rbuf_u8(in, &flags) != RC_OK ||
	    rbuf_u64(in, &c->ino) != RC_OK ||
	    rbuf_i64(in, &c->ctime) != RC_OK ||
	    rbuf_u32(in, &c->ctime_ns) != RC_OK ||
	    rbuf_u32(in, &e->mode) != RC_OK ||
	    rbuf_u32(in, &e->uid) != RC_OK ||
	    rbuf_u32(in, &e->gid) != RC_OK ||
	    rbuf_i64(in, &e->mtime) != RC_OK ||
	    rbuf_u32(in, &e->mtime_ns) != RC_OK ||
	    rbuf_u64(in, &e->size) != RC_OK ||
	    get_reference(in, e) != RC_OK ||
	    get_rest(in, flags, c) != RC_OK)
		return RC_CORRUPT;
	e->name_len = len;
	c->racy = (flags & CACHE_F_RACY) != 0;
	return RC_OK;
}

int
cache_dir_next(struct cache_dir *d, struct cache_entry *e)
{
	size_t len;
	int rc;

	while (rbuf_left(&d->in) == 0) {
		if (d->next == d->npieces)
			return RC_EOF;
		if ((rc = load(d->c, d->pieces[d->next], CACHE_PIECE_MAX,
		    &d->buf, &d->size, &len)) != RC_OK)
			return rc;
		d->next++;
		rbuf_init(&d->in, d->buf, len);
	}
	return cache_entry_get(&d->in, e);
}
