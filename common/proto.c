#include "config.h"

#include "common/proto.h"

#include <stdio.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"

struct frame_info {
	const char	*name;
	uint16_t	 type;
	uint8_t		 who;
	uint8_t		 states;
	uint32_t	 max;
};

static const struct frame_info frames[] = {
#define X(name, code, who, states, max)					\
	{ #name, (code), (who), (states), (max) },
	PROTO_FRAMES(X)
#undef X
};

struct error_info {
	uint16_t	 code;
	bool		 retry;
	const char	*text;
};

static const struct error_info errors[] = {
#define X(name, code, retry, text) { (code), (retry), (text) },
	PROTO_ERRORS(X)
#undef X
};

/* What an error code means at the far end. */
static const struct {
	uint16_t	code;
	int		rc;
} error_rcs[] = {
	{ PROTO_ERR_INTERNAL,		RC_IO },
	{ PROTO_ERR_PROTOCOL,		RC_PROTO },
	{ PROTO_ERR_VERSION,		RC_VERSION },
	{ PROTO_ERR_AUTH,		RC_AUTH },
	{ PROTO_ERR_LATER,		RC_BUSY },
	{ PROTO_ERR_PLAINTEXT,		RC_DENIED },
	{ PROTO_ERR_VAULT,		RC_UNMOUNTED },
	{ PROTO_ERR_FULL,		RC_FULL },
	{ PROTO_ERR_QUOTA,		RC_QUOTA },
	{ PROTO_ERR_STATE,		RC_STATE },
	{ PROTO_ERR_LIMIT,		RC_LIMIT },
	{ PROTO_ERR_NOENT,		RC_NOENT },
	{ PROTO_ERR_CORRUPT,		RC_CORRUPT },
	{ PROTO_ERR_UNSUPPORTED,	RC_UNSUPPORTED },
	{ PROTO_ERR_READONLY,		RC_READONLY },
	{ PROTO_ERR_SEQUENCE,		RC_OLDER },
	{ PROTO_ERR_SHUTDOWN,		RC_BUSY },
	{ PROTO_ERR_DENIED,		RC_DENIED },
	{ PROTO_ERR_TIMEOUT,		RC_TIMEOUT },
};

static void
put_number(uint8_t *p, uint32_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--) {
		p[i] = (uint8_t)v;
		v >>= 8;
	}
}

void
frame_put(uint8_t p[PROTO_FRAME_LEN], const struct frame *f)
{
	put_number(p, f->length, 4);
	put_number(p + 4, f->type, 2);
	put_number(p + 6, f->flags, 2);
	put_number(p + 8, f->request, 4);
}

void
frame_get(const uint8_t p[PROTO_FRAME_LEN], struct frame *f)
{
	f->length = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
	f->type = (uint16_t)(p[4] << 8 | p[5]);
	f->flags = (uint16_t)(p[6] << 8 | p[7]);
	f->request = (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 |
	    (uint32_t)p[10] << 8 | p[11];
}

static const struct frame_info *
frame_info(uint16_t type)
{
	for (size_t i = 0; i < NITEMS(frames); i++)
		if (frames[i].type == type)
			return &frames[i];
	return NULL;
}

int
frame_allowed(const struct frame *f, int who, enum proto_state state)
{
	const struct frame_info *info;

	if ((info = frame_info(f->type)) == NULL || f->flags != 0 ||
	    (info->who & who) == 0)
		return RC_PROTO;
	if ((info->states & state) == 0)
		return RC_STATE;
	return f->length <= info->max ? RC_OK : RC_LIMIT;
}

const char *
proto_name(uint16_t type)
{
	const struct frame_info *info = frame_info(type);

	return info == NULL ? "?" : info->name;
}

static const struct error_info *
error_info(uint16_t code)
{
	for (size_t i = 0; i < NITEMS(errors); i++)
		if (errors[i].code == code)
			return &errors[i];
	return NULL;
}

const char *
proto_error_text(uint16_t code)
{
	const struct error_info *info = error_info(code);

	return info == NULL ? "unknown error" : info->text;
}

void
proto_error_says(uint16_t code, const char *text, char out[PROTO_SAYS_MAX])
{
	const char *known = proto_error_text(code);

	if (strstr(known, text) != NULL)	/* also when there is none */
		snprintf(out, PROTO_SAYS_MAX, "%s", known);
	else if (strstr(text, known) != NULL)
		snprintf(out, PROTO_SAYS_MAX, "%.300s", text);
	else
		snprintf(out, PROTO_SAYS_MAX, "%s (%.300s)", known, text);
}

bool
proto_error_retry(uint16_t code)
{
	const struct error_info *info = error_info(code);

	return info != NULL && info->retry;
}

uint16_t
proto_error_of(int rc)
{
	switch (rc) {
	case RC_OK:
		return 0;
	case RC_TRUNCATED:
	case RC_TRAILING:
	case RC_RANGE:
	case RC_PROTO:
		return PROTO_ERR_PROTOCOL;
	case RC_PIN:
		return PROTO_ERR_AUTH;
	case RC_AGAIN:
	case RC_BUSY:
		return PROTO_ERR_LATER;
	case RC_MISSING:
		return PROTO_ERR_NOENT;
	case RC_CRC:
	case RC_CRYPTO:
		return PROTO_ERR_CORRUPT;
	case RC_CANCELLED:
		return PROTO_ERR_SHUTDOWN;
	case RC_DENIED:		/* two codes mean it; clear text is not ours */
		return PROTO_ERR_DENIED;
	}
	for (size_t i = 0; i < NITEMS(error_rcs); i++)
		if (error_rcs[i].rc == rc)
			return error_rcs[i].code;
	return PROTO_ERR_INTERNAL;
}

int
proto_error_rc(uint16_t code)
{
	for (size_t i = 0; i < NITEMS(error_rcs); i++)
		if (error_rcs[i].code == code)
			return error_rcs[i].rc;
	return code == 0 ? RC_OK : RC_PROTO;
}

/* An ERROR is only ever shown, so what is too long or odd in its text is made
 * harmless here and refused at the other end. */
void
proto_err_put(struct wbuf *out, uint16_t code, const char *text)
{
	char clean[sizeof(((struct proto_err *)NULL)->text)];
	size_t n = 0;

	for (; text != NULL && text[n] != '\0' && n < sizeof(clean) - 1; n++)
		clean[n] = (unsigned char)text[n] < 0x20 || text[n] == 0x7f ?
		    '?' : text[n];
	clean[n] = '\0';
	wbuf_u16(out, code);
	wbuf_u8(out, proto_error_retry(code));
	wbuf_str(out, clean);
}

int
proto_err_parse(struct rbuf *in, struct proto_err *e)
{
	struct proto_err got = { 0 };
	int rc;

	if ((rc = rbuf_u16(in, &got.code)) != RC_OK ||
	    (rc = rbuf_u8(in, &got.retry)) != RC_OK ||
	    (rc = proto_text(in, got.text, sizeof(got.text))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	if (got.code == 0 || got.retry > 1)
		return RC_RANGE;
	*e = got;
	return RC_OK;
}

int
proto_text(struct rbuf *in, char *out, size_t size)
{
	int rc;

	if ((rc = rbuf_str(in, out, size)) != RC_OK)
		return rc;
	for (; *out != '\0'; out++)
		if ((unsigned char)*out < 0x20 || *out == 0x7f)
			return RC_RANGE;
	return RC_OK;
}
