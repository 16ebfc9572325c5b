#include "config.h"

#include "server/http/catrows.h"

#include <string.h>

#include "common/conf.h"
#include "common/num.h"
#include "common/proto.h"
#include "common/rc.h"

static const char *
word(const char *const *words, size_t n, uint8_t i)
{
	return i < n && words[i] != NULL ? words[i] : "unknown";
}
#define WORD(words, i)	word((words), NITEMS(words), (i))

const char *
cat_state_word(uint8_t state)
{
	static const char *const words[] = {
#define X(name, text) [CAT_STATE_##name] = text,
		CAT_STATES(X)
#undef X
	};

	return WORD(words, state);
}

const char *
cat_how_word(uint8_t how)
{
	static const char *const words[] = {
		[PEER_BY_HAND] = "hand", [PEER_MCAST] = "multicast",
		[PEER_SCAN] = "scan", [PEER_EXCHANGE] = "exchange",
		[PEER_CALLED] = "called",
	};

	return WORD(words, how);
}

const char *
cat_mode_word(uint8_t mode)
{
	static const char *const words[] = {
		[CONF_MODE_SERVER] = "server", [CONF_MODE_CLIENT] = "client",
		[CONF_MODE_BOTH] = "both",
		[CONF_MODE_REPLICATION] = "replication",
	};

	return WORD(words, mode);
}

int
cat_client_get(struct rbuf *in, struct cat_client *c)
{
	int rc;

	if ((rc = rbuf_str(in, c->account, sizeof(c->account))) != RC_OK ||
	    (rc = rbuf_str(in, c->name, sizeof(c->name))) != RC_OK ||
	    (rc = rbuf_bytes(in, c->client, 16)) != RC_OK ||
	    (rc = rbuf_bytes(in, c->vault, 16)) != RC_OK ||
	    (rc = rbuf_u8(in, &c->state)) != RC_OK ||
	    (rc = rbuf_u8(in, &c->status)) != RC_OK ||
	    (rc = rbuf_i64(in, &c->since)) != RC_OK ||
	    (rc = rbuf_i64(in, &c->last_good)) != RC_OK ||
	    (rc = rbuf_i64(in, &c->last_run)) != RC_OK ||
	    (rc = rbuf_i64(in, &c->last_end)) != RC_OK ||
	    (rc = rbuf_u8(in, &c->run_state)) != RC_OK ||
	    (rc = rbuf_u64(in, &c->run)) != RC_OK ||
	    (rc = rbuf_u32(in, &c->snapshots)) != RC_OK ||
	    (rc = rbuf_u64(in, &c->bytes)) != RC_OK ||
	    (rc = rbuf_u64(in, &c->new_bytes)) != RC_OK ||
	    (rc = rbuf_i64(in, &c->due)) != RC_OK ||
	    (rc = rbuf_i64(in, &c->seen)) != RC_OK)
		return rc;
	return rbuf_end(in);
}

static int
put_client(struct json *j, struct rbuf *in)
{
	static const char *const states[] = { "added", "enrolled", "disabled" };
	struct cat_client c;
	int rc;

	if ((rc = cat_client_get(in, &c)) != RC_OK)
		return rc;
	json_put_str(j, "account", c.account);
	json_put_str(j, "name", c.name);
	json_put_hex(j, "client", c.client, 16);
	json_put_hex(j, "vault", c.vault, 16);
	json_put_str(j, "state", WORD(states, c.state));
	json_put_str(j, "status", cat_state_word(c.status));
	json_put_i64(j, "since", c.since);
	json_put_i64(j, "last_good", c.last_good);
	json_put_i64(j, "last_run", c.last_run);
	json_put_i64(j, "last_run_end", c.last_end);
	json_put_str(j, "last_run_state", cat_state_word(c.run_state));
	json_put_u64(j, "last_run_number", c.run);
	json_put_u64(j, "snapshots", c.snapshots);
	json_put_u64(j, "bytes", c.bytes);
	json_put_u64(j, "last_new_bytes", c.new_bytes);
	json_put_i64(j, "due", c.due);
	json_put_i64(j, "seen", c.seen);
	return RC_OK;
}

