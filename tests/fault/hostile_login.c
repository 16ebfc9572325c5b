#include "config.h"

#include "tests/fault/hostile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"

#define KEY_LEN		(32 + 32 + 16 + 16 + 32)

int
token_read(struct target *t, const char *path)
{
	uint8_t *text = NULL;
	size_t n;
	int rc;

	if ((rc = io_read_file(AT_FDCWD, path, &text, &n, 4096)) != RC_OK)
		return rc;
	/* what storegridctl says around it is not the token */
	char *at = strstr((char *)text, "sg1-");

	if (at == NULL)
		rc = RC_PROTO;
	else {
		at[strcspn(at, " \t\r\n")] = '\0';
		rc = token_parse(at, &t->token);
	}
	free(text);
	if (rc != RC_OK)
		return rc;
	t->have_token = true;
	memcpy(t->pin, t->token.pin, sizeof(t->pin));
	memcpy(t->identity_fp, t->token.identity_fp, sizeof(t->identity_fp));
	return RC_OK;
}

int
key_write(const struct target *t, const char *path)
{
	struct wbuf b = WBUF_INIT(KEY_LEN);
	int rc;

	wbuf_bytes(&b, t->pin, 32);
	wbuf_bytes(&b, t->identity_fp, 32);
	wbuf_bytes(&b, t->client, 16);
	wbuf_bytes(&b, t->vault, 16);
	wbuf_bytes(&b, t->priv.b, 32);
	if ((rc = wbuf_rc(&b)) == RC_OK)
		rc = io_write_file(AT_FDCWD, path, b.data, b.len, 0600);
	wbuf_free(&b);
	return rc;
}

int
key_read(struct target *t, const char *path)
{
	uint8_t *p = NULL;
	struct rbuf in;
	size_t n;
	int rc;

	if ((rc = io_read_file(AT_FDCWD, path, &p, &n, 4096)) != RC_OK)
		return rc;
	rbuf_init(&in, p, n);
	if ((rc = rbuf_bytes(&in, t->pin, 32)) == RC_OK &&
	    (rc = rbuf_bytes(&in, t->identity_fp, 32)) == RC_OK &&
	    (rc = rbuf_bytes(&in, t->client, 16)) == RC_OK &&
	    (rc = rbuf_bytes(&in, t->vault, 16)) == RC_OK &&
	    (rc = rbuf_bytes(&in, t->priv.b, 32)) == RC_OK)
		rc = ed25519_public(&t->priv, t->pub);
	free(p);
	t->have_key = rc == RC_OK;
	return rc;
}

/* In clear text the hello is signed by the identity key that we know. */
static int
check_hello(const struct conn *c, const struct target *t)
{
	struct wbuf text = WBUF_INIT(1024);
	uint8_t fp[32];
	int rc;

	if ((rc = sha256(c->hello_ok.identity, ED25519_LEN, fp)) != RC_OK)
		return rc;
	if (memcmp(fp, t->identity_fp, sizeof(fp)) != 0)
		return RC_PIN;
	if (!c->clear)
		return c->hello_ok.signed_ == 0 ? RC_OK : RC_PROTO;
	rc = hello_sign_text(&text, c->hello.data, c->hello.len,
	    &c->hello_ok);
	if (rc == RC_OK)
		rc = c->hello_ok.signed_ != 1 ? RC_PROTO :
		    ed25519_verify(c->hello_ok.identity, text.data, text.len,
		    c->hello_ok.sig);
	wbuf_free(&text);
	return rc;
}

