#include "config.h"

#include "client/engine/walk.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/engine/match.h"
#include "client/engine/walk_priv.h"
#include "common/num.h"
#include "common/rc.h"

static char root[64];

struct seen {
	char	text[16384];		/* what was seen below root, in order */
	size_t	len, skips, notes, dirs, deepest, depth;
};

static int
setup(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/walk_test.XXXXXX");
	assert_non_null(mkdtemp(root));
	return 0;
}

static void
remove_below(int at)
{
	struct names n;
	size_t i;
	int fd;

	assert_int_equal(names_read(&n, at), RC_OK);
	for (i = 0; i < n.n; i++) {
		if (unlinkat(at, n.name[i] + 1, 0) == 0)
			continue;
		fd = openat(at, n.name[i] + 1, O_RDONLY | O_DIRECTORY);
		remove_below(fd);
		close(fd);
		unlinkat(at, n.name[i] + 1, AT_REMOVEDIR);
	}
	names_free(&n);
}

static int
teardown(void **state)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY);

	(void)state;
	remove_below(fd);
	close(fd);
	rmdir(root);
	return 0;
}

static void
put(const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
put_dir(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void
see(struct seen *s, const struct walk_dir *d, const char *name,
    const char *tail)
{
	struct wbuf path = WBUF_INIT(1 << 20);
	const char *p;

	walk_path(d, name, &path);
	assert_int_equal(wbuf_rc(&path), RC_OK);
	p = (const char *)path.data;
	if (strncmp(p, root, strlen(root)) == 0 && p[strlen(root)] != '\0' &&
	    strlen(p) + 3 < sizeof(s->text) - s->len)
		s->len += (size_t)snprintf(s->text + s->len,
		    sizeof(s->text) - s->len, "%s%s ", p + strlen(root) + 1,
		    tail);
	wbuf_free(&path);
}

static int
on_enter(void *arg, struct walk_dir *d, const char *name,
    const struct stat *st)
{
	struct seen *s = arg;

	(void)name;
	assert_true(S_ISDIR(st->st_mode));
	s->dirs++;
	if (++s->depth > s->deepest)
		s->deepest = s->depth;
	see(s, d, NULL, "/");
	return RC_OK;
}

static int
on_leave(void *arg, struct walk_dir *d)
{
	(void)d;
	((struct seen *)arg)->depth--;
	return RC_OK;
}

static int
on_entry(void *arg, struct walk_dir *d, const char *name,
    const struct stat *st)
{
	assert_false(S_ISDIR(st->st_mode));
	assert_true(d->fd != -1);
	see(arg, d, name, "");
	return RC_OK;
}

static void
on_skip(void *arg, const struct walk_dir *d, const char *name,
    const char *reason)
{
	(void)d;
	(void)name;
	assert_non_null(reason);
	((struct seen *)arg)->skips++;
}

static void
on_note(void *arg, const struct walk_dir *d, const char *name,
    const char *text)
{
	(void)d;
	(void)name;
	assert_non_null(text);
	((struct seen *)arg)->notes++;
}

static int
on_flush(void *arg)
{
	(void)arg;
	return RC_OK;
}

static size_t
walk(struct seen *s, struct walk_opt *o)
{
	const struct walk_ops ops = { s, on_enter, on_leave, on_entry,
	    on_skip, on_note, on_flush, NULL };
	const char *paths[] = { root };
	size_t found;

	memset(s, 0, sizeof(*s));
	if (o->npaths == 0) {
		o->paths = paths;
		o->npaths = 1;
	}
	assert_int_equal(walk_run(o, &ops, &found), RC_OK);
	assert_int_equal(s->depth, 0);
	return found;
}

static void
names_come_in_the_order_of_their_bytes(void **state)
{
	struct walk_opt o = { 0 };
	struct seen s;

	(void)state;
	put("b", "");
	put("B", "");
	put_dir("a");
	put("a/z", "");
	put("a-", "");
	put("\xff", "");
	assert_int_equal(walk(&s, &o), 1);
	assert_string_equal(s.text, "B a/ a/z a- b \xff ");
}

static void
symlinks_are_never_followed(void **state)
{
	struct walk_opt o = { 0 };
	const char *paths[1];
	char path[128];
	struct seen s;

	(void)state;
	put_dir("real");
	put("real/x", "");
	snprintf(path, sizeof(path), "%s/link", root);
	assert_int_equal(symlink("real", path), 0);
	walk(&s, &o);
	assert_string_equal(s.text, "link real/ real/x ");
	snprintf(path, sizeof(path), "%s/link/x", root);
	paths[0] = path;
	o.paths = paths;
	o.npaths = 1;
	assert_int_equal(walk(&s, &o), 0);
	assert_int_equal(s.skips, 1);
}

static void
only_what_was_asked_for_is_seen(void **state)
{
	char a[128], b[128], c[128];
	const char *paths[] = { a, b, c };
	struct walk_opt o = { .paths = paths, .npaths = 3 };
	struct seen s;

	(void)state;
	put_dir("d");
	put_dir("d/e");
	put("d/e/1", "");
	put("d/e/2", "");
	put("d/other", "");
	put("d-file", "");
	snprintf(a, sizeof(a), "%s/d-file", root);
	snprintf(b, sizeof(b), "%s//d/./e/", root);
	snprintf(c, sizeof(c), "%s/d/e/2", root);
	assert_int_equal(walk(&s, &o), 2);	/* c is below b */
	assert_string_equal(s.text, "d/ d/e/ d/e/1 d/e/2 d-file ");
}

static void
a_missing_path_is_told_and_the_others_are_walked(void **state)
{
	char a[128], b[128];
	const char *paths[] = { a, b };
	struct walk_opt o = { .paths = paths, .npaths = 2 };
	struct seen s;

	(void)state;
	put("here", "");
	snprintf(a, sizeof(a), "%s/here", root);
	snprintf(b, sizeof(b), "%s/gone/deep", root);
	assert_int_equal(walk(&s, &o), 1);
	assert_int_equal(s.skips, 1);
	assert_string_equal(s.text, "here ");
}

static void
paths_must_be_absolute_and_without_dots(void **state)
{
	const struct walk_ops ops = { NULL, on_enter, on_leave, on_entry,
	    on_skip, on_note, on_flush, NULL };
	const char *bad[] = { "relative", "/a/../b" };
	struct walk_opt o = { .npaths = 1 };
	size_t i, found;

	(void)state;
	for (i = 0; i < NITEMS(bad); i++) {
		o.paths = &bad[i];
		assert_int_equal(walk_run(&o, &ops, &found), RC_RANGE);
	}
}

static void
excluded_names_and_paths_are_left_out(void **state)
{
	char deep[128];
	const char *patterns[] = { "*.o", "cache", deep };
	struct walk_opt o = { .exclude = patterns, .nexclude = 3 };
	struct seen s;

	(void)state;
	put("x.o", "");
	put("x.c", "");
	put_dir("cache");
	put("cache/y", "");
	put_dir("k");
	put("k/tmp", "");
	put("k/tmp2", "");
	snprintf(deep, sizeof(deep), "%s/k/tmp", root);
	walk(&s, &o);
	assert_string_equal(s.text, "k/ k/tmp2 x.c ");
}

static void
a_tagged_cache_keeps_its_tag_only(void **state)
{
	struct walk_opt o = { .exclude_caches = true };
	struct seen s;

	(void)state;
	put_dir("c");
	put("c/CACHEDIR.TAG",
	    "Signature: 8a477f597d28d172789f06886806bc55\n# x");
	put("c/data", "");
	put_dir("d");
	put("d/CACHEDIR.TAG", "Signature: no");
	put("d/data", "");
	walk(&s, &o);
	assert_string_equal(s.text,
	    "c/ c/CACHEDIR.TAG d/ d/CACHEDIR.TAG d/data ");
}

static void
depth_has_no_limit_and_descriptors_do(void **state)
{
	struct walk_opt o = { 0 };
	int fd, next, i, before = dup(0);
	struct seen s;

	(void)state;
	close(before);
	fd = open(root, O_RDONLY | O_DIRECTORY);
	for (i = 0; i < 500; i++) {
		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		next = openat(fd, "z", O_WRONLY | O_CREAT, 0600);
		close(next);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		close(fd);
		fd = next;
	}
	close(fd);
	walk(&s, &o);
	assert_int_equal(s.deepest, 503);
	assert_int_equal(s.skips, 0);
	next = dup(0);
	assert_int_equal(next, before);		/* nothing stayed open */
	close(next);
}

static void
the_kernels_own_file_systems_are_left_out(void **state)
{
	const char *paths[] = { "/proc" };
	struct walk_opt o = { .paths = paths, .npaths = 1 };
	struct seen s;

	(void)state;
	walk(&s, &o);
	assert_int_equal(s.notes, 1);
	assert_int_equal(s.dirs, 2);
}

static void
patterns_match_as_written(void **state)
{
	static const struct {
		const char	*pattern, *text;
		bool		 hit;
	} t[] = {
		{ "*.o", "a.o", true },
		{ "*.o", "a.c", false },
		{ "*.o", "d/a.o", false },
		{ "a?c", "abc", true },
		{ "a?c", "a/c", false },
		{ "[a-c]x", "bx", true },
		{ "[!a-c]x", "bx", false },
		{ "[!a-c]x", "dx", true },
		{ "[]]", "]", true },
		{ "[a", "[a", true },
		{ "\\*", "*", true },
		{ "\\*", "x", false },
		{ "/home/*/.cache", "/home/u/.cache", true },
		{ "/home/*/.cache", "/home/u/v/.cache", false },
		{ "/home/**/.cache", "/home/u/v/.cache", true },
		{ "/home/**/.cache", "/home/.cache", true },
		{ "**/x", "/a/b/x", true },
		{ "/a/**", "/a/b/c", true },
		{ "/a/**", "/b/c", false },
		{ "*a*b*c", "xxaxxbxxc", true },
		{ "*a*b*c", "xxaxxbxx", false },
		{ "", "", true },
		{ "", "a", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(t); i++)
		if (match_glob(t[i].pattern, t[i].text) != t[i].hit)
			fail_msg("%s and %s", t[i].pattern, t[i].text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(names_come_in_the_order_of_their_bytes),
		T(symlinks_are_never_followed),
		T(only_what_was_asked_for_is_seen),
		T(a_missing_path_is_told_and_the_others_are_walked),
		T(paths_must_be_absolute_and_without_dots),
		T(excluded_names_and_paths_are_left_out),
		T(a_tagged_cache_keeps_its_tag_only),
		T(depth_has_no_limit_and_descriptors_do),
		T(the_kernels_own_file_systems_are_left_out),
		cmocka_unit_test(patterns_match_as_written),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
