#include "config.h"

#include "common/conf.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/num.h"
#include "common/rc.h"

#define HOST_UNKNOWN	"localhost"
#define U31		INT32_MAX	/* largest plain integer of libconfig */

static const char *const modes[] = {
	[CONF_MODE_SERVER] = "server",
	[CONF_MODE_CLIENT] = "client",
	[CONF_MODE_BOTH] = "both",
	[CONF_MODE_REPLICATION] = "replication",
};

#define AT(field)	offsetof(struct conf, field)
#define BOOL(path, field, reload)					\
	{ path, CONF_BOOL, AT(field), 0, 1, reload, "0 or 1" }
#define PORT(path, field)						\
	{ path, CONF_PORT, AT(field), 1, 65535, false, "1 to 65535" }
#define INT(path, field, min, max, reload, hint)			\
	{ path, CONF_INT, AT(field), min, max, reload, hint }
#define STR(path, field, min, reload, hint)				\
	{ path, CONF_STRING, AT(field), min,				\
	    sizeof(((struct conf *)NULL)->field) - 1, reload, hint }
#define LIST(path, field, reload, hint)					\
	{ path, CONF_LIST, AT(field), 0, CONF_LIST_MAX, reload, hint }

#define ADDRESSES	"a list of addresses, networks, \"any\", \"private\""
#define BINDS		"a list of addresses to bind, or \"*\""
#define FILE_NAME	"an absolute path, or \"\""

/* In the file's order (DESIGN section 10); channels carry the values so too. */
const struct conf_key conf_keys[] = {
	STR("ID", id, 0, false, "a name of 1 to 63 characters"),
	{ "Mode", CONF_MODE, AT(mode), 0, NITEMS(modes) - 1, false,
	    "\"server\", \"client\", \"both\" or \"replication\"" },
	PORT("Ports.Server", port_server),
	PORT("Ports.SSLServer", port_ssl),
	PORT("Ports.GUI", port_gui),
	PORT("Ports.Web", port_web),
	PORT("Ports.WebSSL", port_webssl),
	{ "Ports.Multicast", CONF_PORT_PAIR, AT(port_mcast_req), 1, 65535,
	    false, "two ports, as [6363, 6364]" },
	PORT("Ports.UDPScan", port_scan),
	BOOL("SSL.Enabled", ssl_enabled, false),
	STR("SSL.SSLCertFile", ssl_cert, 0, false, FILE_NAME),
	STR("SSL.SSLKeyFile", ssl_key, 0, false, FILE_NAME),
	STR("WebSSL.CertFile", web_cert, 0, false, FILE_NAME),
	STR("WebSSL.KeyFile", web_key, 0, false, FILE_NAME),
	LIST("Listen.Server", listen_server, false, BINDS),
	LIST("Listen.GUI", listen_gui, false, BINDS),
	LIST("Listen.Web", listen_web, false, BINDS),
	LIST("Access.Server", access_server, true, ADDRESSES),
	LIST("Access.GUI", access_gui, true, ADDRESSES),
	LIST("Access.Web", access_web, true, ADDRESSES),
	LIST("Plaintext.AllowFrom", plaintext_from, true, ADDRESSES),
	BOOL("Plaintext.Client", plaintext_client, true),
	BOOL("Discovery.Multicast.Enabled", mcast_enabled, false),
	INT("Discovery.Multicast.Interval", mcast_interval, 5, 86400, true,
	    "seconds, 5 to 86400"),
	BOOL("Discovery.UDPScan.Enabled", scan_enabled, false),
	BOOL("Discovery.UDPScan.Answer", scan_answer, false),
	INT("Discovery.UDPScan.Interval", scan_interval, 5, 86400, true,
	    "seconds, 5 to 86400"),
	BOOL("Discovery.TCP.Enabled", exchange_enabled, true),
	INT("Discovery.TCP.Interval", exchange_interval, 10, 86400, true,
	    "seconds, 10 to 86400"),
	INT("Discovery.TCP.MaxPeers", exchange_max, 1, 1000, true,
	    "1 to 1000"),
	LIST("Switch.AllowFrom", switch_from, true,
	    "a list of identity fingerprints"),
	STR("Switch.MaxRole", switch_role, 1, true, "the name of a role"),
	INT("Pool.SessionMin", pool_min, 1, 1024, true, "1 to 1024"),
	INT("Pool.SessionMax", pool_max, 1, 4096, true, "1 to 4096"),
	STR("Paths.State", state, 1, false, "an absolute path"),
	STR("Paths.Vaults", vaults, 0, false,
	    "an absolute path, or \"\": State/vaults"),
	STR("Paths.Run", run, 1, false, "an absolute path"),
	STR("Paths.Programs", programs, 0, false,
	    "an absolute path, or \"\": as compiled in"),
	STR("Advertise", advertise, 0, true,
	    "the name or address clients use, or \"\": the host name"),
	INT("Users.Base", users_base, 0, U31, false,
	    "first numeric user id, or 0: names from passwd"),
	LIST("Web.Hosts", web_hosts, true, "a list of host names"),
	LIST("Sandbox.Allow", sandbox_allow, false,
	    "a list of safeguards that may be missing"),
	INT("Limits.Silent", silent_max, 16, 65536, true,
	    "connections before their first byte, 16 to 65536"),
	INT("Limits.SilentMs", silent_ms, 100, 600000, true,
	    "milliseconds, 100 to 600000"),
	INT("Limits.HalfOpen", halfopen_max, 1, 65536, true,
	    "connections not yet logged in, 1 to 65536"),
	INT("Limits.PerAddress", per_address, 1, 65536, true,
	    "half-open connections of an address or /64, 1 to 65536"),
	INT("Limits.PerNetwork", per_network, 1, 65536, true,
	    "half-open connections of a /24 or /48, 1 to 65536"),
	LIST("Limits.Exempt", exempt, true, ADDRESSES),
	INT("Retention.LockDays", lock_days, 0, 36500, true,
	    "days, 0 to 36500"),
	{ "Quota.Reserve", CONF_SIZE, AT(reserve_bytes), 0, INT64_MAX, true,
	    "a size, as \"64M\" or \"500G\"" },
};
const size_t conf_keys_n = NITEMS(conf_keys);

