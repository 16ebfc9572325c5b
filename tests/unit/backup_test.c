#include "config.h"

#include "client/engine/engine.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/engine/event.h"
#include "client/engine/node.h"
#include "client/engine/pool.h"
#include "client/engine/snapbody.h"
#include "common/rc.h"

/*
 * backup_run() against a vault in memory: everything between the files and the
 * remote is the real thing.  The vault checks at COMMIT, as store does, that
 * each edge of each new node is there.
 */
struct vobj {
	struct vobj	*next;
	struct object_id id;
	uint8_t		*wire;
	size_t		 len;
	bool		 committed;
};

#define BUCKETS 65536

static struct {
	struct vobj		*bucket[BUCKETS];
	size_t			 objects;
	uint8_t			*snap[64];
	size_t			 snap_len[64];
	struct snapshot_server	 server[64];
	size_t			 nsnaps;
	struct secret		 identity;
	struct hello_ok		 hello;
	uint64_t		 client_seq;
	/* what one run did */
	size_t			 puts, put_bytes, asks;
	size_t			 commits;
	size_t			 lose;		/* drop so many PUTs */
	bool			 lose_answer;	/* of the next COMMIT */
	bool			 refuse_base;
	uint8_t			 run[16];	/* the last one begun */
	unsigned		 reports;
	struct report		 report;
} vault;

struct remote {
	struct remote_events ev;
};

static struct engine engine;
static char root[64], state_path[64];
static struct {
	size_t	skipped, warnings;
	char	last_skip[512], last_reason[128];
	uint64_t files, dirs, bytes, new_bytes, stored;
} seen;

static struct vobj *
vault_find(const uint8_t *id)
{
	struct vobj *o;

	for (o = vault.bucket[id[0] << 8 | id[1]]; o != NULL; o = o->next)
		if (memcmp(o->id.b, id, OBJECT_ID_LEN) == 0)
			return o;
	return NULL;
}

static void
vault_add(const uint8_t *wire, size_t len)
{
	struct object obj;
	struct vobj *o;

	assert_int_equal(object_parse(wire, len, &obj), RC_OK);
	assert_int_equal(object_check_crc(wire, len), RC_OK);
	if (vault_find(obj.h.id.b) != NULL)
		return;
	o = calloc(1, sizeof(*o));
	assert_non_null(o);
	o->id = obj.h.id;
	o->wire = malloc(len);
	assert_non_null(o->wire);
	memcpy(o->wire, wire, len);
	o->len = len;
	o->next = vault.bucket[o->id.b[0] << 8 | o->id.b[1]];
	vault.bucket[o->id.b[0] << 8 | o->id.b[1]] = o;
	vault.objects++;
}

static void
vault_empty(void)
{
	struct vobj *o;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		while ((o = vault.bucket[i]) != NULL) {
			vault.bucket[i] = o->next;
			free(o->wire);
			free(o);
		}
	for (i = 0; i < vault.nsnaps; i++)
		free(vault.snap[i]);
	memset(&vault, 0, sizeof(vault));
}

/* --- the remote --- */

int
engine_connect(struct engine *e, struct remote **r,
    const struct remote_events *ev, struct auth_ok *ok)
{
	(void)e;
	(void)ok;
	*r = calloc(1, sizeof(**r));
	if (ev != NULL)
		(*r)->ev = *ev;
	vault.puts = vault.put_bytes = vault.asks = vault.commits = 0;
	return RC_OK;
}

void
remote_close(struct remote *r)
{
	free(r);
}

void
remote_report(struct remote *r, const struct report *rep)
{
	assert_non_null(r);
	assert_memory_equal(rep->run, vault.run, sizeof(vault.run));
	vault.reports++;
	vault.report = *rep;
}

void
remote_set_events(struct remote *r, const struct remote_events *ev)
{
	r->ev = *ev;
}

const char *
remote_error(const struct remote *r)
{
	(void)r;
	return "";
}

const struct hello_ok *
remote_hello(const struct remote *r)
{
	(void)r;
	return &vault.hello;
}

int
remote_list(struct remote *r, const uint8_t job[16], uint64_t after,
    int (*each)(void *arg, const struct listed *l), void *arg)
{
	struct snapshot_client c;
	struct listed l;
	size_t i;
	int rc;

	(void)r;
	for (i = 0; i < vault.nsnaps; i++) {
		l.client = vault.snap[i];
		l.client_len = vault.snap_len[i];
		l.server = vault.server[i];
		if (l.server.vault_seq <= after)
			continue;
		assert_int_equal(snapshot_get_client(l.client, l.client_len,
		    &c), RC_OK);
		if (memcmp(c.job, job, 16) == 0 &&
		    (rc = each(arg, &l)) != RC_OK)
			return rc;
	}
	return RC_OK;
}

