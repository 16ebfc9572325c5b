#include "config.h"

#include "privsep/confload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/rc.h"
#include "common/secret.h"
#include "privsep/role.h"

#define PIECE	32768u

struct confload {
	struct spawner	*spawner;	/* ours, or NULL */
	struct chan	*chan;
	pid_t		 pid;
	uint8_t		*text;
	size_t		 len, sent;
	bool		 all_sent;
	char		 path[PATH_MAX];
	char		 empty[64];	/* made by us, or "" */
};

int
programs_dir(char *out, size_t size)
{
	const struct role_info *ri = role_info(ROLE_CONFPARSE);
	char exe[PATH_MAX], beside[PATH_MAX + 64];
	char *slash;
	ssize_t n;

	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n > 0) {
		exe[n] = '\0';
		if ((slash = strrchr(exe, '/')) != NULL) {
			*slash = '\0';
			snprintf(beside, sizeof(beside), "%s/%s", exe,
			    ri->program);
			if (access(beside, X_OK) == 0 && strlen(exe) < size) {
				memcpy(out, exe, strlen(exe) + 1);
				return RC_OK;
			}
		}
	}
	if (strlen(PROGRAMS_DIR) >= size)
		return RC_LIMIT;
	memcpy(out, PROGRAMS_DIR, sizeof(PROGRAMS_DIR));
	return RC_OK;
}

/*
 * A root directory with nothing in it, for the time before Paths.Run is known:
 * it is removed as soon as confparse lives in it.
 */
static int
make_empty(char *out, size_t size)
{
	static const char *const where[] = { "/tmp", "/run", "/dev/shm" };
	size_t i;

	for (i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		snprintf(out, size, "%s/sg-empty-XXXXXX", where[i]);
		if (mkdtemp(out) == NULL)
			continue;
		/* mkdtemp gives 0700, which another user cannot enter. */
		if (chmod(out, 0555) == 0)
			return RC_OK;
		rmdir(out);
	}
	out[0] = '\0';
	return rc_errno(errno);
}

static int
read_text(struct confload *cl, const char *path, char *err, size_t errsize)
{
	struct stat st;
	int fd, rc = RC_OK;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1) {
		rc = rc_errno(errno);
		snprintf(err, errsize, "%s: %s", path, strerror(errno));
		return rc;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		snprintf(err, errsize, "%s: not a regular file", path);
		rc = RC_CONFIG;
	} else if (st.st_size > (off_t)CONF_FILE_MAX) {
		snprintf(err, errsize, "%s: larger than %u KiB", path,
		    CONF_FILE_MAX >> 10);
		rc = RC_CONFIG;
	} else if ((cl->text = malloc((size_t)st.st_size + 1)) == NULL) {
		snprintf(err, errsize, "%s: out of memory", path);
		rc = RC_NOMEM;
	} else {
		cl->len = (size_t)st.st_size;
		if (cl->len > 0)
			rc = io_read_full(fd, cl->text, cl->len);
		if (rc != RC_OK)
			snprintf(err, errsize, "%s: changed while it was read",
			    path);
	}
	fd_close(&fd);
	return rc;
}

static int
send_start(struct confload *cl, const struct conf_load *l)
{
	struct wbuf body = WBUF_INIT(4096);
	struct start s = {
		.role = ROLE_CONFPARSE,
		.uid = geteuid(),
		.gid = getegid(),
		.parent = getpid(),
		.log_level = 4,
	};
	int rc;

	if (l->change_ids) {
		s.flags = START_F_IDS | START_F_CHROOT;
		s.uid = l->uid;
		s.gid = l->gid;
		if (l->uid == 0 && (rc = role_ids(ROLE_CONFPARSE,
		    l->users_base, &s.uid, &s.gid)) != RC_OK)
			return rc;
		snprintf(s.root, sizeof(s.root), "%s",
		    l->empty != NULL ? l->empty : cl->empty);
	}
	start_put(&body, &s);
	rc = chan_send(cl->chan, MSG_START, &body, -1);
	wbuf_free(&body);
	return rc;
}

