#include "config.h"

#include "client/engine/target.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/io.h"
#include "common/rc.h"

struct fix {
	char		 dir[64];
	int		 fd;
	struct target	 t;
};

static char *
in(struct fix *x, const char *rel)
{
	static char buf[4][512];
	static unsigned at;
	char *p = buf[at++ % 4];

	snprintf(p, sizeof(buf[0]), "%s/%s", x->dir, rel);
	return p;
}

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	strcpy(x->dir, "/tmp/sg-target-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	assert_int_equal(mkdir(in(x, "in"), 0700), 0);
	assert_int_equal(mkdir(in(x, "in/a"), 0700), 0);
	assert_int_equal(mkdir(in(x, "in/a/b"), 0700), 0);
	assert_int_equal(mkdir(in(x, "out"), 0700), 0);
	assert_int_equal(symlink("../out", in(x, "in/rel")), 0);
	assert_int_equal(symlink(in(x, "out"), in(x, "in/abs")), 0);
	assert_int_equal(symlink("b", in(x, "in/a/inside")), 0);
	x->fd = open(in(x, "in"), O_RDONLY | O_DIRECTORY);
	x->t.fd = x->fd;
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;
	char cmd[128];

	target_without_openat2(false);
	close(x->fd);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", x->dir);
	assert_int_equal(system(cmd), 0);
	free(x);
	return 0;
}

static void
nothing_leads_out(struct fix *x)
{
	static const char *const bad[] = { "rel", "abs", "..", "a/..",
		"a/../..", "/", "/tmp", "a/inside", "rel/x", ".", "a/./b",
		"a//b", "", "/proc/self/cwd", "none" };
	size_t i;
	int fd;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fd = -1;
		/* The kernel takes ".", "a/.." and "a//b" inside; no name of
		 * ours is ever such. */
		if (target_open_dir(x->fd, bad[i], &fd) == RC_OK) {
			struct stat st, out;

			assert_int_equal(fstat(fd, &st), 0);
			assert_int_equal(stat(in(x, "out"), &out), 0);
			assert_true(st.st_ino != out.st_ino);
			assert_true(strchr(bad[i], '.') != NULL ||
			    strcmp(bad[i], "a//b") == 0);
			close(fd);
		}
	}
	assert_int_equal(target_open_dir(x->fd, "a/b", &fd), RC_OK);
	close(fd);
	assert_int_not_equal(target_open_dir(x->fd, "rel", &fd), RC_OK);
	assert_int_not_equal(target_open_dir(x->fd, "abs", &fd), RC_OK);
	assert_int_not_equal(target_open_dir(x->fd, "..", &fd), RC_OK);
	assert_int_not_equal(target_open_dir(x->fd, "a/../..", &fd), RC_OK);
	assert_int_not_equal(target_open_dir(x->fd, "a/inside", &fd), RC_OK);
	assert_int_not_equal(target_open_dir(x->fd, "/tmp", &fd), RC_OK);
}

static void
no_path_leads_out_of_the_target(void **state)
{
	nothing_leads_out(*state);
}

static void
no_path_leads_out_without_openat2(void **state)
{
	target_without_openat2(true);
	nothing_leads_out(*state);
}

static void
names_that_are_no_names_are_refused(void **state)
{
	(void)state;
	assert_int_equal(target_name_check("", 0), RC_RANGE);
	assert_int_equal(target_name_check(".", 1), RC_RANGE);
	assert_int_equal(target_name_check("..", 2), RC_RANGE);
	assert_int_equal(target_name_check("a/b", 3), RC_RANGE);
	assert_int_equal(target_name_check("a\0b", 3), RC_RANGE);
	assert_int_equal(target_name_check("...", 3), RC_OK);
	assert_int_equal(target_name_check(".a", 2), RC_OK);
}

