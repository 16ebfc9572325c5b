#include "config.h"

#include "client/engine/remote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "client/engine/seal.h"
#include "common/rc.h"
#include "fake_server.h"

struct fix {
	struct keys	 k;
	struct fake	 f;
	struct link	*l;
	struct remote	*r;
	struct sealer	*s;
	size_t		 got, gone, damaged, wire_bytes, haves, present;
	uint64_t	 received, durable;
	struct object_id last;
	int		 answer;	/* of the callback */
};

static int
on_object(void *arg, uint32_t request, const struct object_id *id,
    const uint8_t *wire, size_t len)
{
	struct fix *x = arg;

	(void)request;
	x->last = *id;
	if (wire != NULL) {
		x->got++;
		x->wire_bytes += len;
	} else if (len == 0) {
		x->gone++;
	} else {
		x->damaged++;
	}
	return x->answer;
}

static int
on_have(void *arg, uint64_t cookie, const uint8_t *have, size_t n)
{
	struct fix *x = arg;
	size_t i;

	(void)cookie;
	x->haves += n;
	for (i = 0; i < n; i++)
		x->present += have[i] == HAVE_PRESENT;
	return RC_OK;
}

static int
on_ack(void *arg, uint64_t received, uint64_t durable)
{
	struct fix *x = arg;

	x->received = received;
	x->durable = durable;
	/* Coming back in is refused. */
	assert_int_equal(remote_poll(x->r, 0, -1), RC_STATE);
	return RC_OK;
}

static int
setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	fake_keys(&x->k);
	fake_init(&x->f, &x->k);
	x->s = sealer_new(&x->k);
	assert_non_null(x->s);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	remote_close(x->r);
	if (x->f.thread != NULL)
		fake_stop(&x->f);
	fake_clear(&x->f);
	sealer_free(x->s);
	keys_clear(&x->k);
	free(x);
	return 0;
}

static int
say_hello(struct fix *x)
{
	struct remote_events ev = { .arg = x, .object = on_object,
	    .have = on_have, .ack = on_ack };

	fake_start(&x->f, &x->k, &x->l);
	return remote_open(&x->r, x->l, x->f.fp, &ev);
}

static void
log_in(struct fix *x)
{
	struct auth_ok ok;

	assert_int_equal(say_hello(x), RC_OK);
	assert_int_equal(remote_login(x->r, &x->k, &ok), RC_OK);
	assert_int_equal(ok.rights, 3);
}

/* Objects of n bytes each, kept by the server. */
static void
add_chunks(struct fix *x, size_t count, size_t n, struct object_id *ids)
{
	uint8_t *plain = malloc(n), *wire = malloc(seal_room(n, 0));
	size_t i, j, len;

	assert_true(plain != NULL && wire != NULL);
	for (i = 0; i < count; i++) {
		for (j = 0; j < n; j++)
			plain[j] = (uint8_t)(rand() >> 7);
		memcpy(plain, &i, n < sizeof(i) ? n : sizeof(i));
		seal_chunk_id(x->s, plain, n, &ids[i]);
		assert_int_equal(seal_object(x->s, OBJECT_CHUNK, 0, &ids[i],
		    NULL, 0, plain, n, wire, &len), RC_OK);
		fake_add(&x->f, &ids[i], wire, len);
	}
	free(plain);
	free(wire);
}

static void
hello_and_log_in_work(void **state)
{
	struct fix *x = *state;

	log_in(x);
	assert_string_equal(remote_error(x->r), "");
	assert_string_equal(remote_hello(x->r)->id, "fake");
	remote_close(x->r);
	x->r = NULL;
	fake_stop(&x->f);
	x->f.thread = NULL;
	assert_true(x->f.bye);
}

static void
another_identity_key_is_refused(void **state)
{
	struct fix *x = *state;

	x->f.bad.wrong_identity = true;
	assert_int_equal(say_hello(x), RC_PIN);
	assert_non_null(strstr(remote_error(x->r), "enrol"));
}

static void
clear_text_needs_a_signed_hello(void **state)
{
	struct fix *x = *state;

	x->f.bad.clear = true;
	x->f.bad.no_sign = true;
	assert_int_equal(say_hello(x), RC_AUTH);
}

static void
clear_text_with_a_wrong_signature_is_refused(void **state)
{
	struct fix *x = *state;

	x->f.bad.clear = true;
	x->f.bad.bad_sign = true;
	assert_int_equal(say_hello(x), RC_AUTH);
}

