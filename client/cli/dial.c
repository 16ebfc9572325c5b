#include "config.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/run.h"
#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"

/*
 * ENGINE_CONNECT: resolve looks the name up and connects; its socket goes to a
 * fresh net, with one end of a link; the engine gets the other end.  The
 * command looks at none of the bytes.
 */
#define DIAL_MS		45000		/* resolver's own time-outs included */

/* What the engine is told instead of a link. */
static void
refuse(struct run *r, int rc, const char *text)
{
	struct wbuf body = WBUF_INIT(512);

	r->dial.busy = false;
	wbuf_u8(&body, (uint8_t)-rc);
	wbuf_str(&body, text);
	if (r->engine.chan != NULL)
		(void)chan_send(r->engine.chan, MSG_ENGINE_NET, &body, -1);
	wbuf_free(&body);
}

static void
refuse_ours(struct run *r, const char *what, int rc)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: %s", what, rc_str(rc));
	refuse(r, RC_IO, text);
}

int
dial_request(struct run *r, struct msg *m)
{
	struct wbuf body = WBUF_INIT(512);
	struct dial *d = &r->dial;
	int rc;

	if (d->busy || rbuf_str(&m->body, d->host, sizeof(d->host)) != RC_OK ||
	    rbuf_u16(&m->body, &d->port) != RC_OK ||
	    rbuf_u8(&m->body, &d->tls) != RC_OK || d->tls >= NET_TLS_MAX ||
	    rbuf_bytes(&m->body, d->pin, sizeof(d->pin)) != RC_OK ||
	    rbuf_end(&m->body) != RC_OK)
		return RC_PROTO;
	d->busy = true;
	d->until = io_now_ms() + DIAL_MS;
	/* The engine may ask for clear text only where we may send it, and go
	 * without a pin only where people compare a code. */
	if (d->tls == NET_CLEAR && !r->cli->conf.plaintext_client) {
		refuse(r, RC_DENIED, "clear text is not allowed here "
		    "(Plaintext.Client)");
		return RC_OK;
	}
	if (d->tls == NET_TLS_ANY && r->cli->args.verb != VERB_PAIR) {
		refuse(r, RC_DENIED, "only `storegrid pair` may connect "
		    "without a pin");
		return RC_OK;
	}
	if ((rc = child_start(r, &r->resolve, ROLE_RESOLVE)) != RC_OK) {
		refuse_ours(r, "cannot start resolve", rc);
		return RC_OK;
	}
	wbuf_str(&body, d->host);
	wbuf_u16(&body, d->port);
	if ((rc = chan_send(r->resolve.chan, MSG_RESOLVE, &body, -1)) !=
	    RC_OK) {
		child_end(r, &r->resolve);
		refuse_ours(r, "resolve", rc);
	}
	wbuf_free(&body);
	return RC_OK;
}

/* A sentence that says what to look at next. */
static void
why_not(const struct dial *d, int rc, int err, const char *said, char *text,
    size_t size)
{
	if (rc == RC_NOENT || rc == RC_AGAIN)
		snprintf(text, size, "%s cannot be looked up: %.100s. Is the "
		    "name right?", d->host, said);
	else if (err == ECONNREFUSED)
		snprintf(text, size, "%s refuses connections to TCP %u: is "
		    "the server running, and is this its port?", d->host,
		    d->port);
	else if (rc == RC_TIMEOUT || err == ETIMEDOUT)
		snprintf(text, size, "%s does not answer on TCP %u: is the "
		    "server running? Is TCP %u open in every firewall on the "
		    "way?", d->host, d->port, d->port);
	else
		snprintf(text, size, "%s cannot be reached on TCP %u: %s",
		    d->host, d->port, err != 0 ? strerror(err) : rc_str(rc));
}

/* An empty directory that only its user could change, and nobody finds: it is
 * removed as soon as net's root is in it. */
int
dial_empty_make(struct run *r)
{
	static const char *const where[] = { "/run", "/tmp", "/dev/shm" };

	if (geteuid() != 0)
		return RC_OK;
	for (size_t i = 0; i < NITEMS(where); i++) {
		snprintf(r->empty, sizeof(r->empty),
		    "%s/sg-empty-XXXXXX", where[i]);
		if (mkdtemp(r->empty) == NULL)
			continue;
		if (chmod(r->empty, 0555) == 0)
			return RC_OK;
		(void)rmdir(r->empty);
	}
	r->empty[0] = '\0';
	return RC_IO;
}

