#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc.h"
#include "server/catalog/dial.h"
#include "tests/unit/catalog_help.h"

struct bench {
	struct place	place;
	struct catalog	c;
	struct peers	t;
	struct dialer	d;
	/* the last DIAL */
	unsigned	dials;
	uint32_t	number;
	uint8_t		how;
	struct addr	addr;
	uint16_t	port_gui;
	uint8_t		identity[ED25519_LEN];
	int		done;
};

static int
take_dial(void *arg, struct wbuf *body)
{
	struct bench *b = arg;
	struct rbuf in;
	uint8_t purpose;

	b->dials++;
	rbuf_init(&in, body->data, body->len);
	assert_int_equal(rbuf_u32(&in, &b->number), RC_OK);
	assert_int_equal(rbuf_u8(&in, &purpose), RC_OK);
	assert_int_equal(rbuf_u8(&in, &b->how), RC_OK);
	assert_int_equal(addr_get(&in, &b->addr), RC_OK);
	assert_int_equal(rbuf_u16(&in, &b->port_gui), RC_OK);
	assert_int_equal(rbuf_bytes(&in, b->identity, ED25519_LEN), RC_OK);
	assert_int_equal(rbuf_skip(&in, 32), RC_OK);
	assert_int_equal(rbuf_end(&in), RC_OK);
	return RC_OK;
}

static void
take_done(void *arg, const struct dial *d, int rc, struct rbuf *more)
{
	(void)d;
	(void)more;
	((struct bench *)arg)->done = rc;
}

static void
begin(struct bench *b)
{
	struct conf conf = { .mode = CONF_MODE_BOTH, .port_server = 32004,
	    .port_gui = 32005, .exchange_enabled = true, .mcast_interval = 60,
	    .mcast_enabled = true, .exchange_interval = 300,
	    .exchange_max = 60 };
	struct peer_info me = help_info(0xffffffff, "me");

	strcpy(conf.id, "me");
	memset(&b->t, 0, sizeof(b->t));
	assert_int_equal(peers_load(&b->t, &b->c), RC_OK);
	memcpy(b->t.self.identity, me.identity, ED25519_LEN);
	peers_conf(&b->t, &conf);
	dialer_init(&b->d, &b->t);
	dialer_conf(&b->d, &conf);
	b->d.send = take_dial;
	b->d.done = take_done;
	b->d.arg = b;
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	place_make(&b->place);
	assert_int_equal(cat_open(&b->c, b->place.path, NOW), RC_OK);
	begin(b);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	peers_free(&b->t);
	cat_close(&b->c);
	place_clear(&b->place);
	free(b);
	return 0;
}

static int
met(struct bench *b, uint8_t how, const char *addr, uint32_t number,
    const char *id)
{
	struct peer_info info = help_info(number, id);
	struct addr a = help_addr(addr, 40000);

	return peers_met(&b->t, how, &a, &info, NULL);
}

static int
heard(struct bench *b, const char *addr, uint32_t number, const char *id)
{
	struct peer_info info = help_info(number, id);
	struct addr a = help_addr(addr, 32005);

	return peers_heard(&b->t, &a, &info);
}

static struct peer *
get(struct bench *b, uint32_t number)
{
	struct peer_info info = help_info(number, "x");

	return peers_by_identity(&b->t, info.identity);
}

/* The master says that the peer process of the last dial has come. */
static void
peer_comes(struct bench *b)
{
	struct wbuf out = WBUF_INIT(65536);

	assert_int_equal(dial_task(&b->d, b->number, &out), RC_OK);
	assert_int_equal(out.data[0], DIAL_EXCHANGE);
	wbuf_free(&out);
}

static int
peer_says(struct bench *b, uint8_t how, const char *addr, uint32_t number,
    const char *id)
{
	struct peer_info info = help_info(number, id);
	struct addr a = help_addr(addr, 32005);
	struct wbuf body = WBUF_INIT(512);
	struct rbuf in;
	int rc;

	wbuf_u8(&body, how);
	addr_put(&body, &a);
	peer_info_put(&body, &info);
	rbuf_init(&in, body.data, body.len);
	rc = dial_seen(&b->d, b->number, &in);
	wbuf_free(&body);
	return rc;
}

