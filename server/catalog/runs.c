#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/catalog/events.h"
#include "server/catalog/history.h"

#define DAY		86400
#define SPACE_LOW	(1ull << 30)

static const uint8_t zeros[16];

static void
tell(struct catalog *c, const char *name, int64_t cid, int64_t number,
    const char *what)
{
	char subject[2 * CAT_NAME_MAX + 2];

	client_label(c, cid, subject, sizeof(subject));
	event_add(c, name, subject, "run=%" PRId64 " %s", number, what);
}

static const char *
state_text(int64_t state)
{
	static const char *const texts[CAT_STATE_MAX] = {
#define X(name, text) [CAT_STATE_##name] = text,
		CAT_STATES(X)
#undef X
	};

	return state >= 0 && state < CAT_STATE_MAX ? texts[state] : "unknown";
}

struct run {
	int64_t	number, cid, state, outcome;
	bool	has_snapshot;
};

static int
run_find(struct catalog *c, int64_t cid, const uint8_t run[16], struct run *r)
{
	sqlite3_stmt *st;
	int rc;

	if (memcmp(run, zeros, sizeof(zeros)) == 0)
		return RC_NOENT;
	if ((rc = sql_query(c->db, &st, "SELECT number, state, outcome, "
	    "snapshot IS NOT NULL FROM run WHERE cid = ? AND run = ?", "ib",
	    cid, run)) != RC_OK)
		return rc;
	r->number = sqlite3_column_int64(st, 0);
	r->cid = cid;
	r->state = sqlite3_column_int64(st, 1);
	r->outcome = sqlite3_column_int64(st, 2);
	r->has_snapshot = sqlite3_column_int64(st, 3) != 0;
	sqlite3_finalize(st);
	return RC_OK;
}

/* A run that ended without a snapshot: the client may know why. */
static int64_t
lost_state(int64_t outcome)
{
	return outcome == REPORT_CANCELLED ? CAT_STATE_CANCELLED :
	    CAT_STATE_FAILED;
}

static int
run_insert(struct catalog *c, const uint8_t vault[16],
    const struct feed_run *f, struct run *r)
{
	int64_t started = f->started > 0 ? f->started : c->now;
	int rc;

	rc = sql_run(c->db, "INSERT INTO run (cid, vault, run, job, state,"
	    " started, ended, at, heard) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)",
	    "ibbbiiii", r->cid, vault, f->run, f->job,
	    (int64_t)CAT_STATE_RUNNING, started, started, c->now);
	r->number = sqlite3_last_insert_rowid(c->db);
	r->state = CAT_STATE_RUNNING;
	if (rc == RC_OK)
		tell(c, "run-begun", r->cid, r->number, "");
	return rc;
}

/* The state that the message leaves the run in; 0: as it is. */
static int64_t
next_state(const struct feed_run *f, const struct run *r)
{
	if (r->has_snapshot)
		return 0;
	switch (f->state) {
	case FEED_RUN_COMMITTED:
		return CAT_STATE_OK;
	case FEED_RUN_LEFT:
		return lost_state(r->outcome);
	default:
		return CAT_STATE_RUNNING;
	}
}

int
run_feed(struct catalog *c, const uint8_t vault[16], const struct feed_run *f)
{
	struct run r = { 0 };
	char detail[96];
	int64_t state, ended;
	int rc;

	if (memcmp(f->run, zeros, sizeof(zeros)) == 0)
		return RC_RANGE;
	if ((rc = client_find(c, f->client, vault, &r.cid)) != RC_OK ||
	    (rc = cat_write(c)) != RC_OK)
		return rc;
	rc = run_find(c, r.cid, f->run, &r);
	if (rc == RC_NOENT)
		rc = run_insert(c, vault, f, &r);
	if (rc != RC_OK)
		return rc;
	if ((rc = sql_run(c->db, "UPDATE run SET objects = max(objects, ?),"
	    " received = max(received, ?), heard = ? WHERE number = ?", "iiii",
	    cat_int(f->objects), cat_int(f->received), c->now, r.number)) !=
	    RC_OK)
		return rc;
	if (f->state == FEED_RUN_GOING) {
		snprintf(detail, sizeof(detail), "objects=%" PRIu64
		    " received=%" PRIu64, f->objects, f->received);
		tell(c, "run-going", r.cid, r.number, detail);
	}
	if ((state = next_state(f, &r)) == 0 ||
	    (f->state == FEED_RUN_GOING && state == r.state))
		return RC_OK;
	ended = state == CAT_STATE_RUNNING ? 0 : c->now;
	if ((rc = sql_run(c->db, "UPDATE run SET state = ?, ended = ? "
	    "WHERE number = ?", "iii", state, ended, r.number)) != RC_OK)
		return rc;
	if (state == CAT_STATE_RUNNING && r.state != CAT_STATE_RUNNING)
		tell(c, "run-begun", r.cid, r.number, "resumed");
	/* a commit is told by its snapshot, which says whether it is whole */
	if (f->state == FEED_RUN_LEFT)
		tell(c, "run-ended", r.cid, r.number, state_text(state));
	return client_refresh(c, r.cid);
}