void
dial_empty_drop(struct run *r)
{
	if (r->empty[0] != '\0')
		(void)rmdir(r->empty);
	r->empty[0] = '\0';
}

/* Socket and one end of the link to net, the other end to the engine. */
static int
join(struct run *r, struct child *net, int sock)
{
	struct wbuf body = WBUF_INIT(512);
	int pair[2] = { -1, -1 };
	int rc;

	wbuf_u8(&body, r->dial.tls);
	wbuf_bytes(&body, r->dial.pin, sizeof(r->dial.pin));
	if ((rc = chan_pair(pair)) != RC_OK ||
	    (rc = chan_send(net->chan, MSG_NET_OPEN, &body, sock)) != RC_OK ||
	    (rc = chan_send(net->chan, MSG_NET_LINK, NULL, pair[0])) != RC_OK)
		goto out;
	wbuf_reset(&body);
	wbuf_u8(&body, 0);
	wbuf_str(&body, "");
	rc = chan_send(r->engine.chan, MSG_ENGINE_NET, &body, pair[1]);
	r->dial.busy = false;
out:
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	wbuf_free(&body);
	return rc;
}

static void
start_net(struct run *r, int sock)
{
	struct child *net = NULL;
	int rc = RC_LIMIT;

	for (size_t i = 0; i < RUN_NETS_MAX && net == NULL; i++)
		if (r->nets[i].role == ROLE_NONE)
			net = &r->nets[i];
	if (net == NULL || (rc = dial_empty_make(r)) != RC_OK ||
	    (rc = child_start(r, net, ROLE_NET)) != RC_OK) {
		dial_empty_drop(r);
		refuse_ours(r, "cannot start net", rc);
		return;
	}
	if ((rc = join(r, net, sock)) != RC_OK) {
		child_end(r, net);
		dial_empty_drop(r);
		if (r->dial.busy)
			refuse_ours(r, "net", rc);
	}
}

static void
on_resolved(struct run *r, struct msg *m)
{
	char said[256], text[480];
	uint32_t err;
	uint8_t code;
	int fd;

	if (rbuf_u8(&m->body, &code) != RC_OK ||
	    rbuf_u32(&m->body, &err) != RC_OK ||
	    rbuf_str(&m->body, said, sizeof(said)) != RC_OK ||
	    rbuf_end(&m->body) != RC_OK) {
		refuse_ours(r, "resolve", RC_PROTO);
		return;
	}
	fd = msg_take_fd(r->resolve.chan, m);
	if (code == 0 && fd >= 0) {
		start_net(r, fd);
	} else {
		why_not(&r->dial, -(int)code, (int)err, said, text,
		    sizeof(text));
		refuse(r, RC_UNREACHABLE, text);
	}
	fd_close(&fd);
}

void
dial_resolve_event(struct run *r)
{
	struct msg m;
	int rc = child_recv(&r->resolve, &m);

	if (rc == RC_OK && m.type == MSG_READY)
		return;
	if (rc == RC_OK && m.type == MSG_LOG) {
		if (child_log(r, &r->resolve, &m) == RC_OK)
			return;
		rc = RC_PROTO;
	}
	if (rc == RC_OK && m.type == MSG_RESOLVED)
		on_resolved(r, &m);
	child_end(r, &r->resolve);
	if (r->dial.busy)
		refuse_ours(r, "resolve ended without an answer", rc);
}

void
dial_net_event(struct run *r, struct child *net)
{
	struct msg m;
	int rc = child_recv(net, &m);

	if (rc == RC_OK && m.type == MSG_READY) {
		dial_empty_drop(r);
		return;
	}
	if (rc == RC_OK && m.type == MSG_LOG &&
	    child_log(r, net, &m) == RC_OK)
		return;
	child_end(r, net);
	dial_empty_drop(r);
}

void
dial_timeout(struct run *r)
{
	char text[480];

	child_end(r, &r->resolve);
	snprintf(text, sizeof(text), "looking up %s and connecting to it took "
	    "longer than %d seconds: is the name service working?",
	    r->dial.host, DIAL_MS / 1000);
	refuse(r, RC_UNREACHABLE, text);
}
