#include "config.h"

#include "tests/fault/hostile.h"

#include <stdio.h>
#include <string.h>

#include "common/rc.h"

/* Scenarios up to the log-in. */

int
said(struct conn *c, const char *name, int ms)
{
	char text[400];

	conn_drain(c, ms);
	printf("%s: %s\n", name, ending_text(c, text, sizeof(text)));
	conn_close(c);
	return 0;
}

/* --- that go well --- */

static int
do_enrol(struct target *t, int argc, char **argv)
{
	struct conn c;
	int rc;

	if (argc != 1)
		return 2;
	if ((rc = go_to(&c, t, PROTO_ST_AUTH)) != RC_OK ||
	    (rc = login_enrol(&c, t)) != RC_OK ||
	    (rc = login_auth(&c, t)) != RC_OK)
		return said(&c, "enrol", WAIT_MS) + 1;
	printf("enrol: enrolled as %s\n", c.auth_ok.name);
	conn_close(&c);
	return key_write(t, argv[0]) == RC_OK ? 0 : 1;
}

static int
do_login(struct target *t, int argc, char **argv)
{
	struct conn c;

	(void)argc;
	(void)argv;
	if (login(&c, t) != RC_OK)
		return said(&c, "login", WAIT_MS) + 1;
	printf("login: logged in as %s in %d ms\n", c.auth_ok.name, c.ms);
	conn_frame(&c, PROTO_BYE, 0, NULL, 0);
	conn_close(&c);
	return 0;
}

/* --- tokens --- */

static int
enrol_with(struct target *t, const struct token *token, const char *name)
{
	struct wbuf b = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct secret priv;
	uint8_t pub[ED25519_LEN];
	struct conn c;

	if (go_to(&c, t, PROTO_ST_AUTH) == RC_OK &&
	    ed25519_new(&priv, pub) == RC_OK &&
	    login_enrol_put(&c, token, pub, &b) == RC_OK &&
	    conn_wbuf(&c, PROTO_ENROL, 2, &b) == RC_OK &&
	    conn_want(&c, PROTO_ENROL_OK, WAIT_MS) == RC_OK)
		printf("%s: ENROLLED\n", name);
	return said(&c, name, WAIT_MS);
}

static int
do_wrong_secret(struct target *t, int argc, char **argv)
{
	struct token token = t->token;

	(void)argc;
	(void)argv;
	random_fill(&token.secret, sizeof(token.secret));
	return enrol_with(t, &token, "wrong-secret");
}

static int
do_unknown_token(struct target *t, int argc, char **argv)
{
	struct token token = t->token;

	(void)argc;
	(void)argv;
	random_fill(token.id, sizeof(token.id));
	return enrol_with(t, &token, "unknown-token");
}

static int
do_use_token(struct target *t, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return enrol_with(t, &t->token, "use-token");
}

static int
do_enrol_twice(struct target *t, int argc, char **argv)
{
	struct wbuf b = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct conn c;

	(void)argc;
	(void)argv;
	if (go_to(&c, t, PROTO_ST_AUTH) == RC_OK &&
	    login_enrol(&c, t) == RC_OK &&
	    login_enrol_put(&c, &t->token, t->pub, &b) == RC_OK)
		conn_wbuf(&c, PROTO_ENROL, 4, &b);
	return said(&c, "enrol-twice", WAIT_MS);
}

/* --- names and keys --- */

static int
auth_as(struct target *t, const char *name)
{
	struct conn c;

	if (login(&c, t) == RC_OK)
		printf("%s: LOGGED IN\n", name);
	return said(&c, name, WAIT_MS);
}

static int
do_unknown_client(struct target *t, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	random_fill(t->client, sizeof(t->client));
	return auth_as(t, "unknown-client");
}

static int
do_wrong_key(struct target *t, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (ed25519_new(&t->priv, t->pub) != RC_OK)
		return 1;
	return auth_as(t, "wrong-key");
}

