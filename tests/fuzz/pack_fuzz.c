#include "config.h"

#include <string.h>

#include "common/digest.h"
#include "server/store/format.h"
#include "server/store/packscan.h"
#include "server/store/packseal.h"
#include "tests/fuzz/store_file.h"

/*
 * A pack.  The checksums that stand in the way are made right where the input
 * says so: the first byte is a mask, the rest the file.
 */
#define FIX_HEADER	0x01
#define FIX_PREFIXES	0x02
#define FIX_OBJECTS	0x04
#define FIX_TRAILER	0x08
#define SIZE_MAX_FUZZ	65536

static void
fix_records(uint8_t *p, size_t size, uint8_t mask)
{
	size_t off = PACK_HEADER_LEN;

	while (size - off > OBJECT_PREFIX_LEN) {
		struct prefix px;
		size_t left = size - off - OBJECT_PREFIX_LEN;
		uint8_t *content = p + off + OBJECT_PREFIX_LEN;

		prefix_get(p + off, &px);
		if (px.len > left)
			px.len = (uint32_t)(px.len % (left + 1));
		if (prefix_covers(&px) > left)
			return;
		px.tag = 0x01020304;
		if ((mask & FIX_OBJECTS) != 0 &&
		    px.len >= OBJECT_HEADER_LEN)
			object_set_crc(content, px.len);
		prefix_put(p + off, &px, content);
		if (record_size(px.len) > size - off)
			return;
		off += (size_t)record_size(px.len);
	}
}

static void
fix(uint8_t *p, size_t size, uint8_t mask)
{
	struct pack_header h = { .kind = PACK_NODE, .number = 7,
	    .tag = 0x01020304 };

	if ((mask & FIX_HEADER) != 0 && size >= PACK_HEADER_LEN)
		pack_header_put(p, &h);
	if ((mask & FIX_PREFIXES) != 0 && size > PACK_HEADER_LEN)
		fix_records(p, size, mask);
	if ((mask & FIX_TRAILER) != 0 && size >= PACK_TRAILER_LEN) {
		uint8_t *t = p + size - PACK_TRAILER_LEN;
		uint32_t crc;

		for (int i = 0; i < 8; i++)
			t[56 + i] = (uint8_t)(PACK_END_MAGIC >> 8 * (7 - i));
		crc = crc32c(0, t, 52);
		for (int i = 0; i < 4; i++)
			t[52 + i] = (uint8_t)(crc >> 8 * (3 - i));
	}
}

static void
scan(int fd, bool full)
{
	struct pack_scan s;
	struct pack_rec r;
	uint64_t before;
	int rc;

	if (pack_scan_init(&s, fd, PACK_NODE, 7, full) == RC_OK) {
		do {
			before = s.off;
			rc = pack_scan_next(&s, &r);
			MUST(rc == RC_EOF || s.off > before);
			MUST(s.off <= s.size);
			MUST(rc != RC_OK || r.off + record_size(r.px.len) ==
			    s.off);
		} while (rc == RC_OK || rc == RC_CORRUPT);
		MUST(rc == RC_EOF);
		if (s.sealed)
			(void)pack_seal_check(fd, PACK_NODE, 7, &s.trailer);
	}
	pack_scan_free(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pack_trailer t;
	uint8_t *p;
	uint64_t whole;
	int fd;

	if (size < 1 || size > SIZE_MAX_FUZZ || (p = malloc(size)) == NULL)
		return 0;
	memcpy(p, data + 1, size - 1);
	fix(p, size - 1, data[0]);
	if ((fd = file_of(p, size - 1)) >= 0) {
		scan(fd, false);
		scan(fd, true);
		/* What can be sealed is whole then. */
		if (pack_seal(fd, PACK_NODE, 7, &t, &whole) == RC_OK &&
		    ftruncate(fd, (off_t)whole) == 0)
			MUST(pack_seal_check(fd, PACK_NODE, 7, &t) == RC_OK);
	}
	fd_close(&fd);
	free(p);
	return 0;
}
