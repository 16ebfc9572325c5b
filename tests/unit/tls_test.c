#include "config.h"

#include "common/tls.h"

#include <sys/socket.h>

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/keyd/keys.h"

/* keyd's part: a thread behind a socket, as the process is in the product. */
struct signer {
	struct keys	*keys;
	int		 fd[2];
	pthread_t	 thread;
	uint8_t		 text[256];
	size_t		 len;
	int		 used;
};

static void *
signer_run(void *arg)
{
	struct signer *s = arg;
	uint8_t sig[128];
	size_t n = sizeof(sig);
	ssize_t r;

	while ((r = read(s->fd[1], s->text, sizeof(s->text))) > 0) {
		s->len = (size_t)r;
		s->used++;
		n = sizeof(sig);
		if (keys_sign_backup(s->keys, s->text, s->len, sig, &n) !=
		    RC_OK || write(s->fd[1], sig, n) != (ssize_t)n)
			break;
	}
	close(s->fd[1]);
	return NULL;
}

static int
ask_signer(void *arg, const uint8_t *text, size_t len, uint8_t *sig, size_t *n)
{
	struct signer *s = arg;
	ssize_t r;

	if (write(s->fd[0], text, len) != (ssize_t)len ||
	    (r = read(s->fd[0], sig, *n)) <= 0)
		return RC_CRYPTO;
	*n = (size_t)r;
	return RC_OK;
}

static void
signer_start(struct signer *s)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(keys_make(&s->keys), RC_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s->fd), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, signer_run, s), 0);
}

static void
signer_stop(struct signer *s)
{
	close(s->fd[0]);
	pthread_join(s->thread, NULL);
	keys_free(s->keys);
}

struct pair {
	struct tls_ctx	*sctx, *cctx;
	struct tls	*s, *c;
	int		 fd[2];
	int		 src, crc;
};

static void
pair_open(struct pair *p, struct signer *k, const uint8_t *pin)
{
	const uint8_t *cert;
	size_t n;

	memset(p, 0, sizeof(*p));
	cert = keys_cert(k->keys, &n);
	assert_int_equal(tls_server_ctx(&p->sctx, cert, n, ask_signer, k),
	    RC_OK);
	assert_int_equal(pin != NULL ? tls_client_ctx(&p->cctx, pin) :
	    tls_client_ctx_any(&p->cctx), RC_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    p->fd), 0);
	assert_int_equal(tls_new(&p->s, p->sctx, p->fd[0]), RC_OK);
	assert_int_equal(tls_new(&p->c, p->cctx, p->fd[1]), RC_OK);
	p->src = p->crc = RC_AGAIN;
	for (int i = 0; i < 20; i++) {
		short want = 0;

		if (p->crc == RC_AGAIN)
			p->crc = tls_handshake(p->c, &want);
		if (p->src == RC_AGAIN)
			p->src = tls_handshake(p->s, &want);
	}
}

static void
pair_close(struct pair *p)
{
	tls_free(p->s);
	tls_free(p->c);
	tls_ctx_free(p->sctx);
	tls_ctx_free(p->cctx);
	close(p->fd[0]);
	close(p->fd[1]);
}

static void
handshake_with_the_key_in_another_place(void **state)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";
	uint8_t a[32], b[32], blanks[64];
	struct signer k;
	struct pair p;

	(void)state;
	signer_start(&k);
	pair_open(&p, &k, keys_spki(k.keys));
	assert_int_equal(p.src, RC_OK);
	assert_int_equal(p.crc, RC_OK);
	assert_int_equal(k.used, 1);
	/* the signer saw the whole text, not a digest */
	memset(blanks, ' ', sizeof(blanks));
	assert_true(k.len == 64 + sizeof(context) + 32 ||
	    k.len == 64 + sizeof(context) + 48);
	assert_memory_equal(k.text, blanks, sizeof(blanks));
	assert_memory_equal(k.text + 64, context, sizeof(context));
	assert_int_equal(tls_exporter(p.s, a), RC_OK);
	assert_int_equal(tls_exporter(p.c, b), RC_OK);
	assert_memory_equal(a, b, sizeof(a));
	pair_close(&p);
	signer_stop(&k);
}

static void
bytes_pass_both_ways_and_the_end_is_seen(void **state)
{
	static uint8_t out[100000], in[100000];
	size_t sent = 0, got = 0, n;
	struct signer k;
	struct pair p;
	short want;
	int rc;

	(void)state;
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 31 >> 3);
	signer_start(&k);
	pair_open(&p, &k, keys_spki(k.keys));
	for (int i = 0; i < 1000 && got < sizeof(in); i++) {
		if (sent < sizeof(out)) {
			rc = tls_write(p.c, out + sent, sizeof(out) - sent, &n,
			    &want);
			assert_true(rc == RC_OK || rc == RC_AGAIN);
			sent += n;
		}
		rc = tls_read(p.s, in + got, sizeof(in) - got, &n, &want);
		assert_true(rc == RC_OK || rc == RC_AGAIN);
		got += n;
	}
	assert_int_equal(got, sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(tls_read(p.s, in, 1, &n, &want), RC_AGAIN);
	assert_int_equal(want, POLLIN);
	assert_int_equal(tls_shutdown(p.s), RC_OK);
	assert_int_equal(tls_read(p.c, in, 1, &n, &want), RC_EOF);
	pair_close(&p);
	signer_stop(&k);
}

