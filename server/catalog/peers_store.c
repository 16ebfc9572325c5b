#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc.h"
#include "server/catalog/events.h"
#include "server/catalog/history.h"
#include "server/catalog/peers.h"

#define BODY_MAX 1024

#define F_HAND		0x01
#define F_COMPARED	0x02
#define F_CONFLICT	0x04
#define F_PIN_BAD	0x08
#define F_HIDDEN	0x10

static void
body_put(struct wbuf *out, const struct peer *p)
{
	wbuf_u8(out, p->addr_how);
	wbuf_u8(out, p->how);
	wbuf_u8(out, (uint8_t)((p->hand ? F_HAND : 0) |
	    (p->compared ? F_COMPARED : 0) | (p->conflict ? F_CONFLICT : 0) |
	    (p->pin_bad ? F_PIN_BAD : 0) | (p->hidden ? F_HIDDEN : 0)));
	addr_put(out, &p->addr);
	wbuf_str(out, p->fp);
	wbuf_str(out, p->label);
	wbuf_i64(out, p->first_seen);
	wbuf_i64(out, p->udp_seen);
	wbuf_i64(out, p->tcp_seen);
	wbuf_i64(out, p->up_since);
	wbuf_i64(out, p->heard);
	wbuf_i64(out, p->proven);
	peer_info_put(out, &p->info);
}

int
peer_body_get(struct rbuf *in, struct peer *p)
{
	uint8_t flags;
	int rc;

	if ((rc = rbuf_u8(in, &p->addr_how)) != RC_OK ||
	    (rc = rbuf_u8(in, &p->how)) != RC_OK ||
	    (rc = rbuf_u8(in, &flags)) != RC_OK ||
	    (rc = addr_get(in, &p->addr)) != RC_OK ||
	    (rc = rbuf_str(in, p->fp, sizeof(p->fp))) != RC_OK ||
	    (rc = rbuf_str(in, p->label, sizeof(p->label))) != RC_OK ||
	    (rc = rbuf_i64(in, &p->first_seen)) != RC_OK ||
	    (rc = rbuf_i64(in, &p->udp_seen)) != RC_OK ||
	    (rc = rbuf_i64(in, &p->tcp_seen)) != RC_OK ||
	    (rc = rbuf_i64(in, &p->up_since)) != RC_OK ||
	    (rc = rbuf_i64(in, &p->heard)) != RC_OK ||
	    (rc = rbuf_i64(in, &p->proven)) != RC_OK ||
	    (rc = peer_info_get(in, &p->info)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	p->hand = (flags & F_HAND) != 0;
	p->compared = (flags & F_COMPARED) != 0;
	p->conflict = (flags & F_CONFLICT) != 0;
	p->pin_bad = (flags & F_PIN_BAD) != 0;
	p->hidden = (flags & F_HIDDEN) != 0;
	return RC_OK;
}

int
peer_save(struct peers *t, struct peer *p)
{
	struct wbuf b = WBUF_INIT(BODY_MAX);
	sqlite3_stmt *st = NULL;
	int code, rc;

	body_put(&b, p);
	if ((rc = wbuf_rc(&b)) != RC_OK || (rc = cat_write(t->c)) != RC_OK)
		goto out;
	code = sqlite3_prepare_v2(t->c->db, "INSERT OR REPLACE INTO peer "
	    "VALUES (?, ?)", -1, &st, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(st, 1, p->row);
	if (code == SQLITE_OK)
		code = sqlite3_bind_blob(st, 2, b.data, (int)b.len,
		    SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	sqlite3_finalize(st);
	if ((rc = sql_rc(code)) == RC_OK)
		p->dirty = false;
out:
	wbuf_free(&b);
	return rc;
}

int
peer_delete(struct peers *t, struct peer *p)
{
	int rc;

	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i] != p)
			continue;
		/* order is age, and who is dialled goes by it */
		memmove(&t->v[i], &t->v[i + 1],
		    (t->n - i - 1) * sizeof(t->v[0]));
		t->n--;
		break;
	}
	if ((rc = cat_write(t->c)) == RC_OK)
		rc = sql_run(t->c->db, "DELETE FROM peer WHERE row = ?", "i",
		    p->row);
	free(p);
	return rc;
}

static int
load_row(struct peers *t, sqlite3_stmt *st)
{
	struct peer *p;
	struct rbuf in;

	if (t->n == PEERS_MAX || (p = calloc(1, sizeof(*p))) == NULL)
		return RC_NOMEM;
	p->row = sqlite3_column_int64(st, 0);
	rbuf_init(&in, sqlite3_column_blob(st, 1),
	    (size_t)sqlite3_column_bytes(st, 1));
	/* one that does not parse is forgotten: it comes again */
	if (peer_body_get(&in, p) != RC_OK) {
		free(p);
		return RC_OK;
	}
	t->v[t->n++] = p;
	return RC_OK;
}

int
peers_load(struct peers *t, struct catalog *c)
{
	sqlite3_stmt *st;
	int rc;

	t->c = c;
	t->exchange_interval = 300;
	rc = sql_query(c->db, &st, "SELECT row, body FROM peer ORDER BY row",
	    "");
	for (; rc == RC_OK; rc = sql_next(st)) {
		if ((rc = load_row(t, st)) != RC_OK) {
			sqlite3_finalize(st);
			return rc;
		}
	}
	for (size_t i = 0; i < t->n; i++)
		t->v[i]->up = peer_state(t, t->v[i]) == PEER_STATE_UP;
	return rc == RC_EOF || rc == RC_NOENT ? RC_OK : rc;
}

void
peers_free(struct peers *t)
{
	while (t->n > 0)
		free(t->v[--t->n]);
}

int
peers_flush(struct peers *t)
{
	int rc = RC_OK;

	for (size_t i = 0; rc == RC_OK && i < t->n; i++)
		if (t->v[i]->dirty)
			rc = peer_save(t, t->v[i]);
	return rc;
}
