#include "config.h"

#include "server/store/vault.h"

#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "common/digest.h"
#include "common/io.h"
#include "common/rc.h"
#include "common/wbuf.h"
#include "server/store/dir.h"

#define PINS_HEADER	128
#define PINS_MAX	(256u << 20)	/* bytes of a pins file */
#define COMMIT_ROOM	(128u << 10)	/* kept for a run's last records */

static void
pins_name(const struct run *r, char out[DIR_NAME_MAX])
{
	hex_put(out, r->id, sizeof(r->id));
}

struct run *
run_find(struct vault *v, const uint8_t id[16])
{
	for (struct run *r = v->runs; r != NULL; r = r->next)
		if (memcmp(r->id, id, 16) == 0)
			return r;
	return NULL;
}

static int
pins_begin(struct vault *v, struct run *r)
{
	struct wbuf out = WBUF_INIT(PINS_HEADER);
	char name[DIR_NAME_MAX];
	int rc;

	wbuf_u64(&out, RUN_MAGIC);
	wbuf_u16(&out, VAULT_VERSION);
	wbuf_zeros(&out, 2);
	wbuf_u32(&out, r->number);
	wbuf_bytes(&out, r->id, 16);
	wbuf_bytes(&out, r->client, 16);
	wbuf_bytes(&out, r->job, 16);
	wbuf_bytes(&out, r->base.b, OBJECT_ID_LEN);
	wbuf_u64(&out, vault_clock(v));
	wbuf_zeros(&out, PINS_HEADER - 4 - out.len);
	if ((rc = wbuf_rc(&out)) == RC_OK)
		wbuf_u32(&out, crc32c(0, out.data, out.len));
	pins_name(r, name);
	if (rc == RC_OK && (rc = wbuf_rc(&out)) == RC_OK &&
	    (rc = dir_file(v->runs_dir, name, O_WRONLY | O_CREAT | O_TRUNC,
	    &r->pins)) == RC_OK)
		rc = io_pwrite_full(r->pins, out.data, out.len, 0);
	r->pins_size = PINS_HEADER;
	wbuf_free(&out);
	return rc;
}

static int
pins_flush(struct run *r)
{
	int rc;

	if (r->pin_n == 0)
		return RC_OK;
	if ((rc = io_pwrite_full(r->pins, r->pin_buf, r->pin_n,
	    r->pins_size)) != RC_OK)
		return rc;
	r->pins_size += r->pin_n;
	r->pin_n = 0;
	return RC_OK;
}

int
run_pin(struct vault *v, struct run *r, const struct object_id *id)
{
	int rc;

	(void)v;
	if (r->pin_n == sizeof(r->pin_buf)) {
		if (r->pins_size > PINS_MAX)
			return RC_LIMIT;
		if ((rc = pins_flush(r)) != RC_OK)
			return rc;
	}
	memcpy(r->pin_buf + r->pin_n, id->b, OBJECT_ID_LEN);
	r->pin_n += OBJECT_ID_LEN;
	return RC_OK;
}

/* The number that stands in a client's records; given on first use. */
static int
writer_of(struct vault *v, const struct grant *g, uint16_t *writer)
{
	struct wbuf body = WBUF_INIT(256);
	struct vclient *c;
	uint16_t n = 1;
	int rc;

	if ((c = state_client(&v->state, g->client)) == NULL)
		return RC_LIMIT;
	/* The vault's own client is number 1 without a record. */
	if (c->writer == 0 &&
	    memcmp(g->client, v->id.client, sizeof(v->id.client)) == 0)
		c->writer = 1;
	if (c->writer != 0) {
		*writer = c->writer;
		return RC_OK;
	}
	for (size_t i = 0; i < v->state.nclient; i++)
		if (v->state.client[i].writer > n)
			n = v->state.client[i].writer;
	n++;
	wbuf_u16(&body, n);
	wbuf_bytes(&body, g->client, 16);
	wbuf_bytes(&body, g->key, 32);
	wbuf_bytes(&body, g->name, VAULT_NAME_LEN);
	rc = vault_note(v, JOURNAL_WRITER, &body, NULL, NULL);
	wbuf_free(&body);
	if (rc == RC_OK)
		*writer = c->writer = n;
	return rc;
}

static void
run_free(struct vault *v, struct run *r)
{
	char name[DIR_NAME_MAX];

	if (r == NULL)
		return;
	if (r->pins >= 0) {
		pins_name(r, name);
		fd_close(&r->pins);
		(void)dir_unlink(v->runs_dir, name);
	}
	index_free(r->nodes);
	free(r->pending);
	free(r);
}

static int
run_new(struct vault *v, const struct grant *g, const struct run_begin *b,
    struct run *r)
{
	struct index_opt io = { .dirfd = v->runs_dir, .prefix = r->prefix,
	    .mem = INDEX_MEM_RUN, .transient = true };
	static const struct object_id none;
	int rc;

	if (v->next_run == UINT32_MAX)
		return RC_LIMIT;
	memcpy(r->id, b->run, sizeof(r->id));
	memcpy(r->job, b->job, sizeof(r->job));
	memcpy(r->client, g->client, sizeof(r->client));
	r->number = v->next_run++;
	if (memcmp(&b->base, &none, sizeof(none)) != 0 &&
	    state_find(&v->state, &b->base) != NULL) {
		r->base = b->base;
		r->has_base = true;
	}
	snprintf(r->prefix, sizeof(r->prefix), "r%08x-", r->number);
	if ((rc = writer_of(v, g, &r->writer)) != RC_OK ||
	    (rc = index_new(&r->nodes, &io)) != RC_OK)
		return rc;
	return pins_begin(v, r);
}

int
run_begin(struct vault *v, const struct grant *g, const struct run_begin *b,
    struct run **out, bool *resumed)
{
	struct run *r;
	int rc;

	*resumed = false;
	if (v->readonly)
		return RC_READONLY;
	if ((r = run_find(v, b->run)) != NULL) {
		if (memcmp(r->client, g->client, sizeof(r->client)) != 0 ||
		    memcmp(r->job, b->job, sizeof(r->job)) != 0)
			return RC_STATE;
		if (r->failed == RC_OK) {
			*resumed = true;
			*out = r;
			return RC_OK;
		}
		run_end(v, r);		/* what is lost is lost: a new start */
	}
	if (v->nruns >= VAULT_RUNS_MAX)
		return RC_BUSY;
	if ((rc = vault_space(v, COMMIT_ROOM)) != RC_OK ||
	    (rc = journal_reserve(v->journal, (uint64_t)COMMIT_ROOM *
	    (v->nruns + 1))) != RC_OK)
		return rc;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return RC_NOMEM;
	r->pins = -1;
	if ((rc = run_new(v, g, b, r)) != RC_OK) {
		run_free(v, r);
		return rc;
	}
	r->next = v->runs;
	v->runs = r;
	v->nruns++;
	*out = r;
	return RC_OK;
}

void
run_end(struct vault *v, struct run *r)
{
	struct run **p;

	for (p = &v->runs; *p != NULL; p = &(*p)->next) {
		if (*p == r) {
			*p = r->next;
			v->nruns--;
			run_free(v, r);
			return;
		}
	}
}

static int
tidy_one(void *arg, const char *name)
{
	struct vault *v = arg;

	return dir_unlink(v->runs_dir, name);
}

int
runs_tidy(struct vault *v)
{
	return dir_each(v->runs_dir, tidy_one, v);
}
