#include "config.h"

#include "fake_vault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ftw.h>
#include <cmocka.h>

#include "client/engine/chunker.h"
#include "client/engine/seal.h"
#include "client/engine/snapbody.h"
#include "client/engine/xattr.h"
#include "common/rc.h"
#include "common/secret.h"

#define CUT	(200u << 10)		/* length of a chunk */

char *
world_path(struct world *w, const char *rel)
{
	static char buf[8][8192];
	static unsigned at;
	char *p = buf[at++ % 8];

	snprintf(p, sizeof(buf[0]), "%s/%s", w->dir, rel);
	return p;
}

void
world_open(struct world *w)
{
	const char *sub[] = { "src", "dst", "out", "config", "state",
	    "state/jobs" };
	size_t i;

	memset(w, 0, sizeof(*w));
	snprintf(w->dir, sizeof(w->dir), "/tmp/sg-restore-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	for (i = 0; i < sizeof(sub) / sizeof(sub[0]); i++)
		assert_int_equal(mkdir(world_path(w, sub[i]), 0700), 0);
	fake_keys(&w->k);
	fake_init(&w->f, &w->k);
	w->s = sealer_new(&w->k);
	assert_non_null(w->s);
	w->e.keys = w->k;
	w->e.target_fd = -1;
	assert_int_equal(state_open(&w->e.state,
	    open(world_path(w, "config"), O_RDONLY | O_DIRECTORY),
	    open(world_path(w, "state"), O_RDONLY | O_DIRECTORY)), RC_OK);
	memcpy(w->e.state->vault, w->k.vault, 16);
	memcpy(w->e.state->client, w->k.client, 16);
	memcpy(w->e.state->identity_fp, w->f.fp, 32);
}

static int
rm(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)type;
	(void)f;
	if (S_ISDIR(st->st_mode))
		(void)chmod(path, 0700);
	return remove(path);
}

void
world_close(struct world *w)
{
	char cmd[128];

	/* nftw() cannot remove paths beyond PATH_MAX; the tests make one. */
	(void)rm;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", w->dir);
	if (system(cmd) != 0)
		fprintf(stderr, "%s stays\n", w->dir);
	state_free(w->e.state);
	free(w->seen.paths);
	fake_clear(&w->f);
	sealer_free(w->s);
	keys_clear(&w->k);
}

void
world_file(struct world *w, const char *rel, const void *data, size_t n,
    unsigned seed)
{
	const char *path = world_path(w, rel);
	uint8_t *p = malloc(n + 1);
	uint32_t x = seed * 2654435761u + 1;
	size_t i;
	int fd;

	assert_non_null(p);
	for (i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = data != NULL ? ((const uint8_t *)data)[i] :
		    (uint8_t)(x >> 24);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
	free(p);
}

/* --- a small backup --- */

struct item {
	char		*name;
	struct stat	 st;
	struct entry	 e;
	struct wbuf	 xattrs;
	char		 target[4096];
	uint8_t		*data;
};

static void
put_object(struct world *w, uint8_t type, uint16_t height,
    const struct object_id *id, const struct object_id *edges, uint16_t n,
    const void *plain, size_t len)
{
	uint8_t *wire = malloc(seal_room(len, n));
	size_t wire_len;

	assert_non_null(wire);
	assert_int_equal(seal_object(w->s, type, height, id, edges, n, plain,
	    len, wire, &wire_len), RC_OK);
	fake_add(&w->f, id, wire, wire_len);
	free(wire);
}

static int
emit(void *arg, const struct object_id *id, uint8_t type, uint16_t height,
    const struct object_id *edges, uint16_t nedges, const void *plain,
    size_t len)
{
	struct world *w = arg;
	struct object_id other;
	uint8_t *p;
	void *at;

	if (w->from == NULL ||
	    (at = memmem(plain, len, w->from, strlen(w->from))) == NULL) {
		put_object(w, type, height, id, edges, nedges, plain, len);
		return RC_OK;
	}
	/* A writer that has the keys and no scruples. */
	assert_non_null(p = malloc(len));
	memcpy(p, plain, len);
	memcpy(p + ((uint8_t *)at - (const uint8_t *)plain), w->to,
	    strlen(w->from));
	assert_int_equal(seal_node_id(w->s, type, height, edges, nedges, p,
	    len, &other), RC_OK);
	put_object(w, type, height, &other, edges, nedges, p, len);
	w->top = other;
	free(p);
	return RC_OK;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->name,
	    ((const struct item *)b)->name);
}

