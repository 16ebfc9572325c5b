#include "config.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/logline.h"

/*
 * Takes lines from every process over that process's own channel, so that what
 * stands before a line (role, pid, connection) is the master's word and not the
 * writer's; escapes them, limits their rate, and writes them to descriptor 2.
 */
#define LINES_PER_TURN	32
#define SOURCES_MAX	CHANNELS_MAX
#define OUT_MAX		4096
#define BURST		100
#define PER_SECOND	20
#define HELPER_FACTOR	20		/* of those who speak for many */

struct source {
	struct chan	*chan;
	enum role	 role;
	pid_t		 pid;
	uint64_t	 conn;
	struct addr	 addr;
	struct logline_bucket bucket;
};

static struct {
	struct role_env	 env;
	uint8_t		 level, to_journal;
	struct source	*src;
	struct pollfd	*pfd;
	size_t		 n;
	struct source	 master;
	struct logline_agg *agg;
	uint64_t	 now, next_ms, lost;
	bool		 stop;
} self;

static void
write_line(const struct source *s, uint8_t level, const char *text)
{
	char head[160], esc[OUT_MAX - 256], line[OUT_MAX], when[48], a[64];
	int n;

	if (self.to_journal)
		snprintf(when, sizeof(when), "<%u>", level);
	else {
		logline_time(io_wall_ns(), when);
		strcat(when, " ");
	}
	if (s->conn != 0)
		snprintf(head, sizeof(head),
		    "role=%s pid=%d conn=%llu addr=%s port=%u",
		    role_name(s->role), (int)s->pid,
		    (unsigned long long)s->conn,
		    addr_text(&s->addr, a, sizeof(a)), s->addr.port);
	else
		snprintf(head, sizeof(head), "role=%s pid=%d",
		    role_name(s->role), (int)s->pid);
	logline_escape(text, esc, sizeof(esc));
	n = snprintf(line, sizeof(line), "%s%s %s\n", when, head, esc);
	if (n > 0 && io_write_full(STDERR_FILENO, line,
	    (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1) != RC_OK)
		self.lost++;
}

static void
take_line(struct source *s, uint8_t level, const char *text)
{
	char note[96];

	if (level > self.level)
		return;
	/* Only the master and the listener speak of somebody else's address. */
	if ((s->role == ROLE_MASTER || s->role == ROLE_LISTENER) &&
	    !logline_agg_line(self.agg, text, self.now))
		return;
	if (!logline_bucket_take(&s->bucket, self.now))
		return;
	if (s->bucket.lost > 0) {
		snprintf(note, sizeof(note), "log-suppressed lines=%llu",
		    (unsigned long long)s->bucket.lost);
		s->bucket.lost = 0;
		write_line(s, LOG_LEVEL_WARN, note);
	}
	write_line(s, level, text);
}

static int
on_log(void *arg, struct chan *c, struct msg *m)
{
	struct source *s = arg;
	char text[LOG_LINE_MAX + 64];
	uint8_t level;
	int rc;

	(void)c;
	if ((rc = rbuf_u8(&m->body, &level)) != RC_OK ||
	    (rc = rbuf_str(&m->body, text, sizeof(text))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (level < LOG_LEVEL_ERR || level > LOG_LEVEL_DEBUG)
		return RC_RANGE;
	take_line(s, level, text);
	return RC_OK;
}

static void
bucket(struct source *s)
{
	uint32_t f = s->role == ROLE_MASTER || s->role == ROLE_LISTENER ||
	    s->role == ROLE_AUTH ? HELPER_FACTOR : 1;

	logline_bucket_init(&s->bucket, BURST * f, PER_SECOND * f, self.now);
}

static int
on_log_add(void *arg, struct chan *c, struct msg *m)
{
	struct source s = { 0 };
	uint8_t role;
	uint32_t pid;
	int rc;

	(void)arg;
	if ((rc = rbuf_u8(&m->body, &role)) != RC_OK ||
	    (rc = rbuf_u32(&m->body, &pid)) != RC_OK ||
	    (rc = rbuf_u64(&m->body, &s.conn)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	if (self.n == SOURCES_MAX) {
		self.lost++;
		return RC_OK;
	}
	s.role = (enum role)role;
	s.pid = (pid_t)pid;
	s.chan = chan_new(msg_take_fd(c, m), ROLE_LOGGER, s.role);
	if (s.chan == NULL)
		return RC_NOMEM;
	chan_set_nonblock(s.chan);
	bucket(&s);
	self.src[self.n++] = s;
	return RC_OK;
}

static int
on_log_conn(void *arg, struct chan *c, struct msg *m)
{
	struct addr a;
	uint64_t conn;
	uint32_t pid;
	size_t i;
	int rc;

	(void)arg;
	(void)c;
	if ((rc = rbuf_u32(&m->body, &pid)) != RC_OK ||
	    (rc = rbuf_u64(&m->body, &conn)) != RC_OK ||
	    (rc = addr_get(&m->body, &a)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	for (i = 0; i < self.n; i++)
		if (self.src[i].pid == (pid_t)pid) {
			self.src[i].conn = conn;
			self.src[i].addr = a;
		}
	return RC_OK;
}

static int
on_stop(void *arg, struct chan *c, struct msg *m)
{
	(void)arg;
	(void)c;
	(void)m;
	self.stop = true;
	return RC_OK;
}

static const struct handler from_master[] = {
	{ MSG_LOG,	1, on_log },
	{ MSG_LOG_ADD,	1, on_log_add },
	{ MSG_LOG_CONN,	1, on_log_conn },
	{ MSG_STOP,	1, on_stop },
};
static const struct handler from_role[] = {
	{ MSG_LOG,	1, on_log },
};

/* RC_AGAIN when there is no more yet. */
static int
take_some(struct source *s, const struct handler *t, size_t nt, int max)
{
	struct msg m;
	int rc = RC_OK;

	while (max-- > 0 && (rc = chan_recv(s->chan, &m)) == RC_OK)
		if ((rc = handle(t, nt, 1, s, s->chan, &m)) != RC_OK)
			return rc;
	return rc;
}

static void
take_from(size_t i, int max)
{
	struct source *s = &self.src[i];
	char note[64];
	int rc;

	rc = take_some(s, from_role, NITEMS(from_role), max);
	if (rc == RC_OK || rc == RC_AGAIN)
		return;
	if (rc != RC_EOF) {
		snprintf(note, sizeof(note), "log-channel closed: %s",
		    rc_str(rc));
		write_line(s, LOG_LEVEL_WARN, note);
	}
	chan_free(s->chan);
	self.src[i] = self.src[--self.n];
}

static void
take_from_master(int max)
{
	int rc;

	rc = take_some(&self.master, from_master, NITEMS(from_master), max);
	if (rc == RC_OK || rc == RC_AGAIN)
		return;
	/* The end of the master is the end of everybody; what they still said
	 * is written. */
	if (rc != RC_EOF)
		write_line(&self.master, LOG_LEVEL_ERR, "master's channel is "
		    "broken");
	self.stop = true;
}

static void
counts_due(void)
{
	char line[256];

	while (logline_agg_due(self.agg, self.now, line, sizeof(line),
	    &self.next_ms))
		write_line(&self.master, LOG_LEVEL_WARN, line);
}

static void
loop(void)
{
	size_t i, n;
	int wait;

	while (!self.stop) {
		self.pfd[0] = (struct pollfd){ chan_fd(self.master.chan),
		    POLLIN, 0 };
		n = self.n;
		for (i = 0; i < n; i++)
			self.pfd[1 + i] = (struct pollfd){
			    chan_fd(self.src[i].chan), POLLIN, 0 };
		wait = -1;
		if (self.next_ms != UINT64_MAX)
			wait = self.next_ms > self.now ?
			    (int)(self.next_ms - self.now) : 0;
		if (poll(self.pfd, (nfds_t)(n + 1), wait) < 0)
			continue;
		self.now = io_now_ms();
		/* The master first: it says whose a connection is before its
		 * worker can speak of it. */
		if (self.pfd[0].revents != 0)
			take_from_master(LINES_PER_TURN * 32);
		/* Backwards: a channel that ends is replaced by the last. */
		for (i = n; i-- > 0;)
			if (self.pfd[1 + i].revents != 0)
				take_from(i, LINES_PER_TURN);
		counts_due();
	}
	/* Last words. */
	for (i = self.n; i-- > 0;)
		take_from(i, LINES_PER_TURN);
	if (self.lost > 0) {
		char note[64];

		snprintf(note, sizeof(note), "log-lost lines=%llu",
		    (unsigned long long)self.lost);
		write_line(&self.master, LOG_LEVEL_WARN, note);
	}
}

int
main(void)
{
	role_begin(&self.env, ROLE_LOGGER, ROLE_MASTER, false);
	if (rbuf_u8(&self.env.start.rest, &self.level) != RC_OK ||
	    rbuf_u8(&self.env.start.rest, &self.to_journal) != RC_OK)
		fatal("START: too short");
	self.src = calloc(SOURCES_MAX, sizeof(*self.src));
	self.pfd = calloc(SOURCES_MAX + 1, sizeof(*self.pfd));
	self.agg = logline_agg_new();
	if (self.src == NULL || self.pfd == NULL || self.agg == NULL)
		fatal("out of memory");
	self.now = io_now_ms();
	self.next_ms = UINT64_MAX;
	self.master.chan = self.env.parent;
	self.master.role = ROLE_MASTER;
	self.master.pid = self.env.start.parent;
	bucket(&self.master);
	role_drop(&self.env);
	role_enter(&self.env);
	chan_set_nonblock(self.master.chan);
	loop();
	return 0;
}
