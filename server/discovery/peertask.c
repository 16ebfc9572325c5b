#include "config.h"

#include "server/discovery/peertask.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"

#define KEYD_MS		10000
#define REQUEST_MAX	(PEERHTTP_BODY_MAX + 1024)
#define END_MAX		4096

static const uint8_t zeros[32];

/* The reason, once; what is told first is nearest to the cause. */
__attribute__((format(printf, 3, 4)))
static int
fail(struct peer_task *t, int rc, const char *fmt, ...)
{
	va_list ap;

	if (t->text[0] != '\0')
		return rc;
	va_start(ap, fmt);
	vsnprintf(t->text, sizeof(t->text), fmt, ap);
	va_end(ap);
	return rc;
}

/* --- PEER_DO --- */

static int
parse_exchange(struct rbuf *in, struct peer_task *t)
{
	uint16_t n;
	int rc;

	if ((rc = peer_info_get(in, &t->me)) != RC_OK ||
	    (rc = rbuf_u16(in, &n)) != RC_OK)
		return rc;
	if (n > TASK_ENTRIES_MAX)
		return RC_LIMIT;
	for (t->n_entries = 0; t->n_entries < n; t->n_entries++)
		if ((rc = peer_info_get(in,
		    &t->entries[t->n_entries].info)) != RC_OK ||
		    (rc = addr_get(in, &t->entries[t->n_entries].addr)) !=
		    RC_OK)
			return rc;
	return rbuf_end(in);
}

static int
parse_reach(struct rbuf *in, struct peer_task *t)
{
	uint8_t n;
	int rc;

	if ((rc = rbuf_u8(in, &n)) != RC_OK)
		return rc;
	if (n == 0 || n > TASK_PORTS_MAX)
		return RC_LIMIT;
	for (t->n_ports = 0; t->n_ports < n; t->n_ports++)
		if ((rc = rbuf_u16(in, &t->ports[t->n_ports])) != RC_OK)
			return rc;
	return rbuf_end(in);
}

int
peer_task_parse(struct rbuf *in, struct peer_task *t)
{
	int rc;

	if ((rc = rbuf_u8(in, &t->purpose)) != RC_OK ||
	    (rc = rbuf_bytes(in, t->identity, sizeof(t->identity))) != RC_OK ||
	    (rc = rbuf_bytes(in, t->pin, sizeof(t->pin))) != RC_OK)
		return rc;
	switch (t->purpose) {
	case DIAL_EXCHANGE:
		return parse_exchange(in, t);
	case DIAL_REACH:
		return parse_reach(in, t);
	default:
		return RC_RANGE;
	}
}

/* --- TLS and HTTP --- */

static int
wait_for(struct peer_task *t, short events)
{
	struct pollfd p[2] = {
		{ .fd = t->fd, .events = events },
		{ .fd = t->parent != NULL ? chan_fd(t->parent) : -1,
		    .events = POLLIN },
	};
	uint64_t now = io_now_ms();

	if (now >= t->deadline)
		return fail(t, RC_TIMEOUT, "no answer in time");
	if (poll(p, NITEMS(p), (int)(t->deadline - now)) == -1)
		return errno == EINTR ? RC_OK : rc_errno(errno);
	/* nothing but STOP or the end can come from there */
	return p[1].revents != 0 ? RC_CANCELLED : RC_OK;
}

static int
handshake(struct peer_task *t)
{
	short want = POLLOUT;
	int rc, waited;

	if ((rc = tls_new(&t->tls, t->ctx, t->fd)) != RC_OK)
		return rc;
	if (memcmp(t->pin, zeros, sizeof(t->pin)) != 0)
		tls_pin(t->tls, t->pin);
	while ((rc = tls_handshake(t->tls, &want)) == RC_AGAIN)
		if ((waited = wait_for(t, want)) != RC_OK)
			return waited;
	return rc == RC_OK ? rc : fail(t, rc, "TLS: %s", tls_error(t->tls));
}

