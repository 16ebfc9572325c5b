#ifndef COMMON_SNAPSHOT_H
#define COMMON_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/object.h"
#include "common/rbuf.h"
#include "common/wbuf.h"

/*
 * One finished run of a job.  The client part is made, sealed and signed by the
 * client; its SHA-256 is the snapshot's id.  The server part is the receipt,
 * signed by the installation's identity key through keyd.  doc/VAULT-FORMAT.md
 * "Snapshot" has the layout.
 */
#define SNAPSHOT_MAGIC		0x5347534e50310a00ull	/* "SGSNP1\n\0" */
#define SNAPSHOT_VERSION	1
#define SNAPSHOT_LABEL_MAX	63
#define SNAPSHOT_SEALED_MAX	16384
#define SNAPSHOT_EDGES_MAX	4
#define SNAPSHOT_CLIENT_MAX	(SNAPSHOT_SEALED_MAX + 1024)
#define SNAPSHOT_SERVER_LEN	162		/* signature included */
#define SNAPSHOT_F_PARTIAL	0x0001		/* something could not be read */

struct snapshot_client {
	uint16_t		 flags;
	uint8_t			 vault[16];
	uint8_t			 client[16];
	uint8_t			 job[16];
	char			 label[SNAPSHOT_LABEL_MAX + 1];	/* readable */
	uint64_t		 sequence;	/* of this client */
	uint8_t			 previous[32];	/* snapshot id, same job; zeros: first */
	uint8_t			 params[32];	/* hash of the parameters record */
	uint8_t			 edge_count;	/* 1..4: root, report, - , - */
	struct object_id	 edge[SNAPSHOT_EDGES_MAX];
	uint8_t			 epoch[OBJECT_EPOCH_LEN];
	uint8_t			 salt[OBJECT_SALT_LEN];
	const uint8_t		*sealed;	/* body | tag; a view */
	size_t			 sealed_len;
	uint8_t			 sig[ED25519_SIG_LEN];
};

struct snapshot_server {
	int64_t		wall_ns;
	uint64_t	vault_clock;		/* seconds */
	uint64_t	vault_seq;
	uint64_t	job_seq;
	uint64_t	lock_until;		/* vault clock */
	uint64_t	closure_bytes;		/* saturating, server-computed */
	uint64_t	closure_objects;
	uint64_t	new_bytes;
	uint16_t	writer;
	uint8_t		previous[32];		/* SHA-256 of the server part before this one; zeros: first */
	uint8_t		sig[ED25519_SIG_LEN];
};

/*
 * Write all but the signature (what is signed, prefixed by "sg1 snapshot" by
 * the signer, and, without the sealed part, the AAD of the sealed body: see
 * aad_len, the count of bytes before the sealed body's length field).
 */
void	snapshot_put_client(struct wbuf *out, const struct snapshot_client *s,
	    size_t *aad_len);
/* Parse exactly the whole client part, signature included. */
int	snapshot_get_client(const uint8_t *p, size_t len,
	    struct snapshot_client *s);
/* SHA-256 of the whole client part, signature included. */
int	snapshot_id(const uint8_t *p, size_t len, struct object_id *id);

/* The server part; put writes it with its signature field as it stands. */
void	snapshot_put_server(struct wbuf *out, const struct snapshot_server *s);
int	snapshot_get_server(struct rbuf *in, struct snapshot_server *s);
/* "sg1 receipt" | vault | snapshot id | server part without signature: the
 * exact bytes under the signature.  out is reset first. */
void	snapshot_receipt_text(struct wbuf *out, const uint8_t vault[16],
	    const struct object_id *id, const struct snapshot_server *s);

#endif
