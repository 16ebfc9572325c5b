#include "config.h"

#include "tests/fault/hostile.h"

#include <stdlib.h>
#include <string.h>

#include "common/object.h"
#include "common/rc.h"
#include "common/snapshot.h"

/* The server has no key, so random bytes are as good as sealed ones. */

void
random_fill(void *p, size_t n)
{
	if (secret_random(p, n) != RC_OK)
		abort();
}

void
fake_object(struct fake *o, uint8_t type, uint16_t height,
    const struct object_id *edges, size_t n, size_t body)
{
	struct object_header h = {
		.version = OBJECT_VERSION,
		.type = type,
		.algorithm = OBJECT_ALG_AES256GCM,
		.height = height,
		.edges = (uint16_t)n,
		.body_len = (uint32_t)body,
	};
	uint8_t head[OBJECT_HEADER_LEN], *p;

	random_fill(h.id.b, sizeof(h.id.b));
	random_fill(h.salt, sizeof(h.salt));
	o->id = h.id;
	object_put_header(&h, head);
	wbuf_init(&o->wire, 2 * OBJECT_WIRE_MAX);
	wbuf_bytes(&o->wire, head, sizeof(head));
	if (n > 0)
		wbuf_bytes(&o->wire, edges, n * OBJECT_ID_LEN);
	if ((p = wbuf_space(&o->wire, body + OBJECT_TAG_LEN)) == NULL)
		abort();
	random_fill(p, body + OBJECT_TAG_LEN);
	object_set_crc(o->wire.data, o->wire.len);
}

void
fake_free(struct fake *o)
{
	wbuf_free(&o->wire);
}

void
fake_sign(const struct target *t, uint8_t *p, size_t n)
{
	static const char context[] = "sg1 snapshot";
	struct wbuf text = WBUF_INIT(SNAPSHOT_CLIENT_MAX + 64);

	if (n < ED25519_SIG_LEN)
		return;
	wbuf_bytes(&text, context, sizeof(context) - 1);
	wbuf_bytes(&text, p, n - ED25519_SIG_LEN);
	if (wbuf_rc(&text) == RC_OK)
		ed25519_sign(&t->priv, text.data, text.len,
		    p + n - ED25519_SIG_LEN);
	wbuf_free(&text);
}

void
fake_snapshot(const struct target *t, const struct fake_commit *f,
    struct wbuf *out)
{
	struct snapshot_client s = {
		.label = "hostile",
		.sequence = f->sequence,
		.edge_count = 1,
	};
	uint8_t sealed[64];
	size_t aad;

	memcpy(s.vault, t->vault, sizeof(s.vault));
	memcpy(s.client, t->client, sizeof(s.client));
	memcpy(s.job, f->job, sizeof(s.job));
	memcpy(s.previous, f->previous, sizeof(s.previous));
	s.edge[0] = f->root;
	random_fill(s.salt, sizeof(s.salt));
	random_fill(sealed, sizeof(sealed));
	s.sealed = sealed;
	s.sealed_len = sizeof(sealed);
	wbuf_init(out, SNAPSHOT_CLIENT_MAX + 64);
	snapshot_put_client(out, &s, &aad);
	wbuf_zeros(out, ED25519_SIG_LEN);
	if (wbuf_rc(out) == RC_OK)
		fake_sign(t, out->data, out->len);
}

int
run_start(struct conn *c, const uint8_t run[16], const uint8_t job[16],
    uint64_t *seq)
{
	struct wbuf b = WBUF_INIT(256);
	struct run_begin r = { 0 };
	struct run_ok ok;
	struct rbuf in;
	int rc;

	memcpy(r.run, run, sizeof(r.run));
	memcpy(r.job, job, sizeof(r.job));
	run_begin_put(&b, &r);
	if ((rc = conn_wbuf(c, PROTO_RUN_BEGIN, 10, &b)) != RC_OK ||
	    (rc = conn_want(c, PROTO_RUN_OK, WAIT_MS)) != RC_OK)
		return rc;
	rbuf_init(&in, c->p, c->f.length);
	if ((rc = run_ok_parse(&in, &ok)) == RC_OK)
		*seq = ok.client_seq;
	return rc;
}

int
send_flush(struct conn *c, uint8_t durable)
{
	return conn_frame(c, PROTO_FLUSH, 33, &durable, 1);
}
