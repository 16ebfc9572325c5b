#include "config.h"

#include "tests/fault/hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/num.h"
#include "common/object.h"
#include "common/rc.h"

/* An enrolled client that lies about its objects and its snapshots. */

#define BIG_BODY	(256u << 10)

/* Logged in, with a run begun. */
static int
start(struct conn *c, const struct target *t, uint8_t job[16], uint64_t *seq)
{
	uint8_t run[16];
	int rc;

	random_fill(run, sizeof(run));
	random_fill(job, 16);
	if ((rc = login(c, t)) != RC_OK)
		return rc;
	return run_start(c, run, job, seq);
}

/* --- objects --- */

static void
spoil_crc(struct wbuf *w)
{
	w->data[w->len - 3] ^= 4;
}

static void
set_header(struct wbuf *w, size_t off, uint8_t v)
{
	w->data[off] = v;
	object_set_crc(w->data, w->len);
}

static void
spoil_version(struct wbuf *w)
{
	set_header(w, 0, 9);
}

static void
spoil_height(struct wbuf *w)
{
	set_header(w, 5, 0);
}

/* A chunk that says it has height. */
static void
spoil_chunk_height(struct wbuf *w)
{
	set_header(w, 1, OBJECT_CHUNK);
}

static void
spoil_edges(struct wbuf *w)
{
	set_header(w, 6, 0xff);		/* more than there may be */
}

static void
spoil_edge_count(struct wbuf *w)
{
	set_header(w, 7, 7);		/* more than there are */
}

static void
spoil_double(struct wbuf *w)
{
	memcpy(w->data + OBJECT_HEADER_LEN + 32, w->data + OBJECT_HEADER_LEN,
	    32);
	object_set_crc(w->data, w->len);
}

static void
spoil_body_len(struct wbuf *w)
{
	set_header(w, 64, 0x7f);
}

static void
spoil_cut(struct wbuf *w)
{
	w->len -= 16;
	object_set_crc(w->data, w->len);
}

static void
spoil_longer(struct wbuf *w)
{
	wbuf_zeros(w, 8);
	object_set_crc(w->data, w->len);
}

static const struct {
	const char	*name;
	void		(*spoil)(struct wbuf *w);
} spoils[] = {
	{ "crc", spoil_crc },
	{ "version", spoil_version },
	{ "node of height 0", spoil_height },
	{ "chunk with edges", spoil_chunk_height },
	{ "65,000 edges", spoil_edges },
	{ "fewer edges than said", spoil_edge_count },
	{ "an edge twice", spoil_double },
	{ "body of 2 GiB", spoil_body_len },
	{ "cut short", spoil_cut },
	{ "longer", spoil_longer },
};

static int
do_damaged_objects(struct target *t, int argc, char **argv)
{
	struct object_id edges[2];
	unsigned int bad = 0;
	uint8_t job[16];
	char text[400];
	struct conn c;
	struct fake o;
	uint64_t seq;
	size_t i;

	(void)argc;
	(void)argv;
	for (i = 0; i < NITEMS(spoils); i++) {
		random_fill(edges, sizeof(edges));
		fake_object(&o, OBJECT_DIR_LEAF, 3, edges, 2, 500);
		spoils[i].spoil(&o.wire);
		if (start(&c, t, job, &seq) == RC_OK &&
		    conn_frame(&c, PROTO_PUT, 20, o.wire.data, o.wire.len) ==
		    RC_OK)
			send_flush(&c, 0);
		if (conn_want(&c, PROTO_FLUSHED, WAIT_MS) == RC_OK)
			printf("damaged-objects: %s: TAKEN\n", spoils[i].name);
		conn_drain(&c, WAIT_MS);
		if (c.end != END_ERROR || (c.err.code != PROTO_ERR_PROTOCOL &&
		    c.err.code != PROTO_ERR_CORRUPT &&
		    c.err.code != PROTO_ERR_VERSION &&
		    c.err.code != PROTO_ERR_LIMIT))
			bad++;
		printf("damaged-objects: %s: %s\n", spoils[i].name,
		    ending_text(&c, text, sizeof(text)));
		conn_close(&c);
		fake_free(&o);
	}
	printf("damaged-objects: %u not refused as they should be\n", bad);
	return bad > 0;
}

static int
do_put_without_run(struct target *t, int argc, char **argv)
{
	struct conn c;
	struct fake o;

	(void)argc;
	(void)argv;
	fake_object(&o, OBJECT_CHUNK, 0, NULL, 0, 1000);
	if (login(&c, t) == RC_OK && conn_frame(&c, PROTO_PUT, 20,
	    o.wire.data, o.wire.len) == RC_OK)
		send_flush(&c, 0);
	if (conn_want(&c, PROTO_FLUSHED, WAIT_MS) == RC_OK)
		printf("put-without-run: TAKEN\n");
	fake_free(&o);
	return said(&c, "put-without-run", WAIT_MS);
}

