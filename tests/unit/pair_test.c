#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/engine/engine.h"
#include "client/engine/event.h"
#include "common/io.h"
#include "common/peerinfo.h"
#include "common/rc.h"
#include "common/token.h"
#include "privsep/link.h"

/*
 * pair.c with the whole engine behind it, against a thread that is the command,
 * net and a server in one.  Ten minutes pass in no time: the linker puts in a
 * clock (--wrap) that a pause moves.
 */
static struct far {
	/* told */
	uint64_t	 features;
	uint8_t		 at_open, at_last;	/* enum pair_state */
	unsigned	 waits;			/* polls that say "waiting" */
	unsigned	 away;			/* of them with nobody there */
	unsigned	 stop_at;		/* this EVENT_WAITING; 0 never */
	bool		 other_identity, other_pin;	/* from the first poll on */
	bool		 token_pin, token_identity;	/* of another server */
	bool		 no_token;
	uint16_t	 token_port;
	uint16_t	 refuse;		/* ERROR to PAIR */
	/* seen */
	unsigned	 connects, polls, enrols, waiting;
	uint16_t	 port;
	uint8_t		 how;			/* of the last connection */
	char		 host[256], code[16], fp[64], id[64];
	struct pair	 offer;
	struct pair_open open;
	uint8_t		 enrolled_key[32];
	const char	*complaint;
	/* its own */
	struct chan	*cmd;
	uint8_t		 identity[32], pin[32], nonce[32];
	pthread_t	 thread;
} far;
static struct engine e;
static char dir[64], text[512];
static atomic_ullong ahead;		/* of the true clock, ms */

uint64_t __real_io_now_ms(void);
uint64_t __wrap_io_now_ms(void);
int	__real_engine_pause(struct engine *en, uint64_t ms);
int	__wrap_engine_pause(struct engine *en, uint64_t ms);

uint64_t
__wrap_io_now_ms(void)
{
	return __real_io_now_ms() + ahead;
}

int
__wrap_engine_pause(struct engine *en, uint64_t ms)
{
	ahead += ms;
	/* what the far end has to say about it may be a moment under way */
	return __real_engine_pause(en, far.stop_at != 0 ? 200 : 0);
}

static int
complain(const char *what)
{
	if (far.complaint == NULL)
		far.complaint = what;
	return RC_PROTO;
}

/* --- the server --- */

static int
say(struct chan *c, uint16_t type, uint32_t request, const struct wbuf *p)
{
	struct wbuf body = WBUF_INIT(65536 + 8);
	int rc;

	wbuf_u16(&body, type);
	wbuf_u16(&body, 0);
	wbuf_u32(&body, request);
	wbuf_bytes(&body, p->data, p->len);
	rc = chan_send(c, MSG_FRAME, &body, -1);
	wbuf_free(&body);
	return rc;
}

static int
on_hello(struct rbuf *in, struct wbuf *out)
{
	struct hello_ok ok = { .version = PROTO_VERSION,
	    .frame_max = PROTO_SMALL_MAX, .ids_max = PROTO_IDS_MAX,
	    .id = "backup1" };
	struct hello h;

	if (hello_parse(in, &h) != RC_OK ||
	    (h.features & PROTO_FEATURE_PAIR) == 0)
		return complain("HELLO");
	ok.features = far.features & h.features;
	memcpy(ok.identity, far.identity, 32);
	if (far.other_identity && far.connects > 1)
		ok.identity[0] ^= 1;
	hello_ok_put(out, &ok);
	return PROTO_HELLO_OK;
}

static int
on_pair(struct rbuf *in, struct wbuf *out)
{
	struct pair_ok ok = { .pairing = "pairing" };

	if (far.connects != 1 || pair_parse(in, &far.offer) != RC_OK)
		return complain("PAIR");
	if (far.refuse != 0) {
		proto_err_put(out, far.refuse, "");
		return PROTO_ERROR;
	}
	memcpy(ok.nonce, far.nonce, sizeof(ok.nonce));
	pair_ok_put(out, &ok);
	return PROTO_PAIR_OK;
}

static void
make_token(char out[PROTO_TOKEN_MAX])
{
	struct token t = { .port = far.token_port, .ssl_port = 32007,
	    .expires = 4000000000, .host = "name.that.leads.nowhere" };

	memcpy(t.pin, far.pin, 32);
	t.pin[0] ^= far.token_pin;
	(void)sha256(far.identity, 32, t.identity_fp);
	t.identity_fp[0] ^= far.token_identity;
	if (token_format(&t, out) != RC_OK)
		(void)complain("token");
	if (far.no_token)
		snprintf(out, PROTO_TOKEN_MAX, "sg1-");
}

