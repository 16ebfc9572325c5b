#include "config.h"

#include "server/http/bearer.h"

#include <stdio.h>
#include <string.h>

#include "common/digest.h"
#include "common/rc.h"
#include "common/secret.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "abcdefghijklmnopqrstuvwxyz0123456789-_";
#define TEXT_LEN	43		/* of 32 bytes */

void
bearer_format(const char *prefix, const uint8_t secret[32],
    char out[BEARER_TEXT_MAX])
{
	size_t n = strlen(prefix), i, bits = 0;
	uint32_t v = 0;

	memcpy(out, prefix, n);
	for (i = 0; i < 32; i++) {
		v = v << 8 | secret[i];
		for (bits += 8; bits >= 6; bits -= 6)
			out[n++] = digits[v >> (bits - 6) & 63];
	}
	out[n++] = digits[v << (6 - bits) & 63];
	out[n] = '\0';
}

int
bearer_parse(const char *prefix, const char *text, uint8_t secret[32])
{
	size_t n = strlen(prefix), i, bits = 0, done = 0;
	const char *at;
	uint32_t v = 0;

	if (strncmp(text, prefix, n) != 0 || strlen(text + n) != TEXT_LEN)
		return RC_PROTO;
	for (i = 0; i < TEXT_LEN; i++) {
		if ((at = strchr(digits, text[n + i])) == NULL)
			return RC_PROTO;
		v = v << 6 | (uint32_t)(at - digits);
		if ((bits += 6) >= 8) {
			bits -= 8;
			secret[done++] = (uint8_t)(v >> bits);
		}
	}
	/* 43 digits hold two bits more than 32 bytes */
	return (v & 3) == 0 ? RC_OK : RC_PROTO;
}

int
bearer_csrf(const uint8_t secret[32], char out[33])
{
	uint8_t text[8 + 32] = "sg1 csrf", hash[SHA256_LEN];
	size_t i;
	int rc;

	memcpy(text + 8, secret, 32);
	if ((rc = sha256(text, sizeof(text), hash)) == RC_OK)
		for (i = 0; i < 16; i++)
			snprintf(out + 2 * i, 3, "%02x", hash[i]);
	secret_wipe(text, sizeof(text));
	return rc;
}
