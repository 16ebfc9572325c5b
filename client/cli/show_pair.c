#include "config.h"

#include "client/cli/show_impl.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/escape.h"
#include "common/peerinfo.h"
#include "common/proto.h"
#include "common/rc.h"

/*
 * What two people compare, and the wait for the one at the server.  The code
 * and the fingerprint are digits by now; the server's name is what it calls
 * itself, and is escaped like everything else.
 */
#define ACCEPT "storegridctl pair accept %s ACCOUNT/NAME"

struct code_seen {
	char	code[PROTO_PAIR_CODE_LEN + 1];
	char	id[64];
	char	fp[PEER_FP_LEN + 1];
	char	host[256];
};

static void
code_json(struct show *s, const struct code_seen *c)
{
	char accept[sizeof(ACCEPT) + PROTO_PAIR_CODE_LEN];
	struct json j;

	snprintf(accept, sizeof(accept), ACCEPT, c->code);
	show_json_begin(s, &j, "code");
	json_put_str(&j, "code", c->code);
	json_put_str(&j, "server", c->id);
	json_put_str(&j, "fingerprint", c->fp);
	json_put_str(&j, "host", c->host);
	json_put_str(&j, "accept", accept);
	show_json_end(s, &j);
}

static void
code_text(struct show *s, const struct code_seen *c)
{
	bool bold = s->color && isatty(STDOUT_FILENO);

	show_clear(s);
	printf("\n        %s%s%s\n\n", bold ? "\033[1m" : "", c->code,
	    bold ? "\033[0m" : "");
	printf("%-15s %s\n", "server",
	    show_esc(s, 0, c->id, strlen(c->id)));
	printf("%-15s %s\n", "at", show_esc(s, 0, c->host, strlen(c->host)));
	printf("%-15s %s\n\n", "fingerprint", c->fp);
	printf("On the server `storegridctl pair` shows who asks. Where it "
	    "shows this very code:\n\n    " ACCEPT "\n\n"
	    "If the codes differ, somebody sits in between: refuse it there.\n",
	    c->code);
}

/* Both are made by the engine, but it reads what servers send. */
static bool
is_plain(const char *text, const char *of)
{
	return text[0] != '\0' && text[strspn(text, of)] == '\0';
}

int
on_code(struct show *s, struct rbuf *in)
{
	struct code_seen c;

	if (rbuf_str(in, c.code, sizeof(c.code)) != RC_OK ||
	    rbuf_str(in, c.id, sizeof(c.id)) != RC_OK ||
	    rbuf_str(in, c.fp, sizeof(c.fp)) != RC_OK ||
	    rbuf_str(in, c.host, sizeof(c.host)) != RC_OK ||
	    rbuf_end(in) != RC_OK || !is_plain(c.code, "0123456789-") ||
	    !is_plain(c.fp, "0123456789abcdef"))
		return RC_PROTO;
	if (s->json)
		code_json(s, &c);
	else
		code_text(s, &c);
	return RC_OK;
}

int
on_waiting(struct show *s, struct rbuf *in)
{
	uint32_t seconds;
	struct json j;

	if (rbuf_u32(in, &seconds) != RC_OK || rbuf_end(in) != RC_OK)
		return RC_PROTO;
	if (s->json) {
		show_json_begin(s, &j, "waiting");
		json_put_u64(&j, "seconds", seconds);
		show_json_end(s, &j);
	} else if (s->progress_on) {
		(void)fflush(stdout);
		fprintf(stderr, "\rwaiting for the administrator: %u:%02u "
		    "left\033[K", seconds / 60, seconds % 60);
		(void)fflush(stderr);
		s->on_screen = true;
	}
	return RC_OK;
}
