#ifndef CLIENT_ENGINE_NODE_H
#define CLIENT_ENGINE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "client/engine/seal.h"
#include "common/object.h"

/*
 * Directory and map nodes: their one canonical serialisation, its reader and
 * its builders.  Field by field in doc/VAULT-FORMAT.md "Nodes".
 */
#define NODE_INLINE_MAX		128		/* content kept in the entry */
#define NODE_XATTR_INLINE_MAX	4096
#define NODE_NAME_MAX		255
#define NODE_EXTENTS_MAX	8

enum ref_kind {
	REF_INLINE = 0,		/* content, or a symlink's target */
	REF_BUNDLE = 1,
	REF_EXTENTS = 2,
	REF_MAP = 3,
	REF_DIR = 4,
	REF_NONE = 5,		/* fifo, socket, device */
};

struct extent {
	bool		 hole;
	uint64_t	 len;
	struct object_id id;		/* a chunk, unless hole */
};

/* One name in a directory, as built and as read (pointers are views). */
struct entry {
	const uint8_t	*name;
	size_t		 name_len;
	uint32_t	 mode;		/* type and permission bits */
	uint32_t	 uid, gid;
	const char	*user, *group;	/* owner names; NULL unknown */
	int64_t		 mtime;
	uint32_t	 mtime_ns;
	uint64_t	 size;
	uint64_t	 rdev;		/* devices */
	uint64_t	 link_id;	/* 0: one link */
	const uint8_t	*xattrs;	/* encoded set, see xattr.h; NULL none */
	size_t		 xattrs_len;
	struct object_id xattrs_edge;	/* when xattrs_len > NODE_XATTR_INLINE_MAX */

	enum ref_kind	 ref;
	const uint8_t	*inline_data;	/* REF_INLINE */
	size_t		 inline_len;
	struct object_id ref_id;	/* REF_BUNDLE, REF_MAP, REF_DIR */
	uint16_t	 ref_height;	/* REF_MAP, REF_DIR: its height */
	uint32_t	 offset, len;	/* REF_BUNDLE */
	uint8_t		 fid[16];	/* REF_BUNDLE: first half of the file id */
	struct extent	 ext[NODE_EXTENTS_MAX];
	uint8_t		 next;		/* REF_EXTENTS */
};

/*
 * Build one directory: entries are added in strictly rising order of name
 * bytes; leaves and interiors are cut, sealed and handed to `emit` as they are
 * finished; dir_end() tells the directory's top node and leaves the builder
 * empty, ready for another directory.  emit may be called with
 * an object that was emitted before (the caller knows what the vault has).
 */
typedef int node_emit(void *arg, const struct object_id *id, uint8_t type,
	    uint16_t height, const struct object_id *edges, uint16_t nedges,
	    const void *plain, size_t len);
struct dir_builder;
struct dir_builder *dir_begin(struct sealer *s, const struct keys *k,
	    node_emit *emit, void *arg);
int	dir_add(struct dir_builder *d, const struct entry *e);
int	dir_end(struct dir_builder *d, struct object_id *top, uint16_t *height);
void	dir_free(struct dir_builder *d);

/* Read a leaf: calls `each` for every entry, in order; what is malformed (names
 * out of order, "." "..", "/", NUL, edges out of range) is RC_CORRUPT. */
int	leaf_read(const uint8_t *plain, size_t len,
	    const struct object_id *edges, uint16_t nedges,
	    int (*each)(void *arg, const struct entry *e), void *arg);
/* Read an interior: its children in order. */
int	interior_read(const uint8_t *plain, size_t len,
	    const struct object_id *edges, uint16_t nedges,
	    int (*each)(void *arg, const uint8_t *first, size_t first_len,
	    const struct object_id *child, uint64_t entries), void *arg);

/* Check a bundle's id against its plain text, member by member. */
int	bundle_check(struct sealer *s, const struct object_id *id,
	    const uint8_t *plain, size_t len);

/*
 * What a run could not save (type 84, height 1, no edges): counted, and listed
 * as far as there is room.
 */
#define REPORT_PLAIN_MAX	(1u << 20)
int	report_read(const uint8_t *plain, size_t len, uint64_t *total,
	    int (*each)(void *arg, const uint8_t *path, size_t path_len,
	    const char *reason), void *arg);

/* Maps of large files. */
struct map_builder;
struct map_builder *map_begin(struct sealer *s, node_emit *emit, void *arg);
int	map_add(struct map_builder *m, const struct extent *e);
int	map_end(struct map_builder *m, struct object_id *top, uint16_t *height);
void	map_free(struct map_builder *m);
/* One map node: level 0 gives extents, upper levels children with their sums. */
int	map_read(const uint8_t *plain, size_t len,
	    const struct object_id *edges, uint16_t nedges,
	    int (*extent)(void *arg, const struct extent *e),
	    int (*child)(void *arg, const struct object_id *id, uint64_t bytes),
	    void *arg);

#endif
