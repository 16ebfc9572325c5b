#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "client/engine/pool.h"
#include "client/engine/restore_impl.h"
#include "client/engine/target.h"
#include "common/rc.h"
#include "fake_vault.h"

static const struct restore_opt latest = { .snap = "latest",
	.overwrite = OVERWRITE_ALWAYS };

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	world_open(w);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	world_close(*state);
	free(*state);
	return 0;
}

static void
set_time(const char *path, time_t sec, long ns)
{
	struct timespec ts[2] = { { sec, ns }, { sec, ns } };

	assert_int_equal(utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW),
	    0);
}

/* A little of everything. */
static void
make_tree(struct world *w)
{
	char name[64];
	int i, fd;

	assert_int_equal(mkdir(world_path(w, "src/a"), 0755), 0);
	assert_int_equal(mkdir(world_path(w, "src/a/empty"), 0711), 0);
	assert_int_equal(mkdir(world_path(w, "src/b"), 0755), 0);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "src/a/file%03d", i);
		world_file(w, name, NULL, (size_t)i * i / 4, (unsigned)i);
	}
	world_file(w, "src/a/none", "", 0, 0);
	world_file(w, "src/b/one chunk", NULL, 300000, 1);
	world_file(w, "src/b/few chunks", NULL, 900001, 2);
	world_file(w, "src/b/many chunks", NULL, 5000000, 3);
	world_file(w, "src/b/\xff\x01 odd\n", NULL, 1000, 4);
	/* data, hole, data, hole */
	fd = open(world_path(w, "src/b/sparse"), O_RDWR | O_CREAT, 0600);
	assert_int_equal(pwrite(fd, "begin", 5, 0), 5);
	assert_int_equal(pwrite(fd, "middle", 6, 8 << 20), 6);
	assert_int_equal(ftruncate(fd, 20 << 20), 0);
	close(fd);
	fd = open(world_path(w, "src/b/all hole"), O_RDWR | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 3 << 20), 0);
	close(fd);
	assert_int_equal(symlink("../a/none", world_path(w, "src/b/ln")), 0);
	assert_int_equal(link(world_path(w, "src/a/file200"),
	    world_path(w, "src/b/hard")), 0);
	assert_int_equal(link(world_path(w, "src/b/many chunks"),
	    world_path(w, "src/a/0hard")), 0);
	assert_int_equal(mkfifo(world_path(w, "src/b/fifo"), 0604), 0);
	assert_int_equal(mknod(world_path(w, "src/b/sock"), S_IFSOCK | 0600,
	    0), 0);
	if (geteuid() == 0) {
		assert_int_equal(mknod(world_path(w, "src/b/dev"),
		    S_IFCHR | 0640, makedev(1, 3)), 0);
		assert_int_equal(chown(world_path(w, "src/a/file010"), 1234,
		    4321), 0);
		assert_int_equal(lchown(world_path(w, "src/b/ln"), 77, 78), 0);
		assert_int_equal(chown(world_path(w, "src/a/empty"), 12, 13),
		    0);
	}
	assert_int_equal(chmod(world_path(w, "src/a/file010"), 06755), 0);
	assert_int_equal(chmod(world_path(w, "src/a/file011"), 0400), 0);
	(void)setxattr(world_path(w, "src/a/file012"), "user.colour", "red", 3,
	    0);
	set_time(world_path(w, "src/a/file013"), 1, 999999999);
	set_time(world_path(w, "src/a/file014"), -5, 5);
	set_time(world_path(w, "src/b/ln"), 123456, 7);
	set_time(world_path(w, "src/b/fifo"), 1234567, 8);
	set_time(world_path(w, "src/a/empty"), 99, 1);
	set_time(world_path(w, "src/a"), 1000, 2);
	assert_int_equal(chmod(world_path(w, "src/b"), 0555), 0);
	set_time(world_path(w, "src/b"), 2000, 3);
}

static void
a_tree_comes_back_as_it_was(void **state)
{
	struct world *w = *state;

	make_tree(w);
	world_backup(w, "src", "job");
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
	assert_int_equal(w->seen.n[EVENT_SKIPPED], 0);
	assert_int_equal(w->seen.n[EVENT_SUMMARY], 1);
}

