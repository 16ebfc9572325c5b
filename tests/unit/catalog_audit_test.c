#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc.h"
#include "server/catalog/audit.h"
#include "tests/unit/catalog_help.h"

struct bench {
	struct place	place;
	struct catalog	c;
};

static void
add(struct catalog *c, const char *act)
{
	struct audit_entry e = { .who = "root", .from = "local",
	    .object = "acme/one", .detail = "as asked" };

	snprintf(e.act, sizeof(e.act), "%s", act);
	c->now++;
	assert_int_equal(audit_add(c, &e), RC_OK);
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	place_make(&b->place);
	assert_int_equal(cat_open(&b->c, b->place.path, NOW), RC_OK);
	for (int i = 0; i < 20; i++)
		add(&b->c, i % 2 == 0 ? "client add" : "client rm");
	assert_int_equal(cat_commit(&b->c), RC_OK);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	cat_close(&b->c);
	place_clear(&b->place);
	free(b);
	return 0;
}

static struct audit_walk
verify(struct catalog *c)
{
	struct audit_walk w = { 0 };
	int rc;

	while ((rc = audit_verify(c, &w)) == RC_AGAIN)
		;
	assert_int_equal(rc, RC_OK);
	return w;
}

static void
a_whole_chain_verifies_over_a_restart(void **state)
{
	struct bench *b = *state;
	struct audit_walk w = verify(&b->c);

	assert_int_equal(w.bad, 0);
	assert_int_equal(w.entries, 20);
	assert_memory_equal(w.head, b->c.audit_head, 32);
	cat_close(&b->c);
	assert_int_equal(cat_open(&b->c, b->place.path, NOW), RC_OK);
	add(&b->c, "user add");
	w = verify(&b->c);
	assert_int_equal(w.bad, 0);
	assert_int_equal(w.entries, 21);
}

static void
each_changed_field_is_found(void **state)
{
	static const char *const changes[] = {
		"at = at + 1", "who = 'roos'", "origin = 'x'", "act = 'x'",
		"object = 'acme/onf'", "rc = 1", "detail = ''",
		"hash = zeroblob(32)", "number = 700",
	};
	struct catalog *c = &((struct bench *)*state)->c;
	char sql[128];

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		assert_int_equal(sql_run(c->db, "BEGIN", ""), RC_OK);
		snprintf(sql, sizeof(sql), "UPDATE audit SET %s WHERE "
		    "number = 7", changes[i]);
		assert_int_equal(sql_run(c->db, sql, ""), RC_OK);
		assert_int_equal(verify(c).bad, 7);
		assert_int_equal(sql_run(c->db, "ROLLBACK", ""), RC_OK);
		assert_int_equal(verify(c).bad, 0);
	}
}

/* One bit of the file itself. */
static void
a_flipped_byte_in_the_file_is_found(void **state)
{
	static const char needle[] = "client rm";
	struct bench *b = *state;
	char *buf, *at;
	long size;
	FILE *f;

	cat_close(&b->c);
	assert_non_null(f = fopen(b->place.path, "r+b"));
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	buf = malloc((size_t)size);
	assert_int_equal(fread(buf, 1, (size_t)size, f), size);
	at = memmem(buf, (size_t)size, needle, sizeof(needle) - 1);
	assert_non_null(at);
	fseek(f, at - buf, SEEK_SET);
	fputc('d', f);
	fclose(f);
	free(buf);
	assert_int_equal(cat_open(&b->c, b->place.path, NOW), RC_OK);
	assert_true(verify(&b->c).bad != 0);
}

static void
entries_that_are_missing_are_found(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;

	assert_int_equal(sql_run(c->db, "DELETE FROM audit WHERE number = 12",
	    ""), RC_OK);
	assert_int_equal(verify(c).bad, 12);
	assert_int_equal(sql_run(c->db, "DELETE FROM audit WHERE number >= 12",
	    ""), RC_OK);
	assert_int_equal(verify(c).bad, 12);
}

static void
a_long_chain_is_verified_in_slices(void **state)
{
	struct catalog *c = &((struct bench *)*state)->c;
	struct audit_walk w = { 0 };

	for (int i = 0; i < AUDIT_SLICE; i++)
		add(c, "x");
	assert_int_equal(audit_verify(c, &w), RC_AGAIN);
	assert_int_equal(w.entries, AUDIT_SLICE);
	add(c, "in between");
	assert_int_equal(audit_verify(c, &w), RC_OK);
	assert_int_equal(w.bad, 0);
	assert_int_equal(w.entries, AUDIT_SLICE + 21);
}

static void
long_text_is_cut_between_characters(void **state)
{
	struct wbuf b = WBUF_INIT(2048);
	struct audit_entry e;
	char text[200];
	struct rbuf in;

	(void)state;
	memset(text, 'a', sizeof(text));
	strcpy(text + 126, "\xc3\xa9\xc3\xa9");
	wbuf_str(&b, text);
	for (int i = 0; i < 3; i++)
		wbuf_str(&b, "x");
	wbuf_u8(&b, 3);
	wbuf_str(&b, "");
	rbuf_init(&in, b.data, b.len);
	assert_int_equal(audit_get(&in, &e), RC_OK);
	assert_int_equal(strlen(e.who), 126);
	assert_int_equal(e.rc, 3);
	wbuf_u8(&b, 0);
	rbuf_init(&in, b.data, b.len);
	assert_int_equal(audit_get(&in, &e), RC_TRAILING);
	wbuf_free(&b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_whole_chain_verifies_over_a_restart),
		T(each_changed_field_is_found),
		T(a_flipped_byte_in_the_file_is_found),
		T(entries_that_are_missing_are_found),
		T(a_long_chain_is_verified_in_slices),
		T(long_text_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
