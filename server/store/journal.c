#include "config.h"

#include "server/store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/rc.h"
#include "common/secret.h"
#include "server/store/dir.h"
#include "server/store/format.h"

struct journal {
	int		 dirfd, fd;
	int		 sync_fd;	/* for another thread; see packs.c */
	uint8_t		 vault[16];
	uint64_t	 segment;
	uint32_t	 tag;
	uint64_t	 end;		/* of the last record */
	uint64_t	 synced;
	uint64_t	 state_end;	/* of what was carried over */
	uint64_t	 reserved;	/* blocks are taken up to here */
	uint64_t	 seq;		/* of the last record */
	uint8_t		 hash[32];	/* of the last record */
};

static void
segment_name(uint64_t number, char out[DIR_NAME_MAX])
{
	snprintf(out, DIR_NAME_MAX, "%04llx", (unsigned long long)number);
}

static int
new_tag(uint32_t *tag)
{
	return secret_random(tag, sizeof(*tag));
}

int
journal_create(int dirfd, const uint8_t vault[16])
{
	struct jsegment h = { .number = 1 };
	uint8_t p[JOURNAL_HEADER_LEN];
	char name[DIR_NAME_MAX];
	int rc;

	if ((rc = new_tag(&h.tag)) != RC_OK)
		return rc;
	memcpy(h.vault, vault, 16);
	jsegment_put(p, &h);
	segment_name(1, name);
	return dir_write(dirfd, name, "new.tmp", p, sizeof(p));
}

struct find {
	uint64_t	newest, oldest;
	int		dirfd;
};

static int
find_one(void *arg, const char *name)
{
	struct find *f = arg;
	uint64_t n;

	if (strcmp(name, "new.tmp") == 0)
		return f->dirfd < 0 ? RC_OK : dir_unlink(f->dirfd, name);
	if (!hex_number(name, strlen(name), 4, &n) || n == 0)
		return RC_OK;
	if (n > f->newest)
		f->newest = n;
	if (f->oldest == 0 || n < f->oldest)
		f->oldest = n;
	return RC_OK;
}

/*
 * Where the segment ends: a hole counts as torn only if no later record knew
 * that its place had been synced.
 */
static int
find_end(struct jscan *s, uint64_t *end, bool *damaged)
{
	uint64_t hole = 0;
	struct jrec r;
	int rc;

	*damaged = false;
	*end = s->off;
	while ((rc = jscan_next(s, &r)) == RC_OK || rc == RC_CORRUPT) {
		if (rc == RC_CORRUPT) {
			if (hole == 0)
				hole = r.off;
			continue;
		}
		/* What was carried over was synced before the segment had
		 * its name. */
		if (hole != 0 && (r.synced > hole ||
		    (r.flags & JOURNAL_F_STATE) != 0)) {
			*damaged = true;
			hole = 0;
		}
		if (hole == 0)
			*end = s->off;
	}
	return rc == RC_EOF ? RC_OK : rc;
}

static int
read_records(struct journal *j, journal_fn *fn, void *arg, bool *damaged)
{
	struct jscan s;
	struct jrec r;
	int rc;

	if ((rc = jscan_init(&s, j->fd, j->segment)) != RC_OK ||
	    (rc = find_end(&s, &j->end, damaged)) != RC_OK)
		goto out;
	j->tag = s.tag;
	jscan_free(&s);
	if ((rc = jscan_init(&s, j->fd, j->segment)) != RC_OK)
		goto out;
	j->state_end = JOURNAL_HEADER_LEN;
	while (s.off < j->end) {
		rc = jscan_next(&s, &r);
		if (rc == RC_CORRUPT)
			continue;
		if (rc != RC_OK)
			goto out;
		if (r.flags & JOURNAL_F_STATE)
			j->state_end = s.off;
		if (r.seq > j->seq)
			j->seq = r.seq;
		memcpy(j->hash, s.hash, sizeof(j->hash));
		if ((rc = fn(arg, &r)) != RC_OK)
			goto out;
	}
	rc = RC_OK;
out:
	jscan_free(&s);
	return rc;
}

