#include "config.h"

#include "client/engine/node.h"

#include <stdlib.h>
#include <string.h>

#include "client/engine/build.h"
#include "client/engine/chunker.h"
#include "common/rc.h"

/* What follows an entry's reference, in rising order. */
enum leaf_tlv {
	TLV_XATTRS = 1,			/* the set itself */
	TLV_XATTRS_EDGE = 2,		/* edge u16, length u32 */
	TLV_RDEV = 3,			/* u64 */
	TLV_LINK = 4,			/* u64 */
};

#define EXTENT_DATA	0
#define EXTENT_HOLE	1
#define LINK_TARGET_MAX	4095
#define LEVELS_MAX	8		/* some 30^8 leaves */
#define OWNERS_MAX	16384

struct owner {
	uint32_t	 id;
	char		*name;
};

struct owners {
	struct owner	*o;		/* rising ids */
	size_t		 n, size;
};

struct dir_builder {
	struct sealer		*sealer;
	uint8_t			 key[16];
	node_emit		*emit;
	void			*arg;
	struct wbuf		 plain;		/* a node as it is emitted */

	struct wbuf		 items;		/* entries of the open leaf */
	struct edges		 edges;
	struct owners		 users, groups;
	struct child		 head;		/* the open leaf */
	uint8_t			 last[NODE_NAME_MAX];
	size_t			 last_len;
	uint32_t		 count;
	struct level		 level[LEVELS_MAX];
	size_t			 nlevels;
};

struct dir_builder *
dir_begin(struct sealer *s, const struct keys *k, node_emit *emit, void *arg)
{
	struct dir_builder *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	d->sealer = s;
	memcpy(d->key, k->dir.b, sizeof(d->key));
	d->emit = emit;
	d->arg = arg;
	wbuf_init(&d->plain, NODE_PLAIN_MAX);
	wbuf_init(&d->items, NODE_PLAIN_MAX);
	return d;
}

static void
owners_reset(struct owners *o)
{
	size_t i;

	for (i = 0; i < o->n; i++)
		free(o->o[i].name);
	o->n = 0;
}

void
dir_free(struct dir_builder *d)
{
	size_t i;

	if (d == NULL)
		return;
	for (i = 0; i < d->nlevels; i++)
		level_free(&d->level[i]);
	owners_reset(&d->users);
	owners_reset(&d->groups);
	free(d->users.o);
	free(d->groups.o);
	edges_free(&d->edges);
	wbuf_free(&d->items);
	wbuf_free(&d->plain);
	free(d);
}

