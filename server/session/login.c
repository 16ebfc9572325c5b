#include "config.h"

#include "server/session/login.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/rc.h"
#include "common/secret.h"

#define FEATURES	(PROTO_FEATURE_PAIR | PROTO_FEATURE_REPORT)

#define PAIR_CLOSE_MS	3000	/* for the client to close after its answer */

/* HELLO and HELLO_OK as they went over the wire: both are signed later. */
struct hellos {
	struct wbuf	hello, ok;
};

__attribute__((format(printf, 4, 5)))
static int
refuse(struct login *l, int rc, uint16_t code, const char *fmt, ...)
{
	va_list ap;

	l->code = code;
	va_start(ap, fmt);
	vsnprintf(l->text, sizeof(l->text), fmt, ap);
	va_end(ap);
	return rc;
}

static int
time_left(const struct login *l)
{
	uint64_t now = io_now_ms();

	return now >= l->deadline ? 0 : (int)(l->deadline - now);
}

static int
read_frame(struct login *l, enum proto_state st, struct frame *f,
    const uint8_t **p)
{
	int rc = relay_read(l->relay, st, f, p, time_left(l));

	if (rc == RC_OK || rc == RC_CANCELLED)
		return rc;
	if (rc == RC_EOF)
		return refuse(l, rc, 0, "closed before the log-in");
	if (rc == RC_TIMEOUT)
		return refuse(l, rc, PROTO_ERR_TIMEOUT,
		    "no log-in within %d s", PROTO_LOGIN_MS / 1000);
	return refuse(l, rc, proto_error_of(rc), "%s before the log-in",
	    rc_str(rc));
}

static int
write_frame(struct login *l, uint16_t type, uint32_t request,
    const struct wbuf *b)
{
	int rc;

	if ((rc = wbuf_rc(b)) == RC_OK)
		rc = relay_write(l->relay, type, request, b->data, b->len,
		    time_left(l));
	if (rc != RC_OK && rc != RC_CANCELLED)
		return refuse(l, rc, 0, "%s not sent: %s", proto_name(type),
		    rc_str(rc));
	return rc;
}

static int
unexpected(struct login *l, const struct frame *f)
{
	if (f->type == PROTO_BYE || f->type == PROTO_ERROR)
		return refuse(l, RC_EOF, 0, "%s before the log-in",
		    proto_name(f->type));
	return refuse(l, RC_STATE, PROTO_ERR_STATE, "%s before the log-in",
	    proto_name(f->type));
}

static int
compose_ok(struct login *l, struct hellos *h)
{
	struct hello_ok ok = {
		.version = PROTO_VERSION,
		.features = l->features,
		.frame_max = PROTO_SMALL_MAX,
		.ids_max = PROTO_IDS_MAX,
		.signed_ = !l->tls,
	};
	struct wbuf text = WBUF_INIT(1024);
	int rc;

	snprintf(ok.id, sizeof(ok.id), "%s", l->id);
	memcpy(ok.identity, l->identity, sizeof(ok.identity));
	if ((rc = l->ops->nonce(l->arg, ok.nonce)) != RC_OK)
		return refuse(l, rc, PROTO_ERR_INTERNAL,
		    "no challenge from auth: %s", rc_str(rc));
	if (!l->tls) {
		rc = hello_sign_text(&text, h->hello.data, h->hello.len, &ok);
		if (rc == RC_OK)
			rc = l->ops->sign_hello(l->arg, &text, ok.sig);
		wbuf_free(&text);
		if (rc != RC_OK)
			return refuse(l, rc, PROTO_ERR_INTERNAL,
			    "no signature from keyd: %s", rc_str(rc));
	}
	hello_ok_put(&h->ok, &ok);
	return wbuf_rc(&h->ok);
}

