#include "config.h"

#include "client/engine/state.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"

/*
 * Every file: magic u64, version u16, fields, CRC-32C u32 of all before it.
 * Names of files are fixed or computed here from ids; nothing that came from
 * the server names a file.
 */
#define CLIENT_MAGIC	0x534743434c4e540aull	/* "SGCCLNT\n" */
#define KEYS_MAGIC	0x5347434b4559530aull	/* "SGCKEYS\n" */
#define JOB_MAGIC	0x5347434a4f42530aull	/* "SGCJOBS\n" */
#define SEQUENCE_MAGIC	0x534743534551550aull	/* "SGCSEQU\n" */
#define STATE_VERSION	1
#define CRC_LEN		4

#define CLIENT_FILE_MAX	4096u
#define KEYS_FILE_MAX	(64u << 10)
#define JOB_FILE_MAX	1024u
#define JOB_NAME_LEN	32			/* 16 bytes as hex */
#define LOCK_WAIT_MS	120000
#define LOCK_STEP_MS	20

#define CLIENT_F_SSL		0x01
#define CLIENT_F_EXPORTED	0x02
#define CLIENT_F_PENDING	0x04
#define CLIENT_F_RECORDS	0x08
#define CLIENT_F_ALL		0x0f

int
state_open(struct state **st, int config_fd, int state_fd)
{
	if ((*st = calloc(1, sizeof(**st))) == NULL)
		return RC_NOMEM;
	(*st)->config_fd = config_fd;
	(*st)->state_fd = state_fd;
	return RC_OK;
}

void
state_free(struct state *st)
{
	if (st == NULL)
		return;
	if (st->state_fd != st->config_fd)
		fd_close(&st->state_fd);
	fd_close(&st->config_fd);
	free(st);
}

static void
file_begin(struct wbuf *out, uint64_t magic)
{
	wbuf_u64(out, magic);
	wbuf_u16(out, STATE_VERSION);
}

static void
file_end(struct wbuf *out)
{
	if (wbuf_rc(out) == RC_OK)
		wbuf_u32(out, crc32c(0, out->data, out->len));
}

/* The fields of a file, once its frame is known to be whole. */
static int
file_open(const uint8_t *p, size_t n, uint64_t magic, struct rbuf *in)
{
	struct rbuf tail;
	uint64_t m;
	uint32_t crc;
	uint16_t version;

	if (n < CRC_LEN)
		return RC_CORRUPT;
	rbuf_init(in, p, n - CRC_LEN);
	rbuf_init(&tail, p + n - CRC_LEN, CRC_LEN);
	if (rbuf_u64(in, &m) != RC_OK || m != magic ||
	    rbuf_u16(in, &version) != RC_OK)
		return RC_CORRUPT;
	if (version != STATE_VERSION)
		return RC_VERSION;
	if (rbuf_u32(&tail, &crc) != RC_OK ||
	    crc != crc32c(0, p, n - CRC_LEN))
		return RC_CORRUPT;
	return RC_OK;
}

void
state_put(struct wbuf *out, const struct state *st)
{
	uint8_t flags = 0;

	if (st->ssl)
		flags |= CLIENT_F_SSL;
	if (st->recovery_exported)
		flags |= CLIENT_F_EXPORTED;
	if (st->pending)
		flags |= CLIENT_F_PENDING;
	if (st->records_done)
		flags |= CLIENT_F_RECORDS;
	file_begin(out, CLIENT_MAGIC);
	wbuf_u8(out, flags);
	wbuf_u16(out, st->port);
	wbuf_u16(out, st->ssl_port);
	wbuf_bytes(out, st->pin, sizeof(st->pin));
	wbuf_bytes(out, st->identity_fp, sizeof(st->identity_fp));
	wbuf_bytes(out, st->vault, sizeof(st->vault));
	wbuf_bytes(out, st->instance, sizeof(st->instance));
	wbuf_bytes(out, st->client, sizeof(st->client));
	wbuf_bytes(out, st->machine, sizeof(st->machine));
	wbuf_str(out, st->host);
	wbuf_str(out, st->name);
	file_end(out);
}

