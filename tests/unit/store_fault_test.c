#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/store/verify.h"
#include "tests/unit/store_help.h"

/*
 * The n-th call fails, for every n, once or from then on; then the power goes,
 * and with it all that was never synced.  Nothing that was acknowledged may be
 * lost, in the process that saw the fault nor in the next.
 *
 * The program is linked with --wrap for these calls.  Syncs are not made, only
 * noted: what a file held at its last one is what the disk has.
 */
enum call { CALL_NONE, CALL_FDATASYNC, CALL_FSYNC, CALL_PWRITE, CALL_FTRUNCATE,
	CALL_PREAD };

#define FILES	4096
#define ROUNDS	5

static struct {
	enum call	 call;
	int		 error;
	unsigned	 at, seen;	/* the call that fails; calls so far */
	bool		 for_ever, hit;
	struct {
		ino_t	 ino;
		off_t	 size;
	}		 synced[FILES];
	size_t		 nsynced;
} fault;

ssize_t	__real_pwrite(int fd, const void *p, size_t n, off_t off);
ssize_t	__wrap_pwrite(int fd, const void *p, size_t n, off_t off);
ssize_t	__real_pread(int fd, void *p, size_t n, off_t off);
ssize_t	__wrap_pread(int fd, void *p, size_t n, off_t off);
int	__real_ftruncate(int fd, off_t size);
int	__wrap_ftruncate(int fd, off_t size);
int	__wrap_fdatasync(int fd);
int	__wrap_fsync(int fd);

static bool
fails(enum call call)
{
	if (call != fault.call)
		return false;
	fault.seen++;
	if (fault.seen != fault.at && !(fault.for_ever &&
	    fault.seen > fault.at))
		return false;
	fault.hit = true;
	errno = fault.error;
	return true;
}

static off_t *
synced(int fd, off_t *size)
{
	struct stat sb;

	assert_int_equal(fstat(fd, &sb), 0);
	*size = sb.st_size;
	for (size_t i = 0; i < fault.nsynced; i++)
		if (fault.synced[i].ino == sb.st_ino)
			return &fault.synced[i].size;
	assert_true(fault.nsynced < FILES);
	fault.synced[fault.nsynced].ino = sb.st_ino;
	fault.synced[fault.nsynced].size = 0;
	return &fault.synced[fault.nsynced++].size;
}

int
__wrap_fdatasync(int fd)
{
	off_t size, *s = synced(fd, &size);

	if (!fails(CALL_FDATASYNC)) {
		*s = size;
		return 0;
	}
	/* What the kernel does then: the pages are clean, and not written. */
	for (off_t at = *s; at < size; at += 4096) {
		static const uint8_t zeros[4096];
		size_t n = size - at < 4096 ? (size_t)(size - at) : 4096;

		assert_int_equal(__real_pwrite(fd, zeros, n, at), (ssize_t)n);
	}
	errno = fault.error;
	return -1;
}

int
__wrap_fsync(int fd)
{
	(void)fd;
	return fails(CALL_FSYNC) ? -1 : 0;
}

ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t off)
{
	/* Half of it went out before the disk was full. */
	if (fails(CALL_PWRITE)) {
		if (fault.error == ENOSPC && n > 1)
			(void)__real_pwrite(fd, p, n / 2, off);
		errno = fault.error;
		return -1;
	}
	return __real_pwrite(fd, p, n, off);
}

ssize_t
__wrap_pread(int fd, void *p, size_t n, off_t off)
{
	return fails(CALL_PREAD) ? -1 : __real_pread(fd, p, n, off);
}

int
__wrap_ftruncate(int fd, off_t size)
{
	off_t old, *s;

	if (fails(CALL_FTRUNCATE))
		return -1;
	s = synced(fd, &old);
	if (*s > size)
		*s = size;
	return __real_ftruncate(fd, size);
}

static void
arm(enum call call, int error, unsigned at, bool for_ever)
{
	fault.call = call;
	fault.error = error;
	fault.at = at;
	fault.seen = 0;
	fault.hit = false;
	fault.for_ever = for_ever;
}

static void
cut_dir(const char *dir)
{
	char path[512];

	/* Names are told by number: there are few. */
	for (unsigned n = 1; n < 200; n++) {
		for (const char *kind = "dnj"; *kind != '\0'; kind++) {
			off_t size, *s;
			int fd;

			if (*kind == 'j')
				snprintf(path, sizeof(path),
				    "%s/journal/%04x", dir, n);
			else
				snprintf(path, sizeof(path),
				    "%s/packs/000/%04x.%c", dir, n, *kind);
			if ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0)
				continue;
			s = synced(fd, &size);
			if (*s < size)
				assert_int_equal(__real_ftruncate(fd, *s), 0);
			close(fd);
		}
	}
}

