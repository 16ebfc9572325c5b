#include "config.h"

#include <string.h>

#include "client/engine/remote_impl.h"
#include "common/rc.h"

/*
 * Requests with many frames in their answer: lists, page by page, walks and the
 * server's own check.
 */
#define LIST_PAGE	256
#define WALK_BUDGET	(8u << 20)

/* --- lists, page by page --- */

struct page {
	int		(*snapshot)(void *arg, const struct listed *l);
	int		(*record)(void *arg, const struct record *rec);
	void		*arg;
	uint64_t	 last;		/* sequence of the newest seen */
	size_t		 n;
	uint8_t		 kind;
	uint8_t		 more;
	int		 rc;		/* the caller had enough */
};

static int
on_snapshot(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct page *p = a->arg;
	struct listed l;
	struct rbuf in;

	rbuf_init(&in, f->payload, f->len);
	if (f->type == PROTO_LIST_END) {
		if (more_parse(&in, &p->more) != RC_OK ||
		    (p->more != 0 && p->n == 0))
			return remote_malformed(r, f);
		a->done = true;
		return RC_OK;
	}
	if (f->type != PROTO_SNAPSHOT)
		return remote_unexpected(r, f);
	if (listed_parse(&in, &l) != RC_OK)
		return remote_malformed(r, f);
	if (l.server.vault_seq <= p->last || ++p->n > LIST_PAGE)
		return remote_fail(r, RC_PROTO,
		    "the server's list of snapshots is out of order");
	p->last = l.server.vault_seq;
	if (p->rc == RC_OK) {
		r->in_callback = true;
		p->rc = p->snapshot(p->arg, &l);
		r->in_callback = false;
	}
	return RC_OK;
}

int
remote_list(struct remote *r, const uint8_t job[16], uint64_t after,
    int (*each)(void *arg, const struct listed *l), void *arg)
{
	struct page p = { .snapshot = each, .arg = arg, .last = after };
	struct answer a = { .on = on_snapshot, .arg = &p };
	struct list q = { .n = LIST_PAGE };
	struct wbuf body;
	int rc;

	if (job != NULL)
		memcpy(q.job, job, sizeof(q.job));
	do {
		q.after = p.last;
		p.n = 0;
		wbuf_init(&body, PROTO_SMALL_MAX);
		list_put(&body, &q);
		rc = remote_call(r, PROTO_LIST, &body, &a);
		wbuf_free(&body);
	} while (rc == RC_OK && p.rc == RC_OK && p.more != 0);
	return rc != RC_OK ? rc : p.rc;
}

static int
on_record(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct page *p = a->arg;
	struct record rec;
	struct rbuf in;

	rbuf_init(&in, f->payload, f->len);
	if (f->type == PROTO_RECORD_END) {
		if (more_parse(&in, &p->more) != RC_OK ||
		    (p->more != 0 && p->n == 0))
			return remote_malformed(r, f);
		a->done = true;
		return RC_OK;
	}
	if (f->type != PROTO_RECORD)
		return remote_unexpected(r, f);
	if (record_parse(&in, &rec) != RC_OK ||
	    (p->kind != 0 && rec.kind != p->kind))
		return remote_malformed(r, f);
	if (rec.seq <= p->last)
		return remote_fail(r, RC_PROTO,
		    "the server's list of key records is out of order");
	p->last = rec.seq;
	p->n++;
	if (p->rc == RC_OK) {
		r->in_callback = true;
		p->rc = p->record(p->arg, &rec);
		r->in_callback = false;
	}
	return RC_OK;
}

int
remote_records(struct remote *r, uint8_t kind, uint64_t after,
    int (*each)(void *arg, const struct record *rec), void *arg)
{
	struct page p = { .record = each, .arg = arg, .last = after,
	    .kind = kind };
	struct answer a = { .on = on_record, .arg = &p };
	struct record_get q = { .kind = kind };
	struct wbuf body;
	int rc;

	do {
		q.after = p.last;
		p.n = 0;
		wbuf_init(&body, PROTO_SMALL_MAX);
		record_get_put(&body, &q);
		rc = remote_call(r, PROTO_RECORD_GET, &body, &a);
		wbuf_free(&body);
	} while (rc == RC_OK && p.rc == RC_OK && p.more != 0);
	return rc != RC_OK ? rc : p.rc;
}

static int
on_record_ok(struct remote *r, const struct link_frame *f, struct answer *a)
{
	uint64_t *seq = a->arg;
	struct rbuf in;

	if (f->type != PROTO_RECORD_OK)
		return remote_unexpected(r, f);
	rbuf_init(&in, f->payload, f->len);
	if (rbuf_u64(&in, seq) != RC_OK || rbuf_end(&in) != RC_OK)
		return remote_malformed(r, f);
	a->done = true;
	return RC_OK;
}

