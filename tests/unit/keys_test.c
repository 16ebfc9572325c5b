#include "config.h"

#include "client/engine/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"

static void
make_keys(struct keys *k)
{
	memset(k, 0, sizeof(*k));
	memset(k->vault, 0x11, sizeof(k->vault));
	memset(k->client, 0x22, sizeof(k->client));
	memset(k->m.b, 0x33, sizeof(k->m.b));
	assert_int_equal(keys_derive(k), RC_OK);
}

static void
subkeys_differ_and_only_node_ids_depend_on_the_client(void **state)
{
	struct keys a, b;

	(void)state;
	make_keys(&a);
	make_keys(&b);
	memset(b.client, 0x23, sizeof(b.client));
	assert_int_equal(keys_derive(&b), RC_OK);
	assert_memory_equal(a.chunk_id.b, b.chunk_id.b, SECRET_LEN);
	assert_memory_equal(a.wrap.b, b.wrap.b, SECRET_LEN);
	assert_memory_not_equal(a.node_id.b, b.node_id.b, SECRET_LEN);
	assert_memory_not_equal(a.chunk_id.b, a.cdc.b, SECRET_LEN);
	assert_memory_not_equal(a.dir.b, a.name.b, SECRET_LEN);
	keys_clear(&a);
	keys_clear(&b);
}

/* Computed with Python's hmac by RFC 5869: a second implementation agrees. */
static void
chunk_id_key_is_that_of_the_format(void **state)
{
	static const uint8_t want[SECRET_LEN] = {
		0x94, 0x8e, 0x35, 0x66, 0xe3, 0x27, 0xa4, 0xc7,
		0xb4, 0x78, 0x81, 0xa9, 0x04, 0xf8, 0x22, 0xa9,
		0xdd, 0x31, 0x02, 0x6e, 0x5f, 0xeb, 0xb2, 0x06,
		0xa8, 0x68, 0xeb, 0xd7, 0x40, 0xd4, 0xee, 0x84,
	};
	struct keys k;

	(void)state;
	make_keys(&k);
	assert_memory_equal(k.chunk_id.b, want, SECRET_LEN);
	keys_clear(&k);
}

static void
a_new_epoch_comes_first_and_old_ones_are_found(void **state)
{
	struct epoch_key first;
	struct keys k;

	(void)state;
	make_keys(&k);
	assert_int_equal(keys_epoch_new(&k), RC_OK);
	first = k.epochs[0];
	assert_int_equal(keys_epoch_new(&k), RC_OK);
	assert_int_equal(k.nepochs, 2);
	assert_memory_not_equal(k.epochs[0].epoch, first.epoch, 8);
	assert_non_null(keys_epoch_find(&k, first.epoch));
	assert_int_equal(keys_epoch_add(&k, &first.key), RC_OK);
	assert_int_equal(k.nepochs, 2);
	keys_clear(&k);
}

static void
a_wrapped_epoch_opens_in_its_vault_only(void **state)
{
	struct wbuf rec = WBUF_INIT(8192);
	struct secret e;
	struct keys k;

	(void)state;
	make_keys(&k);
	assert_int_equal(keys_epoch_new(&k), RC_OK);
	assert_int_equal(keys_wrap_epoch(&k, &k.epochs[0], &rec), RC_OK);
	assert_int_equal(keys_unwrap_epoch(&k, rec.data, rec.len, &e), RC_OK);
	assert_memory_equal(e.b, k.epochs[0].key.b, SECRET_LEN);
	rec.data[5] ^= 1;
	assert_int_equal(keys_unwrap_epoch(&k, rec.data, rec.len, &e),
	    RC_CRYPTO);
	rec.data[5] ^= 1;
	assert_int_equal(keys_unwrap_epoch(&k, rec.data, rec.len - 1, &e),
	    RC_TRUNCATED);
	k.vault[0] ^= 1;
	assert_int_equal(keys_unwrap_epoch(&k, rec.data, rec.len, &e),
	    RC_CRYPTO);
	wbuf_free(&rec);
	keys_clear(&k);
}

static void
a_passphrase_slot_gives_the_vault_key_back(void **state)
{
	struct wbuf rec = WBUF_INIT(8192);
	struct keys k, fresh = { 0 };

	(void)state;
	make_keys(&k);
	memcpy(fresh.vault, k.vault, sizeof(k.vault));
	assert_int_equal(keys_wrap_passphrase(&k, "correct horse", &rec),
	    RC_OK);
	assert_int_equal(keys_open_slot(&fresh, rec.data, rec.len,
	    "wrong horse", NULL), RC_CRYPTO);
	assert_int_equal(keys_open_slot(&fresh, rec.data, rec.len,
	    "correct horse", NULL), RC_OK);
	assert_memory_equal(fresh.m.b, k.m.b, SECRET_LEN);
	assert_memory_equal(fresh.client, k.client, sizeof(k.client));
	wbuf_free(&rec);
	keys_clear(&k);
	keys_clear(&fresh);
}

