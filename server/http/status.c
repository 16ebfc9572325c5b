#include "config.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/peerinfo.h"
#include "common/rc.h"
#include "server/http/catrows.h"
#include "server/http/status.h"

/*
 * Processes and ports, as the master tells them.  Processes come first, then
 * ports, then STATUS_END.
 */
#define STATUS_TIMEOUT_MS 10000

static int
put_proc(struct json *j, struct rbuf *in)
{
	static const uint8_t none[16];
	uint8_t role, vault[16];
	uint32_t pid, uid;
	uint64_t conn;
	int64_t started;
	int rc;

	if ((rc = rbuf_u8(in, &role)) != RC_OK ||
	    (rc = rbuf_u32(in, &pid)) != RC_OK ||
	    (rc = rbuf_u32(in, &uid)) != RC_OK ||
	    (rc = rbuf_i64(in, &started)) != RC_OK ||
	    (rc = rbuf_bytes(in, vault, sizeof(vault))) != RC_OK ||
	    (rc = rbuf_u64(in, &conn)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	json_object(j, NULL);
	json_put_str(j, "role", role_name((enum role)role));
	json_put_u64(j, "pid", pid);
	json_put_u64(j, "uid", uid);
	json_put_i64(j, "started", started);
	if (memcmp(vault, none, sizeof(vault)) != 0)
		json_put_hex(j, "vault", vault, sizeof(vault));
	if (conn != 0)
		json_put_u64(j, "connection", conn);
	json_end(j);
	return RC_OK;
}

static const char *
port_key(uint8_t kind)
{
	switch (kind) {
	case PORT_SERVER:	return "Ports.Server";
	case PORT_SSL:		return "Ports.SSLServer";
	case PORT_GUI:		return "Ports.GUI";
	case PORT_WEB:		return "Ports.Web";
	case PORT_WEBSSL:	return "Ports.WebSSL";
	case PORT_MCAST_REQ:
	case PORT_MCAST_ANS:	return "Ports.Multicast";
	case PORT_SCAN:		return "Ports.UDPScan";
	default:		return "control";
	}
}

static int
put_port(struct json *j, struct rbuf *in)
{
	uint8_t kind, family, addr[16], open, inherited;
	uint16_t port;
	char text[INET6_ADDRSTRLEN];
	int rc;

	if ((rc = rbuf_u8(in, &kind)) != RC_OK ||
	    (rc = rbuf_u8(in, &family)) != RC_OK ||
	    (rc = rbuf_bytes(in, addr, sizeof(addr))) != RC_OK ||
	    (rc = rbuf_u16(in, &port)) != RC_OK ||
	    (rc = rbuf_u8(in, &open)) != RC_OK ||
	    (rc = rbuf_u8(in, &inherited)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (inet_ntop(family == 6 ? AF_INET6 : AF_INET, addr, text,
	    sizeof(text)) == NULL)
		return RC_PROTO;
	json_object(j, NULL);
	json_put_str(j, "key", port_key(kind));
	json_put_str(j, "protocol",
	    kind >= PORT_MCAST_REQ && kind <= PORT_SCAN ? "udp" : "tcp");
	json_put_u64(j, "port", port);
	json_put_bool(j, "open", open != 0);
	if (open)
		json_put_str(j, "address", text);
	json_put_bool(j, "inherited", inherited != 0);
	json_end(j);
	return RC_OK;
}

int
status_end_get(struct rbuf *in, struct status_end *e)
{
	int rc;

	if ((rc = rbuf_str(in, e->version, sizeof(e->version))) != RC_OK ||
	    (rc = rbuf_str(in, e->id, sizeof(e->id))) != RC_OK ||
	    (rc = rbuf_i64(in, &e->started)) != RC_OK ||
	    (rc = rbuf_u32(in, &e->sessions)) != RC_OK ||
	    (rc = rbuf_u32(in, &e->vaults)) != RC_OK)
		return rc;
	return rbuf_end(in);
}

static int
put_end(struct api *a, struct rbuf *in)
{
	char fingerprint[PEER_FP_LEN + 1];
	struct json *j = &a->json;
	struct status_end e;
	int rc;

	if ((rc = status_end_get(in, &e)) != RC_OK)
		return rc;
	json_put_str(j, "version", e.version);
	json_put_str(j, "id", e.id);
	json_put_str(j, "mode", cat_mode_word(a->conf.mode));
	peer_fingerprint(a->key.identity, fingerprint);
	json_put_str(j, "fingerprint", fingerprint);
	json_put_i64(j, "started", e.started);
	json_put_u64(j, "sessions", e.sessions);
	json_put_u64(j, "vaults", e.vaults);
	return RC_OK;
}

int
status_ask(struct api *a, status_row *row, void *arg)
{
	struct msg m;
	int rc;

	if ((rc = chan_send(a->env.parent, MSG_STATUS, NULL, -1)) != RC_OK)
		goto out;
	while ((rc = chan_recv_wait(a->env.parent, &m,
	    STATUS_TIMEOUT_MS)) == RC_OK) {
		switch (m.type) {
		case MSG_STATUS_PROC:
		case MSG_STATUS_PORT:
			rc = row(a, arg, m.type, &m.body);
			break;
		case MSG_STATUS_END:
			if ((rc = row(a, arg, m.type, &m.body)) == RC_OK)
				return 200;
			break;
		default:
			rc = api_on_master(a, &m);
		}
		if (rc != RC_OK)
			break;
	}
out:
	a->last = true;
	return api_fail(a, 503, "the master did not answer: %s", rc_str(rc));
}

/* Two arrays: processes come first, then ports. */
static int
put_row(struct api *a, void *arg, uint16_t type, struct rbuf *in)
{
	bool *ports = arg;

	if (type == MSG_STATUS_PROC)
		return *ports ? RC_STATE : put_proc(&a->json, in);
	if (!*ports) {
		json_end_array(&a->json);
		json_array(&a->json, "ports");
		*ports = true;
	}
	if (type == MSG_STATUS_PORT)
		return put_port(&a->json, in);
	json_end_array(&a->json);
	return put_end(a, in);
}

int
api_status(struct api *a)
{
	bool ports = false;

	json_array(&a->json, "processes");
	return status_ask(a, put_row, &ports);
}
