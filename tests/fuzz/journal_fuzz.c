#include "config.h"

#include <string.h>

#include "common/digest.h"
#include "server/store/format.h"
#include "server/store/jrecord.h"
#include "server/store/state.h"
#include "tests/fuzz/store_file.h"

/*
 * A segment of a journal and the state that is made of it.  Bit 0 of the first
 * byte makes the header right, bit 1 the records' tags and checksums.
 */
#define SIZE_MAX_FUZZ	65536
#define TAG		0x01020304u

static void
fix_records(uint8_t *p, size_t size)
{
	size_t off = JOURNAL_HEADER_LEN;

	while (size - off >= JOURNAL_RECORD_LEN) {
		size_t left = size - off - JOURNAL_RECORD_LEN;
		struct jrec r = { 0 };

		(void)jrec_get(p + off, size - off, &r);
		r.tag = TAG;
		r.len = (uint32_t)(r.len % (left + 1));
		if (r.len > JOURNAL_BODY_MAX)
			r.len = JOURNAL_BODY_MAX;
		r.body = p + off + JOURNAL_RECORD_LEN;
		jrec_put(p + off, &r);
		if (jrec_size(r.len) > size - off)
			return;
		off += (size_t)jrec_size(r.len);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jsegment h = { .number = 3, .tag = TAG };
	struct state st;
	struct jscan s;
	struct jrec r;
	uint64_t before;
	uint8_t *p;
	int fd, rc;

	if (size < 1 || size > SIZE_MAX_FUZZ || (p = malloc(size)) == NULL)
		return 0;
	size--;
	memcpy(p, data + 1, size);
	if ((data[0] & 1) != 0 && size >= JOURNAL_HEADER_LEN)
		jsegment_put(p, &h);
	if ((data[0] & 2) != 0 && size > JOURNAL_HEADER_LEN)
		fix_records(p, size);
	memset(&st, 0, sizeof(st));
	if ((fd = file_of(p, size)) >= 0) {
		rc = jscan_init(&s, fd, 3);
		while (rc == RC_OK || rc == RC_CORRUPT) {
			before = s.off;
			if ((rc = jscan_next(&s, &r)) == RC_OK) {
				MUST(r.off + jrec_size(r.len) == s.off);
				(void)state_apply(&st, &r);
			}
			MUST(rc == RC_EOF || s.off > before);
			MUST(s.off <= s.size);
		}
		MUST(rc == RC_EOF || rc == RC_TRUNCATED);
		jscan_free(&s);
	}
	state_free(&st);
	fd_close(&fd);
	free(p);
	return 0;
}
