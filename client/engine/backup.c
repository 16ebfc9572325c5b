#include "config.h"

#include <sys/eventfd.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/engine/backup_priv.h"
#include "client/engine/event.h"
#include "client/engine/snapbody.h"
#include "client/engine/verb_util.h"
#include "common/io.h"
#include "common/rc.h"

/*
 * One backup run, from the lock on its job to the receipt.  What happens to the
 * files is backup_round.c.
 */
#define ROUNDS_MAX	3

struct session {
	struct run		 run;
	struct engine		*e;
	const struct backup_opt	*o;
	char			 label[SNAPSHOT_LABEL_MAX + 1];
	uint8_t			 job[16];
	struct job_state	 last;		/* what we remember of the job */
	bool			 has_last;
	int			 job_fd;
	struct remote		*remote;
	uint8_t			 run_id[16];	/* of the round under way */
	bool			 begun;
	uint64_t		 server_seq;	/* newest of this client there */
	bool			 base_accepted;
	struct snapshot_server	 receipt;
	struct object_id	 snapshot;
	char			*text;
	size_t			 size;
};

static int
fail(struct session *s, int rc, const char *what)
{
	const char *why = s->remote != NULL ? remote_error(s->remote) : NULL;

	if (s->text[0] != '\0')
		return rc;
	if (why != NULL && why[0] != '\0')
		snprintf(s->text, s->size, "%s: %s", what, why);
	else if (s->e->error[0] != '\0')
		snprintf(s->text, s->size, "%s: %s", what, s->e->error);
	else
		snprintf(s->text, s->size, "%s: %s", what, rc_str(rc));
	return rc;
}

/*
 * Without a name of its own a job is called after its paths; what the server
 * sees then is a number.
 */
static int
name_job(struct session *s)
{
	const struct backup_opt *o = s->o;
	struct wbuf name = WBUF_INIT(3072);
	size_t i;
	int rc;

	if (o->job != NULL && o->job[0] != '\0') {
		if (strlen(o->job) > SNAPSHOT_LABEL_MAX)
			return RC_CONFIG;
		snprintf(s->label, sizeof(s->label), "%s", o->job);
		return keys_job_id(&s->e->keys, o->job, s->job);
	}
	for (i = 0; i < o->npaths; i++) {
		wbuf_bytes(&name, o->paths[i], strlen(o->paths[i]));
		wbuf_u8(&name, '\n');
	}
	wbuf_u8(&name, '\0');
	if ((rc = wbuf_rc(&name)) == RC_OK)
		rc = keys_job_id(&s->e->keys, (const char *)name.data, s->job);
	wbuf_free(&name);
	snprintf(s->label, sizeof(s->label), "files-%02x%02x%02x%02x",
	    s->job[0], s->job[1], s->job[2], s->job[3]);
	return rc == RC_LIMIT ? RC_CONFIG : rc;
}

/* --- is the server where we left it? --- */

struct lineage {
	struct session	*s;
	bool		 found;			/* the one we remember */
	uint64_t	 n;			/* newer ones */
	uint8_t		 tip[32];
	struct job_state newest;
};

static int
remember(struct job_state *j, const struct session *s,
    const struct snapshot_client *c, const struct object_id *id,
    const struct snapshot_server *server)
{
	struct wbuf out = WBUF_INIT(SNAPSHOT_SERVER_LEN + 64);
	int rc;

	memset(j, 0, sizeof(*j));
	snprintf(j->label, sizeof(j->label), "%s", s->label);
	memcpy(j->job, s->job, sizeof(j->job));
	memcpy(j->snapshot, id->b, sizeof(j->snapshot));
	j->sequence = c->sequence;
	j->vault_seq = server->vault_seq;
	j->job_seq = server->job_seq;
	snapshot_put_server(&out, server);
	if ((rc = wbuf_rc(&out)) == RC_OK)
		rc = sha256(out.data, out.len, j->receipt);
	wbuf_free(&out);
	return rc;
}

/*
 * What the server has of this job behind the snapshot we remember.  It is ours
 * when each follows the one before and carries our seal and signature: then its
 * answer was lost.  Who remembers nothing (after `recover`) takes what opens.
 */
