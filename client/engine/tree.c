#include "config.h"

#include "client/engine/tree.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/want.h"
#include "common/num.h"
#include "common/rc.h"

#define AHEAD_ITEMS	512u		/* of the stack looked at for fetching */
#define AHEAD_LOW	128u		/* fetch more when fewer are on the way */
#define AHEAD_MIN	32u		/* ... and so many can be asked at once */
#define AHEAD_BYTES	(32u << 20)	/* of fetched nodes waiting for their turn */
#define STACK_MAX	(8u << 20)	/* items: a hostile tree's width times depth */

enum item_kind { ITEM_DIR, ITEM_MAP, ITEM_LEAVE_DIR, ITEM_LEAVE_MAP };

struct item {
	enum item_kind	 kind;
	uint16_t	 height;	/* it must have; see `below` */
	bool		 below;		/* any height below `height` */
	uint64_t	 offset, end;	/* of a map's range */
	void		*ctx;
	struct want	*want;		/* NULL until asked for */
	struct object_id id;
};

struct tree {
	struct remote		*remote;
	struct sealer		*sealer;
	struct tree_ops		 ops;
	struct item		*stack;
	size_t			 n, size;
	/* pushed by the callbacks of the node being read; moved to the stack
	 * in reverse when it is done */
	struct item		*added;
	size_t			 nadded, added_size;
	struct want_table	 wants;
	uint8_t			*plain;
	struct object_id	*edges;
	struct item		 now;		/* the node being read */
	uint16_t		 now_height;
	uint64_t		 at;		/* in the map being read */
	int			 stop;		/* failed otherwise than by damage */
};

struct tree *
tree_new(struct remote *r, struct sealer *s, const struct tree_ops *ops)
{
	struct tree *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	t->remote = r;
	t->sealer = s;
	t->ops = *ops;
	t->plain = malloc(OBJECT_RAW_MAX);
	t->edges = calloc(OBJECT_EDGES_MAX, sizeof(*t->edges));
	if (t->plain == NULL || t->edges == NULL ||
	    want_table_init(&t->wants) != RC_OK) {
		tree_free(t);
		return NULL;
	}
	return t;
}

/* What was pushed and not left is left now, so that its owner can let go. */
static void
leave_all(struct tree *t, const struct item *it, size_t n)
{
	while (n-- > 0)
		if (t->ops.leave != NULL && (it[n].kind == ITEM_LEAVE_DIR ||
		    it[n].kind == ITEM_LEAVE_MAP))
			(void)t->ops.leave(t->ops.arg, it[n].ctx,
			    it[n].kind == ITEM_LEAVE_MAP);
}

void
tree_free(struct tree *t)
{
	if (t == NULL)
		return;
	leave_all(t, t->added, t->nadded);
	leave_all(t, t->stack, t->n);
	want_table_free(&t->wants);
	free(t->plain);
	free(t->edges);
	free(t->stack);
	free(t->added);
	free(t);
}

bool
tree_empty(const struct tree *t)
{
	return t->n == 0 && t->nadded == 0;
}

static int
grow(struct item **p, size_t n, size_t *size)
{
	struct item *q;
	size_t want;

	if (n < *size)
		return RC_OK;
	if (n >= STACK_MAX)
		return RC_LIMIT;
	want = *size == 0 ? 256 : *size * 2;
	if ((q = realloc(*p, want * sizeof(*q))) == NULL)
		return RC_NOMEM;
	*p = q;
	*size = want;
	return RC_OK;
}

static int
add(struct tree *t, const struct item *it)
{
	int rc;

	if ((rc = grow(&t->added, t->nadded, &t->added_size)) != RC_OK)
		return rc;
	t->added[t->nadded++] = *it;
	return RC_OK;
}

/* What callbacks pushed comes next, the first of it first. */
static int
settle(struct tree *t)
{
	int rc;

	while (t->nadded > 0) {
		if ((rc = grow(&t->stack, t->n, &t->size)) != RC_OK)
			return rc;
		t->stack[t->n++] = t->added[--t->nadded];
	}
	return RC_OK;
}