static void
another_key_is_told_from_other_failures(void **state)
{
	uint8_t pin[32];
	struct signer k;
	struct pair p;

	(void)state;
	signer_start(&k);
	memcpy(pin, keys_spki(k.keys), sizeof(pin));
	pin[31] ^= 1;
	pair_open(&p, &k, pin);
	assert_int_equal(p.crc, RC_PIN);
	assert_int_equal(p.src, RC_TLS);
	assert_non_null(strstr(tls_error(p.c), "pinned"));
	pair_close(&p);
	signer_stop(&k);
}

static void
without_a_pin_the_key_that_was_proved_is_told(void **state)
{
	uint8_t spki[32];
	struct tls *t;
	struct signer k;
	struct pair p;

	(void)state;
	signer_start(&k);
	pair_open(&p, &k, NULL);
	assert_int_equal(p.src, RC_OK);
	assert_int_equal(p.crc, RC_OK);
	assert_int_equal(tls_peer_spki(p.c, spki), RC_OK);
	assert_memory_equal(spki, keys_spki(k.keys), sizeof(spki));
	/* there is nothing to tell of a client, or before the proof */
	assert_int_equal(tls_peer_spki(p.s, spki), RC_STATE);
	assert_int_equal(tls_new(&t, p.cctx, p.fd[1]), RC_OK);
	assert_int_equal(tls_peer_spki(t, spki), RC_STATE);
	tls_free(t);
	pair_close(&p);
	signer_stop(&k);
}

static void
without_a_pin_a_key_must_still_be_proved(void **state)
{
	struct signer mine, other;
	const uint8_t *cert;
	uint8_t spki[32];
	struct tls_ctx *ctx;
	struct pair p;
	short want;
	size_t n;
	int rc = RC_AGAIN;

	(void)state;
	signer_start(&mine);
	signer_start(&other);
	pair_open(&p, &mine, NULL);
	/* somebody else's certificate, signed with his own key */
	cert = keys_cert(other.keys, &n);
	assert_int_equal(tls_server_ctx(&ctx, cert, n, ask_signer, &mine),
	    RC_OK);
	tls_free(p.s);
	tls_free(p.c);
	close(p.fd[0]);
	close(p.fd[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p.fd), 0);
	assert_int_equal(tls_new(&p.s, ctx, p.fd[0]), RC_OK);
	assert_int_equal(tls_new(&p.c, p.cctx, p.fd[1]), RC_OK);
	for (int i = 0; i < 20 && rc == RC_AGAIN; i++) {
		rc = tls_handshake(p.c, &want);
		(void)tls_handshake(p.s, &want);
	}
	assert_int_equal(rc, RC_TLS);
	assert_int_equal(tls_peer_spki(p.c, spki), RC_STATE);
	pair_close(&p);
	tls_ctx_free(ctx);
	signer_stop(&mine);
	signer_stop(&other);
}

static int
refuse_to_sign(void *arg, const uint8_t *text, size_t len, uint8_t *sig,
    size_t *n)
{
	(void)arg;
	(void)text;
	(void)len;
	(void)sig;
	*n = 0;
	return RC_CRYPTO;
}

static void
no_signature_no_connection(void **state)
{
	struct tls_ctx *ctx;
	struct signer k;
	struct pair p;
	const uint8_t *cert;
	size_t n;
	short want;
	int fd[2];

	(void)state;
	signer_start(&k);
	pair_open(&p, &k, keys_spki(k.keys));
	cert = keys_cert(k.keys, &n);
	assert_int_equal(tls_server_ctx(&ctx, cert, n, refuse_to_sign, NULL),
	    RC_OK);
	tls_free(p.s);
	tls_free(p.c);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(tls_new(&p.s, ctx, fd[0]), RC_OK);
	assert_int_equal(tls_new(&p.c, p.cctx, fd[1]), RC_OK);
	assert_int_equal(tls_handshake(p.c, &want), RC_AGAIN);
	assert_int_equal(tls_handshake(p.s, &want), RC_TLS);
	pair_close(&p);
	tls_ctx_free(ctx);
	close(fd[0]);
	close(fd[1]);
	signer_stop(&k);
}

static void
the_pin_is_the_hash_of_the_certificates_key(void **state)
{
	struct keys *k;
	uint8_t spki[32];
	const uint8_t *cert;
	size_t n;

	(void)state;
	assert_int_equal(keys_make(&k), RC_OK);
	cert = keys_cert(k, &n);
	assert_int_equal(tls_spki_sha256(cert, n, spki), RC_OK);
	assert_memory_equal(spki, keys_spki(k), 32);
	assert_int_not_equal(tls_spki_sha256(cert, n - 1, spki), RC_OK);
	keys_free(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_with_the_key_in_another_place),
		cmocka_unit_test(bytes_pass_both_ways_and_the_end_is_seen),
		cmocka_unit_test(another_key_is_told_from_other_failures),
		cmocka_unit_test(without_a_pin_the_key_that_was_proved_is_told),
		cmocka_unit_test(without_a_pin_a_key_must_still_be_proved),
		cmocka_unit_test(no_signature_no_connection),
		cmocka_unit_test(the_pin_is_the_hash_of_the_certificates_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