static void
clear_text_with_the_right_signature_passes(void **state)
{
	struct fix *x = *state;
	struct enrol_ok ok;
	struct token t = { .port = 1 };

	x->f.bad.clear = true;
	assert_int_equal(say_hello(x), RC_OK);
	/* ... but no token goes over it. */
	assert_int_equal(remote_enrol(x->r, &t, x->k.identity_pub, &ok),
	    RC_DENIED);
}

static void
an_error_frame_tells_its_code_and_text(void **state)
{
	struct fix *x = *state;
	struct wbuf body = WBUF_INIT(512);
	struct auth_ok ok;

	proto_err_put(&body, PROTO_ERR_AUTH, "who\x1b[31m are you?");
	x->f.bad.answer_to = PROTO_AUTH;
	x->f.bad.answer_type = PROTO_ERROR;
	x->f.bad.payload = body.data;
	x->f.bad.payload_len = body.len;
	assert_int_equal(say_hello(x), RC_OK);
	assert_int_equal(remote_login(x->r, &x->k, &ok),
	    proto_error_rc(PROTO_ERR_AUTH));
	assert_int_equal(remote_error_code(x->r), PROTO_ERR_AUTH);
	assert_non_null(strstr(remote_error(x->r), "who?[31m are you?"));
	wbuf_free(&body);
}

static void
an_answer_of_another_kind_ends_the_connection(void **state)
{
	struct fix *x = *state;
	struct auth_ok ok;

	x->f.bad.answer_to = PROTO_AUTH;
	x->f.bad.answer_type = PROTO_HAVE_OK;
	assert_int_equal(say_hello(x), RC_OK);
	assert_int_equal(remote_login(x->r, &x->k, &ok), RC_PROTO);
	assert_int_equal(remote_poll(x->r, 0, -1), RC_PROTO);
}

static void
an_answer_with_another_number_ends_the_connection(void **state)
{
	struct fix *x = *state;

	x->f.bad.number_off = 5;
	assert_int_equal(say_hello(x), RC_PROTO);
	assert_non_null(strstr(remote_error(x->r), "not asked"));
}

static void
too_little_credit_is_refused(void **state)
{
	struct fix *x = *state;
	struct auth_ok ok;

	x->f.bad.credit_put = 100;
	assert_int_equal(say_hello(x), RC_OK);
	assert_int_equal(remote_login(x->r, &x->k, &ok), RC_UNSUPPORTED);
}

static void
objects_come_for_every_id_once(void **state)
{
	struct fix *x = *state;
	struct object_id ids[600];
	uint32_t request;
	size_t i;

	add_chunks(x, 500, 3000, ids);
	for (i = 500; i < 600; i++)
		memset(&ids[i], (int)i, sizeof(ids[i]));
	log_in(x);
	for (i = 0; i < 600; i += 100)
		assert_int_equal(remote_get(x->r, ids + i, 100, 0, &request),
		    RC_OK);
	while (remote_outstanding(x->r))
		assert_int_equal(remote_poll(x->r, -1, -1), RC_OK);
	assert_int_equal(x->got, 500);
	assert_int_equal(x->gone, 100);
}

static void
a_damaged_object_is_told_and_the_rest_comes(void **state)
{
	struct fix *x = *state;
	struct object_id ids[20];
	struct fake_object *o;
	size_t i;

	add_chunks(x, 20, 100000, ids);
	log_in(x);
	for (i = 0; i < 3; i++) {
		o = fake_find(&x->f, &ids[i]);
		/* the body, the id itself, the version */
		o->wire[i == 0 ? 5000 : i == 1 ? 24 : 0] ^= 0x40;
	}
	assert_int_equal(remote_get(x->r, ids, 20, 0, NULL), RC_OK);
	while (remote_outstanding(x->r))
		assert_int_equal(remote_poll(x->r, -1, -1), RC_OK);
	assert_int_equal(x->got, 17);
	assert_int_equal(x->damaged, 3);
	assert_int_equal(x->gone, 0);
}

static void
an_object_that_was_not_asked_for_is_refused(void **state)
{
	struct fix *x = *state;
	struct object_id ids[2];

	add_chunks(x, 2, 1000, ids);
	log_in(x);
	x->f.bad.swap_objects = true;
	assert_int_equal(remote_get(x->r, ids, 1, 0, NULL), RC_OK);
	assert_int_equal(remote_poll(x->r, 5000, -1), RC_PROTO);
	assert_int_equal(x->got, 0);
}

