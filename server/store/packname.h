#ifndef STORE_PACKNAME_H
#define STORE_PACKNAME_H

#include <stdint.h>

#include "server/store/packscan.h"

#define PACK_NAME_LEN 40

/* Below packs/: "XXX/NNNN.d" or ".n". */
void	pack_name(enum pack_kind kind, uint64_t number,
	    char out[PACK_NAME_LEN]);
/* Highest number in use, 0 for none; also unlinks unfinished files. */
int	pack_find_last(int dirfd, uint64_t *last);

#endif
