#include "config.h"

#include "common/rbuf.h"

#include <string.h>

#include "common/rc.h"

void
rbuf_init(struct rbuf *in, const void *p, size_t len)
{
	in->p = p;
	in->left = len;
}

size_t
rbuf_left(const struct rbuf *in)
{
	return in->left;
}

/* The only place that moves the reader: n is known to be there. */
static const uint8_t *
take(struct rbuf *in, size_t n)
{
	const uint8_t *p = in->p;

	/* An empty reader may hold NULL, and NULL + 0 is undefined. */
	if (n != 0)
		in->p += n;
	in->left -= n;
	return p;
}

static uint64_t
big_endian(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

int
rbuf_u8(struct rbuf *in, uint8_t *v)
{
	if (in->left < 1)
		return RC_TRUNCATED;
	*v = *take(in, 1);
	return RC_OK;
}

int
rbuf_u16(struct rbuf *in, uint16_t *v)
{
	if (in->left < 2)
		return RC_TRUNCATED;
	*v = (uint16_t)big_endian(take(in, 2), 2);
	return RC_OK;
}

int
rbuf_u32(struct rbuf *in, uint32_t *v)
{
	if (in->left < 4)
		return RC_TRUNCATED;
	*v = (uint32_t)big_endian(take(in, 4), 4);
	return RC_OK;
}

int
rbuf_u64(struct rbuf *in, uint64_t *v)
{
	if (in->left < 8)
		return RC_TRUNCATED;
	*v = big_endian(take(in, 8), 8);
	return RC_OK;
}

int
rbuf_i64(struct rbuf *in, int64_t *v)
{
	uint64_t u;
	int rc;

	if ((rc = rbuf_u64(in, &u)) != RC_OK)
		return rc;
	memcpy(v, &u, sizeof(*v));
	return RC_OK;
}

int
rbuf_bytes(struct rbuf *in, void *out, size_t n)
{
	if (in->left < n)
		return RC_TRUNCATED;
	if (n != 0)
		memcpy(out, take(in, n), n);
	return RC_OK;
}

int
rbuf_skip(struct rbuf *in, size_t n)
{
	if (in->left < n)
		return RC_TRUNCATED;
	take(in, n);
	return RC_OK;
}

int
rbuf_view(struct rbuf *in, const uint8_t **p, size_t n)
{
	if (in->left < n)
		return RC_TRUNCATED;
	*p = take(in, n);
	return RC_OK;
}

int
rbuf_sub(struct rbuf *in, struct rbuf *sub, size_t n)
{
	if (in->left < n)
		return RC_TRUNCATED;
	rbuf_init(sub, take(in, n), n);
	return RC_OK;
}

int
rbuf_str(struct rbuf *in, char *out, size_t size)
{
	struct rbuf try = *in;		/* a failure takes nothing */
	const uint8_t *p;
	uint16_t n;
	int rc;

	if ((rc = rbuf_u16(&try, &n)) != RC_OK ||
	    (rc = rbuf_view(&try, &p, n)) != RC_OK)
		return rc;
	if (n >= size)
		return RC_LIMIT;
	if (n != 0) {
		if (memchr(p, '\0', n) != NULL)
			return RC_RANGE;
		memcpy(out, p, n);
	}
	out[n] = '\0';
	*in = try;
	return RC_OK;
}

static int
blob(struct rbuf *in, struct rbuf *try, const uint8_t **p, size_t *len,
    size_t n, size_t max)
{
	const uint8_t *v;
	int rc;

	if (n > max)
		return RC_LIMIT;
	if ((rc = rbuf_view(try, &v, n)) != RC_OK)
		return rc;
	*p = v;
	*len = n;
	*in = *try;
	return RC_OK;
}

int
rbuf_blob16(struct rbuf *in, const uint8_t **p, size_t *len, size_t max)
{
	struct rbuf try = *in;
	uint16_t n;
	int rc;

	if ((rc = rbuf_u16(&try, &n)) != RC_OK)
		return rc;
	return blob(in, &try, p, len, n, max);
}

int
rbuf_blob32(struct rbuf *in, const uint8_t **p, size_t *len, size_t max)
{
	struct rbuf try = *in;
	uint32_t n;
	int rc;

	if ((rc = rbuf_u32(&try, &n)) != RC_OK)
		return rc;
	return blob(in, &try, p, len, n, max);
}

int
rbuf_end(const struct rbuf *in)
{
	return in->left == 0 ? RC_OK : RC_TRAILING;
}
