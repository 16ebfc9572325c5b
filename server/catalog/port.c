#include "config.h"

#include "server/catalog/port.h"

#include <stdlib.h>

#include "common/rc.h"

struct queued {
	struct queued	*next;
	enum msg_type	 type;
	struct wbuf	 body;
};

struct port {
	struct chan	*c;
	struct queued	*head, **tail;
	size_t		 len;
};

struct port *
port_new(int fd, enum role peer)
{
	struct chan *c = chan_new(fd, ROLE_CATALOG, peer);
	struct port *p;

	if (c == NULL || (p = calloc(1, sizeof(*p))) == NULL) {
		chan_free(c);
		return NULL;
	}
	chan_set_nonblock(c);
	p->c = c;
	p->tail = &p->head;
	return p;
}

static void
pop(struct port *p)
{
	struct queued *q = p->head;

	if ((p->head = q->next) == NULL)
		p->tail = &p->head;
	p->len -= q->body.len;
	wbuf_free(&q->body);
	free(q);
}

void
port_free(struct port *p)
{
	if (p == NULL)
		return;
	while (p->head != NULL)
		pop(p);
	chan_free(p->c);
	free(p);
}

struct chan *
port_chan(const struct port *p)
{
	return p->c;
}

int
port_send(struct port *p, enum msg_type type, const struct wbuf *body)
{
	size_t len = body != NULL ? body->len : 0;
	struct queued *q;
	int rc = RC_AGAIN;

	if (p->head == NULL)
		rc = chan_send(p->c, type, body, -1);
	if (rc != RC_AGAIN)
		return rc;
	if (len > PORT_QUEUE_MAX - p->len)
		return RC_LIMIT;
	if ((q = calloc(1, sizeof(*q))) == NULL)
		return RC_NOMEM;
	q->type = type;
	wbuf_init(&q->body, len);
	if (body != NULL)
		wbuf_bytes(&q->body, body->data, len);
	p->len += len;
	*p->tail = q;
	p->tail = &q->next;
	return wbuf_rc(&q->body);
}

int
port_flush(struct port *p)
{
	int rc;

	while (p->head != NULL) {
		rc = chan_send(p->c, p->head->type, &p->head->body, -1);
		if (rc != RC_OK)
			return rc == RC_AGAIN ? RC_OK : rc;
		pop(p);
	}
	return RC_OK;
}

bool
port_waits(const struct port *p)
{
	return p->head != NULL;
}

bool
port_full(const struct port *p)
{
	return p->len >= PORT_FULL;
}