_Static_assert(AT(port_mcast_ans) == AT(port_mcast_req) + sizeof(uint16_t),
    "a CONF_PORT_PAIR lies side by side");

/*
 * The host name, asked for once: conf_defaults() comes before a sandbox that
 * may refuse uname(2), conf_finish() behind it.
 */
static char host_name[64];

bool
conf_serves(const struct conf *c)
{
	return c->mode != CONF_MODE_CLIENT;
}

static void
set_string(char *to, size_t size, const char *s)
{
	snprintf(to, size, "%s", s);
}

static void
set_list(struct conf_list *l, const char *only)
{
	l->n = 1;
	set_string(l->s[0], sizeof(l->s[0]), only);
}

static void
host_name_ask(void)
{
	char name[HOST_NAME_MAX + 1] = "";

	if (host_name[0] != '\0')
		return;
	if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
		set_string(name, sizeof(name), HOST_UNKNOWN);
	snprintf(host_name, sizeof(host_name), "%.*s",
	    (int)sizeof(host_name) - 1, name);
}

static void
discovery_defaults(struct conf *c)
{
	c->mcast_enabled = true;
	c->mcast_interval = 60;
	c->scan_interval = 60;
	c->exchange_enabled = true;
	c->exchange_interval = 300;
	c->exchange_max = 60;
	set_string(c->switch_role, sizeof(c->switch_role), "operator");
}

static void
limit_defaults(struct conf *c)
{
	c->pool_min = 4;
	c->pool_max = 256;
	c->silent_max = 4096;
	c->silent_ms = 10000;
	c->halfopen_max = 256;
	c->per_address = 8;
	c->per_network = 32;
	c->lock_days = 7;
	/* One pack: what sealing packs, a new journal segment and merging the
	 * index can need after the last upload was let in, so that a full disk
	 * refuses uploads and never leaves a vault that cannot finish. */
	c->reserve_bytes = 64u << 20;
}

void
conf_defaults(struct conf *c)
{
	memset(c, 0, sizeof(*c));
	host_name_ask();
	set_string(c->id, sizeof(c->id), host_name);
	c->mode = CONF_MODE_SERVER;
	c->port_server = 32004;
	c->port_ssl = 32007;
	c->port_gui = 32005;
	c->port_web = 6060;
	c->port_webssl = 6061;
	c->port_mcast_req = 6363;
	c->port_mcast_ans = 6364;
	c->port_scan = 32006;
	set_list(&c->listen_server, "*");
	set_list(&c->listen_gui, "*");
	set_list(&c->listen_web, "*");
	set_list(&c->access_server, "any");
	set_list(&c->access_gui, "private");
	set_list(&c->access_web, "private");
	set_string(c->state, sizeof(c->state), "/var/lib/storegrid");
	set_string(c->run, sizeof(c->run), "/run/storegrid");
	discovery_defaults(c);
	limit_defaults(c);
}

