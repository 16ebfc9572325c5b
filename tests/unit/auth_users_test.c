#include "config.h"

#include "tests/unit/auth_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/num.h"
#include "common/peerinfo.h"
#include "common/rc.h"
#include "server/login/check.h"
#include "server/sql.h"

#define HOME	"192.0.2.10"		/* where alice signs in */
#define AWAY	"198.51.100.7"
#define RIGHT_PW "correct horse battery"
#define WRONG_PW "wrong horse battery"

static int
setup(void **state)
{
	struct bench *b = bench_new();

	bench_user_add(b, "alice", RIGHT_ADMIN, RIGHT_PW);
	b->grants = b->events = b->cuts = b->checks = 0;
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	bench_free(*state);
	return 0;
}

static void
gui(struct bench *b, struct bench_worker *w, const char *addr)
{
	bench_worker(b, w, ROLE_API, PORT_GUI, addr);
}

/* Sign in on a connection of its own. */
static int
try_once(struct bench *b, const char *addr, const char *name,
    const char *password, struct bench_user *u)
{
	struct bench_worker w;
	int rc;

	gui(b, &w, addr);
	rc = bench_signed(b, &w, name, password, "", u);
	bench_worker_end(&w);
	bench_turns(b);
	return rc;
}

static void
a_right_password_signs_in_and_the_master_hears_first(void **state)
{
	struct bench *b = *state;
	struct bench_worker w;
	struct bench_user u;
	struct msg m;

	gui(b, &w, HOME);
	bench_signin(&w, "alice", RIGHT_PW, "");
	for (int i = 0; i < 5; i++)
		assert_int_equal(authd_turn(b->a, 0, NULL, NULL), RC_OK);
	assert_int_equal(bench_check(b), RC_OK);
	assert_int_equal(authd_turn(b->a, 0, NULL, NULL), RC_OK);
	/* what the master has now was sent before the worker's answer */
	assert_int_equal(chan_recv(b->master, &m), RC_OK);
	assert_int_equal(m.type, MSG_API_GRANT);
	assert_int_equal(bench_user(&w, &u), RC_OK);
	assert_int_equal(u.rc, RC_OK);
	assert_int_equal(u.right, RIGHT_ADMIN);
	assert_string_equal(u.user, "alice");
	assert_true(u.expires == bench_now + DB_SESSION_S);
	bench_worker_end(&w);
}

static void
wrong_password_and_unknown_user_cost_and_say_the_same(void **state)
{
	struct bench *b = *state;
	struct bench_user wrong, unknown, fresh;
	struct bench_ask add = { .op = ADMIN_USER_ADD, .name = "newcomer",
	    .right = RIGHT_VIEWER };
	struct bench_worker w;
	struct bench_admin r;

	bench_worker(b, &w, ROLE_API, PORT_CONTROL, NULL);
	assert_int_equal(bench_admin(b, &w, &add, &r), RC_OK);
	assert_int_equal(try_once(b, HOME, "alice", WRONG_PW, &wrong),
	    RC_AUTH);
	assert_int_equal(b->checks, 1);
	assert_int_equal(b->check_what, LOGIN_VERIFY);
	assert_int_equal(b->check_cost, BENCH_COST);
	assert_int_equal(try_once(b, AWAY, "mallory", WRONG_PW, &unknown),
	    RC_AUTH);
	assert_int_equal(b->checks, 2);
	assert_int_equal(b->check_what, LOGIN_VERIFY);
	assert_int_equal(b->check_cost, BENCH_COST);
	/* nor does one without a password yet differ */
	assert_int_equal(try_once(b, "203.0.113.9", "newcomer", WRONG_PW,
	    &fresh), RC_AUTH);
	assert_int_equal(b->checks, 3);
	assert_string_equal(wrong.text, unknown.text);
	assert_string_equal(wrong.text, fresh.text);
	assert_int_equal(b->events, 3);
	assert_int_equal(b->event, AUTH_EV_PASSWORD);
	assert_int_equal(b->grants, 0);
	bench_worker_end(&w);
}

static void
failures_make_the_next_try_wait_longer_and_longer(void **state)
{
	struct bench *b = *state;
	struct bench_user u;
	unsigned wait = 1;
	char text[64];

	for (int i = 0; i < 3; i++)
		assert_int_equal(try_once(b, AWAY, "alice", WRONG_PW, &u),
		    RC_AUTH);
	for (int i = 0; i < 8; i++) {
		/* the right one waits, too, and is not even looked at */
		b->checks = 0;
		assert_int_equal(try_once(b, AWAY, "alice", RIGHT_PW, &u),
		    RC_BUSY);
		snprintf(text, sizeof(text), "too many attempts, wait %u s",
		    wait);
		assert_string_equal(u.text, text);
		assert_int_equal(b->checks, 0);
		bench_pass(wait);
		assert_int_equal(try_once(b, AWAY, "alice", WRONG_PW, &u),
		    RC_AUTH);
		wait = wait >= 32 ? 60 : wait * 2;
	}
	bench_pass(60);
	assert_int_equal(try_once(b, AWAY, "alice", RIGHT_PW, &u), RC_OK);
	/* and all is forgotten for this name from there */
	assert_int_equal(try_once(b, AWAY, "alice", WRONG_PW, &u), RC_AUTH);
	assert_int_equal(try_once(b, AWAY, "alice", RIGHT_PW, &u), RC_OK);
}