static int
do_run_twice(struct target *t, int argc, char **argv)
{
	uint8_t job[16], run[16];
	struct conn c;
	uint64_t seq;

	(void)argc;
	(void)argv;
	random_fill(run, sizeof(run));
	if (start(&c, t, job, &seq) == RC_OK &&
	    run_start(&c, run, job, &seq) == RC_OK)
		printf("run-twice: BEGUN AGAIN\n");
	conn_frame(&c, PROTO_BYE, 0, NULL, 0);
	return said(&c, "run-twice", WAIT_MS);
}

/* --- snapshots --- */

enum lie {
	LIE_NONE, LIE_INCOMPLETE, LIE_NO_ROOT, LIE_CHUNK_ROOT, LIE_CLIENT,
	LIE_VAULT, LIE_SEQUENCE, LIE_PREVIOUS, LIE_SIGNATURE, LIE_JOB,
	LIE_GARBAGE, LIE_NO_RUN, LIE_RISING,
};

/* A tree of a chunk and a node, as far as this lie allows. */
static int
put_tree(struct conn *c, enum lie lie, struct object_id *root)
{
	struct fake chunk, node;
	int rc = RC_OK;

	fake_object(&chunk, OBJECT_CHUNK, 0, NULL, 0, 1000);
	/* an edge to itself would need a hash; one to a higher node does not */
	fake_object(&node, OBJECT_DIR_LEAF, 1, &chunk.id, 1, 100);
	if (lie != LIE_INCOMPLETE)
		rc = conn_frame(c, PROTO_PUT, 30, chunk.wire.data,
		    chunk.wire.len);
	if (rc == RC_OK && lie != LIE_NO_ROOT && lie != LIE_CHUNK_ROOT)
		rc = conn_frame(c, PROTO_PUT, 31, node.wire.data,
		    node.wire.len);
	*root = lie == LIE_CHUNK_ROOT ? chunk.id : node.id;
	if (rc == RC_OK && lie == LIE_RISING) {
		struct object_id low = node.id;
		struct fake upper;

		fake_object(&upper, OBJECT_DIR_INTERIOR, 1, &low, 1, 50);
		rc = conn_frame(c, PROTO_PUT, 32, upper.wire.data,
		    upper.wire.len);
		*root = upper.id;
		fake_free(&upper);
	}
	fake_free(&chunk);
	fake_free(&node);
	if (rc == RC_OK)
		rc = send_flush(c, 0);
	return rc == RC_OK ? conn_want(c, PROTO_FLUSHED, WAIT_MS) : rc;
}

static void
lie_in(const struct target *t, enum lie lie, struct fake_commit *s,
    struct wbuf *b)
{
	struct target other = *t;

	if (lie == LIE_CLIENT)
		random_fill(other.client, sizeof(other.client));
	if (lie == LIE_VAULT)
		random_fill(other.vault, sizeof(other.vault));
	if (lie == LIE_SEQUENCE)
		s->sequence = 0;
	if (lie == LIE_PREVIOUS)
		random_fill(s->previous, sizeof(s->previous));
	if (lie == LIE_JOB)
		random_fill(s->job, sizeof(s->job));
	fake_snapshot(&other, s, b);
	if (lie == LIE_SIGNATURE)
		b->data[b->len - 5] ^= 1;
	if (lie == LIE_GARBAGE)
		random_fill(b->data, b->len);
}

static int
commit(struct target *t, enum lie lie, const char *name)
{
	struct fake_commit s = { .sequence = 1 };
	struct conn c;
	struct wbuf b = WBUF_INIT(1);
	uint64_t seq = 0;
	int rc;

	if (lie == LIE_NO_RUN)
		rc = login(&c, t);
	else if ((rc = start(&c, t, s.job, &seq)) == RC_OK)
		rc = put_tree(&c, lie, &s.root);
	if (rc != RC_OK)		/* some lies are seen earlier */
		return said(&c, name, WAIT_MS) + (lie == LIE_NONE);
	s.sequence = seq + 1;
	lie_in(t, lie, &s, &b);
	if (conn_frame(&c, PROTO_COMMIT, 40, b.data, b.len) == RC_OK &&
	    (rc = conn_recv(&c, WAIT_MS)) == RC_OK)
		printf("%s: %s\n", name, proto_name(c.f.type));
	if (rc == RC_OK && c.f.type == PROTO_COMMITTED) {
		/* the same once more is answered the same */
		conn_frame(&c, PROTO_COMMIT, 41, b.data, b.len);
		if (conn_recv(&c, WAIT_MS) == RC_OK)
			printf("%s: again: %s\n", name, proto_name(c.f.type));
	}
	wbuf_free(&b);
	if (c.end == END_NONE)
		conn_frame(&c, PROTO_BYE, 0, NULL, 0);
	return said(&c, name, WAIT_MS);
}

