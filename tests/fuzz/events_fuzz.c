#include "config.h"

#include <stdio.h>

#include "client/cli/show.h"
#include "tests/fuzz/fuzz.h"

/*
 * The engine reads what servers send, so the command does not believe its
 * events either.  First byte: JSON or words, then one event.  What is shown
 * goes to /dev/null.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int quiet;
	struct show *s;
	struct rbuf in;

	if (!quiet)
		quiet = freopen("/dev/null", "w", stdout) != NULL &&
		    freopen("/dev/null", "w", stderr) != NULL;
	if (size < 1 || (s = show_new(data[0] & 1, VERB_BACKUP)) == NULL)
		return 0;
	rbuf_init(&in, data + 1, size - 1);
	(void)show_event(s, &in);
	show_done(s, 3, "\xff\x1b");
	show_free(s);
	return 0;
}
