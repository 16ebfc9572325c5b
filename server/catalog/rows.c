#include "config.h"

#include <string.h>

#include "common/rc.h"
#include "server/catalog/asker.h"
#include "server/catalog/history.h"

/*
 * Queries that are one statement after another.  Each has phases: a statement,
 * with what is bound to it, and who writes its rows.
 */
#define ROW_MAX		4096
#define LIST_MAX	1000
#define DAYS_MAX	90
#define SPACE_MAX	"20000"

static void
put_text(struct wbuf *b, sqlite3_stmt *st, int col)
{
	const unsigned char *p = sqlite3_column_text(st, col);

	wbuf_str(b, p != NULL ? (const char *)p : "");
}

static void
put_blob(struct wbuf *b, sqlite3_stmt *st, int col, size_t n)
{
	uint8_t v[32];

	sql_blob(st, col, v, n);
	wbuf_bytes(b, v, n);
}

static void
put_u64s(struct wbuf *b, sqlite3_stmt *st, int col, int n)
{
	for (int i = 0; i < n; i++)
		wbuf_u64(b, (uint64_t)sqlite3_column_int64(st, col + i));
}

#define U8(st, col) ((uint8_t)sqlite3_column_int64(st, col))
#define U32(st, col) ((uint32_t)sqlite3_column_int64(st, col))

static const char client_sql[] = "SELECT c.account, c.name, c.client, c.vault,"
    " c.state,"
    /* due may have passed since the last change */
    " CASE WHEN c.due > 0 AND c.due <= ?1 AND c.status NOT IN (0, 6) THEN 5"
    " ELSE c.status END,"
    " CASE WHEN c.due > 0 AND c.due <= ?1 AND c.status NOT IN (0, 6) THEN c.due"
    " ELSE c.since END,"
    " c.last_good, c.last_begun, c.last_ended, c.last_state, c.last_run,"
    " c.snapshots, coalesce(v.bytes, 0), c.new_bytes, c.due, c.seen"
    " FROM client AS c LEFT JOIN vault AS v ON v.vault = c.vault"
    " WHERE c.gone = 0 AND (?2 = '' OR (c.account = ?2 AND c.name = ?3))"
    " ORDER BY c.account, c.name";

static void
client_row(struct wbuf *b, sqlite3_stmt *st)
{
	wbuf_u8(b, CAT_ROW_CLIENT);
	put_text(b, st, 0);
	put_text(b, st, 1);
	put_blob(b, st, 2, 16);
	put_blob(b, st, 3, 16);
	wbuf_u8(b, U8(st, 4));
	wbuf_u8(b, U8(st, 5));
	put_u64s(b, st, 6, 4);
	wbuf_u8(b, U8(st, 10));
	put_u64s(b, st, 11, 1);
	wbuf_u32(b, U32(st, 12));
	put_u64s(b, st, 13, 4);
}

/* total() is a float and cannot overflow; exact below 2^53, 8 PiB. */
static const char totals_sql[] = "SELECT count(*),"
    " count(CASE WHEN last_good > 0 AND (due = 0 OR due > ?1) THEN 1 END),"
    " count(CASE WHEN status = 6 THEN 1 END),"
    " (SELECT count(*) FROM alert),"
    " (SELECT CAST(total(bytes) AS INTEGER) FROM vault),"
    " (SELECT fs_free FROM vault WHERE fs_total > 0"
    "  ORDER BY 1.0 * fs_free / fs_total LIMIT 1),"
    " (SELECT fs_total FROM vault WHERE fs_total > 0"
    "  ORDER BY 1.0 * fs_free / fs_total LIMIT 1), ?1"
    " FROM client WHERE gone = 0";

static void
totals_row(struct wbuf *b, sqlite3_stmt *st)
{
	wbuf_u8(b, CAT_ROW_TOTALS);
	for (int i = 0; i < 4; i++)
		wbuf_u32(b, U32(st, i));
	put_u64s(b, st, 4, 4);
}

#define RUN_COLUMNS "SELECT r.number, c.account, c.name, r.label, r.run,"	\
    " r.state, r.started, r.ended, r.snapshot, r.objects, r.received,"	\
    " r.new_bytes, r.closure_bytes, r.outcome, r.r_files, r.r_dirs,"	\
    " r.r_bytes, r.r_new, r.r_skipped, r.r_ms FROM run AS r"		\
    " JOIN client AS c ON c.id = r.cid "