int
cat_totals_get(struct rbuf *in, struct cat_totals *t)
{
	int rc;

	if ((rc = rbuf_u32(in, &t->clients)) != RC_OK ||
	    (rc = rbuf_u32(in, &t->protected_)) != RC_OK ||
	    (rc = rbuf_u32(in, &t->running)) != RC_OK ||
	    (rc = rbuf_u32(in, &t->alerts)) != RC_OK ||
	    (rc = rbuf_u64(in, &t->bytes)) != RC_OK ||
	    (rc = rbuf_u64(in, &t->free)) != RC_OK ||
	    (rc = rbuf_u64(in, &t->total)) != RC_OK ||
	    (rc = rbuf_i64(in, &t->now)) != RC_OK)
		return rc;
	return rbuf_end(in);
}

static int
put_totals(struct json *j, struct rbuf *in)
{
	struct cat_totals t;
	int rc;

	if ((rc = cat_totals_get(in, &t)) != RC_OK)
		return rc;
	json_put_u64(j, "clients", t.clients);
	json_put_u64(j, "protected", t.protected_);
	json_put_u64(j, "running", t.running);
	json_put_u64(j, "alerts", t.alerts);
	json_put_u64(j, "vault_bytes", t.bytes);
	json_put_u64(j, "free", t.free);
	json_put_u64(j, "total", t.total);
	json_put_i64(j, "now", t.now);
	return RC_OK;
}

static int
put_u64s(struct json *j, struct rbuf *in, const char *const *names, size_t n)
{
	uint64_t v;
	size_t i;
	int rc;

	for (i = 0; i < n; i++) {
		if ((rc = rbuf_u64(in, &v)) != RC_OK)
			return rc;
		json_put_u64(j, names[i], v);
	}
	return RC_OK;
}

/* What the client itself says of its run. */
static int
put_report(struct json *j, struct rbuf *in)
{
	static const char *const outcomes[] = {
		[REPORT_OK] = "ok", [REPORT_INCOMPLETE] = "incomplete",
		[REPORT_FAILED] = "failed", [REPORT_CANCELLED] = "cancelled",
	};
	static const char *const counts[] = {
		"files", "dirs", "bytes", "new_bytes", "skipped",
		"milliseconds",
	};
	uint8_t reported, outcome;
	int rc;

	if ((rc = rbuf_u8(in, &reported)) != RC_OK || reported == 0)
		return rc;
	if ((rc = rbuf_u8(in, &outcome)) != RC_OK)
		return rc;
	json_object(j, "reported");
	json_put_str(j, "outcome", WORD(outcomes, outcome));
	rc = put_u64s(j, in, counts, NITEMS(counts));
	json_end(j);
	return rc;
}

