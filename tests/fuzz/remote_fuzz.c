#include "config.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/engine/remote.h"
#include "client/engine/snapbody.h"
#include "common/digest.h"
#include "common/rc.h"
#include "fuzz.h"
#include "privsep/link.h"

/*
 * A hostile server: everything that it and the process with the connection can
 * say to the engine, before and after log-in, while the engine makes every kind
 * of request.
 *
 * Input: calls u16 (which requests are made), then pieces of
 *	what u8, request u8, type u16, len u16, bytes
 * what & 3: 0 a FRAME, 1 an object through the ring, 2 a message of its own.
 * The identity key is 32 times 01, and TLS vouches for it; where the calls have
 * CALL_PAIR it is a first contact, which knows no key.
 */
#define CALL_PAIR	4096
#define INPUT_MAX	(48u << 10)
#define OBJECTS_MAX	RING_SLOTS / 2

static struct keys keys;
static uint8_t fp[32];

struct far {
	struct chan	*c;
	int		 ring_fd;
	uint8_t		*ring;
	unsigned	 objects;
};

static void
setup_once(void)
{
	uint8_t pub[32];

	if (keys.nepochs > 0)
		return;
	memset(keys.vault, 0x11, sizeof(keys.vault));
	memset(keys.m.b, 0x33, sizeof(keys.m.b));
	memset(keys.identity.b, 0x44, sizeof(keys.identity.b));
	memset(pub, 1, sizeof(pub));
	MUST(sha256(pub, sizeof(pub), fp) == RC_OK);
	MUST(keys_derive(&keys) == RC_OK);
	MUST(keys_epoch_new(&keys) == RC_OK);
	MUST(ed25519_public(&keys.identity, keys.identity_pub) == RC_OK);
}

static int
say_frame(struct far *f, uint16_t type, uint32_t request, const uint8_t *p,
    size_t n)
{
	struct wbuf body = WBUF_INIT(65536 + 8);
	int rc;

	wbuf_u16(&body, type);
	wbuf_u16(&body, 0);
	wbuf_u32(&body, request);
	wbuf_bytes(&body, p, n);
	rc = chan_send(f->c, MSG_FRAME, &body, -1);
	wbuf_free(&body);
	return rc;
}

/* type is what the object claims to be longer. */
static int
say_object(struct far *f, uint16_t type, uint32_t request, const uint8_t *p,
    size_t n)
{
	struct wbuf body = WBUF_INIT(19);
	int rc;

	if (f->objects == OBJECTS_MAX || n == 0)
		return RC_OK;
	memcpy(f->ring + (size_t)f->objects * RING_SLOT, p, n);
	wbuf_u16(&body, PROTO_OBJ);
	wbuf_u32(&body, request);
	wbuf_u32(&body, (uint32_t)n + type);
	wbuf_u32(&body, 0);
	wbuf_u8(&body, (uint8_t)f->objects++);
	wbuf_u32(&body, (uint32_t)n);
	rc = chan_send(f->c, MSG_PIECE, &body, -1);
	wbuf_free(&body);
	return rc;
}

static int
say_message(struct far *f, uint16_t type, const uint8_t *p, size_t n)
{
	static const uint16_t types[] = { MSG_NET_FAILED, MSG_LINK_CLOSE,
		MSG_NET_UP, MSG_SLOTS, MSG_PIECE, MSG_FRAME };
	struct wbuf body = WBUF_INIT(65536 + 8);
	int rc;

	wbuf_bytes(&body, p, n);
	rc = chan_send(f->c, types[type % (sizeof(types) / sizeof(types[0]))],
	    &body, -1);
	wbuf_free(&body);
	return rc;
}

