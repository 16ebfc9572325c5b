#include "config.h"

#include "client/engine/want.h"

#include <stdlib.h>
#include <string.h>

#include "common/rc.h"

static size_t
slot(const struct object_id *id)
{
	/* Ids are HMACs: any bits of them are as good as a hash. */
	return ((size_t)id->b[0] << 8 | id->b[1]) % WANT_BUCKETS;
}

int
want_table_init(struct want_table *t)
{
	memset(t, 0, sizeof(*t));
	t->bucket = calloc(WANT_BUCKETS, sizeof(*t->bucket));
	return t->bucket != NULL ? RC_OK : RC_NOMEM;
}

static void
drop_wire(struct want_table *t, struct want *w)
{
	t->bytes -= w->len;
	free(w->wire);
	w->wire = NULL;
	w->len = 0;
}

void
want_table_free(struct want_table *t)
{
	struct want *w;
	size_t i;

	if (t->bucket == NULL)
		return;
	for (i = 0; i < WANT_BUCKETS; i++)
		while ((w = t->bucket[i]) != NULL) {
			t->bucket[i] = w->next;
			drop_wire(t, w);
			free(w);
		}
	free(t->bucket);
	t->bucket = NULL;
}

struct want *
want_find(const struct want_table *t, const struct object_id *id)
{
	struct want *w;

	for (w = t->bucket[slot(id)]; w != NULL; w = w->next)
		if (memcmp(&w->id, id, sizeof(*id)) == 0)
			break;
	return w;
}

struct want *
want_get(struct want_table *t, const struct object_id *id)
{
	struct want *w;

	if ((w = want_find(t, id)) == NULL) {
		if ((w = calloc(1, sizeof(*w))) == NULL)
			return NULL;
		w->id = *id;
		w->next = t->bucket[slot(id)];
		t->bucket[slot(id)] = w;
	}
	w->held++;
	return w;
}

void
want_put(struct want_table *t, struct want *w)
{
	struct want **at;

	/* One that is still on its way has to be there when it comes. */
	if (--w->held > 0 || w->state == WANT_ASKED)
		return;
	for (at = &t->bucket[slot(&w->id)]; *at != w; at = &(*at)->next)
		;
	*at = w->next;
	drop_wire(t, w);
	free(w);
}

int
want_ask(struct remote *r, const struct object_id *ids, size_t n,
    uint8_t copy, struct want **w, uint32_t *request)
{
	size_t i;
	int rc;

	/* The number is noted before an answer can come: remote_get() moves
	 * frames only while it waits for credit, which is before it sends. */
	rc = remote_get(r, ids, n, copy, request);
	for (i = 0; i < n; i++) {
		w[i]->request = *request;
		w[i]->copy = copy;
	}
	return rc;
}

int
want_take(struct want_table *t, struct want *w, const uint8_t *wire,
    size_t len)
{
	if (w->state != WANT_ASKED)
		return RC_PROTO;
	t->asked--;
	if (wire == NULL) {
		w->state = len == 0 ? WANT_GONE : WANT_BAD;
		/* No further copy: those before it were damaged. */
		if (w->state == WANT_GONE && w->copy > 0) {
			w->state = WANT_BAD;
			w->no_more = true;
		}
		return RC_OK;
	}
	if ((w->wire = malloc(len)) == NULL)
		return RC_NOMEM;
	memcpy(w->wire, wire, len);
	w->len = len;
	t->bytes += len;
	w->state = WANT_HERE;
	return RC_OK;
}

void
want_spoil(struct want_table *t, struct want *w)
{
	drop_wire(t, w);
	w->state = WANT_BAD;
}

bool
want_has_next(const struct want *w)
{
	return w->state == WANT_BAD && !w->no_more &&
	    w->copy + 1u < PROTO_COPIES_MAX;
}

unsigned
want_copies(const struct want *w)
{
	return w->no_more ? w->copy : w->copy + 1u;
}

int
want_again(struct remote *r, struct want_table *t, struct want *w)
{
	w->state = WANT_ASKED;
	t->asked++;
	return want_ask(r, &w->id, 1, (uint8_t)(w->copy + 1), &w, &w->request);
}
