#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/engine/engine.h"
#include "client/engine/event.h"
#include "common/io.h"
#include "common/rc.h"

/*
 * enrol.c and records.c against a server in memory: the connection's calls are
 * replaced by the linker (--wrap).
 */
#define RECORDS_MAX 32

static struct server {
	struct record	 rec[RECORDS_MAX];
	size_t		 n, calls;
	uint8_t		 client_key[32];
	bool		 existing, fail_enrol, fail_add;
} server;
static char shown[256];			/* the recovery key */
static char text[512];
static struct engine e;
static char dir[64], token[TOKEN_TEXT_MAX];

int	__wrap_engine_dial(struct engine *en, struct remote **r,
	    const struct remote_events *ev, bool tls_only);
int	__wrap_engine_connect(struct engine *en, struct remote **r,
	    const struct remote_events *ev, struct auth_ok *ok);
int	__wrap_engine_event(struct engine *en, const struct wbuf *body);
int	__wrap_remote_enrol(struct remote *r, const struct token *t,
	    const uint8_t key[32], struct enrol_ok *ok);
int	__wrap_remote_login(struct remote *r, const struct keys *k,
	    struct auth_ok *ok);
int	__wrap_remote_records(struct remote *r, uint8_t kind, uint64_t after,
	    int (*each)(void *arg, const struct record *rec), void *arg);
int	__wrap_remote_record_add(struct remote *r, uint8_t kind, const void *p,
	    size_t n, uint64_t *seq);
void	__wrap_remote_close(struct remote *r);
const char *__wrap_remote_error(const struct remote *r);
uint16_t __wrap_remote_error_code(const struct remote *r);

int
__wrap_engine_dial(struct engine *en, struct remote **r,
    const struct remote_events *ev, bool tls_only)
{
	(void)ev;
	assert_string_equal(en->state->host, "backup.example");
	assert_true(tls_only);
	*r = (struct remote *)(void *)&server;
	return RC_OK;
}

int
__wrap_engine_connect(struct engine *en, struct remote **r,
    const struct remote_events *ev, struct auth_ok *ok)
{
	(void)ev;
	(void)ok;
	*r = (struct remote *)(void *)&server;
	return memcmp(en->keys.identity_pub, server.client_key, 32) == 0 ?
	    RC_OK : RC_AUTH;
}

int
__wrap_engine_event(struct engine *en, const struct wbuf *body)
{
	char name[64], value[256];
	struct rbuf in;
	uint8_t kind;

	(void)en;
	rbuf_init(&in, body->data, body->len);
	assert_int_equal(rbuf_u8(&in, &kind), RC_OK);
	if (kind == EVENT_VALUE &&
	    rbuf_str(&in, name, sizeof(name)) == RC_OK &&
	    rbuf_str(&in, value, sizeof(value)) == RC_OK &&
	    strcmp(name, "recovery_key") == 0)
		strcpy(shown, value);
	return RC_OK;
}

int
__wrap_remote_enrol(struct remote *r, const struct token *t,
    const uint8_t key[32], struct enrol_ok *ok)
{
	(void)r;
	(void)t;
	if (server.fail_enrol)
		return RC_AUTH;
	memcpy(server.client_key, key, 32);
	memset(ok, 0, sizeof(*ok));
	memset(ok->client, 1, sizeof(ok->client));
	memset(ok->vault, 2, sizeof(ok->vault));
	strcpy(ok->name, "acme/web1");
	ok->existing = server.existing;
	return RC_OK;
}

int
__wrap_remote_login(struct remote *r, const struct keys *k,
    struct auth_ok *ok)
{
	(void)r;
	(void)ok;
	return memcmp(k->identity_pub, server.client_key, 32) == 0 ? RC_OK :
	    RC_AUTH;
}

int
__wrap_remote_records(struct remote *r, uint8_t kind, uint64_t after,
    int (*each)(void *arg, const struct record *rec), void *arg)
{
	int rc = RC_OK;

	(void)r;
	(void)after;
	server.calls++;
	for (size_t i = 0; i < server.n && rc == RC_OK; i++)
		if (server.rec[i].kind == kind)
			rc = each(arg, &server.rec[i]);
	return rc;
}

