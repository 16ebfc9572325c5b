#include "config.h"

#include "server/store/sort.h"

#include <string.h>

static void
merge(uint32_t *out, const uint32_t *a, size_t na, const uint32_t *b,
    size_t nb, int (*cmp)(const void *arg, uint32_t a, uint32_t b),
    const void *arg)
{
	while (na > 0 && nb > 0) {
		if (cmp(arg, *a, *b) <= 0) {
			*out++ = *a++;
			na--;
		} else {
			*out++ = *b++;
			nb--;
		}
	}
	if (na > 0)
		memcpy(out, a, na * sizeof(*a));
	if (nb > 0)
		memcpy(out, b, nb * sizeof(*b));
}

void
sort_u32(uint32_t *v, uint32_t *tmp, size_t n,
    int (*cmp)(const void *arg, uint32_t a, uint32_t b), const void *arg)
{
	uint32_t *from = v, *to = tmp;

	for (size_t width = 1; width < n; width *= 2) {
		for (size_t i = 0; i < n; i += 2 * width) {
			size_t na = n - i < width ? n - i : width;
			size_t nb = n - i - na < width ? n - i - na : width;

			merge(to + i, from + i, na, from + i + na, nb, cmp,
			    arg);
		}
		uint32_t *t = from;

		from = to;
		to = t;
	}
	if (from != v)
		memcpy(v, from, n * sizeof(*v));
}