static int
push(struct tree *t, struct item *it, enum item_kind leave)
{
	struct item behind = { .kind = leave, .ctx = it->ctx };
	int rc;

	if ((t->ops.skip == NULL || !t->ops.skip(t->ops.arg, &it->id)) &&
	    (rc = add(t, it)) != RC_OK)
		return rc;
	return add(t, &behind);
}

int
tree_push_dir(struct tree *t, const struct object_id *id, uint16_t height,
    void *ctx)
{
	struct item it = { .kind = ITEM_DIR, .height = height, .ctx = ctx,
	    .id = *id };

	return push(t, &it, ITEM_LEAVE_DIR);
}

int
tree_push_map(struct tree *t, const struct object_id *id, uint16_t height,
    uint64_t size, void *ctx)
{
	struct item it = { .kind = ITEM_MAP, .height = height, .ctx = ctx,
	    .end = size, .id = *id };

	return push(t, &it, ITEM_LEAVE_MAP);
}

/* --- fetching --- */

bool
tree_object(struct tree *t, uint32_t request, const struct object_id *id,
    const uint8_t *wire, size_t len, int *rc)
{
	struct want *w;

	if ((w = want_find(&t->wants, id)) == NULL || w->request != request)
		return false;
	*rc = want_take(&t->wants, w, wire, len);
	return true;
}

static bool
is_node_item(const struct item *it)
{
	return it->kind == ITEM_DIR || it->kind == ITEM_MAP;
}

/* Many small requests cost more than they bring: is this worth one? */
static bool
worth_fetching(const struct tree *t)
{
	const struct item *it = &t->stack[t->n - 1];
	size_t i, n = 0;

	if (it->want == NULL)
		return true;
	if (t->wants.asked >= AHEAD_LOW)
		return false;
	for (i = 0; i < t->n && i < AHEAD_ITEMS && n < AHEAD_MIN; i++) {
		it = &t->stack[t->n - 1 - i];
		n += is_node_item(it) && it->want == NULL;
	}
	return n == AHEAD_MIN;
}

/* Ask for the nodes that come next, those nearest the top of the stack first. */
static int
fetch_ahead(struct tree *t)
{
	struct object_id ids[AHEAD_ITEMS];
	struct want *asked[AHEAD_ITEMS];
	struct item *it;
	uint32_t request;
	size_t i, n = 0;

	for (i = 0; i < t->n && i < AHEAD_ITEMS; i++) {
		it = &t->stack[t->n - 1 - i];
		if (!is_node_item(it) || it->want != NULL)
			continue;
		if (t->wants.bytes > AHEAD_BYTES && i > 0)
			break;
		if ((it->want = want_get(&t->wants, &it->id)) == NULL)
			return RC_NOMEM;
		if (it->want->state != WANT_NEW)
			continue;
		it->want->state = WANT_ASKED;
		t->wants.asked++;
		ids[n] = it->id;
		asked[n++] = it->want;
	}
	if (n == 0)
		return RC_OK;
	return want_ask(t->remote, ids, n, 0, asked, &request);
}

/* Until this want has its answer; of a damaged one the next copy is asked for. */
static int
await(struct tree *t, struct want *w)
{
	int rc;

	for (;;) {
		while (w->state == WANT_ASKED)
			if ((rc = remote_poll(t->remote, -1, -1)) != RC_OK)
				return t->stop = rc;
		if (!want_has_next(w))
			return RC_OK;
		if ((rc = want_again(t->remote, &t->wants, w)) != RC_OK)
			return t->stop = rc;
	}
}

/* What seal_open() says of bytes that are not right (RC_NOENT: an epoch key
 * that nobody has). */
