#include "config.h"

#include "common/rc.h"
#include "server/catalog/events.h"
#include "server/catalog/history.h"

static const char *const kinds[ALERT_MAX] = {
	[ALERT_OVERDUE] = "overdue",
	[ALERT_INCOMPLETE] = "incomplete",
	[ALERT_FAILED] = "failed",
	[ALERT_SPACE] = "space",
	[ALERT_CERTIFICATE] = "certificate",
	[ALERT_CONFLICT] = "conflict",
};

/* An alert that stands keeps its number and its beginning. */
int
alert_set(struct catalog *c, enum alert_kind kind, const char *subject,
    const char *account, const char *name, int64_t since, const char *text)
{
	int rc;

	if ((rc = cat_write(c)) != RC_OK ||
	    (rc = sql_run(c->db, "UPDATE alert SET account = ?, name = ?,"
	    " text = ? WHERE kind = ? AND subject = ?", "tttit", account, name,
	    text, (int64_t)kind, subject)) != RC_OK)
		return rc;
	if (sqlite3_changes(c->db) > 0)
		return RC_OK;
	rc = sql_run(c->db, "INSERT INTO alert (kind, subject, since, account,"
	    " name, text) VALUES (?, ?, ?, ?, ?, ?)", "itittt",
	    (int64_t)kind, subject, since, account, name, text);
	if (rc == RC_OK)
		event_add(c, "alert", kinds[kind], "%s%s%s: %s", account,
		    name[0] != '\0' ? "/" : "", name, text);
	return rc;
}

int
alert_clear(struct catalog *c, enum alert_kind kind, const char *subject)
{
	char account[CAT_NAME_MAX + 1], name[CAT_NAME_MAX + 1];
	sqlite3_stmt *st;
	int64_t number;
	int rc;

	rc = sql_query(c->db, &st, "SELECT number, account, name FROM alert "
	    "WHERE kind = ? AND subject = ?", "it", (int64_t)kind, subject);
	if (rc != RC_OK)
		return rc == RC_NOENT ? RC_OK : rc;
	number = sqlite3_column_int64(st, 0);
	sql_name(st, 1, account, sizeof(account));
	sql_name(st, 2, name, sizeof(name));
	sqlite3_finalize(st);
	if ((rc = cat_write(c)) != RC_OK ||
	    (rc = sql_run(c->db, "DELETE FROM alert WHERE number = ?", "i",
	    number)) != RC_OK)
		return rc;
	event_add(c, "alert-cleared", kinds[kind], "%s%s%s", account,
	    name[0] != '\0' ? "/" : "", name);
	return RC_OK;
}
