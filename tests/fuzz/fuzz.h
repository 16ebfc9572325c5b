#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input; unlike assert() never compiled out. */
#define MUST(condition) do {						\
		if (!(condition)) {					\
			fprintf(stderr, "%s:%d: %s does not hold\n",	\
			    __FILE__, __LINE__, #condition);		\
			abort();					\
		}							\
	} while (0)

#endif
