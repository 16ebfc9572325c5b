#include "config.h"

#include "server/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"

static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

static void
normalise(struct addr *a)
{
	if (a->family != 6 || memcmp(a->b, v4_mapped, sizeof(v4_mapped)) != 0)
		return;
	a->family = 4;
	memmove(a->b, a->b + 12, 4);
	memset(a->b + 4, 0, 12);
}

void
addr_put(struct wbuf *out, const struct addr *a)
{
	wbuf_u8(out, a->family);
	wbuf_bytes(out, a->b, sizeof(a->b));
	wbuf_u16(out, a->port);
}

int
addr_get(struct rbuf *in, struct addr *a)
{
	struct addr r = { 0 };
	int rc;

	if ((rc = rbuf_u8(in, &r.family)) != RC_OK ||
	    (rc = rbuf_bytes(in, r.b, sizeof(r.b))) != RC_OK ||
	    (rc = rbuf_u16(in, &r.port)) != RC_OK)
		return rc;
	if (r.family != 0 && r.family != 4 && r.family != 6)
		return RC_RANGE;
	if (r.family != 6)
		memset(r.b + (r.family == 4 ? 4 : 0), 0,
		    r.family == 4 ? 12 : 16);
	normalise(&r);
	*a = r;
	return RC_OK;
}

void
addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t len)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	memset(a, 0, sizeof(*a));
	if (len >= sizeof(sin) && sa->sa_family == AF_INET) {
		memcpy(&sin, sa, sizeof(sin));
		a->family = 4;
		memcpy(a->b, &sin.sin_addr, 4);
		a->port = ntohs(sin.sin_port);
	} else if (len >= sizeof(sin6) && sa->sa_family == AF_INET6) {
		memcpy(&sin6, sa, sizeof(sin6));
		a->family = 6;
		memcpy(a->b, &sin6.sin6_addr, 16);
		a->port = ntohs(sin6.sin6_port);
		normalise(a);
	}
}

socklen_t
addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ss)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };

	memset(ss, 0, sizeof(*ss));
	if (a->family == 4) {
		memcpy(&sin.sin_addr, a->b, 4);
		sin.sin_port = htons(a->port);
		memcpy(ss, &sin, sizeof(sin));
		return sizeof(sin);
	}
	memcpy(&sin6.sin6_addr, a->b, 16);
	sin6.sin6_port = htons(a->port);
	memcpy(ss, &sin6, sizeof(sin6));
	return sizeof(sin6);
}

int
addr_parse(struct addr *a, const char *text)
{
	struct addr r = { 0 };

	if (inet_pton(AF_INET, text, r.b) == 1)
		r.family = 4;
	else if (inet_pton(AF_INET6, text, r.b) == 1)
		r.family = 6;
	else
		return RC_RANGE;
	normalise(&r);
	*a = r;
	return RC_OK;
}

const char *
addr_text(const struct addr *a, char *out, size_t size)
{
	if (a->family == 0 ||
	    inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->b, out,
	    (socklen_t)size) == NULL)
		snprintf(out, size, "local");
	return out;
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && a->port == b->port &&
	    memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

void
addr_mask(struct addr *a, unsigned int bits)
{
	size_t i;

	for (i = 0; i < sizeof(a->b); i++) {
		if (bits >= 8) {
			bits -= 8;
			continue;
		}
		a->b[i] &= (uint8_t)(0xff00u >> bits);
		bits = 0;
	}
	a->port = 0;
}

void
addr_source(const struct addr *a, struct addr *out)
{
	*out = *a;
	addr_mask(out, a->family == 6 ? 64 : 32);
}

void
addr_network(const struct addr *a, struct addr *out)
{
	*out = *a;
	addr_mask(out, a->family == 6 ? 48 : 24);
}