static int
put_state(uint8_t state, struct wbuf *out)
{
	struct pair_state_msg m = { .state = state };

	if (state == PAIR_ACCEPTED)
		make_token(m.token);
	pair_state_put(out, &m);
	return PROTO_PAIR_STATE;
}

/* The promise is kept: the nonce is the one that was committed to. */
static int
on_open(struct rbuf *in, struct wbuf *out)
{
	uint8_t commit[32];

	if (far.connects != 1 || pair_open_parse(in, &far.open) != RC_OK ||
	    pair_commit(far.open.nonce, far.offer.client_key, commit) !=
	    RC_OK || memcmp(commit, far.offer.commit, 32) != 0 ||
	    memcmp(far.open.pairing, "pairing", 8) != 0)
		return complain("PAIR_OPEN");
	return put_state(far.at_open, out);
}

static int
on_poll(struct rbuf *in, struct wbuf *out)
{
	struct pair_open p;

	if (far.connects < 2 || pair_open_parse(in, &p) != RC_OK ||
	    memcmp(&p, &far.open, sizeof(p)) != 0)
		return complain("PAIR_POLL");
	return put_state(++far.polls > far.waits ? far.at_last :
	    PAIR_WAITING, out);
}

static int
on_enrol(struct rbuf *in, struct wbuf *out)
{
	struct enrol_ok ok = { .name = "acme/web1", .vault = "v",
	    .client = "c" };
	struct enrol m;

	if (enrol_parse(in, &m) != RC_OK)
		return complain("ENROL");
	far.enrols++;
	memcpy(far.enrolled_key, m.client_key, 32);
	memcpy(ok.identity, far.identity, 32);
	enrol_ok_put(out, &ok);
	return PROTO_ENROL_OK;
}

static int
on_auth(struct rbuf *in, struct wbuf *out)
{
	struct auth_ok ok = { .vault = "v", .rights = 3, .connections = 1,
	    .credit_put = PROTO_CREDIT_PUT, .credit_have = PROTO_CREDIT_HAVE,
	    .credit_get = PROTO_CREDIT_GET, .name = "acme/web1" };
	struct auth a;

	if (auth_parse(in, &a) != RC_OK)
		return complain("AUTH");
	auth_ok_put(out, &ok);
	return PROTO_AUTH_OK;
}

static int
on_record_get(struct rbuf *in, struct wbuf *out)
{
	(void)in;
	more_put(out, 0);
	return PROTO_RECORD_END;
}

static int
on_record_add(struct rbuf *in, struct wbuf *out)
{
	(void)in;
	record_ok_put(out, 1);
	return PROTO_RECORD_OK;
}

static const struct {
	uint16_t type;
	int	(*fn)(struct rbuf *in, struct wbuf *out);
} frames[] = {
	{ PROTO_HELLO, on_hello }, { PROTO_PAIR, on_pair },
	{ PROTO_PAIR_OPEN, on_open }, { PROTO_PAIR_POLL, on_poll },
	{ PROTO_ENROL, on_enrol }, { PROTO_AUTH, on_auth },
	{ PROTO_RECORD_GET, on_record_get },
	{ PROTO_RECORD_ADD, on_record_add },
};

static int
on_frame(struct chan *c, struct rbuf *in)
{
	struct wbuf out = WBUF_INIT(65536);
	uint16_t type, flags;
	uint32_t request;
	int rc = RC_PROTO, answer;

	if (rbuf_u16(in, &type) != RC_OK || rbuf_u16(in, &flags) != RC_OK ||
	    rbuf_u32(in, &request) != RC_OK)
		return complain("FRAME");
	if (type == PROTO_BYE)
		return RC_OK;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
		if (frames[i].type == type && (answer = frames[i].fn(in,
		    &out)) > 0)
			rc = say(c, (uint16_t)answer, request, &out);
	wbuf_free(&out);
	return rc == RC_OK ? rc : complain(proto_name(type));
}

