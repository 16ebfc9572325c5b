#include "config.h"

#include "server/store/ident.h"

#include <string.h>

#include "common/digest.h"
#include "common/rbuf.h"
#include "common/rc.h"
#include "common/wbuf.h"
#include "server/store/dir.h"

static const char *const copies[2] = { "vault", "vault.2" };

void
ident_put(uint8_t p[VAULT_FILE_LEN], const struct ident *id)
{
	struct wbuf out = WBUF_INIT(VAULT_FILE_LEN);

	wbuf_u64(&out, VAULT_MAGIC);
	wbuf_u16(&out, VAULT_VERSION);
	wbuf_zeros(&out, 6);
	wbuf_u64(&out, id->compat);
	wbuf_u64(&out, id->ro);
	wbuf_u64(&out, id->incompat);
	wbuf_bytes(&out, id->vault, 16);
	wbuf_bytes(&out, id->instance, 16);
	wbuf_bytes(&out, id->client, 16);
	wbuf_bytes(&out, id->client_key, 32);
	wbuf_bytes(&out, id->name, sizeof(id->name));
	wbuf_i64(&out, id->created);
	wbuf_zeros(&out, VAULT_FILE_LEN - 4 - out.len);
	if (wbuf_rc(&out) == RC_OK)
		wbuf_u32(&out, crc32c(0, out.data, out.len));
	memset(p, 0, VAULT_FILE_LEN);
	if (wbuf_rc(&out) == RC_OK)
		memcpy(p, out.data, out.len);
	wbuf_free(&out);
}

int
ident_get(const uint8_t p[VAULT_FILE_LEN], struct ident *id)
{
	struct rbuf in;
	uint64_t magic;
	uint32_t crc;
	uint16_t version;

	rbuf_init(&in, p + VAULT_FILE_LEN - 4, 4);
	if (rbuf_u32(&in, &crc) != RC_OK ||
	    crc != crc32c(0, p, VAULT_FILE_LEN - 4))
		return RC_CRC;
	rbuf_init(&in, p, VAULT_FILE_LEN);
	if (rbuf_u64(&in, &magic) != RC_OK ||
	    rbuf_u16(&in, &version) != RC_OK || magic != VAULT_MAGIC)
		return RC_CORRUPT;
	if (version != VAULT_VERSION)
		return RC_VERSION;
	if (rbuf_skip(&in, 6) != RC_OK || rbuf_u64(&in, &id->compat) != RC_OK ||
	    rbuf_u64(&in, &id->ro) != RC_OK ||
	    rbuf_u64(&in, &id->incompat) != RC_OK ||
	    rbuf_bytes(&in, id->vault, 16) != RC_OK ||
	    rbuf_bytes(&in, id->instance, 16) != RC_OK ||
	    rbuf_bytes(&in, id->client, 16) != RC_OK ||
	    rbuf_bytes(&in, id->client_key, 32) != RC_OK ||
	    rbuf_bytes(&in, id->name, sizeof(id->name)) != RC_OK ||
	    rbuf_i64(&in, &id->created) != RC_OK)
		return RC_CORRUPT;
	return RC_OK;
}

int
ident_write(int dirfd, const struct ident *id)
{
	uint8_t p[VAULT_FILE_LEN];
	int rc;

	ident_put(p, id);
	if ((rc = dir_write(dirfd, copies[1], "vault.2.tmp", p, sizeof(p))) !=
	    RC_OK)
		return rc;
	return dir_write(dirfd, copies[0], "vault.tmp", p, sizeof(p));
}

static int
read_one(int dirfd, const char *name, uint8_t p[VAULT_FILE_LEN],
    struct ident *id)
{
	size_t n = 0;
	int rc;

	if ((rc = dir_read(dirfd, name, p, VAULT_FILE_LEN, &n)) != RC_OK)
		return rc == RC_LIMIT ? RC_CORRUPT : rc;
	return n == VAULT_FILE_LEN ? ident_get(p, id) : RC_CORRUPT;
}

int
ident_read(int dirfd, struct ident *id)
{
	uint8_t p[VAULT_FILE_LEN];
	int first, second;

	if ((first = read_one(dirfd, copies[0], p, id)) == RC_OK)
		return RC_OK;
	second = read_one(dirfd, copies[1], p, id);
	return second == RC_OK || first == RC_NOENT ? second : first;
}

int
ident_check(int dirfd, const char **bad)
{
	uint8_t p[2][VAULT_FILE_LEN];
	struct ident id;
	int rc;

	for (int i = 0; i < 2; i++) {
		*bad = copies[i];
		if ((rc = read_one(dirfd, copies[i], p[i], &id)) != RC_OK)
			return rc;
	}
	return memcmp(p[0], p[1], VAULT_FILE_LEN) == 0 ? RC_OK : RC_CORRUPT;
}