static void
chunk(struct world *w, int fd, uint64_t off, size_t len, struct extent *x)
{
	uint8_t *p = malloc(len);

	assert_non_null(p);
	assert_int_equal(pread(fd, p, len, (off_t)off), (ssize_t)len);
	x->hole = false;
	x->len = len;
	assert_int_equal(seal_chunk_id(w->s, p, len, &x->id), RC_OK);
	if (fake_find(&w->f, &x->id) == NULL)
		put_object(w, OBJECT_CHUNK, 0, &x->id, NULL, 0, p, len);
	free(p);
}

/* Data and holes of a large file, as extents or as a map. */
static void
large(struct world *w, int fd, struct item *it)
{
	struct map_builder *m = NULL;
	struct extent x;
	off_t at = 0, end, size = it->st.st_size;

	it->e.ref = REF_EXTENTS;
	while (at < size) {
		end = lseek(fd, at, SEEK_DATA);
		if (end < 0 || end > size)
			end = size;
		memset(&x, 0, sizeof(x));
		if (end > at) {
			x.hole = true;
			x.len = (uint64_t)(end - at);
		} else {
			end = lseek(fd, at, SEEK_HOLE);
			if (end - at > (off_t)CUT)
				end = at + (off_t)CUT;
			chunk(w, fd, (uint64_t)at, (size_t)(end - at), &x);
		}
		at = end;
		if (m == NULL && it->e.next == NODE_EXTENTS_MAX) {
			uint8_t i;

			m = map_begin(w->s, emit, w);
			assert_non_null(m);
			for (i = 0; i < it->e.next; i++)
				assert_int_equal(map_add(m, &it->e.ext[i]),
				    RC_OK);
		}
		if (m != NULL)
			assert_int_equal(map_add(m, &x), RC_OK);
		else
			it->e.ext[it->e.next++] = x;
	}
	if (m != NULL) {
		it->e.ref = REF_MAP;
		it->e.next = 0;
		assert_int_equal(map_end(m, &it->e.ref_id,
		    &it->e.ref_height), RC_OK);
		map_free(m);
	}
}

/* Small files of one directory, in bundles. */
static void
bundles(struct world *w, struct item *it, size_t n)
{
	struct bundle_member m[1024];
	struct object_id id;
	size_t i, j, k, len;
	uint8_t *p = malloc(BUNDLE_MAX);

	assert_non_null(p);
	for (i = 0; i < n; i = j) {
		len = k = 0;
		for (j = i; j < n && k < 1024; j++) {
			if (it[j].data == NULL)
				continue;
			if (len + it[j].e.size > BUNDLE_TARGET && len > 0)
				break;
			it[j].e.ref = REF_BUNDLE;
			it[j].e.offset = (uint32_t)len;
			it[j].e.len = m[k].len = (uint32_t)it[j].e.size;
			memcpy(p + len, it[j].data, it[j].e.size);
			assert_int_equal(seal_file_id(w->s, it[j].data,
			    it[j].e.size, m[k].fid), RC_OK);
			memcpy(it[j].e.fid, m[k].fid, 16);
			len += it[j].e.size;
			k++;
		}
		if (k == 0)
			break;
		assert_int_equal(seal_bundle_id(w->s, m, (uint32_t)k, &id),
		    RC_OK);
		if (fake_find(&w->f, &id) == NULL)
			put_object(w, OBJECT_BUNDLE, 0, &id, NULL, 0, p, len);
		for (k = i; k < j; k++)
			if (it[k].data != NULL)
				it[k].e.ref_id = id;
	}
	free(p);
}

static void backup_dir(struct world *w, int dirfd, struct object_id *top,
    uint16_t *height);

