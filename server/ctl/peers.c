#include "config.h"

#include "server/ctl/peers.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/peerinfo.h"
#include "common/wbuf.h"
#include "server/ctl/ctl.h"

#define PEERS		"/api/v1/peers"
/* Answers to a multicast request come within half a second; a scan of a /24
 * takes three at its limited rate. */
#define DISCOVER_WAIT_S	4

static bool
parse_port(const char *text, uint16_t *port)
{
	char *end;
	unsigned long v;

	if (text[0] < '0' || text[0] > '9')
		return false;
	v = strtoul(text, &end, 10);
	if (*end != '\0' || v == 0 || v > 65535)
		return false;
	*port = (uint16_t)v;
	return true;
}

bool
peer_parse_address(const char *text, char *host, size_t size, uint16_t *port)
{
	const char *end, *colon = strchr(text, ':');

	if (text[0] == '[') {
		text++;
		if ((end = strchr(text, ']')) == NULL ||
		    (end[1] != '\0' && end[1] != ':'))
			return false;
		colon = end[1] == ':' ? end + 1 : NULL;
	} else if (colon != NULL && strchr(colon + 1, ':') != NULL) {
		colon = NULL;			/* IPv6 without a port */
		end = text + strlen(text);
	} else {
		end = colon != NULL ? colon : text + strlen(text);
	}
	if (end == text || (size_t)(end - text) >= size ||
	    (colon != NULL && !parse_port(colon + 1, port)))
		return false;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	return true;
}

/* The server resolves no names: its processes have no right to ask for any.
 * This command is the administrator's own process, so it may. */
static bool
resolve(const char *host, char *out, size_t size)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *list, *ai;
	char other[NI_MAXHOST];
	int rc, n = 0;

	if (strchr(host, '%') != NULL) {
		fprintf(stderr, "storegridctl: %s: an address with a zone "
		    "cannot be kept\n", host);
		return false;
	}
	if ((rc = getaddrinfo(host, NULL, &hints, &list)) != 0) {
		fprintf(stderr, "storegridctl: %s: %s\n", host,
		    gai_strerror(rc));
		return false;
	}
	rc = getnameinfo(list->ai_addr, list->ai_addrlen, out,
	    (socklen_t)size, NULL, 0, NI_NUMERICHOST);
	if (rc == 0 && strcmp(out, host) != 0) {
		fprintf(stderr, "%s is %s", host, out);
		for (ai = list->ai_next; ai != NULL; ai = ai->ai_next)
			if (getnameinfo(ai->ai_addr, ai->ai_addrlen, other,
			    sizeof(other), NULL, 0, NI_NUMERICHOST) == 0)
				fprintf(stderr, "%s %s", n++ == 0 ?
				    "; not taken:" : ",", other);
		fputc('\n', stderr);
	}
	freeaddrinfo(list);
	return rc == 0;
}

static void
print_peer(const struct json_doc *d, const struct json_value *v)
{
	const char *state = json_string(d, v, "state", "");
	char text[96], since[32];
	bool v6 = strchr(json_string(d, v, "address", ""), ':') != NULL;
	long long port = json_int(d, v, "port_gui", 0);

	ctl_print(json_string(d, v, "id", "?"), 20);
	ctl_print(json_string(d, v, "fingerprint", ""), PEER_FP_LEN + 2);
	snprintf(text, sizeof(text), "%s%.48s%s:%lld", v6 ? "[" : "",
	    json_string(d, v, "address", "?"), v6 ? "]" : "",
	    port != 0 ? port : (long long)json_int(d, v, "port", 0));
	ctl_print(text, 28);
	ctl_print(json_string(d, v, "mode", ""), 12);
	ctl_time_text(json_int(d, v, "since", 0), since, sizeof(since));
	if (json_int(d, v, "conflict", 0))
		snprintf(text, sizeof(text), "KEY CHANGED");
	else
		snprintf(text, sizeof(text), "%.40s%s%s", state,
		    strcmp(state, "silent") == 0 ? " since " : "",
		    strcmp(state, "silent") == 0 ? since : "");
	ctl_print(text, 31);
	ctl_print(json_string(d, v, "how", ""), 11);
	ctl_print(json_int(d, v, "compared", 0) ? "yes" : "no", 10);
	ctl_print(json_string(d, v, "label", ""), 0);
}

static const struct ctl_table peers_table = {
	PEERS, "peers",
	"No peers. Ask for some: storegridctl discover; or name one: "
	"storegridctl peer add ADDRESS",
	"ID                  FINGERPRINT                       ADDRESS"
	"                     MODE        STATE                          "
	"FOUND BY   COMPARED  LABEL", print_peer,
};

static bool
same_member(const struct json_doc *d, const struct json_value *a,
    const struct json_value *b, const char *name)
{
	const char *text = json_string(d, a, name, "");

	return text[0] != '\0' &&
	    strcmp(text, json_string(d, b, name, "")) == 0;
}

