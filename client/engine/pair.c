#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/engine/engine.h"
#include "client/engine/enrol_impl.h"
#include "client/engine/event.h"
#include "client/engine/remote_impl.h"
#include "common/conf.h"
#include "common/io.h"
#include "common/peerinfo.h"
#include "common/rc.h"
#include "common/token.h"

/*
 * Pairing: how a machine becomes a client where nobody has carried a token to
 * it.  The first connection believes whoever answers.  Both ends make a code of
 * both keys and a nonce each; ours is fixed by a hash before theirs is known.
 * If somebody sits in between, the two codes differ, and whoever compares them
 * refuses.  If they are alike, the server sends an enrolment token over a
 * connection with the key that stands in the code, and the rest is an enrolment
 * with the client key that stands in it, too.
 */
struct pairing {
	struct engine	*e;
	const char	*host;
	uint16_t	 port;			/* 0: the usual one */
	struct pair_open open;			/* its nonce is our secret */
	uint8_t		 pin[32], identity_fp[32];
	uint64_t	 until;
};

/* --- where the server is --- */

static void
first_address(struct pairing *p)
{
	struct state *st = p->e->state;
	struct conf usual;

	conf_defaults(&usual);
	snprintf(st->host, sizeof(st->host), "%s", p->host);
	st->port = usual.port_server;
	st->ssl_port = usual.port_ssl;
	st->ssl = false;
	/* What was typed now is meant, whatever the configuration says. */
	if (p->port != 0)
		p->e->conf_port = p->e->conf_ssl_port = p->port;
}

/* The way we came leads there; the host that the server calls itself by may
 * not.  A port that it does not know of is one that somebody forwards. */
static void
last_address(struct pairing *p, const struct token *t)
{
	struct state *st = p->e->state;

	enrol_from_token(st, t);
	snprintf(st->host, sizeof(st->host), "%s", p->host);
	if (p->port != 0 && p->port != t->port && p->port != t->ssl_port)
		st->port = st->ssl_port = p->port;
}

/* --- what is shown --- */

static int
show_code(struct pairing *p, const struct hello_ok *h, const char *code)
{
	struct wbuf body = WBUF_INIT(1024);
	char fp[PEER_FP_LEN + 1], id[sizeof(h->id)];
	int rc;

	snprintf(id, sizeof(id), "%s", h->id);
	remote_printable(id);
	peer_fingerprint(h->identity, fp);
	wbuf_u8(&body, EVENT_CODE);
	wbuf_str(&body, code);
	wbuf_str(&body, id);
	wbuf_str(&body, fp);
	wbuf_str(&body, p->host);
	rc = engine_event(p->e, &body);
	wbuf_free(&body);
	return rc;
}

static int
show_waiting(struct pairing *p)
{
	struct wbuf body = WBUF_INIT(16);
	uint64_t now = io_now_ms();
	int rc;

	wbuf_u8(&body, EVENT_WAITING);
	wbuf_u32(&body, now < p->until ?
	    (uint32_t)((p->until - now + 999) / 1000) : 0);
	rc = engine_event(p->e, &body);
	wbuf_free(&body);
	return rc;
}

/* --- the conversation --- */

static int
failed(struct remote *r, int rc, char *text, size_t size)
{
	int code = engine_exit_code(rc, r);

	snprintf(text, size, "pairing: %s", remote_error(r)[0] != '\0' ?
	    remote_error(r) : rc_str(rc));
	remote_close(r);
	return code;
}

static int
make_offer(struct pairing *p, struct pair *offer)
{
	const struct keys *k = &p->e->keys;
	int rc;

	memset(offer, 0, sizeof(*offer));
	if (gethostname(offer->name, sizeof(offer->name) - 1) != 0 ||
	    offer->name[0] == '\0')
		snprintf(offer->name, sizeof(offer->name), "unnamed");
	remote_printable(offer->name);
	memcpy(offer->client_key, k->identity_pub, ED25519_LEN);
	if ((rc = secret_random(p->open.nonce, sizeof(p->open.nonce))) !=
	    RC_OK)
		return rc;
	return pair_commit(p->open.nonce, k->identity_pub, offer->commit);
}

static int
make_code(struct pairing *p, const struct hello_ok *h,
    const struct pair_ok *ok, char code[PROTO_PAIR_CODE_LEN + 1])
{
	struct pair_code c;

	memcpy(c.client_key, p->e->keys.identity_pub, sizeof(c.client_key));
	memcpy(c.identity, h->identity, sizeof(c.identity));
	memcpy(c.pin, p->pin, sizeof(c.pin));
	memcpy(c.client_nonce, p->open.nonce, sizeof(c.client_nonce));
	memcpy(c.server_nonce, ok->nonce, sizeof(c.server_nonce));
	return pair_code(&c, code);
}

/* On the first connection: offer, answer, our nonce, the code. */
static int
exchange(struct pairing *p, struct remote *r, struct pair_state_msg *state,
    char code[PROTO_PAIR_CODE_LEN + 1])
{
	struct pair offer;
	struct pair_ok ok;
	int rc;

	memcpy(p->pin, remote_spki(r), sizeof(p->pin));
	if ((rc = sha256(remote_hello(r)->identity, ED25519_LEN,
	    p->identity_fp)) != RC_OK ||
	    (rc = make_offer(p, &offer)) != RC_OK ||
	    (rc = remote_pair(r, &offer, &ok)) != RC_OK)
		return rc;
	memcpy(p->open.pairing, ok.pairing, sizeof(p->open.pairing));
	if ((rc = make_code(p, remote_hello(r), &ok, code)) != RC_OK)
		return rc;
	return remote_pair_open(r, &p->open, state);
}