static int
see_seq(struct catalog *c, const uint8_t vault[16], uint64_t seq)
{
	return sql_run(c->db, "INSERT INTO vault (vault, seq) VALUES (?, ?) "
	    "ON CONFLICT (vault) DO UPDATE SET seq = max(seq, excluded.seq)",
	    "bi", vault, cat_int(seq));
}

uint64_t
vault_seq(struct catalog *c, const uint8_t vault[16])
{
	return (uint64_t)cat_number(c, 0, "SELECT seq FROM vault "
	    "WHERE vault = ?", "b", vault);
}

/* A row for a snapshot whose run nobody saw. */
static int
snapshot_insert(struct catalog *c, const uint8_t vault[16],
    const struct feed_snapshot *f, struct run *r)
{
	bool known = memcmp(f->run, zeros, sizeof(zeros)) != 0 &&
	    !r->has_snapshot;
	int rc;

	/* a run id used twice stays with the first snapshot */
	rc = sql_run(c->db, "INSERT INTO run (cid, vault, run, job, state,"
	    " started, ended, at, heard) VALUES (?, ?, ?, ?, 0, 0, 0, 0, ?)",
	    "ibbbi", r->cid, vault, known ? f->run : NULL, f->job, c->now);
	r->number = sqlite3_last_insert_rowid(c->db);
	return rc;
}

int
run_snapshot(struct catalog *c, const uint8_t vault[16],
    const struct feed_snapshot *f)
{
	bool partial = (f->flags & SNAPSHOT_F_PARTIAL) != 0;
	int64_t state = partial ? CAT_STATE_INCOMPLETE : CAT_STATE_OK;
	int64_t ended = f->wall_ns / 1000000000;
	struct run r = { 0 };
	int rc;

	if ((rc = client_find(c, f->client, vault, &r.cid)) != RC_OK ||
	    (rc = cat_write(c)) != RC_OK ||
	    (rc = see_seq(c, vault, f->vault_seq)) != RC_OK)
		return rc;
	if (cat_number(c, 0, "SELECT number FROM run WHERE vault = ? AND "
	    "snapshot = ?", "bB", vault, f->id.b) != 0)
		return RC_OK;
	rc = run_find(c, r.cid, f->run, &r);
	if (rc == RC_NOENT || (rc == RC_OK && r.has_snapshot))
		rc = snapshot_insert(c, vault, f, &r);
	if (rc != RC_OK)
		return rc;
	if ((rc = sql_run(c->db, "UPDATE run SET state = ?, good = ?,"
	    " started = max(started, ?), ended = ?,"
	    " at = CASE WHEN max(started, ?) > 0 THEN max(started, ?) ELSE ? "
	    "END, snapshot = ?, flags = ?, label = ?, new_bytes = ?,"
	    " closure_bytes = ? WHERE number = ?", "iiiiiiiBitiii", state,
	    (int64_t)!partial, f->started, ended, f->started, f->started, ended,
	    f->id.b, (int64_t)f->flags, f->label, cat_int(f->new_bytes),
	    cat_int(f->closure_bytes), r.number)) != RC_OK ||
	    (rc = sql_run(c->db, "UPDATE client SET new_bytes = ? WHERE id = ?",
	    "ii", cat_int(f->new_bytes), r.cid)) != RC_OK)
		return rc;
	tell(c, "run-ended", r.cid, r.number, state_text(state));
	return client_refresh(c, r.cid);
}

