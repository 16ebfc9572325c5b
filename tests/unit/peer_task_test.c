#include "config.h"

#include "server/discovery/peertask.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conf.h"
#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "server/keyd/keys.h"

/*
 * The task against another installation: a thread that serves TLS and HTTP with
 * keys of its own and checks what it is sent as the api worker and auth would.
 */
enum lie {
	HONEST,
	BINDING_BY_ANOTHER,	/* signed by a key that is not the identity's */
	PIN_OF_ANOTHER,
	IDENTITY_IS_YOURS,
	ANSWER_TOO_LONG,
	ANSWER_HAS_A_TAIL,
	ANSWER_NOT_JSON,
	SILENT,
	SILENT_IN_TLS,
	NOT_LET_IN,
	SIXTY_ONE,
	CLOSES_AFTER_NONCE,
};

struct far {
	struct keys	*keys, *other;
	enum lie	 lie;
	int		 fd;
	pthread_t	 thread;
	struct tls_ctx	*ctx;
	struct tls	*tls;
	uint8_t		 caller[ED25519_LEN];	/* who should call */
	uint8_t		 nonce[32];
	bool		 let_in;
	int		 requests;
	char		 exchanged[PEERHTTP_BODY_MAX];
	size_t		 n_exchanged;
};

struct bench {
	struct far	 far;
	struct keys	*keys;		/* ours */
	struct peer_task *t;
	struct chan	*catalog, *keyd, *master;	/* the far ends */
	pthread_t	 keyd_thread;
	int		 fd;
};

static void
no_log(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static int
sign_tls(void *arg, const uint8_t *text, size_t len, uint8_t *sig, size_t *n)
{
	struct far *f = arg;

	return keys_sign_backup(f->keys, text, len, sig, n);
}

/* --- the far end --- */

static bool
ready(struct far *f, short want)
{
	struct pollfd p = { .fd = f->fd, .events = want };

	return poll(&p, 1, 5000) == 1;
}

static int
far_read(struct far *f, char *p, size_t size, size_t *n)
{
	short want = POLLIN;
	int rc;

	while ((rc = tls_read(f->tls, p, size, n, &want)) == RC_AGAIN)
		if (!ready(f, want))
			return RC_TIMEOUT;
	return rc;
}

static void
far_write(struct far *f, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	short want = POLLOUT;
	size_t done;
	int rc;

	while (n > 0) {
		rc = tls_write(f->tls, p, n, &done, &want);
		if (rc != RC_OK && (rc != RC_AGAIN || !ready(f, want)))
			return;
		p += done;
		n -= done;
	}
}

static void
respond(struct far *f, int status, const struct wbuf *body, const char *more)
{
	char head[256];
	int n;

	n = snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Type: "
	    "application/json\r\nContent-Length: %zu\r\n%s\r\n", status,
	    body->len, more);
	far_write(f, head, (size_t)n);
	far_write(f, body->data, body->len);
}

static struct peer_info
info_of(const struct keys *k, const char *id)
{
	struct peer_info p = { .mode = CONF_MODE_BOTH, .port_server = 32004,
	    .port_gui = 32005, .interval = 60, .sent_ns = 7 };

	memcpy(p.identity, keys_identity(k), sizeof(p.identity));
	memcpy(p.pin, keys_spki(k), sizeof(p.pin));
	snprintf(p.id, sizeof(p.id), "%s", id);
	return p;
}

static void
say_self(struct far *f, struct json *j)
{
	struct peer_info me = info_of(f->keys, "far");
	struct wbuf text = WBUF_INIT(64);
	uint8_t sig[ED25519_SIG_LEN];

	if (f->lie == PIN_OF_ANOTHER)
		memcpy(me.pin, keys_spki(f->other), sizeof(me.pin));
	if (f->lie == IDENTITY_IS_YOURS)
		memcpy(me.identity, f->caller, sizeof(me.identity));
	peer_binding_text(&text, me.pin);
	keys_sign_identity(f->lie == BINDING_BY_ANOTHER ||
	    f->lie == IDENTITY_IS_YOURS ? f->other : f->keys, text.data,
	    text.len, sig);
	wbuf_free(&text);
	peerjson_put_info(j, &me);
	json_put_hex(j, "binding", sig, sizeof(sig));
}