int
remote_run_begin(struct remote *r, const struct run_begin *b,
    struct run_ok *ok)
{
	struct object_id id;
	size_t i;

	(void)r;
	memset(ok, 0, sizeof(*ok));
	memcpy(vault.run, b->run, sizeof(vault.run));
	if (vault.objects == 0)
		ok->flags |= PROTO_RUN_EMPTY;
	for (i = 0; i < vault.nsnaps && !vault.refuse_base; i++) {
		assert_int_equal(snapshot_id(vault.snap[i], vault.snap_len[i],
		    &id), RC_OK);
		if (memcmp(&id, &b->base, sizeof(id)) == 0)
			ok->flags |= PROTO_RUN_BASE;
	}
	ok->client_seq = vault.client_seq;
	return RC_OK;
}

int
remote_have(struct remote *r, uint64_t cookie, const struct object_id *ids,
    size_t n)
{
	uint8_t have[PROTO_IDS_MAX];
	struct vobj *o;
	size_t i;

	assert_true(n > 0 && n <= PROTO_IDS_MAX);
	vault.asks += n;
	for (i = 0; i < n; i++) {
		o = vault_find(ids[i].b);
		have[i] = o == NULL || (object_is_node(o->wire[1]) &&
		    !o->committed) ? HAVE_ABSENT : HAVE_PRESENT;
	}
	return r->ev.have(r->ev.arg, cookie, have, n);
}

int
remote_put(struct remote *r, const uint8_t *wire, size_t len)
{
	(void)r;
	if (vault.lose > 0) {
		vault.lose--;
		return RC_OK;
	}
	vault.puts++;
	vault.put_bytes += len;
	vault_add(wire, len);
	return RC_OK;
}

int
remote_poll(struct remote *r, int timeout_ms, int wake_fd)
{
	(void)r;
	(void)wake_fd;
	if (timeout_ms > 0)
		usleep(1000);
	return RC_OK;
}

static size_t
check_graph(const uint8_t *id, struct object_id *missing)
{
	struct vobj *v = vault_find(id);
	struct object o, e;
	size_t n = 0;
	uint16_t i;
	struct vobj *child;

	if (v == NULL) {
		memcpy(missing, id, sizeof(*missing));
		return 1;
	}
	if (v->committed)
		return 0;
	assert_int_equal(object_parse(v->wire, v->len, &o), RC_OK);
	for (i = 0; i < o.h.edges && n == 0; i++) {
		child = vault_find(o.edges + i * OBJECT_ID_LEN);
		if (child != NULL) {
			assert_int_equal(object_parse(child->wire, child->len,
			    &e), RC_OK);
			assert_true(e.h.height < o.h.height);
		}
		n = check_graph(o.edges + i * OBJECT_ID_LEN, missing);
	}
	if (n == 0)
		v->committed = true;
	return n;
}

int
remote_commit(struct remote *r, const uint8_t *snap, size_t len,
    struct snapshot_server *server, struct object_id *missing, size_t *n)
{
	struct wbuf text = WBUF_INIT(1024);
	struct snapshot_client c;
	struct object_id id;
	uint8_t i;

	(void)r;
	vault.commits++;
	assert_int_equal(snapshot_get_client(snap, len, &c), RC_OK);
	for (i = 0; i < c.edge_count; i++)
		if ((*n = check_graph(c.edge[i].b, missing)) != 0)
			return RC_MISSING;
	assert_true(c.sequence > vault.client_seq);
	vault.client_seq = c.sequence;
	assert_int_equal(snapshot_id(snap, len, &id), RC_OK);
	memset(server, 0, sizeof(*server));
	server->vault_seq = server->job_seq = vault.nsnaps + 1;
	snapshot_receipt_text(&text, engine.keys.vault, &id, server);
	assert_int_equal(ed25519_sign(&vault.identity, text.data, text.len,
	    server->sig), RC_OK);
	wbuf_free(&text);
	vault.snap[vault.nsnaps] = malloc(len);
	memcpy(vault.snap[vault.nsnaps], snap, len);
	vault.snap_len[vault.nsnaps] = len;
	vault.server[vault.nsnaps++] = *server;
	if (vault.lose_answer) {
		vault.lose_answer = false;
		return RC_EOF;
	}
	return RC_OK;
}

