#include "config.h"

#include "server/catalog/audit.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/rc.h"
#include "server/catalog/catalog.h"
#include "server/catalog/events.h"

#define ENTRY_MAX 2048

int
audit_load(struct catalog *c)
{
	sqlite3_stmt *st;
	int rc;

	rc = sql_query(c->db, &st, "SELECT number, hash FROM audit "
	    "ORDER BY number DESC LIMIT 1", "");
	if (rc == RC_NOENT)
		return RC_OK;
	if (rc != RC_OK)
		return rc;
	c->audit_n = (uint64_t)sqlite3_column_int64(st, 0);
	sql_blob(st, 1, c->audit_head, sizeof(c->audit_head));
	sqlite3_finalize(st);
	return RC_OK;
}

static int
get_cut(struct rbuf *in, char *out, size_t size)
{
	const uint8_t *p;
	size_t len;
	int rc;

	if ((rc = rbuf_blob16(in, &p, &len, ENTRY_MAX)) != RC_OK)
		return rc;
	if (memchr(p, 0, len) != NULL)
		return RC_RANGE;
	if (len >= size) {
		/* not in the middle of a UTF-8 character */
		for (len = size - 1; len > 0 && (p[len] & 0xc0) == 0x80; len--)
			;
	}
	memcpy(out, p, len);
	out[len] = '\0';
	return RC_OK;
}

int
audit_get(struct rbuf *in, struct audit_entry *e)
{
	int rc;

	memset(e, 0, sizeof(*e));
	if ((rc = get_cut(in, e->who, sizeof(e->who))) != RC_OK ||
	    (rc = get_cut(in, e->from, sizeof(e->from))) != RC_OK ||
	    (rc = get_cut(in, e->act, sizeof(e->act))) != RC_OK ||
	    (rc = get_cut(in, e->object, sizeof(e->object))) != RC_OK ||
	    (rc = rbuf_u8(in, &e->rc)) != RC_OK ||
	    (rc = get_cut(in, e->detail, sizeof(e->detail))) != RC_OK)
		return rc;
	return rbuf_end(in);
}

static int
hash_entry(const uint8_t before[SHA256_LEN], const struct audit_entry *e,
    uint8_t out[SHA256_LEN])
{
	struct wbuf b = WBUF_INIT(ENTRY_MAX);
	int rc;

	wbuf_bytes(&b, before, SHA256_LEN);
	wbuf_u64(&b, e->number);
	wbuf_i64(&b, e->at);
	wbuf_str(&b, e->who);
	wbuf_str(&b, e->from);
	wbuf_str(&b, e->act);
	wbuf_str(&b, e->object);
	wbuf_u8(&b, e->rc);
	wbuf_str(&b, e->detail);
	if ((rc = wbuf_rc(&b)) == RC_OK)
		rc = sha256(b.data, b.len, out);
	wbuf_free(&b);
	return rc;
}

void
audit_log_head(const struct catalog *c)
{
	char hex[2 * SHA256_LEN + 1];
	size_t i;

	for (i = 0; i < SHA256_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", c->audit_head[i]);
	log_notice("audit head entry=%llu hash=%s",
	    (unsigned long long)c->audit_n, hex);
}

int
audit_add(struct catalog *c, struct audit_entry *e)
{
	int rc;

	e->number = c->audit_n + 1;
	e->at = c->now;
	if ((rc = hash_entry(c->audit_head, e, e->hash)) != RC_OK ||
	    (rc = cat_write(c)) != RC_OK ||
	    (rc = sql_run(c->db, "INSERT INTO audit VALUES "
	    "(?, ?, ?, ?, ?, ?, ?, ?, ?)", "iittttitB", (int64_t)e->number,
	    e->at, e->who, e->from, e->act, e->object, (int64_t)e->rc,
	    e->detail, e->hash)) != RC_OK)
		return rc;
	c->audit_n = e->number;
	memcpy(c->audit_head, e->hash, sizeof(c->audit_head));
	c->urgent = true;
	event_add(c, "audit", e->object, "%s: %s%s%s", e->who, e->act,
	    e->rc != 0 ? ": " : "", e->rc != 0 ? rc_str(-(int)e->rc) : "");
	if (e->number % AUDIT_HEAD_EVERY == 0)
		audit_log_head(c);
	return RC_OK;
}

static void
read_entry(sqlite3_stmt *st, struct audit_entry *e)
{
	memset(e, 0, sizeof(*e));
	e->number = (uint64_t)sqlite3_column_int64(st, 0);
	e->at = sqlite3_column_int64(st, 1);
	sql_name(st, 2, e->who, sizeof(e->who));
	sql_name(st, 3, e->from, sizeof(e->from));
	sql_name(st, 4, e->act, sizeof(e->act));
	sql_name(st, 5, e->object, sizeof(e->object));
	e->rc = (uint8_t)sqlite3_column_int64(st, 6);
	sql_name(st, 7, e->detail, sizeof(e->detail));
	sql_blob(st, 8, e->hash, sizeof(e->hash));
}

int
audit_verify(struct catalog *c, struct audit_walk *v)
{
	uint8_t hash[SHA256_LEN];
	struct audit_entry e;
	sqlite3_stmt *st;
	size_t n = 0;
	int rc;

	rc = sql_query(c->db, &st, "SELECT number, at, who, origin, act, object,"
	    " rc, detail, hash FROM audit WHERE number > ? ORDER BY number",
	    "i", (int64_t)v->entries);
	for (; rc == RC_OK; rc = sql_next(st)) {
		if (n++ == AUDIT_SLICE) {
			sqlite3_finalize(st);
			return RC_AGAIN;
		}
		read_entry(st, &e);
		if (hash_entry(v->head, &e, hash) != RC_OK ||
		    e.number != v->entries + 1 ||
		    memcmp(hash, e.hash, sizeof(hash)) != 0) {
			/* the first number that should have been there */
			v->bad = v->entries + 1;
			sqlite3_finalize(st);
			return RC_OK;
		}
		memcpy(v->head, hash, sizeof(v->head));
		v->entries = e.number;
	}
	if (rc != RC_EOF && rc != RC_NOENT)
		return rc;
	/* entries that we added ourselves are gone from the end */
	if (v->entries != c->audit_n)
		v->bad = v->entries + 1;
	return RC_OK;
}
