#include "config.h"

#include "server/store/packscan.h"

#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/rbuf.h"
#include "common/rc.h"
#include "common/wbuf.h"
#include "server/store/dir.h"
#include "server/store/format.h"

#define HEAD_LEN	(OBJECT_PREFIX_LEN + OBJECT_HEADER_LEN)
#define RESYNC_CHUNK	65536

void
pack_trailer_put(uint8_t p[64], const struct pack_trailer *t)
{
	struct wbuf out = WBUF_INIT(PACK_TRAILER_LEN);

	wbuf_u64(&out, t->foot_off);
	wbuf_u32(&out, t->count);
	wbuf_u32(&out, t->tlv_len);
	wbuf_u32(&out, t->foot_crc);
	wbuf_bytes(&out, t->sha, 32);
	wbuf_u32(&out, wbuf_rc(&out) == RC_OK ? crc32c(0, out.data, out.len) :
	    0);
	wbuf_u64(&out, PACK_END_MAGIC);
	if (wbuf_rc(&out) == RC_OK)
		memcpy(p, out.data, PACK_TRAILER_LEN);
	else
		memset(p, 0, PACK_TRAILER_LEN);
	wbuf_free(&out);
}

int
pack_trailer_get(const uint8_t p[64], struct pack_trailer *t)
{
	struct rbuf in;
	uint64_t magic;
	uint32_t crc;

	rbuf_init(&in, p, PACK_TRAILER_LEN);
	if (rbuf_u64(&in, &t->foot_off) != RC_OK ||
	    rbuf_u32(&in, &t->count) != RC_OK ||
	    rbuf_u32(&in, &t->tlv_len) != RC_OK ||
	    rbuf_u32(&in, &t->foot_crc) != RC_OK ||
	    rbuf_bytes(&in, t->sha, 32) != RC_OK ||
	    rbuf_u32(&in, &crc) != RC_OK || rbuf_u64(&in, &magic) != RC_OK ||
	    magic != PACK_END_MAGIC || crc != crc32c(0, p, 52))
		return RC_CORRUPT;
	return RC_OK;
}

void
pack_header_put(uint8_t p[64], const struct pack_header *h)
{
	struct wbuf out = WBUF_INIT(PACK_HEADER_LEN);

	wbuf_u64(&out, PACK_MAGIC);
	wbuf_u16(&out, VAULT_VERSION);
	wbuf_u8(&out, h->kind == PACK_NODE ? 'n' : 'd');
	wbuf_zeros(&out, 1);
	wbuf_u32(&out, h->tag);
	wbuf_u64(&out, h->number);
	wbuf_bytes(&out, h->vault, 16);
	wbuf_zeros(&out, 20);
	wbuf_u32(&out, wbuf_rc(&out) == RC_OK ? crc32c(0, out.data, out.len) :
	    0);
	if (wbuf_rc(&out) == RC_OK)
		memcpy(p, out.data, PACK_HEADER_LEN);
	else
		memset(p, 0, PACK_HEADER_LEN);
	wbuf_free(&out);
}

int
pack_header_get(const uint8_t p[64], struct pack_header *h)
{
	struct rbuf in;
	uint64_t magic;
	uint32_t crc;
	uint16_t version;
	uint8_t kind;

	rbuf_init(&in, p, PACK_HEADER_LEN);
	if (rbuf_u64(&in, &magic) != RC_OK ||
	    rbuf_u16(&in, &version) != RC_OK || rbuf_u8(&in, &kind) != RC_OK ||
	    rbuf_skip(&in, 1) != RC_OK || rbuf_u32(&in, &h->tag) != RC_OK ||
	    rbuf_u64(&in, &h->number) != RC_OK ||
	    rbuf_bytes(&in, h->vault, 16) != RC_OK ||
	    rbuf_skip(&in, 20) != RC_OK || rbuf_u32(&in, &crc) != RC_OK ||
	    crc != crc32c(0, p, 60) || magic != PACK_MAGIC)
		return RC_CORRUPT;
	if (version != VAULT_VERSION)
		return RC_VERSION;
	h->kind = kind == 'n' ? PACK_NODE : PACK_DATA;
	return RC_OK;
}

