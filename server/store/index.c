#include "config.h"

#include "server/store/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/rbuf.h"
#include "common/wbuf.h"
#include "server/store/dir.h"
#include "server/store/format.h"
#include "server/store/memtable.h"

#define FILES_MAX	10		/* of one kind; descriptors are few */
/* A file is merged until the one before it is this many times larger. */
#define GROWTH		4
#define MANIFEST_MAX	4096

struct level {
	struct ixfile	*f[FILES_MAX];	/* oldest first */
	unsigned	 n;
};

/* A merge of the files i and i + 1 of a level. */
struct merge {
	struct level	*level;
	unsigned	 i;
	struct ixcursor	 a, b;
	struct ixent	 ea, eb, last;
	bool		 more_a, more_b, any;
	struct ixwriter	*w;
	int		 fd;
	uint64_t	 number;
};

struct index {
	struct index_opt opt;
	char		 prefix[32];
	struct memtable	 mem;
	struct level	 level[2];	/* data, nodes */
	struct merge	*merge;
	struct ixstate	 state;
	uint64_t	 next_file;
};

static void
file_name(const struct index *ix, bool nodes, uint64_t number,
    char out[DIR_NAME_MAX])
{
	snprintf(out, DIR_NAME_MAX, "%s%c%08llx", ix->prefix,
	    nodes ? 'n' : 'd', (unsigned long long)number);
}

int
index_new(struct index **out, const struct index_opt *o)
{
	struct index *ix = calloc(1, sizeof(*ix));
	int rc;

	if (ix == NULL)
		return RC_NOMEM;
	ix->opt = *o;
	snprintf(ix->prefix, sizeof(ix->prefix), "%s", o->prefix);
	ix->opt.prefix = ix->prefix;
	if ((rc = memtable_init(&ix->mem, o->mem)) != RC_OK) {
		free(ix);
		return rc;
	}
	*out = ix;
	return RC_OK;
}

static void
merge_abort(struct index *ix)
{
	char name[DIR_NAME_MAX];
	struct merge *m = ix->merge;

	if (m == NULL)
		return;
	file_name(ix, m->level == &ix->level[1], m->number, name);
	(void)dir_unlink(ix->opt.dirfd, name);
	ixwriter_free(m->w);
	fd_close(&m->fd);
	free(m);
	ix->merge = NULL;
}

static void
file_free(struct index *ix, struct ixfile *f, bool remove)
{
	char name[DIR_NAME_MAX];

	if (remove) {
		file_name(ix, f->nodes, f->number, name);
		(void)dir_unlink(ix->opt.dirfd, name);
	}
	ixfile_close(f);
	free(f);
}

static void
levels_clear(struct index *ix, bool remove)
{
	merge_abort(ix);
	for (int k = 0; k < 2; k++) {
		for (unsigned i = 0; i < ix->level[k].n; i++)
			file_free(ix, ix->level[k].f[i], remove);
		ix->level[k].n = 0;
	}
}

void
index_free(struct index *ix)
{
	if (ix == NULL)
		return;
	levels_clear(ix, ix->opt.transient);
	memtable_free(&ix->mem);
	free(ix);
}

static int
manifest_write(struct index *ix, const struct ixstate *st)
{
	struct wbuf out = WBUF_INIT(MANIFEST_MAX);
	int rc;

	wbuf_u64(&out, INDEX_MANIFEST_MAGIC);
	wbuf_u16(&out, VAULT_VERSION);
	wbuf_u16(&out, (uint16_t)(ix->level[0].n + ix->level[1].n));
	wbuf_bytes(&out, ix->opt.vault, 16);
	wbuf_u64(&out, st->data.pack);
	wbuf_u64(&out, st->data.off);
	wbuf_u64(&out, st->nodes.pack);
	wbuf_u64(&out, st->nodes.off);
	wbuf_u32(&out, st->next_run);
	wbuf_u64(&out, ix->next_file);
	for (int k = 0; k < 2; k++) {
		for (unsigned i = 0; i < ix->level[k].n; i++) {
			wbuf_u8(&out, (uint8_t)k);
			wbuf_u64(&out, ix->level[k].f[i]->number);
			wbuf_u64(&out, ix->level[k].f[i]->count);
		}
	}
	if ((rc = wbuf_rc(&out)) == RC_OK) {
		wbuf_u32(&out, crc32c(0, out.data, out.len));
		if ((rc = wbuf_rc(&out)) == RC_OK)
			rc = dir_write(ix->opt.dirfd, "MANIFEST",
			    "MANIFEST.tmp", out.data, out.len);
	}
	wbuf_free(&out);
	if (rc == RC_OK)
		ix->state = *st;
	return rc;
}

