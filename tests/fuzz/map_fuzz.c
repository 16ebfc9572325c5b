#include "config.h"

#include "client/engine/node.h"
#include "common/rc.h"
#include "tests/fuzz/fuzz.h"

/* count of edges u8, then the plain text of a map or of a report */
static int
on_extent(void *arg, const struct extent *e)
{
	*(uint64_t *)arg += e->len;
	MUST(e->len > 0);
	return RC_OK;
}

static int
on_child(void *arg, const struct object_id *id, uint64_t bytes)
{
	*(uint64_t *)arg += bytes;
	MUST(id != NULL);
	return RC_OK;
}

static int
on_reason(void *arg, const uint8_t *path, size_t path_len,
    const char *reason)
{
	*(uint64_t *)arg += path_len;
	MUST(path != NULL && reason != NULL);
	return RC_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct object_id edges[256];
	uint64_t sum = 0, total;

	if (size == 0)
		return 0;
	(void)map_read(data + 1, size - 1, edges, data[0], on_extent, on_child,
	    &sum);
	(void)report_read(data + 1, size - 1, &total, on_reason, &sum);
	return 0;
}
