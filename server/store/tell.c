#include "config.h"

#include "server/store/tell.h"

#include <sys/stat.h>
#include <sys/vfs.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "common/wbuf.h"
#include "server/store/packname.h"

#define SIZE_BATCH	64		/* packs looked at in one turn */
#define ASKS_AT_ONCE	4

void
tell_init(struct tell *t, struct vault *v)
{
	memset(t, 0, sizeof(*t));
	t->v = v;
}

static void
drop(struct tell *t, const char *why)
{
	if (why != NULL)
		log_warn("catalog: %s: told nothing more", why);
	chan_free(t->c);
	t->c = NULL;
	t->asked = false;
}

static int
tell(struct tell *t, enum msg_type type, struct wbuf *body)
{
	int rc = RC_EOF;

	if (t->c != NULL && (rc = chan_send_now(t->c, type, body, -1)) !=
	    RC_OK && rc != RC_AGAIN)
		drop(t, rc == RC_EOF ? NULL : rc_str(rc));
	wbuf_free(body);
	return rc;
}

static int64_t
wall_seconds(const struct tell *t)
{
	int64_t wall;
	uint64_t boot;

	return vault_time(t->v, &wall, &boot) == RC_OK ?
	    wall / 1000000000 : 0;
}

/* --- runs --- */

static void
describe(const struct tell *t, const struct run *r, uint8_t state,
    struct feed_run *f)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->run, r->id, sizeof(f->run));
	memcpy(f->client, r->client, sizeof(f->client));
	memcpy(f->job, r->job, sizeof(f->job));
	f->state = state;
	f->started = r->told.started;
	f->now = wall_seconds(t);
	f->objects = r->told.objects;
	f->received = r->told.bytes;
}

static void
send_run(struct tell *t, const struct feed_run *f)
{
	struct wbuf body = WBUF_INIT(512);

	feed_run_put(&body, f);
	(void)tell(t, MSG_CAT_RUN, &body);
}

static void
tell_run(struct tell *t, struct run *r, enum feed_run_state state)
{
	struct feed_run f;

	r->told.news = false;
	r->told.at_ms = io_now_ms();
	if (t->c == NULL)
		return;
	describe(t, r, (uint8_t)state, &f);
	send_run(t, &f);
}

void
tell_begun(struct tell *t, struct run *r, bool resumed)
{
	r->told.left = false;
	if (!resumed)
		r->told.started = wall_seconds(t);
	tell_run(t, r, resumed ? FEED_RUN_GOING : FEED_RUN_BEGUN);
}

void
tell_put(struct run *r, size_t len)
{
	r->told.objects++;
	r->told.bytes += len;
	r->told.news = true;
}

void
tell_left(struct tell *t, struct run *r)
{
	if (r->told.left)
		return;
	tell_run(t, r, FEED_RUN_LEFT);
	r->told.left = true;
}

void
tell_keep(struct tell *t, const struct run *r, struct feed_run *f)
{
	describe(t, r, FEED_RUN_COMMITTED, f);
}

static struct told_done *
find_done(struct tell *t, const uint8_t run[16])
{
	for (unsigned i = 0; i < TELL_DONE_MAX && i < t->ndone; i++)
		if (memcmp(t->done[i].run, run, 16) == 0)
			return &t->done[i];
	return NULL;
}

static void
remember(struct tell *t, const struct feed_run *f, uint64_t vault_seq)
{
	struct told_done *d = &t->done[t->ndone % TELL_DONE_MAX];

	memcpy(d->run, f->run, sizeof(d->run));
	memcpy(d->client, f->client, sizeof(d->client));
	d->vault_seq = vault_seq;
	d->started = f->started;
	/* Stays above the array's size once it got there, so that all of it is
	 * looked at, and keeps its place in the circle. */
	if (++t->ndone == 2 * TELL_DONE_MAX)
		t->ndone = TELL_DONE_MAX;
}

/* --- snapshots --- */

