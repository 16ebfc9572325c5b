#include "config.h"

#include "server/http/sse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/rc.h"

int
sse_event(struct wbuf *out, struct rbuf *in)
{
	char name[64], subject[256], detail[1024], head[160];
	struct json j;
	uint64_t seq;
	int64_t at;
	char *p;
	int rc;

	if ((rc = rbuf_u64(in, &seq)) != RC_OK ||
	    (rc = rbuf_i64(in, &at)) != RC_OK ||
	    (rc = rbuf_str(in, name, sizeof(name))) != RC_OK ||
	    (rc = rbuf_str(in, subject, sizeof(subject))) != RC_OK ||
	    (rc = rbuf_str(in, detail, sizeof(detail))) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	for (p = name; *p != '\0'; p++)
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", *p) ==
		    NULL)
			*p = '_';
	snprintf(head, sizeof(head), "id: %" PRIu64 "\nevent: %s\ndata: ",
	    seq, name);
	wbuf_bytes(out, head, strlen(head));
	/* the writer escapes every control character, line ends among them */
	json_init(&j, out);
	json_object(&j, NULL);
	json_put_u64(&j, "seq", seq);
	json_put_i64(&j, "at", at);
	json_put_str(&j, "subject", subject);
	json_put_str(&j, "detail", detail);
	json_end(&j);
	wbuf_bytes(out, "\n\n", 2);
	return wbuf_rc(out);
}