static int
peer_ends(struct bench *b, int code, uint32_t number)
{
	struct peer_info info = help_info(number, "x");
	struct wbuf body = WBUF_INIT(512);
	struct rbuf in;
	int rc;

	wbuf_u8(&body, (uint8_t)-code);
	wbuf_str(&body, "");
	if (number == 0)
		wbuf_zeros(&body, 32);
	else
		wbuf_bytes(&body, info.identity, ED25519_LEN);
	wbuf_zeros(&body, 32);
	rbuf_init(&in, body.data, body.len);
	rc = dial_result(&b->d, b->number, &in);
	wbuf_free(&body);
	return rc;
}

static void
a_peer_is_up_then_silent_after_three_intervals(void **state)
{
	struct bench *b = *state;
	struct peer *p;

	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_OK);
	p = get(b, 1);
	assert_int_equal(peer_state(&b->t, p), PEER_STATE_UP);
	assert_int_equal(p->addr.port, 32005);
	/* a call just before it died makes it no livelier */
	b->c.now += 20;
	assert_int_equal(met(b, PEER_CALLED, "192.168.1.7", 1, "one"), RC_OK);
	b->c.now += 180;
	assert_int_equal(peer_state(&b->t, p), PEER_STATE_UP);
	b->c.now += 11;
	assert_int_equal(peer_state(&b->t, p), PEER_STATE_SILENT);
	assert_int_equal(peer_since(&b->t, p), NOW + 20);
	assert_int_equal(heard(b, "192.168.1.7", 1, "one"), RC_OK);
	assert_int_equal(peer_state(&b->t, p), PEER_STATE_SILENT);
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_OK);
	assert_int_equal(peer_state(&b->t, p), PEER_STATE_UP);
	assert_int_equal(peer_since(&b->t, p), NOW + 211);
}

static void
an_announced_interval_is_believed_up_to_an_hour(void **state)
{
	struct bench *b = *state;
	struct peer_info info = help_info(1, "one");
	struct addr a = help_addr("192.168.1.7", 1);

	info.interval = 65535;
	assert_int_equal(peers_met(&b->t, PEER_MCAST, &a, &info, NULL), RC_OK);
	b->c.now += 3 * 3600 + 11;
	assert_int_equal(peer_state(&b->t, get(b, 1)), PEER_STATE_SILENT);
}

static void
another_key_with_the_same_id_is_a_conflict_until_forget(void **state)
{
	struct bench *b = *state;

	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_OK);
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.8", 2, "one"), RC_OK);
	assert_false(get(b, 1)->conflict);
	assert_true(get(b, 2)->conflict);
	assert_false(peer_may_dial(get(b, 2)));
	assert_true(peer_may_dial(get(b, 1)));
	assert_int_equal(help_alerts(&b->c, ALERT_CONFLICT), 1);
	/* a restart knows it still */
	assert_int_equal(peers_flush(&b->t), RC_OK);
	peers_free(&b->t);
	begin(b);
	assert_true(get(b, 2)->conflict);
	/* out of the list is not forgotten */
	assert_int_equal(peers_rm(&b->t, get(b, 1)), RC_OK);
	assert_int_equal(peers_tick(&b->t), RC_OK);
	assert_true(get(b, 2)->conflict);
	assert_int_equal(peers_forget(&b->t, get(b, 1)), RC_OK);
	assert_false(get(b, 2)->conflict);
	assert_int_equal(help_alerts(&b->c, ALERT_CONFLICT), 0);
	assert_true(peer_may_dial(get(b, 2)));
}

static void
a_rumour_puts_nobody_real_in_conflict(void **state)
{
	struct bench *b = *state;

	assert_int_equal(heard(b, "10.1.2.3", 9, "one"), RC_OK);
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_OK);
	assert_false(get(b, 1)->conflict);
	assert_true(get(b, 9)->conflict);
}

static void
a_peer_by_hand_gets_its_key_at_first_contact(void **state)
{
	struct bench *b = *state;
	struct addr a = help_addr("203.0.113.5", 4005);
	struct peer *p;

	assert_int_equal(peers_add(&b->t, &a, "", "the other site", &p), RC_OK);
	assert_int_equal(peer_state(&b->t, p), PEER_STATE_NEVER);
	dialer_tick(&b->d);
	assert_int_equal(b->dials, 1);
	assert_int_equal(b->how, PEER_BY_HAND);
	assert_true(addr_equal(&b->addr, &a));
	for (size_t i = 0; i < ED25519_LEN; i++)
		assert_int_equal(b->identity[i], 0);
	peer_comes(b);
	assert_int_equal(peer_says(b, PEER_CALLED, "203.0.113.5", 3, "three"),
	    RC_OK);
	assert_int_equal(peer_ends(b, RC_OK, 3), RC_OK);
	assert_ptr_equal(get(b, 3), p);
	assert_int_equal(peer_state(&b->t, p), PEER_STATE_UP);
	assert_true(addr_equal(&p->addr, &a));
	assert_true(p->hand);
	/* the next one is due an interval later, give or take a tenth */
	b->c.now += 269;
	dialer_tick(&b->d);
	assert_int_equal(b->dials, 1);
	b->c.now += 62;
	dialer_tick(&b->d);
	assert_int_equal(b->dials, 2);
}

