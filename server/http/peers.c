#include "config.h"

#include <string.h>

#include "common/io.h"
#include "common/rc.h"
#include "server/discovery/peerjson.h"
#include "server/http/api.h"
#include "server/http/catask.h"

/*
 * What other installations call (doc/DISCOVERY.md, "Exchange over 32005"): who we
 * are, a nonce, the proof of who calls, then exchange and probes.  Only over TLS,
 * since the proof covers the connection's exporter; the gate refuses clear text
 * on 32005, and the control socket is refused here.
 */
static int
needs_tls(struct api *a)
{
	if (a->conn.tls != NULL)
		return 0;
	return api_fail(a, 403, "another installation calls over TLS only");
}

static int
malformed(struct api *a, int rc)
{
	return api_fail(a, 400, "the body is not what is taken here: %s",
	    rc_str(rc));
}

/* How often others may expect to hear of us. */
static uint16_t
interval_of(const struct conf *c)
{
	uint32_t s = c->exchange_interval;

	if (c->mcast_enabled && c->mcast_interval < s)
		s = c->mcast_interval;
	if (c->scan_enabled && c->scan_interval < s)
		s = c->scan_interval;
	return (uint16_t)(s < 1 ? 1 : s > UINT16_MAX ? UINT16_MAX : s);
}

int
api_peer_self(struct api *a)
{
	const struct conf *c = &a->conf;
	struct peer_info me = { .mode = c->mode, .port_gui = c->port_gui };
	int status;

	if ((status = needs_tls(a)) != 0)
		return status;
	memcpy(me.identity, a->key.identity, sizeof(me.identity));
	memcpy(me.pin, a->key.pin, sizeof(me.pin));
	memcpy(me.id, c->id, sizeof(me.id));
	me.id[PEER_ID_MAX] = '\0';
	if (conf_serves(c)) {
		me.port_server = c->port_server;
		me.port_ssl = c->ssl_enabled ? c->port_ssl : 0;
	}
	me.interval = interval_of(c);
	me.sent_ns = io_wall_ns();
	peerjson_put_info(&a->json, &me);
	json_put_hex(&a->json, "binding", a->key.binding,
	    sizeof(a->key.binding));
	return 200;
}

int
api_peer_nonce(struct api *a)
{
	uint8_t nonce[32];
	struct msg m;
	int rc, status;

	if ((status = needs_tls(a)) != 0)
		return status;
	if ((rc = chan_send(a->auth, MSG_AUTH_NONCE, NULL, -1)) != RC_OK ||
	    (rc = chan_expect(a->auth, MSG_AUTH_NONCE_OK, &m,
	    API_HELPER_MS)) != RC_OK ||
	    (rc = rbuf_bytes(&m.body, nonce, sizeof(nonce))) != RC_OK ||
	    (rc = rbuf_end(&m.body)) != RC_OK)
		return api_fail(a, 503, "the auth process did not answer (%s); "
		    "see the log", rc_str(rc));
	json_put_hex(&a->json, "nonce", nonce, sizeof(nonce));
	return 200;
}

int
api_peer_session(struct api *a)
{
	uint8_t identity[ED25519_LEN], exporter[32], sig[ED25519_SIG_LEN];
	struct wbuf body = WBUF_INIT(128);
	struct api_user u = { 0 };
	const struct json_value *root;
	int rc, status;

	if ((status = needs_tls(a)) != 0)
		return status;
	if (a->right != RIGHT_NONE)
		return api_fail(a, 421, "this connection is somebody's: open a "
		    "new one");
	if (a->doc == NULL)
		return api_fail(a, 400, "a body is needed");
	root = json_root(a->doc);
	if ((rc = peerjson_get_hex(a->doc, root, "identity", identity,
	    sizeof(identity))) != RC_OK ||
	    (rc = peerjson_get_hex(a->doc, root, "signature", sig,
	    sizeof(sig))) != RC_OK)
		return malformed(a, rc);
	if (tls_exporter(a->conn.tls, exporter) != RC_OK)
		return api_fail(a, 500, "TLS gave no exporter");
	wbuf_bytes(&body, identity, sizeof(identity));
	wbuf_bytes(&body, exporter, sizeof(exporter));
	wbuf_bytes(&body, sig, sizeof(sig));
	status = api_ask_user(a, MSG_AUTH_PEER, &body, &u);
	wbuf_free(&body);
	return status == 200 ? api_hold(a, &u) : status;
}