/* Large ones leave the buffer before anybody asks for a sync. */
static size_t chunk_len = 20000;
static uint64_t pack_target = 64 << 10;
static unsigned rounds = ROUNDS;

static uint32_t
base_of(unsigned round)
{
	return 1000 + round * 100;
}

/* Chunks, and one of the round before, if the vault says it has it. */
static bool
one_round(struct world *w, unsigned round)
{
	struct run_begin b = { 0 };
	uint32_t base = base_of(round), edges[6], leaf = base + 50;
	bool resumed;
	size_t n = 0;

	w->runs++;
	memcpy(b.run, &w->runs, sizeof(w->runs));
	memcpy(b.job, w->job, 16);
	if (run_begin(w->v, &w->grant, &b, &w->run, &resumed) != RC_OK)
		return false;
	for (uint32_t i = 0; i < 5; i++) {
		edges[n++] = base + i;
		if (put_chunk(w, base + i, chunk_len) != RC_OK)
			return false;
	}
	if (round > 0) {
		struct object_id id = id_of(base_of(round - 1));

		if (vault_have(w->v, w->run, &id) == HAVE_PRESENT)
			edges[n++] = base_of(round - 1);
	}
	if (put_node(w, 1, leaf, edges, n) != RC_OK ||
	    put_node(w, 2, leaf + 1, &leaf, 1) != RC_OK)
		return false;
	return commit_root(w, leaf + 1) == RC_OK;
}

/* Where the vault stands is where the client goes on. */
static void
follow(struct world *w)
{
	struct vjob *j = state_find_job(&w->v->state, w->grant.client, w->job);

	w->sequence = state_client(&w->v->state, w->grant.client)->last_seq;
	memset(&w->previous, 0, sizeof(w->previous));
	if (j != NULL)
		w->previous = j->newest;
}

static void
check_acknowledged(struct world *w, const bool *acked)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		if (acked[i])
			assert_true(tree_whole(w, base_of(i) + 51));
}

/* false: the fault did not come any more. */
static bool
one_fault(enum call call, int error, unsigned at, bool for_ever)
{
	bool acked[ROUNDS] = { false }, hit = false;
	struct world w;

	arm(CALL_NONE, 0, 0, false);
	fault.nsynced = 0;
	world_new(&w);
	w.opt.pack_target = pack_target;
	world_must_open(&w);
	arm(call, error, at, for_ever);
	for (unsigned i = 0; i < rounds; i++) {
		acked[i] = one_round(&w, i);
		/* When it is over, the next backup works. */
		assert_true(acked[i] || fault.hit);
		if (hit && !for_ever && !w.v->readonly)
			assert_true(acked[i]);
		hit = fault.hit;
		if (!acked[i] && w.run != NULL &&
		    run_find(w.v, w.run->id) == w.run)
			run_end(w.v, w.run);
		w.run = NULL;
		follow(&w);
	}
	arm(CALL_NONE, 0, 0, false);
	check_acknowledged(&w, acked);
	world_kill(&w);
	cut_dir(w.dir);
	world_must_open(&w);
	assert_false(w.v->readonly);
	check_acknowledged(&w, acked);
	follow(&w);
	assert_true(one_round(&w, ROUNDS));
	world_free(&w);
	return hit;
}

static void
each_fault(enum call call, int error)
{
	unsigned n = 1;

	for (int for_ever = 0; for_ever < 2; for_ever++)
		for (n = 1; one_fault(call, error, n, for_ever != 0); n++)
			assert_true(n < 2000);
	assert_true(n > 1);
}

static void
a_failing_fdatasync_loses_nothing_acknowledged(void **state)
{
	(void)state;
	each_fault(CALL_FDATASYNC, EIO);
	each_fault(CALL_FDATASYNC, ENOSPC);
}

static void
a_failing_fsync_loses_nothing_acknowledged(void **state)
{
	(void)state;
	each_fault(CALL_FSYNC, EIO);
}

