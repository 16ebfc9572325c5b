#include "config.h"

#include "server/store/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "common/wbuf.h"
#include "server/store/dir.h"

#define CLOCK_SAVE	86400		/* seconds a crash may cost the clock */
#define TAIL_KEPT	2000		/* records the next start reads again */
#define NEW_PACK_ROOM	(64u << 10)
#define MERGE_STEP	4096		/* entries, about a millisecond */

static const char *const subdirs[] = { "packs", "journal", "index", "runs" };

static int
is_used(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return RC_EXISTS;
}

/* A directory that lost its identity files must never be made anew. */
static int
check_unused(int dirfd)
{
	int fd = -1, rc;

	if ((rc = dir_open(dirfd, "packs", &fd)) != RC_OK)
		return rc == RC_NOENT ? RC_OK : rc;
	rc = dir_each(fd, is_used, NULL);
	fd_close(&fd);
	return rc;
}

int
vault_create(int dirfd, const struct vault_opt *o)
{
	struct ident id = { .created = io_wall_ns() };
	struct ident old;
	int fd = -1, rc;

	if (ident_read(dirfd, &old) != RC_NOENT)
		return RC_EXISTS;
	if ((rc = check_unused(dirfd)) != RC_OK)
		return rc;
	memcpy(id.vault, o->vault, sizeof(id.vault));
	memcpy(id.instance, o->instance, sizeof(id.instance));
	memcpy(id.client, o->client, sizeof(id.client));
	memcpy(id.client_key, o->client_key, sizeof(id.client_key));
	memcpy(id.name, o->name, sizeof(id.name));
	for (size_t i = 0; i < sizeof(subdirs) / sizeof(subdirs[0]); i++)
		if ((rc = dir_make(dirfd, subdirs[i])) != RC_OK)
			return rc;
	if ((rc = dir_open(dirfd, "journal", &fd)) != RC_OK)
		return rc;
	rc = journal_create(fd, o->vault);
	fd_close(&fd);
	if (rc != RC_OK)
		return rc;
	/* Last: what has no identity file is no vault yet. */
	return ident_write(dirfd, &id);
}

/* The holder is told to the next who tries; the lock itself is the kernel's. */
static int
take_lock(struct vault *v, char *holder, size_t size)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[128];
	uint64_t len;
	int rc;

	if ((rc = dir_file(v->dir, "LOCK", O_RDWR | O_CREAT, &v->lock)) !=
	    RC_OK)
		return rc;
	if (fcntl(v->lock, F_OFD_SETLK, &fl) != 0) {
		if (errno != EAGAIN && errno != EACCES)
			return rc_errno(errno);
		memset(text, 0, sizeof(text));
		if (dir_file_size(v->lock, &len) == RC_OK &&
		    len < sizeof(text))
			(void)io_pread_full(v->lock, text, (size_t)len, 0);
		snprintf(holder, size, "held by %.*s",
		    (int)strcspn(text, "\n"), text);
		return RC_BUSY;
	}
	snprintf(text, sizeof(text), "store pid %ld since %lld\n",
	    (long)getpid(), (long long)(io_wall_ns() / 1000000000));
	/* On a full disk too what is there must be readable. */
	if (ftruncate(v->lock, 0) != 0 ||
	    io_pwrite_full(v->lock, text, strlen(text), 0) != RC_OK)
		log_warn("LOCK does not say who holds it");
	return RC_OK;
}

static int
read_identity(struct vault *v, char *holder, size_t size)
{
	uint64_t unknown;
	const char *bad;
	int rc;

	if ((rc = ident_read(v->dir, &v->id)) != RC_OK)
		return rc == RC_NOENT ? RC_UNMOUNTED : rc;
	if (memcmp(v->id.vault, v->opt.vault, sizeof(v->id.vault)) != 0)
		return RC_UNMOUNTED;
	if ((unknown = v->id.incompat & ~VAULT_INCOMPAT_KNOWN) != 0) {
		snprintf(holder, size, "unknown incompatible features %#llx",
		    (unsigned long long)unknown);
		return RC_UNSUPPORTED;
	}
	if ((v->id.ro & ~VAULT_RO_KNOWN) != 0) {
		vault_set_readonly(v, "unknown read-only features");
		return RC_OK;
	}
	/* A new machine of the client has a new key: as auth says now. */
	if (memcmp(v->id.client, v->opt.client, sizeof(v->id.client)) == 0 &&
	    (memcmp(v->id.client_key, v->opt.client_key,
	    sizeof(v->id.client_key)) != 0 ||
	    memcmp(v->id.name, v->opt.name, sizeof(v->id.name)) != 0)) {
		memcpy(v->id.client_key, v->opt.client_key,
		    sizeof(v->id.client_key));
		memcpy(v->id.name, v->opt.name, sizeof(v->id.name));
		if ((rc = ident_write(v->dir, &v->id)) != RC_OK)
			log_warn("the client's new key could not be noted: %s",
			    rc_str(rc));
		return RC_OK;
	}
	if (ident_check(v->dir, &bad) != RC_OK)
		log_warn("identity file %s is damaged; the other copy is used",
		    bad);
	return RC_OK;
}