int
login_hello(struct conn *c, const struct target *t)
{
	struct hello h = { .version_min = 1, .version_max = 1 };
	struct rbuf in;
	int rc;

	random_fill(h.nonce, sizeof(h.nonce));
	wbuf_reset(&c->hello);
	hello_put(&c->hello, &h);
	if ((rc = conn_frame(c, PROTO_HELLO, 1, c->hello.data,
	    c->hello.len)) != RC_OK && rc != RC_EOF)
		return rc;
	if ((rc = conn_want(c, PROTO_HELLO_OK, WAIT_MS)) != RC_OK)
		return rc;
	wbuf_reset(&c->ok);
	wbuf_bytes(&c->ok, c->p, c->f.length);
	rbuf_init(&in, c->ok.data, c->ok.len);
	if ((rc = hello_ok_parse(&in, &c->hello_ok)) != RC_OK ||
	    (rc = check_hello(c, t)) != RC_OK) {
		fprintf(stderr, "HELLO_OK: %s\n", rc_str(rc));
		return rc;
	}
	return hellos_hash(c->hello.data, c->hello.len, c->ok.data, c->ok.len,
	    c->hellos);
}

void
login_auth_put(const struct conn *c, const struct target *t, struct wbuf *b)
{
	struct wbuf text = WBUF_INIT(256);
	struct auth a = { 0 };

	memcpy(a.client, t->client, sizeof(a.client));
	auth_sign_text(&text, c->hellos, c->exporter, t->identity_fp,
	    a.client);
	if (ed25519_sign(&t->priv, text.data, text.len, a.sig) != RC_OK)
		memset(a.sig, 0, sizeof(a.sig));
	wbuf_free(&text);
	auth_put(b, &a);
}

int
login_enrol_put(const struct conn *c, const struct token *token,
    const uint8_t pub[ED25519_LEN], struct wbuf *b)
{
	struct enrol e = { 0 };
	int rc;

	memcpy(e.token, token->id, sizeof(e.token));
	memcpy(e.client_key, pub, ED25519_LEN);
	if ((rc = enrol_mac(&token->secret, c->hellos, c->exporter, pub,
	    e.mac)) != RC_OK)
		return rc;
	enrol_put(b, &e);
	return wbuf_rc(b);
}

int
login_enrol(struct conn *c, struct target *t)
{
	struct wbuf b = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct enrol_ok ok;
	struct rbuf in;
	int rc;

	if ((rc = ed25519_new(&t->priv, t->pub)) != RC_OK ||
	    (rc = login_enrol_put(c, &t->token, t->pub, &b)) != RC_OK ||
	    (rc = conn_wbuf(c, PROTO_ENROL, 2, &b)) != RC_OK ||
	    (rc = conn_want(c, PROTO_ENROL_OK, WAIT_MS)) != RC_OK)
		return rc;
	rbuf_init(&in, c->p, c->f.length);
	if ((rc = enrol_ok_parse(&in, &ok)) != RC_OK)
		return rc;
	memcpy(t->client, ok.client, sizeof(t->client));
	memcpy(t->vault, ok.vault, sizeof(t->vault));
	t->have_key = true;
	return RC_OK;
}

int
login_auth(struct conn *c, const struct target *t)
{
	struct wbuf b = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct rbuf in;
	int rc;

	login_auth_put(c, t, &b);
	if ((rc = conn_wbuf(c, PROTO_AUTH, 3, &b)) != RC_OK ||
	    (rc = conn_want(c, PROTO_AUTH_OK, 2 * WAIT_MS)) != RC_OK)
		return rc;
	rbuf_init(&in, c->p, c->f.length);
	return auth_ok_parse(&in, &c->auth_ok);
}

int
login(struct conn *c, const struct target *t)
{
	uint64_t start = io_now_ms();
	int rc;

	if ((rc = conn_open(c, t)) == RC_OK &&
	    (rc = login_hello(c, t)) == RC_OK)
		rc = login_auth(c, t);
	c->ms = (int)(io_now_ms() - start);
	return rc;
}

int
go_to(struct conn *c, const struct target *t, enum proto_state st)
{
	int rc;

	if (st == PROTO_ST_OPEN)
		return login(c, t);
	if ((rc = conn_open(c, t)) == RC_OK && st == PROTO_ST_AUTH)
		rc = login_hello(c, t);
	return rc;
}