int
remote_record_add(struct remote *r, uint8_t kind, const void *p, size_t n,
    uint64_t *seq)
{
	struct wbuf body = WBUF_INIT(PROTO_RECORD_MAX + 16);
	uint64_t ignored;
	struct answer a = { .on = on_record_ok,
	    .arg = seq != NULL ? seq : &ignored };
	struct record rec = { .kind = kind, .body = p, .len = n };
	int rc;

	if (n > PROTO_RECORD_MAX)
		return RC_LIMIT;
	record_put(&body, &rec);
	rc = remote_call(r, PROTO_RECORD_ADD, &body, &a);
	wbuf_free(&body);
	return rc;
}

/* --- walk, verify, bad --- */

struct walk_call {
	uint8_t	*cursor;
	size_t	 len;
	bool	 moved;		/* an object came since the last cursor */
};

static int
on_walk(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct walk_call *c = a->arg;
	const uint8_t *cursor;
	struct object_id id;
	struct id_copy gone;
	struct object o;
	struct rbuf in;
	size_t len;

	rbuf_init(&in, f->payload, f->len);
	switch (f->type) {
	case PROTO_OBJ:
		c->moved = true;
		if (object_parse(f->payload, f->len, &o) == RC_OK &&
		    object_check_crc(f->payload, f->len) == RC_OK) {
			id = o.h.id;
			return remote_give(r, f->request, &id, f->payload,
			    f->len);
		}
		memset(&id, 0, sizeof(id));
		(void)remote_object_id(f->payload, f->len, &id);
		return remote_give(r, f->request, &id, NULL, 1);
	case PROTO_GONE:
		if (id_copy_parse(&in, &gone) != RC_OK)
			return remote_malformed(r, f);
		c->moved = true;
		return remote_give(r, f->request, &gone.id, NULL, 0);
	case PROTO_WALK_END:
		if (walk_end_parse(&in, &cursor, &len) != RC_OK ||
		    len > PROTO_CURSOR_MAX)
			return remote_malformed(r, f);
		/* A walk that stands still would never end. */
		if (len > 0 && !c->moved)
			return remote_fail(r, RC_PROTO,
			    "the server's walk does not get on");
		memcpy(c->cursor, cursor, len);
		c->len = len;
		a->done = true;
		return RC_OK;
	default:
		return remote_unexpected(r, f);
	}
}

int
remote_walk(struct remote *r, const struct object_id *root, uint8_t what)
{
	uint8_t cursor[PROTO_CURSOR_MAX];
	struct walk_call c = { .cursor = cursor };
	struct answer a = { .on = on_walk, .arg = &c };
	struct walk w = { .root = *root, .what = what, .budget = WALK_BUDGET };
	struct wbuf body;
	int rc;

	do {
		w.cursor = cursor;
		w.cursor_len = c.len;
		c.moved = false;
		wbuf_init(&body, PROTO_SMALL_MAX);
		walk_put(&body, &w);
		rc = remote_call(r, PROTO_WALK, &body, &a);
		wbuf_free(&body);
	} while (rc == RC_OK && c.len > 0);
	return rc;
}

struct verify_call {
	int			(*each)(void *arg, const struct finding *f);
	void			*arg;
	struct verify_end	*end;
	int			 rc;
};

static int
on_finding(struct remote *r, const struct link_frame *f, struct answer *a)
{
	struct verify_call *c = a->arg;
	struct finding found;
	struct rbuf in;

	rbuf_init(&in, f->payload, f->len);
	if (f->type == PROTO_VERIFY_END) {
		if (verify_end_parse(&in, c->end) != RC_OK)
			return remote_malformed(r, f);
		a->done = true;
		return RC_OK;
	}
	if (f->type != PROTO_FINDING)
		return remote_unexpected(r, f);
	if (finding_parse(&in, &found) != RC_OK)
		return remote_malformed(r, f);
	remote_printable(found.text);
	if (c->rc == RC_OK) {
		r->in_callback = true;
		c->rc = c->each(c->arg, &found);
		r->in_callback = false;
	}
	return RC_OK;
}

int
remote_verify(struct remote *r, uint8_t percent,
    int (*each)(void *arg, const struct finding *f), void *arg,
    struct verify_end *end)
{
	struct verify_call c = { each, arg, end, RC_OK };
	struct answer a = { .on = on_finding, .arg = &c };
	struct wbuf body = WBUF_INIT(16);
	int rc;

	wbuf_u8(&body, percent);
	rc = remote_call(r, PROTO_VERIFY, &body, &a);
	wbuf_free(&body);
	return rc != RC_OK ? rc : c.rc;
}

static int
on_bad_ok(struct remote *r, const struct link_frame *f, struct answer *a)
{
	if (f->type != PROTO_BAD_OK)
		return remote_unexpected(r, f);
	a->done = true;
	return RC_OK;
}

int
remote_bad(struct remote *r, const struct object_id *id, uint8_t copy)
{
	struct wbuf body = WBUF_INIT(64);
	struct answer a = { .on = on_bad_ok };
	struct id_copy c = { .id = *id, .copy = copy };
	int rc;

	id_copy_put(&body, &c);
	rc = remote_call(r, PROTO_BAD, &body, &a);
	wbuf_free(&body);
	return rc;
}