int
engine_event(struct engine *e, const struct wbuf *body)
{
	const uint8_t *path;
	struct rbuf in;
	uint8_t kind, id[32];
	size_t n;

	(void)e;
	assert_int_equal(wbuf_rc(body), RC_OK);
	rbuf_init(&in, body->data, body->len);
	assert_int_equal(rbuf_u8(&in, &kind), RC_OK);
	if (kind == EVENT_SKIPPED) {
		__atomic_add_fetch(&seen.skipped, 1, __ATOMIC_SEQ_CST);
		assert_int_equal(rbuf_blob16(&in, &path, &n, 65535), RC_OK);
		snprintf(seen.last_skip, sizeof(seen.last_skip), "%.*s",
		    (int)n, path);
		rbuf_str(&in, seen.last_reason, sizeof(seen.last_reason));
	} else if (kind == EVENT_WARNING) {
		__atomic_add_fetch(&seen.warnings, 1, __ATOMIC_SEQ_CST);
	} else if (kind == EVENT_SUMMARY) {
		rbuf_bytes(&in, id, sizeof(id));
		rbuf_u64(&in, &seen.files);
		rbuf_u64(&in, &seen.dirs);
		rbuf_u64(&in, &seen.bytes);
		rbuf_u64(&in, &seen.new_bytes);
		rbuf_u64(&in, &seen.stored);
	}
	return RC_OK;
}

int
engine_progress(struct engine *e, const struct progress *p)
{
	(void)p;
	return e->cancelled ? RC_CANCELLED : RC_OK;
}

int
engine_exit_code(int rc, const struct remote *r)
{
	(void)r;
	return rc == RC_OLDER ? EXIT_INTEGRITY :
	    rc == RC_CANCELLED ? EXIT_INTERRUPTED : EXIT_FAILED;
}

/* --- reading a tree back, into lines that can be compared --- */

struct lines {
	char	*p;
	size_t	 len, size;
};