static int
on_sealed(void *arg, enum pack_kind kind, uint64_t number, uint64_t size,
    uint32_t count, const uint8_t sha[32])
{
	struct wbuf body = WBUF_INIT(128);
	struct vault *v = arg;
	int rc;

	seal_body_put(&body, (uint8_t)kind, number, size, count, sha);
	rc = vault_note(v, JOURNAL_SEAL, &body, NULL, NULL);
	wbuf_free(&body);
	if (rc == RC_OK)
		v->state.sealed[kind] = number;
	return rc;
}

/*
 * Synced at once, though nobody waits for it: a record that has no second copy
 * must not stand unsynced before one that will be acknowledged.
 */
int
vault_note(struct vault *v, uint16_t kind, const struct wbuf *body,
    struct journal_pos *pos, uint64_t *seq)
{
	int rc;

	if ((rc = wbuf_rc(body)) != RC_OK ||
	    (rc = journal_append(v->journal, kind, body->data, body->len, pos,
	    seq)) != RC_OK)
		return rc;
	if ((rc = journal_sync(v->journal)) != RC_OK)
		vault_set_readonly(v, "the journal could not be synced");
	return rc;
}

static void
on_lost(void *arg, uint64_t number, uint64_t off)
{
	struct vault *v = arg;

	log_err("pack %llx: what was written from %llu on is lost; the runs "
	    "that wrote it fail", (unsigned long long)number,
	    (unsigned long long)off);
	index_drop(v->index, number, off);
	vault_fail_runs(v, RC_IO);
}

static int
on_space(void *arg, uint64_t bytes)
{
	(void)bytes;		/* a pack takes what comes, not its target */
	return vault_space(arg, NEW_PACK_ROOM);
}

static void
start_clock(struct vault *v)
{
	int64_t wall;
	uint64_t boot;

	if (vault_time(v, &wall, &boot) == RC_OK &&
	    vclock_start(&v->state.clock, wall / 1000000000, boot))
		log_warn("the wall clock went back or jumped: the vault clock "
		    "and with it expiry are frozen until confirmed");
}

static int
save_clock(struct vault *v)
{
	struct wbuf body = WBUF_INIT(32);
	int64_t wall;
	uint64_t boot, clock;
	int rc;

	if ((rc = vault_time(v, &wall, &boot)) != RC_OK)
		return rc;
	clock = vclock_at(&v->state.clock, boot);
	wbuf_u64(&body, clock);
	wbuf_i64(&body, wall / 1000000000);
	wbuf_u8(&body, v->state.clock.frozen);
	rc = vault_note(v, JOURNAL_CLOCK, &body, NULL, &v->state.clock_seq);
	wbuf_free(&body);
	if (rc == RC_OK)
		vclock_seen(&v->state.clock, clock, wall / 1000000000,
		    v->state.clock.frozen);
	return rc;
}

/* Only when a restart would otherwise tell another time. */
static int
clock_due(const struct vault *v)
{
	const struct vclock *c = &v->state.clock;

	return !c->any || c->frozen != c->saved_frozen ||
	    (!c->frozen && vault_clock(v) > c->saved + CLOCK_SAVE);
}

static int
open_parts(struct vault *v)
{
	struct packs_opt po = { .target = v->opt.pack_target,
	    .sealed = on_sealed, .lost = on_lost, .space = on_space,
	    .arg = v };
	struct journal_found found;
	int rc;

	if (po.target == 0)
		po.target = PACK_TARGET;
	if ((rc = dir_open(v->dir, "packs", &v->packs_dir)) != RC_OK ||
	    (rc = dir_open(v->dir, "journal", &v->journal_dir)) != RC_OK ||
	    (rc = dir_make(v->dir, "index")) != RC_OK ||
	    (rc = dir_open(v->dir, "index", &v->index_dir)) != RC_OK ||
	    (rc = dir_make(v->dir, "runs")) != RC_OK ||
	    (rc = dir_open(v->dir, "runs", &v->runs_dir)) != RC_OK)
		return rc;
	po.dirfd = v->packs_dir;
	memcpy(po.vault, v->id.vault, sizeof(po.vault));
	if ((rc = packs_new(&v->packs, &po)) != RC_OK ||
	    (rc = journal_open(&v->journal, v->journal_dir, v->id.vault,
	    state_apply, &v->state, &found)) != RC_OK)
		return rc;
	if (found.damaged)
		vault_set_readonly(v, "the journal is damaged");
	start_clock(v);
	if ((rc = vault_recover(v, found.torn)) != RC_OK)
		return rc;
	v->state.durable_seq = v->state.vault_seq;
	if (v->readonly)
		return RC_OK;
	if ((rc = runs_tidy(v)) != RC_OK)
		return rc;
	/* On a full disk too what is there must be readable. */
	if (clock_due(v) && (rc = save_clock(v)) != RC_OK)
		log_warn("the vault clock could not be saved: %s", rc_str(rc));
	return RC_OK;
}

