#include "config.h"

#include "tests/fuzz/proto_echo.h"

#include <stdlib.h>
#include <string.h>

#include "common/proto.h"
#include "common/rc.h"

/* Views point at bytes that need not be aligned for a struct; an id has only
 * bytes, so any place is right for it. */
static const struct object_id *
as_ids(const uint8_t *p)
{
	return (const struct object_id *)(const void *)p;
}

#define ECHO(name, type, stem)						\
static int								\
echo_##name(struct rbuf *in, struct wbuf *out)				\
{									\
	struct type v;							\
	int rc;								\
									\
	if ((rc = stem##_parse(in, &v)) == RC_OK)			\
		stem##_put(out, &v);					\
	return rc;							\
}

ECHO(hello, hello, hello)
ECHO(hello_ok, hello_ok, hello_ok)
ECHO(auth, auth, auth)
ECHO(auth_ok, auth_ok, auth_ok)
ECHO(enrol, enrol, enrol)
ECHO(enrol_ok, enrol_ok, enrol_ok)
ECHO(pair, pair, pair)
ECHO(pair_ok, pair_ok, pair_ok)
ECHO(pair_open, pair_open, pair_open)
ECHO(pair_state, pair_state_msg, pair_state)
ECHO(run_begin, run_begin, run_begin)
ECHO(ack, ack, ack)
ECHO(list, list, list)
ECHO(id_copy, id_copy, id_copy)
ECHO(walk, walk, walk)
ECHO(finding, finding, finding)
ECHO(verify_end, verify_end, verify_end)
ECHO(record, record, record)
ECHO(record_get, record_get, record_get)

static int
echo_ids(struct rbuf *in, struct wbuf *out)
{
	struct ids v;
	int rc;

	if ((rc = ids_parse(in, &v)) == RC_OK)
		ids_put(out, as_ids(v.p), v.n);
	return rc;
}

static int
echo_run_ok(struct rbuf *in, struct wbuf *out)
{
	struct run_ok v;
	int rc;

	if ((rc = run_ok_parse(in, &v)) == RC_OK)
		run_ok_put(out, v.flags, v.client_seq, as_ids(v.wanted.p),
		    v.wanted.n);
	return rc;
}

static int
echo_have_ok(struct rbuf *in, struct wbuf *out)
{
	uint8_t have[PROTO_IDS_MAX];
	size_t n;
	int rc;

	if ((rc = have_ok_parse(in, have, sizeof(have), &n)) == RC_OK)
		have_ok_put(out, have, n);
	return rc;
}

static int
echo_listed(struct rbuf *in, struct wbuf *out)
{
	struct listed v;
	int rc;

	if ((rc = listed_parse(in, &v)) == RC_OK)
		listed_put(out, v.client, v.client_len, &v.server);
	return rc;
}

static int
echo_more(struct rbuf *in, struct wbuf *out)
{
	uint8_t v;
	int rc;

	if ((rc = more_parse(in, &v)) == RC_OK)
		more_put(out, v);
	return rc;
}

static int
echo_verify(struct rbuf *in, struct wbuf *out)
{
	uint8_t v;
	int rc;

	if ((rc = verify_parse(in, &v)) == RC_OK)
		verify_put(out, v);
	return rc;
}

static int
echo_record_ok(struct rbuf *in, struct wbuf *out)
{
	uint64_t v;
	int rc;

	if ((rc = record_ok_parse(in, &v)) == RC_OK)
		record_ok_put(out, v);
	return rc;
}

/* GET may name another copy for each id; get_put() asks for one of all. */
static int
echo_get(struct rbuf *in, struct wbuf *out)
{
	struct get v;
	int rc;

	if ((rc = get_parse(in, &v)) != RC_OK)
		return rc;
	wbuf_u16(out, (uint16_t)v.n);
	wbuf_bytes(out, v.p, v.n * (OBJECT_ID_LEN + 1));
	return rc;
}

static int
echo_walk_end(struct rbuf *in, struct wbuf *out)
{
	const uint8_t *p;
	size_t n;
	int rc;

	if ((rc = walk_end_parse(in, &p, &n)) == RC_OK)
		walk_end_put(out, p, n);
	return rc;
}

/* `retry` follows from the code when we write it, and not when we read it. */
static int
echo_err(struct rbuf *in, struct wbuf *out)
{
	struct proto_err v;
	int rc;

	if ((rc = proto_err_parse(in, &v)) == RC_OK) {
		wbuf_u16(out, v.code);
		wbuf_u8(out, v.retry);
		wbuf_str(out, v.text);
	}
	return rc;
}

static int
echo_object(struct rbuf *in, struct wbuf *out)
{
	uint8_t header[OBJECT_HEADER_LEN];
	struct object o;
	int rc;

	if ((rc = object_parse(in->p, in->left, &o)) != RC_OK)
		return rc;
	object_put_header(&o.h, header);
	wbuf_bytes(out, header, sizeof(header));
	wbuf_bytes(out, o.edges, (size_t)o.h.edges * OBJECT_ID_LEN);
	wbuf_bytes(out, o.body, o.h.body_len);
	wbuf_bytes(out, o.tag, OBJECT_TAG_LEN);
	return rc;
}

static int
echo_commit(struct rbuf *in, struct wbuf *out)
{
	struct snapshot_client v;
	int rc;

	if ((rc = snapshot_get_client(in->p, in->left, &v)) != RC_OK)
		return rc;
	snapshot_put_client(out, &v, NULL);
	wbuf_bytes(out, v.sig, sizeof(v.sig));
	return rc;
}

static int
echo_committed(struct rbuf *in, struct wbuf *out)
{
	struct snapshot_server v;
	int rc;

	if ((rc = snapshot_get_server(in, &v)) == RC_OK &&
	    (rc = rbuf_end(in)) == RC_OK)
		snapshot_put_server(out, &v);
	return rc;
}

static const struct {
	uint16_t	type;
	int		(*echo)(struct rbuf *, struct wbuf *);
} parsers[] = {
	{ PROTO_HELLO, echo_hello },
	{ PROTO_HELLO_OK, echo_hello_ok },
	{ PROTO_AUTH, echo_auth },
	{ PROTO_AUTH_OK, echo_auth_ok },
	{ PROTO_ENROL, echo_enrol },
	{ PROTO_ENROL_OK, echo_enrol_ok },
	{ PROTO_PAIR, echo_pair },
	{ PROTO_PAIR_OK, echo_pair_ok },
	{ PROTO_PAIR_OPEN, echo_pair_open },
	{ PROTO_PAIR_POLL, echo_pair_open },
	{ PROTO_PAIR_STATE, echo_pair_state },
	{ PROTO_RUN_BEGIN, echo_run_begin },
	{ PROTO_RUN_OK, echo_run_ok },
	{ PROTO_HAVE, echo_ids },
	{ PROTO_HAVE_OK, echo_have_ok },
	{ PROTO_PUT, echo_object },
	{ PROTO_ACK, echo_ack },
	{ PROTO_FLUSHED, echo_ack },
	{ PROTO_COMMIT, echo_commit },
	{ PROTO_COMMITTED, echo_committed },
	{ PROTO_MISSING, echo_ids },
	{ PROTO_LIST, echo_list },
	{ PROTO_SNAPSHOT, echo_listed },
	{ PROTO_LIST_END, echo_more },
	{ PROTO_GET, echo_get },
	{ PROTO_OBJ, echo_object },
	{ PROTO_GONE, echo_id_copy },
	{ PROTO_WALK, echo_walk },
	{ PROTO_WALK_END, echo_walk_end },
	{ PROTO_VERIFY, echo_verify },
	{ PROTO_FINDING, echo_finding },
	{ PROTO_VERIFY_END, echo_verify_end },
	{ PROTO_RECORD_ADD, echo_record },
	{ PROTO_RECORD_OK, echo_record_ok },
	{ PROTO_RECORD_GET, echo_record_get },
	{ PROTO_RECORD, echo_record },
	{ PROTO_RECORD_END, echo_more },
	{ PROTO_WANTED, echo_ids },
	{ PROTO_BAD, echo_id_copy },
	{ PROTO_ERROR, echo_err },
};

int
proto_echo(uint16_t type, struct rbuf *in, struct wbuf *out)
{
	for (size_t i = 0; i < sizeof(parsers) / sizeof(parsers[0]); i++)
		if (parsers[i].type == type)
			return parsers[i].echo(in, out);
	return RC_PROTO;
}
