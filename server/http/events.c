#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/io.h"
#include "common/rc.h"
#include "server/http/answer.h"
#include "server/http/catask.h"
#include "server/http/sse.h"

/*
 * Live events (text/event-stream).  The worker is pinned by its reader, so the
 * catalog counts the subscribers, and each stream ends after a while: the reader
 * comes again and says what it saw last.
 */
#define STREAM_MS	600000
#define COMMENT_MS	15000
#define WRITE_MS	10000

static int
subscribe(struct api *a)
{
	struct wbuf args = WBUF_INIT(16);
	struct msg m;
	int rc, status;

	wbuf_u64(&args, a->req.resumes ? a->req.last_event :
	    a->req.query.after);
	rc = cat_send(a, CAT_OP_SUBSCRIBE, &args);
	wbuf_free(&args);
	if (rc != RC_OK || (rc = chan_expect(a->catalog, MSG_CAT_END, &m,
	    API_HELPER_MS)) != RC_OK)
		return cat_failed(a, rc);
	/* the code says which of the two limits it was */
	status = cat_end(a, &m.body);
	if (status == 400)
		return 429;
	return status == 409 ? 503 : status;
}

static int
send_text(struct api *a, const void *p, size_t n)
{
	return conn_write(&a->conn, p, n, io_now_ms() + WRITE_MS);
}

/* All that the catalog has to say now. */
static int
pass_events(struct api *a)
{
	struct wbuf out = WBUF_INIT(65536);
	struct msg m;
	int rc;

	while ((rc = chan_recv_wait(a->catalog, &m, 0)) == RC_OK) {
		if (m.type != MSG_CAT_EVENT) {
			rc = RC_STATE;
			break;
		}
		wbuf_reset(&out);
		if ((rc = sse_event(&out, &m.body)) != RC_OK ||
		    (rc = send_text(a, out.data, out.len)) != RC_OK)
			break;
	}
	wbuf_free(&out);
	return rc == RC_TIMEOUT ? RC_OK : rc;
}

/* The reader has nothing to say; its end shows here. */
static int
look_at_reader(struct api *a, short *want)
{
	char junk[512];
	size_t n;
	int rc;

	rc = conn_read_now(&a->conn, junk, sizeof(junk), &n, want);
	return rc == RC_AGAIN ? RC_OK : rc == RC_OK ? RC_PROTO : rc;
}

static int
stream(struct api *a)
{
	uint64_t now = io_now_ms(), end = now + STREAM_MS;
	uint64_t comment = now + COMMENT_MS;
	short want = POLLIN;
	int rc;

	for (;;) {
		struct pollfd p[3] = {
			{ .fd = a->conn.fd, .events = want },
			{ .fd = chan_fd(a->catalog), .events = POLLIN },
			{ .fd = chan_fd(a->env.parent), .events = POLLIN },
		};

		if ((now = io_now_ms()) >= end || a->stop)
			return RC_OK;
		if (now >= comment) {
			if ((rc = send_text(a, ":\n\n", 3)) != RC_OK)
				return rc;
			comment = now + COMMENT_MS;
		}
		if (poll(p, 3, (int)((comment < end ? comment : end) - now)) ==
		    -1) {
			if (errno != EINTR)
				return rc_errno(errno);
			continue;
		}
		if (p[2].revents != 0 &&
		    (rc = a->conn.on_parent(a->conn.arg)) != RC_OK)
			return rc;
		if (p[0].revents != 0 &&
		    (rc = look_at_reader(a, &want)) != RC_OK)
			return rc;
		if (p[1].revents != 0 && (rc = pass_events(a)) != RC_OK)
			return rc;
	}
}

int
api_events(struct api *a)
{
	int status;

	if (a->req.method == HTTP_HEAD)
		return api_fail(a, 405, "this path takes GET alone");
	a->last = true;
	if ((status = subscribe(a)) != 200)
		return status;
	a->type = ANSWER_SENT;
	if (answer_stream(a, "text/event-stream", io_now_ms() + WRITE_MS) ==
	    RC_OK && send_text(a, "retry: 3000\n\n", 13) == RC_OK)
		(void)stream(a);
	return 200;
}