static int
send_snapshot(struct tell *t, const uint8_t *client, size_t len,
    const struct snapshot_server *s)
{
	struct wbuf body = WBUF_INIT(512);
	struct feed_snapshot f = { 0 };
	struct snapshot_client c;
	int rc;

	if ((rc = snapshot_get_client(client, len, &c)) != RC_OK ||
	    (rc = snapshot_id(client, len, &f.id)) != RC_OK)
		return rc;
	memcpy(f.client, c.client, sizeof(f.client));
	memcpy(f.job, c.job, sizeof(f.job));
	memcpy(f.label, c.label, sizeof(f.label));
	f.flags = c.flags;
	f.vault_seq = s->vault_seq;
	f.wall_ns = s->wall_ns;
	f.lock_until = s->lock_until;
	f.closure_bytes = s->closure_bytes;
	f.closure_objects = s->closure_objects;
	f.new_bytes = s->new_bytes;
	for (unsigned i = 0; i < TELL_DONE_MAX && i < t->ndone; i++) {
		if (t->done[i].vault_seq != s->vault_seq)
			continue;
		memcpy(f.run, t->done[i].run, sizeof(f.run));
		f.started = t->done[i].started;
	}
	feed_snapshot_put(&body, &f);
	return tell(t, MSG_CAT_SNAPSHOT, &body);
}

static void
ask(struct tell *t, uint64_t after)
{
	if (!t->asked || after < t->after)
		t->after = after;
	t->asked = true;
}

void
tell_committed(struct tell *t, struct feed_run *f, const struct commit *c)
{
	uint64_t seq = c->server.vault_seq, now = io_now_ms();

	remember(t, f, seq);
	if (t->c == NULL)
		return;
	f->now = wall_seconds(t);
	send_run(t, f);
	if (send_snapshot(t, c->client, c->client_len, &c->server) == RC_AGAIN)
		ask(t, seq - 1);
	/* A sample from before the commit, as the one of the store's start, does
	 * not delay this one. */
	if (t->space_ms != 0 && t->space_ms + TELL_SPACE_MS > now)
		now = t->space_ms + TELL_SPACE_MS;
	if (now < t->space_due_ms)
		t->space_due_ms = now;
	t->space_old = true;
}

/* One batch, and only when the channel was found at most a quarter full
 * (POLLOUT of a unix socket): what sessions do meanwhile still has room. */
static void
answer(struct tell *t)
{
	static const uint8_t any[16];
	uint64_t until = io_now_ms() + TELL_BATCH_MS;
	int rc = RC_OK;

	for (int i = 0; i < TELL_BATCH && t->asked && rc != RC_AGAIN; i++) {
		struct listed l;
		uint8_t *raw = NULL;

		if (i > 0 && io_now_ms() >= until)
			return;
		rc = vault_snapshot_next(t->v, any, t->after, &l, &raw);
		if (rc == RC_EOF) {
			t->asked = false;
			return;
		}
		if (rc == RC_OK) {
			rc = send_snapshot(t, l.client, l.client_len,
			    &l.server);
			if (rc != RC_AGAIN)
				t->after = l.server.vault_seq;
		} else {
			/* A damaged record hides no other. */
			t->after++;
		}
		free(raw);
	}
}

/* --- reports --- */

bool
tell_report(struct tell *t, const uint8_t client[16], const struct report *r)
{
	struct wbuf body = WBUF_INIT(1024);
	const struct run *live = run_find(t->v, r->run);
	const struct told_done *done = find_done(t, r->run);

	if ((live == NULL || memcmp(live->client, client, 16) != 0) &&
	    (done == NULL || memcmp(done->client, client, 16) != 0))
		return false;
	wbuf_bytes(&body, r->run, 16);
	wbuf_bytes(&body, client, 16);
	report_put(&body, r);
	(void)tell(t, MSG_CAT_REPORT, &body);
	return true;
}

/* --- space --- */

/* The packs that are full, each looked at once; true: all of them were. */
static bool
size_packs(struct tell *t)
{
	char name[PACK_NAME_LEN];
	struct stat st;
	int left = SIZE_BATCH;

	for (int k = 0; k < 2; k++) {
		uint64_t number, off;

		packs_end(t->v->packs, (enum pack_kind)k, &number, &off);
		while (t->sized[k] + 1 < number) {
			if (left-- == 0)
				return false;
			/* Most numbers are a pack of the other kind. */
			pack_name((enum pack_kind)k, ++t->sized[k], name);
			if (fstatat(t->v->packs_dir, name, &st,
			    AT_SYMLINK_NOFOLLOW) != 0)
				continue;
			t->sized_bytes += (uint64_t)st.st_size;
			t->sized_packs++;
		}
	}
	return true;
}

