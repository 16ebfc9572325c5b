#ifndef CLIENT_ENGINE_SELECT_H
#define CLIENT_ENGINE_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/engine/engine.h"
#include "client/engine/snapbody.h"

/*
 * The snapshots of a vault, each opened and checked, and how one of them is
 * named: an id's prefix, latest, latest~N, JOB@TIME.
 */
struct snap {
	struct object_id	id;
	struct snapshot_client	c;		/* no view is left in it */
	struct snapshot_server	server;
	struct snapbody		body;		/* empty unless rc is RC_OK */
	int			rc;		/* of its seal: RC_OK, RC_CRYPTO ... */
	int			signed_ok;	/* by this machine's present key */
	bool			receipt_ok;	/* by the server's present key */
};

struct snaplist {
	struct snap	*s;		/* rising vault sequence */
	size_t		 n, size;
};

/* All snapshots of the vault. */
int	snaplist_load(struct engine *e, struct remote *r, struct snaplist *l);
void	snaplist_free(struct snaplist *l);

/*
 * Find the one that spec names.  job is a job's name for latest, NULL any.
 * RC_NOENT, RC_RANGE (the words make no sense, or several match), RC_CRYPTO
 * (it is there, and its seal does not open): `text` has a sentence.
 */
int	snaplist_select(const struct snaplist *l, const struct keys *k,
	    const char *spec, const char *job, const struct snap **found,
	    char *text, size_t size);

/*
 * Hold the list against what this client remembers of each job (of one job,
 * unless NULL): RC_OLDER with a sentence when the server went back in time or
 * forked.
 */
int	snaplist_check_memory(const struct snaplist *l, struct state *st,
	    const uint8_t job[16], char *text, size_t size);

/* "2026-01-31", "2026-01-31 17:05[:09]", with T for the blank and Z for UTC,
 * "@" and Unix seconds.  A date means its last second.  RC_RANGE. */
int	select_time(const char *s, int64_t *seconds);
/* SNAP[:PATH] is taken apart by the command; 64 hex digits and a NUL. */
void	select_hex(const struct object_id *id, char out[65]);

#endif
