#include "config.h"

#include "tests/unit/store_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "common/wbuf.h"

static int
sign(void *arg, const struct object_id *id, const struct snapshot_server *s,
    uint8_t sig[64])
{
	const struct world *w = arg;

	(void)s;
	memset(sig, id->b[0], 64);
	return w->keyd_away ? RC_AGAIN : RC_OK;
}

static int
now(void *arg, int64_t *wall_ns, uint64_t *boot)
{
	const struct world *w = arg;

	*wall_ns = w->wall_s == 0 ? io_wall_ns() : w->wall_s * 1000000000;
	*boot = w->wall_s == 0 ? clock_boot_seconds() : w->boot_s;
	return RC_OK;
}

static void
no_log(enum log_level level, const char *line, void *arg)
{
	(void)arg;
	if (getenv("STORE_TEST_LOG") != NULL)
		fprintf(stderr, "<%d> %s\n", (int)level, line);
}

void
world_new(struct world *w)
{
	int fd;

	memset(w, 0, sizeof(*w));
	log_set_sink(no_log, NULL);
	snprintf(w->dir, sizeof(w->dir), "/tmp/sg-store-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	memset(w->opt.vault, 0x11, 16);
	memset(w->opt.instance, 0x22, 16);
	memset(w->opt.client, 0x33, 16);
	memset(w->job, 0x44, 16);
	snprintf(w->opt.name, sizeof(w->opt.name), "acme/laptop");
	assert_int_equal(ed25519_new(&w->key, w->opt.client_key), RC_OK);
	w->opt.lock_seconds = 7 * 86400;
	w->opt.sign = sign;
	w->opt.arg = w;
	w->opt.now = now;
	memcpy(w->grant.client, w->opt.client, 16);
	memcpy(w->grant.key, w->opt.client_key, 32);
	w->grant.rights = PROTO_RIGHT_BACKUP | PROTO_RIGHT_RESTORE;
	fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(vault_create(fd, &w->opt), RC_OK);
	close(fd);
}

static int
remove_one(const char *path, const struct stat *sb, int flag, struct FTW *f)
{
	(void)sb;
	(void)flag;
	(void)f;
	return remove(path);
}

void
world_free(struct world *w)
{
	world_close(w);
	(void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int
world_open(struct world *w)
{
	char holder[128];
	int fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	w->opt.arg = w;
	w->run = NULL;
	return vault_open(&w->v, fd, &w->opt, holder, sizeof(holder));
}

void
world_must_open(struct world *w)
{
	assert_int_equal(world_open(w), RC_OK);
	assert_non_null(w->v);
}

void
world_close(struct world *w)
{
	commit_clear(&w->commit);
	vault_close(w->v);
	w->v = NULL;
	w->run = NULL;
}

void
world_kill(struct world *w)
{
	if (w->v != NULL)
		w->v->readonly = true;
	world_close(w);
}

static const char *copy_from, *copy_to;

static int
copy_one(const char *path, const struct stat *sb, int flag, struct FTW *f)
{
	char to[512], buf[65536];
	int in, out;
	ssize_t n;

	(void)f;
	snprintf(to, sizeof(to), "%s%s", copy_to, path + strlen(copy_from));
	if (flag == FTW_D)
		return mkdir(to, 0700) != 0 && strcmp(to, copy_to) != 0 ?
		    -1 : 0;
	in = open(path, O_RDONLY | O_CLOEXEC);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (in < 0 || out < 0)
		return -1;
	(void)sb;
	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			return -1;
	close(in);
	close(out);
	return 0;
}

void
world_copy(const struct world *w, struct world *copy)
{
	*copy = *w;
	copy->v = NULL;
	copy->run = NULL;
	memset(&copy->commit, 0, sizeof(copy->commit));
	snprintf(copy->dir, sizeof(copy->dir), "/tmp/sg-store-XXXXXX");
	assert_non_null(mkdtemp(copy->dir));
	copy_from = w->dir;
	copy_to = copy->dir;
	assert_int_equal(nftw(w->dir, copy_one, 16, FTW_PHYS), 0);
}

void
world_run(struct world *w)
{
	struct run_begin b = { 0 };
	bool resumed;

	w->runs++;
	memcpy(b.run, &w->runs, sizeof(w->runs));
	b.run[15] = 0x55;
	memcpy(b.job, w->job, 16);
	assert_int_equal(run_begin(w->v, &w->grant, &b, &w->run, &resumed),
	    RC_OK);
	assert_false(resumed);
}

struct object_id
id_of(uint32_t n)
{
	struct object_id id;
	uint8_t seed[4] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16),
	    (uint8_t)(n >> 8), (uint8_t)n };

	assert_int_equal(sha256(seed, sizeof(seed), id.b), RC_OK);
	return id;
}

uint8_t *
make_object(uint8_t type, uint16_t height, uint32_t n, const uint32_t *edges,
    size_t nedges, size_t body, size_t *len)
{
	struct object_header h = { .version = OBJECT_VERSION, .type = type,
	    .algorithm = OBJECT_ALG_AES256GCM, .height = height,
	    .edges = (uint16_t)nedges, .id = id_of(n),
	    .body_len = (uint32_t)body };
	uint8_t *p;

	assert_true(object_wire_len(&h, len));
	p = malloc(*len);
	assert_non_null(p);
	object_put_header(&h, p);
	for (size_t i = 0; i < nedges; i++) {
		struct object_id id = id_of(edges[i]);

		memcpy(p + OBJECT_HEADER_LEN + i * OBJECT_ID_LEN, id.b,
		    OBJECT_ID_LEN);
	}
	for (size_t i = OBJECT_HEADER_LEN + nedges * OBJECT_ID_LEN; i < *len;
	    i++)
		p[i] = (uint8_t)(n + i * 7);
	object_set_crc(p, *len);
	return p;
}

int
put_object(struct world *w, uint8_t type, uint16_t height, uint32_t n,
    const uint32_t *edges, size_t nedges, size_t body)
{
	size_t len;
	uint8_t *p = make_object(type, height, n, edges, nedges, body, &len);
	int rc = vault_put(w->v, w->run, p, len);

	free(p);
	return rc;
}

int
put_chunk(struct world *w, uint32_t n, size_t body)
{
	return put_object(w, OBJECT_CHUNK, 0, n, NULL, 0, body);
}

int
put_node(struct world *w, uint16_t height, uint32_t n, const uint32_t *edges,
    size_t nedges)
{
	return put_object(w, OBJECT_DIR_LEAF, height, n, edges, nedges, 100);
}

uint8_t *
make_snapshot(struct world *w, uint32_t root, size_t *len)
{
	static const uint8_t sealed[40];
	struct snapshot_client s = { .edge_count = 1, .sealed = sealed,
	    .sealed_len = sizeof(sealed), .sequence = w->sequence + 1 };
	struct wbuf text = WBUF_INIT(1 << 16), out = WBUF_INIT(1 << 16);
	size_t aad;
	uint8_t *p;

	memcpy(s.vault, w->opt.vault, 16);
	memcpy(s.client, w->opt.client, 16);
	memcpy(s.job, w->job, 16);
	snprintf(s.label, sizeof(s.label), "home");
	memcpy(s.previous, w->previous.b, 32);
	s.edge[0] = id_of(root);
	snapshot_put_client(&out, &s, &aad);
	wbuf_bytes(&text, "sg1 snapshot", 12);
	wbuf_bytes(&text, out.data, out.len);
	assert_int_equal(ed25519_sign(&w->key, text.data, text.len, s.sig),
	    RC_OK);
	wbuf_bytes(&out, s.sig, sizeof(s.sig));
	assert_int_equal(wbuf_rc(&out), RC_OK);
	p = malloc(out.len);
	assert_non_null(p);
	memcpy(p, out.data, out.len);
	*len = out.len;
	wbuf_free(&text);
	wbuf_free(&out);
	return p;
}

int
commit_root(struct world *w, uint32_t root)
{
	size_t len;
	uint8_t *p = make_snapshot(w, root, &len);
	int rc;

	commit_clear(&w->commit);
	rc = vault_commit(w->v, w->run, &w->grant, p, len, &w->commit);
	if (rc == RC_OK) {
		w->sequence++;
		assert_int_equal(snapshot_id(p, len, &w->previous), RC_OK);
		w->run = NULL;
	}
	free(p);
	return rc;
}

void
simple_snapshot(struct world *w, uint32_t base, size_t body)
{
	uint32_t chunk = base, leaf = base + 1;

	world_run(w);
	assert_int_equal(put_chunk(w, base, body), RC_OK);
	assert_int_equal(put_node(w, 1, base + 1, &chunk, 1), RC_OK);
	assert_int_equal(put_node(w, 2, base + 2, &leaf, 1), RC_OK);
	assert_int_equal(commit_root(w, base + 2), RC_OK);
}

static bool
whole(struct world *w, const struct object_id *id, int depth)
{
	const uint8_t *wire;
	struct object o;
	uint8_t *copy;
	size_t len;
	bool ok = true;

	if (depth > 100 || vault_get(w->v, id, 0, &wire, &len) != RC_OK)
		return false;
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, wire, len);
	if (object_parse(copy, len, &o) != RC_OK)
		ok = false;
	for (size_t i = 0; ok && i < o.h.edges; i++) {
		struct object_id child;

		memcpy(child.b, o.edges + i * OBJECT_ID_LEN, OBJECT_ID_LEN);
		ok = whole(w, &child, depth + 1);
	}
	free(copy);
	return ok;
}

