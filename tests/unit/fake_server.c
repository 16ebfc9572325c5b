#include "config.h"

#include "fake_server.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/rc.h"

#define HASH_SIZE	(1u << 20)

struct fake_frame {
	struct fake_frame *next;
	uint16_t	 type;
	uint32_t	 request;
	size_t		 len;
	uint8_t		 payload[];
};

void
fake_keys(struct keys *k)
{
	memset(k, 0, sizeof(*k));
	memset(k->vault, 0x11, sizeof(k->vault));
	memset(k->client, 0x22, sizeof(k->client));
	memset(k->m.b, 0x33, sizeof(k->m.b));
	if (keys_derive(k) != RC_OK || keys_epoch_new(k) != RC_OK ||
	    ed25519_new(&k->identity, k->identity_pub) != RC_OK)
		abort();
}

void
fake_init(struct fake *f, struct keys *k)
{
	memset(f, 0, sizeof(*f));
	f->keys = k;
	f->ring_fd = -1;
	if (ed25519_new(&f->identity, f->identity_pub) != RC_OK ||
	    sha256(f->identity_pub, 32, f->fp) != RC_OK ||
	    (f->hash = calloc(HASH_SIZE, sizeof(*f->hash))) == NULL)
		abort();
}

void
fake_clear(struct fake *f)
{
	size_t i;

	for (i = 0; i < f->nobj; i++)
		free(f->obj[i].wire);
	for (i = 0; i < f->nsnap; i++)
		free(f->snap[i].client);
	free(f->obj);
	free(f->hash);
}

static uint32_t *
slot_of(struct fake *f, const struct object_id *id)
{
	uint32_t h;

	memcpy(&h, id->b, 4);
	for (h %= HASH_SIZE; f->hash[h] != 0; h = (h + 1) % HASH_SIZE)
		if (memcmp(&f->obj[f->hash[h] - 1].id, id, 32) == 0)
			break;
	return &f->hash[h];
}

struct fake_object *
fake_find(struct fake *f, const struct object_id *id)
{
	uint32_t at = *slot_of(f, id);

	return at != 0 ? &f->obj[at - 1] : NULL;
}

void
fake_add(struct fake *f, const struct object_id *id, const uint8_t *wire,
    size_t len)
{
	uint32_t *at = slot_of(f, id);
	struct fake_object *o;

	if (*at != 0)
		return;
	if (f->nobj == f->obj_size) {
		f->obj_size = f->obj_size * 2 + 64;
		f->obj = realloc(f->obj, f->obj_size * sizeof(*f->obj));
		if (f->obj == NULL)
			abort();
	}
	o = &f->obj[f->nobj++];
	memset(o, 0, sizeof(*o));
	o->id = *id;
	if ((o->wire = malloc(len)) == NULL)
		abort();
	memcpy(o->wire, wire, len);
	o->len = len;
	*at = (uint32_t)f->nobj;
}

static void
sign_receipt(struct fake *f, const struct object_id *id,
    struct snapshot_server *s)
{
	struct wbuf text = WBUF_INIT(1024);

	snapshot_receipt_text(&text, f->keys->vault, id, s);
	if (ed25519_sign(&f->identity, text.data, text.len, s->sig) != RC_OK)
		abort();
	if (f->bad.bad_receipt)
		s->sig[0] ^= 1;
	wbuf_free(&text);
}

void
fake_snapshot(struct fake *f, const uint8_t *client, size_t len,
    uint64_t vault_seq, int64_t wall_ns)
{
	struct fake_snapshot *s = &f->snap[f->nsnap++];
	struct object_id id;

	memset(s, 0, sizeof(*s));
	if ((s->client = malloc(len)) == NULL ||
	    snapshot_id(client, len, &id) != RC_OK)
		abort();
	memcpy(s->client, client, len);
	s->len = len;
	s->server.vault_seq = s->server.job_seq = vault_seq;
	s->server.wall_ns = wall_ns;
	sign_receipt(f, &id, &s->server);
}

/* --- frames --- */