int
journal_open(struct journal **out, int dirfd, const uint8_t vault[16],
    journal_fn *fn, void *arg, struct journal_found *found)
{
	struct find f = { .dirfd = dirfd };
	struct journal *j = calloc(1, sizeof(*j));
	char name[DIR_NAME_MAX];
	uint64_t size;
	int rc;

	memset(found, 0, sizeof(*found));
	if (j == NULL)
		return RC_NOMEM;
	j->dirfd = dirfd;
	j->fd = j->sync_fd = -1;
	memcpy(j->vault, vault, 16);
	if ((rc = dir_each(dirfd, find_one, &f)) != RC_OK)
		goto out;
	rc = RC_NOENT;
	if (f.newest == 0)
		goto out;
	j->segment = f.newest;
	segment_name(j->segment, name);
	if ((rc = dir_file(dirfd, name, O_RDWR, &j->fd)) != RC_OK ||
	    (rc = dir_file(dirfd, name, O_RDWR, &j->sync_fd)) != RC_OK ||
	    (rc = read_records(j, fn, arg, &found->damaged)) != RC_OK ||
	    (rc = dir_file_size(j->fd, &size)) != RC_OK)
		goto out;
	found->torn = size - j->end;
	/* What a crash left in the page cache may not be on the disk yet. */
	j->synced = 0;
	j->reserved = j->end;
out:
	if (rc != RC_OK) {
		journal_close(j);
		j = NULL;
	}
	*out = j;
	return rc;
}

void
journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	fd_close(&j->fd);
	fd_close(&j->sync_fd);
	free(j);
}

int
journal_cut(struct journal *j)
{
	uint64_t size;
	int rc;

	if ((rc = dir_file_size(j->fd, &size)) != RC_OK)
		return rc;
	if (size != j->end && ftruncate(j->fd, (off_t)j->end) != 0)
		return rc_errno(errno);
	/* A crash may have come before its name was synced. */
	if ((rc = dir_sync(j->dirfd)) != RC_OK)
		return rc;
	return journal_sync(j);
}

int
journal_reserve(struct journal *j, uint64_t bytes)
{
	uint64_t want = j->end + bytes;

	if (want <= j->reserved)
		return RC_OK;
	want += JOURNAL_RESERVE;
	if (fallocate(j->fd, FALLOC_FL_KEEP_SIZE, (off_t)j->end,
	    (off_t)(want - j->end)) != 0) {
		/* A file system that cannot promise room gives none. */
		if (errno != EOPNOTSUPP)
			return rc_errno(errno);
	}
	j->reserved = want;
	return RC_OK;
}

/* A whole record with the zeros behind it; len is that of its body. */
static int
append_bytes(struct journal *j, const uint8_t *p, uint32_t len,
    struct journal_pos *pos)
{
	size_t n = (size_t)jrec_size(len);
	uint8_t hash[32];
	int rc;

	if ((rc = sha256(p, JOURNAL_RECORD_LEN + (size_t)len, hash)) ==
	    RC_OK &&
	    (rc = io_pwrite_full(j->fd, p, n, j->end)) != RC_OK &&
	    ftruncate(j->fd, (off_t)j->end) != 0)
		rc = RC_IO;
	if (rc != RC_OK)
		return rc;
	if (pos != NULL)
		*pos = (struct journal_pos){ j->segment, j->end, len };
	memcpy(j->hash, hash, sizeof(hash));
	j->end += n;
	return RC_OK;
}

static int
append_raw(struct journal *j, struct jrec *r, struct journal_pos *pos)
{
	uint8_t *p = calloc(1, (size_t)jrec_size(r->len));
	int rc;

	if (p == NULL)
		return RC_NOMEM;
	r->tag = j->tag;
	r->synced = j->synced;
	memcpy(r->prev, j->hash, sizeof(r->prev));
	jrec_put(p, r);
	rc = append_bytes(j, p, r->len, pos);
	free(p);
	return rc;
}

