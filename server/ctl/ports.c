#include "config.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/escape.h"
#include "common/wbuf.h"
#include "server/ctl/ctl.h"
#include "server/ctl/firewall.h"
#include "server/ctl/portpage.h"

/* The port page of the running installation, and firewall rules made of it. */

static int
ask_reach(struct ctl *c, struct page *page)
{
	char path[CTL_PATH_MAX];
	struct json_doc *doc;
	int code;

	if ((code = ctl_path(path, "peers", c->from, "reach", NULL)) != CTL_OK)
		return code;
	if ((code = ctl_call(c, "POST", path, NULL, &doc)) == CTL_OK)
		page_reach(page, doc);
	json_free(doc);
	return code;
}

int
ctl_ports(struct ctl *c, int argc, char **argv)
{
	struct wbuf buf = WBUF_INIT(4096);
	struct json_doc *doc;
	struct page page;
	const char *from = NULL;
	int code;

	(void)argc;
	(void)argv;
	code = (c->from != NULL ? ctl_ask : ctl_call)(c, "GET",
	    "/api/v1/status", NULL, &doc);
	if (code != CTL_OK)
		return code;
	page_make(&page, &c->conf, doc);
	if (c->from != NULL) {
		from = escaped(&buf, c->from, strlen(c->from), false);
		code = ask_reach(c, &page);
	}
	if (code == CTL_OK && !c->json) {
		page_print(&page, from);
		putchar('\n');
		if (from != NULL)
			page_print_losses(&page, from, stdout);
		printf("Local administration goes through %s/control.sock. "
		    "Rules for a firewall: storegridctl firewall\n",
		    c->conf.run);
	}
	wbuf_free(&buf);
	json_free(doc);
	return code;
}

/* The address that a router forwards to: of IPv4, no loopback, a private one
 * before others. */
static void
own_address(char *out, size_t size)
{
	struct ifaddrs *list, *i;
	struct addr a;
	bool found = false;

	snprintf(out, size, "THIS-HOST");
	if (getifaddrs(&list) != 0)
		return;
	for (i = list; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET ||
		    (i->ifa_flags & IFF_LOOPBACK) != 0 ||
		    (i->ifa_flags & IFF_UP) == 0)
			continue;
		addr_from_sockaddr(&a, i->ifa_addr, sizeof(struct sockaddr_in));
		if (!found || addr_is_private(&a))
			addr_text(&a, out, size);
		found = true;
		if (addr_is_private(&a))
			break;
	}
	freeifaddrs(list);
}

static int
rules_json(const char *kind, const char *text)
{
	struct wbuf out = WBUF_INIT(1u << 20);
	struct json j;
	const char *body;

	json_init(&j, &out);
	json_object(&j, NULL);
	json_put_str(&j, "format", kind);
	json_put_str(&j, "rules", text);
	if ((body = ctl_body_end(&j)) != NULL)
		printf("%s\n", body);
	wbuf_free(&out);
	return body != NULL ? CTL_OK : CTL_FAILED;
}

int
ctl_firewall(struct ctl *c, int argc, char **argv)
{
	firewall_fn *fn = firewall_kind(argv[0]);
	struct json_doc *doc;
	struct page page;
	char host[ADDR_TEXT_MAX], *text = NULL;
	size_t len;
	FILE *f;
	int code;

	(void)argc;
	if (fn == NULL) {
		fprintf(stderr, "storegridctl: firewall nft, ufw, firewalld "
		    "or nat\n");
		return CTL_USAGE;
	}
	if ((code = ctl_ask(c, "GET", "/api/v1/status", NULL, &doc)) != CTL_OK)
		return code;
	page_make(&page, &c->conf, doc);
	json_free(doc);
	own_address(host, sizeof(host));
	if ((f = open_memstream(&text, &len)) == NULL)
		return CTL_FAILED;
	fn(f, &page, host);
	if (fclose(f) != 0)
		code = CTL_FAILED;
	else if (c->json)
		code = rules_json(argv[0], text);
	else
		fputs(text, stdout);
	free(text);
	return code;
}
