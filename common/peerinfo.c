#include "config.h"

#include "common/peerinfo.h"

#include <stdio.h>
#include <string.h>

#include "common/conf.h"
#include "common/json.h"
#include "common/rc.h"

void
peer_info_put(struct wbuf *out, const struct peer_info *p)
{
	wbuf_bytes(out, p->identity, sizeof(p->identity));
	wbuf_bytes(out, p->pin, sizeof(p->pin));
	wbuf_u8(out, p->mode);
	wbuf_u16(out, p->port_server);
	wbuf_u16(out, p->port_ssl);
	wbuf_u16(out, p->port_gui);
	wbuf_u16(out, p->port_webssl);
	wbuf_u16(out, p->interval);
	wbuf_i64(out, p->sent_ns);
	wbuf_str(out, p->id);
}

/* U+202A..U+202E and U+2066..U+2069 turn the text around them; U+2028 and
 * U+2029 are line ends. */
static bool
is_odd(const unsigned char *p, size_t n)
{
	if (n == 1)
		return *p < 0x20 || *p == 0x7f;
	if (n == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	return n == 3 && p[0] == 0xe2 &&
	    ((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) ||
	    (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

bool
peer_id_ok(const char *id)
{
	const unsigned char *p = (const unsigned char *)id, *end;
	size_t n, len = strlen(id);

	if (len == 0 || len > PEER_ID_MAX)
		return false;
	for (end = p + len; p < end; p += n)
		if ((n = utf8_sequence(p, end)) == 0 || is_odd(p, n))
			return false;
	return true;
}

int
peer_info_get(struct rbuf *in, struct peer_info *p)
{
	struct rbuf try = *in;
	int rc;

	if ((rc = rbuf_bytes(&try, p->identity, sizeof(p->identity))) != RC_OK ||
	    (rc = rbuf_bytes(&try, p->pin, sizeof(p->pin))) != RC_OK ||
	    (rc = rbuf_u8(&try, &p->mode)) != RC_OK ||
	    (rc = rbuf_u16(&try, &p->port_server)) != RC_OK ||
	    (rc = rbuf_u16(&try, &p->port_ssl)) != RC_OK ||
	    (rc = rbuf_u16(&try, &p->port_gui)) != RC_OK ||
	    (rc = rbuf_u16(&try, &p->port_webssl)) != RC_OK ||
	    (rc = rbuf_u16(&try, &p->interval)) != RC_OK ||
	    (rc = rbuf_i64(&try, &p->sent_ns)) != RC_OK ||
	    (rc = rbuf_str(&try, p->id, sizeof(p->id))) != RC_OK)
		return rc;
	if (p->mode > CONF_MODE_REPLICATION || p->port_gui == 0 ||
	    p->interval == 0 || !peer_id_ok(p->id))
		return RC_RANGE;
	*in = try;
	return RC_OK;
}

void
peer_fingerprint(const uint8_t identity[ED25519_LEN],
    char out[PEER_FP_LEN + 1])
{
	uint8_t hash[SHA256_LEN] = { 0 };
	size_t i;

	/* SHA-256 of 32 bytes fails only where nothing else works either */
	(void)sha256(identity, ED25519_LEN, hash);
	for (i = 0; i < PEER_FP_LEN / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

void
peer_binding_text(struct wbuf *out, const uint8_t pin[SHA256_LEN])
{
	wbuf_bytes(out, "sg1 pin", 7);
	wbuf_bytes(out, pin, SHA256_LEN);
}

void
peer_sign_text(struct wbuf *out, const uint8_t self[ED25519_LEN],
    const uint8_t far[ED25519_LEN], const uint8_t nonce[32],
    const uint8_t exporter[32])
{
	wbuf_bytes(out, "sg1 peer", 8);
	wbuf_bytes(out, self, ED25519_LEN);
	wbuf_bytes(out, far, ED25519_LEN);
	wbuf_bytes(out, nonce, 32);
	wbuf_bytes(out, exporter, 32);
}
