#include "config.h"

#include "server/auth/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "common/token.h"
#include "server/auth/notes.h"
#include "server/auth/pair.h"
#include "server/sql.h"

#define NOW	1000000

struct bench {
	char			 dir[32], path[64];
	struct db		*db;
	struct auth_self	 self;
	struct conf		 conf;
	struct secret		 identity;
	/* a client's side */
	struct secret		 key;
	uint8_t			 pub[ED25519_LEN];
	uint8_t			 id[16];
	/* answers to ADMIN */
	char			 secret[TOKEN_TEXT_MAX];
	unsigned		 rows;
	int			 rc;
	char			 text[512];
	unsigned		 cuts;
	struct notes		 notes;
	struct pairs		 pairs;
};

static void
no_log(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static void
reopen(struct bench *b)
{
	db_close(b->db);
	assert_int_equal(db_open(&b->db, b->path), RC_OK);
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	log_set_sink(no_log, NULL);
	strcpy(b->dir, "/tmp/sg-auth-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->path, sizeof(b->path), "%s/auth.db", b->dir);
	assert_int_equal(db_open(&b->db, b->path), RC_OK);
	notes_init(&b->notes, b->db);
	assert_int_equal(ed25519_new(&b->identity, b->self.identity), RC_OK);
	assert_int_equal(sha256(b->self.identity, 32, b->self.identity_fp),
	    RC_OK);
	memset(b->self.pin, 0x11, sizeof(b->self.pin));
	memset(&b->conf, 0, sizeof(b->conf));
	strcpy(b->conf.advertise, "backup.example.org");
	b->conf.port_server = 32004;
	b->conf.port_ssl = 32007;
	assert_int_equal(ed25519_new(&b->key, b->pub), RC_OK);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	static const char *const files[] = { "", "-wal", "-shm", "-journal" };
	struct bench *b = *state;
	char path[96];

	notes_free(&b->notes);
	db_close(b->db);
	for (size_t i = 0; i < NITEMS(files); i++) {
		snprintf(path, sizeof(path), "%s%s", b->path, files[i]);
		unlink(path);
	}
	rmdir(b->dir);
	free(b);
	return 0;
}

/* --- the administrator --- */

static int
take_admin(void *arg, enum msg_type type, const struct wbuf *body)
{
	struct bench *b = arg;
	struct rbuf in;
	uint8_t v;

	rbuf_init(&in, body->data, body->len);
	assert_int_equal(rbuf_u8(&in, &v), RC_OK);
	if (type == MSG_ADMIN_ROW) {
		b->rows++;
		if (v == ADMIN_ROW_SECRET)
			assert_int_equal(rbuf_str(&in, b->secret,
			    sizeof(b->secret)), RC_OK);
		return RC_OK;
	}
	assert_int_equal(type, MSG_ADMIN_END);
	b->rc = -(int)v;
	assert_int_equal(rbuf_str(&in, b->text, sizeof(b->text)), RC_OK);
	return rbuf_end(&in);
}

static void
take_cut(void *arg, const uint8_t vault[16])
{
	struct bench *b = arg;

	(void)vault;
	b->cuts++;
}

static int
admin_id(struct bench *b, uint8_t op, const char *account, const char *name,
    const uint8_t *id, uint8_t digits)
{
	static const uint8_t zeros[16];
	struct admin_env e = { .db = b->db, .self = &b->self,
	    .conf = &b->conf, .notes = &b->notes, .pairs = &b->pairs,
	    .now = NOW, .right = RIGHT_ADMIN, .from = "local",
	    .send = take_admin, .cut = take_cut, .arg = b };
	struct wbuf w = WBUF_INIT(1024);
	struct rbuf in;

	wbuf_u8(&w, op);
	wbuf_str(&w, account);
	wbuf_str(&w, name);
	wbuf_str(&w, "");
	wbuf_u32(&w, 3600);
	wbuf_u8(&w, digits);
	wbuf_bytes(&w, id != NULL ? id : zeros, 16);
	wbuf_u8(&w, 0);
	wbuf_str(&w, "tester");
	rbuf_init(&in, w.data, w.len);
	b->rows = 0;
	b->rc = 1;
	assert_int_equal(auth_admin(&e, &in), RC_OK);
	wbuf_free(&w);
	return b->rc;
}

static int
admin(struct bench *b, uint8_t op, const char *account, const char *name)
{
	return admin_id(b, op, account, name, NULL, 0);
}

/* --- a client --- */

struct hellos {
	struct wbuf	hello, ok, payload;
	struct login_try t;
};

static void
hellos_make(struct bench *b, struct hellos *h)
{
	struct hello hello = { .version_min = 1, .version_max = 1 };
	struct hello_ok ok = { .version = 1, .frame_max = PROTO_SMALL_MAX,
	    .ids_max = PROTO_IDS_MAX };

	memset(h, 0, sizeof(*h));
	wbuf_init(&h->hello, 4096);
	wbuf_init(&h->ok, 4096);
	wbuf_init(&h->payload, 4096);
	memset(h->t.nonce, 0x22, sizeof(h->t.nonce));
	memset(h->t.exporter, 0x33, sizeof(h->t.exporter));
	memcpy(ok.nonce, h->t.nonce, sizeof(ok.nonce));
	memcpy(ok.identity, b->self.identity, sizeof(ok.identity));
	strcpy(ok.id, "server");
	hello_put(&h->hello, &hello);
	hello_ok_put(&h->ok, &ok);
	h->t.hello = h->hello.data;
	h->t.hello_len = h->hello.len;
	h->t.ok = h->ok.data;
	h->t.ok_len = h->ok.len;
	h->t.now = NOW;
}

static void
hellos_free(struct hellos *h)
{
	wbuf_free(&h->hello);
	wbuf_free(&h->ok);
	wbuf_free(&h->payload);
}

static void
hash(struct hellos *h, uint8_t out[32])
{
	assert_int_equal(hellos_hash(h->hello.data, h->hello.len, h->ok.data,
	    h->ok.len, out), RC_OK);
}

static uint16_t
enrol_at(struct bench *b, const char *text, int64_t now,
    struct login_result *r)
{
	struct enrol e = { 0 };
	struct token token;
	struct hellos h;
	uint8_t hh[32];

	hellos_make(b, &h);
	h.t.now = now;
	assert_int_equal(token_parse(text, &token), RC_OK);
	memcpy(e.token, token.id, sizeof(e.token));
	memcpy(e.client_key, b->pub, sizeof(e.client_key));
	hash(&h, hh);
	assert_int_equal(enrol_mac(&token.secret, hh, h.t.exporter, b->pub,
	    e.mac), RC_OK);
	enrol_put(&h.payload, &e);
	h.t.payload = h.payload.data;
	h.t.payload_len = h.payload.len;
	auth_enrol(b->db, &b->self, &h.t, r);
	if (r->code == 0)
		memcpy(b->id, r->client.id, sizeof(b->id));
	hellos_free(&h);
	return r->code;
}

static uint16_t
login_h(struct bench *b, struct hellos *h, const struct secret *key,
    struct login_result *r)
{
	struct wbuf text = WBUF_INIT(256);
	struct auth a = { 0 };
	uint8_t hh[32];

	hash(h, hh);
	memcpy(a.client, b->id, sizeof(a.client));
	auth_sign_text(&text, hh, h->t.exporter, b->self.identity_fp,
	    a.client);
	assert_int_equal(ed25519_sign(key, text.data, text.len, a.sig),
	    RC_OK);
	wbuf_free(&text);
	auth_put(&h->payload, &a);
	h->t.payload = h->payload.data;
	h->t.payload_len = h->payload.len;
	auth_login(b->db, &b->self, &h->t, r);
	return r->code;
}

static uint16_t
login(struct bench *b, const struct secret *key, struct login_result *r)
{
	struct hellos h;
	uint16_t code;

	hellos_make(b, &h);
	code = login_h(b, &h, key, r);
	hellos_free(&h);
	return code;
}

static void
make_client(struct bench *b)
{
	assert_int_equal(admin(b, ADMIN_ACCOUNT_ADD, "acme", ""), RC_OK);
	assert_int_equal(admin(b, ADMIN_CLIENT_ADD, "acme", "web1"), RC_OK);
	assert_int_equal(b->rows, 1);
}

/* --- tests --- */

static void
a_new_client_enrols_once_and_logs_in(void **state)
{
	struct bench *b = *state;
	struct login_result r;
	struct token t;

	make_client(b);
	assert_int_equal(token_parse(b->secret, &t), RC_OK);
	assert_string_equal(t.host, "backup.example.org");
	assert_int_equal(t.port, 32004);
	assert_memory_equal(t.pin, b->self.pin, 32);
	assert_memory_equal(t.identity_fp, b->self.identity_fp, 32);
	assert_int_equal(enrol_at(b, b->secret, NOW, &r), 0);
	assert_false(r.existing);
	assert_int_equal(login(b, &b->key, &r), 0);
	assert_string_equal(r.client.account, "acme");
	assert_string_equal(r.client.name, "web1");
	assert_memory_equal(r.client.key, b->pub, ED25519_LEN);
	assert_true(r.create);
}

static void
a_token_works_once(void **state)
{
	struct bench *b = *state;
	struct login_result r;

	make_client(b);
	assert_int_equal(enrol_at(b, b->secret, NOW, &r), 0);
	reopen(b);
	assert_int_equal(enrol_at(b, b->secret, NOW, &r), PROTO_ERR_AUTH);
	assert_int_equal(r.event, AUTH_EV_USED_TOKEN);
}

static void
a_token_has_an_end(void **state)
{
	struct bench *b = *state;
	struct login_result r;

	make_client(b);
	assert_int_equal(enrol_at(b, b->secret, NOW + 3600, &r),
	    PROTO_ERR_AUTH);
	assert_int_equal(r.event, AUTH_EV_OLD_TOKEN);
	assert_int_equal(enrol_at(b, b->secret, NOW + 3599, &r), 0);
}

static void
a_token_with_another_secret_is_unknown(void **state)
{
	struct bench *b = *state;
	struct login_result r;
	char text[TOKEN_TEXT_MAX];
	struct token t;

	make_client(b);
	assert_int_equal(token_parse(b->secret, &t), RC_OK);
	t.secret.b[0] ^= 1;
	assert_int_equal(token_format(&t, text), RC_OK);
	assert_int_equal(enrol_at(b, text, NOW, &r), PROTO_ERR_AUTH);
	assert_int_equal(r.event, AUTH_EV_BAD_TOKEN);
	t.secret.b[0] ^= 1;
	t.id[0] ^= 1;
	assert_int_equal(token_format(&t, text), RC_OK);
	assert_int_equal(enrol_at(b, text, NOW, &r), PROTO_ERR_AUTH);
	assert_int_equal(r.event, AUTH_EV_BAD_TOKEN);
	/* the right one was not spent by that */
	assert_int_equal(enrol_at(b, b->secret, NOW, &r), 0);
}

static void
a_revoked_token_is_no_use(void **state)
{
	struct bench *b = *state;
	struct login_result r;
	struct token t;

	make_client(b);
	assert_int_equal(token_parse(b->secret, &t), RC_OK);
	t.id[15] ^= 1;
	assert_int_equal(admin_id(b, ADMIN_TOKEN_REVOKE, "", "", t.id, 32),
	    RC_NOENT);
	assert_int_equal(admin_id(b, ADMIN_TOKEN_REVOKE, "", "", t.id, 5),
	    RC_OK);
	assert_int_equal(enrol_at(b, b->secret, NOW, &r), PROTO_ERR_AUTH);
	assert_int_equal(r.event, AUTH_EV_OLD_TOKEN);
}

static void
unknown_client_and_wrong_key_look_the_same(void **state)
{
	struct bench *b = *state;
	struct login_result wrong, unknown;
	struct secret other;
	uint8_t pub[ED25519_LEN];

	make_client(b);
	assert_int_equal(enrol_at(b, b->secret, NOW, &wrong), 0);
	assert_int_equal(ed25519_new(&other, pub), RC_OK);
	assert_int_equal(login(b, &other, &wrong), PROTO_ERR_AUTH);
	b->id[3] ^= 1;
	assert_int_equal(login(b, &b->key, &unknown), PROTO_ERR_AUTH);
	assert_string_equal(wrong.text, unknown.text);
	assert_int_equal(wrong.event, unknown.event);
}

static void
a_client_without_a_key_cannot_log_in(void **state)
{
	struct bench *b = *state;
	struct login_result r;
	struct db_client c;

	make_client(b);
	assert_int_equal(db_client_find(b->db, "acme", "web1", &c), RC_OK);
	memcpy(b->id, c.id, sizeof(b->id));
	assert_int_equal(login(b, &b->key, &r), PROTO_ERR_AUTH);
	/* not even whoever holds the key that stands in for a missing one */
	assert_int_equal(login(b, &b->identity, &r), PROTO_ERR_AUTH);
}

static void
a_disabled_client_is_refused_and_cut_off(void **state)
{
	struct bench *b = *state;
	struct login_result r;

	make_client(b);
	assert_int_equal(enrol_at(b, b->secret, NOW, &r), 0);
	assert_int_equal(admin(b, ADMIN_CLIENT_DISABLE, "acme", "web1"),
	    RC_OK);
	assert_int_equal(b->cuts, 1);
	assert_int_equal(login(b, &b->key, &r), PROTO_ERR_AUTH);
	assert_int_equal(r.event, AUTH_EV_DISABLED);
	assert_int_equal(admin(b, ADMIN_TOKEN_ADD, "acme", "web1"), RC_STATE);
	assert_int_equal(admin(b, ADMIN_CLIENT_ENABLE, "acme", "web1"),
	    RC_OK);
	assert_int_equal(login(b, &b->key, &r), 0);
}

static void
another_nonce_or_identity_is_refused(void **state)
{
	struct bench *b = *state;
	struct login_result r;
	struct hellos h;

	make_client(b);
	assert_int_equal(enrol_at(b, b->secret, NOW, &r), 0);
	hellos_make(b, &h);
	h.t.nonce[0] ^= 1;		/* a replay of another connection */
	assert_int_equal(login_h(b, &h, &b->key, &r), PROTO_ERR_PROTOCOL);
	hellos_free(&h);
	hellos_make(b, &h);
	h.ok.data[h.ok.len - 1 - 64 - 32] ^= 1;		/* of the identity */
	assert_int_equal(login_h(b, &h, &b->key, &r), PROTO_ERR_PROTOCOL);
	hellos_free(&h);
	/* clear text where the listener did not allow it */
	hellos_make(b, &h);
	memset(h.t.exporter, 0, sizeof(h.t.exporter));
	assert_int_equal(login_h(b, &h, &b->key, &r), PROTO_ERR_PROTOCOL);
	hellos_free(&h);
}

static void
a_token_of_a_known_client_replaces_the_key_only(void **state)
{
	struct bench *b = *state;
	struct login_result first, second;

	make_client(b);
	assert_int_equal(enrol_at(b, b->secret, NOW, &first), 0);
	assert_int_equal(admin(b, ADMIN_TOKEN_ADD, "acme", "web1"), RC_OK);
	assert_int_equal(ed25519_new(&b->key, b->pub), RC_OK);
	assert_int_equal(enrol_at(b, b->secret, NOW, &second), 0);
	assert_true(second.existing);
	assert_memory_equal(first.client.id, second.client.id, 16);
	assert_memory_equal(first.client.vault, second.client.vault, 16);
	assert_int_equal(login(b, &b->key, &second), 0);
}

static void
a_vault_is_made_once(void **state)
{
	struct bench *b = *state;
	struct login_result r;

	make_client(b);
	assert_int_equal(enrol_at(b, b->secret, NOW, &r), 0);
	assert_int_equal(login(b, &b->key, &r), 0);
	assert_true(r.create);
	reopen(b);			/* the master died before it was made */
	assert_int_equal(login(b, &b->key, &r), 0);
	assert_true(r.create);
	assert_int_equal(db_vault_made(b->db, r.client.vault), RC_OK);
	reopen(b);
	assert_int_equal(login(b, &b->key, &r), 0);
	assert_false(r.create);
	/* removing the client leaves the vault in the list */
	assert_int_equal(admin(b, ADMIN_CLIENT_RM, "acme", "web1"), RC_OK);
	assert_int_equal(admin(b, ADMIN_VAULT_LIST, "", ""), RC_OK);
	assert_int_equal(b->rows, 1);
	assert_int_equal(admin(b, ADMIN_TOKEN_LIST, "", ""), RC_OK);
	assert_int_equal(b->rows, 0);
	assert_int_equal(login(b, &b->key, &r), PROTO_ERR_AUTH);
}

static void
administration_says_what_to_do(void **state)
{
	struct bench *b = *state;

	assert_int_equal(admin(b, ADMIN_CLIENT_ADD, "x", "y"), RC_NOENT);
	assert_string_equal(b->text, "account 'x' does not exist; make it "
	    "with: storegridctl account add x");
	make_client(b);
	assert_int_equal(admin(b, ADMIN_ACCOUNT_ADD, "acme", ""), RC_EXISTS);
	assert_int_equal(admin(b, ADMIN_CLIENT_ADD, "acme", "web1"),
	    RC_EXISTS);
	assert_non_null(strstr(b->text, "token add acme/web1"));
	assert_int_equal(admin(b, ADMIN_ACCOUNT_RM, "acme", ""), RC_BUSY);
	assert_int_equal(admin(b, ADMIN_ACCOUNT_LIST, "", ""), RC_OK);
	assert_int_equal(b->rows, 1);
	assert_int_equal(admin(b, ADMIN_CLIENT_LIST, "", ""), RC_OK);
	assert_int_equal(b->rows, 1);
	assert_int_equal(admin(b, ADMIN_CLIENT_RM, "acme", "web1"), RC_OK);
	assert_int_equal(admin(b, ADMIN_VAULT_LIST, "", ""), RC_OK);
	assert_int_equal(b->rows, 0);	/* it never came to be */
	assert_int_equal(admin(b, ADMIN_ACCOUNT_RM, "acme", ""), RC_OK);
	assert_int_equal(admin(b, ADMIN_ACCOUNT_ADD, "no/slash", ""),
	    RC_RANGE);
}

static void
names_are_of_few_letters(void **state)
{
	char longest[66];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	longest[64] = '\0';
	assert_false(db_name_ok(longest));
	longest[63] = '\0';
	assert_true(db_name_ok(longest));
	assert_true(db_name_ok("Web-1.example_org"));
	assert_true(db_name_ok("9"));
	assert_false(db_name_ok(""));
	assert_false(db_name_ok(".hidden"));
	assert_false(db_name_ok("-option"));
	assert_false(db_name_ok("a b"));
	assert_false(db_name_ok("\xc3\xa4"));
}

/* --- versions of the schema --- */

/* auth.db as version 1 made it, with a client in it. */
static const char *const first_version[] = {
	"CREATE TABLE account (id INTEGER PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL)",
	"CREATE TABLE vault (id BLOB PRIMARY KEY, instance BLOB NOT NULL,"
	"  account TEXT NOT NULL, name TEXT NOT NULL,"
	"  state INTEGER NOT NULL) WITHOUT ROWID",
	"CREATE TABLE client (id BLOB PRIMARY KEY,"
	"  account INTEGER NOT NULL REFERENCES account (id),"
	"  name TEXT NOT NULL, key BLOB,"
	"  disabled INTEGER NOT NULL DEFAULT 0,"
	"  vault BLOB NOT NULL REFERENCES vault (id),"
	"  created INTEGER NOT NULL, seen INTEGER NOT NULL DEFAULT 0,"
	"  UNIQUE (account, name)) WITHOUT ROWID",
	"CREATE TABLE token (id BLOB PRIMARY KEY, secret BLOB NOT NULL,"
	"  client BLOB NOT NULL REFERENCES client (id) ON DELETE CASCADE,"
	"  created INTEGER NOT NULL, expires INTEGER NOT NULL,"
	"  state INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
	"INSERT INTO account VALUES (1, 'acme', 5)",
	"INSERT INTO vault VALUES (zeroblob(16), zeroblob(16), 'acme',"
	"  'web1', 2)",
	"INSERT INTO client VALUES (zeroblob(16), 1, 'web1', NULL, 0,"
	"  zeroblob(16), 5, 6)",
	"PRAGMA user_version = 1",
};

static void
run_raw(struct bench *b, const char *const *sql, size_t n)
{
	sqlite3 *raw;

	assert_int_equal(sql_open(&raw, b->path), RC_OK);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(sql_run(raw, sql[i], ""), RC_OK);
	sqlite3_close(raw);
}

static void
version_1_gets_the_tables_of_version_2(void **state)
{
	struct bench *b = *state;
	uint8_t hash[32] = { 1 };
	struct db_client c;
	struct db_user u;

	db_close(b->db);
	unlink(b->path);
	run_raw(b, first_version, NITEMS(first_version));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(db_open(&b->db, b->path), RC_OK);
		assert_int_equal(db_client_find(b->db, "acme", "web1", &c),
		    RC_OK);
		assert_int_equal(c.vault_state, DB_VAULT_EXISTS);
		assert_int_equal(c.seen, 6);
		assert_int_equal(db_user_add(b->db, "alice", RIGHT_ADMIN,
		    hash, NOW, NOW), i == 0 ? RC_OK : RC_EXISTS);
		if (i == 0)
			db_close(b->db);
	}
	assert_int_equal(db_user_get(b->db, "alice", &u), RC_OK);
	assert_int_equal(u.right, RIGHT_ADMIN);
	b->notes.db = b->db;
}

static void
an_upgrade_that_fails_changes_nothing(void **state)
{
	/* a table of that name is there: the second version cannot be made */
	static const char *const clash[] = { "CREATE TABLE api (x INTEGER)" };
	static const char *const clear[] = { "DROP TABLE api" };
	struct bench *b = *state;
	struct db_user u;

	db_close(b->db);
	unlink(b->path);
	run_raw(b, first_version, NITEMS(first_version));
	run_raw(b, clash, NITEMS(clash));
	assert_int_not_equal(db_open(&b->db, b->path), RC_OK);
	db_close(b->db);
	run_raw(b, clear, NITEMS(clear));
	/* whole again, with nothing made twice */
	assert_int_equal(db_open(&b->db, b->path), RC_OK);
	assert_int_equal(db_user_get(b->db, "alice", &u), RC_NOENT);
	b->notes.db = b->db;
}

static void
a_newer_version_is_refused(void **state)
{
	static const char *const newer[] = { "PRAGMA user_version = 3" };
	struct bench *b = *state;

	db_close(b->db);
	run_raw(b, newer, NITEMS(newer));
	assert_int_equal(db_open(&b->db, b->path), RC_VERSION);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_client_enrols_once_and_logs_in),
		TEST(a_token_works_once),
		TEST(a_token_has_an_end),
		TEST(a_token_with_another_secret_is_unknown),
		TEST(a_revoked_token_is_no_use),
		TEST(unknown_client_and_wrong_key_look_the_same),
		TEST(a_client_without_a_key_cannot_log_in),
		TEST(a_disabled_client_is_refused_and_cut_off),
		TEST(another_nonce_or_identity_is_refused),
		TEST(a_token_of_a_known_client_replaces_the_key_only),
		TEST(a_vault_is_made_once),
		TEST(administration_says_what_to_do),
		TEST(version_1_gets_the_tables_of_version_2),
		TEST(an_upgrade_that_fails_changes_nothing),
		TEST(a_newer_version_is_refused),
		cmocka_unit_test(names_are_of_few_letters),
	};

	if (sql_prepare() != RC_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
