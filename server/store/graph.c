#include "config.h"

#include "server/store/vault.h"

#include <stdlib.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"
#include "server/store/sort.h"

/*
 * Completeness of the graph.  Nodes enter the index only with a committed
 * snapshot and heights strictly fall along edges, so an edge that is in the
 * index needs no second look: what it leads to is complete, and no cycle can
 * be made.
 */
int
graph_find(struct vault *v, const struct run *r, const struct object_id *id,
    struct ixent *e)
{
	int rc = vault_find(v, r, id, 0, e);

	/* Recovery found it without what it refers to. */
	return rc == RC_OK && e->closure_objects == 0 ? RC_NOENT : rc;
}

int
graph_resolve(struct vault *v, const struct run *r, uint16_t height,
    const uint8_t *edges, size_t nedges, uint32_t len, uint64_t *bytes,
    uint64_t *objects, struct object_id *missing, size_t room, size_t *n)
{
	uint64_t sum = len, count = 1;
	bool whole = true;
	struct ixent e;
	int rc;

	for (size_t i = 0; i < nedges; i++) {
		struct object_id id;

		memcpy(id.b, edges + i * OBJECT_ID_LEN, OBJECT_ID_LEN);
		rc = graph_find(v, r, &id, &e);
		if (rc == RC_NOENT) {
			whole = false;
			/* Nobody wants to know more: the client, which can
			 * have a million of them, repeats its COMMIT. */
			if (missing == NULL || *n == room)
				return RC_MISSING;
			missing[(*n)++] = id;
			continue;
		}
		if (rc != RC_OK)
			return rc;
		if (e.height >= height)
			return RC_RANGE;
		sum = u64_sat_add(sum, e.closure_bytes);
		count = u64_sat_add(count, e.closure_objects);
	}
	*bytes = sum;
	*objects = count;
	return whole ? RC_OK : RC_MISSING;
}

static int
by_height(const void *arg, uint32_t a, uint32_t b)
{
	const struct pending *p = arg;

	return (int)p[a].e.height - (int)p[b].e.height;
}

/* Drop ids that are only waiting behind another missing one. */
static void
drop_pending(const struct run *r, struct object_id *missing, size_t *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		bool here = false;

		for (size_t k = 0; k < r->npending && !here; k++)
			here = memcmp(r->pending[k].e.id.b, missing[i].b,
			    OBJECT_ID_LEN) == 0;
		for (size_t k = 0; k < kept && !here; k++)
			here = memcmp(missing[k].b, missing[i].b,
			    OBJECT_ID_LEN) == 0;
		if (!here)
			missing[kept++] = missing[i];
	}
	*n = kept;
}

static int
settle_one(struct vault *v, struct run *r, struct ixent *e,
    struct object_id *missing, size_t room, size_t *n)
{
	struct object o;
	const uint8_t *wire;
	size_t len;
	int rc;

	rc = vault_read(v, e, &wire, &len);
	if (rc == RC_OK && object_parse(wire, len, &o) != RC_OK)
		rc = RC_CRC;
	/* At recovery: what it refers to nobody can tell any more.  Not so
	 * when the index is damaged, which is told from here on. */
	if (rc == RC_CRC && missing == NULL)
		return RC_MISSING;
	if (rc == RC_OK)
		rc = graph_resolve(v, r, e->height, o.edges, o.h.edges,
		    e->len, &e->closure_bytes, &e->closure_objects, missing,
		    room, n);
	/* Another node of an edge's id came later, and is higher. */
	if (rc == RC_RANGE && missing == NULL)
		return RC_MISSING;
	return rc == RC_OK ? vault_admit(v, r, e) : rc;
}

int
graph_settle(struct vault *v, struct run *r, struct object_id *missing,
    size_t room, size_t *n)
{
	uint32_t *order, *tmp;
	size_t count = r->npending, kept = 0;
	bool *done;
	int rc = RC_OK;

	if (count == 0)
		return RC_OK;
	order = malloc(count * sizeof(*order));
	tmp = malloc(count * sizeof(*tmp));
	done = calloc(count, sizeof(*done));
	if (order == NULL || tmp == NULL || done == NULL) {
		rc = RC_NOMEM;
		goto out;
	}
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	sort_u32(order, tmp, count, by_height, r->pending);
	/* The list is full, of the lowest ones: the rest is for next time. */
	for (size_t i = 0; i < count && (missing == NULL || *n < room); i++) {
		rc = settle_one(v, r, &r->pending[order[i]].e, missing, room,
		    n);
		done[order[i]] = rc == RC_OK;
		if (rc != RC_OK && rc != RC_MISSING)
			break;
		rc = RC_OK;
	}
	for (size_t i = 0; i < count; i++)
		if (!done[i])
			r->pending[kept++] = r->pending[i];
	r->npending = kept;
	if (missing != NULL)
		drop_pending(r, missing, n);
	if (rc == RC_OK && kept > 0)
		rc = RC_MISSING;
out:
	free(order);
	free(tmp);
	free(done);
	return rc;
}