static void
a_given_fingerprint_is_insisted_on(void **state)
{
	struct bench *b = *state;
	struct addr a = help_addr("203.0.113.5", 4005);
	struct peer_info info = help_info(3, "three");
	char fp[PEER_FP_LEN + 1];
	struct peer *p;

	peer_fingerprint(info.identity, fp);
	assert_int_equal(peers_add(&b->t, &a, "abc", "", &p), RC_RANGE);
	assert_int_equal(peers_add(&b->t, &a, fp, "", &p), RC_OK);
	assert_true(p->compared);
	dialer_tick(&b->d);
	peer_comes(b);
	/* somebody else answers there */
	assert_int_equal(peer_says(b, PEER_CALLED, "203.0.113.5", 4, "three"),
	    RC_OK);
	assert_int_equal(peer_ends(b, RC_OK, 4), RC_OK);
	assert_false(peer_known(p));
	assert_true(get(b, 4)->conflict);
	assert_int_equal(help_alerts(&b->c, ALERT_CONFLICT), 1);
	b->c.now += 400;
	dialer_tick(&b->d);
	assert_int_equal(b->dials, 2);
	peer_comes(b);
	assert_int_equal(peer_says(b, PEER_CALLED, "203.0.113.5", 3, "three"),
	    RC_OK);
	assert_ptr_equal(get(b, 3), p);
}

static void
by_hand_and_by_multicast_are_one_peer(void **state)
{
	struct bench *b = *state;
	struct addr a = help_addr("192.168.1.7", 32005);
	struct peer *p;

	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_OK);
	a.port = 32105;
	assert_int_equal(peers_add(&b->t, &a, "", "mine", &p), RC_OK);
	assert_int_equal(b->t.n, 2);
	dialer_tick(&b->d);
	peer_comes(b);
	assert_int_equal(peer_says(b, PEER_CALLED, "192.168.1.7", 1, "one"),
	    RC_OK);
	assert_int_equal(peer_ends(b, RC_OK, 1), RC_OK);
	assert_int_equal(b->t.n, 1);
	assert_true(get(b, 1)->hand);
	assert_string_equal(get(b, 1)->label, "mine");
	assert_int_equal(get(b, 1)->dial, 0);
}

static void
a_changed_key_is_never_taken_silently(void **state)
{
	struct bench *b = *state;
	struct addr a = help_addr("10.0.0.9", 32005);
	struct peer *p;

	assert_int_equal(peers_add(&b->t, &a, "", "", &p), RC_OK);
	dialer_tick(&b->d);
	peer_comes(b);
	assert_int_equal(peer_says(b, PEER_CALLED, "10.0.0.9", 3, "three"),
	    RC_OK);
	assert_int_equal(peer_ends(b, RC_OK, 3), RC_OK);
	/* only TLS's key is seen to differ */
	b->c.now += 400;
	dialer_tick(&b->d);
	peer_comes(b);
	assert_int_equal(peer_ends(b, RC_PIN, 0), RC_OK);
	assert_true(p->pin_bad);
	assert_int_equal(help_alerts(&b->c, ALERT_CONFLICT), 1);
	/* and now another identity proves itself */
	b->c.now += 400;
	dialer_tick(&b->d);
	peer_comes(b);
	assert_int_equal(peer_says(b, PEER_CALLED, "10.0.0.9", 4, "three"),
	    RC_OK);
	assert_int_equal(peer_ends(b, RC_OK, 4), RC_OK);
	assert_ptr_equal(get(b, 3), p);
	assert_true(get(b, 4)->conflict);
	assert_int_equal(peers_forget(&b->t, p), RC_OK);
	assert_false(get(b, 4)->conflict);
	assert_int_equal(help_alerts(&b->c, ALERT_CONFLICT), 0);
}

