#ifndef SERVER_AUTH_TEXT_H
#define SERVER_AUTH_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Secrets as people carry them. */
#define TEXT_SECRET_MAX	48		/* 32 bytes in base64url, NUL included */
#define TEXT_OTPAUTH_MAX 512

/* RFC 4648 section 5, without padding. */
void	text_base64url(const uint8_t secret[32], char out[TEXT_SECRET_MAX]);
/* What an authenticator reads: "otpauth://totp/StoreGrid:NAME@ID?secret=..." */
void	text_otpauth(const char *name, const char *id,
	    const uint8_t secret[20], char out[TEXT_OTPAUTH_MAX]);

#endif