#define COMMIT(fn, lie, name)						\
static int								\
fn(struct target *t, int argc, char **argv)				\
{									\
	(void)argc;							\
	(void)argv;							\
	return commit(t, lie, name);					\
}
COMMIT(do_commit, LIE_NONE, "commit")
COMMIT(do_incomplete, LIE_INCOMPLETE, "commit-incomplete")
COMMIT(do_no_root, LIE_NO_ROOT, "commit-no-root")
COMMIT(do_chunk_root, LIE_CHUNK_ROOT, "commit-chunk-root")
COMMIT(do_other_client, LIE_CLIENT, "commit-other-client")
COMMIT(do_other_vault, LIE_VAULT, "commit-other-vault")
COMMIT(do_old_sequence, LIE_SEQUENCE, "commit-old-sequence")
COMMIT(do_previous, LIE_PREVIOUS, "commit-previous")
COMMIT(do_signature, LIE_SIGNATURE, "commit-signature")
COMMIT(do_other_job, LIE_JOB, "commit-other-job")
COMMIT(do_garbage, LIE_GARBAGE, "commit-garbage")
COMMIT(do_no_run, LIE_NO_RUN, "commit-without-run")
COMMIT(do_rising, LIE_RISING, "commit-rising")

/* --- greed --- */

/* Questions by the thousand, whose answers nobody reads for a while. */
static int
do_never_reads(struct target *t, int argc, char **argv)
{
	struct timespec nap = { .tv_sec = argc == 1 ? atoi(argv[0]) : 3 };
	struct wbuf get = WBUF_INIT(PROTO_SMALL_MAX);
	struct object_id root, ids[PROTO_IDS_MAX];
	struct target quiet = *t;
	struct fake o;
	uint8_t job[16];
	struct conn c;
	uint64_t seq;
	size_t i;

	fake_object(&o, OBJECT_CHUNK, 0, NULL, 0, BIG_BODY);
	for (i = 0; i < NITEMS(ids); i++)
		ids[i] = o.id;
	get_put(&get, ids, NITEMS(ids), 0);
	if (start(&c, &quiet, job, &seq) == RC_OK &&
	    conn_frame(&c, PROTO_PUT, 1, o.wire.data, o.wire.len) == RC_OK &&
	    put_tree(&c, LIE_NONE, &root) == RC_OK)
		for (i = 0; i < 3; i++)
			if (conn_frame(&c, PROTO_GET, (uint32_t)i, get.data,
			    get.len) != RC_OK)
				break;
	wbuf_free(&get);
	fake_free(&o);
	nanosleep(&nap, NULL);
	printf("never-reads: held for %ld s\n", (long)nap.tv_sec);
	conn_close(&c);
	return 0;
}

/* More ids than may be unanswered, in one go. */
static int
do_have_flood(struct target *t, int argc, char **argv)
{
	static struct object_id ids[PROTO_IDS_MAX];
	struct wbuf have = WBUF_INIT(PROTO_SMALL_MAX);
	unsigned int i, answers = 0;
	uint8_t job[16];
	struct conn c;
	uint64_t seq;

	(void)argc;
	(void)argv;
	random_fill(ids, sizeof(ids));
	ids_put(&have, ids, NITEMS(ids));
	if (start(&c, t, job, &seq) == RC_OK)
		for (i = 0; i < 200; i++)
			if (conn_frame(&c, PROTO_HAVE, i, have.data,
			    have.len) != RC_OK)
				break;
	wbuf_free(&have);
	conn_frame(&c, PROTO_BYE, 0, NULL, 0);
	while (conn_want(&c, PROTO_HAVE_OK, WAIT_MS) == RC_OK)
		answers++;
	printf("have-flood: %u of 200 answered\n", answers);
	return said(&c, "have-flood", WAIT_MS);
}

const struct scenario scenarios_vault[] = {
	{ "damaged-objects", do_damaged_objects, "PUT of what is no object" },
	{ "put-without-run", do_put_without_run, "PUT before RUN_BEGIN" },
	{ "run-twice", do_run_twice, "two runs in one connection" },
	{ "commit", do_commit, "a small, right snapshot" },
	{ "commit-incomplete", do_incomplete, "an edge that is not there" },
	{ "commit-no-root", do_no_root, "a root that is not there" },
	{ "commit-chunk-root", do_chunk_root, "a root that is no node" },
	{ "commit-other-client", do_other_client, "of another client" },
	{ "commit-other-vault", do_other_vault, "of another vault" },
	{ "commit-old-sequence", do_old_sequence, "an old sequence" },
	{ "commit-previous", do_previous, "of an unknown past" },
	{ "commit-signature", do_signature, "a wrong signature" },
	{ "commit-other-job", do_other_job, "another job than the run's" },
	{ "commit-garbage", do_garbage, "random bytes" },
	{ "commit-without-run", do_no_run, "no run" },
	{ "commit-rising", do_rising, "an edge that does not go down" },
	{ "never-reads", do_never_reads, "[SECONDS]: asks, reads nothing" },
	{ "have-flood", do_have_flood, "200,000 ids at once" },
	{ NULL, NULL, NULL }
};
