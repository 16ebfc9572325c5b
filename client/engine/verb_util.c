#include "config.h"

#include "client/engine/verb_util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc.h"

int
verb_no_connection(const struct engine *e, int rc, char *text, size_t size)
{
	snprintf(text, size, "%s", e->error[0] != '\0' ? e->error :
	    rc_str(rc));
	return engine_exit_code(rc, NULL);
}

int
verb_failed(const struct remote *r, int rc, const char *what, char *text,
    size_t size)
{
	const char *why = r != NULL ? remote_error(r) : "";

	if (rc == RC_CANCELLED)
		snprintf(text, size, "%s: interrupted; run the command again "
		    "to go on", what);
	else if (why[0] != '\0')
		snprintf(text, size, "%s: %s", what, why);
	else if (rc == RC_UNSUPPORTED || rc == RC_VERSION)
		snprintf(text, size, "%s: this was written by a newer version "
		    "of the program; update this one", what);
	else
		snprintf(text, size, "%s: %s; run the command again", what,
		    rc_str(rc));
	return engine_exit_code(rc, r);
}

/* The note on one job among ours: not the server's fault, and without it a
 * server that went back in time would not be seen. */
int
verb_bad_memory(int rc, char *text, size_t size)
{
	if (rc != RC_CORRUPT)
		return verb_failed(NULL, rc, "this client's memory of its "
		    "jobs cannot be read", text, size);
	snprintf(text, size, "what this client remembers of a job (a file in "
	    "`jobs` in its state directory) is damaged. Put it back from a "
	    "copy; or compare `storegrid snapshots` with what you expect, "
	    "then remove it: the server's word is taken once");
	return EXIT_FAILED;
}

int
verb_no_path(const struct remote *r, int rc, const char *path, char *text,
    size_t size)
{
	if (rc == RC_NOENT) {
		snprintf(text, size, "%s is not in this snapshot; "
		    "`storegrid ls` shows what is", path);
		return EXIT_NOTHING;
	}
	if ((rc == RC_MISSING || rc == RC_CORRUPT) &&
	    remote_error(r)[0] == '\0') {
		snprintf(text, size, "the way to %s in this snapshot is "
		    "damaged; try an older snapshot and tell the server's "
		    "administrator", path[0] != '\0' ? path : "/");
		return EXIT_INTEGRITY;
	}
	return verb_failed(r, rc, "reading the snapshot failed", text, size);
}

static int
code_of(const struct remote *r, int rc)
{
	switch (rc) {
	case RC_NOENT:
		return EXIT_NOTHING;
	case RC_RANGE:
		return EXIT_USAGE;
	case RC_CRYPTO:
		return EXIT_INTEGRITY;
	default:
		return engine_exit_code(rc, r);
	}
}

int
verb_choose(struct engine *e, struct remote *r, const char *spec,
    const char *job, struct snaplist *l, const struct snap **s, char *text,
    size_t size)
{
	uint8_t id[16];
	int rc;

	if ((rc = snaplist_load(e, r, l)) != RC_OK)
		return verb_failed(r, rc, "the list of snapshots cannot be "
		    "read", text, size);
	/* Who asks for the latest gets it, or hears why not.  An id is a
	 * decision of its own. */
	if (strncmp(spec, "latest", 6) == 0) {
		if (job != NULL &&
		    (rc = keys_job_id(&e->keys, job, id)) != RC_OK)
			return verb_failed(r, rc, "no job", text, size);
		rc = snaplist_check_memory(l, e->state,
		    job != NULL ? id : NULL, text, size);
		if (rc == RC_OLDER)
			return EXIT_INTEGRITY;
		if (rc != RC_OK)
			return verb_bad_memory(rc, text, size);
	}
	text[0] = '\0';
	rc = snaplist_select(l, &e->keys, spec, job, s, text, size);
	if (rc == RC_OK)
		return EXIT_DONE;
	if (text[0] == '\0')
		snprintf(text, size, "%s", rc_str(rc));
	return code_of(r, rc);
}

char *
verb_clean_path(const char *path)
{
	size_t len, n = 0;
	char *out;

	if ((out = malloc((path != NULL ? strlen(path) : 0) + 2)) == NULL)
		return NULL;
	for (; path != NULL; path += len) {
		path += strspn(path, "/");
		if ((len = strcspn(path, "/")) == 0)
			break;
		out[n++] = '/';
		memcpy(out + n, path, len);
		n += len;
	}
	out[n] = '\0';
	return out;
}
