#ifndef TESTS_UNIT_FAKE_VAULT_H
#define TESTS_UNIT_FAKE_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/engine.h"
#include "client/engine/event.h"
#include "client/engine/node.h"
#include "fake_server.h"

/*
 * An engine with a fake command and a fake server, and a small backup of a real
 * directory into that server, so that restore, check and ls have something to
 * work on.
 */
struct seen {
	size_t	n[16];			/* events by kind */
	char	*paths;			/* of findings, skips, entries: a line each */
	unsigned kinds[8];		/* of findings */
	size_t	 len;
	uint64_t files, skipped;	/* of the summary */
};

struct world {
	struct fake	 f;
	struct keys	 k;
	struct sealer	*s;
	struct engine	 e;
	char		 dir[64];	/* scratch: src, dst, out, state */
	struct chan	*cmd;		/* the command's end */
	void		*thread;
	struct seen	 seen;
	/* every node whose plain text has `from` gets `to` instead */
	const char	*from, *to;
	uint64_t	 seq;
	struct object_id top;
	char		 text[1024];
};

void	world_open(struct world *w);
void	world_close(struct world *w);
char	*world_path(struct world *w, const char *rel);	/* static, rotating */
/* Put a file there; data NULL: n bytes of noise from seed. */
void	world_file(struct world *w, const char *rel, const void *data,
	    size_t n, unsigned seed);
/* Back up `rel` as the root of a snapshot of job `label`. */
void	world_backup(struct world *w, const char *rel, const char *label);
/* Start and stop command and server around one verb. */
void	world_begin(struct world *w);
void	world_end(struct world *w);
bool	world_saw(const struct world *w, const char *path);
int	world_restore(struct world *w, const struct restore_opt *o,
	    const char *rel);
/* Differences between two trees, printed; modes, owners, times, contents,
 * attributes, links. */
size_t	world_differ(const char *a, const char *b);

#endif
