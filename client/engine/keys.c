#include "config.h"

#include "client/engine/keys.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/chunker.h"
#include "client/engine/seal.h"
#include "common/rbuf.h"
#include "common/rc.h"

#define RECORD_VERSION		1
#define EPOCH_SYMMETRIC		1
#define SLOT_SCRYPT		1
#define SLOT_RECOVERY		2
#define SCRYPT_LOG_N		17
#define SCRYPT_R		8
#define SCRYPT_P		1
/* What another writer of the vault may have chosen.  A hostile server could
 * otherwise make `recover` allocate without end. */
#define SCRYPT_LOG_N_MIN	14
#define SCRYPT_LOG_N_MAX	20
#define SCRYPT_P_MAX		4

#define CTX_EPOCH	"sg1 epoch key"
#define CTX_SLOT	"sg1 slot"
#define CTX_PARAMS	"sg1 params"

#define SEALED_KEY_LEN	(SECRET_LEN + GCM_TAG_LEN)

static int
derive(const struct keys *k, const char *info, bool client, struct secret *out)
{
	return hkdf_sha256(&k->m, k->vault, sizeof(k->vault), info,
	    client ? k->client : NULL, client ? sizeof(k->client) : 0, out);
}

int
keys_derive(struct keys *k)
{
	int rc;

	if ((rc = derive(k, "sg1 chunk-id", false, &k->chunk_id)) != RC_OK ||
	    (rc = derive(k, "sg1 node-id", true, &k->node_id)) != RC_OK ||
	    (rc = derive(k, "sg1 cdc", false, &k->cdc)) != RC_OK ||
	    (rc = derive(k, "sg1 dir", false, &k->dir)) != RC_OK ||
	    (rc = derive(k, "sg1 name", false, &k->name)) != RC_OK ||
	    (rc = derive(k, "sg1 wrap", false, &k->wrap)) != RC_OK)
		return rc;
	return RC_OK;
}

static int
epoch_of(const struct secret *e, uint8_t epoch[OBJECT_EPOCH_LEN])
{
	static const char text[] = "sg1 epoch";
	uint8_t mac[SHA256_LEN];
	int rc;

	if ((rc = hmac_sha256(e->b, sizeof(e->b), text, sizeof(text) - 1,
	    mac)) != RC_OK)
		return rc;
	memcpy(epoch, mac, OBJECT_EPOCH_LEN);
	return RC_OK;
}

/* Room for one more at the end; the old array is wiped, not left in the heap. */
static int
epochs_grow(struct keys *k)
{
	struct epoch_key *n;

	if (k->nepochs >= KEYS_EPOCHS_MAX)
		return RC_LIMIT;
	if ((n = calloc(k->nepochs + 1, sizeof(*n))) == NULL)
		return RC_NOMEM;
	if (k->epochs != NULL) {
		memcpy(n, k->epochs, k->nepochs * sizeof(*n));
		secret_wipe(k->epochs, k->nepochs * sizeof(*n));
		free(k->epochs);
	}
	k->epochs = n;
	return RC_OK;
}

int
keys_epoch_add(struct keys *k, const struct secret *e)
{
	uint8_t epoch[OBJECT_EPOCH_LEN];
	int rc;

	if ((rc = epoch_of(e, epoch)) != RC_OK)
		return rc;
	if (keys_epoch_find(k, epoch) != NULL)
		return RC_OK;
	if ((rc = epochs_grow(k)) != RC_OK)
		return rc;
	k->epochs[k->nepochs].key = *e;
	memcpy(k->epochs[k->nepochs].epoch, epoch, sizeof(epoch));
	k->nepochs++;
	return RC_OK;
}

int
keys_epoch_new(struct keys *k)
{
	struct epoch_key n;
	int rc;

	if ((rc = secret_random(n.key.b, sizeof(n.key.b))) != RC_OK ||
	    (rc = epoch_of(&n.key, n.epoch)) != RC_OK ||
	    (rc = epochs_grow(k)) != RC_OK)
		goto out;
	memmove(&k->epochs[1], &k->epochs[0], k->nepochs * sizeof(n));
	k->epochs[0] = n;
	k->nepochs++;
out:
	secret_wipe(&n, sizeof(n));
	return rc;
}

const struct epoch_key *
keys_epoch_find(const struct keys *k, const uint8_t epoch[OBJECT_EPOCH_LEN])
{
	size_t i;

	for (i = 0; i < k->nepochs; i++)
		if (memcmp(k->epochs[i].epoch, epoch, OBJECT_EPOCH_LEN) == 0)
			return &k->epochs[i];
	return NULL;
}

