#include "config.h"

#include "server/login/totp.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/rc.h"
#include "common/secret.h"

int
totp_code(const uint8_t secret[TOTP_SECRET_LEN], uint64_t step,
    char out[TOTP_DIGITS + 1])
{
	uint8_t counter[8], mac[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	uint32_t v;
	size_t at;

	for (int i = 0; i < 8; i++)
		counter[i] = (uint8_t)(step >> (56 - 8 * i));
	if (HMAC(EVP_sha1(), secret, TOTP_SECRET_LEN, counter,
	    sizeof(counter), mac, &len) == NULL || len != 20)
		return RC_CRYPTO;
	at = mac[19] & 0x0f;
	v = ((uint32_t)mac[at] & 0x7f) << 24 | (uint32_t)mac[at + 1] << 16 |
	    (uint32_t)mac[at + 2] << 8 | mac[at + 3];
	snprintf(out, TOTP_DIGITS + 1, "%06u", (unsigned)(v % 1000000));
	secret_wipe(mac, sizeof(mac));
	return RC_OK;
}

int
totp_check(const uint8_t secret[TOTP_SECRET_LEN], const char *code,
    uint64_t last, int64_t now, uint64_t *step)
{
	uint64_t mid = now < 0 ? 0 : (uint64_t)now / TOTP_STEP_S;
	char want[TOTP_DIGITS + 1];
	bool found = false;
	int rc;

	*step = 0;
	for (uint64_t s = mid > 0 ? mid - 1 : 0; s <= mid + 1; s++) {
		if ((rc = totp_code(secret, s, want)) != RC_OK)
			return rc;
		if (strlen(code) == TOTP_DIGITS && s > last && !found &&
		    secret_equal(code, want, TOTP_DIGITS)) {
			found = true;
			*step = s;
		}
	}
	secret_wipe(want, sizeof(want));
	return found ? RC_OK : RC_AUTH;
}