static void
a_source_that_tries_many_names_waits_as_well(void **state)
{
	struct bench *b = *state;
	struct bench_user u;

	assert_int_equal(try_once(b, AWAY, "adam", WRONG_PW, &u), RC_AUTH);
	assert_int_equal(try_once(b, AWAY, "berta", WRONG_PW, &u), RC_AUTH);
	assert_int_equal(try_once(b, AWAY, "carl", WRONG_PW, &u), RC_AUTH);
	assert_int_equal(try_once(b, AWAY, "dora", WRONG_PW, &u), RC_BUSY);
	/* another source does not */
	assert_int_equal(try_once(b, "203.0.113.1", "dora", WRONG_PW, &u),
	    RC_AUTH);
}

static void
strangers_cannot_lock_anybody_out(void **state)
{
	struct bench *b = *state;
	struct bench_worker flood[60];
	struct bench_user u;
	char addr[32];

	assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &u), RC_OK);
	/* they keep the queue full with guesses at her own name */
	for (size_t i = 0; i < NITEMS(flood); i++) {
		snprintf(addr, sizeof(addr), "198.51.100.%zu", i + 1);
		gui(b, &flood[i], addr);
		bench_signin(&flood[i], "alice", WRONG_PW, "");
	}
	bench_run(b);
	b->checks = 0;
	bench_run(b);
	assert_int_equal(b->checks, 0);		/* their budget is empty */
	assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &u), RC_OK);
	/* 29 days later she is still known there, after 31 she is not */
	bench_pass(29 * 86400);
	assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &u), RC_OK);
	for (size_t i = 0; i < NITEMS(flood); i++)
		bench_worker_end(&flood[i]);
	bench_turns(b);
}

static void
all_strangers_share_one_small_budget(void **state)
{
	struct bench *b = *state;
	struct bench_worker w[40];
	struct bench_user u;
	unsigned answered = 0, busy = 0;
	char addr[32];

	for (size_t i = 0; i < NITEMS(w); i++) {
		snprintf(addr, sizeof(addr), "198.51.100.%zu", i + 1);
		gui(b, &w[i], addr);
		bench_signin(&w[i], "alice", WRONG_PW, "");
	}
	bench_run(b);
	assert_int_equal(b->checks, DELAY_BURST);
	for (int s = 0; s < 10; s++) {
		bench_pass(1);
		bench_run(b);
	}
	assert_int_equal(b->checks, DELAY_BURST + 5);	/* one per 2 s */
	bench_pass(3);
	bench_run(b);
	for (size_t i = 0; i < NITEMS(w); i++) {
		assert_int_equal(bench_user(&w[i], &u), RC_OK);
		answered += u.rc == RC_AUTH;
		busy += u.rc == RC_BUSY;
		bench_worker_end(&w[i]);
	}
	/* nobody waits for ever */
	assert_int_equal(answered + busy, NITEMS(w));
	assert_int_equal(answered, b->checks);
	bench_turns(b);
}

static void
a_full_queue_loses_the_oldest_of_the_busiest_source(void **state)
{
	struct bench *b = *state;
	struct bench_worker w[USERS_QUEUE_MAX + 2];
	struct bench_user u;
	char addr[32];

	chan_free(b->login);			/* nothing is checked now */
	b->login = NULL;
	bench_turns(b);
	for (size_t i = 0; i < NITEMS(w); i++) {
		/* two in three from one source */
		snprintf(addr, sizeof(addr), "198.51.100.%zu",
		    i % 3 != 0 ? 1 : i + 2);
		gui(b, &w[i], addr);
		bench_signin(&w[i], "alice", WRONG_PW, "");
		bench_turns(b);
	}
	for (size_t i = 0; i < NITEMS(w); i++) {
		int rc = bench_user(&w[i], &u);

		if (i == 1 || i == 2) {
			assert_int_equal(rc, RC_OK);
			assert_int_equal(u.rc, RC_BUSY);
		} else {
			assert_int_equal(rc, RC_AGAIN);
		}
		bench_worker_end(&w[i]);
	}
	bench_turns(b);
}

static void
hanging_up_early_does_not_hide_a_failure(void **state)
{
	struct bench *b = *state;
	struct bench_worker w;
	struct bench_user u;

	for (int i = 0; i < 3; i++) {
		gui(b, &w, AWAY);
		bench_signin(&w, "alice", WRONG_PW, "");
		bench_turns(b);
		bench_worker_end(&w);
		bench_run(b);
	}
	assert_int_equal(b->checks, 3);
	assert_int_equal(try_once(b, AWAY, "alice", RIGHT_PW, &u), RC_BUSY);
}

