#include "config.h"

#include "client/engine/node.h"
#include "common/rc.h"
#include "tests/fuzz/fuzz.h"

/* count of edges u8, then the plain text of an interior */
static int
each(void *arg, const uint8_t *first, size_t first_len,
    const struct object_id *child, uint64_t entries)
{
	*(uint64_t *)arg += entries + first[first_len - 1];
	MUST(first_len > 0 && child != NULL);
	return RC_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct object_id edges[256];
	uint64_t sum = 0;

	if (size > 0)
		(void)interior_read(data + 1, size - 1, edges, data[0], each,
		    &sum);
	return 0;
}