static void
a_slot_that_asks_for_endless_memory_is_refused(void **state)
{
	struct wbuf rec = WBUF_INIT(8192);
	struct keys k;

	(void)state;
	make_keys(&k);
	assert_int_equal(keys_wrap_passphrase(&k, "x", &rec), RC_OK);
	rec.data[2 + 16 + 16] = 40;			/* log N */
	assert_int_equal(keys_open_slot(&k, rec.data, rec.len, "x", NULL),
	    RC_UNSUPPORTED);
	wbuf_free(&rec);
	keys_clear(&k);
}

static void
a_recovery_slot_opens_with_the_printed_key(void **state)
{
	struct wbuf rec = WBUF_INIT(8192);
	struct keys k, fresh = { 0 };
	char text[KEYS_RECOVERY_TEXT];
	struct secret r, again;

	(void)state;
	make_keys(&k);
	memcpy(fresh.vault, k.vault, sizeof(k.vault));
	assert_int_equal(secret_random(r.b, sizeof(r.b)), RC_OK);
	assert_int_equal(keys_wrap_recovery(&k, &r, &rec), RC_OK);
	keys_recovery_format(&r, text);
	assert_int_equal(strlen(text), 56 + 13);
	assert_int_equal(keys_recovery_parse(text, &again), RC_OK);
	assert_int_equal(keys_open_slot(&fresh, rec.data, rec.len, NULL,
	    &again), RC_OK);
	assert_memory_equal(fresh.m.b, k.m.b, SECRET_LEN);
	assert_int_equal(keys_open_slot(&fresh, rec.data, rec.len, "pass",
	    NULL), RC_CRYPTO);
	wbuf_free(&rec);
	keys_clear(&k);
	keys_clear(&fresh);
}

static void
a_recovery_key_forgives_case_blanks_and_look_alikes(void **state)
{
	char text[KEYS_RECOVERY_TEXT], *p;
	struct secret r, again;

	(void)state;
	memset(r.b, 0, sizeof(r.b));
	r.b[31] = 1;
	keys_recovery_format(&r, text);
	for (p = text; *p != '\0'; p++) {
		if (*p == '0')
			*p = 'o';
		else if (*p == '1')
			*p = 'l';
		else if (*p == '-')
			*p = ' ';
		else if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	assert_int_equal(keys_recovery_parse(text, &again), RC_OK);
	assert_memory_equal(again.b, r.b, SECRET_LEN);
}

static void
a_typing_error_in_a_recovery_key_is_noticed(void **state)
{
	char text[KEYS_RECOVERY_TEXT];
	struct secret r;

	(void)state;
	memset(r.b, 0x5a, sizeof(r.b));
	keys_recovery_format(&r, text);
	text[7] = text[7] == 'A' ? 'B' : 'A';
	assert_int_equal(keys_recovery_parse(text, &r), RC_CRC);
	text[10] = '\0';
	assert_int_equal(keys_recovery_parse(text, &r), RC_PROTO);
	assert_int_equal(keys_recovery_parse("?", &r), RC_PROTO);
}

static void
parameters_are_checked_and_their_hash_kept(void **state)
{
	struct wbuf rec = WBUF_INIT(8192);
	struct keys a, b;

	(void)state;
	make_keys(&a);
	make_keys(&b);
	assert_int_equal(keys_wrap_params(&a, &rec), RC_OK);
	assert_int_equal(keys_check_params(&b, rec.data, rec.len), RC_OK);
	assert_memory_equal(a.params, b.params, sizeof(a.params));
	rec.data[rec.len - 1] ^= 1;
	assert_int_equal(keys_check_params(&b, rec.data, rec.len), RC_CRYPTO);
	wbuf_free(&rec);
	keys_clear(&a);
	keys_clear(&b);
}

static void
jobs_have_ids_that_their_names_do_not_show(void **state)
{
	uint8_t a[16], b[16], c[16];
	struct keys k;

	(void)state;
	make_keys(&k);
	assert_int_equal(keys_job_id(&k, "home", a), RC_OK);
	assert_int_equal(keys_job_id(&k, "home", b), RC_OK);
	assert_int_equal(keys_job_id(&k, "work", c), RC_OK);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, c, sizeof(a));
	keys_clear(&k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    subkeys_differ_and_only_node_ids_depend_on_the_client),
		cmocka_unit_test(chunk_id_key_is_that_of_the_format),
		cmocka_unit_test(
		    a_new_epoch_comes_first_and_old_ones_are_found),
		cmocka_unit_test(a_wrapped_epoch_opens_in_its_vault_only),
		cmocka_unit_test(a_passphrase_slot_gives_the_vault_key_back),
		cmocka_unit_test(
		    a_slot_that_asks_for_endless_memory_is_refused),
		cmocka_unit_test(a_recovery_slot_opens_with_the_printed_key),
		cmocka_unit_test(
		    a_recovery_key_forgives_case_blanks_and_look_alikes),
		cmocka_unit_test(a_typing_error_in_a_recovery_key_is_noticed),
		cmocka_unit_test(parameters_are_checked_and_their_hash_kept),
		cmocka_unit_test(jobs_have_ids_that_their_names_do_not_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
