#ifndef CLIENT_ENGINE_SNAPBODY_H
#define CLIENT_ENGINE_SNAPBODY_H

#include <stddef.h>
#include <stdint.h>

#include "client/engine/keys.h"
#include "common/snapshot.h"
#include "common/wbuf.h"

/*
 * The sealed part of a snapshot: what only key holders may read.  One layout,
 * written by backup, read by everything that looks at snapshots:
 *
 *	version u8 (1), host str, start i64 ns, end i64 ns, files u64, dirs u64,
 *	bytes u64, new bytes u64, stored bytes u64, skipped u64,
 *	paths: n u16 then blob16 each
 *
 * Sealed by seal_blob(epoch key, "sg1 snapshot body", salt, AAD = all bytes of
 * the client part before the sealed part's length).
 */
#define SNAPBODY_VERSION	1
#define SNAPBODY_CONTEXT	"sg1 snapshot body"
#define SNAPBODY_PATHS_MAX	4096	/* when they do not fit, the first ones */

struct snapbody {
	char		host[256];
	int64_t		start_ns, end_ns;
	uint64_t	files, dirs, bytes, new_bytes, stored_bytes, skipped;
	uint16_t	npaths;
	/* for snapbody_seal(): absolute paths */
	const char *const *paths;
	/* from snapbody_open(): npaths blob16s, caller frees with
	 * snapbody_clear() */
	uint8_t		*packed;
	size_t		 packed_len;
};

/*
 * The whole client part: s has everything but sealed, salt, epoch and sig,
 * which are filled in (salt anew, epoch of k->epochs[0]).  out is reset first.
 */
int	snapbody_seal(const struct keys *k, struct snapshot_client *s,
	    const struct snapbody *b, struct wbuf *out);
/*
 * Parse a client part, check that it is of this vault, open its seal, and
 * verify its signature.  *signed_ok: signed by this machine's present key
 * (after `recover` older ones are not, and count by their seal).  RC_CRYPTO:
 * the seal does not open; RC_CORRUPT; RC_NOENT: its epoch key is not known.
 */
int	snapbody_open(const struct keys *k, const uint8_t *p, size_t len,
	    struct snapshot_client *s, struct snapbody *b, int *signed_ok);
void	snapbody_clear(struct snapbody *b);

#endif
