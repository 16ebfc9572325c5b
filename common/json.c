#include "config.h"

#include "common/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/rc.h"

size_t
utf8_sequence(const unsigned char *p, const unsigned char *end)
{
	size_t left = (size_t)(end - p);

	if (left == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if (p[0] >= 0xe0 && p[0] <= 0xef) {
		if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 ||
		    (p[0] == 0xe0 && p[1] < 0xa0) ||
		    (p[0] == 0xed && p[1] > 0x9f))
			return 0;
		return 3;
	}
	if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		if (left < 4 || (p[1] & 0xc0) != 0x80 ||
		    (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80 ||
		    (p[0] == 0xf0 && p[1] < 0x90) ||
		    (p[0] == 0xf4 && p[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

static void
put(struct json *j, const char *s)
{
	wbuf_bytes(j->out, s, strlen(s));
}

static void
put_text(struct json *j, const void *text, size_t n)
{
	const unsigned char *p = text, *end = p + n;
	char esc[8];
	size_t len;

	put(j, "\"");
	while (p < end) {
		if (*p == '"' || *p == '\\') {
			snprintf(esc, sizeof(esc), "\\%c", *p++);
			put(j, esc);
		} else if (*p < 0x20 || *p == 0x7f) {
			snprintf(esc, sizeof(esc), "\\u%04x", *p++);
			put(j, esc);
		} else if ((len = utf8_sequence(p, end)) > 0) {
			wbuf_bytes(j->out, p, len);
			p += len;
		} else {
			put(j, "\\ufffd");
			p++;
		}
	}
	put(j, "\"");
}

/* The comma before and the name of the next value. */
static void
begin(struct json *j, const char *name)
{
	if (j->comma[j->depth])
		put(j, ",");
	j->comma[j->depth] = true;
	if (name != NULL) {
		put_text(j, name, strlen(name));
		put(j, ":");
	}
}

static void
open_level(struct json *j, const char *name, const char *bracket)
{
	begin(j, name);
	put(j, bracket);
	if (j->depth == JSON_WRITE_DEPTH) {	/* our own mistake */
		j->out->rc = RC_LIMIT;
		return;
	}
	j->comma[++j->depth] = false;
}

static void
close_level(struct json *j, const char *bracket)
{
	put(j, bracket);
	if (j->depth > 0)
		j->depth--;
}

void
json_init(struct json *j, struct wbuf *out)
{
	memset(j, 0, sizeof(*j));
	j->out = out;
}

void
json_object(struct json *j, const char *name)
{
	open_level(j, name, "{");
}

void
json_array(struct json *j, const char *name)
{
	open_level(j, name, "[");
}

void
json_end(struct json *j)
{
	close_level(j, "}");
}

void
json_end_array(struct json *j)
{
	close_level(j, "]");
}

void
json_put_bytes(struct json *j, const char *name, const void *p, size_t n)
{
	begin(j, name);
	put_text(j, p, n);
}

void
json_put_str(struct json *j, const char *name, const char *s)
{
	json_put_bytes(j, name, s, strlen(s));
}

static bool
is_utf8(const unsigned char *p, size_t n)
{
	const unsigned char *end = p + n;
	size_t len;

	while (p < end) {
		if ((len = utf8_sequence(p, end)) == 0)
			return false;
		p += len;
	}
	return true;
}

void
json_put_name(struct json *j, const char *name, const void *p, size_t n)
{
	char hex[64];

	json_put_bytes(j, name, p, n);
	if (is_utf8(p, n))
		return;
	snprintf(hex, sizeof(hex), "%s_hex", name);
	json_put_hex(j, hex, p, n);
}

void
json_put_hex(struct json *j, const char *name, const void *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;
	size_t i;

	begin(j, name);
	put(j, "\"");
	for (i = 0; i < n; i++) {
		wbuf_u8(j->out, (uint8_t)digits[p[i] >> 4]);
		wbuf_u8(j->out, (uint8_t)digits[p[i] & 15]);
	}
	put(j, "\"");
}

void
json_put_i64(struct json *j, const char *name, int64_t v)
{
	char s[24];

	snprintf(s, sizeof(s), "%" PRId64, v);
	begin(j, name);
	put(j, s);
}

void
json_put_u64(struct json *j, const char *name, uint64_t v)
{
	char s[24];

	snprintf(s, sizeof(s), "%" PRIu64, v);
	begin(j, name);
	put(j, s);
}

void
json_put_ms(struct json *j, const char *name, uint64_t ms)
{
	char s[32];

	snprintf(s, sizeof(s), "%" PRIu64 ".%03u", ms / 1000,
	    (unsigned)(ms % 1000));
	begin(j, name);
	put(j, s);
}

void
json_put_bool(struct json *j, const char *name, bool v)
{
	begin(j, name);
	put(j, v ? "true" : "false");
}

void
json_put_null(struct json *j, const char *name)
{
	begin(j, name);
	put(j, "null");
}