static void
run_row(struct wbuf *b, sqlite3_stmt *st)
{
	bool reported = sqlite3_column_int64(st, 13) != 0;

	wbuf_u8(b, CAT_ROW_RUN);
	put_u64s(b, st, 0, 1);
	put_text(b, st, 1);
	put_text(b, st, 2);
	put_text(b, st, 3);
	put_blob(b, st, 4, 16);
	wbuf_u8(b, U8(st, 5));
	put_u64s(b, st, 6, 2);
	put_blob(b, st, 8, 32);
	put_u64s(b, st, 9, 4);
	wbuf_u8(b, reported);
	if (!reported)
		return;
	wbuf_u8(b, U8(st, 13));
	put_u64s(b, st, 14, 6);
}

/* The client whose name a vault is shown under. */
#define VAULT_OWNER "(SELECT id FROM client AS o WHERE o.vault = s.vault"	\
    " ORDER BY gone, id LIMIT 1)"
#define SPACE_COLUMNS " s.at, s.bytes, s.objects, s.snapshots, s.fs_free,"	\
    " s.fs_total"

static void
space_row(struct wbuf *b, sqlite3_stmt *st)
{
	wbuf_u8(b, CAT_ROW_SPACE);
	put_text(b, st, 0);
	put_text(b, st, 1);
	put_u64s(b, st, 2, 6);
}

static void
alert_row(struct wbuf *b, sqlite3_stmt *st)
{
	wbuf_u8(b, CAT_ROW_ALERT);
	put_u64s(b, st, 0, 1);
	wbuf_u8(b, U8(st, 1));
	put_u64s(b, st, 2, 1);
	put_text(b, st, 3);
	put_text(b, st, 4);
	put_text(b, st, 5);
}

static void
put_u16(struct wbuf *b, int64_t v)
{
	wbuf_u16(b, v > UINT16_MAX ? UINT16_MAX : (uint16_t)v);
}

static void
day_row(struct wbuf *b, sqlite3_stmt *st)
{
	wbuf_u8(b, CAT_ROW_DAY);
	put_text(b, st, 0);
	put_text(b, st, 1);
	wbuf_u32(b, U32(st, 2));
	for (int i = 3; i < 6; i++)
		put_u16(b, sqlite3_column_int64(st, i));
}

static void
audit_row(struct wbuf *b, sqlite3_stmt *st)
{
	wbuf_u8(b, CAT_ROW_AUDIT);
	put_u64s(b, st, 0, 2);
	for (int i = 2; i < 6; i++)
		put_text(b, st, i);
	wbuf_u8(b, U8(st, 6));
	put_text(b, st, 7);
	put_blob(b, st, 8, 32);
}

/* --- arguments --- */

static void
bind_int(struct asker *a, int i, int64_t v)
{
	sqlite3_bind_int64(a->st, i, v);
}

static void
bind_text(struct asker *a, int i, const char *s)
{
	sqlite3_bind_text(a->st, i, s, -1, SQLITE_TRANSIENT);
}

static int
prepare(struct asker *a, const char *sql)
{
	sqlite3_finalize(a->st);
	a->st = NULL;
	return sql_rc(sqlite3_prepare_v2(a->o->c->db, sql, -1, &a->st, NULL));
}

struct args {
	char		account[CAT_NAME_MAX + 1], name[CAT_NAME_MAX + 1];
	uint64_t	number;
	uint32_t	n;
};

static int
get_name(struct rbuf *in, struct args *g)
{
	int rc;

	if ((rc = rbuf_str(in, g->account, sizeof(g->account))) != RC_OK ||
	    (rc = rbuf_str(in, g->name, sizeof(g->name))) != RC_OK)
		return rc;
	/* both or none */
	return (g->account[0] == '\0') == (g->name[0] == '\0') ? RC_OK :
	    RC_RANGE;
}

static int
get_count(struct rbuf *in, uint32_t *n, uint32_t max)
{
	int rc = rbuf_u32(in, n);

	return rc != RC_OK ? rc : *n == 0 || *n > max ? RC_RANGE : RC_OK;
}