static void
a_temporary_file_replaces_only_its_like(void **state)
{
	struct fix *x = *state;
	char tmp[TARGET_TEMP_NAME], again[TARGET_TEMP_NAME];
	struct stat made;
	int fd;

	assert_int_equal(target_temp(x->fd, "f", tmp, &fd), RC_OK);
	close(fd);
	/* A leftover: taken over. */
	assert_int_equal(target_temp(x->fd, "f", again, &fd), RC_OK);
	assert_string_equal(tmp, again);
	assert_int_equal(fchmod(fd, 0644), 0);
	close(fd);
	/* Somebody's file by now: another name. */
	assert_int_equal(target_temp(x->fd, "f", again, &fd), RC_OK);
	assert_string_not_equal(tmp, again);
	assert_int_equal(fstat(fd, &made), 0);
	close(fd);
	assert_int_equal(target_temp_open(x->fd, again, &made, &fd), RC_OK);
	close(fd);
	assert_int_equal(target_temp_open(x->fd, tmp, &made, &fd), RC_IO);
	assert_int_equal(errno, ESTALE);
	/* Another file under its name, or its own second name. */
	assert_int_equal(linkat(x->fd, again, x->fd, "second", 0), 0);
	assert_int_equal(target_temp_open(x->fd, again, &made, &fd), RC_IO);
	assert_int_equal(unlinkat(x->fd, "second", 0), 0);
	fd = openat(x->fd, "second", O_RDWR | O_CREAT | O_EXCL,
	    TARGET_TEMP_MODE);
	close(fd);
	assert_int_equal(renameat(x->fd, "second", x->fd, again), 0);
	assert_int_equal(target_temp_open(x->fd, again, &made, &fd), RC_IO);
	/* A link in its place is not followed. */
	assert_int_equal(unlink(in(x, "in/.sg~f")), 0);
	assert_int_equal(symlink("../out/g", in(x, "in/.sg~f")), 0);
	assert_int_equal(target_temp(x->fd, "f", again, &fd), RC_OK);
	close(fd);
	assert_int_equal(access(in(x, "out/g"), F_OK), -1);
}

static void
the_longest_names_have_temporary_ones(void **state)
{
	struct fix *x = *state;
	char name[256], other[256], a[TARGET_TEMP_NAME], b[TARGET_TEMP_NAME];
	int fd;

	memset(name, 'n', 255);
	name[255] = '\0';
	strcpy(other, name);
	other[254] = 'o';
	assert_int_equal(target_temp(x->fd, name, a, &fd), RC_OK);
	close(fd);
	assert_int_equal(target_temp(x->fd, other, b, &fd), RC_OK);
	close(fd);
	assert_string_not_equal(a, b);
	assert_int_equal(target_rename(x->fd, a, name), RC_OK);
}

static void
a_swapped_directory_is_not_followed(void **state)
{
	struct fix *x = *state;
	struct tdir root = { .id = 1 };
	struct tdir a = { .parent = &root, .id = 2, .name_len = 1,
		.name = "a" };
	struct tdir b = { .parent = &a, .id = 3, .name_len = 1, .name = "b" };
	struct tdir_cache c;
	int fd;

	tdir_cache_init(&c, &x->t);
	assert_int_equal(tdir_open(&c, &b, &fd), RC_OK);
	tdir_cache_clear(&c);
	assert_int_equal(rename(in(x, "in/a"), in(x, "in/was")), 0);
	assert_int_equal(mkdir(in(x, "out/b"), 0700), 0);
	assert_int_equal(symlink("../out", in(x, "in/a")), 0);
	assert_int_not_equal(tdir_open(&c, &b, &fd), RC_OK);
	tdir_cache_clear(&c);
}

static void
set_id_bits_need_their_owner(void **state)
{
	struct fix *x = *state;
	struct meta m = { .mode = S_IFREG | 06755, .uid = 1000, .gid = 1000 };
	struct stat st;
	int fd;

	fd = open(in(x, "in/f"), O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fchown(fd, 4000, 4000), geteuid() == 0 ? 0 : -1);
	if (geteuid() != 0 || seteuid(4000) != 0)
		skip();
	assert_int_equal(meta_apply(fd, &m) & META_NO_OWNER, META_NO_OWNER);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(meta_apply(fd, &m), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 06755);
	assert_int_equal(st.st_uid, 1000);
	close(fd);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(no_path_leads_out_of_the_target),
		T(no_path_leads_out_without_openat2),
		T(names_that_are_no_names_are_refused),
		T(a_temporary_file_replaces_only_its_like),
		T(the_longest_names_have_temporary_ones),
		T(a_swapped_directory_is_not_followed),
		T(set_id_bits_need_their_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