/* One connection, to its end. */
static void
serve(int fd)
{
	struct chan *c = chan_new(fd, ROLE_NET, ROLE_ENGINE);
	struct wbuf up = WBUF_INIT(64);
	struct msg m;
	int ring = -1;
	void *map;

	if (c == NULL || ring_make(&ring, &map) != RC_OK ||
	    chan_send(c, MSG_RING, NULL, ring) != RC_OK)
		abort();
	memset(wbuf_space(&up, 32), 7, 32);
	if (far.how == NET_TLS_ANY)
		wbuf_bytes(&up, far.pin, 32);
	(void)chan_send(c, MSG_NET_UP, &up, -1);
	while (chan_recv_wait(c, &m, -1) == RC_OK)
		if (m.type == MSG_FRAME && on_frame(c, &m.body) != RC_OK)
			break;
	wbuf_free(&up);
	munmap(map, RING_SIZE);
	close(ring);
	chan_free(c);
}

/* --- the command --- */

static int
answer_connect(int code, const char *why, int fd)
{
	struct wbuf body = WBUF_INIT(512);
	int rc;

	wbuf_u8(&body, (uint8_t)-code);
	wbuf_str(&body, why);
	rc = chan_send(far.cmd, MSG_ENGINE_NET, &body, fd);
	wbuf_free(&body);
	return rc;
}

static int
on_connect(struct rbuf *in)
{
	uint8_t pin[32];
	int pair[2], rc;

	if (rbuf_str(in, far.host, sizeof(far.host)) != RC_OK ||
	    rbuf_u16(in, &far.port) != RC_OK ||
	    rbuf_u8(in, &far.how) != RC_OK ||
	    rbuf_bytes(in, pin, sizeof(pin)) != RC_OK ||
	    rbuf_end(in) != RC_OK)
		return complain("ENGINE_CONNECT");
	/* No pin is given up once, and once only. */
	if (++far.connects == 1 ? far.how != NET_TLS_ANY :
	    far.how != NET_TLS || memcmp(pin, far.pin, 32) != 0)
		return complain("how it connects");
	if (far.connects > 1 && far.away > 0) {
		far.away--;
		far.polls++;
		return answer_connect(RC_UNREACHABLE, "nobody there", -1);
	}
	if (far.connects > 1 && far.other_pin)
		return answer_connect(RC_PIN, "another key", -1);
	if (chan_pair(pair) != RC_OK)
		abort();
	rc = answer_connect(0, "", pair[0]);
	close(pair[0]);
	serve(pair[1]);
	return rc;
}

static int
on_event(struct rbuf *in)
{
	char host[256];
	uint32_t left;
	uint8_t kind;

	if (rbuf_u8(in, &kind) != RC_OK)
		return complain("event");
	if (kind == EVENT_CODE &&
	    (rbuf_str(in, far.code, sizeof(far.code)) != RC_OK ||
	    rbuf_str(in, far.id, sizeof(far.id)) != RC_OK ||
	    rbuf_str(in, far.fp, sizeof(far.fp)) != RC_OK ||
	    rbuf_str(in, host, sizeof(host)) != RC_OK ||
	    rbuf_end(in) != RC_OK))
		return complain("EVENT_CODE");
	if (kind != EVENT_WAITING)
		return RC_OK;
	if (rbuf_u32(in, &left) != RC_OK || left > PROTO_PAIR_MS / 1000)
		return complain("EVENT_WAITING");
	if (++far.waiting == far.stop_at)
		return chan_send(far.cmd, MSG_STOP, NULL, -1);
	return RC_OK;
}

static void *
run_far(void *arg)
{
	struct msg m;
	int rc = RC_OK;

	(void)arg;
	while (rc == RC_OK && chan_recv_wait(far.cmd, &m, -1) == RC_OK) {
		if (m.type == MSG_ENGINE_CONNECT)
			rc = on_connect(&m.body);
		else if (m.type == MSG_ENGINE_EVENT)
			rc = on_event(&m.body);
		else
			rc = complain("a message");
	}
	chan_free(far.cmd);
	return NULL;
}

