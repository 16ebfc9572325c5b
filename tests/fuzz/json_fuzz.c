#include "config.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/json.h"
#include "common/jsonread.h"
#include "common/rc.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
write_value(struct json *j, const struct json_doc *d,
    const struct json_value *v, const char *name)
{
	const struct json_value *c;

	switch (v->type) {
	case JSON_NULL:
		json_put_null(j, name);
		break;
	case JSON_BOOL:
		json_put_bool(j, name, v->num != 0);
		break;
	case JSON_INT:
		json_put_i64(j, name, v->num);
		break;
	case JSON_STRING:
		json_put_str(j, name, v->str);
		break;
	case JSON_ARRAY:
		json_array(j, name);
		for (c = json_first(d, v); c != NULL; c = json_next(d, c))
			write_value(j, d, c, NULL);
		json_end_array(j);
		break;
	case JSON_OBJECT:
		json_object(j, name);
		for (c = json_first(d, v); c != NULL; c = json_next(d, c))
			write_value(j, d, c, c->name);
		json_end(j);
		break;
	}
}

/* What was read, written and read again must be the same text. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wbuf a = WBUF_INIT(1u << 22), b = WBUF_INIT(1u << 22);
	struct json_doc *d, *again;
	struct json j;

	if (json_parse((const char *)data, size, 4096, &d) != RC_OK)
		return 0;
	json_init(&j, &a);
	write_value(&j, d, json_root(d), NULL);
	if (wbuf_rc(&a) == RC_OK) {
		if (json_parse((char *)a.data, a.len, 4096, &again) != RC_OK)
			__builtin_trap();
		json_init(&j, &b);
		write_value(&j, again, json_root(again), NULL);
		if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
			__builtin_trap();
		json_free(again);
	}
	json_free(d);
	wbuf_free(&a);
	wbuf_free(&b);
	return 0;
}