/* As auth does it. */
static bool
proved(struct far *f, const char *body, size_t n)
{
	uint8_t who[ED25519_LEN], sig[ED25519_SIG_LEN], exporter[32];
	struct wbuf text = WBUF_INIT(256);
	struct json_doc *d;
	bool ok;

	if (json_parse(body, n, 64, &d) != RC_OK)
		return false;
	ok = peerjson_get_hex(d, json_root(d), "identity", who, 32) == RC_OK &&
	    peerjson_get_hex(d, json_root(d), "signature", sig, 64) == RC_OK &&
	    memcmp(who, f->caller, sizeof(who)) == 0 &&
	    tls_exporter(f->tls, exporter) == RC_OK;
	json_free(d);
	peer_sign_text(&text, who, keys_identity(f->keys), f->nonce, exporter);
	ok = ok && ed25519_verify(who, text.data, text.len, sig) == RC_OK;
	wbuf_free(&text);
	return ok;
}

static void
say_entries(struct far *f, struct json *j)
{
	struct peer_entry e = { .info = info_of(f->other, "third") };
	int n = f->lie == SIXTY_ONE ? TASK_ENTRIES_MAX + 1 : 1;

	(void)addr_parse(&e.addr, "192.0.2.9");
	json_array(j, "peers");
	for (int i = 0; i < n; i++)
		peerjson_put_entry(j, &e);
	/* of itself and of the caller it has nothing to tell here */
	if (f->lie == HONEST) {
		e.info = info_of(f->keys, "me again");
		peerjson_put_entry(j, &e);
		memcpy(e.info.identity, f->caller, sizeof(f->caller));
		peerjson_put_entry(j, &e);
	}
	json_end_array(j);
}

static int
handle_one(struct far *f, const char *path, const char *body, size_t n,
    struct json *j)
{
	static const struct peer_reach reach[] = {
		{ 32004, 0, 2 }, { 32007, -RC_TIMEOUT, 5000 },
	};

	if (strcmp(path, "/api/v1/peer") == 0) {
		say_self(f, j);
	} else if (strcmp(path, "/api/v1/peer/nonce") == 0) {
		json_put_hex(j, "nonce", f->nonce, sizeof(f->nonce));
	} else if (strcmp(path, "/api/v1/peer/session") == 0) {
		f->let_in = f->lie != NOT_LET_IN && proved(f, body, n);
		return f->let_in ? 200 : 403;
	} else if (!f->let_in) {
		return 401;
	} else if (strcmp(path, "/api/v1/peer/exchange") == 0) {
		memcpy(f->exchanged, body, n);
		f->n_exchanged = n;
		say_entries(f, j);
	} else if (strcmp(path, "/api/v1/peer/probe") == 0) {
		json_array(j, "ports");
		peerjson_put_reach(j, &reach[0]);
		peerjson_put_reach(j, &reach[1]);
		json_end_array(j);
	} else {
		return 404;
	}
	return 200;
}

static void
answer(struct far *f, const char *path, const char *body, size_t n)
{
	struct wbuf out = WBUF_INIT(1u << 20);
	struct json j;
	int status;

	json_init(&j, &out);
	json_object(&j, NULL);
	status = handle_one(f, path, body, n, &j);
	json_end(&j);
	if (f->lie == ANSWER_TOO_LONG)
		wbuf_zeros(&out, PEERHTTP_BODY_MAX);
	if (f->lie == ANSWER_NOT_JSON)
		wbuf_bytes(&out, "}", 1);
	respond(f, status, &out, f->lie == CLOSES_AFTER_NONCE &&
	    strstr(path, "nonce") != NULL ? "Connection: close\r\n" : "");
	if (f->lie == ANSWER_HAS_A_TAIL)
		far_write(f, "x", 1);
	wbuf_free(&out);
}

/* Path and body of one request; false at the end. */
static bool
request(struct far *f, char *in, size_t size, char path[64], char **body,
    size_t *n)
{
	size_t have = 0, got;
	char *end, *len;

	*n = 0;
	for (;;) {
		if (far_read(f, in + have, size - have - 1, &got) != RC_OK)
			return false;
		have += got;
		in[have] = '\0';
		if ((end = strstr(in, "\r\n\r\n")) == NULL)
			continue;
		*body = end + 4;
		len = strstr(in, "Content-Length: ");
		*n = len == NULL ? 0 : strtoul(len + 16, NULL, 10);
		if (have >= (size_t)(*body - in) + *n)
			break;
	}
	return sscanf(in, "%*s %63s", path) == 1;
}

