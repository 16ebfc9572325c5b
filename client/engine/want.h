#ifndef CLIENT_ENGINE_WANT_H
#define CLIENT_ENGINE_WANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/remote.h"

/*
 * Objects that were asked for, by id.  One want per id, however many places
 * need it; it stays while somebody holds it.
 */
enum want_state {
	WANT_NEW,
	WANT_ASKED,
	WANT_HERE,		/* wire, len */
	WANT_GONE,		/* the vault does not have it */
	WANT_BAD,		/* came damaged, or was found so */
};

struct want {
	struct want	*next;		/* in its bucket */
	struct object_id id;
	enum want_state	 state;
	uint8_t		 copy;		/* which one was asked for last */
	bool		 no_more;	/* there is none behind it */
	unsigned	 held;
	uint32_t	 request;
	uint8_t		*wire;
	size_t		 len;
};

#define WANT_BUCKETS	4096u

struct want_table {
	struct want	**bucket;
	size_t		 bytes;		/* of wire */
	size_t		 asked;
};

int	want_table_init(struct want_table *t);
void	want_table_free(struct want_table *t);
struct want *want_find(const struct want_table *t,
	    const struct object_id *id);
/* Find or make, and hold.  NULL: no memory. */
struct want *want_get(struct want_table *t, const struct object_id *id);
void	want_put(struct want_table *t, struct want *w);
/* GET for new wants (state already WANT_ASKED), in one request. */
int	want_ask(struct remote *r, const struct object_id *ids, size_t n,
	    uint8_t copy, struct want **w, uint32_t *request);
/* The answer; its bytes are copied. */
int	want_take(struct want_table *t, struct want *w, const uint8_t *wire,
	    size_t len);
/* Found damaged behind the checksum. */
void	want_spoil(struct want_table *t, struct want *w);
/* Bad, and there may be another copy. */
bool	want_has_next(const struct want *w);
/* How many came. */
unsigned want_copies(const struct want *w);
/* Ask for the next copy. */
int	want_again(struct remote *r, struct want_table *t, struct want *w);

#endif