static int
on_listed(void *arg, const struct listed *l)
{
	struct lineage *g = arg;
	struct session *s = g->s;
	struct snapshot_client c;
	struct snapbody body;
	struct object_id id;
	int rc, signed_ok = 0;

	if ((rc = snapshot_id(l->client, l->client_len, &id)) != RC_OK)
		return rc;
	if (s->has_last && !g->found &&
	    memcmp(id.b, s->last.snapshot, sizeof(id.b)) != 0)
		return RC_OLDER;
	rc = snapbody_open(&s->e->keys, l->client, l->client_len, &c, &body,
	    &signed_ok);
	if (rc == RC_OK) {
		s->run.base_files = body.files;
		s->run.base_bytes = body.bytes;
		snapbody_clear(&body);
	}
	if (s->has_last && !g->found) {
		/* We know it by its id, whatever opens of it. */
		g->found = true;
		memcpy(g->tip, id.b, sizeof(g->tip));
		return RC_OK;
	}
	if (rc != RC_OK)
		return rc == RC_NOMEM ? rc : RC_OLDER;
	if (memcmp(c.job, s->job, sizeof(c.job)) != 0)
		return RC_OLDER;
	if (s->has_last && (!signed_ok ||
	    memcmp(c.previous, g->tip, sizeof(g->tip)) != 0))
		return RC_OLDER;
	memcpy(g->tip, id.b, sizeof(g->tip));
	g->n++;
	return remember(&g->newest, s, &c, &id, &l->server);
}

static int
compare_with_server(struct session *s)
{
	struct lineage g = { .s = s };
	uint64_t after = 0;
	int rc;

	if (s->has_last && s->last.vault_seq > 0)
		after = s->last.vault_seq - 1;
	rc = remote_list(s->remote, s->job, after, on_listed, &g);
	if (rc == RC_OLDER || (rc == RC_OK && s->has_last && !g.found)) {
		snprintf(s->text, s->size, "the server does not have the last "
		    "snapshot of this job that it once confirmed: it was put "
		    "back to an older state, or another machine uses this "
		    "client's keys; nothing was saved");
		return RC_OLDER;
	}
	if (rc != RC_OK)
		return fail(s, rc, "list of snapshots");
	if (g.n == 0)
		return RC_OK;
	s->last = g.newest;
	s->has_last = true;
	if ((rc = job_save(s->e->state, &s->last)) != RC_OK)
		return fail(s, rc, "state of the job");
	return RC_OK;
}

/* --- cache and table --- */

static void
make_cache_key(struct session *s, struct cache_key *k)
{
	memset(k, 0, sizeof(*k));
	memcpy(k->vault, s->e->keys.vault, sizeof(k->vault));
	memcpy(k->params, s->e->keys.params, sizeof(k->params));
	owners_hash(s->run.owners, k->owners);
}

