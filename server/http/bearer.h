#ifndef SERVER_HTTP_BEARER_H
#define SERVER_HTTP_BEARER_H

#include <stdint.h>

/*
 * Secrets as text: a prefix that tells what it is (and lets scanners of source
 * trees find one that was left there), then 32 bytes in base64url without
 * padding.
 */
#define BEARER_TEXT_MAX	64
#define BEARER_SESSION_PREFIX	"sgs_"
#define BEARER_API_PREFIX	"sgapi_"
#define BEARER_SETUP_PREFIX	""	/* typed once by a person */

void	bearer_format(const char *prefix, const uint8_t secret[32],
	    char out[BEARER_TEXT_MAX]);
/* Exactly this prefix and one spelling of 32 bytes; RC_PROTO. */
int	bearer_parse(const char *prefix, const char *text, uint8_t secret[32]);

/* The header token of a session: nobody who only has the cookie sent along for
 * him knows it.  32 hexadecimal digits of SHA-256("sg1 csrf" | secret). */
int	bearer_csrf(const uint8_t secret[32], char out[33]);

#endif