static int
parse_bits(const char *s, unsigned int max, uint8_t *bits)
{
	unsigned int v = 0;
	size_t i;

	for (i = 0; s[i] != '\0'; i++) {
		if (s[i] < '0' || s[i] > '9' || i >= 3)
			return RC_RANGE;
		v = v * 10 + (unsigned int)(s[i] - '0');
	}
	if (i == 0 || v > max)
		return RC_RANGE;
	*bits = (uint8_t)v;
	return RC_OK;
}

int
addr_net_parse(struct addr_net *n, const char *text)
{
	struct addr_net r = { .kind = ADDR_CIDR };
	struct addr masked;
	char host[64];
	const char *slash;
	size_t len;
	bool mapped;

	if (strcmp(text, "any") == 0 || strcmp(text, "private") == 0) {
		r.kind = text[0] == 'a' ? ADDR_ANY : ADDR_PRIVATE;
		*n = r;
		return RC_OK;
	}
	slash = strchr(text, '/');
	len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	if (len >= sizeof(host))
		return RC_RANGE;
	memcpy(host, text, len);
	host[len] = '\0';
	if (addr_parse(&r.a, host) != RC_OK)
		return RC_RANGE;
	/* ::ffff:10.0.0.0/104 is 10.0.0.0/8; a shorter one spans more than
	 * IPv4 and is refused rather than guessed at. */
	mapped = r.a.family == 4 && strchr(host, ':') != NULL;
	r.bits = r.a.family == 4 ? 32 : 128;
	if (slash != NULL) {
		if (parse_bits(slash + 1, mapped ? 128 : r.bits, &r.bits) !=
		    RC_OK || (mapped && r.bits < 96))
			return RC_RANGE;
		if (mapped)
			r.bits = (uint8_t)(r.bits - 96);
	}
	/* 10.1.2.3/8 is a slip more often than a wish. */
	masked = r.a;
	addr_mask(&masked, r.bits);
	if (!addr_equal(&masked, &r.a))
		return RC_RANGE;
	*n = r;
	return RC_OK;
}

static bool
in_cidr(const struct addr *a, const struct addr *net, unsigned int bits)
{
	struct addr m = *a;

	if (a->family != net->family)
		return false;
	addr_mask(&m, bits);
	return memcmp(m.b, net->b, sizeof(m.b)) == 0;
}

bool
addr_is_private(const struct addr *a)
{
	static const struct {
		struct addr	net;
		uint8_t		bits;
	} v[] = {
		{ { 4, { 127 }, 0 }, 8 },
		{ { 4, { 10 }, 0 }, 8 },
		{ { 4, { 172, 16 }, 0 }, 12 },
		{ { 4, { 192, 168 }, 0 }, 16 },
		{ { 4, { 169, 254 }, 0 }, 16 },
		{ { 6, { [15] = 1 }, 0 }, 128 },
		{ { 6, { 0xfe, 0x80 }, 0 }, 10 },
		{ { 6, { 0xfc }, 0 }, 7 },
	};
	size_t i;

	for (i = 0; i < NITEMS(v); i++)
		if (in_cidr(a, &v[i].net, v[i].bits))
			return true;
	return false;
}

int
addr_list_parse(struct addr_list *l, const struct conf_list *from, size_t *bad)
{
	size_t i;

	l->n = 0;
	for (i = 0; i < from->n && i < CONF_LIST_MAX; i++) {
		if (addr_net_parse(&l->v[i], from->s[i]) != RC_OK) {
			if (bad != NULL)
				*bad = i;
			return RC_CONFIG;
		}
		l->n = i + 1;
	}
	return RC_OK;
}

bool
addr_list_has(const struct addr_list *l, const struct addr *a)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		switch (l->v[i].kind) {
		case ADDR_ANY:
			return true;
		case ADDR_PRIVATE:
			if (addr_is_private(a))
				return true;
			break;
		case ADDR_CIDR:
			if (in_cidr(a, &l->v[i].a, l->v[i].bits))
				return true;
			break;
		}
	}
	return false;
}