static int
begin(struct pairing *p, struct pair_state_msg *state, char *text,
    size_t size)
{
	char code[PROTO_PAIR_CODE_LEN + 1];
	struct engine *e = p->e;
	struct remote *r;
	int rc;

	first_address(p);
	if ((rc = engine_dial_first(e, &r)) != RC_OK) {
		snprintf(text, size, "%s", e->error);
		return engine_exit_code(rc, NULL);
	}
	if ((rc = exchange(p, r, state, code)) != RC_OK)
		return failed(r, rc, text, size);
	p->until = io_now_ms() + PROTO_PAIR_MS;
	rc = show_code(p, remote_hello(r), code);
	remote_close(r);
	/* From now on it has to be the same one. */
	memcpy(e->state->pin, p->pin, sizeof(p->pin));
	memcpy(e->state->identity_fp, p->identity_fp, sizeof(p->identity_fp));
	return engine_exit_code(rc, NULL);
}

/* A server that is away for a moment ends nothing; one that became another
 * does. */
static int
poll_once(struct pairing *p, struct pair_state_msg *state, char *text,
    size_t size)
{
	struct remote *r;
	int code, rc;

	if ((rc = engine_dial(p->e, &r, NULL, true)) != RC_OK) {
		code = engine_exit_code(rc, NULL);
		snprintf(text, size, "%s", p->e->error);
	} else if ((rc = remote_pair_poll(r, &p->open, state)) != RC_OK) {
		code = failed(r, rc, text, size);
	} else {
		remote_close(r);
		return EXIT_DONE;
	}
	if (code == EXIT_UNREACHABLE || code == EXIT_LATER) {
		state->state = PAIR_WAITING;
		return EXIT_DONE;
	}
	if (code == EXIT_PIN)
		snprintf(text, size, "%s answers with another key than when "
		    "the code was shown: somebody may sit in between. This "
		    "machine is not enrolled", p->host);
	return code;
}

static int
wait_for_word(struct pairing *p, struct pair_state_msg *state, char *text,
    size_t size)
{
	int code, rc;

	while (state->state == PAIR_WAITING && io_now_ms() < p->until) {
		if ((rc = show_waiting(p)) != RC_OK ||
		    (rc = engine_pause(p->e, PROTO_PAIR_POLL_MS)) != RC_OK)
			return engine_exit_code(rc, NULL);
		if ((code = poll_once(p, state, text, size)) != EXIT_DONE)
			return code;
	}
	switch (state->state) {
	case PAIR_ACCEPTED:
		return EXIT_DONE;
	case PAIR_REFUSED:
		snprintf(text, size, "the server's administrator refused this "
		    "machine");
		return EXIT_AUTH;
	case PAIR_GONE:
		snprintf(text, size, "the server does not know this pairing "
		    "any more; run `storegrid pair` again for a new code");
		return EXIT_LATER;
	default:
		snprintf(text, size, "nobody accepted this machine within %d "
		    "minutes; run `storegrid pair` again for a new code",
		    PROTO_PAIR_MS / 60000);
		return EXIT_LATER;
	}
}

/* A token for another server than the code spoke of was made by somebody who
 * changed what we saw, or what the server sees. */
static int
take_token(struct pairing *p, const char *shown, struct token *t, char *text,
    size_t size)
{
	int rc;

	if ((rc = token_parse(shown, t)) != RC_OK) {
		snprintf(text, size, "the server sent something that is no "
		    "enrolment token: %s", rc_str(rc));
		return EXIT_FAILED;
	}
	if (memcmp(t->pin, p->pin, sizeof(t->pin)) == 0 &&
	    memcmp(t->identity_fp, p->identity_fp,
	    sizeof(t->identity_fp)) == 0)
		return EXIT_DONE;
	snprintf(text, size, "the token that came is for another server than "
	    "the one that the code was made with: somebody may have changed "
	    "the way to it. Nothing was sent, this machine is not enrolled");
	return EXIT_PIN;
}

int
pair_run(struct engine *e, const char *host, uint16_t port, char *text,
    size_t size)
{
	struct pairing p = { .e = e, .host = host, .port = port };
	struct pair_state_msg state = { 0 };
	struct token t = { 0 };
	struct remote *r;
	bool existed;
	int code;

	if ((code = enrol_check_old(e, true, &existed, text, size)) !=
	    EXIT_DONE ||
	    (code = enrol_new_identity(e, text, size)) != EXIT_DONE ||
	    (code = begin(&p, &state, text, size)) != EXIT_DONE ||
	    (code = wait_for_word(&p, &state, text, size)) != EXIT_DONE ||
	    (code = take_token(&p, state.token, &t, text, size)) != EXIT_DONE)
		goto out;
	last_address(&p, &t);
	if ((code = enrol_register(e, &t, existed, &r, text, size)) ==
	    EXIT_DONE)
		code = enrol_joined(e, r, text, size);
out:
	secret_wipe(&p, sizeof(p));
	secret_wipe(&state, sizeof(state));
	token_clear(&t);
	return code;
}