static int
set_up(void **unused)
{
	int fd;

	(void)unused;
	memset(&far, 0, sizeof(far));
	far.features = PROTO_FEATURE_PAIR | PROTO_FEATURE_REPORT;
	far.at_open = PAIR_WAITING;
	far.at_last = PAIR_ACCEPTED;
	far.token_port = 32004;
	assert_int_equal(secret_random(far.identity, 32), RC_OK);
	assert_int_equal(secret_random(far.pin, 32), RC_OK);
	assert_int_equal(secret_random(far.nonce, 32), RC_OK);
	strcpy(dir, "/tmp/pair-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(&e, 0, sizeof(e));
	assert_int_equal(state_open(&e.state, fd, fd), RC_OK);
	text[0] = '\0';
	ahead = 0;
	return 0;
}

static int
tear_down(void **unused)
{
	char cmd[128];

	(void)unused;
	keys_clear(&e.keys);
	state_free(e.state);
	snprintf(cmd, sizeof(cmd), "rm -rf %.64s", dir);
	return system(cmd);
}

static int
pair(const char *host, uint16_t port)
{
	int fds[2], code;

	assert_int_equal(chan_pair(fds), RC_OK);
	e.cmd = chan_new(fds[0], ROLE_ENGINE, ROLE_COMMAND);
	far.cmd = chan_new(fds[1], ROLE_COMMAND, ROLE_ENGINE);
	assert_true(e.cmd != NULL && far.cmd != NULL);
	assert_int_equal(pthread_create(&far.thread, NULL, run_far, NULL), 0);
	code = pair_run(&e, host, port, text, sizeof(text));
	chan_free(e.cmd);
	assert_int_equal(pthread_join(far.thread, NULL), 0);
	if (far.complaint != NULL)
		fail_msg("the far end: %s", far.complaint);
	return code;
}

static bool
has_state(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%.64s/client", dir);
	return access(path, F_OK) == 0;
}

static void
server_code(char out[PROTO_PAIR_CODE_LEN + 1])
{
	struct pair_code c;

	memcpy(c.client_key, far.offer.client_key, 32);
	memcpy(c.identity, far.identity, 32);
	memcpy(c.pin, far.pin, 32);
	memcpy(c.client_nonce, far.open.nonce, 32);
	memcpy(c.server_nonce, far.nonce, 32);
	assert_int_equal(pair_code(&c, out), RC_OK);
}

static void
both_sides_show_one_code_and_the_client_is_enrolled(void **unused)
{
	char code[PROTO_PAIR_CODE_LEN + 1], fp[PEER_FP_LEN + 1];

	(void)unused;
	far.waits = 3;
	assert_int_equal(pair("backup.example", 0), EXIT_DONE);
	server_code(code);
	assert_string_equal(far.code, code);
	peer_fingerprint(far.identity, fp);
	assert_string_equal(far.fp, fp);
	assert_int_equal(far.waiting, 4);
	assert_int_equal(far.polls, 4);
	/* with the key that stands in the code, and no other */
	assert_int_equal(far.enrols, 1);
	assert_memory_equal(far.enrolled_key, far.offer.client_key, 32);
	keys_clear(&e.keys);
	assert_int_equal(state_load(e.state, &e.keys), RC_OK);
	assert_false(e.state->pending);
	assert_memory_equal(e.keys.identity_pub, far.offer.client_key, 32);
	assert_memory_equal(e.state->pin, far.pin, 32);
	assert_string_equal(e.state->host, "backup.example");
	assert_int_equal(e.state->port, 32004);
	assert_int_equal(e.state->ssl_port, 32007);
}

static void
a_forwarded_port_is_kept(void **unused)
{
	(void)unused;
	assert_int_equal(pair("192.0.2.7", 5000), EXIT_DONE);
	assert_int_equal(far.port, 5000);
	keys_clear(&e.keys);
	assert_int_equal(state_load(e.state, &e.keys), RC_OK);
	assert_int_equal(e.state->port, 5000);
	assert_int_equal(e.state->ssl_port, 5000);
}

static void
a_server_that_is_away_for_a_while_ends_nothing(void **unused)
{
	(void)unused;
	far.waits = 5;
	far.away = 4;
	assert_int_equal(pair("backup.example", 0), EXIT_DONE);
	assert_int_equal(far.enrols, 1);
}

static void
a_refusal_is_exit_12(void **unused)
{
	(void)unused;
	far.at_last = PAIR_REFUSED;
	far.waits = 1;
	assert_int_equal(pair("backup.example", 0), EXIT_AUTH);
	assert_non_null(strstr(text, "refused"));
	assert_false(has_state());
}

static void
a_forgotten_pairing_is_exit_75(void **unused)
{
	(void)unused;
	far.at_last = PAIR_GONE;
	assert_int_equal(pair("backup.example", 0), EXIT_LATER);
	assert_false(has_state());
}

static void
nobody_at_the_server_ends_it_after_ten_minutes(void **unused)
{
	(void)unused;
	far.waits = 100000;
	assert_int_equal(pair("backup.example", 0), EXIT_LATER);
	assert_in_range(far.polls, PROTO_PAIR_MS / PROTO_PAIR_POLL_MS - 5,
	    PROTO_PAIR_MS / PROTO_PAIR_POLL_MS + 1);
	assert_non_null(strstr(text, "10 minutes"));
	assert_false(has_state());
}

static void
a_server_that_becomes_another_is_exit_13(void **unused)
{
	(void)unused;
	far.other_identity = true;
	assert_int_equal(pair("backup.example", 0), EXIT_PIN);
	assert_non_null(strstr(text, "another key"));
	assert_int_equal(far.polls, 0);
	assert_false(has_state());
}

static void
another_pin_later_is_exit_13(void **unused)
{
	(void)unused;
	far.other_pin = true;
	assert_int_equal(pair("backup.example", 0), EXIT_PIN);
	assert_false(has_state());
}

static void
a_token_with_another_pin_is_not_used(void **unused)
{
	(void)unused;
	far.token_pin = true;
	assert_int_equal(pair("backup.example", 0), EXIT_PIN);
	assert_non_null(strstr(text, "another server"));
	assert_int_equal(far.enrols, 0);
	assert_false(has_state());
}

static void
a_token_with_another_identity_is_not_used(void **unused)
{
	(void)unused;
	far.token_identity = true;
	assert_int_equal(pair("backup.example", 0), EXIT_PIN);
	assert_int_equal(far.enrols, 0);
	assert_false(has_state());
}

static void
what_is_no_token_is_not_used(void **unused)
{
	(void)unused;
	far.no_token = true;
	assert_int_equal(pair("backup.example", 0), EXIT_FAILED);
	assert_int_equal(far.enrols, 0);
	assert_false(has_state());
}

static void
an_older_server_is_told_as_such(void **unused)
{
	(void)unused;
	far.features = PROTO_FEATURE_REPORT;
	assert_int_equal(pair("backup.example", 0), EXIT_FAILED);
	assert_non_null(strstr(text, "does not know pairing"));
	assert_int_equal(far.offer.name[0], '\0');	/* nothing was said */
}

static void
a_server_with_too_many_pairings_is_exit_75(void **unused)
{
	(void)unused;
	far.refuse = PROTO_ERR_LATER;
	assert_int_equal(pair("backup.example", 0), EXIT_LATER);
	assert_int_equal(far.connects, 1);
}

static void
a_stop_ends_the_wait(void **unused)
{
	(void)unused;
	far.waits = 100000;
	far.stop_at = 2;
	assert_int_equal(pair("backup.example", 0), EXIT_INTERRUPTED);
	assert_true(e.cancelled);
	assert_in_range(far.polls, 1, 2);
	assert_false(has_state());
}

static void
an_enrolled_machine_is_not_paired_by_accident(void **unused)
{
	uint8_t first[32];

	(void)unused;
	assert_int_equal(pair("backup.example", 0), EXIT_DONE);
	memcpy(first, far.enrolled_key, 32);
	far.connects = far.polls = 0;
	assert_int_equal(pair("backup.example", 0), EXIT_USAGE);
	assert_int_equal(far.connects, 0);
	e.force = true;
	assert_int_equal(pair("backup.example", 0), EXIT_DONE);
	assert_memory_not_equal(far.enrolled_key, first, 32);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(both_sides_show_one_code_and_the_client_is_enrolled),
		T(a_forwarded_port_is_kept),
		T(a_server_that_is_away_for_a_while_ends_nothing),
		T(a_refusal_is_exit_12),
		T(a_forgotten_pairing_is_exit_75),
		T(nobody_at_the_server_ends_it_after_ten_minutes),
		T(a_server_that_becomes_another_is_exit_13),
		T(another_pin_later_is_exit_13),
		T(a_token_with_another_pin_is_not_used),
		T(a_token_with_another_identity_is_not_used),
		T(what_is_no_token_is_not_used),
		T(an_older_server_is_told_as_such),
		T(a_server_with_too_many_pairings_is_exit_75),
		T(a_stop_ends_the_wait),
		T(an_enrolled_machine_is_not_paired_by_accident),
	};

	(void)alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
