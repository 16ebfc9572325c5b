#ifndef SERVER_LOGIN_TOTP_H
#define SERVER_LOGIN_TOTP_H

#include <stdint.h>

/*
 * One-time codes of an authenticator: RFC 6238 with SHA-1, 6 digits and 30 s
 * (RFC 4226 underneath), what every such program does.
 */
#define TOTP_SECRET_LEN	20
#define TOTP_STEP_S	30
#define TOTP_DIGITS	6

int	totp_code(const uint8_t secret[TOTP_SECRET_LEN], uint64_t step,
	    char out[TOTP_DIGITS + 1]);
/*
 * RC_OK and the step whose code it is: of the present one or of a neighbour, and
 * later than `last`.  RC_AUTH otherwise.
 */
int	totp_check(const uint8_t secret[TOTP_SECRET_LEN], const char *code,
	    uint64_t last, int64_t now, uint64_t *step);

#endif
