#include "config.h"

#include <sys/stat.h>

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * main() of a fuzz target where there is no libFuzzer: feeds it the files given
 * as arguments, or those of the directories given; without arguments those of
 * tests/fuzz/corpus/NAME, NAME being this program's name without "_fuzz".  Each
 * seed is also cut and changed in a way that is the same at each run.  A target
 * without seeds fails: it would show nothing.
 */
#define SEED_MAX	(1u << 20)	/* bytes */
#define CUTS		256		/* prefixes tried of each seed */
#define CHANGES		256		/* damaged copies of each seed */

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned int seeds;

/* Its own allocation each time: a sanitizer then sees a read past its end. */
static void
feed(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if ((copy = malloc(size > 0 ? size : 1)) == NULL)
		exit(1);
	if (size > 0)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static uint32_t
next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static void
feed_damaged(const uint8_t *data, size_t size)
{
	static const uint8_t telling[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	uint32_t x = 0x5eed1234;
	uint8_t *copy;

	if (size == 0 || (copy = malloc(size)) == NULL)
		return;
	for (int i = 0; i < CHANGES; i++) {
		memcpy(copy, data, size);
		for (uint32_t n = 1 + next_random(&x) % 3; n > 0; n--) {
			size_t at = next_random(&x) % size;
			uint32_t r = next_random(&x);

			/* Lengths and types stand in front. */
			if (r & 0x100)
				at %= 64;
			copy[at] = r & 0x200 ? telling[r % sizeof(telling)] :
			    copy[at] ^ (uint8_t)(1u << (r & 7));
		}
		feed(copy, size);
	}
	free(copy);
}

static int
replay_file(const char *path)
{
	uint8_t *data;
	size_t size, step;
	FILE *f;

	if ((f = fopen(path, "rb")) == NULL ||
	    (data = malloc(SEED_MAX)) == NULL) {
		perror(path);
		return 1;
	}
	size = fread(data, 1, SEED_MAX, f);
	fclose(f);
	seeds++;
	feed(data, size);
	step = size / CUTS + 1;
	for (size_t n = 0; n < size; n += step)
		feed(data, n);
	feed_damaged(data, size);
	free(data);
	return 0;
}

static int
replay(const char *path)
{
	char name[PATH_MAX];
	struct dirent *e;
	struct stat st;
	int bad = 0;
	DIR *d;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return replay_file(path);
	if ((d = opendir(path)) == NULL) {
		perror(path);
		return 1;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (snprintf(name, sizeof(name), "%s/%s", path, e->d_name) <
		    (int)sizeof(name))
			bad |= replay_file(name);
	}
	closedir(d);
	return bad;
}

/* "make check" says where the sources are. */
static int
replay_own_corpus(const char *program)
{
	const char *srcdir = getenv("srcdir"), *slash = strrchr(program, '/');
	const char *name = slash == NULL ? program : slash + 1;
	char path[PATH_MAX];
	size_t n = strlen(name);

	if (n > 5 && strcmp(name + n - 5, "_fuzz") == 0)
		n -= 5;
	if (snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%.*s",
	    srcdir == NULL ? "." : srcdir, (int)n, name) >= (int)sizeof(path))
		return 1;
	return replay(path);
}

int
main(int argc, char **argv)
{
	int bad = 0;

	if (argc < 2)
		bad = replay_own_corpus(argv[0]);
	for (int i = 1; i < argc; i++)
		bad |= replay(argv[i]);
	printf("%u seeds\n", seeds);
	return bad != 0 || seeds == 0;
}
