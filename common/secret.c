#include "config.h"

#include "common/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/rc.h"

void
secret_wipe(void *p, size_t n)
{
	if (n != 0)
		explicit_bzero(p, n);
}

void
secret_clear(struct secret *s)
{
	secret_wipe(s, sizeof(*s));
}

int
secret_random(void *p, size_t n)
{
	uint8_t *to = p;

	while (n > 0) {
		ssize_t got = getrandom(to, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return RC_CRYPTO;
		to += got;
		n -= (size_t)got;
	}
	return RC_OK;
}

bool
secret_equal(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;
	uint8_t differ = 0;

	for (size_t i = 0; i < n; i++) {
		differ |= x[i] ^ y[i];
		/* Keeps the compiler from leaving at the first difference. */
		__asm__ volatile("" : "+r" (differ));
	}
	return differ == 0;
}
