#include "config.h"

#include "client/cli/discover.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/run.h"
#include "client/cli/show_impl.h"
#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"

#define START_MS	20000		/* its requests take some work */

const char *
discover_mode(uint8_t mode)
{
	static const char *const names[] = {
		[CONF_MODE_SERVER] = "server", [CONF_MODE_CLIENT] = "client",
		[CONF_MODE_BOTH] = "both",
		[CONF_MODE_REPLICATION] = "replication",
	};

	return mode < NITEMS(names) ? names[mode] : "?";
}

/* family u8, 16 bytes, port u16; a link-local address needs its interface. */
static int
take_address(struct rbuf *in, struct discovered *d)
{
	char text[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
	uint32_t index;
	uint16_t port;
	uint8_t b[16];
	int rc;

	if ((rc = rbuf_u32(in, &index)) != RC_OK ||
	    (rc = rbuf_u8(in, &d->family)) != RC_OK ||
	    (rc = rbuf_bytes(in, b, sizeof(b))) != RC_OK ||
	    (rc = rbuf_u16(in, &port)) != RC_OK)
		return rc;
	if ((d->family != 4 && d->family != 6) || inet_ntop(d->family == 4 ?
	    AF_INET : AF_INET6, b, text, sizeof(text)) == NULL)
		return RC_RANGE;
	if (d->family == 6 && if_indextoname(index, name) != NULL)
		snprintf(d->host, sizeof(d->host), "%s%%%s", text, name);
	else
		snprintf(d->host, sizeof(d->host), "%s", text);
	return RC_OK;
}

int
discover_take(struct rbuf *in, struct discovered *list, size_t max, size_t *n)
{
	struct discovered d;
	size_t i;
	int rc;

	memset(&d, 0, sizeof(d));
	if ((rc = take_address(in, &d)) != RC_OK ||
	    (rc = peer_info_get(in, &d.info)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	for (i = 0; i < *n; i++)
		if (memcmp(list[i].info.identity, d.info.identity,
		    ED25519_LEN) == 0)
			break;
	if (i == max)
		return RC_LIMIT;
	if (i == *n)
		list[(*n)++] = d;
	else if (d.family == 4 && list[i].family == 6)
		list[i] = d;
	return RC_OK;
}

static int
by_id(const void *a, const void *b)
{
	const struct discovered *x = a, *y = b;
	int order = strcmp(x->info.id, y->info.id);

	return order != 0 ? order :
	    memcmp(x->info.identity, y->info.identity, ED25519_LEN);
}

static int
give_order(const struct cli *c, struct child *ch, unsigned ms)
{
	struct wbuf b = WBUF_INIT(10);
	int rc;

	wbuf_u16(&b, c->conf.port_mcast_req);
	wbuf_u16(&b, c->conf.port_mcast_ans);
	wbuf_u16(&b, c->conf.port_gui);
	wbuf_u32(&b, ms);
	rc = chan_send(ch->chan, MSG_SEEK, &b, -1);
	wbuf_free(&b);
	return rc;
}

/* All that it tells, until it is done.  RC_EOF: it died before that. */
static int
collect(struct run *r, struct child *ch, unsigned ms, struct discovered *list,
    size_t max, size_t *n, unsigned *links)
{
	uint64_t until = io_now_ms() + START_MS + ms, now;
	uint32_t asked;
	struct msg m;
	int rc;

	while ((now = io_now_ms()) < until) {
		rc = chan_recv_wait(ch->chan, &m, (int)(until - now));
		if (rc != RC_OK)
			return rc;
		switch (m.type) {
		case MSG_READY:
			dial_empty_drop(r);
			break;
		case MSG_LOG:
			rc = child_log(r, ch, &m);
			break;
		case MSG_SEEK_SEEN:
			rc = discover_take(&m.body, list, max, n);
			break;
		case MSG_SEEK_END:
			if ((rc = rbuf_u32(&m.body, &asked)) == RC_OK &&
			    (rc = rbuf_end(&m.body)) == RC_OK)
				*links = asked;
			return rc;
		default:
			return RC_STATE;
		}
		if (rc != RC_OK && rc != RC_LIMIT)
			return rc;
	}
	return RC_TIMEOUT;
}

int
discover_servers(struct cli *c, unsigned ms, struct discovered *list,
    size_t max, size_t *n, unsigned *links, char *err, size_t size)
{
	struct run r = { .cli = c, .sig_fd = -1 };
	struct child ch = { .role = ROLE_NONE };
	char missing[256];
	int rc;

	*n = 0;
	*links = 0;
	if ((r.show = show_new(c->json, VERB_NONE)) == NULL)
		return EXIT_FAILED;
	rc = spawn_open(&r.spawner, ROLE_COMMAND, c->conf.programs, R(SEEK),
	    missing, sizeof(missing));
	if (rc != RC_OK)
		snprintf(err, size, "%s: %s (is StoreGrid installed whole? "
		    "Paths.Programs names another place)", missing,
		    rc_str(rc));
	else if ((rc = dial_empty_make(&r)) != RC_OK ||
	    (rc = child_start(&r, &ch, ROLE_SEEK)) != RC_OK ||
	    (rc = give_order(c, &ch, ms)) != RC_OK ||
	    (rc = collect(&r, &ch, ms, list, max, n, links)) != RC_OK)
		snprintf(err, size, "the process that asks the links failed: "
		    "%s", rc_str(rc));
	child_end(&r, &ch);
	dial_empty_drop(&r);
	spawn_free(r.spawner);
	show_free(r.show);
	qsort(list, *n, sizeof(*list), by_id);
	return rc == RC_OK ? EXIT_DONE : EXIT_FAILED;
}

/* --- the verb --- */

static void
put_port(char *out, size_t size, const char *name, uint16_t port)
{
	size_t n = strlen(out);

	if (port != 0)
		snprintf(out + n, size - n, "%s%s %u", n > 0 ? ", " : "",
		    name, port);
}

static void
print_text(const struct discovered *list, size_t n)
{
	struct show *s = show_new(false, VERB_NONE);
	char fp[PEER_FP_LEN + 1], ports[128];

	if (s == NULL)
		return;
	printf("%-20s %-11s %-24s %-34s %s\n", "STOREGRID ID", "MODE",
	    "ADDRESS", "FINGERPRINT", "PORTS");
	for (size_t i = 0; i < n; i++) {
		const struct peer_info *p = &list[i].info;

		ports[0] = '\0';
		put_port(ports, sizeof(ports), "Server", p->port_server);
		put_port(ports, sizeof(ports), "SSLServer", p->port_ssl);
		put_port(ports, sizeof(ports), "GUI", p->port_gui);
		put_port(ports, sizeof(ports), "WebSSL", p->port_webssl);
		peer_fingerprint(p->identity, fp);
		printf("%-20s %-11s %-24s %-34s %s\n", show_esc(s, 0,
		    p->id, strlen(p->id)), discover_mode(p->mode),
		    list[i].host, fp, ports);
	}
	show_free(s);
}

static void
print_json(const struct discovered *d)
{
	struct wbuf out = WBUF_INIT(4096);
	char fp[PEER_FP_LEN + 1];
	struct json j;

	peer_fingerprint(d->info.identity, fp);
	json_init(&j, &out);
	json_object(&j, NULL);
	json_put_str(&j, "type", "installation");
	json_put_str(&j, "id", d->info.id);
	json_put_str(&j, "mode", discover_mode(d->info.mode));
	json_put_str(&j, "address", d->host);
	json_put_u64(&j, "server", d->info.port_server);
	json_put_u64(&j, "ssl_server", d->info.port_ssl);
	json_put_u64(&j, "gui", d->info.port_gui);
	json_put_u64(&j, "web_ssl", d->info.port_webssl);
	json_put_str(&j, "fingerprint", fp);
	json_put_hex(&j, "pin", d->info.pin, sizeof(d->info.pin));
	json_end(&j);
	wbuf_u8(&out, '\n');
	if (wbuf_rc(&out) == RC_OK)
		(void)fwrite(out.data, 1, out.len, stdout);
	wbuf_free(&out);
}

int
prepare_discover(struct cli *c, char *err, size_t size)
{
	static struct discovered list[DISCOVER_MAX];
	unsigned links;
	size_t n;
	int code;

	code = discover_servers(c, DISCOVER_MS, list, DISCOVER_MAX, &n, &links,
	    err, size);
	if (code != EXIT_DONE)
		return code;
	if (n > 0 && !c->json)
		print_text(list, n);
	for (size_t i = 0; i < n && c->json; i++)
		print_json(&list[i]);
	if (n > 0)
		return EXIT_DONE;
	if (links == 0)
		snprintf(err, size, "this machine has no network with a "
		    "private address, and only there installations look for "
		    "each other; name the server by hand (`storegrid doctor "
		    "SERVER`, `storegrid pair SERVER`)");
	else
		snprintf(err, size, "nobody answered on %u network%s. A server "
		    "behind a router is never found this way: name it by hand "
		    "(`storegrid doctor SERVER` says whether it can be "
		    "reached). On the same network, is discovery on there "
		    "(Discovery.Multicast.Enabled), and do the firewalls of "
		    "both machines let UDP %u and %u in?", links,
		    links == 1 ? "" : "s", c->conf.port_mcast_req,
		    c->conf.port_mcast_ans);
	return EXIT_NOTHING;
}