static void
a_one_time_secret_sets_a_password_once(void **state)
{
	struct bench *b = *state;
	struct bench_ask reset = { .op = ADMIN_USER_RESET, .name = "alice" };
	struct bench_worker w, local, second;
	struct bench_admin r;
	struct bench_user u;
	uint8_t secret[32];

	gui(b, &w, HOME);
	assert_int_equal(bench_signed(b, &w, "alice", RIGHT_PW, "", &u),
	    RC_OK);
	bench_worker(b, &local, ROLE_API, PORT_CONTROL, NULL);
	assert_int_equal(bench_admin(b, &local, &reset, &r), RC_OK);
	bench_decode(r.secret, secret);
	/* the old password and the session are no more */
	assert_int_equal(b->cuts, 1);
	assert_int_equal(b->cut_number, w.number);
	assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &u), RC_AUTH);
	gui(b, &second, HOME);
	for (int i = 0; i < 5; i++) {
		struct wbuf m = WBUF_INIT(2048);

		/* too short, the name, another's secret, right, used */
		secret[0] ^= i == 2;
		wbuf_bytes(&m, secret, 32);
		secret[0] ^= i == 2;
		wbuf_str(&m, "alice");
		wbuf_str(&m, i == 0 ? "too short" : "a new password");
		bench_send(&second, MSG_AUTH_SETUP, &m);
		bench_run(b);
		assert_int_equal(bench_user(&second, &u), RC_OK);
		assert_int_equal(u.rc, i == 0 ? RC_RANGE : i == 1 ? RC_OK :
		    RC_AUTH);
	}
	assert_int_equal(try_once(b, HOME, "alice", "a new password", &u),
	    RC_OK);
	/* and one that is a day old is no use */
	assert_int_equal(bench_admin(b, &local, &reset, &r), RC_OK);
	bench_decode(r.secret, secret);
	bench_pass(24 * 3600);
	bench_worker_end(&w);
	gui(b, &w, HOME);
	{
		struct wbuf m = WBUF_INIT(2048);

		wbuf_bytes(&m, secret, 32);
		wbuf_str(&m, "alice");
		wbuf_str(&m, "a newer password");
		bench_send(&w, MSG_AUTH_SETUP, &m);
	}
	bench_run(b);
	assert_int_equal(bench_user(&w, &u), RC_OK);
	assert_int_equal(u.rc, RC_AUTH);
	bench_worker_end(&w);
	bench_worker_end(&local);
	bench_worker_end(&second);
}

static void
a_session_attaches_again_and_has_two_ends(void **state)
{
	struct bench *b = *state;
	struct bench_worker w;
	struct bench_user first, u;
	uint8_t wrong[32];

	assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &first), RC_OK);
	gui(b, &w, HOME);
	b->grants = 0;
	assert_int_equal(bench_bearer(b, &w, BEARER_SESSION, first.secret,
	    &u), RC_OK);
	assert_string_equal(u.user, "alice");
	assert_int_equal(b->grants, 1);
	/* the same again on this connection: no second grant */
	assert_int_equal(bench_bearer(b, &w, BEARER_SESSION, first.secret,
	    &u), RC_OK);
	assert_int_equal(b->grants, 1);
	memcpy(wrong, first.secret, 32);
	wrong[31] ^= 1;
	b->events = 0;
	assert_int_equal(bench_bearer(b, &w, BEARER_SESSION, wrong, &u),
	    RC_AUTH);
	assert_int_equal(b->event, AUTH_EV_BEARER);
	assert_int_equal(b->events, 1);
	/* idle for two hours; one that ended is no guess */
	bench_pass(DB_SESSION_IDLE_S - 1);
	assert_int_equal(bench_bearer(b, &w, BEARER_SESSION, first.secret,
	    &u), RC_OK);
	bench_pass(DB_SESSION_IDLE_S);
	assert_int_equal(bench_bearer(b, &w, BEARER_SESSION, first.secret,
	    &u), RC_AUTH);
	assert_int_equal(b->events, 1);
	/* twelve hours in all, however busy */
	bench_worker_end(&w);
	gui(b, &w, HOME);
	assert_int_equal(bench_signed(b, &w, "alice", RIGHT_PW, "", &first),
	    RC_OK);
	for (int h = 1; h < 12; h++) {
		bench_pass(3600);
		assert_int_equal(bench_bearer(b, &w, BEARER_SESSION,
		    first.secret, &u), RC_OK);
	}
	bench_pass(3600);
	assert_int_equal(bench_bearer(b, &w, BEARER_SESSION, first.secret,
	    &u), RC_AUTH);
	bench_worker_end(&w);
}

static void
the_database_holds_no_secret(void **state)
{
	struct bench *b = *state;
	struct bench_user u;
	uint8_t *file;
	size_t n;
	FILE *f;

	assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &u), RC_OK);
	for (int i = 0; i < 2; i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s%s", b->path, i ? "-wal" : "");
		file = malloc(4u << 20);
		f = fopen(path, "r");
		assert_non_null(f);
		n = fread(file, 1, 4u << 20, f);
		fclose(f);
		assert_null(memmem(file, n, u.secret, 32));
		assert_null(memmem(file, n, RIGHT_PW, strlen(RIGHT_PW)));
		free(file);
	}
}

static int
count_session(void *arg, const struct db_session *s)
{
	(void)s;
	(*(unsigned *)arg)++;
	return RC_OK;
}

