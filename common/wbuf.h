#ifndef COMMON_WBUF_H
#define COMMON_WBUF_H

#include <stddef.h>
#include <stdint.h>

/*
 * Growing writer with a hard maximum.  Numbers are big-endian.  The first
 * failure (RC_LIMIT, RC_NOMEM) is remembered, later writes do nothing, and
 * wbuf_rc() tells; so a message is written without a check per field and
 * checked once, by whoever sends it.  Storage is wiped when it is freed or
 * moved.  A wbuf starts as WBUF_INIT(max) or by wbuf_init().
 */
struct wbuf {
	uint8_t	*data;
	size_t	 len;
	size_t	 size;
	size_t	 max;
	int	 rc;
};

#define WBUF_INIT(maximum) { .max = (maximum) }

void	wbuf_init(struct wbuf *out, size_t max);
void	wbuf_free(struct wbuf *out);		/* leaves an empty, usable wbuf */
void	wbuf_reset(struct wbuf *out);		/* empty, no error; keeps storage */
int	wbuf_rc(const struct wbuf *out);

void	wbuf_u8(struct wbuf *out, uint8_t v);
void	wbuf_u16(struct wbuf *out, uint16_t v);
void	wbuf_u32(struct wbuf *out, uint32_t v);
void	wbuf_u64(struct wbuf *out, uint64_t v);
void	wbuf_i64(struct wbuf *out, int64_t v);
void	wbuf_bytes(struct wbuf *out, const void *p, size_t n);
void	wbuf_zeros(struct wbuf *out, size_t n);
void	wbuf_str(struct wbuf *out, const char *s);	/* as rbuf_str() */
void	wbuf_blob16(struct wbuf *out, const void *p, size_t n);
void	wbuf_blob32(struct wbuf *out, const void *p, size_t n);

/* Room for n bytes to be filled in by the caller, NULL on failure; valid until
 * the next write. */
uint8_t	*wbuf_space(struct wbuf *out, size_t n);
/* Overwrite a u16/u32 written earlier, at offset off. */
void	wbuf_set_u16(struct wbuf *out, size_t off, uint16_t v);
void	wbuf_set_u32(struct wbuf *out, size_t off, uint32_t v);

#endif