/*
 * Whose name or address v took: that one stays until it is forgotten.  NULL: v
 * is the known one itself, and TLS there has another key.
 */
static const struct json_value *
known_one(const struct json_doc *d, const struct json_value *v)
{
	const struct json_value *o, *first, *by_name = NULL, *by_addr = NULL;
	bool before = true;

	first = json_first(d, json_get(d, json_root(d), "peers"));
	for (o = first; o != NULL; o = json_next(d, o)) {
		if (o == v) {
			before = false;
			continue;
		}
		/* of two in conflict the older one comes first */
		if (json_int(d, o, "conflict", 0) && !before)
			continue;
		if (by_name == NULL && same_member(d, o, v, "id"))
			by_name = o;
		if (by_addr == NULL && same_member(d, o, v, "address") &&
		    json_int(d, o, "port", 0) == json_int(d, v, "port", 0))
			by_addr = o;
	}
	return by_name != NULL ? by_name : by_addr;
}

static void
tell_conflicts(const struct json_doc *d)
{
	const struct json_value *v, *old;

	v = json_first(d, json_get(d, json_root(d), "peers"));
	for (; v != NULL; v = json_next(d, v)) {
		if (!json_int(d, v, "conflict", 0))
			continue;
		/* of the known one it is told already */
		if ((old = known_one(d, v)) != NULL &&
		    json_int(d, old, "conflict", 0))
			continue;
		printf("\nKEY CHANGED: ");
		ctl_print(json_string(d, v, "id", "?"), 0);
		printf(" answers with another key than before. The known one "
		    "was kept. If the\nmachine was set up anew, compare the "
		    "fingerprint there and then: storegridctl peer forget ");
		ctl_print(json_string(d, old != NULL ? old : v, "fingerprint",
		    ""), 0);
		putchar('\n');
	}
}

int
ctl_peer_list(struct ctl *c, int argc, char **argv)
{
	struct json_doc *doc;
	int code;

	(void)argc;
	(void)argv;
	if ((code = ctl_call(c, "GET", PEERS, NULL, &doc)) == CTL_OK &&
	    !c->json) {
		ctl_rows(doc, &peers_table);
		tell_conflicts(doc);
	}
	json_free(doc);
	return code;
}

int
ctl_peer_add(struct ctl *c, int argc, char **argv)
{
	struct wbuf body = WBUF_INIT(4096);
	char host[256], address[NI_MAXHOST], said[512];
	struct conf defaults;
	const char *text;
	struct json j;
	uint16_t port;
	int code = CTL_USAGE;

	(void)argc;
	conf_defaults(&defaults);
	port = defaults.port_gui;
	if (!peer_parse_address(argv[0], host, sizeof(host), &port)) {
		fprintf(stderr, "storegridctl: '%s' is no ADDRESS[:PORT]\n",
		    argv[0]);
		return CTL_USAGE;
	}
	if (!resolve(host, address, sizeof(address)))
		return CTL_FAILED;
	json_init(&j, &body);
	json_object(&j, NULL);
	json_put_str(&j, "address", address);
	json_put_u64(&j, "port", port);
	if (c->fingerprint != NULL)
		json_put_str(&j, "fingerprint", c->fingerprint);
	if (c->label != NULL)
		json_put_str(&j, "label", c->label);
	snprintf(said, sizeof(said), "Peer %.64s port %u is on the list.%s",
	    address, port, c->fingerprint != NULL ? "" : " It has the key "
	    "that answers first:\ncompare its fingerprint there and in "
	    "storegridctl peer list.");
	if ((text = ctl_body_end(&j)) != NULL)
		code = ctl_change(c, "POST", PEERS, text, said);
	wbuf_free(&body);
	return code;
}

int
ctl_peer_rm(struct ctl *c, int argc, char **argv)
{
	char path[CTL_PATH_MAX];
	int code;

	(void)argc;
	if ((code = ctl_path(path, "peers", argv[0], NULL)) != CTL_OK)
		return code;
	return ctl_change(c, "DELETE", path, NULL, "Peer removed. It comes "
	    "back, with the key that is known, when it is heard again.");
}

int
ctl_peer_forget(struct ctl *c, int argc, char **argv)
{
	char path[CTL_PATH_MAX];
	int code;

	(void)argc;
	if ((code = ctl_path(path, "peers", argv[0], "forget", NULL)) !=
	    CTL_OK)
		return code;
	return ctl_change(c, "POST", path, NULL, "Peer forgotten with its "
	    "key: the next key that answers there counts as new.");
}

int
ctl_discover(struct ctl *c, int argc, char **argv)
{
	struct json_doc *doc;
	int code;

	code = ctl_ask(c, "POST", "/api/v1/discover", NULL, &doc);
	json_free(doc);
	if (code != CTL_OK)
		return code;
	if (!c->json)
		fprintf(stderr, "Asked; waiting %d s for answers.\n",
		    DISCOVER_WAIT_S);
	sleep(DISCOVER_WAIT_S);
	return ctl_peer_list(c, argc, argv);
}
