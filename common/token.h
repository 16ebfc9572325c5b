#ifndef COMMON_TOKEN_H
#define COMMON_TOKEN_H

#include <stdint.h>

#include "common/secret.h"

/*
 * The enrolment token as a person carries it: "sg1-" and base64url of a
 * checked record.  doc/PROTOCOL.md "Token".
 */
#define TOKEN_TEXT_MAX 1024
#define TOKEN_HOST_MAX 255

struct token {
	uint8_t		id[16];
	struct secret	secret;
	uint8_t		pin[32];		/* SHA-256 of the backup key's SPKI */
	uint8_t		identity_fp[32];	/* SHA-256 of the identity key */
	uint16_t	port, ssl_port;
	uint8_t		ssl;			/* 1: the server has SSL.Enabled */
	int64_t		expires;		/* Unix seconds */
	char		host[TOKEN_HOST_MAX + 1];
};

int	token_format(const struct token *t, char out[TOKEN_TEXT_MAX]);
/* Skips blanks around it.  RC_CRC for a typing error, RC_PROTO otherwise. */
int	token_parse(const char *text, struct token *t);
void	token_clear(struct token *t);

#endif