static void
a_failing_write_loses_nothing_acknowledged(void **state)
{
	(void)state;
	each_fault(CALL_PWRITE, EIO);
	each_fault(CALL_PWRITE, ENOSPC);
	rounds = 2;
	chunk_len = 280000;
	pack_target = 1300000;
	each_fault(CALL_PWRITE, ENOSPC);
	rounds = ROUNDS;
	chunk_len = 20000;
	pack_target = 64 << 10;
}

static void
a_failing_read_loses_nothing_acknowledged(void **state)
{
	(void)state;
	each_fault(CALL_PREAD, EIO);
}

/* A read error is no torn end, whichever read of opening it is. */
static void
a_read_error_at_the_start_cuts_nothing(void **state)
{
	struct world w;
	unsigned n;
	uint64_t before;
	int rc = RC_OK;

	(void)state;
	arm(CALL_NONE, 0, 0, false);
	fault.nsynced = 0;
	world_new(&w);
	w.opt.pack_target = 64 << 10;
	world_must_open(&w);
	for (unsigned i = 0; i < 3; i++)
		assert_true(one_round(&w, i));
	world_kill(&w);
	before = dir_bytes(w.dir);
	for (n = 1; n < 2000; n++) {
		arm(CALL_PREAD, EIO, n, false);
		rc = world_open(&w);
		if (rc == RC_OK && !w.v->readonly && !fault.hit)
			break;
		arm(CALL_NONE, 0, 0, false);
		world_kill(&w);
		/* Only LOCK's text may be of another length. */
		assert_true(dir_bytes(w.dir) + 64 >= before);
	}
	assert_true(n > 1 && n < 2000);
	arm(CALL_NONE, 0, 0, false);
	world_kill(&w);
	world_must_open(&w);
	assert_false(w.v->readonly);
	for (unsigned i = 0; i < 3; i++)
		assert_true(tree_whole(&w, base_of(i) + 51));
	world_free(&w);
}

/* The journal could not be synced: nothing is written until a new start. */
static void
a_journal_that_fails_to_sync_makes_the_vault_read_only(void **state)
{
	struct run_begin b = { .run = { 9 } };
	bool resumed, seen = false;
	struct world w;

	(void)state;
	for (unsigned n = 1; n < 20 && !seen; n++) {
		arm(CALL_NONE, 0, 0, false);
		fault.nsynced = 0;
		world_new(&w);
		world_must_open(&w);
		assert_true(one_round(&w, 0));
		arm(CALL_FDATASYNC, EIO, n, false);
		assert_false(one_round(&w, 1) && fault.hit);
		seen = w.v->readonly;
		arm(CALL_NONE, 0, 0, false);
		if (seen)
			assert_int_equal(run_begin(w.v, &w.grant, &b, &w.run,
			    &resumed), RC_READONLY);
		assert_true(tree_whole(&w, base_of(0) + 51));
		world_kill(&w);
		world_free(&w);
	}
	assert_true(seen);
}

/* What came twice while the disk worked is written once. */
static void
a_snapshot_that_waits_twice_is_written_once(void **state)
{
	struct commit one = { 0 }, two = { 0 }, three = { 0 };
	uint32_t chunk = 1, leaf = 2;
	struct run *first;
	struct world w;
	size_t len;
	uint8_t *p;

	(void)state;
	arm(CALL_NONE, 0, 0, false);
	fault.nsynced = 0;
	world_new(&w);
	world_must_open(&w);
	world_run(&w);
	first = w.run;
	assert_int_equal(put_chunk(&w, 1, 100), RC_OK);
	assert_int_equal(put_node(&w, 1, 2, &chunk, 1), RC_OK);
	assert_int_equal(put_node(&w, 2, 3, &leaf, 1), RC_OK);
	world_run(&w);
	assert_int_equal(put_node(&w, 1, 2, &chunk, 1), RC_OK);
	assert_int_equal(put_node(&w, 2, 3, &leaf, 1), RC_OK);
	p = make_snapshot(&w, 3, &len);
	assert_int_equal(commit_check(w.v, first, &w.grant, p, len, &one),
	    RC_OK);
	assert_int_equal(commit_check(w.v, w.run, &w.grant, p, len, &two),
	    RC_OK);
	free(p);
	/* Another of the same job, from the same past. */
	p = make_snapshot(&w, 2, &len);
	assert_int_equal(commit_check(w.v, w.run, &w.grant, p, len, &three),
	    RC_OK);
	free(p);
	assert_int_equal(vault_sync(w.v), RC_OK);
	assert_int_equal(commit_write(w.v, &one), RC_OK);
	assert_int_equal(commit_write(w.v, &two), RC_BUSY);
	assert_int_equal(commit_write(w.v, &three), RC_OLDER);
	assert_int_equal(vault_sync(w.v), RC_OK);
	assert_int_equal(commit_finish(w.v, &one), RC_OK);
	assert_int_equal(w.v->state.nsnap, 1);
	commit_clear(&one);
	commit_clear(&two);
	commit_clear(&three);
	world_free(&w);
}

