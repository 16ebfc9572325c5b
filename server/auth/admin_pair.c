#include "config.h"

#include "server/auth/admin_priv.h"

#include <stdio.h>
#include <string.h>

#include "common/rc.h"

/* Pairings that wait for a person who compares the codes. */
#define PAIR_TOKEN_S	3600	/* the client waits for it, it needs no day */

int
admin_pair_list(struct request *q)
{
	struct pairs *p = q->e->pairs;
	int rc = RC_OK;

	pairs_expire(p, q->now);
	for (size_t i = 0; rc == RC_OK && i < p->n; i++) {
		const struct pairing *v = &p->v[i];
		struct wbuf b = WBUF_INIT(ADMIN_ROW_MAX);

		if (!v->opened)
			continue;
		wbuf_u8(&b, ADMIN_ROW_PAIR);
		wbuf_bytes(&b, v->id, sizeof(v->id));
		wbuf_str(&b, v->ask.name);
		wbuf_str(&b, v->addr);
		wbuf_str(&b, v->code);
		wbuf_i64(&b, v->created);
		wbuf_i64(&b, v->created + PROTO_PAIR_MS / 1000);
		wbuf_u8(&b, v->state);
		wbuf_str(&b, v->client);
		rc = admin_row(q, &b);
	}
	return rc;
}

static int
find(struct request *q, struct pairing **v)
{
	unsigned n;

	*v = pairs_find(q->e->pairs, q->id, q->digits, q->now, &n);
	return *v != NULL ? RC_OK : admin_matches(q, n, "waiting pairing",
	    "pair");
}

/* The account must be there, the client is made if it is not. */
int
admin_pair_accept(struct request *q)
{
	struct db_client c;
	struct pairing *v;
	int64_t expires;
	int rc;

	if ((rc = find(q, &v)) != RC_OK ||
	    (rc = admin_client_ready(q, &c)) != RC_OK ||
	    (rc = admin_make_token(q, &c, q->seconds != 0 ? q->seconds :
	    PAIR_TOKEN_S, v->token, &expires)) != RC_OK)
		return rc;
	v->state = PAIR_ACCEPTED;
	snprintf(v->client, sizeof(v->client), "%.63s/%.63s", c.account,
	    c.name);
	snprintf(q->detail, sizeof(q->detail), "code %s, asked from %s",
	    v->code, v->addr);
	return RC_OK;
}

int
admin_pair_refuse(struct request *q)
{
	struct pairing *v;
	int rc;

	if ((rc = find(q, &v)) != RC_OK)
		return rc;
	v->state = PAIR_REFUSED;
	snprintf(q->object, sizeof(q->object), "%s", v->ask.name);
	snprintf(q->detail, sizeof(q->detail), "code %s, asked from %s",
	    v->code, v->addr);
	return RC_OK;
}
