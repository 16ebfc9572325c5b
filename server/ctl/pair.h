#ifndef SERVER_CTL_PAIR_H
#define SERVER_CTL_PAIR_H

#include <stdbool.h>

#include "common/jsonread.h"
#include "common/proto.h"

/*
 * "1234-5678", "1234 5678" or "12345678" is a code, and out gets it in the first
 * form; anything else is no code (it may be the first digits of an id).
 */
bool	pair_code_parse(const char *text, char out[PROTO_PAIR_CODE_LEN + 1]);

/*
 * The id of the one pairing of the list that waits and shows this code.  NULL
 * when there is none, or when there are several (*several): then somebody may be
 * playing at being the client, and none is accepted.
 */
const char *pair_find(const struct json_doc *d, const char *code,
	    bool *several);

#endif