static int
say_hello(struct login *l, struct hellos *h)
{
	struct hello hello = { 0 };
	const uint8_t *p;
	struct frame f;
	struct rbuf in;
	int rc;

	if ((rc = read_frame(l, PROTO_ST_HELLO, &f, &p)) != RC_OK)
		return rc;
	if (f.type != PROTO_HELLO)
		return unexpected(l, &f);
	rbuf_init(&in, p, f.length);
	if ((rc = hello_parse(&in, &hello)) != RC_OK)
		return refuse(l, rc, PROTO_ERR_PROTOCOL, "HELLO: %s",
		    rc_str(rc));
	if (hello.version_min > PROTO_VERSION)
		return refuse(l, RC_VERSION, PROTO_ERR_VERSION,
		    "the client speaks versions %u to %u, this server %u",
		    hello.version_min, hello.version_max, PROTO_VERSION);
	wbuf_bytes(&h->hello, p, f.length);
	l->features = hello.features & FEATURES;
	if ((rc = wbuf_rc(&h->hello)) != RC_OK ||
	    (rc = compose_ok(l, h)) != RC_OK)
		return rc;
	return write_frame(l, PROTO_HELLO_OK, f.request, &h->ok);
}

/* code u16, text str of AUTH_ANSWER; what follows stays in *answer. */
static int
ask(struct login *l, enum msg_type what, const struct wbuf *body,
    struct rbuf *answer)
{
	uint16_t code;
	char text[256];
	int rc;

	if ((rc = wbuf_rc(body)) == RC_OK)
		rc = l->ops->ask(l->arg, what, body, answer);
	if (rc != RC_OK ||
	    (rc = rbuf_u16(answer, &code)) != RC_OK ||
	    (rc = rbuf_str(answer, text, sizeof(text))) != RC_OK)
		return refuse(l, rc, PROTO_ERR_INTERNAL,
		    "no answer from auth: %s", rc_str(rc));
	if (code == 0)
		return RC_OK;
	l->told = true;
	return refuse(l, RC_AUTH, code, "%s", text);
}

static int
ask_login(struct login *l, const struct hellos *h, enum msg_type what,
    const uint8_t *p, size_t n, struct rbuf *answer)
{
	struct wbuf b = WBUF_INIT(16384);
	int rc;

	wbuf_blob16(&b, h->hello.data, h->hello.len);
	wbuf_blob16(&b, h->ok.data, h->ok.len);
	wbuf_bytes(&b, l->exporter, sizeof(l->exporter));
	wbuf_blob16(&b, p, n);
	rc = ask(l, what, &b, answer);
	wbuf_free(&b);
	return rc;
}

static int
on_enrol(struct login *l, const struct hellos *h, const struct frame *f,
    const uint8_t *p)
{
	struct wbuf b = WBUF_INIT(PROTO_PRELOGIN_MAX);
	struct rbuf answer, check;
	struct enrol_ok ok;
	int rc;

	if (!l->tls)
		return refuse(l, RC_DENIED, PROTO_ERR_PLAINTEXT,
		    "enrolment is refused in clear text: use TLS");
	if ((rc = ask_login(l, h, MSG_AUTH_ENROL, p, f->length,
	    &answer)) != RC_OK)
		return rc;
	check = answer;
	if ((rc = enrol_ok_parse(&check, &ok)) != RC_OK)
		return refuse(l, rc, PROTO_ERR_INTERNAL, "ENROL_OK: %s",
		    rc_str(rc));
	wbuf_bytes(&b, answer.p, answer.left);
	rc = write_frame(l, PROTO_ENROL_OK, f->request, &b);
	wbuf_free(&b);
	return rc;
}

static int
on_auth(struct login *l, const struct hellos *h, const struct frame *f,
    const uint8_t *p)
{
	struct rbuf answer;
	int rc;

	if ((rc = ask_login(l, h, MSG_AUTH_LOGIN, p, f->length,
	    &answer)) != RC_OK)
		return rc;
	if ((rc = rbuf_bytes(&answer, l->vault, 16)) != RC_OK ||
	    (rc = rbuf_bytes(&answer, l->instance, 16)) != RC_OK ||
	    (rc = rbuf_u32(&answer, &l->rights)) != RC_OK ||
	    (rc = rbuf_str(&answer, l->name, sizeof(l->name))) != RC_OK ||
	    (rc = rbuf_end(&answer)) != RC_OK)
		return refuse(l, rc, PROTO_ERR_INTERNAL, "AUTH_ANSWER: %s",
		    rc_str(rc));
	l->request = f->request;
	return RC_OK;
}

