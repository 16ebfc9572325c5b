#include "config.h"

#include <string.h>

#include "common/object.h"
#include "common/rc.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct object o;
	uint8_t *copy;
	size_t len;

	object_check_crc(data, size);
	if (object_parse(data, size, &o) != RC_OK)
		return 0;
	MUST(object_wire_len(&o.h, &len) && len == size);
	MUST(o.wire_len == size && o.tag + OBJECT_TAG_LEN == data + size);
	MUST(o.body == data + OBJECT_HEADER_LEN +
	    (size_t)o.h.edges * OBJECT_ID_LEN);
	MUST(object_is_node(o.h.type) == (o.h.height > 0));
	if ((copy = malloc(size)) == NULL)
		return 0;
	memcpy(copy, data, size);
	object_set_crc(copy, size);
	MUST(object_check_crc(copy, size) == RC_OK);
	MUST(object_parse(copy, size, &o) == RC_OK);
	free(copy);
	return 0;
}
