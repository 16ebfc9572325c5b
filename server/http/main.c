#include "config.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "common/secret.h"
#include "server/http/api.h"
#include "server/http/answer.h"

/*
 * The http program as `api`: one connection of 32005 or of the control socket,
 * then it exits.  On the control socket the socket's file mode was the
 * permission; the credentials that the kernel adds to what arrives there name
 * the user in the log.  On 32005 TLS is spoken, and auth says who it is.
 */
#define FD_AUTH		5
#define FD_KEYD		6
#define HANDSHAKE_MS	10000
#define REQUEST_MS	10000		/* from its first byte to its last */
#define IDLE_STRANGER_MS 10000
#define IDLE_MS		15000
#define REQUESTS_STRANGER 3		/* before a right is held */
#define REQUESTS_MAX	100
#define BODY_VALUES	2048		/* the peers of an exchange */

static struct {
	struct api	api;
	char		in[HTTP_HEAD_MAX + HTTP_BODY_MAX];
	size_t		have;
	bool		idle;		/* between two requests */
} self = { .api.conn.fd = -1 };

/* Something is on the channel to the master while we wait for the peer. */
static int
on_parent(void *arg)
{
	struct api *a = arg;
	struct msg m;
	bool again = a->stop;
	int rc;

	if ((rc = chan_recv_wait(a->env.parent, &m, 0)) == RC_TIMEOUT)
		return RC_OK;
	if (rc != RC_OK || (rc = api_on_master(a, &m)) != RC_OK)
		return rc;
	return a->stop && (self.idle || again) ? RC_CANCELLED : RC_OK;
}

static void
set_up(struct api *a)
{
	struct chan *keyd;
	int rc;

	mallopt(M_ARENA_MAX, 1);
	role_begin(&a->env, ROLE_API, ROLE_MASTER, true);
	if ((rc = conf_get(&a->env.start.rest, &a->conf)) != RC_OK ||
	    (rc = rbuf_end(&a->env.start.rest)) != RC_OK)
		fatal("START: %s", rc_str(rc));
	a->auth = role_chan(&a->env, FD_AUTH, ROLE_AUTH);
	keyd = role_chan(&a->env, FD_KEYD, ROLE_KEYD);
	if (a->auth == NULL || keyd == NULL)
		fatal("no channel to auth or keyd");
	if ((rc = digest_setup()) != RC_OK)
		fatal("digests: %s", rc_str(rc));
	tlskey_open(&a->key, keyd, &a->ctx);
	role_drop(&a->env);
	role_enter(&a->env);
}

/* Wait for the one connection; STOP or the master's end is our end. */
static int
wait_connection(struct api *a, uint8_t *verdict)
{
	uint64_t conn;
	struct msg m;
	int rc;

	if ((rc = chan_recv_wait(a->env.parent, &m, -1)) != RC_OK)
		return rc;
	if (m.type == MSG_STOP)
		return RC_EOF;
	if (m.type != MSG_CONN)
		return RC_STATE;
	/* the address is the logger's business: it prefixes our lines */
	if ((rc = rbuf_u64(&m.body, &conn)) != RC_OK ||
	    (rc = rbuf_u8(&m.body, &a->kind)) != RC_OK ||
	    (rc = rbuf_u8(&m.body, verdict)) != RC_OK ||
	    (rc = rbuf_skip(&m.body, 19)) != RC_OK ||
	    (rc = rbuf_end(&m.body)) != RC_OK)
		return rc;
	a->conn.fd = msg_take_fd(a->env.parent, &m);
	a->conn.parent_fd = chan_fd(a->env.parent);
	a->conn.on_parent = on_parent;
	a->conn.arg = a;
	return RC_OK;
}

static void
refuse_clear(struct api *a)
{
	a->last = true;
	log_notice("clear text where it is not served");
	(void)answer_send(a, api_fail(a, 400,
	    "speak TLS: clear text is not served here"),
	    io_now_ms() + REQUEST_MS);
	conn_close(&a->conn, true);
}

/* Decide by the first byte and the listener's verdict what is spoken. */
static int
begin_connection(struct api *a, uint8_t verdict)
{
	uint64_t until = io_now_ms() + HANDSHAKE_MS;
	uint8_t byte;
	int rc;

	if (a->kind == PORT_CONTROL)
		return RC_OK;
	if ((rc = conn_first_byte(&a->conn, &byte, until)) != RC_OK)
		return rc;
	if (byte == 0x16 && (verdict & CONN_TLS) != 0) {
		rc = conn_handshake(&a->conn, a->ctx, until);
		if (rc == RC_TLS)
			log_notice("TLS: %s", tls_error(a->conn.tls));
		tlskey_close(&a->key);
		return rc;
	}
	tlskey_close(&a->key);
	if ((verdict & CONN_CLEAR) != 0 && byte != 0x16)
		return RC_OK;
	refuse_clear(a);
	return RC_DENIED;
}

/* --- one request --- */

static int
more(struct api *a, uint64_t deadline)
{
	size_t n = 0;
	int rc;

	rc = conn_read(&a->conn, self.in + self.have,
	    sizeof(self.in) - self.have, &n, deadline);
	self.have += n;
	return rc;
}

