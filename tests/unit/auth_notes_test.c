#include "config.h"

#include "tests/unit/auth_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/login/check.h"
#include "server/sql.h"

#define PASSWORD "correct horse battery"

static int
setup(void **state)
{
	*state = bench_new();
	return 0;
}

static int
teardown(void **state)
{
	bench_free(*state);
	return 0;
}

struct heard {
	unsigned	rows, gone, ends, audits;
	/* the last of each */
	char		name[64];
	uint8_t		state;
	char		who[64], from[64], act[64], object[256];
	int		rc;
};

static void
hear_note(struct heard *h, struct rbuf *in)
{
	uint8_t what, ids[32];
	char account[64];
	int64_t t;

	assert_int_equal(rbuf_u8(in, &what), RC_OK);
	assert_int_equal(rbuf_str(in, account, sizeof(account)), RC_OK);
	assert_int_equal(rbuf_str(in, h->name, sizeof(h->name)), RC_OK);
	assert_int_equal(rbuf_bytes(in, ids, 32), RC_OK);
	assert_int_equal(rbuf_u8(in, &h->state), RC_OK);
	assert_int_equal(rbuf_i64(in, &t), RC_OK);
	assert_int_equal(rbuf_i64(in, &t), RC_OK);
	assert_int_equal(rbuf_end(in), RC_OK);
	h->rows += what == CLIENT_NOTE_ROW;
	h->gone += what == CLIENT_NOTE_GONE;
	h->ends += what == CLIENT_NOTE_END;
}

static void
hear(struct bench *b, struct heard *h)
{
	char detail[300];
	struct msg m;
	uint8_t rc;

	memset(h, 0, sizeof(*h));
	while (chan_recv(b->catalog, &m) == RC_OK) {
		if (m.type == MSG_CLIENT_NOTE) {
			hear_note(h, &m.body);
			continue;
		}
		assert_int_equal(m.type, MSG_AUDIT);
		h->audits++;
		assert_int_equal(rbuf_str(&m.body, h->who, 64), RC_OK);
		assert_int_equal(rbuf_str(&m.body, h->from, 64), RC_OK);
		assert_int_equal(rbuf_str(&m.body, h->act, 64), RC_OK);
		assert_int_equal(rbuf_str(&m.body, h->object, 256), RC_OK);
		assert_int_equal(rbuf_u8(&m.body, &rc), RC_OK);
		h->rc = -(int)rc;
		assert_int_equal(rbuf_str(&m.body, detail, sizeof(detail)),
		    RC_OK);
		assert_int_equal(rbuf_end(&m.body), RC_OK);
	}
}

static void
hear_all(struct bench *b, struct heard *sum)
{
	struct heard h;

	memset(sum, 0, sizeof(*sum));
	do {
		bench_turns(b);
		hear(b, &h);
		sum->rows += h.rows;
		sum->ends += h.ends;
		sum->audits += h.audits;
	} while (h.rows + h.ends + h.audits > 0);
}

static int
local(struct bench *b, uint8_t op, const char *account, const char *name)
{
	struct bench_ask ask = { .op = op, .account = account, .name = name };
	struct bench_worker w;
	struct bench_admin r;

	bench_worker(b, &w, ROLE_API, PORT_CONTROL, NULL);
	bench_admin(b, &w, &ask, &r);
	bench_worker_end(&w);
	bench_turns(b);
	return r.rc;
}

static void
a_new_catalog_gets_the_list_and_then_each_change(void **state)
{
	struct bench *b = *state;
	struct heard h;

	assert_int_equal(local(b, ADMIN_ACCOUNT_ADD, "acme", ""), RC_OK);
	assert_int_equal(local(b, ADMIN_CLIENT_ADD, "acme", "web1"), RC_OK);
	assert_int_equal(local(b, ADMIN_CLIENT_ADD, "acme", "web2"), RC_OK);
	bench_catalog_join(b);
	hear(b, &h);
	assert_int_equal(h.rows, 2);
	assert_int_equal(h.ends, 1);
	assert_int_equal(h.audits, 3);		/* those kept from before */
	assert_int_equal(local(b, ADMIN_CLIENT_DISABLE, "acme", "web1"),
	    RC_OK);
	hear(b, &h);
	assert_int_equal(h.rows, 1);
	assert_string_equal(h.name, "web1");
	assert_int_equal(h.state, CLIENT_DISABLED);
	assert_string_equal(h.act, "client-disable");
	assert_string_equal(h.object, "acme/web1");
	assert_string_equal(h.who, "somebody");
	assert_string_equal(h.from, "local");
	assert_int_equal(local(b, ADMIN_CLIENT_RM, "acme", "web2"), RC_OK);
	hear(b, &h);
	assert_int_equal(h.gone, 1);
	assert_string_equal(h.name, "web2");
	/* what changes nothing is no entry; what fails is one */
	assert_int_equal(local(b, ADMIN_CLIENT_LIST, "", ""), RC_OK);
	hear(b, &h);
	assert_int_equal(h.audits, 0);
	assert_int_equal(local(b, ADMIN_CLIENT_RM, "acme", "web2"), RC_NOENT);
	hear(b, &h);
	assert_int_equal(h.audits, 1);
	assert_int_equal(h.rc, RC_NOENT);
	/* another catalog starts over */
	bench_catalog_join(b);
	hear(b, &h);
	assert_int_equal(h.rows, 1);
	assert_int_equal(h.ends, 1);
	assert_int_equal(h.audits, 0);
}