int
journal_append(struct journal *j, uint16_t kind, const void *body, size_t len,
    struct journal_pos *pos, uint64_t *seq)
{
	struct jrec r = { .kind = kind, .len = (uint32_t)len, .body = body,
	    .seq = j->seq + 1 };
	int rc;

	if (len > JOURNAL_BODY_MAX)
		return RC_LIMIT;
	if ((rc = append_raw(j, &r, pos)) != RC_OK)
		return rc;
	j->seq++;
	if (seq != NULL)
		*seq = j->seq;
	return RC_OK;
}

int
journal_restore(struct journal *j, const uint8_t *raw, size_t n,
    journal_fn *fn, void *arg)
{
	struct jrec r = { 0 };
	struct journal_pos pos;
	uint8_t *p;
	int rc;

	if ((rc = jrec_get(raw, n, &r)) != RC_OK)
		return rc;
	if (r.tag != j->tag || r.seq != j->seq + 1 ||
	    memcmp(r.prev, j->hash, sizeof(r.prev)) != 0)
		return RC_STATE;
	/* As it was: the next one names its hash. */
	if ((p = calloc(1, (size_t)jrec_size(r.len))) == NULL)
		return RC_NOMEM;
	memcpy(p, raw, JOURNAL_RECORD_LEN + (size_t)r.len);
	rc = append_bytes(j, p, r.len, &pos);
	free(p);
	if (rc != RC_OK)
		return rc;
	j->seq = r.seq;
	r.segment = pos.segment;
	r.off = pos.off;
	return fn(arg, &r);
}

int
journal_sync(struct journal *j)
{
	if (j->synced == j->end)
		return RC_OK;
	if (fdatasync(j->fd) != 0)
		return rc_errno(errno);
	j->synced = j->end;
	return RC_OK;
}

bool
journal_dirty(const struct journal *j)
{
	return j->synced != j->end;
}

int
journal_fd(const struct journal *j)
{
	return j->sync_fd;
}

uint64_t
journal_size(const struct journal *j)
{
	return j->end;
}

void
journal_synced(struct journal *j, uint64_t size)
{
	if (size > j->synced)
		j->synced = size;
}

uint64_t
journal_next_seq(const struct journal *j)
{
	return j->seq + 1;
}

int
journal_read(struct journal *j, const struct journal_pos *pos, uint8_t **raw,
    size_t *n)
{
	size_t len = JOURNAL_RECORD_LEN + (size_t)pos->len;
	struct jrec r;
	uint8_t *p;
	int rc;

	if (pos->segment != j->segment || pos->len > JOURNAL_BODY_MAX)
		return RC_RANGE;
	if ((p = malloc(len)) == NULL)
		return RC_NOMEM;
	if ((rc = io_pread_full(j->fd, p, len, pos->off)) == RC_OK)
		rc = jrec_get(p, len, &r);
	if (rc != RC_OK) {
		free(p);
		return rc == RC_TRUNCATED ? RC_CORRUPT : rc;
	}
	*raw = p;
	*n = len;
	return RC_OK;
}

/* Copy what is still state from the old segment into the new one. */
static int
carry(struct journal *j, struct journal *to,
    bool (*keep)(void *arg, const struct jrec *r), journal_fn *fn, void *arg)
{
	struct journal_pos pos;
	struct jscan s;
	struct jrec r;
	int rc;

	if ((rc = jscan_init(&s, j->fd, j->segment)) != RC_OK)
		goto out;
	while (s.off < j->end) {
		/* A damaged segment is not rolled over. */
		if ((rc = jscan_next(&s, &r)) != RC_OK)
			goto out;
		if (!keep(arg, &r))
			continue;
		r.flags |= JOURNAL_F_STATE;
		if ((rc = append_raw(to, &r, &pos)) != RC_OK)
			goto out;
		r.segment = pos.segment;
		r.off = pos.off;
		if ((rc = fn(arg, &r)) != RC_OK)
			goto out;
	}
	rc = RC_OK;
out:
	jscan_free(&s);
	return rc;
}