static void line(struct lines *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

static void
line(struct lines *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (l->size - l->len < 8192) {
		l->size = l->size * 2 + 65536;
		l->p = realloc(l->p, l->size);
		assert_non_null(l->p);
	}
	va_start(ap, fmt);
	n = vsnprintf(l->p + l->len, 8192, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && n < 8192);
	l->len += (size_t)n;
}

static void
line_meta(struct lines *l, const char *path, uint32_t mode, uint32_t uid,
    uint32_t gid, int64_t mtime, uint32_t ns, uint64_t size)
{
	line(l, "%s %o %u %u %lld.%09u %llu", path, mode, uid, gid,
	    (long long)mtime, ns, (unsigned long long)size);
}

static void
line_sum(struct lines *l, const uint8_t sum[32])
{
	int i;

	line(l, " ");
	for (i = 0; i < 8; i++)
		line(l, "%02x", sum[i]);
}

struct reader {
	struct lines	*l;
	struct sealer	*s;
	char		 path[16384];
	struct mac	*sum;		/* of the file being read */
	uint64_t	 bytes;
	size_t		 links;
};

static uint8_t *
fetch(struct reader *r, const struct object_id *id, struct object *o,
    size_t *len)
{
	struct vobj *v = vault_find(id->b);
	uint8_t *out = malloc(OBJECT_RAW_MAX);

	assert_non_null(v);
	assert_non_null(out);
	assert_int_equal(object_parse(v->wire, v->len, o), RC_OK);
	assert_int_equal(seal_open(r->s, o, 1, out, len), RC_OK);
	if (o->h.type == OBJECT_BUNDLE)
		assert_int_equal(bundle_check(r->s, id, out, *len), RC_OK);
	return out;
}

static int
on_extent(void *arg, const struct extent *e)
{
	static const uint8_t zeros[65536];
	struct reader *r = arg;
	struct object o;
	uint64_t left;
	uint8_t *p;
	size_t len;

	r->bytes += e->len;
	if (e->hole) {
		for (left = e->len; left > 0; left -= len) {
			len = left < sizeof(zeros) ? left : sizeof(zeros);
			mac_add(r->sum, zeros, len);
		}
		return RC_OK;
	}
	p = fetch(r, &e->id, &o, &len);
	assert_int_equal(o.h.type, OBJECT_CHUNK);
	assert_int_equal(len, e->len);
	mac_add(r->sum, p, len);
	free(p);
	return RC_OK;
}

static int
on_map(void *arg, const struct object_id *id, uint64_t bytes)
{
	struct reader *r = arg;
	uint64_t before = r->bytes;
	struct object o;
	size_t len;
	uint8_t *p = fetch(r, id, &o, &len);
	int rc;

	assert_int_equal(o.h.type, OBJECT_MAP);
	rc = map_read(p, len, (const struct object_id *)o.edges, o.h.edges,
	    on_extent, on_map, r);
	free(p);
	if (bytes != 0)
		assert_true(r->bytes - before == bytes);
	return rc;
}

static void read_tree(struct reader *r, const struct object_id *id);

static void
read_content(struct reader *r, const struct entry *e)
{
	uint8_t sum[32], *p;
	struct object o;
	size_t len;
	uint8_t i;

	mac_begin(r->sum);
	r->bytes = 0;
	switch (e->ref) {
	case REF_INLINE:
		mac_add(r->sum, e->inline_data, e->inline_len);
		r->bytes = e->inline_len;
		break;
	case REF_BUNDLE:
		p = fetch(r, &e->ref_id, &o, &len);
		assert_int_equal(o.h.type, OBJECT_BUNDLE);
		assert_true(e->offset + e->len <= len);
		mac_add(r->sum, p + e->offset, e->len);
		r->bytes = e->len;
		free(p);
		break;
	case REF_EXTENTS:
		for (i = 0; i < e->next; i++)
			on_extent(r, &e->ext[i]);
		break;
	case REF_MAP:
		assert_int_equal(on_map(r, &e->ref_id, 0), RC_OK);
		break;
	default:
		break;
	}
	assert_true(r->bytes == e->size);
	mac_end(r->sum, sum);
	line_sum(r->l, sum);
}

static int
on_entry(void *arg, const struct entry *e)
{
	struct reader *r = arg;
	size_t n = strlen(r->path);

	snprintf(r->path + n, sizeof(r->path) - n, "/%.*s", (int)e->name_len,
	    (const char *)e->name);
	line_meta(r->l, r->path, e->mode, e->uid, e->gid, e->mtime,
	    e->mtime_ns, e->size);
	r->links += e->link_id != 0;
	if (S_ISREG(e->mode) || S_ISLNK(e->mode))
		read_content(r, e);
	if (e->rdev != 0)
		line(r->l, " dev %u:%u", major(e->rdev), minor(e->rdev));
	line(r->l, " x%zu\n", e->xattrs_len);
	if (S_ISDIR(e->mode))
		read_tree(r, &e->ref_id);
	r->path[n] = '\0';
	return RC_OK;
}

static int
on_child(void *arg, const uint8_t *first, size_t first_len,
    const struct object_id *child, uint64_t entries)
{
	(void)first;
	(void)first_len;
	(void)entries;
	read_tree(arg, child);
	return RC_OK;
}

static void
read_tree(struct reader *r, const struct object_id *id)
{
	struct object o;
	size_t len;
	uint8_t *p = fetch(r, id, &o, &len);
	const struct object_id *edges = (const struct object_id *)o.edges;

	if (o.h.type == OBJECT_DIR_LEAF)
		assert_int_equal(leaf_read(p, len, edges, o.h.edges, on_entry,
		    r), RC_OK);
	else
		assert_int_equal(interior_read(p, len, edges, o.h.edges,
		    on_child, r), RC_OK);
	free(p);
}

/* The newest snapshot as lines; how many entries have a link id. */
static size_t
saved_tree(struct lines *l)
{
	struct snapshot_client c;
	struct reader r = { .l = l };

	assert_true(vault.nsnaps > 0);
	assert_int_equal(snapshot_get_client(vault.snap[vault.nsnaps - 1],
	    vault.snap_len[vault.nsnaps - 1], &c), RC_OK);
	r.s = sealer_new(&engine.keys);
	r.sum = mac_new_sha256();
	read_tree(&r, &c.edge[0]);
	sealer_free(r.s);
	mac_free(r.sum);
	return r.links;
}

static void
file_sum(const char *path, const struct stat *st, uint8_t sum[32])
{
	uint8_t buf[65536];
	struct mac *m = mac_new_sha256();
	ssize_t n;
	int fd;

	mac_begin(m);
	if (S_ISLNK(st->st_mode)) {
		n = readlink(path, (char *)buf, sizeof(buf));
		mac_add(m, buf, (size_t)n);
	} else {
		fd = open(path, O_RDONLY);
		assert_true(fd != -1);
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			mac_add(m, buf, (size_t)n);
		close(fd);
	}
	mac_end(m, sum);
	mac_free(m);
}

static int
bytes_order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void
real_entry(struct lines *l, const char *path)
{
	char sub[8192], xattrs[4096], value[4096], *x;
	struct dirent **names;
	struct stat st;
	uint8_t sum[32];
	size_t set = 0;
	ssize_t n;
	int i, count;

	assert_int_equal(lstat(path, &st), 0);
	line_meta(l, path, st.st_mode, st.st_uid, st.st_gid,
	    st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec,
	    S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ?
	    (uint64_t)st.st_size : 0);
	if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) {
		file_sum(path, &st, sum);
		line_sum(l, sum);
	}
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		line(l, " dev %u:%u", major(st.st_rdev), minor(st.st_rdev));
	n = llistxattr(path, xattrs, sizeof(xattrs));
	for (x = xattrs; n > 0 && x < xattrs + n; x += strlen(x) + 1)
		set += 5 + strlen(x) + (size_t)lgetxattr(path, x, value,
		    sizeof(value));
	line(l, " x%zu\n", set);
	if (!S_ISDIR(st.st_mode))
		return;
	count = scandir(path, &names, NULL, bytes_order);
	assert_true(count >= 0);
	for (i = 0; i < count; i++) {
		if (strcmp(names[i]->d_name, ".") != 0 &&
		    strcmp(names[i]->d_name, "..") != 0) {
			snprintf(sub, sizeof(sub), "%s/%s", path,
			    names[i]->d_name);
			real_entry(l, sub);
		}
		free(names[i]);
	}
	free(names);
}

