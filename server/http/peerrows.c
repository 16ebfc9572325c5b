#include "config.h"

#include <stdio.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/http/catrows.h"

/* Rows of the catalog about other installations. */
static void
put_info(struct json *j, const struct peer_info *p)
{
	json_put_str(j, "id", p->id);
	json_put_hex(j, "identity", p->identity, sizeof(p->identity));
	json_put_hex(j, "pin", p->pin, sizeof(p->pin));
	json_put_str(j, "mode", cat_mode_word(p->mode));
	json_put_u64(j, "port_server", p->port_server);
	json_put_u64(j, "port_ssl", p->port_ssl);
	json_put_u64(j, "port_gui", p->port_gui);
	json_put_u64(j, "port_webssl", p->port_webssl);
	json_put_u64(j, "interval", p->interval);
	json_put_i64(j, "sent", p->sent_ns / 1000000000);
}

int
cat_put_peer(struct json *j, struct rbuf *in)
{
	static const char *const states[] = {
		[PEER_STATE_NEVER] = "never", [PEER_STATE_UP] = "up",
		[PEER_STATE_SILENT] = "silent",
	};
	char fingerprint[64], label[256], text[ADDR_TEXT_MAX];
	uint8_t how, state, conflict, compared;
	int64_t first, last, since;
	struct peer_info info;
	struct addr addr;
	int rc;

	if ((rc = rbuf_str(in, fingerprint, sizeof(fingerprint))) != RC_OK ||
	    (rc = rbuf_u8(in, &how)) != RC_OK ||
	    (rc = rbuf_u8(in, &state)) != RC_OK ||
	    (rc = rbuf_u8(in, &conflict)) != RC_OK ||
	    (rc = rbuf_u8(in, &compared)) != RC_OK ||
	    (rc = addr_get(in, &addr)) != RC_OK ||
	    (rc = rbuf_i64(in, &first)) != RC_OK ||
	    (rc = rbuf_i64(in, &last)) != RC_OK ||
	    (rc = rbuf_i64(in, &since)) != RC_OK ||
	    (rc = rbuf_str(in, label, sizeof(label))) != RC_OK ||
	    (rc = peer_info_get(in, &info)) != RC_OK)
		return rc;
	json_put_str(j, "fingerprint", fingerprint);
	json_put_str(j, "how", cat_how_word(how));
	json_put_str(j, "state", state < NITEMS(states) ? states[state] :
	    "unknown");
	json_put_bool(j, "conflict", conflict != 0);
	json_put_bool(j, "compared", compared != 0);
	json_put_str(j, "address", addr_text(&addr, text, sizeof(text)));
	json_put_u64(j, "port", addr.port);
	json_put_i64(j, "first_seen", first);
	json_put_i64(j, "last_seen", last);
	json_put_i64(j, "since", since);
	json_put_str(j, "label", label);
	put_info(j, &info);
	return rbuf_end(in);
}

int
cat_put_reach(struct json *j, struct rbuf *in)
{
	const char *result;
	uint16_t port;
	uint32_t ms;
	uint8_t code;
	int rc;

	if ((rc = rbuf_u16(in, &port)) != RC_OK ||
	    (rc = rbuf_u8(in, &code)) != RC_OK ||
	    (rc = rbuf_u32(in, &ms)) != RC_OK)
		return rc;
	switch (-(int)code) {
	case RC_OK:		result = "open"; break;
	case RC_REFUSED:	result = "closed"; break;
	case RC_TIMEOUT:	result = "filtered"; break;
	default:		result = "not tried"; break;
	}
	json_put_u64(j, "port", port);
	json_put_str(j, "result", result);
	json_put_u64(j, "milliseconds", ms);
	return rbuf_end(in);
}