static void
a_callback_that_fails_ends_the_connection(void **state)
{
	struct fix *x = *state;
	struct object_id ids[2];

	add_chunks(x, 2, 1000, ids);
	log_in(x);
	x->answer = RC_CANCELLED;
	assert_int_equal(remote_get(x->r, ids, 2, 0, NULL), RC_OK);
	while (remote_poll(x->r, 5000, -1) == RC_OK)
		;
	assert_int_equal(remote_poll(x->r, 0, -1), RC_CANCELLED);
	assert_int_equal(x->got, 1);
}

static void
puts_stay_within_their_credit(void **state)
{
	const uint32_t credit = 6u << 20;
	struct fix *x = *state;
	struct object_id id;
	uint8_t *plain, *wire;
	size_t i, len, n = 300000;
	struct ack a;

	plain = calloc(1, n);
	wire = malloc(seal_room(n, 0));
	assert_true(plain != NULL && wire != NULL);
	x->f.bad.credit_put = credit;
	x->f.bad.hold_acks = true;
	log_in(x);
	for (i = 0; i < 100; i++) {
		for (len = 0; len < n; len++)
			plain[len] = (uint8_t)(rand() >> 5);
		seal_chunk_id(x->s, plain, n, &id);
		assert_int_equal(seal_object(x->s, OBJECT_CHUNK, 0, &id, NULL,
		    0, plain, n, wire, &len), RC_OK);
		assert_int_equal(remote_put(x->r, wire, len), RC_OK);
	}
	assert_int_equal(remote_flush(x->r, true, &a), RC_OK);
	assert_int_equal(a.received, 100);
	assert_int_equal(a.durable, 100);
	assert_int_equal(x->received, 100);
	assert_true(x->f.put_unacked_max > credit / 8);
	assert_true(x->f.put_unacked_max <= credit);
	assert_int_equal(x->f.puts, 100);
	free(plain);
	free(wire);
}

static void
haves_are_answered_in_their_order(void **state)
{
	struct fix *x = *state;
	struct object_id ids[1024];
	size_t i;

	memset(ids, 3, sizeof(ids));
	add_chunks(x, 100, 50, ids);
	x->f.bad.credit_have = 2048;
	log_in(x);
	for (i = 0; i < 10; i++)
		assert_int_equal(remote_have(x->r, i, ids, 1024), RC_OK);
	while (x->haves < 10240)
		assert_int_equal(remote_poll(x->r, -1, -1), RC_OK);
	assert_int_equal(x->present, 1000);
}

static void
a_short_answer_to_have_is_refused(void **state)
{
	struct fix *x = *state;
	uint8_t have[3] = { 0 };
	struct object_id ids[4] = { 0 };
	struct wbuf body = WBUF_INIT(64);

	have_ok_put(&body, have, 3);
	x->f.bad.answer_to = PROTO_HAVE;
	x->f.bad.answer_type = PROTO_HAVE_OK;
	x->f.bad.payload = body.data;
	x->f.bad.payload_len = body.len;
	log_in(x);
	assert_int_equal(remote_have(x->r, 0, ids, 4), RC_OK);
	assert_int_equal(remote_poll(x->r, 5000, -1), RC_PROTO);
	wbuf_free(&body);
}

static void
make_snapshot(struct fix *x, struct wbuf *out)
{
	struct snapshot_client s = { .edge_count = 1, .sequence = 1,
	    .label = "home" };
	uint8_t sealed[40] = { 1 };
	size_t aad;

	memcpy(s.vault, x->k.vault, 16);
	s.sealed = sealed;
	s.sealed_len = sizeof(sealed);
	snapshot_put_client(out, &s, &aad);
	wbuf_zeros(out, ED25519_SIG_LEN);
}

static void
a_commit_counts_only_with_its_receipt(void **state)
{
	struct fix *x = *state;
	struct wbuf snap = WBUF_INIT(SNAPSHOT_CLIENT_MAX);
	struct object_id missing[PROTO_IDS_MAX];
	struct snapshot_server server;
	size_t n;

	make_snapshot(x, &snap);
	log_in(x);
	assert_int_equal(remote_commit(x->r, snap.data, snap.len, &server,
	    missing, &n), RC_OK);
	assert_int_equal(server.vault_seq, 1);
	x->f.bad.bad_receipt = true;
	assert_int_equal(remote_commit(x->r, snap.data, snap.len, &server,
	    missing, &n), RC_CRYPTO);
	wbuf_free(&snap);
}

