#include "config.h"

#include "common/packet.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/num.h"
#include "common/rbuf.h"
#include "common/rc.h"

#define FLAGS_KNOWN	PACKET_F_ASKING
#define SIGN_AT		(PACKET_REQUEST_LEN - ED25519_SIG_LEN)
/* where peer_info_put() has what is looked at here */
#define SENT_AT		(PACKET_IDENTITY_AT + 32 + 32 + 1 + 8 + 2)
#define ID_LEN_AT	(SENT_AT + 8)
#define ID_AT		(ID_LEN_AT + 2)

bool
packet_is_request(uint8_t type)
{
	return type == PACKET_REQUEST || type == PACKET_PROBE;
}

static bool
head_ok(const struct packet *p)
{
	if (p->type == 0 || p->type >= PACKET_TYPE_MAX ||
	    (p->flags & ~FLAGS_KNOWN) != 0 ||
	    (!packet_is_request(p->type) && p->flags != 0))
		return false;
	if (p->n == 0 || p->n > PACKET_NONCES_MAX)
		return false;
	return p->n == 1 || !packet_is_request(p->type);
}

int
packet_put(struct wbuf *out, const struct packet *p, size_t *puzzle_at)
{
	if (!head_ok(p) || !peer_id_ok(p->info.id))
		return RC_RANGE;
	wbuf_reset(out);
	wbuf_u32(out, PACKET_MAGIC);
	wbuf_u8(out, p->type);
	wbuf_u8(out, p->flags);
	wbuf_u16(out, 0);
	peer_info_put(out, &p->info);
	wbuf_u8(out, p->n);
	wbuf_bytes(out, p->nonce, (size_t)p->n * PACKET_NONCE_LEN);
	*puzzle_at = out->len;
	wbuf_zeros(out, PACKET_PUZZLE_LEN);
	if (wbuf_rc(out) == RC_OK && packet_is_request(p->type))
		wbuf_zeros(out, SIGN_AT - out->len);
	return wbuf_rc(out);
}

void
packet_sign_text(struct wbuf *out, const uint8_t *p, size_t n)
{
	wbuf_bytes(out, PACKET_DOMAIN, sizeof(PACKET_DOMAIN) - 1);
	wbuf_bytes(out, p, n);
}

int
packet_sign(struct wbuf *out, const struct secret *priv)
{
	struct wbuf text = WBUF_INIT(1024);
	uint8_t sig[ED25519_SIG_LEN];
	int rc;

	packet_sign_text(&text, out->data, out->len);
	if ((rc = wbuf_rc(out)) == RC_OK && (rc = wbuf_rc(&text)) == RC_OK &&
	    (rc = ed25519_sign(priv, text.data, text.len, sig)) == RC_OK) {
		wbuf_bytes(out, sig, sizeof(sig));
		rc = wbuf_rc(out);
	}
	wbuf_free(&text);
	return rc;
}

/* --- reading --- */