static void
it_does_so_without_openat2(void **state)
{
	struct world *w = *state;

	make_tree(w);
	world_backup(w, "src", "job");
	target_without_openat2(true);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	target_without_openat2(false);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

/* Windows of a few files: large files and links reach across them. */
static void
small_windows_give_the_same(void **state)
{
	struct world *w = *state;
	size_t n;

	make_tree(w);
	world_backup(w, "src", "job");
	for (n = 1; n < 200; n = n * 3 + 1) {
		restore_window_size(n);
		assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
		assert_int_equal(world_differ(world_path(w, "src"),
		    world_path(w, "dst")), 0);
		assert_int_equal(rename(world_path(w, "dst"),
		    world_path(w, "old")), 0);
		assert_int_equal(mkdir(world_path(w, "dst"), 0700), 0);
		assert_int_equal(rename(world_path(w, "old"),
		    world_path(w, "out/old")), 0);
		assert_int_equal(rename(world_path(w, "out"),
		    world_path(w, "out2")), 0);
		assert_int_equal(mkdir(world_path(w, "out"), 0700), 0);
		assert_int_equal(rename(world_path(w, "out2"),
		    world_path(w, "out/more")), 0);
	}
	restore_window_size(WINDOW_SIZE);
}

static void
each_object_is_fetched_once(void **state)
{
	struct world *w = *state;
	size_t i;

	make_tree(w);
	world_backup(w, "src", "job");
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	for (i = 0; i < w->f.nobj; i++)
		assert_int_equal(w->f.obj[i].asked, 1);
}

static void
a_second_restore_fetches_directories_only(void **state)
{
	struct world *w = *state;
	struct stat a, b;

	make_tree(w);
	world_backup(w, "src", "job");
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(stat(world_path(w, "dst/b/few chunks"), &a), 0);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(stat(world_path(w, "dst/b/few chunks"), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	/* root, a/empty, b, the leaves of a: 302 entries of about 80 bytes */
	assert_in_range(w->f.gets, 4, 24);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

static void
only_what_differs_is_written(void **state)
{
	struct world *w = *state;
	struct stat a, b;

	make_tree(w);
	world_backup(w, "src", "job");
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(stat(world_path(w, "dst/a/file100"), &a), 0);
	world_file(w, "dst/a/file101", "other", 5, 0);
	assert_int_equal(unlink(world_path(w, "dst/a/file102")), 0);
	assert_int_equal(unlink(world_path(w, "dst/a/none")), 0);
	assert_int_equal(mkdir(world_path(w, "dst/a/none"), 0700), 0);
	assert_int_equal(chmod(world_path(w, "dst/a/file103"), 0), 0);
	assert_int_equal(unlink(world_path(w, "dst/b/hard")), 0);
	assert_int_equal(rmdir(world_path(w, "dst/a/empty")), 0);
	world_file(w, "dst/a/empty", "x", 1, 0);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(stat(world_path(w, "dst/a/file100"), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

static void
existing_files_are_kept_when_asked(void **state)
{
	struct restore_opt o = { .snap = "latest",
		.overwrite = OVERWRITE_NEVER };
	struct world *w = *state;
	struct stat st;

	world_file(w, "src/f", "saved", 5, 0);
	world_file(w, "src/g", "saved", 5, 0);
	set_time(world_path(w, "src/f"), 1000, 0);
	set_time(world_path(w, "src/g"), 1000, 0);
	world_backup(w, "src", "job");
	world_file(w, "dst/f", "mine", 4, 0);
	assert_int_equal(world_restore(w, &o, "dst"), EXIT_DONE);
	assert_int_equal(stat(world_path(w, "dst/f"), &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(stat(world_path(w, "dst/g"), &st), 0);
	assert_int_equal(st.st_size, 5);
	/* `newer`: the saved one is older than what is there, or newer */
	o.overwrite = OVERWRITE_NEWER;
	assert_int_equal(world_restore(w, &o, "dst"), EXIT_DONE);
	assert_int_equal(stat(world_path(w, "dst/f"), &st), 0);
	assert_int_equal(st.st_size, 4);
	set_time(world_path(w, "dst/f"), 999, 0);
	assert_int_equal(world_restore(w, &o, "dst"), EXIT_DONE);
	assert_int_equal(stat(world_path(w, "dst/f"), &st), 0);
	assert_int_equal(st.st_size, 5);
}

static void
content_is_compared_when_asked(void **state)
{
	struct restore_opt o = latest;
	struct world *w = *state;

	make_tree(w);
	world_backup(w, "src", "job");
	o.verify = true;
	assert_int_equal(world_restore(w, &o, "dst"), EXIT_DONE);
	/* Same length and time, another byte. */
	world_file(w, "dst/a/file200", NULL, 10000, 3);
	set_time(world_path(w, "dst/a/file200"), 5, 5);
	set_time(world_path(w, "src/a/file200"), 5, 5);
	assert_int_equal(world_restore(w, &o, "dst"), EXIT_DONE);
	set_time(world_path(w, "dst/a/file200"), 5, 5);
	set_time(world_path(w, "dst/a"), 1000, 2);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

static void
a_path_comes_alone(void **state)
{
	struct restore_opt o = { .snap = "latest", .path = "//a/",
		.overwrite = OVERWRITE_ALWAYS };
	struct world *w = *state;
	struct stat st;

	make_tree(w);
	world_backup(w, "src", "job");
	assert_int_equal(world_restore(w, &o, "dst"), EXIT_DONE);
	assert_int_equal(stat(world_path(w, "dst/file100"), &st), 0);
	assert_int_equal(stat(world_path(w, "dst"), &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000);	/* as /a has it */
	o.path = "/a/file007";
	assert_int_equal(world_restore(w, &o, "out"), EXIT_DONE);
	assert_int_equal(stat(world_path(w, "out/file007"), &st), 0);
	assert_int_equal(st.st_size, 12);
	o.path = "/a/nothing";
	assert_int_equal(world_restore(w, &o, "out"), EXIT_NOTHING);
	assert_non_null(strstr(w->text, "/a/nothing"));
	o.path = "/a/file007/x";
	assert_int_equal(world_restore(w, &o, "out"), EXIT_NOTHING);
}

static void
a_dry_run_lists_and_writes_nothing(void **state)
{
	struct restore_opt o = { .snap = "latest", .dry_run = true };
	struct world *w = *state;

	make_tree(w);
	world_backup(w, "src", "job");
	assert_int_equal(world_restore(w, &o, "dst"), EXIT_DONE);
	assert_true(world_saw(w, "/a/file100"));
	assert_true(world_saw(w, "/a"));
	assert_int_equal(rmdir(world_path(w, "dst")), 0);
	assert_int_equal(mkdir(world_path(w, "dst"), 0700), 0);
}

/* The object that holds a directory's first small files. */
static struct fake_object *
object_of_type(struct world *w, uint8_t type, size_t nth)
{
	struct object o;
	size_t i;

	for (i = 0; i < w->f.nobj; i++) {
		assert_int_equal(object_parse(w->f.obj[i].wire,
		    w->f.obj[i].len, &o), RC_OK);
		if (o.h.type == type && nth-- == 0)
			return &w->f.obj[i];
	}
	fail();
	return NULL;
}

static void
damage_is_named_and_the_rest_restores(void **state)
{
	struct world *w = *state;
	struct fake_object *o;
	struct stat st;

	world_file(w, "src/small1", NULL, 1000, 1);
	world_file(w, "src/small2", NULL, 2000, 2);
	world_file(w, "src/big", NULL, 700000, 3);
	world_file(w, "src/tiny", "tiny", 4, 0);
	world_backup(w, "src", "job");
	o = object_of_type(w, OBJECT_BUNDLE, 0);
	o->wire[200] ^= 1;
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_INTEGRITY);
	assert_true(world_saw(w, "/small1"));
	assert_true(world_saw(w, "/small2"));
	assert_false(world_saw(w, "/big"));
	assert_int_equal(w->seen.n[EVENT_FINDING], 1);
	assert_int_equal(access(world_path(w, "dst/small1"), F_OK), -1);
	assert_int_equal(stat(world_path(w, "dst/big"), &st), 0);
	assert_int_equal(st.st_size, 700000);
	assert_int_equal(access(world_path(w, "dst/tiny"), F_OK), 0);
	/* Mended: the next run brings what was missing. */
	o->wire[200] ^= 1;
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

/* A checksum that was mended too: only the keys tell. */
static void
deliberate_damage_is_found(void **state)
{
	struct world *w = *state;
	struct fake_object *o;

	world_file(w, "src/big", NULL, 700000, 3);
	world_file(w, "src/other", NULL, 1000, 3);
	world_backup(w, "src", "job");
	o = object_of_type(w, OBJECT_CHUNK, 1);
	o->wire[5000] ^= 1;
	object_set_crc(o->wire, o->len);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_INTEGRITY);
	assert_true(world_saw(w, "/big"));
	assert_int_equal(access(world_path(w, "dst/other"), F_OK), 0);
	assert_int_equal(access(world_path(w, "dst/big"), F_OK), -1);
	assert_int_equal(access(world_path(w, "dst/.sg~big"), F_OK), -1);
}

/* What somebody with the client's session, but not its keys, can do. */
static void
records_that_do_not_open_hide_nothing(void **state)
{
	static const uint8_t most[] = { 1, 5, PROTO_COPIES_MAX - 1 };
	struct world *w = *state;
	size_t i, k;

	make_tree(w);
	world_backup(w, "src", "job");
	for (k = 0; k < sizeof(most); k++) {
		for (i = 0; i < w->f.nobj; i++)
			w->f.obj[i].junk = (uint8_t)(i % (most[k] + 1u));
		w->f.obj[w->f.nobj - 1].junk = most[k];
		object_of_type(w, OBJECT_BUNDLE, 0)->junk = most[k];
		object_of_type(w, OBJECT_CHUNK, 0)->junk = most[k];
		assert_int_equal(world_restore(w, &latest, k == 0 ? "dst" :
		    k == 1 ? "out" : "config"), EXIT_DONE);
		assert_int_equal(w->seen.n[EVENT_FINDING], 0);
	}
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "out")), 0);
	/* More than a server keeps: it ends, and says what is lost. */
	object_of_type(w, OBJECT_BUNDLE, 0)->junk = PROTO_COPIES_MAX;
	object_of_type(w, OBJECT_MAP, 0)->junk = PROTO_COPIES_MAX;
	assert_int_equal(rename(world_path(w, "dst"),
	    world_path(w, "dst.1")), 0);
	assert_int_equal(mkdir(world_path(w, "dst"), 0700), 0);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_INTEGRITY);
	assert_int_equal(w->seen.n[EVENT_FINDING], 2);
}

/* With the keys too: a bundle under any id has a tag that is right. */
static void
a_bundle_in_the_place_of_anything_hides_nothing(void **state)
{
	struct world *w = *state;
	struct fake_object *o;
	uint8_t *wire;
	size_t i;

	make_tree(w);
	world_backup(w, "src", "job");
	for (i = 0; i < w->f.nobj; i++) {
		o = &w->f.obj[i];
		assert_non_null(wire = malloc(seal_room(5, 0)));
		assert_int_equal(seal_object(w->s, OBJECT_BUNDLE, 0, &o->id,
		    NULL, 0, "other", 5, wire, &o->bait_len), RC_OK);
		o->bait = wire;
		o->junk = 3;
	}
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
	for (i = 0; i < w->f.nobj; i++)
		free((void *)(uintptr_t)w->f.obj[i].bait);
}

static void
a_lost_directory_costs_only_itself(void **state)
{
	struct world *w = *state;
	size_t i;

	make_tree(w);
	world_backup(w, "src", "job");
	for (i = 0; i < w->f.nobj; i++)
		if (w->f.obj[i].wire[1] == OBJECT_DIR_LEAF)
			break;
	/* Nodes come bottom up: the first is a/empty or b, none the root. */
	w->f.obj[i].gone = true;
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_INTEGRITY);
	assert_int_equal(w->seen.n[EVENT_FINDING], 1);
	assert_int_equal(access(world_path(w, "dst/a"), F_OK), 0);
	assert_int_equal(access(world_path(w, "dst/b"), F_OK), 0);
}

static void
a_lost_map_costs_only_its_file(void **state)
{
	struct world *w = *state;

	make_tree(w);
	world_backup(w, "src", "job");
	object_of_type(w, OBJECT_MAP, 0)->gone = true;
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_INTEGRITY);
	assert_true(world_saw(w, "/a/0hard"));
	assert_int_equal(access(world_path(w, "dst/b/few chunks"), F_OK), 0);
	assert_int_equal(access(world_path(w, "dst/a/0hard"), F_OK), -1);
	assert_int_equal(access(world_path(w, "dst/a/.sg~0hard"), F_OK), -1);
}

static void
an_interrupted_restore_goes_on(void **state)
{
	struct world *w = *state;
	uint64_t gets;
	unsigned n;

	make_tree(w);
	world_backup(w, "src", "job");
	assert_int_equal(world_restore(w, &latest, "out"), EXIT_DONE);
	gets = w->f.gets;
	for (n = 4; n < 12; n++) {
		w->f.bad.close_after = n;
		if (world_restore(w, &latest, "dst") == EXIT_DONE)
			break;
		assert_non_null(strstr(w->text, "again"));
	}
	w->f.bad.close_after = 0;
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_true(w->f.gets <= gets);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

static void
what_a_killed_restore_left_is_replaced(void **state)
{
	struct world *w = *state;

	make_tree(w);
	/* A person's own file of such a name is left alone. */
	world_file(w, "src/a/.sg~file100", "mine", 4, 0);
	set_time(world_path(w, "src/a"), 1000, 2);
	world_backup(w, "src", "job");
	assert_int_equal(mkdir(world_path(w, "dst/a"), 0700), 0);
	world_file(w, "dst/a/.sg~file101", "half", 4, 0);
	assert_int_equal(chmod(world_path(w, "dst/a/.sg~file101"),
	    TARGET_TEMP_MODE), 0);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

static void
a_symlink_in_the_target_leads_nowhere(void **state)
{
	struct restore_opt never = { .snap = "latest",
		.overwrite = OVERWRITE_NEVER };
	struct world *w = *state;

	make_tree(w);
	world_backup(w, "src", "job");
	assert_int_equal(symlink(world_path(w, "out"),
	    world_path(w, "dst/a")), 0);
	assert_int_equal(symlink("../out", world_path(w, "dst/b")), 0);
	assert_int_equal(world_restore(w, &never, "dst"), EXIT_PARTIAL);
	assert_true(world_saw(w, "/a"));
	assert_int_equal(rmdir(world_path(w, "out")), 0);	/* empty */
	assert_int_equal(mkdir(world_path(w, "out"), 0700), 0);
	/* A file in the way that is a link: the link goes. */
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(rmdir(world_path(w, "out")), 0);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

static void
hostile_names_are_damage(void **state)
{
	static const char *const bad[] = { "..", "a/", "/x" };
	struct world *w = *state;
	char name[64];
	size_t i;

	for (i = 0; i < 3; i++) {
		world_close(w);
		world_open(w);
		world_file(w, "src/xx", "content", 7, 0);
		w->from = "\x02xx";
		snprintf(name, sizeof(name), "\x02%s", bad[i]);
		w->to = name;
		world_backup(w, "src", "job");
		w->from = NULL;
		assert_int_equal(world_restore(w, &latest, "dst"),
		    EXIT_INTEGRITY);
		assert_int_equal(rmdir(world_path(w, "dst")), 0);
		assert_int_equal(mkdir(world_path(w, "dst"), 0700), 0);
	}
}

static void
deep_paths_are_no_limit(void **state)
{
	struct world *w = *state;
	char name[201];
	int fd, next, i;

	memset(name, 'd', 200);
	name[200] = '\0';
	fd = open(world_path(w, "src"), O_RDONLY | O_DIRECTORY);
	for (i = 0; i < 60; i++) {
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	next = openat(fd, "deep", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(next, "here", 4), 4);
	close(next);
	close(fd);
	world_backup(w, "src", "job");
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

static void
equal_directories_share_their_node(void **state)
{
	struct world *w = *state;
	const char *sub[] = { "one", "two", "three" };
	char path[64];
	size_t i;

	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "src/%s", sub[i]);
		assert_int_equal(mkdir(world_path(w, path), 0755), 0);
		snprintf(path, sizeof(path), "src/%s/f", sub[i]);
		world_file(w, path, NULL, 5000, 1);
		set_time(world_path(w, path), 5, 5);
		snprintf(path, sizeof(path), "src/%s", sub[i]);
		set_time(world_path(w, path), 5, 5);
	}
	world_backup(w, "src", "job");
	assert_int_equal(w->f.nobj, 3);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

static void
a_large_set_of_attributes_comes_back(void **state)
{
	struct world *w = *state;
	char value[3000];

	memset(value, 'v', sizeof(value));
	world_file(w, "src/f", NULL, 5000, 1);
	if (setxattr(world_path(w, "src/f"), "user.a", value, 1500, 0) != 0)
		skip();
	(void)setxattr(world_path(w, "src/f"), "user.b", value, 2000, 0);
	(void)setxattr(world_path(w, "src/f"), "user.c", value, 3000, 0);
	world_backup(w, "src", "job");
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

static void
an_older_latest_is_refused(void **state)
{
	struct job_state j = { .label = "job", .sequence = 7, .vault_seq = 7 };
	struct restore_opt by_id = latest;
	struct world *w = *state;
	char hex[16] = "";
	struct object_id id;
	size_t i;

	world_file(w, "src/f", "x", 1, 0);
	world_backup(w, "src", "job");
	assert_int_equal(keys_job_id(&w->k, "job", j.job), RC_OK);
	memset(j.snapshot, 9, sizeof(j.snapshot));
	assert_int_equal(job_save(w->e.state, &j), RC_OK);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_INTEGRITY);
	assert_non_null(strstr(w->text, "older"));
	/* Who names it by its id has decided. */
	assert_int_equal(snapshot_id(w->f.snap[0].client, w->f.snap[0].len,
	    &id), RC_OK);
	for (i = 0; i < 6; i++)
		snprintf(hex + 2 * i, 3, "%02x", id.b[i]);
	by_id.snap = hex;
	assert_int_equal(world_restore(w, &by_id, "dst"), EXIT_DONE);
}

static void
an_old_snapshot_under_a_new_number_is_refused(void **state)
{
	struct job_state j = { .label = "job", .sequence = 99 };
	struct world *w = *state;
	struct object_id id;

	world_file(w, "src/f", "x", 1, 0);
	world_backup(w, "src", "job");
	world_file(w, "src/g", "y", 1, 0);
	world_backup(w, "src", "job");
	assert_int_equal(keys_job_id(&w->k, "job", j.job), RC_OK);
	assert_int_equal(snapshot_id(w->f.snap[0].client, w->f.snap[0].len,
	    &id), RC_OK);
	memcpy(j.snapshot, id.b, sizeof(j.snapshot));
	j.vault_seq = w->f.snap[0].server.vault_seq;
	/* What we remember is there; behind it stands what we made before. */
	assert_int_equal(job_save(w->e.state, &j), RC_OK);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_INTEGRITY);
	assert_non_null(strstr(w->text, "history"));
}

static void
a_damaged_memory_of_a_job_says_what_to_do(void **state)
{
	struct job_state j = { .label = "job", .sequence = 1 };
	struct world *w = *state;
	char path[96] = "state/jobs/";
	size_t i;

	world_file(w, "src/f", "x", 1, 0);
	world_backup(w, "src", "job");
	assert_int_equal(keys_job_id(&w->k, "job", j.job), RC_OK);
	assert_int_equal(job_save(w->e.state, &j), RC_OK);
	for (i = 0; i < sizeof(j.job); i++)
		snprintf(path + strlen(path), 3, "%02x", j.job[i]);
	assert_int_equal(truncate(world_path(w, path), 5), 0);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_FAILED);
	assert_non_null(strstr(w->text, "Put it back"));
}

/* A user's file by the same size and time, that is root's under another name. */
static void
the_second_name_of_somebody_elses_file_is_not_given_away(void **state)
{
	struct world *w = *state;
	struct stat st;

	if (geteuid() != 0)
		skip();
	world_file(w, "src/f", "content", 7, 0);
	assert_int_equal(chown(world_path(w, "src/f"), 1234, 1234), 0);
	set_time(world_path(w, "src/f"), 1000, 5);
	world_backup(w, "src", "job");
	world_file(w, "out/shadow", "secrets", 7, 0);
	assert_int_equal(chmod(world_path(w, "out/shadow"), 0600), 0);
	set_time(world_path(w, "out/shadow"), 1000, 5);
	assert_int_equal(link(world_path(w, "out/shadow"),
	    world_path(w, "dst/f")), 0);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	assert_int_equal(stat(world_path(w, "out/shadow"), &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(world_differ(world_path(w, "src"),
	    world_path(w, "dst")), 0);
}

static void
a_forged_snapshot_is_not_restored(void **state)
{
	struct world *w = *state;

	world_file(w, "src/f", "x", 1, 0);
	world_backup(w, "src", "job");
	w->f.snap[0].client[w->f.snap[0].len - 70] ^= 1;	/* sealed part */
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_INTEGRITY);
	assert_int_equal(rmdir(world_path(w, "dst")), 0);
	assert_int_equal(mkdir(world_path(w, "dst"), 0700), 0);
}

/* Not a test of the suite: SG_BENCH=DIR restores a copy of DIR and tells how
 * long it took. */
static void
bench(void **state)
{
	const char *dir = getenv("SG_BENCH");
	struct world *w = *state;
	struct timespec a, b;

	assert_non_null(dir);
	assert_int_equal(rmdir(world_path(w, "src")), 0);
	assert_int_equal(symlink(dir, world_path(w, "src")), 0);
	world_backup(w, "src", "job");
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(world_restore(w, &latest, "dst"), EXIT_DONE);
	clock_gettime(CLOCK_MONOTONIC, &b);
	print_message("%zu objects, %llu files: %.2f s; %s\n", w->f.nobj,
	    (unsigned long long)w->seen.files,
	    (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) /
	    1e9, w->text);
	assert_int_equal(world_differ(dir, world_path(w, "dst")), 0);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_tree_comes_back_as_it_was),
		T(it_does_so_without_openat2),
		T(small_windows_give_the_same),
		T(each_object_is_fetched_once),
		T(a_second_restore_fetches_directories_only),
		T(only_what_differs_is_written),
		T(existing_files_are_kept_when_asked),
		T(content_is_compared_when_asked),
		T(a_path_comes_alone),
		T(a_dry_run_lists_and_writes_nothing),
		T(damage_is_named_and_the_rest_restores),
		T(deliberate_damage_is_found),
		T(records_that_do_not_open_hide_nothing),
		T(a_bundle_in_the_place_of_anything_hides_nothing),
		T(a_lost_directory_costs_only_itself),
		T(a_lost_map_costs_only_its_file),
		T(an_interrupted_restore_goes_on),
		T(what_a_killed_restore_left_is_replaced),
		T(a_symlink_in_the_target_leads_nowhere),
		T(hostile_names_are_damage),
		T(deep_paths_are_no_limit),
		T(equal_directories_share_their_node),
		T(a_large_set_of_attributes_comes_back),
		T(an_older_latest_is_refused),
		T(an_old_snapshot_under_a_new_number_is_refused),
		T(a_damaged_memory_of_a_job_says_what_to_do),
		T(the_second_name_of_somebody_elses_file_is_not_given_away),
		T(a_forged_snapshot_is_not_restored),
	};
	const struct CMUnitTest timing[] = { T(bench) };
	int n = 0, rc;

	umask(022);
	assert_int_equal(pool_start(&n), RC_OK);
	rc = getenv("SG_BENCH") != NULL ?
	    cmocka_run_group_tests(timing, NULL, NULL) :
	    cmocka_run_group_tests(tests, NULL, NULL);
	pool_stop();
	return rc;
}
