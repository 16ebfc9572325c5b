#include "config.h"

#include "server/catalog/feed.h"

#include "common/rc.h"

void
feed_run_put(struct wbuf *out, const struct feed_run *f)
{
	wbuf_bytes(out, f->run, sizeof(f->run));
	wbuf_bytes(out, f->client, sizeof(f->client));
	wbuf_bytes(out, f->job, sizeof(f->job));
	wbuf_u8(out, f->state);
	wbuf_i64(out, f->started);
	wbuf_i64(out, f->now);
	wbuf_u64(out, f->objects);
	wbuf_u64(out, f->received);
}

int
feed_run_get(struct rbuf *in, struct feed_run *f)
{
	int rc;

	if ((rc = rbuf_bytes(in, f->run, sizeof(f->run))) != RC_OK ||
	    (rc = rbuf_bytes(in, f->client, sizeof(f->client))) != RC_OK ||
	    (rc = rbuf_bytes(in, f->job, sizeof(f->job))) != RC_OK ||
	    (rc = rbuf_u8(in, &f->state)) != RC_OK ||
	    (rc = rbuf_i64(in, &f->started)) != RC_OK ||
	    (rc = rbuf_i64(in, &f->now)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->objects)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->received)) != RC_OK ||
	    (rc = rbuf_end(in)) != RC_OK)
		return rc;
	return f->state == 0 || f->state >= FEED_RUN_STATE_MAX ? RC_RANGE :
	    RC_OK;
}

void
feed_snapshot_put(struct wbuf *out, const struct feed_snapshot *f)
{
	wbuf_bytes(out, f->id.b, sizeof(f->id.b));
	wbuf_bytes(out, f->run, sizeof(f->run));
	wbuf_bytes(out, f->client, sizeof(f->client));
	wbuf_bytes(out, f->job, sizeof(f->job));
	wbuf_str(out, f->label);
	wbuf_u16(out, f->flags);
	wbuf_u64(out, f->vault_seq);
	wbuf_i64(out, f->started);
	wbuf_i64(out, f->wall_ns);
	wbuf_u64(out, f->lock_until);
	wbuf_u64(out, f->closure_bytes);
	wbuf_u64(out, f->closure_objects);
	wbuf_u64(out, f->new_bytes);
}

int
feed_snapshot_get(struct rbuf *in, struct feed_snapshot *f)
{
	int rc;

	if ((rc = rbuf_bytes(in, f->id.b, sizeof(f->id.b))) != RC_OK ||
	    (rc = rbuf_bytes(in, f->run, sizeof(f->run))) != RC_OK ||
	    (rc = rbuf_bytes(in, f->client, sizeof(f->client))) != RC_OK ||
	    (rc = rbuf_bytes(in, f->job, sizeof(f->job))) != RC_OK ||
	    (rc = rbuf_str(in, f->label, sizeof(f->label))) != RC_OK ||
	    (rc = rbuf_u16(in, &f->flags)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->vault_seq)) != RC_OK ||
	    (rc = rbuf_i64(in, &f->started)) != RC_OK ||
	    (rc = rbuf_i64(in, &f->wall_ns)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->lock_until)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->closure_bytes)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->closure_objects)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->new_bytes)) != RC_OK)
		return rc;
	return rbuf_end(in);
}

void
feed_space_put(struct wbuf *out, const struct feed_space *f)
{
	wbuf_u64(out, f->packs);
	wbuf_u64(out, f->bytes);
	wbuf_u64(out, f->objects);
	wbuf_u64(out, f->snapshots);
	wbuf_u64(out, f->fs_free);
	wbuf_u64(out, f->fs_total);
}

int
feed_space_get(struct rbuf *in, struct feed_space *f)
{
	int rc;

	if ((rc = rbuf_u64(in, &f->packs)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->bytes)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->objects)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->snapshots)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->fs_free)) != RC_OK ||
	    (rc = rbuf_u64(in, &f->fs_total)) != RC_OK)
		return rc;
	return rbuf_end(in);
}