static size_t
owners_at(const struct owners *o, uint32_t id)
{
	size_t lo = 0, hi = o->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (o->o[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int
owners_add(struct owners *o, uint32_t id, const char *name)
{
	struct owner *p;
	size_t at, size;
	char *copy;

	if (name == NULL || name[0] == '\0')
		return RC_OK;
	at = owners_at(o, id);
	if (at < o->n && o->o[at].id == id)
		return RC_OK;
	if (strlen(name) > NODE_NAME_MAX || o->n == OWNERS_MAX)
		return RC_LIMIT;
	if (o->n == o->size) {
		size = o->size == 0 ? 4 : o->size * 2;
		if ((p = realloc(o->o, size * sizeof(*p))) == NULL)
			return RC_NOMEM;
		o->o = p;
		o->size = size;
	}
	if ((copy = strdup(name)) == NULL)
		return RC_NOMEM;
	memmove(&o->o[at + 1], &o->o[at], (o->n - at) * sizeof(*o->o));
	o->o[at].id = id;
	o->o[at].name = copy;
	o->n++;
	return RC_OK;
}

static void
owners_put(struct wbuf *out, const struct owners *o)
{
	size_t i, len;

	wbuf_u16(out, (uint16_t)o->n);
	for (i = 0; i < o->n; i++) {
		len = strlen(o->o[i].name);
		wbuf_u32(out, o->o[i].id);
		wbuf_u8(out, (uint8_t)len);
		wbuf_bytes(out, o->o[i].name, len + 1);
	}
}

/* Hand a finished node of some level to the level above. */
static int
push_child(struct dir_builder *d, size_t at, const struct child *c)
{
	struct child here = *c, up;
	struct level *l;
	int rc;

	for (;; at++, here = up) {
		if (at == LEVELS_MAX)
			return RC_LIMIT;
		l = &d->level[at];
		if (at == d->nlevels) {
			level_init(l);
			d->nlevels++;
		}
		if (!level_full(l, &here, d->key))
			return level_add(l, &here);
		if ((rc = level_finish(l, d->sealer, d->emit, d->arg,
		    &d->plain, &up)) != RC_OK ||
		    (rc = level_add(l, &here)) != RC_OK)
			return rc;
	}
}

static int
leaf_finish(struct dir_builder *d, struct child *c)
{
	int rc;

	wbuf_reset(&d->plain);
	wbuf_u8(&d->plain, NODE_VERSION);
	owners_put(&d->plain, &d->users);
	owners_put(&d->plain, &d->groups);
	wbuf_u32(&d->plain, d->count);
	wbuf_bytes(&d->plain, d->items.data, d->items.len);
	if ((rc = wbuf_rc(&d->plain)) != RC_OK)
		return rc;
	if (d->head.height == UINT16_MAX)
		return RC_LIMIT;
	*c = d->head;
	c->height++;
	c->entries = d->count;
	if ((rc = seal_node_id(d->sealer, OBJECT_DIR_LEAF, c->height,
	    d->edges.id, d->edges.n, d->plain.data, d->plain.len, &c->id)) !=
	    RC_OK ||
	    (rc = d->emit(d->arg, &c->id, OBJECT_DIR_LEAF, c->height,
	    d->edges.id, d->edges.n, d->plain.data, d->plain.len)) != RC_OK)
		return rc;
	wbuf_reset(&d->items);
	edges_reset(&d->edges);
	owners_reset(&d->users);
	owners_reset(&d->groups);
	d->count = 0;
	d->head.height = 0;
	d->head.first_len = 0;
	return RC_OK;
}

static int
put_edge(struct dir_builder *d, const struct object_id *id, uint16_t height)
{
	uint16_t index;
	int rc;

	if ((rc = edges_add(&d->edges, id, &index)) != RC_OK)
		return rc;
	if (height > d->head.height)
		d->head.height = height;
	wbuf_u16(&d->items, index);
	return RC_OK;
}

static int
put_extents(struct dir_builder *d, const struct entry *e)
{
	uint8_t i;
	int rc;

	wbuf_u8(&d->items, e->next);
	for (i = 0; i < e->next; i++) {
		wbuf_u8(&d->items, e->ext[i].hole ? EXTENT_HOLE : EXTENT_DATA);
		if (!e->ext[i].hole &&
		    (rc = put_edge(d, &e->ext[i].id, 0)) != RC_OK)
			return rc;
		wbuf_u64(&d->items, e->ext[i].len);
	}
	return RC_OK;
}

static int
put_reference(struct dir_builder *d, const struct entry *e)
{
	struct wbuf *out = &d->items;
	int rc;

	wbuf_u8(out, (uint8_t)e->ref);
	switch (e->ref) {
	case REF_INLINE:
		wbuf_blob16(out, e->inline_data, e->inline_len);
		return RC_OK;
	case REF_BUNDLE:
		if ((rc = put_edge(d, &e->ref_id, 0)) != RC_OK)
			return rc;
		wbuf_u32(out, e->offset);
		wbuf_u32(out, e->len);
		wbuf_bytes(out, e->fid, sizeof(e->fid));
		return RC_OK;
	case REF_EXTENTS:
		return put_extents(d, e);
	case REF_MAP:
	case REF_DIR:
		if ((rc = put_edge(d, &e->ref_id, e->ref_height)) != RC_OK)
			return rc;
		wbuf_u16(out, e->ref_height);
		return RC_OK;
	case REF_NONE:
		return RC_OK;
	}
	return RC_RANGE;
}

static int
put_tlvs(struct dir_builder *d, const struct entry *e)
{
	struct wbuf *out = &d->items;
	bool edge = e->xattrs_len > NODE_XATTR_INLINE_MAX;
	int rc;

	wbuf_u8(out, (uint8_t)((e->xattrs_len > 0) + (e->rdev != 0) +
	    (e->link_id != 0)));
	if (e->xattrs_len > 0 && !edge) {
		wbuf_u8(out, TLV_XATTRS);
		wbuf_blob16(out, e->xattrs, e->xattrs_len);
	} else if (edge) {
		wbuf_u8(out, TLV_XATTRS_EDGE);
		wbuf_u16(out, 6);
		if ((rc = put_edge(d, &e->xattrs_edge, 0)) != RC_OK)
			return rc;
		wbuf_u32(out, (uint32_t)e->xattrs_len);
	}
	if (e->rdev != 0) {
		wbuf_u8(out, TLV_RDEV);
		wbuf_u16(out, 8);
		wbuf_u64(out, e->rdev);
	}
	if (e->link_id != 0) {
		wbuf_u8(out, TLV_LINK);
		wbuf_u16(out, 8);
		wbuf_u64(out, e->link_id);
	}
	return RC_OK;
}

static size_t
entry_edges(const struct entry *e)
{
	size_t n = e->xattrs_len > NODE_XATTR_INLINE_MAX;

	if (e->ref == REF_EXTENTS)
		return n + e->next;
	return n + (e->ref == REF_BUNDLE || e->ref == REF_MAP ||
	    e->ref == REF_DIR);
}

/* More than the entry can take, so that the hard limit holds. */
static size_t
entry_room(const struct entry *e)
{
	return e->name_len + e->xattrs_len % (NODE_XATTR_INLINE_MAX + 1) +
	    (e->ref == REF_INLINE ? e->inline_len : 0) + 192;
}

static bool
leaf_full(const struct dir_builder *d, const struct entry *e)
{
	if (d->count == 0)
		return false;
	if (d->edges.n + entry_edges(e) > OBJECT_EDGES_MAX ||
	    d->items.len + entry_room(e) > NODE_CUT_HARD)
		return true;
	return d->items.len > NODE_CUT_SOFT &&
	    (siphash(d->key, e->name, e->name_len) & NODE_CUT_MASK) == 0;
}

static int
name_cmp(const uint8_t *a, size_t an, const uint8_t *b, size_t bn)
{
	int c = memcmp(a, b, an < bn ? an : bn);

	if (c != 0)
		return c;
	return an < bn ? -1 : an > bn;
}

static bool
name_ok(const uint8_t *name, size_t n)
{
	if (n == 0 || n > NODE_NAME_MAX || memchr(name, '/', n) != NULL ||
	    memchr(name, '\0', n) != NULL)
		return false;
	return !(name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.')));
}

/* What kind of reference goes with what kind of file, and its lengths. */
static bool
entry_ok(const struct entry *e)
{
	uint64_t sum = 0;
	uint8_t i;

	if (!name_ok(e->name, e->name_len) || e->mtime_ns > 999999999)
		return false;
	switch (e->mode & S_IFMT) {
	case S_IFDIR:
		return e->ref == REF_DIR && e->ref_height > 0;
	case S_IFLNK:
		return e->ref == REF_INLINE && e->inline_len > 0 &&
		    e->inline_len <= LINK_TARGET_MAX;
	case S_IFREG:
		break;
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return e->ref == REF_NONE;
	default:
		return false;
	}
	if (e->ref == REF_INLINE)
		return e->inline_len <= NODE_INLINE_MAX &&
		    e->size == e->inline_len;
	if (e->ref == REF_BUNDLE)
		return e->offset <= BUNDLE_MAX && e->size == e->len &&
		    e->len <= BUNDLE_MAX - e->offset;
	if (e->ref == REF_MAP)
		return e->ref_height > 0;
	if (e->ref != REF_EXTENTS || e->next == 0 || e->next > NODE_EXTENTS_MAX)
		return false;
	for (i = 0; i < e->next; i++)
		if (e->ext[i].len == 0 ||
		    __builtin_add_overflow(sum, e->ext[i].len, &sum))
			return false;
	return sum == e->size;
}

int
dir_add(struct dir_builder *d, const struct entry *e)
{
	struct wbuf *out = &d->items;
	struct child c;
	int rc;

	if (!entry_ok(e))
		return RC_RANGE;
	if (d->last_len > 0 &&
	    name_cmp(d->last, d->last_len, e->name, e->name_len) >= 0)
		return RC_RANGE;
	if (leaf_full(d, e) && ((rc = leaf_finish(d, &c)) != RC_OK ||
	    (rc = push_child(d, 0, &c)) != RC_OK))
		return rc;
	if (d->count == 0) {
		memcpy(d->head.first, e->name, e->name_len);
		d->head.first_len = e->name_len;
	}
	memcpy(d->last, e->name, e->name_len);
	d->last_len = e->name_len;
	wbuf_u8(out, (uint8_t)e->name_len);
	wbuf_bytes(out, e->name, e->name_len);
	wbuf_u32(out, e->mode);
	wbuf_u32(out, e->uid);
	wbuf_u32(out, e->gid);
	wbuf_i64(out, e->mtime);
	wbuf_u32(out, e->mtime_ns);
	wbuf_u64(out, e->size);
	if ((rc = put_reference(d, e)) != RC_OK ||
	    (rc = put_tlvs(d, e)) != RC_OK ||
	    (rc = owners_add(&d->users, e->uid, e->user)) != RC_OK ||
	    (rc = owners_add(&d->groups, e->gid, e->group)) != RC_OK)
		return rc;
	d->count++;
	return wbuf_rc(out);
}

/*
 * A directory that fits one leaf is that leaf.  Otherwise each level above is
 * finished in turn until one node holds all.
 */
int
dir_end(struct dir_builder *d, struct object_id *top, uint16_t *height)
{
	struct child c;
	struct level *l;
	size_t i;
	int rc;

	if ((rc = leaf_finish(d, &c)) != RC_OK)
		return rc;
	for (i = 0; i < d->nlevels; i++) {
		l = &d->level[i];
		if (!l->emitted && l->count == 0)
			break;
		if ((rc = push_child(d, i, &c)) != RC_OK ||
		    (rc = level_finish(l, d->sealer, d->emit, d->arg,
		    &d->plain, &c)) != RC_OK)
			return rc;
	}
	for (i = 0; i < d->nlevels; i++)
		level_reset(&d->level[i]);
	*top = c.id;
	*height = c.height;
	d->last_len = 0;
	return RC_OK;
}

/* --- reading --- */

struct owner_view {
	const uint8_t	*p;		/* id u32, len u8, name, NUL */
	uint16_t	 n;
};

static int
owners_get(struct rbuf *in, struct owner_view *v)
{
	uint32_t id, last = 0;
	const uint8_t *name;
	uint8_t len;
	uint16_t i;
	int rc;

	if ((rc = rbuf_u16(in, &v->n)) != RC_OK)
		return rc;
	v->p = in->p;
	for (i = 0; i < v->n; i++, last = id) {
		if ((rc = rbuf_u32(in, &id)) != RC_OK ||
		    (rc = rbuf_u8(in, &len)) != RC_OK ||
		    (rc = rbuf_view(in, &name, (size_t)len + 1)) != RC_OK)
			return rc;
		if ((i > 0 && id <= last) || len == 0 || name[len] != '\0' ||
		    memchr(name, '\0', len) != NULL)
			return RC_CORRUPT;
	}
	return RC_OK;
}

/* The tables were checked; they are short, and most entries have the first. */
static const char *
owners_name(const struct owner_view *v, uint32_t want)
{
	const uint8_t *p = v->p;
	uint32_t id;
	uint16_t i;

	for (i = 0; i < v->n; i++, p += 6 + p[4]) {
		id = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
		    (uint32_t)p[2] << 8 | p[3];
		if (id == want)
			return (const char *)p + 5;
		if (id > want)
			break;
	}
	return NULL;
}

static int
get_extents(struct rbuf *in, struct edge_view *edges, struct entry *e)
{
	uint8_t i, kind;
	int rc;

	if ((rc = rbuf_u8(in, &e->next)) != RC_OK)
		return rc;
	if (e->next > NODE_EXTENTS_MAX)
		return RC_CORRUPT;
	for (i = 0; i < e->next; i++) {
		if ((rc = rbuf_u8(in, &kind)) != RC_OK)
			return rc;
		if (kind > EXTENT_HOLE)
			return RC_CORRUPT;
		e->ext[i].hole = kind == EXTENT_HOLE;
		if (!e->ext[i].hole &&
		    (rc = edge_read(in, edges, &e->ext[i].id)) != RC_OK)
			return rc;
		if ((rc = rbuf_u64(in, &e->ext[i].len)) != RC_OK)
			return rc;
	}
	return RC_OK;
}

static int
get_reference(struct rbuf *in, struct edge_view *edges, struct entry *e)
{
	uint8_t kind;
	int rc;

	if ((rc = rbuf_u8(in, &kind)) != RC_OK)
		return rc;
	e->ref = kind;
	switch (kind) {
	case REF_INLINE:
		return rbuf_blob16(in, &e->inline_data, &e->inline_len,
		    LINK_TARGET_MAX);
	case REF_BUNDLE:
		if ((rc = edge_read(in, edges, &e->ref_id)) != RC_OK ||
		    (rc = rbuf_u32(in, &e->offset)) != RC_OK ||
		    (rc = rbuf_u32(in, &e->len)) != RC_OK)
			return rc;
		return rbuf_bytes(in, e->fid, sizeof(e->fid));
	case REF_EXTENTS:
		return get_extents(in, edges, e);
	case REF_MAP:
	case REF_DIR:
		if ((rc = edge_read(in, edges, &e->ref_id)) != RC_OK)
			return rc;
		return rbuf_u16(in, &e->ref_height);
	case REF_NONE:
		return RC_OK;
	}
	return RC_CORRUPT;
}

static int
get_tlv(uint8_t tag, struct rbuf *in, struct edge_view *edges,
    struct entry *e)
{
	uint32_t len;
	int rc;

	switch (tag) {
	case TLV_XATTRS:
		if (in->left == 0 || in->left > NODE_XATTR_INLINE_MAX)
			return RC_CORRUPT;
		e->xattrs_len = in->left;
		return rbuf_view(in, &e->xattrs, in->left);
	case TLV_XATTRS_EDGE:
		if (e->xattrs_len > 0)
			return RC_CORRUPT;
		if ((rc = edge_read(in, edges, &e->xattrs_edge)) != RC_OK ||
		    (rc = rbuf_u32(in, &len)) != RC_OK)
			return rc;
		e->xattrs_len = len;
		return len > NODE_XATTR_INLINE_MAX && len <= OBJECT_RAW_MAX ?
		    RC_OK : RC_CORRUPT;
	case TLV_RDEV:
		if ((rc = rbuf_u64(in, &e->rdev)) != RC_OK)
			return rc;
		return e->rdev != 0 ? RC_OK : RC_CORRUPT;
	case TLV_LINK:
		if ((rc = rbuf_u64(in, &e->link_id)) != RC_OK)
			return rc;
		return e->link_id != 0 ? RC_OK : RC_CORRUPT;
	}
	return RC_UNSUPPORTED;
}

static int
get_tlvs(struct rbuf *in, struct edge_view *edges, struct entry *e)
{
	uint8_t n, i, tag, last = 0;
	struct rbuf value;
	uint16_t len;
	int rc;

	if ((rc = rbuf_u8(in, &n)) != RC_OK)
		return rc;
	for (i = 0; i < n; i++, last = tag) {
		if ((rc = rbuf_u8(in, &tag)) != RC_OK ||
		    (rc = rbuf_u16(in, &len)) != RC_OK ||
		    (rc = rbuf_sub(in, &value, len)) != RC_OK)
			return rc;
		if (tag <= last)
			return RC_CORRUPT;
		if ((rc = get_tlv(tag, &value, edges, e)) != RC_OK ||
		    (rc = rbuf_end(&value)) != RC_OK)
			return rc;
	}
	return RC_OK;
}

static int
get_entry(struct rbuf *in, struct edge_view *edges, struct entry *e)
{
	uint8_t len;
	int rc;

	if ((rc = rbuf_u8(in, &len)) != RC_OK ||
	    (rc = rbuf_view(in, &e->name, len)) != RC_OK ||
	    (rc = rbuf_u32(in, &e->mode)) != RC_OK ||
	    (rc = rbuf_u32(in, &e->uid)) != RC_OK ||
	    (rc = rbuf_u32(in, &e->gid)) != RC_OK ||
	    (rc = rbuf_i64(in, &e->mtime)) != RC_OK ||
	    (rc = rbuf_u32(in, &e->mtime_ns)) != RC_OK ||
	    (rc = rbuf_u64(in, &e->size)) != RC_OK)
		return rc;
	e->name_len = len;
	if ((rc = get_reference(in, edges, e)) != RC_OK ||
	    (rc = get_tlvs(in, edges, e)) != RC_OK)
		return rc;
	return entry_ok(e) ? RC_OK : RC_CORRUPT;
}

static int
corrupt_unless(int rc)
{
	return rc == RC_TRUNCATED || rc == RC_TRAILING || rc == RC_LIMIT ||
	    rc == RC_RANGE ? RC_CORRUPT : rc;
}

int
leaf_read(const uint8_t *plain, size_t len, const struct object_id *edges,
    uint16_t nedges, int (*each)(void *arg, const struct entry *e), void *arg)
{
	struct edge_view view = { edges, nedges, 0 };
	struct owner_view users, groups;
	const uint8_t *last = NULL;
	size_t last_len = 0;
	uint32_t count, i;
	uint8_t version;
	struct rbuf in;
	struct entry e;
	int rc;

	rbuf_init(&in, plain, len);
	if ((rc = rbuf_u8(&in, &version)) != RC_OK)
		return corrupt_unless(rc);
	if (version != NODE_VERSION)
		return RC_UNSUPPORTED;
	if ((rc = owners_get(&in, &users)) != RC_OK ||
	    (rc = owners_get(&in, &groups)) != RC_OK ||
	    (rc = rbuf_u32(&in, &count)) != RC_OK)
		return corrupt_unless(rc);
	for (i = 0; i < count; i++, last = e.name, last_len = e.name_len) {
		memset(&e, 0, offsetof(struct entry, ext));
		e.next = 0;
		if ((rc = get_entry(&in, &view, &e)) != RC_OK)
			return corrupt_unless(rc);
		if (last != NULL &&
		    name_cmp(last, last_len, e.name, e.name_len) >= 0)
			return RC_CORRUPT;
		e.user = owners_name(&users, e.uid);
		e.group = owners_name(&groups, e.gid);
		if ((rc = each(arg, &e)) != 0)
			return rc;
	}
	if ((rc = rbuf_end(&in)) != RC_OK)
		return corrupt_unless(rc);
	return view.used == nedges ? RC_OK : RC_CORRUPT;
}
