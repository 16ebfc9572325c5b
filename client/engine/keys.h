#ifndef CLIENT_ENGINE_KEYS_H
#define CLIENT_ENGINE_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/object.h"
#include "common/secret.h"
#include "common/wbuf.h"

/*
 * The vault's keys, in the engine alone.  M is 32 random bytes per vault; by
 * HKDF-SHA-256 (salt = vault id, info "sg1 " + name) it gives the subkeys.  An
 * epoch key E seals objects; epoch = first 8 bytes of HMAC(E, "sg1 epoch").
 * doc/VAULT-FORMAT.md "Keys".
 */
#define KEYS_EPOCHS_MAX	1024

struct epoch_key {
	uint8_t		epoch[OBJECT_EPOCH_LEN];
	struct secret	key;
};

struct keys {
	uint8_t			 vault[16], client[16];
	struct secret		 m;
	struct secret		 chunk_id, node_id, cdc, dir, name, wrap;
	struct epoch_key	*epochs;	/* [0] is the one to seal with */
	size_t			 nepochs;
	struct secret		 identity;	/* Ed25519, this machine */
	uint8_t			 identity_pub[ED25519_LEN];
	uint8_t			 params[32];	/* hash of the parameters record */
};

/* Derive the subkeys from m, vault and client (node-id has the client's id
 * behind its name). */
int	keys_derive(struct keys *k);
int	keys_epoch_new(struct keys *k);
const struct epoch_key *keys_epoch_find(const struct keys *k,
	    const uint8_t epoch[OBJECT_EPOCH_LEN]);
int	keys_epoch_add(struct keys *k, const struct secret *e);
void	keys_clear(struct keys *k);

/* 16 bytes that name a job in snapshots and RUN_BEGIN: HMAC(name key, "job" | name). */
int	keys_job_id(const struct keys *k, const char *job, uint8_t out[16]);

/* Records for the journal (RECORD_*): an epoch key under `wrap`, M under a
 * passphrase or a recovery key, the parameters under `wrap`. */
int	keys_wrap_epoch(const struct keys *k, const struct epoch_key *e,
	    struct wbuf *out);
int	keys_unwrap_epoch(const struct keys *k, const uint8_t *p, size_t n,
	    struct secret *e);
int	keys_wrap_passphrase(const struct keys *k, const char *pass,
	    struct wbuf *out);
int	keys_wrap_recovery(const struct keys *k, const struct secret *recovery,
	    struct wbuf *out);
/* Try one SLOT record with a passphrase or a recovery key (the other NULL):
 * fills m, client; RC_CRYPTO when it does not open. */
int	keys_open_slot(struct keys *k, const uint8_t *p, size_t n,
	    const char *pass, const struct secret *recovery);
int	keys_wrap_params(struct keys *k, struct wbuf *out);	/* sets k->params */
int	keys_check_params(struct keys *k, const uint8_t *p, size_t n);

/* A recovery key as people write it down: groups of base32 with a checksum. */
#define KEYS_RECOVERY_TEXT 96
void	keys_recovery_format(const struct secret *r,
	    char out[KEYS_RECOVERY_TEXT]);
int	keys_recovery_parse(const char *text, struct secret *r);

#endif
