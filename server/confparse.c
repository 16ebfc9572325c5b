#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/rc.h"
#include "privsep/role.h"
#include "server/conftext.h"

/*
 * One-shot: takes the configuration's text, answers with its values or with why
 * not, and ends.  It has no file, no rights and one channel.
 */
#define TEXT_WAIT_MS	10000
#define ERR_MAX		1100

/* The parent is the master or a command: in the table of messages both may send
 * it the same, so that it need not know which. */
static int
take_text(struct chan *c, char *text, size_t *len)
{
	struct msg m;
	uint8_t last = 0;
	size_t n;
	int rc;

	*len = 0;
	while (last == 0) {
		if ((rc = chan_expect(c, MSG_CONF_TEXT, &m, TEXT_WAIT_MS)) !=
		    RC_OK || (rc = rbuf_u8(&m.body, &last)) != RC_OK)
			return rc;
		n = rbuf_left(&m.body);
		if (n > CONF_FILE_MAX - *len)
			return RC_LIMIT;
		if ((rc = rbuf_bytes(&m.body, text + *len, n)) != RC_OK)
			return rc;
		*len += n;
	}
	return RC_OK;
}

int
main(void)
{
	struct role_env env;
	struct wbuf out = WBUF_INIT(65536);
	struct conf c;
	char err[ERR_MAX] = "", *text;
	uint32_t line = 0;
	size_t len;
	int rc;

	role_begin(&env, ROLE_CONFPARSE, ROLE_MASTER, false);
	/* Asks for the host's name, which the filter does not let it. */
	conf_defaults(&c);
	if ((text = malloc(CONF_FILE_MAX + 1)) == NULL)
		fatal("out of memory");
	role_drop(&env);
	role_enter(&env);
	if ((rc = take_text(env.parent, text, &len)) != RC_OK)
		fatal("configuration text: %s", rc_str(rc));
	rc = conftext_parse(text, len, &c, &line, err, sizeof(err));
	if (rc == RC_OK) {
		conf_put(&out, &c);
		rc = chan_send(env.parent, MSG_CONF, &out, -1);
	} else {
		wbuf_u32(&out, line);
		wbuf_str(&out, err[0] != '\0' ? err : rc_str(rc));
		rc = chan_send(env.parent, MSG_CONF_ERROR, &out, -1);
	}
	wbuf_free(&out);
	free(text);
	return rc == RC_OK ? 0 : 1;
}