void
conf_finish(struct conf *c)
{
	static const char suffix[] = "/vaults";

	if (c->id[0] == '\0' || c->advertise[0] == '\0')
		host_name_ask();
	if (c->id[0] == '\0')
		set_string(c->id, sizeof(c->id), host_name);
	if (c->advertise[0] == '\0')
		set_string(c->advertise, sizeof(c->advertise), host_name);
	if (c->programs[0] == '\0')
		set_string(c->programs, sizeof(c->programs), PROGRAMS_DIR);
	/* A State too long for it leaves "" behind, which no one can open. */
	if (c->vaults[0] == '\0' &&
	    strlen(c->state) + sizeof(suffix) <= sizeof(c->vaults)) {
		memcpy(c->vaults, c->state, strlen(c->state));
		memcpy(c->vaults + strlen(c->state), suffix, sizeof(suffix));
	}
}

static void
list_put_value(struct wbuf *out, const struct conf_list *l)
{
	if (l->n > CONF_LIST_MAX) {
		if (out->rc == RC_OK)
			out->rc = RC_LIMIT;
		return;
	}
	wbuf_u8(out, l->n);
	for (size_t i = 0; i < l->n; i++)
		wbuf_str(out, l->s[i]);
}

static void
value_put(struct wbuf *out, const struct conf *c, const struct conf_key *k)
{
	const void *at = (const char *)c + k->offset;

	switch (k->type) {
	case CONF_BOOL:
		wbuf_u8(out, *(const bool *)at);
		break;
	case CONF_MODE:
		wbuf_u8(out, *(const uint8_t *)at);
		break;
	case CONF_INT:
		wbuf_u32(out, *(const uint32_t *)at);
		break;
	case CONF_PORT:
		wbuf_u16(out, *(const uint16_t *)at);
		break;
	case CONF_PORT_PAIR:
		wbuf_u16(out, ((const uint16_t *)at)[0]);
		wbuf_u16(out, ((const uint16_t *)at)[1]);
		break;
	case CONF_SIZE:
		wbuf_u64(out, *(const uint64_t *)at);
		break;
	case CONF_STRING:
		wbuf_str(out, at);
		break;
	case CONF_LIST:
		list_put_value(out, at);
		break;
	}
}

void
conf_put(struct wbuf *out, const struct conf *c)
{
	for (size_t i = 0; i < conf_keys_n; i++)
		value_put(out, c, &conf_keys[i]);
}

static int
in_range(const struct conf_key *k, uint64_t v)
{
	return v >= (uint64_t)k->min && v <= (uint64_t)k->max ? RC_OK :
	    RC_RANGE;
}

static int
get_u8(struct rbuf *in, const struct conf_key *k, uint8_t *v)
{
	int rc;

	if ((rc = rbuf_u8(in, v)) != RC_OK)
		return rc;
	return in_range(k, *v);
}

static int
get_port(struct rbuf *in, const struct conf_key *k, uint16_t *v)
{
	int rc;

	if ((rc = rbuf_u16(in, v)) != RC_OK)
		return rc;
	return in_range(k, *v);
}

static int
get_text(struct rbuf *in, char *out, size_t size)
{
	int rc;

	if ((rc = rbuf_str(in, out, size)) != RC_OK)
		return rc;
	for (; *out != '\0'; out++)
		if ((unsigned char)*out < 0x20 || *out == 0x7f)
			return RC_RANGE;
	return RC_OK;
}

static int
list_get(struct rbuf *in, const struct conf_key *k, struct conf_list *l)
{
	int rc;

	if ((rc = get_u8(in, k, &l->n)) != RC_OK)
		return rc;
	for (size_t i = 0; i < l->n; i++)
		if ((rc = get_text(in, l->s[i], sizeof(l->s[i]))) != RC_OK)
			return rc;
	return RC_OK;
}