static void
fill(struct world *w, int dirfd, struct item *it)
{
	struct entry *e = &it->e;
	ssize_t n;
	char path[64];
	int fd;

	e->name = (const uint8_t *)it->name;
	e->name_len = strlen(it->name);
	e->mode = it->st.st_mode;
	e->uid = it->st.st_uid;
	e->gid = it->st.st_gid;
	e->mtime = it->st.st_mtim.tv_sec;
	e->mtime_ns = (uint32_t)it->st.st_mtim.tv_nsec;
	e->ref = REF_NONE;
	wbuf_init(&it->xattrs, XATTR_SET_MAX);
	if (!S_ISDIR(e->mode) && it->st.st_nlink > 1)
		e->link_id = it->st.st_ino;
	switch (e->mode & S_IFMT) {
	case S_IFLNK:
		n = readlinkat(dirfd, it->name, it->target, 4096);
		assert_true(n > 0);
		e->ref = REF_INLINE;
		e->inline_data = (uint8_t *)it->target;
		e->inline_len = (size_t)n;
		return;
	case S_IFCHR:
	case S_IFBLK:
		e->rdev = it->st.st_rdev;
		return;
	case S_IFREG:
	case S_IFDIR:
		break;
	default:
		return;
	}
	fd = openat(dirfd, it->name, O_RDONLY | O_NOFOLLOW);
	assert_true(fd >= 0);
	(void)path;
	assert_int_equal(xattr_read_fd(fd, &it->xattrs), RC_OK);
	e->xattrs_len = it->xattrs.len;
	e->xattrs = it->xattrs.len > 0 ? it->xattrs.data : NULL;
	if (e->xattrs_len > NODE_XATTR_INLINE_MAX) {
		seal_chunk_id(w->s, e->xattrs, e->xattrs_len, &e->xattrs_edge);
		put_object(w, OBJECT_CHUNK, 0, &e->xattrs_edge, NULL, 0,
		    e->xattrs, e->xattrs_len);
		e->xattrs = NULL;
	}
	if (S_ISDIR(e->mode)) {
		e->ref = REF_DIR;
		backup_dir(w, fd, &e->ref_id, &e->ref_height);
		close(fd);
		return;
	}
	e->size = (uint64_t)it->st.st_size;
	if (e->size >= BUNDLE_SMALL ||
	    (e->size > 0 && lseek(fd, 0, SEEK_HOLE) < it->st.st_size)) {
		large(w, fd, it);
	} else {
		assert_non_null(it->data = malloc(e->size + 1));
		assert_int_equal(pread(fd, it->data, e->size, 0),
		    (ssize_t)e->size);
		if (e->size <= NODE_INLINE_MAX) {
			e->ref = REF_INLINE;
			e->inline_len = e->size;
			memcpy(it->target, it->data, e->size);
			e->inline_data = (uint8_t *)it->target;
			free(it->data);
			it->data = NULL;
		}
	}
	close(fd);
}

static void
backup_dir(struct world *w, int dirfd, struct object_id *top,
    uint16_t *height)
{
	struct dir_builder *b = dir_begin(w->s, &w->k, emit, w);
	struct item *it = NULL;
	size_t n = 0, i;
	struct dirent *d;
	DIR *dir = fdopendir(dup(dirfd));

	assert_true(b != NULL && dir != NULL);
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (n % 64 == 0)
			it = realloc(it, (n + 64) * sizeof(*it));
		assert_non_null(it);
		memset(&it[n], 0, sizeof(*it));
		it[n].name = strdup(d->d_name);
		assert_int_equal(fstatat(dirfd, d->d_name, &it[n].st,
		    AT_SYMLINK_NOFOLLOW), 0);
		n++;
	}
	closedir(dir);
	if (n > 0)
		qsort(it, n, sizeof(*it), by_name);
	for (i = 0; i < n; i++)
		fill(w, dirfd, &it[i]);
	bundles(w, it, n);
	for (i = 0; i < n; i++)
		assert_int_equal(dir_add(b, &it[i].e), RC_OK);
	assert_int_equal(dir_end(b, top, height), RC_OK);
	if (w->from != NULL)
		*top = w->top;
	for (i = 0; i < n; i++) {
		free(it[i].name);
		free(it[i].data);
		wbuf_free(&it[i].xattrs);
	}
	free(it);
	dir_free(b);
}

