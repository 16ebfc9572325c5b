#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/rc.h"
#include "privsep/chan.h"

/* A session's channel to keyd, and its far end bare. */
struct ends {
	struct chan	*c;
	int		 far;
};

static void
open_ends(struct ends *e, enum role self, enum role peer)
{
	int fds[2];

	assert_int_equal(chan_pair(fds), RC_OK);
	e->c = chan_new(fds[0], self, peer);
	assert_non_null(e->c);
	e->far = fds[1];
}

static void
close_ends(struct ends *e)
{
	chan_free(e->c);
	if (e->far != -1)
		close(e->far);
}

/* Send bytes and descriptors as an intruder would. */
static void
send_raw(int fd, const void *p, size_t n, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr	hdr;
		uint8_t		buf[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct iovec iov = { (void *)(uintptr_t)p, n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	memset(&control, 0, sizeof(control));
	if (nfds > 0) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&control.hdr), fds, nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &mh, 0), n);
}

static int
count_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void
a_message_arrives_as_it_was_sent(void **state)
{
	struct wbuf body = WBUF_INIT(4096);
	struct chan *a, *b;
	struct msg m;
	uint8_t hash[32];
	int fds[2];

	(void)state;
	assert_int_equal(chan_pair(fds), RC_OK);
	a = chan_new(fds[0], ROLE_SESSION, ROLE_KEYD);
	b = chan_new(fds[1], ROLE_KEYD, ROLE_SESSION);
	wbuf_bytes(&body, "0123456789abcdef0123456789abcdef", 32);
	assert_int_equal(chan_send(a, MSG_KEYD_TLS, &body, -1), RC_OK);
	assert_int_equal(chan_expect(b, MSG_KEYD_TLS, &m, 1000), RC_OK);
	assert_int_equal(m.fd, -1);
	assert_int_equal(rbuf_left(&m.body), 32);
	assert_int_equal(rbuf_bytes(&m.body, hash, 32), RC_OK);
	assert_memory_equal(hash, "0123456789abcdef0123456789abcdef", 32);

	assert_int_equal(chan_send(a, MSG_KEYD_INFO, NULL, -1), RC_OK);
	assert_int_equal(chan_expect(b, MSG_KEYD_TLS, &m, 1000), RC_STATE);
	assert_string_equal(msg_name(m.type), "KEYD_INFO");
	chan_free(a);
	assert_int_equal(chan_recv(b, &m), RC_EOF);
	assert_int_equal(chan_send(b, MSG_KEYD_SIG, &body, -1), RC_EOF);
	chan_free(b);
	wbuf_free(&body);
}

static void
the_table_is_kept_by_the_sender(void **state)
{
	struct wbuf body = WBUF_INIT(8192);
	struct ends e;

	(void)state;
	open_ends(&e, ROLE_SESSION, ROLE_KEYD);
	/* another role's message, ours to another role, no message at all */
	assert_int_equal(chan_send(e.c, MSG_KEYD_RECEIPT, NULL, -1), RC_STATE);
	assert_int_equal(chan_send(e.c, MSG_AUTH_NONCE, NULL, -1), RC_STATE);
	assert_int_equal(chan_send(e.c, MSG_NONE, NULL, -1), RC_STATE);
	assert_int_equal(chan_send(e.c, MSG_MAX, NULL, -1), RC_STATE);
	/* a descriptor too many */
	assert_int_equal(chan_send(e.c, MSG_KEYD_INFO, NULL, 0), RC_STATE);
	wbuf_zeros(&body, 257);
	assert_int_equal(chan_send(e.c, MSG_KEYD_TLS, &body, -1), RC_LIMIT);
	wbuf_free(&body);
	wbuf_init(&body, 4);
	wbuf_zeros(&body, 5);		/* failed while written */
	assert_int_equal(chan_send(e.c, MSG_KEYD_TLS, &body, -1), RC_LIMIT);
	wbuf_free(&body);
	close_ends(&e);
}

static void
expect_refused(const void *p, size_t n, const int *fds, size_t nfds)
{
	struct ends e;
	struct msg m;
	int before;

	open_ends(&e, ROLE_KEYD, ROLE_SESSION);
	before = count_fds();
	send_raw(e.far, p, n, fds, nfds);
	assert_int_equal(chan_recv(e.c, &m), RC_PROTO);
	assert_int_equal(m.fd, -1);
	assert_int_equal(count_fds(), before);	/* nothing leaked */
	close_ends(&e);
}

