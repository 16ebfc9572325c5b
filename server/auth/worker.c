#include "config.h"

#include "server/auth/worker.h"

#include <stdlib.h>

#include "common/rc.h"
#include "common/secret.h"

#define QUEUE_MAX	(8u << 20)	/* rows that a slow reader may leave */

struct queued {
	struct queued	*next;
	enum msg_type	 type;
	struct wbuf	 body;
};

struct worker *
worker_new(int fd, uint32_t number, enum role role)
{
	struct chan *c = chan_new(fd, ROLE_AUTH, role);
	struct worker *w;

	if (c == NULL || (w = calloc(1, sizeof(*w))) == NULL) {
		chan_free(c);
		return NULL;
	}
	chan_set_nonblock(c);
	w->c = c;
	w->number = number;
	w->role = role;
	w->state = W_IDLE;
	w->tail = &w->head;
	return w;
}

static void
worker_pop(struct worker *w)
{
	struct queued *q = w->head;

	if ((w->head = q->next) == NULL)
		w->tail = &w->head;
	w->queue_len -= q->body.len;
	wbuf_free(&q->body);
	free(q);
}

void
worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	while (w->head != NULL)
		worker_pop(w);
	chan_free(w->c);
	secret_wipe(w->nonce, sizeof(w->nonce));
	free(w);
}

int
worker_send(struct worker *w, enum msg_type type, const struct wbuf *body)
{
	struct queued *q;
	int rc = RC_AGAIN;

	if (w->head == NULL)
		rc = chan_send(w->c, type, body, -1);
	if (rc != RC_AGAIN)
		return rc;
	if (body->len > QUEUE_MAX - w->queue_len)
		return RC_LIMIT;
	if ((q = calloc(1, sizeof(*q))) == NULL)
		return RC_NOMEM;
	q->type = type;
	wbuf_init(&q->body, body->len);
	wbuf_bytes(&q->body, body->data, body->len);
	w->queue_len += body->len;
	*w->tail = q;
	w->tail = &q->next;
	return wbuf_rc(&q->body);
}

int
worker_flush(struct worker *w)
{
	int rc;

	while (w->head != NULL) {
		rc = chan_send(w->c, w->head->type, &w->head->body, -1);
		if (rc != RC_OK)
			return rc == RC_AGAIN ? RC_OK : rc;
		worker_pop(w);
	}
	return RC_OK;
}

void
worker_tell(struct worker *w, enum msg_type type, const struct wbuf *body)
{
	int rc = worker_send(w, type, body);

	if (rc != RC_OK && rc != RC_EOF)
		w->broken = true;
}
