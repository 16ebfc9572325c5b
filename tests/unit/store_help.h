#ifndef TESTS_UNIT_STORE_HELP_H
#define TESTS_UNIT_STORE_HELP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/store/vault.h"

/*
 * A vault in a scratch directory, with a client that has a key but seals
 * nothing: the store never looks inside.
 */
struct world {
	char		 dir[64];
	struct vault_opt opt;
	struct grant	 grant;
	struct secret	 key;		/* the client's */
	struct vault	*v;
	struct run	*run;
	uint8_t		 job[16];
	uint64_t	 sequence;
	struct object_id previous;
	unsigned	 runs;
	bool		 keyd_away;
	int64_t		 wall_s;	/* 0: the system's clock */
	uint64_t	 boot_s;
	struct commit	 commit;	/* the last one */
};

void	world_new(struct world *w);
void	world_free(struct world *w);		/* removes the directory */
int	world_open(struct world *w);
void	world_close(struct world *w);
void	world_must_open(struct world *w);
/* As if the process died: nothing is flushed or synced any more. */
void	world_kill(struct world *w);
/* Copy the vault's files as they are now to a new directory and use that. */
void	world_copy(const struct world *w, struct world *copy);

void	world_run(struct world *w);		/* begin a run */
/* Ids are told by a number. */
struct object_id id_of(uint32_t n);
/* Wire bytes of an object; caller frees. */
uint8_t	*make_object(uint8_t type, uint16_t height, uint32_t n,
	    const uint32_t *edges, size_t nedges, size_t body, size_t *len);
int	put_object(struct world *w, uint8_t type, uint16_t height, uint32_t n,
	    const uint32_t *edges, size_t nedges, size_t body);
int	put_chunk(struct world *w, uint32_t n, size_t body);
int	put_node(struct world *w, uint16_t height, uint32_t n,
	    const uint32_t *edges, size_t nedges);
/* A signed client part; caller frees. */
uint8_t	*make_snapshot(struct world *w, uint32_t root, size_t *len);
int	commit_root(struct world *w, uint32_t root);
/* One chunk, one leaf, one root: ids base, base + 1, base + 2; committed. */
void	simple_snapshot(struct world *w, uint32_t base, size_t body);
/* Every object below this root can be read. */
bool	tree_whole(struct world *w, uint32_t root);
bool	get_ok(struct world *w, uint32_t n);
uint64_t dir_bytes(const char *dir);
/* Path of the only (or last, by name) file whose name ends so. */
void	find_file(const struct world *w, const char *sub, const char *end,
	    char *out, size_t size);
size_t	file_size(const char *path);
void	flip_byte(const char *path, size_t off);
void	cut_file(const char *path, size_t size);

#endif
