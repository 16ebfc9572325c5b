#include "config.h"

#include <stddef.h>
#include <stdint.h>

#include "common/rc.h"
#include "server/discovery/peerhttp.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peerhttp_answer a, b;
	int rc = peerhttp_parse((const char *)data, size, &a);

	if (rc == RC_AGAIN)
		MUST(size < PEERHTTP_HEAD_MAX);
	if (rc != RC_OK)
		return 0;
	MUST(a.head_len <= size && a.head_len <= PEERHTTP_HEAD_MAX);
	MUST(a.body_len <= PEERHTTP_BODY_MAX);
	MUST(a.status >= 200 && a.status <= 599);
	/* what follows the head changes nothing in how it is read */
	MUST(peerhttp_parse((const char *)data, a.head_len, &b) == RC_OK);
	MUST(b.head_len == a.head_len && b.body_len == a.body_len);
	return 0;
}