void
keys_clear(struct keys *k)
{
	if (k->epochs != NULL) {
		secret_wipe(k->epochs, k->nepochs * sizeof(*k->epochs));
		free(k->epochs);
	}
	secret_wipe(k, sizeof(*k));
	k->epochs = NULL;
	k->nepochs = 0;
}

int
keys_job_id(const struct keys *k, const char *job, uint8_t out[16])
{
	struct wbuf text = WBUF_INIT(4096);
	uint8_t mac[SHA256_LEN];
	int rc;

	wbuf_bytes(&text, "job", 3);
	wbuf_bytes(&text, job, strlen(job));
	if ((rc = wbuf_rc(&text)) != RC_OK ||
	    (rc = hmac_sha256(k->name.b, sizeof(k->name.b), text.data,
	    text.len, mac)) != RC_OK)
		goto out;
	memcpy(out, mac, 16);
out:
	wbuf_free(&text);
	return rc;
}

/*
 * The end of every record: salt 16 | sealed 32 + 16.  All bytes of the record
 * before it and the vault's id are authenticated.
 */
static int
put_sealed(const struct keys *k, const struct secret *kek, const char *context,
    const void *p, size_t n, struct wbuf *out)
{
	struct wbuf aad = WBUF_INIT(1024);
	uint8_t salt[OBJECT_SALT_LEN], *space;
	int rc;

	if ((rc = secret_random(salt, sizeof(salt))) != RC_OK)
		return rc;
	wbuf_bytes(&aad, out->data, out->len);
	wbuf_bytes(&aad, k->vault, sizeof(k->vault));
	wbuf_bytes(out, salt, sizeof(salt));
	space = wbuf_space(out, n + GCM_TAG_LEN);
	if ((rc = wbuf_rc(&aad)) != RC_OK || (rc = wbuf_rc(out)) != RC_OK)
		goto out;
	rc = seal_blob(kek, context, salt, aad.data, aad.len, p, n, space);
out:
	wbuf_free(&aad);
	return rc;
}

