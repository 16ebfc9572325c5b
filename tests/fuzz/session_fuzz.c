#include "config.h"

#include <sys/socket.h>

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"
#include "server/session/login.h"
#include "tests/fuzz/fuzz.h"

/*
 * What a client may say before it is logged in.  The first byte chooses what
 * auth answers and whether there is TLS; the rest are the client's bytes.
 */
#define F_TLS		0x01
#define F_REFUSE	0x02
#define F_BROKEN	0x04		/* an answer that is none */
#define F_NO_KEYD	0x08

static int
nonce(void *arg, uint8_t out[32])
{
	(void)arg;
	memset(out, 0x42, 32);
	return RC_OK;
}

static int
sign_hello(void *arg, const struct wbuf *text, uint8_t sig[ED25519_SIG_LEN])
{
	const uint8_t *flags = arg;

	(void)text;
	memset(sig, 0x43, ED25519_SIG_LEN);
	return (*flags & F_NO_KEYD) != 0 ? RC_EOF : RC_OK;
}

static int
ask(void *arg, enum msg_type what, const struct wbuf *body,
    struct rbuf *answer)
{
	static struct wbuf b = WBUF_INIT(2048);
	struct pair_state_msg state = { PAIR_ACCEPTED, "sg1-" };
	struct enrol_ok ok = { .name = "account/name" };
	struct pair_ok pairing = { { 1 }, { 2 } };
	const uint8_t *flags = arg;

	/* clear text carries no token, in either direction */
	MUST(what == MSG_AUTH_LOGIN || (*flags & F_TLS) != 0);
	wbuf_reset(&b);
	wbuf_u16(&b, (*flags & F_REFUSE) != 0 ? PROTO_ERR_AUTH : 0);
	wbuf_str(&b, (*flags & F_REFUSE) != 0 ? "no" : "");
	if ((*flags & F_BROKEN) != 0)
		wbuf_u8(&b, 1);
	else if (what == MSG_AUTH_ENROL)
		enrol_ok_put(&b, &ok);
	else if (what == MSG_AUTH_PAIR && body->data[1] == PROTO_PAIR)
		pair_ok_put(&b, &pairing);
	else if (what == MSG_AUTH_PAIR)
		pair_state_put(&b, &state);
	else {
		wbuf_zeros(&b, 32);
		wbuf_u32(&b, 3);
		wbuf_str(&b, "account/name");
	}
	rbuf_init(answer, b.data, b.len);
	return wbuf_rc(&b);
}

static const struct login_ops ops = { nonce, sign_hello, ask };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct relay_opt o = { .side = PROTO_C, .ring_fd = -1 };
	struct login l = { .id = "test", .ops = &ops };
	uint8_t flags;
	int fd[2];

	if (size < 1 || size > 65536 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
		return 0;
	flags = data[0];
	(void)!write(fd[1], data + 1, size - 1);
	shutdown(fd[1], SHUT_WR);
	o.fd = fd[0];
	l.relay = relay_new(&o);
	MUST(l.relay != NULL);
	l.tls = (flags & F_TLS) != 0;
	l.arg = &flags;
	l.deadline = io_now_ms() + 1000;
	/* never against auth's word, and a pairing is no log-in */
	MUST(session_login(&l) != RC_OK ||
	    ((flags & (F_REFUSE | F_BROKEN)) == 0 && !l.paired));
	relay_free(l.relay);
	close(fd[1]);
	return 0;
}