static int
send_small(struct fake *f, uint16_t type, uint32_t request, const void *p,
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

static void
queue_frame(struct fake *f, uint16_t type, uint32_t request, const void *p,
    size_t n)
{
	struct fake_frame *q = malloc(sizeof(*q) + n);

	if (q == NULL)
		abort();
	q->next = NULL;
	q->type = type;
	q->request = request;
	q->len = n;
	memcpy(q->payload, p, n);
	*f->queue_end = q;
	f->queue_end = &q->next;
}

static int
take_piece(struct fake *f, struct rbuf *in)
{
	uint32_t request, total, offset, len;
	struct wbuf body = WBUF_INIT(1);
	uint16_t type;
	uint8_t slot;
	int rc;

	if (rbuf_u16(in, &type) != RC_OK || rbuf_u32(in, &request) != RC_OK ||
	    rbuf_u32(in, &total) != RC_OK || rbuf_u32(in, &offset) != RC_OK ||
	    rbuf_u8(in, &slot) != RC_OK || rbuf_u32(in, &len) != RC_OK)
		return RC_PROTO;
	if (f->in == NULL && (f->in = malloc(OBJECT_WIRE_MAX)) == NULL)
		abort();
	memcpy(f->in + offset, f->ring + (size_t)slot * RING_SLOT, len);
	wbuf_u8(&body, (uint8_t)(1u << slot));
	rc = chan_send(f->c, MSG_SLOTS, &body, -1);
	/* As in the relay: what a client said before it left still counts. */
	if (rc == RC_EOF)
		rc = RC_OK;
	wbuf_free(&body);
	if (offset + len == total)
		queue_frame(f, type, request, f->in, total);
	return rc;
}

/* One message; frames go to the queue. */
static int
take(struct fake *f)
{
	uint16_t type, flags;
	uint32_t request;
	struct msg m;
	uint8_t mask;
	int rc;

	if ((rc = chan_recv_wait(f->c, &m, 20000)) != RC_OK)
		return rc;
	switch (m.type) {
	case MSG_FRAME:
		if (rbuf_u16(&m.body, &type) != RC_OK ||
		    rbuf_u16(&m.body, &flags) != RC_OK ||
		    rbuf_u32(&m.body, &request) != RC_OK)
			return RC_PROTO;
		queue_frame(f, type, request, m.body.p, m.body.left);
		return RC_OK;
	case MSG_PIECE:
		return take_piece(f, &m.body);
	case MSG_SLOTS:
		if (rbuf_u8(&m.body, &mask) != RC_OK)
			return RC_PROTO;
		f->slots |= mask;
		return RC_OK;
	default:
		return RC_PROTO;
	}
}

static int
send_big(struct fake *f, uint32_t request, const uint8_t *p, size_t n)
{
	struct wbuf body = WBUF_INIT(19);
	size_t off, len;
	int rc = RC_OK, slot;

	for (off = 0; rc == RC_OK && off < n; off += len) {
		while ((f->slots & RING_OUTER_MASK) == 0)
			if ((rc = take(f)) != RC_OK)
				return rc;
		slot = __builtin_ctz(f->slots);
		f->slots &= (uint8_t)~(1u << slot);
		len = n - off < RING_SLOT ? n - off : RING_SLOT;
		memcpy(f->ring + (size_t)slot * RING_SLOT, p + off, len);
		wbuf_reset(&body);
		wbuf_u16(&body, PROTO_OBJ);
		wbuf_u32(&body, request);
		wbuf_u32(&body, (uint32_t)n);
		wbuf_u32(&body, (uint32_t)off);
		wbuf_u8(&body, (uint8_t)slot);
		wbuf_u32(&body, (uint32_t)len);
		rc = chan_send(f->c, MSG_PIECE, &body, -1);
	}
	wbuf_free(&body);
	return rc;
}

static int
answer(struct fake *f, const struct fake_frame *q, uint16_t type,
    const struct wbuf *body)
{
	if (f->bad.answer_to == q->type)
		return send_small(f, f->bad.answer_type,
		    q->request + f->bad.number_off, f->bad.payload,
		    f->bad.payload_len);
	return send_small(f, type, q->request + f->bad.number_off,
	    body->data, body->len);
}

/* --- what it knows --- */

static int
on_hello(struct fake *f, const struct fake_frame *q)
{
	struct wbuf body = WBUF_INIT(4096), text = WBUF_INIT(4096);
	struct hello_ok ok = { .version = PROTO_VERSION,
	    .features = f->features,
	    .frame_max = PROTO_SMALL_MAX, .ids_max = PROTO_IDS_MAX,
	    .id = "fake" };
	int rc;

	memcpy(ok.identity, f->identity_pub, 32);
	if (f->bad.wrong_identity)
		ok.identity[0] ^= 1;
	memset(ok.nonce, 9, sizeof(ok.nonce));
	if (f->bad.clear && !f->bad.no_sign) {
		ok.signed_ = 1;
		if (hello_sign_text(&text, q->payload, q->len, &ok) != RC_OK ||
		    ed25519_sign(&f->identity, text.data, text.len, ok.sig) !=
		    RC_OK)
			abort();
		if (f->bad.bad_sign)
			ok.sig[5] ^= 1;
	}
	hello_ok_put(&body, &ok);
	rc = answer(f, q, PROTO_HELLO_OK, &body);
	wbuf_free(&body);
	wbuf_free(&text);
	return rc;
}

static int
on_auth(struct fake *f, const struct fake_frame *q)
{
	struct wbuf body = WBUF_INIT(4096);
	struct auth_ok ok = {
		.rights = PROTO_RIGHT_BACKUP | PROTO_RIGHT_RESTORE,
		.connections = 1, .credit_put = PROTO_CREDIT_PUT,
		.credit_have = PROTO_CREDIT_HAVE,
		.credit_get = PROTO_CREDIT_GET, .name = "a/b",
	};
	int rc;

	if (f->bad.credit_put != 0)
		ok.credit_put = f->bad.credit_put;
	if (f->bad.credit_have != 0)
		ok.credit_have = f->bad.credit_have;
	memcpy(ok.vault, f->keys->vault, 16);
	auth_ok_put(&body, &ok);
	rc = answer(f, q, PROTO_AUTH_OK, &body);
	wbuf_free(&body);
	return rc;
}

static int
on_list(struct fake *f, const struct fake_frame *q)
{
	struct wbuf body = WBUF_INIT(65536);
	struct rbuf in;
	struct list l;
	size_t i;
	int rc = RC_OK;

	rbuf_init(&in, q->payload, q->len);
	if (list_parse(&in, &l) != RC_OK)
		return RC_PROTO;
	for (i = 0; rc == RC_OK && i < f->nsnap; i++) {
		if (f->snap[i].server.vault_seq <= l.after)
			continue;
		wbuf_reset(&body);
		listed_put(&body, f->snap[i].client, f->snap[i].len,
		    &f->snap[i].server);
		rc = answer(f, q, PROTO_SNAPSHOT, &body);
	}
	wbuf_reset(&body);
	more_put(&body, 0);
	if (rc == RC_OK)
		rc = answer(f, q, PROTO_LIST_END, &body);
	wbuf_free(&body);
	return rc;
}

/* The bait, or by turns a wrong tag, an unknown algorithm, a wrong checksum. */
static int
send_junk(struct fake *f, uint32_t request, const struct fake_object *o,
    uint8_t copy)
{
	uint8_t *p;
	int rc;

	if (o->bait != NULL)
		return send_big(f, request, o->bait, o->bait_len);
	if ((p = malloc(o->len)) == NULL)
		abort();
	memcpy(p, o->wire, o->len);
	p[copy % 3 == 1 ? 2 : o->len - 20] ^= 4;
	if (copy % 3 != 2)
		object_set_crc(p, o->len);
	rc = send_big(f, request, p, o->len);
	free(p);
	return rc;
}

static int
on_get(struct fake *f, const struct fake_frame *q)
{
	struct wbuf body = WBUF_INIT(64);
	struct fake_object *o;
	struct id_copy c;
	struct rbuf in;
	struct get g;
	size_t i;
	int rc = RC_OK;

	rbuf_init(&in, q->payload, q->len);
	if (get_parse(&in, &g) != RC_OK)
		return RC_PROTO;
	f->gets += g.n;
	if (g.n > f->most_get)
		f->most_get = g.n;
	for (i = 0; rc == RC_OK && i < g.n; i++) {
		memcpy(&c.id, g.p + i * 33, 32);
		c.copy = g.p[i * 33 + 32];
		o = fake_find(f, &c.id);
		if (o != NULL && f->bad.swap_objects)
			o = &f->obj[((size_t)(o - f->obj) + 1) % f->nobj];
		if (o != NULL && !o->gone && c.copy < o->junk) {
			rc = send_junk(f, q->request + f->bad.number_off, o,
			    c.copy);
			continue;
		}
		if (o != NULL && !o->gone && c.copy == o->junk) {
			o->asked++;
			rc = send_big(f, q->request + f->bad.number_off,
			    o->wire, o->len);
			continue;
		}
		wbuf_reset(&body);
		id_copy_put(&body, &c);
		rc = answer(f, q, PROTO_GONE, &body);
	}
	wbuf_free(&body);
	return rc;
}

static int
send_ack(struct fake *f, uint16_t type, uint32_t request)
{
	struct wbuf body = WBUF_INIT(32);
	struct ack a = { f->puts, f->puts };
	int rc;

	f->put_bytes = 0;
	f->acked = f->puts;
	ack_put(&body, &a);
	rc = send_small(f, type, request, body.data, body.len);
	wbuf_free(&body);
	return rc;
}

static int
on_put(struct fake *f, const struct fake_frame *q)
{
	struct object o;

	if (object_parse(q->payload, q->len, &o) != RC_OK)
		return RC_PROTO;
	fake_add(f, &o.h.id, q->payload, q->len);
	f->puts++;
	f->put_bytes += q->len;
	if (f->put_bytes > f->put_unacked_max)
		f->put_unacked_max = f->put_bytes;
	if (f->bad.hold_acks ? f->put_bytes + OBJECT_WIRE_MAX >
	    f->bad.credit_put : f->puts - f->acked >= PROTO_ACK_EVERY)
		return send_ack(f, PROTO_ACK, 0);
	return RC_OK;
}

static int
on_have(struct fake *f, const struct fake_frame *q)
{
	uint8_t have[PROTO_IDS_MAX];
	struct wbuf body = WBUF_INIT(512);
	struct object_id id;
	struct fake_object *o;
	struct rbuf in;
	struct ids ids;
	size_t i;
	int rc;

	rbuf_init(&in, q->payload, q->len);
	if (ids_parse(&in, &ids) != RC_OK)
		return RC_PROTO;
	f->haves += ids.n;
	for (i = 0; i < ids.n; i++) {
		memcpy(&id, ids.p + 32 * i, 32);
		o = fake_find(f, &id);
		have[i] = o != NULL && !o->gone && !f->bad.absent ?
		    HAVE_PRESENT : HAVE_ABSENT;
	}
	have_ok_put(&body, have, ids.n);
	rc = answer(f, q, PROTO_HAVE_OK, &body);
	wbuf_free(&body);
	return rc;
}

static int
on_commit(struct fake *f, const struct fake_frame *q)
{
	struct wbuf body = WBUF_INIT(512);
	struct fake_snapshot *s;
	int rc;

	fake_snapshot(f, q->payload, q->len, f->nsnap + 1, 1);
	s = &f->snap[f->nsnap - 1];
	snapshot_put_server(&body, &s->server);
	rc = answer(f, q, PROTO_COMMITTED, &body);
	wbuf_free(&body);
	return rc;
}

static int
on_walk(struct fake *f, const struct fake_frame *q)
{
	struct wbuf body = WBUF_INIT(2048);
	struct fake_object *o;
	struct rbuf in;
	struct walk w;
	int rc = RC_OK;

	rbuf_init(&in, q->payload, q->len);
	if (walk_parse(&in, &w) != RC_OK)
		return RC_PROTO;
	/* The root alone, in two pages. */
	if ((o = fake_find(f, &w.root)) != NULL)
		rc = send_big(f, q->request, o->wire, o->len);
	walk_end_put(&body, (const uint8_t *)"more", w.cursor_len == 0 ? 4 : 0);
	if (rc == RC_OK)
		rc = answer(f, q, PROTO_WALK_END, &body);
	wbuf_free(&body);
	return rc;
}

static int
on_verify(struct fake *f, const struct fake_frame *q)
{
	struct verify_end end = { f->nobj, 0, 1 };
	struct finding find = { .kind = FINDING_COPY, .text = "footer" };
	struct wbuf body = WBUF_INIT(2048);
	int rc = RC_OK;

	finding_put(&body, &find);
	if (!f->bad.no_finding)
		rc = answer(f, q, PROTO_FINDING, &body);
	wbuf_reset(&body);
	verify_end_put(&body, &end);
	if (rc == RC_OK)
		rc = answer(f, q, PROTO_VERIFY_END, &body);
	wbuf_free(&body);
	return rc;
}

static int
on_run(struct fake *f, const struct fake_frame *q)
{
	struct wbuf body = WBUF_INIT(2048);
	int rc;

	run_ok_put(&body, 0, 0, NULL, 0);
	rc = answer(f, q, PROTO_RUN_OK, &body);
	wbuf_free(&body);
	return rc;
}

static int
on_report(struct fake *f, const struct fake_frame *q)
{
	struct rbuf in;

	if ((f->features & PROTO_FEATURE_REPORT) == 0)
		return RC_PROTO;
	f->reports++;
	rbuf_init(&in, q->payload, q->len);
	return report_parse(&in, &f->report);
}

static int
serve(struct fake *f, const struct fake_frame *q)
{
	struct wbuf none = WBUF_INIT(16);

	f->frames++;
	if (f->bad.close_after != 0 && f->frames > f->bad.close_after)
		return RC_EOF;
	switch (q->type) {
	case PROTO_HELLO:
		return on_hello(f, q);
	case PROTO_AUTH:
		return on_auth(f, q);
	case PROTO_LIST:
		return on_list(f, q);
	case PROTO_GET:
		return on_get(f, q);
	case PROTO_PUT:
		return on_put(f, q);
	case PROTO_FLUSH:
		return send_ack(f, PROTO_FLUSHED, q->request);
	case PROTO_HAVE:
		return on_have(f, q);
	case PROTO_COMMIT:
		return on_commit(f, q);
	case PROTO_WALK:
		return on_walk(f, q);
	case PROTO_VERIFY:
		return on_verify(f, q);
	case PROTO_RUN_BEGIN:
		return on_run(f, q);
	case PROTO_BAD:
		return answer(f, q, PROTO_BAD_OK, &none);
	case PROTO_PING:
		return send_small(f, PROTO_PONG, q->request, q->payload,
		    q->len);
	case PROTO_PONG:
		return RC_OK;
	case PROTO_REPORT:
		return on_report(f, q);
	case PROTO_BYE:
		f->bye = true;
		return RC_EOF;
	default:
		f->complaint = proto_name(q->type);
		return RC_PROTO;
	}
}

static void *
run(void *arg)
{
	struct fake *f = arg;
	struct fake_frame *q;
	int rc = RC_OK;

	while (rc == RC_OK) {
		if ((q = f->queue) == NULL) {
			rc = take(f);
			continue;
		}
		if ((f->queue = q->next) == NULL)
			f->queue_end = &f->queue;
		rc = serve(f, q);
		free(q);
	}
	while ((q = f->queue) != NULL) {
		f->queue = q->next;
		free(q);
	}
	chan_free(f->c);
	f->c = NULL;
	return NULL;
}

void
fake_start_fd(struct fake *f, struct keys *k, int *fd)
{
	struct wbuf body = WBUF_INIT(32);
	pthread_t *t = malloc(sizeof(*t));
	uint8_t exporter[32];
	void *map;
	int fds[2];

	f->keys = k;
	f->queue = NULL;
	f->queue_end = &f->queue;
	f->slots = RING_OUTER_MASK;
	f->puts = f->put_bytes = f->acked = f->frames = 0;
	if (t == NULL || chan_pair(fds) != RC_OK ||
	    ring_make(&f->ring_fd, &map) != RC_OK)
		abort();
	f->ring = map;
	*fd = fds[0];
	f->c = chan_new(fds[1], ROLE_NET, ROLE_ENGINE);
	memset(exporter, f->bad.clear ? 0 : 7, sizeof(exporter));
	wbuf_bytes(&body, exporter, sizeof(exporter));
	if (chan_send(f->c, MSG_RING, NULL, f->ring_fd) != RC_OK ||
	    chan_send(f->c, MSG_NET_UP, &body, -1) != RC_OK ||
	    pthread_create(t, NULL, run, f) != 0)
		abort();
	wbuf_free(&body);
	f->thread = t;
}

void
fake_start(struct fake *f, struct keys *k, struct link **link)
{
	int fd;

	fake_start_fd(f, k, &fd);
	*link = link_new(chan_new(fd, ROLE_ENGINE, ROLE_NET),
	    OBJECT_WIRE_MAX);
}

void
fake_stop(struct fake *f)
{
	pthread_join(*(pthread_t *)f->thread, NULL);
	free(f->thread);
	munmap(f->ring, RING_SIZE);
	close(f->ring_fd);
	free(f->in);
	f->in = NULL;
	f->thread = NULL;
}
