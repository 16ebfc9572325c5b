#include "config.h"

#include "server/auth/notes.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/rc.h"

#define NOTE_MAX	256
#define AUDIT_MAX	1024

void
notes_init(struct notes *t, struct db *db)
{
	memset(t, 0, sizeof(*t));
	t->db = db;
	for (size_t i = 0; i < NOTES_MAX; i++)
		wbuf_init(&t->audit[i], AUDIT_MAX);
}

void
notes_free(struct notes *t)
{
	for (size_t i = 0; i < NOTES_MAX; i++)
		wbuf_free(&t->audit[i]);
	memset(t, 0, sizeof(*t));
}

/* --- clients --- */

static int
send_client(struct notes *t, uint8_t what, const struct db_client *c)
{
	struct wbuf b = WBUF_INIT(NOTE_MAX);
	int rc;

	wbuf_u8(&b, what);
	wbuf_str(&b, c->account);
	wbuf_str(&b, c->name);
	wbuf_bytes(&b, c->id, sizeof(c->id));
	wbuf_bytes(&b, c->vault, sizeof(c->vault));
	wbuf_u8(&b, c->state);
	wbuf_i64(&b, c->created);
	wbuf_i64(&b, c->seen);
	if ((rc = wbuf_rc(&b)) == RC_OK)
		rc = worker_send(t->catalog, MSG_CLIENT_NOTE, &b);
	wbuf_free(&b);
	return rc;
}

static int
send_row(void *arg, const struct db_client *c)
{
	return send_client(arg, CLIENT_NOTE_ROW, c);
}

/* The whole list; what ends it early is tried again by notes_flush(). */
static void
send_list(struct notes *t)
{
	static const struct db_client none;
	int rc;

	rc = db_clients(t->db, send_row, t);
	if (rc == RC_OK)
		rc = send_client(t, CLIENT_NOTE_END, &none);
	t->stale = rc != RC_OK && rc != RC_EOF;
}

static void
note(struct notes *t, uint8_t what, const struct db_client *c)
{
	if (t->catalog == NULL || t->stale)
		return;
	if (send_client(t, what, c) != RC_OK)
		t->stale = true;
}

void
notes_client(struct notes *t, const struct db_client *c)
{
	note(t, CLIENT_NOTE_ROW, c);
}

void
notes_client_gone(struct notes *t, const struct db_client *c)
{
	note(t, CLIENT_NOTE_GONE, c);
}

/* --- audit --- */

static void
put(struct wbuf *b, const char *s, size_t max)
{
	char text[300];

	snprintf(text, sizeof(text), "%.*s", (int)max, s != NULL ? s : "");
	wbuf_str(b, text);
}

void
notes_audit(struct notes *t, const struct audit *a)
{
	struct wbuf *b;

	notes_flush(t);
	if (t->n == NOTES_MAX) {
		if (t->lost++ == 0)
			log_warn("audit: no catalog takes entries, and %d are "
			    "kept: later ones are lost", NOTES_MAX);
		return;
	}
	b = &t->audit[(t->first + t->n) % NOTES_MAX];
	wbuf_reset(b);
	put(b, a->who, 63);
	put(b, a->from, 63);
	put(b, a->act, 63);
	put(b, a->object, 200);
	wbuf_u8(b, (uint8_t)-a->rc);
	put(b, a->detail, 256);
	if (wbuf_rc(b) == RC_OK)
		t->n++;
	else
		t->lost++;
	notes_flush(t);
}

bool
notes_pending(const struct notes *t)
{
	return t->catalog != NULL && (t->n > 0 || t->stale ||
	    t->catalog->head != NULL);
}

void
notes_flush(struct notes *t)
{
	struct wbuf *b;

	if (t->catalog == NULL || worker_flush(t->catalog) != RC_OK ||
	    t->catalog->head != NULL)
		return;
	if (t->stale)
		send_list(t);
	while (t->n > 0 && t->catalog->head == NULL) {
		b = &t->audit[t->first];
		if (chan_send_now(t->catalog->c, MSG_AUDIT, b, -1) != RC_OK)
			return;		/* again when it reads, or its end comes */
		wbuf_reset(b);
		t->first = (t->first + 1) % NOTES_MAX;
		t->n--;
	}
	if (t->n == 0 && t->lost > 0) {
		log_warn("audit: %llu entries were lost while no catalog took "
		    "them", (unsigned long long)t->lost);
		t->lost = 0;
	}
}

void
notes_join(struct notes *t, struct worker *catalog)
{
	t->catalog = catalog;
	t->stale = true;
	notes_flush(t);
}

void
notes_leave(struct notes *t, const struct worker *w)
{
	if (t->catalog == w)
		t->catalog = NULL;
}
