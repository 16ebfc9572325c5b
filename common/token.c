#include "config.h"

#include "common/token.h"

#include <string.h>

#include "common/digest.h"
#include "common/num.h"
#include "common/rbuf.h"
#include "common/rc.h"
#include "common/wbuf.h"

/*
 *	version u8 (1) | id 16 | secret 32 | pin 32 | identity 32 | port u16 |
 *	ssl port u16 | ssl u8 | expires i64 | host str | crc32c u32 of all this
 *
 * in base64url without padding (RFC 4648 section 5) behind the prefix.
 */
#define TOKEN_PREFIX	"sg1-"
#define TOKEN_VERSION	1
#define TOKEN_BIN_MAX	(1 + 16 + 3 * 32 + 2 + 2 + 1 + 8 + 2 + \
	    TOKEN_HOST_MAX + 4)

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

_Static_assert((TOKEN_BIN_MAX + 2) / 3 * 4 + sizeof(TOKEN_PREFIX) <=
    TOKEN_TEXT_MAX, "the longest token fits");

static void
base64url(const uint8_t *p, size_t n, char *out)
{
	uint32_t bits = 0;
	int have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 6; have -= 6)
			*out++ = alphabet[bits >> (have - 6) & 63];
	}
	if (have > 0)
		*out++ = alphabet[bits << (6 - have) & 63];
	*out = '\0';
	secret_wipe(&bits, sizeof(bits));
}

static int
base64url_value(char c)
{
	const char *at = c == '\0' ? NULL : strchr(alphabet, c);

	return at == NULL ? -1 : (int)(at - alphabet);
}

/* Refuses the unused bits of the last character, so each token has exactly one
 * spelling. */
static int
base64url_decode(const char *s, size_t n, uint8_t *out, size_t size,
    size_t *len)
{
	uint32_t bits = 0;
	int have = 0, v, rc = RC_OK;

	*len = 0;
	for (size_t i = 0; i < n && rc == RC_OK; i++) {
		if ((v = base64url_value(s[i])) < 0) {
			rc = RC_CRC;
			break;
		}
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (*len == size)
			rc = RC_CRC;
		else
			out[(*len)++] = (uint8_t)(bits >> have);
	}
	if (rc == RC_OK && (have == 6 || (bits & ((1u << have) - 1)) != 0))
		rc = RC_CRC;
	secret_wipe(&bits, sizeof(bits));
	return rc;
}

/* The host is looked up and printed: one word of plain characters. */
static int
token_check(const struct token *t)
{
	if (t->host[0] == '\0' || t->ssl > 1 ||
	    (t->port == 0 && t->ssl_port == 0))
		return RC_RANGE;
	for (const char *c = t->host; *c != '\0'; c++)
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
			return RC_RANGE;
	return RC_OK;
}

int
token_format(const struct token *t, char out[TOKEN_TEXT_MAX])
{
	struct wbuf bin = WBUF_INIT(TOKEN_BIN_MAX);
	int rc;

	if ((rc = token_check(t)) != RC_OK)
		return rc;
	wbuf_u8(&bin, TOKEN_VERSION);
	wbuf_bytes(&bin, t->id, sizeof(t->id));
	wbuf_bytes(&bin, t->secret.b, sizeof(t->secret.b));
	wbuf_bytes(&bin, t->pin, sizeof(t->pin));
	wbuf_bytes(&bin, t->identity_fp, sizeof(t->identity_fp));
	wbuf_u16(&bin, t->port);
	wbuf_u16(&bin, t->ssl_port);
	wbuf_u8(&bin, t->ssl);
	wbuf_i64(&bin, t->expires);
	wbuf_str(&bin, t->host);
	if ((rc = wbuf_rc(&bin)) == RC_OK)
		wbuf_u32(&bin, crc32c(0, bin.data, bin.len));
	if ((rc = wbuf_rc(&bin)) == RC_OK) {
		memcpy(out, TOKEN_PREFIX, sizeof(TOKEN_PREFIX) - 1);
		base64url(bin.data, bin.len, out + sizeof(TOKEN_PREFIX) - 1);
	}
	wbuf_free(&bin);
	return rc;
}

static int
get_fields(struct rbuf *in, struct token *t)
{
	uint8_t version;
	int rc;

	if ((rc = rbuf_u8(in, &version)) != RC_OK)
		return rc;
	if (version != TOKEN_VERSION)
		return RC_VERSION;
	if ((rc = rbuf_bytes(in, t->id, sizeof(t->id))) != RC_OK ||
	    (rc = rbuf_bytes(in, t->secret.b, sizeof(t->secret.b))) != RC_OK ||
	    (rc = rbuf_bytes(in, t->pin, sizeof(t->pin))) != RC_OK ||
	    (rc = rbuf_bytes(in, t->identity_fp,
	    sizeof(t->identity_fp))) != RC_OK ||
	    (rc = rbuf_u16(in, &t->port)) != RC_OK ||
	    (rc = rbuf_u16(in, &t->ssl_port)) != RC_OK ||
	    (rc = rbuf_u8(in, &t->ssl)) != RC_OK ||
	    (rc = rbuf_i64(in, &t->expires)) != RC_OK ||
	    (rc = rbuf_str(in, t->host, sizeof(t->host))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	return token_check(t);
}

/* Checksum first: after it, whatever is wrong is no slip of the finger. */
static int
get_record(const uint8_t *p, size_t len, struct token *t)
{
	struct rbuf in, crc_in;
	uint32_t crc;

	if (len < 4)
		return RC_CRC;
	rbuf_init(&in, p, len - 4);
	rbuf_init(&crc_in, p + len - 4, 4);
	if (rbuf_u32(&crc_in, &crc) != RC_OK || crc != crc32c(0, p, len - 4))
		return RC_CRC;
	return get_fields(&in, t) == RC_OK ? RC_OK : RC_PROTO;
}

int
token_parse(const char *text, struct token *t)
{
	static const char blanks[] = " \t\r\n";
	const size_t prefix = sizeof(TOKEN_PREFIX) - 1;
	uint8_t bin[TOKEN_BIN_MAX];
	struct token got = { 0 };
	size_t n, len;
	int rc;

	text += strspn(text, blanks);
	n = strnlen(text, TOKEN_TEXT_MAX + 64);
	while (n > 0 && strchr(blanks, text[n - 1]) != NULL)
		n--;
	if (n < prefix || n >= TOKEN_TEXT_MAX ||
	    memcmp(text, TOKEN_PREFIX, prefix) != 0)
		return RC_PROTO;
	if ((rc = base64url_decode(text + prefix, n - prefix, bin,
	    sizeof(bin), &len)) == RC_OK &&
	    (rc = get_record(bin, len, &got)) == RC_OK)
		*t = got;
	secret_wipe(bin, sizeof(bin));
	token_clear(&got);
	return rc;
}

void
token_clear(struct token *t)
{
	secret_wipe(t, sizeof(*t));
}
