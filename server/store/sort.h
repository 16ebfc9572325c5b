#ifndef STORE_SORT_H
#define STORE_SORT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Stable merge sort of indices.  qsort(3) is not used: it asks the kernel how
 * much memory there is, which store may not.  tmp has room for n.
 */
void	sort_u32(uint32_t *v, uint32_t *tmp, size_t n,
	    int (*cmp)(const void *arg, uint32_t a, uint32_t b),
	    const void *arg);

#endif