/* Without a believable header the first record tells the tag. */
static int
scan_tag(struct pack_scan *s, const uint8_t head[PACK_HEADER_LEN])
{
	struct pack_header h;
	uint8_t p[HEAD_LEN];
	struct prefix px;
	int rc;

	s->header_ok = pack_header_get(head, &h) == RC_OK &&
	    h.kind == s->kind && h.number == s->number;
	if (s->header_ok) {
		s->tag = h.tag;
		return RC_OK;
	}
	if (s->size < PACK_HEADER_LEN + sizeof(p))
		return RC_OK;
	if ((rc = io_pread_full(s->fd, p, sizeof(p), PACK_HEADER_LEN)) !=
	    RC_OK)
		return rc;
	prefix_get(p, &px);
	s->tag = px.tag;
	return RC_OK;
}

static int
scan_trailer(struct pack_scan *s)
{
	uint8_t p[PACK_TRAILER_LEN];
	uint64_t foot;
	int rc;

	if (s->size < PACK_HEADER_LEN + PACK_FOOT_HEAD_LEN + PACK_TRAILER_LEN)
		return RC_OK;
	if ((rc = io_pread_full(s->fd, p, sizeof(p),
	    s->size - PACK_TRAILER_LEN)) != RC_OK)
		return rc;
	if (pack_trailer_get(p, &s->trailer) != RC_OK)
		return RC_OK;
	foot = PACK_FOOT_HEAD_LEN +
	    (uint64_t)s->trailer.count * PACK_FOOT_ENTRY_LEN +
	    s->trailer.tlv_len + PACK_TRAILER_LEN;
	if (s->trailer.foot_off < PACK_HEADER_LEN || foot > s->size ||
	    s->trailer.foot_off != s->size - foot)
		return RC_OK;
	s->sealed = true;
	s->end = s->trailer.foot_off;
	return RC_OK;
}

int
pack_scan_init(struct pack_scan *s, int fd, enum pack_kind kind,
    uint64_t number, bool full)
{
	uint8_t head[PACK_HEADER_LEN];
	int rc;

	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->kind = kind;
	s->number = number;
	s->full = full;
	s->off = PACK_HEADER_LEN;
	if ((rc = dir_file_size(fd, &s->size)) != RC_OK)
		return rc;
	if (s->size < PACK_HEADER_LEN)
		return RC_TRUNCATED;
	s->end = s->size;
	if ((rc = io_pread_full(fd, head, sizeof(head), 0)) != RC_OK ||
	    (rc = scan_tag(s, head)) != RC_OK)
		return rc;
	return scan_trailer(s);
}

void
pack_scan_free(struct pack_scan *s)
{
	free(s->buf);
	s->buf = NULL;
	s->room = 0;
}

static int
scan_load(struct pack_scan *s, uint64_t off, size_t n)
{
	uint8_t *p;

	if (n > s->room) {
		size_t room = n < 65536 ? 65536 : n;

		if ((p = realloc(s->buf, room)) == NULL)
			return RC_NOMEM;
		s->buf = p;
		s->room = room;
	}
	return io_pread_full(s->fd, s->buf, n, off);
}

/*
 * What stands at off.  RC_OK: a record; RC_CORRUPT: none.  Lengths are
 * believed only when the prefix's crc or the object's own holds.
 */
static int
record_at(struct pack_scan *s, uint64_t off, struct pack_rec *r)
{
	uint64_t left = s->end - off;
	uint8_t p[HEAD_LEN];
	struct rbuf in;
	size_t wire, n = left < HEAD_LEN ? (size_t)left : HEAD_LEN;
	int rc;

	if (left < OBJECT_PREFIX_LEN)
		return RC_CORRUPT;
	memset(p, 0, sizeof(p));
	if ((rc = io_pread_full(s->fd, p, n, off)) != RC_OK)
		return rc;
	memset(r, 0, sizeof(*r));
	r->off = off;
	r->crc_ok = r->pad_ok = true;
	prefix_get(p, &r->px);
	if (r->px.tag == s->tag && record_size(r->px.len) <= left) {
		if (r->px.flags & PACK_F_GAP)
			r->prefix_ok = prefix_crc_ok(p, &r->px, NULL);
		else if (r->px.flags & PACK_F_COPY) {
			if (r->px.len > JOURNAL_RECORD_LEN + JOURNAL_BODY_MAX)
				goto object;
			if ((rc = scan_load(s, off, OBJECT_PREFIX_LEN +
			    r->px.len)) != RC_OK)
				return rc;
			r->prefix_ok = prefix_crc_ok(p, &r->px,
			    s->buf + OBJECT_PREFIX_LEN);
		} else if (r->px.len >= OBJECT_WIRE_MIN &&
		    r->px.len <= OBJECT_WIRE_MAX) {
			r->prefix_ok = prefix_crc_ok(p, &r->px,
			    p + OBJECT_PREFIX_LEN);
		}
	}
	if (r->prefix_ok && (r->px.flags & (PACK_F_GAP | PACK_F_COPY)))
		return RC_OK;
object:
	rbuf_init(&in, p + OBJECT_PREFIX_LEN, OBJECT_HEADER_LEN);
	if (n < HEAD_LEN || object_get_header(&in, &r->h) != RC_OK ||
	    !object_wire_len(&r->h, &wire) ||
	    record_size((uint32_t)wire) > left)
		return RC_CORRUPT;
	if (r->prefix_ok)
		return wire == r->px.len ? RC_OK : RC_CORRUPT;
	/* The prefix is bad; is the client's part whole nevertheless? */
	if ((rc = scan_load(s, off, (size_t)record_size((uint32_t)wire))) !=
	    RC_OK)
		return rc;
	if (object_check_crc(s->buf + OBJECT_PREFIX_LEN, wire) != RC_OK)
		return RC_CORRUPT;
	r->px.len = (uint32_t)wire;
	r->px.flags = 0;
	return RC_OK;
}

