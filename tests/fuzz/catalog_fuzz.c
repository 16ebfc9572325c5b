#include "config.h"

#include <string.h>

#include "common/log.h"
#include "common/rc.h"
#include "server/catalog/asker.h"
#include "server/catalog/history.h"
#include "tests/fuzz/fuzz.h"

/*
 * What processes with less trust than the catalog may tell and ask it: kind u8,
 * length u16, bytes; again and again.  Kind: low 4 bits what it is, high 4 bits
 * the right of a query.  Whatever comes, the chain of the audit log is whole and
 * nobody is dialled but neighbours and who was entered by hand.
 */
#define NOW 1700000000

enum { K_QUERY, K_MET, K_HEARD, K_TOLD, K_PEER_END, K_DIAL_END, K_NOTE, K_AUDIT,
	K_RUN, K_SNAPSHOT, K_REPORT, K_SPACE, K_TIME, K_MAX };

struct world {
	struct catalog	c;
	struct peers	peers;
	struct dialer	d;
	struct office	o;
	struct asker	a;
	uint32_t	number;
};

static bool
is_neighbour(const struct addr *a)
{
	if (a->family == 4)
		return a->b[0] == 10 || (a->b[0] == 192 && a->b[1] == 168) ||
		    (a->b[0] == 172 && (a->b[1] & 0xf0) == 16);
	return a->family == 6 && (a->b[0] & 0xfe) == 0xfc;
}

static int
take_dial(void *arg, struct wbuf *body)
{
	struct world *w = arg;
	uint8_t purpose, how;
	struct addr addr;
	uint16_t port;
	struct rbuf in;

	rbuf_init(&in, body->data, body->len);
	MUST(rbuf_u32(&in, &w->number) == RC_OK);
	MUST(rbuf_u8(&in, &purpose) == RC_OK && rbuf_u8(&in, &how) == RC_OK);
	MUST(addr_get(&in, &addr) == RC_OK && rbuf_u16(&in, &port) == RC_OK);
	MUST(rbuf_skip(&in, 64) == RC_OK && rbuf_end(&in) == RC_OK);
	if (purpose != DIAL_PROBE && how != PEER_BY_HAND && how != PEER_MCAST)
		MUST(is_neighbour(&addr) && addr.port == port);
	if (how == PEER_MCAST)
		MUST(addr.b[0] != 127 && addr.port == port);
	return RC_OK;
}

static void
take_done(void *arg, const struct dial *d, int rc, struct rbuf *more)
{
	struct world *w = arg;

	if (w->a.number == d->asker)
		(void)asker_dialed(&w->a, d, rc, more);
}

static int
take_answer(void *arg, enum msg_type type, const struct wbuf *body)
{
	(void)arg;
	MUST(body->len <= (type == MSG_CAT_ROW ? 4096u : 1024u));
	return RC_OK;
}

static bool
never_full(void *arg)
{
	(void)arg;
	return false;
}

static void
discover(void *arg)
{
	(void)arg;
}