/* What auth is to answer to each frame of a pairing. */
static bool
pair_answer_ok(uint16_t type, struct rbuf answer)
{
	struct pair_state_msg state;
	struct pair_ok ok;
	bool good;

	if (type == PROTO_PAIR)
		return pair_ok_parse(&answer, &ok) == RC_OK;
	good = pair_state_parse(&answer, &state) == RC_OK;
	secret_wipe(&state, sizeof(state));	/* it may hold a token */
	return good;
}

static int
on_pair(struct login *l, const struct frame *f, const uint8_t *p)
{
	struct wbuf b = WBUF_INIT(PROTO_PAIR_BODY_MAX);
	struct rbuf answer;
	int rc;

	if (!l->tls)
		return refuse(l, RC_DENIED, PROTO_ERR_PLAINTEXT,
		    "pairing is refused in clear text: use TLS");
	if ((l->features & PROTO_FEATURE_PAIR) == 0)
		return refuse(l, RC_STATE, PROTO_ERR_STATE,
		    "%s without the feature in HELLO", proto_name(f->type));
	wbuf_u16(&b, f->type);
	wbuf_bytes(&b, l->exporter, sizeof(l->exporter));
	wbuf_blob16(&b, p, f->length);
	if ((rc = ask(l, MSG_AUTH_PAIR, &b, &answer)) != RC_OK)
		goto out;
	if (!pair_answer_ok(f->type, answer)) {
		rc = refuse(l, RC_PROTO, PROTO_ERR_INTERNAL,
		    "auth does not answer %s", proto_name(f->type));
		goto out;
	}
	wbuf_reset(&b);
	wbuf_bytes(&b, answer.p, answer.left);
	rc = write_frame(l, f->type == PROTO_PAIR ? PROTO_PAIR_OK :
	    PROTO_PAIR_STATE, f->request, &b);
out:
	wbuf_free(&b);
	return rc;
}

/* PAIR and then PAIR_OPEN, or PAIR_POLL alone; the next question needs a new
 * connection, so that none is held while people compare. */
static int
pairing(struct login *l, struct frame f, const uint8_t *p)
{
	int rc;

	if ((rc = on_pair(l, &f, p)) == RC_OK && f.type == PROTO_PAIR) {
		if ((rc = read_frame(l, PROTO_ST_AUTH, &f, &p)) != RC_OK)
			return rc;
		if (f.type != PROTO_PAIR_OPEN)
			return unexpected(l, &f);
		rc = on_pair(l, &f, p);
	}
	if (rc != RC_OK)
		return rc;
	l->paired = true;
	/* It is the client that closes: an end that comes with the answer may
	 * overtake it on its way through the client's processes, and a token is
	 * told once only. */
	if (l->deadline > io_now_ms() + PAIR_CLOSE_MS)
		l->deadline = io_now_ms() + PAIR_CLOSE_MS;
	(void)read_frame(l, PROTO_ST_AUTH, &f, &p);
	l->code = 0;
	return refuse(l, RC_EOF, 0, "pairing");
}

/* At most one ENROL, then one AUTH: a second guess needs a new connection. */
static int
identify(struct login *l, const struct hellos *h)
{
	bool enrolled = false;
	const uint8_t *p;
	struct frame f;
	int rc;

	for (;;) {
		if ((rc = read_frame(l, PROTO_ST_AUTH, &f, &p)) != RC_OK)
			return rc;
		if (f.type == PROTO_AUTH)
			return on_auth(l, h, &f, p);
		if (!enrolled && (f.type == PROTO_PAIR ||
		    f.type == PROTO_PAIR_POLL))
			return pairing(l, f, p);
		if (f.type != PROTO_ENROL || enrolled)
			return unexpected(l, &f);
		enrolled = true;
		if ((rc = on_enrol(l, h, &f, p)) != RC_OK)
			return rc;
	}
}

int
session_login(struct login *l)
{
	struct hellos h = { WBUF_INIT(PROTO_PRELOGIN_MAX),
	    WBUF_INIT(PROTO_PRELOGIN_MAX) };
	int rc;

	if ((rc = say_hello(l, &h)) == RC_OK)
		rc = identify(l, &h);
	wbuf_free(&h.hello);
	wbuf_free(&h.ok);
	if (rc != RC_OK && l->text[0] == '\0' && rc != RC_CANCELLED)
		refuse(l, rc, proto_error_of(rc), "%s", rc_str(rc));
	return rc;
}