/* Nodes that name each other are no graph, and a crash makes them none. */
static void
a_circle_is_never_committed(void **state)
{
	uint32_t chunk = 1, leaf = 2, a = 10, b = 11;
	struct world w;

	(void)state;
	arm(CALL_NONE, 0, 0, false);
	fault.nsynced = 0;
	world_new(&w);
	world_must_open(&w);
	world_run(&w);
	assert_int_equal(put_chunk(&w, 1, 100), RC_OK);
	assert_int_equal(put_node(&w, 1, 10, &b, 1), RC_OK);
	assert_int_equal(put_node(&w, 1, 11, &a, 1), RC_OK);
	assert_int_equal(put_node(&w, 1, 2, &chunk, 1), RC_OK);
	assert_int_equal(put_node(&w, 2, 3, &leaf, 1), RC_OK);
	assert_int_equal(commit_root(&w, 3), RC_RANGE);
	world_free(&w);
}

/* What recovery finds without its edges can be read and vouches for nothing. */
static void
a_node_that_lost_an_edge_is_asked_for_again(void **state)
{
	struct object_id leaf_id = id_of(2);
	uint32_t chunk = 1, leaf = 2;
	char path[256];
	struct world w;
	size_t i, at;

	(void)state;
	arm(CALL_NONE, 0, 0, false);
	fault.nsynced = 0;
	world_new(&w);
	world_must_open(&w);
	world_run(&w);
	assert_int_equal(put_chunk(&w, 1, 100), RC_OK);
	assert_int_equal(put_node(&w, 1, 2, &chunk, 1), RC_OK);
	assert_int_equal(put_node(&w, 2, 3, &leaf, 1), RC_OK);
	assert_int_equal(commit_root(&w, 3), RC_OK);
	world_kill(&w);
	find_file(&w, "packs/000", ".d", path, sizeof(path));
	for (at = 64; at + 8 < file_size(path); at += 8)
		flip_byte(path, at);
	world_must_open(&w);
	assert_true(get_ok(&w, 2));
	assert_false(get_ok(&w, 1));
	world_run(&w);
	assert_int_equal(vault_have(w.v, w.run, &leaf_id), HAVE_AGAIN);
	assert_int_equal(put_node(&w, 2, 20, &leaf, 1), RC_OK);
	assert_int_equal(commit_root(&w, 20), RC_MISSING);
	for (i = 0; i < w.commit.nmissing; i++)
		if (memcmp(&w.commit.missing[i], &leaf_id,
		    sizeof(leaf_id)) == 0)
			break;
	assert_true(i < w.commit.nmissing);
	/* Sent again, with what it needs, it is whole. */
	assert_int_equal(put_node(&w, 1, 2, &chunk, 1), RC_OK);
	assert_int_equal(commit_root(&w, 20), RC_MISSING);
	assert_int_equal(put_chunk(&w, 1, 100), RC_OK);
	assert_int_equal(commit_root(&w, 20), RC_OK);
	assert_true(tree_whole(&w, 20));
	world_kill(&w);
	world_must_open(&w);
	assert_true(tree_whole(&w, 20));
	world_run(&w);
	assert_int_equal(vault_have(w.v, w.run, &leaf_id), HAVE_PRESENT);
	world_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_failing_fdatasync_loses_nothing_acknowledged),
		cmocka_unit_test(a_failing_fsync_loses_nothing_acknowledged),
		cmocka_unit_test(a_failing_write_loses_nothing_acknowledged),
		cmocka_unit_test(a_failing_read_loses_nothing_acknowledged),
		cmocka_unit_test(a_read_error_at_the_start_cuts_nothing),
		cmocka_unit_test(
		    a_journal_that_fails_to_sync_makes_the_vault_read_only),
		cmocka_unit_test(a_snapshot_that_waits_twice_is_written_once),
		cmocka_unit_test(a_circle_is_never_committed),
		cmocka_unit_test(a_node_that_lost_an_edge_is_asked_for_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