int
run_report(struct catalog *c, const uint8_t client[16], const struct report *p)
{
	struct run r = { 0 };
	int64_t cid, lost;
	int rc;

	cid = cat_number(c, 0, "SELECT id FROM client WHERE client = ?", "b",
	    client);
	if (cid == 0)
		return RC_NOENT;
	if ((rc = run_find(c, cid, p->run, &r)) != RC_OK ||
	    (rc = cat_write(c)) != RC_OK ||
	    (rc = sql_run(c->db, "UPDATE run SET outcome = ?, r_files = ?,"
	    " r_dirs = ?, r_bytes = ?, r_new = ?, r_skipped = ?, r_ms = ? "
	    "WHERE number = ?", "iiiiiiii", (int64_t)p->outcome,
	    cat_int(p->files), cat_int(p->dirs), cat_int(p->bytes),
	    cat_int(p->new_bytes), cat_int(p->skipped),
	    cat_int(p->milliseconds), r.number)) != RC_OK)
		return rc;
	/* it may only say why there is no snapshot, never that there is one */
	lost = lost_state(p->outcome);
	if (r.has_snapshot || (r.state != CAT_STATE_FAILED &&
	    r.state != CAT_STATE_CANCELLED) || r.state == lost)
		return RC_OK;
	if ((rc = sql_run(c->db, "UPDATE run SET state = ? WHERE number = ?",
	    "ii", lost, r.number)) != RC_OK)
		return rc;
	return client_refresh(c, cid);
}

/* One run that is going, of a vault or one that was not heard of lately. */
static int
end_going(struct catalog *c, const uint8_t *vault, int64_t since)
{
	struct run r = { 0 };
	sqlite3_stmt *st;
	int64_t state;
	int rc;

	rc = vault != NULL ?
	    sql_query(c->db, &st, "SELECT number, cid, outcome FROM run WHERE "
	    "ended = 0 AND vault = ? LIMIT 1", "b", vault) :
	    sql_query(c->db, &st, "SELECT number, cid, outcome FROM run WHERE "
	    "ended = 0 AND heard < ? LIMIT 1", "i", since);
	if (rc != RC_OK)
		return rc;
	r.number = sqlite3_column_int64(st, 0);
	r.cid = sqlite3_column_int64(st, 1);
	r.outcome = sqlite3_column_int64(st, 2);
	sqlite3_finalize(st);
	state = lost_state(r.outcome);
	if ((rc = cat_write(c)) != RC_OK ||
	    (rc = sql_run(c->db, "UPDATE run SET state = ?, ended = ? "
	    "WHERE number = ?", "iii", state, c->now, r.number)) != RC_OK)
		return rc;
	tell(c, "run-ended", r.cid, r.number, state_text(state));
	return client_refresh(c, r.cid);
}

int
runs_vault_left(struct catalog *c, const uint8_t vault[16])
{
	int rc;

	while ((rc = end_going(c, vault, 0)) == RC_OK)
		;
	return rc == RC_NOENT ? RC_OK : rc;
}

int
runs_end_stale(struct catalog *c, int64_t since)
{
	int rc;

	while ((rc = end_going(c, NULL, since)) == RC_OK)
		;
	return rc == RC_NOENT ? RC_OK : rc;
}

int
runs_prune(struct catalog *c)
{
	int64_t old = c->now - (int64_t)CAT_RUNS_KEEP_DAYS * DAY, cid = 0;
	int64_t floor, top;
	int rc;

	if ((rc = cat_write(c)) != RC_OK)
		return rc;
	while ((cid = cat_number(c, 0, "SELECT min(id) FROM client "
	    "WHERE id > ?", "i", cid)) != 0) {
		/* the last number that is too far down the list */
		floor = cat_number(c, 0, "SELECT number FROM run WHERE cid = ? "
		    "ORDER BY number DESC LIMIT 1 OFFSET ?", "ii", cid,
		    (int64_t)CAT_RUNS_KEEP);
		if (floor == 0)
			continue;
		top = cat_number(c, 0, "SELECT number FROM run WHERE cid = ? "
		    "ORDER BY number DESC LIMIT 1 OFFSET ?", "ii", cid,
		    (int64_t)CAT_RUNS_MAX);
		if ((rc = sql_run(c->db, "DELETE FROM run WHERE cid = ? AND "
		    "ended > 0 AND ((number <= ? AND at < ?) OR number <= ?)",
		    "iiii", cid, floor, old, top)) != RC_OK)
			return rc;
	}
	return sql_run(c->db, "DELETE FROM space WHERE at < ?", "i", old);
}

