#include "config.h"

#include <string.h>

#include "common/packet.h"
#include "common/rc.h"
#include "tests/fuzz/fuzz.h"

/* A discovery packet as it comes: what is taken is what is written again. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct puzzle *z;
	struct wbuf again = WBUF_INIT(PACKET_REQUEST_LEN);
	struct packet_look l;
	struct packet p;
	uint64_t mark;
	size_t at;

	if (z == NULL)
		MUST((z = puzzle_new()) != NULL);
	(void)packet_verify(data, size);
	if (packet_look(&l, data, size) != RC_OK)
		return 0;
	MUST(size <= PACKET_REQUEST_LEN && size >= PACKET_MIN);
	MUST(l.sign_at == size - ED25519_SIG_LEN);
	MUST(l.puzzle_at + PACKET_PUZZLE_LEN <= l.sign_at);
	(void)puzzle_check(z, data, l.puzzle_at, &mark);
	if (packet_get(&p, data, size) != RC_OK)
		return 0;
	MUST(packet_put(&again, &p, &at) == RC_OK);
	MUST(at == l.puzzle_at && again.len == l.sign_at);
	memcpy(again.data + at, data + at, PACKET_PUZZLE_LEN);
	MUST(memcmp(again.data, data, again.len) == 0);
	wbuf_free(&again);
	return 0;
}
