#include "config.h"

#include <string.h>

#include "client/engine/remote_impl.h"
#include "common/rc.h"

/*
 * The frames of a pairing.  What they mean, and who is believed, is decided in
 * pair.c; here is only how they are asked.
 */
static int
check_feature(struct remote *r)
{
	if (remote_is_clear(r))
		return remote_fail(r, RC_DENIED,
		    "machines are paired over TLS only");
	if ((r->hello.features & PROTO_FEATURE_PAIR) == 0)
		return remote_fail(r, RC_UNSUPPORTED,
		    "this server does not know pairing: get a token from its "
		    "administrator and run `storegrid enrol`");
	return RC_OK;
}

static int
on_pair_ok(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct pair_ok *ok = a->arg;
	struct rbuf in;

	if (f->type != PROTO_PAIR_OK)
		return remote_unexpected(r, f);
	rbuf_init(&in, f->payload, f->len);
	if (pair_ok_parse(&in, ok) != RC_OK)
		return remote_malformed(r, f);
	a->done = true;
	return RC_OK;
}

int
remote_pair(struct remote *r, const struct pair *p, struct pair_ok *ok)
{
	struct wbuf body = WBUF_INIT(256);
	struct answer a = { .on = on_pair_ok, .arg = ok };
	int rc;

	if ((rc = check_feature(r)) != RC_OK)
		return rc;
	pair_put(&body, p);
	rc = remote_call(r, PROTO_PAIR, &body, &a);
	wbuf_free(&body);
	return rc;
}

static int
on_pair_state(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct pair_state_msg *state = a->arg;
	struct rbuf in;

	if (f->type != PROTO_PAIR_STATE)
		return remote_unexpected(r, f);
	rbuf_init(&in, f->payload, f->len);
	if (pair_state_parse(&in, state) != RC_OK)
		return remote_malformed(r, f);
	a->done = true;
	return RC_OK;
}

static int
ask_state(struct remote *r, uint16_t type, const struct pair_open *p,
    struct pair_state_msg *state)
{
	struct wbuf body = WBUF_INIT(64);
	struct answer a = { .on = on_pair_state, .arg = state };
	int rc;

	memset(state, 0, sizeof(*state));
	if ((rc = check_feature(r)) != RC_OK)
		return rc;
	pair_open_put(&body, p);
	rc = remote_call(r, type, &body, &a);
	wbuf_free(&body);
	return rc;
}

int
remote_pair_open(struct remote *r, const struct pair_open *p,
    struct pair_state_msg *state)
{
	return ask_state(r, PROTO_PAIR_OPEN, p, state);
}

int
remote_pair_poll(struct remote *r, const struct pair_open *p,
    struct pair_state_msg *state)
{
	return ask_state(r, PROTO_PAIR_POLL, p, state);
}