static int
send_all(struct peer_task *t, const struct wbuf *b)
{
	short want = POLLOUT;
	size_t sent = 0, n;
	int rc;

	if ((rc = wbuf_rc(b)) != RC_OK)
		return rc;
	while (sent < b->len) {
		rc = tls_write(t->tls, b->data + sent, b->len - sent, &n,
		    &want);
		if (rc == RC_OK)
			sent += n;
		else if (rc != RC_AGAIN)
			return fail(t, rc, "TLS: %s", tls_error(t->tls));
		else if ((rc = wait_for(t, want)) != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* At least one byte more, or why not. */
static int
receive(struct peer_task *t)
{
	short want = POLLIN;
	size_t n;
	int rc, waited;

	if (t->have == sizeof(t->in))
		return RC_LIMIT;
	while ((rc = tls_read(t->tls, t->in + t->have, sizeof(t->in) -
	    t->have, &n, &want)) == RC_AGAIN)
		if ((waited = wait_for(t, want)) != RC_OK)
			return waited;
	if (rc != RC_OK)
		return fail(t, rc, "TLS: %s", tls_error(t->tls));
	t->have += n;
	return RC_OK;
}

static int
rc_of_status(unsigned status)
{
	switch (status) {
	case 200:
		return RC_OK;
	case 401:
	case 403:
		return RC_DENIED;
	case 404:
	case 405:
		return RC_UNSUPPORTED;
	case 409:
	case 429:
	case 503:
		return RC_BUSY;
	default:
		return RC_PROTO;
	}
}

/* One request and its whole answer.  The caller frees the document; with doc
 * NULL a body of any kind will do. */
static int
call(struct peer_task *t, const char *path, const struct wbuf *body,
    struct json_doc **doc)
{
	struct wbuf out = WBUF_INIT(REQUEST_MAX);
	struct peerhttp_answer a;
	int rc;

	if (t->closing)
		return fail(t, RC_EOF, "%s: closed before", path);
	if (body != NULL && (rc = wbuf_rc(body)) != RC_OK)
		return rc;
	peerhttp_request(&out, path, body);
	rc = send_all(t, &out);
	wbuf_free(&out);
	if (rc != RC_OK)
		return rc;
	t->have = 0;
	while ((rc = peerhttp_parse(t->in, t->have, &a)) == RC_AGAIN)
		if ((rc = receive(t)) != RC_OK)
			return rc;
	if (rc != RC_OK)
		return fail(t, rc, "%s: the answer is not HTTP of the kind "
		    "taken here: %s", path, rc_str(rc));
	while (t->have < a.head_len + a.body_len)
		if ((rc = receive(t)) != RC_OK)
			return rc;
	/* nobody asked for more than one answer */
	if (t->have > a.head_len + a.body_len)
		return fail(t, RC_PROTO, "%s: bytes after the answer", path);
	t->closing = a.close;
	if ((rc = rc_of_status(a.status)) != RC_OK)
		return fail(t, rc, "%s: status %u", path, a.status);
	if (doc != NULL && (rc = json_parse(t->in + a.head_len, a.body_len,
	    PEERJSON_VALUES_MAX, doc)) != RC_OK)
		return fail(t, rc, "%s: the answer is not JSON of the kind "
		    "taken here", path);
	return RC_OK;
}

/* --- who is there --- */

static int
check_binding(struct peer_task *t, const struct peer_info *far,
    const uint8_t binding[ED25519_SIG_LEN])
{
	struct wbuf text = WBUF_INIT(64);
	uint8_t spki[SHA256_LEN];
	int rc;

	if ((rc = tls_peer_spki(t->tls, spki)) != RC_OK)
		return rc;
	if (memcmp(spki, far->pin, sizeof(spki)) != 0)
		return fail(t, RC_PIN, "it says that it has another TLS key "
		    "than it has");
	peer_binding_text(&text, far->pin);
	if ((rc = wbuf_rc(&text)) == RC_OK)
		rc = ed25519_verify(far->identity, text.data, text.len,
		    binding);
	wbuf_free(&text);
	return rc == RC_OK ? rc : fail(t, rc, "its TLS key is not signed by "
	    "the identity that it says it has");
}

static int
say_seen(struct peer_task *t, uint8_t how, const struct addr *a,
    const struct peer_info *info)
{
	struct wbuf b = WBUF_INIT(512);
	int rc;

	wbuf_u8(&b, how);
	addr_put(&b, a);
	peer_info_put(&b, info);
	rc = chan_send(t->catalog, MSG_PEER_SEEN, &b, -1);
	wbuf_free(&b);
	return rc;
}

static int
who_is_there(struct peer_task *t)
{
	static const struct addr dialled;	/* family 0: the one dialled */
	uint8_t binding[ED25519_SIG_LEN];
	struct json_doc *doc = NULL;
	struct peer_info far;
	int rc;

	if ((rc = call(t, "/api/v1/peer", NULL, &doc)) != RC_OK)
		return rc;
	if ((rc = peerjson_get_info(doc, json_root(doc), &far)) != RC_OK ||
	    (rc = peerjson_get_hex(doc, json_root(doc), "binding", binding,
	    sizeof(binding))) != RC_OK)
		rc = fail(t, rc, "what it says of itself: %s", rc_str(rc));
	else
		rc = check_binding(t, &far, binding);
	json_free(doc);
	if (rc != RC_OK)
		return rc;
	t->far = far;
	t->known = true;
	if (memcmp(far.identity, t->self, ED25519_LEN) == 0)
		return fail(t, RC_EXISTS, "that is this installation itself");
	if (memcmp(t->identity, zeros, ED25519_LEN) != 0 &&
	    memcmp(far.identity, t->identity, ED25519_LEN) != 0)
		return fail(t, RC_PIN, "another installation is there now");
	return say_seen(t, PEER_CALLED, &dialled, &far);
}

/* --- who we are --- */

static int
sign(struct peer_task *t, const uint8_t nonce[32],
    uint8_t sig[ED25519_SIG_LEN])
{
	struct wbuf b = WBUF_INIT(96);
	uint8_t exporter[32];
	struct msg m;
	int rc;

	if ((rc = tls_exporter(t->tls, exporter)) != RC_OK)
		return rc;
	wbuf_bytes(&b, t->far.identity, ED25519_LEN);
	wbuf_bytes(&b, nonce, 32);
	wbuf_bytes(&b, exporter, sizeof(exporter));
	if ((rc = chan_send(t->keyd, MSG_KEYD_PEER, &b, -1)) == RC_OK &&
	    (rc = chan_expect(t->keyd, MSG_KEYD_SIG, &m, KEYD_MS)) == RC_OK &&
	    (rc = rbuf_bytes(&m.body, sig, ED25519_SIG_LEN)) == RC_OK)
		rc = rbuf_end(&m.body);
	wbuf_free(&b);
	return rc == RC_OK ? rc : fail(t, rc, "no signature from keyd: %s",
	    rc_str(rc));
}

static int
sign_in(struct peer_task *t)
{
	struct wbuf body = WBUF_INIT(1024);
	uint8_t nonce[32], sig[ED25519_SIG_LEN];
	struct json_doc *doc = NULL;
	struct json j;
	int rc;

	if ((rc = call(t, "/api/v1/peer/nonce", NULL, &doc)) != RC_OK)
		return rc;
	rc = peerjson_get_hex(doc, json_root(doc), "nonce", nonce,
	    sizeof(nonce));
	json_free(doc);
	if (rc != RC_OK)
		return fail(t, rc, "its nonce: %s", rc_str(rc));
	if ((rc = sign(t, nonce, sig)) != RC_OK)
		return rc;
	json_init(&j, &body);
	json_object(&j, NULL);
	json_put_hex(&j, "identity", t->self, ED25519_LEN);
	json_put_hex(&j, "signature", sig, sizeof(sig));
	json_end(&j);
	rc = call(t, "/api/v1/peer/session", &body, NULL);
	wbuf_free(&body);
	return rc;
}

/* --- what it is for --- */

static int
take_entries(struct peer_task *t, const struct json_doc *doc)
{
	static struct peer_entry e[TASK_ENTRIES_MAX];
	size_t n;
	int rc;

	if ((rc = peerjson_get_entries(doc, json_root(doc), "peers", e,
	    NITEMS(e), &n)) != RC_OK)
		return fail(t, rc, "what it knows of others: %s", rc_str(rc));
	for (size_t i = 0; i < n; i++) {
		/* it has spoken for itself, and nobody else speaks for us */
		if (memcmp(e[i].info.identity, t->self, ED25519_LEN) == 0 ||
		    memcmp(e[i].info.identity, t->far.identity,
		    ED25519_LEN) == 0)
			continue;
		if ((rc = say_seen(t, PEER_EXCHANGE, &e[i].addr,
		    &e[i].info)) != RC_OK)
			return rc;
	}
	return RC_OK;
}

static int
exchange(struct peer_task *t)
{
	struct wbuf body = WBUF_INIT(PEERHTTP_BODY_MAX);
	struct json_doc *doc = NULL;
	struct json j;
	int rc;

	json_init(&j, &body);
	json_object(&j, NULL);
	json_object(&j, "self");
	peerjson_put_info(&j, &t->me);
	json_end(&j);
	json_array(&j, "peers");
	for (size_t i = 0; i < t->n_entries; i++)
		peerjson_put_entry(&j, &t->entries[i]);
	json_end_array(&j);
	json_end(&j);
	rc = call(t, "/api/v1/peer/exchange", &body, &doc);
	wbuf_free(&body);
	if (rc == RC_OK)
		rc = take_entries(t, doc);
	json_free(doc);
	return rc;
}

static int
reach(struct peer_task *t)
{
	struct wbuf body = WBUF_INIT(1024);
	struct json_doc *doc = NULL;
	struct json j;
	int rc;

	json_init(&j, &body);
	json_object(&j, NULL);
	peerjson_put_ports(&j, "ports", t->ports, t->n_ports);
	json_end(&j);
	rc = call(t, "/api/v1/peer/probe", &body, &doc);
	wbuf_free(&body);
	if (rc == RC_OK && (rc = peerjson_get_reach(doc, json_root(doc),
	    "ports", t->reach, &t->n_reach)) != RC_OK) {
		t->n_reach = 0;
		rc = fail(t, rc, "what it found: %s", rc_str(rc));
	}
	json_free(doc);
	return rc;
}

int
peer_task_run(struct peer_task *t)
{
	int rc;

	t->text[0] = '\0';
	t->known = t->closing = false;
	t->n_reach = 0;
	if ((rc = handshake(t)) == RC_OK &&
	    (rc = who_is_there(t)) == RC_OK && (rc = sign_in(t)) == RC_OK)
		rc = t->purpose == DIAL_REACH ? reach(t) : exchange(t);
	if (rc == RC_OK)
		(void)tls_shutdown(t->tls);
	tls_free(t->tls);
	t->tls = NULL;
	return rc;
}

int
peer_task_end(struct peer_task *t, int rc)
{
	struct wbuf b = WBUF_INIT(END_MAX);
	int sent;

	wbuf_u8(&b, (uint8_t)-rc);
	wbuf_str(&b, rc == RC_OK ? "" : t->text[0] != '\0' ? t->text :
	    rc_str(rc));
	wbuf_bytes(&b, t->known ? t->far.identity : zeros, ED25519_LEN);
	wbuf_bytes(&b, t->known ? t->far.pin : zeros, SHA256_LEN);
	if (t->purpose == DIAL_REACH) {
		wbuf_u8(&b, (uint8_t)t->n_reach);
		for (size_t i = 0; i < t->n_reach; i++) {
			wbuf_u16(&b, t->reach[i].port);
			wbuf_u8(&b, t->reach[i].code);
			wbuf_u32(&b, t->reach[i].ms);
		}
	}
	sent = chan_send(t->catalog, MSG_PEER_END, &b, -1);
	wbuf_free(&b);
	return sent;
}