static int
take_body(struct api *a, size_t head, uint64_t deadline)
{
	while (self.have < head + a->req.body_len)
		if (more(a, deadline) != RC_OK)
			return api_fail(a, 400, "the request ended too early");
	if (self.have > head + a->req.body_len)
		return api_fail(a, 400, "bytes after the request");
	if (a->req.body_len == 0)
		return 0;
	if (!a->req.json && a->kind != PORT_CONTROL)
		return api_fail(a, 415, "a body must be application/json");
	if (json_parse(self.in + head, a->req.body_len, BODY_VALUES,
	    &a->doc) != RC_OK)
		return api_fail(a, 400,
		    "the body is not JSON of the kind taken here");
	return 0;
}

/* RC_OK: *status is 0 when the request is whole, else what to answer.  Otherwise
 * there is nobody to answer. */
static int
read_request(struct api *a, int *status)
{
	uint64_t deadline;
	size_t head;
	int rc;

	self.idle = true;
	rc = a->stop ? RC_CANCELLED : more(a, io_now_ms() +
	    (a->right == RIGHT_NONE ? IDLE_STRANGER_MS : IDLE_MS));
	self.idle = false;
	if (rc != RC_OK)
		return rc;
	deadline = io_now_ms() + REQUEST_MS;
	while ((rc = http_parse(self.in, self.have, &a->req, &head)) ==
	    RC_AGAIN)
		if ((rc = more(a, deadline)) != RC_OK) {
			*status = api_fail(a, 400,
			    "the request ended too early");
			return RC_OK;
		}
	if (rc == RC_LIMIT)
		*status = api_fail(a, 400, "the request is too large");
	else if (rc != RC_OK)
		*status = api_fail(a, 400, "malformed request");
	else
		*status = take_body(a, head, deadline);
	return RC_OK;
}

static int
run(struct api *a)
{
	const struct api_route *route;
	int status;

	if (a->kind == PORT_CONTROL && a->conn.ours)
		snprintf(a->user, sizeof(a->user), "uid=%u pid=%d",
		    a->conn.uid, a->conn.pid);
	route = api_route(&a->req, &status);
	if ((status = route != NULL ? api_gate(a, route) : status) != 0)
		return status == 404 ?
		    api_fail(a, 404, "there is nothing at this path") :
		    status == 405 ?
		    api_fail(a, 405, "this path does not take that method") :
		    status;
	json_object(&a->json, NULL);
	status = route->handler(a);
	if (a->type == ANSWER_JSON)
		json_end(&a->json);
	return status;
}

static void
log_change(const struct api *a, int status)
{
	static const char *const methods[] = {
		"GET", "HEAD", "POST", "PUT", "DELETE",
	};
	char path[HTTP_SEGMENTS_MAX * 24] = "";
	size_t i, n = 0;

	for (i = 0; i < a->req.segments && n < sizeof(path) - 24; i++)
		n += (size_t)snprintf(path + n, sizeof(path) - n, "/%.22s",
		    a->req.segment[i]);
	/* a value of a log line: no blanks, no quotes, whatever was decoded */
	for (i = 0; path[i] != '\0'; i++)
		if (path[i] <= ' ' || path[i] == '"' || path[i] == '=')
			path[i] = '?';
	if (a->req.method > HTTP_HEAD || status != 200)
		log_info("api %s by=\"%s\" method=%s path=%s status=%d",
		    status == 200 ? "change" : "refused", a->user,
		    methods[a->req.method], path, status);
}

static void
forget_request(struct api *a)
{
	secret_wipe(self.in, self.have);
	self.have = 0;
	json_free(a->doc);
	a->doc = NULL;
	wbuf_free(&a->answer);
	secret_wipe(&a->req, sizeof(a->req));
	secret_wipe(a->cookie, sizeof(a->cookie));
	a->error[0] = '\0';
	a->type = ANSWER_JSON;
	a->now = RIGHT_NONE;
}

/* RC_OK: another request may follow. */
static int
serve_one(struct api *a, unsigned int nth)
{
	int rc, status;

	a->answer = (struct wbuf)WBUF_INIT(API_ANSWER_MAX);
	json_init(&a->json, &a->answer);
	if ((rc = read_request(a, &status)) != RC_OK)
		return rc;
	if (status == 0)
		status = run(a);
	/* the control socket serves one, as do those who did something odd */
	if (status != 200 || a->req.close || a->stop ||
	    a->kind == PORT_CONTROL || nth >= (a->right == RIGHT_NONE ?
	    REQUESTS_STRANGER : REQUESTS_MAX))
		a->last = true;
	log_change(a, status);
	if (a->type == ANSWER_SENT && status == 200)
		return RC_EOF;
	if ((rc = answer_send(a, status, io_now_ms() + REQUEST_MS)) != RC_OK) {
		if (rc != RC_EOF)
			log_info("api answer not sent: %s", rc_str(rc));
		return rc;
	}
	if (!a->last)
		return RC_OK;
	conn_close(&a->conn, status != 200 && a->kind != PORT_CONTROL);
	return RC_EOF;
}

int
main(void)
{
	struct api *a = &self.api;
	uint8_t verdict;
	unsigned int n;
	int rc;

	set_up(a);
	rc = wait_connection(a, &verdict);
	if (rc == RC_OK) {
		rc = begin_connection(a, verdict);
		for (n = 1; rc == RC_OK; n++) {
			rc = serve_one(a, n);
			forget_request(a);
		}
	} else if (rc != RC_EOF) {
		log_warn("unexpected message from the master: %s", rc_str(rc));
	}
	conn_close(&a->conn, false);
	secret_wipe(a->secret, sizeof(a->secret));
	tlskey_close(&a->key);
	tls_ctx_free(a->ctx);
	chan_free(a->catalog);
	chan_free(a->auth);
	return 0;
}