static bool
is_damage(int rc)
{
	return rc == RC_CRYPTO || rc == RC_CORRUPT || rc == RC_CRC ||
	    rc == RC_PROTO || rc == RC_RANGE || rc == RC_TRUNCATED ||
	    rc == RC_TRAILING || rc == RC_LIMIT || rc == RC_NOENT;
}

/*
 * The id says what a node or chunk holds, so what opens is right; but of a
 * bundle no id is checked here, and it may stand in the place of anything.
 */
static bool
has_type(const struct object *o, uint8_t type)
{
	return type != 0 ? o->h.type == type : object_is_node(o->h.type);
}

/*
 * Open what came; damage makes the want WANT_BAD.  Whoever holds a session can
 * have added records that do not open, so the true one may be any of them.
 */
static int
open_want(struct tree *t, struct want *w, uint8_t type, struct object *o,
    uint8_t *out, size_t *len)
{
	unsigned newer = 0;		/* of a version that is not ours */
	int rc;

	for (;;) {
		if ((rc = await(t, w)) != RC_OK)
			return rc;
		if (w->state == WANT_GONE)
			return RC_MISSING;
		if (w->state == WANT_BAD)
			return newer > 0 && newer == want_copies(w) ?
			    (t->stop = RC_UNSUPPORTED) : RC_CORRUPT;
		rc = object_parse(w->wire, w->len, o);
		if (rc == RC_OK)
			rc = seal_open(t->sealer, o, 1, out, len);
		if (rc == RC_OK && has_type(o, type))
			return RC_OK;
		if (rc == RC_UNSUPPORTED)
			newer++;
		else if (rc != RC_OK && !is_damage(rc))
			return t->stop = rc;
		want_spoil(&t->wants, w);
	}
}

/* --- reading one node --- */

static int
on_entry(void *arg, const struct entry *e)
{
	struct tree *t = arg;

	if ((e->ref == REF_DIR || e->ref == REF_MAP) &&
	    e->ref_height >= t->now_height)
		return RC_CORRUPT;
	return t->stop = t->ops.entry(t->ops.arg, t->now.ctx, e);
}

static int
on_child(void *arg, const uint8_t *first, size_t first_len,
    const struct object_id *child, uint64_t entries)
{
	struct tree *t = arg;
	struct item it = { .kind = ITEM_DIR, .below = true,
	    .height = t->now_height, .ctx = t->now.ctx, .id = *child };

	(void)first;
	(void)first_len;
	(void)entries;
	if (t->ops.skip != NULL && t->ops.skip(t->ops.arg, child))
		return RC_OK;
	return t->stop = add(t, &it);
}

static int
on_extent(void *arg, const struct extent *x)
{
	struct tree *t = arg;
	uint64_t at = t->at;

	if (x->len > t->now.end - at)
		return RC_CORRUPT;
	t->at += x->len;
	return t->stop = t->ops.extent(t->ops.arg, t->now.ctx, at, x);
}

static int
on_map_child(void *arg, const struct object_id *id, uint64_t bytes)
{
	struct tree *t = arg;
	struct item it = { .kind = ITEM_MAP, .below = true,
	    .height = t->now_height, .ctx = t->now.ctx, .id = *id,
	    .offset = t->at };

	if (bytes > t->now.end - t->at)
		return RC_CORRUPT;
	t->at += bytes;
	it.end = t->at;
	if (t->ops.skip != NULL && t->ops.skip(t->ops.arg, id))
		return RC_OK;
	return t->stop = add(t, &it);
}

