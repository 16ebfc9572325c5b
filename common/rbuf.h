#ifndef COMMON_RBUF_H
#define COMMON_RBUF_H

#include <stddef.h>
#include <stdint.h>

/*
 * Bounded reader over bytes that somebody else owns.  Numbers are big-endian.
 * Every read answers RC_OK or RC_TRUNCATED (rbuf_str also RC_LIMIT and
 * RC_RANGE); a read that fails takes nothing and leaves its target alone.
 */
struct rbuf {
	const uint8_t	*p;
	size_t		 left;
};

#define RBUF_OF(array) { (array), sizeof(array) }

void	rbuf_init(struct rbuf *in, const void *p, size_t len);
size_t	rbuf_left(const struct rbuf *in);

int	rbuf_u8(struct rbuf *in, uint8_t *v);
int	rbuf_u16(struct rbuf *in, uint16_t *v);
int	rbuf_u32(struct rbuf *in, uint32_t *v);
int	rbuf_u64(struct rbuf *in, uint64_t *v);
int	rbuf_i64(struct rbuf *in, int64_t *v);

/* Copy exactly n bytes out. */
int	rbuf_bytes(struct rbuf *in, void *out, size_t n);
int	rbuf_skip(struct rbuf *in, size_t n);
/* A pointer to the next n bytes, valid as long as the bytes under the reader. */
int	rbuf_view(struct rbuf *in, const uint8_t **p, size_t n);
/* A reader of its own over the next n bytes. */
int	rbuf_sub(struct rbuf *in, struct rbuf *sub, size_t n);

/* u16 length, then that many bytes without a NUL; out becomes a C string.
 * RC_LIMIT when it does not fit in size, RC_RANGE when it holds a NUL. */
int	rbuf_str(struct rbuf *in, char *out, size_t size);
/* u16 (or u32) length, then that many bytes, as a view of at most max.
 * RC_LIMIT when longer than max. */
int	rbuf_blob16(struct rbuf *in, const uint8_t **p, size_t *len, size_t max);
int	rbuf_blob32(struct rbuf *in, const uint8_t **p, size_t *len, size_t max);

/* RC_TRAILING unless everything was read. */
int	rbuf_end(const struct rbuf *in);

#endif