static void
say_all(struct far *f, struct rbuf *in)
{
	uint8_t what, request;
	uint16_t type, len;
	const uint8_t *p;
	int rc = RC_OK;

	while (rc == RC_OK || rc == RC_LIMIT) {
		if (rbuf_u8(in, &what) != RC_OK ||
		    rbuf_u8(in, &request) != RC_OK ||
		    rbuf_u16(in, &type) != RC_OK ||
		    rbuf_u16(in, &len) != RC_OK ||
		    rbuf_view(in, &p, len) != RC_OK)
			break;
		switch (what & 3) {
		case 0:
			rc = say_frame(f, type, request, p, len);
			break;
		case 1:
			rc = say_object(f, type, request, p, len);
			break;
		default:
			rc = say_message(f, type, p, len);
			break;
		}
	}
}

static int
on_object(void *arg, uint32_t request, const struct object_id *id,
    const uint8_t *wire, size_t len)
{
	struct object o;

	(void)arg;
	(void)request;
	/* What is handed on was parsed and has the id that it is handed on as. */
	if (wire != NULL) {
		MUST(object_parse(wire, len, &o) == RC_OK);
		MUST(object_check_crc(wire, len) == RC_OK);
		MUST(memcmp(&o.h.id, id, sizeof(*id)) == 0);
	} else {
		MUST(len <= 1);
	}
	return RC_OK;
}

static int
on_have(void *arg, uint64_t cookie, const uint8_t *have, size_t n)
{
	size_t i;

	(void)arg;
	MUST(cookie == 7 && n == 3);
	for (i = 0; i < n; i++)
		MUST(have[i] <= HAVE_AGAIN);
	return RC_OK;
}

static int
on_wanted(void *arg, const struct object_id *ids, size_t n)
{
	(void)arg;
	(void)ids;
	MUST(n <= PROTO_IDS_MAX);
	return RC_OK;
}

static int
on_listed(void *arg, const struct listed *l)
{
	struct snapshot_client c;
	struct snapbody b;
	int signed_ok;

	(void)arg;
	if (snapbody_open(&keys, l->client, l->client_len, &c, &b,
	    &signed_ok) == RC_OK)
		snapbody_clear(&b);
	return RC_OK;
}

static int
on_record(void *arg, const struct record *rec)
{
	(void)arg;
	MUST(rec->len <= PROTO_RECORD_MAX);
	return RC_OK;
}

static int
on_finding(void *arg, const struct finding *f)
{
	(void)arg;
	MUST(memchr(f->text, '\0', sizeof(f->text)) != NULL);
	return RC_OK;
}

static int
first_half(struct remote *r, uint16_t calls, const struct object_id *ids)
{
	struct verify_end end;
	uint64_t seq;
	int rc = RC_OK;

	if ((calls & 1) != 0)
		rc = remote_list(r, NULL, 0, on_listed, NULL);
	if (rc == RC_OK && (calls & 2) != 0)
		rc = remote_records(r, 0, 0, on_record, NULL);
	if (rc == RC_OK && (calls & 4) != 0)
		rc = remote_get(r, ids, 3, 0, NULL);
	if (rc == RC_OK && (calls & 8) != 0)
		rc = remote_have(r, 7, ids, 3);
	if (rc == RC_OK && (calls & 16) != 0)
		rc = remote_walk(r, ids, PROTO_WALK_NODES);
	if (rc == RC_OK && (calls & 32) != 0)
		rc = remote_verify(r, 100, on_finding, NULL, &end);
	if (rc == RC_OK && (calls & 64) != 0)
		rc = remote_record_add(r, RECORD_KEY, "key", 3, &seq);
	return rc;
}