static int
read_node(struct tree *t, const struct object *o, size_t len)
{
	const struct item *it = &t->now;
	uint16_t n = o->h.edges;
	int rc;

	if (it->height != 0 && (it->below ? o->h.height >= it->height :
	    o->h.height != it->height))
		return RC_CORRUPT;
	t->now_height = o->h.height;
	memcpy(t->edges, o->edges, (size_t)n * sizeof(*t->edges));
	switch (o->h.type) {
	case OBJECT_DIR_LEAF:
		if (it->kind != ITEM_DIR)
			return RC_CORRUPT;
		return leaf_read(t->plain, len, t->edges, n, on_entry, t);
	case OBJECT_DIR_INTERIOR:
		if (it->kind != ITEM_DIR)
			return RC_CORRUPT;
		return interior_read(t->plain, len, t->edges, n, on_child, t);
	case OBJECT_MAP:
		if (it->kind != ITEM_MAP)
			return RC_CORRUPT;
		t->at = it->offset;
		rc = map_read(t->plain, len, t->edges, n, on_extent,
		    on_map_child, t);
		if (rc == RC_OK && t->at != it->end)
			rc = RC_CORRUPT;
		return rc;
	default:
		return RC_CORRUPT;
	}
}

static int
node_step(struct tree *t)
{
	struct want *w = t->now.want;
	struct object o;
	size_t len = 0;
	bool later;
	int rc;

	t->stop = RC_OK;
	rc = open_want(t, w, 0, &o, t->plain, &len);
	if (rc == RC_OK)
		rc = read_node(t, &o, len);
	later = w->copy > 0;
	want_put(&t->wants, w);
	if (t->stop != RC_OK)
		return t->stop;
	if (rc == RC_OK && later && t->ops.copy != NULL &&
	    (rc = t->ops.copy(t->ops.arg, &t->now.id)) != RC_OK)
		return rc;
	if (rc == RC_OK)
		return t->ops.seen == NULL ? RC_OK :
		    t->ops.seen(t->ops.arg, &t->now.id);
	/* Of a newer version: not damage, and the rest would be as new. */
	if (rc == RC_UNSUPPORTED)
		return rc;
	return t->ops.bad(t->ops.arg, t->now.ctx, t->now.kind == ITEM_MAP,
	    &t->now.id, rc == RC_MISSING);
}

int
tree_step(struct tree *t)
{
	const struct item *top;
	int rc;

	if ((rc = settle(t)) != RC_OK)
		return rc;
	if (t->n == 0)
		return RC_EOF;
	top = &t->stack[t->n - 1];
	if (is_node_item(top) && worth_fetching(t) &&
	    (rc = fetch_ahead(t)) != RC_OK)
		return rc;
	t->now = t->stack[--t->n];
	switch (t->now.kind) {
	case ITEM_LEAVE_DIR:
	case ITEM_LEAVE_MAP:
		return t->ops.leave == NULL ? RC_OK :
		    t->ops.leave(t->ops.arg, t->now.ctx,
		    t->now.kind == ITEM_LEAVE_MAP);
	case ITEM_DIR:
	case ITEM_MAP:
		break;
	}
	return node_step(t);
}

/* --- one object, one path --- */

int
tree_fetch(struct tree *t, const struct object_id *id, uint8_t type,
    struct fetched *f, struct object_id *edges, uint8_t *out)
{
	struct want *w;
	struct object o;
	int rc = RC_OK;

	if ((w = want_get(&t->wants, id)) == NULL)
		return RC_NOMEM;
	if (w->state == WANT_NEW) {
		w->state = WANT_ASKED;
		t->wants.asked++;
		rc = want_ask(t->remote, id, 1, 0, &w, &w->request);
	}
	t->stop = RC_OK;
	if (rc == RC_OK)
		rc = open_want(t, w, type, &o, out, &f->len);
	if (rc == RC_OK) {
		f->type = o.h.type;
		f->height = o.h.height;
		f->nedges = o.h.edges;
		if (edges != NULL)
			memcpy(edges, o.edges,
			    (size_t)o.h.edges * sizeof(*edges));
	}
	want_put(&t->wants, w);
	return rc;
}

