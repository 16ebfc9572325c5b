#include "config.h"

#include "client/engine/engine.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "client/engine/event.h"
#include "common/io.h"
#include "common/object.h"
#include "common/rc.h"

#define PROGRESS_MS	100
#define CONNECT_MS	60000		/* the command gives up long before */
#define SHOWN_PATH_MAX	16384u		/* of a path in a progress line */

/*
 * Workers report files that cannot be read while the main thread reports
 * progress: one at a time on the channel.
 */
static pthread_mutex_t cmd_lock = PTHREAD_MUTEX_INITIALIZER;

static int
send_cmd(struct engine *e, enum msg_type type, const struct wbuf *body)
{
	int rc;

	pthread_mutex_lock(&cmd_lock);
	rc = chan_send(e->cmd, type, body, -1);
	pthread_mutex_unlock(&cmd_lock);
	if (rc == RC_EOF) {
		e->cancelled = true;
		rc = RC_CANCELLED;
	}
	return rc;
}

int
engine_event(struct engine *e, const struct wbuf *body)
{
	return send_cmd(e, MSG_ENGINE_EVENT, body);
}

/* STOP, or the end of the command, noticed without waiting. */
static int
look_for_stop(struct engine *e)
{
	struct pollfd p = { .fd = chan_fd(e->cmd), .events = POLLIN };
	struct msg m;
	int rc;

	if (!e->cancelled && poll(&p, 1, 0) == 1) {
		rc = chan_recv(e->cmd, &m);
		if (rc == RC_OK && m.type == MSG_STOP)
			e->cancelled = true;
		else if (rc != RC_AGAIN)
			e->cancelled = true;
	}
	return e->cancelled ? RC_CANCELLED : RC_OK;
}

int
engine_progress(struct engine *e, const struct progress *p)
{
	static uint64_t last;
	struct wbuf body = WBUF_INIT(65536);
	uint64_t now = io_now_ms();
	size_t n = p->path != NULL ? strlen(p->path) : 0;
	int rc;

	if (now - last < PROGRESS_MS)
		return e->cancelled ? RC_CANCELLED : RC_OK;
	last = now;
	if ((rc = look_for_stop(e)) != RC_OK)
		return rc;
	wbuf_u8(&body, EVENT_PROGRESS);
	wbuf_u64(&body, p->files);
	wbuf_u64(&body, p->bytes);
	wbuf_u64(&body, p->new_bytes);
	wbuf_u64(&body, p->stored_bytes);
	wbuf_u64(&body, p->total_files);
	wbuf_u64(&body, p->total_bytes);
	wbuf_str(&body, p->phase != NULL ? p->phase : "");
	wbuf_blob16(&body, p->path, n < SHOWN_PATH_MAX ? n : SHOWN_PATH_MAX);
	rc = engine_event(e, &body);
	wbuf_free(&body);
	return rc;
}

int
engine_pause(struct engine *e, uint64_t ms)
{
	struct pollfd p = { .fd = chan_fd(e->cmd), .events = POLLIN };
	uint64_t now = io_now_ms(), until = now + ms;
	int rc;

	while ((rc = look_for_stop(e)) == RC_OK && now < until) {
		(void)poll(&p, 1, (int)(until - now));
		now = io_now_ms();
	}
	return rc;
}

/* What the command answered: the link, or why there is none. */
static int
take_net(struct engine *e, struct msg *m, int *fd)
{
	char text[512];
	uint8_t code;

	if (rbuf_u8(&m->body, &code) != RC_OK ||
	    rbuf_str(&m->body, text, sizeof(text)) != RC_OK ||
	    rbuf_end(&m->body) != RC_OK)
		return RC_PROTO;
	if (code != 0) {
		snprintf(e->error, sizeof(e->error), "%.255s", text);
		return -(int)code;
	}
	if ((*fd = msg_take_fd(e->cmd, m)) < 0)
		return RC_PROTO;
	return RC_OK;
}

static int
ask_for_net(struct engine *e, enum net_tls how, int *fd)
{
	const struct state *st = e->state;
	struct wbuf body = WBUF_INIT(512);
	bool ssl = e->conf_ssl || st->ssl;
	uint16_t port = e->conf_port != 0 ? e->conf_port : st->port;
	struct msg m;
	int rc;

	if (ssl)
		port = e->conf_ssl_port != 0 ? e->conf_ssl_port :
		    st->ssl_port;
	wbuf_str(&body, st->host);
	wbuf_u16(&body, port);
	wbuf_u8(&body, how == NET_CLEAR && ssl ? NET_TLS : how);
	wbuf_bytes(&body, st->pin, sizeof(st->pin));
	rc = send_cmd(e, MSG_ENGINE_CONNECT, &body);
	wbuf_free(&body);
	while (rc == RC_OK) {
		rc = chan_recv_wait(e->cmd, &m, CONNECT_MS);
		if (rc != RC_OK)
			break;
		if (m.type == MSG_ENGINE_NET)
			return take_net(e, &m, fd);
		rc = m.type == MSG_STOP ? RC_CANCELLED : RC_STATE;
	}
	if (rc == RC_EOF || rc == RC_CANCELLED) {
		e->cancelled = true;
		rc = RC_CANCELLED;
	}
	return rc;
}