static uint16_t
get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static int64_t
get_i64(const uint8_t *p)
{
	uint64_t v = 0;
	int i;

	for (i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

static bool
all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/*
 * The way of all junk, so it only compares.  The longest id and all nonces end
 * before SIGN_AT, and PACKET_MIN covers all up to the id.
 */
int
packet_look(struct packet_look *l, const uint8_t *p, size_t n)
{
	static const uint8_t magic[] = { 'S', 'G', 'D', '1' };
	size_t id_len, at, end;

	if (n < PACKET_MIN || n > PACKET_REQUEST_LEN ||
	    memcmp(p, magic, sizeof(magic)) != 0 || p[6] != 0 || p[7] != 0)
		return RC_PROTO;
	l->type = p[4];
	l->flags = p[5];
	if (l->type == 0 || l->type >= PACKET_TYPE_MAX ||
	    (l->flags & ~FLAGS_KNOWN) != 0 ||
	    (!packet_is_request(l->type) && l->flags != 0))
		return RC_RANGE;
	if (packet_is_request(l->type) ? n != PACKET_REQUEST_LEN :
	    n > PACKET_ANSWER_MAX)
		return RC_PROTO;
	id_len = get_u16(p + ID_LEN_AT);
	if (id_len == 0 || id_len > PEER_ID_MAX)
		return RC_RANGE;
	l->sign_at = n - ED25519_SIG_LEN;
	at = ID_AT + id_len;
	if (at >= l->sign_at)
		return RC_PROTO;
	l->n = p[at++];
	if (l->n == 0 || l->n > PACKET_NONCES_MAX ||
	    (packet_is_request(l->type) && l->n != 1))
		return RC_RANGE;
	l->puzzle_at = at + (size_t)l->n * PACKET_NONCE_LEN;
	end = l->puzzle_at + PACKET_PUZZLE_LEN;
	if (packet_is_request(l->type)) {
		if (!all_zero(p + end, l->sign_at - end))
			return RC_PROTO;
	} else if (end != l->sign_at) {
		return RC_PROTO;
	}
	if (l->type == PACKET_PROBE_ANSWER &&
	    !all_zero(p + l->puzzle_at, PACKET_PUZZLE_LEN))
		return RC_PROTO;
	l->identity = p + PACKET_IDENTITY_AT;
	l->nonces = p + at;
	l->sent_ns = get_i64(p + SENT_AT);
	return RC_OK;
}

int
packet_get(struct packet *out, const uint8_t *p, size_t n)
{
	struct packet_look l;
	struct rbuf in;
	int rc;

	if ((rc = packet_look(&l, p, n)) != RC_OK)
		return rc;
	memset(out, 0, sizeof(*out));
	rbuf_init(&in, p + PACKET_IDENTITY_AT, n - PACKET_IDENTITY_AT);
	if ((rc = peer_info_get(&in, &out->info)) != RC_OK ||
	    (rc = rbuf_u8(&in, &out->n)) != RC_OK)
		return rc;
	out->type = l.type;
	out->flags = l.flags;
	return rbuf_bytes(&in, out->nonce, (size_t)l.n * PACKET_NONCE_LEN);
}

int
packet_verify(const uint8_t *p, size_t n)
{
	uint8_t text[sizeof(PACKET_DOMAIN) - 1 + SIGN_AT];
	const size_t head = sizeof(PACKET_DOMAIN) - 1;

	if (n < PACKET_MIN || n > PACKET_REQUEST_LEN)
		return RC_PROTO;
	memcpy(text, PACKET_DOMAIN, head);
	memcpy(text + head, p, n - ED25519_SIG_LEN);
	return ed25519_verify(p + PACKET_IDENTITY_AT, text,
	    head + n - ED25519_SIG_LEN, p + n - ED25519_SIG_LEN);
}

/* --- the puzzle --- */

struct puzzle {
	EVP_MD		*md;
	EVP_MD_CTX	*check;		/* of packets that came */
	EVP_MD_CTX	*begun, *now;	/* of the one that is being solved */
	uint64_t	 next;
};

struct puzzle *
puzzle_new(void)
{
	struct puzzle *z = calloc(1, sizeof(*z));

	if (z == NULL)
		return NULL;
	digest_library();
	if ((z->md = EVP_MD_fetch(NULL, "SHA256", NULL)) == NULL ||
	    (z->check = EVP_MD_CTX_new()) == NULL ||
	    (z->begun = EVP_MD_CTX_new()) == NULL ||
	    (z->now = EVP_MD_CTX_new()) == NULL) {
		puzzle_free(z);
		return NULL;
	}
	return z;
}

void
puzzle_free(struct puzzle *z)
{
	if (z == NULL)
		return;
	EVP_MD_CTX_free(z->check);
	EVP_MD_CTX_free(z->begun);
	EVP_MD_CTX_free(z->now);
	EVP_MD_free(z->md);
	free(z);
}

static bool
is_solved(const uint8_t hash[SHA256_LEN])
{
	uint32_t v = (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 |
	    (uint32_t)hash[2] << 8 | hash[3];

	return v >> (32 - PACKET_PUZZLE_BITS) == 0;
}

static bool
start(struct puzzle *z, EVP_MD_CTX *ctx, const uint8_t *p, size_t n)
{
	return EVP_DigestInit_ex2(ctx, z->md, NULL) == 1 &&
	    EVP_DigestUpdate(ctx, PACKET_PUZZLE_DOMAIN,
	    sizeof(PACKET_PUZZLE_DOMAIN) - 1) == 1 &&
	    EVP_DigestUpdate(ctx, p, n) == 1;
}

int
puzzle_check(struct puzzle *z, const uint8_t *p, size_t puzzle_at,
    uint64_t *mark)
{
	uint8_t hash[SHA256_LEN];

	if (!start(z, z->check, p, puzzle_at + PACKET_PUZZLE_LEN) ||
	    EVP_DigestFinal_ex(z->check, hash, NULL) != 1 || !is_solved(hash))
		return RC_CRYPTO;
	memcpy(mark, hash + SHA256_LEN - sizeof(*mark), sizeof(*mark));
	return RC_OK;
}

int
puzzle_begin(struct puzzle *z, const uint8_t *p, size_t puzzle_at,
    uint64_t first)
{
	z->next = first;
	return start(z, z->begun, p, puzzle_at) ? RC_OK : RC_CRYPTO;
}

int
puzzle_try(struct puzzle *z, unsigned int tries,
    uint8_t solution[PACKET_PUZZLE_LEN])
{
	uint8_t hash[SHA256_LEN], guess[PACKET_PUZZLE_LEN];
	unsigned int i, k;

	for (i = 0; i < tries; i++, z->next++) {
		for (k = 0; k < sizeof(guess); k++)
			guess[k] = (uint8_t)(z->next >> (56 - 8 * k));
		if (EVP_MD_CTX_copy_ex(z->now, z->begun) != 1 ||
		    EVP_DigestUpdate(z->now, guess, sizeof(guess)) != 1 ||
		    EVP_DigestFinal_ex(z->now, hash, NULL) != 1)
			return RC_CRYPTO;
		if (is_solved(hash)) {
			memcpy(solution, guess, sizeof(guess));
			return RC_OK;
		}
	}
	return RC_AGAIN;
}
