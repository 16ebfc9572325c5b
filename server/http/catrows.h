#ifndef SERVER_HTTP_CATROWS_H
#define SERVER_HTTP_CATROWS_H

#include <stdint.h>

#include "common/json.h"
#include "common/peerinfo.h"
#include "common/rbuf.h"
#include "server/addr.h"
#include "server/catalog/query.h"

/* Rows of the catalog (server/catalog/query.h), read, and as JSON objects. */
struct cat_client {
	char		account[64], name[64];
	uint8_t		client[16], vault[16], state, status, run_state;
	int64_t		since, last_good, last_run, last_end, due, seen;
	uint64_t	run, bytes, new_bytes;
	uint32_t	snapshots;
};
int	cat_client_get(struct rbuf *in, struct cat_client *c);

struct cat_totals {
	uint32_t	clients, protected_, running, alerts;
	uint64_t	bytes, free, total;
	int64_t		now;
};
int	cat_totals_get(struct rbuf *in, struct cat_totals *t);

struct cat_space {
	char		account[64], name[64];
	int64_t		at;
	uint64_t	bytes, objects, snapshots, fs_free, fs_total;
};
int	cat_space_get(struct rbuf *in, struct cat_space *s);

/* Members of one row's object; RC_PROTO for a row that makes no sense. */
int	cat_row_put(struct json *j, uint8_t kind, struct rbuf *in);
/* Array that rows of this kind stand in ("clients"); for TOTALS the object. */
const char *cat_row_name(uint8_t kind);
const char *cat_state_word(uint8_t state);
/* peerrows.c */
int	cat_put_peer(struct json *j, struct rbuf *in);
int	cat_put_reach(struct json *j, struct rbuf *in);
/* "hand", "multicast", ...; "server", "client", ... */
const char *cat_how_word(uint8_t how);
const char *cat_mode_word(uint8_t mode);

#endif
