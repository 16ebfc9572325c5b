#include "config.h"

#include <string.h>

#include "common/digest.h"
#include "server/store/format.h"
#include "server/store/ixfile.h"
#include "tests/fuzz/store_file.h"

/*
 * A file of the index.  The first byte says how many ids are looked for; each
 * page's checksum is made right when it is odd.
 */
#define PAGES_MAX 16

static void
put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * (3 - i));
}

static void
fix(uint8_t *p, size_t size)
{
	for (size_t n = 0; (n + 1) * INDEX_PAGE <= size; n++) {
		uint8_t *page = p + n * INDEX_PAGE;

		if (n == 0) {
			put32(page, INDEX_MAGIC >> 32);
			put32(page + 4, (uint32_t)INDEX_MAGIC);
			page[8] = 0;
			page[9] = VAULT_VERSION;
			put32(page + 16, 0);
			put32(page + 20, 5);
			put32(page + INDEX_PAGE - 4,
			    crc32c(0, page, INDEX_PAGE - 4));
		} else {
			put32(page + 4, (uint32_t)n);
			put32(page, crc32c(0, page + 4, INDEX_PAGE - 4));
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct object_id id;
	struct ixcursor *c;
	struct ixfile f;
	struct ixent e;
	uint64_t n = 0;
	uint8_t *p;
	int fd;

	/* The input is spread thin: a page is much, and most of it zeros. */
	if (size < 1 || size > 4096 ||
	    (p = calloc(PAGES_MAX, INDEX_PAGE)) == NULL)
		return 0;
	for (size_t i = 1; i < size; i++)
		p[(i - 1) / 256 * INDEX_PAGE + (i - 1) % 256] = data[i];
	if (data[0] & 1)
		fix(p, PAGES_MAX * INDEX_PAGE);
	c = malloc(sizeof(*c));
	fd = file_of(p, PAGES_MAX * INDEX_PAGE);
	if (c == NULL)
		fd_close(&fd);
	/* It takes the descriptor, also when it fails. */
	if (fd >= 0 && ixfile_open(&f, fd, 5) == RC_OK) {
		for (int i = 0; i < (data[0] >> 1); i++) {
			unsigned seen = 0;

			memset(&id, i * 2, sizeof(id));
			if (ixfile_find(&f, &id, 0, &seen, &e) == RC_OK)
				MUST(memcmp(&e.id, &id, sizeof(id)) == 0);
		}
		ixcursor_init(c, &f);
		while (ixcursor_next(c, &e) == RC_OK)
			MUST(++n <= f.count);
		ixfile_close(&f);
	}
	free(c);
	free(p);
	return 0;
}