/* Also the directories on the way to it. */
static void
real_tree(struct lines *l, const char *path)
{
	char up[8192];
	struct stat st;
	const char *p;

	for (p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
		snprintf(up, sizeof(up), "%.*s", (int)(p - path), path);
		assert_int_equal(lstat(up, &st), 0);
		line_meta(l, up, st.st_mode, st.st_uid, st.st_gid,
		    st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec, 0);
		line(l, " x0\n");
	}
	real_entry(l, path);
}

static void
skip_line(struct lines *l)
{
	char *end = strchr(l->p, '\n') + 1;

	memmove(l->p, end, strlen(end) + 1);
}

/* What somebody else does in /tmp changes the root node, and nothing else. */
static void
nothing_was_put(void)
{
	assert_true(vault.puts <= 1);
	assert_true(vault.put_bytes < 1024);
	assert_int_equal(seen.new_bytes, 0);
}

static void
tree_is_saved(const char *path)
{
	struct lines a = { 0 }, b = { 0 };

	real_tree(&a, path);
	saved_tree(&b);
	/* /tmp itself is everybody's */
	skip_line(&a);
	skip_line(&b);
	if (strcmp(a.p, b.p) != 0) {
		char *x = a.p, *y = b.p, *xe, *ye;

		while (*x != '\0' && *y != '\0') {
			xe = strchr(x, '\n');
			ye = strchr(y, '\n');
			if (xe - x != ye - y || memcmp(x, y, (size_t)(xe - x)))
				break;
			x = xe + 1;
			y = ye + 1;
		}
		print_message("there: %.200s\nsaved: %.200s\n", x, y);
		fail_msg("the saved tree differs");
	}
	free(a.p);
	free(b.p);
}

/* --- making trees --- */

static void
make_file(const char *name, size_t n, unsigned seed)
{
	char path[256];
	uint8_t *p = malloc(n + 1);
	uint64_t x = seed * 2654435761u + 88172645463325252ull;
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (uint8_t)(x >> 11);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
	assert_true(fd != -1);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
	free(p);
}

static void
make_old(const char *dir)
{
	char cmd[256], path[4096];
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;
	const struct timespec t[2] = { { 1000000000, 5 }, { 1000000000, 7 } };

	(void)cmd;
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		assert_int_equal(lstat(path, &st), 0);
		if (S_ISDIR(st.st_mode))
			make_old(path);
		utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW);
	}
	closedir(d);
}

static int
run(const char *job)
{
	const char *paths[] = { root };
	struct backup_opt o = { .job = job, .paths = paths, .npaths = 1 };
	char text[1024];
	int code;

	memset(&seen, 0, sizeof(seen));
	code = backup_run(&engine, &o, text, sizeof(text));
	if (code != EXIT_DONE)
		print_message("exit %d: %s\n", code, text);
	return code;
}

static void remove_tree(const char *dir);

static void
remove_tree_below(const char *dir)
{
	char path[8192];
	struct dirent *e;
	DIR *d = opendir(dir);

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (unlink(path) != 0) {
			remove_tree(path);
			rmdir(path);
		}
	}
	closedir(d);
}

static void
remove_tree(const char *dir)
{
	remove_tree_below(dir);
	rmdir(dir);
}

