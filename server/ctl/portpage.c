#include "config.h"

#include "server/ctl/portpage.h"

#include <stdarg.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/ctl/ctl.h"

#define NEXT_VERSION	"the console comes with the next version"

static const struct {
	const char	*key, *protocol, *use, *pass, *cost;
} texts[PAGE_MAX] = {
	[PAGE_SERVER] = { "Ports.Server", "tcp", "enrol, backup, restore",
	    "yes, mandatory",
	    "clients cannot enrol, back up or restore" },
	[PAGE_SSL] = { "Ports.SSLServer", "tcp", "the same, TLS only",
	    "yes, mandatory", "clients with SSL.Enabled = 1 cannot enrol, "
	    "back up or restore" },
	[PAGE_GUI] = { "Ports.GUI", "tcp", "management, peer exchange", "no",
	    "\"switch to peer\" and exchange from outside stop; backup and "
	    "restore go on" },
	[PAGE_WEB] = { "Ports.Web", "tcp", "redirects to the console",
	    "only for remote administration",
	    "the console wants its whole address, https:// and the port" },
	[PAGE_WEBSSL] = { "Ports.WebSSL", "tcp", "console",
	    "only for remote administration",
	    "the console opens on this machine alone" },
	[PAGE_MCAST_REQ] = { "Ports.Multicast", "udp", "discovery: requests",
	    "no, subnet only", "this subnet does not find this machine by "
	    "multicast" },
	[PAGE_MCAST_ANS] = { "Ports.Multicast", "udp", "discovery: answers",
	    "no, subnet only", "this machine finds nobody of its subnet by "
	    "multicast" },
	[PAGE_SCAN] = { "Ports.UDPScan", "udp", "discovery: subnet scan",
	    "no, subnet only", "no discovery by scan" },
};

static uint16_t
conf_port(const struct conf *c, enum page_port i)
{
	const uint16_t v[PAGE_MAX] = {
		[PAGE_SERVER] = c->port_server, [PAGE_SSL] = c->port_ssl,
		[PAGE_GUI] = c->port_gui, [PAGE_WEB] = c->port_web,
		[PAGE_WEBSSL] = c->port_webssl,
		[PAGE_MCAST_REQ] = c->port_mcast_req,
		[PAGE_MCAST_ANS] = c->port_mcast_ans,
		[PAGE_SCAN] = c->port_scan,
	};

	return v[i];
}

/* Why the configuration wants it closed; NULL when it wants it open. */
static const char *
off_why(const struct conf *c, enum page_port i)
{
	switch (i) {
	case PAGE_SERVER:
	case PAGE_SSL:
		if (!conf_serves(c))
			return "this Mode serves no backups";
		return i == PAGE_SSL && !c->ssl_enabled ?
		    "SSL.Enabled = 0" : NULL;
	case PAGE_WEB:
	case PAGE_WEBSSL:
		return NEXT_VERSION;
	case PAGE_MCAST_REQ:
	case PAGE_MCAST_ANS:
		return c->mcast_enabled ? NULL :
		    "Discovery.Multicast.Enabled = 0";
	case PAGE_SCAN:
		return c->scan_enabled || c->scan_answer ? NULL :
		    "Discovery.UDPScan: Enabled = 0, Answer = 0";
	default:
		return NULL;
	}
}

static void
line_make(struct page_line *l, const struct conf *c, enum page_port i)
{
	l->key = texts[i].key;
	l->protocol = texts[i].protocol;
	l->use = texts[i].use;
	l->pass = texts[i].pass;
	l->cost = texts[i].cost;
	l->port = conf_port(c, i);
	l->access = i == PAGE_SERVER || i == PAGE_SSL ? &c->access_server :
	    i == PAGE_GUI ? &c->access_gui :
	    i == PAGE_WEB || i == PAGE_WEBSSL ? &c->access_web : NULL;
	if ((l->why = off_why(c, i)) != NULL) {
		l->state = PAGE_OFF;
		if (i <= PAGE_SSL)
			l->pass = !conf_serves(c) ? "no, only a server's" :
			    "if enabled";
	} else {
		l->state = PAGE_CLOSED;
		l->why = "not open now: see the log";
	}
	if (i == PAGE_SCAN && c->scan_enabled != c->scan_answer)
		l->use = c->scan_enabled ? "discovery: scan, asks only" :
		    "discovery: scan, answers only";
}

/* Requests and answers of multicast share a key and are told by their number. */
static struct page_line *
line_of(struct page *p, const char *key, uint16_t port)
{
	size_t i;

	for (i = 0; i < PAGE_MAX; i++)
		if (strcmp(p->line[i].key, key) == 0 &&
		    (p->line[i].port == port || (i != PAGE_MCAST_REQ &&
		    i != PAGE_MCAST_ANS)))
			return &p->line[i];
	return NULL;
}

static void
line_open(struct page_line *l, uint16_t port, const char *address)
{
	struct addr a;

	l->state = PAGE_OPEN;
	l->why = "";
	l->port = port;
	if (l->naddr < NITEMS(l->addr) && addr_parse(&a, address) == RC_OK)
		l->addr[l->naddr++] = a;
}

