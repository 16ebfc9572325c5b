#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/engine/check_impl.h"
#include "client/engine/event.h"
#include "client/engine/verb_util.h"
#include "common/rc.h"
#include "common/secret.h"

/*
 * The verb: signatures and seals of all snapshots, their trees, their data, and
 * this client's memory of what the vault had.
 */
#define EVENT_BYTES	65536u

int
check_event(struct check *x, const struct object_id *id, uint8_t kind,
    const char *text, const struct wbuf *paths, uint16_t npaths)
{
	struct wbuf body = WBUF_INIT(EVENT_BYTES);
	int rc;

	x->findings++;
	wbuf_u8(&body, EVENT_FINDING);
	wbuf_bytes(&body, id->b, sizeof(id->b));
	wbuf_u8(&body, kind);
	wbuf_str(&body, text);
	wbuf_u16(&body, npaths);
	if (npaths > 0)
		wbuf_bytes(&body, paths->data, paths->len);
	rc = engine_event(x->e, &body);
	wbuf_free(&body);
	return rc;
}

int
check_progress(struct check *x, const char *phase)
{
	struct progress p = { .files = x->nnodes + x->ndata,
	    .bytes = x->bytes, .phase = phase };

	return engine_progress(x->e, &p);
}

struct bad *
check_find_bad(struct check *x, const struct object_id *id)
{
	size_t i;

	for (i = 0; i < x->nbad; i++)
		if (memcmp(&x->bad[i].id, id, sizeof(*id)) == 0)
			return &x->bad[i];
	return NULL;
}

int
check_note_bad(struct check *x, const struct object_id *id, bool missing)
{
	struct bad *p;
	size_t size;

	if (check_find_bad(x, id) != NULL)
		return RC_OK;
	if (x->nbad == CHECK_BAD_MAX) {
		x->lost++;
		return RC_OK;
	}
	if (x->nbad == x->bad_size) {
		size = x->bad_size == 0 ? 16 : x->bad_size * 2;
		if ((p = realloc(x->bad, size * sizeof(*p))) == NULL)
			return RC_NOMEM;
		x->bad = p;
		x->bad_size = size;
	}
	p = &x->bad[x->nbad++];
	memset(p, 0, sizeof(*p));
	p->id = *id;
	p->missing = missing;
	wbuf_init(&p->paths, EVENT_BYTES);
	return RC_OK;
}

/* It was read, so nothing is lost; but somebody made those records, or the
 * server's disk did. */
int
check_note_copy(struct check *x, const struct object_id *id)
{
	static const struct wbuf none = WBUF_INIT(1);

	return check_event(x, id, FINDING_COPY, "the newest record of an "
	    "object does not open; an older one does", &none, 0);
}

/* --- steps --- */

/* The server's own look at what no key holder sees: footers, second copies. */
static int
on_finding(void *arg, const struct finding *f)
{
	static const struct wbuf none = WBUF_INIT(1);
	struct check *x = arg;

	if (f->kind == FINDING_OBJECT || f->kind == FINDING_MISSING)
		return check_note_bad(x, &f->id, f->kind == FINDING_MISSING);
	return check_event(x, &f->id, f->kind, f->text, &none, 0);
}

static int
check_snapshot(struct check *x, const struct snap *s)
{
	static const struct wbuf none = WBUF_INIT(1);
	char text[160];

	if (s->rc != RC_OK) {
		snprintf(text, sizeof(text), "this snapshot does not open "
		    "with the vault's keys: %s", rc_str(s->rc));
		return check_event(x, &s->id, FINDING_JOURNAL, text, &none, 0);
	}
	if (!s->receipt_ok)
		return check_event(x, &s->id, FINDING_JOURNAL, "the receipt "
		    "of this snapshot is not signed by the server's key",
		    &none, 0);
	return RC_OK;
}

/* HAVE belongs to a run; this one sends nothing and ends with the connection. */
static int
begin_run(struct check *x)
{
	struct run_begin b = { .base = { { 0 } } };
	struct run_ok ok;
	int rc;

	if ((rc = secret_random(b.run, sizeof(b.run))) != RC_OK ||
	    (rc = keys_job_id(&x->e->keys, "check", b.job)) != RC_OK)
		return rc;
	return remote_run_begin(x->r, &b, &ok);
}

static int
check_all(struct check *x, const struct snaplist *l, const struct snap *one)
{
	struct verify_end end;
	size_t i;
	int rc = RC_OK;

	if (x->o->percent > 0)
		rc = remote_verify(x->r, (uint8_t)x->o->percent, on_finding,
		    x, &end);
	else if (x->ask_have)
		rc = begin_run(x);
	for (i = 0; rc == RC_OK && i < l->n; i++) {
		if (one != NULL && one != &l->s[i])
			continue;
		if ((rc = check_snapshot(x, &l->s[i])) == RC_OK &&
		    l->s[i].rc == RC_OK)
			rc = check_tree(x, &l->s[i]);
	}
	if (rc == RC_OK)
		rc = check_data_end(x);
	for (i = 0; rc == RC_OK && x->nbad > 0 && i < l->n; i++)
		if ((one == NULL || one == &l->s[i]) && l->s[i].rc == RC_OK)
			rc = check_name(x, &l->s[i]);
	return rc != RC_OK ? rc : check_name_rest(x);
}

