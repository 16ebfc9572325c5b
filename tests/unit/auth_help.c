#include "config.h"

#include "tests/unit/auth_help.h"

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
#include "server/login/check.h"

int64_t bench_now;
uint64_t bench_ms;

static int64_t
seconds(void)
{
	return bench_now;
}

static uint64_t
milliseconds(void)
{
	return bench_ms;
}

void
bench_pass(unsigned s)
{
	bench_now += s;
	bench_ms += s * 1000u;
}

static void
no_log(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

/* --- the master --- */

static struct chan *
join(struct bench *b, enum role role, uint32_t number)
{
	struct wbuf w = WBUF_INIT(8);
	struct chan *c;
	int ch[2];

	assert_int_equal(chan_pair(ch), RC_OK);
	wbuf_u32(&w, number);
	wbuf_u8(&w, (uint8_t)role);
	assert_int_equal(chan_send(b->master, MSG_AUTH_ADD, &w, ch[1]),
	    RC_OK);
	wbuf_free(&w);
	close(ch[1]);
	c = chan_new(ch[0], role, ROLE_AUTH);
	assert_non_null(c);
	chan_set_nonblock(c);
	return c;
}

static void
on_grant(struct bench *b, struct rbuf *in)
{
	b->grants++;
	assert_int_equal(rbuf_skip(in, 12), RC_OK);
	assert_int_equal(rbuf_u8(in, &b->grant_right), RC_OK);
	assert_int_equal(rbuf_skip(in, 32), RC_OK);
	assert_int_equal(rbuf_bytes(in, b->grant_user, 64), RC_OK);
	assert_int_equal(rbuf_end(in), RC_OK);
}

static void
master_hear(struct bench *b)
{
	struct msg m;

	while (chan_recv(b->master, &m) == RC_OK)
		switch (m.type) {
		case MSG_API_GRANT:
			on_grant(b, &m.body);
			break;
		case MSG_AUTH_EVENT:
			b->events++;
			assert_int_equal(rbuf_skip(&m.body, 12), RC_OK);
			assert_int_equal(rbuf_u8(&m.body, &b->event), RC_OK);
			break;
		case MSG_API_CUT:
			b->cuts++;
			assert_int_equal(rbuf_u32(&m.body, &b->cut_number),
			    RC_OK);
			break;
		case MSG_CUT_OFF:
			b->vault_cuts++;
			break;
		default:
			break;
		}
}

/* --- sg-login --- */

int
bench_check(struct bench *b)
{
	struct wbuf w = WBUF_INIT(64);
	struct msg m;
	int rc;

	if (b->login == NULL || (rc = chan_recv(b->login, &m)) == RC_AGAIN)
		return RC_AGAIN;
	assert_int_equal(rc, RC_OK);
	assert_int_equal(m.type, MSG_LOGIN_CHECK);
	b->checks++;
	b->check_what = m.body.p[4];
	b->check_cost = m.body.p[5];
	assert_int_equal(login_answer(&m.body, &w), RC_OK);
	assert_int_equal(chan_send(b->login, MSG_LOGIN_RESULT, &w, -1), RC_OK);
	wbuf_free(&w);
	return RC_OK;
}

void
bench_turns(struct bench *b)
{
	for (int i = 0; i < 12; i++)
		assert_int_equal(authd_turn(b->a, 0, NULL, NULL), RC_OK);
	master_hear(b);
}

void
bench_run(struct bench *b)
{
	do
		bench_turns(b);
	while (bench_check(b) == RC_OK);
}

void
bench_login_join(struct bench *b)
{
	chan_free(b->login);
	b->login = join(b, ROLE_LOGIN, ++b->number);
	bench_turns(b);
}

void
bench_catalog_join(struct bench *b)
{
	chan_free(b->catalog);
	b->catalog = join(b, ROLE_CATALOG, ++b->number);
	bench_turns(b);
}

struct bench *
bench_new(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	int ch[2];

	log_set_sink(no_log, NULL);
	bench_now = 1000000000;
	bench_ms = 5000000;
	strcpy(b->dir, "/tmp/sg-authd-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->path, sizeof(b->path), "%s/auth.db", b->dir);
	assert_int_equal(db_open(&b->db, b->path), RC_OK);
	assert_int_equal(ed25519_new(&b->identity, b->opts.self.identity),
	    RC_OK);
	assert_int_equal(sha256(b->opts.self.identity, 32,
	    b->opts.self.identity_fp), RC_OK);
	memset(b->opts.self.pin, 0x11, sizeof(b->opts.self.pin));
	strcpy(b->opts.conf.id, "K\xc3\xbc" "che 1");
	strcpy(b->opts.conf.advertise, "backup.example.org");
	b->opts.conf.port_server = 32004;
	b->opts.conf.port_ssl = 32007;
	b->opts.db = b->db;
	b->opts.cost = BENCH_COST;
	b->opts.seconds = seconds;
	b->opts.ms = milliseconds;
	assert_int_equal(chan_pair(ch), RC_OK);
	b->master = chan_new(ch[0], ROLE_MASTER, ROLE_AUTH);
	chan_set_nonblock(b->master);
	b->opts.master = chan_new(ch[1], ROLE_AUTH, ROLE_MASTER);
	b->a = authd_new(&b->opts);
	assert_non_null(b->a);
	bench_login_join(b);
	return b;
}

void
bench_free(struct bench *b)
{
	static const char *const files[] = { "", "-wal", "-shm", "-journal" };
	char path[96];

	authd_free(b->a);
	chan_free(b->opts.master);
	chan_free(b->master);
	chan_free(b->login);
	chan_free(b->catalog);
	db_close(b->db);
	for (size_t i = 0; i < NITEMS(files); i++) {
		snprintf(path, sizeof(path), "%s%s", b->path, files[i]);
		unlink(path);
	}
	rmdir(b->dir);
	free(b);
}

/* --- workers --- */

void
bench_worker(struct bench *b, struct bench_worker *w, enum role role,
    uint8_t kind, const char *addr)
{
	struct wbuf m = WBUF_INIT(64);
	struct addr a = { 0 };

	w->number = ++b->number;
	w->conn = 1000 + w->number;
	w->c = join(b, role, w->number);
	if (addr != NULL)
		assert_int_equal(addr_parse(&a, addr), RC_OK);
	wbuf_u32(&m, w->number);
	wbuf_u64(&m, w->conn);
	wbuf_u8(&m, kind);
	wbuf_u8(&m, CONN_TLS);
	addr_put(&m, &a);
	assert_int_equal(chan_send(b->master, MSG_AUTH_CONN, &m, -1), RC_OK);
	wbuf_free(&m);
	bench_turns(b);
}

void
bench_worker_end(struct bench_worker *w)
{
	chan_free(w->c);
	w->c = NULL;
}

void
bench_send(struct bench_worker *w, enum msg_type type, struct wbuf *body)
{
	assert_int_equal(chan_send(w->c, type, body, -1), RC_OK);
	wbuf_free(body);
}

int
bench_user(struct bench_worker *w, struct bench_user *u)
{
	struct msg m;
	uint8_t code;
	int rc;

	memset(u, 0, sizeof(*u));
	if ((rc = chan_recv(w->c, &m)) != RC_OK)
		return rc;
	assert_int_equal(m.type, MSG_AUTH_USER);
	assert_int_equal(rbuf_u8(&m.body, &code), RC_OK);
	u->rc = -(int)code;
	assert_int_equal(rbuf_str(&m.body, u->text, sizeof(u->text)), RC_OK);
	if (code == 0) {
		assert_int_equal(rbuf_u8(&m.body, &u->right), RC_OK);
		assert_int_equal(rbuf_str(&m.body, u->user, 64), RC_OK);
		assert_int_equal(rbuf_bytes(&m.body, u->secret, 32), RC_OK);
		assert_int_equal(rbuf_i64(&m.body, &u->expires), RC_OK);
		assert_int_equal(rbuf_str(&m.body, u->secret_text,
		    sizeof(u->secret_text)), RC_OK);
	}
	assert_int_equal(rbuf_end(&m.body), RC_OK);
	return RC_OK;
}

static int
user_rc(struct bench *b, struct bench_worker *w, struct bench_user *u)
{
	bench_run(b);
	return bench_user(w, u) == RC_OK ? u->rc : 1;
}

void
bench_signin(struct bench_worker *w, const char *name, const char *password,
    const char *code)
{
	struct wbuf m = WBUF_INIT(2048);

	wbuf_str(&m, name);
	wbuf_str(&m, password);
	wbuf_str(&m, code);
	bench_send(w, MSG_AUTH_SIGNIN, &m);
}

int
bench_signed(struct bench *b, struct bench_worker *w, const char *name,
    const char *password, const char *code, struct bench_user *u)
{
	bench_signin(w, name, password, code);
	return user_rc(b, w, u);
}

int
bench_bearer(struct bench *b, struct bench_worker *w, uint8_t kind,
    const uint8_t secret[32], struct bench_user *u)
{
	struct wbuf m = WBUF_INIT(64);

	wbuf_u8(&m, kind);
	wbuf_bytes(&m, secret, 32);
	bench_send(w, MSG_AUTH_BEARER, &m);
	return user_rc(b, w, u);
}

int
bench_self(struct bench *b, struct bench_worker *w, uint8_t act,
    const char *old, const char *fresh, const char *code,
    struct bench_user *u)
{
	struct wbuf m = WBUF_INIT(3072);

	wbuf_u8(&m, act);
	wbuf_str(&m, old);
	wbuf_str(&m, fresh);
	wbuf_str(&m, code);
	bench_send(w, MSG_AUTH_SELF, &m);
	return user_rc(b, w, u);
}

static void
take_row(struct bench_admin *r, struct rbuf *in)
{
	uint8_t kind;

	r->rows++;
	r->row_len = rbuf_left(in);
	memcpy(r->row, in->p, r->row_len);
	assert_int_equal(rbuf_u8(in, &kind), RC_OK);
	if (kind == ADMIN_ROW_SECRET)
		assert_int_equal(rbuf_str(in, r->secret, sizeof(r->secret)),
		    RC_OK);
}

int
bench_admin(struct bench *b, struct bench_worker *w,
    const struct bench_ask *ask, struct bench_admin *r)
{
	static const uint8_t zeros[16];
	struct wbuf m = WBUF_INIT(1024);
	uint8_t code;
	struct msg in;

	wbuf_u8(&m, ask->op);
	wbuf_str(&m, ask->account != NULL ? ask->account : "");
	wbuf_str(&m, ask->name != NULL ? ask->name : "");
	wbuf_str(&m, "");
	wbuf_u32(&m, ask->seconds);
	wbuf_u8(&m, ask->digits);
	wbuf_bytes(&m, ask->id != NULL ? ask->id : zeros, 16);
	wbuf_u8(&m, ask->right);
	wbuf_str(&m, "somebody");
	bench_send(w, MSG_ADMIN, &m);
	bench_turns(b);
	memset(r, 0, sizeof(*r));
	while (chan_recv(w->c, &in) == RC_OK) {
		if (in.type == MSG_ADMIN_ROW) {
			take_row(r, &in.body);
			continue;
		}
		assert_int_equal(in.type, MSG_ADMIN_END);
		assert_int_equal(rbuf_u8(&in.body, &code), RC_OK);
		assert_int_equal(rbuf_str(&in.body, r->text, sizeof(r->text)),
		    RC_OK);
		r->rc = -(int)code;
		return r->rc;
	}
	return 1;
}

void
bench_decode(const char *text, uint8_t out[32])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t v = 0;
	int have = 0;
	size_t n = 0;

	assert_int_equal(strlen(text), 43);
	for (; *text != '\0'; text++) {
		const char *at = strchr(alphabet, *text);

		assert_non_null(at);
		v = v << 6 | (uint32_t)(at - alphabet);
		have += 6;
		if (have >= 8 && n < 32) {
			have -= 8;
			out[n++] = (uint8_t)(v >> have);
		}
	}
	assert_int_equal(n, 32);
}

void
bench_user_add(struct bench *b, const char *name, uint8_t right,
    const char *password)
{
	struct bench_ask ask = { .op = ADMIN_USER_ADD, .name = name,
	    .right = right };
	struct wbuf m = WBUF_INIT(2048);
	struct bench_worker w, gui;
	struct bench_admin r;
	struct bench_user u;
	uint8_t secret[32];

	bench_worker(b, &w, ROLE_API, PORT_CONTROL, NULL);
	assert_int_equal(bench_admin(b, &w, &ask, &r), RC_OK);
	bench_worker_end(&w);
	bench_decode(r.secret, secret);
	bench_worker(b, &gui, ROLE_API, PORT_GUI, "192.0.2.200");
	wbuf_bytes(&m, secret, 32);
	wbuf_str(&m, name);
	wbuf_str(&m, password);
	bench_send(&gui, MSG_AUTH_SETUP, &m);
	assert_int_equal(user_rc(b, &gui, &u), RC_OK);
	assert_int_equal(u.right, right);
	bench_worker_end(&gui);
	bench_turns(b);
}
