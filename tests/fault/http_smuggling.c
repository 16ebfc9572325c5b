#include "config.h"

#include <stdint.h>
#include <stdio.h>

#include "tests/fault/http_smuggling.h"

/* Writes the corpus to stdout, each request behind its length (u32, big-endian). */
int
main(void)
{
	char text[512];
	size_t i, n;

	for (i = 0; i < SMUGGLE_N; i++) {
		n = smuggle_make(i, text, sizeof(text));
		putchar(0);
		putchar(0);
		putchar((int)(n >> 8 & 0xff));
		putchar((int)(n & 0xff));
		fwrite(text, 1, n, stdout);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