/* For another server, or another connection to this one. */
static int
do_wrong_server(struct target *t, int argc, char **argv)
{
	struct wbuf b = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct conn c;

	(void)argc;
	(void)argv;
	if (go_to(&c, t, PROTO_ST_AUTH) == RC_OK) {
		t->identity_fp[7] ^= 1;
		login_auth_put(&c, t, &b);
		conn_wbuf(&c, PROTO_AUTH, 3, &b);
	}
	return said(&c, "wrong-server", WAIT_MS);
}

static int
do_replay_auth(struct target *t, int argc, char **argv)
{
	struct wbuf b = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct conn a, c;

	(void)argc;
	(void)argv;
	if (login(&a, t) != RC_OK)
		return said(&a, "replay-auth", WAIT_MS) + 1;
	login_auth_put(&a, t, &b);
	if (go_to(&c, t, PROTO_ST_AUTH) == RC_OK)
		conn_wbuf(&c, PROTO_AUTH, 3, &b);
	conn_close(&a);
	return said(&c, "replay-auth", WAIT_MS);
}

static int
do_wrong_pin(struct target *t, int argc, char **argv)
{
	struct tls_ctx *real = t->ctx;
	struct conn c;
	int r = 1;

	(void)argc;
	(void)argv;
	t->pin[0] ^= 1;
	if (tls_client_ctx(&t->ctx, t->pin) == RC_OK) {
		conn_open(&c, t);
		r = said(&c, "wrong-pin", WAIT_MS);
	}
	tls_ctx_free(t->ctx);
	t->ctx = real;
	return r;
}

/* --- clear text --- */

static int
do_clear(struct target *t, int argc, char **argv)
{
	struct conn c;

	(void)argc;
	(void)argv;
	t->clear = true;
	if (conn_open(&c, t) == RC_OK && login_hello(&c, t) == RC_OK)
		printf("clear: HELLO_OK\n");
	return said(&c, "clear", WAIT_MS);
}

/* Where clear text is allowed, enrolment is not. */
static int
do_clear_enrol(struct target *t, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	t->clear = true;
	return enrol_with(t, &t->token, "clear-enrol");
}

static int
do_clear_login(struct target *t, int argc, char **argv)
{
	t->clear = true;
	return do_login(t, argc, argv);
}

static int
do_other_protocol(struct target *t, int argc, char **argv)
{
	static const char http[] = "GET / HTTP/1.0\r\nHost: x\r\n\r\n";
	struct conn c;

	(void)argc;
	(void)argv;
	t->clear = true;
	if (conn_open(&c, t) == RC_OK)
		conn_send(&c, http, sizeof(http) - 1);
	return said(&c, "other-protocol", WAIT_MS);
}

/* The first byte of TLS, and then no TLS. */
static int
do_tls_garbage(struct target *t, int argc, char **argv)
{
	uint8_t junk[600];
	struct conn c;

	(void)argc;
	(void)argv;
	random_fill(junk, sizeof(junk));
	junk[0] = 0x16;
	junk[1] = 0x03;
	junk[2] = 0x01;
	junk[3] = 0x02;
	junk[4] = 0x00;
	t->clear = true;
	if (conn_open(&c, t) == RC_OK)
		conn_send(&c, junk, sizeof(junk));
	return said(&c, "tls-garbage", WAIT_MS);
}

/* --- hellos --- */

static int
hello_raw(struct target *t, const struct hello *h, bool bad_magic,
    const char *name)
{
	struct wbuf b = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct conn c;

	hello_put(&b, h);
	if (bad_magic)
		b.data[0] ^= 0xff;
	if (conn_open(&c, t) == RC_OK)
		conn_wbuf(&c, PROTO_HELLO, 1, &b);
	return said(&c, name, WAIT_MS);
}

static int
do_hello_version(struct target *t, int argc, char **argv)
{
	struct hello h = { .version_min = 900, .version_max = 901 };

	(void)argc;
	(void)argv;
	return hello_raw(t, &h, false, "hello-version");
}