int
__wrap_remote_record_add(struct remote *r, uint8_t kind, const void *p,
    size_t n, uint64_t *seq)
{
	struct record *rec = &server.rec[server.n];
	uint8_t *copy;

	(void)r;
	if (server.fail_add)
		return RC_EOF;
	assert_true(server.n < RECORDS_MAX);
	copy = malloc(n);
	assert_non_null(copy);
	memcpy(copy, p, n);
	rec->kind = kind;
	rec->body = copy;
	rec->len = n;
	*seq = rec->seq = ++server.n;
	return RC_OK;
}

void
__wrap_remote_close(struct remote *r)
{
	(void)r;
}

const char *
__wrap_remote_error(const struct remote *r)
{
	(void)r;
	return "";
}

uint16_t
__wrap_remote_error_code(const struct remote *r)
{
	(void)r;
	return 0;
}

static size_t
count(uint8_t kind)
{
	size_t n = 0;

	for (size_t i = 0; i < server.n; i++)
		n += server.rec[i].kind == kind;
	return n;
}

/* A machine with an empty home. */
static void
new_machine(void)
{
	int fd;

	strcpy(dir, "/tmp/enrol-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(&e, 0, sizeof(e));
	assert_int_equal(state_open(&e.state, fd, fd), RC_OK);
	text[0] = '\0';
}

static void
end_machine(void)
{
	char cmd[128];

	keys_clear(&e.keys);
	state_free(e.state);
	snprintf(cmd, sizeof(cmd), "rm -rf %.64s", dir);
	assert_int_equal(system(cmd), 0);
}

/* The next command on the same machine. */
static void
next_command(void)
{
	keys_clear(&e.keys);
	e.force = false;
	assert_int_equal(state_load(e.state, &e.keys), RC_OK);
}

static int
set_up(void **unused)
{
	struct token t = { .port = 32004, .ssl_port = 32007,
	    .expires = 4000000000 };

	(void)unused;
	memset(&server, 0, sizeof(server));
	shown[0] = '\0';
	strcpy(t.host, "backup.example");
	assert_int_equal(token_format(&t, token), RC_OK);
	new_machine();
	return 0;
}

static int
tear_down(void **unused)
{
	(void)unused;
	end_machine();
	for (size_t i = 0; i < server.n; i++)
		free((void *)(uintptr_t)server.rec[i].body);
	return 0;
}

static void
enrolment_makes_keys_and_their_records(void **unused)
{
	size_t calls;

	(void)unused;
	assert_int_equal(enrol_run(&e, token, text, sizeof(text)), EXIT_DONE);
	assert_int_equal(count(RECORD_KEY), 1);
	assert_int_equal(count(RECORD_PARAMS), 1);
	assert_int_equal(count(RECORD_SLOT), 0);
	next_command();
	assert_true(e.state->records_done);
	assert_false(e.state->pending || e.state->recovery_exported);
	assert_string_equal(e.state->name, "acme/web1");
	/* and then nothing is asked again */
	calls = server.calls;
	assert_int_equal(records_ensure(&e, NULL), RC_OK);
	assert_int_equal(server.calls, calls);
}

static void
a_second_enrolment_needs_force(void **unused)
{
	(void)unused;
	assert_int_equal(enrol_run(&e, token, text, sizeof(text)), EXIT_DONE);
	next_command();
	assert_int_equal(enrol_run(&e, token, text, sizeof(text)),
	    EXIT_USAGE);
	assert_non_null(strstr(text, "--force"));
	e.force = true;
	assert_int_equal(enrol_run(&e, token, text, sizeof(text)), EXIT_DONE);
	assert_int_equal(count(RECORD_KEY), 2);
}

static void
a_refused_token_leaves_nothing_behind(void **unused)
{
	(void)unused;
	server.fail_enrol = true;
	assert_int_equal(enrol_run(&e, token, text, sizeof(text)), EXIT_AUTH);
	assert_int_equal(state_load(e.state, &e.keys), RC_NOENT);
	assert_int_equal(enrol_run(&e, "sg1-nonsense", text, sizeof(text)),
	    EXIT_AUTH);
	assert_int_equal(enrol_run(&e, "", text, sizeof(text)), EXIT_USAGE);
}

static void
records_left_out_are_added_later(void **unused)
{
	(void)unused;
	server.fail_add = true;
	assert_int_not_equal(enrol_run(&e, token, text, sizeof(text)),
	    EXIT_DONE);
	server.fail_add = false;
	next_command();
	assert_false(e.state->records_done);
	assert_int_equal(records_ensure(&e, (struct remote *)&server), RC_OK);
	assert_int_equal(count(RECORD_KEY), 1);
	assert_int_equal(count(RECORD_PARAMS), 1);
	assert_true(e.state->records_done);
}

static void
a_vault_with_a_key_gets_no_second_one(void **unused)
{
	(void)unused;
	assert_int_equal(enrol_run(&e, token, text, sizeof(text)), EXIT_DONE);
	assert_int_equal(export_recovery_run(&e, text, sizeof(text)),
	    EXIT_DONE);
	end_machine();
	new_machine();
	server.existing = true;
	assert_int_equal(enrol_run(&e, token, text, sizeof(text)), EXIT_AUTH);
	assert_non_null(strstr(text, "recover --continue"));
	next_command();
	assert_true(e.state->pending);
	/* the token is spent, but what it brought was kept */
	assert_int_equal(recover_run(&e, "", shown, false, text,
	    sizeof(text)), EXIT_DONE);
	assert_false(e.state->pending);
}

static void
a_recovery_key_opens_the_vault_from_a_bare_machine(void **unused)
{
	struct secret m, old;

	(void)unused;
	assert_int_equal(enrol_run(&e, token, text, sizeof(text)), EXIT_DONE);
	assert_int_equal(export_recovery_run(&e, text, sizeof(text)),
	    EXIT_DONE);
	assert_true(e.state->recovery_exported);
	m = e.keys.m;
	old = e.keys.epochs[0].key;
	end_machine();
	new_machine();
	server.existing = true;
	assert_int_equal(recover_run(&e, token, shown, false, text,
	    sizeof(text)), EXIT_DONE);
	next_command();
	assert_memory_equal(&e.keys.m, &m, sizeof(m));
	/* a new epoch to seal with, and the old one to read with */
	assert_int_equal(e.keys.nepochs, 2);
	assert_memory_equal(&e.keys.epochs[1].key, &old, sizeof(old));
	assert_int_equal(count(RECORD_KEY), 2);
	assert_int_equal(count(RECORD_PARAMS), 1);
	assert_true(e.state->recovery_exported);
}

static void
a_passphrase_does_so_too(void **unused)
{
	struct secret m;

	(void)unused;
	assert_int_equal(enrol_run(&e, token, text, sizeof(text)), EXIT_DONE);
	assert_int_equal(passwd_run(&e, "correct horse battery", text,
	    sizeof(text)), EXIT_DONE);
	m = e.keys.m;
	end_machine();
	new_machine();
	server.existing = true;
	assert_int_equal(recover_run(&e, token, "wrong horse", true, text,
	    sizeof(text)), EXIT_AUTH);
	/* no new token for the second try */
	assert_int_equal(recover_run(&e, NULL, "correct horse battery", true,
	    text, sizeof(text)), EXIT_DONE);
	assert_memory_equal(&e.keys.m, &m, sizeof(m));
}

static void
a_mistyped_recovery_key_does_not_cost_the_token(void **unused)
{
	(void)unused;
	assert_int_equal(recover_run(&e, token, "ABCD-EFGH", false, text,
	    sizeof(text)), EXIT_AUTH);
	assert_int_equal(state_load(e.state, &e.keys), RC_NOENT);
}

static void
a_vault_without_slots_goes_on_with_new_keys(void **unused)
{
	struct secret r = { { 7 } };
	char key[KEYS_RECOVERY_TEXT];

	(void)unused;
	keys_recovery_format(&r, key);
	assert_int_equal(recover_run(&e, token, key, false, text,
	    sizeof(text)), EXIT_AUTH);
	assert_non_null(strstr(text, "enrol --continue"));
	assert_int_equal(enrol_run(&e, "", text, sizeof(text)), EXIT_DONE);
	assert_int_equal(count(RECORD_KEY), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(enrolment_makes_keys_and_their_records),
		TEST(a_second_enrolment_needs_force),
		TEST(a_refused_token_leaves_nothing_behind),
		TEST(records_left_out_are_added_later),
		TEST(a_vault_with_a_key_gets_no_second_one),
		TEST(a_recovery_key_opens_the_vault_from_a_bare_machine),
		TEST(a_passphrase_does_so_too),
		TEST(a_mistyped_recovery_key_does_not_cost_the_token),
		TEST(a_vault_without_slots_goes_on_with_new_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
