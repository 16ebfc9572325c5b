#include "config.h"

#include "server/store/packseal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/rc.h"
#include "common/wbuf.h"
#include "server/store/format.h"

#define FOOT_MAX	((PACK_TARGET / 64) * PACK_FOOT_ENTRY_LEN)

/* Header, edges and tag: what a keyless reader relies on. */
static int
hash_record(struct mac *m, int fd, const struct pack_rec *r, uint8_t *buf)
{
	uint64_t at = r->off + OBJECT_PREFIX_LEN;
	size_t n = OBJECT_HEADER_LEN + (size_t)r->h.edges * OBJECT_ID_LEN;
	int rc;

	if ((rc = io_pread_full(fd, buf, n, at)) != RC_OK ||
	    (rc = mac_add(m, buf, n)) != RC_OK ||
	    (rc = io_pread_full(fd, buf, OBJECT_TAG_LEN,
	    at + r->px.len - OBJECT_TAG_LEN)) != RC_OK)
		return rc;
	return mac_add(m, buf, OBJECT_TAG_LEN);
}

static void
foot_entry(struct wbuf *out, const struct pack_rec *r)
{
	bool copy = (r->px.flags & PACK_F_COPY) != 0;

	if (copy)
		wbuf_zeros(out, OBJECT_ID_LEN);
	else
		wbuf_bytes(out, r->h.id.b, OBJECT_ID_LEN);
	wbuf_u8(out, copy ? 0 : r->h.type);
	wbuf_u8(out, (uint8_t)r->px.flags);
	wbuf_u16(out, copy ? 0 : r->h.height);
	wbuf_u32(out, (uint32_t)(r->off / 8));
	wbuf_u32(out, r->px.len);
	wbuf_u32(out, copy ? r->px.crc : r->h.crc);
}

/* Footer bytes and trailer of the records that are there. */
static int
foot_make(int fd, enum pack_kind kind, uint64_t number, struct wbuf *out,
    struct pack_trailer *t, uint64_t *end)
{
	struct mac *m = mac_new_sha256();
	uint8_t *buf = malloc(OBJECT_HEADER_LEN +
	    OBJECT_EDGES_MAX * OBJECT_ID_LEN);
	struct pack_scan s = { 0 };
	struct pack_rec r;
	int rc = RC_NOMEM;

	memset(t, 0, sizeof(*t));
	if (m == NULL || buf == NULL)
		goto out;
	wbuf_u64(out, PACK_FOOT_MAGIC);
	if ((rc = pack_scan_init(&s, fd, kind, number, false)) != RC_OK ||
	    (rc = mac_begin(m)) != RC_OK)
		goto out;
	while ((rc = pack_scan_next(&s, &r)) == RC_OK) {
		if (r.px.flags & PACK_F_GAP)
			continue;
		foot_entry(out, &r);
		t->count++;
		if ((r.px.flags & PACK_F_COPY) == 0 &&
		    (rc = hash_record(m, fd, &r, buf)) != RC_OK)
			goto out;
	}
	if (rc != RC_EOF || (rc = mac_end(m, t->sha)) != RC_OK ||
	    (rc = wbuf_rc(out)) != RC_OK)
		goto out;
	*end = s.off;
	t->foot_off = s.off;
	t->foot_crc = crc32c(0, out->data, out->len);
out:
	pack_scan_free(&s);
	mac_free(m);
	free(buf);
	return rc;
}

int
pack_seal(int fd, enum pack_kind kind, uint64_t number,
    struct pack_trailer *t, uint64_t *size)
{
	struct wbuf out = WBUF_INIT(FOOT_MAX);
	uint8_t p[PACK_TRAILER_LEN];
	uint64_t end = 0;
	int rc;

	if ((rc = foot_make(fd, kind, number, &out, t, &end)) != RC_OK)
		goto out;
	pack_trailer_put(p, t);
	wbuf_bytes(&out, p, sizeof(p));
	if ((rc = wbuf_rc(&out)) != RC_OK ||
	    (rc = io_pwrite_full(fd, out.data, out.len, end)) != RC_OK)
		goto out;
	*size = end + out.len;
	if (fdatasync(fd) != 0)
		rc = rc_errno(errno);
out:
	wbuf_free(&out);
	return rc;
}

int
pack_seal_check(int fd, enum pack_kind kind, uint64_t number,
    const struct pack_trailer *t)
{
	struct wbuf out = WBUF_INIT(FOOT_MAX);
	struct pack_trailer mine;
	uint8_t *foot = NULL;
	uint64_t end = 0;
	int rc;

	if ((rc = foot_make(fd, kind, number, &out, &mine, &end)) != RC_OK)
		goto out;
	rc = RC_CRC;
	if (mine.count != t->count || end != t->foot_off ||
	    mine.foot_crc != t->foot_crc ||
	    memcmp(mine.sha, t->sha, sizeof(mine.sha)) != 0)
		goto out;
	if ((foot = malloc(out.len)) == NULL) {
		rc = RC_NOMEM;
		goto out;
	}
	if ((rc = io_pread_full(fd, foot, out.len, end)) == RC_OK &&
	    memcmp(foot, out.data, out.len) != 0)
		rc = RC_CRC;
out:
	free(foot);
	wbuf_free(&out);
	return rc;
}
