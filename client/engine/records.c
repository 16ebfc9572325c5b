#include "config.h"

#include "client/engine/enrol_impl.h"

#include "common/rc.h"

/* Key material in the vault: what is there of ours, and adding what is not. */

int
enrol_on_key(void *arg, const struct record *rec)
{
	struct scan *s = arg;
	struct keys *k = &s->e->keys;
	struct secret key = { { 0 } };

	s->keys++;
	if (keys_unwrap_epoch(k, rec->body, rec->len, &key) != RC_OK)
		s->foreign++;
	else if (k->nepochs > 0 && secret_equal(key.b, k->epochs[0].key.b,
	    SECRET_LEN))
		s->ours = true;
	secret_clear(&key);
	return RC_OK;
}

int
enrol_on_params(void *arg, const struct record *rec)
{
	struct scan *s = arg;

	/* Parameters that this program cannot follow are no reason to stop:
	 * another client of the vault may have newer ones. */
	if (keys_check_params(&s->e->keys, rec->body, rec->len) == RC_OK)
		s->params = true;
	return RC_OK;
}

static int
add_key(struct engine *e, struct remote *r)
{
	struct wbuf rec = WBUF_INIT(PROTO_RECORD_MAX);
	uint64_t seq;
	int rc;

	if ((rc = keys_wrap_epoch(&e->keys, &e->keys.epochs[0],
	    &rec)) == RC_OK && (rc = wbuf_rc(&rec)) == RC_OK)
		rc = remote_record_add(r, RECORD_KEY, rec.data, rec.len,
		    &seq);
	wbuf_free(&rec);
	return rc;
}

static int
add_params(struct engine *e, struct remote *r)
{
	struct wbuf rec = WBUF_INIT(PROTO_RECORD_MAX);
	uint64_t seq;
	int rc;

	if ((rc = keys_wrap_params(&e->keys, &rec)) == RC_OK &&
	    (rc = wbuf_rc(&rec)) == RC_OK)
		rc = remote_record_add(r, RECORD_PARAMS, rec.data, rec.len,
		    &seq);
	wbuf_free(&rec);
	return rc;
}

int
records_ensure(struct engine *e, struct remote *r)
{
	struct scan s = { .e = e };
	int rc;

	if (e->state->records_done)
		return RC_OK;
	if (e->keys.nepochs == 0)
		return RC_STATE;
	if ((rc = remote_records(r, RECORD_KEY, 0, enrol_on_key,
	    &s)) != RC_OK ||
	    (rc = remote_records(r, RECORD_PARAMS, 0, enrol_on_params,
	    &s)) != RC_OK)
		return rc;
	if (!s.ours && (rc = add_key(e, r)) != RC_OK)
		return rc;
	if (!s.params && (rc = add_params(e, r)) != RC_OK)
		return rc;
	e->state->records_done = true;
	if ((rc = state_save(e->state, &e->keys)) != RC_OK)
		e->state->records_done = false;
	return rc;
}