static void
every_sign_in_is_an_entry_and_no_password_is_in_it(void **state)
{
	struct bench *b = *state;
	struct bench_ask ask = { .op = ADMIN_USER_LIST };
	struct bench_worker w;
	struct bench_admin r;
	struct bench_user u;
	struct heard h;

	bench_user_add(b, "vera", RIGHT_VIEWER, PASSWORD);
	bench_catalog_join(b);
	hear(b, &h);
	assert_int_equal(h.audits, 2);
	bench_worker(b, &w, ROLE_API, PORT_GUI, "192.0.2.1");
	assert_int_equal(bench_signed(b, &w, "vera", PASSWORD, "", &u),
	    RC_OK);
	hear(b, &h);
	assert_string_equal(h.act, "sign-in");
	assert_string_equal(h.who, "vera");
	assert_string_equal(h.from, "192.0.2.1");
	assert_int_equal(h.rc, RC_OK);
	/* a denied one is: who tried */
	assert_int_equal(bench_admin(b, &w, &ask, &r), RC_DENIED);
	hear(b, &h);
	assert_int_equal(h.audits, 1);
	assert_int_equal(h.rc, RC_DENIED);
	assert_string_equal(h.who, "vera");
	bench_worker_end(&w);
	bench_worker(b, &w, ROLE_API, PORT_GUI, "192.0.2.2");
	assert_int_equal(bench_signed(b, &w, "vera", "wrong password", "",
	    &u), RC_AUTH);
	hear(b, &h);
	assert_string_equal(h.act, "sign-in");
	assert_string_equal(h.object, "vera");
	assert_int_equal(h.rc, RC_AUTH);
	/* the password where the name belongs */
	assert_int_equal(bench_signed(b, &w, "OpenSesame123", "vera", "",
	    &u), RC_AUTH);
	hear(b, &h);
	assert_int_equal(h.audits, 1);
	assert_string_equal(h.who, "");
	assert_string_equal(h.object, "");
	bench_worker_end(&w);
}

static void
without_a_catalog_a_thousand_entries_are_kept(void **state)
{
	struct bench *b = *state;
	struct audit a = { .who = "x", .from = "y", .act = "z",
	    .object = "o", .detail = "d" };
	struct heard h;

	for (int i = 0; i < NOTES_MAX + 50; i++)
		notes_audit(&b->a->notes, &a);
	assert_int_equal(b->a->notes.lost, 50);
	bench_catalog_join(b);
	hear_all(b, &h);
	assert_int_equal(h.audits, NOTES_MAX);
	assert_int_equal(b->a->notes.lost, 0);
	/* the ring goes round */
	chan_free(b->catalog);
	b->catalog = NULL;
	bench_turns(b);
	for (int i = 0; i < 700; i++)
		notes_audit(&b->a->notes, &a);
	bench_catalog_join(b);
	hear_all(b, &h);
	assert_int_equal(h.audits, 700);
}

static void
a_catalog_that_does_not_read_stops_nobody(void **state)
{
	struct bench *b = *state;
	struct audit a = { .act = "z" };
	struct heard h;
	unsigned sent = 0;

	bench_catalog_join(b);
	while (b->a->notes.n < NOTES_MAX && sent < 100000) {
		notes_audit(&b->a->notes, &a);
		sent++;
	}
	assert_int_equal(b->a->notes.n, NOTES_MAX);
	assert_int_equal(local(b, ADMIN_ACCOUNT_ADD, "acme", ""), RC_OK);
	/* once it reads, all that was kept comes, in one piece */
	hear_all(b, &h);
	assert_int_equal(h.audits, sent);
	assert_int_equal(h.ends, 1);
}

static void
a_catalog_that_talks_is_dropped(void **state)
{
	struct bench *b = *state;
	struct heard h;
	struct msg m;

	bench_catalog_join(b);
	hear(b, &h);
	/* there is no such message, so it is sent as another role would */
	assert_int_equal(write(chan_fd(b->catalog), "\0\1x", 3), 3);
	bench_turns(b);
	assert_int_equal(chan_recv(b->catalog, &m), RC_EOF);
	assert_null(b->a->notes.catalog);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_catalog_gets_the_list_and_then_each_change),
		TEST(every_sign_in_is_an_entry_and_no_password_is_in_it),
		TEST(without_a_catalog_a_thousand_entries_are_kept),
		TEST(a_catalog_that_does_not_read_stops_nobody),
		TEST(a_catalog_that_talks_is_dropped),
	};

	if (sql_prepare() != RC_OK || login_setup() != RC_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
