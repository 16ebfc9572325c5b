#include "config.h"

#include "server/store/jrecord.h"

#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/rbuf.h"
#include "common/rc.h"
#include "common/wbuf.h"
#include "server/store/dir.h"
#include "server/store/format.h"

#define SCAN_BUF	(JOURNAL_RECORD_LEN + JOURNAL_BODY_MAX + 8)

static void
put(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

void
jrec_put(uint8_t *out, struct jrec *r)
{
	put(out, r->tag, 4);
	put(out + 4, r->len, 4);
	put(out + 8, 0, 4);
	put(out + 12, r->kind, 2);
	put(out + 14, r->flags, 2);
	put(out + 16, r->seq, 8);
	put(out + 24, r->synced, 8);
	memcpy(out + 32, r->prev, 32);
	if (r->len > 0)
		memmove(out + JOURNAL_RECORD_LEN, r->body, r->len);
	r->crc = crc32c(0, out, JOURNAL_RECORD_LEN + r->len);
	put(out + 8, r->crc, 4);
}

int
jrec_get(const uint8_t *p, size_t n, struct jrec *r)
{
	static const uint8_t zeros[4];
	struct rbuf in;
	uint32_t crc;

	rbuf_init(&in, p, n);
	if (rbuf_u32(&in, &r->tag) != RC_OK ||
	    rbuf_u32(&in, &r->len) != RC_OK ||
	    rbuf_u32(&in, &r->crc) != RC_OK ||
	    rbuf_u16(&in, &r->kind) != RC_OK ||
	    rbuf_u16(&in, &r->flags) != RC_OK ||
	    rbuf_u64(&in, &r->seq) != RC_OK ||
	    rbuf_u64(&in, &r->synced) != RC_OK ||
	    rbuf_bytes(&in, r->prev, 32) != RC_OK ||
	    r->len > JOURNAL_BODY_MAX ||
	    rbuf_view(&in, &r->body, r->len) != RC_OK)
		return RC_CORRUPT;
	crc = crc32c(0, p, 8);
	crc = crc32c(crc, zeros, 4);
	crc = crc32c(crc, p + 12, JOURNAL_RECORD_LEN - 12 + (size_t)r->len);
	r->raw = p;
	return crc == r->crc ? RC_OK : RC_CORRUPT;
}

void
jsegment_put(uint8_t p[64], const struct jsegment *s)
{
	memset(p, 0, JOURNAL_HEADER_LEN);
	put(p, JOURNAL_MAGIC, 8);
	put(p + 8, VAULT_VERSION, 2);
	put(p + 12, s->tag, 4);
	put(p + 16, s->number, 8);
	memcpy(p + 24, s->vault, 16);
	put(p + 60, crc32c(0, p, 60), 4);
}

int
jsegment_get(const uint8_t p[64], struct jsegment *s)
{
	struct rbuf in;
	uint64_t magic;
	uint32_t crc;
	uint16_t version;

	rbuf_init(&in, p, JOURNAL_HEADER_LEN);
	if (rbuf_u64(&in, &magic) != RC_OK ||
	    rbuf_u16(&in, &version) != RC_OK || rbuf_skip(&in, 2) != RC_OK ||
	    rbuf_u32(&in, &s->tag) != RC_OK ||
	    rbuf_u64(&in, &s->number) != RC_OK ||
	    rbuf_bytes(&in, s->vault, 16) != RC_OK ||
	    rbuf_skip(&in, 20) != RC_OK || rbuf_u32(&in, &crc) != RC_OK ||
	    crc != crc32c(0, p, 60) || magic != JOURNAL_MAGIC)
		return RC_CORRUPT;
	return version == VAULT_VERSION ? RC_OK : RC_VERSION;
}

int
jscan_init(struct jscan *s, int fd, uint64_t segment)
{
	uint8_t p[JOURNAL_HEADER_LEN + 4];
	struct jsegment h;
	struct rbuf in;
	size_t n;
	int rc;

	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->segment = segment;
	s->off = JOURNAL_HEADER_LEN;
	if ((rc = dir_file_size(fd, &s->size)) != RC_OK)
		return rc;
	if (s->size < JOURNAL_HEADER_LEN)
		return RC_TRUNCATED;
	n = s->size < sizeof(p) ? JOURNAL_HEADER_LEN : sizeof(p);
	if ((rc = io_pread_full(fd, p, n, 0)) != RC_OK)
		return rc;
	if ((s->buf = malloc(SCAN_BUF)) == NULL)
		return RC_NOMEM;
	s->header_ok = jsegment_get(p, &h) == RC_OK && h.number == segment;
	if (s->header_ok) {
		s->tag = h.tag;
	} else if (n == sizeof(p)) {
		/* The first record repeats what the header said. */
		rbuf_init(&in, p + JOURNAL_HEADER_LEN, 4);
		(void)rbuf_u32(&in, &s->tag);
	}
	return RC_OK;
}

void
jscan_free(struct jscan *s)
{
	free(s->buf);
	s->buf = NULL;
}

/* RC_OK: a whole record at off, in buf; RC_CORRUPT: none. */
static int
record_at(struct jscan *s, uint64_t off, struct jrec *r)
{
	uint64_t left = s->size - off;
	size_t n = left < SCAN_BUF ? (size_t)left : SCAN_BUF;
	size_t head = n < JOURNAL_RECORD_LEN ? n : JOURNAL_RECORD_LEN;
	struct rbuf in;
	uint32_t tag, len;
	int rc;

	if ((rc = io_pread_full(s->fd, s->buf, head, off)) != RC_OK)
		return rc;
	rbuf_init(&in, s->buf, head);
	if (head < JOURNAL_RECORD_LEN || rbuf_u32(&in, &tag) != RC_OK ||
	    rbuf_u32(&in, &len) != RC_OK || tag != s->tag ||
	    len > JOURNAL_BODY_MAX || jrec_size(len) > left)
		return RC_CORRUPT;
	n = (size_t)jrec_size(len);
	if ((rc = io_pread_full(s->fd, s->buf, n, off)) != RC_OK)
		return rc;
	memset(r, 0, sizeof(*r));
	if ((rc = jrec_get(s->buf, JOURNAL_RECORD_LEN + (size_t)len, r)) !=
	    RC_OK)
		return rc;
	r->segment = s->segment;
	r->off = off;
	r->pad_ok = true;
	for (size_t i = JOURNAL_RECORD_LEN + (size_t)len; i < n; i++)
		r->pad_ok = r->pad_ok && s->buf[i] == 0;
	return RC_OK;
}

int
jscan_next(struct jscan *s, struct jrec *r)
{
	uint64_t hole = s->off;
	int rc;

	if (s->off >= s->size)
		return RC_EOF;
	rc = record_at(s, s->off, r);
	if (rc == RC_OK) {
		s->off += jrec_size(r->len);
		r->chain_ok = !s->chained ||
		    memcmp(r->prev, s->hash, sizeof(s->hash)) == 0;
		s->chained = true;
		return sha256(r->raw, JOURNAL_RECORD_LEN + (size_t)r->len,
		    s->hash);
	}
	for (uint64_t at = hole + 8; rc == RC_CORRUPT && at < s->size;
	    at += 8) {
		if ((rc = record_at(s, at, r)) == RC_OK) {
			s->off = at;
			r->off = hole;
			s->chained = false;
			return RC_CORRUPT;
		}
	}
	if (rc != RC_CORRUPT)
		return rc;
	r->off = hole;
	s->off = s->size;
	s->chained = false;
	return RC_CORRUPT;
}
