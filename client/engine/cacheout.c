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
#include "common/rc.h"
#include "common/wbuf.h"

#define WRITE_BUF	(256u << 10)

struct cache_writer {
	int			fd, dirfd;
	char			name[80], temp[96];
	bool			fresh;
	struct cache_header	old;
	uint64_t		end;		/* where the next piece goes */
	struct wbuf		buf;		/* the last bytes before it */
	int			rc;
};

struct cache_out {
	struct cache_writer	*w;
	struct wbuf		 piece;
	struct cache_at		*pieces;
	size_t			 npieces, pieces_size;
	struct object_id	*nodes;
	size_t			 nnodes, nodes_size;
};

int
cache_writer_new(struct cache_writer **out, int dirfd, const char *name,
    const struct cache *old)
{
	struct cache_writer *w;
	int rc = RC_OK;

	*out = NULL;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return RC_NOMEM;
	w->dirfd = dirfd;
	w->fresh = old == NULL;
	wbuf_init(&w->buf, WRITE_BUF);
	snprintf(w->name, sizeof(w->name), "%s", name);
	snprintf(w->temp, sizeof(w->temp), "%s.new", name);
	if (w->fresh) {
		w->fd = openat(dirfd, w->temp, O_RDWR | O_CREAT | O_TRUNC |
		    O_CLOEXEC | O_NOFOLLOW, 0600);
		w->end = CACHE_HEADERS_LEN;
	} else {
		w->old = *cache_header(old);
		w->fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		w->end = w->old.end;
	}
	/* What an interrupted run left behind goes away. */
	if (w->fd == -1 || ftruncate(w->fd, (off_t)w->end) == -1) {
		rc = rc_errno(errno);
		cache_writer_free(w);
		return rc;
	}
	*out = w;
	return RC_OK;
}

static void
flush(struct cache_writer *w)
{
	if (w->rc == RC_OK && w->buf.len > 0)
		w->rc = io_pwrite_full(w->fd, w->buf.data, w->buf.len,
		    w->end - w->buf.len);
	wbuf_reset(&w->buf);
}

static int
append(struct cache_writer *w, const void *p, size_t n)
{
	if (n > WRITE_BUF - w->buf.len)
		flush(w);
	if (w->rc == RC_OK && n > WRITE_BUF)
		w->rc = io_pwrite_full(w->fd, p, n, w->end);
	else if (w->rc == RC_OK)
		wbuf_bytes(&w->buf, p, n);
	if (w->rc == RC_OK)
		w->rc = wbuf_rc(&w->buf);
	w->end += n;
	return w->rc;
}

/* Append a block; its pointer carries the CRC. */
static int
block(struct cache_writer *w, const struct wbuf *b, struct cache_at *at)
{
	uint8_t head[4];
	int rc;

	head[0] = (uint8_t)(b->len >> 24);
	head[1] = (uint8_t)(b->len >> 16);
	head[2] = (uint8_t)(b->len >> 8);
	head[3] = (uint8_t)b->len;
	at->off = w->end;
	at->crc = crc32c(0, b->data, b->len);
	if ((rc = append(w, head, sizeof(head))) != RC_OK)
		return rc;
	return append(w, b->data, b->len);
}

static void
header_put(struct wbuf *out, const struct cache_header *h)
{
	wbuf_u64(out, CACHE_MAGIC);
	wbuf_u16(out, CACHE_VERSION);
	wbuf_u64(out, h->generation);
	wbuf_bytes(out, h->key.vault, sizeof(h->key.vault));
	wbuf_bytes(out, h->key.base, sizeof(h->key.base));
	wbuf_bytes(out, h->key.params, sizeof(h->key.params));
	wbuf_bytes(out, h->key.owners, sizeof(h->key.owners));
	wbuf_u64(out, h->root.off);
	wbuf_u32(out, h->root.crc);
	wbuf_u64(out, h->end);
	wbuf_u64(out, h->fresh);
	if (wbuf_rc(out) == RC_OK)
		wbuf_u32(out, crc32c(0, out->data, out->len));
}

/*
 * The header that is not the newest is overwritten.  No sync: a cache lost with
 * the machine's power is a cache to be made again.
 */
int
cache_writer_commit(struct cache_writer *w, struct cache_at root,
    const struct cache_key *k)
{
	struct wbuf out = WBUF_INIT(CACHE_SLOT);
	struct cache_header h = { .root = root, .key = *k };
	int rc;

	flush(w);
	h.generation = w->old.generation + 1;
	h.end = w->end;
	h.fresh = w->fresh ? w->end : w->old.fresh;
	header_put(&out, &h);
	if ((rc = w->rc) != RC_OK || (rc = wbuf_rc(&out)) != RC_OK ||
	    (rc = io_pwrite_full(w->fd, out.data, out.len,
	    (h.generation & 1) * CACHE_SLOT)) != RC_OK)
		goto out;
	if (w->fresh &&
	    renameat(w->dirfd, w->temp, w->dirfd, w->name) == -1) {
		rc = rc_errno(errno);
		goto out;
	}
	w->fresh = false;
	w->old = h;
out:
	wbuf_free(&out);
	return rc;
}

void
cache_writer_free(struct cache_writer *w)
{
	if (w == NULL)
		return;
	if (w->fd != -1 && w->fresh)
		unlinkat(w->dirfd, w->temp, 0);
	else if (w->fd != -1 && w->end != w->old.end)
		(void)!ftruncate(w->fd, (off_t)w->old.end);
	fd_close(&w->fd);
	wbuf_free(&w->buf);
	free(w);
}