static void
send_space(struct tell *t)
{
	struct wbuf body = WBUF_INIT(64);
	struct vault *v = t->v;
	struct feed_space f = {
		.packs = t->sized_packs,
		.bytes = t->sized_bytes + journal_size(v->journal),
		.objects = index_count(v->index),
		.snapshots = v->state.nsnap,
	};
	struct statfs fs;

	/* And the two that are written now. */
	for (int k = 0; k < 2; k++) {
		uint64_t number, off;

		packs_end(v->packs, (enum pack_kind)k, &number, &off);
		if (number > packs_last(v->packs))
			continue;
		f.packs++;
		f.bytes += off;
	}
	if (fstatfs(v->dir, &fs) == 0) {
		f.fs_free = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
		f.fs_total = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
	}
	feed_space_put(&body, &f);
	(void)tell(t, MSG_CAT_SPACE, &body);
}

/* --- the loop --- */

void
tell_chan(struct tell *t, struct chan *c)
{
	drop(t, NULL);
	if (c == NULL)
		return;
	if (chan_set_nonblock(c) != RC_OK) {
		chan_free(c);
		return;
	}
	t->c = c;
	t->space_due_ms = 0;
	/* A catalog that was started anew learns what is under way. */
	for (struct run *r = t->v != NULL ? t->v->runs : NULL; r != NULL;
	    r = r->next)
		if (!r->told.left)
			tell_run(t, r, FEED_RUN_GOING);
}

int
tell_fd(const struct tell *t)
{
	return t->c != NULL ? chan_fd(t->c) : -1;
}

short
tell_events(const struct tell *t)
{
	return (short)(POLLIN | (t->asked ? POLLOUT : 0));
}

static void
on_ask(struct tell *t, struct msg *m)
{
	uint64_t after;

	if (m->type != MSG_CAT_ASK ||
	    rbuf_u64(&m->body, &after) != RC_OK ||
	    rbuf_end(&m->body) != RC_OK)
		drop(t, "a message that may not come");
	else if (t->v != NULL)
		ask(t, after);
}

void
tell_ready(struct tell *t, short revents)
{
	struct msg m;
	int rc = RC_OK;

	if (t->c == NULL)
		return;
	if (t->asked && (revents & POLLOUT) != 0)
		answer(t);
	if ((revents & (POLLIN | POLLHUP | POLLERR)) == 0)
		return;
	for (int i = 0; i < ASKS_AT_ONCE && t->c != NULL; i++) {
		if ((rc = chan_recv(t->c, &m)) == RC_AGAIN)
			return;
		if (rc != RC_OK)
			drop(t, rc == RC_EOF ? NULL : rc_str(rc));
		else
			on_ask(t, &m);
	}
}

static void
sooner(int *wait_ms, uint64_t now, uint64_t at)
{
	uint64_t left = at > now ? at - now : 0;

	if (*wait_ms < 0 || (uint64_t)*wait_ms > left)
		*wait_ms = (int)left;
}

void
tell_tick(struct tell *t, uint64_t now, int *wait_ms)
{
	if (t->c == NULL || t->v == NULL)
		return;
	for (struct run *r = t->v->runs; r != NULL; r = r->next) {
		if (!r->told.news || r->committing || r->told.left)
			continue;
		if (now - r->told.at_ms >= TELL_GOING_MS)
			tell_run(t, r, FEED_RUN_GOING);
		else
			sooner(wait_ms, now, r->told.at_ms + TELL_GOING_MS);
	}
	if (now >= t->space_due_ms) {
		if (!size_packs(t)) {
			*wait_ms = 0;
			return;
		}
		send_space(t);
		if (t->space_old)
			t->space_ms = now;
		t->space_old = false;
		t->space_due_ms = now + TELL_HOURLY_MS;
	}
	sooner(wait_ms, now, t->space_due_ms);
}

void
tell_end(struct tell *t)
{
	if (t->c != NULL && t->space_old && size_packs(t))
		send_space(t);
}