static void
quiet(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static void
begin(struct world *w)
{
	struct conf conf = { .mode = CONF_MODE_BOTH, .port_server = 32004,
	    .port_gui = 32005, .exchange_enabled = true, .mcast_interval = 60,
	    .exchange_interval = 300, .exchange_max = 60 };

	log_set_sink(quiet, NULL);
	memset(w, 0, sizeof(*w));
	strcpy(conf.id, "me");
	MUST(cat_open(&w->c, ":memory:", NOW) == RC_OK);
	MUST(peers_load(&w->peers, &w->c) == RC_OK);
	memset(w->peers.self.identity, 0xee, ED25519_LEN);
	peers_conf(&w->peers, &conf);
	dialer_init(&w->d, &w->peers);
	dialer_conf(&w->d, &conf);
	w->d.send = take_dial;
	w->d.done = take_done;
	w->d.arg = w;
	w->o = (struct office){ .c = &w->c, .peers = &w->peers,
	    .dialer = &w->d, .discover = discover };
	asker_init(&w->a, &w->o);
	w->a.send = take_answer;
	w->a.full = never_full;
}

/* A worker of its own for each query that is not waiting. */
static void
ask(struct world *w, uint8_t right, struct rbuf *in)
{
	struct asker *a = &w->a;

	if (a->state != ASKER_IDLE)
		asker_clear(a);
	a->right = right % RIGHT_MAX;
	memset(a->identity, a->right == RIGHT_PEER ? 0x61 : 0, ED25519_LEN);
	a->addr = (struct addr){ 4, { 192, 168, 1, 7 }, 40000 };
	strcpy(a->user, right & 8 ? "local" : "anna");
	if (asker_query(a, in) != RC_OK) {
		asker_clear(a);
		return;
	}
	for (int i = 0; i < 100 && asker_go(a) == RC_AGAIN; i++)
		;
}

static void
one(struct world *w, uint8_t kind, struct rbuf *in)
{
	static const uint8_t vault[16] = { 1 }, client[16] = { 2 };
	struct wbuf task = WBUF_INIT(65536);
	struct feed_snapshot snap;
	struct client_row row;
	struct audit_entry e;
	struct feed_space sp;
	struct report report;
	struct feed_run run;
	struct seen s;
	uint8_t what;

	switch ((kind & 0x0f) % K_MAX) {
	case K_QUERY:
		ask(w, kind >> 4, in);
		break;
	case K_MET:
		if (seen_get(in, &s) == RC_OK)
			(void)peers_met(&w->peers, PEER_MCAST, &s.addr, &s.info,
			    NULL);
		break;
	case K_HEARD:
		if (seen_get(in, &s) == RC_OK)
			(void)peers_heard(&w->peers, &s.addr, &s.info);
		break;
	case K_TOLD:
		(void)dial_task(&w->d, w->number, &task);
		(void)dial_seen(&w->d, w->number, in);
		break;
	case K_PEER_END:
		(void)dial_task(&w->d, w->number, &task);
		if (dial_result(&w->d, w->number, in) != RC_OK)
			dial_lost(&w->d, w->number);
		break;
	case K_DIAL_END:
		dial_end(&w->d, w->number, kind & 0x10 ? RC_OK : RC_TIMEOUT);
		break;
	case K_NOTE:
		if (client_note_get(in, &what, &row) == RC_OK)
			(void)(what == CLIENT_NOTE_GONE ?
			    client_gone(&w->c, &row) : client_put(&w->c, &row));
		break;
	case K_AUDIT:
		if (audit_get(in, &e) == RC_OK)
			MUST(audit_add(&w->c, &e) == RC_OK);
		break;
	case K_RUN:
		if (feed_run_get(in, &run) == RC_OK)
			(void)run_feed(&w->c, vault, &run);
		break;
	case K_SNAPSHOT:
		if (feed_snapshot_get(in, &snap) == RC_OK)
			(void)run_snapshot(&w->c, vault, &snap);
		break;
	case K_REPORT:
		if (report_parse(in, &report) == RC_OK)
			(void)run_report(&w->c, client, &report);
		break;
	case K_SPACE:
		if (feed_space_get(in, &sp) == RC_OK)
			MUST(space_feed(&w->c, vault, &sp) == RC_OK);
		break;
	default:
		w->c.now += 1 << (kind >> 4);
		w->c.ms += 1000u << (kind >> 4);
		dialer_tick(&w->d);
		(void)peers_tick(&w->peers);
		(void)clients_tick(&w->c);
		(void)asker_go(&w->a);
		break;
	}
	wbuf_free(&task);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct audit_walk walk = { 0 };
	struct rbuf in, sub;
	uint8_t kind;
	uint16_t len;
	int rc;

	begin(&w);
	rbuf_init(&in, data, size);
	while (rbuf_u8(&in, &kind) == RC_OK && rbuf_u16(&in, &len) == RC_OK) {
		if (len > rbuf_left(&in))
			len = (uint16_t)rbuf_left(&in);
		if (rbuf_sub(&in, &sub, len) != RC_OK)
			break;
		one(&w, kind, &sub);
	}
	while ((rc = audit_verify(&w.c, &walk)) == RC_AGAIN)
		;
	MUST(rc == RC_OK && walk.bad == 0);
	MUST(w.peers.n <= PEERS_MAX);
	asker_clear(&w.a);
	peers_free(&w.peers);
	cat_close(&w.c);
	return 0;
}