int
cache_out_begin(struct cache_out **out, struct cache_writer *w)
{
	struct cache_out *o;

	if ((*out = o = calloc(1, sizeof(*o))) == NULL)
		return RC_NOMEM;
	o->w = w;
	wbuf_init(&o->piece, CACHE_PIECE_MAX);
	return RC_OK;
}

void
cache_out_free(struct cache_out *o)
{
	if (o == NULL)
		return;
	wbuf_free(&o->piece);
	free(o->pieces);
	free(o->nodes);
	free(o);
}

static int
piece_end(struct cache_out *o)
{
	struct cache_at *p;
	size_t size;
	int rc;

	if (o->piece.len == 0)
		return RC_OK;
	if (o->npieces == o->pieces_size) {
		size = o->pieces_size == 0 ? 4 : o->pieces_size * 2;
		if ((p = realloc(o->pieces, size * sizeof(*p))) == NULL)
			return RC_NOMEM;
		o->pieces = p;
		o->pieces_size = size;
	}
	if ((rc = block(o->w, &o->piece, &o->pieces[o->npieces])) != RC_OK)
		return rc;
	o->npieces++;
	wbuf_reset(&o->piece);
	return RC_OK;
}

static void
put_reference(struct wbuf *out, const struct entry *e)
{
	uint8_t i;

	wbuf_u8(out, (uint8_t)e->ref);
	switch (e->ref) {
	case REF_INLINE:
		wbuf_blob16(out, e->inline_data, e->inline_len);
		break;
	case REF_BUNDLE:
		wbuf_bytes(out, e->ref_id.b, OBJECT_ID_LEN);
		wbuf_u32(out, e->offset);
		wbuf_u32(out, e->len);
		wbuf_bytes(out, e->fid, sizeof(e->fid));
		break;
	case REF_EXTENTS:
		wbuf_u8(out, e->next);
		for (i = 0; i < e->next; i++) {
			wbuf_u8(out, e->ext[i].hole);
			wbuf_u64(out, e->ext[i].len);
			if (!e->ext[i].hole)
				wbuf_bytes(out, e->ext[i].id.b, OBJECT_ID_LEN);
		}
		break;
	case REF_MAP:
	case REF_DIR:
		wbuf_bytes(out, e->ref_id.b, OBJECT_ID_LEN);
		wbuf_u16(out, e->ref_height);
		break;
	case REF_NONE:
		break;
	}
}

int
cache_out_add(struct cache_out *o, const struct cache_entry *c)
{
	const struct entry *e = &c->e;
	struct wbuf *out = &o->piece;
	int rc;

	wbuf_u8(out, (uint8_t)e->name_len);
	wbuf_bytes(out, e->name, e->name_len);
	wbuf_u8(out, (uint8_t)((c->racy ? CACHE_F_RACY : 0) |
	    (e->xattrs_len > 0 ? CACHE_F_XATTRS : 0) |
	    (e->rdev != 0 ? CACHE_F_RDEV : 0) |
	    (e->link_id != 0 ? CACHE_F_LINK : 0)));
	wbuf_u64(out, c->ino);
	wbuf_i64(out, c->ctime);
	wbuf_u32(out, c->ctime_ns);
	wbuf_u32(out, e->mode);
	wbuf_u32(out, e->uid);
	wbuf_u32(out, e->gid);
	wbuf_i64(out, e->mtime);
	wbuf_u32(out, e->mtime_ns);
	wbuf_u64(out, e->size);
	put_reference(out, e);
	if (e->xattrs_len > 0) {
		wbuf_u32(out, (uint32_t)e->xattrs_len);
		if (e->xattrs_len > NODE_XATTR_INLINE_MAX)
			wbuf_bytes(out, e->xattrs_edge.b, OBJECT_ID_LEN);
		else
			wbuf_bytes(out, e->xattrs, e->xattrs_len);
	}
	if (e->rdev != 0)
		wbuf_u64(out, e->rdev);
	if (e->link_id != 0)
		wbuf_u64(out, e->link_id);
	if (e->ref == REF_DIR) {
		wbuf_u64(out, c->child.off);
		wbuf_u32(out, c->child.crc);
	}
	if ((rc = wbuf_rc(out)) != RC_OK)
		return rc;
	return out->len > CACHE_PIECE ? piece_end(o) : RC_OK;
}

int
cache_out_node(struct cache_out *o, const struct object_id *id)
{
	struct object_id *p;
	size_t size;

	if (o->nnodes == o->nodes_size) {
		size = o->nodes_size == 0 ? 2 : o->nodes_size * 2;
		if ((p = realloc(o->nodes, size * sizeof(*p))) == NULL)
			return RC_NOMEM;
		o->nodes = p;
		o->nodes_size = size;
	}
	o->nodes[o->nnodes++] = *id;
	return RC_OK;
}

int
cache_out_end(struct cache_out *o, const struct object_id *top,
    uint16_t height, struct cache_at *at)
{
	struct wbuf index = WBUF_INIT(CACHE_INDEX_MAX);
	size_t i;
	int rc;

	if ((rc = piece_end(o)) != RC_OK)
		goto out;
	wbuf_bytes(&index, top->b, sizeof(top->b));
	wbuf_u16(&index, height);
	wbuf_u32(&index, (uint32_t)o->nnodes);
	for (i = 0; i < o->nnodes; i++)
		wbuf_bytes(&index, o->nodes[i].b, OBJECT_ID_LEN);
	wbuf_u32(&index, (uint32_t)o->npieces);
	for (i = 0; i < o->npieces; i++) {
		wbuf_u64(&index, o->pieces[i].off);
		wbuf_u32(&index, o->pieces[i].crc);
	}
	if ((rc = wbuf_rc(&index)) == RC_OK)
		rc = block(o->w, &index, at);
out:
	wbuf_free(&index);
	cache_out_free(o);
	return rc;
}