static void
the_oldest_of_too_many_sessions_goes(void **state)
{
	struct bench *b = *state;
	struct bench_user first, u;
	struct bench_worker w;
	unsigned n = 0;

	assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &first), RC_OK);
	for (int i = 0; i < DB_SESSIONS_MAX; i++) {
		bench_pass(1);
		assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &u),
		    RC_OK);
	}
	assert_int_equal(db_sessions(b->db, "alice", bench_now, count_session,
	    &n), RC_OK);
	assert_int_equal(n, DB_SESSIONS_MAX);
	gui(b, &w, HOME);
	assert_int_equal(bench_bearer(b, &w, BEARER_SESSION, first.secret,
	    &u), RC_AUTH);
	assert_int_equal(bench_bearer(b, &w, BEARER_SESSION, u.secret, &u),
	    RC_AUTH);
	bench_worker_end(&w);
}

static void
rights_are_one_table(void **state)
{
	static const struct {
		uint8_t	op, least;
	} ops[] = {
		{ ADMIN_ACCOUNT_LIST, RIGHT_VIEWER },
		{ ADMIN_CLIENT_LIST, RIGHT_VIEWER },
		{ ADMIN_VAULT_LIST, RIGHT_VIEWER },
		{ ADMIN_SESSION_LIST, RIGHT_VIEWER },
		{ ADMIN_SESSION_REVOKE, RIGHT_VIEWER },
		{ ADMIN_CLIENT_ADD, RIGHT_OPERATOR },
		{ ADMIN_CLIENT_DISABLE, RIGHT_OPERATOR },
		{ ADMIN_CLIENT_ENABLE, RIGHT_OPERATOR },
		{ ADMIN_TOKEN_ADD, RIGHT_OPERATOR },
		{ ADMIN_TOKEN_LIST, RIGHT_OPERATOR },
		{ ADMIN_TOKEN_REVOKE, RIGHT_OPERATOR },
		{ ADMIN_PAIR_LIST, RIGHT_OPERATOR },
		{ ADMIN_PAIR_ACCEPT, RIGHT_OPERATOR },
		{ ADMIN_PAIR_REFUSE, RIGHT_OPERATOR },
		{ ADMIN_ACCOUNT_ADD, RIGHT_ADMIN },
		{ ADMIN_ACCOUNT_RM, RIGHT_ADMIN },
		{ ADMIN_CLIENT_RM, RIGHT_ADMIN },
		{ ADMIN_USER_ADD, RIGHT_ADMIN },
		{ ADMIN_USER_LIST, RIGHT_ADMIN },
		{ ADMIN_USER_RM, RIGHT_ADMIN },
		{ ADMIN_USER_RIGHT, RIGHT_ADMIN },
		{ ADMIN_USER_RESET, RIGHT_ADMIN },
		{ ADMIN_API_ADD, RIGHT_ADMIN },
		{ ADMIN_API_LIST, RIGHT_ADMIN },
		{ ADMIN_API_REVOKE, RIGHT_ADMIN },
	};
	static const char *const names[] = { [RIGHT_VIEWER] = "vera",
	    [RIGHT_OPERATOR] = "otto", [RIGHT_ADMIN] = "alice" };
	struct bench *b = *state;
	struct bench_worker w;
	struct bench_admin r;
	struct bench_user u;

	assert_int_equal(NITEMS(ops), ADMIN_OP_MAX - 1);
	bench_user_add(b, "vera", RIGHT_VIEWER, RIGHT_PW);
	bench_user_add(b, "otto", RIGHT_OPERATOR, RIGHT_PW);
	for (uint8_t right = RIGHT_VIEWER; right <= RIGHT_ADMIN; right++) {
		gui(b, &w, HOME);
		assert_int_equal(bench_signed(b, &w, names[right], RIGHT_PW,
		    "", &u), RC_OK);
		for (size_t i = 0; i < NITEMS(ops); i++) {
			struct bench_ask ask = { .op = ops[i].op,
			    .account = "nobody", .name = "-", .digits = 32 };
			int rc = bench_admin(b, &w, &ask, &r);

			assert_true(rc <= 0);		/* never dropped */
			assert_int_equal(rc == RC_DENIED,
			    right < ops[i].least);
		}
		bench_worker_end(&w);
	}
	bench_turns(b);
}

static void
before_a_sign_in_nothing_is_administered(void **state)
{
	static const uint8_t kinds[] = { PORT_GUI, PORT_WEB, PORT_WEBSSL };
	struct bench *b = *state;
	struct bench_ask ask = { .op = ADMIN_ACCOUNT_LIST };
	struct bench_worker w;
	struct bench_admin r;
	struct msg m;

	for (size_t i = 0; i < NITEMS(kinds); i++) {
		bench_worker(b, &w, ROLE_API, kinds[i], HOME);
		assert_int_equal(bench_admin(b, &w, &ask, &r), 1);
		bench_worker_end(&w);
	}
	/* nor does somebody sign in where nobody has to */
	bench_worker(b, &w, ROLE_API, PORT_CONTROL, NULL);
	bench_signin(&w, "alice", RIGHT_PW, "");
	bench_run(b);
	assert_int_equal(b->checks, 0);
	assert_int_equal(chan_recv(w.c, &m), RC_EOF);
	bench_worker_end(&w);
}

