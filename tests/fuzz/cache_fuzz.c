#include "config.h"

#include <string.h>

#include "client/engine/cache.h"
#include "common/rbuf.h"
#include "common/rc.h"
#include "tests/fuzz/fuzz.h"

/* entries of a piece of the stat cache, one after the other */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cache_entry c;
	struct rbuf in;

	rbuf_init(&in, data, size);
	while (rbuf_left(&in) > 0 && cache_entry_get(&in, &c) == RC_OK) {
		MUST(c.e.name_len > 0 && c.e.name_len <= NODE_NAME_MAX);
		MUST(c.e.next <= NODE_EXTENTS_MAX);
		MUST(c.e.xattrs == NULL ||
		    c.e.xattrs_len <= NODE_XATTR_INLINE_MAX);
	}
	return 0;
}