static int
setup(void **state)
{
	int c, s;

	(void)state;
	vault_empty();
	memset(&engine, 0, sizeof(engine));
	snprintf(root, sizeof(root), "/tmp/backup_test.XXXXXX");
	snprintf(state_path, sizeof(state_path), "/tmp/backup_state.XXXXXX");
	assert_non_null(mkdtemp(root));
	assert_non_null(mkdtemp(state_path));
	c = open(state_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s = open(state_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(state_open(&engine.state, c, s), RC_OK);
	assert_int_equal(ed25519_new(&vault.identity, vault.hello.identity),
	    RC_OK);
	memset(engine.keys.vault, 1, 16);
	memset(engine.keys.client, 2, 16);
	memset(engine.keys.m.b, 3, 32);
	assert_int_equal(keys_derive(&engine.keys), RC_OK);
	assert_int_equal(keys_epoch_new(&engine.keys), RC_OK);
	assert_int_equal(ed25519_new(&engine.keys.identity,
	    engine.keys.identity_pub), RC_OK);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	state_free(engine.state);
	keys_clear(&engine.keys);
	remove_tree(root);
	remove_tree(state_path);
	vault_empty();
	return 0;
}

static void
make_all_kinds(void)
{
	char a[256], b[256];
	int fd;

	make_file("empty", 0, 1);
	make_file("tiny", 100, 2);
	make_file("inline-128", 128, 3);
	make_file("bundle-129", 129, 3);
	make_file("small", 5000, 4);
	make_file("small-twin", 5000, 4);
	make_file("just-small", (256 << 10) - 1, 5);
	make_file("just-large", 256 << 10, 6);
	make_file("large", 3 << 20, 7);
	make_file("huge", 12 << 20, 8);
	make_file("\xff\xfe odd\nname", 10, 9);
	snprintf(a, sizeof(a), "%s/dir", root);
	mkdir(a, 0700);
	snprintf(a, sizeof(a), "%s/dir/empty", root);
	mkdir(a, 01777);
	make_file("dir/x", 1000, 10);
	make_file("dir-x", 1000, 11);		/* '-' sorts before '/' */
	make_file("dir/zz", 200, 12);
	snprintf(a, sizeof(a), "%s/small", root);
	snprintf(b, sizeof(b), "%s/dir/hard", root);
	assert_int_equal(link(a, b), 0);
	snprintf(a, sizeof(a), "%s/symlink", root);
	assert_int_equal(symlink("to/nowhere", a), 0);
	snprintf(a, sizeof(a), "%s/fifo", root);
	assert_int_equal(mkfifo(a, 0600), 0);
	if (geteuid() == 0) {
		snprintf(a, sizeof(a), "%s/null", root);
		(void)!mknod(a, S_IFCHR | 0666, makedev(1, 3));
		snprintf(a, sizeof(a), "%s/tiny", root);
		assert_int_equal(chown(a, 12345, 54321), 0);
	}
	snprintf(a, sizeof(a), "%s/dir/x", root);
	(void)setxattr(a, "user.b", "value", 5, 0);
	(void)setxattr(a, "user.a", "", 0, 0);
	snprintf(a, sizeof(a), "%s/sparse", root);
	fd = open(a, O_RDWR | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 50 << 20), 0);
	assert_int_equal(pwrite(fd, "data", 4, 20 << 20), 4);
	close(fd);
	snprintf(a, sizeof(a), "%s/all-hole", root);
	fd = open(a, O_RDWR | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
}

/* --- tests --- */

static void
every_kind_of_file_is_saved_as_it_is(void **state)
{
	struct lines l = { 0 };

	(void)state;
	make_all_kinds();
	assert_int_equal(run("job"), EXIT_DONE);
	assert_int_equal(vault.asks, 0);	/* the vault was empty */
	tree_is_saved(root);
	assert_int_equal(saved_tree(&l), 2);
	free(l.p);
}

static void
an_unchanged_tree_sends_only_its_snapshot(void **state)
{
	(void)state;
	make_all_kinds();
	make_old(root);
	sleep(3);			/* past the 2 s in which stat may lie */
	assert_int_equal(run("job"), EXIT_DONE);
	assert_int_equal(run("job"), EXIT_DONE);
	nothing_was_put();
	assert_int_equal(vault.asks, 0);
	assert_int_equal(vault.commits, 1);
	assert_int_equal(vault.nsnaps, 2);
	tree_is_saved(root);
}

static void
fresh_files_are_read_again_and_nothing_is_sent_twice(void **state)
{
	(void)state;
	make_all_kinds();
	assert_int_equal(run("job"), EXIT_DONE);
	assert_int_equal(run("job"), EXIT_DONE);
	nothing_was_put();
	tree_is_saved(root);
}

static void
a_change_sends_the_file_and_the_way_to_it(void **state)
{
	char name[64];
	int i;

	(void)state;
	make_all_kinds();
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "dir/f%d", i);
		make_file(name, 2000, 1000 + (unsigned)i);
	}
	make_old(root);
	sleep(3);
	assert_int_equal(run("job"), EXIT_DONE);
	make_file("dir/f77", 2000, 5);
	assert_int_equal(run("job"), EXIT_DONE);
	/* a bundle, a leaf of its directory and what is above that (one or two),
	 * the tree's root, and those between, small */
	assert_true(vault.puts <= 9);
	assert_true(vault.put_bytes < 2000 + 8000);
	assert_true(seen.new_bytes < 2200);
	tree_is_saved(root);
}

static void
a_moved_or_copied_file_is_not_stored_again(void **state)
{
	char a[256], b[256];

	(void)state;
	make_all_kinds();
	assert_int_equal(run("job"), EXIT_DONE);
	snprintf(a, sizeof(a), "%s/small", root);
	snprintf(b, sizeof(b), "%s/dir/moved", root);
	assert_int_equal(rename(a, b), 0);
	make_file("copy", (256 << 10) - 1, 5);
	assert_int_equal(run("job"), EXIT_DONE);
	assert_int_equal(seen.new_bytes, 0);
	tree_is_saved(root);
}

static void
another_job_over_the_same_tree_sends_nothing(void **state)
{
	(void)state;
	make_all_kinds();
	assert_int_equal(run("one"), EXIT_DONE);
	assert_int_equal(run("two"), EXIT_DONE);
	nothing_was_put();
	tree_is_saved(root);
}