int
confload_start(struct confload **out, const struct conf_load *l, char *err,
    size_t errsize)
{
	struct spawn s = { .role = ROLE_CONFPARSE };
	struct confload *cl;
	char dir[PATH_MAX], why[512] = "";
	int rc;

	*out = NULL;
	if ((cl = calloc(1, sizeof(*cl))) == NULL)
		return RC_NOMEM;
	snprintf(cl->path, sizeof(cl->path), "%s", l->path);
	if ((rc = read_text(cl, l->path, err, errsize)) != RC_OK)
		goto fail;
	if (l->spawner == NULL) {
		if ((rc = programs_dir(dir, sizeof(dir))) == RC_OK)
			rc = spawn_open(&cl->spawner, l->self, dir,
			    R(CONFPARSE), why, sizeof(why));
		if (rc != RC_OK) {
			snprintf(err, errsize, "%s: %s", why[0] != '\0' ? why :
			    dir, rc_str(rc));
			/* RC_NOENT is the configuration file's own. */
			rc = RC_IO;
			goto fail;
		}
	}
	if (l->change_ids && l->empty == NULL &&
	    (rc = make_empty(cl->empty, sizeof(cl->empty))) != RC_OK) {
		snprintf(err, errsize, "cannot make an empty directory in "
		    "/tmp, /run or /dev/shm: %s", rc_str(rc));
		rc = RC_IO;
		goto fail;
	}
	rc = spawn_role(l->spawner != NULL ? l->spawner : cl->spawner, &s);
	if (rc == RC_OK) {
		cl->pid = s.pid;
		cl->chan = s.chan;
		if ((rc = chan_set_nonblock(cl->chan)) == RC_OK)
			rc = send_start(cl, l);
	}
	if (rc != RC_OK) {
		snprintf(err, errsize, "confparse: %s", rc_str(rc));
		rc = RC_IO;
		goto fail;
	}
	*out = cl;
	return RC_OK;
fail:
	if (cl->pid > 0) {
		/* The caller never learns this pid. */
		kill(cl->pid, SIGKILL);
		waitpid(cl->pid, NULL, 0);
	}
	confload_free(cl);
	return rc;
}

static int
send_text(struct confload *cl)
{
	struct wbuf body = WBUF_INIT(PIECE + 1);
	size_t n;
	int rc = RC_OK;

	while (!cl->all_sent && rc == RC_OK) {
		n = cl->len - cl->sent;
		if (n > PIECE)
			n = PIECE;
		wbuf_reset(&body);
		wbuf_u8(&body, cl->sent + n == cl->len);
		wbuf_bytes(&body, cl->text + cl->sent, n);
		rc = chan_send(cl->chan, MSG_CONF_TEXT, &body, -1);
		if (rc == RC_OK) {
			cl->sent += n;
			cl->all_sent = cl->sent == cl->len;
		}
	}
	wbuf_free(&body);
	return rc;
}