static int
level_open(struct index *ix, bool nodes, uint64_t number, uint64_t count)
{
	struct level *l = &ix->level[nodes];
	char name[DIR_NAME_MAX];
	struct ixfile *f;
	int fd = -1, rc;

	if (l->n == FILES_MAX)
		return RC_CORRUPT;
	if ((f = calloc(1, sizeof(*f))) == NULL)
		return RC_NOMEM;
	file_name(ix, nodes, number, name);
	if ((rc = dir_file(ix->opt.dirfd, name, O_RDONLY, &fd)) != RC_OK ||
	    (rc = ixfile_open(f, fd, number)) != RC_OK) {
		free(f);
		return rc == RC_NOENT ? RC_CORRUPT : rc;
	}
	l->f[l->n++] = f;
	return f->nodes == nodes && f->count == count ? RC_OK : RC_CORRUPT;
}

static int
manifest_parse(struct index *ix, struct rbuf *in, struct ixstate *st)
{
	uint64_t magic, number, count;
	uint16_t version, n;
	uint8_t vault[16], kind;
	int rc;

	if (rbuf_u64(in, &magic) != RC_OK || rbuf_u16(in, &version) != RC_OK ||
	    rbuf_u16(in, &n) != RC_OK || rbuf_bytes(in, vault, 16) != RC_OK ||
	    rbuf_u64(in, &st->data.pack) != RC_OK ||
	    rbuf_u64(in, &st->data.off) != RC_OK ||
	    rbuf_u64(in, &st->nodes.pack) != RC_OK ||
	    rbuf_u64(in, &st->nodes.off) != RC_OK ||
	    rbuf_u32(in, &st->next_run) != RC_OK ||
	    rbuf_u64(in, &ix->next_file) != RC_OK ||
	    magic != INDEX_MANIFEST_MAGIC || version != VAULT_VERSION ||
	    memcmp(vault, ix->opt.vault, 16) != 0)
		return RC_CORRUPT;
	for (unsigned i = 0; i < n; i++) {
		if (rbuf_u8(in, &kind) != RC_OK || kind > 1 ||
		    rbuf_u64(in, &number) != RC_OK ||
		    rbuf_u64(in, &count) != RC_OK)
			return RC_CORRUPT;
		if ((rc = level_open(ix, kind == 1, number, count)) != RC_OK)
			return rc;
	}
	return rbuf_end(in) == RC_OK ? RC_OK : RC_CORRUPT;
}

/* A file that no manifest names is the rest of an interrupted write. */
static int
tidy_one(void *arg, const char *name)
{
	struct index *ix = arg;
	uint64_t number;

	if (strcmp(name, "MANIFEST") == 0)
		return RC_OK;
	if ((name[0] == 'd' || name[0] == 'n') &&
	    hex_number(name + 1, strlen(name + 1), 8, &number)) {
		const struct level *l = &ix->level[name[0] == 'n'];

		for (unsigned i = 0; i < l->n; i++)
			if (l->f[i]->number == number)
				return RC_OK;
	}
	return dir_unlink(ix->opt.dirfd, name);
}

int
index_open(struct index **out, const struct index_opt *o, struct ixstate *st)
{
	uint8_t buf[MANIFEST_MAX];
	struct index *ix;
	struct rbuf in;
	size_t len = 0;
	uint32_t crc;
	int rc;

	if ((rc = index_new(&ix, o)) != RC_OK)
		return rc;
	*out = ix;
	if ((rc = dir_read(o->dirfd, "MANIFEST", buf, sizeof(buf), &len)) !=
	    RC_OK)
		return rc == RC_LIMIT ? RC_CORRUPT : rc;
	if (len < 4)
		return RC_CORRUPT;
	rbuf_init(&in, buf + len - 4, 4);
	if (rbuf_u32(&in, &crc) != RC_OK || crc != crc32c(0, buf, len - 4))
		return RC_CORRUPT;
	rbuf_init(&in, buf, len - 4);
	if ((rc = manifest_parse(ix, &in, st)) != RC_OK)
		return rc;
	ix->state = *st;
	return dir_each(o->dirfd, tidy_one, ix);
}

int
index_reset(struct index *ix)
{
	int rc;

	levels_clear(ix, false);
	memtable_clear(&ix->mem);
	if (!ix->opt.transient &&
	    (rc = dir_unlink(ix->opt.dirfd, "MANIFEST")) != RC_OK)
		return rc;
	ix->next_file++;
	return dir_each(ix->opt.dirfd, tidy_one, ix);
}

int
index_add(struct index *ix, const struct ixent *e)
{
	return memtable_add(&ix->mem, e);
}

bool
index_full(const struct index *ix)
{
	return ix->mem.n >= ix->mem.max;
}