static void
what_is_missing_at_commit_is_sent_again(void **state)
{
	(void)state;
	make_all_kinds();
	vault.lose = 3;
	assert_int_equal(run("job"), EXIT_DONE);
	assert_true(vault.commits >= 2);
	tree_is_saved(root);
}

/* All but the commit happened, and the machine was set up anew. */
static void
objects_of_an_interrupted_run_are_not_sent_again(void **state)
{
	struct vobj *o;
	size_t i;

	(void)state;
	make_all_kinds();
	assert_int_equal(run("job"), EXIT_DONE);
	vault.nsnaps = 0;
	free(vault.snap[0]);
	vault.client_seq = 0;
	for (i = 0; i < BUCKETS; i++)
		for (o = vault.bucket[i]; o != NULL; o = o->next)
			o->committed = false;
	remove_tree_below(state_path);
	assert_int_equal(run("job"), EXIT_DONE);
	assert_int_equal(seen.new_bytes, 0);
	tree_is_saved(root);
}

static void
a_lost_answer_is_adopted(void **state)
{
	(void)state;
	make_all_kinds();
	assert_int_equal(run("job"), EXIT_DONE);
	make_file("more", 3000, 99);
	vault.lose_answer = true;
	assert_int_not_equal(run("job"), EXIT_DONE);
	assert_int_equal(vault.nsnaps, 2);
	assert_int_equal(run("job"), EXIT_DONE);
	assert_int_equal(vault.nsnaps, 3);
	tree_is_saved(root);
}

static void
a_vault_put_back_is_noticed(void **state)
{
	(void)state;
	make_all_kinds();
	assert_int_equal(run("job"), EXIT_DONE);
	assert_int_equal(run("job"), EXIT_DONE);
	vault.nsnaps--;
	free(vault.snap[vault.nsnaps]);
	assert_int_equal(run("job"), EXIT_INTEGRITY);
}

static void
a_base_that_is_refused_means_reading_again(void **state)
{
	(void)state;
	make_all_kinds();
	make_old(root);
	sleep(3);
	assert_int_equal(run("job"), EXIT_DONE);
	vault.refuse_base = true;
	assert_int_equal(run("job"), EXIT_DONE);
	assert_true(vault.asks > 0);
	nothing_was_put();
	tree_is_saved(root);
}

static void
what_cannot_be_read_is_listed(void **state)
{
	const char *paths[2];
	struct backup_opt o = { .job = "j", .paths = paths, .npaths = 2 };
	char gone[128], text[1024];

	(void)state;
	make_file("here", 1000, 1);
	snprintf(gone, sizeof(gone), "%s/not-here", root);
	paths[0] = root;
	paths[1] = "/tmp/this is not there at all";
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(backup_run(&engine, &o, text, sizeof(text)),
	    EXIT_INCOMPLETE);
	assert_int_equal(seen.skipped, 1);
	assert_string_equal(seen.last_skip, paths[1]);
	assert_int_equal(vault.report.outcome, REPORT_INCOMPLETE);
	assert_int_equal(vault.report.skipped, 1);
	assert_int_equal(vault.report.files, 1);
	paths[0] = gone;
	assert_int_equal(backup_run(&engine, &o, text, sizeof(text)),
	    EXIT_NOTHING);
	assert_int_equal(vault.reports, 2);
	assert_int_equal(vault.report.outcome, REPORT_FAILED);
}

static void
a_run_ends_with_one_report_of_what_it_did(void **state)
{
	const char *paths[1] = { root };
	struct backup_opt o = { .job = "j", .paths = paths, .npaths = 1 };
	char text[1024];

	(void)state;
	make_file("one", 1000, 1);
	make_file("two", 2000, 2);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(backup_run(&engine, &o, text, sizeof(text)),
	    EXIT_DONE);
	assert_int_equal(vault.reports, 1);
	assert_int_equal(vault.report.outcome, REPORT_OK);
	assert_int_equal(vault.report.files, 2);
	assert_int_equal(vault.report.bytes, seen.bytes);
	assert_int_equal(vault.report.new_bytes, seen.new_bytes);
	assert_true(seen.new_bytes >= 3000);
	o.dry_run = true;
	assert_int_equal(backup_run(&engine, &o, text, sizeof(text)),
	    EXIT_DONE);
	assert_int_equal(vault.reports, 1);
}

static void
a_single_file_can_be_a_path(void **state)
{
	const char *paths[1];
	struct backup_opt o = { .job = "j", .paths = paths, .npaths = 1 };
	char file[128], text[1024];

	(void)state;
	make_file("one", 1000, 1);
	make_file("two", 1000, 2);
	snprintf(file, sizeof(file), "%s/one", root);
	paths[0] = file;
	assert_int_equal(backup_run(&engine, &o, text, sizeof(text)),
	    EXIT_DONE);
	tree_is_saved(file);
}

