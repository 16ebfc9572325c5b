#include "config.h"

#include "server/keyd/serve.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/num.h"
#include "common/packet.h"
#include "common/peerinfo.h"
#include "common/proto.h"
#include "common/rc.h"
#include "common/snapshot.h"
#include "server/keyd/keys.h"

#define WORKER	7

struct bench {
	struct keys	*keys;
	struct keyd	*k;
	struct chan	*master, *master_end;	/* ours, keyd's */
	struct chan	*user;			/* the worker's end */
	uint8_t		 vault[16];
};

static void
no_log(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	int ch[2];

	log_set_sink(no_log, NULL);
	assert_int_equal(keys_make(&b->keys), RC_OK);
	b->k = keyd_new(b->keys);
	assert_int_equal(chan_pair(ch), RC_OK);
	b->master = chan_new(ch[0], ROLE_MASTER, ROLE_KEYD);
	b->master_end = chan_new(ch[1], ROLE_KEYD, ROLE_MASTER);
	chan_set_nonblock(b->master_end);
	memset(b->vault, 0x55, sizeof(b->vault));
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	chan_free(b->user);
	chan_free(b->master);
	chan_free(b->master_end);
	keyd_free(b->k);
	keys_free(b->keys);
	free(b);
	return 0;
}

static int
turn(struct bench *b)
{
	return keyd_turn(b->k, b->master_end, 0, NULL, NULL);
}

static void
join(struct bench *b, enum keyd_use use, enum role role)
{
	struct wbuf w = WBUF_INIT(32);
	int ch[2];

	assert_int_equal(chan_pair(ch), RC_OK);
	wbuf_u32(&w, WORKER);
	wbuf_u8(&w, (uint8_t)(use == KEYD_USE_INFO ? ROLE_AUTH : role));
	wbuf_u8(&w, (uint8_t)use);
	wbuf_bytes(&w, b->vault, sizeof(b->vault));
	assert_int_equal(chan_send(b->master, MSG_KEYD_ADD, &w, ch[1]), RC_OK);
	wbuf_free(&w);
	close(ch[1]);
	chan_free(b->user);
	b->user = chan_new(ch[0], role, ROLE_KEYD);
	chan_set_nonblock(b->user);
	assert_int_equal(turn(b), RC_OK);
}

static void
mark_clear(struct bench *b)
{
	struct wbuf w = WBUF_INIT(4);

	wbuf_u32(&w, WORKER);
	assert_int_equal(chan_send(b->master, MSG_KEYD_CLEAR, &w, -1), RC_OK);
	wbuf_free(&w);
	assert_int_equal(turn(b), RC_OK);
}

/* RC_OK with a signature, RC_EOF when keyd closed the channel. */
static int
ask(struct bench *b, enum msg_type type, const void *p, size_t n,
    uint8_t *sig, size_t *sig_len)
{
	struct wbuf w = WBUF_INIT(4096);
	struct msg m;
	int rc;

	wbuf_bytes(&w, p, n);
	rc = chan_send(b->user, type, &w, -1);
	wbuf_free(&w);
	if (rc != RC_OK)
		return rc;
	assert_int_equal(turn(b), RC_OK);
	if ((rc = chan_recv(b->user, &m)) != RC_OK)
		return rc;
	assert_int_equal(m.type, MSG_KEYD_SIG);
	*sig_len = m.body.left;
	return rbuf_bytes(&m.body, sig, *sig_len);
}

static size_t
verify_text(uint8_t *p, size_t hash_len)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";

	memset(p, ' ', 64);
	memcpy(p + 64, context, sizeof(context));
	memset(p + 64 + sizeof(context), 0xab, hash_len);
	return 64 + sizeof(context) + hash_len;
}

static void
one_certificate_verify_then_the_channel_is_closed(void **state)
{
	struct bench *b = *state;
	uint8_t text[256], sig[128];
	size_t n, len;
	struct msg m;

	for (size_t hash = 32; hash <= 48; hash += 16) {
		join(b, KEYD_USE_TLS, ROLE_SESSION);
		n = verify_text(text, hash);
		assert_int_equal(ask(b, MSG_KEYD_TLS, text, n, sig, &len),
		    RC_OK);
		assert_true(len >= 68 && len <= 72);
		assert_int_equal(chan_recv(b->user, &m), RC_EOF);
	}
}

