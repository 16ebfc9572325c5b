#include "config.h"

#include <string.h>

#include "common/conf.h"
#include "common/rc.h"
#include "tests/fuzz/fuzz.h"

/* What the confparse process sends, which its parent does not trust. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wbuf out = WBUF_INIT(1 << 16);
	static struct conf c;
	char text[2048];
	struct rbuf in;

	rbuf_init(&in, data, size);
	if (conf_get(&in, &c) != RC_OK) {
		MUST(rbuf_left(&in) == size);
		return 0;
	}
	conf_put(&out, &c);
	MUST(wbuf_rc(&out) == RC_OK);
	MUST(out.len == size - rbuf_left(&in));
	MUST(memcmp(out.data, data, out.len) == 0);
	conf_finish(&c);
	for (size_t i = 0; i < conf_keys_n; i++) {
		conf_print(&c, &conf_keys[i], text, sizeof(text));
		MUST(strlen(text) < sizeof(text));
	}
	wbuf_free(&out);
	return 0;
}