int
state_get(const uint8_t *p, size_t n, struct state *st)
{
	struct rbuf in;
	uint8_t flags;
	int rc;

	if ((rc = file_open(p, n, CLIENT_MAGIC, &in)) != RC_OK)
		return rc;
	if (rbuf_u8(&in, &flags) != RC_OK ||
	    rbuf_u16(&in, &st->port) != RC_OK ||
	    rbuf_u16(&in, &st->ssl_port) != RC_OK ||
	    rbuf_bytes(&in, st->pin, sizeof(st->pin)) != RC_OK ||
	    rbuf_bytes(&in, st->identity_fp,
	    sizeof(st->identity_fp)) != RC_OK ||
	    rbuf_bytes(&in, st->vault, sizeof(st->vault)) != RC_OK ||
	    rbuf_bytes(&in, st->instance, sizeof(st->instance)) != RC_OK ||
	    rbuf_bytes(&in, st->client, sizeof(st->client)) != RC_OK ||
	    rbuf_bytes(&in, st->machine, sizeof(st->machine)) != RC_OK ||
	    rbuf_str(&in, st->host, sizeof(st->host)) != RC_OK ||
	    rbuf_str(&in, st->name, sizeof(st->name)) != RC_OK ||
	    rbuf_end(&in) != RC_OK || (flags & ~CLIENT_F_ALL) != 0)
		return RC_CORRUPT;
	st->ssl = (flags & CLIENT_F_SSL) != 0;
	st->recovery_exported = (flags & CLIENT_F_EXPORTED) != 0;
	st->pending = (flags & CLIENT_F_PENDING) != 0;
	st->records_done = (flags & CLIENT_F_RECORDS) != 0;
	return RC_OK;
}

void
state_put_keys(struct wbuf *out, const struct keys *k)
{
	file_begin(out, KEYS_MAGIC);
	wbuf_bytes(out, k->identity.b, SECRET_LEN);
	wbuf_bytes(out, k->m.b, SECRET_LEN);
	wbuf_bytes(out, k->params, sizeof(k->params));
	wbuf_u16(out, (uint16_t)k->nepochs);
	for (size_t i = 0; i < k->nepochs; i++)
		wbuf_bytes(out, k->epochs[i].key.b, SECRET_LEN);
	file_end(out);
}

/* The epochs in the order of the file: the first is the one to seal with. */
static int
get_epochs(struct rbuf *in, struct keys *k)
{
	struct epoch_key *list;
	uint8_t mac[SHA256_LEN];
	uint16_t n;

	if (rbuf_u16(in, &n) != RC_OK || n > KEYS_EPOCHS_MAX ||
	    rbuf_left(in) != (size_t)n * SECRET_LEN)
		return RC_CORRUPT;
	if (n == 0)
		return RC_OK;
	if ((list = calloc(n, sizeof(*list))) == NULL)
		return RC_NOMEM;
	k->epochs = list;
	for (uint16_t i = 0; i < n; i++) {
		if (rbuf_bytes(in, list[i].key.b, SECRET_LEN) != RC_OK)
			return RC_CORRUPT;
		if (hmac_sha256(list[i].key.b, SECRET_LEN, "sg1 epoch", 9,
		    mac) != RC_OK)
			return RC_CRYPTO;
		memcpy(list[i].epoch, mac, sizeof(list[i].epoch));
		k->nepochs = (size_t)i + 1;
	}
	return RC_OK;
}

int
state_get_keys(const uint8_t *p, size_t n, struct keys *k)
{
	struct rbuf in;
	int rc;

	if ((rc = file_open(p, n, KEYS_MAGIC, &in)) != RC_OK)
		return rc;
	if (rbuf_bytes(&in, k->identity.b, SECRET_LEN) != RC_OK ||
	    rbuf_bytes(&in, k->m.b, SECRET_LEN) != RC_OK ||
	    rbuf_bytes(&in, k->params, sizeof(k->params)) != RC_OK)
		return RC_CORRUPT;
	return get_epochs(&in, k);
}

