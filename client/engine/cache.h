#ifndef CLIENT_ENGINE_CACHE_H
#define CLIENT_ENGINE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/node.h"

/*
 * The stat cache of one job: what every file looked like when it was last
 * saved, and where its content is.  doc/VAULT-FORMAT.md "Stat cache".
 *
 * One file, only ever appended to: each directory is some pieces of entries and
 * an index of them; the newest of two headers names the root.  A directory that
 * did not change is not written again, its parent points to the old place.
 * Every pointer carries the CRC of what it points to, so that a file whose tail
 * was lost in a crash is seen to be damaged, whatever stood there before.
 * Nothing here is believed: damage of any kind only means reading files again.
 */
struct cache_at {
	uint64_t	off;		/* of an index; 0: none */
	uint32_t	crc;
};

struct cache_entry {
	struct entry	e;		/* names and views valid until the next call */
	uint64_t	ino;
	int64_t		ctime;
	uint32_t	ctime_ns;
	bool		racy;		/* read again, whatever stat says */
	struct cache_at	child;		/* of a directory */
};

/* What a cache is good for; another one is as good as none. */
struct cache_key {
	uint8_t		vault[16];
	uint8_t		base[32];	/* the snapshot it was written for */
	uint8_t		params[32];
	uint8_t		owners[32];	/* owners_hash(); may differ, see below */
};

struct cache;
/* RC_NOENT: none, or not for this key.  *same_owners: names have not changed. */
int	cache_open(struct cache **c, int dirfd, const char *name,
	    const struct cache_key *k, bool *same_owners);
void	cache_close(struct cache *c);
struct cache_at cache_root(const struct cache *c);
/* More of the file is waste than worth: write a fresh one. */
bool	cache_bloated(const struct cache *c);

/* One directory as it was.  Entries come in rising order of names. */
struct cache_dir;
int	cache_dir_open(struct cache_dir **d, const struct cache *c,
	    struct cache_at at);
void	cache_dir_close(struct cache_dir *d);
int	cache_dir_next(struct cache_dir *d, struct cache_entry *e);	/* RC_EOF */
void	cache_dir_rewind(struct cache_dir *d);
/* Its nodes: the top one, its height, and all of them. */
const struct object_id *cache_dir_node(const struct cache_dir *d,
	    uint16_t *height);
bool	cache_dir_has(const struct cache_dir *d, const struct object_id *id);

/* Writing: behind `old` (which stays as it is until commit), or anew. */
struct cache_writer;
int	cache_writer_new(struct cache_writer **w, int dirfd, const char *name,
	    const struct cache *old);
int	cache_writer_commit(struct cache_writer *w, struct cache_at root,
	    const struct cache_key *k);
void	cache_writer_free(struct cache_writer *w);	/* without commit: undone */

struct cache_out;
int	cache_out_begin(struct cache_out **o, struct cache_writer *w);
int	cache_out_add(struct cache_out *o, const struct cache_entry *e);
int	cache_out_node(struct cache_out *o, const struct object_id *id);
/* Frees o. */
int	cache_out_end(struct cache_out *o, const struct object_id *top,
	    uint16_t height, struct cache_at *at);
void	cache_out_free(struct cache_out *o);

/* One entry's bytes, for the fuzz target. */
int	cache_entry_get(struct rbuf *in, struct cache_entry *e);

#endif