static int
second_half(struct remote *r, uint16_t calls, const struct object_id *ids)
{
	struct object_id missing[PROTO_IDS_MAX];
	struct snapshot_server server;
	struct run_begin b = { .base = ids[0] };
	struct run_ok ok;
	uint8_t wire[OBJECT_WIRE_MIN] = { 0 };
	struct ack a;
	size_t n;
	int rc = RC_OK;

	if ((calls & 128) != 0) {
		rc = remote_run_begin(r, &b, &ok);
		if (rc == RC_OK && ok.wanted.n > 0)
			MUST(ok.wanted.p != NULL);
	}
	if (rc == RC_OK && (calls & 256) != 0)
		rc = remote_put(r, wire, sizeof(wire));
	if (rc == RC_OK && (calls & 512) != 0)
		rc = remote_flush(r, true, &a);
	if (rc == RC_OK && (calls & 1024) != 0) {
		rc = remote_commit(r, wire, sizeof(wire), &server, missing,
		    &n);
		MUST(n <= PROTO_IDS_MAX);
		MUST(rc != RC_MISSING || n > 0);
		MUST(rc != RC_OK);		/* nobody can sign that */
	}
	if (rc == RC_OK && (calls & 2048) != 0)
		rc = remote_bad(r, ids, 0);
	return rc;
}

static void
pair(struct remote *r)
{
	struct pair offer = { .name = "fuzz" };
	struct pair_state_msg state;
	struct pair_open open;
	struct pair_ok ok;

	if (remote_pair(r, &offer, &ok) != RC_OK)
		return;
	memcpy(&open, &ok, sizeof(open));
	if (remote_pair_open(r, &open, &state) == RC_OK)
		MUST((state.state == PAIR_ACCEPTED) ==
		    (state.token[0] != '\0'));
}

static void
converse(struct link *l, uint16_t calls)
{
	struct remote_events ev = { .object = on_object, .have = on_have,
	    .wanted = on_wanted };
	struct object_id ids[3];
	struct remote *r = NULL;
	struct auth_ok ok;

	memset(&ids[0], 1, sizeof(ids[0]));
	memset(&ids[1], 2, sizeof(ids[1]));
	memset(&ids[2], 3, sizeof(ids[2]));
	if (remote_open(&r, l, (calls & CALL_PAIR) != 0 ? NULL : fp, &ev) ==
	    RC_OK) {
		if ((calls & CALL_PAIR) != 0)
			pair(r);
		else if (remote_login(r, &keys, &ok) == RC_OK &&
		    first_half(r, calls, ids) == RC_OK)
			(void)second_half(r, calls, ids);
	}
	/* The script ends in an end of file, so this does too. */
	while (remote_poll(r, -1, -1) == RC_OK)
		;
	MUST(remote_error(r)[0] != '\0');
	remote_close(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wbuf up = WBUF_INIT(64);
	struct far f = { .ring_fd = -1 };
	struct chan *near;
	struct link *l;
	struct rbuf in;
	uint16_t calls;
	void *map;
	int fds[2];

	setup_once();
	rbuf_init(&in, data, size);
	if (size > INPUT_MAX || rbuf_u16(&in, &calls) != RC_OK)
		return 0;
	MUST(chan_pair(fds) == RC_OK);
	MUST((near = chan_new(fds[0], ROLE_ENGINE, ROLE_NET)) != NULL);
	MUST((f.c = chan_new(fds[1], ROLE_NET, ROLE_ENGINE)) != NULL);
	MUST(chan_set_nonblock(f.c) == RC_OK);
	MUST(ring_make(&f.ring_fd, &map) == RC_OK);
	f.ring = map;
	MUST((l = link_new(near, OBJECT_WIRE_MAX)) != NULL);
	MUST(chan_send(f.c, MSG_RING, NULL, f.ring_fd) == RC_OK);
	memset(wbuf_space(&up, 32), 7, 32);
	if ((calls & CALL_PAIR) != 0)
		wbuf_zeros(&up, 32);
	MUST(chan_send(f.c, MSG_NET_UP, &up, -1) == RC_OK);
	wbuf_free(&up);
	say_all(&f, &in);
	(void)shutdown(chan_fd(f.c), SHUT_WR);
	converse(l, calls);
	chan_free(f.c);
	munmap(map, RING_SIZE);
	close(f.ring_fd);
	return 0;
}