static void
removed_is_hidden_until_met_again_not_until_heard_of(void **state)
{
	struct bench *b = *state;

	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_OK);
	assert_int_equal(peers_rm(&b->t, get(b, 1)), RC_OK);
	assert_true(get(b, 1)->hidden);
	assert_int_equal(heard(b, "192.168.1.7", 1, "one"), RC_OK);
	assert_true(get(b, 1)->hidden);
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_OK);
	assert_false(get(b, 1)->hidden);
}

static void
invented_identities_push_out_nobody_who_counts(void **state)
{
	struct bench *b = *state;
	struct addr a = help_addr("203.0.113.5", 32005);
	struct peer *hand;
	char id[32];

	assert_int_equal(peers_add(&b->t, &a, "", "", &hand), RC_OK);
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "old"), RC_OK);
	assert_int_equal(met(b, PEER_CALLED, "192.168.1.8", 2, "proven"),
	    RC_OK);
	b->c.now += 100000;
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.9", 3, "up"), RC_OK);
	for (uint32_t i = 0; i < 5000; i++) {
		snprintf(id, sizeof(id), "x%u", i);
		(void)met(b, PEER_MCAST, "192.168.1.66", 1000 + i, id);
		(void)heard(b, "10.0.0.1", 100000 + i, id);
		b->c.now += i % 8 == 0;
		if (i % 400 == 0)
			assert_int_equal(met(b, PEER_MCAST, "192.168.1.9", 3,
			    "up"), RC_OK);
	}
	assert_int_equal(b->t.n, PEERS_MAX);
	assert_ptr_equal(b->t.v[0], hand);
	assert_non_null(get(b, 2));
	assert_non_null(get(b, 3));
	/* the one that was silent, never proven, made room */
	assert_null(get(b, 1));
	/* once they are silent, one that is there is taken */
	b->c.now += 1000;
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.20", 7, "new"), RC_OK);
	assert_non_null(get(b, 7));
	assert_int_equal(b->t.n, PEERS_MAX);
}

static void
callers_with_keys_they_made_keep_no_place_for_good(void **state)
{
	struct bench *b = *state;
	struct addr a = help_addr("203.0.113.5", 32005);
	struct peer *hand;
	char id[32];

	for (uint32_t i = 0; i < PEERS_MAX; i++) {
		snprintf(id, sizeof(id), "x%u", i);
		assert_int_equal(met(b, PEER_CALLED, "192.168.1.66", 1000 + i,
		    id), RC_OK);
	}
	/* all are up: a person still finds room, others do not */
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_LIMIT);
	assert_int_equal(peers_add(&b->t, &a, "", "", &hand), RC_OK);
	assert_int_equal(b->t.n, PEERS_MAX);
	b->c.now += 31 * 86400;
	assert_int_equal(peers_tick(&b->t), RC_OK);
	assert_int_equal(b->t.n, 1);
	assert_ptr_equal(b->t.v[0], hand);
}

static void
a_whole_fingerprint_names_one_peer_whatever_others_call_themselves(
    void **state)
{
	struct bench *b = *state;
	char fp[PEER_FP_LEN + 1];
	struct peer *p;

	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_OK);
	peer_fp(get(b, 1), fp);
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.66", 2, fp), RC_OK);
	assert_int_equal(peers_find(&b->t, fp, &p), RC_OK);
	assert_ptr_equal(p, get(b, 1));
}

static void
rumours_are_bounded_and_pass(void **state)
{
	struct bench *b = *state;
	char id[32];

	for (uint32_t i = 1; i < 2000; i++) {
		snprintf(id, sizeof(id), "x%u", i);
		(void)heard(b, "10.0.0.1", i, id);
	}
	assert_int_equal(b->t.n, PEERS_RUMOURS);
	b->c.now += 2 * 86400;
	assert_int_equal(peers_tick(&b->t), RC_OK);
	assert_int_equal(b->t.n, 0);
}

/* Written anew, not asked of the code under test. */
static bool
is_neighbour(const struct addr *a)
{
	if (a->family == 4)
		return a->b[0] == 10 || (a->b[0] == 192 && a->b[1] == 168) ||
		    (a->b[0] == 172 && (a->b[1] & 0xf0) == 16);
	return a->family == 6 && (a->b[0] & 0xfe) == 0xfc;
}