/* SHA-256 of /etc/machine-id without its newline; zeros when there is none. */
static int
machine_id(uint8_t out[SHA256_LEN])
{
	static const char *const names[] = {
		"/etc/machine-id", "/var/lib/dbus/machine-id",
	};
	uint8_t *p = NULL;
	size_t n = 0;
	int rc = RC_NOENT;

	memset(out, 0, SHA256_LEN);
	for (size_t i = 0; i < NITEMS(names) && rc != RC_OK; i++)
		rc = io_read_file(AT_FDCWD, names[i], &p, &n, 256);
	if (rc != RC_OK)
		return RC_OK;
	while (n > 0 && isspace(p[n - 1]))
		n--;
	rc = n > 0 ? sha256(p, n, out) : RC_OK;
	free(p);
	return rc;
}

/* A state that was copied with its disk must not go on under the same name:
 * two machines would take the same sequence numbers.  A machine without an id
 * cannot tell. */
static int
check_machine(const struct state *st)
{
	static const uint8_t none[SHA256_LEN];
	uint8_t now[SHA256_LEN];
	int rc;

	if ((rc = machine_id(now)) != RC_OK)
		return rc;
	if (memcmp(now, none, sizeof(now)) == 0 ||
	    memcmp(st->machine, none, sizeof(now)) == 0)
		return RC_OK;
	return memcmp(now, st->machine, sizeof(now)) == 0 ? RC_OK : RC_DENIED;
}

static int
load_sequence(struct state *st)
{
	struct rbuf in;
	uint8_t *p = NULL;
	size_t n;
	int rc;

	rc = io_read_file(st->state_fd, "sequence", &p, &n, JOB_FILE_MAX);
	if (rc == RC_NOENT) {
		st->sequence = 0;
		return RC_OK;
	}
	if (rc == RC_OK &&
	    (rc = file_open(p, n, SEQUENCE_MAGIC, &in)) == RC_OK &&
	    (rbuf_u64(&in, &st->sequence) != RC_OK ||
	    rbuf_end(&in) != RC_OK))
		rc = RC_CORRUPT;
	free(p);
	return rc;
}

static int
load_keys(const struct state *st, struct keys *k)
{
	uint8_t *p = NULL;
	size_t n = 0;
	int rc;

	rc = io_read_file(st->config_fd, "keys", &p, &n, KEYS_FILE_MAX);
	if (rc == RC_OK)
		rc = state_get_keys(p, n, k);
	if (p != NULL)
		secret_wipe(p, n);
	free(p);
	if (rc != RC_OK)
		return rc == RC_NOENT ? RC_CORRUPT : rc;
	memcpy(k->vault, st->vault, sizeof(k->vault));
	memcpy(k->client, st->client, sizeof(k->client));
	if ((rc = ed25519_public(&k->identity, k->identity_pub)) != RC_OK)
		return rc;
	if (st->pending)
		return RC_OK;
	if (k->nepochs == 0)
		return RC_CORRUPT;
	return keys_derive(k);
}

int
state_load(struct state *st, struct keys *k)
{
	uint8_t *p = NULL;
	size_t n = 0;
	int rc;

	keys_clear(k);
	if ((rc = io_read_file(st->config_fd, "client", &p, &n,
	    CLIENT_FILE_MAX)) != RC_OK)
		return rc == RC_LIMIT ? RC_CORRUPT :
		    rc == RC_DENIED ? RC_IO : rc;
	rc = state_get(p, n, st);
	free(p);
	if (rc != RC_OK || (rc = check_machine(st)) != RC_OK)
		return rc;
	if ((rc = load_sequence(st)) != RC_OK ||
	    (rc = load_keys(st, k)) != RC_OK)
		keys_clear(k);
	return rc == RC_DENIED ? RC_IO : rc;
}