static void
other_shapes_are_not_signed(void **state)
{
	static const struct {
		size_t	at, n;		/* byte to be changed, 0: length */
		int	by;
	} wrong[] = {
		{ 0, 256, 1 }, { 63, 256, 1 }, { 64, 256, 1 }, { 96, 256, 1 },
		{ 97, 256, 1 },		/* the NUL */
		{ 0, 129, 0 }, { 0, 131, 0 }, { 0, 0, 0 }, { 0, 64, 0 },
	};
	struct bench *b = *state;
	uint8_t text[256], sig[128];
	size_t n, len;

	for (size_t i = 0; i < NITEMS(wrong); i++) {
		join(b, KEYD_USE_TLS, ROLE_SESSION);
		memset(text, 0, sizeof(text));
		n = verify_text(text, 32);
		if (wrong[i].n < 256)
			n = wrong[i].n;
		text[wrong[i].at] ^= (uint8_t)wrong[i].by;
		assert_int_equal(ask(b, MSG_KEYD_TLS, text, n, sig, &len),
		    RC_EOF);
	}
	/* a client's CertificateVerify is not ours to make */
	join(b, KEYD_USE_TLS, ROLE_SESSION);
	n = verify_text(text, 32);
	memcpy(text + 64 + 9, "client", 6);
	assert_int_equal(ask(b, MSG_KEYD_TLS, text, n, sig, &len), RC_EOF);
}

static size_t
hello_text(struct bench *b, struct wbuf *w, uint8_t signed_, uint8_t sig)
{
	struct hello_ok ok = { .version = 1, .frame_max = PROTO_SMALL_MAX,
	    .ids_max = PROTO_IDS_MAX, .signed_ = signed_ };

	memcpy(ok.identity, keys_identity(b->keys), sizeof(ok.identity));
	strcpy(ok.id, "server");
	wbuf_reset(w);
	assert_int_equal(hello_sign_text(w, (const uint8_t *)"hello", 5, &ok),
	    RC_OK);
	w->data[w->len - 1] = sig;
	return w->len;
}

static void
a_hello_is_signed_only_where_clear_text_is_allowed(void **state)
{
	struct wbuf w = WBUF_INIT(1024);
	struct bench *b = *state;
	uint8_t sig[128], text[256];
	size_t n, len;
	struct msg m;

	n = hello_text(b, &w, 1, 0);
	join(b, KEYD_USE_TLS, ROLE_SESSION);
	assert_int_equal(ask(b, MSG_KEYD_HELLO, w.data, n, sig, &len), RC_EOF);
	join(b, KEYD_USE_TLS, ROLE_SESSION);
	mark_clear(b);
	assert_int_equal(ask(b, MSG_KEYD_HELLO, w.data, n, sig, &len), RC_OK);
	assert_int_equal(len, ED25519_SIG_LEN);
	assert_int_equal(ed25519_verify(keys_identity(b->keys), w.data, n,
	    sig), RC_OK);
	assert_int_equal(chan_recv(b->user, &m), RC_EOF);
	/* clear text is allowed, TLS was chosen: one signature all the same */
	join(b, KEYD_USE_TLS, ROLE_SESSION);
	mark_clear(b);
	len = verify_text(text, 32);
	assert_int_equal(ask(b, MSG_KEYD_TLS, text, len, sig, &len), RC_OK);
	assert_int_equal(chan_recv(b->user, &m), RC_EOF);
	wbuf_free(&w);
}

static void
a_hello_of_another_shape_is_not_signed(void **state)
{
	struct wbuf w = WBUF_INIT(1024);
	struct bench *b = *state;
	uint8_t sig[128];
	size_t n, len;

	for (int i = 0; i < 5; i++) {
		join(b, KEYD_USE_TLS, ROLE_SESSION);
		mark_clear(b);
		n = hello_text(b, &w, i != 0, i == 1);
		if (i == 2)
			w.data[0] = 'S';
		if (i == 3)
			w.data[n - 66] ^= 1;	/* of the identity */
		if (i == 4)
			n--;
		assert_int_equal(ask(b, MSG_KEYD_HELLO, w.data, n, sig, &len),
		    RC_EOF);
	}
	wbuf_free(&w);
}