static void
a_liar_never_makes_us_dial_outside_the_limits(void **state)
{
	static const char *const chosen[] = {
		"127.0.0.1", "127.255.255.254", "169.254.169.254",
		"169.254.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1",
		"255.255.255.255", "8.8.8.8", "172.32.0.1", "172.15.0.1",
		"192.167.1.1", "192.169.1.1", "::1", "::", "fe80::1",
		"febf::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1",
		"::ffff:169.254.169.254", "::ffff:8.8.8.8", "::127.0.0.1",
		"64:ff9b::7f00:1", "10.0.0.7", "192.168.3.4", "fd00::7",
		"172.16.9.9",
	};
	const size_t n_chosen = sizeof(chosen) / sizeof(chosen[0]);
	struct bench *b = *state;
	unsigned good = 0;
	char id[32];

	srand(4711);
	for (uint32_t i = 0; i < 1000 + n_chosen; i++) {
		struct peer_info info;
		struct addr a = { .family = i % 2 == 0 ? 4 : 6, .port = 22 };
		struct wbuf w = WBUF_INIT(64);
		struct rbuf in;

		snprintf(id, sizeof(id), "x%u", i);
		info = help_info(i + 1, id);
		info.port_gui = (uint16_t)(1 + rand() % 65535);
		for (size_t k = 0; k < (a.family == 4 ? 4u : 16u); k++)
			a.b[k] = (uint8_t)rand();
		/* some of them near the borders */
		if (i % 7 == 0)
			a.b[0] = a.family == 4 ? 127 : 0xfe;
		if (i % 11 == 0)
			a.b[0] = a.family == 4 ? 10 : 0xfd;
		if (i < n_chosen)
			a = help_addr(chosen[i], 22);
		/* the way that it comes: over a channel */
		addr_put(&w, &a);
		rbuf_init(&in, w.data, w.len);
		assert_int_equal(addr_get(&in, &a), RC_OK);
		wbuf_free(&w);
		if (peers_heard(&b->t, &a, &info) == RC_OK)
			good++;
		/* it is the peer itself that lies where it is */
		(void)peers_met(&b->t, PEER_CALLED, &a, &info, NULL);
		b->c.now += 30;
		for (unsigned k = 0; k < 6; k++) {
			unsigned before = b->dials;

			dialer_tick(&b->d);
			if (b->dials != before) {
				assert_true(is_neighbour(&b->addr));
				assert_int_equal(b->addr.port, b->port_gui);
				dial_end(&b->d, b->number, RC_REFUSED);
			}
			b->c.now += 2;
		}
	}
	assert_true(good > 50);
	assert_true(b->dials > 50);
}

static void
others_hear_of_those_we_met_and_of_no_rumours(void **state)
{
	struct bench *b = *state;
	struct peer_info caller = help_info(2, "two");
	struct peer *v[60];

	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_OK);
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.8", 2, "two"), RC_OK);
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.9", 3, "one"), RC_OK);
	assert_int_equal(met(b, PEER_MCAST, "169.254.1.9", 4, "four"), RC_OK);
	assert_int_equal(heard(b, "10.0.0.9", 5, "five"), RC_OK);
	assert_int_equal(peers_tell(&b->t, caller.identity, v, 60), 1);
	assert_ptr_equal(v[0], get(b, 1));
	b->c.now += 1000;
	assert_int_equal(peers_tell(&b->t, caller.identity, v, 60), 0);
}

static void
a_stranger_that_calls_from_outside_is_not_taken(void **state)
{
	struct bench *b = *state;

	assert_int_equal(met(b, PEER_CALLED, "203.0.113.9", 1, "one"),
	    RC_DENIED);
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_OK);
	assert_int_equal(met(b, PEER_CALLED, "203.0.113.9", 1, "one"), RC_OK);
	/* and is still dialled where it was */
	assert_int_equal(get(b, 1)->addr.b[0], 192);
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 0xffffffff, "me"),
	    RC_DENIED);
}

static void
with_exchange_off_nobody_is_dialled(void **state)
{
	struct bench *b = *state;
	struct addr a = help_addr("10.0.0.9", 32005);
	struct peer *p;

	b->d.enabled = false;
	assert_int_equal(met(b, PEER_MCAST, "192.168.1.7", 1, "one"), RC_OK);
	for (int i = 0; i < 100; i++) {
		b->c.now += 10;
		dialer_tick(&b->d);
	}
	assert_int_equal(b->dials, 0);
	/* but who is entered by hand, once */
	assert_int_equal(peers_add(&b->t, &a, "", "", &p), RC_OK);
	for (int i = 0; i < 100; i++) {
		dialer_tick(&b->d);
		dial_end(&b->d, b->number, RC_REFUSED);
		b->c.now += 10;
	}
	assert_int_equal(b->dials, 1);
}