int
journal_roll(struct journal *j, bool force,
    bool (*keep)(void *arg, const struct jrec *r), journal_fn *fn,
    void (*done)(void *arg), void *arg)
{
	struct journal to = *j;
	struct jsegment h = { .number = j->segment + 1 };
	uint8_t p[JOURNAL_HEADER_LEN];
	char name[DIR_NAME_MAX];
	uint64_t state = j->state_end - JOURNAL_HEADER_LEN;
	int rc;

	if (!force && j->end - j->state_end <
	    (state > JOURNAL_ROLL ? state : JOURNAL_ROLL))
		return RC_OK;
	if ((rc = journal_sync(j)) != RC_OK || (rc = new_tag(&h.tag)) != RC_OK)
		return rc;
	memcpy(h.vault, j->vault, 16);
	jsegment_put(p, &h);
	to.fd = to.sync_fd = -1;
	to.tag = h.tag;
	to.segment = h.number;
	to.end = JOURNAL_HEADER_LEN;
	to.synced = 0;
	segment_name(h.number, name);
	if ((rc = dir_file(j->dirfd, "new.tmp", O_RDWR | O_CREAT | O_TRUNC,
	    &to.fd)) != RC_OK)
		return rc;
	if ((rc = io_pwrite_full(to.fd, p, sizeof(p), 0)) != RC_OK ||
	    (rc = carry(j, &to, keep, fn, arg)) != RC_OK ||
	    (rc = journal_sync(&to)) != RC_OK ||
	    (rc = dir_rename(j->dirfd, "new.tmp", name, false)) != RC_OK ||
	    (rc = dir_sync(j->dirfd)) != RC_OK ||
	    (rc = dir_file(j->dirfd, name, O_RDWR, &to.sync_fd)) != RC_OK) {
		fd_close(&to.fd);
		return rc;
	}
	to.state_end = to.reserved = to.end;
	fd_close(&j->fd);
	fd_close(&j->sync_fd);
	*j = to;
	done(arg);
	return RC_OK;
}

int
journal_each(int dirfd, journal_fn *fn,
    int (*hole)(void *arg, uint64_t segment, uint64_t off), void *arg)
{
	struct find f = { .dirfd = -1 };
	char name[DIR_NAME_MAX];
	uint8_t hash[32] = { 0 };
	bool chained = false;
	struct jscan s;
	struct jrec r;
	int fd = -1, rc;

	if ((rc = dir_each(dirfd, find_one, &f)) != RC_OK)
		return rc;
	for (uint64_t n = f.oldest; n != 0 && n <= f.newest && rc == RC_OK;
	    n++) {
		segment_name(n, name);
		if ((rc = dir_file(dirfd, name, O_RDONLY, &fd)) == RC_NOENT) {
			rc = hole == NULL ? RC_OK : hole(arg, n, 0);
			continue;
		}
		if (rc != RC_OK)
			return rc;
		if ((rc = jscan_init(&s, fd, n)) == RC_TRUNCATED ||
		    (rc == RC_OK && !s.header_ok))
			rc = hole == NULL ? RC_OK : hole(arg, n, 0);
		/* The chain goes on from one segment to the next. */
		memcpy(s.hash, hash, sizeof(hash));
		s.chained = chained;
		while (rc == RC_OK && s.buf != NULL) {
			if ((rc = jscan_next(&s, &r)) == RC_OK)
				rc = fn(arg, &r);
			else if (rc == RC_CORRUPT)
				rc = hole == NULL ? RC_OK :
				    hole(arg, n, r.off);
		}
		if (rc == RC_EOF)
			rc = RC_OK;
		memcpy(hash, s.hash, sizeof(hash));
		chained = s.chained;
		jscan_free(&s);
		fd_close(&fd);
	}
	return rc;
}