static void
a_change_ends_what_was_signed_in_before(void **state)
{
	struct bench *b = *state;
	struct bench_ask right = { .op = ADMIN_USER_RIGHT, .name = "vera",
	    .right = RIGHT_OPERATOR };
	struct bench_ask rm = { .op = ADMIN_USER_RM, .name = "vera" };
	struct bench_ask list = { .op = ADMIN_ACCOUNT_LIST };
	struct bench_worker w, local;
	struct bench_admin r;
	struct bench_user u;

	bench_worker(b, &local, ROLE_API, PORT_CONTROL, NULL);
	bench_user_add(b, "vera", RIGHT_VIEWER, RIGHT_PW);
	b->cuts = 0;
	for (int i = 0; i < 2; i++) {
		gui(b, &w, HOME);
		assert_int_equal(bench_signed(b, &w, "vera", RIGHT_PW, "",
		    &u), RC_OK);
		assert_int_equal(bench_admin(b, &w, &list, &r), RC_OK);
		assert_int_equal(bench_admin(b, &local, i ? &rm : &right, &r),
		    RC_OK);
		assert_int_equal(b->cuts, i + 1);
		assert_int_equal(b->cut_number, w.number);
		assert_int_equal(bench_admin(b, &w, &list, &r), RC_AUTH);
		assert_int_equal(r.rows, 0);
		/* told once */
		bench_pass(60);
		bench_turns(b);
		assert_int_equal(b->cuts, i + 1);
		bench_worker_end(&w);
	}
	bench_worker_end(&local);
	/* removing the last administrator is allowed: the socket remains */
	bench_worker(b, &local, ROLE_API, PORT_CONTROL, NULL);
	rm.name = "alice";
	assert_int_equal(bench_admin(b, &local, &rm, &r), RC_OK);
	assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &u), RC_AUTH);
	bench_worker_end(&local);
}

static int
take_id(void *arg, const struct db_session *s)
{
	memcpy(arg, s->id, sizeof(s->id));
	return RC_OK;
}

static void
sessions_are_listed_and_revoked_own_ones_by_anybody(void **state)
{
	struct bench *b = *state;
	struct bench_ask list = { .op = ADMIN_SESSION_LIST };
	struct bench_ask revoke = { .op = ADMIN_SESSION_REVOKE,
	    .digits = 32 };
	struct bench_worker alice, vera;
	struct bench_admin r;
	struct bench_user u;
	uint8_t hers[16];

	bench_user_add(b, "vera", RIGHT_VIEWER, RIGHT_PW);
	bench_pass(DB_SESSION_IDLE_S);		/* those of the set-up end */
	gui(b, &alice, HOME);
	gui(b, &vera, HOME);
	assert_int_equal(bench_signed(b, &alice, "alice", RIGHT_PW, "", &u),
	    RC_OK);
	assert_int_equal(bench_signed(b, &vera, "vera", RIGHT_PW, "", &u),
	    RC_OK);
	assert_int_equal(bench_admin(b, &vera, &list, &r), RC_OK);
	assert_int_equal(r.rows, 1);
	assert_int_equal(bench_admin(b, &alice, &list, &r), RC_OK);
	assert_int_equal(r.rows, 2);		/* by name: vera's is last */
	memcpy(hers, r.row + 1, sizeof(hers));
	/* an id is not the secret, nor any part of it */
	assert_memory_not_equal(hers, u.secret, 16);
	assert_memory_not_equal(hers, u.secret + 16, 16);
	b->cuts = 0;
	revoke.id = hers;
	assert_int_equal(bench_admin(b, &alice, &revoke, &r), RC_OK);
	assert_int_equal(b->cuts, 1);
	assert_int_equal(bench_admin(b, &vera, &list, &r), RC_AUTH);
	/* she cannot end another's */
	bench_worker_end(&vera);
	gui(b, &vera, HOME);
	assert_int_equal(bench_signed(b, &vera, "vera", RIGHT_PW, "", &u),
	    RC_OK);
	assert_int_equal(db_sessions(b->db, "alice", bench_now, take_id,
	    hers), RC_OK);
	assert_int_equal(bench_admin(b, &vera, &revoke, &r), RC_NOENT);
	assert_int_equal(bench_admin(b, &alice, &list, &r), RC_OK);
	bench_worker_end(&alice);
	bench_worker_end(&vera);
}