static void
hex(const uint8_t *p, size_t n, char *out)
{
	size_t i;

	for (i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static void
cache_drop(struct run *r)
{
	cache_writer_free(r->writer);
	cache_close(r->old);
	fids_close(r->fids);
	r->writer = NULL;
	r->old = NULL;
	r->fids = NULL;
	r->reuse = false;
}

/* believe: use what is there; false after something proved to be missing. */
static int
cache_prepare(struct session *s, bool believe)
{
	struct run *r = &s->run;
	int dirfd = s->e->state->state_fd;
	bool same_owners = false, fresh;
	char spill[64];

	cache_drop(r);
	(void)mkdirat(dirfd, "cache", 0700);
	make_cache_key(s, &r->cache_key);
	memcpy(r->cache_key.base, s->last.snapshot,
	    sizeof(r->cache_key.base));
	if (believe && s->has_last)
		(void)cache_open(&r->old, dirfd, r->cache_name, &r->cache_key,
		    &same_owners);
	fresh = r->old == NULL || cache_bloated(r->old);
	r->reuse = !fresh && same_owners;
	if (r->o->dry_run)
		return RC_OK;
	/* No cache is no failure: the next run reads all. */
	if (cache_writer_new(&r->writer, dirfd, r->cache_name,
	    fresh ? NULL : r->old) != RC_OK)
		r->writer = NULL;
	snprintf(spill, sizeof(spill), "%s.fids", r->cache_name);
	return fids_open(&r->fids, dirfd, "fids", spill, s->e->keys.vault,
	    believe && r->ask);
}

static void
cache_keep(struct session *s, bool replace_fids)
{
	struct run *r = &s->run;
	struct cache_key k = r->cache_key;

	memcpy(k.base, s->snapshot.b, sizeof(k.base));
	/* Also when nothing changed: it is now good for this snapshot. */
	if (r->writer != NULL && !r->cache_bad)
		(void)cache_writer_commit(r->writer, r->root_at, &k);
	(void)fids_commit(r->fids, replace_fids);
}

/* --- the snapshot --- */

static int
put_report(struct session *s, struct object_id *id)
{
	struct run *r = &s->run;
	struct sealer *sealer = NULL;
	struct wbuf plain = WBUF_INIT(REPORT_PLAIN_MAX + 64);
	uint8_t *wire = NULL;
	size_t len;
	int rc;

	wbuf_u8(&plain, 1);
	wbuf_u64(&plain, atomic_load(&r->n.skipped));
	wbuf_u32(&plain, r->reported);
	wbuf_bytes(&plain, r->report.data, r->report.len);
	if ((rc = wbuf_rc(&plain)) != RC_OK)
		goto out;
	sealer = sealer_new(r->k);
	wire = malloc(seal_room(plain.len, 0));
	if (sealer == NULL || wire == NULL) {
		rc = RC_NOMEM;
		goto out;
	}
	if ((rc = seal_node_id(sealer, OBJECT_REPORT, 1, NULL, 0, plain.data,
	    plain.len, id)) != RC_OK ||
	    (rc = seal_object(sealer, OBJECT_REPORT, 1, id, NULL, 0,
	    plain.data, plain.len, wire, &len)) != RC_OK ||
	    (rc = remote_put(s->remote, wire, len)) != RC_OK)
		goto out;
	atomic_fetch_add(&r->n.stored_bytes, len);
out:
	sealer_free(sealer);
	free(wire);
	wbuf_free(&plain);
	return rc;
}

static int
make_snapshot(struct session *s, uint64_t sequence, struct wbuf *out)
{
	struct run *r = &s->run;
	struct snapshot_client c = { .sequence = sequence, .edge_count = 1 };
	struct snapbody b = {
		.start_ns = r->start_ns,
		.files = atomic_load(&r->n.files),
		.dirs = atomic_load(&r->n.dirs),
		.bytes = atomic_load(&r->n.bytes),
		.new_bytes = atomic_load(&r->n.new_bytes),
		.skipped = atomic_load(&r->n.skipped),
		.npaths = (uint16_t)(s->o->npaths < SNAPBODY_PATHS_MAX ?
		    s->o->npaths : SNAPBODY_PATHS_MAX),
		.paths = s->o->paths,
	};
	int rc;

	memcpy(c.vault, r->k->vault, sizeof(c.vault));
	memcpy(c.client, r->k->client, sizeof(c.client));
	memcpy(c.job, s->job, sizeof(c.job));
	snprintf(c.label, sizeof(c.label), "%s", s->label);
	if (s->has_last)
		memcpy(c.previous, s->last.snapshot, sizeof(c.previous));
	memcpy(c.params, r->k->params, sizeof(c.params));
	c.edge[0] = r->root_id;
	if (b.skipped > 0) {
		c.flags |= SNAPSHOT_F_PARTIAL;
		if ((rc = put_report(s, &c.edge[1])) != RC_OK)
			return rc;
		c.edge_count = 2;
	}
	if (gethostname(b.host, sizeof(b.host) - 1) != 0)
		b.host[0] = '\0';
	b.stored_bytes = atomic_load(&r->n.stored_bytes);
	b.end_ns = io_wall_ns();
	if ((rc = snapbody_seal(r->k, &c, &b, out)) != RC_OK)
		return rc;
	return snapshot_id(out->data, out->len, &s->snapshot);
}

/* The receipt must be of this vault, this snapshot, and by the server's key. */
static int
check_receipt(struct session *s)
{
	struct wbuf text = WBUF_INIT(1024);
	int rc;

	snapshot_receipt_text(&text, s->run.k->vault, &s->snapshot,
	    &s->receipt);
	if ((rc = wbuf_rc(&text)) == RC_OK)
		rc = ed25519_verify(remote_hello(s->remote)->identity,
		    text.data, text.len, s->receipt.sig);
	wbuf_free(&text);
	return rc;
}

static int
job_keep(struct session *s, uint64_t sequence)
{
	struct snapshot_client c = { .sequence = sequence };
	struct job_state j;
	int rc;

	if ((rc = remember(&j, s, &c, &s->snapshot, &s->receipt)) != RC_OK)
		return rc;
	s->last = j;
	s->has_last = true;
	return job_save(s->e->state, &j);
}

static int
commit(struct session *s)
{
	struct object_id *missing;
	struct wbuf snap = WBUF_INIT(SNAPSHOT_CLIENT_MAX);
	uint64_t sequence;
	size_t n = 0;
	int fd = -1, rc;

	if ((missing = calloc(PROTO_IDS_MAX, sizeof(*missing))) == NULL)
		return RC_NOMEM;
	if ((rc = sequence_lock(s->e->state, &fd, &sequence)) != RC_OK) {
		fail(s, rc, "sequence of this client");
		goto out;
	}
	if (sequence <= s->server_seq)
		sequence = s->server_seq + 1;
	if ((rc = make_snapshot(s, sequence, &snap)) != RC_OK) {
		fail(s, rc, "snapshot");
		goto out;
	}
	rc = remote_commit(s->remote, snap.data, snap.len, &s->receipt,
	    missing, &n);
	if (rc != RC_OK) {
		if (rc != RC_MISSING)
			fail(s, rc, "commit");
		goto out;
	}
	if ((rc = check_receipt(s)) != RC_OK) {
		snprintf(s->text, s->size,
		    "the server's receipt is not signed by its identity key");
		goto out;
	}
	if ((rc = sequence_used(s->e->state, sequence)) != RC_OK ||
	    (rc = job_keep(s, sequence)) != RC_OK)
		fail(s, rc, "the snapshot is committed, its receipt could not "
		    "be kept");
out:
	fd_close(&fd);
	wbuf_free(&snap);
	free(missing);
	return rc;
}

/* --- the run --- */

/* A run of its own for each round: the server would go on waiting for what
 * nodes of a failed one refer to. */
static int
begin_run(struct session *s)
{
	struct run_begin b = { 0 };
	struct run_ok ok;
	int rc;

	if ((rc = secret_random(b.run, sizeof(b.run))) != RC_OK)
		return rc;
	memcpy(b.job, s->job, sizeof(b.job));
	if (s->has_last)
		memcpy(b.base.b, s->last.snapshot, sizeof(b.base.b));
	if ((rc = remote_run_begin(s->remote, &b, &ok)) != RC_OK)
		return fail(s, rc, "begin");
	memcpy(s->run_id, b.run, sizeof(s->run_id));
	s->begun = true;
	s->server_seq = ok.client_seq;
	s->base_accepted = (ok.flags & PROTO_RUN_BASE) != 0;
	s->run.ask = (ok.flags & PROTO_RUN_EMPTY) == 0;
	s->run.remote = s->remote;
	return RC_OK;
}

static int
connect_and_begin(struct session *s)
{
	int rc;

	if ((rc = engine_connect(s->e, &s->remote, NULL, NULL)) != RC_OK)
		return fail(s, rc, "connect");
	if ((rc = compare_with_server(s)) != RC_OK)
		return rc;
	return begin_run(s);
}

static int
save_and_commit(struct session *s)
{
	struct run *r = &s->run;
	bool believe = s->base_accepted || s->o->dry_run;
	int round, rc = RC_MISSING;

	for (round = 0; round < ROUNDS_MAX && rc == RC_MISSING; round++) {
		if (round > 0 && (rc = begin_run(s)) != RC_OK)
			return rc;
		if ((rc = cache_prepare(s, believe && round == 0)) != RC_OK)
			return fail(s, rc, "table of contents");
		if ((rc = round_run(r)) != RC_OK) {
			if (rc != RC_MISSING)
				fail(s, rc, "save");
			continue;
		}
		if (r->npaths_found == 0)
			return RC_NOENT;
		if (s->o->dry_run)
			return RC_OK;
		if ((rc = commit(s)) == RC_OK)
			cache_keep(s, round > 0);
	}
	if (rc == RC_MISSING)
		snprintf(s->text, s->size, "the server misses objects that "
		    "were sent to it, after %d tries", ROUNDS_MAX);
	return rc;
}

static void
summary(struct session *s)
{
	struct counts *n = &s->run.n;
	struct wbuf ev = WBUF_INIT(512);

	wbuf_u8(&ev, EVENT_SUMMARY);
	wbuf_bytes(&ev, s->snapshot.b, sizeof(s->snapshot.b));
	wbuf_u64(&ev, atomic_load(&n->files));
	wbuf_u64(&ev, atomic_load(&n->dirs));
	wbuf_u64(&ev, atomic_load(&n->bytes));
	wbuf_u64(&ev, atomic_load(&n->new_bytes));
	wbuf_u64(&ev, atomic_load(&n->stored_bytes));
	wbuf_u64(&ev, atomic_load(&n->skipped));
	wbuf_u64(&ev, (uint64_t)((io_wall_ns() - s->run.start_ns) / 1000000));
	(void)engine_event(s->e, &ev);
	wbuf_free(&ev);
}

/* To the server, so that its owner sees what only this side knows. */
static void
report(struct session *s, int code)
{
	struct counts *n = &s->run.n;
	struct report rep = {
		.outcome = code == EXIT_DONE ? REPORT_OK :
		    code == EXIT_INCOMPLETE ? REPORT_INCOMPLETE :
		    s->e->cancelled ? REPORT_CANCELLED : REPORT_FAILED,
		.files = atomic_load(&n->files),
		.dirs = atomic_load(&n->dirs),
		.bytes = atomic_load(&n->bytes),
		.new_bytes = atomic_load(&n->new_bytes),
		.skipped = atomic_load(&n->skipped),
		.milliseconds = (uint64_t)((io_wall_ns() -
		    s->run.start_ns) / 1000000),
	};

	if (!s->begun)
		return;
	memcpy(rep.run, s->run_id, sizeof(rep.run));
	remote_report(s->remote, &rep);
}

static int
prepare(struct session *s)
{
	struct run *r = &s->run;
	int rc;

	r->e = s->e;
	r->o = s->o;
	r->k = &s->e->keys;
	r->start_ns = io_wall_ns();
	r->euid = geteuid();
	pthread_mutex_init(&r->qlock, NULL);
	pthread_mutex_init(&r->seen_lock, NULL);
	pthread_mutex_init(&r->order, NULL);
	pthread_mutex_init(&r->tree, NULL);
	pthread_mutex_init(&r->large_lock, NULL);
	pthread_mutex_init(&r->inline_lock, NULL);
	pthread_mutex_init(&r->report_lock, NULL);
	pthread_mutex_init(&r->where_lock, NULL);
	wbuf_init(&r->report, REPORT_PLAIN_MAX);
	if ((r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == -1)
		return rc_errno(errno);
	if ((rc = chunker_init(&r->chunker, &r->k->cdc)) != RC_OK ||
	    (rc = owners_load(&r->owners)) != RC_OK)
		return rc;
	memcpy(r->cache_name, "cache/", 6);
	hex(s->job, sizeof(s->job), r->cache_name + 6);
	return RC_OK;
}

static void
tidy(struct session *s)
{
	struct run *r = &s->run;

	cache_drop(r);
	owners_unload(r->owners);
	wbuf_free(&r->report);
	fd_close(&r->wake_fd);
	fd_close(&s->job_fd);
	remote_close(s->remote);
}

static int
finish(struct session *s, int rc)
{
	struct counts *n = &s->run.n;
	int code;

	if (rc == RC_NOENT && s->text[0] == '\0') {
		snprintf(s->text, s->size,
		    "none of the paths is there; nothing was saved");
		return EXIT_NOTHING;
	}
	if (rc != RC_OK) {
		code = engine_exit_code(rc, s->remote);
		if (s->text[0] == '\0')
			snprintf(s->text, s->size, "backup: %s", rc_str(rc));
		return code;
	}
	summary(s);
	if (atomic_load(&n->skipped) > 0) {
		snprintf(s->text, s->size, "%s, but %llu could not be saved",
		    s->o->dry_run ? "looked through" : "saved",
		    (unsigned long long)atomic_load(&n->skipped));
		return EXIT_INCOMPLETE;
	}
	return EXIT_DONE;
}

int
backup_run(struct engine *e, const struct backup_opt *o, char *text,
    size_t size)
{
	struct session *s;
	int code, rc;

	text[0] = '\0';
	if (o->npaths == 0) {
		snprintf(text, size, "no paths to save");
		return EXIT_USAGE;
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return EXIT_FAILED;
	s->e = e;
	s->o = o;
	s->text = text;
	s->size = size;
	s->job_fd = s->run.wake_fd = -1;
	if ((rc = name_job(s)) != RC_OK) {
		snprintf(text, size, rc == RC_CONFIG ?
		    "the job's name is too long" : "cannot name the job");
		goto out;
	}
	if ((rc = prepare(s)) != RC_OK)
		goto out;
	if ((rc = job_lock(e->state, s->job, &s->job_fd)) != RC_OK) {
		if (rc == RC_BUSY)
			snprintf(text, size,
			    "a run of this job is under way");
		goto out;
	}
	rc = job_load(e->state, s->job, &s->last);
	s->has_last = rc == RC_OK;
	if (rc != RC_OK && rc != RC_NOENT) {
		code = verb_bad_memory(rc, text, size);
		tidy(s);
		free(s);
		return code;
	}
	if (!o->dry_run && (rc = connect_and_begin(s)) != RC_OK)
		goto out;
	rc = save_and_commit(s);
out:
	code = finish(s, rc);
	report(s, code);
	tidy(s);
	free(s);
	return code;
}