static void *
far_run(void *arg)
{
	static char in[PEERHTTP_BODY_MAX + 4096];
	struct far *f = arg;
	char path[64], *body;
	short want = POLLIN;
	size_t n;
	int rc;

	if (f->lie == SILENT_IN_TLS) {
		(void)ready(f, POLLHUP);
		return NULL;
	}
	while ((rc = tls_handshake(f->tls, &want)) == RC_AGAIN)
		if (!ready(f, want))
			return NULL;
	while (rc == RC_OK && request(f, in, sizeof(in), path, &body, &n)) {
		f->requests++;
		if (f->lie != SILENT)
			answer(f, path, body, n);
	}
	return NULL;
}

/* --- keyd: one signature --- */

static void *
keyd_run(void *arg)
{
	struct bench *b = arg;
	uint8_t far[32], nonce[32], exporter[32], sig[ED25519_SIG_LEN];
	struct wbuf text = WBUF_INIT(256), out = WBUF_INIT(128);
	struct msg m;

	if (chan_expect(b->keyd, MSG_KEYD_PEER, &m, -1) == RC_OK &&
	    rbuf_bytes(&m.body, far, 32) == RC_OK &&
	    rbuf_bytes(&m.body, nonce, 32) == RC_OK &&
	    rbuf_bytes(&m.body, exporter, 32) == RC_OK) {
		peer_sign_text(&text, keys_identity(b->keys), far, nonce,
		    exporter);
		keys_sign_identity(b->keys, text.data, text.len, sig);
		wbuf_bytes(&out, sig, sizeof(sig));
		(void)chan_send(b->keyd, MSG_KEYD_SIG, &out, -1);
	}
	wbuf_free(&text);
	wbuf_free(&out);
	return NULL;
}

/* --- the bench --- */

static struct chan *
channel(enum role far, struct chan **end)
{
	int fds[2];

	assert_int_equal(chan_pair(fds), RC_OK);
	*end = chan_new(fds[1], far, ROLE_PEER);
	return chan_new(fds[0], ROLE_PEER, far);
}