int
state_save(const struct state *st, const struct keys *k)
{
	struct wbuf keys = WBUF_INIT(KEYS_FILE_MAX);
	struct wbuf client = WBUF_INIT(CLIENT_FILE_MAX);
	struct state copy = *st;
	int rc;

	if ((rc = machine_id(copy.machine)) != RC_OK)
		return rc;
	state_put_keys(&keys, k);
	state_put(&client, &copy);
	if ((rc = wbuf_rc(&keys)) != RC_OK ||
	    (rc = wbuf_rc(&client)) != RC_OK)
		goto out;
	/* `client` last: it makes the state count. */
	if ((rc = io_write_file(st->config_fd, "keys", keys.data, keys.len,
	    0600)) != RC_OK)
		goto out;
	rc = io_write_file(st->config_fd, "client", client.data, client.len,
	    0600);
out:
	wbuf_free(&keys);
	wbuf_free(&client);
	return rc;
}

static int
set_aside(int dirfd, const char *name, uint64_t when)
{
	char to[64];

	snprintf(to, sizeof(to), "%s.old-%llu", name,
	    (unsigned long long)when);
	if (renameat(dirfd, name, dirfd, to) == 0 || errno == ENOENT)
		return RC_OK;
	return rc_errno(errno);
}

int
state_set_aside(const struct state *st)
{
	uint64_t when = (uint64_t)(io_wall_ns() / 1000000000);
	int rc;

	if ((rc = set_aside(st->config_fd, "client", when)) != RC_OK ||
	    (rc = set_aside(st->config_fd, "keys", when)) != RC_OK ||
	    (rc = set_aside(st->state_fd, "sequence", when)) != RC_OK)
		return rc;
	return set_aside(st->state_fd, "jobs", when);
}