static void
api_tokens_have_a_right_an_end_and_a_name(void **state)
{
	struct bench *b = *state;
	struct bench_ask add = { .op = ADMIN_API_ADD, .name = "monitoring",
	    .right = RIGHT_VIEWER, .seconds = 3600 };
	struct bench_ask list = { .op = ADMIN_ACCOUNT_LIST };
	struct bench_ask users = { .op = ADMIN_USER_LIST };
	struct bench_ask revoke = { .op = ADMIN_API_REVOKE,
	    .name = "monitoring" };
	struct bench_worker local, w;
	struct bench_admin r;
	struct bench_user u;
	uint8_t secret[32];

	bench_worker(b, &local, ROLE_API, PORT_CONTROL, NULL);
	add.seconds = 3599;
	assert_int_equal(bench_admin(b, &local, &add, &r), RC_RANGE);
	add.seconds = 366 * 86400 + 1;
	assert_int_equal(bench_admin(b, &local, &add, &r), RC_RANGE);
	add.seconds = 3600;
	assert_int_equal(bench_admin(b, &local, &add, &r), RC_OK);
	assert_memory_equal(r.secret, "sgapi_", 6);
	bench_decode(r.secret + 6, secret);
	assert_int_equal(bench_admin(b, &local, &add, &r), RC_EXISTS);
	gui(b, &w, AWAY);
	assert_int_equal(bench_bearer(b, &w, BEARER_SESSION, secret, &u),
	    RC_AUTH);
	assert_int_equal(bench_bearer(b, &w, BEARER_API, secret, &u), RC_OK);
	assert_string_equal(u.user, "api:monitoring");
	assert_string_equal(b->grant_user, "api:monitoring");
	assert_int_equal(b->grant_right, RIGHT_VIEWER);
	assert_int_equal(bench_admin(b, &w, &list, &r), RC_OK);
	assert_int_equal(bench_admin(b, &w, &users, &r), RC_DENIED);
	assert_int_equal(bench_self(b, &w, SELF_TOTP_BEGIN, "", "", "", &u),
	    RC_DENIED);
	/* another user's secret on the same connection */
	assert_int_equal(bench_signed(b, &w, "alice", RIGHT_PW, "", &u),
	    RC_STATE);
	b->cuts = 0;
	assert_int_equal(bench_admin(b, &local, &revoke, &r), RC_OK);
	assert_int_equal(b->cuts, 1);
	assert_int_equal(bench_admin(b, &w, &list, &r), RC_AUTH);
	assert_int_equal(bench_admin(b, &local, &revoke, &r), RC_NOENT);
	bench_worker_end(&w);
	/* the name is free again, and the next one ends by itself */
	assert_int_equal(bench_admin(b, &local, &add, &r), RC_OK);
	bench_decode(r.secret + 6, secret);
	gui(b, &w, AWAY);
	bench_pass(3599);
	assert_int_equal(bench_bearer(b, &w, BEARER_API, secret, &u), RC_OK);
	b->cuts = 0;
	bench_pass(61);
	bench_turns(b);
	assert_int_equal(b->cuts, 1);
	bench_worker_end(&w);
	bench_worker_end(&local);
}

/* --- one's own account --- */

static void
the_old_password_is_asked_for_a_new_one(void **state)
{
	struct bench *b = *state;
	struct bench_ask list = { .op = ADMIN_ACCOUNT_LIST };
	struct bench_worker w, other;
	struct bench_admin r;
	struct bench_user u;

	gui(b, &w, HOME);
	gui(b, &other, AWAY);
	assert_int_equal(bench_signed(b, &w, "alice", RIGHT_PW, "", &u),
	    RC_OK);
	assert_int_equal(bench_signed(b, &other, "alice", RIGHT_PW, "", &u),
	    RC_OK);
	assert_int_equal(bench_self(b, &w, SELF_PASSWORD, WRONG_PW,
	    "another password", "", &u), RC_AUTH);
	assert_int_equal(bench_self(b, &w, SELF_PASSWORD, RIGHT_PW, "short",
	    "", &u), RC_RANGE);
	b->checks = b->cuts = 0;
	assert_int_equal(bench_self(b, &w, SELF_PASSWORD, RIGHT_PW,
	    "another password", "", &u), RC_OK);
	assert_int_equal(b->checks, 2);
	/* who was signed in elsewhere is out, who did it is not */
	assert_int_equal(b->cuts, 1);
	assert_int_equal(b->cut_number, other.number);
	assert_int_equal(bench_admin(b, &other, &list, &r), RC_AUTH);
	assert_int_equal(bench_admin(b, &w, &list, &r), RC_OK);
	bench_worker_end(&w);
	bench_worker_end(&other);
	assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &u), RC_AUTH);
	assert_int_equal(try_once(b, HOME, "alice", "another password", &u),
	    RC_OK);
}

static void
signing_out_ends_the_session(void **state)
{
	struct bench *b = *state;
	struct bench_ask list = { .op = ADMIN_ACCOUNT_LIST };
	struct bench_worker w;
	struct bench_admin r;
	struct bench_user first, u;

	gui(b, &w, HOME);
	assert_int_equal(bench_signed(b, &w, "alice", RIGHT_PW, "", &first),
	    RC_OK);
	assert_int_equal(bench_self(b, &w, SELF_SIGNOUT, "", "", "", &u),
	    RC_OK);
	assert_int_equal(bench_admin(b, &w, &list, &r), RC_AUTH);
	assert_int_equal(bench_self(b, &w, SELF_SIGNOUT, "", "", "", &u),
	    RC_AUTH);
	assert_int_equal(bench_bearer(b, &w, BEARER_SESSION, first.secret,
	    &u), RC_AUTH);
	bench_worker_end(&w);
}