static int
refused(struct engine *e, struct remote *r, int rc)
{
	uint16_t code = r != NULL ? remote_error_code(r) : 0;
	const char *why = r != NULL ? remote_error(r) : "";

	if (code != 0)
		rc = proto_error_retry(code) ? RC_BUSY : proto_error_rc(code);
	if (why[0] != '\0')
		snprintf(e->error, sizeof(e->error), "%.255s", why);
	else if (e->error[0] == '\0')
		snprintf(e->error, sizeof(e->error), "no connection: %s",
		    rc_str(rc));
	remote_close(r);
	return rc;
}

static int
dial(struct engine *e, struct remote **r, const struct remote_events *ev,
    enum net_tls how)
{
	struct link *l;
	struct chan *c;
	int fd = -1, rc;

	*r = NULL;
	e->error[0] = '\0';
	if ((rc = ask_for_net(e, how, &fd)) != RC_OK)
		return refused(e, NULL, rc);
	/* A restorer may send and take the same messages on a link. */
	if ((c = chan_new(fd, ROLE_ENGINE, ROLE_NET)) == NULL)
		return refused(e, NULL, RC_NOMEM);
	if ((l = link_new(c, OBJECT_WIRE_MAX)) == NULL)
		return refused(e, NULL, RC_NOMEM);
	if ((rc = remote_open(r, l, how == NET_TLS_ANY ? NULL :
	    e->state->identity_fp, ev)) != RC_OK) {
		rc = refused(e, *r, rc);
		*r = NULL;
	}
	return rc;
}

int
engine_dial(struct engine *e, struct remote **r,
    const struct remote_events *ev, bool tls_only)
{
	return dial(e, r, ev, e->conf_plaintext && !tls_only ? NET_CLEAR :
	    NET_TLS);
}

int
engine_dial_first(struct engine *e, struct remote **r)
{
	return dial(e, r, NULL, NET_TLS_ANY);
}

int
engine_connect(struct engine *e, struct remote **r,
    const struct remote_events *ev, struct auth_ok *ok)
{
	struct auth_ok own;
	int rc;

	if ((rc = engine_dial(e, r, ev, false)) != RC_OK)
		return rc;
	if ((rc = remote_login(*r, &e->keys, ok != NULL ? ok : &own)) !=
	    RC_OK) {
		rc = refused(e, *r, rc);
		*r = NULL;
	}
	return rc;
}

static const struct {
	int		rc;
	enum exit_code	code;
} exits[] = {
	{ RC_OK,		EXIT_DONE },
	{ RC_CONFIG,		EXIT_USAGE },
	{ RC_UNREACHABLE,	EXIT_UNREACHABLE },
	{ RC_TIMEOUT,		EXIT_UNREACHABLE },
	{ RC_EOF,		EXIT_UNREACHABLE },
	{ RC_AUTH,		EXIT_AUTH },
	{ RC_DENIED,		EXIT_AUTH },
	{ RC_PIN,		EXIT_PIN },
	{ RC_TLS,		EXIT_PIN },
	{ RC_FULL,		EXIT_SPACE },
	{ RC_QUOTA,		EXIT_SPACE },
	{ RC_CRYPTO,		EXIT_INTEGRITY },
	{ RC_CRC,		EXIT_INTEGRITY },
	{ RC_CORRUPT,		EXIT_INTEGRITY },
	{ RC_MISSING,		EXIT_INTEGRITY },
	{ RC_OLDER,		EXIT_INTEGRITY },
	{ RC_NOENT,		EXIT_NOTHING },
	{ RC_BUSY,		EXIT_LATER },
	{ RC_AGAIN,		EXIT_LATER },
	{ RC_UNMOUNTED,		EXIT_LATER },
	{ RC_CANCELLED,		EXIT_INTERRUPTED },
};

int
engine_exit_code(int rc, const struct remote *r)
{
	uint16_t code = r != NULL ? remote_error_code(r) : 0;

	if (rc != RC_OK && rc != RC_CANCELLED && code != 0) {
		if (proto_error_retry(code))
			return EXIT_LATER;
		rc = proto_error_rc(code);
	}
	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		if (exits[i].rc == rc)
			return exits[i].code;
	return EXIT_FAILED;
}
