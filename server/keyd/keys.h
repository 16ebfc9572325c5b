#ifndef SERVER_KEYD_KEYS_H
#define SERVER_KEYD_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/secret.h"

/*
 * The private keys of an installation, in three files of keyd's own directory:
 *
 *	backup.key	ECDSA P-256, PKCS#8 PEM: the TLS key that clients pin
 *	backup.crt	its certificate, made from it again when it is missing
 *	identity.key	Ed25519, PKCS#8 PEM: names the installation
 */
struct keys;

/* New keys, in memory only. */
int	keys_make(struct keys **out);
/*
 * Read them from dirfd.  make: those that are missing are made and written
 * durably first (a start that was cut short left some).  Otherwise RC_NOENT.
 * why says what was wrong with which file.
 */
int	keys_open(struct keys **out, int dirfd, bool make, char *why,
	    size_t why_size);
void	keys_free(struct keys *k);

const uint8_t *keys_identity(const struct keys *k);	/* ED25519_LEN */
const uint8_t *keys_spki(const struct keys *k);		/* SHA256_LEN */
const uint8_t *keys_cert(const struct keys *k, size_t *len);	/* DER */

/* ECDSA with SHA-256, DER. */
int	keys_sign_backup(const struct keys *k, const void *p, size_t n,
	    uint8_t *sig, size_t *sig_len);	/* in: room, out: length */
int	keys_sign_identity(const struct keys *k, const void *p, size_t n,
	    uint8_t sig[ED25519_SIG_LEN]);

#endif