static int
count_finding(void *arg, const struct finding *f)
{
	assert_int_equal(f->kind, FINDING_COPY);
	assert_string_equal(f->text, "footer");
	++*(int *)arg;
	return RC_OK;
}

static void
findings_and_walks_come_to_their_end(void **state)
{
	struct fix *x = *state;
	struct object_id ids[2];
	struct verify_end end;
	int n = 0;

	add_chunks(x, 2, 100, ids);
	log_in(x);
	assert_int_equal(remote_verify(x->r, 100, count_finding, &n, &end),
	    RC_OK);
	assert_int_equal(n, 1);
	assert_int_equal(end.objects, 2);
	assert_int_equal(remote_walk(x->r, &ids[1], PROTO_WALK_NODES), RC_OK);
	assert_int_equal(x->got, 2);
	assert_memory_equal(&x->last, &ids[1], 32);
	assert_int_equal(remote_bad(x->r, &ids[0], 0), RC_OK);
}

static void
the_end_of_the_server_is_an_end_with_advice(void **state)
{
	struct fix *x = *state;
	struct object_id ids[100];

	add_chunks(x, 100, 1000, ids);
	x->f.bad.close_after = 3;
	log_in(x);
	assert_int_equal(remote_get(x->r, ids, 100, 0, NULL), RC_OK);
	(void)remote_get(x->r, ids, 100, 0, NULL);
	while (remote_poll(x->r, 5000, -1) == RC_OK)
		;
	assert_int_equal(remote_poll(x->r, 0, -1), RC_EOF);
	assert_non_null(strstr(remote_error(x->r), "again"));
}

static void
a_report_goes_where_it_was_asked_for_and_behind_what_is_under_way(void **state)
{
	struct fix *x = *state;
	struct report rep = { .run = { 9 }, .outcome = REPORT_CANCELLED,
	    .files = 7 };
	struct object_id id;

	x->f.features = PROTO_FEATURE_REPORT;
	add_chunks(x, 1, 3 << 20, &id);
	log_in(x);
	assert_int_equal(remote_put(x->r, x->f.obj[0].wire,
	    x->f.obj[0].len), RC_OK);
	remote_report(x->r, &rep);
	remote_close(x->r);
	x->r = NULL;
	fake_stop(&x->f);
	assert_int_equal(x->f.puts, 1);
	assert_int_equal(x->f.reports, 1);
	assert_int_equal(x->f.report.outcome, REPORT_CANCELLED);
	assert_int_equal(x->f.report.files, 7);
	assert_true(x->f.bye);
}

static void
a_server_that_did_not_ask_gets_no_report(void **state)
{
	struct fix *x = *state;
	struct report rep = { .outcome = REPORT_OK };

	log_in(x);
	remote_report(x->r, &rep);
	remote_close(x->r);
	x->r = NULL;
	fake_stop(&x->f);
	assert_int_equal(x->f.reports, 0);
	assert_true(x->f.bye);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(hello_and_log_in_work),
		T(another_identity_key_is_refused),
		T(clear_text_needs_a_signed_hello),
		T(clear_text_with_a_wrong_signature_is_refused),
		T(clear_text_with_the_right_signature_passes),
		T(an_error_frame_tells_its_code_and_text),
		T(an_answer_of_another_kind_ends_the_connection),
		T(an_answer_with_another_number_ends_the_connection),
		T(too_little_credit_is_refused),
		T(objects_come_for_every_id_once),
		T(a_damaged_object_is_told_and_the_rest_comes),
		T(an_object_that_was_not_asked_for_is_refused),
		T(a_callback_that_fails_ends_the_connection),
		T(puts_stay_within_their_credit),
		T(haves_are_answered_in_their_order),
		T(a_short_answer_to_have_is_refused),
		T(a_commit_counts_only_with_its_receipt),
		T(findings_and_walks_come_to_their_end),
		T(the_end_of_the_server_is_an_end_with_advice),
		T(a_report_goes_where_it_was_asked_for_and_behind_what_is_under_way),
		T(a_server_that_did_not_ask_gets_no_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