static int
parse(uint8_t op, struct rbuf *in, struct args *g)
{
	int rc = RC_OK;

	switch (op) {
	case CAT_OP_CLIENT:
		if ((rc = get_name(in, g)) == RC_OK && g->name[0] == '\0')
			rc = RC_RANGE;
		break;
	case CAT_OP_RUNS:
		if ((rc = get_name(in, g)) == RC_OK &&
		    (rc = rbuf_u64(in, &g->number)) == RC_OK)
			rc = get_count(in, &g->n, LIST_MAX);
		break;
	case CAT_OP_RUN:
		rc = rbuf_u64(in, &g->number);
		break;
	case CAT_OP_STORAGE:
		if ((rc = get_name(in, g)) == RC_OK)
			rc = rbuf_u64(in, &g->number);
		break;
	case CAT_OP_DAYS:
		rc = get_count(in, &g->n, DAYS_MAX);
		break;
	case CAT_OP_AUDIT_LIST:
		if ((rc = rbuf_u64(in, &g->number)) == RC_OK)
			rc = get_count(in, &g->n, LIST_MAX);
		break;
	default:
		break;
	}
	return rc == RC_OK ? rbuf_end(in) : rc;
}

static int
begin_clients(struct asker *a, const struct args *g)
{
	int rc;

	if ((rc = prepare(a, client_sql)) != RC_OK)
		return rc;
	bind_int(a, 1, a->o->c->now);
	bind_text(a, 2, g->account);
	bind_text(a, 3, g->name);
	return RC_OK;
}

static int
begin_runs(struct asker *a, const struct args *g)
{
	int rc;

	if (g->name[0] == '\0')
		rc = prepare(a, RUN_COLUMNS "WHERE r.number < ?3 "
		    "ORDER BY r.number DESC LIMIT ?4");
	else
		rc = prepare(a, RUN_COLUMNS "WHERE r.cid IN (SELECT id FROM "
		    "client WHERE account = ?1 AND name = ?2) AND "
		    "r.number < ?3 ORDER BY r.number DESC LIMIT ?4");
	if (rc != RC_OK)
		return rc;
	if (g->name[0] != '\0') {
		bind_text(a, 1, g->account);
		bind_text(a, 2, g->name);
	}
	bind_int(a, 3, g->number == 0 ? INT64_MAX : cat_int(g->number));
	bind_int(a, 4, g->n);
	return RC_OK;
}

/* One sample an hour of one vault; of all of them the last of each day. */
static int
begin_storage(struct asker *a, const struct args *g)
{
	int rc;

	if (g->name[0] == '\0')
		rc = prepare(a, "SELECT c.account, c.name," SPACE_COLUMNS
		    " FROM (SELECT vault, max(at) AS at, bytes, objects,"
		    " snapshots, fs_free, fs_total FROM space WHERE at >= ?3"
		    " GROUP BY vault, at / 86400 ORDER BY 2 DESC LIMIT "
		    SPACE_MAX ") AS s JOIN client AS c ON c.id = " VAULT_OWNER
		    " ORDER BY s.at");
	else
		rc = prepare(a, "SELECT ?1, ?2," SPACE_COLUMNS " FROM space AS s"
		    " WHERE s.vault IN (SELECT vault FROM client WHERE "
		    "account = ?1 AND name = ?2 AND gone = 0) AND s.at >= ?3"
		    " ORDER BY s.at");
	if (rc != RC_OK)
		return rc;
	if (g->name[0] != '\0') {
		bind_text(a, 1, g->account);
		bind_text(a, 2, g->name);
	}
	bind_int(a, 3, cat_int(g->number));
	return RC_OK;
}

static int
begin_newest(struct asker *a)
{
	return prepare(a, "SELECT c.account, c.name," SPACE_COLUMNS " FROM vault"
	    " AS s JOIN client AS c ON c.id = " VAULT_OWNER " WHERE s.at > 0"
	    " ORDER BY c.account, c.name");
}