/* The next place behind a hole where a record with a good prefix stands. */
static int
resync(struct pack_scan *s, uint64_t from, uint64_t *found)
{
	uint8_t want[4] = { (uint8_t)(s->tag >> 24), (uint8_t)(s->tag >> 16),
	    (uint8_t)(s->tag >> 8), (uint8_t)s->tag };
	uint8_t *p = malloc(RESYNC_CHUNK);
	struct pack_rec r;
	int rc = RC_EOF;

	if (p == NULL)
		return RC_NOMEM;
	for (uint64_t at = from; rc == RC_EOF && at < s->end;
	    at += RESYNC_CHUNK) {
		size_t n = s->end - at < RESYNC_CHUNK ?
		    (size_t)(s->end - at) : RESYNC_CHUNK;

		if ((rc = io_pread_full(s->fd, p, n, at)) != RC_OK)
			break;
		rc = RC_EOF;
		for (size_t i = 0; i + 8 <= n && rc == RC_EOF; i += 8) {
			int one;

			if (memcmp(p + i, want, 4) != 0)
				continue;
			one = record_at(s, at + i, &r);
			if (one == RC_OK && r.prefix_ok) {
				*found = at + i;
				rc = RC_OK;
			} else if (one != RC_OK && one != RC_CORRUPT) {
				rc = one;
			}
		}
	}
	free(p);
	return rc;
}

int
pack_scan_check(struct pack_scan *s, struct pack_rec *r)
{
	size_t n = (size_t)record_size(r->px.len);
	int rc;

	if ((rc = scan_load(s, r->off, n)) != RC_OK)
		return rc;
	for (size_t i = OBJECT_PREFIX_LEN + r->px.len; i < n; i++)
		r->pad_ok = r->pad_ok && s->buf[i] == 0;
	if ((r->px.flags & (PACK_F_COPY | PACK_F_GAP)) == 0)
		r->crc_ok = object_check_crc(s->buf + OBJECT_PREFIX_LEN,
		    r->px.len) == RC_OK;
	return RC_OK;
}

int
pack_scan_next(struct pack_scan *s, struct pack_rec *r)
{
	uint8_t p[8];
	uint64_t next = s->end;
	int rc;

	if (s->off >= s->end)
		return RC_EOF;
	if (!s->sealed && s->end - s->off >= PACK_FOOT_HEAD_LEN) {
		struct rbuf in;
		uint64_t magic = 0;

		if ((rc = io_pread_full(s->fd, p, sizeof(p), s->off)) != RC_OK)
			return rc;
		rbuf_init(&in, p, sizeof(p));
		(void)rbuf_u64(&in, &magic);
		if (magic == PACK_FOOT_MAGIC) {
			s->foot = true;
			s->end = s->off;
			return RC_EOF;
		}
	}
	rc = record_at(s, s->off, r);
	if (rc == RC_OK) {
		s->off += record_size(r->px.len);
		return s->full ? pack_scan_check(s, r) : RC_OK;
	}
	if (rc != RC_CORRUPT)
		return rc;
	r->off = s->off;
	rc = resync(s, s->off + 8, &next);
	if (rc == RC_EOF)
		next = s->end;
	else if (rc != RC_OK)
		return rc;
	s->off = next;
	return RC_CORRUPT;
}
