#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <dirent.h>

#include <cmocka.h>

#include "common/io.h"
#include "common/rc.h"

static char dir_name[64];
static int dir = -1;

static int
make_dir(void **state)
{
	(void)state;
	strcpy(dir_name, "/tmp/sg-io-test-XXXXXX");
	if (mkdtemp(dir_name) == NULL)
		return -1;
	dir = open(dir_name, O_RDONLY | O_DIRECTORY);
	return dir == -1 ? -1 : 0;
}

/* How many names the directory has; `remove` takes them away. */
static int
entries(int remove)
{
	struct dirent *e;
	DIR *d = opendir(dir_name);
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		n++;
		if (remove && unlinkat(dir, e->d_name, 0) != 0)
			unlinkat(dir, e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
	return n;
}

static int
drop_dir(void **state)
{
	(void)state;
	entries(1);
	fd_close(&dir);
	return rmdir(dir_name);
}

static void
a_pipe_ends_clean_or_in_between(void **state)
{
	char buf[4];
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(io_write_full(fd[1], "abcdef", 6), RC_OK);
	fd_close(&fd[1]);
	assert_int_equal(fd[1], -1);
	fd_close(&fd[1]);
	assert_int_equal(io_read_full(fd[0], buf, 4), RC_OK);
	assert_memory_equal(buf, "abcd", 4);
	assert_int_equal(io_read_full(fd[0], buf, 4), RC_TRUNCATED);
	assert_int_equal(io_read_full(fd[0], buf, 4), RC_EOF);
	assert_int_equal(io_read_full(fd[0], buf, 0), RC_OK);
	fd_close(&fd[0]);
	assert_int_equal(io_read_full(-1, buf, 1), RC_IO);
	assert_int_equal(errno, EBADF);
	assert_int_equal(io_write_full(-1, buf, 1), RC_IO);
}

static void
positions_beyond_what_a_file_can_have_are_refused(void **state)
{
	char buf[4] = "xyz";
	int fd;

	(void)state;
	fd = openat(dir, "p", O_RDWR | O_CREAT, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(io_pwrite_full(fd, buf, 4, 10), RC_OK);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(io_pread_full(fd, buf, 4, 10), RC_OK);
	assert_string_equal(buf, "xyz");
	assert_int_equal(io_pread_full(fd, buf, 4, 11), RC_TRUNCATED);
	assert_int_equal(io_pread_full(fd, buf, 1, 14), RC_TRUNCATED);
	assert_int_equal(io_pread_full(fd, buf, 4, UINT64_MAX), RC_RANGE);
	assert_int_equal(io_pwrite_full(fd, buf, 4, INT64_MAX - 3), RC_RANGE);
	assert_int_equal(io_pread_full(fd, buf, 4, 1ull << 63), RC_RANGE);
	fd_close(&fd);
}

static void
a_file_is_replaced_whole_with_its_mode(void **state)
{
	struct stat st;
	uint8_t *p = NULL;
	size_t n = 0;
	mode_t mask = umask(077);

	(void)state;
	assert_int_equal(io_write_file(dir, "f", "one", 3, 0640), RC_OK);
	assert_int_equal(io_write_file(dir, "f", "second", 6, 0644), RC_OK);
	umask(mask);
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(io_read_file(dir, "f", &p, &n, 100), RC_OK);
	assert_int_equal(n, 6);
	assert_string_equal((char *)p, "second");
	free(p);
	assert_int_equal(entries(0), 1);	/* no temporary name stayed */
}

static void
a_path_puts_the_temporary_file_beside_its_target(void **state)
{
	char path[128];
	uint8_t *p = NULL;
	size_t n;

	(void)state;
	snprintf(path, sizeof(path), "%s/deep", dir_name);
	assert_int_equal(io_write_file(AT_FDCWD, path, "x", 1, 0600), RC_OK);
	assert_int_equal(io_read_file(AT_FDCWD, path, &p, &n, 1), RC_OK);
	assert_int_equal(n, 1);
	free(p);
	assert_int_equal(io_write_file(dir, "no/such", "x", 1, 0600), RC_NOENT);
	assert_int_equal(entries(0), 1);
}

static void
a_failed_replacement_leaves_the_old_and_no_rest(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_not_equal(io_write_file(dir, "d", "x", 1, 0600), RC_OK);
	assert_int_equal(entries(0), 1);
	assert_int_equal(faccessat(dir, "d", X_OK, 0), 0);
}

static void
reading_stops_at_the_maximum(void **state)
{
	static uint8_t big[20000];
	uint8_t *p = NULL;
	size_t n = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i % 251);
	assert_int_equal(io_write_file(dir, "b", big, sizeof(big), 0600),
	    RC_OK);
	assert_int_equal(io_read_file(dir, "b", &p, &n, sizeof(big) - 1),
	    RC_LIMIT);
	assert_null(p);
	assert_int_equal(n, 7);
	assert_int_equal(io_read_file(dir, "b", &p, &n, sizeof(big)), RC_OK);
	assert_int_equal(n, sizeof(big));
	assert_memory_equal(p, big, n);
	free(p);
	assert_int_equal(io_read_file(dir, "b", &p, &n, 1 << 20), RC_OK);
	assert_int_equal(n, sizeof(big));
	free(p);
	assert_int_equal(io_write_file(dir, "e", NULL, 0, 0600), RC_OK);
	assert_int_equal(io_read_file(dir, "e", &p, &n, 0), RC_OK);
	assert_int_equal(n, 0);
	free(p);
}

static void
links_and_fifos_are_not_followed(void **state)
{
	uint8_t *p = NULL;
	size_t n;

	(void)state;
	assert_int_equal(io_write_file(dir, "real", "x", 1, 0600), RC_OK);
	assert_int_equal(symlinkat("real", dir, "link"), 0);
	assert_int_not_equal(io_read_file(dir, "link", &p, &n, 10), RC_OK);
	assert_int_equal(io_read_file(dir, "gone", &p, &n, 10), RC_NOENT);
	/* Writing replaces the link itself, not what it points to. */
	assert_int_equal(io_write_file(dir, "link", "new", 3, 0600), RC_OK);
	assert_int_equal(io_read_file(dir, "real", &p, &n, 10), RC_OK);
	assert_string_equal((char *)p, "x");
	free(p);
	/* A fifo without a writer must not hold us: it reads as empty. */
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	if (io_read_file(dir, "fifo", &p, &n, 10) == RC_OK)
		free(p);
}

static void
time_goes_forward(void **state)
{
	uint64_t a = io_now_ms();

	(void)state;
	assert_true(io_now_ms() >= a);
	assert_true(io_wall_ns() > 1600000000ll * 1000000000);
}

int
main(void)
{
#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, drop_dir)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pipe_ends_clean_or_in_between),
		IN_DIR(positions_beyond_what_a_file_can_have_are_refused),
		IN_DIR(a_file_is_replaced_whole_with_its_mode),
		IN_DIR(a_path_puts_the_temporary_file_beside_its_target),
		IN_DIR(a_failed_replacement_leaves_the_old_and_no_rest),
		IN_DIR(reading_stops_at_the_maximum),
		IN_DIR(links_and_fifos_are_not_followed),
		cmocka_unit_test(time_goes_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