static void
at_most_four_are_dialled_at_once_and_time_ends_a_dial(void **state)
{
	struct bench *b = *state;
	char id[32], addr[32];

	for (uint32_t i = 1; i <= 10; i++) {
		snprintf(id, sizeof(id), "x%u", i);
		snprintf(addr, sizeof(addr), "192.168.1.%u", i);
		assert_int_equal(met(b, PEER_MCAST, addr, i, id), RC_OK);
	}
	dialer_tick(&b->d);
	b->c.now += 10;
	dialer_tick(&b->d);
	dialer_tick(&b->d);
	assert_int_equal(b->dials, 4);
	b->c.now += DIAL_WAIT_S;
	dialer_tick(&b->d);
	assert_int_equal(b->dials, 8);
	/* a peer process that comes too late finds no task */
	b->number -= 7;
	{
		struct wbuf out = WBUF_INIT(65536);

		assert_int_equal(dial_task(&b->d, b->number, &out), RC_NOENT);
		wbuf_free(&out);
	}
}

static void
a_peer_process_may_say_only_its_part(void **state)
{
	struct bench *b = *state;
	struct addr a = help_addr("10.0.0.9", 32005);
	struct peer *p;
	char id[32];

	assert_int_equal(peers_add(&b->t, &a, "", "", &p), RC_OK);
	dialer_tick(&b->d);
	/* before its process has come, nothing */
	assert_int_equal(peer_ends(b, RC_OK, 1), RC_STATE);
	peer_comes(b);
	assert_int_equal(peer_says(b, PEER_EXCHANGE, "10.0.0.8", 2, "two"),
	    RC_STATE);
	assert_int_equal(peer_says(b, PEER_MCAST, "10.0.0.8", 2, "two"),
	    RC_STATE);
	assert_int_equal(peer_ends(b, RC_OK, 1), RC_RANGE);
	assert_int_equal(peer_says(b, PEER_CALLED, "10.0.0.9", 1, "one"),
	    RC_OK);
	assert_int_equal(peer_says(b, PEER_CALLED, "10.0.0.9", 9, "nine"),
	    RC_STATE);
	for (uint32_t i = 0; i < TASK_ENTRIES_MAX; i++) {
		snprintf(id, sizeof(id), "x%u", i);
		assert_int_equal(peer_says(b, PEER_EXCHANGE, "10.0.1.1",
		    100 + i, id), RC_OK);
	}
	assert_int_equal(peer_says(b, PEER_EXCHANGE, "10.0.1.1", 99, "y"),
	    RC_STATE);
	assert_int_equal(peer_ends(b, RC_OK, 1), RC_OK);
	assert_int_equal(peer_ends(b, RC_OK, 1), RC_STATE);
	assert_int_equal(b->t.n, 1 + TASK_ENTRIES_MAX);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_peer_is_up_then_silent_after_three_intervals),
		T(an_announced_interval_is_believed_up_to_an_hour),
		T(another_key_with_the_same_id_is_a_conflict_until_forget),
		T(a_rumour_puts_nobody_real_in_conflict),
		T(a_peer_by_hand_gets_its_key_at_first_contact),
		T(a_given_fingerprint_is_insisted_on),
		T(by_hand_and_by_multicast_are_one_peer),
		T(a_changed_key_is_never_taken_silently),
		T(removed_is_hidden_until_met_again_not_until_heard_of),
		T(invented_identities_push_out_nobody_who_counts),
		T(callers_with_keys_they_made_keep_no_place_for_good),
		T(a_whole_fingerprint_names_one_peer_whatever_others_call_themselves),
		T(rumours_are_bounded_and_pass),
		T(a_liar_never_makes_us_dial_outside_the_limits),
		T(others_hear_of_those_we_met_and_of_no_rumours),
		T(a_stranger_that_calls_from_outside_is_not_taken),
		T(with_exchange_off_nobody_is_dialled),
		T(at_most_four_are_dialled_at_once_and_time_ends_a_dial),
		T(a_peer_process_may_say_only_its_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