/* base32 of the otpauth text */
static void
totp_secret(const char *text, uint8_t out[20])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	const char *p = strstr(text, "secret=");
	uint32_t v = 0;
	int have = 0;
	size_t n = 0;

	assert_non_null(p);
	for (p += 7; *p != '&'; p++) {
		v = v << 5 | (uint32_t)(strchr(alphabet, *p) - alphabet);
		have += 5;
		if (have >= 8 && n < 20) {
			have -= 8;
			out[n++] = (uint8_t)(v >> have);
		}
	}
	assert_int_equal(n, 20);
}

static const char *
code_now(const uint8_t secret[20])
{
	static char code[TOTP_DIGITS + 1];

	assert_int_equal(totp_code(secret, (uint64_t)bench_now / 30, code),
	    RC_OK);
	return code;
}

static void
a_second_factor_is_asked_from_its_confirmation_on(void **state)
{
	struct bench *b = *state;
	struct bench_worker w, gone;
	struct bench_user u;
	uint8_t secret[20];
	char used[TOTP_DIGITS + 1];

	gui(b, &w, HOME);
	assert_int_equal(bench_signed(b, &w, "alice", RIGHT_PW, "", &u),
	    RC_OK);
	assert_int_equal(bench_self(b, &w, SELF_TOTP_CONFIRM, "", "",
	    "123456", &u), RC_STATE);
	assert_int_equal(bench_self(b, &w, SELF_TOTP_BEGIN, "", "", "", &u),
	    RC_OK);
	assert_memory_equal(u.secret_text,
	    "otpauth://totp/StoreGrid:alice%40K%C3%BCche%201?secret=", 55);
	totp_secret(u.secret_text, secret);
	/* not in force yet */
	assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &u), RC_OK);
	assert_int_equal(bench_self(b, &w, SELF_TOTP_CONFIRM, "", "", "12345",
	    &u), RC_AUTH);
	assert_int_equal(bench_self(b, &w, SELF_TOTP_CONFIRM, "", "",
	    code_now(secret), &u), RC_OK);
	strcpy(used, code_now(secret));
	gui(b, &gone, HOME);
	/* without, and with the one that confirmed */
	assert_int_equal(bench_signed(b, &gone, "alice", RIGHT_PW, "", &u),
	    RC_AUTH);
	assert_int_equal(bench_signed(b, &gone, "alice", RIGHT_PW, used, &u),
	    RC_AUTH);
	bench_pass(30);
	assert_int_equal(bench_signed(b, &gone, "alice", RIGHT_PW,
	    code_now(secret), &u), RC_OK);
	bench_pass(60);
	assert_int_equal(bench_self(b, &w, SELF_TOTP_OFF, RIGHT_PW, "",
	    "", &u), RC_AUTH);
	assert_int_equal(bench_self(b, &w, SELF_TOTP_OFF, WRONG_PW, "",
	    code_now(secret), &u), RC_AUTH);
	assert_int_equal(bench_self(b, &w, SELF_TOTP_OFF, RIGHT_PW, "",
	    code_now(secret), &u), RC_OK);
	bench_worker_end(&w);
	bench_worker_end(&gone);
	assert_int_equal(try_once(b, HOME, "alice", RIGHT_PW, &u), RC_OK);
}

static void
a_code_that_two_use_at_once_works_once(void **state)
{
	struct bench *b = *state;
	struct bench_worker w[3];
	struct bench_user u;
	uint8_t secret[20];
	int ok = 0;

	gui(b, &w[0], HOME);
	assert_int_equal(bench_signed(b, &w[0], "alice", RIGHT_PW, "", &u),
	    RC_OK);
	assert_int_equal(bench_self(b, &w[0], SELF_TOTP_BEGIN, "", "", "",
	    &u), RC_OK);
	totp_secret(u.secret_text, secret);
	assert_int_equal(bench_self(b, &w[0], SELF_TOTP_CONFIRM, "", "",
	    code_now(secret), &u), RC_OK);
	bench_pass(90);
	for (int i = 1; i < 3; i++) {
		gui(b, &w[i], HOME);
		bench_signin(&w[i], "alice", RIGHT_PW, code_now(secret));
	}
	bench_run(b);
	for (int i = 1; i < 3; i++) {
		assert_int_equal(bench_user(&w[i], &u), RC_OK);
		ok += u.rc == RC_OK;
	}
	assert_int_equal(ok, 1);
	for (int i = 0; i < 3; i++)
		bench_worker_end(&w[i]);
}

static void
a_lost_login_process_is_no_lost_answer(void **state)
{
	struct bench *b = *state;
	struct bench_worker w;
	struct bench_user u;

	gui(b, &w, HOME);
	bench_signin(&w, "alice", RIGHT_PW, "");
	bench_turns(b);
	chan_free(b->login);
	b->login = NULL;
	bench_turns(b);
	assert_int_equal(bench_user(&w, &u), RC_OK);
	assert_int_equal(u.rc, RC_BUSY);
	/* what waits is served by the next one */
	bench_signin(&w, "alice", RIGHT_PW, "");
	bench_turns(b);
	assert_int_equal(bench_user(&w, &u), RC_AGAIN);
	bench_login_join(b);
	bench_run(b);
	assert_int_equal(bench_user(&w, &u), RC_OK);
	assert_int_equal(u.rc, RC_OK);
	bench_worker_end(&w);
}