static void
bench_open(struct bench *b, enum lie lie)
{
	const uint8_t *cert;
	size_t n;
	int fds[2];

	memset(b, 0, sizeof(*b));
	log_set_sink(no_log, NULL);
	assert_int_equal(keys_make(&b->keys), RC_OK);
	assert_int_equal(keys_make(&b->far.keys), RC_OK);
	assert_int_equal(keys_make(&b->far.other), RC_OK);
	assert_non_null(b->t = calloc(1, sizeof(*b->t)));
	b->far.lie = lie;
	memset(b->far.nonce, 0x5a, sizeof(b->far.nonce));
	memcpy(b->far.caller, keys_identity(b->keys), ED25519_LEN);
	cert = keys_cert(b->far.keys, &n);
	assert_int_equal(tls_server_ctx(&b->far.ctx, cert, n, sign_tls,
	    &b->far), RC_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	b->far.fd = fds[1];
	assert_int_equal(tls_new(&b->far.tls, b->far.ctx, fds[1]), RC_OK);
	assert_int_equal(pthread_create(&b->far.thread, NULL, far_run,
	    &b->far), 0);

	b->t->catalog = channel(ROLE_CATALOG, &b->catalog);
	b->t->keyd = channel(ROLE_KEYD, &b->keyd);
	b->t->parent = channel(ROLE_MASTER, &b->master);
	assert_int_equal(pthread_create(&b->keyd_thread, NULL, keyd_run, b),
	    0);
	assert_int_equal(tls_client_ctx_any(&b->t->ctx), RC_OK);
	memcpy(b->t->self, keys_identity(b->keys), ED25519_LEN);
	b->fd = b->t->fd = fds[0];
	b->t->deadline = io_now_ms() + 5000;
	b->t->purpose = DIAL_EXCHANGE;
	b->t->me = info_of(b->keys, "near");
	b->t->entries[0].info = info_of(b->far.other, "told");
	assert_int_equal(addr_parse(&b->t->entries[0].addr, "2001:db8::9"),
	    RC_OK);
	b->t->n_entries = 1;
}

static void
bench_close(struct bench *b)
{
	/* keyd's thread ends with its channel */
	chan_free(b->t->keyd);
	close(b->fd);
	pthread_join(b->far.thread, NULL);
	pthread_join(b->keyd_thread, NULL);
	close(b->far.fd);
	tls_free(b->far.tls);
	tls_ctx_free(b->far.ctx);
	tls_ctx_free(b->t->ctx);
	chan_free(b->t->catalog);
	chan_free(b->t->parent);
	chan_free(b->catalog);
	chan_free(b->keyd);
	chan_free(b->master);
	keys_free(b->keys);
	keys_free(b->far.keys);
	keys_free(b->far.other);
	free(b->t);
}

/* The next PEER_SEEN at the catalog. */
static void
expect_seen(struct bench *b, uint8_t how, uint8_t family, const char *id)
{
	struct peer_info info;
	struct addr a;
	struct msg m;
	uint8_t got;

	assert_int_equal(chan_expect(b->catalog, MSG_PEER_SEEN, &m, 0), RC_OK);
	assert_int_equal(rbuf_u8(&m.body, &got), RC_OK);
	assert_int_equal(got, how);
	assert_int_equal(addr_get(&m.body, &a), RC_OK);
	assert_int_equal(a.family, family);
	assert_int_equal(peer_info_get(&m.body, &info), RC_OK);
	assert_string_equal(info.id, id);
	assert_int_equal(rbuf_end(&m.body), RC_OK);
}

static void
expect_end(struct bench *b, int rc, bool found, struct rbuf *rest)
{
	uint8_t code, identity[32], pin[32], zeros[32] = { 0 };
	struct msg m;
	char text[256];

	assert_int_equal(peer_task_end(b->t, rc), RC_OK);
	assert_int_equal(chan_expect(b->catalog, MSG_PEER_END, &m, 0), RC_OK);
	assert_int_equal(rbuf_u8(&m.body, &code), RC_OK);
	assert_int_equal(code, -rc);
	assert_int_equal(rbuf_str(&m.body, text, sizeof(text)), RC_OK);
	assert_int_equal(text[0] == '\0', rc == RC_OK);
	assert_int_equal(rbuf_bytes(&m.body, identity, 32), RC_OK);
	assert_int_equal(rbuf_bytes(&m.body, pin, 32), RC_OK);
	assert_memory_equal(identity, found ? b->t->far.identity : zeros, 32);
	assert_memory_equal(pin, found ? b->t->far.pin : zeros, 32);
	*rest = m.body;
}

/* --- tests --- */

static void
two_installations_exchange_what_they_know(void **state)
{
	struct peer_entry e[2];
	struct json_doc *d;
	struct bench b;
	struct rbuf rest;
	size_t n;

	(void)state;
	bench_open(&b, HONEST);
	memcpy(b.t->pin, keys_spki(b.far.keys), 32);
	memcpy(b.t->identity, keys_identity(b.far.keys), 32);
	assert_int_equal(peer_task_run(b.t), RC_OK);
	expect_seen(&b, PEER_CALLED, 0, "far");
	expect_seen(&b, PEER_EXCHANGE, 4, "third");
	expect_end(&b, RC_OK, true, &rest);
	assert_int_equal(rbuf_end(&rest), RC_OK);
	assert_int_equal(b.far.requests, 4);
	/* and what we told came through */
	assert_int_equal(json_parse(b.far.exchanged, b.far.n_exchanged, 256,
	    &d), RC_OK);
	assert_int_equal(peerjson_get_entries(d, json_root(d), "peers", e, 2,
	    &n), RC_OK);
	assert_int_equal(n, 1);
	assert_string_equal(e[0].info.id, "told");
	assert_int_equal(e[0].addr.family, 6);
	assert_string_equal(json_string(d, json_get(d, json_root(d), "self"),
	    "id", ""), "near");
	json_free(d);
	bench_close(&b);
}

static void
first_contact_needs_no_pin_and_tells_what_was_found(void **state)
{
	struct bench b;
	struct rbuf rest;

	(void)state;
	bench_open(&b, HONEST);
	assert_int_equal(peer_task_run(b.t), RC_OK);
	assert_memory_equal(b.t->far.pin, keys_spki(b.far.keys), 32);
	assert_memory_equal(b.t->far.identity, keys_identity(b.far.keys), 32);
	expect_seen(&b, PEER_CALLED, 0, "far");
	expect_seen(&b, PEER_EXCHANGE, 4, "third");
	expect_end(&b, RC_OK, true, &rest);
	bench_close(&b);
}

static void
ports_as_the_far_end_sees_them(void **state)
{
	uint16_t port;
	uint32_t ms;
	uint8_t n, code;
	struct bench b;
	struct rbuf rest;

	(void)state;
	bench_open(&b, HONEST);
	b.t->purpose = DIAL_REACH;
	b.t->ports[0] = 32004;
	b.t->ports[1] = 32007;
	b.t->n_ports = 2;
	assert_int_equal(peer_task_run(b.t), RC_OK);
	expect_seen(&b, PEER_CALLED, 0, "far");
	expect_end(&b, RC_OK, true, &rest);
	assert_int_equal(rbuf_u8(&rest, &n), RC_OK);
	assert_int_equal(n, 2);
	assert_int_equal(rbuf_skip(&rest, 7), RC_OK);
	assert_int_equal(rbuf_u16(&rest, &port), RC_OK);
	assert_int_equal(rbuf_u8(&rest, &code), RC_OK);
	assert_int_equal(rbuf_u32(&rest, &ms), RC_OK);
	assert_int_equal(port, 32007);
	assert_int_equal(code, -RC_TIMEOUT);
	assert_int_equal(ms, 5000);
	assert_int_equal(rbuf_end(&rest), RC_OK);
	bench_close(&b);
}

/* Whoever it is, it never hears a request of ours. */
static void
another_tls_key_than_the_pinned_one_ends_it(void **state)
{
	struct bench b;
	struct rbuf rest;

	(void)state;
	bench_open(&b, HONEST);
	memcpy(b.t->pin, keys_spki(b.far.other), 32);
	assert_int_equal(peer_task_run(b.t), RC_PIN);
	expect_end(&b, RC_PIN, false, &rest);
	assert_int_equal(b.far.requests, 0);
	bench_close(&b);
}

static void
another_identity_than_the_expected_one_ends_it(void **state)
{
	struct bench b;
	struct rbuf rest;

	(void)state;
	bench_open(&b, HONEST);
	memcpy(b.t->identity, keys_identity(b.far.other), 32);
	assert_int_equal(peer_task_run(b.t), RC_PIN);
	/* proved, so that a person can compare it */
	expect_end(&b, RC_PIN, true, &rest);
	assert_int_equal(b.far.requests, 1);
	bench_close(&b);
}

static void
ourselves_we_do_not_exchange_with(void **state)
{
	struct bench b;
	struct rbuf rest;

	(void)state;
	bench_open(&b, HONEST);
	memcpy(b.t->self, keys_identity(b.far.keys), 32);
	assert_int_equal(peer_task_run(b.t), RC_EXISTS);
	expect_end(&b, RC_EXISTS, true, &rest);
	bench_close(&b);
}

static void
lies_and_bad_answers_tell_the_catalog_nothing(void **state)
{
	static const struct {
		enum lie	lie;
		int		rc;
		int		requests;
	} v[] = {
		{ BINDING_BY_ANOTHER, RC_CRYPTO, 1 },
		{ PIN_OF_ANOTHER, RC_PIN, 1 },
		{ IDENTITY_IS_YOURS, RC_CRYPTO, 1 },
		{ ANSWER_TOO_LONG, RC_LIMIT, 1 },
		{ ANSWER_NOT_JSON, RC_PROTO, 1 },
	};
	struct bench b;
	struct rbuf rest;

	(void)state;
	for (size_t i = 0; i < NITEMS(v); i++) {
		bench_open(&b, v[i].lie);
		assert_int_equal(peer_task_run(b.t), v[i].rc);
		/* PEER_END is the first and only message */
		expect_end(&b, v[i].rc, false, &rest);
		assert_int_equal(b.far.requests, v[i].requests);
		bench_close(&b);
	}
}

static void
sixty_one_entries_are_none(void **state)
{
	struct bench b;
	struct rbuf rest;

	(void)state;
	bench_open(&b, SIXTY_ONE);
	assert_int_equal(peer_task_run(b.t), RC_LIMIT);
	expect_seen(&b, PEER_CALLED, 0, "far");
	expect_end(&b, RC_LIMIT, true, &rest);
	bench_close(&b);
}

static void
refused_and_closed_are_told_apart(void **state)
{
	struct bench b;
	struct rbuf rest;

	(void)state;
	bench_open(&b, NOT_LET_IN);
	assert_int_equal(peer_task_run(b.t), RC_DENIED);
	/* it is alive, and it is who it says */
	expect_seen(&b, PEER_CALLED, 0, "far");
	expect_end(&b, RC_DENIED, true, &rest);
	bench_close(&b);
	bench_open(&b, CLOSES_AFTER_NONCE);
	assert_int_equal(peer_task_run(b.t), RC_EOF);
	assert_int_equal(b.far.requests, 2);
	bench_close(&b);
}

static void
bytes_after_an_answer_never_become_the_next_one(void **state)
{
	struct bench b;
	int rc;

	(void)state;
	bench_open(&b, ANSWER_HAS_A_TAIL);
	rc = peer_task_run(b.t);
	assert_int_equal(rc, RC_PROTO);
	bench_close(&b);
}

static void
a_silent_one_costs_no_more_than_the_time_limit(void **state)
{
	static const enum lie v[] = { SILENT, SILENT_IN_TLS };
	struct bench b;
	struct rbuf rest;
	uint64_t since;

	(void)state;
	for (size_t i = 0; i < NITEMS(v); i++) {
		bench_open(&b, v[i]);
		since = io_now_ms();
		b.t->deadline = since + 300;
		assert_int_equal(peer_task_run(b.t), RC_TIMEOUT);
		assert_in_range(io_now_ms() - since, 250, 3000);
		expect_end(&b, RC_TIMEOUT, false, &rest);
		bench_close(&b);
	}
}

static void
the_master_can_end_it_at_any_time(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, SILENT);
	assert_int_equal(chan_send(b.master, MSG_STOP, NULL, -1), RC_OK);
	assert_int_equal(peer_task_run(b.t), RC_CANCELLED);
	bench_close(&b);
}

