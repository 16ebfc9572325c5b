#include "config.h"

#include <string.h>

#include "client/engine/state.h"
#include "common/digest.h"
#include "common/rc.h"
#include "tests/fuzz/fuzz.h"

/*
 * First byte: which file (0 client, 1 keys, 2 job).  The rest gets its CRC
 * here, since no mutation would find it.  What is read is written again byte
 * for byte.
 */
#define FILE_MAX 65536

static void
same(struct wbuf *out, const uint8_t *p, size_t n)
{
	MUST(wbuf_rc(out) == RC_OK);
	MUST(out->len == n && memcmp(out->data, p, n) == 0);
	wbuf_free(out);
}

static void
try_file(uint8_t which, const uint8_t *p, size_t n)
{
	struct wbuf out = WBUF_INIT(FILE_MAX);
	struct state st = { .config_fd = -1 };
	struct keys k = { 0 };
	struct job_state j;

	if (which == 0 && state_get(p, n, &st) == RC_OK) {
		state_put(&out, &st);
		same(&out, p, n);
	} else if (which == 1 && state_get_keys(p, n, &k) == RC_OK) {
		state_put_keys(&out, &k);
		same(&out, p, n);
	} else if (which == 2 && job_get(p, n, &j) == RC_OK) {
		job_put(&out, &j);
		same(&out, p, n);
	}
	keys_clear(&k);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wbuf file = WBUF_INIT(FILE_MAX);

	if (size < 1 || size > FILE_MAX - 8)
		return 0;
	try_file(data[0], data + 1, size - 1);
	wbuf_bytes(&file, data + 1, size - 1);
	wbuf_u32(&file, crc32c(0, file.data != NULL ? file.data : data,
	    file.len));
	try_file(data[0], file.data, file.len);
	wbuf_free(&file);
	return 0;
}
