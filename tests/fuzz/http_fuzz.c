#include "config.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/rc.h"
#include "server/http/host.h"
#include "server/http/request.h"
#include "tests/fuzz/fuzz.h"

/* What was taken is what its limits say, and no route has two spellings. */
static void
look_at(const struct http_request *r)
{
	char name[256];
	size_t i;

	MUST(r->segments <= HTTP_SEGMENTS_MAX && r->body_len <= HTTP_BODY_MAX);
	MUST(r->body_len == 0 || r->method == HTTP_POST ||
	    r->method == HTTP_PUT);
	for (i = 0; i < r->segments; i++)
		MUST(r->segment[i][0] != '\0' &&
		    strchr(r->segment[i], '/') == NULL &&
		    strcmp(r->segment[i], "..") != 0);
	MUST(http_host_split(r->host, strlen(r->host), name) == RC_OK);
	MUST(strlen(r->bearer) < HTTP_BEARER_MAX);
	MUST(r->query.n <= INT64_MAX && r->query.after <= INT64_MAX);
	MUST(((r->query.given & HTTP_Q_CLIENT) != 0) ==
	    (r->query.account[0] != '\0' && r->query.client[0] != '\0'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_request r;
	static struct http_query q;
	size_t head;

	if (http_parse((const char *)data, size, &r, &head) == RC_OK) {
		MUST(head <= size);
		look_at(&r);
	}
	memset(&q, 0, sizeof(q));
	(void)http_parse_query(&q, (const char *)data, size);
	return 0;
}