int
vault_open(struct vault **out, int dirfd, const struct vault_opt *o,
    char *holder, size_t size)
{
	struct vault *v = calloc(1, sizeof(*v));
	int rc = RC_NOMEM;

	*out = NULL;
	if (size > 0)
		holder[0] = '\0';
	if (v == NULL) {
		fd_close(&dirfd);
		return RC_NOMEM;
	}
	v->dir = dirfd;
	v->packs_dir = v->journal_dir = v->index_dir = v->runs_dir = -1;
	v->lock = -1;
	v->opt = *o;
	if ((rc = read_identity(v, holder, size)) != RC_OK ||
	    (rc = take_lock(v, holder, size)) != RC_OK ||
	    (rc = open_parts(v)) != RC_OK) {
		v->readonly = true;	/* nothing is written on the way out */
		vault_close(v);
		return rc;
	}
	*out = v;
	return RC_OK;
}

void
vault_close(struct vault *v)
{
	if (v == NULL)
		return;
	while (v->runs != NULL)
		run_end(v, v->runs);
	if (!v->readonly) {
		int rc = RC_OK;

		/* A few records are read again faster than files are made. */
		if (index_mem_count(v->index) > TAIL_KEPT)
			rc = vault_flush_index(v);
		if (rc == RC_OK)
			rc = vault_sync(v);
		if (rc == RC_OK && clock_due(v))
			rc = save_clock(v);
		if (rc != RC_OK)
			log_warn("closing the vault: %s", rc_str(rc));
	}
	index_free(v->index);
	packs_free(v->packs);
	journal_close(v->journal);
	state_free(&v->state);
	free(v->obj);
	fd_close(&v->packs_dir);
	fd_close(&v->journal_dir);
	fd_close(&v->index_dir);
	fd_close(&v->runs_dir);
	fd_close(&v->lock);
	fd_close(&v->dir);
	free(v);
}

int
vault_time(const struct vault *v, int64_t *wall_ns, uint64_t *boot)
{
	if (v->opt.now != NULL)
		return v->opt.now(v->opt.arg, wall_ns, boot);
	*wall_ns = io_wall_ns();
	*boot = clock_boot_seconds();
	return RC_OK;
}

uint64_t
vault_clock(const struct vault *v)
{
	int64_t wall;
	uint64_t boot;

	if (vault_time(v, &wall, &boot) != RC_OK)
		return v->state.clock.base;
	return vclock_at(&v->state.clock, boot);
}

void
vault_set_readonly(struct vault *v, const char *why)
{
	if (!v->readonly)
		log_err("the vault is read-only from now on: %s", why);
	v->readonly = true;
	if (v->why == NULL)
		v->why = why;
}

void
vault_fail_runs(struct vault *v, int rc)
{
	for (struct run *r = v->runs; r != NULL; r = r->next)
		if (r->failed == RC_OK)
			r->failed = rc;
}

int
vault_sync(struct vault *v)
{
	int rc;

	if ((rc = packs_sync(v->packs)) != RC_OK)
		return rc;
	v->dirty_ms = 0;
	if ((rc = journal_sync(v->journal)) != RC_OK)
		vault_set_readonly(v, "the journal could not be synced");
	return rc;
}

int
vault_merge(struct vault *v)
{
	int rc;

	if (v->readonly)
		return RC_OK;
	rc = index_work(v->index, MERGE_STEP);
	if (rc != RC_OK && rc != RC_AGAIN) {
		log_warn("index merge: %s", rc_str(rc));
		return RC_OK;
	}
	return rc;
}

int
vault_tick(struct vault *v, uint64_t now_ms)
{
	int rc = RC_OK;

	if (v->readonly)
		return RC_OK;
	if (!packs_dirty(v->packs))
		v->dirty_ms = 0;
	else if (v->dirty_ms == 0)
		v->dirty_ms = now_ms;
	else if (now_ms - v->dirty_ms >= VAULT_SYNC_MS ||
	    packs_unsynced(v->packs) >= VAULT_SYNC_BYTES)
		rc = vault_sync(v);
	if (rc != RC_OK)
		log_err("sync: %s", rc_str(rc));
	return vault_merge(v);
}