static int
begin_days(struct asker *a, const struct args *g)
{
	int64_t today = a->o->c->now / 86400;
	int rc;

	if ((rc = prepare(a, "SELECT c.account, c.name, r.ended / 86400 AS d,"
	    " count(CASE WHEN r.state = 1 THEN 1 END),"
	    " count(CASE WHEN r.state = 2 THEN 1 END),"
	    " count(CASE WHEN r.state = 3 THEN 1 END) FROM run AS r"
	    " JOIN client AS c ON c.id = r.cid WHERE r.ended >= ?1 AND"
	    " c.gone = 0 GROUP BY r.cid, d ORDER BY c.account, c.name, d")) !=
	    RC_OK)
		return rc;
	bind_int(a, 1, (today - (int64_t)g->n + 1) * 86400);
	return RC_OK;
}

static int
begin_numbered(struct asker *a, const char *sql, const struct args *g)
{
	int rc;

	if ((rc = prepare(a, sql)) != RC_OK)
		return rc;
	bind_int(a, 1, cat_int(g->number));
	bind_int(a, 2, g->n);
	return RC_OK;
}

int
rows_begin(struct asker *a, struct rbuf *in)
{
	struct args g = { .n = 1 };
	int rc;

	if ((rc = parse(a->op, in, &g)) != RC_OK)
		return rc;
	switch (a->op) {
	case CAT_OP_OVERVIEW:
	case CAT_OP_METRICS:
	case CAT_OP_CLIENT:
		rc = begin_clients(a, &g);
		break;
	case CAT_OP_RUNS:
		rc = begin_runs(a, &g);
		break;
	case CAT_OP_RUN:
		rc = begin_numbered(a, RUN_COLUMNS "WHERE r.number = ?1 "
		    "LIMIT ?2", &g);
		break;
	case CAT_OP_STORAGE:
		rc = begin_storage(a, &g);
		break;
	case CAT_OP_ALERTS:
		rc = prepare(a, "SELECT number, kind, since, account, name, "
		    "text FROM alert ORDER BY number");
		break;
	case CAT_OP_DAYS:
		rc = begin_days(a, &g);
		break;
	default:
		rc = begin_numbered(a, "SELECT number, at, who, origin, act,"
		    " object, rc, detail, hash FROM audit WHERE number > ?1 "
		    "ORDER BY number LIMIT ?2", &g);
		break;
	}
	if (rc != RC_OK)
		return asker_end(a, rc, NULL);
	a->state = ASKER_ROWS;
	return RC_OK;
}

/* --- rows --- */

typedef void row_put(struct wbuf *b, sqlite3_stmt *st);

static const struct {
	row_put	*put[3];
} writers[CAT_OP_MAX] = {
	[CAT_OP_OVERVIEW] = { { client_row, totals_row } },
	[CAT_OP_METRICS] = { { client_row, totals_row, space_row } },
	[CAT_OP_CLIENT] = { { client_row } },
	[CAT_OP_RUNS] = { { run_row } },
	[CAT_OP_RUN] = { { run_row } },
	[CAT_OP_STORAGE] = { { space_row } },
	[CAT_OP_ALERTS] = { { alert_row } },
	[CAT_OP_DAYS] = { { day_row } },
	[CAT_OP_AUDIT_LIST] = { { audit_row } },
};

static int
next_phase(struct asker *a)
{
	bool one = a->op == CAT_OP_CLIENT || a->op == CAT_OP_RUN;
	int rc;

	a->phase++;
	if (a->phase == 3 || writers[a->op].put[a->phase] == NULL)
		return one && a->rows == 0 ? RC_NOENT : RC_OK;
	if (a->phase == 1) {
		if ((rc = prepare(a, totals_sql)) != RC_OK)
			return rc;
		bind_int(a, 1, a->o->c->now);
	} else if ((rc = begin_newest(a)) != RC_OK) {
		return rc;
	}
	return RC_AGAIN;
}

int
rows_step(struct asker *a)
{
	struct wbuf b = WBUF_INIT(ROW_MAX);
	int code = sqlite3_step(a->st), rc;

	if (code == SQLITE_DONE)
		return next_phase(a);
	if (code != SQLITE_ROW)
		return sql_rc(code);
	a->rows++;
	writers[a->op].put[a->phase](&b, a->st);
	rc = asker_row(a, &b);
	return rc == RC_OK ? RC_AGAIN : rc;
}
