#include "config.h"

#include "common/snapshot.h"

#include <string.h>

#include "common/rc.h"

/* People and policies read the label: no byte in it may steer a terminal. */
static int
label_check(const char *label)
{
	if (label[0] == '\0')
		return RC_RANGE;
	for (; *label != '\0'; label++)
		if ((unsigned char)*label < 0x20 || *label == 0x7f)
			return RC_RANGE;
	return RC_OK;
}

void
snapshot_put_client(struct wbuf *out, const struct snapshot_client *s,
    size_t *aad_len)
{
	size_t start = out->len;
	size_t edges = s->edge_count;

	if (edges < 1 || edges > SNAPSHOT_EDGES_MAX ||
	    s->sealed_len > SNAPSHOT_SEALED_MAX ||
	    label_check(s->label) != RC_OK) {
		if (out->rc == RC_OK)
			out->rc = RC_RANGE;
		return;
	}
	wbuf_u64(out, SNAPSHOT_MAGIC);
	wbuf_u16(out, SNAPSHOT_VERSION);
	wbuf_u16(out, s->flags);
	wbuf_bytes(out, s->vault, sizeof(s->vault));
	wbuf_bytes(out, s->client, sizeof(s->client));
	wbuf_bytes(out, s->job, sizeof(s->job));
	wbuf_str(out, s->label);
	wbuf_u64(out, s->sequence);
	wbuf_bytes(out, s->previous, sizeof(s->previous));
	wbuf_bytes(out, s->params, sizeof(s->params));
	wbuf_u8(out, s->edge_count);
	wbuf_bytes(out, s->edge, edges * OBJECT_ID_LEN);
	wbuf_bytes(out, s->epoch, sizeof(s->epoch));
	wbuf_bytes(out, s->salt, sizeof(s->salt));
	if (aad_len != NULL)
		*aad_len = out->len - start;
	wbuf_blob32(out, s->sealed, s->sealed_len);
}

static int
get_head(struct rbuf *in, struct snapshot_client *s)
{
	uint64_t magic;
	uint16_t version;
	int rc;

	if ((rc = rbuf_u64(in, &magic)) != RC_OK)
		return rc;
	if (magic != SNAPSHOT_MAGIC)
		return RC_PROTO;
	if ((rc = rbuf_u16(in, &version)) != RC_OK)
		return rc;
	if (version != SNAPSHOT_VERSION)
		return RC_VERSION;
	if ((rc = rbuf_u16(in, &s->flags)) != RC_OK)
		return rc;
	return (s->flags & ~SNAPSHOT_F_PARTIAL) == 0 ? RC_OK : RC_RANGE;
}

static int
get_edges(struct rbuf *in, struct snapshot_client *s)
{
	int rc;

	if ((rc = rbuf_u8(in, &s->edge_count)) != RC_OK)
		return rc;
	if (s->edge_count < 1 || s->edge_count > SNAPSHOT_EDGES_MAX)
		return RC_RANGE;
	return rbuf_bytes(in, s->edge, (size_t)s->edge_count * OBJECT_ID_LEN);
}

int
snapshot_get_client(const uint8_t *p, size_t len, struct snapshot_client *s)
{
	struct snapshot_client got = { 0 };
	struct rbuf in;
	int rc;

	if (len > SNAPSHOT_CLIENT_MAX)
		return RC_LIMIT;
	rbuf_init(&in, p, len);
	if ((rc = get_head(&in, &got)) != RC_OK ||
	    (rc = rbuf_bytes(&in, got.vault, sizeof(got.vault))) != RC_OK ||
	    (rc = rbuf_bytes(&in, got.client, sizeof(got.client))) != RC_OK ||
	    (rc = rbuf_bytes(&in, got.job, sizeof(got.job))) != RC_OK ||
	    (rc = rbuf_str(&in, got.label, sizeof(got.label))) != RC_OK ||
	    (rc = label_check(got.label)) != RC_OK ||
	    (rc = rbuf_u64(&in, &got.sequence)) != RC_OK ||
	    (rc = rbuf_bytes(&in, got.previous,
	    sizeof(got.previous))) != RC_OK ||
	    (rc = rbuf_bytes(&in, got.params, sizeof(got.params))) != RC_OK ||
	    (rc = get_edges(&in, &got)) != RC_OK ||
	    (rc = rbuf_bytes(&in, got.epoch, sizeof(got.epoch))) != RC_OK ||
	    (rc = rbuf_bytes(&in, got.salt, sizeof(got.salt))) != RC_OK ||
	    (rc = rbuf_blob32(&in, &got.sealed, &got.sealed_len,
	    SNAPSHOT_SEALED_MAX)) != RC_OK ||
	    (rc = rbuf_bytes(&in, got.sig, sizeof(got.sig))) != RC_OK ||
	    (rc = rbuf_end(&in)) != RC_OK)
		return rc;
	if (got.sealed_len < GCM_TAG_LEN)
		return RC_RANGE;
	*s = got;
	return RC_OK;
}

int
snapshot_id(const uint8_t *p, size_t len, struct object_id *id)
{
	return sha256(p, len, id->b);
}

static void
put_server_unsigned(struct wbuf *out, const struct snapshot_server *s)
{
	wbuf_i64(out, s->wall_ns);
	wbuf_u64(out, s->vault_clock);
	wbuf_u64(out, s->vault_seq);
	wbuf_u64(out, s->job_seq);
	wbuf_u64(out, s->lock_until);
	wbuf_u64(out, s->closure_bytes);
	wbuf_u64(out, s->closure_objects);
	wbuf_u64(out, s->new_bytes);
	wbuf_u16(out, s->writer);
	wbuf_bytes(out, s->previous, sizeof(s->previous));
}

void
snapshot_put_server(struct wbuf *out, const struct snapshot_server *s)
{
	put_server_unsigned(out, s);
	wbuf_bytes(out, s->sig, sizeof(s->sig));
}

int
snapshot_get_server(struct rbuf *in, struct snapshot_server *s)
{
	struct snapshot_server got = { 0 };
	struct rbuf try = *in;
	int rc;

	if ((rc = rbuf_i64(&try, &got.wall_ns)) != RC_OK ||
	    (rc = rbuf_u64(&try, &got.vault_clock)) != RC_OK ||
	    (rc = rbuf_u64(&try, &got.vault_seq)) != RC_OK ||
	    (rc = rbuf_u64(&try, &got.job_seq)) != RC_OK ||
	    (rc = rbuf_u64(&try, &got.lock_until)) != RC_OK ||
	    (rc = rbuf_u64(&try, &got.closure_bytes)) != RC_OK ||
	    (rc = rbuf_u64(&try, &got.closure_objects)) != RC_OK ||
	    (rc = rbuf_u64(&try, &got.new_bytes)) != RC_OK ||
	    (rc = rbuf_u16(&try, &got.writer)) != RC_OK ||
	    (rc = rbuf_bytes(&try, got.previous,
	    sizeof(got.previous))) != RC_OK ||
	    (rc = rbuf_bytes(&try, got.sig, sizeof(got.sig))) != RC_OK)
		return rc;
	*s = got;
	*in = try;
	return RC_OK;
}

void
snapshot_receipt_text(struct wbuf *out, const uint8_t vault[16],
    const struct object_id *id, const struct snapshot_server *s)
{
	static const char domain[] = "sg1 receipt";

	wbuf_reset(out);
	wbuf_bytes(out, domain, sizeof(domain) - 1);
	wbuf_bytes(out, vault, 16);
	wbuf_bytes(out, id->b, sizeof(id->b));
	put_server_unsigned(out, s);
}