static int
setup(struct check *x)
{
	int i, n = pool_threads() + 1;

	x->objs_end = &x->objs;
	idset_init(&x->nodes, CHECK_IDS_MAX);
	idset_init(&x->data, CHECK_IDS_MAX);
	x->sealer = sealer_new(&x->e->keys);
	x->sealers = calloc((size_t)n, sizeof(*x->sealers));
	x->plain = calloc((size_t)n, sizeof(*x->plain));
	if (x->sealer == NULL || x->sealers == NULL || x->plain == NULL)
		return RC_NOMEM;
	for (i = 0; i < n; i++) {
		x->sealers[i] = sealer_new(&x->e->keys);
		x->plain[i] = malloc(OBJECT_RAW_MAX);
		if (x->sealers[i] == NULL || x->plain[i] == NULL)
			return RC_NOMEM;
	}
	/* Which objects a sample takes is the run's own, so that many small
	 * checks meet all of them. */
	return secret_random(&x->sample, sizeof(x->sample));
}

static void
teardown(struct check *x)
{
	int i, n = pool_threads() + 1;
	size_t k;

	check_data_free(x);
	for (i = 0; i < n; i++) {
		if (x->sealers != NULL)
			sealer_free(x->sealers[i]);
		if (x->plain != NULL)
			free(x->plain[i]);
	}
	free(x->sealers);
	free(x->plain);
	sealer_free(x->sealer);
	idset_free(&x->nodes);
	idset_free(&x->data);
	for (k = 0; k < x->nbad; k++)
		wbuf_free(&x->bad[k].paths);
	free(x->bad);
}

static const char *
plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static int
result(struct check *x, size_t nsnaps, char *text, size_t size)
{
	char older[512];
	int rc;

	/* Not only damage: a vault put back to an older copy is whole too. */
	rc = x->o->snap == NULL ? snaplist_check_memory(x->list, x->e->state,
	    NULL, older, sizeof(older)) : RC_OK;
	if (rc == RC_OLDER) {
		snprintf(text, size, "%s", older);
		return EXIT_INTEGRITY;
	}
	if (rc != RC_OK)
		return verb_bad_memory(rc, text, size);
	if (x->findings > 0) {
		if (x->nbad == 0)
			snprintf(text, size, "%" PRIu64 " finding%s; of the "
			    "objects nothing is lost. Tell the server's "
			    "administrator", x->findings, plural(x->findings));
		else
			snprintf(text, size, "%" PRIu64 " finding%s; %zu%s "
			    "object%s damaged or missing. Run a backup (it "
			    "sends again what this machine still has), and "
			    "tell the server's administrator", x->findings,
			    plural(x->findings), x->nbad,
			    x->lost > 0 ? " and more" : "",
			    x->nbad == 1 ? " is" : "s are");
		return EXIT_INTEGRITY;
	}
	if (x->o->percent > 0)
		snprintf(text, size, "%zu snapshot%s whole: %" PRIu64
		    " nodes and %" PRIu64 " data objects, %" PRIu64
		    " bytes read", nsnaps, nsnaps == 1 ? " is" : "s are",
		    x->nnodes, x->ndata, x->bytes);
	else
		snprintf(text, size, "%zu snapshot%s complete: %" PRIu64
		    " nodes read, %" PRIu64 " data objects %s; --read-data "
		    "reads those too", nsnaps, nsnaps == 1 ? " is" : "s are",
		    x->nnodes, x->ndata,
		    x->ask_have ? "are there" : "referred to");
	return EXIT_DONE;
}

int
check_run(struct engine *e, const struct check_opt *o, char *text,
    size_t size)
{
	struct check *x = calloc(1, sizeof(*x));
	struct remote_events ev = { .object = check_object,
	    .have = check_have };
	struct snaplist list = { 0 };
	const struct snap *one = NULL;
	struct auth_ok ok;
	int code = EXIT_DONE, rc;

	if (x == NULL)
		return verb_failed(NULL, RC_NOMEM, "the check cannot start",
		    text, size);
	x->e = e;
	x->o = o;
	x->list = &list;
	ev.arg = x;
	if ((rc = engine_connect(e, &x->r, &ev, &ok)) != RC_OK) {
		free(x);
		return verb_no_connection(e, rc, text, size);
	}
	x->ask_have = (ok.rights & PROTO_RIGHT_BACKUP) != 0;
	if (o->snap != NULL)
		code = verb_choose(e, x->r, o->snap, NULL, &list, &one, text,
		    size);
	else if ((rc = snaplist_load(e, x->r, &list)) != RC_OK)
		code = verb_failed(x->r, rc, "the list of snapshots cannot be "
		    "read", text, size);
	if (code == EXIT_DONE) {
		if ((rc = setup(x)) == RC_OK)
			rc = check_all(x, &list, one);
		code = rc != RC_OK ? verb_failed(x->r, rc,
		    "the check stopped", text, size) :
		    result(x, one != NULL ? 1 : list.n, text, size);
	}
	teardown(x);
	snaplist_free(&list);
	remote_close(x->r);
	free(x);
	return code;
}