static void
a_worker_that_waits_may_not_ask_more(void **state)
{
	struct bench *b = *state;
	struct bench_worker w;
	struct msg m;

	gui(b, &w, HOME);
	bench_signin(&w, "alice", RIGHT_PW, "");
	bench_signin(&w, "alice", RIGHT_PW, "");
	bench_turns(b);
	assert_int_equal(chan_recv(w.c, &m), RC_EOF);
	bench_worker_end(&w);
	bench_run(b);
}

/* --- another installation --- */

static int
peer(struct bench *b, struct bench_worker *w, const struct secret *key,
    const uint8_t pub[32], const uint8_t *nonce, struct bench_user *u)
{
	struct wbuf m = WBUF_INIT(128), text = WBUF_INIT(256);
	uint8_t given[32], exporter[32], sig[64];
	struct msg in;

	memset(exporter, 0x77, sizeof(exporter));
	assert_int_equal(chan_send(w->c, MSG_AUTH_NONCE, NULL, -1), RC_OK);
	bench_turns(b);
	assert_int_equal(chan_recv(w->c, &in), RC_OK);
	assert_int_equal(rbuf_bytes(&in.body, given, 32), RC_OK);
	peer_sign_text(&text, pub, b->opts.self.identity,
	    nonce != NULL ? nonce : given, exporter);
	assert_int_equal(ed25519_sign(key, text.data, text.len, sig), RC_OK);
	wbuf_free(&text);
	wbuf_bytes(&m, pub, 32);
	wbuf_bytes(&m, exporter, 32);
	wbuf_bytes(&m, sig, 64);
	bench_send(w, MSG_AUTH_PEER, &m);
	bench_turns(b);
	return bench_user(w, u) == RC_OK ? u->rc : 1;
}

static void
a_peer_proves_its_key_and_gets_the_right_of_a_peer(void **state)
{
	static const uint8_t stale[32] = { 1 };
	struct bench *b = *state;
	struct bench_ask ask = { .op = ADMIN_ACCOUNT_LIST };
	struct bench_worker w;
	struct bench_admin r;
	struct bench_user u;
	struct secret key, other;
	uint8_t pub[32], pub2[32];
	char fp[PEER_FP_LEN + 1];

	assert_int_equal(ed25519_new(&key, pub), RC_OK);
	assert_int_equal(ed25519_new(&other, pub2), RC_OK);
	gui(b, &w, AWAY);
	assert_int_equal(peer(b, &w, &other, pub, NULL, &u), RC_AUTH);
	assert_int_equal(peer(b, &w, &key, pub, stale, &u), RC_AUTH);
	assert_int_equal(peer(b, &w, &b->identity, b->opts.self.identity,
	    NULL, &u), RC_AUTH);
	assert_int_equal(b->grants, 0);
	assert_int_equal(peer(b, &w, &key, pub, NULL, &u), RC_OK);
	assert_int_equal(u.right, RIGHT_PEER);
	peer_fingerprint(pub, fp);
	assert_string_equal(u.user + 5, fp);
	assert_int_equal(b->grant_right, RIGHT_PEER);
	/* it administers nothing */
	assert_int_equal(bench_admin(b, &w, &ask, &r), 1);
	bench_worker_end(&w);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_right_password_signs_in_and_the_master_hears_first),
		TEST(wrong_password_and_unknown_user_cost_and_say_the_same),
		TEST(failures_make_the_next_try_wait_longer_and_longer),
		TEST(a_source_that_tries_many_names_waits_as_well),
		TEST(strangers_cannot_lock_anybody_out),
		TEST(all_strangers_share_one_small_budget),
		TEST(a_full_queue_loses_the_oldest_of_the_busiest_source),
		TEST(hanging_up_early_does_not_hide_a_failure),
		TEST(a_one_time_secret_sets_a_password_once),
		TEST(a_session_attaches_again_and_has_two_ends),
		TEST(the_database_holds_no_secret),
		TEST(the_oldest_of_too_many_sessions_goes),
		TEST(rights_are_one_table),
		TEST(before_a_sign_in_nothing_is_administered),
		TEST(a_change_ends_what_was_signed_in_before),
		TEST(sessions_are_listed_and_revoked_own_ones_by_anybody),
		TEST(api_tokens_have_a_right_an_end_and_a_name),
		TEST(the_old_password_is_asked_for_a_new_one),
		TEST(signing_out_ends_the_session),
		TEST(a_second_factor_is_asked_from_its_confirmation_on),
		TEST(a_code_that_two_use_at_once_works_once),
		TEST(a_lost_login_process_is_no_lost_answer),
		TEST(a_worker_that_waits_may_not_ask_more),
		TEST(a_peer_proves_its_key_and_gets_the_right_of_a_peer),
	};

	if (sql_prepare() != RC_OK || login_setup() != RC_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