static void
receipts_name_the_vault_of_the_channel(void **state)
{
	struct snapshot_server s = { .wall_ns = 1, .vault_seq = 9 };
	struct wbuf part = WBUF_INIT(256), text = WBUF_INIT(512);
	struct bench *b = *state;
	struct object_id id;
	uint8_t body[130], sig[128], other[16];
	size_t len;

	memset(&id, 0x66, sizeof(id));
	snapshot_put_server(&part, &s);
	memcpy(body, id.b, 32);
	memcpy(body + 32, part.data, 98);
	join(b, KEYD_USE_RECEIPT, ROLE_STORE);
	assert_int_equal(ask(b, MSG_KEYD_RECEIPT, body, sizeof(body), sig,
	    &len), RC_OK);
	snapshot_receipt_text(&text, b->vault, &id, &s);
	assert_int_equal(ed25519_verify(keys_identity(b->keys), text.data,
	    text.len, sig), RC_OK);
	memset(other, 0x56, sizeof(other));
	snapshot_receipt_text(&text, other, &id, &s);
	assert_int_not_equal(ed25519_verify(keys_identity(b->keys), text.data,
	    text.len, sig), RC_OK);
	/* more than one, and the channel stays */
	assert_int_equal(ask(b, MSG_KEYD_RECEIPT, body, sizeof(body), sig,
	    &len), RC_OK);
	assert_int_equal(ask(b, MSG_KEYD_RECEIPT, body, sizeof(body) - 1, sig,
	    &len), RC_EOF);
	wbuf_free(&part);
	wbuf_free(&text);
}

static void
receipts_come_at_a_limited_rate(void **state)
{
	struct bench *b = *state;
	uint8_t body[130] = { 0 }, sig[128];
	size_t len;
	int n, rc = RC_OK;

	join(b, KEYD_USE_RECEIPT, ROLE_STORE);
	for (n = 0; n < 2000 && rc == RC_OK; n++)
		rc = ask(b, MSG_KEYD_RECEIPT, body, sizeof(body), sig, &len);
	assert_int_equal(rc, RC_AGAIN);
	assert_true(n > 100 && n < 1000);
}

static void
packet(struct bench *b, uint8_t *p, size_t n)
{
	memset(p, 0, n);
	memcpy(p, "SGD1", 4);
	p[4] = 1;
	memcpy(p + PACKET_IDENTITY_AT, keys_identity(b->keys), 32);
}

static void
packets_of_our_own_identity_are_signed(void **state)
{
	struct wbuf text = WBUF_INIT(1024);
	struct bench *b = *state;
	uint8_t p[PACKET_REQUEST_LEN - ED25519_SIG_LEN], sig[128];
	size_t len;

	packet(b, p, sizeof(p));
	join(b, KEYD_USE_PACKET, ROLE_MCAST);
	for (int i = 0; i < 2; i++) {		/* more than one */
		assert_int_equal(ask(b, MSG_KEYD_PACKET, p, sizeof(p), sig,
		    &len), RC_OK);
		assert_int_equal(len, ED25519_SIG_LEN);
	}
	/* under a domain of its own: never a receipt, a hello, a proof */
	wbuf_bytes(&text, PACKET_DOMAIN, strlen(PACKET_DOMAIN));
	wbuf_bytes(&text, p, sizeof(p));
	assert_int_equal(ed25519_verify(keys_identity(b->keys), text.data,
	    text.len, sig), RC_OK);
	assert_int_not_equal(ed25519_verify(keys_identity(b->keys), p,
	    sizeof(p), sig), RC_OK);
	wbuf_free(&text);
	join(b, KEYD_USE_PACKET, ROLE_SCAN);
	assert_int_equal(ask(b, MSG_KEYD_PACKET, p, PACKET_HEAD_LEN, sig,
	    &len), RC_OK);
}

static void
packets_of_another_shape_are_not_signed(void **state)
{
	static const struct {
		size_t	at, n;
	} wrong[] = {
		{ 0, 200 }, { 3, 200 },			/* magic */
		{ 6, 200 }, { 7, 200 },			/* must be zero */
		{ PACKET_IDENTITY_AT, 200 },
		{ PACKET_IDENTITY_AT + 31, 200 },
		{ 500, PACKET_HEAD_LEN - 1 },		/* only its length */
		{ 500, PACKET_REQUEST_LEN - ED25519_SIG_LEN + 1 },
		{ 500, 0 },
	};
	struct bench *b = *state;
	uint8_t p[PACKET_REQUEST_LEN], sig[128];
	size_t len;

	for (size_t i = 0; i < NITEMS(wrong); i++) {
		packet(b, p, sizeof(p));
		p[wrong[i].at] ^= 0x40;
		join(b, KEYD_USE_PACKET, ROLE_MCAST);
		assert_int_equal(ask(b, MSG_KEYD_PACKET, p, wrong[i].n, sig,
		    &len), RC_EOF);
	}
}

