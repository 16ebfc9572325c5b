#include "config.h"

#include <string.h>

#include "common/rc.h"
#include "common/snapshot.h"
#include "tests/fuzz/fuzz.h"

/* First byte even: a client part.  Odd: a server part. */

static void
client_part(const uint8_t *data, size_t size)
{
	struct wbuf out = WBUF_INIT(SNAPSHOT_CLIENT_MAX);
	struct snapshot_client s;
	size_t aad;

	if (snapshot_get_client(data, size, &s) != RC_OK)
		return;
	snapshot_put_client(&out, &s, &aad);
	wbuf_bytes(&out, s.sig, sizeof(s.sig));
	MUST(wbuf_rc(&out) == RC_OK && out.len == size);
	MUST(memcmp(out.data, data, size) == 0);
	MUST(data + aad + 4 == s.sealed);
	wbuf_free(&out);
}

static void
server_part(const uint8_t *data, size_t size)
{
	struct wbuf out = WBUF_INIT(1024);
	struct snapshot_server s;
	struct rbuf in;

	rbuf_init(&in, data, size);
	if (snapshot_get_server(&in, &s) != RC_OK)
		return;
	snapshot_put_server(&out, &s);
	MUST(out.len == SNAPSHOT_SERVER_LEN);
	MUST(memcmp(out.data, data, out.len) == 0);
	wbuf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] & 1)
		server_part(data + 1, size - 1);
	else
		client_part(data + 1, size - 1);
	return 0;
}
