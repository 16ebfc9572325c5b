#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc.h"
#include "server/auth/admin.h"
#include "server/catalog/events.h"
#include "server/catalog/history.h"

#define DUE_LEAST	(26 * 3600)
#define GAPS		7

int
client_note_get(struct rbuf *in, uint8_t *what, struct client_row *r)
{
	int rc;

	if ((rc = rbuf_u8(in, what)) != RC_OK ||
	    (rc = rbuf_str(in, r->account, sizeof(r->account))) != RC_OK ||
	    (rc = rbuf_str(in, r->name, sizeof(r->name))) != RC_OK ||
	    (rc = rbuf_bytes(in, r->client, sizeof(r->client))) != RC_OK ||
	    (rc = rbuf_bytes(in, r->vault, sizeof(r->vault))) != RC_OK ||
	    (rc = rbuf_u8(in, &r->state)) != RC_OK ||
	    (rc = rbuf_i64(in, &r->created)) != RC_OK ||
	    (rc = rbuf_i64(in, &r->seen)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	return *what < CLIENT_NOTE_ROW || *what > CLIENT_NOTE_END ||
	    r->state > CLIENT_DISABLED ? RC_RANGE : RC_OK;
}

void
client_label(struct catalog *c, int64_t cid, char *out, size_t size)
{
	char account[CAT_NAME_MAX + 1], name[CAT_NAME_MAX + 1];
	sqlite3_stmt *st;

	snprintf(out, size, "?");
	if (sql_query(c->db, &st, "SELECT account, name FROM client "
	    "WHERE id = ?", "i", cid) != RC_OK)
		return;
	sql_name(st, 0, account, sizeof(account));
	sql_name(st, 1, name, sizeof(name));
	sqlite3_finalize(st);
	snprintf(out, size, "%s/%s", account, name);
}

int
client_find(struct catalog *c, const uint8_t client[16],
    const uint8_t vault[16], int64_t *cid)
{
	int rc;

	*cid = cat_number(c, 0, "SELECT id FROM client WHERE client = ?", "b",
	    client);
	if (*cid != 0)
		return RC_OK;
	if ((rc = cat_write(c)) != RC_OK ||
	    (rc = sql_run(c->db, "INSERT INTO client (client, account, name,"
	    " vault, state, created, seen, gone, listed) "
	    "VALUES (?, '', '', ?, ?, 0, 0, 1, 0)", "bbi", client, vault,
	    (int64_t)CLIENT_ENROLLED)) != RC_OK)
		return rc;
	*cid = sqlite3_last_insert_rowid(c->db);
	return RC_OK;
}

int
clients_list_begin(struct catalog *c)
{
	int rc = cat_write(c);

	return rc != RC_OK ? rc :
	    sql_run(c->db, "UPDATE client SET listed = 0", "");
}

int
client_put(struct catalog *c, const struct client_row *r)
{
	char subject[2 * CAT_NAME_MAX + 2];
	bool same;
	int64_t cid;
	int rc;

	if ((rc = client_find(c, r->client, r->vault, &cid)) != RC_OK ||
	    (rc = cat_write(c)) != RC_OK)
		return rc;
	same = cat_number(c, 0, "SELECT 1 FROM client WHERE id = ? AND "
	    "account = ? AND name = ? AND vault = ? AND state = ? AND gone = 0",
	    "ittbi", cid, r->account, r->name, r->vault, (int64_t)r->state) ==
	    1;
	if ((rc = sql_run(c->db, "UPDATE client SET account = ?, name = ?,"
	    " vault = ?, state = ?, created = ?, seen = ?, gone = 0, listed = 1"
	    " WHERE id = ?", "ttbiiii", r->account, r->name, r->vault,
	    (int64_t)r->state, r->created, r->seen, cid)) != RC_OK || same)
		return rc;
	if ((rc = client_refresh(c, cid)) != RC_OK)
		return rc;
	snprintf(subject, sizeof(subject), "%s/%s", r->account, r->name);
	event_add(c, "client", subject, "%s", r->state == CLIENT_DISABLED ?
	    "disabled" : r->state == CLIENT_ADDED ? "added" : "enrolled");
	return RC_OK;
}

static int
leave(struct catalog *c, int64_t cid)
{
	char subject[2 * CAT_NAME_MAX + 2];
	int rc;

	if ((rc = cat_write(c)) != RC_OK ||
	    (rc = sql_run(c->db, "UPDATE client SET gone = 1 WHERE id = ?", "i",
	    cid)) != RC_OK || (rc = client_refresh(c, cid)) != RC_OK)
		return rc;
	client_label(c, cid, subject, sizeof(subject));
	event_add(c, "client", subject, "gone");
	return RC_OK;
}

int
client_gone(struct catalog *c, const struct client_row *r)
{
	int64_t cid = cat_number(c, 0, "SELECT id FROM client WHERE client = ?"
	    " AND gone = 0", "b", r->client);

	return cid != 0 ? leave(c, cid) : RC_OK;
}

int
clients_list_end(struct catalog *c)
{
	int64_t cid;
	int rc = RC_OK;

	while (rc == RC_OK && (cid = cat_number(c, 0, "SELECT id FROM client "
	    "WHERE gone = 0 AND listed = 0 LIMIT 1", "")) != 0)
		rc = leave(c, cid);
	return rc;
}

/* --- the summary --- */

struct summary {
	int64_t		good;		/* last good */
	int64_t		due;
	int64_t		begun, ended, state, run;	/* the last run */
	int64_t		over, over_at;	/* the last that ended */
	int64_t		snapshots, incomplete, removed;
	int64_t		client_state, gone, created;
	int64_t		status, since;
};

static int
by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Twice the median of the last gaps, so that a weekly backup is not called
 * overdue every day, and one late run changes nothing. */
static int
read_good(struct catalog *c, int64_t cid, struct summary *s)
{
	int64_t gap[GAPS], before = 0, at, median = 0;
	sqlite3_stmt *st;
	size_t n = 0;
	int rc;

	rc = sql_query(c->db, &st, "SELECT ended FROM run WHERE cid = ? AND "
	    "good = 1 ORDER BY ended DESC LIMIT 8", "i", cid);
	for (; rc == RC_OK; rc = sql_next(st)) {
		at = sqlite3_column_int64(st, 0);
		if (s->good == 0)
			s->good = at;
		else if (n < GAPS)
			gap[n++] = before - at;
		before = at;
	}
	if (rc != RC_EOF && rc != RC_NOENT)
		return rc;
	if (n > 0) {
		qsort(gap, n, sizeof(gap[0]), by_number);
		median = n % 2 == 1 ? gap[n / 2] :
		    (gap[n / 2 - 1] + gap[n / 2]) / 2;
	}
	if (s->good != 0 && !s->gone && s->client_state == CLIENT_ENROLLED)
		s->due = s->good + (2 * median > DUE_LEAST ? 2 * median :
		    DUE_LEAST);
	return RC_OK;
}

static int
read_last(struct catalog *c, int64_t cid, struct summary *s)
{
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(c->db, &st, "SELECT started, ended, state, number "
	    "FROM run WHERE cid = ? ORDER BY at DESC, number DESC LIMIT 1", "i",
	    cid);
	if (rc != RC_OK)
		return rc == RC_NOENT ? RC_OK : rc;
	s->begun = sqlite3_column_int64(st, 0);
	s->ended = sqlite3_column_int64(st, 1);
	s->state = sqlite3_column_int64(st, 2);
	s->run = sqlite3_column_int64(st, 3);
	sqlite3_finalize(st);
	rc = sql_query(c->db, &st, "SELECT state, ended FROM run WHERE cid = ? "
	    "AND ended > 0 ORDER BY at DESC, number DESC LIMIT 1", "i", cid);
	if (rc != RC_OK)
		return rc == RC_NOENT ? RC_OK : rc;
	s->over = sqlite3_column_int64(st, 0);
	s->over_at = sqlite3_column_int64(st, 1);
	sqlite3_finalize(st);
	return RC_OK;
}

static void
judge(struct catalog *c, int64_t cid, struct summary *s)
{
	int64_t going;

	going = cat_number(c, 0, "SELECT max(started, 1) FROM run WHERE "
	    "cid = ? AND ended = 0 ORDER BY at DESC LIMIT 1", "i", cid);
	s->since = s->over_at;
	if (s->gone || s->client_state == CLIENT_ADDED) {
		s->status = CAT_STATE_UNKNOWN;
		s->since = s->created;
	} else if (going != 0) {
		s->status = CAT_STATE_RUNNING;
		s->since = going;
	} else if (s->snapshots == 0) {
		s->status = CAT_STATE_NEVER;
		s->since = s->created;
	} else if (s->due != 0 && s->due <= c->now) {
		s->status = CAT_STATE_OVERDUE;
		s->since = s->due;
	} else {
		s->status = s->over;
	}
}

static int
tell(struct catalog *c, int64_t cid, const struct summary *s,
    enum alert_kind kind, bool is, int64_t since, const char *text)
{
	char subject[24], account[CAT_NAME_MAX + 1], name[CAT_NAME_MAX + 1];
	sqlite3_stmt *st;
	int rc;

	snprintf(subject, sizeof(subject), "%" PRId64, cid);
	if (!is || s->gone || s->client_state != CLIENT_ENROLLED)
		return alert_clear(c, kind, subject);
	if ((rc = sql_query(c->db, &st, "SELECT account, name FROM client "
	    "WHERE id = ?", "i", cid)) != RC_OK)
		return rc;
	sql_name(st, 0, account, sizeof(account));
	sql_name(st, 1, name, sizeof(name));
	sqlite3_finalize(st);
	return alert_set(c, kind, subject, account, name, since, text);
}

static int
tell_all(struct catalog *c, int64_t cid, const struct summary *s)
{
	int rc;

	if ((rc = tell(c, cid, s, ALERT_OVERDUE, s->due != 0 &&
	    s->due <= c->now, s->due, "No good backup for too long. Is the "
	    "machine on, and does its schedule run? \"storegrid doctor\" there "
	    "shows whether it reaches this server.")) != RC_OK ||
	    (rc = tell(c, cid, s, ALERT_INCOMPLETE,
	    s->over == CAT_STATE_INCOMPLETE, s->over_at, "The last backup left "
	    "files out. The client's own log of that run names them and why; "
	    "mend it or exclude them.")) != RC_OK)
		return rc;
	return tell(c, cid, s, ALERT_FAILED, s->over == CAT_STATE_FAILED,
	    s->over_at, "The last backup ended without a snapshot. See the "
	    "client's log, then run \"storegrid backup\" there again: what was "
	    "sent already is not sent twice.");
}

int
client_refresh(struct catalog *c, int64_t cid)
{
	struct summary s = { 0 };
	sqlite3_stmt *st;
	int rc;

	if ((rc = sql_query(c->db, &st, "SELECT state, gone, created, removed,"
	    " (SELECT count(*) FROM run WHERE cid = client.id AND"
	    "  snapshot IS NOT NULL),"
	    " (SELECT count(*) FROM run WHERE cid = client.id AND"
	    "  snapshot IS NOT NULL AND good = 0) FROM client WHERE id = ?",
	    "i", cid)) != RC_OK)
		return rc;
	s.client_state = sqlite3_column_int64(st, 0);
	s.gone = sqlite3_column_int64(st, 1);
	s.created = sqlite3_column_int64(st, 2);
	s.removed = sqlite3_column_int64(st, 3);
	s.snapshots = sqlite3_column_int64(st, 4);
	s.incomplete = sqlite3_column_int64(st, 5);
	sqlite3_finalize(st);
	if ((rc = read_good(c, cid, &s)) != RC_OK ||
	    (rc = read_last(c, cid, &s)) != RC_OK)
		return rc;
	judge(c, cid, &s);
	if ((rc = cat_write(c)) != RC_OK ||
	    (rc = sql_run(c->db, "UPDATE client SET last_good = ?, due = ?,"
	    " last_begun = ?, last_ended = ?, last_state = ?, last_run = ?,"
	    " status = ?, since = ?, snapshots = max(0, ?), incomplete = ?"
	    " WHERE id = ?", "iiiiiiiiiii", s.good, s.due, s.begun, s.ended,
	    s.state, s.run, s.status, s.since, s.snapshots - s.removed,
	    s.incomplete, cid)) != RC_OK)
		return rc;
	return tell_all(c, cid, &s);
}

int
clients_tick(struct catalog *c)
{
	int64_t cid = 0;
	int rc = RC_OK;

	while (rc == RC_OK && (cid = cat_number(c, 0, "SELECT min(id) FROM "
	    "client WHERE id > ? AND due > 0 AND due <= ? AND NOT EXISTS "
	    "(SELECT 1 FROM alert WHERE kind = 1 AND subject = client.id || '')",
	    "ii", cid, c->now)) != 0)
		rc = client_refresh(c, cid);
	return rc;
}

int
client_unknown_vault(struct catalog *c, int64_t *after, uint8_t vault[16])
{
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(c->db, &st, "SELECT id, vault FROM client WHERE id > ? "
	    "AND gone = 0 AND seen > 0 AND vault NOT IN "
	    "(SELECT vault FROM vault) ORDER BY id LIMIT 1", "i", *after);
	if (rc != RC_OK)
		return rc;
	*after = sqlite3_column_int64(st, 0);
	sql_blob(st, 1, vault, 16);
	sqlite3_finalize(st);
	return RC_OK;
}
