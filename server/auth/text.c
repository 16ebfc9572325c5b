#include "config.h"

#include "server/auth/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/secret.h"

/* `bits` bits of each character, the first ones first. */
static void
encode(const uint8_t *p, size_t n, const char *alphabet, int bits, char *out)
{
	uint32_t v = 0;
	int have = 0;

	for (size_t i = 0; i < n; i++) {
		v = v << 8 | p[i];
		for (have += 8; have >= bits; have -= bits)
			*out++ = alphabet[v >> (have - bits) &
			    ((1u << bits) - 1)];
	}
	if (have > 0)
		*out++ = alphabet[v << (bits - have) & ((1u << bits) - 1)];
	*out = '\0';
	secret_wipe(&v, sizeof(v));
}

void
text_base64url(const uint8_t secret[32], char out[TEXT_SECRET_MAX])
{
	encode(secret, 32, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_", 6, out);
}

static void
percent(const char *s, char *out, size_t size)
{
	size_t at = 0;

	for (; *s != '\0' && at + 4 <= size; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x80 && (isalnum(c) || strchr("-._~", c) != NULL))
			out[at++] = (char)c;
		else
			at += (size_t)snprintf(out + at, 4, "%%%02X", c);
	}
	out[at] = '\0';
}

void
text_otpauth(const char *name, const char *id, const uint8_t secret[20],
    char out[TEXT_OTPAUTH_MAX])
{
	char base32[40], where[200];

	encode(secret, 20, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 5, base32);
	percent(id, where, sizeof(where));
	snprintf(out, TEXT_OTPAUTH_MAX, "otpauth://totp/StoreGrid:%.63s%%40%s"
	    "?secret=%s&issuer=StoreGrid&algorithm=SHA1&digits=6&period=30",
	    name, where, base32);
	secret_wipe(base32, sizeof(base32));
}