static void
the_table_is_kept_by_the_receiver(void **state)
{
	static const uint8_t short_msg[1] = { 0 };
	static const uint8_t none[2] = { 0, MSG_NONE };
	static const uint8_t unknown[2] = { 0xff, 0xff };
	static const uint8_t receipt[2] = { 0, MSG_KEYD_RECEIPT };
	static const uint8_t for_auth[2] = { 0, MSG_AUTH_NONCE };
	uint8_t long_info[3] = { 0, MSG_KEYD_INFO, 0 };
	uint8_t huge[8192] = { 0, MSG_KEYD_HELLO };

	(void)state;
	expect_refused(short_msg, sizeof(short_msg), NULL, 0);
	expect_refused(none, sizeof(none), NULL, 0);
	expect_refused(unknown, sizeof(unknown), NULL, 0);
	expect_refused(receipt, sizeof(receipt), NULL, 0);
	expect_refused(for_auth, sizeof(for_auth), NULL, 0);
	expect_refused(long_info, sizeof(long_info), NULL, 0);
	expect_refused(huge, sizeof(huge), NULL, 0);
}

static void
descriptors_that_do_not_belong_are_closed(void **state)
{
	static const uint8_t info[2] = { 0, MSG_KEYD_INFO };
	int fds[16], i;

	(void)state;
	for (i = 0; i < 16; i++)
		fds[i] = 0;
	expect_refused(info, sizeof(info), fds, 1);
	expect_refused(info, sizeof(info), fds, 2);
	expect_refused(info, sizeof(info), fds, 16);
}

static void
two_descriptors_are_refused_where_one_is_due(void **state)
{
	uint8_t ring[2] = { 0, MSG_RING };
	int fds[8] = { 0 }, before;
	struct ends e;
	struct msg m;

	(void)state;
	open_ends(&e, ROLE_STORE, ROLE_SESSION);
	before = count_fds();
	send_raw(e.far, ring, sizeof(ring), fds, 2);
	assert_int_equal(chan_recv(e.c, &m), RC_PROTO);
	send_raw(e.far, ring, sizeof(ring), fds, 8);	/* MSG_CTRUNC */
	assert_int_equal(chan_recv(e.c, &m), RC_PROTO);
	send_raw(e.far, ring, sizeof(ring), NULL, 0);	/* none at all */
	assert_int_equal(chan_recv(e.c, &m), RC_PROTO);
	assert_int_equal(count_fds(), before);
	close_ends(&e);
}

static void
a_descriptor_is_close_on_exec_and_has_one_owner(void **state)
{
	struct chan *a, *b;
	struct msg m;
	int fds[2], before, fd;

	(void)state;
	assert_int_equal(chan_pair(fds), RC_OK);
	a = chan_new(fds[0], ROLE_SESSION, ROLE_STORE);
	b = chan_new(fds[1], ROLE_STORE, ROLE_SESSION);
	before = count_fds();
	assert_int_equal(chan_send(a, MSG_RING, NULL, 0), RC_OK);
	assert_int_equal(chan_recv(b, &m), RC_OK);
	assert_true(m.fd >= 0);
	assert_int_equal(fcntl(m.fd, F_GETFD), FD_CLOEXEC);
	fd = msg_take_fd(b, &m);
	assert_int_equal(m.fd, -1);
	assert_int_equal(chan_send(a, MSG_RING, NULL, 0), RC_OK);
	assert_int_equal(chan_recv(b, &m), RC_OK);
	assert_int_equal(count_fds(), before + 2);
	/* not taken: the next call closes it, and leaves the other alone */
	chan_set_nonblock(b);
	assert_int_equal(chan_recv(b, &m), RC_AGAIN);
	assert_int_equal(count_fds(), before + 1);
	assert_int_equal(close(fd), 0);
	chan_free(a);
	chan_free(b);
}

