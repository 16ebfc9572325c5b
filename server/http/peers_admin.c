#include "config.h"

#include <string.h>

#include "common/rc.h"
#include "server/http/catask.h"

/* Other installations, as the user sees and manages them. */
int
api_peers(struct api *a)
{
	return cat_list(a, CAT_OP_PEERS, NULL, CAT_ROW_PEER);
}

int
api_peer_add(struct api *a)
{
	struct wbuf args = WBUF_INIT(1024);
	struct addr addr;
	const char *text;
	int64_t port;
	int status;

	if ((text = api_body_str(a, "address", &status)) == NULL)
		return status;
	port = json_int(a->doc, json_root(a->doc), "port", a->conf.port_gui);
	if (addr_parse(&addr, text) != RC_OK || port < 1 || port > 65535)
		return api_fail(a, 400, "address is an IP address, port a port");
	addr.port = (uint16_t)port;
	addr_put(&args, &addr);
	wbuf_str(&args, api_body_opt(a, "fingerprint"));
	wbuf_str(&args, api_body_opt(a, "label"));
	status = cat_single(a, CAT_OP_PEER_ADD, &args, "peer");
	wbuf_free(&args);
	return status;
}

/* The peer that the path names. */
static int
on_peer(struct api *a, enum cat_op op, enum cat_row rows)
{
	struct wbuf args = WBUF_INIT(256);
	int status;

	wbuf_str(&args, a->req.segment[3]);
	status = cat_list(a, op, &args, rows);
	wbuf_free(&args);
	return status;
}

int
api_peer_rm(struct api *a)
{
	return on_peer(a, CAT_OP_PEER_RM, CAT_ROW_PEER);
}

int
api_peer_forget(struct api *a)
{
	return on_peer(a, CAT_OP_PEER_FORGET, CAT_ROW_PEER);
}

int
api_peer_reach(struct api *a)
{
	return on_peer(a, CAT_OP_REACH, CAT_ROW_REACH);
}

int
api_discover(struct api *a)
{
	return cat_list(a, CAT_OP_DISCOVER, NULL, CAT_ROW_PEER);
}
