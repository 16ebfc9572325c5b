#include "config.h"

#include "server/http/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "common/rc.h"

static const char name_chars[] = "abcdefghijklmnopqrstuvwxyz"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
static const char six_chars[] = "0123456789abcdefABCDEF:.";

static bool
all_of(const char *p, size_t len, const char *chars)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] == '\0' || strchr(chars, p[i]) == NULL)
			return false;
	return len > 0;
}

static bool
port_ok(const char *p, size_t len)
{
	unsigned long v = 0;
	size_t i;

	if (len == 0 || len > 5 || !all_of(p, len, "0123456789"))
		return false;
	for (i = 0; i < len; i++)
		v = v * 10 + (unsigned long)(p[i] - '0');
	return v >= 1 && v <= 65535;
}

int
http_host_split(const char *host, size_t len, char name[256])
{
	const char *end, *chars = name_chars;
	size_t n;

	if (len > 0 && host[0] == '[') {
		host++;
		len--;
		if ((end = memchr(host, ']', len)) == NULL)
			return RC_PROTO;
		chars = six_chars;
		n = (size_t)(end - host);
		len -= n + 1;
		end++;
	} else {
		end = memchr(host, ':', len);
		n = end == NULL ? len : (size_t)(end - host);
		end = host + n;
		len -= n;
	}
	if (n > 255 || !all_of(host, n, chars))
		return RC_PROTO;
	if (len > 0 && (*end != ':' || !port_ok(end + 1, len - 1)))
		return RC_PROTO;
	memcpy(name, host, n);
	name[n] = '\0';
	return RC_OK;
}

static bool
is_literal(const char *name)
{
	struct in6_addr a;

	return inet_pton(AF_INET, name, &a) == 1 ||
	    inet_pton(AF_INET6, name, &a) == 1;
}

bool
http_host_ok(const char *host, const struct conf *conf, bool control)
{
	char name[256], advertised[256];
	size_t i;

	if (http_host_split(host, strlen(host), name) != RC_OK)
		return false;
	if (is_literal(name) || strcasecmp(name, "localhost") == 0 ||
	    (control && strcmp(name, "storegrid") == 0) ||
	    strcasecmp(name, conf->id) == 0)
		return true;
	if (http_host_split(conf->advertise, strlen(conf->advertise),
	    advertised) == RC_OK && strcasecmp(name, advertised) == 0)
		return true;
	for (i = 0; i < conf->web_hosts.n; i++)
		if (strcasecmp(name, conf->web_hosts.s[i]) == 0)
			return true;
	return false;
}

bool
http_origin_ok(const char *origin, const char *host)
{
	return strncasecmp(origin, "https://", 8) == 0 &&
	    strcasecmp(origin + 8, host) == 0;
}