/* --- storage --- */

static int
space_alert(struct catalog *c, const uint8_t vault[16],
    const struct feed_space *f)
{
	char subject[33], text[256];
	char account[CAT_NAME_MAX + 1] = "", name[CAT_NAME_MAX + 1] = "";
	sqlite3_stmt *st;
	size_t i;

	for (i = 0; i < 16; i++)
		snprintf(subject + 2 * i, 3, "%02x", vault[i]);
	if (f->fs_total == 0 || (f->fs_free >= SPACE_LOW &&
	    f->fs_free >= f->fs_total / 20))
		return alert_clear(c, ALERT_SPACE, subject);
	if (sql_query(c->db, &st, "SELECT account, name FROM client "
	    "WHERE vault = ? AND gone = 0 LIMIT 1", "b", vault) == RC_OK) {
		sql_name(st, 0, account, sizeof(account));
		sql_name(st, 1, name, sizeof(name));
		sqlite3_finalize(st);
	}
	snprintf(text, sizeof(text), "Only %" PRIu64 " MiB are free where this "
	    "vault lies. Make room or add a disk before uploads are refused; "
	    "nothing that is stored is in danger.", f->fs_free >> 20);
	return alert_set(c, ALERT_SPACE, subject, account, name, c->now, text);
}

/* What retention took away is not told run by run.  A vault of several clients
 * does not say whose it was. */
static int
count_removed(struct catalog *c, const uint8_t vault[16],
    const struct feed_space *f)
{
	int64_t cid, rows, removed;
	int rc;

	cid = cat_number(c, 0, "SELECT CASE count(*) WHEN 1 THEN min(id) ELSE 0 "
	    "END FROM client WHERE vault = ?", "b", vault);
	if (cid == 0)
		return RC_OK;
	rows = cat_number(c, 0, "SELECT count(*) FROM run WHERE cid = ? AND "
	    "snapshot IS NOT NULL", "i", cid);
	removed = rows > cat_int(f->snapshots) ? rows - cat_int(f->snapshots) :
	    0;
	if (removed == cat_number(c, 0, "SELECT removed FROM client "
	    "WHERE id = ?", "i", cid))
		return RC_OK;
	if ((rc = sql_run(c->db, "UPDATE client SET removed = ? WHERE id = ?",
	    "ii", removed, cid)) != RC_OK)
		return rc;
	return client_refresh(c, cid);
}

int
space_feed(struct catalog *c, const uint8_t vault[16],
    const struct feed_space *f)
{
	int rc;

	if ((rc = cat_write(c)) != RC_OK ||
	    (rc = see_seq(c, vault, 0)) != RC_OK ||
	    (rc = sql_run(c->db, "UPDATE vault SET at = ?, bytes = ?,"
	    " objects = ?, snapshots = ?, fs_free = ?, fs_total = ? "
	    "WHERE vault = ?", "iiiiiib", c->now, cat_int(f->bytes),
	    cat_int(f->objects), cat_int(f->snapshots), cat_int(f->fs_free),
	    cat_int(f->fs_total), vault)) != RC_OK ||
	    (rc = sql_run(c->db, "INSERT OR REPLACE INTO space VALUES "
	    "(?, ?, ?, ?, ?, ?, ?, ?)", "biiiiiii", vault, c->now / 3600,
	    c->now, cat_int(f->bytes), cat_int(f->objects),
	    cat_int(f->snapshots), cat_int(f->fs_free), cat_int(f->fs_total)))
	    != RC_OK ||
	    (rc = count_removed(c, vault, f)) != RC_OK)
		return rc;
	return space_alert(c, vault, f);
}