uint64_t
index_count(const struct index *ix)
{
	uint64_t n = ix->mem.n;

	for (int k = 0; k < 2; k++)
		for (unsigned i = 0; i < ix->level[k].n; i++)
			n += ix->level[k].f[i]->count;
	return n;
}

unsigned
index_mem_count(const struct index *ix)
{
	return (unsigned)ix->mem.n;
}

unsigned
index_files(const struct index *ix)
{
	return ix->level[0].n + ix->level[1].n;
}

int
index_find(const struct index *ix, const struct object_id *id, unsigned copy,
    struct ixent *e)
{
	unsigned seen = 0;
	int rc;

	if ((rc = memtable_find(&ix->mem, id, copy, &seen, e)) != RC_NOENT)
		return rc;
	for (int k = 1; k >= 0; k--) {
		for (unsigned i = ix->level[k].n; i-- > 0;) {
			rc = ixfile_find(ix->level[k].f[i], id, copy, &seen, e);
			if (rc != RC_NOENT)
				return rc;
		}
	}
	return RC_NOENT;
}

static int
file_make(struct index *ix, bool nodes, uint64_t *number, int *fd)
{
	char name[DIR_NAME_MAX];

	*number = ix->next_file++;
	file_name(ix, nodes, *number, name);
	return dir_file(ix->opt.dirfd, name, O_RDWR | O_CREAT | O_TRUNC, fd);
}

/* The written file becomes one that is read; takes fd. */
static int
file_done(struct index *ix, struct ixwriter *w, int *fd, uint64_t number,
    struct ixfile **out)
{
	struct ixfile *f;
	int rc;

	if ((rc = ixwriter_end(w)) != RC_OK)
		return rc;
	if (!ix->opt.transient && fdatasync(*fd) != 0)
		return rc_errno(errno);
	if ((f = calloc(1, sizeof(*f))) == NULL)
		return RC_NOMEM;
	rc = ixfile_open(f, *fd, number);
	*fd = -1;
	if (rc != RC_OK) {
		free(f);
		return rc;
	}
	*out = f;
	return RC_OK;
}

static int
flush_kind(struct index *ix, bool nodes, const uint32_t *order)
{
	struct level *l = &ix->level[nodes];
	struct ixwriter *w = NULL;
	struct ixfile *f = NULL;
	uint64_t number = 0, n = 0;
	char name[DIR_NAME_MAX];
	int fd = -1, rc;

	for (size_t i = 0; i < ix->mem.n; i++)
		n += object_is_node(ix->mem.e[i].type) == nodes;
	if (n == 0)
		return RC_OK;
	if ((rc = file_make(ix, nodes, &number, &fd)) != RC_OK)
		return rc;
	rc = ixwriter_new(&w, fd, nodes, number, n);
	for (size_t i = 0; i < ix->mem.n && rc == RC_OK; i++) {
		const struct ixent *e = &ix->mem.e[order[i]];

		if (object_is_node(e->type) == nodes)
			rc = ixwriter_add(w, e);
	}
	if (rc == RC_OK)
		rc = file_done(ix, w, &fd, number, &f);
	ixwriter_free(w);
	fd_close(&fd);
	if (rc == RC_OK) {
		l->f[l->n++] = f;
	} else {
		file_name(ix, nodes, number, name);
		(void)dir_unlink(ix->opt.dirfd, name);
	}
	return rc;
}

int
index_flush(struct index *ix, const struct ixstate *st)
{
	unsigned had = ix->level[0].n;
	uint32_t *order = NULL;
	int rc = RC_OK;

	/* A merge that falls behind is finished first: the files are few. */
	if (ix->level[0].n >= FILES_MAX - 2 || ix->level[1].n >= FILES_MAX - 2)
		rc = index_settle(ix);
	had = ix->level[0].n;
	if (rc == RC_OK && ix->mem.n > 0 &&
	    (rc = memtable_sorted(&ix->mem, &order)) == RC_OK &&
	    (rc = flush_kind(ix, false, order)) == RC_OK &&
	    (rc = flush_kind(ix, true, order)) != RC_OK &&
	    ix->level[0].n > had)
		file_free(ix, ix->level[0].f[--ix->level[0].n], true);
	free(order);
	if (rc != RC_OK)
		return rc;
	if (!ix->opt.transient && (rc = manifest_write(ix, st)) != RC_OK)
		return rc;
	memtable_clear(&ix->mem);
	return ix->opt.transient ? index_settle(ix) : RC_OK;
}

static int
step(struct ixcursor *c, struct ixent *e, bool *more)
{
	int rc = ixcursor_next(c, e);

	*more = rc == RC_OK;
	return rc == RC_EOF ? RC_OK : rc;
}