/* `in` stands at the salt; head are the bytes before it. */
static int
get_sealed(const struct keys *k, const struct secret *kek, const char *context,
    const uint8_t *head, size_t head_len, struct rbuf *in, void *p, size_t n)
{
	struct wbuf aad = WBUF_INIT(1024);
	uint8_t salt[OBJECT_SALT_LEN];
	const uint8_t *sealed;
	int rc;

	if ((rc = rbuf_bytes(in, salt, sizeof(salt))) != RC_OK ||
	    (rc = rbuf_view(in, &sealed, n + GCM_TAG_LEN)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	wbuf_bytes(&aad, head, head_len);
	wbuf_bytes(&aad, k->vault, sizeof(k->vault));
	if ((rc = wbuf_rc(&aad)) == RC_OK)
		rc = open_blob(kek, context, salt, aad.data, aad.len, sealed,
		    n + GCM_TAG_LEN, p);
	wbuf_free(&aad);
	return rc;
}

/* version | kind 1 | client 16 | epoch 8 | salt 16 | sealed E */
int
keys_wrap_epoch(const struct keys *k, const struct epoch_key *e,
    struct wbuf *out)
{
	wbuf_reset(out);
	wbuf_u8(out, RECORD_VERSION);
	wbuf_u8(out, EPOCH_SYMMETRIC);
	wbuf_bytes(out, k->client, sizeof(k->client));
	wbuf_bytes(out, e->epoch, sizeof(e->epoch));
	return put_sealed(k, &k->wrap, CTX_EPOCH, e->key.b, SECRET_LEN, out);
}

int
keys_unwrap_epoch(const struct keys *k, const uint8_t *p, size_t n,
    struct secret *e)
{
	uint8_t version, kind, want[OBJECT_EPOCH_LEN], got[OBJECT_EPOCH_LEN];
	struct rbuf in;
	int rc;

	rbuf_init(&in, p, n);
	if ((rc = rbuf_u8(&in, &version)) != RC_OK ||
	    (rc = rbuf_u8(&in, &kind)) != RC_OK)
		return rc;
	if (version != RECORD_VERSION || kind != EPOCH_SYMMETRIC)
		return RC_UNSUPPORTED;
	if ((rc = rbuf_skip(&in, sizeof(k->client))) != RC_OK ||
	    (rc = rbuf_bytes(&in, want, sizeof(want))) != RC_OK ||
	    (rc = get_sealed(k, &k->wrap, CTX_EPOCH, p, n - in.left, &in,
	    e->b, SECRET_LEN)) != RC_OK ||
	    (rc = epoch_of(e, got)) != RC_OK)
		return rc;
	if (memcmp(want, got, sizeof(want)) != 0) {
		secret_clear(e);
		return RC_CORRUPT;
	}
	return RC_OK;
}

/* version | kind 1 | client 16 | scrypt salt 16 | log N | r | p | salt | M */
int
keys_wrap_passphrase(const struct keys *k, const char *pass, struct wbuf *out)
{
	uint8_t salt[16];
	struct secret kek;
	int rc;

	if ((rc = secret_random(salt, sizeof(salt))) != RC_OK ||
	    (rc = scrypt_derive(pass, strlen(pass), salt, sizeof(salt),
	    1ull << SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P, &kek)) != RC_OK)
		return rc;
	wbuf_reset(out);
	wbuf_u8(out, RECORD_VERSION);
	wbuf_u8(out, SLOT_SCRYPT);
	wbuf_bytes(out, k->client, sizeof(k->client));
	wbuf_bytes(out, salt, sizeof(salt));
	wbuf_u8(out, SCRYPT_LOG_N);
	wbuf_u8(out, SCRYPT_R);
	wbuf_u8(out, SCRYPT_P);
	rc = put_sealed(k, &kek, CTX_SLOT, k->m.b, SECRET_LEN, out);
	secret_clear(&kek);
	return rc;
}

/* version | kind 2 | client 16 | salt | M */
int
keys_wrap_recovery(const struct keys *k, const struct secret *recovery,
    struct wbuf *out)
{
	wbuf_reset(out);
	wbuf_u8(out, RECORD_VERSION);
	wbuf_u8(out, SLOT_RECOVERY);
	wbuf_bytes(out, k->client, sizeof(k->client));
	return put_sealed(k, recovery, CTX_SLOT, k->m.b, SECRET_LEN, out);
}

static int
slot_passphrase_key(struct rbuf *in, const char *pass, struct secret *kek)
{
	uint8_t salt[16], log_n, r, p;
	int rc;

	if ((rc = rbuf_bytes(in, salt, sizeof(salt))) != RC_OK ||
	    (rc = rbuf_u8(in, &log_n)) != RC_OK ||
	    (rc = rbuf_u8(in, &r)) != RC_OK ||
	    (rc = rbuf_u8(in, &p)) != RC_OK)
		return rc;
	if (log_n < SCRYPT_LOG_N_MIN || log_n > SCRYPT_LOG_N_MAX ||
	    r != SCRYPT_R || p == 0 || p > SCRYPT_P_MAX)
		return RC_UNSUPPORTED;
	return scrypt_derive(pass, strlen(pass), salt, sizeof(salt),
	    1ull << log_n, r, p, kek);
}

int
keys_open_slot(struct keys *k, const uint8_t *p, size_t n, const char *pass,
    const struct secret *recovery)
{
	uint8_t version, kind, client[16];
	struct secret kek = { { 0 } }, m = { { 0 } };
	struct rbuf in;
	int rc;

	rbuf_init(&in, p, n);
	if ((rc = rbuf_u8(&in, &version)) != RC_OK ||
	    (rc = rbuf_u8(&in, &kind)) != RC_OK ||
	    (rc = rbuf_bytes(&in, client, sizeof(client))) != RC_OK)
		return rc;
	if (version != RECORD_VERSION)
		return RC_UNSUPPORTED;
	if (kind == SLOT_SCRYPT && pass != NULL) {
		if ((rc = slot_passphrase_key(&in, pass, &kek)) != RC_OK)
			return rc;
	} else if (kind == SLOT_RECOVERY && recovery != NULL) {
		kek = *recovery;
	} else {
		return RC_CRYPTO;
	}
	rc = get_sealed(k, &kek, CTX_SLOT, p, n - in.left, &in, m.b,
	    SECRET_LEN);
	if (rc == RC_OK) {
		k->m = m;
		memcpy(k->client, client, sizeof(client));
	}
	secret_clear(&kek);
	secret_clear(&m);
	return rc;
}

/* What decides how a tree becomes objects.  Two clients of one vault that
 * disagree here would never share a chunk. */
static void
put_params(struct wbuf *out)
{
	wbuf_u16(out, CHUNKER_NUMBER);
	wbuf_u32(out, CHUNKER_MIN);
	wbuf_u32(out, CHUNKER_AVG);
	wbuf_u32(out, CHUNKER_MAX);
	wbuf_u32(out, BUNDLE_SMALL);
	wbuf_u32(out, BUNDLE_TARGET);
	wbuf_u32(out, BUNDLE_MAX);
	wbuf_u8(out, 0);			/* id epoch */
	wbuf_u8(out, OBJECT_VERSION);
}
#define PARAMS_LEN 28

/* version | kind 1 | salt | sealed parameters */
int
keys_wrap_params(struct keys *k, struct wbuf *out)
{
	struct wbuf plain = WBUF_INIT(PARAMS_LEN);
	int rc;

	put_params(&plain);
	wbuf_reset(out);
	wbuf_u8(out, RECORD_VERSION);
	wbuf_u8(out, 1);
	if ((rc = wbuf_rc(&plain)) == RC_OK &&
	    (rc = put_sealed(k, &k->wrap, CTX_PARAMS, plain.data, plain.len,
	    out)) == RC_OK)
		rc = sha256(out->data, out->len, k->params);
	wbuf_free(&plain);
	return rc;
}

int
keys_check_params(struct keys *k, const uint8_t *p, size_t n)
{
	struct wbuf want = WBUF_INIT(PARAMS_LEN);
	uint8_t version, kind, got[PARAMS_LEN];
	struct rbuf in;
	int rc;

	rbuf_init(&in, p, n);
	if ((rc = rbuf_u8(&in, &version)) != RC_OK ||
	    (rc = rbuf_u8(&in, &kind)) != RC_OK)
		return rc;
	if (version != RECORD_VERSION || kind != 1)
		return RC_UNSUPPORTED;
	if ((rc = get_sealed(k, &k->wrap, CTX_PARAMS, p, n - in.left, &in, got,
	    sizeof(got))) != RC_OK)
		return rc;
	put_params(&want);
	if ((rc = wbuf_rc(&want)) == RC_OK) {
		if (memcmp(want.data, got, sizeof(got)) != 0)
			rc = RC_UNSUPPORTED;
		else
			rc = sha256(p, n, k->params);
	}
	wbuf_free(&want);
	return rc;
}

/* Crockford's base 32: no I, L, O, U; what looks like them is read as meant. */
static const char base32[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
#define RECOVERY_SUM	3			/* bytes of checksum */
#define RECOVERY_BYTES	(SECRET_LEN + RECOVERY_SUM)
#define RECOVERY_CHARS	(RECOVERY_BYTES * 8 / 5)
#define RECOVERY_GROUP	4

static int
recovery_sum(const uint8_t key[SECRET_LEN], uint8_t sum[RECOVERY_SUM])
{
	uint8_t text[12 + SECRET_LEN], digest[SHA256_LEN];
	int rc;

	memcpy(text, "sg1 recovery", 12);
	memcpy(text + 12, key, SECRET_LEN);
	if ((rc = sha256(text, sizeof(text), digest)) == RC_OK)
		memcpy(sum, digest, RECOVERY_SUM);
	secret_wipe(text, sizeof(text));
	return rc;
}

void
keys_recovery_format(const struct secret *r, char out[KEYS_RECOVERY_TEXT])
{
	uint8_t all[RECOVERY_BYTES];
	uint32_t acc = 0;
	int bits = 0, n = 0;
	size_t i, o = 0;

	memcpy(all, r->b, SECRET_LEN);
	if (recovery_sum(r->b, all + SECRET_LEN) != RC_OK)
		memset(all + SECRET_LEN, 0, RECOVERY_SUM);
	for (i = 0; i < sizeof(all); i++) {
		acc = acc << 8 | all[i];
		for (bits += 8; bits >= 5; bits -= 5) {
			if (n > 0 && n % RECOVERY_GROUP == 0)
				out[o++] = '-';
			out[o++] = base32[acc >> (bits - 5) & 31];
			n++;
		}
	}
	out[o] = '\0';
	secret_wipe(all, sizeof(all));
	secret_wipe(&acc, sizeof(acc));
}

static int
base32_value(char c)
{
	const char *at;

	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == 'O')
		c = '0';
	if (c == 'I' || c == 'L')
		c = '1';
	if (c == '\0' || (at = strchr(base32, c)) == NULL)
		return -1;
	return (int)(at - base32);
}

int
keys_recovery_parse(const char *text, struct secret *r)
{
	uint8_t all[RECOVERY_BYTES], sum[RECOVERY_SUM];
	uint32_t acc = 0;
	size_t o = 0;
	int bits = 0, n = 0, v, rc = RC_PROTO;

	for (; *text != '\0'; text++) {
		if (strchr("- \t\r\n", *text) != NULL)
			continue;
		if ((v = base32_value(*text)) < 0 || n == RECOVERY_CHARS)
			goto out;
		acc = acc << 5 | (uint32_t)v;
		n++;
		if ((bits += 5) >= 8) {
			bits -= 8;
			all[o++] = (uint8_t)(acc >> bits);
		}
	}
	if (n != RECOVERY_CHARS || (rc = recovery_sum(all, sum)) != RC_OK)
		goto out;
	if (!secret_equal(sum, all + SECRET_LEN, sizeof(sum))) {
		rc = RC_CRC;
		goto out;
	}
	memcpy(r->b, all, SECRET_LEN);
out:
	secret_wipe(all, sizeof(all));
	secret_wipe(&acc, sizeof(acc));
	return rc;
}