static void
packets_come_at_a_limited_rate(void **state)
{
	struct bench *b = *state;
	uint8_t p[100], sig[128];
	size_t len;
	int n, rc = RC_OK;

	packet(b, p, sizeof(p));
	join(b, KEYD_USE_PACKET, ROLE_MCAST);
	for (n = 0; n < 500 && rc == RC_OK; n++)
		rc = ask(b, MSG_KEYD_PACKET, p, sizeof(p), sig, &len);
	assert_int_equal(rc, RC_AGAIN);
	assert_true(n > 30 && n < 100);
}

static void
one_proof_to_a_peer_then_the_channel_is_closed(void **state)
{
	struct wbuf text = WBUF_INIT(256);
	struct bench *b = *state;
	uint8_t body[96], other[32], sig[128];
	struct msg m;
	size_t len;

	memset(body, 1, 32);
	memset(body + 32, 2, 32);
	memset(body + 64, 3, 32);
	join(b, KEYD_USE_PEER, ROLE_PEER);
	assert_int_equal(ask(b, MSG_KEYD_PEER, body, sizeof(body), sig, &len),
	    RC_OK);
	assert_int_equal(len, ED25519_SIG_LEN);
	assert_int_equal(chan_recv(b->user, &m), RC_EOF);
	peer_sign_text(&text, keys_identity(b->keys), body, body + 32,
	    body + 64);
	assert_int_equal(ed25519_verify(keys_identity(b->keys), text.data,
	    text.len, sig), RC_OK);
	/* it is good for that far end, nonce and connection only */
	memset(other, 9, sizeof(other));
	for (int i = 0; i < 3; i++) {
		wbuf_reset(&text);
		peer_sign_text(&text, keys_identity(b->keys),
		    i == 0 ? other : body, i == 1 ? other : body + 32,
		    i == 2 ? other : body + 64);
		assert_int_not_equal(ed25519_verify(keys_identity(b->keys),
		    text.data, text.len, sig), RC_OK);
	}
	wbuf_free(&text);
}

static void
a_proof_of_another_length_is_none(void **state)
{
	static const size_t lengths[] = { 0, 32, 64, 95 };
	struct bench *b = *state;
	uint8_t body[96] = { 0 }, sig[128];
	size_t len;

	for (size_t i = 0; i < NITEMS(lengths); i++) {
		join(b, KEYD_USE_PEER, ROLE_PEER);
		assert_int_equal(ask(b, MSG_KEYD_PEER, body, lengths[i], sig,
		    &len), RC_EOF);
	}
}

/* KEYD_ADD for a use that the role has no business with ends keyd's talk with
 * the master, who is never wrong: the test asks for the code. */
static void
a_use_is_given_to_its_role_only(void **state)
{
	static const struct {
		enum role	role;
		enum keyd_use	use;
	} wrong[] = {
		{ ROLE_PEER, KEYD_USE_PACKET }, { ROLE_MCAST, KEYD_USE_PEER },
		{ ROLE_API, KEYD_USE_PEER }, { ROLE_API, KEYD_USE_PACKET },
		{ ROLE_SESSION, KEYD_USE_PACKET }, { ROLE_SCAN, KEYD_USE_TLS },
		{ ROLE_PEER, KEYD_USE_TLS }, { ROLE_CATALOG, KEYD_USE_PEER },
		{ ROLE_LOGIN, KEYD_USE_INFO },
	};
	struct bench *b = *state;
	int ch[2];

	for (size_t i = 0; i < NITEMS(wrong); i++) {
		struct wbuf w = WBUF_INIT(32);

		assert_int_equal(chan_pair(ch), RC_OK);
		wbuf_u32(&w, WORKER);
		wbuf_u8(&w, (uint8_t)wrong[i].role);
		wbuf_u8(&w, (uint8_t)wrong[i].use);
		wbuf_bytes(&w, b->vault, sizeof(b->vault));
		assert_int_equal(chan_send(b->master, MSG_KEYD_ADD, &w,
		    ch[1]), RC_OK);
		wbuf_free(&w);
		close(ch[0]);
		close(ch[1]);
		assert_int_equal(turn(b), RC_RANGE);
	}
}