static int
merge_begin(struct index *ix, struct level *l, unsigned i)
{
	bool nodes = l == &ix->level[1];
	struct merge *m = calloc(1, sizeof(*m));
	int rc;

	if (m == NULL)
		return RC_NOMEM;
	m->level = l;
	m->i = i;
	m->fd = -1;
	ix->merge = m;
	ixcursor_init(&m->a, l->f[i]);
	ixcursor_init(&m->b, l->f[i + 1]);
	if ((rc = file_make(ix, nodes, &m->number, &m->fd)) != RC_OK ||
	    (rc = ixwriter_new(&m->w, m->fd, nodes, m->number,
	    l->f[i]->count + l->f[i + 1]->count)) != RC_OK ||
	    (rc = step(&m->a, &m->ea, &m->more_a)) != RC_OK ||
	    (rc = step(&m->b, &m->eb, &m->more_b)) != RC_OK)
		merge_abort(ix);
	return rc;
}

static int
merge_end(struct index *ix)
{
	struct merge *m = ix->merge;
	struct level *l = m->level;
	struct ixfile *f, *old_a = l->f[m->i], *old_b = l->f[m->i + 1];
	int rc;

	if ((rc = file_done(ix, m->w, &m->fd, m->number, &f)) != RC_OK) {
		merge_abort(ix);
		return rc;
	}
	l->f[m->i] = f;
	memmove(&l->f[m->i + 1], &l->f[m->i + 2],
	    (l->n - m->i - 2) * sizeof(l->f[0]));
	l->n--;
	ixwriter_free(m->w);
	free(m);
	ix->merge = NULL;
	/* The old files go only when no manifest names them. */
	if (!ix->opt.transient)
		rc = manifest_write(ix, &ix->state);
	file_free(ix, old_a, rc == RC_OK);
	file_free(ix, old_b, rc == RC_OK);
	return rc;
}

static int
merge_some(struct index *ix, unsigned entries)
{
	struct merge *m = ix->merge;
	const struct ixent *e;
	int rc;

	while (m->more_a || m->more_b) {
		bool take_a = !m->more_b ||
		    (m->more_a && ixent_cmp(&m->ea, &m->eb) <= 0);

		if (entries-- == 0)
			return RC_AGAIN;
		e = take_a ? &m->ea : &m->eb;
		/* Recovery can see a record twice. */
		if ((!m->any || ixent_cmp(e, &m->last) != 0) &&
		    (rc = ixwriter_add(m->w, e)) != RC_OK)
			goto bad;
		m->last = *e;
		m->any = true;
		rc = take_a ? step(&m->a, &m->ea, &m->more_a) :
		    step(&m->b, &m->eb, &m->more_b);
		if (rc != RC_OK)
			goto bad;
	}
	return merge_end(ix);
bad:
	merge_abort(ix);
	return rc;
}

int
index_work(struct index *ix, unsigned entries)
{
	int rc;

	if (ix->merge == NULL) {
		for (int k = 0; k < 2 && ix->merge == NULL; k++) {
			struct level *l = &ix->level[k];

			for (unsigned i = l->n; i-- > 1;) {
				if (l->f[i - 1]->count / GROWTH >=
				    l->f[i]->count)
					continue;
				if ((rc = merge_begin(ix, l, i - 1)) != RC_OK)
					return rc;
				break;
			}
		}
		if (ix->merge == NULL)
			return RC_OK;
	}
	rc = merge_some(ix, entries);
	return rc == RC_OK ? RC_AGAIN : rc;
}

int
index_settle(struct index *ix)
{
	int rc;

	while ((rc = index_work(ix, 1u << 20)) == RC_AGAIN)
		;
	return rc;
}

int
index_each(const struct index *ix,
    int (*fn)(void *arg, const struct ixent *e), void *arg)
{
	struct ixcursor *c;
	struct ixent e;
	int rc = RC_OK;

	for (size_t i = 0; i < ix->mem.n; i++)
		if ((rc = fn(arg, &ix->mem.e[i])) != RC_OK)
			return rc;
	if ((c = malloc(sizeof(*c))) == NULL)
		return RC_NOMEM;
	for (int k = 0; k < 2 && rc == RC_OK; k++) {
		for (unsigned i = 0; i < ix->level[k].n && rc == RC_OK; i++) {
			ixcursor_init(c, ix->level[k].f[i]);
			while ((rc = ixcursor_next(c, &e)) == RC_OK)
				if ((rc = fn(arg, &e)) != RC_OK)
					break;
			if (rc == RC_EOF)
				rc = RC_OK;
		}
	}
	free(c);
	return rc;
}

void
index_drop(struct index *ix, uint64_t pack, uint64_t off)
{
	memtable_drop(&ix->mem, pack, off);
}
