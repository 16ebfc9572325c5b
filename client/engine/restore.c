#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/engine/event.h"
#include "client/engine/restore_impl.h"
#include "client/engine/verb_util.h"
#include "common/io.h"
#include "common/rc.h"

/*
 * The verb.  What may be trusted: nothing that comes over the link before its
 * seal was opened; afterwards names and lengths are still checked where they
 * are used.  All writing goes through target.h.
 */

static size_t window_size = WINDOW_SIZE;

void
restore_window_size(size_t n)
{
	window_size = n;
}

static int
on_object(void *arg, uint32_t request, const struct object_id *id,
    const uint8_t *wire, size_t len)
{
	struct restore *x = arg;
	int rc;

	if (x->tree != NULL && tree_object(x->tree, request, id, wire, len,
	    &rc))
		return rc;
	return window_object(x, request, id, wire, len);
}

/* --- what the threads need --- */

static void
workers_free(struct restore *x)
{
	int i, n = pool_threads() + 1;

	for (i = 0; x->worker != NULL && i < n; i++) {
		tdir_cache_clear(&x->worker[i].dirs);
		sealer_free(x->worker[i].sealer);
		free(x->worker[i].plain);
		free(x->worker[i].again);
	}
	free(x->worker);
}

static int
workers_make(struct restore *x)
{
	int i, n = pool_threads() + 1;
	struct rworker *w;

	if ((x->worker = calloc((size_t)n, sizeof(*x->worker))) == NULL)
		return RC_NOMEM;
	for (i = 0; i < n; i++)
		tdir_cache_init(&x->worker[i].dirs, &x->target);
	for (i = 0; i < n; i++) {
		w = &x->worker[i];
		w->sealer = sealer_new(&x->e->keys);
		w->plain = malloc(OBJECT_RAW_MAX);
		if (x->o->verify)
			w->again = malloc(OBJECT_RAW_MAX);
		if (w->sealer == NULL || w->plain == NULL ||
		    (x->o->verify && w->again == NULL))
			return RC_NOMEM;
	}
	x->own = &x->worker[n - 1];
	return RC_OK;
}

static int
setup(struct restore *x)
{
	x->files = NULL;
	x->complete_end = &x->complete;
	x->objs_end = &x->objs;
	x->todo_end = &x->todo;
	x->bucket = calloc(OBJ_BUCKETS, sizeof(*x->bucket));
	x->links = calloc(LINK_BUCKETS, sizeof(*x->links));
	x->sealer = sealer_new(&x->e->keys);
	if (x->bucket == NULL || x->links == NULL || x->sealer == NULL)
		return RC_NOMEM;
	return workers_make(x);
}

static void
links_free(struct restore *x)
{
	struct rlink *l;
	size_t i;

	for (i = 0; x->links != NULL && i < LINK_BUCKETS; i++)
		while ((l = x->links[i]) != NULL) {
			x->links[i] = l->next;
			rdir_put(l->dir);
			free(l->name);
			free(l);
		}
	free(x->links);
}

/*
 * Also in the middle: threads first, then the tree, which lets go of what it
 * was to visit, then what is left of the plan.
 */
static void
teardown(struct restore *x)
{
	if (x->bucket != NULL)
		window_free(x);
	tree_free(x->tree);
	if (x->worker != NULL)
		end_discard(x);
	links_free(x);
	workers_free(x);
	sealer_free(x->sealer);
	free(x->xattrs);
}

/* --- the target --- */

static bool
is_empty(int dirfd)
{
	struct dirent *d;
	bool empty = true;
	DIR *dir;
	int fd;

	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return false;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return false;
	}
	while (empty && (d = readdir(dir)) != NULL)
		empty = strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0;
	closedir(dir);
	return empty;
}

