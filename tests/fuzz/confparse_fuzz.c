#include "config.h"

#include <string.h>

#include "common/conf.h"
#include "common/rc.h"
#include "server/conftext.h"
#include "tests/fuzz/fuzz.h"

/* libconfig's scanner loses a string when a syntax error follows it; confparse
 * ends after one file, so that nothing comes of it. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig";
}

/*
 * Any text: taken, or refused with a sentence; what is taken survives the
 * channel; and the scan in front never lets an @include through, which
 * libconfig would open.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wbuf out = WBUF_INIT(65536);
	char err[1200] = "";
	struct conf c, back;
	struct rbuf in;
	uint32_t line = 0;
	int rc;

	/* Its time grows with the square of a string's length. */
	if (size > 65536)
		return 0;
	rc = conftext_parse((const char *)data, size, &c, &line, err,
	    sizeof(err));
	if (rc == RC_OK) {
		conf_put(&out, &c);
		MUST(wbuf_rc(&out) == RC_OK);
		rbuf_init(&in, out.data, out.len);
		MUST(conf_get(&in, &back) == RC_OK);
		MUST(rbuf_end(&in) == RC_OK);
	} else {
		MUST(rc == RC_CONFIG || rc == RC_NOMEM);
		MUST(rc != RC_CONFIG || err[0] != '\0');
	}
	wbuf_free(&out);
	return 0;
}