static int
refusal(struct confload *cl, struct rbuf *in, char *err, size_t errsize)
{
	uint32_t line;
	char text[1200];
	int rc;

	if ((rc = rbuf_u32(in, &line)) != RC_OK ||
	    (rc = rbuf_str(in, text, sizeof(text))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (line != 0)
		snprintf(err, errsize, "%s:%u: %s", cl->path, line, text);
	else
		snprintf(err, errsize, "%s: %s", cl->path, text);
	return RC_CONFIG;
}

int
confload_step(struct confload *cl, struct conf *c, char *err, size_t errsize)
{
	struct msg m;
	int rc;

	if (!cl->all_sent && (rc = send_text(cl)) != RC_OK && rc != RC_AGAIN)
		goto bad;
	for (;;) {
		if ((rc = chan_recv(cl->chan, &m)) == RC_AGAIN)
			return rc;
		if (rc != RC_OK)
			goto bad;
		switch (m.type) {
		case MSG_READY:
			if (cl->empty[0] != '\0')
				rmdir(cl->empty);
			cl->empty[0] = '\0';
			continue;
		case MSG_LOG:		/* a command's roles log this way */
			continue;
		case MSG_CONF:
			if ((rc = conf_get(&m.body, c)) != RC_OK)
				goto bad;
			return RC_OK;
		case MSG_CONF_ERROR:
			rc = refusal(cl, &m.body, err, errsize);
			if (rc != RC_CONFIG)
				goto bad;
			return rc;
		default:
			rc = RC_STATE;
			goto bad;
		}
	}
bad:
	snprintf(err, errsize, "%s: confparse: %s", cl->path,
	    rc == RC_EOF ? "ended without an answer" : rc_str(rc));
	return rc == RC_CONFIG ? RC_PROTO : rc;
}

int
confload_fd(const struct confload *cl)
{
	return cl->chan != NULL ? chan_fd(cl->chan) : -1;
}

short
confload_events(const struct confload *cl)
{
	return (short)(POLLIN | (cl->all_sent ? 0 : POLLOUT));
}

pid_t
confload_pid(const struct confload *cl)
{
	return cl->pid;
}

void
confload_free(struct confload *cl)
{
	if (cl == NULL)
		return;
	chan_free(cl->chan);
	if (cl->empty[0] != '\0')
		rmdir(cl->empty);
	spawn_free(cl->spawner);
	if (cl->text != NULL)
		secret_wipe(cl->text, cl->len);
	free(cl->text);
	free(cl);
}

/* Wait for its exit a little; it has nothing to do any more. */
static int
finish_child(pid_t pid, int *status)
{
	uint64_t until = io_now_ms() + 1000;
	pid_t r;

	while ((r = waitpid(pid, status, WNOHANG)) == 0 || (r == -1 &&
	    errno == EINTR)) {
		if (io_now_ms() > until) {
			kill(pid, SIGKILL);
			r = waitpid(pid, status, 0);
			break;
		}
		poll(NULL, 0, 2);
	}
	return r == pid ? RC_OK : RC_IO;
}

int
conf_load(const struct conf_load *l, struct conf *c, char *err, size_t errsize)
{
	struct confload *cl = NULL;
	struct pollfd p;
	char dir[PATH_MAX];
	uint64_t now, until = io_now_ms() + CONFLOAD_TIMEOUT_MS;
	pid_t pid;
	int rc, status = 0;

	err[0] = '\0';
	if ((rc = confload_start(&cl, l, err, errsize)) != RC_OK) {
		if (err[0] == '\0')
			snprintf(err, errsize, "%s: %s", l->path, rc_str(rc));
		return rc;
	}
	while ((rc = confload_step(cl, c, err, errsize)) == RC_AGAIN) {
		if ((now = io_now_ms()) >= until) {
			snprintf(err, errsize, "%s: confparse took too long",
			    l->path);
			kill(cl->pid, SIGKILL);
			rc = RC_TIMEOUT;
			break;
		}
		p.fd = confload_fd(cl);
		p.events = confload_events(cl);
		poll(&p, 1, (int)(until - now));
	}
	pid = cl->pid;
	confload_free(cl);
	if (finish_child(pid, &status) == RC_OK && rc == RC_EOF &&
	    WIFSIGNALED(status))
		snprintf(err, errsize, "%s: confparse was ended by signal %d%s",
		    l->path, WTERMSIG(status), WTERMSIG(status) == SIGSYS ?
		    " (a call its sandbox forbids)" : "");
	if (rc != RC_OK)
		return rc;
	if (c->programs[0] == '\0' &&
	    programs_dir(dir, sizeof(dir)) == RC_OK &&
	    strlen(dir) < sizeof(c->programs))
		memcpy(c->programs, dir, strlen(dir) + 1);
	conf_finish(c);
	return RC_OK;
}