/* The kernel says ECONNRESET ahead of what is still in the queue. */
static void
last_words_are_read_after_an_unread_end(void **state)
{
	static const uint8_t sig[] = { MSG_KEYD_SIG >> 8, MSG_KEYD_SIG & 0xff,
	    7 };
	struct wbuf body = WBUF_INIT(8);
	struct ends e;
	struct msg m;
	uint8_t v;

	(void)state;
	open_ends(&e, ROLE_SESSION, ROLE_KEYD);
	wbuf_u8(&body, 1);
	assert_int_equal(chan_send(e.c, MSG_KEYD_TLS, &body, -1), RC_OK);
	send_raw(e.far, sig, sizeof(sig), NULL, 0);
	close(e.far);
	e.far = -1;
	chan_set_nonblock(e.c);
	assert_int_equal(chan_recv(e.c, &m), RC_OK);
	assert_int_equal(m.type, MSG_KEYD_SIG);
	assert_int_equal(rbuf_u8(&m.body, &v), RC_OK);
	assert_int_equal(v, 7);
	assert_int_equal(chan_recv(e.c, &m), RC_EOF);
	wbuf_free(&body);
	close_ends(&e);
}

static void
waiting_ends_with_a_timeout(void **state)
{
	struct ends e;
	struct msg m;

	(void)state;
	open_ends(&e, ROLE_KEYD, ROLE_SESSION);
	assert_int_equal(chan_recv_wait(e.c, &m, 0), RC_TIMEOUT);
	assert_int_equal(chan_recv_wait(e.c, &m, 20), RC_TIMEOUT);
	close(e.far);
	e.far = -1;
	assert_int_equal(chan_recv_wait(e.c, &m, -1), RC_EOF);
	close_ends(&e);
}

static void
a_full_channel_says_again_and_does_not_wait(void **state)
{
	struct wbuf body = WBUF_INIT(1024);
	struct ends e;
	int i, rc = RC_OK;

	(void)state;
	open_ends(&e, ROLE_SESSION, ROLE_LOGGER);
	wbuf_u8(&body, 6);
	wbuf_str(&body, "a line");
	for (i = 0; i < 100000 && rc == RC_OK; i++)
		rc = chan_send_now(e.c, MSG_LOG, &body, -1);
	assert_int_equal(rc, RC_AGAIN);
	chan_set_nonblock(e.c);
	assert_int_equal(chan_send(e.c, MSG_LOG, &body, -1), RC_AGAIN);
	wbuf_free(&body);
	close_ends(&e);
}

static void
the_largest_message_passes(void **state)
{
	struct wbuf body = WBUF_INIT(131072);
	struct chan *a, *b;
	struct msg m;
	int fds[2];

	(void)state;
	assert_int_equal(chan_pair(fds), RC_OK);
	a = chan_new(fds[0], ROLE_COMMAND, ROLE_ENGINE);
	b = chan_new(fds[1], ROLE_ENGINE, ROLE_COMMAND);
	wbuf_zeros(&body, 131072);
	assert_int_equal(chan_send(a, MSG_ENGINE_DO, &body, -1), RC_OK);
	assert_int_equal(chan_recv(b, &m), RC_OK);
	assert_int_equal(rbuf_left(&m.body), 131072);
	wbuf_free(&body);
	chan_free(a);
	chan_free(b);
}

static void
a_channel_of_no_role_is_not_made(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(chan_pair(fds), RC_OK);
	assert_null(chan_new(fds[0], ROLE_NONE, ROLE_KEYD));
	assert_null(chan_new(fds[1], ROLE_KEYD, (enum role)99));
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);	/* taken all the same */
	assert_null(chan_new(-1, ROLE_KEYD, ROLE_SESSION));
	chan_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_arrives_as_it_was_sent),
		cmocka_unit_test(the_table_is_kept_by_the_sender),
		cmocka_unit_test(the_table_is_kept_by_the_receiver),
		cmocka_unit_test(descriptors_that_do_not_belong_are_closed),
		cmocka_unit_test(two_descriptors_are_refused_where_one_is_due),
		cmocka_unit_test(
		    a_descriptor_is_close_on_exec_and_has_one_owner),
		cmocka_unit_test(last_words_are_read_after_an_unread_end),
		cmocka_unit_test(waiting_ends_with_a_timeout),
		cmocka_unit_test(a_full_channel_says_again_and_does_not_wait),
		cmocka_unit_test(the_largest_message_passes),
		cmocka_unit_test(a_channel_of_no_role_is_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
