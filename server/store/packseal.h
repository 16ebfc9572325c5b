#ifndef STORE_PACKSEAL_H
#define STORE_PACKSEAL_H

#include "server/store/packscan.h"

/*
 * Write footer and trailer behind the records of a pack and sync it.  Both are
 * made from what is in the file, not from memory: a pack that cannot be read
 * back is not sealed.
 */
int	pack_seal(int fd, enum pack_kind kind, uint64_t number,
	    struct pack_trailer *t, uint64_t *size);
/* RC_CRC: footer or sha do not agree with the records. */
int	pack_seal_check(int fd, enum pack_kind kind, uint64_t number,
	    const struct pack_trailer *t);

#endif