static void
no_channel_has_two_uses(void **state)
{
	struct bench *b = *state;
	uint8_t body[130] = { 0 }, sig[128], text[256];
	size_t n, len;

	/* whose messages they are, the role decides; the use is its own check */
	join(b, KEYD_USE_RECEIPT, ROLE_STORE);
	assert_int_not_equal(ask(b, MSG_KEYD_HELLO, body, sizeof(body), sig,
	    &len), RC_OK);
	join(b, KEYD_USE_TLS, ROLE_API);
	n = verify_text(text, 32);
	assert_int_equal(ask(b, MSG_KEYD_TLS, text, n, sig, &len), RC_OK);
	join(b, KEYD_USE_INFO, ROLE_SESSION);
	assert_int_not_equal(ask(b, MSG_KEYD_TLS, text, n, sig, &len), RC_OK);
	/* a hello is no packet, a packet no proof */
	join(b, KEYD_USE_PACKET, ROLE_MCAST);
	assert_int_not_equal(ask(b, MSG_KEYD_PEER, body, 96, sig, &len),
	    RC_OK);
	join(b, KEYD_USE_PEER, ROLE_PEER);
	assert_int_not_equal(ask(b, MSG_KEYD_PACKET, body, sizeof(body), sig,
	    &len), RC_OK);
}

static void
information_is_public_and_not_for_ever(void **state)
{
	struct bench *b = *state;
	struct msg m;
	int n, rc = RC_OK;

	join(b, KEYD_USE_INFO, ROLE_AUTH);
	for (n = 0; n < 100; n++) {
		if (chan_send(b->user, MSG_KEYD_INFO, NULL, -1) != RC_OK)
			break;
		assert_int_equal(turn(b), RC_OK);
		if ((rc = chan_recv(b->user, &m)) != RC_OK)
			break;
		assert_int_equal(m.type, MSG_KEYD_INFO_OK);
	}
	assert_int_equal(rc, RC_EOF);
	assert_true(n >= 4 && n < 100);
}

static void
keys_are_made_once_and_never_anew(void **state)
{
	char dir[] = "/tmp/sg-keyd-XXXXXX", why[160];
	struct keys *a, *c;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(keys_open(&a, fd, false, why, sizeof(why)),
	    RC_NOENT);
	assert_int_equal(keys_open(&a, fd, true, why, sizeof(why)), RC_OK);
	assert_int_equal(keys_open(&c, fd, true, why, sizeof(why)), RC_OK);
	assert_memory_equal(keys_spki(a), keys_spki(c), 32);
	assert_memory_equal(keys_identity(a), keys_identity(c), 32);
	keys_free(c);
	/* the certificate comes from the key, so it may be made again */
	assert_int_equal(unlinkat(fd, "backup.crt", 0), 0);
	assert_int_equal(keys_open(&c, fd, false, why, sizeof(why)), RC_OK);
	assert_memory_equal(keys_spki(a), keys_spki(c), 32);
	keys_free(c);
	assert_int_equal(unlinkat(fd, "identity.key", 0), 0);
	assert_int_equal(keys_open(&c, fd, false, why, sizeof(why)),
	    RC_NOENT);
	assert_non_null(strstr(why, "identity.key"));
	unlinkat(fd, "backup.key", 0);
	unlinkat(fd, "backup.crt", 0);
	close(fd);
	rmdir(dir);
	keys_free(a);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_certificate_verify_then_the_channel_is_closed),
		TEST(other_shapes_are_not_signed),
		TEST(a_hello_is_signed_only_where_clear_text_is_allowed),
		TEST(a_hello_of_another_shape_is_not_signed),
		TEST(receipts_name_the_vault_of_the_channel),
		TEST(receipts_come_at_a_limited_rate),
		TEST(packets_of_our_own_identity_are_signed),
		TEST(packets_of_another_shape_are_not_signed),
		TEST(packets_come_at_a_limited_rate),
		TEST(one_proof_to_a_peer_then_the_channel_is_closed),
		TEST(a_proof_of_another_length_is_none),
		TEST(a_use_is_given_to_its_role_only),
		TEST(no_channel_has_two_uses),
		TEST(information_is_public_and_not_for_ever),
		cmocka_unit_test(keys_are_made_once_and_never_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