bool
tree_whole(struct world *w, uint32_t root)
{
	struct object_id id = id_of(root);

	return whole(w, &id, 0);
}

bool
get_ok(struct world *w, uint32_t n)
{
	struct object_id id = id_of(n);
	const uint8_t *wire;
	size_t len;

	return vault_get(w->v, &id, 0, &wire, &len) == RC_OK;
}

static uint64_t total;

static int
add_size(const char *path, const struct stat *sb, int flag, struct FTW *f)
{
	(void)path;
	(void)f;
	if (flag == FTW_F)
		total += (uint64_t)sb->st_size;
	return 0;
}

uint64_t
dir_bytes(const char *dir)
{
	total = 0;
	assert_int_equal(nftw(dir, add_size, 16, FTW_PHYS), 0);
	return total;
}

void
find_file(const struct world *w, const char *sub, const char *end, char *out,
    size_t size)
{
	char dir[256], best[256] = "";
	struct dirent *d;
	DIR *dp;

	snprintf(dir, sizeof(dir), "%s/%s", w->dir, sub);
	dp = opendir(dir);
	assert_non_null(dp);
	while ((d = readdir(dp)) != NULL) {
		size_t n = strlen(d->d_name), m = strlen(end);

		if (d->d_name[0] != '.' && n >= m &&
		    strcmp(d->d_name + n - m, end) == 0 &&
		    strcmp(d->d_name, best) > 0)
			snprintf(best, sizeof(best), "%s", d->d_name);
	}
	closedir(dp);
	assert_true(best[0] != '\0');
	assert_true((size_t)snprintf(out, size, "%s/%s", dir, best) < size);
}

size_t
file_size(const char *path)
{
	struct stat sb;

	assert_int_equal(stat(path, &sb), 0);
	return (size_t)sb.st_size;
}

void
flip_byte(const char *path, size_t off)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t b;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &b, 1, (off_t)off), 1);
	b ^= 0x41;
	assert_int_equal(pwrite(fd, &b, 1, (off_t)off), 1);
	close(fd);
}

void
cut_file(const char *path, size_t size)
{
	assert_int_equal(truncate(path, (off_t)size), 0);
}