static int
check_target(struct restore *x, char *text, size_t size)
{
	struct stat st;

	x->target.fd = x->e->target_fd;
	if (x->o->dry_run)
		return EXIT_DONE;
	if (x->target.fd == -1 || fstat(x->target.fd, &st) != 0 ||
	    !S_ISDIR(st.st_mode)) {
		snprintf(text, size, "the place to restore to is no "
		    "directory; give one with --to");
		return EXIT_USAGE;
	}
	/* The mode of what is made is always set in full. */
	umask(0);
	return EXIT_DONE;
}

/* --- one restore --- */

/* Everything below what was pushed.  Both halves move in turn. */
static int
run(struct restore *x)
{
	bool end = false;
	int rc;

	while (!end || !window_empty(x)) {
		rc = RC_OK;
		while (!end && rc == RC_OK && !window_full(x)) {
			rc = tree_step(x->tree);
			if (rc == RC_EOF) {
				end = true;
				rc = RC_OK;
			} else if (rc == RC_OK) {
				rc = report_progress(x);
			}
		}
		if (rc == RC_OK)
			rc = atomic_load(&x->fatal);
		if (rc == RC_OK)
			rc = window_run(x);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* A directory's content comes into the target, a file beside its own name. */
static int
start(struct restore *x, const struct object_id *root, struct entry *e,
    char *prefix)
{
	struct rdir *d;
	char *slash;
	int rc;

	if (e != NULL && e->ref != REF_DIR &&
	    (slash = strrchr(prefix, '/')) != NULL)
		*slash = '\0';
	x->prefix = prefix;
	if ((d = rdir_new(x, NULL, NULL)) == NULL)
		return RC_NOMEM;
	if (e == NULL)
		return tree_push_dir(x->tree, root, 0, d);
	if (e->ref == REF_DIR) {
		/* Somebody's directory with other things in it keeps its own
		 * owner and mode. */
		if (!x->o->dry_run && is_empty(x->target.fd) &&
		    (d->e = entry_copy(e)) == NULL)
			return RC_NOMEM;
		return tree_push_dir(x->tree, &e->ref_id, e->ref_height, d);
	}
	rc = plan_entry(x, d, e);
	rdir_put(d);
	return rc;
}

static int
send_summary(struct restore *x, const struct snap *s)
{
	struct wbuf body = WBUF_INIT(256);
	int rc;

	wbuf_u8(&body, EVENT_SUMMARY);
	wbuf_bytes(&body, s->id.b, sizeof(s->id.b));
	wbuf_u64(&body, atomic_load(&x->ndone) + x->same);
	wbuf_u64(&body, x->dirs_done);
	wbuf_u64(&body, atomic_load(&x->nbytes));
	wbuf_u64(&body, atomic_load(&x->nbytes));
	wbuf_u64(&body, x->fetched);
	wbuf_u64(&body, x->skipped);
	wbuf_u64(&body, io_now_ms() - x->started_ms);
	rc = engine_event(x->e, &body);
	wbuf_free(&body);
	return rc;
}

static int
warnings(struct restore *x)
{
	char line[256];
	int rc = RC_OK;

	if (x->unowned > 0) {
		snprintf(line, sizeof(line), "the owner of %" PRIu64 " files "
		    "and directories could not be set; run as root to restore "
		    "owners", x->unowned);
		rc = report_warning(x, line);
	}
	if (rc == RC_OK && x->nlinks >= LINKS_MAX)
		rc = report_warning(x, "there are more hard-linked files than "
		    "can be remembered; some are separate copies now");
	return rc;
}

static int
result(struct restore *x, char *text, size_t size)
{
	uint64_t done = atomic_load(&x->ndone);

	if (x->damaged > 0) {
		snprintf(text, size, "%" PRIu64 " object%s damaged or "
		    "missing on the server; the files this touches are "
		    "listed, the rest was restored. Try an older snapshot for "
		    "those, and tell the server's administrator", x->damaged,
		    x->damaged == 1 ? " is" : "s are");
		return EXIT_INTEGRITY;
	}
	if (x->skipped > 0) {
		snprintf(text, size, "%" PRIu64 " files or parts of them "
		    "could not be restored, see the list; run the same "
		    "command again once the reason is gone", x->skipped);
		return EXIT_PARTIAL;
	}
	if (x->o->dry_run)
		snprintf(text, size, "%" PRIu64 " files and %" PRIu64
		    " directories would be restored", done, x->dirs_done);
	else
		snprintf(text, size, "%" PRIu64 " files restored, %" PRIu64
		    " were there already, %" PRIu64 " other files kept", done,
		    x->same, x->kept);
	return EXIT_DONE;
}

static int
failed(struct restore *x, int rc, char *text, size_t size)
{
	int err = atomic_load(&x->fatal_errno);

	if (rc == RC_FULL && remote_error_code(x->r) == 0) {
		snprintf(text, size, "no space left at the target (%s); make "
		    "room and run the same command again, it goes on where it "
		    "stopped", err != 0 ? strerror(err) : rc_str(rc));
		return EXIT_SPACE;
	}
	if (rc == RC_READONLY && remote_error_code(x->r) == 0) {
		snprintf(text, size, "the target is read-only; choose another "
		    "one");
		return EXIT_FAILED;
	}
	return verb_failed(x->r, rc, "the restore stopped", text, size);
}

static int
restore_tree(struct restore *x, const struct snap *s, char *text, size_t size)
{
	struct entry *e = NULL;
	char *prefix = NULL;
	int rc, code;

	if ((code = check_target(x, text, size)) != EXIT_DONE)
		return code;
	if ((rc = setup(x)) != RC_OK ||
	    (prefix = verb_clean_path(x->o->path)) == NULL ||
	    (x->tree = tree_new(x->r, x->sealer, &(struct tree_ops){
	    .arg = x, .entry = restore_ops.entry, .leave = restore_ops.leave,
	    .extent = restore_ops.extent, .bad = restore_ops.bad })) == NULL) {
		code = verb_failed(x->r, rc != RC_OK ? rc : RC_NOMEM,
		    "the restore cannot start", text, size);
		goto out;
	}
	rc = tree_lookup(x->tree, &s->c.edge[0], prefix, &e);
	if (rc != RC_OK) {
		code = verb_no_path(x->r, rc, prefix, text, size);
		goto out;
	}
	if (e == NULL && s->rc == RC_OK) {
		x->total_files = s->body.files;
		x->total_bytes = s->body.bytes;
	}
	x->window = window_size;
	if ((rc = start(x, &s->c.edge[0], e, prefix)) != RC_OK ||
	    (rc = run(x)) != RC_OK ||
	    (rc = warnings(x)) != RC_OK) {
		code = failed(x, rc, text, size);
		goto out;
	}
	/* One wait for the disk instead of one a file. */
	if (!x->o->dry_run && fsync(x->target.fd) != 0) {
		atomic_store(&x->fatal_errno, errno);
		code = failed(x, rc_errno(errno), text, size);
		goto out;
	}
	(void)send_summary(x, s);
	code = result(x, text, size);
out:
	teardown(x);
	free(e);
	free(prefix);
	return code;
}

int
restore_run(struct engine *e, const struct restore_opt *o, char *text,
    size_t size)
{
	struct restore x = { .e = e, .o = o, .started_ms = io_now_ms() };
	struct remote_events ev = { .arg = &x, .object = on_object };
	struct snaplist list = { 0 };
	const struct snap *s;
	int code, rc;

	if ((rc = engine_connect(e, &x.r, &ev, NULL)) != RC_OK)
		return verb_no_connection(e, rc, text, size);
	code = verb_choose(e, x.r, o->snap, o->job, &list, &s, text, size);
	if (code == EXIT_DONE)
		code = restore_tree(&x, s, text, size);
	snaplist_free(&list);
	remote_close(x.r);
	return code;
}