/* --- exchange --- */

static int
put_entry(struct api *a, void *arg, uint8_t kind, struct rbuf *in)
{
	struct peer_entry e;
	int rc;

	(void)arg;
	if (kind != CAT_ROW_ENTRY)
		return RC_PROTO;
	if ((rc = peer_info_get(in, &e.info)) != RC_OK ||
	    (rc = addr_get(in, &e.addr)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	peerjson_put_entry(&a->json, &e);
	return RC_OK;
}

/* Whoever called may speak for itself alone: that its identity is the one it
 * proved is looked at by the catalog, which has it from auth. */
static int
read_exchange(struct api *a, struct wbuf *args)
{
	static struct peer_entry e[TASK_ENTRIES_MAX];
	const struct json_value *root = json_root(a->doc);
	struct peer_info self;
	size_t n;
	int rc;

	if ((rc = peerjson_get_info(a->doc, json_get(a->doc, root, "self"),
	    &self)) != RC_OK ||
	    (rc = peerjson_get_entries(a->doc, root, "peers", e,
	    TASK_ENTRIES_MAX, &n)) != RC_OK)
		return rc;
	peer_info_put(args, &self);
	wbuf_u16(args, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		peer_info_put(args, &e[i].info);
		addr_put(args, &e[i].addr);
	}
	return wbuf_rc(args);
}

int
api_peer_exchange(struct api *a)
{
	struct wbuf args = WBUF_INIT(32768);
	int rc, status;

	if ((status = needs_tls(a)) != 0)
		return status;
	if (!a->conf.exchange_enabled)
		return api_fail(a, 403, "Discovery.TCP is off here");
	if (a->doc == NULL)
		return api_fail(a, 400, "a body is needed");
	if ((rc = read_exchange(a, &args)) == RC_OK) {
		json_array(&a->json, "peers");
		status = cat_ask(a, CAT_OP_EXCHANGE, &args, put_entry, NULL);
		json_end_array(&a->json);
	} else {
		status = malformed(a, rc);
	}
	wbuf_free(&args);
	return status;
}

/* --- probe --- */

static int
put_reach(struct api *a, void *arg, uint8_t kind, struct rbuf *in)
{
	struct peer_reach r;
	int rc;

	(void)arg;
	if (kind != CAT_ROW_REACH)
		return RC_PROTO;
	if ((rc = rbuf_u16(in, &r.port)) != RC_OK ||
	    (rc = rbuf_u8(in, &r.code)) != RC_OK ||
	    (rc = rbuf_u32(in, &r.ms)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	peerjson_put_reach(&a->json, &r);
	return RC_OK;
}

int
api_peer_probe(struct api *a)
{
	struct wbuf args = WBUF_INIT(16);
	uint16_t ports[TASK_PORTS_MAX];
	size_t n;
	int rc, status;

	if ((status = needs_tls(a)) != 0)
		return status;
	if (a->doc == NULL)
		return api_fail(a, 400, "a body is needed");
	if ((rc = peerjson_get_ports(a->doc, json_root(a->doc), "ports", ports,
	    &n)) != RC_OK)
		return malformed(a, rc);
	wbuf_u8(&args, (uint8_t)n);
	for (size_t i = 0; i < n; i++)
		wbuf_u16(&args, ports[i]);
	json_array(&a->json, "ports");
	status = cat_ask(a, CAT_OP_PROBE, &args, put_reach, NULL);
	json_end_array(&a->json);
	wbuf_free(&args);
	return status;
}
