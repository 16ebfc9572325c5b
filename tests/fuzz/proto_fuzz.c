#include "config.h"

#include <string.h>

#include "common/proto.h"
#include "common/rc.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/proto_echo.h"

/* First byte 0: a frame's head.  Else it is the type, the rest the payload. */

static void
head(const uint8_t *data, size_t size)
{
	static const enum proto_state states[] = { PROTO_ST_HELLO,
	    PROTO_ST_AUTH, PROTO_ST_OPEN };
	uint8_t again[PROTO_FRAME_LEN];
	struct frame f;

	if (size < PROTO_FRAME_LEN)
		return;
	frame_get(data, &f);
	frame_put(again, &f);
	MUST(memcmp(data, again, sizeof(again)) == 0);
	for (int who = PROTO_C; who <= PROTO_S; who++)
		for (size_t i = 0; i < 3; i++)
			if (frame_allowed(&f, who, states[i]) == RC_OK)
				MUST(f.length <= OBJECT_WIRE_MAX &&
				    strcmp(proto_name(f.type), "?") != 0);
	proto_error_text(f.type);
	proto_error_rc(f.type);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wbuf out = WBUF_INIT(OBJECT_WIRE_MAX);
	struct rbuf in;

	if (size < 1)
		return 0;
	if (data[0] == 0) {
		head(data + 1, size - 1);
		return 0;
	}
	rbuf_init(&in, data + 1, size - 1);
	if (proto_echo(data[0], &in, &out) == RC_OK) {
		MUST(wbuf_rc(&out) == RC_OK);
		MUST(out.len == size - 1);
		MUST(memcmp(out.data, data + 1, out.len) == 0);
	}
	wbuf_free(&out);
	return 0;
}