static int
value_get(struct rbuf *in, struct conf *c, const struct conf_key *k)
{
	void *at = (char *)c + k->offset;
	uint8_t flag;
	int rc = RC_RANGE;

	switch (k->type) {
	case CONF_BOOL:
		if ((rc = get_u8(in, k, &flag)) == RC_OK)
			*(bool *)at = flag != 0;
		break;
	case CONF_MODE:
		rc = get_u8(in, k, at);
		break;
	case CONF_INT:
		if ((rc = rbuf_u32(in, at)) == RC_OK)
			rc = in_range(k, *(uint32_t *)at);
		break;
	case CONF_PORT:
		rc = get_port(in, k, at);
		break;
	case CONF_PORT_PAIR:
		if ((rc = get_port(in, k, at)) == RC_OK)
			rc = get_port(in, k, (uint16_t *)at + 1);
		break;
	case CONF_SIZE:
		if ((rc = rbuf_u64(in, at)) == RC_OK)
			rc = in_range(k, *(uint64_t *)at);
		break;
	case CONF_STRING:
		rc = get_text(in, at, (size_t)k->max + 1);
		if (rc == RC_OK && strlen(at) < (size_t)k->min)
			rc = RC_RANGE;
		break;
	case CONF_LIST:
		rc = list_get(in, k, at);
		break;
	}
	return rc;
}

int
conf_get(struct rbuf *in, struct conf *c)
{
	struct conf got;
	struct rbuf try = *in;
	int rc;

	memset(&got, 0, sizeof(got));
	for (size_t i = 0; i < conf_keys_n; i++)
		if ((rc = value_get(&try, &got, &conf_keys[i])) != RC_OK)
			return rc;
	if (got.pool_min > got.pool_max)
		return RC_RANGE;
	*c = got;
	*in = try;
	return RC_OK;
}

/* Appends to a fixed buffer; what does not fit is cut. */
struct text {
	char	*p;
	size_t	 size, len;
};

static void
text_char(struct text *t, char c)
{
	if (t->len + 1 < t->size) {
		t->p[t->len++] = c;
		t->p[t->len] = '\0';
	}
}

static void
text_quoted(struct text *t, const char *s)
{
	text_char(t, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			text_char(t, '\\');
		text_char(t, *s);
	}
	text_char(t, '"');
}

static void
text_number(struct text *t, uint64_t v)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%llu", (unsigned long long)v);
	for (const char *d = digits; *d != '\0'; d++)
		text_char(t, *d);
}

static void
text_list(struct text *t, const struct conf_list *l)
{
	text_char(t, '[');
	for (size_t i = 0; i < l->n && i < CONF_LIST_MAX; i++) {
		if (i > 0) {
			text_char(t, ',');
			text_char(t, ' ');
		}
		text_quoted(t, l->s[i]);
	}
	text_char(t, ']');
}

/* The largest unit that says it exactly, as a string (see DESIGN 10). */
static void
text_size(struct text *t, uint64_t v)
{
	static const char units[] = "KMGT";
	char unit = '\0';

	for (size_t i = 0; v != 0 && v % 1024 == 0 && units[i] != '\0'; i++) {
		v /= 1024;
		unit = units[i];
	}
	text_char(t, '"');
	text_number(t, v);
	if (unit != '\0')
		text_char(t, unit);
	text_char(t, '"');
}

void
conf_print(const struct conf *c, const struct conf_key *k, char *out,
    size_t size)
{
	const void *at = (const char *)c + k->offset;
	struct text t = { out, size, 0 };

	if (size == 0)
		return;
	out[0] = '\0';
	switch (k->type) {
	case CONF_BOOL:
		text_char(&t, *(const bool *)at ? '1' : '0');
		break;
	case CONF_MODE:
		if (*(const uint8_t *)at < NITEMS(modes))
			text_quoted(&t, modes[*(const uint8_t *)at]);
		break;
	case CONF_INT:
		text_number(&t, *(const uint32_t *)at);
		break;
	case CONF_PORT:
		text_number(&t, *(const uint16_t *)at);
		break;
	case CONF_PORT_PAIR:
		text_char(&t, '[');
		text_number(&t, ((const uint16_t *)at)[0]);
		text_char(&t, ',');
		text_char(&t, ' ');
		text_number(&t, ((const uint16_t *)at)[1]);
		text_char(&t, ']');
		break;
	case CONF_SIZE:
		text_size(&t, *(const uint64_t *)at);
		break;
	case CONF_STRING:
		text_quoted(&t, at);
		break;
	case CONF_LIST:
		text_list(&t, at);
		break;
	}
}