static void
job_name(const uint8_t job[16], const char *suffix,
    char out[JOB_NAME_LEN + 8])
{
	for (int i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", job[i]);
	snprintf(out + JOB_NAME_LEN, 8, "%s", suffix);
}

void
job_put(struct wbuf *out, const struct job_state *j)
{
	file_begin(out, JOB_MAGIC);
	wbuf_str(out, j->label);
	wbuf_bytes(out, j->job, sizeof(j->job));
	wbuf_bytes(out, j->snapshot, sizeof(j->snapshot));
	wbuf_u64(out, j->sequence);
	wbuf_u64(out, j->vault_seq);
	wbuf_u64(out, j->job_seq);
	wbuf_bytes(out, j->receipt, sizeof(j->receipt));
	file_end(out);
}

int
job_get(const uint8_t *p, size_t n, struct job_state *j)
{
	struct rbuf in;
	int rc;

	if ((rc = file_open(p, n, JOB_MAGIC, &in)) != RC_OK)
		return rc;
	if (rbuf_str(&in, j->label, sizeof(j->label)) != RC_OK ||
	    rbuf_bytes(&in, j->job, sizeof(j->job)) != RC_OK ||
	    rbuf_bytes(&in, j->snapshot, sizeof(j->snapshot)) != RC_OK ||
	    rbuf_u64(&in, &j->sequence) != RC_OK ||
	    rbuf_u64(&in, &j->vault_seq) != RC_OK ||
	    rbuf_u64(&in, &j->job_seq) != RC_OK ||
	    rbuf_bytes(&in, j->receipt, sizeof(j->receipt)) != RC_OK ||
	    rbuf_end(&in) != RC_OK)
		return RC_CORRUPT;
	return RC_OK;
}

/* jobs/, made when it is missing. */
static int
jobs_dir(const struct state *st, int *fd)
{
	if (mkdirat(st->state_fd, "jobs", 0700) != 0 && errno != EEXIST)
		return rc_errno(errno);
	*fd = openat(st->state_fd, "jobs",
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *fd < 0 ? rc_errno(errno) : RC_OK;
}

static int
job_read(int dir, const char *name, struct job_state *j)
{
	uint8_t *p = NULL;
	size_t n;
	int rc;

	if ((rc = io_read_file(dir, name, &p, &n, JOB_FILE_MAX)) != RC_OK)
		return rc;
	rc = job_get(p, n, j);
	free(p);
	return rc;
}

int
job_load(const struct state *st, const uint8_t job[16], struct job_state *j)
{
	char name[JOB_NAME_LEN + 8];
	int dir, rc;

	job_name(job, "", name);
	if ((rc = jobs_dir(st, &dir)) != RC_OK)
		return rc;
	rc = job_read(dir, name, j);
	fd_close(&dir);
	if (rc == RC_OK && memcmp(j->job, job, sizeof(j->job)) != 0)
		rc = RC_CORRUPT;
	return rc;
}

int
job_save(const struct state *st, const struct job_state *j)
{
	struct wbuf out = WBUF_INIT(JOB_FILE_MAX);
	char name[JOB_NAME_LEN + 8];
	int dir = -1, rc;

	job_name(j->job, "", name);
	job_put(&out, j);
	if ((rc = wbuf_rc(&out)) == RC_OK &&
	    (rc = jobs_dir(st, &dir)) == RC_OK)
		rc = io_write_file(dir, name, out.data, out.len, 0600);
	fd_close(&dir);
	wbuf_free(&out);
	return rc;
}

int
jobs_each(const struct state *st,
    int (*each)(void *arg, const struct job_state *j), void *arg)
{
	struct job_state j;
	struct dirent *d;
	DIR *dir;
	int fd, rc;

	if ((rc = jobs_dir(st, &fd)) != RC_OK)
		return rc;
	if ((dir = fdopendir(fd)) == NULL) {
		rc = rc_errno(errno);
		fd_close(&fd);
		return rc;
	}
	while (rc == RC_OK && (d = readdir(dir)) != NULL) {
		if (strlen(d->d_name) != JOB_NAME_LEN ||
		    strspn(d->d_name, "0123456789abcdef") != JOB_NAME_LEN)
			continue;
		if ((rc = job_read(dirfd(dir), d->d_name, &j)) == RC_OK)
			rc = each(arg, &j);
		else if (rc == RC_NOENT)
			rc = RC_OK;
	}
	closedir(dir);
	return rc;
}

static int
lock_open(int dir, const char *name, int *fd)
{
	*fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
	    0600);
	return *fd < 0 ? rc_errno(errno) : RC_OK;
}

static int
lock_try(int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return RC_OK;
	return errno == EWOULDBLOCK || errno == EINTR ? RC_BUSY :
	    rc_errno(errno);
}

int
job_lock(const struct state *st, const uint8_t job[16], int *fd)
{
	char name[JOB_NAME_LEN + 8];
	int dir = -1, rc;

	*fd = -1;
	job_name(job, ".lock", name);
	if ((rc = jobs_dir(st, &dir)) == RC_OK &&
	    (rc = lock_open(dir, name, fd)) == RC_OK)
		rc = lock_try(*fd);
	fd_close(&dir);
	if (rc != RC_OK)
		fd_close(fd);
	return rc;
}

/*
 * Another job's run holds it only while it commits, so it is waited for; the
 * number is read anew, since that run used one.
 */
int
sequence_lock(struct state *st, int *fd, uint64_t *next)
{
	uint64_t until = io_now_ms() + LOCK_WAIT_MS;
	int rc;

	if ((rc = lock_open(st->state_fd, "lock", fd)) != RC_OK)
		return rc;
	while ((rc = lock_try(*fd)) == RC_BUSY && io_now_ms() < until)
		(void)poll(NULL, 0, LOCK_STEP_MS);
	if (rc == RC_OK && (rc = load_sequence(st)) == RC_OK)
		*next = st->sequence + 1;
	if (rc != RC_OK)
		fd_close(fd);
	return rc;
}

int
sequence_used(struct state *st, uint64_t seq)
{
	struct wbuf out = WBUF_INIT(JOB_FILE_MAX);
	int rc;

	if (seq <= st->sequence)
		return RC_OK;
	file_begin(&out, SEQUENCE_MAGIC);
	wbuf_u64(&out, seq);
	file_end(&out);
	if ((rc = wbuf_rc(&out)) == RC_OK)
		rc = io_write_file(st->state_fd, "sequence", out.data,
		    out.len, 0600);
	if (rc == RC_OK)
		st->sequence = seq;
	wbuf_free(&out);
	return rc;
}
