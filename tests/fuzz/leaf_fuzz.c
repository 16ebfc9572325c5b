#include "config.h"

#include <string.h>

#include "client/engine/node.h"
#include "client/engine/xattr.h"
#include "common/rc.h"
#include "tests/fuzz/fuzz.h"

/* count of edges u8, then the plain text of a leaf */
static int
each_xattr(void *arg, const char *name, const uint8_t *value, size_t n)
{
	*(size_t *)arg += strlen(name) + n;
	MUST(value != NULL || n == 0);
	return RC_OK;
}

static int
each(void *arg, const struct entry *e)
{
	size_t sum = 0;

	*(size_t *)arg += e->name_len;
	MUST(e->name_len > 0 && e->name_len <= NODE_NAME_MAX);
	MUST(memchr(e->name, '/', e->name_len) == NULL);
	MUST(e->user == NULL || strlen(e->user) <= NODE_NAME_MAX);
	MUST(e->next <= NODE_EXTENTS_MAX);
	if (e->xattrs != NULL)
		(void)xattr_each(e->xattrs, e->xattrs_len, each_xattr, &sum);
	return RC_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct object_id edges[256];
	size_t sum = 0;

	if (size > 0)
		(void)leaf_read(data + 1, size - 1, edges, data[0], each,
		    &sum);
	return 0;
}
