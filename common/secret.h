#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 32 bytes of key.  Held in place, wiped by secret_clear(). */
#define SECRET_LEN 32

struct secret {
	uint8_t	b[SECRET_LEN];
};

/* Overwrite so that no compiler leaves it out. */
void	secret_wipe(void *p, size_t n);
void	secret_clear(struct secret *s);
/* Fill from the kernel; RC_CRYPTO when it gives none. */
int	secret_random(void *p, size_t n);
/* Constant time. */
bool	secret_equal(const void *a, const void *b, size_t n);

#endif
