#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/engine/state.h"
#include "common/io.h"
#include "common/rc.h"

static char dir[64];
static struct state *st;
static struct keys keys;

static int
set_up(void **unused)
{
	int fd;

	(void)unused;
	strcpy(dir, "/tmp/state-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(state_open(&st, fd, fd), RC_OK);
	memset(&keys, 0, sizeof(keys));
	return 0;
}

static void
remove_all(int fd)
{
	static const char *const names[] = {
		"client", "keys", "sequence", "lock",
		"jobs/00000000000000000000000000000007",
		"jobs/00000000000000000000000000000007.lock",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlinkat(fd, names[i], 0);
	(void)unlinkat(fd, "jobs", AT_REMOVEDIR);
}

static int
tear_down(void **unused)
{
	(void)unused;
	remove_all(st->config_fd);
	state_free(st);
	keys_clear(&keys);
	(void)rmdir(dir);
	return 0;
}

static void
fill(void)
{
	strcpy(st->host, "backup.example");
	st->port = 32004;
	st->ssl_port = 32007;
	st->ssl = true;
	memset(st->pin, 1, sizeof(st->pin));
	memset(st->identity_fp, 2, sizeof(st->identity_fp));
	memset(st->vault, 3, sizeof(st->vault));
	memset(st->instance, 4, sizeof(st->instance));
	memset(st->client, 5, sizeof(st->client));
	strcpy(st->name, "acme/web1");
	st->recovery_exported = true;
	memcpy(keys.vault, st->vault, sizeof(keys.vault));
	memcpy(keys.client, st->client, sizeof(keys.client));
	assert_int_equal(ed25519_new(&keys.identity, keys.identity_pub),
	    RC_OK);
	memset(keys.m.b, 9, sizeof(keys.m.b));
	assert_int_equal(keys_derive(&keys), RC_OK);
	assert_int_equal(keys_epoch_new(&keys), RC_OK);
	assert_int_equal(keys_epoch_new(&keys), RC_OK);
	memset(keys.params, 6, sizeof(keys.params));
}

static void
nothing_there_is_not_enrolled(void **unused)
{
	(void)unused;
	assert_int_equal(state_load(st, &keys), RC_NOENT);
}

static void
what_is_saved_is_loaded(void **unused)
{
	struct state *again;
	struct keys k = { 0 };
	struct stat sb;

	(void)unused;
	fill();
	assert_int_equal(state_save(st, &keys), RC_OK);
	assert_int_equal(fstatat(st->config_fd, "keys", &sb, 0), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	assert_int_equal(state_open(&again, dup(st->config_fd),
	    dup(st->state_fd)), RC_OK);
	assert_int_equal(state_load(again, &k), RC_OK);
	assert_string_equal(again->host, "backup.example");
	assert_string_equal(again->name, "acme/web1");
	assert_int_equal(again->ssl_port, 32007);
	assert_true(again->ssl && again->recovery_exported);
	assert_false(again->pending || again->records_done);
	assert_memory_equal(again->pin, st->pin, 32);
	assert_int_equal(k.nepochs, 2);
	assert_memory_equal(k.epochs, keys.epochs, 2 * sizeof(*k.epochs));
	assert_memory_equal(k.identity_pub, keys.identity_pub, 32);
	assert_memory_equal(&k.name, &keys.name, sizeof(k.name));
	assert_memory_equal(k.params, keys.params, 32);
	keys_clear(&k);
	state_free(again);
}

static void
a_pending_state_has_an_identity_and_no_vault_key(void **unused)
{
	struct keys k = { 0 };

	(void)unused;
	fill();
	st->pending = true;
	memset(&keys.m, 0, sizeof(keys.m));
	keys.nepochs = 0;
	assert_int_equal(state_save(st, &keys), RC_OK);
	st->pending = false;
	assert_int_equal(state_load(st, &k), RC_OK);
	assert_true(st->pending);
	assert_memory_equal(k.identity_pub, keys.identity_pub, 32);
	keys_clear(&k);
}

/* Every byte of both files, one bit at a time. */
static void
damage_is_noticed(void **unused)
{
	static const char *const names[] = { "client", "keys" };
	struct keys k = { 0 };
	uint8_t *p;
	size_t n;

	(void)unused;
	fill();
	assert_int_equal(state_save(st, &keys), RC_OK);
	for (int f = 0; f < 2; f++) {
		assert_int_equal(io_read_file(st->config_fd, names[f], &p, &n,
		    65536), RC_OK);
		for (size_t i = 0; i < n; i++) {
			struct state bad = *st;
			int rc;

			p[i] ^= 0x10;
			rc = f == 0 ? state_get(p, n, &bad) :
			    state_get_keys(p, n, &k);
			assert_true(rc == RC_CORRUPT || rc == RC_VERSION);
			keys_clear(&k);
			p[i] ^= 0x10;
		}
		for (size_t i = 0; i < n; i++) {
			struct state bad = *st;

			assert_int_not_equal(f == 0 ? state_get(p, i, &bad) :
			    state_get_keys(p, i, &k), RC_OK);
			keys_clear(&k);
		}
		free(p);
	}
}

static void
another_machine_is_refused(void **unused)
{
	struct wbuf out = WBUF_INIT(4096);
	struct keys k = { 0 };

	(void)unused;
	if (access("/etc/machine-id", R_OK) != 0)
		skip();
	fill();
	assert_int_equal(state_save(st, &keys), RC_OK);
	memset(st->machine, 0xaa, sizeof(st->machine));
	state_put(&out, st);
	assert_int_equal(io_write_file(st->config_fd, "client", out.data,
	    out.len, 0600), RC_OK);
	wbuf_free(&out);
	assert_int_equal(state_load(st, &k), RC_DENIED);
}

static void
job_seven(struct job_state *j)
{
	memset(j, 0, sizeof(*j));
	j->job[15] = 7;
	strcpy(j->label, "home");
	memset(j->snapshot, 8, sizeof(j->snapshot));
	j->sequence = 41;
	j->vault_seq = 99;
	j->job_seq = 3;
}

static int
count_jobs(void *arg, const struct job_state *j)
{
	int *n = arg;

	assert_string_equal(j->label, "home");
	(*n)++;
	return RC_OK;
}

static void
a_job_is_remembered(void **unused)
{
	struct job_state j, got;
	uint8_t other[16] = { 1 };
	int n = 0, lock;

	(void)unused;
	job_seven(&j);
	assert_int_equal(job_load(st, j.job, &got), RC_NOENT);
	assert_int_equal(job_save(st, &j), RC_OK);
	assert_int_equal(job_lock(st, j.job, &lock), RC_OK);
	assert_int_equal(job_load(st, j.job, &got), RC_OK);
	assert_int_equal(got.sequence, 41);
	assert_int_equal(got.vault_seq, 99);
	assert_memory_equal(got.snapshot, j.snapshot, 32);
	assert_int_equal(job_load(st, other, &got), RC_NOENT);
	assert_int_equal(jobs_each(st, count_jobs, &n), RC_OK);
	assert_int_equal(n, 1);
	fd_close(&lock);
}

static void
a_job_runs_once_at_a_time(void **unused)
{
	struct job_state j;
	int a, b;

	(void)unused;
	job_seven(&j);
	assert_int_equal(job_lock(st, j.job, &a), RC_OK);
	assert_int_equal(job_lock(st, j.job, &b), RC_BUSY);
	assert_int_equal(b, -1);
	fd_close(&a);
	assert_int_equal(job_lock(st, j.job, &b), RC_OK);
	fd_close(&b);
}

static void
the_sequence_rises_only(void **unused)
{
	uint64_t next = 0;
	int fd;

	(void)unused;
	assert_int_equal(sequence_lock(st, &fd, &next), RC_OK);
	assert_int_equal(next, 1);
	assert_int_equal(sequence_used(st, 5), RC_OK);
	assert_int_equal(sequence_used(st, 3), RC_OK);
	fd_close(&fd);
	assert_int_equal(sequence_lock(st, &fd, &next), RC_OK);
	assert_int_equal(next, 6);
	fd_close(&fd);
}

static void
an_old_state_is_put_aside(void **unused)
{
	struct keys k = { 0 };
	char cmd[256];

	(void)unused;
	fill();
	assert_int_equal(state_save(st, &keys), RC_OK);
	assert_int_equal(state_set_aside(st), RC_OK);
	assert_int_equal(state_load(st, &k), RC_NOENT);
	/* Nothing to put aside is no error. */
	assert_int_equal(state_set_aside(st), RC_OK);
	snprintf(cmd, sizeof(cmd), "rm -f %s/client.old-* %s/keys.old-*", dir,
	    dir);
	assert_int_equal(system(cmd), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_there_is_not_enrolled),
		TEST(what_is_saved_is_loaded),
		TEST(a_pending_state_has_an_identity_and_no_vault_key),
		TEST(damage_is_noticed),
		TEST(another_machine_is_refused),
		TEST(a_job_is_remembered),
		TEST(a_job_runs_once_at_a_time),
		TEST(the_sequence_rises_only),
		TEST(an_old_state_is_put_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