void
page_make(struct page *p, const struct conf *c, const struct json_doc *status)
{
	const struct json_value *v;
	struct page_line *l;
	int64_t port;
	size_t i;

	memset(p, 0, sizeof(*p));
	p->conf = c;
	for (i = 0; i < PAGE_MAX; i++)
		line_make(&p->line[i], c, (enum page_port)i);
	v = json_first(status, json_get(status, json_root(status), "ports"));
	for (; v != NULL; v = json_next(status, v)) {
		port = json_int(status, v, "port", 0);
		if (port <= 0 || port > 65535 ||
		    !json_int(status, v, "open", 0) || (l = line_of(p,
		    json_string(status, v, "key", ""), (uint16_t)port)) == NULL)
			continue;
		line_open(l, (uint16_t)port,
		    json_string(status, v, "address", ""));
		l->inherited = json_int(status, v, "inherited", 0) != 0;
	}
}

void
page_reach(struct page *p, const struct json_doc *reach)
{
	const struct json_value *v;
	struct page_line *l;
	int64_t port;

	v = json_first(reach, json_get(reach, json_root(reach), "ports"));
	for (; v != NULL; v = json_next(reach, v)) {
		port = json_int(reach, v, "port", 0);
		for (l = p->line; l < p->line + PAGE_MAX; l++)
			if (l->port == port && l->protocol[0] == 't')
				snprintf(l->reach, sizeof(l->reach), "%s",
				    json_string(reach, v, "result", "?"));
	}
}

/* snprintf() behind what is there already. */
__attribute__((format(printf, 3, 4)))
static void
append(char *out, size_t size, const char *fmt, ...)
{
	size_t n = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + n, size - n, fmt, ap);
	va_end(ap);
}

void
page_served(const struct page_line *l, char *out, size_t size)
{
	size_t i;

	out[0] = '\0';
	if (l->access == NULL)
		append(out, size, "this link");
	for (i = 0; l->access != NULL && i < l->access->n; i++)
		append(out, size, "%s%s", i > 0 ? ", " : "", l->access->s[i]);
	if (out[0] == '\0')
		append(out, size, "nobody");
}

static void
here(const struct page_line *l, char *out, size_t size)
{
	char text[ADDR_TEXT_MAX];
	bool any4 = false, any6 = false;
	size_t i;

	out[0] = '\0';
	if (l->state != PAGE_OPEN) {
		append(out, size, "%s: %s", l->state == PAGE_OFF ? "off" :
		    "closed", l->why);
		return;
	}
	for (i = 0; i < l->naddr; i++) {
		addr_text(&l->addr[i], text, sizeof(text));
		any4 = any4 || strcmp(text, "0.0.0.0") == 0;
		any6 = any6 || strcmp(text, "::") == 0;
		append(out, size, "%s%s", i > 0 ? ", " : "open on ", text);
	}
	if (any4 && any6)
		snprintf(out, size, "open on every address");
	if (l->inherited)
		append(out, size, " (systemd)");
}

void
page_print(const struct page *p, const char *from)
{
	const struct page_line *l;
	char text[600], head[80];

	ctl_print("PORT", 11);
	ctl_print("KEY", 17);
	ctl_print("USE", 31);
	ctl_print("HERE", 50);
	ctl_print("SERVED", 18);
	ctl_print("MUST PASS A FIREWALL/NAT", 32);
	if (from != NULL) {
		snprintf(head, sizeof(head), "FROM %.32s", from);
		ctl_print(head, 24);
	}
	printf("WHEN CLOSED\n");
	for (l = p->line; l < p->line + PAGE_MAX; l++) {
		snprintf(text, sizeof(text), "%s %u", l->protocol, l->port);
		ctl_print(text, 11);
		ctl_print(l->key, 17);
		ctl_print(l->use, 31);
		here(l, text, sizeof(text));
		ctl_print(text, 50);
		page_served(l, text, sizeof(text));
		ctl_print(text, 18);
		ctl_print(l->pass, 32);
		if (from != NULL)
			ctl_print(l->reach[0] != '\0' ? l->reach : "-", 24);
		printf("%s\n", l->cost);
	}
}

int
page_print_losses(const struct page *p, const char *from, FILE *f)
{
	const struct page_line *l;
	int lost = 0, tried = 0;

	for (l = p->line; l < p->line + PAGE_MAX; l++) {
		if (l->state != PAGE_OPEN || l->reach[0] == '\0' ||
		    strcmp(l->reach, "not tried") == 0)
			continue;
		tried++;
		if (strcmp(l->reach, "open") == 0)
			continue;
		fprintf(f, "%u unreachable from %s: %s\n", l->port, from,
		    l->cost);
		lost++;
	}
	if (tried == 0)
		fprintf(f, "%s tried no port.\n", from);
	else if (lost == 0)
		fprintf(f, "%s reaches every port that it tried.\n", from);
	return lost;
}
