#include "config.h"

#include "server/login/check.h"

#include <stdbool.h>
#include <string.h>

#include "common/digest.h"
#include "common/rc.h"
#include "privsep/messages.h"
#include "server/login/totp.h"

struct check {
	uint32_t	 request;
	uint8_t		 what, cost, r, p;
	uint8_t		 salt[16], hash[32];
	char		 password[LOGIN_PASSWORD_MAX + 1];
	const uint8_t	*totp;
	size_t		 totp_len;
	char		 code[32];
	uint64_t	 last;
	int64_t		 now;
};

static int
parse(struct rbuf *in, struct check *c)
{
	int rc;

	if ((rc = rbuf_u32(in, &c->request)) != RC_OK ||
	    (rc = rbuf_u8(in, &c->what)) != RC_OK ||
	    (rc = rbuf_u8(in, &c->cost)) != RC_OK ||
	    (rc = rbuf_u8(in, &c->r)) != RC_OK ||
	    (rc = rbuf_u8(in, &c->p)) != RC_OK ||
	    (rc = rbuf_bytes(in, c->salt, sizeof(c->salt))) != RC_OK ||
	    (rc = rbuf_bytes(in, c->hash, sizeof(c->hash))) != RC_OK ||
	    (rc = rbuf_str(in, c->password, sizeof(c->password))) != RC_OK ||
	    (rc = rbuf_blob16(in, &c->totp, &c->totp_len,
	    TOTP_SECRET_LEN)) != RC_OK ||
	    (rc = rbuf_str(in, c->code, sizeof(c->code))) != RC_OK ||
	    (rc = rbuf_u64(in, &c->last)) != RC_OK ||
	    (rc = rbuf_i64(in, &c->now)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (c->what < LOGIN_VERIFY || c->what > LOGIN_TOTP ||
	    (c->totp_len != 0 && c->totp_len != TOTP_SECRET_LEN) ||
	    (c->what == LOGIN_TOTP && c->totp_len == 0))
		return RC_RANGE;
	/* what a check may cost is decided here, whoever asks */
	if (c->what != LOGIN_TOTP && (c->cost < 1 ||
	    c->cost > LOGIN_COST_MAX || c->r != 8 || c->p != 1))
		return RC_RANGE;
	return RC_OK;
}

static int
answer(const struct check *c, struct secret *key, uint64_t *step, bool *ok)
{
	int rc;

	*ok = true;
	if (c->what != LOGIN_TOTP) {
		rc = scrypt_derive(c->password, strlen(c->password), c->salt,
		    sizeof(c->salt), 1ull << c->cost, c->r, c->p, key);
		if (rc != RC_OK)
			return rc;
	}
	if (c->what == LOGIN_VERIFY)
		*ok = secret_equal(key->b, c->hash, sizeof(c->hash));
	if (c->totp_len != 0) {
		rc = totp_check(c->totp, c->code, c->last, c->now, step);
		if (rc != RC_OK && rc != RC_AUTH)
			return rc;
		*ok = rc == RC_OK && *ok;
	}
	return RC_OK;
}

int
login_answer(struct rbuf *in, struct wbuf *out)
{
	struct secret key = { { 0 } };
	struct check c = { 0 };
	uint64_t step = 0;
	bool ok = false;
	int rc;

	if ((rc = parse(in, &c)) == RC_OK &&
	    (rc = answer(&c, &key, &step, &ok)) == RC_OK) {
		wbuf_u32(out, c.request);
		wbuf_u8(out, ok);
		if (c.what == LOGIN_MAKE)
			wbuf_bytes(out, key.b, sizeof(key.b));
		else
			wbuf_zeros(out, sizeof(key.b));
		wbuf_u64(out, ok ? step : 0);
		rc = wbuf_rc(out);
	}
	secret_wipe(&c, sizeof(c));
	secret_clear(&key);
	return rc;
}

int
login_setup(void)
{
	static const uint8_t zeros[TOTP_SECRET_LEN];
	struct secret key;
	char code[TOTP_DIGITS + 1];
	int rc;

	if ((rc = digest_setup()) != RC_OK ||
	    (rc = scrypt_derive("", 0, zeros, 16, 16, 8, 1, &key)) != RC_OK)
		return rc;
	secret_clear(&key);
	return totp_code(zeros, 0, code);
}