static void
many_small_files_in_many_directories(void **state)
{
	char name[128];
	int i, j;

	(void)state;
	for (i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "%s/d%d", root, i);
		mkdir(name, 0755);
		for (j = 0; j < 10; j++) {
			snprintf(name, sizeof(name), "d%d/f%d", i, j);
			make_file(name, (size_t)(i * 37 + j * 411) % 9000,
			    (unsigned)(i * 10 + j));
		}
	}
	assert_int_equal(run("job"), EXIT_DONE);
	assert_int_equal(seen.files, 4000);
	tree_is_saved(root);
}

static void
paths_beyond_path_max_are_saved(void **state)
{
	char name[201];
	int fd, next, i, n = 150;

	(void)state;
	memset(name, 'd', 200);
	name[200] = '\0';
	fd = open(root, O_RDONLY | O_DIRECTORY);
	for (i = 0; i < n; i++) {
		assert_int_equal(mkdirat(fd, name, 0755), 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY);
		assert_true(next != -1);
		close(fd);
		fd = next;
		/* something behind the way back, at each step */
		next = openat(fd, "z", O_WRONLY | O_CREAT, 0644);
		assert_int_equal(write(next, root, 20), 20);
		close(next);
	}
	close(fd);
	assert_int_equal(run("job"), EXIT_DONE);
	assert_int_equal(seen.files, n);
	assert_int_equal(seen.skipped, 0);
	/* so that it can be removed again */
	fd = open(root, O_RDONLY | O_DIRECTORY);
	for (i = 0; i < n; i++) {
		next = openat(fd, name, O_RDONLY | O_DIRECTORY);
		unlinkat(next, "z", 0);
		if (renameat(next, name, fd, "up") == 0) {
			assert_int_equal(unlinkat(fd, name, AT_REMOVEDIR), 0);
			assert_int_equal(renameat(fd, "up", fd, name), 0);
		} else {
			unlinkat(fd, name, AT_REMOVEDIR);
		}
		close(next);
	}
	close(fd);
}

static void
a_cancelled_run_ends_and_leaves_nothing(void **state)
{
	(void)state;
	make_all_kinds();
	engine.cancelled = true;
	assert_int_equal(run("job"), EXIT_INTERRUPTED);
	assert_int_equal(vault.nsnaps, 0);
	assert_int_equal(vault.reports, 1);
	assert_int_equal(vault.report.outcome, REPORT_CANCELLED);
	engine.cancelled = false;
	assert_int_equal(run("job"), EXIT_DONE);
	tree_is_saved(root);
}

static void
a_damaged_cache_costs_time_only(void **state)
{
	char path[512];
	struct dirent *e;
	struct stat st;
	uint8_t b;
	DIR *d;
	int fd;

	(void)state;
	make_all_kinds();
	make_old(root);
	sleep(3);
	assert_int_equal(run("job"), EXIT_DONE);
	snprintf(path, sizeof(path), "%s/cache", state_path);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL && e->d_name[0] == '.')
		;
	snprintf(path, sizeof(path), "%s/cache/%s", state_path, e->d_name);
	closedir(d);
	fd = open(path, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pread(fd, &b, 1, 1024 + 100), 1);
	b ^= 0x10;
	assert_int_equal(pwrite(fd, &b, 1, 1024 + 100), 1);
	close(fd);
	make_file("new", 4000, 12345);
	assert_int_equal(run("job"), EXIT_DONE);
	tree_is_saved(root);
}

static int
group_setup(void **state)
{
	(void)state;
	engine.nthreads = 4;
	return pool_start(&engine.nthreads);
}

static int
group_teardown(void **state)
{
	(void)state;
	pool_stop();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(every_kind_of_file_is_saved_as_it_is),
		T(an_unchanged_tree_sends_only_its_snapshot),
		T(fresh_files_are_read_again_and_nothing_is_sent_twice),
		T(a_change_sends_the_file_and_the_way_to_it),
		T(a_moved_or_copied_file_is_not_stored_again),
		T(another_job_over_the_same_tree_sends_nothing),
		T(what_is_missing_at_commit_is_sent_again),
		T(objects_of_an_interrupted_run_are_not_sent_again),
		T(a_lost_answer_is_adopted),
		T(a_vault_put_back_is_noticed),
		T(a_base_that_is_refused_means_reading_again),
		T(what_cannot_be_read_is_listed),
		T(a_run_ends_with_one_report_of_what_it_did),
		T(a_single_file_can_be_a_path),
		T(many_small_files_in_many_directories),
		T(paths_beyond_path_max_are_saved),
		T(a_cancelled_run_ends_and_leaves_nothing),
		T(a_damaged_cache_costs_time_only),
#undef T
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