static int
do_hello_magic(struct target *t, int argc, char **argv)
{
	struct hello h = { .version_min = 1, .version_max = 1 };

	(void)argc;
	(void)argv;
	return hello_raw(t, &h, true, "hello-magic");
}

/* --- dawdling: each waits for a clock of the server --- */

static int
do_say_nothing(struct target *t, int argc, char **argv)
{
	struct conn c;

	(void)argc;
	(void)argv;
	t->clear = true;
	conn_open(&c, t);
	return said(&c, "say-nothing", HOLD_MS);
}

static int
do_half_tls(struct target *t, int argc, char **argv)
{
	static const uint8_t start[] = { 0x16, 0x03, 0x01, 0x02 };
	struct conn c;

	(void)argc;
	(void)argv;
	t->clear = true;
	if (conn_open(&c, t) == RC_OK)
		conn_send(&c, start, sizeof(start));
	return said(&c, "half-tls", HOLD_MS);
}

static int
do_half_hello(struct target *t, int argc, char **argv)
{
	static const uint8_t start[] = { 0, 0, 0, 44, 0 };
	struct conn c;

	(void)argc;
	(void)argv;
	if (conn_open(&c, t) == RC_OK)
		conn_send(&c, start, sizeof(start));
	return said(&c, "half-hello", HOLD_MS);
}

static int
do_no_auth(struct target *t, int argc, char **argv)
{
	struct conn c;

	(void)argc;
	(void)argv;
	go_to(&c, t, PROTO_ST_AUTH);
	return said(&c, "no-auth", HOLD_MS);
}

/* A byte now and then keeps no log-in alive. */
static int
do_slow_bytes(struct target *t, int argc, char **argv)
{
	uint8_t frame[PROTO_FRAME_LEN + 400] = { 0, 0, 1, 0x90, 0, 1 };
	struct conn c;
	size_t i;

	(void)argc;
	(void)argv;
	if (conn_open(&c, t) == RC_OK)
		for (i = 0; i < sizeof(frame) && c.end == END_NONE; i++) {
			if (conn_send(&c, frame + i, 1) != RC_OK)
				break;
			if (conn_recv(&c, 200) == RC_EOF)
				break;
		}
	return said(&c, "slow-bytes", HOLD_MS);
}

const struct scenario scenarios_login[] = {
	{ "enrol", do_enrol, "KEYFILE: enrol, log in, keep the key" },
	{ "login", do_login, "log in" },
	{ "wrong-secret", do_wrong_secret, "ENROL by a wrong secret" },
	{ "unknown-token", do_unknown_token, "ENROL by a token never made" },
	{ "use-token", do_use_token, "ENROL by a used or expired token" },
	{ "enrol-twice", do_enrol_twice, "two ENROL in one connection" },
	{ "unknown-client", do_unknown_client, "AUTH by an id never given" },
	{ "wrong-key", do_wrong_key, "AUTH signed by another key" },
	{ "wrong-server", do_wrong_server, "AUTH made for another server" },
	{ "replay-auth", do_replay_auth, "AUTH of another connection" },
	{ "wrong-pin", do_wrong_pin, "a client that expects another key" },
	{ "clear", do_clear, "HELLO in clear text" },
	{ "clear-enrol", do_clear_enrol, "ENROL in clear text" },
	{ "clear-login", do_clear_login, "log in in clear text" },
	{ "other-protocol", do_other_protocol, "HTTP" },
	{ "tls-garbage", do_tls_garbage, "a TLS record of random bytes" },
	{ "hello-version", do_hello_version, "HELLO of the far future" },
	{ "hello-magic", do_hello_magic, "HELLO of something else" },
	{ "say-nothing", do_say_nothing, "not one byte" },
	{ "half-tls", do_half_tls, "four bytes of TLS" },
	{ "half-hello", do_half_hello, "half a frame" },
	{ "no-auth", do_no_auth, "nothing after the hellos" },
	{ "slow-bytes", do_slow_bytes, "a HELLO, byte by byte" },
	{ NULL, NULL, NULL }
};