static void
put_do(struct wbuf *w, uint8_t purpose, uint16_t n, bool tail)
{
	struct peer_info info = { .port_gui = 1, .interval = 1, .id = "x" };
	struct addr a = { 0 };

	wbuf_reset(w);
	wbuf_u8(w, purpose);
	wbuf_zeros(w, 64);
	if (purpose == DIAL_REACH) {
		wbuf_u8(w, (uint8_t)n);
		for (unsigned i = 0; i < n; i++)
			wbuf_u16(w, 7);
	} else {
		peer_info_put(w, &info);
		wbuf_u16(w, n);
		for (unsigned i = 0; i < n; i++) {
			peer_info_put(w, &info);
			addr_put(w, &a);
		}
	}
	if (tail)
		wbuf_u8(w, 0);
}

static void
tasks_are_read_strictly(void **state)
{
	static const struct {
		uint8_t		purpose;
		uint16_t	n;
		bool		tail;
		int		rc;
	} v[] = {
		{ DIAL_EXCHANGE, 0, false, RC_OK },
		{ DIAL_EXCHANGE, 60, false, RC_OK },
		{ DIAL_EXCHANGE, 61, false, RC_LIMIT },
		{ DIAL_EXCHANGE, 1, true, RC_TRAILING },
		{ DIAL_REACH, 4, false, RC_OK },
		{ DIAL_REACH, 5, false, RC_LIMIT },
		{ DIAL_REACH, 0, false, RC_LIMIT },
		{ DIAL_REACH, 1, true, RC_TRAILING },
		{ DIAL_PROBE, 0, false, RC_RANGE },
		{ 0, 0, false, RC_RANGE },
	};
	struct peer_task *t = calloc(1, sizeof(*t));
	struct wbuf w = WBUF_INIT(65536);
	struct rbuf in;

	(void)state;
	assert_non_null(t);
	for (size_t i = 0; i < NITEMS(v); i++) {
		put_do(&w, v[i].purpose, v[i].n, v[i].tail);
		rbuf_init(&in, w.data, w.len);
		assert_int_equal(peer_task_parse(&in, t), v[i].rc);
	}
	put_do(&w, DIAL_EXCHANGE, 2, false);
	for (size_t i = 0; i < w.len; i++) {
		rbuf_init(&in, w.data, i);
		assert_int_equal(peer_task_parse(&in, t), RC_TRUNCATED);
	}
	wbuf_free(&w);
	free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_installations_exchange_what_they_know),
		cmocka_unit_test(
		    first_contact_needs_no_pin_and_tells_what_was_found),
		cmocka_unit_test(ports_as_the_far_end_sees_them),
		cmocka_unit_test(another_tls_key_than_the_pinned_one_ends_it),
		cmocka_unit_test(another_identity_than_the_expected_one_ends_it),
		cmocka_unit_test(ourselves_we_do_not_exchange_with),
		cmocka_unit_test(lies_and_bad_answers_tell_the_catalog_nothing),
		cmocka_unit_test(sixty_one_entries_are_none),
		cmocka_unit_test(refused_and_closed_are_told_apart),
		cmocka_unit_test(
		    bytes_after_an_answer_never_become_the_next_one),
		cmocka_unit_test(a_silent_one_costs_no_more_than_the_time_limit),
		cmocka_unit_test(the_master_can_end_it_at_any_time),
		cmocka_unit_test(tasks_are_read_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
