#ifndef STORE_IDENT_H
#define STORE_IDENT_H

#include <stdbool.h>
#include <stdint.h>

#include "server/store/format.h"

/*
 * The files `vault` and `vault.2`, twice the same 512 bytes: which vault this
 * is, what it needs to be understood, and whose it is (so that the tables of
 * auth can be made again from the vaults).
 */
struct ident {
	uint64_t	compat, ro, incompat;	/* feature masks */
	uint8_t		vault[16];
	uint8_t		instance[16];
	uint8_t		client[16];
	uint8_t		client_key[32];
	char		name[VAULT_NAME_LEN];	/* ACCOUNT/NAME, NUL-padded */
	int64_t		created;		/* wall ns */
};

void	ident_put(uint8_t p[VAULT_FILE_LEN], const struct ident *id);
/* RC_CRC, RC_CORRUPT, RC_VERSION. */
int	ident_get(const uint8_t p[VAULT_FILE_LEN], struct ident *id);
/* Both copies, the second one first. */
int	ident_write(int dirfd, const struct ident *id);
/* The first copy that is whole.  RC_NOENT: neither is there. */
int	ident_read(int dirfd, struct ident *id);
/* RC_OK when both copies are there, whole and the same; which is told. */
int	ident_check(int dirfd, const char **bad);

#endif
