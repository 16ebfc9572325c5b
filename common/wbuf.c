#include "config.h"

#include "common/wbuf.h"

#include <stdlib.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "common/secret.h"

#define WBUF_FIRST	64		/* bytes of the first allocation */

void
wbuf_init(struct wbuf *out, size_t max)
{
	*out = (struct wbuf)WBUF_INIT(max);
}

void
wbuf_free(struct wbuf *out)
{
	if (out == NULL)
		return;
	if (out->data != NULL)
		secret_wipe(out->data, out->size);
	free(out->data);
	wbuf_init(out, out->max);
}

void
wbuf_reset(struct wbuf *out)
{
	out->len = 0;
	out->rc = RC_OK;
}

int
wbuf_rc(const struct wbuf *out)
{
	return out->rc;
}

/* realloc() could leave a copy of a secret behind, so move by hand. */
static int
grow(struct wbuf *out, size_t need)
{
	size_t size = out->size < WBUF_FIRST ? WBUF_FIRST : out->size;
	uint8_t *p;

	while (size < need && size <= out->max / 2)
		size *= 2;
	if (size < need)
		size = out->max;	/* need is at most that */
	if ((p = malloc(size)) == NULL)
		return RC_NOMEM;
	if (out->data != NULL) {
		memcpy(p, out->data, out->len);
		secret_wipe(out->data, out->size);
		free(out->data);
	}
	out->data = p;
	out->size = size;
	return RC_OK;
}

uint8_t *
wbuf_space(struct wbuf *out, size_t n)
{
	uint8_t *p;
	size_t need;

	if (out->rc != RC_OK)
		return NULL;
	if (!size_add(out->len, n, &need) || need > out->max) {
		out->rc = RC_LIMIT;
		return NULL;
	}
	if ((need > out->size || out->data == NULL) &&
	    (out->rc = grow(out, need)) != RC_OK)
		return NULL;
	p = out->data + out->len;
	out->len = need;
	return p;
}

static void
put_big_endian(struct wbuf *out, uint64_t v, size_t n)
{
	uint8_t *p;

	if ((p = wbuf_space(out, n)) == NULL)
		return;
	while (n-- > 0) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}

void
wbuf_u8(struct wbuf *out, uint8_t v)
{
	put_big_endian(out, v, 1);
}

void
wbuf_u16(struct wbuf *out, uint16_t v)
{
	put_big_endian(out, v, 2);
}

void
wbuf_u32(struct wbuf *out, uint32_t v)
{
	put_big_endian(out, v, 4);
}

void
wbuf_u64(struct wbuf *out, uint64_t v)
{
	put_big_endian(out, v, 8);
}

void
wbuf_i64(struct wbuf *out, int64_t v)
{
	put_big_endian(out, (uint64_t)v, 8);
}

void
wbuf_bytes(struct wbuf *out, const void *p, size_t n)
{
	uint8_t *to;

	if (n != 0 && (to = wbuf_space(out, n)) != NULL)
		memcpy(to, p, n);
}

void
wbuf_zeros(struct wbuf *out, size_t n)
{
	uint8_t *to;

	if (n != 0 && (to = wbuf_space(out, n)) != NULL)
		memset(to, 0, n);
}

void
wbuf_str(struct wbuf *out, const char *s)
{
	wbuf_blob16(out, s, strlen(s));
}

/* A length that does not fit its field is remembered like a full buffer; the
 * whole blob is written or nothing of it. */
static void
put_blob(struct wbuf *out, const void *p, size_t n, size_t width, size_t max)
{
	size_t need;

	if (out->rc != RC_OK)
		return;
	if (n > max || !size_add(n, width, &need) ||
	    need > out->max - out->len) {
		out->rc = RC_LIMIT;
		return;
	}
	put_big_endian(out, n, width);
	wbuf_bytes(out, p, n);
}

void
wbuf_blob16(struct wbuf *out, const void *p, size_t n)
{
	put_blob(out, p, n, 2, UINT16_MAX);
}

void
wbuf_blob32(struct wbuf *out, const void *p, size_t n)
{
	put_blob(out, p, n, 4, UINT32_MAX);
}

static void
set_big_endian(struct wbuf *out, size_t off, uint64_t v, size_t n)
{
	if (out->rc != RC_OK)
		return;
	if (off > out->len || out->len - off < n) {
		out->rc = RC_RANGE;
		return;
	}
	while (n-- > 0) {
		out->data[off + n] = (uint8_t)v;
		v >>= 8;
	}
}

void
wbuf_set_u16(struct wbuf *out, size_t off, uint16_t v)
{
	set_big_endian(out, off, v, 2);
}

void
wbuf_set_u32(struct wbuf *out, size_t off, uint32_t v)
{
	set_big_endian(out, off, v, 4);
}