void
world_backup(struct world *w, const char *rel, const char *label)
{
	struct snapshot_client s = { .edge_count = 1 };
	const char *paths[] = { "/src" };
	struct snapbody b = { .host = "here", .npaths = 1, .paths = paths };
	struct wbuf out = WBUF_INIT(SNAPSHOT_CLIENT_MAX);
	uint16_t height;
	int fd;

	fd = open(world_path(w, rel), O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	backup_dir(w, fd, &s.edge[0], &height);
	close(fd);
	memcpy(s.vault, w->k.vault, 16);
	memcpy(s.client, w->k.client, 16);
	assert_int_equal(keys_job_id(&w->k, label, s.job), RC_OK);
	snprintf(s.label, sizeof(s.label), "%s", label);
	s.sequence = ++w->seq;
	assert_int_equal(snapbody_seal(&w->k, &s, &b, &out), RC_OK);
	fake_snapshot(&w->f, out.data, out.len, w->seq,
	    (int64_t)w->seq * 1000000000);
	wbuf_free(&out);
}

/* --- the command --- */

static void
add_path(struct seen *s, const uint8_t *p, size_t n)
{
	s->paths = realloc(s->paths, s->len + n + 2);
	assert_non_null(s->paths);
	memcpy(s->paths + s->len, p, n);
	s->len += n;
	s->paths[s->len++] = '\n';
	s->paths[s->len] = '\0';
}

static void
on_event(struct seen *s, struct rbuf *in)
{
	uint8_t kind, sub, id[32];
	const uint8_t *p;
	uint64_t v[7];
	uint16_t i, n;
	size_t len;
	char text[4096];

	assert_int_equal(rbuf_u8(in, &kind), RC_OK);
	s->n[kind]++;
	switch (kind) {
	case EVENT_SKIPPED:
		assert_int_equal(rbuf_blob16(in, &p, &len, 65535), RC_OK);
		add_path(s, p, len);
		assert_int_equal(rbuf_str(in, text, sizeof(text)), RC_OK);
		break;
	case EVENT_ENTRY:
		assert_int_equal(rbuf_blob16(in, &p, &len, 65535), RC_OK);
		add_path(s, p, len);
		return;
	case EVENT_FINDING:
		assert_int_equal(rbuf_bytes(in, id, 32), RC_OK);
		assert_int_equal(rbuf_u8(in, &sub), RC_OK);
		assert_true(sub < 8);
		s->kinds[sub]++;
		assert_int_equal(rbuf_str(in, text, sizeof(text)), RC_OK);
		assert_int_equal(rbuf_u16(in, &n), RC_OK);
		for (i = 0; i < n; i++) {
			assert_int_equal(rbuf_blob16(in, &p, &len, 65535),
			    RC_OK);
			add_path(s, p, len);
		}
		break;
	case EVENT_SUMMARY:
		assert_int_equal(rbuf_bytes(in, id, 32), RC_OK);
		for (i = 0; i < 7; i++)
			assert_int_equal(rbuf_u64(in, &v[i]), RC_OK);
		s->files = v[0];
		s->skipped = v[5];
		break;
	default:
		return;
	}
	assert_int_equal(rbuf_end(in), RC_OK);
}

static void *
command(void *arg)
{
	struct world *w = arg;
	struct msg m;
	int fd;

	while (chan_recv_wait(w->cmd, &m, 60000) == RC_OK) {
		if (m.type == MSG_ENGINE_EVENT) {
			on_event(&w->seen, &m.body);
		} else if (m.type == MSG_ENGINE_CONNECT) {
			struct wbuf body = WBUF_INIT(512);

			fake_start_fd(&w->f, &w->k, &fd);
			wbuf_u8(&body, 0);
			wbuf_str(&body, "");
			if (chan_send(w->cmd, MSG_ENGINE_NET, &body, fd) !=
			    RC_OK)
				abort();
			close(fd);
			wbuf_free(&body);
		} else {
			break;
		}
	}
	return NULL;
}

void
world_begin(struct world *w)
{
	pthread_t *t = malloc(sizeof(*t));
	int fds[2];

	assert_non_null(t);
	free(w->seen.paths);
	memset(&w->seen, 0, sizeof(w->seen));
	assert_int_equal(chan_pair(fds), RC_OK);
	w->e.cmd = chan_new(fds[0], ROLE_ENGINE, ROLE_COMMAND);
	w->cmd = chan_new(fds[1], ROLE_COMMAND, ROLE_ENGINE);
	w->e.cancelled = false;
	w->f.gets = 0;
	assert_int_equal(pthread_create(t, NULL, command, w), 0);
	w->thread = t;
}

void
world_end(struct world *w)
{
	chan_free(w->e.cmd);
	w->e.cmd = NULL;
	pthread_join(*(pthread_t *)w->thread, NULL);
	free(w->thread);
	chan_free(w->cmd);
	if (w->f.thread != NULL)
		fake_stop(&w->f);
}

bool
world_saw(const struct world *w, const char *path)
{
	size_t n = strlen(path);
	const char *p = w->seen.paths;

	for (; p != NULL && *p != '\0'; p = strchr(p, '\n') + 1)
		if (strncmp(p, path, n) == 0 && p[n] == '\n')
			return true;
	return false;
}

int
world_restore(struct world *w, const struct restore_opt *o, const char *rel)
{
	int code;

	world_begin(w);
	w->e.target_fd = open(world_path(w, rel), O_RDONLY | O_DIRECTORY);
	assert_true(w->e.target_fd >= 0);
	code = restore_run(&w->e, o, w->text, sizeof(w->text));
	close(w->e.target_fd);
	w->e.target_fd = -1;
	world_end(w);
	return code;
}

/* --- comparing --- */

static size_t
differs(const char *name, const char *what)
{
	print_message("%s: %s\n", name, what);
	return 1;
}

static size_t
compare_data(int a, int b, const char *name)
{
	static char x[1 << 16], y[1 << 16];
	ssize_t n, m;

	do {
		n = read(a, x, sizeof(x));
		m = read(b, y, sizeof(y));
		if (n != m || memcmp(x, y, (size_t)(n > 0 ? n : 0)) != 0)
			return differs(name, "content");
	} while (n > 0);
	return 0;
}

static size_t compare_dirs(int a, int b);

static size_t
compare_one(int a, int b, const char *name)
{
	struct wbuf xa = WBUF_INIT(XATTR_SET_MAX), xb = WBUF_INIT(XATTR_SET_MAX);
	char ta[4096], tb[4096];
	struct stat s, t;
	size_t bad = 0;
	ssize_t n;
	int fa, fb;

	if (fstatat(a, name, &s, AT_SYMLINK_NOFOLLOW) != 0 ||
	    fstatat(b, name, &t, AT_SYMLINK_NOFOLLOW) != 0)
		return differs(name, "is not there");
	if (s.st_mode != t.st_mode)
		bad += differs(name, "mode");
	if (s.st_uid != t.st_uid || s.st_gid != t.st_gid)
		bad += differs(name, "owner");
	if (s.st_mtim.tv_sec != t.st_mtim.tv_sec ||
	    s.st_mtim.tv_nsec != t.st_mtim.tv_nsec)
		bad += differs(name, "time");
	if (s.st_nlink != t.st_nlink && !S_ISDIR(s.st_mode))
		bad += differs(name, "links");
	if (s.st_rdev != t.st_rdev)
		bad += differs(name, "device");
	if (S_ISLNK(s.st_mode)) {
		n = readlinkat(a, name, ta, sizeof(ta));
		if (n != readlinkat(b, name, tb, sizeof(tb)) ||
		    memcmp(ta, tb, (size_t)n) != 0)
			bad += differs(name, "target");
		return bad;
	}
	if (!S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode))
		return bad;
	fa = openat(a, name, O_RDONLY | O_NOFOLLOW);
	fb = openat(b, name, O_RDONLY | O_NOFOLLOW);
	assert_true(fa >= 0 && fb >= 0);
	if (xattr_read_fd(fa, &xa) != RC_OK || xattr_read_fd(fb, &xb) !=
	    RC_OK || xa.len != xb.len || memcmp(xa.data != NULL ? xa.data :
	    (uint8_t *)"", xb.data != NULL ? xb.data : (uint8_t *)"",
	    xa.len) != 0)
		bad += differs(name, "attributes");
	wbuf_free(&xa);
	wbuf_free(&xb);
	if (S_ISREG(s.st_mode)) {
		bad += compare_data(fa, fb, name);
		if (s.st_size != t.st_size)
			bad += differs(name, "size");
		if (t.st_blocks > s.st_blocks + 64)
			bad += differs(name, "holes were filled");
	} else {
		bad += compare_dirs(fa, fb);
	}
	close(fa);
	close(fb);
	return bad;
}

static size_t
count_names(int fd)
{
	DIR *d = fdopendir(dup(fd));
	size_t n = 0;

	assert_non_null(d);
	rewinddir(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static size_t
compare_dirs(int a, int b)
{
	struct dirent *e;
	size_t bad = 0;
	DIR *d;

	if (count_names(a) != count_names(b))
		bad += differs("a directory", "has other names");
	d = fdopendir(dup(a));
	assert_non_null(d);
	rewinddir(d);
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			bad += compare_one(a, b, e->d_name);
	closedir(d);
	return bad;
}

size_t
world_differ(const char *a, const char *b)
{
	int fa = open(a, O_RDONLY | O_DIRECTORY);
	int fb = open(b, O_RDONLY | O_DIRECTORY);
	size_t bad;

	assert_true(fa >= 0 && fb >= 0);
	bad = compare_dirs(fa, fb);
	close(fa);
	close(fb);
	return bad;
}
