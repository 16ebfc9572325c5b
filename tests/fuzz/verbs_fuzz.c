#include "config.h"

#include <string.h>

#include "client/engine/verbs.h"
#include "common/rc.h"
#include "tests/fuzz/fuzz.h"

/* What is taken as an order is written again byte for byte. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wbuf out = WBUF_INIT(VERBS_DO_MAX);
	struct verb_args a;
	struct rbuf in;

	if (size > VERBS_DO_MAX)
		return 0;
	rbuf_init(&in, data, size);
	if (verbs_get(&in, &a) != RC_OK) {
		MUST(a.paths == NULL && a.exclude == NULL && a.path == NULL);
		return 0;
	}
	verbs_put(&out, &a);
	MUST(wbuf_rc(&out) == RC_OK);
	MUST(out.len == size && memcmp(out.data, data, size) == 0);
	verbs_clear(&a);
	wbuf_free(&out);
	return 0;
}
