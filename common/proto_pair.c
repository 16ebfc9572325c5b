#include "config.h"

#include "common/proto.h"

#include <stdio.h>
#include <string.h>

#include "common/rc.h"

/* Pairing, and what a client reports of its run. */

void
pair_put(struct wbuf *out, const struct pair *p)
{
	wbuf_bytes(out, p->commit, sizeof(p->commit));
	wbuf_bytes(out, p->client_key, sizeof(p->client_key));
	wbuf_str(out, p->name);
}

int
pair_parse(struct rbuf *in, struct pair *p)
{
	int rc;

	if ((rc = rbuf_bytes(in, p->commit, sizeof(p->commit))) != RC_OK ||
	    (rc = rbuf_bytes(in, p->client_key, sizeof(p->client_key))) !=
	    RC_OK ||
	    (rc = proto_text(in, p->name, sizeof(p->name))) != RC_OK)
		return rc;
	return rbuf_end(in);
}

void
pair_ok_put(struct wbuf *out, const struct pair_ok *p)
{
	wbuf_bytes(out, p->pairing, sizeof(p->pairing));
	wbuf_bytes(out, p->nonce, sizeof(p->nonce));
}

int
pair_ok_parse(struct rbuf *in, struct pair_ok *p)
{
	int rc;

	if ((rc = rbuf_bytes(in, p->pairing, sizeof(p->pairing))) != RC_OK ||
	    (rc = rbuf_bytes(in, p->nonce, sizeof(p->nonce))) != RC_OK)
		return rc;
	return rbuf_end(in);
}

void
pair_open_put(struct wbuf *out, const struct pair_open *p)
{
	wbuf_bytes(out, p->pairing, sizeof(p->pairing));
	wbuf_bytes(out, p->nonce, sizeof(p->nonce));
}

int
pair_open_parse(struct rbuf *in, struct pair_open *p)
{
	int rc;

	if ((rc = rbuf_bytes(in, p->pairing, sizeof(p->pairing))) != RC_OK ||
	    (rc = rbuf_bytes(in, p->nonce, sizeof(p->nonce))) != RC_OK)
		return rc;
	return rbuf_end(in);
}

void
pair_state_put(struct wbuf *out, const struct pair_state_msg *p)
{
	wbuf_u8(out, p->state);
	wbuf_str(out, p->token);
}

int
pair_state_parse(struct rbuf *in, struct pair_state_msg *p)
{
	int rc;

	if ((rc = rbuf_u8(in, &p->state)) != RC_OK ||
	    (rc = proto_text(in, p->token, sizeof(p->token))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (p->state == 0 || p->state >= PAIR_STATE_MAX ||
	    (p->state == PAIR_ACCEPTED) != (p->token[0] != '\0'))
		return RC_RANGE;
	return RC_OK;
}

static int
hash(struct wbuf *text, uint8_t out[32])
{
	int rc;

	if ((rc = wbuf_rc(text)) == RC_OK)
		rc = sha256(text->data, text->len, out);
	wbuf_free(text);
	return rc;
}

int
pair_commit(const uint8_t nonce[32], const uint8_t key[ED25519_LEN],
    uint8_t commit[32])
{
	struct wbuf text = WBUF_INIT(128);

	wbuf_bytes(&text, "sg1 pair commit", 15);
	wbuf_bytes(&text, nonce, 32);
	wbuf_bytes(&text, key, ED25519_LEN);
	return hash(&text, commit);
}

int
pair_code(const struct pair_code *c, char out[PROTO_PAIR_CODE_LEN + 1])
{
	struct wbuf text = WBUF_INIT(256);
	uint64_t v = 0;
	uint8_t h[32];
	int rc, i;

	wbuf_bytes(&text, "sg1 pair code", 13);
	wbuf_bytes(&text, c->client_key, ED25519_LEN);
	wbuf_bytes(&text, c->identity, ED25519_LEN);
	wbuf_bytes(&text, c->pin, SHA256_LEN);
	wbuf_bytes(&text, c->client_nonce, 32);
	wbuf_bytes(&text, c->server_nonce, 32);
	if ((rc = hash(&text, h)) != RC_OK)
		return rc;
	for (i = 0; i < 8; i++)
		v = v << 8 | h[i];
	v %= 100000000;
	snprintf(out, PROTO_PAIR_CODE_LEN + 1, "%04u-%04u",
	    (unsigned)(v / 10000), (unsigned)(v % 10000));
	return RC_OK;
}

void
report_put(struct wbuf *out, const struct report *r)
{
	wbuf_bytes(out, r->run, sizeof(r->run));
	wbuf_u8(out, r->outcome);
	wbuf_u64(out, r->files);
	wbuf_u64(out, r->dirs);
	wbuf_u64(out, r->bytes);
	wbuf_u64(out, r->new_bytes);
	wbuf_u64(out, r->skipped);
	wbuf_u64(out, r->milliseconds);
}

int
report_parse(struct rbuf *in, struct report *r)
{
	int rc;

	if ((rc = rbuf_bytes(in, r->run, sizeof(r->run))) != RC_OK ||
	    (rc = rbuf_u8(in, &r->outcome)) != RC_OK ||
	    (rc = rbuf_u64(in, &r->files)) != RC_OK ||
	    (rc = rbuf_u64(in, &r->dirs)) != RC_OK ||
	    (rc = rbuf_u64(in, &r->bytes)) != RC_OK ||
	    (rc = rbuf_u64(in, &r->new_bytes)) != RC_OK ||
	    (rc = rbuf_u64(in, &r->skipped)) != RC_OK ||
	    (rc = rbuf_u64(in, &r->milliseconds)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	return r->outcome == 0 || r->outcome >= REPORT_OUTCOME_MAX ? RC_RANGE :
	    RC_OK;
}
