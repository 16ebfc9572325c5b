#ifndef CLIENT_ENGINE_FIDS_PRIV_H
#define CLIENT_ENGINE_FIDS_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/object.h"

/* Segments of the content-id table: shared by fids.c and fidseg.c. */
#define FIDS_MAGIC		0x53474346494453ull	/* "SGCFIDS" */
#define FIDS_VERSION		1
#define FIDS_HEADER_LEN		32u
#define FIDS_SEGMENT_MAGIC	0x46534547u		/* "FSEG" */
#define FIDS_SEGMENT_LEN	24u
#define FIDS_PAGE		4096u
#define FIDS_ENTRY_LEN		28u
#define FIDS_PER_PAGE		146u
#define FIDS_SEGMENTS_KEEP	8
#define FIDS_SEGMENTS_MAX	64
#define FIDS_SPILLS_MAX		256
#define FIDS_BUNDLES_MAX	(64u << 20)
#define FID_EMPTY		UINT32_MAX

struct fid_entry {
	uint8_t		fid[16];
	uint32_t	number, offset, len;
};

struct fid_segment {
	int			 fd;
	uint64_t		 pages_off, end;
	uint32_t		 nbundles, npages;
	uint64_t		 nentries;
	struct object_id	*bundles;	/* NULL in a spill file */
};

/* The page that was read last. */
struct fid_page {
	int			fd;
	uint64_t		off;		/* 0: none */
	size_t			n;
	struct fid_entry	e[FIDS_PER_PAGE];
};

/* What is behind the first damaged or torn segment is not seen. */
int	fid_segments_open(int fd, const uint8_t vault[16],
	    struct fid_segment *s, size_t max, size_t *n);
void	fid_segments_free(struct fid_segment *s, size_t n);
int	fid_segment_find(const struct fid_segment *s, struct fid_page *page,
	    const uint8_t fid[16], struct fid_entry *e);
void	fid_sort(struct fid_entry *e, size_t n);
/* Write sorted entries as a segment at `off`; numbers rise by `base`. */
int	fid_segment_write(int fd, uint64_t off,
	    const struct object_id *bundles, uint32_t nbundles, uint32_t base,
	    const struct fid_entry *e, size_t n, struct fid_segment *s);
/* The same from another file; *end moves behind it. */
int	fid_segment_copy(int fd, uint64_t *end, const struct fid_segment *from,
	    const struct object_id *bundles, uint32_t nbundles);
/* A new file with one segment that holds all: of equal ids the last one. */
int	fid_merge(int fd, const uint8_t vault[16],
	    const struct fid_segment *old, size_t nold,
	    const struct fid_segment *own, size_t nown,
	    const struct object_id *bundles, uint32_t nbundles);

#endif
