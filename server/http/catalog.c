#include "config.h"

#include <string.h>

#include "common/rc.h"
#include "server/http/catask.h"

/*
 * What the catalog knows.  The channel to it is the right of this connection;
 * one query at a time, and its rows become JSON as they come.
 */
int
cat_send(struct api *a, enum cat_op op, const struct wbuf *args)
{
	struct wbuf body = WBUF_INIT(65536);
	struct chan *c = api_catalog(a);
	int rc;

	if (c == NULL)
		return RC_UNREACHABLE;
	wbuf_u8(&body, (uint8_t)op);
	wbuf_str(&body, a->user);
	if (args != NULL)
		wbuf_bytes(&body, args->data, args->len);
	if ((rc = args != NULL ? wbuf_rc(args) : RC_OK) == RC_OK)
		rc = chan_send(c, MSG_CAT_QUERY, &body, -1);
	wbuf_free(&body);
	return rc;
}

int
cat_failed(struct api *a, int rc)
{
	if (rc == RC_LIMIT)
		return api_fail(a, 400, "a value is too long");
	return api_fail(a, 503,
	    "the catalog did not answer (%s); see the log", rc_str(rc));
}

int
cat_end(struct api *a, struct rbuf *in)
{
	char text[1000];
	uint8_t code;
	int rc;

	if ((rc = rbuf_u8(in, &code)) != RC_OK ||
	    (rc = rbuf_str(in, text, sizeof(text))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return cat_failed(a, rc);
	if (code == 0)
		return 200;
	return api_fail(a, api_status_of(-(int)code), "%s",
	    text[0] != '\0' ? text : rc_str(-(int)code));
}

int
cat_ask(struct api *a, enum cat_op op, const struct wbuf *args,
    cat_row_fn *row, void *arg)
{
	struct msg m;
	uint8_t kind;
	int rc;

	if ((rc = cat_send(a, op, args)) != RC_OK)
		return cat_failed(a, rc);
	for (;;) {
		if ((rc = chan_recv_wait(a->catalog, &m, API_HELPER_MS)) !=
		    RC_OK)
			break;
		if (m.type == MSG_CAT_END)
			return cat_end(a, &m.body);
		if (m.type != MSG_CAT_ROW) {
			rc = RC_STATE;
			break;
		}
		if ((rc = rbuf_u8(&m.body, &kind)) != RC_OK ||
		    (rc = row(a, arg, kind, &m.body)) != RC_OK)
			break;
	}
	/* what follows on this channel answers the old question */
	a->last = true;
	return cat_failed(a, rc);
}

/* --- rows as JSON: arrays, and the totals --- */

struct lists {
	uint8_t		 kind;		/* of the array that is open */
};

static int
list_row(struct api *a, void *arg, uint8_t kind, struct rbuf *in)
{
	struct lists *l = arg;
	const char *name = cat_row_name(kind);
	bool totals = kind == CAT_ROW_TOTALS;
	int rc;

	if (name == NULL)
		return RC_PROTO;
	if (kind != l->kind) {
		if (l->kind != 0)
			json_end_array(&a->json);
		l->kind = totals ? 0 : kind;
		if (!totals)
			json_array(&a->json, name);
	}
	json_object(&a->json, totals ? name : NULL);
	if ((rc = cat_row_put(&a->json, kind, in)) == RC_OK)
		json_end(&a->json);
	return rc;
}

int
cat_list(struct api *a, enum cat_op op, const struct wbuf *args,
    enum cat_row first)
{
	struct lists l = { (uint8_t)first };
	int status;

	json_array(&a->json, cat_row_name((uint8_t)first));
	status = cat_ask(a, op, args, list_row, &l);
	if (status == 200 && l.kind != 0)
		json_end_array(&a->json);
	return status;
}

struct single {
	const char	*name;		/* NULL: members of the answer itself */
	unsigned int	 rows;
};

static int
single_row(struct api *a, void *arg, uint8_t kind, struct rbuf *in)
{
	struct single *s = arg;
	int rc;

	if (s->rows++ > 0)
		return RC_PROTO;
	if (s->name != NULL)
		json_object(&a->json, s->name);
	if ((rc = cat_row_put(&a->json, kind, in)) == RC_OK && s->name != NULL)
		json_end(&a->json);
	return rc;
}

int
cat_single(struct api *a, enum cat_op op, const struct wbuf *args,
    const char *name)
{
	struct single s = { name, 0 };
	int status;

	status = cat_ask(a, op, args, single_row, &s);
	if (status == 200 && s.rows == 0)
		return api_fail(a, 404, "the catalog does not know it");
	return status;
}

/* --- the calls --- */

int
api_overview(struct api *a)
{
	return cat_list(a, CAT_OP_OVERVIEW, NULL, CAT_ROW_CLIENT);
}

int
api_client(struct api *a)
{
	struct wbuf args = WBUF_INIT(512);
	int status;

	wbuf_str(&args, a->req.segment[3]);
	wbuf_str(&args, a->req.segment[4]);
	status = cat_single(a, CAT_OP_CLIENT, &args, "client");
	wbuf_free(&args);
	return status;
}

/* How many, 1 to 1000; 100 when nobody says. */
static bool
count_ok(struct api *a, uint32_t *n)
{
	const struct http_query *q = &a->req.query;

	*n = 100;
	if ((q->given & HTTP_Q_N) == 0)
		return true;
	if (q->n < 1 || q->n > 1000)
		return false;
	*n = (uint32_t)q->n;
	return true;
}

int
api_runs(struct api *a)
{
	const struct http_query *q = &a->req.query;
	struct wbuf args = WBUF_INIT(512);
	uint32_t n;
	int status;

	if (!count_ok(a, &n))
		return api_fail(a, 400, "n is from 1 to 1000");
	wbuf_str(&args, q->account);
	wbuf_str(&args, q->client);
	wbuf_u64(&args, q->before);
	wbuf_u32(&args, n);
	status = cat_list(a, CAT_OP_RUNS, &args, CAT_ROW_RUN);
	wbuf_free(&args);
	return status;
}

int
api_run(struct api *a)
{
	const char *s = a->req.segment[3];
	struct wbuf args = WBUF_INIT(16);
	uint64_t number = 0;
	size_t i, n = strlen(s);
	int status;

	for (i = 0; i < n && s[i] >= '0' && s[i] <= '9'; i++)
		number = number * 10 + (uint64_t)(s[i] - '0');
	if (n == 0 || n > 18 || i != n)
		return api_fail(a, 400, "a run is named by its number");
	wbuf_u64(&args, number);
	status = cat_single(a, CAT_OP_RUN, &args, "run");
	wbuf_free(&args);
	return status;
}

int
api_storage(struct api *a)
{
	const struct http_query *q = &a->req.query;
	struct wbuf args = WBUF_INIT(512);
	int status;

	wbuf_str(&args, q->account);
	wbuf_str(&args, q->client);
	wbuf_i64(&args, (int64_t)q->since);
	status = cat_list(a, CAT_OP_STORAGE, &args, CAT_ROW_SPACE);
	wbuf_free(&args);
	return status;
}

int
api_alerts(struct api *a)
{
	return cat_list(a, CAT_OP_ALERTS, NULL, CAT_ROW_ALERT);
}

int
api_days(struct api *a)
{
	const struct http_query *q = &a->req.query;
	uint64_t days = (q->given & HTTP_Q_DAYS) != 0 ? q->days : 30;
	struct wbuf args = WBUF_INIT(16);
	int status;

	if (days < 1 || days > 90)
		return api_fail(a, 400, "days is from 1 to 90");
	wbuf_u32(&args, (uint32_t)days);
	status = cat_list(a, CAT_OP_DAYS, &args, CAT_ROW_DAY);
	wbuf_free(&args);
	return status;
}

int
api_audit(struct api *a)
{
	struct wbuf args = WBUF_INIT(16);
	uint32_t n;
	int status;

	if (!count_ok(a, &n))
		return api_fail(a, 400, "n is from 1 to 1000");
	wbuf_u64(&args, a->req.query.after);
	wbuf_u32(&args, n);
	status = cat_list(a, CAT_OP_AUDIT_LIST, &args, CAT_ROW_AUDIT);
	wbuf_free(&args);
	return status;
}

int
api_audit_verify(struct api *a)
{
	return cat_single(a, CAT_OP_AUDIT_VERIFY, NULL, NULL);
}
