#include "config.h"

#include <stddef.h>
#include <stdint.h>

#include "common/rc.h"
#include "server/http/request.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_request r;
	size_t head;

	if (http_parse((const char *)data, size, &r, &head) == RC_OK &&
	    (head > size || r.segments > HTTP_SEGMENTS_MAX ||
	    r.body_len > HTTP_BODY_MAX))
		__builtin_trap();
	return 0;
}