static int
put_run(struct json *j, struct rbuf *in)
{
	static const char *const sizes[] = {
		"objects", "received", "new_bytes", "closure_bytes",
	};
	static const uint8_t none[32];
	char account[64], name[64], label[SNAPSHOT_LABEL_MAX + 1];
	uint8_t run[16], snapshot[32], state;
	int64_t started, ended;
	uint64_t number;
	int rc;

	if ((rc = rbuf_u64(in, &number)) != RC_OK ||
	    (rc = rbuf_str(in, account, sizeof(account))) != RC_OK ||
	    (rc = rbuf_str(in, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_str(in, label, sizeof(label))) != RC_OK ||
	    (rc = rbuf_bytes(in, run, sizeof(run))) != RC_OK ||
	    (rc = rbuf_u8(in, &state)) != RC_OK ||
	    (rc = rbuf_i64(in, &started)) != RC_OK ||
	    (rc = rbuf_i64(in, &ended)) != RC_OK ||
	    (rc = rbuf_bytes(in, snapshot, sizeof(snapshot))) != RC_OK)
		return rc;
	json_put_u64(j, "number", number);
	json_put_str(j, "account", account);
	json_put_str(j, "name", name);
	json_put_str(j, "label", label);
	json_put_hex(j, "run", run, sizeof(run));
	json_put_str(j, "state", cat_state_word(state));
	json_put_i64(j, "started", started);
	json_put_i64(j, "ended", ended);
	if (memcmp(snapshot, none, sizeof(none)) != 0)
		json_put_hex(j, "snapshot", snapshot, sizeof(snapshot));
	if ((rc = put_u64s(j, in, sizes, NITEMS(sizes))) != RC_OK ||
	    (rc = put_report(j, in)) != RC_OK)
		return rc;
	return rbuf_end(in);
}

int
cat_space_get(struct rbuf *in, struct cat_space *s)
{
	int rc;

	if ((rc = rbuf_str(in, s->account, sizeof(s->account))) != RC_OK ||
	    (rc = rbuf_str(in, s->name, sizeof(s->name))) != RC_OK ||
	    (rc = rbuf_i64(in, &s->at)) != RC_OK ||
	    (rc = rbuf_u64(in, &s->bytes)) != RC_OK ||
	    (rc = rbuf_u64(in, &s->objects)) != RC_OK ||
	    (rc = rbuf_u64(in, &s->snapshots)) != RC_OK ||
	    (rc = rbuf_u64(in, &s->fs_free)) != RC_OK ||
	    (rc = rbuf_u64(in, &s->fs_total)) != RC_OK)
		return rc;
	return rbuf_end(in);
}

static int
put_space(struct json *j, struct rbuf *in)
{
	struct cat_space s;
	int rc;

	if ((rc = cat_space_get(in, &s)) != RC_OK)
		return rc;
	json_put_str(j, "account", s.account);
	json_put_str(j, "name", s.name);
	json_put_i64(j, "at", s.at);
	json_put_u64(j, "bytes", s.bytes);
	json_put_u64(j, "objects", s.objects);
	json_put_u64(j, "snapshots", s.snapshots);
	json_put_u64(j, "fs_free", s.fs_free);
	json_put_u64(j, "fs_total", s.fs_total);
	return RC_OK;
}

static int
put_alert(struct json *j, struct rbuf *in)
{
	static const char *const kinds[] = {
		[ALERT_OVERDUE] = "overdue", [ALERT_INCOMPLETE] = "incomplete",
		[ALERT_FAILED] = "failed", [ALERT_SPACE] = "space",
		[ALERT_CERTIFICATE] = "certificate",
		[ALERT_CONFLICT] = "conflict",
	};
	char account[64], name[64], text[512];
	uint64_t number;
	int64_t since;
	uint8_t kind;
	int rc;

	if ((rc = rbuf_u64(in, &number)) != RC_OK ||
	    (rc = rbuf_u8(in, &kind)) != RC_OK ||
	    (rc = rbuf_i64(in, &since)) != RC_OK ||
	    (rc = rbuf_str(in, account, sizeof(account))) != RC_OK ||
	    (rc = rbuf_str(in, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_str(in, text, sizeof(text))) != RC_OK)
		return rc;
	json_put_u64(j, "number", number);
	json_put_str(j, "kind", WORD(kinds, kind));
	json_put_i64(j, "since", since);
	json_put_str(j, "account", account);
	json_put_str(j, "name", name);
	json_put_str(j, "text", text);
	return rbuf_end(in);
}

static int
put_day(struct json *j, struct rbuf *in)
{
	char account[64], name[64];
	uint16_t good, incomplete, failed;
	uint32_t day;
	int rc;

	if ((rc = rbuf_str(in, account, sizeof(account))) != RC_OK ||
	    (rc = rbuf_str(in, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_u32(in, &day)) != RC_OK ||
	    (rc = rbuf_u16(in, &good)) != RC_OK ||
	    (rc = rbuf_u16(in, &incomplete)) != RC_OK ||
	    (rc = rbuf_u16(in, &failed)) != RC_OK)
		return rc;
	json_put_str(j, "account", account);
	json_put_str(j, "name", name);
	json_put_u64(j, "day", day);
	json_put_u64(j, "good", good);
	json_put_u64(j, "incomplete", incomplete);
	json_put_u64(j, "failed", failed);
	return rbuf_end(in);
}

static int
put_audit(struct json *j, struct rbuf *in)
{
	char who[128], from[64], act[64], object[256], detail[1024];
	uint8_t code, hash[32];
	uint64_t number;
	int64_t at;
	int rc;

	if ((rc = rbuf_u64(in, &number)) != RC_OK ||
	    (rc = rbuf_i64(in, &at)) != RC_OK ||
	    (rc = rbuf_str(in, who, sizeof(who))) != RC_OK ||
	    (rc = rbuf_str(in, from, sizeof(from))) != RC_OK ||
	    (rc = rbuf_str(in, act, sizeof(act))) != RC_OK ||
	    (rc = rbuf_str(in, object, sizeof(object))) != RC_OK ||
	    (rc = rbuf_u8(in, &code)) != RC_OK ||
	    (rc = rbuf_str(in, detail, sizeof(detail))) != RC_OK ||
	    (rc = rbuf_bytes(in, hash, sizeof(hash))) != RC_OK)
		return rc;
	json_put_u64(j, "number", number);
	json_put_i64(j, "at", at);
	json_put_str(j, "who", who);
	json_put_str(j, "from", from);
	json_put_str(j, "act", act);
	json_put_str(j, "object", object);
	json_put_str(j, "result", rc_str(-(int)code));
	json_put_str(j, "detail", detail);
	json_put_hex(j, "hash", hash, sizeof(hash));
	return rbuf_end(in);
}

static int
put_verify(struct json *j, struct rbuf *in)
{
	uint8_t ok, head[32];
	uint64_t entries, bad;
	int rc;

	if ((rc = rbuf_u8(in, &ok)) != RC_OK ||
	    (rc = rbuf_u64(in, &entries)) != RC_OK ||
	    (rc = rbuf_u64(in, &bad)) != RC_OK ||
	    (rc = rbuf_bytes(in, head, sizeof(head))) != RC_OK)
		return rc;
	json_put_bool(j, "ok", ok != 0);
	json_put_u64(j, "entries", entries);
	json_put_u64(j, "first_bad", bad);
	json_put_hex(j, "head", head, sizeof(head));
	return rbuf_end(in);
}

static const struct {
	const char	*name;
	int		(*put)(struct json *j, struct rbuf *in);
} rows[] = {
	[CAT_ROW_CLIENT] = { "clients", put_client },
	[CAT_ROW_TOTALS] = { "totals", put_totals },
	[CAT_ROW_RUN] = { "runs", put_run },
	[CAT_ROW_SPACE] = { "storage", put_space },
	[CAT_ROW_ALERT] = { "alerts", put_alert },
	[CAT_ROW_DAY] = { "days", put_day },
	[CAT_ROW_PEER] = { "peers", cat_put_peer },
	[CAT_ROW_REACH] = { "ports", cat_put_reach },
	[CAT_ROW_AUDIT] = { "entries", put_audit },
	[CAT_ROW_VERIFY] = { NULL, put_verify },
};

int
cat_row_put(struct json *j, uint8_t kind, struct rbuf *in)
{
	if (kind >= NITEMS(rows) || rows[kind].put == NULL)
		return RC_PROTO;
	return rows[kind].put(j, in);
}

const char *
cat_row_name(uint8_t kind)
{
	return kind < NITEMS(rows) ? rows[kind].name : NULL;
}