struct entry *
entry_copy(const struct entry *e)
{
	size_t user = e->user != NULL ? strlen(e->user) + 1 : 0;
	size_t group = e->group != NULL ? strlen(e->group) + 1 : 0;
	size_t xattrs = e->xattrs != NULL ? e->xattrs_len : 0;
	size_t content = e->ref == REF_INLINE ? e->inline_len : 0;
	struct entry *c;
	uint8_t *p;

	c = malloc(sizeof(*c) + e->name_len + 1 + user + group + xattrs +
	    content);
	if (c == NULL)
		return NULL;
	*c = *e;
	p = (uint8_t *)(c + 1);
	c->name = p;
	memcpy(p, e->name, e->name_len);
	p += e->name_len;
	*p++ = '\0';
	if (user > 0) {
		c->user = memcpy(p, e->user, user);
		p += user;
	}
	if (group > 0) {
		c->group = memcpy(p, e->group, group);
		p += group;
	}
	if (xattrs > 0) {
		c->xattrs = memcpy(p, e->xattrs, xattrs);
		p += xattrs;
	}
	if (content > 0)
		c->inline_data = memcpy(p, e->inline_data, content);
	return c;
}

struct look {
	const uint8_t		*name;
	size_t			 len;
	struct entry		*entry;		/* found in a leaf */
	struct object_id	 child;		/* to go on with */
	bool			 has_child;
	int			 rc;
};

static int
compare(const uint8_t *a, size_t an, const uint8_t *b, size_t bn)
{
	int c = memcmp(a, b, an < bn ? an : bn);

	return c != 0 ? c : an < bn ? -1 : an > bn;
}

static int
look_entry(void *arg, const struct entry *e)
{
	struct look *l = arg;

	if (compare(e->name, e->name_len, l->name, l->len) != 0)
		return RC_OK;
	if ((l->entry = entry_copy(e)) == NULL)
		return l->rc = RC_NOMEM;
	return RC_OK;
}

static int
look_child(void *arg, const uint8_t *first, size_t first_len,
    const struct object_id *child, uint64_t entries)
{
	struct look *l = arg;

	(void)entries;
	if (compare(first, first_len, l->name, l->len) <= 0) {
		l->child = *child;
		l->has_child = true;
	}
	return RC_OK;
}

/* One name in a directory whose top node is id. */
static int
look_in(struct tree *t, struct object_id id, struct look *l)
{
	struct fetched f;
	uint16_t above = 0;
	int rc;

	for (;;) {
		rc = tree_fetch(t, &id, 0, &f, t->edges, t->plain);
		if (rc != RC_OK)
			return rc;
		if (above != 0 && f.height >= above)
			return RC_CORRUPT;
		above = f.height;
		if (f.type == OBJECT_DIR_LEAF) {
			rc = leaf_read(t->plain, f.len, t->edges, f.nedges,
			    look_entry, l);
			if (rc == RC_OK && l->entry == NULL)
				rc = RC_NOENT;
			return rc;
		}
		if (f.type != OBJECT_DIR_INTERIOR)
			return RC_CORRUPT;
		l->has_child = false;
		rc = interior_read(t->plain, f.len, t->edges, f.nedges,
		    look_child, l);
		if (rc != RC_OK)
			return rc;
		if (!l->has_child)
			return RC_NOENT;
		id = l->child;
	}
}

int
tree_lookup(struct tree *t, const struct object_id *root, const char *path,
    struct entry **found)
{
	struct object_id dir = *root;
	struct entry *e = NULL;
	struct look l;
	size_t len;
	int rc;

	*found = NULL;
	for (;; path += len) {
		path += strspn(path, "/");
		if ((len = strcspn(path, "/")) == 0)
			break;
		if (e != NULL) {
			if (e->ref != REF_DIR) {
				rc = RC_NOENT;
				goto fail;
			}
			dir = e->ref_id;
		}
		memset(&l, 0, sizeof(l));
		l.name = (const uint8_t *)path;
		l.len = len;
		rc = look_in(t, dir, &l);
		free(e);
		e = l.entry;
		if (rc != RC_OK)
			goto fail;
	}
	*found = e;
	return RC_OK;
fail:
	free(e);
	return rc;
}
